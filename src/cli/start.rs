//! What several subcommands do before they begin: find and read the config, take the data folder, make a runtime.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, Failure, Global, Output};
use crate::{
    clock::{Clock, SystemClock},
    config::{self, Loaded, model::Config},
    store::{self, Holder, Lock, LockError, folder},
};

/// The config that the options and the environment name; `None` where there is none at all.
pub(super) fn find_config(global: &Global) -> Result<Option<PathBuf>, Failure> {
    config::find(global.config.as_deref(), std::env::var_os("WARROOM_CONFIG")).map_err(Failure::wrong_use)
}

/// The config, for a subcommand that cannot go on without one.
pub(super) fn need_config(global: &Global, output: &mut Output) -> Result<Loaded, Failure> {
    let path = find_config(global)?.ok_or_else(|| {
        Failure::wrong_use(anyhow::anyhow!(
            "there is no config; write one with `warroom config init > FILE` and name it with --config FILE"
        ))
    })?;
    load(&path, output)
}

/// Reads a config, and says all that is wrong with it.
pub(super) fn load(path: &std::path::Path, output: &mut Output) -> Result<Loaded, Failure> {
    config::load(path).map_err(|rejected| {
        for finding in &rejected.findings {
            output.words(&format!("error: {finding}"));
        }
        let number = rejected.findings.len();
        let errors = if number == 1 { "error" } else { "errors" };
        Failure::wrong_use(anyhow::anyhow!("{number} {errors} in {}; nothing was started", path.display()))
    })
}

/// The data folder, made ready and held by this process alone.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) folder: PathBuf,
    _lock: Lock,
}

/// Takes the data folder for an engine of this process, which will measure what a config says. As long as another engine
/// holds it, `wait` says whether to wait for that one's end.
pub(super) fn hold(
    folder: PathBuf,
    config: &Config,
    mut wait: impl FnMut(&LockError) -> bool,
) -> Result<Held, Failure> {
    let group = Group::of(config);
    folder::prepare(&folder, group.number()).map_err(|error| match group {
        // Once it is known the folder may well be as it should be.
        Group::Unknown(_) => Failure::cannot_go_on(error),
        _ => Failure::wrong_use(error),
    })?;
    let lock = loop {
        let holder = Holder::this(SystemClock.wall(), config.source.as_deref());
        match Lock::acquire(&folder, &holder) {
            Ok(lock) => break lock,
            Err(error @ LockError::Held { .. }) => {
                if !wait(&error) {
                    return Err(Failure::wrong_use(error));
                }
                std::thread::sleep(AGAIN);
            }
            Err(error @ LockError::File { .. }) => return Err(Failure::cannot_go_on(error)),
        }
    };
    match &group {
        Group::Nobody => share(&folder, None),
        Group::Number(number) => share(&folder, Some(*number)),
        Group::Unknown(name) => tracing::warn!(
            "`[agent] group` is \"{name}\", and this machine does not say which group that is: who may read {} stays as it \
             was, and the agent measures. Make it with `groupadd {name}` as root or name another, and restart the agent; where a \
             directory server knows it, look whether that one answers",
            folder.display()
        ),
    }
    Ok(Held { folder, _lock: lock })
}

/// How often a lock that is waited for is tried.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether another engine was faster.
pub(super) fn is_held(failure: &Failure) -> bool {
    failure.error.downcast_ref::<LockError>().is_some_and(|error| matches!(error, LockError::Held { .. }))
}

/// Whom a config lets into the data folder.
enum Group {
    Nobody,
    /// The group with this number.
    Number(u32),
    /// One of this name, of which the machine knows no number, or says none in time.
    Unknown(String),
}

/// How long the machine's user database has to say which number a group has; it may be a directory server that is down.
const SOUGHT: Duration = Duration::from_secs(2);

impl Group {
    fn of(config: &Config) -> Self {
        let Some(name) = config.agent.group.clone() else { return Self::Nobody };
        let (sender, found) = mpsc::channel();
        let sought = name.clone();
        let seeker = move || {
            // Nobody waits any longer for one that is late.
            let _ = sender.send(uzers::get_group_by_name(&sought).map(|group| group.gid()));
        };
        // Without a thread nobody answers, and the group is unknown.
        let begun = std::thread::Builder::new().name("group".to_owned()).spawn(seeker);
        match begun.ok().and_then(|_| found.recv_timeout(SOUGHT).ok()).flatten() {
            Some(number) => Self::Number(number),
            None => Self::Unknown(name),
        }
    }

    const fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Nobody | Self::Unknown(_) => None,
        }
    }
}

/// Lets the members of a group read what the engine writes, or nobody. Where that cannot be it is said, and measuring goes
/// on.
fn share(folder: &Path, group: Option<u32>) {
    if let Err(error) = store::share::share(folder, group) {
        tracing::warn!(
            "the data folder {} cannot be set to be read by the group of `[agent]` alone, or by nobody ({error}): let the engine \
             run as the folder's owner and in that group (`Group=` of a service)",
            folder.display()
        );
    }
}

/// The runtime that the engine lives in: one thread, because what it does is waiting, and handing each probe from thread to
/// thread costs more than the probe. What blocks (disks, name resolution, trust roots) has threads of its own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::cannot_go_on)
}

/// Prepares the process itself: as many open connections as the system allows, and no memory image that a secret could be
/// read from.
pub(super) fn prepare_process() {
    use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};

    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        tracing::warn!(%error, "the limit of open files cannot be raised; many components may need more");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a core dump of this process could hold secrets");
    }
}

/// A seed that differs from start to start.
pub(super) fn seed() -> u64 {
    fastrand::u64(..)
}

/// How an engine's end becomes the process's.
pub(super) fn ended(
    ended: Result<crate::engine::Ended, crate::engine::StartError>,
    good: Exit,
) -> Result<Exit, Failure> {
    let ended = ended.map_err(Failure::cannot_go_on)?;
    ended.unsaved.map_err(Failure::cannot_go_on)?;
    Ok(good)
}

/// The runner's clocks, to be handed around.
pub(super) fn clock() -> crate::clock::SharedClock {
    Arc::new(SystemClock)
}

/// Does the work, and cancels `stop` at the first SIGHUP, SIGINT or SIGTERM, upon which the work must end by itself; says
/// which signal it was. Further ones change nothing.
pub(super) async fn until_signal<T>(
    stop: &CancellationToken,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> std::io::Result<Result<T, u8>> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let number = tokio::select! {
        done = &mut work => return Ok(Ok(done)),
        _ = hang_up.recv() => 1,
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    };
    stop.cancel();
    work.await;
    Ok(Err(number))
}
