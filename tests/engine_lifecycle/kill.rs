//! `kill -9`: an outage goes on, and a recovery that was told is on disk.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde_json::Value;
use warroom::store::Store;

use super::{
    agent::{Agent, data, run},
    bad, good, well,
};

/// Epochs are written with milliseconds, and bounds rounded outwards.
const ROUNDING: f64 = 0.002;

fn epoch() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The lines of `records`.
fn records(folder: &std::path::Path) -> Vec<Value> {
    let output = run(folder, &["records"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Whether the outage has reached the disk as it was told, and not only as a bad verdict that waits to be confirmed.
fn on_disk(folder: &std::path::Path, id: &str, told: DateTime<Utc>) -> bool {
    let open = Store::read(&data(folder)).unwrap().open_progress().unwrap();
    open.iter().any(|progress| progress.open && progress.at >= told && progress.state.contains(id))
}

#[test]
fn an_outage_goes_on_through_kill_9() {
    let (platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    agent.probe("up");

    let mut onset = (epoch(), 0.0);
    platform.answer(bad());
    onset.1 = epoch();
    let down = agent.phase("down");
    let (id, t_detect) = (down["outage"]["id"].clone(), number(&down["t_detect_epoch"]));
    assert!(id.is_string(), "{down}");
    assert!(t_detect >= onset.0 - ROUNDING && t_detect <= epoch(), "{t_detect} of {onset:?}");
    // An outage is told at once and written beside; a disk is given the time that it needs for that.
    let told = down["at"].as_str().unwrap().parse().unwrap();
    while !on_disk(folder.path(), id.as_str().unwrap(), told) {
        agent.probe("down");
    }
    agent.kill();

    let mut agent = Agent::start(folder.path());
    let again = agent.phase("down");
    assert_eq!(again["outage"]["id"], id, "another outage");
    assert!((number(&again["t_detect_epoch"]) - t_detect).abs() < ROUNDING, "{again}");
    agent.probe("down");

    let mut restored = (epoch(), 0.0);
    platform.answer(good());
    restored.1 = epoch();
    let recovery = agent.event("recovery", |event| event["event"] == "recovery");
    let record = &recovery["record"];
    assert_eq!(record["id"], id);
    assert!((number(&record["t_detect_epoch"]) - t_detect).abs() < ROUNDING, "{record}");
    assert!(number(&record["gap_seconds"]) > 0.0, "nobody saw anything while it was dead: {record}");
    // The truth: from somewhere in `onset` to somewhere in `restored`. Its shortest and its longest lie in the bounds.
    let (shortest, longest) = (restored.0 - onset.1, restored.1 - onset.0);
    let (from, to) = (number(&record["bounds_seconds"][0]), number(&record["bounds_seconds"][1]));
    assert!(
        from <= longest + ROUNDING && to >= shortest - ROUNDING,
        "{from}–{to} without {shortest}–{longest}"
    );
    assert!(to < longest + 5.0, "the last good start was forgotten: at most {to} s of {longest} s");
    let kept = records(folder.path());
    assert_eq!(kept.len(), 1);
    assert_eq!(&kept[0], record, "told and kept differ");
}

#[test]
fn a_recovery_that_was_told_survives_kill_9() {
    let (platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    for round in 1..=3 {
        platform.answer(bad());
        agent.phase("down");
        platform.answer(good());
        let told = agent.event("recovery", |event| event["event"] == "recovery");
        // At once: nothing may still be on its way.
        agent.kill();
        let kept = records(folder.path());
        assert_eq!(kept.len(), round, "the recovery that was told is not kept");
        assert_eq!(kept.last(), Some(&told["record"]), "told and kept differ");
        agent = Agent::start(folder.path());
        agent.phase("up");
    }
}

/// In peace too the restart is a gap: the time before it proves nothing about the time after it.
#[test]
fn a_restart_in_peace_opens_nothing() {
    let (_platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    agent.kill();
    let mut agent = Agent::start(folder.path());
    let first = agent.event("initial phase", |event| event["event"] == "phase");
    assert!(first["t_detect_epoch"].is_null(), "{first}");
    agent.probe("up");
    agent.kill();
    assert_eq!(records(folder.path()), [] as [Value; 0]);
}
