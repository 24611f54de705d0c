#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixListener,
};

use super::*;
use crate::{
    attach::wire::{PROTOCOL, Welcome},
    clock::{Clock as _, SystemClock},
    store::lock,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn seeker(config: Option<&Path>) -> Seeker {
    Seeker {
        config: config.map(Path::to_path_buf),
        greeting: client::greeting(Role::Operate),
        patience: Duration::from_millis(100),
        agents: PathBuf::from("/nowhere"),
    }
}

/// One who looks for the machine's agent in this folder.
fn beside(agents: &Path) -> Seeker {
    Seeker { agents: agents.to_path_buf(), ..seeker(None) }
}

/// An engine that welcomes one console as this process and keeps it until it goes.
fn engine(folder: &Path, pid: u32) {
    let listener = UnixListener::bind(folder.join(SOCKET)).unwrap();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        stream.read_line(&mut String::new()).unwrap();
        let welcome =
            Welcome { protocol: PROTOCOL, version: "0.1.0".to_owned(), pid, refused: None, you: None };
        let text = serde_json::to_string(&welcome).unwrap() + "\n";
        stream.get_mut().write_all(text.as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
}

fn hold(folder: &Path, config: Option<&Path>) -> Lock {
    Lock::acquire(folder, &Holder::this(SystemClock.wall(), config)).unwrap()
}

fn pid(found: Result<Found, Failure>) -> u32 {
    match found.unwrap() {
        Found::Attached(attachment) => attachment.client.welcome.pid,
        Found::Nobody(notices) => panic!("nobody: {notices:?}"),
    }
}

fn words(found: Result<Found, Failure>) -> String {
    let failure = found.unwrap_err();
    assert_eq!(failure.exit, super::super::Exit::WrongUse);
    format!("{:#}", failure.error)
}

#[test]
fn ones_own_engine_comes_before_the_machines() {
    let (own, system) = (folder(), folder());
    let seeker = beside(system.path());
    let seek = || seeker.seek(Some(own.path()), true);
    assert!(matches!(seek().unwrap(), Found::Nobody(notices) if notices.is_empty()));
    engine(system.path(), 2);
    assert!(
        matches!(seeker.seek(Some(own.path()), false).unwrap(), Found::Nobody(_)),
        "it was not asked for"
    );
    assert_eq!(pid(seek()), 2);
    engine(own.path(), 1);
    assert_eq!(pid(seek()), 1);
}

#[test]
fn an_engine_that_lets_nobody_in_is_named_after_a_while() {
    let own = folder();
    let _lock = hold(own.path(), None);
    let words = words(seeker(None).seek(Some(own.path()), false));
    assert!(words.contains(&format!("process {}", std::process::id())), "{words}");
    assert!(words.contains("lets no console in") && words.contains("--data-dir"), "{words}");
}

/// Two first starts at once: the one that lost must not give up because the other one is not ready yet.
#[test]
fn an_engine_that_is_just_starting_is_waited_for() {
    let own = folder();
    let _lock = hold(own.path(), None);
    let path = own.path().to_path_buf();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        engine(&path, 7);
    });
    let seeker = Seeker { patience: Duration::from_secs(30), ..seeker(None) };
    assert_eq!(pid(seeker.seek(Some(own.path()), false)), 7);
    late.join().unwrap();
}

#[test]
fn a_config_that_the_engine_does_not_measure_is_refused() {
    let own = folder();
    let (theirs, mine) = (own.path().join("theirs.toml"), own.path().join("mine.toml"));
    std::fs::write(&theirs, "").unwrap();
    std::fs::write(&mine, "").unwrap();
    let lock = hold(own.path(), Some(&theirs));
    engine(own.path(), 1);
    let refused = words(seeker(Some(&mine)).seek(Some(own.path()), false));
    for part in ["theirs.toml", "mine.toml", "leave --config", "--data-dir"] {
        assert!(refused.contains(part), "no {part}: {refused}");
    }
    // The same file by another name is the same file.
    let link = own.path().join("link.toml");
    std::os::unix::fs::symlink(&theirs, &link).unwrap();
    assert_eq!(pid(seeker(Some(&link)).seek(Some(own.path()), false)), 1);
    drop(lock);
    let _lock = hold(own.path(), None);
    let refused = words(seeker(Some(&mine)).seek(Some(own.path()), false));
    assert!(refused.contains("measures the demo"), "{refused}");
}

/// A console that may attach must not be kept from it because it may not read who holds the folder.
#[test]
fn what_cannot_be_compared_is_said() {
    let own = folder();
    let mine = own.path().join("mine.toml");
    std::fs::write(&mine, "").unwrap();
    // In the lock's place something that cannot be opened, not even by root: a link to itself.
    std::os::unix::fs::symlink(lock::FILE, own.path().join(lock::FILE)).unwrap();
    engine(own.path(), 1);
    let Found::Attached(attachment) = seeker(Some(&mine)).seek(Some(own.path()), false).unwrap() else {
        panic!("nobody")
    };
    assert!(attachment.notices[0].contains("could not be compared"), "{:?}", attachment.notices);
}

#[test]
fn a_folder_that_others_may_write_is_not_attached_to() {
    use std::os::unix::fs::PermissionsExt as _;

    let (own, system) = (folder(), folder());
    engine(system.path(), 1);
    std::fs::set_permissions(system.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let Found::Nobody(notices) = beside(system.path()).seek(Some(own.path()), true).unwrap() else {
        panic!("attached")
    };
    assert!(notices[0].contains("not attached") && notices[0].contains("chmod"), "{notices:?}");
    let refused = words(seeker(None).seek(Some(system.path()), false));
    assert!(refused.contains("chmod"), "{refused}");
}

/// A console that is opened while the agent is being restarted would otherwise probe beside it, with records of its own, for the
/// whole session.
#[test]
fn nobody_takes_the_place_of_an_agent_that_is_away() {
    let (own, system) = (folder(), folder());
    drop(hold(system.path(), None));
    let seeker = beside(system.path());
    let searched = words(seeker.seek(Some(own.path()), true));
    let named = words(seeker.seek(Some(system.path()), false));
    for words in [searched, named] {
        for part in [
            "not running",
            "systemctl status warroom",
            "--config FILE",
            "--demo",
            system.path().to_str().unwrap(),
        ] {
            assert!(words.contains(part), "no {part}: {words}");
        }
        assert!(!words.contains("chown"), "{words}");
    }
    // A database alone is enough: the lock may have been cleared away.
    std::fs::remove_file(system.path().join(lock::FILE)).unwrap();
    std::fs::remove_file(system.path().join(lock::HOLDER)).unwrap();
    std::fs::write(system.path().join("warroom.db"), "").unwrap();
    assert!(words(seeker.seek(None, true)).contains("not running"));
    // Whoever names a config wants an engine of that one.
    let mine = own.path().join("mine.toml");
    std::fs::write(&mine, "").unwrap();
    let seeker = Seeker { config: Some(mine), ..seeker };
    assert!(matches!(seeker.seek(Some(system.path()), false).unwrap(), Found::Nobody(_)));
    assert!(matches!(seeker.seek(Some(own.path()), false).unwrap(), Found::Nobody(_)));
}

#[test]
fn an_agent_that_is_being_restarted_is_waited_for() {
    let (own, system) = (folder(), folder());
    drop(hold(system.path(), None));
    let path = system.path().to_path_buf();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        engine(&path, 7);
    });
    let seeker = Seeker { patience: Duration::from_secs(30), ..beside(system.path()) };
    assert_eq!(pid(seeker.seek(Some(own.path()), true)), 7);
    late.join().unwrap();
}
