//! The demo: a config of a dozen components on the simulated platforms, and the scenario that they follow.

use std::net::SocketAddr;

use super::scenario::{Scenario, ScenarioError};

const CONFIG: &str = include_str!("demo/warroom.toml");
const SCENARIO: &str = include_str!("demo/scenario.toml");
/// Stands in the config for where the simulated platforms listen.
const ADDRESS: &str = "127.0.0.1:0";

/// The demo's config for simulated platforms that listen at `address`.
#[must_use]
pub fn demo_config(address: SocketAddr) -> String {
    CONFIG.replace(ADDRESS, &address.to_string())
}

/// The demo's scenario.
pub fn demo_scenario() -> Result<Scenario, ScenarioError> {
    Scenario::parse(SCENARIO, "the demo's scenario")
}
