//! One random world: its truth, the probes that look at it, and the check of every recovery against the truth.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use warroom::domain::{
    ComponentCard, ComponentId, Environment, Event, Moment, PathName, PlatformId, ProbeReport,
    RecoveryRecord, Roster, Span, StepReport, StepState, Tier, Verdict,
    measurement::{Kept, KeptAt, Measurement, Pace, Thresholds},
    time::Now,
    tracker::Counted,
};

/// Milliseconds of true time.
type Millis = i64;

/// What was met, over all worlds.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) recoveries: u64,
    pub(crate) blips: u64,
    pub(crate) relapses: u64,
    pub(crate) failovers: u64,
    pub(crate) inferred: u64,
    pub(crate) blind: u64,
    pub(crate) gaps: u64,
    pub(crate) restarts: u64,
    pub(crate) reboots: u64,
    pub(crate) by_dependency: u64,
    pub(crate) several_parts: u64,
    pub(crate) uncounted: u64,
    pub(crate) with_gap: u64,
    pub(crate) unbounded: u64,
    pub(crate) violations: u64,
    widths: Vec<f32>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "recoveries {}, blips {}, relapses {}, failovers {}, blind {}, gaps {}, reboots {}",
            self.recoveries, self.blips, self.relapses, self.failovers, self.blind, self.gaps, self.reboots
        )
    }
}

impl Tally {
    /// The median width of the bounds, in times of the component's cadence plus timeout.
    pub(crate) fn median_width(&self) -> f32 {
        let mut widths = self.widths.clone();
        widths.sort_by(f32::total_cmp);
        widths.get(widths.len() / 2).copied().unwrap_or(0.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failure {
    from: Millis,
    until: Millis,
    /// The step does not answer rather than answering badly.
    hangs: bool,
}

struct Part {
    /// For each step, its failures in order.
    failures: Vec<Vec<Failure>>,
    /// When it answers 429.
    throttled: Vec<(Millis, Millis)>,
    /// When the secondary serves.
    on_secondary: Vec<(Millis, Millis)>,
    latency: (Millis, Millis),
    timeout: Millis,
    jitter: Millis,
    due: Millis,
    last_start: Millis,
    in_flight: Vec<InFlight>,
    chain_until: Millis,
    /// Failures that the counted bad verdicts of the running outage saw.
    seen: Vec<Failure>,
    seen_parts: Vec<ComponentId>,
    kept: Option<(ComponentId, Kept)>,
}

#[derive(Clone, Copy)]
struct InFlight {
    number: u64,
    end: Millis,
    health_until: Millis,
}

struct Probe {
    place: usize,
    report: ProbeReport,
    failure: Option<Failure>,
    number: u64,
}

/// One random world.
pub(crate) struct World {
    random: Rng,
    roster: Arc<Roster>,
    thresholds: Thresholds,
    measurement: Measurement,
    parts: Vec<Part>,
    ends: BinaryHeap<Reverse<(Millis, u64)>>,
    probes: HashMap<u64, Probe>,
    numbers: u64,
    /// Which failure a piece of evidence saw, by component and interval of the current boot.
    evidence: HashMap<(ComponentId, Span), Failure>,
    /// True time of the current boot's monotonic zero.
    boot_zero: Millis,
    boot: u32,
    wall_wrong: Millis,
    horizon: Millis,
    last_save: Millis,
}

const WALL_ERROR: Millis = 400;

/// What is kept goes through its text form, as it does on disk.
fn through_text(kept: &Kept) -> Kept {
    serde_json::from_str(&serde_json::to_string(kept).unwrap()).unwrap()
}

fn wall_zero() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn intervals(
    random: &mut Rng,
    horizon: Millis,
    every: (Millis, Millis),
    length: (Millis, Millis),
) -> Vec<(Millis, Millis)> {
    let mut found = Vec::new();
    let mut at = random.i64(every.0..every.1);
    while at < horizon {
        let long = random.i64(length.0..length.1);
        found.push((at, at + long));
        at += long + random.i64(every.0..every.1);
    }
    found
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let horizon = 1_200_000;
        let number = random.usize(1..5);
        let mut cards = Vec::new();
        let mut parts = Vec::new();
        for place in 0..number {
            let cadence = [1000, 2000, 5000, 20_000][random.usize(0..4)];
            let burst = [250, 500, 1000][random.usize(0..3)];
            let depends_on: Vec<ComponentId> = (0..place)
                .filter(|_| random.u8(0..3) == 0)
                .map(|other| ComponentId::new(format!("c{other}")))
                .collect();
            let steps = random.usize(1..4);
            cards.push(card(place, steps, cadence, burst, random.i64(4_000..60_000), &depends_on));
            parts.push(Part::random(&mut random, steps, cadence, horizon));
        }
        let roster = Arc::new(Roster {
            tenant: "t".into(),
            environment: Environment::Sandbox,
            demo: false,
            window: Duration::from_hours(1),
            platforms: Vec::new(),
            components: cards,
        });
        let one_to = |random: &mut Rng, most| NonZeroU32::new(random.u32(1..=most)).unwrap();
        let thresholds = Thresholds {
            failure: one_to(&mut random, 3),
            success: one_to(&mut random, 3),
            ratio: (random.u8(0..3) == 0)
                .then(|| (NonZeroU32::new(3).unwrap(), NonZeroU32::new(10).unwrap())),
        };
        Self {
            measurement: Measurement::new(Arc::clone(&roster), thresholds, seed),
            random,
            roster,
            thresholds,
            parts,
            ends: BinaryHeap::new(),
            probes: HashMap::new(),
            numbers: 0,
            evidence: HashMap::new(),
            boot_zero: 0,
            boot: 0,
            wall_wrong: 0,
            horizon,
            last_save: 0,
        }
    }

    fn moment(&self, at: Millis) -> Moment {
        Moment::from_millis(at - self.boot_zero)
    }

    fn now(&self, at: Millis) -> Now {
        Now { moment: self.moment(at), wall: wall_zero() + TimeDelta::milliseconds(at + self.wall_wrong) }
    }

    /// Lets it run to its end.
    pub(crate) fn run(&mut self, tally: &mut Tally) -> Result<(), String> {
        let mut next_break = self.random.i64(60_000..400_000);
        loop {
            let launch = self.parts.iter().map(|part| part.due).min().unwrap_or(self.horizon);
            let end = self.ends.peek().map(|Reverse((at, _))| *at);
            let at = end.map_or(launch, |end| end.min(launch));
            if at >= self.horizon {
                return Ok(());
            }
            if at >= next_break {
                next_break = self.interrupt(at, tally);
                continue;
            }
            if end == Some(at) {
                let Some(Reverse((_, number))) = self.ends.pop() else { continue };
                let Some(probe) = self.probes.remove(&number) else { continue };
                self.finish(at, &probe, tally)?;
            } else {
                for place in 0..self.parts.len() {
                    if self.parts[place].due <= at {
                        self.launch(place, at);
                    }
                }
            }
            if at >= self.last_save + 3_000 {
                self.save(at);
            }
        }
    }

    fn save(&mut self, at: Millis) {
        self.last_save = at;
        for place in 0..self.parts.len() {
            self.save_one(place, at);
        }
    }

    fn save_one(&mut self, place: usize, at: Millis) {
        self.parts[place].kept = self.measurement.keep(
            place,
            self.now(at),
            &self.boot.to_string(),
            self.random.bool().then(|| Duration::from_millis(WALL_ERROR.unsigned_abs())),
        );
    }

    /// The runner is suspended, restarted or rebooted; says when the next such thing comes.
    fn interrupt(&mut self, at: Millis, tally: &mut Tally) -> Millis {
        let away = self.random.i64(200..40_000);
        let back = at + away;
        self.ends.clear();
        self.probes.clear();
        for part in &mut self.parts {
            part.in_flight.clear();
            part.chain_until = 0;
            part.due = back + self.random.i64(0..1000);
        }
        tally.gaps += 1;
        match self.random.u8(0..3) {
            0 => {
                let now = self.now(back);
                self.measurement.gap(self.moment(at), now.moment, "suspended", now);
            }
            kind => {
                let kept: Vec<(ComponentId, Kept)> = self
                    .parts
                    .iter()
                    .filter_map(|part| part.kept.as_ref())
                    .map(|(id, kept)| (id.clone(), through_text(kept)))
                    .collect();
                tally.restarts += 1;
                if kind == 2 {
                    tally.reboots += 1;
                    self.boot += 1;
                    self.boot_zero = back - self.random.i64(0..20_000);
                    self.wall_wrong = self.random.i64(-WALL_ERROR..=WALL_ERROR);
                    self.evidence.clear();
                }
                self.measurement =
                    Measurement::new(Arc::clone(&self.roster), self.thresholds, self.random.u64(..));
                let here = KeptAt {
                    boot_id: self.boot.to_string(),
                    now: self.now(back),
                    wall_error: self.random.bool().then(|| Duration::from_millis(WALL_ERROR.unsigned_abs())),
                };
                self.measurement.take_up(kept, &here);
                self.save(back);
            }
        }
        for place in 0..self.parts.len() {
            if !self.measurement.phase(place).is_open() {
                self.parts[place].seen.clear();
                self.parts[place].seen_parts.clear();
            }
        }
        back + self.random.i64(60_000..400_000)
    }

    fn launch(&mut self, place: usize, at: Millis) {
        let Pace { burst, interval, health_only, .. } =
            self.measurement.pace(place, self.moment(at)).unwrap();
        let interval = i64::try_from(interval.as_millis()).unwrap();
        let part = &mut self.parts[place];
        part.in_flight.retain(|flight| flight.end > at);
        let jitter = if part.jitter > 0 { self.random.i64(0..part.jitter) } else { 0 };
        if !burst && let Some(busy) = part.in_flight.iter().map(|flight| flight.end).max() {
            part.due = busy + 1;
            return;
        }
        part.due = at + interval + jitter.min(interval / 4);
        if part.in_flight.iter().any(|flight| flight.health_until <= at) || part.in_flight.len() >= 16 {
            return;
        }
        part.last_start = at;
        self.probe(place, at, burst, health_only);
    }

    fn probe(&mut self, place: usize, start: Millis, burst: bool, health_only: bool) {
        let number = self.numbers;
        self.numbers += 1;
        let part = &self.parts[place];
        let mut random = self.random.fork();
        let mut at = start;
        let mut steps = Vec::new();
        let mut outcome = (Verdict::Up, None, None);
        let mut health_until = start;
        let throttled = part.throttled.iter().any(|(from, until)| (*from..*until).contains(&start));
        for (index, failures) in part.failures.iter().enumerate() {
            let latency = random.i64(part.latency.0..part.latency.1).min(part.timeout - 1);
            let looked_at = at + random.i64(0..=latency);
            let failure =
                failures.iter().find(|failure| (failure.from..failure.until).contains(&looked_at)).copied();
            let end = match failure {
                Some(failure) if failure.hangs => at + part.timeout,
                _ => at + latency,
            };
            let state = if throttled {
                StepState::Blind
            } else if failure.is_some() {
                StepState::Failed
            } else {
                StepState::Passed
            };
            steps.push((index, state, at, end));
            at = end;
            if index == 0 {
                health_until = end;
                if state == StepState::Passed
                    && part.failures.len() > 1
                    && health_only
                    && part.chain_until > end
                {
                    return;
                }
            }
            if throttled {
                outcome = (Verdict::Blind, None, None);
                break;
            }
            if let Some(failure) = failure {
                let verdict = if index == 0 { Verdict::Down } else { Verdict::Degraded };
                outcome = (verdict, Some(failure), Some(index));
                break;
            }
        }
        let (verdict, failure, failed) = outcome;
        let looks_at_server = start + random.i64(0..=(health_until - start));
        let served =
            if part.on_secondary.iter().any(|(from, until)| (*from..*until).contains(&looks_at_server)) {
                "west"
            } else {
                "east"
            };
        let span = Span::new(self.moment(start), self.moment(at));
        let evidence = failed.map_or(span, |index| {
            let (_, _, from, until) = steps[index];
            Span::new(self.moment(from), self.moment(until))
        });
        let report = ProbeReport {
            component_id: self.roster.components[place].id.clone(),
            path: PathName::primary(),
            span,
            verdict,
            evidence,
            health_passed: match verdict {
                Verdict::Blind => None,
                Verdict::Down => Some(false),
                _ => Some(true),
            },
            served_by: (verdict != Verdict::Blind && !(verdict == Verdict::Down && random.bool()))
                .then(|| served.to_owned()),
            latency: None,
            reason: failed.map(|index| format!("s{index}: bad")),
            burst,
            steps: steps
                .iter()
                .map(|(index, state, from, until)| StepReport {
                    name: Arc::from(format!("s{index}")),
                    state: *state,
                    span: Some(Span::new(self.moment(*from), self.moment(*until))),
                    timings: None,
                    reason: None,
                    onset_at: None,
                    restored_at: None,
                })
                .collect(),
        };
        let part = &mut self.parts[place];
        if at > health_until {
            part.chain_until = part.chain_until.max(at);
        }
        part.in_flight.push(InFlight { number, end: at, health_until });
        self.ends.push(Reverse((at, number)));
        self.probes.insert(number, Probe { place, report, failure, number });
    }

    fn finish(&mut self, at: Millis, probe: &Probe, tally: &mut Tally) -> Result<(), String> {
        let place = probe.place;
        self.parts[place].in_flight.retain(|flight| flight.number != probe.number);
        if let Some(failure) = probe.failure {
            self.evidence.insert((probe.report.component_id.clone(), probe.report.evidence), failure);
        }
        let now = self.now(at);
        let was_recovering = self.measurement.phase(place) == warroom::domain::Phase::Recovering;
        let observed = self.measurement.observe(&probe.report, now);
        if probe.report.verdict == Verdict::Blind {
            tally.blind += 1;
        }
        if probe.report.verdict.is_bad() && observed.counted == Counted::Not {
            tally.uncounted += 1;
        }
        if was_recovering && observed.counted == Counted::Bad {
            tally.relapses += 1;
        }
        for (id, span) in &observed.bad_evidence {
            let failure = *self
                .evidence
                .get(&(id.clone(), *span))
                .ok_or_else(|| format!("evidence of {id} at {span:?} was counted, but no probe gave it"))?;
            let part = &mut self.parts[place];
            part.seen.push(failure);
            if !part.seen_parts.contains(id) {
                part.seen_parts.push(id.clone());
            }
        }
        for event in &observed.events {
            match event {
                Event::Blip(_) => {
                    tally.blips += 1;
                    self.parts[place].seen.clear();
                    self.parts[place].seen_parts.clear();
                }
                Event::Violation(_) => tally.violations += 1,
                Event::Recovery(recovery) => {
                    self.check(place, &recovery.record, tally)?;
                    self.save_one(place, at);
                }
                _ => {}
            }
        }
        // The scheduler follows the pace at once.
        let affected: Vec<usize> =
            std::iter::once(place).chain(self.measurement.paced_with(place).iter().copied()).collect();
        for other in affected {
            let pace = self.measurement.pace(other, now.moment).unwrap();
            let interval = i64::try_from(pace.interval.as_millis()).unwrap();
            let part = &mut self.parts[other];
            if pace.burst {
                part.due = part.due.min((part.last_start + interval).max(at));
            }
        }
        Ok(())
    }

    /// Holds one record against the truth.
    fn check(&mut self, place: usize, record: &RecoveryRecord, tally: &mut Tally) -> Result<(), String> {
        let part = &mut self.parts[place];
        let seen = std::mem::take(&mut part.seen);
        let parts = std::mem::take(&mut part.seen_parts);
        let onset = seen.iter().map(|failure| failure.from).min().ok_or("a recovery without evidence")?;
        let restored = seen.iter().map(|failure| failure.until).max().ok_or("a recovery without evidence")?;
        let truth = (restored - onset) as f64 / 1000.0;
        let (lower, upper) = record.bounds_seconds;
        if truth < lower - 1e-9 || upper.is_some_and(|upper| truth > upper + 1e-9) {
            return Err(format!(
                "truth {truth} s ({onset} to {restored} ms) is outside of {lower} to {upper:?}: {record:?}"
            ));
        }
        if (record.t_detect_epoch + record.measured_rto_seconds - record.t_restore_epoch).abs() > 1e-6 {
            return Err(format!("record and epochs disagree: {record:?}"));
        }
        if record.t_failover_epoch.is_some_and(|at| at < record.t_detect_epoch) {
            return Err(format!("failover before detection: {record:?}"));
        }
        tally.recoveries += 1;
        let blink = (part.timeout as f64 / 1000.0) + self.roster.components[place].cadence.as_secs_f64();
        let own = &self.roster.components[place].id;
        tally.by_dependency += u64::from(!parts.contains(own));
        tally.several_parts += u64::from(parts.len() > 1);
        tally.failovers += u64::from(record.t_failover_epoch.is_some() && !record.t_failover_inferred);
        tally.inferred += u64::from(record.t_failover_inferred);
        tally.with_gap += u64::from(record.gap_seconds > 0.0);
        match upper {
            None => tally.unbounded += 1,
            Some(upper) => tally.widths.push(((upper - lower) / blink) as f32),
        }
        Ok(())
    }
}

impl Part {
    fn random(random: &mut Rng, steps: usize, cadence: Millis, horizon: Millis) -> Self {
        let failures = (0..steps)
            .map(|_| {
                let every = [(20_000, 200_000), (2_000, 60_000), (100, 20_000)][random.usize(0..3)];
                let length = [(50, 3_000), (500, 30_000), (5_000, 120_000)][random.usize(0..3)];
                intervals(random, horizon, every, length)
                    .into_iter()
                    .map(|(from, until)| Failure { from, until, hangs: random.u8(0..3) == 0 })
                    .collect()
            })
            .collect();
        let low = random.i64(1..60);
        Self {
            failures,
            throttled: intervals(random, horizon, (60_000, 600_000), (500, 30_000)),
            on_secondary: intervals(random, horizon, (10_000, 200_000), (5_000, 200_000)),
            latency: (low, low + random.i64(2..900)),
            timeout: random.i64(950..5_000),
            jitter: random.i64(0..300),
            due: random.i64(0..cadence),
            last_start: 0,
            in_flight: Vec::new(),
            chain_until: 0,
            seen: Vec::new(),
            seen_parts: Vec::new(),
            kept: None,
        }
    }
}

fn card(
    place: usize,
    steps: usize,
    cadence: Millis,
    burst: Millis,
    target: Millis,
    depends_on: &[ComponentId],
) -> ComponentCard {
    let millis = |millis: Millis| Duration::from_millis(millis.unsigned_abs());
    ComponentCard {
        id: ComponentId::new(format!("c{place}")),
        name: Arc::from(format!("C{place} with {steps} steps")),
        platform: PlatformId::new("p"),
        tier: Tier::One,
        target_rto: millis(target),
        kind: "api".into(),
        cadence: millis(cadence),
        burst: millis(burst),
        steps: Vec::new(),
        depends_on: depends_on.to_vec(),
        shares: Vec::new(),
        owner: None,
        runbook: None,
        protected: false,
        mechanism: None,
        primary: vec!["east".into()],
        secondary: vec!["west".into()],
        observable: true,
    }
}
