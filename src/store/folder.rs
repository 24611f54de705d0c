//! The data folder: which one it is, and whether it may be trusted.

use std::{
    ffi::{OsStr, OsString},
    fmt, fs,
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use super::{database, lock};

/// The variable that names the data folder.
pub const VARIABLE: &str = "WARROOM_DATA_DIR";
/// Where an agent that is the machine's service keeps its data.
pub const SYSTEM: &str = "/var/lib/warroom";
/// Where systemd says which folders `StateDirectory=` has made for a service, with `:` between them (systemd.exec(5)).
const STATE: &str = "STATE_DIRECTORY";

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The machine does not say where data belongs.
    #[error("no home folder is known: name a data folder with --data-dir or ${VARIABLE}")]
    NoHome,
    /// It cannot be made or looked at.
    #[error("data folder {}: {source}", path.display())]
    File {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no folder.
    #[error("data folder {} is not a folder: name another one with --data-dir", .0.display())]
    NotAFolder(PathBuf),
    /// It belongs to somebody else.
    #[error(
        "data folder {} belongs to user {owner}, who could change the records: run `sudo chown -R {user} {}`, \
         or name another one with --data-dir", path.display(), Quoted(path)
    )]
    Foreign {
        /// Which folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Our own number.
        user: u32,
    },
    /// It belongs to somebody else, and an engine of theirs works or has worked in it.
    #[error(
        "data folder {} belongs to user {owner}, whose engine keeps its records there: run the engine as that user, \
         or name another folder with --data-dir", path.display()
    )]
    Theirs {
        /// Which folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// Others may write in it.
    #[error(
        "data folder {} may be written by {whom}, who could change the records: run `chmod {mend} {}`",
        path.display(), Quoted(path)
    )]
    Writable {
        /// Which folder.
        path: PathBuf,
        /// `others` or `its group`.
        whom: &'static str,
        /// What `chmod` must do.
        mend: &'static str,
    },
}

/// A path as a shell reads it.
struct Quoted<'a>(&'a Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "'{}'", self.0.display().to_string().replace('\'', r"'\''"))
    }
}

/// The data folder: what was asked for, else the environment's, else a service's, else the user's own. Nothing is created.
pub fn resolve(asked: Option<&Path>) -> Result<PathBuf, FolderError> {
    let own =
        || directories::ProjectDirs::from("", "", "warroom").map(|folders| folders.data_dir().to_path_buf());
    choose(asked, std::env::var_os(VARIABLE), std::env::var_os(STATE), own)
}

/// The data folder that was named: by an option, else by the environment.
#[must_use]
pub fn named(asked: Option<&Path>) -> Option<PathBuf> {
    name(asked, std::env::var_os(VARIABLE))
}

fn name(asked: Option<&Path>, variable: Option<OsString>) -> Option<PathBuf> {
    asked.map(Path::to_path_buf).or_else(|| variable.filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn choose(
    asked: Option<&Path>,
    variable: Option<OsString>,
    state: Option<OsString>,
    own: impl FnOnce() -> Option<PathBuf>,
) -> Result<PathBuf, FolderError> {
    let first = |folders: OsString| {
        let first = folders.as_bytes().split(|byte| *byte == b':').next()?;
        (!first.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(first)))
    };
    name(asked, variable).or_else(|| state.and_then(first)).or_else(own).ok_or(FolderError::NoHome)
}

/// Makes the folder for oneself alone where there is none, and refuses one that others could tamper with.
///
/// `group` is the number of the group that may write in it too.
pub fn prepare(path: &Path, group: Option<u32>) -> Result<(), FolderError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
        .map_err(|source| FolderError::File { path: path.to_path_buf(), source })?;
    inspect(path, group).map(|_| ())
}

/// Refuses a folder that others could tamper with; `false` when there is none. Nothing is created.
pub fn inspect(path: &Path, group: Option<u32>) -> Result<bool, FolderError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(FolderError::File { path: path.to_path_buf(), source }),
    };
    if !found.is_dir() {
        return Err(FolderError::NotAFolder(path.to_path_buf()));
    }
    let facts = Facts { owner: found.uid(), group: found.gid(), mode: found.mode() };
    match judge(path, facts, rustix::process::geteuid().as_raw(), group) {
        // Whoever gave themselves the folder of a service would end it.
        Err(FolderError::Foreign { path, owner, .. }) if is_lived_in(&path) => {
            Err(FolderError::Theirs { path, owner })
        }
        judged => judged.map(|()| true),
    }
}

/// Whether an engine keeps its records in the folder, working or not; one that cannot be looked into may be such a one.
#[must_use]
pub fn is_lived_in(path: &Path) -> bool {
    [lock::FILE, lock::HOLDER, database::FILE].iter().any(|name| {
        fs::symlink_metadata(path.join(name))
            .map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
    })
}

/// Whether the folder belongs to another user than oneself and root, so that no engine of one's own can work there.
#[must_use]
pub fn is_theirs(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|found| found.uid() != own && found.uid() != 0)
}

/// Whether there is a folder that one may look into: to attach, for its status, for its records. Nothing is created.
///
/// Its owner may be anybody: whom to believe is the choice of whoever names the folder, and what comes out of it is
/// foreign text to every reader. Nobody else than root and the owner may have put anything there, or the owner's word would
/// be no word: it must not be writable by others. Its group may write where the owner's engine has let that group in,
/// which the engine's `socket` shows: only root and the owner could have made it theirs.
pub fn visit(path: &Path, socket: &str) -> Result<bool, FolderError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(FolderError::File { path: path.to_path_buf(), source }),
    };
    if !found.is_dir() {
        return Err(FolderError::NotAFolder(path.to_path_buf()));
    }
    let let_in = fs::symlink_metadata(path.join(socket)).ok().filter(|socket| {
        socket.file_type().is_socket()
            && [0, found.uid()].contains(&socket.uid())
            && socket.mode() & 0o060 == 0o060
    });
    let facts = Facts { owner: found.uid(), group: found.gid(), mode: found.mode() };
    judge(path, facts, found.uid(), let_in.map(|socket| socket.gid())).map(|()| true)
}

#[derive(Clone, Copy)]
struct Facts {
    owner: u32,
    group: u32,
    mode: u32,
}

fn judge(path: &Path, facts: Facts, user: u32, group: Option<u32>) -> Result<(), FolderError> {
    let path = path.to_path_buf();
    if facts.owner != user && facts.owner != 0 {
        return Err(FolderError::Foreign { path, owner: facts.owner, user });
    }
    if facts.mode & 0o002 != 0 {
        return Err(FolderError::Writable { path, whom: "others", mend: "o-w" });
    }
    if facts.mode & 0o020 != 0 && group != Some(facts.group) {
        return Err(FolderError::Writable { path, whom: "its group", mend: "g-w" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_the_one_asked_for_then_the_environments_then_a_services_then_ones_own() {
        let own = || Some(PathBuf::from("/home/me/data"));
        let asked = Path::new("/asked");
        let state = || Some("/var/lib/warroom:/var/lib/other".into());
        assert_eq!(choose(Some(asked), Some("/variable".into()), state(), own).unwrap(), asked);
        assert_eq!(choose(None, Some("/variable".into()), state(), own).unwrap(), Path::new("/variable"));
        assert_eq!(choose(None, Some("".into()), state(), own).unwrap(), Path::new("/var/lib/warroom"));
        assert_eq!(choose(None, None, Some("".into()), own).unwrap(), Path::new("/home/me/data"));
        assert!(matches!(choose(None, None, None, || None), Err(FolderError::NoHome)));
    }

    #[test]
    fn a_new_folder_is_for_oneself_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a/b");
        prepare(&folder, None).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_the_cure() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("it's");
        prepare(&folder, None).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let words = prepare(&folder, None).unwrap_err().to_string();
        assert!(words.contains("chmod o-w '") && words.contains(r"it'\''s'"), "{words}");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        let words = prepare(&folder, None).unwrap_err().to_string();
        assert!(words.contains("chmod g-w '"), "{words}");
        let group = fs::metadata(&folder).unwrap().gid();
        prepare(&folder, Some(group)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        prepare(&folder, None).unwrap();
    }

    #[test]
    fn somebody_elses_folder_is_refused_and_roots_is_not() {
        let path = Path::new("/data");
        let facts = |owner| Facts { owner, group: 7, mode: 0o40700 };
        let words = judge(path, facts(4321), 1000, None).unwrap_err().to_string();
        assert!(words.contains("user 4321") && words.contains("sudo chown -R 1000 '/data'"), "{words}");
        judge(path, facts(0), 1000, None).unwrap();
        judge(path, facts(1000), 1000, None).unwrap();
    }

    /// A group member could otherwise put a database or a status of their own in the place of the engine's.
    #[test]
    fn who_only_looks_may_look_at_anybodys_folder_that_nobody_else_writes() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("data");
        assert!(!visit(&folder, "s").unwrap());
        prepare(&folder, None).unwrap();
        assert!(visit(&folder, "s").unwrap());
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&folder, 0o777);
        assert!(visit(&folder, "s").unwrap_err().to_string().contains("chmod o-w"));
        mode(&folder, 0o770);
        assert!(visit(&folder, "s").unwrap_err().to_string().contains("chmod g-w"));
        let socket = folder.join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        mode(&socket, 0o600);
        assert!(visit(&folder, "s").is_err(), "the engine has let no group in");
        mode(&socket, 0o660);
        assert!(visit(&folder, "s").unwrap(), "the engine has let the folder's group in");
        fs::remove_file(&socket).unwrap();
        fs::write(&socket, "").unwrap();
        mode(&socket, 0o660);
        assert!(visit(&folder, "s").is_err(), "a file is no engine's word");
        mode(&folder, 0o755);
        // Whoever owns it: who looks does not answer for the records.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&folder, Some(4321), None).unwrap();
            assert!(visit(&folder, "s").unwrap());
        }
    }

    #[test]
    fn a_file_in_the_folders_place_is_said_to_be_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(inspect(file.path(), None).unwrap_err().to_string().contains("is not a folder"));
        assert!(!inspect(&file.path().with_extension("none"), None).unwrap());
    }
}
