//! The task around the core: one loop over reports, requests and time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use super::{
    Request, Setup,
    core::{Beginning, Core, NewPace},
    logins::Logins,
    past::Past,
};
use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::{Command, Event, Moment, RecoveryRecord, event::BudgetEvent, measurement::Thresholds},
    probe::{LatenessSnapshot, ProbeOutput, Schedule, ScheduleHandle},
    store::{Store, StoreHealth, Unsaved},
};

/// Reports that may wait for the core; a full queue makes probes wait rather than lose a verdict.
const REPORTS: usize = 4096;
/// How many reports are taken at once.
const BATCH: usize = 64;
/// How long the end waits for recoveries to reach the disk.
const PATIENCE: Duration = Duration::from_secs(5);
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
    logins: Logins,
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
        Self {
            core,
            logins: Logins::start(&config, &clock, seed),
            config,
            clock,
            seed,
            requests,
            store,
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
        let mut probes = self.begin_probes();
        self.probe(&mut probes, ends).await;
        self.end(probes.schedule).await
    }

    fn begin_probes(&self) -> Probes {
        let (out, reports) = mpsc::channel(REPORTS);
        let schedule = Schedule::start(
            &self.config.components,
            self.logins.sessions(),
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
                    if self.request(request, &probes.schedule) {
                        return;
                    }
                }
                () = sleep_until(ends) => return,
                _ = round.tick() => self.tick(&probes.schedule),
                () = sleep_until(deadline) => self.tick(&probes.schedule),
                (platform, standing) = self.logins.next() => {
                    let now = self.clock.now();
                    if let Some(event) = self.logins.event(platform, standing, now) {
                        self.core.publish(Event::Platform(event));
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
            ProbeOutput::Report { place: _, report } => {
                if report.span.start < self.seen_from {
                    return;
                }
                let follow = self.core.report(&report, now);
                set_paces(schedule, follow.paces);
                for place in follow.probe_now {
                    schedule.probe_now(place);
                }
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
        self.notice_gap();
        let paces = self.core.tick(self.clock.now());
        set_paces(schedule, paces);
    }

    fn health(&mut self, health: &StoreHealth) {
        tracing::info!(?health, "the store");
        let text = if health.is_well() { String::new() } else { health.to_string() };
        self.core.notice(self.clock.now(), "store", !health.is_well(), text);
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
