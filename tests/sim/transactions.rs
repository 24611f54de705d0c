//! Transactions of several requests: flows, data actions, rows, scripts.

use hyper::Method;
use serde_json::{Value, json};

use crate::{CXONE, FLOW, Simulation};

const EXECUTIONS: &str = "/genesys/api/v2/flows/executions";

#[tokio::test(start_paused = true)]
async fn a_flow_runs_for_a_moment_and_then_has_completed() {
    let sim = Simulation::with("");
    let launched = sim.post(EXECUTIONS, r#"{"flowId":"main","flowVersion":"v1"}"#).await;
    assert_eq!(launched.status, 200);
    let execution = format!("{EXECUTIONS}/{}", launched.json()["id"].as_str().unwrap());
    assert_eq!(sim.get(&execution).await.json()["status"], "RUNNING");
    sim.clock.set(400);
    let ended = sim.get(&execution).await.json();
    assert_eq!(ended["status"], "COMPLETED");
    assert!(ended["dateCompleted"].as_str().unwrap() > ended["dateLaunched"].as_str().unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_nobody_launched_is_not_found() {
    let sim = Simulation::with("");
    sim.clock.set(60_000);
    for id in ["nonsense", "00000000-0000-0000-0000-000000000000", "00000000-0000-1000-0000-0000ffffffff"] {
        assert_eq!(sim.get(&format!("{EXECUTIONS}/{id}")).await.status, 404, "{id}");
    }
    assert_eq!(sim.post(EXECUTIONS, "{}").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_may_fail_while_the_platform_calls_itself_healthy() {
    let sim = Simulation::with("[[changes]]\nat = '1s'\ntarget = 'genesys/execution'\nstate = 'failing'\n");
    sim.clock.set(1_000);
    assert_eq!(sim.get(FLOW).await.json()["healthCheck"]["result"], "PASS");
    let id = sim.post(EXECUTIONS, r#"{"flowId":"main"}"#).await.json()["id"].clone();
    sim.clock.set(2_000);
    let ended = sim.get(&format!("{EXECUTIONS}/{}", id.as_str().unwrap())).await.json();
    assert_eq!(ended["status"], "FAILED");
    assert!(ended["flowErrorInfo"]["message"].is_string());
}

/// The names of the operations that succeeded, the one that failed, and whether the test did.
fn operations(result: &Value) -> (usize, Option<String>, bool) {
    let operations = result["operations"].as_array().unwrap();
    let failed = operations.iter().find(|operation| operation["success"] == false);
    let good = operations.iter().filter(|operation| operation["success"] == true).count();
    (good, failed.map(|one| one["name"].as_str().unwrap().to_owned()), result["success"] == true)
}

#[tokio::test(start_paused = true)]
async fn a_data_action_proves_its_request_and_its_lookup_apart() {
    let sim = Simulation::with(
        "[[changes]]\nat = '10s'\ntarget = 'genesys/action'\nstate = 'failing'\n\
         [[changes]]\nat = '20s'\ntarget = 'genesys/action'\nstate = 'up'\n\
         [[changes]]\nat = '20s'\ntarget = 'genesys/lookup'\nstate = 'failing'\n",
    );
    let path = "/genesys/api/v2/integrations/actions/crm/test";
    for (millis, good, failed) in
        [(0, 5, None), (10_000, 2, Some("Execute request")), (20_000, 3, Some("Look up in the response"))]
    {
        sim.clock.set(millis);
        let result = sim.post(path, r#"{"phone":"1"}"#).await.json();
        assert_eq!(operations(&result), (good, failed.map(str::to_owned), failed.is_none()), "{result}");
        assert_eq!(result["finalResult"].is_object(), failed.is_none());
        assert_eq!(result["error"]["message"].is_string(), failed.is_some());
    }
    assert_eq!(sim.post(path, "no json").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_was_written_is_read_back() {
    let sim = Simulation::with("");
    let path = "/genesys/api/v2/flows/datatables/shadow/rows/mode";
    assert_eq!(sim.get(path).await.json()["open"], true);
    let row = json!({ "key": "mode", "open": false });
    let put = sim.ask(Method::PUT, path, &[], &row.to_string()).await.unwrap();
    assert_eq!((put.status.as_u16(), put.json()), (200, row.clone()));
    assert_eq!(sim.get(path).await.json(), row);
    assert_eq!(sim.get("/genesys/api/v2/flows/datatables/shadow/rows/other").await.json()["open"], true);
    let wrong = sim.ask(Method::PUT, path, &[], r#"{"key":"other"}"#).await.unwrap();
    assert_eq!(wrong.status, 400);
}

async fn started(sim: &Simulation) -> u64 {
    let path = format!("{CXONE}/scripts/start?skillId=4711&scriptPath=synthetic%5Crto-check&Parameters=a");
    let started = sim.post(&path, "").await;
    assert_eq!(started.status, 202);
    started.json()["contactId"].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_script_goes_the_signalled_way_writes_into_the_crm_and_ends() {
    let sim = Simulation::with("");
    let contact = started(&sim).await;
    let active = format!("{CXONE}/contacts/active?contactId={contact}");
    assert_eq!(sim.get(&active).await.json()["activeContacts"][0]["contactStateName"], "Waiting");
    let record = format!("/edge/crm/v1/interactions/{contact}");
    assert_eq!(sim.get(&record).await.status, 404);
    let signal = format!("{CXONE}/interactions/{contact}/signal");
    assert_eq!(sim.post(&format!("{signal}?p1=sales&p2=42"), "").await.status, 202);
    assert_eq!(sim.get(&active).await.json()["activeContacts"][0]["contactStateName"], "sales");
    let written = sim.get(&record).await.json();
    assert_eq!((&written["branch"], &written["values"]), (&json!("sales"), &json!(["sales", "42"])));
    assert_eq!(sim.post(&format!("{CXONE}/contacts/{contact}/end"), "").await.status, 202);
    assert_eq!(sim.get(&active).await.json()["activeContacts"], json!([]));
    assert_eq!(sim.post(&format!("{signal}?p1=sales"), "").await.status, 404);
    let stranger = contact + 1_000;
    assert_eq!(sim.post(&format!("{CXONE}/contacts/{stranger}/end"), "").await.status, 404);
    assert_eq!(sim.post(&format!("{CXONE}/interactions/{stranger}/signal?p1=x"), "").await.status, 404);
    assert_eq!(sim.post(&format!("{CXONE}/scripts/start?skillId=4711"), "").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_script_may_run_while_the_crm_loses_what_it_writes() {
    let sim = Simulation::with(
        "[[changes]]\nat = '0s'\ntarget = 'edge/records'\nstate = 'failing'\n\
         [[changes]]\nat = '10s'\ntarget = 'edge/records'\nstate = 'up'\n",
    );
    // Written while the CRM failed, and while it worked; both read while it works.
    let mut read = Vec::new();
    for millis in [0, 10_000] {
        sim.clock.set(millis);
        let contact = started(&sim).await;
        let signal = format!("{CXONE}/interactions/{contact}/signal?p1=sales");
        assert_eq!(sim.post(&signal, "").await.status, 202);
        sim.clock.set(10_000);
        read.push(sim.get(&format!("/edge/crm/v1/interactions/{contact}")).await.status.as_u16());
    }
    assert_eq!(read, [404, 200]);
}

#[tokio::test(start_paused = true)]
async fn cxone_renders_nothing_for_who_takes_no_json() {
    let sim = Simulation::with("");
    let path = format!("{CXONE}/server-time");
    let answer = sim.ask(Method::GET, &path, &[("accept", "text/html")], "").await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("icstatusdescription"), Some("No known way to render data"));
    assert_eq!(sim.get(&path).await.status, 200);
}
