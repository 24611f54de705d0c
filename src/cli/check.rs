//! `warroom check`: what is wrong with the config.

use super::{Failure, Global, Outcome, Output};

/// Looks for mistakes in the config.
///
/// Names all of them at once, each with its file, line, key and cure. Logs in nowhere and resolves no secret. Exit 0 when the config is right, warnings or not; 2 when it is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom check
  warroom check --config ./warroom.toml")]
pub struct Args {}

/// Checks it.
pub fn run(_global: &Global, _args: &Args, _output: &mut Output) -> Outcome {
    Err(Failure::cannot_go_on(anyhow::anyhow!("check is not wired yet")))
}
