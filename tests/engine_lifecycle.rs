//! The engine through kills, restarts and bad disks: what was told is kept, what goes on is said.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "engine_lifecycle/agent.rs"]
mod agent;
#[path = "engine_lifecycle/disk.rs"]
mod disk;
#[path = "engine_lifecycle/kill.rs"]
mod kill;
#[path = "terminal/platform.rs"]
mod platform;
#[path = "engine_lifecycle/reload.rs"]
mod reload;
#[path = "engine_lifecycle/trust.rs"]
mod trust;
#[path = "engine_lifecycle/upgrade.rs"]
mod upgrade;

use platform::{Platform, answer, component, write_config};

/// A platform that is well, and a folder with a config of one component on it.
fn well() -> (Platform, tempfile::TempDir) {
    let platform = Platform::start(good());
    let folder = tempfile::tempdir().unwrap();
    let config = component("web", "Web front", 1, "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']");
    write_config(folder.path(), &platform.config(&config));
    (platform, folder)
}

fn good() -> Vec<u8> {
    answer("200 OK", b"", "{}")
}

fn bad() -> Vec<u8> {
    answer("503 Service Unavailable", b"", "{}")
}
