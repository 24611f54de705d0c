//! Going on with a config that was changed: it is read beside the loop, refused with all that is wrong with it, or put in
//! force at once.
//!
//! Invariants: one reading at a time, and no request for one is lost; until a config is whole and right the old one stays in
//! force; open outages of components that stay go on, and no time is lost by it, so it is no gap.

mod words;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::{JoinError, JoinHandle};

use super::{guard::ClockWatch, probes::Probes, task::Task};
use crate::{
    config::{self, Loaded, model::Config},
    domain::{ComponentId, Event, Person, PlatformId, RecoveryRecord, event::ConfigEvent},
    expression::clean,
    store::{self, Store, Unreadable},
};

/// What the notice of a refused config is about.
const ABOUT: &str = crate::domain::picture::CONFIG;
/// What the notice of secrets that cannot be used is about.
pub(super) fn about_login(platform: &PlatformId) -> String {
    format!("login {platform}")
}

/// How much of one finding is told, in characters.
const FINDING: usize = 600;
/// How many findings are told.
const FINDINGS: usize = 50;

/// The readings of the config that were asked for.
#[derive(Default)]
pub(super) struct Reloads {
    under_way: Option<JoinHandle<Read>>,
    /// Who asked for the one that is under way; `None` for SIGHUP.
    who: Option<Person>,
    /// Asked for meanwhile: what is read now may be older than that.
    again: Option<Asked>,
    /// The data folder is being given to the group of the last config.
    sharing: Option<JoinHandle<()>>,
}

/// A request for a reading.
struct Asked {
    /// Who; `None` for SIGHUP.
    by: Option<Person>,
}

/// What a reading brought.
pub(super) enum Read {
    /// A config, and recoveries from before that it asks for and the old one did not.
    Right(Box<Loaded>, Vec<Arc<RecoveryRecord>>),
    /// Why it cannot be used, a line for each mistake.
    Wrong(Vec<String>),
}

impl Reloads {
    /// The end of the reading that is under way; waits for ever when there is none.
    pub(super) async fn read(&mut self) -> Result<Read, JoinError> {
        match &mut self.under_way {
            Some(reading) => reading.await,
            None => std::future::pending().await,
        }
    }

    /// Lets the members of another group read what the engine writes, or nobody, beside the loop: a directory server may be
    /// asked, and the disk is. What was begun for an earlier config ends first.
    fn share(&mut self, folder: PathBuf, group: Option<String>) {
        let before = self.sharing.take();
        self.sharing = Some(tokio::spawn(async move {
            if let Some(before) = before
                && let Err(error) = before.await
            {
                tracing::error!(%error, "sharing the data folder broke off");
            }
            let shared = tokio::task::spawn_blocking(move || share(&folder, group.as_deref())).await;
            if let Err(error) = shared {
                tracing::error!(%error, "sharing the data folder broke off");
            }
        }));
    }
}

/// Gives the data folder to a group, or to nobody else. Blocks on the disk and on a directory of users.
fn share(folder: &Path, group: Option<&str>) {
    let number = group.and_then(uzers::get_group_by_name).map(|group| group.gid());
    if let (Some(name), None) = (group, number) {
        tracing::warn!(
            "`[agent] group` is \"{name}\", and this machine knows no such group: nobody but the engine's own user may read \
             the data folder; name another, or add it and have the config read again"
        );
    }
    if let Err(error) = store::share::share(folder, number) {
        tracing::warn!(
            "the data folder {} cannot be set to be read by the group of `[agent]` alone, or by nobody ({error}): let the \
             engine run as the folder's owner and in that group",
            folder.display()
        );
    }
}

impl Task {
    /// Begins to read the config again; where that is under way, it is done once more afterwards.
    pub(super) fn reload(&mut self, who: Option<Person>) {
        if self.reloads.under_way.is_some() {
            self.reloads.again = Some(Asked { by: who });
            return;
        }
        let Some(source) = self.config.source.clone() else {
            let why = "this config was not read from a file: there is nothing to read again";
            self.refuse(vec![why.to_owned()], who);
            return;
        };
        tracing::info!(config = %source.display(), "the config is read again");
        let (old, folder, now) = (Arc::clone(&self.config), self.folder.clone(), self.clock.now().wall);
        self.reloads.who = who;
        self.reloads.under_way = Some(tokio::task::spawn_blocking(move || read(&source, &old, &folder, now)));
    }

    /// Takes what was read.
    pub(super) fn take_config(&mut self, read: Result<Read, JoinError>, probes: &mut Probes) {
        self.reloads.under_way = None;
        let who = self.reloads.who.take();
        match read {
            Ok(Read::Right(loaded, past)) => self.go_on(*loaded, past, who, probes),
            Ok(Read::Wrong(findings)) => self.refuse(findings, who),
            Err(error) => self.refuse(vec![format!("reading it broke off: {error}")], who),
        }
        if let Some(asked) = self.reloads.again.take() {
            self.reload(asked.by);
        }
    }

    fn refuse(&mut self, findings: Vec<String>, who: Option<Person>) {
        let now = self.clock.now();
        for finding in &findings {
            tracing::error!("the new config is refused: {finding}");
        }
        let more = match findings.len() {
            0 | 1 => String::new(),
            number => format!(" (and {} more)", number - 1),
        };
        let first = findings.first().map_or("", String::as_str);
        let text = format!("the new config is refused, the old one stays in force: {first}{more}");
        self.core.notice(now, ABOUT, true, text);
        self.core.publish(Event::Config(ConfigEvent { at: now.wall, who, loaded: false, words: findings }));
    }

    /// Puts a config in force.
    fn go_on(
        &mut self,
        loaded: Loaded,
        past: Vec<Arc<RecoveryRecord>>,
        who: Option<Person>,
        probes: &mut Probes,
    ) {
        for finding in loaded.warnings.iter().chain(&loaded.not_built) {
            tracing::warn!("{finding}");
        }
        // The machine may have slept while the file was read: what was seen before confirms nothing after it.
        self.notice_gap();
        // Verdicts that were spoken before now are judged by the config under which they were made.
        while let Ok(output) = probes.reports.try_recv() {
            self.take(output, probes);
        }
        let new = Arc::new(loaded.config);
        let old = std::mem::replace(&mut self.config, Arc::clone(&new));
        let mut words = words::changes(&old, &new);
        self.seed = self.seed.wrapping_add(1);
        self.logins.reload(&old, &new, &self.clock, self.seed);
        if old.agent != new.agent {
            self.reloads.share(self.folder.clone(), new.agent.group.clone());
        }
        if old.store != new.store {
            self.store.handle().retain(new.store.probes, new.store.rollups);
        }
        self.core.leave_orphans(self.clock.now());
        if old != new {
            // What can be lost by it is read first.
            words.splice(0..0, self.change(&old, &new, past, probes));
        }
        let now = self.clock.now();
        for word in &words {
            tracing::info!("the new config is in force: {word}");
        }
        self.core.notice(now, ABOUT, false, "the new config is in force".to_owned());
        self.core.publish(Event::Config(ConfigEvent { at: now.wall, who, loaded: true, words }));
    }

    /// Goes on with another config; says what is followed no longer by it.
    fn change(
        &mut self,
        old: &Config,
        new: &Arc<Config>,
        past: Vec<Arc<RecoveryRecord>>,
        probes: &mut Probes,
    ) -> Vec<String> {
        let now = self.clock.now();
        let (paces, lost) = self.core.reload(new, &asked_anew(old, new), past, now);
        if old.canary != new.canary {
            // The new ones have not been asked yet.
            self.core.notice(now, "canary", false, "the canaries were changed".to_owned());
        }
        for (id, before) in &old.platforms {
            if !new.platforms.get(id).is_some_and(|platform| platform.speaks_like(before)) {
                self.core.notice(now, &about_login(id), false, "its credentials are others now".to_owned());
            }
        }
        let is_probed_alike =
            old.components == new.components && old.platforms == new.platforms && old.canary == new.canary;
        if !is_probed_alike {
            probes.go_on(new, &self.logins, &self.clock, self.seed);
        }
        probes.set_paces(paces);
        if ClockWatch::asks_otherwise(old, new) {
            self.watch.reload(new, self.seed, &mut self.core);
        }
        self.watch.use_clients(probes.schedule.clients());
        lost
    }
}

/// Those whose verdicts speak of something else from now on.
fn asked_anew(old: &Config, new: &Config) -> BTreeSet<ComponentId> {
    let before: std::collections::HashMap<_, _> = old.components.iter().map(|one| (&one.id, one)).collect();
    new.components
        .iter()
        .filter(|now| before.get(&now.id).is_some_and(|before| !before.speaks_of_the_same(now)))
        .map(|now| now.id.clone())
        .collect()
}

/// Reads and checks the file. Blocks on the disk.
fn read(source: &Path, old: &Config, folder: &Path, now: DateTime<Utc>) -> Read {
    match config::load(source) {
        Ok(loaded) => {
            let past = past(old, &loaded.config, folder, now);
            Read::Right(Box::new(loaded), past)
        }
        Err(rejected) => {
            let told = rejected.findings.iter().map(|finding| clean(&finding.to_string(), FINDING));
            Read::Wrong(told.take(FINDINGS).collect())
        }
    }
}

/// Recoveries of components that are new, or of all where the window has grown.
fn past(old: &Config, new: &Config, folder: &Path, now: DateTime<Utc>) -> Vec<Arc<RecoveryRecord>> {
    let is_wider = new.measurement.window > old.measurement.window;
    let is_wanted = |id: &ComponentId| is_wider || old.roster.position(id).is_none();
    if !new.components.iter().any(|component| is_wanted(&component.id)) {
        return Vec::new();
    }
    let reader = match Store::read(folder) {
        Ok(reader) => reader,
        Err(error) => {
            tracing::warn!(%error, "recoveries from before the reload cannot be read");
            return Vec::new();
        }
    };
    let since =
        TimeDelta::from_std(new.measurement.window).ok().and_then(|window| now.checked_sub_signed(window));
    let mut unreadable = Unreadable::default();
    let records = reader
        .recoveries(since, None)
        .filter_map(|one| unreadable.sift(one))
        .filter(|record| is_wanted(&record.component_id))
        .map(Arc::new)
        .collect();
    if let Some(told) = unreadable.told("recoveries") {
        tracing::warn!("{told}");
    }
    records
}
