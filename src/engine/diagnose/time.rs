//! The runner's clock: what every source says of it.

use std::sync::Arc;

use crate::{
    clock::SharedClock,
    config::model::Config,
    domain::{
        clock::Judged,
        diagnosis::{Area, Finding},
        record::ClockState,
    },
    engine::guard::{SourceReport, read_once},
    probe::Client,
};

/// A server further away from a reference clock is worth a warning.
const STRATUM: u8 = 2;

pub(super) async fn examine(
    config: &Config,
    clients: &[Arc<Client>],
    clock: &SharedClock,
    seed: u64,
) -> Vec<Finding> {
    let report = read_once(config, clients, clock, seed).await;
    let mut findings = vec![whole(&report.judged, config)];
    findings.extend(report.sources.iter().map(|source| of_source(source, &report.judged)));
    findings
}

fn whole(judged: &Judged, config: &Config) -> Finding {
    let limit = humantime::format_duration(config.clock.max_drift);
    let known = match &judged.offset {
        Some(offset) => {
            let offset_ms = offset.middle() as f64 / 1e6;
            let error_ms = offset.error().as_secs_f64() * 1000.0;
            format!("{offset_ms:+.1} ms, to within {error_ms:.1} ms (limit {limit})")
        }
        None => "no source tells".to_owned(),
    };
    match judged.state {
        ClockState::Ok => Finding::ok(Area::Clock, "this machine", known),
        ClockState::Unsafe => Finding::failed(
            Area::Clock,
            "this machine",
            known,
            "measurement pauses until the clock is set right: look at `chronyc tracking`, then `chronyc makestep`",
        ),
        ClockState::Unknown => Finding::warning(
            Area::Clock,
            "this machine",
            known,
            "recoveries are recorded and marked, drills are refused: name time servers with `[clock] ntp`, or run chrony",
        ),
    }
}

fn of_source(source: &SourceReport, judged: &Judged) -> Finding {
    let subject = source.source.to_string();
    let detail = source.detail.as_ref().map_or_else(String::new, |detail| format!(", {detail}"));
    let reading = match &source.read {
        Ok(reading) => reading,
        Err(why) if source.named => {
            return Finding::failed(Area::Clock, subject, why, "mend it, or take it out of [clock]");
        }
        Err(why) => return Finding::ok(Area::Clock, subject, format!("not used: {why}")),
    };
    let agrees = judged.voices.iter().find(|voice| voice.source == source.source);
    let stratum = reading.stratum;
    let what = match stratum {
        Some(stratum) => format!("answers, stratum {stratum}{detail}"),
        None => format!("answers{detail}"),
    };
    if agrees.is_some_and(|voice| !voice.agrees) {
        let cure = "the others disagree with it: take it out of [clock], or find out which of them is right";
        return Finding::warning(Area::Clock, subject, what, cure);
    }
    if let Some(warning) = &source.warning {
        return Finding::warning(Area::Clock, subject, what, warning.clone());
    }
    if stratum.is_some_and(|stratum| stratum > STRATUM) {
        let cure = "choose a server of stratum 1 or 2, which is nearer to a reference clock";
        return Finding::warning(Area::Clock, subject, what, cure);
    }
    Finding::ok(Area::Clock, subject, what)
}
