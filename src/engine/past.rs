//! What an earlier process left in the data folder: open outages, last good probes, recoveries, events.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    domain::{ComponentId, Event, PathName, RecoveryRecord, event::AlertState, measurement::Kept},
    engine::guard::CLOCK_SCOPE,
    store::{Progress, Store, StoreError, Unreadable},
};

/// How far back recoveries are read for the screen; the store keeps them for ever.
const RECOVERIES: TimeDelta = TimeDelta::days(90);
/// How many events of earlier processes are read for the screen; many of them say only that an engine began.
const EVENTS: usize = 1_000;

/// What is taken up at the start.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) kept: Vec<(ComponentId, Kept)>,
    pub(super) recoveries: Vec<Arc<RecoveryRecord>>,
    pub(super) events: Vec<Arc<Event>>,
    /// Who said that they look after an outage, oldest first; read only where one may still be open.
    pub(super) acknowledgements: Vec<Arc<Event>>,
    /// What was told last of the clock's own alert.
    pub(super) clock_alert: Option<AlertState>,
    /// What could not be taken up, and why.
    pub(super) notices: Vec<String>,
}

impl Past {
    /// Reads it. What cannot be read keeps nobody from measuring: it is said. Blocks on the disk.
    pub(super) fn read(folder: &Path, now: DateTime<Utc>, window: Duration) -> Self {
        let mut past = Self::default();
        let reader = match Store::read(folder) {
            Ok(reader) => reader,
            Err(error) => {
                past.notices.push(format!(
                    "nothing from before the start can be read ({error}); an outage that was open begins anew with the next \
                     probes"
                ));
                return past;
            }
        };
        let since = now - TimeDelta::from_std(window).unwrap_or(RECOVERIES).max(RECOVERIES);
        past.recoveries =
            past.readable("recoveries", reader.recoveries(Some(since), None).map(|one| one.map(Arc::new)));
        past.events = match reader.last_news(EVENTS) {
            Ok(events) => past.readable("events", events),
            Err(error) => past.readable("events", std::iter::once(Err(error))),
        };
        match reader.last_alert(CLOCK_SCOPE) {
            Ok(alert) => past.clock_alert = alert.map(|alert| alert.state),
            Err(error) => past.notices.push(format!(
                "whether the clock was unsafe when the last engine ended cannot be read ({error}); an alert of that may stay \
                 unresolved"
            )),
        }
        match reader.open_progress() {
            Ok(progress) => past.take_up(progress),
            Err(error) => past.notices.push(format!(
                "what was measured when the last engine ended cannot be read ({error}); an outage that was open begins anew \
                 with the next probes"
            )),
        }
        if past.kept.iter().any(|(_, kept)| kept.is_open()) {
            past.acknowledgements = match reader.acknowledgements() {
                Ok(events) => past.readable("acknowledgements", events),
                Err(error) => past.readable("acknowledgements", std::iter::once(Err(error))),
            };
        }
        past
    }

    /// Those that can be read; how many cannot becomes a notice.
    fn readable<T>(&mut self, what: &str, all: impl Iterator<Item = Result<T, StoreError>>) -> Vec<T> {
        let mut unreadable = Unreadable::default();
        let readable = all.filter_map(|one| unreadable.sift(one)).collect();
        self.notices.extend(unreadable.told(what));
        readable
    }

    fn take_up(&mut self, all: Vec<Progress>) {
        for progress in all.into_iter().filter(|progress| progress.path == PathName::primary()) {
            match serde_json::from_str::<Kept>(&progress.state) {
                Ok(kept) => self.kept.push((progress.component_id, kept)),
                Err(error) => self.notices.push(format!(
                    "the state of {} from before the restart cannot be read ({error}); its outage, if one was open, begins \
                     anew with the next probes",
                    progress.component_id
                )),
            }
        }
    }
}
