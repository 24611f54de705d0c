//! How a service may be.

use std::{sync::Arc, time::Duration};

/// How a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It works.
    #[default]
    Up,
    /// It answers with an error of the server's.
    Down {
        /// 500 to 599.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It answers 200 and says that it does not work.
    Failing,
    /// It closes the connection without an answer.
    Refused,
    /// It answers 429.
    Throttled {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It works, later than usual.
    Slow {
        /// How much later.
        latency: Duration,
    },
    /// It answers 403: the token lacks the permission.
    Forbidden,
    /// It sends half of its JSON as if that were all.
    Truncated,
    /// It resets the connection in the middle of its body.
    Broken,
    /// It sends a body of so many bytes.
    Huge {
        /// At most 64 MiB.
        bytes: u64,
    },
    /// Its body comes in drops.
    Dripping {
        /// How long the whole body takes.
        latency: Duration,
    },
    /// Its texts hold escape sequences and bidi controls.
    Escapes,
    /// It answers 200 with a web page.
    Html,
    /// It answers 302.
    Redirect {
        /// Where it sends us; to the same address again where there is none.
        location: Option<Arc<str>>,
    },
}

impl State {
    /// The words that a scenario may use.
    pub(super) const WORDS: [&str; 14] = [
        "up",
        "down",
        "failing",
        "refused",
        "throttled",
        "slow",
        "forbidden",
        "truncated",
        "broken",
        "huge",
        "dripping",
        "escapes",
        "html",
        "redirect",
    ];

    /// Whether the service does its work and only the way back to us may be bad.
    #[must_use]
    pub const fn works(&self) -> bool {
        !matches!(self, Self::Failing | Self::Down { .. } | Self::Refused)
    }
}
