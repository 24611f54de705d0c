//! What is measured: the part of the config that screens and records name.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ComponentId, PlatformId, Tier};

/// Whether drills may disturb what is measured here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Nobody's calls depend on it.
    Sandbox,
    /// Customers depend on it; drills are narrowed.
    Production,
}

impl Environment {
    /// The word on screens.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// Everything that an engine measures, in the order of the config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    /// The `tenant` of the config.
    pub tenant: String,
    /// Sandbox or production.
    pub environment: Environment,
    /// Whether this is the demo on simulated platforms.
    pub demo: bool,
    /// The window of the rolling compliance.
    pub window: Duration,
    /// The platforms.
    pub platforms: Vec<PlatformCard>,
    /// The components.
    pub components: Vec<ComponentCard>,
}

impl Roster {
    /// Where a component stands in `components`.
    #[must_use]
    pub fn position(&self, id: &ComponentId) -> Option<usize> {
        self.components.iter().position(|card| card.id == *id)
    }
}

/// One platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformCard {
    /// Its name in the config.
    pub id: PlatformId,
    /// `genesys`, `cxone` or `http`.
    pub kind: String,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentCard {
    /// Its `id`.
    pub id: ComponentId,
    /// Its `name`, or its id.
    pub name: Arc<str>,
    /// Its platform.
    pub platform: PlatformId,
    /// Its tier.
    pub tier: Tier,
    /// The time within which it must be restored.
    pub target_rto: Duration,
    /// `flow`, `trunk`, `queue`, `dashboard`, `api`, `data`, `batch` or `other`.
    pub kind: String,
    /// The probe interval in peace.
    pub cadence: Duration,
    /// The probe interval while an outage is open.
    pub burst: Duration,
    /// Its journey.
    pub steps: Vec<StepCard>,
    /// The components that it needs.
    pub depends_on: Vec<ComponentId>,
    /// Pools, locks and limits that it shares with others.
    pub shares: Vec<String>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Where its runbook is.
    pub runbook: Option<String>,
    /// Never a drill's target.
    pub protected: bool,
    /// How it fails over, in words.
    pub mechanism: Option<String>,
    /// Values of `served_by` that are the primary.
    pub primary: Vec<String>,
    /// Values of `served_by` that are a secondary.
    pub secondary: Vec<String>,
    /// Whether any step that speaks for its health can be run by this version; without one it stays unobserved.
    pub observable: bool,
}

/// One step of a journey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCard {
    /// Its name.
    pub name: Arc<str>,
    /// What it does, in words: `GET /ready`, `TCP db:5432`.
    pub what: String,
    /// Whether it is the health step.
    pub health: bool,
    /// Whether it runs together with the step before.
    pub parallel: bool,
    /// Whether it only cleans up.
    pub cleanup: bool,
}
