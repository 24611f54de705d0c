//! When a component's probes are due: slots of a fixed grid, so that nothing drifts, with a little jitter behind each.
//!
//! Every due time lies on a mark that all components share, so that a few begin at one waking of the process: with
//! hundreds of probes a second that halves what probing costs, and no group is larger than what falls into one mark.

use std::time::Duration;

use tokio::time::Instant;

/// The share of the interval by which a probe may be late on purpose.
const JITTER: f64 = 0.02;

/// Marks in one interval, which bounds how much a probe waits for its neighbours.
const MARKS: u32 = 50;

/// The longest time between two marks.
const MARK_CAP: Duration = Duration::from_millis(20);

/// The longest jitter.
const JITTER_CAP: Duration = Duration::from_secs(1);

/// The longest time over which first probes are spread.
const FIRST_SPREAD: Duration = Duration::from_secs(2);

/// The time that each component adds to the spread of the first probes.
const FIRST_STEP: Duration = Duration::from_millis(50);

/// The due times of one component.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    start: Instant,
    phase: f64,
    anchor: Option<Instant>,
    rng: fastrand::Rng,
}

impl Grid {
    /// A grid that begins at `start`; `phase` (0 to 1) is the component's place within one interval.
    pub(crate) fn new(start: Instant, phase: f64, seed: u64) -> Self {
        Self { start, phase, anchor: None, rng: fastrand::Rng::with_seed(seed) }
    }

    /// The component's place within one interval.
    pub(crate) const fn phase(&self) -> f64 {
        self.phase
    }

    /// How long after the first of its `siblings` this component is to follow where all would begin at once.
    pub(crate) fn spread(&self, cadence: Duration, siblings: usize) -> Duration {
        let few = FIRST_STEP.saturating_mul(u32::try_from(siblings).unwrap_or(u32::MAX));
        cadence.min(FIRST_SPREAD).min(few).mul_f64(self.phase)
    }

    /// Puts a slot at `anchor`: a burst has its own grid.
    pub(crate) fn anchor_at(&mut self, anchor: Instant) {
        self.anchor = Some(anchor);
    }

    /// In a burst, goes on with the slots of another grid.
    pub(crate) const fn anchor_like(&mut self, other: &Self) {
        self.anchor = other.anchor;
    }

    /// Back to the grid that spreads the components evenly.
    pub(crate) fn go_home(&mut self) {
        self.anchor = None;
    }

    /// The first slot after `now`, and its jitter behind it.
    pub(crate) fn next(&mut self, now: Instant, interval: Duration) -> Instant {
        let interval = interval.max(Duration::from_millis(1));
        let first = self.anchor.unwrap_or_else(|| self.start + interval.mul_f64(self.phase));
        let slot = match now.checked_duration_since(first) {
            None => first,
            Some(since) => {
                let passed = since.as_nanos() / interval.as_nanos() + 1;
                let nanos = passed.saturating_mul(interval.as_nanos());
                first + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        };
        let due = slot + interval.mul_f64(JITTER).min(JITTER_CAP).mul_f64(self.rng.f64());
        self.on_mark(due, interval)
    }

    /// The first mark at or after `due`.
    fn on_mark(&self, due: Instant, interval: Duration) -> Instant {
        let mark = (interval / MARKS).min(MARK_CAP).as_nanos().max(1);
        let past = due.saturating_duration_since(self.start).as_nanos() % mark;
        let wait = if past == 0 { 0 } else { mark - past };
        due + Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    /// A drifting schedule would bunch components up over days, and miss the promised cadence.
    #[tokio::test(start_paused = true)]
    async fn a_million_seconds_drift_by_nothing_but_jitter() {
        let start = Instant::now();
        let cadence = Duration::from_secs(5);
        let mut grid = Grid::new(start, 0.25, 7);
        let mut due = start + grid.spread(cadence, 1);
        for number in 1..=200_000_u32 {
            // The start itself is a little late, as on a busy machine.
            due = grid.next(due + Duration::from_millis(4), cadence);
            let slot = start + cadence.mul_f64(0.25) + cadence * (number - 1);
            let jitter = due.checked_duration_since(slot).unwrap();
            assert!(jitter <= cadence.mul_f64(JITTER) + MARK_CAP, "{number}: {jitter:?} off the grid");
        }
    }

    /// After a suspended laptop wakes up, a thousand missed probes must not be made up for.
    #[tokio::test(start_paused = true)]
    async fn missed_slots_are_left_out() {
        let start = Instant::now();
        let mut grid = Grid::new(start, 0.0, 1);
        let late = start + Duration::from_secs(10_001);
        let due = grid.next(late, Duration::from_secs(5));
        assert!(due > late && due <= late + Duration::from_secs(5) + MARK_CAP);
    }

    /// Hundreds of wakings a second cost more processor time than the probes themselves.
    #[tokio::test(start_paused = true)]
    async fn a_thousand_components_begin_at_fifty_wakings_a_second() {
        let start = Instant::now();
        let interval = Duration::from_secs(1);
        let mut wakings: Vec<Instant> = (0..1_000_u32)
            .map(|place| Grid::new(start, f64::from(place) / 1_000.0, u64::from(place)).next(start, interval))
            .collect();
        wakings.sort_unstable();
        let largest = wakings.chunk_by(|one, other| one == other).map(<[Instant]>::len).max().unwrap();
        wakings.dedup();
        assert!(wakings.len() <= 52, "{}", wakings.len());
        assert!(largest <= 40, "{largest} at one waking is a herd");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_has_its_own_grid_and_peace_the_old_one() {
        let start = Instant::now();
        let mut grid = Grid::new(start, 0.5, 1);
        let begun = start + Duration::from_millis(12_345);
        grid.anchor_at(begun);
        let due = grid.next(begun, Duration::from_millis(500));
        assert!((500..=520).contains(&due.duration_since(begun).as_millis()));
        grid.go_home();
        let due = grid.next(due, Duration::from_secs(10)).duration_since(start).as_millis();
        assert!((15_000..=15_300).contains(&due), "{due}");
    }
}
