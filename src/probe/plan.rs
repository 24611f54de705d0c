//! The steps of a journey made ready: what never changes is rendered once, when the journey is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};

use super::{
    client::Client,
    exchange::Ask,
    failure::Failure,
    listing::{Key, LastLook},
    sip::Endings,
};
use crate::{
    config::{
        model::{Action, Body, Component, HttpAction, JsonTemplate, Step},
        template::{Place, RenderError, Template},
    },
    expression::Expression,
};

/// One step, made ready.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What it does.
    pub(crate) action: Planned,
    /// Whether one of its expressions looks at the answer's headers.
    pub(crate) needs_headers: bool,
    /// Variables that must have a value before it can run.
    pub(crate) names: BTreeSet<String>,
    /// What it asks for, where its answer is shared and that is known before a run.
    pub(crate) listing: Option<Key>,
    /// The same in words, for the schedule: known before the platform's host is.
    pub(crate) family: Option<String>,
    /// When it last looked at a shared answer.
    pub(crate) looked: LastLook,
    /// Its calls that are being torn down.
    pub(crate) endings: Endings,
}

/// What a step does, as far as it is known before a run.
#[derive(Debug)]
pub(crate) enum Planned {
    /// A request without captured values.
    Ready(Box<Ask>),
    /// A request that needs a value of this run, or cannot be made at all.
    Late,
    /// A TCP connection.
    Tcp,
    /// A SIP exchange.
    Sip,
}

/// Either the request that was made ready or one made for this run.
pub(crate) enum Prepared<'a> {
    Kept(&'a Ask),
    Made(Box<Ask>),
}

impl Deref for Prepared<'_> {
    type Target = Ask;

    fn deref(&self) -> &Ask {
        match self {
            Self::Kept(ask) => ask,
            Self::Made(ask) => ask,
        }
    }
}

/// Makes the steps of a component ready.
pub(crate) fn plan(component: &Component, client: &Client) -> Vec<Plan> {
    let captured: BTreeSet<&str> =
        component.journey.iter().flat_map(|step| &step.capture).map(|(name, _)| name.as_str()).collect();
    let served_step = component.failover.step.or(component.health_step);
    let places = component.journey.iter().enumerate();
    places
        .map(|(place, step)| {
            let names = names(&step.action);
            let served_by = component.failover.served_by.as_ref().filter(|_| served_step == Some(place));
            let changing = names.iter().any(|name| captured.contains(name.as_str()));
            let action = match &step.action {
                Action::Tcp(_) => Planned::Tcp,
                Action::Sip(_) => Planned::Sip,
                Action::Http(_) if changing || !client.is_settled() => Planned::Late,
                Action::Http(action) => match ask(client, action, &component.vars) {
                    Ok(ask) => Planned::Ready(Box::new(ask)),
                    Err(_) => Planned::Late,
                },
            };
            let listing = match &action {
                Planned::Ready(ask) if step.shared.is_some() => Some(Key::of(ask, step.timeout)),
                _ => None,
            };
            let family = match &step.action {
                Action::Http(action) if step.shared.is_some() && !changing => {
                    family(action, step.timeout, &component.vars)
                }
                _ => None,
            };
            let needs_headers = needs_headers(step, served_by);
            Plan {
                action,
                needs_headers,
                names,
                listing,
                family,
                looked: LastLook::default(),
                endings: Endings::default(),
            }
        })
        .collect()
}

/// What a request asks for, in words.
fn family(action: &HttpAction, patience: Duration, vars: &BTreeMap<String, String>) -> Option<String> {
    let url = action.url.render(vars, Place::Url).ok()?;
    let headers = action.headers.iter().map(|(name, value)| {
        let value = value.render(vars, Place::Header).ok()?;
        Some(format!("{}: {value:?}", name.to_ascii_lowercase()))
    });
    let mut headers: Vec<String> = headers.collect::<Option<_>>()?;
    headers.sort();
    let (body, _) = body(action.body.as_ref(), vars).ok()?;
    Some(format!("{} {url} {patience:?} {headers:?} {body:?}", action.method))
}

fn needs_headers(step: &Step, served_by: Option<&Expression>) -> bool {
    let captures = step.capture.iter().map(|(_, expression)| expression);
    let stamps = step.onset_at.iter().chain(&step.restored_at);
    let all = step.expect.iter().chain(&step.blind).chain(captures).chain(stamps).chain(served_by);
    all.into_iter().any(|expression| expression.variables().iter().any(|name| name == "headers"))
}

/// The request with the values of this run in it.
pub(crate) fn ask(
    client: &Client,
    action: &HttpAction,
    vars: &BTreeMap<String, String>,
) -> Result<Ask, Failure> {
    let unmade = |error: RenderError| Failure::answer(&error.to_string());
    let target = client.target(&action.url.render(vars, Place::Url).map_err(unmade)?)?;
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, target.route.host_header.clone());
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("warroom/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
    if target.route.is_home {
        client.plain.attach_plain(&mut headers);
    }
    if target.route.is_trusted {
        // They join the request as it is sent, and give way to the step's own alone.
        client.secret_names.iter().for_each(|name| drop(headers.remove(name)));
    }
    let (body, content_type) = body(action.body.as_ref(), vars).map_err(unmade)?;
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if body.is_empty() && matches!(action.method, Method::POST | Method::PUT | Method::PATCH) {
        // RFC 9110 section 8.6: a method that means a body says that there is none; some servers answer 411 otherwise.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, value) in &action.headers {
        let value = value.render(vars, Place::Header).map_err(unmade)?;
        let unfit = || Failure::answer(&format!("header `{name}` cannot be sent"));
        let name = HeaderName::try_from(name.as_str()).map_err(|_| unfit())?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| unfit())?);
    }
    Ok(Ask { method: action.method.clone(), target, headers, body })
}

fn body(
    body: Option<&Body>,
    vars: &BTreeMap<String, String>,
) -> Result<(Bytes, Option<&'static str>), RenderError> {
    Ok(match body {
        None => (Bytes::new(), None),
        Some(Body::Text(text)) => {
            (text.render(vars, Place::Plain)?.into(), Some("text/plain; charset=utf-8"))
        }
        Some(Body::Json(template)) => (json(template, vars)?.to_string().into(), Some("application/json")),
    })
}

fn json(template: &JsonTemplate, vars: &BTreeMap<String, String>) -> Result<serde_json::Value, RenderError> {
    use serde_json::Value;
    Ok(match template {
        JsonTemplate::Literal(value) => value.clone(),
        JsonTemplate::Text(text) => Value::String(text.render(vars, Place::Plain)?),
        JsonTemplate::Array(items) => {
            Value::Array(items.iter().map(|item| json(item, vars)).collect::<Result<_, _>>()?)
        }
        JsonTemplate::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((key.clone(), json(value, vars)?)));
            Value::Object(entries.collect::<Result<_, RenderError>>()?)
        }
    })
}

/// Every variable that an action refers to.
fn names(action: &Action) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    match action {
        Action::Tcp(target) => collect(target, &mut names),
        Action::Sip(sip) => {
            let headers = sip.headers.iter().map(|(_, value)| value);
            let all = [&sip.address].into_iter().chain(&sip.to).chain(&sip.from).chain(headers);
            all.for_each(|template| collect(template, &mut names));
        }
        Action::Http(http) => {
            collect(&http.url, &mut names);
            http.headers.iter().for_each(|(_, value)| collect(value, &mut names));
            match &http.body {
                Some(Body::Text(text)) => collect(text, &mut names),
                Some(Body::Json(template)) => collect_json(template, &mut names),
                None => {}
            }
        }
    }
    names
}

fn collect(template: &Template, names: &mut BTreeSet<String>) {
    names.extend(template.names().map(str::to_owned));
}

fn collect_json(template: &JsonTemplate, names: &mut BTreeSet<String>) {
    match template {
        JsonTemplate::Literal(_) => {}
        JsonTemplate::Text(text) => collect(text, names),
        JsonTemplate::Array(items) => items.iter().for_each(|item| collect_json(item, names)),
        JsonTemplate::Object(entries) => entries.iter().for_each(|(_, value)| collect_json(value, names)),
    }
}
