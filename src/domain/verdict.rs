//! What a probe says, and what the tracker has made of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one probe says of its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The whole journey and every dependency passed.
    Up,
    /// The health step fails or nothing answers.
    Down,
    /// A later step or a dependency fails.
    Degraded,
    /// We could not see: throttled, login failing, the runner itself cut off.
    Blind,
}

impl Verdict {
    /// `down` and `degraded` are bad; `blind` is neither good nor bad.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Down | Self::Degraded)
    }

    /// The word on screens and in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Degraded => "degraded",
            Self::Blind => "blind",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// What is known of a component from its confirmed verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has been seen yet, or not since a gap.
    #[default]
    Unobserved,
    /// The last counted verdict was good and no outage is open.
    Up,
    /// An outage is open.
    Down,
    /// An outage is open and a declared secondary has taken over.
    FailedOver,
    /// An outage is open and good verdicts have begun, not enough of them yet.
    Recovering,
}

impl Phase {
    /// Whether an outage is open in this phase.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Down | Self::FailedOver | Self::Recovering)
    }

    /// The word on screens and in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unobserved => "unobserved",
            Self::Up => "up",
            Self::Down => "down",
            Self::FailedOver => "failed_over",
            Self::Recovering => "recovering",
        }
    }
}
