//! The one thread that writes: takes batches, commits them, tells whom it may concern, retries while it cannot.

use std::{collections::HashMap, io::ErrorKind, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Settings, StoreError, StoreHealth,
    database::{Database, Durability, Findings},
    health,
    queue::{Batch, Kept, Key, Queue},
    rollup::Rollup,
    status::{self, StatusFile},
    tables,
};

/// How long results gather before they are written together; a recovery waits for nothing.
const GATHER: Duration = Duration::from_secs(1);
/// How long to wait before the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// How long pruning rests once nothing was left to prune.
const PRUNING_REST: TimeDelta = TimeDelta::seconds(60);

/// A clock that moves so far from one batch to the next has been set, or the machine has slept.
const LEAP: TimeDelta = TimeDelta::days(1);
/// How long a clock must then go on steadily before what it calls old is removed.
const PROOF: TimeDelta = TimeDelta::days(1);

/// Told of every change of health, on the writer's thread (the first time on the opener's).
pub type HealthListener = Box<dyn Fn(StoreHealth) + Send>;

pub(super) struct Writer {
    folder: PathBuf,
    settings: Settings,
    queue: Arc<Queue>,
    tell: HealthListener,
    database: Option<Database>,
    health: StoreHealth,
    /// What the health returns to: a damaged database stays news until the next start.
    baseline: StoreHealth,
    series: HashMap<Key, i64>,
    rollup: Rollup,
    status: Option<StatusFile>,
    /// The latest wall-clock time that anything carried.
    latest: DateTime<Utc>,
    pruned: Option<DateTime<Utc>>,
    /// What the clock said at the last batch, and when it leapt last.
    clock: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    dropped: u64,
}

impl Writer {
    /// Opens the database; a disk that is full or read-only now is the store's health, not an error.
    pub(super) fn open(
        folder: PathBuf,
        settings: Settings,
        queue: Arc<Queue>,
        tell: HealthListener,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let mut writer = Self {
            folder,
            settings,
            queue,
            tell,
            database: None,
            health: StoreHealth::Ok,
            baseline: StoreHealth::Ok,
            series: HashMap::new(),
            rollup: Rollup::default(),
            status: None,
            latest: now,
            pruned: None,
            clock: None,
            dropped: 0,
        };
        let warnings = match writer.connect() {
            Ok(warnings) => {
                writer.become_health(writer.baseline.clone());
                warnings
            }
            Err(error @ (StoreError::FromTheFuture { .. } | StoreError::Migration { .. })) => {
                return Err(error);
            }
            Err(error) => {
                writer.become_health(writer.meaning(&error));
                Vec::new()
            }
        };
        Ok((writer, warnings))
    }

    /// Writes until the queue closes; returns how many recoveries could not be written.
    pub(super) fn run(mut self) -> usize {
        let mut unsaved = 0;
        while let Some(mut batch) = self.queue.take(GATHER) {
            while let Err(error) = self.write(&mut batch) {
                self.failed(&error);
                let closing = self.queue.pause(RETRY);
                batch.append(self.queue.drain());
                if closing {
                    // One last attempt with everything that is left.
                    if let Err(error) = self.write(&mut batch) {
                        self.failed(&error);
                        unsaved += batch.recoveries.len();
                    }
                    break;
                }
            }
        }
        if unsaved == 0 {
            self.rollup.close_before(i64::MAX);
            if let Err(error) = self.write(&mut Batch::default()) {
                tracing::warn!(%error, "the last minute of probe results was not rolled up");
            }
        }
        unsaved
    }

    fn connect(&mut self) -> Result<Vec<String>, StoreError> {
        let mut findings = Findings::default();
        let opened = Database::open(&self.folder, &self.settings, self.latest, &mut findings);
        self.install(opened, findings)
    }

    fn install(
        &mut self,
        opened: Result<Database, StoreError>,
        findings: Findings,
    ) -> Result<Vec<String>, StoreError> {
        // A damaged database that was moved aside is news, whatever became of the new one.
        if let Some((moved_to, carried)) = findings.moved {
            self.baseline = StoreHealth::Corrupt { moved_to, carried };
        }
        self.database = Some(opened?);
        self.series.clear();
        Ok(findings.warnings)
    }

    pub(super) fn write(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let seen = batch.latest.take();
        self.latest = self.latest.max(seen.unwrap_or(self.latest));
        if let Some((probes, rollups)) = batch.retention.take() {
            (self.settings.probes, self.settings.rollups) = (probes, rollups);
        }
        if let Some(status) = batch.status.take() {
            self.write_status(status);
        }
        if self.database.is_none() {
            for warning in self.connect()? {
                tracing::warn!("{warning}");
            }
        }
        let path = self.folder.join(super::database::FILE);
        let failed = |source| StoreError::Database { path: path.clone(), source };
        self.write_precious(batch).map_err(failed)?;
        self.write_plenty(batch).map_err(failed)?;
        if let Some(now) = seen {
            self.prune(now).map_err(failed)?;
        }
        self.dropped = if batch.dropped == 0 { 0 } else { self.dropped + batch.dropped };
        batch.dropped = 0;
        self.become_health(match self.dropped {
            0 => self.baseline.clone(),
            dropped => StoreHealth::Slow { dropped },
        });
        Ok(())
    }

    /// Recoveries and progress, in one transaction, so that a restart finds an outage either open or closed.
    fn write_precious(&mut self, batch: &mut Batch) -> rusqlite::Result<()> {
        let Some(database) = &mut self.database else { return Ok(()) };
        if batch.recoveries.is_empty() && batch.progress.is_empty() {
            return Ok(());
        }
        let weighs = |kept: &Kept| !matches!(kept, Kept::Known(progress) if !progress.open);
        let open = batch.progress.values().any(|(_, kept)| weighs(kept));
        database.make(if open || !batch.recoveries.is_empty() {
            Durability::Synced
        } else {
            Durability::Quick
        })?;
        let transaction = database.connection.transaction()?;
        for closing in &batch.recoveries {
            tables::recovery(&transaction, closing)?;
        }
        for (key, (_, kept)) in &batch.progress {
            match kept {
                Kept::Known(progress) => tables::progress(&transaction, progress)?,
                Kept::Forgotten => tables::forget(&transaction, key)?,
            }
        }
        transaction.commit()?;
        batch.progress.clear();
        for closing in batch.recoveries.drain(..) {
            (closing.done)();
        }
        Ok(())
    }

    /// Events, probe results and their minutes.
    fn write_plenty(&mut self, batch: &mut Batch) -> rusqlite::Result<()> {
        let Some(database) = &mut self.database else { return Ok(()) };
        if batch.events.is_empty()
            && batch.probes.is_empty()
            && batch.looks.is_empty()
            && self.rollup.full.is_empty()
        {
            return Ok(());
        }
        database.make(Durability::Quick)?;
        let series = &mut self.series;
        let transaction = database.connection.transaction()?;
        let mut number = |key: Key| -> rusqlite::Result<i64> {
            if let Some(number) = series.get(&key) {
                return Ok(*number);
            }
            let number = tables::series(&transaction, key.0.as_str(), key.1.as_str())?;
            series.insert(key, number);
            Ok(number)
        };
        for event in &batch.events {
            tables::event(&transaction, event)?;
        }
        for ((person, uid), at) in &batch.looks {
            tables::look(&transaction, person, *uid, *at)?;
        }
        for sample in &batch.probes {
            let number = number((sample.component_id.clone(), sample.path.clone()))?;
            tables::probe(&transaction, number, sample)?;
        }
        for (key, minute) in &self.rollup.full {
            let number = number(key.clone())?;
            tables::minute(&transaction, number, minute)?;
        }
        transaction.commit()?;
        self.rollup.full.clear();
        batch.events.clear();
        batch.looks.clear();
        for sample in batch.probes.drain(..) {
            self.rollup.add(&sample);
        }
        self.rollup.close_before(self.latest.timestamp().div_euclid(60));
        Ok(())
    }

    /// Removes a step's worth of what is too old, a step a batch until nothing is left. A clock that is wrong must not
    /// make everything old: after a leap, or while results lie ahead of it, nothing is removed.
    fn prune(&mut self, now: DateTime<Utc>) -> rusqlite::Result<()> {
        let Some(database) = &mut self.database else { return Ok(()) };
        let (last, steady) = match self.clock {
            Some(known) => known,
            // Until it has proved itself, a clock that lies behind the results of an earlier process is not believed.
            None => match tables::newest(&database.connection)? {
                Some(newest) if newest > now + LEAP => (now, Some(now)),
                _ => (now, None),
            },
        };
        let steady = if (now - last).abs() > LEAP { Some(now) } else { steady };
        self.clock = Some((now, steady));
        let proved = steady.is_none_or(|since| now - since >= PROOF);
        let resting = self.pruned.is_some_and(|last| (now - last).abs() < PRUNING_REST);
        if !proved || resting {
            return Ok(());
        }
        let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let transaction = database.connection.transaction()?;
        let removed = tables::prune(
            &transaction,
            now.timestamp_millis(),
            millis(self.settings.probes),
            millis(self.settings.rollups),
        )?;
        transaction.commit()?;
        self.pruned = (removed == 0).then_some(now);
        Ok(())
    }

    fn write_status(&mut self, new: StatusFile) {
        if self.status.as_ref().is_some_and(|old| !old.is_outdated_by(&new)) {
            return;
        }
        match status::write(&self.folder, &new) {
            Ok(()) => self.status = Some(new),
            Err(error) => {
                self.status = None;
                tracing::warn!(%error, "status.json cannot be written");
            }
        }
    }

    pub(super) fn failed(&mut self, error: &StoreError) {
        // Numbers of series that a rolled-back transaction made are not there any more.
        self.series.clear();
        if error.sqlite().is_some_and(health::is_corrupt) && self.database.take().is_some() {
            let mut findings = Findings::default();
            let opened = Database::replace(&self.folder, &self.settings, self.latest, &mut findings);
            match self.install(opened, findings) {
                Ok(_) => self.become_health(self.baseline.clone()),
                Err(error) => self.become_health(self.meaning(&error)),
            }
            return;
        }
        self.become_health(self.meaning(error));
    }

    fn meaning(&self, error: &StoreError) -> StoreHealth {
        match error {
            StoreError::File { source, .. } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreHealth::DiskFull,
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreHealth::ReadOnly,
                _ => StoreHealth::Failing(error.to_string()),
            },
            other => other.sqlite().map_or_else(
                || StoreHealth::Failing(other.to_string()),
                |e| StoreHealth::of(e, &self.folder),
            ),
        }
    }

    fn become_health(&mut self, new: StoreHealth) {
        if self.health != new {
            self.health = new.clone();
            (self.tell)(new);
        }
    }
}

#[cfg(test)]
impl Writer {
    /// Lifts the ceiling that stands for a full disk.
    pub(super) fn make_room(&mut self, pages: u32) {
        self.settings.page_limit = Some(pages);
        if let Some(database) = &self.database {
            let lifted = database.connection.pragma_update(None, "max_page_count", pages);
            assert!(lifted.is_ok());
        }
    }
}
