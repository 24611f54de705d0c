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

/// Takes the data folder for an engine of this process, which will measure what a config says.
pub(super) fn hold(folder: PathBuf, config: &Config) -> Result<Held, Failure> {
    let group = group(config)?;
    folder::prepare(&folder, group).map_err(Failure::wrong_use)?;
    let holder = Holder::this(SystemClock.wall(), config.source.as_deref());
    let lock = Lock::acquire(&folder, &holder).map_err(|error| match error {
        LockError::Held { .. } => Failure::wrong_use(error),
        LockError::File { .. } => Failure::cannot_go_on(error),
    })?;
    share(&folder, group);
    Ok(Held { folder, _lock: lock })
}

/// Whether another engine was faster.
pub(super) fn is_held(failure: &Failure) -> bool {
    failure.error.downcast_ref::<LockError>().is_some_and(|error| matches!(error, LockError::Held { .. }))
}

/// The number of the group that a config lets into the data folder.
fn group(config: &Config) -> Result<Option<u32>, Failure> {
    let Some(name) = &config.agent.group else { return Ok(None) };
    let group = uzers::get_group_by_name(name).ok_or_else(|| {
        Failure::wrong_use(anyhow::anyhow!(
            "`[agent] group` is \"{name}\", and this machine knows no such group: run `groupadd {name}` as root, or name \
             another"
        ))
    })?;
    Ok(Some(group.gid()))
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
