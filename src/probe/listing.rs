//! Listings: one request, and one answer for the steps of many components that ask the same.
//!
//! The first to ask leads: it sends the request, as it would for itself alone. Whoever asks the same meanwhile, or soon
//! after, follows and is given the same answer. One that leads and goes away without an answer leaves the others to find
//! a new one.
//!
//! Invariants: two probes of one component never rest on the same answer, nor one on an answer whose request was sent
//! before the other looked; an answer's span is that of its request, whoever looks at it; after a failure only an answer
//! that came over a fresh connection counts; a refusal (401, 429) is for those who waited for it, and nobody after them.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::StatusCode;
use tokio::sync::watch;
use url::Url;

use super::{
    exchange::{Ask, Reply},
    failure::Failure,
};
use crate::{
    clock::Clock,
    domain::{Moment, Span, Timings},
};

/// What is asked, headers and body included: two steps with the same key are given the same answer. It may hold tokens, and
/// shows nothing of itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// From the request to its answer.
    pub(crate) span: Span,
    /// The answer with where it was asked, or why there is none.
    pub(crate) outcome: Result<(Reply, Url), Failure>,
    /// How long its parts took.
    pub(crate) timings: Timings,
}

/// What a step can be given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Only what was asked after this: the step's own last look.
    pub(crate) after: Option<Moment>,
    /// Only what came over a connection that was opened for it.
    pub(crate) fresh: bool,
    /// How long ago it may have come.
    pub(crate) age: Duration,
}

/// What a step is to do.
#[derive(Debug)]
pub(crate) enum Part {
    /// To ask, and to publish what comes.
    Lead(Lead),
    /// To look at this.
    Follow(Arc<Answer>),
}

/// The duty to publish an answer; dropped, it leaves those who wait to ask themselves.
#[derive(Debug)]
pub(crate) struct Lead(watch::Sender<Option<Arc<Answer>>>);

impl Lead {
    pub(crate) fn publish(self, answer: Answer) {
        self.0.send_replace(Some(Arc::new(answer)));
    }
}

/// The moment of a step's last look at a shared answer.
#[derive(Debug, Default)]
pub(crate) struct LastLook(Mutex<Option<Moment>>);

impl LastLook {
    /// It looks now; says when it did before.
    pub(crate) fn renew(&self, now: Moment) -> Option<Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(now)
    }
}

/// The answers of one platform that are on their way or still young.
#[derive(Debug, Default)]
pub(crate) struct Listings(Mutex<HashMap<Key, Vec<Flight>>>);

/// One request, under way or answered.
#[derive(Debug)]
struct Flight {
    begun: Moment,
    fresh: bool,
    /// How long its answer is of use.
    age: Duration,
    answer: watch::Receiver<Option<Arc<Answer>>>,
}

impl Key {
    /// The key of a request whose answer is waited for so long.
    pub(crate) fn of(ask: &Ask, patience: Duration) -> Self {
        let mut key = format!("{} {} {patience:?}", ask.method, ask.target.url);
        // A header that is marked as sensitive shows no value; two of these must not pass for the same.
        for (name, value) in &ask.headers {
            let written = write!(key, "\n{name}: {:?}", value.as_bytes());
            debug_assert!(written.is_ok(), "a String takes every text");
        }
        let written = write!(key, "\n\n{:?}", ask.body);
        debug_assert!(written.is_ok(), "a String takes every text");
        Self(Arc::from(key))
    }
}

impl Listings {
    /// Finds an answer that serves, waits for one that is on its way, or gives the lead.
    pub(crate) async fn join(&self, key: &Key, need: Need, clock: &dyn Clock) -> Part {
        loop {
            let mut coming = match self.find(key, need, clock.moment()) {
                Found::Answer(answer) => return Part::Follow(answer),
                Found::Nothing(lead) => return Part::Lead(lead),
                Found::Coming(coming) => coming,
            };
            // An error: the one who led is gone.
            if let Ok(answer) = coming.wait_for(Option::is_some).await
                && let Some(answer) = answer.as_ref()
            {
                return Part::Follow(Arc::clone(answer));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key, need: Need, now: Moment) -> Found {
        let mut all = self.lock();
        // An answer may be a megabyte: none is kept until the same is asked again, if it ever is.
        all.retain(|_, flights| {
            flights.retain(|flight| flight.is_useful(now));
            !flights.is_empty()
        });
        let flights = all.entry(key.clone()).or_default();
        let newest =
            flights.iter().filter(|flight| flight.serves(need, now)).max_by_key(|flight| flight.begun);
        if let Some(flight) = newest {
            return match &*flight.answer.borrow() {
                Some(answer) => Found::Answer(Arc::clone(answer)),
                None => Found::Coming(flight.answer.clone()),
            };
        }
        let (sender, answer) = watch::channel(None);
        // What is answered and older serves nobody whom this will not serve.
        flights.retain(|flight| flight.answer.borrow().is_none() || (flight.fresh && !need.fresh));
        flights.push(Flight { begun: now, fresh: need.fresh, age: need.age, answer });
        Found::Nothing(Lead(sender))
    }
}

enum Found {
    Answer(Arc<Answer>),
    Coming(watch::Receiver<Option<Arc<Answer>>>),
    Nothing(Lead),
}

impl Flight {
    /// Whether anybody may still be given it.
    fn is_useful(&self, now: Moment) -> bool {
        match &*self.answer.borrow() {
            Some(answer) => answer.is_lasting() && now.since(answer.span.end) <= self.age,
            None => self.answer.has_changed().is_ok(),
        }
    }

    fn serves(&self, need: Need, now: Moment) -> bool {
        let young = |answer: &Arc<Answer>| now.since(answer.span.end) <= need.age;
        need.after.is_none_or(|after| self.begun > after)
            && (self.fresh || !need.fresh)
            && self.answer.borrow().as_ref().is_none_or(young)
    }
}

impl Answer {
    /// Whether it says something to those who did not wait for it.
    fn is_lasting(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|(reply, _)| {
            !matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED)
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

    use bytes::Bytes;
    use hyper::header::HeaderMap;

    use super::*;
    use crate::clock::RuntimeClock;

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn clock() -> RuntimeClock {
        RuntimeClock::starting_at(chrono::DateTime::UNIX_EPOCH)
    }

    fn key() -> Key {
        Key(Arc::from("GET /all"))
    }

    fn need(after: Option<Moment>) -> Need {
        Need { after, fresh: false, age: millis(1_000) }
    }

    fn answer(span: Span, status: StatusCode) -> Answer {
        let reply = Reply { status, headers: HeaderMap::new(), body: Bytes::new(), pass: None };
        let url = Url::parse("https://api.example.com/all").unwrap();
        Answer { span, outcome: Ok((reply, url)), timings: Timings::default() }
    }

    /// Leads, takes so long, and publishes.
    async fn lead(listings: &Listings, need: Need, takes: Duration, clock: RuntimeClock) -> Span {
        let Part::Lead(lead) = listings.join(&key(), need, &clock).await else { panic!("it follows") };
        let start = clock.moment();
        tokio::time::sleep(takes).await;
        let span = Span::new(start, clock.moment());
        lead.publish(answer(span, StatusCode::OK));
        span
    }

    async fn follow(listings: &Listings, need: Need, clock: RuntimeClock) -> Span {
        match listings.join(&key(), need, &clock).await {
            Part::Follow(answer) => answer.span,
            Part::Lead(_) => panic!("it leads"),
        }
    }

    async fn leads(listings: &Listings, need: Need, clock: RuntimeClock) -> bool {
        matches!(listings.join(&key(), need, &clock).await, Part::Lead(_))
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_meanwhile_or_soon_after_is_given_the_same_answer() {
        let (listings, clock) = (Listings::default(), clock());
        let early = async {
            tokio::time::sleep(millis(10)).await;
            follow(&listings, need(None), clock).await
        };
        let (led, early) = tokio::join!(lead(&listings, need(None), millis(100), clock), early);
        assert_eq!(led, early);
        tokio::time::sleep(millis(1_000)).await;
        assert_eq!(follow(&listings, need(None), clock).await, led);
        tokio::time::sleep(millis(1)).await;
        assert!(leads(&listings, need(None), clock).await, "it is over its age");
    }

    /// Two bad verdicts in a row confirm an outage: they must be two looks at the platform.
    #[tokio::test(start_paused = true)]
    async fn a_component_never_sees_the_same_answer_twice() {
        let (listings, clock) = (Listings::default(), clock());
        let looked = LastLook::default();
        let mine = looked.renew(clock.moment());
        let first = lead(&listings, need(mine), millis(100), clock).await;
        let again = need(looked.renew(clock.moment()));
        assert!(leads(&listings, again, clock).await, "its own answer is no second look");
        // Somebody else's, asked for after it had looked, is.
        tokio::time::sleep(millis(1)).await;
        let second = lead(&listings, need(Some(clock.moment() - millis(1))), millis(100), clock).await;
        assert_eq!(follow(&listings, need(looked.renew(clock.moment())), clock).await, second);
        assert_ne!(first, second);
    }

    /// A pooled dead connection would stay bad after the failover.
    #[tokio::test(start_paused = true)]
    async fn after_a_failure_only_a_fresh_connections_answer_counts() {
        let (listings, clock) = (Listings::default(), clock());
        lead(&listings, need(None), millis(10), clock).await;
        let fresh = Need { fresh: true, ..need(None) };
        tokio::time::sleep(millis(1)).await;
        let span = lead(&listings, fresh, millis(10), clock).await;
        assert_eq!(follow(&listings, fresh, clock).await, span);
        assert_eq!(follow(&listings, need(None), clock).await, span, "a fresh one serves everybody");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_goes_away_leaves_the_others_to_ask() {
        let (listings, clock) = (Listings::default(), clock());
        let Part::Lead(gone) = listings.join(&key(), need(None), &clock).await else { panic!("it follows") };
        let others = async {
            let key = key();
            let one = listings.join(&key, need(None), &clock);
            let other = listings.join(&key, need(None), &clock);
            tokio::pin!(one, other);
            let first = tokio::select! { part = &mut one => part, part = &mut other => part };
            let Part::Lead(lead) = first else { panic!("there is nothing to follow") };
            lead.publish(answer(Span::new(clock.moment(), clock.moment()), StatusCode::OK));
        };
        let leaves = async {
            tokio::time::sleep(millis(50)).await;
            drop(gone);
        };
        tokio::time::timeout(millis(100), async { tokio::join!(others, leaves) }).await.unwrap();
    }

    /// A 429 that somebody met a moment ago is no reason not to ask, and must not be told as met again.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_kept() {
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED] {
            let (listings, clock) = (Listings::default(), clock());
            let Part::Lead(lead) = listings.join(&key(), need(None), &clock).await else {
                panic!("it follows")
            };
            let key = key();
            let waits = listings.join(&key, need(None), &clock);
            let publishes = async {
                tokio::time::sleep(millis(5)).await;
                lead.publish(answer(Span::new(clock.moment(), clock.moment()), status));
            };
            let (part, ()) = tokio::join!(waits, publishes);
            assert!(matches!(part, Part::Follow(_)), "who waited for it is told");
            assert!(leads(&listings, need(None), clock).await);
        }
    }

    /// A platform that is never asked the same again must not fill the memory with its answers.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_can_use_is_forgotten() {
        let (listings, clock) = (Listings::default(), clock());
        for number in 0..1_000 {
            let key = Key(Arc::from(format!("GET /{number}")));
            let Part::Lead(lead) = listings.join(&key, need(None), &clock).await else {
                panic!("it follows")
            };
            lead.publish(answer(Span::new(clock.moment(), clock.moment()), StatusCode::OK));
            tokio::time::sleep(millis(100)).await;
        }
        // Those of the last second, which is their age.
        assert!(listings.lock().len() <= 11, "{}", listings.lock().len());
    }
}
