//! Guarantee 4 and the engine's promises: a recovery is on disk before anyone is told of it; whoever joins gets a picture
//! that the events continue.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use warroom::{
    clock::SystemClock,
    config,
    domain::{ComponentId, Event, Phase, Picture},
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

fn wait_for(events: &mpsc::Receiver<Arc<Event>>, what: &str, is_it: impl Fn(&Event) -> bool) -> Arc<Event> {
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
    assert!(remote.command(warroom::domain::Command::ProbeNow { component_id: ComponentId::new("web") }));
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
