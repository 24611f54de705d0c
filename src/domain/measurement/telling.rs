//! Puts what a tracker says into events: phases, blips, switches, breaches, recoveries.

use std::sync::Arc;

use super::Measurement;
use crate::domain::{
    Event, PathName, Phase, compliance,
    event::{
        BlipEvent, OutageEvent, OutageView, PhaseEvent, RecoveryEvent, SwitchEvent, UnmeasuredEvent,
        ViolationEvent,
    },
    record::ClockState,
    time::{Now, epoch_seconds},
    tracker::Change,
};

impl Measurement {
    pub(super) fn tell(
        &mut self,
        place: usize,
        change: Change,
        now: Now,
        reason: Option<&str>,
    ) -> Vec<Event> {
        let component_id = self.roster.components[place].id.clone();
        match change {
            Change::Phase(phase) => self.phase_event(place, phase, now).into_iter().collect(),
            Change::Progress => {
                let path = PathName::primary();
                let told = |outage| Event::Outage(OutageEvent { at: now.wall, component_id, path, outage });
                self.outage_view(place).map(told).into_iter().collect()
            }
            Change::Blip => {
                vec![Event::Blip(BlipEvent { at: now.wall, component_id, reason: reason.map(str::to_owned) })]
            }
            Change::Switch { from, to } => {
                vec![Event::Switch(SwitchEvent { at: now.wall, component_id, from, to })]
            }
            Change::Closed(closed) => {
                // What is learnt of the clock between T_restore and its confirmation speaks of T_restore too.
                if closed.clock.or_worse(self.clock) == ClockState::Unsafe {
                    return vec![Event::Unmeasured(UnmeasuredEvent {
                        at: now.wall,
                        component_id,
                        t_detect_epoch: epoch_seconds(closed.outage.t_detect_wall),
                        t_restore_epoch: epoch_seconds(closed.outage.wall_at(closed.t_restore)),
                        reason: "the runner's clock was unsafe".to_owned(),
                    })];
                }
                let record = self.record(place, &closed);
                let card = &self.roster.components[place];
                let seen_whole = record.blind_probes == 0 && closed.outage.gap.is_zero();
                let breached = closed.t_restore.since(closed.outage.t_detect) > card.target_rto
                    && (seen_whole || closed.bounds.lower > card.target_rto);
                let used = record.rto_used_percentage;
                let mut events = Vec::new();
                if breached && !closed.outage.violation_told {
                    events.push(Event::Violation(ViolationEvent {
                        at: now.wall,
                        component_id,
                        rto_used_percentage: used,
                        open: false,
                    }));
                }
                events.push(Event::Recovery(RecoveryEvent { at: now.wall, record: Arc::new(record) }));
                events
            }
        }
    }

    /// Tells the breach of the target once, when it is sure: the last verdict was bad, or bad evidence lies beyond it.
    pub(super) fn breach(&mut self, place: usize, now: Now, last_was_bad: bool) -> Option<Event> {
        let target = self.roster.components[place].target_rto;
        let component = &mut self.components[place];
        let phase = component.tracker.phase();
        let outage =
            component.tracker.outage_mut().filter(|outage| outage.confirmed && !outage.violation_told)?;
        let proven = outage.elapsed() > target;
        let running = last_was_bad && phase != Phase::Recovering && now.moment >= outage.t_detect + target;
        if !proven && !running {
            return None;
        }
        outage.violation_told = true;
        let used = if running { now.moment.since(outage.t_detect) } else { outage.elapsed() };
        Some(Event::Violation(ViolationEvent {
            at: now.wall,
            component_id: self.roster.components[place].id.clone(),
            rto_used_percentage: compliance::rto_used(used, target),
            open: true,
        }))
    }

    pub(super) fn phase_event(&self, place: usize, phase: Phase, now: Now) -> Option<Event> {
        let component = self.components.get(place)?;
        let card = &self.roster.components[place];
        let outage = component.tracker.open();
        Some(Event::Phase(PhaseEvent {
            at: now.wall,
            component_id: card.id.clone(),
            path: PathName::primary(),
            phase,
            t_detect_epoch: outage.map(|outage| epoch_seconds(outage.t_detect_wall)),
            outage: self.outage_view(place),
        }))
    }

    pub(super) fn outage_view(&self, place: usize) -> Option<OutageView> {
        let outage = self.components.get(place)?.tracker.open()?;
        Some(OutageView {
            id: outage.id.clone(),
            verdict: outage.verdict,
            t_detect: outage.t_detect_wall,
            onset_after: outage.onset_after().map(|onset| outage.wall_at(onset)),
            t_failover: outage.t_failover.map(|at| outage.wall_at(at)),
            served_by: outage.served_by.clone(),
            restored_since: outage.run.as_ref().map(|run| outage.wall_at(run.first_end)),
            last_bad: outage.wall_at(outage.last_bad_end),
            reason: outage.reason.clone(),
            failed_steps: outage.failed_steps.clone(),
            blind_probes: outage.blind_probes,
            gap_seconds: outage.gap.as_secs_f64(),
            links: outage.chain.links(outage.t_detect),
        })
    }
}
