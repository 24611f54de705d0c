//! A service manager of the test's own, at the other end of `$NOTIFY_SOCKET`.

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    agent::{PATIENCE, data, warroom},
    answer, well, write_config,
};

/// Hears what a service says of itself.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(folder: &Path) -> Self {
        Self(UnixDatagram::bind(folder.join("notify")).unwrap())
    }

    /// The next message that comes within this time.
    fn next(&self, patience: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(patience)).unwrap();
        let mut message = [0; 8192];
        let length = self.0.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).unwrap())
    }

    /// The next message with a line that is as asked, and those before it.
    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> (String, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            let Some(message) = self.next(left) else { break };
            if message.lines().any(&holds) {
                return (message, passed);
            }
            passed.push(message);
        }
        panic!("no {what}; it said {passed:#?}");
    }
}

/// An agent under a manager that waits two seconds for a sign of life; ended with the test.
struct Service(Child);

impl Service {
    fn start(folder: &Path) -> Self {
        let child = warroom(folder, &["agent"])
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env("WATCHDOG_USEC", "2000000")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whatever waits for the service begins when it can be used, and is stopped when everything is on disk.
#[test]
fn the_manager_hears_when_it_is_ready_how_it_is_and_when_it_ends() {
    let (platform, folder) = well();
    let manager = Manager::listen(folder.path());
    let mut service = Service::start(folder.path());
    let (_, before) = manager.until("READY=1", |line| line == "READY=1");
    assert_eq!(before, Vec::<String>::new(), "nothing is told before it is ready");
    assert!(data(folder.path()).join("warroom.db-wal").exists(), "it is ready before its store is open");
    manager.until("status", |line| line.starts_with("STATUS=UP · 1/1 up"));
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    let (down, _) = manager.until("outage", |line| line.starts_with("STATUS=DOWN · 0/1 up"));
    assert!(down.contains("Web front down since"), "{down}");
    manager.until("sign of life", |line| line == "WATCHDOG=1");
    service.signal(Signal::TERM);
    let (stopping, _) = manager.until("STOPPING=1", |line| line == "STOPPING=1");
    assert!(stopping.contains("STATUS=ending"), "{stopping}");
    assert_eq!(service.0.wait().unwrap().code(), Some(143));
}

/// `systemctl reload` of a `notify-reload` unit waits for both words, and for ever without the second.
#[test]
fn the_manager_hears_of_a_reload_from_its_beginning_to_its_end_however_it_ends() {
    let (_platform, folder) = well();
    let manager = Manager::listen(folder.path());
    let service = Service::start(folder.path());
    manager.until("READY=1", |line| line == "READY=1");
    let config = folder.path().join("warroom.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    for (text, is_good) in [(good.replace("Web front", "Web back"), true), ("nonsense".to_owned(), false)] {
        write_config(folder.path(), &text);
        let before = monotonic_micros();
        service.signal(Signal::HUP);
        let (reloading, _) = manager.until("RELOADING=1", |line| line == "RELOADING=1");
        let told = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
        let told: i64 = told.parse().unwrap();
        assert!(
            (before..=monotonic_micros()).contains(&told),
            "the manager takes it for an older one: {told}"
        );
        manager.until("READY=1", |line| line == "READY=1");
        if !is_good {
            // It stands in the status, so that `systemctl status` shows it.
            manager.until("refusal", |line| line.starts_with("STATUS=") && line.contains("config"));
        }
    }
}

fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// A process that does not run must look dead to the manager, and alive again when it goes on.
#[test]
fn a_stopped_agent_gives_no_sign_of_life() {
    let (_platform, folder) = well();
    let manager = Manager::listen(folder.path());
    let service = Service::start(folder.path());
    for _ in 0..2 {
        manager.until("sign of life", |line| line == "WATCHDOG=1");
    }
    service.signal(Signal::STOP);
    // What it said before it was stopped.
    while manager.next(Duration::from_millis(200)).is_some() {}
    let silent = manager.next(Duration::from_millis(2500));
    assert_eq!(silent, None, "a manager that waits two seconds would not restart it");
    service.signal(Signal::CONT);
    manager.until("sign of life", |line| line == "WATCHDOG=1");
}

/// An agent that cannot reach its manager measures all the same.
#[test]
fn a_manager_that_is_not_there_keeps_nobody_from_measuring() {
    let (_platform, folder) = well();
    let ended = warroom(folder.path(), &["agent", "--for", "2s"])
        .env("NOTIFY_SOCKET", folder.path().join("nobody"))
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let words = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(words.matches("the service manager does not take what it is told").count(), 1, "{words}");
}

/// Somebody's console took the folder while the service was being restarted: when that one ends, nobody would measure until the
/// morning.
#[test]
fn a_service_waits_for_the_end_of_another_engine_and_goes_on_in_its_place() {
    let (_platform, folder) = well();
    let mut other = super::agent::Agent::start(folder.path());
    other.phase("up");
    let manager = Manager::listen(folder.path());
    let mut service = Service::start(folder.path());
    let holder = format!("process {} of", other.child.id());
    let (waiting, _) =
        manager.until("waiting", |line| line.starts_with("STATUS=waiting for the data folder"));
    assert!(waiting.contains(&holder) && waiting.contains("EXTEND_TIMEOUT_USEC="), "{waiting}");
    assert_eq!(other.signal(Signal::TERM).code(), Some(143));
    manager.until("READY=1", |line| line == "READY=1");
    service.signal(Signal::TERM);
    assert_eq!(service.0.wait().unwrap().code(), Some(143));
}

/// A directory server that is down, or a word mistyped, keeps nobody from measuring.
#[test]
fn a_group_that_the_machine_does_not_know_keeps_nobody_from_measuring() {
    let (_platform, folder) = well();
    let config = folder.path().join("warroom.toml");
    let text = std::fs::read_to_string(&config).unwrap() + "\n[agent]\ngroup = \"nobody-ever-made-this\"\n";
    write_config(folder.path(), &text);
    let ended = warroom(folder.path(), &["agent", "--for", "2s"]).output().unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{words}");
    assert!(words.contains("nobody-ever-made-this") && words.contains("stays as it was"), "{words}");
}
