//! A platform in words: what keeps us from seeing it, and what its rate budget leaves.

use chrono::{DateTime, Utc};

use crate::{
    console::text,
    domain::{ComponentCard, Picture, event::Stretched},
};

/// `every 11 s, not 5 s`.
pub(in crate::console) fn intervals(stretched: &Stretched) -> String {
    format!("every {}, not {}", seconds(stretched.actual_ms), seconds(stretched.wanted_ms))
}

/// An interval in seconds, with two figures that count.
fn seconds(millis: u64) -> String {
    let seconds = millis as f64 / 1000.0;
    let digits = usize::from(seconds < 9.95 && (seconds * 10.0).round() % 10.0 != 0.0);
    format!("{seconds:.digits$} s")
}

/// How much less often than it should a component is probed because its platform's rate budget is short.
pub(in crate::console) fn stretched<'a>(picture: &'a Picture, card: &ComponentCard) -> Option<&'a Stretched> {
    let platform = picture.platforms.get(&card.platform)?;
    platform.stretched.iter().find(|stretched| stretched.component_id == card.id)
}

/// Why a platform cannot be seen, when it is the platform's doing.
pub(in crate::console) fn blind_reason(
    picture: &Picture,
    card: &ComponentCard,
    wall: DateTime<Utc>,
) -> Option<String> {
    let platform = picture.platforms.get(&card.platform)?;
    if platform.login_failing.is_some() {
        return Some("login failing".to_owned());
    }
    if !platform.throttled {
        return None;
    }
    let wait = platform.throttled_until.and_then(|until| (until - wall).to_std().ok());
    Some(match wait {
        Some(wait) if !wait.is_zero() => {
            format!(
                "throttled, retry in {}",
                text::rough_duration(wait + std::time::Duration::from_millis(999))
            )
        }
        _ => "throttled".to_owned(),
    })
}

/// `the rate budget is short: CRM lookup probed every 11 s, not 5 s (+2 more)`; `None` where it is not.
pub(in crate::console) fn short_of_budget(picture: &Picture, stretched: &[Stretched]) -> Option<String> {
    let (worst, others) = stretched.split_first()?;
    let id = &worst.component_id;
    let name = picture.position(id).map(|place| &picture.roster.components[place].name);
    let name = name.map_or_else(|| id.to_string(), ToString::to_string);
    let more = if others.is_empty() { String::new() } else { format!(" (+{} more)", others.len()) };
    Some(format!("the rate budget is short: {name} probed {}{more}", intervals(worst)))
}
