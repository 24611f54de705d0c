//! Whether cadences and bursts fit a platform's rate budget, and what would.
//!
//! Counted are the requests of a journey, clean-up included: a polled step as two, because its first look rarely finds
//! the result; an answer that several components share once for each of its intervals.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    config::{
        components::Read,
        model::{Action, Body, Component, HttpAction, JsonTemplate, Platform, PlatformKind, Step},
        platforms::Platforms,
        reading::Reading,
        template::{Place, Template},
        values::in_words,
    },
    domain::Tier,
};

/// What Genesys Cloud allows one OAuth client in a minute where nothing else was agreed
/// (`client.credentials.token.rate.per.minute`).
const GENESYS_PER_MINUTE: f64 = 300.0;

/// The share of the budget that outages can have while others wait: the rest goes to whoever has waited longest.
const FOR_OUTAGES: f64 = 0.75;

/// Warns about every platform whose budget is too small.
pub(super) fn lint(reading: &Reading<'_>, components: &[Read], platforms: &Platforms) {
    for (id, platform) in &platforms.read {
        for (message, cure) in demand(platform, components.iter().map(|read| &read.component)).doubts {
            reading.warn(
                platforms.places.get(id.as_str()).cloned().unwrap_or(0..0),
                &format!("platforms.{id}.rate_limit"),
                message,
                cure,
            );
        }
    }
}

/// What a config asks of a platform.
pub(crate) struct Demand {
    /// Requests a minute in peace.
    pub(crate) per_minute: f64,
    /// Requests a minute that are allowed and whose word that is, where anything is known.
    pub(crate) allowed: Option<(f64, &'static str)>,
    /// What does not fit, and what would.
    pub(crate) doubts: Vec<(String, String)>,
}

/// What these components ask of a platform; those of other platforms are left out.
pub(crate) fn demand<'a>(platform: &Platform, components: impl Iterator<Item = &'a Component>) -> Demand {
    let mine: Vec<&Component> =
        components.filter(|one| one.platform.id == platform.id && requests(one) > 0).collect();
    let per_minute = per_minute(&mine);
    let Some(limit) = Limit::of(platform) else {
        return Demand { per_minute, allowed: None, doubts: Vec::new() };
    };
    let doubts = in_peace(&mine, &limit).map_or_else(|| in_trouble(&mine, &limit), |doubt| vec![doubt]);
    Demand { per_minute, allowed: Some((limit.per_minute, limit.whose)), doubts }
}

/// Requests that one whole run of a component's journey probably sends, no answer shared.
pub(crate) fn of_one_run(component: &Component) -> f64 {
    component.journey.iter().filter(|step| matches!(step.action, Action::Http(_))).map(looks).sum()
}

/// What a platform allows.
struct Limit<'a> {
    platform: &'a Platform,
    per_minute: f64,
    /// Whose word that is.
    whose: &'static str,
}

impl<'a> Limit<'a> {
    fn of(platform: &'a Platform) -> Option<Self> {
        let own =
            platform.rate_limit.map(|rate| f64::from(rate.requests.get()) * 60.0 / rate.per.as_secs_f64());
        let documented = (platform.kind == PlatformKind::Genesys).then_some(GENESYS_PER_MINUTE);
        let (per_minute, whose) = match (own, documented) {
            (Some(own), _) => (own, "its rate_limit allows"),
            (None, Some(documented)) => (documented, "Genesys Cloud allows one client"),
            (None, None) => return None,
        };
        Some(Self { platform, per_minute, whose })
    }
}

/// Cadences that ask for more requests than there are.
fn in_peace(components: &[&Component], limit: &Limit<'_>) -> Option<(String, String)> {
    let asked = per_minute(components);
    if asked <= limit.per_minute {
        return None;
    }
    let fastest = components.iter().map(|component| component.cadence).min()?;
    let fitting = Duration::from_secs((fastest.as_secs_f64() * asked / limit.per_minute).ceil() as u64);
    let sharing =
        if components.iter().filter(|one| one.journey.iter().any(|step| step.shared.is_none())).count() > 10
            && limit.platform.kind == PlatformKind::Genesys
        {
            ", or a listing that many share (`shared`)"
        } else {
            ""
        };
    Some((
        format!(
            "the journeys on platform `{}` ask for {} requests a minute in peace, {} {}",
            limit.platform.id,
            asked.ceil(),
            limit.whose,
            limit.per_minute.floor()
        ),
        cure(components, fastest, fitting, asked) + sharing,
    ))
}

/// What would fit; tier 1 must be looked at every ten seconds, whatever the budget.
fn cure(components: &[&Component], fastest: Duration, fitting: Duration, asked: f64) -> String {
    let first = components.iter().any(|one| one.cadence == fastest && one.tier == Tier::One);
    if first && fitting >= Duration::from_secs(10) {
        return format!(
            "no cadence that tier 1 allows (under 10s) would fit: ask for {} requests a minute, or take fewer steps",
            asked.ceil()
        );
    }
    format!("a cadence of {} in place of {} would fit", in_words(fitting), in_words(fastest))
}

/// Bursts that the budget makes so slow that they are hardly any: of one outage, and of a whole tier at once.
fn in_trouble(components: &[&Component], limit: &Limit<'_>) -> Vec<(String, String)> {
    let mut doubts = Vec::new();
    let peace = per_minute(components);
    // While the health step fails the burst asks for it alone.
    let worst = components.iter().filter(|one| stretched(1, one, peace, limit) * 2 > one.cadence);
    if let Some(worst) = worst.min_by_key(|one| one.burst) {
        doubts.push((
            format!(
                "an outage of component `{}` is probed every {}, not every {}: {} {} requests a minute",
                worst.id,
                in_words(tenths(stretched(1, worst, peace, limit))),
                in_words(worst.burst),
                limit.whose,
                limit.per_minute.floor()
            ),
            format!("ask for {} a minute, or lengthen the other cadences", needed(1, worst, peace)),
        ));
        return doubts;
    }
    for tier in Tier::ALL {
        let all: Vec<&&Component> = components.iter().filter(|one| one.tier == tier).collect();
        let count = looks_at_health(&all);
        let Some(fastest) = all.into_iter().min_by_key(|one| one.cadence) else { continue };
        let interval = stretched(count, fastest, peace, limit);
        if count > 1 && interval * 4 > fastest.cadence * 3 {
            doubts.push((
                format!(
                    "if all components of tier {tier} on platform `{}` fail at once, each is probed every {}, hardly faster than in peace: {} {} requests a minute",
                    limit.platform.id,
                    in_words(tenths(interval)),
                    limit.whose,
                    limit.per_minute.floor()
                ),
                format!("ask for {} a minute, or spread them over several clients", needed(count, fastest, peace)),
            ));
        }
    }
    doubts
}

/// Requests with which the health of all of them is looked at once: a shared answer serves all that share it.
fn looks_at_health(components: &[&&Component]) -> usize {
    let mut listings = BTreeSet::new();
    let mut own = 0;
    for component in components {
        let Some(step) = component.health_step.and_then(|place| component.journey.get(place)) else {
            continue;
        };
        match &step.action {
            Action::Http(http) if step.shared.is_some() => {
                listings.insert(listing(component, http));
            }
            Action::Http(_) => own += 1,
            _ => {}
        }
    }
    own + listings.len()
}

/// The interval of so many bursts like this one's at once.
fn stretched(count: usize, component: &Component, peace: f64, limit: &Limit<'_>) -> Duration {
    let for_outages = (limit.per_minute - peace).max(limit.per_minute * FOR_OUTAGES);
    component.burst.max(Duration::from_secs_f64(60.0 * count as f64 / for_outages))
}

/// Requests a minute with which so many outages at once are still probed twice as often as in peace.
fn needed(count: usize, component: &Component, peace: f64) -> f64 {
    let wanted = 2.0 * count as f64 * 60.0 / component.cadence.as_secs_f64();
    (peace + wanted).max(wanted / FOR_OUTAGES).ceil()
}

fn tenths(interval: Duration) -> Duration {
    Duration::from_millis((interval.as_millis() as u64).div_ceil(100) * 100)
}

/// Requests a minute of all of them in peace.
fn per_minute(components: &[&Component]) -> f64 {
    let mut listings: BTreeMap<String, Duration> = BTreeMap::new();
    let mut own = 0.0;
    for component in components {
        for step in &component.journey {
            let Action::Http(http) = &step.action else { continue };
            if step.shared.is_some() {
                let cadence = listings.entry(listing(component, http)).or_insert(component.cadence);
                *cadence = component.cadence.min(*cadence);
            } else {
                own += looks(step) / component.cadence.as_secs_f64();
            }
        }
    }
    60.0 * (own + listings.values().map(|cadence| 1.0 / cadence.as_secs_f64()).sum::<f64>())
}

/// What makes two shared answers the same.
fn listing(component: &Component, http: &HttpAction) -> String {
    let mut key = format!("{} {:?}", http.method, http.url.render(&component.vars, Place::Url));
    let mut add = |text: &Template| {
        let text = text.render(&component.vars, Place::Plain).unwrap_or_else(|_| text.source().to_owned());
        key.push('\n');
        key.push_str(&text);
    };
    http.headers.iter().for_each(|(_, text)| add(text));
    match &http.body {
        Some(Body::Text(text)) => add(text),
        Some(Body::Json(json)) => texts(json, &mut add),
        None => {}
    }
    key
}

/// Every text of a body; what else stands in it is the same wherever its texts are.
fn texts(json: &JsonTemplate, add: &mut impl FnMut(&Template)) {
    match json {
        JsonTemplate::Literal(_) => {}
        JsonTemplate::Text(text) => add(text),
        JsonTemplate::Array(items) => items.iter().for_each(|item| texts(item, add)),
        JsonTemplate::Object(fields) => fields.iter().for_each(|(_, item)| texts(item, add)),
    }
}

/// Requests that a step probably sends.
fn looks(step: &Step) -> f64 {
    if step.retry.is_some() { 2.0 } else { 1.0 }
}

fn requests(component: &Component) -> usize {
    component.journey.iter().filter(|step| matches!(step.action, Action::Http(_))).count()
}
