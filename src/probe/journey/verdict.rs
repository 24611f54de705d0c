//! From the states of the steps to what the probe says.

use crate::domain::{StepReport, StepState, Verdict};

/// What a probe says, and by which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// The step that the verdict rests on, when it is not `up`.
    pub(crate) failing: Option<usize>,
    pub(crate) health_passed: Option<bool>,
}

/// Judges the steps. A failed step weighs more than a blind one beside it: what was seen to fail has failed.
pub(crate) fn of(steps: &[StepReport], transport: &[bool], health: Option<usize>) -> Finding {
    let state = |place: usize| steps[place].state;
    let health_passed = health.and_then(|place| match state(place) {
        StepState::Passed => Some(true),
        StepState::Failed => Some(false),
        _ => None,
    });
    let first = |wanted| (0..steps.len()).find(|place| state(*place) == wanted);
    let found = |verdict, failing| Finding { verdict, failing, health_passed };
    if health_passed == Some(false) {
        return found(Verdict::Down, health);
    }
    if let Some(place) = first(StepState::Failed) {
        let nothing_answers = health_passed.is_none() && transport[place];
        return found(if nothing_answers { Verdict::Down } else { Verdict::Degraded }, Some(place));
    }
    if let Some(place) = first(StepState::Blind) {
        return found(Verdict::Blind, Some(place));
    }
    // A journey of which nothing ran has seen nothing.
    let verdict = if first(StepState::Passed).is_some() { Verdict::Up } else { Verdict::Blind };
    found(verdict, None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use StepState::{Blind, Failed, NotRun, Passed, Unsupported};

    fn judge(states: &[StepState], health: usize, transport: bool) -> (Verdict, Option<usize>, Option<bool>) {
        let steps: Vec<StepReport> = states
            .iter()
            .map(|state| StepReport {
                name: Arc::from("step"),
                state: *state,
                span: None,
                timings: None,
                reason: None,
                onset_at: None,
                restored_at: None,
            })
            .collect();
        let finding = of(&steps, &vec![transport; steps.len()], Some(health));
        (finding.verdict, finding.failing, finding.health_passed)
    }

    /// The difference between down and degraded is what an on-call engineer acts on first.
    #[test]
    fn the_verdict_follows_the_health_step() {
        assert_eq!(judge(&[Passed, Passed], 0, false), (Verdict::Up, None, Some(true)));
        assert_eq!(judge(&[Failed, NotRun], 0, false), (Verdict::Down, Some(0), Some(false)));
        assert_eq!(judge(&[Passed, Failed], 0, true), (Verdict::Degraded, Some(1), Some(true)));
        assert_eq!(judge(&[Blind, NotRun], 0, false), (Verdict::Blind, Some(0), None));
        assert_eq!(judge(&[Passed, Blind], 0, false), (Verdict::Blind, Some(1), Some(true)));
        assert_eq!(judge(&[Unsupported, Passed], 1, false), (Verdict::Up, None, Some(true)));
    }

    #[test]
    fn a_step_before_the_health_step_that_nothing_answers_is_down() {
        assert_eq!(judge(&[Failed, NotRun], 1, true), (Verdict::Down, Some(0), None));
        assert_eq!(judge(&[Failed, NotRun], 1, false), (Verdict::Degraded, Some(0), None));
    }

    #[test]
    fn a_failure_that_was_seen_outweighs_a_throttled_step_beside_it() {
        assert_eq!(judge(&[Failed, Blind], 0, false), (Verdict::Down, Some(0), Some(false)));
        assert_eq!(judge(&[Passed, Blind, Failed], 0, false), (Verdict::Degraded, Some(2), Some(true)));
    }
}
