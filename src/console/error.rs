//! What can keep the console from starting or going on.

use std::{io, ops::Range, path::PathBuf};

/// Why there is no console, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Standard input or output is no terminal.
    #[error(
        "the console needs a terminal; `warroom --plain` prints lines without one, `warroom --once` how everything stands, \
         `warroom agent` only measures"
    )]
    NoTerminal,
    /// The terminal cannot move its cursor.
    #[error(
        "this terminal cannot show a screen (TERM=dumb); `warroom --plain` prints lines instead, which need nothing of it"
    )]
    DumbTerminal,
    /// The engine has ended, and the console with it.
    #[error("the engine has ended: {0}")]
    Stopped(String),
    /// The engine says nothing.
    #[error("the engine does not answer: it has said nothing for {0} s")]
    Silent(u64),
    /// The terminal could not be set up or written to.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
    /// A theme's file is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Theme {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// No theme has this name.
    #[error("there is no theme `{name}`; it is one of {known}")]
    UnknownTheme {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// `keys.toml` is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Keys {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// A file of the user's folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The line, from 1, at which a place in a text begins.
pub(super) fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let end = span.map_or(0, |span| span.start).min(text.len());
    text.bytes().take(end).filter(|byte| *byte == b'\n').count() + 1
}
