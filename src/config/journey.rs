//! `[[components.journey]]`: the ordered steps of a synthetic transaction.

mod sip;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use hyper::Method;
use toml::de::DeValue;

use super::{
    model::{Action, Body, Failover, HttpAction, JsonTemplate, PlatformKind, Retry, Step},
    presets::{Presets, Requirement, expand},
    reading::{Entry, Section, Value},
    template::Template,
    values::{SECRET_CURE, UrlError, http_url, in_words, is_secret_header},
};
use crate::expression::{self, Expression, clean};

/// Keys that say what a step does.
const HTTP_METHODS: [(&str, Method); 6] = [
    ("get", Method::GET),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("head", Method::HEAD),
];

/// What the component around lends to its steps.
pub(super) struct Surroundings<'a> {
    /// The component in findings: `` component `archive` ``.
    pub(super) component: &'a str,
    /// Its `vars`.
    pub(super) vars: &'a BTreeMap<String, String>,
    /// Its step timeout.
    pub(super) timeout: Duration,
    /// Its probe interval in peace.
    pub(super) cadence: Duration,
    /// Presets that a step may take; `None` inside of one.
    pub(super) presets: Option<&'a Presets>,
    /// The kind of its platform, where that is known.
    pub(super) platform: Option<PlatformKind>,
}

/// A journey as it was read.
#[derive(Default)]
pub(super) struct ReadJourney {
    /// Its steps in order, those of presets among them.
    pub(super) steps: Vec<ReadStep>,
    /// Whether every one could be read.
    pub(super) complete: bool,
    /// What its presets and captures bring.
    pub(super) carried: Carried,
}

/// What the steps read so far leave to those after them.
#[derive(Default)]
pub(super) struct Carried {
    /// Variables that earlier steps capture, those of the step's own parallel group excluded.
    captured: BTreeSet<String>,
    /// Those of its own parallel group.
    group: Vec<String>,
    /// Presets that were taken.
    pub(super) presets: BTreeSet<String>,
    /// Values of presets' variables that the component leaves open.
    pub(super) defaults: BTreeMap<String, String>,
    /// How presets see who serves, each with the name of the step that tells.
    pub(super) failovers: Vec<(Arc<str>, Failover)>,
}

impl Carried {
    /// Whether an earlier step captures it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.captured.contains(name)
    }

    /// A step begins a group of its own.
    fn part(&mut self) {
        self.captured.extend(self.group.drain(..));
    }

    /// Takes over what the steps of a preset capture. Its first one may join the group before it; `parts` says whether
    /// another group follows inside.
    pub(super) fn join(&mut self, preset: Self, joins: bool, parts: bool) {
        if !joins || parts {
            self.part();
        }
        self.captured.extend(preset.captured);
        self.group.extend(preset.group);
    }
}

/// A step as it was read, with what only the journey as a whole needs.
pub(super) struct ReadStep {
    /// The step.
    pub(super) step: Step,
    /// What it does, in words: `GET /ready`.
    pub(super) what: String,
    /// Whether it says `health = true`.
    pub(super) health: bool,
    /// Where it stands.
    pub(super) place: std::ops::Range<usize>,
    /// Its key: `components.archive.journey`.
    pub(super) key: String,
}

/// Reads the steps of a journey, in order; those of a preset take the place of the step that uses it.
pub(super) fn read(entry: &Entry<'_, '_>, around: &Surroundings<'_>) -> ReadJourney {
    let sections = entry.sections(|number| format!("step {number} of {}", around.component));
    let complete = entry.value.get_ref().as_array().is_some_and(|list| list.iter().count() == sections.len());
    let mut journey = ReadJourney { complete, ..ReadJourney::default() };
    if sections.is_empty() && journey.complete {
        entry.error(format!("{} has a journey without steps", around.component), "give it at least one step");
        journey.complete = false;
    }
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    for (number, section) in sections.into_iter().enumerate() {
        let carried = &mut journey.carried;
        let read = if section.get("use").is_some() {
            expand::take(section, around, carried, number == 0)
        } else {
            step(section, around, carried, number).map(|step| vec![step])
        };
        let Some(read) = read else {
            journey.complete = false;
            continue;
        };
        for step in &read {
            if !names.insert(Arc::clone(&step.step.name)) {
                entry.reading.error(
                    step.place.clone(),
                    &step.key,
                    format!("{} has two steps named \"{}\"", around.component, clean(&step.step.name, 60)),
                    "give each step a name of its own",
                );
            }
        }
        journey.steps.extend(read);
    }
    journey
}

fn step(
    mut section: Section<'_, '_>,
    around: &Surroundings<'_>,
    carried: &mut Carried,
    number: usize,
) -> Option<ReadStep> {
    let key = section.key("").trim_end_matches('.').to_owned();
    let name = section.get("name");
    let name = name.and_then(|entry| entry.line().map(str::to_owned));
    if let Some(name) = &name {
        section.rename(format!("step \"{}\" of {}", clean(name, 60), around.component), key.clone());
    }
    let flag = |name| section.get(name).map(|entry| (entry.flag(), entry));
    let parallel = flag("parallel").and_then(|(flag, entry)| {
        if flag == Some(true) && number == 0 {
            entry.wrong("the first step has no step before it to run together with");
        }
        flag
    });
    let parallel = parallel.unwrap_or(false);
    if !parallel {
        carried.part();
    }
    let health = flag("health").and_then(|(flag, _)| flag).unwrap_or(false);
    let cleanup = flag("cleanup").and_then(|(flag, _)| flag).unwrap_or(false);
    if health && cleanup {
        section.error(
            "cleanup",
            format!("{} cleans up and cannot be the health step", section.what()),
            "take `health` or `cleanup` away",
        );
    }
    let known = Names { vars: around.vars, captured: &carried.captured, in_preset: around.presets.is_none() };
    let read = action(&section, &known);
    // What a step without a usable action captures and expects is still worth judging, as an HTTP step's.
    let roots = match &read {
        Some((Action::Tcp(_), _)) => expression::TCP,
        Some((Action::Sip(_), _)) => expression::SIP,
        Some((Action::Http(_), _)) | None => expression::HTTP,
    };
    let is_tcp = matches!(&read, Some((Action::Tcp(_), _)));
    let expect = section.get("expect").map(|entry| {
        entry.one_or_more().iter().filter_map(|element| element.expression(roots)).collect::<Vec<_>>()
    });
    let place = section.place();
    if expect.is_none() && matches!(&read, Some((Action::Http(_), _))) && !cleanup {
        section.reading.warn(
            place.clone(),
            &section.key("expect"),
            format!("{} has no `expect`: any answer passes, an error page too", section.what()),
            "add at least expect = ['status == 200']",
        );
    }
    let capture = section
        .get("capture")
        .map(|entry| captures(&entry, is_tcp, if is_tcp { expression::HTTP } else { roots }))
        .unwrap_or_default();
    let expression = |name| section.get(name).and_then(|entry: Entry<'_, '_>| entry.expression(roots));
    let (onset_at, restored_at) = (expression("onset_at"), expression("restored_at"));
    let blind = expression("blind");
    let (retry, retry_while) = section.get("retry").and_then(|entry| retry(&entry, around, roots)).unzip();
    let timeout = timeout(&section, around);
    let shared = shared(&section, around, cleanup || retry.is_some());
    let requires = section.get("requires").map(|entry| requirement(&entry)).unwrap_or_default();
    carried.group.extend(capture.iter().map(|(name, _)| name.clone()));
    section.close();
    let (action, what) = read?;
    let step = Step {
        name: Arc::from(name.unwrap_or_else(|| what.clone())),
        action,
        expect: expect.unwrap_or_default(),
        blind,
        capture,
        retry,
        retry_while: retry_while.flatten(),
        parallel,
        cleanup,
        timeout,
        onset_at,
        restored_at,
        shared,
        requires,
    };
    Some(ReadStep { step, what, health, place, key })
}

pub(super) fn timeout(section: &Section<'_, '_>, around: &Surroundings<'_>) -> Duration {
    let Some(entry) = section.get("timeout") else { return around.timeout };
    let Some(timeout) = entry.duration() else { return around.timeout };
    if timeout > around.cadence {
        entry.wrong(format!("it must not be longer than the cadence, {}", in_words(around.cadence)));
    }
    timeout
}

/// The polling, and the condition that keeps it up.
fn retry(
    entry: &Entry<'_, '_>,
    around: &Surroundings<'_>,
    roots: &[&str],
) -> Option<(Retry, Option<Expression>)> {
    let section = entry.section(format!("the retry of {}", entry.what))?;
    let cure = "write retry = { every = \"1s\", until = \"4s\" }";
    let every = section.require("every", cure).and_then(|entry| entry.duration());
    let until_entry = section.require("until", cure);
    let until = until_entry.as_ref().and_then(Entry::duration);
    if let (Some(every), Some(until), Some(entry)) = (every, until, &until_entry) {
        if until < every {
            entry.wrong(format!("it must be at least `every`, {}", in_words(every)));
        } else if until > around.cadence {
            entry.reading.warn(
                entry.place.clone(),
                &entry.key,
                format!(
                    "`until` of {} is longer than the cadence, {}: probes will run late",
                    entry.what,
                    in_words(around.cadence)
                ),
                "shorten it, or lengthen the cadence",
            );
        }
    }
    let while_pending = section.get("while").and_then(|entry| entry.expression(roots));
    section.close();
    Some((Retry { every: every?, until: until? }, while_pending))
}

/// How old another component's answer to the same request may be.
fn shared(section: &Section<'_, '_>, around: &Surroundings<'_>, is_own: bool) -> Option<Duration> {
    let entry = section.get("shared")?;
    let mut age = entry.duration()?;
    if around.presets.is_none() {
        // A preset is taken at every cadence.
        age = age.min(around.cadence);
    } else if age > around.cadence {
        entry.wrong(format!("it must not be longer than the cadence, {}", in_words(around.cadence)));
    }
    let asks = ["get", "head", "post"].into_iter().any(|key| section.get(key).is_some());
    if is_own || !asks {
        entry.error(
            format!("`shared` of {} cannot be", entry.what),
            "only the answer to a get, head or post without `retry` and `cleanup` can be shared; take it away",
        );
    }
    Some(age)
}

/// What the login must be allowed.
fn requirement(entry: &Entry<'_, '_>) -> Requirement {
    let Some(section) = entry.section(format!("`requires` of {}", entry.what)) else {
        return Requirement::default();
    };
    let lines = |name| section.get(name).map(|entry: Entry<'_, '_>| entry.lines()).unwrap_or_default();
    let required = Requirement { permissions_any_of: lines("permissions"), scopes: lines("scopes") };
    section.close();
    required
}

fn captures(entry: &Entry<'_, '_>, is_tcp: bool, roots: &[&str]) -> Vec<(String, Expression)> {
    let Some(section) = entry.section(entry.what.clone()) else { return Vec::new() };
    if is_tcp {
        entry.error(
            format!("`capture` of {} has nothing to capture from", entry.what),
            "a TCP connection gives no answer; take it away",
        );
    }
    let mut captures = Vec::new();
    for capture in section.entries() {
        if !is_variable(capture.name) {
            capture.error(
                format!("`{}` of {} is no name for a variable", clean(capture.name, 60), capture.what),
                "a name is letters, digits and `_`, not beginning with a digit",
            );
        }
        captures.extend(capture.expression(roots).map(|value| (capture.name.to_owned(), value)));
    }
    captures
}

/// Whether a text may stand between the braces of a template.
pub(super) fn is_variable(name: &str) -> bool {
    Template::parse(&format!("{{{name}}}")).names().next() == Some(name)
}

/// The names that a template may use.
pub(super) struct Names<'a> {
    pub(super) vars: &'a BTreeMap<String, String>,
    pub(super) captured: &'a BTreeSet<String>,
    /// Whether a preset's own declarations define them, not a component.
    pub(super) in_preset: bool,
}

impl Names<'_> {
    /// A template all of whose names are defined; an unknown one is reported and the template goes on.
    pub(super) fn template(&self, entry: &Entry<'_, '_>, text: &str) -> Template {
        let template = Template::parse(text);
        for name in template.names() {
            if !self.vars.contains_key(name) && !self.captured.contains(name) {
                entry.error(
                    format!(
                        "`{}` of {} uses `{{{name}}}`, which nothing defines",
                        clean(entry.name, 60),
                        entry.what
                    ),
                    if self.in_preset {
                        format!("declare it as [vars.{name}], or capture it in an earlier step")
                    } else {
                        format!("add {name} to the component's vars, or capture it in an earlier step")
                    },
                );
            }
        }
        template
    }
}

/// What the step does, and the same in words.
pub(super) fn action(section: &Section<'_, '_>, names: &Names<'_>) -> Option<(Action, String)> {
    let mut given: Vec<(Entry<'_, '_>, Option<Method>)> = Vec::new();
    for (key, method) in HTTP_METHODS {
        given.extend(section.get(key).map(|entry| (entry, Some(method))));
    }
    given.extend(["tcp", "sip"].into_iter().filter_map(|key| Some((section.get(key)?, None))));
    let body = (section.get("json"), section.get("body"));
    let headers = section.get("headers");
    if given.len() > 1 {
        let all: Vec<_> = given.iter().map(|(entry, _)| format!("`{}`", entry.name)).collect();
        section.error(
            "",
            format!("{} says {} at once", section.what(), all.join(" and ")),
            "keep one of them",
        );
        return None;
    }
    let Some((entry, method)) = given.pop() else {
        section.error(
            "",
            format!("{} does nothing", section.what()),
            "say get, post, put, patch, delete, head, tcp, sip or use",
        );
        return None;
    };
    if entry.name == "sip" {
        for stray in [body.0, body.1].into_iter().flatten() {
            stray
                .error(format!("`{}` of {} belongs to an HTTP step", stray.name, stray.what), "take it away");
        }
        return sip::read(section, &entry, headers.as_ref(), names);
    }
    sip::strays(section);
    let Some(method) = method else {
        for stray in [body.0, body.1, headers].into_iter().flatten() {
            stray
                .error(format!("`{}` of {} belongs to an HTTP step", stray.name, stray.what), "take it away");
        }
        return connection(&entry, names);
    };
    let text = entry.line()?;
    let what = format!("{method} {}", clean(text, 80));
    let url = names.template(&entry, text);
    check_url(&entry, text);
    let body = match body {
        (Some(json), Some(_)) => {
            json.error(format!("{} has both `json` and `body`", json.what), "keep one of them");
            None
        }
        (Some(json), None) => Some(Body::Json(json_template(&json, names))),
        (None, Some(text)) => text.text().map(|written| Body::Text(names.template(&text, written))),
        (None, None) => None,
    };
    let headers = headers.map(|entry| step_headers(&entry, names)).unwrap_or_default();
    Some((Action::Http(HttpAction { method, url, headers, body }), what))
}

fn connection(entry: &Entry<'_, '_>, names: &Names<'_>) -> Option<(Action, String)> {
    let text = entry.line()?;
    entry.host_and_port()?;
    Some((Action::Tcp(names.template(entry, text)), format!("TCP {}", clean(text, 80))))
}

/// A path that begins with `/`, or a whole URL.
fn check_url(entry: &Entry<'_, '_>, text: &str) {
    if text.contains(char::is_whitespace) {
        entry.wrong("a URL has no spaces; write %20");
    } else if text.contains("://") {
        // A value stands in for every name, so that the rest can be judged.
        match http_url(&text.replace(['{', '}'], "")) {
            Ok(_) => {}
            Err(UrlError::Credentials) => {
                entry.wrong_secret("carries a user or password", "use the platform's bearer or headers");
            }
            Err(UrlError::Form) => {
                entry.wrong("it must be a path such as \"/health\", or a whole http or https URL");
            }
        }
    } else if !text.starts_with('/') {
        entry.wrong("a path begins with `/`");
    }
}

fn step_headers(entry: &Entry<'_, '_>, names: &Names<'_>) -> Vec<(String, Template)> {
    let Some(section) = entry.section(entry.what.clone()) else { return Vec::new() };
    let mut headers = Vec::new();
    for header in section.entries() {
        let name = header.header_name();
        if header.value.get_ref().is_table() {
            header
                .wrong_secret("is a secret, which a step cannot carry", "put it into the platform's headers");
            continue;
        }
        let Some(text) = header.header_value() else { continue };
        let template = names.template(&header, text);
        if is_secret_header(header.name) && template.is_constant() {
            header.wrong_secret(
                "is written in the file, where a secret must never stand",
                format!("put it into the platform's headers: {SECRET_CURE}"),
            );
        }
        headers.extend(name.map(|name| (name, template)));
    }
    headers
}

fn json_template(entry: &Entry<'_, '_>, names: &Names<'_>) -> JsonTemplate {
    json_value(entry, entry.value, names)
}

fn json_value(entry: &Entry<'_, '_>, value: &Value<'_>, names: &Names<'_>) -> JsonTemplate {
    match value.get_ref() {
        DeValue::String(text) => JsonTemplate::Text(names.template(entry, text)),
        DeValue::Array(list) => {
            JsonTemplate::Array(list.iter().map(|item| json_value(entry, item, names)).collect())
        }
        DeValue::Table(table) => {
            let mut fields: Vec<_> = table.iter().collect();
            fields.sort_by_key(|(key, _)| key.span().start);
            JsonTemplate::Object(
                fields
                    .into_iter()
                    .map(|(key, item)| (key.get_ref().to_string(), json_value(entry, item, names)))
                    .collect(),
            )
        }
        DeValue::Boolean(flag) => JsonTemplate::Literal((*flag).into()),
        DeValue::Datetime(at) => JsonTemplate::Literal(at.to_string().into()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => JsonTemplate::Literal(number.into()),
            Err(_) => unwritable(entry, &number.to_string()),
        },
        DeValue::Float(number) => {
            match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                Some(number) => JsonTemplate::Literal(number.into()),
                None => unwritable(entry, number.as_str()),
            }
        }
    }
}

fn unwritable(entry: &Entry<'_, '_>, number: &str) -> JsonTemplate {
    entry.error(
        format!("`json` of {} holds {}, which JSON cannot carry", entry.what, clean(number, 60)),
        "write it as a text",
    );
    JsonTemplate::Literal(serde_json::Value::Null)
}
