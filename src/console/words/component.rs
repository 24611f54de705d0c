//! A component in words: what the config says of it, and how long the parts of a request took.

use crate::{
    console::text,
    domain::{ComponentCard, Timings, picture::ComponentPicture},
};

/// `38 ms: DNS 1, connect 3, TLS 8, first byte 20`.
pub(in crate::console) fn timing_words(timings: Option<Timings>) -> String {
    let Some(timings) = timings else { return String::new() };
    let millis = |part: std::time::Duration| format!("{:.0}", part.as_secs_f64() * 1000.0);
    let parts: Vec<String> = [
        ("DNS", timings.dns),
        ("connect", timings.connect),
        ("TLS", timings.tls),
        ("first byte", timings.first_byte),
    ]
    .into_iter()
    .filter_map(|(name, part)| part.map(|part| format!("{name} {}", millis(part))))
    .collect();
    let total = text::latency(timings.total.as_secs_f64() * 1000.0);
    let reused = if timings.reused { ", reused" } else { "" };
    if parts.is_empty() {
        format!("{total}{reused}")
    } else {
        format!("{total}: {}{reused}", parts.join(", "))
    }
}

/// What is known of it whatever its state, each fact under its name.
pub(in crate::console) fn facts(
    card: &ComponentCard,
    component: &ComponentPicture,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("platform", format!("{} ({})", card.platform, card.kind)),
        (
            "target RTO",
            format!(
                "{} (tier {}), probed every {} s, in an outage every {} s",
                text::rough_duration(card.target_rto),
                card.tier,
                card.cadence.as_secs_f64(),
                card.burst.as_secs_f64()
            ),
        ),
        ("long outage", format!("past twice its target probed every {} s again", card.cadence.as_secs_f64())),
        ("failover", card.mechanism.clone().unwrap_or_else(|| "none declared".to_owned())),
        ("primary", card.primary.join(", ")),
        ("secondary", card.secondary.join(", ")),
        ("shares", card.shares.join(", ")),
        ("blips", format!("{} since the engine started", component.blips)),
        ("owner", card.owner.clone().unwrap_or_default()),
        ("runbook", card.runbook.clone().unwrap_or_default()),
    ];
    if card.protected {
        facts.push(("protected", "never a drill's target".to_owned()));
    }
    facts.retain(|(_, fact)| !fact.is_empty());
    facts
}
