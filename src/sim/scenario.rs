//! What happens to the simulated platforms, and when.
//!
//! A scenario is a TOML file; `config/scenarios/README.md` tells users all that it may hold.
//!
//! Invariant: a scenario that exists was valid as a whole, and its changes are in the order of their time.

mod built_in;
mod condition;
mod failover;
mod read;
mod settings;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

pub use self::{
    condition::Condition,
    settings::{LimitHeaders, Settings},
    state::State,
};
use super::service::Service;
pub use crate::config::Finding;

/// Timed changes of the simulated platforms, and how these are from the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Time after which it starts over.
    cycle: Option<Duration>,
    demand_login: bool,
    /// By platform; one that is not there has the defaults.
    settings: BTreeMap<&'static str, Settings>,
    /// In the order of their time; those of one time in the order of the file, failovers last.
    changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    at: Duration,
    target: Target,
    /// The only thing of the target that changes, by its id; all of them where there is none.
    only: Option<Arc<str>>,
    state: Option<State>,
    served_by: Option<Arc<str>>,
    /// Whether a switch to another region is under way.
    moving: Option<bool>,
    median: Option<Duration>,
    sigma: Option<f64>,
    /// How far the platform's clock is ahead.
    skew: Option<chrono::TimeDelta>,
    /// How long an answer lay in a cache.
    age: Option<Duration>,
    /// Whether every token that was issued before is void from now on.
    revoke: bool,
}

impl Change {
    /// One that changes nothing yet.
    const fn new(at: Duration, target: Target) -> Self {
        Self {
            at,
            target,
            only: None,
            state: None,
            served_by: None,
            moving: None,
            median: None,
            sigma: None,
            skew: None,
            age: None,
            revoke: false,
        }
    }
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// One service.
    Service(Service),
    /// All services of a platform.
    Platform(&'static str),
    /// Everything.
    All,
}

impl Target {
    fn covers(self, service: Service) -> bool {
        match self {
            Self::Service(one) => one == service,
            Self::Platform(platform) => platform == service.platform(),
            Self::All => true,
        }
    }
}

/// Why a text is no scenario: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// At least one, in the order of the file.
    pub findings: Vec<Finding>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, finding) in self.findings.iter().enumerate() {
            if place > 0 {
                formatter.write_str("\n")?;
            }
            finding.fmt(formatter)?;
        }
        Ok(())
    }
}

impl Scenario {
    /// Reads a scenario; `file` is how the errors name the text.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScenarioError> {
        read::scenario(text, file)
    }

    /// The text of a built-in scenario.
    #[must_use]
    pub fn built_in(name: &str) -> Option<&'static str> {
        built_in::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// The names of the built-in scenarios.
    #[must_use]
    pub fn built_in_names() -> [&'static str; built_in::ALL.len()] {
        built_in::ALL.map(|(name, _)| name)
    }

    /// Whether Genesys Cloud and `CXone` ask for one of their tokens.
    #[must_use]
    pub const fn demands_login(&self) -> bool {
        self.demand_login
    }

    /// Time after which it starts over.
    #[must_use]
    pub const fn cycle(&self) -> Option<Duration> {
        self.cycle
    }

    /// How a platform is from the start.
    #[must_use]
    pub fn settings(&self, platform: &'static str) -> Settings {
        self.settings.get(platform).cloned().unwrap_or_else(|| Settings::of(platform))
    }

    /// How a service as a whole is so long after the start.
    #[must_use]
    pub fn condition(&self, service: Service, elapsed: Duration) -> Condition {
        self.condition_of(service, None, elapsed)
    }

    /// How one thing of a service is so long after the start: a trunk, a flow, a skill, by its id.
    #[must_use]
    pub fn condition_of(&self, service: Service, id: Option<&str>, elapsed: Duration) -> Condition {
        let (began, within) = self.place(elapsed);
        let before = match (self.cycle, began) {
            (Some(cycle), Some(began)) => {
                let last = self.follow(service, id, cycle, began.saturating_sub(cycle), Condition::default());
                last.at_home_again(began)
            }
            _ => Condition::default(),
        };
        self.follow(service, id, within, began.unwrap_or_default(), before)
    }

    /// When the tokens of a platform were last revoked, after the start.
    #[must_use]
    pub fn revoked(&self, platform: &str, elapsed: Duration) -> Option<Duration> {
        let (began, within) = self.place(elapsed);
        let last = |until: Duration| {
            let covers = |target| match target {
                Target::Service(service) => service.platform() == platform,
                Target::Platform(named) => named == platform,
                Target::All => true,
            };
            let due = self.changes.iter().take_while(|change| change.at <= until);
            due.filter(|change| change.revoke && covers(change.target)).map(|change| change.at).last()
        };
        let before = || Some(began?.saturating_sub(self.cycle?) + last(self.cycle?)?);
        last(within).map(|at| began.unwrap_or_default() + at).or_else(before)
    }

    /// The ids that changes of a service name.
    #[must_use]
    pub fn named(&self, service: Service) -> BTreeSet<&str> {
        let about = self.changes.iter().filter(|change| change.target.covers(service));
        about.filter_map(|change| change.only.as_deref()).collect()
    }

    /// When the present cycle began, unless it is the first, and the time since.
    fn place(&self, elapsed: Duration) -> (Option<Duration>, Duration) {
        let Some(cycle) = self.cycle else { return (None, elapsed) };
        let within = Duration::from_nanos(u64::try_from(elapsed.as_nanos() % cycle.as_nanos()).unwrap_or(0));
        let began = elapsed.saturating_sub(within);
        (Some(began).filter(|began| !began.is_zero()), within)
    }

    /// Applies the changes up to `until`, a time within the cycle that began at `began`.
    fn follow(
        &self,
        service: Service,
        id: Option<&str>,
        until: Duration,
        began: Duration,
        mut condition: Condition,
    ) -> Condition {
        let due = self.changes.iter().take_while(|change| change.at <= until);
        let about = due.filter(|change| {
            change.target.covers(service) && (change.only.is_none() || change.only.as_deref() == id)
        });
        for change in about {
            condition.apply(change, began + change.at);
        }
        condition
    }
}
