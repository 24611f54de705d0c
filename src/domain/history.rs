//! A component's recent latencies and verdicts in fixed slices of time: what a sparkline shows.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Verdict;

/// One slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The worst verdict in it; `None` when no probe ended in it.
    pub worst: Option<Verdict>,
    /// The highest latency in it, in milliseconds.
    pub latency_ms: Option<f32>,
}

/// The recent past of one component.
///
/// A slice is a fixed piece of wall time, so that a picture of it moves only when a slice ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Length of a slice in seconds.
    slice_seconds: i64,
    /// The newest slice's number since the epoch.
    newest: i64,
    slices: VecDeque<Slice>,
}

impl History {
    /// How many slices are kept.
    pub const SLICES: usize = 64;

    /// An empty past with slices of so many seconds (at least one).
    #[must_use]
    pub fn new(slice_seconds: u32) -> Self {
        Self { slice_seconds: i64::from(slice_seconds.max(1)), newest: i64::MIN, slices: VecDeque::new() }
    }

    /// Length of a slice in seconds.
    #[must_use]
    pub const fn slice_seconds(&self) -> i64 {
        self.slice_seconds
    }

    /// The same past in slices of so many seconds (at least one): each says the worst of those that it overlaps.
    #[must_use]
    pub fn resliced(&self, slice_seconds: u32) -> Self {
        let mut resliced = Self::new(slice_seconds);
        let (old, new) = (self.slice_seconds, resliced.slice_seconds);
        if old == new || self.slices.is_empty() {
            return Self { slice_seconds: new, ..self.clone() };
        }
        // A slice that has not ended is shown as far as it goes with its first second: nothing is known beyond.
        let first_second = |number: i64| number.saturating_mul(old);
        let count = i64::try_from(self.slices.len()).unwrap_or(i64::MAX);
        let oldest = self.newest.saturating_sub(count - 1);
        resliced.newest = first_second(self.newest).div_euclid(new);
        let from = first_second(oldest).div_euclid(new);
        let kept = i64::try_from(Self::SLICES).unwrap_or(i64::MAX);
        for number in from.max(resliced.newest.saturating_sub(kept - 1))..=resliced.newest {
            let begins = number.saturating_mul(new).div_euclid(old);
            let ends = (number.saturating_add(1).saturating_mul(new) - 1).div_euclid(old);
            let mut whole = Slice::default();
            for covered in begins.max(oldest)..=ends.min(self.newest) {
                let place = usize::try_from(covered - oldest).unwrap_or(usize::MAX);
                let Some(slice) = self.slices.get(place) else { continue };
                whole.worst = match (whole.worst, slice.worst) {
                    (Some(one), Some(other)) => Some(worse(one, other)),
                    (one, other) => one.or(other),
                };
                whole.latency_ms = match (whole.latency_ms, slice.latency_ms) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    (one, other) => one.or(other),
                };
            }
            resliced.slices.push_back(whole);
        }
        resliced
    }

    /// Adds one probe.
    pub fn add(&mut self, at: DateTime<Utc>, verdict: Verdict, latency_ms: Option<f64>) {
        let number = at.timestamp().div_euclid(self.slice_seconds);
        if self.slices.is_empty() {
            self.newest = number;
            self.slices.push_back(Slice::default());
        }
        // A clock stepped back writes into the newest slice; one stepped far ahead empties the past.
        let ahead = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(0);
        for _ in 0..ahead.min(Self::SLICES) {
            self.slices.push_back(Slice::default());
            if self.slices.len() > Self::SLICES {
                self.slices.pop_front();
            }
        }
        self.newest = self.newest.max(number);
        if let Some(slice) = self.slices.back_mut() {
            slice.worst = Some(slice.worst.map_or(verdict, |worst| worse(worst, verdict)));
            if let Some(latency) = latency_ms {
                let latency = latency as f32;
                slice.latency_ms = Some(slice.latency_ms.map_or(latency, |highest| highest.max(latency)));
            }
        }
    }

    /// The last `count` slices before and including the one that holds `now`, oldest first; empty where nothing is known.
    pub fn last(&self, count: usize, now: DateTime<Utc>) -> impl Iterator<Item = Slice> + '_ {
        let current = now.timestamp().div_euclid(self.slice_seconds).max(self.newest);
        (0..count).map(move |column| {
            let number = current - i64::try_from(count - 1 - column).unwrap_or(0);
            let back = self.newest.checked_sub(number).and_then(|back| usize::try_from(back).ok());
            back.and_then(|back| self.slices.len().checked_sub(back + 1))
                .and_then(|place| self.slices.get(place).copied())
                .unwrap_or_default()
        })
    }
}

/// The last good and bad verdicts in order, to see whether they alternate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// One bit for each verdict, set for bad, the newest lowest.
    bits: u32,
    seen: u32,
}

impl Pattern {
    /// Over how many verdicts alternation is judged.
    const WINDOW: u32 = 12;
    /// How many changes among them make it.
    const CHANGES: u32 = 6;

    /// Adds one verdict; a blind one tells nothing.
    pub const fn add(&mut self, verdict: Verdict) {
        if !matches!(verdict, Verdict::Blind) {
            self.bits = (self.bits << 1) | verdict.is_bad() as u32;
            self.seen = self.seen.saturating_add(1);
        }
    }

    /// Whether good and bad verdicts alternate, as a round-robin pool with one sick member makes them: then no bound holds.
    #[must_use]
    pub const fn alternates(self) -> bool {
        let changes = (self.bits ^ (self.bits >> 1)) & ((1 << (Self::WINDOW - 1)) - 1);
        self.seen >= Self::WINDOW && changes.count_ones() >= Self::CHANGES
    }
}

/// The worse of two verdicts: down, degraded, blind, up.
const fn worse(one: Verdict, other: Verdict) -> Verdict {
    const fn rank(verdict: Verdict) -> u8 {
        match verdict {
            Verdict::Down => 3,
            Verdict::Degraded => 2,
            Verdict::Blind => 1,
            Verdict::Up => 0,
        }
    }
    if rank(one) >= rank(other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verdicts_that_alternate_are_called_so() {
        let told = |verdicts: &[Verdict]| {
            let mut pattern = Pattern::default();
            for verdict in verdicts {
                pattern.add(*verdict);
            }
            pattern.alternates()
        };
        assert!(told(&[Verdict::Up, Verdict::Down].repeat(6)));
        assert!(told(&[Verdict::Up, Verdict::Blind, Verdict::Degraded].repeat(6)));
        assert!(!told(&[Verdict::Up, Verdict::Down].repeat(5)), "too few to say");
        assert!(!told(&[[Verdict::Up; 8], [Verdict::Down; 8], [Verdict::Up; 8]].concat()), "one outage");
        assert!(!told(&[Verdict::Blind; 24]));
    }

    /// Whoever changes a cadence must not lose the last hour of the sparkline.
    #[test]
    fn a_past_in_other_slices_says_the_same() {
        let at = |second: i64| DateTime::from_timestamp(1_000_000 + second, 0).unwrap_or_default();
        let mut history = History::new(10);
        for second in 0..300 {
            let verdict = if (100..110).contains(&second) { Verdict::Down } else { Verdict::Up };
            history.add(at(second), verdict, Some(second as f64));
        }
        let worst = |history: &History, count: usize| -> Vec<Option<Verdict>> {
            history.last(count, at(299)).map(|slice| slice.worst).collect()
        };
        let coarse = history.resliced(60);
        let bad = worst(&coarse, 6).iter().filter(|worst| **worst == Some(Verdict::Down)).count();
        assert_eq!((coarse.slice_seconds(), bad), (60, 1));
        let latest = coarse.last(1, at(299)).next().and_then(|slice| slice.latency_ms);
        assert_eq!(latest, Some(299.0));
        let fine = history.resliced(5);
        let bad = worst(&fine, 60).iter().filter(|worst| **worst == Some(Verdict::Down)).count();
        assert_eq!(bad, 2, "ten seconds are two slices of five");
        assert_eq!(history.resliced(10), history);
        assert_eq!(History::new(10).resliced(60), History::new(60));
    }

    #[test]
    fn a_slice_keeps_the_worst_and_the_past_moves_only_with_time() {
        let at = |second: i64| DateTime::from_timestamp(1_000_000 + second, 0).unwrap_or_default();
        let mut history = History::new(10);
        history.add(at(0), Verdict::Up, Some(5.0));
        history.add(at(3), Verdict::Down, None);
        history.add(at(4), Verdict::Up, Some(7.0));
        history.add(at(25), Verdict::Up, Some(1.0));
        let seen: Vec<Option<Verdict>> = history.last(4, at(29)).map(|slice| slice.worst).collect();
        assert_eq!(seen, [None, Some(Verdict::Down), None, Some(Verdict::Up)]);
        let later: Vec<Option<Verdict>> = history.last(4, at(31)).map(|slice| slice.worst).collect();
        assert_eq!(later, [Some(Verdict::Down), None, Some(Verdict::Up), None]);
        history.add(at(-500), Verdict::Degraded, None);
        assert_eq!(history.last(1, at(29)).next().and_then(|slice| slice.worst), Some(Verdict::Degraded));
    }
}
