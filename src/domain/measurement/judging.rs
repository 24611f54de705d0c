//! Joins a component's own probe and its dependencies' latest ones to a verdict, with the parts that speak for it.

use super::{Measurement, SeenFailing};
use crate::domain::{
    ProbeReport, Verdict,
    tracker::{FailedStep, Failing},
};

/// A verdict and the places of the parts that speak for it.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    pub(super) failing: Vec<usize>,
    pub(super) passing: Vec<usize>,
}

impl Judged {
    fn blind(reason: Option<String>) -> Self {
        Self { verdict: Verdict::Blind, reason, failing: Vec::new(), passing: Vec::new() }
    }
}

impl Measurement {
    /// Whether a dependency that could be probed has not been.
    pub(super) fn lacks_a_probe(&self, place: usize) -> bool {
        self.components[place].needs.iter().any(|need| {
            let need = &self.components[*need];
            need.observable && need.latest.is_none()
        })
    }

    pub(super) fn judge(&self, place: usize, report: &ProbeReport) -> Judged {
        let bad: Vec<usize> = self.components[place]
            .needs
            .iter()
            .copied()
            .filter(|need| {
                self.components[*need].latest.as_ref().is_some_and(|latest| latest.verdict.is_bad())
            })
            .collect();
        match report.verdict {
            Verdict::Down | Verdict::Degraded => Judged {
                verdict: report.verdict,
                reason: report.reason.clone(),
                failing: std::iter::once(place).chain(bad).collect(),
                passing: Vec::new(),
            },
            Verdict::Blind => Judged::blind(report.reason.clone()),
            Verdict::Up => {
                if let Some(reason) = self.blind_need(place) {
                    return Judged::blind(Some(reason));
                }
                let Some(first) = bad.first() else {
                    let observable = |need: &usize| self.components[*need].observable;
                    let needs = self.components[place].needs.iter().copied().filter(observable);
                    return Judged {
                        verdict: Verdict::Up,
                        reason: None,
                        failing: Vec::new(),
                        passing: std::iter::once(place).chain(needs).collect(),
                    };
                };
                let name = &self.roster.components[*first].name;
                let why = self.components[*first].latest.as_ref().and_then(|latest| latest.reason.as_deref());
                Judged {
                    verdict: Verdict::Degraded,
                    reason: Some(format!("dependency {name}: {}", why.unwrap_or("bad"))),
                    failing: bad,
                    passing: Vec::new(),
                }
            }
        }
    }

    /// Why a dependency cannot be seen, if one cannot. One that this version cannot observe at all is left out.
    pub(super) fn blind_need(&self, place: usize) -> Option<String> {
        self.components[place].needs.iter().find_map(|need| {
            let (needed, name) = (&self.components[*need], &self.roster.components[*need].name);
            match &needed.latest {
                _ if !needed.observable => None,
                None => Some(format!("dependency {name}: not probed yet")),
                Some(latest) if latest.verdict == Verdict::Blind => {
                    Some(format!("dependency {name}: {}", latest.reason.as_deref().unwrap_or("blind")))
                }
                Some(_) => None,
            }
        })
    }

    /// The failing parts of a bad verdict on `place`; a dependency's step is named with the dependency.
    pub(super) fn failing(&self, place: usize, parts: &[usize]) -> Vec<Failing<'_>> {
        parts
            .iter()
            .filter_map(|part| {
                let latest = self.components[*part].latest.as_ref()?;
                let card = &self.roster.components[*part];
                let named = |seen| self.named(place, *part, seen);
                Some(Failing {
                    part: &card.id,
                    evidence: latest.evidence,
                    last_good_start: latest.last_good_start,
                    failed_steps: latest.failed_steps.iter().map(named).collect(),
                    stamp_error: self.stamp_errors.get(&card.platform).copied(),
                })
            })
            .collect()
    }

    /// A failed step of `part` as the records of `place` name it.
    fn named<'a>(&self, place: usize, part: usize, seen: &'a SeenFailing) -> FailedStep<'a> {
        let (card, own) = (&self.roster.components[part], part == place);
        let step = seen.step.as_str();
        FailedStep {
            step,
            name: if own { step.to_owned() } else { format!("{}: {step}", card.name) },
            health: own && card.steps.iter().any(|card| card.health && &*card.name == step),
            span: seen.span,
            onset_at: seen.onset_at,
        }
    }

    /// Whether a dependency's last verdict is bad while the own one is not blind.
    pub(super) fn needs_bad(&self, place: usize) -> bool {
        let own_blind =
            self.components[place].latest.as_ref().is_none_or(|latest| latest.verdict == Verdict::Blind);
        !own_blind
            && self.blind_need(place).is_none()
            && self.components[place].needs.iter().any(|need| {
                self.components[*need].latest.as_ref().is_some_and(|latest| latest.verdict.is_bad())
            })
    }
}
