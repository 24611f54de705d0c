//! `status.json` beside the database: how things stand, for `warroom status`, without attaching to the engine.
//!
//! Invariant: a reader sees a whole file or none; one that could not be renewed is removed rather than left to lie.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    path::Path,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{entry, share};
use crate::domain::{
    Attached, ComponentId, Percent, Phase, Picture, Verdict, compliance,
    picture::{ComponentPicture, PlatformPicture},
    record::{ClockState, Mode},
    roster::ComponentCard,
    time::rfc3339_millis,
};

/// The file's name in the data folder.
pub const FILE: &str = "status.json";
/// A file that says the same as before is renewed so often, so that its age tells whether the engine still works.
const RENEWAL: TimeDelta = TimeDelta::seconds(10);

/// How long a probe may run, beyond two cadences, before nothing is known of its component any more.
const ALLOWANCE: Duration = Duration::from_secs(30);

/// How things stood at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusFile {
    /// When.
    #[serde(with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// The engine's process.
    pub pid: u32,
    /// The `tenant` of the config.
    pub tenant: String,
    /// Whether this is the demo on simulated platforms.
    pub demo: bool,
    /// The worst state of all components: `down`, `failed_over`, `recovering`, `unobserved` or `up`.
    pub worst: Phase,
    /// How many components are up, as far as it can be seen now.
    pub up: usize,
    /// How many components cannot be seen now: blind, their platform throttled or its login failing, or not probed for
    /// too long.
    #[serde(default)]
    pub blind: usize,
    /// How many there are.
    pub components: usize,
    /// The open outages, worst first.
    pub outages: Vec<OpenOutage>,
    /// The running drill.
    pub drill: Option<String>,
    /// Whether anybody would be paged.
    pub mode: Mode,
    /// What is known of the runner's clock.
    pub clock: ClockState,
    /// What a person must know about warroom itself.
    pub notices: Vec<String>,
    /// Whether the config that was last read again was refused, so that an older one is in force; a notice says why.
    #[serde(default)]
    pub config_refused: bool,
    /// The consoles that are attached, in the order in which they came.
    #[serde(default)]
    pub present: Vec<Attached>,
}

/// An outage that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenOutage {
    /// Whose.
    pub component_id: ComponentId,
    /// The component's name.
    pub name: String,
    /// Its tier.
    pub tier: u8,
    /// `down`, `failed_over` or `recovering`.
    pub phase: Phase,
    /// `down` or `degraded`.
    pub verdict: Verdict,
    /// `T_detect`.
    #[serde(with = "rfc3339_millis")]
    pub since: DateTime<Utc>,
    /// How much of the target it has provably used.
    pub rto_used_percentage: Percent,
    /// Who looks after it.
    #[serde(default)]
    pub acknowledged_by: Option<String>,
}

impl StatusFile {
    /// What the picture says now.
    #[must_use]
    pub fn of(picture: &Picture, now: DateTime<Utc>, pid: u32) -> Self {
        let pairs = || picture.roster.components.iter().zip(&picture.components);
        let unseen = |card: &ComponentCard, component: &ComponentPicture| {
            is_unseen(card, component, picture.platforms.get(&card.platform), now)
        };
        let phase = |(card, component): (&ComponentCard, &ComponentPicture)| match component.phase {
            Phase::Up if unseen(card, component) => Phase::Unobserved,
            phase => phase,
        };
        let mut outages: Vec<_> = pairs()
            .filter_map(|(card, component)| {
                let outage = component.outage.as_ref()?;
                Some(OpenOutage {
                    component_id: card.id.clone(),
                    name: card.name.to_string(),
                    tier: card.tier.number(),
                    phase: component.phase,
                    verdict: outage.verdict,
                    since: outage.t_detect,
                    rto_used_percentage: compliance::rto_used(outage.elapsed(), card.target_rto),
                    acknowledged_by: component.acknowledged.as_ref().map(|known| known.who.to_string()),
                })
            })
            .collect();
        let failing = picture.platforms.iter().filter_map(|(id, platform)| {
            platform.login_failing.as_ref().map(|reason| format!("{id}: login failing: {reason}"))
        });
        outages.sort_by_key(|outage| (severity(outage.phase), outage.tier, outage.since));
        Self {
            at: now,
            pid,
            tenant: picture.roster.tenant.clone(),
            demo: picture.roster.demo,
            worst: pairs().map(phase).min_by_key(|phase| severity(*phase)).unwrap_or_default(),
            up: pairs().filter(|pair| phase(*pair) == Phase::Up).count(),
            blind: pairs().filter(|(card, component)| unseen(card, component)).count(),
            components: picture.components.len(),
            outages,
            drill: None,
            mode: Mode::Alerting,
            clock: picture.clock.as_ref().map_or(ClockState::Unknown, |clock| clock.state),
            notices: failing.chain(picture.notices.values().map(|notice| notice.text.clone())).collect(),
            config_refused: picture.config.as_ref().is_some_and(|config| !config.loaded),
            present: picture.present.clone(),
        }
    }

    /// Whether there is nothing to worry about.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let measured = self.clock != ClockState::Unsafe;
        self.worst == Phase::Up && self.up == self.components && self.blind == 0 && measured
    }

    /// Whether a file that says `self` must be renewed to say `new`.
    pub(super) fn is_outdated_by(&self, new: &Self) -> bool {
        let same = Self { at: new.at, ..self.clone() } == *new;
        !same || (new.at - self.at).abs() >= RENEWAL
    }
}

/// Whether nothing can be said of the component now, whatever was seen of it before.
fn is_unseen(
    card: &ComponentCard,
    component: &ComponentPicture,
    platform: Option<&PlatformPicture>,
    now: DateTime<Utc>,
) -> bool {
    let interval = platform.map_or(card.cadence, |platform| platform.interval(card));
    let late = component.probed_at.is_some_and(|last| {
        (now - last).to_std().is_ok_and(|silence| silence > interval.saturating_mul(2) + ALLOWANCE)
    });
    late || component.verdict == Some(Verdict::Blind)
        || platform.is_some_and(|platform| platform.throttled || platform.login_failing.is_some())
}

/// Worst first.
const fn severity(phase: Phase) -> u8 {
    match phase {
        Phase::Down => 0,
        Phase::FailedOver => 1,
        Phase::Recovering => 2,
        Phase::Unobserved => 3,
        Phase::Up => 4,
    }
}

/// Replaces the file as a whole.
pub fn write(folder: &Path, status: &StatusFile) -> io::Result<()> {
    let (path, fresh) = (folder.join(FILE), folder.join(".status.json.new"));
    let written = (|| {
        let mut file = entry::make(&fresh)?;
        share::follow(folder, &file);
        let mut text = serde_json::to_vec(status).map_err(io::Error::other)?;
        text.push(b'\n');
        file.write_all(&text)?;
        fs::rename(&fresh, &path)
    })();
    if written.is_err() {
        // The folder may be unwritable altogether; then the age of the old file tells.
        let _ = fs::remove_file(&path);
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Reads the file; `None` when there is none.
pub fn read(folder: &Path) -> io::Result<Option<StatusFile>> {
    let mut file = match entry::read(&folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    serde_json::from_slice(&text).map(Some).map_err(io::Error::other)
}
