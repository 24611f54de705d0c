//! The demo: in peace it is whole, and its story is the one that it promises.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use warroom::{
    config::model::Secret,
    expression::Expression,
    sim::{self, scenario::State, service::Service},
};

use crate::Simulation;

/// The demo must not begin with an outage that nobody wrote: in peace every step of every journey passes.
#[tokio::test(start_paused = true)]
async fn every_step_of_the_demo_is_answered_in_peace() {
    let sim = Simulation::new(sim::demo_scenario().unwrap());
    let genesys = sim.token().await;
    let cxone = sim.access_key("key", "secret").await.json()["access_token"].as_str().unwrap().to_owned();
    // As `config show` prints it: with the steps of the presets.
    let demo = sim::demo("127.0.0.1:8650".parse().unwrap()).unwrap();
    let config: toml::Table = warroom::config::show(&demo).parse().unwrap();
    let components = config["components"].as_array().unwrap();
    assert_eq!(components.len(), 12);
    let mut steps = 0;
    for component in components {
        let platform = &config["platforms"][component["platform"].as_str().unwrap()];
        let base = platform["base_url"].as_str().unwrap().replace("http://127.0.0.1:8650", "");
        let mut vars = component.get("vars").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for step in component["journey"].as_array().unwrap() {
            if let Some(address) = step.get("sip") {
                assert!(address.as_str().unwrap().starts_with("sip:127.0.0.1:8650"), "{address}");
                continue;
            }
            let (method, path) = ["get", "post"]
                .into_iter()
                .find_map(|method| Some((method, step.get(method)?.as_str().unwrap())))
                .unwrap();
            let filled = vars.iter().fold(path.to_owned(), |path, (name, value)| {
                let value = value.as_str().unwrap().replace('\\', "%5C");
                path.replace(&format!("{{{name}}}"), &value)
            });
            assert!(!filled.contains('{'), "{filled}");
            let path = format!("{base}{filled}");
            let json = step.get("json").map(|json| serde_json::to_string(json).unwrap()).unwrap_or_default();
            let method: Method = method.to_uppercase().parse().unwrap();
            let token = if base == "/cxone" { &cxone } else { &genesys };
            let bearer = format!("Bearer {token}");
            let answer = sim.ask(method, &path, &[("authorization", &bearer)], &json).await.unwrap();
            assert!(answer.status.is_success(), "{path}: {}", answer.status);
            for (name, source) in step.get("capture").and_then(toml::Value::as_table).into_iter().flatten() {
                let key = source.as_str().unwrap().trim_start_matches("body.");
                let value: Value = answer.json()[key].clone();
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                vars.insert(name.clone(), toml::Value::String(value));
            }
            for expectation in step["expect"].as_array().unwrap() {
                Expression::compile(expectation.as_str().unwrap()).unwrap();
            }
            steps += 1;
        }
    }
    assert!(steps > 24, "{steps}");
}

#[test]
fn the_demo_tells_the_story_that_it_promises() {
    let scenario = sim::demo_scenario().unwrap();
    let at = |seconds: u64, service| scenario.condition(service, Duration::from_secs(seconds));
    let cycle = scenario.cycle().unwrap().as_secs();
    for start in [0, cycle, 40 * cycle] {
        for service in Service::ALL {
            assert_eq!(at(start, service).state, State::Up, "{} at {start} s", service.name());
            assert_eq!(at(start, service).served_by, None, "{} at {start} s", service.name());
        }
        let flow = at(start + 9, Service::GenesysFlow);
        assert_eq!(flow.state, State::Down { status: 503, retry_after: None });
        let moved = at(start + 12, Service::GenesysFlow);
        assert_eq!((moved.state, moved.served_by.as_deref()), (State::Up, Some("us-west-2")));
        assert_eq!(at(start + 12, Service::GenesysExecution).state, State::Failing);
        assert_eq!(at(start + 30, Service::GenesysExecution).state, State::Up);
        assert!(matches!(
            at(start + 20, Service::WemDashboard).state,
            State::Throttled { retry_after: Some(_) }
        ));
        assert_eq!(at(start + 40, Service::EdgeContacts).state, State::Failing);
        assert_eq!(at(start + 40, Service::EdgeCrm).state, State::Up);
        assert_eq!(at(start + 40, Service::EdgeAgent).state, State::Up);
        let away =
            (0..cycle).filter(|second| at(start + second, Service::GenesysTrunk).state == State::Failing);
        assert!(away.count() > 20, "the trunk's target of 20 s is not violated");
    }
}

#[test]
fn the_demo_logs_in_without_a_secret_of_the_users() {
    let config = sim::demo("127.0.0.1:8650".parse().unwrap()).unwrap();
    assert!(config.roster.demo);
    let mut logins = 0;
    for component in &config.components {
        let known = &config.platforms[&component.platform.id];
        assert!(std::sync::Arc::ptr_eq(known, &component.platform), "two of {}", known.id);
        if let Some(login) = &component.platform.login {
            assert_eq!((&login.id, &login.secret), (&Secret::Simulated, &Secret::Simulated));
            logins += 1;
        }
    }
    assert!(logins >= 5, "{logins}");
}

/// Nobody's own config may do without a secret.
#[test]
fn no_config_can_name_the_secret_of_the_demo() {
    for secret in ["{ simulated = true }", "'simulated'", "{ env = 'X', simulated = true }"] {
        let text =
            sim::demo_config("127.0.0.1:8650".parse().unwrap()).replace("{ env = \"SIMULATED\" }", secret);
        let error = warroom::config::parse(&text, "warroom.toml").unwrap_err().to_string();
        assert!(error.contains("secret"), "{secret}: {error}");
    }
}
