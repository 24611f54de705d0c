//! The last events that a person would want to read, newest first.

use ratatui::style::Style;

use super::ink::Ink;
use crate::{
    console::{
        state::{State, Zoom},
        text,
        theme::{Role, Theme},
        words,
    },
    domain::{
        Event, Phase, Verdict,
        diagnosis::Grade,
        event::{AlertState, Login, Severity},
        time::Now,
    },
};

/// Width of a component's name in the list.
const NAME: u16 = 18;
/// Where it begins: after a time, or a date and a time.
const ABOUT: u16 = 13;
/// The most lines of one event where the events have the whole screen.
const ZOOMED: usize = 8;
/// From this width on an event is one line.
const ONE_LINE: u16 = 60;

pub(super) fn draw(state: &State, ink: &mut Ink, now: Now) {
    if ink.height() == 0 || ink.width() < 8 {
        return;
    }
    let (picture, wall) = state.shown(now);
    ink.rule(0, "Events", ink.style(Role::Title));
    let theme = ink.theme;
    if picture.notable.is_empty() {
        ink.put(1, 1, "nothing yet", ink.style(Role::Muted));
        return;
    }
    let mut y = 1;
    for event in picture.notable.iter().rev() {
        if y >= ink.height() {
            break;
        }
        let words = words::sentence(event, picture, theme.symbols, wall);
        let style = style(event, theme);
        let about = words::about(event, picture);
        let time = text::time_tenths(event.at(), wall);
        if ink.width() >= ONE_LINE {
            ink.put(1, y, &time, ink.style(Role::Muted));
            ink.put_name(ABOUT, y, NAME, &about, ink.style(Role::Text));
            let x = ABOUT + NAME + 1;
            if state.zoom == Some(Zoom::Events) {
                // Alone they have room to be read to their end.
                let room = usize::from(ink.width().saturating_sub(x + 1));
                let lines = text::wrap(&words, room, theme.symbols);
                for line in lines.iter().take(ZOOMED) {
                    ink.put(x, y, line, style);
                    y += 1;
                }
                y += u16::from(lines.is_empty());
            } else {
                ink.put(x, y, &words, style);
                y += 1;
            }
        } else {
            let x = ink.put(1, y, &time, ink.style(Role::Muted));
            ink.put_name(x + 1, y, u16::MAX, &about, ink.style(Role::Text));
            y += 1;
            for line in
                text::wrap(&words, usize::from(ink.width().saturating_sub(4)), theme.symbols).iter().take(2)
            {
                ink.put(3, y, line, style);
                y += 1;
            }
        }
    }
}

/// How an event looks.
fn style(event: &Event, theme: &Theme) -> Style {
    let role = match event {
        Event::Phase(phase) => match phase.phase {
            Phase::Up => Role::Good,
            Phase::Unobserved => Role::Unobserved,
            Phase::Down
                if phase.outage.as_ref().is_some_and(|outage| outage.verdict == Verdict::Degraded) =>
            {
                Role::Degraded
            }
            Phase::Down => Role::Down,
            Phase::FailedOver => Role::Degraded,
            Phase::Recovering => Role::Fair,
        },
        Event::Recovery(recovery) => return theme.used(recovery.record.rto_used_percentage.value()),
        Event::Violation(_) => Role::Bad,
        Event::Blip(_) | Event::Presence(_) => Role::Muted,
        Event::Gap(_) | Event::Unmeasured(_) => Role::Fair,
        Event::Budget(budget) if budget.throttled => Role::Blind,
        Event::Budget(budget) if !budget.stretched.is_empty() => Role::Fair,
        Event::Platform(platform) if platform.login == Login::Failing => Role::Blind,
        Event::Notice(notice) if notice.standing => Role::Notice,
        Event::Diagnosis(diagnosis) if diagnosis.count(Grade::Failed) > 0 => Role::Bad,
        Event::Alert(alert) if alert.state == AlertState::Resolved => Role::Text,
        Event::Alert(alert) if alert.severity == Severity::Critical => Role::Bad,
        Event::Alert(_) => Role::Notice,
        Event::Config(config) if !config.loaded => Role::Notice,
        Event::Switch(_)
        | Event::Budget(_)
        | Event::Platform(_)
        | Event::Notice(_)
        | Event::Diagnosis(_)
        | Event::Act(_)
        | Event::Config(_)
        | Event::Clock(_)
        | Event::Probe(_)
        | Event::Outage(_)
        | Event::Roster(_) => Role::Text,
    };
    theme.style(role)
}
