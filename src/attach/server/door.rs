//! The socket as the server looks after it: made, opened to the group that the config names, made again when it is gone.
//!
//! Invariants: whatever is wrong with it keeps nobody from measuring; a notice says what, and what to do. It lies in its place
//! only with its final mode, unless that cannot be found out.

use std::{io, path::PathBuf, time::Duration};

use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinError, JoinHandle},
    time::{Instant, error::Elapsed, sleep_until, timeout},
};

use crate::{attach::socket::Bound, engine::Remote};

/// What the notices are about.
const SOCKET: &str = "attach socket";
const GROUP: &str = "attach group";
/// How long the machine's user database has to say which number a group has.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nobody is let in after letting in failed, for want of file numbers for one.
const REST: Duration = Duration::from_millis(100);

type Found = Result<Result<Option<u32>, JoinError>, Elapsed>;

pub(super) struct Door {
    folder: PathBuf,
    remote: Remote,
    bound: Option<(Bound, std::os::unix::net::UnixListener)>,
    listener: Option<UnixListener>,
    /// The group that the config names.
    group: Option<String>,
    /// Which number that is, while it is being found out.
    asked: Option<JoinHandle<Found>>,
    /// Whether the group cannot be let in yet.
    unsettled: bool,
    /// Until when nobody is let in.
    rests: Option<Instant>,
    /// The number of the group that the socket is open to.
    open_to: Option<u32>,
    /// What the user database said last, of which group.
    known: Option<(String, u32)>,
}

impl Door {
    /// Makes the socket, where it is for oneself alone. One for a group is made by [`Door::begin`], once that group's number
    /// is known: none of its members ever finds a socket that is closed to them.
    pub(super) fn make(folder: PathBuf, remote: Remote, group: Option<String>) -> Self {
        let mut door = Self {
            folder,
            remote,
            bound: None,
            listener: None,
            group,
            asked: None,
            unsettled: false,
            rests: None,
            open_to: None,
            known: None,
        };
        if door.group.is_none() {
            door.settle(None);
        }
        door
    }

    /// Begins to find out the group's number; must be called inside the server's runtime.
    pub(super) fn begin(&mut self) {
        if self.group.is_some() {
            self.ask();
        }
    }

    /// The number of the config's group, once the socket is open to its members.
    pub(super) fn open_to_group(&self) -> Option<u32> {
        self.open_to
    }

    fn bind(&mut self, group: Option<u32>) -> io::Result<()> {
        // The old one must be gone before the new one takes its name.
        (self.bound, self.listener) = (None, None);
        self.bound = Some(Bound::make(&self.folder, group)?);
        self.remote.notice(SOCKET, false, String::new());
        Ok(())
    }

    /// Opens the socket to a group, or to oneself alone; makes it where it does not lie in its place.
    fn open(&mut self, group: Option<u32>) -> io::Result<()> {
        self.open_to = None;
        match &self.bound {
            Some((bound, _)) if bound.is_in_place() => bound.open_to(group)?,
            _ => self.bind(group)?,
        }
        self.open_to = group;
        Ok(())
    }

    fn trouble(&self, error: &io::Error) {
        tracing::warn!(%error, "the socket for consoles cannot be made");
        let text = format!(
            "consoles of other processes cannot attach: the socket in {} cannot be made ({error}); make room there, or name \
             another data folder. It is tried again every minute",
            self.folder.display()
        );
        self.remote.notice(SOCKET, true, text);
    }

    /// Makes the socket again where it is gone.
    pub(super) fn care(&mut self) {
        let is_gone = self.bound.as_ref().is_none_or(|(bound, _)| !bound.is_in_place());
        // A group may have been made meanwhile.
        if self.asked.is_none() && (is_gone || self.unsettled) {
            self.ask();
        }
    }

    /// Takes the group that a config names which came into force.
    pub(super) fn take_group(&mut self, group: Option<String>) {
        if group == self.group {
            if self.unsettled && self.asked.is_none() {
                self.ask();
            }
            return;
        }
        // The members of the old one are out at once, however long it takes to find the new one.
        if self.bound.is_some()
            && let Err(error) = self.open(None)
        {
            self.trouble(&error);
        }
        self.group = group;
        self.ask();
    }

    /// Finds out the group's number, where there is a group.
    fn ask(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.abort();
        }
        match self.group.clone() {
            Some(name) => {
                let find = move || uzers::get_group_by_name(&name).map(|group| group.gid());
                let asked = async { timeout(PATIENCE, tokio::task::spawn_blocking(find)).await };
                self.asked = Some(tokio::spawn(asked));
            }
            None => self.settle(None),
        }
    }

    /// Takes the group's number, and opens the socket to it.
    fn found(&mut self, found: &Result<Found, JoinError>) {
        self.asked = None;
        let Some(name) = self.group.clone() else { return };
        match found {
            Ok(Ok(Ok(Some(number)))) => {
                self.known = Some((name.clone(), *number));
                self.settle(Some((&name, *number)));
            }
            Ok(Ok(Ok(None))) => self.closed(&format!(
                "this machine has no group `{name}`, which `[agent] group` names: make it with `groupadd {name}`, or name \
                 another one"
            )),
            // What it said before is better than nothing.
            _ => match self.known.take_if(|(known, _)| *known == name) {
                Some((name, number)) => {
                    self.settle(Some((&name, number)));
                    self.known = Some((name, number));
                }
                None => self.closed(&format!(
                    "the machine's user database does not say which number the group `{name}` of `[agent] group` has"
                )),
            },
        }
    }

    fn settle(&mut self, group: Option<(&str, u32)>) {
        match (self.open(group.map(|(_, number)| number)), group) {
            (Ok(()), _) => {
                self.unsettled = false;
                self.remote.notice(GROUP, false, String::new());
            }
            (Err(error), Some((name, _))) => self.closed(&format!(
                "the socket cannot be given to group `{name}` ({error}): run the engine as a user who is a member of it"
            )),
            (Err(error), None) => self.trouble(&error),
        }
    }

    fn closed(&mut self, why: &str) {
        self.unsettled = true;
        if let Err(error) = self.open(None) {
            self.trouble(&error);
        }
        let text = format!("{why}. Until then only the engine's own user and root can attach");
        self.remote.notice(GROUP, true, text);
    }

    /// Waits for somebody who connects, and meanwhile opens the socket to whom the config names.
    pub(super) async fn knock(&mut self) -> UnixStream {
        loop {
            self.listen();
            tokio::select! {
                found = found(&mut self.asked) => self.found(&found),
                stream = accept(self.listener.as_ref(), self.rests) => match stream {
                    Ok(stream) => return stream,
                    Err(error) => {
                        tracing::warn!(%error, "a console cannot be let in");
                        self.rests = Some(Instant::now() + REST);
                    }
                },
            }
        }
    }

    fn listen(&mut self) {
        if self.listener.is_none()
            && let Some((_, listener)) = &self.bound
        {
            match listener.try_clone().and_then(UnixListener::from_std) {
                Ok(listener) => self.listener = Some(listener),
                Err(error) => {
                    self.trouble(&error);
                    self.bound = None;
                }
            }
        }
    }
}

async fn found(asked: &mut Option<JoinHandle<Found>>) -> Result<Found, JoinError> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

async fn accept(listener: Option<&UnixListener>, rests: Option<Instant>) -> io::Result<UnixStream> {
    let Some(listener) = listener else { return std::future::pending().await };
    if let Some(rests) = rests {
        sleep_until(rests).await;
    }
    listener.accept().await.map(|(stream, _)| stream)
}
