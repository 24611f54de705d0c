//! Our own ceiling: so many requests to one platform in so long, whoever sends them.
//!
//! Invariant: no window of the rate's length ever holds more requests than the rate allows. A place in the window is
//! taken before its request is sent, and begins to age only when it is sent.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::config::model::Rate;

/// Entries of the past that are looked at to find an even pace; more would cost time and find the same.
const SAMPLES: usize = 64;

/// The requests of one platform within the time of its rate.
#[derive(Debug)]
pub(super) struct Window {
    rate: Option<Rate>,
    sent: VecDeque<Instant>,
    /// Places that are taken by requests which are not sent yet.
    taken: u32,
}

/// When there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Now.
    Now,
    /// When an earlier request is old enough.
    At(Instant),
    /// When something under way has ended.
    Later,
}

impl Window {
    /// Without a rate there is always room.
    pub(super) const fn new(rate: Option<Rate>) -> Self {
        Self { rate, sent: VecDeque::new(), taken: 0 }
    }

    pub(super) const fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Another rate holds from now on. What was sent under the old one counts on, as far as that had to remember it.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>) {
        self.rate = rate;
        if rate.is_none() {
            self.sent.clear();
        }
    }

    /// The most requests that a probe may reserve at once.
    pub(super) fn most(&self) -> u32 {
        self.rate.map_or(u32::MAX, |rate| rate.requests.get())
    }

    /// Whether so many requests have room.
    pub(super) fn room(&mut self, requests: u32, now: Instant) -> Room {
        let Some(rate) = self.rate else { return Room::Now };
        self.forget(rate, now);
        let (allowed, wanted) = (rate.requests.get() as usize, requests.min(rate.requests.get()) as usize);
        match (self.sent.len() + self.taken as usize + wanted).checked_sub(allowed) {
            None | Some(0) => Room::Now,
            Some(over) => self.sent.get(over - 1).map_or(Room::Later, |at| Room::At(*at + rate.per)),
        }
    }

    /// The time that a start with so many requests is to have for itself, so that an even pace can go on without a pause;
    /// nothing while less than half of the window is used.
    pub(super) fn gap(&mut self, requests: u32, now: Instant) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        self.forget(rate, now);
        let allowed = rate.requests.get() as usize;
        let used = self.sent.len() + self.taken as usize;
        if used * 2 < allowed {
            return Duration::ZERO;
        }
        let left = allowed.saturating_sub(used);
        let even = (rate.per / rate.requests.get()).saturating_mul(requests).min(rate.per);
        let stride = (self.sent.len() / SAMPLES).max(1);
        // Until the entry at a place is forgotten, there is what is left now and one for each entry before it.
        let entries = self.sent.iter().enumerate().step_by(stride);
        let slowest = entries.filter_map(|(place, at)| {
            let until = (*at + rate.per).saturating_duration_since(now);
            let each = until.checked_div(u32::try_from(left + place).unwrap_or(u32::MAX))?;
            Some(each.saturating_mul(requests).min(until))
        });
        slowest.fold(even, Duration::max)
    }

    /// Takes places for requests that are about to be sent; there must be room.
    pub(super) fn take(&mut self, requests: u32) {
        self.taken += requests;
    }

    /// Gives places back whose requests will not be sent.
    pub(super) fn give_back(&mut self, requests: u32) {
        self.taken = self.taken.saturating_sub(requests);
    }

    /// A request for which a place was taken is being sent.
    pub(super) fn send(&mut self, now: Instant) {
        self.taken = self.taken.saturating_sub(1);
        if self.rate.is_some() {
            self.sent.push_back(now);
        }
    }

    /// A request was not sent after all: its place is taken again.
    pub(super) fn unsend(&mut self, at: Instant) {
        self.taken += 1;
        if let Some(place) = self.sent.iter().rposition(|sent| *sent == at) {
            self.sent.remove(place);
        }
    }

    fn forget(&mut self, rate: Rate, now: Instant) {
        while self.sent.front().is_some_and(|at| *at + rate.per <= now) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn window(requests: u32, seconds: u64) -> Window {
        let per = Duration::from_secs(seconds);
        Window::new(Some(Rate { requests: requests.try_into().unwrap(), per }))
    }

    /// A platform that bans who asks too often must never be asked too often, however long a request was on its way.
    #[tokio::test(start_paused = true)]
    async fn no_window_holds_more_than_the_ceiling() {
        let mut window = window(10, 60);
        let start = Instant::now();
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut waiting, mut sent) = (VecDeque::new(), Vec::new());
        for tick in 0..6_000 {
            let now = start + Duration::from_millis(100) * tick;
            if window.room(1, now) == Room::Now {
                window.take(1);
                waiting.push_back(now + Duration::from_millis(rng.u64(0..5_000)));
            }
            while waiting.front().is_some_and(|due| *due <= now) {
                waiting.pop_front();
                window.send(now);
                sent.push(now);
            }
        }
        assert!(sent.windows(11).all(|eleven| eleven[10] - eleven[0] >= Duration::from_mins(1)));
        assert!(sent.len() >= 90, "and all of it is used: {}", sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn places_that_were_not_used_are_free_again() {
        let mut window = window(2, 10);
        let now = Instant::now();
        window.take(2);
        assert_eq!(window.room(1, now), Room::Later, "nobody knows when they will be sent");
        window.give_back(1);
        assert_eq!(window.room(1, now), Room::Now);
        window.send(now);
        window.take(1);
        assert_eq!(window.room(1, now), Room::At(now + Duration::from_secs(10)));
        window.unsend(now);
        window.give_back(1);
        assert_eq!(window.room(1, now), Room::Now);
        assert_eq!(Window::new(None).room(1_000, now), Room::Now);
    }

    /// What is left must not be waited for longer than there is more.
    #[tokio::test(start_paused = true)]
    async fn no_gap_is_longer_than_until_there_is_more_room() {
        let mut window = window(5, 60);
        let start = Instant::now();
        window.take(4);
        (0..4).for_each(|_| window.send(start));
        let now = start + Duration::from_secs(50);
        assert_eq!(window.gap(1, now), Duration::from_secs(12), "the even pace");
        assert_eq!(window.gap(4, start), Duration::from_mins(1), "not four minutes");
    }

    /// A burst that eats the window at once would leave the rest of the minute unseen.
    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_spread_without_a_pause() {
        let mut window = window(60, 60);
        let start = Instant::now();
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + Duration::from_mins(5) {
            assert_eq!(window.room(1, now), Room::Now, "the pace leads into a pause after {}", sent.len());
            window.take(1);
            window.send(now);
            sent.push(now);
            now += window.gap(1, now).max(Duration::from_millis(50));
        }
        let longest = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= Duration::from_millis(2_100), "{longest:?}");
        assert!(sent.len() >= 290, "{}", sent.len());
    }
}
