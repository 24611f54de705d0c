//! Limits: counted by token and window, told in headers, enforced with 429.

use crate::{CXONE, FLOW, Simulation};

#[tokio::test(start_paused = true)]
async fn genesys_tells_its_rate_limit_and_counts_by_the_minute() {
    let sim = Simulation::with("");
    for count in ["1", "2"] {
        let answer = sim.get(FLOW).await;
        assert_eq!(answer.header("inin-ratelimit-count"), Some(count));
        assert_eq!(answer.header("inin-ratelimit-allowed"), Some("300"));
        assert_eq!(answer.header("inin-ratelimit-reset"), Some("60"));
        assert!(answer.header("inin-correlation-id").is_some());
        assert_eq!(answer.header("date"), Some("Fri, 15 May 2026 14:32:00 GMT"));
    }
    sim.clock.set(61_500);
    let answer = sim.get(FLOW).await;
    assert_eq!(answer.header("inin-ratelimit-count"), Some("1"));
    assert_eq!(answer.header("inin-ratelimit-reset"), Some("59"));
}

#[tokio::test(start_paused = true)]
async fn a_token_over_its_limit_waits_for_the_next_window_and_another_token_does_not() {
    let sim = Simulation::with("demand_login = true\n[platforms.genesys]\nlimit = '3/min'\n");
    sim.clock.set(10_000);
    let (one, other) = (sim.token().await, sim.token().await);
    for count in 1..=5 {
        let answer = sim.get_as(FLOW, &one).await;
        let over = count > 3;
        assert_eq!(answer.status, if over { 429 } else { 200 }, "request {count}");
        assert_eq!(answer.header("inin-ratelimit-count"), Some(&*count.to_string()));
        assert_eq!(answer.header("retry-after"), over.then_some("50"));
        if over {
            let body = answer.json();
            assert_eq!(body["code"], "too.many.requests.retry.after");
            assert_eq!(body["limit"]["value"], 3);
            assert_eq!(body["message"], "Rate limit exceeded the maximum. Retry the request in [50] seconds");
        }
    }
    assert_eq!(sim.get_as(FLOW, &other).await.status, 200);
    sim.clock.set(59_999);
    assert_eq!(sim.get_as(FLOW, &one).await.status, 429);
    sim.clock.set(60_000);
    assert_eq!(sim.get_as(FLOW, &one).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn cxone_may_throttle_without_saying_for_how_long() {
    let sim = Simulation::with(
        "[platforms.cxone]\nlimit = '1/min'\nlimit_retry_after = false\n\
         [[changes]]\nat = '2m'\ntarget = 'cxone'\nstate = 'throttled'\nretry_after = '7s'\n",
    );
    let path = format!("{CXONE}/skills/activity");
    assert_eq!(sim.get(&path).await.status, 200);
    let over = sim.get(&path).await;
    assert_eq!((over.status.as_u16(), over.header("retry-after")), (429, None));
    assert!(over.headers.keys().all(|name| !name.as_str().contains("ratelimit")), "{:?}", over.headers);
    sim.clock.set(120_000);
    assert_eq!(sim.get(&path).await.header("retry-after"), Some("7"));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_tells_its_limit_by_the_draft_of_its_choice() {
    let new = Simulation::with("[platforms.edge]\nlimit = '100/min'\nlimit_headers = 'ratelimit'\n");
    new.clock.set(15_000);
    let answer = new.get("/edge/crm/ready").await;
    assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=100;w=60"));
    assert_eq!(answer.header("ratelimit"), Some("\"default\";r=99;t=45"));
    let old = Simulation::with("[platforms.edge]\nlimit = '2/s'\nlimit_headers = 'ratelimit-old'\n");
    let told = async |name: &str| old.get("/edge/crm/ready").await.header(name).map(str::to_owned);
    assert_eq!(told("ratelimit-limit").await.as_deref(), Some("2"));
    assert_eq!(told("ratelimit-remaining").await.as_deref(), Some("0"));
    assert_eq!(told("ratelimit-reset").await.as_deref(), Some("1"));
    assert_eq!(old.get("/edge/crm/ready").await.status, 429);
}
