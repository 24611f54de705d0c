//! The line mode with pipes for its streams.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, ChildStdin, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::agent::{PATIENCE, warroom};

/// `warroom --plain`, ended with the test.
pub(crate) struct Piped {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    /// Everything that it printed.
    pub(crate) written: Vec<u8>,
    /// How much of it was looked at.
    passed: usize,
}

impl Piped {
    pub(crate) fn start(folder: &Path, options: &[&str]) -> Self {
        let arguments = [&["--plain"], options].concat();
        let mut child = warroom(folder, &arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut printed = child.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(length @ 1..) = printed.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, input, output, written: Vec::new(), passed: 0 }
    }

    /// Reads until a text has come after what was read before, and returns what came until the end of its line.
    pub(crate) fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let fresh = String::from_utf8_lossy(&self.written[self.passed..]).into_owned();
            if let Some(found) = fresh.find(text)
                && let Some(end) = fresh[found..].find('\n')
            {
                let seen = &fresh[..=found + end];
                self.passed += seen.len();
                return seen.to_owned();
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.written.extend(bytes),
                Err(error) => {
                    panic!("no {text:?} ({error}); it said:\n{}", String::from_utf8_lossy(&self.written))
                }
            }
        }
    }

    pub(crate) fn types(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// Closes its input.
    pub(crate) fn ends_input(&mut self) {
        drop(self.input.take());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for its end, and reads the rest.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(bytes) = self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.written.extend(bytes);
        }
        self.child.wait().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.written.clone()).unwrap()
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
