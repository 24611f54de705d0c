//! Probe histories as data, and the records that must come out of them.
//!
//! A file in `tests/histories/` holds settings, the probes in the order of their ends (one a line: component, start and
//! end in seconds, verdict, then `by=NAME` for `served_by`, `step=NAME` for the failing step, `from=SECONDS` for its
//! start, `onset=`/`restored=` for the platform's stamps), `gap FROM UNTIL`, `tick AT`, `restart AT` (a new process on the
//! kept state, after a reboot), `reload AT` (another config: `target=SECONDS`, `failure=NUMBER` and `success=NUMBER` for
//! the thresholds, `needs=COMPONENT:OTHER`, where nothing behind the colon takes the dependencies away, `gone=COMPONENT`,
//! `anew=COMPONENT` for one whose journey is another), `step SECONDS` (the wall clock is put right by so much) and `look
//! COMPONENT` lines, and what must come out: every line of `events` in that order, and every `[[record]]` field. `steps` gives a component's
//! journey, the health step first; without it there is one step `s` besides those that fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use warroom::domain::{
    ComponentCard, ComponentId, Environment, Event, Moment, PathName, PlatformId, ProbeReport,
    RecoveryRecord, Roster, Span, StepCard, StepReport, StepState, Tier, Verdict, chain,
    event::{OutageEvent, OutageView, PhaseEvent},
    measurement::{Kept, KeptAt, Measurement, Thresholds},
    record::ClockState,
    time::Now,
};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    #[serde(default = "sixty")]
    target: f64,
    #[serde(default = "two")]
    failure_threshold: u32,
    failure_ratio: Option<(u32, u32)>,
    #[serde(default = "two")]
    success_threshold: u32,
    #[serde(default)]
    depends_on: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    secondary: Vec<String>,
    #[serde(default)]
    steps: BTreeMap<String, Vec<String>>,
    stamp_error: Option<f64>,
    /// Platforms other than `p` of some components, and by how much the stamps of these may be wrong.
    #[serde(default)]
    platforms: BTreeMap<String, String>,
    #[serde(default)]
    stamp_errors: BTreeMap<String, f64>,
    probes: String,
    events: Vec<String>,
    #[serde(default)]
    record: Vec<BTreeMap<String, toml::Value>>,
}

fn sixty() -> f64 {
    60.0
}

fn two() -> u32 {
    2
}

fn moment(seconds: f64) -> Moment {
    Moment::from_millis((seconds * 1000.0).round() as i64)
}

fn wall(seconds: f64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::microseconds((seconds * 1e6).round() as i64)
}

fn now(seconds: f64, booted: f64) -> Now {
    Now { moment: moment(seconds - booted), wall: wall(seconds) }
}

fn card(id: &str, history: &History) -> ComponentCard {
    ComponentCard {
        id: ComponentId::new(id),
        name: Arc::from(id.to_uppercase()),
        platform: PlatformId::new(history.platforms.get(id).map_or("p", String::as_str)),
        tier: Tier::One,
        target_rto: Duration::from_secs_f64(history.target),
        kind: "api".into(),
        cadence: Duration::from_secs(5),
        burst: Duration::from_millis(500),
        steps: history
            .steps
            .get(id)
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(place, name)| step_card(name, place == 0))
            .collect(),
        depends_on: history.depends_on.get(id).into_iter().flatten().map(ComponentId::new).collect(),
        shares: Vec::new(),
        owner: None,
        runbook: None,
        protected: false,
        mechanism: None,
        primary: Vec::new(),
        secondary: history.secondary.clone(),
        observable: true,
    }
}

fn step_card(name: &str, health: bool) -> StepCard {
    StepCard { name: Arc::from(name), what: String::new(), health, parallel: false, cleanup: false }
}

/// The steps of a probe: those before the failing one passed, those after it did not run.
fn steps(journey: &[String], failing: Option<&str>, whole: &StepReport) -> Vec<StepReport> {
    if journey.is_empty() {
        return vec![whole.clone()];
    }
    let fails_at = failing.and_then(|failing| journey.iter().position(|step| step == failing));
    journey
        .iter()
        .enumerate()
        .map(|(place, name)| StepReport {
            name: Arc::from(name.as_str()),
            state: match fails_at {
                Some(at) if place == at => StepState::Failed,
                Some(at) if place > at => StepState::NotRun,
                _ => StepState::Passed,
            },
            ..whole.clone()
        })
        .collect()
}

/// `booted` is when the running boot's monotonic clock began.
fn report(line: &str, history: &History, booted: f64) -> ProbeReport {
    let moment = |seconds: f64| moment(seconds - booted);
    let mut words = line.split_whitespace();
    let component_id = ComponentId::new(words.next().unwrap());
    let start: f64 = words.next().unwrap().parse().unwrap();
    let end: f64 = words.next().unwrap().parse().unwrap();
    let verdict: Verdict = serde_json::from_value(words.next().unwrap().into()).unwrap();
    let options: BTreeMap<&str, &str> = words.map(|word| word.split_once('=').unwrap()).collect();
    let seconds = |name: &str| options.get(name).map(|text| text.parse::<f64>().unwrap());
    let (span, step) = (Span::new(moment(start), moment(end)), options.get("step").copied().unwrap_or("s"));
    let evidence = Span::new(moment(seconds("from").unwrap_or(start)), moment(end));
    let whole = StepReport {
        name: Arc::from(step),
        state: if verdict.is_bad() { StepState::Failed } else { StepState::Passed },
        span: Some(span),
        timings: None,
        reason: None,
        onset_at: seconds("onset").map(wall),
        restored_at: seconds("restored").map(wall),
    };
    let journey = history.steps.get(component_id.as_str()).cloned().unwrap_or_default();
    ProbeReport {
        steps: steps(&journey, verdict.is_bad().then_some(step), &whole),
        component_id,
        path: PathName::primary(),
        span,
        verdict,
        evidence: if verdict.is_bad() { evidence } else { span },
        health_passed: match verdict {
            Verdict::Up | Verdict::Degraded => Some(true),
            Verdict::Down => Some(false),
            Verdict::Blind => None,
        },
        served_by: options.get("by").map(|by| (*by).to_owned()),
        latency: None,
        reason: verdict.is_bad().then(|| format!("{step}: bad")),
        burst: false,
    }
}

/// An event in the words of the files; probes are left out.
fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Phase(event) => {
            format!("{} {}", event.component_id, event.phase.word())
        }
        Event::Blip(event) => format!("{} blip", event.component_id),
        Event::Switch(event) => format!("{} switch {} {}", event.component_id, event.from, event.to),
        Event::Violation(event) => {
            let open = if event.open { "open" } else { "closed" };
            format!("{} violation {} {open}", event.component_id, event.rto_used_percentage)
        }
        Event::Recovery(event) => {
            format!("{} recovery {}", event.record.component_id, event.record.status.word())
        }
        Event::Gap(_) => "gap".to_owned(),
        Event::Unmeasured(event) => format!("{} unmeasured", event.component_id),
        _ => return None,
    })
}

/// What a config with these components says to the domain.
fn settings(history: &History, ids: &BTreeSet<String>) -> (Arc<Roster>, Thresholds) {
    let roster = Roster {
        tenant: "t".into(),
        environment: Environment::Sandbox,
        demo: false,
        window: Duration::from_hours(24),
        platforms: Vec::new(),
        components: ids.iter().map(|id| card(id, history)).collect(),
    };
    let number = |number| NonZeroU32::new(number).unwrap();
    let thresholds = Thresholds {
        failure: number(history.failure_threshold),
        success: number(history.success_threshold),
        ratio: history.failure_ratio.map(|(bad, of)| (number(bad), number(of))),
    };
    (Arc::new(roster), thresholds)
}

/// Changes a config as a `reload` line says; gives those that are asked anew.
fn change((history, ids): &mut (History, BTreeSet<String>), line: &str) -> BTreeSet<ComponentId> {
    let mut anew = BTreeSet::new();
    for word in line.split_whitespace().skip(2) {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "target" => history.target = value.parse().unwrap(),
            "failure" => history.failure_threshold = value.parse().unwrap(),
            "success" => history.success_threshold = value.parse().unwrap(),
            "needs" => {
                let (id, need) = value.split_once(':').unwrap();
                let needs = if need.is_empty() { Vec::new() } else { vec![need.to_owned()] };
                history.depends_on.insert(id.to_owned(), needs);
            }
            "gone" => assert!(ids.remove(value), "{value} is not there"),
            "anew" => assert!(anew.insert(ComponentId::new(value))),
            other => panic!("a reload knows no {other}"),
        }
    }
    anew
}

fn play(history: &History) -> (Vec<String>, Vec<RecoveryRecord>) {
    let ids: BTreeSet<&str> = history
        .probes
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !["gap", "tick", "clock", "restart", "reload", "look", "#"].contains(word))
        .chain(history.depends_on.keys().map(String::as_str))
        .collect();
    let mut config = (history.clone(), ids.into_iter().map(str::to_owned).collect());
    let (mut roster, mut thresholds) = settings(&config.0, &config.1);
    let mut measurement = Measurement::new(Arc::clone(&roster), thresholds, 1);
    let errors: BTreeMap<PlatformId, Duration> = measurement
        .roster()
        .components
        .iter()
        .filter_map(|card| {
            let own = history.stamp_errors.get(card.platform.as_str()).copied();
            Some((card.platform.clone(), Duration::from_secs_f64(own.or(history.stamp_error)?)))
        })
        .collect();
    measurement.set_clock(ClockState::Ok, errors.clone());
    let (mut told, mut records) = (Vec::new(), Vec::new());
    let mut booted = 0.0;
    let mut views: BTreeMap<String, OutageView> = BTreeMap::new();
    for line in history.probes.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let numbers: Vec<f64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
        let events = match line.split_whitespace().next().unwrap() {
            "gap" => measurement.gap(moment(numbers[0]), moment(numbers[1]), "test", now(numbers[1], booted)),
            "tick" => measurement.tick(now(numbers[0], booted)),
            "clock" => {
                let state = if line.contains("unsafe") { ClockState::Unsafe } else { ClockState::Ok };
                measurement.set_clock(state, errors.clone());
                Vec::new()
            }
            // The wall clock is put right; the times that follow are its own.
            "step" => {
                booted += numbers[0];
                Vec::new()
            }
            "restart" => {
                let before = now(numbers[0] - 0.5, booted);
                booted = numbers[0] - 1.0;
                let kept = (0..roster.components.len())
                    .filter_map(|place| measurement.keep(place, before, "one", Some(Duration::ZERO)))
                    .map(|(id, kept)| (id, serde_json::to_string(&kept).unwrap()))
                    .map(|(id, kept)| (id, serde_json::from_str::<Kept>(&kept).unwrap()))
                    .collect();
                measurement = Measurement::new(Arc::clone(&roster), thresholds, 1);
                measurement.set_clock(ClockState::Ok, errors.clone());
                let at = KeptAt {
                    boot_id: "two".to_owned(),
                    now: now(numbers[0], booted),
                    wall_error: Some(Duration::ZERO),
                };
                measurement.take_up(kept, &at)
            }
            "reload" => {
                let anew = change(&mut config, line);
                (roster, thresholds) = settings(&config.0, &config.1);
                let reloaded =
                    measurement.reload(Arc::clone(&roster), thresholds, &anew, now(numbers[0], booted));
                told.extend(reloaded.dropped.iter().map(|dropped| {
                    let outage = if dropped.outage.is_some() { "with its outage" } else { "in peace" };
                    format!("{} dropped {outage}", dropped.id)
                }));
                reloaded.events
            }
            "look" => {
                let id = line.split_whitespace().nth(1).unwrap();
                told.push(match chain::waiting(&views[id].links) {
                    None => format!("{id} waits for nothing"),
                    Some((back, waits)) => format!("{id} back +{back} waits for {}", waits.join(", ")),
                });
                Vec::new()
            }
            _ => measurement.observe(&report(line, history, booted), now(numbers[1], booted)).events,
        };
        for event in &events {
            match event {
                Event::Phase(PhaseEvent { component_id, outage: Some(outage), .. })
                | Event::Outage(OutageEvent { component_id, outage, .. }) => {
                    views.insert(component_id.to_string(), outage.clone());
                }
                _ => {}
            }
        }
        told.extend(events.iter().filter_map(words));
        records.extend(events.iter().filter_map(|event| match event {
            Event::Recovery(event) => Some(RecoveryRecord::clone(&event.record)),
            _ => None,
        }));
    }
    (told, records)
}

fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Integer(number) => (*number as f64).into(),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
        // TOML has no null.
        toml::Value::String(text) if text == "null" => serde_json::Value::Null,
        other => serde_json::to_value(other).unwrap(),
    }
}

/// Every number as a float, so that 3 and 3.0 are the same.
fn plain(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => number.as_f64().into(),
        serde_json::Value::Array(values) => values.iter().map(plain).collect(),
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn every_history_gives_its_records() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 15, "the histories are gone");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let history: History = toml::from_str(&fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (told, records) = play(&history);
        assert_eq!(told, history.events, "{name}: events");
        assert_eq!(records.len(), history.record.len(), "{name}: number of records");
        for (record, expected) in records.iter().zip(&history.record) {
            let record = serde_json::to_value(record).unwrap();
            for (field, value) in expected {
                assert_eq!(plain(&record[field]), json(value), "{name}: {field} of {record:#}");
            }
        }
    }
}
