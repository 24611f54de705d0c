//! What the probe room hands to the domain: one run of a journey, step by step.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ComponentId, PathName, Span, Verdict};

/// One finished probe of a component: its own journey, without its dependencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Whose journey was run.
    pub component_id: ComponentId,
    /// On which path.
    pub path: PathName,
    /// From the start of the first step to the end of the last one that belongs to the verdict (clean-up excluded).
    pub span: Span,
    /// What the own journey says; dependencies are added by the domain.
    pub verdict: Verdict,
    /// The interval of the failing step when the verdict is bad, else the whole probe's.
    pub evidence: Span,
    /// Whether the health step passed; `None` when it did not run to an answer (blind).
    pub health_passed: Option<bool>,
    /// Who serves the component now, by its `served_by` expression.
    pub served_by: Option<String>,
    /// Latency of the health step.
    #[serde(rename = "latency_ms", with = "millis::option")]
    pub latency: Option<Duration>,
    /// Why the verdict is not `up`: the step's name and what failed. Cleaned of control and bidi characters.
    pub reason: Option<String>,
    /// Whether it ran at the burst pace.
    pub burst: bool,
    /// Every step of the journey in order, those that were not run included.
    pub steps: Vec<StepReport>,
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step's name.
    pub name: Arc<str>,
    /// What became of it.
    pub state: StepState,
    /// When it ran, its retries included, on the clock of this process alone.
    #[serde(skip)]
    pub span: Option<Span>,
    /// How long its last attempt took, part by part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timings: Option<Timings>,
    /// Why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When the platform itself saw the failure begin, by the step's `onset_at` expression.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub onset_at: Option<DateTime<Utc>>,
    /// When the platform itself saw the failure end, by the step's `restored_at` expression.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restored_at: Option<DateTime<Utc>>,
}

/// What became of one step of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Every expectation held.
    Passed,
    /// An expectation failed, or nothing answered.
    Failed,
    /// It could not be seen (429, login failing, the runner cut off).
    Blind,
    /// An earlier step failed.
    NotRun,
    /// A step of a kind that this version cannot run; left out of the verdict.
    Unsupported,
}

/// How long the parts of one request took. A part that did not happen (a reused connection) is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Name resolution.
    #[serde(rename = "dns_ms", with = "millis::option", skip_serializing_if = "Option::is_none", default)]
    pub dns: Option<Duration>,
    /// TCP connection.
    #[serde(
        rename = "connect_ms",
        with = "millis::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub connect: Option<Duration>,
    /// TLS handshake.
    #[serde(rename = "tls_ms", with = "millis::option", skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<Duration>,
    /// From the request's last byte to the answer's first.
    #[serde(
        rename = "first_byte_ms",
        with = "millis::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub first_byte: Option<Duration>,
    /// From the beginning to the answer's last byte.
    #[serde(rename = "total_ms", with = "millis")]
    pub total: Duration,
    /// Whether a connection from an earlier probe was used.
    #[serde(default)]
    pub reused: bool,
}

/// Durations as milliseconds with two decimals.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((duration.as_secs_f64() * 1e5).round() / 100.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(millis / 1000.0).map_err(serde::de::Error::custom)
    }

    pub(super) mod option {
        use super::{Deserialize, Deserializer, Duration, Serializer};

        #[expect(clippy::ref_option, reason = "serde hands over a reference")]
        pub(in super::super) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            let Some(millis) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
            Duration::try_from_secs_f64(millis / 1000.0).map(Some).map_err(serde::de::Error::custom)
        }
    }
}
