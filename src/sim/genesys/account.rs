//! Logging in, what a token may do, the organisation's limits, and the platform's time.

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
    service::Service,
    tokens::Kind,
    world::{Visit, World, stamp},
};

/// The client that every token belongs to.
const CLIENT: &str = "0c1d2e3f-0000-4000-8000-000000000000";

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/oauth/token", post(token))
        .route("/api/v2/date", get(date))
        .route("/api/v2/tokens/me", get(token_info))
        .route("/api/v2/authorization/subjects/me", get(subject))
        .route("/api/v2/organizations/limits/namespaces/{namespace}", get(limits))
}

async fn token(visit: Visit, body: Bytes) -> Response {
    let granted = url::form_urlencoded::parse(&body)
        .any(|(key, value)| key == "grant_type" && value == "client_credentials");
    let settings = visit.settings("genesys");
    let admitted = visit.basic().is_some_and(|(id, secret)| settings.admits(&id, &secret));
    let token = visit.issue("genesys", Kind::Access);
    visit
        .answer(Service::GenesysLogin, |scene| {
            if !granted {
                return refused("unsupported_grant_type", "the grant is not one of client credentials");
            }
            if !admitted || !scene.works {
                return refused("invalid_client", "client not found: invalid_client");
            }
            let life = settings.token_life.as_secs();
            Json(json!({ "access_token": token, "token_type": "bearer", "expires_in": life })).into_response()
        })
        .await
}

/// A refused login (RFC 6749, section 5.2), with Genesys Cloud's own `description`.
fn refused(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "description": description, "error_description": description });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn date(visit: Visit) -> Response {
    visit
        .answer(Service::GenesysDate, |scene| {
            Json(json!({ "currentDate": stamp(scene.now) })).into_response()
        })
        .await
}

async fn token_info(visit: Visit) -> Response {
    let settings = visit.settings("genesys");
    visit
        .answer(Service::GenesysAccount, |_| {
            let organization = json!({ "id": settings.organization, "name": "Simulated organisation" });
            Json(json!({
                "organization": organization,
                "homeOrganization": organization,
                "authorizedScope": settings.scopes,
                "OAuthClient": { "id": CLIENT, "name": "warroom", "organization": organization },
            }))
            .into_response()
        })
        .await
}

/// The token's permissions as the policies of one role: `domain:entityName:action`.
async fn subject(visit: Visit) -> Response {
    let mut policies: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for permission in visit.permissions("genesys") {
        let mut parts = permission.splitn(3, ':');
        if let (Some(domain), Some(entity), Some(action)) = (parts.next(), parts.next(), parts.next()) {
            policies.entry((domain, entity)).or_default().push(action);
        }
    }
    let policies: Vec<Value> = policies
        .into_iter()
        .map(|((domain, entity), actions)| {
            json!({ "domain": domain, "entityName": entity, "actions": actions })
        })
        .collect();
    visit
        .answer(Service::GenesysAccount, |scene| {
            Json(json!({
                "id": CLIENT,
                "name": "warroom",
                "grants": [{
                    "subjectId": CLIENT,
                    "division": { "id": "*", "name": "all divisions", "homeDivision": false },
                    "role": {
                        "id": "5a6b7c8d-0000-4000-8000-000000000000",
                        "name": "Recovery measurement",
                        "policies": policies,
                        "default": false,
                    },
                    "grantMadeAt": stamp(scene.since),
                }],
                "version": 1,
            }))
            .into_response()
        })
        .await
}

async fn limits(visit: Visit, Path(namespace): Path<String>) -> Response {
    let per_minute = visit
        .settings("genesys")
        .limit
        .map_or(0, |limit| u64::from(limit.requests.get()) * 60 / limit.per.as_secs().max(1));
    visit
        .answer(Service::GenesysAccount, |_| {
            let known: &[(&str, u64)] = match namespace.as_str() {
                "platform.api" => &[
                    ("client.credentials.token.rate.per.minute", per_minute),
                    ("token.rate.per.minute", per_minute),
                    ("request.bytes.max", 512_000),
                ],
                _ => &[],
            };
            let entities: Vec<Value> = known
                .iter()
                .map(|(key, value)| json!({ "key": key, "namespace": namespace, "value": value }))
                .collect();
            Json(json!({ "entities": entities })).into_response()
        })
        .await
}
