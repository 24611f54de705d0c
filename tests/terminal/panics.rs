//! A panic in the console: the terminal is the shell's again before anybody reads why.

use warroom::{
    clock::{Clock, SystemClock},
    config,
    console::{self, Feed, Options},
    domain::Picture,
};

use super::{
    platform::component,
    pty::{Plan, Program, Session},
};

const WHY: &str = "this panic is the test's own";

/// The console on the terminal that this test was given; `command` is what a key that asks the engine does.
fn open(command: Box<dyn Fn(warroom::domain::Command) -> bool + Send>) {
    let text = format!(
        "tenant = \"t\"\nenvironment = \"sandbox\"\n[platforms.web]\nkind = \"http\"\n\
         base_url = \"http://127.0.0.1:9\"\n{}",
        component("web", "Web front", 1, "get = \"/\"\nexpect = ['status == 200']")
    );
    let config = config::parse(&text, "warroom.toml").unwrap().config;
    let (_writer, reader) = console::feed(8);
    console::run(
        &Options::default(),
        Feed {
            picture: Picture::new(config.roster.clone()),
            reader,
            ask_picture: Box::new(|| {}),
            command,
            now: Box::new(|| SystemClock.now()),
            after_first_frame: None,
        },
    )
    .unwrap();
}

#[test]
#[ignore = "run in a terminal of its own by the test below"]
fn on_the_consoles_thread() {
    open(Box::new(|_| panic!("{WHY}")));
}

#[test]
#[ignore = "run in a terminal of its own by the test below"]
fn on_another_thread() {
    open(Box::new(|_| std::thread::spawn(|| panic!("{WHY}")).join().is_err()));
}

#[test]
fn a_panic_of_the_console_is_read_on_the_shells_screen() {
    let mut session =
        Session::start(Plan { program: Program::Test("panics::on_the_consoles_thread"), ..Plan::CONSOLE });
    session.shows("Web front");
    session.press("p");
    let ended = session.ended();
    assert_ne!(ended.code, 0);
    session.assert_given_back();
    let written = String::from_utf8_lossy(&session.written);
    let (left, said) = (written.rfind("\x1b[?1049l").unwrap(), written.find(WHY).unwrap());
    assert!(left < said, "the reason is lost with the console's screen");
}

#[test]
fn a_panic_elsewhere_does_not_tear_the_screen() {
    let mut session =
        Session::start(Plan { program: Program::Test("panics::on_another_thread"), ..Plan::CONSOLE });
    session.shows("Web front");
    session.press("p");
    session.press("?");
    session.shows("Show what the keys do here");
    assert!(session.screen().alternate_screen() && !session.shown().contains(WHY), "{}", session.shown());
    session.press("\x1b");
    session.hides("Show what the keys do here");
    session.press("q");
    assert_eq!(session.ended().code, 0);
    session.assert_given_back();
}
