//! Sections whose function is not built in this version: read and checked like all others, then left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    components::Named,
    journey::{self, Names},
    platforms::Platforms,
    reading::{Entry, Section, nearest},
    values::{in_words, is_confidential},
};
use crate::expression::{self, clean};

/// What the other sections have named.
pub(super) struct Known<'a> {
    pub(super) components: &'a BTreeMap<String, Named>,
    pub(super) platforms: &'a Platforms,
    pub(super) production: bool,
}

/// Reads all of them.
pub(super) fn read(root: &Section<'_, '_>, known: &Known<'_>) {
    agent(root);
    degradation(root);
    drills(root, known);
    guardrails(root);
    maintenance(root, known);
    alerting(root);
    deliveries(root);
    prometheus(root);
    clock(root);
}

/// A table of that name, with the finding that it is without effect.
fn table<'r, 't>(root: &Section<'r, 't>, name: &'static str, effect: &str) -> Option<Section<'r, 't>> {
    let entry = root.get(name)?;
    entry.reading.not_built(entry.place.clone(), name, format!("`[{name}]`: {effect}"));
    entry.section(format!("[{name}]"))
}

/// The tables of a list of that name, likewise.
fn tables<'r, 't>(root: &Section<'r, 't>, name: &'static str, effect: &str) -> Vec<Section<'r, 't>> {
    let Some(entry) = root.get(name) else { return Vec::new() };
    entry.reading.not_built(entry.place.clone(), name, format!("`[[{name}]]`: {effect}"));
    entry.sections(|number| format!("{name} {number}"))
}

fn agent(root: &Section<'_, '_>) {
    let Some(section) =
        table(root, "agent", "attaching to an agent is not built in this version; nobody can attach")
    else {
        return;
    };
    section.get("group").and_then(|entry| entry.line());
    section.get("operators").map(|entry| entry.lines());
    section.get("two_person").and_then(|entry| entry.flag());
    section.close();
}

fn degradation(root: &Section<'_, '_>) {
    let Some(section) =
        table(root, "degradation", "the degradation endpoint is not built in this version; nothing listens")
    else {
        return;
    };
    section.get("listen").and_then(|entry| entry.listen());
    section.get("public_url").and_then(|entry| entry.http_url());
    section.close();
}

fn drills(root: &Section<'_, '_>, known: &Known<'_>) {
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
    let _ = journey::action(section, &Names { vars: &vars, captured: &captured });
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

fn guardrails(root: &Section<'_, '_>) {
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

fn maintenance(root: &Section<'_, '_>, known: &Known<'_>) {
    for section in tables(
        root,
        "maintenance",
        "maintenance windows are not built in this version; alerts are not held back",
    ) {
        section.get("name").and_then(|entry| entry.line());
        let calendar = section.get("calendar");
        let rule = section.get("rrule");
        let given = usize::from(calendar.is_some()) + usize::from(rule.is_some());
        if given != 1 {
            section.error(
                "calendar",
                format!("{} has {given} of `calendar` and `rrule`", section.what()),
                "give it exactly one of them",
            );
        }
        if let Some(source) =
            calendar.and_then(|entry| entry.section(format!("the calendar of {}", entry.what)))
        {
            let urls = [source.get("statuspage"), source.get("ics")];
            if urls.iter().flatten().count() != 1 {
                source.error(
                    "ics",
                    format!("{} names no single source", source.what()),
                    "give it statuspage = \"https://…\" or ics = \"https://…\"",
                );
            }
            urls.iter().flatten().for_each(|entry| drop(entry.http_url()));
            source.get("refresh").and_then(|entry| entry.duration());
            source.close();
        }
        let duration = section.get("duration");
        if let Some(rule) = rule {
            rule.text();
            if duration.is_none() {
                section.error(
                    "duration",
                    format!("{} has an `rrule` and no `duration`", section.what()),
                    "say how long a window is",
                );
            }
        }
        duration.and_then(|entry| entry.duration());
        if let Some(entry) = section.get("match")
            && let Some(text) = entry.text()
            && let Err(error) = regex::Regex::new(text)
        {
            let error = error.to_string();
            entry.wrong(format!(
                "it must be a regular expression: {}",
                clean(error.lines().last().unwrap_or_default().trim_start_matches("error: "), 100)
            ));
        }
        if let Some(entry) = section.require(
            "scope",
            "name what it covers: \"all\", \"tier:1\", \"platform:NAME\" or \"component:ID\"",
        ) {
            scope(&entry, known);
        }
        section.get("longest").and_then(|entry| entry.duration());
        section.close();
    }
}

fn scope(entry: &Entry<'_, '_>, known: &Known<'_>) {
    let Some(text) = entry.line() else { return };
    let right = match text.split_once(':') {
        None => text == "all",
        Some(("tier", tier)) => matches!(tier, "1" | "2" | "3"),
        Some(("platform", name)) => known.platforms.named.iter().any(|known| known == name),
        Some(("component", id)) => known.components.contains_key(id),
        Some(_) => false,
    };
    if !right {
        entry.wrong("a scope is \"all\", \"tier:1\", \"platform:NAME\" or \"component:ID\" of this config");
    }
}

fn alerting(root: &Section<'_, '_>) {
    let Some(section) = table(root, "alerting", "alerts are not built in this version; nobody is paged")
    else {
        return;
    };
    let percent =
        |name| section.get(name).and_then(|entry: Entry<'_, '_>| Some((entry.integer(1..=100)?, entry)));
    let warning = percent("warning_below").map_or(90, |(value, _)| value);
    if let Some((critical, entry)) = percent("critical_below")
        && critical > warning
    {
        entry.wrong(format!("it must not be over `warning_below`, {warning}"));
    }
    section.get("warning_cycles").and_then(|entry| entry.integer(1..=1000));
    section.get("tier1_overrun").and_then(|entry| entry.integer(1..=100_000));
    section.close();
}

/// A URL that is written or, where it carries a key itself, a secret.
fn address(section: &Section<'_, '_>) {
    let Some(entry) = section.require("url", "say where it is sent") else { return };
    if entry.value.get_ref().is_table() {
        entry.secret();
    } else {
        entry.http_url();
    }
}

/// Headers or a bearer that would go there unencrypted.
fn secrets(section: &Section<'_, '_>) {
    let url = section
        .get("url")
        .filter(|entry| entry.value.get_ref().is_str())
        .and_then(|entry| super::values::http_url(entry.value.get_ref().as_str()?).ok());
    let mut secret = false;
    if let Some(headers) = section.get("headers").and_then(|entry| entry.section(entry.what.clone())) {
        for header in headers.entries() {
            header.header_name();
            secret |= matches!(header.header_text(), Some(super::model::Text::Secret(_)));
        }
    }
    secret |= section.get("bearer").is_some_and(|entry| entry.secret().is_some());
    secret |= section.get("token").is_some_and(|entry| entry.secret().is_some());
    if secret && url.is_some_and(|url| !is_confidential(&url)) {
        section.error(
            "url",
            format!("{} would send a secret unencrypted", section.what()),
            "write https in its url",
        );
    }
}

fn deliveries(root: &Section<'_, '_>) {
    for section in tables(root, "notify", "notifications are not built in this version; nobody is told") {
        let kinds =
            ["pagerduty", "alertmanager", "webhook", "heartbeat", "opsgenie", "servicenow", "slack", "teams"];
        let Some(kind) =
            section.require("kind", "for example kind = \"webhook\"").and_then(|entry| entry.word(&kinds))
        else {
            continue;
        };
        match kind {
            "pagerduty" => {
                section.require("routing_key", super::values::SECRET_CURE).and_then(|entry| entry.secret());
                section.get("url").and_then(|entry| entry.http_url());
            }
            "opsgenie" => {
                section.require("api_key", super::values::SECRET_CURE).and_then(|entry| entry.secret());
                section.get("url").and_then(|entry| entry.http_url());
            }
            _ => address(&section),
        }
        secrets(&section);
        if kind == "heartbeat" {
            section.get("every").and_then(|entry| entry.duration());
        } else {
            for on in section.get("on").and_then(|entry| entry.list()).unwrap_or_default() {
                on.word(&["warning", "critical"]);
            }
            let test = section.get("test");
            match test {
                Some(entry) => drop(entry.duration()),
                None => section.reading.warn(
                    section.place(),
                    "notify.test",
                    format!(
                        "{} ({kind}) is never tested: a target that broke is noticed when it is needed",
                        section.what()
                    ),
                    "add test = \"24h\" to send a test message so often",
                ),
            }
        }
        section.close();
    }
    for section in tables(root, "export", "exports are not built in this version; nothing is sent") {
        let kinds = ["rto-compliance", "influxdb", "prometheus-remote-write", "victoriametrics"];
        let Some(kind) =
            section.require("kind", "for example kind = \"influxdb\"").and_then(|entry| entry.word(&kinds))
        else {
            continue;
        };
        address(&section);
        secrets(&section);
        if kind == "influxdb" {
            let given: Vec<_> =
                ["database", "org", "bucket"].into_iter().filter_map(|name| section.get(name)).collect();
            for entry in &given {
                entry.line();
            }
            let names: Vec<_> = given.iter().map(|entry| entry.name).collect();
            if names != ["database"] && names != ["org", "bucket"] {
                section.error(
                    "database",
                    format!("{} names no place to write to", section.what()),
                    "give it database (v1), or org, bucket and token (v2)",
                );
            }
        }
        section.close();
    }
}

fn prometheus(root: &Section<'_, '_>) {
    let Some(section) =
        table(root, "prometheus", "the metrics endpoint is not built in this version; nothing listens")
    else {
        return;
    };
    section.get("listen").and_then(|entry| entry.listen());
    section.close();
}

fn clock(root: &Section<'_, '_>) {
    let Some(section) =
        table(root, "clock", "the clock guard is not built in this version; the clock's state is unknown")
    else {
        return;
    };
    section.get("ntp").map(|entry| entry.lines());
    section.get("platform").and_then(|entry| entry.flag());
    section.get("max_drift").and_then(|entry| entry.duration());
    section.get("every").and_then(|entry| entry.duration());
    section.close();
}
