//! What a message does to the state, and what the loop must do about it.
//!
//! Invariant: nothing here does I/O, reads a clock or draws.

mod ask;
mod moves;
mod press;

use std::collections::HashSet;

use crossterm::event::KeyEvent;

use super::{
    feed::{Drained, Item, Word},
    message::{Copied, Effect, Exit, Message, Signal, Urgency},
    state::State,
    text, words,
};
use crate::domain::{Command, Event, Phase, Picture, event::ActEvent, time::Now};

pub use press::{act, palette};

/// Takes in one message.
pub fn update(state: &mut State, message: Message, now: Now) -> Vec<Effect> {
    match message {
        Message::Key(key) => pressed(state, key, now),
        Message::Resized => vec![Effect::Redraw],
        Message::Woken { .. } | Message::Pause(_) => Vec::new(),
        Message::Events(drained) => follow(state, drained, now),
        Message::Signal(Signal::Suspend) => vec![Effect::Suspend { by_key: false }],
        Message::Signal(Signal::Continue) => vec![Effect::Resume],
        Message::Signal(signal) => vec![Effect::Exit(Exit::Signal(signal))],
        Message::Gone => vec![Effect::Exit(Exit::Gone)],
        Message::Copied(copied) => {
            state.say_at_length(told_of(&copied), now);
            vec![Effect::Draw(Urgency::Now)]
        }
        Message::Tick => {
            state.expire(now);
            vec![Effect::Draw(Urgency::News)]
        }
    }
}

fn pressed(state: &mut State, key: KeyEvent, now: Now) -> Vec<Effect> {
    state.remark = None;
    // A question is answered by the same key at once, or not at all.
    let asked = state.asked.clone();
    let mut effects = press::press(state, key, now);
    if state.asked == asked {
        state.asked = None;
    }
    effects.push(Effect::Draw(Urgency::Now));
    effects
}

/// Takes in what concerns this console alone.
fn hear(state: &mut State, word: Word, now: Now) {
    match word {
        Word::You(me) => state.me = Some(me),
        Word::Since(since) if since.is_recent(state.picture.corrected(now.wall)) => {}
        Word::Since(since) if since.is_empty() => {
            let last = text::day_and_time(since.last, state.picture.corrected(now.wall));
            state.say_at_length(format!("nothing new since you last looked at {last}"), now);
        }
        Word::Since(since) => state.show_since(since, now),
        Word::Refused(reason) => state.say_at_length(reason, now),
        Word::Lost(reason) => {
            state.lost = Some(reason);
            // What the lost engine was asked for does not come any more.
            state.examining = false;
            state.cut_off.get_or_insert(now);
        }
    }
}

fn follow(state: &mut State, drained: Drained, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut urgency = Urgency::None;
    let before = open_outages(&state.picture);
    for item in drained.items {
        match item {
            Item::Event(event) => {
                urgency = urgency.max(urgency_of(&state.picture, &event));
                state.examining &= !matches!(&*event, Event::Diagnosis(_));
                state.picture.apply(&event);
                match &*event {
                    Event::Act(act) => witness(state, act, now),
                    Event::Config(config) => state.say_at_length(words::config_words(config), now),
                    _ => {}
                }
            }
            Item::Picture(mut picture) => {
                picture.index();
                state.picture = *picture;
                state.lagging = false;
                if state.lost.take().is_some() {
                    state.say("attached again", now);
                }
                if state.stopped.is_none() {
                    state.cut_off = None;
                }
                urgency = Urgency::News;
            }
            Item::Word(word) => {
                hear(state, word, now);
                urgency = Urgency::News;
            }
        }
    }
    if open_outages(&state.picture).iter().any(|id| !before.contains(id)) {
        effects.push(Effect::Bell);
    }
    if drained.lagged {
        state.lagging = true;
        effects.push(Effect::AskPicture);
    }
    if let Some(reason) = drained.stopped {
        state.stopped = Some(reason);
        state.cut_off.get_or_insert(now);
        urgency = Urgency::News;
    }
    effects.push(Effect::Draw(urgency));
    effects
}

/// Says who has just taken up an outage that is open.
fn witness(state: &mut State, act: &ActEvent, now: Now) {
    let Command::Acknowledge { component_id, outage_id } = &act.act else { return };
    let Some(place) = state.picture.position(component_id) else { return };
    let known = state.picture.components[place].acknowledged.as_ref();
    if known.is_some_and(|known| known.outage_id == *outage_id) {
        let name = &state.picture.roster.components[place].name;
        state.say(format!("{} acknowledged {name}", state.name_of(&act.who)), now);
    }
}

/// What has become of a summary.
fn told_of(copied: &Copied) -> String {
    let Copied { sent, of, file } = copied;
    let size = match sent {
        Some(sent) if sent < of => format!("{sent} of {of} bytes"),
        _ => format!("{of} bytes"),
    };
    match (sent.is_some(), file) {
        (true, Ok(path)) => format!("copied ({size}), also in {}", path.display()),
        (true, Err(why)) => format!("copied ({size}); no file: {why}"),
        (false, Ok(path)) => format!("this terminal takes no copies; {size} in {}", path.display()),
        (false, Err(why)) => format!("not copied: this terminal takes no copies, and {why}"),
    }
}

/// Ids of the outages that are open.
fn open_outages(picture: &Picture) -> HashSet<String> {
    picture
        .components
        .iter()
        .filter_map(|component| component.outage.as_ref())
        .map(|outage| outage.id.clone())
        .collect()
}

/// A probe that says what the last one said moves numbers alone.
fn urgency_of(picture: &Picture, event: &Event) -> Urgency {
    let Event::Probe(probe) = event else { return Urgency::News };
    let known = picture.position(&probe.component_id).map(|place| &picture.components[place]);
    match known {
        Some(component) if component.verdict == Some(probe.verdict) && component.reason == probe.reason => {
            Urgency::Noise
        }
        Some(component) if component.phase == Phase::Unobserved => Urgency::Noise,
        Some(_) => Urgency::News,
        None => Urgency::None,
    }
}
