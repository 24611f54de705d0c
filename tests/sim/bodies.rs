//! Bad bodies, each as the scenario names it.

use std::time::Duration;

use hyper::Method;

use crate::Simulation;

const LOOKUP: &str = "/edge/crm/v1/contacts?phone=1";

fn with(state: &str) -> Simulation {
    Simulation::with(&format!("[[changes]]\nat = '0s'\ntarget = 'edge/contacts'\nstate = {state}\n"))
}

#[tokio::test(start_paused = true)]
async fn a_truncated_body_ends_in_peace_and_is_no_json() {
    let answer = with("'truncated'").get(LOOKUP).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.torn);
    assert!(answer.bytes.starts_with(b"{\"contacts\""), "{:?}", answer.bytes);
    let error = serde_json::from_slice::<serde_json::Value>(&answer.bytes).unwrap_err();
    assert!(error.is_eof(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_promises_more_than_comes() {
    let answer = with("'broken'").get(LOOKUP).await;
    assert!(answer.torn);
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert!(!answer.bytes.is_empty() && answer.bytes.len() < promised, "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_huge_body_is_as_large_as_told_and_still_json() {
    for (state, bytes) in [("'huge'\nbytes = 300001", 300_001), ("'huge'\nbytes = 65536", 65_536)] {
        let answer = with(state).get(LOOKUP).await;
        assert_eq!(answer.bytes.len(), bytes);
        assert!(answer.json()["padding"].is_string());
    }
    assert_eq!(with("'huge'").get(LOOKUP).await.bytes.len(), 64 * 1024 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_takes_its_time_and_is_whole_in_the_end() {
    let sim = with("'dripping'\nlatency = '20s'");
    let asked = tokio::time::Instant::now();
    let answer = sim.get(LOOKUP).await;
    let took = asked.elapsed();
    assert!(took > Duration::from_secs(15) && took < Duration::from_secs(25), "{took:?}");
    assert_eq!(answer.json()["contacts"][0]["id"], "synthetic-1");
}

#[tokio::test(start_paused = true)]
async fn escapes_stand_in_every_text_of_an_answer() {
    let answer = with("'escapes'").get(LOOKUP).await;
    let contact = answer.json()["contacts"][0].clone();
    for field in ["id", "name", "phone"] {
        let text = contact[field].as_str().unwrap();
        for hostile in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r', '='] {
            assert!(text.contains(hostile), "{field} lacks {hostile:?}");
        }
    }
    let served_by = answer.headers["x-served-by"].as_bytes();
    assert!(String::from_utf8_lossy(served_by).contains('\u{202e}'));
}

#[tokio::test(start_paused = true)]
async fn a_web_page_comes_with_200() {
    let answer = with("'html'").get(LOOKUP).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type").unwrap()),
        (200, "text/html; charset=utf-8")
    );
    assert!(answer.bytes.starts_with(b"<!doctype html>"));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_leads_elsewhere_or_to_itself() {
    let elsewhere = with("'redirect'\nlocation = 'https://elsewhere.invalid/x'").get(LOOKUP).await;
    assert_eq!(elsewhere.status, 302);
    assert_eq!(elsewhere.header("location"), Some("https://elsewhere.invalid/x"));
    let itself = with("'redirect'").get(LOOKUP).await;
    assert_eq!(itself.header("location"), Some("/edge/crm/v1/contacts"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_gets_no_answer_at_all() {
    let sim = with("'refused'");
    assert!(sim.ask(Method::GET, LOOKUP, &[], "").await.is_none());
    assert_eq!(sim.get("/edge/crm/ready").await.status, 200);
}
