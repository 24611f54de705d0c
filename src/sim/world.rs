//! What all simulated platforms share: the scenario's time, logins, limits, latencies, and the headers of every answer.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{body::Body, extract::FromRequestParts, response::Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hyper::{
    header::{AUTHORIZATION, HeaderName, HeaderValue},
    http::request::Parts,
};
use uuid::Uuid;

use super::{
    Asked, Dropped, faults,
    limits::{Limits, Used},
    records::Records,
    scenario::{Condition, Scenario, Settings, State},
    service::Service,
    spoil::spoil,
    tokens::{Kind, Mint, Token, basic},
};
use crate::{clock::SharedClock, domain::time::Now};

/// The usual spread of the latencies: the standard deviation of their logarithm.
const USUAL_SIGMA: f64 = 0.3;
/// No latency is longer where the scenario does not change it, so that the demo's story is the scenario's alone.
const LONGEST_USUAL: Duration = Duration::from_millis(80);
/// No latency is longer, whatever the scenario says.
const LONGEST: Duration = Duration::from_mins(1);

/// The state of the simulated platforms.
#[derive(Debug)]
pub(super) struct World {
    scenario: Scenario,
    clock: SharedClock,
    started: Now,
    mint: Mint,
    /// Requests so far.
    serial: AtomicU64,
    limits: Limits,
    records: Records,
}

impl World {
    pub(super) fn new(scenario: Scenario, clock: SharedClock, seed: u64) -> Self {
        let started = clock.now();
        Self {
            scenario,
            clock,
            started,
            mint: Mint { seed },
            serial: AtomicU64::new(1),
            limits: Limits::default(),
            records: Records::default(),
        }
    }

    /// Time since the start.
    fn elapsed(&self) -> Duration {
        self.clock.moment().since(self.started.moment)
    }

    /// A request that comes now.
    pub(super) fn visit(self: &Arc<Self>) -> Visit {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        Visit {
            elapsed: self.elapsed(),
            world: Arc::clone(self),
            serial,
            asked: Asked::default(),
            authorization: None,
            random: fastrand::Rng::with_seed(self.mint.seed ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            id: None,
            permission: None,
        }
    }

    /// What is kept for a while.
    pub(super) const fn records(&self) -> &Records {
        &self.records
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
    asked: Asked,
    authorization: Option<String>,
    random: fastrand::Rng,
    /// What the request is about: a trunk, a flow, a skill.
    id: Option<String>,
    /// The permission that it needs, where that is not its service's usual one.
    permission: Option<&'static str>,
}

impl FromRequestParts<Arc<World>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Infallible> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        Ok(Self {
            asked: parts.extensions.get::<Asked>().cloned().unwrap_or_default(),
            authorization: header.map(str::to_owned),
            ..world.visit()
        })
    }
}

/// What a service that does answer has to know.
#[derive(Debug)]
pub(super) struct Scene {
    /// Whether it works; otherwise it says in its answer that it does not.
    pub(super) works: bool,
    /// Who serves.
    pub(super) served_by: Arc<str>,
    /// Whether that is somebody else than usual.
    pub(super) away: bool,
    /// Whether a switch is under way.
    pub(super) moving: bool,
    /// When who serves last changed, or began to be; by the platform's clock.
    pub(super) moved: DateTime<Utc>,
    /// When the service's state last changed, by the platform's clock; a day before the start when it never did.
    pub(super) since: DateTime<Utc>,
    /// The time of the answer by the platform's clock.
    pub(super) now: DateTime<Utc>,
    /// The simulated latency of this answer.
    pub(super) latency: Duration,
    /// For figures in the answer.
    pub(super) random: fastrand::Rng,
}

impl Visit {
    /// Says what the request is about, by its id.
    pub(super) fn about(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Says which permission the request needs.
    pub(super) fn needing(mut self, permission: &'static str) -> Self {
        self.permission = Some(permission);
        self
    }

    /// How a service is when this request comes.
    pub(super) fn condition(&self, service: Service) -> Condition {
        self.condition_at(service, self.elapsed)
    }

    /// How a service was at another time after the start.
    pub(super) fn condition_at(&self, service: Service, elapsed: Duration) -> Condition {
        self.world.scenario.condition_of(service, self.id.as_deref(), elapsed)
    }

    /// How one thing of a service is when this request comes, and what it says of itself.
    pub(super) fn scene_of(&self, service: Service, id: &str) -> Scene {
        let condition = self.world.scenario.condition_of(service, Some(id), self.elapsed);
        self.scene(service, &condition, Duration::ZERO)
    }

    /// The ids that the scenario names.
    pub(super) fn named(&self, service: Service) -> Vec<String> {
        self.world.scenario.named(service).into_iter().map(str::to_owned).collect()
    }

    /// The time so long after the start, by the clock of a service.
    pub(super) fn wall_at(&self, service: Service, elapsed: Duration) -> DateTime<Utc> {
        let started = self.world.started;
        started.wall_at(started.moment + elapsed) + self.condition(service).skew
    }

    /// How a platform is from the start.
    pub(super) fn settings(&self, platform: &'static str) -> Settings {
        self.world.scenario.settings(platform)
    }

    /// What all requests share, for a handler that goes on when the visit is over.
    pub(super) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    /// The simulation's own base URL of a platform, as the request named it.
    pub(super) fn base_url(&self, platform: &str) -> String {
        format!("http://{}/{platform}", self.asked.host)
    }

    /// The user and password of the request.
    pub(super) fn basic(&self) -> Option<(String, String)> {
        self.authorization.as_deref().and_then(basic)
    }

    /// A token that is issued to this request: opaque for Genesys Cloud, with claims for `CXone`.
    pub(super) fn issue(&self, platform: &'static str, kind: Kind) -> String {
        let token = Token { serial: self.serial, issued: self.elapsed };
        if platform == "cxone" {
            let issued = self.world.clock.wall().timestamp();
            self.world.mint.claims(platform, kind, token, &self.settings(platform), issued)
        } else {
            self.world.mint.opaque(platform, kind, token)
        }
    }

    /// The token behind a text, if it is one of that platform and still good.
    pub(super) fn good_token(&self, platform: &'static str, kind: Kind, text: &str) -> Option<Token> {
        let token = self.world.mint.recognise(platform, kind, text)?;
        let life = self.settings(platform).token_life;
        // One that gets a new token outlives it.
        let life = if kind == Kind::Refresh { life.saturating_mul(2) } else { life };
        let young = self.elapsed.checked_sub(token.issued).is_some_and(|age| age < life);
        let revoked = self.world.scenario.revoked(platform, self.elapsed);
        (young && revoked.is_none_or(|at| token.issued >= at)).then_some(token)
    }

    /// The request's own token, if it is good.
    pub(super) fn token(&self, platform: &'static str) -> Option<Token> {
        let text = self.authorization.as_deref()?.strip_prefix("Bearer ")?;
        self.good_token(platform, Kind::Access, text)
    }

    /// What a token of a platform may do now.
    pub(super) fn permissions(&self, platform: &'static str) -> Vec<&'static str> {
        let lacks = self.settings(platform).lacks;
        let mut granted: Vec<&str> = Service::ALL
            .into_iter()
            .filter(|service| service.platform() == platform)
            .filter(|service| self.condition(*service).state != State::Forbidden)
            .flat_map(Service::permissions)
            .copied()
            .filter(|permission| !lacks.contains(*permission))
            .collect();
        granted.sort_unstable();
        granted.dedup();
        granted
    }

    /// Answers for a service: late, with a fault, or with what `content` says.
    pub(super) async fn answer(
        mut self,
        service: Service,
        content: impl FnOnce(&mut Scene) -> Response + Send,
    ) -> Response {
        let condition = self.condition(service);
        let latency = self.latency(service, &condition);
        tokio::time::sleep(latency).await;
        let mut scene = self.scene(service, &condition, latency);
        let settings = self.settings(service.platform());
        let used = self.count(service, &settings);
        let mut response = match condition.state {
            State::Refused => {
                let mut marked = Response::new(Body::empty());
                marked.extensions_mut().insert(Dropped);
                return marked;
            }
            State::Throttled { retry_after } => faults::throttled(service, retry_after, &settings),
            State::Down { status, retry_after } => faults::down(service, status, retry_after),
            _ => match self.refusal(service, &condition.state, &settings, used) {
                Some(refused) => refused,
                None => spoil(content(&mut scene), &condition.state, &self.asked.path).await,
            },
        };
        if let Some(used) = used {
            used.tell(&settings, response.headers_mut());
        }
        self.sign(&mut response, service, &condition, &scene);
        response
    }

    /// Why a service that answers does not answer this request.
    fn refusal(
        &self,
        service: Service,
        state: &State,
        settings: &Settings,
        used: Option<Used>,
    ) -> Option<Response> {
        if let Some(used) = used.filter(|used| used.is_over()) {
            let wait = settings.limit_retry_after.then(|| used.wait());
            return Some(faults::throttled(service, wait, settings));
        }
        let platform = service.platform();
        let guarded = matches!(platform, "genesys" | "cxone") && !service.is_login();
        if guarded && self.world.scenario.demands_login() && self.token(platform).is_none() {
            return Some(faults::unauthorized(self.authorization.is_some()));
        }
        let permission = self.permission.or(service.permissions().first().copied()).unwrap_or_default();
        let lacking = *state == State::Forbidden || settings.lacks.contains(permission);
        lacking.then(|| faults::forbidden(service, permission))
    }

    /// Counts the request against its token's limit. Logins have none here.
    fn count(&self, service: Service, settings: &Settings) -> Option<Used> {
        let platform = service.platform();
        let limit = settings.limit.filter(|_| !service.is_login());
        let token = self.token(platform).map_or(0, |token| token.serial);
        self.world.limits.count(platform, token, limit, self.elapsed)
    }

    fn scene(&self, service: Service, condition: &Condition, latency: Duration) -> Scene {
        let usual = service.served_by();
        let served_by = condition.served_by.clone().unwrap_or_else(|| Arc::from(usual));
        let started = self.world.started;
        let at = |elapsed: Option<Duration>| {
            let at = started.wall_at(started.moment + elapsed.unwrap_or_default());
            at - TimeDelta::days(i64::from(elapsed.is_none())) + condition.skew
        };
        Scene {
            works: condition.state.works(),
            away: &*served_by != usual,
            served_by,
            moving: condition.moving,
            moved: at(condition.moved),
            since: at(condition.since),
            now: self.world.clock.wall() + condition.skew - condition.age,
            latency,
            random: self.random.clone(),
        }
    }

    /// A log-normal latency around the service's median, and what the scenario adds.
    pub(super) fn latency(&mut self, service: Service, condition: &Condition) -> Duration {
        let median = condition.median.unwrap_or_else(|| service.median_latency());
        let sigma = condition.sigma.unwrap_or(USUAL_SIGMA);
        // Box-Muller: a standard normal value from two even ones.
        let radius = (-2.0 * (1.0 - self.random.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.random.f64()).cos();
        let told = condition.median.is_some() || condition.sigma.is_some();
        let longest = if told { LONGEST } else { LONGEST_USUAL };
        let factor = (normal * sigma).exp().min(LONGEST.as_secs_f64() / median.as_secs_f64().max(1e-9));
        let extra = if let State::Slow { latency } = condition.state { latency } else { Duration::ZERO };
        median.mul_f64(factor).min(longest) + extra
    }

    /// Adds the headers that every answer of the platform carries.
    fn sign(&mut self, response: &mut Response, service: Service, condition: &Condition, scene: &Scene) {
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().entry(HeaderName::from_static(name)).or_insert(value);
            }
        };
        put("x-served-by", scene.served_by.to_string());
        put("date", httpdate::fmt_http_date(SystemTime::from(scene.now)));
        if !condition.age.is_zero() {
            put("age", condition.age.as_secs().to_string());
        }
        if service.platform() == "genesys" {
            let id = Uuid::from_u64_pair(self.random.u64(..), self.random.u64(..));
            put("inin-correlation-id", id.to_string());
        }
    }
}

/// A time as the platforms write it.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
