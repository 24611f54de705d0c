//! SIGHUP: a changed config is put in force with open outages going on; a wrong one is refused, with what is wrong in it.

use rustix::process::Signal;
use serde_json::Value;
use warroom::store::Store;

use super::{
    agent::{Agent, data, run},
    bad, good,
    platform::{component, write_config},
    well,
};

/// A component that is probed once a second, and five times in a burst. Its timeout follows the cadence.
fn one(id: &str) -> String {
    component(id, id, 1, "name = \"page\"\nget = \"/\"\nexpect = ['status == 200']")
}

/// The words of the next config event, which says whether it was loaded.
fn config(agent: &mut Agent, loaded: bool) -> Vec<String> {
    let event = agent.event("config event", |event| event["event"] == "config");
    assert_eq!(event["loaded"], loaded, "{event}");
    event["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// What `status --json` says of the notices that stand.
fn notices(folder: &std::path::Path) -> String {
    let output = run(folder, &["status", "--json"]);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_changed_config_is_put_in_force_and_the_open_outage_goes_on() {
    let (platform, folder) = well();
    write_config(folder.path(), &platform.config(&(one("web") + &one("leaves"))));
    let mut agent = Agent::start(folder.path());
    for id in ["web", "leaves"] {
        agent.event("the first up", |event| event["phase"] == "up" && event["component_id"] == id);
    }
    platform.answer(bad());
    let down = agent.event("web down", |event| event["phase"] == "down" && event["component_id"] == "web");
    let (id, t_detect) = (down["outage"]["id"].clone(), number(&down["t_detect_epoch"]));

    let changed = one("web").replace("cadence = \"1s\"", "cadence = \"3s\"").replace("\"60s\"", "\"45s\"");
    write_config(folder.path(), &platform.config(&(changed + &one("comes"))));
    agent.tell(Signal::HUP);
    let roster = agent.event("the new roster", |event| event["event"] == "roster");
    let ids: Vec<&str> = roster["roster"]["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["web", "comes"]);
    agent.event("the phase of the one that comes", |event| {
        assert_ne!(event["event"], "gap", "a reload loses no time");
        event["event"] == "phase" && event["component_id"] == "comes" && event["phase"] == "unobserved"
    });
    let words = config(&mut agent, true);
    for word in [
        "component leaves removed",
        "component comes added",
        "target of web 1m → 45s",
        "cadence of web 1s → 3s",
    ] {
        assert!(words.iter().any(|said| said == word), "no `{word}` in {words:?}");
    }
    // The burst goes on, and the outage is the same.
    let probe =
        agent.event("the next probe", |event| event["event"] == "probe" && event["component_id"] == "web");
    assert_eq!(probe["burst"], true, "{probe}");

    platform.answer(good());
    let recovery = agent.event("the recovery", |event| {
        assert_ne!(event["event"], "gap", "a reload loses no time");
        event["event"] == "recovery" && event["record"]["component_id"] == "web"
    });
    let record = &recovery["record"];
    assert_eq!(record["id"], id, "another outage");
    assert_eq!(number(&record["t_detect_epoch"]), t_detect);
    assert_eq!(number(&record["gap_seconds"]), 0.0, "{record}");
    assert_eq!(number(&record["target_rto_seconds"]), 45.0);
    assert!(record["bounds_seconds"][1].is_number(), "{record}");
    let kept: Vec<String> = Store::read(&data(folder.path()))
        .unwrap()
        .open_progress()
        .unwrap()
        .into_iter()
        .map(|progress| progress.component_id.to_string())
        .collect();
    assert!(!kept.contains(&"leaves".to_owned()), "what was removed is kept for ever: {kept:?}");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}

#[test]
fn a_wrong_config_is_refused_and_the_old_one_stays_in_force() {
    let (platform, folder) = well();
    let right = platform.config(&one("web"));
    write_config(folder.path(), &right);
    let mut agent = Agent::start(folder.path());
    agent.phase("up");

    write_config(folder.path(), &right.replace("cadence = \"1s\"", "cadence = \"30s\""));
    agent.tell(Signal::HUP);
    let notice = agent.event("the notice", |event| event["event"] == "notice" && event["about"] == "config");
    assert_eq!(notice["standing"], true, "{notice}");
    let line = right.lines().position(|line| line.starts_with("cadence")).unwrap() + 1;
    let place = format!("warroom.toml:{line}: ");
    let words = config(&mut agent, false);
    assert!(words[0].contains(&place) && words[0].contains("cadence"), "{words:?}");
    assert!(notice["text"].as_str().unwrap().contains(&words[0]), "{notice}");
    agent.probe("up");
    agent.probe("up");
    assert!(notices(folder.path()).contains(&place), "{}", notices(folder.path()));

    // One that others may write could have been written by anybody.
    let path = write_config(folder.path(), &right);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    agent.tell(Signal::HUP);
    let words = config(&mut agent, false);
    assert!(words[0].contains("chmod go-w"), "{words:?}");

    write_config(folder.path(), &right);
    agent.tell(Signal::HUP);
    let notice = agent.event("the notice", |event| event["event"] == "notice" && event["about"] == "config");
    assert_eq!(notice["standing"], false, "{notice}");
    assert_eq!(config(&mut agent, true), ["nothing changed"]);
    agent.probe("up");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}

/// What a reload dropped must not come back with the next start, nor be complained of at each.
#[test]
fn a_kill_after_a_reload_finds_what_the_reload_left() {
    let (platform, folder) = well();
    write_config(folder.path(), &platform.config(&(one("web") + &one("leaves"))));
    let mut agent = Agent::start(folder.path());
    for id in ["web", "leaves"] {
        agent.event("the first up", |event| event["phase"] == "up" && event["component_id"] == id);
    }
    platform.answer(bad());
    let mut outages = std::collections::BTreeMap::new();
    while outages.len() < 2 {
        let down = agent.phase("down");
        outages.insert(down["component_id"].to_string(), down["outage"]["id"].clone());
    }
    write_config(folder.path(), &platform.config(&one("web")));
    agent.tell(Signal::HUP);
    let notice = agent.event("the notice", |event| event["event"] == "notice");
    assert_eq!(notice["about"], "outage of leaves", "{notice}");
    config(&mut agent, true);
    let deadline = std::time::Instant::now() + super::agent::PATIENCE;
    let kept = || Store::read(&data(folder.path())).unwrap().open_progress().unwrap();
    while kept().iter().any(|progress| progress.component_id.as_str() == "leaves") {
        assert!(std::time::Instant::now() < deadline, "it is still kept");
        agent.probe("down");
    }
    agent.kill();
    let mut agent = Agent::start(folder.path());
    let again = agent.event("web again", |event| {
        assert_ne!(event["event"], "notice", "{event}");
        event["phase"] == "down"
    });
    assert_eq!(again["outage"]["id"], outages["\"web\""]);
    agent.probe("down");
}
