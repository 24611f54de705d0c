//! The sessions of all platforms, and what is told of their logins.
//!
//! Invariant: each session fetches its secrets and logs in by itself; no platform waits for another's.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::{
        PlatformId,
        event::{Login, PlatformEvent},
        time::Now,
    },
    platform::{Session, Standing},
};

/// Standings that may wait for the core; a session whose standing changes meanwhile tells the last one.
const WAITING: usize = 64;

/// The sessions, which end when this is dropped.
pub(super) struct Logins {
    sessions: BTreeMap<PlatformId, Arc<Session>>,
    news: mpsc::Receiver<(PlatformId, Standing)>,
    told: BTreeMap<PlatformId, Standing>,
    /// Platforms that log in, where it is worth telling that it went well.
    with_login: Vec<PlatformId>,
    _followers: JoinSet<()>,
}

impl Logins {
    /// Begins the session of every platform. Must be called inside a tokio runtime.
    pub(super) fn start(config: &Config, clock: &SharedClock, seed: u64) -> Self {
        let (sender, news) = mpsc::channel(WAITING);
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut sessions, mut followers) = (BTreeMap::new(), JoinSet::new());
        for (id, platform) in &config.platforms {
            let session = Session::start(platform, clock, random.u64(..));
            let (mut standings, sender, id) = (session.standings(), sender.clone(), id.clone());
            sessions.insert(id.clone(), session);
            followers.spawn(async move {
                while let Some(standing) = standings.next().await {
                    if sender.send((id.clone(), standing)).await.is_err() {
                        return;
                    }
                }
            });
        }
        let with_login =
            config.platforms.values().filter(|one| one.login.is_some()).map(|one| one.id.clone()).collect();
        Self { sessions, news, told: BTreeMap::new(), with_login, _followers: followers }
    }

    /// By platform, for the probes.
    pub(super) fn sessions(&self) -> &BTreeMap<PlatformId, Arc<Session>> {
        &self.sessions
    }

    /// The next news; waits for ever when none will come.
    pub(super) async fn next(&mut self) -> (PlatformId, Standing) {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// What there is to tell of a standing: a login that works or fails, and secrets only when they cannot be had.
    pub(super) fn event(
        &mut self,
        platform: PlatformId,
        standing: &Standing,
        now: Now,
    ) -> Option<PlatformEvent> {
        let (login, reason) = match standing {
            Standing::Pending => return None,
            Standing::Ok => (Login::Ok, None),
            Standing::Failing(reason) => (Login::Failing, Some(reason.to_string())),
        };
        let before = self.told.insert(platform.clone(), standing.clone());
        if before.as_ref() == Some(standing) {
            return None;
        }
        if login == Login::Ok && before.is_none() && !self.with_login.contains(&platform) {
            return None;
        }
        Some(PlatformEvent { at: now.wall, platform, login, reason })
    }
}
