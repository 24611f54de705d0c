//! What a message does to the state, and what the loop must do about it.
//!
//! Invariant: nothing here does I/O, reads a clock or draws.

use std::collections::HashSet;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, backend::crossterm::EventHandler};

use super::{
    action::{self, Action, Entry, Place, TABLE},
    feed::{Drained, Item, Word},
    list::ListLine,
    message::{Effect, Exit, Message, Signal, Urgency},
    state::{Frozen, Overlay, State, View, Zoom},
};
use crate::domain::{Command, Event, Phase, Picture, time::Now};

/// Takes in one message.
pub fn update(state: &mut State, message: Message, now: Now) -> Vec<Effect> {
    match message {
        Message::Key(key) => {
            let mut effects = press(state, key, now);
            effects.push(Effect::Draw(Urgency::Now));
            effects
        }
        Message::Resized => vec![Effect::Redraw],
        Message::Woken { .. } | Message::Pause(_) => Vec::new(),
        Message::Events(drained) => follow(state, drained, now),
        Message::Signal(Signal::Suspend) => vec![Effect::Suspend { by_key: false }],
        Message::Signal(Signal::Continue) => vec![Effect::Resume],
        Message::Signal(signal) => vec![Effect::Exit(Exit::Signal(signal))],
        Message::Gone => vec![Effect::Exit(Exit::Gone)],
        Message::Tick => {
            if state.remark.as_ref().is_some_and(|(_, until)| *until <= now.moment) {
                state.remark = None;
            }
            vec![Effect::Draw(Urgency::News)]
        }
    }
}

/// Takes in what concerns this console alone.
fn hear(state: &mut State, word: Word, now: Now) {
    match word {
        Word::You(me) => state.me = Some(me),
        Word::Since(since) => state.since = Some(since),
        Word::Refused(reason) => state.say(reason, now),
        Word::Lost(reason) => state.lost = Some(reason),
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
            }
            Item::Picture(mut picture) => {
                picture.index();
                state.picture = *picture;
                state.lagging = false;
                state.lost = None;
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
        urgency = Urgency::News;
    }
    effects.push(Effect::Draw(urgency));
    effects
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

fn press(state: &mut State, key: KeyEvent, now: Now) -> Vec<Effect> {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return vec![Effect::Exit(Exit::Signal(Signal::Interrupt))];
    }
    state.remark = None;
    let action = state.keys.action(state.place(), key);
    // What is open does not keep a person from the shell, nor from a screen that somebody else has written to.
    if let Some(action @ (Action::Redraw | Action::Suspend)) = action
        && !(state.is_typing() && is_text(key))
    {
        return act(state, action, now);
    }
    if let Some(overlay) = state.overlay.take() {
        return press_overlay(state, overlay, key, now);
    }
    if state.filtering {
        press_filter(state, key);
        return Vec::new();
    }
    action.map_or_else(Vec::new, |action| act(state, action, now))
}

/// Whether a text field takes a key as a character.
fn is_text(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char(_))
        && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

fn press_filter(state: &mut State, key: KeyEvent) {
    match key.code {
        KeyCode::Esc => {
            state.filter.reset();
            state.filtering = false;
        }
        KeyCode::Enter => state.filtering = false,
        KeyCode::Down => step(state, 1),
        KeyCode::Up => step(state, -1),
        _ => {
            state.filter.handle_event(&TerminalEvent::Key(key));
        }
    }
}

fn press_overlay(state: &mut State, overlay: Overlay, key: KeyEvent, now: Now) -> Vec<Effect> {
    match overlay {
        Overlay::Diagnosis if state.keys.action(state.place(), key) == Some(Action::Diagnose) => {
            act(state, Action::Diagnose, now)
        }
        Overlay::Help | Overlay::Diagnosis => {
            press_help(state, key, overlay);
            Vec::new()
        }
        Overlay::Palette { input, chosen } => press_palette(state, input, chosen, key, now),
        Overlay::Themes { before } => {
            let last = state.themes.all().len() - 1;
            match key.code {
                KeyCode::Esc => state.chosen_theme = before,
                KeyCode::Enter => {
                    let name = state.theme().name.clone();
                    state.say(format!("theme {name}; `--theme {name}` starts with it"), now);
                }
                _ => {
                    state.chosen_theme = match list_action(state, key) {
                        Some(Action::Down | Action::Theme) if state.chosen_theme >= last => 0,
                        Some(Action::Down | Action::Theme) => state.chosen_theme + 1,
                        Some(Action::Up) => state.chosen_theme.checked_sub(1).unwrap_or(last),
                        Some(Action::Top) => 0,
                        Some(Action::Bottom) => last,
                        _ => state.chosen_theme,
                    };
                    state.overlay = Some(Overlay::Themes { before });
                }
            }
            Vec::new()
        }
    }
}

/// What a key means in a list, whichever view lies beneath: so a person's own keys move in the help and the themes too.
fn list_action(state: &State, key: KeyEvent) -> Option<Action> {
    state.keys.action(Place::WarRoom, key)
}

/// Scrolls or closes the help, or what is read like it.
fn press_help(state: &mut State, key: KeyEvent, overlay: Overlay) {
    let (line, page) = (state.scroll.get(), state.page.get());
    let closes = matches!(state.keys.action(state.place(), key), Some(Action::Help | Action::Quit));
    if closes || key.code == KeyCode::Esc {
        state.scroll.set(0);
        return;
    }
    // A line past the end is cut by the drawing.
    state.scroll.set(match (list_action(state, key), key.code) {
        (Some(Action::Down), _) => line.saturating_add(1),
        (Some(Action::Up), _) => line.saturating_sub(1),
        (Some(Action::PageDown), _) | (_, KeyCode::Char(' ')) => line.saturating_add(page),
        (Some(Action::PageUp), _) => line.saturating_sub(page),
        (Some(Action::Top), _) => 0,
        (Some(Action::Bottom), _) => usize::MAX,
        _ => line,
    });
    state.overlay = Some(overlay);
}

fn press_palette(
    state: &mut State,
    mut input: Input,
    mut chosen: usize,
    key: KeyEvent,
    now: Now,
) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter => {
            let found = palette(state, input.value()).get(chosen).map(|entry| entry.action);
            return match found {
                Some(action) => act(state, action, now),
                None => Vec::new(),
            };
        }
        KeyCode::Down => chosen = (chosen + 1).min(palette(state, input.value()).len().saturating_sub(1)),
        KeyCode::Up => chosen = chosen.saturating_sub(1),
        _ => {
            if input.handle_event(&TerminalEvent::Key(key)).is_some_and(|change| change.value) {
                chosen = 0;
            }
        }
    }
    state.overlay = Some(Overlay::Palette { input, chosen });
    Vec::new()
}

/// The actions that work here and whose name contains every typed word.
#[must_use]
pub fn palette(state: &State, typed: &str) -> Vec<&'static Entry> {
    let typed = typed.to_lowercase();
    TABLE
        .iter()
        .filter(|entry| entry.is_built() && entry.works_in(state.place()) && entry.action != Action::Palette)
        .filter(|entry| {
            let text = format!("{} {}", entry.name, entry.title);
            typed.split_whitespace().all(|word| text.contains(word))
        })
        .collect()
}

/// Does what an action says.
pub fn act(state: &mut State, action: Action, now: Now) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Exit(Exit::Quit)],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend { by_key: true }],
        Action::Help => {
            state.scroll.set(0);
            state.overlay = Some(Overlay::Help);
        }
        Action::Palette => state.overlay = Some(Overlay::Palette { input: Input::default(), chosen: 0 }),
        Action::Theme => state.overlay = Some(Overlay::Themes { before: state.chosen_theme }),
        Action::Filter => state.filtering = true,
        Action::ProbeNow => return probe_now(state, now),
        Action::Diagnose => return examine(state, now),
        Action::Open => {
            if let Some(place) = state.selection() {
                let id = state.shown(now).0.roster.components[place].id.clone();
                state.selected = Some(id.clone());
                state.detail = Some(id);
                state.scroll.set(0);
            }
        }
        Action::Back => back(state),
        Action::Freeze => {
            state.frozen = match state.frozen.take() {
                Some(_) => None,
                None => Some(Frozen { picture: state.picture.clone(), at: now }),
            };
        }
        Action::Zoom => {
            let tier = state.selection().map(|place| state.shown(now).0.roster.components[place].tier);
            state.zoom = match state.zoom {
                None => tier.map(Zoom::Tier).or(Some(Zoom::Events)),
                Some(Zoom::Tier(_)) => Some(Zoom::Events),
                Some(Zoom::Events) => None,
            };
        }
        Action::View(number) => go_to(state, number, now),
        Action::NextView => go_to(state, if state.view == View::WarRoom { 8 } else { 1 }, now),
        Action::Down => step(state, 1),
        Action::Up => step(state, -1),
        Action::PageDown => step(state, isize::try_from(state.page.get()).unwrap_or(1)),
        Action::PageUp => step(state, -isize::try_from(state.page.get()).unwrap_or(1)),
        Action::Top => step(state, isize::MIN),
        Action::Bottom => step(state, isize::MAX),
        Action::Log(key) => state.log.0.transition(key.event()),
    }
    Vec::new()
}

fn go_to(state: &mut State, number: u8, now: Now) {
    match number {
        1 => {
            state.view = View::WarRoom;
            state.detail = None;
        }
        8 => state.view = View::Log,
        other => {
            let title = action::entry(Action::View(other)).map_or("it", |entry| entry.title);
            state.say(format!("view {other} ({title}) comes with a later version"), now);
        }
    }
}

fn back(state: &mut State) {
    if state.detail.take().is_some() {
        state.scroll.set(0);
    } else if !state.filter.value().is_empty() {
        state.filter.reset();
    } else {
        state.zoom = None;
    }
}

/// Opens what is found, and asks for an examination unless one is under way.
fn examine(state: &mut State, now: Now) -> Vec<Effect> {
    if state.stopped.is_some() {
        state.say("nothing is examined: the engine has stopped", now);
        return Vec::new();
    }
    state.scroll.set(0);
    state.overlay = Some(Overlay::Diagnosis);
    if std::mem::replace(&mut state.examining, true) {
        return Vec::new();
    }
    vec![Effect::Command(Command::Diagnose)]
}

fn probe_now(state: &mut State, now: Now) -> Vec<Effect> {
    if state.stopped.is_some() {
        state.say("nothing is probed: the engine has stopped", now);
        return Vec::new();
    }
    let picture = state.shown(now).0;
    let place = match &state.detail {
        Some(id) => picture.position(id),
        None => state.selection(),
    };
    let Some(card) = place.map(|place| &picture.roster.components[place]) else { return Vec::new() };
    let (id, name, observable) = (card.id.clone(), card.name.clone(), card.observable);
    if !observable {
        state.say(format!("{name} cannot be probed: no step of it is supported by this version"), now);
        return Vec::new();
    }
    state.say(format!("probing {name}"), now);
    vec![Effect::Command(Command::ProbeNow { component_id: id })]
}

/// Moves the cursor of the list, or scrolls the detail.
fn step(state: &mut State, by: isize) {
    if state.detail.is_some() {
        state.scroll.set(state.scroll.get().saturating_add_signed(by));
        return;
    }
    let lines = state.lines();
    let rows: Vec<usize> = lines
        .iter()
        .filter_map(|line| match line {
            ListLine::Component(place) => Some(*place),
            ListLine::Tier(_) => None,
        })
        .collect();
    let Some(last) = rows.len().checked_sub(1) else { return };
    let current = state.selection().and_then(|place| rows.iter().position(|row| *row == place)).unwrap_or(0);
    let target = rows[current.saturating_add_signed(by).min(last)];
    let picture = state.frozen.as_ref().map_or(&state.picture, |frozen| &frozen.picture);
    state.selected = Some(picture.roster.components[target].id.clone());
}
