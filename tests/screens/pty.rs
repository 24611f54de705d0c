//! The terminal comes back, however the console ends: in a real pseudo-terminal, with the live scene.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// How long the console may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the live scene, lets `end` end it, and returns what was written and the exit code.
fn ended_by(end: impl FnOnce(Pid, &mut dyn Write)) -> (String, u32) {
    ended_in(&[("TERM", "xterm-256color")], |pid, keyboard, _| end(pid, keyboard))
}

/// The same in an environment; `end` may wait for what is drawn.
fn ended_in(
    environment: &[(&str, &str)],
    end: impl FnOnce(Pid, &mut dyn Write, &dyn Fn(&str)),
) -> (String, u32) {
    let pty =
        native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["live::live", "--exact", "--ignored", "--nocapture"]);
    for multiplexer in ["TMUX", "STY"] {
        command.env_remove(multiplexer);
    }
    for (name, value) in environment {
        command.env(name, value);
    }
    let before = pty.master.get_termios().unwrap();
    let mut child = pty.slave.spawn_command(command).unwrap();
    let mut reader = pty.master.try_clone_reader().unwrap();
    let mut writer = pty.master.take_writer().unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&written);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut piece) {
            collected.lock().unwrap().extend_from_slice(&piece[..length]);
        }
    });
    let text = || String::from_utf8_lossy(&written.lock().unwrap()).into_owned();
    let wait_for = |what: &str| {
        let begun = Instant::now();
        while !text().contains(what) {
            assert!(begun.elapsed() < PATIENCE, "`{what}` was never drawn: {}", text());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // The first events are drawn once keys and signals are listened to.
    wait_for("us-east-1");
    let pid = Pid::from_raw(i32::try_from(child.process_id().unwrap()).unwrap()).unwrap();
    end(pid, &mut *writer, &wait_for);
    let status = child.wait().unwrap();
    wait_for("\u{1b}[?1049l");
    let after = pty.master.get_termios().unwrap();
    assert_eq!(before, after, "echo and line editing are as before");
    (text(), status.exit_code())
}

fn assert_restored(written: &str) {
    let last = written.rfind("\u{1b}[?1049l").unwrap();
    assert!(written[..last].contains("\u{1b}[?1049h"));
    assert!(
        written[..last + 30.min(written.len() - last)].contains("\u{1b}[?25h"),
        "the cursor is shown again"
    );
    assert!(written.contains("\u{1b}[23;0t"), "the title is the shell's again");
    assert!(!written[last..].contains("\u{1b}[?2026h"), "nothing is drawn on the shell's screen");
}

#[test]
fn q_gives_the_terminal_back() {
    let (written, code) = ended_by(|_, keyboard| keyboard.write_all(b"q").unwrap());
    assert_eq!(code, 0);
    assert_restored(&written);
}

/// What a terminal's clipboard would hold after the first sequence that sets it.
fn clipboard(written: &str) -> String {
    let (_, rest) = written.split_once("\u{1b}]52;c;").unwrap();
    let (encoded, _) = rest.split_once('\u{7}').unwrap();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

#[test]
fn c_copies_to_the_terminal_and_to_a_file() {
    let runtime = tempfile::tempdir().unwrap();
    let folder = runtime.path().to_str().unwrap();
    let path = runtime.path().join("warroom").join("summary.txt");
    let tmux =
        [("TERM", "screen-256color"), ("TMUX", "/tmp/tmux-1/default,1,0"), ("XDG_RUNTIME_DIR", folder)];
    for environment in [&[("TERM", "xterm-256color"), ("XDG_RUNTIME_DIR", folder)][..], &tmux] {
        let (written, _) = ended_in(environment, |_, keyboard, wait_for| {
            keyboard.write_all(b"c").unwrap();
            wait_for("also in ");
            keyboard.write_all(b"q").unwrap();
        });
        let copied = clipboard(&written);
        assert!(copied.starts_with("warroom: prod-ccaws-01"), "{copied}");
        assert_eq!(fs::read_to_string(&path).unwrap(), copied);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(written.contains("\u{1b}Ptmux;\u{1b}\u{1b}]52;c;"), environment.len() == 3);
        assert_restored(&written);
    }
    let linux = [("TERM", "linux"), ("XDG_RUNTIME_DIR", folder)];
    let (written, _) = ended_in(&linux, |_, keyboard, wait_for| {
        keyboard.write_all(b"c").unwrap();
        wait_for("takes no copies");
        keyboard.write_all(b"q").unwrap();
    });
    assert!(!written.contains("]52;"), "nothing is sent to a terminal that would show it");
}

#[test]
fn signals_give_the_terminal_back() {
    for (signal, wanted) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let (written, code) = ended_by(|pid, _| kill_process(pid, signal).unwrap());
        assert_eq!(code, wanted);
        assert_restored(&written);
    }
}

#[test]
fn ctrl_c_is_a_key_that_ends_like_the_signal() {
    let (written, code) = ended_by(|_, keyboard| keyboard.write_all(b"\x03").unwrap());
    assert_eq!(code, 130);
    assert_restored(&written);
}
