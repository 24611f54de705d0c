//! `[[components]]`: what is measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use super::{
    journey::{self, ReadJourney, ReadStep, Surroundings, is_variable},
    model::{Action, Component, Failover, Platform},
    platforms::Platforms,
    presets::Presets,
    reading::{Entry, Section, nearest},
    settings::{Paces, check_tier_one},
    values::in_words,
};
use crate::{
    domain::{ComponentCard, ComponentId, PlatformId, StepCard, Tier},
    expression::{self, clean},
};

/// Every component that could be read, and what later checks need of all of them.
#[derive(Default)]
pub(super) struct Components {
    /// Those without an error that hides them, in the order of the file.
    pub(super) read: Vec<Read>,
    /// Ids that stand in the file, readable or not, with their vars and target.
    pub(super) named: BTreeMap<String, Named>,
    /// Whether every one could be read.
    pub(super) complete: bool,
}

/// One component as it was read.
pub(super) struct Read {
    pub(super) component: Component,
    pub(super) card: ComponentCard,
    pub(super) place: Range<usize>,
}

/// What drills need to know of a component.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) vars: BTreeSet<String>,
    pub(super) target: Option<Duration>,
    pub(super) protected: bool,
    /// Its dependencies with their places.
    depends_on: Vec<(String, Range<usize>)>,
}

/// Reads `[[components]]`.
pub(super) fn read(
    root: &Section<'_, '_>,
    platforms: &Platforms,
    presets: &Presets,
    paces: &Paces,
) -> Components {
    let mut components = Components { complete: true, ..Components::default() };
    let Some(entry) = root.require(
        "components",
        "say what is measured: [[components]] with id, platform, tier, target_rto and journey",
    ) else {
        return components;
    };
    let sections = entry.sections(|number| format!("component {number}"));
    if sections.is_empty() {
        components.complete = false;
        entry.error(
            "there is nothing to measure: `components` is empty",
            "add [[components]] with id, platform, tier, target_rto and journey",
        );
    }
    for (number, section) in sections.into_iter().enumerate() {
        match component(section, number, (platforms, presets), paces, &mut components.named) {
            Some(read) => components.read.push(read),
            None => components.complete = false,
        }
    }
    check_dependencies(root, &components.named);
    components
}

fn component(
    mut section: Section<'_, '_>,
    number: usize,
    (platforms, presets): (&Platforms, &Presets),
    paces: &Paces,
    all: &mut BTreeMap<String, Named>,
) -> Option<Read> {
    let place = section.place();
    let id = identify(&mut section, number, all);
    let platform = platform(&section, platforms);
    let tier = tier(&section);
    let target = target(&section, tier);
    let mut vars = section.get("vars").map(|entry| variables(&entry)).unwrap_or_default();
    let depends: Vec<(String, Range<usize>)> = section
        .get("depends_on")
        .and_then(|entry| entry.list())
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| Some((entry.line()?.to_owned(), entry.place.clone())))
        .collect();
    let protected = section.get("protected").and_then(|entry| entry.flag()).unwrap_or(false);
    if let Some(id) = &id {
        let named =
            Named { vars: vars.keys().cloned().collect(), target, protected, depends_on: depends.clone() };
        all.entry(id.clone()).or_insert(named);
    }
    let pace = pace(&section, tier, paces);
    let line = |name| section.get(name).and_then(|entry: Entry<'_, '_>| entry.line().map(str::to_owned));
    let name = line("name");
    let (owner, runbook) = (line("owner"), line("runbook"));
    let kinds = ["flow", "trunk", "queue", "dashboard", "api", "data", "batch", "other"];
    let kind = section.get("kind").and_then(|entry| entry.word(&kinds)).unwrap_or("other");
    let shares = section.get("shares").map(|entry| entry.lines()).unwrap_or_default();
    let what = section.what().to_owned();
    let around = Surroundings {
        component: &what,
        vars: &vars,
        timeout: pace.timeout,
        cadence: pace.cadence,
        presets: Some(presets),
        platform: platform.as_ref().map(|platform| platform.kind),
    };
    let ReadJourney { steps, complete, carried } = section
        .require("journey", "give it at least one step, for example journey = [{ name = \"ready\", get = \"/ready\", expect = ['status == 200'] }]")
        .map(|entry| journey::read(&entry, &around))
        .unwrap_or_default();
    let health_step = complete.then(|| health_step(&section, &steps)).flatten();
    let failover = section
        .get("failover")
        .map(|entry| failover(&entry, &steps, health_step, complete))
        .unwrap_or_default();
    let failover = with_preset(failover, &steps, carried.failovers);
    vars.extend(carried.defaults);
    if let Some(named) = id.as_ref().and_then(|id| all.get_mut(id)) {
        named.vars.extend(vars.keys().cloned());
    }
    section.close();
    let (id, platform, tier, target_rto) = (id?, platform?, tier?, target?);
    let health_step = health_step?;
    let id = ComponentId::new(id);
    let name: Arc<str> = Arc::from(name.as_deref().unwrap_or(id.as_str()));
    let card = ComponentCard {
        id: id.clone(),
        name: Arc::clone(&name),
        platform: platform.id.clone(),
        tier,
        target_rto,
        kind: kind.to_owned(),
        cadence: pace.cadence,
        burst: pace.burst,
        steps: steps.iter().enumerate().map(|(place, step)| step_card(step, health_step == place)).collect(),
        depends_on: depends.iter().map(|(id, _)| ComponentId::new(id)).collect(),
        shares,
        owner,
        runbook,
        protected,
        mechanism: failover.mechanism.clone(),
        primary: failover.primary.clone(),
        secondary: failover.secondary.clone(),
        observable: true,
    };
    let component = Component {
        id,
        name,
        platform,
        tier,
        target_rto,
        cadence: pace.cadence,
        burst: pace.burst,
        vars,
        depends_on: card.depends_on.clone(),
        failover,
        journey: steps.into_iter().map(|step| step.step).collect(),
        health_step: Some(health_step),
    };
    Some(Read { component, card, place })
}

/// The component's id, under which findings name it from then on.
fn identify(section: &mut Section<'_, '_>, number: usize, all: &BTreeMap<String, Named>) -> Option<String> {
    let id_entry = section.require("id", "give it an id of its own, for example id = \"crm_lookup\"");
    let id = id_entry.as_ref().and_then(Entry::id);
    let shown = id_entry.as_ref().and_then(|entry| entry.value.get_ref().as_str()).map(|id| clean(id, 60));
    if let Some(shown) = &shown {
        section.rename(format!("component `{shown}`"), format!("components.{shown}"));
    } else {
        section.rename(format!("component {}", number + 1), format!("components.{}", number + 1));
    }
    if let (Some(id), Some(entry)) = (&id, &id_entry)
        && all.contains_key(id)
    {
        entry.error(format!("two components have the id `{id}`"), "give each an id of its own");
    }
    id
}

fn platform(section: &Section<'_, '_>, platforms: &Platforms) -> Option<Arc<Platform>> {
    let entry = section.require("platform", "name one of [platforms]")?;
    let name = entry.line()?;
    if !platforms.named.iter().any(|known| known == name) {
        let known: Vec<_> = platforms.named.iter().map(String::as_str).collect();
        let cure = nearest(name, &known).map_or_else(
            || {
                format!(
                    "there is {}",
                    known.iter().map(|name| format!("`{}`", clean(name, 60))).collect::<Vec<_>>().join(", ")
                )
            },
            |near| format!("did you mean `{}`?", clean(near, 60)),
        );
        let message = format!(
            "`platform` of {} is \"{}\", which [platforms] does not have",
            entry.what,
            clean(name, 60)
        );
        entry.error(message, if known.is_empty() { "add it to [platforms]".to_owned() } else { cure });
        return None;
    }
    platforms.read.get(&PlatformId::new(name)).cloned()
}

fn tier(section: &Section<'_, '_>) -> Option<Tier> {
    let entry = section.require("tier", "it is 1, 2 or 3")?;
    let number = entry.integer(1..=3)?;
    Tier::ALL.into_iter().find(|tier| u32::from(tier.number()) == number)
}

fn target(section: &Section<'_, '_>, tier: Option<Tier>) -> Option<Duration> {
    let entry = section.require(
        "target_rto",
        "say within which time it must be restored, for example target_rto = \"60s\"",
    )?;
    let target = entry.duration()?;
    let tier = tier?;
    if tier.admits(target) {
        return Some(target);
    }
    let fitting = Tier::ALL.into_iter().find(|tier| tier.admits(target));
    let other = fitting.map_or_else(String::new, |tier| format!(", or make it tier {tier}"));
    entry.wrong(format!("tier {tier} takes {}{other}", tier.band()));
    None
}

fn variables(entry: &Entry<'_, '_>) -> BTreeMap<String, String> {
    let Some(section) = entry.section(format!("the vars of {}", entry.what)) else { return BTreeMap::new() };
    let mut vars = BTreeMap::new();
    for var in section.entries() {
        if !is_variable(var.name) {
            var.error(
                format!("`{}` in {} is no name for a variable", clean(var.name, 60), var.what),
                "a name is letters, digits and `_`, not beginning with a digit",
            );
        }
        let value = match var.value.get_ref() {
            toml::de::DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            _ => var.text().map(str::to_owned),
        };
        // A wrong value still defines its name, so that the steps that use it are not reported too.
        vars.insert(var.name.to_owned(), value.unwrap_or_default());
    }
    vars
}

struct Pace {
    cadence: Duration,
    burst: Duration,
    timeout: Duration,
}

fn pace(section: &Section<'_, '_>, tier: Option<Tier>, paces: &Paces) -> Pace {
    let tiers = paces.tiers[tier.map_or(1, Tier::index)];
    let cadence_entry = section.get("cadence");
    let cadence = cadence_entry.as_ref().and_then(Entry::duration);
    if let (Some(Tier::One), Some(cadence), Some(entry)) = (tier, cadence, &cadence_entry) {
        check_tier_one(entry, cadence);
    }
    let cadence = cadence.unwrap_or(tiers.cadence);
    let burst = section.get("burst").and_then(|entry| {
        let burst = entry.duration()?;
        if burst > cadence {
            entry.wrong(format!("it must not be longer than the cadence, {}", in_words(cadence)));
        }
        Some(burst)
    });
    let timeout = section.get("timeout").and_then(|entry| {
        let timeout = entry.duration()?;
        if timeout > cadence {
            entry.wrong(format!("it must not be longer than the cadence, {}", in_words(cadence)));
        }
        Some(timeout)
    });
    if let (None, Some((place, general)), Some(tier)) = (timeout, &paces.timeout, tier)
        && *general > cadence
    {
        section.reading.error(
            place.clone(),
            "measurement.timeout",
            format!(
                "`timeout` of [measurement] is \"{}\", longer than the cadence of {} in tier {tier}, {}",
                in_words(*general),
                section.what(),
                in_words(cadence)
            ),
            "shorten it, or give the component a timeout of its own",
        );
    }
    let general = paces.timeout.as_ref().map_or(Duration::from_secs(5), |(_, timeout)| *timeout);
    Pace {
        cadence,
        burst: burst.unwrap_or(tiers.burst).min(cadence),
        timeout: timeout.unwrap_or(general).min(cadence),
    }
}

/// Place of the step by which the component is judged alone, where that can be said.
fn health_step(section: &Section<'_, '_>, steps: &[ReadStep]) -> Option<usize> {
    let mut declared = steps.iter().enumerate().filter(|(_, step)| step.health);
    let first = declared.next();
    if let Some((_, second)) = declared.next() {
        section.reading.error(
            second.place.clone(),
            &second.key,
            format!("{} has two steps with health = true", section.what()),
            "keep one of them",
        );
        return None;
    }
    let (place, step) = first.or_else(|| steps.iter().enumerate().next())?;
    if step.step.cleanup {
        if !step.health {
            section.reading.error(
                step.place.clone(),
                &step.key,
                format!("the first step of {} cleans up and cannot be the health step", section.what()),
                "put it last, or mark another step with health = true",
            );
        }
        return None;
    }
    Some(place)
}

pub(super) fn failover(
    entry: &Entry<'_, '_>,
    steps: &[ReadStep],
    health: Option<usize>,
    complete: bool,
) -> Failover {
    let Some(section) = entry.section(format!("the failover of {}", entry.what)) else {
        return Failover::default();
    };
    let mechanism = section.get("mechanism").and_then(|entry| entry.line().map(str::to_owned));
    let step = section.get("step").and_then(|entry| {
        let name = entry.line()?;
        let place = steps.iter().position(|step| &*step.step.name == name);
        if place.is_none() && complete {
            let names: Vec<_> =
                steps.iter().map(|step| format!("\"{}\"", clean(&step.step.name, 60))).collect();
            entry.wrong(format!("the journey has no step of that name; it has {}", names.join(", ")));
        }
        place
    });
    let roots = match step.or(health).and_then(|place| steps.get(place)).map(|step| &step.step.action) {
        Some(Action::Tcp(_)) => expression::TCP,
        Some(Action::Sip(_)) => expression::SIP,
        Some(Action::Http(_)) | None => expression::HTTP,
    };
    let served_by = section.get("served_by").and_then(|entry| entry.expression(roots));
    let lines = |name| section.get(name).map(|entry: Entry<'_, '_>| entry.lines()).unwrap_or_default();
    let (primary, secondary) = (lines("primary"), lines("secondary"));
    if let Some(both) = primary.iter().find(|value| secondary.contains(value)) {
        section.error(
            "secondary",
            format!("{} names `{}` as primary and as secondary", section.what(), clean(both, 60)),
            "keep it in one of them",
        );
    }
    section.close();
    Failover { mechanism, served_by, step, primary, secondary }
}

/// Who serves as a preset sees it, where the component does not say it itself and a secondary is known: the first preset
/// that can tell, or that of the step which the component names.
fn with_preset(mut own: Failover, steps: &[ReadStep], presets: Vec<(Arc<str>, Failover)>) -> Failover {
    if own.served_by.is_some() {
        return own;
    }
    let place = |name: &Arc<str>| steps.iter().position(|step| step.step.name == *name);
    let mut told = presets.into_iter().map(|(name, failover)| (place(&name), failover));
    let Some((step, preset)) = told.find(|(step, _)| own.step.is_none() || own.step == *step) else {
        return own;
    };
    if own.secondary.is_empty() && preset.secondary.is_empty() {
        return own;
    }
    own.step = step;
    own.served_by = preset.served_by;
    own.mechanism = own.mechanism.or(preset.mechanism);
    if own.secondary.is_empty() && own.primary.is_empty() {
        (own.primary, own.secondary) = (preset.primary, preset.secondary);
    } else if own.secondary.is_empty() {
        own.secondary = preset.secondary;
    }
    own
}

fn step_card(step: &ReadStep, health: bool) -> StepCard {
    StepCard {
        name: Arc::clone(&step.step.name),
        what: step.what.clone(),
        health,
        parallel: step.step.parallel,
        cleanup: step.step.cleanup,
    }
}

/// Unknown dependencies, and cycles, each named whole once.
fn check_dependencies(root: &Section<'_, '_>, all: &BTreeMap<String, Named>) {
    let known: Vec<_> = all.keys().map(String::as_str).collect();
    for (id, named) in all {
        for (wanted, place) in &named.depends_on {
            if all.contains_key(wanted) {
                continue;
            }
            let cure = nearest(wanted, &known).map_or_else(
                || "name the id of another component".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!(
                "`depends_on` of component `{id}` names `{}`, which is no component",
                clean(wanted, 60)
            );
            root.reading.error(place.clone(), &format!("components.{id}.depends_on"), message, cure);
        }
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for id in all.keys() {
        follow(root, all, id, &mut done);
    }
}

fn follow<'a>(
    root: &Section<'_, '_>,
    all: &'a BTreeMap<String, Named>,
    start: &'a str,
    done: &mut BTreeSet<&'a str>,
) {
    // An own stack: a chain of dependencies may be longer than the thread's.
    let mut stack: Vec<(&'a str, usize)> = vec![(start, 0)];
    while let Some((id, next)) = stack.last_mut() {
        let id = *id;
        if done.contains(id) {
            stack.pop();
            continue;
        }
        let Some((wanted, place)) = all.get(id).and_then(|named| named.depends_on.get(*next)) else {
            done.insert(id);
            stack.pop();
            continue;
        };
        *next += 1;
        if let Some(begin) = stack.iter().position(|(on, _)| on == wanted) {
            let mut cycle: Vec<_> = stack[begin..].iter().map(|(on, _)| *on).collect();
            cycle.push(wanted);
            root.reading.error(
                place.clone(),
                &format!("components.{id}.depends_on"),
                format!("components depend on each other in a circle: {}", cycle.join(" → ")),
                "take one of these dependencies away",
            );
        } else if let Some((wanted, _)) = all.get_key_value(wanted.as_str())
            && !done.contains(wanted.as_str())
        {
            stack.push((wanted, 0));
        }
    }
}
