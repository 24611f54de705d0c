//! What a platform says of the requests that it still allows.
//!
//! Two families are read: `inin-ratelimit-count`, `-allowed` and `-reset` (whole seconds) of Genesys Cloud, and the
//! IETF's `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11), with the `RateLimit-Limit`,
//! `-Remaining` and `-Reset` of its drafts up to 06.
//!
//! Invariant: what cannot be read says nothing; of several quotas the tightest counts.

use std::time::Duration;

use hyper::header::HeaderMap;

/// How many requests a platform still allows, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests that are left.
    pub remaining: u64,
    /// Time until there are more.
    pub reset: Duration,
    /// Requests in one window, where it is told.
    pub limit: Option<u64>,
    /// Length of the window, where it is told.
    pub window: Option<Duration>,
}

/// The tightest quota that an answer tells of; `None` where it tells of none, or only of malformed ones.
#[must_use]
pub fn quota(headers: &HeaderMap) -> Option<Quota> {
    let all = [genesys(headers), numbered(headers)].into_iter().flatten();
    all.chain(structured(headers)).min_by(|one, other| one.pace().total_cmp(&other.pace()))
}

impl Quota {
    /// Requests a second until the reset.
    fn pace(&self) -> f64 {
        self.remaining as f64 / self.reset.as_secs_f64().max(0.001)
    }
}

/// Genesys Cloud counts upwards: what is left is what is allowed without what was counted.
fn genesys(headers: &HeaderMap) -> Option<Quota> {
    let allowed = number(text(headers, "inin-ratelimit-allowed")?)?;
    let count = number(text(headers, "inin-ratelimit-count")?)?;
    let reset = seconds(text(headers, "inin-ratelimit-reset")?)?;
    Some(Quota { remaining: allowed.saturating_sub(count), reset, limit: Some(allowed), window: None })
}

/// The three headers of the drafts up to 06; the limit may be followed by policies, `100, 100;w=60`.
fn numbered(headers: &HeaderMap) -> Option<Quota> {
    let remaining = number(text(headers, "ratelimit-remaining")?)?;
    let reset = seconds(text(headers, "ratelimit-reset")?)?;
    let limits = text(headers, "ratelimit-limit").unwrap_or_default();
    let limit = limits.split([',', ';']).next().and_then(number);
    let policy = split(limits, ',').skip(1).find(|policy| policy.split(';').next().and_then(number) == limit);
    let window = policy.and_then(|policy| parameter(policy, "w")).and_then(seconds);
    Some(Quota { remaining, reset, limit, window })
}

/// The items of `RateLimit`, each with the item of `RateLimit-Policy` of the same name.
fn structured(headers: &HeaderMap) -> Vec<Quota> {
    let policies: Vec<&str> = lines(headers, "ratelimit-policy").flat_map(|line| split(line, ',')).collect();
    lines(headers, "ratelimit")
        .flat_map(|line| split(line, ','))
        .filter_map(|item| {
            let remaining = number(parameter(item, "r")?)?;
            let reset = seconds(parameter(item, "t")?)?;
            let policy = policies.iter().find(|policy| name(policy) == name(item));
            let limit = policy.and_then(|policy| parameter(policy, "q")).and_then(number);
            let window = policy.and_then(|policy| parameter(policy, "w")).and_then(seconds);
            Some(Quota { remaining, reset, limit, window })
        })
        .collect()
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A whole number as structured fields have it: at most 15 digits (RFC 9651 section 3.3.1).
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let fits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

fn seconds(text: &str) -> Option<Duration> {
    number(text).map(Duration::from_secs)
}

/// The name of an item: a token, or a string without its quotes.
fn name(item: &str) -> &str {
    split(item, ';').next().unwrap_or_default().trim_matches('"')
}

/// The value of an item's parameter.
fn parameter<'a>(item: &'a str, wanted: &str) -> Option<&'a str> {
    split(item, ';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key.trim() == wanted).then(|| value.trim())
    })
}

/// The parts of a text between separators that stand in no string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter: char| {
        let in_string = quoted;
        match letter {
            _ if std::mem::take(&mut escaped) => {}
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !in_string && letter == separator
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn told(lines: &[(&'static str, &'static str)]) -> Option<Quota> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        quota(&headers)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be nothing")]
    const fn of(remaining: u64, reset: u64, limit: Option<u64>, window: Option<u64>) -> Option<Quota> {
        let window = match window {
            Some(window) => Some(Duration::from_secs(window)),
            None => None,
        };
        Some(Quota { remaining, reset: Duration::from_secs(reset), limit, window })
    }

    #[test]
    fn genesys_says_what_it_has_counted() {
        let lines = |count| {
            [
                ("inin-ratelimit-count", count),
                ("inin-ratelimit-allowed", "180"),
                ("inin-ratelimit-reset", "61"),
            ]
        };
        assert_eq!(told(&lines("1")), of(179, 61, Some(180), None));
        assert_eq!(told(&lines("181")), of(0, 61, Some(180), None), "more than allowed is none left");
        assert_eq!(told(&lines("1")[..2]), None, "nobody knows when there are more");
    }

    #[test]
    fn the_drafts_are_read_in_both_forms() {
        assert_eq!(
            told(&[("ratelimit-policy", "\"default\";q=100;w=60"), ("ratelimit", "\"default\";r=50;t=30")]),
            of(50, 30, Some(100), Some(60))
        );
        assert_eq!(
            told(&[("ratelimit", "default; t=30 ;r=50")]),
            of(50, 30, None, None),
            "a token, any order"
        );
        assert_eq!(
            told(&[
                ("ratelimit-limit", "100, 10;w=1, 100;w=60"),
                ("ratelimit-remaining", "7"),
                ("ratelimit-reset", "12")
            ]),
            of(7, 12, Some(100), Some(60))
        );
    }

    /// A loose quota beside a tight one must not lead into a 429.
    #[test]
    fn of_several_quotas_the_tightest_counts() {
        let policy = ("ratelimit-policy", "\"a;b,c\\\"\";q=10;w=1, day;q=5000;w=86400");
        let quota = |items| told(&[policy, ("ratelimit", items)]);
        assert_eq!(
            quota("\"a;b,c\\\"\";r=9;t=1, day;r=20;t=4000"),
            of(20, 4000, Some(5000), Some(86_400)),
            "few for a long time"
        );
        assert_eq!(quota("\"a;b,c\\\"\";r=0;t=1, day;r=20;t=4000"), of(0, 1, Some(10), Some(1)));
        assert_eq!(
            told(&[("ratelimit", "a;r=5;t=1"), ("ratelimit", "b;r=1;t=60")]),
            of(1, 60, None, None),
            "a list may come in several lines"
        );
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for wrong in [
            "",
            "50",
            "a;r=50",
            "a;t=30",
            "a;r=-1;t=30",
            "a;r=5.5;t=30",
            "a;r=x;t=30",
            "a;r=;t=3",
            ";r=5",
            "a;r=9999999999999999;t=1",
            "\"a;r=5;t=1",
            "a,r=5,t=1",
        ] {
            assert_eq!(told(&[("ratelimit", wrong)]), None, "{wrong}");
        }
        assert_eq!(told(&[("ratelimit-remaining", "5")]), None);
        assert_eq!(told(&[("ratelimit-remaining", "5"), ("ratelimit-reset", "Sun, 06 Nov 1994")]), None);
        // A broken item takes nothing from a whole one beside it.
        assert_eq!(told(&[("ratelimit", "a;r=x;t=1, b;r=4;t=2")]), of(4, 2, None, None));
    }
}
