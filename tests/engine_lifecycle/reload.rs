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
    let told = agent.event("the config event", |event| {
        assert_ne!(event["event"], "notice", "it would stand for ever: {event}");
        event["event"] == "config"
    });
    let word = told["words"][0].as_str().unwrap();
    assert!(word.starts_with("the outage of leaves since "), "{told}");
    assert!(word.ends_with("is followed no longer, and becomes no record"), "{told}");
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

/// A component that was taken away while no engine ran may be a mistake, which is said until somebody has it read again.
#[test]
fn an_outage_that_a_start_finds_orphaned_stands_until_the_config_is_read_again() {
    let (platform, folder) = well();
    write_config(folder.path(), &platform.config(&(one("web") + &one("leaves"))));
    let mut agent = Agent::start(folder.path());
    platform.answer(bad());
    agent.event("leaves down", |event| event["phase"] == "down" && event["component_id"] == "leaves");
    let deadline = std::time::Instant::now() + super::agent::PATIENCE;
    let kept = || Store::read(&data(folder.path())).unwrap().open_progress().unwrap();
    let is_kept = |progress: &warroom::store::Progress| {
        progress.component_id.as_str() == "leaves" && progress.state.contains("\"confirmed\":true")
    };
    while !kept().iter().any(is_kept) {
        assert!(std::time::Instant::now() < deadline, "it is not kept");
        agent.probe("down");
    }
    agent.kill();
    write_config(folder.path(), &platform.config(&one("web")));
    let orphaned = |event: &Value| event["event"] == "notice" && event["about"] == "outage of leaves";
    for _ in 0..2 {
        let mut agent = Agent::start(folder.path());
        let notice = agent.event("the notice", orphaned);
        assert_eq!(notice["standing"], true, "{notice}");
        agent.kill();
    }
    let mut agent = Agent::start(folder.path());
    agent.event("the notice", orphaned);
    agent.tell(Signal::HUP);
    assert_eq!(agent.event("its end", orphaned)["standing"], false);
    assert_eq!(config(&mut agent, true), ["nothing changed"]);
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
    let mut agent = Agent::start(folder.path());
    agent.event("web again", |event| {
        assert!(!orphaned(event), "it was left behind: {event}");
        event["event"] == "probe"
    });
}

/// What is said of sources that nobody asks any more could not be taken back by them.
#[test]
fn what_was_said_of_time_sources_goes_with_them() {
    let (platform, folder) = well();
    let config_of = |servers: &str| {
        let clock = format!("[clock]\nchrony = false\nplatform = false\nntp = [{servers}]\nevery = \"1s\"\n");
        platform.config(&(clock + &one("web")))
    };
    write_config(folder.path(), &config_of("\"127.0.0.1:9\""));
    let mut agent = Agent::start(folder.path());
    let of_sources = |event: &Value| event["event"] == "notice" && event["about"] == "time sources";
    assert_eq!(agent.event("a complaint", of_sources)["standing"], true);
    write_config(folder.path(), &config_of(""));
    agent.tell(Signal::HUP);
    assert_eq!(agent.event("its end", of_sources)["standing"], false);
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}

/// Who is in the group of `[agent]` no longer reads nothing more.
#[test]
fn a_group_that_is_taken_out_loses_the_files() {
    use std::os::unix::fs::MetadataExt as _;
    let (platform, folder) = well();
    // The group that files get anyway can always be given to them.
    let number = rustix::process::getegid().as_raw();
    let text = std::fs::read_to_string("/etc/group").unwrap();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&*number.to_string()));
    let group = line.and_then(|line| line.split(':').next()).expect("this user's group has a name");
    let config_of = |agent: &str| platform.config(&(agent.to_owned() + &one("web")));
    write_config(folder.path(), &config_of(&format!("[agent]\ngroup = \"{group}\"\n")));
    let mut agent = Agent::start(folder.path());
    agent.phase("up");
    let mode = || std::fs::metadata(data(folder.path()).join("warroom.db")).unwrap().mode() & 0o777;
    let wait_for = |agent: &mut Agent, wanted: u32| {
        let deadline = std::time::Instant::now() + super::agent::PATIENCE;
        while mode() != wanted {
            assert!(std::time::Instant::now() < deadline, "{:o} instead of {wanted:o}", mode());
            agent.probe("up");
        }
    };
    assert_eq!(mode(), 0o640);
    write_config(folder.path(), &config_of(""));
    agent.tell(Signal::HUP);
    assert_eq!(config(&mut agent, true), ["who may attach and act changed"]);
    wait_for(&mut agent, 0o600);
    write_config(folder.path(), &config_of(&format!("[agent]\ngroup = \"{group}\"\n")));
    agent.tell(Signal::HUP);
    config(&mut agent, true);
    wait_for(&mut agent, 0o640);
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
}
