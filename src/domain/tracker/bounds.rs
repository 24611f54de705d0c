//! In which interval the true duration of an outage lies, and how a platform's own stamps narrow it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::outage::{GoodRun, Outage};
use crate::domain::{Moment, time::Now};

/// The true duration lies in `[lower, upper]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least so long.
    pub lower: Duration,
    /// At most so long; `None` when a failing part was never seen good before, or the journey was changed meanwhile.
    pub upper: Option<Duration>,
    /// Stamps that were left aside, and why.
    pub notes: Vec<StampNote>,
}

/// Which transition a stamp tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The failure began.
    Onset,
    /// The failure ended.
    Restored,
}

/// When the platform itself says that a step's failure began or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which step.
    pub step: String,
    /// Which transition.
    pub side: Side,
    /// When, carried over to the monotonic clock.
    pub at: Moment,
    /// By how much that may be wrong; `None` when the clocks cannot be compared.
    pub error: Option<Duration>,
    /// How much later it may have been, because the platform tells the time in whole seconds or milliseconds and cuts off
    /// the rest.
    #[serde(default)]
    pub cut: Duration,
}

/// A stamp that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StampNote {
    /// Which step's.
    pub step: String,
    /// Why, in words.
    pub why: String,
}

impl Stamp {
    pub(super) fn new(step: &str, side: Side, at: DateTime<Utc>, error: Option<Duration>, now: Now) -> Self {
        // Whether it was written with a fraction is not known any more; one that happens to be zero widens a bound in vain.
        let cut = match at.timestamp_subsec_nanos() {
            0 => Duration::from_secs(1),
            nanos if nanos % 1_000_000 == 0 => Duration::from_millis(1),
            _ => Duration::ZERO,
        };
        let since = (at - now.wall).num_nanoseconds().unwrap_or(i64::MIN);
        let at = Moment::from_nanos(now.moment.as_nanos().saturating_add(since));
        Self { step: step.to_owned(), side, at, error, cut }
    }
}

/// Four instants: the true onset lies in `[g0, b0]`, the true restoration in `[b1, g1]`.
struct Corners {
    g0: Option<Moment>,
    b0: Moment,
    b1: Moment,
    g1: Moment,
}

impl Bounds {
    pub(super) fn of(outage: &Outage, run: &GoodRun) -> Self {
        let mut corners = Corners {
            g0: outage.onset_after(),
            b0: outage.t_detect,
            b1: outage.last_bad_start,
            g1: run.proven_by,
        };
        let alone = outage.failed_steps.len() == 1 && outage.gap.is_zero() && outage.clock_error.is_zero();
        let mut notes = outage.stamp_notes.clone();
        let (g0, b0, b1, g1) = (corners.g0, corners.b0, corners.b1, corners.g1);
        // A step of another journey says nothing of the end of what had failed, whatever its name is.
        let restored = run.restored_stamps.iter().filter(|_| !outage.lost_sight);
        for stamp in outage.onset_stamps.iter().chain(restored) {
            let within = match stamp.side {
                Side::Onset => (g0, b0),
                Side::Restored => (Some(b1), g1),
            };
            if let Err(why) = corners.narrow(stamp, within, alone) {
                notes.push(StampNote { step: stamp.step.clone(), why });
            }
        }
        if let Some(lower) = outage.sure_before {
            return Self { lower, upper: None, notes };
        }
        if outage.lost_sight {
            let why = "the journey, its platform or the dependencies were changed while it was open: nothing bounds it from above";
            notes.push(StampNote { step: "config".to_owned(), why: why.to_owned() });
        }
        let error = outage.clock_error;
        Self {
            lower: corners.b1.since(corners.b0).saturating_sub(error),
            upper: corners.g0.filter(|_| !outage.lost_sight).map(|g0| corners.g1.since(g0) + error),
            notes,
        }
    }
}

impl Corners {
    /// Narrows by one stamp; a stamp outside its interval by more than its error is left aside, with the reason.
    fn narrow(&mut self, stamp: &Stamp, within: (Option<Moment>, Moment), alone: bool) -> Result<(), String> {
        let Some(error) = stamp.error else {
            return Err("the platform's clock cannot be compared with ours".to_owned());
        };
        let (early, late) = (stamp.at - error, stamp.at + error + stamp.cut);
        if late < within.0.unwrap_or(late) {
            return Err(format!(
                "its stamp lies {:?} before the interval that was seen",
                within.0.map_or(Duration::ZERO, |from| from.since(stamp.at))
            ));
        }
        if early > within.1 {
            return Err(format!(
                "its stamp lies {:?} after the interval that was seen",
                stamp.at.since(within.1)
            ));
        }
        match stamp.side {
            Side::Onset => {
                self.b0 = self.b0.min(late);
                if alone {
                    self.g0 = self.g0.map(|g0| g0.max(early));
                }
            }
            Side::Restored => {
                self.b1 = self.b1.max(early);
                if alone {
                    self.g1 = self.g1.min(late);
                }
            }
        }
        Ok(())
    }
}
