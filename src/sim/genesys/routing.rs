//! What tells of a failover: number routing, the linked organisation, emergency groups, and IVRs.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Asked, Page, reference};
use crate::sim::{
    faults::wrong,
    service::Service,
    world::{Scene, Visit, World, stamp},
};

/// The organisation in the other region.
const OTHER: &str = "2e3d4c5b-0000-4000-8000-000000000000";
/// The region that the numbers of the linked organisation are in.
const OTHER_REGION: &str = "us-west-2";
/// The numbers that are listed.
const NUMBERS: [&str; 2] = ["d0000000-0000-4000-8000-000000000001", "d0000000-0000-4000-8000-000000000002"];
const GROUP: &str = "e0000000-0000-4000-8000-000000000001";
const IVR: &str = "f0000000-0000-4000-8000-000000000001";
const FLOW: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v2/telephony/numbers/routing", get(numbers))
        .route("/api/v2/telephony/organization/link", get(link))
        .route("/api/v2/architect/emergencygroups", get(groups))
        .route("/api/v2/architect/emergencygroups/{group}", get(group))
        .route("/api/v2/architect/ivrs/{ivr}", get(ivr))
}

/// Where calls to a number go: normally home, then on their way, then redirected.
fn number(id: &str, owner: &str, scene: &Scene) -> Value {
    let status = match (scene.moving, scene.away) {
        (true, _) => "Pending",
        (false, true) => "Redirected",
        (false, false) => "Normal",
    };
    let mut number = json!({
        "numberId": id,
        "ownerOrganizationId": owner,
        "carrierCode": "SIM",
        "region": &*scene.served_by,
        "status": status,
        "activeOrganizationId": if scene.away { OTHER } else { owner },
        "linkedOrganizationIds": [OTHER],
    });
    if scene.moving {
        number["pendingOrganizationId"] = json!(if scene.away { owner } else { OTHER });
    }
    number
}

async fn numbers(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let owner = visit.settings("genesys").organization;
    let mut ids = visit.named(Service::GenesysRouting);
    ids.extend(NUMBERS.map(str::to_owned));
    ids.retain(|id| asked.get("numberId").is_none_or(|wanted| wanted == id));
    if let Some(wanted) = asked.get("numberId").filter(|_| ids.is_empty()) {
        ids.push(wanted.clone());
    }
    let numbers: Vec<Value> = ids
        .iter()
        .map(|id| number(id, &owner, &visit.scene_of(Service::GenesysRouting, id)))
        .filter(|number| asked.get("status").is_none_or(|wanted| number["status"] == wanted.as_str()))
        .collect();
    visit
        .answer(Service::GenesysRouting, |scene| {
            let entities = if scene.works { numbers } else { Vec::new() };
            let uri = "/api/v2/telephony/numbers/routing";
            Json(json!({ "entities": entities, "selfUri": uri })).into_response()
        })
        .await
}

async fn link(visit: Visit) -> Response {
    let own = visit.settings("genesys").organization;
    visit
        .needing("telephony:organizationLink:view")
        .answer(Service::GenesysRouting, |scene| {
            Json(json!([{
                "sourceOrganizationId": own,
                "targetOrganizationId": OTHER,
                "sourceRegion": Service::GenesysRouting.served_by(),
                "targetRegion": OTHER_REGION,
                "targetName": "Simulated organisation, other region",
                "status": if scene.works { "Approved" } else { "Pending" },
            }]))
            .into_response()
        })
        .await
}

/// An emergency group is switched on while the calls go elsewhere.
fn emergency_group(id: &str, scene: &Scene) -> Value {
    json!({
        "id": id,
        "name": "Emergency routing",
        "version": if scene.away { 2 } else { 1 },
        "dateModified": stamp(scene.moved),
        "state": "active",
        "enabled": scene.away,
        "emergencyCallFlows": [{
            "emergencyFlow": reference(FLOW, "Emergency flow", "flows"),
            "ivrs": [reference(IVR, "Main number", "architect/ivrs")],
        }],
        "selfUri": format!("/api/v2/architect/emergencygroups/{id}"),
    })
}

async fn groups(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let mut ids = visit.named(Service::GenesysEmergency);
    ids.push(GROUP.to_owned());
    let page = Page::read(&asked);
    let cut = page.as_ref().map(|page| page.cut(&ids)).unwrap_or_default();
    let groups: Vec<Value> =
        cut.iter().map(|id| emergency_group(id, &visit.scene_of(Service::GenesysEmergency, id))).collect();
    visit
        .answer(Service::GenesysEmergency, |_| match page {
            Ok(page) => page.listing(&groups, ids.len(), "architect/emergencygroups"),
            Err(wrong) => *wrong,
        })
        .await
}

async fn group(visit: Visit, Path(id): Path<String>) -> Response {
    visit
        .about(&id)
        .answer(Service::GenesysEmergency, |scene| {
            if scene.works {
                Json(emergency_group(&id, scene)).into_response()
            } else {
                wrong(StatusCode::NOT_FOUND, "not.found", "No such emergency group")
            }
        })
        .await
}

async fn ivr(visit: Visit, Path(id): Path<String>) -> Response {
    visit
        .about(&id)
        .answer(Service::GenesysIvr, |scene| {
            let mut ivr = json!({
                "id": id,
                "name": "Main number",
                "version": 1,
                "dateModified": stamp(scene.since),
                "state": if scene.works { "active" } else { "inactive" },
                "dnis": ["+15550100"],
                "selfUri": format!("/api/v2/architect/ivrs/{id}"),
            });
            if scene.works {
                ivr["openHoursFlow"] = reference(FLOW, "Main IVR flow", "flows");
            }
            Json(ivr).into_response()
        })
        .await
}
