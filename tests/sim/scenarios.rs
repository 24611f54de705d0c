//! The language of scenarios: its document, its examples, and what is said of mistakes.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use warroom::sim::{Scenario, scenario::State, service::Service};

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/scenarios/README.md")).unwrap()
}

/// The words of the first column of the table under a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let document = document();
    let part = document.split_once(heading).unwrap().1;
    let part = part.split("\n#").next().unwrap();
    let words = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    words.map(|(word, _)| word.to_owned()).collect()
}

/// The words in quotes or backticks that a message offers.
fn offered(text: &str, after: &str) -> BTreeSet<String> {
    let error = Scenario::parse(text, "x").unwrap_err().to_string();
    let list = error.split_once(after).unwrap_or_else(|| panic!("{error}")).1;
    let list = list.lines().next().unwrap();
    list.split(", ").map(|word| word.trim_matches(['`', '"']).to_owned()).collect()
}

#[test]
fn every_key_that_the_parser_knows_is_documented_and_no_other() {
    for (heading, text) in [
        ("### The scenario\n", "qqqqqqqqqqqq = 1"),
        ("### A platform: ", "[platforms.genesys]\nqqqqqqqqqqqq = 1"),
        ("### A change: ", "[[changes]]\nat = '1s'\ntarget = 'wem'\nstate = 'up'\nqqqqqqqqqqqq = 1"),
        (
            "### A failover: ",
            "[[failovers]]\nat = '1s'\nregion = 'primary'\nto = 'b'\nafter = '1s'\nqqqqqqqqqqqq = 1",
        ),
    ] {
        assert_eq!(documented(heading), offered(text, "known are "), "{heading}");
    }
}

#[test]
fn every_state_and_every_service_is_documented_and_no_other() {
    let states = offered("[[changes]]\nat = '1s'\ntarget = 'wem'\nstate = 'qqqqqq'", "it must be one of ");
    assert_eq!(documented("### States"), states);
    let mut targets =
        offered("[[changes]]\nat = '1s'\ntarget = 'qqqqqq'\nstate = 'up'", "it must be one of ");
    targets.retain(|target| target.contains('/'));
    assert_eq!(documented("### Services"), targets);
    assert_eq!(targets.len(), Service::ALL.len());
}

#[test]
fn the_documented_example_is_a_scenario() {
    let document = document();
    let example = document.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let scenario = Scenario::parse(example, "example").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.cycle(), Some(Duration::from_mins(3)));
    assert!(scenario.demands_login());
    let flow = |seconds| scenario.condition(Service::GenesysFlow, Duration::from_secs(seconds));
    assert_eq!(flow(9).state, State::Down { status: 503, retry_after: None });
    assert_eq!(flow(21).served_by.as_deref(), Some("us-west-2"));
    // The flow is away already when its home region goes: the failover does not concern it.
    assert_eq!(flow(95).state, State::Up);
    let trunk = |seconds| scenario.condition(Service::GenesysTrunk, Duration::from_secs(seconds));
    assert_ne!(trunk(95).state, State::Up);
    assert_eq!((trunk(115).state, trunk(115).served_by.as_deref()), (State::Up, Some("us-west-2")));
    assert_eq!(trunk(161).served_by.as_deref(), Some("us-east-1"));
}

#[test]
fn the_built_in_scenarios_are_the_files_of_their_folder_and_are_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/scenarios");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    let names: BTreeSet<String> = Scenario::built_in_names().map(str::to_owned).into();
    assert_eq!(names, files);
    assert_eq!(documented("| built in |"), files);
    for name in names {
        let text = Scenario::built_in(&name).unwrap();
        let scenario = Scenario::parse(text, &name).unwrap_or_else(|error| panic!("{error}"));
        let cycle = scenario.cycle().unwrap();
        let at = |service, seconds| scenario.condition(service, Duration::from_secs(seconds));
        let changed =
            |service: Service| (0..cycle.as_secs()).any(|second| at(service, second) != at(service, 0));
        assert!(Service::ALL.into_iter().any(changed), "{name}: nothing happens");
        for service in Service::ALL {
            let last = at(service, cycle.as_secs() - 1);
            assert_eq!(last.state, State::Up, "{name}: {} is not well at the end", service.name());
        }
    }
}

/// The false early recovery: 29 s lie between the health step and the last link.
#[test]
fn the_partial_recovery_is_what_it_says() {
    let scenario = Scenario::parse(Scenario::built_in("partial-recovery").unwrap(), "x").unwrap();
    let well = |service, second| scenario.condition(service, Duration::from_secs(second)).state == State::Up;
    let back = |service| (31..180).find(|second| well(service, *second)).unwrap() - 30;
    assert!(!well(Service::GenesysFlow, 30) && well(Service::GenesysFlow, 29));
    assert_eq!(back(Service::GenesysFlow), 12);
    assert_eq!(back(Service::EdgeContacts), 41);
}

#[test]
fn everything_that_is_wrong_with_a_scenario_is_told_at_once_and_with_its_place() {
    let text = r#"cycle = "1m"
demand_login = "yes"
speed = 2
[platforms.genesis]
limit = "300/min"
[platforms.genesys]
limit = "many"
lacks = ["telephony:plugin:view"]
[[changes]]
at = "5s"
target = "genesys/flows"
state = "down"
[[changes]]
target = "wem"
state = "throttled"
retry_after = "1500ms"
status = 503
[[changes]]
at = "2m"
target = "wem"
[[changes]]
at = 5
target = "wfm"
state = "slow"
[[changes]]
at = "6s"
target = "edge"
state = "gone"
served_by = "us west"
skew = "soon"
sigma = 9
[[changes]]
at = "7s"
target = "edge"
stat = "down"
age = "1s"
[[failovers]]
at = "50s"
region = "us-east-1"
to = "us-west-2"
after = "20s"
[[failovers]]
at = "5s"
region = "eu-west-1"
to = "us-west-2"
after = "20s"
target = "edge"
"#;
    let error = Scenario::parse(text, "drill.toml").unwrap_err();
    let told = error.to_string();
    let expected = [
        "drill.toml:2: `demand_login` of the scenario is \"yes\"; it must be true or false",
        "drill.toml:3: the scenario has no key `speed`; known are `changes`, `cycle`, `demand_login`,",
        "drill.toml:4: there is no simulated platform `genesis`; did you mean \"genesys\"?",
        "drill.toml:7: `limit` of platform \"genesys\" is \"many\"; it must be a rate such as",
        "drill.toml:8: `lacks` of platform \"genesys\" is \"telephony:plugin:view\"; it must be one of ",
        "drill.toml:11: `target` of change 1 is \"genesys/flows\"; did you mean \"genesys/flow\"?",
        "drill.toml:13: change 2 has no `at`; write the time after the start: \"8s\"",
        "drill.toml:16: `retry_after` of change 2 is \"1500ms\"; it must be whole seconds",
        "drill.toml:17: `status` of change 2 belongs to state \"down\"; take it out, or change the state, which is throttled",
        "drill.toml:18: change 3 changes nothing; give it one of `state`, `served_by`,",
        "drill.toml:19: `at` of change 3 is \"2m\"; it must be earlier than the end of `cycle`",
        "drill.toml:21: change 4 has no `latency`; write how much later it answers,",
        "drill.toml:22: `at` of change 4 is 5; it must be a duration",
        "drill.toml:28: `state` of change 5 is \"gone\"; it must be one of \"up\", \"down\",",
        "drill.toml:29: `served_by` of change 5 is \"us west\"; it goes into a header",
        "drill.toml:30: `skew` of change 5 is \"soon\"; it must be how far",
        "drill.toml:31: `sigma` of change 5 is 9; it must be a number from 0 to 3",
        "drill.toml:35: change 6 has no key `stat`; did you mean `state`?",
        "drill.toml:41: `after` of failover 1 is \"20s\"; `at` and `after` together must be earlier",
        "drill.toml:42: nothing is served by \"eu-west-1\" when this failover begins; the regions then are \"us-east-1\"",
    ];
    for (told, expected) in told.lines().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nshould begin with\n{expected}");
    }
    assert_eq!(error.findings.len(), expected.len(), "{told}");
    let broken = Scenario::parse("cycle = \n", "drill.toml").unwrap_err().to_string();
    assert!(broken.starts_with("drill.toml:1: this is no TOML: "), "{broken}");
}

#[test]
fn the_help_names_the_built_in_scenarios_and_the_document() {
    use clap::CommandFactory as _;
    let mut command = warroom::cli::Cli::command();
    let help = command.find_subcommand_mut("sim").unwrap().render_help().to_string();
    for name in Scenario::built_in_names() {
        assert!(help.contains(name), "{name} is not in\n{help}");
    }
    assert!(help.contains("config/scenarios/README.md"), "{help}");
}
