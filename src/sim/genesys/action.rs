//! Integrations, and data actions under test: which of their operations succeeded.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::Path,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::sim::{
    faults::wrong,
    service::Service,
    world::{Visit, World, stamp},
};

/// What a test does, in its order.
const OPERATIONS: [&str; 5] = [
    "Validate input",
    "Resolve request template",
    "Execute request",
    "Look up in the response",
    "Validate result",
];
/// The operation that sends the request, and the one that looks something up in its answer.
const REQUEST: usize = 2;
const LOOKUP: usize = 3;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v2/integrations/{integration}", get(integration))
        .route("/api/v2/integrations/actions/{action}/test", post(test))
        .route("/api/v2/integrations/actions/{action}/execute", post(execute))
}

async fn integration(visit: Visit, Path(id): Path<String>) -> Response {
    visit
        .about(&id)
        .answer(Service::GenesysIntegration, |scene| {
            let text = if scene.works { "Active" } else { "The integration reports an error" };
            Json(json!({
                "id": id,
                "name": "CRM",
                "integrationType": { "id": "custom-rest-actions" },
                "intendedState": "ENABLED",
                "reportedState": {
                    "code": if scene.works { "ACTIVE" } else { "ERROR" },
                    "effective": text,
                    "detail": { "message": text },
                    "lastUpdated": stamp(scene.since),
                },
                "selfUri": format!("/api/v2/integrations/{id}"),
            }))
            .into_response()
        })
        .await
}

/// The error of an operation that fails.
fn error(operation: usize) -> Value {
    match operation {
        REQUEST => json!({
            "message": "The request to the remote service failed with 503 Service Unavailable",
            "code": "bad.response.from.integration.service",
            "status": 502,
        }),
        _ => json!({
            "message": "The response holds no record for the given key",
            "code": "no.matching.record",
            "status": 404,
        }),
    }
}

/// The first operation that fails, if one does.
fn failing(visit: &Visit, works: bool) -> Option<usize> {
    let found = visit.condition(Service::GenesysLookup).state.works();
    if works { (!found).then_some(LOOKUP) } else { Some(REQUEST) }
}

async fn test(visit: Visit, Path(id): Path<String>, body: Bytes) -> Response {
    let visit = visit.about(&id);
    let input: Option<Value> = serde_json::from_slice(&body).ok().filter(Value::is_object);
    let works = visit.condition(Service::GenesysAction).state.works();
    let fails = failing(&visit, works);
    visit
        .answer(Service::GenesysAction, |_| {
            let Some(input) = input else {
                return wrong(StatusCode::BAD_REQUEST, "bad.request", "The input must be a JSON object");
            };
            let last = fails.unwrap_or(OPERATIONS.len() - 1);
            let operations: Vec<Value> = OPERATIONS
                .iter()
                .take(last + 1)
                .enumerate()
                .map(|(place, name)| {
                    let good = Some(place) != fails;
                    let mut operation = json!({ "step": place + 1, "name": name, "success": good });
                    if good {
                        operation["result"] = if place == 0 { input.clone() } else { json!({}) };
                    } else {
                        operation["error"] = error(place);
                    }
                    operation
                })
                .collect();
            let mut answer = json!({ "operations": operations, "success": fails.is_none() });
            match fails {
                None => answer["finalResult"] = json!({ "id": "synthetic-1", "name": "Synthetic Caller" }),
                Some(place) => answer["error"] = error(place),
            }
            Json(answer).into_response()
        })
        .await
}

async fn execute(visit: Visit, Path(id): Path<String>) -> Response {
    let visit = visit.about(&id);
    let works = visit.condition(Service::GenesysAction).state.works();
    let fails = failing(&visit, works);
    visit
        .answer(Service::GenesysAction, |_| match fails {
            None => Json(json!({ "id": "synthetic-1", "name": "Synthetic Caller" })).into_response(),
            Some(REQUEST) => {
                let message = "The request to the remote service failed with 503 Service Unavailable";
                wrong(StatusCode::BAD_GATEWAY, "bad.response.from.integration.service", message)
            }
            Some(_) => wrong(StatusCode::NOT_FOUND, "no.matching.record", "No record for the given key"),
        })
        .await
}
