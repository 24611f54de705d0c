//! What a person or a program asks of the engine.

use serde::{Deserialize, Serialize};

use super::{ComponentId, Role};

/// A wish; the engine answers with events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Probe this component at once, besides its schedule.
    ProbeNow {
        /// Which one.
        component_id: ComponentId,
    },
    /// Examine the whole chain once; the findings come as one event.
    Diagnose,
    /// Say that somebody looks after an open outage. One that is closed by now is refused.
    Acknowledge {
        /// Whose outage.
        component_id: ComponentId,
        /// Which one, so that it is never the next one that is acknowledged by mistake.
        outage_id: String,
    },
    /// Read the config again and go on with it, or keep the old one and say why.
    Reload,
}

impl Command {
    /// What somebody must be allowed to give it.
    #[must_use]
    pub const fn needs(&self) -> Role {
        match self {
            Self::ProbeNow { .. } | Self::Diagnose | Self::Acknowledge { .. } | Self::Reload => Role::Operate,
        }
    }
}
