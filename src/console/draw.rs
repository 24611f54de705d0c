//! From the state to cells: which panel goes where at which size.
//!
//! Invariant: drawing changes nothing but scroll offsets, and never leaves its area, whatever the size.

mod banner;
mod detail;
mod diagnosis;
mod events;
mod footer;
mod header;
mod ink;
mod log;
mod overlay;
mod row;
mod small;
mod tiers;

use ratatui::{Frame, layout::Rect};

use super::{
    state::{State, View, Zoom},
    theme::Role,
};
use crate::domain::time::Now;
use ink::Ink;

/// Below this width or height only a line of status is shown.
const SMALLEST: (u16, u16) = (60, 15);
/// From this width on, banner and events stand on the right.
const WIDE: u16 = 120;

/// Draws everything.
pub fn draw(state: &State, frame: &mut Frame, now: Now) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    let theme = state.theme();
    frame.buffer_mut().set_style(area, theme.style(Role::Text));
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        small::draw(state, &mut Ink::new(frame.buffer_mut(), area, theme), now);
        return;
    }
    let top = header::height(state, theme, area.width);
    let buffer = frame.buffer_mut();
    header::draw(state, &mut Ink::new(buffer, Rect { height: top, ..area }, theme), now);
    let body = Rect { y: area.y + top, height: area.height - top - 1, ..area };
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    match (state.view, &state.detail) {
        (View::Log, _) => log::draw(state, buffer, body),
        (View::WarRoom, Some(id)) => detail::draw(state, &mut Ink::new(buffer, body, theme), id, now),
        (View::WarRoom, None) => war_room(state, &mut Ink::new(buffer, body, theme), now),
    }
    footer::draw(state, &mut Ink::new(buffer, last, theme));
    if let Some(over) = &state.overlay {
        overlay::draw(state, over, &mut Ink::new(buffer, body, theme));
    }
}

/// From so many free rows on, the selected component's detail stands under the list of a wide screen.
const BENEATH_LEAST: u16 = 8;

/// View 1.
fn war_room(state: &State, ink: &mut Ink, now: Now) {
    let area = ink.area();
    if state.zoom == Some(Zoom::Events) {
        events::draw(state, ink, now);
        return;
    }
    if area.width >= WIDE {
        let right = (area.width * 27 / 100).clamp(30, 70).min(area.width - 89);
        let left = area.width - right - 1;
        // Under a short list there is room for what the selected component is made of.
        let list = u16::try_from(state.lines().len() + 1).unwrap_or(u16::MAX);
        let beneath = area.height.saturating_sub(list);
        let (list, beneath) = if beneath >= BENEATH_LEAST { (list, beneath) } else { (area.height, 0) };
        tiers::draw(state, &mut ink.part(Rect { width: left, height: list, ..area }), now, true);
        if beneath > 0
            && let Some(place) = state.selection()
        {
            let below = Rect { y: area.y + list, width: left, height: beneath, ..area };
            detail::draw_beneath(state, &mut ink.part(below), place, now);
        }
        let side = Rect { x: area.x + left + 1, width: right, ..area };
        let lines = banner::lines(state, usize::from(right), true, now);
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height / 2);
        banner::draw(&mut ink.part(Rect { height, ..side }), &lines);
        let rest = Rect { y: side.y + height, height: side.height - height, ..side };
        events::draw(state, &mut ink.part(rest), now);
        return;
    }
    let lines = banner::lines(state, usize::from(area.width), false, now);
    let banner_height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height / 3);
    banner::draw(&mut ink.part(Rect { height: banner_height, ..area }), &lines);
    let rest = Rect { y: area.y + banner_height, height: area.height - banner_height, ..area };
    let wanted = u16::try_from(state.lines().len()).unwrap_or(u16::MAX).max(1);
    // The list takes what it needs, as long as the last events stay in sight.
    let events_least = if rest.height >= 12 { 4 } else { 0 };
    let list_height = wanted.min(rest.height - events_least);
    let events_height = if state.zoom.is_some() { 0 } else { rest.height - list_height };
    let list_height = rest.height - events_height;
    tiers::draw(state, &mut ink.part(Rect { height: list_height, ..rest }), now, false);
    let below = Rect { y: rest.y + list_height, height: events_height, ..rest };
    events::draw(state, &mut ink.part(below), now);
}
