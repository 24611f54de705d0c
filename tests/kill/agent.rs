//! `agent --events json` with consoles on its socket, and everything that it told until it was killed.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use warroom::{
    attach::{client::greeting, wire::SOCKET},
    domain::Role,
};

/// How many consoles hear everything besides the one that is seen.
const LISTENERS: usize = 2;

/// The agent; killed with the test.
pub(crate) struct Agent {
    child: Child,
    lines: Receiver<String>,
    told: Vec<Value>,
    words: PathBuf,
    consoles: Vec<JoinHandle<u64>>,
    /// How many bytes its consoles have read.
    pub(crate) heard: u64,
}

impl Agent {
    pub(crate) fn start(folder: &Path) -> Self {
        let words = folder.join("agent.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_warroom"));
        command.args(["agent", "--events", "json", "--config"]).arg(folder.join("warroom.toml"));
        command.arg("--data-dir").arg(folder.join("data"));
        let words_file = fs::File::create(&words).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(words_file)
            .env_remove("WARROOM_LOG")
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // A line that was cut by the kill has no end, and is no line.
            let mut output = output;
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|length| length > 0) {
                if !line.ends_with('\n') || sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, told: Vec::new(), words, consoles: Vec::new(), heard: 0 }
    }

    /// Waits until the first phase of each component was told; gives these phases, by component.
    pub(crate) fn first_phases(&mut self, components: usize, patience: Duration) -> BTreeMap<String, Value> {
        let deadline = Instant::now() + patience;
        let mut first = BTreeMap::new();
        while first.len() < components {
            let event: Value =
                match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Ok(line) => serde_json::from_str(&line).unwrap(),
                    Err(error) => panic!(
                        "only {} phases ({error}); it said:\n{}",
                        first.len(),
                        fs::read_to_string(&self.words).unwrap_or_default()
                    ),
                };
            if event["event"] == "phase" {
                first
                    .entry(event["component_id"].as_str().unwrap().to_owned())
                    .or_insert_with(|| event.clone());
            }
            self.told.push(event);
        }
        first
    }

    /// Attaches consoles that hear everything to the end.
    pub(crate) fn attach(&mut self, data: &Path, patience: Duration) {
        let deadline = Instant::now() + patience;
        for _ in 0..LISTENERS {
            let mut stream = loop {
                match UnixStream::connect(data.join(SOCKET)) {
                    Ok(stream) => break stream,
                    Err(error) => assert!(Instant::now() < deadline, "no socket: {error}"),
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            let greeting = serde_json::to_string(&greeting(Role::Watch)).unwrap() + "\n";
            stream.write_all(greeting.as_bytes()).unwrap();
            let mut reader = BufReader::new(stream);
            let mut welcome = String::new();
            reader.read_line(&mut welcome).unwrap();
            let welcome: Value = serde_json::from_str(&welcome).unwrap();
            assert!(welcome["refused"].is_null(), "{welcome}");
            assert_eq!(welcome["pid"], self.child.id(), "another engine answers");
            self.consoles.push(std::thread::spawn(move || {
                let (mut heard, mut piece) = (0, [0; 16 * 1024]);
                // Its engine is killed: the end may come as an error.
                while let Ok(length @ 1..) = reader.read(&mut piece) {
                    heard += length as u64;
                }
                heard
            }));
        }
    }

    /// Kills it; it was alive until the instant that is given back, at least.
    pub(crate) fn kill(&mut self) -> DateTime<Utc> {
        assert_eq!(self.child.try_wait().unwrap(), None, "{}", fs::read_to_string(&self.words).unwrap());
        let now = Utc::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        now
    }

    /// Everything that it told; it must have ended.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        let rest = self.lines.iter().map(|line| serde_json::from_str(&line).unwrap());
        self.told.extend(rest);
        for console in self.consoles.drain(..) {
            self.heard += console.join().unwrap();
        }
        std::mem::take(&mut self.told)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It was killed already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
