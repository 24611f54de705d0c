//! The engine goes on with a changed config: who asked is named, no request is lost, and what a console folds from the
//! events is what the engine knows.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use warroom::{
    clock::SystemClock,
    config::{self, model::Config},
    domain::{Command, Event, Person, Phase, Picture, event::ConfigEvent},
    engine::{self, Ended, Listener, Mailbox, Remote, Setup},
};

#[path = "terminal/platform.rs"]
mod platform;

#[path = "reload/chain.rs"]
mod chain;

use platform::{Platform, answer, component, write_config};

/// What a console would know, and what the engine says that it knows.
#[derive(Default)]
struct Known {
    folded: Option<Picture>,
    fresh: Option<Picture>,
    config: Option<Arc<Config>>,
}

struct Ear {
    events: mpsc::Sender<Arc<Event>>,
    known: Arc<Mutex<Known>>,
    wanted: Arc<AtomicBool>,
}

impl Listener for Ear {
    fn event(&mut self, event: &Arc<Event>) {
        if let Some(picture) = &mut self.known.lock().unwrap().folded {
            picture.apply(event);
        }
        // The test may have seen enough.
        let _ = self.events.send(Arc::clone(event));
    }

    fn picture(&mut self, picture: &Picture) {
        let mut known = self.known.lock().unwrap();
        if self.wanted.swap(false, Ordering::SeqCst) {
            known.fresh = Some(picture.clone());
        } else {
            known.folded = Some(picture.clone());
        }
    }

    fn config(&mut self, config: &Arc<Config>) {
        self.known.lock().unwrap().config = Some(Arc::clone(config));
    }

    fn wants_picture(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }
}

struct Running {
    events: mpsc::Receiver<Arc<Event>>,
    known: Arc<Mutex<Known>>,
    wanted: Arc<AtomicBool>,
    remote: Remote,
    thread: std::thread::JoinHandle<Ended>,
}

impl Running {
    fn start(config: Config, folder: &Path) -> Self {
        let (sender, events) = mpsc::channel();
        let (known, wanted) = (Arc::<Mutex<Known>>::default(), Arc::<AtomicBool>::default());
        let ear = Ear { events: sender, known: Arc::clone(&known), wanted: Arc::clone(&wanted) };
        let mailbox = Mailbox::default();
        let remote = mailbox.remote();
        let setup = Setup {
            config: Arc::new(config),
            clock: Arc::new(SystemClock),
            seed: 3,
            folder: folder.to_owned(),
            listeners: vec![Box::new(ear)],
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ended = runtime.block_on(engine::run(setup, mailbox, None)).unwrap();
            runtime.shutdown_background();
            ended
        });
        Self { events, known, wanted, remote, thread }
    }

    fn wait_for(&self, what: &str, mut is_it: impl FnMut(&Event) -> bool) -> Arc<Event> {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("never came: {what}"));
            if is_it(&event) {
                return event;
            }
        }
    }

    fn config(&self) -> ConfigEvent {
        let event = self.wait_for("a config event", |event| matches!(event, Event::Config(_)));
        let Event::Config(config) = &*event else { panic!("{event:?}") };
        config.clone()
    }

    fn phase(&self, id: &str, wanted: Phase) {
        self.wait_for(&format!("{id} {wanted:?}"), |event| {
            matches!(event, Event::Phase(phase) if phase.component_id.as_str() == id && phase.phase == wanted)
        });
    }

    fn stop(self) {
        self.remote.stop();
        self.thread.join().unwrap().unsaved.unwrap();
    }
}

fn alice() -> Person {
    Person { uid: 1000, login: "alice".to_owned(), behind: None }
}

fn one(id: &str) -> String {
    component(id, id, 1, "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']\ntimeout = \"1s\"")
}

fn good() -> Vec<u8> {
    answer("200 OK", b"", "{}")
}

/// A platform, a folder, and the config of these components in it.
fn written(components: &str) -> (Platform, tempfile::TempDir, PathBuf) {
    let (platform, folder) = (Platform::start(good()), tempfile::tempdir().unwrap());
    let path = write_config(folder.path(), &platform.config(components));
    (platform, folder, path)
}

#[test]
fn who_asked_is_named_and_a_request_that_comes_meanwhile_is_not_lost() {
    let (platform, folder, path) = written(&one("web"));
    let running = Running::start(config::load(&path).unwrap().config, folder.path());
    running.phase("web", Phase::Up);

    write_config(folder.path(), &platform.config(&one("web").replace("\"60s\"", "\"50s\"")));
    assert!(running.remote.command(Command::Reload, alice()));
    write_config(folder.path(), &platform.config(&one("web").replace("\"60s\"", "\"40s\"")));
    assert!(running.remote.reload());
    let first = running.config();
    // It may have met the file half written, which is what the second request is for.
    assert_eq!(first.who, Some(alice()), "{:?}", first.words);
    let second = running.config();
    assert_eq!((second.who, second.loaded), (None, true), "{:?}", second.words);
    let known = running.known.lock().unwrap();
    let target = known.folded.as_ref().unwrap().roster.components[0].target_rto;
    assert_eq!(target, Duration::from_secs(40), "what was written last is in force");
    assert_eq!(known.config.as_ref().unwrap().components[0].target_rto, target);
    drop(known);
    running.stop();
}

#[test]
fn a_config_that_came_from_no_file_is_not_read_again() {
    let (_platform, folder, path) = written(&one("web"));
    let config = Config { source: None, ..config::load(&path).unwrap().config };
    let running = Running::start(config, folder.path());
    running.phase("web", Phase::Up);
    assert!(running.remote.command(Command::Reload, alice()));
    let refused = running.config();
    assert!(!refused.loaded && refused.words[0].contains("not read from a file"), "{:?}", refused.words);
    running.wait_for("the next probe", |event| matches!(event, Event::Probe(_)));
    running.stop();
}

/// A console that folds the events must not show another war room after a reload than one that is new.
#[test]
fn what_a_console_folds_through_a_reload_is_what_the_engine_knows() {
    let (platform, folder, path) = written(&(one("web") + &one("leaves")));
    let running = Running::start(config::load(&path).unwrap().config, folder.path());
    for id in ["web", "leaves"] {
        running.phase(id, Phase::Up);
    }
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    running.phase("web", Phase::Down);
    platform.answer(good());
    for _ in 0..2 {
        running.wait_for("a recovery", |event| matches!(event, Event::Recovery(_)));
    }

    // It leaves, and comes back with what is kept of it.
    let slow = one("web").replace("cadence = \"1s\"", "cadence = \"9s\"");
    write_config(folder.path(), &platform.config(&(slow.clone() + &one("comes"))));
    assert!(running.remote.reload());
    assert!(running.config().loaded);
    running.phase("comes", Phase::Up);
    write_config(folder.path(), &platform.config(&(one("leaves") + &slow)));
    assert!(running.remote.reload());
    assert!(running.config().loaded);
    running.phase("leaves", Phase::Up);

    running.wanted.store(true, Ordering::SeqCst);
    running.remote.ask_picture();
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let known = running.known.lock().unwrap();
        if let Some(fresh) = &known.fresh {
            let folded = known.folded.as_ref().unwrap();
            let ids: Vec<&str> = fresh.roster.components.iter().map(|card| card.id.as_str()).collect();
            assert_eq!(ids, ["leaves", "web"]);
            for picture in [fresh, folded] {
                let recoveries = picture.components.iter().map(|component| component.recoveries.len());
                assert_eq!(recoveries.collect::<Vec<_>>(), [1, 1], "the past of one that came back is lost");
            }
            // The fold may be some probes ahead by now.
            let calm = |picture: &Picture| {
                (picture.notices.clone(), picture.platforms.clone(), picture.config.clone())
            };
            assert_eq!(calm(fresh), calm(folded));
            break;
        }
        drop(known);
        assert!(Instant::now() < patience, "no picture came");
        running.wait_for("the next event", |_| true);
    }
    running.stop();
}
