//! Reads keys on a thread of its own, which is never joined: it may wait for a key for ever.
//!
//! Invariant: a terminal that has vanished ends the console at once. A second thread waits for the hang-up alone, because
//! crossterm's reader would not notice it; it must itself sit in its own wait all the time, because a key that comes
//! together with a resize that it has not yet taken would be kept back until the next key.
//!
//! Invariant: nothing is read after a key that has ended the console; what is typed ahead is the shell's.

use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread,
};

use crossterm::event::{Event, KeyEvent, KeyEventKind};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::message::Message;

/// Begins to read; after a key that `may_end` the console it reads on when the loop has taken that key.
pub fn begin(
    messages: Sender<Message>,
    may_end: impl Fn(KeyEvent) -> bool + Send + 'static,
) -> io::Result<()> {
    let hang_up = messages.clone();
    thread::Builder::new().name("console hang-up".to_owned()).spawn(move || {
        wait_for_hang_up();
        // The loop may have ended before; then there is nobody to tell.
        let _ = hang_up.send(Message::Gone);
    })?;
    thread::Builder::new().name("console keyboard".to_owned()).spawn(move || read(&messages, may_end))?;
    Ok(())
}

/// Returns when nobody holds the other end of the terminal any longer.
fn wait_for_hang_up() {
    let terminal = rustix::stdio::stdin();
    loop {
        // No event is asked for: a hang-up is told always, and a key does not wake this.
        let mut terminals = [PollFd::from_borrowed_fd(terminal, PollFlags::empty())];
        match poll(&mut terminals, None) {
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!("the terminal cannot be watched: {error}");
                return;
            }
            Ok(_) if terminals[0].revents().is_empty() => {}
            Ok(_) => return,
        }
    }
}

fn read(messages: &Sender<Message>, may_end: impl Fn(KeyEvent) -> bool) {
    loop {
        let message = match crossterm::event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Message::Key(key),
            Ok(Event::Resize(..)) => Message::Resized,
            Ok(_) => continue,
            Err(error) => {
                tracing::error!("the keyboard cannot be read: {error}");
                Message::Gone
            }
        };
        let last = matches!(message, Message::Gone);
        let pauses = matches!(message, Message::Key(key) if may_end(key));
        if messages.send(message).is_err() || last || (pauses && !goes_on(messages)) {
            return;
        }
    }
}

/// Waits until the loop has taken what was sent before; whether it goes on then. One that ends drops the question.
fn goes_on(messages: &Sender<Message>) -> bool {
    let (go_on, answer) = channel();
    messages.send(Message::Pause(go_on)).is_ok() && answer.recv().is_ok()
}
