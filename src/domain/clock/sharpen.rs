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
/// For so long an answer that contradicts another keeps it from being believed alone.
const DISPUTE: Duration = Duration::from_mins(10);
/// So many answers that contradict each other are kept apart.
const CAMPS: usize = 8;

/// What all answers of one server allow together.
///
/// Invariant: answers that contradict each other are never chosen from: as long as they do, all that any of them allows
/// is known, and no more.
#[derive(Clone, Debug, Default)]
pub struct Sharpened {
    /// Answers that fit to each other, joined, and when the last of them came; the latest first. More than one where
    /// several servers with different clocks answer under one name, or where a server's clock was set.
    camps: Vec<(Interval, Moment)>,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// It fits to some before.
    Fits,
    /// It contradicts all those before.
    Contradicts,
}

impl Sharpened {
    /// Takes one answer: monotonic minus the server's time, as it was at `at`.
    pub fn take(&mut self, answer: Interval, at: Moment) -> Took {
        self.camps.retain(|(_, last)| at.since(*last) <= DISPUTE);
        let fits = |(camp, last): &(Interval, Moment)| camp.aged(at.since(*last)).meet(answer);
        let fitting = self.camps.iter().enumerate().find_map(|(place, camp)| Some((place, fits(camp)?)));
        let (camp, took) = match fitting {
            Some((place, both)) => ((both, at.max(self.camps.remove(place).1)), Took::Fits),
            None if self.camps.is_empty() => ((answer, at), Took::Fits),
            None => ((answer, at), Took::Contradicts),
        };
        self.camps.insert(0, camp);
        if self.camps.len() > CAMPS {
            let oldest = self.camps.split_off(CAMPS - 1);
            self.camps.extend(joined(&oldest));
        }
        took
    }

    /// What is known, and when it was last confirmed.
    #[must_use]
    pub fn known(&self) -> Option<(Interval, Moment)> {
        joined(&self.camps)
    }

    /// How wide the doubt is now.
    #[must_use]
    pub fn doubt(&self, now: Moment) -> Option<Duration> {
        self.known().map(|(known, at)| known.aged(now.since(at)).width())
    }

    /// Whether answers contradict each other, which no further answer mends.
    #[must_use]
    pub fn contradicts_itself(&self) -> bool {
        self.camps.len() > 1
    }

    /// Forgets everything that was learnt, as after a time in which the clocks were not running.
    pub fn forget(&mut self) {
        self.camps.clear();
    }

    /// How long to wait before a request is sent, so that the server receives it when its second is believed to change.
    /// `there` is how long a request takes to it. Zero when nothing is known.
    #[must_use]
    pub fn aim(&self, now: Moment, there: Duration) -> Duration {
        let Some((known, _)) = self.camps.first() else { return Duration::ZERO };
        // The server's time when a request that is sent now would arrive, as far as it is known.
        let arrives = (now + there).as_nanos().saturating_sub(known.middle());
        let wait = (SECOND - arrives.rem_euclid(SECOND)) % SECOND;
        Duration::from_nanos(wait.unsigned_abs())
    }
}

/// All that any of them allows, at the time of the latest.
fn joined(camps: &[(Interval, Moment)]) -> Option<(Interval, Moment)> {
    let latest = camps.iter().map(|(_, at)| *at).max()?;
    let aged = camps.iter().map(|(camp, at)| camp.aged(latest.since(*at)));
    Some((aged.reduce(Interval::hull)?, latest))
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

    /// Two servers behind one name, of which one is two seconds off: whichever answered last, neither is believed alone.
    #[test]
    fn answers_that_contradict_each_other_are_not_chosen_from() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut sharpened = Sharpened::default();
        let (right, wrong) = (1_700_000_000 * SECOND, 1_700_000_002 * SECOND);
        let mut contradictions = 0;
        for poll in 0..200 {
            let ahead = if random.bool() { right } else { wrong };
            let (answer, at) = ask(poll * 5 * SECOND + random.i64(0..SECOND), ahead, &mut random);
            contradictions += u32::from(sharpened.take(answer, at) == Took::Contradicts);
            assert_eq!(sharpened.contradicts_itself(), contradictions > 0);
            if contradictions > 0 {
                let (known, _) = sharpened.known().unwrap();
                for truth in [right, wrong].map(|ahead| Interval::new(-ahead, -ahead).unwrap()) {
                    assert!(known.meet(truth).is_some(), "one was chosen after {poll} polls: {known:?}");
                }
            }
        }
        assert_eq!(contradictions, 1, "the same contradiction is no news");
        // The wrong one is taken out of service.
        for poll in 200..=330 {
            let (answer, at) = ask(poll * 5 * SECOND, right, &mut random);
            sharpened.take(answer, at);
        }
        assert!(!sharpened.contradicts_itself());
        assert!(sharpened.known().unwrap().0.width() < Duration::from_millis(1_200));
        sharpened.forget();
        assert_eq!(sharpened.known(), None);
    }

    #[test]
    fn many_that_contradict_each_other_are_all_kept_in_what_is_known() {
        let mut sharpened = Sharpened::default();
        for off in 0..50 {
            let at = Moment::from_nanos(off);
            let took = sharpened.take(Interval::new(off * SECOND, off * SECOND + 1).unwrap(), at);
            assert_eq!(took == Took::Contradicts, off > 0);
        }
        let (known, _) = sharpened.known().unwrap();
        assert!(known.contains(Interval::new(0, 49 * SECOND + 1).unwrap()), "{known:?}");
        assert_eq!(sharpened.camps.len(), CAMPS);
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
