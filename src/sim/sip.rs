//! The SIP side of the simulated session border controller, by datagrams: OPTIONS, and calls that ring and are answered.
//!
//! Invariants: no more than [`AT_ONCE`] requests and calls are worked on at a time, others are dropped as a network drops
//! them; an answer goes to whoever asked and to nobody else.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::UdpSocket, sync::Notify, task::JoinSet};
use tracing::debug;

use super::{NO_DESCRIPTOR_PAUSE, scenario::State, service::Service, world::World};

/// Requests and calls that are worked on at a time.
const AT_ONCE: usize = 256;
/// The longest request that is read.
const LONGEST: usize = 8 * 1024;
/// How long a call rings before it is answered.
const RINGING: Duration = Duration::from_millis(400);
/// The longest answer that a scenario can ask for: what fits into a datagram.
const HUGE: u64 = 60_000;

/// Calls that ring, by their `Call-ID`, each with what tells it that it was cancelled.
type Calls = Arc<Mutex<HashMap<String, Arc<Notify>>>>;

/// Answers for ever.
pub(super) async fn serve(socket: UdpSocket, world: Arc<World>) -> Infallible {
    let (socket, calls) = (Arc::new(socket), Calls::default());
    let mut working = JoinSet::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => {
                    let request = Request::read(&buffer[..length]).filter(|_| working.len() < AT_ONCE);
                    let Some(request) = request else { continue };
                    let line = Line { socket: Arc::clone(&socket), from };
                    working.spawn(answer(request, line, Arc::clone(&calls), Arc::clone(&world)));
                }
                Err(error) => {
                    debug!("the simulated SIP side could not read: {error}");
                    tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
                }
            },
            Some(_) = working.join_next(), if !working.is_empty() => {}
        }
    }
}

/// The way back to whoever asked.
struct Line {
    socket: Arc<UdpSocket>,
    from: SocketAddr,
}

impl Line {
    async fn send(&self, message: &str) {
        if let Err(error) = self.socket.send_to(message.as_bytes(), self.from).await {
            debug!("a simulated SIP answer was not sent: {error}");
        }
    }
}

/// A request, as far as an answer repeats it (RFC 3261 section 8.2.6).
struct Request {
    method: String,
    call_id: String,
    to: String,
    /// `Via`, `From`, `Call-ID` and `CSeq` as they came.
    copied: String,
}

impl Request {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let method = lines.next()?.strip_suffix(" SIP/2.0")?.split(' ').next()?.to_owned();
        let (mut call_id, mut to, mut copied) = (None, None, String::new());
        for line in lines {
            let (name, value) = line.split_once(':')?;
            match name.trim().to_ascii_lowercase().as_str() {
                "to" | "t" => {
                    to = Some(value.trim().to_owned());
                    continue;
                }
                "call-id" | "i" => call_id = Some(value.trim().to_owned()),
                "via" | "v" | "from" | "f" | "cseq" => {}
                _ => continue,
            }
            copied.push_str(line);
            copied.push_str("\r\n");
        }
        Some(Self { method, call_id: call_id?, to: to?, copied })
    }

    fn answer(&self, status: &str, headers: &str) -> String {
        let Self { copied, to, .. } = self;
        let tag = if to.contains(";tag=") || status.starts_with("100") { "" } else { ";tag=simulated" };
        format!("SIP/2.0 {status}\r\n{copied}To: {to}{tag}\r\n{headers}Content-Length: 0\r\n\r\n")
    }
}

async fn answer(request: Request, line: Line, calls: Calls, world: Arc<World>) {
    match request.method.as_str() {
        "OPTIONS" => options(&request, &line, &world).await,
        "INVITE" => invite(&request, &line, &calls, &world).await,
        "CANCEL" => {
            let ringing = calls.lock().unwrap_or_else(PoisonError::into_inner).get(&request.call_id).cloned();
            let status = if ringing.is_some() { "200 OK" } else { "481 Call/Transaction Does Not Exist" };
            line.send(&request.answer(status, "")).await;
            if let Some(ringing) = ringing {
                ringing.notify_one();
            }
        }
        "ACK" => {}
        "BYE" => line.send(&request.answer("200 OK", "")).await,
        _ => line.send(&request.answer("405 Method Not Allowed", "Allow: OPTIONS, INVITE\r\n")).await,
    }
}

async fn options(request: &Request, line: &Line, world: &Arc<World>) {
    if let Some(scene) = Scene::look(world, false).await {
        line.send(&scene.spoilt(request.answer(scene.status.as_deref().unwrap_or("200 OK"), &scene.headers)))
            .await;
    }
}

async fn invite(request: &Request, line: &Line, calls: &Calls, world: &Arc<World>) {
    let cancelled = Arc::new(Notify::new());
    {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.contains_key(&request.call_id) {
            // The same INVITE once more: its answers are on their way.
            return;
        }
        calls.insert(request.call_id.clone(), Arc::clone(&cancelled));
    }
    if let Some(scene) = Scene::look(world, true).await {
        line.send(&request.answer("100 Trying", "")).await;
        let status = if let Some(refused) = &scene.status {
            refused.as_str()
        } else {
            line.send(&request.answer("180 Ringing", &scene.headers)).await;
            tokio::select! {
                () = cancelled.notified() => "487 Request Terminated",
                () = tokio::time::sleep(RINGING) => "200 OK",
            }
        };
        line.send(&scene.spoilt(request.answer(status, &scene.headers))).await;
    }
    calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&request.call_id);
}

/// What the scenario makes of an answer.
struct Scene {
    /// What is answered in place of what was asked for.
    status: Option<String>,
    headers: String,
    state: State,
}

impl Scene {
    /// How the service is, after its latency; `None` where it does not answer at all.
    async fn look(world: &Arc<World>, is_call: bool) -> Option<Self> {
        let mut visit = world.visit();
        let condition = visit.condition(Service::EdgeSip);
        tokio::time::sleep(visit.latency(Service::EdgeSip, &condition)).await;
        let usual = Service::EdgeSip.served_by();
        let host = condition.served_by.as_deref().unwrap_or(usual).to_owned();
        let mut headers = format!("Contact: <sip:sbc@{host}>\r\nServer: simulated-sbc\r\n");
        let mut add = |name: &str, value: &dyn std::fmt::Display| {
            headers.extend([name, ": ", &value.to_string(), "\r\n"]);
        };
        let seconds = |wait: &Option<Duration>| wait.map(|wait| wait.as_secs());
        let status = match &condition.state {
            State::Refused | State::Broken | State::Dripping { .. } => return None,
            State::Down { status, retry_after } => {
                if let Some(wait) = seconds(retry_after) {
                    add("Retry-After", &wait);
                }
                Some(format!("{status} Service Unavailable"))
            }
            // SIP has no 429: who has too much to do is out of service for a while.
            State::Throttled { retry_after } => {
                if let Some(wait) = seconds(retry_after) {
                    add("Retry-After", &wait);
                }
                Some("503 Service Unavailable".to_owned())
            }
            State::Failing if is_call => Some("480 Temporarily Unavailable".to_owned()),
            State::Forbidden => Some("403 Forbidden".to_owned()),
            State::Redirect { .. } => Some("302 Moved Temporarily".to_owned()),
            State::Escapes => Some("500 \u{1b}[2J\u{202e}deliaF".to_owned()),
            State::Huge { bytes } => {
                add("X-Padding", &"x".repeat((*bytes).min(HUGE) as usize));
                None
            }
            State::Up | State::Failing | State::Slow { .. } | State::Truncated | State::Html => None,
        };
        Some(Self { status, headers, state: condition.state })
    }

    /// The answer as it goes out.
    fn spoilt(&self, mut answer: String) -> String {
        match self.state {
            State::Truncated => {
                answer.truncate(answer.floor_char_boundary(answer.len() / 2));
                answer
            }
            State::Html => "<!doctype html><title>Bad gateway</title>\r\n\r\n".to_owned(),
            _ => answer,
        }
    }
}
