//! How the files of the data folder are opened and made.
//!
//! Invariant: no link is followed and no pipe waited for, so that whoever else may write in the folder, its group for one,
//! has the engine open, change or make nothing outside of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

/// Opens what lies there as the options say; one that is made is for oneself alone.
///
/// Fails where it is a link (by `open(2)` with `ELOOP`) or no file.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(foreign(path)) }
}

/// Opens it to be read. Fails too where the file has another name besides, and so may be anybody's.
pub(super) fn read(path: &Path) -> io::Result<File> {
    let file = open(path, OpenOptions::new().read(true))?;
    if file.metadata()?.nlink() == 1 { Ok(file) } else { Err(foreign(path)) }
}

fn foreign(path: &Path) -> io::Error {
    let words = format!("{} is no file of its own; look who put it there, and remove it", path.display());
    io::Error::new(ErrorKind::InvalidData, words)
}

/// Makes a new file for oneself alone, to be read and written; what lies in its place was left behind, and is removed.
pub(super) fn make(path: &Path) -> io::Result<File> {
    remove(path)?;
    open(path, OpenOptions::new().read(true).write(true).create_new(true))
}

/// Removes it, if there is one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
