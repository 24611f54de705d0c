//! The command line: what can be asked of `warroom`, and what the process says when it ends.
//!
//! Invariants: standard output carries results, standard error words; no failure exits with 0; each subcommand has a
//! file of its own, which holds no logic that another room should own.

mod absent;
pub mod agent;
mod attach;
pub mod check;
pub mod completions;
pub mod config;
pub mod console;
pub mod man;
pub mod output;
mod plain;
pub mod probe;
pub mod records;
pub mod sim;
mod start;
pub mod status;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

pub use self::output::Output;

const EXAMPLES: &str = "\
Examples:
  warroom --demo                        look around, on simulated platforms
  warroom config init > warroom.toml    write a first config
  warroom check --config warroom.toml   see what is wrong with it
  warroom --config warroom.toml         measure, with a screen
  warroom agent --events json           measure, without one
  warroom records --since 30d --format csv

Exit codes: 0 good; 1 a check, probe or status was not good; 2 wrong use or wrong config;
3 the engine could not go on; 129, 130, 143 after SIGHUP, SIGINT, SIGTERM.";

/// Measures how fast contact-centre platforms really recover.
///
/// Without a subcommand the console opens: attached to the engine of its data folder where one runs, else with one of its
/// own, which measures for as long as it is open. Without any config it shows the demo.
#[derive(Debug, Parser)]
#[command(name = "warroom", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What every subcommand takes.
    #[command(flatten)]
    pub global: Global,
    /// What the console alone takes.
    #[command(flatten)]
    pub console: console::Args,
    /// What to do instead of opening the console.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that work with every subcommand.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// The config that was named.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help = "The config; else $WARROOM_CONFIG, the user's config folder, the system's; never the current folder"
    )]
    pub config: Option<PathBuf>,
    /// The data folder that was named.
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        help = "The data folder; else $WARROOM_DATA_DIR, $STATE_DIRECTORY of a service, the user's own; one engine works on it at a time"
    )]
    pub data_dir: Option<PathBuf>,
}

/// The subcommands; what each does is said where its arguments are.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would replace the longer help of the arguments")]
pub enum Command {
    Agent(agent::Args),
    Status(status::Args),
    Check(check::Args),
    Probe(probe::Args),
    Records(records::Args),
    Sim(sim::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Good,
    /// 1: a check, probe or status was not good.
    NotGood,
    /// 2: wrong use or wrong config.
    WrongUse,
    /// 3: the engine could not go on.
    CannotGoOn,
    /// 128 and the signal's number, after a signal.
    Signal(u8),
}

impl Exit {
    /// The code that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::NotGood => 1,
            Self::WrongUse => 2,
            Self::CannotGoOn => 3,
            Self::Signal(number) => 128 + number,
        }
    }
}

/// Why a subcommand stopped before its end, and the exit code that follows.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What to tell.
    pub error: anyhow::Error,
}

impl Failure {
    /// Wrong use or wrong config: exit 2.
    pub fn wrong_use(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::WrongUse, error: error.into() }
    }

    /// The engine could not go on: exit 3.
    pub fn cannot_go_on(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::CannotGoOn, error: error.into() }
    }

    /// Something was not good: exit 1.
    pub fn not_good(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::NotGood, error: error.into() }
    }
}

impl From<std::io::Error> for Failure {
    /// Writing a result failed.
    fn from(error: std::io::Error) -> Self {
        Self::cannot_go_on(error)
    }
}

/// What a subcommand comes to.
pub type Outcome = Result<Exit, Failure>;

/// Reads the command line, does what it says and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let mut output = Output::standard();
    let exit = match parse(std::env::args_os()) {
        Ok(cli) => conclude(run(cli, &mut output), &mut output),
        Err(error) => usage(&error, &mut output),
    };
    ExitCode::from(exit.code())
}

/// The command line as clap reads it; console options beside a subcommand are wrong use.
fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((subcommand, _)) = matches.subcommand() {
        for id in console::OPTIONS {
            if matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine) {
                let mut error = clap::Error::new(ErrorKind::ArgumentConflict).with_cmd(&command);
                error.insert(
                    ContextKind::InvalidArg,
                    ContextValue::String(format!("--{}", id.replace('_', "-"))),
                );
                error.insert(ContextKind::PriorArg, ContextValue::String(format!("warroom {subcommand}")));
                return Err(error);
            }
        }
    }
    Cli::from_arg_matches(&matches)
}

fn run(cli: Cli, output: &mut Output) -> Outcome {
    let Cli { global, console, command } = cli;
    match command {
        None => console::run(&global, &console, output),
        Some(Command::Agent(args)) => agent::run(&global, &args, output),
        Some(Command::Status(args)) => status::run(&global, &args, output),
        Some(Command::Check(args)) => check::run(&global, &args, output),
        Some(Command::Probe(args)) => probe::run(&global, &args, output),
        Some(Command::Records(args)) => records::run(&global, &args, output),
        Some(Command::Sim(args)) => sim::run(&global, &args, output),
        Some(Command::Config(args)) => config::run(&global, &args, output),
        Some(Command::Completions(args)) => completions::run(&args, output),
        Some(Command::Man(_)) => man::run(output),
    }
}

/// Says what went wrong. A reader that has closed its end wants no more: that ends quietly, as it would have ended.
fn conclude(outcome: Outcome, output: &mut Output) -> Exit {
    let outcome = outcome.and_then(|exit| match output.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(exit),
    });
    match outcome {
        Ok(exit) => exit,
        Err(failure) if output::is_closed_pipe(&failure.error) => Exit::Good,
        Err(failure) => {
            output.words(&format!("warroom: {}", told(&failure.error)));
            failure.exit
        }
    }
}

/// An error with its causes, each once: many an error names its cause in its own words.
fn told(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Help and version are results; everything else is wrong use.
fn usage(error: &clap::Error, output: &mut Output) -> Exit {
    // clap writes to the right stream, in colour where that is a terminal; a stream that is gone needs no words.
    let printed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            conclude(printed.map(|()| Exit::Good).map_err(Failure::from), output)
        }
        _ => Exit::WrongUse,
    }
}

/// A length of time as it is written on the command line: `30d`, `12h`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 30d, 12h, 90s or 500ms"))
}

#[cfg(test)]
mod tests;
