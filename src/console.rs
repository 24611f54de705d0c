//! The screen: a fold over the engine's events, and the keys that become commands.
//!
//! ```text
//!  keyboard ─┐
//!  signals ──┼─► Message ─► update(&mut State) ─► Effect ─► the loop: draw, command, bell, suspend, exit
//!  feed ─────┘
//! ```
//!
//! Invariants: the console holds no truth of its own and computes no verdict; it imports nothing but the domain; it
//! never makes the engine wait; nothing changed means nothing written; the terminal comes back however it ends.

pub mod acknowledge;
pub mod action;
pub mod backend;
pub mod clipboard;
pub mod color;
pub mod draw;
pub mod error;
pub mod feed;
pub mod keyboard;
pub mod keys;
pub mod list;
pub mod message;
pub mod plain;
pub mod run;
pub mod signals;
pub mod state;
pub mod status;
pub mod summary;
pub mod symbols;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod update;
pub mod words;

use std::path::PathBuf;

pub use color::{ColorChoice, Depth};
pub use error::ConsoleError;
pub use feed::{FeedReader, FeedWriter, Word, feed};
pub use message::Exit;
pub use run::run;
pub use terminal::restore as restore_terminal;

use crate::domain::{Command, Picture, time::Now};
use state::State;
use theme::Themes;

/// How the console looks and where it finds a person's own settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// A theme by name; the default one, or the mono one where there are no colours.
    pub theme: Option<String>,
    /// How many colours.
    pub color: ColorChoice,
    /// Whether only ASCII may be drawn.
    pub ascii: bool,
    /// The most frames of news a second; keys are drawn at once.
    pub fps: u8,
    /// The folder of `themes/*.toml` and `keys.toml`.
    pub user_folder: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { theme: None, color: ColorChoice::Auto, ascii: false, fps: 8, user_folder: None }
    }
}

/// What the console needs of the engine. It may be handed over before any engine runs.
pub struct Feed {
    /// What is known now; [`Picture::new`] is enough.
    pub picture: Picture,
    /// Where events come from.
    pub reader: FeedReader,
    /// Asks the engine to call [`FeedWriter::send_picture`]; must not block.
    pub ask_picture: Box<dyn Fn() + Send>,
    /// Hands a command to the engine; must not block. `false` when there is nobody to take it.
    pub command: Box<dyn Fn(Command) -> bool + Send>,
    /// Reads both clocks.
    pub now: Box<dyn Fn() -> Now + Send>,
    /// Called once when the first frame is on the screen: the place for everything slow.
    pub after_first_frame: Option<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Feed").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// Reads themes and keys, and finds out about colours.
pub fn prepare(options: &Options, picture: Picture) -> Result<(State, Depth), ConsoleError> {
    let depth = Depth::detect(options.color, |name| std::env::var(name).ok());
    let themes = Themes::load(options.user_folder.as_deref(), options.ascii)?;
    let fallback = if depth == Depth::Mono { theme::MONO } else { theme::DEFAULT };
    let chosen = themes.find(options.theme.as_deref().unwrap_or(fallback))?;
    let keys = keys::KeyMap::load(options.user_folder.as_deref())?;
    Ok((State::new(picture, themes, chosen, keys), depth))
}
