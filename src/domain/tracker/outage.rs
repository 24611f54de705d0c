//! An outage while it is open: its timestamps, its evidence part by part, and the good run that may end it.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Judgement, Rules,
    bounds::{Side, Stamp, StampNote},
    chain::{Chain, FailedStep},
};
use crate::domain::{ComponentId, Moment, Span, Verdict, record::ClockState, time::Now};

/// One failing part of a bad verdict: the own journey, or one dependency's.
#[derive(Clone, Debug)]
pub struct Failing<'a> {
    /// Whose journey failed.
    pub part: &'a ComponentId,
    /// When its failing step ran.
    pub evidence: Span,
    /// The latest start of a good probe of this part that had ended by then.
    pub last_good_start: Option<Moment>,
    /// What failed, the step that is the evidence first.
    pub failed_steps: Vec<FailedStep<'a>>,
    /// By how much stamps of the part's platform may be wrong; `None` when the clocks cannot be compared.
    pub stamp_error: Option<Duration>,
}

/// An outage, confirmed or still a draft.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and none follows from another")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// The id that its record will carry (UUID v7).
    pub id: String,
    /// Whether enough bad verdicts came in a row.
    pub confirmed: bool,
    /// End of the first bad evidence.
    pub t_detect: Moment,
    /// The same on the wall clock, frozen.
    pub t_detect_wall: DateTime<Utc>,
    /// Latest start of counted bad evidence.
    pub last_bad_start: Moment,
    /// Latest end of counted bad evidence.
    pub last_bad_end: Moment,
    /// Who served before T_detect.
    pub served_before: Option<String>,
    /// When a declared secondary was first seen.
    pub t_failover: Option<Moment>,
    /// End of the first probe whose health step passed after it had failed.
    pub health_back: Option<Moment>,
    /// Whether the health step failed in it.
    pub health_failed: bool,
    /// Who serves now.
    pub served_by: Option<String>,
    /// The good verdicts in a row since the last bad one.
    pub run: Option<GoodRun>,
    /// `down` or `degraded`, as the last bad verdict said.
    pub verdict: Verdict,
    /// Why, as the last bad verdict said.
    pub reason: String,
    /// What failed in it, in the order of first sight.
    pub failed_steps: Vec<String>,
    /// Probes that could not see.
    pub blind_probes: u32,
    /// Time in which the runner saw nothing.
    pub gap: Duration,
    /// Whether the breach of the target was told.
    pub violation_told: bool,
    /// What was known of the runner's clock at T_detect.
    #[serde(default)]
    pub clock: ClockState,
    /// How wrong durations are at most that cross a change of the monotonic clock.
    pub clock_error: Duration,
    /// What it had provably lasted when the monotonic clock changed and nothing told how wrong the wall clock was: then only
    /// this much is sure, and there is no upper bound.
    pub sure_before: Option<Duration>,
    /// Stamps of the platform for the beginning of the failure, one for each step that gave one.
    pub onset_stamps: Vec<Stamp>,
    /// Stamps that were left aside.
    pub stamp_notes: Vec<StampNote>,
    /// The journey, its platform or the dependencies were changed while it was open: nobody knows any more when what had failed was back.
    #[serde(default)]
    pub lost_sight: bool,
    /// The links that failed, and since when they are back.
    #[serde(default)]
    pub chain: Chain,
    pub(super) parts: Vec<Part>,
}

/// What is known of one part's failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    id: ComponentId,
    /// The latest good start before this part's first counted bad evidence.
    pub(super) last_good_start: Option<Moment>,
    /// The last evidence that counted.
    last: Span,
    /// Latest end of this part's counted bad evidence.
    last_end: Moment,
}

/// Good verdicts in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoodRun {
    /// How many.
    pub count: u32,
    /// The end of the first of them: T_restore.
    pub first_end: Moment,
    /// The latest end of any evidence of the first, dependencies included.
    pub proven_by: Moment,
    /// Who served at the first.
    pub served_by: Option<String>,
    /// Stamps of the platform for the end of the failure, from the first of them.
    pub restored_stamps: Vec<Stamp>,
    /// What was known of the runner's clock at the first.
    #[serde(default)]
    pub clock: ClockState,
}

impl Outage {
    pub(super) fn draft(
        id: String,
        t_detect: Moment,
        t_detect_wall: DateTime<Utc>,
        served_before: Option<String>,
        clock: ClockState,
    ) -> Self {
        Self {
            id,
            confirmed: false,
            t_detect,
            t_detect_wall,
            last_bad_start: t_detect,
            last_bad_end: t_detect,
            served_by: served_before.clone(),
            served_before,
            t_failover: None,
            health_back: None,
            health_failed: false,
            run: None,
            verdict: Verdict::Down,
            reason: String::new(),
            failed_steps: Vec::new(),
            blind_probes: 0,
            gap: Duration::ZERO,
            violation_told: false,
            clock,
            clock_error: Duration::ZERO,
            sure_before: None,
            onset_stamps: Vec::new(),
            stamp_notes: Vec::new(),
            lost_sight: false,
            chain: Chain::default(),
            parts: Vec::new(),
        }
    }

    /// Whether this very probe was counted before.
    pub(super) fn has_counted(&self, failing: &Failing<'_>) -> bool {
        self.parts.iter().any(|part| part.id == *failing.part && part.last == failing.evidence)
    }

    /// Counts one piece of bad evidence.
    pub(super) fn count(&mut self, failing: &Failing<'_>, now: Now) {
        let evidence = failing.evidence;
        if let Some(part) = self.parts.iter_mut().find(|part| part.id == *failing.part) {
            part.last = evidence;
            part.last_end = part.last_end.max(evidence.end);
        } else {
            if self.parts.is_empty() {
                self.last_bad_start = evidence.start;
            }
            self.parts.push(Part {
                id: failing.part.clone(),
                last_good_start: failing.last_good_start,
                last: evidence,
                last_end: evidence.end,
            });
        }
        self.last_bad_start = self.last_bad_start.max(evidence.start);
        self.last_bad_end = self.last_bad_end.max(evidence.end);
        for step in &failing.failed_steps {
            self.chain.fail(failing.part, step);
            if !self.failed_steps.contains(&step.name) {
                self.failed_steps.push(step.name.clone());
                let stamp =
                    step.onset_at.map(|at| Stamp::new(&step.name, Side::Onset, at, failing.stamp_error, now));
                self.onset_stamps.extend(stamp);
            }
        }
    }

    /// Whether nothing but journeys of these components failed in it.
    pub(super) fn is_only_of(&self, components: &BTreeSet<ComponentId>) -> bool {
        self.parts.iter().all(|part| components.contains(&part.id))
    }

    /// Good and bad verdicts speak of other things from now on: only those parts that are in `same` are still seen as before.
    /// Links of which nothing `exists` any more are left out.
    pub(super) fn lose_sight(
        &mut self,
        same: &BTreeSet<ComponentId>,
        exists: impl Fn(&ComponentId, &str) -> bool,
    ) {
        self.lost_sight |= !self.is_only_of(same);
        self.chain.keep(exists);
    }

    pub(super) fn note_verdict(&mut self, verdict: Verdict, reason: &str) {
        self.verdict = verdict;
        if self.reason != reason {
            reason.clone_into(&mut self.reason);
        }
    }

    /// Whether a good verdict started after every counted bad one had ended, each dependency's part after that
    /// dependency's own.
    pub(super) fn admits_good(&self, judgement: &Judgement<'_>) -> bool {
        judgement.own.start > self.last_bad_end
            && self.parts.iter().all(|bad| {
                judgement
                    .passing
                    .iter()
                    .filter(|(part, _)| **part == bad.id)
                    .all(|(_, span)| span.start > bad.last_end)
            })
    }

    /// Adds a good verdict to the run; says how many there are now.
    pub(super) fn extend_run(&mut self, judgement: &Judgement<'_>, now: Now) -> u32 {
        let failed_steps = &self.failed_steps;
        let run = self.run.get_or_insert_with(|| GoodRun {
            count: 0,
            clock: judgement.clock,
            first_end: judgement.own.end,
            proven_by: judgement
                .passing
                .iter()
                .fold(judgement.own.end, |latest, (_, span)| latest.max(span.end)),
            served_by: judgement.served_by.map(str::to_owned),
            restored_stamps: judgement
                .restored_at
                .iter()
                .filter(|(step, _)| failed_steps.iter().any(|failed| failed == step))
                .map(|(step, at)| Stamp::new(step, Side::Restored, *at, judgement.stamp_error, now))
                .collect(),
        });
        run.count += 1;
        run.count
    }

    /// Follows who serves and whether the health step is back; says whether a failover was first seen now.
    pub(super) fn follow(&mut self, judgement: &Judgement<'_>, rules: &Rules) -> bool {
        let end = judgement.own.end;
        match judgement.health_passed {
            Some(false) => self.health_failed = true,
            Some(true) if self.health_failed && self.health_back.is_none() => self.health_back = Some(end),
            _ => {}
        }
        let Some(served) = judgement.served_by else { return false };
        if self.served_by.as_deref() != Some(served) {
            self.served_by = Some(served.to_owned());
        }
        let took_over = self.t_failover.is_none()
            && end > self.t_detect
            && self.served_before.as_deref() != Some(served)
            && rules.secondary.iter().any(|secondary| secondary == served);
        if took_over {
            self.t_failover = Some(end);
        }
        took_over
    }

    /// The latest instant before which the first failure cannot have begun; `None` when some part was never seen good.
    #[must_use]
    pub fn onset_after(&self) -> Option<Moment> {
        self.parts.iter().map(|part| part.last_good_start).min().flatten()
    }

    /// How long it has provably lasted: to the last counted bad evidence.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.last_bad_end.since(self.t_detect)
    }

    /// An instant of the outage on the wall clock, by monotonic distance to T_detect.
    #[must_use]
    pub fn wall_at(&self, moment: Moment) -> DateTime<Utc> {
        Now { moment: self.t_detect, wall: self.t_detect_wall }.wall_at(moment)
    }

    /// `error` is by how much `shift` may be wrong; `None` when nobody knows.
    pub(super) fn carry_over(&mut self, shift: i64, error: Option<Duration>) {
        if error.is_none() {
            let sure = self.sure_before.unwrap_or_default().max(self.last_bad_start.since(self.t_detect));
            self.sure_before = Some(sure);
        }
        let moved = |moment: Moment| Moment::from_nanos(moment.as_nanos().saturating_add(shift));
        for moment in [&mut self.t_detect, &mut self.last_bad_start, &mut self.last_bad_end] {
            *moment = moved(*moment);
        }
        for moment in [&mut self.t_failover, &mut self.health_back] {
            *moment = moment.map(moved);
        }
        for part in &mut self.parts {
            part.last_good_start = part.last_good_start.map(moved);
            part.last = Span::new(moved(part.last.start), moved(part.last.end));
            part.last_end = moved(part.last_end);
        }
        for stamp in &mut self.onset_stamps {
            stamp.at = moved(stamp.at);
        }
        self.chain.carry_over(shift);
        self.clock_error += error.unwrap_or_default();
    }
}
