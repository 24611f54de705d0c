//! Every preset against the simulated platforms: up when all is well, bad when its part fails, and who serves as the
//! platform says it.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, sync::Arc};

use axum::body::Body;
use serde_json::Value;
use tokio::net::TcpListener;
use warroom::{
    clock::{SharedClock, SystemClock},
    config::{model::Component, presets::BUILT_IN},
    domain::{ProbeReport, Verdict},
    platform::Credentials,
    probe::{Client, Journey},
    sim::{Platforms, Scenario},
};

use crate::configs::{document, load, required};

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// The part of the simulated platforms that a preset asks, and whether that part can say of itself that it fails.
const PARTS: [(&str, &str, bool); 19] = [
    ("cxone/bcp-state", "cxone/bcp", false),
    ("cxone/contact-states", "cxone/contacts", false),
    ("cxone/points-of-contact", "cxone/points", true),
    ("cxone/script", "cxone/script", true),
    ("cxone/server-time", "cxone/time", false),
    ("cxone/skill-activity", "cxone/skills", true),
    ("genesys/call-capacity", "genesys/calls", true),
    ("genesys/data-action", "genesys/lookup", true),
    ("genesys/datatable-row", "genesys/datatable", true),
    ("genesys/date", "genesys/date", false),
    ("genesys/edge", "genesys/edge", true),
    ("genesys/emergency-group", "genesys/emergency", true),
    ("genesys/flow", "genesys/flow", true),
    ("genesys/flow-execution", "genesys/execution", true),
    ("genesys/integration", "genesys/integration", true),
    ("genesys/number-routing", "genesys/routing", true),
    ("genesys/queue-observation", "genesys/queue", true),
    ("genesys/trunk", "genesys/trunk", true),
    ("genesys/trunk-in-listing", "genesys/trunk", true),
];

/// The simulated platforms on a port of their own, with every part that is named in this state from the start.
async fn simulate(changes: &[(&str, &str)]) -> SocketAddr {
    let mut scenario = "cycle = \"10m\"\n".to_owned();
    for (target, change) in changes {
        writeln!(scenario, "[[changes]]\nat = \"0s\"\ntarget = \"{target}\"\n{change}").unwrap();
    }
    let scenario = Scenario::parse(&scenario, "test.toml").unwrap_or_else(|error| panic!("{error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(warroom::sim::serve(listener, scenario, clock(), 7));
    address
}

/// The first object that a listing of the simulation names.
async fn first(path: &str, list: &str, key: &str) -> String {
    let scenario = Scenario::parse("", "test.toml").unwrap();
    let request = axum::extract::Request::builder()
        .uri(path)
        .header("host", "127.0.0.1:1")
        .header("accept", "application/json")
        .body(Body::empty())
        .unwrap();
    let answer = Platforms::new(scenario, clock(), 7).answer(request).await.unwrap();
    let bytes = axum::body::to_bytes(answer.into_body(), 1_000_000).await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    body[list][0][key].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// What each variable is in the simulation; any id will do where it is not here.
async fn values() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("trunk_id", first("/genesys/api/v2/telephony/providers/edges/trunks", "entities", "id").await),
        (
            "contact_address",
            first(
                "/cxone/incontactapi/services/v33.0/points-of-contact",
                "pointsOfContact",
                "contactAddress",
            )
            .await,
        ),
        ("state", "warroom".to_owned()),
        ("skill", "4711".to_owned()),
    ])
}

fn component(name: &str, at: SocketAddr, values: &BTreeMap<&str, String>) -> Component {
    let kind = document(name)["kind"].as_str().unwrap().to_owned();
    let mut text = format!(
        "[platforms.p]\nkind = \"{kind}\"\nbase_url = \"http://{at}/{kind}\"\n[[components]]\nid = \"c\"\nplatform = \"p\"\n\
         tier = 2\ntarget_rto = \"2m\"\ncadence = \"30s\"\njourney = [{{ use = \"{name}\" }}]\n[components.vars]\n"
    );
    for var in required(name) {
        let value =
            values.get(var.as_str()).cloned().unwrap_or_else(|| format!("any-{}", var.replace('_', "-")));
        writeln!(text, "{var} = '{value}'").unwrap();
    }
    Component::clone(&load(&text).config.components[0])
}

async fn probe(name: &str, at: SocketAddr, values: &BTreeMap<&str, String>) -> ProbeReport {
    let component = component(name, at, values);
    let client = Client::new(&component.platform, Credentials::default(), clock());
    Journey::new(Arc::new(component), client, clock()).probe().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_preset_is_up_where_all_is_well() {
    let (at, values) = (simulate(&[]).await, values().await);
    for (name, _) in BUILT_IN {
        let report = probe(name, at, &values).await;
        assert_eq!(report.verdict, Verdict::Up, "{name}: {report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_preset_is_bad_where_its_part_fails() {
    assert_eq!(
        PARTS.map(|(name, ..)| name).to_vec(),
        BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );
    let values = values().await;
    let state = |state: &'static str, own: bool| {
        PARTS.iter().filter(move |(_, _, says)| *says || !own).map(move |(_, part, _)| (*part, state))
    };
    let down = simulate(&state("state = \"down\"", false).collect::<Vec<_>>()).await;
    let failing = simulate(&state("state = \"failing\"", true).collect::<Vec<_>>()).await;
    for (name, _, says) in PARTS {
        // A data action that cannot be asked at all is another part's failure.
        let silent = if name == "genesys/data-action" { failing } else { down };
        let report = probe(name, silent, &values).await;
        assert!(report.verdict.is_bad(), "{name}: {report:#?}");
        if says {
            let report = probe(name, failing, &values).await;
            assert!(report.verdict.is_bad(), "{name}: {report:#?}");
        }
    }
}

/// At three in the morning the difference between "the CRM does not answer" and "the CRM has no such record" is the cure.
#[tokio::test]
async fn a_data_action_names_the_operation_that_failed() {
    let values = values().await;
    for (part, wanted) in
        [("genesys/action", "Execute request: "), ("genesys/lookup", "Look up in the response: ")]
    {
        let at = simulate(&[(part, "state = \"failing\"")]).await;
        let report = probe("genesys/data-action", at, &values).await;
        let reason = report.reason.unwrap();
        assert!(reason.contains(wanted), "{reason}");
    }
}

/// A workflow that has failed will not complete: waiting for the end of the polling would only be late.
#[tokio::test]
async fn a_failed_workflow_fails_at_once() {
    let at = simulate(&[("genesys/execution", "state = \"failing\"")]).await;
    let report = probe("genesys/flow-execution", at, &values().await).await;
    let reason = report.reason.unwrap();
    assert!(reason.contains("(was \"FAILED\")"), "{reason}");
    let took = report.steps[1].span.unwrap().length();
    assert!(took < std::time::Duration::from_millis(2_500), "polled for {took:?} of 4 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_is_what_the_platform_says() {
    let values = values().await;
    let well = simulate(&[]).await;
    let away = "served_by = \"us-west-2\"";
    let moved = simulate(&[
        ("genesys/routing", away),
        ("genesys/emergency", away),
        ("cxone/bcp", "served_by = \"prod-us-west-1\""),
        ("genesys/edge", "state = \"failing\""),
    ])
    .await;
    for name in ["genesys/number-routing", "genesys/emergency-group", "cxone/bcp-state", "genesys/edge"] {
        let failover = component(name, well, &values).failover;
        for (at, known) in [(well, &failover.primary), (moved, &failover.secondary)] {
            let served = probe(name, at, &values).await.served_by;
            assert!(
                served.as_ref().is_some_and(|served| known.contains(served)),
                "{name}: {served:?}, {failover:?}"
            );
        }
    }
}

/// A trunk on the second page is not down, but not to be seen: an outage of it would be a false one.
#[tokio::test]
async fn a_trunk_on_another_page_of_the_listing_is_blind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let scenario = Scenario::parse("[platforms.genesys]\ntrunks = 150\n", "test.toml").unwrap();
    tokio::spawn(warroom::sim::serve(listener, scenario, clock(), 7));
    let trunk =
        |number: u32| BTreeMap::from([("trunk_id", format!("7c9e6679-7425-40de-944b-{number:012x}"))]);
    let seen = probe("genesys/trunk-in-listing", at, &trunk(2)).await;
    assert_eq!(seen.verdict, Verdict::Up, "{seen:#?}");
    let hidden = probe("genesys/trunk-in-listing", at, &trunk(120)).await;
    assert_eq!(hidden.verdict, Verdict::Blind, "{hidden:#?}");
    let reason = hidden.reason.unwrap();
    assert!(reason.contains("cannot be seen here: body.pageCount > 1"), "{reason}");
}
