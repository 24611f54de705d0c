//! What happened and how things stand, in plain words without a look: what the screen draws in its styles, and the line
//! mode prints.
//!
//! Invariants: no colour and no glyph but those of [`Symbols`]; text that came from elsewhere is cleaned where it is
//! written out ([`text::clean`]), not here; this computes no verdict.

pub(super) mod chain;
pub(super) mod component;
pub(super) mod outage;
pub(super) mod platform;

use chrono::{DateTime, Utc};

use super::{symbols::Symbols, text};
use crate::domain::{
    Command, Event, Phase, Picture, RecoveryRecord, Verdict,
    diagnosis::Grade,
    event::{ActEvent, AlertState, BudgetEvent, ConfigEvent, GapEvent, Login, PhaseEvent, Presence},
    record::ClockState,
};

/// What helps who may only watch.
pub(super) const WHO_MAY_ACT: &str = "[agent] operators in the config names who may act";

/// The name of what an event is about.
#[must_use]
pub fn about(event: &Event, picture: &Picture) -> String {
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
#[must_use]
pub fn sentence(event: &Event, picture: &Picture, symbols: &Symbols, wall: DateTime<Utc>) -> String {
    match event {
        Event::Phase(phase) => phase_words(phase),
        Event::Switch(switch) => format!("served by {}, before by {}", switch.to, switch.from),
        Event::Violation(violation) => format!(
            "VIOLATED: {} % of the target used{}",
            violation.rto_used_percentage,
            if violation.open { ", still open" } else { "" }
        ),
        Event::Recovery(recovery) => recovered(&recovery.record, symbols),
        Event::Blip(blip) => {
            format!("blip: {}", blip.reason.as_deref().unwrap_or("one bad verdict, not confirmed"))
        }
        Event::Gap(gap) => gap_words(gap, symbols, wall),
        Event::Unmeasured(unmeasured) => format!("outage not measured: {}", unmeasured.reason),
        Event::Budget(budget) => budget_words(budget, picture),
        Event::Platform(platform) if platform.login == Login::Failing => {
            format!("login failing: {}", platform.reason.as_deref().unwrap_or("no reason given"))
        }
        Event::Platform(_) => "login works".to_owned(),
        Event::Notice(notice) if notice.standing => notice.text.clone(),
        Event::Notice(notice) => format!("over: {}", notice.text),
        Event::Diagnosis(diagnosis) => {
            let (failed, warned) = (diagnosis.count(Grade::Failed), diagnosis.count(Grade::Warning));
            format!("diagnosis: {failed} failed, {warned} warnings")
        }
        Event::Alert(alert) if alert.state == AlertState::Resolved => format!("alert over: {}", alert.reason),
        Event::Alert(alert) => format!("{}: {}", alert.severity.word(), alert.reason),
        Event::Act(act) => act_words(act),
        Event::Config(config) => config_words(config),
        Event::Presence(presence) => {
            let came = presence.change == Presence::Attached;
            format!("{} {}", presence.console.who, if came { "is here" } else { "has gone" })
        }
        Event::Clock(_) | Event::Probe(_) | Event::Outage(_) | Event::Roster(_) => {
            format!("{} components", picture.components.len())
        }
    }
}

/// `PASS after 58.0 s (57.5 – 63.1), 96.7 % used`.
pub(super) fn recovered(record: &RecoveryRecord, symbols: &Symbols) -> String {
    let certain = if record.certain { "" } else { ", not certain" };
    let (low, high) = record.bounds_seconds;
    let high = high.map_or_else(|| "?".to_owned(), |high| format!("{high:.1}"));
    format!(
        "{} after {:.1} s{} ({low:.1} {} {high}), {} % used{certain}",
        record.status.word(),
        record.measured_rto_seconds,
        chain::held_back_briefly(record),
        symbols.range,
        record.rto_used_percentage
    )
}

fn gap_words(gap: &GapEvent, symbols: &Symbols, wall: DateTime<Utc>) -> String {
    format!(
        "nothing seen {} {} {}: {}",
        text::time(gap.from, wall),
        symbols.range,
        text::time(gap.until, wall),
        gap.reason
    )
}

fn budget_words(budget: &BudgetEvent, picture: &Picture) -> String {
    if budget.throttled {
        let wait = budget.retry_after_ms.map_or_else(String::new, |wait| {
            format!(
                ", asks for {}",
                text::rough_duration(std::time::Duration::from_millis(wait.saturating_add(999)))
            )
        });
        return format!("throttled (429){wait}");
    }
    platform::short_of_budget(picture, &budget.stretched)
        .unwrap_or_else(|| "not throttled, probed as often as wanted".to_owned())
}

fn act_words(act: &ActEvent) -> String {
    let what = match &act.act {
        Command::ProbeNow { .. } => "probed it by hand",
        Command::Diagnose => "examined the whole chain",
        Command::Acknowledge { .. } => "acknowledged the outage",
        Command::Reload => "had the config read again",
    };
    format!("{} {what}", act.who)
}

/// What has become of a config that was read again, and who asked for it.
pub(super) fn config_words(config: &ConfigEvent) -> String {
    let who = config.who.as_ref().map_or_else(|| "SIGHUP".to_owned(), ToString::to_string);
    match (config.loaded, config.words.is_empty()) {
        (true, true) => format!("config read again ({who}): nothing changed"),
        (true, false) => format!("config read again ({who}): {}", first_of(&config.words)),
        (false, _) => format!("config refused, the old one stays ({who}): {}", first_of(&config.words)),
    }
}

/// The first of several, and how many more there are.
fn first_of(words: &[String]) -> String {
    match words {
        [] => "no reason given".to_owned(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} (+{} more)", rest.len()),
    }
}

fn phase_words(phase: &PhaseEvent) -> String {
    let outage = phase.outage.as_ref();
    let reason = outage.map_or("", |outage| outage.reason.as_str());
    match phase.phase {
        Phase::Up => "up".to_owned(),
        Phase::Unobserved => "unobserved".to_owned(),
        Phase::Down if outage.is_some_and(|outage| outage.verdict == Verdict::Degraded) => {
            format!("DEGRADED: {reason}")
        }
        Phase::Down => format!("DOWN: {reason}"),
        Phase::FailedOver => {
            let to = outage.and_then(|outage| outage.served_by.as_deref()).unwrap_or("a secondary");
            let after = outage
                .and_then(|outage| outage.t_failover.map(|at| at - outage.t_detect))
                .map_or_else(String::new, |after| {
                    format!(" ({:.1} s after detection)", after.num_milliseconds() as f64 / 1000.0)
                });
            format!("failed over to {to}{after}")
        }
        Phase::Recovering => "good again, being confirmed".to_owned(),
    }
}

/// What stands about warroom itself and its platforms, the gravest first.
pub(super) fn standing(picture: &Picture) -> Vec<String> {
    let failing = picture.platforms.iter().filter_map(|(id, platform)| {
        platform.login_failing.as_ref().map(|reason| format!("{id}: login failing: {reason}"))
    });
    let notices = picture.notices.values().map(|notice| notice.text.clone());
    let short = picture.platforms.iter().filter_map(|(id, platform)| {
        Some(format!("{id}: {}", platform::short_of_budget(picture, &platform.stretched)?))
    });
    let unsafe_clock =
        picture.clock.as_ref().filter(|clock| clock.state == ClockState::Unsafe).map(|clock| {
            let wrong = clock.offset_ms.map(|offset| format!(" by {:.1} s", offset.abs() / 1000.0));
            format!(
                "the clock is wrong{}: nothing is recorded; `chronyc makestep` sets it",
                wrong.unwrap_or_default()
            )
        });
    // An engine that has a notice of its own about it says more.
    let refused = picture.config.as_ref();
    let refused = refused.filter(|config| !config.loaded && !picture.notices.contains_key("config"));
    let refused = refused.map(config_words);
    unsafe_clock.into_iter().chain(failing).chain(refused).chain(notices).chain(short).collect()
}
