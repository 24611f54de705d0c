//! A region goes away, and everything that tells of it says so in its time.

use crate::{CXONE, FLOW, Simulation};

const SCENARIO: &str = "
[[failovers]]
at     = '10s'
region = 'us-east-1'
to     = 'us-west-2'
after  = '20s'
back   = '60s'
[[failovers]]
at     = '15s'
region = 'prod-us-east-1'
to     = 'prod-us-west-1'
after  = '30s'
state  = 'failing'
";

/// Flow's status, its published version, number routing's status and region, emergency group, CRM.
type Genesys = (u16, String, String, String, bool, u16);

async fn genesys(sim: &Simulation) -> Genesys {
    let flow = sim.get("/genesys/api/v2/flows/main").await;
    let number = sim.get("/genesys/api/v2/telephony/numbers/routing").await.json()["entities"][0].clone();
    let group = sim.get("/genesys/api/v2/architect/emergencygroups/main").await.json();
    let crm = sim.get("/edge/crm/ready").await;
    let published =
        if flow.status == 200 { flow.json()["publishedVersion"]["id"].clone() } else { "".into() };
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let active = number["activeOrganizationId"] == number["ownerOrganizationId"];
    assert_eq!(active, number["status"] != "Redirected", "{number}");
    assert_eq!(number["pendingOrganizationId"].is_string(), number["status"] == "Pending", "{number}");
    (
        flow.status.as_u16(),
        text(&published),
        text(&number["status"]),
        text(&number["region"]),
        group["enabled"].as_bool().unwrap(),
        crm.status.as_u16(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_failover_moves_what_the_region_served_and_is_told_by_those_that_tell() {
    let sim = Simulation::with(SCENARIO);
    let expect = |status: u16, version: &str, routing: &str, region: &str, emergency: bool| -> Genesys {
        (status, version.into(), routing.into(), region.into(), emergency, status)
    };
    for (millis, expected) in [
        (9_999, expect(200, "1.0", "Normal", "us-east-1", false)),
        (10_000, expect(503, "", "Pending", "us-east-1", false)),
        (29_999, expect(503, "", "Pending", "us-east-1", false)),
        (30_000, expect(200, "2.0", "Redirected", "us-west-2", true)),
        (59_999, expect(200, "2.0", "Redirected", "us-west-2", true)),
        (60_000, expect(200, "1.0", "Normal", "us-east-1", false)),
    ] {
        sim.clock.set(millis);
        assert_eq!(genesys(&sim).await, expected, "at {millis} ms");
        let away = expected.3 == "us-west-2";
        let served_by = sim.get(FLOW).await;
        assert_eq!(served_by.header("x-served-by") == Some("us-west-2"), away, "at {millis} ms");
        assert_eq!(sim.get("/wfm/ready").await.status, 200, "another region is none of its business");
    }
}

#[tokio::test(start_paused = true)]
async fn business_continuity_is_in_effect_when_the_other_region_serves() {
    let sim = Simulation::with(SCENARIO);
    for (millis, works, enabled) in
        [(14_999, true, false), (15_000, false, false), (44_999, false, false), (45_000, true, true)]
    {
        sim.clock.set(millis);
        let config = sim.get("/cxone/dr-manager/v1/tenant/t/config").await.json();
        assert_eq!(config["drEnabled"], enabled, "at {millis} ms");
        assert_eq!(config["version"], if enabled { 2 } else { 1 }, "at {millis} ms");
        let skills = sim.get(&format!("{CXONE}/skills/activity")).await.json();
        assert_eq!(skills["skillActivity"].as_array().unwrap().is_empty(), !works, "at {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_platform_stamps_the_switch_with_its_time() {
    let sim = Simulation::with(SCENARIO);
    sim.clock.set(40_000);
    let flow = sim.get("/genesys/api/v2/flows/main").await.json();
    assert_eq!(flow["publishedVersion"]["datePublished"], "2026-05-15T14:32:30.000Z");
    let group = sim.get("/genesys/api/v2/architect/emergencygroups/main").await.json();
    assert_eq!(group["dateModified"], "2026-05-15T14:32:30.000Z");
}
