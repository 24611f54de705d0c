//! The running schedule, what comes out of it, and those before it that are still ending.

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{core::NewPace, logins::Logins};
use crate::{
    clock::SharedClock,
    config::model::Config,
    probe::{LatenessSnapshot, ProbeOutput, Schedule, ScheduleHandle},
};

/// Reports that may wait for the core; a full queue makes probes wait rather than lose a verdict.
const REPORTS: usize = 4096;

/// A schedule and what comes out of it.
pub(super) struct Probes {
    pub(super) schedule: ScheduleHandle,
    pub(super) reports: mpsc::Receiver<ProbeOutput>,
    /// Schedules of earlier configs, which finish what they have under way, clean-up included.
    ending: JoinSet<()>,
    /// The process is to end: they have no more time than the one that is running.
    end: CancellationToken,
}

impl Probes {
    pub(super) fn begin(config: &Config, logins: &Logins, clock: &SharedClock, seed: u64) -> Self {
        let (out, reports) = mpsc::channel(REPORTS);
        let (components, sessions) = (&config.components, logins.sessions());
        let schedule = Schedule::start(components, sessions, &config.canary, clock, seed, out);
        Self { schedule, reports, ending: JoinSet::new(), end: CancellationToken::new() }
    }

    /// Goes on with another config at once; what the old schedule still has under way ends and is cleaned up beside. Its reports that were
    /// not taken are lost with it: their places are not those of the new one.
    pub(super) fn go_on(&mut self, config: &Config, logins: &Logins, clock: &SharedClock, seed: u64) {
        let (out, reports) = mpsc::channel(REPORTS);
        let (components, sessions) = (&config.components, logins.sessions());
        let schedule =
            Schedule::go_on(&self.schedule, components, sessions, &config.canary, clock, seed, out);
        let old = std::mem::replace(&mut self.schedule, schedule);
        self.reports = reports;
        // Those that have ended are taken out, so that many reloads leave nothing behind.
        while self.ending.try_join_next().is_some() {}
        self.ending.spawn(old.finish(self.end.clone()));
    }

    pub(super) fn set_paces(&self, paces: Vec<NewPace>) {
        for (place, pace) in paces {
            self.schedule.set_pace(place, pace);
        }
    }

    /// Ends all probes, and those of earlier configs; says how late they started.
    pub(super) async fn stop(mut self) -> LatenessSnapshot {
        let lateness = self.schedule.lateness();
        self.end.cancel();
        self.ending.spawn(self.schedule.stop());
        while self.ending.join_next().await.is_some() {}
        lateness
    }
}
