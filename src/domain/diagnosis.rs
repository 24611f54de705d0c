//! What an examination of the whole chain found: from name resolution to the disk, each with what to do about it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::time::rfc3339_millis;

/// A link of the chain that is examined, in the order in which they depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The config.
    Config,
    /// Name resolution.
    Names,
    /// Connections and certificates.
    Tls,
    /// Logins.
    Login,
    /// What the logins are allowed.
    Permissions,
    /// Each step of each component.
    Steps,
    /// The runner's clock.
    Clock,
    /// The data folder.
    Disk,
    /// The machine's load.
    Load,
    /// How many requests the platforms allow.
    Budget,
}

impl Area {
    /// The word on screens and in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Names => "names",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Permissions => "permissions",
            Self::Steps => "steps",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Load => "load",
            Self::Budget => "budget",
        }
    }
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and something should be done.
    Warning,
    /// It does not work.
    Failed,
}

impl Grade {
    /// The word on screens.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

/// One thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which link of the chain.
    pub area: Area,
    /// Of whom: a host, a platform, a component's step, a time source.
    pub subject: String,
    /// How it is.
    pub grade: Grade,
    /// What was found, cleaned.
    pub what: String,
    /// What to do; nothing where all is well.
    pub cure: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(area: Area, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { area, subject: subject.into(), grade: Grade::Ok, what: what.into(), cure: None }
    }

    /// Something should be done.
    #[must_use]
    pub fn warning(
        area: Area,
        subject: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        let cure = Some(cure.into()).filter(|cure: &String| !cure.is_empty());
        Self { area, subject: subject.into(), grade: Grade::Warning, what: what.into(), cure }
    }

    /// It does not work.
    #[must_use]
    pub fn failed(
        area: Area,
        subject: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { grade: Grade::Failed, ..Self::warning(area, subject, what, cure) }
    }
}

/// Everything that one examination found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// When it was finished.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// What was found, area by area.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// The worst grade; `Ok` where nothing was found.
    #[must_use]
    pub fn worst(&self) -> Grade {
        self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Ok)
    }

    /// How many findings have this grade.
    #[must_use]
    pub fn count(&self, grade: Grade) -> usize {
        self.findings.iter().filter(|finding| finding.grade == grade).count()
    }
}
