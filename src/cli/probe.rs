//! `warroom probe COMPONENT`: one journey now.

use super::{Failure, Global, Outcome, Output};

/// Runs one component's journey now, step by step.
///
/// Says of each step what it did, what came of it and how long each part took.
///
/// Takes no lock and records nothing, so it works beside a running engine. Exit 0 when the component is up.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom probe crm_lookup
  warroom probe crm_lookup --json | jq '.steps[].timings'")]
pub struct Args {
    /// The component's id in the config.
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(_global: &Global, _args: &Args, _output: &mut Output) -> Outcome {
    Err(Failure::cannot_go_on(anyhow::anyhow!("probe is not wired yet")))
}
