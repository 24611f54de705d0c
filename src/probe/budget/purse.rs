//! What one probe may send, and the leave for each of its requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use hyper::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::{Budget, Errand, May, Refusal};
use crate::platform::{
    rate_headers::{self, Quota},
    retry_after,
};

/// What one probe may send; what it leaves over goes back when it is dropped.
#[derive(Debug)]
pub struct Purse {
    budget: Arc<Budget>,
    pub(super) probe: u64,
    left: AtomicU32,
    /// Whether any request of it was admitted.
    tried: AtomicBool,
    /// Whether it found something bad without a request to the platform, so that none may follow.
    foiled: AtomicBool,
}

/// Leave to send one request; it goes back when it is dropped before the request is sent.
#[derive(Debug)]
pub struct Slot<'a> {
    purse: &'a Purse,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Its place is taken.
    Taken,
    /// It was sent then.
    Sent(Instant),
    /// Its answer came.
    Answered,
}

/// What an answer says of the budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// It comes from the platform itself.
    pub(super) home: bool,
    /// It is a 429.
    pub(super) throttled: bool,
    /// The wait that it asks for.
    pub(super) wait: Option<Duration>,
    /// What it still allows.
    pub(super) quota: Option<Quota>,
}

impl Purse {
    pub(super) const fn new(budget: Arc<Budget>, probe: u64, places: u32) -> Self {
        Self {
            budget,
            probe,
            left: AtomicU32::new(places),
            tried: AtomicBool::new(false),
            foiled: AtomicBool::new(false),
        }
    }

    /// Waits until a request may be sent. That is at once for as many as were reserved, and takes as long as the budget asks
    /// for beyond.
    pub async fn admit(&self, errand: Errand) -> Result<Slot<'_>, Refusal> {
        self.budget.admit(self, errand).await?;
        Ok(self.slot())
    }

    /// Leave to send a request at once, or none: for one in the middle of a measured exchange, which must not wait.
    pub fn admit_now(&self) -> Result<Slot<'_>, Refusal> {
        let may = self.budget.lock().may_send(self, Instant::now());
        match may {
            May::Now => Ok(self.slot()),
            may => Err(may.refusal()),
        }
    }

    /// A step found something bad: whether any request follows is open. One that tries for all has then tried, or probes
    /// which fail before their first request would keep a throttle for ever.
    pub fn foil(&self) {
        self.foiled.store(true, Ordering::Release);
    }

    fn slot(&self) -> Slot<'_> {
        self.tried.store(true, Ordering::Release);
        Slot { purse: self, state: State::Taken }
    }

    /// Whether a place is left that was reserved; read and changed under the budget's lock alone.
    pub(super) fn has_more(&self) -> bool {
        self.left.load(Ordering::Acquire) > 0
    }

    /// Takes one of the places that were reserved.
    pub(super) fn pay(&self) {
        self.left.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        let places = std::mem::take(self.left.get_mut());
        let tried = *self.tried.get_mut() || *self.foiled.get_mut();
        let mut inner = self.budget.lock();
        inner.give_back(places);
        let is_news = places > 0 || inner.throttle.is_tried_by(self.probe);
        if inner.throttle.ended(self.probe, tried) {
            inner.resume(Instant::now());
        }
        drop(inner);
        if is_news {
            self.budget.news.notify_waiters();
        }
    }
}

impl Slot<'_> {
    /// The request is being sent: from now on it counts.
    pub fn send(&mut self) {
        let now = Instant::now();
        let mut inner = self.purse.budget.lock();
        inner.window.send(now);
        inner.reserved = inner.reserved.saturating_sub(1);
        inner.open += 1;
        self.state = State::Sent(now);
        let pressing = inner.pressing > 0;
        drop(inner);
        if pressing {
            // From now on its place ages: who waits can tell until when.
            self.purse.budget.news.notify_waiters();
        }
    }

    /// The request was not sent after all: nothing of it left this machine.
    pub fn unsend(&mut self) {
        let State::Sent(sent) = std::mem::replace(&mut self.state, State::Taken) else { return };
        let mut inner = self.purse.budget.lock();
        inner.window.unsend(sent);
        inner.reserved += 1;
        inner.open = inner.open.saturating_sub(1);
    }

    /// The head of the answer has come; `home` says whether it comes from the platform's own origin, whose quota and throttle
    /// count.
    pub fn answered(mut self, status: StatusCode, headers: &HeaderMap, home: bool) {
        let State::Sent(sent) = std::mem::replace(&mut self.state, State::Answered) else { return };
        let throttled = status == StatusCode::TOO_MANY_REQUESTS;
        let wait = if throttled { retry_after::wait(headers) } else { None };
        let quota = if home { rate_headers::quota(headers) } else { None };
        if !home {
            self.purse.tried.store(false, Ordering::Release);
        }
        let heard = Heard { home, throttled, wait, quota };
        self.purse.budget.heard(self.purse, sent, Some(heard));
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        match self.state {
            State::Taken => {}
            State::Sent(sent) => return self.purse.budget.heard(self.purse, sent, None),
            State::Answered => return,
        }
        // Nothing was sent: another request of the same probe may have the place.
        let mut inner = self.purse.budget.lock();
        self.purse.left.fetch_add(1, Ordering::AcqRel);
        inner.throttle.unasked(self.purse.probe);
        drop(inner);
        self.purse.budget.news.notify_waiters();
    }
}
