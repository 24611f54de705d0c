//! The line mode and the picture as JSON: what a screen reader, a dumb terminal, a log or a script gets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "engine_lifecycle/agent.rs"]
mod agent;
#[path = "plain/attached.rs"]
mod attached;
#[path = "plain/ends.rs"]
mod ends;
#[path = "plain/lines.rs"]
mod lines;
#[path = "plain/once.rs"]
mod once;
#[path = "plain/piped.rs"]
mod piped;
#[path = "terminal/platform.rs"]
mod platform;

use platform::{Platform, answer, component, write_config};

/// Everything that a terminal would act on, and what would hide or reorder text. It is told by its visible word.
const ATTACK: &str = "evil\u{1b}]0;owned\u{7}\u{1b}]52;c;b3duZWQ=\u{7}\u{1b}[2J\u{1b}[31m\u{1b}c\u{9b}31m\u{9d}0;owned\u{9c}\r\n\u{8}\u{8}\u{7f}\u{202e}live\u{2066}\u{200b}\u{feff}\u{e0041}漢字🔥e\u{301}\u{301}\u{301}";

/// A platform that is well, and a folder with a config of two components on it.
fn two() -> (Platform, tempfile::TempDir) {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), &platform.config(&components()));
    (platform, folder)
}

fn components() -> String {
    let step = "name = \"page\"\nget = \"/\"\nexpect = ['status == 200', 'body == {}']";
    component("ivr", "IVR main flow", 1, step) + &component("crm", "CRM lookup", 2, step)
}

/// An answer whose body is the attack, and so the reason why a step fails.
fn attack() -> Vec<u8> {
    answer("200 OK", b"", &serde_json::to_string(ATTACK).unwrap())
}

/// Fails unless these are lines of text and nothing else.
fn assert_plain(written: &[u8]) {
    let text = std::str::from_utf8(written).unwrap();
    for (number, line) in text.split('\n').enumerate() {
        let bad = line.chars().find(|letter| {
            letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        });
        assert_eq!(bad, None, "line {number} holds what a terminal would obey: {line:?}");
        assert!(line.chars().count() <= 200, "line {number} is longer than 200: {line}");
    }
}
