//! The runner's clocks: a monotonic one that counts suspended time, and the wall clock; and the sources that tell how
//! wrong the wall clock is.
//!
//! Invariant: only this room reads a clock; everybody else is handed a [`Now`].

pub mod chrony;
mod corrected;
pub mod dates;
pub mod sntp;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use corrected::Corrected;

use crate::domain::{Moment, time::Now};

/// Two readings so close are as good as one.
const CLOSE: std::time::Duration = std::time::Duration::from_millis(1);
/// How often readings that were not close are tried again.
const TRIES: usize = 5;

/// A source of time. The real one is [`SystemClock`]; tests bring a virtual one.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The monotonic instant.
    fn moment(&self) -> Moment;

    /// The wall clock, UTC.
    fn wall(&self) -> DateTime<Utc>;

    /// The monotonic instant as a clock shows it that stands still while the machine sleeps: how far it falls behind
    /// [`Clock::moment`] is how long the machine has slept. A clock of a machine that never sleeps shows the same on both.
    fn awake(&self) -> Moment {
        self.moment()
    }

    /// Both, read together.
    fn now(&self) -> Now {
        Now { moment: self.moment(), wall: self.wall() }
    }

    /// Both, read so closely together that their distance tells whether the wall clock was set.
    fn now_closely(&self) -> Now {
        let mut best: Option<(std::time::Duration, Now)> = None;
        // Whoever is interrupted in between tries again.
        for _ in 0..TRIES {
            let now = self.now();
            let took = self.moment().since(now.moment);
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, now));
            }
            if took < CLOSE {
                break;
            }
        }
        best.map_or_else(|| self.now(), |(_, now)| now)
    }
}

/// A clock that can be handed around.
pub type SharedClock = Arc<dyn Clock>;

/// `CLOCK_BOOTTIME`, `CLOCK_MONOTONIC` and `CLOCK_REALTIME` of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn moment(&self) -> Moment {
        moment_of(rustix::time::ClockId::Boottime)
    }

    fn awake(&self) -> Moment {
        moment_of(rustix::time::ClockId::Monotonic)
    }

    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

fn moment_of(clock: rustix::time::ClockId) -> Moment {
    let time = rustix::time::clock_gettime(clock);
    Moment::from_nanos(time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec))
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
