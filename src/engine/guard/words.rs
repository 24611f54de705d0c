//! What the clock guard tells, in events and words.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::sources::SourceReport;
use crate::domain::{
    Event,
    clock::{Interval, Judged, Voice},
    event::{AlertEvent, AlertState, ClockEvent, ClockSource, Severity},
    record::ClockState,
};

/// A source of the config that was silent so many times in a row is told of; a lost packet is not.
const SILENT: u32 = 3;

/// What the alert is about.
pub(in crate::engine) const SCOPE: &str = "clock";

/// The event of what is known.
pub(super) fn clock(judged: &Judged, at: DateTime<Utc>) -> ClockEvent {
    let source = |voice: &Voice| ClockSource {
        name: voice.source.to_string(),
        offset_ms: millis(voice.offset.middle()),
        error_ms: error(voice.offset),
        stratum: voice.stratum,
        agrees: voice.agrees,
    };
    ClockEvent {
        at,
        offset_ms: judged.offset.map(|offset| millis(offset.middle())),
        error_ms: judged.offset.map(error),
        stratum: judged.stratum,
        state: judged.state,
        correction_ms: millis(judged.correction),
        sources: judged.voices.iter().map(source).collect(),
    }
}

fn millis(nanos: i64) -> f64 {
    (nanos as f64 / 1e4).round() / 100.0
}

fn error(interval: Interval) -> f64 {
    (interval.error().as_secs_f64() * 1e5).ceil() / 100.0
}

/// Whether a person or a script would want to hear of the new one.
pub(super) fn is_news(old: &ClockEvent, new: &ClockEvent) -> bool {
    let moved = |old: Option<f64>, new: Option<f64>| match (old, new) {
        (Some(old), Some(new)) => {
            let step = old.abs().max(new.abs()) / 10.0;
            (old - new).abs() > step.max(1.0)
        }
        (old, new) => old.is_some() != new.is_some(),
    };
    let voices = |event: &ClockEvent| -> Vec<(String, bool)> {
        event.sources.iter().map(|source| (source.name.clone(), source.agrees)).collect()
    };
    old.state != new.state
        || old.stratum != new.stratum
        || moved(old.offset_ms, new.offset_ms)
        || moved(old.error_ms, new.error_ms)
        || voices(old) != voices(new)
}

/// The alert that asks for a remedy, or takes that back.
pub(super) fn alert(state: AlertState, reason: String, at: DateTime<Utc>) -> Event {
    Event::Alert(AlertEvent {
        at,
        scope: SCOPE.to_owned(),
        component_id: None,
        outage_id: None,
        severity: Severity::Warning,
        state,
        suppressed: false,
        reason,
    })
}

/// Why nothing is measured, and what to do.
pub(super) fn unsafe_clock(judged: &Judged, max_drift: Duration) -> String {
    let by: Vec<&str> =
        judged.voices.iter().filter(|voice| voice.agrees).map(|voice| &*voice.source).collect();
    let how = judged.offset.map_or_else(String::new, |offset| {
        format!(" {} (by {}), over {}", seconds(offset), by.join(", "), humantime::format_duration(max_drift))
    });
    format!(
        "the runner's clock is wrong{how}: no recovery is recorded until it is right. Mend it with `chronyc makestep` or \
         `timedatectl set-ntp true`, and look whether its time service runs and reaches its servers"
    )
}

/// That all is well again.
pub(super) fn safe_clock(judged: &Judged) -> String {
    match (judged.state, judged.offset) {
        (ClockState::Ok, Some(offset)) => {
            format!("the runner's clock is right again: {}; recoveries are recorded", seconds(offset))
        }
        _ => "no time source is asked any longer; recoveries are recorded with the clock unknown".to_owned(),
    }
}

/// That the wall clock was set.
pub(super) fn stepped(by: i64) -> String {
    let way = if by < 0 { "back" } else { "ahead" };
    format!(
        "the runner's wall clock was set {way} by {:.1} s; durations are not touched by that, and the time sources are asked \
         at once",
        by.unsigned_abs() as f64 / 1e9
    )
}

/// `+5.2 s ± 0.01`.
fn seconds(offset: Interval) -> String {
    let error = offset.error().as_secs_f64();
    format!("by {:+.3} s ±{:.3}", offset.middle() as f64 / 1e9, (error * 1e3).ceil() / 1e3)
}

/// What is wrong with the time sources themselves.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// How often in a row each source of the config was silent, and why.
    silent: BTreeMap<Arc<str>, (u32, String)>,
    warnings: BTreeMap<Arc<str>, String>,
}

impl Complaints {
    /// Takes what became of each source in a round.
    pub(super) fn take(&mut self, reports: &[SourceReport]) {
        self.warnings.clear();
        for report in reports {
            let source = Arc::clone(&report.source);
            if let Some(warning) = &report.warning {
                self.warnings.insert(Arc::clone(&source), warning.clone());
            }
            match &report.read {
                Err(why) if report.named => {
                    let known = self.silent.entry(source).or_default();
                    *known = (known.0.saturating_add(1), why.clone());
                }
                _ => {
                    self.silent.remove(&source);
                }
            }
        }
    }

    /// In words; `None` when there is nothing to complain of.
    pub(super) fn text(&self, judged: &Judged) -> Option<String> {
        let mut all: Vec<String> = Vec::new();
        let said = |voice: &Voice| {
            // Rounded, so that the words stay the same while the figures move a little.
            format!("{} ({:+.0} s)", voice.source, voice.offset.middle() as f64 / 1e9)
        };
        if judged.offset.is_some() && !judged.majority {
            let voices: Vec<String> = judged.voices.iter().map(said).collect();
            all.push(format!(
                "the time sources contradict each other, so that nobody knows whether the clock is right: {}; name more in \
                 `[clock] ntp`",
                voices.join(", ")
            ));
        } else {
            all.extend(
                judged
                    .voices
                    .iter()
                    .filter(|voice| !voice.agrees)
                    .map(|voice| format!("{} is alone with its time and is not believed", said(voice))),
            );
        }
        let silent = self.silent.iter().filter(|(_, (times, _))| *times >= SILENT);
        all.extend(silent.map(|(source, (_, why))| format!("{source}: {why}")));
        all.extend(self.warnings.values().cloned());
        (!all.is_empty()).then(|| all.join("; "))
    }
}
