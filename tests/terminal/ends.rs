//! However the process ends, the terminal is the shell's again, at once and as it was.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{
    platform::{Platform, answer, component},
    pty::{Plan, Session},
};

/// What a person takes for at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A platform that is well, and a config of one component on it.
fn well() -> (Platform, String) {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config =
        platform.config(&component("web", "Web front", 1, "get = \"/\"\nexpect = ['status == 200']"));
    (platform, config)
}

/// A console that shows its first verdict.
fn measuring(config: &str) -> Session {
    let mut session = Session::start(Plan { config, ..Plan::CONSOLE });
    session.shows("1 of 1 up");
    session
}

/// Ends a console and says how long that took; the terminal and the exit code are held against what they must be.
fn took(config: &str, code: u32, end: &dyn Fn(&mut Session)) -> Duration {
    let mut session = measuring(config);
    let asked = Instant::now();
    end(&mut session);
    let ended = session.ended();
    assert_eq!(ended.code, code, "{}", session.shown());
    assert!(session.written.windows(8).any(|window| window == b"\x1b[?1049h"), "it never took the screen");
    session.assert_given_back();
    ended.at.saturating_duration_since(asked)
}

/// The shortest of up to three tries: what is longer was the machine's business.
fn ends_at_once(code: u32, end: &dyn Fn(&mut Session)) {
    let (_platform, config) = well();
    let mut times = Vec::new();
    while times.len() < 3 {
        times.push(took(&config, code, end));
        if times.last() < Some(&AT_ONCE) {
            return;
        }
    }
    panic!("it takes {times:?} to end");
}

#[test]
fn q_ends_at_once() {
    ends_at_once(0, &|session| session.press("q"));
}

#[test]
fn ctrl_c_ends_at_once() {
    ends_at_once(130, &|session| session.press("\x03"));
}

#[test]
fn sigint_ends_at_once() {
    ends_at_once(130, &|session| session.signal(Signal::INT));
}

#[test]
fn sigterm_ends_at_once() {
    ends_at_once(143, &|session| session.signal(Signal::TERM));
}

#[test]
fn sighup_ends_at_once() {
    ends_at_once(129, &|session| session.signal(Signal::HUP));
}

#[test]
fn sigquit_ends_at_once() {
    ends_at_once(131, &|session| session.signal(Signal::QUIT));
}

/// A signal that comes as soon as the screen is taken, before anything is measured.
#[test]
fn a_signal_at_the_very_start_gives_the_terminal_back() {
    let (_platform, config) = well();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let mut session = Session::start(Plan { config: &config, ..Plan::CONSOLE });
        session.until("alternate screen", vt100::Screen::alternate_screen);
        session.signal(signal);
        assert_eq!(session.ended().code, code);
        session.assert_given_back();
    }
}

/// Several signals at once, as an impatient supervisor sends them.
#[test]
fn a_second_signal_does_not_cut_the_end_short() {
    let (_platform, config) = well();
    let mut session = measuring(&config);
    session.signal(Signal::TERM);
    session.signal(Signal::INT);
    session.signal(Signal::HUP);
    let code = session.ended().code;
    assert!([143, 130, 129].contains(&code), "{code}");
    session.assert_given_back();
}

/// The terminal's window is closed: nobody can be told, nothing may be left, nothing may spin.
fn vanishes(controlling: bool) {
    // Probed once an hour: no frame is drawn whose failure would tell that the terminal is gone.
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config =
        platform.config(&component("web", "Web front", 3, "get = \"/\"\nexpect = ['status == 200']"));
    let mut session = Session::start(Plan { config: &config, controlling, ..Plan::CONSOLE });
    session.shows("1 of 1 up");
    session.vanish();
    let gone = Instant::now();
    let ended = session.ended();
    assert_eq!(ended.code, 129);
    let took = ended.at.saturating_duration_since(gone);
    assert!(took < Duration::from_secs(10), "it lived on for {took:?}");
    assert!(ended.cpu < Duration::from_secs(2), "it used {:?} of the processor", ended.cpu);
    session.assert_alone();
}

#[test]
fn a_vanished_terminal_ends_it() {
    vanishes(true);
}

/// Under `setsid` or some supervisors no SIGHUP comes; the vanished terminal itself must be noticed.
#[test]
fn a_vanished_terminal_ends_it_without_a_signal() {
    vanishes(false);
}

#[test]
fn a_wrong_config_leaves_the_terminal_alone() {
    let mut session = Session::start(Plan { config: "tenant = 7\n", ..Plan::CONSOLE });
    assert_eq!(session.ended().code, 2);
    session.assert_given_back();
    assert!(session.shown().contains("nothing was started"), "{}", session.shown());
    assert!(!session.written.windows(8).any(|window| window == b"\x1b[?1049h"), "it took the screen");
}

#[test]
fn a_wrong_theme_leaves_the_terminal_alone() {
    let (_platform, config) = well();
    let mut session =
        Session::start(Plan { config: &config, options: &["--theme", "nonsense"], ..Plan::CONSOLE });
    assert_eq!(session.ended().code, 2);
    session.assert_given_back();
    assert!(session.shown().contains("there is no theme `nonsense`"), "{}", session.shown());
}
