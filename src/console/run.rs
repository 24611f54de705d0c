//! The loop: waits on one channel, lets messages change the state, performs effects, draws as rarely as it may.
//!
//! Invariants: only the loop performs effects; nothing to draw means nothing written; numbers that moved are drawn once
//! a second, news with the next frame, keys at once.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::Duration,
};

use ratatui::{Terminal, layout::Rect};

use super::{
    ConsoleError, Feed, Options,
    backend::{LeanBackend, Sink},
    clipboard::{self, Way, file::Places},
    draw::draw,
    feed::FeedReader,
    keyboard,
    message::{Copied, Effect, Exit, Message, Urgency},
    signals,
    state::{State, View},
    terminal::{self, Guard, Output},
    text,
    update::update,
};
use crate::domain::{Moment, time::Now};

/// The pace at which numbers that moved are drawn.
const NOISE: Duration = Duration::from_secs(1);

/// Runs the console on the calling thread until it ends.
pub fn run(options: &Options, feed: Feed) -> Result<Exit, ConsoleError> {
    let (state, depth) = super::prepare(options, feed.picture.clone())?;
    let (sender, messages) = channel();
    // Before the terminal is taken: a signal in between would end the process and leave it raw.
    let hearing = signals::Hearing::begin(sender.clone())?;
    let guard = Guard::enter()?;
    let backend = LeanBackend::new(Output, depth, terminal::size());
    let terminal = Terminal::new(backend)?;
    let mut running = Loop {
        state,
        terminal,
        guard,
        frame: Duration::from_secs(1) / u32::from(options.fps.clamp(1, 60)),
        urgency: Urgency::Now,
        drawn: Moment::default(),
        drained: Moment::default(),
        pending: None,
        title: String::new(),
        suspended: false,
        log_moved: Moment::default(),
        clipboard: Clipboard {
            way: Way::detect(|name| std::env::var(name).ok()),
            places: Places::detect(),
            done: sender.clone(),
        },
        engine: Engine {
            ask_picture: feed.ask_picture,
            command: feed.command,
            now: feed.now,
            reader: feed.reader,
        },
    };
    let now = (running.engine.now)();
    running.draw(now)?;
    if let Some(then) = feed.after_first_frame {
        then();
    }
    let keys = running.state.keys.clone();
    keyboard::begin(sender.clone(), move |key| keys.may_end(key))?;
    running.engine.reader.attach(move |news| {
        // A loop that has ended no longer listens; the engine goes on without it.
        let _ = sender.send(Message::Woken { news });
    });
    running.run(&messages, &hearing)
}

/// What the loop needs of the engine.
struct Engine {
    reader: FeedReader,
    ask_picture: Box<dyn Fn() + Send>,
    command: Box<dyn Fn(crate::domain::Command) -> bool + Send>,
    now: Box<dyn Fn() -> Now + Send>,
}

/// What the loop needs to copy a summary.
struct Clipboard {
    way: Way,
    places: Places,
    /// Where is told what has become of it.
    done: Sender<Message>,
}

struct Loop {
    state: State,
    terminal: Terminal<LeanBackend<Output>>,
    guard: Guard,
    /// The shortest time between two frames of news.
    frame: Duration,
    /// What waits to be drawn.
    urgency: Urgency,
    /// When the last frame was drawn.
    drawn: Moment,
    /// When the feed was last emptied.
    drained: Moment,
    /// The feed has something, and whether it is news.
    pending: Option<bool>,
    title: String,
    /// The terminal is the shell's until somebody continues us.
    suspended: bool,
    /// When log lines were last moved to where view 8 sees them.
    log_moved: Moment,
    clipboard: Clipboard,
    engine: Engine,
}

impl Loop {
    fn run(
        &mut self,
        messages: &Receiver<Message>,
        hearing: &signals::Hearing,
    ) -> Result<Exit, ConsoleError> {
        loop {
            let now = (self.engine.now)();
            let first = match self.wait(now) {
                Some(wait) => match messages.recv_timeout(wait) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Gone),
                },
                None => match messages.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return Ok(Exit::Gone),
                },
            };
            let now = (self.engine.now)();
            let timed_out = first.is_none();
            for message in first.into_iter().chain(messages.try_iter()) {
                let message = match message {
                    Message::Woken { news } => {
                        self.pending = Some(news || self.pending.unwrap_or(false));
                        continue;
                    }
                    Message::Pause(go_on) => {
                        // A keyboard that does not wait any longer needs no answer.
                        let _ = go_on.send(());
                        continue;
                    }
                    other => other,
                };
                if let Some(exit) = self.take(message, now)? {
                    hearing.heard();
                    return Ok(exit);
                }
            }
            // Whatever is drawn shows the latest: what waits is taken in first, so that frames of other causes never
            // put it off.
            let draws = timed_out || (self.urgency != Urgency::None && now.moment >= self.draw_at());
            if self.pending.is_some_and(|news| draws || now.moment >= self.drain_at(news)) {
                self.pending = None;
                self.drained = now.moment;
                let drained = self.engine.reader.drain();
                if let Some(exit) = self.take(Message::Events(drained), now)? {
                    return Ok(exit);
                }
            }
            // Also while something waits to be drawn: a remark whose time is over must not be waited for again and again.
            if timed_out && let Some(exit) = self.take(Message::Tick, now)? {
                return Ok(exit);
            }
            if !self.suspended
                && self.urgency != Urgency::None
                && now.moment >= self.draw_at()
                && let Err(error) = self.draw(now)
            {
                // A terminal that vanished takes no more output; that is an end like any other.
                return if is_gone(&error) { Ok(Exit::Gone) } else { Err(error.into()) };
            }
        }
    }

    /// How long nothing has to be done unless a message comes.
    fn wait(&self, now: Now) -> Option<Duration> {
        if self.suspended {
            return None;
        }
        let draw = (self.urgency != Urgency::None).then(|| self.draw_at().since(now.moment));
        let drain = self.pending.map(|news| self.drain_at(news).since(now.moment));
        let change = self.state.next_change(now);
        [draw, drain, change].into_iter().flatten().min()
    }

    fn drain_at(&self, news: bool) -> Moment {
        self.drained + if news { self.frame } else { NOISE }
    }

    fn draw_at(&self) -> Moment {
        match self.urgency {
            Urgency::Now | Urgency::None => self.drawn,
            Urgency::News => self.drawn + self.frame,
            Urgency::Noise => self.drawn + NOISE,
        }
    }

    fn take(&mut self, message: Message, now: Now) -> Result<Option<Exit>, ConsoleError> {
        for effect in update(&mut self.state, message, now) {
            match effect {
                Effect::Draw(urgency) => self.urgency = self.urgency.max(urgency),
                Effect::Redraw => self.redraw()?,
                Effect::Resume => self.resume()?,
                Effect::Bell => self.terminal.backend_mut().append(b"\x07"),
                Effect::Command(command) => {
                    if !(self.engine.command)(command) {
                        self.state.say("the engine does not take commands any longer", now);
                    }
                }
                Effect::Copy(text) => self.copy(text, now),
                Effect::AskPicture => (self.engine.ask_picture)(),
                Effect::Suspend { by_key } => self.suspend(by_key, now)?,
                Effect::Exit(exit) => return Ok(Some(exit)),
            }
        }
        Ok(None)
    }

    /// Sends a text to the terminal's clipboard with the next frame, and has it written to a file meanwhile: a disk that
    /// hangs must not hold the screen up.
    fn copy(&mut self, text: String, now: Now) {
        let sequence = clipboard::sequence(&text, self.clipboard.way);
        let sent = sequence.as_ref().map(|sequence| sequence.carries);
        if let Some(sequence) = sequence {
            self.terminal.backend_mut().append(&sequence.bytes);
        }
        let (places, done) = (self.clipboard.places.clone(), self.clipboard.done.clone());
        let writing = std::thread::Builder::new().name("summary".to_owned()).spawn(move || {
            let copied = Copied { sent, of: text.len(), file: places.write(&text) };
            // A console that has ended meanwhile tells nobody.
            let _ = done.send(Message::Copied(copied));
        });
        let state = &mut self.state;
        match writing {
            Ok(_) => state.say("the summary is being written", now),
            Err(error) => state.say_at_length(format!("the summary has no file: {error}"), now),
        }
    }

    fn redraw(&mut self) -> Result<(), ConsoleError> {
        let size = terminal::size();
        self.terminal.backend_mut().resize(size);
        self.terminal.backend_mut().forget();
        self.terminal.resize(Rect::from((ratatui::layout::Position::ORIGIN, size)))?;
        self.urgency = Urgency::Now;
        Ok(())
    }

    fn suspend(&mut self, by_key: bool, now: Now) -> Result<(), ConsoleError> {
        if by_key && !signals::has_shell() {
            self.state.say("there is no shell to go back to", now);
            return Ok(());
        }
        terminal::restore();
        self.suspended = true;
        // Other threads may stop before this one does, so what comes next waits for the signal that continues us.
        Ok(signals::stop()?)
    }

    /// A shell continued us, and may have changed the terminal's settings in the meantime.
    fn resume(&mut self) -> Result<(), ConsoleError> {
        terminal::restore();
        self.guard.enter_again()?;
        self.suspended = false;
        self.title.clear();
        self.redraw()
    }

    fn draw(&mut self, now: Now) -> io::Result<()> {
        // Kept lines are moved out of the small hot buffer here, because tui-logger's own thread wakes every 10 ms.
        if self.state.view == View::Log || now.moment >= self.log_moved + NOISE {
            tui_logger::move_events();
            self.log_moved = now.moment;
        }
        let title = self.state.title();
        if title != self.title {
            let set = format!("\x1b]2;{}\x07", text::clean(&title, self.state.theme().symbols));
            self.terminal.backend_mut().append(set.as_bytes());
            self.title = title;
        }
        let state = &self.state;
        self.terminal.draw(|frame| draw(state, frame, now))?;
        self.urgency = Urgency::None;
        self.drawn = now.moment;
        Ok(())
    }
}

pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero | io::ErrorKind::NotConnected)
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        || error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

/// Draws one frame into any sink; what tests and captures use.
pub fn draw_once<S: Sink>(
    terminal: &mut Terminal<LeanBackend<S>>,
    state: &State,
    now: Now,
) -> io::Result<()> {
    terminal.draw(|frame| draw(state, frame, now)).map(|_| ())
}
