//! Which link of a component's chain holds its recovery back, or held it back, in words.

use crate::domain::{
    RecoveryRecord,
    chain::{self, ChainHealth, Link},
};

/// `12`, `1.4`: seconds as they are said; tenths only where they matter.
fn seconds(seconds: f64) -> String {
    if seconds < 10.0 && seconds.fract() != 0.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") }
}

/// `CRM lookup and 2 more`.
fn names(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// `health step back at +12 s, still waiting for CRM lookup (+29 s)`: an open outage that goes on although its health step
/// is back. `elapsed` is the outage's age in seconds.
pub(in crate::console) fn waiting(links: &[Link], elapsed: f64) -> Option<String> {
    let (back, waits) = chain::waiting(links)?;
    Some(format!(
        "health step back at +{} s, still waiting for {} (+{} s)",
        seconds(back),
        names(&waits),
        seconds((elapsed - back).max(0.0).floor())
    ))
}

/// Each link of an open outage: `flow status back at +12 s, CRM: lookup not back`.
pub(in crate::console) fn links(links: &[Link]) -> String {
    let told = |link: &Link| match link.restored_after_seconds {
        Some(after) => format!("{} back at +{} s", link.name, seconds(after)),
        None => format!("{} not back", link.name),
    };
    links.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// `health step back at +12 s, CRM lookup at +41 s: a false early recovery of 29 s avoided`.
pub(in crate::console) fn held_back(chain: &ChainHealth) -> Option<String> {
    let by = chain.held_back_by.as_ref()?;
    let at = chain
        .links
        .iter()
        .find(|link| link.name == *by)
        .and_then(|link| link.restored_after_seconds)
        .map_or_else(String::new, |after| format!(" at +{} s", seconds(after)));
    Some(match (chain.health_restored_after_seconds, chain.held_back_seconds) {
        (Some(back), Some(held)) => format!(
            "health step back at +{} s, {by}{at}: a false early recovery of {} s avoided",
            seconds(back),
            seconds(held)
        ),
        _ => format!("health step passed throughout, {by} back{at}"),
    })
}

/// `, held back 29 s by CRM lookup`: the same for an event's line.
pub(in crate::console) fn held_back_briefly(record: &RecoveryRecord) -> String {
    match (&record.chain.held_back_by, record.chain.held_back_seconds) {
        (Some(by), Some(held)) => format!(", held back {} s by {by}", seconds(held)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, health: bool, after: Option<f64>) -> Link {
        Link { name: name.to_owned(), health, restored_after_seconds: after }
    }

    #[test]
    fn the_link_that_holds_the_recovery_back_is_named_with_its_time() {
        let back = link("flow", true, Some(12.0));
        let open = [back.clone(), link("CRM: query", false, None), link("write", false, None)];
        assert_eq!(
            waiting(&open, 41.4).as_deref(),
            Some("health step back at +12 s, still waiting for CRM: query and 1 more (+29 s)")
        );
        assert_eq!(waiting(&open[1..], 41.4), None, "the health step never failed");
        assert_eq!(waiting(&open[..1], 41.4), None, "nothing is bad any more");
        let chain = ChainHealth {
            links: vec![back, link("CRM: query", false, Some(41.04))],
            health_restored_after_seconds: Some(12.0),
            held_back_by: Some("CRM: query".to_owned()),
            held_back_seconds: Some(29.2),
        };
        assert_eq!(
            held_back(&chain).as_deref(),
            Some("health step back at +12 s, CRM: query at +41 s: a false early recovery of 29 s avoided")
        );
        let never = ChainHealth { health_restored_after_seconds: None, held_back_seconds: None, ..chain };
        assert_eq!(
            held_back(&never).as_deref(),
            Some("health step passed throughout, CRM: query back at +41 s")
        );
    }
}
