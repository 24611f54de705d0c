//! A real failover: `HAProxy` in front of two nginx servers, measured by the built binary, held against what an
//! independent client saw every 5 ms.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

#[path = "real/agent.rs"]
mod agent;
#[path = "real/peer.rs"]
mod peer;
#[path = "real/process.rs"]
mod process;
#[path = "real/truth.rs"]
mod truth;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use warroom::domain::time::Now;

use self::{
    agent::{Agent, warroom},
    peer::Pool,
    truth::{Between, Outage, Watch},
};

const CADENCE: f64 = 1.0;
const BURST: f64 = 0.25;
/// What a loaded machine with two cores may add to a probe's start and length.
const SLACK: f64 = 0.5;
/// Epochs are written with milliseconds.
const ROUNDING: f64 = 0.002;

/// One at a time: both tests want the machine's clockwork for themselves.
static MACHINE: Mutex<()> = Mutex::new(());

/// Kills the primary, lets `HAProxy` move to the secondary, and makes that whole.
fn fail_over(pool: &mut Pool, watch: &Watch) -> (Now, Now) {
    let killed = pool.primary.kill();
    watch.until("the secondary", Duration::from_secs(10), |sample| {
        sample.served_by.as_deref() == Some("secondary")
    });
    // Long enough for the secondary to be met while its transaction still fails.
    std::thread::sleep(Duration::from_millis(1500));
    pool.warm_secondary();
    watch.until("a whole secondary", Duration::from_secs(10), |sample| sample.whole);
    killed
}

/// Without warroom: if this fails, the peers do not do what the other test builds on.
#[test]
fn the_peers_fail_over_as_a_client_sees_it() {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut pool) = Pool::start() else { return };
    let watch = Watch::start(pool.front);
    watch.until("a whole primary", Duration::from_secs(5), |sample| sample.whole);
    let killed = fail_over(&mut pool, &watch);
    std::thread::sleep(Duration::from_millis(200));
    let outage = Outage::read(&watch.samples(), killed);
    let (least, most) = outage.duration();
    assert!(least > 3.5 && most < 8.0, "the outage took {least} to {most} s");
    let away = outage.switched.earliest.moment.since(outage.onset.latest.moment).as_secs_f64();
    assert!(away > 2.0 * CADENCE, "HAProxy moved after {away} s already: a probe a second may miss that");
    pool.restart_primary();
    watch.until("the primary again", Duration::from_secs(5), |sample| {
        sample.served_by.as_deref() == Some("primary")
    });
    let samples = watch.samples();
    let since_return = samples.iter().rev().take_while(|sample| sample.whole).count();
    assert!(since_return > 20, "the return of the primary hurt clients");
}

#[test]
fn the_bounds_of_a_real_failover_contain_the_truth() {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut pool) = Pool::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), pool.front);
    let watch = Watch::start(pool.front);
    let mut agent = Agent::start(&config, &folder.path().join("data"), "30s");

    agent.until("phase up", 5, |event| event["event"] == "phase" && event["phase"] == "up");
    std::thread::sleep(Duration::from_millis(2300));
    let killed = fail_over(&mut pool, &watch);
    agent.until("phase down", 5, |event| event["event"] == "phase" && event["phase"] == "down");
    agent.until("phase failed_over", 5, |event| event["event"] == "phase" && event["phase"] == "failed_over");
    let told = agent.until("recovery", 10, |event| event["event"] == "recovery");
    let outage = Outage::read(&watch.samples(), killed);
    hold(&told["record"], &outage);

    pool.restart_primary();
    let switch = agent.until("switch", 10, |event| event["event"] == "switch");
    assert_eq!((&switch["from"], &switch["to"]), (&"secondary".into(), &"primary".into()), "{switch}");
    let after = agent.end();
    assert!(
        after.iter().all(|event| event["event"] != "recovery"),
        "the return of the primary is no outage: {after:?}"
    );

    let kept = records(&config, &folder.path().join("data"));
    assert_eq!(kept, [told["record"].clone()], "what is kept is what was told");
}

/// Holds a record against the truth.
fn hold(record: &Value, outage: &Outage) {
    let (least, most) = outage.duration();
    process::say(&format!("truth: {least:.3} to {most:.3} s; record: {record}"));
    assert_eq!(record["component_id"], "web");
    assert_eq!(record["status"], "PASS");
    assert_eq!(record["path"], "primary");
    assert_eq!(record["served_by"], "secondary");
    assert_eq!(record["t_failover_inferred"], false);
    assert_eq!(record["failed_steps"], serde_json::json!(["health", "transaction"]));

    let [detect, failover, restore] =
        ["t_detect_epoch", "t_failover_epoch", "t_restore_epoch"].map(|key| record[key].as_f64().expect(key));
    within("T_detect", detect, outage.onset, CADENCE + SLACK);
    within("T_failover", failover, outage.switched, BURST + SLACK);
    within("T_restore", restore, outage.restored, BURST + SLACK);
    let measured = record["measured_rto_seconds"].as_f64().unwrap();
    assert!(
        (measured - (restore - detect)).abs() <= ROUNDING,
        "measured {measured}, epochs {detect} and {restore}"
    );

    let bounds = record["bounds_seconds"].as_array().unwrap();
    let [low, high] = [&bounds[0], &bounds[1]].map(|bound| bound.as_f64().expect("a bound that is a number"));
    assert!(
        low <= most && high >= least,
        "bounds {low} to {high} s do not contain the truth, {least} to {most} s"
    );
    assert!(
        low <= measured && measured <= high,
        "bounds {low} to {high} s do not contain the measured {measured} s"
    );
    let width = high - low;
    assert!(width <= CADENCE + BURST + 2.0 * SLACK, "bounds {low} to {high} s say little");
}

/// A timestamp lies after what it tells of, and not later than the probing allows.
fn within(what: &str, epoch: f64, truth: Between, delay: f64) {
    let [earliest, latest] =
        [truth.earliest, truth.latest].map(|now| now.wall.timestamp_micros() as f64 / 1_000_000.0);
    assert!(
        epoch >= earliest - ROUNDING,
        "{what} {epoch} lies before {earliest}, when it may first have happened"
    );
    assert!(epoch <= latest + delay, "{what} {epoch} lies more than {delay} s after {latest}");
}

fn write_config(folder: &Path, front: SocketAddr) -> PathBuf {
    let text = format!(
        r#"
tenant      = "real-peers"
environment = "sandbox"

[tiers.1]
cadence = "1s"
burst   = "250ms"

[measurement]
timeout = "1s"

[platforms.front]
kind     = "http"
base_url = "http://{front}"

[[components]]
id         = "web"
name       = "Web behind HAProxy"
platform   = "front"
tier       = 1
target_rto = "30s"
kind       = "api"
journey    = [
  {{ name = "health",      get = "/health", expect = ['status == 200'] }},
  {{ name = "transaction", get = "/transaction", expect = ['status == 200'] }},
]
[components.failover]
mechanism = "HAProxy backup server"
served_by = 'headers["x-served-by"]'
primary   = ["primary"]
secondary = ["secondary"]
"#
    );
    agent::write_config(folder, &text)
}

fn records(config: &Path, data: &Path) -> Vec<Value> {
    let output = warroom(config, data).args(["records", "--format", "jsonl"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
