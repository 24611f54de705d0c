//! The first lines: tenant, environment, mode, clock, time, and notices about warroom itself.

use chrono::Timelike;
use ratatui::style::Style;

use super::ink::Ink;
use crate::{
    console::{
        list,
        state::State,
        status::Status,
        text,
        theme::{Role, Theme},
        words,
    },
    domain::{Environment, record::ClockState, time::Now},
};

/// The most notices that are shown at once.
const NOTICES: usize = 3;

/// From so many milliseconds on an offset is shown in seconds.
const SECONDS: f64 = 10_000.0;

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
    badges.push(Badge::new("ALERTING", Role::Text));
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

fn notices(state: &State) -> Vec<String> {
    let picture = state.frozen.as_ref().map_or(&state.picture, |frozen| &frozen.picture);
    let stopped = state.stopped.as_ref().map(|reason| format!("nothing is measured any longer: {reason}"));
    stopped.into_iter().chain(words::standing(picture)).collect()
}

/// How many lines it needs.
pub(super) fn height(state: &State) -> u16 {
    1 + notices(state).len().min(NOTICES) as u16
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
    let badges_width: usize = badges.iter().map(|badge| text::width(&badge.text) + 1).sum();
    let spare = usize::from(ink.width()).saturating_sub(badges_width + text::width(&time) + 3);
    let right = match &clock {
        // The clock's figures give way before the tenant does.
        Some(clock) if spare >= text::width(clock) + 30 => format!("{clock}  {time} "),
        // That nothing is known of it says how far the figures can be trusted.
        None if spare >= UNKNOWN.len() + 12 => format!("{UNKNOWN}  {time} "),
        _ => format!("{time} "),
    };
    let title_width = usize::from(ink.width()).saturating_sub(badges_width + text::width(&right) + 3);
    let title =
        format!("warroom {dot} {} {dot} {}", picture.roster.tenant, picture.roster.environment.word());
    let after = ink.put_within(1, 0, title_width as u16, &title, ink.style(Role::Title));
    let time_at = ink.put_right(0, &right, ink.style(Role::Text));
    // In the middle of what is left, so that it stays where it is while numbers change.
    let room = usize::from(time_at.saturating_sub(after));
    let mut x = after + (room.saturating_sub(badges_width) / 2).max(1) as u16;
    for badge in badges {
        let room = time_at.saturating_sub(x);
        x = ink.put_within(x, 0, room, &badge.text, badge.style(ink.theme)) + 1;
    }
    let notices = notices(state);
    let hidden = notices.len().saturating_sub(NOTICES);
    for (line, notice) in notices.iter().take(NOTICES).enumerate() {
        let more =
            if line + 1 == NOTICES && hidden > 0 { format!(" (+{hidden} more)") } else { String::new() };
        ink.put(1, 1 + line as u16, &format!("! {notice}{more}"), ink.style(Role::Notice));
    }
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
