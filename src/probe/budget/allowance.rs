//! What a platform's own headers still allow, and the pace that makes it last until there is more.
//!
//! Invariant: it only ever slows, and for five minutes at most without another look; it is forgotten when its time is over.

use std::time::Duration;

use tokio::time::Instant;

use super::throttle::LONGEST;
use crate::platform::rate_headers::Quota;

/// A quota as it stands now.
#[derive(Clone, Copy, Debug)]
struct Known {
    left: u64,
    until: Instant,
    limit: Option<u64>,
    window: Duration,
    /// Its reset is further off than is waited for.
    is_cut: bool,
    /// One request may look whether a quota that was cut still stands.
    looks: bool,
}

/// What one platform still allows.
#[derive(Debug, Default)]
pub(super) struct Allowance(Option<Known>);

impl Allowance {
    /// An answer told of a quota while so many requests were under way or about to be sent that it cannot have counted.
    pub(super) fn told(&mut self, quota: &Quota, uncounted: u64, now: Instant) {
        let left = quota.remaining.saturating_sub(uncounted);
        let window = quota.window.unwrap_or_default().max(quota.reset);
        // The first answer of a window tells its length best.
        let window = self.0.map_or(window, |known| window.max(known.window));
        let (until, is_cut) = (now + quota.reset.min(LONGEST), quota.reset > LONGEST);
        self.0 = Some(Known { left, until, limit: quota.limit, window, is_cut, looks: false });
    }

    /// A request met nothing that tells of a quota: the one that looked whether it still stands has its answer.
    pub(super) fn untold(&mut self) {
        self.0 = self.0.filter(|known| !known.looks);
    }

    /// Forgets what was told: a 429 knows better.
    pub(super) const fn forget(&mut self) {
        self.0 = None;
    }

    /// The most requests that a probe may reserve at once.
    pub(super) fn most(&self) -> u32 {
        let limit = self.0.and_then(|known| known.limit).unwrap_or(u64::MAX);
        u32::try_from(limit).unwrap_or(u32::MAX).max(1)
    }

    /// When a request may be sent: now, or when there are more.
    pub(super) fn free_at(&mut self, requests: u32, uncounted: u64, now: Instant) -> Instant {
        match self.at(uncounted, now) {
            Some(known) if known.left < u64::from(requests).min(known.limit.unwrap_or(u64::MAX)) => {
                known.until
            }
            _ => now,
        }
    }

    /// The time that a start with so many requests is to have for itself, so that what is left lasts until there is more;
    /// nothing while there is plenty.
    pub(super) fn gap(&mut self, requests: u32, uncounted: u64, now: Instant) -> Duration {
        let Some(known) = self.at(uncounted, now) else { return Duration::ZERO };
        if known.limit.is_some_and(|limit| known.left * 2 > limit) {
            return Duration::ZERO;
        }
        let left = u32::try_from(known.left).unwrap_or(u32::MAX).max(1);
        let rest = known.until.saturating_duration_since(now);
        (rest / left).saturating_mul(requests).min(rest)
    }

    /// Counts requests that are about to be sent.
    pub(super) fn take(&mut self, requests: u32) {
        if let Some(known) = &mut self.0 {
            known.left = known.left.saturating_sub(requests.into());
        }
    }

    /// Takes back what was not sent.
    pub(super) fn give_back(&mut self, requests: u32) {
        if let Some(known) = &mut self.0 {
            known.left += u64::from(requests);
        }
    }

    /// The quota, the next one where its time is over and its size is known. Of one whose reset is further off nobody knows
    /// whether it still stands: one request finds out.
    fn at(&mut self, uncounted: u64, now: Instant) -> Option<Known> {
        let known = self.0?;
        if now >= known.until {
            self.0 = if known.is_cut {
                Some(Known { left: 1, limit: Some(1), until: now + LONGEST, looks: true, ..known })
            } else {
                known.limit.map(|limit| Known {
                    left: limit.saturating_sub(uncounted),
                    until: now + known.window.clamp(Duration::from_secs(1), LONGEST),
                    ..known
                })
            };
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn quota(remaining: u64, reset: u64, limit: Option<u64>) -> Quota {
        Quota { remaining, reset: Duration::from_secs(reset), limit, window: None }
    }

    /// Who runs into the limit is blind for the rest of the minute.
    #[tokio::test(start_paused = true)]
    async fn the_last_requests_are_spread_to_the_reset() {
        let mut allowance = Allowance::default();
        let now = Instant::now();
        assert_eq!(allowance.gap(1, 0, now), Duration::ZERO);
        allowance.told(&quota(200, 50, Some(300)), 0, now);
        assert_eq!(allowance.gap(1, 0, now), Duration::ZERO, "plenty is left");
        allowance.told(&quota(14, 50, Some(300)), 4, now);
        assert_eq!(allowance.gap(1, 0, now), Duration::from_secs(5), "four under way are not counted yet");
        allowance.take(10);
        assert_eq!(allowance.free_at(1, 0, now), now + Duration::from_secs(50));
        allowance.give_back(1);
        assert_eq!(allowance.free_at(1, 0, now), now);
        allowance.forget();
        assert_eq!(allowance.gap(1, 0, now), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_reset_there_is_what_one_window_holds() {
        let mut allowance = Allowance::default();
        let now = Instant::now();
        allowance.told(&quota(0, 60, Some(4)), 0, now);
        let reset = now + Duration::from_mins(1);
        assert_eq!(allowance.free_at(9, 0, now), reset);
        assert_eq!(allowance.free_at(9, 0, reset), reset, "as much as there ever is");
        allowance.take(4);
        assert_eq!(allowance.free_at(1, 0, reset), reset + Duration::from_mins(1));
        allowance.told(&quota(0, 60, None), 0, now);
        assert_eq!(allowance.free_at(1, 0, reset), reset, "nobody knows how many: an answer will tell");
    }

    /// A mistaken or hostile header must not blind us for a day.
    #[tokio::test(start_paused = true)]
    async fn a_day_is_cut_to_five_minutes() {
        let mut allowance = Allowance::default();
        let now = Instant::now();
        allowance.told(&quota(0, 86_400, None), 0, now);
        assert_eq!(allowance.free_at(1, 0, now), now + LONGEST);
    }

    /// A day's quota that is used up is not a fresh one after five minutes.
    #[tokio::test(start_paused = true)]
    async fn after_the_cut_one_request_looks() {
        for limit in [None, Some(10_000)] {
            let mut allowance = Allowance::default();
            let now = Instant::now();
            allowance.told(&quota(0, 86_400, limit), 0, now);
            let later = now + LONGEST;
            assert_eq!(allowance.free_at(4, 0, later), later, "a journey may start");
            assert_eq!(allowance.most(), 1, "with one request");
            allowance.take(1);
            assert_eq!(allowance.free_at(1, 0, later), later + LONGEST);
            allowance.told(&quota(7, 86_100, limit), 0, later);
            allowance.untold();
            assert_eq!(allowance.free_at(7, 0, later), later, "its answer decides");
            assert_eq!(allowance.free_at(8, 0, later), later + LONGEST);
            assert_eq!(allowance.free_at(1, 0, later + LONGEST), later + LONGEST);
            allowance.take(1);
            allowance.untold();
            assert_eq!(allowance.free_at(9, 0, later + LONGEST), later + LONGEST, "nobody counts any more");
        }
    }

    /// What is left must not be waited for longer than there is more.
    #[tokio::test(start_paused = true)]
    async fn no_gap_is_longer_than_the_time_to_the_reset() {
        let mut allowance = Allowance::default();
        let now = Instant::now();
        allowance.told(&quota(5, 40, Some(300)), 0, now);
        allowance.take(4);
        assert_eq!(allowance.gap(4, 0, now), Duration::from_secs(40));
    }
}
