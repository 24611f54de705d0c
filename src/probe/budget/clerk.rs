//! The task that gives the starts of one platform away and says how its budget stands.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Budget, Stretch};

/// How often it is looked at whose probes come late, while any do.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long it takes to hear of news where nothing happens.
const IDLE: Duration = Duration::from_hours(1);

/// How a platform's budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tidings {
    /// Whether the platform throttles us.
    pub(crate) throttled: bool,
    /// How long we wait, where it throttles.
    pub(crate) wait: Option<Duration>,
    /// Components whose probes come later than they should, the worst first.
    pub(crate) stretched: Vec<Stretch>,
}

/// Serves the queue of one platform.
#[derive(Debug)]
pub(crate) struct Clerk {
    budget: Arc<Budget>,
    /// Until when the platform throttles us, as was told.
    told_until: Option<Instant>,
    /// What was told before may hold no longer, so that it is told again whatever it is.
    owes: bool,
}

impl Clerk {
    pub(crate) const fn new(budget: Arc<Budget>) -> Self {
        Self { budget, told_until: None, owes: false }
    }

    /// The same, where somebody was told something of this budget before it was taken over.
    pub(crate) const fn after_another(budget: Arc<Budget>) -> Self {
        Self { budget, told_until: None, owes: true }
    }

    /// Serves without end; tells by `tell`, which says whether anybody still listens.
    pub(crate) async fn run<Told: Future<Output = bool>>(mut self, tell: impl Fn(Tidings) -> Told) {
        let budget = Arc::clone(&self.budget);
        loop {
            let news = budget.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let now = Instant::now();
            let next = budget.serve(now);
            let (tidings, watches) = self.tidings(now);
            if let Some(tidings) = tidings
                && !tell(tidings).await
            {
                return;
            }
            let wake = next.unwrap_or(now + IDLE).min(now + if watches { WATCH_EVERY } else { IDLE });
            // Whether news came or the time has, the next look tells.
            let _ = timeout_at(wake, news).await;
        }
    }

    /// What is to be told, and whether it must be looked at again soon.
    fn tidings(&mut self, now: Instant) -> (Option<Tidings>, bool) {
        let mut inner = self.budget.lock();
        let inner = &mut *inner;
        let until = inner.throttle.until();
        let throttled = until.is_some();
        let stretched = inner.stretches.news(&inner.queue, throttled, now);
        let watches = !inner.queue.is_empty() || !inner.stretches.is_quiet();
        let owes = std::mem::take(&mut self.owes);
        if until == self.told_until && stretched.is_none() && !owes {
            return (None, watches);
        }
        self.told_until = until;
        let wait = until.map(|until| until.saturating_duration_since(now));
        let stretched = stretched.unwrap_or_else(|| inner.stretches.told());
        (Some(Tidings { throttled, wait, stretched }), watches)
    }
}
