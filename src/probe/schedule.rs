//! The schedule of all probes: one light task for each component.
//!
//! Invariants: due times lie on a fixed grid and do not drift; one platform's trouble delays no other's probes; reports
//! of one component are sent in the order of their ends.

mod beat;
mod beside;
mod grid;
mod heritage;
mod lateness;
mod outbox;
mod seats;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    budget::{Budget, Purse, Stretch},
    client::Client,
    doubt::{Canary, Sights, Witness},
    journey::{Gate, Journey, Judged, Leftovers, Order, Signals},
};
use crate::{
    clock::SharedClock,
    config::model::{Action, Component, Platform, Step},
    domain::{ComponentId, PlatformId, ProbeReport, StepReport, Tier, measurement::Pace},
    platform::{Credentials, Session},
};
use beat::Beat;
use beside::{serve_budget, watch_canary};
use grid::Grid;
use heritage::{Heritage, Seat, Traced};
use lateness::Lateness;
pub use lateness::LatenessSnapshot;
use seats::{family, phases};

/// How long clean-up under way is waited for at the end: the whole process is to be gone within a second.
const CLEAN_UP_GRACE: Duration = Duration::from_millis(700);

/// What the schedule hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeOutput {
    /// A probe ended.
    Report {
        /// The component's place among those that the schedule was started with.
        place: usize,
        /// What it found.
        report: Box<ProbeReport>,
    },
    /// A platform throttles us or no longer does, or its budget makes probes come later than they should.
    Budget {
        /// Which platform.
        platform: PlatformId,
        /// Whether it answers 429.
        throttled: bool,
        /// How long we wait, where it throttles.
        retry_after: Option<Duration>,
        /// Components whose probes come later than they should, the worst first.
        stretched: Vec<Stretch>,
    },
    /// Something about the canaries that a person must know.
    Notice {
        /// What it is about: `canary`.
        about: &'static str,
        /// Whether it is still so.
        standing: bool,
        /// What, and what to do.
        text: String,
    },
}

/// Runs probes; the real one is a [`Journey`], a test brings its own.
pub trait Prober: Send + Sync + 'static {
    /// Runs the steps that speak for the verdict; its requests are paid for from the purse. Once it is to make way it ends as
    /// soon as nothing that it created can stay behind.
    fn judge(
        self: Arc<Self>,
        order: Order,
        gate: Gate,
        purse: Purse,
        make_way: CancellationToken,
    ) -> BoxFuture<'static, Judged>;

    /// Runs the clean-up steps.
    fn clean_up(
        self: Arc<Self>,
        leftovers: Leftovers,
    ) -> BoxFuture<'static, (Vec<(usize, StepReport)>, Signals)>;

    /// Waits a few seconds at most for what goes on behind runs that have ended: calls that are being torn down.
    fn settle(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Prober for Journey {
    fn judge(
        self: Arc<Self>,
        order: Order,
        gate: Gate,
        purse: Purse,
        make_way: CancellationToken,
    ) -> BoxFuture<'static, Judged> {
        Box::pin(async move { self.judge_or_make_way(order, &gate, purse, &make_way).await })
    }

    fn clean_up(
        self: Arc<Self>,
        leftovers: Leftovers,
    ) -> BoxFuture<'static, (Vec<(usize, StepReport)>, Signals)> {
        Box::pin(async move { Self::clean_up(&self, leftovers).await })
    }

    fn settle(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { Self::settle(&self).await })
    }
}

/// Starts schedules.
#[derive(Clone, Copy, Debug)]
pub struct Schedule;

/// One component as the schedule sees it.
struct Member {
    /// Place of its platform.
    platform: usize,
    tier: Tier,
    /// Requests that a whole run sends at least.
    requests: u32,
    /// How many of them clean up.
    clean_ups: u32,
    cadence: Duration,
    /// The longest that its health step may take.
    patience: Duration,
    /// What it asks for first, where one answer serves all that ask the same: these are probed together.
    listing: Option<String>,
    /// How old that answer may be, where it is that of the health step.
    shared: Option<Duration>,
    prober: Arc<dyn Prober>,
}

/// What one platform's components share.
#[derive(Debug)]
struct Shared {
    id: PlatformId,
    place: usize,
    budget: Arc<Budget>,
}

/// Steers a running schedule; dropping it ends all probes.
#[derive(Debug)]
pub struct ScheduleHandle {
    levers: Vec<Option<Lever>>,
    /// What is probed, with its journey where it has a step to be judged by.
    probed: Vec<(Arc<Component>, Option<Arc<Journey>>)>,
    /// Where each of them stands.
    places: HashMap<ComponentId, usize>,
    seats: Vec<Option<Seat>>,
    canary: Arc<Canary>,
    /// The budgets of all platforms that were ever probed: whoever comes back finds what it has used up.
    budgets: BTreeMap<PlatformId, Arc<Budget>>,
    /// When the grid began.
    origin: Instant,
    clients: Vec<Arc<Client>>,
    lateness: Arc<Lateness>,
    /// Components that are probed no longer, by the end of what was under way for them.
    gone: HashMap<ComponentId, CancellationToken>,
    /// Another schedule goes on in this one's place.
    handed_over: CancellationToken,
    /// No probe begins any more.
    stopping: CancellationToken,
    cancel: CancellationToken,
    tasks: TaskTracker,
    /// Keeps the way out open where there is nothing to probe: the reader must not take that for the end.
    _out: mpsc::Sender<ProbeOutput>,
}

/// What reaches one component's task.
#[derive(Debug)]
struct Lever {
    pace: watch::Sender<Pace>,
    now: Arc<Notify>,
}

impl Schedule {
    /// Starts to probe; must be called inside a tokio runtime. A platform without an entry in `sessions` is asked
    /// without credentials. Components without a step to be judged by are never probed.
    pub fn start(
        components: &[Arc<Component>],
        sessions: &BTreeMap<PlatformId, Arc<Session>>,
        canary: &[Url],
        clock: &SharedClock,
        seed: u64,
        out: mpsc::Sender<ProbeOutput>,
    ) -> ScheduleHandle {
        Self::begin(None, components, sessions, canary, clock, seed, out)
    }

    /// Goes on in place of another schedule, with other components, sessions or canaries. Of the old one, no probe begins
    /// any more. Those under way are cut off where they only read; one that may have created something ends and cleans up,
    /// and the component is probed again only then. It is left to the caller to [`ScheduleHandle::finish`] the old one.
    ///
    /// Each platform keeps its budget, also under another name: what was sent counts on, a throttle is obeyed on. A component that asks the same as
    /// before keeps its connections and its due times; one whose probe was cut off is probed again at once.
    pub fn go_on(
        before: &ScheduleHandle,
        components: &[Arc<Component>],
        sessions: &BTreeMap<PlatformId, Arc<Session>>,
        canary: &[Url],
        clock: &SharedClock,
        seed: u64,
        out: mpsc::Sender<ProbeOutput>,
    ) -> ScheduleHandle {
        before.hand_over();
        Self::begin(Some(before), components, sessions, canary, clock, seed, out)
    }

    fn begin(
        before: Option<&ScheduleHandle>,
        components: &[Arc<Component>],
        sessions: &BTreeMap<PlatformId, Arc<Session>>,
        canary: &[Url],
        clock: &SharedClock,
        seed: u64,
        out: mpsc::Sender<ProbeOutput>,
    ) -> ScheduleHandle {
        let mut clients: Vec<Arc<Client>> = Vec::new();
        let mut places: HashMap<PlatformId, usize> = HashMap::new();
        let mut members = Vec::with_capacity(components.len());
        let mut probed = Vec::with_capacity(components.len());
        let mut platforms: Vec<&Platform> = Vec::new();
        let renamed = before.map_or_else(BTreeMap::new, |before| before.renamed(components));
        for component in components {
            let id = &component.platform.id;
            // One that cannot be probed must not keep its platform's silence from being noticed.
            let Some(health) = component.health_step else {
                members.push(None);
                probed.push((Arc::clone(component), None));
                continue;
            };
            let health = &component.journey[health];
            let patience = health.retry.map_or(health.timeout, |retry| retry.until);
            let platform = *places.entry(id.clone()).or_insert_with(|| {
                let session = sessions.get(id).cloned();
                let session = session.unwrap_or_else(|| Session::fixed(Credentials::default()));
                let known = before
                    .and_then(|before| before.client_for(&component.platform, &renamed, &session, clock));
                clients.push(
                    known.unwrap_or_else(|| Client::new(&component.platform, session, Arc::clone(clock))),
                );
                platforms.push(&component.platform);
                clients.len() - 1
            });
            let client = &clients[platform];
            // It knows which of the answers that several look at it has seen already.
            let known = before.and_then(|before| before.journey_like(component, client));
            let journey = known.unwrap_or_else(|| {
                Journey::new(Arc::clone(component), Arc::clone(client), Arc::clone(clock))
            });
            probed.push((Arc::clone(component), Some(Arc::clone(&journey))));
            members.push(Some(Member {
                platform,
                tier: component.tier,
                requests: requests(component),
                clean_ups: clean_ups(component),
                cadence: component.cadence,
                patience,
                listing: journey.first_listing().map(str::to_owned),
                shared: journey.listed_health(),
                prober: journey,
            }));
        }
        let heritage =
            before.map_or_else(Heritage::default, |before| before.leave(components, &platforms, &members));
        let budgets =
            clients.iter().map(|client| (client.platform.clone(), Arc::clone(&client.budget))).collect();
        let witness = Arc::new(Witness::of(components, canary));
        let known = before.map(|before| &before.canary).filter(|known| known.is_of(canary));
        let canary = known.map_or_else(|| Canary::new(canary), Arc::clone);
        let mut handle = start_after(&heritage, members, budgets, &canary, &witness, clock, seed, out);
        handle.budgets.extend(before.into_iter().flat_map(|before| before.leave_budgets(&renamed)));
        let budget = |client: &Arc<Client>| (client.platform.clone(), Arc::clone(&client.budget));
        handle.budgets.extend(clients.iter().map(budget));
        handle.places = components.iter().zip(0..).map(|(one, place)| (one.id.clone(), place)).collect();
        if let Some(before) = before {
            handle.gone = before.leave_ends(&handle.places);
        }
        (handle.clients, handle.probed) = (clients, probed);
        handle
    }
}

/// Requests that a whole run of a component's journey sends, clean-up included, where nothing is polled and the answers
/// that it shares were asked for by others; at least one where it sends any.
fn requests(component: &Component) -> u32 {
    let asks = |step: &&Step| matches!(step.action, Action::Http(_));
    let own = component.journey.iter().filter(asks).filter(|step| step.shared.is_none()).count();
    let least = usize::from(component.journey.iter().any(|step| asks(&step)));
    u32::try_from(own.max(least)).unwrap_or(u32::MAX)
}

/// How many requests of a journey clean up.
fn clean_ups(component: &Component) -> u32 {
    let steps =
        component.journey.iter().filter(|step| step.cleanup && matches!(step.action, Action::Http(_)));
    u32::try_from(steps.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
fn start(
    members: Vec<Option<Member>>,
    platforms: Vec<(PlatformId, Arc<Budget>)>,
    canary: &Arc<Canary>,
    witness: &Arc<Witness>,
    clock: &SharedClock,
    seed: u64,
    out: mpsc::Sender<ProbeOutput>,
) -> ScheduleHandle {
    start_after(&Heritage::default(), members, platforms, canary, witness, clock, seed, out)
}

#[expect(clippy::too_many_arguments, reason = "each is another part of what a schedule stands on")]
fn start_after(
    heritage: &Heritage,
    members: Vec<Option<Member>>,
    platforms: Vec<(PlatformId, Arc<Budget>)>,
    canary: &Arc<Canary>,
    witness: &Arc<Witness>,
    clock: &SharedClock,
    seed: u64,
    out: mpsc::Sender<ProbeOutput>,
) -> ScheduleHandle {
    let mut rng = fastrand::Rng::with_seed(seed);
    let sights = Arc::new(Sights::new(platforms.len()));
    let shared: Vec<Arc<Shared>> = platforms
        .into_iter()
        .enumerate()
        .map(|(place, (id, budget))| {
            budget.seed(rng.u64(..));
            Arc::new(Shared { id, place, budget })
        })
        .collect();
    let (lateness, tasks) = (heritage.lateness.clone().unwrap_or_default(), TaskTracker::new());
    let cancel = CancellationToken::new();
    let (stopping, handed_over) = (cancel.child_token(), CancellationToken::new());
    let begun = Instant::now();
    let origin = heritage.origin.unwrap_or(begun);
    let phases = phases(&members, heritage, &mut rng);
    let mut seats = Vec::with_capacity(members.len());
    let mut families = Vec::new();
    let mut levers = Vec::with_capacity(members.len());
    for (place, (member, (phase, siblings))) in members.into_iter().zip(phases).enumerate() {
        let Some(member) = member else {
            levers.push(None);
            seats.push(None);
            continue;
        };
        let (traced, over) = (Arc::new(Traced::default()), CancellationToken::new());
        let row = member.row(&shared[member.platform].id);
        seats.push(Some(Seat { row, traced: Arc::clone(&traced), over: over.clone() }));
        let pace = Pace { burst: false, interval: member.cadence, fresh: false, health_only: false };
        let (sender, receiver) = watch::channel(pace);
        let now = Arc::new(Notify::new());
        let family = family(&member, &mut families);
        let beat = Beat {
            place,
            siblings,
            tier: member.tier,
            requests: member.requests,
            clean_ups: member.clean_ups,
            family,
            cadence: member.cadence,
            patience: member.patience,
            prober: member.prober,
            platform: Arc::clone(&shared[member.platform]),
            begun,
            sights: Arc::clone(&sights),
            canary: Arc::clone(canary),
            witness: Arc::clone(witness),
            grid: Grid::new(origin, phase, rng.u64(..)),
            before: heritage.trace(place),
            ahead: heritage.ahead(place),
            traced,
            over: over.drop_guard(),
            pace: receiver,
            now: Arc::clone(&now),
            lateness: Arc::clone(&lateness),
            out: out.clone(),
        };
        tasks
            .spawn(cancel.clone().run_until_cancelled_owned(beat.run(stopping.clone(), handed_over.clone())));
        levers.push(Some(Lever { pace: sender, now }));
    }
    for platform in shared {
        let clerk = serve_budget(heritage.told.contains(&platform.place), platform, out.clone());
        // Nothing is left to tell when no probe begins any more; the end does not wait for it.
        tasks.spawn(stopping.clone().run_until_cancelled_owned(clerk));
    }
    if !canary.is_empty() {
        let watch = watch_canary(Arc::clone(canary), sights, Arc::clone(clock), out.clone());
        tasks.spawn(stopping.clone().run_until_cancelled_owned(watch));
    }
    tasks.close();
    ScheduleHandle {
        levers,
        probed: Vec::new(),
        budgets: BTreeMap::new(),
        places: HashMap::new(),
        seats,
        canary: Arc::clone(canary),
        origin,
        clients: Vec::new(),
        lateness,
        gone: HashMap::new(),
        handed_over,
        stopping,
        cancel,
        tasks,
        _out: out,
    }
}

impl ScheduleHandle {
    /// Changes how a component is probed, from its next probe on. A burst begins at once.
    pub fn set_pace(&self, place: usize, pace: Pace) {
        if let Some(Some(lever)) = self.levers.get(place) {
            lever.pace.send_if_modified(|current| {
                let changed = *current != pace;
                *current = pace;
                changed
            });
        }
    }

    /// Probes a component at once, besides its schedule, unless its platform throttles us or a probe of it is under way.
    pub fn probe_now(&self, place: usize) {
        if let Some(Some(lever)) = self.levers.get(place) {
            lever.now.notify_one();
        }
    }

    /// The clients of the platforms that are probed.
    #[must_use]
    pub fn clients(&self) -> &[Arc<Client>] {
        &self.clients
    }

    /// How late probes started so far, those that waited for an earlier one of their component left out.
    #[must_use]
    pub fn lateness(&self) -> LatenessSnapshot {
        self.lateness.snapshot()
    }

    /// No probe begins any more: another schedule goes on.
    fn hand_over(&self) {
        // In this order: who sees that it is over must see why.
        self.handed_over.cancel();
        self.stopping.cancel();
    }

    /// After another schedule has gone on in its place: waits until what was under way has ended and is cleaned up, in the
    /// ordinary patience, or does as [`ScheduleHandle::stop`] once the process is to end.
    pub async fn finish(self, end: CancellationToken) {
        if end.run_until_cancelled(self.tasks.wait()).await.is_none() {
            self.stop().await;
        }
    }

    /// Ends all probes, those under way included, and waits until they have; clean-up under way gets up to 700 ms more.
    pub async fn stop(self) {
        self.stopping.cancel();
        if tokio::time::timeout(CLEAN_UP_GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!("clean-up is left undone: it took longer than the end may wait for");
        }
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for ScheduleHandle {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests;
