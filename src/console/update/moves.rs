//! Where the cursor goes, which view is shown, and the way back.

use crate::{
    console::{
        action::{self, Action},
        list::ListLine,
        state::{State, View},
    },
    domain::time::Now,
};

pub(super) fn go_to(state: &mut State, number: u8, now: Now) {
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

pub(super) fn back(state: &mut State) {
    if state.detail.take().is_some() {
        state.scroll.set(0);
    } else if !state.filter.value().is_empty() {
        state.filter.reset();
    } else {
        state.zoom = None;
    }
}

/// Moves the cursor of the list, or scrolls the detail.
pub(super) fn step(state: &mut State, by: isize) {
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
