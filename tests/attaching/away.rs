//! A console and a status of somebody else beside an agent that works, and beside one that is away.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;

use super::{
    agent::{Agent, data},
    well,
};

/// A group that every machine has, and its number.
const GROUP: (&str, u32) = ("daemon", 1);

/// Runs the program as a member of the group, who is neither root nor the agent's user.
fn as_a_member(program: &Path, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("HOME", folder.join("nobody"))
        .env("WARROOM_DATA_DIR", data(folder))
        .uid(65_533)
        .gid(GROUP.1)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code(), words)
}

/// Where the tests lie may be closed to others.
fn program(folder: &Path) -> PathBuf {
    let program = folder.join("warroom");
    fs::copy(env!("CARGO_BIN_EXE_warroom"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Whoever may look sees how things stand without a right to the engine's lock; and when the agent is away, is neither shown a
/// demo nor told to take the agent's folder from it.
#[test]
fn a_member_of_the_group_is_told_the_truth_whether_the_agent_works_or_not() {
    if !rustix::process::geteuid().is_root() {
        let mut words = std::io::stderr();
        words.write_all(b"SKIPPED: only root can start a process of another user\n").unwrap();
        return;
    }
    let (_platform, folder) = well();
    let folder = folder.path();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let config = folder.join("warroom.toml");
    let text = fs::read_to_string(&config).unwrap() + &format!("\n[agent]\ngroup = \"{}\"\n", GROUP.0);
    fs::write(&config, text).unwrap();
    let program = program(folder);
    let mut agent = Agent::start(folder);
    agent.phase("up");
    let mode = |name: &str| fs::metadata(data(folder).join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("engine.lock"), mode("engine.json")), (0o600, 0o640));
    let deadline = std::time::Instant::now() + super::agent::PATIENCE;
    loop {
        let (code, words) = as_a_member(&program, folder, &["status"]);
        if code == Some(0) {
            assert!(words.starts_with("UP · 1/1 up"), "{words}");
            break;
        }
        assert!(words.contains("has not said yet") || words.contains("UNOBSERVED"), "{words}");
        assert!(std::time::Instant::now() < deadline, "{words}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
    let (code, words) = as_a_member(&program, folder, &["status"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("no engine works on"), "{words}");
    // The agent's user is another one than this.
    chown(data(folder), Some(65_532), None).unwrap();
    let away = as_a_member(&program, folder, &[]);
    assert!(away.1.contains("is not running"), "{}", away.1);
    // Where nothing says whether one works, that is what is said.
    fs::remove_file(data(folder).join("engine.json")).unwrap();
    let hidden = as_a_member(&program, folder, &[]);
    assert!(hidden.1.contains("cannot be told"), "{}", hidden.1);
    // An engine of their own in its place is refused as well.
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let agent = as_a_member(&program, folder, &["agent", "--config", config.to_str().unwrap()]);
    for (code, words) in [away, hidden, agent] {
        assert_eq!(code, Some(2), "{words}");
        assert!(!words.contains("chown") && !words.contains("demo"), "{words}");
    }
}
