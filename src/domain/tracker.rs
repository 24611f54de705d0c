//! One component's state machine: from verdicts to outages, from outages to recoveries.
//!
//! Invariants: a verdict is given in the order of the ends of the component's own probes; nothing that the tracker says
//! depends on when it is asked, only on the verdicts and their evidence.

mod anew;
mod bounds;
mod chain;
mod outage;

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    bounds::{Bounds, StampNote},
    chain::{Chain, FailedStep},
    outage::{Failing, Outage},
};
use super::{ComponentId, Moment, Phase, Span, StepReport, Verdict, record::ClockState, time::Now};

/// How many good probes are remembered to find the last one that ended before a failure began; probes overlap only in a
/// burst, where at most a handful are under way.
const GOODS: usize = 16;

/// What confirms an outage and a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Bad verdicts in a row that confirm an outage.
    pub failure_threshold: NonZeroU32,
    /// So many bad ones of the last so many confirm it too.
    pub failure_ratio: Option<(NonZeroU32, NonZeroU32)>,
    /// Good verdicts in a row that confirm a recovery.
    pub success_threshold: NonZeroU32,
    /// The target RTO.
    pub target: Duration,
    /// Values of `served_by` that are a secondary.
    pub secondary: Vec<String>,
}

/// A verdict with the evidence that speaks for it, and the part of the own probe that failover is seen in.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    /// The verdict, dependencies included.
    pub verdict: Verdict,
    /// The own probe.
    pub own: Span,
    /// Whether the own health step passed.
    pub health_passed: Option<bool>,
    /// Who served.
    pub served_by: Option<&'a str>,
    /// Every failing part of a bad verdict; empty otherwise.
    pub failing: Vec<Failing<'a>>,
    /// Every part of a good verdict: whose probe, and when it ran. Empty otherwise.
    pub passing: Vec<(&'a ComponentId, Span)>,
    /// Why the verdict is bad or blind.
    pub why: Option<&'a str>,
    /// Times that steps of the own journey give for the end of their failure, with the step's name.
    pub restored_at: Vec<(&'a str, DateTime<Utc>)>,
    /// How far the stamps of the own platform can be trusted; `None` when the clocks cannot be compared.
    pub stamp_error: Option<Duration>,
    /// What is known of the runner's clock.
    pub clock: ClockState,
}

/// What a verdict changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The phase is another one.
    Phase(Phase),
    /// The open outage became better known.
    Progress,
    /// An unconfirmed bad run ended.
    Blip,
    /// Another one serves, without an outage.
    Switch {
        /// Who served before.
        from: String,
        /// Who serves now.
        to: String,
    },
    /// The outage was closed; T_restore is inside.
    Closed(Box<Closed>),
}

/// A closed outage.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// What is known of it.
    pub outage: Outage,
    /// End of the first good verdict of the run that confirmed the recovery.
    pub t_restore: Moment,
    /// Who served at the restoration.
    pub served_by: Option<String>,
    /// In which the true duration lies.
    pub bounds: Bounds,
    /// What was known of the runner's clock at T_detect and T_restore, whichever says less for them.
    pub clock: ClockState,
}

/// What became of a verdict's evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It counted as bad.
    Bad,
    /// It counted as good.
    Good,
    /// It proved nothing: blind, overtaken, met before, or begun too early.
    Not,
}

/// The state of one component on one path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracker {
    phase: Phase,
    /// The open outage, or the draft of one that is not confirmed yet.
    outage: Option<Outage>,
    /// Counted bad verdicts in a row.
    bad_run: u32,
    /// The last counted verdicts, true for bad, for `failure_ratio`.
    recent: VecDeque<bool>,
    /// Who served at the last probe that told.
    served: Option<String>,
    /// T_restore of the last outage; a report that comes late never opens one before it.
    last_restore: Option<Moment>,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            phase: Phase::Unobserved,
            outage: None,
            bad_run: 0,
            recent: VecDeque::new(),
            served: None,
            last_restore: None,
        }
    }
}

impl Tracker {
    /// The phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The confirmed outage, if one is open.
    #[must_use]
    pub fn open(&self) -> Option<&Outage> {
        self.outage.as_ref().filter(|outage| outage.confirmed)
    }

    /// Whether a bad verdict was counted and the matter is not settled: an outage is open, or not yet confirmed.
    #[must_use]
    pub const fn is_troubled(&self) -> bool {
        self.outage.is_some()
    }

    /// The outage or the draft of one, to set what only its keeper knows.
    pub(super) fn outage_mut(&mut self) -> Option<&mut Outage> {
        self.outage.as_mut()
    }

    /// Takes in what a probe of a part of the chain saw of its steps, whatever it says of the whole; says whether a link
    /// came back or went again.
    pub fn see(&mut self, part: &ComponentId, steps: &[StepReport], probe: Span) -> bool {
        self.outage.as_mut().is_some_and(|outage| outage.chain.see(part, steps, probe))
    }

    /// Takes one verdict.
    pub fn judge(
        &mut self,
        judgement: &Judgement<'_>,
        rules: &Rules,
        now: Now,
        new_id: impl FnOnce() -> String,
    ) -> (Counted, Vec<Change>) {
        let mut changes = Vec::new();
        let mut told = self.phase;
        let was_troubled = self.outage.is_some();
        let mut took_over = self.outage.as_mut().is_some_and(|outage| outage.follow(judgement, rules));
        let counted = match judgement.verdict {
            Verdict::Blind => {
                if let Some(outage) = &mut self.outage {
                    outage.blind_probes += 1;
                }
                Counted::Not
            }
            Verdict::Down | Verdict::Degraded => self.bad(judgement, rules, now, new_id, &mut changes),
            Verdict::Up => self.good(judgement, rules, now, &mut changes),
        };
        if !was_troubled {
            took_over = self.outage.as_mut().is_some_and(|outage| outage.follow(judgement, rules));
        }
        if took_over && self.open().is_some() {
            if self.phase == Phase::Down {
                self.phase = Phase::FailedOver;
            }
            if !changes.contains(&Change::Phase(self.phase)) {
                changes.push(Change::Phase(self.phase));
            }
        }
        self.follow_server(judgement, was_troubled, &mut changes);
        for change in &mut changes {
            if let Change::Phase(phase) = change
                && std::mem::replace(&mut told, *phase) == *phase
            {
                *change = Change::Progress;
            }
        }
        (counted, changes)
    }

    fn bad(
        &mut self,
        judgement: &Judgement<'_>,
        rules: &Rules,
        now: Now,
        new_id: impl FnOnce() -> String,
        changes: &mut Vec<Change>,
    ) -> Counted {
        let fresh: Vec<&Failing<'_>> = judgement
            .failing
            .iter()
            .filter(|failing| !self.outage.as_ref().is_some_and(|outage| outage.has_counted(failing)))
            .collect();
        let Some(first_end) = fresh.iter().map(|failing| failing.evidence.end).min() else {
            return Counted::Not;
        };
        let first_end = self.last_restore.map_or(first_end, |restored| first_end.max(restored));
        let served = &self.served;
        let outage = self.outage.get_or_insert_with(|| {
            Outage::draft(new_id(), first_end, now.wall_at(first_end), served.clone(), judgement.clock)
        });
        for failing in &fresh {
            outage.count(failing, now);
        }
        outage.note_verdict(judgement.verdict, judgement.why.unwrap_or_default());
        self.bad_run += 1;
        self.remember(true, rules);
        let confirms = self.confirms(rules);
        if let Some(outage) = self.outage.as_mut().filter(|outage| outage.confirmed || confirms) {
            if !std::mem::replace(&mut outage.confirmed, true) && outage.t_failover.is_some() {
                changes.push(Change::Phase(Phase::Down));
            }
            outage.run = None;
            self.phase = if outage.t_failover.is_some() { Phase::FailedOver } else { Phase::Down };
            changes.push(Change::Phase(self.phase));
        }
        Counted::Bad
    }

    fn confirms(&self, rules: &Rules) -> bool {
        self.bad_run >= rules.failure_threshold.get()
            || rules.failure_ratio.is_some_and(|(bad, _)| {
                let found = self.recent.iter().filter(|bad| **bad).count();
                u32::try_from(found).unwrap_or(u32::MAX) >= bad.get()
            })
    }

    fn good(
        &mut self,
        judgement: &Judgement<'_>,
        rules: &Rules,
        now: Now,
        changes: &mut Vec<Change>,
    ) -> Counted {
        if self.outage.as_ref().is_some_and(|outage| !outage.admits_good(judgement)) {
            return Counted::Not;
        }
        self.remember(false, rules);
        self.bad_run = 0;
        match &mut self.outage {
            None => {
                if self.phase != Phase::Up {
                    self.phase = Phase::Up;
                    changes.push(Change::Phase(self.phase));
                }
            }
            Some(outage) if !outage.confirmed => {
                let before = outage.served_before.clone();
                self.outage = None;
                changes.push(Change::Blip);
                if self.phase != Phase::Up {
                    self.phase = Phase::Up;
                    changes.push(Change::Phase(self.phase));
                }
                let after = judgement.served_by.map(str::to_owned).or_else(|| self.served.clone());
                if let (Some(from), Some(to)) = (before, after)
                    && from != to
                {
                    changes.push(Change::Switch { from, to });
                }
            }
            Some(outage) => {
                let count = outage.extend_run(judgement, now);
                if count >= rules.success_threshold.get() {
                    self.close(changes);
                } else {
                    self.phase = Phase::Recovering;
                    changes.push(Change::Phase(self.phase));
                }
            }
        }
        Counted::Good
    }

    fn close(&mut self, changes: &mut Vec<Change>) {
        let Some(outage) = self.outage.take() else { return };
        let Some(run) = outage.run.clone() else { return };
        let bounds = Bounds::of(&outage, &run);
        self.last_restore = Some(run.first_end);
        self.recent.clear();
        self.phase = Phase::Up;
        changes.push(Change::Closed(Box::new(Closed {
            t_restore: run.first_end,
            clock: outage.clock.or_worse(run.clock),
            served_by: run.served_by,
            bounds,
            outage,
        })));
        changes.push(Change::Phase(self.phase));
    }

    /// Follows who serves outside of an outage, where a change is a switch of its own.
    fn follow_server(&mut self, judgement: &Judgement<'_>, was_troubled: bool, changes: &mut Vec<Change>) {
        let Some(served) = judgement.served_by else { return };
        if self.served.as_deref() == Some(served) {
            return;
        }
        let before = self.served.replace(served.to_owned());
        if let Some(from) = before
            && !was_troubled
            && self.outage.is_none()
        {
            changes.push(Change::Switch { from, to: served.to_owned() });
        }
    }

    fn remember(&mut self, bad: bool, rules: &Rules) {
        if let Some((_, of)) = rules.failure_ratio {
            self.recent.push_back(bad);
            while self.recent.len() > of.get() as usize {
                self.recent.pop_front();
            }
        }
    }

    /// The runner saw nothing for a while: an unconfirmed bad verdict is discarded, an open outage goes on.
    ///
    /// Says whether the phase changed.
    pub fn gap(&mut self, length: Duration) -> bool {
        self.bad_run = 0;
        self.recent.clear();
        match &mut self.outage {
            Some(outage) if outage.confirmed => {
                outage.gap += length;
                false
            }
            _ => {
                self.outage = None;
                std::mem::replace(&mut self.phase, Phase::Unobserved) != Phase::Unobserved
            }
        }
    }

    /// A recovery that had begun has not.
    fn fall_back(&mut self) {
        if let Some(outage) = self.outage.as_ref().filter(|_| self.phase == Phase::Recovering) {
            self.phase = if outage.t_failover.is_some() { Phase::FailedOver } else { Phase::Down };
        }
    }

    /// Carries the state over a restart, perhaps to another monotonic clock: every instant moves by `shift` nanoseconds, and
    /// durations across the change are wrong by at most `error`, or by nobody knows how much.
    ///
    /// A good run begins anew: what came between the last save and the end of the old process is not known.
    pub fn carry_over(&mut self, shift: i64, error: Option<Duration>) {
        let moved = |moment: Moment| Moment::from_nanos(moment.as_nanos().saturating_add(shift));
        self.last_restore = self.last_restore.map(moved);
        if let Some(outage) = &mut self.outage {
            outage.run = None;
            outage.carry_over(shift, error);
        }
        self.fall_back();
    }
}

/// The good probes of one component's own journey that are remembered, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Goods {
    spans: VecDeque<Span>,
    /// The latest start among all of them.
    latest_start: Option<Moment>,
}

impl Goods {
    /// Adds one.
    pub fn add(&mut self, span: Span) {
        self.spans.push_back(span);
        if self.spans.len() > GOODS {
            self.spans.pop_front();
        }
        self.latest_start = self.latest_start.max(Some(span.start));
    }

    /// Whether a bad probe that started then was overtaken: a good one started later and has already ended.
    #[must_use]
    pub fn overtook(&self, start: Moment) -> bool {
        self.latest_start.is_some_and(|good| good > start)
    }

    /// The latest start among those that had ended when the failing evidence began.
    #[must_use]
    pub fn last_start_before(&self, evidence: Span) -> Option<Moment> {
        self.spans.iter().filter(|good| good.end <= evidence.start).map(|good| good.start).max()
    }

    /// The newest one.
    #[must_use]
    pub fn newest(&self) -> Option<Span> {
        self.spans.back().copied()
    }

    /// Moves every instant.
    pub fn carry_over(&mut self, shift: i64) {
        let moved = |moment: Moment| Moment::from_nanos(moment.as_nanos().saturating_add(shift));
        for span in &mut self.spans {
            *span = Span::new(moved(span.start), moved(span.end));
        }
        self.latest_start = self.latest_start.map(moved);
    }
}
