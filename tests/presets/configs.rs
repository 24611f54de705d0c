//! Configs that take presets, made for one preset at a time.

use std::fmt::Write as _;

use toml::{Table, Value};
use warroom::config::{self, Loaded, Rejected, presets::BUILT_IN};

/// The document of a built-in preset.
pub(crate) fn document(name: &str) -> Table {
    let (_, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The variables of a preset that a component must say.
pub(crate) fn required(name: &str) -> Vec<String> {
    let document = document(name);
    let vars = document.get("vars").and_then(Value::as_table).cloned().unwrap_or_default();
    vars.into_iter().filter(|(_, var)| var.get("default").is_none()).map(|(name, _)| name).collect()
}

/// A config with one component, whose journey is written out.
pub(crate) fn config(kind: &str, vars: &str, journey: &str) -> String {
    let login = match kind {
        "genesys" => "region = \"us-east-1\"",
        _ => "base_url = \"https://api.example.com\"",
    };
    format!(
        "[platforms.p]\nkind = \"{kind}\"\n{login}\n\n[[components]]\nid = \"c\"\nplatform = \"p\"\ntier = 2\n\
         target_rto = \"2m\"\ncadence = \"10s\"\nvars = {{ {vars} }}\njourney = {journey}\n"
    )
}

/// A config that takes one preset with every variable that it needs.
pub(crate) fn using(name: &str) -> String {
    let mut vars = String::new();
    for var in required(name) {
        let comma = if vars.is_empty() { "" } else { ", " };
        write!(vars, "{comma}{var} = \"a {var}\"").unwrap();
    }
    let kind = document(name)["kind"].as_str().unwrap().to_owned();
    config(&kind, &vars, &format!("[{{ use = \"{name}\" }}]"))
}

pub(crate) fn load(text: &str) -> Loaded {
    config::parse(text, "warroom.toml").unwrap_or_else(|rejected| panic!("{text}\n{rejected}"))
}

/// What is said of a config that must not load.
pub(crate) fn refused(text: &str) -> String {
    match config::parse(text, "warroom.toml") {
        Ok(_) => panic!("it loads:\n{text}"),
        Err(Rejected { findings }) => findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

/// What `config show` prints is what is measured: a config by itself, and the same.
#[test]
fn every_preset_expands_to_steps_that_load_again() {
    for (name, _) in BUILT_IN {
        let loaded = load(&using(name));
        assert!(loaded.not_built.is_empty(), "{name}: {:?}", loaded.not_built);
        for warning in &loaded.warnings {
            let alone = "is only a health step";
            assert!(warning.message.contains(alone), "{name}: {warning}");
        }
        let shown = config::show(&loaded.config);
        assert!(!shown.contains("use ="), "{shown}");
        assert_eq!(config::show(&load(&shown).config), shown, "{name}");
    }
}

/// The name of a step stands in records and at three in the morning on a screen: it must say whose it is.
#[test]
fn steps_are_named_after_their_preset_or_the_name_given() {
    let loaded = load(&config(
        "genesys",
        "flow_id = \"f\", trunk_id = \"t\"",
        r#"[{ name = "ready", get = "/ready", expect = ['status == 200'] }, { use = "genesys/flow-execution" }, { name = "main trunk", use = "genesys/trunk", health = true, timeout = "700ms" }]"#,
    ));
    let component = &loaded.config.components[0];
    let names: Vec<_> = component.journey.iter().map(|step| &*step.name).collect();
    assert_eq!(
        names,
        [
            "ready",
            "flow execution: started",
            "flow execution: completed",
            "main trunk: connected",
            "main trunk: in service",
            "main trunk: far end answers OPTIONS"
        ]
    );
    assert_eq!(component.health_step, Some(3), "`health` on `use` is the preset's first step");
    assert_eq!(component.journey[4].timeout.as_millis(), 700);
    assert_eq!(component.vars["execution_name"], "warroom", "a default is a variable of the component");
    assert_eq!(component.journey[1].requires.permissions_any_of, ["architect:flow:launch"]);
}

#[test]
fn what_a_preset_captures_goes_on_behind_it() {
    let steps = |name: &str| {
        config(
            "cxone",
            r#"skill = "1", script = "a\\b", state = "Active""#,
            &format!(
                r#"[{{ use = "cxone/script" }}, {{ name = "read back", get = "https://crm.example.com/{{{name}}}", expect = ['status == 200'] }}]"#
            ),
        )
    };
    let loaded = load(&steps("contact"));
    assert_eq!(loaded.config.components[0].journey.len(), 5);
    assert!(loaded.config.components[0].journey[3].cleanup, "the clean-up of the preset stays one");
    assert!(refused(&steps("contract")).contains("uses `{contract}`, which nothing defines"));
}

/// Who serves is told by the preset, unless the component says it itself.
#[test]
fn a_preset_says_who_serves() {
    let group = "[{ use = \"genesys/flow\" }, { use = \"genesys/emergency-group\" }]";
    let vars = "flow_id = \"f\", emergency_group_id = \"g\"";
    let base = config("genesys", vars, group);
    let failover = |more: &str| load(&format!("{base}{more}")).config.components[0].failover.clone();
    // The flow is first and has no secondary: which version is one, only the component can say.
    let told = failover("");
    assert_eq!((told.step, told.served_by.is_none()), (None, true), "{told:?}");
    let told = failover("[components.failover]\nsecondary = [\"7.0\"]\n");
    assert_eq!((told.step, told.secondary), (Some(0), vec!["7.0".to_owned()]));
    let told = failover("[components.failover]\nstep = \"emergency group: emergency group\"\n");
    assert_eq!((told.step, told.secondary), (Some(1), vec!["emergency flow".to_owned()]));
    assert!(told.mechanism.unwrap().contains("emergency"));
    let own = failover("[components.failover]\nserved_by = 'headers[\"x\"]'\nsecondary = [\"b\"]\n");
    assert_eq!((own.step, own.served_by.unwrap().source()), (None, "headers[\"x\"]"));
}

#[test]
fn a_wrong_use_is_named_with_its_line_and_cure() {
    let one = |vars: &str, step: &str| refused(&config("genesys", vars, &format!("[{step}]")));
    let cases = [
        (
            one("", "{ use = \"genesys/trnk\" }"),
            "warroom.toml:12: `use` of step \"trnk\" of component `c` is \"genesys/trnk\", which is no preset; did you mean \"genesys/trunk\"?",
        ),
        (
            one("", "{ use = \"genesys/trunk\" }"),
            "which needs `trunk_id`: the trunk's id (not its trunk base's); add it to the component's vars: vars = { trunk_id = \"…\" }",
        ),
        (one("", "{ use = \"../../etc/passwd\" }"), "it must be a preset such as \"genesys/trunk\""),
        (
            one("skill = \"1\"", "{ use = \"cxone/skill-activity\" }"),
            "is for a platform of kind \"cxone\"; this one is \"genesys\"",
        ),
        (
            one("trunk_id = \"1\"", "{ use = \"genesys/trunk\", expect = ['status == 200'] }"),
            "step \"trunk\" of component `c` has no key `expect`; known are",
        ),
        (
            one(
                "trunk_id = \"1\"",
                "{ use = \"genesys/trunk\" }, { name = \"again\", use = \"genesys/trunk\" }",
            ),
            "takes the preset `genesys/trunk` twice",
        ),
        (one("trunk_id = \"1\"", "{ use = \"genesys/trunk\", get = \"/x\" }"), "has no key `get`"),
        (
            one("flow_id = \"1\", execution = \"2\"", "{ use = \"genesys/flow-execution\" }"),
            "which captures `execution`; the component's vars have one of that name",
        ),
    ];
    for (said, wanted) in cases {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}

#[test]
fn an_answer_is_shared_only_where_that_is_safe() {
    let step = |step: &str| config("genesys", "", &format!("[{step}]"));
    load(&step("{ get = \"/a\", shared = \"1s\", expect = ['status == 200'] }"));
    for (wrong, wanted) in [
        ("{ put = \"/a\", shared = \"1s\", expect = ['status == 200'] }", "`shared` of step 1"),
        ("{ tcp = \"a:1\", shared = \"1s\" }", "`shared` of step 1"),
        (
            "{ get = \"/a\", shared = \"1s\", retry = { every = \"1s\", until = \"2s\" }, expect = ['status == 200'] }",
            "without `retry` and `cleanup`",
        ),
        (
            "{ get = \"/a\", shared = \"11s\", expect = ['status == 200'] }",
            "not be longer than the cadence, 10s",
        ),
    ] {
        let said = refused(&step(wrong));
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}
