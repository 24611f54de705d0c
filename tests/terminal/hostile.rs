//! Text from platforms and configs stays text, on the screen and in every output.

use std::process::{Command, Stdio};

use super::{
    platform::{Platform, answer, component, write_config},
    pty::{Plan, Session},
    stream::assert_only_the_consoles_own,
};

/// Everything that a terminal would act on, and what would hide or reorder text. It is told by its visible word.
const ATTACK: &str = "evil\u{1b}]0;owned\u{7}\u{1b}]2;owned\u{1b}\\\u{1b}]52;c;b3duZWQ=\u{7}\u{1b}[2J\u{1b}[31m\u{1b}c\
    \u{1b}P1$r\u{1b}\\\u{9b}31m\u{9d}0;owned\u{9c}\r\n\u{8}\u{8}\u{7f}\u{202e}live\u{2066}\u{200b}\u{feff}\u{e0041}漢字🔥e\u{301}\u{301}\u{301}\u{301}";

/// The same as JSON writes it.
fn attack_in_json() -> String {
    serde_json::to_string(ATTACK).unwrap()
}

/// The same in a TOML basic string.
fn attack_in_toml() -> String {
    ATTACK
        .chars()
        .map(
            |letter| {
                if letter.is_control() { format!("\\u{:04X}", u32::from(letter)) } else { letter.to_string() }
            },
        )
        .collect()
}

/// Components that bring every part of the answer onto the screen: who serves, failing expectations, the body.
fn components() -> String {
    let mut text = String::new();
    let steps = [
        ("body", "served_by = 'body.node'", "['status == 200', 'body.node == \"well\"']"),
        (
            "head",
            "served_by = 'headers[\"x-served-by\"]'",
            "['status == 200', 'headers[\"x-served-by\"] == \"well\"']",
        ),
        ("text", "served_by = 'body.node + \"!\"'", "['body.node.startsWith(\"well\")']"),
    ];
    for (id, served_by, expect) in steps {
        let step = format!("name = \"looked at\"\nget = \"/\"\nexpect = {expect}");
        text.push_str(&component(id, &format!("foreign {id}"), 1, &step));
        text.push_str("[components.failover]\n");
        text.push_str(served_by);
        text.push('\n');
    }
    text
}

/// The answer's headers: as much of the attack as a header may carry, and some more.
fn headers() -> Vec<u8> {
    let carried: String = ATTACK.chars().filter(|letter| !matches!(letter, '\0'..='\x1f' | '\x7f')).collect();
    format!("x-served-by: {carried}\r\n").into_bytes()
}

fn hostile() -> Platform {
    Platform::start(answer("200 OK", &headers(), &format!("{{\"node\":{}}}", attack_in_json())))
}

/// Opens everything that shows foreign text, and holds the stream against the console's own grammar.
fn looks_at_everything(config: &str, options: &[&str], seen: &str) {
    let mut session = Session::start(Plan { config, options, size: (120, 40), ..Plan::CONSOLE });
    session.shows("0 of 3 up");
    // Without it nothing would have been tried.
    session.shows(seen);
    session.press("G\r");
    session.shows("looked at");
    session.press("8");
    session.hides("looked at");
    session.press("1");
    session.shows("Events");
    session.press("q");
    assert_eq!(session.ended().code, 0);
    assert!(!session.shown().contains("owned"), "{}", session.shown());
    assert_only_the_consoles_own(&session.written, "warroom", 3);
    session.assert_given_back();
}

#[test]
fn an_answer_cannot_command_the_terminal() {
    let platform = hostile();
    looks_at_everything(&platform.config(&components()), &[], "evil");
}

#[test]
fn an_answer_cannot_command_an_ascii_terminal() {
    let platform = hostile();
    looks_at_everything(&platform.config(&components()), &["--ascii"], "evil");
}

/// An answer that is no HTTP at all ends up in the reason.
#[test]
fn an_answer_that_is_no_http_cannot_command_the_terminal() {
    let raw = format!("HTTP/1.1 200 {ATTACK}\r\nx-served-by: {ATTACK}\r\ncontent-length: 2\r\n\r\n{{}}");
    let platform = Platform::start(raw.into_bytes());
    looks_at_everything(&platform.config(&components()), &[], "down");
}

/// A config's own names are foreign too: somebody may have pasted them.
#[test]
fn a_name_in_the_config_cannot_command_the_terminal() {
    let platform = hostile();
    let named = components()
        .replace("looked at", &format!("looked at {}", attack_in_toml()))
        .replace("name = \"foreign ", &format!("name = \"{}", attack_in_toml()));
    let config = platform.config(&named).replace("test-tenant", &attack_in_toml());
    let mut session = Session::start(Plan { config: &config, size: (120, 40), ..Plan::CONSOLE });
    session.until("words about the names, or the names themselves", |screen| {
        screen.contents().contains("nothing was started") || screen.contents().contains("0 of 3 up")
    });
    let started = session.screen().alternate_screen();
    if started {
        session.press("G\r");
        session.press("q");
    }
    assert_eq!(session.ended().code, if started { 0 } else { 2 });
    assert!(!session.written.windows(5).any(|window| window == b"\x1b]52;"));
    // Standard error goes to a terminal in cooked mode, which adds the carriage returns.
    assert_only_the_consoles_own(&session.written, "warroom", 3);
    session.assert_given_back();
}

/// Standard output of the subcommands, as a person would see it in a terminal.
fn assert_plain(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.contains("evil"), "{what} does not show the answer at all: {text}");
    for letter in text.chars() {
        let active = letter != '\n'
            && (letter.is_control()
                || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert!(!active, "{what} writes {letter:?}: {text:?}");
    }
}

#[test]
fn what_the_subcommands_print_cannot_command_a_terminal() {
    let platform = hostile();
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), &platform.config(&components()));
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_warroom"))
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.stdout, output.stderr)
    };
    for component in ["body", "head", "text"] {
        assert_plain("probe", &run(&["probe", component]).0);
        assert_plain("probe --json", &run(&["probe", component, "--json"]).0);
    }
    let (events, words) = run(&["agent", "--for", "2s", "--events", "json"]);
    assert_plain("agent --events json", &events);
    assert!(!words.contains(&0x1b), "{}", String::from_utf8_lossy(&words));
    // A recovery that carries the attack: who serves it, and names of steps.
    let well = components().replace("== \\\"well\\\"", "!= \\\"\\\"").replace("== \"well\"", "!= \"\"");
    write_config(
        folder.path(),
        &platform.config(&well.replace("startsWith(\"well\")", "startsWith(\"evil\")")),
    );
    let (events, _) = run(&["agent", "--for", "3s", "--events", "json"]);
    assert_plain("agent --events json", &events);
    for format in ["csv", "jsonl"] {
        assert_plain(format, &run(&["records", "--format", format]).0);
    }
}
