//! One HTTP request and its answer, over an idle connection or a fresh one.
//!
//! Invariants: the answer is at most [`BODY_CAP`] long; redirects are followed within the origin only; a request is sent
//! a second time only when a connection from an earlier probe turns out to be closed before any byte of the answer; the
//! platform's secrets join it only as it is sent, and nothing is sent without them where they are needed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    client::conn::{http1, http2},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, LOCATION},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use url::Url;

use super::{
    budget::{Purse, Slot},
    client::{Client, Route, Target},
    connect::{self, Progress},
    failure::{Failure, Stage},
    pool::{Lease, Outgoing, Sender},
};
use crate::{domain::Moment, platform::Pass};

/// The longest body that is read.
pub(crate) const BODY_CAP: usize = 1024 * 1024;

/// How long the body of a 429 or 401 is waited for, of which the head says what matters.
const REFUSAL_BODY: Duration = Duration::from_millis(100);

/// The longest head that is read.
const HEAD_CAP: usize = 64 * 1024;

/// Redirects within the origin that are followed.
const REDIRECTS: usize = 5;

/// A request in full.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// All of them, `Host` included, except the platform's secrets.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Leave for the requests of one exchange: the first was waited for before the exchange was begun.
#[derive(Debug)]
pub(crate) struct Toll<'a> {
    purse: &'a Purse,
    first: Option<Slot<'a>>,
}

impl<'a> Toll<'a> {
    pub(crate) const fn new(purse: &'a Purse, first: Slot<'a>) -> Self {
        Self { purse, first: Some(first) }
    }

    /// Leave for the next request; one that cannot be sent at once is not sent, or the wait would be latency.
    fn slot(&mut self) -> Result<Slot<'a>, Failure> {
        match self.first.take() {
            Some(slot) => Ok(slot),
            None => self.purse.admit_now().map_err(|refusal| Failure::ours(&refusal.to_string())),
        }
    }
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What its request carried of the platform's secrets, if it carried any.
    pub(crate) pass: Option<Pass>,
}

impl Client {
    /// Sends the request and reads the answer. `not_before` asks for a connection that was opened then or later.
    pub(crate) async fn exchange(
        &self,
        ask: &Ask,
        not_before: Option<Moment>,
        toll: &mut Toll<'_>,
        progress: &mut Progress,
    ) -> Result<Reply, Failure> {
        let mut reply = self.once(ask, not_before, toll, progress).await?;
        let mut followed = None::<Ask>;
        for hop in 0..=REDIRECTS {
            let current = followed.as_ref().unwrap_or(ask);
            let Some(target) = self.same_origin(current, &reply) else {
                return Ok(reply);
            };
            if hop == REDIRECTS {
                break;
            }
            let next = redirected(current, target, reply.status);
            reply = self.once(&next, not_before, toll, progress).await?;
            followed = Some(next);
        }
        Err(Failure::answer(&format!("more than {REDIRECTS} redirects")))
    }

    /// Where a redirect leads, if it stays at the origin.
    fn same_origin(&self, ask: &Ask, reply: &Reply) -> Option<Target> {
        let url = location(reply, &ask.target.url)?;
        if url.origin() != ask.target.url.origin() {
            return None;
        }
        self.target_of(url).ok()
    }

    async fn once(
        &self,
        ask: &Ask,
        not_before: Option<Moment>,
        toll: &mut Toll<'_>,
        progress: &mut Progress,
    ) -> Result<Reply, Failure> {
        let route = &ask.target.route;
        let mut slot = toll.slot()?;
        let pass = self.pass_for(route)?;
        let (headers, pass) = ask.headers_with(pass);
        let mut unsent = None::<Outgoing>;
        while let Some(mut lease) = route.pool.take(not_before, self.clock.moment()) {
            if !lease.sender.ready().await {
                continue;
            }
            progress.timings.reused = true;
            progress.stage = Stage::Waiting;
            let request = ask.request(&headers, lease.sender.is_h2());
            let sent = self.clock.moment();
            progress.sent += 1;
            slot.send();
            match lease.sender.send(request).await {
                Ok(response) => {
                    slot.answered(response.status(), response.headers(), route.is_home);
                    return self.read(response, route, lease, sent, pass, progress).await;
                }
                Err(mut error) => {
                    unsent = error.take_message();
                    if unsent.is_some() {
                        progress.sent -= 1;
                        slot.unsend();
                    }
                    let closed = is_closed(error.error()) || is_unprocessed(error.error());
                    if unsent.is_none() && !(closed && ask.method.is_idempotent()) {
                        return Err(failure_of(error.error()));
                    }
                    if unsent.is_none() {
                        slot = toll.slot()?;
                    }
                    // One dead connection speaks for its neighbours: the second try is a fresh one.
                    break;
                }
            }
        }
        progress.timings.reused = false;
        let mut lease = self.connect(route, progress).await?;
        progress.stage = Stage::Waiting;
        let request = match unsent {
            Some(request) if request.version() == version(lease.sender.is_h2()) => request,
            _ => ask.request(&headers, lease.sender.is_h2()),
        };
        let sent = self.clock.moment();
        progress.sent += 1;
        slot.send();
        match lease.sender.send(request).await {
            Ok(response) => {
                slot.answered(response.status(), response.headers(), route.is_home);
                self.read(response, route, lease, sent, pass, progress).await
            }
            Err(error) => Err(failure_of(error.error())),
        }
    }

    async fn connect(&self, route: &Route, progress: &mut Progress) -> Result<Lease, Failure> {
        let generation = route.pool.generation();
        let born = self.clock.moment();
        let origin = &route.origin;
        let stream = connect::open(&origin.host, origin.port, &self.resolver, &*self.clock, progress).await?;
        progress.stage = Stage::Handshaking;
        let sender = match &route.server_name {
            None => over_http1(stream).await?,
            Some(name) => {
                let connector = self.trust.connector().await?;
                let begun = self.clock.moment();
                let stream = connector
                    .connect(name.clone(), stream)
                    .await
                    .map_err(|error| Failure::handshake(&error))?;
                progress.is_met = true;
                progress.timings.tls = Some(self.clock.moment().since(begun));
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    over_http2(stream).await?
                } else {
                    over_http1(stream).await?
                }
            }
        };
        Ok(Lease::fresh(sender, born, generation))
    }

    async fn read(
        &self,
        response: Response<Incoming>,
        route: &Route,
        lease: Lease,
        sent: Moment,
        pass: Option<Pass>,
        progress: &mut Progress,
    ) -> Result<Reply, Failure> {
        let received = self.clock.moment();
        progress.timings.first_byte = Some(received.since(sent));
        progress.between = Some((sent, received));
        if route.is_home {
            self.dates.note(response.headers(), sent, received);
        }
        progress.stage = Stage::Reading;
        let (head, body) = response.into_parts();
        let body = if matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED) {
            // The head alone says that we may not see: whatever becomes of the body, it is no failure of the component.
            match timeout(REFUSAL_BODY, read_body(body)).await {
                Ok(Ok(body)) => body,
                Ok(Err(_)) | Err(_) => {
                    return Ok(Reply {
                        status: head.status,
                        headers: head.headers,
                        body: Bytes::new(),
                        pass,
                    });
                }
            }
        } else {
            read_body(body).await?
        };
        route.pool.put(lease, self.clock.moment());
        Ok(Reply { status: head.status, headers: head.headers, body, pass })
    }
}

/// Whether an answer sends us elsewhere, wherever that may be.
pub(crate) fn is_redirect(reply: &Reply) -> bool {
    matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where an answer redirects to, if that can be read.
pub(crate) fn location(reply: &Reply, asked: &Url) -> Option<Url> {
    if !is_redirect(reply) {
        return None;
    }
    asked.join(std::str::from_utf8(reply.headers.get(LOCATION)?.as_bytes()).ok()?).ok()
}

impl Ask {
    /// The headers with the platform's secrets, and what of these they carry: a step may bring its own.
    fn headers_with(&self, pass: Option<Pass>) -> (HeaderMap, Option<Pass>) {
        let mut headers = self.headers.clone();
        let carried = pass.filter(|pass| pass.credentials().attach_secret(&mut headers));
        (headers, carried)
    }

    fn request(&self, headers: &HeaderMap, h2: bool) -> Outgoing {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers.clone();
        *request.version_mut() = version(h2);
        if h2 {
            // HTTP/2 carries the authority in the URI (RFC 9113 section 8.3.1).
            request.headers_mut().remove(HOST);
            *request.uri_mut() = self.target.whole.clone();
        } else {
            *request.uri_mut() = self.target.path.clone();
        }
        request
    }
}

fn version(h2: bool) -> hyper::Version {
    if h2 { hyper::Version::HTTP_2 } else { hyper::Version::HTTP_11 }
}

/// The request that follows a redirect (RFC 9110 section 15.4): 303, and 301 or 302 after a POST, become a GET.
fn redirected(ask: &Ask, target: Target, status: StatusCode) -> Ask {
    let mut next = Ask { target, ..ask.clone() };
    let to_get = match status.as_u16() {
        303 => next.method != Method::HEAD,
        301 | 302 => next.method == Method::POST,
        _ => false,
    };
    if to_get {
        next.method = Method::GET;
        next.body = Bytes::new();
        next.headers.remove(CONTENT_TYPE);
        next.headers.remove(CONTENT_LENGTH);
    }
    next
}

async fn over_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> Result<Sender, Failure> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_CAP)
        .max_header_size(HEAD_CAP)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure_of(&error))?;
    // Its end is seen by the sender; a request that it breaks gets the error itself.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Sender::One(sender))
}

async fn over_http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> Result<Sender, Failure> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(HEAD_CAP as u32)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure_of(&error))?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(Sender::Many(sender))
}

async fn read_body(mut body: Incoming) -> Result<Bytes, Failure> {
    let too_long = || Failure::answer("the answer is longer than 1 MiB");
    if body.size_hint().lower() > BODY_CAP as u64 {
        return Err(too_long());
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let length = whole.len() + first.len();
        let frame = frame.map_err(|error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::answer(&format!("answer broken off after {length} bytes: {why}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if length + data.len() > BODY_CAP {
            return Err(too_long());
        }
        // Most answers come in one piece, which needs no copy.
        if length == 0 {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Whether a connection was closed, as an idle one may be at any time, before it brought a byte of the answer.
fn is_closed(error: &hyper::Error) -> bool {
    error.is_closed() || error.is_incomplete_message() || error.is_canceled() || io_cause(error).is_some()
}

fn io_cause(error: &hyper::Error) -> Option<&std::io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        cause = inner.source();
    }
    None
}

/// What came in place of an answer: HTTP/2's `RST_STREAM` or `GOAWAY` (RFC 9113 sections 6.4 and 6.8), or what breaks its rules.
fn h2_cause(error: &hyper::Error) -> Option<(&h2::Error, h2::Reason)> {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            return h2.reason().map(|reason| (h2, reason));
        }
        cause = inner.source();
    }
    None
}

/// Whether it says that it did not look at the request (section 8.7), as of one that crosses the end of an idle connection.
fn is_unprocessed(error: &hyper::Error) -> bool {
    h2_cause(error).is_some_and(|(h2, reason)| {
        let is_end = h2.is_go_away() && reason == h2::Reason::NO_ERROR;
        h2.is_remote() && (is_end || reason == h2::Reason::REFUSED_STREAM)
    })
}

/// What came instead, in words. HTTP/2 is spoken by TLS alone here, so that nobody on the way can have said it.
fn told_by_peer(error: &hyper::Error) -> Option<String> {
    h2_cause(error).map(|(h2, reason)| match (h2.is_remote(), h2.is_go_away()) {
        (true, true) => format!("connection ended by the server: {}", reason.description()),
        (true, false) => format!("request refused by the server: {}", reason.description()),
        (false, _) => format!("not an HTTP/2 answer: {h2}"),
    })
}

fn failure_of(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return Failure::answer("the answer's head is longer than 64 KiB");
    }
    if error.is_parse() {
        return Failure::answer(&format!("not an HTTP answer: {error}"));
    }
    if let Some(words) = told_by_peer(error) {
        return Failure::answer(&words);
    }
    if let Some(io) = io_cause(error) {
        return Failure::connecting(io);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::transport("connection closed before the answer");
    }
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Failure::transport(&why)
}
