//! TLS and HTTP/2 with a private authority.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use warroom::domain::Verdict;

use crate::setup::{component, get, journey, once, peace, platform};

/// A TLS server that says over which protocol it was asked.
struct Secure {
    port: u16,
    accepted: Arc<AtomicUsize>,
    ca_file: tempfile::NamedTempFile,
}

impl Secure {
    async fn start(protocols: &[&[u8]]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut ca_file = tempfile::NamedTempFile::new().unwrap();
        ca_file.write_all(made.cert.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::<AtomicUsize>::default();
        tokio::spawn(accept(listener, acceptor, Arc::clone(&accepted)));
        Self { port, accepted, ca_file }
    }

    fn platform(&self) -> warroom::config::model::Platform {
        let mut platform = platform(&format!("https://localhost:{}", self.port));
        platform.ca_file = Some(self.ca_file.path().to_owned());
        platform
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, accepted: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(stream);
            let ended = if h2 {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service_fn(reply))
                    .await
            } else {
                hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(reply)).await
            };
            drop(ended);
        });
    }
}

/// 200 where the path names the protocol that is spoken and the authority came along, else 400.
async fn reply(
    request: Request<Incoming>,
) -> Result<Response<Full<hyper::body::Bytes>>, std::convert::Infallible> {
    let spoken = format!("{:?}", request.version());
    let has_authority = request.uri().authority().is_some() || request.headers().contains_key("host");
    let expected = request.uri().path().trim_start_matches('/').replace('-', "/");
    let status = if spoken == expected && has_authority { 200 } else { 400 };
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered_and_its_connection_is_shared() {
    let server = Secure::start(&[b"h2", b"http/1.1"]).await;
    let mut beside = get("beside", "/HTTP-2.0");
    beside.parallel = true;
    let journey = journey(component(
        server.platform(),
        vec![get("ready", "/HTTP-2.0"), get("two", "/HTTP-2.0"), beside],
    ));
    let report = peace(&journey).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    let timings = report.steps[0].timings.unwrap();
    assert!(timings.dns.is_some() && timings.connect.is_some() && timings.tls.is_some(), "{timings:?}");
    peace(&journey).await;
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http1_is_spoken_where_nothing_else_is_offered() {
    let server = Secure::start(&[]).await;
    let report = once(server.platform(), vec![get("ready", "/HTTP-1.1"), get("again", "/HTTP-1.1")]).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

/// A server with a certificate of its own making must not get a token.
#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let server = Secure::start(&[b"h2"]).await;
    let mut stranger = server.platform();
    stranger.ca_file = None;
    let report = once(stranger, vec![get("ready", "/HTTP-2.0")]).await;
    assert_eq!(report.verdict, Verdict::Down);
    assert!(report.reason.as_deref().unwrap().contains("certificate"), "{report:?}");
}

/// A missing authority file is our own trouble: it must open no outage.
#[tokio::test]
async fn an_unreadable_ca_file_is_blind() {
    let server = Secure::start(&[b"h2"]).await;
    let mut lost = server.platform();
    lost.ca_file = Some("/nonexistent/ca.pem".into());
    let report = once(lost, vec![get("ready", "/HTTP-2.0")]).await;
    assert_eq!(report.verdict, Verdict::Blind);
    assert!(report.reason.as_deref().unwrap().contains("`ca_file` /nonexistent/ca.pem"), "{report:?}");
}
