//! Who besides the engine's own user may read the data folder: nobody, or the group that the config names.
//!
//! Invariants: nobody but the owner is given a right to write; the mode of the database is what the other files follow, as
//! its log does by `SQLite` itself; no link is followed, so that whoever may write in the folder opens no other file.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::Path,
};

use super::{database, entry, lock, status};

/// The group may look into the folder.
const FOLDER: u32 = 0o050;
/// What is made in the folder belongs to its group, the database's log for one.
const INHERIT: u32 = 0o2000;
/// The group may read a file.
const FILE: u32 = 0o040;

/// Lets the members of a group, by its number, read what lies in the folder, or nobody. The engine's lock must be held.
///
/// Fails where the folder or a file is somebody else's, or the group one that this user is no member of.
pub fn share(folder: &Path, group: Option<u32>) -> io::Result<()> {
    if let Some(group) = group {
        let open = fs::File::open(folder)?;
        let found = open.metadata()?;
        if found.gid() != group {
            fchown(&open, None, Some(group))?;
        }
        // Where files belong to this group anyway, nothing is to be inherited; the sandbox of a service forbids that bit.
        let inherit = if rustix::process::getegid().as_raw() == group { 0 } else { INHERIT };
        let wanted = FOLDER | inherit;
        if found.mode() & wanted != wanted {
            open.set_permissions(fs::Permissions::from_mode((found.mode() & 0o7777) | wanted))?;
        }
    }
    database::private_file(&folder.join(database::FILE))?;
    let log = ["", "-wal", "-shm"].map(|end| format!("{}{end}", database::FILE));
    for name in log.iter().map(String::as_str).chain([lock::HOLDER, status::FILE, lock::FILE]) {
        // Whoever may read the lock could hold it, and keep an engine from starting.
        let group = group.filter(|_| name != lock::FILE);
        match entry::read(&folder.join(name)) {
            Ok(file) => set(&file, group)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a new file of the folder to those who may read its database. One that cannot be given stays for oneself alone,
/// which keeps nobody from measuring; [`share`] has told why.
pub(super) fn follow(folder: &Path, file: &fs::File) {
    let shared = fs::symlink_metadata(folder.join(database::FILE)).ok().filter(|one| one.mode() & FILE != 0);
    if let Some(database) = shared
        && let Err(error) = set(file, Some(database.gid()))
    {
        tracing::debug!(%error, "a new file cannot be given to the data folder's group");
    }
}

fn set(file: &fs::File, group: Option<u32>) -> io::Result<()> {
    let found = file.metadata()?;
    if let Some(group) = group.filter(|group| *group != found.gid()) {
        // Never readable by a group that was not meant.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        fchown(file, None, Some(group))?;
    }
    let mode = if group.is_some() { 0o600 | FILE } else { 0o600 };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    /// A group that this user is in, besides the one that files get anyway; root is in every one.
    fn group() -> u32 {
        let own = rustix::process::getegid().as_raw();
        let others = rustix::process::getgroups().unwrap();
        let other = others.iter().map(|group| group.as_raw()).find(|group| *group != own);
        let root = rustix::process::geteuid().is_root().then_some(54_321);
        other.or(root).unwrap_or(own)
    }

    #[test]
    fn with_a_group_its_members_may_read_and_without_one_nobody() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("data");
        super::super::folder::prepare(&folder, None).unwrap();
        let files =
            ["warroom.db", "warroom.db-wal", "engine.json", "status.json"].map(|name| folder.join(name));
        for file in &files[1..] {
            fs::write(file, "").unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        share(&folder, None).unwrap();
        assert_eq!(mode(&folder), 0o700);
        for file in &files {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
        let group = group();
        share(&folder, Some(group)).unwrap();
        assert_eq!((mode(&folder) & 0o777, fs::metadata(&folder).unwrap().gid()), (0o750, group));
        for file in &files {
            assert_eq!((mode(file), fs::metadata(file).unwrap().gid()), (0o640, group), "{}", file.display());
        }
        let status = folder.join("new");
        follow(&folder, &fs::File::create(&status).unwrap());
        assert_eq!((mode(&status), fs::metadata(&status).unwrap().gid()), (0o640, group));
        share(&folder, None).unwrap();
        assert_eq!(mode(&files[0]), 0o600);
    }

    /// In a folder that a group may write, a member could name a file of the engine's user, a key for one.
    #[test]
    fn a_link_in_a_files_place_opens_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("data");
        super::super::folder::prepare(&folder, None).unwrap();
        let key = base.path().join("key");
        fs::write(&key, "secret").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&key, folder.join("status.json")).unwrap();
        share(&folder, Some(group())).unwrap_err();
        fs::remove_file(folder.join("status.json")).unwrap();
        fs::hard_link(&key, folder.join("status.json")).unwrap();
        share(&folder, Some(group())).unwrap_err();
        assert_eq!(mode(&key), 0o600);
    }
}
