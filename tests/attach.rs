//! A real engine and a console at its socket: what was acknowledged is stored with its person and survives a restart, and
//! who comes back hears what happened.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use warroom::{
    attach::{
        peer,
        server::Server,
        socket,
        wire::{Ask, Greeting, PROTOCOL, Told, Welcome},
    },
    clock::SystemClock,
    config,
    domain::{Command, Event, Picture, Role, Since, event::Presence},
    engine::{self, Ended, Mailbox, Remote, Setup},
    store::Store,
};

/// A port that refuses every connection.
fn refusing() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config_for(port: u16) -> Arc<config::model::Config> {
    let text = format!(
        r#"
        tenant = "attach-test"
        environment = "sandbox"
        [platforms.web]
        kind = "http"
        base_url = "http://127.0.0.1:{port}"
        [[components]]
        id = "web"
        platform = "web"
        tier = 1
        target_rto = "30s"
        kind = "api"
        cadence = "1s"
        burst = "200ms"
        journey = [{{ name = "ready", get = "/ready" }}]
        "#
    );
    Arc::new(config::parse(&text, "the test's config").unwrap().config)
}

struct Running {
    remote: Remote,
    server: Server,
    thread: std::thread::JoinHandle<Ended>,
}

impl Running {
    fn start(folder: &Path, config: &Arc<config::model::Config>) -> Self {
        let mailbox = Mailbox::default();
        let remote = mailbox.remote();
        let (server, ear) =
            Server::begin(folder, remote.clone(), Arc::new(SystemClock), config.agent.clone(), None);
        let setup = Setup {
            config: Arc::clone(config),
            clock: Arc::new(SystemClock),
            seed: 11,
            folder: folder.to_owned(),
            listeners: vec![ear],
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ended = runtime.block_on(engine::run(setup, mailbox, None)).unwrap();
            runtime.shutdown_background();
            ended
        });
        Self { remote, server, thread }
    }

    fn stop(self) {
        self.server.farewell().say("the test stops it");
        self.remote.stop();
        self.thread.join().unwrap().unsaved.unwrap();
        drop(self.server);
    }
}

struct Console {
    reader: BufReader<UnixStream>,
    picture: Option<Picture>,
    since: Option<Since>,
}

impl Console {
    fn attach(folder: &Path) -> Self {
        let mut stream = socket::connect(folder).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let greeting = Greeting {
            protocol: PROTOCOL,
            version: "1".to_owned(),
            wants: Role::Operate,
            glance: false,
            terminal: None,
            from: None,
            behind: peer::myself().behind.map(|behind| behind.login),
        };
        writeln!(stream, "{}", serde_json::to_string(&greeting).unwrap()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let welcome: Welcome = serde_json::from_str(&line).unwrap();
        assert_eq!(welcome.refused, None);
        Self { reader, picture: None, since: None }
    }

    fn say(&mut self, command: Command) {
        let line = serde_json::to_string(&Ask::Command(command)).unwrap();
        writeln!(self.reader.get_mut(), "{line}").unwrap();
    }

    /// Follows what is told until `is_it`, of the picture as it stands and of what was told last.
    fn until(&mut self, what: &str, mut is_it: impl FnMut(&Self, &Told) -> bool) {
        let patience = Instant::now() + Duration::from_secs(30);
        while Instant::now() < patience {
            let mut line = String::new();
            let read = self
                .reader
                .read_line(&mut line)
                .unwrap_or_else(|error| panic!("never came: {what}: {error}"));
            assert!(read > 0, "the connection ended before: {what}");
            let told: Told = serde_json::from_str(&line).unwrap();
            match &told {
                Told::Picture(picture) => {
                    let mut picture = (**picture).clone();
                    picture.index();
                    self.picture = Some(picture);
                }
                Told::Event(event) => self.picture.as_mut().unwrap().apply(event),
                Told::Since(since) => self.since = Some(since.clone()),
                _ => {}
            }
            if is_it(self, &told) {
                return;
            }
        }
        panic!("never came: {what}");
    }

    /// The outage that is open, once there is one.
    fn outage(&mut self) -> String {
        let open = |console: &Self| {
            let picture = console.picture.as_ref()?;
            picture.components[0].outage.as_ref().map(|outage| outage.id.clone())
        };
        self.until("an outage", |console, _| open(console).is_some());
        open(self).unwrap()
    }
}

/// Nobody must believe that something was done which an engine on its way out threw away.
#[test]
fn what_is_asked_of_an_engine_that_ends_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &config_for(refusing()));
    let (answer, answered) = std::sync::mpsc::channel();
    running.remote.stop();
    let is_taken = running.remote.ask(Command::Diagnose, peer::myself(), move |why| {
        answer.send(why).unwrap();
    });
    assert!(is_taken, "it is beginning still");
    assert_eq!(answered.recv_timeout(Duration::from_secs(30)).unwrap(), "the engine is ending");
    running.stop();
}

/// The night shift's word must still stand after an upgrade at dawn.
#[test]
fn an_acknowledgement_is_stored_with_its_person_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config_for(refusing());
    let component_id = config.roster.components[0].id.clone();
    let running = Running::start(folder.path(), &config);
    let mut console = Console::attach(folder.path());
    let outage_id = console.outage();
    // One that is not open any more is refused, and not kept.
    let stale = Command::Acknowledge { component_id: component_id.clone(), outage_id: "older".to_owned() };
    console.say(stale);
    console.until(
        "the refusal",
        |_, told| matches!(told, Told::Refused(why) if why.contains("another one is open")),
    );
    let act = Command::Acknowledge { component_id, outage_id: outage_id.clone() };
    console.say(act.clone());
    let is_mine = |console: &Console| {
        let known = console.picture.as_ref().and_then(|picture| picture.components[0].acknowledged.clone());
        known.is_some_and(|known| known.who == peer::myself() && known.outage_id == outage_id)
    };
    console.until("the acknowledgement", |console, _| is_mine(console));
    running.stop();
    console.until("goodbye", |_, told| *told == Told::Bye("the test stops it".to_owned()));

    let reader = Store::read(folder.path()).unwrap();
    let kept: Vec<Arc<Event>> = reader.last_events(1_000).unwrap().map(Result::unwrap).collect();
    let acts: Vec<_> = kept
        .iter()
        .filter_map(|event| if let Event::Act(act) = &**event { Some((&act.who, &act.act)) } else { None })
        .collect();
    assert_eq!(acts, [(&peer::myself(), &act)]);
    let came =
        |event: &Arc<Event>| matches!(&**event, Event::Presence(one) if one.change == Presence::Attached);
    assert!(kept.iter().any(came), "presence is kept too");
    let me = peer::myself();
    assert!(reader.last_look(me.key(), me.uid).unwrap().is_some(), "a look at the engine's end is kept");

    let running = Running::start(folder.path(), &config);
    let mut console = Console::attach(folder.path());
    assert_eq!(console.outage(), outage_id, "the outage went on");
    console.until("the acknowledgement of before the restart", |console, _| is_mine(console));
    console.until("what happened meanwhile", |console, _| console.since.is_some());
    let since = console.since.clone().unwrap();
    assert_eq!((since.outages, since.acknowledged.len()), (0, 0), "nothing new: {since:?}");
    running.stop();
}

/// Half a picture, or one with an event missing, would show a component as up that is down.
#[test]
fn a_console_shows_what_another_one_shows_whenever_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &config_for(refusing()));
    let mut early = Console::attach(folder.path());
    early.outage();
    let mut late = Console::attach(folder.path());
    late.outage();
    early.say(Command::Diagnose);
    let mut shown = [&mut early, &mut late].map(|console| {
        console.until(
            "the findings",
            |_, told| matches!(told, Told::Event(event) if matches!(**event, Event::Diagnosis(_))),
        );
        console.picture.clone().unwrap()
    });
    // Where what each person sees is the same, who came when is too.
    assert_eq!(shown[0].present.len(), 2);
    let [first, second] = shown.each_mut().map(|picture| serde_json::to_value(picture).unwrap());
    assert!(first == second, "two consoles show two things");
    running.stop();
}
