//! The unit file against the real systemd: it is understood, and as closed as the documents say.

use std::{fs, path::Path, process::Command};

use super::process::find;

fn unit() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/warroom.service")).unwrap()
}

#[test]
fn systemd_understands_the_unit() {
    let Some(analyze) = find("systemd-analyze", "systemd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("warroom.service");
    // It also holds against what is installed here, where the agent stands somewhere else.
    fs::write(&copy, unit().replace("/usr/local/bin/warroom", env!("CARGO_BIN_EXE_warroom"))).unwrap();
    let checked = Command::new(analyze).arg("verify").arg("--man=no").arg(&copy).output().unwrap();
    let words = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && words.is_empty(), "{words}");
}

/// Whoever decides by the score whether the agent may run must find the one that is written down.
#[test]
fn the_documents_tell_the_security_score_that_systemd_gives() {
    let Some(analyze) = find("systemd-analyze", "systemd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("warroom.service");
    fs::write(&copy, unit()).unwrap();
    let judged = Command::new(analyze)
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(&copy)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    let (_, score) = said
        .split_once("Overall exposure level for warroom.service: ")
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&judged.stderr)));
    let score = score.split(' ').next().unwrap();
    for name in ["README.md", "config/systemd/README.md"] {
        let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let line = document.lines().find(|line| line.contains("systemd-analyze security`"));
        let line = line.unwrap_or_else(|| panic!("{name} does not tell the score"));
        assert!(line.contains(&format!("**{score}**")), "{name}: the score is {score}: {line}");
    }
}

/// The codes of the command line are the manager's as well: a stop is no failure, and a wrong config is not tried again.
#[test]
fn the_unit_knows_the_exit_codes() {
    let unit = unit();
    for line in ["SuccessExitStatus=129 130 143", "RestartPreventExitStatus=2", "StateDirectory=warroom"] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
}
