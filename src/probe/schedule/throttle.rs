//! One platform's throttle: nobody probes until the wait is over, then one component tries for all.
//!
//! Invariants: the platform's own wait is obeyed and never multiplied; answers to requests from before the wait neither
//! end nor lengthen a backoff; a platform that no longer answers is not throttled.

use std::time::Duration;

use tokio::time::Instant;

/// The longest wait that is obeyed.
const LONGEST: Duration = Duration::from_mins(5);

/// The longest wait where the platform names none.
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// The first wait where the platform names none.
const BACKOFF_BASE: Duration = Duration::from_secs(1);

/// The longest jitter behind a wait that the platform named.
const JITTER_CAP: Duration = Duration::from_secs(1);

/// Whether a component may probe now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It may.
    Granted,
    /// It may not.
    Refused {
        /// When the wait is over; `None` when another one tries for all.
        until: Option<Instant>,
    },
}

/// The throttle of one platform.
#[derive(Debug)]
pub(crate) struct Throttle {
    until: Option<Instant>,
    /// The component that tries for all.
    trying: Option<usize>,
    attempts: u32,
    rng: fastrand::Rng,
}

impl Throttle {
    pub(crate) fn new(seed: u64) -> Self {
        Self { until: None, trying: None, attempts: 0, rng: fastrand::Rng::with_seed(seed) }
    }

    /// Asks for leave to probe; once the wait is over, the first to ask gets it and the others wait for its answer.
    pub(crate) fn ask(&mut self, place: usize, now: Instant) -> Leave {
        match self.until {
            None => Leave::Granted,
            Some(until) if now < until => Leave::Refused { until: Some(until) },
            Some(_) if self.trying.is_some_and(|other| other != place) => Leave::Refused { until: None },
            Some(_) => {
                self.trying = Some(place);
                Leave::Granted
            }
        }
    }

    /// A 429 came to a probe that started at `started`. The new wait, if it changed.
    pub(crate) fn refused(
        &mut self,
        started: Instant,
        now: Instant,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let is_news = self.until.is_none_or(|until| started >= until);
        // A wait of nothing, or until a moment that is past, is no leave to ask without end.
        let wait = match retry_after.filter(|wait| !wait.is_zero()) {
            Some(wait) => {
                let wait = wait.min(LONGEST);
                let jitter = (wait / 10).min(JITTER_CAP).mul_f64(self.rng.f64());
                (wait + jitter).min(LONGEST)
            }
            None if is_news => {
                let ceiling = BACKOFF_BASE.saturating_mul(1 << self.attempts.min(5)).min(BACKOFF_CAP);
                self.attempts = self.attempts.saturating_add(1);
                ceiling.mul_f64(self.rng.f64())
            }
            None => return None,
        };
        let until = now + wait;
        if !is_news && self.until.is_some_and(|current| current >= until) {
            return None;
        }
        self.until = Some(until);
        self.trying = None;
        Some(wait)
    }

    /// An answer that is no 429 came to a probe that started at `started`. Whether that ended the throttle.
    pub(crate) fn answered(&mut self, started: Instant) -> bool {
        if self.until.is_some_and(|until| started < until) {
            return false;
        }
        self.attempts = 0;
        self.trying = None;
        self.until.take().is_some()
    }

    /// The probe of this component that started at `started` ended, whatever came of it. Whether that ended the throttle:
    /// whoever tried and met no 429 has tried for all, or a platform that dies would be probed by one at a time.
    pub(crate) fn ended(&mut self, place: usize, started: Instant) -> bool {
        if self.trying != Some(place) || self.until.is_none_or(|until| started < until) {
            return false;
        }
        self.trying = None;
        self.until = None;
        true
    }

    /// When the wait is over.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    /// Twenty probes under way that all meet the same limit must not lengthen the wait twenty times.
    #[tokio::test(start_paused = true)]
    async fn the_platforms_wait_is_obeyed_and_not_multiplied() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        let wait = throttle.refused(now, now, Some(seconds(4))).unwrap();
        assert!((seconds(4)..=Duration::from_millis(4_400)).contains(&wait), "{wait:?}");
        for _ in 0..20 {
            throttle.refused(now, now, Some(seconds(4)));
        }
        assert!(throttle.until().unwrap() <= now + Duration::from_millis(4_400));
        assert_eq!(
            throttle.ask(0, now + Duration::from_millis(3_999)),
            Leave::Refused { until: throttle.until() }
        );
        assert_eq!(throttle.ask(0, now + Duration::from_millis(4_400)), Leave::Granted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_an_hour_is_cut_to_five_minutes() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        assert_eq!(throttle.refused(now, now, Some(seconds(3_600))), Some(seconds(300)));
    }

    /// When the wait is over, a herd would be throttled again at once.
    #[tokio::test(start_paused = true)]
    async fn one_component_tries_for_all() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        throttle.refused(now, now, Some(seconds(1)));
        let after = now + seconds(2);
        assert_eq!(throttle.ask(7, after), Leave::Granted);
        assert_eq!(throttle.ask(8, after), Leave::Refused { until: None });
        // An answer to a request from before the wait says nothing about now.
        assert!(!throttle.answered(now));
        assert!(throttle.answered(after));
        assert_eq!(throttle.ask(8, after), Leave::Granted);
    }

    /// A dead platform throttles nobody; one that only seemed so is not asked as fast as before.
    #[tokio::test(start_paused = true)]
    async fn one_that_gets_no_answer_ends_the_wait_and_keeps_the_backoff() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        for _ in 0..5 {
            throttle.until = None;
            throttle.refused(now, now, None);
        }
        let after = now + seconds(40);
        assert_eq!(throttle.ask(7, after), Leave::Granted);
        assert!(!throttle.ended(7, now), "a probe from before the wait has not tried");
        assert!(!throttle.ended(8, after));
        assert_eq!(throttle.ask(8, after), Leave::Refused { until: None });
        assert!(throttle.ended(7, after));
        assert_eq!(throttle.ask(8, after), Leave::Granted);
        assert_eq!(throttle.attempts, 5);
        assert!(!throttle.answered(after), "it was ended before");
        assert_eq!(throttle.attempts, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wait_the_backoff_grows_to_thirty_seconds() {
        let mut throttle = Throttle::new(3);
        let mut now = Instant::now();
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let wait = throttle.refused(now, now, None).unwrap();
            longest = longest.max(wait);
            // A second one under way counts as the same.
            assert_eq!(throttle.refused(now - seconds(1), now, None), None);
            now += wait;
        }
        assert!(longest > seconds(25) && longest <= seconds(30), "{longest:?}");
        assert!(throttle.answered(now));
        assert!(throttle.refused(now, now, None).unwrap() <= seconds(1), "an answer starts it afresh");
    }
}
