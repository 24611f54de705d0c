//! A region that goes away: every service that it serves is gone, and comes back in another region.
//!
//! Services that tell of the failover go on answering: they say that it is under way, and then that it is done.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Change, Scenario, State, Target, read};
use crate::{config::reading::Section, sim::service::Service};

/// `[[failovers]]`.
#[derive(Debug)]
pub(super) struct Failover {
    pub(super) at: Duration,
    target: Target,
    region: Arc<str>,
    to: Arc<str>,
    /// From `at` on.
    after: Duration,
    /// How the services are in between.
    state: State,
    /// When the services go home, after the start.
    back: Option<Duration>,
}

/// Reads one.
pub(super) fn read(section: &Section<'_, '_>, cycle: Option<Duration>) -> Option<Failover> {
    let at = read::instant(section, "at", cycle);
    let target = match section.get("target") {
        Some(entry) => read::target(&entry),
        None => Some(Target::All),
    };
    let region = section.require("region", "name the region that goes away: \"us-east-1\"");
    let to = section.require("to", "name the region that takes over: \"us-west-2\"");
    let after_entry = section.require("after", "write how long the failover takes: \"18s\"");
    let after = after_entry.as_ref().and_then(read::time);
    let word = section.get("state");
    let state = read::state(section, word.as_ref(), Some("down"));
    let back = match section.get("back") {
        Some(_) => Some(read::instant(section, "back", cycle)?),
        None => None,
    };
    let (at, after) = (at?, after?);
    if let (Some(cycle), Some(entry)) = (cycle, &after_entry)
        && at + after >= cycle
    {
        entry.wrong("`at` and `after` together must be earlier than the end of `cycle`");
    }
    if back.is_some_and(|back| back <= at + after) {
        section.error(
            "back",
            format!("`back` of {} is before the failover is done", section.what()),
            "it is a time after the start, as `at` is: write one later than `at` and `after` together",
        );
    }
    Some(Failover {
        at,
        target: target?,
        region: read::region(&region?)?,
        to: read::region(&to?)?,
        after,
        state: state?,
        back,
    })
}

impl Failover {
    /// Adds its changes to a scenario; what is wrong and the cure where nothing is served by the region at that time.
    pub(super) fn spread(&self, scenario: &mut Scenario) -> Result<(), (String, String)> {
        let serving = |service: Service| {
            scenario.condition(service, self.at).served_by.unwrap_or_else(|| Arc::from(service.served_by()))
        };
        let covered: Vec<Service> =
            Service::ALL.into_iter().filter(|service| self.target.covers(*service)).collect();
        let gone: Vec<Service> =
            covered.iter().copied().filter(|service| serving(*service) == self.region).collect();
        if gone.is_empty() {
            let known: BTreeSet<Arc<str>> = covered.iter().map(|service| serving(*service)).collect();
            let known = known.iter().map(|region| format!("\"{region}\"")).collect::<Vec<_>>().join(", ");
            return Err((
                format!("nothing is served by \"{}\" when this failover begins", self.region),
                format!("the regions then are {known}"),
            ));
        }
        for service in gone {
            let change = |at| Change::new(at, Target::Service(service));
            let (mut begins, mut done) = (change(self.at), change(self.at + self.after));
            begins.moving = Some(true);
            (done.moving, done.served_by) = (Some(false), Some(Arc::clone(&self.to)));
            if !service.tells_failover() {
                begins.state = Some(self.state.clone());
                done.state = Some(State::Up);
            }
            scenario.changes.extend([begins, done]);
            if let Some(back) = self.back {
                let home = Some(Arc::clone(&self.region));
                scenario.changes.push(Change { served_by: home, ..change(back) });
            }
        }
        scenario.changes.sort_by_key(|change| change.at);
        Ok(())
    }
}
