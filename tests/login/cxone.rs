//! CXone: access keys, the back-end app, discovery, and the tenant that a token names.

use std::{sync::Mutex, time::Duration};

use warroom::{domain::Verdict, platform::Standing};

use crate::{
    cloud::{SECRET, Secrets, begin, clock, failing, pass_time, until, with_components},
    server::{Act, Asked, Server, answer},
};

/// `{"alg":"none"}.{"tenantId":"t-1"}.`, which nobody but the token endpoint made.
const OF_T1: &str = "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRJZCI6InQtMSJ9.";

/// Discovery, logins and API in one; the discovery names the server itself.
fn start() -> Server {
    let own = std::sync::Arc::new(Mutex::new(String::new()));
    let shared = std::sync::Arc::clone(&own);
    let server = Server::start(move |asked| act(asked, &shared.lock().unwrap()));
    *own.lock().unwrap() = format!("http://{}", server.address);
    server
}

fn act(asked: &Asked, own: &str) -> Act {
    let line = asked.line();
    let body = if line.contains("cxone-configuration?tenantId=") {
        format!(r#"{{"api_endpoint":"{own}/api","auth_endpoint":"{own}/keys","tenantId":"t-1"}}"#)
    } else if line.contains("/token/access-key") {
        format!(r#"{{"access_token":"{OF_T1}key","refresh_token":"T0K3N-r","expires_in":3600}}"#)
    } else if line.contains("/public/user/refresh") {
        format!(r#"{{"token":"{OF_T1}fresh","refreshToken":"T0K3N-r2","tokenExpirationTimeSec":3600}}"#)
    } else if line.contains("/auth/token") {
        format!(r#"{{"access_token":"opaque","id_token":"{OF_T1}","expires_in":3600}}"#)
    } else if asked.head.contains(&format!("Bearer {OF_T1}")) || asked.head.contains("Bearer opaque") {
        "{}".to_owned()
    } else {
        return Act::Send(answer("401 Unauthorized", "", ""));
    };
    Act::Send(answer("200 OK", "", &body))
}

fn platform(secrets: &Secrets, more: &str) -> String {
    format!(
        r#"
        [platforms.cloud]
        kind = "cxone"
        access_key_id = {{ file = "{}" }}
        access_key_secret = {{ file = "{}" }}
        {more}
        "#,
        secrets.file("id"),
        secrets.file("secret")
    )
}

fn lines(server: &Server) -> Vec<String> {
    server.asked().iter().map(|asked| asked.line().trim_end_matches(" HTTP/1.1").to_owned()).collect()
}

#[tokio::test]
async fn an_access_key_brings_a_token_which_is_refreshed() {
    let (server, secrets) = (start(), Secrets::new());
    let config =
        with_components(&platform(&secrets, &format!("base_url = \"http://{}/api\"", server.address)), 1);
    let (session, journeys) = begin(&config, &clock());
    assert_eq!(journeys[0].probe().await.verdict, Verdict::Up);
    // Without `login_url` it is the base URL's host that knows the key.
    assert_eq!(lines(&server), ["POST /api/authentication/v1/token/access-key", "GET /api/c1"]);
    let body: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    let id = format!("{SECRET}-id");
    assert_eq!((body["accessKeyId"].as_str(), body["accessKeySecret"].is_string()), (Some(&*id), true));
    pass_time(Duration::from_secs(3100)).await;
    until("the refresh", || lines(&server).last().unwrap() == "POST /api/public/user/refresh").await;
    assert_eq!(server.asked().last().unwrap().body, r#"{"token":"T0K3N-r"}"#);
    until("the new token", || session.pass().is_ok_and(|pass| format!("{pass:?}").contains('2'))).await;
    assert_eq!(journeys[0].probe().await.verdict, Verdict::Up);
    assert!(server.asked().last().unwrap().head.contains("fresh"));
}

/// A tenant is found by its id alone; its token goes where its own discovery says, and is held against it.
#[tokio::test]
async fn a_tenants_hosts_are_found() {
    let (server, secrets) = (start(), Secrets::new());
    let more = format!("tenant_id = \"t-1\"\ndiscovery_url = \"http://{}\"", server.address);
    let config = with_components(&platform(&secrets, &more), 2);
    let (_session, journeys) = begin(&config, &clock());
    assert_eq!(journeys[0].probe().await.verdict, Verdict::Up);
    assert_eq!(journeys[1].probe().await.verdict, Verdict::Up);
    let seen = lines(&server);
    assert_eq!(
        seen,
        [
            "GET /.well-known/cxone-configuration?tenantId=t-1",
            "POST /keys/authentication/v1/token/access-key",
            "GET /api/c1",
            "GET /api/c2"
        ]
    );
    assert!(!server.asked()[0].head.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn a_back_end_app_logs_in_with_client_and_key() {
    let (server, secrets) = (start(), Secrets::new());
    secrets.put("client", "S3CR3T app@1");
    let more = format!(
        "tenant_id = \"T-1\"\nbase_url = \"http://{0}/api\"\nlogin_url = \"http://{0}\"\nclient_id = {{ file = \"{1}\" }}\n\
         client_secret = {{ file = \"{1}\" }}",
        server.address,
        secrets.file("client")
    );
    let config = with_components(&platform(&secrets, &more), 1);
    let (_session, journeys) = begin(&config, &clock());
    assert_eq!(journeys[0].probe().await.verdict, Verdict::Up);
    let login = &server.asked()[0];
    assert_eq!(login.line(), "POST /auth/token HTTP/1.1");
    assert_eq!(login.body, "grant_type=password&username=S3CR3T-id&password=S3CR3T-secret");
    // base64 of `S3CR3T%20app%401:S3CR3T%20app%401`
    assert!(login.head.contains("Basic UzNDUjNUJTIwYXBwJTQwMTpTM0NSM1QlMjBhcHAlNDAx"), "{}", login.head);
}

#[tokio::test]
async fn the_wrong_tenant_and_one_that_is_not_said_are_failing_logins() {
    let (server, secrets) = (start(), Secrets::new());
    let more = format!("tenant_id = \"t-2\"\nbase_url = \"http://{}\"", server.address);
    let (session, _) = begin(&with_components(&platform(&secrets, &more), 1), &clock());
    let reason = failing(&session).await;
    assert!(reason.contains("belongs to tenant t-1, not to t-2"), "{reason}");

    let opaque = Server::start(|_| Act::Send(answer("200 OK", "", r#"{"access_token":"opaque"}"#)));
    let more = format!("tenant_id = \"t-2\"\nbase_url = \"http://{}\"", opaque.address);
    let (session, _) = begin(&with_components(&platform(&secrets, &more), 1), &clock());
    let reason = failing(&session).await;
    assert!(reason.contains("does not say its tenant"), "{reason}");
}

/// An answer that leads elsewhere must not get the key.
#[tokio::test]
async fn a_discovery_that_leads_elsewhere_by_plain_http_is_refused() {
    let secrets = Secrets::new();
    let server = Server::start(|_| {
        let body = r#"{"api_endpoint":"http://api.example.com","auth_endpoint":"http://keys.example.com"}"#;
        Act::Send(answer("200 OK", "", body))
    });
    let more = format!("tenant_id = \"t-1\"\ndiscovery_url = \"http://{}\"", server.address);
    let (session, journeys) = begin(&with_components(&platform(&secrets, &more), 1), &clock());
    let reason = failing(&session).await;
    assert!(reason.contains("nothing is sent there"), "{reason}");
    assert_eq!(journeys[0].probe().await.verdict, Verdict::Blind);
    assert_eq!(server.asked().len(), 1);
    assert!(matches!(session.standing(), Standing::Failing(_)));
}
