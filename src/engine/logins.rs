//! The sessions of all platforms, and what is told of their logins.
//!
//! Invariant: each session fetches its secrets and logs in by itself; no platform waits for another's.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    clock::SharedClock,
    config::model::{Config, Platform},
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
    news: mpsc::Receiver<News>,
    sender: mpsc::Sender<News>,
    told: BTreeMap<PlatformId, Standing>,
    /// Platforms that log in, where it is worth telling that it went well.
    with_login: Vec<PlatformId>,
    /// Who follows each session, with the session's number.
    followers: BTreeMap<PlatformId, (u64, AbortOnDropHandle<()>)>,
    begun: u64,
}

/// How the login of a platform stands, by the session of this number.
#[derive(Debug)]
pub(super) struct News {
    platform: PlatformId,
    session: u64,
    standing: Standing,
    complaint: Option<Arc<str>>,
}

/// What there is to tell of a platform's login.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) platform: PlatformId,
    /// It works or fails.
    pub(super) event: Option<PlatformEvent>,
    /// Why an old token stays in use though its secrets were to be replaced.
    pub(super) complaint: Option<Arc<str>>,
}

impl Logins {
    /// Begins the session of every platform. Must be called inside a tokio runtime.
    pub(super) fn start(config: &Config, clock: &SharedClock, seed: u64) -> Self {
        let (sender, news) = mpsc::channel(WAITING);
        let mut logins = Self {
            sessions: BTreeMap::new(),
            news,
            sender,
            told: BTreeMap::new(),
            with_login: with_login(config),
            followers: BTreeMap::new(),
            begun: 0,
        };
        let mut random = fastrand::Rng::with_seed(seed);
        for platform in config.platforms.values() {
            logins.begin(platform, clock, random.u64(..));
        }
        logins
    }

    fn begin(&mut self, platform: &Arc<Platform>, clock: &SharedClock, seed: u64) {
        self.begun += 1;
        let number = self.begun;
        let session = Session::start(platform, clock, seed);
        let (mut standings, sender, id) = (session.standings(), self.sender.clone(), platform.id.clone());
        let follower = tokio::spawn(async move {
            while let Some((standing, complaint)) = standings.next().await {
                let news = News { platform: id.clone(), session: number, standing, complaint };
                if sender.send(news).await.is_err() {
                    return;
                }
            }
        });
        self.sessions.insert(platform.id.clone(), session);
        self.followers.insert(platform.id.clone(), (number, AbortOnDropHandle::new(follower)));
    }

    /// Goes on with another config: a platform that is spoken to as before keeps its session, and logs in anew only where a
    /// secret that it was given was replaced; the others begin anew, and those that are gone end.
    pub(super) fn reload(&mut self, old: &Config, new: &Config, clock: &SharedClock, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        self.with_login = with_login(new);
        self.sessions.retain(|id, _| new.platforms.contains_key(id));
        self.followers.retain(|id, _| new.platforms.contains_key(id));
        self.told.retain(|id, _| new.platforms.contains_key(id));
        for (id, platform) in &new.platforms {
            let seed = random.u64(..);
            let is_same = old.platforms.get(id).is_some_and(|before| before.speaks_like(platform));
            match self.sessions.get(id) {
                Some(session) if is_same => session.renew(),
                _ => self.begin(platform, clock, seed),
            }
        }
    }

    /// By platform, for the probes.
    pub(super) fn sessions(&self) -> &BTreeMap<PlatformId, Arc<Session>> {
        &self.sessions
    }

    /// The next news; waits for ever when none will come.
    pub(super) async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// What there is to tell of news; nothing of a session that was replaced.
    pub(super) fn tell(&mut self, news: News, now: Now) -> Option<Told> {
        self.followers.get(&news.platform).filter(|(number, _)| *number == news.session)?;
        let event = self.event(news.platform.clone(), &news.standing, now);
        Some(Told { platform: news.platform, event, complaint: news.complaint })
    }

    /// What there is to tell of a standing: a login that works or fails, and secrets only when they cannot be had.
    fn event(&mut self, platform: PlatformId, standing: &Standing, now: Now) -> Option<PlatformEvent> {
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

/// The platforms that log in.
fn with_login(config: &Config) -> Vec<PlatformId> {
    config.platforms.values().filter(|one| one.login.is_some()).map(|one| one.id.clone()).collect()
}
