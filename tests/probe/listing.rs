//! One answer for several components, and who serves while the health step fails.

use std::{sync::Arc, time::Duration};

use warroom::{
    config::model::{Component, Failover},
    domain::{StepState, Verdict},
    expression::Expression,
    platform::Credentials,
    probe::{Client, Journey, Order},
};

use super::{
    server::{Act, Server, answer},
    setup::{at, clock, component, get, judged, peace},
};

fn expecting(name: &str, url: &str, expect: &str) -> warroom::config::model::Step {
    let mut step = get(name, url);
    step.expect = vec![Expression::compile(expect).unwrap()];
    step
}

fn sharing(server: &Server, steps: &[&str]) -> Component {
    let steps = steps.iter().map(|name| {
        let mut step = expecting(name, "/all", "status == 200");
        step.shared = Some(Duration::from_millis(500));
        step
    });
    component(at(server.address), steps.collect())
}

/// What an old answer says was true when it was asked for: a probe that dated it later would move the bounds.
#[tokio::test]
async fn an_answer_that_is_taken_over_dates_from_its_request() {
    let server = Server::start(|_| Act::Send(answer("200 OK", "", "{}")));
    let client = Client::new(&at(server.address), Credentials::default(), clock());
    let new = |component| Journey::new(Arc::new(component), Arc::clone(&client), clock());
    let (one, other) = (new(sharing(&server, &["a", "b"])), new(sharing(&server, &["c"])));
    let first = peace(&one).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let second = peace(&other).await;
    assert_eq!(server.asked().len(), 1, "three steps of two components, one request");
    assert_eq!((first.verdict, second.verdict), (Verdict::Up, Verdict::Up));
    let asked = first.steps[0].span.unwrap();
    assert_eq!((first.steps[1].span, second.steps[0].span), (Some(asked), Some(asked)));
    assert_eq!((second.span.start, second.evidence.start), (asked.start, asked.start));
    // Its own next probe needs an answer that was asked for after it looked.
    peace(&other).await;
    assert_eq!(server.asked().len(), 2);
}

/// A component whose listing is refused is blind with all the others, at the price of one request.
#[tokio::test]
async fn a_throttled_listing_is_blind_for_all() {
    let server = Server::start(|_| {
        Act::Slowly(
            Vec::new(),
            Duration::from_millis(100),
            answer("429 Too Many Requests", "retry-after: 4\r\n", ""),
        )
    });
    let client = Client::new(&at(server.address), Credentials::default(), clock());
    let journeys: Vec<_> = (0..5)
        .map(|_| Journey::new(Arc::new(sharing(&server, &["a"])), Arc::clone(&client), clock()))
        .collect();
    let reports = futures_util::future::join_all(journeys.iter().map(|journey| peace(journey))).await;
    assert!(reports.iter().all(|report| report.verdict == Verdict::Blind), "{reports:?}");
    assert_eq!(server.asked().len(), 1);
}

/// The failover comes while the component is down: who serves must be asked then, not when it is back.
#[tokio::test]
async fn who_serves_is_seen_while_the_health_step_fails() {
    let server = Server::start(|asked| {
        Act::Send(if asked.line().contains("/health") {
            answer("503 Service Unavailable", "", "")
        } else {
            answer("200 OK", "", "{\"region\":\"west\"}")
        })
    });
    let steps = vec![
        expecting("health", "/health", "status == 200"),
        expecting("between", "/between", "status == 200"),
        expecting("routing", "/routing", "status == 200"),
    ];
    let mut component = component(at(server.address), steps);
    component.failover = Failover {
        served_by: Some(Expression::compile("body.region").unwrap()),
        step: Some(2),
        secondary: vec!["west".to_owned()],
        ..Failover::default()
    };
    let journey = super::setup::journey(component);
    let burst = Order { burst: true, fresh: true, health_only: true };
    let report = judged(&journey, burst).await.report.unwrap();
    assert_eq!((report.verdict, report.served_by.as_deref()), (Verdict::Down, Some("west")));
    let states: Vec<_> = report.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Failed, StepState::NotRun, StepState::Passed]);
}
