//! What happened since a person last looked: a fold over the events that were kept meanwhile.

use std::{collections::BTreeSet, fmt::Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Command, Event, PathName, Phase, event::OutageView, time::rfc3339_millis};

/// What happened while somebody was away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// When they last looked.
    #[serde(with = "rfc3339_millis")]
    pub last: DateTime<Utc>,
    /// Outages that were confirmed.
    pub outages: usize,
    /// Outages that were closed.
    pub recoveries: usize,
    /// Targets that were breached.
    pub violations: usize,
    /// Times in which the runner saw nothing.
    pub gaps: usize,
    /// Who acknowledged an outage.
    pub acknowledged: BTreeSet<String>,
    /// Configs that were put in force.
    pub reloads: usize,
}

impl Since {
    /// From how long before the last look on [`Since::of`] must see the events: an outage that began then may have been confirmed
    /// only afterwards.
    pub const MARGIN: TimeDelta = TimeDelta::minutes(10);

    /// Sums up what was kept since `last`, oldest first; of what was kept in the [`Since::MARGIN`] before, only which outages
    /// were told already.
    pub fn of<'e>(last: DateTime<Utc>, events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut since = Self {
            last,
            outages: 0,
            recoveries: 0,
            violations: 0,
            gaps: 0,
            acknowledged: BTreeSet::new(),
            reloads: 0,
        };
        let mut known = BTreeSet::new();
        for event in events {
            let seen = event.at() < last;
            match event {
                Event::Phase(phase) if phase.phase == Phase::Down && phase.path == PathName::primary() => {
                    // A restart tells the same outage again.
                    let is_old = |outage: &OutageView| outage.t_detect < last - Self::MARGIN;
                    if let Some(outage) = phase.outage.as_ref().filter(|outage| !is_old(outage))
                        && known.insert(outage.id.clone())
                        && !seen
                    {
                        since.outages += 1;
                    }
                }
                _ if seen => {}
                Event::Recovery(_) => since.recoveries += 1,
                Event::Violation(_) => since.violations += 1,
                Event::Gap(_) => since.gaps += 1,
                Event::Act(act) if matches!(act.act, Command::Acknowledge { .. }) => {
                    since.acknowledged.insert(act.who.key().to_owned());
                }
                Event::Config(config) if config.loaded => since.reloads += 1,
                _ => {}
            }
        }
        since
    }

    /// Whether the last look is less than a minute ago, so that nobody was away.
    #[must_use]
    pub fn is_recent(&self, now: DateTime<Utc>) -> bool {
        now - self.last < TimeDelta::minutes(1)
    }

    /// Whether nothing of it is worth a line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outages + self.recoveries + self.violations + self.gaps + self.reloads == 0
            && self.acknowledged.is_empty()
    }

    /// The sum in one line, without the time: `2 new outages, 1 recovery; bob acknowledged`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let counted = [
            (self.outages, "new outage"),
            (self.recoveries, "recovery"),
            (self.violations, "violation"),
            (self.gaps, "gap"),
            (self.reloads, "config change"),
        ];
        let counted: Vec<String> = counted
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| match (count, word) {
                (1, word) => format!("1 {word}"),
                (count, "recovery") => format!("{count} recoveries"),
                (count, word) => format!("{count} {word}s"),
            })
            .collect();
        let mut text = if counted.is_empty() { "nothing new".to_owned() } else { counted.join(", ") };
        if !self.acknowledged.is_empty() {
            let who: Vec<&str> = self.acknowledged.iter().map(String::as_str).collect();
            // Writing to a string cannot fail.
            let _ = write!(text, "; {} acknowledged", who.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ComponentId, Person, Verdict,
        event::{ActEvent, BlipEvent, GapEvent, PhaseEvent},
    };

    fn down(at: DateTime<Utc>, id: &str, t_detect: DateTime<Utc>) -> Event {
        Event::Phase(PhaseEvent {
            at,
            component_id: ComponentId::new("crm"),
            path: PathName::primary(),
            phase: Phase::Down,
            t_detect_epoch: None,
            outage: Some(OutageView {
                id: id.to_owned(),
                verdict: Verdict::Down,
                t_detect,
                onset_after: None,
                t_failover: None,
                served_by: None,
                restored_since: None,
                last_bad: at,
                reason: String::new(),
                failed_steps: Vec::new(),
                blind_probes: 0,
                gap_seconds: 0.0,
                links: Vec::new(),
            }),
        })
    }

    /// Whoever left while the first bad verdict waited for its confirmation has not seen that outage; one that a restart
    /// tells again they have.
    #[test]
    fn an_outage_that_was_confirmed_after_the_last_look_is_new() {
        let last = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        let (before, after) = (last - TimeDelta::seconds(1), last + TimeDelta::seconds(1));
        assert_eq!(Since::of(last, [&down(after, "a", before)]).outages, 1);
        assert_eq!(Since::of(last, [&down(before, "a", before), &down(after, "a", before)]).outages, 0);
        let old = last - TimeDelta::minutes(50);
        assert_eq!(Since::of(last, [&down(after, "a", old)]).outages, 0, "told again by a restart");
        assert_eq!(Since::of(last, [&down(before, "a", before)]).outages, 0, "seen");
    }

    #[test]
    fn the_line_says_what_happened_and_who_acknowledged() {
        let at = DateTime::UNIX_EPOCH;
        let component_id = ComponentId::new("crm");
        let act = Event::Act(ActEvent {
            at,
            who: Person { uid: 1, login: "bob".to_owned(), behind: None },
            act: Command::Acknowledge { component_id: component_id.clone(), outage_id: "o".to_owned() },
        });
        let gap = Event::Gap(GapEvent { at, from: at, until: at, reason: String::new() });
        let blip = Event::Blip(BlipEvent { at, component_id, reason: None });
        assert_eq!(Since::of(at, [&gap, &gap, &act, &blip]).sentence(), "2 gaps; bob acknowledged");
        let nothing = Since::of(at, [&blip]);
        assert_eq!((nothing.sentence().as_str(), nothing.is_empty()), ("nothing new", true));
        assert!(!Since::of(at, [&act]).is_empty() && !Since::of(at, [&gap]).is_empty());
    }
}
