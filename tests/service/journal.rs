//! The agent's log where it goes to systemd's journal, and where it does not.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    agent::{PATIENCE, warroom},
    answer, well,
};

/// An agent whose standard error is a file, which stands for the journal where `JOURNAL_STREAM` names it.
fn start(folder: &Path, log: &Path, is_named: bool) -> Child {
    let file = fs::File::create(log).unwrap();
    let facts = file.metadata().unwrap();
    let inode = if is_named { facts.ino() } else { facts.ino() + 1 };
    warroom(folder, &["agent"])
        .env("JOURNAL_STREAM", format!("{}:{inode}", facts.dev()))
        // It warns of a manager that it does not reach.
        .env("NOTIFY_SOCKET", folder.join("nobody"))
        .stderr(file)
        .spawn()
        .unwrap()
}

/// Waits until the log holds this.
fn until(log: &Path, child: &mut Child, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(log).unwrap().contains(words) {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("no {words:?} in:\n{}", fs::read_to_string(log).unwrap());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn end(mut child: Child) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// `journalctl -u warroom -p warning` must find an outage, and its text must bring no line of its own.
#[test]
fn the_journal_gets_one_entry_a_line_with_its_priority() {
    let (platform, folder) = well();
    let log = folder.path().join("log");
    let mut child = start(folder.path(), &log, true);
    until(&log, &mut child, "begins: 1 components of test-tenant");
    // Not before it was seen up: what was never good is told all the same, but recovers to nothing.
    let status = folder.path().join("data/status.json");
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(&status).is_ok_and(|text| text.contains("\"up\":1")) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    until(&log, &mut child, "Web front: DOWN: ");
    platform.answer(answer("200 OK", b"", "{}"));
    until(&log, &mut child, "Web front: PASS after ");
    end(child);
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains('\x1b'), "{text}");
    for line in text.lines() {
        let priority = line.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(number, _)| number);
        assert!(priority.is_some_and(|one| ["3", "4", "5", "6"].contains(&one)), "{line}\n\n{text}");
    }
    for (priority, words) in [
        ("<5>", "warroom 0.1.0 begins: "),
        ("<4>", "Web front: DOWN: "),
        ("<5>", "Web front: PASS after "),
        ("<5>", "SIGTERM: the agent ends"),
    ] {
        let words = format!("{priority}{words}");
        assert!(text.lines().any(|line| line.starts_with(&words)), "{words}\n\n{text}");
    }
}

/// A person who redirects the words into a file, from within a service even, must not find codes in it.
#[test]
fn a_file_gets_words_for_people() {
    let (_platform, folder) = well();
    let log = folder.path().join("log");
    let mut child = start(folder.path(), &log, false);
    // Told by the engine's first round, when signals are heard already.
    until(&log, &mut child, "the service manager does not take");
    end(child);
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains('<') && !text.contains("begins: "), "{text}");
}
