//! A measurement that goes on with another config: what stays keeps what is known of it, open outages above all.
//!
//! Invariants: no time is lost by it, so it is no gap; what was seen of another journey confirms nothing, closes nothing and
//! bounds nothing from above.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Measured, Measurement, Thresholds};
use crate::domain::{ComponentId, Event, Roster, event::OutageView, time::Now};

/// What came of going on with another config.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// What is to be told, in order: the phases of those that are new, and of those that changed by it.
    pub events: Vec<Event>,
    /// Those that are followed no longer.
    pub dropped: Vec<Dropped>,
}

/// A component that is followed no longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    /// Which one.
    pub id: ComponentId,
    /// Its outage, which nobody will see the end of.
    pub outage: Option<OutageView>,
}

impl Measurement {
    /// Goes on with another roster and other thresholds. Components with the same id keep their outage, their last good
    /// probes and their last verdict; the new target counts from now on.
    ///
    /// `asked_anew` are those whose verdicts speak of something else from now on, because their journey or platform
    /// changed: a bad verdict that is not confirmed yet is discarded, also in their dependants, and an open outage stays open
    /// until good verdicts of the new journey close it.
    pub fn reload(
        &mut self,
        roster: Arc<Roster>,
        thresholds: Thresholds,
        asked_anew: &BTreeSet<ComponentId>,
        now: Now,
    ) -> Reloaded {
        let mut fresh = Self::new(roster, thresholds, 0);
        fresh.ids = self.ids.clone();
        fresh.clock = self.clock;
        fresh.stamp_errors = std::mem::take(&mut self.stamp_errors);
        let old = std::mem::replace(self, fresh);
        let chains: Vec<BTreeSet<ComponentId>> =
            (0..old.components.len()).map(|place| old.chain_of(place)).collect();
        let views: Vec<Option<OutageView>> =
            (0..old.components.len()).map(|place| old.outage_view(place)).collect();
        let mut known: BTreeMap<ComponentId, (Measured, BTreeSet<ComponentId>)> = BTreeMap::new();
        let mut reloaded = Reloaded::default();
        for (((card, before), chain), outage) in
            old.roster.components.iter().zip(old.components).zip(chains).zip(views)
        {
            let stays = self.position(&card.id).is_some_and(|place| self.components[place].observable);
            if !stays && before.observable {
                reloaded.dropped.push(Dropped { id: card.id.clone(), outage });
            }
            known.insert(card.id.clone(), (before, chain));
        }
        let mut told = Vec::new();
        for place in 0..self.components.len() {
            let id = self.roster.components[place].id.clone();
            let Some((before, chain)) = known.remove(&id) else {
                told.push(place);
                continue;
            };
            let phase = before.tracker.phase();
            if self.components[place].observable && before.observable {
                self.take_over(place, before, &chain, asked_anew, now);
            }
            if self.phase(place) != phase {
                told.push(place);
            }
        }
        let phases = told.into_iter().filter_map(|place| self.phase_event(place, self.phase(place), now));
        reloaded.events.extend(phases);
        reloaded
    }

    /// The component itself and everything that it needs.
    fn chain_of(&self, place: usize) -> BTreeSet<ComponentId> {
        let needs = self.components[place].needs.iter().copied();
        let observable = needs.filter(|need| self.components[*need].observable);
        std::iter::once(place).chain(observable).map(|part| self.roster.components[part].id.clone()).collect()
    }

    /// Goes on with what was known of a component. `chain` was what its verdicts spoke of.
    fn take_over(
        &mut self,
        place: usize,
        before: Measured,
        chain: &BTreeSet<ComponentId>,
        asked_anew: &BTreeSet<ComponentId>,
        now: Now,
    ) {
        let present = self.chain_of(place);
        let same: BTreeSet<ComponentId> =
            present.intersection(chain).filter(|part| !asked_anew.contains(*part)).cloned().collect();
        let id = &self.roster.components[place].id;
        let is_asked_anew = asked_anew.contains(id);
        let mut tracker = before.tracker;
        if same.len() != present.len() || same.len() != chain.len() {
            let steps = |part: &ComponentId| {
                let part = present.get(part).and_then(|part| self.position(part))?;
                Some(&self.roster.components[part].steps)
            };
            tracker.speak_anew(is_asked_anew, &same, |part, step| {
                steps(part).is_some_and(|steps| steps.iter().any(|card| *card.name == *step))
            });
        }
        let component = &mut self.components[place];
        component.tracker = tracker;
        component.waits = before.waits;
        if !is_asked_anew {
            component.goods = before.goods;
            component.latest = before.latest;
        }
        let target = component.rules.target;
        if let Some(outage) = component.tracker.outage_mut() {
            // A breach of the new target is news, whatever became of the old one.
            outage.violation_told &= now.moment.since(outage.t_detect) >= target;
        }
    }
}
