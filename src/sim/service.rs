//! The parts of the simulated platforms that a scenario can change, each by itself.

use std::time::Duration;

/// One part of a simulated platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// A flow's own word on itself.
    GenesysFlow,
    /// Launching a flow and asking how it went.
    GenesysExecution,
    /// A trunk as the platform sees it.
    GenesysTrunk,
    /// Queue observations.
    GenesysQueue,
    /// Rows of data tables.
    GenesysDatatable,
    /// The platform's time.
    GenesysDate,
    /// The token endpoint.
    GenesysLogin,
    /// A site's own word on itself.
    CxoneSite,
    /// Starting a script and ending its contact.
    CxoneScript,
    /// Skill activity.
    CxoneSkills,
    /// The platform's time.
    CxoneTime,
    /// The token endpoint.
    CxoneLogin,
    /// Whether the CRM is ready.
    EdgeCrm,
    /// Looking a caller up in the CRM.
    EdgeContacts,
    /// The agent desktop's API.
    EdgeAgent,
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

impl Service {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::GenesysFlow,
        Self::GenesysExecution,
        Self::GenesysTrunk,
        Self::GenesysQueue,
        Self::GenesysDatatable,
        Self::GenesysDate,
        Self::GenesysLogin,
        Self::CxoneSite,
        Self::CxoneScript,
        Self::CxoneSkills,
        Self::CxoneTime,
        Self::CxoneLogin,
        Self::EdgeCrm,
        Self::EdgeContacts,
        Self::EdgeAgent,
        Self::WemDashboard,
        Self::WfmSchedule,
        Self::ArchiveRecordings,
        Self::ArchiveExports,
        Self::BackupSnapshots,
    ];

    /// Its name in a scenario: `platform/part`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GenesysFlow => "genesys/flow",
            Self::GenesysExecution => "genesys/execution",
            Self::GenesysTrunk => "genesys/trunk",
            Self::GenesysQueue => "genesys/queue",
            Self::GenesysDatatable => "genesys/datatable",
            Self::GenesysDate => "genesys/date",
            Self::GenesysLogin => "genesys/login",
            Self::CxoneSite => "cxone/site",
            Self::CxoneScript => "cxone/script",
            Self::CxoneSkills => "cxone/skills",
            Self::CxoneTime => "cxone/time",
            Self::CxoneLogin => "cxone/login",
            Self::EdgeCrm => "edge/crm",
            Self::EdgeContacts => "edge/contacts",
            Self::EdgeAgent => "edge/agent",
            Self::WemDashboard => "wem/dashboard",
            Self::WfmSchedule => "wfm/schedule",
            Self::ArchiveRecordings => "archive/recordings",
            Self::ArchiveExports => "archive/exports",
            Self::BackupSnapshots => "backup/snapshots",
        }
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
        Duration::from_millis(match self {
            Self::ArchiveRecordings => 6,
            Self::GenesysTrunk | Self::GenesysDate | Self::CxoneTime | Self::EdgeCrm => 12,
            Self::EdgeAgent | Self::GenesysLogin | Self::CxoneLogin | Self::ArchiveExports => 18,
            Self::EdgeContacts | Self::WemDashboard | Self::GenesysDatatable => 24,
            Self::GenesysFlow | Self::GenesysExecution | Self::CxoneSkills => 30,
            Self::CxoneSite | Self::CxoneScript | Self::BackupSnapshots => 38,
            Self::GenesysQueue | Self::WfmSchedule => 46,
        })
    }
}
