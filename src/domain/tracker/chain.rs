//! The links of an outage: when each was last seen bad, and since when it has been seen good.
//!
//! Invariant: a passing run counts for a link only if it started after the link's last bad one had ended; a failing run
//! that a good one has outlived says nothing any more. What is seen here moves no timestamp of the outage.

use serde::{Deserialize, Serialize};

use crate::domain::{
    ComponentId, Moment, Span, StepReport, StepState,
    chain::{ChainHealth, Link},
};

/// Every link that failed in one outage, in the order of first sight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(Vec<ChainLink>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ChainLink {
    /// Whose step it is.
    part: ComponentId,
    /// Its name in that journey.
    step: String,
    /// Its name in records.
    name: String,
    /// Whether it is the own health step.
    health: bool,
    /// The last failing run.
    bad: Span,
    /// The first passing run since.
    good: Option<Span>,
}

/// One step that failed.
#[derive(Clone, Debug)]
pub struct FailedStep<'a> {
    /// Its name in its journey.
    pub step: &'a str,
    /// Its name in records: a dependency's step is named with the dependency.
    pub name: String,
    /// Whether it is the health step of the component whose outage it is.
    pub health: bool,
    /// When it ran.
    pub span: Span,
    /// When the platform itself saw the failure begin.
    pub onset_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Chain {
    /// A step failed as part of counted bad evidence.
    pub(super) fn fail(&mut self, part: &ComponentId, failed: &FailedStep<'_>) {
        match self.0.iter_mut().find(|link| link.part == *part && link.step == failed.step) {
            Some(link) => {
                link.see_bad(failed.span);
            }
            None => self.0.push(ChainLink {
                part: part.clone(),
                step: failed.step.to_owned(),
                name: failed.name.clone(),
                health: failed.health,
                bad: failed.span,
                good: None,
            }),
        }
    }

    /// Takes in what a probe of `part` saw of its steps; `probe` is when it ran. Says whether a link came back or went again.
    pub(super) fn see(&mut self, part: &ComponentId, steps: &[StepReport], probe: Span) -> bool {
        let mut turned = false;
        for link in self.0.iter_mut().filter(|link| link.part == *part) {
            let Some(step) = steps.iter().find(|step| *step.name == link.step) else { continue };
            let span = step.span.unwrap_or(probe);
            turned |= match step.state {
                StepState::Failed => link.see_bad(span),
                StepState::Passed => link.see_good(span),
                StepState::Blind | StepState::NotRun | StepState::Unsupported => false,
            };
        }
        turned
    }

    /// Leaves out the links that are no part of the journey any more.
    pub(super) fn keep(&mut self, exists: impl Fn(&ComponentId, &str) -> bool) {
        self.0.retain(|link| exists(&link.part, &link.step));
    }

    /// Every link, those that came back in the order in which they did.
    #[must_use]
    pub fn links(&self, t_detect: Moment) -> Vec<Link> {
        let mut sorted: Vec<&ChainLink> = self.0.iter().collect();
        sorted.sort_by_key(|link| (link.good.is_none(), link.good.map(|good| good.end)));
        sorted
            .into_iter()
            .map(|link| Link {
                name: link.name.clone(),
                health: link.health,
                restored_after_seconds: link.good.map(|good| seconds(good.end, t_detect)),
            })
            .collect()
    }

    /// What the record says.
    #[must_use]
    pub fn health(&self, t_detect: Moment, t_restore: Moment) -> ChainHealth {
        let health = self.0.iter().find(|link| link.health);
        let back = health.and_then(|link| link.good);
        // One that was last seen bad before the health step came back was not what a look at it would have missed.
        let outlasted = |link: &&ChainLink| match (health, back) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(back)) => link.bad.end > back.end,
        };
        let last = self
            .0
            .iter()
            .filter(|link| !link.health)
            .filter(outlasted)
            .max_by_key(|link| (link.good.is_none(), link.good.map(|good| good.end)));
        ChainHealth {
            links: self.links(t_detect),
            health_restored_after_seconds: back.map(|back| seconds(back.end, t_detect)),
            held_back_by: last.map(|link| link.name.clone()),
            held_back_seconds: last.and(back).map(|back| seconds(t_restore, back.end)),
        }
    }

    pub(super) fn carry_over(&mut self, shift: i64) {
        let moved = |moment: Moment| Moment::from_nanos(moment.as_nanos().saturating_add(shift));
        let moved = |span: Span| Span::new(moved(span.start), moved(span.end));
        for link in &mut self.0 {
            link.bad = moved(link.bad);
            link.good = link.good.map(moved);
        }
    }
}

impl ChainLink {
    fn see_bad(&mut self, span: Span) -> bool {
        if self.good.is_some_and(|good| span.end <= good.start) {
            return false;
        }
        self.bad = if span.end > self.bad.end { span } else { self.bad };
        self.good.take().is_some()
    }

    fn see_good(&mut self, span: Span) -> bool {
        if self.good.is_some() || span.start < self.bad.end {
            return false;
        }
        self.good = Some(span);
        true
    }
}

/// Seconds to the millisecond, rounded half up.
fn seconds(at: Moment, from: Moment) -> f64 {
    ((at.since(from).as_nanos() + 500_000) / 1_000_000) as f64 / 1000.0
}
