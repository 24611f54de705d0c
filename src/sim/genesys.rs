//! A simulated Genesys Cloud: the recovery guide's own flow status beside the public API's shapes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::Path,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    scenario::State,
    service::Service,
    world::{TOKEN_LIFE, Visit, World, stamp, wrong},
};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/oauth/token", post(token))
        .route("/api/v2/date", get(date))
        .route("/api/v2/architect/flows/{flow}/versions/{version}/status", get(flow_status))
        .route("/api/v2/flows/{flow}", get(flow))
        .route("/api/v2/flows/executions", post(launch))
        .route("/api/v2/flows/executions/{execution}", get(execution))
        .route("/api/v2/flows/datatables/{table}/rows/{row}", get(datatable_row))
        .route("/api/v2/telephony/providers/edges/trunks/{trunk}", get(trunk))
        .route("/api/v2/telephony/providers/edges/trunks/{trunk}/metrics", get(trunk_metrics))
        .route("/api/v2/analytics/queues/observations/query", post(queue_observations))
}

async fn token(visit: Visit, body: Bytes) -> Response {
    let granted = body == "grant_type=client_credentials";
    let token = visit.token("genesys");
    visit
        .answer(Service::GenesysLogin, |scene| {
            if !granted || !scene.works {
                let error =
                    json!({ "error": "invalid_client", "description": "client credentials are invalid" });
                return (StatusCode::BAD_REQUEST, Json(error)).into_response();
            }
            let life = TOKEN_LIFE.as_secs();
            Json(json!({ "access_token": token, "token_type": "bearer", "expires_in": life })).into_response()
        })
        .await
}

async fn date(visit: Visit) -> Response {
    visit
        .answer(Service::GenesysDate, |scene| {
            Json(json!({ "currentDate": stamp(scene.now) })).into_response()
        })
        .await
}

async fn flow_status(visit: Visit, Path((flow, version)): Path<(String, String)>) -> Response {
    visit
        .answer(Service::GenesysFlow, |scene| {
            Json(json!({
                "id": flow,
                "version": version,
                "type": "CALLFLOW",
                "status": if scene.works { "ACTIVE" } else { "INACTIVE" },
                "healthCheck": {
                    "lastChecked": stamp(scene.now),
                    "result": if scene.works { "PASS" } else { "FAIL" },
                    "latencyMs": scene.latency.as_millis() as u64,
                },
            }))
            .into_response()
        })
        .await
}

async fn flow(visit: Visit, Path(flow): Path<String>) -> Response {
    visit
        .answer(Service::GenesysFlow, |scene| {
            Json(json!({
                "id": flow,
                "name": "Main IVR flow",
                "type": "WORKFLOW",
                "active": scene.works,
                "publishedVersion": { "id": "1.0", "selfUri": format!("/api/v2/flows/{flow}/versions/1.0") },
                "selfUri": format!("/api/v2/flows/{flow}"),
            }))
            .into_response()
        })
        .await
}

/// An execution's id carries when it was launched and by which request, so that nobody has to remember it.
async fn launch(visit: Visit, body: Bytes) -> Response {
    let asked: Option<Value> = serde_json::from_slice(&body).ok();
    let id = Uuid::from_u64_pair(visit.elapsed.as_millis() as u64, visit.serial);
    visit
        .answer(Service::GenesysExecution, |_| {
            let Some(flow) = asked.as_ref().and_then(|asked| asked.get("flowId")?.as_str()) else {
                let message = "The request could not be understood: `flowId` is missing";
                return wrong(StatusCode::BAD_REQUEST, "bad.request", message);
            };
            let version = asked.as_ref().and_then(|asked| asked.get("flowVersion")?.as_str()).unwrap_or("1.0");
            Json(json!({
                "id": id,
                "name": "synthetic",
                "flowVersion": { "id": version, "selfUri": format!("/api/v2/flows/{flow}/versions/{version}") },
                "selfUri": format!("/api/v2/flows/executions/{id}"),
            }))
            .into_response()
        })
        .await
}

async fn execution(visit: Visit, Path(id): Path<String>) -> Response {
    let (launched, request) = Uuid::parse_str(&id).map_or((u64::MAX, 0), |id| id.as_u64_pair());
    let launched = Duration::from_millis(launched);
    if launched > visit.elapsed || request == 0 || request >= visit.serial {
        return visit
            .answer(Service::GenesysExecution, |_| {
                wrong(StatusCode::NOT_FOUND, "not.found", "No such flow execution")
            })
            .await;
    }
    let running = Duration::from_millis(120 + fastrand::Rng::with_seed(request).u64(0..180));
    let failing = [visit.elapsed, launched]
        .into_iter()
        .any(|at| visit.condition_at(Service::GenesysExecution, at).state == State::Failing);
    let ended = visit.elapsed >= launched + running;
    let status = match (ended, failing) {
        (false, _) => "RUNNING",
        (true, true) => "FAILED",
        (true, false) => "COMPLETED",
    };
    let mut answer = json!({
        "id": id,
        "name": "synthetic",
        "dateLaunched": stamp(visit.wall_at(launched)),
        "status": status,
        "selfUri": format!("/api/v2/flows/executions/{id}"),
    });
    if ended {
        answer["dateCompleted"] = json!(stamp(visit.wall_at(launched + running)));
        if failing {
            let error = "The data action `CRM lookup` did not answer";
            answer["flowErrorInfo"] =
                json!({ "message": error, "code": "flow.execution.error", "status": 500 });
        } else {
            answer["outputData"] = json!({ "Flow.result": "ok" });
        }
    }
    visit.answer(Service::GenesysExecution, |_| Json(answer).into_response()).await
}

async fn datatable_row(visit: Visit, Path((_table, row)): Path<(String, String)>) -> Response {
    visit
        .answer(Service::GenesysDatatable, |scene| {
            if scene.works {
                Json(json!({ "key": row, "queue": "sales", "open": true })).into_response()
            } else {
                wrong(StatusCode::NOT_FOUND, "flows.datatables.row.not.found", "The row does not exist")
            }
        })
        .await
}

async fn trunk(visit: Visit, Path(trunk): Path<String>) -> Response {
    visit
        .answer(Service::GenesysTrunk, |scene| {
            let since = stamp(scene.since);
            let mut options = json!({
                "proxyAddress": "192.0.2.10:5061",
                "optionState": scene.works,
                "optionStateTime": since,
            });
            if !scene.works {
                options["errorInfo"] =
                    json!({ "text": "no answer to OPTIONS", "code": "sip.options.timeout" });
            }
            Json(json!({
                "id": trunk,
                "name": "SIP trunk us-east",
                "state": "active",
                "trunkType": "EXTERNAL",
                "enabled": true,
                "inService": scene.works,
                "connectedStatus": { "connected": scene.works, "connectedStateTime": since },
                "optionsStatus": [options],
                "optionsEnabledStatus": "ENABLED",
                "registersEnabledStatus": "NOT_SUPPORTED",
                "selfUri": format!("/api/v2/telephony/providers/edges/trunks/{trunk}"),
            }))
            .into_response()
        })
        .await
}

async fn trunk_metrics(visit: Visit, Path(trunk): Path<String>) -> Response {
    visit
        .answer(Service::GenesysTrunk, |scene| {
            let calls = if scene.works { scene.random.u32(40..120) } else { 0 };
            Json(json!({
                "eventTime": stamp(scene.now),
                "trunk": { "id": trunk },
                "calls": { "inboundCallCount": calls, "outboundCallCount": calls / 4 },
                "qos": { "mismatchCount": 0 },
            }))
            .into_response()
        })
        .await
}

async fn queue_observations(visit: Visit, body: Bytes) -> Response {
    let asked: Option<BTreeMap<String, Value>> = serde_json::from_slice(&body).ok();
    visit
        .answer(Service::GenesysQueue, |scene| {
            if asked.is_none_or(|asked| !asked.contains_key("filter")) {
                let message = "The request could not be understood: `filter` is missing";
                return wrong(StatusCode::BAD_REQUEST, "bad.request", message);
            }
            let metric = |name: &str, count: u32| json!({ "metric": name, "stats": { "count": count } });
            let results = if scene.works {
                let waiting = scene.random.u32(0..12);
                vec![json!({
                    "group": { "mediaType": "voice" },
                    "data": [metric("oWaiting", waiting), metric("oInteracting", scene.random.u32(20..60))],
                })]
            } else {
                Vec::new()
            };
            Json(json!({ "results": results })).into_response()
        })
        .await
}
