//! Each step of each component, once: one probe of the whole journey, its clean-up included.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;

use super::millis;
use crate::{
    clock::SharedClock,
    config::model::{Component, Config},
    domain::{
        PlatformId, ProbeReport, StepState, Verdict,
        diagnosis::{Area, Finding},
    },
    probe::{Client, Journey},
};

/// Platforms are asked beside each other, components of one platform one after the other.
pub(super) async fn examine(config: &Config, clients: &[Arc<Client>], clock: &SharedClock) -> Vec<Finding> {
    let mut by_platform: BTreeMap<&PlatformId, Vec<&Arc<Component>>> = BTreeMap::new();
    for component in &config.components {
        by_platform.entry(&component.platform.id).or_default().push(component);
    }
    let platforms = by_platform.into_iter().filter_map(|(id, components)| {
        let client = clients.iter().find(|client| client.platform() == id)?;
        Some(async move {
            let mut findings = Vec::new();
            for component in components {
                findings.extend(probe(component, client, clock).await);
            }
            findings
        })
    });
    join_all(platforms).await.into_iter().flatten().collect()
}

async fn probe(component: &Arc<Component>, client: &Arc<Client>, clock: &SharedClock) -> Vec<Finding> {
    if component.health_step.is_none() {
        let what = "no step of it is supported by this version, so it stays unobserved";
        let cure = format!("give component `{}` a step that this version can run", component.id);
        return vec![Finding::warning(Area::Steps, component.id.as_str(), what, cure)];
    }
    let journey = Journey::new(Arc::clone(component), Arc::clone(client), Arc::clone(clock));
    findings(component, &journey.probe().await)
}

fn findings(component: &Component, report: &ProbeReport) -> Vec<Finding> {
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
