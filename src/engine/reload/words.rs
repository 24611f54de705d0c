//! What changed from one config to the next, in words.

use std::{collections::HashMap, fmt::Display, sync::Arc, time::Duration};

use crate::{
    config::model::{Component, Config, Platform, Rate, Step},
    domain::Tier,
};

/// The most lines that are told.
const LINES: usize = 60;

/// A line for each thing that changed; one that says so where nothing did.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut words = components(old, new);
    words.extend(platforms(old, new));
    words.extend(settings(old, new));
    if words.is_empty() {
        let nothing = if old == new { "nothing changed" } else { "names or other descriptions changed" };
        words.push(nothing.to_owned());
    }
    if words.len() > LINES {
        let more = words.len() - (LINES - 1);
        words.truncate(LINES - 1);
        words.push(format!("and {more} more changes"));
    }
    words
}

fn components(old: &Config, new: &Config) -> Vec<String> {
    let mut words = Vec::new();
    let before: HashMap<_, &Arc<Component>> = old.components.iter().map(|one| (&one.id, one)).collect();
    let after: HashMap<_, &Arc<Component>> = new.components.iter().map(|one| (&one.id, one)).collect();
    for component in old.components.iter().filter(|one| !after.contains_key(&one.id)) {
        words.push(format!("component {} removed", component.id));
    }
    for component in new.components.iter().filter(|one| !before.contains_key(&one.id)) {
        words.push(format!("component {} added", component.id));
    }
    let both: Vec<(&Component, &Component)> = new
        .components
        .iter()
        .filter_map(|now| before.get(&now.id).map(|before| (&***before, &**now)))
        .collect();
    let paces = paces(&both);
    words.extend(paces.iter().map(|(word, _)| word.clone()));
    for (before, now) in &both {
        let of_tier =
            paces.iter().any(|(_, (tier, pace))| now.tier == *tier && *pace == pace_of(before, now));
        words.extend(component(before, now, of_tier));
    }
    words
}

/// Cadence and burst, before and now.
type PaceChange = ((Duration, Duration), (Duration, Duration));

fn pace_of(before: &Component, now: &Component) -> PaceChange {
    ((before.cadence, before.burst), (now.cadence, now.burst))
}

/// Where all components of one tier that changed their pace changed it alike, it is the tier's.
fn paces(both: &[(&Component, &Component)]) -> Vec<(String, (Tier, PaceChange))> {
    Tier::ALL
        .into_iter()
        .filter_map(|tier| {
            let mut changes: Vec<PaceChange> = both
                .iter()
                .filter(|(_, now)| now.tier == tier)
                .map(|(before, now)| pace_of(before, now))
                .filter(|(before, now)| before != now)
                .collect();
            let number = changes.len();
            changes.dedup();
            let [change] = changes[..] else { return None };
            let ((cadence, burst), (new_cadence, new_burst)) = change;
            let mut parts = Vec::new();
            parts.extend((cadence != new_cadence).then(|| {
                format!("cadence of tier {} {} → {}", tier.number(), spoken(cadence), spoken(new_cadence))
            }));
            parts.extend((burst != new_burst).then(|| {
                format!("burst of tier {} {} → {}", tier.number(), spoken(burst), spoken(new_burst))
            }));
            (number > 1).then(|| (parts.join(", "), (tier, change)))
        })
        .collect()
}

fn component(before: &Component, now: &Component, is_tiers_pace: bool) -> Vec<String> {
    let id = &now.id;
    let mut words = Vec::new();
    let mut differs = |what: &str, old: &dyn Display, new: &dyn Display| {
        words.push(format!("{what} of {id} {old} → {new}"));
    };
    if before.target_rto != now.target_rto {
        differs("target", &spoken(before.target_rto), &spoken(now.target_rto));
    }
    if before.tier != now.tier {
        differs("tier", &before.tier.number(), &now.tier.number());
    }
    if !is_tiers_pace && before.cadence != now.cadence {
        differs("cadence", &spoken(before.cadence), &spoken(now.cadence));
    }
    if !is_tiers_pace && before.burst != now.burst {
        differs("burst", &spoken(before.burst), &spoken(now.burst));
    }
    if before.platform.id != now.platform.id {
        differs("platform", &before.platform.id, &now.platform.id);
    }
    if before.depends_on != now.depends_on {
        words.push(format!("dependencies of {id} changed"));
    }
    let untimed = |component: &Component| {
        let untimed = |step: &Step| Step { timeout: Duration::ZERO, ..step.clone() };
        component.journey.iter().map(untimed).collect::<Vec<_>>()
    };
    let is_other_time = before.journey != now.journey && untimed(before) == untimed(now);
    if is_other_time {
        words.push(format!("timeouts of {id} changed"));
    }
    let is_journey = before.vars != now.vars
        || (before.journey != now.journey && !is_other_time)
        || before.health_step != now.health_step
        || before.failover.step != now.failover.step
        || before.failover.served_by != now.failover.served_by;
    if is_journey {
        words.push(format!("journey of {id} changed"));
    }
    if before.failover.primary != now.failover.primary || before.failover.secondary != now.failover.secondary
    {
        words.push(format!("failover of {id} changed"));
    }
    words
}

fn platforms(old: &Config, new: &Config) -> Vec<String> {
    let mut words = Vec::new();
    for id in old.platforms.keys().filter(|id| !new.platforms.contains_key(*id)) {
        words.push(format!("platform {id} removed"));
    }
    for (id, now) in &new.platforms {
        match old.platforms.get(id) {
            None => words.push(format!("platform {id} added")),
            Some(before) => words.extend(platform(before, now)),
        }
    }
    words
}

fn platform(before: &Platform, now: &Platform) -> Vec<String> {
    let id = &now.id;
    let mut words = Vec::new();
    if before.rate_limit != now.rate_limit {
        words.push(format!(
            "rate limit of platform {id} {} → {}",
            rate(before.rate_limit),
            rate(now.rate_limit)
        ));
    }
    if !before.speaks_like(now) {
        let logs_in = now.login.is_some();
        words.push(format!("platform {id}: {}", if logs_in { "changed, login anew" } else { "changed" }));
    }
    words
}

fn settings(old: &Config, new: &Config) -> Vec<String> {
    let mut words = Vec::new();
    let mut differs = |what: &str, old: &dyn Display, new: &dyn Display| {
        words.push(format!("{what} {old} → {new}"));
    };
    if old.tenant != new.tenant {
        differs("tenant", &old.tenant, &new.tenant);
    }
    if old.environment != new.environment {
        differs("environment", &old.environment.word(), &new.environment.word());
    }
    let (before, now) = (old.measurement, new.measurement);
    if before.window != now.window {
        differs("window", &spoken(before.window), &spoken(now.window));
    }
    if before.failure_threshold != now.failure_threshold {
        differs("failure threshold", &before.failure_threshold, &now.failure_threshold);
    }
    if before.success_threshold != now.success_threshold {
        differs("success threshold", &before.success_threshold, &now.success_threshold);
    }
    let ratio = |ratio: Option<(std::num::NonZeroU32, std::num::NonZeroU32)>| {
        ratio.map_or_else(|| "none".to_owned(), |(bad, of)| format!("{bad} of {of}"))
    };
    if before.failure_ratio != now.failure_ratio {
        differs("failure ratio", &ratio(before.failure_ratio), &ratio(now.failure_ratio));
    }
    if old.store.probes != new.store.probes {
        differs("probe results are kept", &spoken(old.store.probes), &spoken(new.store.probes));
    }
    if old.store.rollups != new.store.rollups {
        differs("rollups are kept", &spoken(old.store.rollups), &spoken(new.store.rollups));
    }
    let plain = [
        (old.canary != new.canary, "canaries changed"),
        (old.clock != new.clock, "clock settings changed"),
        (old.agent != new.agent, "who may attach and act changed"),
    ];
    words.extend(plain.into_iter().filter(|(changed, _)| *changed).map(|(_, word)| word.to_owned()));
    words
}

fn rate(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "none".to_owned(), |rate| format!("{} in {}", rate.requests, spoken(rate.per)))
}

fn spoken(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
