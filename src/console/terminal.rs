//! Taking the terminal over and giving it back.
//!
//! Invariants: whatever ends the console - a return, an error, a panic of its thread, a signal - gives back the shell's
//! screen, cursor, echo and title; giving back twice does nothing; another thread's panic does not touch the screen.

use std::{
    io, panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
};

use ratatui::layout::Size;
use rustix::{
    fd::BorrowedFd,
    io::Errno,
    termios::{isatty, tcgetwinsize},
};

use super::{ConsoleError, backend::Sink};

/// Whether the terminal is ours now.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Title saved, alternate screen, cursor hidden.
const ENTER: &[u8] = b"\x1b[22;0t\x1b[?1049h\x1b[?25l\x1b[m\x1b[2J";
/// End of a synchronised update that a panic may have cut off; plain look, cursor shown, the shell's screen, its title.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[?25h\x1b[?1049l\x1b[23;0t";

/// The terminal, while it is ours.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Takes the terminal over.
    pub fn enter() -> Result<Self, ConsoleError> {
        if !isatty(rustix::stdio::stdin()) || !isatty(rustix::stdio::stdout()) {
            return Err(ConsoleError::NoTerminal);
        }
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err(ConsoleError::DumbTerminal);
        }
        restore_on_panic(thread::current().id());
        let guard = Self(());
        enter()?;
        Ok(guard)
    }

    /// Takes it over again after [`restore`].
    pub fn enter_again(&self) -> io::Result<()> {
        enter()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

fn enter() -> io::Result<()> {
    crossterm::terminal::enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    write_all(rustix::stdio::stdout(), ENTER)
}

/// Gives the terminal back, if it is ours. For paths that end the process without unwinding.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone needs nothing, and there is nobody left to tell.
    let _ = write_all(rustix::stdio::stdout(), LEAVE);
    let _ = crossterm::terminal::disable_raw_mode();
}

/// Gives back only the line discipline, which cannot block on a terminal that takes no output.
pub(super) fn restore_without_output() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Lets a panic of the console's thread be read on the shell's screen, and one of another thread in the log view.
fn restore_on_panic(owner: ThreadId) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if ENTERED.load(Ordering::SeqCst) && thread::current().id() != owner {
                tracing::error!("a thread panicked: {panic}");
                return;
            }
            restore();
            before(panic);
        }));
    });
}

/// The terminal's size; 80×24 where it does not tell.
#[must_use]
pub fn size() -> Size {
    match tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size::new(size.ws_col, size.ws_row),
        _ => Size::new(80, 24),
    }
}

/// Standard output, unbuffered.
#[derive(Debug)]
pub struct Output;

impl Sink for Output {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        write_all(rustix::stdio::stdout(), frame)
    }
}

pub(super) fn write_all(terminal: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(terminal, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody has made the terminal non-blocking; wait until it takes more.
            Err(Errno::AGAIN) => wait_writable(terminal)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait_writable(terminal: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut terminals = [PollFd::from_borrowed_fd(terminal, PollFlags::OUT)];
    match poll(&mut terminals, None) {
        Ok(_) if terminals[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
            Err(Errno::IO.into())
        }
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
