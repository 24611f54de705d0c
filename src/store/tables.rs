//! The statements that write rows, each inside a transaction of the writer.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, params};

use super::{
    queue::{Closing, Key, Progress, Sample},
    rollup::Minute,
};
use crate::domain::{Event, Verdict};

/// How many rows one pruning step may remove of each table: more than arrive in a second, few enough to be quick.
const STEP: i64 = 4_000;

pub(super) fn recovery(transaction: &Transaction<'_>, closing: &Closing) -> rusqlite::Result<()> {
    let record = &closing.record;
    // The first word on an outage stays: a restart may close the same one again.
    transaction
        .prepare_cached(
            "INSERT INTO recoveries (id, component_id, t_restore, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            record.id,
            record.component_id.as_str(),
            record.t_restore_epoch,
            json(record.as_ref())?
        ])?;
    closing.after.as_ref().map_or(Ok(()), |after| progress(transaction, after))
}

pub(super) fn forget(transaction: &Transaction<'_>, (component_id, path): &Key) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM progress WHERE component_id = ?1 AND path = ?2")?
        .execute(params![component_id.as_str(), path.as_str()])?;
    Ok(())
}

pub(super) fn progress(transaction: &Transaction<'_>, progress: &Progress) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO progress (component_id, path, open, saved_at, state) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            progress.component_id.as_str(),
            progress.path.as_str(),
            progress.open,
            progress.at.timestamp_millis(),
            progress.state
        ])?;
    Ok(())
}

pub(super) fn event(transaction: &Transaction<'_>, event: &Event) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO events (at, event) VALUES (?1, ?2)")?
        .execute(params![event.at().timestamp_millis(), json(event)?])?;
    Ok(())
}

/// Keeps the latest look of a person; one of a clock that was set back is the latest all the same.
pub(super) fn look(
    transaction: &Transaction<'_>,
    person: &str,
    uid: u32,
    at: DateTime<Utc>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO looks (person, uid, at) VALUES (?1, ?2, ?3)")?
        .execute(params![person, uid, at.timestamp_millis()])?;
    Ok(())
}

/// The number of a series, made on its first use.
pub(super) fn series(transaction: &Transaction<'_>, component: &str, path: &str) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO series (component_id, path) VALUES (?1, ?2)")?
        .execute([component, path])?;
    transaction
        .prepare_cached("SELECT id FROM series WHERE component_id = ?1 AND path = ?2")?
        .query_row([component, path], |row| row.get(0))
}

pub(super) fn probe(transaction: &Transaction<'_>, series: i64, sample: &Sample) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO probes (series, at, verdict, latency_ms, burst, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            series,
            sample.at.timestamp_millis(),
            code(sample.verdict),
            sample.latency_ms,
            sample.burst,
            sample.reason.as_deref()
        ])?;
    Ok(())
}

/// Adds to a minute's row: a restart inside a minute gives it a second part.
pub(super) fn minute(transaction: &Transaction<'_>, series: i64, minute: &Minute) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (series, minute) DO UPDATE SET
                 up = up + excluded.up, down = down + excluded.down,
                 degraded = degraded + excluded.degraded, blind = blind + excluded.blind,
                 latencies = latencies + excluded.latencies, latency_sum = latency_sum + excluded.latency_sum,
                 latency_min = min(ifnull(latency_min, excluded.latency_min), ifnull(excluded.latency_min, latency_min)),
                 latency_max = max(ifnull(latency_max, excluded.latency_max), ifnull(excluded.latency_max, latency_max))",
        )?
        .execute(params![
            series,
            minute.number,
            minute.up,
            minute.down,
            minute.degraded,
            minute.blind,
            minute.latencies,
            minute.latency_sum,
            minute.latency_min,
            minute.latency_max
        ])?;
    Ok(())
}

/// When the last stored probe result or event was stamped.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let sql = "SELECT max(at) FROM (SELECT at FROM (SELECT at FROM probes ORDER BY seq DESC LIMIT 1)
               UNION ALL SELECT at FROM (SELECT at FROM events ORDER BY seq DESC LIMIT 1))";
    let at: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(at.and_then(DateTime::from_timestamp_millis))
}

/// Removes one step's worth of rows that are older than their time; `now` and ages in milliseconds.
pub(super) fn prune(
    transaction: &Transaction<'_>,
    now: i64,
    probes: i64,
    rollups: i64,
) -> rusqlite::Result<usize> {
    let mut removed = 0;
    for (table, age) in [("probes", probes), ("events", rollups)] {
        // Rows lie in the order in which they came, so the oldest are the first ones; no other index is needed.
        let sql =
            format!("DELETE FROM {table} WHERE seq < (SELECT min(seq) FROM {table}) + {STEP} AND at < ?1");
        removed += transaction.prepare_cached(&sql)?.execute([now.saturating_sub(age)])?;
    }
    removed += transaction
        .prepare_cached("DELETE FROM looks WHERE at < ?1")?
        .execute([now.saturating_sub(rollups)])?;
    removed += transaction
        .prepare_cached(
            "DELETE FROM minutes WHERE (series, minute) IN
             (SELECT series, minute FROM minutes WHERE minute < ?1 ORDER BY minute LIMIT ?2)",
        )?
        .execute([now.saturating_sub(rollups).div_euclid(60_000), STEP])?;
    Ok(removed)
}

/// The number of a verdict in the database.
const fn code(verdict: Verdict) -> i64 {
    match verdict {
        Verdict::Up => 0,
        Verdict::Down => 1,
        Verdict::Degraded => 2,
        Verdict::Blind => 3,
    }
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
