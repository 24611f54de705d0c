//! `warroom --plain` and `warroom --once`: the console without a screen.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{Exit, Failure, Outcome, Output, console::Args, output};
use crate::{
    clock::{Clock, SystemClock},
    config::model::Config,
    console::{
        Feed,
        plain::{self, Known, Seen},
    },
    domain::Picture,
};

/// The longest time that a new engine may take to see everything for the first time.
const LONGEST: Duration = Duration::from_mins(1);
/// What starting, logging in and waiting for the first probe's turn take besides the probe itself.
const BESIDE: Duration = Duration::from_secs(5);

/// Where the engine is that a console shows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Engine<'a> {
    /// In this process; it has just begun to measure by this config.
    Here(&'a Config),
    /// In another one, which knows what it has measured.
    Elsewhere,
}

impl Engine<'_> {
    /// How long a picture is worth waiting for: until every component may have had its first probe.
    fn patience(self) -> Duration {
        let Self::Here(config) = self else { return Duration::ZERO };
        let journey = |journey: &[crate::config::model::Step]| journey.iter().map(|step| step.timeout).sum();
        let longest: Duration =
            config.components.iter().map(|component| journey(&component.journey)).max().unwrap_or_default();
        (longest + BESIDE).min(LONGEST)
    }
}

/// Prints lines until the console ends.
pub(super) fn lines(
    args: &Args,
    engine: Engine<'_>,
    feed: Feed,
) -> Result<crate::console::Exit, crate::console::ConsoleError> {
    plain::run(&plain::Options { ascii: args.ascii, patience: engine.patience() }, feed)
}

/// What `--once --json` prints: the picture, and whether another process measures.
#[derive(serde::Serialize)]
struct Told<'a> {
    attached: bool,
    #[serde(flatten)]
    picture: &'a Picture,
}

/// Prints the picture once. A picture is no check: 0 says that there was one, whatever it shows.
pub(super) fn once(args: &Args, engine: Engine<'_>, feed: Feed, output: &mut Output) -> Outcome {
    let seen = plain::once(feed, engine.patience()).map_err(Failure::cannot_go_on)?;
    let Known { picture, me, since } = match seen {
        Seen::Known(known) => *known,
        Seen::Ended(exit) => return Ok(Exit::Signal(exit.code().saturating_sub(128))),
    };
    if args.json {
        output.json(&Told { attached: matches!(engine, Engine::Elsewhere), picture: &picture })?;
    } else {
        let now = SystemClock.wall();
        for line in plain::summary(&picture, me.as_ref(), since.as_ref(), args.ascii, now).lines() {
            output.line(line)?;
        }
    }
    output.flush()?;
    Ok(Exit::Good)
}

/// What the tool itself has to say beside the events goes to standard error where `WARROOM_LOG` asks for it, and as plain
/// as the lines: whoever listens to them has heard the rest already.
pub(super) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::OFF.into())
        .with_env_var("WARROOM_LOG")
        .from_env_lossy();
    // Only a test in the same process could have set another one; then that one stands.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| PlainWords(io::stderr()))
        .try_init();
}

/// Standard error, without what could move a cursor.
struct PlainWords(io::Stderr);

impl Write for PlainWords {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let (words, end) = line.strip_suffix('\n').map_or((line, ""), |words| (words, "\n"));
            write!(self.0, "{}{end}", output::plain(words))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
