//! RTO used, compliance, status, and the rolling figures.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    Percent, RecoveryRecord, Status,
    record::{Mode, RestoredBy},
};

/// Compliance below which a recovery is critical.
const CRITICAL_BELOW: f64 = 75.0;

/// `measured / target × 100`; over 100 is a violation.
#[must_use]
pub fn rto_used(measured: Duration, target: Duration) -> Percent {
    if target.is_zero() {
        return Percent::new(f64::INFINITY);
    }
    Percent::new(measured.as_secs_f64() / target.as_secs_f64() * 100.0)
}

/// `min(100, target / measured × 100)`; 100 is the best.
#[must_use]
pub fn compliance(measured: Duration, target: Duration) -> Percent {
    if measured.is_zero() {
        return Percent::HUNDRED;
    }
    Percent::new((target.as_secs_f64() / measured.as_secs_f64() * 100.0).min(100.0))
}

/// `PASS` when used ≤ 100, `CRITICAL` when compliance < 75, `WARNING` between; from unrounded values.
#[must_use]
pub fn status(measured: Duration, target: Duration) -> Status {
    if measured <= target {
        Status::Pass
    } else if compliance(measured, target).value() < CRITICAL_BELOW {
        Status::Critical
    } else {
        Status::Warning
    }
}

/// Whether a record counts in the rolling compliance: not by a drill's revert, nor in a drill or in logging mode.
#[must_use]
pub fn counts(record: &RecoveryRecord) -> bool {
    record.restored_by == RestoredBy::Itself && record.drill_id.is_none() && record.mode == Mode::Alerting
}

/// The mean compliance of a component's recoveries in the window that ends at `now`, an open outage included with its
/// live value. `None` is *no data*, which is not 100 %.
///
/// `closed` are the recoveries that [`counts`] admits; `open` is the live compliance of the open outage.
#[must_use]
pub fn rolling<'a>(
    closed: impl IntoIterator<Item = &'a RecoveryRecord>,
    open: Option<Percent>,
    window: Duration,
    now: DateTime<Utc>,
) -> Option<Percent> {
    let since = super::time::epoch_seconds(now) - window.as_secs_f64();
    let (sum, number) = closed
        .into_iter()
        .filter(|record| counts(record) && record.t_restore_epoch >= since)
        .map(|record| record.compliance_percentage.value())
        .chain(open.map(Percent::value))
        .fold((0.0, 0_u32), |(sum, number), value| (sum + value, number + 1));
    (number > 0).then(|| Percent::new(sum / f64::from(number)))
}

/// The mean over the components that have data, and the place of the worst one.
#[must_use]
pub fn mean(values: impl IntoIterator<Item = Option<Percent>>) -> Option<(Percent, usize)> {
    let (mut sum, mut number, mut worst) = (0.0, 0_u32, None::<(f64, usize)>);
    for (place, value) in values.into_iter().enumerate() {
        let Some(value) = value.map(Percent::value) else { continue };
        sum += value;
        number += 1;
        if worst.is_none_or(|(lowest, _)| value < lowest) {
            worst = Some((value, place));
        }
    }
    worst.map(|(_, place)| (Percent::new(sum / f64::from(number)), place))
}
