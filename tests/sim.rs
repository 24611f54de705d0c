//! The simulated platforms: what a probe meets is what the scenario says, when it says it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, Bytes};
use chrono::{DateTime, Utc};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use warroom::{
    clock::Clock,
    domain::Moment,
    sim::{Platforms, Scenario},
};

#[path = "sim/bodies.rs"]
mod bodies;
#[path = "sim/demo.rs"]
mod demo;
#[path = "sim/failover.rs"]
mod failover;
#[path = "sim/limits.rs"]
mod limits;
#[path = "sim/logins.rs"]
mod logins;
#[path = "sim/network.rs"]
mod network;
#[path = "sim/scenarios.rs"]
mod scenarios;
#[path = "sim/shapes.rs"]
mod shapes;
#[path = "sim/sip.rs"]
mod sip;
#[path = "sim/transactions.rs"]
mod transactions;

const FLOW: &str = "/genesys/api/v2/architect/flows/main/versions/v1/status";
const TRUNKS: &str = "/genesys/api/v2/telephony/providers/edges/trunks";
const TRUNK: &str = "/genesys/api/v2/telephony/providers/edges/trunks/use1";
const SITE: &str = "/cxone/platform/v2/sites/prod-us-east-1/health";
const CXONE: &str = "/cxone/incontactapi/services/v33.0";

/// A clock that moves only when the test says so.
#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl HandClock {
    fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn moment(&self) -> Moment {
        Moment::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn wall(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_778_855_520_000 + self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// As far as it came.
    bytes: Bytes,
    /// Whether it ended with an error.
    torn: bool,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The simulated platforms in this process, without a network: latencies pass in virtual time.
struct Simulation {
    platforms: Platforms,
    clock: Arc<HandClock>,
}

impl Simulation {
    fn new(scenario: Scenario) -> Self {
        let clock = Arc::new(HandClock::default());
        Self { platforms: Platforms::new(scenario, clock.clone(), 7), clock }
    }

    fn with(scenario: &str) -> Self {
        Self::new(Scenario::parse(scenario, "test.toml").unwrap_or_else(|error| panic!("{error}")))
    }

    /// An answer; `None` where the connection would be closed.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8650");
        if !headers.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.platforms.answer(request.body(Body::from(body.to_owned())).unwrap()).await?;
        let (parts, mut body) = response.into_parts();
        let (mut bytes, mut torn) = (Vec::new(), false);
        while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => torn = true,
            }
            if torn {
                break;
            }
        }
        Some(Answer { status: parts.status, headers: parts.headers, bytes: bytes.into(), torn })
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await.unwrap()
    }

    async fn get_as(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ask(Method::GET, path, &[("authorization", &bearer)], "").await.unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(Method::POST, path, &[("content-type", "application/json")], body).await.unwrap()
    }

    /// Logs in to Genesys Cloud.
    async fn login(&self, id: &str, secret: &str) -> Answer {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        let headers = [
            ("authorization", &*format!("Basic {basic}")),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.ask(Method::POST, "/genesys/oauth/token", &headers, "grant_type=client_credentials")
            .await
            .unwrap()
    }

    /// A token for Genesys Cloud.
    async fn token(&self) -> String {
        self.login("id", "secret").await.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Logs in to `CXone` with an access key.
    async fn access_key(&self, id: &str, secret: &str) -> Answer {
        let keys = format!(r#"{{"accessKeyId":"{id}","accessKeySecret":"{secret}"}}"#);
        self.post("/cxone/authentication/v1/token/access-key", &keys).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_effect_at_its_time_and_not_a_moment_before() {
    let sim = Simulation::with(
        "[[changes]]\nat = '8s'\ntarget = 'genesys/flow'\nstate = 'down'\nretry_after = '3s'\n\
         [[changes]]\nat = '11s'\ntarget = 'genesys/flow'\nstate = 'up'\nserved_by = 'us-west-2'\n",
    );
    for (millis, status, served_by, retry_after) in [
        (7_999, 200, "us-east-1", None),
        (8_000, 503, "us-east-1", Some("3")),
        (10_999, 503, "us-east-1", Some("3")),
        (11_000, 200, "us-west-2", None),
        (900_000, 200, "us-west-2", None),
    ] {
        sim.clock.set(millis);
        let answer = sim.get(FLOW).await;
        assert_eq!(answer.status, status, "at {millis} ms");
        assert_eq!(answer.header("x-served-by"), Some(served_by), "at {millis} ms");
        assert_eq!(answer.header("retry-after"), retry_after, "at {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_as_a_target_covers_all_of_its_services_and_no_other() {
    let sim = Simulation::with(
        "[[changes]]\nat = '0s'\ntarget = 'genesys'\nstate = 'throttled'\nretry_after = '4s'\n",
    );
    for path in [FLOW, TRUNK, "/genesys/api/v2/date"] {
        let answer = sim.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("4")), "{path}");
        assert_eq!(answer.json()["code"], "too.many.requests.retry.after", "{path}");
    }
    assert_eq!(sim.get("/edge/crm/ready").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn one_trunk_of_a_listing_can_fail_alone() {
    let sim = Simulation::with(
        "[[changes]]\nat = '5s'\ntarget = 'genesys/trunk'\nonly = 'mine'\nstate = 'failing'\n",
    );
    sim.clock.set(5_000);
    let listing = sim.get(TRUNKS).await.json();
    let in_service: Vec<(&str, bool)> = listing["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trunk| (trunk["id"].as_str().unwrap(), trunk["inService"].as_bool().unwrap()))
        .collect();
    let first = "7c9e6679-7425-40de-944b-000000000001";
    assert_eq!(in_service.len(), 4);
    assert_eq!(in_service[..2], [("mine", false), (first, true)]);
    for (id, good) in [("mine", false), (first, true)] {
        assert_eq!(sim.get(&format!("{TRUNKS}/{id}")).await.json()["inService"], good, "{id}");
        let metrics = sim.get(&format!("{TRUNKS}/metrics?trunkIds={id}")).await.json();
        assert_eq!(metrics[0]["calls"]["inboundCallCount"].as_u64().unwrap() > 0, good, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trunk_tells_when_the_platform_saw_it_change() {
    let sim = Simulation::with(
        "cycle = '60s'\n[[changes]]\nat = '20s'\ntarget = 'genesys/trunk'\nstate = 'failing'\n\
         [[changes]]\nat = '31s'\ntarget = 'genesys/trunk'\nstate = 'up'\n",
    );
    for (millis, connected, since) in [
        (10_000, true, "2026-05-14T14:32:00.000Z"),
        (25_000, false, "2026-05-15T14:32:20.000Z"),
        (40_000, true, "2026-05-15T14:32:31.000Z"),
        (70_000, true, "2026-05-15T14:32:31.000Z"),
        (85_000, false, "2026-05-15T14:33:20.000Z"),
        (130_000, true, "2026-05-15T14:33:31.000Z"),
    ] {
        sim.clock.set(millis);
        let trunk = sim.get(TRUNK).await.json();
        assert_eq!(trunk["inService"], connected, "at {millis} ms");
        assert_eq!(trunk["connectedStatus"]["connectedStateTime"], since, "at {millis} ms");
        assert_eq!(trunk["optionsStatus"][0]["optionState"], connected, "at {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_answers_rightly_and_late() {
    let sim = Simulation::with("[[changes]]\nat = '0s'\ntarget = 'wfm'\nstate = 'slow'\nlatency = '300ms'\n");
    let asked = tokio::time::Instant::now();
    let answer = sim.get("/wfm/api/v1/schedules").await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    assert!(answer.json()["shifts"].as_u64().unwrap() > 0);
}

/// The logarithms of latencies in seconds, of so many requests.
async fn latencies(seed: u64, requests: usize) -> Vec<f64> {
    let scenario = "[[changes]]\nat = '0s'\ntarget = 'wfm'\nmedian = '200ms'\nsigma = 0.5\n";
    let scenario = Scenario::parse(scenario, "test.toml").unwrap();
    let platforms = Platforms::new(scenario, Arc::new(HandClock::default()), seed);
    let mut logarithms = Vec::with_capacity(requests);
    for _ in 0..requests {
        let request = Request::builder().uri("/wfm/ready").body(Body::empty()).unwrap();
        let asked = tokio::time::Instant::now();
        assert!(platforms.answer(request).await.is_some());
        logarithms.push(asked.elapsed().as_secs_f64().ln());
    }
    logarithms
}

#[tokio::test(start_paused = true)]
async fn latencies_are_log_normal_with_the_told_median_and_spread_and_follow_the_seed() {
    let found = latencies(7, 3_000).await;
    let count = found.len() as f64;
    let mean = found.iter().sum::<f64>() / count;
    let spread = (found.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count).sqrt();
    // The logarithm of the median is the mean of the logarithms; three standard errors, and a timer's millisecond.
    assert!((mean - 0.2_f64.ln()).abs() < 0.035, "{mean}");
    assert!((spread - 0.5).abs() < 0.03, "{spread}");
    // Normal: two thirds lie within one standard deviation, a twentieth outside two.
    let within =
        |width: f64| found.iter().filter(|one| (*one - mean).abs() < width * spread).count() as f64 / count;
    assert!((within(1.0) - 0.683).abs() < 0.03, "{}", within(1.0));
    assert!((within(2.0) - 0.954).abs() < 0.02, "{}", within(2.0));
    assert_eq!(latencies(7, 50).await, found[..50]);
    assert_ne!(latencies(8, 50).await, found[..50]);
}

#[tokio::test(start_paused = true)]
async fn a_skewed_platform_lies_in_every_date_that_it_gives() {
    let sim = Simulation::with(
        "[[changes]]\nat = '10s'\ntarget = 'genesys'\nskew = '-90s'\n\
         [[changes]]\nat = '10s'\ntarget = 'genesys/trunk'\nstate = 'failing'\n\
         [[changes]]\nat = '10s'\ntarget = 'cxone'\nskew = '2500ms'\n\
         [[changes]]\nat = '10s'\ntarget = 'edge'\nage = '30s'\n",
    );
    sim.clock.set(20_000);
    let date = sim.get("/genesys/api/v2/date").await;
    assert_eq!(date.json()["currentDate"], "2026-05-15T14:30:50.000Z");
    assert_eq!(date.header("date"), Some("Fri, 15 May 2026 14:30:50 GMT"));
    assert_eq!(date.header("age"), None);
    let trunk = sim.get(TRUNK).await.json();
    assert_eq!(trunk["connectedStatus"]["connectedStateTime"], "2026-05-15T14:30:40.000Z");
    let time = sim.get(&format!("{CXONE}/server-time")).await;
    assert_eq!(time.json()["ServerTime"], "2026-05-15T14:32:22.500Z");
    assert_eq!(time.header("date"), Some("Fri, 15 May 2026 14:32:22 GMT"));
    let cached = sim.get("/edge/crm/ready").await;
    assert_eq!(cached.header("age"), Some("30"));
    assert_eq!(cached.header("date"), Some("Fri, 15 May 2026 14:31:50 GMT"));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_nobody_serves_says_so() {
    let sim = Simulation::new(Scenario::default());
    let answer = sim.get("/genesys/api/v2/nothing").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["message"], "the simulated platforms have no GET /genesys/api/v2/nothing");
}
