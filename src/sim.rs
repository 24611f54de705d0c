//! Simulated platforms on one listener: Genesys Cloud, `CXone` and a contact centre's own systems.
//!
//! Each platform lives under a path prefix of its own (`/genesys`, `/cxone`, `/edge`, `/wem`, `/wfm`, `/archive`,
//! `/backup`), so that `http://ADDRESS/genesys` is its base URL; at the same address, `sip:ADDRESS` is a SIP trunk by UDP.
//! What they answer follows a [`Scenario`].
//!
//! Invariants: what a platform answers depends on the scenario, the time since the start, the seed, the number of the
//! request, and a small bounded state (counts of requests, rows and records that were written) alone, so that nothing
//! grows while it runs; a normal run never reaches this room.

mod cxone;
mod demo;
mod faults;
mod genesys;
mod limits;
mod local;
mod records;
pub mod scenario;
pub mod service;
mod sip;
mod spoil;
mod tokens;
mod wire;
mod world;

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

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
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinSet,
};
use tracing::{debug, warn};

pub use self::{
    demo::{demo, demo_config, demo_scenario},
    scenario::{Scenario, ScenarioError},
};
use self::{
    wire::{Tear, Wire},
    world::World,
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

/// Marks an answer in whose place the connection is closed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the scenario closes this connection without an answer")]
struct Dropped;

/// Marks an answer after whose first part the connection is reset.
#[derive(Clone, Copy, Debug)]
struct Torn;

/// What a request asked for, before any prefix is cut off.
#[derive(Clone, Debug, Default)]
struct Asked {
    path: String,
    /// With the port.
    host: String,
}

/// The simulated platforms. The scenario's time begins when they are made.
///
/// The same seed and the same order of requests give the same answers.
#[derive(Clone, Debug)]
pub struct Platforms {
    router: TowerToHyperService<Router>,
    world: Arc<World>,
}

impl Platforms {
    /// Makes them.
    #[must_use]
    pub fn new(scenario: Scenario, clock: SharedClock, seed: u64) -> Self {
        let world = Arc::new(World::new(scenario, clock, seed));
        Self { router: TowerToHyperService::new(router(Arc::clone(&world))), world }
    }

    /// Answers one request without any network; `None` where the connection would be closed without an answer.
    pub async fn answer(&self, mut request: Request) -> Option<Response<Body>> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let host = host.or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default();
        let path = request.uri().path().to_owned();
        request.extensions_mut().insert(Asked { path, host });
        match hyper::service::Service::call(&self.router, request).await {
            Ok(response) if response.extensions().get::<Dropped>().is_some() => None,
            Ok(response) => Some(response),
            Err(never) => match never {},
        }
    }

    /// Answers on `listener` for ever, and SIP datagrams at the same address. Dropping the future closes both and every
    /// connection.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        let datagrams = async { UdpSocket::bind(listener.local_addr()?).await };
        let socket = match datagrams.await {
            Ok(socket) => socket,
            Err(error) => {
                warn!("the simulated SIP trunk does not answer: no UDP port for it: {error}");
                return accept(listener, self).await;
            }
        };
        let world = Arc::clone(&self.world);
        tokio::select! {
            never = accept(listener, self) => never,
            never = sip::serve(socket, world) => never,
        }
    }
}

/// Answers on `listener` for ever; the scenario's time begins with the call. Dropping the future closes the listener
/// and every connection.
pub fn serve(
    listener: TcpListener,
    scenario: Scenario,
    clock: SharedClock,
    seed: u64,
) -> impl Future<Output = Infallible> + Send {
    Platforms::new(scenario, clock, seed).serve(listener)
}

async fn accept(listener: TcpListener, platforms: Platforms) -> Infallible {
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let platforms = platforms.clone();
                    connections.spawn(async move {
                        connection(stream, platforms, loopback).await;
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
async fn connection(stream: TcpStream, platforms: Platforms, loopback: bool) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!("no TCP_NODELAY on a simulated connection: {error}");
    }
    let (wire, tear) = Wire::new(stream);
    let answer = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = respond(request, platforms.clone(), loopback, Arc::clone(&tear));
        async move {
            match tokio::time::timeout(LONGEST_ANSWER, answer).await {
                Ok(answered) => answered,
                Err(_) => Err(Dropped),
            }
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    if let Err(error) = builder.serve_connection(TokioIo::new(wire), answer).await {
        debug!("a simulated connection ended early: {error}");
    }
}

/// One answer, or the order to close the connection without one.
async fn respond(
    request: hyper::Request<hyper::body::Incoming>,
    platforms: Platforms,
    loopback: bool,
    tear: Tear,
) -> Result<Response<Body>, Dropped> {
    if loopback && !names_loopback(request.headers().get(HOST)) {
        let text = "this simulation listens on loopback and answers to `localhost` and addresses only\n";
        return Ok((StatusCode::MISDIRECTED_REQUEST, text).into_response());
    }
    let response = platforms.answer(request.map(Body::new)).await.ok_or(Dropped)?;
    if response.extensions().get::<Torn>().is_some() {
        tear.store(true, Ordering::Relaxed);
    }
    Ok(response)
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
