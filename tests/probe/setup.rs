//! Components made by hand, as the config room would make them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use url::Url;
use warroom::{
    clock::{SharedClock, SystemClock},
    config::{
        model::{Action, Component, HttpAction, Platform, PlatformKind, Step},
        template::Template,
    },
    domain::{ComponentId, PlatformId, ProbeReport, Tier},
    platform::Credentials,
    probe::{
        Budget, Client, Journey, Order,
        journey::{Gate, Judged},
    },
};

pub(crate) fn platform(base: &str) -> Platform {
    Platform {
        id: PlatformId::new("edge"),
        kind: PlatformKind::Http,
        base_url: Url::parse(base).unwrap(),
        headers: Vec::new(),
        bearer: None,
        rate_limit: None,
        login: None,
        ca_file: None,
    }
}

pub(crate) fn at(address: SocketAddr) -> Platform {
    platform(&format!("http://{address}"))
}

pub(crate) fn step(name: &str, action: Action) -> Step {
    Step {
        name: Arc::from(name),
        action,
        expect: Vec::new(),
        capture: Vec::new(),
        retry: None,
        retry_while: None,
        parallel: false,
        cleanup: false,
        timeout: Duration::from_secs(2),
        onset_at: None,
        restored_at: None,
        shared: None,
        requires: warroom::config::presets::Requirement::default(),
    }
}

pub(crate) fn request(method: &str, url: &str) -> HttpAction {
    HttpAction {
        method: hyper::Method::from_bytes(method.as_bytes()).unwrap(),
        url: Template::parse(url),
        headers: Vec::new(),
        body: None,
    }
}

pub(crate) fn get(name: &str, url: &str) -> Step {
    step(name, Action::Http(request("GET", url)))
}

pub(crate) fn tcp(name: &str, target: &str) -> Step {
    step(name, Action::Tcp(Template::parse(target)))
}

pub(crate) fn component(platform: Platform, journey: Vec<Step>) -> Component {
    let health = journey.iter().position(|step| !matches!(step.action, Action::Unsupported { .. }));
    Component {
        id: ComponentId::new("c"),
        name: Arc::from("C"),
        platform: Arc::new(platform),
        tier: Tier::One,
        target_rto: Duration::from_mins(1),
        cadence: Duration::from_secs(1),
        burst: Duration::from_millis(500),
        vars: BTreeMap::new(),
        depends_on: Vec::new(),
        failover: warroom::config::model::Failover::default(),
        journey,
        health_step: health,
    }
}

pub(crate) fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

pub(crate) fn journey(component: Component) -> Arc<Journey> {
    journey_with(component, Credentials::default())
}

pub(crate) fn journey_with(component: Component, credentials: Credentials) -> Arc<Journey> {
    let client = Client::new(&component.platform, credentials, clock());
    Journey::new(Arc::new(component), client, clock())
}

/// One run in peace, on connections of earlier probes where there are any.
pub(crate) async fn peace(journey: &Journey) -> ProbeReport {
    judged(journey, Order::default()).await.report.unwrap()
}

pub(crate) async fn judged(journey: &Journey, order: Order) -> Judged {
    judged_through(journey, order, &Gate::default()).await
}

pub(crate) async fn judged_through(journey: &Journey, order: Order, gate: &Gate) -> Judged {
    journey.judge(order, gate, Budget::new(None).purse()).await
}

pub(crate) async fn once(platform: Platform, journey_steps: Vec<Step>) -> ProbeReport {
    journey(component(platform, journey_steps)).probe().await
}
