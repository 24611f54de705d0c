//! When the screen changes by time alone.
//!
//! Invariant: a screen on which nothing counts seconds is not drawn every second.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::{State, View};
use crate::{console::list, domain::time::Now};

impl State {
    /// After how long the screen changes though nothing happens; `None` when it never does.
    #[must_use]
    pub fn next_change(&self, now: Now) -> Option<Duration> {
        let wall = self.picture.corrected(now.wall);
        let mut soonest = until_next(wall, TimeDelta::minutes(1));
        let mut consider = |wait: Option<Duration>| {
            soonest = match (soonest, wait) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        };
        let until = [
            self.remark.as_ref().map(|(_, until)| *until),
            self.asked.as_ref().map(|(_, until)| *until),
            self.since.as_ref().map(|(_, until)| *until),
        ];
        for until in until.into_iter().flatten() {
            consider(Some(until.since(now.moment)));
        }
        if self.counts_seconds(now) {
            consider(until_next(wall, TimeDelta::seconds(1)));
        }
        if self.view == View::Log {
            consider(Some(Duration::from_secs(1)));
        }
        if self.frozen.is_none() {
            for (card, component) in list::cards(&self.picture) {
                let limit = self.picture.interval(card).saturating_mul(2);
                let old_at = component.probed_at.map(|at| at + limit);
                // A moment later, because a value is old when it is older than two intervals.
                consider(
                    old_at
                        .and_then(|at| (at - wall).to_std().ok())
                        .map(|wait| wait + Duration::from_millis(1)),
                );
            }
        }
        soonest
    }

    /// Whether the screen shows something that counts seconds: a burn-down, a wait, how long it has been frozen or cut off.
    #[must_use]
    pub fn counts_seconds(&self, now: Now) -> bool {
        let wall = self.picture.corrected(now.wall);
        self.frozen.is_some()
            || self.lost.is_some()
            || self.picture.components.iter().any(|component| component.outage.is_some())
            || self.picture.platforms.values().any(|platform| {
                platform.throttled && platform.throttled_until.is_some_and(|until| until > wall)
            })
    }
}

/// The time to the next full unit of the wall clock.
fn until_next(wall: DateTime<Utc>, unit: TimeDelta) -> Option<Duration> {
    let begun = wall.duration_trunc(unit).ok()?;
    (begun + unit - wall).to_std().ok()
}
