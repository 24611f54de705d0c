//! A `use` step becomes the steps of its preset.

use std::{collections::BTreeMap, ops::Range};

use toml::de::DeTable;

use super::{Presets, Source, is_name};
use crate::{
    config::{
        components,
        journey::{self, Carried, ReadStep, Surroundings, is_variable},
        model::{Failover, PlatformKind},
        reading::{Entry, Reading, Section, nearest},
    },
    expression::clean,
};

/// What a preset's steps may be given when they are taken.
struct Wish {
    /// Stands before the names of the steps.
    prefix: String,
    health: bool,
    parallel: bool,
    place: Range<usize>,
    key: String,
}

/// What a preset holds.
struct Preset {
    kind: Option<PlatformKind>,
    /// Its variables: name, what it is, and what it is unless told.
    vars: Vec<(String, String, Option<String>)>,
    /// Its steps with what they capture, and who serves as it sees it; `None` where something is wrong with them.
    body: Option<(journey::ReadJourney, Option<Failover>)>,
}

/// The steps of the preset that a `use` step names, under names of their own. `None` where something is wrong; it is
/// reported.
pub(in crate::config) fn take(
    mut section: Section<'_, '_>,
    around: &Surroundings<'_>,
    carried: &mut Carried,
    is_first: bool,
) -> Option<Vec<ReadStep>> {
    let key = section.key("").trim_end_matches('.').to_owned();
    let name = section.get("use").and_then(|entry| entry.text());
    let prefix = section.get("name").and_then(|entry| entry.line().map(str::to_owned));
    let prefix = prefix.or_else(|| Some(name?.rsplit('/').next()?.replace('-', " "))).unwrap_or_default();
    section.rename(format!("step \"{}\" of {}", clean(&prefix, 60), around.component), key.clone());
    let entry = section.get("use")?;
    let name = entry.line();
    let flag = |name| section.get(name).and_then(|entry: Entry<'_, '_>| Some((entry.flag()?, entry)));
    let health = flag("health").is_some_and(|(flag, _)| flag);
    let parallel = flag("parallel").is_some_and(|(flag, entry)| {
        if flag && is_first {
            entry.wrong("the first step has no step before it to run together with");
        }
        flag
    });
    let timeout = journey::timeout(&section, around);
    let wish = Wish { prefix, health, parallel, place: section.place(), key };
    let (reading, what) = (section.reading, section.what().to_owned());
    section.close();
    let name = name?;
    let Some(presets) = around.presets else {
        entry.error(
            format!("`use` of {what} stands in a preset"),
            "write the steps themselves: a preset takes no other",
        );
        return None;
    };
    let source = source(&entry, name, presets)?;
    if !carried.presets.insert(name.to_owned()) {
        entry.error(
            format!("{} takes the preset `{name}` twice", around.component),
            "make the second one a component of its own and let this one depend on it",
        );
        return None;
    }
    let inner = Reading::new(&source.file, &source.text);
    let preset = read(&inner, name, around, timeout, carried);
    let whole = inner.is_clean();
    reading.adopt(inner, &wish.place, &what);
    let preset = preset.filter(|_| whole)?;
    fits(&entry, name, &preset, around, carried).then(|| expand(preset, &wish, carried)).flatten()
}

/// The text of a preset; an unknown name is reported with the one that was probably meant.
fn source(entry: &Entry<'_, '_>, name: &str, presets: &Presets) -> Option<Source> {
    if !is_name(name) {
        entry.wrong("it must be a preset such as \"genesys/trunk\"");
        return None;
    }
    match presets.find(name) {
        Ok(Some(source)) => Some(source),
        Ok(None) => {
            let all = presets.names();
            let known: Vec<&str> = all.iter().map(String::as_str).collect();
            let platform = name.split_once('/').map_or(name, |(platform, _)| platform);
            let cure = nearest(name, &known).map_or_else(
                || {
                    let near: Vec<&str> = known
                        .iter()
                        .filter(|known| known.split_once('/').is_some_and(|(of, _)| of == platform))
                        .copied()
                        .collect();
                    format!("there is {}", (if near.is_empty() { known.clone() } else { near }).join(", "))
                },
                |near| format!("did you mean \"{near}\"?"),
            );
            entry.error(
                format!("`use` of {} is \"{}\", which is no preset", entry.what, clean(name, 60)),
                cure,
            );
            None
        }
        Err(finding) => {
            entry.reading.take_over(*finding, &entry.place, &entry.what);
            None
        }
    }
}

/// Reads the preset's document; what is wrong with it is in `reading`.
fn read(
    reading: &Reading<'_>,
    name: &str,
    around: &Surroundings<'_>,
    timeout: std::time::Duration,
    carried: &Carried,
) -> Option<Preset> {
    let (document, broken) = DeTable::parse_recoverable(reading.text());
    for error in &broken {
        let message = clean(error.message(), 200);
        let cure = "see https://toml.io for how it is written";
        reading.error(error.span().unwrap_or(0..0), "", format!("this is no TOML: {message}"), cure);
    }
    if !broken.is_empty() {
        return None;
    }
    let mut root = Section::root(reading, document.get_ref());
    let what = format!("preset `{name}`");
    root.rename(what.clone(), "");
    root.require("about", "say in one line what it proves").and_then(|entry| entry.line());
    let kind = root
        .require("kind", "say for which kind of platform it is: \"genesys\", \"cxone\" or \"http\"")
        .and_then(|entry| entry.word(&PlatformKind::ALL.map(PlatformKind::word)));
    let kind = PlatformKind::ALL.into_iter().find(|of| kind == Some(of.word()));
    for note in ["licence", "quota", "note"] {
        root.get(note).and_then(|entry| entry.text());
    }
    let vars = variables(&root, &what);
    let values =
        vars.iter().map(|(name, ..)| (name.clone(), value(name, around, carried).unwrap_or_default()));
    let values: BTreeMap<String, String> = values.collect();
    let inside = Surroundings {
        component: &what,
        vars: &values,
        timeout,
        cadence: around.cadence,
        presets: None,
        platform: around.platform,
    };
    let body = root.require("steps", "give it at least one step: [[steps]]").map(|entry| {
        let read = journey::read(&entry, &inside);
        for step in read.steps.iter().filter(|step| step.health) {
            let cure = "take `health` away: the first step of a preset is its health step";
            reading.error(step.place.clone(), &step.key, format!("a step of {what} says `health`"), cure);
        }
        if let Some(first) = read.steps.first().filter(|step| step.step.cleanup) {
            let message = format!("the first step of {what} cleans up, and it is the health step");
            reading.error(first.place.clone(), &first.key, message, "put it last");
        }
        read
    });
    let failover = root
        .get("failover")
        .zip(body.as_ref())
        .map(|(entry, read)| components::failover(&entry, &read.steps, Some(0), read.complete));
    root.close();
    Some(Preset { kind, vars, body: body.filter(|read| read.complete).map(|read| (read, failover)) })
}

/// `[vars.NAME]`: what the component has to say.
fn variables(root: &Section<'_, '_>, what: &str) -> Vec<(String, String, Option<String>)> {
    let Some(table) = root.get("vars").and_then(|entry| entry.section(format!("the vars of {what}"))) else {
        return Vec::new();
    };
    let mut vars = Vec::new();
    for entry in table.entries() {
        if !is_variable(entry.name) {
            entry.error(
                format!("`{}` in {} is no name for a variable", clean(entry.name, 60), entry.what),
                "a name is letters, digits and `_`, not beginning with a digit",
            );
        }
        let Some(var) = entry.section(format!("the variable `{}` of {what}", clean(entry.name, 60))) else {
            continue;
        };
        let about = var.require("about", "say what it is").and_then(|entry| entry.line());
        let default = var.get("default").and_then(|entry| entry.text());
        var.close();
        vars.push((entry.name.to_owned(), about.unwrap_or_default().to_owned(), default.map(str::to_owned)));
    }
    vars
}

/// The value that the component gives a variable, empty where an earlier step captures it.
fn value(name: &str, around: &Surroundings<'_>, carried: &Carried) -> Option<String> {
    around.vars.get(name).cloned().or_else(|| carried.has(name).then(String::new))
}

/// Whether the preset suits the component that takes it: its platform, its variables, its captures.
fn fits(
    entry: &Entry<'_, '_>,
    name: &str,
    preset: &Preset,
    around: &Surroundings<'_>,
    carried: &mut Carried,
) -> bool {
    let mut fits = true;
    let mut refuse = |message: String, cure: String| {
        entry.error(format!("`use` of {} is \"{name}\", {message}", entry.what), cure);
        fits = false;
    };
    if let (Some(mine), Some(theirs)) = (around.platform, preset.kind)
        && mine != theirs
    {
        refuse(
            format!("which is for a platform of kind \"{}\"; this one is \"{}\"", theirs.word(), mine.word()),
            "name a component's own kind of platform, or take another preset".to_owned(),
        );
    }
    for (var, about, default) in &preset.vars {
        if value(var, around, carried).is_some() {
            continue;
        }
        let Some(default) = default else {
            refuse(
                format!("which needs `{var}`: {}", clean(about, 200)),
                format!("add it to the component's vars: vars = {{ {var} = \"…\" }}"),
            );
            continue;
        };
        match carried.defaults.get(var) {
            Some(other) if other != default => refuse(
                format!(
                    "whose `{var}` is \"{}\" unless told; another preset's is \"{}\"",
                    clean(default, 60),
                    clean(other, 60)
                ),
                format!("add {var} to the component's vars"),
            ),
            _ => drop(carried.defaults.insert(var.clone(), default.clone())),
        }
    }
    let captures = preset.body.iter().flat_map(|(read, _)| &read.steps).flat_map(|step| &step.step.capture);
    for (capture, _) in captures.filter(|(capture, _)| around.vars.contains_key(capture)) {
        refuse(
            format!("which captures `{capture}`; the component's vars have one of that name"),
            "give the component's another name".to_owned(),
        );
    }
    fits
}

/// The preset's steps as those of the journey.
fn expand(preset: Preset, wish: &Wish, carried: &mut Carried) -> Option<Vec<ReadStep>> {
    let (read, failover) = preset.body?;
    let (inner, mut steps) = (read.carried, read.steps);
    for (number, step) in steps.iter_mut().enumerate() {
        step.step.name = format!("{}: {}", wish.prefix, step.step.name).into();
        (step.place, step.key) = (wish.place.clone(), wish.key.clone());
        step.health = wish.health && number == 0;
        step.step.parallel |= wish.parallel && number == 0;
    }
    carried.join(inner, wish.parallel, steps.iter().filter(|step| !step.step.parallel).count() > 1);
    if let Some(failover) = failover {
        let step = failover.step.unwrap_or(0);
        carried.failovers.push((steps.get(step).map(|step| step.step.name.clone())?, failover));
    }
    Some(steps)
}
