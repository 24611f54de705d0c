//! The engine's side of attaching: a thread of its own that serves consoles of other processes.
//!
//! ```text
//!  engine ──ear──► hub ──outbox──► attend ──lines──► console
//!         ◄─Remote─    ◄─messages─        ◄─lines──
//! ```
//!
//! The hub keeps a picture of its own by the same fold as everybody, so that a console that is new or lags costs the engine
//! nothing; each event becomes a line once, whoever reads it.
//!
//! Invariants: the engine never waits for anything here; what waits for a console is bounded; a command reaches the engine
//! with the person whom the kernel named, and only if that person may give it.

mod attend;
mod door;
mod ear;
mod hub;
mod limits;
mod looks;
mod outbox;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use tokio_util::sync::CancellationToken;

use self::{
    door::Door,
    ear::{Ear, Line},
    hub::{Beginning, Hub},
};
use crate::{
    clock::SharedClock,
    config::model::AgentSettings,
    domain::Attached,
    engine::{Listener, Remote},
};

/// How many questions to the disk and to the machine's user database may wait for their answers at once.
const THREADS: usize = 16;

/// The id of the console whose process the engine lives in.
pub const HOST: u64 = 0;

/// Why the server ends, to be said before the engine is asked to; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Farewell(Arc<Mutex<Option<String>>>);

impl Farewell {
    /// Says why; the first one counts.
    pub fn say(&self, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.into());
    }

    fn words(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        said.unwrap_or_else(|| "the engine has ended".to_owned())
    }
}

/// A running server. When its engine has ended, or it is dropped, every console is told goodbye and the socket is removed;
/// dropping waits for that, half a second at most. Drop it before the data folder's lock is let go.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    farewell: Farewell,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve consoles through the socket in the data folder, whose lock the caller holds.
    ///
    /// The listener belongs into [`Setup::listeners`](crate::engine::Setup) of the engine that `remote` reaches; until
    /// that engine begins, consoles are let in as `settings` say, and wait for their picture. `host` is the console of this
    /// process, with the id [`HOST`], where there is one: everybody sees that it is here. What goes wrong becomes a notice of
    /// the engine.
    pub fn begin(
        folder: &Path,
        remote: Remote,
        clock: SharedClock,
        settings: AgentSettings,
        host: Option<Attached>,
    ) -> (Self, Box<dyn Listener>) {
        let (line, stop, farewell) = (Arc::<Line>::default(), CancellationToken::new(), Farewell::default());
        if let Some(host) = host {
            remote.attached(host);
        }
        let door = Door::make(folder.to_owned(), remote.clone(), settings.group.clone());
        let beginning = Beginning {
            folder: folder.to_owned(),
            remote,
            clock,
            settings,
            line: Arc::clone(&line),
            stop: stop.clone(),
            door,
        };
        let (failed, words) = (beginning.remote.clone(), farewell.clone());
        let thread = std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || serve(beginning, &words))
            .inspect_err(|error| trouble(&failed, error))
            .ok();
        (Self { stop, farewell, thread }, Box::new(Ear(line)))
    }

    /// Where to say why the engine ends.
    #[must_use]
    pub fn farewell(&self) -> Farewell {
        self.farewell.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been told by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The server's thread.
fn serve(beginning: Beginning, farewell: &Farewell) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(async { Hub::new(beginning).run(|| farewell.words()).await });
            // A user database that does not answer keeps nobody from leaving.
            runtime.shutdown_background();
        }
        Err(error) => trouble(&beginning.remote, &error),
    }
}

fn trouble(remote: &Remote, error: &std::io::Error) {
    tracing::warn!(%error, "consoles cannot be served");
    let text = format!(
        "consoles of other processes cannot attach: this process cannot have another thread ({error}); raise its limits and \
         restart it"
    );
    remote.notice("attach", true, text);
}
