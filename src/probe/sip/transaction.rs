//! One request and its answers: when it is sent again and when it is given up (RFC 3261 section 17.1).
//!
//! Invariant: it reads no clock and opens no socket; time and answers are handed to it.

use std::time::Duration;

use tokio::time::Instant;

use super::message::{Method, Response};

/// An estimate of the way there and back.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// The longest time between two sendings of what is no INVITE.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// How long an answer may take: timers B and F, 64 × T1.
pub(crate) const LONGEST: Duration = Duration::from_secs(32);

/// A request that waits for its final answer.
#[derive(Debug)]
pub(crate) struct Transaction {
    method: Method,
    branch: String,
    sequence: u32,
    bytes: Vec<u8>,
    state: State,
    /// Time between the last sending and the next.
    interval: Duration,
    /// When it is sent again; `None` where the transport does that, or where an INVITE was heard.
    again_at: Option<Instant>,
    ends_at: Instant,
    /// An INVITE that was heard may ring as long as it likes.
    may_ring: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was heard.
    Calling,
    /// It was heard.
    Proceeding,
    /// It was answered.
    Answered,
    /// It was given up.
    Expired,
}

impl Transaction {
    /// A request that is sent now. `again` says whether it is for us to send it again: by datagrams it is.
    pub(crate) fn begin(
        method: Method,
        (branch, sequence): (String, u32),
        bytes: Vec<u8>,
        again: bool,
        now: Instant,
    ) -> Self {
        Self {
            method,
            branch,
            sequence,
            bytes,
            state: State::Calling,
            interval: T1,
            again_at: again.then(|| now + T1),
            ends_at: now + LONGEST,
            may_ring: method == Method::Invite,
        }
    }

    /// What is sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn branch(&self) -> &str {
        &self.branch
    }

    /// Whether a response is its answer (section 17.1.3).
    pub(crate) fn is_answered_by(&self, response: &Response) -> bool {
        response.branch() == Some(&self.branch)
            && response.sequence() == Some((self.sequence, self.method.word()))
    }

    /// Takes an answer of its own.
    pub(crate) fn heard(&mut self, response: &Response, now: Instant) {
        if self.is_done() {
            return;
        }
        if response.is_final() {
            self.state = State::Answered;
            self.again_at = None;
            return;
        }
        self.state = State::Proceeding;
        if self.method == Method::Invite {
            self.again_at = None;
        } else if self.again_at.is_some() {
            self.interval = T2;
            self.again_at = Some(now + T2);
        }
    }

    /// When [`Self::tick`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let ends = (!(self.may_ring && self.state == State::Proceeding)).then_some(self.ends_at);
        (!self.is_done()).then(|| self.again_at.into_iter().chain(ends).min())?
    }

    /// Whether it is to be sent again now.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        if now >= self.ends_at {
            self.state = State::Expired;
            return false;
        }
        let longest = if self.method == Method::Invite { LONGEST } else { T2 };
        self.interval = (self.interval * 2).min(longest);
        self.again_at = Some(now + self.interval);
        true
    }

    /// An answer to it must come until then, also while it rings.
    pub(crate) fn must_end(&mut self, at: Instant) {
        self.may_ring = false;
        self.ends_at = at;
    }

    /// Sends it no more, and goes on listening until then.
    pub(crate) fn quieten(&mut self, until: Instant) {
        self.again_at = None;
        self.ends_at = self.ends_at.min(until);
    }

    /// Whether it was heard at all.
    pub(crate) fn was_heard(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Answered)
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.state == State::Answered
    }

    /// Whether nothing more is to come: answered, or given up.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Answered | State::Expired)
    }
}
