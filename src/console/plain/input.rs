//! Reads typed lines on a thread of its own, which is never joined: it may wait for a line for ever.
//!
//! Invariants: nothing is read before the loop has taken the line before, so that what is typed after `quit` is the
//! shell's; a line for the shell is never taken while this process is in the background; the terminal's settings are
//! left as they are; what is not a terminal ends nothing when it ends.

use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::getpgrp,
    stdio::stdin,
    termios::{isatty, tcgetpgrp},
};

use super::Message;

/// The longest line that is taken, in bytes; the rest of a longer one is left out.
const LONGEST: usize = 4096;
/// How long a line that was typed for somebody else, the shell in front, is left alone before it is looked for again.
const NOT_OURS: Duration = Duration::from_millis(500);

/// Begins to read standard input.
pub(super) fn begin(messages: Sender<Message>) -> io::Result<()> {
    thread::Builder::new().name("console input".to_owned()).spawn(move || read(&messages))?;
    Ok(())
}

fn read(messages: &Sender<Message>) {
    let terminal = isatty(stdin());
    let mut line = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let read = match await_input(terminal) {
            Awaited::Input => match rustix::io::read(stdin(), &mut buffer) {
                Ok(read) => read,
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(_) if terminal => return gone(messages),
                Err(error) => {
                    tracing::warn!("standard input cannot be read any more: {error}");
                    return;
                }
            },
            Awaited::NotOurs => {
                thread::sleep(NOT_OURS);
                continue;
            }
            Awaited::HungUp if terminal => return gone(messages),
            Awaited::HungUp => 0,
        };
        if read == 0 {
            if !line.is_empty() && !hand_over(messages, &std::mem::take(&mut line)) {
                return;
            }
            // Only at a terminal does somebody say with it that they have done: the end of a pipe or of /dev/null is the
            // ordinary state of a service.
            if !terminal || !ask(messages, Message::EndOfInput) {
                return;
            }
            continue;
        }
        for byte in &buffer[..read] {
            match byte {
                b'\n' if hand_over(messages, &std::mem::take(&mut line)) => {}
                b'\n' => return,
                _ if line.len() < LONGEST => line.push(*byte),
                _ => {}
            }
        }
    }
}

enum Awaited {
    Input,
    /// There is something to read, and it is not for us.
    NotOurs,
    HungUp,
}

/// Waits in `poll`, never in `read`: a process that is put into the background while it reads would be stopped.
fn await_input(terminal: bool) -> Awaited {
    loop {
        let mut inputs = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        match poll(&mut inputs, None) {
            Err(Errno::INTR) => continue,
            Err(error) => {
                tracing::warn!("standard input cannot be watched: {error}");
                return Awaited::HungUp;
            }
            Ok(_) => {}
        }
        let events = inputs[0].revents();
        // A terminal that has hung up can be read for ever, and has nothing to say.
        if !events.contains(PollFlags::IN) || (terminal && events.intersects(PollFlags::HUP | PollFlags::ERR))
        {
            return Awaited::HungUp;
        }
        // A terminal without job control for us is nobody else's.
        let in_front = !terminal || tcgetpgrp(stdin()).map_or(true, |front| front == getpgrp());
        return if in_front { Awaited::Input } else { Awaited::NotOurs };
    }
}

fn hand_over(messages: &Sender<Message>, line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).into_owned();
    ask(messages, |go_on| Message::Typed(text, go_on))
}

/// Tells the loop, and waits until it has taken it; whether it goes on then. One that ends drops the question.
fn ask(messages: &Sender<Message>, message: impl FnOnce(Sender<()>) -> Message) -> bool {
    let (go_on, answer) = channel();
    messages.send(message(go_on)).is_ok() && answer.recv().is_ok()
}

fn gone(messages: &Sender<Message>) {
    // A loop that has ended needs no telling.
    let _ = messages.send(Message::Gone { terminal: true });
}
