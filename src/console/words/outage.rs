//! An open outage in words: how much of its target is used, what is left, who serves, what it waits for.

use chrono::{DateTime, Utc};

use super::chain;
use crate::{
    console::{list, symbols::Symbols, text},
    domain::{ComponentCard, Picture, compliance, event::OutageView, picture::ComponentPicture},
};

/// How much of the target is used, in percent, for a person who looks at the clock.
pub(in crate::console) fn used(
    card: &ComponentCard,
    component: &ComponentPicture,
    wall: DateTime<Utc>,
) -> f64 {
    list::elapsed(component, wall)
        .map_or(0.0, |elapsed| compliance::rto_used(elapsed, card.target_rto).value())
}

/// `23 s left`, `VIOLATED`: what remains of an outage's target.
pub(in crate::console) fn remaining(picture: &Picture, place: usize, wall: DateTime<Utc>) -> String {
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

/// What it means for the target now: what is left of it, or since when it is violated.
pub(in crate::console) fn verdict_on_target(
    card: &ComponentCard,
    component: &ComponentPicture,
    outage: &OutageView,
    wall: DateTime<Utc>,
) -> String {
    let breach = text::time(outage.t_detect + card.target_rto, wall);
    let used = used(card, component, wall).floor();
    if outage.elapsed() > card.target_rto {
        return format!("VIOLATED since {breach}, {used} % used");
    }
    if outage.restored_since.is_some() {
        return format!("good again, {used} % used, being confirmed");
    }
    if used > 100.0 {
        // Time that nobody saw proves no breach.
        return format!("target passed {breach}, last seen bad {}", text::time(outage.last_bad, wall));
    }
    let elapsed = list::elapsed(component, wall).unwrap_or_default();
    let left = card.target_rto.saturating_sub(elapsed) + std::time::Duration::from_millis(999);
    format!("{} left, breach {breach}", text::rough_duration(left))
}

/// When it was detected, and by how much earlier it may have begun.
pub(in crate::console) fn onset(
    outage: &OutageView,
    symbols: &Symbols,
    wall: DateTime<Utc>,
) -> (String, String) {
    let detected = format!("detected {}", text::time_tenths(outage.t_detect, wall));
    let onset = match outage.onset_after {
        Some(after) => {
            let millis = (outage.t_detect - after).num_milliseconds().max(0);
            let bound =
                if millis < 1000 { format!("{millis} ms") } else { format!("{} s", (millis + 999) / 1000) };
            format!(", onset {} {bound} before", symbols.at_most)
        }
        None => ", never seen good before".to_owned(),
    };
    (detected, onset)
}

/// Who serves meanwhile; nothing where nobody could.
pub(in crate::console) fn served(card: &ComponentCard, outage: &OutageView) -> String {
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

/// What holds a recovery back that the health step alone would have told.
pub(in crate::console) fn waiting(
    component: &ComponentPicture,
    outage: &OutageView,
    wall: DateTime<Utc>,
) -> Option<String> {
    let elapsed = list::elapsed(component, wall).unwrap_or_default();
    chain::waiting(&outage.links, elapsed.as_secs_f64())
}

/// `2 probes could not see, nothing was probed for 4 s`: what was missed of an outage; `None` where nothing was.
pub(in crate::console) fn unseen(outage: &OutageView) -> Option<String> {
    let blind = match outage.blind_probes {
        0 => None,
        1 => Some("1 probe could not see".to_owned()),
        several => Some(format!("{several} probes could not see")),
    };
    let gap =
        (outage.gap_seconds > 0.0).then(|| format!("nothing was probed for {} s", outage.gap_seconds.ceil()));
    let parts: Vec<String> = blind.into_iter().chain(gap).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
