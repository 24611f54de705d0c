//! The open outage that is nearest to its breach: since when, how much of its RTO is left, why, who serves now.

use chrono::{DateTime, Utc};
use ratatui::style::Style;

use super::ink::{Ink, bar};
use crate::{
    console::{
        list,
        state::State,
        status::Status,
        text,
        theme::{Role, Theme},
    },
    domain::{ComponentCard, Picture, event::OutageView, picture::ComponentPicture, time::Now},
};

/// One line, piece by piece.
pub(super) type Line = Vec<(String, Style)>;

/// How much of the target is used, in percent, for a person who looks at the clock.
pub(super) fn used(card: &ComponentCard, component: &ComponentPicture, wall: DateTime<Utc>) -> f64 {
    list::elapsed(component, wall)
        .map_or(0.0, |elapsed| crate::domain::compliance::rto_used(elapsed, card.target_rto).value())
}

/// `23 s left`, `VIOLATED`: what remains of an outage's target.
pub(super) fn remaining(picture: &Picture, place: usize, wall: DateTime<Utc>) -> String {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let (Some(outage), Some(elapsed)) = (&component.outage, list::elapsed(component, wall)) else {
        return String::new();
    };
    if outage.elapsed() > card.target_rto {
        return format!("VIOLATED, {} % used", used(card, component, wall).floor());
    }
    match card.target_rto.checked_sub(elapsed) {
        // Rounded up, so that the last second is not shown as none.
        Some(left) => format!("{} left", text::rough_duration(left + std::time::Duration::from_millis(999))),
        None => "target passed".to_owned(),
    }
}

fn verdict_on_target(
    card: &ComponentCard,
    component: &ComponentPicture,
    outage: &OutageView,
    wall: DateTime<Utc>,
) -> String {
    let breach = text::time_of_day(outage.t_detect + card.target_rto);
    let used = used(card, component, wall).floor();
    if outage.elapsed() > card.target_rto {
        return format!("VIOLATED since {breach}, {used} % used");
    }
    if outage.restored_since.is_some() {
        return format!("good again, {used} % used, being confirmed");
    }
    if used > 100.0 {
        // Time that nobody saw proves no breach.
        return format!("target passed {breach}, last seen bad {}", text::time_of_day(outage.last_bad));
    }
    let elapsed = list::elapsed(component, wall).unwrap_or_default();
    let left = card.target_rto.saturating_sub(elapsed) + std::time::Duration::from_millis(999);
    format!("{} left, breach {breach}", text::rough_duration(left))
}

fn onset(outage: &OutageView, theme: &Theme) -> String {
    let detected = text::time_of_day_tenths(outage.t_detect);
    match outage.onset_after {
        Some(after) => {
            let millis = (outage.t_detect - after).num_milliseconds().max(0);
            let bound =
                if millis < 1000 { format!("{millis} ms") } else { format!("{} s", (millis + 999) / 1000) };
            format!("detected {detected}, onset {} {bound} before", theme.symbols.at_most)
        }
        None => format!("detected {detected}, never seen good before"),
    }
}

fn served(card: &ComponentCard, outage: &OutageView) -> String {
    match (&outage.served_by, outage.t_failover) {
        (Some(by), Some(at)) => {
            let after = (at - outage.t_detect).num_milliseconds().max(0) as f64 / 1000.0;
            format!("failed over to {by} +{after:.1} s")
        }
        (None, Some(_)) => "failed over".to_owned(),
        (Some(by), None) => format!("served by {by}, no failover"),
        (None, None) if card.secondary.is_empty() => String::new(),
        (None, None) => "no failover seen".to_owned(),
    }
}

/// The banner's lines at a width, side by side or (`stacked`) one under the other; none when no outage is open.
pub(super) fn lines(state: &State, width: usize, stacked: bool, now: Now) -> Vec<Line> {
    let (picture, wall) = state.shown(now);
    let open = list::open_outages(picture, wall);
    let Some(first) = open.first().copied() else { return Vec::new() };
    let (card, component) = (&picture.roster.components[first], &picture.components[first]);
    let Some(outage) = &component.outage else { return Vec::new() };
    let theme = state.theme();
    let look = theme.status(Status::of(card, component));
    let (plain, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let used = used(card, component, wall);
    let name = format!("{} {} is {}", look.glyph, card.name, look.word.to_uppercase());
    let elapsed = text::clock_duration(list::elapsed(component, wall).unwrap_or_default());
    let figures = format!("{elapsed} of {}", text::clock_duration(card.target_rto));
    let target = verdict_on_target(card, component, outage, wall);
    let (why, when, by) = (outage.reason.clone(), onset(outage, theme), served(card, outage));
    let bar_cells = |cells: usize| bar(theme, used / 100.0, cells);
    let mut lines: Vec<Line> = Vec::new();
    if stacked {
        lines.push(vec![(format!(" {name}"), look.style)]);
        lines.push(vec![(format!(" {figures}"), look.style)]);
        lines.extend(
            text::wrap(&target, width - 2, theme.symbols)
                .into_iter()
                .map(|line| vec![(format!(" {line}"), theme.used(used))]),
        );
        lines.push(vec![(" ".to_owned(), plain), (bar_cells(width.saturating_sub(2)), theme.used(used))]);
        for (content, style) in [(by, plain), (why, plain), (when, muted)] {
            lines.extend(
                text::wrap(&content, width - 2, theme.symbols)
                    .into_iter()
                    .take(3)
                    .map(|line| vec![(format!(" {line}"), style)]),
            );
        }
    } else {
        let fixed = text::width(&figures) + text::width(&target) + 6;
        let name = text::left(&name, width.saturating_sub(fixed + 1).min(40), theme.symbols);
        lines.push(vec![
            (format!(" {name}  "), look.style),
            (format!("{figures}  "), look.style),
            (target, theme.used(used)),
        ]);
        let bar = width / 2 + 4;
        lines.push(vec![
            ("   ".to_owned(), plain),
            (bar_cells(bar), theme.used(used)),
            (format!("  {by}"), plain),
        ]);
        let why_width = width.saturating_sub(text::width(&when) + 6);
        lines.push(vec![
            (format!("   {}  ", text::left(&why, why_width, theme.symbols)), plain),
            (when, muted),
        ]);
    }
    if open.len() > 1 {
        let others: Vec<String> = open[1..]
            .iter()
            .take(3)
            .map(|place| {
                format!("{} ({})", picture.roster.components[*place].name, remaining(picture, *place, wall))
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
