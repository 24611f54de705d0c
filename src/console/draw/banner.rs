//! The open outage that is nearest to its breach: since when, how much of its RTO is left, why, who serves now.

use ratatui::style::Style;

use super::ink::{Ink, bar};
use crate::{
    console::{
        list,
        state::State,
        status::Status,
        text,
        theme::{Look, Role, Theme},
        words::outage::{onset, remaining, served, used, verdict_on_target, waiting},
    },
    domain::time::Now,
};

/// The least that glyph, name and state get beside the figures.
const NAME_LEAST: usize = 26;

/// One line, piece by piece.
pub(super) type Line = Vec<(String, Style)>;

/// `✗ IVR main flow is DOWN` in at most so many cells: the name alone is cut.
fn titled(name: &str, look: Look, cells: usize, theme: &Theme) -> String {
    let state = format!(" is {}", look.word.to_uppercase());
    let room = cells.saturating_sub(text::width(&state) + text::width(look.glyph) + 1);
    let name = text::clean(name, theme.symbols);
    format!("{} {}{state}", look.glyph, text::cut_middle(&name, room, theme.symbols))
}

/// The same on as many lines of so many cells as it needs, of which the name has two at most.
fn titled_lines(name: &str, look: Look, cells: usize, theme: &Theme) -> Vec<String> {
    let state = format!("is {}", look.word.to_uppercase());
    let name = text::clean(name, theme.symbols);
    let name = text::cut_middle(&name, (2 * cells).saturating_sub(12), theme.symbols);
    let mut lines = text::wrap(&format!("{} {name}", look.glyph), cells, theme.symbols);
    match lines.last_mut() {
        Some(last) if text::width(last) + 1 + state.len() <= cells => {
            last.push(' ');
            last.push_str(&state);
        }
        _ => lines.push(state),
    }
    lines
}

/// The banner's lines at a width, side by side or (`stacked`) one under the other; none when no outage is open.
pub(super) fn lines(state: &State, width: usize, stacked: bool, now: Now) -> Vec<Line> {
    let (picture, shown) = state.shown(now);
    // After the last news nobody knows how it goes on.
    let cut_off = state.cut_off.map(|at| picture.corrected(at.wall));
    let wall = cut_off.map_or(shown, |at| at.min(shown));
    let open = list::open_outages(picture, wall);
    let Some(first) = open.first().copied() else { return Vec::new() };
    let (card, component) = (&picture.roster.components[first], &picture.components[first]);
    let Some(outage) = &component.outage else { return Vec::new() };
    let theme = state.theme();
    let look = theme.status(Status::of(card, component));
    let (plain, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let used = used(card, component, wall);
    let name = |cells: usize| titled(&card.name, look, cells, theme);
    let elapsed = text::clock_duration(list::elapsed(component, wall).unwrap_or_default());
    let figures = format!("{elapsed} of {}", text::clock_duration(card.target_rto));
    let target = match cut_off {
        Some(at) => format!("as of {}, not known now", text::time(at, shown)),
        None => verdict_on_target(card, component, outage, wall),
    };
    let acknowledged = component.acknowledged.as_ref().map(|known| state.acknowledgement(known, shown));
    let (why, by) = (outage.reason.clone(), served(card, outage));
    let waiting = waiting(component, outage, wall);
    let (detected, onset) = onset(outage, theme.symbols, wall);
    let bar_cells = |cells: usize| bar(theme, used / 100.0, cells);
    let mut lines: Vec<Line> = Vec::new();
    if stacked {
        lines.extend(
            titled_lines(&card.name, look, width - 2, theme)
                .into_iter()
                .map(|line| vec![(format!(" {line}"), look.style)]),
        );
        lines.push(vec![(format!(" {figures}"), look.style)]);
        lines.extend(
            text::wrap(&target, width - 2, theme.symbols)
                .into_iter()
                .map(|line| vec![(format!(" {line}"), theme.used(used))]),
        );
        lines.push(vec![(" ".to_owned(), plain), (bar_cells(width.saturating_sub(2)), theme.used(used))]);
        let chain = waiting.unwrap_or_default();
        for (content, style) in [
            (chain, look.style),
            (by, plain),
            (acknowledged.unwrap_or_default(), theme.style(Role::Title)),
            (why, plain),
            (format!("{detected}{onset}"), muted),
        ] {
            lines.extend(
                text::wrap(&content, width - 2, theme.symbols)
                    .into_iter()
                    .take(3)
                    .map(|line| vec![(format!(" {line}"), style)]),
            );
        }
    } else {
        let room = width.saturating_sub(text::width(&figures) + text::width(&target) + 7);
        let figures = [(format!("{figures}  "), look.style), (target, theme.used(used))];
        let whole = text::width(&name(usize::MAX));
        if whole.min(NAME_LEAST) <= room {
            let name = text::left(&name(room.min(40)), room.min(40), theme.symbols);
            lines.push(vec![(format!(" {name}  "), look.style)]);
            lines[0].extend(figures);
        } else {
            // Cut to so little, no name would tell one component from another.
            lines.push(vec![(format!(" {}", name(width - 2)), look.style)]);
            lines.push(std::iter::once(("   ".to_owned(), plain)).chain(figures).collect());
        }
        let bar = width / 2 + 4;
        // Who looks after it stands beside the bar where nobody else serves, else on a line of its own.
        let (beside, below) = if by.is_empty() { (acknowledged, None) } else { (None, acknowledged) };
        let title = theme.style(Role::Title);
        lines.push(vec![
            ("   ".to_owned(), plain),
            (bar_cells(bar), theme.used(used)),
            beside.map_or_else(|| (format!("  {by}"), plain), |words| (format!("  {words}"), title)),
        ]);
        lines.extend(below.map(|words| vec![(format!("   {words}"), title)]));
        if let Some(chain) = waiting {
            lines.push(vec![(format!("   {chain}"), look.style)]);
        }
        // The reason is worth more than by how much earlier it may have begun.
        let room = |when: &str| width.saturating_sub(text::width(when) + 6);
        let whole = format!("{detected}{onset}");
        let when =
            if text::width(&text::clean(&why, theme.symbols)) <= room(&whole) { whole } else { detected };
        let why = text::left(&why, room(&when), theme.symbols);
        lines.push(vec![(format!("   {why}  "), plain), (when, muted)]);
    }
    if open.len() > 1 {
        let others: Vec<String> = open[1..]
            .iter()
            .take(3)
            .map(|place| {
                let known = if picture.components[*place].acknowledged.is_some() { ", ack" } else { "" };
                let (name, left) =
                    (&picture.roster.components[*place].name, remaining(picture, *place, wall));
                format!("{name} ({left}{known})")
            })
            .collect();
        lines.push(vec![(format!("   +{} more: {}", open.len() - 1, others.join(", ")), look.style)]);
    }
    lines
}

pub(super) fn draw(ink: &mut Ink, lines: &[Line]) {
    for (y, line) in lines.iter().enumerate() {
        let mut x = 0;
        for (content, style) in line {
            x = ink.put(x, y as u16, content, *style);
        }
    }
}
