//! What happened, as the engine tells it: to consoles, to `agent --events json` and to the store.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Attached, Command, ComponentId, PathName, Percent, Person, Phase, PlatformId, RecoveryRecord, Roster,
    StepReport, Verdict, chain::Link, diagnosis::Diagnosis, record::ClockState, time::rfc3339_millis,
};

/// One thing that happened. `at` is always the time of emission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What is measured; the first event of every stream.
    Roster(RosterEvent),
    /// A probe ended.
    Probe(ProbeEvent),
    /// A component's phase changed; told for every component at the start.
    Phase(PhaseEvent),
    /// The open outage of a component became better known, its phase being the same.
    Outage(OutageEvent),
    /// Another one serves the component, without an outage.
    Switch(SwitchEvent),
    /// An outage used up its target.
    Violation(ViolationEvent),
    /// An outage was closed; it is on disk by now.
    Recovery(RecoveryEvent),
    /// A bad verdict that was not confirmed.
    Blip(BlipEvent),
    /// A time in which the runner saw nothing.
    Gap(GapEvent),
    /// An outage that cannot become a recovery record.
    Unmeasured(UnmeasuredEvent),
    /// What is known of the runner's clock.
    Clock(ClockEvent),
    /// Somebody is to do something about it, or no longer.
    Alert(AlertEvent),
    /// A platform throttles us or no longer does, or its budget makes probes come later than they should.
    Budget(BudgetEvent),
    /// The login of a platform works or fails.
    Platform(PlatformEvent),
    /// Something about warroom itself that a person must know: the disk is full, the canary fails.
    Notice(NoticeEvent),
    /// The whole chain was examined.
    Diagnosis(Diagnosis),
    /// Somebody did something.
    Act(ActEvent),
    /// Somebody came or went.
    Presence(PresenceEvent),
    /// The config was read again.
    Config(ConfigEvent),
}

/// The roster, sent first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RosterEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// What is measured.
    pub roster: Arc<Roster>,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// On which path.
    pub path: PathName,
    /// The verdict, dependencies included.
    pub verdict: Verdict,
    /// Latency of the health step.
    pub latency_ms: Option<f64>,
    /// Who serves the component.
    pub served_by: Option<String>,
    /// Why it is not up.
    pub reason: Option<String>,
    /// Whether it ran at the burst pace.
    pub burst: bool,
    /// The steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
}

/// A phase, and the open outage as it is known now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// On which path.
    pub path: PathName,
    /// The phase.
    pub phase: Phase,
    /// T_detect of the open outage.
    pub t_detect_epoch: Option<f64>,
    /// The open outage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageView>,
}

/// Progress of an open outage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutageEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// On which path.
    pub path: PathName,
    /// What is known of it.
    pub outage: OutageView,
}

/// An open outage as it is known at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutageView {
    /// The id that its record will carry.
    pub id: String,
    /// `down` or `degraded`: the worst verdict of its current bad run.
    pub verdict: Verdict,
    /// T_detect on the wall clock, frozen.
    #[serde(with = "rfc3339_millis")]
    pub t_detect: DateTime<Utc>,
    /// The earliest possible onset; `None` when the component was never seen good before.
    pub onset_after: Option<DateTime<Utc>>,
    /// T_failover, when a declared secondary was seen.
    pub t_failover: Option<DateTime<Utc>>,
    /// Who serves now.
    pub served_by: Option<String>,
    /// End of the first good verdict of the run that may become the recovery.
    pub restored_since: Option<DateTime<Utc>>,
    /// End of the last counted bad evidence.
    #[serde(with = "rfc3339_millis")]
    pub last_bad: DateTime<Utc>,
    /// Why it is bad.
    pub reason: String,
    /// Names of the steps and dependencies that failed in it, in the order they were first seen.
    pub failed_steps: Vec<String>,
    /// Probes that could not see while it was open.
    pub blind_probes: u32,
    /// Seconds of it in which the runner saw nothing.
    pub gap_seconds: f64,
    /// The links of the chain that failed in it, those that are back first.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// Another one serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// Who served before.
    pub from: String,
    /// Who serves now.
    pub to: String,
}

/// The target is used up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// How much of the target is used.
    pub rto_used_percentage: Percent,
    /// Whether the outage is still open.
    pub open: bool,
}

/// A closed outage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// The evidence.
    pub record: Arc<RecoveryRecord>,
}

/// A blip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlipEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// Why the verdict was bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Unobserved time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Its beginning.
    #[serde(with = "rfc3339_millis")]
    pub from: DateTime<Utc>,
    /// Its end.
    #[serde(with = "rfc3339_millis")]
    pub until: DateTime<Utc>,
    /// Why nothing was seen.
    pub reason: String,
}

/// An outage without a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnmeasuredEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Whose.
    pub component_id: ComponentId,
    /// Its T_detect.
    pub t_detect_epoch: f64,
    /// Its T_restore.
    pub t_restore_epoch: f64,
    /// Why it cannot be measured.
    pub reason: String,
}

/// The runner's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Local minus true time.
    pub offset_ms: Option<f64>,
    /// How wrong that may be.
    pub error_ms: Option<f64>,
    /// The stratum of the best source.
    pub stratum: Option<u8>,
    /// What follows from it.
    pub state: ClockState,
    /// What is taken off the wall clock in every timestamp: the offset where it is larger than its error, else zero.
    #[serde(default)]
    pub correction_ms: f64,
    /// What each source says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ClockSource>,
}

/// What one time source says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockSource {
    /// Its name: `chrony`, `ntp time.example.com`, `platform genesys`.
    pub name: String,
    /// Local minus true time, by it.
    pub offset_ms: f64,
    /// How wrong that may be.
    pub error_ms: f64,
    /// Its stratum, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<u8>,
    /// Whether it is among those that agree.
    pub agrees: bool,
}

/// Something that asks for a person's help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// What it is about: `component:ID`, `platform:NAME`, `clock`.
    pub scope: String,
    /// The component, where it is about one.
    pub component_id: Option<ComponentId>,
    /// The outage, where it is about one.
    pub outage_id: Option<String>,
    /// How grave it is.
    pub severity: Severity,
    /// How far it has come.
    pub state: AlertState,
    /// Whether nobody is told of it, because a logging mode covers it.
    pub suppressed: bool,
    /// What is wrong, and what to do; for a resolved one, what has become of it.
    pub reason: String,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// The word on screens.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It holds.
    Firing,
    /// It holds, and somebody has taken it up.
    Acknowledged,
    /// It holds no longer.
    Resolved,
}

/// How the rate budget of a platform stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Which platform.
    pub platform: PlatformId,
    /// Whether it answers 429.
    pub throttled: bool,
    /// How long it asks us to wait.
    pub retry_after_ms: Option<u64>,
    /// Components whose probes come later than they should because the budget is short, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretched: Vec<Stretched>,
}

/// A component whose probes come later than they should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretched {
    /// Whose.
    pub component_id: ComponentId,
    /// The interval that it should have now.
    pub wanted_ms: u64,
    /// The one that it has, smoothed.
    pub actual_ms: u64,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Which platform.
    pub platform: PlatformId,
    /// `ok` or `failing`.
    pub login: Login,
    /// Why it fails.
    pub reason: Option<String>,
}

/// Whether the login of a platform works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// It works.
    Ok,
    /// It does not; the platform's components are blind.
    Failing,
}

/// Something about warroom itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// What it is about, so that a later notice can take an earlier one back: `store`, `canary`.
    pub about: String,
    /// Whether it is still so; `false` takes the notice back.
    pub standing: bool,
    /// What, and what to do.
    pub text: String,
}

/// An act of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Who.
    pub who: Person,
    /// What.
    pub act: Command,
}

/// Somebody came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Which of both.
    pub change: Presence,
    /// Who.
    pub console: Attached,
    /// Everybody who is here now, in the order in which they came.
    pub present: Vec<Attached>,
}

/// Coming or going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// A console was attached.
    Attached,
    /// It was closed, or its connection was cut.
    Detached,
}

/// A config that was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEvent {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// Who asked for it; `None` for SIGHUP.
    pub who: Option<Person>,
    /// Whether it is in force now; otherwise the old one still is.
    pub loaded: bool,
    /// What is wrong with it, a line for each mistake; or what changed.
    pub words: Vec<String>,
}

impl Event {
    /// The time of emission.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Roster(event) => event.at,
            Self::Probe(event) => event.at,
            Self::Phase(event) => event.at,
            Self::Outage(event) => event.at,
            Self::Switch(event) => event.at,
            Self::Violation(event) => event.at,
            Self::Recovery(event) => event.at,
            Self::Blip(event) => event.at,
            Self::Gap(event) => event.at,
            Self::Unmeasured(event) => event.at,
            Self::Clock(event) => event.at,
            Self::Alert(event) => event.at,
            Self::Budget(event) => event.at,
            Self::Platform(event) => event.at,
            Self::Notice(event) => event.at,
            Self::Diagnosis(event) => event.at,
            Self::Act(event) => event.at,
            Self::Presence(event) => event.at,
            Self::Config(event) => event.at,
        }
    }

    /// The component that it is about, if it is about one.
    #[must_use]
    pub fn component_id(&self) -> Option<&ComponentId> {
        match self {
            Self::Probe(event) => Some(&event.component_id),
            Self::Phase(event) => Some(&event.component_id),
            Self::Outage(event) => Some(&event.component_id),
            Self::Switch(event) => Some(&event.component_id),
            Self::Violation(event) => Some(&event.component_id),
            Self::Recovery(event) => Some(&event.record.component_id),
            Self::Blip(event) => Some(&event.component_id),
            Self::Unmeasured(event) => Some(&event.component_id),
            Self::Alert(event) => event.component_id.as_ref(),
            Self::Act(event) => match &event.act {
                Command::ProbeNow { component_id } | Command::Acknowledge { component_id, .. } => {
                    Some(component_id)
                }
                Command::Diagnose | Command::Reload => None,
            },
            Self::Roster(_)
            | Self::Gap(_)
            | Self::Clock(_)
            | Self::Budget(_)
            | Self::Platform(_)
            | Self::Notice(_)
            | Self::Diagnosis(_)
            | Self::Presence(_)
            | Self::Config(_) => None,
        }
    }
}
