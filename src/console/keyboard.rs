//! Reads keys on a thread of its own, which is never joined: it may wait for a key for ever.
//!
//! Invariant: a terminal that has vanished ends the console at once. A second thread waits for the hang-up alone, because
//! crossterm's reader would not notice it; it must itself sit in its own wait all the time, because a key that comes
//! together with a resize that it has not yet taken would be kept back until the next key.

use std::{io, sync::mpsc::Sender, thread};

use crossterm::event::{Event, KeyEventKind};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::message::Message;

/// Begins to read.
pub fn begin(messages: Sender<Message>) -> io::Result<()> {
    let hang_up = messages.clone();
    thread::Builder::new().name("console hang-up".to_owned()).spawn(move || {
        wait_for_hang_up();
        // The loop may have ended before; then there is nobody to tell.
        let _ = hang_up.send(Message::Gone);
    })?;
    thread::Builder::new().name("console keyboard".to_owned()).spawn(move || read(&messages))?;
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

fn read(messages: &Sender<Message>) {
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
        if messages.send(message).is_err() || last {
            return;
        }
    }
}
