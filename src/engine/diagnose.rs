//! Examines the whole chain once: names, certificates, logins, permissions, each step, clock, disk, load and budget.
//!
//! Invariants: it decides nothing and records nothing; its connections are its own; every trouble comes with what to do
//! about it.

mod hosts;
mod machine;
mod platforms;
mod steps;
mod time;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::diagnosis::{Diagnosis, Finding},
    platform::Session,
    probe::{Client, LatenessSnapshot},
};

/// How long one part may take that nobody else limits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is examined.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The config.
    pub config: Arc<Config>,
    /// The data folder, where one is known.
    pub folder: Option<PathBuf>,
    /// The clocks.
    pub clock: SharedClock,
    /// Feeds jitter.
    pub seed: u64,
    /// The clients of a running engine, whose sessions and budgets are shared; a platform without one gets its own.
    pub clients: Vec<Arc<Client>>,
    /// How late a running engine's probes start.
    pub lateness: Option<LatenessSnapshot>,
    /// Whether an engine measures meanwhile with the same config: then the journeys take a tenth of the budget.
    pub beside: bool,
    /// Ends it early: no further journey begins, and the one under way cleans up within two seconds.
    pub stop: CancellationToken,
}

/// Examines everything; `findings` are known already and come first. Must be called inside a tokio runtime. Takes as long
/// as the slowest platform's journeys, one after the other. Once stopped it says what it had found.
pub async fn diagnose(examined: Examined, mut findings: Vec<Finding>) -> Diagnosis {
    let Examined { config, folder, clock, seed, clients: running, lateness, beside, stop } = examined;
    let mut random = fastrand::Rng::with_seed(seed);
    let clients: Vec<Arc<Client>> = config
        .platforms
        .values()
        .map(|platform| {
            if let Some(client) = running.iter().find(|client| *client.platform() == platform.id) {
                return client.beside(platform);
            }
            let session = Session::start(platform, &clock, random.u64(..));
            Client::new(platform, session, Arc::clone(&clock))
        })
        .collect();
    // Before anything of ours keeps this machine busy.
    let before = async {
        let load = machine::load(lateness, &clock).await;
        let (mut found, logins) =
            tokio::join!(hosts::examine(&config, &clock), platforms::logins(&config, &clients));
        found.extend(hosts::examine_found(&config, &clients, &clock).await);
        found.extend(logins);
        found.extend(load);
        found
    };
    findings.extend(stop.run_until_cancelled(before).await.unwrap_or_default());
    // These end by themselves, with what they have begun cleaned up.
    findings.extend(steps::examine(&config, &clients, &clock, beside, &stop).await);
    let after = async {
        let group = config.agent.group.clone();
        tokio::join!(
            time::examine(&config, &clients, &clock, random.u64(..)),
            machine::disk(folder, group, &clock)
        )
    };
    if let Some((time, disk)) = stop.run_until_cancelled(after).await {
        findings.extend(time);
        findings.extend(disk);
    }
    findings.extend(platforms::budgets(&config, &clients));
    findings.sort_by_key(|finding| finding.area);
    Diagnosis { at: clock.wall(), findings }
}

/// `3.2 ms`.
fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
