//! A console's side of the socket: attaches to the engine of a data folder, and stays attached.
//!
//! ```text
//!  socket ──lines──► follow ──events, pictures, words──► FeedWriter ──► the console
//!         ◄─lines───        ◄─────commands────────────── Asker
//! ```
//!
//! Invariants: nothing here makes the console wait; after every connection, the first and each later one, nothing is
//! handed over before a whole picture; a connection that is lost is said, with its reason, and tried again until the
//! console detaches; nothing is said to a process that could be somebody else's than the engine's.

mod error;
mod follow;
mod greeting;
mod line;

use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use self::follow::Follower;
pub use self::{error::AttachError, greeting::greeting};
use super::wire::{Ask, Greeting, Welcome};
use crate::{
    clock::SharedClock,
    console::{FeedWriter, Word},
    domain::{Command, Picture},
};

/// Commands that may wait for the connection to take them.
const WAITING: usize = 64;

/// Where to attach, and as whom.
#[derive(Clone)]
pub struct Plan {
    /// The data folder in which the engine listens.
    pub folder: PathBuf,
    /// What the console says of itself.
    pub greeting: Greeting,
    /// Tells since when the engine is silent.
    pub clock: SharedClock,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Plan").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// How a connection stood at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Connected to this process.
    Here(u32),
    /// Not connected, and why.
    Away(String),
}

/// An attached console's connection. Detaches when it is dropped; the engine goes on.
#[derive(Debug)]
pub struct Client {
    /// As whom, and by which engine, the console was first welcomed.
    pub welcome: Welcome,
    /// What came with the welcome. `None` where the engine took its time: then it comes through the feed, as all later
    /// ones do.
    pub picture: Option<Box<Picture>>,
    asker: Asker,
    stop: CancellationToken,
    thread: Option<JoinHandle<Standing>>,
}

/// Hands commands to the connection; cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub struct Asker {
    asks: mpsc::Sender<Ask>,
    picture: Arc<Notify>,
    /// Only lent: when the connection's thread ends, however it does, the console is told that the feed has ended.
    feed: Weak<FeedWriter>,
}

impl Asker {
    /// Hands in a command. One that cannot be sent is answered with [`Word::Refused`]; `false` when the connection has
    /// been ended by [`Client::detach`].
    #[must_use]
    pub fn command(&self, command: Command) -> bool {
        match self.asks.try_send(Ask::Command(command)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => self
                .refuse("not sent: the engine does not take in what was asked before; try again".to_owned()),
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Answers a command that is not to be sent, with [`Word::Refused`].
    #[must_use]
    pub fn refuse(&self, words: String) -> bool {
        self.feed.upgrade().map(|feed| feed.tell(Word::Refused(words))).is_some()
    }

    /// Asks for the whole picture; it comes through the feed.
    pub fn picture(&self) {
        self.picture.notify_one();
    }
}

/// What whoever attaches waits for.
type Begun = Result<(Welcome, Option<Box<Picture>>), AttachError>;

/// Attaches to the engine of a data folder, or says why not. Waits at most two seconds for the engine's welcome, and half
/// a second for its first picture.
pub fn attach(plan: Plan, feed: FeedWriter) -> Result<Client, AttachError> {
    let (sender, asks) = mpsc::channel(WAITING);
    let feed = Arc::new(feed);
    let asker = Asker { asks: sender, picture: Arc::default(), feed: Arc::downgrade(&feed) };
    let stop = CancellationToken::new();
    let (begun, answer) = sync_channel(1);
    let (handle, stopped, folder) = (asker.clone(), stop.clone(), plan.folder.clone());
    let thread = std::thread::Builder::new()
        .name("attach".to_owned())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return not_begun(&begun, AttachError::Machine(error)),
            };
            runtime.block_on(async move {
                match line::open(&plan.folder, &plan.greeting).await {
                    Ok(line) => Follower::new(plan, feed, &handle, asks, stopped, begun).run(line).await,
                    Err(error) => not_begun(&begun, error),
                }
            })
        })
        .map_err(AttachError::Machine)?;
    // The thread can end without an answer only by a panic, which has been told.
    let (welcome, picture) = answer.recv().unwrap_or(Err(AttachError::Ended(folder)))?;
    Ok(Client { welcome, picture, asker, stop, thread: Some(thread) })
}

fn not_begun(begun: &SyncSender<Begun>, error: AttachError) -> Standing {
    let standing = Standing::Away(error.to_string());
    // Whoever attaches waits for the answer until it comes.
    let _ = begun.send(Err(error));
    standing
}

impl Client {
    /// Where commands are handed in.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Sends what was asked for last, ends the connection, and says how it stood.
    #[must_use]
    pub fn detach(mut self) -> Standing {
        self.end().unwrap_or_else(|| Standing::Away("the connection's thread panicked".to_owned()))
    }

    fn end(&mut self) -> Option<Standing> {
        self.stop.cancel();
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Detached already, unless an error cut the console off.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests;
