//! Chain health: which links of a component's chain failed in an outage, and which one held its recovery back.
//!
//! A link is a step of the component's own journey or of a dependency's. A component is restored only when every link
//! passes; a monitor that asks the health step alone would have called it restored earlier, and falsely so.

use serde::{Deserialize, Serialize};

/// A link that failed in an outage, and when it came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The step; a dependency's with the dependency's name before it, as in `failed_steps`.
    pub name: String,
    /// Whether it is the component's own health step.
    #[serde(default)]
    pub health: bool,
    /// Seconds from T_detect to the end of the first passing run after which it failed no more; `None` while it has not been seen passing.
    pub restored_after_seconds: Option<f64>,
}

/// What a record says of the chain. A record from before this was measured has none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChainHealth {
    /// Every link that failed, in the order in which they came back.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Seconds from T_detect to the instant from which the health step stayed good; `None` when it never failed.
    #[serde(default)]
    pub health_restored_after_seconds: Option<f64>,
    /// The link that came back last, when it was seen bad while the health step was good.
    #[serde(default)]
    pub held_back_by: Option<String>,
    /// Seconds from the return of the health step to T_restore: by so much a recovery judged by the health step alone
    /// would have been told too early. `None` when nothing held the recovery back, or when the health step never failed.
    #[serde(default)]
    pub held_back_seconds: Option<f64>,
}

impl ChainHealth {
    /// The links by name and time, as one text: `flow status +12.0 s; CRM lookup: query +41.0 s`.
    #[must_use]
    pub fn told(&self) -> String {
        let told = |link: &Link| match link.restored_after_seconds {
            Some(after) => format!("{} +{after:.1} s", link.name),
            None => format!("{} not seen back", link.name),
        };
        self.links.iter().map(told).collect::<Vec<_>>().join("; ")
    }
}

/// What an open outage waits for although its health step is back: seconds from T_detect to the health step's return,
/// and the links that are still bad. `None` while the health step is bad, when it never failed, and when nothing is bad any more.
#[must_use]
pub fn waiting(links: &[Link]) -> Option<(f64, Vec<&str>)> {
    let back = links.iter().find(|link| link.health)?.restored_after_seconds?;
    let bad: Vec<&str> = links
        .iter()
        .filter(|link| !link.health && link.restored_after_seconds.is_none())
        .map(|link| link.name.as_str())
        .collect();
    (!bad.is_empty()).then_some((back, bad))
}
