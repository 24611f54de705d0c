//! Why a console cannot attach, and what to do about it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{attach::peer, attach::wire::PROTOCOL, expression::clean};

/// The longest foreign word that is told, in characters.
const LONGEST: usize = 300;

/// Why a console cannot attach.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody listens.
    #[error("no engine listens in {}", .0.display())]
    Absent(PathBuf),
    /// The system keeps us out.
    #[error("{}: you may not attach to an engine there: {cure}", folder.display())]
    Forbidden {
        /// Which data folder.
        folder: PathBuf,
        /// What to do.
        cure: String,
    },
    /// It is not the engine of this folder's owner.
    #[error(
        "{}: process {pid} of user {uid} listens there, who is neither root, nor you, nor the folder's owner; \
         it was told nothing. Find out what it is (`ps -fp {pid}`)", folder.display()
    )]
    Stranger {
        /// Which data folder.
        folder: PathBuf,
        /// The listening user's number.
        uid: u32,
        /// The listening process; 0 where the system does not tell.
        pid: i32,
    },
    /// No welcome in time.
    #[error("{}: an engine listens there and does not answer: it hangs, or is overloaded", .0.display())]
    Silent(PathBuf),
    /// It speaks another version.
    #[error("{}", mismatch(*protocol, version, *pid))]
    Version {
        /// The engine's protocol.
        protocol: u32,
        /// The engine's version.
        version: String,
        /// The engine's process.
        pid: u32,
    },
    /// It does not want us.
    #[error("the engine (process {pid}) refuses this console: {reason}")]
    Refused {
        /// The engine's process.
        pid: u32,
        /// Why.
        reason: String,
    },
    /// It does not speak as an engine does.
    #[error("{}: what listens there does not speak as a warroom engine does: {detail}", folder.display())]
    Garbled {
        /// Which data folder.
        folder: PathBuf,
        /// What was wrong.
        detail: String,
    },
    /// The connection broke off before the welcome.
    #[error("{}: the engine ended while this console was attaching", .0.display())]
    Ended(PathBuf),
    /// The connection cannot be made.
    #[error("{}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This machine has no thread or timer left.
    #[error("attaching needs a thread of its own, and this machine gives none: {0}")]
    Machine(io::Error),
}

impl AttachError {
    /// Whether waiting alone may mend it, as for an engine that is being restarted.
    pub(super) const fn passes(&self) -> bool {
        matches!(self, Self::Absent(_) | Self::Ended(_))
    }

    /// What a failed connection means.
    pub(super) fn of_connecting(folder: &Path, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::Absent(folder.to_path_buf()),
            io::ErrorKind::PermissionDenied => {
                Self::Forbidden { folder: folder.to_path_buf(), cure: cure(folder, &path) }
            }
            // The queue of those who want to attach is full: nobody takes them in.
            io::ErrorKind::WouldBlock => Self::Silent(folder.to_path_buf()),
            _ => Self::Socket { path, source },
        }
    }

    pub(super) fn version(protocol: u32, version: &str, pid: u32) -> Self {
        Self::Version { protocol, version: clean(version, 40), pid }
    }

    pub(super) fn refused(pid: u32, reason: &str) -> Self {
        Self::Refused { pid, reason: clean(reason, LONGEST) }
    }

    pub(super) fn garbled(folder: &Path, detail: &str) -> Self {
        Self::Garbled { folder: folder.to_path_buf(), detail: clean(detail, LONGEST) }
    }
}

/// Which side to update.
fn mismatch(protocol: u32, version: &str, pid: u32) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let (age, cure) = if protocol > PROTOCOL {
        ("newer", "update the warroom that you started here".to_owned())
    } else {
        ("older", "update the engine's side and restart it".to_owned())
    };
    format!(
        "the engine (process {pid}, warroom {version}, protocol {protocol}) is {age} than this console (warroom \
         {own}, protocol {PROTOCOL}): {cure}"
    )
}

/// What lets somebody in whom the system keeps out: the socket's group, or its owner alone.
fn cure(folder: &Path, socket: &Path) -> String {
    // Without search permission on the folder nothing can be known of the socket.
    let (found, bits, what) = match fs::symlink_metadata(socket) {
        Ok(found) => (Ok(found), 0o020, "socket"),
        Err(_) => (fs::metadata(folder), 0o010, "folder"),
    };
    let Ok(found) = found else {
        return format!("{} cannot be reached; ask its owner", folder.display());
    };
    let owner = peer::login(found.uid());
    let group = uzers::get_group_by_gid(found.gid());
    let group = group.map_or_else(
        || format!("number {}", found.gid()),
        |group| clean(&group.name().to_string_lossy(), LONGEST),
    );
    // A group that is somebody's own, root's before all, is never the one to join: its members may do far more than look.
    let is_private = found.gid() == 0 || group == owner;
    if is_private || found.mode() & bits == 0 {
        let mode = found.mode() & 0o777;
        return format!(
            "the {what} belongs to {owner} and the group {group}, with mode {mode:03o}, which lets only {owner} in. With \
             `[agent] group` in the engine's config, and the engine restarted, it belongs to that group and lets its \
             members in"
        );
    }
    let me = peer::login(rustix::process::geteuid().as_raw());
    if is_member(&me, found.gid()) {
        return format!("you are in the group {group} only since you logged in: log in again");
    }
    format!("you are not in the group {group}: run `sudo usermod -aG {group} {me}` and log in again")
}

/// Whether the machine knows a user as a member of a group, whatever this process was started with.
fn is_member(login: &str, group: u32) -> bool {
    uzers::get_user_by_name(login)
        .and_then(|user| user.groups())
        .is_some_and(|groups| groups.iter().any(|one| one.gid() == group))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever follows the advice must not come to be as good as root, or as the owner of the records.
    #[test]
    fn nobody_is_told_to_join_the_group_of_root() -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt as _, chown};

        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o710))?;
        let words = cure(folder.path(), &folder.path().join("none"));
        assert!(!words.contains("usermod"), "{words}");
        for part in ["root and the group root", "mode 710", "`[agent] group`", "restarted"] {
            assert!(words.contains(part), "no {part}: {words}");
        }
        chown(folder.path(), None, Some(1))?;
        let words = cure(folder.path(), &folder.path().join("none"));
        assert!(words.contains("usermod -aG"), "{words}");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
        let words = cure(folder.path(), &folder.path().join("none"));
        assert!(words.contains("mode 700") && !words.contains("usermod"), "{words}");
        Ok(())
    }

    #[test]
    fn a_mismatch_says_which_side_to_update() {
        let newer = AttachError::version(PROTOCOL + 1, "9.0.0", 7).to_string();
        assert!(
            newer.contains("is newer than this console") && newer.contains("update the warroom that you")
        );
        let older = AttachError::version(0, "0.0.1\x1b[2J", 7).to_string();
        assert!(older.contains("is older than this console") && older.contains("engine's side"), "{older}");
        assert!(!older.contains('\x1b'), "foreign text moves the cursor");
    }
}
