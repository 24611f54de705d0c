//! What an HTTP answer says of the time: its `Date` header, or a platform's own date endpoint.
//!
//! Invariant: an answer that may come from a cache says nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::header::{AGE, DATE, HeaderMap, WARNING};
use serde_json::Value;

use crate::domain::{Moment, clock::Interval};

/// By how much the text of a `Date` may lag behind the server's clock: many servers make it anew by a timer.
const LAG: TimeDelta = TimeDelta::milliseconds(10);

/// When a server's clock showed what, and when it was asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When the request was sent.
    pub sent: Moment,
    /// When the head of the answer was there.
    pub received: Moment,
    /// What the server's clock showed in between, rounded down.
    pub time: DateTime<Utc>,
}

impl Shown {
    /// Monotonic minus the server's time, where that is rounded down to whole seconds.
    ///
    /// `t0 − S − 1 < θ < t2 − S` for a request at `t0`, its answer at `t2` and the second `S` in it.
    #[must_use]
    pub fn to_the_second(self) -> Option<Interval> {
        let next = self.time.checked_add_signed(TimeDelta::seconds(1) + LAG)?;
        Interval::of_exchange(self.sent, next, self.received, self.time)
    }

    /// The same, where it is rounded down to milliseconds or less.
    #[must_use]
    pub fn to_the_millisecond(self) -> Option<Interval> {
        let next = self.time.checked_add_signed(TimeDelta::milliseconds(1))?;
        Interval::of_exchange(self.sent, next, self.received, self.time)
    }

    /// How long request and answer were on their way together.
    #[must_use]
    pub fn round_trip(self) -> Duration {
        self.received.since(self.sent)
    }
}

/// The `Date` of an answer that was made for this request (RFC 9110 section 6.6.1).
#[must_use]
pub fn of_headers(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get(DATE)?.to_str().ok()?;
    if is_from_a_cache(headers) {
        return None;
    }
    Some(httpdate::parse_http_date(date.trim()).ok()?.into())
}

/// Whether an answer may be older than the request: RFC 9111 (`Age`, `Warning` 110 to 113) and what CDNs say of a hit.
fn is_from_a_cache(headers: &HeaderMap) -> bool {
    let says = |name: &str, words: &[&str]| {
        headers.get_all(name).iter().any(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            words.iter().any(|word| value.contains(word))
        })
    };
    headers.contains_key(AGE)
        || says(WARNING.as_str(), &["110", "111", "112", "113"])
        || ["x-cache", "x-cache-status", "x-proxy-cache", "cf-cache-status", "cache-status"]
            .iter()
            .any(|name| says(name, &["hit", "stale", "updating", "revalidated"]))
}

/// The time in the body of a platform's date endpoint, and whether it says more than whole seconds.
///
/// Genesys Cloud: `{"currentDate": "2026-05-15T14:32:00.123Z"}`; CXone: `{"ServerTime": "…"}`.
#[must_use]
pub fn of_body(body: &[u8], field: &str) -> Option<(DateTime<Utc>, bool)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let fields = body.as_object()?;
    let (_, value) = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field))?;
    let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?.with_timezone(&Utc);
    Some((time, time.timestamp_subsec_nanos() != 0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(more: &[(&'static str, &'static str)]) -> HeaderMap {
        let date = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        let all = date.iter().chain(more);
        all.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    /// A cached answer's date is the time at which somebody else was answered.
    #[test]
    fn cached_answers_are_refused() {
        let fresh = DateTime::from_timestamp(784_111_777, 0);
        assert_eq!(of_headers(&headers(&[])), fresh);
        assert_eq!(of_headers(&headers(&[("x-cache", "Miss from cloudfront")])), fresh);
        assert_eq!(of_headers(&headers(&[("cf-cache-status", "DYNAMIC")])), fresh);
        for cached in [
            ("age", "0"),
            ("x-cache", "Hit from cloudfront"),
            ("x-cache", "RefreshHit from cloudfront"),
            ("cf-cache-status", "HIT"),
            ("x-cache-status", "STALE"),
            ("cache-status", "ExampleCache; hit"),
            ("warning", "110 - \"Response is Stale\""),
        ] {
            assert_eq!(of_headers(&headers(&[cached])), None, "{cached:?}");
        }
        assert_eq!(of_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn a_whole_second_leaves_a_second_and_the_round_trip_of_doubt() {
        let time = DateTime::from_timestamp(1_000, 0).unwrap();
        let shown = Shown { sent: Moment::from_millis(500), received: Moment::from_millis(550), time };
        assert_eq!(shown.to_the_second().unwrap().width(), Duration::from_millis(1_000 + 10 + 50));
        assert_eq!(shown.to_the_millisecond().unwrap().width(), Duration::from_millis(51));
        assert_eq!(shown.round_trip(), Duration::from_millis(50));
    }

    #[test]
    fn date_endpoints_are_read_whatever_their_spelling() {
        let time = DateTime::from_timestamp_millis(1_778_855_520_123).unwrap();
        let genesys = br#"{"currentDate":"2026-05-15T14:32:00.123Z"}"#;
        assert_eq!(of_body(genesys, "currentDate"), Some((time, true)));
        let whole = br#"{"serverTime":"2026-05-15T16:32:00+02:00"}"#;
        assert!(matches!(of_body(whole, "ServerTime"), Some((_, false))));
        for wrong in
            [&b"{}"[..], b"[]", b"\"x\"", br#"{"currentDate":5}"#, br#"{"currentDate":"today"}"#, b"\xff"]
        {
            assert_eq!(of_body(wrong, "currentDate"), None);
        }
    }
}
