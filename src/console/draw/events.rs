//! The last events that a person would want to read, newest first.

use chrono::{DateTime, Utc};
use ratatui::style::Style;

use super::{chain, ink::Ink, row};
use crate::{
    console::{
        state::State,
        text,
        theme::{Role, Theme},
    },
    domain::{
        Command, Event, Phase, Picture, Verdict,
        diagnosis::Grade,
        event::{ActEvent, AlertState, Login, PhaseEvent, Presence, Severity},
        time::Now,
    },
};

/// Width of a component's name in the list.
const NAME: u16 = 18;
/// Where it begins: after a time, or a date and a time.
const ABOUT: u16 = 13;
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
        let (words, style) = sentence(event, picture, theme, wall);
        let about = about(event, picture);
        let time = text::time_tenths(event.at(), wall);
        if ink.width() >= ONE_LINE {
            ink.put(1, y, &time, ink.style(Role::Muted));
            ink.put_name(ABOUT, y, NAME, &about, ink.style(Role::Text));
            ink.put(ABOUT + NAME + 1, y, &words, style);
            y += 1;
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

/// The name of what an event is about.
fn about(event: &Event, picture: &Picture) -> String {
    if let Some(id) = event.component_id() {
        return picture
            .position(id)
            .map_or_else(|| id.to_string(), |place| picture.roster.components[place].name.to_string());
    }
    match event {
        Event::Budget(budget) => budget.platform.to_string(),
        Event::Platform(platform) => platform.platform.to_string(),
        Event::Notice(notice) => notice.about.clone(),
        Event::Alert(alert) => alert.scope.clone(),
        _ => "warroom".to_owned(),
    }
}

/// An event in words.
pub(super) fn sentence(
    event: &Event,
    picture: &Picture,
    theme: &Theme,
    wall: DateTime<Utc>,
) -> (String, Style) {
    let role = |role| theme.style(role);
    match event {
        Event::Phase(phase) => phase_sentence(phase, theme),
        Event::Switch(switch) => {
            (format!("served by {}, before by {}", switch.to, switch.from), role(Role::Text))
        }
        Event::Violation(violation) => (
            format!(
                "VIOLATED: {} % of the target used{}",
                violation.rto_used_percentage,
                if violation.open { ", still open" } else { "" }
            ),
            role(Role::Bad),
        ),
        Event::Recovery(recovery) => {
            let record = &recovery.record;
            let certain = if record.certain { "" } else { ", not certain" };
            let (low, high) = record.bounds_seconds;
            let high = high.map_or_else(|| "?".to_owned(), |high| format!("{high:.1}"));
            (
                format!(
                    "{} after {:.1} s{} ({low:.1} {} {high}), {} % used{certain}",
                    record.status.word(),
                    record.measured_rto_seconds,
                    chain::held_back_briefly(record),
                    theme.symbols.range,
                    record.rto_used_percentage
                ),
                theme.used(record.rto_used_percentage.value()),
            )
        }
        Event::Blip(blip) => (
            format!("blip: {}", blip.reason.as_deref().unwrap_or("one bad verdict, not confirmed")),
            role(Role::Muted),
        ),
        Event::Gap(gap) => (
            format!(
                "nothing seen {} {} {}: {}",
                text::time(gap.from, wall),
                theme.symbols.range,
                text::time(gap.until, wall),
                gap.reason
            ),
            role(Role::Fair),
        ),
        Event::Unmeasured(unmeasured) => {
            (format!("outage not measured: {}", unmeasured.reason), role(Role::Fair))
        }
        Event::Budget(budget) if budget.throttled => {
            let wait = budget.retry_after_ms.map_or_else(String::new, |wait| {
                format!(
                    ", asks for {}",
                    text::rough_duration(std::time::Duration::from_millis(wait.saturating_add(999)))
                )
            });
            (format!("throttled (429){wait}"), role(Role::Blind))
        }
        Event::Budget(budget) => match budget.stretched.as_slice() {
            [] => ("not throttled, probed as often as wanted".to_owned(), role(Role::Text)),
            [worst, others @ ..] => {
                let id = &worst.component_id;
                let name = picture.position(id).map(|place| &picture.roster.components[place].name);
                let name = name.map_or_else(|| id.to_string(), ToString::to_string);
                let more =
                    if others.is_empty() { String::new() } else { format!(" (+{} more)", others.len()) };
                (
                    format!("the rate budget is short: {name} probed {}{more}", row::intervals(worst)),
                    role(Role::Fair),
                )
            }
        },
        Event::Platform(platform) if platform.login == Login::Failing => (
            format!("login failing: {}", platform.reason.as_deref().unwrap_or("no reason given")),
            role(Role::Blind),
        ),
        Event::Platform(_) => ("login works".to_owned(), role(Role::Text)),
        Event::Notice(notice) if notice.standing => (notice.text.clone(), role(Role::Notice)),
        Event::Notice(notice) => (format!("over: {}", notice.text), role(Role::Text)),
        Event::Diagnosis(diagnosis) => {
            let (failed, warned) = (diagnosis.count(Grade::Failed), diagnosis.count(Grade::Warning));
            let look = if failed > 0 { Role::Bad } else { Role::Text };
            (format!("diagnosis: {failed} failed, {warned} warnings"), role(look))
        }
        Event::Alert(alert) if alert.state == AlertState::Resolved => {
            (format!("alert over: {}", alert.reason), role(Role::Text))
        }
        Event::Alert(alert) => (
            format!("{}: {}", alert.severity.word(), alert.reason),
            role(if alert.severity == Severity::Critical { Role::Bad } else { Role::Notice }),
        ),
        Event::Act(act) => (act_sentence(act), role(Role::Text)),
        Event::Config(config) if config.loaded => ("the config was read again".to_owned(), role(Role::Text)),
        Event::Config(config) => (
            format!(
                "the new config is refused: {}",
                config.words.first().map_or("no reason given", String::as_str)
            ),
            role(Role::Notice),
        ),
        Event::Presence(presence) => (
            format!(
                "{} {}",
                presence.console.who,
                if presence.change == Presence::Attached { "is here" } else { "has gone" }
            ),
            role(Role::Muted),
        ),
        Event::Clock(_) | Event::Probe(_) | Event::Outage(_) | Event::Roster(_) => {
            (format!("{} components", picture.components.len()), role(Role::Text))
        }
    }
}

fn act_sentence(act: &ActEvent) -> String {
    let what = match &act.act {
        Command::ProbeNow { .. } => "probed it by hand",
        Command::Diagnose => "examined the whole chain",
        Command::Acknowledge { .. } => "acknowledged the outage",
        Command::Reload => "read the config again",
    };
    format!("{} {what}", act.who)
}

fn phase_sentence(phase: &PhaseEvent, theme: &Theme) -> (String, Style) {
    let outage = phase.outage.as_ref();
    let reason = outage.map_or("", |outage| outage.reason.as_str());
    match phase.phase {
        Phase::Up => ("up".to_owned(), theme.style(Role::Good)),
        Phase::Unobserved => ("unobserved".to_owned(), theme.style(Role::Unobserved)),
        Phase::Down if outage.is_some_and(|outage| outage.verdict == Verdict::Degraded) => {
            (format!("DEGRADED: {reason}"), theme.style(Role::Degraded))
        }
        Phase::Down => (format!("DOWN: {reason}"), theme.style(Role::Down)),
        Phase::FailedOver => {
            let to = outage.and_then(|outage| outage.served_by.as_deref()).unwrap_or("a secondary");
            let after = outage
                .and_then(|outage| outage.t_failover.map(|at| at - outage.t_detect))
                .map_or_else(String::new, |after| {
                    format!(" ({:.1} s after detection)", after.num_milliseconds() as f64 / 1000.0)
                });
            (format!("failed over to {to}{after}"), theme.style(Role::Degraded))
        }
        Phase::Recovering => ("good again, being confirmed".to_owned(), theme.style(Role::Fair)),
    }
}
