//! Trunks, edges and call capacity as the platform sees them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Asked, Page, reference};
use crate::sim::{
    faults::wrong,
    service::Service,
    world::{Scene, Visit, World, stamp},
};

/// The first half of the ids of trunks and edges; the second half counts.
const TRUNKS: u64 = 0x7c9e_6679_7425_40de;
const EDGES: u64 = 0x5e11_6679_7425_40de;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v2/telephony/providers/edges/trunks", get(trunks))
        .route("/api/v2/telephony/providers/edges/trunks/metrics", get(metrics_of_trunks))
        .route("/api/v2/telephony/providers/edges/trunks/{trunk}", get(trunk))
        .route("/api/v2/telephony/providers/edges/trunks/{trunk}/metrics", get(trunk_metrics))
        .route("/api/v2/telephony/providers/edges", get(edges))
        .route("/api/v2/telephony/providers/edges/{edge}", get(edge))
        .route("/api/v2/telephony/providers/edges/{edge}/metrics", get(edge_metrics))
        .route("/api/v2/telephony/calls/metrics", get(calls))
}

/// The ids that a listing holds: those that the scenario names, and so many more.
fn listed(visit: &Visit, service: Service, first_half: u64, count: u32) -> Vec<String> {
    let mut ids = visit.named(service);
    let more = (1..=u64::from(count))
        .map(|number| Uuid::from_u64_pair(first_half, 0x944b_0000_0000_0000 | number).to_string());
    for id in more {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn trunk_body(id: &str, scene: &Scene) -> Value {
    let since = stamp(scene.since);
    let mut options = json!({
        "proxyAddress": "192.0.2.10:5061",
        "optionState": scene.works,
        "optionStateTime": since,
    });
    if !scene.works {
        options["errorInfo"] = json!({ "text": "no answer to OPTIONS", "code": "sip.options.timeout" });
    }
    json!({
        "id": id,
        "name": format!("SIP trunk {}", id.rsplit('-').next().unwrap_or(id).trim_start_matches('0')),
        "state": "active",
        "trunkType": "EXTERNAL",
        "edge": reference(&Uuid::from_u64_pair(EDGES, 0x944b_0000_0000_0001).to_string(), "edge 1", "telephony/providers/edges"),
        "inService": scene.works,
        "enabled": true,
        "connectedStatus": { "connected": scene.works, "connectedStateTime": since },
        "optionsStatus": [options],
        "optionsEnabledStatus": "ENABLED",
        "registersEnabledStatus": "NOT_SUPPORTED",
        "proxyAddressList": ["192.0.2.10:5061"],
        "selfUri": format!("/api/v2/telephony/providers/edges/trunks/{id}"),
    })
}

async fn trunks(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let mut ids = listed(&visit, Service::GenesysTrunk, TRUNKS, visit.settings("genesys").trunks);
    let kind = asked.get("trunkType").map(String::as_str);
    if kind.is_some_and(|kind| kind != "EXTERNAL") {
        ids.clear();
    }
    let page = Page::read(&asked);
    let cut = page.as_ref().map(|page| page.cut(&ids)).unwrap_or_default();
    let trunks: Vec<Value> =
        cut.iter().map(|id| trunk_body(id, &visit.scene_of(Service::GenesysTrunk, id))).collect();
    visit
        .answer(Service::GenesysTrunk, |_| {
            if kind.is_some_and(|kind| !matches!(kind, "EXTERNAL" | "PHONE" | "EDGE")) {
                return wrong(StatusCode::BAD_REQUEST, "bad.request", "`trunkType` is not one of the known");
            }
            let path = match kind {
                Some(kind) => format!("telephony/providers/edges/trunks?trunkType={kind}"),
                None => "telephony/providers/edges/trunks".to_owned(),
            };
            match page {
                Ok(page) => page.listing(&trunks, ids.len(), &path),
                Err(wrong) => *wrong,
            }
        })
        .await
}

async fn trunk(visit: Visit, Path(id): Path<String>) -> Response {
    visit.about(&id).answer(Service::GenesysTrunk, |scene| Json(trunk_body(&id, scene)).into_response()).await
}

fn metrics_body(id: &str, scene: &mut Scene) -> Value {
    let calls = if scene.works { scene.random.u32(40..120) } else { 0 };
    json!({
        "eventTime": stamp(scene.now),
        "trunk": { "id": id },
        "calls": { "inboundCallCount": calls, "outboundCallCount": calls / 4 },
        "qos": { "mismatchCount": 0 },
    })
}

async fn trunk_metrics(visit: Visit, Path(id): Path<String>) -> Response {
    visit
        .about(&id)
        .answer(Service::GenesysTrunk, |scene| Json(metrics_body(&id, scene)).into_response())
        .await
}

async fn metrics_of_trunks(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let ids = asked.get("trunkIds").filter(|ids| !ids.is_empty());
    let metrics: Vec<Value> = ids
        .into_iter()
        .flat_map(|ids| ids.split(','))
        .map(|id| metrics_body(id, &mut visit.scene_of(Service::GenesysTrunk, id)))
        .collect();
    visit
        .answer(Service::GenesysTrunk, |_| {
            if metrics.is_empty() {
                return wrong(StatusCode::BAD_REQUEST, "bad.request", "`trunkIds` is missing");
            }
            Json(metrics).into_response()
        })
        .await
}

fn edge_body(id: &str, scene: &Scene) -> Value {
    json!({
        "id": id,
        "name": format!("edge {}", id.rsplit('-').next().unwrap_or(id).trim_start_matches('0')),
        "version": 1,
        "state": "active",
        "softwareVersion": "1.0.0.0",
        "statusCode": if scene.works { "ACTIVE" } else { "INACTIVE" },
        "site": { "id": "51100000-0000-4000-8000-000000000001", "name": &*scene.served_by },
        "onlineStatus": if scene.works { "ONLINE" } else { "OFFLINE" },
        "physicalEdge": false,
        "managed": true,
        "edgeDeploymentType": "CDM",
        "callDrainingState": "NONE",
        "conversationCount": if scene.works { 42 } else { 0 },
        "selfUri": format!("/api/v2/telephony/providers/edges/{id}"),
    })
}

async fn edges(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let ids = listed(&visit, Service::GenesysEdge, EDGES, visit.settings("genesys").edges);
    let page = Page::read(&asked);
    let cut = page.as_ref().map(|page| page.cut(&ids)).unwrap_or_default();
    let edges: Vec<Value> =
        cut.iter().map(|id| edge_body(id, &visit.scene_of(Service::GenesysEdge, id))).collect();
    visit
        .answer(Service::GenesysEdge, |_| match page {
            Ok(page) => page.listing(&edges, ids.len(), "telephony/providers/edges"),
            Err(wrong) => *wrong,
        })
        .await
}

async fn edge(visit: Visit, Path(id): Path<String>) -> Response {
    visit.about(&id).answer(Service::GenesysEdge, |scene| Json(edge_body(&id, scene)).into_response()).await
}

async fn edge_metrics(visit: Visit, Path(id): Path<String>) -> Response {
    visit
        .about(&id)
        .answer(Service::GenesysEdge, |scene| {
            let busy = if scene.works { f64::from(scene.random.u32(5..40)) } else { 0.0 };
            Json(json!({
                "edge": reference(&id, "edge", "telephony/providers/edges"),
                "eventTime": stamp(scene.now),
                "upTimeMsec": (scene.now - scene.since).num_milliseconds(),
                "processors": [{ "cpuId": "0", "activeTimePct": busy, "idleTimePct": 100.0 - busy }],
                "memory": [{ "type": "physical", "availableBytes": 6.0e9, "totalBytes": 8.0e9 }],
            }))
            .into_response()
        })
        .await
}

async fn calls(visit: Visit) -> Response {
    visit
        .answer(Service::GenesysCalls, |scene| {
            let most = 1_000;
            // Out of order is: full, and no more is coming.
            let now = if scene.works { scene.random.u32(100..300) } else { most };
            Json(json!({
                "usage": f64::from(now) / f64::from(most),
                "autoScalingTriggerPercentage": 0.7,
                "cpuIntensity": if scene.works { "Low" } else { "High" },
                "memoryIntensity": "Low",
                "concurrentCallCount": now,
                "concurrentCallSessionCount": now,
                "maxCallCapacity": most,
                "maxCallSessionCapacity": most,
                "autoScaleInProgress": "None",
            }))
            .into_response()
        })
        .await
}
