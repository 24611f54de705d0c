//! How a service is at one moment: all changes up to then, applied in their order.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;

use super::{Change, State};

/// How a service is at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Its state.
    pub state: State,
    /// When that state began, after the scenario's start; `None` when it was always so.
    pub since: Option<Duration>,
    /// Who serves it; `None` for the service's usual.
    pub served_by: Option<Arc<str>>,
    /// When that last changed, after the scenario's start; `None` when it never did.
    pub moved: Option<Duration>,
    /// Whether a switch to another region is under way.
    pub moving: bool,
    /// The median of its latency; `None` for the service's usual.
    pub median: Option<Duration>,
    /// The standard deviation of its latency's logarithm; `None` for the usual.
    pub sigma: Option<f64>,
    /// How far the platform's clock is ahead of ours.
    pub skew: TimeDelta,
    /// How long its answers lay in a cache.
    pub age: Duration,
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            state: State::Up,
            since: None,
            served_by: None,
            moved: None,
            moving: false,
            median: None,
            sigma: None,
            skew: TimeDelta::zero(),
            age: Duration::ZERO,
        }
    }
}

impl Condition {
    /// Takes a change over that happens at `at` after the scenario's start.
    pub(super) fn apply(&mut self, change: &Change, at: Duration) {
        if let Some(state) = &change.state
            && *state != self.state
        {
            self.state = state.clone();
            self.since = Some(at);
        }
        if let Some(served_by) = &change.served_by
            && self.served_by.as_ref() != Some(served_by)
        {
            self.served_by = Some(Arc::clone(served_by));
            self.moved = Some(at);
        }
        self.moving = change.moving.unwrap_or(self.moving);
        self.median = change.median.or(self.median);
        self.sigma = change.sigma.or(self.sigma);
        self.skew = change.skew.unwrap_or(self.skew);
        self.age = change.age.unwrap_or(self.age);
    }

    /// What a new cycle begins with: peace, since the cycle's beginning where there was none before.
    pub(super) fn at_home_again(&self, began: Duration) -> Self {
        Self {
            since: if self.state == State::Up { self.since } else { Some(began) },
            moved: if self.served_by.is_none() { self.moved } else { Some(began) },
            ..Self::default()
        }
    }
}
