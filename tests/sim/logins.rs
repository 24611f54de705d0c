//! Logins: who gets a token, how long it is good, what it may do.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::Method;
use serde_json::Value;

use crate::{FLOW, SITE, Simulation, TRUNK};

#[tokio::test(start_paused = true)]
async fn a_login_is_asked_for_only_where_the_scenario_says_so() {
    let open = Simulation::with("");
    assert_eq!(open.get(FLOW).await.status, 200);
    let sim = Simulation::with("demand_login = true\n");
    for path in [FLOW, SITE] {
        let refused = sim.get(path).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.json()["code"], "authentication.required", "{path}");
    }
    assert_eq!(sim.get("/edge/crm/ready").await.status, 200);
    let genesys = sim.token().await;
    let cxone = sim.access_key("key", "secret").await.json()["access_token"].clone();
    assert_eq!(sim.get_as(FLOW, &genesys).await.status, 200);
    assert_eq!(sim.get_as(SITE, cxone.as_str().unwrap()).await.status, 200);
    let strange = sim.get_as(SITE, &genesys).await;
    assert_eq!((strange.status.as_u16(), strange.json()["code"].clone()), (401, "bad.credentials".into()));
    let forged = genesys.replacen("token-0-", "token-1-", 1);
    assert_ne!(forged, genesys);
    assert_eq!(sim.get_as(FLOW, &forged).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_token_lives_as_long_as_the_scenario_says() {
    let sim = Simulation::with("demand_login = true\n[platforms.genesys]\ntoken_life = '90s'\n");
    sim.clock.set(5_000);
    let issued = sim.login("id", "secret").await.json();
    assert_eq!(issued["expires_in"], 90);
    assert_eq!(issued["token_type"], "bearer");
    let token = issued["access_token"].as_str().unwrap();
    for (millis, status) in [(5_000, 200), (94_999, 200), (95_000, 401)] {
        sim.clock.set(millis);
        assert_eq!(sim.get_as(FLOW, token).await.status, status, "at {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_clients_that_the_scenario_names_may_log_in() {
    let sim = Simulation::with(
        "[platforms.genesys.clients]\nprobe = 'right'\n[platforms.cxone.clients]\nkey = 'right'\n",
    );
    for (id, secret, status) in [("probe", "right", 200), ("probe", "wrong", 400), ("other", "right", 400)] {
        let answer = sim.login(id, secret).await;
        assert_eq!(answer.status, status, "{id} {secret}");
        if status == 400 {
            assert_eq!(answer.json()["error"], "invalid_client");
        }
    }
    assert_eq!(sim.access_key("key", "right").await.status, 200);
    let refused = sim.access_key("key", "wrong").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("icstatusdescription"), Some("the access key is not valid"));
    let anybody = Simulation::with("");
    assert_eq!(anybody.login("any", "thing").await.status, 200);
    assert_eq!(anybody.login("", "").await.status, 400);
    let bare = anybody.post("/genesys/oauth/token", "grant_type=client_credentials").await;
    assert_eq!(bare.status, 400);
}

#[tokio::test(start_paused = true)]
async fn revoked_tokens_are_void_and_new_ones_are_good_in_every_cycle() {
    let sim = Simulation::with(
        "cycle = '60s'\ndemand_login = true\n[[changes]]\nat = '30s'\ntarget = 'genesys'\nrevoke = true\n",
    );
    let mut token = sim.token().await;
    for cycle in 0..3 {
        sim.clock.set(cycle * 60_000 + 29_999);
        assert_eq!(sim.get_as(FLOW, &token).await.status, 200, "cycle {cycle}");
        sim.clock.set(cycle * 60_000 + 30_000);
        assert_eq!(sim.get_as(FLOW, &token).await.status, 401, "cycle {cycle}");
        token = sim.token().await;
        assert_eq!(sim.get_as(FLOW, &token).await.status, 200, "cycle {cycle}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_down_leaves_good_tokens_good() {
    let sim = Simulation::with(
        "demand_login = true\n[[changes]]\nat = '10s'\ntarget = 'genesys/login'\nstate = 'down'\n\
         [[changes]]\nat = '20s'\ntarget = 'genesys/login'\nstate = 'failing'\n",
    );
    let token = sim.token().await;
    sim.clock.set(10_000);
    assert_eq!(sim.login("id", "secret").await.status, 503);
    assert_eq!(sim.get_as(FLOW, &token).await.status, 200);
    sim.clock.set(20_000);
    assert_eq!(sim.login("id", "secret").await.json()["error"], "invalid_client");
}

#[tokio::test(start_paused = true)]
async fn a_token_says_whose_it_is_and_what_it_may_do() {
    let sim = Simulation::with(
        "demand_login = true\n[platforms.genesys]\norganization = 'org-1'\nscopes = ['telephony:readonly']\n\
         lacks = ['telephony:plugin:all']\n\
         [[changes]]\nat = '10s'\ntarget = 'genesys/ivr'\nstate = 'forbidden'\n",
    );
    let token = sim.token().await;
    let info = sim.get_as("/genesys/api/v2/tokens/me", &token).await.json();
    assert_eq!(info["organization"]["id"], "org-1");
    assert_eq!(info["authorizedScope"][0], "telephony:readonly");
    let bearer = format!("Bearer {token}");
    let head =
        sim.ask(Method::HEAD, "/genesys/api/v2/tokens/me", &[("authorization", &bearer)], "").await.unwrap();
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    let granted = async || {
        let subject = sim.get_as("/genesys/api/v2/authorization/subjects/me", &token).await.json();
        let policies = subject["grants"][0]["role"]["policies"].as_array().unwrap().clone();
        let has = |domain: &str, entity: &str| {
            policies.iter().any(|policy| policy["domain"] == domain && policy["entityName"] == entity)
        };
        (has("telephony", "plugin"), has("routing", "callRoute"), has("architect", "flowExecution"))
    };
    let ivr = "/genesys/api/v2/architect/ivrs/main";
    assert_eq!(granted().await, (false, true, true));
    assert_eq!(sim.get_as(ivr, &token).await.status, 200);
    let trunk = sim.get_as(TRUNK, &token).await;
    assert_eq!(trunk.status, 403);
    let body = trunk.json();
    assert_eq!(body["code"], "missing.any.permissions");
    assert!(body["message"].as_str().unwrap().ends_with("[telephony:plugin:all]"), "{body}");
    sim.clock.set(10_000);
    assert_eq!(granted().await, (false, false, true));
    assert_eq!(sim.get_as(ivr, &token).await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn cxone_refreshes_and_lets_a_back_end_app_in() {
    let sim = Simulation::with("demand_login = true\n[platforms.cxone]\ntoken_life = '60s'\n");
    let issued = sim.access_key("key", "secret").await.json();
    assert_eq!(issued["expires_in"], 60);
    sim.clock.set(70_000);
    assert_eq!(sim.get_as(SITE, issued["access_token"].as_str().unwrap()).await.status, 401);
    let ask = |token: &Value| serde_json::json!({ "token": token }).to_string();
    let renewed = sim.post("/cxone/public/user/refresh", &ask(&issued["refresh_token"])).await.json();
    assert_eq!(renewed["tokenExpirationTimeSec"], 60);
    assert_eq!(sim.get_as(SITE, renewed["token"].as_str().unwrap()).await.status, 200);
    let wrong = sim.post("/cxone/public/user/refresh", &ask(&issued["access_token"])).await;
    assert_eq!(wrong.status, 401);

    let openid = sim.get("/cxone/.well-known/openid-configuration").await.json();
    assert_eq!(openid["token_endpoint"], "http://127.0.0.1:8650/cxone/auth/token");
    let headers =
        [("authorization", "Basic YXBwOnNlY3JldA=="), ("content-type", "application/x-www-form-urlencoded")];
    let form = "grant_type=password&username=key&password=secret";
    let app = sim.ask(Method::POST, "/cxone/auth/token", &headers, form).await.unwrap().json();
    let claims = app["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["tenantId"], "11ee0000-0000-4000-8000-0000000c0ffe");
    assert_eq!(sim.get_as(SITE, app["access_token"].as_str().unwrap()).await.status, 200);
    let without = sim.ask(Method::POST, "/cxone/auth/token", &headers[1..], form).await.unwrap();
    assert_eq!(without.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_finds_its_hosts() {
    let sim = Simulation::with("[platforms.cxone]\norganization = 'tenant-1'\n");
    let path = "/cxone/.well-known/cxone-configuration?tenantId=";
    let found = sim.get(&format!("{path}tenant-1")).await.json();
    assert_eq!(found["api_endpoint"], "http://127.0.0.1:8650/cxone");
    assert_eq!(found["tenantId"], "tenant-1");
    assert_eq!(sim.get(&format!("{path}tenant-2")).await.status, 404);
}
