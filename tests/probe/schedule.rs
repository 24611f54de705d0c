//! The schedule on real sockets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use warroom::{
    domain::{ComponentId, Verdict, measurement::Pace},
    probe::{ProbeOutput, Schedule},
};

use crate::{
    server::{Act, Server, answer, ok},
    setup::{at, clock, component, get},
};

fn cleaning(path: &str) -> warroom::config::model::Step {
    let mut step = get("tidy", path);
    step.cleanup = true;
    step
}

/// A good report that waited for its clean-up would tell of the restoration late.
#[tokio::test]
async fn in_a_burst_a_good_report_does_not_wait_for_its_clean_up() {
    let server = Server::start(|asked| if asked.line().contains("tidy") { Act::Hang } else { ok() });
    let one = Arc::new(component(at(server.address), vec![get("ready", "/ready"), cleaning("/tidy")]));
    let (out, mut outputs) = mpsc::channel(16);
    let handle = Schedule::start(&[one], &BTreeMap::new(), &[], &clock(), 1, out);
    let interval = Duration::from_millis(500);
    handle.set_pace(0, Pace { burst: true, interval, fresh: true, health_only: true });
    let output = tokio::time::timeout(Duration::from_millis(1_500), outputs.recv()).await.unwrap().unwrap();
    assert!(
        matches!(&output, ProbeOutput::Report { report, .. } if report.verdict == Verdict::Up && report.burst),
        "{output:?}"
    );
    handle.stop().await;
}

/// What a probe left at the platform must be taken away also when warroom is stopped.
#[tokio::test]
async fn clean_up_under_way_is_finished_when_the_schedule_stops() {
    let server = Server::start(|asked| {
        if asked.line().contains("first") {
            Act::Slowly(Vec::new(), Duration::from_millis(300), answer("200 OK", "", ""))
        } else {
            ok()
        }
    });
    let steps = vec![get("ready", "/ready"), cleaning("/first"), cleaning("/second")];
    let (out, _outputs) = mpsc::channel(16);
    let one = Arc::new(component(at(server.address), steps));
    let handle = Schedule::start(&[one], &BTreeMap::new(), &[], &clock(), 1, out);
    let has_asked = |path: &str| server.asked().iter().any(|asked| asked.line().contains(path));
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while !has_asked("/first") {
        assert!(tokio::time::Instant::now() < end, "clean-up never began");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopping = std::time::Instant::now();
    handle.stop().await;
    assert!(has_asked("/second"));
    assert!(stopping.elapsed() < Duration::from_millis(900), "{:?}", stopping.elapsed());
}

/// A config of nothing to probe must not end the engine.
#[tokio::test]
async fn a_schedule_that_probes_nothing_stays_open_until_it_is_stopped() {
    let one = Arc::new(component(crate::setup::platform("http://127.0.0.1:9"), Vec::new()));
    let (out, mut outputs) = mpsc::channel(16);
    let handle = Schedule::start(&[one], &BTreeMap::new(), &[], &clock(), 1, out);
    assert_eq!(outputs.try_recv(), Err(mpsc::error::TryRecvError::Empty));
    handle.stop().await;
    assert_eq!(outputs.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

/// A thousand components at a second must be probed a thousand times a second, and on time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_components_are_probed_every_second() {
    let server = Server::start(|_| ok());
    let platform = Arc::new(at(server.address));
    let components: Vec<_> = (0..1_000)
        .map(|number| {
            let mut one = component(at(server.address), vec![get("ready", "/ready")]);
            one.id = ComponentId::new(format!("c{number}"));
            one.platform = Arc::clone(&platform);
            Arc::new(one)
        })
        .collect();
    let (out, mut outputs) = mpsc::channel(1_024);
    let handle = Schedule::start(&components, &BTreeMap::new(), &[], &clock(), 1, out);
    let (mut counts, mut other) = (vec![0_u32; 1_000], 0);
    let end = tokio::time::Instant::now() + Duration::from_millis(4_500);
    while let Ok(Some(output)) = tokio::time::timeout_at(end, outputs.recv()).await {
        match output {
            ProbeOutput::Report { place, report, .. } if report.verdict == Verdict::Up => counts[place] += 1,
            _ => other += 1,
        }
    }
    let lateness = handle.lateness();
    handle.stop().await;
    assert_eq!(other, 0, "every probe of a well server is up");
    assert!(
        counts.iter().all(|count| (4..=5).contains(count)),
        "{:?}..{:?}",
        counts.iter().min(),
        counts.iter().max()
    );
    assert!(server.connections() < 100, "{} connections for one origin", server.connections());
    eprintln!("lateness {lateness:?}, {} connections", server.connections());
    // Generous, because other tests run beside this one.
    assert!(lateness.p99 < Duration::from_millis(100), "{lateness:?}");
}

/// Requests that the platform of the next test allows in each of its windows.
const ALLOWED: usize = 10;
const WINDOW: Duration = Duration::from_secs(2);

/// Whoever runs into a limit that the platform tells of is blind until its reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_platform_tells_of_its_quota_slows_before_it_throttles() {
    // The instants of the requests, window by window.
    let windows: Arc<Mutex<Vec<Vec<Instant>>>> = Arc::default();
    let counted = Arc::clone(&windows);
    let server = Server::start(move |_| {
        let now = Instant::now();
        let mut windows = counted.lock().unwrap();
        if windows.last().is_none_or(|window| now - window[0] >= WINDOW) {
            windows.push(Vec::new());
        }
        let window = windows.last_mut().unwrap();
        window.push(now);
        let reset = WINDOW.saturating_sub(now - window[0]).as_secs_f64().ceil();
        let status = if window.len() > ALLOWED { "429 Too Many Requests" } else { "200 OK" };
        let left = ALLOWED.saturating_sub(window.len());
        let headers = format!(
            "ratelimit-limit: {ALLOWED}\r\nratelimit-remaining: {left}\r\nratelimit-reset: {reset}\r\n"
        );
        Act::Send(answer(status, &headers, "{}"))
    });
    let mut one = component(at(server.address), vec![get("ready", "/ready")]);
    // Forty in a window, if nothing slowed it.
    one.cadence = WINDOW / 40;
    let (out, mut outputs) = mpsc::channel(1_024);
    let handle = Schedule::start(&[Arc::new(one)], &BTreeMap::new(), &[], &clock(), 1, out);
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while let Ok(Some(output)) = tokio::time::timeout_at(end, outputs.recv()).await {
        match output {
            ProbeOutput::Report { report, .. } => assert_eq!(report.verdict, Verdict::Up, "{report:?}"),
            ProbeOutput::Budget { throttled, .. } => assert!(!throttled),
            ProbeOutput::Notice { .. } => {}
        }
    }
    handle.stop().await;
    let windows = windows.lock().unwrap();
    assert!(windows.len() >= 2, "after the reset it goes on");
    assert!(windows.iter().all(|window| window.len() <= ALLOWED), "no 429 was met");
    let first = &windows[0];
    assert!(first.len() > ALLOWED / 2, "what is plenty is used: {}", first.len());
    let slowest = first.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(slowest > WINDOW / 40 * 3, "what is left is spread: {slowest:?}");
}
