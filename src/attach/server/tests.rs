//! The server before a scripted engine, over a real socket; where time matters, on virtual time.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod rights;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    door::Door,
    ear::{Ear, Line},
    hub::{Beginning, Hub},
    limits::OF_ONE,
};
use crate::{
    attach::{
        peer, socket,
        wire::{Ask, BEAT, Greeting, LONGEST_ASK, PROTOCOL, SOCKET, Told, Welcome},
    },
    clock::SystemClock,
    config,
    domain::{
        Command, ComponentId, Event, PathName, Picture, Role, Since, Verdict,
        event::{BlipEvent, GapEvent, ProbeEvent},
    },
    engine::{Mailbox, scripted::Scripted},
    store::{Settings, Store},
};

const CONFIG: &str = r#"
    tenant = "t"
    environment = "sandbox"
    [platforms.web]
    kind = "http"
    base_url = "http://127.0.0.1:9"
    [[components]]
    id = "web"
    platform = "web"
    tier = 1
    target_rto = "30s"
    kind = "api"
    cadence = "1s"
    journey = [{ name = "ready", get = "/ready" }]
"#;

/// A served engine; both live on this test's own runtime.
struct Stage {
    folder: tempfile::TempDir,
    engine: Arc<Mutex<Scripted>>,
    stop: CancellationToken,
    hub: JoinHandle<()>,
    turning: JoinHandle<()>,
}

impl Stage {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(text: &str) -> Self {
        Self::on(tempfile::tempdir().unwrap(), text)
    }

    fn on(folder: tempfile::TempDir, text: &str) -> Self {
        let config = Arc::new(config::parse(text, "the test's config").unwrap().config);
        let (mailbox, line) = (Mailbox::default(), Arc::<Line>::default());
        let (remote, stop) = (mailbox.remote(), CancellationToken::new());
        let beginning = Beginning {
            folder: folder.path().to_owned(),
            remote: remote.clone(),
            clock: Arc::new(SystemClock),
            settings: config.agent.clone(),
            line: Arc::clone(&line),
            stop: stop.clone(),
            door: Door::make(folder.path().to_owned(), remote, config.agent.group.clone()),
        };
        let hub = tokio::spawn(Hub::new(beginning).run(|| "the test ends".to_owned()));
        let mut engine = Scripted::new(mailbox, Arc::clone(&config.roster), Box::new(Ear(line)));
        engine.listener.config(&config);
        let engine = Arc::new(Mutex::new(engine));
        let turned = Arc::clone(&engine);
        let turning = tokio::spawn(async move {
            loop {
                turned.lock().unwrap().turn();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self { folder, engine, stop, hub, turning }
    }

    fn publish(&self, event: Event) {
        self.engine.lock().unwrap().publish(event);
    }

    fn picture(&self) -> serde_json::Value {
        serde_json::to_value(&self.engine.lock().unwrap().picture).unwrap()
    }

    fn commands(&self) -> usize {
        self.engine.lock().unwrap().commands.len()
    }

    async fn attach(&self) -> Client {
        self.attach_as(greeting()).await.unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// Attaches, or says why not.
    async fn attach_as(&self, greeting: Greeting) -> Result<Client, String> {
        let mut client = Client::knock(self.folder.path()).await;
        client.say(&greeting).await;
        let welcome: Welcome = serde_json::from_str(&client.line().await.unwrap()).unwrap();
        assert_eq!((welcome.protocol, welcome.pid), (PROTOCOL, std::process::id()));
        if let Some(refused) = welcome.refused {
            assert_eq!(client.line().await, None, "nothing follows");
            return Err(refused);
        }
        assert!(welcome.you.is_some());
        Ok(client)
    }

    async fn end(self) {
        self.stop.cancel();
        self.hub.await.unwrap();
        self.turning.abort();
    }
}

fn greeting() -> Greeting {
    Greeting {
        protocol: PROTOCOL,
        version: "0.0.1-other".to_owned(),
        wants: Role::Operate,
        glance: false,
        terminal: Some("pts/3\u{1b}[2J".to_owned()),
        from: Some("x".repeat(4_000)),
        behind: None,
    }
}

struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    picture: Option<Picture>,
    pictures: usize,
}

impl Client {
    async fn knock(folder: &Path) -> Self {
        let address = socket::address(folder).unwrap();
        let (read, write) = UnixStream::connect(address.path()).await.unwrap().into_split();
        Self { read: BufReader::new(read), write, picture: None, pictures: 0 }
    }

    async fn say(&mut self, what: &impl serde::Serialize) {
        let mut line = serde_json::to_vec(what).unwrap();
        line.push(b'\n');
        self.write.write_all(&line).await.unwrap();
    }

    /// The next line; `None` at the end of the connection.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(Duration::from_mins(1), self.read.read_line(&mut line)).await.unwrap();
        // Whoever is sent away with something unread in the socket finds it reset after the last line.
        (read.is_ok() && !line.is_empty()).then_some(line)
    }

    /// Follows what is told, up to the first that `is_it`.
    async fn until(&mut self, mut is_it: impl FnMut(&Told) -> bool) -> Told {
        let mut beats = 0;
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("the connection ended"));
            let told: Told = serde_json::from_str(&line).unwrap();
            match &told {
                Told::Beat => {
                    beats += 1;
                    assert!(beats < 12, "nothing more is told for a minute");
                }
                Told::Picture(picture) => {
                    let mut picture = (**picture).clone();
                    picture.index();
                    self.picture = Some(picture);
                    self.pictures += 1;
                }
                Told::Event(event) => {
                    if let Some(picture) = &mut self.picture {
                        picture.apply(event);
                    }
                }
                _ => {}
            }
            if is_it(&told) {
                return told;
            }
        }
    }

    async fn refusal(&mut self) -> String {
        match self.until(|told| matches!(told, Told::Refused(_))).await {
            Told::Refused(why) => why,
            other => panic!("{other:?}"),
        }
    }

    async fn first_picture(&mut self) {
        self.until(|told| matches!(told, Told::Picture(_))).await;
    }

    fn shown(&self) -> serde_json::Value {
        serde_json::to_value(self.picture.as_ref().unwrap()).unwrap()
    }
}

fn gap(number: i64) -> Event {
    let at = chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + number).unwrap();
    Event::Gap(GapEvent { at, from: at, until: at, reason: format!("gap {number}") })
}

/// Told last: whoever has it has everything.
fn last() -> Event {
    let at = chrono::DateTime::from_timestamp_millis(1_900_000_000_000).unwrap();
    Event::Blip(BlipEvent { at, component_id: ComponentId::new("web"), reason: Some("last".to_owned()) })
}

fn is_last(told: &Told) -> bool {
    let is_it = |event: &Event| matches!(event, Event::Blip(blip) if blip.reason.is_some());
    match told {
        Told::Event(event) => is_it(event),
        Told::Picture(picture) => picture.notable.iter().any(|event| is_it(event)),
        _ => false,
    }
}

fn probe(number: i64, reason: String) -> Event {
    Event::Probe(ProbeEvent {
        at: chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + number).unwrap(),
        component_id: ComponentId::new("web"),
        path: PathName::primary(),
        verdict: Verdict::Up,
        latency_ms: Some(number as f64 / 4.0),
        served_by: Some("here".to_owned()),
        reason: Some(reason),
        burst: false,
        steps: Vec::new(),
    })
}

/// What every console shows is what the engine knows, whenever it came.
#[tokio::test]
async fn a_console_gets_the_picture_then_events_and_shows_what_the_engine_knows() {
    let stage = Stage::new();
    stage.publish(gap(1));
    let mut first = stage.attach().await;
    first.first_picture().await;
    stage.publish(probe(2, String::new()));
    // Only the first one cost the engine a picture.
    let mut second = stage.attach().await;
    second.first_picture().await;
    stage.publish(gap(3));
    stage.publish(last());
    for client in [&mut first, &mut second] {
        client.until(is_last).await;
        // Presence, which comes from the engine too, may be on its way still.
        while client.shown() != stage.picture() {
            client.until(|_| true).await;
        }
    }
    assert_eq!(stage.engine.lock().unwrap().pictures, 1);
    let you = stage.engine.lock().unwrap().picture.present.clone();
    assert_eq!(you.len(), 2);
    assert_eq!(you[0].who.uid, rustix::process::geteuid().as_raw());
    assert_eq!(you[0].who.login, peer::login(you[0].who.uid));
    assert_eq!(you[0].terminal.as_deref(), Some("pts/3·[2J"), "foreign text is cleaned");
    assert!(you[0].from.as_ref().unwrap().chars().count() < 80, "and cut short");
    stage.end().await;
}

/// One that stopped reading (Ctrl-Z) delays nobody, and shows the same as everybody when it goes on.
#[tokio::test(start_paused = true)]
async fn a_console_that_stalls_under_a_flood_gets_a_picture_and_no_other_is_delayed() {
    let stage = Stage::new();
    let (mut reads, mut stalls) = (stage.attach().await, stage.attach().await);
    reads.first_picture().await;
    stalls.first_picture().await;
    let reason = "x".repeat(1_000);
    for round in 0..100 {
        for number in 0..100 {
            stage.publish(probe(round * 100 + number, reason.clone()));
        }
        // The one that reads keeps up, whatever the other one does.
        stage.publish(gap(round));
        let wanted = format!("gap {round}");
        let is_it = |told: &Told| matches!(told, Told::Event(event) if matches!(&**event, Event::Gap(gap) if gap.reason == wanted));
        let began = Instant::now();
        reads.until(is_it).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert_eq!(reads.pictures, 1, "the one that reads never lags");
    stage.publish(last());
    reads.until(is_last).await;
    stalls.until(is_last).await;
    assert!(stalls.pictures >= 2, "ten megabytes are more than waits for one console");
    assert!(reads.shown() == stage.picture(), "the one that reads shows something else");
    assert!(stalls.shown() == stage.picture(), "the one that stalled shows something else");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_asks_again_and_again_gets_a_picture_a_second() {
    let stage = Stage::new();
    let mut client = stage.attach().await;
    client.first_picture().await;
    let began = Instant::now();
    for _ in 0..5 {
        client.say(&Ask::Picture).await;
        client.first_picture().await;
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&took), "{took:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_console_of_another_protocol_is_told_which_side_to_update() {
    let stage = Stage::new();
    let older = stage.attach_as(Greeting { protocol: PROTOCOL - 1, ..greeting() }).await.err().unwrap();
    assert!(older.contains("update warroom on the console's side"), "{older}");
    // A newer one may say things that this version cannot read.
    let mut newer = Client::knock(stage.folder.path()).await;
    newer.say(&json!({"protocol": PROTOCOL + 1, "version": "9\u{1b}[2J", "wants": {"dance": true}})).await;
    let welcome: Welcome = serde_json::from_str(&newer.line().await.unwrap()).unwrap();
    let newer = welcome.refused.unwrap();
    assert!(newer.contains("update the agent and restart it") && !newer.contains('\u{1b}'), "{newer}");
    // Another version of the same protocol is let in.
    stage.attach().await.first_picture().await;
    stage.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_said_and_ends_the_connection() {
    let stage = Stage::new();
    let nonsense = [
        ("x".repeat(LONGEST_ASK + 1), "is no command"),
        ("{\"command\":{\"command\":\"rm\"}}\n".to_owned(), "makes no sense"),
        ("\n".to_owned(), "makes no sense"),
    ];
    for (line, words) in nonsense {
        let mut client = stage.attach().await;
        client.write.write_all(line.as_bytes()).await.unwrap();
        let why = client.refusal().await;
        assert!(why.contains(words), "{why}");
        while client.line().await.is_some() {}
    }
    let mut client = stage.attach().await;
    client.write.write_all(b"\xff\xfe\n").await.unwrap();
    assert!(client.refusal().await.contains("makes no sense"));
    for first in ["GET / HTTP/1.1\r\n".to_owned(), "y".repeat(LONGEST_ASK * 2)] {
        let mut client = Client::knock(stage.folder.path()).await;
        client.write.write_all(first.as_bytes()).await.unwrap();
        let welcome: Welcome = serde_json::from_str(&client.line().await.unwrap()).unwrap();
        assert!(welcome.refused.unwrap().contains("no greeting"));
    }
    assert_eq!(stage.commands(), 0);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_greet_is_sent_away_and_a_silent_engine_still_gives_signs_of_life() {
    let stage = Stage::new();
    let began = Instant::now();
    let mut mute = Client::knock(stage.folder.path()).await;
    mute.write.write_all(b"{\"protocol\":").await.unwrap();
    assert_eq!(mute.line().await, None);
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&took), "{took:?}");

    let mut client = stage.attach().await;
    client
        .until(|told| {
            matches!(told, Told::Event(event) if matches!(**event, Event::Presence(_)))
                || matches!(told, Told::Picture(_))
        })
        .await;
    let began = Instant::now();
    client.until(|told| *told == Told::Beat).await;
    assert!(began.elapsed() <= BEAT + Duration::from_secs(1), "{:?}", began.elapsed());
    stage.end().await;
}

#[tokio::test]
async fn commands_reach_the_engine_with_their_person_and_only_of_those_who_may_act() {
    let stage = Stage::new();
    let probe_now = Command::ProbeNow { component_id: ComponentId::new("web") };
    let mut watcher = stage.attach_as(Greeting { wants: Role::Watch, ..greeting() }).await.unwrap();
    watcher.say(&Ask::Command(probe_now.clone())).await;
    assert!(watcher.refusal().await.contains("to watch only"));
    assert_eq!(stage.commands(), 0);
    let claimed = Greeting { behind: Some("mallory".to_owned()), ..greeting() };
    let mut operator = stage.attach_as(claimed).await.unwrap();
    operator.first_picture().await;
    operator.say(&Ask::Command(probe_now.clone())).await;
    operator.say(&Ask::Command(Command::Reload)).await;
    let mut act = None;
    let mut why = None;
    // Which of both comes first is open: one goes to everybody, the other to the asker.
    operator
        .until(|told| {
            match told {
                Told::Event(event) if matches!(**event, Event::Act(_)) => act = Some(Arc::clone(event)),
                Told::Refused(words) => why = Some(words.clone()),
                _ => {}
            }
            act.is_some() && why.is_some()
        })
        .await;
    assert_eq!(why.unwrap(), "the script says no", "the engine's own refusal comes to the asker");
    let event = act.unwrap();
    let Event::Act(act) = &*event else { panic!("{event:?}") };
    assert_eq!((&act.act, act.who.uid), (&probe_now, rustix::process::geteuid().as_raw()));
    assert_eq!(act.who.login, peer::login(act.who.uid));
    assert!(!act.who.behind.as_ref().is_some_and(|behind| behind.proven && behind.login == "mallory"));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_commands_is_slowed_and_said() {
    let stage = Stage::new();
    let mut client = stage.attach().await;
    client.first_picture().await;
    for _ in 0..60 {
        client.say(&Ask::Command(Command::Diagnose)).await;
    }
    let why = client.refusal().await;
    assert!(why.contains("too many commands"), "{why}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let reached = stage.commands();
    assert!((20..=45).contains(&reached), "{reached}");
    stage.end().await;
}

#[tokio::test]
async fn one_user_cannot_take_every_seat_and_a_seat_that_is_left_is_free() {
    let stage = Stage::new();
    let mut seated = Vec::new();
    for _ in 0..OF_ONE {
        seated.push(stage.attach().await);
    }
    let why = stage.attach_as(greeting()).await.err().unwrap();
    assert!(why.contains("of this user are attached already"), "{why}");
    seated.pop();
    let patience = Instant::now() + Duration::from_secs(20);
    while stage.attach_as(greeting()).await.is_err() {
        assert!(Instant::now() < patience, "the seat is never free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn everybody_is_told_goodbye_and_the_socket_is_gone() {
    let stage = Stage::new();
    let path = stage.folder.path().join(SOCKET);
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = stage.attach().await;
    client.first_picture().await;
    stage.stop.cancel();
    let bye = client.until(|told| matches!(told, Told::Bye(_))).await;
    assert_eq!(bye, Told::Bye("the test ends".to_owned()));
    assert_eq!(client.line().await, None);
    stage.hub.await.unwrap();
    assert!(!path.exists());
    stage.turning.abort();
}

/// An engine that ended by itself, however that came about, leaves no console waiting.
#[tokio::test]
async fn an_engine_that_ended_ends_its_server() {
    let stage = Stage::new();
    let mut client = stage.attach().await;
    client.first_picture().await;
    stage.turning.abort();
    // The task that turned it holds it no longer once it is gone.
    assert!(stage.turning.await.is_err());
    drop(stage.engine);
    client.until(|told| matches!(told, Told::Bye(_))).await;
    stage.hub.await.unwrap();
}

#[tokio::test]
async fn a_group_that_is_missing_is_said_and_opens_nothing() {
    let group = "warroom-test-no-such-group";
    let stage = Stage::with(&format!("{CONFIG}\n[agent]\ngroup = \"{group}\"\n"));
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let notice = stage.engine.lock().unwrap().picture.notices.get("attach group").cloned();
        if let Some(notice) = notice {
            assert!(notice.text.contains(&format!("groupadd {group}")), "{}", notice.text);
            break;
        }
        assert!(Instant::now() < patience, "it is never said");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mode = std::fs::symlink_metadata(stage.folder.path().join(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    stage.end().await;
}

/// Only whoever was away wants to hear it: nobody at the first look of all, and no second console of the same person.
#[tokio::test(start_paused = true)]
async fn whoever_comes_back_hears_what_happened_since_they_last_looked() {
    // What is not told by the first sign of life is not told at all.
    async fn since(client: &mut Client) -> Option<Since> {
        match client.until(|told| matches!(told, Told::Since(_) | Told::Beat)).await {
            Told::Since(since) => Some(since),
            _ => None,
        }
    }
    let me = peer::myself();
    let greeting = || Greeting { behind: me.behind.clone().map(|behind| behind.login), ..greeting() };
    let stage = Stage::new();
    let mut first = stage.attach_as(greeting()).await.unwrap();
    assert_eq!(since(&mut first).await, None, "nothing is known of when they last looked");
    stage.end().await;

    let folder = tempfile::tempdir().unwrap();
    let at = |millis: i64| chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + millis).unwrap();
    let store = Store::open(folder.path(), Settings::default(), at(0), Box::new(|_| {})).unwrap();
    store.handle().save_look(me.key().to_owned(), me.uid, at(100));
    store.handle().save_look("somebody else".to_owned(), me.uid, at(155));
    for number in [50, 150, 160] {
        store.handle().record_event(Arc::new(gap(number)));
    }
    store.close().unwrap();
    assert_eq!(crate::attach::since(folder.path(), &me).unwrap().unwrap().gaps, 2, "a host hears the same");
    let stage = Stage::on(folder, CONFIG);
    let mut first = stage.attach_as(greeting()).await.unwrap();
    let told = since(&mut first).await.unwrap();
    assert_eq!((told.last, told.gaps), (at(100), 2));
    assert!(first.picture.is_some(), "the picture comes first");
    let mut second = stage.attach_as(greeting()).await.unwrap();
    assert_eq!(since(&mut second).await, None, "whoever looks already knows");
    drop((first, second));
    let patience = Instant::now() + Duration::from_secs(20);
    while !stage.engine.lock().unwrap().picture.present.is_empty() {
        assert!(Instant::now() < patience, "their going is never noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut again = stage.attach_as(greeting()).await.unwrap();
    let told = since(&mut again).await.unwrap();
    assert!(told.last > at(1_000_000) && told.gaps == 0, "sooner known than stored: {told:?}");
    stage.end().await;
}
