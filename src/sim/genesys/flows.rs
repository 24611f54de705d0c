//! Flows, their runs, and rows of data tables.

use std::{sync::Arc, time::Duration};

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

use crate::sim::{
    faults::wrong,
    scenario::State,
    service::Service,
    world::{Scene, Visit, World, stamp},
};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v2/architect/flows/{flow}/versions/{version}/status", get(flow_status))
        .route("/api/v2/flows/{flow}", get(flow))
        .route("/api/v2/flows/{flow}/versions/{version}", get(flow_version))
        .route("/api/v2/flows/executions", post(launch))
        .route("/api/v2/flows/executions/{execution}", get(execution))
        .route("/api/v2/flows/datatables/{table}/rows/{row}", get(row).put(put_row))
}

/// The recovery guide's own endpoint, which the public API does not have.
async fn flow_status(visit: Visit, Path((flow, version)): Path<(String, String)>) -> Response {
    visit
        .about(&flow)
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

/// The version that is published: another one where the flow is served elsewhere.
fn published(flow: &str, scene: &Scene) -> Value {
    version(flow, if scene.away { "2.0" } else { "1.0" }, scene)
}

fn version(flow: &str, version: &str, scene: &Scene) -> Value {
    json!({
        "id": version,
        "name": version,
        "commitVersion": version,
        "type": "PUBLISH",
        "secure": false,
        "debug": false,
        "datePublished": stamp(scene.moved),
        "selfUri": format!("/api/v2/flows/{flow}/versions/{version}"),
    })
}

async fn flow(visit: Visit, Path(flow): Path<String>) -> Response {
    visit
        .about(&flow)
        .answer(Service::GenesysFlow, |scene| {
            let published = published(&flow, scene);
            Json(json!({
                "id": flow,
                "name": "Main IVR flow",
                "type": "WORKFLOW",
                "active": scene.works,
                "system": false,
                "deleted": false,
                "publishedVersion": published,
                "checkedInVersion": published,
                "savedVersion": published,
                "selfUri": format!("/api/v2/flows/{flow}"),
            }))
            .into_response()
        })
        .await
}

async fn flow_version(visit: Visit, Path((flow, asked)): Path<(String, String)>) -> Response {
    visit
        .about(&flow)
        .answer(Service::GenesysFlow, |scene| Json(version(&flow, &asked, scene)).into_response())
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
            let version =
                asked.as_ref().and_then(|asked| asked.get("flowVersion")?.as_str()).unwrap_or("1.0");
            Json(json!({
                "id": id,
                "name": "synthetic",
                "flowVersion": {
                    "id": version,
                    "name": version,
                    "selfUri": format!("/api/v2/flows/{flow}/versions/{version}"),
                },
                "selfUri": format!("/api/v2/flows/executions/{id}"),
            }))
            .into_response()
        })
        .await
}

async fn execution(visit: Visit, Path(id): Path<String>) -> Response {
    const SERVICE: Service = Service::GenesysExecution;
    let visit = visit.needing("architect:flowExecution:view");
    let (launched, request) = Uuid::parse_str(&id).map_or((u64::MAX, 0), |id| id.as_u64_pair());
    let launched = Duration::from_millis(launched);
    if launched > visit.elapsed || request == 0 || request >= visit.serial {
        return visit
            .answer(SERVICE, |_| wrong(StatusCode::NOT_FOUND, "not.found", "No such flow execution"))
            .await;
    }
    let running = Duration::from_millis(120 + fastrand::Rng::with_seed(request).u64(0..180));
    let failing = [visit.elapsed, launched]
        .into_iter()
        .any(|at| visit.condition_at(SERVICE, at).state == State::Failing);
    let ended = visit.elapsed >= launched + running;
    let status = match (ended, failing) {
        (false, _) => "RUNNING",
        (true, true) => "FAILED",
        (true, false) => "COMPLETED",
    };
    let mut answer = json!({
        "id": id,
        "name": "synthetic",
        "dateLaunched": stamp(visit.wall_at(SERVICE, launched)),
        "status": status,
        "selfUri": format!("/api/v2/flows/executions/{id}"),
    });
    if ended {
        answer["dateCompleted"] = json!(stamp(visit.wall_at(SERVICE, launched + running)));
        if failing {
            let error = "The data action `CRM lookup` did not answer";
            answer["flowErrorInfo"] =
                json!({ "message": error, "code": "flow.execution.error", "status": 500 });
        } else {
            answer["outputData"] = json!({ "Flow.result": "ok" });
        }
    }
    visit.answer(SERVICE, |_| Json(answer).into_response()).await
}

/// Where a row is kept that was written.
fn place(table: &str, row: &str) -> String {
    format!("genesys/datatable/{table}/{row}")
}

async fn row(visit: Visit, Path((table, row)): Path<(String, String)>) -> Response {
    let visit = visit.about(&row);
    let written = visit.world().records().get(&place(&table, &row));
    visit
        .answer(Service::GenesysDatatable, |scene| {
            if scene.works {
                let usual = || json!({ "key": row, "queue": "sales", "open": true });
                Json(written.unwrap_or_else(usual)).into_response()
            } else {
                wrong(StatusCode::NOT_FOUND, "flows.datatables.row.not.found", "The row does not exist")
            }
        })
        .await
}

async fn put_row(visit: Visit, Path((table, row)): Path<(String, String)>, body: Bytes) -> Response {
    let visit = visit.about(&row).needing("architect:datatableRow:edit");
    let asked: Option<Value> = serde_json::from_slice(&body).ok().filter(Value::is_object);
    let world = visit.world();
    visit
        .answer(Service::GenesysDatatable, |scene| {
            let Some(asked) = asked.filter(|asked| asked.get("key").is_none_or(|key| *key == json!(row)))
            else {
                let message = "The row must be a JSON object, and its `key` that of the path";
                return wrong(StatusCode::BAD_REQUEST, "bad.request", message);
            };
            if !scene.works {
                return wrong(StatusCode::CONFLICT, "flows.datatables.row.locked", "The table is locked");
            }
            world.records().put(&place(&table, &row), asked.clone());
            Json(asked).into_response()
        })
        .await
}
