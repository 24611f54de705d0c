//! The order of steps and what they add up to.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use warroom::{
    config::model::{Action, Retry},
    domain::{StepState, Verdict},
    probe::{Order, journey::Gate},
};

use crate::{
    server::{Act, Server, answer, ok},
    setup::{at, component, get, journey, judged, judged_through, once, peace},
};

fn failing_at(path: &'static str) -> impl Fn(&crate::server::Asked) -> Act + Send + Sync + 'static {
    move |asked| if asked.line().contains(path) { Act::Send(answer("500 Oops", "", "")) } else { ok() }
}

fn paths(server: &Server) -> Vec<String> {
    server.asked().iter().map(|asked| asked.line().split(' ').nth(1).unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_journey_stops_at_its_first_failing_step_and_cleans_up() {
    let server = Server::start(failing_at("/two"));
    let mut tidy = get("tidy", "/tidy");
    tidy.cleanup = true;
    let mut lost = get("lost", "/lost/{never_captured}");
    lost.cleanup = true;
    let steps = vec![get("one", "/one"), get("two", "/two"), tidy, get("three", "/three"), lost];
    let report = once(at(server.address), steps).await;
    assert_eq!(paths(&server), ["/one", "/two", "/tidy"]);
    let states: Vec<_> = report.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [StepState::Passed, StepState::Failed, StepState::Passed, StepState::NotRun, StepState::NotRun]
    );
    assert_eq!((report.verdict, report.health_passed), (Verdict::Degraded, Some(true)));
    assert_eq!(report.reason.as_deref(), Some("two: status < 400 (was 500)"));
    assert_eq!(Some(report.evidence), report.steps[1].span, "the evidence is the failing step's interval");
    assert_eq!(report.span.end, report.steps[1].span.unwrap().end, "clean-up is no part of the span");
    assert!(report.steps[2].span.unwrap().start >= report.span.end);
}

/// Some servers answer 411 to a POST that does not say how long it is, and a contact would never be ended.
#[tokio::test]
async fn a_post_without_a_body_says_that_it_has_none() {
    let server = Server::start(|_| ok());
    let mut end = get("end", "/end");
    let Action::Http(action) = &mut end.action else { panic!("a request") };
    action.method = hyper::Method::POST;
    let report = once(at(server.address), vec![end, get("look", "/look")]).await;
    assert_eq!(report.verdict, Verdict::Up);
    let asked = server.asked();
    assert!(asked[0].head.to_ascii_lowercase().contains("\r\ncontent-length: 0"), "{}", asked[0].head);
    assert!(!asked[1].head.to_ascii_lowercase().contains("content-length"), "{}", asked[1].head);
}

/// What a failing clean-up leaves behind is somebody's trouble, but not this component's outage.
#[tokio::test]
async fn a_failing_clean_up_is_no_part_of_the_verdict() {
    let server = Server::start(failing_at("/tidy"));
    let mut tidy = get("tidy", "/tidy");
    tidy.cleanup = true;
    let report = once(at(server.address), vec![get("one", "/one"), tidy]).await;
    assert_eq!((report.verdict, report.steps[1].state), (Verdict::Up, StepState::Failed));
}

#[tokio::test]
async fn parallel_steps_run_together_with_the_step_before() {
    let server =
        Server::start(|_| Act::Slowly(Vec::new(), Duration::from_millis(300), answer("200 OK", "", "")));
    let mut beside = get("beside", "/two");
    beside.parallel = true;
    let report = once(at(server.address), vec![get("one", "/one"), beside, get("after", "/three")]).await;
    assert_eq!(report.verdict, Verdict::Up);
    let span = |place: usize| report.steps[place].span.unwrap();
    assert!(span(1).start < span(0).end && span(2).start >= span(1).end);
    assert!(report.span.length() < Duration::from_millis(850), "{:?}", report.span.length());
}

#[tokio::test]
async fn a_step_polls_until_it_passes_or_its_time_is_up() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        if asked.line().contains("never") || count.fetch_add(1, Ordering::SeqCst) < 3 {
            Act::Send(answer("404 Not yet", "", ""))
        } else {
            ok()
        }
    });
    let polling = |path: &str, until| {
        let mut step = get("poll", path);
        step.retry = Some(Retry { every: Duration::from_millis(50), until: Duration::from_millis(until) });
        step
    };
    let report = once(at(server.address), vec![polling("/soon", 5_000)]).await;
    assert_eq!((report.verdict, server.asked().len()), (Verdict::Up, 4));
    assert_eq!(server.connections(), 1, "an answer that is not there yet is no failure of the connection");
    let report = once(at(server.address), vec![polling("/never", 300)]).await;
    assert_eq!(report.reason.as_deref(), Some("poll: status < 400 (was 404)"));
    assert!((5..=12).contains(&(server.asked().len() - 4)), "{}", server.asked().len());
    assert!(report.span.length() < Duration::from_millis(400));
}

const BURST: Order = Order { burst: true, fresh: true, health_only: true };

/// While the health step fails, the later steps of a broken platform are left in peace.
#[tokio::test]
async fn a_burst_asks_the_health_step_alone_until_it_passes() {
    let broken = Server::start(failing_at("/health"));
    let steps = || {
        let mut beside = get("beside", "/beside");
        beside.parallel = true;
        vec![get("health", "/health"), beside, get("chain", "/chain")]
    };
    let report = judged(&journey(component(at(broken.address), steps())), BURST).await.report.unwrap();
    assert_eq!(paths(&broken), ["/health"]);
    assert_eq!(report.verdict, Verdict::Down);
    let well = Server::start(|_| ok());
    let report = judged(&journey(component(at(well.address), steps())), BURST).await.report.unwrap();
    assert_eq!((report.verdict, report.burst), (Verdict::Up, true));
    assert_eq!(paths(&well), ["/health", "/beside", "/chain"]);
}

#[tokio::test]
async fn a_health_step_in_the_middle_is_asked_first_in_a_burst() {
    let broken = Server::start(failing_at("/health"));
    let mut middle = component(at(broken.address), vec![get("login", "/login"), get("health", "/health")]);
    middle.health_step = Some(1);
    let report = judged(&journey(middle.clone()), BURST).await.report.unwrap();
    assert_eq!((paths(&broken), report.verdict), (vec!["/health".to_owned()], Verdict::Down));
    assert_eq!(report.steps[0].state, StepState::NotRun);
    let well = Server::start(|_| ok());
    middle.platform = std::sync::Arc::new(at(well.address));
    let report = judged(&journey(middle), BURST).await.report.unwrap();
    assert_eq!(report.verdict, Verdict::Up);
    assert_eq!(paths(&well), ["/health", "/login", "/health"]);
}

/// Two chains at once would be two synthetic customers in each other's way.
#[tokio::test]
async fn a_probe_whose_health_step_passes_beside_a_running_chain_gives_up() {
    let server = Server::start(|asked| if asked.line().contains("chain") { Act::Hang } else { ok() });
    let mut chain = get("chain", "/chain");
    chain.timeout = Duration::from_millis(300);
    let journey = journey(component(at(server.address), vec![get("health", "/health"), chain]));
    let gate = Gate::default();
    let (first, second) = tokio::join!(judged_through(&journey, BURST, &gate), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(gate.is_taken());
        judged_through(&journey, BURST, &gate).await
    });
    assert!(second.report.is_none());
    assert_eq!(first.report.unwrap().verdict, Verdict::Degraded);
    assert!(!gate.is_taken(), "the next one may pass");
    assert_eq!(paths(&server).iter().filter(|path| *path == "/chain").count(), 1);
}

#[tokio::test]
async fn an_address_of_its_own_is_joined_below_the_base_path() {
    let server = Server::start(|_| ok());
    let base = crate::setup::platform(&format!("http://{}/api/v2/", server.address));
    let report = peace(&journey(component(base, vec![get("ready", "/ready?x=1#y")]))).await;
    assert_eq!(report.verdict, Verdict::Up);
    assert_eq!(paths(&server), ["/api/v2/ready?x=1"]);
}
