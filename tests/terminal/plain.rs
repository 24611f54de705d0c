//! The line mode in a terminal, whose settings it leaves alone.

use std::time::Duration;

use rustix::process::Signal;

use super::{
    platform::{Platform, answer, component},
    pty::{Plan, Program, Session},
};

fn well() -> (Platform, String) {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config =
        platform.config(&component("web", "Web front", 1, "get = \"/\"\nexpect = ['status == 200']"));
    (platform, config)
}

fn plain(config: &str) -> Plan<'_> {
    Plan { config, options: &["--plain"], size: (200, 50), environment: &[("TERM", "dumb")], ..Plan::CONSOLE }
}

/// The kernel itself puts a carriage return before each newline; nothing else may stand there.
fn assert_plain(session: &Session) {
    let written = String::from_utf8(session.written.clone()).unwrap().replace("\r\n", "\n");
    assert!(!written.contains(|letter: char| letter.is_control() && letter != '\n'), "{written:?}");
}

#[test]
fn ctrl_d_ends_it_and_quit_does() {
    for end in ["\u{4}", "quit\n"] {
        let (_platform, config) = well();
        let mut session = Session::start(plain(&config));
        session.shows("Tier 1: 1 of 1 up");
        session.press("who\n");
        session.shows("(you)");
        session.press(end);
        assert_eq!(session.ended().code, 0);
        session.assert_given_back();
        assert_plain(&session);
    }
}

#[test]
fn ctrl_c_ends_it_as_a_signal() {
    let (_platform, config) = well();
    let mut session = Session::start(plain(&config));
    session.shows("Tier 1: 1 of 1 up");
    session.press("\u{3}");
    assert_eq!(session.ended().code, 130);
    session.assert_given_back();
}

#[test]
fn a_terminal_that_vanishes_ends_it() {
    for controlling in [true, false] {
        let (_platform, config) = well();
        let mut session = Session::start(Plan { controlling, ..plain(&config) });
        session.shows("Tier 1: 1 of 1 up");
        session.vanish();
        assert_eq!(session.ended().code, 129, "with its signals: {controlling}");
        session.assert_alone();
    }
}

/// In the background it prints on; what is typed is the shell's, and nothing stops it.
#[test]
fn in_the_background_it_goes_on_and_takes_no_line_from_the_shell() {
    let (_platform, config) = well();
    let mut session = Session::start(Plan { program: Program::Shell, ..plain(&config) });
    session.shows("ready>");
    session.press("$CONSOLE &\n");
    session.shows("Tier 1: 1 of 1 up");
    session.press("echo sh\"\"ell\n");
    session.shows("\nshell");
    session.press("jobs\n");
    session.shows("Running");
    session.press("fg\n");
    session.press("who\n");
    session.shows("(you)");
    session.press("quit\n");
    session.press("exit\n");
    assert_eq!(session.ended().code, 0);
    session.assert_alone();
}

#[test]
fn a_dumb_terminal_is_told_of_it() {
    let (_platform, config) = well();
    let mut session = Session::start(Plan { options: &[], ..plain(&config) });
    assert_eq!(session.ended().code, 2);
    let said = session.shown();
    assert!(said.contains("warroom --plain"), "{said}");
    assert!(!session.written.contains(&0x1b), "{said}");
}

#[test]
fn it_is_idle_when_nothing_happens() {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let step = "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']";
    let config = platform.config(&component("archive", "Archive", 3, step));
    let mut session = Session::start(plain(&config));
    session.shows("Tier 3: 1 of 1 up");
    assert!(session.falls_silent_for(Duration::from_secs(3)));
    session.signal(Signal::TERM);
    let ended = session.ended();
    assert_eq!(ended.code, 143);
    assert!(ended.cpu < Duration::from_secs(5), "{:?}", ended.cpu);
}
