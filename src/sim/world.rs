//! What all simulated platforms share: the scenario's time, latencies, faults, and the headers of every answer.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{
    StatusCode,
    header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER},
    http::request::Parts,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    scenario::{Condition, Scenario, State},
    service::Service,
};
use crate::{
    clock::SharedClock,
    domain::{Moment, time::Now},
};

/// Marks an answer in whose place the connection is closed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the scenario closes this connection without an answer")]
pub(super) struct Dropped;

/// How long a token is good for.
pub(super) const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// `client.credentials.token.rate.per.minute` of Genesys Cloud; told in headers, not enforced.
const REQUESTS_PER_MINUTE: u64 = 300;
/// Spread of the latencies: the standard deviation of their logarithm.
const LATENCY_SPREAD: f64 = 0.3;
/// No simulated latency is longer, as far as the scenario does not ask for one.
const LONGEST_LATENCY: Duration = Duration::from_millis(80);

/// The state of the simulated platforms.
#[derive(Debug)]
pub(super) struct World {
    scenario: Scenario,
    clock: SharedClock,
    started: Now,
    seed: u64,
    /// Requests so far.
    serial: AtomicU64,
    /// The present minute in the upper half, requests to Genesys Cloud in it in the lower.
    minute: AtomicU64,
}

impl World {
    pub(super) fn new(scenario: Scenario, clock: SharedClock, seed: u64) -> Self {
        let started = clock.now();
        Self { scenario, clock, started, seed, serial: AtomicU64::new(1), minute: AtomicU64::new(0) }
    }

    /// Time since the start.
    fn elapsed(&self) -> Duration {
        let now: Moment = self.clock.moment();
        now.since(self.started.moment)
    }

    /// The wall clock's time so long after the start.
    fn wall_at(&self, elapsed: Duration) -> DateTime<Utc> {
        self.started.wall_at(self.started.moment + elapsed)
    }

    /// Counts a request to Genesys Cloud: how many in this minute, and the seconds until the next.
    fn count_genesys(&self, elapsed: Duration) -> (u64, u64) {
        let minute = elapsed.as_secs() / 60;
        let next = |packed: u64| if packed >> 32 == minute { packed + 1 } else { (minute << 32) | 1 };
        let packed =
            match self.minute.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(next(old))) {
                Ok(before) | Err(before) => next(before),
            };
        (packed & u64::from(u32::MAX), 60 - elapsed.as_secs() % 60)
    }
}

/// One request, as far as all services need to know it.
#[derive(Debug)]
pub(super) struct Visit {
    world: Arc<World>,
    /// The number of this request.
    pub(super) serial: u64,
    /// Time since the start when it came.
    pub(super) elapsed: Duration,
    bearer: Option<String>,
    random: fastrand::Rng,
}

impl FromRequestParts<Arc<World>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Infallible> {
        let serial = world.serial.fetch_add(1, Ordering::Relaxed);
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let random = fastrand::Rng::with_seed(world.seed ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Ok(Self { elapsed: world.elapsed(), world: Arc::clone(world), serial, bearer, random })
    }
}

/// What a service that does answer has to know.
#[derive(Debug)]
pub(super) struct Scene {
    /// Whether it works; otherwise it says in its answer that it does not.
    pub(super) works: bool,
    /// Who serves.
    pub(super) served_by: Arc<str>,
    /// When the service's state last changed; a day before the start when it never did.
    pub(super) since: DateTime<Utc>,
    /// The time of the answer.
    pub(super) now: DateTime<Utc>,
    /// The simulated latency of this answer.
    pub(super) latency: Duration,
    /// For figures in the answer.
    pub(super) random: fastrand::Rng,
}

impl Visit {
    /// How a service is when this request comes.
    pub(super) fn condition(&self, service: Service) -> Condition {
        self.world.scenario.condition(service, self.elapsed)
    }

    /// How a service was at another time after the start.
    pub(super) fn condition_at(&self, service: Service, elapsed: Duration) -> Condition {
        self.world.scenario.condition(service, elapsed)
    }

    /// The wall clock's time so long after the start.
    pub(super) fn wall_at(&self, elapsed: Duration) -> DateTime<Utc> {
        self.world.wall_at(elapsed)
    }

    /// A token of this simulation for a platform.
    pub(super) fn token(&self, platform: &str) -> String {
        format!("simulated-{platform}-{}", self.elapsed.as_secs())
    }

    /// Answers for a service: late, with a fault, or with what `content` says.
    pub(super) async fn answer(
        mut self,
        service: Service,
        content: impl FnOnce(&mut Scene) -> Response + Send,
    ) -> Response {
        let condition = self.condition(service);
        let usual = latency(&mut self.random, service.median_latency());
        let extra = if let State::Slow { latency } = condition.state { latency } else { Duration::ZERO };
        tokio::time::sleep(usual + extra).await;
        let served_by = condition.served_by.unwrap_or_else(|| Arc::from(service.served_by()));
        let mut scene = Scene {
            works: condition.state != State::Failing,
            served_by: Arc::clone(&served_by),
            since: self.wall_at(condition.since.unwrap_or_default())
                - chrono::TimeDelta::days(i64::from(condition.since.is_none())),
            now: self.world.clock.wall(),
            latency: usual + extra,
            random: self.random.clone(),
        };
        let mut response = match condition.state {
            State::Refused => {
                let mut marked = Response::new(Body::empty());
                marked.extensions_mut().insert(Dropped);
                return marked;
            }
            State::Throttled { retry_after } => throttled(service, retry_after),
            State::Down { status, retry_after } => down(service, status, retry_after),
            _ if self.lacks_login(service) => unauthorized(),
            State::Up | State::Failing | State::Slow { .. } => content(&mut scene),
        };
        self.sign(&mut response, service, &served_by, scene.now);
        response
    }

    /// Whether this request needs a token that it does not carry.
    fn lacks_login(&self, service: Service) -> bool {
        let platform = service.platform();
        let guarded = matches!(platform, "genesys" | "cxone")
            && !matches!(service, Service::GenesysLogin | Service::CxoneLogin);
        if !guarded || !self.world.scenario.demands_login() {
            return false;
        }
        let issued = self
            .bearer
            .as_deref()
            .and_then(|token| token.strip_prefix("simulated-")?.strip_prefix(platform)?.strip_prefix('-'))
            .and_then(|issued| issued.parse::<u64>().ok().map(Duration::from_secs));
        issued.is_none_or(|issued| self.elapsed.checked_sub(issued).is_none_or(|age| age >= TOKEN_LIFE))
    }

    /// Adds the headers that every answer of the platform carries.
    fn sign(&mut self, response: &mut Response, service: Service, served_by: &str, now: DateTime<Utc>) {
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        };
        put("x-served-by", served_by.to_owned());
        put("date", httpdate::fmt_http_date(SystemTime::from(now)));
        if service.platform() == "genesys" {
            let (count, reset) = self.world.count_genesys(self.elapsed);
            put("inin-ratelimit-count", count.to_string());
            put("inin-ratelimit-allowed", REQUESTS_PER_MINUTE.to_string());
            put("inin-ratelimit-reset", reset.to_string());
            let id = Uuid::from_u64_pair(self.random.u64(..), self.random.u64(..));
            put("inin-correlation-id", id.to_string());
        }
    }
}

/// A log-normal latency around a median.
fn latency(random: &mut fastrand::Rng, median: Duration) -> Duration {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
    median.mul_f64((normal * LATENCY_SPREAD).exp()).min(LONGEST_LATENCY)
}

fn throttled(service: Service, retry_after: Option<Duration>) -> Response {
    let seconds = retry_after.unwrap_or_default().as_secs();
    let body = match service.platform() {
        "genesys" => json!({
            "message": format!("Rate limit exceeded the maximum. Retry the request in [{seconds}] seconds"),
            "code": "too.many.requests.retry.after",
            "status": 429,
            "details": [],
            "errors": [],
            "limit": {
                "key": "client.credentials.token.rate.per.minute",
                "namespace": "platform.api",
                "value": REQUESTS_PER_MINUTE,
            },
        }),
        _ => json!({ "message": "too many requests", "status": 429 }),
    };
    fault(StatusCode::TOO_MANY_REQUESTS, retry_after, body)
}

fn down(service: Service, status: u16, retry_after: Option<Duration>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let code = status.canonical_reason().unwrap_or("error").to_lowercase().replace(' ', ".");
    let message = format!("{} cannot answer at present", service.name());
    fault(status, retry_after, json!({ "message": message, "code": code, "status": status.as_u16() }))
}

fn unauthorized() -> Response {
    let message = "No authentication bearer token specified in authorization header.";
    let body = json!({ "message": message, "code": "authentication.required", "status": 401 });
    (StatusCode::UNAUTHORIZED, Json(body)).into_response()
}

fn fault(status: StatusCode, retry_after: Option<Duration>, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Some(wait) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

/// A wrong request, in the words of Genesys Cloud.
pub(super) fn wrong(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "message": message, "code": code, "status": status.as_u16() }))).into_response()
}

/// A time as the platforms write it.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
