//! The task around the core: one loop over reports, requests and time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::SubsecRound;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use super::{
    Request, Setup, WALL_ERROR,
    core::{Beginning, Core, NewPace},
    past::Past,
    secrets::Revealed,
};
use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::{
        Command, Event, PlatformId, ProbeReport, RecoveryRecord, StepState, Verdict,
        event::{BudgetEvent, Login, PlatformEvent},
        measurement::Thresholds,
    },
    probe::{LatenessSnapshot, ProbeOutput, Schedule, ScheduleHandle},
    store::{Store, StoreHealth, Unsaved},
};

/// Reports that may wait for the core; a full queue makes probes wait rather than lose a verdict.
const REPORTS: usize = 4096;
/// How many reports are taken at once.
const BATCH: usize = 64;
/// How long the end waits for recoveries to reach the disk.
const PATIENCE: Duration = Duration::from_secs(5);
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
    secrets: Revealed,
    /// Platforms whose secrets could not be had, and why.
    locked_out: BTreeMap<PlatformId, String>,
}

impl Task {
    pub(super) fn new(
        setup: Setup,
        sender: mpsc::UnboundedSender<Request>,
        requests: mpsc::UnboundedReceiver<Request>,
        store: Store,
        secrets: Revealed,
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
        Self { core, config, clock, seed, requests, store, secrets, locked_out: BTreeMap::new() }
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
        self.core.begin(past, self.clock.now(), WALL_ERROR);
        self.tell_secrets();
        let (out, mut reports) = mpsc::channel(REPORTS);
        let schedule = Schedule::start(
            &self.config.components,
            &self.secrets.credentials,
            &self.config.canary,
            &self.clock,
            self.seed,
            out,
        );
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                request = self.requests.recv() => {
                    if self.request(request, &schedule) {
                        break;
                    }
                }
                taken = reports.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    for output in batch.drain(..) {
                        self.take(output, &schedule);
                    }
                }
                _ = round.tick() => self.tick(&schedule),
                () = sleep_until(deadline) => self.tick(&schedule),
                () = sleep_until(ends) => break,
            }
        }
        self.end(schedule).await
    }

    fn deadline(&mut self) -> Option<Instant> {
        let now = self.clock.moment();
        self.core.next_deadline(now).map(|deadline| Instant::now() + deadline.since(now))
    }

    /// Does what was asked; says whether that is the end.
    fn request(&mut self, request: Option<Request>, schedule: &ScheduleHandle) -> bool {
        match request {
            None | Some(Request::Stop) => return true,
            Some(Request::Picture) => self.core.send_pictures(),
            Some(Request::Command(Command::ProbeNow { component_id })) => {
                if let Some(place) = self.config.roster.position(&component_id) {
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
                // Without its secrets a platform's answers say nothing of its components.
                if let Some(reason) =
                    self.config.components.get(place).and_then(|one| self.locked_out.get(&one.platform.id))
                {
                    *report = blind(&report, reason);
                }
                let paces = self.core.report(&report, now);
                set_paces(schedule, paces);
            }
            ProbeOutput::Budget { platform, throttled, retry_after } => {
                tracing::info!(%platform, throttled, ?retry_after, "throttling");
                self.core.publish(Event::Budget(BudgetEvent {
                    at: now.wall,
                    platform,
                    throttled,
                    retry_after_ms: retry_after
                        .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                }));
            }
            ProbeOutput::Notice { about, standing, text } => self.core.notice(now, about, standing, text),
        }
    }

    fn tick(&mut self, schedule: &ScheduleHandle) {
        let paces = self.core.tick(self.clock.now());
        set_paces(schedule, paces);
    }

    fn health(&mut self, health: &StoreHealth) {
        tracing::info!(?health, "the store");
        let text = if health.is_well() { String::new() } else { health.to_string() };
        self.core.notice(self.clock.now(), "store", !health.is_well(), text);
    }

    fn tell_secrets(&mut self) {
        let now = self.clock.now();
        for (platform, reason) in std::mem::take(&mut self.secrets.failures) {
            self.locked_out.insert(platform.clone(), reason.clone());
            tracing::error!(%platform, %reason, "a secret cannot be had");
            self.core.publish(Event::Platform(PlatformEvent {
                at: now.wall.trunc_subsecs(3),
                platform,
                login: Login::Failing,
                reason: Some(reason),
            }));
        }
    }

    /// Ends the probes, waits a little for recoveries on their way to the disk, and closes the store.
    async fn end(mut self, schedule: ScheduleHandle) -> Ended {
        let lateness = schedule.lateness();
        schedule.stop().await;
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
