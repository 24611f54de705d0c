//! What is allowed and yet doubtful, judged over the config as a whole.

pub(crate) mod budget;

use std::time::Duration;

use super::{
    components::Read,
    model::{Action, Component, Measurement},
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
    budget::lint(reading, components, platforms);
    for read in components {
        let component = &read.component;
        let key = |name: &str| format!("components.{}.{name}", component.id);
        let warn = |name: &str, message: String, cure: String| {
            reading.warn(read.place.clone(), &key(name), message, cure);
        };
        for (name, message, cure) in doubts(component, measurement) {
            warn(name, message, cure);
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
