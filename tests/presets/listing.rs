//! One listing of all trunks feeds a component for each: what it costs, and that what is measured by it is true.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::{sync::mpsc, time::Instant};
use warroom::{
    clock::{Clock as _, SharedClock, SystemClock},
    config::model::Config,
    domain::{
        Event, Moment, PlatformId, RecoveryRecord, Verdict,
        measurement::{Measurement, Thresholds},
        record::ClockState,
    },
    probe::{ProbeOutput, Schedule},
};

use crate::{
    configs::load,
    server::{Act, Asked, Server},
};

const TRUNKS: usize = 50;
const CADENCE: Duration = Duration::from_secs(1);
const BURST: Duration = Duration::from_millis(200);
/// The trunk that fails.
const SICK: usize = 7;

/// A platform with fifty trunks, one of which can fail.
struct Platform {
    server: Server,
    works: Arc<AtomicBool>,
    changed: Arc<Mutex<DateTime<Utc>>>,
}

impl Platform {
    fn start() -> Self {
        let (works, changed) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Utc::now())));
        let (is_well, since) = (Arc::clone(&works), Arc::clone(&changed));
        let server = Server::start(move |asked| {
            Act::Send(listing(asked, is_well.load(Ordering::SeqCst), *since.lock().unwrap()))
        });
        Self { server, works, changed }
    }

    /// The trunk fails or comes back; says when.
    fn set(&self, works: bool) -> Moment {
        // Between the two nothing may look, or the truth would be off by that much.
        let mut changed = self.changed.lock().unwrap();
        *changed = Utc::now();
        self.works.store(works, Ordering::SeqCst);
        SystemClock.moment()
    }

    fn requests(&self) -> usize {
        self.server.asked().len()
    }
}

fn listing(asked: &Asked, works: bool, changed: DateTime<Utc>) -> Vec<u8> {
    assert!(asked.line().starts_with("GET /trunks "));
    let mut trunks = String::new();
    for number in 0..TRUNKS {
        let connected = works || number != SICK;
        let at = changed.to_rfc3339_opts(SecondsFormat::Millis, true);
        let comma = if number == 0 { "" } else { "," };
        write!(trunks, "{comma}\"t{number}\":{{\"connected\":{connected},\"since\":\"{at}\"}}").unwrap();
    }
    let body = format!("{{{trunks}}}");
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Each component looks for its own trunk in the listing of all, in two steps of one journey.
fn config(platform: &Platform, rate_limit: &str) -> Config {
    let mut text = format!(
        "[platforms.p]\nkind = \"genesys\"\nbase_url = \"http://{}\"\nrate_limit = \"{rate_limit}\"\n",
        platform.server.address
    );
    for number in 0..TRUNKS {
        write!(
            text,
            "[[components]]\nid = \"c{number}\"\nplatform = \"p\"\ntier = 1\ntarget_rto = \"30s\"\nkind = \"trunk\"\n\
             cadence = \"{CADENCE:?}\"\nburst = \"{BURST:?}\"\nvars = {{ trunk = \"t{number}\" }}\n\
             [[components.journey]]\nname = \"connected\"\nget = \"/trunks\"\nshared = \"500ms\"\n\
             expect = ['status == 200', 'body[vars.trunk].connected']\n\
             onset_at = 'body[vars.trunk].since'\nrestored_at = 'body[vars.trunk].since'\n\
             [[components.journey]]\nname = \"known\"\nget = \"/trunks\"\nshared = \"500ms\"\n\
             expect = ['body[vars.trunk].since != \"\"']\n"
        )
        .unwrap();
    }
    load(&text).config
}

/// Probes and measures, as an engine does.
struct Run {
    measurement: Measurement,
    handle: warroom::probe::ScheduleHandle,
    outputs: mpsc::Receiver<ProbeOutput>,
    reports: Vec<usize>,
    bad: Vec<(usize, String)>,
    records: Vec<Arc<RecoveryRecord>>,
}

impl Run {
    fn start(config: &Config) -> Self {
        let rules = &config.measurement;
        let thresholds = Thresholds {
            failure: rules.failure_threshold,
            ratio: rules.failure_ratio,
            success: rules.success_threshold,
        };
        let mut measurement = Measurement::new(Arc::clone(&config.roster), thresholds, 1);
        measurement.set_clock(ClockState::Ok, [(PlatformId::new("p"), Duration::from_millis(5))].into());
        let (out, outputs) = mpsc::channel(10_000);
        let clock: SharedClock = Arc::new(SystemClock);
        let handle = Schedule::start(&config.components, &BTreeMap::new(), &[], &clock, 1, out);
        let (reports, bad, records) = (vec![0; TRUNKS], Vec::new(), Vec::new());
        Self { measurement, handle, outputs, reports, bad, records }
    }

    async fn go_on(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(Some(output)) = tokio::time::timeout_at(end, self.outputs.recv()).await {
            let ProbeOutput::Report { place, report } = output else { panic!("{output:?}") };
            self.reports[place] += 1;
            if report.verdict != Verdict::Up {
                self.bad.push((place, report.reason.clone().unwrap_or_default()));
            }
            for event in self.measurement.observe(&report, SystemClock.now()).events {
                if let Event::Recovery(recovery) = event {
                    self.records.push(recovery.record);
                }
            }
            if let Some(pace) = self.measurement.pace(place, SystemClock.moment()) {
                self.handle.set_pace(place, pace);
            }
        }
    }
}

/// Fifty trunks by themselves would be two hundred requests in this time, and a throttle. The ceiling has room for little
/// more than what they cost together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_trunks_cost_one_request_a_cadence() {
    let platform = Platform::start();
    let config = config(&platform, "70/min");
    let mut run = Run::start(&config);
    run.go_on(CADENCE * 3 + CADENCE / 2).await;
    let (fewest, most) = (run.reports.iter().min().unwrap(), run.reports.iter().max().unwrap());
    assert!(run.bad.is_empty(), "{:?}", run.bad);
    assert!((3..=5).contains(fewest) && (3..=5).contains(most), "{:?}", run.reports);
    assert!(platform.requests() <= 5, "{} requests for {:?}", platform.requests(), run.reports);
    run.handle.stop().await;
}

/// A listing is asked on behalf of many; the truth about one of them must still lie in its bounds, and they must be
/// as narrow as the burst makes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_one_trunk_is_measured_with_true_bounds() {
    let platform = Platform::start();
    let config = config(&platform, "600/min");
    let mut run = Run::start(&config);
    run.go_on(CADENCE * 2).await;
    let (before, onset) = (platform.requests(), platform.set(false));
    run.go_on(Duration::from_millis(1_630)).await;
    let (during, restored) = (platform.requests() - before, platform.set(true));
    run.go_on(CADENCE * 3).await;
    assert!(run.bad.iter().all(|(place, _)| *place == SICK), "{:?}", run.bad);
    let [record] = run.records.as_slice() else { panic!("{:?}", run.records) };
    let truth = restored.since(onset).as_secs_f64();
    let (lower, upper) = record.bounds_seconds;
    let upper = upper.unwrap();
    assert!(lower <= truth && truth <= upper, "{truth} is outside of {lower} to {upper}");
    assert!(upper - lower < 0.1, "the platform's stamps narrow the bounds: {lower} to {upper}");
    assert_eq!(record.failed_steps, ["connected"]);
    // At most the burst of the one and the cadence of all.
    assert!((3..=13).contains(&during), "{during} requests while it was down");
    run.handle.stop().await;
}
