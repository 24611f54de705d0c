//! The settings that concern everything: tenant, environment, tiers, measurement, store, the runner.

use std::{num::NonZeroU32, ops::Range, time::Duration};

use url::Url;

use super::{
    model::{AgentSettings, ClockSettings, Measurement, StoreSettings, TimeServer},
    reading::{Entry, Section},
    values::in_words,
};
use crate::domain::{Environment, Tier};

/// The longest cadence of tier 1, itself not allowed.
const TIER_ONE_LIMIT: Duration = Duration::from_secs(10);
/// The shortest time between two questions to the time sources.
const CLOCK_SHORTEST: Duration = Duration::from_secs(1);
/// The shortest interval between two probes of a component.
const SHORTEST: Duration = Duration::from_millis(10);

/// How often a tier's components are probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) cadence: Duration,
    pub(super) burst: Duration,
}

/// The paces of all tiers and the general timeout with its place, where it is written.
#[derive(Debug)]
pub(super) struct Paces {
    pub(super) tiers: [Pace; 3],
    pub(super) timeout: Option<(Range<usize>, Duration)>,
}

/// Everything of this file.
pub(super) struct Settings {
    pub(super) tenant: String,
    pub(super) environment: Environment,
    pub(super) measurement: Measurement,
    pub(super) agent: AgentSettings,
    pub(super) store: StoreSettings,
    pub(super) canary: Vec<Url>,
    pub(super) clock: ClockSettings,
    pub(super) paces: Paces,
}

/// Reads them; what is wrong is reported and takes its default.
pub(super) fn read(root: &Section<'_, '_>) -> Settings {
    let tenant = root.get("tenant").and_then(|entry| entry.line().map(str::to_owned));
    let environment = root.get("environment").and_then(|entry| entry.word(&["sandbox", "production"]));
    let tiers = tiers(root);
    let (measurement, timeout) = measurement(root);
    Settings {
        tenant: tenant.unwrap_or_else(|| "default".to_owned()),
        environment: match environment {
            Some("sandbox") => Environment::Sandbox,
            _ => Environment::Production,
        },
        measurement,
        agent: agent(root),
        store: store(root),
        canary: canary(root),
        clock: clock(root),
        paces: Paces { tiers, timeout },
    }
}

/// Reports a tier 1 cadence that is too long to see an outage of a minute well.
pub(super) fn check_tier_one(entry: &Entry<'_, '_>, cadence: Duration) {
    if cadence >= TIER_ONE_LIMIT {
        entry.wrong(format!(
            "it must be under 10 s in tier 1, for example \"{}\"",
            in_words(Duration::from_secs(5))
        ));
    }
}

fn agent(root: &Section<'_, '_>) -> AgentSettings {
    let mut settings = AgentSettings::default();
    let Some(section) = root.get("agent").and_then(|entry| entry.section("[agent]")) else { return settings };
    settings.group = section.get("group").and_then(|entry| entry.line().map(str::to_owned));
    if let Some(entry) = section.get("operators") {
        settings.operators = entry.lines();
        if settings.group.is_none() && !settings.operators.is_empty() {
            entry.reading.warn(
                entry.place.clone(),
                "agent.operators",
                "`operators` names who may act, but without `group` nobody besides root and the engine's own user can attach",
                "name a group of which all of them are members: only its members get through the socket",
            );
        }
    }
    if let Some(entry) = section.get("two_person") {
        settings.two_person = entry.flag().unwrap_or(false);
        if settings.two_person {
            entry.reading.not_built(
                entry.place.clone(),
                "two_person",
                "`two_person`: drills are not built in this version; nobody arms or confirms one",
            );
        }
    }
    section.close();
    settings
}

/// A probe interval, not so short that it would be a busy loop.
fn interval(entry: &Entry<'_, '_>) -> Option<Duration> {
    let interval = entry.duration()?;
    if interval < SHORTEST {
        entry.wrong(format!("it must be at least {}", in_words(SHORTEST)));
        return None;
    }
    Some(interval)
}

fn tiers(root: &Section<'_, '_>) -> [Pace; 3] {
    let mut paces = [(5_000, 500), (60_000, 2_000), (60_000, 5_000)].map(|(cadence, burst)| Pace {
        cadence: Duration::from_millis(cadence),
        burst: Duration::from_millis(burst),
    });
    let Some(section) = root.get("tiers").and_then(|entry| entry.section("[tiers]")) else { return paces };
    for (tier, name) in Tier::ALL.into_iter().zip(["1", "2", "3"]) {
        let Some(section) = section.get(name).and_then(|entry| entry.section(format!("tier {tier}"))) else {
            continue;
        };
        let pace = &mut paces[tier.index()];
        if let Some(entry) = section.get("cadence")
            && let Some(cadence) = interval(&entry)
        {
            if tier == Tier::One {
                check_tier_one(&entry, cadence);
            }
            pace.cadence = cadence;
        }
        pace.burst = pace.burst.min(pace.cadence);
        if let Some(entry) = section.get("burst")
            && let Some(burst) = interval(&entry)
        {
            if burst > pace.cadence {
                entry.wrong(format!("it must not be longer than the cadence, {}", in_words(pace.cadence)));
            }
            pace.burst = burst;
        }
        section.close();
    }
    section.close();
    paces
}

fn measurement(root: &Section<'_, '_>) -> (Measurement, Option<(Range<usize>, Duration)>) {
    let two = NonZeroU32::MIN.saturating_add(1);
    let mut measurement = Measurement {
        failure_threshold: two,
        failure_ratio: None,
        success_threshold: two,
        window: Duration::from_hours(24),
    };
    let Some(section) = root.get("measurement").and_then(|entry| entry.section("[measurement]")) else {
        return (measurement, None);
    };
    let threshold = |name| {
        section.get(name).and_then(|entry: Entry<'_, '_>| entry.integer(1..=1000)).and_then(NonZeroU32::new)
    };
    if let Some(threshold) = threshold("failure_threshold") {
        measurement.failure_threshold = threshold;
    }
    if let Some(threshold) = threshold("success_threshold") {
        measurement.success_threshold = threshold;
    }
    measurement.failure_ratio = section.get("failure_ratio").and_then(|entry| ratio(&entry));
    let timeout = section.get("timeout").and_then(|entry| Some((entry.place.clone(), entry.duration()?)));
    if let Some(window) = section.get("window").and_then(|entry| entry.duration()) {
        measurement.window = window;
    }
    section.close();
    (measurement, timeout)
}

fn ratio(entry: &Entry<'_, '_>) -> Option<(NonZeroU32, NonZeroU32)> {
    let ratio = entry
        .value
        .get_ref()
        .as_str()
        .and_then(|text| text.split_once(" of "))
        .and_then(|(bad, all)| Some((bad.trim().parse().ok()?, all.trim().parse().ok()?)))
        .filter(|(bad, all): &(NonZeroU32, NonZeroU32)| bad <= all && all.get() <= 1000);
    if ratio.is_none() {
        entry.wrong("it must be so many of the last so many, at most 1000, for example \"3 of 10\"");
    }
    ratio
}

fn store(root: &Section<'_, '_>) -> StoreSettings {
    let mut store = StoreSettings {
        probes: Duration::from_hours(7 * 24),
        // As humantime counts a year: 365.25 days.
        rollups: Duration::from_hours(2 * 8_766),
    };
    let Some(section) = root.get("store").and_then(|entry| entry.section("[store]")) else { return store };
    let duration = |name| section.get(name).and_then(|entry: Entry<'_, '_>| entry.duration());
    store.probes = duration("probes").unwrap_or(store.probes);
    store.rollups = duration("rollups").unwrap_or(store.rollups);
    section.close();
    store
}

fn canary(root: &Section<'_, '_>) -> Vec<Url> {
    let Some(section) = root.get("runner").and_then(|entry| entry.section("[runner]")) else {
        return Vec::new();
    };
    let canary = section.get("canary").and_then(|entry| entry.list()).unwrap_or_default();
    section.close();
    canary.iter().filter_map(Entry::http_url).collect()
}

fn clock(root: &Section<'_, '_>) -> ClockSettings {
    let mut clock = ClockSettings::default();
    let Some(section) = root.get("clock").and_then(|entry| entry.section("[clock]")) else { return clock };
    for entry in section.get("ntp").and_then(|entry| entry.list()).unwrap_or_default() {
        let Some(text) = entry.line() else { continue };
        match TimeServer::parse(text) {
            Some(server) if clock.ntp.contains(&server) => entry.wrong("it is named twice"),
            Some(server) => clock.ntp.push(server),
            None => entry.wrong("it must be a host, for example \"time.example.com\" or \"192.0.2.1:123\""),
        }
    }
    let flag = |name| section.get(name).and_then(|entry: Entry<'_, '_>| entry.flag());
    clock.platform = flag("platform").unwrap_or(clock.platform);
    clock.chrony = flag("chrony").unwrap_or(clock.chrony);
    clock.max_drift = section.get("max_drift").and_then(|entry| entry.duration()).unwrap_or(clock.max_drift);
    if let Some(entry) = section.get("every")
        && let Some(every) = entry.duration()
    {
        if every < CLOCK_SHORTEST {
            entry.wrong(format!("it must be at least {}", in_words(CLOCK_SHORTEST)));
        }
        clock.every = every;
    }
    section.close();
    clock
}
