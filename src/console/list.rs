//! In which order the war room lists components, and what its banner is about.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::status::Status;
use crate::domain::{ComponentCard, Picture, Tier, picture::ComponentPicture};

/// One line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListLine {
    /// The heading of a tier.
    Tier(Tier),
    /// A component, by its place in the roster.
    Component(usize),
}

/// The list: per tier, open outages first, then what we cannot see, then the config's order.
#[must_use]
pub fn lines(picture: &Picture, filter: &str, only: Option<Tier>) -> Vec<ListLine> {
    let needle = filter.trim().to_lowercase();
    let mut lines = Vec::with_capacity(picture.components.len() + Tier::ALL.len());
    for tier in Tier::ALL.into_iter().filter(|tier| only.is_none_or(|only| only == *tier)) {
        let mut places: Vec<usize> = cards(picture)
            .enumerate()
            .filter(|(_, (card, component))| card.tier == tier && matches(card, component, &needle))
            .map(|(place, _)| place)
            .collect();
        if places.is_empty() {
            continue;
        }
        places.sort_by_key(|place| rank(&picture.roster.components[*place], &picture.components[*place]));
        lines.push(ListLine::Tier(tier));
        lines.extend(places.into_iter().map(ListLine::Component));
    }
    lines
}

/// Cards and what is known of them, side by side.
pub fn cards(picture: &Picture) -> impl Iterator<Item = (&ComponentCard, &ComponentPicture)> {
    picture.roster.components.iter().zip(&picture.components)
}

fn rank(card: &ComponentCard, component: &ComponentPicture) -> u8 {
    if component.outage.is_some() || component.phase.is_open() {
        0
    } else if Status::of(card, component) == Status::Blind {
        1
    } else {
        2
    }
}

fn matches(card: &ComponentCard, component: &ComponentPicture, needle: &str) -> bool {
    needle.is_empty()
        || [&*card.name, card.id.as_str(), card.platform.as_str(), Status::of(card, component).word()]
            .into_iter()
            .any(|text| text.to_lowercase().contains(needle))
}

/// When an open outage uses up its target.
#[must_use]
pub fn breach_at(card: &ComponentCard, component: &ComponentPicture) -> Option<DateTime<Utc>> {
    component.outage.as_ref().map(|outage| outage.t_detect + card.target_rto)
}

/// How long an open outage has lasted for a person who looks at the clock: to now, or to the beginning of the run that
/// may become its recovery.
#[must_use]
pub fn elapsed(component: &ComponentPicture, now: DateTime<Utc>) -> Option<Duration> {
    let outage = component.outage.as_ref()?;
    Some((outage.restored_since.unwrap_or(now) - outage.t_detect).to_std().unwrap_or_default())
}

/// Places of the components with an open outage: those that can still meet their target first, the nearest to its
/// breach before the others; then the violated ones, the youngest first.
#[must_use]
pub fn open_outages(picture: &Picture, now: DateTime<Utc>) -> Vec<usize> {
    let mut open: Vec<(bool, i64, usize)> = cards(picture)
        .enumerate()
        .filter_map(|(place, (card, component))| {
            let breach = breach_at(card, component)?;
            let left = (breach - now).num_milliseconds();
            Some((left < 0, left.abs(), place))
        })
        .collect();
    open.sort_unstable();
    open.into_iter().map(|(_, _, place)| place).collect()
}

/// The worst state of all components.
#[must_use]
pub fn worst(picture: &Picture) -> Status {
    cards(picture).map(|(card, component)| Status::of(card, component)).max().unwrap_or(Status::Unobserved)
}

/// Whether what a row shows is older than two cadences, or two of the longer intervals that a short rate budget leaves.
#[must_use]
pub fn is_stale(
    picture: &Picture,
    card: &ComponentCard,
    component: &ComponentPicture,
    now: DateTime<Utc>,
) -> bool {
    let limit = picture.interval(card).saturating_mul(2);
    component.probed_at.is_some_and(|at| (now - at).to_std().is_ok_and(|age| age > limit))
}

/// Whether its platform lets nobody see: it answers 429, or its login fails.
#[must_use]
pub fn is_hidden(picture: &Picture, card: &ComponentCard) -> bool {
    picture
        .platforms
        .get(&card.platform)
        .is_some_and(|platform| platform.throttled || platform.login_failing.is_some())
}

/// How many of some components are up, and how many nobody sees now: none of those that are up, where news have ended
/// (`cut_off`).
#[must_use]
pub fn tally(picture: &Picture, members: &[usize], cut_off: bool, now: DateTime<Utc>) -> (usize, usize) {
    let (mut up, mut unseen) = (0, 0);
    for place in members {
        let (card, component) = (&picture.roster.components[*place], &picture.components[*place]);
        if is_unseen(picture, card, component, cut_off, now) {
            unseen += 1;
        } else if Status::of(card, component) == Status::Up {
            up += 1;
        }
    }
    (up, unseen)
}

/// Whether nobody sees how it stands now; what is known of an open outage counts as seen.
#[must_use]
pub fn is_unseen(
    picture: &Picture,
    card: &ComponentCard,
    component: &ComponentPicture,
    cut_off: bool,
    now: DateTime<Utc>,
) -> bool {
    match Status::of(card, component) {
        Status::Blind | Status::Unobserved => true,
        Status::Up => cut_off || is_hidden(picture, card) || is_stale(picture, card, component, now),
        _ => false,
    }
}
