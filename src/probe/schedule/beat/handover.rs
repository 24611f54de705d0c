//! How a component's task begins where the one before it stood, and leaves word for the one after it.

use tokio::time::Instant;

use super::{Beat, State};
use crate::probe::schedule::{Pace, heritage::Trace};

impl Beat {
    /// When the first probe is due: soon where nothing is known, else as if nothing had come between. One that was cut off
    /// is made good.
    pub(super) fn first_due(&mut self, pace: Pace, before: Option<&Trace>) -> Instant {
        let now = Instant::now();
        let soon = self.begun + self.grid.spread(self.cadence, self.siblings);
        let due = match before {
            Some(before) if pace.burst && before.owed => now,
            Some(before) if before.owed => return soon,
            Some(before) if (before.pace.burst, before.pace.interval) == (pace.burst, pace.interval) => {
                self.grid.anchor_like(&before.grid);
                return before.due.max(now);
            }
            Some(Trace { last_start: Some(last), .. }) if pace.burst => now.max(*last + pace.interval),
            Some(Trace { last_start: Some(last), .. }) => {
                return self.grid.next(now.max(*last + pace.interval / 2), pace.interval);
            }
            None | Some(_) if pace.burst => now,
            None | Some(_) => return soon,
        };
        self.grid.anchor_at(due);
        due
    }

    /// Leaves word of how it stands.
    pub(super) fn trace(&self, state: &State) {
        let owed = state.judging > 0 || state.queued.is_some() || state.waiting || !state.outbox.is_empty();
        self.traced.renew(Trace {
            grid: self.grid.clone(),
            pace: state.pace,
            due: state.due,
            last_start: state.last_start,
            not_before: state.not_before,
            failed: state.failed,
            requests: state.requests,
            owed,
        });
    }
}
