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

/// Whoever reads the events and stops reading must not keep the engine from ending.
#[test]
fn a_reader_that_is_stuck_keeps_nobody_from_ending() {
    let platform = super::Platform::start(super::answer("200 OK", b"", "{}"));
    let folder = tempfile::tempdir().unwrap();
    let step = "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']";
    let components: Vec<String> =
        (0..40).map(|number| super::component(&format!("c{number}"), "C", 1, step)).collect();
    super::write_config(folder.path(), &platform.config(&components.concat()));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = warroom(folder.path(), &["agent", "--events", "json"])
        .stdout(writer.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Full, as soon as nothing more can be written into it.
    let deadline = Instant::now() + PATIENCE;
    let mut held = 0;
    loop {
        let now = rustix::io::ioctl_fionread(&reader).unwrap();
        if now > 60_000 && now == held {
            break;
        }
        assert!(Instant::now() < deadline, "the pipe never fills: {now}");
        held = now;
        std::thread::sleep(Duration::from_millis(500));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if asked.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it waits for a reader who has stopped reading");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(143));
}

/// A disk that fills up under the events' file is no reason to stop measuring, and none to say that all was well.
#[test]
fn events_that_cannot_be_written_do_not_end_the_measuring() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let (_platform, folder) = three();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let began = Instant::now();
    let output = warroom(folder.path(), &["agent", "--for", "3s", "--events", "json"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3), "it stopped measuring");
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let words = stderr(&output);
    assert_eq!(words.matches("measuring goes on").count(), 1, "{words}");
    assert!(words.contains("warroom: the events could not be written"), "{words}");
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
