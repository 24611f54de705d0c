//! The task of one component: it starts probes when they are due, and sends on what they found.
//!
//! Invariants: in peace one probe at a time; in a burst a new one starts only while all others are in their health step;
//! none starts while the task before this one, of another schedule, has something under way.

mod handover;

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Pace, ProbeOutput, Prober, Shared,
    grid::Grid,
    heritage::{Trace, Traced},
    lateness::Lateness,
    outbox::{Entry, Outbox, Wait},
};
use crate::{
    domain::{StepReport, Tier, Verdict},
    probe::{
        budget::{Applicant, Application, Family, Purse},
        doubt::{Canary, Sight, Sights, Witness},
        journey::{Gate, Judged, Leftovers, Order, Signals},
    },
};

/// Probes of one component that may be in their health step at one time, where a slow one needs no more.
const OVERLAP: u128 = 16;

/// Everything that a component's task needs.
pub(super) struct Beat {
    pub(super) place: usize,
    pub(super) siblings: usize,
    pub(super) tier: Tier,
    /// Requests that a whole run sends at least.
    pub(super) requests: u32,
    /// How many of them clean up.
    pub(super) clean_ups: u32,
    /// Those that ask the same first and are given one answer.
    pub(super) family: Option<Family>,
    pub(super) cadence: Duration,
    /// The longest that its health step may take.
    pub(super) patience: Duration,
    pub(super) prober: Arc<dyn Prober>,
    pub(super) platform: Arc<Shared>,
    /// When the schedule began.
    pub(super) begun: Instant,
    pub(super) sights: Arc<Sights>,
    pub(super) canary: Arc<Canary>,
    pub(super) witness: Arc<Witness>,
    pub(super) grid: Grid,
    /// What the task before knew, where this one goes on with the same journey.
    pub(super) before: Option<Trace>,
    /// The end of what the task before has under way.
    pub(super) ahead: Option<CancellationToken>,
    /// What this one knows, for the one after it.
    pub(super) traced: Arc<Traced>,
    /// Dropped when this one has nothing under way any more.
    pub(super) over: DropGuard,
    pub(super) pace: watch::Receiver<Pace>,
    pub(super) now: Arc<Notify>,
    pub(super) lateness: Arc<Lateness>,
    pub(super) out: mpsc::Sender<ProbeOutput>,
}

/// The engine is gone: nobody reads reports any more.
struct Unread;

/// What one of a component's futures came to.
enum Ended {
    /// A verdict is spoken.
    Judged(Box<Judged>),
    /// A canary has spoken; why the verdict is taken back, if it is.
    Doubted { id: u64, why: Option<&'static str> },
    /// Clean-up is done.
    Cleaned { id: u64, steps: Vec<(usize, StepReport)>, signals: Signals },
}

/// What changes while a component is probed.
struct State {
    pace: Pace,
    gate: Gate,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    judging: usize,
    cleaning: usize,
    outbox: Outbox,
    next_id: u64,
    due: Instant,
    /// A probe was due in peace while the one before was still running, or while the task before was.
    waiting: bool,
    /// The task before has something under way, until this comes.
    ahead: Option<CancellationToken>,
    /// What is under way is to make way for the next task.
    make_way: CancellationToken,
    /// A probe waits for the platform's budget.
    queued: Option<oneshot::Receiver<Purse>>,
    /// Requests that the last whole run sent.
    requests: u32,
    last_start: Option<Instant>,
    not_before: Option<Instant>,
    failed: bool,
    /// Of this component alone.
    sight: Sight,
}

impl State {
    fn clean_up(&mut self, prober: &Arc<dyn Prober>, leftovers: Leftovers, id: u64) {
        let clean_up = Arc::clone(prober).clean_up(leftovers);
        let clean_up = async move {
            let (steps, signals) = clean_up.await;
            Ended::Cleaned { id, steps, signals }
        };
        self.running.push(clean_up.boxed());
        self.cleaning += 1;
    }

    /// Finishes the clean-up under way, and that of probes which end beside it; nothing is reported any more.
    async fn wind_down(mut self, prober: &Arc<dyn Prober>) {
        while self.cleaning > 0
            && let Some(ended) = self.running.next().await
        {
            match ended {
                Ended::Judged(judged) => {
                    if let Some(leftovers) = judged.leftovers {
                        self.clean_up(prober, leftovers, self.next_id);
                    }
                }
                Ended::Cleaned { .. } => self.cleaning -= 1,
                Ended::Doubted { .. } => {}
            }
        }
    }

    /// Lets what is under way end and clean up behind itself; nothing is reported any more.
    async fn make_way(mut self, prober: &Arc<dyn Prober>) {
        self.make_way.cancel();
        self.queued = None;
        while self.judging + self.cleaning > 0
            && let Some(ended) = self.running.next().await
        {
            match ended {
                Ended::Judged(judged) => {
                    self.judging -= 1;
                    if let Some(leftovers) = judged.leftovers {
                        self.clean_up(prober, leftovers, self.next_id);
                    }
                }
                Ended::Cleaned { .. } => self.cleaning -= 1,
                Ended::Doubted { .. } => {}
            }
        }
        if let Some(ahead) = self.ahead {
            ahead.cancelled().await;
        }
    }
}

impl Beat {
    /// Probes until `stopping`. Where it was handed over, what is under way then comes to its end; else only the clean-up
    /// that is under way does.
    pub(super) async fn run(mut self, stopping: CancellationToken, handed_over: CancellationToken) {
        let pace = *self.pace.borrow_and_update();
        let before = self.before.take();
        let due = self.first_due(pace, before.as_ref());
        let mut state = State {
            pace,
            gate: Gate::default(),
            running: FuturesUnordered::new(),
            judging: 0,
            cleaning: 0,
            outbox: Outbox::default(),
            next_id: 0,
            due,
            waiting: false,
            ahead: self.ahead.take(),
            make_way: CancellationToken::new(),
            queued: None,
            requests: before.as_ref().map_or(self.requests, |before| before.requests),
            last_start: before.as_ref().and_then(|before| before.last_start),
            not_before: before.as_ref().and_then(|before| before.not_before),
            failed: before.is_some_and(|before| before.failed),
            sight: Sight::default(),
        };
        stopping.run_until_cancelled(self.serve(&mut state)).await;
        if handed_over.is_cancelled() {
            state.make_way(&self.prober).await;
        } else {
            state.wind_down(&self.prober).await;
        }
        drop(self.over);
        self.prober.settle().await;
    }

    async fn serve(&mut self, state: &mut State) {
        let timer = sleep_until(state.due);
        tokio::pin!(timer);
        loop {
            self.trace(state);
            if timer.deadline() != state.due {
                timer.as_mut().reset(state.due);
            }
            tokio::select! {
                changed = self.pace.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.change_pace(state);
                }
                Some(ended) = state.running.next(), if !state.running.is_empty() => {
                    if self.take(state, ended).await.is_err() {
                        return;
                    }
                    if std::mem::take(&mut state.waiting) && !self.tick(state, None) {
                        state.waiting = !state.running.is_empty() && !state.pace.burst;
                    }
                }
                () = ended(state.ahead.as_ref()) => {
                    state.ahead = None;
                    if std::mem::take(&mut state.waiting) {
                        self.tick(state, None);
                    }
                }
                granted = granted(&mut state.queued) => {
                    state.queued = None;
                    if let Some(purse) = granted {
                        self.take_leave(state, purse);
                    }
                }
                () = self.now.notified() => {
                    if state.judging == 0 {
                        self.tick(state, None);
                    }
                }
                () = &mut timer => {
                    let due = state.due;
                    state.due = self.next_due(state);
                    self.tick(state, Some(due));
                }
            }
        }
    }

    fn next_due(&mut self, state: &State) -> Instant {
        let now = Instant::now();
        let first = state.last_start.is_none() && !state.pace.burst;
        // The first probe came early, before the grid: the next one is not to follow at its heels.
        let after = if first { now + state.pace.interval / 2 } else { now };
        self.grid.next(after, state.pace.interval)
    }

    fn change_pace(&mut self, state: &mut State) {
        let pace = *self.pace.borrow_and_update();
        let old = std::mem::replace(&mut state.pace, pace);
        if state.queued.is_some() {
            self.platform.budget.change(&self.applicant(state));
        }
        if (old.burst, old.interval) == (pace.burst, pace.interval) {
            return;
        }
        let now = Instant::now();
        let earliest = state.last_start.map_or(now, |last| now.max(last + pace.interval));
        if pace.burst {
            self.grid.anchor_at(earliest);
            state.due = earliest;
        } else {
            self.grid.go_home();
            let half_way = state.last_start.map_or(now, |last| now.max(last + pace.interval / 2));
            state.due = self.grid.next(half_way, pace.interval);
        }
    }

    /// Probes that may be in their health step at one time: as many as start before the first of them gives up, or hung ones
    /// would stop the burst.
    fn overlap(&self, interval: Duration) -> u128 {
        let during = self.patience.as_nanos() / interval.as_nanos().max(1);
        OVERLAP.max(during + 2)
    }

    /// What the budget has to know to find this component's turn.
    fn applicant(&self, state: &State) -> Applicant {
        let pace = state.pace;
        Applicant {
            place: self.place,
            troubled: pace.burst || pace.fresh,
            tier: self.tier,
            interval: pace.interval,
            cadence: self.cadence,
            last: state.last_start.unwrap_or(self.begun),
            // The health step alone, while it fails; what comes after it once it passes goes before other starts.
            requests: if pace.burst && pace.health_only { 1 } else { state.requests },
            family: self.family,
        }
    }

    /// Whether a probe may start now as far as this component's others go. `waits` says whether one that may not is to
    /// start when they have ended.
    fn has_way(&self, state: &mut State, waits: bool) -> bool {
        if state.ahead.is_some() {
            state.waiting = true;
            return false;
        }
        if state.pace.burst {
            if state.gate.is_taken() || state.judging as u128 >= self.overlap(state.pace.interval) {
                return false;
            }
        } else if !state.running.is_empty() {
            state.waiting |= waits;
            return false;
        }
        if let Some(not_before) = state.not_before.filter(|not_before| *not_before > Instant::now()) {
            state.due = state.due.min(not_before);
            return false;
        }
        true
    }

    /// Starts a probe if it may start now, or lets it wait for the budget. `due` is when it should have; `None` for one
    /// that waited or was asked for.
    fn tick(&mut self, state: &mut State, due: Option<Instant>) -> bool {
        if state.queued.is_some() || !self.has_way(state, due.is_some()) {
            return false;
        }
        // A journey without a request to the platform asks nothing of its budget, nor of a throttle.
        let purse = if self.requests == 0 {
            self.platform.budget.purse()
        } else {
            match self.platform.budget.apply(self.applicant(state)) {
                Application::Granted(purse) => purse,
                Application::Waits(granted) => {
                    state.queued = Some(granted);
                    return false;
                }
            }
        };
        if let Some(due) = due {
            self.lateness.note(Instant::now().saturating_duration_since(due));
        }
        self.begin(state, purse);
        true
    }

    /// Starts the probe that waited for the budget, if it still has a way.
    fn take_leave(&mut self, state: &mut State, purse: Purse) {
        if self.has_way(state, true) {
            self.begin(state, purse);
        }
    }

    fn begin(&self, state: &mut State, purse: Purse) {
        state.last_start = Some(Instant::now());
        state.judging += 1;
        let order = Order {
            burst: state.pace.burst,
            fresh: state.pace.fresh || state.failed,
            health_only: state.pace.health_only,
        };
        let prober = Arc::clone(&self.prober);
        let run = prober.judge(order, state.gate.clone(), purse, state.make_way.clone());
        let run = async move { Ended::Judged(Box::new(run.await)) };
        state.running.push(run.boxed());
    }

    async fn take(&mut self, state: &mut State, ended: Ended) -> Result<(), Unread> {
        match ended {
            Ended::Judged(judged) => {
                state.judging -= 1;
                self.heed(state, judged.signals);
                self.file(state, *judged);
            }
            Ended::Doubted { id, why } => state.outbox.decide(id, |report| {
                if let Some(why) = why {
                    Judged::blind(report, why);
                }
            }),
            Ended::Cleaned { id, steps, signals } => {
                state.cleaning -= 1;
                self.heed(state, signals);
                state.outbox.cleaned(id, steps);
            }
        }
        while let Some(entry) = state.outbox.pop() {
            let report = Box::new(entry.report);
            self.send(ProbeOutput::Report { place: self.place, report }).await?;
        }
        Ok(())
    }

    /// Files a verdict for sending, and starts what is still to be done for it.
    fn file(&mut self, state: &mut State, judged: Judged) {
        let id = state.next_id;
        state.next_id += 1;
        let cleans = judged.leftovers.is_some();
        if let Some(leftovers) = judged.leftovers {
            state.clean_up(&self.prober, leftovers, id);
        }
        let Some(report) = judged.report else { return };
        if report.verdict == Verdict::Up {
            // What it polled this time it will probably poll the next time too.
            state.requests = (judged.signals.requests + self.clean_ups).max(self.requests);
        }
        state.failed = report.verdict != Verdict::Up;
        // In trouble a good report may be the restoration, which nobody is to hear of late.
        let calm = !state.pace.burst && !state.pace.fresh;
        let waits = cleans && calm && report.verdict == Verdict::Up;
        let mut wait = if waits { Wait::CleanUp } else { Wait::Nothing };
        if judged.signals.reached {
            state.sight.answer(report.span);
            self.sights.answer(self.platform.place, report.span);
        }
        if judged.transport_failure {
            wait = Wait::Doubt;
            // A run in which another step was answered proves a way out.
            let cut_off = !judged.signals.reached
                && self.sights.failure(self.platform.place, &mut state.sight, report.evidence);
            let why = self.doubt(cut_off, judged.unresolved);
            state.running.push(async move { Ended::Doubted { id, why: why.await } }.boxed());
        }
        state.outbox.push(Entry { id, report, wait });
    }

    /// Whether a transport failure is our own, and why.
    fn doubt(&self, cut_off: bool, unresolved: bool) -> BoxFuture<'static, Option<&'static str>> {
        if cut_off {
            let why = "no platform answers: this machine seems to be cut off";
            return std::future::ready(Some(why)).boxed();
        }
        let (canary, witness) = (Arc::clone(&self.canary), Arc::clone(&self.witness));
        async move {
            if unresolved && witness.is_lost().await {
                return Some("no name is resolved: this machine's name resolution seems to be gone");
            }
            let ours = canary.accuses_us().await;
            ours.then_some("no canary answers either: this machine seems to be cut off")
        }
        .boxed()
    }

    /// Obeys a 503; whoever met the platform's 429 tries again when the wait is over, if its own slot comes later.
    fn heed(&self, state: &mut State, signals: Signals) {
        let now = Instant::now();
        if let Some(wait) = signals.slowed {
            state.not_before = Some(now + wait.min(self.cadence));
        }
        if signals.throttled.is_some() && self.platform.budget.is_throttled() {
            state.due = state.due.min(now);
        }
    }

    async fn send(&self, output: ProbeOutput) -> Result<(), Unread> {
        self.out.send(output).await.map_err(|_| Unread)
    }
}

/// The end of what is under way; waits for ever where nothing is.
async fn ended(ahead: Option<&CancellationToken>) {
    match ahead {
        Some(ahead) => ahead.cancelled().await,
        None => std::future::pending().await,
    }
}

/// The leave to probe that was waited for; `None` when there will be none.
async fn granted(queued: &mut Option<oneshot::Receiver<Purse>>) -> Option<Purse> {
    match queued {
        Some(granted) => granted.await.ok(),
        None => std::future::pending().await,
    }
}
