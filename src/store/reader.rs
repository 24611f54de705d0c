//! Reads the database beside a running engine.
//!
//! Invariant: no query holds a transaction while the caller thinks, so that a slow pipe keeps neither the writer from
//! committing nor the log from shrinking; long answers come in pages.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, params};

use super::{
    Minute, Progress, StoreError,
    database::{self, FILE},
    health,
};
use crate::domain::{ComponentId, Event, PathName, RecoveryRecord, event::AlertEvent, time::epoch_seconds};

/// How the event of somebody who comes or goes begins.
const PRESENCE: &str = "{\"event\":\"presence\"";
/// How many recoveries are read at once.
const PAGE: u16 = 256;

/// An open database that is only read.
pub struct Reader {
    connection: Option<Connection>,
    path: PathBuf,
}

impl Reader {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        match std::fs::metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { connection: None, path });
            }
            Err(source) => return Err(StoreError::File { path, source }),
        }
        let mut reader = Self { connection: None, path };
        let connection = reader.connect().map_err(|source| reader.failed(source))?;
        database::check_version(&connection, &reader.path)?;
        // A first engine may just be making the tables.
        if database::has_table(&connection, "minutes").map_err(|source| reader.failed(source))? {
            reader.connection = Some(connection);
        }
        Ok(reader)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let first = usable(Connection::open_with_flags(&self.path, flags));
        if !wants_memory(&first) {
            return first;
        }
        // In a folder that may not be written, or on a full disk, no shared memory can be made. Who reads alone needs
        // none, and without a log nobody does.
        let log = self.path.with_extension("db-wal");
        if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            return self.alone().or(first);
        }
        let Ok(mut address) = url::Url::from_file_path(std::path::absolute(&self.path).unwrap_or_default())
        else {
            return first;
        };
        address.set_query(Some("immutable=1"));
        Connection::open_with_flags(address.as_str(), flags | OpenFlags::SQLITE_OPEN_URI)
    }

    /// Opens it for this process alone; an engine that wants it meanwhile tries again. Nothing is written.
    fn alone(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        usable(Ok(connection))
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        let path = self.path.clone();
        if health::is_corrupt(&source) {
            StoreError::Corrupt { path, source }
        } else {
            StoreError::Database { path, source }
        }
    }

    /// The recoveries that were restored at `since` or later, oldest first, of one component or of all.
    pub fn recoveries<'a>(
        &'a self,
        since: Option<DateTime<Utc>>,
        component: Option<&'a ComponentId>,
    ) -> impl Iterator<Item = Result<RecoveryRecord, StoreError>> + 'a {
        Recoveries {
            reader: self,
            component,
            after: (since.map_or(f64::MIN, epoch_seconds), -1),
            page: VecDeque::new(),
            ended: false,
        }
    }

    /// What a restart needs, one for each path that was ever saved.
    pub fn open_progress(&self) -> Result<Vec<Progress>, StoreError> {
        self.rows("SELECT component_id, path, open, saved_at, state FROM progress", params![], |row| {
            Ok(Progress {
                component_id: ComponentId::new(row.get::<_, String>(0)?),
                path: PathName::new(row.get::<_, String>(1)?),
                open: row.get(2)?,
                at: DateTime::from_timestamp_millis(row.get(3)?).unwrap_or_default(),
                state: String::from_utf8_lossy(&bytes(row, 4)).into_owned(),
            })
        })
    }

    /// The last `count` events, oldest first; one that cannot be read is an error in its place.
    pub fn last_events(
        &self,
        count: usize,
    ) -> Result<impl Iterator<Item = Result<Arc<Event>, StoreError>> + '_, StoreError> {
        let sql = "SELECT seq, event FROM events ORDER BY seq DESC LIMIT ?1";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows: Vec<(i64, Vec<u8>)> =
            self.rows(sql, params![count], |row| Ok((row.get(0)?, bytes(row, 1))))?;
        Ok(rows.into_iter().rev().map(|(row, text)| self.parse("events", row, &text).map(Arc::new)))
    }

    /// The last `count` events but for who came and went, oldest first; one that cannot be read is an error in its place.
    ///
    /// Where people and scripts look often, their comings and goings would be most of the last events.
    pub fn last_news(
        &self,
        count: usize,
    ) -> Result<impl Iterator<Item = Result<Arc<Event>, StoreError>> + '_, StoreError> {
        self.news(None, count)
    }

    /// The last `count` events at `since` or later but for who came and went, among the last hundred thousand, oldest first;
    /// one that cannot be read is an error in its place.
    pub fn events_since(
        &self,
        since: DateTime<Utc>,
        count: usize,
    ) -> Result<impl Iterator<Item = Result<Arc<Event>, StoreError>> + '_, StoreError> {
        self.news(Some(since), count)
    }

    fn news(
        &self,
        since: Option<DateTime<Utc>>,
        count: usize,
    ) -> Result<impl Iterator<Item = Result<Arc<Event>, StoreError>> + '_, StoreError> {
        // An event's name is the first thing that is written of it.
        let sql = "SELECT seq, event FROM events
                   WHERE seq > (SELECT max(seq) FROM events) - 100000 AND at >= ?2
                   AND substr(event, 1, length(?3)) <> ?3 ORDER BY seq DESC LIMIT ?1";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let since = since.map_or(i64::MIN, |since| since.timestamp_millis());
        let rows: Vec<(i64, Vec<u8>)> =
            self.rows(sql, params![count, since, PRESENCE], |row| Ok((row.get(0)?, bytes(row, 1))))?;
        Ok(rows.into_iter().rev().map(|(row, text)| self.parse("events", row, &text).map(Arc::new)))
    }

    /// The acknowledgements among the last hundred thousand events, oldest first; one that cannot be read is an error in its
    /// place.
    pub fn acknowledgements(
        &self,
    ) -> Result<impl Iterator<Item = Result<Arc<Event>, StoreError>> + '_, StoreError> {
        let sql = "SELECT seq, event FROM events
                   WHERE seq > (SELECT max(seq) FROM events) - 100000
                   AND instr(event, '\"acknowledge\"') > 0 AND json_valid(event)
                   AND json_extract(event, '$.act.command') = 'acknowledge' ORDER BY seq";
        let rows: Vec<(i64, Vec<u8>)> = self.rows(sql, params![], |row| Ok((row.get(0)?, bytes(row, 1))))?;
        Ok(rows.into_iter().map(|(row, text)| self.parse("events", row, &text).map(Arc::new)))
    }

    /// When a person last looked; `None` where that is not known.
    pub fn last_look(&self, person: &str, uid: u32) -> Result<Option<DateTime<Utc>>, StoreError> {
        let Some(connection) = &self.connection else { return Ok(None) };
        // Whoever reads beside an older engine finds no such table.
        if !database::has_table(connection, "looks").map_err(|source| self.failed(source))? {
            return Ok(None);
        }
        let sql = "SELECT at FROM looks WHERE person = ?1 AND uid = ?2";
        let looks = self.rows(sql, params![person, uid], |row| row.get::<_, i64>(0))?;
        Ok(looks.first().and_then(|at| DateTime::from_timestamp_millis(*at)))
    }

    /// The last alert of a scope, however many events came after it; one that cannot be read is an error.
    pub fn last_alert(&self, scope: &str) -> Result<Option<AlertEvent>, StoreError> {
        // No index: it is asked for once, at the start, and goes from the newest event to the one that is looked for.
        let sql = "SELECT seq, event FROM events WHERE json_valid(event)
                   AND json_extract(event, '$.event') = 'alert' AND json_extract(event, '$.scope') = ?1
                   ORDER BY seq DESC LIMIT 1";
        let rows: Vec<(i64, Vec<u8>)> =
            self.rows(sql, params![scope], |row| Ok((row.get(0)?, bytes(row, 1))))?;
        let Some((row, text)) = rows.first() else { return Ok(None) };
        match self.parse("events", *row, text)? {
            Event::Alert(alert) => Ok(Some(alert)),
            _ => Ok(None),
        }
    }

    /// The one-minute rows of a path from the minute of `since` on, oldest first.
    pub fn minutes(
        &self,
        component: &ComponentId,
        path: &PathName,
        since: DateTime<Utc>,
    ) -> Result<Vec<Minute>, StoreError> {
        let sql = "SELECT minute, up, down, degraded, blind, latencies, latency_sum, latency_min, latency_max
                   FROM minutes WHERE series = (SELECT id FROM series WHERE component_id = ?1 AND path = ?2)
                   AND minute >= ?3 ORDER BY minute";
        let from = since.timestamp().div_euclid(60);
        self.rows(sql, params![component.as_str(), path.as_str(), from], |row| {
            Ok(Minute {
                number: row.get(0)?,
                up: row.get(1)?,
                down: row.get(2)?,
                degraded: row.get(3)?,
                blind: row.get(4)?,
                latencies: row.get(5)?,
                latency_sum: row.get(6)?,
                latency_min: row.get(7)?,
                latency_max: row.get(8)?,
            })
        })
    }

    /// How many raw probe results are kept.
    pub fn probe_count(&self) -> Result<u64, StoreError> {
        let counts = self.rows("SELECT count(*) FROM probes", params![], |row| row.get::<_, i64>(0))?;
        Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: &[&dyn rusqlite::ToSql],
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        let all = || connection.prepare_cached(sql)?.query_map(parameters, read)?.collect();
        let rows: rusqlite::Result<Vec<T>> = all();
        rows.map_err(|source| self.failed(source))
    }

    fn parse<T: serde::de::DeserializeOwned>(
        &self,
        table: &'static str,
        row: i64,
        text: &[u8],
    ) -> Result<T, StoreError> {
        serde_json::from_slice(text).map_err(|source| StoreError::Row {
            path: self.path.clone(),
            table,
            row,
            source,
        })
    }
}

/// Settles a new connection, and sees whether it can read at all.
fn usable(opened: rusqlite::Result<Connection>) -> rusqlite::Result<Connection> {
    let connection = opened?;
    database::modest(&connection)?;
    database::has_table(&connection, "minutes")?;
    Ok(connection)
}

/// Whether a database could not be opened for want of the memory by which its log is shared.
pub(super) fn wants_memory<T>(opened: &rusqlite::Result<T>) -> bool {
    let code = opened.as_ref().err().and_then(rusqlite::Error::sqlite_error_code);
    matches!(
        code,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::DiskFull)
    )
}

/// A text as it lies in the file; what is wrong with it shows when it is parsed, for this row alone.
fn bytes(row: &rusqlite::Row<'_>, column: usize) -> Vec<u8> {
    row.get_ref(column).ok().and_then(|value| value.as_bytes().ok()).map(<[u8]>::to_vec).unwrap_or_default()
}

struct Recoveries<'a> {
    reader: &'a Reader,
    component: Option<&'a ComponentId>,
    after: (f64, i64),
    page: VecDeque<(f64, i64, Vec<u8>)>,
    ended: bool,
}

impl Recoveries<'_> {
    fn fetch(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT t_restore, seq, record FROM recoveries
                   WHERE (t_restore, seq) > (?1, ?2) AND (?3 IS NULL OR component_id = ?3)
                   ORDER BY t_restore, seq LIMIT ?4";
        let component = self.component.map(ComponentId::as_str);
        self.page = self
            .reader
            .rows(sql, params![self.after.0, self.after.1, component, PAGE], |row| {
                Ok((row.get(0)?, row.get(1)?, bytes(row, 2)))
            })?
            .into();
        self.ended = self.page.len() < usize::from(PAGE);
        Ok(())
    }
}

impl Iterator for Recoveries<'_> {
    type Item = Result<RecoveryRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty()
            && !self.ended
            && let Err(error) = self.fetch()
        {
            self.ended = true;
            return Some(Err(error));
        }
        let (restored, seq, text) = self.page.pop_front()?;
        self.after = (restored, seq);
        Some(self.reader.parse("recoveries", seq, &text))
    }
}
