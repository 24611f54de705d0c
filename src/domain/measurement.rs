//! All components together: dependencies joined to verdicts, verdicts to events and records.
//!
//! Invariants: reports come in the order of their ends; the same reports at the same instants give the same events.

mod chain;
mod judging;
mod kept;
mod pace;
mod records;
mod reload;
mod telling;

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};

pub use self::{
    kept::{Kept, KeptAt},
    pace::Pace,
    reload::{Dropped, Reloaded},
};
use super::{
    ComponentId, Event, Moment, Phase, PlatformId, ProbeReport, Roster, Span, StepReport, StepState, Verdict,
    event::{GapEvent, ProbeEvent},
    record::ClockState,
    time::Now,
    tracker::{Counted, Goods, Judgement, Rules, Tracker},
};

/// How outages and recoveries are confirmed, for all components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Bad verdicts in a row that confirm an outage.
    pub failure: NonZeroU32,
    /// So many bad ones of the last so many confirm it too.
    pub ratio: Option<(NonZeroU32, NonZeroU32)>,
    /// Good verdicts in a row that confirm a recovery.
    pub success: NonZeroU32,
}

/// The state of everything that is measured.
#[derive(Debug)]
pub struct Measurement {
    roster: Arc<Roster>,
    places: HashMap<ComponentId, usize>,
    components: Vec<Measured>,
    clock: ClockState,
    /// By how much a platform's stamps may be wrong against the runner's clock, for those that can be compared.
    stamp_errors: BTreeMap<PlatformId, Duration>,
    ids: fastrand::Rng,
}

/// One component: its tracker and its own last probe.
#[derive(Debug)]
struct Measured {
    tracker: Tracker,
    rules: Rules,
    /// Places of all dependencies, directly and through others.
    needs: Vec<usize>,
    /// Places of all components that need this one.
    needed_by: Vec<usize>,
    goods: Goods,
    latest: Option<Latest>,
    observable: bool,
    /// Its last verdict was blind only because a dependency had not been probed yet.
    waits: bool,
}

/// The last own probe that was not overtaken: what dependants see of a component.
#[derive(Debug)]
struct Latest {
    verdict: Verdict,
    span: Span,
    evidence: Span,
    last_good_start: Option<Moment>,
    /// Every step that failed, that of the evidence first.
    failed_steps: Vec<SeenFailing>,
    reason: Option<String>,
    health_passed: Option<bool>,
}

/// One step that failed in a probe.
#[derive(Debug)]
struct SeenFailing {
    step: String,
    span: Span,
    /// When the platform saw the failure begin.
    onset_at: Option<DateTime<Utc>>,
}

/// What a report led to.
#[derive(Debug)]
pub struct Observed {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What became of the verdict.
    pub counted: Counted,
    /// The evidence that counted as bad: whose probe, and the failing interval.
    pub bad_evidence: Vec<(ComponentId, Span)>,
    /// Places of components that were blind only until this one was probed: they can be probed at once.
    pub freed: Vec<usize>,
}

impl Observed {
    const fn nothing(events: Vec<Event>) -> Self {
        Self { events, counted: Counted::Not, bad_evidence: Vec::new(), freed: Vec::new() }
    }
}

impl Measurement {
    /// A measurement in which nothing was seen yet. `seed` feeds the outages' ids.
    #[must_use]
    pub fn new(roster: Arc<Roster>, thresholds: Thresholds, seed: u64) -> Self {
        let places: HashMap<ComponentId, usize> =
            roster.components.iter().enumerate().map(|(place, card)| (card.id.clone(), place)).collect();
        let needs: Vec<Vec<usize>> =
            (0..roster.components.len()).map(|place| all_needs(&roster, &places, place)).collect();
        let components = roster
            .components
            .iter()
            .enumerate()
            .map(|(place, card)| Measured {
                tracker: Tracker::default(),
                rules: Rules {
                    failure_threshold: thresholds.failure,
                    failure_ratio: thresholds.ratio,
                    success_threshold: thresholds.success,
                    target: card.target_rto,
                    secondary: card.secondary.clone(),
                },
                needed_by: (0..needs.len()).filter(|other| needs[*other].contains(&place)).collect(),
                needs: needs[place].clone(),
                goods: Goods::default(),
                latest: None,
                observable: card.observable,
                waits: false,
            })
            .collect();
        Self {
            roster,
            places,
            components,
            clock: ClockState::Unknown,
            stamp_errors: BTreeMap::new(),
            ids: fastrand::Rng::with_seed(seed),
        }
    }

    /// What is measured.
    #[must_use]
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Where a component stands in the roster.
    #[must_use]
    pub fn position(&self, id: &ComponentId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// The confirmed phase of a component.
    #[must_use]
    pub fn phase(&self, place: usize) -> Phase {
        self.components.get(place).map_or(Phase::Unobserved, |component| component.tracker.phase())
    }

    /// What is known of the runner's clock from now on. `stamp_errors` says by how much a platform's stamps may be wrong
    /// against it; those of platforms that are not in it cannot be compared.
    pub fn set_clock(&mut self, state: ClockState, stamp_errors: BTreeMap<PlatformId, Duration>) {
        self.clock = state;
        self.stamp_errors = stamp_errors;
    }

    /// The initial phase of every component, told once at the start.
    #[must_use]
    pub fn initial_events(&self, now: Now) -> Vec<Event> {
        (0..self.components.len())
            .filter_map(|place| self.phase_event(place, self.phase(place), now))
            .collect()
    }

    /// Takes one report. Reports of unknown components change nothing.
    pub fn observe(&mut self, report: &ProbeReport, now: Now) -> Observed {
        let Some(place) = self.position(&report.component_id) else {
            return Observed::nothing(Vec::new());
        };
        let first = self.components[place].latest.is_none();
        let overtaken = self.take_in(place, report);
        let freed = if first { self.freed_by(place) } else { Vec::new() };
        let judged = self.judge(place, report);
        self.components[place].waits = self.lacks_a_probe(place);
        let mut events = vec![Event::Probe(ProbeEvent {
            at: now.wall,
            component_id: report.component_id.clone(),
            path: report.path.clone(),
            verdict: judged.verdict,
            latency_ms: report.latency.map(|latency| (latency.as_secs_f64() * 1e5).round() / 100.0),
            served_by: report.served_by.clone(),
            reason: judged.reason.clone(),
            burst: report.burst,
            steps: report.steps.clone(),
        })];
        if overtaken {
            return Observed::nothing(events);
        }
        let turned = self.see_links(place, report);
        let mut tracker = std::mem::take(&mut self.components[place].tracker);
        let mut ids = self.ids.clone();
        let failing = self.failing(place, &judged.failing);
        let passing: Vec<(&ComponentId, Span)> = judged
            .passing
            .iter()
            .filter_map(|part| {
                Some((&self.roster.components.get(*part)?.id, self.components[*part].latest.as_ref()?.span))
            })
            .collect();
        let judgement = Judgement {
            verdict: judged.verdict,
            own: report.span,
            health_passed: report.health_passed,
            served_by: report.served_by.as_deref(),
            passing,
            why: judged.reason.as_deref(),
            restored_at: report
                .steps
                .iter()
                .filter_map(|step| Some((&*step.name, step.restored_at?)))
                .collect(),
            stamp_error: self.stamp_errors.get(&self.roster.components[place].platform).copied(),
            clock: self.clock,
            failing,
        };
        let bad_evidence: Vec<(ComponentId, Span)> =
            judgement.failing.iter().map(|failing| (failing.part.clone(), failing.evidence)).collect();
        let rules = &self.components[place].rules;
        let (counted, changes) = tracker.judge(&judgement, rules, now, || new_id(now, &mut ids));
        self.ids = ids;
        self.components[place].tracker = tracker;
        for change in changes {
            events.extend(self.tell(place, change, now, judged.reason.as_deref()));
        }
        events.extend(self.breach(place, now, judged.verdict.is_bad()));
        events.extend(self.tell_links(place, &turned, &events, now));
        let bad_evidence = if counted == Counted::Bad { bad_evidence } else { Vec::new() };
        Observed { events, counted, bad_evidence, freed }
    }

    /// Puts a report where dependants see it; says whether it was overtaken and proves nothing.
    fn take_in(&mut self, place: usize, report: &ProbeReport) -> bool {
        let component = &mut self.components[place];
        if report.verdict.is_bad() && component.goods.overtook(report.span.start) {
            return true;
        }
        let mut failed: Vec<&StepReport> =
            report.steps.iter().filter(|step| step.state == StepState::Failed).collect();
        failed.sort_by_key(|step| step.span != Some(report.evidence));
        component.latest = Some(Latest {
            verdict: report.verdict,
            span: report.span,
            evidence: report.evidence,
            last_good_start: component.goods.last_start_before(report.evidence),
            failed_steps: failed
                .iter()
                .map(|step| SeenFailing {
                    step: step.name.to_string(),
                    span: step.span.unwrap_or(report.evidence),
                    onset_at: step.onset_at,
                })
                .collect(),
            reason: report.reason.clone(),
            health_passed: report.health_passed,
        });
        if report.verdict == Verdict::Up {
            component.goods.add(report.span);
        }
        false
    }

    /// The components that only waited for the first probe of this one.
    fn freed_by(&mut self, place: usize) -> Vec<usize> {
        let mut freed = self.components[place].needed_by.clone();
        freed.retain(|other| {
            let ready = !self.lacks_a_probe(*other);
            ready && std::mem::take(&mut self.components[*other].waits)
        });
        freed
    }

    /// Tells what time alone brings about: breaches of the target. To be called at [`Measurement::next_deadline`].
    pub fn tick(&mut self, now: Now) -> Vec<Event> {
        (0..self.components.len())
            .filter_map(|place| {
                let bad =
                    self.components[place].latest.as_ref().is_some_and(|latest| latest.verdict.is_bad())
                        || self.needs_bad(place);
                self.breach(place, now, bad)
            })
            .collect()
    }

    /// When [`Measurement::tick`] has something to look at next.
    #[must_use]
    pub fn next_deadline(&self, after: Moment) -> Option<Moment> {
        self.components
            .iter()
            .filter_map(|component| {
                let outage = component.tracker.open().filter(|outage| !outage.violation_told)?;
                Some(outage.t_detect + component.rules.target)
            })
            .filter(|deadline| *deadline > after)
            .min()
    }

    /// The runner saw nothing from `from` to `until`.
    pub fn gap(&mut self, from: Moment, until: Moment, reason: &str, now: Now) -> Vec<Event> {
        let length = until.since(from);
        let mut events = vec![Event::Gap(GapEvent {
            at: now.wall,
            from: now.wall_at(from),
            until: now.wall_at(until),
            reason: reason.to_owned(),
        })];
        for place in 0..self.components.len() {
            let component = &mut self.components[place];
            // A bad probe from before the gap confirms nothing after it, not in a dependant either.
            component.latest.take_if(|latest| latest.verdict.is_bad());
            let overlap =
                component.tracker.open().map_or(length, |outage| length.min(until.since(outage.t_detect)));
            if component.tracker.gap(overlap) {
                events.extend(self.phase_event(place, Phase::Unobserved, now));
            }
        }
        events
    }
}

/// Places of everything that a component needs, directly and through others, each once.
fn all_needs(roster: &Roster, places: &HashMap<ComponentId, usize>, place: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let mut open = vec![place];
    while let Some(next) = open.pop() {
        for id in &roster.components[next].depends_on {
            if let Some(need) = places.get(id).copied()
                && need != place
                && !found.contains(&need)
            {
                found.push(need);
                open.push(need);
            }
        }
    }
    found
}

/// A UUID v7 of this millisecond.
fn new_id(now: Now, random: &mut fastrand::Rng) -> String {
    let millis = u64::try_from(now.wall.timestamp_millis()).unwrap_or(0);
    let mut bytes = [0_u8; 10];
    random.fill(&mut bytes);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().to_string()
}
