//! Instants on the runner's monotonic clock, and intervals between them.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An instant on the runner's monotonic clock that counts suspended time (`CLOCK_BOOTTIME` on Linux), in nanoseconds.
///
/// It may be negative: an instant remembered from before a reboot is carried over to the new clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// An instant so many nanoseconds after the clock's zero.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// An instant so many milliseconds after the clock's zero.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock's zero.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The time since `earlier`; zero when `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// A closed interval of the monotonic clock in which something was true at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// When it began.
    pub start: Moment,
    /// When it ended; never before `start`.
    pub end: Moment,
}

impl Span {
    /// The interval between two instants; an end before the start is taken as the start.
    #[must_use]
    pub fn new(start: Moment, end: Moment) -> Self {
        Self { start, end: end.max(start) }
    }

    /// How long it is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.end.since(self.start)
    }
}

/// The same instant on both clocks: the monotonic one for durations, the wall clock for timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// On the monotonic clock.
    pub moment: Moment,
    /// On the runner's wall clock, UTC.
    pub wall: DateTime<Utc>,
}

impl Now {
    /// What the wall clock showed at another instant, judged by the monotonic distance to this one.
    #[must_use]
    pub fn wall_at(self, moment: Moment) -> DateTime<Utc> {
        self.wall + chrono::TimeDelta::nanoseconds(moment.as_nanos().saturating_sub(self.moment.as_nanos()))
    }
}

/// Seconds since the Unix epoch with milliseconds, as the records carry them.
#[must_use]
pub fn epoch_seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

/// (De)serialises a wall-clock time as RFC 3339 in UTC with milliseconds: `2026-05-15T14:32:00.123Z`.
pub mod rfc3339_millis {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the time.
    pub fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    /// Reads any RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::<Utc>::deserialize(deserializer)
    }

    /// The same for a time that may be missing.
    pub mod option {
        use chrono::{DateTime, Utc};
        use serde::{Deserialize, Deserializer, Serializer};

        /// Writes the time, or null.
        pub fn serialize<S: Serializer>(
            at: &Option<DateTime<Utc>>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => super::serialize(at, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// Reads any RFC 3339 time, or null.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<DateTime<Utc>>, D::Error> {
            Option::<DateTime<Utc>>::deserialize(deserializer)
        }
    }
}
