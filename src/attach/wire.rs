//! What is said over the socket: one JSON object a line, both ways.
//!
//! A console begins with a [`Greeting`], the engine answers with a [`Welcome`]; then come [`Told`] from the engine and
//! [`Ask`] from the console. The two first lines keep their shape for ever, so that any two versions can at least tell
//! which of them is the older. Everything after them may change with [`PROTOCOL`].
//!
//! Invariant: whoever changes the shape of an event, a picture, a command or a message raises [`PROTOCOL`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{Attached, Command, Event, Picture, Role, Since};

/// The version of everything after the first two lines.
pub const PROTOCOL: u32 = 1;
/// The socket's name in the data folder.
pub const SOCKET: &str = "engine.sock";
/// The longest line that the engine takes from a console, in bytes.
pub const LONGEST_ASK: usize = 64 * 1024;
/// The longest line that a console takes from the engine, in bytes: a picture of thousands of components fits.
pub const LONGEST_TOLD: usize = 256 * 1024 * 1024;
/// The engine says something at least so often, if only [`Told::Beat`], which is told only while its task goes round; a
/// console that hears nothing for three times as long knows that the engine hangs.
pub const BEAT: std::time::Duration = std::time::Duration::from_secs(5);

/// The first line of a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The console's [`PROTOCOL`].
    pub protocol: u32,
    /// The console's version.
    pub version: String,
    /// What it wants to be allowed at most.
    pub wants: Role,
    /// It only asks how everything stands, and goes: nobody has come, nobody has looked, and nobody acts.
    #[serde(default)]
    pub glance: bool,
    /// The terminal: `pts/3`.
    #[serde(default)]
    pub terminal: Option<String>,
    /// The host from which the person came, where their environment says so.
    #[serde(default)]
    pub from: Option<String>,
    /// Who became this user, where the environment says so (`SUDO_USER`).
    #[serde(default)]
    pub behind: Option<String>,
}

/// The first line of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The engine's [`PROTOCOL`].
    pub protocol: u32,
    /// The engine's version.
    pub version: String,
    /// The engine's process.
    pub pid: u32,
    /// Why nothing follows.
    #[serde(default)]
    pub refused: Option<String>,
    /// As whom it knows the console.
    #[serde(default)]
    pub you: Option<Attached>,
}

/// What the engine tells an attached console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Everything that is known now; events before it are of no use any more.
    Picture(Box<Picture>),
    /// Something happened.
    Event(Arc<Event>),
    /// What happened since this person last looked.
    Since(Since),
    /// A command was refused, and why.
    Refused(String),
    /// Nothing happened, and the engine's task goes round.
    Beat,
    /// The engine ends, and why.
    Bye(String),
}

/// What an attached console asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Do something.
    Command(Command),
    /// Tell me everything again.
    Picture,
}
