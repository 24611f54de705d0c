//! Guarantee 4 and the engine's promises: a recovery is on disk before anyone is told of it; whoever joins gets a picture
//! that the events continue.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use warroom::{
    clock::{Clock, SystemClock},
    config,
    domain::{ComponentId, Event, Moment, Phase, Picture},
    engine::{self, Listener, Mailbox, Setup},
    store::Store,
};

/// Answers every request with 200 or, while it is switched off, 503.
fn platform() -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, works) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(true)));
    let switch = Arc::clone(&works);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let switch = Arc::clone(&switch);
            std::thread::spawn(move || answer(&stream, &switch));
        }
    });
    (address, works)
}

fn answer(mut stream: &TcpStream, works: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.trim().is_empty() {
            let status = if works.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            if write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
        line.clear();
    }
}

fn config_for(address: SocketAddr) -> config::model::Config {
    let text = format!(
        r#"
        tenant = "engine-test"
        environment = "sandbox"
        [measurement]
        timeout = "1s"
        [platforms.web]
        kind = "http"
        base_url = "http://{address}"
        [[components]]
        id = "web"
        platform = "web"
        tier = 1
        target_rto = "30s"
        kind = "api"
        cadence = "1s"
        burst = "100ms"
        journey = [
          {{ name = "ready", get = "/ready", expect = ["status == 200"] }},
          {{ name = "work", get = "/work", expect = ["status == 200"] }},
        ]
        "#
    );
    config::parse(&text, "the test's config").unwrap().config
}

/// Hands events on, and looks on the disk whenever a recovery is told.
struct Witness {
    events: mpsc::Sender<Arc<Event>>,
    folder: PathBuf,
    unkept: Arc<Mutex<Vec<String>>>,
    picture: Option<Picture>,
    last: Arc<Mutex<Option<Picture>>>,
}

impl Listener for Witness {
    fn event(&mut self, event: &Arc<Event>) {
        if let Event::Recovery(recovery) = &**event
            && !on_disk(&self.folder).contains(&recovery.record.id)
        {
            self.unkept.lock().unwrap().push(recovery.record.id.clone());
        }
        if let Some(picture) = &mut self.picture {
            picture.apply(event);
            *self.last.lock().unwrap() = Some(picture.clone());
        }
        // The test may have seen enough.
        let _ = self.events.send(Arc::clone(event));
    }

    fn picture(&mut self, picture: &Picture) {
        self.picture = Some(picture.clone());
    }
}

fn on_disk(folder: &Path) -> Vec<String> {
    let reader = Store::read(folder).unwrap();
    reader.recoveries(None, None).map(|record| record.unwrap().id).collect()
}

fn wait_for(
    events: &mpsc::Receiver<Arc<Event>>,
    what: &str,
    mut is_it: impl FnMut(&Event) -> bool,
) -> Arc<Event> {
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let left = patience.saturating_duration_since(std::time::Instant::now());
        let event = events.recv_timeout(left).unwrap_or_else(|_| panic!("never came: {what}"));
        if is_it(&event) {
            return event;
        }
    }
}

fn is_phase(event: &Event, wanted: Phase) -> bool {
    matches!(event, Event::Phase(phase) if phase.phase == wanted)
}

/// The machine's clocks, moved ahead by so many milliseconds.
#[derive(Debug, Default)]
struct Jumping(AtomicI64);

impl Clock for Jumping {
    fn moment(&self) -> Moment {
        SystemClock.moment() + Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }

    fn wall(&self) -> DateTime<Utc> {
        SystemClock.wall() + Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Hands events on.
struct Ear(mpsc::Sender<Arc<Event>>);

impl Listener for Ear {
    fn event(&mut self, event: &Arc<Event>) {
        // The test may have seen enough.
        let _ = self.0.send(Arc::clone(event));
    }
}

/// An engine on a thread, its events, and how to stop it.
struct Running {
    events: mpsc::Receiver<Arc<Event>>,
    remote: engine::Remote,
    thread: std::thread::JoinHandle<engine::Ended>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(config: config::model::Config, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, events) = mpsc::channel();
        let mailbox = Mailbox::default();
        let remote = mailbox.remote();
        let setup = Setup {
            config: Arc::new(config),
            clock,
            seed: 11,
            folder: folder.path().to_owned(),
            listeners: vec![Box::new(Ear(sender))],
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let ended = runtime.block_on(engine::run(setup, mailbox, None)).unwrap();
            runtime.shutdown_background();
            ended
        });
        Self { events, remote, thread, _folder: folder }
    }

    fn stop(self) {
        self.remote.stop();
        self.thread.join().unwrap().unsaved.unwrap();
    }
}

#[test]
fn time_in_which_the_machine_slept_is_a_gap_and_confirms_nothing() {
    let (address, works) = platform();
    let clock = Arc::new(Jumping::default());
    let running = Running::start(config_for(address), Arc::clone(&clock) as Arc<dyn Clock>);
    wait_for(&running.events, "the component is up", |event| is_phase(event, Phase::Up));
    // One bad verdict, then sleep: it must not be confirmed by one of an hour later.
    works.store(false, Ordering::SeqCst);
    wait_for(
        &running.events,
        "a bad probe",
        |event| matches!(event, Event::Probe(probe) if probe.verdict.is_bad()),
    );
    clock.0.store(3_600_000, Ordering::SeqCst);
    works.store(true, Ordering::SeqCst);
    let mut opened = false;
    let gap = wait_for(&running.events, "the gap", |event| {
        opened |= is_phase(event, Phase::Down);
        matches!(event, Event::Gap(_))
    });
    let Event::Gap(gap) = &*gap else { panic!("{gap:?}") };
    let length = (gap.until - gap.from).num_seconds();
    assert!((3_590..=3_660).contains(&length), "{gap:?}");
    if !opened {
        wait_for(&running.events, "nothing is known after a gap", |event| is_phase(event, Phase::Unobserved));
    }
    wait_for(&running.events, "it is up again", |event| is_phase(event, Phase::Up));
    running.stop();
}

/// Who examines the chain in the middle of an outage must not change what is measured: the findings come beside the probes.
#[test]
fn an_examination_comes_as_one_event_and_measures_nothing() {
    let (address, works) = platform();
    let running = Running::start(config_for(address), Arc::new(SystemClock));
    wait_for(&running.events, "the component is up", |event| is_phase(event, Phase::Up));
    works.store(false, Ordering::SeqCst);
    wait_for(&running.events, "the component is down", |event| is_phase(event, Phase::Down));
    assert!(running.remote.command(warroom::domain::Command::Diagnose, me()));
    let mut probes = 0;
    let event = wait_for(&running.events, "the findings", |event| {
        probes += u32::from(matches!(event, Event::Probe(_)));
        matches!(event, Event::Diagnosis(_))
    });
    let Event::Diagnosis(diagnosis) = &*event else { panic!("{event:?}") };
    let failed = |finding: &warroom::domain::diagnosis::Finding| {
        finding.area == warroom::domain::diagnosis::Area::Steps
            && finding.grade == warroom::domain::diagnosis::Grade::Failed
    };
    assert!(diagnosis.findings.iter().any(failed), "{diagnosis:#?}");
    assert!(probes > 0, "measuring went on meanwhile");
    works.store(true, Ordering::SeqCst);
    wait_for(&running.events, "it is up again", |event| is_phase(event, Phase::Up));
    running.stop();
}

#[test]
fn a_platform_without_its_secret_is_blind_and_delays_no_other() {
    let (address, works) = platform();
    works.store(false, Ordering::SeqCst);
    let (other, _) = platform();
    let text = format!(
        r#"
        tenant = "engine-test"
        environment = "sandbox"
        [measurement]
        timeout = "1s"
        [platforms.late]
        kind = "http"
        base_url = "http://{address}"
        bearer = {{ command = ["sh", "-c", "sleep 30"] }}
        [platforms.locked]
        kind = "http"
        base_url = "http://{address}"
        bearer = {{ env = "WARROOM_TEST_NEVER_SET" }}
        [platforms.open]
        kind = "http"
        base_url = "http://{other}"
        "#
    );
    let component = |id: &str| {
        format!(
            r#"
            [[components]]
            id = "{id}"
            platform = "{id}"
            tier = 1
            target_rto = "30s"
            kind = "api"
            cadence = "1s"
            burst = "100ms"
            journey = [{{ name = "ready", get = "/ready" }}]
            "#
        )
    };
    let text = text + &component("late") + &component("locked") + &component("open");
    let config = config::parse(&text, "the test's config").unwrap().config;
    let running = Running::start(config, Arc::new(SystemClock));
    let (mut failing, mut blind, mut up) = (false, 0, false);
    wait_for(&running.events, "the open platform is seen while the others are locked out", |event| {
        match event {
            Event::Platform(platform) if platform.platform.as_str() == "locked" => {
                failing = true;
                assert!(platform.reason.as_ref().unwrap().contains("WARROOM_TEST_NEVER_SET"), "{platform:?}");
            }
            Event::Probe(probe) if probe.component_id.as_str() != "open" => {
                assert_eq!(probe.verdict, warroom::domain::Verdict::Blind, "{probe:?}");
                blind += 1;
            }
            Event::Phase(phase) if phase.component_id.as_str() != "open" => {
                assert_eq!(phase.phase, Phase::Unobserved, "{phase:?}");
            }
            Event::Phase(phase) => up |= phase.phase == Phase::Up,
            _ => {}
        }
        failing && blind >= 6 && up
    });
    running.stop();
}

#[test]
fn a_recovery_is_on_disk_before_anyone_is_told() {
    let (address, works) = platform();
    let folder = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel();
    let (unkept, last) = (Arc::default(), Arc::default());
    let witness = Witness {
        events: sender,
        folder: folder.path().to_owned(),
        unkept: Arc::clone(&unkept),
        picture: None,
        last: Arc::clone(&last),
    };
    let mailbox = Mailbox::default();
    let remote = mailbox.remote();
    let setup = Setup {
        config: Arc::new(config_for(address)),
        clock: Arc::new(SystemClock),
        seed: 7,
        folder: folder.path().to_owned(),
        listeners: vec![Box::new(witness)],
    };
    let engine = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(engine::run(setup, mailbox, None)).unwrap()
    });

    assert!(matches!(&*events.recv_timeout(Duration::from_secs(30)).unwrap(), Event::Roster(_)));
    wait_for(&events, "the component is up", |event| is_phase(event, Phase::Up));
    for _ in 0..3 {
        works.store(false, Ordering::SeqCst);
        wait_for(&events, "an outage", |event| is_phase(event, Phase::Down));
        works.store(true, Ordering::SeqCst);
        let told = wait_for(&events, "a recovery", |event| matches!(event, Event::Recovery(_)));
        let Event::Recovery(recovery) = &*told else { panic!("{told:?}") };
        assert_eq!(recovery.record.failed_steps[0], "ready");
        assert!(recovery.record.bounds_seconds.1.is_some(), "{:?}", recovery.record);
    }
    assert!(
        remote.command(warroom::domain::Command::ProbeNow { component_id: ComponentId::new("web") }, me())
    );
    remote.stop();
    let ended = engine.join().unwrap();
    ended.unsaved.unwrap();
    assert!(unkept.lock().unwrap().is_empty(), "told before it was kept: {unkept:?}");
    assert_eq!(on_disk(folder.path()).len(), 3);

    // What a listener folded from picture and events is what the engine knew: three recoveries, nothing open.
    let last = last.lock().unwrap().take().unwrap();
    assert_eq!(last.components[0].recoveries.len(), 3);
    assert_eq!(last.components[0].phase, Phase::Up);
    assert!(last.components[0].outage.is_none());
}

fn me() -> warroom::domain::Person {
    warroom::domain::Person { uid: 1000, login: "alice".to_owned(), behind: None }
}
