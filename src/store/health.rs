//! The health of the store: data that the engine tells people, never a reason to stop measuring.

use std::{fmt, path::Path};

use rusqlite::ErrorCode;

/// How well results are being kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreHealth {
    /// Everything is written.
    #[default]
    Ok,
    /// No space is left; recoveries wait in memory, in order.
    DiskFull,
    /// The file system or the file may not be written; recoveries wait in memory, in order.
    ReadOnly,
    /// The database was damaged and has been moved aside; a new one is in use.
    Corrupt {
        /// The damaged file's new name.
        moved_to: String,
        /// How many recoveries could be carried over.
        carried: usize,
    },
    /// The disk is slower than the results come; some probe results or events were not kept.
    Slow {
        /// How many were not kept since the store was last well.
        dropped: u64,
    },
    /// Writing fails for another reason; recoveries wait in memory, in order.
    Failing(String),
}

impl StoreHealth {
    /// Whether a person must know.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Ok)
    }

    /// What an error of `SQLite` means for the store in this folder.
    pub(super) fn of(error: &rusqlite::Error, folder: &Path) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            // A full disk also shows as a failed extension of a file, in words that name no space.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full(folder) => Self::DiskFull,
            Some(ErrorCode::CannotOpen) if is_read_only(folder) => Self::ReadOnly,
            _ => Self::Failing(error.to_string()),
        }
    }
}

/// Whether the error says that the database itself is damaged.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < 256 * 1024)
}

fn is_read_only(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err()
}

impl fmt::Display for StoreHealth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => formatter.write_str("results are being kept"),
            Self::DiskFull => formatter.write_str(
                "the disk of the data folder is full: measuring goes on, recoveries wait in memory; free some space",
            ),
            Self::ReadOnly => formatter.write_str(
                "the data folder cannot be written: measuring goes on, recoveries wait in memory; make it writable",
            ),
            Self::Corrupt { moved_to, carried } => write!(
                formatter,
                "the database was damaged and is kept as {moved_to}; a new one is in use, with {carried} recoveries \
                 carried over; restore a backup if some are missing"
            ),
            Self::Slow { dropped } => write!(
                formatter,
                "the disk is too slow: {dropped} probe results or events were not kept; recoveries are all kept"
            ),
            Self::Failing(reason) => write!(
                formatter,
                "the database cannot be written ({reason}): measuring goes on, recoveries wait in memory"
            ),
        }
    }
}
