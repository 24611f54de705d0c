//! What a component is shown as, in the words of the domain.
//!
//! Invariant: this only chooses which of the engine's words to show; it computes no verdict.

use crate::domain::{ComponentCard, Phase, StepState, Verdict, picture::ComponentPicture};

/// The state that a row shows, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The last counted verdict was good.
    Up,
    /// No step of it can be run by this version.
    Unsupported,
    /// Nothing was seen yet, or not since a gap.
    Unobserved,
    /// We could not see.
    Blind,
    /// An outage is open, and good verdicts have begun.
    Recovering,
    /// A later step or a dependency fails.
    Degraded,
    /// The health step fails or nothing answers.
    Down,
}

impl Status {
    /// All of them, worst last.
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Unsupported,
        Self::Unobserved,
        Self::Blind,
        Self::Recovering,
        Self::Degraded,
        Self::Down,
    ];

    /// What a component is shown as.
    #[must_use]
    pub fn of(card: &ComponentCard, component: &ComponentPicture) -> Self {
        if !card.observable {
            return Self::Unsupported;
        }
        if let Some(outage) = &component.outage {
            return match (component.phase, outage.verdict) {
                (Phase::Recovering, _) => Self::Recovering,
                (_, Verdict::Degraded) => Self::Degraded,
                _ => Self::Down,
            };
        }
        match (component.phase, component.verdict) {
            (Phase::Recovering, _) => Self::Recovering,
            (Phase::Up | Phase::Down | Phase::FailedOver, Some(Verdict::Degraded)) => Self::Degraded,
            (Phase::Down | Phase::FailedOver, _) | (Phase::Up, Some(Verdict::Down)) => Self::Down,
            (_, Some(Verdict::Blind)) => Self::Blind,
            (Phase::Unobserved, _) => Self::Unobserved,
            (Phase::Up, _) => Self::Up,
        }
    }

    /// The word on screens.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Recovering => "recovering",
            Self::Blind => "blind",
            Self::Unobserved => "unobserved",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Whether the last verdict is bad but no outage is confirmed.
#[must_use]
pub fn is_unconfirmed(component: &ComponentPicture) -> bool {
    component.outage.is_none() && !component.phase.is_open() && component.verdict.is_some_and(Verdict::is_bad)
}

/// What a journey step is shown as.
#[must_use]
pub const fn of_step(state: StepState) -> (Status, &'static str) {
    match state {
        StepState::Passed => (Status::Up, "passed"),
        StepState::Failed => (Status::Down, "failed"),
        StepState::Blind => (Status::Blind, "blind"),
        StepState::NotRun => (Status::Unobserved, "not run"),
        StepState::Unsupported => (Status::Unsupported, "unsupported"),
    }
}
