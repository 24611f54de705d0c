//! The shape of what is said over the socket: whoever changes it must raise the protocol's number, or two versions would
//! misunderstand each other instead of saying which side to update.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{fmt::Write as _, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use warroom::{
    attach::wire::{Ask, Greeting, PROTOCOL, Told, Welcome},
    domain::{
        Attached, Behind, Command, ComponentId, Environment, Event, Person, Picture, Role, Roster, Since,
    },
};

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_123).unwrap()
}

fn person() -> Person {
    Person {
        uid: 0,
        login: "root".to_owned(),
        behind: Some(Behind { login: "alice".to_owned(), proven: true }),
    }
}

fn attached() -> Attached {
    Attached {
        id: 7,
        who: person(),
        role: Role::Operate,
        since: at(),
        terminal: Some("pts/3".to_owned()),
        from: Some("192.0.2.7".to_owned()),
        is_host: false,
    }
}

fn commands() -> Vec<Command> {
    let component_id = ComponentId::new("crm");
    let all = vec![
        Command::ProbeNow { component_id: component_id.clone() },
        Command::Diagnose,
        Command::Acknowledge { component_id, outage_id: "o-1".to_owned() },
        Command::Reload,
    ];
    for command in &all {
        // A new one must be added above: it is a change of the protocol.
        match command {
            Command::ProbeNow { .. } | Command::Diagnose | Command::Acknowledge { .. } | Command::Reload => {}
        }
    }
    all
}

/// One of each event, with everything that it can hold, as the engine's own types read it.
fn events() -> Vec<Event> {
    let at = "2026-05-15T14:32:00.123Z";
    let steps = json!([
        {"name": "ready", "state": "failed", "timings": {"total_ms": 42.5, "reused": true}, "reason": "status 503"},
        {"name": "work", "state": "not_run", "timings": {"total_ms": 0.0, "reused": false}},
    ]);
    let outage = json!({
        "id": "o-1", "verdict": "down", "t_detect": at, "onset_after": at, "t_failover": at, "served_by": "west",
        "restored_since": at, "last_bad": at, "reason": "ready: status 503", "failed_steps": ["ready"], "blind_probes": 1,
        "gap_seconds": 1.5, "links": [{"name": "ready", "health": true, "restored_after_seconds": 1.5}],
    });
    let record: Value = serde_json::from_str(include_str!("data/recovery.json")).unwrap();
    let who = serde_json::to_value(person()).unwrap();
    let console = serde_json::to_value(attached()).unwrap();
    let mut all = vec![
        json!({"event": "probe", "at": at, "component_id": "crm", "path": "primary", "verdict": "down", "latency_ms": 42.5,
            "served_by": "west", "reason": "ready: status 503", "burst": true, "steps": steps}),
        json!({"event": "phase", "at": at, "component_id": "crm", "path": "primary", "phase": "down",
            "t_detect_epoch": 1.5, "outage": outage}),
        json!({"event": "outage", "at": at, "component_id": "crm", "path": "primary", "outage": outage}),
        json!({"event": "switch", "at": at, "component_id": "crm", "from": "east", "to": "west"}),
        json!({"event": "violation", "at": at, "component_id": "crm", "rto_used_percentage": 100.0, "open": true}),
        json!({"event": "recovery", "at": at, "record": record}),
        json!({"event": "blip", "at": at, "component_id": "crm", "reason": "status 503"}),
        json!({"event": "gap", "at": at, "from": at, "until": at, "reason": "suspended"}),
        json!({"event": "unmeasured", "at": at, "component_id": "crm", "t_detect_epoch": 1.5, "t_restore_epoch": 2.5,
            "reason": "the clock"}),
        json!({"event": "clock", "at": at, "offset_ms": 1.5, "error_ms": 2.5, "stratum": 2, "state": "ok",
            "correction_ms": 0.5, "sources": [
                {"name": "chrony", "offset_ms": 1.5, "error_ms": 2.5, "stratum": 2, "agrees": true}]}),
        json!({"event": "alert", "at": at, "scope": "component:crm", "component_id": "crm", "outage_id": "o-1",
            "severity": "critical", "state": "firing", "suppressed": false, "reason": "words"}),
        json!({"event": "budget", "at": at, "platform": "web", "throttled": true, "retry_after_ms": 4000,
            "stretched": [{"component_id": "crm", "wanted_ms": 1000, "actual_ms": 2000}]}),
        json!({"event": "platform", "at": at, "platform": "web", "login": "failing", "reason": "words"}),
        json!({"event": "notice", "at": at, "about": "store", "standing": true, "text": "words"}),
        json!({"event": "diagnosis", "at": at, "findings": [
            {"area": "steps", "subject": "crm", "grade": "failed", "what": "words", "cure": "words"}]}),
        json!({"event": "presence", "at": at, "change": "attached", "console": console, "present": [console]}),
        json!({"event": "config", "at": at, "who": who, "loaded": true, "words": ["words"]}),
    ];
    for command in commands() {
        all.push(json!({"event": "act", "at": at, "who": who, "act": command}));
    }
    let mut all: Vec<Event> = all
        .into_iter()
        .map(|event| serde_json::from_value(event.clone()).unwrap_or_else(|error| panic!("{error}: {event}")))
        .collect();
    all.insert(0, Event::Roster(warroom::domain::event::RosterEvent { at: self::at(), roster: roster() }));
    let mut seen = std::collections::BTreeSet::new();
    for event in &all {
        // A new one must be added above: it is a change of the protocol.
        seen.insert(match event {
            Event::Roster(_) => 0,
            Event::Probe(_) => 1,
            Event::Phase(_) => 2,
            Event::Outage(_) => 3,
            Event::Switch(_) => 4,
            Event::Violation(_) => 5,
            Event::Recovery(_) => 6,
            Event::Blip(_) => 7,
            Event::Gap(_) => 8,
            Event::Unmeasured(_) => 9,
            Event::Clock(_) => 10,
            Event::Alert(_) => 11,
            Event::Budget(_) => 12,
            Event::Platform(_) => 13,
            Event::Notice(_) => 14,
            Event::Diagnosis(_) => 15,
            Event::Act(_) => 16,
            Event::Presence(_) => 17,
            Event::Config(_) => 18,
        });
    }
    assert_eq!(seen.len(), 19, "a sample of an event is missing");
    all
}

fn roster() -> Arc<Roster> {
    let text = r#"
        tenant = "t"
        environment = "sandbox"
        [platforms.web]
        kind = "http"
        base_url = "http://127.0.0.1:9"
        [[components]]
        id = "crm"
        platform = "web"
        tier = 1
        target_rto = "30s"
        kind = "api"
        cadence = "1s"
        journey = [
          { name = "ready", get = "/ready" },
          { name = "work", get = "/work" },
        ]
    "#;
    let roster = warroom::config::parse(text, "the test's config").unwrap().config.roster;
    assert_eq!((roster.environment, roster.window), (Environment::Sandbox, Duration::from_hours(24)));
    roster
}

#[test]
fn whoever_changes_what_is_said_raises_the_protocol() {
    let mut text = String::new();
    let mut add = |value: Value| writeln!(text, "{}", serde_json::to_string_pretty(&value).unwrap()).unwrap();
    add(serde_json::to_value(Greeting {
        protocol: PROTOCOL,
        version: "1.2.3".to_owned(),
        wants: Role::Watch,
        glance: false,
        terminal: Some("pts/3".to_owned()),
        from: Some("192.0.2.7".to_owned()),
        behind: Some("alice".to_owned()),
    })
    .unwrap());
    add(serde_json::to_value(Welcome {
        protocol: PROTOCOL,
        version: "1.2.3".to_owned(),
        pid: 1,
        refused: Some("words".to_owned()),
        you: Some(attached()),
    })
    .unwrap());
    for command in commands() {
        add(serde_json::to_value(Ask::Command(command)).unwrap());
    }
    add(serde_json::to_value(Ask::Picture).unwrap());
    let mut picture = Picture::new(roster());
    for event in events() {
        let event = Arc::new(event);
        // What was closed or taken back would be missing from the picture.
        if !matches!(*event, Event::Recovery(_)) {
            picture.apply(&event);
        }
        add(serde_json::to_value(Told::Event(event)).unwrap());
    }
    let since = Since::of(at(), &events());
    assert_eq!((since.recoveries, since.reloads), (1, 1));
    add(serde_json::to_value(Told::Since(since)).unwrap());
    for told in [Told::Refused("words".to_owned()), Told::Beat, Told::Bye("words".to_owned())] {
        add(serde_json::to_value(told).unwrap());
    }
    assert!(picture.components[0].acknowledged.is_some() && !picture.platforms.is_empty());
    picture.notable.clear();
    add(serde_json::to_value(Told::Picture(Box::new(picture))).unwrap());
    // After a change that two versions would misunderstand: raise `PROTOCOL`, and review the new snapshot.
    insta::assert_snapshot!(format!("protocol_{PROTOCOL}"), text);
}
