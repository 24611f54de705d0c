//! What can happen to the console, and what it can ask its loop to do.

use std::{path::PathBuf, sync::mpsc::Sender};

use crossterm::event::KeyEvent;

use super::feed::Drained;
use crate::domain::Command;

/// Something happened.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The keyboard goes on reading when it is answered: the key before this may have ended the console.
    Pause(Sender<()>),
    /// The terminal may have another size.
    Resized,
    /// The feed holds something. The loop answers with [`Message::Events`].
    Woken {
        /// Whether it is more than numbers that moved.
        news: bool,
    },
    /// What the feed held.
    Events(Drained),
    /// A signal came.
    Signal(Signal),
    /// The terminal is gone.
    Gone,
    /// A summary was copied, as far as that can be known.
    Copied(Copied),
    /// Nothing but that time has passed.
    Tick,
}

/// What has become of a summary. A terminal that refuses it does not say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many bytes of it the terminal was sent; `None` where it is known to take none.
    pub sent: Option<usize>,
    /// How many bytes it has.
    pub of: usize,
    /// The file that holds it, or why there is none.
    pub file: Result<PathBuf, String>,
}

/// A signal, by what it means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
    /// SIGQUIT.
    Quit,
    /// SIGTSTP.
    Suspend,
    /// SIGCONT.
    Continue,
}

/// How soon the screen must follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing to draw.
    #[default]
    None,
    /// Numbers moved: within a second.
    Noise,
    /// News: with the next frame.
    News,
    /// A person waits for it.
    Now,
}

/// What the loop must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Draw.
    Draw(Urgency),
    /// Draw every cell again, because somebody else may have written to the terminal.
    Redraw,
    /// Take the terminal over again after a stop, and draw every cell.
    Resume,
    /// Ring the terminal's bell.
    Bell,
    /// Ask the engine.
    Command(Command),
    /// Copy a text to the terminal's clipboard and to a file.
    Copy(String),
    /// Ask the engine for a picture.
    AskPicture,
    /// Give the terminal back and stop until a shell continues us. `by_key` is false when a signal asked for it.
    Suspend {
        /// Whether Ctrl-Z asked, which makes no sense without a shell above.
        by_key: bool,
    },
    /// End.
    Exit(Exit),
}

/// How the console ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A person asked for it.
    Quit,
    /// A signal, or Ctrl-C.
    Signal(Signal),
    /// The terminal vanished.
    Gone,
}

impl Exit {
    /// The process's exit code: 0, or 128 and the signal's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Quit => 0,
            Self::Signal(signal) => signal.exit_code(),
            Self::Gone => Signal::HangUp.exit_code(),
        }
    }
}

impl Signal {
    /// 128 and the signal's number.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Quit => 131,
            Self::Terminate => 143,
            Self::Suspend | Self::Continue => 0,
        }
    }
}
