//! The engine's state: the measurement, the picture of it, and who hears of what happens.
//!
//! Invariants: everything here is synchronous and never blocks; a recovery is told only once it is on disk; the same
//! function folds events into the engine's picture as into every console's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::TimeDelta;

use super::{Listener, task::thresholds};
use crate::{
    config::model::Config,
    domain::{
        Attached, Command, ComponentId, Event, Moment, PathName, Picture, ProbeReport, RecoveryRecord,
        Roster,
        clock::Judged,
        event::{NoticeEvent, Presence, PresenceEvent, RecoveryEvent, RosterEvent},
        measurement::{Dropped, KeptAt, Measurement, Pace, Thresholds},
        time::Now,
    },
    expression::clean,
    store::{Progress, StatusFile, StoreHandle},
};

/// How much of a name that somebody else made up is repeated, in characters.
const NAME: usize = 60;

/// In peace a component's last good probe is kept so often; older knowledge only widens bounds.
const KEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// How often it is kept that somebody still looks.
const KEEP_LOOKS_EVERY: Duration = Duration::from_mins(1);

/// How the notices of outages begin that are followed no longer.
const OUTAGE_OF: &str = "outage of ";

/// Called once a recovery is on disk.
pub(super) type Stored = Arc<dyn Fn(Arc<RecoveryRecord>) + Send + Sync>;

/// Everything that the engine owns.
pub(super) struct Core {
    measurement: Measurement,
    picture: Picture,
    listeners: Vec<Box<dyn Listener>>,
    store: StoreHandle,
    stored: Stored,
    boot_id: String,
    /// By how much the wall clock may be wrong.
    wall_error: Option<Duration>,
    /// By how much the machine's own wall clock is ahead of the one that this goes by.
    correction: TimeDelta,
    /// When each component's state was last handed to the store.
    kept: Vec<Option<Moment>>,
    /// The pace that each component was last told.
    paces: Vec<Option<Pace>>,
    /// When each console's look was last kept, by its id.
    looked: BTreeMap<u64, Moment>,
    /// Recoveries that are on their way to the disk.
    unstored: usize,
    status_changed: bool,
    /// When the next target is breached, as far as an open outage tells; asked for after every batch of reports.
    deadline: Option<Moment>,
    /// Something happened since, that may have moved it.
    deadline_stale: bool,
}

/// Where the core begins.
pub(super) struct Beginning {
    pub(super) roster: Arc<Roster>,
    pub(super) thresholds: Thresholds,
    pub(super) seed: u64,
    pub(super) listeners: Vec<Box<dyn Listener>>,
    pub(super) store: StoreHandle,
    pub(super) stored: Stored,
    pub(super) boot_id: String,
}

/// The notice of an outage that is followed no longer.
fn about_outage(id: &ComponentId) -> String {
    format!("{OUTAGE_OF}{id}")
}

/// A component whose pace changed, by its place in the roster.
pub(super) type NewPace = (usize, Pace);

/// What follows from a report for the schedule.
#[derive(Default)]
pub(super) struct Follow {
    pub(super) paces: Vec<NewPace>,
    /// Components that are to be probed at once.
    pub(super) probe_now: Vec<usize>,
}

impl Core {
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning { roster, thresholds, seed, listeners, store, stored, boot_id } = beginning;
        let number = roster.components.len();
        Self {
            measurement: Measurement::new(Arc::clone(&roster), thresholds, seed),
            picture: Picture::new(roster),
            listeners,
            store,
            stored,
            boot_id,
            wall_error: None,
            correction: TimeDelta::zero(),
            kept: vec![None; number],
            paces: vec![None; number],
            looked: BTreeMap::new(),
            unstored: 0,
            status_changed: true,
            deadline: None,
            deadline_stale: true,
        }
    }

    /// Tells what is measured, takes up what an earlier process left, and tells every component's phase.
    pub(super) fn begin(&mut self, past: super::past::Past, now: Now) {
        self.picture.remember(past.recoveries, now.wall);
        self.picture.remember_events(past.events);
        // Whoever joins now gets the past with the picture and the rest as events.
        for listener in &mut self.listeners {
            listener.picture(&self.picture);
        }
        let roster = Arc::clone(&self.picture.roster);
        self.publish(Event::Roster(RosterEvent { at: now.wall, roster }));
        let orphaned: Vec<_> = past
            .kept
            .iter()
            .filter(|(id, kept)| {
                let card = self.picture.position(id).map(|place| &self.picture.roster.components[place]);
                kept.is_open() && card.is_none_or(|card| !card.observable)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in orphaned {
            let text = format!(
                "the outage of `{id}` from before the start is not followed: the config has no such component, or none that this version can probe; put it back and start again, or have the config read again (SIGHUP, `:reload`) to leave that outage behind"
            );
            self.notice(now, &about_outage(&id), true, text);
        }
        let here = KeptAt { boot_id: self.boot_id.clone(), now, wall_error: self.wall_error };
        for event in self.measurement.take_up(past.kept, &here) {
            self.publish(event);
        }
        for event in self.measurement.initial_events(now) {
            self.publish(event);
        }
        // Only now are the outages open again to which they belong.
        if self.picture.remember_acknowledgements(&past.acknowledgements) {
            for listener in &mut self.listeners {
                listener.picture(&self.picture);
            }
        }
        for text in past.notices {
            self.notice(now, "the past", true, text);
        }
    }

    /// Which boot of the machine this is.
    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Takes what is known of the clock. `unapplied` is what of the correction, in nanoseconds, is not taken off yet.
    pub(super) fn set_clock(&mut self, judged: &Judged, unapplied: i64) {
        let more = Duration::from_nanos(unapplied.unsigned_abs());
        let errors = judged.stamp_errors.iter().map(|(id, error)| (id.clone(), *error + more)).collect();
        self.measurement.set_clock(judged.state, errors);
        self.wall_error = judged.wall_error.map(|error| error + more);
        self.correction = TimeDelta::nanoseconds(judged.correction.saturating_sub(unapplied));
    }

    /// Takes one probe's report.
    pub(super) fn report(&mut self, report: &ProbeReport, now: Now) -> Follow {
        let Some(place) = self.measurement.position(&report.component_id) else { return Follow::default() };
        let observed = self.measurement.observe(report, now);
        let mut changed = false;
        for event in observed.events {
            changed |= !matches!(event, Event::Probe(_) | Event::Outage(_));
            match event {
                Event::Recovery(recovery) => self.store_recovery(place, recovery.record, now),
                event => self.publish(event),
            }
        }
        self.deadline_stale |= changed;
        self.keep(place, changed, now);
        Follow { paces: self.repace(place, now.moment), probe_now: observed.freed }
    }

    /// The runner saw nothing between two instants.
    pub(super) fn gap(&mut self, from: Moment, reason: &str, now: Now) {
        tracing::warn!(seconds = now.moment.since(from).as_secs_f64(), reason, "nothing was seen");
        for event in self.measurement.gap(from, now.moment, reason, now) {
            self.publish(event);
        }
    }

    /// Every pace that was told, for a schedule that begins anew.
    pub(super) fn paces(&self) -> Vec<NewPace> {
        self.paces.iter().enumerate().filter_map(|(place, pace)| Some((place, (*pace)?))).collect()
    }

    /// Tells what time alone brings about; says whose pace changed by it.
    pub(super) fn tick(&mut self, now: Now) -> Vec<NewPace> {
        for event in self.measurement.tick(now) {
            self.publish(event);
        }
        let open: Vec<usize> =
            (0..self.paces.len()).filter(|place| self.measurement.is_troubled(*place)).collect();
        let paces = open.into_iter().flat_map(|place| self.repace(place, now.moment)).collect();
        self.save_status(now);
        self.keep_looks(false, now);
        for listener in &mut self.listeners {
            listener.round(&self.picture, now);
        }
        paces
    }

    /// When [`Core::tick`] has something to do besides its round every second.
    pub(super) fn next_deadline(&mut self, after: Moment) -> Option<Moment> {
        // Looking at every component after every probe would cost more, with thousands, than the probes.
        if self.deadline_stale || self.deadline.is_some_and(|deadline| deadline <= after) {
            self.deadline = self.measurement.next_deadline(after);
            self.deadline_stale = false;
        }
        self.deadline
    }

    /// A recovery has reached the disk: now it may be told.
    pub(super) fn recovery_stored(&mut self, record: Arc<RecoveryRecord>, now: Now) {
        self.unstored = self.unstored.saturating_sub(1);
        self.publish(Event::Recovery(RecoveryEvent { at: now.wall, record }));
    }

    /// How many recoveries are not on disk yet.
    pub(super) const fn unstored(&self) -> usize {
        self.unstored
    }

    /// Tells something about warroom itself, or takes it back; the same words twice are told once.
    pub(super) fn notice(&mut self, now: Now, about: &str, standing: bool, text: String) {
        let known = self.picture.notices.get(about);
        if known.map(|notice| &notice.text) == standing.then_some(&text) {
            return;
        }
        self.publish(Event::Notice(NoticeEvent { at: now.wall, about: about.to_owned(), standing, text }));
    }

    /// Folds an event into the picture, keeps it, and tells everybody.
    pub(super) fn publish(&mut self, event: Event) {
        let event = Arc::new(event);
        self.picture.apply(&event);
        match &*event {
            Event::Probe(probe) => self.store.record_probe(probe),
            Event::Roster(_) => {}
            Event::Outage(_) => self.status_changed = true,
            _ => {
                self.status_changed = true;
                self.deadline_stale = true;
                self.store.record_event(Arc::clone(&event));
            }
        }
        for listener in &mut self.listeners {
            listener.event(&event);
        }
    }

    /// Why a command makes no sense by what is known now. It is the engine that says so, because it alone cannot be late.
    pub(super) fn refusal(&self, command: &Command) -> Option<String> {
        let (component_id, outage_id) = match command {
            Command::ProbeNow { component_id } => (component_id, None),
            Command::Acknowledge { component_id, outage_id } => (component_id, Some(outage_id)),
            Command::Diagnose | Command::Reload => return None,
        };
        let name = clean(component_id.as_str(), NAME);
        let Some(place) = self.picture.position(component_id) else {
            return Some(format!(
                "the engine measures no component `{name}`: look again, the config may have changed"
            ));
        };
        let outage_id = outage_id?;
        match &self.picture.components[place].outage {
            Some(open) if open.id == *outage_id => None,
            Some(_) => Some(format!(
                "that outage of `{name}` is closed, and another one is open: look at it, then acknowledge it"
            )),
            None => Some(format!("the outage of `{name}` is closed: nothing is left to acknowledge")),
        }
    }

    /// Tells every listener which config is in force.
    pub(super) fn set_config(&mut self, config: &Arc<Config>) {
        for listener in &mut self.listeners {
            listener.config(config);
        }
    }

    /// Goes on with another config, which is told: what stays keeps its outages, `asked_anew` are those whose verdicts speak
    /// of something else from now on, `past` recoveries that the new config asks for. Says how everything is to be probed that
    /// is not probed at its cadence, and which outages are followed no longer.
    pub(super) fn reload(
        &mut self,
        config: &Arc<Config>,
        asked_anew: &BTreeSet<ComponentId>,
        past: Vec<Arc<RecoveryRecord>>,
        now: Now,
    ) -> (Vec<NewPace>, Vec<String>) {
        self.set_config(config);
        let roster = Arc::clone(&config.roster);
        let old = Arc::clone(self.measurement.roster());
        let reloaded = self.measurement.reload(Arc::clone(&roster), thresholds(config), asked_anew, now);
        let places = roster.components.iter().map(|card| old.position(&card.id));
        self.kept = places.map(|place| place.and_then(|place| self.kept[place])).collect();
        if *old != *roster {
            self.publish(Event::Roster(RosterEvent { at: now.wall, roster: Arc::clone(&roster) }));
        }
        if !past.is_empty() {
            self.picture.recall(past, now.wall);
            for listener in &mut self.listeners {
                listener.picture(&self.picture);
            }
        }
        for event in reloaded.events {
            self.publish(event);
        }
        let lost = reloaded.dropped.iter().filter_map(|dropped| self.drop_component(dropped)).collect();
        self.deadline_stale = true;
        self.keep_all(now);
        self.paces =
            (0..roster.components.len()).map(|place| self.measurement.pace(place, now.moment)).collect();
        (self.paces(), lost)
    }

    /// Forgets on the disk what is followed no longer: no later start is to take it up. Says so of an outage.
    fn drop_component(&self, dropped: &Dropped) -> Option<String> {
        let id = &dropped.id;
        self.store.forget_progress(id.clone(), PathName::primary());
        let outage = dropped.outage.as_ref()?;
        Some(format!(
            "the outage of {id} since {} is followed no longer, and becomes no record",
            outage.t_detect.format("%Y-%m-%d %H:%M:%SZ")
        ))
    }

    /// Somebody had the config read again, and knows what it leaves out: an outage from before the start that the config has
    /// no component for is left behind, on the disk too.
    pub(super) fn leave_orphans(&mut self, now: Now) {
        let notices = self.picture.notices.keys();
        let ids: Vec<ComponentId> =
            notices.filter_map(|about| about.strip_prefix(OUTAGE_OF)).map(ComponentId::new).collect();
        for id in ids {
            self.store.forget_progress(id.clone(), PathName::primary());
            let text = format!("the config was read again; the outage of `{id}` is left behind");
            self.notice(now, &about_outage(&id), false, text);
        }
    }

    /// A console is here.
    pub(super) fn attached(&mut self, console: Attached, now: Now) {
        let mut present = self.picture.present.clone();
        present.push(console.clone());
        self.looked.insert(console.id, now.moment);
        let change = Presence::Attached;
        self.publish(Event::Presence(PresenceEvent { at: now.wall, change, console, present }));
    }

    /// A console has gone.
    pub(super) fn detached(&mut self, id: u64, now: Now) {
        let mut present = self.picture.present.clone();
        let Some(place) = present.iter().position(|console| console.id == id) else { return };
        let console = present.remove(place);
        self.looked.remove(&id);
        self.store.save_look(console.who.key().to_owned(), console.who.uid, now.wall);
        let change = Presence::Detached;
        self.publish(Event::Presence(PresenceEvent { at: now.wall, change, console, present }));
    }

    /// Keeps when those who are here last looked: every minute, so that a kill forgets no more, or all `at_once`.
    fn keep_looks(&mut self, at_once: bool, now: Now) {
        for console in &self.picture.present {
            let last = self.looked.entry(console.id).or_insert(now.moment);
            if at_once || now.moment.since(*last) >= KEEP_LOOKS_EVERY {
                *last = now.moment;
                self.store.save_look(console.who.key().to_owned(), console.who.uid, now.wall);
            }
        }
    }

    /// Hands the picture to every listener that asked for it.
    pub(super) fn send_pictures(&mut self) {
        for listener in &mut self.listeners {
            if listener.wants_picture() {
                listener.picture(&self.picture);
            }
        }
    }

    /// Keeps every component's state and every look, before the end.
    pub(super) fn keep_all(&mut self, now: Now) {
        self.keep_looks(true, now);
        for place in 0..self.kept.len() {
            self.keep(place, true, now);
        }
        self.status_changed = true;
        self.save_status(now);
    }

    fn save_status(&mut self, now: Now) {
        // The store renews the file only when it says something else, or has grown old.
        if std::mem::take(&mut self.status_changed) || now.wall.timestamp() % 5 == 0 {
            let mut status = StatusFile::of(&self.picture, now.wall, std::process::id());
            // Other processes go by the machine's own clock.
            status.at = now.wall.checked_add_signed(self.correction).unwrap_or(now.wall);
            self.store.save_status(status);
        }
    }

    fn store_recovery(&mut self, place: usize, record: Arc<RecoveryRecord>, now: Now) {
        self.unstored += 1;
        let (stored, told) = (Arc::clone(&self.stored), Arc::clone(&record));
        let after = self.progress(place, now);
        self.store.record_recovery(record, after, Box::new(move || stored(told)));
    }

    fn keep(&mut self, place: usize, at_once: bool, now: Now) {
        let due = at_once
            || self.measurement.is_troubled(place)
            || self.kept[place].is_none_or(|last| now.moment.since(last) >= KEEP_EVERY);
        if due && let Some(progress) = self.progress(place, now) {
            self.kept[place] = Some(now.moment);
            if at_once {
                self.store.save_progress_at_once(progress);
            } else {
                self.store.save_progress(progress);
            }
        }
    }

    fn progress(&self, place: usize, now: Now) -> Option<Progress> {
        let (component_id, kept) = self.measurement.keep(place, now, &self.boot_id, self.wall_error)?;
        let state = match serde_json::to_string(&kept) {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(%component_id, %error, "the state of a component cannot be written as JSON");
                return None;
            }
        };
        let open = self.measurement.is_troubled(place);
        Some(Progress { component_id, path: PathName::primary(), open, at: now.wall, state })
    }

    fn repace(&mut self, place: usize, now: Moment) -> Vec<NewPace> {
        let mut changed = Vec::new();
        let needs = self.measurement.paced_with(place);
        for other in std::iter::once(place).chain(needs.iter().copied()) {
            let pace = self.measurement.pace(other, now);
            if self.paces[other] != pace {
                self.paces[other] = pace;
                changed.extend(pace.map(|pace| (other, pace)));
            }
        }
        changed
    }
}
