//! The service manager: what systemd is told of the agent through `$NOTIFY_SOCKET`, as `sd_notify(3)` describes it.
//!
//! Invariants: nothing here waits for the manager; that it goes well is told from the engine's own round alone, so that an
//! engine that hangs is restarted, whatever else in the process still runs.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sd_notify::NotifyState;

use crate::{
    cli::status,
    clock::SharedClock,
    domain::{Command, Event, Moment, Picture, time::Now},
    engine::Listener,
    expression::clean,
    store::{LockError, StatusFile},
};

/// Where the manager listens: a path, or `@` and the name of an abstract socket.
const SOCKET: &str = "NOTIFY_SOCKET";
/// How long there is at least between two looks at how things stand.
const STATUS_EVERY: Duration = Duration::from_secs(2);
/// How long at most, as time alone makes an outage worse.
const STATUS_AT_LEAST: Duration = Duration::from_secs(10);
/// The longest status, in characters.
const LONGEST: usize = 600;
/// How often, and by how much, the end asks for more time.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
const EXTEND_BY_MICROS: u32 = 15_000_000;
/// How often at most: a disk that takes nothing for two minutes is the manager's to judge.
const EXTENSIONS: u32 = 24;

/// The service manager that started this process.
#[derive(Debug)]
pub(super) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    clock: SharedClock,
    /// How long it waits for a sign of life; `None` when it wants none.
    watchdog: Option<Duration>,
    /// That it cannot be reached was told.
    complained: AtomicBool,
}

impl Manager {
    /// The manager that the environment names; `None` where none does. One that cannot be reached is told in the log.
    pub(super) fn from_environment(clock: &SharedClock) -> Option<Self> {
        let named = std::env::var_os(SOCKET).filter(|named| !named.is_empty())?;
        match Self::at(&named, sd_notify::watchdog_enabled(), clock) {
            Ok(manager) => Some(manager),
            Err(error) => {
                let named = clean(&named.to_string_lossy(), 200);
                tracing::warn!(%error, "the service manager at ${SOCKET} ({named}) cannot be told how the agent is");
                None
            }
        }
    }

    fn at(named: &OsStr, watchdog: Option<Duration>, clock: &SharedClock) -> io::Result<Self> {
        let address = match named.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(named)?,
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "it is no Unix socket")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, clock: Arc::clone(clock), watchdog, complained: AtomicBool::new(false) })
    }

    /// Says something, all in one message; whether it was taken.
    fn tell(&self, states: &[NotifyState<'_>]) -> bool {
        let mut message = String::new();
        for state in states {
            // Writing to a string cannot fail.
            let _ = writeln!(message, "{state}");
        }
        match self.socket.send_to_addr(message.as_bytes(), &self.address) {
            Ok(_) => true,
            Err(error) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the service manager does not take what it is told");
                }
                false
            }
        }
    }

    /// The config is about to be read again; [`Keeper`] says when that is done.
    pub(super) fn reloading(&self) {
        // The manager holds it against its own signal by CLOCK_MONOTONIC.
        let micros = self.clock.awake().as_nanos().div_euclid(1000);
        self.tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(micros.into())]);
    }

    /// Another engine holds the data folder, and is waited for.
    fn waiting(&self, held: &LockError) {
        let status = clean(&format!("waiting for the data folder: {held}"), LONGEST);
        self.tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(EXTEND_BY_MICROS)]);
    }

    /// The agent ends.
    pub(super) fn ending(&self) {
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("ending: what was measured goes to the disk"),
        ]);
    }

    /// Asks for more time, again and again, while recoveries may still be on their way to the disk.
    pub(super) async fn extend(self: Arc<Self>) {
        for _ in 0..EXTENSIONS {
            tokio::time::sleep(EXTEND_EVERY).await;
            self.tell(&[NotifyState::ExtendTimeoutUsec(EXTEND_BY_MICROS)]);
        }
    }
}

/// Whether a data folder that another engine holds is waited for, and for how long. A service waits until that one ends,
/// whoever started it: measuring goes on without a person who starts the service again. Whoever sees the words of the refusal
/// waits for nothing.
pub(super) fn patience(manager: Option<&Manager>) -> impl FnMut(&LockError) -> bool {
    let mut is_told = false;
    move |held| {
        let Some(manager) = manager else { return false };
        if !is_told {
            tracing::warn!("{held}. The agent waits until that engine ends");
            is_told = true;
        }
        manager.waiting(held);
        true
    }
}

/// Tells the manager what becomes of the engine.
#[derive(Debug)]
pub(super) struct Keeper {
    manager: Arc<Manager>,
    /// The manager knows that the agent is ready.
    is_ready: bool,
    /// When it was last told that the engine lives.
    alive_at: Option<Moment>,
    /// When the status was last looked at.
    looked_at: Option<Moment>,
    /// Something happened since that it could speak of.
    changed: bool,
    status: String,
}

impl Keeper {
    pub(super) fn new(manager: Arc<Manager>) -> Self {
        Self {
            manager,
            is_ready: false,
            alive_at: None,
            looked_at: None,
            changed: true,
            status: String::new(),
        }
    }

    fn tell_ready(&mut self) {
        self.is_ready = self.manager.tell(&[NotifyState::Ready]);
    }

    fn tell_alive(&mut self, now: Moment) {
        let Some(patience) = self.manager.watchdog else { return };
        // Twice within the time, as sd_watchdog_enabled(3) recommends.
        if is_due(self.alive_at, patience / 2, now) && self.manager.tell(&[NotifyState::Watchdog]) {
            self.alive_at = Some(now);
        }
    }

    fn tell_status(&mut self, picture: &Picture, now: Now) {
        let every = if self.changed { STATUS_EVERY } else { STATUS_AT_LEAST };
        if !is_due(self.looked_at, every, now.moment) {
            return;
        }
        (self.changed, self.looked_at) = (false, Some(now.moment));
        let status = clean(&status::words(&StatusFile::of(picture, now.wall, std::process::id())), LONGEST);
        if status != self.status && self.manager.tell(&[NotifyState::Status(&status)]) {
            self.status = status;
        }
    }
}

/// Whether so much time has passed since then, by rounds that come about once a second.
fn is_due(last: Option<Moment>, every: Duration, now: Moment) -> bool {
    const ROUND: Duration = Duration::from_secs(1);
    last.is_none_or(|last| now.since(last) + ROUND > every)
}

impl Listener for Keeper {
    fn event(&mut self, event: &Arc<Event>) {
        match &**event {
            Event::Probe(_) => {}
            Event::Act(act) if act.act == Command::Reload => self.manager.reloading(),
            // In force or refused: the reload is over.
            Event::Config(_) if self.is_ready => {
                self.changed = true;
                self.tell_ready();
            }
            _ => self.changed = true,
        }
    }

    fn round(&mut self, picture: &Picture, now: Now) {
        if !self.is_ready {
            self.tell_ready();
        }
        self.tell_alive(now.moment);
        self.tell_status(picture, now);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use chrono::DateTime;

    use super::*;
    use crate::{clock::SystemClock, domain::event::ConfigEvent};

    /// A manager of the test's own, and a keeper that tells it.
    fn listened(watchdog: Option<Duration>) -> (tempfile::TempDir, UnixDatagram, Keeper) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let manager = Manager::at(path.as_os_str(), watchdog, &clock).unwrap();
        (folder, heard, Keeper::new(Arc::new(manager)))
    }

    fn all(heard: &UnixDatagram) -> String {
        let mut all = String::new();
        let mut message = [0; 4096];
        while let Ok(length) = heard.recv(&mut message) {
            all += std::str::from_utf8(&message[..length]).unwrap();
        }
        all
    }

    fn picture() -> Picture {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        Picture::new(Arc::clone(&crate::sim::demo(address).unwrap().roster))
    }

    fn at(seconds: i64) -> Now {
        Now { moment: Moment::from_millis(seconds * 1000), wall: DateTime::UNIX_EPOCH }
    }

    fn refused() -> Arc<Event> {
        let (at, who, words) = (DateTime::UNIX_EPOCH, None, Vec::new());
        Arc::new(Event::Config(ConfigEvent { at, who, loaded: false, words }))
    }

    /// An engine that hangs goes round no more, and events of whoever else speaks are no sign of its life.
    #[test]
    fn only_the_engines_round_is_a_sign_of_life() {
        let (_folder, heard, mut keeper) = listened(Some(Duration::from_secs(30)));
        let picture = picture();
        keeper.event(&refused());
        assert_eq!(all(&heard), "", "it is not ready before the first round");
        keeper.round(&picture, at(0));
        let first = all(&heard);
        assert!(first.starts_with("READY=1\nWATCHDOG=1\nSTATUS="), "{first}");
        for _ in 0..100 {
            keeper.event(&refused());
        }
        assert!(!all(&heard).contains("WATCHDOG"));
        for second in 1..=60 {
            keeper.round(&picture, at(second));
        }
        let signs = all(&heard).matches("WATCHDOG=1").count();
        assert!((4..=5).contains(&signs), "twice in thirty seconds, and no more: {signs}");
    }

    #[test]
    fn without_a_watchdog_none_is_fed_and_a_status_is_told_once() {
        let (_folder, heard, mut keeper) = listened(None);
        let picture = picture();
        for second in 0..60 {
            keeper.round(&picture, at(second));
        }
        let all = all(&heard);
        assert!(!all.contains("WATCHDOG"), "{all}");
        assert_eq!((all.matches("READY=1").count(), all.matches("STATUS=").count()), (1, 1), "{all}");
    }

    /// A component's name is text from a config: it must not speak to the manager.
    #[test]
    fn a_status_is_one_line() {
        let (_folder, heard, mut keeper) = listened(None);
        let mut picture = picture();
        let notice = crate::domain::event::NoticeEvent {
            at: DateTime::UNIX_EPOCH,
            about: "x".to_owned(),
            standing: true,
            text: "bad\nSTOPPING=1\nx\x1b[2J".to_owned(),
        };
        picture.apply(&Arc::new(Event::Notice(notice)));
        keeper.round(&picture, at(0));
        let all = all(&heard);
        assert!(all.contains("bad STOPPING=1 x·[2J"), "{all}");
        assert!(!all.lines().any(|line| line == "STOPPING=1"), "{all}");
    }

    /// A manager whose queue is full must not lose the one word that everything waits for.
    #[test]
    fn ready_is_told_again_until_it_is_taken() {
        let (folder, heard, mut keeper) = listened(None);
        let path = folder.path().join("notify");
        drop(heard);
        keeper.round(&picture(), at(0));
        std::fs::remove_file(&path).unwrap();
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        keeper.round(&picture(), at(1));
        assert!(all(&heard).contains("READY=1"));
    }

    #[test]
    fn an_abstract_socket_is_found_and_anything_else_is_refused() {
        let name = format!("warroom-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let heard = UnixDatagram::bind_addr(&address).unwrap();
        heard.set_nonblocking(true).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let manager = Manager::at(OsStr::new(&format!("@{name}")), None, &clock).unwrap();
        manager.ending();
        assert!(all(&heard).starts_with("STOPPING=1\n"));
        assert!(Manager::at(OsStr::new("vsock:2:9999"), None, &clock).is_err());
    }
}
