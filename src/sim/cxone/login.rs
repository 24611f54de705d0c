//! Logging in with an access key or as a back-end app, refreshing, and finding the tenant's hosts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::Query,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Asked;
use crate::sim::{
    faults::refuse,
    service::Service,
    tokens::Kind,
    world::{Visit, World},
};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/authentication/v1/token/access-key", post(access_key))
        .route("/public/user/refresh", post(refresh))
        .route("/auth/token", post(back_end))
        .route("/.well-known/openid-configuration", get(openid))
        .route("/.well-known/cxone-configuration", get(configuration))
}

/// The texts of a JSON body.
fn texts(body: &Bytes) -> BTreeMap<String, String> {
    let read: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    read.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
}

async fn access_key(visit: Visit, body: Bytes) -> Response {
    let asked = texts(&body);
    let settings = visit.settings("cxone");
    let given = |key: &str| asked.get(key).map(String::as_str).unwrap_or_default();
    let good = settings.admits(given("accessKeyId"), given("accessKeySecret"));
    let (token, refresh) = (visit.issue("cxone", Kind::Access), visit.issue("cxone", Kind::Refresh));
    visit
        .answer(Service::CxoneLogin, |scene| {
            if !good || !scene.works {
                return refuse(StatusCode::UNAUTHORIZED, "the access key is not valid");
            }
            Json(json!({
                "access_token": token,
                "token_type": "Bearer",
                "refresh_token": refresh,
                "expires_in": settings.token_life.as_secs(),
            }))
            .into_response()
        })
        .await
}

async fn refresh(visit: Visit, body: Bytes) -> Response {
    let given = texts(&body).remove("token").unwrap_or_default();
    let good = visit.good_token("cxone", Kind::Refresh, &given).is_some();
    let life = visit.settings("cxone").token_life.as_secs();
    let (token, refresh) = (visit.issue("cxone", Kind::Access), visit.issue("cxone", Kind::Refresh));
    visit
        .answer(Service::CxoneLogin, |scene| {
            if !good || !scene.works {
                return refuse(StatusCode::UNAUTHORIZED, "the refresh token is not valid");
            }
            Json(json!({ "token": token, "refreshToken": refresh, "tokenExpirationTimeSec": life }))
                .into_response()
        })
        .await
}

/// A back-end app: its own id and secret by `Basic`, the access key as user and password.
async fn back_end(visit: Visit, Form(asked): Form<Asked>) -> Response {
    let settings = visit.settings("cxone");
    let given = |key: &str| asked.get(key).map(String::as_str).unwrap_or_default();
    let app = visit.basic().is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty());
    let good =
        app && given("grant_type") == "password" && settings.admits(given("username"), given("password"));
    let (token, refresh) = (visit.issue("cxone", Kind::Access), visit.issue("cxone", Kind::Refresh));
    visit
        .answer(Service::CxoneLogin, |scene| {
            if !good || !scene.works {
                return refuse(StatusCode::UNAUTHORIZED, "the app or its access key is not valid");
            }
            Json(json!({
                "access_token": token,
                "id_token": token,
                "token_type": "Bearer",
                "refresh_token": refresh,
                "expires_in": settings.token_life.as_secs(),
            }))
            .into_response()
        })
        .await
}

async fn openid(visit: Visit) -> Response {
    let base = visit.base_url("cxone");
    visit
        .answer(Service::CxoneLogin, |_| {
            Json(json!({ "issuer": base, "token_endpoint": format!("{base}/auth/token") })).into_response()
        })
        .await
}

async fn configuration(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let base = visit.base_url("cxone");
    let tenant = visit.settings("cxone").organization;
    visit
        .answer(Service::CxoneLogin, |scene| {
            if !scene.works || asked.get("tenantId") != Some(&tenant) {
                return refuse(StatusCode::NOT_FOUND, "there is no such tenant");
            }
            Json(json!({
                "api_endpoint": base,
                "auth_endpoint": base,
                "ui_endpoint": base,
                "area": "na1",
                "cluster": "sim",
                "domain": "simulated.invalid",
                "acdDomain": "simulated.invalid",
                "uhDomain": "simulated.invalid",
                "tenantId": tenant,
                "private": false,
                "globaldomain": "simulated.invalid",
            }))
            .into_response()
        })
        .await
}
