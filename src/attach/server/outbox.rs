//! What waits to be written to one console: filled by the hub, emptied by that console's writer.
//!
//! Invariants: filling never blocks; what waits is bounded, and beyond that is forgotten as a whole, so that the console
//! gets a fresh picture when it reads again and never a patched one; what concerns it alone is not forgotten.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many bytes of events may wait for one console.
const EVENTS: usize = 4 * 1024 * 1024;
/// How many words to it alone may wait.
const WORDS: usize = 64;

/// What a writer does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Write this.
    Lines(Bytes),
    /// Events were forgotten, and the socket takes bytes again: a picture is wanted. Said once.
    WantsPicture,
    /// Everything is written, and nothing more comes.
    Closed,
}

#[derive(Debug)]
enum Waiting {
    /// Events, or a picture, which is not counted: it comes alone.
    News(Bytes),
    Word(Bytes),
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// Bytes of events among them.
    events: usize,
    words: usize,
    /// Until the next picture, events are of no use.
    lagging: bool,
    /// Whether the lag was told.
    told: bool,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    changed: Notify,
    closed: CancellationToken,
}

impl Default for Outbox {
    /// Waits for its first picture, which comes unasked.
    fn default() -> Self {
        let inner =
            Inner { waiting: VecDeque::new(), events: 0, words: 0, lagging: true, told: true, closed: false };
        Self { inner: Mutex::new(inner), changed: Notify::new(), closed: CancellationToken::new() }
    }
}

impl Outbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change under this lock is complete before it can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines of events.
    pub(super) fn events(&self, lines: &Bytes) {
        let mut inner = self.inner();
        if inner.lagging || inner.closed {
            return;
        }
        if inner.events + lines.len() > EVENTS {
            inner.forget_news();
            (inner.lagging, inner.told) = (true, false);
        } else {
            inner.events += lines.len();
            inner.waiting.push_back(Waiting::News(lines.clone()));
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// Puts a picture in the place of all events that wait.
    pub(super) fn picture(&self, line: Bytes) {
        let mut inner = self.inner();
        if inner.closed {
            return;
        }
        inner.forget_news();
        inner.lagging = false;
        inner.waiting.push_back(Waiting::News(line));
        drop(inner);
        self.changed.notify_one();
    }

    /// Nothing but a picture is of use from now on; it comes unasked.
    pub(super) fn lag(&self) {
        let mut inner = self.inner();
        inner.forget_news();
        (inner.lagging, inner.told) = (true, true);
    }

    /// Adds what concerns this console alone; one that does not read its refusals gets no more of them.
    pub(super) fn word(&self, line: Bytes) {
        let mut inner = self.inner();
        if inner.closed || inner.words >= WORDS {
            return;
        }
        inner.words += 1;
        inner.waiting.push_back(Waiting::Word(line));
        drop(inner);
        self.changed.notify_one();
    }

    /// Nothing more comes; what waits is still written.
    pub(super) fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_one();
        self.closed.cancel();
    }

    /// Nothing but this word comes any more, however much waits.
    pub(super) fn dismiss(&self, word: Bytes) {
        let mut inner = self.inner();
        if !inner.closed {
            inner.waiting.clear();
            (inner.events, inner.words) = (0, 1);
            inner.waiting.push_back(Waiting::Word(word));
        }
        drop(inner);
        self.close();
    }

    /// Whether nothing more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Waits until nothing more comes.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Waits for what is to be done next. One writer at a time.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.inner().take() {
                return next;
            }
            self.changed.notified().await;
        }
    }
}

impl Inner {
    fn forget_news(&mut self) {
        self.waiting.retain(|waiting| matches!(waiting, Waiting::Word(_)));
        self.events = 0;
    }

    fn take(&mut self) -> Option<Next> {
        match self.waiting.pop_front() {
            Some(Waiting::Word(line)) => {
                self.words -= 1;
                Some(Next::Lines(line))
            }
            Some(Waiting::News(lines)) => {
                // A picture was never counted.
                self.events = self.events.saturating_sub(lines.len());
                Some(Next::Lines(lines))
            }
            None if self.closed => Some(Next::Closed),
            None if self.lagging && !self.told => {
                self.told = true;
                Some(Next::WantsPicture)
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    /// Whether it lags, and how many bytes wait.
    fn held(outbox: &Outbox) -> (bool, usize) {
        let inner = outbox.inner();
        let bytes = inner.waiting.iter().map(|waiting| match waiting {
            Waiting::News(lines) | Waiting::Word(lines) => lines.len(),
        });
        (inner.lagging, bytes.sum())
    }

    #[tokio::test]
    async fn one_that_reads_no_more_costs_bounded_memory_and_gets_a_picture() {
        let outbox = Outbox::default();
        outbox.events(&lines(10));
        outbox.picture(lines(3));
        outbox.events(&lines(5));
        assert_eq!(outbox.next().await, Next::Lines(lines(3)), "what was before the picture is of no use");
        assert_eq!(outbox.next().await, Next::Lines(lines(5)));
        for _ in 0..100 {
            outbox.events(&lines(EVENTS / 10));
            outbox.word(lines(7));
        }
        assert_eq!(held(&outbox), (true, WORDS * 7));
        for _ in 0..WORDS {
            assert_eq!(outbox.next().await, Next::Lines(lines(7)), "what concerns it alone is kept");
        }
        assert_eq!(outbox.next().await, Next::WantsPicture);
        outbox.events(&lines(5));
        outbox.picture(lines(3));
        outbox.close();
        assert_eq!(outbox.next().await, Next::Lines(lines(3)));
        assert_eq!(outbox.next().await, Next::Closed);
    }

    /// A picture may be longer than all events that may wait: it must get through all the same.
    #[tokio::test]
    async fn a_picture_of_any_size_gets_through() {
        let outbox = Outbox::default();
        outbox.picture(lines(EVENTS * 2));
        outbox.events(&lines(10));
        assert_eq!(outbox.next().await, Next::Lines(lines(EVENTS * 2)));
        assert_eq!(outbox.next().await, Next::Lines(lines(10)));
    }
}
