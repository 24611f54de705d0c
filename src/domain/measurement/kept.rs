//! What of a measurement survives a restart: each component's tracker and last good probe.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Measurement;
use crate::domain::{
    ComponentId, Event, Span,
    time::Now,
    tracker::{Goods, Tracker},
};

/// One component's state as it is kept on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// When it was kept, on both clocks.
    pub saved: Now,
    /// Which boot of the machine the monotonic instants belong to.
    pub boot_id: String,
    /// How wrong the wall clock may have been then at most; `None` when no time source told.
    #[serde(default)]
    pub wall_error: Option<Duration>,
    tracker: Tracker,
    last_good: Option<Span>,
}

/// How kept instants relate to the running clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAt {
    /// This boot of the machine.
    pub boot_id: String,
    /// Now, on both clocks.
    pub now: Now,
    /// How wrong the wall clock may be at most now; `None` when no time source tells. Only a reboot makes it matter: then the
    /// errors of both ends of the gap add up.
    pub wall_error: Option<Duration>,
}

impl Kept {
    /// Whether a confirmed outage was open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tracker.open().is_some()
    }
}

impl Measurement {
    /// A component's state for the disk.
    #[must_use]
    pub fn keep(
        &self,
        place: usize,
        now: Now,
        boot_id: &str,
        wall_error: Option<Duration>,
    ) -> Option<(ComponentId, Kept)> {
        let component = self.components.get(place)?;
        let kept = Kept {
            saved: now,
            boot_id: boot_id.to_owned(),
            wall_error,
            tracker: component.tracker.clone(),
            last_good: component.goods.newest(),
        };
        Some((self.roster.components[place].id.clone(), kept))
    }

    /// Whether a component has an outage, confirmed or not, so that its state is worth keeping at once.
    #[must_use]
    pub fn is_troubled(&self, place: usize) -> bool {
        self.components.get(place).is_some_and(|component| component.tracker.is_troubled())
    }

    /// Takes up what was kept before a restart, and the gap since: open outages go on, everything else is unobserved.
    ///
    /// Components that are no longer measured are left out. To be called before anything is observed.
    pub fn take_up(&mut self, kept: Vec<(ComponentId, Kept)>, at: &KeptAt) -> Vec<Event> {
        let now = at.now;
        let mut seen_until = None;
        for (id, mut kept) in kept {
            let Some(place) = self.position(&id).filter(|place| self.components[*place].observable) else {
                continue;
            };
            let same_boot = kept.boot_id == at.boot_id && kept.saved.moment <= now.moment;
            let (shift, error) = if same_boot {
                (0, Some(Duration::ZERO))
            } else {
                let away = (now.wall - kept.saved.wall).max(chrono::TimeDelta::zero());
                let saved_here =
                    now.moment.as_nanos().saturating_sub(away.num_nanoseconds().unwrap_or(i64::MAX));
                (
                    saved_here.saturating_sub(kept.saved.moment.as_nanos()),
                    kept.wall_error.zip(at.wall_error).map(|(then, now)| then + now),
                )
            };
            kept.tracker.carry_over(shift, error);
            let saved = crate::domain::Moment::from_nanos(kept.saved.moment.as_nanos().saturating_add(shift));
            seen_until = seen_until.max(Some(saved));
            let mut goods = Goods::default();
            // The start of a good probe from before a reboot is known only to within the clocks' error, if at all.
            if let (Some(good), Some(error)) = (kept.last_good, error) {
                goods.add(good);
                goods.carry_over(shift.saturating_sub(i64::try_from(error.as_nanos()).unwrap_or(i64::MAX)));
            }
            let component = &mut self.components[place];
            component.goods = goods;
            component.tracker = kept.tracker;
        }
        seen_until.map_or_else(Vec::new, |from| self.gap(from, now.moment, "warroom was not running", now))
    }
}
