//! What a console shows: a fold over events, kept by the engine and followed by every console with the same function.

mod reload;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::reload::slice_of;
use super::{
    Attached, Command, ComponentCard, ComponentId, Event, PathName, Percent, Person, Phase, PlatformId,
    RecoveryRecord, Roster, StepReport, Verdict, compliance,
    diagnosis::Diagnosis,
    event::{
        ActEvent, ClockEvent, ConfigEvent, Login, NoticeEvent, OutageView, PhaseEvent, ProbeEvent, Stretched,
    },
    history::{History, Pattern},
    time::rfc3339_millis,
};

/// How many notable events are kept for the events panel.
const NOTABLE: usize = 256;
/// How many recoveries of a component are kept besides those in the rolling window.
const RECOVERIES: usize = 10;

/// Everything that a screen needs, and nothing that it would have to ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// What is measured.
    pub roster: Arc<Roster>,
    /// One for each of the roster's components, in its order.
    pub components: Vec<ComponentPicture>,
    /// What is known of each platform.
    pub platforms: BTreeMap<PlatformId, PlatformPicture>,
    /// The last word on the runner's clock.
    pub clock: Option<ClockEvent>,
    /// Notices that still stand, by what they are about.
    pub notices: BTreeMap<String, NoticeEvent>,
    /// The last events that a person would want to read, newest last; probes are not among them.
    pub notable: VecDeque<Arc<Event>>,
    /// When the last event was emitted.
    #[serde(with = "rfc3339_millis::option")]
    pub last_event_at: Option<DateTime<Utc>>,
    /// What the last examination of the whole chain found.
    #[serde(default)]
    pub diagnosis: Option<Diagnosis>,
    /// Who is here, in the order in which they came.
    #[serde(default)]
    pub present: Vec<Attached>,
    /// The last word on a config that was read again.
    #[serde(default)]
    pub config: Option<ConfigEvent>,
    #[serde(skip)]
    places: HashMap<ComponentId, usize>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentPicture {
    /// The last verdict on the primary path.
    pub verdict: Option<Verdict>,
    /// The confirmed phase.
    pub phase: Phase,
    /// When the last probe ended.
    #[serde(with = "rfc3339_millis::option")]
    pub probed_at: Option<DateTime<Utc>>,
    /// The health step's last latency in milliseconds.
    pub latency_ms: Option<f64>,
    /// Who served at the last probe that told.
    pub served_by: Option<String>,
    /// Why the last verdict was not up.
    pub reason: Option<String>,
    /// The last probe's steps; those that it did not run keep `NotRun`.
    pub steps: Vec<StepReport>,
    /// The recent past.
    pub history: History,
    /// Its last verdicts in order.
    pub pattern: Pattern,
    /// The open outage.
    pub outage: Option<OutageView>,
    /// The last recoveries, newest last: those in the rolling window, and at least the last ten.
    pub recoveries: VecDeque<Arc<RecoveryRecord>>,
    /// Bad verdicts that were not confirmed, since the engine started.
    pub blips: u32,
    /// Who looks after the open outage.
    #[serde(default)]
    pub acknowledged: Option<Acknowledged>,
}

/// Somebody looks after an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Which outage.
    pub outage_id: String,
    /// Who.
    pub who: Person,
    /// Since when.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
}

/// One platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlatformPicture {
    /// Until when it asked us to wait.
    #[serde(with = "rfc3339_millis::option")]
    pub throttled_until: Option<DateTime<Utc>>,
    /// Whether it answers 429.
    pub throttled: bool,
    /// Why its login fails.
    pub login_failing: Option<String>,
    /// Components whose probes come later than they should, the worst first.
    #[serde(default)]
    pub stretched: Vec<Stretched>,
}

impl PlatformPicture {
    /// How long there is between two probes of a component in peace: its cadence, or what a short rate budget makes of it.
    #[must_use]
    pub fn interval(&self, card: &ComponentCard) -> Duration {
        let told = self.stretched.iter().find(|stretched| stretched.component_id == card.id);
        told.map_or(card.cadence, |told| card.cadence.max(Duration::from_millis(told.actual_ms)))
    }
}

impl Picture {
    /// How long there is between two probes of a component, by what is known of its platform.
    #[must_use]
    pub fn interval(&self, card: &ComponentCard) -> Duration {
        self.platforms.get(&card.platform).map_or(card.cadence, |platform| platform.interval(card))
    }

    /// The picture before anything happened.
    #[must_use]
    pub fn new(roster: Arc<Roster>) -> Self {
        let components = roster.components.iter().map(|card| ComponentPicture::new(slice_of(card))).collect();
        let platforms =
            roster.platforms.iter().map(|card| (card.id.clone(), PlatformPicture::default())).collect();
        let mut picture = Self {
            roster,
            components,
            platforms,
            clock: None,
            notices: BTreeMap::new(),
            notable: VecDeque::new(),
            last_event_at: None,
            diagnosis: None,
            present: Vec::new(),
            config: None,
            places: HashMap::new(),
        };
        picture.index();
        picture
    }

    /// Rebuilds the index of component places; a picture that came over a wire needs it once.
    pub fn index(&mut self) {
        self.places =
            self.roster.components.iter().enumerate().map(|(place, card)| (card.id.clone(), place)).collect();
    }

    /// Where a component stands in the roster.
    #[must_use]
    pub fn position(&self, id: &ComponentId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Adds one event. Events of components that the roster does not hold change nothing.
    pub fn apply(&mut self, event: &Arc<Event>) {
        let notable = is_notable(event) && !self.is_repeated(event);
        self.last_event_at = Some(event.at());
        match &**event {
            Event::Roster(new) => self.replace_roster(Arc::clone(&new.roster)),
            Event::Probe(probe) => self.apply_probe(probe),
            Event::Phase(phase) => {
                if phase.path == PathName::primary()
                    && let Some(component) = self.component_mut(&phase.component_id)
                {
                    let before = component.phase;
                    component.phase = phase.phase;
                    component.outage.clone_from(&phase.outage);
                    component.forget_acknowledgement();
                    // What only says that nothing is wrong yet, told for every component at the start, is no news.
                    let is_first = before == Phase::Unobserved;
                    if before == phase.phase
                        || (is_first && (phase.phase == Phase::Up || self.was_last_told(phase)))
                    {
                        return;
                    }
                }
            }
            Event::Outage(progress) => {
                if progress.path == PathName::primary()
                    && let Some(component) = self.component_mut(&progress.component_id)
                {
                    component.outage = Some(progress.outage.clone());
                    component.forget_acknowledgement();
                }
            }
            Event::Recovery(recovery) => {
                let window = self.roster.window;
                if let Some(component) = self.component_mut(&recovery.record.component_id) {
                    component.keep(Arc::clone(&recovery.record), window, recovery.at);
                }
            }
            Event::Blip(blip) => {
                if let Some(component) = self.component_mut(&blip.component_id) {
                    component.blips = component.blips.saturating_add(1);
                }
            }
            Event::Switch(switch) => {
                if let Some(component) = self.component_mut(&switch.component_id) {
                    component.served_by = Some(switch.to.clone());
                }
            }
            Event::Clock(clock) => self.clock = Some(clock.clone()),
            Event::Budget(budget) => {
                let platform = self.platforms.entry(budget.platform.clone()).or_default();
                platform.throttled = budget.throttled;
                platform.throttled_until = budget
                    .retry_after_ms
                    .filter(|_| budget.throttled)
                    .map(|wait| budget.at + Duration::from_millis(wait));
                platform.stretched.clone_from(&budget.stretched);
            }
            Event::Platform(login) => {
                let platform = self.platforms.entry(login.platform.clone()).or_default();
                platform.login_failing = match login.login {
                    Login::Ok => None,
                    Login::Failing => Some(login.reason.clone().unwrap_or_default()),
                };
            }
            Event::Diagnosis(diagnosis) => self.diagnosis = Some(diagnosis.clone()),
            Event::Act(act) => {
                self.apply_act(act);
            }
            Event::Presence(presence) => self.present.clone_from(&presence.present),
            Event::Config(config) => self.config = Some(config.clone()),
            Event::Notice(notice) => {
                if notice.standing {
                    self.notices.insert(notice.about.clone(), notice.clone());
                } else {
                    self.notices.remove(&notice.about);
                }
            }
            Event::Violation(_) | Event::Gap(_) | Event::Unmeasured(_) | Event::Alert(_) => {}
        }
        if notable {
            self.notable.push_back(Arc::clone(event));
            if self.notable.len() > NOTABLE {
                self.notable.pop_front();
            }
        }
    }

    /// Takes in recoveries that were kept from before this engine started, oldest first.
    pub fn remember(&mut self, records: impl IntoIterator<Item = Arc<RecoveryRecord>>, now: DateTime<Utc>) {
        let window = self.roster.window;
        for record in records {
            if let Some(component) = self.component_mut(&record.component_id.clone()) {
                component.keep(record, window, now);
            }
        }
    }

    /// Takes in notable events that were kept from before this engine started, oldest first; they are shown, and change nothing else.
    ///
    /// Every start tells every component's phase: those that say nothing new are left out.
    pub fn remember_events(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        let mut phases: HashMap<(ComponentId, PathName), Phase> = HashMap::new();
        let mut budgets: HashMap<PlatformId, (bool, bool)> = HashMap::new();
        self.notable.extend(events.into_iter().filter(|event| match &**event {
            Event::Phase(phase) if phase.phase == Phase::Unobserved => false,
            Event::Phase(phase) => {
                let path = (phase.component_id.clone(), phase.path.clone());
                phases.insert(path, phase.phase).unwrap_or(Phase::Up) != phase.phase
            }
            Event::Budget(budget) => {
                let state = (budget.throttled, budget.throttled || budget.stretched.is_empty());
                budgets.insert(budget.platform.clone(), state) != Some(state)
            }
            event => is_notable(event),
        }));
        let surplus = self.notable.len().saturating_sub(NOTABLE);
        self.notable.drain(..surplus);
    }

    /// Takes up what people said of outages that are still open, oldest first, after those were taken up; says whether any
    /// belongs to one.
    pub fn remember_acknowledgements(&mut self, events: &[Arc<Event>]) -> bool {
        let mut any = false;
        for event in events {
            if let Event::Act(act) = &**event {
                any |= self.apply_act(act);
            }
        }
        any
    }

    /// The rolling compliance of one component; `None` is *no data*.
    #[must_use]
    pub fn compliance(&self, place: usize, now: DateTime<Utc>) -> Option<Percent> {
        let (component, card) = (self.components.get(place)?, self.roster.components.get(place)?);
        let open = component.outage.as_ref().map(|outage| outage.live_compliance(card.target_rto));
        compliance::rolling(
            component.recoveries.iter().map(|record| &**record),
            open,
            self.roster.window,
            now,
        )
    }

    /// Whether the last that was told of a component's phase before a restart was this, of the same outage.
    fn was_last_told(&self, phase: &PhaseEvent) -> bool {
        let last = self.notable.iter().rev().find_map(|event| match &**event {
            Event::Phase(told) if told.component_id == phase.component_id && told.path == phase.path => {
                Some(told)
            }
            _ => None,
        });
        let id = |phase: &PhaseEvent| phase.outage.as_ref().map(|outage| outage.id.clone());
        phase.outage.is_some() && last.is_some_and(|told| told.phase == phase.phase && id(told) == id(phase))
    }

    /// Whether an event only says by how much something goes on that was told before.
    fn is_repeated(&self, event: &Event) -> bool {
        let Event::Budget(budget) = event else { return false };
        let Some(known) = self.platforms.get(&budget.platform) else { return false };
        known.throttled == budget.throttled
            && (budget.throttled || known.stretched.is_empty() == budget.stretched.is_empty())
    }

    /// The true time by what is known of the runner's clock, when that shows `wall`: as the engine itself corrects what it
    /// tells.
    #[must_use]
    pub fn corrected(&self, wall: DateTime<Utc>) -> DateTime<Utc> {
        let ahead = self.clock.as_ref().map_or(0.0, |clock| clock.correction_ms);
        let ahead = chrono::TimeDelta::nanoseconds((ahead * 1e6) as i64);
        wall.checked_sub_signed(ahead).unwrap_or(wall)
    }

    fn component_mut(&mut self, id: &ComponentId) -> Option<&mut ComponentPicture> {
        let place = self.position(id)?;
        self.components.get_mut(place)
    }

    fn apply_probe(&mut self, probe: &ProbeEvent) {
        if probe.path != PathName::primary() {
            return;
        }
        let Some(component) = self.component_mut(&probe.component_id) else { return };
        component.verdict = Some(probe.verdict);
        component.probed_at = Some(probe.at);
        if probe.latency_ms.is_some() {
            component.latency_ms = probe.latency_ms;
        }
        if probe.served_by.is_some() {
            component.served_by.clone_from(&probe.served_by);
        }
        component.reason.clone_from(&probe.reason);
        component.steps.clone_from(&probe.steps);
        component.history.add(probe.at, probe.verdict, probe.latency_ms);
        component.pattern.add(probe.verdict);
    }

    /// Says whether it changed anything.
    fn apply_act(&mut self, act: &ActEvent) -> bool {
        if let Command::Acknowledge { component_id, outage_id } = &act.act
            && let Some(component) = self.component_mut(component_id)
            && component.outage.as_ref().is_some_and(|outage| outage.id == *outage_id)
        {
            component.acknowledged =
                Some(Acknowledged { outage_id: outage_id.clone(), who: act.who.clone(), at: act.at });
            return true;
        }
        false
    }
}

/// What a notice about the config is about; it stands while a changed config is refused.
pub const CONFIG: &str = "config";

/// Whether a person would want to read it later. What has become of a config is told once, by [`Event::Config`], which says
/// who asked for it too.
#[must_use]
pub fn is_notable(event: &Event) -> bool {
    match event {
        Event::Probe(_) | Event::Outage(_) | Event::Roster(_) | Event::Clock(_) | Event::Presence(_) => false,
        Event::Notice(notice) => notice.about != CONFIG,
        Event::Act(act) => act.act != Command::Reload,
        _ => true,
    }
}

impl ComponentPicture {
    fn new(slice_seconds: u32) -> Self {
        Self {
            verdict: None,
            phase: Phase::Unobserved,
            probed_at: None,
            latency_ms: None,
            served_by: None,
            reason: None,
            steps: Vec::new(),
            history: History::new(slice_seconds),
            pattern: Pattern::default(),
            outage: None,
            recoveries: VecDeque::new(),
            blips: 0,
            acknowledged: None,
        }
    }

    /// An acknowledgement ends with its outage.
    fn forget_acknowledgement(&mut self) {
        let open = self.outage.as_ref().map(|outage| &outage.id);
        self.acknowledged.take_if(|known| open != Some(&known.outage_id));
    }

    fn keep(&mut self, record: Arc<RecoveryRecord>, window: Duration, now: DateTime<Utc>) {
        // One that was read from the disk just before it was told is one all the same.
        if self.recoveries.iter().any(|known| known.id == record.id) {
            return;
        }
        self.recoveries.push_back(record);
        let since = super::time::epoch_seconds(now) - window.as_secs_f64();
        while self.recoveries.len() > RECOVERIES
            && self.recoveries.front().is_some_and(|oldest| oldest.t_restore_epoch < since)
        {
            self.recoveries.pop_front();
        }
    }
}

impl OutageView {
    /// How long the outage has provably lasted: to the last counted bad evidence, so that blind and unobserved time
    /// proves no breach.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        (self.last_bad - self.t_detect).to_std().unwrap_or_default()
    }

    /// `min(100, target / elapsed × 100)`.
    #[must_use]
    pub fn live_compliance(&self, target: Duration) -> Percent {
        compliance::compliance(self.elapsed(), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Environment,
        event::{BlipEvent, BudgetEvent},
    };

    #[test]
    fn restarts_leave_no_trail_of_phases_that_say_nothing() {
        let at = DateTime::UNIX_EPOCH;
        let component_id = ComponentId::new("crm");
        let phase = |phase| {
            let (component_id, path) = (component_id.clone(), PathName::primary());
            Arc::new(Event::Phase(PhaseEvent {
                at,
                component_id,
                path,
                phase,
                t_detect_epoch: None,
                outage: None,
            }))
        };
        let blip = Arc::new(Event::Blip(BlipEvent { at, component_id: component_id.clone(), reason: None }));
        let start = [phase(Phase::Unobserved), phase(Phase::Up)];
        let down = [phase(Phase::Unobserved), phase(Phase::Down)];
        let mut past = start.to_vec();
        past.extend(start.clone());
        past.push(Arc::clone(&blip));
        past.extend(down.clone());
        past.extend(down);
        past.extend(start.clone());
        past.extend(start);
        let roster = Roster {
            tenant: "t".to_owned(),
            environment: Environment::Sandbox,
            demo: false,
            window: Duration::from_secs(1),
            platforms: Vec::new(),
            components: Vec::new(),
        };
        let mut picture = Picture::new(Arc::new(roster));
        picture.remember_events(past);
        assert_eq!(picture.notable, [blip, phase(Phase::Down), phase(Phase::Up)]);
    }

    /// An engine that goes on with an outage tells its phase again.
    #[test]
    fn an_outage_that_goes_on_over_a_restart_is_told_once() {
        let at = DateTime::UNIX_EPOCH;
        let component_id = ComponentId::new("crm");
        let down = |id: &str| {
            let outage = OutageView {
                id: id.to_owned(),
                verdict: Verdict::Down,
                t_detect: at,
                onset_after: None,
                t_failover: None,
                served_by: None,
                restored_since: None,
                last_bad: at,
                reason: String::new(),
                failed_steps: Vec::new(),
                blind_probes: 0,
                gap_seconds: 0.0,
                links: Vec::new(),
            };
            Arc::new(Event::Phase(PhaseEvent {
                at,
                component_id: component_id.clone(),
                path: PathName::primary(),
                phase: Phase::Down,
                t_detect_epoch: Some(0.0),
                outage: Some(outage),
            }))
        };
        let roster = Roster {
            tenant: "t".to_owned(),
            environment: Environment::Sandbox,
            demo: false,
            window: Duration::from_secs(1),
            platforms: Vec::new(),
            components: Vec::new(),
        };
        let mut before = Picture::new(Arc::new(roster));
        before.components.push(ComponentPicture::new(5));
        before.places.insert(component_id.clone(), 0);
        let mut picture = before.clone();
        picture.remember_events([down("one")]);
        picture.apply(&down("one"));
        assert_eq!((picture.notable.len(), picture.components[0].phase), (1, Phase::Down));
        let mut picture = before;
        picture.remember_events([down("one")]);
        picture.apply(&down("two"));
        assert_eq!(picture.notable.len(), 2, "another outage is news");
    }

    /// A platform that asks for a second's wait again and again must not flood the panel.
    #[test]
    fn a_throttle_is_one_event_until_it_ends() {
        let roster = Roster {
            tenant: "t".to_owned(),
            environment: Environment::Sandbox,
            demo: false,
            window: Duration::from_secs(1),
            platforms: Vec::new(),
            components: Vec::new(),
        };
        let mut picture = Picture::new(Arc::new(roster));
        for throttled in [true, true, true, false, true] {
            picture.apply(&Arc::new(Event::Budget(BudgetEvent {
                at: DateTime::UNIX_EPOCH,
                platform: PlatformId::new("p"),
                throttled,
                retry_after_ms: throttled.then_some(1_000),
                stretched: Vec::new(),
            })));
        }
        assert_eq!(picture.notable.len(), 3);
    }
}
