//! The picture once: what an engine knows now, or what a new one has seen when everything was probed once.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use super::{
    Message,
    teller::{all_probed, is_known},
};
use crate::{
    console::{
        ConsoleError, Feed,
        feed::{Item, Word},
        message::Exit,
        signals::EndSignals,
    },
    domain::{Attached, Picture, Since},
};

/// How long an engine that runs may take to say what it knows.
const ANSWER: Duration = Duration::from_secs(15);

/// What is known at one moment.
#[derive(Debug)]
pub struct Known {
    /// Everything that a console would show.
    pub picture: Picture,
    /// As whom the engine knows this console, where it has said so.
    pub me: Option<Attached>,
    /// What happened since this person last looked, where the engine has said so.
    pub since: Option<Since>,
}

/// What was seen.
#[derive(Debug)]
pub enum Seen {
    /// What is known.
    Known(Box<Known>),
    /// A signal came before.
    Ended(Exit),
}

/// Follows the engine until each component that can be probed has been, for `patience` at most; with no patience, takes the
/// first picture. The error says why there is none.
pub fn once(feed: Feed, patience: Duration) -> Result<Seen, ConsoleError> {
    let (sender, messages) = channel();
    let signals = sender.clone();
    let _signals = EndSignals::begin(move |signal| {
        // Once the picture is taken nobody listens.
        let _ = signals.send(Message::Signal(signal));
    })?;
    let Feed { mut picture, reader, ask_picture, now, after_first_frame, .. } = feed;
    if let Some(then) = after_first_frame {
        then();
    }
    reader.attach(move |news| {
        let _ = sender.send(Message::Woken(news));
    });
    let begun = now().moment;
    let (mut known, mut me, mut since) = (is_known(&picture), None, None);
    loop {
        if known && (all_probed(&picture) || now().moment >= begun + patience) {
            return Ok(Seen::Known(Box::new(Known { picture, me, since })));
        }
        let end = begun + if known { patience } else { patience.max(ANSWER) };
        match messages.recv_timeout(end.since(now().moment)) {
            Ok(Message::Signal(signal)) => return Ok(Seen::Ended(Exit::Signal(signal))),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if known => continue,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(ConsoleError::Silent(end.since(begun).as_secs()));
            }
        }
        let drained = reader.drain();
        for item in drained.items {
            match item {
                Item::Event(event) => picture.apply(&event),
                Item::Picture(told) => {
                    picture = *told;
                    picture.index();
                    known = true;
                }
                Item::Word(Word::You(told)) => me = Some(told),
                Item::Word(Word::Since(told)) if told.is_recent(picture.corrected(now().wall)) => {}
                Item::Word(Word::Since(told)) => since = Some(told),
                Item::Word(Word::Refused(_)) => {}
                Item::Word(Word::Lost(reason)) => return Err(ConsoleError::Stopped(reason)),
            }
        }
        if drained.lagged {
            ask_picture();
        }
        if let Some(reason) = drained.stopped {
            return Err(ConsoleError::Stopped(reason));
        }
    }
}
