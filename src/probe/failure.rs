//! Why a step did not get a complete answer.

use std::{io, time::Duration};

use super::{
    foreign::{LONGEST, clean},
    tls::TrustError,
};

/// Why there is no complete answer; `reason` is cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What kind of failure it is.
    pub(crate) kind: Kind,
    /// In words.
    pub(crate) reason: String,
}

/// Whose failure it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing answered: the one kind that may be our own network's.
    Transport,
    /// Nobody answered what the host's name stands for: our own resolver's failure, unless it knows other names.
    Unresolved,
    /// The other side answered, and wrongly.
    Answer,
    /// This machine could not even ask: no file handle, no trust roots.
    Ours,
}

impl Failure {
    pub(crate) fn transport(reason: &str) -> Self {
        Self { kind: Kind::Transport, reason: clean(reason, LONGEST) }
    }

    pub(crate) fn unresolved(reason: &str) -> Self {
        Self { kind: Kind::Unresolved, reason: clean(reason, LONGEST) }
    }

    pub(crate) fn answer(reason: &str) -> Self {
        Self { kind: Kind::Answer, reason: clean(reason, LONGEST) }
    }

    pub(crate) fn ours(reason: &str) -> Self {
        Self { kind: Kind::Ours, reason: clean(reason, LONGEST) }
    }

    /// Why a socket could not be opened.
    pub(crate) fn connecting(error: &io::Error) -> Self {
        if let Some(reason) = exhausted(error) {
            return Self::ours(reason);
        }
        Self::transport(&describe(error))
    }

    /// Why a TLS handshake failed. A certificate or alert is an answer; a broken connection is none.
    pub(crate) fn handshake(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::answer(&format!("TLS: {tls}")),
            None => Self::transport(&format!("TLS handshake: {}", describe(error))),
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        Self::ours(&error.to_string())
    }
}

/// Whether the machine ran out of something of its own.
fn exhausted(error: &io::Error) -> Option<&'static str> {
    use rustix::io::Errno;
    match Errno::from_io_error(error)? {
        Errno::MFILE | Errno::NFILE => Some("this machine has no file handle left (raise `ulimit -n`)"),
        Errno::ADDRNOTAVAIL => Some("this machine has no local port left"),
        Errno::NOBUFS | Errno::NOMEM => Some("this machine has no memory left for a connection"),
        _ => None,
    }
}

/// An I/O error in short words.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::ConnectionAborted => "connection aborted".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}

/// How far an attempt came before its time was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waiting for a place to look the name up.
    Queueing,
    /// Looking the name up.
    #[default]
    Resolving,
    /// Opening the TCP connection.
    Connecting,
    /// Agreeing on TLS or HTTP.
    Handshaking,
    /// Waiting for the first byte of the answer.
    Waiting,
    /// Reading the rest of it.
    Reading,
}

impl Stage {
    /// The failure of an attempt that was cut off in this stage.
    pub(crate) fn timed_out(self, after: Duration) -> Failure {
        let after = humantime::format_duration(after);
        match self {
            Self::Queueing => {
                Failure::ours(&format!("this machine's resolver hangs: no lookup within {after}"))
            }
            Self::Resolving => Failure::unresolved(&format!("name not resolved within {after}")),
            Self::Connecting => Failure::transport(&format!("no connection within {after}")),
            Self::Handshaking => Failure::transport(&format!("no TLS handshake within {after}")),
            Self::Waiting => Failure::transport(&format!("no answer within {after}")),
            Self::Reading => Failure::answer(&format!("answer not complete within {after}")),
        }
    }
}
