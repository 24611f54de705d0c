//! Ctrl-Z and `fg` under a real shell.

use rustix::process::Signal;

use super::{
    platform::{Platform, answer, component},
    pty::{Plan, Program, Session},
};

/// Asks the shell for something and waits for its answer; the echo of the question does not hold the answer.
fn ask(session: &mut Session, question: &str, answer: &str) {
    session.press(question);
    session.shows(answer);
}

/// The shell's own words about the terminal.
fn settings(session: &mut Session, number: u32) -> String {
    ask(session, &format!("echo \"$((40+{number})):$(stty -g):\"\n"), &format!("{}:", 40 + number));
    let (mark, shown) = (format!("{}:", 40 + number), session.shown().replace('\n', ""));
    let rest = &shown[shown.rfind(&mark).unwrap() + mark.len()..];
    rest.split_once(' ').map_or(rest, |(settings, _)| settings).trim_end_matches("ready>").to_owned()
}

fn suspended_and_continued(suspend: impl FnOnce(&mut Session)) {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config =
        platform.config(&component("web", "Web front", 1, "get = \"/\"\nexpect = ['status == 200']"));
    let mut session =
        Session::start(Plan { config: &config, size: (160, 24), program: Program::Shell, ..Plan::CONSOLE });
    session.shows("ready>");
    let before = settings(&mut session, 1);
    assert!(before.len() > 20, "stty says nothing here: {before:?}");

    session.press("$CONSOLE\n");
    session.shows("1 of 1 up");
    assert!(session.screen().alternate_screen() && session.screen().hide_cursor());
    suspend(&mut session);
    session.until("shell's screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    session.shows("Stopped");
    assert_eq!(settings(&mut session, 2), before, "the shell has not its own terminal");

    session.press("fg\n");
    session.until("console after `fg`", |screen| {
        screen.alternate_screen() && screen.hide_cursor() && screen.contents().contains("1 of 1 up")
    });
    session.press("?");
    session.shows("Show what the keys do here");
    session.press("\x1b");
    session.hides("Show what the keys do here");
    session.press("q");
    session.until("shell's prompt", |screen| {
        !screen.alternate_screen() && screen.contents().trim_end().ends_with("ready>")
    });
    ask(&mut session, "echo \"code=[$?]\"\n", "code=[0]");
    assert_eq!(settings(&mut session, 3), before);
    session.press("exit\n");
    session.ended();
    session.assert_given_back();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    suspended_and_continued(|session| session.press("\x1a"));
}

#[test]
fn sigtstp_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    suspended_and_continued(|session| {
        // The console is the shell's only child.
        let children = format!("/proc/{0}/task/{0}/children", session.pid);
        let child: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(child).unwrap(), Signal::TSTP).unwrap();
    });
}

/// A console that leads its own session has no shell to go back to: Ctrl-Z must not leave a stopped process behind.
#[test]
fn ctrl_z_without_a_shell_is_refused_aloud() {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config =
        platform.config(&component("web", "Web front", 1, "get = \"/\"\nexpect = ['status == 200']"));
    let mut session = Session::start(Plan { config: &config, ..Plan::CONSOLE });
    session.shows("1 of 1 up");
    session.press("\x1a");
    session.shows("there is no shell to go back to");
    session.press("q");
    assert_eq!(session.ended().code, 0);
    session.assert_given_back();
}

/// What is typed while the console ends is the shell's: the keyboard's thread may not take it along.
#[test]
fn what_is_typed_after_q_is_the_shells() {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config =
        platform.config(&component("web", "Web front", 1, "get = \"/\"\nexpect = ['status == 200']"));
    let mut session =
        Session::start(Plan { config: &config, size: (160, 24), program: Program::Shell, ..Plan::CONSOLE });
    session.shows("ready>");
    for round in 0..3 {
        session.press("$CONSOLE\n");
        session.shows("1 of 1 up");
        session.press("q");
        session.until("shell's screen", |screen| !screen.alternate_screen());
        // The process has not yet ended: its engine is still to be told.
        session.press(&format!("echo typed-$((40+{round}))\n"));
        session.shows(&format!("typed-{}", 40 + round));
    }
    session.press("exit\n");
    session.ended();
    session.assert_given_back();
}
