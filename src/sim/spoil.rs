//! Good answers made bad on their way: cut, torn, blown up, dripping, hostile.

use std::{io, time::Duration};

use axum::body::{Body, Bytes, to_bytes};
use futures_util::{StreamExt as _, stream};
use hyper::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION},
};
use serde_json::Value;

use super::{Torn, scenario::State};

/// The largest answer of our own that is spoilt; none is longer.
const LARGEST: usize = 4 * 1024 * 1024;
/// The pieces of a huge body.
const PIECE: usize = 64 * 1024;
/// The drops of a dripping body.
const DROPS: u32 = 40;
/// Sets a terminal's title, clears its screen, turns the reading direction, and begins a spreadsheet's formula.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}=cmd|' /C calc'!A0 @channel\r\n";
/// What a header can carry of that: bytes over 127 are allowed there, control characters are not.
const HOSTILE_HEADER: &[u8] = "\u{9b}2J\u{202e}owned".as_bytes();

/// Spoils an answer as the state says; `path` is what was asked for.
pub(super) async fn spoil(response: Response<Body>, state: &State, path: &str) -> Response<Body> {
    match state {
        State::Truncated => {
            let (mut parts, body) = whole(response).await;
            parts.headers.remove(CONTENT_LENGTH);
            let half = body.slice(..body.len() / 2);
            Response::from_parts(parts, Body::from(half))
        }
        State::Broken => {
            let (mut parts, body) = whole(response).await;
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len().max(2)));
            parts.extensions.insert(Torn);
            let half = body.slice(..body.len() / 2);
            Response::from_parts(parts, torn(half))
        }
        State::Huge { bytes } => {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, huge(*bytes))
        }
        State::Dripping { latency } => {
            let (mut parts, body) = whole(response).await;
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            Response::from_parts(parts, dripping(body, *latency))
        }
        State::Escapes => {
            let (mut parts, body) = whole(response).await;
            parts.headers.remove(CONTENT_LENGTH);
            if let Ok(value) = HeaderValue::from_bytes(HOSTILE_HEADER) {
                parts.headers.insert("x-served-by", value);
            }
            let poisoned = match serde_json::from_slice::<Value>(&body) {
                Ok(mut value) => {
                    poison(&mut value);
                    Bytes::from(value.to_string())
                }
                Err(_) => body,
            };
            Response::from_parts(parts, Body::from(poisoned))
        }
        State::Html => {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            let page = "<!doctype html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n";
            Response::from_parts(parts, Body::from(page))
        }
        State::Redirect { location } => {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(CONTENT_LENGTH);
            parts.status = StatusCode::FOUND;
            if let Ok(location) = HeaderValue::from_str(location.as_deref().unwrap_or(path)) {
                parts.headers.insert(LOCATION, location);
            }
            Response::from_parts(parts, Body::empty())
        }
        _ => response,
    }
}

async fn whole(response: Response<Body>) -> (hyper::http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    // Our own answers are in memory already: reading them cannot fail.
    let body = to_bytes(body, LARGEST).await.unwrap_or_default();
    (parts, body)
}

/// A first part, and then an error in the place of the rest.
fn torn(half: Bytes) -> Body {
    let pieces = stream::unfold(Some(half), |half| async move {
        let Some(half) = half else {
            // Gives the server a turn to send what came before.
            tokio::task::yield_now().await;
            let error = io::Error::new(io::ErrorKind::ConnectionReset, "the scenario breaks this answer off");
            return Some((Err(error), None));
        };
        Some((Ok(half), None))
    });
    Body::from_stream(pieces)
}

/// JSON of exactly so many bytes, as far as so few can be JSON.
fn huge(bytes: u64) -> Body {
    const HEAD: &str = "{\"padding\":\"";
    const TAIL: &str = "\"}";
    let padding = bytes.saturating_sub((HEAD.len() + TAIL.len()) as u64);
    let piece = Bytes::from(vec![b'a'; PIECE]);
    let pieces = stream::unfold(padding, move |left| {
        let size = left.min(PIECE as u64);
        let part = piece.slice(..size as usize);
        async move { (size > 0).then_some((part, left - size)) }
    });
    let end = |part: &'static str| stream::iter([Bytes::from_static(part.as_bytes())]);
    Body::from_stream(end(HEAD).chain(pieces).chain(end(TAIL)).map(Ok::<_, io::Error>))
}

fn dripping(body: Bytes, over: Duration) -> Body {
    let size = body.len().div_ceil(DROPS as usize).max(1);
    let drops = stream::unfold(body, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(over / DROPS).await;
        let next = left.split_to(size.min(left.len()));
        Some((Ok::<_, io::Error>(next), left))
    });
    Body::from_stream(drops)
}

fn poison(value: &mut Value) {
    match value {
        Value::String(text) => text.insert_str(0, HOSTILE),
        Value::Array(list) => list.iter_mut().for_each(poison),
        Value::Object(fields) => fields.values_mut().for_each(poison),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
