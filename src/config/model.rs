//! A validated config, in the words of the design.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{presets::Requirement, template::Template};
use crate::{
    domain::{ComponentId, Environment, PlatformId, Roster, Tier},
    expression::Expression,
};

/// Everything that an engine needs to know, checked as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it was read from; `None` for the demo's.
    pub source: Option<PathBuf>,
    /// `tenant`.
    pub tenant: String,
    /// `environment`.
    pub environment: Environment,
    /// How records are made.
    pub measurement: Measurement,
    /// Who may attach and act.
    pub agent: AgentSettings,
    /// How long results are kept.
    pub store: StoreSettings,
    /// The runner's own canaries: any one reachable means that a connection failure is theirs, not ours.
    pub canary: Vec<Url>,
    /// How the runner's clock is guarded.
    pub clock: ClockSettings,
    /// `[platforms.NAME]`, by name.
    pub platforms: BTreeMap<PlatformId, Arc<Platform>>,
    /// `[[components]]`, in the order of the file; dependencies exist and have no cycle.
    pub components: Vec<Arc<Component>>,
    /// The same for screens and records.
    pub roster: Arc<Roster>,
}

/// `[measurement]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Bad verdicts in a row that confirm an outage.
    pub failure_threshold: NonZeroU32,
    /// So many bad ones of the last so many confirm it too.
    pub failure_ratio: Option<(NonZeroU32, NonZeroU32)>,
    /// Good verdicts in a row that confirm a recovery.
    pub success_threshold: NonZeroU32,
    /// The window of the rolling averages.
    pub window: Duration,
}

/// `[agent]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// The group whose members may attach besides oneself and root.
    pub group: Option<String>,
    /// Groups and users of the machine who may act; everybody else who attaches watches. Only members of `group` get through
    /// the socket: whoever is named here must be one too.
    pub operators: Vec<String>,
    /// Whether a drill is armed by one and confirmed by another.
    pub two_person: bool,
}

/// `[store]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// How long raw probe results are kept.
    pub probes: Duration,
    /// How long downsampled ones are kept.
    pub rollups: Duration,
}

/// `[clock]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockSettings {
    /// Time servers; none unless named.
    pub ntp: Vec<TimeServer>,
    /// Whether the platforms' own time is held against ours.
    pub platform: bool,
    /// Whether the machine's chrony is asked, where it runs.
    pub chrony: bool,
    /// Drift that is certainly over this pauses measurement.
    pub max_drift: Duration,
    /// How often the sources are asked.
    pub every: Duration,
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self {
            ntp: Vec::new(),
            platform: true,
            chrony: true,
            max_drift: Duration::from_millis(500),
            every: Duration::from_mins(1),
        }
    }
}

/// Where a time server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeServer {
    /// A name or an address, without brackets.
    pub host: Arc<str>,
    /// The UDP port; 123 unless told.
    pub port: u16,
}

impl TimeServer {
    /// The port of NTP (RFC 5905).
    pub const PORT: u16 = 123;

    /// Reads `host`, `host:port`, `192.0.2.1` or `[2001:db8::1]:123`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = if let Some(inner) = text.strip_prefix('[') {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("123")))
        } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
            (text, Some("123"))
        } else {
            text.split_once(':').map_or((text, Some("123")), |(host, port)| (host, Some(port)))
        };
        let port = port?.parse().ok().filter(|port| *port != 0)?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || ".-_:".contains(letter);
        let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(fits);
        is_host.then(|| Self { host: Arc::from(host), port })
    }
}

impl std::fmt::Display for TimeServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.port, self.host.contains(':')) {
            (Self::PORT, _) => formatter.write_str(&self.host),
            (port, false) => write!(formatter, "{}:{port}", self.host),
            (port, true) => write!(formatter, "[{}]:{port}", self.host),
        }
    }
}

/// What kind of platform it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlatformKind {
    /// Genesys Cloud.
    Genesys,
    /// NICE `CXone`.
    Cxone,
    /// Anything that speaks HTTP.
    Http,
}

impl PlatformKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Genesys, Self::Cxone, Self::Http];

    /// The word in the config.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Genesys => "genesys",
            Self::Cxone => "cxone",
            Self::Http => "http",
        }
    }
}

/// `[platforms.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// Its name.
    pub id: PlatformId,
    /// Its kind.
    pub kind: PlatformKind,
    /// What a step's path is joined to; where its login has a [`Discovery`], what that finds takes its place.
    pub base_url: Url,
    /// Headers that every request carries; values may be secrets.
    pub headers: Vec<(String, Text)>,
    /// A bearer token, sent to the base URL's origin alone.
    pub bearer: Option<Secret>,
    /// Our own ceiling.
    pub rate_limit: Option<Rate>,
    /// Logs in with these.
    pub login: Option<Login>,
    /// PEM certificates of a private authority, trusted besides the machine's own.
    pub ca_file: Option<PathBuf>,
}

impl Platform {
    /// Whether the other one is spoken to in the same way: everything but our own ceiling is the same.
    #[must_use]
    pub fn speaks_like(&self, other: &Self) -> bool {
        Self { rate_limit: other.rate_limit, ..self.clone() } == *other
    }
}

/// Credentials of a platform that has a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Where tokens come from.
    pub url: Url,
    /// `client_id` or `access_key_id`.
    pub id: Secret,
    /// `client_secret` or `access_key_secret`.
    pub secret: Secret,
    /// `client_id` and `client_secret` of a back-end app, beside an access key.
    pub app: Option<(Secret, Secret)>,
    /// Genesys Cloud: the organisation that the token must belong to.
    pub organization_id: Option<String>,
    /// `CXone`: the tenant that the token must belong to.
    pub tenant_id: Option<String>,
    /// `CXone`: who is asked where the tenant's hosts are.
    pub discovery: Option<Discovery>,
}

/// Asks where a tenant's hosts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Who is asked.
    pub url: Url,
    /// For which tenant.
    pub tenant_id: String,
    /// The config names who is asked, and so vouches for whatever host is answered.
    pub is_own: bool,
    /// Whether it finds the token endpoint too, because the config does not name one.
    pub finds_login: bool,
}

/// A text that is either written in the file or secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Written in the file.
    Plain(String),
    /// To be fetched.
    Secret(Secret),
}

/// Where a secret is to be found; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file whose content, without the final newline, it is.
    File(PathBuf),
    /// A program whose standard output, without the final newline, it is.
    Command(Vec<String>),
    /// None at all: what the simulated platforms of the demo are content with. No config can name it.
    Simulated,
}

/// A secret that was fetched.
pub type Revealed = SecretString;

/// So many requests in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// `[[components]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// `id`.
    pub id: ComponentId,
    /// `name`.
    pub name: Arc<str>,
    /// The platform that its steps speak to.
    pub platform: Arc<Platform>,
    /// `tier`.
    pub tier: Tier,
    /// `target_rto`.
    pub target_rto: Duration,
    /// Probe interval in peace: its own or its tier's.
    pub cadence: Duration,
    /// Probe interval in an outage: its own or its tier's.
    pub burst: Duration,
    /// Values for the templates of its journey.
    pub vars: BTreeMap<String, String>,
    /// Components that it needs.
    pub depends_on: Vec<ComponentId>,
    /// `[components.failover]`.
    pub failover: Failover,
    /// Its steps, in order; at least one.
    pub journey: Vec<Step>,
    /// Place of the health step, by which it is judged alone; `None` where there is nothing to probe.
    pub health_step: Option<usize>,
}

impl Component {
    /// Whether the other one asks the same of the same platform, so that the verdicts of both speak of one thing.
    #[must_use]
    pub fn asks_like(&self, other: &Self) -> bool {
        self.id == other.id
            && self.health_step == other.health_step
            && self.failover.step == other.failover.step
            && self.failover.served_by == other.failover.served_by
            && self.vars == other.vars
            && self.journey == other.journey
            && self.platform.speaks_like(&other.platform)
    }
}

/// How a component fails over, and how that is seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failover {
    /// In words.
    pub mechanism: Option<String>,
    /// Who serves, evaluated on the answer of `step`.
    pub served_by: Option<Expression>,
    /// Place of the step on which `served_by` is evaluated; the health step unless told.
    pub step: Option<usize>,
    /// Values that are the primary.
    pub primary: Vec<String>,
    /// Values that are a secondary.
    pub secondary: Vec<String>,
}

/// One step of a journey.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// `name`.
    pub name: Arc<str>,
    /// What it does.
    pub action: Action,
    /// What must hold of the answer, in order.
    pub expect: Vec<Expression>,
    /// Variables that later steps may use.
    pub capture: Vec<(String, Expression)>,
    /// Says of an answer that the component cannot be seen by it: the step is then blind, neither passed nor failed.
    pub blind: Option<Expression>,
    /// Polls the step until it passes.
    pub retry: Option<Retry>,
    /// Polls only while this holds of the answer; one of which it does not hold fails the step at once. Polls after every
    /// failure where there is none.
    pub retry_while: Option<Expression>,
    /// Runs together with the step before.
    pub parallel: bool,
    /// Runs whatever happened before and is never part of the verdict.
    pub cleanup: bool,
    /// The longest time for one attempt.
    pub timeout: Duration,
    /// When the platform saw the failure begin.
    pub onset_at: Option<Expression>,
    /// When the platform saw the failure end.
    pub restored_at: Option<Expression>,
    /// How old an answer may be that it takes over from the same request of another component; `None` where it sends its
    /// own always.
    pub shared: Option<Duration>,
    /// What the platform's login must be allowed for it.
    pub requires: Requirement,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One HTTP request.
    Http(HttpAction),
    /// Opens and closes a TCP connection.
    Tcp(Template),
    /// One SIP exchange.
    Sip(SipAction),
}

/// One HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpAction {
    /// `GET`, `POST`, …
    pub method: hyper::Method,
    /// A path that is joined to the platform's base URL, or a whole URL.
    pub url: Template,
    /// Headers besides the platform's.
    pub headers: Vec<(String, Template)>,
    /// What is sent.
    pub body: Option<Body>,
}

/// One SIP exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct SipAction {
    /// Where it goes: `sip:host:5060;transport=udp`.
    pub address: Template,
    /// What is asked.
    pub method: SipMethod,
    /// Who is asked for, where the address does not say.
    pub to: Option<Template>,
    /// Who asks: a user, or `user@host`.
    pub from: Option<Template>,
    /// Headers besides the exchange's own, names as they are written.
    pub headers: Vec<(String, Template)>,
    /// Whether any final answer but a 503 counts, not only a 2xx: each proves a live stack.
    pub any_answer: bool,
}

/// What a SIP step asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipMethod {
    /// OPTIONS: would a call be taken?
    Options,
    /// INVITE: a call is placed.
    Call(CallEnd),
}

/// How a call that is placed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// As soon as it rings.
    Cancel,
    /// As soon as it is answered.
    Complete,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// JSON whose strings are templates.
    Json(JsonTemplate),
    /// Text.
    Text(Template),
}

/// JSON in which every string is a template.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTemplate {
    /// A value without strings in it.
    Literal(serde_json::Value),
    /// A string.
    Text(Template),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// An object.
    Object(Vec<(String, JsonTemplate)>),
}

/// Polling for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Time from the end of an attempt to the next.
    pub every: Duration,
    /// Time after which the step has failed.
    pub until: Duration,
}
