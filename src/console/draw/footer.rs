//! The last line: what the keys do here, a remark, or the filter that is being typed.

use super::ink::Ink;
use crate::console::{
    action::{Action, TABLE},
    state::{Overlay, State, Zoom},
    theme::Role,
};

pub(super) fn draw(state: &State, ink: &mut Ink) {
    if let Some((remark, _)) = &state.remark {
        ink.put(1, 0, remark, ink.style(Role::Notice));
        return;
    }
    if state.filtering {
        let x = ink.put(1, 0, "/", ink.style(Role::Key));
        let x = ink.put(x, 0, state.filter.value(), ink.style(Role::Text));
        ink.put(x, 0, " ", ink.style(Role::Selected).add_modifier(ratatui::style::Modifier::REVERSED));
        ink.put(x + 3, 0, "Enter keeps it, Esc clears it", ink.style(Role::Muted));
        return;
    }
    let mut x = 1;
    for (key, word) in offers(state) {
        let needed = key.len() + word.len() + 1;
        if usize::from(x) + needed > usize::from(ink.width()) {
            break;
        }
        x = ink.put(x, 0, &key, ink.style(Role::Key));
        x = ink.put(x + 1, 0, &word, ink.style(Role::Text)) + 2;
    }
}

/// The keys that go down and up.
fn moves(state: &State) -> String {
    [Action::Down, Action::Up]
        .into_iter()
        .filter_map(|action| state.keys.first(action))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Keys and words that work here and now, the most wanted first.
pub(super) fn offers(state: &State) -> Vec<(String, String)> {
    let own = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, word)| ((*key).to_owned(), (*word).to_owned())).collect()
    };
    match &state.overlay {
        Some(Overlay::Help | Overlay::Diagnosis) => {
            return own(&[("Esc", "close"), (&moves(state), "scroll")]);
        }
        Some(Overlay::Palette { .. }) => return own(&[("Enter", "do it"), ("Esc", "close")]),
        Some(Overlay::Themes { .. }) => {
            return own(&[(&moves(state), "preview"), ("Enter", "take it"), ("Esc", "as before")]);
        }
        None => {}
    }
    let mut offers = Vec::new();
    // Ways back first, where there is something to go back from.
    if state.detail.is_some() {
        offers.extend(state.keys.first(Action::Back).map(|key| (key, "back".to_owned())));
    } else if !state.filter.value().is_empty() {
        let word = format!("clear filter `{}`", state.filter.value());
        offers.extend(state.keys.first(Action::Back).map(|key| (key, word)));
    } else if let Some(zoom) = state.zoom {
        let word = match zoom {
            Zoom::Tier(tier) => format!("end zoom of tier {tier}"),
            Zoom::Events => "end zoom of the events".to_owned(),
        };
        offers.extend(state.keys.first(Action::Back).map(|key| (key, word)));
    }
    for entry in TABLE.iter().filter(|entry| !entry.footer.is_empty() && state.offers(entry)) {
        let word = match entry.action {
            Action::Freeze if state.frozen.is_some() => "follow",
            _ => entry.footer,
        };
        offers.extend(state.keys.first(entry.action).map(|key| (key, word.to_owned())));
    }
    offers
}
