//! How the line mode ends, and what does not end it.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    agent::{PATIENCE, run, warroom},
    answer, assert_plain,
    piped::Piped,
    two,
};

#[test]
fn the_end_of_a_pipe_ends_nothing() {
    let (platform, folder) = two();
    let mut plain = Piped::start(folder.path(), &[]);
    plain.says("Tier 1: 1 of 1 up");
    plain.ends_input();
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    plain.says("IVR main flow: DOWN: ");
    plain.signal(Signal::TERM);
    assert_eq!(plain.ended().code(), Some(143));
    assert_plain(&plain.written);
}

#[test]
fn each_signal_has_its_code() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (_platform, folder) = two();
        let mut plain = Piped::start(folder.path(), &[]);
        plain.says("Tier 1: 1 of 1 up");
        plain.signal(signal);
        assert_eq!(plain.ended().code(), Some(code), "{signal:?}");
    }
}

/// As `warroom --plain | head -2` does, also while nothing more is to be printed.
#[test]
fn a_reader_who_has_read_enough_ends_it_quietly() {
    let (_platform, folder) = two();
    let mut child = warroom(folder.path(), &["--plain"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("2 components"));
    // From here on all is well, and nothing is said that a write could fail with.
    assert!(lines.any(|line| line.unwrap().starts_with("`help` says")));
    drop(lines);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

/// A reader who does not read holds up neither a signal nor the engine.
#[test]
fn a_reader_who_does_not_read_holds_up_nothing() {
    let (platform, folder) = two();
    let mut child = warroom(folder.path(), &["--plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let typist = std::thread::spawn(move || {
        // Far more answers than pipe and queue hold; it is stopped by the program's end.
        let wanted = "help\n".repeat(10_000);
        let _ = std::io::Write::write_all(&mut input, wanted.as_bytes());
    });
    let deadline = Instant::now() + PATIENCE;
    let state = |folder| String::from_utf8(run(folder, &["status"]).stdout).unwrap();
    while !state(folder.path()).contains("2/2 up") {
        assert!(Instant::now() < deadline, "the engine does not measure: {}", state(folder.path()));
    }
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    while !state(folder.path()).contains(" down since ") {
        assert!(Instant::now() < deadline, "the engine does not go on: {}", state(folder.path()));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let asked = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    typist.join().unwrap();
}
