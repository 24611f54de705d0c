//! The three tiers and the band in which a target RTO must lie.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// How urgent a component's recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Tier {
    /// Target 0 to 60 s: real-time media, primary IVR, live dashboards, API gateways.
    One,
    /// Target over 60 and up to 300 s: secondary queues, WFM, analytics, replication.
    Two,
    /// Target over 300 s: batch, archive, non-production, config backup.
    Three,
}

impl Tier {
    /// All tiers, most urgent first.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// 0, 1 or 2: the place in a table of all tiers.
    #[must_use]
    pub const fn index(self) -> usize {
        self.number() as usize - 1
    }

    /// Whether a target RTO lies in this tier's band.
    #[must_use]
    pub fn admits(self, target: Duration) -> bool {
        const ONE: Duration = Duration::from_mins(1);
        const TWO: Duration = Duration::from_mins(5);
        match self {
            Self::One => !target.is_zero() && target <= ONE,
            Self::Two => target > ONE && target <= TWO,
            Self::Three => target > TWO,
        }
    }

    /// The band in words: `0–60 s`.
    #[must_use]
    pub const fn band(self) -> &'static str {
        match self {
            Self::One => "0–60 s",
            Self::Two => "60–300 s",
            Self::Three => "over 300 s",
        }
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        tier.number()
    }
}

impl TryFrom<u8> for Tier {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.number() == number)
            .ok_or_else(|| format!("tier {number} does not exist; it is 1, 2 or 3"))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.number())
    }
}
