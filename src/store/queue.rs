//! What waits to be written: handed in without ever blocking, taken out by the one writer.
//!
//! Invariants: recoveries are never dropped and leave in the order in which they came; progress is the latest word of
//! each path; events and probes have a ceiling, beyond which the oldest is dropped and counted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::status::StatusFile;
use crate::domain::{ComponentId, Event, PathName, RecoveryRecord, Verdict};

/// How many events may wait.
const EVENTS: usize = 4_096;
/// How many probe results may wait: eight seconds of 2,000 a second.
const PROBES: usize = 16_384;
/// How many looks may wait.
const LOOKS: usize = 1_024;

/// Called by the writer once a recovery is on disk; dropped uncalled when the store closes without having written it.
pub type Done = Box<dyn FnOnce() + Send>;

/// One path of one component.
pub(super) type Key = (ComponentId, PathName);

/// What a restart needs to go on with one path of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whose.
    pub component_id: ComponentId,
    /// On which path.
    pub path: PathName,
    /// Whether an outage is open or a bad verdict waits for confirmation: then it is flushed to the disk itself.
    pub open: bool,
    /// When it was so.
    pub at: DateTime<Utc>,
    /// The state, as the engine wrote it.
    pub state: String,
}

/// Whose look it was: the name by which the person is known, and the user's number.
pub(super) type Looker = (String, u32);

/// The last word on one path.
pub(super) enum Kept {
    /// Where it stands.
    Known(Progress),
    /// It is followed no longer: a restart is to find nothing.
    Forgotten,
}

/// A recovery on its way to the disk.
pub(super) struct Closing {
    pub(super) record: Arc<RecoveryRecord>,
    pub(super) after: Option<Progress>,
    pub(super) done: Done,
    order: u64,
}

/// A probe result, as much of it as is kept.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) component_id: ComponentId,
    pub(super) path: PathName,
    pub(super) at: DateTime<Utc>,
    pub(super) verdict: Verdict,
    pub(super) latency_ms: Option<f64>,
    pub(super) burst: bool,
    pub(super) reason: Option<Box<str>>,
}

/// Everything that the writer takes at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) recoveries: VecDeque<Closing>,
    pub(super) progress: BTreeMap<Key, (u64, Kept)>,
    pub(super) events: VecDeque<Arc<Event>>,
    pub(super) probes: VecDeque<Sample>,
    pub(super) status: Option<StatusFile>,
    /// When people last looked.
    pub(super) looks: BTreeMap<Looker, DateTime<Utc>>,
    /// How long raw probe results, and one-minute rows, are kept from now on.
    pub(super) retention: Option<(Duration, Duration)>,
    /// Probes and events that found no room since the last batch.
    pub(super) dropped: u64,
    /// The latest wall-clock time that anything carried.
    pub(super) latest: Option<DateTime<Utc>>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.recoveries.is_empty()
            && self.progress.is_empty()
            && self.events.is_empty()
            && self.probes.is_empty()
            && self.status.is_none()
            && self.looks.is_empty()
            && self.retention.is_none()
    }

    fn saw(&mut self, at: DateTime<Utc>) {
        self.latest = self.latest.max(Some(at));
    }

    /// Adds what came later, keeping the order and the ceilings.
    pub(super) fn append(&mut self, mut later: Self) {
        self.recoveries.append(&mut later.recoveries);
        self.progress.append(&mut later.progress);
        self.events.append(&mut later.events);
        self.probes.append(&mut later.probes);
        self.dropped += later.dropped + trim(&mut self.events, EVENTS) + trim(&mut self.probes, PROBES);
        self.looks.append(&mut later.looks);
        // Whoever attaches under ever new names only loses what others looked at.
        while self.looks.len() > LOOKS {
            self.looks.pop_first();
        }
        if later.status.is_some() {
            self.status = later.status;
        }
        self.retention = later.retention.or(self.retention);
        self.latest = self.latest.max(later.latest);
        self.settle();
    }

    /// Drops progress that a later closed recovery has overtaken.
    fn settle(&mut self) {
        for closing in &self.recoveries {
            let Some(after) = &closing.after else { continue };
            let key = (after.component_id.clone(), after.path.clone());
            if self.progress.get(&key).is_some_and(|(order, _)| *order < closing.order) {
                self.progress.remove(&key);
            }
        }
    }
}

fn trim<T>(queue: &mut VecDeque<T>, ceiling: usize) -> u64 {
    let excess = queue.len().saturating_sub(ceiling);
    queue.drain(..excess);
    excess as u64
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    order: u64,
    /// Something waits that is not to gather.
    urgent: bool,
    closing: bool,
}

impl Waiting {
    fn take(&mut self) -> Batch {
        self.urgent = false;
        std::mem::take(&mut self.batch)
    }
}

/// The queue between the engine and the writer.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change under this lock is complete before it can panic, so a poisoned one is still whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recovery(&self, record: Arc<RecoveryRecord>, after: Option<Progress>, done: Done) {
        let mut waiting = self.lock();
        waiting.order += 1;
        let order = waiting.order;
        if let Some(after) = &after {
            waiting.batch.saw(after.at);
        }
        waiting.batch.recoveries.push_back(Closing { record, after, done, order });
        waiting.batch.settle();
        waiting.urgent = true;
        drop(waiting);
        self.changed.notify_one();
    }

    pub(super) fn progress(&self, progress: Progress, urgent: bool) {
        self.put(|waiting| {
            waiting.order += 1;
            waiting.urgent |= urgent;
            let order = waiting.order;
            waiting.batch.saw(progress.at);
            let key = (progress.component_id.clone(), progress.path.clone());
            waiting.batch.progress.insert(key, (order, Kept::Known(progress)));
        });
    }

    pub(super) fn forget(&self, key: Key) {
        self.put(|waiting| {
            waiting.order += 1;
            let order = waiting.order;
            waiting.batch.progress.insert(key, (order, Kept::Forgotten));
        });
    }

    pub(super) fn retain(&self, probes: Duration, rollups: Duration) {
        self.put(|waiting| waiting.batch.retention = Some((probes, rollups)));
    }

    pub(super) fn event(&self, event: Arc<Event>) {
        self.put(|waiting| {
            waiting.batch.saw(event.at());
            waiting.batch.events.push_back(event);
            waiting.batch.dropped += trim(&mut waiting.batch.events, EVENTS);
        });
    }

    pub(super) fn probe(&self, sample: Sample) {
        self.put(|waiting| {
            waiting.batch.saw(sample.at);
            waiting.batch.probes.push_back(sample);
            waiting.batch.dropped += trim(&mut waiting.batch.probes, PROBES);
        });
    }

    pub(super) fn status(&self, status: StatusFile) {
        self.put(|waiting| {
            waiting.batch.saw(status.at);
            waiting.batch.status = Some(status);
        });
    }

    pub(super) fn look(&self, looker: Looker, at: DateTime<Utc>) {
        self.put(|waiting| {
            waiting.batch.saw(at);
            waiting.batch.looks.insert(looker, at);
            if waiting.batch.looks.len() > LOOKS {
                waiting.batch.looks.pop_first();
            }
        });
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Wakes the writer only when it may be asleep for want of anything to do, or gathers and is not to any more.
    fn put(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        let (idle, was_urgent) = (waiting.batch.is_empty(), waiting.urgent);
        change(&mut waiting);
        let wakes = idle || (waiting.urgent && !was_urgent);
        drop(waiting);
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Waits for the next batch: at once for what is urgent, a recovery above all, else what gathers in `gather` after the first; `None` when the
    /// store closes and nothing is left.
    pub(super) fn take(&self, gather: Duration) -> Option<Batch> {
        let waiting = self.lock();
        let waiting = self
            .changed
            .wait_while(waiting, |waiting| waiting.batch.is_empty() && !waiting.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, gather, |waiting| !waiting.urgent && !waiting.closing)
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.batch.is_empty() && waiting.closing {
            return None;
        }
        Some(waiting.take())
    }

    /// Waits before a retry; returns whether the store closes. What came meanwhile is taken by [`Queue::drain`].
    pub(super) fn pause(&self, length: Duration) -> bool {
        let waiting = self.lock();
        let (waiting, _) = self
            .changed
            .wait_timeout_while(waiting, length, |waiting| !waiting.closing)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.closing
    }

    /// Whatever waits now.
    pub(super) fn drain(&self) -> Batch {
        self.lock().take()
    }
}
