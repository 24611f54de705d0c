//! The schedule on real sockets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use warroom::{
    domain::{ComponentId, Verdict},
    probe::{ProbeOutput, Schedule},
};

use crate::{
    server::{Server, ok},
    setup::{at, clock, component, get},
};

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
