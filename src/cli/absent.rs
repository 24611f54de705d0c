//! What is said where no engine works: which one was the last, and how one is started.

use std::path::{Path, PathBuf};

use crate::{
    expression::clean,
    store::{Holder, Lock, folder},
};

/// The longest foreign word that is told, in characters.
const LONGEST: usize = 300;

/// A data folder on which no engine works.
#[derive(Debug)]
pub(super) struct Absent {
    folder: PathBuf,
    /// Whether there is such a folder at all.
    exists: bool,
    /// The engine that worked there last, by its own word.
    pub(super) last: Option<Holder>,
}

impl Absent {
    /// What is known of a folder on which none works.
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), exists: folder.exists(), last: Lock::last(folder) }
    }

    /// That none works there, which one was the last, and how to start it.
    pub(super) fn words(&self) -> String {
        let folder = self.folder.display();
        if !self.exists {
            return format!(
                "no engine works on {folder}: there is no such data folder. Look whether its name is right; {}",
                self.start()
            );
        }
        match &self.last {
            Some(last) => {
                let since = last.since.format("%Y-%m-%d %H:%M:%SZ");
                let config = last
                    .config
                    .as_ref()
                    .map_or_else(|| "the demo".to_owned(), |config| format!("config {}", config.display()));
                let who = format!("{} of {} on {}, started {since}", last.pid, last.user, last.host);
                let last = clean(&format!("process {who}, {config}"), LONGEST);
                format!("no engine works on {folder}; the last was {last}; {}", self.start())
            }
            None => format!("no engine works on {folder}; {}", self.start()),
        }
    }

    /// How an engine is started there.
    fn start(&self) -> String {
        if self.folder == Path::new(folder::SYSTEM) {
            return "`systemctl status warroom` says why, and `sudo systemctl start warroom` starts it"
                .to_owned();
        }
        let config = self.last.as_ref().and_then(|last| last.config.as_deref());
        // A path that a terminal would take for more than a name is not put into anybody's shell.
        let known = config
            .map(|config| folder::quoted(config).to_string())
            .filter(|quoted| clean(quoted, usize::MAX) == *quoted);
        let config = known.as_deref().unwrap_or("FILE");
        let again = if config == "FILE" { "one" } else { "it again" };
        format!(
            "start {again} with `warroom agent --config {config} --data-dir {}`",
            folder::quoted(&self.folder)
        )
    }
}
