mod reload;
mod storm;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use hyper::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

use super::*;
use crate::{
    clock::{Clock as _, RuntimeClock},
    domain::{ComponentId, Moment, PathName, Span, Verdict},
    probe::budget::Errand,
};

type Script = dyn Fn(usize, Order, &Gate) -> (Duration, Judged) + Send + Sync;

/// Answers by a script: the number of the run decides how long it takes and what it finds.
struct Scripted {
    clock: RuntimeClock,
    runs: AtomicUsize,
    starts: Mutex<Vec<Duration>>,
    orders: Mutex<Vec<Order>>,
    script: Box<Script>,
}

impl Scripted {
    fn new(
        clock: RuntimeClock,
        script: impl Fn(usize, Order, &Gate) -> (Duration, Judged) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let script = Box::new(script);
        Arc::new(Self {
            clock,
            runs: AtomicUsize::new(0),
            starts: Mutex::default(),
            orders: Mutex::default(),
            script,
        })
    }

    fn starts(&self) -> Vec<Duration> {
        self.starts.lock().unwrap().clone()
    }
}

impl Prober for Scripted {
    fn judge(
        self: Arc<Self>,
        order: Order,
        gate: Gate,
        purse: Purse,
        make_way: CancellationToken,
    ) -> BoxFuture<'static, Judged> {
        Box::pin(async move {
            let mut pass = purse.admit(Errand::Step).await.unwrap();
            pass.send();
            let number = self.runs.fetch_add(1, Ordering::Relaxed);
            let start = self.clock.moment();
            self.starts.lock().unwrap().push(start.since(Moment::default()));
            self.orders.lock().unwrap().push(order);
            let (takes, mut judged) = (self.script)(number, order, &gate);
            // What it asks only reads.
            if make_way.run_until_cancelled(tokio::time::sleep(takes)).await.is_none() {
                return Judged { report: None, ..judged };
            }
            if !judged.transport_failure {
                let mut headers = HeaderMap::new();
                if let Some(Some(wait)) = judged.signals.throttled {
                    headers.insert(RETRY_AFTER, wait.as_secs().into());
                }
                let status = if judged.signals.throttled.is_some() { 429 } else { 200 };
                pass.answered(StatusCode::from_u16(status).unwrap(), &headers, true);
            }
            if let Some(report) = &mut judged.report {
                report.span = Span::new(start, self.clock.moment());
                report.evidence = report.span;
                report.reason = Some(number.to_string());
            }
            judged
        })
    }

    fn clean_up(self: Arc<Self>, _: Leftovers) -> BoxFuture<'static, (Vec<(usize, StepReport)>, Signals)> {
        Box::pin(std::future::ready((Vec::new(), Signals::default())))
    }
}

fn found(verdict: Verdict) -> Judged {
    let span = Span::new(Moment::default(), Moment::default());
    let report = ProbeReport {
        component_id: ComponentId::new("c"),
        path: PathName::primary(),
        span,
        verdict,
        evidence: span,
        health_passed: None,
        served_by: None,
        latency: None,
        reason: None,
        burst: false,
        steps: Vec::new(),
    };
    let signals = Signals { answered: true, reached: true, ..Signals::default() };
    Judged { report: Some(report), transport_failure: false, unresolved: false, signals, leftovers: None }
}

fn throttled(wait: Option<u64>) -> Judged {
    let mut judged = found(Verdict::Blind);
    judged.signals.answered = false;
    judged.signals.throttled = Some(wait.map(Duration::from_secs));
    judged
}

fn unreachable_now() -> Judged {
    let mut judged = found(Verdict::Down);
    judged.signals = Signals::default();
    judged.transport_failure = true;
    judged
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn clock() -> RuntimeClock {
    RuntimeClock::starting_at(chrono::DateTime::UNIX_EPOCH)
}

/// The longest that a health step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts probers, each with its platform and cadence.
fn begin(
    clock: RuntimeClock,
    members: &[(usize, Duration, Arc<Scripted>)],
) -> (ScheduleHandle, mpsc::Receiver<ProbeOutput>) {
    begin_beside(clock, members, Witness::of(&[], &[]))
}

/// The same on a machine with this witness of its name resolution.
fn begin_beside(
    clock: RuntimeClock,
    members: &[(usize, Duration, Arc<Scripted>)],
    witness: Witness,
) -> (ScheduleHandle, mpsc::Receiver<ProbeOutput>) {
    let (out, outputs) = mpsc::channel(100_000);
    let platforms = members.iter().map(|(platform, ..)| platform + 1).max().unwrap_or(0);
    let platforms =
        (0..platforms).map(|number| (PlatformId::new(format!("p{number}")), Budget::new(None))).collect();
    let members = members
        .iter()
        .map(|(platform, cadence, prober)| {
            let prober: Arc<dyn Prober> = Arc::clone(prober) as Arc<dyn Prober>;
            Some(Member {
                platform: *platform,
                tier: Tier::One,
                requests: 1,
                clean_ups: 0,
                cadence: *cadence,
                patience: PATIENCE,
                listing: None,
                shared: None,
                prober,
            })
        })
        .collect();
    let clock: SharedClock = Arc::new(clock);
    (start(members, platforms, &Canary::new(&[]), &Arc::new(witness), &clock, 42, out), outputs)
}

fn reports(outputs: &mut mpsc::Receiver<ProbeOutput>) -> Vec<ProbeReport> {
    let mut reports = Vec::new();
    while let Ok(output) = outputs.try_recv() {
        if let ProbeOutput::Report { report, .. } = output {
            reports.push(*report);
        }
    }
    reports
}

const BURST: Pace =
    Pace { burst: true, interval: Duration::from_millis(500), fresh: true, health_only: true };

/// A platform with a rate limit would throttle a herd, and a schedule that drifts would bunch up to one.
#[tokio::test(start_paused = true)]
async fn starts_are_spread_evenly_and_stay_so() {
    let clock = clock();
    let cadence = Duration::from_secs(10);
    let probers: Vec<_> =
        (0..100).map(|_| Scripted::new(clock, |_, _, _| (millis(20), found(Verdict::Up)))).collect();
    let members: Vec<_> = probers.iter().map(|prober| (0, cadence, Arc::clone(prober))).collect();
    let (handle, _outputs) = begin(clock, &members);
    tokio::time::sleep(Duration::from_secs(1_005)).await;
    handle.stop().await;

    // The screen fills within the first two seconds.
    assert!(probers.iter().all(|prober| prober.starts()[0] <= Duration::from_secs(2)));
    // In every later cadence, a tenth of it holds a tenth of the starts, give or take the jitter.
    for window in [5, 50, 99_u64] {
        let mut tenths = [0_u32; 10];
        for start in probers.iter().flat_map(|prober| prober.starts()) {
            if let Some(inside) =
                start.checked_sub(cadence * window as u32).filter(|inside| *inside < cadence)
            {
                tenths[inside.as_secs() as usize] += 1;
            }
        }
        assert!(tenths.iter().all(|count| (6..=14).contains(count)), "window {window}: {tenths:?}");
    }
    for prober in &probers {
        let starts = prober.starts();
        assert!((100..=102).contains(&starts.len()), "{} starts", starts.len());
        let home = starts[1].as_millis() % 10_000;
        for start in &starts[1..] {
            let off = (start.as_millis() % 10_000).abs_diff(home);
            assert!(off <= 310 || off >= 9_690, "drifted by {off} ms");
        }
    }
}

/// A journey that is longer than its cadence must not be probed twice at once in peace.
#[tokio::test(start_paused = true)]
async fn in_peace_a_long_journey_makes_the_next_one_wait() {
    let clock = clock();
    let prober = Scripted::new(clock, |_, _, _| (millis(2_500), found(Verdict::Up)));
    let (handle, mut outputs) = begin(clock, &[(0, Duration::from_secs(1), Arc::clone(&prober))]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    for pair in prober.starts().windows(2) {
        let gap = pair[1].abs_diff(pair[0]);
        assert!((millis(2_500)..=millis(2_502)).contains(&gap), "{gap:?}");
    }
    assert!(reports(&mut outputs).len() >= 22);
    assert!(handle.lateness().max < millis(5), "waiting for oneself is no lateness");
    handle.stop().await;
}

/// A hung probe must not blind the burst: the next ones start beside it, and what they find is sent in order of end.
#[tokio::test(start_paused = true)]
async fn in_a_burst_health_steps_overlap_and_reports_keep_the_order_of_their_ends() {
    let clock = clock();
    let prober = Scripted::new(clock, |number, _, _| {
        let takes = if number % 2 == 0 { millis(5_000) } else { millis(100) };
        (takes, found(Verdict::Down))
    });
    let (handle, mut outputs) = begin(clock, &[(0, Duration::from_secs(30), Arc::clone(&prober))]);
    tokio::time::sleep(millis(100)).await;
    handle.set_pace(0, BURST);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let starts = prober.starts();
    assert!((38..=42).contains(&starts.len()), "{} starts", starts.len());
    let reports = reports(&mut outputs);
    assert!(reports.len() > 30);
    assert!(reports.windows(2).all(|pair| pair[0].span.end <= pair[1].span.end));
    assert!(reports.windows(2).any(|pair| pair[0].span.start > pair[1].span.start), "nothing overlapped");
    let orders = prober.orders.lock().unwrap().clone();
    assert!(
        !orders[0].burst && orders[1..].iter().all(|order| order.burst && order.fresh && order.health_only)
    );
    handle.stop().await;
}

/// Every probe of a hung platform takes its whole time; the next ones must start all the same.
#[tokio::test(start_paused = true)]
async fn hung_probes_do_not_stop_the_burst() {
    let clock = clock();
    let prober = Scripted::new(clock, |_, _, _| (PATIENCE, found(Verdict::Down)));
    let (handle, _outputs) = begin(clock, &[(0, Duration::from_secs(30), Arc::clone(&prober))]);
    tokio::time::sleep(millis(100)).await;
    handle.set_pace(0, BURST);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(prober.starts().windows(2).all(|pair| pair[1].abs_diff(pair[0]) <= millis(600)));
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hung_probes_of_a_burst_are_bounded() {
    let clock = clock();
    let prober = Scripted::new(clock, |_, _, _| (Duration::from_hours(1), found(Verdict::Down)));
    let (handle, _outputs) = begin(clock, &[(0, Duration::from_secs(30), Arc::clone(&prober))]);
    tokio::time::sleep(millis(100)).await;
    handle.set_pace(0, BURST);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(prober.starts().len(), 42);
    handle.stop().await;
}

/// Two chains of one component at once would disturb what they measure.
#[tokio::test(start_paused = true)]
async fn no_probe_starts_while_a_chain_runs() {
    let clock = clock();
    let gate_held = Arc::new(Mutex::new(Vec::new()));
    let held = Arc::clone(&gate_held);
    let prober = Scripted::new(clock, move |_, order, gate| {
        if order.burst {
            held.lock().unwrap().push(gate.pass());
        }
        (millis(3_000), found(Verdict::Degraded))
    });
    let (handle, _outputs) = begin(clock, &[(0, Duration::from_secs(30), Arc::clone(&prober))]);
    tokio::time::sleep(millis(60)).await;
    handle.set_pace(0, BURST);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(prober.starts().len(), 2, "one in peace, one that took the gate");
    gate_held.lock().unwrap().clear();
    tokio::time::sleep(millis(600)).await;
    assert_eq!(prober.starts().len(), 3);
    handle.stop().await;
}

/// Guarantee 5: a 429 slows its own platform, and nobody else.
#[tokio::test(start_paused = true)]
async fn a_throttled_platform_waits_alone_and_one_component_tries_first() {
    let clock = clock();
    let shared_runs = Arc::new(AtomicUsize::new(0));
    let runs = Arc::clone(&shared_runs);
    let script = move |_: usize, _: Order, _: &Gate| {
        let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        (millis(10), if first { throttled(Some(20)) } else { found(Verdict::Up) })
    };
    let script = Arc::new(script);
    let one = Duration::from_secs(1);
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let script = Arc::clone(&script);
            Scripted::new(clock, move |number, order, gate| script(number, order, gate))
        })
        .collect();
    let other = Scripted::new(clock, |_, _, _| (millis(10), found(Verdict::Up)));
    let mut members: Vec<_> = slow.iter().map(|prober| (0, one, Arc::clone(prober))).collect();
    members.push((1, one, Arc::clone(&other)));
    let (handle, mut outputs) = begin(clock, &members);
    tokio::time::sleep(Duration::from_secs(30)).await;

    let mut starts: Vec<_> = slow.iter().flat_map(|prober| prober.starts()).collect();
    starts.sort();
    let quiet = starts.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max().unwrap();
    assert!((Duration::from_secs(19)..=millis(22_000)).contains(&quiet), "{quiet:?}");
    let resumed = starts.iter().position(|start| *start > Duration::from_secs(19)).unwrap();
    assert!(starts[resumed + 1].abs_diff(starts[resumed]) >= millis(10), "one tries before all others");
    assert!(starts[resumed + 2].abs_diff(starts[resumed + 1]) >= millis(30), "no herd");
    assert!((29..=32).contains(&other.starts().len()), "{}", other.starts().len());
    let mut budgets = Vec::new();
    while let Ok(output) = outputs.try_recv() {
        if let ProbeOutput::Budget { throttled, .. } = output {
            budgets.push(throttled);
        }
    }
    assert_eq!(budgets, [true, false]);
    handle.stop().await;
}

/// What a platform throttled before it died is still probed as a whole, or its outages are missed.
#[tokio::test(start_paused = true)]
async fn a_platform_that_dies_while_it_throttles_is_probed_in_full() {
    let clock = clock();
    let runs = Arc::new(AtomicUsize::new(0));
    let probers: Vec<_> = (0..4)
        .map(|_| {
            let runs = Arc::clone(&runs);
            Scripted::new(clock, move |_, _, _| match runs.fetch_add(1, Ordering::Relaxed) {
                0 => (millis(10), throttled(Some(2))),
                _ => (millis(900), unreachable_now()),
            })
        })
        .collect();
    let members: Vec<_> =
        probers.iter().map(|prober| (0, Duration::from_secs(1), Arc::clone(prober))).collect();
    let (handle, mut outputs) = begin(clock, &members);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let counts: Vec<_> = probers.iter().map(|prober| prober.starts().len()).collect();
    assert!(counts.iter().all(|count| *count >= 14), "{counts:?}");
    let mut budgets = Vec::new();
    while let Ok(output) = outputs.try_recv() {
        if let ProbeOutput::Budget { throttled, .. } = output {
            budgets.push(throttled);
        }
    }
    assert_eq!(budgets, [true, false]);
    handle.stop().await;
}

/// A platform that asks for a wait of nothing must not be asked a hundred times a second.
#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_is_no_leave_to_ask_without_end() {
    let clock = clock();
    let prober = Scripted::new(clock, |_, _, _| (millis(10), throttled(Some(0))));
    let (handle, _outputs) = begin(clock, &[(0, Duration::from_secs(1), Arc::clone(&prober))]);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!((3..=60).contains(&prober.starts().len()), "{} starts", prober.starts().len());
    handle.stop().await;
}

/// A wait of seconds must not cost a component that is probed once a minute its whole minute.
#[tokio::test(start_paused = true)]
async fn a_short_throttle_costs_a_slow_component_no_cadence() {
    let clock = clock();
    let runs = Arc::new(AtomicUsize::new(0));
    let probers: Vec<_> = (0..10)
        .map(|_| {
            let runs = Arc::clone(&runs);
            Scripted::new(clock, move |_, _, _| match runs.fetch_add(1, Ordering::Relaxed) {
                0 => (millis(1), throttled(Some(5))),
                _ => (millis(10), found(Verdict::Up)),
            })
        })
        .collect();
    let members: Vec<_> =
        probers.iter().map(|prober| (0, Duration::from_mins(1), Arc::clone(prober))).collect();
    let (handle, _outputs) = begin(clock, &members);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut after: Vec<_> = probers
        .iter()
        .filter_map(|prober| prober.starts().into_iter().find(|start| *start > Duration::from_secs(5)))
        .collect();
    after.sort();
    assert_eq!(after.len(), 10, "{after:?}");
    assert!(
        after.windows(2).skip(1).all(|pair| pair[1].abs_diff(pair[0]) >= millis(20)),
        "no herd {after:?}"
    );
    handle.stop().await;
}

/// A 503's wait slows its component, but never beyond its cadence, or an outage would not be seen to end.
#[tokio::test(start_paused = true)]
async fn a_503_slows_one_component_up_to_its_cadence() {
    let clock = clock();
    let prober = Scripted::new(clock, |_, _, _| {
        let mut judged = found(Verdict::Down);
        judged.signals.slowed = Some(Duration::from_hours(1));
        (millis(10), judged)
    });
    let (handle, _outputs) = begin(clock, &[(0, Duration::from_secs(5), Arc::clone(&prober))]);
    tokio::time::sleep(millis(100)).await;
    handle.set_pace(0, BURST);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let starts = prober.starts();
    assert!((11..=14).contains(&starts.len()), "{} starts", starts.len());
    assert!(starts.windows(2).all(|pair| pair[1].abs_diff(pair[0]) >= millis(5_000)));
    handle.stop().await;
}

/// A pulled network cable must become no outage of everything; one dead platform must.
#[tokio::test(start_paused = true)]
async fn when_all_platforms_fail_at_one_instant_the_verdict_is_blind() {
    let clock = clock();
    let cut = move |number: usize, _: Order, _: &Gate| {
        (millis(10), if number < 5 { found(Verdict::Up) } else { unreachable_now() })
    };
    let one = Duration::from_secs(1);
    let (left, right) = (Scripted::new(clock, cut), Scripted::new(clock, cut));
    let (handle, mut outputs) = begin(clock, &[(0, one, left), (1, one, right)]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let verdicts: Vec<_> = reports(&mut outputs).iter().map(|report| report.verdict).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Up).count(), 10);
    assert!(verdicts.iter().filter(|verdict| **verdict == Verdict::Down).count() <= 1, "{verdicts:?}");
    assert!(verdicts.iter().filter(|verdict| **verdict == Verdict::Blind).count() > 20);
    handle.stop().await;

    let clock = self::clock();
    let (fallen, well) =
        (Scripted::new(clock, cut), Scripted::new(clock, |_, _, _| (millis(10), found(Verdict::Up))));
    let (handle, mut outputs) = begin(clock, &[(0, one, fallen), (1, one, well)]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let verdicts: Vec<_> = reports(&mut outputs).iter().map(|report| report.verdict).collect();
    assert!(!verdicts.contains(&Verdict::Blind) && verdicts.contains(&Verdict::Down));
    handle.stop().await;
}

/// A runner whose resolver is gone must not open an outage for its one platform, from the first bad verdict on; a name that
/// alone gets no word among others, and one that does not exist, are the platform's.
#[tokio::test(start_paused = true)]
async fn name_resolution_gone_altogether_is_our_own() {
    use crate::probe::{
        doubt::Nameservers,
        resolve::{NoAddress, NoName, Resolver},
    };
    let ask = |host: &str| match host {
        "known" => Ok(vec![std::net::IpAddr::from([127, 0, 0, 1])]),
        _ => Err(NoAddress { why: NoName::NoWord, text: "temporary".to_owned() }),
    };
    for (names, unresolved, verdict) in [
        (vec!["gone.com", "gone.org"], true, Verdict::Blind),
        (vec!["gone"], true, Verdict::Blind),
        (vec!["gone", "known"], true, Verdict::Down),
        (vec!["gone"], false, Verdict::Down),
    ] {
        let clock = clock();
        let names_asked = names.iter().map(|name| (*name).to_owned());
        // No nameserver can be reached.
        let witness = Witness::asking(names_asked, Resolver::asking(ask), Nameservers::At(Vec::new()));
        let fails =
            Scripted::new(clock, move |_, _, _| (millis(10), Judged { unresolved, ..unreachable_now() }));
        let (handle, mut outputs) = begin_beside(clock, &[(0, Duration::from_secs(1), fails)], witness);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let reports = reports(&mut outputs);
        assert!(
            reports.len() >= 4 && reports.iter().all(|one| one.verdict == verdict),
            "{names:?}: {reports:?}"
        );
        if verdict == Verdict::Blind {
            let reason = reports[0].reason.as_deref().unwrap();
            assert!(reason.contains("name resolution seems to be gone"), "{reason}");
        }
        handle.stop().await;
    }
}

/// One dead component on each of two platforms must not hide what the other one does.
#[tokio::test(start_paused = true)]
async fn platforms_with_a_dead_component_each_do_not_hide_each_others_outages() {
    let clock = clock();
    let well = || Scripted::new(clock, |_, _, _| (millis(10), found(Verdict::Up)));
    let long_dead = Scripted::new(clock, |_, _, _| (millis(10), unreachable_now()));
    let dies = Scripted::new(clock, |number, _, _| {
        (millis(10), if number < 5 { found(Verdict::Up) } else { unreachable_now() })
    });
    let one = Duration::from_secs(1);
    let (handle, mut outputs) =
        begin(clock, &[(0, one, long_dead), (0, one, well()), (1, one, dies), (1, one, well())]);
    handle.set_pace(0, BURST);
    handle.set_pace(2, BURST);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut verdicts = Vec::new();
    while let Ok(output) = outputs.try_recv() {
        if let ProbeOutput::Report { place: 0 | 2, report, .. } = output {
            verdicts.push(report.verdict);
        }
    }
    assert!(verdicts.iter().filter(|verdict| **verdict == Verdict::Down).count() > 200, "{verdicts:?}");
    assert!(!verdicts.contains(&Verdict::Blind), "{verdicts:?}");
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn probe_now_probes_at_once_and_the_grid_stays() {
    let clock = clock();
    let prober = Scripted::new(clock, |_, _, _| (millis(10), found(Verdict::Up)));
    let (handle, _outputs) = begin(clock, &[(0, Duration::from_mins(1), Arc::clone(&prober))]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = prober.starts().len();
    handle.probe_now(0);
    tokio::time::sleep(millis(1)).await;
    assert_eq!(prober.starts().len(), before + 1);
    handle.stop().await;
}

/// A thousand components must not shout at once, nor lose a second.
#[tokio::test(start_paused = true)]
async fn a_thousand_components_keep_their_second() {
    let clock = clock();
    let probers: Vec<_> =
        (0..1_000).map(|_| Scripted::new(clock, |_, _, _| (millis(3), found(Verdict::Up)))).collect();
    let members: Vec<_> =
        probers.iter().map(|prober| (0, Duration::from_secs(1), Arc::clone(prober))).collect();
    let (handle, _outputs) = begin(clock, &members);
    tokio::time::sleep(millis(10_500)).await;
    let counts: Vec<_> = probers.iter().map(|prober| prober.starts().len()).collect();
    assert!(counts.iter().all(|count| (10..=12).contains(count)), "{:?}", counts.iter().min());
    assert!(handle.lateness().p99 < millis(10), "{:?}", handle.lateness());
    handle.stop().await;
}
