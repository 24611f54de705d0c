//! The store: `SQLite` in the data folder, written by one thread of its own, so that a slow disk never delays a probe.
//!
//! Invariants: a recovery is acknowledged only after its commit is flushed to the disk, is never dropped, and waits in
//! memory in order while it cannot be written; a damaged database is moved aside and never deleted; no method of a
//! [`StoreHandle`] blocks; every queue but that of the recoveries has a ceiling. No clock is read here: times come
//! with what is handed in.

mod database;
mod entry;
mod error;
mod filesystem;
pub mod folder;
mod health;
pub mod lock;
mod queue;
mod reader;
mod rollup;
mod salvage;
pub mod share;
pub mod status;
pub mod survey;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use chrono::{DateTime, Utc};

pub use self::{
    error::{StoreError, Unreadable},
    folder::FolderError,
    health::StoreHealth,
    lock::{Holder, Lock, LockError},
    queue::{Done, Progress},
    reader::Reader,
    rollup::Minute,
    status::StatusFile,
    writer::HealthListener,
};
use self::{
    queue::{Queue, Sample},
    writer::Writer,
};
use crate::domain::{ComponentId, Event, PathName, RecoveryRecord, event::ProbeEvent};

/// How much of a bad probe's reason is kept, in characters.
const REASON: usize = 300;

/// How long results are kept; recoveries are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Raw probe results.
    pub probes: Duration,
    /// One-minute rows and events.
    pub rollups: Duration,
    /// A ceiling for the database in pages of 4 KiB; none unless told. At the ceiling the disk counts as full.
    pub page_limit: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self { probes: DAY * 7, rollups: DAY * 730, page_limit: None }
    }
}

/// The open store; closing or dropping it writes what waits.
pub struct Store {
    handle: StoreHandle,
    writer: Option<JoinHandle<usize>>,
    warnings: Vec<String>,
}

/// Recoveries that could not be written before the store had to close.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} recoveries could not be written before the end; free the disk of the data folder before the next start"
)]
pub struct Unsaved(pub usize);

impl Store {
    /// Opens the folder's database, creating it where there is none, and starts the writer.
    ///
    /// `now` names a damaged database that is moved aside. `tell` hears of every change of health, the first time
    /// inside this call if the health is not good at the start. A full or read-only disk is no error. Blocks on the
    /// disk: not for an async task.
    pub fn open(
        folder: &Path,
        settings: Settings,
        now: DateTime<Utc>,
        tell: HealthListener,
    ) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::default());
        let (writer, warnings) = Writer::open(folder.to_path_buf(), settings, Arc::clone(&queue), tell, now)?;
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .stack_size(1024 * 1024)
            .spawn(move || writer.run())
            .map_err(|source| StoreError::File { path: folder.to_path_buf(), source })?;
        Ok(Self { handle: StoreHandle { queue }, writer: Some(thread), warnings })
    }

    /// Opens the folder's database for reading only, beside an engine that writes it; a folder without a database
    /// reads as empty.
    pub fn read(folder: &Path) -> Result<Reader, StoreError> {
        Reader::open(folder)
    }

    /// Where results are handed in.
    #[must_use]
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// What a person should know of how the database was opened: notices that stand as long as the store is open.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Writes what waits, with one last attempt if the disk refuses, and closes the database. Blocks on the disk.
    pub fn close(mut self) -> Result<(), Unsaved> {
        match self.finish() {
            0 => Ok(()),
            unsaved => Err(Unsaved(unsaved)),
        }
    }

    fn finish(&mut self) -> usize {
        self.handle.queue.close();
        // A writer that panicked has told the panic hook; what it held counts as unsaved.
        self.writer.take().map_or(0, |thread| thread.join().unwrap_or(usize::MAX))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.finish() > 0 {
            tracing::error!("recoveries could not be written before the store had to close");
        }
    }
}

/// Hands results to the writer; cheap to clone, never blocks on the disk.
#[derive(Clone)]
pub struct StoreHandle {
    queue: Arc<Queue>,
}

impl StoreHandle {
    /// Hands in a closed recovery; `done` is called on the writer's thread once it is flushed to the disk.
    ///
    /// `after` is what a restart needs of that path from now on; it is written in the same transaction, so that a
    /// restart finds the outage either open or closed, never both and never neither.
    pub fn record_recovery(&self, record: Arc<RecoveryRecord>, after: Option<Progress>, done: Done) {
        self.queue.recovery(record, after, done);
    }

    /// Keeps the latest word on one path for a restart; written within a second.
    pub fn save_progress(&self, progress: Progress) {
        self.queue.progress(progress, false);
    }

    /// The same, written without waiting for more to come: for what is told to people, who rely on it from then on.
    pub fn save_progress_at_once(&self, progress: Progress) {
        self.queue.progress(progress, true);
    }

    /// Forgets one path: it is followed no longer, and a restart is to find nothing of it. Its recoveries stay.
    pub fn forget_progress(&self, component_id: ComponentId, path: PathName) {
        self.queue.forget((component_id, path));
    }

    /// How long raw probe results, and one-minute rows and events, are kept from now on.
    pub fn retain(&self, probes: Duration, rollups: Duration) {
        self.queue.retain(probes, rollups);
    }

    /// Keeps an event that a person would want to read later; probes go to [`StoreHandle::record_probe`].
    pub fn record_event(&self, event: Arc<Event>) {
        self.queue.event(event);
    }

    /// Keeps a probe result, and counts it in its minute.
    pub fn record_probe(&self, probe: &ProbeEvent) {
        self.queue.probe(Sample {
            component_id: probe.component_id.clone(),
            path: probe.path.clone(),
            at: probe.at,
            verdict: probe.verdict,
            latency_ms: probe.latency_ms,
            burst: probe.burst,
            reason: probe
                .reason
                .as_ref()
                .map(|reason| reason.chars().take(REASON).collect::<String>().into()),
        });
    }

    /// Keeps when a person, known by name and user number, last looked; of several at once the last one.
    pub fn save_look(&self, person: String, uid: u32, at: DateTime<Utc>) {
        self.queue.look((person, uid), at);
    }

    /// Renews `status.json`, at most once a second; to be called at least every ten seconds while the engine works.
    pub fn save_status(&self, status: StatusFile) {
        self.queue.status(status);
    }
}
