//! `warroom` without a subcommand: the console.

use super::{Failure, Global, Outcome, Output};

/// The ids of this file's options, which mean nothing beside a subcommand.
pub const OPTIONS: [&str; 5] = ["demo", "theme", "color", "ascii", "fps"];

/// Options of the console.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Console")]
pub struct Args {
    /// Show the demo: simulated platforms in this process, a temporary data folder, nothing real.
    #[arg(long)]
    pub demo: bool,
    /// The theme; `T` in the console steps through them.
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// How many colours the terminal has.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colors::Auto)]
    pub color: Colors,
    /// Draw with ASCII characters alone.
    #[arg(long)]
    pub ascii: bool,
    /// Draw at most so many frames a second.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub fps: u8,
}

/// How many colours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colors {
    /// What the terminal says: `NO_COLOR`, `COLORTERM`, `TERM`.
    Auto,
    /// None.
    Never,
    /// The terminal's sixteen.
    #[value(name = "16")]
    Sixteen,
    /// The fixed palette of 256.
    #[value(name = "256")]
    Palette,
    /// All.
    #[value(name = "true")]
    True,
}

/// Opens the console.
pub fn run(_global: &Global, _args: &Args, _output: &mut Output) -> Outcome {
    Err(Failure::cannot_go_on(anyhow::anyhow!("the console is not wired yet")))
}
