//! What happened since a person last looked: a fold over the events that were kept meanwhile.

use std::{collections::BTreeSet, fmt::Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Command, Event, PathName, Phase, time::rfc3339_millis};

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
    /// Sums up what was kept since `last`, oldest first.
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
            match event {
                Event::Phase(phase) if phase.phase == Phase::Down && phase.path == PathName::primary() => {
                    // A restart tells the same outage again.
                    let begun_before = phase.outage.as_ref().is_some_and(|outage| outage.t_detect < last);
                    if let Some(outage) = &phase.outage
                        && !begun_before
                        && known.insert(outage.id.clone())
                    {
                        since.outages += 1;
                    }
                }
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
        ComponentId, Person,
        event::{ActEvent, BlipEvent, GapEvent},
    };

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
