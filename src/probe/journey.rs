//! One run of a journey, from its first step to a report.
//!
//! Invariants: steps run in order and stop after the first group with a step that did not pass; clean-up is never part
//! of the verdict nor of the span; in a burst one run at a time goes past its health step; a run that makes way for another
//! schedule leaves nothing behind.

mod halt;
mod step;
mod verdict;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{
    budget::{Errand, Purse},
    client::Client,
    failure::Kind,
    foreign::{LONGEST, clean},
    plan::{self, Plan},
};
use crate::{
    clock::SharedClock,
    config::model::Component,
    domain::{Moment, PathName, ProbeReport, Span, StepReport, StepState, Verdict},
};
use halt::{Halt, before_end};
use step::Outcome;

/// How long a run waits for a first login that is under way.
const LOGIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a run that is to stop still cleans up.
const LAST_CLEAN_UP: Duration = Duration::from_millis(1500);

/// A component's journey, made ready to be run again and again.
#[derive(Debug)]
pub struct Journey {
    component: Arc<Component>,
    client: Arc<Client>,
    clock: SharedClock,
    plans: Vec<Plan>,
    /// Places of the steps that speak for the verdict; those of one group run together.
    groups: Vec<Vec<usize>>,
    /// The step that says who serves, where it is not the health step and can be asked beside it.
    served_apart: Option<usize>,
    path: PathName,
}

/// How one run is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// At the burst pace: the health step first, the rest only if no other run is past its own.
    pub burst: bool,
    /// Resolve and connect afresh.
    pub fresh: bool,
    /// The health step failed the last time: ask it alone, wherever it stands in the journey.
    pub health_only: bool,
}

/// What a run learnt about its platform besides the verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// An HTTP answer came that was no 429.
    pub answered: bool,
    /// Something on the other side answered at all.
    pub reached: bool,
    /// A 429 came, perhaps with the wait that it asks for.
    pub throttled: Option<Option<Duration>>,
    /// A 503 came that asks for this wait.
    pub slowed: Option<Duration>,
    /// HTTP requests that it was sent.
    pub requests: u32,
}

/// A run whose verdict is spoken.
#[derive(Debug)]
pub struct Judged {
    /// The report; `None` when the run was given up because another one was past its health step.
    pub report: Option<ProbeReport>,
    /// Whether it is bad because nothing answered, which may be our own network's fault.
    pub transport_failure: bool,
    /// Whether it is bad because nobody said what the host's name stands for.
    pub unresolved: bool,
    /// What it learnt about its platform.
    pub signals: Signals,
    /// What is to be cleaned up.
    pub leftovers: Option<Leftovers>,
}

/// What a run left behind; keeps the next run from going past its health step until it is cleaned up.
#[derive(Debug)]
pub struct Leftovers {
    vars: BTreeMap<String, String>,
    steps: Vec<usize>,
    not_before: Option<Moment>,
    permit: Option<Permit>,
    purse: Purse,
}

/// Lets one run of a component past its health step.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

/// Held by the run that is past its health step.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicBool>);

impl Gate {
    /// Whether a run is past its health step.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn pass(&self) -> Option<Permit> {
        let was_taken = self.0.swap(true, Ordering::AcqRel);
        (!was_taken).then(|| Permit(Arc::clone(&self.0)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What every step of a run goes by.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    vars: &'a BTreeMap<String, String>,
    not_before: Option<Moment>,
    purse: &'a Purse,
    errand: Errand,
}

/// The state of one run.
struct Run<'a> {
    journey: &'a Journey,
    vars: Cow<'a, BTreeMap<String, String>>,
    captured: Vec<String>,
    steps: Vec<StepReport>,
    transport: Vec<bool>,
    purse: Purse,
    unresolved: Vec<bool>,
    served_by: Option<String>,
    signals: Signals,
    start: Moment,
    not_before: Option<Moment>,
    /// Whether more than the health step was, or was to be, run.
    whole: bool,
    /// Whether a step was begun that may have created something.
    touched: bool,
}

impl Journey {
    /// Makes the journey of a component ready; `client` is its platform's.
    #[must_use]
    pub fn new(component: Arc<Component>, client: Arc<Client>, clock: SharedClock) -> Arc<Self> {
        let plans = plan::plan(&component, &client);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (place, step) in component.journey.iter().enumerate() {
            if step.cleanup {
                continue;
            }
            match groups.last_mut() {
                Some(group) if step.parallel => group.push(place),
                _ => groups.push(vec![place]),
            }
        }
        let mut journey =
            Self { component, client, clock, plans, groups, served_apart: None, path: PathName::primary() };
        journey.served_apart = journey.served_apart();
        Arc::new(journey)
    }

    /// One whole run in peace on fresh connections, clean-up included: what `warroom probe` shows.
    pub async fn probe(&self) -> ProbeReport {
        self.probe_until(&CancellationToken::new()).await.0
    }

    /// The same until it is told to stop: then the steps under way have half a second more, no other step begins, and what
    /// was left behind is cleaned up within a second and a half.
    pub async fn probe_until(&self, stop: &CancellationToken) -> (ProbeReport, Signals) {
        let order = Order { fresh: true, ..Order::default() };
        loop {
            let purse = self.client.budget.purse();
            let judged = self.judge_until(order, &Gate::default(), purse, Halt::Soon(stop)).await;
            let Some(mut report) = judged.report else { continue };
            let mut signals = judged.signals;
            let cleaned = async {
                if let Some(leftovers) = judged.leftovers {
                    let (steps, learnt) = self.clean_up(leftovers).await;
                    signals.add(learnt);
                    for (place, step) in steps {
                        report.steps[place] = step;
                    }
                }
                self.settle().await;
            };
            if before_end(stop, Some(LAST_CLEAN_UP), pin!(cleaned)).await.is_none() {
                tracing::warn!(component = %self.component.id, "stopped before the clean-up was finished");
            }
            return (report, signals);
        }
    }

    /// Runs the steps that speak for the verdict; its requests are paid for from the purse.
    pub async fn judge(&self, order: Order, gate: &Gate, purse: Purse) -> Judged {
        self.judge_or_make_way(order, gate, purse, &CancellationToken::new()).await
    }

    /// The same until another schedule goes on in this one's place: then the run ends as soon as all that it may have created
    /// can be cleaned up. A request that only reads is cut off; one that may create something is let end, in its own time.
    pub async fn judge_or_make_way(
        &self,
        order: Order,
        gate: &Gate,
        purse: Purse,
        make_way: &CancellationToken,
    ) -> Judged {
        self.judge_until(order, gate, purse, Halt::Cleanly(make_way)).await
    }

    async fn judge_until(&self, order: Order, gate: &Gate, purse: Purse, halt: Halt<'_>) -> Judged {
        let stop = halt.asked();
        // Before the run begins: the time is no part of it.
        let ready = stop.run_until_cancelled(self.client.session.ready(LOGIN_PATIENCE)).await;
        if let Err(reason) = ready.unwrap_or_else(|| Err("stopped before the login was decided".to_owned())) {
            return Run::new(self, order.fresh, purse).locked_out(order, &reason);
        }
        let health = self.component.health_step;
        let mut run = Run::new(self, order.fresh, purse);
        run.whole = !order.burst;
        let health_first =
            self.groups.first().is_some_and(|group| health.is_some_and(|place| group.contains(&place)));
        let mut done = Vec::new();
        if let Some(health) = health
            && order.burst
            && (health_first || (order.health_only && self.runs_alone(health)))
        {
            // Who serves is to be seen while the health step fails: that is when a failover comes.
            let ahead: Vec<usize> = std::iter::once(health).chain(self.served_apart).collect();
            let is_asked = run.group_until(&ahead, true, halt).await;
            if !is_asked || run.may_halt(halt) {
                return run.given_up();
            }
            if run.stopped() {
                return run.judged(order, None);
            }
            if health_first {
                done = ahead;
            }
        }
        let mut permit = None;
        if order.burst || !health_first {
            permit = gate.pass();
            if permit.is_none() {
                return run.given_up();
            }
            run.whole = true;
            if done.is_empty() {
                run = run.restart();
            }
        }
        for group in &self.groups {
            let rest: Vec<usize> = group.iter().copied().filter(|place| !done.contains(place)).collect();
            let is_done = run.group_until(&rest, false, halt).await;
            if run.made_way(halt) {
                return run.given_up();
            }
            if !is_done || run.may_halt(halt) || run.stopped() {
                break;
            }
            if permit.is_none() {
                permit = gate.pass();
                if permit.is_none() {
                    return run.given_up();
                }
            }
        }
        run.judged(order, permit)
    }

    /// Runs the clean-up steps, each whatever became of the one before.
    pub async fn clean_up(&self, leftovers: Leftovers) -> (Vec<(usize, StepReport)>, Signals) {
        let mut signals = Signals::default();
        let mut steps = Vec::with_capacity(leftovers.steps.len());
        for place in &leftovers.steps {
            let way = Way {
                vars: &leftovers.vars,
                not_before: leftovers.not_before,
                purse: &leftovers.purse,
                errand: Errand::CleanUp,
            };
            let outcome = self.step(*place, way).await;
            signals.add(outcome.signals);
            if let Some(reason) = &outcome.report.reason {
                tracing::warn!(component = %self.component.id, step = %outcome.report.name, reason, "clean-up failed");
            }
            steps.push((*place, outcome.report));
        }
        drop(leftovers.permit);
        (steps, signals)
    }

    fn served_apart(&self) -> Option<usize> {
        let failover = &self.component.failover;
        let place = failover.step.filter(|place| Some(*place) != self.component.health_step)?;
        let is_told = failover.served_by.is_some() && !failover.secondary.is_empty();
        let is_run = self.groups.iter().any(|group| group.contains(&place));
        (is_told && is_run && self.runs_alone(place)).then_some(place)
    }

    /// What a run asks for first, where that answer is shared.
    pub(crate) fn first_listing(&self) -> Option<&str> {
        self.plans[*self.groups.first()?.first()?].family.as_deref()
    }

    /// How old an answer may be that the health step is given, where it is the first step and shares it.
    pub(crate) fn listed_health(&self) -> Option<Duration> {
        let place = *self.groups.first()?.first()?;
        self.component.journey[place].shared.filter(|_| self.component.health_step == Some(place))
    }

    /// Waits a few seconds at most for calls of this platform that are being torn down.
    pub async fn settle(&self) {
        self.client.line.settle().await;
    }

    /// Whether a step needs nothing that another one captures.
    fn runs_alone(&self, place: usize) -> bool {
        self.plans[place].names.iter().all(|name| {
            self.component.vars.contains_key(name)
                && !self
                    .component
                    .journey
                    .iter()
                    .any(|step| step.capture.iter().any(|(other, _)| other == name))
        })
    }
}

impl<'a> Run<'a> {
    fn new(journey: &'a Journey, fresh: bool, purse: Purse) -> Self {
        let start = journey.clock.moment();
        let steps: Vec<StepReport> = journey
            .component
            .journey
            .iter()
            .map(|step| StepReport {
                name: Arc::clone(&step.name),
                state: StepState::NotRun,
                span: None,
                timings: None,
                reason: None,
                onset_at: None,
                restored_at: None,
            })
            .collect();
        Self {
            journey,
            vars: Cow::Borrowed(&journey.component.vars),
            captured: Vec::new(),
            transport: vec![false; steps.len()],
            purse,
            unresolved: vec![false; steps.len()],
            steps,
            served_by: None,
            signals: Signals::default(),
            start,
            not_before: fresh.then_some(start),
            whole: false,
            touched: false,
        }
    }

    /// Forgets a health step that was asked ahead: the whole chain is a probe of its own, which starts now.
    fn restart(self) -> Self {
        let Self { journey, signals, not_before, purse, touched, .. } = self;
        Self { signals, not_before, whole: true, touched, ..Self::new(journey, false, purse) }
    }

    async fn group(&mut self, places: &[usize]) {
        let journey = self.journey;
        let way =
            Way { vars: &self.vars, not_before: self.not_before, purse: &self.purse, errand: Errand::Step };
        if let [place] = places {
            let outcome = journey.step(*place, way).await;
            self.take(*place, outcome);
            return;
        }
        let steps = places.iter().map(|place| journey.step(*place, way));
        let outcomes = join_all(steps).await;
        for (place, outcome) in places.iter().zip(outcomes) {
            self.take(*place, outcome);
        }
    }

    fn take(&mut self, place: usize, outcome: Outcome) {
        self.signals.add(outcome.signals);
        self.unresolved[place] = outcome.kind == Some(Kind::Unresolved);
        self.transport[place] = matches!(outcome.kind, Some(Kind::Transport | Kind::Unresolved));
        if outcome.served_by.is_some() {
            self.served_by = outcome.served_by;
        }
        for (name, value) in outcome.captures {
            self.captured.push(name.clone());
            self.vars.to_mut().insert(name, value);
        }
        // A shared answer may have been asked for before this run began: what it says was true from then on.
        if let Some(span) = outcome.report.span {
            self.start = self.start.min(span.start);
        }
        self.steps[place] = outcome.report;
    }

    fn stopped(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.state, StepState::Failed | StepState::Blind))
    }

    /// Without its login a platform is asked nothing, and none of its components is seen.
    fn locked_out(mut self, order: Order, reason: &str) -> Judged {
        let journey = self.journey;
        let first = journey.groups.first().and_then(|group| group.first().copied());
        let shown = journey.component.health_step.or(first);
        if let Some(step) = shown.and_then(|place| self.steps.get_mut(place)) {
            step.state = StepState::Blind;
            step.reason = Some(clean(reason, LONGEST));
        }
        self.judged(order, None)
    }

    /// Another run is past its health step, or another schedule goes on: nothing is reported.
    fn given_up(self) -> Judged {
        Judged {
            report: None,
            transport_failure: false,
            unresolved: false,
            signals: self.signals,
            leftovers: self.leftovers(None),
        }
    }

    fn judged(mut self, order: Order, permit: Option<Permit>) -> Judged {
        let component = &self.journey.component;
        let end =
            self.steps.iter().filter_map(|step| step.span).map(|span| span.end).max().unwrap_or(self.start);
        let span = Span::new(self.start, end);
        let finding = verdict::of(&self.steps, &self.transport, component.health_step);
        let failing = finding.failing.map(|place| &self.steps[place]);
        let evidence = match failing.and_then(|step| step.span) {
            Some(failed) if finding.verdict.is_bad() => failed,
            _ => span,
        };
        let reason =
            failing.map(|step| format!("{}: {}", step.name, step.reason.as_deref().unwrap_or("failed")));
        let health = component.health_step.map(|place| &self.steps[place]);
        let latency = health.and_then(|step| step.timings).map(|timings| timings.total);
        let report = ProbeReport {
            component_id: component.id.clone(),
            path: self.journey.path.clone(),
            span,
            verdict: finding.verdict,
            evidence,
            health_passed: finding.health_passed,
            served_by: self.served_by.take(),
            latency,
            reason,
            burst: order.burst,
            steps: self.steps.clone(),
        };
        let failed_by =
            |kind: &[bool]| finding.verdict.is_bad() && finding.failing.is_some_and(|place| kind[place]);
        Judged {
            report: Some(report),
            transport_failure: failed_by(&self.transport),
            unresolved: failed_by(&self.unresolved),
            signals: self.signals,
            leftovers: self.leftovers(permit),
        }
    }

    /// The clean-up steps that can run, and that have something to clean up.
    fn leftovers(self, permit: Option<Permit>) -> Option<Leftovers> {
        let component = &self.journey.component;
        let places = (0..component.journey.len()).filter(|place| component.journey[*place].cleanup);
        let steps: Vec<usize> = places
            .filter(|place| {
                let names = &self.journey.plans[*place].names;
                names.iter().all(|name| self.vars.contains_key(name))
                    && (self.whole || names.iter().any(|name| self.captured.contains(name)))
            })
            .collect();
        if steps.is_empty() {
            return None;
        }
        let Self { vars, not_before, purse, .. } = self;
        Some(Leftovers { vars: vars.into_owned(), steps, not_before, permit, purse })
    }
}

impl Signals {
    fn add(&mut self, other: Self) {
        self.answered |= other.answered;
        self.reached |= other.reached;
        self.throttled = other.throttled.or(self.throttled);
        self.slowed = other.slowed.max(self.slowed);
        self.requests += other.requests;
    }
}

impl Judged {
    /// Takes back a verdict that our own network may have caused: the probe saw nothing.
    pub fn blind(report: &mut ProbeReport, why: &str) {
        report.verdict = Verdict::Blind;
        report.evidence = report.span;
        report.health_passed = report.health_passed.filter(|passed| *passed);
        for step in report.steps.iter_mut().filter(|step| step.state == StepState::Failed) {
            step.state = StepState::Blind;
        }
        let reason = report.reason.take().unwrap_or_default();
        report.reason = Some(format!("{reason}; {why}"));
    }
}
