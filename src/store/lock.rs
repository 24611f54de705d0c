//! One engine for each data folder: a lock on `engine.lock`, which the system lets go when the process ends, however
//! it ends. The file says who holds it.

use std::{
    fmt, fs,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::time::rfc3339_millis;

/// The file's name in the data folder.
pub const FILE: &str = "engine.lock";
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
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it to a child that is just being started and still shares the open file. If this
        // fails, the end of the process does it.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the folder's lock for `holder`, or says who has it. The folder must exist.
    pub fn acquire(folder: &Path, holder: &Holder) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        if !exclusive(&file).map_err(failed)? {
            let holder = read(&mut file).map(Box::new);
            return Err(LockError::Held { folder: folder.to_path_buf(), holder });
        }
        // A full disk keeps nobody from measuring: the lock itself holds, only its words may be missing.
        if let Err(error) = describe(&mut file, holder) {
            tracing::warn!(%error, "the lock file cannot say who holds it");
        }
        Ok(Self { file })
    }

    /// Who holds the folder's lock; `Ok(None)` when nobody does. An engine that is just starting, and has not yet
    /// written who it is, is told as [`LockError::Held`] without a holder.
    pub fn peek(folder: &Path) -> Result<Option<Holder>, LockError> {
        let path = folder.join(FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        match file.try_lock_shared() {
            // Unlocked and not only closed: see the lock's own end.
            Ok(()) => file.unlock().map(|()| None).map_err(failed),
            Err(TryLockError::WouldBlock) => match read(&mut file) {
                Some(holder) => Ok(Some(holder)),
                None => Err(LockError::Held { folder: folder.to_path_buf(), holder: None }),
            },
            Err(TryLockError::Error(source)) => Err(failed(source)),
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

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn describe(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder).map_err(io::Error::other)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}
