//! SIP steps against peers that lose, delay, confuse and refuse.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use warroom::{
    config::{
        model::{Action, CallEnd, Failover, Platform, SipAction, SipMethod, Step},
        template::Template,
    },
    domain::{ProbeReport, StepState, Verdict},
    expression::{Expression, SIP, is_harmful},
    probe::{Order, journey::Judged},
};

use crate::{
    certificates::Authority,
    phone::{Call, Phone, secure},
    setup::{component, journey, judged, once, platform, step},
};

fn sip(address: &str, method: SipMethod) -> Step {
    let action = SipAction {
        address: Template::parse(address),
        method,
        to: None,
        from: None,
        headers: Vec::new(),
        any_answer: false,
    };
    step("trunk", Action::Sip(action))
}

fn options(address: SocketAddr, transport: &str) -> Step {
    sip(&format!("sip:{address};transport={transport}"), SipMethod::Options)
}

fn call(address: SocketAddr, end: CallEnd) -> Step {
    sip(&format!("sip:bob@{address}"), SipMethod::Call(end))
}

fn any(mut step: Step) -> Step {
    let Action::Sip(action) = &mut step.action else { unreachable!() };
    action.any_answer = true;
    step
}

fn within(mut step: Step, limit: u64) -> Step {
    step.timeout = Duration::from_millis(limit);
    step
}

async fn run(step: Step) -> ProbeReport {
    once(platform("http://127.0.0.1:9"), vec![step]).await
}

async fn judge(step: Step) -> (Judged, ProbeReport) {
    let journey = journey(component(platform("http://127.0.0.1:9"), vec![step]));
    let mut judged = judged(&journey, Order::default()).await;
    let report = judged.report.take().unwrap();
    (judged, report)
}

fn ok(call: &Call) -> Vec<Vec<u8>> {
    vec![call.answer("200 OK", "Contact: <sip:sbc2.example.com:5070>\r\nServer: edge/7\r\n")]
}

#[tokio::test]
async fn a_trunk_that_answers_is_up_by_udp_and_by_tcp() {
    for transport in ["udp", "tcp"] {
        let phone = if transport == "udp" { Phone::udp(ok).await } else { Phone::tcp(ok).await };
        let mut component =
            component(platform("http://127.0.0.1:9"), vec![options(phone.address, transport)]);
        let read = |text| Expression::compile_for(text, SIP).unwrap();
        component.journey[0].expect = vec![read(
            "status == 200 && reason == 'OK' && headers['server'] == 'edge/7' && latency_ms < 1000",
        )];
        component.failover = Failover { served_by: Some(read("contact_host")), ..Failover::default() };
        let report = journey(component).probe().await;
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
        assert_eq!(report.served_by.as_deref(), Some("sbc2.example.com"));
        let timings = report.steps[0].timings.unwrap();
        assert_eq!((timings.connect.is_some(), timings.first_byte.is_some()), (transport == "tcp", true));
        let asked = phone.asked();
        assert_eq!(asked.len(), 1);
        let local = asked[0].from;
        let via = format!("SIP/2.0/{} {local};branch=z9hG4bK", transport.to_uppercase());
        assert!(asked[0].header("Via").starts_with(&via), "{}", asked[0].text);
        assert!(asked[0].header("Contact").contains(&local.to_string()));
        assert_eq!((asked[0].header("Max-Forwards"), asked[0].header("CSeq")), ("70", "1 OPTIONS"));
        assert_eq!(asked[0].header("Accept"), "application/sdp");
    }
}

#[tokio::test]
async fn an_ipv6_trunk_is_asked_too() {
    let Ok(socket) = UdpSocket::bind("[::1]:0") else {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    };
    let address = socket.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let call = Call { text: String::from_utf8(buffer[..length].to_vec()).unwrap(), from, count: 1 };
        socket.send_to(&ok(&call)[0], from).unwrap();
        call
    });
    let report = run(options(address, "udp")).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    let call = peer.join().unwrap();
    assert!(call.header("Via").contains(&format!(" [::1]:{};", call.from.port())), "{}", call.text);
    assert!(call.header("From").starts_with("<sip:warroom@[::1]>;tag="), "{}", call.text);
}

/// One lost datagram is no outage: it is sent again after half a second, as the same request.
#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    let phone = Phone::udp(|call| if call.count == 1 { Vec::new() } else { ok(call) }).await;
    let report = run(options(phone.address, "udp")).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    let asked = phone.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].text, asked[1].text);
    assert!(report.latency.unwrap() >= Duration::from_millis(450), "{:?}", report.latency);
}

/// A retransmission on a connection would be a second request.
#[tokio::test]
async fn on_a_connection_nothing_is_sent_again() {
    let phone = Phone::tcp(|_| Vec::new()).await;
    let (judged, report) = judge(within(options(phone.address, "tcp"), 800)).await;
    assert_eq!(report.reason.as_deref(), Some("trunk: no answer within 800ms"));
    assert!(judged.transport_failure);
    assert_eq!(phone.methods(), ["OPTIONS"]);
}

#[tokio::test]
async fn a_refused_datagram_is_down_at_once_and_may_be_our_own() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let (judged, report) = judge(options(address, "udp")).await;
    assert_eq!(
        (report.verdict, report.reason.as_deref()),
        (Verdict::Down, Some("trunk: connection refused: nobody listens on that port"))
    );
    assert!(judged.transport_failure && !judged.signals.reached);
    assert!(report.span.end.since(report.span.start) < Duration::from_millis(400), "{report:?}");
}

/// Garbage, answers to others and answers from elsewhere must neither pass for an answer nor end the probe.
#[tokio::test]
async fn what_is_no_answer_is_ignored_and_noted() {
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let phone = Phone::udp(move |call| {
        elsewhere.send_to(&call.answer("200 OK", ""), call.from).unwrap();
        let wrong = |from: &str, to: &str| {
            String::from_utf8(call.answer("200 OK", "")).unwrap().replace(from, to).into_bytes()
        };
        vec![
            b"\xff\xfe\x00garbage".to_vec(),
            Vec::new(),
            vec![b'x'; 65_000],
            wrong("z9hG4bK", "z9hG4bKx"),
            wrong("Call-ID: ", "Call-ID: x"),
            wrong("1 OPTIONS", "2 OPTIONS"),
            b"OPTIONS sip:you@there SIP/2.0\r\n\r\n".to_vec(),
        ]
    })
    .await;
    let (judged, report) = judge(within(options(phone.address, "udp"), 300)).await;
    assert_eq!(
        report.reason.as_deref(),
        Some("trunk: no answer within 300ms (7 messages were no answer to it)"),
        "the answer from elsewhere is not even heard"
    );
    assert_eq!(report.verdict, Verdict::Down);
    assert!(judged.transport_failure);
}

/// A peer that never stops talking must not hold the probe.
#[tokio::test]
async fn a_flood_ends_the_step() {
    let phone = Phone::tcp(|call| {
        let other = String::from_utf8(call.answer("200 OK", "")).unwrap().replace("Call-ID: ", "Call-ID: x");
        vec![other.repeat(2_000).into_bytes()]
    })
    .await;
    let report = run(options(phone.address, "tcp")).await;
    assert_eq!(report.reason.as_deref(), Some("trunk: 1000 messages came that were no answer"));
}

#[tokio::test]
async fn a_trunk_out_of_service_slows_its_component() {
    let phone =
        Phone::udp(|call| vec![call.answer("503 Try \u{1b}[2J later", "Retry-After: 7 (soon)\r\n")]).await;
    let (judged, report) = judge(any(options(phone.address, "udp"))).await;
    assert_eq!(
        (report.verdict, report.reason.as_deref()),
        (Verdict::Down, Some("trunk: out of service (503 Try \u{fffd}[2J later, asks for 7s)"))
    );
    assert_eq!(judged.signals.slowed, Some(Duration::from_secs(7)));
    assert!(judged.signals.reached && !judged.transport_failure);
    assert!(
        !judged.signals.answered && judged.signals.throttled.is_none(),
        "an HTTP throttle is none of its business"
    );
}

#[tokio::test]
async fn another_final_answer_counts_only_where_the_step_says_so() {
    for status in ["401 Unauthorized", "404 Not Found", "405 Method Not Allowed", "302 Moved Temporarily"] {
        let phone = Phone::udp(move |call| vec![call.answer(status, "")]).await;
        let strict = run(options(phone.address, "udp")).await;
        let words = format!("trunk: {status} (counts only with answers = \"any\")");
        assert_eq!((strict.verdict, strict.reason), (Verdict::Down, Some(words)));
        assert_eq!(run(any(options(phone.address, "udp"))).await.verdict, Verdict::Up);
    }
}

/// It says that it is working on it, and never answers.
#[tokio::test]
async fn a_trunk_that_only_tries_is_down_and_was_reached() {
    let phone = Phone::udp(|call| vec![call.answer("100 Trying", "")]).await;
    let (judged, report) = judge(within(options(phone.address, "udp"), 300)).await;
    let reason = "trunk: no final answer within 300ms, only that it is being worked on";
    assert_eq!((report.verdict, report.reason.as_deref()), (Verdict::Down, Some(reason)));
    assert!(!judged.transport_failure && judged.signals.reached);
}

/// Host and port in the `To`.
fn called(call: &Call) -> &str {
    call.header("To").split(['@', ';', '>']).nth(1).unwrap()
}

/// A peer that rings, is cancelled, and says so.
fn rings(call: &Call) -> Vec<Vec<u8>> {
    match call.method() {
        "INVITE" => vec![call.answer("100 Trying", ""), call.answer("180 Ringing", "")],
        "CANCEL" => vec![call.answer("200 OK", ""), terminated(call, "487 Request Terminated")],
        "BYE" => vec![call.answer("200 OK", "")],
        _ => Vec::new(),
    }
}

/// The answer to the INVITE that a CANCEL belongs to.
fn terminated(cancel: &Call, status: &str) -> Vec<u8> {
    String::from_utf8(cancel.answer(status, "")).unwrap().replace("1 CANCEL", "1 INVITE").into_bytes()
}

#[tokio::test]
async fn a_call_that_rings_is_cancelled_and_up() {
    let phone = Phone::udp(rings).await;
    let mut step = call(phone.address, CallEnd::Cancel);
    step.expect = vec![Expression::compile_for("status == 180 && reason == 'Ringing'", SIP).unwrap()];
    let report = run(step).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    assert_eq!(phone.heard(3).await, ["INVITE", "CANCEL", "ACK"]);
    let asked = phone.asked();
    assert!(asked[0].text.starts_with(&format!("INVITE sip:bob@{} SIP/2.0\r\n", phone.address)));
    assert!(asked.iter().all(|request| request.header("Call-ID") == asked[0].header("Call-ID")));
}

#[tokio::test]
async fn a_call_that_is_answered_is_ended_and_up() {
    let script = |call: &Call| match call.method() {
        "INVITE" => vec![
            call.answer("180 Ringing", ""),
            call.answer("200 OK", &format!("Contact: <sip:gw@{}>\r\n", called(call))),
        ],
        _ => rings(call),
    };
    for (phone, transport) in [(Phone::udp(script).await, "udp"), (Phone::tcp(script).await, "tcp")] {
        let address = format!("sip:bob@{};transport={transport}", phone.address);
        let step = sip(&address, SipMethod::Call(CallEnd::Complete));
        let report = run(step).await;
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
        assert_eq!(phone.heard(3).await, ["INVITE", "ACK", "BYE"]);
        assert!(phone.asked()[2].text.starts_with(&format!("BYE sip:gw@{} SIP/2.0\r\n", phone.address)));
    }
}

/// Somebody picks up while the CANCEL is under way: the call must not stand.
#[tokio::test]
async fn a_200_that_crosses_the_cancel_is_ended() {
    let phone = Phone::udp(|call| match call.method() {
        "CANCEL" => vec![terminated(call, "200 OK"), call.answer("481 No Such Call", "")],
        _ => rings(call),
    })
    .await;
    let report = run(call(phone.address, CallEnd::Cancel)).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    assert_eq!(phone.heard(4).await, ["INVITE", "CANCEL", "ACK", "BYE"]);
}

/// The step's time is up while it rings: the call is torn down behind it.
#[tokio::test]
async fn a_call_that_outlasts_its_step_is_torn_down_all_the_same() {
    let phone = Phone::udp(rings).await;
    let (judged, report) = judge(within(call(phone.address, CallEnd::Complete), 200)).await;
    assert_eq!(
        (report.verdict, report.reason.as_deref()),
        (Verdict::Down, Some("trunk: 180 Ringing, but nobody answered within 200ms"))
    );
    assert!(judged.signals.reached && !judged.transport_failure);
    assert_eq!(phone.heard(3).await, ["INVITE", "CANCEL", "ACK"]);
}

/// The engine ends in the middle of a call.
#[tokio::test]
async fn a_call_whose_probe_is_dropped_is_torn_down_all_the_same() {
    let phone = Phone::udp(rings).await;
    let journey =
        journey(component(platform("http://127.0.0.1:9"), vec![call(phone.address, CallEnd::Complete)]));
    let probe = judged(&journey, Order::default());
    assert!(tokio::time::timeout(Duration::from_millis(100), probe).await.is_err());
    journey.settle().await;
    assert!(phone.methods().len() > 1, "it has settled before the peer heard of it");
    assert_eq!(phone.heard(3).await, ["INVITE", "CANCEL", "ACK"]);
}

/// A peer that takes every CANCEL and never ends a call must not pile up sockets and tasks of ours without end.
#[tokio::test]
async fn calls_that_do_not_end_keep_new_ones_from_being_placed() {
    let phone = Phone::udp(|call| match call.method() {
        "CANCEL" => vec![call.answer("200 OK", "")],
        _ => rings(call),
    })
    .await;
    let step = within(call(phone.address, CallEnd::Cancel), 300);
    let journey = journey(component(platform("http://127.0.0.1:9"), vec![step]));
    let runs = (0..32).map(|_| judged(&journey, Order::default()));
    for judged in futures_util::future::join_all(runs).await {
        assert_eq!(judged.report.unwrap().verdict, Verdict::Down);
    }
    let placed = phone.methods().iter().filter(|method| *method == "INVITE").count();
    let report = judged(&journey, Order::default()).await.report.unwrap();
    assert_eq!(
        (report.verdict, report.reason.as_deref()),
        (Verdict::Blind, Some("trunk: calls of before are still being torn down"))
    );
    assert_eq!(phone.methods().iter().filter(|method| *method == "INVITE").count(), placed);
}

/// What goes wrong on the way while it rings ends the step and not the call.
#[tokio::test]
async fn a_call_that_rings_amid_noise_is_torn_down_all_the_same() {
    let phone = Phone::udp(|call| match call.method() {
        "INVITE" => {
            let mut answers = rings(call);
            answers.extend(std::iter::repeat_n(b"noise".to_vec(), 1_100));
            answers
        }
        _ => rings(call),
    })
    .await;
    let (judged, report) = judge(call(phone.address, CallEnd::Complete)).await;
    assert_eq!(report.reason.as_deref(), Some("trunk: 1000 messages came that were no answer"));
    assert!(judged.signals.reached);
    assert_eq!(phone.heard(3).await, ["INVITE", "CANCEL", "ACK"]);
}

#[tokio::test]
async fn a_call_that_is_refused_or_passed_on_by_nobody_is_down() {
    let phone = Phone::udp(|call| vec![call.answer("486 Busy Here", "")]).await;
    let report = run(call(phone.address, CallEnd::Cancel)).await;
    assert_eq!(report.reason.as_deref(), Some("trunk: 486 Busy Here (counts only with answers = \"any\")"));
    assert_eq!(phone.heard(2).await, ["INVITE", "ACK"]);
    let silent =
        Phone::udp(
            |call| if call.method() == "INVITE" { vec![call.answer("100 Trying", "")] } else { rings(call) },
        )
        .await;
    let report = run(within(call(silent.address, CallEnd::Cancel), 200)).await;
    assert_eq!(report.reason.as_deref(), Some("trunk: 100 Trying, but it did not ring within 200ms"));
    assert_eq!(silent.heard(3).await, ["INVITE", "CANCEL", "ACK"]);
}

/// What a platform said earlier must not become a header of the next request.
#[tokio::test]
async fn a_value_cannot_break_a_request() {
    let phone = Phone::udp(ok).await;
    for (place, value) in
        [("to", "bob\r\nX-Evil: 1"), ("header", "a\r\nX-Evil: 1"), ("address", "h>\r\nX: y")]
    {
        let mut step = options(phone.address, "udp");
        let Action::Sip(action) = &mut step.action else { unreachable!() };
        let template = Template::parse("{value}");
        match place {
            "to" => action.to = Some(template),
            "header" => action.headers = vec![("X-A".to_owned(), template)],
            _ => action.address = Template::parse("sip:{value}"),
        }
        let mut component = component(platform("http://127.0.0.1:9"), vec![step]);
        component.vars.insert("value".to_owned(), value.to_owned());
        let report = journey(component).probe().await;
        assert_eq!(report.steps[0].state, StepState::Failed, "{report:?}");
        assert!(!report.reason.unwrap().contains(['\r', '\n']));
    }
    assert!(phone.asked().is_empty());
}

/// By TLS the peer must prove who it is, as the platform's authority says.
#[tokio::test]
async fn a_trunk_by_tls_is_asked_only_if_it_is_who_it_should_be() {
    let (authority, stranger) = (Authority::new("known"), Authority::new("stranger"));
    for (issuer, verdict) in [(&authority, Verdict::Up), (&stranger, Verdict::Down)] {
        // A peer that insists on a protocol of its own is content with one that names none.
        let acceptor = issuer.issue("localhost", |_| {}).acceptor(&[b"sip/2"]);
        let (port, asked) = secure(acceptor, rings).await;
        let ca_file = Some(authority.file.path().to_owned());
        let platform = Platform { ca_file, ..platform("http://127.0.0.1:9") };
        let step = sip(&format!("sips:bob@localhost:{port}"), SipMethod::Call(CallEnd::Cancel));
        let report = once(platform, vec![step]).await;
        assert_eq!(report.verdict, verdict, "{report:?}");
        let asked = asked.lock().unwrap().clone();
        if verdict == Verdict::Up {
            assert!(report.steps[0].timings.unwrap().tls.is_some());
            assert!(asked[0].header("Via").starts_with("SIP/2.0/TLS "), "{}", asked[0].text);
            assert!(asked[0].header("Contact").starts_with("<sips:warroom@"), "{}", asked[0].text);
        } else {
            assert_eq!(report.reason.as_deref(), Some("trunk: TLS: invalid peer certificate: UnknownIssuer"));
            assert!(asked.is_empty());
        }
    }
}

/// Guarantee 9 for SIP: the phrase and every header are foreign.
#[tokio::test]
async fn no_field_of_a_sip_answer_carries_a_control_character_into_a_report() {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}txt\u{9b}31m";
    let phone = Phone::udp(|call| {
        let headers = format!("Server: {EVIL}\r\nContact: <sip:{EVIL}@evil>\r\n{EVIL}: {EVIL}\r\n");
        vec![call.answer(&format!("200 {EVIL}"), &headers)]
    })
    .await;
    for expect in ["reason == 'OK'", "headers['server'] == 'edge'", "contact_host == 'sbc'", "status == 486"]
    {
        let mut step = options(phone.address, "udp");
        step.expect = vec![Expression::compile_for(expect, SIP).unwrap()];
        let mut component = component(platform("http://127.0.0.1:9"), vec![step]);
        component.failover.served_by =
            Some(Expression::compile_for("headers['server'] + reason", SIP).unwrap());
        let report = journey(component).probe().await;
        assert_eq!(report.verdict, Verdict::Down, "{report:?}");
        for told in [report.reason.unwrap(), report.served_by.unwrap()] {
            assert!(!told.contains(is_harmful), "{expect}: {told:?}");
        }
    }
}
