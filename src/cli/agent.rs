//! `warroom agent`: the engine without a screen.

use std::time::Duration;

use super::{Failure, Global, Outcome, Output};

/// Measures without a screen, as a service.
///
/// SIGHUP reloads the config; SIGINT and SIGTERM end it. One engine works on a data folder at a time: a second one says
/// who holds it and exits with 2.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom agent --config /etc/warroom/warroom.toml --data-dir /var/lib/warroom
  warroom agent --for 10m --events json | jq 'select(.event == \"recovery\")'")]
pub struct Args {
    /// End after so long, with exit 0: 90s, 10m.
    #[arg(long = "for", value_name = "DURATION", value_parser = super::duration)]
    pub length: Option<Duration>,
    /// Print what happens, one object a line.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub events: Option<EventFormat>,
}

/// The form of a printed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EventFormat {
    /// One JSON object a line.
    Json,
}

/// Runs it.
pub fn run(_global: &Global, _args: &Args, _output: &mut Output) -> Outcome {
    Err(Failure::cannot_go_on(anyhow::anyhow!("the agent is not wired yet")))
}
