//! Which connection a probe uses.

use std::time::Duration;

use warroom::{domain::Verdict, probe::Order};

use crate::{
    server::{Act, Server, answer, ok},
    setup::{at, component, get, journey, judged, peace},
};

const FRESH: Order = Order { burst: false, fresh: true, health_only: false };

/// A handshake for every probe would cost the platform and us more than the probe itself.
#[tokio::test]
async fn in_peace_connections_are_reused() {
    let server = Server::start(|_| ok());
    let journey =
        journey(component(at(server.address), vec![get("ready", "/ready"), get("lookup", "/lookup")]));
    for _ in 0..5 {
        let report = peace(&journey).await;
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.asked().len(), 10);
    let timings = peace(&journey).await.steps[0].timings.unwrap();
    assert!(timings.reused && timings.connect.is_none() && timings.first_byte.is_some());
}

#[tokio::test]
async fn a_fresh_probe_connects_afresh_once_for_all_its_steps() {
    let server = Server::start(|_| ok());
    let journey =
        journey(component(at(server.address), vec![get("ready", "/ready"), get("lookup", "/lookup")]));
    peace(&journey).await;
    let report = judged(&journey, FRESH).await.report.unwrap();
    assert_eq!(server.connections(), 2);
    assert!(!report.steps[0].timings.unwrap().reused && report.steps[0].timings.unwrap().connect.is_some());
    assert!(report.steps[1].timings.unwrap().reused);
}

/// The connection to the primary must not be what is measured after the secondary took over its address.
#[tokio::test]
async fn a_server_that_is_replaced_on_its_port_is_seen_at_once() {
    let primary = Server::start(|_| ok());
    let address = primary.address;
    let journey = journey(component(at(address), vec![get("ready", "/ready")]));
    assert_eq!(peace(&journey).await.verdict, Verdict::Up);
    primary.stop().await;
    let report = peace(&journey).await;
    assert_eq!(report.verdict, Verdict::Down);
    assert_eq!(report.reason.as_deref(), Some("ready: connection refused"));
    let secondary = Server::start_at(address, |_| ok());
    assert_eq!(peace(&journey).await.verdict, Verdict::Up);
    assert_eq!(secondary.connections(), 1);
}

/// A server may close an idle connection at any time; that is no failure of the component.
#[tokio::test]
async fn an_idle_connection_that_was_closed_is_replaced_without_a_failure() {
    let server = Server::start(|_| Act::SendAndClose(answer("200 OK", "", "{}")));
    let journey = journey(component(at(server.address), vec![get("ready", "/ready")]));
    for number in 1..=20 {
        let report = peace(&journey).await;
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
        assert_eq!(server.connections(), number);
    }
    assert_eq!(server.asked().len(), 20, "no request was repeated");
}

/// The answer to a request on a reused connection may be its end; then, and only then, it is sent once more.
#[tokio::test]
async fn a_request_that_a_closing_connection_swallowed_is_sent_once_more() {
    let server = Server::start(|asked| {
        let is_second_on_its_connection = asked.line().contains("/second");
        if is_second_on_its_connection && asked.connection == 1 {
            Act::SendAndClose(Vec::new())
        } else {
            ok()
        }
    });
    let journey = journey(component(at(server.address), vec![get("one", "/first"), get("two", "/second")]));
    let report = peace(&journey).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    assert_eq!(server.connections(), 2);

    // A fresh connection that is closed without an answer is a failure, and nothing is repeated.
    let closing = Server::start(|_| Act::SendAndClose(Vec::new()));
    let report = crate::setup::once(at(closing.address), vec![get("ready", "/")]).await;
    assert_eq!(report.reason.as_deref(), Some("ready: connection closed before the answer"));
    assert_eq!(closing.asked().len(), 1);
}

/// After a failure no connection from before it may be used, not even by another probe of the same platform.
#[tokio::test]
async fn a_failure_drops_the_idle_connections() {
    let server = Server::start(|asked| {
        if asked.line().contains("bad") { Act::Send(answer("503 Unavailable", "", "")) } else { ok() }
    });
    let journey = journey(component(at(server.address), vec![get("good", "/good"), get("bad", "/bad")]));
    assert_eq!(peace(&journey).await.verdict, Verdict::Degraded);
    assert_eq!(server.connections(), 1);
    peace(&journey).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn nothing_listens() {
    let gone = Server::start(|_| ok());
    let address = gone.address;
    gone.stop().await;
    let judged = judged(&journey(component(at(address), vec![get("ready", "/")])), Order::default()).await;
    assert!(judged.transport_failure);
    let report = judged.report.unwrap();
    assert_eq!((report.verdict, report.health_passed), (Verdict::Down, Some(false)));
    assert_eq!(report.reason.as_deref(), Some("ready: connection refused"));
    assert!(report.span.length() < Duration::from_secs(1));
}
