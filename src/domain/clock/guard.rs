//! The guard's state machine: from readings to `ok`, `unsafe` or `unknown`.
//!
//! Invariants: `unsafe` is said only when more than half of the sources agree that the clock is over the limit, and is
//! taken back only by [`GOOD_IN_A_ROW`] rounds of fresh readings that do not say so; silence takes nothing back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Agreement, Interval, Reading, agreement, apart, was_set};
use crate::domain::{Moment, PlatformId, record::ClockState, time::Now};

/// Rounds in a row without a certain drift, after which an unsafe clock is trusted again.
pub(super) const GOOD_IN_A_ROW: u8 = 3;

/// What the guard is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Drift that is certainly over this is unsafe.
    pub max_drift: Duration,
    /// Readings older than this count no longer.
    pub lifetime: Duration,
}

/// What one source says now.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// The source.
    pub source: Arc<str>,
    /// The runner's offset by it.
    pub offset: Interval,
    /// Its stratum, where it tells.
    pub stratum: Option<u8>,
    /// Whether it is among those that agree.
    pub agrees: bool,
}

/// What is known of the clock at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// What follows from it.
    pub state: ClockState,
    /// The runner's offset (wall clock minus true time), as far as any source tells.
    pub offset: Option<Interval>,
    /// Whether more than half of the sources agree on it.
    pub majority: bool,
    /// The smallest stratum among those that agree.
    pub stratum: Option<u8>,
    /// Every source that was heard.
    pub voices: Vec<Voice>,
    /// What is to be taken off the wall clock, in nanoseconds: the offset where it is larger than its error, else zero.
    pub correction: i64,
    /// By how much the corrected wall clock may be wrong; `None` when nothing or no majority tells.
    pub wall_error: Option<Duration>,
    /// By how much a platform's own clock may differ from the corrected wall clock, for those that were heard.
    pub stamp_errors: BTreeMap<PlatformId, Duration>,
}

/// Keeps the readings and the state.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    readings: BTreeMap<Arc<str>, Reading>,
    state: ClockState,
    good: u8,
    /// Wall minus monotonic clock when it was last looked at.
    apart: Option<i64>,
}

impl Guard {
    /// A guard that has heard nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let state = ClockState::Unknown;
        Self { limits, readings: BTreeMap::new(), state, good: 0, apart: None }
    }

    /// Is set to other limits; what was read stays.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What follows from the last readings.
    #[must_use]
    pub const fn state(&self) -> ClockState {
        self.state
    }

    /// By how much the wall clock was set since this was last asked; `None` when it was not.
    ///
    /// The readings stay: they compare with the monotonic clock, so that what they say of the wall clock follows the step.
    pub fn stepped(&mut self, now: Now) -> Option<i64> {
        let apart = apart(now);
        let before = self.apart.replace(apart)?;
        was_set(before, apart)
    }

    /// Takes the clock for unsafe until the sources say otherwise.
    pub fn distrust(&mut self) {
        (self.state, self.good) = (ClockState::Unsafe, 0);
    }

    /// Forgets every reading: the monotonic clock itself may be wrong by now.
    pub fn forget(&mut self) {
        self.readings.clear();
        self.good = 0;
    }

    /// Takes in what a whole round of questions brought, and judges. A reading that was told before is no news.
    pub fn round(&mut self, readings: Vec<Reading>, now: Now) -> Judged {
        let mut fresh = false;
        for reading in readings {
            let known = self.readings.get(&reading.source);
            if known.is_none_or(|known| known.at < reading.at) {
                fresh = true;
                self.readings.insert(Arc::clone(&reading.source), reading);
            }
        }
        self.judge(fresh, now)
    }

    /// Judges anew what is known: readings age and expire, and the wall clock may have been set.
    pub fn look(&mut self, now: Now) -> Judged {
        self.judge(false, now)
    }

    fn judge(&mut self, fresh: bool, now: Now) -> Judged {
        let lifetime = self.limits.lifetime;
        self.readings.retain(|_, reading| now.moment.since(reading.at) <= lifetime);
        let offsets: Vec<Interval> = self.readings.values().map(|reading| offset(reading, now)).collect();
        let Some(found) = agreement(&offsets) else {
            if self.state == ClockState::Ok {
                self.state = ClockState::Unknown;
            }
            return Judged { state: self.state, ..Judged::default() };
        };
        self.turn(&found, fresh);
        self.judged(&found, &offsets)
    }

    fn turn(&mut self, found: &Agreement, fresh: bool) {
        let over = found.majority && found.common.is_beyond(self.limits.max_drift);
        if over {
            (self.state, self.good) = (ClockState::Unsafe, 0);
        } else if self.state != ClockState::Unsafe {
            self.state = ClockState::Ok;
        } else if fresh {
            // Sources that contradict each other vouch for nothing, nor does one that contradicts itself.
            let vouched = |(reading, agrees): (&Reading, &bool)| *agrees && !reading.contradicts_itself;
            let is_good = found.majority && self.readings.values().zip(&found.agrees).any(vouched);
            self.good = if is_good { self.good + 1 } else { 0 };
            if self.good >= GOOD_IN_A_ROW {
                (self.state, self.good) = (ClockState::Ok, 0);
            }
        }
    }

    fn judged(&self, found: &Agreement, offsets: &[Interval]) -> Judged {
        let (middle, error) = (found.common.middle(), found.common.error());
        let is_larger = u128::from(middle.unsigned_abs()) > error.as_nanos();
        let correction = if found.majority && is_larger { middle } else { 0 };
        let voices: Vec<Voice> = self
            .readings
            .values()
            .zip(offsets)
            .zip(&found.agrees)
            .map(|((reading, offset), agrees)| Voice {
                source: Arc::clone(&reading.source),
                offset: *offset,
                stratum: reading.stratum,
                agrees: *agrees,
            })
            .collect();
        let corrected = |offset: Interval| offset.shifted(correction.saturating_neg()).magnitude();
        let platforms = self.readings.values().zip(offsets);
        Judged {
            state: self.state,
            offset: Some(found.common),
            majority: found.majority,
            stratum: voices.iter().filter(|voice| voice.agrees).filter_map(|voice| voice.stratum).min(),
            voices,
            correction,
            wall_error: found.majority.then(|| corrected(found.common)),
            stamp_errors: platforms
                .filter_map(|(reading, offset)| Some((reading.platform.clone()?, corrected(*offset))))
                .collect(),
        }
    }
}

fn offset(reading: &Reading, now: Now) -> Interval {
    reading.lead.aged(age(reading.at, now.moment)).on_the_wall(now)
}

/// Readings may come from an instant a little after the one at which they are judged.
fn age(at: Moment, now: Moment) -> Duration {
    now.since(at).max(at.since(now))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;

    const LIMITS: Limits = Limits { max_drift: Duration::from_millis(500), lifetime: Duration::from_mins(5) };

    /// A machine whose wall clock is wrong by a known amount.
    #[derive(Clone, Copy)]
    struct Machine {
        at: i64,
        wrong_ms: i64,
    }

    impl Machine {
        fn start() -> Self {
            Self { at: 1_000_000, wrong_ms: 0 }
        }

        fn truth(self) -> DateTime<Utc> {
            DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::milliseconds(self.at)
        }

        fn now(self) -> Now {
            let moment = Moment::from_millis(self.at);
            Now { moment, wall: self.truth() + TimeDelta::milliseconds(self.wrong_ms) }
        }

        fn later(mut self, seconds: i64) -> Self {
            self.at += seconds * 1_000;
            self
        }

        /// A source that is off by so much, and knows the time to ±10 ms.
        fn ask(self, source: &str, off_ms: i64) -> Reading {
            let here = self.now().moment;
            let shown = self.truth() + TimeDelta::milliseconds(off_ms);
            let error = Duration::from_millis(10);
            let lead = Interval::of_exchange(here, shown, here, shown).unwrap().widened(error);
            let source = Arc::from(source);
            Reading { source, platform: None, lead, at: here, stratum: Some(2), contradicts_itself: false }
        }
    }

    fn honest(machine: Machine) -> Vec<Reading> {
        ["a", "b", "c"].map(|source| machine.ask(source, 0)).to_vec()
    }

    #[test]
    fn certain_drift_is_unsafe_and_three_good_rounds_in_a_row_take_it_back() {
        let mut machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        assert_eq!(guard.look(machine.now()).state, ClockState::Unknown);
        assert_eq!(guard.round(honest(machine), machine.now()).state, ClockState::Ok);
        machine.wrong_ms = 505;
        // 505 ± 10 ms is not certainly over 500 ms.
        assert_eq!(guard.round(honest(machine), machine.now()).state, ClockState::Ok);
        machine.wrong_ms = 600;
        let judged = guard.round(honest(machine), machine.now());
        assert_eq!(judged.state, ClockState::Unsafe);
        assert_eq!(judged.offset.unwrap().middle() / 1_000_000, 600);
        for states in [[ClockState::Unsafe; 2], [ClockState::Unsafe; 2]] {
            machine.wrong_ms = 0;
            for expected in states {
                machine = machine.later(60);
                assert_eq!(guard.round(honest(machine), machine.now()).state, expected);
                // Looking again is no new reading.
                assert_eq!(guard.look(machine.now()).state, expected);
            }
            // A bad one begins the count anew.
            machine.wrong_ms = -700;
            assert_eq!(guard.round(honest(machine), machine.now()).state, ClockState::Unsafe);
        }
        machine.wrong_ms = 0;
        let states = [(); 3].map(|()| {
            machine = machine.later(60);
            guard.round(honest(machine), machine.now()).state
        });
        assert_eq!(states, [ClockState::Unsafe, ClockState::Unsafe, ClockState::Ok]);
    }

    #[test]
    fn a_falsetick_neither_makes_a_good_clock_unsafe_nor_a_bad_one_safe() {
        let mut machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        let with = |machine: Machine, off| {
            let mut all = honest(machine);
            all.push(machine.ask("liar", off));
            all
        };
        let judged = guard.round(with(machine, 9_000), machine.now());
        assert_eq!(judged.state, ClockState::Ok);
        let liars: Vec<_> = judged.voices.iter().filter(|voice| !voice.agrees).collect();
        assert_eq!(liars.len(), 1);
        assert_eq!(&*liars[0].source, "liar");
        machine.wrong_ms = 9_000;
        assert_eq!(guard.round(with(machine, 9_000), machine.now()).state, ClockState::Unsafe);
    }

    /// All time servers lie alike, and the dates of the platforms do not.
    #[test]
    fn camps_of_one_size_prove_nothing_and_the_larger_one_is_believed() {
        let machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        let lie = |source| machine.ask(source, 8_000);
        let truth = |source| machine.ask(source, 0);
        let judged =
            guard.round(vec![lie("ntp 1"), lie("ntp 2"), truth("http 1"), truth("http 2")], machine.now());
        assert_eq!((judged.state, judged.majority), (ClockState::Ok, false));
        assert_eq!((judged.correction, judged.wall_error), (0, None));
        let judged = guard.round(vec![truth("http 3")], machine.now());
        assert_eq!((judged.state, judged.majority), (ClockState::Ok, true));
        let mut guard = Guard::new(LIMITS);
        guard.distrust();
        // Sources that contradict each other do not make an unsafe clock safe.
        for _ in 0..5 {
            let state = guard.round(vec![lie("ntp 1"), truth("http 1")], machine.now()).state;
            assert_eq!(state, ClockState::Unsafe);
        }
    }

    #[test]
    fn a_step_is_seen_without_a_source_and_judged_at_once() {
        let mut machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        assert_eq!(guard.stepped(machine.now()), None);
        guard.round(honest(machine), machine.now());
        machine = machine.later(1);
        assert_eq!(guard.stepped(machine.now()), None);
        machine.wrong_ms = 3_600_000;
        assert_eq!(guard.stepped(machine.now()), Some(3_600_000_000_000));
        assert_eq!(guard.look(machine.now()).state, ClockState::Unsafe);
        assert_eq!(guard.stepped(machine.now()), None, "told once");
        machine.wrong_ms = 0;
        assert!(guard.stepped(machine.now()).is_some_and(|step| step < 0));
        assert_eq!(guard.look(machine.now()).state, ClockState::Unsafe, "only readings make it safe again");
    }

    #[test]
    fn silence_is_unknown_and_makes_nothing_safe() {
        let mut machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        guard.round(honest(machine), machine.now());
        machine = machine.later(299);
        let judged = guard.look(machine.now());
        assert_eq!(judged.state, ClockState::Ok);
        let error = judged.offset.unwrap().error();
        assert!(error > Duration::from_millis(39), "an old reading is as good as new: {error:?}");
        machine = machine.later(2);
        assert_eq!(guard.look(machine.now()), Judged::default());
        machine.wrong_ms = 5_000;
        guard.round(honest(machine), machine.now());
        machine = machine.later(3_600);
        assert_eq!(guard.look(machine.now()).state, ClockState::Unsafe);
        guard.forget();
        assert_eq!(guard.look(machine.now()).state, ClockState::Unsafe);
    }

    /// One platform behind which two servers answer, of which one is two seconds off.
    #[test]
    fn a_source_that_contradicts_itself_neither_condemns_the_clock_nor_acquits_it() {
        let mut machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        let both = |machine: Machine| {
            let (right, wrong) = (machine.ask("web", 0), machine.ask("web", -2_000));
            vec![Reading { lead: right.lead.hull(wrong.lead), contradicts_itself: true, ..right }]
        };
        assert_eq!(guard.round(both(machine), machine.now()).state, ClockState::Ok);
        machine.wrong_ms = 3_000;
        // Whichever of them is right, this is over the limit.
        assert_eq!(guard.round(both(machine), machine.now()).state, ClockState::Unsafe);
        machine.wrong_ms = -1_000;
        for _ in 0..5 {
            machine = machine.later(60);
            assert_eq!(guard.round(both(machine), machine.now()).state, ClockState::Unsafe);
        }
        machine.wrong_ms = 0;
        let states = [(); 3].map(|()| {
            machine = machine.later(60);
            guard.round(vec![machine.ask("web", 0)], machine.now()).state
        });
        assert_eq!(states, [ClockState::Unsafe, ClockState::Unsafe, ClockState::Ok]);
    }

    #[test]
    fn stamps_are_corrected_only_by_what_is_larger_than_its_error() {
        let mut machine = Machine::start();
        let mut guard = Guard::new(LIMITS);
        machine.wrong_ms = 7;
        let judged = guard.round(honest(machine), machine.now());
        assert_eq!(judged.correction, 0);
        assert_eq!(judged.wall_error, Some(Duration::from_millis(17)));
        machine.wrong_ms = 70;
        let mut readings = honest(machine);
        // A platform whose clock is 200 ms ahead of true time.
        let platform = Some(PlatformId::new("web"));
        readings.push(Reading { platform, ..machine.ask("platform web", 200) });
        let judged = guard.round(readings, machine.now());
        assert_eq!(judged.correction, 70_000_000);
        assert_eq!(judged.wall_error, Some(Duration::from_millis(10)));
        assert_eq!(judged.stamp_errors[&PlatformId::new("web")], Duration::from_millis(210));
    }
}
