//! Every request of a Genesys preset against the platform's public API.

use std::collections::BTreeSet;

use serde_json::Value;
use warroom::config::{
    model::{Action, Step},
    presets::BUILT_IN,
};

use crate::configs::{load, using};

/// One endpoint of the public API.
struct Endpoint {
    method: String,
    path: String,
    query: BTreeSet<String>,
    /// Any one of them suffices; `None` where the API's description lists none.
    permissions: Option<BTreeSet<String>>,
    needs_all: bool,
}

fn endpoints() -> Vec<Endpoint> {
    let table: Value = serde_json::from_str(include_str!("../data/genesys_endpoints.json")).unwrap();
    let texts = |list: Option<&Value>| {
        list.map(|list| {
            list.as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect::<BTreeSet<_>>()
        })
    };
    let endpoints = table["endpoints"].as_array().unwrap().iter().map(|endpoint| Endpoint {
        method: endpoint["method"].as_str().unwrap().to_owned(),
        path: endpoint["path"].as_str().unwrap().to_owned(),
        query: texts(endpoint.get("query")).unwrap_or_default(),
        permissions: texts(endpoint.get("permissions")),
        needs_all: endpoint.get("mode").is_some(),
    });
    endpoints.collect()
}

/// Whether a template's path has the shape of an endpoint's: a variable stands where the endpoint has one, and nowhere else.
fn has_shape(template: &str, endpoint: &str) -> bool {
    let is_variable = |part: &str| part.starts_with('{') && part.ends_with('}');
    let (ours, theirs): (Vec<_>, Vec<_>) = (template.split('/').collect(), endpoint.split('/').collect());
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(&theirs)
            .all(|(ours, theirs)| ours == theirs || (is_variable(ours) && is_variable(theirs)))
}

/// What is wrong with a step's request, if anything is.
fn judge(step: &Step, endpoints: &[Endpoint]) -> Result<(), String> {
    let Action::Http(http) = &step.action else { return Err("it is no HTTP step".to_owned()) };
    let whole = http.url.source();
    let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
    let method = http.method.as_str();
    let Some(endpoint) =
        endpoints.iter().find(|endpoint| endpoint.method == method && has_shape(path, &endpoint.path))
    else {
        return Err(format!("the API has no {method} {path}"));
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !endpoint.query.contains(name) {
            return Err(format!("{method} {path} takes no `{name}`; it takes {:?}", endpoint.query));
        }
    }
    let ours: BTreeSet<_> = step.requires.permissions_any_of.iter().cloned().collect();
    let theirs = endpoint.permissions.clone().unwrap_or_default();
    if ours != theirs || (endpoint.needs_all && ours.len() > 1) {
        return Err(format!("{method} {path} needs any of {theirs:?}, the step says {ours:?}"));
    }
    if step.requires.scopes.is_empty() != theirs.is_empty() {
        return Err(format!("{method} {path}: scopes and permissions come together"));
    }
    Ok(())
}

fn genesys_steps() -> Vec<(&'static str, Step)> {
    let names = BUILT_IN.iter().map(|(name, _)| *name).filter(|name| name.starts_with("genesys/"));
    names
        .flat_map(|name| {
            let config = load(&using(name)).config;
            let steps = config.components[0].journey.clone();
            steps.into_iter().map(move |step| (name, step))
        })
        .collect()
}

/// A preset that asks for what the platform does not have would be down for ever; one whose permissions are wrong sends
/// somebody to grant the wrong ones.
#[test]
fn every_genesys_request_is_one_of_the_public_api() {
    let endpoints = endpoints();
    assert_eq!(endpoints.len(), 348);
    let steps = genesys_steps();
    assert!(steps.len() >= 17, "{}", steps.len());
    let wrong: Vec<String> = steps
        .iter()
        .filter_map(|(name, step)| Some(format!("{name}, {}: {}", step.name, judge(step, &endpoints).err()?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The comparison itself must notice what it is for.
#[test]
fn a_wrong_path_query_name_method_or_permission_is_noticed() {
    let endpoints = endpoints();
    let listing =
        genesys_steps().into_iter().find(|(name, _)| *name == "genesys/trunk-in-listing").unwrap().1;
    judge(&listing, &endpoints).unwrap();
    let with_url = |url: &str| {
        let mut step = listing.clone();
        let Action::Http(http) = &mut step.action else { panic!("it is no HTTP step") };
        http.url = warroom::config::template::Template::parse(url);
        judge(&step, &endpoints)
    };
    assert!(
        with_url("/api/v2/telephony/providers/edges/trunks?page_size=1")
            .unwrap_err()
            .contains("takes no `page_size`")
    );
    assert!(
        with_url("/api/v2/telephony/providers/edges/trunk?pageSize=1")
            .unwrap_err()
            .contains("the API has no GET")
    );
    assert!(with_url("/api/v2/telephony/providers/{x}/trunks").unwrap_err().contains("the API has no GET"));
    let mut step = listing.clone();
    step.requires.permissions_any_of = vec!["telephony:trunk:view".to_owned()];
    assert!(judge(&step, &endpoints).unwrap_err().contains("telephony:plugin:all"));
    let mut step = listing.clone();
    let Action::Http(http) = &mut step.action else { panic!("it is no HTTP step") };
    http.method = "DELETE".parse().unwrap();
    assert!(judge(&step, &endpoints).unwrap_err().contains("no DELETE"));
}
