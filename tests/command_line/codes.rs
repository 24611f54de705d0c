//! What the exit code says, and that words go to standard error.

use super::{
    agent::{Agent, run, warroom},
    answer, code, component, stderr, stdout, three, write_config,
};

#[test]
fn a_config_that_is_named_and_missing_is_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["agent"][..], &["check"], &["probe", "x"], &["config", "show"], &[]] {
        let output =
            warroom(folder.path(), arguments).args(["--config", "/nowhere/warroom.toml"]).output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains("/nowhere/warroom.toml"), "{arguments:?}: {}", stderr(&output));
        let output =
            warroom(folder.path(), arguments).env("WARROOM_CONFIG", "/nowhere/else.toml").output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains("$WARROOM_CONFIG"), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn without_a_config_only_the_console_goes_on() {
    if std::path::Path::new("/etc/warroom/warroom.toml").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["agent"][..], &["check"], &["probe", "x"], &["config", "show"]] {
        let output = run(folder.path(), arguments);
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{arguments:?}");
        assert!(stderr(&output).contains("config init"), "{arguments:?}: {}", stderr(&output));
    }
    // Without a terminal there is no console either, and it says what works instead.
    let output = warroom(folder.path(), &[]);
    let mut bare = std::process::Command::new(output.get_program());
    bare.env("HOME", folder.path()).env_remove("WARROOM_CONFIG").env_remove("WARROOM_DATA_DIR");
    bare.env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME").stdin(std::process::Stdio::null());
    let output = bare.output().unwrap();
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    assert!(stderr(&output).contains("there is no config yet, so this is the demo"), "{}", stderr(&output));
    assert!(stderr(&output).contains("needs a terminal"), "{}", stderr(&output));
}

/// Whoever names a data folder, or asks for facts, must not be shown a healthy demo in the place of an engine that has died.
#[test]
fn a_dead_engine_is_named_and_no_demo_takes_its_place() {
    if std::path::Path::new("/etc/warroom/warroom.toml").exists() {
        return;
    }
    let (_platform, folder) = three();
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    let process = format!("process {}", agent.child.id());
    agent.kill();
    let config = folder.path().join("warroom.toml");
    let moved = folder.path().join("elsewhere.toml");
    // Without a config of one's own: the engine's is only known from what it left behind.
    std::fs::rename(&config, &moved).unwrap();
    for arguments in [&[][..], &["--plain"], &["--once"], &["--once", "--json"], &["status"]] {
        let output = run(folder.path(), arguments);
        let words = stdout(&output) + &stderr(&output);
        let is_status = arguments == ["status"];
        assert_eq!(code(&output), if is_status { 1 } else { 2 }, "{arguments:?}: {words}");
        assert_eq!(stdout(&output).is_empty(), !is_status, "{arguments:?}: {words}");
        for part in ["no engine works on", &process, config.to_str().unwrap(), "warroom agent --config"] {
            assert!(words.contains(part), "{arguments:?}, no {part}: {words}");
        }
        assert!(!words.contains("this is the demo") && !words.contains("real data"), "{words}");
    }
    let output = run(folder.path(), &["status", "--json"]);
    let report: serde_json::Value = serde_json::from_str(stdout(&output).trim_end()).unwrap();
    assert_eq!((code(&output), &report["engine"]), (1, &"none".into()), "{report}");
    assert_eq!(report["last"]["config"], config.to_str().unwrap(), "{report}");
    assert!(report["words"].as_str().unwrap().contains("warroom agent"), "{report}");
    // A name that was mistyped is neither made nor filled with a demo.
    for arguments in [&[][..], &["--once", "--json"], &["status"]] {
        let nowhere = folder.path().join("nowhere");
        let output = run(&nowhere, arguments);
        let words = stdout(&output) + &stderr(&output);
        assert!(
            code(&output) != 0 && words.contains("there is no such data folder"),
            "{arguments:?}: {words}"
        );
        assert!(!nowhere.exists(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_config_is_told_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let config = "tenant = \"t\"\nenvironment = \"moon\"\nfoo = 1\n[platforms.web]\nkind = \"http\"\n\
                  base_url = \"http://127.0.0.1:9\"\n[[components]]\nid = \"a\"\nname = \"A\"\nplatform = \"wbe\"\n\
                  tier = 1\ntarget_rto = \"90s\"\njourney = [{ get = \"/\", expect = [\"status = 200\"] }]\n";
    let path = write_config(folder.path(), config);
    for arguments in [&["agent"][..], &["check"], &["probe", "a"], &[]] {
        let output = run(folder.path(), arguments);
        let words = stdout(&output) + &stderr(&output);
        // A wrong config is what `check` is asked about: 1 would be as true; the contract says 2.
        assert_eq!(code(&output), 2, "{arguments:?}: {words}");
        for (line, key) in
            [(2, "environment"), (3, "foo"), (10, "platform"), (12, "target_rto"), (13, "expect")]
        {
            let place = format!("{}:{line}", path.display());
            assert!(
                words.lines().any(|said| said.contains(&place) && said.contains(key)),
                "{arguments:?} does not name {place} {key}:\n{words}"
            );
        }
    }
}

#[test]
fn wrong_use_is_2_and_help_is_0() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["nonsense"][..],
        &["--nonsense"],
        &["agent", "--for", "soon"],
        &["agent", "--demo"],
        &["records", "--format", "xml"],
        &["--fps", "0"],
        &["completions"],
        &["probe"],
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["records", "--help"]] {
        let output = run(folder.path(), arguments);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{arguments:?}");
        assert!(!stdout(&output).is_empty());
    }
}

#[test]
fn probe_says_how_it_went_by_its_code() {
    let (platform, folder) = three();
    let output = run(folder.path(), &["probe", "ivr"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("ivr: up"), "{}", stdout(&output));
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    let output = run(folder.path(), &["probe", "ivr", "--json"]);
    assert_eq!(code(&output), 1);
    let report: serde_json::Value = serde_json::from_str(stdout(&output).trim_end()).unwrap();
    assert_eq!(report["verdict"], "down", "{report}");
    let output = run(folder.path(), &["probe", "nobody"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("ivr, crm, wfm"), "it does not say what there is: {}", stderr(&output));
    assert!(!super::agent::data(folder.path()).exists(), "a probe records nothing");
}

#[test]
fn the_first_config_that_is_written_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let written = run(folder.path(), &["config", "init"]);
    assert_eq!(code(&written), 0);
    write_config(folder.path(), &stdout(&written));
    let checked = run(folder.path(), &["check"]);
    assert_eq!(code(&checked), 0, "{}{}", stdout(&checked), stderr(&checked));
    let shown = run(folder.path(), &["config", "show"]);
    assert_eq!(code(&shown), 0, "{}", stderr(&shown));
    assert!(stdout(&shown).contains("first-steps"), "{}", stdout(&shown));
    let schema = run(folder.path(), &["config", "schema"]);
    assert!(serde_json::from_str::<serde_json::Value>(&stdout(&schema)).unwrap()["properties"].is_object());
}

#[test]
fn what_is_only_a_warning_leaves_0() {
    let (platform, folder) = three();
    let lone = component("lone", "Lone", 1, "get = \"/\"\nexpect = ['status == 200']");
    write_config(folder.path(), &platform.config(&lone));
    let output = run(folder.path(), &["check"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let words = stdout(&output) + &stderr(&output);
    assert!(words.contains("only a health step"), "{words}");
}
