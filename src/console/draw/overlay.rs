//! What lies over a view: the help, the command palette, the themes.

use ratatui::layout::Rect;

use super::{diagnosis, ink::Ink};
use crate::console::{
    action::TABLE,
    state::{Overlay, State},
    text,
    theme::Role,
    update::palette,
    words::WHO_MAY_ACT,
};

/// Width of the keys in the help.
const HELP_KEYS: usize = 17;

pub(super) fn draw(state: &State, overlay: &Overlay, ink: &mut Ink) {
    match overlay {
        Overlay::Help => help(state, ink),
        Overlay::Diagnosis => {
            let width = ink.width().min(diagnosis::WIDEST);
            let lines = diagnosis::lines(state, usize::from(width).saturating_sub(4));
            let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
            let mut inside = popup(ink, &diagnosis::title(state), width, height);
            diagnosis::draw(state, &mut inside, &lines);
        }
        Overlay::Palette { input, chosen } => {
            let entries: Vec<String> = palette(state, input.value())
                .iter()
                .map(|entry| {
                    let symbols = ink.theme.symbols;
                    format!("{} {}", text::left(entry.title, 24, symbols), state.keys.all(entry.action))
                })
                .collect();
            // Who may only watch, and finds nothing, is told what helps on a second line.
            let barred = entries.is_empty() && state.only_watches();
            let mut inside = popup(ink, "Command", 56, entries.len().max(1 + usize::from(barred)) as u16 + 3);
            let x = inside.put(1, 0, ":", inside.style(Role::Key));
            let x = inside.put(x, 0, input.value(), inside.style(Role::Text));
            inside.put(x, 0, " ", inside.style(Role::Text).add_modifier(ratatui::style::Modifier::REVERSED));
            if entries.is_empty() {
                let none = if barred {
                    "nothing that this console may do has such a name"
                } else {
                    "no action here has such a name"
                };
                inside.put(1, 1, none, inside.style(Role::Muted));
                if barred {
                    inside.put(1, 2, WHO_MAY_ACT, inside.style(Role::Muted));
                }
            }
            choices(&mut inside, 1, &entries, *chosen);
        }
        Overlay::Themes { .. } => {
            let entries: Vec<String> = state
                .themes
                .all()
                .iter()
                .map(|theme| format!("{} {}", text::left(&theme.name, 14, ink.theme.symbols), theme.title))
                .collect();
            let mut inside = popup(ink, "Theme", 56, entries.len() as u16 + 2);
            choices(&mut inside, 0, &entries, state.chosen_theme);
        }
    }
}

/// A framed box in the middle; returns its inside.
fn popup<'a>(ink: &'a mut Ink, title: &str, width: u16, height: u16) -> Ink<'a> {
    let area = ink.area();
    let (width, height) = (width.min(area.width), height.min(area.height));
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let inside = Rect {
        x: place.x + 1,
        y: place.y + 1,
        width: width.saturating_sub(2),
        height: height.saturating_sub(2),
    };
    {
        let mut frame = ink.part(place);
        frame.clear();
        frame.rule(0, title, frame.style(Role::Title));
        frame.rule_plain(height.saturating_sub(1));
        let (bar, style) = (frame.theme.symbols.bar, frame.style(Role::Rule));
        for y in 1..height.saturating_sub(1) {
            frame.put(0, y, bar, style);
            frame.put(width.saturating_sub(1), y, bar, style);
        }
    }
    ink.part(inside)
}

/// Lines of which one is chosen, scrolled so that it is in sight.
fn choices(ink: &mut Ink, top: u16, entries: &[String], chosen: usize) {
    let height = usize::from(ink.height().saturating_sub(top));
    let first = (chosen + 1).saturating_sub(height);
    for (place, entry) in entries.iter().enumerate().skip(first).take(height) {
        let y = top + (place - first) as u16;
        let marker = if place == chosen { ink.theme.symbols.selected } else { " " };
        let style = if place == chosen { ink.style(Role::Selected) } else { ink.style(Role::Text) };
        ink.put(0, y, marker, ink.style(Role::Title));
        ink.put(1, y, entry, style);
    }
}

fn help(state: &State, ink: &mut Ink) {
    let place = state.place();
    let symbols = ink.theme.symbols;
    let width = ink.width().min(100);
    let room = usize::from(width).saturating_sub(HELP_KEYS + 5);
    let mut lines = Vec::new();
    for entry in TABLE.iter().filter(|entry| entry.works_in(place) && entry.is_built()) {
        let mut keys = state.keys.ways(entry.action);
        let barred = state.only_watches() && entry.action.needs().is_some();
        let not = if barred { " (not by this console, which only watches)" } else { "" };
        for line in text::wrap(&format!("{}{not}", entry.help), room, symbols) {
            lines.push((std::mem::take(&mut keys), line));
        }
    }
    let later: Vec<String> = TABLE
        .iter()
        .filter(|entry| !entry.is_built())
        .filter_map(|entry| state.keys.first(entry.action).map(|key| format!("{key} {}", entry.title)))
        .collect();
    let cells = usize::from(width).saturating_sub(4);
    let states = std::iter::once("state:".to_owned())
        .chain(
            crate::console::status::Status::ALL
                .iter()
                .rev()
                .map(|status| format!("{} {}", ink.theme.status(*status).glyph, status.word())),
        )
        .chain([format!("{} acknowledged", symbols.acknowledged)]);
    let mut notes: Vec<(String, Role)> =
        packed(states, cells).into_iter().map(|line| (line, Role::Text)).collect();
    let later = format!("in later versions: {}", later.join(", "));
    notes.extend(text::wrap(&later, cells, symbols).into_iter().map(|line| (line, Role::Muted)));
    let all = lines.len() + 1 + notes.len();
    let height = all as u16 + 2;
    let title = format!("Keys in the {}", place.title());
    let mut inside = popup(ink, &title, width, height);
    let room = usize::from(inside.height());
    state.page.set(room.max(1));
    let first = state.scroll.get().min(all.saturating_sub(room));
    state.scroll.set(first);
    for line in first..all.min(first + room) {
        let y = (line - first) as u16;
        if let Some((keys, help)) = lines.get(line) {
            inside.put(1, y, &text::left(keys, HELP_KEYS, symbols), inside.style(Role::Key));
            inside.put(HELP_KEYS as u16 + 2, y, help, inside.style(Role::Text));
        } else if let Some((note, role)) = line.checked_sub(lines.len() + 1).and_then(|line| notes.get(line))
        {
            inside.put(1, y, note, inside.style(*role));
        }
    }
}

/// Words side by side, on as many lines of so many cells as they need; none is parted.
fn packed(words: impl Iterator<Item = String>, cells: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if text::width(line) + 2 + text::width(&word) <= cells => {
                line.push_str("  ");
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}
