//! The machine's clock with the guard's correction of its wall clock.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Clock, SharedClock};
use crate::domain::Moment;

/// A clock whose wall time is corrected by what the guard has found.
#[derive(Debug)]
pub struct Corrected {
    raw: SharedClock,
    /// Nanoseconds by which the raw wall clock is ahead.
    ahead: AtomicI64,
}

impl Corrected {
    /// One without a correction.
    #[must_use]
    pub fn new(raw: SharedClock) -> Arc<Self> {
        Arc::new(Self { raw, ahead: AtomicI64::new(0) })
    }

    /// Takes so many nanoseconds off the wall clock from now on.
    pub fn correct(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// By how much the uncorrected wall clock is ahead of this one.
    #[must_use]
    pub fn correction(&self) -> TimeDelta {
        TimeDelta::nanoseconds(self.ahead.load(Ordering::Relaxed))
    }

    /// The clock without the correction.
    #[must_use]
    pub fn raw(&self) -> &SharedClock {
        &self.raw
    }
}

impl Clock for Corrected {
    fn moment(&self) -> Moment {
        self.raw.moment()
    }

    fn wall(&self) -> DateTime<Utc> {
        let raw = self.raw.wall();
        raw.checked_sub_signed(self.correction()).unwrap_or(raw)
    }

    fn awake(&self) -> Moment {
        self.raw.awake()
    }
}
