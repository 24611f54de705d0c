//! Each step of each component, once: one probe of the whole journey, its clean-up included.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::millis;
use crate::{
    clock::SharedClock,
    config::{
        lint::budget::{demand, of_one_run},
        model::{Component, Config},
    },
    domain::{
        PlatformId, ProbeReport, StepState, Verdict,
        diagnosis::{Area, Finding},
    },
    probe::{Client, Journey, budget::Refusal, journey::Signals},
};

/// How long a platform that throttles us is waited for, all waits together.
const FOR_THROTTLES: Duration = Duration::from_mins(1);
/// The least time between two journeys on one platform beside an engine that measures.
const APART: Duration = Duration::from_millis(250);
/// Beside such an engine the examination takes this part of the budget.
const PART: f64 = 10.0;

/// Platforms are asked beside each other, components of one platform one after the other; `beside` an engine that
/// measures, with pauses that leave it its budget. None begins after `stop`.
pub(super) async fn examine(
    config: &Config,
    clients: &[Arc<Client>],
    clock: &SharedClock,
    beside: bool,
    stop: &CancellationToken,
) -> Vec<Finding> {
    let mut by_platform: BTreeMap<&PlatformId, Vec<&Arc<Component>>> = BTreeMap::new();
    for component in &config.components {
        by_platform.entry(&component.platform.id).or_default().push(component);
    }
    let platforms = by_platform.into_iter().filter_map(|(id, components)| {
        let client = clients.iter().find(|client| client.platform() == id)?;
        let allowed = config
            .platforms
            .get(id)
            .and_then(|platform| demand(platform, components.iter().map(|component| &***component)).allowed);
        let pause = move |component: &Component| {
            if beside {
                pause(of_one_run(component), allowed.map(|(allowed, _)| allowed))
            } else {
                Duration::ZERO
            }
        };
        Some(one_platform(components, client, clock, pause, stop))
    });
    join_all(platforms).await.into_iter().flatten().collect()
}

/// The time to the next journey after one with so many requests.
fn pause(requests: f64, per_minute: Option<f64>) -> Duration {
    let share = per_minute.map(|allowed| Duration::from_secs_f64(PART * requests * 60.0 / allowed));
    share.unwrap_or_default().max(APART)
}

async fn one_platform(
    components: Vec<&Arc<Component>>,
    client: &Arc<Client>,
    clock: &SharedClock,
    pause: impl Fn(&Component) -> Duration,
    stop: &CancellationToken,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut patience = FOR_THROTTLES;
    for (place, component) in components.iter().enumerate() {
        if let Some(wait) = client.budget.throttled_for() {
            let Some(left) = patience.checked_sub(wait) else {
                findings.push(left_out(client.platform(), &components[place..], wait));
                break;
            };
            patience = left;
            stop.run_until_cancelled(sleep(wait)).await;
        }
        if stop.is_cancelled() {
            break;
        }
        findings.extend(probe(component, client, clock, stop).await);
        if place + 1 < components.len() {
            stop.run_until_cancelled(sleep(pause(component))).await;
        }
    }
    findings
}

/// The platform asks for more patience than there is.
fn left_out(platform: &PlatformId, components: &[&Arc<Component>], wait: Duration) -> Finding {
    let ids: Vec<&str> = components.iter().map(|component| component.id.as_str()).collect();
    let what = format!(
        "the platform throttles us for {} s more; not examined: {}",
        wait.as_secs_f64().ceil(),
        ids.join(", ")
    );
    let cure =
        "examine it again later; if it happens again, lengthen the cadences or ask the platform for more";
    Finding::warning(Area::Steps, platform.as_str(), what, cure)
}

async fn probe(
    component: &Arc<Component>,
    client: &Arc<Client>,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Vec<Finding> {
    if component.health_step.is_none() {
        let what = "no step of it is supported by this version, so it stays unobserved";
        let cure = format!("give component `{}` a step that this version can run", component.id);
        return vec![Finding::warning(Area::Steps, component.id.as_str(), what, cure)];
    }
    let journey = Journey::new(Arc::clone(component), Arc::clone(client), Arc::clone(clock));
    let (report, signals) = journey.probe_until(stop).await;
    if stop.is_cancelled() { Vec::new() } else { findings(component, &report, signals) }
}

fn findings(component: &Component, report: &ProbeReport, signals: Signals) -> Vec<Finding> {
    let id = &component.id;
    let mut findings = Vec::new();
    for step in &report.steps {
        let is_bad = matches!(step.state, StepState::Failed | StepState::Blind);
        // A clean-up step leaves its reason where it failed, and no verdict.
        if !is_bad && step.reason.is_none() {
            continue;
        }
        let subject = format!("{id}: {}", step.name);
        let reason = step.reason.as_deref().unwrap_or("failed");
        if step.state == StepState::Blind && (signals.throttled.is_some() || Refusal::is_told_by(reason)) {
            findings.push(throttled(subject, reason, signals));
            continue;
        }
        let cure = match step.state {
            StepState::Blind => {
                "it could not be seen: mend the login, the permissions or the rate first".to_owned()
            }
            _ => format!(
                "`warroom probe {id}` shows the journey step by step; correct the step, or the platform"
            ),
        };
        findings.push(Finding::failed(Area::Steps, subject, reason, cure));
    }
    let passed = report.steps.iter().filter(|step| step.state == StepState::Passed).count();
    if findings.is_empty() && report.verdict == Verdict::Up {
        let what = format!("{passed} steps passed in {}", millis(report.span.length()));
        findings.push(Finding::ok(Area::Steps, id.as_str(), what));
    } else if findings.is_empty() {
        let what = format!("{}: {}", report.verdict, report.reason.as_deref().unwrap_or("no reason"));
        let cure = format!("`warroom probe {id}` shows the journey step by step");
        findings.push(Finding::failed(Area::Steps, id.as_str(), what, cure));
    }
    findings
}

/// A step that the rate kept from being seen: that is no fault of the chain.
fn throttled(subject: String, reason: &str, signals: Signals) -> Finding {
    let what = match signals.throttled {
        Some(Some(wait)) => format!("the platform throttles us; asked for {} s", wait.as_secs_f64().ceil()),
        Some(None) => "the platform throttles us (429)".to_owned(),
        None => reason.to_owned(),
    };
    let cure = "examine it again later; if it happens again, lengthen the cadences or raise the rate";
    Finding::warning(Area::Steps, subject, what, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever examines the chain must not take the budget that a measurement lives on.
    #[test]
    fn beside_an_engine_a_tenth_of_the_budget_is_taken() {
        assert_eq!(pause(3.0, Some(300.0)), Duration::from_secs(6));
        assert_eq!(pause(1.0, Some(60_000.0)), APART);
        assert_eq!(pause(9.0, None), APART);
    }
}
