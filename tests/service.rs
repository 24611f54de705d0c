//! The agent as a service: what the service manager is told, what the journal gets, and the unit itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "engine_lifecycle/agent.rs"]
#[expect(dead_code, reason = "the command line's tests use more of it")]
mod agent;
#[path = "service/journal.rs"]
mod journal;
#[path = "service/manager.rs"]
mod manager;
#[path = "terminal/platform.rs"]
mod platform;
#[path = "real/process.rs"]
#[expect(dead_code, reason = "the tests with real peers start them")]
mod process;
#[path = "service/unit.rs"]
mod unit;

use platform::{Platform, answer, component, write_config};

/// A platform that is well, and a folder with a config of one component on it.
fn well() -> (Platform, tempfile::TempDir) {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let folder = tempfile::tempdir().unwrap();
    let config = component("web", "Web front", 1, "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']");
    write_config(folder.path(), &platform.config(&config));
    (platform, folder)
}
