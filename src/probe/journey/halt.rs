//! The end of a run before its journey is through.
//!
//! Invariant: a run that makes way for another schedule is cut off only where nothing that it created could stay behind.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Journey, Run};
use crate::config::model::{Action, SipMethod};

/// How long steps under way may still take when the process is to end.
const LAST_STEPS: Duration = Duration::from_millis(500);

/// Why a run may be asked to stop, and what it may still do then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Halt<'a> {
    /// The process is to end: the steps under way have a moment more, and no other begins.
    Soon(&'a CancellationToken),
    /// Another schedule goes on: nothing may be left behind, and no haste is needed for what takes care of that.
    Cleanly(&'a CancellationToken),
}

impl<'a> Halt<'a> {
    pub(super) const fn asked(self) -> &'a CancellationToken {
        match self {
            Self::Soon(asked) | Self::Cleanly(asked) => asked,
        }
    }
}

impl Run<'_> {
    /// Runs a group of steps; says whether they came to their end. `is_ahead` where it is the health step that is asked
    /// alone, again and again: of one that captures nothing, nothing is ever cleaned up.
    pub(super) async fn group_until(&mut self, places: &[usize], is_ahead: bool, halt: Halt<'_>) -> bool {
        let captures = |place: usize| !self.journey.component.journey[place].capture.is_empty();
        let reads =
            places.iter().all(|place| self.journey.only_reads(*place) || (is_ahead && !captures(*place)));
        let patience = match halt {
            Halt::Soon(_) => Some(LAST_STEPS),
            Halt::Cleanly(_) => (reads && self.leaves_nothing()).then_some(Duration::ZERO),
        };
        self.touched |= !reads;
        let group = pin!(self.group(places));
        before_end(halt.asked(), patience, group).await.is_some()
    }

    /// Whether it was asked to stop, and may.
    pub(super) fn may_halt(&self, halt: Halt<'_>) -> bool {
        halt.asked().is_cancelled() && (matches!(halt, Halt::Soon(_)) || self.leaves_nothing())
    }

    /// Whether it makes way before it has created anything: then there is nothing to clean up either.
    pub(super) fn made_way(&mut self, halt: Halt<'_>) -> bool {
        let made_way = matches!(halt, Halt::Cleanly(_)) && halt.asked().is_cancelled() && !self.touched;
        self.whole &= !made_way;
        made_way
    }

    /// Whether nothing was created, or all clean-up can run: a later step may be the one that learns what to remove.
    fn leaves_nothing(&self) -> bool {
        let journey = self.journey;
        let steps = journey.component.journey.iter().zip(&journey.plans);
        let mut clean_up = steps.filter(|(step, _)| step.cleanup);
        !self.touched || clean_up.all(|(_, plan)| plan.names.iter().all(|name| self.vars.contains_key(name)))
    }
}

impl Journey {
    /// Whether a step creates nothing on the other side, by what its protocol says of it (RFC 9110, section 9.2.1).
    fn only_reads(&self, place: usize) -> bool {
        match &self.component.journey[place].action {
            Action::Http(action) => action.method.is_safe(),
            Action::Tcp(_) => true,
            Action::Sip(action) => action.method == SipMethod::Options,
        }
    }
}

/// What comes of it, unless all is to stop and it takes longer than `patience` from then on; without one it comes to its end.
pub(super) async fn before_end<T>(
    stop: &CancellationToken,
    patience: Option<Duration>,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let end = async {
        let Some(patience) = patience else { return std::future::pending().await };
        stop.cancelled().await;
        sleep(patience).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = end => None,
    }
}
