//! The first lines: tenant, environment, mode, who is here, clock, time, notices about warroom itself, and what happened
//! since somebody last looked.

use chrono::{DateTime, Timelike, Utc};
use ratatui::style::Style;

use super::ink::Ink;
use crate::{
    console::{
        list,
        state::State,
        status::Status,
        text,
        theme::{Role, Theme},
    },
    domain::{Environment, Person, Since, record::ClockState, time::Now},
};

/// The most notices that are shown at once.
const NOTICES: usize = 3;

/// From so many milliseconds on an offset is shown in seconds.
const SECONDS: f64 = 10_000.0;

/// The least that tenant and environment get beside who is here.
const TITLE_LEAST: usize = 22;

/// What is said of a clock of which nothing is known.
const UNKNOWN: &str = "clock unknown";

/// A mode, in one or two words.
pub(super) struct Badge {
    pub(super) text: String,
    role: Role,
}

impl Badge {
    fn new(text: impl Into<String>, role: Role) -> Self {
        let text = text.into();
        // Room around the word where it is drawn in reverse.
        let text = if role == Role::Text { text } else { format!(" {text} ") };
        Self { text, role }
    }

    pub(super) const fn style(&self, theme: &Theme) -> Style {
        theme.style(self.role)
    }
}

/// The modes that hold now, the gravest first; plain `ALERTING` where there is none.
pub(super) fn badges(state: &State, now: Now) -> Vec<Badge> {
    let (picture, _) = state.shown(now);
    let mut badges = Vec::new();
    if state.stopped.is_some() {
        badges.push(Badge::new("NOT MEASURING", Role::Alarm));
    }
    if let (Some(_), Some(at)) = (&state.lost, state.cut_off) {
        let since = text::clock_duration(now.moment.since(at.moment));
        badges.push(Badge::new(format!("NOT CONNECTED {since}"), Role::Alarm));
    }
    if let Some(frozen) = &state.frozen {
        let since = text::clock_duration(now.moment.since(frozen.at.moment));
        badges.push(Badge::new(format!("FROZEN {since}"), Role::Badge));
    }
    if picture.clock.as_ref().is_some_and(|clock| clock.state == ClockState::Unsafe) {
        badges.push(Badge::new("CLOCK UNSAFE", Role::Alarm));
        badges.push(Badge::new("UNMEASURED", Role::Alarm));
    }
    if state.lagging {
        badges.push(Badge::new("CATCHING UP", Role::Badge));
    }
    if picture.roster.demo {
        badges.push(Badge::new("DEMO", Role::Badge));
    }
    if picture.roster.environment == Environment::Production {
        badges.push(Badge::new("READ ONLY", Role::Badge));
    }
    if state.only_watches() {
        badges.push(Badge::new("WATCH ONLY", Role::Badge));
    }
    // Without an engine nobody is told of anything.
    if state.cut_off.is_none() {
        badges.push(Badge::new("ALERTING", Role::Text));
    }
    badges
}

/// `1 DOWN 00:23`: what the banner would say, where it is not drawn. The worst are named, the others counted.
fn outages(state: &State, now: Now) -> Option<Badge> {
    let (picture, wall) = state.shown(now);
    let open = list::open_outages(picture, wall);
    let status = |place: &usize| Status::of(&picture.roster.components[*place], &picture.components[*place]);
    let worst = open.iter().map(status).max()?;
    let mut such = open.iter().filter(|place| status(place) == worst);
    let since = list::elapsed(&picture.components[*such.next()?], wall)?;
    let such = 1 + such.count();
    let word = state.theme().status(worst).word.to_uppercase();
    let others = if open.len() > such { format!(" +{}", open.len() - such) } else { String::new() };
    Some(Badge::new(format!("{such} {word} {}{others}", text::clock_duration(since)), Role::Alarm))
}

/// How many lines it needs at a width.
pub(super) fn height(state: &State, theme: &Theme, width: u16) -> u16 {
    1 + notices(state, theme, width).len() as u16 + u16::from(state.since.is_some())
}

/// The notices on [`NOTICES`] lines at most: each on one, and what is too long goes on where others leave a line free.
fn notices(state: &State, theme: &Theme, width: u16) -> Vec<String> {
    let all = state.notices();
    let hidden = all.len().saturating_sub(NOTICES);
    let shown = all.len().min(NOTICES);
    let mut free = NOTICES - shown;
    let cells = usize::from(width).saturating_sub(4);
    let mut lines = Vec::with_capacity(NOTICES);
    for (place, notice) in all.iter().take(shown).enumerate() {
        let more =
            if place + 1 == shown && hidden > 0 { format!(" (+{hidden} more)") } else { String::new() };
        let whole = format!("{notice}{more}");
        let mut wrapped = text::wrap(&whole, cells, theme.symbols);
        let most = 1 + free;
        if wrapped.len() > most {
            // What does not fit is cut where it is drawn.
            let rest = wrapped.split_off(most - 1).join(" ");
            wrapped.push(rest);
        }
        free -= wrapped.len().saturating_sub(1);
        let leads = std::iter::once("! ").chain(std::iter::repeat("  "));
        lines.extend(leads.zip(wrapped).map(|(lead, line)| format!("{lead}{line}")));
    }
    lines
}

pub(super) fn draw(state: &State, ink: &mut Ink, now: Now) {
    let (picture, _) = state.shown(now);
    let mut badges = badges(state, now);
    if !state.shows_banner() {
        badges.splice(0..0, outages(state, now));
    }
    let dot = ink.theme.symbols.dot;
    let time = time_of_day(state, now);
    let clock = clock(picture.clock.as_ref(), ink.theme);
    let title =
        format!("warroom {dot} {} {dot} {}", picture.roster.tenant, picture.roster.environment.word());
    let badges_width: usize = badges.iter().map(|badge| text::width(&badge.text) + 1).sum();
    let spare = usize::from(ink.width()).saturating_sub(badges_width + text::width(&time) + 3);
    let title_cells = text::width(&text::clean(&title, ink.theme.symbols));
    let here = here(&state.others(), ink.width() >= super::WIDE, spare, title_cells);
    let spare = spare.saturating_sub(text::width(&here));
    let right = match &clock {
        // The clock's figures give way before the tenant does.
        Some(clock) if spare >= text::width(clock) + title_cells.clamp(30, 40) => format!("{clock}  {time} "),
        // That nothing is known of it says how far the figures can be trusted.
        None if spare >= UNKNOWN.len() + 12 => format!("{UNKNOWN}  {time} "),
        _ => format!("{time} "),
    };
    let right = if here.is_empty() { right } else { format!("{here}  {right}") };
    let title_width = usize::from(ink.width()).saturating_sub(badges_width + text::width(&right) + 3);
    let after = ink.put_within(1, 0, title_width as u16, &title, ink.style(Role::Title));
    let time_at = ink.put_right(0, &right, ink.style(Role::Text));
    // In the middle of what is left, so that it stays where it is while numbers change.
    let room = usize::from(time_at.saturating_sub(after));
    let mut x = after + (room.saturating_sub(badges_width) / 2).max(1) as u16;
    for badge in badges {
        let room = time_at.saturating_sub(x);
        x = ink.put_within(x, 0, room, &badge.text, badge.style(ink.theme)) + 1;
    }
    let mut y = 1;
    for line in notices(state, ink.theme, ink.width()) {
        ink.put(1, y, &line, ink.style(Role::Notice));
        y += 1;
    }
    if let Some((since, _)) = &state.since {
        let line =
            since_line(since, usize::from(ink.width()).saturating_sub(2), state.picture.corrected(now.wall));
        ink.put(1, y, &line, ink.style(Role::Title));
    }
}

/// `since you last looked at Fri 02:14 (3 h ago): 2 new outages, 1 recovery; bob acknowledged`, in as many words as there
/// is room for.
pub(super) fn since_line(since: &Since, cells: usize, now: DateTime<Utc>) -> String {
    let (when, what) = (text::day_and_time(since.last, now), since.sentence());
    let long = format!("since you last looked at {when}: {what}");
    if text::width(&long) <= cells { long } else { format!("since {when}: {what}") }
}

/// Who is here besides oneself: everybody by name, or the first and how many more, or how many there are.
fn here(others: &[&Person], wide: bool, spare: usize, title: usize) -> String {
    let Some((first, rest)) = others.split_first() else { return String::new() };
    let more = if rest.is_empty() { String::new() } else { format!(" +{}", rest.len()) };
    // On a narrow screen the clock is worth more than the third name.
    let named = if wide { others } else { &others[..1] };
    let mut names: Vec<String> = named.iter().map(ToString::to_string).collect();
    if !wide {
        names[0].push_str(&more);
    }
    let forms = [
        names.join(", "),
        format!("{first}{more}"),
        format!("{}{more}", first.key()),
        format!("{} here", others.len() + 1),
    ];
    // Names stand where they cut nothing else off.
    let room = spare.saturating_sub(title.min(40) + 2);
    let [.., shortest] = &forms;
    let fits = forms.iter().find(|form| text::width(form) <= room);
    let least = (text::width(shortest) + TITLE_LEAST <= spare).then_some(shortest);
    fits.or(least).cloned().unwrap_or_default()
}

fn time_of_day(state: &State, now: Now) -> String {
    let wall = state.picture.corrected(now.wall);
    if state.counts_seconds(now) {
        format!("{}Z", text::time_of_day(wall))
    } else {
        format!("{:02}:{:02}Z", wall.hour(), wall.minute())
    }
}

/// The clock's figures; none where nothing is known of it.
fn clock(event: Option<&crate::domain::event::ClockEvent>, theme: &Theme) -> Option<String> {
    let event = event.filter(|event| event.state != ClockState::Unknown)?;
    let offset = event.offset_ms?;
    let plus_minus = theme.symbols.plus_minus;
    if offset.abs() >= SECONDS {
        let error = event.error_ms.map(|error| format!(" {plus_minus}{:.1}", (error / 100.0).ceil() / 10.0));
        return Some(format!("clock {:+.1} s{}", offset / 1000.0, error.unwrap_or_default()));
    }
    let error = event.error_ms.map(|error| format!(" {plus_minus}{}", error.ceil() as u64));
    Some(format!("clock {offset:+.0} ms{}", error.unwrap_or_default()))
}
