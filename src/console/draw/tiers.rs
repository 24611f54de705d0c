//! The list of components by tier, each tier with its heading: how many are up, and how well it recovers.

use chrono::{DateTime, Utc};

use super::{
    ink::{Ink, bar},
    row::{self, Columns},
};
use crate::{
    console::{
        list::{self, ListLine},
        state::State,
        status::Status,
        text,
        theme::Role,
    },
    domain::{Picture, Tier, compliance, time::Now},
};

/// Where a row's text begins.
const LEAD: u16 = 3;
/// Width of a tier's gauge, without its ends.
const GAUGE: usize = 12;

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
    let columns = Columns::fit(ink.width(), wide);
    let heading = u16::from(columns.shows_journey());
    if heading > 0 {
        row::headings(ink, 0, columns);
    }
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
    for (line_number, line) in lines.iter().enumerate().skip(first).take(shown) {
        let y = heading + (line_number - first) as u16;
        match *line {
            ListLine::Tier(tier) => tier_heading(ink, y, picture, tier, wall),
            // The first line says to which tier the rows under it belong.
            ListLine::Component(place) if line_number == first => {
                tier_heading(ink, y, picture, picture.roster.components[place].tier, wall);
            }
            ListLine::Component(place) => {
                row::draw(ink, y, picture, place, columns, line_number == cursor, wall);
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

fn tier_heading(ink: &mut Ink, y: u16, picture: &Picture, tier: Tier, wall: DateTime<Utc>) {
    let theme = ink.theme;
    let members: Vec<usize> = list::cards(picture)
        .enumerate()
        .filter(|(_, (card, _))| card.tier == tier)
        .map(|(place, _)| place)
        .collect();
    let up = members
        .iter()
        .filter(|place| {
            Status::of(&picture.roster.components[**place], &picture.components[**place]) == Status::Up
        })
        .count();
    let after =
        ink.rule(y, &format!("Tier {tier} {} {}", theme.symbols.dot, tier.band()), ink.style(Role::Title));
    let mean = compliance::mean(members.iter().map(|place| picture.compliance(*place, wall)));
    let window = text::rough_duration(picture.roster.window);
    let (figure, style, gauge) = match mean {
        Some((percent, _)) => (
            format!(" {window} {:>5} % ", percent.to_string()),
            theme.compliance(percent.value()),
            format!(
                "{}{}{}",
                theme.symbols.gauge_left,
                bar(theme, percent.value() / 100.0, GAUGE),
                theme.symbols.gauge_right
            ),
        ),
        None => (format!(" {window} no data "), ink.style(Role::Muted), String::new()),
    };
    let mut x = ink.width();
    if !gauge.is_empty() {
        x = x.saturating_sub(GAUGE as u16 + 2);
        ink.put(x, y, &gauge, style);
    }
    let figure_width = text::width(&figure) as u16;
    x = x.saturating_sub(figure_width);
    ink.put_within(x, y, figure_width, &figure, style);
    let count = format!(" {up} of {} up ", members.len());
    let count_x = x.saturating_sub(count.len() as u16 + 2);
    let count_style = if up == members.len() { theme.style(Role::Text) } else { theme.style(Role::Title) };
    ink.put(count_x.max(after), y, &count, count_style);
    if let Some((percent, worst)) = mean
        && percent.value() < 100.0
    {
        let worst = members[worst];
        let own = picture.compliance(worst, wall).map_or_else(String::new, |own| format!(" {own} %"));
        let name = text::cut(&picture.roster.components[worst].name, 24, theme.symbols).into_owned();
        let worst = format!(" worst {name}{own} ");
        let room = count_x.saturating_sub(after + 2);
        if text::width(&worst) as u16 <= room {
            ink.put(after + 2, y, &worst, theme.style(Role::Muted));
        }
    }
}
