//! The idle connections to one origin.
//!
//! Invariants: a connection comes back only if no failure was met since it was taken (its generation is the pool's); at
//! most [`IDLE`] wait, none longer than [`IDLE_FOR`].

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};

use crate::domain::Moment;

/// Connections that may wait for one origin.
const IDLE: usize = 128;

/// How long one may wait.
const IDLE_FOR: Duration = Duration::from_mins(1);

/// What is sent.
pub(crate) type Outgoing = Request<Full<Bytes>>;

/// The sending half of a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    /// HTTP/1.1: one request at a time.
    One(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2: many at a time.
    Many(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    pub(crate) fn is_h2(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// Whether it can take a request; waits for the end of the last one to be noticed.
    pub(crate) async fn ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Many(sender) => sender.ready().await.is_ok(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Many(sender) => sender.is_closed(),
        }
    }

    pub(crate) async fn send(
        &mut self,
        request: Outgoing,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Many(sender) => sender.try_send_request(request).await,
        }
    }
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: Sender,
    born: Moment,
    generation: u64,
}

/// The pool of one origin.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    generation: u64,
    idle: VecDeque<Idle>,
    shared: Option<Idle>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    born: Moment,
    since: Moment,
}

impl Pool {
    /// The connection that was used last, if one waits that was opened at `not_before` or later.
    pub(crate) fn take(&self, not_before: Option<Moment>, now: Moment) -> Option<Lease> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.prune(now);
        let generation = inner.generation;
        let young = |idle: &Idle| not_before.is_none_or(|limit| idle.born >= limit);
        if let Some(idle) = inner.shared.as_mut().filter(|idle| young(idle))
            && let Sender::Many(sender) = &idle.sender
        {
            let sender = Sender::Many(sender.clone());
            idle.since = now;
            return Some(Lease { sender, born: idle.born, generation });
        }
        let place = inner.idle.iter().rposition(young)?;
        let idle = inner.idle.remove(place)?;
        Some(Lease { sender: idle.sender, born: idle.born, generation })
    }

    /// The generation that a connection which is opened now belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Takes a connection back after a complete answer.
    pub(crate) fn put(&self, lease: Lease, now: Moment) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if lease.generation != inner.generation || lease.sender.is_closed() {
            return;
        }
        let idle = Idle { sender: lease.sender, born: lease.born, since: now };
        if idle.sender.is_h2() {
            if inner.shared.as_ref().is_none_or(|shared| shared.born < idle.born) {
                inner.shared = Some(idle);
            }
            return;
        }
        inner.prune(now);
        if inner.idle.len() == IDLE {
            inner.idle.pop_front();
        }
        inner.idle.push_back(idle);
    }

    /// Forgets every connection, those in use included.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.generation += 1;
        inner.idle.clear();
        inner.shared = None;
    }
}

impl Inner {
    /// Drops what has waited too long; the longest wait is at the front.
    fn prune(&mut self, now: Moment) {
        while self
            .idle
            .front()
            .is_some_and(|idle| now.since(idle.since) > IDLE_FOR || idle.sender.is_closed())
        {
            self.idle.pop_front();
        }
        if self
            .shared
            .as_ref()
            .is_some_and(|idle| now.since(idle.since) > IDLE_FOR || idle.sender.is_closed())
        {
            self.shared = None;
        }
    }
}

impl Lease {
    /// A connection that was just opened.
    pub(crate) fn fresh(sender: Sender, born: Moment, generation: u64) -> Self {
        Self { sender, born, generation }
    }
}
