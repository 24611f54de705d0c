#![expect(clippy::unwrap_used, reason = "a test may")]

use super::*;

fn head(lines: &str) -> Vec<u8> {
    format!("{lines}\r\n\r\n").replace('\n', "\r\n").replace("\r\r", "\r").into_bytes()
}

fn full() -> Vec<u8> {
    head(
        "SIP/2.0 503 Try \u{1b}[2Jlater\n\
         v: SIP/2.0/UDP 192.0.2.1:5060 ; rport=5060;received=192.0.2.9; branch = z9hG4bKa , SIP/2.0/TCP x;branch=b\n\
         f: <sip:a@b>;tag=1\n\
         t: \"x;tag=no\" <sip:b@c;tag=no>;tag=7f\n\
         i: call@here\n\
         CSeq: 1  OPTIONS\n\
         m: \"Edge\" <sip:edge-2@[2001:db8::7]:5060;transport=tcp>;expires=1\n\
         Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\n\
         Record-Route: <sip:p3.example.com;lr>\n\
         Server: edge\n\
         \x20 7.1\n\
         Retry-After: 18 (in a moment);duration=30\n\
         l: 0",
    )
}

/// Short names, folded lines, lists: all that RFC 3261 allows a peer to write.
#[test]
fn a_response_is_read_in_all_its_forms() {
    let response = Response::parse(&full()).unwrap();
    assert_eq!((response.status, response.reason.as_str()), (503, "Try \u{1b}[2Jlater"));
    assert_eq!(response.branch(), Some("z9hG4bKa"));
    assert_eq!(response.sequence(), Some((1, "OPTIONS")));
    assert_eq!(response.header("call-id"), Some("call@here"));
    assert_eq!(response.to_tag(), Some("7f"));
    assert_eq!(response.header("server"), Some("edge 7.1"));
    assert_eq!(response.target().as_deref(), Some("sip:edge-2@[2001:db8::7]:5060;transport=tcp"));
    assert_eq!(response.contact_host().as_deref(), Some("2001:db8::7"));
    assert_eq!(
        response.routes(),
        ["<sip:p3.example.com;lr>", "<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]
    );
    assert_eq!(response.retry_after(), Some(Duration::from_secs(18)));
    assert_eq!(body_length(&full()), Some(0));
}

/// A header in another alphabet must not hide the ones behind it, or a live peer would look dead.
#[test]
fn a_byte_that_is_no_utf8_costs_its_own_header_alone() {
    let mut bytes = b"SIP/2.0 200 G\xe4rtner\r\nServer: M\xfcller\r\n".to_vec();
    bytes.extend_from_slice(b"Call-ID: a\r\nCSeq: 1 OPTIONS\r\n\r\n");
    let response = Response::parse(&bytes).unwrap();
    assert_eq!(response.header("call-id"), Some("a"));
    assert_eq!(response.header("server"), Some("M\u{fffd}ller"));
}

#[test]
fn what_is_no_response_is_none() {
    for other in
        ["OPTIONS sip:a@b SIP/2.0", "HTTP/1.1 200 OK", "SIP/2.0 99 Low", "SIP/2.0 700 High", "SIP/2.0", ""]
    {
        assert_eq!(Response::parse(&head(other)), None, "{other}");
    }
    assert_eq!(Response::parse(b"SIP/2.0 200 OK\r\n"), None);
}

/// A peer's text goes into our next request: it must not bring headers of its own.
#[test]
fn what_a_peer_says_cannot_break_our_requests() {
    let with = |contact: &str, to: &str| {
        Response::parse(&head(&format!("SIP/2.0 200 OK\nContact: {contact}\nTo: {to}"))).unwrap()
    };
    let odd = with("<sip:a b@c>", "<sip:a>;tag=a\u{b}b");
    assert_eq!((odd.target(), odd.to_tag()), (None, None));
    let odd = with("<http://a/>", "<sip:a>;tag=");
    assert_eq!((odd.target(), odd.to_tag()), (None, None));
    let long = with(&format!("<sip:{}>", "a".repeat(600)), &format!("<sip:a>;tag={}", "b".repeat(600)));
    assert_eq!((long.target(), long.to_tag()), (None, None));
    assert_eq!(with("sip:a@b;transport=tcp", "x").target().as_deref(), Some("sip:a@b"));
    assert_eq!(with("*", "x").target(), None);
}

#[test]
fn a_wait_is_read_with_its_comment_and_nonsense_is_none() {
    let wait = |text: &str| {
        let response = Response::parse(&head(&format!("SIP/2.0 503 x\nRetry-After: {text}"))).unwrap();
        response.retry_after().map(|wait| wait.as_secs())
    };
    assert_eq!(wait("120"), Some(120));
    assert_eq!(wait("120;duration=3600"), Some(120));
    assert_eq!(wait("99999999999999999999999"), Some(u64::MAX));
    for nonsense in ["soon", "-1", "1.5", "", "Sun, 06 Nov 1994 08:50:07 GMT"] {
        assert_eq!(wait(nonsense), None, "{nonsense}");
    }
}

/// Random damage to a real answer: nothing that a network brings may end the process. A failure prints its bytes.
#[test]
fn no_bytes_can_end_the_process() {
    let mut random = fastrand::Rng::with_seed(0x51f0);
    let whole = full();
    let pieces: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b";",
        b"<",
        b">",
        b",",
        b"=",
        b"\xff\xfe",
        "\u{202e}é".as_bytes(),
        b"SIP/2.0 ",
    ];
    let mut read = 0;
    for _ in 0..60_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..12) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..5) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.truncate(at.max(1)),
                2 => {
                    let end = (at + random.usize(0..40)).min(bytes.len());
                    bytes.drain(at..end);
                    bytes.push(b'x');
                }
                _ => {
                    let piece = pieces[random.usize(0..pieces.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        let end = head_end(&bytes).unwrap();
        let _ = body_length(&bytes[..end]);
        let Some(response) = Response::parse(&bytes[..end]) else { continue };
        read += 1;
        let _ = (response.branch(), response.sequence(), response.routes(), response.retry_after());
        for echoed in response.to_tag().into_iter().chain(response.target().as_deref()) {
            assert!(
                echoed.bytes().all(|byte| byte.is_ascii_graphic()),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
        let _ = response.contact_host();
    }
    assert!(read > 5_000, "the damage was too great to prove anything: {read}");
}
