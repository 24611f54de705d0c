//! `warroom config`: a first config, its schema, the effective one.

use super::{Exit, Global, Outcome, Output, start};
use crate::config;

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
    /// Print the effective config: defaults filled in, secrets hidden.
    Show,
}

/// Prints it.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    let text = match args.what {
        What::Init => config::first().to_owned(),
        What::Schema => config::schema(),
        What::Show => config::show(&start::need_config(global, output)?.config),
    };
    for line in text.lines() {
        output.line(line)?;
    }
    Ok(Exit::Good)
}
