//! Stop, replace, start: one honest gap, and no recovery lost.

use std::time::SystemTime;

use rustix::process::Signal;
use serde_json::Value;

use super::{
    agent::{Agent, run},
    bad, good, well,
};

fn epoch() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn an_upgrade_in_an_outage_is_one_gap_and_no_second_outage() {
    let (platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    agent.probe("up");
    let mut onset = (epoch(), 0.0);
    platform.answer(bad());
    onset.1 = epoch();
    let down = agent.phase("down");
    let (id, t_detect) = (down["outage"]["id"].clone(), number(&down["t_detect_epoch"]));
    agent.probe("down");

    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
    let away = epoch();
    let mut agent = Agent::start(folder.path());
    let gap = agent.event("the gap", |event| event["event"] == "gap");
    let back = epoch();
    assert!(gap["reason"].as_str().unwrap().contains("not running"), "{gap}");
    let again = agent.phase("down");
    assert_eq!(again["outage"]["id"], id, "another outage");
    agent.probe("down");

    let mut restored = (epoch(), 0.0);
    platform.answer(good());
    restored.1 = epoch();
    let recovery = agent.event("the recovery", |event| {
        assert_ne!(event["event"], "gap", "a second gap: {event}");
        assert_ne!(event["event"], "notice", "{event}");
        event["event"] == "recovery"
    });
    let record = &recovery["record"];
    assert_eq!(record["id"], id);
    assert!((number(&record["t_detect_epoch"]) - t_detect).abs() < 0.002, "{record}");
    let unseen = number(&record["gap_seconds"]);
    assert!(unseen > 0.0 && unseen <= back - away + 2.0, "{unseen} s of {} s", back - away);
    let (shortest, longest) = (restored.0 - onset.1, restored.1 - onset.0);
    let (from, to) = (number(&record["bounds_seconds"][0]), number(&record["bounds_seconds"][1]));
    assert!(from <= longest + 0.002 && to >= shortest - 0.002, "{from}–{to} without {shortest}–{longest}");
    agent.probe("up");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));

    let kept = run(folder.path(), &["records"]).stdout;
    let kept: Vec<Value> =
        std::str::from_utf8(&kept).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept, std::slice::from_ref(record), "told and kept differ");
}
