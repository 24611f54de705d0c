//! How much longer the intervals of probes are than they should be, because the budget makes them wait.
//!
//! Invariant: only the budget's waiting counts; that for a throttle, for a long journey or for a slow component does not.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::queue::{Applicant, Queue};

/// The weight of the newest interval in the smoothed one.
const WEIGHT: f64 = 0.3;

/// From this share over what is wanted on it is told.
const TOLD_FROM: f64 = 1.25;

/// Until this share it is told on.
const TOLD_UNTIL: f64 = 1.1;

/// A change by less than this share is no news.
const NEWS: f64 = 0.25;

/// Late starts in a row before it is told: one queue is no state.
const STARTS: u32 = 3;

/// A wait that is told by itself is so much longer than twice the interval.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// What is told at most so often.
const EVERY: Duration = Duration::from_secs(10);

/// One component whose probes come later than they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The component's place among those of the schedule.
    pub place: usize,
    /// The interval that it should have.
    pub wanted: Duration,
    /// The one that it has.
    pub actual: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Measure {
    wanted: Duration,
    smooth: f64,
    /// How many starts it was smoothed over.
    starts: u32,
}

/// The measures of one platform's components, and what was told of them.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    measures: BTreeMap<usize, Measure>,
    told: BTreeMap<usize, Stretch>,
    told_at: Option<Instant>,
}

/// The interval that a wait makes of the wanted one: that since the last start, without what was not the budget's doing.
fn stretched(applicant: &Applicant, since: Instant, now: Instant) -> Duration {
    let from = since.checked_sub(applicant.interval).map_or(applicant.last, |from| from.max(applicant.last));
    now.saturating_duration_since(from).max(applicant.interval)
}

impl Stretches {
    /// A probe starts; `since` when it began to wait for the budget, if it did.
    pub(super) fn note(&mut self, applicant: &Applicant, since: Option<Instant>, now: Instant) {
        let wanted = applicant.interval;
        let actual = since.map_or(wanted, |since| stretched(applicant, since, now)).as_secs_f64();
        let Some(measure) = self.measures.get_mut(&applicant.place).filter(|one| one.wanted == wanted) else {
            self.measures.remove(&applicant.place);
            if actual > wanted.as_secs_f64() * TOLD_UNTIL {
                self.measures.insert(applicant.place, Measure { wanted, smooth: actual, starts: 1 });
            }
            return;
        };
        measure.smooth += WEIGHT * (actual - measure.smooth);
        measure.starts = measure.starts.saturating_add(1);
        if measure.smooth < wanted.as_secs_f64() * (1.0 + (TOLD_UNTIL - 1.0) / 2.0) {
            self.measures.remove(&applicant.place);
        }
    }

    /// Whether there is anything to watch.
    pub(super) fn is_quiet(&self) -> bool {
        self.measures.is_empty() && self.told.is_empty()
    }

    /// What is to be told now, if that is news; the worst first.
    pub(super) fn news(&mut self, queue: &Queue, throttled: bool, now: Instant) -> Option<Vec<Stretch>> {
        if self.told_at.is_some_and(|at| now < at + EVERY) {
            return None;
        }
        let mut current: BTreeMap<usize, Stretch> = BTreeMap::new();
        let mut add = |place: usize, wanted: Duration, actual: f64, told: bool| {
            let share = actual / wanted.as_secs_f64().max(0.001);
            if share >= if told { TOLD_UNTIL } else { TOLD_FROM } {
                let actual = Duration::from_secs_f64(actual);
                current.insert(place, Stretch { place, wanted, actual });
            }
        };
        for (place, measure) in self.measures.iter().filter(|(_, measure)| measure.starts >= STARTS) {
            add(*place, measure.wanted, measure.smooth, self.told.contains_key(place));
        }
        // Who waits has no interval yet; the wait says already how long it is at least.
        for ticket in queue.iter().filter(|_| !throttled) {
            let applicant = &ticket.applicant;
            let waits = stretched(applicant, ticket.since, now);
            let known = self.measures.get(&applicant.place).filter(|one| one.wanted == applicant.interval);
            let smooth = known.map_or(0.0, |known| known.smooth);
            if waits > applicant.interval * 2 + LONG_WAIT && waits.as_secs_f64() > smooth {
                add(applicant.place, applicant.interval, waits.as_secs_f64(), true);
            }
        }
        let differs = |one: &Stretch| {
            self.told.get(&one.place).is_none_or(|told| {
                let change = one.actual.as_secs_f64() / told.actual.as_secs_f64().max(0.001);
                told.wanted != one.wanted || !(1.0 / (1.0 + NEWS)..=1.0 + NEWS).contains(&change)
            })
        };
        let is_news = current.len() != self.told.len() || current.values().any(differs);
        if !is_news {
            return None;
        }
        self.told = current;
        self.told_at = Some(now);
        Some(self.told())
    }

    /// The schedule is another one: each place becomes what `place` says, or is gone. Says whether anything was told of it.
    pub(super) fn reseat(&mut self, place: impl Fn(usize) -> Option<usize>) -> bool {
        let was_told = !self.told.is_empty();
        let measures = std::mem::take(&mut self.measures);
        self.measures = measures.into_iter().filter_map(|(old, one)| Some((place(old)?, one))).collect();
        let told = std::mem::take(&mut self.told);
        self.told = told
            .into_iter()
            .filter_map(|(old, one)| {
                let place = place(old)?;
                Some((place, Stretch { place, ..one }))
            })
            .collect();
        was_told
    }

    /// What was told last, the worst first.
    pub(super) fn told(&self) -> Vec<Stretch> {
        let mut told: Vec<Stretch> = self.told.values().copied().collect();
        let share = |one: &Stretch| one.actual.as_secs_f64() / one.wanted.as_secs_f64().max(0.001);
        told.sort_by(|one, other| share(other).total_cmp(&share(one)));
        told
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;
    use crate::domain::Tier;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn applicant(last: Instant) -> Applicant {
        let (interval, cadence) = (seconds(5), seconds(5));
        Applicant {
            place: 3,
            troubled: false,
            tier: Tier::One,
            interval,
            cadence,
            last,
            requests: 1,
            family: None,
        }
    }

    /// A person who reads `every 11 s, not 5 s` must not read `every 12 s` a second later, and must read when it is over.
    #[tokio::test(start_paused = true)]
    async fn it_is_told_on_change_and_when_it_is_over() {
        let (mut stretches, queue) = (Stretches::default(), Queue::default());
        let mut now = Instant::now();
        let mut told = Vec::new();
        for round in 0..60 {
            let last = now;
            let wait = if round < 30 { seconds(6) } else { Duration::ZERO };
            now += seconds(5) + wait;
            let since = (!wait.is_zero()).then(|| now.checked_sub(wait).unwrap());
            stretches.note(&applicant(last), since, now);
            told.extend(stretches.news(&queue, false, now));
        }
        assert_eq!(told[0], [Stretch { place: 3, wanted: seconds(5), actual: seconds(11) }]);
        assert_eq!(told.last().unwrap(), &[], "and that it is over");
        assert!((2..=6).contains(&told.len()), "{told:?}");
        assert!(stretches.is_quiet());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_budgets_waiting_counts() {
        let start = Instant::now();
        let one = applicant(start);
        // A journey of twenty seconds, and then a tenth of a second in the queue.
        let now = start + Duration::from_millis(20_100);
        assert_eq!(stretched(&one, start + seconds(20), now), Duration::from_millis(5_100));
        assert_eq!(stretched(&one, start, start + seconds(9)), seconds(9));
    }
}
