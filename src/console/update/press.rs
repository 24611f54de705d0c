//! What a key does: in the view, or in what lies over it.

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, backend::crossterm::EventHandler};

use super::{ask, moves};
use crate::{
    console::{
        action::{Action, Entry, Place, TABLE},
        message::{Effect, Exit, Signal},
        state::{Frozen, Overlay, State, View, Zoom},
        summary::summary,
    },
    domain::time::Now,
};

/// Does what a key means where the person is.
pub(super) fn press(state: &mut State, key: KeyEvent, now: Now) -> Vec<Effect> {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return vec![Effect::Exit(Exit::Signal(Signal::Interrupt))];
    }
    let action = state.keys.action(state.place(), key);
    if !action.is_some_and(Action::is_movement) {
        // Whoever does something has read what happened meanwhile.
        state.since = None;
    }
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
        KeyCode::Down => moves::step(state, 1),
        KeyCode::Up => moves::step(state, -1),
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
        .filter(|entry| entry.action.needs().is_none() || !state.only_watches())
        .filter(|entry| {
            let text = format!("{} {}", entry.name, entry.title);
            typed.split_whitespace().all(|word| text.contains(word))
        })
        .collect()
}

/// Does what an action says.
pub fn act(state: &mut State, action: Action, now: Now) -> Vec<Effect> {
    if let Some(why) = state.barred(action) {
        state.say(why, now);
        return Vec::new();
    }
    match action {
        Action::Quit => return ask::leave(state, now),
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend { by_key: true }],
        Action::Help => {
            state.scroll.set(0);
            state.overlay = Some(Overlay::Help);
        }
        Action::Palette => state.overlay = Some(Overlay::Palette { input: Input::default(), chosen: 0 }),
        Action::Theme => state.overlay = Some(Overlay::Themes { before: state.chosen_theme }),
        Action::Filter => state.filtering = true,
        Action::ProbeNow => return ask::probe(state, now),
        Action::Diagnose => return ask::examine(state),
        Action::Acknowledge => return ask::acknowledge(state, now),
        Action::Reload => return ask::reload(state, now),
        Action::Copy => return vec![Effect::Copy(summary(state, now))],
        Action::Open => {
            if let Some(place) = state.selection() {
                let id = state.shown(now).0.roster.components[place].id.clone();
                state.selected = Some(id.clone());
                state.detail = Some(id);
                state.scroll.set(0);
            }
        }
        Action::Back => moves::back(state),
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
        Action::View(number) => moves::go_to(state, number, now),
        Action::NextView => moves::go_to(state, if state.view == View::WarRoom { 8 } else { 1 }, now),
        Action::Down => moves::step(state, 1),
        Action::Up => moves::step(state, -1),
        Action::PageDown => moves::step(state, isize::try_from(state.page.get()).unwrap_or(1)),
        Action::PageUp => moves::step(state, -isize::try_from(state.page.get()).unwrap_or(1)),
        Action::Top => moves::step(state, isize::MIN),
        Action::Bottom => moves::step(state, isize::MAX),
        Action::Log(key) => state.log.0.transition(key.event()),
    }
    Vec::new()
}
