//! What an earlier process left in the data folder: open outages, last good probes, recoveries, events.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    domain::{ComponentId, Event, PathName, RecoveryRecord, measurement::Kept},
    store::{Store, StoreError},
};

/// How far back recoveries are read for the screen; the store keeps them for ever.
const RECOVERIES: TimeDelta = TimeDelta::days(90);
/// How many events of earlier processes the screen begins with.
const EVENTS: usize = 100;

/// What is taken up at the start.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) kept: Vec<(ComponentId, Kept)>,
    pub(super) recoveries: Vec<Arc<RecoveryRecord>>,
    pub(super) events: Vec<Arc<Event>>,
    /// What could not be taken up, and why.
    pub(super) notices: Vec<String>,
}

impl Past {
    /// Reads it. Blocks on the disk.
    pub(super) fn read(folder: &Path, now: DateTime<Utc>, window: Duration) -> Result<Self, StoreError> {
        let reader = Store::read(folder)?;
        let mut past = Self::default();
        let since = now - TimeDelta::from_std(window).unwrap_or(RECOVERIES).max(RECOVERIES);
        for record in reader.recoveries(Some(since), None) {
            past.recoveries.push(Arc::new(record?));
        }
        past.events = reader.last_events(EVENTS)?;
        for progress in reader.open_progress()? {
            if progress.path != PathName::primary() {
                continue;
            }
            match serde_json::from_str::<Kept>(&progress.state) {
                Ok(kept) => past.kept.push((progress.component_id, kept)),
                Err(error) => past.notices.push(format!(
                    "the state of {} from before the restart cannot be read ({error}); its outage, if one was open, begins \
                     anew with the next probes",
                    progress.component_id
                )),
            }
        }
        Ok(past)
    }
}
