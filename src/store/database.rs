//! Opens the database for the writer: file modes, journal, schema; a damaged one is moved aside and never deleted.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use refinery::{Migration, Runner};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{Settings, StoreError, entry, filesystem, health, salvage, share};

/// The database's name in the data folder.
pub(super) const FILE: &str = "warroom.db";
/// How long a statement waits for another process's short lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// The migrations, oldest first; a number is never used twice.
const MIGRATIONS: [(&str, &str); 2] = [
    ("V1__ground", include_str!("migrations/V1__ground.sql")),
    ("V2__looks", include_str!("migrations/V2__looks.sql")),
];

/// How `SQLite` makes a transaction whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// A write-ahead log: readers and the writer do not hinder each other.
    WriteAhead,
    /// A rollback journal, where a write-ahead log cannot be kept.
    Rollback,
}

/// How surely a commit is on the disk itself when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It survives a power loss.
    Synced,
    /// It survives the end of the process.
    Quick,
}

/// An open database, ready to be written.
pub(super) struct Database {
    pub(super) connection: Connection,
    journal: Journal,
    durability: Option<Durability>,
}

/// What is being carried over into a new database; nothing here is whole.
const MAKING: &str = "warroom.db.making";
/// A whole new database that waits for the damaged one's place.
const NEW: &str = "warroom.db.new";

/// What a person must know of how the database was opened.
#[derive(Default)]
pub(super) struct Findings {
    /// The write-ahead log cannot be used, and why.
    pub(super) warnings: Vec<String>,
    /// The damaged database's new name, and how many recoveries were carried over.
    pub(super) moved: Option<(String, usize)>,
}

impl Database {
    /// Opens the folder's database, creating or replacing it where it must be. What was found is told also when it then
    /// cannot be opened.
    pub(super) fn open(
        folder: &Path,
        settings: &Settings,
        now: DateTime<Utc>,
        findings: &mut Findings,
    ) -> Result<Self, StoreError> {
        // An earlier replacement may have been cut short; the damaged one must not be written to once more.
        if folder.join(NEW).exists() {
            Self::swap(folder, now, findings)?;
        }
        match Self::attempt(folder, settings, findings) {
            Err(StoreError::Corrupt { .. }) => Self::replace(folder, settings, now, findings),
            other => other,
        }
    }

    /// Makes a new database with everything that can be carried over, and only when that is whole and on the disk moves
    /// the damaged one aside and puts it in its place. A full disk leaves the damaged one where it is, for the next attempt.
    pub(super) fn replace(
        folder: &Path,
        settings: &Settings,
        now: DateTime<Utc>,
        findings: &mut Findings,
    ) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let kept = salvage::read(&path).map_err(|source| StoreError::Database { path, source })?;
        let making = folder.join(MAKING);
        let made = remove(&making)
            .and_then(|()| entry::make(&making))
            .map(|making| share::follow(folder, &making))
            .map_err(|source| StoreError::File { path: making.clone(), source })
            .and_then(|()| Self::make_anew(&making, settings, &kept))
            .and_then(|()| {
                let new = folder.join(NEW);
                fs::rename(&making, &new).map_err(|source| StoreError::File { path: new, source })
            });
        if made.is_err() {
            // What is left of it would only take up room; the next attempt removes it as well.
            let _ = remove(&making);
        }
        made?;
        Self::swap(folder, now, findings)?;
        Self::attempt(folder, settings, findings)
    }

    /// Fills a new database, in one file without a log, and closes it.
    fn make_anew(path: &Path, settings: &Settings, kept: &salvage::Kept) -> Result<(), StoreError> {
        let failed = |source| StoreError::Database { path: path.to_path_buf(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        modest(&connection).map_err(failed)?;
        if let Some(pages) = settings.page_limit {
            connection.pragma_update(None, "max_page_count", pages).map_err(failed)?;
        }
        migrate(&mut connection, path)?;
        let mut database = Self { connection, journal: Journal::Rollback, durability: None };
        salvage::carry_over(&mut database, kept).map_err(failed)
    }

    /// Moves the damaged database aside and the new one into its place.
    fn swap(folder: &Path, now: DateTime<Utc>, findings: &mut Findings) -> Result<(), StoreError> {
        let path = folder.join(FILE);
        let carried = salvage::count(&folder.join(NEW))
            .map_err(|source| StoreError::Database { path: folder.join(NEW), source })?;
        let moved = set_aside(folder, now).and_then(|aside| {
            fs::rename(folder.join(NEW), &path)?;
            fs::File::open(folder)?.sync_all()?;
            Ok(aside)
        });
        let aside = moved.map_err(|source| StoreError::File { path, source })?;
        let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
        findings.moved = Some((name, carried));
        Ok(())
    }

    fn attempt(folder: &Path, settings: &Settings, findings: &mut Findings) -> Result<Self, StoreError> {
        // What lies above the file may be a link, that of systemd's DynamicUser= for one; the file itself may not.
        let home = folder
            .canonicalize()
            .map_err(|source| StoreError::File { path: folder.to_path_buf(), source })?;
        let path = home.join(FILE);
        private_file(&path).map_err(|source| StoreError::File { path: path.clone(), source })?;
        let failed = |source: rusqlite::Error| {
            if health::is_corrupt(&source) {
                StoreError::Corrupt { path: path.clone(), source }
            } else {
                StoreError::Database { path: path.clone(), source }
            }
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        modest(&connection).map_err(failed)?;
        let journal = choose_journal(&connection, folder, findings).map_err(failed)?;
        check_version(&connection, &path)?;
        check_tables(&connection).map_err(failed)?;
        migrate(&mut connection, &path)?;
        if let Some(pages) = settings.page_limit {
            connection.pragma_update(None, "max_page_count", pages).map_err(failed)?;
        }
        // The folder's own entry for the new file must survive a power loss too.
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StoreError::File { path: folder.to_path_buf(), source })?;
        Ok(Self { connection, journal, durability: None })
    }

    /// Sets how surely the next commits are on disk.
    pub(super) fn make(&mut self, durability: Durability) -> rusqlite::Result<()> {
        if self.durability == Some(durability) {
            return Ok(());
        }
        let level = match (self.journal, durability) {
            // A rollback journal's commit is the removal of a file, which only EXTRA flushes.
            (Journal::Rollback, _) => "EXTRA",
            (Journal::WriteAhead, Durability::Synced) => "FULL",
            (Journal::WriteAhead, Durability::Quick) => "NORMAL",
        };
        self.connection.pragma_update(None, "synchronous", level)?;
        self.durability = Some(durability);
        Ok(())
    }
}

/// Settings that keep a connection small; they hold for readers too.
pub(super) fn modest(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(24);
    connection.pragma_update(None, "cache_size", -256)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Refuses a schema that a newer version wrote; `None` is a database without any.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source: rusqlite::Error| {
        if health::is_corrupt(&source) {
            StoreError::Corrupt { path: path.to_path_buf(), source }
        } else {
            StoreError::Database { path: path.to_path_buf(), source }
        }
    };
    if !has_table(connection, "refinery_schema_history").map_err(failed)? {
        return Ok(());
    }
    let found = connection
        .query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get::<_, Option<i64>>(0))
        .map_err(failed)?
        .unwrap_or(0);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::FromTheFuture { path: path.to_path_buf(), found, known });
    }
    Ok(())
}

/// Whether the database has this table.
pub(super) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [name], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

/// Creates the file for oneself alone; `SQLite` gives its journal files the same mode.
pub(super) fn private_file(path: &Path) -> io::Result<()> {
    match entry::open(path, fs::OpenOptions::new().append(true).create(true)) {
        Ok(_) => Ok(()),
        // Whether it can be read and written is for SQLite to say, in its own words.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && path.exists() => Ok(()),
        Err(error) => Err(error),
    }
}

fn choose_journal(
    connection: &Connection,
    folder: &Path,
    findings: &mut Findings,
) -> rusqlite::Result<Journal> {
    let why = if let Some(name) = filesystem::network(folder) {
        format!("the data folder lies on {name}, which has no shared memory for a write-ahead log")
    } else {
        match set_journal(connection, "WAL") {
            Ok(mode) if mode == "wal" => {
                connection.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
                return Ok(Journal::WriteAhead);
            }
            Ok(mode) => format!("SQLite answers `{mode}` when asked for a write-ahead log"),
            Err(error) if health::is_corrupt(&error) => return Err(error),
            Err(error) => format!("no write-ahead log can be kept ({error})"),
        }
    };
    set_journal(connection, "DELETE")?;
    findings.warnings.push(format!(
        "{why}: the slower rollback journal is used instead; a data folder on a local disk (--data-dir) is better"
    ));
    Ok(Journal::Rollback)
}

fn set_journal(connection: &Connection, mode: &str) -> rusqlite::Result<String> {
    connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get::<_, String>(0))
}

/// Looks through the small tables that must never be wrong; the large ones tell by error codes when they are read.
fn check_tables(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["recoveries", "progress", "events"] {
        if !has_table(connection, table)? {
            continue;
        }
        let word: String =
            connection.query_row(&format!("PRAGMA quick_check({table})"), [], |row| row.get(0))?;
        if word != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(code, Some(word)));
        }
    }
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let mut attempt = || -> Result<(), refinery::Error> {
        let known = MIGRATIONS
            .iter()
            .map(|(name, sql)| Migration::unapplied(name, sql))
            .collect::<Result<Vec<_>, _>>()?;
        Runner::new(&known).run(connection).map(|_| ())
    };
    attempt().map_err(|error| match behind(&error) {
        // A full or read-only disk is the store's health; only a schema that does not fit is a failed migration.
        Some(source) if health::is_corrupt(&source) => {
            StoreError::Corrupt { path: path.to_path_buf(), source }
        }
        Some(source) if source.sqlite_error_code() != Some(rusqlite::ErrorCode::Unknown) => {
            StoreError::Database { path: path.to_path_buf(), source }
        }
        _ => StoreError::Migration { path: path.to_path_buf(), reason: error.to_string() },
    })
}

/// The `SQLite` error that made a migration fail, in the form that the rest of the room knows.
fn behind(error: &refinery::Error) -> Option<rusqlite::Error> {
    let refinery::error::Kind::Connection(_, source) = error.kind() else { return None };
    match source.downcast_ref::<rusqlite::Error>()? {
        rusqlite::Error::SqliteFailure(code, text) => {
            Some(rusqlite::Error::SqliteFailure(*code, text.clone()))
        }
        _ => None,
    }
}

/// Removes a database that is not whole, with its journal, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    for end in ["-journal", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Renames a damaged database with its journals and returns its new path.
///
/// The log goes first: one that stayed behind would be replayed into the new database.
fn set_aside(folder: &Path, now: DateTime<Utc>) -> io::Result<PathBuf> {
    let base = format!("{FILE}.corrupt-{}", now.format("%Y%m%dT%H%M%SZ"));
    let free = |name: &String| !folder.join(name).exists();
    let name = std::iter::once(base.clone())
        .chain((2..1_000).map(|number| format!("{base}.{number}")))
        .find(free)
        .ok_or_else(|| io::Error::other("too many damaged databases of the same second"))?;
    for end in ["-wal", "-shm", "-journal", ""] {
        match fs::rename(folder.join(format!("{FILE}{end}")), folder.join(format!("{name}{end}"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn where_no_write_ahead_log_can_be_kept_the_slower_journal_is_used_and_said() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut findings = Findings::default();
        // A database in memory refuses the log as a file system without shared memory does.
        let connection = Connection::open_in_memory().unwrap();
        let journal = choose_journal(&connection, folder.path(), &mut findings).unwrap();
        assert_eq!(journal, Journal::Rollback);
        assert!(findings.warnings[0].contains("--data-dir"), "{:?}", findings.warnings);
        let mut database = Database { connection, journal, durability: None };
        database.make(Durability::Quick).unwrap();
        let level: i64 = database.connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        assert_eq!(level, 3, "EXTRA: the removal of the journal is the commit");
    }
}
