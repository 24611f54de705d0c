//! `warroom config`: a first config, its schema, the effective one.

use super::{Failure, Global, Outcome, Output};

/// Writes a first config, prints its schema, or shows the effective one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom config init > warroom.toml
  warroom config schema > warroom.schema.json
  warroom config show --config warroom.toml")]
pub struct Args {
    /// Which of them.
    #[command(subcommand)]
    pub what: What,
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum What {
    /// Print a commented first config.
    Init,
    /// Print the config's JSON schema.
    Schema,
    /// Print the effective config: defaults filled in, presets expanded, secrets hidden.
    Show,
}

/// Prints it.
pub fn run(_global: &Global, _args: &Args, _output: &mut Output) -> Outcome {
    Err(Failure::cannot_go_on(anyhow::anyhow!("config is not wired yet")))
}
