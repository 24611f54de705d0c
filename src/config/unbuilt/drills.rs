//! `[[drills]]` and `[guardrails]`: how a component may be disturbed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Known, table, tables};
use crate::{
    config::{
        components::Named,
        journey::{self, Names},
        platforms::Platforms,
        reading::{Entry, Section, nearest},
        values::in_words,
    },
    expression::{self, clean},
};

pub(super) fn read(root: &Section<'_, '_>, known: &Known<'_>) {
    let mut ids = BTreeSet::new();
    for mut section in tables(root, "drills", "drills are not built in this version; nothing here will run") {
        let id_entry = section.require("id", "give it an id of its own");
        let id = id_entry.as_ref().and_then(Entry::id);
        if let (Some(id), Some(entry)) = (&id, &id_entry) {
            section.rename(format!("drill `{id}`"), format!("drills.{id}"));
            if !ids.insert(id.clone()) {
                entry.error(format!("two drills have the id `{id}`"), "give each an id of its own");
            }
        }
        drill(section, known);
    }
}

fn drill(section: Section<'_, '_>, known: &Known<'_>) {
    section.get("name").and_then(|entry| entry.line());
    let component = section.require("component", "name the component that it disturbs").and_then(|entry| {
        let id = entry.line()?;
        let found = known.components.get(id);
        if found.is_none() {
            let ids: Vec<_> = known.components.keys().map(String::as_str).collect();
            let near = nearest(id, &ids);
            entry.wrong(near.map_or_else(
                || "there is no such component".to_owned(),
                |near| format!("did you mean `{near}`?"),
            ));
        }
        if found.is_some_and(|component| component.protected) {
            entry.wrong("that component is protected and is never a drill's target");
        }
        found
    });
    let shadow = section.get("shadow");
    let has_shadow = shadow.is_some();
    if let Some(entry) = shadow {
        shadow_path(&entry, component, known.platforms);
    }
    if !has_shadow && known.production {
        section.error(
            "shadow",
            format!("{} has no shadow path, which production requires", section.what()),
            "add shadow = { vars = { … } } or shadow = { platform = \"…\" }",
        );
    }
    if let Some(entry) = section.require("injector", "say what disturbs and reverts") {
        injector(&entry);
    }
    let proof = section.get("proof");
    match &proof {
        Some(entry) => self::proof(entry),
        None => section.reading.warn(
            section.place(),
            &section.key("proof"),
            format!("{} has no `proof`: it cannot tell a recovery from a disturbance that never arrived", section.what()),
            "add proof = { degradation = \"/path\", at_least = 1 } or proof = { get = \"/path\", expect = [ … ] }",
        ),
    }
    spans(&section, component.and_then(|component| component.target));
    for entry in section.get("abort_if").map(|entry| entry.one_or_more()).unwrap_or_default() {
        entry.expression(expression::ABORT);
    }
    section.get("schedule").and_then(|entry| entry.text());
    section.get("arm").and_then(|entry| entry.duration());
    section.close();
}

fn shadow_path(entry: &Entry<'_, '_>, component: Option<&Named>, platforms: &Platforms) {
    let Some(section) = entry.section(format!("the shadow path of {}", entry.what)) else { return };
    let vars = section.get("vars");
    let platform = section.get("platform");
    if vars.is_none() && platform.is_none() {
        entry.wrong("it must name `vars` or `platform`");
    }
    if let Some(vars) = vars.and_then(|entry| entry.section(format!("the shadow vars of {}", entry.what))) {
        for var in vars.entries() {
            var.text();
            if let Some(component) = component
                && !component.vars.contains(var.name)
            {
                let known: Vec<_> = component.vars.iter().map(String::as_str).collect();
                let cure = nearest(var.name, &known).map_or_else(
                    || "add it to the component's vars first".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                var.error(
                    format!("`{}` in {} is no variable of the component", clean(var.name, 60), var.what),
                    cure,
                );
            }
        }
    }
    if let Some(entry) = platform
        && let Some(name) = entry.line()
        && !platforms.named.iter().any(|known| known == name)
    {
        entry.wrong("[platforms] does not have it");
    }
    section.close();
}

fn injector(entry: &Entry<'_, '_>) {
    let Some(section) = entry.section(format!("the injector of {}", entry.what)) else { return };
    let kind = section
        .require("kind", "it is \"degradation\", \"genesys-shadow-flow\" or \"http\"")
        .and_then(|entry| entry.word(&["degradation", "genesys-shadow-flow", "http"]));
    match kind {
        Some("degradation") => {
            section
                .require("path", "say which path of the endpoint it disturbs")
                .and_then(|entry| entry.line());
            section.get("status").and_then(|entry| entry.integer(100..=599));
            section.get("latency").and_then(|entry| entry.duration());
        }
        Some("genesys-shadow-flow") => {
            for name in ["flow_id", "version_id"] {
                section.require(name, "name the shadow flow and its version").and_then(|entry| entry.line());
            }
            section
                .require("endpoint", "say where the shadow flow is sent")
                .and_then(|entry| entry.http_url());
            section.get("status").and_then(|entry| entry.integer(100..=599));
            section.get("latency").and_then(|entry| entry.duration());
            section.get("timeout").and_then(|entry| entry.duration());
        }
        Some(_) => {
            for name in ["inject", "revert", "verify"] {
                let request = section.require(name, "an http injector needs inject, revert and verify");
                if let Some(entry) = request {
                    self::request(&entry);
                }
            }
        }
        None => return,
    }
    section.close();
}

/// One request of a drill: what it does, and what must hold of the answer.
fn request(entry: &Entry<'_, '_>) {
    let Some(section) = entry.section(format!("`{}` of {}", entry.name, entry.what)) else { return };
    request_keys(&section);
    section.close();
}

fn request_keys(section: &Section<'_, '_>) {
    let (vars, captured) = (BTreeMap::new(), BTreeSet::new());
    let _ = journey::action(section, &Names { vars: &vars, captured: &captured, in_preset: false });
    for entry in section.get("expect").map(|entry| entry.one_or_more()).unwrap_or_default() {
        entry.expression(expression::HTTP);
    }
    section.get("timeout").and_then(|entry| entry.duration());
}

fn proof(entry: &Entry<'_, '_>) {
    let Some(section) = entry.section(format!("the proof of {}", entry.what)) else { return };
    if let Some(path) = section.get("degradation") {
        path.line();
        section.get("at_least").and_then(|entry| entry.integer(1..=1_000_000));
    } else {
        request_keys(&section);
    }
    section.close();
}

fn spans(section: &Section<'_, '_>, target: Option<Duration>) {
    let hold_entry = section.require("hold", "say how long the disturbance stays, at least twice the target");
    let limit_entry = section
        .require("limit", "say by when it has ended and is reverted, at least hold and target together");
    let hold = hold_entry.as_ref().and_then(Entry::duration);
    let limit = limit_entry.as_ref().and_then(Entry::duration);
    let Some(target) = target else { return };
    if let (Some(hold), Some(entry)) = (hold, &hold_entry)
        && hold < target * 2
    {
        entry.wrong(format!("it must be at least twice the target, {}", in_words(target * 2)));
    }
    if let (Some(hold), Some(limit), Some(entry)) = (hold, limit, &limit_entry)
        && limit < hold + target
    {
        entry.wrong(format!("it must be at least hold and target together, {}", in_words(hold + target)));
    }
}

pub(super) fn guardrails(root: &Section<'_, '_>) {
    let Some(section) =
        table(root, "guardrails", "guardrails guard drills, which are not built in this version")
    else {
        return;
    };
    for hours in section
        .get("peak_hours")
        .map(|entry| entry.sections(|number| format!("peak hours {number}")))
        .unwrap_or_default()
    {
        if let Some(entry) = hours.require("days", "for example days = \"Mon-Fri\"") {
            days(&entry);
        }
        for name in ["from", "to"] {
            if let Some(entry) = hours.require(name, "a time of day such as \"08:00\"") {
                time_of_day(&entry);
            }
        }
        hours.require("timezone", "an IANA name such as \"America/New_York\"").and_then(|entry| entry.line());
        hours.close();
    }
    section.get("steady_for").and_then(|entry| entry.duration());
    for host in section.get("inject_hosts").and_then(|entry| entry.list()).unwrap_or_default() {
        let text = host.line();
        if text.is_some_and(|text| text.contains(['/', ' ', '*', '@']) || text.contains("://")) {
            host.wrong("it must be a host's name or address alone");
        }
    }
    section.get("max_concurrent").and_then(|entry| entry.integer(1..=100));
    section.close();
}

fn days(entry: &Entry<'_, '_>) {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let right = entry.value.get_ref().as_str().is_some_and(|text| {
        text.split(',')
            .all(|part| part.trim().split('-').all(|day| DAYS.contains(&day)) && part.split('-').count() <= 2)
    });
    if !right {
        entry.wrong("it must be days such as \"Mon-Fri\" or \"Sat, Sun\"");
    }
}

fn time_of_day(entry: &Entry<'_, '_>) {
    let right = entry.value.get_ref().as_str().is_some_and(|text| {
        text.len() == 5 && (text == "24:00" || chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok())
    });
    if !right {
        entry.wrong("it must be a time of day such as \"08:00\"");
    }
}
