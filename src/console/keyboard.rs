//! Reads keys on a thread of its own, which is never joined: it may wait for a key for ever.
//!
//! Invariant: a terminal that has vanished ends the thread at once; crossterm's own reader would spin on it, so it is
//! only asked when there is something to read and nobody has hung up.

use std::{io, sync::mpsc::Sender, thread, time::Duration};

use crossterm::event::{Event, KeyEventKind};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::message::Message;

/// crossterm may hold back an incomplete sequence although the terminal has more; then it is asked again after this.
const PATIENCE: Duration = Duration::from_millis(50);

/// Begins to read.
pub fn begin(messages: Sender<Message>) -> io::Result<()> {
    thread::Builder::new().name("console keyboard".to_owned()).spawn(move || {
        // The loop may have ended before; then there is nobody to tell.
        let _ = match read(&messages) {
            Ending::Gone => messages.send(Message::Gone),
            Ending::NobodyListens => Ok(()),
        };
    })?;
    Ok(())
}

enum Ending {
    Gone,
    NobodyListens,
}

fn read(messages: &Sender<Message>) -> Ending {
    let terminal = rustix::stdio::stdin();
    let lost = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    loop {
        let mut terminals = [PollFd::from_borrowed_fd(terminal, PollFlags::IN)];
        match poll(&mut terminals, None) {
            Err(Errno::INTR) => continue,
            Err(error) => {
                tracing::error!("the keyboard cannot be read: {error}");
                return Ending::Gone;
            }
            Ok(_) if terminals[0].revents().intersects(lost) => return Ending::Gone,
            Ok(_) => {}
        }
        let mut wait = PATIENCE;
        loop {
            match crossterm::event::poll(wait) {
                Ok(false) => break,
                Ok(true) => {}
                Err(error) => {
                    tracing::error!("the keyboard cannot be read: {error}");
                    return Ending::Gone;
                }
            }
            let message = match crossterm::event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Message::Key(key),
                Ok(Event::Resize(..)) => Message::Resized,
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!("the keyboard cannot be read: {error}");
                    return Ending::Gone;
                }
            };
            if messages.send(message).is_err() {
                return Ending::NobodyListens;
            }
            wait = Duration::ZERO;
        }
    }
}
