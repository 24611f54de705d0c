//! The rate budget of one platform: every request that is sent to it passes here.
//!
//! ```text
//!   probes that are due ──apply──► queue ──grant──► Purse ──admit──► Slot ──► one request
//!                                                     │                          │
//!        our own ceiling, the platform's headers, 429s ◄───────── answer ────────┘
//! ```
//!
//! A probe starts when the budget holds all the requests that it will probably send: its [`Purse`]. A journey is then not
//! stopped half-way, where its evidence would grow old. What it sends beyond that (a poll more, a redirect) is admitted
//! one by one, before any start. Waiting comes before a step's clock starts, so that it is neither latency nor evidence.
//!
//! Invariants: no request is sent without a [`Slot`]; no window of `rate_limit` ever holds more requests than it allows,
//! clean-up included; while a platform throttles us nothing is sent but the one request that tries for all.

mod allowance;
mod clerk;
mod handover;
mod purse;
mod queue;
mod riders;
mod stretch;
#[cfg(test)]
mod tests;
mod throttle;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout_at},
};

use crate::{config::model::Rate, platform::rate_headers::Quota};
use allowance::Allowance;
pub(crate) use clerk::{Clerk, Tidings};
use purse::Heard;
pub use purse::{Purse, Slot};
pub(crate) use queue::Applicant;
use queue::{Queue, Ticket};
pub(crate) use riders::Family;
use riders::Riders;
pub use stretch::Stretch;
use stretch::Stretches;
use throttle::{Leave, Throttle};
use window::{Room, Window};

/// The longest that one request of a probe under way waits for its place.
const STEP_PATIENCE: Duration = Duration::from_mins(1);

/// The longest that clean-up waits: past any throttle.
const CLEAN_UP_PATIENCE: Duration = Duration::from_mins(6);

/// The longest that a question of our own waits: its answer would come too late to be of use.
const ASIDE_PATIENCE: Duration = Duration::from_secs(2);

/// The longest time between two starts after a throttle, where all would start at once.
const RESUME_GAP: Duration = Duration::from_millis(50);

/// The time within which all have started after a throttle, where there is no ceiling.
const RESUME_WITHIN: Duration = Duration::from_secs(2);

/// The rate budget of one platform.
#[derive(Debug)]
pub struct Budget {
    inner: Mutex<Inner>,
    /// Something changed that a waiting one may have waited for.
    news: Notify,
}

#[derive(Debug)]
struct Inner {
    window: Window,
    allowance: Allowance,
    throttle: Throttle,
    /// What the platform's headers told last.
    told: Option<Quota>,
    queue: Queue,
    riders: Riders,
    stretches: Stretches,
    /// Requests of probes under way that wait for a place.
    pressing: u32,
    /// Places that are taken by requests which are not sent yet.
    reserved: u64,
    /// Requests that are sent and not answered.
    open: u64,
    /// No probe starts before, so that what is left of the budget lasts.
    next_start: Option<Instant>,
    /// The time that the last start was given for each of its requests.
    pace: Duration,
    /// The requests that the last start was given.
    places: u32,
    /// A throttle is over, and those that waited for it start one by one.
    resuming: bool,
    probes: u64,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A step that speaks for the verdict: a throttled platform is not waited for.
    Step,
    /// Clean-up, which waits as long as it must.
    CleanUp,
    /// A question of our own, which waits for no more than a moment and holds nobody back.
    Aside,
}

/// Why a request is not sent: we could not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The platform throttles us.
    #[error("not sent: the platform throttles us (429)")]
    Throttled,
    /// There was no room under our own ceiling or the platform's.
    #[error("not sent: the rate budget of the platform is used up")]
    Full,
}

impl Refusal {
    /// Whether these words, as they stand in a report, are those of a refusal.
    pub(crate) fn is_told_by(reason: &str) -> bool {
        [Self::Throttled, Self::Full].iter().any(|refusal| reason == refusal.to_string())
    }
}

/// What became of a wish to probe.
#[derive(Debug)]
pub(crate) enum Application {
    /// It starts now.
    Granted(Purse),
    /// It starts when this arrives.
    Waits(oneshot::Receiver<Purse>),
}

/// Whether something may be sent or started.
enum May {
    Now,
    At(Instant),
    /// When something else has happened.
    Later,
    Refused(Refusal, Option<Instant>),
}

impl Budget {
    /// A budget with our own ceiling, if there is one.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Arc<Self> {
        let inner = Inner {
            window: Window::new(rate),
            allowance: Allowance::default(),
            throttle: Throttle::new(0),
            told: None,
            queue: Queue::default(),
            riders: Riders::default(),
            stretches: Stretches::default(),
            pressing: 0,
            reserved: 0,
            open: 0,
            next_start: None,
            pace: Duration::ZERO,
            places: 0,
            resuming: false,
            probes: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), news: Notify::new() })
    }

    /// Feeds the jitter of its waits.
    pub(crate) fn seed(&self, seed: u64) {
        self.lock().throttle.seed(seed);
    }

    /// How long the platform still throttles us; `None` when it does not, or when it is time to try again.
    pub(crate) fn throttled_for(&self) -> Option<Duration> {
        let until = self.lock().throttle.until()?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// What the platform's own headers told last of what they allow.
    pub(crate) fn told(&self) -> Option<Quota> {
        self.lock().told
    }

    /// A purse with nothing in it: each of its requests is admitted by itself.
    #[must_use]
    pub fn purse(self: &Arc<Self>) -> Purse {
        let probe = self.lock().new_probe();
        Purse::new(Arc::clone(self), probe, 0)
    }

    /// A wish to probe, granted at once if nobody waits and the budget allows it.
    pub(crate) fn apply(self: &Arc<Self>, applicant: Applicant) -> Application {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.queue.prune();
        let requests = inner.riders.fare(&applicant, now);
        if (inner.queue.is_empty() || requests == 0) && matches!(inner.may_start(requests, now), May::Now) {
            let (probe, places) = inner.start(&applicant, None, now);
            drop(inner);
            return Application::Granted(Purse::new(Arc::clone(self), probe, places));
        }
        let (grant, granted) = oneshot::channel();
        inner.queue.push(Ticket { applicant, since: now, grant });
        drop(inner);
        self.news.notify_waiters();
        Application::Waits(granted)
    }

    /// A component that waits wants something else now: its outage began or ended.
    pub(crate) fn change(&self, applicant: &Applicant) {
        self.lock().queue.change(applicant);
        self.news.notify_waiters();
    }

    /// Whether the platform throttles us.
    pub(crate) fn is_throttled(&self) -> bool {
        self.lock().throttle.until().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives every start away that is allowed now; says when the next one may be.
    fn serve(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let mut granted = Vec::new();
        let mut inner = self.lock();
        inner.queue.prune();
        let next = loop {
            let Some((place, requests)) = inner.next(now) else {
                inner.resuming = false;
                break None;
            };
            match inner.may_start(requests, now) {
                May::Now => {
                    let ticket = inner.queue.take(place, now);
                    let (probe, places) = inner.start(&ticket.applicant, Some(ticket.since), now);
                    granted.push((ticket.grant, probe, places));
                }
                May::At(at) => break Some(at),
                May::Refused(_, until) => break until,
                May::Later => break None,
            }
        };
        drop(inner);
        for (grant, probe, places) in granted {
            // Who went away meanwhile gives its places back by dropping them.
            drop(grant.send(Purse::new(Arc::clone(self), probe, places)));
        }
        next
    }

    /// Waits for the place of one request of a probe under way.
    async fn admit(&self, purse: &Purse, errand: Errand) -> Result<(), Refusal> {
        let deadline = Instant::now()
            + match errand {
                Errand::Step => STEP_PATIENCE,
                Errand::CleanUp => CLEAN_UP_PATIENCE,
                Errand::Aside => ASIDE_PATIENCE,
            };
        let mut pressing = None;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let now = Instant::now();
            let may = self.lock().may_send(purse, now);
            let wake = match may {
                May::Now => return Ok(()),
                May::Refused(refusal, _) if errand != Errand::CleanUp => return Err(refusal),
                _ if now >= deadline => return Err(may.refusal()),
                May::Refused(_, until) => until,
                May::At(_) | May::Later => {
                    if errand != Errand::Aside {
                        pressing.get_or_insert_with(|| Pressing::new(self));
                    }
                    if let May::At(at) = may { Some(at) } else { None }
                }
            };
            // Whether news came or the time has, the next look tells.
            let _ = timeout_at(wake.map_or(deadline, |wake| wake.min(deadline)), news).await;
        }
    }

    /// What came of a request: an answer, or nothing.
    fn heard(&self, purse: &Purse, sent: Instant, heard: Option<Heard>) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.open = inner.open.saturating_sub(1);
        let until = inner.throttle.until();
        inner.told = heard.as_ref().filter(|heard| heard.home).and_then(|heard| heard.quota).or(inner.told);
        let mut is_looser = false;
        match heard {
            None => {
                inner.throttle.ended(purse.probe, true);
                inner.allowance.untold();
                is_looser = inner.hasten(now);
            }
            Some(Heard { home: false, .. }) => {
                // Another host's word says nothing of this platform.
                inner.throttle.unasked(purse.probe);
                is_looser = inner.throttle.is_tried_by(purse.probe);
            }
            Some(Heard { throttled: true, wait, quota, .. }) => {
                let reset = quota.filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
                inner.allowance.forget();
                // Where it names no wait, the time until there are more requests is one.
                inner.throttle.refused(sent, now, wait.or(reset));
            }
            Some(Heard { quota, .. }) => {
                inner.throttle.answered(sent);
                match quota {
                    Some(quota) => {
                        let uncounted = inner.open + inner.reserved;
                        inner.allowance.told(&quota, uncounted, now);
                    }
                    None => inner.allowance.untold(),
                }
                is_looser = inner.hasten(now);
            }
        }
        let is_news = until != inner.throttle.until();
        if is_news {
            inner.resume(now);
        }
        drop(inner);
        if is_news || is_looser {
            self.news.notify_waiters();
        }
    }
}

/// Holds back new starts while a request of a probe under way waits.
struct Pressing<'a>(&'a Budget);

impl<'a> Pressing<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.lock().pressing += 1;
        Self(budget)
    }
}

impl Drop for Pressing<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.pressing = inner.pressing.saturating_sub(1);
        drop(inner);
        self.0.news.notify_waiters();
    }
}

impl May {
    const fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal, _) => *refusal,
            _ => Refusal::Full,
        }
    }
}

impl Inner {
    const fn new_probe(&mut self) -> u64 {
        self.probes += 1;
        self.probes
    }

    fn room(&mut self, requests: u32, now: Instant) -> May {
        match self.window.room(requests, now) {
            Room::At(at) => return May::At(at),
            Room::Later => return May::Later,
            Room::Now => {}
        }
        let uncounted = self.open + self.reserved;
        let at = self.allowance.free_at(requests, uncounted, now);
        if at > now { May::At(at) } else { May::Now }
    }

    /// Who of those that wait is next, and for how many requests it must find room. Who needs none waits for nobody.
    fn next(&self, now: Instant) -> Option<(usize, u32)> {
        let fare = |place| self.riders.fare(self.queue.applicant(place), now);
        let rider = (0..self.queue.len()).find(|place| fare(*place) == 0);
        let place = rider.or_else(|| self.queue.next(now))?;
        Some((place, fare(place)))
    }

    fn may_start(&mut self, requests: u32, now: Instant) -> May {
        if let Leave::Refused { until } = self.throttle.start(now) {
            return May::Refused(Refusal::Throttled, until);
        }
        if requests == 0 {
            return May::Now;
        }
        if self.pressing > 0 {
            return May::Later;
        }
        match (self.room(requests, now), self.next_start) {
            (May::Now, Some(next)) if next > now => May::At(next),
            (room, _) => room,
        }
    }

    /// Starts a probe that may start; says its number and how many requests it may send.
    fn start(&mut self, applicant: &Applicant, since: Option<Instant>, now: Instant) -> (u64, u32) {
        let probe = self.new_probe();
        self.throttle.started(probe);
        let requests = self.riders.fare(applicant, now);
        self.riders.note(applicant, now);
        let places = requests.min(self.window.most()).min(self.allowance.most());
        self.take(places);
        let mut gap = self.gap(places, now);
        if requests > 0 {
            (self.places, self.pace) = (places, gap / places.max(1));
        }
        if self.resuming {
            let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX).max(1);
            gap = gap.max(RESUME_GAP.min(RESUME_WITHIN / waiting));
        }
        if requests > 0 {
            self.next_start = Some(now + gap.min(throttle::LONGEST));
        }
        // Who tries for all waited for the throttle, not for the budget.
        let since = since.filter(|_| self.throttle.until().is_none());
        self.stretches.note(applicant, since, now);
        (probe, places)
    }

    /// The time that a start with so many requests is to have for itself.
    fn gap(&mut self, places: u32, now: Instant) -> Duration {
        let uncounted = self.open + self.reserved;
        self.window.gap(places, now).max(self.allowance.gap(places, uncounted, now))
    }

    /// An answer was heard: where it tells of more than was known, the next start need not wait as long. Whether anybody
    /// waits who is to look again.
    fn hasten(&mut self, now: Instant) -> bool {
        if self.queue.is_empty() && self.pressing == 0 && self.next_start.is_none_or(|next| next <= now) {
            return false;
        }
        if !self.resuming
            && let Some(next) = self.next_start.filter(|next| *next > now)
        {
            let gap = self.gap(self.places, now);
            if now + gap < next {
                (self.next_start, self.pace) = (Some(now + gap), gap / self.places.max(1));
            }
        }
        !self.queue.is_empty() || self.pressing > 0
    }

    fn take(&mut self, places: u32) {
        self.window.take(places);
        self.allowance.take(places);
        self.reserved += u64::from(places);
    }

    fn give_back(&mut self, places: u32) {
        self.window.give_back(places);
        self.allowance.give_back(places);
        self.reserved = self.reserved.saturating_sub(places.into());
        let sooner = self.pace.saturating_mul(places);
        self.next_start = self.next_start.and_then(|next| next.checked_sub(sooner));
    }

    /// Takes the place of one request of a probe under way, if it may be sent.
    fn may_send(&mut self, purse: &Purse, now: Instant) -> May {
        let prepaid = purse.has_more();
        match self.throttle.look(purse.probe, now) {
            Leave::Refused { until } => return May::Refused(Refusal::Throttled, until),
            Leave::Soon => return May::Later,
            Leave::Granted => {}
        }
        let room = if prepaid { May::Now } else { self.room(1, now) };
        if !matches!(room, May::Now) {
            return room;
        }
        self.throttle.asks(purse.probe);
        if prepaid {
            purse.pay();
        } else {
            self.take(1);
        }
        May::Now
    }

    /// A throttle began, changed or ended: those that wait for the budget wait anew.
    fn resume(&mut self, now: Instant) {
        self.queue.wait_anew(now);
        self.resuming = self.throttle.until().is_none() && !self.queue.is_empty();
        self.next_start = None;
    }
}
