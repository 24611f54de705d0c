//! Servers that hang, trickle, shout, break off, redirect and throttle.

use std::{sync::Arc, time::Duration};

use hyper::header::{HeaderName, HeaderValue};
use warroom::{
    config::model::Action,
    config::model::Text,
    domain::{StepState, Verdict},
    expression::is_harmful,
    platform::Credentials,
    probe::Order,
};

use crate::{
    server::{Act, Server, answer, ok},
    setup::{at, component, get, journey, journey_with, judged, once, request, step, tcp},
};

fn quick(name: &str, url: &str) -> warroom::config::model::Step {
    let mut step = get(name, url);
    step.timeout = Duration::from_millis(200);
    step
}

async fn reason(act: impl Fn() -> Act + Send + Sync + 'static) -> (Verdict, bool, String) {
    let server = Server::start(move |_| act());
    let journey = journey(component(at(server.address), vec![quick("ready", "/")]));
    let judged = judged(&journey, Order::default()).await;
    let report = judged.report.unwrap();
    (report.verdict, judged.transport_failure, report.reason.unwrap_or_default())
}

#[tokio::test]
async fn a_server_that_hangs_is_down_when_the_time_is_up() {
    let (verdict, transport, reason) = reason(|| Act::Hang).await;
    assert_eq!((verdict, transport, reason.as_str()), (Verdict::Down, true, "ready: no answer within 200ms"));
}

/// A body that trickles must not hold the probe beyond its time; it did answer, so that it is no transport failure.
#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec();
    let act = move || Act::Slowly(head.clone(), Duration::from_secs(30), b"cde".to_vec());
    let (verdict, transport, reason) = reason(act).await;
    assert_eq!((verdict, transport), (Verdict::Down, false));
    assert_eq!(reason, "ready: answer not complete within 200ms");
}

#[tokio::test]
async fn a_truncated_body_fails_the_step() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"status\":".to_vec();
    let (verdict, transport, reason) = reason(move || Act::SendAndClose(cut.clone())).await;
    assert_eq!((verdict, transport), (Verdict::Down, false));
    assert!(reason.starts_with("ready: answer broken off after "), "{reason}");
}

/// A huge body must not take the runner's memory, whether it says its length or not.
#[tokio::test]
async fn a_huge_body_fails_the_step() {
    let wanted = (Verdict::Down, false, "ready: the answer is longer than 1 MiB".to_owned());
    let huge = "x".repeat(1024 * 1024 + 1);
    let told = answer("200 OK", "", &huge);
    let untold = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{huge}").into_bytes();
    assert_eq!(reason(move || Act::Send(told.clone())).await, wanted);
    assert_eq!(reason(move || Act::SendAndClose(untold.clone())).await, wanted);
    let fits = answer("200 OK", "", &"x".repeat(1024 * 1024));
    assert_eq!(reason(move || Act::Send(fits.clone())).await.0, Verdict::Up);
}

#[tokio::test]
async fn a_huge_head_fails_the_step() {
    let head = format!("x-long: {}\r\n", "y".repeat(80_000));
    let long = answer("200 OK", &head, "");
    let (verdict, transport, reason) = reason(move || Act::Send(long.clone())).await;
    assert_eq!((verdict, transport), (Verdict::Down, false), "{reason}");
}

/// Bytes from a platform must not reach the terminal as they are.
#[tokio::test]
async fn what_is_no_http_is_said_cleanly() {
    let (verdict, _, reason) = reason(|| Act::SendAndClose(b"\x1b[2J SSH-2.0\r\n".to_vec())).await;
    assert_eq!(verdict, Verdict::Down);
    assert!(reason.contains("not an HTTP answer") && !reason.contains('\u{1b}'), "{reason:?}");
}

#[tokio::test]
async fn redirects_within_the_origin_are_followed_five_times() {
    let server = Server::start(|asked| {
        let left: u32 = asked.line().split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        if left == 0 {
            ok()
        } else {
            Act::Send(answer("302 Found", &format!("location: /{}\r\n", left - 1), ""))
        }
    });
    let report = once(at(server.address), vec![get("ready", "/5")]).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    let report = once(at(server.address), vec![get("ready", "/6")]).await;
    assert_eq!(report.reason.as_deref(), Some("ready: more than 5 redirects"));
    assert_eq!(server.asked().len(), 12);
    let journey = journey(component(at(server.address), vec![get("ready", "/5")]));
    let judged = judged(&journey, Order::default()).await;
    assert_eq!(judged.signals.requests, 6, "each of them is paid for");
}

/// A component that only sends its callers away is not well.
#[tokio::test]
async fn a_redirect_elsewhere_is_no_health() {
    let away = "location: https://login.example.com/sign-in?state=s3cret#x\r\n";
    let server = Server::start(move |_| Act::Send(answer("302 Found", away, "")));
    let report = once(at(server.address), vec![get("ready", "/")]).await;
    assert_eq!(report.verdict, Verdict::Down);
    assert_eq!(
        report.reason.as_deref(),
        Some("ready: redirects to https://login.example.com/sign-in, not followed")
    );
    let mut expected = get("ready", "/");
    expected.expect = vec![warroom::expression::Expression::compile("status == 302").unwrap()];
    assert_eq!(once(at(server.address), vec![expected]).await.verdict, Verdict::Up);
}

/// Sent to nowhere is no health either.
#[tokio::test]
async fn a_redirect_that_cannot_be_read_is_no_health() {
    for location in ["", "location: https://[\r\n", "location: \u{7f}\r\n"] {
        let mut sent = answer("302 Found", location, "");
        // A byte that is no UTF-8, which a `&str` cannot hold.
        sent.iter_mut().filter(|byte| **byte == 0x7f).for_each(|byte| *byte = 0xff);
        let server = Server::start(move |_| Act::Send(sent.clone()));
        let report = once(at(server.address), vec![get("ready", "/")]).await;
        assert_eq!(report.reason.as_deref(), Some("ready: redirects to no address that can be read"));
    }
}

/// A platform's token must reach no other host, neither by a redirect nor by a step that names one.
#[tokio::test]
async fn credentials_stay_at_the_platforms_origin() {
    let elsewhere = Server::start(|_| ok());
    let location = format!("location: http://{}/stolen\r\n", elsewhere.address);
    let server = Server::start(move |asked| {
        if asked.line().contains("/go") { Act::Send(answer("302 Found", &location, "")) } else { ok() }
    });
    let header = (HeaderName::from_static("x-key"), HeaderValue::from_static("k3y"));
    let credentials = Credentials::new(Vec::new(), vec![header], Some("t0ken")).unwrap();
    let mut platform = at(server.address);
    platform.headers = vec![("x-tenant".to_owned(), Text::Plain("t3nant".to_owned()))];
    let other = format!("http://{}/other", elsewhere.address);
    let mut redirect = get("redirect", "/go");
    redirect.expect = vec![warroom::expression::Expression::compile("status == 302").unwrap()];
    let steps = vec![redirect, get("other", &other), get("own", "/own")];
    let report = journey_with(component(platform, steps), credentials).probe().await;
    assert_eq!(report.verdict, Verdict::Up, "the 302 itself is the answer: {report:?}");
    let there = elsewhere.asked();
    assert_eq!(
        there.iter().map(|asked| asked.line().to_owned()).collect::<Vec<_>>(),
        ["GET /other HTTP/1.1"]
    );
    assert!(!["t0ken", "k3y", "t3nant"].iter().any(|held| there[0].head.contains(held)), "{}", there[0].head);
    for asked in server.asked() {
        let head = asked.head.to_lowercase();
        assert!(head.contains("authorization: bearer t0ken") && head.contains("x-key: k3y"), "{head}");
        assert!(head.contains("x-tenant: t3nant"), "{head}");
        assert!(head.contains(concat!("user-agent: warroom/", env!("CARGO_PKG_VERSION"))), "{head}");
    }
}

/// Guarantee 5, whatever becomes of the body: a gateway that throttles may well cut its answers short.
#[tokio::test]
async fn a_429_whose_body_is_broken_is_blind_all_the_same() {
    let head = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 4\r\n";
    let cut = format!("{head}content-length: 50\r\n\r\n{{\"message\":").into_bytes();
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\nno length\r\n").into_bytes();
    let huge = format!("{head}content-length: 99999999\r\n\r\n").into_bytes();
    let slow = Act::Slowly(cut.clone(), Duration::from_secs(30), Vec::new());
    for act in [Act::SendAndClose(cut), Act::SendAndClose(chunks), Act::SendAndClose(huge), slow] {
        let act = std::sync::Mutex::new(Some(act));
        let server = Server::start(move |_| act.lock().unwrap().take().unwrap_or(Act::Hang));
        let mut step = get("ready", "/");
        step.timeout = Duration::from_secs(2);
        let judged = judged(&journey(component(at(server.address), vec![step])), Order::default()).await;
        assert_eq!(judged.signals.throttled, Some(Some(Duration::from_secs(4))));
        let report = judged.report.unwrap();
        assert_eq!(report.verdict, Verdict::Blind, "{report:?}");
    }
}

/// Guarantee 5: throttled is not down.
#[tokio::test]
async fn a_429_is_blind_and_its_wait_is_read_in_both_forms() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:50:07 GMT\r\n";
    for (headers, wait) in [("retry-after: 4\r\n", Some(4)), (date, Some(30)), ("", None)] {
        let server = Server::start(move |_| Act::Send(answer("429 Too Many Requests", headers, "")));
        let journey = journey(component(at(server.address), vec![get("ready", "/"), get("later", "/")]));
        let judged = judged(&journey, Order::default()).await;
        assert_eq!(judged.signals.throttled, Some(wait.map(Duration::from_secs)));
        assert!(!judged.signals.answered && !judged.transport_failure);
        let report = judged.report.unwrap();
        assert_eq!((report.verdict, report.health_passed), (Verdict::Blind, None));
        assert_eq!(report.evidence, report.span);
        assert_eq!(report.steps[0].state, StepState::Blind);
        assert_eq!(report.steps[1].state, StepState::NotRun);
        assert!(report.reason.unwrap().starts_with("ready: throttled (429"));
    }
}

#[tokio::test]
async fn a_503_is_down_and_its_wait_is_passed_on() {
    let server = Server::start(|_| Act::Send(answer("503 Unavailable", "retry-after: 7\r\n", "")));
    let judged =
        judged(&journey(component(at(server.address), vec![get("ready", "/")])), Order::default()).await;
    assert_eq!(judged.signals.slowed, Some(Duration::from_secs(7)));
    let report = judged.report.unwrap();
    assert_eq!(
        (report.verdict, report.reason.as_deref()),
        (Verdict::Down, Some("ready: status < 400 (was 503)"))
    );
}

#[tokio::test]
async fn tcp_steps_open_and_close() {
    let server = Server::start(|_| ok());
    let open = once(at(server.address), vec![tcp("port open", &server.address.to_string())]).await;
    assert_eq!(open.verdict, Verdict::Up);
    assert!(open.steps[0].timings.unwrap().connect.is_some() && open.latency.is_some());
    let address = server.address;
    server.stop().await;
    let closed = once(at(address), vec![tcp("port open", &address.to_string())]).await;
    assert_eq!(closed.reason.as_deref(), Some("port open: connection refused"));
    let named = once(at(address), vec![tcp("port open", "no-such-host.invalid:1")]).await;
    let reason = named.reason.unwrap();
    assert!(reason.starts_with("port open: name resolution failed: "), "{reason}");
}

#[tokio::test]
async fn a_post_carries_its_json_and_a_missing_value_fails_the_step() {
    use warroom::config::{
        model::{Body, JsonTemplate},
        template::Template,
    };
    let server = Server::start(|_| ok());
    let mut action = request("POST", "/run/{id}?q={id}");
    let text = JsonTemplate::Text(Template::parse("{id}"));
    action.body = Some(Body::Json(JsonTemplate::Object(vec![("id".to_owned(), text)])));
    let mut with = component(at(server.address), vec![step("run", Action::Http(action.clone()))]);
    with.vars.insert("id".to_owned(), "a/b \"c".to_owned());
    assert_eq!(journey(with).probe().await.verdict, Verdict::Up);
    let asked = &server.asked()[0];
    assert_eq!(asked.line(), "POST /run/a%2Fb%20%22c?q=a%2Fb%20%22c HTTP/1.1");
    assert_eq!(asked.body, r#"{"id":"a/b \"c"}"#);
    assert!(asked.head.to_lowercase().contains("content-type: application/json"));
    let report = once(at(server.address), vec![step("run", Action::Http(action))]).await;
    assert!(report.reason.unwrap().contains("`{id}` has no value"));
    assert_eq!(server.asked().len(), 1);
}

/// An answer that is cut in the middle of its JSON, or is none, is said so: not that a field has the wrong value.
#[tokio::test]
async fn what_is_no_json_is_said_to_be_none() {
    let gzip = "\u{1f}\u{8b}\u{8}\u{0}\u{0}";
    for body in
        ["{\"status\": \"ok\", \"par", "<html>Bad gateway</html>", "", gzip, "\u{feff}{\"status\":\"ok\"}"]
    {
        let sent = answer("200 OK", "content-encoding: gzip\r\n", body);
        let server = Server::start(move |_| Act::Send(sent.clone()));
        let mut step = get("ready", "/");
        step.expect = vec![warroom::expression::Expression::compile("body.status == 'ok'").unwrap()];
        let report = once(at(server.address), vec![step]).await;
        assert_eq!(
            (report.verdict, report.reason.as_deref()),
            (Verdict::Down, Some("ready: body.status == 'ok' (the body is not JSON)")),
            "{body:?}"
        );
        // Nothing packed is asked for, so that nothing small can become large here.
        assert!(!server.asked()[0].head.to_lowercase().contains("accept-encoding"), "{:?}", server.asked());
    }
}

/// A head or a body that comes in drops holds the probe no longer than its time.
#[tokio::test]
async fn drops_are_cut_off() {
    let pause = Duration::from_millis(20);
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(500)).into_bytes();
    let (verdict, _, said) = reason(move || Act::Drip(Vec::new(), head.clone(), pause)).await;
    assert_eq!((verdict, said.as_str()), (Verdict::Down, "ready: no answer within 200ms"));
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n".to_vec();
    let drops = vec![b'z'; 500];
    let (verdict, transport, said) = reason(move || Act::Drip(body.clone(), drops.clone(), pause)).await;
    assert_eq!((verdict, transport), (Verdict::Down, false));
    assert_eq!(said, "ready: answer not complete within 200ms");
}

#[tokio::test]
async fn broken_heads_and_chunks_fail_the_step() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let bomb = "x-a: b\r\n".repeat(5_000);
    for (what, sent, why) in [
        (
            "a chunk of nonsense",
            format!("{ok}{chunked}zz\r\nab\r\n0\r\n\r\n"),
            "answer broken off after 0 bytes",
        ),
        ("a chunk without end", format!("{ok}{chunked}5\r\nab"), "answer broken off after "),
        (
            "a chunk too large to be",
            format!("{ok}{chunked}ffffffffffffffffff\r\nab"),
            "answer broken off after 0 bytes",
        ),
        (
            "two lengths",
            format!("{ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            "not an HTTP answer",
        ),
        ("a length below zero", format!("{ok}content-length: -1\r\n\r\nab"), "not an HTTP answer"),
        ("many headers", format!("{ok}{bomb}content-length: 0\r\n\r\n"), "the answer's head is longer"),
        ("a header's name in colour", format!("{ok}\u{1b}[31m: x\r\n\r\n"), "not an HTTP answer"),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n".to_owned(), "not an HTTP answer"),
        ("nothing", String::new(), "connection closed"),
    ] {
        let sent = sent.into_bytes();
        let (verdict, _, said) = reason(move || Act::SendAndClose(sent.clone())).await;
        assert_eq!(verdict, Verdict::Down, "{what}: {said}");
        assert!(said.contains(why) && !said.contains(is_harmful), "{what}: {said:?}");
    }
}

/// Interim answers without end are no answer.
#[tokio::test]
async fn a_flood_of_interim_answers_is_cut_off() {
    let part: Arc<[u8]> = b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n".repeat(100).into();
    let (verdict, _, said) = reason(move || Act::Flood(Vec::new(), Arc::clone(&part), usize::MAX)).await;
    assert_eq!((verdict, said.as_str()), (Verdict::Down, "ready: no answer within 200ms"));
}

#[tokio::test]
async fn a_redirect_to_itself_ends() {
    let server = Server::start(|_| Act::Send(answer("307 Temporary Redirect", "location: /\r\n", "")));
    let report = once(at(server.address), vec![get("ready", "/")]).await;
    assert_eq!(report.reason.as_deref(), Some("ready: more than 5 redirects"));
    assert_eq!(server.asked().len(), 6);
}

/// Guarantee 9, at its source: whatever field the bytes stand in, no report carries them on.
#[tokio::test]
async fn no_field_of_an_answer_carries_a_control_character_into_a_report() {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}txt\u{2066}\u{9b}31m";
    let json = serde_json::json!({ "status": EVIL, "who": EVIL }).to_string();
    let header = "x-served-by: a\u{202e}b\u{9b}31m\r\n";
    let location = "location: https://evil.example.com/\u{9b}31m\u{202e}?a\r\n";
    let compile = |text: &str| warroom::expression::Expression::compile(text).unwrap();
    for (status, headers, expect, served_by) in [
        ("200 OK", header, "body.status == 'ok'", "body.who"),
        ("200 OK", header, "headers['x-served-by'] == 'a'", "headers['x-served-by']"),
        ("200 OK", header, "body.status.startsWith('ok')", "body.who + headers['x-served-by']"),
        ("200 OK", header, "body[vars.name] == 'ok'", "body.status"),
        ("200 \u{9b}31m\u{202e}", header, "status == 201", "body.who"),
        ("302 Found", location, "", "headers['location']"),
        ("500 \u{202e}", header, "", "body.who"),
    ] {
        let sent = answer(status, headers, &json);
        let server = Server::start(move |_| Act::Send(sent.clone()));
        let mut step = get("ready", "/");
        step.expect = (!expect.is_empty()).then(|| compile(expect)).into_iter().collect();
        step.capture = vec![("held".to_owned(), compile("body.who"))];
        step.onset_at = Some(compile("body.status"));
        let mut after = get("after", "/");
        after.cleanup = true;
        let Action::Http(action) = &mut after.action else { unreachable!() };
        action.url = warroom::config::template::Template::parse("/{held}");
        let mut component = component(at(server.address), vec![step, after]);
        component.vars.insert("name".to_owned(), EVIL.to_owned());
        component.failover.served_by = Some(compile(served_by));
        let report = journey(component).probe().await;
        assert_eq!(report.verdict, Verdict::Down, "{expect}: {report:?}");
        let told = report.steps.iter().filter_map(|step| step.reason.as_deref());
        let told = told.chain(report.reason.as_deref()).chain(report.served_by.as_deref());
        let told: Vec<&str> = told.collect();
        assert!(told.len() >= 2, "{report:?}");
        assert!(told.iter().all(|text| !text.contains(is_harmful)), "{expect}: {told:?}");
        for asked in server.asked() {
            assert!(!asked.head.replace("\r\n", "").contains(char::is_control), "{:?}", asked.head);
        }
    }
}

/// The peak of this process's memory, in KiB (`proc_pid_status(5)`).
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Forty bodies of 64 MiB at one time, 2.5 GiB in all: none is read further than a little over 1 MiB.
#[tokio::test]
async fn many_huge_bodies_at_one_time_take_little_memory() {
    const MIB: usize = 1024 * 1024;
    let part: Arc<[u8]> = vec![b'x'; MIB].into();
    let before = peak();
    for head in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 64 * MIB),
    ] {
        let (head, part) = (head.into_bytes(), Arc::clone(&part));
        let server = Server::start(move |_| Act::Flood(head.clone(), Arc::clone(&part), 64));
        let mut step = get("ready", "/");
        step.timeout = Duration::from_secs(30);
        let probes = (0..40).map(|_| once(at(server.address), vec![step.clone()]));
        for report in futures_util::future::join_all(probes).await {
            assert_eq!(report.reason.as_deref(), Some("ready: the answer is longer than 1 MiB"));
        }
    }
    // 40 MiB of bodies, their buffers, and what the tests beside this one take.
    let grown = (peak() - before) / 1024;
    assert!(grown < 256, "the peak grew by {grown} MiB");
}
