//! A full disk and a damaged database: measuring goes on, and it is said.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    agent::{Agent, data, run},
    bad, good, well,
};

#[test]
fn a_damaged_database_is_said_and_measuring_goes_on() {
    let (platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    agent.kill();
    let database = fs::read_dir(data(folder.path()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite"))
        .unwrap();
    for log in ["-wal", "-shm"] {
        let mut log_path = database.clone().into_os_string();
        log_path.push(log);
        // It is there only after a kill.
        let _ = fs::remove_file(PathBuf::from(log_path));
    }
    fs::write(&database, "this is no database\n".repeat(1000)).unwrap();

    let mut agent = Agent::start(folder.path());
    let notice = agent.event("notice", |event| event["event"] == "notice" && event["about"] == "store");
    assert!(notice["text"].as_str().unwrap().contains("damaged"), "{notice}");
    agent.probe("up");
    platform.answer(bad());
    agent.phase("down");
    platform.answer(good());
    let told = agent.event("recovery", |event| event["event"] == "recovery");
    agent.kill();
    let kept = run(folder.path(), &["records"]);
    assert_eq!(kept.status.code(), Some(0), "{}", String::from_utf8_lossy(&kept.stderr));
    assert!(String::from_utf8_lossy(&kept.stdout).contains(told["record"]["id"].as_str().unwrap()));
}

/// A tiny file system of its own, or `None` after a visible word that this machine does not permit one.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "none"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            say("SKIPPED: a full disk needs a mount, which is not permitted here (run the tests as root)");
            return None;
        }
        Some(Self(path.to_owned()))
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Says something that is seen in every run.
#[expect(clippy::explicit_write, reason = "the test harness keeps what the print macros say to itself")]
fn say(words: &str) {
    writeln!(std::io::stderr(), "{words}").unwrap();
}

#[test]
fn a_full_disk_is_said_and_loses_no_recovery() {
    let (platform, folder) = well();
    let Some(disk) = TinyDisk::mount(&data(folder.path())) else { return };
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    disk.fill();
    let about_store = |event: &serde_json::Value, standing: bool| {
        event["event"] == "notice" && event["about"] == "store" && event["standing"] == standing
    };
    let notice = agent.event("notice", |event| about_store(event, true));
    assert!(notice["text"].as_str().unwrap().contains("full"), "{notice}");
    platform.answer(bad());
    agent.phase("down");
    platform.answer(good());
    // The second good verdict closes the outage; nothing is told of it while it is not on disk.
    for _ in 0..4 {
        agent.event("probe, and no recovery", |event| {
            assert_ne!(event["event"], "recovery", "told and not kept: {event}");
            event["event"] == "probe" && event["verdict"] == "up"
        });
    }
    disk.free();
    // Told only now that it is on disk.
    let told = agent.event("recovery", |event| event["event"] == "recovery");
    agent.kill();
    let kept = run(folder.path(), &["records"]);
    assert!(String::from_utf8_lossy(&kept.stdout).contains(told["record"]["id"].as_str().unwrap()));
}

/// A disk that is full before the first start keeps nobody from measuring.
#[test]
fn a_disk_that_is_full_from_the_start_keeps_nobody_from_measuring() {
    let (_platform, folder) = well();
    let Some(disk) = TinyDisk::mount(&data(folder.path())) else { return };
    disk.fill();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    agent.kill();
}
