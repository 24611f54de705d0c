//! The line mode beside an agent.

use rustix::process::Signal;

use super::{agent::Agent, answer, assert_plain, piped::Piped, two};

#[test]
fn it_follows_an_agent_and_leaves_it_running() {
    let (platform, folder) = two();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    let mut plain = Piped::start(folder.path(), &[]);
    plain.says("2 components on 1 platform measured");
    plain.says("You are ");
    plain.types("who");
    plain.says("(you) operates since ");
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    agent.phase("down");
    plain.says("IVR main flow: DOWN: ");
    plain.types("ack ivr");
    let act = agent.event("acknowledgement", |event| event["event"] == "act");
    assert_eq!(act["act"]["command"], "acknowledge");
    plain.says("acknowledged the outage");
    plain.types("quit");
    assert_eq!(plain.ended().code(), Some(0));
    assert_plain(&plain.written);
    platform.answer(answer("200 OK", b"", "{}"));
    agent.event("recovery", |event| event["event"] == "recovery");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}

#[test]
fn an_agent_that_ends_is_missed_and_its_return_is_told() {
    let (_platform, folder) = two();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    let mut plain = Piped::start(folder.path(), &[]);
    plain.says("Tier 1: ");
    agent.kill();
    plain.says("NOT CONNECTED to the engine, trying again: ");
    let _back = Agent::start(folder.path());
    plain.says("connected to the engine again");
    plain.says("Tier 1: ");
    plain.types("quit");
    assert_eq!(plain.ended().code(), Some(0));
}

#[test]
fn whoever_only_watches_is_told_why_nothing_is_done() {
    let (_platform, folder) = two();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    let mut plain = Piped::start(folder.path(), &["--read-only"]);
    plain.says("Tier 1: ");
    plain.types("probe ivr");
    plain.says("Nothing is done: you may watch");
    plain.types("quit");
    assert_eq!(plain.ended().code(), Some(0));
}
