//! Reads what can still be read of a damaged database, so that no acknowledged recovery is left behind with it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, config::DbConfig, params};

use super::database::{Database, Durability};
use crate::domain::RecoveryRecord;

/// What was found.
#[derive(Default)]
pub(super) struct Kept {
    recoveries: Vec<(i64, String)>,
    progress: Vec<(String, String, bool, i64, String)>,
}

/// Reads the damaged file from both ends up to the damage; what cannot be read is left in it.
pub(super) fn read(path: &Path) -> Kept {
    let mut kept = Kept::default();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else { return kept };
    // The file is evidence now: closing it must not write its log into it.
    if connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).is_err() {
        return kept;
    }
    // Otherwise SQLite refuses a truncated file as a whole; nothing is written through this connection.
    if connection.pragma_update(None, "writable_schema", "ON").is_err() {
        return kept;
    }
    for order in ["ASC", "DESC"] {
        let sql = format!("SELECT seq, record FROM recoveries ORDER BY seq {order}");
        until_damage(&connection, &sql, |row| {
            kept.recoveries.push((row.get(0)?, row.get(1)?));
            Ok(())
        });
    }
    kept.recoveries.sort();
    kept.recoveries.dedup();
    until_damage(&connection, "SELECT component_id, path, open, saved_at, state FROM progress", |row| {
        kept.progress.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        Ok(())
    });
    kept
}

/// Writes what was kept into the new database and returns how many recoveries that were.
pub(super) fn carry_over(database: &mut Database, kept: &Kept) -> rusqlite::Result<usize> {
    database.make(Durability::Synced)?;
    let transaction = database.connection.transaction()?;
    let mut carried = 0;
    for (seq, text) in &kept.recoveries {
        // Damage may leave a row that reads but says nothing; it stays in the old file.
        let Ok(record) = serde_json::from_str::<RecoveryRecord>(text) else { continue };
        carried += transaction.execute(
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
    transaction.commit()?;
    Ok(carried)
}

fn until_damage(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) {
    let Ok(mut statement) = connection.prepare(sql) else { return };
    let Ok(mut rows) = statement.query([]) else { return };
    while let Ok(Some(row)) = rows.next() {
        if take(row).is_err() {
            return;
        }
    }
}
