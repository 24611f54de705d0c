//! One server whose time is known only roughly, sharpened by asking it again: what all answers allow together.
//!
//! A whole second `S` leaves a second of doubt; a second answer from another part of the second leaves less (the idea of
//! the HTTP time protocol: at every poll the request is aimed at the instant at which the server's second is believed to
//! change, and each such answer halves the doubt, down to the round trip).

use std::time::Duration;

use super::Interval;
use crate::domain::Moment;

/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// What all answers of one server allow together.
#[derive(Clone, Debug, Default)]
pub struct Sharpened {
    known: Option<(Interval, Moment)>,
    restarts: u32,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// It fits to those before.
    Fits,
    /// It contradicts those before: another server behind the same name, or one whose clock was set. Only it counts now.
    Restarted,
}

impl Sharpened {
    /// Takes one answer: monotonic minus the server's time, as it was at `at`.
    pub fn take(&mut self, answer: Interval, at: Moment) -> Took {
        let Some((known, since)) = self.known else {
            self.known = Some((answer, at));
            return Took::Fits;
        };
        if let Some(both) = known.aged(at.since(since)).meet(answer) {
            self.known = Some((both, at.max(since)));
            return Took::Fits;
        }
        self.known = Some((answer, at));
        self.restarts = self.restarts.saturating_add(1);
        Took::Restarted
    }

    /// What is known, and when it was last confirmed.
    #[must_use]
    pub const fn known(&self) -> Option<(Interval, Moment)> {
        self.known
    }

    /// How wide the doubt is now.
    #[must_use]
    pub fn doubt(&self, now: Moment) -> Option<Duration> {
        self.known.map(|(known, at)| known.aged(now.since(at)).width())
    }

    /// How often an answer contradicted those before.
    #[must_use]
    pub const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Forgets everything that was learnt, as after a time in which the clocks were not running.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// How long to wait before a request is sent, so that the server receives it when its second is believed to change.
    /// `there` is how long a request takes to it. Zero when nothing is known.
    #[must_use]
    pub fn aim(&self, now: Moment, there: Duration) -> Duration {
        let Some((known, _)) = self.known else { return Duration::ZERO };
        // The server's time when a request that is sent now would arrive, as far as it is known.
        let arrives = (now + there).as_nanos().saturating_sub(known.middle());
        let wait = (SECOND - arrives.rem_euclid(SECOND)) % SECOND;
        Duration::from_nanos(wait.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use chrono::DateTime;

    use super::*;

    const MILLI: i64 = 1_000_000;

    /// A server that says whole seconds, so far ahead of the monotonic clock's zero, with a round trip of 50 ms.
    fn ask(at: i64, ahead: i64, random: &mut fastrand::Rng) -> (Interval, Moment) {
        let there = random.i64(5 * MILLI..45 * MILLI);
        let received = at + 50 * MILLI;
        let shown = (at + there + ahead).div_euclid(SECOND);
        let from = DateTime::from_timestamp(shown, 0).unwrap();
        let until = DateTime::from_timestamp(shown + 1, 0).unwrap();
        let (sent, received) = (Moment::from_nanos(at), Moment::from_nanos(received));
        (Interval::of_exchange(sent, until, received, from).unwrap(), received)
    }

    #[test]
    fn four_aimed_answers_leave_less_than_200_ms_of_doubt_and_never_exclude_the_truth() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..1_000 {
            let ahead = random.i64(1_700_000_000 * SECOND..1_800_000_000 * SECOND);
            let mut now = random.i64(0..1_000 * SECOND);
            let mut sharpened = Sharpened::default();
            for poll in 1..=6 {
                let wait = sharpened.aim(Moment::from_nanos(now), Duration::from_millis(25));
                now += i64::try_from(wait.as_nanos()).unwrap();
                let (answer, received) = ask(now, ahead, &mut random);
                assert_eq!(sharpened.take(answer, received), Took::Fits);
                let doubt = sharpened.doubt(received).unwrap();
                assert!(poll < 4 || doubt < Duration::from_millis(200), "{doubt:?} after {poll} polls");
                let (known, at) = sharpened.known().unwrap();
                let truth = Interval::new(-ahead, -ahead).unwrap();
                assert!(known.meet(truth).is_some(), "the truth was excluded after {poll} polls");
                now = at.as_nanos() + random.i64(SECOND..60 * SECOND);
            }
        }
    }

    /// Without aiming the same part of the second is met again and again, and nothing is learnt.
    #[test]
    fn answers_from_the_same_part_of_a_second_teach_nothing() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut sharpened = Sharpened::default();
        for poll in 0..10 {
            let (answer, received) =
                ask(poll * 5 * SECOND, 1_700_000_000 * SECOND + 500 * MILLI, &mut random);
            sharpened.take(answer, received);
        }
        assert!(sharpened.known().unwrap().0.width() > Duration::from_secs(1));
    }

    #[test]
    fn a_server_that_contradicts_itself_is_believed_from_its_last_answer_on() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut sharpened = Sharpened::default();
        let (first, at) = ask(0, 1_700_000_000 * SECOND, &mut random);
        sharpened.take(first, at);
        let (other, at) = ask(5 * SECOND, 1_700_000_010 * SECOND, &mut random);
        assert_eq!(sharpened.take(other, at), Took::Restarted);
        assert_eq!((sharpened.known().unwrap().0, sharpened.restarts()), (other, 1));
        sharpened.forget();
        assert_eq!(sharpened.known(), None);
    }

    #[test]
    fn what_was_learnt_long_ago_is_worth_less() {
        let mut sharpened = Sharpened::default();
        sharpened.take(Interval::new(0, 10).unwrap(), Moment::default());
        let later = Moment::default() + Duration::from_secs(1_000);
        // 100 millionths of 1000 s, to both sides.
        assert_eq!(sharpened.doubt(later).unwrap(), Duration::from_millis(200) + Duration::from_nanos(10));
    }
}
