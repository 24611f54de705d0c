//! The effective config as TOML: defaults filled in, secrets as the references that they are.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::{
    model::{
        Action, AgentSettings, Body, CallEnd, Component, Config, JsonTemplate, Platform, PlatformKind,
        Secret, SipAction, SipMethod, Step, Text,
    },
    template::Template,
    values::in_words,
};
use crate::{domain::ComponentCard, expression::Expression};

/// The effective config. It loads again and means the same; cadence, burst and timeout stand with each component and
/// step, where they take effect.
#[must_use]
pub fn show(config: &Config) -> String {
    let mut page = Page::default();
    page.put("tenant", config.tenant.as_str());
    page.put("environment", config.environment.word());
    page.section("[measurement]");
    let measurement = &config.measurement;
    page.put("failure_threshold", i64::from(measurement.failure_threshold.get()));
    if let Some((bad, all)) = measurement.failure_ratio {
        page.put("failure_ratio", format!("{bad} of {all}"));
    }
    page.put("success_threshold", i64::from(measurement.success_threshold.get()));
    page.put("window", in_words(measurement.window));
    if config.agent != AgentSettings::default() {
        page.section("[agent]");
        if let Some(group) = &config.agent.group {
            page.put("group", group.as_str());
        }
        let operators = config.agent.operators.iter().map(|one| Value::from(one.as_str()));
        page.put("operators", operators.collect::<Vec<_>>());
        page.put("two_person", config.agent.two_person);
    }
    page.section("[store]");
    page.put("probes", in_words(config.store.probes));
    page.put("rollups", in_words(config.store.rollups));
    if !config.canary.is_empty() {
        page.section("[runner]");
        page.put("canary", config.canary.iter().map(|url| Value::from(url.as_str())).collect::<Vec<_>>());
    }
    page.section("[clock]");
    page.put(
        "ntp",
        config.clock.ntp.iter().map(|server| Value::from(server.to_string())).collect::<Vec<_>>(),
    );
    page.put("platform", config.clock.platform);
    page.put("chrony", config.clock.chrony);
    page.put("max_drift", in_words(config.clock.max_drift));
    page.put("every", in_words(config.clock.every));
    for platform in config.platforms.values() {
        show_platform(&mut page, platform);
    }
    for (component, card) in config.components.iter().zip(&config.roster.components) {
        show_component(&mut page, component, card);
    }
    page.text
}

/// Lines of TOML.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn section(&mut self, header: &str) {
        self.line(format_args!("\n{header}"));
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.line(format_args!("{key} = {}", value.into()));
    }

    fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Nothing where there is nothing to say.
    fn put_texts<'t>(&mut self, key: &str, texts: impl IntoIterator<Item = &'t str>) {
        let texts: Vec<_> = texts.into_iter().map(Value::from).collect();
        if !texts.is_empty() {
            self.put(key, texts);
        }
    }

    fn put_table(&mut self, key: &str, table: Table) {
        if !table.is_empty() {
            self.put(key, table);
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = writeln!(self.text, "{line}");
        debug_assert!(written.is_ok(), "a String takes every text");
    }
}

fn show_platform(page: &mut Page, platform: &Platform) {
    // An id may hold dots, which would part a bare key.
    page.section(&format!("[platforms.{}]", Value::from(platform.id.as_str())));
    page.put("kind", platform.kind.word());
    let discovery = platform.login.as_ref().and_then(|login| login.discovery.as_ref());
    if discovery.is_none() {
        page.put("base_url", platform.base_url.as_str());
    }
    let headers = platform.headers.iter().map(|(name, text)| {
        let value = match text {
            Text::Plain(text) => Value::from(text.as_str()),
            Text::Secret(secret) => reference(secret),
        };
        (name.clone(), value)
    });
    page.put_table("headers", headers.collect());
    page.put_some("bearer", platform.bearer.as_ref().map(reference));
    if let Some(rate) = platform.rate_limit {
        let unit = match rate.per.as_secs() {
            1 => "s",
            60 => "min",
            _ => "h",
        };
        page.put("rate_limit", format!("{}/{unit}", rate.requests));
    }
    page.put_some("ca_file", platform.ca_file.as_ref().map(|path| path.display().to_string()));
    if let Some(login) = &platform.login {
        let (id, secret) = match platform.kind {
            PlatformKind::Cxone => ("access_key_id", "access_key_secret"),
            PlatformKind::Genesys | PlatformKind::Http => ("client_id", "client_secret"),
        };
        if discovery.is_none_or(|discovery| !discovery.finds_login) {
            page.put("login_url", login.url.as_str());
        }
        if let Some(discovery) = discovery.filter(|discovery| discovery.is_own) {
            page.put("discovery_url", discovery.url.as_str());
        }
        page.put_some("organization_id", login.organization_id.as_deref());
        page.put_some("tenant_id", login.tenant_id.as_deref());
        page.put(id, reference(&login.id));
        page.put(secret, reference(&login.secret));
        if let Some((client_id, client_secret)) = &login.app {
            page.put("client_id", reference(client_id));
            page.put("client_secret", reference(client_secret));
        }
    }
}

fn reference(secret: &Secret) -> Value {
    let (key, value) = match secret {
        Secret::Env(name) => ("env", Value::from(name.as_str())),
        Secret::File(path) => ("file", Value::from(path.display().to_string())),
        Secret::Command(words) => ("command", Value::from(words.clone())),
        Secret::Simulated => ("simulated", Value::from(true)),
    };
    Value::Table(Table::from_iter([(key.to_owned(), value)]))
}

fn show_component(page: &mut Page, component: &Component, card: &ComponentCard) {
    page.section("[[components]]");
    page.put("id", component.id.as_str());
    page.put("name", &*component.name);
    page.put("platform", component.platform.id.as_str());
    page.put("tier", i64::from(component.tier.number()));
    page.put("target_rto", in_words(component.target_rto));
    page.put("kind", card.kind.as_str());
    page.put("cadence", in_words(component.cadence));
    page.put("burst", in_words(component.burst));
    let vars = component.vars.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    page.put_table("vars", vars.collect());
    page.put_texts("depends_on", component.depends_on.iter().map(crate::domain::ComponentId::as_str));
    page.put_texts("shares", card.shares.iter().map(String::as_str));
    page.put_some("owner", card.owner.as_deref());
    page.put_some("runbook", card.runbook.as_deref());
    page.put("protected", card.protected);
    let failover = &component.failover;
    let mut table = Table::new();
    if let Some(mechanism) = &failover.mechanism {
        table.insert("mechanism".to_owned(), mechanism.as_str().into());
    }
    if let Some(served_by) = &failover.served_by {
        table.insert("served_by".to_owned(), served_by.source().into());
    }
    if let Some(step) = failover.step.and_then(|place| component.journey.get(place)) {
        table.insert("step".to_owned(), Value::from(&*step.name));
    }
    for (key, values) in [("primary", &failover.primary), ("secondary", &failover.secondary)] {
        if !values.is_empty() {
            table.insert(key.to_owned(), values.clone().into());
        }
    }
    page.put_table("failover", table);
    let is_first = component.health_step == component.journey.iter().position(|step| !step.cleanup);
    for (place, step) in component.journey.iter().enumerate() {
        show_step(page, step, component.health_step == Some(place) && (place > 0) && !is_first);
    }
}

fn show_step(page: &mut Page, step: &Step, health: bool) {
    page.section("[[components.journey]]");
    page.put("name", &*step.name);
    match &step.action {
        Action::Http(http) => {
            page.put(&http.method.as_str().to_ascii_lowercase(), http.url.source());
            let headers = http.headers.iter().map(|(name, text)| (name.clone(), Value::from(text.source())));
            page.put_table("headers", headers.collect());
            match &http.body {
                Some(Body::Json(json)) => page.put("json", json_value(json)),
                Some(Body::Text(text)) => page.put("body", text.source()),
                None => {}
            }
        }
        Action::Tcp(address) => page.put("tcp", address.source()),
        Action::Sip(sip) => show_sip(page, sip),
    }
    page.put_texts("expect", step.expect.iter().map(Expression::source));
    page.put_some("blind", step.blind.as_ref().map(Expression::source));
    let captures = step.capture.iter().map(|(name, value)| (name.clone(), Value::from(value.source())));
    page.put_table("capture", captures.collect());
    if let Some(retry) = step.retry {
        let spans = [("every", retry.every), ("until", retry.until)];
        let mut table: Table =
            spans.map(|(key, span)| (key.to_owned(), in_words(span).into())).into_iter().collect();
        table.extend(step.retry_while.iter().map(|while_| ("while".to_owned(), while_.source().into())));
        page.put_table("retry", table);
    }
    page.put("timeout", in_words(step.timeout));
    for (key, flag) in [("parallel", step.parallel), ("cleanup", step.cleanup), ("health", health)] {
        if flag {
            page.put(key, true);
        }
    }
    page.put_some("onset_at", step.onset_at.as_ref().map(Expression::source));
    page.put_some("restored_at", step.restored_at.as_ref().map(Expression::source));
    page.put_some("shared", step.shared.map(in_words));
    let required = [("permissions", &step.requires.permissions_any_of), ("scopes", &step.requires.scopes)];
    let required = required.into_iter().filter(|(_, texts)| !texts.is_empty());
    page.put_table(
        "requires",
        required.map(|(key, texts)| (key.to_owned(), Value::from(texts.clone()))).collect(),
    );
}

fn show_sip(page: &mut Page, sip: &SipAction) {
    page.put("sip", sip.address.source());
    if let SipMethod::Call(end) = sip.method {
        page.put("method", "call");
        page.put("answer", if end == CallEnd::Cancel { "cancel" } else { "complete" });
    }
    if sip.any_answer {
        page.put("answers", "any");
    }
    page.put_some("from", sip.from.as_ref().map(Template::source));
    page.put_some("to", sip.to.as_ref().map(Template::source));
    let headers = sip.headers.iter().map(|(name, text)| (name.clone(), Value::from(text.source())));
    page.put_table("headers", headers.collect());
}

fn json_value(json: &JsonTemplate) -> Value {
    match json {
        JsonTemplate::Text(text) => text.source().into(),
        JsonTemplate::Array(items) => Value::Array(items.iter().map(json_value).collect()),
        JsonTemplate::Object(fields) => {
            Value::Table(fields.iter().map(|(key, value)| (key.clone(), json_value(value))).collect())
        }
        JsonTemplate::Literal(serde_json::Value::Bool(flag)) => (*flag).into(),
        JsonTemplate::Literal(serde_json::Value::Number(number)) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_f64().map(Value::from))
            .unwrap_or_else(|| number.to_string().into()),
        JsonTemplate::Literal(other) => other.to_string().into(),
    }
}
