//! What happens to the simulated platforms, and when.
//!
//! A scenario is a TOML file:
//!
//! ```toml
//! cycle        = "3m"             # then it starts over; left out, the last change stays
//! demand_login = false            # true: Genesys Cloud and CXone answer 401 without one of their tokens
//!
//! [[changes]]
//! at        = "8s"                # after the start, or after the start of each cycle
//! target    = "genesys/flow"      # a service, or a platform for all of its services
//! state     = "down"              # up | down | failing | refused | throttled | slow
//! status    = 503                 # of `down`: 500 to 599; 503 unless told
//! served_by = "us-west-2"         # who serves it from now on, until another change says so
//!
//! [[changes]]
//! at          = "18s"
//! target      = "wem"
//! state       = "throttled"       # 429
//! retry_after = "4s"              # of `throttled` and `down`; left out, there is no such header
//!
//! [[changes]]
//! at      = "20s"
//! target  = "wfm/schedule"
//! state   = "slow"
//! latency = "1500ms"              # of `slow`: so much more than usual, at most a minute
//! ```
//!
//! `failing` answers 200 with a body that says that the service does not work; `refused` closes the connection
//! without an answer. Every `[[changes]]` needs `at`, `target` and one of `state` and `served_by`.
//!
//! Invariant: a scenario that exists was valid as a whole, and its changes are in the order of their time.

mod read;

use std::{fmt, sync::Arc, time::Duration};

use super::service::Service;

/// Timed changes of the simulated platforms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Time after which it starts over.
    cycle: Option<Duration>,
    demand_login: bool,
    /// In the order of their time; those of one time in the order of the file.
    changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    at: Duration,
    target: Target,
    state: Option<State>,
    served_by: Option<Arc<str>>,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// One service.
    Service(Service),
    /// All services of a platform.
    Platform(&'static str),
}

impl Target {
    fn covers(self, service: Service) -> bool {
        match self {
            Self::Service(one) => one == service,
            Self::Platform(platform) => platform == service.platform(),
        }
    }
}

/// How a service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It works.
    #[default]
    Up,
    /// It answers with an error of the server's.
    Down {
        /// 500 to 599.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It answers 200 and says that it does not work.
    Failing,
    /// It closes the connection without an answer.
    Refused,
    /// It answers 429.
    Throttled {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It works, later than usual.
    Slow {
        /// How much later.
        latency: Duration,
    },
}

/// How a service is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its state.
    pub state: State,
    /// When that state began, after the scenario's start; `None` when it was always so.
    pub since: Option<Duration>,
    /// Who serves it; `None` for the service's usual.
    pub served_by: Option<Arc<str>>,
}

/// Why a text is no scenario: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// At least one, in the order of the file.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What is wrong and what would be right; names the key.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.message)
    }
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

    /// How a service is so long after the start.
    #[must_use]
    pub fn condition(&self, service: Service, elapsed: Duration) -> Condition {
        let (began, within) = self.place(elapsed);
        let before = match (self.cycle, began) {
            (Some(cycle), Some(began)) => {
                let last = self.follow(service, cycle, began.saturating_sub(cycle), Condition::peace(None));
                let since = if last.state == State::Up { last.since } else { Some(began) };
                Condition::peace(since)
            }
            _ => Condition::peace(None),
        };
        self.follow(service, within, began.unwrap_or_default(), before)
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
        until: Duration,
        began: Duration,
        mut condition: Condition,
    ) -> Condition {
        let due = self.changes.iter().take_while(|change| change.at <= until);
        for change in due.filter(|change| change.target.covers(service)) {
            if let Some(state) = change.state
                && state != condition.state
            {
                condition.state = state;
                condition.since = Some(began + change.at);
            }
            if let Some(served_by) = &change.served_by {
                condition.served_by = Some(Arc::clone(served_by));
            }
        }
        condition
    }
}

impl Condition {
    const fn peace(since: Option<Duration>) -> Self {
        Self { state: State::Up, since, served_by: None }
    }
}
