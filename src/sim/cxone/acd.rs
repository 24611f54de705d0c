//! The site, the clock, and what the ACD says of skills, agents and points of contact; and business continuity.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::TakesJson;
use crate::sim::{
    service::Service,
    world::{Scene, Visit, World, stamp},
};

/// The skills of the listing.
const SKILLS: [&str; 2] = ["4711", "4712"];
/// The tenant in the other region.
const OTHER: &str = "22ee0000-0000-4000-8000-0000000c0ffe";

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/platform/v2/sites/{site}/health", get(site_health))
        .route("/incontactapi/apiversion", get(versions))
        .route("/incontactapi/services/{version}/server-time", get(server_time))
        .route("/incontactapi/services/{version}/skills/activity", get(skills_activity))
        .route("/incontactapi/services/{version}/skills/{skill}/activity", get(skill_activity))
        .route("/incontactapi/services/{version}/agents/states", get(agent_states))
        .route("/incontactapi/services/{version}/points-of-contact", get(points_of_contact))
        .route("/dr-manager/v1/tenant/{tenant}/config", get(continuity))
}

/// The recovery guide's own endpoint, which the public API does not have.
async fn site_health(visit: Visit, Path(site): Path<String>) -> Response {
    let moved = visit.condition(Service::CxoneSite).served_by;
    visit
        .answer(Service::CxoneSite, |scene| {
            Json(json!({
                "siteId": moved.as_deref().unwrap_or(&site),
                "status": if scene.works { "HEALTHY" } else { "DEGRADED" },
                "components": {
                    "telephony": "UP",
                    "orchestration": "UP",
                    "dataStore": if scene.works { "UP" } else { "DOWN" },
                },
                "lastProbed": stamp(scene.now),
                "responseTimeMs": scene.latency.as_millis() as u64,
            }))
            .into_response()
        })
        .await
}

async fn versions(visit: Visit, _: TakesJson) -> Response {
    visit
        .answer(Service::CxoneTime, |_| {
            let versions: Vec<Value> = (23..=33).map(|number| json!(format!("v{number}.0"))).collect();
            Json(json!({ "versions": versions })).into_response()
        })
        .await
}

async fn server_time(visit: Visit, _: TakesJson) -> Response {
    visit
        .answer(Service::CxoneTime, |scene| Json(json!({ "ServerTime": stamp(scene.now) })).into_response())
        .await
}

async fn skills_activity(visit: Visit, _: TakesJson) -> Response {
    visit.answer(Service::CxoneSkills, |scene| activity(scene, &SKILLS)).await
}

async fn skill_activity(
    visit: Visit,
    _: TakesJson,
    Path((_version, skill)): Path<(String, String)>,
) -> Response {
    visit.about(&skill).answer(Service::CxoneSkills, |scene| activity(scene, &[&skill])).await
}

fn activity(scene: &mut Scene, skills: &[&str]) -> Response {
    let now = stamp(scene.now);
    let skills: Vec<Value> = skills
        .iter()
        .map(|skill| {
            json!({
                "skillId": skill,
                "serverTime": now,
                "queueCount": scene.random.u32(0..9),
                "agentsAvailable": scene.random.u32(3..12),
                "inSLA": scene.random.u32(80..120),
                "outSLA": scene.random.u32(0..6),
            })
        })
        .collect();
    let shown = if scene.works { skills } else { Vec::new() };
    Json(json!({ "lastPollTime": now, "skillActivity": shown })).into_response()
}

async fn agent_states(visit: Visit, _: TakesJson) -> Response {
    visit
        .answer(Service::CxoneAgents, |scene| {
            let state = |id: u32, name: &str, agent: u32| {
                json!({ "agentId": agent, "agentStateId": id, "agentStateName": name })
            };
            let states = if scene.works {
                vec![state(1, "Available", 101), state(1, "Available", 102), state(3, "Working", 103)]
            } else {
                Vec::new()
            };
            Json(json!({ "lastPollTime": stamp(scene.now), "agentStates": states })).into_response()
        })
        .await
}

async fn points_of_contact(visit: Visit, _: TakesJson) -> Response {
    visit
        .answer(Service::CxonePoints, |scene| {
            let points: Vec<Value> =
                [("+15550100", "synthetic\\rto-check"), ("chat-synthetic", "synthetic\\chat")]
                    .iter()
                    .enumerate()
                    .map(|(place, (address, script))| {
                        json!({
                            "contactCode": 7_000 + place,
                            "contactAddress": address,
                            "contactDescription": "synthetic",
                            "scriptName": script,
                            "isActive": scene.works,
                        })
                    })
                    .collect();
            Json(json!({ "pointsOfContact": points })).into_response()
        })
        .await
}

/// Multi-Region Business Continuity: in effect while somebody else serves; its version counts the switches.
async fn continuity(visit: Visit, _: TakesJson, Path(tenant): Path<String>) -> Response {
    visit
        .answer(Service::CxoneBcp, |scene| {
            Json(json!({
                "tenantId": tenant,
                "drEnabled": scene.away,
                "multiRegionHA": true,
                "version": if scene.away { 2 } else { 1 },
                "primaryTenantRegion": Service::CxoneBcp.served_by(),
                "secondaryTenants": [{
                    "tenantId": OTHER,
                    "region": if scene.away { &*scene.served_by } else { "prod-us-west-1" },
                    "active": scene.away,
                }],
                "entitySyncConfiguration": [{ "entity": "skills", "enabled": scene.works }],
                "lastModified": stamp(scene.moved),
            }))
            .into_response()
        })
        .await
}
