//! One engine for each data folder: a lock on `engine.lock`, which the system lets go when the process ends, however
//! it ends. Who holds it stands in `engine.json` beside it.
//!
//! Invariants: nobody but the engine's own user and root can open `engine.lock`, because whoever can read a file can lock it,
//! and would keep the engine from starting. `engine.json` may be read by the folder's group. The engine holds that file
//! locked too, which it made new and needs nobody's leave for: so its readers see whether it lives, and hinder nobody.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{entry, share};
use crate::domain::time::rfc3339_millis;

/// The lock's name in the data folder.
pub const FILE: &str = "engine.lock";
/// The name of the file that says who holds it.
pub const HOLDER: &str = "engine.json";
/// How much of the words is read, in bytes.
const LONGEST: u64 = 16 * 1024;
/// How often a starting engine steps aside for those who only look, each of whom holds the lock for microseconds.
const COURTESY: u32 = 500;
/// How long it steps aside each time.
const ASIDE: Duration = Duration::from_millis(1);

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The engine's process.
    pub pid: u32,
    /// When it started.
    #[serde(with = "rfc3339_millis")]
    pub since: DateTime<Utc>,
    /// On which machine.
    pub host: String,
    /// As which user.
    pub user: String,
    /// Which version of warroom.
    pub version: String,
    /// On which config; none for the demo.
    pub config: Option<PathBuf>,
}

impl Holder {
    /// This process, started now.
    #[must_use]
    pub fn this(now: DateTime<Utc>, config: Option<&Path>) -> Self {
        let uname = rustix::system::uname();
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        Self {
            pid: std::process::id(),
            since: now,
            host: uname.nodename().to_string_lossy().into_owned(),
            user: user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // Whoever compares it stands in another folder. Only an empty path cannot be made whole.
            config: config.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.format("%Y-%m-%d %H:%M:%SZ");
        write!(formatter, "process {} of {} on {}, since {since}", self.pid, self.user, self.host)?;
        if let Some(config) = &self.config {
            write!(formatter, ", config {}", config.display())?;
        }
        Ok(())
    }
}

/// Why the lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another engine has it.
    #[error(
        "an engine already works on {}: {}. One engine measures for each data folder: stop that one, or name \
         another folder with --data-dir", folder.display(),
        holder.as_ref().map_or_else(|| "it is just starting".to_owned(), ToString::to_string)
    )]
    Held {
        /// Which data folder.
        folder: PathBuf,
        /// Who; not known while the other one is still writing it down.
        holder: Option<Box<Holder>>,
    },
    /// The file cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The lock, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Who holds it, for others to read; none on a disk that took no words.
    words: Option<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it to a child that is just being started and still shares the open file. If this
        // fails, the end of the process does it.
        let _ = self.words.as_ref().map(File::unlock);
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the folder's lock for `holder`, or says who has it. The folder must exist.
    pub fn acquire(folder: &Path, holder: &Holder) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = entry::open(&path, options.read(true).write(true).create(true).truncate(false));
        let file = file.map_err(failed)?;
        // An earlier version let the folder's group in.
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
        }
        if !exclusive(&file).map_err(failed)? {
            let holder = glance(folder).ok().and_then(Words::holder).map(Box::new);
            return Err(LockError::Held { folder: folder.to_path_buf(), holder });
        }
        // A full disk keeps nobody from measuring: the lock itself holds, only its words may be missing.
        let words = match describe(folder, holder) {
            Ok(words) => Some(words),
            Err(error) => {
                tracing::warn!(%error, "{HOLDER} in the data folder cannot say who holds it");
                // An earlier engine's words would be a lie.
                let _ = entry::remove(&folder.join(HOLDER));
                None
            }
        };
        Ok(Self { file, words })
    }

    /// Who holds the folder's lock; `Ok(None)` when nobody does. An engine that is just starting, and has not yet
    /// written who it is, is told as [`LockError::Held`] without a holder. Where neither the lock nor the words beside it may
    /// be read nothing can be told, which is an error of the kind `PermissionDenied`.
    pub fn peek(folder: &Path) -> Result<Option<Holder>, LockError> {
        let held = || LockError::Held { folder: folder.to_path_buf(), holder: None };
        let words = glance(folder);
        if let Ok(Words::Held(holder)) = words {
            return holder.map(|holder| Some(*holder)).ok_or_else(held);
        }
        let path = folder.join(FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let file = match entry::open(&path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            // Whoever may not try the lock goes by the words: nobody stands by them any more.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && matches!(words, Ok(Words::Left)) => {
                return Ok(None);
            }
            Err(source) => return Err(failed(source)),
        };
        match file.try_lock_shared() {
            // Unlocked and not only closed: see the lock's own end.
            Ok(()) => file.unlock().map(|()| None).map_err(failed),
            // It may have found its words since.
            Err(TryLockError::WouldBlock) => match glance(folder) {
                Ok(Words::Held(Some(holder))) => Ok(Some(*holder)),
                _ => Err(held()),
            },
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// What the file of words says.
enum Words {
    /// An engine stands by them; they may be of another version, and not understood.
    Held(Option<Box<Holder>>),
    /// An engine that is gone left them behind.
    Left,
    /// There are none.
    Absent,
}

impl Words {
    fn holder(self) -> Option<Holder> {
        match self {
            Self::Held(holder) => holder.map(|holder| *holder),
            Self::Left | Self::Absent => None,
        }
    }
}

fn glance(folder: &Path) -> io::Result<Words> {
    let file = match entry::read(&folder.join(HOLDER)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Words::Absent),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| Words::Left),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.take(LONGEST).read_to_string(&mut text)?;
            Ok(Words::Held(serde_json::from_str(&text).ok()))
        }
    }
}

/// Whether the lock was got. Those who only look hold it shared for a moment, and are waited for.
fn exclusive(file: &File) -> io::Result<bool> {
    for _ in 0..COURTESY {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        match file.try_lock_shared() {
            // Nobody holds it alone, so somebody only looks.
            Ok(()) => file.unlock()?,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        thread::sleep(ASIDE);
    }
    Ok(false)
}

/// Writes down who holds the lock, in a file that is locked before anybody else can open it.
fn describe(folder: &Path, holder: &Holder) -> io::Result<File> {
    let (path, fresh) = (folder.join(HOLDER), folder.join(".engine.json.new"));
    let written = (|| {
        let mut file = entry::make(&fresh)?;
        file.try_lock()?;
        let mut text = serde_json::to_vec(holder).map_err(io::Error::other)?;
        text.push(b'\n');
        file.write_all(&text)?;
        share::follow(folder, &file);
        fs::rename(&fresh, &path)?;
        Ok(file)
    })();
    if written.is_err() {
        // The next engine removes it as well.
        let _ = entry::remove(&fresh);
    }
    written
}
