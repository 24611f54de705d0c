//! Every signal that the console knows, by name; none is named anywhere else. (A resize is told by crossterm.)

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, getpid, getsid, kill_current_process_group, test_kill_process};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP},
    iterator::Signals,
};

use super::{
    message::{Message, Signal},
    terminal,
};

/// How long the loop may take to hear a signal that ends it. Only a terminal that takes no output keeps it longer.
const PATIENCE: Duration = Duration::from_millis(700);

/// Hears signals on a thread of its own, until the handle is dropped.
#[derive(Debug)]
pub struct Hearing {
    handle: signal_hook::iterator::Handle,
    heard: Arc<AtomicBool>,
}

impl Hearing {
    /// Begins to hear.
    pub fn begin(messages: Sender<Message>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])?;
        let handle = signals.handle();
        let heard = Arc::new(AtomicBool::new(false));
        let loop_heard = Arc::clone(&heard);
        thread::Builder::new().name("console signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                let Some(message) = meaning(number) else { continue };
                let ends = match &message {
                    Message::Signal(signal) => Some(signal.exit_code()).filter(|code| *code != 0),
                    _ => None,
                };
                if messages.send(message).is_err() {
                    return;
                }
                if let Some(code) = ends {
                    end_a_stuck_loop(code, Arc::clone(&loop_heard));
                }
            }
        })?;
        Ok(Self { handle, heard })
    }

    /// The loop has heard that it must end.
    pub fn heard(&self) {
        self.heard.store(true, Ordering::SeqCst);
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.heard();
        self.handle.close();
    }
}

/// Hears the signals that end a console which leaves the terminal as it is, until it is dropped; the others do what they
/// do to any program.
#[derive(Debug)]
pub struct EndSignals(signal_hook::iterator::Handle);

impl EndSignals {
    /// Begins to hear; `tell` must not block.
    pub fn begin(tell: impl Fn(Signal) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
        let handle = signals.handle();
        thread::Builder::new().name("console signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                if let Some(Message::Signal(signal)) = meaning(number) {
                    tell(signal);
                }
            }
        })?;
        Ok(Self(handle))
    }
}

impl Drop for EndSignals {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn meaning(number: i32) -> Option<Message> {
    Some(Message::Signal(match number {
        SIGINT => Signal::Interrupt,
        SIGTERM => Signal::Terminate,
        SIGHUP => Signal::HangUp,
        SIGQUIT => Signal::Quit,
        SIGTSTP => Signal::Suspend,
        SIGCONT => Signal::Continue,
        _ => return None,
    }))
}

/// The loop may hang in a write to a terminal that takes no output (Ctrl-S, a dead connection): then it is ended here.
fn end_a_stuck_loop(code: u8, heard: Arc<AtomicBool>) {
    let patient = move || {
        thread::sleep(PATIENCE);
        if !heard.load(Ordering::SeqCst) {
            terminal::restore_without_output();
            std::process::exit(i32::from(code));
        }
    };
    if thread::Builder::new().name("console end".to_owned()).spawn(patient).is_err() {
        terminal::restore_without_output();
        std::process::exit(i32::from(code));
    }
}

/// Whether a shell that could continue us lies above: a session's leader has none.
#[must_use]
pub fn has_shell() -> bool {
    let own: Pid = getpid();
    getsid(None).is_ok_and(|leader| leader != own && test_kill_process(leader).is_ok())
}

/// Stops this process's group, as the terminal's Ctrl-Z does. It may return before the stop takes hold: only SIGCONT says
/// that it is over.
pub fn stop() -> io::Result<()> {
    Ok(kill_current_process_group(rustix::process::Signal::STOP)?)
}
