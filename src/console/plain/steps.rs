//! When an open outage is told again: at certain parts of its target, and from the breach on ever more rarely.
//!
//! Invariant: pure; the outage's age goes in, the age at which it is next told comes out.

use std::time::Duration;

/// Parts of the target at which an outage is told again, in percent.
const PARTS: [u32; 3] = [50, 75, 90];
/// After the breach it is told every minute, for so many minutes ...
const MINUTES: u32 = 10;
/// ... and then every so many.
const LATER: u32 = 10;
const MINUTE: Duration = Duration::from_mins(1);
/// Two lines about one outage never follow each other sooner: a target of seconds would make a flood of them.
const APART: Duration = Duration::from_secs(5);

/// The age at which an outage is told next, when its age is `age` now and it has just been told of.
///
/// `proof` is how long after the breach the line of the breach waits: the violation itself, which is told as soon as bad
/// evidence proves it, makes it superfluous.
pub(super) fn next(target: Duration, proof: Duration, age: Duration) -> Duration {
    let soonest = age + APART;
    let parts = PARTS.map(|part| target.mul_f64(f64::from(part) / 100.0));
    let breach = target + proof;
    // One just before the breach would only be talked over by it.
    let parts = parts.into_iter().filter(|part| *part + APART <= target);
    let minutes = (1..=MINUTES).map(|minute| target + MINUTE * minute);
    parts.chain([breach]).chain(minutes).find(|step| *step >= soonest).unwrap_or_else(|| {
        let every = MINUTE * LATER;
        let since = soonest.saturating_sub(target);
        let passed = since.as_nanos().div_ceil(every.as_nanos());
        target + every.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX))
    })
}

/// The age from which the line of the breach has nothing to say any more, because the violation was told.
pub(super) fn after_breach(target: Duration, proof: Duration, age: Duration) -> Duration {
    next(target, proof, age.max((target + proof).saturating_sub(APART) + Duration::from_nanos(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROOF: Duration = Duration::from_secs(2);

    fn told(target: u64, until: u64) -> Vec<u64> {
        let target = Duration::from_secs(target);
        let mut ages = Vec::new();
        let mut age = Duration::ZERO;
        while age.as_secs() < until {
            age = next(target, PROOF, age);
            ages.push(age.as_secs());
        }
        ages
    }

    #[test]
    fn an_outage_is_told_at_parts_of_its_target_then_every_minute_then_rarely() {
        let minutes = |range: std::ops::RangeInclusive<u64>| range.map(|minute| 60 + minute * 60);
        let mut expected = vec![30, 45, 54, 62];
        expected.extend(minutes(1..=10));
        expected.extend([60 + 1200, 60 + 1800, 60 + 2400]);
        assert_eq!(told(60, 2460), expected);
        assert_eq!(told(14_400, 14_000), [7_200, 10_800, 12_960, 14_402]);
    }

    #[test]
    fn a_short_target_makes_no_flood() {
        let ages = told(8, 100);
        assert_eq!(ages, [10, 68, 128], "4 s, 6 s and 7.2 s lie too near to what else is told");
        assert_eq!(told(20, 30), [10, 15, 22, 80]);
        for target in 0..200 {
            let ages = told(target, 4_000);
            assert!(ages.windows(2).all(|pair| pair[1] - pair[0] >= 4), "{target}: {ages:?}");
        }
    }

    #[test]
    fn a_violation_that_was_told_takes_the_place_of_the_breach() {
        let target = Duration::from_mins(1);
        let age = Duration::from_millis(60_300);
        assert_eq!(after_breach(target, PROOF, age).as_secs(), 120);
        assert_eq!(after_breach(target, PROOF, Duration::from_secs(50)).as_secs(), 120);
    }
}
