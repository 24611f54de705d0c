//! A picture that goes on with another roster.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};

use super::Picture;
use crate::domain::{ComponentCard, RecoveryRecord, Roster};

impl Picture {
    /// Takes in recoveries from before that may be known already, when a longer window or another component asks for them.
    pub fn recall(&mut self, records: impl IntoIterator<Item = Arc<RecoveryRecord>>, now: DateTime<Utc>) {
        let mut by_component: HashMap<usize, Vec<Arc<RecoveryRecord>>> = HashMap::new();
        for record in records {
            if let Some(place) = self.position(&record.component_id) {
                by_component.entry(place).or_default().push(record);
            }
        }
        let window = self.roster.window;
        for (place, mut records) in by_component {
            let Some(component) = self.components.get_mut(place) else { continue };
            records.extend(component.recoveries.drain(..));
            records.sort_by(|one, other| one.t_restore_epoch.total_cmp(&other.t_restore_epoch));
            for record in records {
                component.keep(record, window, now);
            }
        }
    }

    /// Goes on with another roster: what stays keeps what is known of it.
    pub(super) fn replace_roster(&mut self, roster: Arc<Roster>) {
        if *self.roster == *roster {
            return;
        }
        let mut fresh = Self::new(roster);
        let old_steps = |card: &ComponentCard| {
            let place = self.position(&card.id)?;
            self.roster.components.get(place).map(|old| &old.steps)
        };
        for (place, card) in fresh.roster.components.iter().enumerate() {
            if let Some(kept) = self.position(&card.id).and_then(|old| self.components.get(old)) {
                let mut kept = kept.clone();
                kept.history = kept.history.resliced(slice_of(card));
                // What the last probe of another journey saw of its steps says nothing of these.
                if old_steps(card) != Some(&card.steps) {
                    kept.steps.clear();
                }
                fresh.components[place] = kept;
            }
        }
        for (id, platform) in &mut fresh.platforms {
            if let Some(known) = self.platforms.remove(id) {
                *platform = known;
            }
            platform.stretched.retain(|late| fresh.places.contains_key(&late.component_id));
        }
        fresh.clock = self.clock.take();
        fresh.notices = std::mem::take(&mut self.notices);
        fresh.notable = std::mem::take(&mut self.notable);
        fresh.diagnosis = self.diagnosis.take();
        fresh.present = std::mem::take(&mut self.present);
        fresh.config = self.config.take();
        fresh.last_event_at = self.last_event_at;
        *self = fresh;
    }
}

/// How many seconds of a component's past make one slice.
pub(super) fn slice_of(card: &ComponentCard) -> u32 {
    u32::try_from(card.cadence.as_secs()).unwrap_or(u32::MAX).max(10)
}
