//! A flood of events with consoles attached, some of which stall: the store loses nothing, and every console shows in the end
//! what the engine knows.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "attach_flood/consoles.rs"]
mod consoles;
#[path = "attach_flood/flood.rs"]
mod flood;
#[path = "terminal/platform.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod platform;

use std::{
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use warroom::{domain::Event, store::Store};

use self::{
    consoles::{Deaf, Follower, Habit},
    flood::Flood,
};

/// How long pictures may take to be the same once nothing happens any more, on a machine that builds and tests something
/// else beside.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says something that is seen in every run.
#[expect(clippy::explicit_write, reason = "the test harness keeps what the print macros say to itself")]
fn say(words: &str) {
    writeln!(std::io::stderr(), "{words}").unwrap();
}

/// What is written to the store's table of events.
fn is_kept(event: &Event) -> bool {
    !matches!(event, Event::Probe(_) | Event::Outage(_) | Event::Roster(_))
}

#[test]
fn a_flood_loses_no_event_and_leaves_every_console_with_the_engines_picture() {
    let folder = tempfile::tempdir().unwrap();
    let mut flood = Flood::begin(folder.path());
    let begun = Instant::now();
    let quick = Follower::attach(folder.path(), Habit::Quick);
    let stalling = Follower::attach(folder.path(), Habit::Stalls);
    let deaf = Deaf::attach(folder.path());
    flood.pour();
    deaf.wake();
    say(&format!("the flood took {:.1} s", begun.elapsed().as_secs_f64()));

    let deadline = Instant::now() + PATIENCE;
    let others = [("quick", quick.shown()), ("stalling", stalling.shown()), ("deaf", deaf.shown())];
    loop {
        let engine = flood.picture();
        let differs = others.iter().find_map(|(name, shown)| {
            let shown = shown.lock().unwrap();
            let place = shown.as_ref().map_or_else(
                || Some("it has none".to_owned()),
                |shown| difference("", &engine, &serde_json::to_value(shown).unwrap()),
            );
            place.map(|place| format!("the {name} console's picture differs: {place}"))
        });
        let Some(differs) = differs else { break };
        assert!(Instant::now() < deadline, "{differs}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Otherwise nothing was proved about those who lag.
    let pictures = [quick.pictures(), stalling.pictures(), deaf.pictures()];
    say(&format!("pictures: quick {}, stalling {}, deaf {}", pictures[0], pictures[1], pictures[2]));
    assert!(pictures[1] > 1 && pictures[2] > 1, "nobody lagged");

    let told = flood.end();
    hold_store(folder.path(), &told);
}

/// What was told to a listener in the engine's own process is what is kept.
fn hold_store(folder: &Path, told: &[Arc<Event>]) {
    let store = Store::read(folder).unwrap();
    let wanted: Vec<Value> = told.iter().filter(|event| is_kept(event)).map(json).collect();
    let kept: Vec<Value> =
        store.last_events(usize::MAX).unwrap().map(|event| json(&event.unwrap())).collect();
    let first = wanted.iter().zip(&kept).position(|(wanted, kept)| wanted != kept);
    if let Some(first) = first {
        panic!("event {first} of {}: told {}, kept {}", wanted.len(), wanted[first], kept[first]);
    }
    assert_eq!(kept.len(), wanted.len(), "events are lost, or kept that were not told");
    let recoveries: Vec<Value> = told
        .iter()
        .filter_map(|event| match &**event {
            Event::Recovery(recovery) => Some(serde_json::to_value(&*recovery.record).unwrap()),
            _ => None,
        })
        .collect();
    let records: Vec<Value> =
        store.recoveries(None, None).map(|record| serde_json::to_value(record.unwrap()).unwrap()).collect();
    assert_eq!(records.len(), recoveries.len(), "recoveries");
    assert!(recoveries.iter().all(|told| records.contains(told)), "a recovery is kept as it was not told");
    let probes = told.iter().filter(|event| matches!(&***event, Event::Probe(_))).count();
    assert_eq!(store.probe_count().unwrap(), probes as u64, "probes");
    say(&format!("kept as told: {} events, {} recoveries, {probes} probes", kept.len(), records.len()));
    assert!(kept.len() > 3_000 && probes > 2_000 && records.len() > 100, "that was no flood");
}

fn json(event: &Arc<Event>) -> Value {
    serde_json::to_value(&**event).unwrap()
}

/// The first place where two values differ, with both.
fn difference(place: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(fields), Value::Object(others)) if fields.len() == others.len() => {
            fields.iter().find_map(|(name, value)| match others.get(name) {
                Some(other) => difference(&format!("{place}.{name}"), value, other),
                None => Some(format!("{place}.{name} is missing in one")),
            })
        }
        (Value::Array(values), Value::Array(others)) if values.len() == others.len() => values
            .iter()
            .zip(others)
            .enumerate()
            .find_map(|(number, (value, other))| difference(&format!("{place}[{number}]"), value, other)),
        // The engine knows its own instants to the nanosecond, everybody else as they are written, to the millisecond.
        (Value::String(one), Value::String(other))
            if millis(one).is_some() && millis(one) == millis(other) =>
        {
            None
        }
        _ if one == other => None,
        _ => Some(format!("{place}: the engine says {one}, it says {other}")),
    }
}

fn millis(text: &str) -> Option<i64> {
    Some(text.parse::<chrono::DateTime<chrono::Utc>>().ok()?.timestamp_millis())
}
