//! One engine for each data folder, and what works beside it.

use rustix::process::Signal;

use super::{
    agent::{Agent, run},
    code, stderr, stdout, three,
};

#[test]
fn a_second_engine_says_who_holds_the_folder() {
    let (_platform, folder) = three();
    let mut agent = Agent::start(folder.path());
    for _ in 0..3 {
        agent.probe("up");
    }
    let second = run(folder.path(), &["agent", "--for", "1s", "--events", "json"]);
    assert_eq!((code(&second), stdout(&second).as_str()), (2, ""));
    let words = stderr(&second);
    assert!(words.contains(&format!("process {}", agent.child.id())), "{words}");
    assert!(words.contains("--data-dir"), "it does not say what to do: {words}");
    // The first one has not suffered.
    agent.probe("up");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
    // The folder is free again, at once.
    assert_eq!(code(&run(folder.path(), &["agent", "--for", "1ms"])), 0);
}

#[test]
fn looking_works_beside_an_engine() {
    let (_platform, folder) = three();
    let none = run(folder.path(), &["status"]);
    assert_eq!(code(&none), 1);
    assert!(stdout(&none).contains("no engine"), "{}", stdout(&none));
    let mut agent = Agent::start(folder.path());
    let deadline = std::time::Instant::now() + super::agent::PATIENCE;
    let status = loop {
        agent.probe("up");
        let status = run(folder.path(), &["status", "--json"]);
        if code(&status) == 0 {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "{}", stdout(&status));
    };
    let status: serde_json::Value = serde_json::from_str(stdout(&status).trim_end()).unwrap();
    assert_eq!((&status["engine"], &status["up"]), (&"running".into(), &3.into()), "{status}");
    for arguments in [&["records"][..], &["probe", "ivr"], &["check"], &["status"], &["config", "show"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    }
    agent.probe("up");
    agent.kill();
    // A dead engine's last words are not news.
    let after = run(folder.path(), &["status"]);
    assert_eq!(code(&after), 1);
    assert!(stdout(&after).contains("no engine"), "{}", stdout(&after));
}
