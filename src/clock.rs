//! The runner's clocks: a monotonic one that counts suspended time, and the wall clock.
//!
//! Invariant: only this room reads a clock; everybody else is handed a [`Now`].

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::{Moment, time::Now};

/// A source of time. The real one is [`SystemClock`]; tests bring a virtual one.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The monotonic instant.
    fn moment(&self) -> Moment;

    /// The wall clock, UTC.
    fn wall(&self) -> DateTime<Utc>;

    /// Both, read together.
    fn now(&self) -> Now {
        Now { moment: self.moment(), wall: self.wall() }
    }
}

/// A clock that can be handed around.
pub type SharedClock = Arc<dyn Clock>;

/// `CLOCK_BOOTTIME` and `CLOCK_REALTIME` of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn moment(&self) -> Moment {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Moment::from_nanos(time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec))
    }

    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Follows tokio's clock, so that a paused runtime in a test drives the engine too.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock {
    started: tokio::time::Instant,
    wall: DateTime<Utc>,
}

impl RuntimeClock {
    /// A clock whose zero is now and whose wall clock starts at `wall`. Must be called inside a tokio runtime.
    #[must_use]
    pub fn starting_at(wall: DateTime<Utc>) -> Self {
        Self { started: tokio::time::Instant::now(), wall }
    }
}

impl Clock for RuntimeClock {
    fn moment(&self) -> Moment {
        Moment::default() + self.started.elapsed()
    }

    fn wall(&self) -> DateTime<Utc> {
        self.wall + self.started.elapsed()
    }
}
