//! Where on the grid each component stands, so that those of one platform are spread evenly.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{Member, heritage::Heritage};
use crate::{domain::PlatformId, probe::budget::Family};

/// Those that are spread over one interval together: of one platform, with one cadence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) platform: PlatformId,
    pub(super) cadence: Duration,
    pub(super) listing: Option<String>,
}

impl Member {
    /// Whose starts it is spread among.
    pub(super) fn row(&self, platform: &PlatformId) -> Row {
        Row { platform: platform.clone(), cadence: self.cadence, listing: self.listing.clone() }
    }
}

/// The family of a component; `known` are those so far.
pub(super) fn family(member: &Member, known: &mut Vec<(usize, String)>) -> Option<Family> {
    let (listing, age) = (member.listing.as_ref()?, member.shared?);
    let is_it = |(platform, other): &(usize, String)| *platform == member.platform && other == listing;
    let number = known.iter().position(is_it).unwrap_or_else(|| {
        known.push((member.platform, listing.clone()));
        known.len() - 1
    });
    Some(Family { number, age })
}

/// Each component's place within one interval (0 to 1), and how many share its platform: even over those of a platform
/// with the same cadence, each such group shifted by chance against the others. Those that look at one listing count as
/// one, and have one place. Who had a place in the same group keeps it.
pub(super) fn phases(
    members: &[Option<Member>],
    heritage: &Heritage,
    rng: &mut fastrand::Rng,
) -> Vec<(f64, usize)> {
    let mut groups: BTreeMap<(usize, Duration), Vec<Vec<usize>>> = BTreeMap::new();
    let mut families: HashMap<(usize, Duration, &str), usize> = HashMap::new();
    let mut siblings: HashMap<usize, usize> = HashMap::new();
    for (place, member) in members.iter().enumerate() {
        let Some(member) = member else { continue };
        let group = groups.entry((member.platform, member.cadence)).or_default();
        let rank = match &member.listing {
            Some(key) => {
                *families.entry((member.platform, member.cadence, key.as_str())).or_insert(group.len())
            }
            None => group.len(),
        };
        if let Some(family) = group.get_mut(rank) {
            family.push(place);
        } else {
            group.push(vec![place]);
            *siblings.entry(member.platform).or_default() += 1;
        }
    }
    let mut phases = vec![(0.0, 1); members.len()];
    for ((platform, _), families) in groups {
        let shift = rng.f64();
        let kept: Vec<Option<f64>> =
            families.iter().map(|family| family.iter().find_map(|place| heritage.phase(*place))).collect();
        let taken: Vec<f64> = kept.iter().flatten().copied().collect();
        let mut free = fill(&taken, kept.len() - taken.len(), shift).into_iter();
        for (family, kept) in families.into_iter().zip(kept) {
            let Some(phase) = kept.or_else(|| free.next()) else { continue };
            for place in family {
                phases[place] = (phase, siblings.get(&platform).copied().unwrap_or(1));
            }
        }
    }
    phases
}

/// Places within one interval (0 to 1) for `count` more beside those that are `taken`: even, shifted by `shift`, where
/// nobody is there yet; else in the middle of the widest gap, one after the other.
fn fill(taken: &[f64], count: usize, shift: f64) -> Vec<f64> {
    if taken.is_empty() {
        return (0..count).map(|rank| (rank as f64 + shift) / count as f64).collect();
    }
    let mut all = taken.to_vec();
    all.sort_by(f64::total_cmp);
    let mut filled = Vec::with_capacity(count);
    for _ in 0..count {
        let gap = |rank: usize| all.get(rank + 1).map_or(all[0] + 1.0, |next| *next) - all[rank];
        let widest = (0..all.len()).max_by(|one, other| gap(*one).total_cmp(&gap(*other))).unwrap_or(0);
        let phase = (all[widest] + gap(widest) / 2.0).fract();
        filled.push(phase);
        all.insert(all.partition_point(|other| *other < phase), phase);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Components that are added again and again must not end up on one heap.
    #[test]
    fn whoever_comes_later_takes_the_widest_gap() {
        let mut taken = fill(&[], 4, 0.5);
        assert_eq!(taken, [0.125, 0.375, 0.625, 0.875]);
        for _ in 0..3 {
            let more = fill(&taken, 4, 0.9);
            taken.extend(more);
        }
        taken.sort_by(f64::total_cmp);
        let narrowest = taken.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, f64::min);
        assert!(narrowest > 1.0 / 32.0 - 1e-9, "{taken:?}");
        assert!(taken.iter().all(|phase| (0.0..1.0).contains(phase)));
    }
}
