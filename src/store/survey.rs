//! How the data folder is: whose, on what, how much is free, how fast it takes a record.
//!
//! Invariant: nothing of an engine's is touched; what is written is a file of its own that is gone afterwards.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    filesystem,
    folder::{self, FolderError},
};
use crate::domain::Moment;

/// As much as a commit of a recovery writes.
const PAGE: [u8; 4096] = [0; 4096];
/// How often it is written.
const WRITES: u32 = 5;

/// What was found of a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSurvey {
    /// The folder, or the nearest one above it that is there.
    pub folder: PathBuf,
    /// Whether the data folder is there.
    pub exists: bool,
    /// Bytes that this user may still write.
    pub free: u64,
    /// The name of a network's file system, on which no database can be kept.
    pub network: Option<&'static str>,
    /// The longest time that writing a page and having it on disk took.
    pub slowest: Duration,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// It may not be trusted, or cannot be looked at.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Looks at a data folder, and writes a little into it. Blocks on the disk. One that is not there yet is looked at where
/// it would be made. `moment` tells the monotonic time.
/// `group` is the number of the group that may write in it too.
pub fn survey(
    path: &Path,
    group: Option<u32>,
    moment: impl Fn() -> Moment,
) -> Result<FolderSurvey, SurveyError> {
    let exists = folder::inspect(path, group)?;
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path).to_path_buf();
    let failed = |source: io::Error| SurveyError::Write { path: folder.clone(), source };
    let space = rustix::fs::statvfs(&folder).map_err(|error| failed(error.into()))?;
    let mut slowest = Duration::ZERO;
    // A name of its own each time; it goes when the file is closed.
    let mut file: File = tempfile::tempfile_in(&folder).map_err(failed)?;
    for _ in 0..WRITES {
        let begun = moment();
        file.write_all(&PAGE).and_then(|()| file.sync_data()).map_err(failed)?;
        slowest = slowest.max(moment().since(begun));
    }
    Ok(FolderSurvey {
        network: filesystem::network(&folder),
        free: space.f_bavail.saturating_mul(space.f_frsize),
        folder,
        exists,
        slowest,
    })
}
