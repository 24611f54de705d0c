//! Queues and flows as analytics sees them now, and waiting times.

use std::{collections::BTreeMap, sync::Arc};

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
    world::{Visit, World},
};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v2/analytics/queues/observations/query", post(queue_observations))
        .route("/api/v2/analytics/flows/observations/query", post(flow_observations))
        .route("/api/v2/routing/queues/{queue}/estimatedwaittime", get(waiting_time))
}

async fn queue_observations(visit: Visit, body: Bytes) -> Response {
    observations(visit, &body, "queueId", &[("oWaiting", 0, 12), ("oInteracting", 20, 60)]).await
}

async fn flow_observations(visit: Visit, body: Bytes) -> Response {
    let visit = visit.needing("analytics:flowObservation:view");
    observations(visit, &body, "flowId", &[("oFlow", 10, 40)]).await
}

/// The value of the first predicate about a dimension.
fn value_of(filter: &Value, dimension: &str) -> Option<String> {
    let clauses = filter.get("clauses").and_then(Value::as_array).into_iter().flatten();
    let own = filter.get("predicates").and_then(Value::as_array).into_iter().flatten();
    own.filter(|predicate| predicate.get("dimension").and_then(Value::as_str) == Some(dimension))
        .find_map(|predicate| predicate.get("value")?.as_str().map(str::to_owned))
        .or_else(|| clauses.into_iter().find_map(|clause| value_of(clause, dimension)))
}

/// The metrics that were asked for, each with a figure from its bounds.
async fn observations(visit: Visit, body: &Bytes, dimension: &str, metrics: &[(&str, u32, u32)]) -> Response {
    let asked: Option<BTreeMap<String, Value>> = serde_json::from_slice(body).ok();
    let id = asked.as_ref().and_then(|asked| value_of(asked.get("filter")?, dimension));
    let wanted: Option<Vec<String>> = asked
        .as_ref()
        .and_then(|asked| asked.get("metrics")?.as_array())
        .map(|metrics| metrics.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
    let visit = match &id {
        Some(id) => visit.about(id),
        None => visit,
    };
    visit
        .answer(Service::GenesysQueue, |scene| {
            if asked.is_none_or(|asked| !asked.contains_key("filter")) {
                let message = "The request could not be understood: `filter` is missing";
                return wrong(StatusCode::BAD_REQUEST, "bad.request", message);
            }
            if !scene.works {
                return Json(json!({ "results": [] })).into_response();
            }
            let asked_for =
                |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one == name));
            let data: Vec<Value> = metrics
                .iter()
                .filter(|(name, ..)| asked_for(name))
                .map(|(name, from, to)| {
                    json!({ "metric": name, "stats": { "count": scene.random.u32(*from..*to) } })
                })
                .collect();
            let mut group = json!({ "mediaType": "voice" });
            if let Some(id) = id {
                group[dimension] = json!(id);
            }
            Json(json!({ "results": [{ "group": group, "data": data }] })).into_response()
        })
        .await
}

async fn waiting_time(visit: Visit, Path(queue): Path<String>) -> Response {
    visit
        .about(&queue)
        .needing("routing:queue:view")
        .answer(Service::GenesysQueue, |scene| {
            let results = if scene.works {
                let seconds = scene.random.u32(5..90);
                json!([{ "intent": "ALL", "formula": "BEST", "estimatedWaitTimeSeconds": seconds }])
            } else {
                json!([])
            };
            Json(json!({ "results": results })).into_response()
        })
        .await
}
