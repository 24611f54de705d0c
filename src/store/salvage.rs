//! Reads what can still be read of a damaged database, so that no acknowledged recovery is left behind with it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, ffi, params};

use super::{
    database::{Database, Durability},
    reader,
};
use crate::domain::RecoveryRecord;

/// What was found.
#[derive(Default)]
pub(super) struct Kept {
    recoveries: Vec<(i64, String)>,
    progress: Vec<(String, String, bool, i64, String)>,
}

/// Reads the damaged file from both ends up to the damage; what cannot be read is left in it.
///
/// An error is not the file's damage but the machine's trouble, a full disk for one: then nothing may be concluded from
/// what was read so far.
pub(super) fn read(path: &Path) -> rusqlite::Result<Kept> {
    let mut kept = Kept::default();
    let Some(connection) = unless_damaged(connect(path))? else { return Ok(kept) };
    for order in ["ASC", "DESC"] {
        let sql = format!("SELECT seq, record FROM recoveries ORDER BY seq {order}");
        until_damage(&connection, &sql, |row| {
            kept.recoveries.push((row.get(0)?, row.get(1)?));
            Ok(())
        })?;
    }
    kept.recoveries.sort();
    kept.recoveries.dedup();
    until_damage(&connection, "SELECT component_id, path, open, saved_at, state FROM progress", |row| {
        kept.progress.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        Ok(())
    })?;
    Ok(kept)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // The file is evidence now: closing it must not write its log into it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Otherwise SQLite refuses a truncated file as a whole; nothing is written through this connection.
        connection.pragma_update(None, "writable_schema", "ON")?;
        Ok(connection)
    };
    let connection = open()?;
    if !reader::wants_memory(&connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))) {
        return Ok(connection);
    }
    // On a full disk there is no room for the memory that the log is shared by; alone none is needed.
    drop(connection);
    let connection = open()?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(connection)
}

/// How many recoveries a whole database holds.
pub(super) fn count(path: &Path) -> rusqlite::Result<usize> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let count: i64 = connection.query_row("SELECT count(*) FROM recoveries", [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Writes what was kept into the new database.
pub(super) fn carry_over(database: &mut Database, kept: &Kept) -> rusqlite::Result<()> {
    database.make(Durability::Synced)?;
    let transaction = database.connection.transaction()?;
    for (seq, text) in &kept.recoveries {
        // Damage may leave a row that reads but says nothing; it stays in the old file.
        let Ok(record) = serde_json::from_str::<RecoveryRecord>(text) else { continue };
        transaction.execute(
            "INSERT OR IGNORE INTO recoveries (seq, id, component_id, t_restore, record) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![seq, record.id, record.component_id.as_str(), record.t_restore_epoch, text],
        )?;
    }
    for (component, path, open, at, state) in &kept.progress {
        transaction.execute(
            "INSERT OR IGNORE INTO progress (component_id, path, open, saved_at, state) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![component, path, open, at, state],
        )?;
    }
    transaction.commit()
}

/// Takes rows up to the end or the damage; a row that is damaged itself is passed over.
fn until_damage(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let Some(mut statement) = unless_damaged(connection.prepare(sql))? else { return Ok(()) };
    let Some(mut rows) = unless_damaged(statement.query([]))? else { return Ok(()) };
    while let Some(Some(row)) = unless_damaged(rows.next())? {
        unless_damaged(take(row))?;
    }
    Ok(())
}

/// `None` where the file is at fault; an error where another attempt may read more.
fn unless_damaged<T>(result: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if passes(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Whether the machine is in trouble, not the file.
fn passes(error: &rusqlite::Error) -> bool {
    let Some(failure) = error.sqlite_error() else { return false };
    match failure.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory => true,
        // A sector that cannot be read is damage; a lock or a memory that cannot be had is not.
        ErrorCode::SystemIoFailure => !matches!(
            failure.extended_code,
            ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS
        ),
        _ => false,
    }
}
