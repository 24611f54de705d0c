//! One-minute rows: how many probes of a series said what, and how fast the answers came.

use std::collections::HashMap;

use super::queue::{Key, Sample};
use crate::domain::Verdict;

/// One minute of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Minute {
    /// Unix seconds / 60.
    pub number: i64,
    /// Probes that said `up`.
    pub up: u32,
    /// Probes that said `down`.
    pub down: u32,
    /// Probes that said `degraded`.
    pub degraded: u32,
    /// Probes that said `blind`.
    pub blind: u32,
    /// Probes that told a latency.
    pub latencies: u32,
    /// The sum of their latencies, milliseconds.
    pub latency_sum: f64,
    /// The lowest latency, milliseconds.
    pub latency_min: Option<f64>,
    /// The highest latency, milliseconds.
    pub latency_max: Option<f64>,
}

impl Minute {
    /// The mean latency, milliseconds.
    #[must_use]
    pub fn latency_mean(&self) -> Option<f64> {
        (self.latencies > 0).then(|| self.latency_sum / f64::from(self.latencies))
    }

    fn add(&mut self, sample: &Sample) {
        match sample.verdict {
            Verdict::Up => self.up += 1,
            Verdict::Down => self.down += 1,
            Verdict::Degraded => self.degraded += 1,
            Verdict::Blind => self.blind += 1,
        }
        if let Some(latency) = sample.latency_ms {
            self.latencies += 1;
            self.latency_sum += latency;
            self.latency_min = Some(self.latency_min.map_or(latency, |lowest| lowest.min(latency)));
            self.latency_max = Some(self.latency_max.map_or(latency, |highest| highest.max(latency)));
        }
    }
}

/// The minutes that are still being filled, and those that wait to be written.
#[derive(Default)]
pub(super) struct Rollup {
    filling: HashMap<Key, Minute>,
    pub(super) full: Vec<(Key, Minute)>,
}

impl Rollup {
    /// Counts a probe result that is in the database.
    pub(super) fn add(&mut self, sample: &Sample) {
        let series = (sample.component_id.clone(), sample.path.clone());
        let number = sample.at.timestamp().div_euclid(60);
        let minute =
            self.filling.entry(series.clone()).or_insert_with(|| Minute { number, ..Minute::default() });
        if minute.number != number {
            let full = std::mem::replace(minute, Minute { number, ..Minute::default() });
            self.full.push((series, full));
        }
        minute.add(sample);
    }

    /// Closes every minute before this one, also of series that nobody probes any longer.
    pub(super) fn close_before(&mut self, number: i64) {
        let full = &mut self.full;
        self.filling.retain(|series, minute| {
            if minute.number >= number {
                return true;
            }
            full.push((series.clone(), std::mem::take(minute)));
            false
        });
    }
}
