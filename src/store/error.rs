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
    #[error("{}: {source}{}", path.display(), advice(path, source))]
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

/// Counts what cannot be read beside what can.
#[derive(Debug, Default)]
pub struct Unreadable {
    count: usize,
    first: Option<StoreError>,
}

impl Unreadable {
    /// Lets pass what could be read.
    pub fn sift<T>(&mut self, one: Result<T, StoreError>) -> Option<T> {
        one.map_err(|error| {
            self.count += 1;
            self.first.get_or_insert(error);
        })
        .ok()
    }

    /// How many of these `what` could not be read, and the first reason; `None` when all could.
    #[must_use]
    pub fn told(&self, what: &str) -> Option<String> {
        // Damage ends the reading, a row that says nothing costs that row alone.
        let number = match self.first.as_ref()? {
            StoreError::Row { .. } => self.count.to_string(),
            _ => "some".to_owned(),
        };
        self.first.as_ref().map(|error| format!("{number} {what} cannot be read and were left out: {error}"))
    }
}

/// What to look at: whose the folder is where that is what hinders, else the folder itself.
fn advice(path: &std::path::Path, error: &io::Error) -> String {
    let whose = super::folder::whose(path, error);
    if whose.is_empty() { "; check the folder and its file system".to_owned() } else { whose }
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
