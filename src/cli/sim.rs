//! `warroom sim`: the simulated platforms as a server.

use std::{net::SocketAddr, path::PathBuf};

use super::{Failure, Global, Outcome, Output};

/// Serves the simulated platforms that the demo uses, to try a config on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom sim
  warroom sim --listen 127.0.0.1:8651 --scenario outage.toml")]
pub struct Args {
    /// Where to listen: loopback unless told.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8650")]
    pub listen: SocketAddr,
    /// What happens when; the demo's own scenario unless told.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

/// Serves them.
pub fn run(_global: &Global, _args: &Args, _output: &mut Output) -> Outcome {
    Err(Failure::cannot_go_on(anyhow::anyhow!("sim is not wired yet")))
}
