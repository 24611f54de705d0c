//! The task around the core: one loop over reports, requests and time.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    Request, Setup,
    core::{Beginning, Core},
    diagnose::{Examined, diagnose},
    guard::ClockWatch,
    logins::{Logins, Told},
    past::Past,
    probes::Probes,
    reload::{Reloads, about_login},
};
use crate::{
    clock::{Corrected, SharedClock},
    config::model::Config,
    domain::{
        Command, Event, Moment, Person, RecoveryRecord,
        diagnosis::{Area, Diagnosis, Finding},
        event::{ActEvent, BudgetEvent, Stretched},
        measurement::Thresholds,
        time::Now,
    },
    probe::{LatenessSnapshot, ProbeOutput, ScheduleHandle, budget::Stretch},
    store::{Store, StoreHealth, Unsaved},
};

/// How many reports are taken at once.
const BATCH: usize = 64;
/// How long the end waits for recoveries to reach the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// When this task has not run for so long, nothing was seen in between.
const ASLEEP: Duration = Duration::from_secs(5);
/// So much sleep of the machine is a gap, however short the rest of the time that this task did not run.
const SLEEP: Duration = Duration::from_secs(1);
/// How long the state from before a reboot waits for the time sources, which tell how long ago that was.
const CLOCK_PATIENCE: Duration = Duration::from_secs(3);
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
    pub(super) core: Core,
    pub(super) config: Arc<Config>,
    pub(super) clock: SharedClock,
    pub(super) watch: ClockWatch,
    pub(super) seed: u64,
    requests: mpsc::UnboundedReceiver<Request>,
    pub(super) store: Store,
    pub(super) folder: PathBuf,
    /// The config is being read again.
    pub(super) reloads: Reloads,
    /// An examination of the whole chain that is under way.
    examination: Option<JoinHandle<Diagnosis>>,
    pub(super) logins: Logins,
    /// The last instant at which this task is known to have run.
    awake_at: Moment,
    /// How long the machine has slept since it was started.
    asleep: i64,
    /// A probe that began before this instant saw the world before a gap.
    seen_from: Moment,
}

impl Task {
    pub(super) fn new(
        setup: Setup,
        sender: mpsc::UnboundedSender<Request>,
        requests: mpsc::UnboundedReceiver<Request>,
        store: Store,
    ) -> Self {
        let Setup { config, clock, seed, folder, listeners } = setup;
        let corrected = Corrected::new(clock);
        let watch = ClockWatch::start(&config, &corrected, seed);
        let clock: SharedClock = corrected;
        let thresholds = thresholds(&config);
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
        let (awake_at, asleep) = (clock.moment(), asleep(&clock));
        Self {
            core,
            logins: Logins::start(&config, &clock, seed),
            config,
            clock,
            watch,
            seed,
            requests,
            store,
            folder,
            reloads: Reloads::default(),
            examination: None,
            awake_at,
            asleep,
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
        self.core.set_config(&self.config);
        self.watch.remember(past.clock_alert);
        let held = self.wait_for_clock(&past).await;
        self.core.begin(past, self.clock.now());
        let mut probes = self.begin_probes();
        let mut is_over = false;
        for request in held {
            is_over |= self.request(request, &probes.schedule);
        }
        if !is_over {
            self.probe(&mut probes, ends).await;
        }
        self.end(probes).await
    }

    /// Where something was kept before the machine's last start, waits a little for the time sources: only they can tell how
    /// wrong its length may be. Gives back the requests that came meanwhile.
    async fn wait_for_clock(&mut self, past: &Past) -> Vec<Option<Request>> {
        let (boot_id, mut held) = (self.core.boot_id(), Vec::new());
        let is_wanted =
            past.kept.iter().any(|(_, kept)| kept.boot_id != boot_id && kept.wall_error.is_some());
        if !is_wanted {
            return held;
        }
        let patience = Instant::now() + CLOCK_PATIENCE;
        loop {
            tokio::select! {
                biased;
                request = self.requests.recv() => {
                    let is_end = matches!(request, None | Some(Request::Stop));
                    held.push(request);
                    if is_end {
                        return held;
                    }
                }
                round = self.watch.next() => {
                    self.watch.take_early(round, &mut self.core);
                    return held;
                }
                () = tokio::time::sleep_until(patience) => return held,
            }
        }
    }

    fn begin_probes(&self) -> Probes {
        let probes = Probes::begin(&self.config, &self.logins, &self.clock, self.seed);
        self.watch.use_clients(probes.schedule.clients());
        probes.set_paces(self.core.paces());
        probes
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
                _ = round.tick() => self.tick(probes),
                () = sleep_until(deadline) => self.tick(probes),
                news = self.logins.next() => {
                    let now = self.clock.now();
                    if let Some(told) = self.logins.tell(news, now) {
                        self.take_login(told, now);
                    }
                }
                read = self.reloads.read() => self.take_config(read, probes),
                round = self.watch.next() => self.watch.take(round, &mut self.core),
                found = examined(&mut self.examination) => {
                    self.examination = None;
                    self.take_diagnosis(found);
                }
                taken = probes.reports.recv_many(&mut batch, BATCH), if !probes.reports.is_closed() => {
                    self.notice_gap();
                    for output in batch.drain(..taken) {
                        self.take(output, probes);
                    }
                }
            }
        }
    }

    /// Notices that this task did not run for a while: the machine slept, or the process was stopped or starved.
    pub(super) fn notice_gap(&mut self) {
        let now = self.clock.now();
        let last = std::mem::replace(&mut self.awake_at, now.moment);
        let asleep = asleep(&self.clock);
        let slept = asleep.saturating_sub(std::mem::replace(&mut self.asleep, asleep));
        let slept = Duration::from_nanos(u64::try_from(slept).unwrap_or(0));
        if slept >= SLEEP {
            self.watch.slept();
        }
        if slept >= SLEEP || now.moment.since(last) >= ASLEEP {
            self.seen_from = now.moment;
            let reason = if slept >= SLEEP {
                "the machine was suspended"
            } else {
                "warroom did not run: stopped or starved"
            };
            self.core.gap(last, reason, now);
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
            Some(Request::Command(command, who, refused)) => match self.core.refusal(&command) {
                Some(why) => (refused.0)(why),
                None => self.command(command, who, schedule),
            },
            Some(Request::Notice { about, standing, text }) => {
                self.core.notice(self.clock.now(), &about, standing, text);
            }
            Some(Request::Reload) => self.reload(None),
            Some(Request::Attached(console)) => self.core.attached(console, self.clock.now()),
            Some(Request::Detached(id)) => self.core.detached(id, self.clock.now()),
            Some(Request::Stored(record)) => self.core.recovery_stored(record, self.clock.now()),
            Some(Request::Health(health)) => self.health(&health),
        }
        false
    }

    /// Tells and does what somebody asked for.
    fn command(&mut self, command: Command, who: Person, schedule: &ScheduleHandle) {
        let now = self.clock.now();
        let act = Event::Act(ActEvent { at: now.wall, who: who.clone(), act: command.clone() });
        self.core.publish(act);
        match command {
            Command::ProbeNow { component_id } => {
                if let Some(place) = self.config.roster.position(&component_id) {
                    schedule.probe_now(place);
                }
            }
            Command::Diagnose => self.examine(schedule),
            // The act itself is all there is to it: the picture remembers who.
            Command::Acknowledge { .. } => {}
            Command::Reload => self.reload(Some(who)),
        }
    }

    /// Begins to examine the whole chain beside the probes, unless that is under way.
    fn examine(&mut self, schedule: &ScheduleHandle) {
        if self.examination.is_some() {
            return;
        }
        let examined = Examined {
            config: Arc::clone(&self.config),
            folder: Some(self.folder.clone()),
            clock: Arc::clone(&self.clock),
            seed: self.seed,
            clients: schedule.clients().to_vec(),
            lateness: Some(schedule.lateness()),
            beside: true,
            stop: CancellationToken::new(),
        };
        self.examination = Some(tokio::spawn(diagnose(examined, Vec::new())));
    }

    fn take_login(&mut self, told: Told, now: Now) {
        if let Some(event) = told.event {
            self.core.publish(Event::Platform(event));
        }
        let text = told.complaint.as_ref().map(|why| {
            format!("platform {}: the secrets were read again, and cannot be used ({why}); what was there before stays in use", told.platform)
        });
        self.core.notice(now, &about_login(&told.platform), text.is_some(), text.unwrap_or_default());
    }

    fn take_diagnosis(&mut self, found: Result<Diagnosis, JoinError>) {
        let at = self.clock.now().wall;
        let diagnosis = found.unwrap_or_else(|error| {
            let what = format!("the examination broke off: {error}");
            let cure = "try `warroom check --online`, and report what this says";
            Diagnosis { at, findings: vec![Finding::failed(Area::Config, "warroom", what, cure)] }
        });
        self.core.publish(Event::Diagnosis(diagnosis));
    }

    pub(super) fn take(&mut self, output: ProbeOutput, probes: &Probes) {
        let now = self.clock.now();
        match output {
            ProbeOutput::Report { place: _, report } => {
                if report.span.start < self.seen_from {
                    return;
                }
                let follow = self.core.report(&report, now);
                probes.set_paces(follow.paces);
                for place in follow.probe_now {
                    probes.schedule.probe_now(place);
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

    fn tick(&mut self, probes: &Probes) {
        self.notice_gap();
        self.watch.look(&mut self.core);
        probes.set_paces(self.core.tick(self.clock.now()));
    }

    fn health(&mut self, health: &StoreHealth) {
        tracing::info!(?health, "the store");
        let text = if health.is_well() { String::new() } else { health.to_string() };
        self.core.notice(self.clock.now(), "store", !health.is_well(), text);
    }

    /// Ends the probes, waits a little for recoveries on their way to the disk, and closes the store.
    async fn end(mut self, probes: Probes) -> Ended {
        let lateness = probes.stop().await;
        self.core.keep_all(self.clock.now());
        let patience = Instant::now() + PATIENCE;
        while self.core.unstored() > 0 {
            match tokio::time::timeout_at(patience, self.requests.recv()).await {
                Ok(Some(Request::Stored(record))) => self.core.recovery_stored(record, self.clock.now()),
                Ok(Some(request)) => refuse(request),
                Ok(None) | Err(_) => break,
            }
        }
        let store = self.store;
        let unsaved = tokio::task::spawn_blocking(move || store.close()).await;
        // Whoever asked meanwhile must not believe that it was done.
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            refuse(request);
        }
        Ended { unsaved: unsaved.unwrap_or(Err(Unsaved(self.core.unstored()))), lateness }
    }
}

/// Answers what comes too late.
fn refuse(request: Request) {
    if let Request::Command(_, _, refused) = request {
        (refused.0)("the engine is ending".to_owned());
    }
}

/// How outages and recoveries are confirmed.
pub(super) fn thresholds(config: &Config) -> Thresholds {
    Thresholds {
        failure: config.measurement.failure_threshold,
        ratio: config.measurement.failure_ratio,
        success: config.measurement.success_threshold,
    }
}

/// The end of an examination; waits for ever when there is none.
async fn examined(examination: &mut Option<JoinHandle<Diagnosis>>) -> Result<Diagnosis, JoinError> {
    match examination {
        Some(examination) => examination.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// For how many nanoseconds the machine has slept, by its two monotonic clocks.
fn asleep(clock: &SharedClock) -> i64 {
    clock.moment().as_nanos().saturating_sub(clock.awake().as_nanos())
}

/// Which boot of the machine this is; monotonic instants of another one mean nothing here.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
