//! Real programs for a test: found on the machine, and ended with the test.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use warroom::{
    clock::{Clock, SystemClock},
    domain::time::Now,
};

/// The program, or `None` after a visible word that the test is skipped; with `CI` set it fails instead.
pub(crate) fn find(program: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and CI must not skip");
        say(&format!("SKIPPED: {program} is not installed (apt-get install {package})"));
    }
    found
}

/// Says something that is seen in every run.
#[expect(clippy::explicit_write, reason = "the test harness keeps what the print macros say to itself")]
pub(crate) fn say(words: &str) {
    writeln!(std::io::stderr(), "{words}").unwrap();
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A started process; it is ended by its id when this is dropped, also in a panic.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Peer {
    /// Starts a program whose words go to a file in `folder`.
    pub(crate) fn start(name: &'static str, program: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let words = fs::File::create(&log).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(words.try_clone().unwrap())
            .stderr(words)
            .spawn()
            .unwrap();
        Self { child, name, log }
    }

    /// Waits until something holds of the peer; fails with the peer's words when it ends or takes too long.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn() -> bool) {
        let asked = Instant::now();
        while !holds() {
            let ended = self.ended();
            let words = self.words();
            assert!(ended.is_none(), "{} ended with {ended:?}:\n{words}", self.name);
            assert!(asked.elapsed() < Duration::from_secs(10), "{}: no {what} in 10 s:\n{words}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it has said so far.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it at once; it dies between the two times.
    pub(crate) fn kill(&mut self) -> (Now, Now) {
        let before = SystemClock.now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (before, SystemClock.now())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
