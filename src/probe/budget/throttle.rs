//! One platform's throttle: no request is sent until the wait is over, then one probe tries for all.
//!
//! Invariants: the platform's own wait is obeyed and never multiplied; answers to requests from before the wait neither
//! end nor lengthen a backoff; a platform that no longer answers is not throttled.

use std::time::Duration;

use tokio::time::Instant;

/// The longest wait that is obeyed.
pub(super) const LONGEST: Duration = Duration::from_mins(5);

/// The longest wait where the platform names none.
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// The first wait where the platform names none.
const BACKOFF_BASE: Duration = Duration::from_secs(1);

/// The longest jitter behind a wait that the platform named.
const JITTER_CAP: Duration = Duration::from_secs(1);

/// Whether a request may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may.
    Granted,
    /// The same probe tries for all with another request: what comes of that decides.
    Soon,
    /// It may not.
    Refused {
        /// When the wait is over; `None` when another one tries for all.
        until: Option<Instant>,
    },
}

/// Who tries for all.
#[derive(Clone, Copy, Debug)]
struct Trial {
    probe: u64,
    /// Whether its one request is under way.
    asked: bool,
}

/// The throttle of one platform.
#[derive(Debug)]
pub(super) struct Throttle {
    until: Option<Instant>,
    trial: Option<Trial>,
    attempts: u32,
    rng: fastrand::Rng,
}

impl Throttle {
    pub(super) fn new(seed: u64) -> Self {
        Self { until: None, trial: None, attempts: 0, rng: fastrand::Rng::with_seed(seed) }
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.rng = fastrand::Rng::with_seed(seed);
    }

    /// Whether a probe may start, and then tries for all where the wait is just over.
    pub(super) fn start(&self, now: Instant) -> Leave {
        match self.until {
            Some(until) if now < until => Leave::Refused { until: Some(until) },
            Some(_) if self.trial.is_some() => Leave::Refused { until: None },
            _ => Leave::Granted,
        }
    }

    /// A probe starts that was given leave.
    pub(super) fn started(&mut self, probe: u64) {
        if self.until.is_some() {
            self.trial = Some(Trial { probe, asked: false });
        }
    }

    /// Whether a request of a probe may be sent; once the wait is over, the first to ask gets leave and the others wait for
    /// its answer.
    pub(super) fn look(&self, probe: u64, now: Instant) -> Leave {
        match (self.until, self.trial) {
            (None, _) => Leave::Granted,
            (Some(until), _) if now < until => Leave::Refused { until: Some(until) },
            (_, Some(trial)) if trial.probe != probe => Leave::Refused { until: None },
            (_, Some(Trial { asked: true, .. })) => Leave::Soon,
            _ => Leave::Granted,
        }
    }

    /// A request is about to be sent for which leave was given.
    pub(super) fn asks(&mut self, probe: u64) {
        if self.until.is_some() {
            self.trial = Some(Trial { probe, asked: true });
        }
    }

    /// A request for which leave was given is not sent.
    pub(super) fn unasked(&mut self, probe: u64) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.probe == probe) {
            trial.asked = false;
        }
    }

    /// A 429 came to a request that was sent at `sent`. The new wait, if it changed.
    pub(super) fn refused(
        &mut self,
        sent: Instant,
        now: Instant,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let is_news = self.until.is_none_or(|until| sent >= until);
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
        self.trial = None;
        Some(wait)
    }

    /// An answer that is no 429 came to a request that was sent at `sent`. Whether that ended the throttle.
    pub(super) fn answered(&mut self, sent: Instant) -> bool {
        if self.until.is_some_and(|until| sent < until) {
            return false;
        }
        self.attempts = 0;
        self.trial = None;
        self.until.take().is_some()
    }

    /// A probe ended, or one of its requests, without an answer. Whether that ended the throttle: whoever tried and met
    /// no 429 has tried for all, or a platform that dies would be probed by one at a time. One that never tried leaves
    /// that to another.
    pub(super) fn ended(&mut self, probe: u64, tried: bool) -> bool {
        if self.trial.is_none_or(|trial| trial.probe != probe) {
            return false;
        }
        self.trial = None;
        tried && self.until.take().is_some()
    }

    /// Whether a probe tries for all.
    pub(super) fn is_tried_by(&self, probe: u64) -> bool {
        self.trial.is_some_and(|trial| trial.probe == probe)
    }

    /// When the wait is over; `None` where there is none.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn ask(throttle: &mut Throttle, probe: u64, now: Instant) -> Leave {
        let leave = throttle.look(probe, now);
        if leave == Leave::Granted {
            throttle.asks(probe);
        }
        leave
    }

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
        let early = now + Duration::from_millis(3_999);
        assert_eq!(ask(&mut throttle, 0, early), Leave::Refused { until: throttle.until() });
        assert_eq!(throttle.start(early), Leave::Refused { until: throttle.until() });
        assert_eq!(ask(&mut throttle, 0, now + Duration::from_millis(4_400)), Leave::Granted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_an_hour_is_cut_to_five_minutes() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        assert_eq!(throttle.refused(now, now, Some(seconds(3_600))), Some(seconds(300)));
    }

    /// When the wait is over, a herd would be throttled again at once.
    #[tokio::test(start_paused = true)]
    async fn one_request_of_one_probe_tries_for_all() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        throttle.refused(now, now, Some(seconds(1)));
        let after = now + seconds(2);
        assert_eq!(throttle.start(after), Leave::Granted);
        throttle.started(7);
        assert_eq!(throttle.start(after), Leave::Refused { until: None });
        assert_eq!(ask(&mut throttle, 7, after), Leave::Granted);
        assert_eq!(ask(&mut throttle, 7, after), Leave::Soon, "its parallel step waits too");
        assert_eq!(ask(&mut throttle, 8, after), Leave::Refused { until: None });
        throttle.unasked(7);
        assert_eq!(ask(&mut throttle, 7, after), Leave::Granted);
        // An answer to a request from before the wait says nothing about now.
        assert!(!throttle.answered(now));
        assert!(throttle.answered(after));
        assert_eq!(ask(&mut throttle, 8, after), Leave::Granted);
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
        throttle.started(7);
        assert!(!throttle.ended(8, true));
        assert!(!throttle.ended(7, false), "it asked nothing");
        assert_eq!(throttle.start(after), Leave::Granted, "so another one may try");
        throttle.started(8);
        assert_eq!(ask(&mut throttle, 8, after), Leave::Granted);
        assert!(throttle.ended(8, true));
        assert_eq!(ask(&mut throttle, 9, after), Leave::Granted);
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
