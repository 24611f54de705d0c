//! The picture, once.

use serde_json::Value;
use warroom::domain::{Phase, Picture, Verdict};

use super::{
    agent::{Agent, run, warroom},
    answer, assert_plain, attack, two,
};

/// What `--once --json` prints, as the object and as the picture in it.
fn picture(folder: &std::path::Path) -> (Value, Picture) {
    let output = run(folder, &["--once", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one object is one line");
    assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    let object: Value = serde_json::from_str(&text).unwrap();
    let mut picture: Picture = serde_json::from_value(object.clone()).unwrap();
    picture.index();
    (object, picture)
}

#[test]
fn without_an_engine_everything_is_probed_once() {
    let (platform, folder) = two();
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    let (object, picture) = picture(folder.path());
    assert_eq!(object["attached"], false);
    assert_eq!(picture.roster.tenant, "test-tenant");
    let verdicts: Vec<_> = picture.components.iter().map(|component| component.verdict).collect();
    assert_eq!(verdicts, [Some(Verdict::Down); 2]);
    let mut again: Value = serde_json::from_str(&serde_json::to_string(&picture).unwrap()).unwrap();
    again["attached"] = false.into();
    assert_eq!(again, object, "nothing of it is lost in a picture and back");
}

#[test]
fn of_an_engine_that_runs_it_is_what_that_engine_knows() {
    let (platform, folder) = two();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    platform.answer(attack());
    let told = agent.phase("down");
    let (object, picture) = picture(folder.path());
    assert_eq!(object["attached"], true);
    let down = picture.components.iter().find(|component| component.phase == Phase::Down).unwrap();
    let outage = down.outage.as_ref().unwrap();
    assert_eq!(outage.id, told["outage"]["id"].as_str().unwrap());
    assert_eq!(outage.reason, told["outage"]["reason"].as_str().unwrap());
    let text = String::from_utf8(run(folder.path(), &["--once"]).stdout).unwrap();
    assert!(text.contains("1 open outage:\n") || text.contains("2 open outages:\n"), "{text}");
    assert_plain(text.as_bytes());
}

#[test]
fn json_without_once_is_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--once"));
    for arguments in [&["--plain", "status"][..], &["--once", "check"]] {
        assert_eq!(
            warroom(folder.path(), arguments).output().unwrap().status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}
