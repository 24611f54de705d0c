//! `agent --events json` as a pipeline reads it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use super::{
    agent::{Agent, PATIENCE, run, warroom},
    code, stderr, stdout, three,
};

#[test]
fn every_line_is_an_event_and_the_order_holds() {
    let (_platform, folder) = three();
    let output = run(folder.path(), &["agent", "--for", "3s", "--events", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.ends_with('\n'), "the last line is cut");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "roster", "{}", events[0]);
    let known: Vec<&str> = events[0]["roster"]["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["id"].as_str().unwrap())
        .collect();
    assert_eq!(known, ["ivr", "crm", "wfm"]);
    let first_probe = events.iter().position(|event| event["event"] == "probe").unwrap();
    let initial: Vec<&str> = events[..first_probe]
        .iter()
        .filter(|event| event["event"] == "phase")
        .map(|event| event["component_id"].as_str().unwrap())
        .collect();
    assert_eq!(initial, ["ivr", "crm", "wfm"], "initial phases come before the first probe");
    for id in known {
        let probe = events.iter().find(|event| event["event"] == "probe" && event["component_id"] == id);
        let probe = probe.unwrap_or_else(|| panic!("{id} was never probed"));
        assert_eq!(
            (&probe["verdict"], &probe["path"]),
            (&Value::from("up"), &Value::from("primary")),
            "{probe}"
        );
        for field in ["latency_ms", "served_by", "reason", "burst"] {
            assert!(probe.get(field).is_some(), "no {field}: {probe}");
        }
    }
    for event in &events {
        let at = event["at"].as_str().unwrap();
        assert!(at.len() == 24 && at.ends_with('Z') && at.as_bytes()[19] == b'.', "{at}");
        chrono::DateTime::parse_from_rfc3339(at).unwrap();
    }
}

#[test]
fn a_signal_ends_it_at_once_with_its_code() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut shortest = Duration::MAX;
        for _ in 0..3 {
            let (_platform, folder) = three();
            let mut agent = Agent::start(folder.path());
            agent.phase("up");
            let asked = Instant::now();
            let status = agent.signal(signal);
            shortest = shortest.min(asked.elapsed());
            assert_eq!(status.code(), Some(code), "{}", agent.words());
            if shortest < Duration::from_secs(1) {
                break;
            }
        }
        assert!(shortest < Duration::from_secs(1), "it takes {shortest:?} to end");
    }
}

/// A signal before the engine has begun must not end it as an accident would.
#[test]
fn a_hang_up_does_not_end_a_service() {
    let (_platform, folder) = three();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    let pid = rustix::process::Pid::from_raw(i32::try_from(agent.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    for _ in 0..3 {
        agent.probe("up");
    }
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}

/// `agent --events json | head -1`: the reader has enough, so there is nothing to complain about.
#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let (_platform, folder) = three();
    let mut child = warroom(folder.path(), &["agent", "--events", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"event\":\"roster\""), "{line}");
    drop(reader);
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it writes on although nobody reads");
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!(status.code(), Some(0), "{words}");
    assert!(!words.contains("panick") && !words.contains("roken pipe"), "{words}");
}
