//! Files that others could have changed are refused, with the command that mends it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    agent::{Agent, data, run},
    well,
};

/// Runs the command that the words name, as a person would copy it.
fn obey(words: &str, program: &str) {
    let command =
        words.split('`').find(|part| part.starts_with(program)).unwrap_or_else(|| panic!("{words}"));
    let status = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command}");
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
    words
}

#[test]
fn a_config_that_others_may_write_is_refused_with_the_cure() {
    for mode in [0o620, 0o602, 0o666] {
        let (_platform, folder) = well();
        let config = folder.path().join("warroom.toml");
        fs::set_permissions(&config, fs::Permissions::from_mode(mode)).unwrap();
        for arguments in [&["agent", "--for", "1ms"][..], &["check"], &["probe", "web"]] {
            assert!(refused(folder.path(), arguments).contains("chmod"), "{arguments:?}");
        }
        obey(&refused(folder.path(), &["agent", "--for", "1ms"]), "chmod");
        assert_eq!(run(folder.path(), &["agent", "--for", "1ms"]).status.code(), Some(0));
    }
}

#[test]
fn a_data_folder_that_others_may_write_is_refused_with_the_cure() {
    for mode in [0o770, 0o707] {
        let (_platform, folder) = well();
        fs::create_dir(data(folder.path())).unwrap();
        fs::set_permissions(data(folder.path()), fs::Permissions::from_mode(mode)).unwrap();
        for arguments in [&["agent", "--for", "1ms"][..], &["records"], &["status"]] {
            assert!(refused(folder.path(), arguments).contains("chmod"), "{arguments:?}");
        }
        obey(&refused(folder.path(), &["agent", "--for", "1ms"]), "chmod");
        let mut agent = Agent::start(folder.path());
        agent.probe("up");
        assert_eq!(agent.signal(rustix::process::Signal::TERM).code(), Some(143));
    }
}
