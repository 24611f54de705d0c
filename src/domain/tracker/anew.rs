//! A tracker whose verdicts speak of other things from now on, because the config was changed.
//!
//! Invariant: what was seen of the old things neither confirms nor closes anything.

use std::collections::BTreeSet;

use super::Tracker;
use crate::domain::ComponentId;

impl Tracker {
    /// Its verdicts speak of other things from now on: of `same` they spoke before and still do. `is_itself` says that its
    /// own journey is another one; `exists` whether a step of a component still is part of what they speak of.
    pub(in crate::domain) fn speak_anew(
        &mut self,
        is_itself: bool,
        same: &BTreeSet<ComponentId>,
        exists: impl Fn(&ComponentId, &str) -> bool,
    ) {
        self.forget_unconfirmed(same);
        if is_itself {
            self.forget_server();
        }
        if let Some(outage) = self.outage_mut() {
            outage.lose_sight(same, exists);
        }
    }

    /// The verdicts speak of something else than before: those that confirmed nothing yet, good or bad, are discarded unless
    /// only components of `same` had failed.
    fn forget_unconfirmed(&mut self, same: &BTreeSet<ComponentId>) {
        self.recent.clear();
        match &mut self.outage {
            Some(outage) if outage.confirmed => {
                outage.run = None;
                self.fall_back();
            }
            outage => {
                let discarded = outage.take_if(|outage| !outage.is_only_of(same));
                if discarded.is_some() {
                    self.bad_run = 0;
                }
            }
        }
    }

    /// Who serves is told in another way from now on.
    fn forget_server(&mut self) {
        self.served = None;
        if let Some(outage) = self.outage.as_mut().filter(|outage| outage.t_failover.is_none()) {
            (outage.served_before, outage.served_by) = (None, None);
        }
    }
}
