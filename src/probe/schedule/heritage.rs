//! What one schedule leaves to the next, when the engine goes on with another config: each component's place on the grid,
//! when it is due, and what its task had learnt.
//!
//! Invariant: who stays is probed when it would have been probed anyway, whatever comes and goes beside it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Member, Pace, ScheduleHandle, grid::Grid, lateness::Lateness, seats::Row};
use crate::{
    clock::SharedClock,
    config::model::{Component, Platform},
    domain::{ComponentId, PlatformId},
    platform::Session,
    probe::{budget::Budget, client::Client, journey::Journey},
};

/// What is known of one component's task at any moment.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) grid: Grid,
    pub(super) pace: Pace,
    pub(super) due: Instant,
    pub(super) last_start: Option<Instant>,
    /// A 503 asked for so long a wait.
    pub(super) not_before: Option<Instant>,
    pub(super) failed: bool,
    /// Requests that the last whole run sent.
    pub(super) requests: u32,
    /// A probe is under way, or waits for its leave, or has not been told of yet.
    pub(super) owed: bool,
}

/// The trace of a running task, renewed by it alone.
#[derive(Debug, Default)]
pub(super) struct Traced(Mutex<Option<Trace>>);

impl Traced {
    pub(super) fn renew(&self, trace: Trace) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(trace);
    }

    pub(super) fn last(&self) -> Option<Trace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A component's place in a running schedule.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) row: Row,
    pub(super) traced: Arc<Traced>,
    /// Nothing of it is under way any more.
    pub(super) over: CancellationToken,
}

/// What is taken over, by the place in the new schedule.
#[derive(Debug, Default)]
pub(super) struct Heritage {
    pub(super) seats: Vec<Option<Inherited>>,
    pub(super) lateness: Option<Arc<Lateness>>,
    /// When the grid began that all are on.
    pub(super) origin: Option<Instant>,
    /// Platforms, by their place, of whose budget something was told that may hold no longer.
    pub(super) told: Vec<usize>,
}

/// What one component takes over.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    /// Its place on the grid, where it stays in its row.
    pub(super) phase: Option<f64>,
    /// What its task knew, where it is still asked the same.
    pub(super) trace: Option<Trace>,
    /// The end of what is under way for it still: two chains of one component would disturb each other.
    pub(super) ahead: CancellationToken,
}

impl Heritage {
    pub(super) fn phase(&self, place: usize) -> Option<f64> {
        self.seats.get(place)?.as_ref()?.phase
    }

    pub(super) fn trace(&self, place: usize) -> Option<Trace> {
        self.seats.get(place)?.as_ref()?.trace.clone()
    }

    pub(super) fn ahead(&self, place: usize) -> Option<CancellationToken> {
        Some(self.seats.get(place)?.as_ref()?.ahead.clone())
    }
}

impl ScheduleHandle {
    /// Platforms that only have another name now, by that name: one that is gone had the same address. What was sent to it
    /// was sent to the one that has it now.
    pub(super) fn renamed(&self, components: &[Arc<Component>]) -> BTreeMap<PlatformId, PlatformId> {
        let news: BTreeMap<&PlatformId, &Platform> =
            components.iter().map(|component| (&component.platform.id, &*component.platform)).collect();
        let mut gone: BTreeMap<&PlatformId, &Platform> = self
            .probed
            .iter()
            .map(|(component, _)| (&component.platform.id, &*component.platform))
            .filter(|(id, _)| !news.contains_key(id) && self.budgets.contains_key(id))
            .collect();
        let mut renamed = BTreeMap::new();
        for (id, platform) in news.into_iter().filter(|(id, _)| !self.budgets.contains_key(id)) {
            let before = gone.iter().find(|(_, before)| before.base_url == platform.base_url);
            if let Some(before) = before.map(|(before, _)| *before) {
                gone.remove(before);
                renamed.insert(id.clone(), before.clone());
            }
        }
        renamed
    }

    /// The budgets of platforms that are away, but of those that have another name now.
    pub(super) fn leave_budgets(
        &self,
        renamed: &BTreeMap<PlatformId, PlatformId>,
    ) -> BTreeMap<PlatformId, Arc<Budget>> {
        let is_away = |id: &PlatformId| !renamed.values().any(|before| before == id);
        let away = self.budgets.iter().filter(|(id, _)| is_away(id));
        away.map(|(id, budget)| (id.clone(), Arc::clone(budget))).collect()
    }

    /// Its client of a platform: the same, where it is spoken to in the same way, else one that goes on with its budget.
    pub(super) fn client_for(
        &self,
        platform: &Platform,
        renamed: &BTreeMap<PlatformId, PlatformId>,
        session: &Arc<Session>,
        clock: &SharedClock,
    ) -> Option<Arc<Client>> {
        let budget = self.budgets.get(renamed.get(&platform.id).unwrap_or(&platform.id))?;
        let known = self.clients.iter().find(|client| client.platform == platform.id).filter(|client| {
            Arc::ptr_eq(client.session(), session)
                && self.platform(&platform.id).is_some_and(|before| before.speaks_like(platform))
        });
        let anew = || Client::on(Arc::clone(budget), platform, Arc::clone(session), Arc::clone(clock));
        Some(known.map_or_else(anew, Arc::clone))
    }

    /// The ends of what is under way for components that have no place any more.
    pub(super) fn leave_ends(
        &self,
        places: &HashMap<ComponentId, usize>,
    ) -> HashMap<ComponentId, CancellationToken> {
        let seats = self.places.iter().filter_map(|(id, place)| Some((id, self.seats[*place].as_ref()?)));
        let ends = seats.map(|(id, seat)| (id, &seat.over)).chain(&self.gone);
        let still = ends.filter(|(id, end)| !places.contains_key(*id) && !end.is_cancelled());
        still.map(|(id, end)| (id.clone(), end.clone())).collect()
    }

    fn platform(&self, id: &PlatformId) -> Option<&Platform> {
        self.probed.iter().map(|(component, _)| &*component.platform).find(|platform| platform.id == *id)
    }

    /// Its journey of a component that asks the same through the same client.
    pub(super) fn journey_like(&self, component: &Component, client: &Arc<Client>) -> Option<Arc<Journey>> {
        let (known, journey) = self.probed.get(*self.places.get(&component.id)?)?;
        let client_is_known = self.clients.iter().any(|known| Arc::ptr_eq(known, client));
        journey.as_ref().filter(|_| client_is_known && known.asks_like(component)).map(Arc::clone)
    }

    /// What it leaves to a schedule of these components, whose platforms and members are given by place.
    pub(super) fn leave(
        &self,
        components: &[Arc<Component>],
        platforms: &[&Platform],
        members: &[Option<Member>],
    ) -> Heritage {
        let news: HashMap<_, _> = components.iter().zip(0..).map(|(one, place)| (&one.id, place)).collect();
        let (mut told, renamed) = (Vec::new(), self.renamed(components));
        for (place, platform) in platforms.iter().enumerate() {
            let before = renamed.get(&platform.id).unwrap_or(&platform.id);
            let Some(budget) = self.budgets.get(before) else { continue };
            let is_elsewhere =
                self.platform(before).is_some_and(|before| before.base_url != platform.base_url);
            let moved = |old: usize| news.get(&self.probed.get(old)?.0.id).copied();
            if budget.take_over(platform.rate_limit, is_elsewhere, moved) {
                told.push(place);
            }
        }
        // Who is away leaves nothing that names a place; what it has used up counts when it comes back.
        for (id, budget) in &self.leave_budgets(&renamed) {
            if !platforms.iter().any(|platform| platform.id == *id) {
                budget.rest();
            }
        }
        let inherit = |(component, member): (&Arc<Component>, &Option<Member>)| {
            let member = member.as_ref()?;
            let Some(old) = self.places.get(&component.id).copied() else {
                let ahead = self.gone.get(&component.id)?.clone();
                return Some(Inherited { phase: None, trace: None, ahead });
            };
            let seat = self.seats.get(old)?.as_ref()?;
            let trace = seat.traced.last();
            let phase = trace.as_ref().filter(|_| seat.row == member.row(&component.platform.id));
            let phase = phase.map(|trace| trace.grid.phase());
            let trace = trace.filter(|_| self.probed[old].0.asks_like(component));
            Some(Inherited { phase, trace, ahead: seat.over.clone() })
        };
        Heritage {
            seats: components.iter().zip(members).map(inherit).collect(),
            lateness: Some(Arc::clone(&self.lateness)),
            origin: Some(self.origin),
            told,
        }
    }
}
