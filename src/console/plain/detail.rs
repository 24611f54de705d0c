//! One component in lines: state, steps, dependencies, recoveries, and what the config says of it.

use chrono::{DateTime, Utc};

use super::{
    paper::Paper,
    summary::{outage_words, state_words},
};
use crate::{
    console::{
        status::{self, Status},
        text,
        words::{chain, component as about, platform, recovered},
    },
    domain::{Picture, RecoveryRecord, StepState},
};

/// The most recoveries that are told.
const RECOVERIES: usize = 10;

pub(super) fn write(paper: &mut Paper, picture: &Picture, place: usize, wall: DateTime<Utc>) {
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let state =
        outage_words(card, component, wall).unwrap_or_else(|| state_words(picture, card, component, wall));
    paper.event(wall, &card.name, &state);
    if status::is_unconfirmed(component) {
        paper.line("One bad verdict, not confirmed yet.");
    }
    if let Some(at) = component.probed_at {
        let latency = component.latency_ms.map(|latency| format!(", {}", text::latency(latency)));
        let by = component.served_by.as_ref().map(|by| format!(", served by {by}"));
        paper.line(&format!(
            "Last probe {}{}{}.",
            text::time(at, wall),
            latency.unwrap_or_default(),
            by.unwrap_or_default()
        ));
    }
    if let Some(outage) = component.outage.as_ref().filter(|outage| !outage.links.is_empty()) {
        paper.line(&format!("Failed in it: {}.", chain::links(&outage.links)));
    }
    if let Some(stretched) = platform::stretched(picture, card) {
        let intervals = platform::intervals(stretched);
        paper.line(&format!("Probed {intervals}: the rate budget of platform {} is short.", card.platform));
    }
    if component.pattern.alternates() {
        paper.line(
            "Good and bad verdicts alternate: a pool with one sick member? The bounds assume one state at a time.",
        );
    }
    for (number, step) in card.steps.iter().enumerate() {
        let report = component
            .steps
            .get(number)
            .filter(|report| report.name == step.name)
            .or_else(|| component.steps.iter().find(|report| report.name == step.name));
        let (_, word) = status::of_step(report.map_or(StepState::NotRun, |report| report.state));
        let health = if step.health { " (health step)" } else { "" };
        let parts = [
            about::timing_words(report.and_then(|report| report.timings)),
            report.and_then(|report| report.reason.clone()).unwrap_or_default(),
        ];
        let told: Vec<&str> = std::iter::once(word)
            .chain(parts.iter().map(String::as_str))
            .filter(|part| !part.is_empty())
            .collect();
        paper.line(&format!(
            "Step {}, {}{health}, {}: {}",
            number + 1,
            step.name,
            step.what,
            told.join(", ")
        ));
    }
    for id in &card.depends_on {
        let Some(place) = picture.position(id) else { continue };
        let (needed, known) = (&picture.roster.components[place], &picture.components[place]);
        paper.line(&format!("Depends on {}: {}", needed.name, Status::of(needed, known).word()));
    }
    if component.recoveries.is_empty() {
        paper.line("No recoveries yet.");
    }
    for record in component.recoveries.iter().rev().take(RECOVERIES) {
        let words = recovered(record, paper.symbols);
        paper.line(&format!("Recovery of {}: {words}{}", detected(record), held(record)));
    }
    paper.line(&format!("id: {}", card.id));
    for (name, fact) in about::facts(card, component) {
        paper.line(&format!("{name}: {fact}"));
    }
}

/// When an outage was detected, with its day.
fn detected(record: &RecoveryRecord) -> String {
    DateTime::<Utc>::from_timestamp_millis((record.t_detect_epoch * 1000.0).round() as i64)
        .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn held(record: &RecoveryRecord) -> String {
    chain::held_back(&record.chain).map_or_else(String::new, |held| format!("; {held}"))
}
