//! The parts of the simulated platforms that a scenario can change, each by itself.

use std::{collections::BTreeSet, time::Duration};

/// One part of a simulated platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A flow's own word on itself: the recovery guide's status, the flow and its versions.
    GenesysFlow,
    /// Launching a flow and asking how it went.
    GenesysExecution,
    /// The request that a tested data action sends.
    GenesysAction,
    /// What a tested data action looks up in the answer to its request.
    GenesysLookup,
    /// An integration's reported state.
    GenesysIntegration,
    /// Rows of data tables.
    GenesysDatatable,
    /// Trunks as the platform sees them, by themselves and as a listing.
    GenesysTrunk,
    /// Edges as the platform sees them.
    GenesysEdge,
    /// The organisation's call capacity.
    GenesysCalls,
    /// Observations and waiting times of queues and flows.
    GenesysQueue,
    /// Where numbers are routed, and the link to the other organisation.
    GenesysRouting,
    /// Emergency groups.
    GenesysEmergency,
    /// Which flows a number's IVR leads to.
    GenesysIvr,
    /// The platform's time.
    GenesysDate,
    /// The token endpoint.
    GenesysLogin,
    /// What a token may do, and the organisation's limits.
    GenesysAccount,
    /// A site's own word on itself.
    CxoneSite,
    /// Starting a script, signalling it and ending its contact.
    CxoneScript,
    /// Skill activity.
    CxoneSkills,
    /// Contacts and their states.
    CxoneContacts,
    /// Agents' states.
    CxoneAgents,
    /// Points of contact.
    CxonePoints,
    /// The platform's time.
    CxoneTime,
    /// Business continuity: which region is the primary one.
    CxoneBcp,
    /// The token endpoints and the discovery of hosts.
    CxoneLogin,
    /// Whether the CRM is ready.
    EdgeCrm,
    /// Looking a caller up in the CRM.
    EdgeContacts,
    /// What signalled scripts wrote into the CRM.
    EdgeRecords,
    /// The agent desktop's API.
    EdgeAgent,
    /// The session border controller's SIP side.
    EdgeSip,
    /// The live dashboard.
    WemDashboard,
    /// Schedules.
    WfmSchedule,
    /// Recordings.
    ArchiveRecordings,
    /// Exports for analytics.
    ArchiveExports,
    /// Snapshots of the config.
    BackupSnapshots,
}

/// What is fixed of a service.
struct Facts {
    name: &'static str,
    /// In milliseconds.
    median: u64,
    /// What a token needs: the first for most requests, the others for some.
    permissions: &'static [&'static str],
}

const fn facts(name: &'static str, median: u64, permissions: &'static [&'static str]) -> Facts {
    Facts { name, median, permissions }
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 35] = [
        Self::GenesysFlow,
        Self::GenesysExecution,
        Self::GenesysAction,
        Self::GenesysLookup,
        Self::GenesysIntegration,
        Self::GenesysDatatable,
        Self::GenesysTrunk,
        Self::GenesysEdge,
        Self::GenesysCalls,
        Self::GenesysQueue,
        Self::GenesysRouting,
        Self::GenesysEmergency,
        Self::GenesysIvr,
        Self::GenesysDate,
        Self::GenesysLogin,
        Self::GenesysAccount,
        Self::CxoneSite,
        Self::CxoneScript,
        Self::CxoneSkills,
        Self::CxoneContacts,
        Self::CxoneAgents,
        Self::CxonePoints,
        Self::CxoneTime,
        Self::CxoneBcp,
        Self::CxoneLogin,
        Self::EdgeCrm,
        Self::EdgeContacts,
        Self::EdgeRecords,
        Self::EdgeAgent,
        Self::EdgeSip,
        Self::WemDashboard,
        Self::WfmSchedule,
        Self::ArchiveRecordings,
        Self::ArchiveExports,
        Self::BackupSnapshots,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::GenesysFlow => facts("genesys/flow", 30, &["architect:flow:view"]),
            Self::GenesysExecution => {
                facts("genesys/execution", 30, &["architect:flow:launch", "architect:flowExecution:view"])
            }
            Self::GenesysAction => facts("genesys/action", 60, &["integrations:action:execute"]),
            Self::GenesysLookup => facts("genesys/lookup", 60, &["integrations:action:execute"]),
            Self::GenesysIntegration => facts("genesys/integration", 24, &["integrations:integration:view"]),
            Self::GenesysDatatable => facts(
                "genesys/datatable",
                24,
                &["architect:datatableRow:view", "architect:datatableRow:edit"],
            ),
            Self::GenesysTrunk => facts("genesys/trunk", 12, &["telephony:plugin:all"]),
            Self::GenesysEdge => facts("genesys/edge", 12, &["telephony:plugin:all"]),
            Self::GenesysCalls => facts("genesys/calls", 18, &["telephony:callMetrics:view"]),
            Self::GenesysQueue => facts(
                "genesys/queue",
                46,
                &["analytics:queueObservation:view", "analytics:flowObservation:view", "routing:queue:view"],
            ),
            Self::GenesysRouting => facts(
                "genesys/routing",
                24,
                &["telephony:numberRouting:view", "telephony:organizationLink:view"],
            ),
            Self::GenesysEmergency => facts("genesys/emergency", 18, &["routing:emergencyGroup:view"]),
            Self::GenesysIvr => facts("genesys/ivr", 18, &["routing:callRoute:view"]),
            Self::GenesysDate => facts("genesys/date", 12, &[]),
            Self::GenesysLogin => facts("genesys/login", 18, &[]),
            Self::GenesysAccount => facts("genesys/account", 18, &[]),
            Self::CxoneSite => facts("cxone/site", 38, &[]),
            Self::CxoneScript => facts("cxone/script", 38, &[]),
            Self::CxoneSkills => facts("cxone/skills", 30, &[]),
            Self::CxoneContacts => facts("cxone/contacts", 30, &[]),
            Self::CxoneAgents => facts("cxone/agents", 30, &[]),
            Self::CxonePoints => facts("cxone/points", 30, &[]),
            Self::CxoneTime => facts("cxone/time", 12, &[]),
            Self::CxoneBcp => facts("cxone/bcp", 24, &[]),
            Self::CxoneLogin => facts("cxone/login", 18, &[]),
            Self::EdgeCrm => facts("edge/crm", 12, &[]),
            Self::EdgeContacts => facts("edge/contacts", 24, &[]),
            Self::EdgeRecords => facts("edge/records", 18, &[]),
            Self::EdgeAgent => facts("edge/agent", 18, &[]),
            Self::EdgeSip => facts("edge/sip", 6, &[]),
            Self::WemDashboard => facts("wem/dashboard", 24, &[]),
            Self::WfmSchedule => facts("wfm/schedule", 46, &[]),
            Self::ArchiveRecordings => facts("archive/recordings", 6, &[]),
            Self::ArchiveExports => facts("archive/exports", 18, &[]),
            Self::BackupSnapshots => facts("backup/snapshots", 38, &[]),
        }
    }

    /// Its name in a scenario: `platform/part`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The platforms, in alphabetical order.
    #[must_use]
    pub fn platforms() -> BTreeSet<&'static str> {
        Self::ALL.into_iter().map(Self::platform).collect()
    }

    /// The platform that it belongs to: the first half of its name.
    #[must_use]
    pub fn platform(self) -> &'static str {
        self.name().split_once('/').map_or(self.name(), |(platform, _)| platform)
    }

    /// Who serves it unless the scenario says otherwise.
    #[must_use]
    pub fn served_by(self) -> &'static str {
        match self.platform() {
            "genesys" | "edge" => "us-east-1",
            "cxone" => "prod-us-east-1",
            _ => "primary",
        }
    }

    /// The latency that half of its answers stay under.
    #[must_use]
    pub const fn median_latency(self) -> Duration {
        Duration::from_millis(self.facts().median)
    }

    /// The permissions that a token needs: the first for most requests, the others for some.
    #[must_use]
    pub const fn permissions(self) -> &'static [&'static str] {
        self.facts().permissions
    }

    /// Whether it tells of a failover, and so answers while its region is away.
    #[must_use]
    pub const fn tells_failover(self) -> bool {
        matches!(self, Self::GenesysRouting | Self::GenesysEmergency | Self::CxoneBcp)
    }

    /// Whether a request to it carries no token.
    #[must_use]
    pub const fn is_login(self) -> bool {
        matches!(self, Self::GenesysLogin | Self::CxoneLogin)
    }
}
