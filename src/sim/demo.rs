//! The demo: a config of a dozen components on the simulated platforms, and the scenario that they follow.

use std::{net::SocketAddr, sync::Arc};

use super::scenario::{Scenario, ScenarioError};
use crate::config::{
    self, Rejected,
    model::{Config, Secret},
};

const CONFIG: &str = include_str!("demo/warroom.toml");
const SCENARIO: &str = include_str!("demo/scenario.toml");
/// Stands in the config for where the simulated platforms listen.
const ADDRESS: &str = "127.0.0.1:0";

/// The demo's config for simulated platforms that listen at `address`.
#[must_use]
pub fn demo_config(address: SocketAddr) -> String {
    CONFIG.replace(ADDRESS, &address.to_string())
}

/// The same, read: marked as a demo, and with logins that the simulated platforms are content with.
pub fn demo(address: SocketAddr) -> Result<Config, Rejected> {
    let mut config = config::parse(&demo_config(address), "the demo's config")?.config;
    Arc::make_mut(&mut config.roster).demo = true;
    for login in config.platforms.values_mut().filter_map(|platform| Arc::make_mut(platform).login.as_mut()) {
        (login.id, login.secret) = (Secret::Simulated, Secret::Simulated);
    }
    for component in &mut config.components {
        let component = Arc::make_mut(component);
        if let Some(platform) = config.platforms.get(&component.platform.id) {
            component.platform = Arc::clone(platform);
        }
    }
    Ok(config)
}

/// The demo's scenario.
pub fn demo_scenario() -> Result<Scenario, ScenarioError> {
    Scenario::parse(SCENARIO, "the demo's scenario")
}
