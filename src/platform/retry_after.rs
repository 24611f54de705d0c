//! How long an answer asks us to wait: `Retry-After` (RFC 9110 section 10.2.3), seconds or a date.
//!
//! Invariant: a date is held against the answer's own `Date`, so that the runner's clock does not matter.

use std::time::Duration;

use hyper::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that an answer asks for; `None` without a header or with a malformed one, zero for a date that has passed.
///
/// A date without a readable `Date` beside it is as good as malformed.
#[must_use]
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let sent = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?.trim()).ok()?;
    Some(until.duration_since(sent).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn answer(retry_after: &'static str, date: Option<&'static str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        wait(&headers)
    }

    #[test]
    fn both_forms_are_read() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer("4", None), Some(Duration::from_secs(4)));
        assert_eq!(answer("Sun, 06 Nov 1994 08:50:07 GMT", date), Some(Duration::from_secs(30)));
        // The two obsolete forms that RFC 9110 still asks a recipient to accept.
        assert_eq!(answer("Sunday, 06-Nov-94 08:49:47 GMT", date), Some(Duration::from_secs(10)));
        assert_eq!(answer("Sun Nov  6 08:49:38 1994", date), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing() {
        assert_eq!(answer("soon", None), None);
        assert_eq!(answer("-3", None), None);
        assert_eq!(answer("1.5", None), None);
        assert_eq!(answer("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(wait(&HeaderMap::new()), None);
    }

    #[test]
    fn a_past_date_asks_for_no_wait_and_a_huge_number_does_not_overflow() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(answer("99999999999999999999999", None), Some(Duration::from_secs(u64::MAX)));
    }
}
