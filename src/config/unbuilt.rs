//! Sections whose function is not built in this version: read and checked like all others, then left alone.

use std::collections::BTreeMap;

use super::{
    components::Named,
    platforms::Platforms,
    reading::{Entry, Section},
    values::is_confidential,
};
use crate::expression::clean;

mod drills;

/// What the other sections have named.
pub(super) struct Known<'a> {
    pub(super) components: &'a BTreeMap<String, Named>,
    pub(super) platforms: &'a Platforms,
    pub(super) production: bool,
}

/// Reads all of them.
pub(super) fn read(root: &Section<'_, '_>, known: &Known<'_>) {
    degradation(root);
    drills::read(root, known);
    drills::guardrails(root);
    maintenance(root, known);
    alerting(root);
    deliveries(root);
    prometheus(root);
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
