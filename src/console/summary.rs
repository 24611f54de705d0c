//! The incident in a few lines of plain text, for a chat or a ticket.
//!
//! Invariants: pure; at most [`LARGEST`] bytes; foreign text holds no control or bidi character, breaks no line and calls
//! nobody.

use std::{fmt::Write, time::Duration};

use chrono::{DateTime, Utc};

use super::{list, state::State, status::Status, symbols::UNICODE, text};
use crate::domain::{
    ComponentCard, Environment, Picture, RecoveryRecord, compliance,
    event::OutageView,
    picture::{Acknowledged, ComponentPicture},
    record::ClockState,
    time::Now,
};

/// The most bytes that a summary has.
pub const LARGEST: usize = 4096;
/// What is kept free for the line that counts what did not fit.
const LAST_LINE: usize = 64;
/// The most cells of one foreign text.
const FOREIGN: usize = 240;
/// The most cells of a name.
const NAME: usize = 80;
/// How many recoveries are told where nothing is open.
const RECOVERIES: usize = 3;

/// The summary of what is shown: of the component whose detail is open, or of every open outage.
#[must_use]
pub fn summary(state: &State, now: Now) -> String {
    let (picture, wall) = state.shown(now);
    let concerned = state.concerned();
    let open = match (&state.detail, concerned) {
        (Some(_), Some(place)) => {
            if picture.components[place].outage.is_some() {
                vec![place]
            } else {
                Vec::new()
            }
        }
        _ => list::open_outages(picture, wall),
    };
    // A screen that is old proves nothing after its last news.
    let seen = state.cut_off.map_or(wall, |at| picture.corrected(at.wall).min(wall));
    let mut blocks = vec![heading(state, picture, wall, seen)];
    blocks.extend(open.iter().map(|place| outage(state, picture, *place, seen)));
    if open.is_empty()
        && let Some(place) = concerned
    {
        blocks.push(recoveries(picture, place, state.cut_off.is_some(), wall));
    }
    let mut text = String::new();
    for (number, block) in blocks.iter().enumerate() {
        let gap = if text.is_empty() { "" } else { "\n" };
        if text.len() + gap.len() + block.len() + LAST_LINE > LARGEST {
            let _ = writeln!(text, "\n... and {} more", blocks.len() - number);
            break;
        }
        text.push_str(gap);
        text.push_str(block);
    }
    text
}

/// What is looked at, when, what is open, and what makes it doubtful.
fn heading(state: &State, picture: &Picture, wall: DateTime<Utc>, seen: DateTime<Utc>) -> String {
    let mut lines = String::new();
    let cut_off = state.cut_off.is_some();
    let mut notices = state.notices();
    // Who reads on must know before the first figure that none is of now.
    if cut_off && !notices.is_empty() {
        let _ = writeln!(lines, "! {}", foreign(&notices.remove(0), FOREIGN));
    }
    let as_of = if cut_off { "as of " } else { "" };
    let not_now = if cut_off { ", not known now" } else { "" };
    let demo = if picture.roster.demo { "DEMO (simulated platforms): " } else { "" };
    let _ = writeln!(
        lines,
        "warroom: {demo}{}, {}, {as_of}{} UTC{not_now}",
        foreign(&picture.roster.tenant, NAME),
        picture.roster.environment.word(),
        date_and_time(seen)
    );
    let open = picture.components.iter().filter(|component| component.outage.is_some()).count();
    let all = picture.components.len();
    let unseen = list::cards(picture)
        .filter(|(card, known)| list::is_unseen(picture, card, known, cut_off, wall))
        .count();
    let up = list::cards(picture)
        .filter(|(card, known)| {
            Status::of(card, known) == Status::Up && !list::is_unseen(picture, card, known, cut_off, wall)
        })
        .count();
    let outages = match open {
        0 => "no open outage".to_owned(),
        1 => "1 open outage".to_owned(),
        several => format!("{several} open outages"),
    };
    let unseen = if unseen > 0 { format!(", {unseen} not seen") } else { String::new() };
    let _ = writeln!(lines, "{outages}; {up} of {all} components up{unseen}");
    if state.frozen.is_some() {
        lines.push_str("! the screen was frozen: this is how it stood then\n");
    }
    if picture.clock.as_ref().is_none_or(|clock| clock.state == ClockState::Unknown) {
        lines.push_str("! nothing is known of the clock: times may be wrong\n");
    }
    if picture.roster.environment == Environment::Production {
        lines.push_str("mode: alerting, read only\n");
    } else {
        lines.push_str("mode: alerting\n");
    }
    for notice in notices.iter().take(6) {
        let _ = writeln!(lines, "! {}", foreign(notice, FOREIGN));
    }
    lines
}

/// An open outage, as it was seen at a time.
fn outage(state: &State, picture: &Picture, place: usize, seen: DateTime<Utc>) -> String {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let Some(outage) = &component.outage else { return String::new() };
    let elapsed = list::elapsed(component, seen).unwrap_or_default();
    let mut lines = String::new();
    let _ = writeln!(
        lines,
        "{} ({}, tier {}): {} for {} of {}, {}",
        foreign(&card.name, NAME),
        foreign(card.id.as_str(), NAME),
        card.tier,
        Status::of(card, component).word().to_uppercase(),
        text::clock_duration(elapsed),
        text::clock_duration(card.target_rto),
        used(card, component, outage, elapsed)
    );
    let _ = writeln!(lines, "  detected {} UTC, {}", date_and_tenths(outage.t_detect), onset(outage));
    let _ = writeln!(lines, "  reason: {}", foreign(&outage.reason, FOREIGN));
    if let Some(at) = outage.t_failover {
        let by =
            outage.served_by.as_deref().map_or_else(String::new, |by| format!(" to {}", foreign(by, NAME)));
        let after = (at - outage.t_detect).num_milliseconds().max(0) as f64 / 1000.0;
        let _ = writeln!(lines, "  failed over{by} after {after:.1} s");
    } else if !card.secondary.is_empty() {
        lines.push_str("  no failover seen\n");
    }
    match &component.acknowledged {
        Some(known) => {
            let _ = writeln!(lines, "  {}", acknowledged(known));
        }
        None => lines.push_str("  nobody has acknowledged it\n"),
    }
    if let Some(at) = state.cut_off {
        let at = date_and_time(picture.corrected(at.wall));
        let _ = writeln!(lines, "  as it stood at {at} UTC; not known now");
    }
    lines
}

/// Who looks after it: by name, because whoever reads this is not `you`.
fn acknowledged(known: &Acknowledged) -> String {
    let who = foreign(&known.who.to_string(), NAME);
    format!("acknowledged by {who} at {} UTC", date_and_time(known.at))
}

fn used(
    card: &ComponentCard,
    component: &ComponentPicture,
    outage: &OutageView,
    elapsed: Duration,
) -> String {
    let percent = compliance::rto_used(elapsed, card.target_rto).value().floor();
    let breach = text::time_of_day(outage.t_detect + card.target_rto);
    if outage.elapsed() > card.target_rto {
        format!("VIOLATED at {breach} UTC, {percent} % of the target used")
    } else if component.outage.as_ref().is_some_and(|outage| outage.restored_since.is_some()) {
        format!("good again and being confirmed, {percent} % of the target used")
    } else if elapsed > card.target_rto {
        format!("target passed at {breach} UTC, last seen bad {} UTC", text::time_of_day(outage.last_bad))
    } else {
        format!("{percent} % of the target used, breach at {breach} UTC")
    }
}

fn onset(outage: &OutageView) -> String {
    let Some(after) = outage.onset_after else { return "never seen good before".to_owned() };
    let millis = (outage.t_detect - after).num_milliseconds().max(0);
    format!("onset at most {:.1} s before", (millis as f64 / 100.0).ceil() / 10.0)
}

/// How a component recovered the last times, the newest first.
fn recoveries(picture: &Picture, place: usize, cut_off: bool, wall: DateTime<Utc>) -> String {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let mut lines = String::new();
    let old = cut_off || list::is_stale(picture, card, component, wall);
    let old = if old { " (old)" } else { "" };
    let state = Status::of(card, component).word();
    let _ = writeln!(
        lines,
        "{} ({}, tier {}): {state}{old}",
        foreign(&card.name, NAME),
        foreign(card.id.as_str(), NAME),
        card.tier
    );
    if let Some(reason) = &component.reason {
        let _ = writeln!(lines, "  {}", foreign(reason, FOREIGN));
    }
    if component.recoveries.is_empty() {
        lines.push_str("  no recovery yet\n");
        return lines;
    }
    lines.push_str("  last recoveries:\n");
    for record in component.recoveries.iter().rev().take(RECOVERIES) {
        let _ = writeln!(lines, "  {}", recovery(record));
    }
    lines
}

fn recovery(record: &RecoveryRecord) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis((record.t_detect_epoch * 1000.0).round() as i64);
    let at = at.map_or_else(|| "?".to_owned(), date_and_time);
    let (low, high) = record.bounds_seconds;
    let high = high.map_or_else(|| "?".to_owned(), |high| format!("{high:.1}"));
    let certain = if record.certain { "" } else { ", not certain" };
    format!(
        "{at} UTC {} after {:.1} s ({low:.1} to {high}), {} % of the target used{certain}",
        record.status.word(),
        record.measured_rto_seconds,
        record.rto_used_percentage
    )
}

fn date_and_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn date_and_tenths(at: DateTime<Utc>) -> String {
    format!("{} {}", at.format("%Y-%m-%d"), text::time_of_day_tenths(at))
}

/// Words by which a chat calls everybody in a room.
const CALLS: [&str; 5] = ["channel", "here", "everyone", "all", "room"];

/// Foreign text for a chat: cleaned, cut, and calling nobody.
fn foreign(content: &str, cells: usize) -> String {
    let cleaned = text::clean(content, &UNICODE);
    let cut = text::cut(cleaned.trim(), cells, &UNICODE);
    let mut quiet = String::with_capacity(cut.len());
    let mut rest = &*cut;
    while let Some(at) = rest.find(['@', '<']) {
        let (before, mark) = rest.split_at(at);
        let after = &mark[1..];
        quiet.push_str(before);
        quiet.push_str(&mark[..1]);
        let word: String = after.chars().take_while(|letter| letter.is_alphanumeric()).collect();
        let calls = CALLS.contains(&word.to_lowercase().as_str());
        if (mark.starts_with('@') && calls) || (mark.starts_with('<') && after.starts_with(['!', '@', '#'])) {
            quiet.push(' ');
        }
        rest = after;
    }
    quiet.push_str(rest);
    quiet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_calls_nobody_and_breaks_no_line() {
        assert_eq!(foreign("see @channel and <!here>", 99), "see @ channel and < !here>");
        assert_eq!(foreign("@Everyone\nsip:a@example.com <b>", 99), "@ Everyone sip:a@example.com <b>");
        let hostile = foreign("a\u{1b}]52;c;AAAA\u{7}b\u{202e}c\u{9c}", 99);
        assert!(!hostile.chars().any(text::is_unsafe), "{hostile:?}");
        assert!(text::width(&foreign(&"x".repeat(5_000), FOREIGN)) <= FOREIGN);
    }
}
