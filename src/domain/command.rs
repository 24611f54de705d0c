//! What a person or a program asks of the engine.

use serde::{Deserialize, Serialize};

use super::ComponentId;

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
}
