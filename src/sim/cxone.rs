//! A simulated `CXone`: the recovery guide's own site health beside the public API's shapes.

mod acd;
mod login;
mod scripts;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, header::ACCEPT, request::Parts},
    response::Response,
};
use hyper::StatusCode;

use super::{faults::refuse, world::World};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().merge(acd::routes()).merge(login::routes()).merge(scripts::routes())
}

/// A request's query.
type Asked = BTreeMap<String, String>;

/// A request that says that it takes JSON; the API has no answer for another one.
struct TakesJson;

impl<S: Sync> FromRequestParts<S> for TakesJson {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        if takes_json(&parts.headers) {
            Ok(Self)
        } else {
            Err(refuse(StatusCode::BAD_REQUEST, "No known way to render data"))
        }
    }
}

fn takes_json(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accepted| {
        accepted.to_str().is_ok_and(|accepted| accepted.to_ascii_lowercase().contains("application/json"))
    })
}
