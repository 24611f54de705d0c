//! Servers that hang, trickle, shout, break off, redirect and throttle.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use warroom::{
    config::model::Action,
    config::model::Text,
    domain::{StepState, Verdict},
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
