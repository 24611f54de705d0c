//! Consoles that attach to a running engine: the built binary in real terminals, beside a real agent.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "engine_lifecycle/agent.rs"]
mod agent;
#[path = "attaching/away.rs"]
mod away;
#[path = "attaching/beside.rs"]
mod beside;
#[path = "attaching/host.rs"]
mod host;
#[path = "terminal/platform.rs"]
mod platform;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "terminal/pty.rs"]
mod pty;
#[path = "attaching/refused.rs"]
mod refused;

use platform::{Platform, answer, component, write_config};
use pty::{Plan, Session};

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

/// A console on the data folder of `folder`, which is told no config.
fn console(folder: &std::path::Path, options: &[&str]) -> Session {
    let data = agent::data(folder);
    Session::start(Plan { data: Some(&data), options, size: (120, 40), ..Plan::CONSOLE })
}
