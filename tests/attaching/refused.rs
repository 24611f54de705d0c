//! Engines that a console does not attach to: it says why before it takes the screen, and exits with 2.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{
    agent::{Agent, data, warroom},
    well, write_config,
};

/// Runs a console to its end; without a terminal, so that one which goes on would say that it needs one.
fn refused(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let words = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!((status.code(), stdout.as_slice()), (Some(2), &b""[..]), "{words}");
    assert!(!words.contains("needs a terminal"), "it would have gone on: {words}");
    words
}

/// A console without any config.
fn bare(folder: &Path) -> Command {
    let mut command = warroom(&folder.join("nowhere"), &[]);
    command.env("WARROOM_DATA_DIR", data(folder));
    // Only the last of two would count, and clap refuses two: the folder is named by the variable alone.
    let mut plain = Command::new(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => plain.env(name, value),
            None => plain.env_remove(name),
        };
    }
    plain.stdin(Stdio::null());
    plain
}

#[test]
fn a_config_of_another_measurement_is_refused() {
    let (_platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    let other = tempfile::tempdir().unwrap();
    let config = fs::read_to_string(folder.path().join("warroom.toml")).unwrap();
    let other = write_config(other.path(), &config);
    let mut command = bare(folder.path());
    command.arg("--config").arg(&other);
    let named = refused(command);
    let mut command = bare(folder.path());
    command.env("WARROOM_CONFIG", &other);
    for words in [named, refused(command)] {
        for part in [other.to_str().unwrap(), folder.path().to_str().unwrap(), "--config", "--data-dir"] {
            assert!(words.contains(part), "no {part}: {words}");
        }
    }
    agent.probe("up");
}

/// Answers one console as an engine of another version does.
fn other_version(stream: UnixStream, protocol: u32) {
    let mut stream = BufReader::new(stream);
    let mut greeting = String::new();
    stream.read_line(&mut greeting).unwrap();
    let greeting: serde_json::Value = serde_json::from_str(&greeting).unwrap();
    assert_eq!(greeting["protocol"], 1, "{greeting}");
    // What another version adds must not confuse this one.
    let welcome = format!(
        "{{\"protocol\":{protocol},\"version\":\"7.7.7\",\"pid\":4711,\"new\":[],\"refused\":\"another version\"}}\n"
    );
    stream.get_mut().write_all(welcome.as_bytes()).unwrap();
}

#[test]
fn an_engine_of_another_version_says_which_side_to_update() {
    for (protocol, cure) in [(2, "update the warroom that you started here"), (0, "update the engine's side")]
    {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(data(folder.path())).unwrap();
        fs::set_permissions(data(folder.path()), fs::Permissions::from_mode(0o700)).unwrap();
        let listener = UnixListener::bind(data(folder.path()).join("engine.sock")).unwrap();
        let engine = std::thread::spawn(move || other_version(listener.accept().unwrap().0, protocol));
        let words = refused(bare(folder.path()));
        assert!(words.contains("7.7.7") && words.contains(cure), "{words}");
        engine.join().unwrap();
    }
}

/// An engine that holds the folder and lets nobody in, an older version's for one.
#[test]
fn an_engine_that_takes_no_consoles_is_named() {
    let (_platform, folder) = well();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    fs::remove_file(data(folder.path()).join("engine.sock")).unwrap();
    let process = format!("process {}", agent.child.id());
    // The agent may notice and put another socket in its place; then the console attaches, which is as good.
    let output = bare(folder.path()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let is_named = words.contains(&process) && words.contains("lets no console in");
    assert!(is_named || words.contains("needs a terminal"), "{words}");
    assert_eq!(output.status.code(), Some(2));
}

/// Listens on the socket as somebody else, until its input ends.
#[test]
#[ignore = "a part of another test, run as another user"]
fn listens_as_somebody_else() {
    let socket = std::env::var("SOCKET").unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let said_to = std::path::PathBuf::from(std::env::var("SAID").unwrap());
    fs::write(said_to.join("ready"), "").unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).unwrap();
    fs::write(said_to.join("new"), said).unwrap();
    fs::rename(said_to.join("new"), said_to.join("said")).unwrap();
}

/// Somebody else's process in the engine's place must not learn who attaches, nor be obeyed.
#[test]
fn a_stranger_in_the_engines_place_is_told_nothing() {
    if !rustix::process::geteuid().is_root() {
        let mut words = std::io::stderr();
        words.write_all(b"SKIPPED: only root can start a process of another user\n").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = data(folder.path());
    fs::create_dir(&data).unwrap();
    let socket = data.join("engine.sock");
    // The folder was somebody else's when they put the socket there.
    std::os::unix::fs::chown(&data, Some(65_533), None).unwrap();
    let said = folder.path().join("said");
    fs::create_dir(&said).unwrap();
    std::os::unix::fs::chown(&said, Some(65_533), None).unwrap();
    // Where the tests lie may be closed to others.
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut stranger = Command::new(&program)
        .args(["refused::listens_as_somebody_else", "--exact", "--ignored"])
        .env("SOCKET", &socket)
        .env("SAID", &said)
        .uid(65_533)
        .gid(65_533)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&said.join("ready"));
    std::os::unix::fs::chown(&data, Some(0), None).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let words = refused(bare(folder.path()));
    assert!(words.contains("user 65533") && words.contains("told nothing"), "{words}");
    wait_for(&said.join("said"));
    assert_eq!(fs::read_to_string(said.join("said")).unwrap(), "", "it was told who attaches");
    stranger.wait().unwrap();
}

fn wait_for(file: &Path) {
    let deadline = std::time::Instant::now() + super::agent::PATIENCE;
    while !file.exists() {
        assert!(std::time::Instant::now() < deadline, "no {}", file.display());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
