//! Certificates that must not be believed, and HTTP/2 that breaks its promises.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use warroom::{
    config::model::Platform,
    domain::{ProbeReport, Verdict},
    expression::is_harmful,
    probe::{Order, journey::Judged},
};

use crate::{
    certificates::{Authority, Identity, serve},
    setup::{component, get, journey, judged, platform},
};

async fn ask(authority: &Authority, port: u16, limit: Duration) -> ProbeReport {
    judge(authority, port, limit).await.report.unwrap()
}

async fn judge(authority: &Authority, port: u16, limit: Duration) -> Judged {
    let mut step = get("ready", "/");
    step.timeout = limit;
    let platform = Platform {
        ca_file: Some(authority.file.path().to_owned()),
        ..platform(&format!("https://localhost:{port}"))
    };
    let journey = journey(component(platform, vec![step]));
    judged(&journey, Order { fresh: true, ..Order::default() }).await
}

/// A server that is not who it should be gets no request, and the reason says why.
#[tokio::test]
async fn a_wrong_certificate_is_down_and_its_reason_says_why() {
    let (known, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let expired = known.issue("localhost", |params| {
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    });
    let future = known.issue("localhost", |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    for (identity, why) in [
        (expired, "certificate expired"),
        (future, "certificate not valid yet"),
        (known.issue("elsewhere.example.com", |_| {}), "not valid for name \"localhost\""),
        (known.issue("evil\u{1b}[2J\u{7}.example.com", |_| {}), "not valid for name \"localhost\""),
        (stranger.issue("localhost", |_| {}), "UnknownIssuer"),
        (Identity::of_its_own("localhost"), "UnknownIssuer"),
    ] {
        let port = serve(identity.acceptor(&[]), |mut stream| async move {
            let mut buffer = [0; 64];
            let read = stream.read(&mut buffer).await;
            assert!(!matches!(read, Ok(length) if length > 0), "it was sent a request");
        })
        .await;
        let report = ask(&known, port, Duration::from_secs(2)).await;
        let reason = report.reason.clone().unwrap();
        assert_eq!(report.verdict, Verdict::Down, "{report:?}");
        assert!(reason.starts_with("ready: TLS: ") && reason.contains(why), "{why}: {reason}");
        assert!(!reason.contains(is_harmful), "{reason:?}");
    }
    let port = serve(known.issue("localhost", |_| {}).acceptor(&[]), |mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let report = ask(&known, port, Duration::from_secs(2)).await;
    assert_eq!(report.verdict, Verdict::Up, "the right one is believed: {report:?}");
}

/// One HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// `:status: 200`, from the static table of HPACK (RFC 7541 appendix A).
const STATUS_200: &[u8] = &[0x88];

/// Reads the client's preface and frames up to its request, then sends these frames and says no more.
async fn speak(mut stream: TlsStream<TcpStream>, frames: Vec<u8>) {
    let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[])).await;
    let mut preface = [0; 24];
    if stream.read_exact(&mut preface).await.is_err() {
        return;
    }
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if stream.read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        if head[3] == HEADERS {
            break;
        }
    }
    let _ = stream.write_all(&frames).await;
    let _ = stream.flush().await;
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn broken_http2_is_down_and_its_reason_says_why() {
    let authority = Authority::new("known");
    let headers = frame(HEADERS, END_HEADERS, 1, STATUS_200);
    let reset = frame(RST_STREAM, 0, 1, &2_u32.to_be_bytes());
    let away = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]);
    // A header of HPACK's literal form (0x00, name, value) that never ends, frame after frame.
    let endless = {
        let mut frames = frame(HEADERS, 0, 1, STATUS_200);
        let name = [0, 1, b'x', 0x7f, 0x80, 0x7f];
        frames.extend(frame(CONTINUATION, 0, 1, &name));
        for _ in 0..200 {
            frames.extend(frame(CONTINUATION, 0, 1, &[b'y'; 16_000]));
        }
        frames
    };
    for (what, frames, why) in [
        ("a reset stream", reset.clone(), "request refused by the server"),
        ("a reset in the answer", [headers.clone(), reset].concat(), "broken off after 0 bytes"),
        ("going away", away, "connection ended by the server"),
        (
            "an answer that stalls",
            [headers.clone(), frame(DATA, 0, 1, b"ab")].concat(),
            "not complete within 600ms",
        ),
        ("nothing", Vec::new(), "no answer within 600ms"),
        (
            "a frame that is too long",
            [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 4096]].concat(),
            "frame",
        ),
        ("headers without end", endless, "excessive load"),
        ("data before headers", frame(DATA, 0, 1, b"ab"), "protocol error"),
        ("no HTTP/2", b"HTTP/1.1 200 OK\r\n\r\n\x1b[2J".to_vec(), "frame"),
    ] {
        let acceptor = authority.issue("localhost", |_| {}).acceptor(&[b"h2"]);
        let port = serve(acceptor, move |stream| speak(stream, frames.clone())).await;
        let judged = judge(&authority, port, Duration::from_millis(600)).await;
        // Nobody but the server can have taken part in its handshake; what it then says is its word.
        assert!(judged.signals.reached, "{what}");
        assert_eq!(judged.transport_failure, what == "nothing", "{what}");
        let report = judged.report.unwrap();
        let reason = report.reason.clone().unwrap();
        assert_eq!(report.verdict, Verdict::Down, "{what}: {report:?}");
        assert!(reason.contains(why), "{what}: {reason}");
        assert!(!reason.contains(is_harmful) && reason.len() < 260, "{what}: {reason:?}");
    }
}
