//! What an own engine measures, and where its data goes.

use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;

use crate::{
    cli::{Failure, Global, Output, start},
    config::{Finding, model::Config},
    sim,
    store::folder,
};

/// What is shown, and where its data goes.
pub(super) struct Stage {
    pub(super) config: Arc<Config>,
    pub(super) folder: Folder,
    /// Where the simulated platforms of the demo will answer.
    pub(super) demo: Option<TcpListener>,
    /// What is doubtful in the config, for the log.
    pub(super) findings: Vec<Finding>,
}

/// A data folder that stays, or one that goes with the demo.
pub(super) enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl Stage {
    pub(super) fn real(global: &Global, path: &Path, output: &mut Output) -> Result<Self, Failure> {
        let loaded = start::load(path, output)?;
        let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
        let findings = loaded.warnings.into_iter().chain(loaded.not_built).collect();
        Ok(Self { config: Arc::new(loaded.config), folder: Folder::Kept(folder), demo: None, findings })
    }

    pub(super) fn demo(global: &Global) -> Result<Self, Failure> {
        let folder = match &global.data_dir {
            Some(path) => Folder::Kept(demo_folder(path)?),
            None => Folder::Temporary(
                // For its owner alone, whatever the umask: a folder that others may write is refused.
                tempfile::Builder::new()
                    .prefix("warroom-demo-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir()
                    .map_err(Failure::cannot_go_on)?,
            ),
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .context("the simulated platforms cannot listen on loopback")
            .map_err(Failure::cannot_go_on)?;
        let address = listener.local_addr()?;
        let config = sim::demo(address).map_err(Failure::cannot_go_on)?;
        Ok(Self { config: Arc::new(config), folder, demo: Some(listener), findings: Vec::new() })
    }
}

/// A folder that was named for the demo: one of its own, so that simulated recoveries never lie among real ones.
fn demo_folder(path: &Path) -> Result<PathBuf, Failure> {
    let mark = path.join("demo");
    let used = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if used && !mark.exists() {
        return Err(Failure::wrong_use(anyhow::anyhow!(
            "{} holds real data; leave --data-dir out (the demo takes a temporary folder), or name an empty one",
            path.display()
        )));
    }
    folder::prepare(path, None).map_err(Failure::wrong_use)?;
    std::fs::write(&mark, "the data of `warroom --demo`\n")
        .with_context(|| format!("{} cannot be written", mark.display()))
        .map_err(Failure::cannot_go_on)?;
    Ok(path.to_owned())
}
