//! How a budget goes from one schedule to the next.
//!
//! Invariant: what was sent under the old one counts under the new one.

use std::time::Duration;

use super::{Budget, queue::Queue, riders::Riders, throttle::Throttle};
use crate::config::model::Rate;

impl Budget {
    /// Another schedule goes on with this budget: what was sent and what the platform said stays in force, and whoever of
    /// the old one waits goes away empty-handed. `place` says where a component stands now; `is_elsewhere` whether the
    /// platform itself is another one, whose word the old one's is not. Says whether it was told to be throttled or stretched.
    pub(crate) fn take_over(
        &self,
        rate: Option<Rate>,
        is_elsewhere: bool,
        place: impl Fn(usize) -> Option<usize>,
    ) -> bool {
        let mut inner = self.lock();
        if inner.window.rate() != rate {
            inner.window.set_rate(rate);
            (inner.next_start, inner.pace) = (None, Duration::ZERO);
        }
        inner.queue = Queue::default();
        inner.riders = Riders::default();
        let was_throttled = inner.throttle.until().is_some();
        let was_stretched = inner.stretches.reseat(place);
        if is_elsewhere {
            inner.throttle = Throttle::new(0);
            inner.allowance.forget();
            inner.told = None;
        }
        drop(inner);
        self.news.notify_waiters();
        was_throttled || was_stretched
    }

    /// Nobody probes this platform any more, until another schedule does again.
    pub(crate) fn rest(&self) {
        let mut inner = self.lock();
        inner.queue = Queue::default();
        inner.riders = Riders::default();
        inner.stretches.reseat(|_| None);
    }
}
