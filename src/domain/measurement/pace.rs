//! How fast a component is to be probed, as its state and that of its dependants ask for it.

use std::time::Duration;

use super::Measurement;
use crate::domain::Moment;

/// The pace of one component's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Whether it is the burst.
    pub burst: bool,
    /// From one start to the next.
    pub interval: Duration,
    /// Whether every probe resolves and connects afresh.
    pub fresh: bool,
    /// Whether the health step failed last, so that the burst asks only for it until it passes.
    pub health_only: bool,
}

impl Measurement {
    /// The pace of a component now: burst from the first bad verdict on, of its own or of a dependant, until the matter is
    /// settled; past twice the target an outage is probed at the cadence again.
    #[must_use]
    pub fn pace(&self, place: usize, now: Moment) -> Option<Pace> {
        let (component, card) = (self.components.get(place)?, self.roster.components.get(place)?);
        let troubled = component.tracker.is_troubled();
        let hurried = |place: usize| self.is_hurried(place, now);
        let burst = hurried(place) || component.needed_by.iter().copied().any(hurried);
        let latest = component.latest.as_ref();
        let last_bad = latest.is_some_and(|latest| latest.verdict.is_bad());
        Some(Pace {
            burst,
            interval: if burst { card.burst } else { card.cadence },
            fresh: troubled || last_bad,
            health_only: burst && latest.is_some_and(|latest| latest.health_passed == Some(false)),
        })
    }

    /// Whether a component's own trouble asks for the burst.
    fn is_hurried(&self, place: usize, now: Moment) -> bool {
        let component = &self.components[place];
        component.tracker.is_troubled()
            && component
                .tracker
                .open()
                .is_none_or(|outage| now.since(outage.t_detect) <= component.rules.target * 2)
    }

    /// The components whose pace may change with that of `place`: itself and everything that it needs.
    #[must_use]
    pub fn paced_with(&self, place: usize) -> &[usize] {
        self.components.get(place).map_or(&[], |component| &component.needs)
    }
}
