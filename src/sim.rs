//! Simulated platforms on one listener: Genesys Cloud, `CXone` and a contact centre's own systems.
//!
//! Each platform lives under a path prefix of its own (`/genesys`, `/cxone`, `/edge`, `/wem`, `/wfm`, `/archive`,
//! `/backup`), so that `http://ADDRESS/genesys` is its base URL. What they answer follows a [`Scenario`].
//!
//! Invariants: what a platform answers depends on the scenario, the time since the start, the seed and the number of
//! the request alone, so that nothing grows while it runs; a normal run never reaches this room.

mod cxone;
mod demo;
mod genesys;
mod local;
pub mod scenario;
pub mod service;
mod world;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    response::IntoResponse,
};
use hyper::{Response, StatusCode, header::HOST};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tracing::{debug, warn};

use self::world::{Dropped, World};
pub use self::{
    demo::{demo_config, demo_scenario},
    scenario::{Scenario, ScenarioError},
};
use crate::clock::SharedClock;

/// The most connections at a time; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 4096;
/// The largest body that is read, as Genesys Cloud's `request.bytes.max`.
const MAX_BODY: usize = 512_000;
/// How long a connection may stay silent before or between requests.
const IDLE: Duration = Duration::from_secs(75);
/// How long one request may take, its body and the simulated latency included.
const LONGEST_ANSWER: Duration = Duration::from_mins(2);
/// How long to wait when the system has no file descriptor for a new connection.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listener` for ever; the scenario's time begins with the call. Dropping the future closes the listener
/// and every connection.
///
/// The same `seed` and the same order of requests give the same latencies.
pub fn serve(
    listener: TcpListener,
    scenario: Scenario,
    clock: SharedClock,
    seed: u64,
) -> impl Future<Output = Infallible> + Send {
    let service = TowerToHyperService::new(router(Arc::new(World::new(scenario, clock, seed))));
    accept(listener, service)
}

async fn accept(listener: TcpListener, service: TowerToHyperService<Router>) -> Infallible {
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let service = service.clone();
                    connections.spawn(async move {
                        connection(stream, service, loopback).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!("the simulated platforms could not accept a connection: {error}");
                    tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Serves one connection until it ends.
async fn connection(stream: TcpStream, service: TowerToHyperService<Router>, loopback: bool) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!("no TCP_NODELAY on a simulated connection: {error}");
    }
    let answer = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = respond(request, service.clone(), loopback);
        async move {
            match tokio::time::timeout(LONGEST_ANSWER, answer).await {
                Ok(answered) => answered,
                Err(_) => Err(Dropped),
            }
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), answer).await {
        debug!("a simulated connection ended early: {error}");
    }
}

/// One answer, or the order to close the connection without one.
async fn respond(
    request: hyper::Request<hyper::body::Incoming>,
    service: TowerToHyperService<Router>,
    loopback: bool,
) -> Result<Response<Body>, Dropped> {
    if loopback && !names_loopback(request.headers().get(HOST)) {
        let text = "this simulation listens on loopback and answers to `localhost` and addresses only\n";
        return Ok((StatusCode::MISDIRECTED_REQUEST, text).into_response());
    }
    let answered = hyper::service::Service::call(&service, request.map(Body::new)).await;
    match answered {
        Ok(response) if response.extensions().get::<Dropped>().is_some() => Err(Dropped),
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// Whether a `Host` is `localhost` or an address: a name that somebody pointed at loopback is neither.
fn names_loopback(host: Option<&hyper::header::HeaderValue>) -> bool {
    let Some(Ok(host)) = host.map(hyper::header::HeaderValue::to_str) else { return false };
    let Ok(authority) = host.parse::<hyper::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .nest("/genesys", genesys::routes())
        .nest("/cxone", cxone::routes())
        .merge(local::routes())
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(world)
}

async fn nowhere(request: Request) -> impl IntoResponse {
    let message = format!("the simulated platforms have no {} {}", request.method(), request.uri().path());
    (
        StatusCode::NOT_FOUND,
        Json(serde_json::json!({ "message": message, "code": "not.found", "status": 404 })),
    )
}
