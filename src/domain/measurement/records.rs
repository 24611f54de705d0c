//! From a closed outage to the record that is kept for ever.

use std::time::Duration;

use chrono::SubsecRound;

use super::Measurement;
use crate::domain::{
    PathName, RecoveryRecord, compliance,
    record::{Mode, RestoredBy},
    time::epoch_seconds,
    tracker::Closed,
};

impl Measurement {
    /// The record of a closed outage. Epochs are T_detect plus monotonic elapsed time, to the millisecond, so that they agree
    /// with the measured RTO; bounds are rounded outwards.
    pub(super) fn record(&self, place: usize, closed: &Closed) -> RecoveryRecord {
        let card = &self.roster.components[place];
        let outage = &closed.outage;
        let measured = closed.t_restore.since(outage.t_detect);
        let t_detect = outage.t_detect_wall.trunc_subsecs(3);
        let after = |elapsed: Duration| epoch_seconds(t_detect + Duration::from_millis(to_millis(elapsed)));
        let failover = outage.t_failover.or(outage.health_back.filter(|_| outage.health_failed));
        let lower = closed.bounds.lower.as_nanos() / 1_000_000;
        let upper = closed.bounds.upper.map(|upper| upper.as_nanos().div_ceil(1_000_000));
        let seconds = |millis: u128| millis as f64 / 1000.0;
        RecoveryRecord {
            component_id: card.id.clone(),
            tier: card.tier,
            target_rto_seconds: card.target_rto.as_secs_f64(),
            t_detect_epoch: epoch_seconds(t_detect),
            t_failover_epoch: failover.map(|at| after(at.since(outage.t_detect))),
            t_restore_epoch: after(measured),
            measured_rto_seconds: to_millis(measured) as f64 / 1000.0,
            status: compliance::status(measured, card.target_rto),
            t_failover_inferred: outage.t_failover.is_none() && failover.is_some(),
            rto_used_percentage: compliance::rto_used(measured, card.target_rto),
            compliance_percentage: compliance::compliance(measured, card.target_rto),
            bounds_seconds: (seconds(lower), upper.map(seconds)),
            certain: closed
                .bounds
                .upper
                .is_some_and(|upper| upper <= card.target_rto || closed.bounds.lower > card.target_rto),
            path: PathName::primary(),
            failover_mechanism: card.mechanism.clone(),
            served_by: closed.served_by.clone().or_else(|| outage.served_by.clone()),
            mode: Mode::Alerting,
            clock: closed.clock,
            drill_id: None,
            run_id: None,
            restored_by: RestoredBy::Itself,
            blind_probes: outage.blind_probes,
            gap_seconds: to_millis(outage.gap) as f64 / 1000.0,
            failed_steps: outage.failed_steps.clone(),
            root_cause: None,
            id: outage.id.clone(),
            tenant_id: self.roster.tenant.clone(),
            chain: outage.chain.health(outage.t_detect, closed.t_restore),
            notes: closed.bounds.notes.iter().map(|note| format!("{}: {}", note.step, note.why)).collect(),
        }
    }
}

/// Whole milliseconds, rounded half up.
fn to_millis(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 500_000) / 1_000_000).unwrap_or(u64::MAX)
}
