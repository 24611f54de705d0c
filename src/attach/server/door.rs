//! The socket as the server looks after it: made, opened to the group that the config names, made again when it is gone.
//!
//! Invariant: whatever is wrong with it keeps nobody from measuring; a notice says what, and what to do.

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
}

impl Door {
    /// Makes the socket, for oneself alone.
    pub(super) fn make(folder: PathBuf, remote: Remote) -> Self {
        let (bound, listener, group, asked, rests) = (None, None, None, None, None);
        let mut door = Self { folder, remote, bound, listener, group, asked, unsettled: false, rests };
        door.bind();
        door
    }

    fn bind(&mut self) {
        // The old one must be gone before the new one takes its name.
        (self.bound, self.listener) = (None, None);
        match Bound::make(&self.folder) {
            Ok(bound) => {
                self.bound = Some(bound);
                self.remote.notice(SOCKET, false, String::new());
            }
            Err(error) => self.trouble(&error),
        }
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
        if is_gone {
            self.bind();
        }
        // A group may have been made meanwhile.
        if is_gone || self.unsettled {
            let group = self.group.take();
            self.open_to(group);
        }
    }

    /// Opens it to the members of the group, or to oneself alone.
    pub(super) fn open_to(&mut self, group: Option<String>) {
        self.group = group;
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
            Ok(Ok(Ok(Some(number)))) => self.settle(Some((&name, *number))),
            Ok(Ok(Ok(None))) => self.closed(&format!(
                "this machine has no group `{name}`, which `[agent] group` names: make it with `groupadd {name}`, or name \
                 another one"
            )),
            _ => self.closed(&format!(
                "the machine's user database does not say which number the group `{name}` of `[agent] group` has"
            )),
        }
    }

    fn settle(&mut self, group: Option<(&str, u32)>) {
        let Some((bound, _)) = &self.bound else { return };
        match (bound.open_to(group.map(|(_, number)| number)), group) {
            (Ok(()), _) => {
                self.unsettled = false;
                self.remote.notice(GROUP, false, String::new());
            }
            (Err(error), Some((name, _))) => self.closed(&format!(
                "the socket cannot be given to group `{name}` ({error}): run the engine as a user who is a member of it"
            )),
            (Err(error), None) => {
                tracing::warn!(%error, "the socket's mode cannot be set");
            }
        }
    }

    fn closed(&mut self, why: &str) {
        self.unsettled = true;
        if let Some((bound, _)) = &self.bound
            && let Err(error) = bound.open_to(None)
        {
            tracing::warn!(%error, "the socket's mode cannot be set");
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
