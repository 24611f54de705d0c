//! The command line as scripts use it: exit codes, streams, and what is printed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "engine_lifecycle/agent.rs"]
mod agent;
#[path = "command_line/beside.rs"]
mod beside;
#[path = "command_line/codes.rs"]
mod codes;
#[path = "command_line/events.rs"]
mod events;
#[path = "command_line/help.rs"]
mod help;
#[path = "command_line/online.rs"]
mod online;
#[path = "terminal/platform.rs"]
mod platform;

use std::process::Output;

use platform::{Platform, answer, component, write_config};

/// A platform that is well, and a folder with a config of three components on it.
fn three() -> (Platform, tempfile::TempDir) {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let folder = tempfile::tempdir().unwrap();
    let step = "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']";
    let components = [("ivr", 1), ("crm", 1), ("wfm", 2)].map(|(id, tier)| component(id, id, tier, step));
    write_config(folder.path(), &platform.config(&components.concat()));
    (platform, folder)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}
