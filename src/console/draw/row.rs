//! One component as one line: state, latency or elapsed, its recent past or its burn-down, who serves, compliance.

use chrono::{DateTime, Utc};
use ratatui::style::{Modifier, Style};

use super::{
    banner,
    ink::{Ink, bar},
};
use crate::{
    console::{
        list,
        status::{self, Status},
        text,
        theme::{Role, Theme},
    },
    domain::{ComponentCard, Picture, Timings, Verdict, history::History, picture::ComponentPicture},
};

/// Marker, glyph and the gap after them.
const LEAD: u16 = 3;
const WORD: u16 = 11;
const VALUE: u16 = 8;
const COMPLIANCE: u16 = 8;
const TIMINGS: [&str; 4] = ["DNS", "TCP", "TLS", "1st"];

/// How wide each column is; a width of 0 leaves the column out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    name: u16,
    /// Of each of the four parts of the health step's last request.
    timing: u16,
    past: u16,
    who: u16,
}

impl Columns {
    /// What fits into a width; `journey` asks for the parts of the last request too.
    pub(super) const fn fit(width: u16, journey: bool) -> Self {
        // Lead, name, word, value and compliance, and the gaps between them, always stay.
        let fixed = LEAD + 1 + WORD + 1 + VALUE + 1 + COMPLIANCE;
        let spare = width.saturating_sub(fixed);
        let mut columns = Self { name: if spare < 18 { spare } else { 18 }, timing: 0, past: 0, who: 0 };
        let mut spare = spare - columns.name;
        if journey && spare >= 30 {
            columns.timing = if width < 110 { 4 } else { 5 };
            spare -= 4 * columns.timing;
        }
        // Each of the next columns takes a gap too.
        if spare >= 7 {
            let least = if journey { 9 } else { 10 };
            columns.past = if spare - 1 < least { spare - 1 } else { least };
            spare -= columns.past + 1;
        }
        if spare >= 9 {
            columns.who = if spare - 1 < 12 { spare - 1 } else { 12 };
            spare -= columns.who + 1;
        }
        let past = if spare < 6 { spare } else { 6 };
        columns.past += if columns.past > 0 { past } else { 0 };
        spare -= past;
        let name = if spare / 2 < 16 { spare / 2 } else { 16 };
        columns.name += name;
        spare -= name;
        if columns.past > 0 {
            // What is left shows more of the past, as far back as it is known.
            let known = History::SLICES as u16;
            let room = known - columns.past;
            let past = if spare < room { spare } else { room };
            columns.past += past;
            spare -= past;
        }
        if columns.who > 0 {
            columns.who += spare;
        } else {
            columns.name += spare;
        }
        columns
    }

    pub(super) const fn shows_journey(self) -> bool {
        self.timing > 0
    }
}

/// The names of the columns, where the parts of the last request are shown.
pub(super) fn headings(ink: &mut Ink, y: u16, columns: Columns) {
    let style = ink.style(Role::Muted);
    ink.put(LEAD, y, "component", style);
    let mut x = LEAD + columns.name + 1;
    ink.put(x, y, "state", style);
    x += WORD + 1;
    ink.put(x, y, "latency", style);
    x += VALUE;
    for name in TIMINGS {
        ink.put(x, y, &text::right(name, usize::from(columns.timing), ink.theme.symbols), style);
        x += columns.timing;
    }
    ink.put(x + 1, y, "past", style);
    x += 1 + columns.past + 1;
    if columns.who > 0 {
        ink.put_within(x, y, columns.who, "served by", style);
    }
    ink.put_right(y, "rolling ", style);
}

/// One component.
pub(super) fn draw(
    ink: &mut Ink,
    y: u16,
    picture: &Picture,
    place: usize,
    columns: Columns,
    selected: bool,
    wall: DateTime<Utc>,
) {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let theme = ink.theme;
    let symbols = theme.symbols;
    let status = Status::of(card, component);
    let look = theme.status(status);
    let stale = component.outage.is_none() && list::is_stale(card, component, wall);
    let aged = |style: Style| if stale { style.add_modifier(Modifier::DIM) } else { style };
    if selected {
        ink.put(0, y, symbols.selected, theme.style(Role::Title));
    }
    ink.put(1, y, look.glyph, aged(look.style));
    let name_style = if component.outage.is_some() { look.style } else { theme.style(Role::Text) };
    ink.put_within(LEAD, y, columns.name, &card.name, aged(name_style));
    let mut x = LEAD + columns.name + 1;
    let mark = if stale { "?" } else { "" };
    ink.put_within(x, y, WORD, &format!("{}{mark}", look.word), aged(look.style));
    x += WORD + 1;
    let value = value(component, wall, mark);
    ink.put(x, y, &text::right(&value, usize::from(VALUE), symbols), aged(theme.style(Role::Text)));
    x += VALUE;
    if columns.timing > 0 {
        let timings = health_timings(card, component);
        for part in parts(timings) {
            ink.put(
                x,
                y,
                &text::right(&part, usize::from(columns.timing), symbols),
                aged(theme.style(Role::Muted)),
            );
            x += columns.timing;
        }
    }
    if columns.past > 0 {
        x += 1;
        past(ink, x, y, columns.past, card, component, wall);
        x += columns.past;
    }
    if columns.who > 0 {
        let (who, style) = who(picture, card, component, theme, wall);
        ink.put_within(x + 1, y, columns.who, &who, aged(style));
    }
    let (figure, style) = match picture.compliance(place, wall) {
        Some(percent) => (format!("{percent} %"), theme.compliance(percent.value())),
        None => ("no data".to_owned(), theme.style(Role::Muted)),
    };
    ink.put_right(y, &text::right(&figure, usize::from(COMPLIANCE), symbols), style);
    if selected {
        ink.restyle(LEAD, y, columns.name, theme.style(Role::Selected));
    }
}

fn value(component: &ComponentPicture, wall: DateTime<Utc>, mark: &str) -> String {
    if let Some(elapsed) = list::elapsed(component, wall) {
        return text::clock_duration(elapsed);
    }
    match component.latency_ms {
        Some(latency) => format!("{}{mark}", text::latency(latency)),
        None => String::new(),
    }
}

fn health_timings(card: &ComponentCard, component: &ComponentPicture) -> Option<Timings> {
    let health = card.steps.iter().position(|step| step.health).unwrap_or(0);
    component.steps.get(health).and_then(|step| step.timings)
}

/// DNS, connection, TLS, first byte in milliseconds; blank for what did not happen, as on a reused connection.
fn parts(timings: Option<Timings>) -> [String; 4] {
    let short = |part: Option<std::time::Duration>| {
        part.map_or_else(String::new, |part| {
            let millis = part.as_secs_f64() * 1000.0;
            if millis < 999.5 {
                format!("{millis:.0}")
            } else {
                format!("{:.*}s", usize::from(millis < 9_950.0), millis / 1000.0)
            }
        })
    };
    let timings = timings.unwrap_or_default();
    [timings.dns, timings.connect, timings.tls, timings.first_byte].map(short)
}

/// The recent latencies, or the burn-down of an open outage.
fn past(
    ink: &mut Ink,
    x: u16,
    y: u16,
    cells: u16,
    card: &ComponentCard,
    component: &ComponentPicture,
    wall: DateTime<Utc>,
) {
    if component.outage.is_some() {
        let used = banner::used(card, component, wall);
        let figure = format!("{:>4} %", used.floor().min(9999.0));
        let bar = bar(ink.theme, used / 100.0, usize::from(cells).saturating_sub(figure.len()));
        let style = ink.theme.used(used);
        ink.put_within(x, y, cells, &format!("{bar}{figure}"), style);
        return;
    }
    let slices: Vec<_> = component.history.last(usize::from(cells), wall).collect();
    let highest = slices.iter().filter_map(|slice| slice.latency_ms).fold(0.0_f32, f32::max);
    let theme = ink.theme;
    for (column, slice) in slices.iter().enumerate() {
        let (glyph, style) = match (slice.worst, slice.latency_ms) {
            (None, _) => (theme.symbols.spark_gap, theme.style(Role::Spark)),
            (Some(Verdict::Down), _) => (theme.symbols.down, theme.style(Role::Down)),
            (Some(Verdict::Degraded), _) => (theme.symbols.degraded, theme.style(Role::Degraded)),
            (Some(Verdict::Blind), _) => (theme.symbols.blind, theme.style(Role::Blind)),
            (Some(Verdict::Up), latency) => {
                let share = if highest > 0.0 { latency.unwrap_or(0.0) / highest } else { 0.0 };
                let height = (share * 7.0).round().clamp(0.0, 7.0) as usize;
                (theme.symbols.spark[height], theme.style(Role::Spark))
            }
        };
        ink.put(x + column as u16, y, glyph, style);
    }
}

/// Who serves, or why that cannot be told.
fn who(
    picture: &Picture,
    card: &ComponentCard,
    component: &ComponentPicture,
    theme: &Theme,
    wall: DateTime<Utc>,
) -> (String, Style) {
    let text_style = theme.style(Role::Text);
    if component.verdict == Some(Verdict::Blind)
        && let Some(why) = blind_reason(picture, card, wall)
    {
        return (why, theme.style(Role::Blind));
    }
    if let Some(outage) = &component.outage {
        return match (&outage.served_by, outage.t_failover) {
            (Some(by), Some(_)) => (format!("{} {by}", theme.symbols.arrow), text_style),
            _ => (outage.reason.clone(), text_style),
        };
    }
    if status::is_unconfirmed(component) {
        return (
            format!("unconfirmed: {}", component.reason.as_deref().unwrap_or("bad")),
            theme.style(Role::Fair),
        );
    }
    if let Some(reason) = component.reason.as_ref().filter(|_| component.verdict == Some(Verdict::Blind)) {
        return (reason.clone(), theme.style(Role::Blind));
    }
    if let Some(by) = &component.served_by {
        let style = if card.secondary.contains(by) { theme.style(Role::Fair) } else { text_style };
        return (by.clone(), style);
    }
    let word = if card.protected { "protected" } else { "" };
    (word.to_owned(), theme.style(Role::Muted))
}

/// Why a platform cannot be seen, when it is the platform's doing.
pub(super) fn blind_reason(picture: &Picture, card: &ComponentCard, wall: DateTime<Utc>) -> Option<String> {
    let platform = picture.platforms.get(&card.platform)?;
    if platform.login_failing.is_some() {
        return Some("login failing".to_owned());
    }
    if !platform.throttled {
        return None;
    }
    let wait = platform.throttled_until.and_then(|until| (until - wall).to_std().ok());
    Some(match wait {
        Some(wait) if !wait.is_zero() => {
            format!("retry in {}", text::rough_duration(wait + std::time::Duration::from_millis(999)))
        }
        _ => "throttled".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_exactly_the_width_they_are_given() {
        for width in 60..300 {
            for journey in [false, true] {
                let columns = Columns::fit(width, journey);
                let gaps = u16::from(columns.past > 0) + u16::from(columns.who > 0);
                let used = LEAD
                    + columns.name
                    + 1
                    + WORD
                    + 1
                    + VALUE
                    + 4 * columns.timing
                    + columns.past
                    + columns.who
                    + gaps
                    + 1
                    + COMPLIANCE;
                assert_eq!(used, width, "{width} {columns:?}");
            }
        }
    }
}
