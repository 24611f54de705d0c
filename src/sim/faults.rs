//! Answers that are no good: throttled, down, no login, no permission, a wrong request.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hyper::{
    StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{scenario::Settings, service::Service};

/// 429, in the platform's own words.
pub(super) fn throttled(service: Service, retry_after: Option<Duration>, settings: &Settings) -> Response {
    let limit = settings.limit.map_or(0, |limit| limit.requests.get());
    let body = match (service.platform(), retry_after) {
        ("genesys", wait) => {
            let again = wait.map(|wait| format!(" Retry the request in [{}] seconds", wait.as_secs()));
            let message = format!("Rate limit exceeded the maximum.{}", again.unwrap_or_default());
            json!({
                "message": message,
                "code": if wait.is_some() { "too.many.requests.retry.after" } else { "too.many.requests" },
                "status": 429,
                "details": [],
                "errors": [],
                "limit": {
                    "key": "client.credentials.token.rate.per.minute",
                    "namespace": "platform.api",
                    "value": limit,
                },
            })
        }
        _ => json!({ "message": "too many requests", "status": 429 }),
    };
    fault(StatusCode::TOO_MANY_REQUESTS, retry_after, body)
}

/// An error of the server's.
pub(super) fn down(service: Service, status: u16, retry_after: Option<Duration>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let code = status.canonical_reason().unwrap_or("error").to_lowercase().replace(' ', ".");
    let message = format!("{} cannot answer at present", service.name());
    fault(status, retry_after, json!({ "message": message, "code": code, "status": status.as_u16() }))
}

/// 401: there is no token, or one that is wrong, past its time or revoked.
pub(super) fn unauthorized(given: bool) -> Response {
    let (message, code) = if given {
        ("Invalid login credentials.", "bad.credentials")
    } else {
        ("No authentication bearer token specified in authorization header.", "authentication.required")
    };
    wrong(StatusCode::UNAUTHORIZED, code, message)
}

/// 403: the token lacks a permission.
pub(super) fn forbidden(service: Service, permission: &str) -> Response {
    if service.platform() == "cxone" {
        return refuse(StatusCode::FORBIDDEN, "the user lacks a permission for this API");
    }
    let message = "Unable to perform the requested action. You must have at least one of the following \
                   permissions assigned: ";
    let body = json!({
        "message": format!("{message}[{permission}]"),
        "code": "missing.any.permissions",
        "status": 403,
        "messageWithParams": format!("{message}{{permissions}}"),
        "messageParams": { "permissions": format!("[{permission}]") },
        "details": [],
        "errors": [],
    });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

/// A wrong request, in the words of Genesys Cloud.
pub(super) fn wrong(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({
        "message": message,
        "code": code,
        "status": status.as_u16(),
        "details": [],
        "errors": [],
    });
    (status, Json(body)).into_response()
}

/// A wrong request, in the words of `CXone`: it says why in a header.
pub(super) fn refuse(status: StatusCode, why: &'static str) -> Response {
    let mut response = (status, Json(json!({ "error_description": why }))).into_response();
    response.headers_mut().insert("icstatusdescription", HeaderValue::from_static(why));
    response
}

fn fault(status: StatusCode, retry_after: Option<Duration>, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Some(wait) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}
