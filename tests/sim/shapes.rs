//! The answers of the simulated Genesys Cloud against the field names and types of the public API's models.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::Value;

use crate::{Simulation, TRUNKS};

/// Fields and their types, by model.
type Models = BTreeMap<String, BTreeMap<String, String>>;

fn models() -> Models {
    serde_json::from_str(include_str!("../data/genesys_models.json")).unwrap()
}

/// What is wrong with a value of a type, by place.
fn faults(models: &Models, value: &Value, kind: &str, place: &str, found: &mut Vec<String>) {
    if let Some(inner) = kind.strip_prefix("list[").and_then(|rest| rest.strip_suffix(']')) {
        let Some(list) = value.as_array() else { return found.push(format!("{place} is no list")) };
        for (number, element) in list.iter().enumerate() {
            faults(models, element, inner, &format!("{place}[{number}]"), found);
        }
        return;
    }
    if let Some(model) = models.get(kind) {
        let Some(fields) = value.as_object() else { return found.push(format!("{place} is no {kind}")) };
        for (name, value) in fields {
            match model.get(name) {
                Some(kind) => faults(models, value, kind, &format!("{place}.{name}"), found),
                None => found.push(format!("{place}: {kind} has no field {name}")),
            }
        }
        return;
    }
    let (kind, words) = kind.split_once(' ').unwrap_or((kind, ""));
    let good = match kind {
        "str" => {
            value.as_str().is_some_and(|text| words.is_empty() || words.split('|').any(|word| word == text))
        }
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "bool" => value.is_boolean(),
        "datetime" => value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        // A model that the table does not hold.
        _ => true,
    };
    if !good {
        found.push(format!("{place} is {value}, no {kind} {words}"));
    }
}

/// Everything that is asked for: method, path below `/api/v2`, body, model.
const ASKED: [(&str, &str, &str, &str); 27] = [
    ("GET", "/date", "", "ServerDate"),
    ("GET", "/tokens/me", "", "TokenInfo"),
    ("GET", "/organizations/limits/namespaces/platform.api", "", "LimitsEntityListing"),
    ("GET", "/flows/main", "", "Flow"),
    ("GET", "/flows/main/versions/1.0", "", "FlowVersion"),
    ("POST", "/flows/executions", r#"{"flowId":"main"}"#, "FlowExecutionLaunchResponse"),
    ("GET", "/flows/executions/EXECUTION", "", "FlowRuntimeExecution"),
    ("POST", "/integrations/actions/crm/test", "{}", "TestExecutionResult"),
    ("GET", "/integrations/crm", "", "Integration"),
    ("GET", "/telephony/providers/edges/trunks", "", "TrunkEntityListing"),
    ("GET", "/telephony/providers/edges/trunks?trunkType=EXTERNAL&pageSize=2", "", "TrunkEntityListing"),
    ("GET", "/telephony/providers/edges/trunks/use1", "", "Trunk"),
    ("GET", "/telephony/providers/edges/trunks/use1/metrics", "", "TrunkMetrics"),
    ("GET", "/telephony/providers/edges/trunks/metrics?trunkIds=a,b", "", "list[TrunkMetrics]"),
    ("GET", "/telephony/providers/edges", "", "{entities:list[Edge]}"),
    ("GET", "/telephony/providers/edges/one", "", "Edge"),
    ("GET", "/telephony/providers/edges/one/metrics", "", "EdgeMetrics"),
    ("GET", "/telephony/calls/metrics", "", "OrganizationCallMetrics"),
    ("GET", "/telephony/numbers/routing", "", "{entities:list[NumberRouting]}"),
    ("GET", "/telephony/organization/link", "", "list[OrganizationLinkResponse]"),
    ("GET", "/architect/emergencygroups", "", "{entities:list[EmergencyGroup]}"),
    ("GET", "/architect/emergencygroups/main", "", "EmergencyGroup"),
    ("GET", "/architect/ivrs/main", "", "IVR"),
    ("GET", "/routing/queues/sales/estimatedwaittime", "", "EstimatedWaitTimePredictions"),
    ("GET", "/telephony/providers/edges/trunks?pageSize=0", "", "ErrorBody"),
    ("POST", "/integrations/actions/crm/test", "wrong", "ErrorBody"),
    ("GET", "/flows/executions/nobody", "", "ErrorBody"),
];

/// Holds every answer against its model, with the platform in one state.
async fn hold(scenario: &str) {
    let sim = Simulation::with(scenario);
    let models = models();
    sim.clock.set(1_000);
    let mut found = Vec::new();
    let mut execution = String::new();
    for (method, path, body, model) in ASKED {
        if path.contains("EXECUTION") {
            sim.clock.set(5_000);
        }
        let path = format!("/genesys/api/v2{}", path.replace("EXECUTION", &execution));
        let answer = sim.ask(method.parse().unwrap(), &path, &[], body).await.unwrap();
        let good = answer.status == 200;
        let model = if good { model } else { "ErrorBody" };
        let json = answer.json();
        assert!(
            json.is_array() || json.as_object().is_some_and(|fields| !fields.is_empty()),
            "{path}: {json}"
        );
        match model.strip_prefix("{entities:").and_then(|rest| rest.strip_suffix('}')) {
            Some(entities) => faults(&models, &json["entities"], entities, &path, &mut found),
            None => faults(&models, &json, model, &path, &mut found),
        }
        if method == "POST" && path.ends_with("/executions") && good {
            json["id"].as_str().unwrap().clone_into(&mut execution);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn answers_in_peace_have_the_shapes_of_the_public_api() {
    hold("").await;
}

#[tokio::test(start_paused = true)]
async fn answers_in_trouble_have_the_shapes_of_the_public_api() {
    for state in ["failing", "down", "throttled", "forbidden"] {
        hold(&format!("[[changes]]\nat = '0s'\ntarget = 'genesys'\nstate = '{state}'\n")).await;
    }
    hold("[[failovers]]\nat = '0s'\nregion = 'us-east-1'\nto = 'us-west-2'\nafter = '500ms'\n").await;
    hold("[platforms.genesys]\nlimit = '1/min'\n").await;
    hold("demand_login = true\n").await;
}

#[test]
fn a_field_that_no_model_has_is_seen() {
    let mut found = Vec::new();
    let value = serde_json::json!({ "connected": "yes", "since": 1 });
    faults(&models(), &value, "TrunkConnectedStatus", "trunk", &mut found);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_read_page_by_page_without_a_gap() {
    let sim = Simulation::with("[platforms.genesys]\ntrunks = 57\n");
    let mut next = format!("{TRUNKS}?pageSize=20&trunkType=EXTERNAL");
    let (mut seen, mut sizes) = (std::collections::BTreeSet::new(), Vec::new());
    loop {
        let page = sim.get(&next).await.json();
        let entities = page["entities"].as_array().unwrap();
        assert_eq!((page["total"].as_u64(), page["pageCount"].as_u64()), (Some(57), Some(3)));
        sizes.push(entities.len());
        seen.extend(entities.iter().map(|trunk| trunk["id"].as_str().unwrap().to_owned()));
        match page["nextUri"].as_str() {
            Some(uri) => next = format!("/genesys{uri}"),
            None => break,
        }
    }
    assert_eq!((sizes, seen.len()), (vec![20, 20, 17], 57));
    let none = sim.get(&format!("{TRUNKS}?trunkType=PHONE")).await.json();
    assert_eq!((none["entities"].as_array().unwrap().len(), none["total"].as_u64()), (0, Some(0)));
    for wrong in ["pageNumber=0", "pageSize=0", "pageSize=many", "trunkType=OTHER"] {
        let answer = sim.ask(Method::GET, &format!("{TRUNKS}?{wrong}"), &[], "").await.unwrap();
        assert_eq!(answer.status, 400, "{wrong}");
    }
}
