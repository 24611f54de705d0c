//! Real servers for a test: found on the machine, configured in a temporary folder, ended with the test.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use warroom::{
    clock::{Clock, SystemClock},
    domain::time::Now,
};

use super::truth;

/// The program, or `None` after a visible word that the test is skipped; with `CI` set it fails instead.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and CI must not skip");
        say(&format!("SKIPPED: {program} is not installed (apt-get install haproxy nginx-light)"));
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
            let ended = self.child.try_wait().unwrap();
            let words = fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "{} ended with {ended:?}:\n{words}", self.name);
            assert!(asked.elapsed() < Duration::from_secs(10), "{}: no {what} in 10 s:\n{words}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
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

/// Two nginx servers behind `HAProxy`.
#[derive(Debug)]
pub(crate) struct Pool {
    folder: tempfile::TempDir,
    nginx: PathBuf,
    /// Where clients go.
    pub(crate) front: SocketAddr,
    /// The server that serves in peace.
    pub(crate) primary: Peer,
    primary_port: u16,
    _secondary: Peer,
    _haproxy: Peer,
}

impl Pool {
    /// Starts all three and waits until the primary serves; `None` when one of them is not installed.
    pub(crate) fn start() -> Option<Self> {
        let (nginx, haproxy) = (find("nginx")?, find("haproxy")?);
        let folder = tempfile::tempdir().unwrap();
        let [primary_port, secondary_port, front_port] = [free_port(), free_port(), free_port()];
        for (name, port) in [("primary", primary_port), ("secondary", secondary_port)] {
            let server = folder.path().join(name);
            fs::create_dir(&server).unwrap();
            fill(
                include_str!("nginx.conf"),
                &server.join("nginx.conf"),
                &[("FOLDER", &server.display()), ("PORT", &port), ("NAME", &name)],
            );
        }
        fs::write(folder.path().join("primary/warm"), "{}").unwrap();
        let settings = folder.path().join("haproxy.cfg");
        let values: [(&str, &dyn std::fmt::Display); 3] =
            [("PORT", &front_port), ("PRIMARY", &primary_port), ("SECONDARY", &secondary_port)];
        fill(include_str!("haproxy.cfg"), &settings, &values);
        let primary = start_nginx(&nginx, "primary", folder.path(), primary_port);
        let secondary = start_nginx(&nginx, "secondary", folder.path(), secondary_port);
        let front = SocketAddr::from(([127, 0, 0, 1], front_port));
        let mut haproxy =
            Peer::start("haproxy", &haproxy, folder.path(), &["-db", "-f", &settings.display().to_string()]);
        haproxy.until("answer from the primary", || {
            let sample = truth::sample(front);
            sample.whole && sample.served_by.as_deref() == Some("primary")
        });
        Some(Self { folder, nginx, front, primary, primary_port, _secondary: secondary, _haproxy: haproxy })
    }

    /// From now on the secondary's transaction works; it does not before.
    pub(crate) fn warm_secondary(&self) {
        fs::write(self.folder.path().join("secondary/warm"), "{}").unwrap();
    }

    /// The primary comes back.
    pub(crate) fn restart_primary(&mut self) {
        self.primary = start_nginx(&self.nginx, "primary", self.folder.path(), self.primary_port);
    }
}

fn start_nginx(program: &Path, name: &'static str, folder: &Path, port: u16) -> Peer {
    let settings = folder.join(name).join("nginx.conf");
    let errors = folder.join(name).join("error.log");
    let arguments = ["-c", &settings.display().to_string(), "-e", &errors.display().to_string()];
    let mut peer = Peer::start(name, program, folder, &arguments);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    peer.until("answer", || truth::sample(address).served_by.as_deref() == Some(name));
    peer
}

/// Writes a config with its placeholders filled.
fn fill(template: &str, path: &Path, values: &[(&str, &dyn std::fmt::Display)]) {
    let text = values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("@{name}@"), &value.to_string())
    });
    fs::write(path, text).unwrap();
}
