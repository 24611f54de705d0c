//! The recovery record: the evidence that is kept for ever.

use serde::{Deserialize, Serialize};

use super::{ComponentId, PathName, Percent, Tier, chain::ChainHealth};

/// How a recovery met its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// At most 100 % of the target was used.
    Pass,
    /// Over the target, compliance at least 75 %.
    Warning,
    /// Compliance under 75 %.
    Critical,
}

impl Status {
    /// The word on screens and in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// Whether anybody would have been paged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Alerts go out.
    #[default]
    Alerting,
    /// Everything is recorded, nobody is paged.
    Logging,
}

/// What is known of the runner's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    /// Not certainly over the limit.
    Ok,
    /// Certainly over the limit.
    Unsafe,
    /// No time source at all.
    #[default]
    Unknown,
}

impl ClockState {
    /// The one that says less for the figures.
    #[must_use]
    pub const fn or_worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unsafe, _) | (_, Self::Unsafe) => Self::Unsafe,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Ok, Self::Ok) => Self::Ok,
        }
    }
}

/// What ended an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoredBy {
    /// The platform recovered.
    #[default]
    #[serde(rename = "self")]
    Itself,
    /// A drill's revert came before T_restore.
    Revert,
}

/// A closed outage with its three timestamps and its measured RTO.
///
/// The first eleven fields keep their names and meaning for ever. Epochs are Unix seconds with milliseconds;
/// `t_failover` and `t_restore` are `t_detect` plus monotonic elapsed time, so that record and epochs agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryRecord {
    /// Which component recovered.
    pub component_id: ComponentId,
    /// Its tier at the time.
    pub tier: Tier,
    /// Its target at the time.
    #[serde(serialize_with = "whole_or_fraction")]
    pub target_rto_seconds: f64,
    /// End of the first bad evidence.
    pub t_detect_epoch: f64,
    /// When a declared secondary took over, if seen or inferred.
    pub t_failover_epoch: Option<f64>,
    /// End of the first good verdict of the run that confirmed the recovery.
    pub t_restore_epoch: f64,
    /// `t_restore − t_detect`.
    pub measured_rto_seconds: f64,
    /// How the target was met.
    pub status: Status,
    /// Whether `t_failover_epoch` is the first passing health step rather than a seen switch.
    pub t_failover_inferred: bool,
    /// `measured / target × 100`.
    pub rto_used_percentage: Percent,
    /// `min(100, target / measured × 100)`.
    pub compliance_percentage: Percent,
    /// The true duration lies in here; no upper bound when the component was never seen good before.
    pub bounds_seconds: (f64, Option<f64>),
    /// Whether the bounds leave no doubt about the status.
    pub certain: bool,
    /// On which path it was measured.
    pub path: PathName,
    /// How the component fails over, in words.
    pub failover_mechanism: Option<String>,
    /// Who served it at the restoration.
    pub served_by: Option<String>,
    /// `logging` only if it covered T_detect to T_restore.
    pub mode: Mode,
    /// What was known of the runner's clock at T_detect and T_restore, whichever says less for them.
    pub clock: ClockState,
    /// The drill that caused it.
    pub drill_id: Option<String>,
    /// The run of that drill.
    pub run_id: Option<String>,
    /// What ended it.
    pub restored_by: RestoredBy,
    /// Probes that could not see while it was open.
    pub blind_probes: u32,
    /// Seconds of it in which the runner saw nothing at all.
    pub gap_seconds: f64,
    /// Names of the steps and dependencies that failed in it, in the order they were first seen.
    pub failed_steps: Vec<String>,
    /// Chosen by a person afterwards.
    pub root_cause: Option<String>,
    /// The outage's own id (UUID v7).
    pub id: String,
    /// The `tenant` of the config.
    pub tenant_id: String,
    /// Which links of the chain failed, and which one held the recovery back.
    #[serde(flatten)]
    pub chain: ChainHealth,
    /// Platform stamps that were left aside, and why; empty when none was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Writes a whole number of seconds as an integer.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn whole_or_fraction<S: serde::Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if seconds.fract() == 0.0 && seconds.abs() < 1e15 {
        serializer.serialize_i64(*seconds as i64)
    } else {
        serializer.serialize_f64(*seconds)
    }
}
