//! Logins, what they are allowed, and how many requests the config asks of each platform.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;

use crate::{
    config::{
        lint::budget::demand,
        model::{Config, Platform},
        presets::Requirement,
    },
    domain::diagnosis::{Area, Finding},
    platform::{Description, Session, rate_headers::Quota},
    probe::Client,
};

/// How long a login may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A token that ends sooner, and is not renewed by itself, is worth a warning.
const SHORT: Duration = Duration::from_mins(5);

pub(super) async fn logins(config: &Config, clients: &[Arc<Client>]) -> Vec<Finding> {
    let asked = config.platforms.values().filter_map(|platform| {
        let client = clients.iter().find(|client| *client.platform() == platform.id)?;
        Some(async move { login(config, platform, client.session()).await })
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn login(config: &Config, platform: &Platform, session: &Session) -> Vec<Finding> {
    let subject = platform.id.as_str();
    if let Err(reason) = session.ready(PATIENCE).await {
        let cure = if platform.login.is_some() {
            format!(
                "check the credentials, `region` and `login_url` of [platforms.{subject}]; its components stay blind"
            )
        } else {
            format!("check the secrets of [platforms.{subject}]; its components stay blind")
        };
        return vec![Finding::failed(Area::Login, subject, reason, cure)];
    }
    if platform.login.is_none() {
        let what = if platform.bearer.is_some() { "a fixed bearer token" } else { "needs no login" };
        return vec![Finding::ok(Area::Login, subject, what)];
    }
    let described = match session.describe(PATIENCE).await {
        Ok(described) => described,
        Err(reason) => {
            let cure =
                "the login works, and what it is allowed is not known: give it the right to read itself";
            return vec![Finding::warning(Area::Login, subject, reason, cure)];
        }
    };
    let mut findings = vec![granted(subject, &described)];
    findings.extend(permissions(subject, &needed(config, platform), &described));
    findings
}

fn granted(subject: &str, described: &Description) -> Finding {
    let mut what = vec!["logged in".to_owned()];
    if let Some(client) = &described.client {
        what.push(format!("as {client}"));
    }
    match (&described.organization, &described.organization_id) {
        (Some(name), Some(id)) => what.push(format!("to {name} ({id})")),
        (Some(one), None) | (None, Some(one)) => what.push(format!("to {one}")),
        (None, None) => {}
    }
    let what = what.join(" ");
    let Some(left) = described.ends_in else { return Finding::ok(Area::Login, subject, what) };
    let good_for = humantime::format_duration(Duration::from_secs(left.as_secs()));
    let what = format!("{what}, token good for {good_for}");
    if left < SHORT {
        let cure = "such a short life costs a login every few minutes: give the OAuth client a longer one";
        return Finding::warning(Area::Login, subject, what, cure);
    }
    Finding::ok(Area::Login, subject, what)
}

/// What the steps of a platform need, and a step that needs it.
fn needed<'a>(config: &'a Config, platform: &Platform) -> Vec<(&'a Requirement, String)> {
    let mut needed: Vec<(&Requirement, String)> = Vec::new();
    for component in config.components.iter().filter(|one| one.platform.id == platform.id) {
        for step in component.journey.iter().filter(|step| !step.requires.is_empty()) {
            if !needed.iter().any(|(known, _)| **known == step.requires) {
                needed.push((&step.requires, format!("`{}` of `{}`", step.name, component.id)));
            }
        }
    }
    needed
}

fn permissions(subject: &str, needed: &[(&Requirement, String)], described: &Description) -> Vec<Finding> {
    if needed.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    match &described.permissions {
        None => {}
        Some(Err(reason)) => findings.push(Finding::warning(
            Area::Permissions,
            subject,
            format!("permissions cannot be told: {reason}"),
            "a missing permission shows as a failing or blind step below",
        )),
        Some(Ok(held)) => {
            for (requirement, step) in needed {
                let any_of = &requirement.permissions_any_of;
                if !any_of.is_empty() && !any_of.iter().any(|wanted| is_held(held, wanted)) {
                    findings.push(Finding::failed(
                        Area::Permissions,
                        subject,
                        format!("permission {} is missing; step {step} needs it", any_of.join(" or ")),
                        format!("give a role of the OAuth client {}", any_of.join(" or ")),
                    ));
                }
            }
        }
    }
    // Scopes bind only tokens that carry some.
    if !described.scopes.is_empty() {
        for (requirement, step) in needed {
            let missing: Vec<&str> = requirement
                .scopes
                .iter()
                .filter(|wanted| !described.scopes.iter().any(|held| covers_scope(held, wanted)))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                findings.push(Finding::failed(
                    Area::Permissions,
                    subject,
                    format!("scope {} is missing; step {step} needs it", missing.join(", ")),
                    format!("give the OAuth client {}", missing.join(", ")),
                ));
            }
        }
    }
    if findings.is_empty() {
        let what = format!("all that {} kinds of step need", needed.len());
        findings.push(Finding::ok(Area::Permissions, subject, what));
    }
    findings
}

/// Whether a permission is among those held, of which any part may be `*` for all.
fn is_held(held: &BTreeSet<String>, wanted: &str) -> bool {
    held.contains(wanted)
        || held.iter().any(|held| {
            let (held, wanted): (Vec<&str>, Vec<&str>) =
                (held.split(':').collect(), wanted.split(':').collect());
            held.len() == wanted.len()
                && held.iter().zip(&wanted).all(|(held, wanted)| held == wanted || *held == "*")
        })
}

/// Whether a scope is covered: `architect` holds `architect:readonly` too.
fn covers_scope(held: &str, wanted: &str) -> bool {
    held == wanted || wanted.strip_suffix(":readonly").is_some_and(|whole| whole == held)
}

/// What the config asks of each platform in a minute of peace, held against what is allowed, by the same reckoning as that
/// of the config's own warnings; and what the platform's headers told of it meanwhile.
pub(super) fn budgets(config: &Config, clients: &[Arc<Client>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for platform in config.platforms.values() {
        let subject = platform.id.as_str();
        let demand = demand(platform, config.components.iter().map(|component| &**component));
        let asked = format!("{} requests a minute in peace", demand.per_minute.ceil());
        let allowed = match demand.allowed {
            Some((allowed, whose)) => format!("{whose} {}", allowed.floor()),
            None => "no `rate_limit` set".to_owned(),
        };
        let client = clients.iter().find(|client| *client.platform() == platform.id);
        let told = client.and_then(|client| client.budget.told()).map(|quota| told(&quota));
        let what = format!("{asked}; {allowed}{}", told.unwrap_or_default());
        if demand.doubts.is_empty() {
            findings.push(Finding::ok(Area::Budget, subject, what));
        } else {
            let doubts = demand.doubts.into_iter();
            findings.extend(doubts.map(|(doubt, cure)| {
                Finding::warning(Area::Budget, subject, format!("{what}; {doubt}"), cure)
            }));
        }
    }
    findings
}

fn told(quota: &Quota) -> String {
    let reset = quota.reset.as_secs();
    let limit = quota.limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    format!("; its headers told of {} left{limit} for {reset} s", quota.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(permissions: &[&str], scopes: &[&str]) -> Requirement {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Requirement { permissions_any_of: owned(permissions), scopes: owned(scopes) }
    }

    fn described(permissions: &[&str], scopes: &[&str]) -> Description {
        let owned = |text: &&str| (*text).to_owned();
        Description {
            permissions: Some(Ok(permissions.iter().map(owned).collect())),
            scopes: scopes.iter().map(owned).collect(),
            ..Description::default()
        }
    }

    /// A step that is refused at three in the morning must have been named when the config was tried.
    #[test]
    fn a_missing_permission_is_named_with_the_step_that_needs_it() {
        let flow = requirement(&["architect:flow:view", "architect:flow:edit"], &["architect:readonly"]);
        let needed = [(&flow, "`flow` of `ivr`".to_owned())];
        let found = permissions("genesys", &needed, &described(&["routing:queue:view"], &[]));
        assert_eq!(found.len(), 1, "without any scope in the token none is missing: {found:?}");
        assert_eq!(found[0].grade, crate::domain::diagnosis::Grade::Failed);
        assert!(
            found[0].what.contains("architect:flow:view or architect:flow:edit")
                && found[0].what.contains("`ivr`")
        );
        for held in ["architect:flow:view", "architect:flow:*", "architect:*:*"] {
            let found = permissions("genesys", &needed, &described(&[held], &["architect"]));
            assert_eq!(found[0].grade, crate::domain::diagnosis::Grade::Ok, "{held}: {found:?}");
        }
        let found = permissions("genesys", &needed, &described(&["architect:flow:view"], &["routing"]));
        assert!(found[0].what.contains("scope architect:readonly is missing"), "{found:?}");
    }
}
