//! The line mode: the same feed as the screen's, as lines of plain words, for screen readers, dumb terminals and logs.
//!
//! ```text
//!  typed lines ─┐
//!  signals ─────┼─► Message ─► Teller ─► lines ─► printing thread ─► standard output
//!  feed ────────┘                └─► Effect: command, exit
//! ```
//!
//! Invariants: nothing is ever redrawn; no byte under 0x20 but newlines, and no escape sequence, is written; the
//! terminal's settings are left alone; a reader who does not read makes the lines wait, never the engine.

mod commands;
mod detail;
mod input;
mod once;
mod paper;
mod printer;
mod steps;
mod summary;
mod teller;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::Duration,
};

use chrono::{DateTime, Utc};

pub use self::once::{Known, Seen, once};
use self::{
    paper::Paper,
    printer::Printer,
    teller::{Effect, Teller},
};
use super::{
    ConsoleError, Feed,
    message::{Exit, Signal},
    run::is_gone,
    signals::EndSignals,
    symbols::{SPOKEN, SPOKEN_ASCII, Symbols},
};
use crate::domain::{Attached, Moment, Picture, Since, time::Now};

/// The pace at which numbers that moved are taken in.
const NOISE: Duration = Duration::from_secs(1);
/// So many bytes may wait for the reader; beyond that events wait in the feed, which ends in a fresh picture.
const FULL: usize = 64 * 1024;
/// How long the end waits for a reader who has stopped reading.
const PATIENCE: Duration = Duration::from_millis(500);

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether only ASCII may be written.
    pub ascii: bool,
    /// How long the first summary waits for the first probe of every component; zero where an engine runs already.
    pub patience: Duration,
}

/// What can happen here.
#[derive(Debug)]
enum Message {
    /// The feed holds something, and whether it is more than numbers that moved.
    Woken(bool),
    /// A line was typed; the next one is read when it is answered.
    Typed(String, Sender<()>),
    /// The terminal's input has ended, as Ctrl-D says; it is read on when it is answered.
    EndOfInput(Sender<()>),
    /// A signal came that ends a program.
    Signal(Signal),
    /// What was to be printed is, or cannot be.
    Printed(io::Result<()>),
    /// The reader of the lines is gone, and whether it was a terminal.
    Gone {
        /// Whether it was a terminal.
        terminal: bool,
    },
}

/// Runs the line mode on the calling thread until it ends.
pub fn run(options: &Options, feed: Feed) -> Result<Exit, ConsoleError> {
    let (sender, messages) = channel();
    let signals = sender.clone();
    let _signals = EndSignals::begin(move |signal| {
        // A loop that has ended needs no signal.
        let _ = signals.send(Message::Signal(signal));
    })?;
    let printer = Printer::begin(sender.clone())?;
    input::begin(sender.clone())?;
    let now = (feed.now)();
    let mut running = Loop {
        teller: Teller::new(feed.picture, symbols(options.ascii), options.patience, now),
        printer,
        printing: false,
        waiting: String::new(),
        pending: None,
        typist: None,
        drained: Moment::default(),
        reader: feed.reader,
        ask_picture: feed.ask_picture,
        command: feed.command,
        now: feed.now,
    };
    running.print();
    if let Some(then) = feed.after_first_frame {
        then();
    }
    running.reader.attach(move |news| {
        // A loop that has ended no longer listens; the engine goes on without it.
        let _ = sender.send(Message::Woken(news));
    });
    let ended = running.run(&messages);
    running.finish(&messages);
    ended
}

/// How everything stands, in the lines with which the line mode begins.
#[must_use]
pub fn summary(
    picture: &Picture,
    me: Option<&Attached>,
    since: Option<&Since>,
    ascii: bool,
    now: DateTime<Utc>,
) -> String {
    let mut paper = Paper::new(symbols(ascii));
    let reader = summary::Reader { me, since, cut_off: None, said: &[] };
    summary::write(&mut paper, picture, reader, picture.corrected(now));
    paper.take()
}

const fn symbols(ascii: bool) -> &'static Symbols {
    if ascii { &SPOKEN_ASCII } else { &SPOKEN }
}

struct Loop {
    teller: Teller,
    printer: Printer,
    /// Whether a text is on its way to the reader.
    printing: bool,
    /// What is to be printed after it.
    waiting: String,
    /// The feed has something, and whether it is news.
    pending: Option<bool>,
    /// Waits to read on.
    typist: Option<Sender<()>>,
    /// When the feed was last emptied.
    drained: Moment,
    reader: super::FeedReader,
    ask_picture: Box<dyn Fn() + Send>,
    command: Box<dyn Fn(crate::domain::Command) -> bool + Send>,
    now: Box<dyn Fn() -> Now + Send>,
}

impl Loop {
    fn run(&mut self, messages: &Receiver<Message>) -> Result<Exit, ConsoleError> {
        loop {
            let now = (self.now)();
            let message = match self.wait(now) {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => messages.recv_timeout(wait),
            };
            let now = (self.now)();
            let mut effects = match message {
                Ok(Message::Gone { terminal: false }) => return Ok(Exit::Quit),
                Err(RecvTimeoutError::Disconnected) | Ok(Message::Gone { .. }) => return Ok(Exit::Gone),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Ok(Message::Signal(signal)) => return Ok(Exit::Signal(signal)),
                Ok(Message::Woken(news)) => {
                    self.pending = Some(news || self.pending.unwrap_or(false));
                    Vec::new()
                }
                Ok(Message::Printed(Ok(()))) => {
                    self.printing = false;
                    Vec::new()
                }
                Ok(Message::Printed(Err(error))) => return ended_by(error),
                Ok(Message::Typed(line, go_on)) => {
                    self.typist = Some(go_on);
                    self.teller.typed(&line, now)
                }
                Ok(Message::EndOfInput(go_on)) => {
                    self.typist = Some(go_on);
                    self.teller.end_of_input()
                }
            };
            if !self.is_full() {
                effects.extend(self.follow(now));
            }
            for effect in effects {
                if let Some(exit) = self.perform(effect, now)? {
                    return Ok(exit);
                }
            }
            self.print();
            if !self.is_full()
                && let Some(go_on) = self.typist.take()
            {
                // An input that has ended needs no answer.
                let _ = go_on.send(());
            }
        }
    }

    /// Takes in what the feed holds, where it is time to, and what is due by time alone.
    fn follow(&mut self, now: Now) -> Vec<Effect> {
        if self.pending.is_some_and(|news| self.drain_at(news) <= now.moment) {
            self.pending = None;
            self.drained = now.moment;
            return self.teller.follow(self.reader.drain(), now);
        }
        self.teller.pass(now);
        Vec::new()
    }

    /// How long nothing has to be done unless a message comes.
    fn wait(&self, now: Now) -> Option<Duration> {
        if self.is_full() {
            return None;
        }
        let drain = self.pending.map(|news| self.drain_at(news).since(now.moment));
        [drain, self.teller.next_change(now)].into_iter().flatten().min()
    }

    fn drain_at(&self, news: bool) -> Moment {
        if news { self.drained } else { self.drained + NOISE }
    }

    /// Whether the reader has so much before them that nothing is added: only their reading goes on.
    fn is_full(&self) -> bool {
        self.printing && self.waiting.len() >= FULL
    }

    fn print(&mut self) {
        self.waiting.push_str(&self.teller.written());
        if !self.printing && !self.waiting.is_empty() {
            self.printing = true;
            self.printer.print(std::mem::take(&mut self.waiting));
        }
    }

    fn perform(&mut self, effect: Effect, now: Now) -> Result<Option<Exit>, ConsoleError> {
        match effect {
            Effect::Command(command) => {
                if !(self.command)(command) {
                    self.teller.say("nothing is done: the engine takes no commands now", now);
                }
            }
            Effect::AskPicture => (self.ask_picture)(),
            Effect::Exit(exit) => return Ok(Some(exit)),
            Effect::Stopped(reason) => return Err(ConsoleError::Stopped(reason)),
        }
        Ok(None)
    }

    /// Prints what was said last, as long as somebody reads it.
    fn finish(&mut self, messages: &Receiver<Message>) {
        self.print();
        let end = (self.now)().moment + PATIENCE;
        while self.printing {
            match messages.recv_timeout(end.since((self.now)().moment)) {
                Ok(Message::Printed(Ok(()))) => {
                    self.printing = false;
                    self.print();
                }
                Ok(Message::Printed(Err(_)) | Message::Gone { .. }) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// How it ends when nothing can be printed any more: a reader who has closed a pipe has read enough.
fn ended_by(error: io::Error) -> Result<Exit, ConsoleError> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(Exit::Quit),
        _ if is_gone(&error) => Ok(Exit::Gone),
        _ => Err(error.into()),
    }
}
