//! The built binary without a screen: started, listened to, ended.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take on a machine that builds and tests something else beside.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary with a config and a data folder, away from the user's own files.
pub(crate) fn warroom(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warroom"));
    command.args(arguments).arg("--data-dir").arg(data(folder)).stdin(Stdio::null());
    let config = folder.join("warroom.toml");
    if config.exists() {
        command.arg("--config").arg(config);
    }
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(name, folder);
    }
    for name in ["WARROOM_CONFIG", "WARROOM_DATA_DIR", "WARROOM_LOG", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    warroom(folder, arguments).output().unwrap()
}

pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// `agent --events json`, ended with the test.
pub(crate) struct Agent {
    pub(crate) child: Child,
    lines: Receiver<String>,
    words: Option<std::thread::JoinHandle<String>>,
}

impl Agent {
    pub(crate) fn start(folder: &Path) -> Self {
        let mut child = warroom(folder, &["agent", "--events", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let results = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in results.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let words = std::thread::spawn(move || {
            let mut words = String::new();
            // What was read before an error is what there is.
            let _ = std::io::Read::read_to_string(&mut errors, &mut words);
            words
        });
        Self { child, lines, words: Some(words) }
    }

    /// The next event for which something holds.
    pub(crate) fn event(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    if holds(&event) {
                        return event;
                    }
                    passed.push(line);
                }
                Err(error) => {
                    // It may have ended already.
                    let _ = self.child.kill();
                    panic!("no {what} ({error}); it said:\n{}\n{}", passed.join("\n"), self.words());
                }
            }
        }
    }

    /// A phase of a component.
    pub(crate) fn phase(&mut self, phase: &str) -> Value {
        self.event(phase, |event| event["event"] == "phase" && event["phase"] == phase)
    }

    /// A probe with a verdict.
    pub(crate) fn probe(&mut self, verdict: &str) -> Value {
        self.event(verdict, |event| event["event"] == "probe" && event["verdict"] == verdict)
    }

    /// Ends it without asking it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal that does not end it.
    pub(crate) fn tell(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> ExitStatus {
        self.tell(signal);
        self.child.wait().unwrap()
    }

    /// Everything it said to people; it must have ended.
    pub(crate) fn words(&mut self) -> String {
        self.words.take().map(|words| words.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
