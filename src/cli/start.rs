//! What several subcommands do before they begin: find and read the config, take the data folder, make a runtime.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
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

/// Takes the data folder for an engine of this process.
pub(super) fn hold(folder: PathBuf, config: Option<&std::path::Path>) -> Result<Held, Failure> {
    folder::prepare(&folder, None).map_err(Failure::wrong_use)?;
    let holder = Holder::this(SystemClock.wall(), config);
    let lock = Lock::acquire(&folder, &holder).map_err(|error| match error {
        LockError::Held { .. } => Failure::wrong_use(error),
        LockError::File { .. } => Failure::cannot_go_on(error),
    })?;
    Ok(Held { folder, _lock: lock })
}

/// Lets the group that the config names read what the engine writes, or nobody. Where that cannot be, it is said, and
/// measuring goes on.
pub(super) fn share(folder: &Path, config: &Config) {
    let named = config.agent.group.as_deref();
    let group = named.and_then(uzers::get_group_by_name).map(|group| group.gid());
    if let Err(error) = store::share::share(folder, group) {
        let (group, folder) = (named.unwrap_or("nobody"), folder.display());
        tracing::warn!(
            "the data folder {folder} cannot be opened to {group} ({error}): run the engine as its owner, with `[agent] group` \
             as its own group (`Group=` of a service)"
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
