//! Which running engine a console attaches to, and what it is told where it cannot.
//!
//! Invariants: an own engine is started only where none runs, and none takes the place of the machine's agent while that one
//! is away; whoever names a config never looks at an engine that measures another one.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Failure, Global, start};
use crate::{
    attach::{
        client::{self, AttachError, Client, Plan, Standing},
        wire::{Greeting, SOCKET},
    },
    config,
    console::{self, FeedReader},
    domain::Role,
    store::{FolderError, Holder, Lock, LockError, folder},
};

/// Events that may wait for a slow terminal; beyond that the console takes a fresh picture.
pub(super) const WAITING: usize = 8192;
/// How long an engine may take until it lets consoles in: one that holds its folder, or that is being restarted, which the
/// unit of the agent does after five seconds.
const STARTING: Duration = Duration::from_secs(8);
/// How often it is tried until then.
const AGAIN: Duration = Duration::from_millis(50);

/// A console that is attached.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) client: Client,
    /// What the engine tells.
    pub(super) reader: FeedReader,
    /// What a person should know of it.
    pub(super) notices: Vec<String>,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// An engine, to which we are attached.
    Attached(Box<Attachment>),
    /// None, with what a person should know of that.
    Nobody(Vec<String>),
}

/// Finds the engine that the options and the environment mean, and attaches to it: that of the named data folder; else
/// that of one's own; else, if no config is named, that of the machine's service. With `glance` nobody there sees that one
/// has come.
pub(super) fn find(global: &Global, wants: Role, glance: bool) -> Result<Found, Failure> {
    let variable = std::env::var_os("WARROOM_CONFIG");
    let config = config::named(global.config.as_deref(), variable).map_err(Failure::wrong_use)?;
    let named = folder::named(global.data_dir.as_deref());
    // Without a home folder there may still be the service's.
    let own = folder::resolve(global.data_dir.as_deref()).ok();
    let is_searching = named.is_none() && config.is_none();
    let greeting = Greeting { glance, ..client::greeting(wants) };
    let seeker = Seeker { config, greeting, patience: STARTING, agents: PathBuf::from(folder::SYSTEM) };
    seeker.seek(own.as_deref(), is_searching)
}

/// What one looks for an engine with.
struct Seeker {
    /// The config that was named.
    config: Option<PathBuf>,
    greeting: Greeting,
    /// How long an engine is waited for that holds its folder and lets nobody in, or that should run and does not.
    patience: Duration,
    /// Where the agent that is the machine's service keeps its data.
    agents: PathBuf,
}

impl Seeker {
    fn seek(&self, own: Option<&Path>, is_searching: bool) -> Result<Found, Failure> {
        // Whoever names a config as well wants an engine of that one.
        let is_agents = |own| self.config.is_none() && same_file(own, &self.agents) == Some(true);
        if let Some(own) = own
            && let Some(attachment) = self.look(own, is_agents(own) || folder::is_theirs(own))?
        {
            return Ok(Found::Attached(Box::new(attachment)));
        }
        if !is_searching || own.is_some_and(is_agents) {
            return Ok(Found::Nobody(Vec::new()));
        }
        match self.look(&self.agents, true) {
            Ok(Some(attachment)) => Ok(Found::Attached(Box::new(attachment))),
            Ok(None) => Ok(Found::Nobody(Vec::new())),
            // It was not asked for: whoever is kept out of it measures for themselves.
            Err(failure) if is_kept_out(&failure) => {
                Ok(Found::Nobody(vec![format!("not attached to this machine's agent: {:#}", failure.error)]))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Attaches to the engine of one folder; `None` where none runs. `is_agents`: no console may work in its place, so where one
    /// has worked it must come back.
    fn look(&self, folder: &Path, is_agents: bool) -> Result<Option<Attachment>, Failure> {
        if !folder::visit(folder, SOCKET).map_err(Failure::wrong_use)? {
            return Ok(None);
        }
        let clock = start::clock();
        let deadline = clock.moment() + self.patience;
        loop {
            let notices = self.compare(folder)?.into_iter().collect();
            let plan =
                Plan { folder: folder.to_path_buf(), greeting: self.greeting.clone(), clock: start::clock() };
            let (writer, reader) = console::feed(WAITING);
            let error = match client::attach(plan, writer) {
                Ok(client) => return Ok(Some(Attachment { client, reader, notices })),
                Err(error) => error,
            };
            let failure = match error {
                AttachError::Absent(_) => match locked(folder)? {
                    Locked::By(held) => anyhow::anyhow!(
                        "{held}. That engine lets no console in: it hangs, or is of a version that could not yet"
                    ),
                    Locked::Hidden(error) => anyhow::anyhow!(
                        "whether an engine works on {} cannot be told: {error}; {}",
                        folder.display(),
                        self.own_look(folder)
                    ),
                    Locked::Not if is_agents && folder::is_lived_in(folder) => self.away(folder),
                    Locked::Not => return Ok(None),
                },
                // It may just be starting or ending.
                AttachError::Silent(_) | AttachError::Ended(_) => error.into(),
                _ => return Err(Failure::wrong_use(error)),
            };
            if clock.moment() >= deadline {
                return Err(Failure::wrong_use(failure));
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// What is said of an engine that should run and does not.
    fn away(&self, folder: &Path) -> anyhow::Error {
        let name = if same_file(folder, &self.agents) == Some(true) {
            "the agent of this machine"
        } else {
            "the engine"
        };
        anyhow::anyhow!(
            "{name}, which keeps its data in {}, is not running, so nobody measures there; {}",
            folder.display(),
            self.own_look(folder)
        )
    }

    /// What somebody can do whom no engine lets in.
    fn own_look(&self, folder: &Path) -> &'static str {
        if same_file(folder, &self.agents) == Some(true) {
            "`systemctl status warroom` says why, and `sudo systemctl start warroom` starts it. For a look of your own name \
             a config with --config FILE, or give --demo"
        } else {
            "have it started by the user to whom the folder belongs, or name another one with --data-dir"
        }
    }

    /// Refuses an engine that measures another config than the one that was named.
    fn compare(&self, folder: &Path) -> Result<Option<String>, Failure> {
        let Some(named) = &self.config else { return Ok(None) };
        let holder = match Lock::peek(folder) {
            Ok(Some(holder)) => holder,
            // None runs, or it has not yet said what it measures; then it lets nobody in either.
            Ok(None) | Err(LockError::Held { .. }) => return Ok(None),
            Err(error @ LockError::File { .. }) => {
                return Ok(Some(format!(
                    "whether the engine measures {} could not be compared: {error}",
                    named.display()
                )));
            }
        };
        match &holder.config {
            Some(theirs) => match (same_file(named, theirs), theirs) {
                (Some(true), _) => Ok(None),
                (Some(false), _) => Err(another(folder, &holder, &theirs.display().to_string(), named)),
                (None, theirs) => Ok(Some(format!(
                    "whether the engine's config {} is {} could not be compared",
                    theirs.display(),
                    named.display()
                ))),
            },
            None => Err(another(folder, &holder, "the demo", named)),
        }
    }
}

fn another(folder: &Path, holder: &Holder, measures: &str, named: &Path) -> Failure {
    Failure::wrong_use(anyhow::anyhow!(
        "the engine of {} (process {}) measures {measures}, not {}: leave --config (and $WARROOM_CONFIG) out to attach to \
         it, or name another folder with --data-dir",
        folder.display(),
        holder.pid,
        named.display()
    ))
}

/// Whether two paths name one file; `None` where that cannot be found out.
fn same_file(one: &Path, other: &Path) -> Option<bool> {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => Some(one == other),
        // What we cannot see may still have the same name; a file that is gone has become another.
        (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Some(false),
        _ => (std::path::absolute(one).ok()? == *other).then_some(true),
    }
}

/// Whether somebody holds a folder in which nobody listens.
enum Locked {
    By(LockError),
    Not,
    /// The system does not let us know.
    Hidden(LockError),
}

fn locked(folder: &Path) -> Result<Locked, Failure> {
    match Lock::peek(folder) {
        Ok(None) => Ok(Locked::Not),
        Ok(Some(holder)) => {
            let (folder, holder) = (folder.to_path_buf(), Some(Box::new(holder)));
            Ok(Locked::By(LockError::Held { folder, holder }))
        }
        Err(held @ LockError::Held { .. }) => Ok(Locked::By(held)),
        Err(LockError::File { path, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Ok(Locked::Hidden(LockError::File { path, source }))
        }
        Err(error) => Err(Failure::cannot_go_on(error)),
    }
}

/// Whether the system, or our own caution, keeps us out of a folder.
fn is_kept_out(failure: &Failure) -> bool {
    failure.error.is::<FolderError>()
        || matches!(failure.error.downcast_ref(), Some(AttachError::Forbidden { .. }))
}

/// What is said when an attached console has ended.
pub(super) fn farewell(standing: &Standing) -> String {
    match standing {
        Standing::Here(pid) => format!("warroom: the engine goes on measuring (process {pid})"),
        Standing::Away(reason) => format!("warroom: not connected at the end: {reason}"),
    }
}

#[cfg(test)]
mod tests;
