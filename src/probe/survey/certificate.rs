//! When a certificate ends: as much of X.509 in DER as leads there (RFC 5280 sections 4.1 and 4.1.2.5).
//!
//! Invariant: a certificate that is not understood has no end, and is never a reason to stop.

use chrono::{DateTime, NaiveDate, Utc};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The explicit tag of the version, which version 1 leaves out.
const VERSION: u8 = 0xA0;

/// `notAfter` of a certificate.
pub(super) fn ends(der: &[u8]) -> Option<DateTime<Utc>> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = value(rest, VERSION)?.1;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = value(rest, tag)?.1;
    }
    let (validity, _) = value(rest, SEQUENCE)?;
    let (_, after) = any(validity)?;
    let ((tag, text), _) = any(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The content of the value that comes first, which has this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let ((found, content), rest) = any(der)?;
    (found == tag).then_some((content, rest))
}

/// A tag and the content that it speaks of.
type Tagged<'a> = (u8, &'a [u8]);

/// Tag and content of the value that comes first, and what follows it.
fn any(der: &[u8]) -> Option<(Tagged<'_>, &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        // So many bytes of length follow; more than four no certificate has.
        let bytes = usize::from(first & 0x7F);
        if !(1..=4).contains(&bytes) || rest.len() < bytes {
            return None;
        }
        let (length, rest) = rest.split_at(bytes);
        (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    let content = rest.get(..length)?;
    Some(((*tag, content), &rest[length..]))
}

/// `YYMMDDHHMMSSZ` (1950 to 2049) or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year: i32 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(year, part(0)?, part(2)?)?;
    Some(date.and_hms_opt(part(4)?, part(6)?, part(8)?)?.and_utc())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use chrono::Datelike as _;

    use super::*;

    #[test]
    fn the_end_is_read_in_both_forms() {
        assert_eq!(time(UTC_TIME, "260515143200Z").unwrap().to_rfc3339(), "2026-05-15T14:32:00+00:00");
        assert_eq!(time(UTC_TIME, "991231235959Z").unwrap().year(), 1999);
        assert_eq!(time(GENERALIZED_TIME, "20510102030405Z").unwrap().year(), 2051);
        for wrong in ["", "Z", "2605151432Z", "260515143200", "269915143200Z", "26é515143200Z"] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    /// Bytes of a stranger must never be a reason to stop.
    #[test]
    fn what_is_no_certificate_has_no_end() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in 0..300 {
            let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            let _ = ends(&bytes);
            if bytes.len() > 4 {
                bytes[..4].copy_from_slice(&[SEQUENCE, 0x82, 0xFF, 0xFF]);
                assert_eq!(ends(&bytes), None);
            }
        }
    }
}
