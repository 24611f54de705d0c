//! Who looks and who acts: people, what they may do, and the consoles that they have open.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::time::rfc3339_millis;

/// A person as the system knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user's number.
    pub uid: u32,
    /// The user's login name, or `uid 1000` where the system knows none.
    pub login: String,
    /// Who is behind a user that several share, `root` above all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
}

/// The person who became another user, with sudo for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// The login name.
    pub login: String,
    /// Whether the kernel says so (the audit login id); otherwise only the person's own environment does.
    pub proven: bool,
}

impl Person {
    /// The name by which somebody is known from one attach to the next.
    #[must_use]
    pub fn key(&self) -> &str {
        self.behind.as_ref().map_or(&self.login, |behind| &behind.login)
    }
}

impl fmt::Display for Person {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.behind {
            None => formatter.write_str(&self.login),
            Some(behind) if behind.proven => write!(formatter, "{} as {}", behind.login, self.login),
            Some(behind) => write!(formatter, "{}? as {}", behind.login, self.login),
        }
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Watch,
    /// Look and act.
    Operate,
}

impl Role {
    /// The word on screens.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Watch => "watches",
            Self::Operate => "operates",
        }
    }
}

/// A console that is attached to the engine, the engine's own one among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Tells consoles apart, even two of one person; never used twice by an engine.
    pub id: u64,
    /// Whose.
    pub who: Person,
    /// What it may do.
    pub role: Role,
    /// Since when.
    #[serde(with = "rfc3339_millis")]
    pub since: DateTime<Utc>,
    /// The terminal, as the person's side names it: `pts/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    /// The host from which the person came, as their side names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether the engine lives in this console's process, and ends with it.
    #[serde(default)]
    pub is_host: bool,
}
