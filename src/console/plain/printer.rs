//! Writes to standard output on a thread of its own, so that a reader who does not read holds up nothing but the lines.

use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    stdio::stdout,
    termios::isatty,
};

use super::{super::terminal::write_all, Message};

/// The way to the printing thread.
pub(super) struct Printer(Sender<String>);

impl Printer {
    /// Begins to print; each text that was written, or could not be, is answered with [`Message::Printed`]. A reader who
    /// closes their end is told even while there is nothing to print.
    pub(super) fn begin(messages: Sender<Message>) -> io::Result<Self> {
        let (texts, waiting) = channel::<String>();
        let closed = messages.clone();
        // One that has hung up says no more that it was one.
        let terminal = isatty(stdout());
        thread::Builder::new().name("console printer".to_owned()).spawn(move || {
            for text in waiting {
                let written = write_all(stdout(), text.as_bytes());
                if messages.send(Message::Printed(written)).is_err() {
                    return;
                }
            }
        })?;
        thread::Builder::new().name("console reader".to_owned()).spawn(move || {
            if wait_for_hang_up() {
                // The loop may have ended before; then there is nobody to tell.
                let _ = closed.send(Message::Gone { terminal });
            }
        })?;
        Ok(Self(texts))
    }

    /// Hands over a text; the thread ends with this value.
    pub(super) fn print(&self, text: String) {
        // A thread that has ended has told so.
        let _ = self.0.send(text);
    }
}

/// Whether nobody holds the other end of standard output any longer; a file never says so.
fn wait_for_hang_up() -> bool {
    loop {
        // No event is asked for: the end of a reader is told always.
        let mut outputs = [PollFd::from_borrowed_fd(stdout(), PollFlags::empty())];
        match poll(&mut outputs, None) {
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::warn!("standard output cannot be watched: {error}");
                return false;
            }
            Ok(_) if outputs[0].revents().is_empty() => {}
            Ok(_) => return true,
        }
    }
}
