#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::Arc,
    time::Duration,
};

use chrono::DateTime;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{
    attach::wire::{LONGEST_TOLD, PROTOCOL, SOCKET, Told},
    clock::SystemClock,
    console::{
        FeedReader,
        feed::{self, Item},
    },
    domain::{
        Attached, Environment, Event, Person, Role, Roster,
        event::{BlipEvent, GapEvent},
    },
};

const PATIENCE: Duration = Duration::from_secs(30);
/// How many commands are given just before the end.
const LAST: usize = 60;

fn picture(tenant: &str) -> Picture {
    Picture::new(Arc::new(Roster {
        tenant: tenant.to_owned(),
        environment: Environment::Sandbox,
        demo: false,
        window: Duration::from_secs(1),
        platforms: Vec::new(),
        components: Vec::new(),
    }))
}

fn blip() -> Told {
    Told::Event(Arc::new(Event::Blip(BlipEvent {
        at: DateTime::UNIX_EPOCH,
        component_id: "a".into(),
        reason: None,
    })))
}

fn welcome(protocol: u32) -> Welcome {
    let who = Person { uid: 1, login: "alice".to_owned(), behind: None };
    let you = Attached {
        id: 7,
        who,
        role: Role::Operate,
        since: DateTime::UNIX_EPOCH,
        terminal: None,
        from: None,
        is_host: false,
    };
    Welcome { protocol, version: "0.1.0".to_owned(), pid: 4711, refused: None, you: Some(you) }
}

fn plan(folder: &std::path::Path, wants: Role) -> Plan {
    Plan { folder: folder.to_path_buf(), greeting: greeting(wants), clock: Arc::new(SystemClock) }
}

/// An engine's side of one connection, driven line by line.
struct Fake {
    reader: BufReader<UnixStream>,
    greeting: Greeting,
}

impl Fake {
    /// Waits for a console, and hears its greeting.
    fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        Self { greeting: serde_json::from_str(&line).unwrap(), reader }
    }

    fn say(&mut self, value: &impl serde::Serialize) {
        self.raw(&(serde_json::to_string(value).unwrap() + "\n"));
    }

    fn raw(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next thing that is asked; `None` when the console has gone.
    fn asked(&mut self) -> Option<Ask> {
        let mut line = String::new();
        match self.reader.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(serde_json::from_str(&line).unwrap()),
        }
    }
}

/// Runs an engine's side beside an attach.
fn attached(
    wants: Role,
    engine: impl FnOnce(UnixListener) + Send + 'static,
) -> (Result<Client, AttachError>, FeedReader, tempfile::TempDir, JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
    let engine = std::thread::spawn(move || engine(listener));
    let (writer, reader) = feed::feed(64);
    (attach(plan(folder.path(), wants), writer), reader, folder, engine)
}

/// Waits until something has come through the feed; gives everything that came.
fn until(reader: &FeedReader, what: &str, holds: impl Fn(&Item) -> bool) -> Vec<Item> {
    let begun = std::time::Instant::now();
    let mut all = Vec::new();
    loop {
        all.extend(reader.drain().items);
        if all.iter().any(&holds) {
            return all;
        }
        assert!(begun.elapsed() < PATIENCE, "no {what}: {all:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn lost(item: &Item) -> Option<&str> {
    match item {
        Item::Word(Word::Lost(reason)) => Some(reason),
        _ => None,
    }
}

#[test]
fn a_console_gets_the_picture_then_events_and_its_commands_arrive() {
    let (client, reader, _folder, engine) = attached(Role::Operate, |listener| {
        let mut fake = Fake::accept(&listener);
        assert_eq!((fake.greeting.protocol, fake.greeting.wants), (PROTOCOL, Role::Operate));
        fake.say(&welcome(PROTOCOL));
        // What happened before the picture is in the picture.
        fake.say(&blip());
        fake.say(&Told::Picture(Box::new(picture("first"))));
        fake.say(&blip());
        fake.say(&Told::Refused("no\x1b[2J".to_owned()));
        assert_eq!(fake.asked(), Some(Ask::Picture));
        fake.say(&Told::Picture(Box::new(picture("second"))));
        for _ in 0..LAST {
            assert_eq!(fake.asked(), Some(Ask::Command(Command::Reload)));
        }
        assert_eq!(fake.asked(), None, "the console has detached");
    });
    let client = client.unwrap();
    assert_eq!(client.picture.as_ref().unwrap().roster.tenant, "first");
    let items = until(&reader, "refusal", |item| matches!(item, Item::Word(Word::Refused(_))));
    let [Item::Word(Word::You(you)), Item::Event(_), Item::Word(Word::Refused(words))] = items.as_slice()
    else {
        panic!("{items:?}");
    };
    assert_eq!((you.id, words.as_str()), (7, "no·[2J"));
    client.asker().picture();
    let items = until(&reader, "picture", |item| matches!(item, Item::Picture(_)));
    assert!(
        matches!(items.as_slice(), [Item::Picture(picture)] if picture.roster.tenant == "second"),
        "{items:?}"
    );
    // Asked for and left at once: all of it must still arrive.
    for _ in 0..LAST {
        assert!(client.asker().command(Command::Reload));
    }
    assert_eq!(client.detach(), Standing::Here(4711));
    engine.join().unwrap();
}

#[test]
fn who_only_wants_to_look_is_never_taken_for_more() {
    let (client, reader, _folder, engine) = attached(Role::Watch, |listener| {
        let mut fake = Fake::accept(&listener);
        assert_eq!(fake.greeting.wants, Role::Watch);
        fake.say(&welcome(PROTOCOL));
        fake.say(&Told::Picture(Box::new(picture("t"))));
        assert_eq!(fake.asked(), None);
    });
    let client = client.unwrap();
    let items = until(&reader, "role", |item| matches!(item, Item::Word(Word::You(_))));
    assert!(matches!(&items[0], Item::Word(Word::You(you)) if you.role == Role::Watch), "{items:?}");
    drop(client);
    engine.join().unwrap();
}

#[test]
fn an_engine_that_comes_back_is_followed_again_with_a_fresh_picture() {
    let (client, reader, folder, engine) = attached(Role::Operate, |listener| {
        let mut fake = Fake::accept(&listener);
        fake.say(&welcome(PROTOCOL));
        fake.say(&Told::Picture(Box::new(picture("before"))));
        fake.say(&blip());
        // Killed in the middle of a line, which then is none.
        fake.raw("{\"event\":{\"ev");
    });
    let client = client.unwrap();
    engine.join().unwrap();
    let items = until(&reader, "loss", |item| lost(item).is_some());
    let words: Vec<&str> = items.iter().filter_map(lost).collect();
    assert_eq!(words, ["the engine (process 4711) has ended without a word"]);
    assert!(client.asker().command(Command::Reload));
    until(&reader, "refusal", |item| matches!(item, Item::Word(Word::Refused(_))));
    let socket = folder.path().join(SOCKET);
    std::fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let mut fake = Fake::accept(&listener);
    fake.say(&Welcome { pid: 4712, ..welcome(PROTOCOL) });
    fake.say(&blip());
    fake.say(&Told::Picture(Box::new(picture("after"))));
    let items = until(&reader, "picture", |item| matches!(item, Item::Picture(_)));
    assert!(items.iter().all(|item| !matches!(item, Item::Event(_)) && lost(item).is_none()), "{items:?}");
    let gap = GapEvent {
        at: DateTime::UNIX_EPOCH,
        from: DateTime::UNIX_EPOCH,
        until: DateTime::UNIX_EPOCH,
        reason: String::new(),
    };
    fake.say(&Told::Event(Arc::new(Event::Gap(gap))));
    until(&reader, "event", |item| matches!(item, Item::Event(event) if matches!(**event, Event::Gap(_))));
    fake.say(&Told::Bye("upgraded".to_owned()));
    until(&reader, "farewell", |item| lost(item) == Some("upgraded"));
    assert_eq!(client.detach(), Standing::Away("upgraded".to_owned()));
}

#[test]
fn another_version_is_named_at_the_start_and_later() {
    for (protocol, word) in [(PROTOCOL + 1, "newer"), (0, "older")] {
        let (client, _reader, _folder, engine) = attached(Role::Operate, move |listener| {
            let mut fake = Fake::accept(&listener);
            let refused = Some("another version".to_owned());
            fake.say(&Welcome { refused, you: None, ..welcome(protocol) });
        });
        let words = client.unwrap_err().to_string();
        assert!(words.contains(word) && words.contains("update"), "{words}");
        engine.join().unwrap();
    }
    // The agent is replaced by another version's while a console is attached.
    let (client, reader, _folder, engine) = attached(Role::Operate, |listener| {
        let mut fake = Fake::accept(&listener);
        fake.say(&welcome(PROTOCOL));
        fake.say(&Told::Picture(Box::new(picture("t"))));
        drop(fake);
        Fake::accept(&listener).say(&welcome(PROTOCOL + 1));
    });
    let client = client.unwrap();
    until(&reader, "loss", |item| lost(item).is_some_and(|words| words.contains("newer")));
    engine.join().unwrap();
    drop(client);
}

#[test]
fn a_refusal_and_what_is_no_engine_are_told() {
    let (client, _reader, _folder, engine) = attached(Role::Operate, |listener| {
        let mut fake = Fake::accept(&listener);
        fake.say(&Welcome { refused: Some("too many\x07".to_owned()), you: None, ..welcome(PROTOCOL) });
    });
    let words = client.unwrap_err().to_string();
    assert!(words.contains("refuses this console: too many·"), "{words}");
    engine.join().unwrap();
    let (client, _reader, _folder, engine) =
        attached(Role::Operate, |listener| Fake::accept(&listener).raw("SSH-2.0-OpenSSH\n"));
    let error = client.unwrap_err();
    assert!(matches!(error, AttachError::Garbled { .. }), "{error}");
    engine.join().unwrap();
}

#[test]
fn a_picture_that_cannot_be_read_is_said() {
    let (client, reader, _folder, engine) = attached(Role::Operate, |listener| {
        let mut fake = Fake::accept(&listener);
        fake.say(&welcome(PROTOCOL));
        fake.raw("{\"picture\":{\"roster\":3}}\n");
        assert_eq!(fake.asked(), None);
    });
    let client = client.unwrap();
    assert_eq!(client.picture, None);
    until(&reader, "loss", |item| lost(item).is_some_and(|words| words.contains("does not speak")));
    drop(client);
    engine.join().unwrap();
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_engine() {
    let folder = tempfile::tempdir().unwrap();
    let refused = || attach(plan(folder.path(), Role::Operate), feed::feed(1).0).unwrap_err();
    assert!(matches!(refused(), AttachError::Absent(_)), "no socket");
    drop(UnixListener::bind(folder.path().join(SOCKET)).unwrap());
    assert!(matches!(refused(), AttachError::Absent(_)), "one that a killed engine left");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_answer_is_not_waited_for() {
    let (ours, _theirs) = tokio::io::duplex(1024);
    let begun = tokio::time::Instant::now();
    let error =
        line::greet(ours, std::path::Path::new("/data"), &greeting(Role::Operate)).await.err().unwrap();
    assert!(matches!(error, AttachError::Silent(_)), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn no_line_is_longer_than_it_may_be() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let flood = async move { while theirs.write_all(&[b'x'; 1024]).await.is_ok() {} };
    let folder = std::path::Path::new("/data");
    let asked = greeting(Role::Operate);
    let (error, ()) = tokio::join!(line::greet(ours, folder, &asked), flood);
    let words = error.err().unwrap().to_string();
    assert!(words.contains("too long"), "{words}");
    const { assert!(LONGEST_TOLD > 1024 * 1024, "a picture fits") };
}

/// The hung engine keeps its connection; it is said, and when it goes on it is heard at once, with a fresh picture.
#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_is_said_and_heard_again() {
    let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
    let (writer, reader) = feed::feed(64);
    let (sender, asks) = mpsc::channel(WAITING);
    let feed = Arc::new(writer);
    let asker = Asker { asks: sender, picture: Arc::default(), feed: Arc::downgrade(&feed) };
    let stop = CancellationToken::new();
    let text = |value: &Told| serde_json::to_string(value).unwrap() + "\n";
    let said = serde_json::to_string(&welcome(PROTOCOL)).unwrap() + "\n";
    theirs.write_all(said.as_bytes()).await.unwrap();
    let plan = plan(std::path::Path::new("/nowhere/data"), Role::Operate);
    let line = line::greet(ours, &plan.folder, &plan.greeting).await.ok().unwrap();
    let (begun, answer) = sync_channel(1);
    let follower = Follower::new(plan, feed, &asker, asks, stop.clone(), begun);
    let following = tokio::spawn(follower.run(line));
    let mut theirs = tokio::io::BufReader::new(theirs);
    theirs.write_all(text(&Told::Picture(Box::new(picture("before")))).as_bytes()).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(14)).await;
        theirs.write_all(text(&Told::Beat).as_bytes()).await.unwrap();
    }
    assert!(answer.try_recv().unwrap().unwrap().1.is_some());
    assert!(!reader.drain().items.iter().any(|item| lost(item).is_some()), "a beat is enough");
    tokio::time::sleep(Duration::from_secs(16)).await;
    let items = reader.drain().items;
    assert!(lost(items.last().unwrap()).unwrap().contains("does not answer since"), "{items:?}");
    theirs.write_all(text(&blip()).as_bytes()).await.unwrap();
    let mut asked = String::new();
    theirs.read_line(&mut asked).await.unwrap();
    asked.clear();
    theirs.read_line(&mut asked).await.unwrap();
    assert_eq!(serde_json::from_str::<Ask>(&asked).unwrap(), Ask::Picture);
    assert!(reader.drain().items.is_empty(), "an event of before the new picture");
    theirs.write_all(text(&Told::Picture(Box::new(picture("after")))).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(reader.drain().items.as_slice(), [Item::Picture(_)]));
    // For ever silent: given up.
    tokio::time::sleep(Duration::from_secs(76)).await;
    assert_eq!(theirs.read_line(&mut asked).await.unwrap(), 0, "the line is closed");
    stop.cancel();
    let Standing::Away(reason) = following.await.unwrap() else { panic!("still here") };
    assert!(reason.contains("does not answer"), "{reason}");
}
