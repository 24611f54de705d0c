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
