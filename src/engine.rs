//! The engine: the one background task that owns all state, probes, tracks, keeps and tells.
//!
//! ```text
//!  schedule ──reports──►┌──────┐──events──► listeners (console, stdout)
//!  commands ───────────►│ core │──records─► store
//!            ◄──paces───└──────┘
//! ```
//!
//! Invariants: it knows no screen; it never waits for a disk, a listener or a platform; a closed recovery is on disk
//! before anyone is told of it.

mod core;
pub mod diagnose;
mod guard;
mod logins;
mod past;
mod probes;
mod reload;
#[cfg(test)]
pub(crate) mod scripted;
mod task;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;

pub use self::{
    guard::{ClockReport, SourceReport, read_once},
    task::Ended,
};
use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::{Attached, Command, Event, Person, Picture, time::Now},
    store::{Settings, Store, StoreError, StoreHealth},
};

/// Somebody who hears of everything that happens.
pub trait Listener: Send {
    /// One event, in order. Must not block.
    fn event(&mut self, event: &Arc<Event>);

    /// Everything that is known now; given at the start (twice where something of an open outage had to be taken up), and
    /// when it was wanted. Must not block.
    fn picture(&mut self, _picture: &Picture) {}

    /// The engine has begun, and its task goes round: told about once a second with everything that is known. One that
    /// hears nothing for long knows that the engine hangs. Must not block.
    fn round(&mut self, _picture: &Picture, _now: Now) {}

    /// The config that is in force from now on; given at the start, and at each reload that changed anything, before the
    /// events that follow from it. Must not block.
    ///
    /// Every reload ends with one [`Event::Config`], whether the new config is in force (`loaded`) or refused: a service that
    /// told its supervisor RELOADING says READY at either.
    fn config(&mut self, _config: &Arc<Config>) {}

    /// Whether a fresh picture is wanted. Asked after [`Remote::ask_picture`].
    fn wants_picture(&self) -> bool {
        false
    }
}

/// What an engine is started with.
pub struct Setup {
    /// What to measure.
    pub config: Arc<Config>,
    /// The clocks.
    pub clock: SharedClock,
    /// Feeds jitter and ids.
    pub seed: u64,
    /// The data folder, whose lock the caller holds.
    pub folder: PathBuf,
    /// Who hears of everything.
    pub listeners: Vec<Box<dyn Listener>>,
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What reaches the task from outside.
#[derive(Debug)]
enum Request {
    Command(Command, Person, Refusal),
    Reload,
    Notice { about: String, standing: bool, text: String },
    Attached(Attached),
    Detached(u64),
    Picture,
    Stored(Arc<crate::domain::RecoveryRecord>),
    Health(StoreHealth),
    Stop,
}

/// Hears why a command was refused. Called on the engine's own task, and so must not block.
struct Refusal(Box<dyn FnOnce(String) + Send>);

impl std::fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Refusal")
    }
}

/// Reaches a running engine from any thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote(mpsc::UnboundedSender<Request>);

impl Remote {
    /// Hands in a command of somebody who may give it; `false` when the engine is gone.
    #[must_use]
    pub fn command(&self, command: Command, who: Person) -> bool {
        self.ask(command, who, |why| tracing::warn!("{why}"))
    }

    /// Hands in a command of somebody who may give it. The engine alone knows what is open at that moment: one that makes
    /// no sense any more is not stored, and `refused` hears why, on the engine's own task, and so must not block. `false`
    /// when the engine is gone.
    #[must_use]
    pub fn ask(&self, command: Command, who: Person, refused: impl FnOnce(String) + Send + 'static) -> bool {
        self.0.send(Request::Command(command, who, Refusal(Box::new(refused)))).is_ok()
    }

    /// Tells something about warroom itself, or takes it back (`standing` false); the same words twice are told once.
    pub fn notice(&self, about: &str, standing: bool, text: String) {
        // An engine that is gone tells nobody anything.
        let _ = self.0.send(Request::Notice { about: about.to_owned(), standing, text });
    }

    /// Asks for the config to be read again, as SIGHUP does; `false` when the engine is gone.
    #[must_use]
    pub fn reload(&self) -> bool {
        self.0.send(Request::Reload).is_ok()
    }

    /// Says that a console is here.
    pub fn attached(&self, console: Attached) {
        // An engine that is gone tells nobody who is here.
        let _ = self.0.send(Request::Attached(console));
    }

    /// Says that a console has gone, by its id.
    pub fn detached(&self, id: u64) {
        let _ = self.0.send(Request::Detached(id));
    }

    /// Asks for the picture, for every listener that wants it.
    pub fn ask_picture(&self) {
        // An engine that is gone has told so by dropping its listeners.
        let _ = self.0.send(Request::Picture);
    }

    /// Asks the engine to end.
    pub fn stop(&self) {
        let _ = self.0.send(Request::Stop);
    }
}

/// Requests that wait for an engine which is not running yet.
#[derive(Debug)]
pub struct Mailbox {
    sender: mpsc::UnboundedSender<Request>,
    receiver: mpsc::UnboundedReceiver<Request>,
}

impl Default for Mailbox {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver }
    }
}

impl Mailbox {
    /// Reaches the engine that will run with this mailbox.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(self.sender.clone())
    }
}

/// Runs an engine to its end: until [`Remote::stop`], or for `length` where one is given.
///
/// Opens the store and reads the past before the first probe; must be called inside a tokio runtime with timers and I/O.
pub async fn run(setup: Setup, mailbox: Mailbox, length: Option<Duration>) -> Result<Ended, StartError> {
    let Mailbox { sender, receiver } = mailbox;
    let config = Arc::clone(&setup.config);
    let (folder, now) = (setup.folder.clone(), setup.clock.now());
    let health = sender.clone();
    let opened = tokio::task::spawn_blocking(move || open(&folder, &config, now.wall, health));
    let (store, past) = match opened.await {
        Ok(opened) => opened?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    Ok(task::Task::new(setup, sender, receiver, store).run(past, length).await)
}

fn open(
    folder: &Path,
    config: &Config,
    now: chrono::DateTime<chrono::Utc>,
    health: mpsc::UnboundedSender<Request>,
) -> Result<(Store, past::Past), StoreError> {
    let settings =
        Settings { probes: config.store.probes, rollups: config.store.rollups, ..Settings::default() };
    let tell = Box::new(move |change| {
        // Nobody is left to tell when the engine has ended.
        let _ = health.send(Request::Health(change));
    });
    let store = Store::open(folder, settings, now, tell)?;
    let mut past = past::Past::read(folder, now, config.measurement.window);
    past.notices.extend(store.warnings().iter().cloned());
    // They stand under one name, where a later one would take the place of an earlier.
    past.notices = (!past.notices.is_empty()).then(|| past.notices.join("; ")).into_iter().collect();
    Ok((store, past))
}
