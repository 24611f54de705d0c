//! One component as one line: state, latency or elapsed, its recent past or its burn-down, who serves, compliance.

use chrono::{DateTime, Utc};
use ratatui::style::{Modifier, Style};

use super::ink::{Ink, bar};
use crate::{
    console::{
        list,
        status::{self, Status},
        text,
        theme::{Role, Theme},
        words::{
            outage,
            platform::{blind_reason, intervals, stretched},
        },
    },
    domain::{
        ComponentCard, Picture, Timings, Verdict, event::Stretched, history::History,
        picture::ComponentPicture,
    },
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

/// What the rows would like to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// The longest name of the list.
    pub(super) name: usize,
    /// The longest text beside the rows that are in sight: who serves, or why that cannot be told.
    pub(super) who: usize,
    /// Whether one of these texts says until when a platform lets nobody see.
    pub(super) reason: bool,
}

/// What a row shows of the console rather than of its component.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// The cursor stands on it.
    pub(super) selected: bool,
    /// When news ended, where they have.
    pub(super) cut_off: Option<DateTime<Utc>>,
}

/// Lead, name, word, value and compliance, and the gaps between them, always stay.
const FIXED: u16 = LEAD + 1 + WORD + 1 + VALUE + 1 + COMPLIANCE;
/// The width that a name has before other columns get any.
const NAME: u16 = 18;
/// The same where a reason is to be read beside the parts of the last request.
const NAME_BESIDE_REASON: u16 = 15;

/// Takes up to so many cells of what is left.
fn take(spare: &mut u16, most: u16) -> u16 {
    let taken = most.min(*spare);
    *spare -= taken;
    taken
}

/// Whether a list of this width shows the parts of the last request, where they are asked for.
pub(super) const fn shows_journey(width: u16, journey: bool) -> bool {
    journey && width >= FIXED + NAME + 30
}

impl Columns {
    /// What fits into a width; `journey` asks for the parts of the last request too.
    pub(super) fn fit(width: u16, journey: bool, wants: Wants) -> Self {
        let journey = shows_journey(width, journey);
        let wanted_name = u16::try_from(wants.name).unwrap_or(u16::MAX).clamp(9, 48);
        // In steps, so that a reason whose figures change does not move the columns.
        let wanted_who = match u16::try_from(wants.who).unwrap_or(u16::MAX) {
            short @ 0..=12 => short,
            long => long.min(48).next_multiple_of(8),
        };
        let mut spare = width.saturating_sub(FIXED);
        let least = if journey && wants.reason { NAME_BESIDE_REASON } else { NAME };
        let mut columns = Self { name: take(&mut spare, wanted_name.min(least)), timing: 0, past: 0, who: 0 };
        if journey {
            columns.timing = if width < 110 { 4 } else { 5 };
            spare -= 4 * columns.timing;
        }
        // Each of the next columns takes a gap too.
        if spare >= 7 {
            columns.past = take(&mut spare, if journey { 10 } else { 11 }) - 1;
        }
        if wanted_who > 0 && spare >= 9 {
            columns.who = take(&mut spare, wanted_who.min(12) + 1) - 1;
        }
        columns.name += take(&mut spare, wanted_name.min(26).saturating_sub(columns.name));
        if columns.who > 0 {
            columns.who += take(&mut spare, wanted_who.saturating_sub(columns.who));
        }
        if columns.past > 0 {
            columns.past += take(&mut spare, 6);
        }
        columns.name += take(&mut spare, wanted_name.saturating_sub(columns.name));
        if columns.past > 0 {
            // What is left shows more of the past, as far back as it is known.
            let known = History::SLICES as u16;
            columns.past += take(&mut spare, known.saturating_sub(columns.past));
        }
        if columns.who > 0 {
            columns.who += spare;
        } else {
            columns.name += spare;
        }
        columns
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
    marks: Marks,
    wall: DateTime<Utc>,
) {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let theme = ink.theme;
    let symbols = theme.symbols;
    let status = Status::of(card, component);
    let look = theme.status(status);
    let stale = match component.outage {
        None => {
            (marks.cut_off.is_some() && component.probed_at.is_some())
                || list::is_stale(picture, card, component, wall)
                || list::is_hidden(picture, card)
        }
        Some(_) => marks.cut_off.is_some(),
    };
    // How an outage went on after the last news, nobody knows.
    let seen = marks.cut_off.filter(|_| component.outage.is_some()).map_or(wall, |at| at.min(wall));
    let aged = |style: Style| if stale { style.add_modifier(Modifier::DIM) } else { style };
    if marks.selected {
        ink.put(0, y, symbols.selected, theme.style(Role::Title));
    }
    ink.put(1, y, look.glyph, aged(look.style));
    let name_style = if component.outage.is_some() { look.style } else { theme.style(Role::Text) };
    ink.put_name(LEAD, y, columns.name, &card.name, aged(name_style));
    let mut x = LEAD + columns.name + 1;
    let mark = if stale { "?" } else { "" };
    let after = ink.put_within(x, y, WORD, &format!("{}{mark}", look.word), aged(look.style));
    if component.acknowledged.is_some() {
        // A gap before it where there is room.
        let at = (after + 1).min(x + WORD - 1);
        ink.put_within(at, y, 1, symbols.acknowledged, theme.style(Role::Title));
    }
    x += WORD + 1;
    let value = value(component, seen, mark);
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
        past(ink, x, y, columns.past, card, component, seen);
        x += columns.past;
    }
    if columns.who > 0 {
        let (mut who, style) = who(picture, place, theme, wall);
        if text::width(&who) > usize::from(columns.who)
            && let Some((_, rest)) = who.split_once("throttled, ")
        {
            who = rest.to_owned();
        }
        ink.put_within(x + 1, y, columns.who, &who, aged(style));
    }
    let (figure, style) = match picture.compliance(place, wall) {
        Some(percent) => (format!("{percent} %"), theme.compliance(percent.value())),
        None => ("no data".to_owned(), theme.style(Role::Muted)),
    };
    ink.put_right(y, &text::right(&figure, usize::from(COMPLIANCE), symbols), style);
    if marks.selected {
        ink.restyle(LEAD, y, columns.name, theme.style(Role::Selected));
    }
}

fn value(component: &ComponentPicture, wall: DateTime<Utc>, mark: &str) -> String {
    if let Some(elapsed) = list::elapsed(component, wall) {
        return format!("{}{mark}", text::clock_duration(elapsed));
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
        let used = outage::used(card, component, wall);
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

/// How wide the text beside a row is, uncut.
pub(super) fn wanted_who(picture: &Picture, place: usize, theme: &Theme, wall: DateTime<Utc>) -> usize {
    text::width(&text::clean(&who(picture, place, theme, wall).0, theme.symbols))
}

/// Who serves, or why that cannot be told.
fn who(picture: &Picture, place: usize, theme: &Theme, wall: DateTime<Utc>) -> (String, Style) {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let text_style = theme.style(Role::Text);
    if let Some(why) = blind_reason(picture, card, wall) {
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
    if let Some(stretched) = stretched(picture, card).filter(|stretched| matters(stretched)) {
        return (intervals(stretched), theme.style(Role::Fair));
    }
    if let Some(by) = &component.served_by {
        let style = if card.secondary.contains(by) { theme.style(Role::Fair) } else { text_style };
        return (by.clone(), style);
    }
    let word = if card.protected { "protected" } else { "" };
    (word.to_owned(), theme.style(Role::Muted))
}

/// Whether it is worth the place of who serves: what a burst loses of its fractions of a second is not.
fn matters(stretched: &Stretched) -> bool {
    stretched.actual_ms >= stretched.wanted_ms + 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_exactly_the_width_they_are_given() {
        let wishes = [0, 9, 13, 18, 40, 300];
        for (width, journey) in (60..300).flat_map(|width| [(width, false), (width, true)]) {
            for wants in
                wishes.iter().flat_map(|&name| wishes.map(|who| Wants { name, who, reason: who > 40 }))
            {
                let columns = Columns::fit(width, journey, wants);
                let gaps = u16::from(columns.past > 0) + u16::from(columns.who > 0);
                let used = FIXED + columns.name + 4 * columns.timing + columns.past + columns.who + gaps;
                assert_eq!(used, width, "{width} {wants:?} {columns:?}");
            }
        }
    }

    #[test]
    fn cells_that_nobody_needs_go_to_who_needs_them() {
        let fit = |width, name, who| Columns::fit(width, width == 87, Wants { name, who, reason: who == 24 });
        assert!(fit(80, 40, 0).name >= 30, "nobody says who serves");
        assert!(fit(80, 13, 36).who >= 20, "short names leave room for the reason");
        assert!(fit(87, 40, 24).who >= 12, "`retry in 4 s` is read beside the parts of the request");
    }
}
