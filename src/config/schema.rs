//! The text form of a config as a JSON schema, for editors.
//!
//! Invariant: these types describe and do nothing else; what is read and how is the other files' word, and a test holds
//! the example config against both.

#![expect(dead_code, reason = "the fields are read by the schema's derive alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// The JSON schema of a config file, with descriptions.
#[must_use]
pub fn schema() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(Warroom).as_value());
    text.push('\n');
    text
}

/// A duration over zero: `"500ms"`, `"5s"`, `"24h"`.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Span(#[schemars(regex(pattern = r"^\s*[0-9]+\s*[a-zA-Z]+(\s*[0-9]+\s*[a-zA-Z]+)*\s*$"))] String);

/// A rate: `"240/min"`, `"10/s"`, `"5000/h"`.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct PerTime(#[schemars(regex(pattern = r"^\s*[1-9][0-9]*\s*/\s*(s|sec|min|m|h|hour)\s*$"))] String);

/// A CEL expression over `status`, `headers`, `body`, `latency_ms` and `vars`; of a SIP step over `status`, `reason`,
/// `headers`, `contact_host`, `latency_ms` and `vars`.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Cel(String);

/// Where a secret is to be found; it is never written in the file.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", deny_unknown_fields)]
enum SecretPlace {
    /// An environment variable's name.
    Env(String),
    /// A file that others may not write; its final newline is cut.
    File(String),
    /// A program and its arguments; its output is the secret.
    Command(Vec<String>),
}

/// A text, or a reference to a secret.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum PlainOrSecret {
    /// Written in the file.
    Plain(String),
    /// To be fetched.
    Secret(SecretPlace),
}

/// One or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrMore<T> {
    /// One.
    One(T),
    /// Several.
    More(Vec<T>),
}

/// A variable's value.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Variable {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// A warroom config: what is measured, against which targets, and how a drill may disturb it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "warroom config")]
struct Warroom {
    /// Stands in every record; `default` unless told.
    tenant: Option<String>,
    /// `production` narrows what a drill may do; `production` unless told.
    environment: Option<Environment>,
    /// How often each tier is probed.
    tiers: Option<Tiers>,
    /// How outages and recoveries are confirmed.
    measurement: Option<Measurement>,
    /// Who may attach and act.
    agent: Option<Agent>,
    /// How long results are kept.
    store: Option<Store>,
    /// The machine that measures.
    runner: Option<Runner>,
    /// Platforms by name.
    platforms: BTreeMap<String, Platform>,
    /// What is measured.
    components: Vec<Component>,
    /// The endpoint that a shadow flow calls in place of the real integration.
    degradation: Option<Degradation>,
    /// How a component may be disturbed.
    drills: Option<Vec<Drill>>,
    /// What must hold before and during a drill.
    guardrails: Option<Guardrails>,
    /// Windows in which alerts are logged and not sent.
    maintenance: Option<Vec<Maintenance>>,
    /// When to alert.
    alerting: Option<Alerting>,
    /// Whom to tell.
    notify: Option<Vec<Notify>>,
    /// Where recoveries and metrics are sent.
    export: Option<Vec<Export>>,
    /// The metrics endpoint.
    prometheus: Option<Prometheus>,
    /// The clock guard: how wrong the runner's clock may be before nothing is measured.
    clock: Option<Clock>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Environment {
    Sandbox,
    Production,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tiers {
    /// Target up to 60 s; cadence `5s` (it must be under 10 s) and burst `500ms` unless told.
    #[schemars(rename = "1")]
    one: Option<Pace>,
    /// Target over 60 and up to 300 s; cadence `60s` and burst `2s` unless told.
    #[schemars(rename = "2")]
    two: Option<Pace>,
    /// Target over 300 s; cadence `60s` and burst `5s` unless told.
    #[schemars(rename = "3")]
    three: Option<Pace>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Pace {
    /// The probe interval in peace.
    cadence: Option<Span>,
    /// The probe interval while an outage is open; at most the cadence.
    burst: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Measurement {
    /// Bad verdicts in a row that confirm an outage; 2 unless told.
    #[schemars(range(min = 1, max = 1000))]
    failure_threshold: Option<u32>,
    /// So many of the last so many confirm it too: `"3 of 10"`; off unless told.
    failure_ratio: Option<String>,
    /// Good verdicts in a row that confirm a recovery; 2 unless told.
    #[schemars(range(min = 1, max = 1000))]
    success_threshold: Option<u32>,
    /// The longest time for one step; `5s` unless told, at most the cadence.
    timeout: Option<Span>,
    /// The window of the rolling averages; `24h` unless told.
    window: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Agent {
    /// The group whose members may attach.
    group: Option<String>,
    /// Groups or users who may act.
    operators: Option<Vec<String>>,
    /// Whether a drill is armed by one and confirmed by another.
    two_person: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Store {
    /// How long raw probe results are kept; `7d` unless told.
    probes: Option<Span>,
    /// How long downsampled ones are kept; `2y` unless told.
    rollups: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Runner {
    /// URLs of which any one that is reachable proves that a connection failure is not ours.
    canary: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum PlatformKind {
    Http,
    Genesys,
    Cxone,
}

/// A vendor or system with one set of credentials, one base URL and one rate budget.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Platform {
    /// What it speaks.
    kind: PlatformKind,
    /// What a step's path is joined to; required unless a `genesys` platform names its region or a `cxone` platform its
    /// tenant.
    base_url: Option<String>,
    /// Headers that every request carries.
    headers: Option<BTreeMap<String, PlainOrSecret>>,
    /// A bearer token, sent to the base URL's origin alone.
    bearer: Option<SecretPlace>,
    /// Our own ceiling, under the platform's.
    rate_limit: Option<PerTime>,
    /// PEM certificates of a private authority, trusted besides the machine's own.
    ca_file: Option<String>,
    /// `genesys`: its AWS region, which sets the login and API hosts.
    region: Option<String>,
    /// `genesys`, `cxone`: where tokens come from, in place of the region's or the tenant's host.
    login_url: Option<String>,
    /// `genesys`: the organisation that the token must belong to.
    organization_id: Option<String>,
    /// `cxone`: the tenant that the token must belong to; without `base_url` its hosts are looked up.
    tenant_id: Option<String>,
    /// `cxone`: who is asked for the tenant's hosts; `https://cxone.niceincontact.com` unless told.
    discovery_url: Option<String>,
    /// `genesys`; `cxone`: of a back-end app, beside the access key.
    client_id: Option<SecretPlace>,
    /// `genesys`; `cxone`: of a back-end app, beside the access key.
    client_secret: Option<SecretPlace>,
    /// `cxone`.
    access_key_id: Option<SecretPlace>,
    /// `cxone`.
    access_key_secret: Option<SecretPlace>,
    /// `genesys`, `cxone`: credentials that may change the shadow path, read only while a drill runs.
    drill: Option<DrillLogin>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DrillLogin {
    client_id: Option<SecretPlace>,
    client_secret: Option<SecretPlace>,
    access_key_id: Option<SecretPlace>,
    access_key_secret: Option<SecretPlace>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum ComponentKind {
    Flow,
    Trunk,
    Queue,
    Dashboard,
    Api,
    Data,
    Batch,
    Other,
}

/// One thing whose recovery is measured.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Component {
    /// Its name in records: letters, digits, `_`, `-` and `.`.
    id: String,
    /// Its name on screens; the id unless told.
    name: Option<String>,
    /// The platform that its steps speak to.
    platform: String,
    /// 1, 2 or 3.
    #[schemars(range(min = 1, max = 3))]
    tier: u32,
    /// The time within which it must be restored; in its tier's band.
    target_rto: Span,
    /// What it is; `other` unless told.
    kind: Option<ComponentKind>,
    /// Values for `{name}` in its journey.
    vars: Option<BTreeMap<String, Variable>>,
    /// Components that it needs.
    depends_on: Option<Vec<String>>,
    /// Pools, locks and limits that it shares with others.
    shares: Option<Vec<String>>,
    /// Who owns it.
    owner: Option<String>,
    /// Where its runbook is.
    runbook: Option<String>,
    /// Never a drill's target.
    protected: Option<bool>,
    /// The probe interval in peace, in place of its tier's.
    cadence: Option<Span>,
    /// The probe interval while an outage is open, in place of its tier's.
    burst: Option<Span>,
    /// The longest time for one step, in place of the general one.
    timeout: Option<Span>,
    /// How it fails over, and how that is seen.
    failover: Option<Failover>,
    /// Its steps, in order; the first is the health step unless another says so.
    journey: Vec<Step>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Failover {
    /// How, in words.
    mechanism: Option<String>,
    /// Who serves it now.
    served_by: Option<Cel>,
    /// The step on whose answer `served_by` is evaluated; the health step unless told.
    step: Option<String>,
    /// Values of `served_by` that are the primary.
    primary: Option<Vec<String>>,
    /// Values of `served_by` that are a secondary.
    secondary: Option<Vec<String>>,
}

/// One step of a journey: exactly one of get, post, put, patch, delete, head, tcp, sip and use.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Step {
    /// Its name; what it does unless told.
    name: Option<String>,
    /// A path or a whole URL.
    get: Option<String>,
    /// A path or a whole URL.
    post: Option<String>,
    /// A path or a whole URL.
    put: Option<String>,
    /// A path or a whole URL.
    patch: Option<String>,
    /// A path or a whole URL.
    delete: Option<String>,
    /// A path or a whole URL.
    head: Option<String>,
    /// `host:port` that must accept a connection.
    tcp: Option<String>,
    /// A SIP address that must answer: `"sip:host:5060;transport=udp"`; udp, tcp or tls, `sips:` being tls.
    sip: Option<String>,
    /// Of a SIP step: what is asked, `options` unless told.
    method: Option<SipMethod>,
    /// Of a SIP call: how it ends, `cancel` unless told.
    answer: Option<CallEnd>,
    /// Of a SIP step: which final answers count, `success` unless told; a 503 never does.
    answers: Option<SipAnswers>,
    /// Of a SIP step: who asks, a user or `user@host`; `warroom` unless told.
    from: Option<String>,
    /// Of a SIP step: who is asked for, where the address does not say.
    to: Option<String>,
    /// A preset: `"genesys/trunk"`; takes `name`, `health`, `parallel` and `timeout` besides.
    #[schemars(rename = "use")]
    preset: Option<String>,
    /// A JSON body.
    json: Option<Value>,
    /// A text body.
    body: Option<String>,
    /// Headers besides the platform's.
    headers: Option<BTreeMap<String, String>>,
    /// What must hold of the answer.
    expect: Option<OneOrMore<Cel>>,
    /// Where this holds of the answer, the component cannot be seen by it: the step is blind, and opens no outage.
    blind: Option<Cel>,
    /// Variables that later steps may use.
    capture: Option<BTreeMap<String, Cel>>,
    /// Polls the step until it passes or the time is up.
    retry: Option<Retry>,
    /// Runs together with the step before.
    parallel: Option<bool>,
    /// Runs whatever happened before, and is never part of the verdict.
    cleanup: Option<bool>,
    /// Makes it the health step.
    health: Option<bool>,
    /// The longest time for one attempt.
    timeout: Option<Span>,
    /// When the platform saw the failure begin.
    onset_at: Option<Cel>,
    /// When the platform saw the failure end.
    restored_at: Option<Cel>,
    /// How old an answer to the same request may be that another component was given; then one request feeds both.
    shared: Option<Span>,
    /// What the platform's login must be allowed.
    requires: Option<Requires>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Requires {
    /// Permissions, any one of which suffices.
    permissions: Option<Vec<String>>,
    /// OAuth scopes.
    scopes: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum SipMethod {
    /// OPTIONS: would a call be taken?
    Options,
    /// INVITE: a call is placed.
    Call,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum CallEnd {
    /// As soon as it rings.
    Cancel,
    /// As soon as it is answered.
    Complete,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum SipAnswers {
    /// A 2xx.
    Success,
    /// Any final answer but a 503: each proves a live stack.
    Any,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retry {
    /// Time from the end of an attempt to the next.
    every: Span,
    /// Time after which the step has failed.
    until: Span,
    /// Polls only while this holds of the answer; one of which it does not hold fails the step at once.
    #[schemars(rename = "while")]
    pending: Option<Cel>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Degradation {
    /// Where it listens.
    listen: Option<String>,
    /// How the platform reaches it.
    public_url: Option<String>,
}

/// A planned, guarded, reversible disturbance.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Drill {
    /// Its name in records.
    id: String,
    /// Its name on screens.
    name: Option<String>,
    /// The component that it disturbs.
    component: String,
    /// What is disturbed and measured in place of the component itself.
    shadow: Option<Shadow>,
    /// What disturbs and reverts.
    injector: Injector,
    /// What shows that the disturbance was really met.
    proof: Option<Proof>,
    /// How long it stays; at least twice the target.
    hold: Span,
    /// By when it has ended; at least hold and target together.
    limit: Span,
    /// Conditions over `components["id"]`, `tier1`, `tier2`, `tier3` that end it.
    abort_if: Option<OneOrMore<Cel>>,
    /// An iCalendar rule by which the agent runs it.
    schedule: Option<String>,
    /// The countdown before it begins; `5s` unless told.
    arm: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Shadow {
    /// Values in place of the component's own.
    vars: Option<BTreeMap<String, String>>,
    /// A platform in place of the component's own.
    platform: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum InjectorKind {
    Degradation,
    GenesysShadowFlow,
    Http,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Injector {
    kind: InjectorKind,
    /// `degradation`: which path.
    path: Option<String>,
    /// `genesys-shadow-flow`: the flow.
    flow_id: Option<String>,
    /// `genesys-shadow-flow`: its version, which no primary path measures.
    version_id: Option<String>,
    /// `genesys-shadow-flow`: where it is sent.
    endpoint: Option<String>,
    /// What is answered while disturbed.
    status: Option<u32>,
    /// How late it is answered while disturbed.
    latency: Option<Span>,
    /// `genesys-shadow-flow`: the flow's own patience.
    timeout: Option<Span>,
    /// `http`: the request that disturbs.
    inject: Option<Step>,
    /// `http`: the request that reverts.
    revert: Option<Step>,
    /// `http`: the request that shows that it is reverted.
    verify: Option<Step>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Proof {
    /// A path of the degradation endpoint that must have been called.
    degradation: Option<String>,
    /// How often.
    at_least: Option<u32>,
    get: Option<String>,
    post: Option<String>,
    expect: Option<OneOrMore<Cel>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Guardrails {
    /// Hours that no drill may reach into.
    peak_hours: Option<Vec<PeakHours>>,
    /// How long everything in the blast radius must have been healthy.
    steady_for: Option<Span>,
    /// The only hosts that an injector talks to.
    inject_hosts: Option<Vec<String>>,
    /// Drills at one time.
    max_concurrent: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PeakHours {
    /// `"Mon-Fri"`.
    days: String,
    /// `"08:00"`.
    from: String,
    /// `"18:00"`.
    to: String,
    /// `"America/New_York"`.
    timezone: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Maintenance {
    name: Option<String>,
    /// A calendar that announces windows.
    calendar: Option<Calendar>,
    /// An iCalendar rule for windows of our own.
    rrule: Option<String>,
    /// How long a window of the rule is.
    duration: Option<Span>,
    /// A regular expression that an entry must match.
    #[schemars(rename = "match")]
    pattern: Option<String>,
    /// `"all"`, `"tier:1"`, `"platform:NAME"` or `"component:ID"`.
    scope: String,
    /// A longer entry is refused.
    longest: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Calendar {
    /// A Statuspage's address.
    statuspage: Option<String>,
    /// An iCalendar feed's address.
    ics: Option<String>,
    /// How often it is read.
    refresh: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Alerting {
    /// Percent of compliance; 90 unless told.
    warning_below: Option<u32>,
    /// Measurement cycles in a row; 3 unless told.
    warning_cycles: Option<u32>,
    /// Percent of compliance; 75 unless told.
    critical_below: Option<u32>,
    /// Percent over the target at which a tier 1 component escalates; 200 unless told.
    tier1_overrun: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum NotifyKind {
    Pagerduty,
    Alertmanager,
    Webhook,
    Heartbeat,
    Opsgenie,
    Servicenow,
    Slack,
    Teams,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Notify {
    kind: NotifyKind,
    /// Where it is sent.
    url: Option<PlainOrSecret>,
    /// `pagerduty`.
    routing_key: Option<SecretPlace>,
    /// `opsgenie`.
    api_key: Option<SecretPlace>,
    headers: Option<BTreeMap<String, PlainOrSecret>>,
    bearer: Option<SecretPlace>,
    token: Option<SecretPlace>,
    /// Severities: `warning`, `critical`.
    on: Option<Vec<String>>,
    /// `heartbeat`: how often.
    every: Option<Span>,
    /// How often a test message is sent.
    test: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum ExportKind {
    RtoCompliance,
    Influxdb,
    PrometheusRemoteWrite,
    Victoriametrics,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Export {
    kind: ExportKind,
    /// Where it is sent.
    url: PlainOrSecret,
    headers: Option<BTreeMap<String, PlainOrSecret>>,
    bearer: Option<SecretPlace>,
    token: Option<SecretPlace>,
    /// `influxdb` v1.
    database: Option<String>,
    /// `influxdb` v2.
    org: Option<String>,
    /// `influxdb` v2.
    bucket: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Prometheus {
    /// Where `GET /metrics` is answered.
    listen: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Clock {
    /// Time servers, each a host or `host:port`; none unless named.
    ntp: Option<Vec<String>>,
    /// Whether the platforms' own time is held against ours; `true` unless told.
    platform: Option<bool>,
    /// Whether the machine's chrony is asked, where it runs; `true` unless told.
    chrony: Option<bool>,
    /// Drift that is certainly over this pauses measurement; `500ms` unless told.
    max_drift: Option<Span>,
    /// How often the sources are asked, at least `1s`; `60s` unless told.
    every: Option<Span>,
}
