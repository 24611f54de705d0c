//! The simulated platforms through real HTTP: what a probe meets is what the scenario says, when it says it.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use warroom::{
    clock::Clock,
    domain::Moment,
    expression::Expression,
    sim::{self, Scenario, scenario::State, service::Service},
};

const FLOW: &str = "/genesys/api/v2/architect/flows/main/versions/v1/status";
const TRUNK: &str = "/genesys/api/v2/telephony/providers/edges/trunks/use1";

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

/// The simulated platforms on a free port.
struct Simulation {
    address: SocketAddr,
    clock: Arc<HandClock>,
    server: JoinHandle<std::convert::Infallible>,
    client: reqwest::Client,
}

impl Simulation {
    async fn start(scenario: Scenario) -> Self {
        // Another test of this process may have installed it first, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(HandClock::default());
        let server = tokio::spawn(sim::serve(listener, scenario, clock.clone(), 7));
        Self { address, clock, server, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn with(scenario: &str) -> Self {
        Self::start(Scenario::parse(scenario, "test.toml").unwrap()).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, path).body(body).send().await.unwrap()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_flow_runs_for_a_moment_and_then_has_completed() {
    let sim = Simulation::start(Scenario::default()).await;
    let launched =
        sim.post("/genesys/api/v2/flows/executions", r#"{"flowId":"main","flowVersion":"v1"}"#).await;
    assert_eq!(launched.status(), 200);
    let id = body(launched).await["id"].as_str().unwrap().to_owned();
    let execution = format!("/genesys/api/v2/flows/executions/{id}");
    assert_eq!(body(sim.get(&execution).await).await["status"], "RUNNING");
    sim.clock.set(400);
    let ended = body(sim.get(&execution).await).await;
    assert_eq!(ended["status"], "COMPLETED");
    assert!(ended["dateCompleted"].as_str().unwrap() > ended["dateLaunched"].as_str().unwrap());
}

#[tokio::test]
async fn an_execution_that_nobody_launched_is_not_found() {
    let sim = Simulation::start(Scenario::default()).await;
    sim.clock.set(60_000);
    for id in ["nonsense", "00000000-0000-0000-0000-000000000000", "00000000-0000-1000-0000-0000ffffffff"] {
        assert_eq!(sim.get(&format!("/genesys/api/v2/flows/executions/{id}")).await.status(), 404, "{id}");
    }
    assert_eq!(sim.post("/genesys/api/v2/flows/executions", "{}").await.status(), 400);
}

#[tokio::test]
async fn a_transaction_may_fail_while_the_platform_calls_itself_healthy() {
    let sim =
        Simulation::with("[[changes]]\nat = '1s'\ntarget = 'genesys/execution'\nstate = 'failing'\n").await;
    sim.clock.set(1_000);
    assert_eq!(body(sim.get(FLOW).await).await["healthCheck"]["result"], "PASS");
    let id =
        body(sim.post("/genesys/api/v2/flows/executions", r#"{"flowId":"main"}"#).await).await["id"].clone();
    sim.clock.set(2_000);
    let ended =
        body(sim.get(&format!("/genesys/api/v2/flows/executions/{}", id.as_str().unwrap())).await).await;
    assert_eq!(ended["status"], "FAILED");
    assert!(ended["flowErrorInfo"]["message"].is_string());
}

#[tokio::test]
async fn a_change_takes_effect_at_its_time_and_not_a_moment_before() {
    let sim = Simulation::with(
        "[[changes]]\nat = '8s'\ntarget = 'genesys/flow'\nstate = 'down'\nretry_after = '3s'\n\
         [[changes]]\nat = '11s'\ntarget = 'genesys/flow'\nstate = 'up'\nserved_by = 'us-west-2'\n",
    )
    .await;
    for (millis, status, served_by, retry_after) in [
        (7_999, 200, "us-east-1", None),
        (8_000, 503, "us-east-1", Some("3")),
        (10_999, 503, "us-east-1", Some("3")),
        (11_000, 200, "us-west-2", None),
        (900_000, 200, "us-west-2", None),
    ] {
        sim.clock.set(millis);
        let answer = sim.get(FLOW).await;
        assert_eq!(answer.status(), status, "at {millis} ms");
        assert_eq!(header(&answer, "x-served-by"), Some(served_by), "at {millis} ms");
        assert_eq!(header(&answer, "retry-after"), retry_after, "at {millis} ms");
    }
}

#[tokio::test]
async fn a_platform_as_a_target_covers_all_of_its_services_and_no_other() {
    let sim = Simulation::with(
        "[[changes]]\nat = '0s'\ntarget = 'genesys'\nstate = 'throttled'\nretry_after = '4s'\n",
    )
    .await;
    for path in [FLOW, TRUNK, "/genesys/api/v2/date"] {
        let answer = sim.get(path).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, Some("4")), "{path}");
        assert_eq!(body(answer).await["code"], "too.many.requests.retry.after", "{path}");
    }
    assert_eq!(sim.get("/edge/crm/ready").await.status(), 200);
}

#[tokio::test]
async fn a_refused_request_gets_no_answer_at_all() {
    let sim = Simulation::with("[[changes]]\nat = '0s'\ntarget = 'wfm'\nstate = 'refused'\n").await;
    let error = sim.request(Method::GET, "/wfm/ready").send().await.unwrap_err();
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    assert_eq!(sim.get("/wem/dashboard").await.status(), 200);
}

#[tokio::test]
async fn a_slow_service_answers_rightly_and_late() {
    let sim =
        Simulation::with("[[changes]]\nat = '0s'\ntarget = 'wfm'\nstate = 'slow'\nlatency = '300ms'\n").await;
    let asked = Instant::now();
    let answer = sim.get("/wfm/api/v1/schedules").await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    assert!(body(answer).await["shifts"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_trunk_tells_when_the_platform_saw_it_change() {
    let sim = Simulation::with(
        "cycle = '60s'\n[[changes]]\nat = '20s'\ntarget = 'genesys/trunk'\nstate = 'failing'\n\
         [[changes]]\nat = '31s'\ntarget = 'genesys/trunk'\nstate = 'up'\n",
    )
    .await;
    for (millis, connected, since) in [
        (10_000, true, "2026-05-14T14:32:00.000Z"),
        (25_000, false, "2026-05-15T14:32:20.000Z"),
        (40_000, true, "2026-05-15T14:32:31.000Z"),
        (70_000, true, "2026-05-15T14:32:31.000Z"),
        (85_000, false, "2026-05-15T14:33:20.000Z"),
        (130_000, true, "2026-05-15T14:33:31.000Z"),
    ] {
        sim.clock.set(millis);
        let trunk = body(sim.get(TRUNK).await).await;
        assert_eq!(trunk["inService"], connected, "at {millis} ms");
        assert_eq!(trunk["connectedStatus"]["connectedStateTime"], since, "at {millis} ms");
        assert_eq!(trunk["optionsStatus"][0]["optionState"], connected, "at {millis} ms");
    }
}

#[tokio::test]
async fn a_login_is_asked_for_only_where_the_scenario_says_so() {
    let sim = Simulation::with("demand_login = true\n").await;
    let site = "/cxone/platform/v2/sites/prod-us-east-1/health";
    for path in [FLOW, site] {
        assert_eq!(sim.get(path).await.status(), 401, "{path}");
    }
    assert_eq!(sim.get("/edge/crm/ready").await.status(), 200);
    let issued = body(sim.post("/genesys/oauth/token", "grant_type=client_credentials").await).await;
    let keys = r#"{"accessKeyId":"synthetic","accessKeySecret":"synthetic"}"#;
    let cxone = body(sim.post("/cxone/authentication/v1/token/access-key", keys).await).await;
    let asks = async |path: &str, token: &Value| {
        let token = format!("Bearer {}", token.as_str().unwrap());
        sim.request(Method::GET, path).header("authorization", token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(asks(FLOW, &issued["access_token"]).await, 200);
    assert_eq!(asks(site, &cxone["access_token"]).await, 200);
    assert_eq!(asks(site, &issued["access_token"]).await, 401, "a token of the other platform");
    sim.clock.set(3_600_000);
    assert_eq!(asks(FLOW, &issued["access_token"]).await, 401, "a token past its time");
}

#[tokio::test]
async fn genesys_tells_its_rate_limit_and_counts_by_the_minute() {
    let sim = Simulation::start(Scenario::default()).await;
    for count in ["1", "2"] {
        let answer = sim.get(FLOW).await;
        assert_eq!(header(&answer, "inin-ratelimit-count"), Some(count));
        assert_eq!(header(&answer, "inin-ratelimit-allowed"), Some("300"));
        assert_eq!(header(&answer, "inin-ratelimit-reset"), Some("60"));
        assert!(header(&answer, "inin-correlation-id").is_some());
        assert_eq!(header(&answer, "date"), Some("Fri, 15 May 2026 14:32:00 GMT"));
    }
    sim.clock.set(61_000);
    assert_eq!(header(&sim.get(FLOW).await, "inin-ratelimit-count"), Some("1"));
}

#[tokio::test]
async fn a_script_gives_a_contact_that_can_be_ended() {
    let sim = Simulation::start(Scenario::default()).await;
    let services = "/cxone/incontactapi/services/v33.0";
    let start = format!("{services}/scripts/start?skillId=4711&scriptPath=synthetic%5Crto-check");
    let started = sim.post(&start, "").await;
    assert_eq!(started.status(), 202);
    let contact = body(started).await["contactId"].as_u64().unwrap();
    assert_eq!(sim.post(&format!("{services}/contacts/{contact}/end"), "").await.status(), 202);
    assert_eq!(sim.post(&format!("{services}/contacts/{}/end", contact + 1_000), "").await.status(), 404);
    assert_eq!(sim.post(&format!("{services}/scripts/start?skillId=4711"), "").await.status(), 400);
}

#[tokio::test]
async fn a_web_page_elsewhere_cannot_reach_the_simulation_through_a_name() {
    let sim = Simulation::start(Scenario::default()).await;
    for (host, status) in [("rebound.example.com", "421"), ("localhost", "200"), ("127.0.0.1:80", "200")] {
        let mut stream = TcpStream::connect(sim.address).await.unwrap();
        let request = format!("GET /edge/crm/ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_body_over_the_platforms_limit_is_refused() {
    let sim = Simulation::start(Scenario::default()).await;
    // One byte too many, and no more: an answer to a body that is still on its way may be lost with the connection.
    let body = vec![b' '; 512_001];
    assert_eq!(sim.post("/genesys/api/v2/flows/executions", body).await.status(), 413);
}

#[tokio::test]
async fn the_listener_and_its_connections_end_with_the_server() {
    let sim = Simulation::start(Scenario::default()).await;
    let mut kept = TcpStream::connect(sim.address).await.unwrap();
    assert_eq!(sim.get("/edge/crm/ready").await.status(), 200);
    sim.server.abort();
    let mut rest = Vec::new();
    // A reset says the same as an end.
    let ended = tokio::time::timeout(Duration::from_secs(5), kept.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the open connection outlived its server");
    assert!(TcpStream::connect(sim.address).await.is_err(), "the port still listens");
}

/// The demo must not begin with an outage that nobody wrote: in peace every step of every journey passes.
#[tokio::test]
async fn every_step_of_the_demo_is_answered_in_peace() {
    let sim = Simulation::start(sim::demo_scenario().unwrap()).await;
    let config: toml::Table = sim::demo_config(sim.address).parse().unwrap();
    let components = config["components"].as_array().unwrap();
    assert_eq!(components.len(), 12);
    let mut steps = 0;
    for component in components {
        let platform = &config["platforms"][component["platform"].as_str().unwrap()];
        let mut vars = component.get("vars").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for step in component["journey"].as_array().unwrap() {
            let (method, path) = ["get", "post"]
                .into_iter()
                .find_map(|method| Some((method, step.get(method)?.as_str().unwrap())))
                .unwrap();
            let filled = vars.iter().fold(path.to_owned(), |path, (name, value)| {
                let value = value.as_str().unwrap().replace('\\', "%5C");
                path.replace(&format!("{{{name}}}"), &value)
            });
            assert!(!filled.contains('{'), "{filled}");
            let url = format!("{}{filled}", platform["base_url"].as_str().unwrap());
            let request = sim.client.request(method.to_uppercase().parse().unwrap(), &url);
            let json = step.get("json").map(|json| serde_json::to_string(json).unwrap()).unwrap_or_default();
            let answer = request.body(json).send().await.unwrap();
            assert!(answer.status().is_success(), "{url}: {}", answer.status());
            let text = answer.text().await.unwrap();
            for (name, source) in step.get("capture").and_then(toml::Value::as_table).into_iter().flatten() {
                let key = source.as_str().unwrap().trim_start_matches("body.");
                let value = serde_json::from_str::<Value>(&text).unwrap()[key].clone();
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                vars.insert(name.clone(), toml::Value::String(value));
            }
            for expectation in step["expect"].as_array().unwrap() {
                Expression::compile(expectation.as_str().unwrap()).unwrap();
            }
            steps += 1;
        }
    }
    assert!(steps > 24, "{steps}");
}

#[test]
fn the_demo_tells_the_story_that_it_promises() {
    let scenario = sim::demo_scenario().unwrap();
    let at = |seconds: u64, service| scenario.condition(service, Duration::from_secs(seconds));
    let cycle = scenario.cycle().unwrap().as_secs();
    for start in [0, cycle, 40 * cycle] {
        for service in Service::ALL {
            assert_eq!(at(start, service).state, State::Up, "{} at {start} s", service.name());
            assert_eq!(at(start, service).served_by, None, "{} at {start} s", service.name());
        }
        let flow = at(start + 9, Service::GenesysFlow);
        assert_eq!(flow.state, State::Down { status: 503, retry_after: None });
        let moved = at(start + 12, Service::GenesysFlow);
        assert_eq!((moved.state, moved.served_by.as_deref()), (State::Up, Some("us-west-2")));
        assert_eq!(at(start + 12, Service::GenesysExecution).state, State::Failing);
        assert_eq!(at(start + 30, Service::GenesysExecution).state, State::Up);
        assert!(matches!(
            at(start + 20, Service::WemDashboard).state,
            State::Throttled { retry_after: Some(_) }
        ));
        assert_eq!(at(start + 40, Service::EdgeContacts).state, State::Failing);
        assert_eq!(at(start + 40, Service::EdgeCrm).state, State::Up);
        assert_eq!(at(start + 40, Service::EdgeAgent).state, State::Up);
        let away =
            (0..cycle).filter(|second| at(start + second, Service::GenesysTrunk).state == State::Failing);
        assert!(away.count() > 20, "the trunk's target of 20 s is not violated");
    }
}

#[test]
fn the_documented_example_is_a_scenario() {
    let source = include_str!("../src/sim/scenario.rs");
    let example: String = source
        .lines()
        .skip_while(|line| *line != "//! ```toml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .flat_map(|line| [line.trim_start_matches("//!").trim_start(), "\n"])
        .collect();
    let scenario = Scenario::parse(&example, "example").unwrap();
    assert_eq!(scenario.cycle(), Some(Duration::from_mins(3)));
    let wem = scenario.condition(Service::WemDashboard, Duration::from_secs(19));
    assert_eq!(wem.state, State::Throttled { retry_after: Some(Duration::from_secs(4)) });
}

#[test]
fn everything_that_is_wrong_with_a_scenario_is_told_at_once_and_with_its_place() {
    let text = r#"cycle = "1m"
demand_login = "yes"
speed = 2
[[changes]]
at = "5s"
target = "genesys/flows"
state = "down"
[[changes]]
target = "wem"
state = "throttled"
retry_after = "1500ms"
status = 503
[[changes]]
at = "2m"
target = "wem"
[[changes]]
at = 5
target = "wfm"
state = "slow"
[[changes]]
at = "6s"
target = "edge"
state = "gone"
served_by = "us west"
[[changes]]
at = "7s"
target = "edge"
state = "down"
status = 404
"#;
    let error = Scenario::parse(text, "drill.toml").unwrap_err();
    let told = error.to_string();
    let expected = [
        "drill.toml:2: `demand_login` must be true or false",
        "drill.toml:3: a scenario has no key `speed`; it knows cycle, demand_login, changes",
        "drill.toml:6: `target` is \"genesys/flows\"; it must be one of archive, archive/exports,",
        "drill.toml:8: `at` is missing in this change",
        "drill.toml:11: `retry_after` must be whole seconds",
        "drill.toml:12: `status` belongs to state \"down\", not to throttled",
        "drill.toml:13: a change needs `state` or `served_by`; it has neither",
        "drill.toml:14: `at` lies after the end of `cycle`",
        "drill.toml:17: `at` must be a duration",
        "drill.toml:19: state \"slow\" needs `latency`",
        "drill.toml:23: `state` is \"gone\"; it must be one of up, down, failing, refused, throttled, slow",
        "drill.toml:24: `served_by` goes into a header",
        "drill.toml:29: `status` must be a whole number from 500 to 599",
    ];
    for (told, expected) in told.lines().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nshould begin with\n{expected}");
    }
    assert_eq!(error.findings.len(), expected.len(), "{told}");
    let broken = Scenario::parse("cycle = \n", "drill.toml").unwrap_err().to_string();
    assert!(broken.starts_with("drill.toml:1: this is not TOML: "), "{broken}");
}

#[tokio::test]
async fn a_path_that_nobody_serves_says_so() {
    let sim = Simulation::start(Scenario::default()).await;
    let answer = sim.get("/genesys/api/v2/nothing").await;
    assert_eq!(answer.status(), 404);
    let expected = json!("the simulated platforms have no GET /genesys/api/v2/nothing");
    assert_eq!(body(answer).await["message"], expected);
}
