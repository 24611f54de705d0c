//! What can go wrong with the store, said so that a person knows what to do.

use std::{io, path::PathBuf};

/// Why the store could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a newer version.
    #[error(
        "{} has schema version {found}, this warroom knows {known}: run the newer warroom that wrote it, \
         or use another folder with --data-dir", path.display()
    )]
    FromTheFuture {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The database cannot be read.
    #[error("{} is damaged ({source}); the next engine moves it aside and keeps what can be read", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// A file operation failed.
    #[error("{}: {source}; check the folder and its file system", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `SQLite` refused.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// A migration failed.
    #[error("{}: cannot bring the schema up to date: {reason}", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A row is not what its schema promises.
    #[error("{}: row {row} of `{table}` cannot be read: {source}", path.display())]
    Row {
        /// The database.
        path: PathBuf,
        /// In which table.
        table: &'static str,
        /// Its sequence number.
        row: i64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl StoreError {
    /// The `SQLite` error behind it, if there is one.
    pub(super) const fn sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::Corrupt { source, .. } | Self::Database { source, .. } => Some(source),
            _ => None,
        }
    }
}
