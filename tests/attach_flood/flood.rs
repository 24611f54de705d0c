//! An engine in this process that is made to tell thousands of things, then nothing any more.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;
use warroom::{
    attach::{peer, server::Server},
    clock::{Clock as _, SystemClock},
    config,
    domain::{Attached, Command, ComponentId, Event, Phase, Picture, Role},
    engine::{self, Ended, Listener, Mailbox, Remote, Setup},
};

use super::platform::{Platform, answer};

const COMPONENTS: usize = 60;
/// How many acts a person gives in one go, and how often.
const ACTS: usize = 30;
const EVERY: Duration = Duration::from_millis(25);
/// So often the platform goes down and comes back.
const OUTAGES: usize = 3;
/// How long each side of it lasts.
const SIDE: Duration = Duration::from_millis(700);
/// Consoles that are there for a moment only; the server's own count from one.
const CROWD: std::ops::Range<u64> = 1_000_000..1_000_080;
/// How long anything may take on a machine that builds and tests something else beside.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps everything that it is told.
struct Recorder(Arc<Record>);

#[derive(Default)]
struct Record {
    told: Mutex<Vec<Arc<Event>>>,
    picture: Mutex<Option<Picture>>,
    wanted: AtomicBool,
}

impl Listener for Recorder {
    fn event(&mut self, event: &Arc<Event>) {
        self.0.told.lock().unwrap().push(Arc::clone(event));
    }

    fn picture(&mut self, picture: &Picture) {
        self.0.wanted.store(false, Ordering::SeqCst);
        *self.0.picture.lock().unwrap() = Some(picture.clone());
    }

    fn wants_picture(&self) -> bool {
        self.0.wanted.load(Ordering::SeqCst)
    }
}

/// The engine with its server, and the platform that it measures.
pub(crate) struct Flood {
    platform: Platform,
    record: Arc<Record>,
    remote: Remote,
    engine: Option<JoinHandle<Ended>>,
    server: Option<Server>,
}

impl Flood {
    pub(crate) fn begin(folder: &Path) -> Self {
        let platform = Platform::start(answer("200 OK", b"", "{}"));
        let mut components = String::new();
        for number in 0..COMPONENTS {
            // In peace nobody probes for an hour: when the flood is over, it is quiet. Writing to a string cannot fail.
            let _ = write!(
                components,
                "[[components]]\nid = \"c{number}\"\nplatform = \"web\"\ntier = 3\ntarget_rto = \"2h\"\n\
                 kind = \"api\"\ncadence = \"1h\"\nburst = \"100ms\"\n[[components.journey]]\nname = \"ready\"\n\
                 get = \"/{number}\"\nexpect = ['status == 200']\n"
            );
        }
        let config = config::parse(&platform.config(&components), "the test's config").unwrap().config;
        let (record, mailbox) = (Arc::<Record>::default(), Mailbox::default());
        let remote = mailbox.remote();
        let clock = Arc::new(SystemClock);
        let (server, ear) = Server::begin(folder, remote.clone(), clock.clone(), config.agent.clone(), None);
        let setup = Setup {
            config: Arc::new(config),
            clock,
            seed: 3,
            folder: folder.to_owned(),
            listeners: vec![ear, Box::new(Recorder(Arc::clone(&record)))],
        };
        let engine = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.unwrap();
            let ended = runtime.block_on(engine::run(setup, mailbox, None)).unwrap();
            runtime.shutdown_background();
            ended
        });
        let flood = Self { platform, record, remote, engine: Some(engine), server: Some(server) };
        flood.wait_for("every component's first probe", |phase| phase == Phase::Up);
        flood
    }

    /// The engine's own picture, as JSON.
    pub(crate) fn picture(&self) -> Value {
        let begun = Instant::now();
        self.record.wanted.store(true, Ordering::SeqCst);
        self.remote.ask_picture();
        while self.record.wanted.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < PATIENCE, "the engine gives no picture");
            std::thread::sleep(Duration::from_millis(2));
        }
        serde_json::to_value(self.record.picture.lock().unwrap().as_ref().unwrap()).unwrap()
    }

    /// Hundreds of acts a second, and outages of everything between them.
    pub(crate) fn pour(&mut self) {
        let mut next = (0..COMPONENTS).cycle();
        for _ in 0..OUTAGES {
            self.platform.answer(answer("503 Service Unavailable", b"", "{}"));
            self.act(&mut next);
            // Acts on a machine with two cores may have met some components only just now.
            self.wait_for("an outage of everything", |phase| phase == Phase::Down);
            self.platform.answer(answer("200 OK", b"", "{}"));
            self.act(&mut next);
            self.wait_for("a recovery of everything", |phase| phase == Phase::Up);
        }
    }

    fn act(&self, next: &mut impl Iterator<Item = usize>) {
        self.crowd();
        let begun = Instant::now();
        while begun.elapsed() < SIDE {
            for number in next.by_ref().take(ACTS) {
                let component_id = ComponentId::new(format!("c{number}"));
                assert!(self.remote.command(Command::ProbeNow { component_id }, peer::myself()));
            }
            std::thread::sleep(EVERY);
        }
    }

    /// Many people come and go at once; each of these events names everybody who is here.
    fn crowd(&self) {
        let since = SystemClock.wall();
        for id in CROWD {
            let (terminal, from) = (Some(format!("pts/{id}")), Some("192.0.2.7".to_owned()));
            let who = peer::myself();
            let console = Attached { id, who, role: Role::Watch, since, terminal, from, is_host: false };
            self.remote.attached(console);
        }
        CROWD.for_each(|id| self.remote.detached(id));
    }

    fn wait_for(&self, what: &str, holds: impl Fn(Phase) -> bool) {
        let begun = Instant::now();
        loop {
            self.picture();
            let picture = self.record.picture.lock().unwrap().clone().unwrap();
            if picture.components.iter().all(|component| holds(component.phase)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the engine, which writes what waits; everything that it told.
    pub(crate) fn end(mut self) -> Vec<Arc<Event>> {
        self.stop();
        std::mem::take(&mut *self.record.told.lock().unwrap())
    }

    fn stop(&mut self) {
        self.remote.stop();
        if let Some(engine) = self.engine.take() {
            engine.join().unwrap().unsaved.unwrap();
        }
        drop(self.server.take());
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
