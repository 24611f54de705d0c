//! Guarantee 6: an unsafe clock records nothing; and what else follows from what time sources say.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc,
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, TimeDelta, Utc};
use warroom::{
    clock::{Clock, SystemClock},
    config,
    domain::{
        Event, Moment, Phase, RecoveryRecord,
        event::{AlertState, ClockEvent},
        record::ClockState,
    },
    engine::{self, Listener, Mailbox, Setup},
    sim::{self, Scenario},
};

/// A platform that is right about the time to the second, or ahead by so many milliseconds.
struct Web {
    address: SocketAddr,
    works: Arc<AtomicBool>,
    ahead: Arc<AtomicI64>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let web = Self { address, works: Arc::new(AtomicBool::new(true)), ahead: Arc::default() };
        let (works, ahead) = (Arc::clone(&web.works), Arc::clone(&web.ahead));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (works, ahead) = (Arc::clone(&works), Arc::clone(&ahead));
                std::thread::spawn(move || answer(&stream, &works, &ahead));
            }
        });
        web
    }

    fn works(&self, works: bool) {
        self.works.store(works, Ordering::SeqCst);
    }
}

fn answer(mut stream: &TcpStream, works: &AtomicBool, ahead: &AtomicI64) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.trim().is_empty() {
            let status = if works.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            let now = SystemClock.wall() + TimeDelta::milliseconds(ahead.load(Ordering::SeqCst));
            let date = now.format("%a, %d %b %Y %H:%M:%S GMT");
            let head = format!("HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// A time server that is ahead by so many milliseconds, with the SNTP of RFC 4330.
fn time_server(ahead: i64) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut request = [0; 48];
        while let Ok((_, from)) = socket.recv_from(&mut request) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
            let now = i64::try_from(now).unwrap() + ahead * 1_000_000;
            let seconds = u32::try_from(now / 1_000_000_000 + 2_208_988_800).unwrap();
            let fraction = (((now % 1_000_000_000) << 32) / 1_000_000_000) as u32;
            let mut packet = [0; 48];
            (packet[0], packet[1]) = (4 << 3 | 4, 2);
            packet[24..32].copy_from_slice(&request[40..]);
            for at in [32, 40] {
                packet[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
                packet[at + 4..at + 8].copy_from_slice(&fraction.to_be_bytes());
            }
            socket.send_to(&packet, from).unwrap();
        }
    });
    address
}

/// The machine's clocks, of which the wall clock is wrong and the machine has slept.
#[derive(Debug, Default)]
struct Wrong {
    /// The wall clock is ahead by so many milliseconds.
    ahead: AtomicI64,
    /// The machine has slept for so many.
    slept: AtomicI64,
}

impl Wrong {
    fn by(ahead: i64) -> Arc<Self> {
        Arc::new(Self { ahead: AtomicI64::new(ahead), ..Self::default() })
    }

    fn slept(&self) -> Duration {
        Duration::from_millis(self.slept.load(Ordering::SeqCst).unsigned_abs())
    }
}

impl Clock for Wrong {
    fn moment(&self) -> Moment {
        SystemClock.moment() + self.slept()
    }

    fn wall(&self) -> DateTime<Utc> {
        SystemClock.wall() + self.slept() + TimeDelta::milliseconds(self.ahead.load(Ordering::SeqCst))
    }

    fn awake(&self) -> Moment {
        SystemClock.moment()
    }
}

fn config_for(web: &Web, clock: &str) -> config::model::Config {
    let text = format!(
        r#"
        tenant = "clock-test"
        environment = "sandbox"
        [measurement]
        timeout = "1s"
        [clock]
        chrony = false
        every = "1s"
        {clock}
        [platforms.web]
        kind = "http"
        base_url = "http://{}"
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
        "#,
        web.address
    );
    config::parse(&text, "the test's config").unwrap().config
}

struct Ear(mpsc::Sender<Arc<Event>>);

impl Listener for Ear {
    fn event(&mut self, event: &Arc<Event>) {
        // The test may have seen enough.
        let _ = self.0.send(Arc::clone(event));
    }
}

/// An engine on a thread, and everything that it told.
struct Running {
    events: mpsc::Receiver<Arc<Event>>,
    heard: Vec<Arc<Event>>,
    remote: engine::Remote,
    thread: std::thread::JoinHandle<engine::Ended>,
}

impl Running {
    fn start(config: config::model::Config, clock: Arc<Wrong>, folder: &Path) -> Self {
        let (sender, events) = mpsc::channel();
        let mailbox = Mailbox::default();
        let remote = mailbox.remote();
        let setup = Setup {
            config: Arc::new(config),
            clock,
            seed: 11,
            folder: folder.to_owned(),
            listeners: vec![Box::new(Ear(sender))],
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let ended = runtime.block_on(engine::run(setup, mailbox, None)).unwrap();
            runtime.shutdown_background();
            ended
        });
        Self { events, heard: Vec::new(), remote, thread }
    }

    fn until(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Arc<Event> {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("never came: {what}; heard {:#?}", self.told());
            };
            self.heard.push(Arc::clone(&event));
            if is_it(&event) {
                return event;
            }
        }
    }

    /// The same, where it may have come already.
    fn sooner_or_later(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Arc<Event> {
        match self.heard.iter().find(|event| is_it(event)) {
            Some(event) => Arc::clone(event),
            None => self.until(what, is_it),
        }
    }

    fn until_clock(&mut self, state: ClockState) -> ClockEvent {
        let event = self.until(
            &format!("clock {state:?}"),
            |event| matches!(event, Event::Clock(clock) if clock.state == state),
        );
        let Event::Clock(clock) = &*event else { panic!("{event:?}") };
        clock.clone()
    }

    fn until_phase(&mut self, wanted: Phase) {
        self.until(
            &format!("phase {wanted:?}"),
            |event| matches!(event, Event::Phase(phase) if phase.phase == wanted),
        );
    }

    /// The component is up and the clock is known to be right, in whatever order that is told.
    fn until_ready(&mut self) -> ClockEvent {
        let (mut up, mut clock) = (false, None);
        while !up || clock.is_none() {
            let event = self.until("up, and the clock ok", |_| true);
            match &*event {
                Event::Phase(phase) => up = phase.phase == Phase::Up,
                Event::Clock(event) if event.state == ClockState::Ok => clock = Some(event.clone()),
                _ => {}
            }
        }
        clock.unwrap()
    }

    fn until_recovery(&mut self) -> Arc<RecoveryRecord> {
        let event = self.until("a recovery", |event| matches!(event, Event::Recovery(_)));
        let Event::Recovery(recovery) = &*event else { panic!("{event:?}") };
        Arc::clone(&recovery.record)
    }

    /// Everything but probes.
    fn told(&self) -> Vec<&Event> {
        self.heard.iter().map(|event| &**event).filter(|event| !matches!(event, Event::Probe(_))).collect()
    }

    fn alerts(&self) -> Vec<AlertState> {
        let state = |event: &Event| match event {
            Event::Alert(alert) if alert.scope == "clock" => Some(alert.state),
            _ => None,
        };
        self.heard.iter().filter_map(|event| state(event)).collect()
    }

    fn stop(mut self) -> Vec<Arc<Event>> {
        self.remote.stop();
        self.thread.join().unwrap().unsaved.unwrap();
        self.heard.extend(self.events.try_iter());
        self.heard
    }
}

fn is_recovery(event: &Event) -> bool {
    matches!(event, Event::Recovery(_))
}

/// The whole story: a clock that is set wrong during a measurement, an outage, and the way back.
#[test]
fn an_unsafe_clock_records_nothing_alerts_once_and_resumes_by_itself() {
    let (web, clock, folder) = (Web::start(), Wrong::by(0), tempfile::tempdir().unwrap());
    let mut running = Running::start(config_for(&web, ""), Arc::clone(&clock), folder.path());
    let good = running.until_ready();
    assert_eq!(good.sources.iter().map(|source| &*source.name).collect::<Vec<_>>(), ["platform web"]);

    // The failure is seen with a good clock, its end with a bad one.
    web.works(false);
    running.until_phase(Phase::Down);
    clock.ahead.store(3_000, Ordering::SeqCst);
    running.sooner_or_later("the step", |event| {
        matches!(event, Event::Notice(notice) if notice.standing && notice.about == "wall clock"
                                                 && notice.text.contains("ahead by 3.0 s"))
    });
    running.sooner_or_later(
        "the clock is unsafe",
        |event| matches!(event, Event::Clock(clock) if clock.state == ClockState::Unsafe),
    );
    let event = running.sooner_or_later("the alert", |event| matches!(event, Event::Alert(_)));
    let Event::Alert(alert) = &*event else { panic!("{event:?}") };
    assert!(alert.reason.contains("platform web") && alert.reason.contains("chronyc makestep"), "{alert:?}");
    web.works(true);
    let event = running.until("it is unmeasured", |event| matches!(event, Event::Unmeasured(_)));
    let Event::Unmeasured(unmeasured) = &*event else { panic!("{event:?}") };
    let now = SystemClock.wall().timestamp_millis() as f64 / 1000.0;
    assert!(
        (unmeasured.t_restore_epoch - now).abs() < 2.0,
        "its timestamps are not corrected: {unmeasured:?}"
    );

    // An outage that begins and ends with the bad clock.
    running.until_phase(Phase::Up);
    web.works(false);
    running.until_phase(Phase::Down);
    web.works(true);
    running.until("it is unmeasured", |event| matches!(event, Event::Unmeasured(_)));
    assert!(!running.heard.iter().any(|event| is_recovery(event)));

    clock.ahead.store(0, Ordering::SeqCst);
    running.until_clock(ClockState::Ok);
    running.sooner_or_later(
        "the alert is over",
        |event| matches!(event, Event::Alert(alert) if alert.state == AlertState::Resolved),
    );
    web.works(false);
    running.until_phase(Phase::Down);
    web.works(true);
    let record = running.until_recovery();
    assert_eq!(record.clock, ClockState::Ok);
    assert_eq!(running.alerts(), [AlertState::Firing, AlertState::Resolved]);
    running.stop();
}

/// Platforms may be skewed themselves: of two that differ nobody knows which is right.
#[test]
fn a_skewed_platform_alone_is_believed_and_against_another_proves_nothing() {
    let (web, folder) = (Web::start(), tempfile::tempdir().unwrap());
    web.ahead.store(-8_000, Ordering::SeqCst);
    let mut running = Running::start(config_for(&web, ""), Wrong::by(0), folder.path());
    let clock = running.until_clock(ClockState::Unsafe);
    assert!((clock.offset_ms.unwrap() - 8_000.0).abs() < 1_200.0, "{clock:?}");
    running.stop();

    let other = format!("ntp = [\"{}\"]", time_server(0));
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(config_for(&web, &other), Wrong::by(0), folder.path());
    running.sooner_or_later(
        "the contradiction",
        |event| matches!(event, Event::Notice(notice) if notice.text.contains("contradict each other")),
    );
    for _ in 0..4 {
        running.until("a probe", |event| matches!(event, Event::Probe(_)));
    }
    let states = running.told().into_iter().filter_map(|event| match event {
        Event::Clock(clock) => Some(clock.state),
        _ => None,
    });
    assert!(states.into_iter().all(|state| state == ClockState::Ok));
    assert_eq!(running.alerts(), []);
    running.stop();
}

/// A runner that is 400 ms ahead, three honest time servers and one that lies by ten seconds.
#[test]
fn honest_servers_correct_the_timestamps_and_a_falsetick_is_named() {
    let (web, folder) = (Web::start(), tempfile::tempdir().unwrap());
    let servers = [0, 0, 10_000, 0].map(time_server);
    let named = servers.map(|server| format!("\"{server}\"")).join(", ");
    let liar = format!("ntp {}", servers[2]);
    let settings = format!("platform = false\nntp = [{named}]");
    let mut running = Running::start(config_for(&web, &settings), Wrong::by(400), folder.path());
    let clock = running.until_ready();
    assert!((clock.offset_ms.unwrap() - 400.0).abs() < 80.0, "{clock:?}");
    assert!((clock.correction_ms - 400.0).abs() < 80.0, "{clock:?}");
    assert_eq!(clock.stratum, Some(2));
    let lone: Vec<_> =
        clock.sources.iter().filter(|source| !source.agrees).map(|source| &source.name).collect();
    assert_eq!(lone, [&liar]);
    running.sooner_or_later(
        "the liar is named",
        |event| matches!(event, Event::Notice(notice) if notice.standing && notice.text.contains(&liar)),
    );
    web.works(false);
    let before = SystemClock.wall();
    running.until_phase(Phase::Down);
    let after = SystemClock.wall();
    web.works(true);
    let record = running.until_recovery();
    let t_detect = DateTime::from_timestamp_millis((record.t_detect_epoch * 1000.0) as i64).unwrap();
    let slack = TimeDelta::milliseconds(120);
    assert!(
        before - slack <= t_detect && t_detect <= after + slack,
        "{t_detect} is not between {before} and {after}"
    );
    running.stop();
}

#[test]
fn a_clock_that_was_unsafe_before_a_restart_is_told_of_once() {
    let (web, clock, folder) = (Web::start(), Wrong::by(-4_000), tempfile::tempdir().unwrap());
    let mut running = Running::start(config_for(&web, ""), Arc::clone(&clock), folder.path());
    running.until_clock(ClockState::Unsafe);
    running.sooner_or_later("the alert", |event| matches!(event, Event::Alert(_)));
    running.stop();
    clock.ahead.store(0, Ordering::SeqCst);
    let mut running = Running::start(config_for(&web, ""), Arc::clone(&clock), folder.path());
    let begun = Instant::now();
    let first = running.until("a clock event", |event| matches!(event, Event::Clock(_)));
    assert!(
        matches!(&*first, Event::Clock(clock) if clock.state == ClockState::Unsafe),
        "a restart made it safe: {first:?}"
    );
    running.until_clock(ClockState::Ok);
    running.sooner_or_later(
        "the alert is over",
        |event| matches!(event, Event::Alert(alert) if alert.state == AlertState::Resolved),
    );
    assert!(begun.elapsed() > Duration::from_secs(2), "three rounds take two seconds at least");
    assert_eq!(running.alerts(), [AlertState::Resolved]);
    running.stop();
}

/// After a busy day the alert lies far behind the last event.
#[test]
fn an_alert_that_was_told_long_ago_is_told_as_resolved_after_a_restart() {
    let (web, clock, folder) = (Web::start(), Wrong::by(-4_000), tempfile::tempdir().unwrap());
    let mut running = Running::start(config_for(&web, ""), Arc::clone(&clock), folder.path());
    running.until_clock(ClockState::Unsafe);
    running.sooner_or_later("the alert", |event| matches!(event, Event::Alert(_)));
    running.stop();
    let database = rusqlite::Connection::open(folder.path().join("warroom.db")).unwrap();
    let blip = r#"{"event":"blip","at":"2026-05-15T14:32:00.123Z","component_id":"web"}"#;
    let busy = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 3000)
                INSERT INTO events (at, event) SELECT strftime('%s') * 1000, ?1 FROM many";
    assert_eq!(database.execute(busy, [blip]).unwrap(), 3_000);
    drop(database);
    clock.ahead.store(0, Ordering::SeqCst);
    let mut running = Running::start(config_for(&web, ""), Arc::clone(&clock), folder.path());
    running.sooner_or_later(
        "the alert is over",
        |event| matches!(event, Event::Alert(alert) if alert.scope == "clock" && alert.state == AlertState::Resolved),
    );
    running.stop();
}

/// Genesys Cloud and CXone have endpoints that tell the time, behind their logins.
#[test]
fn platforms_with_a_date_endpoint_tell_milliseconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            // With an age no `Date` is believed: all that tells the time are the endpoints.
            let scenario = "demand_login = true\n[[changes]]\nat = \"0s\"\ntarget = \"all\"\nage = \"30s\"";
            let scenario = Scenario::parse(scenario, "the test's scenario").unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            sim::serve(listener, scenario, Arc::new(SystemClock), 7).await
        })
    });
    let component = |id: &str, platform: &str, step: &str| {
        format!(
            r#"
            [[components]]
            id = "{id}"
            platform = "{platform}"
            tier = 1
            target_rto = "30s"
            kind = "api"
            journey = [{step}]
            "#
        )
    };
    // Any secret will do.
    let text = format!(
        r#"
        tenant = "clock-test"
        environment = "sandbox"
        [clock]
        chrony = false
        every = "1s"
        [platforms.genesys]
        kind = "genesys"
        base_url = "http://{address}/genesys"
        login_url = "http://{address}/genesys"
        client_id = {{ env = "PATH" }}
        client_secret = {{ env = "PATH" }}
        [platforms.cxone]
        kind = "cxone"
        base_url = "http://{address}/cxone"
        login_url = "http://{address}/cxone"
        access_key_id = {{ env = "PATH" }}
        access_key_secret = {{ env = "PATH" }}
        {}{}
        "#,
        component(
            "flow",
            "genesys",
            r#"{ name = "any", get = "/api/v2/flows/f", expect = ["status == 200"] }"#
        ),
        component("acd", "cxone", r#"{ name = "any", get = "/health", expect = ["status == 200"] }"#),
    );
    let config = config::parse(&text, "the test's config").unwrap().config;
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(config, Wrong::by(0), folder.path());
    running.until("both tell milliseconds", |event| {
        let Event::Clock(clock) = event else { return false };
        let fine = clock.sources.iter().filter(|source| source.error_ms < 40.0 && source.agrees);
        fine.map(|source| &*source.name).eq(["platform cxone", "platform genesys"])
    });
    running.stop();
}

/// A load balancer with one server whose clock is two seconds off: whoever answered last, the runner's clock is right.
#[test]
fn a_platform_whose_answers_contradict_each_other_never_makes_a_right_clock_unsafe() {
    let (web, folder) = (Web::start(), tempfile::tempdir().unwrap());
    let mut running = Running::start(config_for(&web, ""), Wrong::by(0), folder.path());
    running.until_ready();
    for probe in 0..9 {
        web.ahead.store(if probe % 2 == 0 { 2_000 } else { 0 }, Ordering::SeqCst);
        running.until("a probe", |event| matches!(event, Event::Probe(_)));
    }
    running.sooner_or_later(
        "it is said",
        |event| matches!(event, Event::Notice(notice) if notice.standing && notice.text.contains("answers contradict")),
    );
    let states: Vec<_> = running
        .told()
        .into_iter()
        .filter_map(|event| match event {
            Event::Clock(clock) => Some(clock.state),
            _ => None,
        })
        .collect();
    assert!(states.iter().all(|state| *state == ClockState::Ok), "{states:?}");
    assert_eq!(running.alerts(), []);
    running.stop();
}

#[test]
fn two_seconds_of_sleep_are_a_gap() {
    let (web, clock, folder) = (Web::start(), Wrong::by(0), tempfile::tempdir().unwrap());
    let mut running = Running::start(config_for(&web, ""), Arc::clone(&clock), folder.path());
    running.until_ready();
    // The rest of the world goes on.
    clock.slept.store(2_000, Ordering::SeqCst);
    web.ahead.store(2_000, Ordering::SeqCst);
    let event = running.until("a gap", |event| matches!(event, Event::Gap(_)));
    let Event::Gap(gap) = &*event else { panic!("{event:?}") };
    let length = (gap.until - gap.from).num_milliseconds();
    assert!((2_000..4_500).contains(&length) && gap.reason.contains("suspended"), "{gap:?}");
    running.until_phase(Phase::Up);
    // What was known of the clock before is worth nothing, and is learnt anew.
    running.until_clock(ClockState::Ok);
    running.stop();
}

/// Over a reboot only the wall clock tells how long it took; with time sources at both ends, so well as they know it.
#[test]
fn an_outage_over_a_reboot_has_an_upper_bound_only_where_the_clock_was_vouched_for() {
    let vouched = format!("platform = false\nntp = [\"{}\"]", time_server(0));
    for (settings, is_vouched) in [(vouched.as_str(), true), ("platform = false", false)] {
        let (web, folder) = (Web::start(), tempfile::tempdir().unwrap());
        let mut running = Running::start(config_for(&web, settings), Wrong::by(0), folder.path());
        if is_vouched {
            running.until_ready();
        } else {
            running.until_phase(Phase::Up);
        }
        web.works(false);
        running.until_phase(Phase::Down);
        running.stop();
        // As if the machine had been started again since.
        let database = rusqlite::Connection::open(folder.path().join("warroom.db")).unwrap();
        let changed = database
            .execute("UPDATE progress SET state = json_set(state, '$.boot_id', 'another boot')", [])
            .unwrap();
        assert_eq!(changed, 1);
        drop(database);
        let mut running = Running::start(config_for(&web, settings), Wrong::by(0), folder.path());
        running.until_phase(Phase::Down);
        web.works(true);
        let record = running.until_recovery();
        assert_eq!(record.bounds_seconds.1.is_some(), is_vouched, "{record:?}");
        let told = running.stop();
        assert!(matches!(&*told[0], Event::Roster(_)), "the roster comes first: {:?}", told[0]);
    }
}
