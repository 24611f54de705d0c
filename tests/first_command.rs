//! What a newcomer does first: starts the demo, sees a contact centre, presses `q`, and has the terminal back.
//!
//! Runs the built binary, or the command in `WARROOM_FIRST_COMMAND` (`.ci/run` puts the README's own there).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{Read, Write},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The built binary paints in milliseconds; only a command that may still have to build needs longer.
const TO_PAINT: Duration = Duration::from_secs(10);
const TO_BUILD_AND_PAINT: Duration = Duration::from_mins(10);
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// A shell in a terminal of its own, ended with the test.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    // Closing it would hang up the shell.
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Everything that was written, for what has left the screen.
    written: String,
}

impl Terminal {
    fn start(script: &str, folder: &std::path::Path) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new("sh");
        command.args(["-c", script]);
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        // What `cargo test` tells its children would make a `cargo run` among them build crates anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command.env("TERM", "xterm-256color");
        for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            command.env(name, folder);
        }
        for name in ["WARROOM_CONFIG", "WARROOM_DATA_DIR"] {
            command.env_remove(name);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let screen = vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0);
        Self { child, _master: pair.master, keys, output, screen, written: String::new() }
    }

    /// Reads until something holds; fails with the screen after `patience` or at the end of the output.
    fn until(&mut self, what: &str, patience: Duration, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !holds(self) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    self.screen.process(&bytes);
                    self.written.push_str(&String::from_utf8_lossy(&bytes));
                }
                Err(error @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("no {what} ({error}); the screen:\n{}", self.screen.screen().contents());
                }
            }
        }
    }

    /// What follows a word at the beginning of a line that has ended.
    fn line(&self, word: &str) -> Option<String> {
        let ended = self.written.rsplit_once('\n')?.0;
        ended.lines().find_map(|line| line.trim_start().strip_prefix(word).map(|rest| rest.trim().to_owned()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_command_shows_the_demo_and_gives_the_terminal_back() {
    let (command, patience) = match std::env::var("WARROOM_FIRST_COMMAND") {
        Ok(command) => (command, TO_BUILD_AND_PAINT),
        Err(_) => (format!("'{}' --demo", env!("CARGO_BIN_EXE_warroom")), TO_PAINT),
    };
    let folder = tempfile::tempdir().unwrap();
    let script =
        format!("echo before=$(stty -g); {command}; printf '\\nexit=%s\\n' $?; echo after=$(stty -g)");
    let mut terminal = Terminal::start(&script, folder.path());

    terminal.until("DEMO with a component", patience, |terminal| {
        let screen = terminal.screen.screen();
        let shown = screen.contents();
        screen.alternate_screen() && shown.contains("DEMO") && shown.contains("IVR main flow")
    });
    terminal.keys.write_all(b"q").unwrap();
    terminal.keys.flush().unwrap();
    terminal.until("end after `q`", Duration::from_secs(5), |terminal| terminal.line("after=").is_some());

    assert_eq!(terminal.line("exit=").as_deref(), Some("0"), "{}", terminal.screen.screen().contents());
    let before = terminal.line("before=").unwrap();
    assert!(!before.is_empty(), "stty says nothing here");
    assert_eq!(
        terminal.line("after=").as_ref(),
        Some(&before),
        "echo, line mode or signals are not as before"
    );
    let screen = terminal.screen.screen();
    assert!(!screen.alternate_screen(), "the shell's screen is not back");
    assert!(!screen.hide_cursor(), "the cursor is still hidden");
    assert!(!screen.bracketed_paste(), "pastes are still marked");
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is still taken");
    assert!(terminal.child.wait().unwrap().success());
}
