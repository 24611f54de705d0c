//! The clock guard's place in the engine: a task of its own asks the time sources, the engine's task judges what it
//! brings, corrects timestamps by it, and says so.
//!
//! ```text
//!  chrony, time servers, platforms ──► task ──rounds──► ClockWatch ──► core (state, corrections, events)
//!                                       ▲                   │
//!                                       └── ask again ──────┘  the wall clock was set, the machine slept
//! ```
//!
//! Invariants: the engine's task waits for no source; the alert is told once when the clock becomes unsafe and once when
//! it is safe again, restarts included.

mod sources;
mod words;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::sources::SourceReport;
pub(super) use self::words::SCOPE as CLOCK_SCOPE;
use self::{sources::Sources, words::Complaints};
use super::core::Core;
use crate::{
    clock::{Clock as _, Corrected, SharedClock},
    config::model::Config,
    domain::{
        Event, Moment,
        clock::{Guard, Judged, Limits},
        event::{AlertState, ClockEvent},
        record::ClockState,
        time::Now,
    },
    platform::dates::endpoint,
    probe::Client,
};

/// How often a platform whose time is in doubt is asked when everything is to be learnt anew.
const FIRST_POLLS: u32 = 4;
/// The shortest time between two rounds.
const SHORTEST: Duration = Duration::from_secs(1);
/// A reading counts for so many rounds after it was taken.
const LIFETIME: u32 = 5;
/// … and at least for so long.
const LEAST_LIFETIME: Duration = Duration::from_secs(30);

/// What one round of questions brought.
#[derive(Debug)]
pub(super) struct Round {
    begun: Moment,
    reports: Vec<SourceReport>,
}

/// What the task that asks is to do.
#[derive(Clone, Debug)]
struct Orders {
    clients: Vec<Arc<Client>>,
    /// The clock is unsafe: it is asked more often, so that its return is seen soon.
    hurry: bool,
    /// Nothing from before this instant counts.
    from: Moment,
    /// Every change of it asks for a round at once.
    wanted: u64,
}

/// The guard as the engine's task sees it.
pub(super) struct ClockWatch {
    corrected: Arc<Corrected>,
    guard: Guard,
    max_drift: Duration,
    rounds: mpsc::Receiver<Round>,
    orders: watch::Sender<Orders>,
    complaints: Complaints,
    told: Option<ClockEvent>,
    /// By how much the wall clock was set, until the sources have spoken since.
    stepped: Option<i64>,
    /// Whether the alert is firing.
    alerted: bool,
    task: Option<AbortOnDropHandle<()>>,
}

impl ClockWatch {
    /// Begins to ask; must be called inside a tokio runtime. `corrected` is the clock that the engine goes by.
    pub(super) fn start(config: &Config, corrected: &Arc<Corrected>, seed: u64) -> Self {
        let from = Moment::from_nanos(i64::MIN);
        let (orders, received) =
            watch::channel(Orders { clients: Vec::new(), hurry: false, from, wanted: 0 });
        let (task, rounds) = begin_to_ask(config, corrected, seed, received);
        Self {
            corrected: Arc::clone(corrected),
            guard: Guard::new(limits(config)),
            max_drift: config.clock.max_drift,
            rounds,
            orders,
            complaints: Complaints::default(),
            told: None,
            stepped: None,
            alerted: false,
            task,
        }
    }

    /// Whether another config asks other sources, or asks them otherwise.
    pub(super) fn asks_otherwise(old: &Config, new: &Config) -> bool {
        let endpoints =
            |config: &Config| -> Vec<_> { config.platforms.keys().map(|id| endpoint(config, id)).collect() };
        old.clock != new.clock || old.platforms != new.platforms || endpoints(old) != endpoints(new)
    }

    /// Goes on with another config: what is known of the clock stays known until its sources grow silent or say otherwise.
    /// What was said of sources is taken back by the next round, or at once where none will come.
    pub(super) fn reload(&mut self, config: &Config, seed: u64, core: &mut Core) {
        self.guard.set_limits(limits(config));
        self.max_drift = config.clock.max_drift;
        let received = self.orders.subscribe();
        (self.task, self.rounds) = begin_to_ask(config, &self.corrected, seed, received);
        self.complaints = Complaints::default();
        if self.task.is_none() {
            let at = self.corrected.now();
            core.notice(at, "time sources", false, "no time source is asked any more".to_owned());
            if let Some(by) = self.stepped.take() {
                core.notice(at, "wall clock", false, words::stepped(by));
            }
        }
    }

    /// Takes up what an earlier process told last: a clock that was unsafe stays so until the sources say otherwise.
    pub(super) fn remember(&mut self, last: Option<AlertState>) {
        self.alerted = last.is_some_and(|state| state != AlertState::Resolved);
        if self.alerted && self.task.is_some() {
            self.guard.distrust();
            self.order(|orders| orders.hurry = true);
        }
    }

    /// The next round; waits for ever where nobody is asked.
    pub(super) async fn next(&mut self) -> Round {
        match self.rounds.recv().await {
            Some(round) => round,
            None => std::future::pending().await,
        }
    }

    /// The clients through which the platforms are asked from now on.
    pub(super) fn use_clients(&self, clients: &[Arc<Client>]) {
        self.order(|orders| {
            orders.clients = clients.to_vec();
            orders.wanted += 1;
        });
    }

    /// Takes a round before anybody can be told of it.
    pub(super) fn take_early(&mut self, round: Round, core: &mut Core) {
        let now = self.corrected.raw().now_closely();
        if let Some(judged) = self.judge(round, now) {
            self.corrected.correct(judged.correction);
            core.set_clock(&judged, 0);
        }
    }

    /// Takes a round and tells what follows from it.
    pub(super) fn take(&mut self, round: Round, core: &mut Core) {
        let now = self.corrected.raw().now_closely();
        if let Some(judged) = self.judge(round, now) {
            self.tell(&judged, true, core);
            let complaint = self.complaints.text(&judged);
            let standing = complaint.is_some();
            let at = self.corrected.now();
            core.notice(at, "time sources", standing, complaint.unwrap_or_default());
            if let Some(by) = self.stepped.take_if(|_| judged.majority) {
                core.notice(at, "wall clock", false, words::stepped(by));
            }
        }
    }

    /// Looks whether the wall clock was set, and what has become of what is known. To be called about once a second.
    pub(super) fn look(&mut self, core: &mut Core) {
        let now = self.corrected.raw().now_closely();
        if let Some(by) = self.guard.stepped(now) {
            tracing::warn!(seconds = by as f64 / 1e9, "the wall clock was set");
            let judged = self.guard.look(now);
            self.tell(&judged, true, core);
            self.stepped = Some(by);
            core.notice(self.corrected.now(), "wall clock", true, words::stepped(by));
            self.order(|orders| orders.wanted += 1);
            return;
        }
        let judged = self.guard.look(now);
        self.tell(&judged, false, core);
    }

    /// The machine slept until now: while it did, nobody knows how well its clocks went on.
    pub(super) fn slept(&mut self) {
        let now = self.corrected.moment();
        self.guard.forget();
        self.order(|orders| {
            orders.from = now;
            orders.wanted += 1;
        });
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.orders.send_modify(change);
    }

    fn judge(&mut self, round: Round, now: Now) -> Option<Judged> {
        if round.begun < self.orders.borrow().from {
            return None;
        }
        for report in &round.reports {
            match &report.read {
                Ok(reading) => tracing::debug!(source = &*report.source, ?reading, "a time source"),
                Err(why) => tracing::debug!(source = &*report.source, why, "a time source says nothing"),
            }
        }
        self.complaints.take(&round.reports);
        let readings = round.reports.into_iter().filter_map(|report| report.read.ok()).collect();
        Some(self.guard.round(readings, now))
    }

    /// Tells what is news; what is no news changes no timestamp either, so that everybody corrects theirs alike.
    fn tell(&mut self, judged: &Judged, is_round: bool, core: &mut Core) {
        let event = words::clock(judged, self.corrected.now().wall);
        let is_news = match &self.told {
            None => judged.offset.is_some() || judged.state != ClockState::Unknown,
            Some(told) => told.state != judged.state || is_round && words::is_news(told, &event),
        };
        if is_news {
            self.corrected.correct(judged.correction);
        }
        let applied = self.corrected.correction().num_nanoseconds().unwrap_or_default();
        core.set_clock(judged, judged.correction.saturating_sub(applied));
        if is_news {
            let event = ClockEvent { at: self.corrected.now().wall, ..event };
            self.told = Some(event.clone());
            core.publish(Event::Clock(event));
        }
        self.alert(judged, core);
        let hurry = judged.state == ClockState::Unsafe;
        self.orders.send_if_modified(|orders| std::mem::replace(&mut orders.hurry, hurry) != hurry);
    }

    fn alert(&mut self, judged: &Judged, core: &mut Core) {
        let at = self.corrected.now().wall;
        let is_unsafe = judged.state == ClockState::Unsafe;
        if is_unsafe == self.alerted
            || (!is_unsafe && judged.state == ClockState::Unknown && self.task.is_some())
        {
            return;
        }
        self.alerted = is_unsafe;
        core.publish(if is_unsafe {
            words::alert(AlertState::Firing, words::unsafe_clock(judged, self.max_drift), at)
        } else {
            words::alert(AlertState::Resolved, words::safe_clock(judged), at)
        });
    }
}

/// The task that asks, where anybody is to be asked, and what it brings.
fn begin_to_ask(
    config: &Config,
    corrected: &Arc<Corrected>,
    seed: u64,
    orders: watch::Receiver<Orders>,
) -> (Option<AbortOnDropHandle<()>>, mpsc::Receiver<Round>) {
    let settings = &config.clock;
    let (sender, rounds) = mpsc::channel(4);
    let asks = settings.chrony || !settings.ntp.is_empty() || settings.platform;
    let task = asks.then(|| {
        let sources = Sources::new(config, corrected.raw(), seed);
        let clock = Arc::clone(corrected.raw());
        AbortOnDropHandle::new(tokio::spawn(ask(sources, settings.every, clock, orders, sender)))
    });
    (task, rounds)
}

fn limits(config: &Config) -> Limits {
    let lifetime = (config.clock.every * LIFETIME).max(LEAST_LIFETIME);
    Limits { max_drift: config.clock.max_drift, lifetime }
}

/// Asks round after round, until nobody listens any more.
async fn ask(
    mut sources: Sources,
    every: Duration,
    clock: SharedClock,
    mut orders: watch::Receiver<Orders>,
    out: mpsc::Sender<Round>,
) {
    let (mut polls, mut last_from, mut last_wanted) = (FIRST_POLLS, None, 0);
    loop {
        let Orders { clients, hurry, from, wanted } = orders.borrow_and_update().clone();
        if last_from.replace(from).is_some_and(|last| last != from) {
            sources.forget();
        }
        if std::mem::replace(&mut last_wanted, wanted) != wanted {
            polls = FIRST_POLLS;
        }
        let begun = clock.moment();
        let reports = sources.ask(&clients, std::mem::replace(&mut polls, 1), from).await;
        if out.send(Round { begun, reports }).await.is_err() {
            return;
        }
        let wait = if hurry { (every / 4).max(SHORTEST) } else { every };
        let next = tokio::time::Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let orders = orders.borrow();
                    if orders.wanted != last_wanted || orders.hurry != hurry {
                        break;
                    }
                }
            }
        }
    }
}

/// What all time sources say, asked once.
#[derive(Clone, Debug)]
pub struct ClockReport {
    /// Every source: its reading, or why it gives none.
    pub sources: Vec<SourceReport>,
    /// What follows from them.
    pub judged: Judged,
}

/// Asks every time source of the config once, a platform up to four times until its time is known well enough; takes some
/// five seconds at most. Platforms without a client in `clients` are left out.
pub async fn read_once(
    config: &Config,
    clients: &[Arc<Client>],
    clock: &SharedClock,
    seed: u64,
) -> ClockReport {
    let from = Moment::from_nanos(i64::MIN);
    let sources = Sources::new(config, clock, seed).ask(clients, FIRST_POLLS, from).await;
    let readings = sources.iter().filter_map(|report| report.read.clone().ok()).collect();
    let judged = Guard::new(limits(config)).round(readings, clock.now_closely());
    ClockReport { sources, judged }
}
