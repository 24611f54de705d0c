//! Expectations, captures, who serves, and stamps, on real answers.

use std::time::Duration;

use warroom::{
    config::model::Step,
    domain::{StepState, Verdict},
    expression::Expression,
};

use crate::{
    server::{Act, Server, answer, ok},
    setup::{at, component, get, journey, once},
};

fn cel(text: &str) -> Expression {
    Expression::compile(text).unwrap()
}

fn expecting(mut step: Step, expectations: &[&str]) -> Step {
    step.expect = expectations.iter().map(|text| cel(text)).collect();
    step
}

fn saying(
    status: &'static str,
    headers: &'static str,
    body: &'static str,
) -> impl Fn() -> Act + Send + Sync + 'static {
    move || Act::Send(answer(status, headers, body))
}

fn server(act: impl Fn() -> Act + Send + Sync + 'static) -> Server {
    Server::start(move |_| act())
}

#[tokio::test]
async fn the_reason_names_step_expectation_and_what_was_met() {
    let server = server(saying("503 Unavailable", "", "{}"));
    let report = once(at(server.address), vec![expecting(get("flow status", "/"), &["status == 200"])]).await;
    assert_eq!(report.verdict, Verdict::Down);
    assert_eq!(report.reason.as_deref(), Some("flow status: status == 200 (was 503)"));
}

/// An expected failure status is no failure: the step's own words count.
#[tokio::test]
async fn expectations_replace_the_usual_one() {
    let server = server(saying("404 Gone", "", r#"{"status":"ACTIVE","n":3}"#));
    let expectations = ["status == 404", r#"body.status == "ACTIVE""#, "body.n > 2", "latency_ms < 2000"];
    let report = once(at(server.address), vec![expecting(get("ready", "/"), &expectations)]).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
}

/// Who serves is what a failover is seen by, and it is seen while the health step still fails.
#[tokio::test]
async fn who_serves_is_told_also_when_the_expectations_failed() {
    let server = server(saying("500 Oops", "x-served-by: us-\u{202e}west-2\r\n", ""));
    let mut one = component(at(server.address), vec![get("ready", "/")]);
    one.failover.served_by = Some(cel(r#"headers["x-served-by"]"#));
    let report = journey(one.clone()).probe().await;
    assert_eq!((report.verdict, report.served_by.as_deref()), (Verdict::Down, Some("us-\u{fffd}west-2")));
    one.failover.served_by = Some(cel("body.siteId"));
    assert_eq!(journey(one).probe().await.served_by, None, "an error is null");
}

#[tokio::test]
async fn captures_feed_later_steps_and_their_clean_up() {
    let server = Server::start(|asked| match asked.line() {
        line if line.starts_with("GET /start") => Act::Send(answer("200 OK", "", r#"{"id":"a b"}"#)),
        line if line.starts_with("GET /use") => Act::Send(answer("500 Oops", "", "")),
        _ => ok(),
    });
    let mut start = get("start", "/start");
    start.capture = vec![("id".to_owned(), cel("body.id")), ("none".to_owned(), cel("body.none"))];
    let mut end = get("end", "/end/{id}");
    end.cleanup = true;
    let mut other = get("other", "/other/{none}");
    other.cleanup = true;
    let report = once(at(server.address), vec![start, get("use", "/use/{id}"), end, other]).await;
    let lines: Vec<_> = server.asked().iter().map(|asked| asked.line().to_owned()).collect();
    assert_eq!(lines, ["GET /start HTTP/1.1", "GET /use/a%20b HTTP/1.1", "GET /end/a%20b HTTP/1.1"]);
    assert_eq!((report.verdict, report.steps[3].state), (Verdict::Degraded, StepState::NotRun));
}

#[tokio::test]
async fn the_platforms_own_stamps_are_read_whether_the_step_passes_or_not() {
    let body = r#"{"since":"2026-05-15T14:32:00Z"}"#;
    for (status, verdict) in [("200 OK", Verdict::Up), ("500 Oops", Verdict::Down)] {
        let server = server(saying(status, "", body));
        let mut ready = get("ready", "/");
        ready.onset_at = Some(cel("body.since"));
        ready.restored_at = Some(cel("body.nothing"));
        let report = once(at(server.address), vec![ready]).await;
        assert_eq!(report.verdict, verdict);
        let stamp = report.steps[0].onset_at.unwrap();
        assert_eq!(stamp.to_rfc3339(), "2026-05-15T14:32:00+00:00");
        assert_eq!(report.steps[0].restored_at, None);
    }
}

/// What a platform says may be hostile: it is shown in reasons, and must be harmless there.
#[tokio::test]
async fn a_hostile_value_is_harmless_and_short_in_the_reason() {
    let body: &'static str = Box::leak(
        format!("{{\"status\":\"\\u001b]0;x\\u0007\u{202e}{}\"}}", "z".repeat(9_000)).into_boxed_str(),
    );
    let server = server(saying("200 OK", "", body));
    let mut ready = expecting(get("ready", "/"), &[r#"body.status == "ACTIVE""#]);
    ready.timeout = Duration::from_secs(5);
    let reason = once(at(server.address), vec![ready]).await.reason.unwrap();
    assert!(reason.chars().count() < 250, "{reason}");
    assert!(!reason.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{reason:?}");
}
