//! One console's connection: its greeting, what it asks, what is written to it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc::UnboundedSender, oneshot},
    time::timeout,
};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::{
    ear::Line,
    limits::{Bucket, Seat},
    outbox::{Next, Outbox},
};
use crate::{
    attach::{
        access::Credentials,
        peer::{self, Process},
        wire::{Ask, BEAT, Greeting, LONGEST_ASK, PROTOCOL, Told, Welcome},
    },
    domain::{Attached, Command, Person, Role},
    expression::clean,
};

/// How long a console may take to greet, and to take its welcome.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a console that is sent away may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long one that only asks how everything stands may stay.
const GLANCE: Duration = Duration::from_mins(1);
/// How many commands one console may give at once, and how often another one: every act is stored.
const COMMANDS: (u32, Duration) = (20, Duration::from_millis(50));
/// How much of what a console says of itself is kept, in characters.
const NAME: usize = 64;
/// How much of a version that we do not know is repeated, in characters.
const VERSION: usize = 24;

type Lines = FramedRead<OwnedReadHalf, LinesCodec>;

/// What a connection tells the hub.
#[derive(Debug)]
pub(super) enum Message {
    /// A console has greeted and is known.
    Join(Box<Join>),
    /// It wants to act.
    Ask(u64, Command),
    /// It wants a whole picture.
    Picture(u64),
    /// It is gone.
    Left(u64),
}

/// A console that wants to be let in.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) who: Person,
    pub(super) credentials: Credentials,
    pub(super) wants: Role,
    /// It only asks how everything stands.
    pub(super) glance: bool,
    pub(super) terminal: Option<String>,
    pub(super) from: Option<String>,
    pub(super) outbox: Arc<Outbox>,
    /// As whom it is let in, or why not.
    pub(super) answer: oneshot::Sender<Result<Attached, String>>,
}

/// What of a greeting every version can read.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
    version: String,
}

/// Tells the hub that a console is gone, however that came about.
struct Leaving {
    id: u64,
    hub: UnboundedSender<Message>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // A hub that has ended knows of no console any more.
        let _ = self.hub.send(Message::Left(self.id));
    }
}

/// Serves one connection to its end.
pub(super) async fn attend(
    stream: UnixStream,
    seat: Result<Seat, String>,
    hub: UnboundedSender<Message>,
    line: Arc<Line>,
) {
    let peer = stream.peer_cred();
    // Later its number could be another process's.
    let process = peer.as_ref().ok().and_then(Process::of);
    let (read, mut write) = stream.into_split();
    let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(LONGEST_ASK));
    let Ok(first) = timeout(PATIENCE, lines.next()).await else {
        tracing::debug!("a console did not greet");
        return;
    };
    let greeting = match greeting(first) {
        Ok(Some(greeting)) => greeting,
        Ok(None) => return,
        Err(why) => return refuse(&mut write, why).await,
    };
    let (peer, _seat) = match (peer, seat) {
        (Ok(peer), Ok(seat)) => (peer, seat),
        (Err(error), _) => {
            return refuse(&mut write, format!("the kernel does not say whose console this is: {error}"))
                .await;
        }
        (_, Err(why)) => return refuse(&mut write, why).await,
    };
    let (who, credentials) = peer::identify(peer.uid(), peer.gid(), process, greeting.behind).await;
    let outbox = Arc::new(Outbox::default());
    let (answer, answered) = oneshot::channel();
    let join = Join {
        who,
        credentials,
        wants: greeting.wants,
        glance: greeting.glance,
        terminal: said(greeting.terminal),
        from: said(greeting.from),
        outbox: Arc::clone(&outbox),
        answer,
    };
    if hub.send(Message::Join(Box::new(join))).is_err() {
        return;
    }
    let you = match answered.await {
        Ok(Ok(you)) => you,
        Ok(Err(why)) => return refuse(&mut write, why).await,
        // The engine ends; whoever knocks meanwhile finds no socket the next time.
        Err(_) => return,
    };
    let leaving = Leaving { id: you.id, hub };
    if welcome(&mut write, None, Some(you)).await {
        let talk = converse(&mut lines, &mut write, &outbox, &leaving, &line);
        if greeting.glance {
            // Nobody watches unseen.
            let _ = timeout(GLANCE, talk).await;
        } else {
            talk.await;
        }
    }
}

/// Reads and writes until either is over.
async fn converse(
    lines: &mut Lines,
    write: &mut OwnedWriteHalf,
    outbox: &Outbox,
    leaving: &Leaving,
    line: &Line,
) {
    let mut writing = std::pin::pin!(write_out(write, outbox, leaving, line));
    let mut listening = std::pin::pin!(listen(lines, outbox, leaving));
    let ended = tokio::select! {
        () = &mut writing => {
            // It reads no more; what it asked for last lies in the socket still.
            if !outbox.is_closed() {
                let _ = timeout(LAST_WORDS, listening).await;
            }
            return;
        }
        ended = &mut listening => ended,
        () = outbox.closed() => Ok(()),
    };
    if let Err(why) = ended {
        outbox.word(told(&Told::Refused(why)));
        outbox.close();
    }
    // One that has closed needs no more words; one that does not even read why it is sent away goes without knowing.
    if outbox.is_closed() {
        let _ = timeout(LAST_WORDS, writing).await;
    }
}

/// Hands on what the console asks, until it closes or says what makes no sense.
async fn listen(lines: &mut Lines, outbox: &Outbox, leaving: &Leaving) -> Result<(), String> {
    let mut bucket = Bucket::new(COMMANDS.0, COMMANDS.1);
    while let Some(line) = lines.next().await {
        let line = match line {
            Ok(line) => line,
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                return Err(format!(
                    "a line of more than {LONGEST_ASK} bytes is no command; the connection is closed"
                ));
            }
            // Its connection was cut.
            Err(LinesCodecError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
                return Ok(());
            }
            Err(LinesCodecError::Io(_)) => return Err(garbage()),
        };
        let Ok(ask) = serde_json::from_str::<Ask>(&line) else { return Err(garbage()) };
        if !bucket.take() {
            outbox.word(told(&Told::Refused(
                "too many commands at once from this console; wait a moment and give it again".to_owned(),
            )));
            // Whoever does not wait is read more slowly.
            tokio::time::sleep(COMMANDS.1).await;
            continue;
        }
        let message = match ask {
            Ask::Command(command) => Message::Ask(leaving.id, command),
            Ask::Picture => Message::Picture(leaving.id),
        };
        if leaving.hub.send(message).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn garbage() -> String {
    "a line from this console makes no sense to the engine; the connection is closed".to_owned()
}

/// Writes what waits, and when nothing does the engine's sign of life: this task would live on while the engine's hangs.
async fn write_out(write: &mut OwnedWriteHalf, outbox: &Outbox, leaving: &Leaving, line: &Line) {
    let beat = told(&Told::Beat);
    loop {
        let rounds = line.rounds();
        let lines = match timeout(BEAT, outbox.next()).await {
            Ok(Next::Lines(lines)) => lines,
            Ok(Next::WantsPicture) => {
                if leaving.hub.send(Message::Picture(leaving.id)).is_err() {
                    return;
                }
                continue;
            }
            Ok(Next::Closed) => return,
            // One that has not begun yet reads what an earlier one left, which can take long.
            Err(_) if rounds == 0 || line.rounds() != rounds => beat.clone(),
            Err(_) => continue,
        };
        if write.write_all(&lines).await.is_err() {
            return;
        }
    }
}

/// Reads the first line; `None` where there is none.
fn greeting(first: Option<Result<String, LinesCodecError>>) -> Result<Option<Greeting>, String> {
    let no_greeting = || "that is no greeting of a warroom console".to_owned();
    let line = match first {
        None => return Ok(None),
        Some(line) => line.map_err(|_| no_greeting())?,
    };
    let Version { protocol, version } = serde_json::from_str(&line).map_err(|_| no_greeting())?;
    if protocol != PROTOCOL {
        let (version, own) = (clean(&version, VERSION), env!("CARGO_PKG_VERSION"));
        let update = if protocol < PROTOCOL {
            "update warroom on the console's side"
        } else {
            "update the agent and restart it"
        };
        return Err(format!(
            "the console is warroom {version} and speaks protocol {protocol}, the engine is warroom {own} and speaks \
             protocol {PROTOCOL}: {update}"
        ));
    }
    serde_json::from_str(&line).map(Some).map_err(|_| no_greeting())
}

/// What a console says of itself, made harmless.
fn said(text: Option<String>) -> Option<String> {
    text.map(|text| clean(text.trim(), NAME)).filter(|text| !text.is_empty())
}

async fn refuse(write: &mut OwnedWriteHalf, why: String) {
    tracing::info!(why, "a console was refused");
    welcome(write, Some(why), None).await;
}

/// Answers the greeting; says whether the console took it.
async fn welcome(write: &mut OwnedWriteHalf, refused: Option<String>, you: Option<Attached>) -> bool {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let line = line(&Welcome { protocol: PROTOCOL, version, pid: std::process::id(), refused, you });
    timeout(PATIENCE, write.write_all(&line)).await.is_ok_and(|written| written.is_ok())
}

/// One line of what the engine tells.
pub(super) fn told(told: &Told) -> Bytes {
    line(told)
}

fn line(value: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(256);
    write_line(&mut text, value);
    text.into()
}

/// Appends one line.
pub(super) fn write_line(text: &mut Vec<u8>, value: &impl Serialize) {
    let before = text.len();
    match serde_json::to_writer(&mut *text, value) {
        Ok(()) => text.push(b'\n'),
        Err(error) => {
            // Half a line would spoil the next one.
            text.truncate(before);
            tracing::error!(%error, "what is told to consoles cannot be written as JSON");
        }
    }
}
