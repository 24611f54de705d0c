//! What a platform's answers say of the time: noted in passing from those that probes get anyway, or asked for.
//!
//! Invariant: what it costs a probe is one comparison, and a few dates are parsed in a second at most.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{Method, StatusCode, header::HeaderMap};
use tokio::time::timeout;

use super::{budget::Errand, client::Client, connect::Progress, exchange::Toll, plan};
use crate::{
    clock::dates::{self, Shown},
    config::{model::HttpAction, template::Template},
    domain::Moment,
};

/// No more than one answer in so long is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// Dates that are kept until somebody asks for them; the newest are worth most.
const KEPT: usize = 256;
/// How long an answer to a question of our own is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The dates of one platform's answers.
#[derive(Debug)]
pub(crate) struct Dates {
    /// On the monotonic clock, in nanoseconds.
    next: AtomicI64,
    kept: Mutex<Vec<Shown>>,
}

impl Default for Dates {
    fn default() -> Self {
        Self { next: AtomicI64::new(i64::MIN), kept: Mutex::default() }
    }
}

impl Dates {
    /// Looks at the head of an answer to a request that was sent at `sent`.
    pub(crate) fn note(&self, headers: &HeaderMap, sent: Moment, received: Moment) {
        if received.as_nanos() < self.next.load(Ordering::Relaxed) {
            return;
        }
        self.next.store((received + PAUSE).as_nanos(), Ordering::Relaxed);
        let Some(time) = dates::of_headers(headers) else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Shown { sent, received, time });
    }

    /// The next answer is looked at, however short a time ago the last one was.
    fn welcome(&self) {
        self.next.store(i64::MIN, Ordering::Relaxed);
    }
}

/// An answer to a question for the time.
#[derive(Clone, Debug)]
pub struct TimeAnswer {
    /// When the request was sent.
    pub sent: Moment,
    /// When the head of the answer was there.
    pub received: Moment,
    /// Its status.
    pub status: StatusCode,
    /// The body; empty where only the head was asked for.
    pub body: Bytes,
}

impl Client {
    /// The dates that were noted since this was last asked, in the order in which they came.
    pub fn take_dates(&self) -> Vec<Shown> {
        std::mem::take(&mut self.dates.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the platform for the time: its date endpoint, or where it has none, only the head of its base URL, whose
    /// `Date` is noted as that of every answer. Why there is no answer is said in words.
    pub async fn ask_time(&self, endpoint: Option<&str>) -> Result<TimeAnswer, String> {
        let action = HttpAction {
            method: endpoint.map_or(Method::HEAD, |_| Method::GET),
            url: Template::parse(endpoint.unwrap_or("/")),
            headers: Vec::new(),
            body: None,
        };
        let ask = plan::ask(self, &action, &BTreeMap::new()).map_err(|failure| failure.reason)?;
        let purse = self.budget.purse();
        let slot = purse.admit(Errand::Aside).await.map_err(|refusal| refusal.to_string())?;
        let mut toll = Toll::new(&purse, slot);
        let mut progress = Progress::default();
        self.dates.welcome();
        let reply = timeout(PATIENCE, self.exchange(&ask, None, &mut toll, &mut progress)).await;
        let reply = reply
            .unwrap_or_else(|_| Err(progress.stage.timed_out(PATIENCE)))
            .map_err(|failure| failure.reason)?;
        let (sent, received) = progress.between.ok_or("no request was sent")?;
        Ok(TimeAnswer { sent, received, status: reply.status, body: reply.body })
    }
}
