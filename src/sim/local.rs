//! Simulated systems of a contact centre's own: CRM, agent desktop, dashboard, schedules, archive and backup.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    faults::wrong,
    service::Service,
    world::{Scene, Visit, World, stamp},
};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/edge/crm/ready", get(async |visit: Visit| ready(visit, Service::EdgeCrm).await))
        .route("/edge/crm/v1/contacts", get(contacts))
        .route("/edge/crm/v1/interactions/{interaction}", get(interaction))
        .route("/edge/agent/v1/session", get(async |visit: Visit| ready(visit, Service::EdgeAgent).await))
        .route("/edge/agent/v1/presence", get(presence))
        .route("/wem/dashboard", get(async |visit: Visit| ready(visit, Service::WemDashboard).await))
        .route("/wem/api/v1/metrics", get(metrics))
        .route("/wfm/ready", get(async |visit: Visit| ready(visit, Service::WfmSchedule).await))
        .route("/wfm/api/v1/schedules", get(schedules))
        .route("/archive/ready", get(async |visit: Visit| ready(visit, Service::ArchiveRecordings).await))
        .route("/archive/v1/recordings/latest", get(recording))
        .route("/archive/v1/exports", get(async |visit: Visit| ready(visit, Service::ArchiveExports).await))
        .route("/archive/v1/exports/latest", get(export))
        .route("/backup/ready", get(async |visit: Visit| ready(visit, Service::BackupSnapshots).await))
        .route("/backup/v1/snapshots/latest", get(snapshot))
}

/// A system's own word on itself.
async fn ready(visit: Visit, service: Service) -> Response {
    visit
        .answer(service, |scene| {
            let status = if scene.works { "ready" } else { "not ready" };
            Json(json!({ "status": status, "since": stamp(scene.since), "instance": &*scene.served_by }))
                .into_response()
        })
        .await
}

/// An answer that is empty where the system does not work.
async fn content(visit: Visit, service: Service, full: impl FnOnce(&mut Scene) -> Value + Send) -> Response {
    visit
        .answer(service, |scene| {
            let answer = if scene.works { full(scene) } else { json!({}) };
            Json(answer).into_response()
        })
        .await
}

async fn contacts(visit: Visit, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    visit
        .answer(Service::EdgeContacts, |scene| {
            let Some(phone) = asked.get("phone").filter(|phone| !phone.is_empty()) else {
                return wrong(StatusCode::BAD_REQUEST, "bad.request", "`phone` is missing");
            };
            let found = if scene.works {
                vec![json!({ "id": "synthetic-1", "name": "Synthetic Caller", "phone": phone })]
            } else {
                Vec::new()
            };
            Json(json!({ "contacts": found })).into_response()
        })
        .await
}

/// Where the CRM keeps what a script wrote.
pub(super) fn crm_record(interaction: &str) -> String {
    format!("edge/crm/{interaction}")
}

/// What a script wrote about an interaction.
async fn interaction(visit: Visit, Path(interaction): Path<String>) -> Response {
    let visit = visit.about(&interaction);
    let found = visit.world().records().get(&crm_record(&interaction));
    visit
        .answer(Service::EdgeRecords, |scene| match found.filter(|_| scene.works) {
            Some(found) => Json(found).into_response(),
            None => wrong(StatusCode::NOT_FOUND, "not.found", "The CRM has no such interaction"),
        })
        .await
}

async fn presence(visit: Visit) -> Response {
    content(visit, Service::EdgeAgent, |scene| json!({ "online": scene.random.u32(30..45) })).await
}

async fn metrics(visit: Visit) -> Response {
    content(
        visit,
        Service::WemDashboard,
        |scene| json!({ "adherence": scene.random.u32(88..97), "updatedAt": stamp(scene.now) }),
    )
    .await
}

async fn schedules(visit: Visit) -> Response {
    content(visit, Service::WfmSchedule, |scene| json!({ "shifts": scene.random.u32(20..30) })).await
}

async fn recording(visit: Visit) -> Response {
    content(
        visit,
        Service::ArchiveRecordings,
        |scene| json!({ "recording": "synthetic-1", "bytes": scene.random.u32(200_000..900_000) }),
    )
    .await
}

async fn export(visit: Visit) -> Response {
    content(visit, Service::ArchiveExports, |scene| json!({ "rows": scene.random.u32(1_000..9_000) })).await
}

async fn snapshot(visit: Visit) -> Response {
    content(
        visit,
        Service::BackupSnapshots,
        |scene| json!({ "snapshot": scene.now.format("%Y-%m-%d").to_string(), "complete": true }),
    )
    .await
}
