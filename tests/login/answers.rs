//! What token endpoints answer besides tokens: each has a reason of its own, and none sends a request to the platform.

use std::{sync::Arc, time::Duration};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use warroom::platform::Standing;

use crate::{
    cloud::{Cloud, Mood, SECRET, Secrets, begin, clock, failing, pass_time, until, with_components},
    server::{Server, answer, ok},
};

async fn reason_of(mood: Mood, more: &str) -> String {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    cloud.set(mood);
    let config = with_components(&cloud.platform("cloud", &secrets, more), 1);
    let (session, _) = begin(&config, &clock());
    let reason = failing(&session).await;
    assert!(session.pass().is_err());
    assert!(!reason.contains(SECRET) && !reason.chars().any(char::is_control), "{reason}");
    assert!(cloud.asked().iter().all(|asked| asked.line().contains("/tokens/me")), "{:?}", cloud.asked());
    reason
}

fn grants(token: &str) -> Mood {
    let body = serde_json::json!({ "access_token": token, "expires_in": 60 }).to_string();
    Mood::Says(answer("200 OK", "", &body))
}

/// Whoever reads the reason at three in the morning must know what to mend.
#[tokio::test]
async fn every_wrong_answer_has_a_clear_reason() {
    let echo = format!(r#"{{"error":"invalid_client","description":"{SECRET}-secret is wrong"}}"#);
    let html = "content-type: text/html; charset=utf-8\r\n";
    let redirect = "location: https://evil.example.com/token?a=b\r\n";
    let asks = "retry-after: 30\r\n";
    for (mood, said) in [
        (grants("a\r\nx-evil: 1"), "a token that cannot be sent"),
        (grants(""), "holds no access token"),
        (grants(&"a".repeat(20_000)), "longer than 16 KiB"),
        (grants(&"a".repeat(1024 * 1024)), "the answer is longer than 64 KiB"),
        (
            Mood::Says(answer("200 OK", html, "<html>welcome</html>")),
            "no JSON (text/html); is `login_url` right?",
        ),
        (Mood::Says(answer("200 OK", "", r#"{"access_token":"x","expires_in":0}"#)), "has ended already"),
        (
            Mood::Says(answer("302 Found", redirect, "")),
            "redirects to https://evil.example.com/token, not followed; correct `login_url`",
        ),
        (Mood::Says(answer("400 Bad Request", "", &echo)), "answers 400 invalid_client; renew them"),
        (Mood::Says(answer("401 Unauthorized", "", &echo)), "the credentials are refused"),
        (Mood::Says(answer("503 Service Unavailable", asks, "")), "503 Service Unavailable, asks for 30s"),
        (Mood::Says(answer("429 Too Many Requests", "", "")), "429 Too Many Requests"),
        (Mood::Says(answer("404 Not Found", "", "")), "404 Not Found"),
        (Mood::Says(b"\x1b[2J nonsense\r\n\r\n".to_vec()), "http://127.0.0.1"),
        (Mood::Says(Vec::new()), "connection closed"),
    ] {
        let reason = reason_of(mood, "").await;
        assert!(reason.contains(said), "{said}\n{reason}");
    }
}

/// A test tenant's key in a production config must not measure, nor touch, the wrong organisation.
#[tokio::test]
async fn the_wrong_organisation_is_named_and_asked_nothing() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    *cloud.will.organization.lock().unwrap() = "0rg-2".to_owned();
    let config = with_components(&cloud.platform("cloud", &secrets, "organization_id = \"0rg-1\""), 1);
    let (session, journeys) = begin(&config, &clock());
    let reason = failing(&session).await;
    assert!(reason.contains("0rg-2") && reason.contains("0rg-1"), "{reason}");
    let report = journeys[0].probe().await;
    assert_eq!(report.verdict, warroom::domain::Verdict::Blind);
    let asked: Vec<_> = cloud.asked().iter().map(|asked| asked.line().to_owned()).collect();
    assert_eq!(asked, ["GET /api/v2/tokens/me HTTP/1.1"]);
    *cloud.will.organization.lock().unwrap() = "0RG-1".to_owned();
    pass_time(Duration::from_secs(67)).await;
    until("the right organisation", || session.standing() == Standing::Ok).await;
    assert_eq!(journeys[0].probe().await.verdict, warroom::domain::Verdict::Up);
}

/// A platform whose API is down must still be seen as down: what cannot be checked at the door is said as that.
#[tokio::test]
async fn an_organisation_that_cannot_be_asked_for_is_said() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    cloud.will.good_from.store(9, std::sync::atomic::Ordering::SeqCst);
    let config = with_components(&cloud.platform("cloud", &secrets, "organization_id = \"0rg-1\""), 1);
    let (session, _) = begin(&config, &clock());
    let reason = failing(&session).await;
    assert!(reason.contains("refuses the token that was just issued (401)"), "{reason}");
}

/// An outage that was there when warroom began must be seen, although nobody can say whose token it is; and nobody is to
/// take another organisation's health for the own one's.
#[tokio::test]
async fn an_api_that_is_down_is_no_failing_login() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    *cloud.will.me.lock().unwrap() = Some(answer("503 Service Unavailable", "", ""));
    cloud.answers("503 Service Unavailable", "");
    let config = with_components(&cloud.platform("cloud", &secrets, "organization_id = \"0rg-1\""), 1);
    let (session, journeys) = begin(&config, &clock());
    let report = journeys[0].probe().await;
    assert_eq!(report.verdict, warroom::domain::Verdict::Down, "{report:?}");
    cloud.answers("200 OK", "{}");
    let report = journeys[0].probe().await;
    assert_eq!(report.verdict, warroom::domain::Verdict::Blind, "it may be another's: {report:?}");
    assert!(report.reason.as_ref().unwrap().contains("organization_id"), "{report:?}");
    *cloud.will.me.lock().unwrap() = None;
    pass_time(Duration::from_secs(11)).await;
    until("a token that was checked", || {
        cloud.logins() == 2 && session.pass().is_ok_and(|pass| !pass.is_unchecked())
    })
    .await;
    assert_eq!(journeys[0].probe().await.verdict, warroom::domain::Verdict::Up);
    // Once checked, an outage of the API fails no renewal.
    *cloud.will.me.lock().unwrap() = Some(answer("503 Service Unavailable", "", ""));
    pass_time(Duration::from_secs(3600 * 86 / 100)).await;
    until("a renewal", || cloud.logins() == 3).await;
    until("its token", || session.pass().is_ok_and(|pass| format!("{pass:?}").contains('3'))).await;
    assert_eq!(journeys[0].probe().await.verdict, warroom::domain::Verdict::Up);
}

/// `Retry-After` of a token endpoint is obeyed; refused credentials are tried once a minute.
#[tokio::test]
async fn the_next_attempt_comes_when_it_may() {
    let asks = Mood::Says(answer("503 Service Unavailable", "retry-after: 30\r\n", ""));
    for (mood, not_after, after) in [(asks, 29, 33), (Mood::refuses(), 59, 67)] {
        let (cloud, secrets) = (Cloud::start(), Secrets::new());
        cloud.set(mood);
        let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
        let (session, _) = begin(&config, &clock());
        failing(&session).await;
        pass_time(Duration::from_secs(not_after)).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(cloud.logins(), 1);
        pass_time(Duration::from_secs(after - not_after)).await;
        until("the second attempt", || cloud.logins() == 2).await;
    }
}

/// Refused credentials that were replaced in their file must work without a restart.
#[tokio::test]
async fn secrets_are_read_again_after_a_refusal() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    cloud.set(Mood::refuses());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, _) = begin(&config, &clock());
    failing(&session).await;
    secrets.put("secret", "another");
    cloud.set(Mood::grants());
    pass_time(Duration::from_secs(67)).await;
    until("the new secret", || session.standing() == Standing::Ok).await;
    // base64 of `S3CR3T-id:another`
    let last = cloud.server.asked().pop().unwrap();
    assert!(last.head.contains("Basic UzNDUjNULWlkOmFub3RoZXI="), "{}", last.head);
}

/// A token must not follow a redirect to another host, not even as a request without it.
#[tokio::test]
async fn a_redirected_login_reaches_nobody_else() {
    let elsewhere = Server::start(|_| ok());
    let location = format!("location: http://{}/oauth/token\r\n", elsewhere.address);
    let reason = reason_of(Mood::Says(answer("307 Temporary Redirect", &location, "")), "").await;
    assert!(reason.contains("not followed"), "{reason}");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_login_host_that_is_not_there_is_said() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let platform = cloud.platform("cloud", &secrets, "");
    let platform = platform.replace(
        &format!("login_url = \"http://{}\"", cloud.server.address),
        &format!("login_url = \"http://{gone}\""),
    );
    let (session, _) = begin(&with_components(&platform, 1), &clock());
    let reason = failing(&session).await;
    assert_eq!(reason, format!("http://{gone}/oauth/token: connection refused"));
}

/// A login by TLS trusts the platform's own authority, and nobody else.
#[tokio::test]
async fn a_login_trusts_the_platforms_authority_alone() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let secrets = Secrets::new();
    secrets.put("ca", &made.cert.pem());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut read = [0; 4096];
            let _ = stream.read(&mut read).await;
            let token =
                answer("200 OK", "connection: close\r\n", r#"{"access_token":"T0K3N-1","expires_in":60}"#);
            let _ = stream.write_all(&token).await;
            let _ = stream.shutdown().await;
        }
    });
    let cloud = Cloud::start();
    for (more, good) in [(format!("ca_file = \"{}\"", secrets.file("ca")), true), (String::new(), false)] {
        let platform = cloud.platform("cloud", &secrets, &more);
        let platform = platform.replace(
            &format!("login_url = \"http://{}\"", cloud.server.address),
            &format!("login_url = \"https://localhost:{port}\""),
        );
        let (session, _) = begin(&with_components(&platform, 1), &clock());
        if good {
            session.ready(Duration::from_secs(10)).await.unwrap();
        } else {
            let reason = failing(&session).await;
            assert!(reason.contains("certificate"), "{reason}");
        }
    }
}
