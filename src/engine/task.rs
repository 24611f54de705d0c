//! The task around the core: one loop over reports, requests and time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use super::{
    Request, Setup,
    core::{Beginning, Core, NewPace},
    past::Past,
    secrets::Secrets,
};
use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::{
        Command, Event, Moment, PlatformId, ProbeReport, RecoveryRecord, StepState, Verdict,
        event::{BudgetEvent, Login, PlatformEvent, Stretched},
        measurement::Thresholds,
    },
    platform::Credentials,
    probe::{Budgets, LatenessSnapshot, ProbeOutput, Schedule, ScheduleHandle, budget::Stretch},
    store::{Store, StoreHealth, Unsaved},
};

/// Reports that may wait for the core; a full queue makes probes wait rather than lose a verdict.
const REPORTS: usize = 4096;
/// How many reports are taken at once.
const BATCH: usize = 64;
/// How long the end waits for recoveries to reach the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the first probes wait for secrets that are at hand at once.
const SECRETS_PATIENCE: Duration = Duration::from_secs(1);
/// Why a platform is locked out whose secrets are on their way.
const PENDING: &str = "they are still being fetched";
/// When this task has not run for so long, nothing was seen in between.
const ASLEEP: Duration = Duration::from_secs(5);
/// How often the core is asked what time alone has brought about.
const ROUND: Duration = Duration::from_secs(1);

/// How an engine ended.
#[derive(Debug)]
pub struct Ended {
    /// Recoveries that could not be written.
    pub unsaved: Result<(), Unsaved>,
    /// How late probes started.
    pub lateness: LatenessSnapshot,
}

pub(super) struct Task {
    core: Core,
    config: Arc<Config>,
    clock: SharedClock,
    seed: u64,
    requests: mpsc::UnboundedReceiver<Request>,
    store: Store,
    secrets: Secrets,
    credentials: BTreeMap<PlatformId, Credentials>,
    /// What probes may send; a schedule that begins anew goes on with what the one before has left.
    budgets: Budgets,
    /// Platforms without their secrets, and why: what they answer says nothing of their components.
    locked_out: BTreeMap<PlatformId, String>,
    /// The last instant at which this task is known to have run.
    awake_at: Moment,
    /// A probe that began before this instant saw the world before a gap.
    seen_from: Moment,
}

/// A schedule and what comes out of it.
struct Probes {
    schedule: ScheduleHandle,
    reports: mpsc::Receiver<ProbeOutput>,
}

impl Task {
    pub(super) fn new(
        setup: Setup,
        sender: mpsc::UnboundedSender<Request>,
        requests: mpsc::UnboundedReceiver<Request>,
        store: Store,
    ) -> Self {
        let Setup { config, clock, seed, folder: _, listeners } = setup;
        let thresholds = Thresholds {
            failure: config.measurement.failure_threshold,
            ratio: config.measurement.failure_ratio,
            success: config.measurement.success_threshold,
        };
        let core = Core::new(Beginning {
            roster: Arc::clone(&config.roster),
            thresholds,
            seed,
            listeners,
            store: store.handle(),
            stored: Arc::new(move |record: Arc<RecoveryRecord>| {
                // An engine that has ended told of it no more; the record is on disk all the same.
                let _ = sender.send(Request::Stored(record));
            }),
            boot_id: boot_id(),
        });
        let awake_at = clock.moment();
        let locked_out = config.platforms.keys().map(|id| (id.clone(), PENDING.to_owned())).collect();
        Self {
            core,
            secrets: Secrets::of(&config),
            budgets: Budgets::new(config.platforms.values().map(AsRef::as_ref), seed),
            config,
            clock,
            seed,
            requests,
            store,
            credentials: BTreeMap::new(),
            locked_out,
            awake_at,
            seen_from: Moment::from_nanos(i64::MIN),
        }
    }

    pub(super) async fn run(mut self, past: Past, length: Option<Duration>) -> Ended {
        let ends = length.map(|length| Instant::now() + length);
        tracing::info!(
            components = self.config.components.len(),
            platforms = self.config.platforms.len(),
            kept = past.kept.len(),
            recoveries = past.recoveries.len(),
            "the engine begins"
        );
        self.core.begin(past, self.clock.now());
        let mut probes = None;
        if !self.wait_for_secrets().await {
            let begun = probes.insert(self.begin_probes());
            self.probe(begun, ends).await;
        }
        self.end(probes.map(|probes| probes.schedule)).await
    }

    /// Waits a little for the secrets that are at hand; says whether the end was asked for meanwhile.
    async fn wait_for_secrets(&mut self) -> bool {
        let patience = Instant::now() + SECRETS_PATIENCE;
        while self.locked_out.values().any(|reason| reason == PENDING) {
            tokio::select! {
                biased;
                request = self.requests.recv() => {
                    if self.request(request, None) {
                        return true;
                    }
                }
                (platform, fetched) = self.secrets.next() => {
                    self.take_secrets(platform, fetched);
                }
                () = tokio::time::sleep_until(patience) => return false,
            }
        }
        false
    }

    fn begin_probes(&self) -> Probes {
        let (out, reports) = mpsc::channel(REPORTS);
        let schedule = Schedule::start_within(
            &self.config.components,
            &self.credentials,
            &self.budgets,
            &self.config.canary,
            &self.clock,
            self.seed,
            out,
        );
        set_paces(&schedule, self.core.paces());
        Probes { schedule, reports }
    }

    /// Probes until the end is asked for or `ends` has come.
    async fn probe(&mut self, probes: &mut Probes, ends: Option<Instant>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.deadline();
            // What is rarely ready comes first, so that a flood of reports starves nothing.
            tokio::select! {
                biased;
                request = self.requests.recv() => {
                    if self.request(request, Some(&probes.schedule)) {
                        return;
                    }
                }
                () = sleep_until(ends) => return,
                _ = round.tick() => self.tick(&probes.schedule),
                () = sleep_until(deadline) => self.tick(&probes.schedule),
                (platform, fetched) = self.secrets.next() => {
                    if self.take_secrets(platform, fetched) {
                        // What is under way without them would say nothing.
                        *probes = self.begin_probes();
                    }
                }
                taken = probes.reports.recv_many(&mut batch, BATCH), if !probes.reports.is_closed() => {
                    self.notice_gap();
                    for output in batch.drain(..taken) {
                        self.take(output, &probes.schedule);
                    }
                }
            }
        }
    }

    /// Notices that this task did not run for a while: the machine slept, or the process was stopped or starved.
    fn notice_gap(&mut self) {
        let now = self.clock.now();
        let last = std::mem::replace(&mut self.awake_at, now.moment);
        if now.moment.since(last) >= ASLEEP {
            self.seen_from = now.moment;
            self.core.gap(last, "warroom did not run: suspended, stopped or starved", now);
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        let now = self.clock.moment();
        self.core.next_deadline(now).map(|deadline| Instant::now() + deadline.since(now))
    }

    /// Does what was asked; says whether that is the end.
    fn request(&mut self, request: Option<Request>, schedule: Option<&ScheduleHandle>) -> bool {
        match request {
            None | Some(Request::Stop) => return true,
            Some(Request::Picture) => self.core.send_pictures(),
            Some(Request::Command(Command::ProbeNow { component_id })) => {
                if let (Some(place), Some(schedule)) = (self.config.roster.position(&component_id), schedule)
                {
                    schedule.probe_now(place);
                }
            }
            Some(Request::Stored(record)) => self.core.recovery_stored(record, self.clock.now()),
            Some(Request::Health(health)) => self.health(&health),
        }
        false
    }

    fn take(&mut self, output: ProbeOutput, schedule: &ScheduleHandle) {
        let now = self.clock.now();
        match output {
            ProbeOutput::Report { place, mut report } => {
                if report.span.start < self.seen_from {
                    return;
                }
                // Without its secrets a platform's answers say nothing of its components.
                if let Some(reason) =
                    self.config.components.get(place).and_then(|one| self.locked_out.get(&one.platform.id))
                {
                    *report = blind(&report, reason);
                }
                let follow = self.core.report(&report, now);
                set_paces(schedule, follow.paces);
                for place in follow.probe_now {
                    schedule.probe_now(place);
                }
            }
            ProbeOutput::Budget { platform, throttled, retry_after, stretched } => {
                let late = stretched.len();
                tracing::info!(%platform, throttled, ?retry_after, late, "the rate budget");
                let stretched = stretched.into_iter().filter_map(|one| self.stretched(one)).collect();
                self.core.publish(Event::Budget(BudgetEvent {
                    at: now.wall,
                    platform,
                    throttled,
                    retry_after_ms: retry_after
                        .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                    stretched,
                }));
            }
            ProbeOutput::Notice { about, standing, text } => self.core.notice(now, about, standing, text),
        }
    }

    /// A component whose probes come late, in the words of events.
    fn stretched(&self, stretch: Stretch) -> Option<Stretched> {
        let millis = |interval: Duration| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Some(Stretched {
            component_id: self.config.components.get(stretch.place)?.id.clone(),
            wanted_ms: millis(stretch.wanted),
            actual_ms: millis(stretch.actual),
        })
    }

    fn tick(&mut self, schedule: &ScheduleHandle) {
        self.notice_gap();
        let paces = self.core.tick(self.clock.now());
        set_paces(schedule, paces);
    }

    fn health(&mut self, health: &StoreHealth) {
        tracing::info!(?health, "the store");
        let text = if health.is_well() { String::new() } else { health.to_string() };
        self.core.notice(self.clock.now(), "store", !health.is_well(), text);
    }

    /// Takes what came of a platform's secrets; says whether its probes must begin anew with them.
    fn take_secrets(&mut self, platform: PlatformId, fetched: Result<Credentials, String>) -> bool {
        let now = self.clock.now();
        let (login, reason, renewed) = match fetched {
            Ok(credentials) => {
                let before = self.locked_out.remove(&platform);
                self.credentials.insert(platform.clone(), credentials);
                if before.is_none_or(|before| before == PENDING) {
                    return true;
                }
                (Login::Ok, None, true)
            }
            Err(reason) => {
                tracing::error!(%platform, %reason, "a secret cannot be had");
                if let Some(config) = self.config.platforms.get(&platform) {
                    self.secrets.again(config);
                }
                let known = self.locked_out.insert(platform.clone(), reason.clone());
                if known.as_ref() == Some(&reason) {
                    return false;
                }
                (Login::Failing, Some(reason), false)
            }
        };
        self.core.publish(Event::Platform(PlatformEvent { at: now.wall, platform, login, reason }));
        renewed
    }

    /// Ends the probes, waits a little for recoveries on their way to the disk, and closes the store.
    async fn end(mut self, schedule: Option<ScheduleHandle>) -> Ended {
        let lateness = schedule.as_ref().map(ScheduleHandle::lateness).unwrap_or_default();
        if let Some(schedule) = schedule {
            schedule.stop().await;
        }
        self.core.keep_all(self.clock.now());
        let patience = Instant::now() + PATIENCE;
        while self.core.unstored() > 0 {
            match tokio::time::timeout_at(patience, self.requests.recv()).await {
                Ok(Some(Request::Stored(record))) => self.core.recovery_stored(record, self.clock.now()),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let store = self.store;
        let unsaved = tokio::task::spawn_blocking(move || store.close()).await;
        Ended { unsaved: unsaved.unwrap_or(Err(Unsaved(self.core.unstored()))), lateness }
    }
}

/// What is left of a report when its platform's secrets are missing: that it ran, and that nothing was seen.
fn blind(report: &ProbeReport, reason: &str) -> ProbeReport {
    let mut blind = report.clone();
    blind.verdict = Verdict::Blind;
    blind.evidence = blind.span;
    (blind.health_passed, blind.served_by) = (None, None);
    blind.reason = Some(format!("the platform's secrets cannot be had: {reason}"));
    for step in
        blind.steps.iter_mut().filter(|step| matches!(step.state, StepState::Failed | StepState::Passed))
    {
        step.state = StepState::Blind;
    }
    blind
}

fn set_paces(schedule: &ScheduleHandle, paces: Vec<NewPace>) {
    for (place, pace) in paces {
        schedule.set_pace(place, pace);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Which boot of the machine this is; monotonic instants of another one mean nothing here.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
