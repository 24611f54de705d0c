//! `warroom` without a subcommand: the console.

mod attached;
mod own;
mod stage;

use std::path::PathBuf;

use self::stage::Stage;
use super::{
    Exit, Failure, Global, Outcome, Output,
    absent::Absent,
    attach::{self, Found},
    plain::{self, Engine},
    start,
};
use crate::{
    console::{self, ColorChoice, Feed},
    domain::{Command, Role},
    store::folder,
};

/// The ids of this file's options, which mean nothing beside a subcommand.
pub const OPTIONS: [&str; 9] =
    ["demo", "read_only", "plain", "once", "json", "theme", "color", "ascii", "fps"];

/// Options of the console.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Console")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Args {
    /// Show the demo: simulated platforms in this process, a temporary data folder, nothing real.
    #[arg(long)]
    pub demo: bool,
    /// Only watch, as on a wall: no key changes anything but this screen.
    #[arg(long)]
    pub read_only: bool,
    /// Print lines of plain words instead of a screen: for screen readers, dumb terminals and logs.
    #[arg(long)]
    pub plain: bool,
    /// Print once how everything stands, and end with exit 0 whatever an engine says; `warroom status` is the check.
    #[arg(long)]
    pub once: bool,
    /// Print it as one JSON object: what a console knows, and whether another process measures (`attached`).
    #[arg(long, requires = "once")]
    pub json: bool,
    /// The theme; `T` in the console chooses another.
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

impl Args {
    /// What this console may do at most.
    const fn role(&self) -> Role {
        if self.read_only { Role::Watch } else { Role::Operate }
    }
}

/// How often a start that lost the race for its data folder looks for the engine that won it.
const RACES: u32 = 3;

/// Opens the console: attached to a running engine, or with one of its own where none runs.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    if args.plain || args.once {
        plain::log_to_stderr();
    } else {
        log_to_screen();
    }
    start::prepare_process();
    if args.demo {
        return own::run(args, Stage::demo(global)?, &[], output);
    }
    let mut races = 0;
    loop {
        let notices = match attach::find(global, args.role(), args.once)? {
            Found::Attached(attachment) => return attached::run(args, *attachment, output),
            Found::Nobody(notices) => notices,
        };
        for notice in &notices {
            output.words(&format!("warroom: {notice}"));
        }
        let stage = if let Some(path) = start::find_config(global)? {
            Stage::real(global, &path, output)?
        } else if let Some(folder) = meant(global, args) {
            return Err(Failure::wrong_use(anyhow::anyhow!(
                "{}. For an engine of this console's own name a config with --config FILE; --demo shows the demo",
                Absent::of(&folder).words()
            )));
        } else if args.once {
            return Err(Failure::wrong_use(anyhow::anyhow!(
                "no engine runs, and there is no config: `warroom config init` writes a first one; --demo shows the demo"
            )));
        } else {
            output.words(
                "warroom: there is no config yet, so this is the demo; `warroom config init` writes a first one",
            );
            Stage::demo(global)?
        };
        match own::run(args, stage, &notices, output) {
            Err(failure) if start::is_held(&failure) && races < RACES => races += 1,
            ended => return ended,
        }
    }
}

/// The data folder of the engine that is meant, if there is one: nobody who names it, or asks for facts, is shown a demo in
/// its place.
fn meant(global: &Global, args: &Args) -> Option<PathBuf> {
    let own = || folder::resolve(None).ok().filter(|_| args.once);
    folder::named(global.data_dir.as_deref()).or_else(own)
}

/// Why a console that only watches does not give a command.
fn watching(role: Role, command: &Command) -> Option<String> {
    (role < command.needs()).then(|| "this console only watches: it was started with --read-only".to_owned())
}

/// Shows what the feed brings, in the way that the options ask for, until the console ends.
fn show(args: &Args, engine: Engine<'_>, feed: Feed, output: &mut Output) -> Outcome {
    if args.once {
        plain::once(args, engine, feed, output)
    } else if args.plain {
        showed(plain::lines(args, engine, feed))
    } else {
        showed(console::run(&options(args), feed))
    }
}

/// How the console's end becomes the process's.
fn showed(shown: Result<console::Exit, console::ConsoleError>) -> Outcome {
    let shown = shown.map_err(|error| match error {
        console::ConsoleError::Terminal(_) | console::ConsoleError::Stopped(_) => {
            Failure::cannot_go_on(error)
        }
        _ => Failure::wrong_use(error),
    })?;
    Ok(match shown.code() {
        0 => Exit::Good,
        code => Exit::Signal(code.saturating_sub(128)),
    })
}

fn options(args: &Args) -> console::Options {
    console::Options {
        theme: args.theme.clone(),
        color: match args.color {
            Colors::Auto => ColorChoice::Auto,
            Colors::Never => ColorChoice::Never,
            Colors::Sixteen => ColorChoice::Ansi16,
            Colors::Palette => ColorChoice::Ansi256,
            Colors::True => ColorChoice::True,
        },
        ascii: args.ascii,
        fps: args.fps,
        user_folder: directories::ProjectDirs::from("", "", "warroom")
            .map(|dirs| dirs.config_dir().to_owned()),
    }
}

/// What the tool itself has to say goes to view 8.
fn log_to_screen() {
    use tracing_subscriber::{
        filter::{LevelFilter, Targets},
        layer::SubscriberExt as _,
        util::SubscriberInitExt as _,
    };

    tui_logger::set_default_level(log::LevelFilter::Info);
    // Only a test in the same process could have set another one; then that one stands.
    let _ = tracing_subscriber::registry()
        .with(Targets::new().with_default(LevelFilter::INFO).with_target("refinery_core", LevelFilter::WARN))
        .with(tui_logger::TuiTracingSubscriberLayer)
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_watches_gives_no_command() {
        assert!(
            watching(Role::Watch, &Command::Diagnose).is_some_and(|words| words.contains("only watches"))
        );
        assert!(watching(Role::Operate, &Command::Diagnose).is_none());
    }
}
