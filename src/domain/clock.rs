//! What is known of the runner's clock: intervals in which its offset lies, and how those of several sources are joined.
//!
//! A reading compares true time with the *monotonic* clock, so that it stays right when the wall clock is set; the wall
//! clock's offset follows from it by the distance of the two clocks, which the runner can read at any time without a
//! source.

mod guard;
mod sharpen;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

pub use self::{
    guard::{Guard, Judged, Limits, Voice},
    sharpen::{Sharpened, Took},
};
use super::{Moment, PlatformId, time::Now};

/// By how much a clock that nothing steers may drift, in parts of a million: usual crystals stay under 50, and bad ones
/// and steered clocks under this.
const DRIFT_PPM: u128 = 100;

/// By how much wall and monotonic clock may seem to part without the wall clock having been set: the two are not read at
/// the same instant.
const STEP: Duration = Duration::from_millis(20);

/// An interval of differences between two clocks, in nanoseconds; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    low: i64,
    high: i64,
}

impl Interval {
    /// From `low` to `high`; `None` when there is nothing between them.
    #[must_use]
    pub const fn new(low: i64, high: i64) -> Option<Self> {
        if low <= high { Some(Self { low, high }) } else { None }
    }

    /// What one exchange with a time source says of monotonic minus true time: at `sent` the true time was at most
    /// `at_most`, and at `received` at least `at_least`. `None` when both cannot be.
    ///
    /// The arithmetic of RFC 5905 section 8, with its two ends kept apart.
    #[must_use]
    pub fn of_exchange(
        sent: Moment,
        at_most: DateTime<Utc>,
        received: Moment,
        at_least: DateTime<Utc>,
    ) -> Option<Self> {
        let low = sent.as_nanos().saturating_sub(nanos(at_most));
        Self::new(low, received.as_nanos().saturating_sub(nanos(at_least)))
    }

    /// The same, from a word on the wall clock itself: now it is ahead of true time by `ahead` nanoseconds, which is wrong
    /// by at most `error`.
    #[must_use]
    pub fn of_wall(now: Now, ahead: i64, error: Duration) -> Self {
        Self { low: ahead, high: ahead }.shifted(apart(now).saturating_neg()).widened(error)
    }

    /// Wider by so much on both sides.
    #[must_use]
    pub fn widened(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        Self { low: self.low.saturating_sub(by), high: self.high.saturating_add(by) }
    }

    /// What is left of it after so long, while the clocks may have drifted apart.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        let drift = (age.as_nanos() * DRIFT_PPM).div_ceil(1_000_000);
        self.widened(Duration::from_nanos(u64::try_from(drift).unwrap_or(u64::MAX)))
    }

    /// What both allow.
    #[must_use]
    pub fn meet(self, other: Self) -> Option<Self> {
        Self::new(self.low.max(other.low), self.high.min(other.high))
    }

    /// From monotonic minus true time to wall clock minus true time: the runner's offset.
    #[must_use]
    pub fn on_the_wall(self, now: Now) -> Self {
        self.shifted(apart(now))
    }

    /// Moved by so many nanoseconds.
    #[must_use]
    pub const fn shifted(self, by: i64) -> Self {
        Self { low: self.low.saturating_add(by), high: self.high.saturating_add(by) }
    }

    /// How wide it is.
    #[must_use]
    pub fn width(self) -> Duration {
        Duration::from_nanos(self.high.abs_diff(self.low))
    }

    /// Its middle, in nanoseconds.
    #[must_use]
    pub const fn middle(self) -> i64 {
        self.low.midpoint(self.high)
    }

    /// How far the truth may be from the middle.
    #[must_use]
    pub fn error(self) -> Duration {
        Duration::from_nanos(self.high.abs_diff(self.middle()))
    }

    /// How far the truth may be from zero.
    #[must_use]
    pub fn magnitude(self) -> Duration {
        Duration::from_nanos(self.low.unsigned_abs().max(self.high.unsigned_abs()))
    }

    /// Whether all of it is further than `limit` from zero.
    #[must_use]
    pub fn is_beyond(self, limit: Duration) -> bool {
        let limit = i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX);
        self.low > limit || self.high < limit.saturating_neg()
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Whether every point of `other` is in it.
    const fn contains(self, other: Self) -> bool {
        self.low <= other.low && self.high >= other.high
    }
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its name on screens: `chrony`, `ntp time.example.com`, `platform genesys`.
    pub source: Arc<str>,
    /// The platform whose own clock it is.
    pub platform: Option<PlatformId>,
    /// Monotonic minus true time, at `at`.
    pub lead: Interval,
    /// When it was read.
    pub at: Moment,
    /// Its distance from a reference clock, where it tells.
    pub stratum: Option<u8>,
    /// Whether its answers contradict each other; `lead` then holds all that they say.
    pub contradicts_itself: bool,
}

/// What the largest set of intervals that agree has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// In which the truth lies, if the largest set is right. Where several sets are equally large, everything from the
    /// first to the last.
    pub common: Interval,
    /// Whether more than half agree.
    pub majority: bool,
    /// For each interval whether it takes part.
    pub agrees: Vec<bool>,
}

/// Finds the largest set of intervals with a point in common (K. Marzullo, S. Owicki: Maintaining the time in a
/// distributed system, 1983; the same as in RFC 5905 section 11.2.1). `None` without any.
#[must_use]
pub fn agreement(intervals: &[Interval]) -> Option<Agreement> {
    // At the same point the beginnings come first: intervals that touch agree.
    let mut edges: Vec<(i64, bool)> =
        intervals.iter().flat_map(|one| [(one.low, false), (one.high, true)]).collect();
    edges.sort_unstable();
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut regions: Vec<Interval> = Vec::new();
    let mut begun = None;
    for (at, ends) in edges {
        if ends {
            if let Some(low) = begun.take() {
                regions.push(Interval { low, high: at });
            }
            depth -= 1;
            continue;
        }
        depth += 1;
        if depth > deepest {
            deepest = depth;
            regions.clear();
        }
        begun = (depth == deepest).then_some(at).or(begun);
    }
    let common = Interval { low: regions.first()?.low, high: regions.last()?.high };
    let agrees = intervals.iter().map(|one| regions.iter().any(|region| one.contains(*region))).collect();
    Some(Agreement { common, majority: deepest * 2 > intervals.len(), agrees })
}

/// Wall clock minus monotonic clock, in nanoseconds: it changes only when the wall clock is set.
#[must_use]
pub fn apart(now: Now) -> i64 {
    nanos(now.wall).saturating_sub(now.moment.as_nanos())
}

/// By how much the wall clock was set between two looks at how far it is [`apart`]; `None` when it was not.
#[must_use]
pub fn was_set(before: i64, after: i64) -> Option<i64> {
    let step = after.saturating_sub(before);
    (u128::from(step.unsigned_abs()) > STEP.as_nanos()).then_some(step)
}

/// Nanoseconds since the Unix epoch; years that do not fit are taken as the furthest that do.
fn nanos(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(if at.timestamp() < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn around(middle: i64, error: i64) -> Interval {
        Interval::new(middle - error, middle + error).unwrap()
    }

    #[test]
    fn one_falsetick_among_honest_ones_changes_nothing_and_is_named() {
        let honest = [around(3, 8), around(5, 4), around(-1, 6)];
        let alone = agreement(&honest).unwrap();
        for false_one in [around(10_000, 1), around(-10_000, 1), around(40, 2)] {
            let mut all = honest.to_vec();
            all.insert(1, false_one);
            let with = agreement(&all).unwrap();
            assert_eq!(with.common, alone.common, "{false_one:?}");
            assert_eq!(with.agrees, [true, false, true, true]);
            assert!(with.majority);
        }
    }

    #[test]
    fn camps_of_one_size_are_no_majority_and_leave_everything_between_them_open() {
        let found = agreement(&[around(0, 1), around(1, 1), around(100, 1), around(101, 1)]).unwrap();
        assert!(!found.majority);
        assert_eq!(found.common, Interval::new(0, 101).unwrap());
        assert!(!found.common.is_beyond(Duration::from_nanos(50)));
        // One that is wide enough for both camps does not choose between them.
        let found = agreement(&[around(0, 1000), around(-900, 1), around(900, 1)]).unwrap();
        assert_eq!(found.common, Interval::new(-901, 901).unwrap());
    }

    #[test]
    fn touching_intervals_agree_and_nothing_comes_of_nothing() {
        let touching = agreement(&[Interval::new(0, 5).unwrap(), Interval::new(5, 9).unwrap()]).unwrap();
        assert_eq!(touching.common, Interval::new(5, 5).unwrap());
        assert_eq!(agreement(&[]), None);
        let point = Interval::new(7, 7).unwrap();
        assert_eq!(agreement(&[point]).unwrap().common, point);
    }

    /// The same by brute force: every edge of an interval is a candidate.
    #[test]
    fn the_largest_set_is_found_whatever_the_intervals() {
        let mut random = fastrand::Rng::with_seed(20);
        for _ in 0..2_000 {
            let all: Vec<Interval> =
                (0..random.usize(1..7)).map(|_| around(random.i64(-20..20), random.i64(0..9))).collect();
            let found = agreement(&all).unwrap();
            let depth = |at: i64| all.iter().filter(|one| one.low <= at && at <= one.high).count();
            let deepest = (-40..40).map(depth).max().unwrap();
            let first = (-40..40).find(|at| depth(*at) == deepest).unwrap();
            let last = (-40..40).rev().find(|at| depth(*at) == deepest).unwrap();
            assert_eq!(found.common, Interval::new(first, last).unwrap(), "{all:?}");
            assert_eq!(found.majority, deepest * 2 > all.len());
        }
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let late = DateTime::<Utc>::MAX_UTC;
        let early = DateTime::<Utc>::MIN_UTC;
        let sent = Moment::from_nanos(i64::MAX - 5);
        let wide = Interval::of_exchange(Moment::from_nanos(5), late, sent, early).unwrap();
        let now = Now { moment: Moment::default(), wall: late };
        let shown = wide.aged(Duration::MAX).on_the_wall(now);
        assert!(shown.error() > Duration::ZERO && shown.magnitude() > Duration::ZERO);
        assert!(!shown.is_beyond(Duration::MAX));
    }
}
