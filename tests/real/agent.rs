//! The built binary beside real peers: its config, and the agent with its events.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Writes a config that nobody else may write.
pub(crate) fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("warroom.toml");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// The built binary with a config and a data folder.
pub(crate) fn warroom(config: &Path, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warroom"));
    command.arg("--config").arg(config).arg("--data-dir").arg(data).stdin(Stdio::null());
    command
}

/// `warroom agent`, ended by its id when this is dropped.
pub(crate) struct Agent {
    pub(crate) child: Child,
    events: Receiver<Value>,
    words: PathBuf,
    /// Every event that was waited for or passed over so far.
    pub(crate) last: Vec<Value>,
}

impl Agent {
    pub(crate) fn start(config: &Path, data: &Path, time: &str) -> Self {
        let words = config.with_file_name("agent.log");
        let mut child = warroom(config, data)
            .args(["agent", "--events", "json", "--for", time])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&words).unwrap())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line));
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self { child, events, words, last: Vec::new() }
    }

    /// The next event that is as asked; every event before it is passed over.
    pub(crate) fn until(&mut self, what: &str, seconds: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    assert!(event.is_object(), "not an event: {event}");
                    self.last.push(event.clone());
                    if wanted(&event) {
                        return event;
                    }
                }
                Err(error) => {
                    let words = fs::read_to_string(&self.words).unwrap_or_default();
                    let last = &self.last[self.last.len().saturating_sub(12)..];
                    let last = last.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
                    panic!(
                        "no {what} in {seconds} s ({error}); its words:\n{words}\nits last events:\n{last}"
                    );
                }
            }
        }
    }

    /// Waits until its time is over; the events that are left.
    pub(crate) fn end(&mut self) -> Vec<Value> {
        let rest = self.events.iter().collect();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", fs::read_to_string(&self.words).unwrap_or_default());
        rest
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
