//! The rate limits of the simulated platforms: so many requests of one token in each window of a fixed length, and the
//! headers that tell of it.
//!
//! Invariant: what is remembered of a platform is one window's counts, for at most [`MOST_TOKENS`] tokens.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::scenario::{LimitHeaders, Settings};
use crate::config::model::Rate;

/// Tokens that are told apart in one window; the others count together.
const MOST_TOKENS: usize = 4096;

/// The counts of all platforms.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<BTreeMap<&'static str, Window>>);

#[derive(Debug, Default)]
struct Window {
    /// Windows since the start.
    number: u128,
    /// Requests by token.
    counts: HashMap<u64, u64>,
}

/// How much of its limit a token has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    limit: Rate,
    /// Requests in this window, this one included.
    count: u64,
    /// Until the next window begins: over zero.
    reset: Duration,
}

impl Limits {
    /// Counts a request of a token; nothing where the platform has no limit.
    pub(super) fn count(
        &self,
        platform: &'static str,
        token: u64,
        limit: Option<Rate>,
        elapsed: Duration,
    ) -> Option<Used> {
        let limit = limit?;
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(platform).or_default();
        let number = elapsed.as_nanos() / limit.per.as_nanos().max(1);
        if window.number != number {
            window.number = number;
            window.counts.clear();
        }
        let known = window.counts.contains_key(&token) || window.counts.len() < MOST_TOKENS;
        let count = window.counts.entry(if known { token } else { u64::MAX }).or_insert(0);
        *count += 1;
        let next =
            Duration::from_nanos(u64::try_from((number + 1) * limit.per.as_nanos()).unwrap_or(u64::MAX));
        Some(Used { limit, count: *count, reset: next.saturating_sub(elapsed) })
    }
}

impl Used {
    /// Whether this request is one too many.
    pub(super) fn is_over(self) -> bool {
        self.count > u64::from(self.limit.requests.get())
    }

    /// When to come again, in whole seconds: never before the next window.
    pub(super) fn wait(self) -> Duration {
        Duration::from_secs(self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0))
    }

    /// Tells it in the headers of an answer.
    pub(super) fn tell(self, settings: &Settings, headers: &mut HeaderMap) {
        let limit = u64::from(self.limit.requests.get());
        let (left, reset) = (limit.saturating_sub(self.count), self.wait().as_secs());
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        match settings.limit_headers {
            LimitHeaders::None => {}
            LimitHeaders::Inin => {
                put("inin-ratelimit-count", self.count.to_string());
                put("inin-ratelimit-allowed", limit.to_string());
                put("inin-ratelimit-reset", reset.to_string());
            }
            LimitHeaders::Ratelimit => {
                put("ratelimit-policy", format!("\"default\";q={limit};w={}", self.limit.per.as_secs()));
                put("ratelimit", format!("\"default\";r={left};t={reset}"));
            }
            LimitHeaders::RatelimitOld => {
                put("ratelimit-limit", limit.to_string());
                put("ratelimit-remaining", left.to_string());
                put("ratelimit-reset", reset.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_window_forgets_the_one_before_and_tokens_count_apart() {
        let limits = Limits::default();
        let limit = Rate { requests: NonZeroU32::new(2).unwrap(), per: Duration::from_mins(1) };
        let over = |token, seconds| {
            let used = limits.count("genesys", token, Some(limit), Duration::from_secs(seconds)).unwrap();
            (used.is_over(), used.wait().as_secs())
        };
        assert_eq!(over(1, 10), (false, 50));
        assert_eq!(over(1, 10), (false, 50));
        assert_eq!(over(1, 59), (true, 1));
        assert_eq!(over(2, 59), (false, 1));
        assert_eq!(over(1, 60), (false, 60));
        assert_eq!(limits.count("edge", 1, None, Duration::ZERO), None);
    }

    #[test]
    fn what_is_remembered_stays_bounded() {
        let limits = Limits::default();
        let limit = Rate { requests: NonZeroU32::new(2).unwrap(), per: Duration::from_mins(1) };
        for token in 0..20_000 {
            limits.count("genesys", token, Some(limit), Duration::ZERO);
        }
        let windows = limits.0.lock().unwrap();
        assert!(windows["genesys"].counts.len() <= MOST_TOKENS + 1);
    }
}
