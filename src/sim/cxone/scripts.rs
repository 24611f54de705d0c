//! Scripts: started, signalled, ended; their contacts, and what they write into the CRM.
//!
//! The simulated script waits for a signal and goes the way that the signal's first parameter names: the contact's
//! state has that name from then on, and the parameters are written into the CRM.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Asked, TakesJson};
use crate::sim::{
    faults::refuse,
    local::crm_record,
    service::Service,
    world::{Visit, World, stamp},
};

/// A contact's id is this plus the number of the request that started it.
const FIRST_CONTACT: u64 = 40_000_000_000;
/// The state of a contact whose script waits.
const WAITING: &str = "Waiting";

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/incontactapi/services/{version}/scripts/search", get(search))
        .route("/incontactapi/services/{version}/scripts/start", post(start))
        .route("/incontactapi/services/{version}/interactions/{contact}/signal", post(signal))
        .route("/incontactapi/services/{version}/contacts/states", get(states))
        .route("/incontactapi/services/{version}/contacts/active", get(active))
        .route("/incontactapi/services/{version}/contacts/{contact}/end", post(end))
}

/// Where a contact's state is kept.
fn place(contact: u64) -> String {
    format!("cxone/contact/{contact}")
}

async fn search(visit: Visit, _: TakesJson, Query(asked): Query<Asked>) -> Response {
    visit
        .answer(Service::CxoneScript, |scene| {
            let name = asked.get("scriptName").filter(|name| !name.is_empty());
            let scripts: Vec<Value> = name
                .map(|name| {
                    json!({
                        "scriptId": 9_001,
                        "scriptName": name,
                        "status": if scene.works { "Active" } else { "Inactive" },
                    })
                })
                .into_iter()
                .collect();
            Json(json!({ "scripts": scripts })).into_response()
        })
        .await
}

async fn start(visit: Visit, _: TakesJson, Query(asked): Query<Asked>) -> Response {
    let contact = FIRST_CONTACT + visit.serial;
    let world = visit.world();
    visit
        .answer(Service::CxoneScript, |scene| {
            if !asked.contains_key("skillId")
                || !(asked.contains_key("scriptPath") || asked.contains_key("scriptId"))
            {
                return refuse(StatusCode::BAD_REQUEST, "skillId and scriptPath or scriptId are needed");
            }
            if !scene.works {
                return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the script could not be started");
            }
            world.records().put(&place(contact), json!(WAITING));
            (StatusCode::ACCEPTED, Json(json!({ "contactId": contact }))).into_response()
        })
        .await
}

async fn signal(
    visit: Visit,
    _: TakesJson,
    Path((_version, contact)): Path<(String, u64)>,
    Query(asked): Query<Asked>,
) -> Response {
    let world = visit.world();
    let crm_works = visit.condition(Service::EdgeRecords).state.works();
    visit
        .answer(Service::CxoneScript, |scene| {
            let state = world.records().get(&place(contact));
            if state.is_none_or(|state| state.is_null()) {
                return refuse(StatusCode::NOT_FOUND, "no such contact");
            }
            let parameters: Vec<&str> =
                (1..=9).map_while(|number| asked.get(&format!("p{number}")).map(String::as_str)).collect();
            let Some(branch) = parameters.first() else {
                return refuse(StatusCode::BAD_REQUEST, "the signal has no parameter p1");
            };
            if scene.works {
                world.records().put(&place(contact), json!(branch));
                if crm_works {
                    let written = json!({
                        "contactId": contact,
                        "branch": branch,
                        "values": parameters,
                        "updatedAt": stamp(scene.now),
                    });
                    world.records().put(&crm_record(&contact.to_string()), written);
                }
            }
            StatusCode::ACCEPTED.into_response()
        })
        .await
}

async fn states(visit: Visit, _: TakesJson) -> Response {
    visit
        .answer(Service::CxoneContacts, |scene| {
            let names: &[&str] =
                if scene.works { &["Inqueue", "Routing", "Active", "EndContact"] } else { &[] };
            let states: Vec<Value> = names
                .iter()
                .enumerate()
                .map(|(place, name)| {
                    json!({ "contactStateId": place + 1, "contactStateName": name, "description": name })
                })
                .collect();
            Json(json!({ "contactStates": states })).into_response()
        })
        .await
}

async fn active(visit: Visit, _: TakesJson, Query(asked): Query<Asked>) -> Response {
    let contact = asked.get("contactId").and_then(|id| id.parse::<u64>().ok());
    let state = contact.and_then(|contact| visit.world().records().get(&place(contact)));
    visit
        .answer(Service::CxoneContacts, |scene| {
            let shown: Vec<Value> = state
                .filter(|state| scene.works && !state.is_null())
                .map(|state| {
                    json!({
                        "contactId": contact,
                        "contactStateId": if state == WAITING { 1 } else { 3 },
                        "contactStateName": state,
                        "stateName": state,
                    })
                })
                .into_iter()
                .collect();
            Json(json!({ "lastPollTime": stamp(scene.now), "activeContacts": shown })).into_response()
        })
        .await
}

async fn end(visit: Visit, _: TakesJson, Path((_version, contact)): Path<(String, u64)>) -> Response {
    let known = contact > FIRST_CONTACT && contact < FIRST_CONTACT + visit.serial;
    let world = visit.world();
    visit
        .answer(Service::CxoneScript, |_| {
            if known {
                // A contact that has ended has no state; its id may be ended again.
                world.records().put(&place(contact), Value::Null);
                StatusCode::ACCEPTED.into_response()
            } else {
                refuse(StatusCode::NOT_FOUND, "no such contact")
            }
        })
        .await
}
