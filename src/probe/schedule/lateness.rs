//! How late probes start, counted cheaply enough to be always on.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Parts of each power of two; a value is known to an eighth.
const PARTS: usize = 8;

/// Powers of two of microseconds, up to more than an hour.
const POWERS: usize = 32;

/// Counts of lateness in microseconds, in logarithmic slots.
#[derive(Debug)]
pub(crate) struct Lateness {
    slots: Vec<AtomicU64>,
    longest: AtomicU64,
}

/// What is known of the lateness of the starts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatenessSnapshot {
    /// How many starts were counted.
    pub count: u64,
    /// Half of them were at most so late.
    pub p50: Duration,
    /// 99 of 100 were at most so late.
    pub p99: Duration,
    /// The latest.
    pub max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { slots: (0..PARTS * POWERS).map(|_| AtomicU64::new(0)).collect(), longest: AtomicU64::new(0) }
    }
}

impl Lateness {
    pub(crate) fn note(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.slots[slot(micros)].fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(micros, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> LatenessSnapshot {
        let counts: Vec<u64> = self.slots.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max = self.longest.load(Ordering::Relaxed);
        let quantile = |share: f64| {
            let wanted = (count as f64 * share).ceil() as u64;
            let mut seen = 0;
            let place = counts.iter().position(|number| {
                seen += number;
                seen >= wanted && seen > 0
            });
            Duration::from_micros(place.map_or(0, upper_bound).min(max))
        };
        LatenessSnapshot { count, p50: quantile(0.50), p99: quantile(0.99), max: Duration::from_micros(max) }
    }
}

fn slot(micros: u64) -> usize {
    if micros < PARTS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let part = (micros >> (power - 3)) as usize & (PARTS - 1);
    ((power - 2) * PARTS + part).min(PARTS * POWERS - 1)
}

/// The largest number of microseconds that falls into a slot.
fn upper_bound(slot: usize) -> u64 {
    if slot < PARTS {
        return slot as u64;
    }
    let (power, part) = (slot / PARTS + 2, slot % PARTS);
    let unit = 1_u64 << (power - 3);
    (PARTS + part + 1) as u64 * unit - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A benchmark that reads a wrong percentile here would praise or blame for nothing.
    #[test]
    fn percentiles_are_right_to_an_eighth_and_never_too_low() {
        let lateness = Lateness::default();
        for micros in 1..=10_000_u64 {
            lateness.note(Duration::from_micros(micros));
        }
        let seen = lateness.snapshot();
        assert_eq!((seen.count, seen.max), (10_000, Duration::from_millis(10)));
        assert!((5_000..=5_625).contains(&seen.p50.as_micros()), "{:?}", seen.p50);
        assert!((9_900..=10_000).contains(&seen.p99.as_micros()), "{:?}", seen.p99);
    }

    #[test]
    fn every_value_lies_under_the_bound_of_its_slot() {
        for micros in (0..100_000).chain([1_000_000, 123_456_789]) {
            let bound = upper_bound(slot(micros));
            assert!(bound >= micros && bound <= micros + micros / 8, "{micros}: {bound}");
        }
        assert_eq!(Lateness::default().snapshot(), LatenessSnapshot::default());
    }
}
