//! Which running engine a console attaches to, and what it is told where it cannot.
//!
//! Invariant: an own engine is started only where none runs; whoever names a config never looks at an engine that measures
//! another one.

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
/// How long an engine that holds its folder may take until it lets consoles in.
const STARTING: Duration = Duration::from_secs(5);
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
    let seeker = Seeker { config, greeting, patience: STARTING };
    seeker.seek(own.as_deref(), is_searching.then_some(Path::new(folder::SYSTEM)))
}

/// What one looks for an engine with.
struct Seeker {
    /// The config that was named.
    config: Option<PathBuf>,
    greeting: Greeting,
    /// How long an engine is waited for that holds its folder and lets nobody in.
    patience: Duration,
}

impl Seeker {
    fn seek(&self, own: Option<&Path>, system: Option<&Path>) -> Result<Found, Failure> {
        if let Some(own) = own
            && let Some(attachment) = self.look(own)?
        {
            return Ok(Found::Attached(Box::new(attachment)));
        }
        let Some(system) = system.filter(|system| own.is_none_or(|own| own != *system)) else {
            return Ok(Found::Nobody(Vec::new()));
        };
        match self.look(system) {
            Ok(Some(attachment)) => Ok(Found::Attached(Box::new(attachment))),
            Ok(None) => Ok(Found::Nobody(Vec::new())),
            // It was not asked for: whoever is kept out of it measures for themselves.
            Err(failure) if is_kept_out(&failure) => {
                Ok(Found::Nobody(vec![format!("not attached to this machine's agent: {:#}", failure.error)]))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Attaches to the engine of one folder; `None` where none runs.
    fn look(&self, folder: &Path) -> Result<Option<Attachment>, Failure> {
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
                    Some(held) => anyhow::anyhow!(
                        "{held}. That engine lets no console in: it hangs, or is of a version that could not yet"
                    ),
                    None => return Ok(None),
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

/// Who holds a folder in which nobody listens.
fn locked(folder: &Path) -> Result<Option<LockError>, Failure> {
    match Lock::peek(folder) {
        Ok(None) => Ok(None),
        Ok(Some(holder)) => {
            Ok(Some(LockError::Held { folder: folder.to_path_buf(), holder: Some(Box::new(holder)) }))
        }
        Err(held @ LockError::Held { .. }) => Ok(Some(held)),
        Err(LockError::File { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(None),
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
