//! What is allowed and yet doubtful, judged over the config as a whole.

use std::{collections::BTreeMap, time::Duration};

use super::{
    components::Read,
    model::{Action, Component, Measurement, Rate},
    platforms::Platforms,
    reading::Reading,
    sip::{SipAddress, SipTransport},
    values::in_words,
};
use crate::expression::clean;

/// When a SIP datagram that was not answered is sent again: T1 of RFC 3261 section 17.1.
const SENT_AGAIN: Duration = Duration::from_millis(500);

/// Warns about all of it.
pub(super) fn lint(
    reading: &Reading<'_>,
    components: &[Read],
    platforms: &Platforms,
    measurement: &Measurement,
) {
    one_target(reading, components);
    budgets(reading, components, platforms);
    let observable: BTreeMap<_, _> =
        components.iter().map(|read| (&read.component.id, read.component.health_step.is_some())).collect();
    for read in components {
        let component = &read.component;
        let key = |name: &str| format!("components.{}.{name}", component.id);
        let warn = |name: &str, message: String, cure: String| {
            reading.warn(read.place.clone(), &key(name), message, cure);
        };
        for (name, message, cure) in doubts(component, measurement) {
            warn(name, message, cure);
        }
        for dependency in &component.depends_on {
            if observable.get(dependency) == Some(&false) {
                warn(
                    "depends_on",
                    format!(
                        "component `{}` depends on `{dependency}`, which is never observed: none of its steps can be run",
                        component.id
                    ),
                    "give it a step of a kind that this version runs".to_owned(),
                );
            }
        }
    }
}

/// Doubts about one component: key, message, cure.
fn doubts(component: &Component, measurement: &Measurement) -> Vec<(&'static str, String, String)> {
    let mut doubts = Vec::new();
    let id = &component.id;
    let transaction = component.journey.iter().filter(|step| !step.cleanup).count();
    if transaction <= 1 {
        doubts.push((
            "journey",
            format!("the journey of component `{id}` is only a health step; the platform's own word is no transaction"),
            "add a step that does what a caller would do".to_owned(),
        ));
    }
    if component.health_step.is_none() {
        doubts.push((
            "journey",
            format!("component `{id}` is never observed: none of its steps can be run by this version"),
            "add an HTTP, SIP or TCP step".to_owned(),
        ));
    }
    let hasty = component.journey.iter().find(|step| {
        // What cannot be read yet may be UDP as well.
        let by_udp = |address: &str| {
            SipAddress::parse(address).map_or(true, |address| address.transport == SipTransport::Udp)
        };
        let sip = matches!(&step.action, Action::Sip(sip) if by_udp(sip.address.source()));
        sip && step.timeout <= SENT_AGAIN
    });
    if let Some(step) = hasty {
        doubts.push((
            "timeout",
            format!(
                "step \"{}\" of component `{id}` waits {}: a datagram that is lost is sent again after {}, too late for it",
                clean(&step.name, 60),
                in_words(step.timeout),
                in_words(SENT_AGAIN)
            ),
            "give it a timeout of a second or more".to_owned(),
        ));
    }
    let failover = &component.failover;
    if failover.served_by.is_none() && !failover.secondary.is_empty() {
        doubts.push((
            "failover",
            format!(
                "component `{id}` names a secondary and no `served_by`: a failover is inferred, never seen"
            ),
            "add served_by, for example served_by = 'headers[\"x-served-by\"]'".to_owned(),
        ));
    } else if failover.served_by.is_some() && failover.secondary.is_empty() {
        doubts.push((
            "failover",
            format!(
                "component `{id}` has `served_by` and names no secondary: no switch counts as a failover"
            ),
            "name the values of served_by that are the secondary".to_owned(),
        ));
    }
    let confirmed = component.cadence + component.burst * (measurement.failure_threshold.get() - 1);
    if confirmed > component.target_rto {
        doubts.push((
            "cadence",
            format!(
                "an outage of component `{id}` is confirmed after up to {}, later than its target of {}",
                in_words(confirmed),
                in_words(component.target_rto)
            ),
            "shorten its cadence".to_owned(),
        ));
    }
    doubts
}

/// One target for everything says that nobody thought about each.
fn one_target(reading: &Reading<'_>, components: &[Read]) {
    let [first, .., last] = components else { return };
    let target = first.component.target_rto;
    if components.len() < 3 || components.iter().any(|read| read.component.target_rto != target) {
        return;
    }
    reading.warn(
        last.place.clone(),
        "components.target_rto",
        format!("all {} components have the target {}", components.len(), in_words(target)),
        "give each the time within which it must really be restored",
    );
}

/// Cadences that ask for more requests than a platform's budget holds.
fn budgets(reading: &Reading<'_>, components: &[Read], platforms: &Platforms) {
    for (id, platform) in &platforms.read {
        let Some(rate) = platform.rate_limit else { continue };
        let mine = components.iter().filter(|read| read.component.platform.id == *id);
        let asked: f64 = mine.map(|read| per_minute(&read.component)).sum();
        let allowed = allowed_per_minute(rate);
        if asked <= allowed {
            continue;
        }
        let slowest = components
            .iter()
            .filter(|read| read.component.platform.id == *id && per_minute(&read.component) > 0.0)
            .map(|read| read.component.cadence)
            .min()
            .unwrap_or_default();
        let fitting = Duration::from_secs((slowest.as_secs_f64() * asked / allowed).ceil() as u64);
        reading.warn(
            platforms.places.get(id.as_str()).cloned().unwrap_or(0..0),
            &format!("platforms.{id}.rate_limit"),
            format!(
                "the journeys on platform `{id}` ask for {} requests a minute in peace, its rate_limit allows {}",
                asked.ceil(),
                allowed.floor()
            ),
            format!("a cadence of {} in place of {} would fit", in_words(fitting), in_words(slowest)),
        );
    }
}

/// Requests a minute that a component asks for in peace.
fn per_minute(component: &Component) -> f64 {
    let requests = component.journey.iter().filter(|step| matches!(step.action, Action::Http(_))).count();
    requests as f64 * 60.0 / component.cadence.as_secs_f64()
}

fn allowed_per_minute(rate: Rate) -> f64 {
    f64::from(rate.requests.get()) * 60.0 / rate.per.as_secs_f64()
}
