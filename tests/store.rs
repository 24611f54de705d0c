//! The store and its lock against the end of a process: what was acknowledged is there, whatever killed the writer.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use warroom::{
    domain::{
        ComponentId, PathName, Percent, RecoveryRecord, Status, Tier,
        chain::ChainHealth,
        record::{ClockState, Mode, RestoredBy},
    },
    store::{Holder, Lock, LockError, Progress, Settings, Store, StoreHealth, folder},
};

const ROLE: &str = "WARROOM_TEST_ROLE";
const FOLDER: &str = "WARROOM_TEST_FOLDER";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn record(number: u32) -> Arc<RecoveryRecord> {
    let restored = 1_800_000_000.0 + f64::from(number);
    Arc::new(RecoveryRecord {
        component_id: ComponentId::new("crm"),
        tier: Tier::One,
        target_rto_seconds: 60.0,
        t_detect_epoch: restored - 72.0,
        t_failover_epoch: None,
        t_restore_epoch: restored,
        measured_rto_seconds: 72.0,
        status: Status::Warning,
        t_failover_inferred: false,
        rto_used_percentage: Percent::new(120.0),
        compliance_percentage: Percent::new(83.3),
        bounds_seconds: (71.5, Some(72.5)),
        certain: true,
        path: PathName::primary(),
        failover_mechanism: None,
        served_by: None,
        mode: Mode::Alerting,
        clock: ClockState::Ok,
        drill_id: None,
        run_id: None,
        restored_by: RestoredBy::Itself,
        blind_probes: 0,
        gap_seconds: 0.0,
        failed_steps: Vec::new(),
        root_cause: None,
        id: format!("outage-{number:05}"),
        tenant_id: "t".to_owned(),
        chain: ChainHealth::default(),
        notes: Vec::new(),
    })
}

/// Runs this test binary again in one of the roles below.
fn child(role: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_of_these_tests", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does nothing unless another test started it in a role.
#[test]
fn a_child_of_these_tests() {
    let (Ok(role), Some(folder)) = (std::env::var(ROLE), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    let mut out = std::io::stdout();
    match role.as_str() {
        "writer" => {
            let store = Store::open(&folder, Settings::default(), now(), Box::new(|_| {})).unwrap();
            for number in 0..u32::MAX {
                let (sender, receiver) = mpsc::channel();
                let after = Progress {
                    component_id: ComponentId::new("crm"),
                    path: PathName::primary(),
                    open: false,
                    at: now(),
                    state: number.to_string(),
                };
                let done = Box::new(move || sender.send(()).unwrap_or_default());
                store.handle().record_recovery(record(number), Some(after), done);
                receiver.recv().unwrap();
                writeln!(out, "\nacknowledged {number}").unwrap();
            }
        }
        "holder" => {
            let holder = Holder::this(now(), Some(Path::new("/etc/warroom/warroom.toml")));
            let _lock = Lock::acquire(&folder, &holder).unwrap();
            writeln!(out, "\nholding {}", std::process::id()).unwrap();
            std::thread::park_timeout(Duration::from_mins(1));
        }
        other => unreachable!("{other}"),
    }
}

/// The child's lines that begin with a word, without it.
fn lines<'a>(child: &'a mut Child, word: &'a str) -> impl Iterator<Item = String> + 'a {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(move |line| line.strip_prefix(word).map(|rest| rest.trim().to_owned()))
}

#[test]
fn kill_9_loses_no_acknowledged_recovery() {
    let folder = TempDir::new().unwrap();
    for round in 1..=3_usize {
        let mut writer = child("writer", folder.path());
        let mut told = lines(&mut writer, "acknowledged ");
        let mut last: u32 = told.nth(round * 7).unwrap().parse().unwrap();
        drop(told);
        writer.kill().unwrap();
        writer.wait().unwrap();
        let kept: Vec<_> = Store::read(folder.path())
            .unwrap()
            .recoveries(None, None)
            .map(|record| record.unwrap().id)
            .collect();
        // Each round starts over with the same ids, which are kept once.
        for number in 0..=last {
            assert_eq!(kept[number as usize], format!("outage-{number:05}"), "round {round}");
        }
        // And the progress that belongs to the last one is there with it, never another one.
        let progress = Store::read(folder.path()).unwrap().open_progress().unwrap();
        let state: u32 = progress[0].state.parse().unwrap();
        assert!(state >= last);
        last = u32::try_from(kept.len()).unwrap() - 1;
        assert!(state <= last);
    }
}

#[test]
fn a_second_engine_is_told_who_works_on_the_folder() {
    let folder = TempDir::new().unwrap();
    folder::prepare(folder.path(), None).unwrap();
    assert!(Lock::peek(folder.path()).unwrap().is_none(), "nobody yet");
    let mut other = child("holder", folder.path());
    let pid = lines(&mut other, "holding ").next().unwrap();
    let refused = Lock::acquire(folder.path(), &Holder::this(now(), None)).unwrap_err();
    let words = refused.to_string();
    assert!(matches!(&refused, LockError::Held { holder: Some(_), .. }), "{words}");
    assert!(words.contains(&format!("process {pid} of ")), "{words}");
    assert!(words.contains("since 2027-01-15 08:00:00Z, config /etc/warroom/warroom.toml"), "{words}");
    assert_eq!(Lock::peek(folder.path()).unwrap().unwrap().pid.to_string(), pid);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(Lock::peek(folder.path()).unwrap().is_none(), "a dead engine holds nothing");
    drop(Lock::acquire(folder.path(), &Holder::this(now(), None)).unwrap());
}

#[test]
fn those_who_only_look_never_keep_an_engine_from_starting() {
    let folder = TempDir::new().unwrap();
    drop(Lock::acquire(folder.path(), &Holder::this(now(), None)).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Either nobody, or the engine that starts below.
                drop(Lock::peek(folder.path()));
            }
        });
        let started = (0..300).all(|_| Lock::acquire(folder.path(), &Holder::this(now(), None)).is_ok());
        done.store(true, Ordering::Relaxed);
        assert!(started);
    });
}

/// A file system of its own, unmounted at the end.
struct Mounted(TempDir);

impl Mounted {
    /// `None`, said aloud, where mounting is not permitted; with `CI` set it fails instead.
    fn new(size: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        assert!(std::env::var_os("CI").is_none(), "no tmpfs may be mounted here, and CI must not skip");
        std::io::stderr().write_all(b"SKIPPED: no tmpfs may be mounted here\n").unwrap();
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A lazy unmount cannot be busy; a failure leaves a small empty mount behind.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_disk_that_is_really_full_delays_recoveries_and_loses_none() {
    const COUNT: u32 = 2_000;
    let wait = Duration::from_secs(30);
    let Some(disk) = Mounted::new("8m") else { return };
    let folder = disk.0.path();
    let (sender, health) = mpsc::channel();
    let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
    let store = Store::open(folder, Settings::default(), now(), tell).unwrap();
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 7 * 1024 * 1024]).unwrap();
    let (sender, acknowledged) = mpsc::channel();
    for number in 0..COUNT {
        let sender = sender.clone();
        let done = Box::new(move || sender.send(number).unwrap_or_default());
        store.handle().record_recovery(record(number), None, done);
    }
    assert_eq!(health.recv_timeout(wait), Ok(StoreHealth::DiskFull));
    std::fs::remove_file(&ballast).unwrap();
    for number in 0..COUNT {
        assert_eq!(acknowledged.recv_timeout(wait), Ok(number), "in order, once there is room");
    }
    assert_eq!(health.recv_timeout(wait), Ok(StoreHealth::Ok));
    store.close().unwrap();
    let kept = Store::read(folder).unwrap().recoveries(None, None).map(Result::unwrap).count();
    assert_eq!(kept, COUNT as usize);
}

#[test]
fn a_store_can_be_opened_on_a_full_disk_and_begins_when_there_is_room() {
    let Some(disk) = Mounted::new("256k") else { return };
    let folder = disk.0.path();
    let ballast = folder.join("ballast");
    // Filling stops with an error when the disk is full, which is what is wanted.
    let _ = std::fs::write(&ballast, vec![1; 512 * 1024]);
    let (sender, health) = mpsc::channel();
    let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
    let store = Store::open(folder, Settings::default(), now(), tell).unwrap();
    assert_eq!(health.try_recv(), Ok(StoreHealth::DiskFull));
    let (sender, acknowledged) = mpsc::channel();
    let done = Box::new(move || sender.send(()).unwrap_or_default());
    store.handle().record_recovery(record(0), None, done);
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(acknowledged.recv_timeout(Duration::from_secs(30)), Ok(()));
}

#[test]
fn damage_on_a_disk_that_is_really_full_costs_no_recovery() {
    let wait = Duration::from_secs(30);
    for room in [0, 40, 80] {
        let Some(disk) = Mounted::new("3m") else { return };
        let folder = disk.0.path();
        let store = Store::open(folder, Settings::default(), now(), Box::new(|_| {})).unwrap();
        for number in 0..3 {
            store.handle().record_recovery(record(number), None, Box::new(|| {}));
        }
        store.close().unwrap();
        damage(&folder.join("warroom.db"), "events");
        let ballast = folder.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        file.set_len(file.metadata().unwrap().len() - room * 1024).unwrap();
        // An open file would keep its room after its removal.
        drop(file);
        for _ in 0..2 {
            // Each start may try, and none may lose what it could not carry over.
            drop(Store::open(folder, Settings::default(), now(), Box::new(|_| {})).unwrap());
        }
        let (sender, health) = mpsc::channel();
        let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
        let store = Store::open(folder, Settings::default(), now(), tell).unwrap();
        assert_eq!(health.try_recv(), Ok(StoreHealth::DiskFull), "{room} KiB are too little");
        std::fs::remove_file(&ballast).unwrap();
        let (sender, acknowledged) = mpsc::channel();
        let done = Box::new(move || sender.send(()).unwrap_or_default());
        store.handle().record_recovery(record(3), None, done);
        assert_eq!(acknowledged.recv_timeout(wait), Ok(()));
        let told = health.recv_timeout(wait).unwrap();
        assert!(matches!(told, StoreHealth::Corrupt { carried: 3, .. }), "{room} KiB: {told:?}");
        store.close().unwrap();
        let kept: Vec<_> =
            Store::read(folder).unwrap().recoveries(None, None).map(|one| one.unwrap().id).collect();
        assert_eq!(kept, ["outage-00000", "outage-00001", "outage-00002", "outage-00003"], "{room} KiB");
    }
}

/// Overwrites the table's root page.
fn damage(path: &Path, table: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let root: u32 = connection
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = ?1", [table], |row| row.get(0))
        .unwrap();
    drop(connection);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xFF; 4096], u64::from(root - 1) * 4096).unwrap();
}

#[test]
fn records_are_read_from_a_disk_that_may_not_be_written() {
    let Some(disk) = Mounted::new("1m") else { return };
    let folder = disk.0.path();
    let store = Store::open(folder, Settings::default(), now(), Box::new(|_| {})).unwrap();
    store.handle().record_recovery(record(0), None, Box::new(|| {}));
    store.close().unwrap();
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status().unwrap();
    assert!(remounted.success());
    let kept: Vec<_> = Store::read(folder).unwrap().recoveries(None, None).map(Result::unwrap).collect();
    assert_eq!(kept, [(*record(0)).clone()]);

    let (sender, health) = mpsc::channel();
    let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
    let store = Store::open(folder, Settings::default(), now(), tell).unwrap();
    assert_eq!(health.try_recv(), Ok(StoreHealth::ReadOnly));
    store.handle().record_recovery(record(1), None, Box::new(|| {}));
    assert_eq!(store.close().unwrap_err().0, 1, "what could not be kept is owned up to");
}
