//! The socket in the data folder: where it is, how it is made so that nobody else ever reaches it, and how it is found.
//!
//! A socket's address ends at 107 bytes (unix(7)), a folder's path does not: a longer one is reached through an open
//! directory, `/proc/self/fd/N/engine.sock`.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use super::wire::SOCKET;

/// The longest address that a socket can have, in bytes, by unix(7): 108 with the zero at its end.
const LONGEST_ADDRESS: usize = 107;
/// How many consoles may knock at the same moment.
const BACKLOG: i32 = 64;

/// How something in the data folder is named to the kernel; valid as long as this lives.
#[derive(Debug)]
pub struct Address {
    path: PathBuf,
    /// The folder, where its own path is too long.
    _folder: Option<OwnedFd>,
}

impl Address {
    /// The path, short enough for a socket's address.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The address of the engine's socket in a data folder, whether there is one or not.
pub fn address(folder: &Path) -> io::Result<Address> {
    address_of(folder, SOCKET)
}

/// Connects to the engine of a data folder. `NotFound`: no engine has made a socket there. `ConnectionRefused`: one did,
/// and is gone. `PermissionDenied`: this user may not attach.
pub fn connect(folder: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(address(folder)?.path())
}

fn address_of(folder: &Path, name: &str) -> io::Result<Address> {
    let path = folder.join(name);
    if path.as_os_str().as_bytes().len() <= LONGEST_ADDRESS {
        return Ok(Address { path, _folder: None });
    }
    let held = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd())).join(name);
    Ok(Address { path, _folder: Some(held) })
}

/// The engine's end of the socket; removed from the folder when it is dropped.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    /// Device and number of the file: another process's socket under the same name is not ours to remove.
    identity: (u64, u64),
}

impl Bound {
    /// Makes the socket for oneself and the members of a group, or for oneself alone. Only whoever holds the folder's lock may
    /// call it: what lies in its place was left behind.
    ///
    /// It is bound under another name, and takes its own only with its final mode: whoever finds it may connect or may not.
    pub(super) fn make(folder: &Path, group: Option<u32>) -> io::Result<(Self, UnixListener)> {
        let making = format!("{SOCKET}.making");
        remove(&folder.join(&making))?;
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        let made = Self::settle(folder, &making, &socket, group);
        if made.is_err() {
            // What is left of it would only lie about; the next attempt removes it as well.
            let _ = remove(&folder.join(&making));
        }
        Ok((made?, UnixListener::from(socket)))
    }

    fn settle(folder: &Path, making: &str, socket: &OwnedFd, group: Option<u32>) -> io::Result<Self> {
        let address = address_of(folder, making)?;
        rustix::net::bind(socket, &SocketAddrUnix::new(address.path())?)?;
        let (new, path) = (folder.join(making), folder.join(SOCKET));
        let held = Held::take(&new)?;
        let found = &held.found;
        // Whoever may write in the folder could have put something else in its place meanwhile.
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        if !(found.file_type().is_socket() && is_own && found.nlink() == 1) {
            return Err(replaced(&new));
        }
        held.open_to(group)?;
        rustix::net::listen(socket, BACKLOG)?;
        fs::rename(&new, &path)?;
        Ok(Self { path, identity: held.identity() })
    }

    /// Whether it still lies where consoles look for it.
    pub(super) fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    /// Opens it to the members of a group, or to oneself alone. On an error it is open to oneself alone.
    pub(super) fn open_to(&self, group: Option<u32>) -> io::Result<()> {
        let held = Held::take(&self.path)?;
        if held.identity() != self.identity {
            return Err(replaced(&self.path));
        }
        held.open_to(group)
    }
}

/// A file that is held, so that what is done to it is done to no other one: no link is followed, and a name that is given to
/// something else meanwhile changes nothing.
struct Held {
    file: fs::File,
    found: fs::Metadata,
}

impl Held {
    fn take(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let found = file.metadata()?;
        Ok(Self { file, found })
    }

    fn identity(&self) -> (u64, u64) {
        (self.found.dev(), self.found.ino())
    }

    /// Gives it to a group, or to oneself alone; on an error it is open to oneself alone.
    fn open_to(&self, group: Option<u32>) -> io::Result<()> {
        // By open(2) a file that is held by its path alone takes no fchmod, but this name leads to it and to no other.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let own = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
        own(0o600)?;
        let Some(group) = group else { return Ok(()) };
        // The sandbox of a service forbids the call, also where it would change nothing.
        if self.file.metadata()?.gid() != group {
            std::os::unix::fs::chown(&path, None, Some(group))?;
        }
        own(0o660)
    }
}

fn replaced(path: &Path) -> io::Error {
    let words =
        format!("{} is not the socket that the engine made: look who may write there", path.display());
    io::Error::new(io::ErrorKind::InvalidData, words)
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.is_in_place()
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, "the socket cannot be removed; the next engine does");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::io::{Read as _, Write as _};

    use super::*;

    fn talks(folder: &Path) {
        let (bound, listener) = Bound::make(folder, None).unwrap();
        listener.set_nonblocking(false).unwrap();
        let mode = fs::symlink_metadata(folder.join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = connect(folder).unwrap();
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut heard = String::new();
        listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
        drop(bound);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left in the folder");
    }

    #[test]
    fn a_socket_is_for_oneself_alone_and_gone_at_the_end() {
        talks(tempfile::tempdir().unwrap().path());
    }

    /// Deep home folders and container volumes have such paths.
    #[test]
    fn a_folder_whose_path_is_longer_than_any_address_has_one_too() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a".repeat(120)).join("b".repeat(120));
        fs::create_dir_all(&folder).unwrap();
        talks(&folder);
    }

    #[test]
    fn what_a_killed_engine_left_is_replaced_and_what_another_made_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (stale, listener) = Bound::make(folder.path(), None).unwrap();
        drop(listener);
        assert_eq!(connect(folder.path()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let (bound, _listener) = Bound::make(folder.path(), None).unwrap();
        assert!(bound.is_in_place() && !stale.is_in_place());
        drop(stale);
        assert!(connect(folder.path()).is_ok(), "the new one stays");
    }

    #[test]
    fn a_socket_is_opened_to_a_group_and_closed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (bound, _listener) = Bound::make(folder.path(), None).unwrap();
        let mode = || fs::symlink_metadata(folder.path().join(SOCKET)).unwrap().permissions().mode() & 0o777;
        bound.open_to(Some(rustix::process::getegid().as_raw())).unwrap();
        assert_eq!(mode(), 0o660);
        bound.open_to(None).unwrap();
        assert_eq!(mode(), 0o600);
    }

    /// Nobody of the group must ever find a socket that is closed to them.
    #[test]
    fn a_socket_takes_its_name_with_its_final_mode() {
        let folder = tempfile::tempdir().unwrap();
        let group = rustix::process::getegid().as_raw();
        let (_bound, _listener) = Bound::make(folder.path(), Some(group)).unwrap();
        let found = fs::symlink_metadata(folder.path().join(SOCKET)).unwrap();
        assert_eq!((found.mode() & 0o777, found.gid()), (0o660, group));
    }

    /// In a folder that a group may write, a member could name a file of the engine's user there, /etc/shadow for root.
    #[test]
    fn a_link_in_the_sockets_place_opens_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (bound, _listener) = Bound::make(folder.path(), None).unwrap();
        let (key, place) = (folder.path().join("key"), folder.path().join(SOCKET));
        fs::write(&key, "secret").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mode = || fs::metadata(&key).unwrap().mode() & 0o777;
        let group = Some(rustix::process::getegid().as_raw());
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(&key, &place).unwrap();
        assert!(!bound.is_in_place());
        bound.open_to(group).unwrap_err();
        assert_eq!(mode(), 0o600);
        fs::remove_file(&place).unwrap();
        fs::hard_link(&key, &place).unwrap();
        bound.open_to(group).unwrap_err();
        assert_eq!(mode(), 0o600);
    }
}
