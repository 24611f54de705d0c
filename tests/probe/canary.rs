//! Whether a failure is taken for our own network's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use url::Url;
use warroom::{
    domain::{ProbeReport, Verdict},
    probe::{ProbeOutput, Schedule, doubt::Canary},
};

use crate::{
    server::{Act, Server, answer, ok},
    setup::{at, clock, component, get},
};

async fn gone() -> std::net::SocketAddr {
    let server = Server::start(|_| ok());
    let address = server.address;
    server.stop().await;
    address
}

async fn first_report(canary: &[Url], platform: std::net::SocketAddr) -> ProbeReport {
    let one = Arc::new(component(at(platform), vec![get("ready", "/")]));
    let (out, mut outputs) = mpsc::channel(16);
    let handle = Schedule::start(&[one], &BTreeMap::new(), canary, &clock(), 1, out);
    let output = tokio::time::timeout(Duration::from_secs(5), outputs.recv()).await.unwrap().unwrap();
    handle.stop().await;
    match output {
        ProbeOutput::Report { report, .. } => *report,
        other => panic!("{other:?}"),
    }
}

fn url(address: std::net::SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).unwrap()
}

/// Any answer of any canary proves a way out; a whole list that is silent is our own network's silence.
#[tokio::test]
async fn a_transport_failure_is_believed_only_while_a_canary_answers() {
    let well = Server::start(|_| Act::Send(answer("500 Oops", "", "")));
    let (dead, platform) = (url(gone().await), gone().await);
    let report = first_report(&[dead.clone(), url(well.address)], platform).await;
    assert_eq!(report.verdict, Verdict::Down);
    let report = first_report(&[dead], platform).await;
    assert_eq!(report.verdict, Verdict::Blind);
    assert_eq!((report.health_passed, report.evidence), (None, report.span));
    let reason = report.reason.unwrap();
    assert!(reason.starts_with("ready: connection refused; no canary answers"), "{reason}");
}

/// An HTTP answer is believed, whatever the canaries say.
#[tokio::test]
async fn an_answer_is_never_doubted() {
    let broken = Server::start(|_| Act::Send(answer("500 Oops", "", "")));
    let report = first_report(&[url(gone().await)], broken.address).await;
    assert_eq!(report.verdict, Verdict::Down);
}

/// A burst of failures must not become a burst against the canary.
#[tokio::test]
async fn one_look_serves_a_second_of_failures() {
    let well = Server::start(|_| ok());
    let canary = Canary::new(&[url(well.address)]);
    for _ in 0..20 {
        assert!(!canary.accuses_us().await);
    }
    assert_eq!(well.asked().len(), 1);
}

/// Failures beside a canary that swallows everything must not queue for seconds each, to be judged by a network that is
/// back by then.
#[tokio::test]
async fn one_look_at_a_silent_canary_serves_all_that_fail_meanwhile() {
    let silent = Server::start(|_| Act::Hang);
    let canary = Canary::new(&[url(silent.address)]);
    let begun = std::time::Instant::now();
    let asks = (0..5_u32).map(|number| {
        let canary = Arc::clone(&canary);
        async move {
            tokio::time::sleep(Duration::from_millis(300) * number).await;
            canary.accuses_us().await
        }
    });
    assert_eq!(futures_util::future::join_all(asks).await, [true; 5]);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(silent.asked().len(), 1);
}

/// A canary that is mistyped must not hide every outage for good: one platform that answers proves our network.
#[tokio::test]
async fn a_dead_canary_is_told_of_and_ignored() {
    let well = Server::start(|_| ok());
    let mut other = at(gone().await);
    other.id = warroom::domain::PlatformId::new("other");
    let components = [
        Arc::new(component(at(well.address), vec![get("ready", "/")])),
        Arc::new(component(other, vec![get("ready", "/")])),
    ];
    let (out, mut outputs) = mpsc::channel(16);
    let dead = url(gone().await);
    let handle =
        Schedule::start(&components, &BTreeMap::new(), std::slice::from_ref(&dead), &clock(), 1, out);
    let (mut told, mut down) = (false, false);
    let end = tokio::time::Instant::now() + Duration::from_secs(15);
    while !(told && down) {
        let output = tokio::time::timeout_at(end, outputs.recv()).await;
        match output.unwrap_or_else(|_| panic!("told {told}, down {down}")).unwrap() {
            ProbeOutput::Notice { standing, text, .. } => {
                assert!(standing && text.contains(dead.as_str()), "{text}");
                told = true;
            }
            ProbeOutput::Report { place: 1, report, .. } => down |= report.verdict == Verdict::Down,
            _ => {}
        }
    }
    handle.stop().await;
}
