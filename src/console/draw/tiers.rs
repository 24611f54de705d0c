//! The list of components by tier, each tier with its heading: how many are up, and how well it recovers.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::{
    ink::{Ink, bar},
    row::{self, Columns, Marks, Wants},
};
use crate::{
    console::{
        list::{self, ListLine},
        state::State,
        text,
        theme::Role,
    },
    domain::{Picture, Tier, compliance, time::Now},
};

/// Where a row's text begins.
const LEAD: u16 = 3;
/// Width of a tier's gauge, without its ends.
const GAUGE: usize = 12;
/// The least that the worst component's name and compliance need.
const WORST: u16 = 26;
/// From this width on the worst component is named: the list's part of a screen of 120 columns.
const NAMES_WORST: u16 = 85;

pub(super) fn draw(state: &State, ink: &mut Ink, now: Now, wide: bool) {
    let (picture, wall) = state.shown(now);
    if ink.height() == 0 {
        return;
    }
    let lines = state.lines();
    if lines.is_empty() {
        let why = if picture.components.is_empty() {
            "no components: the config names none".to_owned()
        } else {
            format!("nothing matches `{}`; Esc shows everything", state.filter.value())
        };
        ink.put(2, 1.min(ink.height() - 1), &why, ink.style(Role::Muted));
        return;
    }
    let heading = u16::from(row::shows_journey(ink.width(), wide));
    let height = usize::from(ink.height() - heading);
    if height == 0 {
        return;
    }
    let cursor = state.cursor(&lines).unwrap_or(0);
    let first = scroll(state, &lines, cursor, height);
    // The last line counts what does not fit; the cursor never stands there.
    let hidden = lines.len() - (first + height).min(lines.len());
    let shown = if hidden > 0 && height > 2 { height - 1 } else { height };
    if shown < height {
        let more = format!("{} {} more below", ink.theme.symbols.ellipsis, hidden + 1);
        ink.put(LEAD, ink.height() - 1, &more, ink.style(Role::Muted));
    }
    let theme = ink.theme;
    let names = components(&lines).map(|place| text::width(&picture.roster.components[place].name));
    let sight: Vec<usize> = components(&lines[first..(first + shown).min(lines.len())]).collect();
    let wants = Wants {
        name: names.max().unwrap_or(0),
        who: sight.iter().map(|place| row::wanted_who(picture, *place, theme, wall)).max().unwrap_or(0),
        reason: sight.iter().any(|place| list::is_hidden(picture, &picture.roster.components[*place])),
    };
    let columns = Columns::fit(ink.width(), wide, wants);
    if heading > 0 {
        row::headings(ink, 0, columns);
    }
    let cut_off = state.cut_off.map(|at| picture.corrected(at.wall));
    // The first line says to which tier the rows under it belong, and how many rows stand above it.
    let above = if first > 0 { components(&lines[..=first]).count() } else { 0 };
    for (line_number, line) in lines.iter().enumerate().skip(first).take(shown) {
        let y = heading + (line_number - first) as u16;
        match *line {
            ListLine::Tier(tier) => {
                let above = if line_number == first { above } else { 0 };
                tier_heading(ink, y, picture, tier, (above, cut_off.is_some()), wall);
            }
            ListLine::Component(place) if line_number == first => {
                let tier = picture.roster.components[place].tier;
                tier_heading(ink, y, picture, tier, (above, cut_off.is_some()), wall);
            }
            ListLine::Component(place) => {
                let marks = Marks { selected: line_number == cursor, cut_off };
                row::draw(ink, y, picture, place, columns, marks, wall);
            }
        }
    }
}

/// The first line to show, so that the cursor's line is in sight, under its tier's heading and above the last line.
fn scroll(state: &State, lines: &[ListLine], cursor: usize, height: usize) -> usize {
    state.page.set(height.saturating_sub(2).max(1));
    let most = lines.len().saturating_sub(height);
    let mut first = state.offset.get().min(most);
    // One line above and one below are taken by the heading and by what counts the rest.
    let margin = usize::from(height > 2);
    if cursor < first + margin {
        first = cursor.saturating_sub(margin);
    }
    if cursor + margin >= first + height {
        first = (cursor + margin + 1).saturating_sub(height);
    }
    first = first.min(most);
    state.offset.set(first);
    first
}

/// Places of the components among some lines.
fn components(lines: &[ListLine]) -> impl Iterator<Item = usize> {
    lines.iter().filter_map(|line| match line {
        ListLine::Component(place) => Some(*place),
        ListLine::Tier(_) => None,
    })
}

fn tier_heading(
    ink: &mut Ink,
    y: u16,
    picture: &Picture,
    tier: Tier,
    (above, cut_off): (usize, bool),
    wall: DateTime<Utc>,
) {
    let theme = ink.theme;
    let members: Vec<usize> = list::cards(picture)
        .enumerate()
        .filter(|(_, (card, _))| card.tier == tier)
        .map(|(place, _)| place)
        .collect();
    let mut title = format!("Tier {tier} {} {}", theme.symbols.dot, tier.band());
    if above > 0 {
        let _ = write!(title, " {} {above} above", theme.symbols.dot);
    }
    let after = ink.rule(y, &title, ink.style(Role::Title));
    let (count, all_up) = count(picture, &members, cut_off, wall);
    let mean = compliance::mean(members.iter().map(|place| picture.compliance(*place, wall)));
    let worst = mean.filter(|(percent, _)| percent.value() < 100.0).map(|(_, worst)| members[worst]);
    let window = text::rough_duration(picture.roster.window);
    let (figure, style) = match mean {
        Some((percent, _)) => {
            (format!(" {window} {:>5} % ", percent.to_string()), theme.compliance(percent.value()))
        }
        None => (format!(" {window} no data "), ink.style(Role::Muted)),
    };
    let cells = |text: &str| text::width(text) as u16;
    let left = after + 1 + cells(&count) + 2 + cells(&figure);
    // The gauge says nothing that the figure does not; it gives way to the name of the worst.
    let gauge = GAUGE as u16 + 2;
    let needed = left + gauge + if worst.is_some() { WORST } else { 0 };
    let mut x = ink.width();
    if let Some((percent, _)) = mean.filter(|_| needed <= x || (x < NAMES_WORST && left + gauge <= x)) {
        x -= gauge;
        let symbols = theme.symbols;
        let full = bar(theme, percent.value() / 100.0, GAUGE);
        ink.put(x, y, &format!("{}{full}{}", symbols.gauge_left, symbols.gauge_right), style);
    }
    x = x.saturating_sub(cells(&figure));
    ink.put_within(x, y, cells(&figure), &figure, style);
    let count_x = x.saturating_sub(cells(&count) + 2).max(after);
    ink.put_within(
        count_x,
        y,
        x.saturating_sub(count_x),
        &count,
        theme.style(if all_up { Role::Text } else { Role::Title }),
    );
    if let Some(worst) = worst {
        let own = picture.compliance(worst, wall).map_or_else(String::new, |own| format!(" {own} %"));
        let room = usize::from(count_x.saturating_sub(after + 2));
        let name = text::clean(&picture.roster.components[worst].name, theme.symbols);
        let Some(name_room) = room.checked_sub(text::width(&own) + 8).filter(|room| *room >= 6) else {
            return;
        };
        let name = text::cut_middle(&name, name_room.min(40), theme.symbols);
        ink.put(after + 2, y, &format!(" worst {name}{own} "), theme.style(Role::Muted));
    }
}

/// How many of a tier are up and how many nobody sees now; whether all are up.
fn count(picture: &Picture, members: &[usize], cut_off: bool, wall: DateTime<Utc>) -> (String, bool) {
    let number = members.len();
    let (up, unseen) = list::tally(picture, members, cut_off, wall);
    let unseen = if unseen > 0 { format!(", {unseen} not seen") } else { String::new() };
    (format!(" {up} of {number} up{unseen} "), up == number)
}
