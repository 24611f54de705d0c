//! Who is here and may act, when that changes: revoked consoles, glances, consoles that close, engines that hang.

use tokio::{
    io::AsyncReadExt as _,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use super::*;
use crate::{
    attach::{
        access::Credentials,
        server::{
            attend::{Join, Message, attend, told},
            limits::Seats,
            outbox::{Next, Outbox},
        },
    },
    domain::{Attached, Person},
};

const OPEN: &str = "[agent]\ngroup = \"warroom\"\noperators = [\"oncall\"]\n";

fn olga() -> (Person, Credentials) {
    let who = Person { uid: 1000, login: "olga".to_owned(), behind: None };
    let groups = vec!["warroom".to_owned(), "oncall".to_owned()];
    let credentials =
        Credentials { uid: 1000, login: "olga".to_owned(), groups, numbers: Vec::new(), is_looked_up: true };
    (who, credentials)
}

fn probe_now() -> Command {
    Command::ProbeNow { component_id: ComponentId::new("web") }
}

/// The operator whose right was taken an hour ago must not act by a console that was stopped with Ctrl-Z.
#[tokio::test]
async fn a_revoked_operator_acts_no_more_whether_their_console_reads_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let parse = |agent: &str| {
        Arc::new(config::parse(&format!("{CONFIG}\n{agent}"), "the test's config").unwrap().config)
    };
    let config = parse(OPEN);
    let (mailbox, line) = (Mailbox::default(), Arc::<Line>::default());
    let remote = mailbox.remote();
    let mut hub = Hub::new(Beginning {
        folder: folder.path().to_owned(),
        remote: remote.clone(),
        clock: Arc::new(SystemClock),
        settings: config.agent.clone(),
        line: Arc::clone(&line),
        stop: CancellationToken::new(),
        door: Door::make(folder.path().to_owned(), remote, config.agent.group.clone()),
    });
    let mut engine = Scripted::new(mailbox, Arc::clone(&config.roster), Box::new(Ear(line)));
    let (who, credentials) = olga();
    let outbox = Arc::new(Outbox::default());
    let (answer, answered) = tokio::sync::oneshot::channel();
    hub.take(Message::Join(Box::new(Join {
        who,
        credentials,
        wants: Role::Operate,
        glance: false,
        terminal: None,
        from: None,
        outbox: Arc::clone(&outbox),
        answer,
    })));
    let you = answered.await.unwrap().unwrap();
    assert_eq!(you.role, Role::Operate, "by the settings that the server began with");
    hub.take(Message::Ask(you.id, probe_now()));
    engine.turn();
    assert_eq!((engine.commands.len(), engine.picture.present.len()), (1, 1));
    // It reads nothing of all that waits for it.
    outbox.picture(bytes::Bytes::from(vec![b'x'; 1_000_000]));
    for _ in 0..200 {
        outbox.word(bytes::Bytes::from_static(b"y"));
    }

    engine.listener.config(&parse("[agent]\ngroup = \"warroom\"\noperators = []\n"));
    hub.take(Message::Ask(you.id, probe_now()));
    engine.turn();
    assert_eq!(engine.commands.len(), 1, "the config that is in force decides");
    assert!(engine.picture.present.is_empty(), "{:?}", engine.picture.present);
    let Next::Lines(bye) = outbox.next().await else { panic!("no word of it") };
    let bye: Told = serde_json::from_slice(&bye).unwrap();
    assert!(matches!(&bye, Told::Bye(why) if why.contains("what you may do here")), "{bye:?}");
    assert_eq!(outbox.next().await, Next::Closed);
}

/// A connection before no hub: this test answers in its place.
struct Connection {
    client: UnixStream,
    outbox: Arc<Outbox>,
    messages: UnboundedReceiver<Message>,
    task: JoinHandle<()>,
}

impl Connection {
    async fn open() -> Self {
        let (mut client, stream) = UnixStream::pair().unwrap();
        let (sender, mut messages) = unbounded_channel();
        let task = tokio::spawn(attend(stream, Seats::default().take(1000, false), sender, Arc::default()));
        let mut line = serde_json::to_vec(&greeting()).unwrap();
        line.push(b'\n');
        client.write_all(&line).await.unwrap();
        let Some(Message::Join(join)) = messages.recv().await else { panic!("it does not join") };
        let (since, who) = (chrono::DateTime::UNIX_EPOCH, join.who);
        let you =
            Attached { id: 7, who, role: Role::Operate, since, terminal: None, from: None, is_host: false };
        join.answer.send(Ok(you)).unwrap();
        // Its welcome.
        while client.read_u8().await.unwrap() != b'\n' {}
        Self { client, outbox: join.outbox, messages, task }
    }

    async fn ask(&mut self) {
        let mut line = serde_json::to_vec(&Ask::Command(probe_now())).unwrap();
        line.push(b'\n');
        self.client.write_all(&line).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_of_a_revoked_console_that_does_not_read_ends() {
    let mut connection = Connection::open().await;
    connection.outbox.picture(bytes::Bytes::from(vec![b'x'; 8 * 1024 * 1024]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!connection.task.is_finished(), "one that was stopped for a while is no trouble");
    let began = Instant::now();
    connection.outbox.dismiss(told(&Told::Bye("revoked".to_owned())));
    timeout(Duration::from_mins(1), connection.task).await.unwrap().unwrap();
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(matches!(connection.messages.recv().await, Some(Message::Left(7))));
}

/// `a`, then `q`: the acknowledgement lies in the socket when the console is gone already.
#[tokio::test]
async fn what_was_asked_last_is_done_though_the_console_has_closed() {
    // Which of both ends is seen first is open.
    for _ in 0..40 {
        let mut connection = Connection::open().await;
        connection.ask().await;
        connection.outbox.picture(bytes::Bytes::from_static(b"{}\n"));
        drop(connection.client);
        connection.task.await.unwrap();
        assert!(matches!(connection.messages.recv().await, Some(Message::Ask(7, _))));
        assert!(matches!(connection.messages.recv().await, Some(Message::Left(7))));
    }
}

/// A monitor that asks every minute must not be the last look of whoever it runs as, nor fill the store with itself.
#[tokio::test(start_paused = true)]
async fn a_glance_is_no_presence_and_no_look_and_does_nothing() {
    let me = peer::myself();
    let greeting = || Greeting { behind: me.behind.clone().map(|behind| behind.login), ..greeting() };
    let folder = tempfile::tempdir().unwrap();
    let at = |millis: i64| chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + millis).unwrap();
    let store = Store::open(folder.path(), Settings::default(), at(0), Box::new(|_| {})).unwrap();
    store.handle().save_look(me.key().to_owned(), me.uid, at(100));
    store.close().unwrap();
    let stage = Stage::on(folder, CONFIG);
    // More than one user's consoles may come otherwise.
    for _ in 0..OF_ONE * 3 {
        let mut glance = stage.attach_as(Greeting { glance: true, ..greeting() }).await.unwrap();
        glance.first_picture().await;
        assert!(stage.engine.lock().unwrap().picture.present.is_empty());
        glance.say(&Ask::Command(probe_now())).await;
        assert!(glance.refusal().await.contains("to watch only"));
        while stage.attach_as(Greeting { glance: true, ..greeting() }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(stage.commands(), 0);
    let mut staying = stage.attach_as(Greeting { glance: true, ..greeting() }).await.unwrap();
    let mut real = stage.attach_as(greeting()).await.unwrap();
    let told = real.until(|told| matches!(told, Told::Since(_) | Told::Beat)).await;
    assert!(matches!(&told, Told::Since(since) if since.last == at(100)), "{told:?}");
    let present = || stage.engine.lock().unwrap().picture.present.len();
    let patience = Instant::now() + Duration::from_secs(20);
    while present() == 0 {
        assert!(Instant::now() < patience, "it is never seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(present(), 1);
    // Nobody watches unseen for long.
    let began = Instant::now();
    while staying.line().await.is_some() {}
    assert!(began.elapsed() <= Duration::from_mins(1), "{:?}", began.elapsed());
    stage.end().await;
}

/// The sign of life is the engine's: one whose task hangs must not look as if nothing happened.
#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_gives_no_sign_of_life_and_one_that_is_still_beginning_does() {
    let stage = Stage::new();
    let mut client = stage.attach().await;
    client.first_picture().await;
    client.until(|told| *told == Told::Beat).await;
    stage.turning.abort();
    // A round that was told just before counts once more.
    let _ = timeout(BEAT * 2, client.until(|told| *told == Told::Beat)).await;
    let beat = timeout(BEAT * 6, client.until(|told| *told == Told::Beat)).await;
    assert!(beat.is_err(), "it beats on");
    stage.end().await;

    let stage = Stage::new();
    // It reads what an earlier one left, and has not begun.
    stage.turning.abort();
    let mut client = stage.attach().await;
    for _ in 0..10 {
        client.until(|told| *told == Told::Beat).await;
    }
    stage.end().await;
}

/// A console that comes back while the engine restarts must find the socket open to it, or none yet.
#[tokio::test]
async fn the_socket_is_never_seen_before_it_is_open_to_its_group() {
    let group = uzers::get_current_groupname().unwrap().into_string().unwrap();
    let stage = Stage::with(&format!("{CONFIG}\n[agent]\ngroup = \"{group}\"\n"));
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(found) = std::fs::symlink_metadata(stage.folder.path().join(SOCKET)) {
            assert_eq!(found.permissions().mode() & 0o777, 0o660);
            break;
        }
        assert!(Instant::now() < patience, "it is never made");
        tokio::task::yield_now().await;
    }
    stage.attach().await.first_picture().await;
    stage.end().await;
}
