//! One component: its journey step by step, what it depends on, how it recovered the last times.

use chrono::{DateTime, Utc};
use ratatui::style::Style;

use super::ink::Ink;
use crate::{
    console::{
        list,
        state::State,
        status::{self, Status},
        text,
        theme::{Role, Theme},
        words::{
            chain,
            component::{facts, timing_words},
            outage,
            platform::{blind_reason, intervals, stretched},
        },
    },
    domain::{
        ComponentCard, ComponentId, Picture, RecoveryRecord, StepReport, StepState,
        picture::ComponentPicture, time::Now,
    },
};

type Line = Vec<(String, Style)>;

pub(super) fn draw(state: &State, ink: &mut Ink, id: &ComponentId, now: Now) {
    let (picture, wall) = state.shown(now);
    let Some(place) = picture.position(id) else {
        ink.put(1, 0, &format!("{id} is measured no longer"), ink.style(Role::Muted));
        return;
    };
    let lines = lines(state, picture, place, ink.theme, usize::from(ink.width()), wall);
    let height = usize::from(ink.height());
    state.page.set(height.max(1));
    let first = state.scroll.get().min(lines.len().saturating_sub(height));
    state.scroll.set(first);
    paint(ink, &lines[first..]);
}

/// The same under the list of a wide screen: as much of it as fits.
pub(super) fn draw_beneath(state: &State, ink: &mut Ink, place: usize, now: Now) {
    let (picture, wall) = state.shown(now);
    let lines = lines(state, picture, place, ink.theme, usize::from(ink.width()), wall);
    paint(ink, &lines);
}

fn paint(ink: &mut Ink, lines: &[Line]) {
    let height = usize::from(ink.height());
    for (y, line) in lines.iter().take(height).enumerate() {
        if let [(title, style)] = line.as_slice()
            && let Some(title) = title.strip_prefix('\u{1}')
        {
            ink.rule(y as u16, title, *style);
            continue;
        }
        let mut x = 1;
        for (content, style) in line {
            x = ink.put(x, y as u16, content, *style);
        }
    }
}

/// Every line; a heading is marked by its first character, which no cleaned text can hold.
fn lines(
    state: &State,
    picture: &Picture,
    place: usize,
    theme: &Theme,
    width: usize,
    wall: DateTime<Utc>,
) -> Vec<Line> {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let heading = |title: String| vec![(format!("\u{1}{title}"), theme.style(Role::Title))];
    let mut lines = vec![heading(format!("{} {} {}", card.name, theme.symbols.dot, card.id))];
    lines.extend(state_lines(state, picture, place, theme, width, wall));
    lines.push(heading("Journey".to_owned()));
    lines.extend(journey(card, component, theme, width));
    if !card.depends_on.is_empty() {
        lines.push(heading("Dependencies".to_owned()));
        lines.extend(card.depends_on.iter().map(|id| dependency(picture, id, theme)));
    }
    lines.push(heading("Last recoveries".to_owned()));
    if component.recoveries.is_empty() {
        lines.push(vec![("none yet".to_owned(), theme.style(Role::Muted))]);
    }
    lines
        .extend(component.recoveries.iter().rev().take(10).flat_map(|record| recovery(record, theme, width)));
    lines.push(heading("About".to_owned()));
    lines.extend(about(card, component, theme));
    lines
}

fn state_lines(
    state: &State,
    picture: &Picture,
    place: usize,
    theme: &Theme,
    width: usize,
    wall: DateTime<Utc>,
) -> Vec<Line> {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let look = theme.status(Status::of(card, component));
    let (plain, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let mut first = vec![(format!("{} {}", look.glyph, look.word), look.style)];
    let old = state.cut_off.is_some() && component.probed_at.is_some();
    if old || list::is_stale(picture, card, component, wall) || list::is_hidden(picture, card) {
        first.push((" ?".to_owned(), look.style));
    }
    if let Some(latency) = component.latency_ms {
        first.push((format!("  {}", text::latency(latency)), plain));
    }
    match component.probed_at {
        // To the second would move every second; who looks here wants to know whether it is recent.
        Some(at) => first.push((format!("  last probe {}", text::time(at, wall)), muted)),
        None => first.push(("  not probed yet".to_owned(), muted)),
    }
    if let Some(by) = &component.served_by {
        first.push((format!("  served by {by}"), plain));
    }
    let mut lines = vec![first];
    if status::is_unconfirmed(component) {
        lines.push(vec![("one bad verdict, not confirmed yet".to_owned(), theme.style(Role::Fair))]);
    }
    if let Some(why) = blind_reason(picture, card, wall) {
        lines.push(vec![(format!("platform {}: {why}", card.platform), theme.style(Role::Blind))]);
    }
    if let Some(stretched) = stretched(picture, card) {
        let intervals = intervals(stretched);
        lines.push(vec![(
            format!("probed {intervals}: the rate budget of platform {} is short", card.platform),
            theme.style(Role::Fair),
        )]);
    }
    if let Some(outage) = &component.outage {
        let cut_off = state.cut_off.map(|at| picture.corrected(at.wall));
        let seen = cut_off.map_or(wall, |at| at.min(wall));
        let elapsed = text::clock_duration(list::elapsed(component, seen).unwrap_or_default());
        let target = text::clock_duration(card.target_rto);
        let used = outage::used(card, component, seen);
        let as_of =
            cut_off.map_or_else(String::new, |at| format!(", as of {}, not known now", text::time(at, wall)));
        lines.push(vec![(
            format!(
                "{elapsed} of {target}, {} % used, detected {}{as_of}",
                used.floor(),
                text::time_tenths(outage.t_detect, wall)
            ),
            theme.used(used),
        )]);
        if let Some(known) = &component.acknowledged {
            lines.push(vec![(state.acknowledgement(known, wall), theme.style(Role::Title))]);
        }
        if let Some(waiting) = outage::waiting(component, outage, seen) {
            lines.push(vec![(waiting, look.style)]);
        }
        let failed = if outage.links.is_empty() {
            outage.failed_steps.join(", ")
        } else {
            chain::links(&outage.links)
        };
        lines.extend(
            text::wrap(&format!("failed in it: {failed}"), width.saturating_sub(2), theme.symbols)
                .into_iter()
                .take(3)
                .map(|line| vec![(line, plain)]),
        );
        lines.extend(outage::unseen(outage).map(|words| vec![(words, muted)]));
    }
    if component.pattern.alternates() {
        let note = "good and bad verdicts alternate: a pool with one sick member? The bounds assume one state at a time";
        lines.extend(
            text::wrap(note, width.saturating_sub(2), theme.symbols)
                .into_iter()
                .map(|line| vec![(line, theme.style(Role::Fair))]),
        );
    }
    if let Some(reason) = &component.reason {
        lines.extend(
            text::wrap(reason, width.saturating_sub(2), theme.symbols)
                .into_iter()
                .take(4)
                .map(|line| vec![(line, plain)]),
        );
    }
    lines
}

fn journey(card: &ComponentCard, component: &ComponentPicture, theme: &Theme, width: usize) -> Vec<Line> {
    let symbols = theme.symbols;
    let (plain, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let mut lines = Vec::new();
    for (place, step) in card.steps.iter().enumerate() {
        let report: Option<&StepReport> = component
            .steps
            .get(place)
            .filter(|report| report.name == step.name)
            .or_else(|| component.steps.iter().find(|report| report.name == step.name));
        let state = report.map_or(StepState::NotRun, |report| report.state);
        let (status, word) = status::of_step(state);
        let look = theme.status(status);
        let mut marks = Vec::new();
        if step.health {
            marks.push("health");
        }
        if step.parallel {
            marks.push("parallel");
        }
        if step.cleanup {
            marks.push("clean-up");
        }
        let marks = if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
        let name = text::left(&step.name, 22, symbols);
        lines.push(vec![
            (format!("{} {name} ", look.glyph), look.style),
            (text::left(word, 12, symbols), look.style),
            (timing_words(report.and_then(|report| report.timings)), plain),
            (marks, muted),
        ]);
        lines.push(vec![(format!("    {}", step.what), muted)]);
        if let Some(reason) = report.and_then(|report| report.reason.as_ref()) {
            lines.extend(
                text::wrap(reason, width.saturating_sub(6), symbols)
                    .into_iter()
                    .take(4)
                    .map(|line| vec![(format!("    {line}"), look.style)]),
            );
        }
    }
    lines
}

fn dependency(picture: &Picture, id: &ComponentId, theme: &Theme) -> Line {
    let Some(place) = picture.position(id) else {
        return vec![(id.to_string(), theme.style(Role::Muted))];
    };
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let look = theme.status(Status::of(card, component));
    let mut line = vec![(format!("{} {} {}", look.glyph, card.name, look.word), look.style)];
    if let Some(reason) = &component.reason {
        line.push((format!("  {reason}"), theme.style(Role::Text)));
    }
    line
}

fn recovery(record: &RecoveryRecord, theme: &Theme, width: usize) -> Vec<Line> {
    let at = DateTime::<Utc>::from_timestamp_millis((record.t_detect_epoch * 1000.0).round() as i64);
    let at = at.map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S").to_string());
    let (low, high) = record.bounds_seconds;
    let high = high.map_or_else(|| "?".to_owned(), |high| format!("{high:.1}"));
    let mut notes = Vec::new();
    if !record.certain {
        notes.push("not certain".to_owned());
    }
    if record.mode == crate::domain::record::Mode::Logging {
        notes.push("logging".to_owned());
    }
    if let Some(drill) = &record.drill_id {
        notes.push(format!("drill {drill}"));
    }
    if let Some(by) = &record.served_by {
        notes.push(by.clone());
    }
    let first = vec![
        (format!("{at}  "), theme.style(Role::Muted)),
        (format!("{:<8}  ", record.status.word()), theme.used(record.rto_used_percentage.value())),
        (
            format!(
                "{:>7.1} s ({low:.1} {} {high})  {:>5} % used",
                record.measured_rto_seconds,
                theme.symbols.range,
                record.rto_used_percentage.to_string()
            ),
            theme.style(Role::Text),
        ),
        (format!("  {}", notes.join(", ")), theme.style(Role::Muted)),
    ];
    let held = chain::held_back(&record.chain).unwrap_or_default();
    let held = text::wrap(&held, width.saturating_sub(6), theme.symbols).into_iter().take(2);
    let held = held.filter(|line| !line.is_empty());
    std::iter::once(first)
        .chain(held.map(|line| vec![(format!("    {line}"), theme.style(Role::Text))]))
        .collect()
}

fn about(card: &ComponentCard, component: &ComponentPicture, theme: &Theme) -> Vec<Line> {
    facts(card, component)
        .into_iter()
        .map(|(name, fact)| {
            vec![(format!("{name:<12}"), theme.style(Role::Muted)), (fact, theme.style(Role::Text))]
        })
        .collect()
}
