//! A screen that is too small for more: one line of status, and under it what a person must read now.

use super::{header, ink::Ink};
use crate::{
    console::{
        list,
        state::State,
        text,
        theme::{Look, Role},
        words,
    },
    domain::time::Now,
};

pub(super) fn draw(state: &State, ink: &mut Ink, now: Now) {
    // A question must be seen, or its answer would come as a surprise.
    let words = match (&state.remark, &state.since) {
        (Some((remark, _)), _) => Some((remark.clone(), Role::Notice)),
        (None, Some((since, _))) => {
            let wall = state.picture.corrected(now.wall);
            Some((header::since_line(since, 0, wall), Role::Title))
        }
        (None, None) => None,
    };
    match words {
        Some((words, role)) if ink.height() == 1 && role == Role::Notice => {
            ink.put(0, 0, &words, ink.style(role));
        }
        Some((words, role)) => {
            status_line(state, ink, now);
            let lines = text::wrap(&words, usize::from(ink.width()), ink.theme.symbols);
            for (line, y) in lines.iter().zip(1..) {
                ink.put(0, y, line, ink.style(role));
            }
        }
        None => status_line(state, ink, now),
    }
}

/// The one line: worst state, since when and how much is left, mode, and in what
/// is left of the line what is down.
fn status_line(state: &State, ink: &mut Ink, now: Now) {
    let (picture, wall) = state.shown(now);
    let Look { glyph, word, style } = ink.theme.status(list::worst(picture));
    let mut x = ink.put(0, 0, glyph, style);
    x = ink.put(x + 1, 0, word, style);
    let open = list::open_outages(picture, wall);
    if let Some(first) = open.first() {
        let elapsed = list::elapsed(&picture.components[*first], wall).unwrap_or_default();
        let left = words::outage::remaining(picture, *first, wall);
        x = ink.put(x + 1, 0, &format!("{}, {left}", text::clock_duration(elapsed)), style);
    }
    for badge in header::badges(state, now) {
        let style = badge.style(ink.theme);
        x = ink.put(x + 1, 0, &badge.text, style);
    }
    if let Some(first) = open.first() {
        let more = if open.len() > 1 { format!(" +{}", open.len() - 1) } else { String::new() };
        let room = ink.width().saturating_sub(x + 1 + more.len() as u16);
        x = ink.put_name(x + 1, 0, room, &picture.roster.components[*first].name, style);
        ink.put(x, 0, &more, style);
    }
}
