//! A simulated `CXone`: the recovery guide's own site health beside the public API's shapes.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::{StatusCode, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    service::Service,
    world::{Scene, TOKEN_LIFE, Visit, World, stamp},
};

/// A contact's id is this plus the number of the request that started it.
const FIRST_CONTACT: u64 = 40_000_000_000;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/authentication/v1/token/access-key", post(token))
        .route("/platform/v2/sites/{site}/health", get(site_health))
        .route("/incontactapi/services/{version}/server-time", get(server_time))
        .route("/incontactapi/services/{version}/skills/activity", get(skills_activity))
        .route("/incontactapi/services/{version}/skills/{skill}/activity", get(skill_activity))
        .route("/incontactapi/services/{version}/scripts/start", post(start_script))
        .route("/incontactapi/services/{version}/contacts/{contact}/end", post(end_contact))
}

async fn token(visit: Visit, body: Bytes) -> Response {
    let asked: Option<BTreeMap<String, Value>> = serde_json::from_slice(&body).ok();
    let given = |key: &str| {
        asked
            .as_ref()
            .and_then(|asked| asked.get(key))
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    let good = given("accessKeyId") && given("accessKeySecret");
    let token = visit.token("cxone");
    visit
        .answer(Service::CxoneLogin, |scene| {
            if !good || !scene.works {
                return refuse(StatusCode::UNAUTHORIZED, "the access key is not valid");
            }
            Json(json!({
                "access_token": token,
                "token_type": "Bearer",
                "refresh_token": format!("refresh-{token}"),
                "expires_in": TOKEN_LIFE.as_secs(),
            }))
            .into_response()
        })
        .await
}

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

async fn server_time(visit: Visit) -> Response {
    visit
        .answer(Service::CxoneTime, |scene| Json(json!({ "ServerTime": stamp(scene.now) })).into_response())
        .await
}

async fn skills_activity(visit: Visit) -> Response {
    visit.answer(Service::CxoneSkills, |scene| activity(scene, &["4711", "4712"])).await
}

async fn skill_activity(visit: Visit, Path((_version, skill)): Path<(String, String)>) -> Response {
    visit.answer(Service::CxoneSkills, |scene| activity(scene, &[&skill])).await
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
                "agentsAvailable": if scene.works { scene.random.u32(3..12) } else { 0 },
                "inSLA": scene.random.u32(80..120),
                "outSLA": scene.random.u32(0..6),
            })
        })
        .collect();
    let shown = if scene.works { skills } else { Vec::new() };
    Json(json!({ "lastPollTime": now, "skillActivity": shown })).into_response()
}

async fn start_script(visit: Visit, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let contact = FIRST_CONTACT + visit.serial;
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
            (StatusCode::ACCEPTED, Json(json!({ "contactId": contact }))).into_response()
        })
        .await
}

async fn end_contact(visit: Visit, Path((_version, contact)): Path<(String, u64)>) -> Response {
    let known = contact > FIRST_CONTACT && contact < FIRST_CONTACT + visit.serial;
    visit
        .answer(Service::CxoneScript, |_| {
            if known {
                StatusCode::ACCEPTED.into_response()
            } else {
                refuse(StatusCode::NOT_FOUND, "no such contact")
            }
        })
        .await
}

/// `CXone` says why in a header.
fn refuse(status: StatusCode, why: &'static str) -> Response {
    let mut response = (status, Json(json!({ "error_description": why }))).into_response();
    response.headers_mut().insert("icstatusdescription", HeaderValue::from_static(why));
    response
}
