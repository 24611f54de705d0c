//! One answer for several components, and who serves while the health step fails.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use warroom::{
    config::{
        model::{Action, Component, Failover, Rate},
        template::Template,
    },
    domain::{StepState, Verdict},
    expression::Expression,
    platform::Credentials,
    probe::{Budget, Client, Journey, Order, budget::Errand, journey::Gate},
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

/// Two tenants behind one platform, each with a token of its own: neither may be given the other's answer.
#[tokio::test]
async fn an_answer_is_shared_only_by_those_who_send_the_same_headers() {
    let server = Server::start(|asked| {
        let tenant = if asked.head.contains("Bearer blue") { "blue" } else { "green" };
        Act::Send(answer("200 OK", "", &format!("{{\"tenant\":\"{tenant}\"}}")))
    });
    let client = Client::new(&at(server.address), Credentials::default(), clock());
    for tenant in ["blue", "green"] {
        let mut step = expecting("tenant", "/all", &format!("body.tenant == '{tenant}'"));
        step.shared = Some(Duration::from_secs(1));
        let Action::Http(http) = &mut step.action else { unreachable!() };
        http.headers.push(("authorization".to_owned(), Template::parse("Bearer {token}")));
        let mut component = component(at(server.address), vec![step]);
        component.vars.insert("token".to_owned(), tenant.to_owned());
        let report = peace(&Journey::new(Arc::new(component), Arc::clone(&client), clock())).await;
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    }
}

/// Whoever asks for all may itself have to wait for long: for the budget, in this case.
#[tokio::test]
async fn a_shared_answer_that_does_not_come_is_blind() {
    let server = Server::start(|_| Act::Send(answer("200 OK", "", "{}")));
    let client = Client::new(&at(server.address), Credentials::default(), clock());
    let impatient = || {
        let mut component = sharing(&server, &["a"]);
        component.journey[0].timeout = Duration::from_millis(100);
        Journey::new(Arc::new(component), Arc::clone(&client), clock())
    };
    let (leader, follower) = (impatient(), impatient());
    let budget = Budget::new(Some(Rate { requests: NonZeroU32::MIN, per: Duration::from_mins(1) }));
    let used = budget.purse();
    used.admit(Errand::Step).await.unwrap().send();
    let waits = budget.purse();
    let leads = tokio::spawn(async move { leader.judge(Order::default(), &Gate::default(), waits).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let report = tokio::time::timeout(Duration::from_secs(2), peace(&follower)).await.unwrap();
    leads.abort();
    assert_eq!(report.verdict, Verdict::Blind);
    assert_eq!(report.reason.as_deref(), Some("a: the shared answer did not come in time"));
}

/// What one component cannot see by an answer another one may: a page that does not hold it says nothing of it.
#[tokio::test]
async fn an_answer_that_cannot_show_a_component_makes_it_blind_alone() {
    let server =
        Server::start(|_| Act::Send(answer("200 OK", "", "{\"pages\":2,\"ids\":[\"a\"],\"up\":true}")));
    let client = Client::new(&at(server.address), Credentials::default(), clock());
    let seen = |id: &str| {
        let mut step = expecting("in the list", "/all", "body.ids.exists(i, i == vars.id) && body.up");
        step.blind =
            Some(Expression::compile("body.pages > 1 && !body.ids.exists(i, i == vars.id)").unwrap());
        step.shared = Some(Duration::from_secs(1));
        let mut component = component(at(server.address), vec![step]);
        component.vars.insert("id".to_owned(), id.to_owned());
        Journey::new(Arc::new(component), Arc::clone(&client), clock())
    };
    let (unseen, in_view) = (seen("b"), seen("a"));
    let (unseen, in_view) = tokio::join!(peace(&unseen), peace(&in_view));
    assert_eq!((unseen.verdict, in_view.verdict), (Verdict::Blind, Verdict::Up), "{in_view:?}");
    let reason = unseen.reason.unwrap();
    assert!(reason.starts_with("in the list: cannot be seen here: body.pages > 1"), "{reason}");
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
