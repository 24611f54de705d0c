//! Shows every probe to the outages in whose chain it is a link, and tells when a link came back or went again.

use super::Measurement;
use crate::domain::{Event, PathName, ProbeReport, event::OutageEvent, time::Now};

impl Measurement {
    /// Shows a probe that was not overtaken to the outage of its own component and to those of its dependants; gives the
    /// places of those for whom a link turned.
    pub(super) fn see_links(&mut self, place: usize, report: &ProbeReport) -> Vec<usize> {
        let mut whose = self.components[place].needed_by.clone();
        whose.insert(0, place);
        whose.retain(|other| {
            let tracker = &mut self.components[*other].tracker;
            tracker.see(&report.component_id, &report.steps, report.span)
        });
        whose
    }

    /// The open outages in which a link turned, unless `told` tells of them already.
    pub(super) fn tell_links(&self, place: usize, turned: &[usize], told: &[Event], now: Now) -> Vec<Event> {
        let told = told.iter().any(|event| matches!(event, Event::Phase(_) | Event::Outage(_)));
        let fresh = turned.iter().copied().filter(|other| *other != place || !told);
        fresh
            .filter_map(|other| {
                let (outage, card) = (self.outage_view(other)?, self.roster.components.get(other)?);
                let (component_id, path) = (card.id.clone(), PathName::primary());
                Some(Event::Outage(OutageEvent { at: now.wall, component_id, path, outage }))
            })
            .collect()
    }
}
