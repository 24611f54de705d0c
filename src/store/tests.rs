//! What the store keeps when the disk does not.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
};

use tempfile::TempDir;

use super::*;
use crate::domain::{
    Attached, ComponentId, PathName, Percent, Person, Role, Status, Tier, Verdict,
    chain::ChainHealth,
    event::{BlipEvent, Presence, PresenceEvent},
    record::{ClockState, Mode, RestoredBy},
};

const WAIT: Duration = Duration::from_secs(20);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn record(number: i64) -> Arc<RecoveryRecord> {
    let restored = at(number).timestamp() as f64;
    Arc::new(RecoveryRecord {
        component_id: ComponentId::new("crm"),
        tier: Tier::One,
        target_rto_seconds: 60.0,
        t_detect_epoch: restored - 10.0,
        t_failover_epoch: None,
        t_restore_epoch: restored,
        measured_rto_seconds: 10.0,
        status: Status::Pass,
        t_failover_inferred: false,
        rto_used_percentage: Percent::new(16.7),
        compliance_percentage: Percent::HUNDRED,
        bounds_seconds: (9.0, None),
        certain: false,
        path: PathName::primary(),
        failover_mechanism: Some("=cmd()".to_owned()),
        served_by: None,
        mode: Mode::Alerting,
        clock: ClockState::Ok,
        drill_id: None,
        run_id: None,
        restored_by: RestoredBy::Itself,
        blind_probes: 0,
        gap_seconds: 0.0,
        failed_steps: vec!["x".repeat(300)],
        root_cause: None,
        id: format!("outage-{number:05}"),
        tenant_id: "t".to_owned(),
        chain: ChainHealth::default(),
        notes: Vec::new(),
    })
}

fn progress(state: &str, open: bool) -> Progress {
    Progress {
        component_id: ComponentId::new("crm"),
        path: PathName::primary(),
        open,
        at: at(0),
        state: state.to_owned(),
    }
}

fn probe(seconds: i64, verdict: Verdict, latency_ms: Option<f64>) -> ProbeEvent {
    ProbeEvent {
        at: at(seconds),
        component_id: ComponentId::new("crm"),
        path: PathName::primary(),
        verdict,
        latency_ms,
        served_by: None,
        reason: None,
        burst: false,
        steps: Vec::new(),
    }
}

fn blip(seconds: i64) -> Arc<Event> {
    Arc::new(Event::Blip(BlipEvent { at: at(seconds), component_id: ComponentId::new("crm"), reason: None }))
}

fn open(folder: &Path, settings: Settings) -> (Store, Receiver<StoreHealth>) {
    let (sender, receiver) = mpsc::channel();
    let tell = Box::new(move |health| sender.send(health).unwrap_or_default());
    (Store::open(folder, settings, at(0), tell).unwrap(), receiver)
}

fn done(sender: &Sender<i64>, number: i64) -> Done {
    let sender = sender.clone();
    Box::new(move || sender.send(number).unwrap_or_default())
}

/// Records `numbers` and waits until each is acknowledged.
fn keep(store: &Store, numbers: std::ops::Range<i64>) {
    let (sender, receiver) = mpsc::channel();
    for number in numbers.clone() {
        store.handle().record_recovery(record(number), None, done(&sender, number));
    }
    for number in numbers {
        assert_eq!(receiver.recv_timeout(WAIT), Ok(number), "acknowledged in order");
    }
}

fn ids(folder: &Path) -> Vec<String> {
    Store::read(folder).unwrap().recoveries(None, None).map(|record| record.unwrap().id).collect()
}

fn events(folder: &Path, count: usize) -> Vec<Arc<Event>> {
    Store::read(folder).unwrap().last_events(count).unwrap().map(Result::unwrap).collect()
}

fn expected(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|number| format!("outage-{number:05}")).collect()
}

fn aside(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            name.starts_with("warroom.db.corrupt-") && !name.ends_with("-shm") && !name.ends_with("-wal")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..3);
    store.close().unwrap();
    let (store, health) = open(folder.path(), Settings::default());
    keep(&store, 3..5);
    drop(store);
    assert_eq!(ids(folder.path()), expected(0..5));
    let reader = Store::read(folder.path()).unwrap();
    assert_eq!(reader.recoveries(None, None).next().unwrap().unwrap(), *record(0));
    assert!(health.try_recv().is_err(), "nothing was wrong");
}

#[test]
fn a_reader_sees_each_acknowledged_recovery_at_once_while_the_engine_writes() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    let reader = Store::read(folder.path()).unwrap();
    keep(&store, 0..300);
    let mut slow = reader.recoveries(None, None);
    assert_eq!(slow.next().unwrap().unwrap().id, "outage-00000");
    keep(&store, 300..600);
    assert_eq!(
        slow.count(),
        599,
        "a reader that dawdles gets what was written meanwhile, and hinders nobody"
    );
}

#[test]
fn recoveries_are_found_by_time_and_component() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..10);
    let reader = Store::read(folder.path()).unwrap();
    assert_eq!(reader.recoveries(Some(at(7)), None).count(), 3, "the bound itself belongs to it");
    assert_eq!(reader.recoveries(None, Some(&ComponentId::new("crm"))).count(), 10);
    assert_eq!(reader.recoveries(None, Some(&ComponentId::new("other"))).count(), 0);
}

#[test]
fn the_same_outage_closed_twice_is_kept_once() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..2);
    keep(&store, 0..2);
    assert_eq!(ids(folder.path()), expected(0..2));
}

#[test]
fn a_restart_finds_the_latest_progress_and_a_recovery_closes_it_in_one_stroke() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    store.handle().save_progress(progress("first", true));
    store.handle().save_progress(progress("outage", true));
    let (sender, receiver) = mpsc::channel();
    store.handle().record_recovery(record(1), Some(progress("closed", false)), done(&sender, 1));
    receiver.recv_timeout(WAIT).unwrap();
    let kept = Store::read(folder.path()).unwrap().open_progress().unwrap();
    assert_eq!(kept, [progress("closed", false)]);
    store.handle().save_progress(progress("next", true));
    store.close().unwrap();
    assert_eq!(Store::read(folder.path()).unwrap().open_progress().unwrap(), [progress("next", true)]);
}

/// What is followed no longer must not be taken up, nor complained of, by every start to come.
#[test]
fn progress_that_is_forgotten_is_not_found_by_a_restart() {
    let folder = TempDir::new().unwrap();
    let kept = || Store::read(folder.path()).unwrap().open_progress().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    store.handle().save_progress(progress("outage", true));
    store.close().unwrap();
    assert_eq!(kept(), [progress("outage", true)]);
    let (store, _) = open(folder.path(), Settings::default());
    store.handle().forget_progress(ComponentId::new("crm"), PathName::primary());
    store.close().unwrap();
    assert_eq!(kept(), []);
    // One that comes back is kept again.
    let (store, _) = open(folder.path(), Settings::default());
    store.handle().forget_progress(ComponentId::new("crm"), PathName::primary());
    store.handle().save_progress(progress("again", true));
    store.close().unwrap();
    assert_eq!(kept(), [progress("again", true)]);
}

#[test]
fn a_full_disk_keeps_recoveries_in_order_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    let (store, health) = open(folder.path(), Settings { page_limit: Some(30), ..Settings::default() });
    let (sender, receiver) = mpsc::channel();
    for number in 0..200 {
        store.handle().record_recovery(record(number), None, done(&sender, number));
    }
    assert_eq!(health.recv_timeout(WAIT), Ok(StoreHealth::DiskFull));
    let acknowledged: Vec<_> = receiver.try_iter().collect();
    let kept = ids(folder.path());
    assert!(acknowledged.len() < 200);
    assert_eq!(kept.len(), acknowledged.len(), "nothing is acknowledged that is not on disk");
    assert_eq!(store.close().unwrap_err().0, 200 - kept.len(), "what could not be written is owned up to");
}

#[test]
fn after_a_full_disk_everything_follows_in_order_and_the_notice_is_taken_back() {
    let folder = TempDir::new().unwrap();
    let queue = Arc::new(Queue::default());
    let (sender, health) = mpsc::channel();
    let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
    let tight = Settings { page_limit: Some(30), ..Settings::default() };
    let path = folder.path().to_path_buf();
    let (mut writer, _) = Writer::open(path, tight, Arc::clone(&queue), tell, at(0)).unwrap();
    let (sender, receiver) = mpsc::channel();
    for number in 0..200 {
        queue.recovery(record(number), None, done(&sender, number));
    }
    let mut batch = queue.take(Duration::ZERO).unwrap();
    let error = writer.write(&mut batch).unwrap_err();
    writer.failed(&error);
    assert_eq!(health.try_recv(), Ok(StoreHealth::DiskFull));
    assert!(receiver.try_recv().is_err() && ids(folder.path()).is_empty());
    for number in 200..210 {
        queue.recovery(record(number), None, done(&sender, number));
    }
    batch.append(queue.drain());
    writer.make_room(1_000_000);
    writer.write(&mut batch).unwrap();
    assert_eq!(health.try_recv(), Ok(StoreHealth::Ok));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..210).collect::<Vec<_>>());
    assert_eq!(ids(folder.path()), expected(0..210));
}

#[test]
fn a_database_of_garbage_is_kept_aside_and_measuring_goes_on() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("warroom.db"), b"this is no database, whatever it is".repeat(500)).unwrap();
    let (store, health) = open(folder.path(), Settings::default());
    let moved_to = "warroom.db.corrupt-20270115T080000Z".to_owned();
    let corrupt = StoreHealth::Corrupt { moved_to: moved_to.clone(), carried: 0 };
    assert_eq!(health.try_recv().as_ref(), Ok(&corrupt));
    assert!(corrupt.to_string().contains(&moved_to));
    keep(&store, 0..3);
    assert!(health.try_recv().is_err(), "the news stands; it is not taken back by the next write");
    drop(store);
    assert_eq!(aside(folder.path()), [moved_to]);
    assert_eq!(ids(folder.path()), expected(0..3));
}

#[test]
fn a_truncated_database_gives_up_what_can_be_read_and_is_never_deleted() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..400);
    store.close().unwrap();
    let path = folder.path().join("warroom.db");
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length * 2 / 3 / 4096 * 4096).unwrap();
    let (store, health) = open(folder.path(), Settings::default());
    let Ok(StoreHealth::Corrupt { carried, .. }) = health.try_recv() else {
        unreachable!("a third of the file is gone");
    };
    assert!(carried > 50, "most of the rows are in pages that are still there: {carried}");
    keep(&store, 400..401);
    drop(store);
    assert_eq!(ids(folder.path()).len(), carried + 1);
    assert_eq!(aside(folder.path()).len(), 1);
}

#[test]
fn damage_that_shows_only_while_writing_loses_nothing_that_waits() {
    let folder = TempDir::new().unwrap();
    let (store, health) = open(folder.path(), Settings::default());
    keep(&store, 0..100);
    for second in 0..2_000 {
        store.handle().record_probe(&probe(second, Verdict::Up, Some(1.0)));
    }
    store.close().unwrap();
    // The last leaf of `probes` is where the next result goes; the small tables stay whole.
    let path = folder.path().join("warroom.db");
    damage(&path, "probes");
    drop(health);
    let (store, health) = open(folder.path(), Settings::default());
    assert!(health.try_recv().is_err(), "the damage lies where opening does not look");
    store.handle().record_probe(&probe(3_000, Verdict::Up, Some(1.0)));
    let told = health.recv_timeout(WAIT).unwrap();
    assert!(matches!(told, StoreHealth::Corrupt { carried: 100, .. }), "{told:?}");
    keep(&store, 100..101);
    store.close().unwrap();
    assert_eq!(ids(folder.path()), expected(0..101));
    assert_eq!(Store::read(folder.path()).unwrap().probe_count().unwrap(), 1);
}

/// Overwrites the table's root: damage there breaks every access.
fn damage(path: &Path, table: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let root: u32 = connection
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = ?1", [table], |row| row.get(0))
        .unwrap();
    drop(connection);
    let mut bytes = fs::read(path).unwrap();
    bytes[(root as usize - 1) * 4096..root as usize * 4096].fill(0xA5);
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_on_a_full_disk_is_mended_once_there_is_room_and_nothing_acknowledged_is_lost() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..100);
    store.close().unwrap();
    damage(&folder.path().join("warroom.db"), "events");
    let queue = Arc::new(Queue::default());
    let (sender, health) = mpsc::channel();
    let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
    let tight = Settings { page_limit: Some(20), ..Settings::default() };
    let path = folder.path().to_path_buf();
    let (mut writer, _) = Writer::open(path, tight, Arc::clone(&queue), tell, at(0)).unwrap();
    assert_eq!(health.try_recv(), Ok(StoreHealth::DiskFull));
    assert_eq!(ids(folder.path()), expected(0..100), "they are still where they were");
    let (sender, receiver) = mpsc::channel();
    queue.recovery(record(100), None, done(&sender, 100));
    let mut batch = queue.take(Duration::ZERO).unwrap();
    writer.write(&mut batch).unwrap_err();
    assert!(receiver.try_recv().is_err() && aside(folder.path()).is_empty());
    writer.make_room(1_000_000);
    writer.write(&mut batch).unwrap();
    assert_eq!(receiver.try_recv(), Ok(100));
    let told = health.try_recv().unwrap();
    assert!(matches!(told, StoreHealth::Corrupt { carried: 100, .. }), "{told:?}");
    assert_eq!(ids(folder.path()), expected(0..101));
    assert_eq!(aside(folder.path()).len(), 1);
    assert!(!folder.path().join("warroom.db.making").exists());
}

#[test]
fn a_replacement_that_was_cut_short_is_finished_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..3);
    store.close().unwrap();
    let path = folder.path().join("warroom.db");
    fs::rename(&path, folder.path().join("warroom.db.new")).unwrap();
    fs::write(&path, "this is no database\n".repeat(1_000)).unwrap();
    let (store, health) = open(folder.path(), Settings::default());
    assert!(matches!(health.try_recv(), Ok(StoreHealth::Corrupt { carried: 3, .. })));
    keep(&store, 3..4);
    drop(store);
    assert_eq!(ids(folder.path()), expected(0..4));
    assert_eq!(aside(folder.path()).len(), 1);
}

#[test]
fn a_row_that_says_nothing_costs_that_row_alone() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..3);
    for second in 0..3 {
        store.handle().record_event(blip(second));
    }
    store.close().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("warroom.db")).unwrap();
    connection.execute("UPDATE recoveries SET record = CAST(x'7B80' AS TEXT) WHERE seq = 2", []).unwrap();
    connection.execute("UPDATE events SET event = '{}' WHERE seq = 2", []).unwrap();
    drop(connection);
    let reader = Store::read(folder.path()).unwrap();
    let readable: Vec<_> =
        reader.recoveries(None, None).map(|one| one.map(|record| record.id.clone()).ok()).collect();
    assert_eq!(readable, [Some("outage-00000".to_owned()), None, Some("outage-00002".to_owned())]);
    let readable: Vec<_> = reader.last_events(10).unwrap().map(Result::ok).collect();
    assert_eq!(readable, [Some(blip(0)), None, Some(blip(2))]);
}

#[test]
fn a_clock_that_is_wrong_removes_nothing() {
    const DAY: i64 = 86_400;
    let folder = TempDir::new().unwrap();
    let writer = |now| {
        let queue = Arc::new(Queue::default());
        let path = folder.path().to_path_buf();
        Writer::open(path, Settings::default(), queue, Box::new(|_| {}), at(now)).unwrap().0
    };
    let mut batches = 0;
    let mut write = |writer: &mut Writer, second| {
        let queue = Queue::default();
        queue.event(blip(second));
        writer.write(&mut queue.take(Duration::ZERO).unwrap()).unwrap();
        batches += 1;
        events(folder.path(), 1_000).len() == batches
    };
    let mut running = writer(0);
    assert!(write(&mut running, 0));
    // It starts two days behind what is stored already.
    let mut running = writer(-2 * DAY);
    assert!(write(&mut running, -2 * DAY) && write(&mut running, -2 * DAY + 120), "a clock that lies behind");
    // It leaps years ahead and stays there for a while, and is set right.
    let mut running = writer(0);
    assert!(write(&mut running, 10) && write(&mut running, 5_000 * DAY), "a clock that leaps");
    assert!(write(&mut running, 5_000 * DAY + 120) && write(&mut running, 200), "and is set right");
    // Only a clock that goes on steadily is believed.
    let end = 800 * DAY;
    assert!(write(&mut running, end));
    assert!(write(&mut running, end + DAY / 2), "half a day is no proof");
    assert!(!write(&mut running, end + DAY + 1), "at last it is");
}

#[test]
fn a_schema_from_the_future_is_refused_in_plain_words_and_left_alone() {
    let folder = TempDir::new().unwrap();
    open(folder.path(), Settings::default()).0.close().unwrap();
    let path = folder.path().join("warroom.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute("INSERT INTO refinery_schema_history VALUES (99, 'future', '2030-01-01T00:00:00Z', '1')", [])
        .unwrap();
    drop(connection);
    let words =
        Store::open(folder.path(), Settings::default(), at(0), Box::new(|_| {})).err().unwrap().to_string();
    assert!(words.contains("schema version 99, this warroom knows 2: run the newer warroom"), "{words}");
    let read = Store::read(folder.path()).err().unwrap();
    assert!(matches!(read, StoreError::FromTheFuture { found: 99, known: 2, .. }));
    assert!(aside(folder.path()).is_empty());
}

#[test]
fn old_results_go_by_their_settings_and_recoveries_stay() {
    const HOUR: Duration = Duration::from_hours(1);
    let folder = TempDir::new().unwrap();
    let settings = Settings { probes: HOUR, rollups: HOUR * 2, page_limit: None };
    let (store, _) = open(folder.path(), settings);
    keep(&store, 0..1);
    for second in (0..600).step_by(10) {
        store.handle().record_probe(&probe(second, Verdict::Up, Some(1.0)));
    }
    store.handle().record_event(blip(0));
    store.close().unwrap();
    let minutes = |since| {
        let reader = Store::read(folder.path()).unwrap();
        reader.minutes(&ComponentId::new("crm"), &PathName::primary(), since).unwrap().len()
    };
    assert_eq!((Store::read(folder.path()).unwrap().probe_count().unwrap(), minutes(at(0))), (60, 10));

    let (store, _) = open(folder.path(), settings);
    store.handle().record_probe(&probe(5_000, Verdict::Up, None));
    store.close().unwrap();
    let reader = Store::read(folder.path()).unwrap();
    assert_eq!((reader.probe_count().unwrap(), minutes(at(0))), (1, 11), "raw results first");
    assert_eq!(events(folder.path(), 10).len(), 1);

    let (store, _) = open(folder.path(), settings);
    store.handle().record_probe(&probe(10_000, Verdict::Up, None));
    store.close().unwrap();
    assert_eq!(minutes(at(0)), 2, "then the minutes");
    assert_eq!(events(folder.path(), 10).len(), 0);
    assert_eq!(ids(folder.path()), expected(0..1));
}

#[test]
fn a_minute_counts_verdicts_and_latencies_across_a_restart() {
    let folder = TempDir::new().unwrap();
    for (second, verdict, latency) in [
        (0, Verdict::Up, Some(10.0)),
        (1, Verdict::Down, None),
        (2, Verdict::Degraded, Some(40.0)),
        (3, Verdict::Blind, None),
        (4, Verdict::Up, Some(1.0)),
    ] {
        let (store, _) = open(folder.path(), Settings::default());
        store.handle().record_probe(&probe(second, verdict, latency));
        store.close().unwrap();
    }
    let reader = Store::read(folder.path()).unwrap();
    let minutes = reader.minutes(&ComponentId::new("crm"), &PathName::primary(), at(0)).unwrap();
    let [minute] = &minutes[..] else { unreachable!("one minute: {minutes:?}") };
    assert_eq!((minute.up, minute.down, minute.degraded, minute.blind), (2, 1, 1, 1));
    assert_eq!(
        (minute.latency_min, minute.latency_mean(), minute.latency_max),
        (Some(1.0), Some(17.0), Some(40.0))
    );
}

#[test]
fn a_disk_that_is_too_slow_costs_old_probes_and_is_said_but_costs_no_recovery() {
    let queue = Queue::default();
    let (sender, _receiver) = mpsc::channel();
    for second in 0..20_000 {
        let event = probe(second, Verdict::Up, None);
        queue.probe(Sample {
            component_id: event.component_id,
            path: event.path,
            at: event.at,
            verdict: event.verdict,
            latency_ms: None,
            burst: false,
            reason: None,
        });
        queue.recovery(record(second), None, done(&sender, second));
    }
    let batch = queue.take(Duration::ZERO).unwrap();
    assert_eq!((batch.probes.len(), batch.dropped), (16_384, 20_000 - 16_384));
    assert_eq!(batch.probes.back().unwrap().at, at(19_999), "the newest are the ones that stay");
    assert_eq!(batch.recoveries.len(), 20_000);
}

#[test]
fn progress_that_could_not_be_written_never_overtakes_the_recovery_that_closed_it() {
    let queue = Queue::default();
    queue.progress(progress("outage", true), false);
    let mut failed = queue.take(Duration::ZERO).unwrap();
    queue.recovery(record(1), Some(progress("closed", false)), Box::new(|| {}));
    failed.append(queue.drain());
    assert!(failed.progress.is_empty());
    queue.progress(progress("next", true), false);
    failed.append(queue.drain());
    assert_eq!(failed.progress.len(), 1, "but what came after it stays");
}

#[test]
fn a_folder_that_cannot_be_written_is_health_and_not_an_end() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("warroom.db")).unwrap();
    let (store, health) = open(folder.path(), Settings::default());
    assert!(matches!(health.try_recv(), Ok(StoreHealth::Failing(_))));
    let (sender, receiver) = mpsc::channel();
    store.handle().record_recovery(record(0), None, done(&sender, 0));
    fs::remove_dir(folder.path().join("warroom.db")).unwrap();
    assert_eq!(receiver.recv_timeout(WAIT), Ok(0), "it follows once the folder is mended");
    assert_eq!(health.recv_timeout(WAIT), Ok(StoreHealth::Ok));
}

/// How things stand where nothing is measured.
fn nothing() -> StatusFile {
    let roster = crate::domain::Roster {
        tenant: "t".to_owned(),
        environment: crate::domain::Environment::Sandbox,
        demo: false,
        window: Duration::from_secs(1),
        platforms: Vec::new(),
        components: Vec::new(),
    };
    let picture = crate::domain::Picture::new(Arc::new(roster));
    StatusFile::of(&picture, at(0), 1)
}

#[test]
fn every_file_is_for_oneself_alone() {
    let folder = TempDir::new().unwrap();
    let lock = Lock::acquire(folder.path(), &Holder::this(at(0), None)).unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    keep(&store, 0..1);
    status::write(folder.path(), &nothing()).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert_eq!(seen, 6, "database, log, shared memory, lock, its holder, status");
    drop(lock);
}

#[test]
fn events_come_back_oldest_first_and_an_empty_folder_reads_as_empty() {
    let folder = TempDir::new().unwrap();
    let reader = Store::read(folder.path()).unwrap();
    assert_eq!(reader.recoveries(None, None).count(), 0);
    assert!(reader.open_progress().unwrap().is_empty() && events(folder.path(), 5).is_empty());
    let (store, _) = open(folder.path(), Settings::default());
    for second in 0..5 {
        store.handle().record_event(blip(second));
    }
    store.close().unwrap();
    assert_eq!(events(folder.path(), 3), [blip(2), blip(3), blip(4)]);
}

#[test]
fn what_a_slow_disk_cost_is_told_and_taken_back_once_nothing_more_is_lost() {
    let folder = TempDir::new().unwrap();
    let queue = Arc::new(Queue::default());
    let (sender, health) = mpsc::channel();
    let tell = Box::new(move |new| sender.send(new).unwrap_or_default());
    let path = folder.path().to_path_buf();
    let (mut writer, _) = Writer::open(path, Settings::default(), queue, tell, at(0)).unwrap();
    for (dropped, told) in
        [(3, StoreHealth::Slow { dropped: 3 }), (4, StoreHealth::Slow { dropped: 7 }), (0, StoreHealth::Ok)]
    {
        writer.write(&mut queue::Batch { dropped, ..queue::Batch::default() }).unwrap();
        assert_eq!(health.try_recv(), Ok(told));
    }
}

#[test]
fn the_status_file_is_renewed_when_it_changes_and_often_enough_to_show_a_working_engine() {
    let roster = crate::domain::Roster {
        tenant: "t".to_owned(),
        environment: crate::domain::Environment::Sandbox,
        demo: false,
        window: Duration::from_secs(1),
        platforms: Vec::new(),
        components: Vec::new(),
    };
    let mut picture = crate::domain::Picture::new(Arc::new(roster));
    let old = StatusFile::of(&picture, at(0), 1);
    assert!(!old.is_outdated_by(&StatusFile::of(&picture, at(9), 1)), "the disk is left in peace");
    assert!(old.is_outdated_by(&StatusFile::of(&picture, at(10), 1)));
    let notice = crate::domain::event::NoticeEvent {
        at: at(1),
        about: "store".to_owned(),
        standing: true,
        text: StoreHealth::DiskFull.to_string(),
    };
    picture.apply(&Arc::new(Event::Notice(notice)));
    assert!(old.is_outdated_by(&StatusFile::of(&picture, at(1), 1)));
}

#[test]
fn a_component_that_cannot_be_seen_does_not_count_as_up() {
    use crate::domain::{
        PlatformId, Tier as T,
        event::{BudgetEvent, Login, PlatformEvent},
        roster::{ComponentCard, PlatformCard},
    };
    let platform = PlatformId::new("web");
    let roster = crate::domain::Roster {
        tenant: "t".to_owned(),
        environment: crate::domain::Environment::Sandbox,
        demo: false,
        window: Duration::from_secs(1),
        platforms: vec![PlatformCard { id: platform.clone(), kind: "http".to_owned() }],
        components: vec![ComponentCard {
            id: ComponentId::new("crm"),
            name: "CRM".into(),
            platform: platform.clone(),
            tier: T::One,
            target_rto: Duration::from_mins(1),
            kind: "api".to_owned(),
            cadence: Duration::from_secs(5),
            burst: Duration::from_secs(1),
            steps: Vec::new(),
            depends_on: Vec::new(),
            shares: Vec::new(),
            owner: None,
            runbook: None,
            protected: false,
            mechanism: None,
            primary: Vec::new(),
            secondary: Vec::new(),
            observable: true,
        }],
    };
    let mut up = crate::domain::Picture::new(Arc::new(roster));
    up.apply(&Arc::new(Event::Probe(probe(0, Verdict::Up, None))));
    up.components[0].phase = crate::domain::Phase::Up;
    let status = |picture: &crate::domain::Picture, seconds| {
        let status = StatusFile::of(picture, at(seconds), 1);
        (status.is_good(), status.up, status.blind)
    };
    assert_eq!(status(&up, 9), (true, 1, 0));
    assert_eq!(status(&up, 40), (true, 1, 0), "a probe may take its time");
    assert_eq!(status(&up, 41), (false, 0, 1), "no probe for two cadences and more");
    let with = |event: Event| {
        let mut picture = up.clone();
        picture.apply(&Arc::new(event));
        status(&picture, 2)
    };
    assert_eq!(with(Event::Probe(probe(1, Verdict::Blind, None))), (false, 0, 1));
    let throttled = |throttled| BudgetEvent {
        at: at(1),
        platform: platform.clone(),
        throttled,
        retry_after_ms: None,
        stretched: Vec::new(),
    };
    assert_eq!(with(Event::Budget(throttled(true))), (false, 0, 1));
    assert_eq!(with(Event::Budget(throttled(false))), (true, 1, 0));
    let login = |login| PlatformEvent { at: at(1), platform: platform.clone(), login, reason: None };
    assert_eq!(with(Event::Platform(login(Login::Failing))), (false, 0, 1));
    assert_eq!(with(Event::Platform(login(Login::Ok))), (true, 1, 0));
}

/// An upgrade keeps everything that an older version wrote, and knows from then on who looked when.
#[test]
fn a_database_of_the_first_version_is_taken_over_whole_and_remembers_looks() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("warroom.db");
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    let ground = include_str!("migrations/V1__ground.sql");
    let ground = refinery::Migration::unapplied("V1__ground", ground).unwrap();
    refinery::Runner::new(&[ground]).run(&mut connection).unwrap();
    let transaction = connection.transaction().unwrap();
    tables::event(&transaction, &blip(1)).unwrap();
    let done: Done = Box::new(|| {});
    let queue = Queue::default();
    queue.recovery(record(1), Some(progress("{}", true)), done);
    tables::recovery(&transaction, &queue.drain().recoveries[0]).unwrap();
    transaction.commit().unwrap();
    drop(connection);

    let reader = Store::read(folder.path()).unwrap();
    assert_eq!(reader.last_look("alice", 0).unwrap(), None, "read beside the older version");
    drop(reader);
    let (store, _) = open(folder.path(), Settings::default());
    let handle = store.handle();
    handle.save_look("alice".to_owned(), 0, at(5));
    handle.save_look("alice".to_owned(), 1000, at(6));
    handle.save_look("alice".to_owned(), 0, at(7));
    handle.record_event(blip(2));
    store.close().unwrap();

    let reader = Store::read(folder.path()).unwrap();
    assert_eq!(reader.last_look("alice", 0).unwrap(), Some(at(7)));
    assert_eq!(reader.last_look("alice", 1000).unwrap(), Some(at(6)), "another user of the same name");
    assert_eq!(reader.last_look("bob", 0).unwrap(), None);
    assert_eq!(ids(folder.path()), expected(1..2));
    assert_eq!(reader.open_progress().unwrap(), [progress("{}", true)]);
    assert_eq!(events(folder.path(), 9), [blip(1), blip(2)]);
    let since = |seconds, count| -> Vec<Arc<Event>> {
        reader.events_since(at(seconds), count).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(since(2, 9), [blip(2)]);
    assert_eq!(since(0, 1), [blip(2)], "no more than was asked for");
}

/// Where a script looks each minute, its comings and goings must not push an outage out of what is read.
#[test]
fn those_who_come_and_go_push_no_news_out_of_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Settings::default());
    let handle = store.handle();
    handle.record_event(blip(1));
    let who = Person { uid: 0, login: "root".to_owned(), behind: None };
    let (since, terminal, from) = (at(2), None, None);
    let console = Attached { id: 1, who, role: Role::Watch, since, terminal, from, is_host: false };
    for number in 0..50 {
        let change = if number % 2 == 0 { Presence::Attached } else { Presence::Detached };
        let (console, present) = (console.clone(), Vec::new());
        handle.record_event(Arc::new(Event::Presence(PresenceEvent { at: at(2), change, console, present })));
    }
    handle.record_event(blip(3));
    store.close().unwrap();
    assert_eq!(events(folder.path(), 100).len(), 52, "they are kept");
    let reader = Store::read(folder.path()).unwrap();
    let news: Vec<_> = reader.last_news(2).unwrap().map(Result::unwrap).collect();
    assert_eq!(news, [blip(1), blip(3)]);
    let since: Vec<_> = reader.events_since(at(0), 2).unwrap().map(Result::unwrap).collect();
    assert_eq!(since, [blip(1), blip(3)]);
}

/// An outage that somebody was told of must not be forgotten by a process that is killed the moment after.
#[test]
fn progress_that_was_told_does_not_wait_for_more() {
    let queue = Arc::new(Queue::default());
    let (sender, batches) = mpsc::channel();
    let writer = Arc::clone(&queue);
    thread::spawn(move || {
        while let Some(batch) = writer.take(Duration::from_hours(1)) {
            sender.send(batch.progress.len()).unwrap();
        }
    });
    queue.progress(progress("peace", false), false);
    assert!(batches.recv_timeout(Duration::from_millis(100)).is_err(), "it gathers");
    queue.progress(progress("outage", true), true);
    assert_eq!(batches.recv_timeout(WAIT), Ok(1));
    queue.progress(progress("goes on", true), false);
    assert!(batches.recv_timeout(Duration::from_millis(100)).is_err(), "it gathers again");
    queue.close();
    assert_eq!(batches.recv_timeout(WAIT), Ok(1));
}

/// Whoever can read a file can lock it: a member of the group that may look could keep the engine from starting.
#[test]
fn the_lock_is_the_engines_alone_and_who_holds_it_is_for_the_group() {
    let folder = TempDir::new().unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    fs::write(folder.path().join(lock::FILE), "").unwrap();
    fs::set_permissions(folder.path().join(lock::FILE), fs::Permissions::from_mode(0o640)).unwrap();
    let _lock = Lock::acquire(folder.path(), &Holder::this(at(0), None)).unwrap();
    assert_eq!((mode(lock::FILE), mode(lock::HOLDER)), (0o600, 0o600));
    share::share(folder.path(), Some(rustix::process::getegid().as_raw())).unwrap();
    assert_eq!((mode(lock::FILE), mode(lock::HOLDER)), (0o600, 0o640));
}

/// Whatever a reader does with the words that an engine left keeps the next one from nothing.
#[test]
fn who_locks_the_words_keeps_no_engine_from_starting() {
    let folder = TempDir::new().unwrap();
    drop(Lock::acquire(folder.path(), &Holder::this(at(0), None)).unwrap());
    let words = fs::File::open(folder.path().join(lock::HOLDER)).unwrap();
    words.lock().unwrap();
    let _lock = Lock::acquire(folder.path(), &Holder::this(at(1), None)).unwrap();
    assert_eq!(Lock::peek(folder.path()).unwrap().unwrap().since, at(1));
}

/// In a folder that a group may write, a member could have the engine overwrite a file of its user, or root's.
#[test]
fn a_link_in_the_place_of_any_file_leads_nowhere() {
    let base = TempDir::new().unwrap();
    let key = base.path().join("key");
    let untouched = |what: &str| {
        assert_eq!(fs::read_to_string(&key).unwrap(), "secret", "{what}");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o644, "{what}");
    };
    let folder = |name: &str| {
        fs::write(&key, "secret").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let folder = base.path().join(format!("data of {name}"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&key, folder.join(name)).unwrap();
        folder
    };
    let data = folder(".status.json.new");
    status::write(&data, &nothing()).unwrap();
    untouched("status");
    assert!(status::read(&data).unwrap().is_some());
    let data = folder(".engine.json.new");
    let _lock = Lock::acquire(&data, &Holder::this(at(0), None)).unwrap();
    untouched("holder");
    let data = folder(lock::FILE);
    assert!(matches!(Lock::acquire(&data, &Holder::this(at(0), None)), Err(LockError::File { .. })));
    untouched("lock");
    let data = folder("warroom.db");
    fs::write(&key, "").unwrap();
    let (_store, health) = open(&data, Settings::default());
    assert!(matches!(health.recv_timeout(WAIT), Ok(StoreHealth::Failing(_))));
    assert_eq!(fs::metadata(&key).unwrap().len(), 0, "a database was made in another file");
}
