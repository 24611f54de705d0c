//! All components together: dependencies joined to verdicts, verdicts to events and records.
//!
//! Invariants: reports come in the order of their ends; the same reports at the same instants give the same events.

mod kept;
mod pace;
mod records;

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

pub use self::{
    kept::{Kept, KeptAt},
    pace::Pace,
};
use super::{
    ComponentId, Event, Moment, Percent, Phase, ProbeReport, Roster, Span, StepState, Verdict, compliance,
    event::{
        BlipEvent, GapEvent, OutageEvent, OutageView, PhaseEvent, ProbeEvent, RecoveryEvent, SwitchEvent,
        UnmeasuredEvent, ViolationEvent,
    },
    record::ClockState,
    time::{Now, epoch_seconds},
    tracker::{Change, Counted, Failing, Goods, Judgement, Rules, Tracker},
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
    stamp_error: Option<Duration>,
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
}

/// The last own probe that was not overtaken: what dependants see of a component.
#[derive(Debug)]
struct Latest {
    verdict: Verdict,
    span: Span,
    evidence: Span,
    last_good_start: Option<Moment>,
    failed_step: String,
    onset_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    health_passed: Option<bool>,
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
            })
            .collect();
        Self {
            roster,
            places,
            components,
            clock: ClockState::Unknown,
            stamp_error: None,
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

    /// What is known of the runner's clock from now on. `stamp_error` is by how much a platform's stamp may be wrong against it;
    /// `None` when the two cannot be compared.
    pub fn set_clock(&mut self, state: ClockState, stamp_error: Option<Duration>) {
        self.clock = state;
        self.stamp_error = stamp_error;
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
            return Observed { events: Vec::new(), counted: Counted::Not, bad_evidence: Vec::new() };
        };
        let overtaken = self.take_in(place, report);
        let judged = self.judge(place, report);
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
            return Observed { events, counted: Counted::Not, bad_evidence: Vec::new() };
        }
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
            stamp_error: self.stamp_error,
            failing,
        };
        let bad_evidence: Vec<(ComponentId, Span)> =
            judgement.failing.iter().map(|failing| (failing.part.clone(), failing.evidence)).collect();
        let was_troubled = tracker.is_troubled();
        let rules = &self.components[place].rules;
        let (counted, changes) = tracker.judge(&judgement, rules, now, || new_id(now, &mut ids));
        self.ids = ids;
        if !was_troubled && let Some(outage) = tracker.outage_mut() {
            outage.clock_unsafe = self.clock == ClockState::Unsafe;
        }
        self.components[place].tracker = tracker;
        for change in changes {
            events.extend(self.tell(place, change, now, judged.reason.as_deref()));
        }
        events.extend(self.breach(place, now, judged.verdict.is_bad()));
        let bad_evidence = if counted == Counted::Bad { bad_evidence } else { Vec::new() };
        Observed { events, counted, bad_evidence }
    }

    /// Puts a report where dependants see it; says whether it was overtaken and proves nothing.
    fn take_in(&mut self, place: usize, report: &ProbeReport) -> bool {
        let component = &mut self.components[place];
        if report.verdict.is_bad() && component.goods.overtook(report.span.start) {
            return true;
        }
        let failed = report.steps.iter().find(|step| step.state == StepState::Failed);
        component.latest = Some(Latest {
            verdict: report.verdict,
            span: report.span,
            evidence: report.evidence,
            last_good_start: component.goods.last_start_before(report.evidence),
            failed_step: failed.map(|step| step.name.to_string()).unwrap_or_default(),
            onset_at: failed.and_then(|step| step.onset_at),
            reason: report.reason.clone(),
            health_passed: report.health_passed,
        });
        if report.verdict == Verdict::Up {
            component.goods.add(report.span);
        }
        false
    }

    fn judge(&self, place: usize, report: &ProbeReport) -> Judged {
        let bad: Vec<usize> = self.components[place]
            .needs
            .iter()
            .copied()
            .filter(|need| {
                self.components[*need].latest.as_ref().is_some_and(|latest| latest.verdict.is_bad())
            })
            .collect();
        match report.verdict {
            Verdict::Down | Verdict::Degraded => Judged {
                verdict: report.verdict,
                reason: report.reason.clone(),
                failing: std::iter::once(place).chain(bad).collect(),
                passing: Vec::new(),
            },
            Verdict::Blind => Judged::blind(report.reason.clone()),
            Verdict::Up => {
                if let Some(reason) = self.blind_need(place) {
                    return Judged::blind(Some(reason));
                }
                let Some(first) = bad.first() else {
                    let observable = |need: &usize| self.components[*need].observable;
                    let needs = self.components[place].needs.iter().copied().filter(observable);
                    return Judged {
                        verdict: Verdict::Up,
                        reason: None,
                        failing: Vec::new(),
                        passing: std::iter::once(place).chain(needs).collect(),
                    };
                };
                let name = &self.roster.components[*first].name;
                let why = self.components[*first].latest.as_ref().and_then(|latest| latest.reason.as_deref());
                Judged {
                    verdict: Verdict::Degraded,
                    reason: Some(format!("dependency {name}: {}", why.unwrap_or("bad"))),
                    failing: bad,
                    passing: Vec::new(),
                }
            }
        }
    }

    /// Why a dependency cannot be seen, if one cannot. One that this version cannot observe at all is left out.
    fn blind_need(&self, place: usize) -> Option<String> {
        self.components[place].needs.iter().find_map(|need| {
            let (needed, name) = (&self.components[*need], &self.roster.components[*need].name);
            match &needed.latest {
                _ if !needed.observable => None,
                None => Some(format!("dependency {name}: not probed yet")),
                Some(latest) if latest.verdict == Verdict::Blind => {
                    Some(format!("dependency {name}: {}", latest.reason.as_deref().unwrap_or("blind")))
                }
                Some(_) => None,
            }
        })
    }

    /// The failing parts of a bad verdict on `place`; a dependency's step is named with the dependency.
    fn failing(&self, place: usize, parts: &[usize]) -> Vec<Failing<'_>> {
        parts
            .iter()
            .filter_map(|part| {
                let latest = self.components[*part].latest.as_ref()?;
                let card = &self.roster.components[*part];
                let step = &latest.failed_step;
                Some(Failing {
                    part: &card.id,
                    evidence: latest.evidence,
                    last_good_start: latest.last_good_start,
                    failed_step: if *part == place { step.clone() } else { format!("{}: {step}", card.name) },
                    onset_at: latest.onset_at,
                })
            })
            .collect()
    }

    fn tell(&mut self, place: usize, change: Change, now: Now, reason: Option<&str>) -> Vec<Event> {
        let component_id = self.roster.components[place].id.clone();
        match change {
            Change::Phase(phase) => self.phase_event(place, phase, now).into_iter().collect(),
            Change::Progress => {
                let path = super::PathName::primary();
                let told = |outage| Event::Outage(OutageEvent { at: now.wall, component_id, path, outage });
                self.outage_view(place).map(told).into_iter().collect()
            }
            Change::Blip => {
                vec![Event::Blip(BlipEvent { at: now.wall, component_id, reason: reason.map(str::to_owned) })]
            }
            Change::Switch { from, to } => {
                vec![Event::Switch(SwitchEvent { at: now.wall, component_id, from, to })]
            }
            Change::Closed(closed) => {
                if closed.outage.clock_unsafe || self.clock == ClockState::Unsafe {
                    return vec![Event::Unmeasured(UnmeasuredEvent {
                        at: now.wall,
                        component_id,
                        t_detect_epoch: epoch_seconds(closed.outage.t_detect_wall),
                        t_restore_epoch: epoch_seconds(closed.outage.wall_at(closed.t_restore)),
                        reason: "the runner's clock was unsafe".to_owned(),
                    })];
                }
                let record = self.record(place, &closed);
                let card = &self.roster.components[place];
                let seen_whole = record.blind_probes == 0 && closed.outage.gap.is_zero();
                let breached = closed.t_restore.since(closed.outage.t_detect) > card.target_rto
                    && (seen_whole || closed.bounds.lower > card.target_rto);
                let used = record.rto_used_percentage;
                let mut events = Vec::new();
                if breached && !closed.outage.violation_told {
                    events.push(Event::Violation(ViolationEvent {
                        at: now.wall,
                        component_id,
                        rto_used_percentage: used,
                        open: false,
                    }));
                }
                events.push(Event::Recovery(RecoveryEvent { at: now.wall, record: Arc::new(record) }));
                events
            }
        }
    }

    /// Tells the breach of the target once, when it is sure: the last verdict was bad, or bad evidence lies beyond it.
    fn breach(&mut self, place: usize, now: Now, last_was_bad: bool) -> Option<Event> {
        let target = self.roster.components[place].target_rto;
        let component = &mut self.components[place];
        let phase = component.tracker.phase();
        let outage =
            component.tracker.outage_mut().filter(|outage| outage.confirmed && !outage.violation_told)?;
        let proven = outage.elapsed() > target;
        let running = last_was_bad && phase != Phase::Recovering && now.moment >= outage.t_detect + target;
        if !proven && !running {
            return None;
        }
        outage.violation_told = true;
        let used = if running { now.moment.since(outage.t_detect) } else { outage.elapsed() };
        Some(Event::Violation(ViolationEvent {
            at: now.wall,
            component_id: self.roster.components[place].id.clone(),
            rto_used_percentage: compliance::rto_used(used, target),
            open: true,
        }))
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

    /// Whether a dependency's last verdict is bad while the own one is not blind.
    fn needs_bad(&self, place: usize) -> bool {
        let own_blind =
            self.components[place].latest.as_ref().is_none_or(|latest| latest.verdict == Verdict::Blind);
        !own_blind
            && self.blind_need(place).is_none()
            && self.components[place].needs.iter().any(|need| {
                self.components[*need].latest.as_ref().is_some_and(|latest| latest.verdict.is_bad())
            })
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
            let overlap =
                component.tracker.open().map_or(length, |outage| length.min(until.since(outage.t_detect)));
            if component.tracker.gap(overlap) {
                events.extend(self.phase_event(place, Phase::Unobserved, now));
            }
        }
        events
    }

    /// The live compliance of a component's open outage.
    #[must_use]
    pub fn live_compliance(&self, place: usize) -> Option<Percent> {
        let component = self.components.get(place)?;
        let outage = component.tracker.open()?;
        Some(compliance::compliance(outage.elapsed(), component.rules.target))
    }

    fn phase_event(&self, place: usize, phase: Phase, now: Now) -> Option<Event> {
        let component = self.components.get(place)?;
        let card = &self.roster.components[place];
        let outage = component.tracker.open();
        Some(Event::Phase(PhaseEvent {
            at: now.wall,
            component_id: card.id.clone(),
            path: super::PathName::primary(),
            phase,
            t_detect_epoch: outage.map(|outage| epoch_seconds(outage.t_detect_wall)),
            outage: self.outage_view(place),
        }))
    }

    fn outage_view(&self, place: usize) -> Option<OutageView> {
        let outage = self.components.get(place)?.tracker.open()?;
        Some(OutageView {
            id: outage.id.clone(),
            verdict: outage.verdict,
            t_detect: outage.t_detect_wall,
            onset_after: outage.onset_after().map(|onset| outage.wall_at(onset)),
            t_failover: outage.t_failover.map(|at| outage.wall_at(at)),
            served_by: outage.served_by.clone(),
            restored_since: outage.run.as_ref().map(|run| outage.wall_at(run.first_end)),
            last_bad: outage.wall_at(outage.last_bad_end),
            reason: outage.reason.clone(),
            failed_steps: outage.failed_steps.clone(),
            blind_probes: outage.blind_probes,
            gap_seconds: outage.gap.as_secs_f64(),
        })
    }
}

/// A verdict and the places of the parts that speak for it.
struct Judged {
    verdict: Verdict,
    reason: Option<String>,
    failing: Vec<usize>,
    passing: Vec<usize>,
}

impl Judged {
    fn blind(reason: Option<String>) -> Self {
        Self { verdict: Verdict::Blind, reason, failing: Vec::new(), passing: Vec::new() }
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
