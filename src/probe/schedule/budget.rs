//! Our own ceiling on the requests to one platform.
//!
//! Invariant: no probe starts while the platform has had its number of requests within the time.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::config::model::Rate;

/// The requests of one platform within the time of its rate.
#[derive(Debug)]
pub(crate) struct Budget {
    rate: Option<Rate>,
    spent: VecDeque<Instant>,
}

impl Budget {
    /// Without a rate nothing is counted.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, spent: VecDeque::new() }
    }

    /// When a probe may start: now, or later when the ceiling is reached.
    pub(crate) fn free_at(&mut self, now: Instant) -> Instant {
        let Some(rate) = self.rate else { return now };
        while self.spent.front().is_some_and(|at| *at + rate.per <= now) {
            self.spent.pop_front();
        }
        let allowed = rate.requests.get() as usize;
        match self.spent.len().checked_sub(allowed) {
            None => now,
            Some(over) => self.spent.get(over).map_or(now, |at| *at + rate.per),
        }
    }

    /// Counts requests that were sent, or are about to be.
    pub(crate) fn spend(&mut self, requests: u32, now: Instant) {
        if self.rate.is_some() {
            self.spent.extend((0..requests).map(|_| now));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::time::Duration;

    use super::*;

    /// A platform that bans who asks too often must never be asked too often, whatever bursts.
    #[tokio::test(start_paused = true)]
    async fn no_window_holds_more_than_the_ceiling() {
        let per = Duration::from_mins(1);
        let mut budget = Budget::new(Some(Rate { requests: 10.try_into().unwrap(), per }));
        let start = Instant::now();
        let mut starts = Vec::new();
        for tick in 0..3_000 {
            let now = start + Duration::from_millis(100) * tick;
            if budget.free_at(now) <= now {
                budget.spend(1, now);
                starts.push(now);
            }
        }
        assert!(starts.windows(11).all(|window| window[10] - window[0] >= per));
        assert_eq!(starts.len(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_journey_is_paid_for_afterwards() {
        let per = Duration::from_secs(10);
        let mut budget = Budget::new(Some(Rate { requests: 2.try_into().unwrap(), per }));
        let now = Instant::now();
        budget.spend(5, now);
        assert_eq!(budget.free_at(now), now + per);
        let mut free = Budget::new(None);
        free.spend(1_000, now);
        assert_eq!(free.free_at(now), now);
    }
}
