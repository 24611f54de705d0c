//! Beside an agent: the same outage on every screen, through kills and restarts; whoever leaves leaves it alone.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::{agent::Agent, bad, console, good, well};

fn presence(change: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "presence" && event["change"] == change
}

/// Two engineers must see the same war room, and the one who leaves must not end the measurement.
#[test]
fn a_console_attaches_to_the_agent_and_only_detaches() {
    let (platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    platform.answer(bad());
    agent.phase("down");
    let mut console = console(folder.path(), &[]);
    console.shows("Web front is DOWN");
    let event = agent.event("attached", presence("attached"));
    assert_eq!(event["console"]["is_host"], false, "{event}");
    assert!(event["console"]["terminal"].as_str().unwrap().starts_with("pts/"), "{event}");
    console.press("q");
    assert_eq!(console.ended().code, 0, "{}", console.shown());
    console.assert_given_back();
    let words = String::from_utf8_lossy(&console.written).into_owned();
    let goes_on = format!("goes on measuring (process {})", agent.child.id());
    assert!(words.contains(&goes_on), "{words}");
    agent.event("detached", presence("detached"));
    agent.probe("down");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}

/// An agent that is killed in the middle of an outage and comes back: the screen says that it does not know, and then
/// shows what is true now, not what it had patched together.
#[test]
fn a_killed_agent_is_missed_and_followed_again_when_it_is_back() {
    let (platform, folder) = well();
    let mut first = Agent::start(folder.path());
    first.phase("up");
    let mut console = console(folder.path(), &[]);
    console.shows("1 of 1 up");
    first.kill();
    console.shows("NOT CONNECTED");
    platform.answer(bad());
    let mut second = Agent::start(folder.path());
    second.phase("down");
    console.hides("NOT CONNECTED");
    console.shows("Web front is DOWN");
    let stopped = second.signal(Signal::TERM);
    assert_eq!(stopped.code(), Some(143), "an agent that stops waits for no console");
    console.shows("NOT CONNECTED");
    console.press("q");
    assert_eq!(console.ended().code, 0);
    console.assert_given_back();
    assert!(String::from_utf8_lossy(&console.written).contains("not connected at the end"));
}

#[test]
fn signals_end_an_attached_console_and_leave_the_agent_alone() {
    let (_platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut console = console(folder.path(), &[]);
        console.shows("1 of 1 up");
        console.signal(signal);
        assert_eq!(console.ended().code, code, "{}", console.shown());
        console.assert_given_back();
        agent.event("detached", presence("detached"));
        agent.probe("up");
    }
}

/// The SSH session is cut: the console must neither stay nor spin, and the others see that it has gone.
#[test]
fn a_terminal_that_vanishes_detaches() {
    let (_platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    let mut console = console(folder.path(), &[]);
    console.shows("1 of 1 up");
    agent.event("attached", presence("attached"));
    console.vanish();
    let ended = console.ended();
    assert_eq!(ended.code, 129);
    assert!(ended.cpu < Duration::from_secs(3), "it took {:?} of processor time", ended.cpu);
    console.assert_alone();
    agent.event("detached", presence("detached"));
    agent.probe("up");
}

/// A wall screen: whoever passes by must not be able to act.
#[test]
fn a_console_that_only_watches_does_not_act() {
    let (_platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    let mut console = console(folder.path(), &["--read-only"]);
    console.shows("1 of 1 up");
    let event = agent.event("attached", presence("attached"));
    assert_eq!(event["console"]["role"], "watch", "{event}");
    console.shows("WATCH ONLY");
    console.press("p");
    console.press("q");
    assert_eq!(console.ended().code, 0);
    let acts = std::cell::Cell::new(0);
    agent.event("detached", |event| {
        acts.set(acts.get() + u32::from(event["event"] == "act"));
        presence("detached")(event)
    });
    assert_eq!(acts.get(), 0, "it has acted");
}

/// What a killed engine left behind must keep nobody from measuring.
#[test]
fn a_stale_socket_is_no_engine() {
    let (platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    agent.kill();
    assert!(super::agent::data(folder.path()).join("engine.sock").exists(), "nothing is stale");
    platform.answer(good());
    let config = folder.path().join("warroom.toml");
    let mut console = console(folder.path(), &["--config", config.to_str().unwrap()]);
    console.shows("1 of 1 up");
    assert!(!console.shown().contains("NOT CONNECTED"), "{}", console.shown());
    console.press("q");
    assert_eq!(console.ended().code, 0);
    assert!(!String::from_utf8_lossy(&console.written).contains("goes on measuring"));
    console.assert_given_back();
}
