//! Configs that must load, configs that must not and what is said of them, and texts that nobody would write.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use warroom::{
    config::{self, Finding, Rejected, model},
    domain::Tier,
};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&finding.to_string());
        text.push('\n');
    }
    text
}

fn contract() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/valid/contract.toml"))
        .unwrap()
}

#[test]
fn every_valid_config_loads() {
    for path in files("valid") {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(rejected) = config::parse(&text, "warroom.toml") {
            panic!("{}:\n{rejected}", path.display());
        }
    }
}

#[test]
fn the_contract_says_what_it_should() {
    let loaded = config::parse(&contract(), "warroom.toml").unwrap();
    let config = &loaded.config;
    assert_eq!(
        (config.tenant.as_str(), config.components.len(), config.platforms.len()),
        ("prod-ccaws-01", 5, 4)
    );
    let flow = &config.components[0];
    assert_eq!(
        (flow.tier, flow.cadence, flow.burst),
        (Tier::One, Duration::from_secs(5), Duration::from_millis(500))
    );
    assert_eq!((flow.journey.len(), flow.health_step), (3, Some(0)));
    assert_eq!(flow.journey[2].retry.unwrap().until, Duration::from_secs(4));
    assert_eq!(flow.platform.base_url.as_str(), "https://api.mypurecloud.com/");
    assert_eq!(flow.platform.login.as_ref().unwrap().url.as_str(), "https://login.mypurecloud.com/");
    assert_eq!(flow.failover.secondary, ["us-west-2"]);
    let trunk = &config.components[2];
    assert_eq!(trunk.health_step, Some(0));
    assert!(config.roster.components[2].protected);
    assert!(config.components[3].journey[2].cleanup);
    assert_eq!(config.measurement.failure_ratio.map(|(bad, all)| (bad.get(), all.get())), Some((3, 10)));
    let warnings = lines(&loaded.warnings);
    for part in [
        "the journey of component `archive` is only a health step",
        "drill `crm-latency` has no `proof`",
        "notify 1 (pagerduty) is never tested",
    ] {
        assert!(warnings.contains(part), "{part}\n{warnings}");
    }
    let not_built = lines(&loaded.not_built);
    for part in [
        "[[drills]]",
        "[degradation]",
        "[guardrails]",
        "[[maintenance]]",
        "[alerting]",
        "[[notify]]",
        "[[export]]",
        "[prometheus]",
    ] {
        assert!(not_built.contains(part), "{part}\n{not_built}");
    }
    assert!(!not_built.contains("rate_limit"), "requests are held back: {not_built}");
    assert!(!not_built.contains("logging in"), "tokens are fetched: {not_built}");
}

/// Beside `NAME.toml` stands `NAME.txt`: every finding, in order. `WARROOM_BLESS=1` writes it anew.
#[test]
fn every_invalid_config_is_rejected_with_exactly_these_findings() {
    for path in files("invalid") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let said = match config::parse(&text, &name) {
            Ok(_) => panic!("{} loads", path.display()),
            Err(Rejected { findings }) => lines(&findings),
        };
        let expected = path.with_extension("txt");
        if std::env::var_os("WARROOM_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&expected).unwrap_or_default(), "{}", path.display());
        assert!(!said.contains("hunter2"), "{} repeats a secret", path.display());
    }
}

#[test]
fn ten_errors_in_one_file_are_all_found() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/invalid/ten.toml"))
            .unwrap();
    let Err(rejected) = config::parse(&text, "ten.toml") else { panic!("it loads") };
    assert_eq!(rejected.findings.len(), 10, "{rejected}");
    for finding in &rejected.findings {
        let line = text.lines().nth(finding.line.unwrap() - 1).unwrap();
        assert!(line.contains("# wrong"), "{finding} points at: {line}");
        assert!(!finding.cure.is_empty(), "{finding} has no cure");
    }
}

#[test]
fn the_examples_load_without_a_surprise() {
    for (name, text) in [("first.toml", config::first()), ("warroom.toml", config::example())] {
        let loaded = config::parse(text, name).unwrap_or_else(|rejected| panic!("{rejected}"));
        if name == "first.toml" {
            assert_eq!(lines(&loaded.warnings), "");
            assert_eq!(lines(&loaded.not_built), "");
        }
    }
}

/// Every key that the schema describes stands in the complete example, and the example stays within the schema.
#[test]
fn the_example_holds_every_key_of_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 80, "{keys:?}");
    for key in keys {
        let example = config::example();
        let stands = example.lines().any(|line| {
            line.trim_start_matches(['#', ' '])
                .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
                .any(|word| word == key)
        });
        assert!(stands, "the example never shows `{key}`");
    }
}

fn collect_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| collect_keys(value, keys));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}

/// What `config show` prints is itself a config, and means the same.
#[test]
fn what_is_shown_loads_again_and_shows_the_same() {
    for path in files("valid") {
        let text = fs::read_to_string(&path).unwrap();
        let loaded = config::parse(&text, "warroom.toml").unwrap().config;
        let shown = config::show(&loaded);
        let again = config::parse(&shown, "shown.toml")
            .unwrap_or_else(|rejected| panic!("{shown}\n{rejected}"))
            .config;
        assert_eq!(config::show(&again), shown, "{}", path.display());
        assert_eq!(format!("{again:#?}"), format!("{loaded:#?}"), "{}", path.display());
    }
    let shown = config::show(&config::parse(&contract(), "warroom.toml").unwrap().config);
    for part in [
        "{ env = \"GENESYS_CLIENT_SECRET\" }",
        "cadence = \"5s\"",
        "{ command = [\"pass\", \"show\", \"edge/token\"] }",
        "timeout = \"5s\"",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn a_file_that_others_may_write_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warroom.toml");
    fs::write(&path, config::first()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(config::load(&path).unwrap().config.source, Some(path.clone()));
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    config::load(&link).unwrap();
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for named in [&path, &link] {
            let rejected = config::load(named).unwrap_err().to_string();
            assert!(rejected.contains(&format!("chmod go-w {}", named.display())), "{rejected}");
        }
    }
    let missing = config::load(&folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("warroom config init"), "{missing}");
    assert!(config::load(folder.path()).unwrap_err().to_string().contains("no file"));
    fs::write(&path, b"a = 1\nb = \"\xff\"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(config::load(&path).unwrap_err().to_string().contains("line 2 is not UTF-8"));
}

#[test]
fn a_named_config_that_is_missing_is_an_error_and_the_first_named_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, "").unwrap();
    let none = folder.path().join("b.toml");
    assert_eq!(config::find(Some(&path), Some(none.clone().into())).unwrap(), Some(path.clone()));
    assert_eq!(config::find(None, Some(path.clone().into())).unwrap(), Some(path.clone()));
    let error = config::find(Some(&none), Some(path.into())).unwrap_err();
    assert!(error.to_string().contains("--config"), "{error}");
    assert!(config::find(None, Some(none.into())).unwrap_err().to_string().contains("$WARROOM_CONFIG"));
}

/// A config room that panics would take the console down at the next reload.
#[test]
#[expect(clippy::print_stderr, reason = "a failure must name its seed")]
fn no_text_panics() {
    let seed = std::env::var("WARROOM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let contract = contract();
    let lines: Vec<_> = contract.lines().collect();
    for _ in 0..80 {
        let mut text = contract.clone().into_bytes();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..text.len());
            match random.u8(..4) {
                0 => text[at] = random.u8(..),
                1 => drop(text.drain(at..(at + random.usize(1..40)).min(text.len()))),
                2 => {
                    let other = random.usize(..text.len());
                    text.swap(at, other);
                }
                _ => text.insert(at, *random.choice(b"\"'{}[]=,.#\n\\0a".as_slice()).unwrap()),
            }
        }
        judge(&String::from_utf8_lossy(&text));
        // Whole lines left out, doubled or with another's value keep the syntax right, so that the walk is reached.
        let mut kept: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..kept.len());
            let other = lines[random.usize(..lines.len())];
            let pair = match (random.u8(..3), kept[at].split_once('='), other.split_once('=')) {
                (0, _, _) => {
                    kept.remove(at);
                    continue;
                }
                (1, Some((key, _)), Some((_, value))) | (_, Some((_, value)), Some((key, _))) => (key, value),
                _ => continue,
            };
            kept[at] = format!("{}={}", pair.0, pair.1);
        }
        judge(&kept.join("\n"));
    }
}

fn judge(text: &str) {
    match config::parse(text, "mutant.toml") {
        Ok(loaded) => drop(config::show(&loaded.config)),
        Err(rejected) => assert!(!rejected.findings.is_empty(), "rejected without a reason:\n{text}"),
    }
}

#[test]
fn a_secret_stays_a_reference() {
    let loaded = config::parse(&contract(), "warroom.toml").unwrap();
    let edge = &loaded.config.platforms[&"edge".into()];
    assert!(matches!(&edge.bearer, Some(model::Secret::Command(words)) if words[0] == "pass"));
}

/// Components with a journey of two steps each, for warnings about all of them together.
fn with_components(platform: &str, components: &[&str]) -> String {
    let mut text = format!(
        "environment = \"sandbox\"\n[platforms.edge]\nkind = \"http\"\nbase_url = \"https://e.example.com\"\n{platform}\n"
    );
    for component in components {
        text.push_str("[[components]]\nplatform = \"edge\"\n");
        text.push_str(component);
        if !component.contains("journey") {
            text.push_str(
                "\njourney = [{ name = \"a\", get = \"/a\", expect = 'status == 200' }, { name = \"b\", get = \"/b\", expect = 'status == 200' }]\n",
            );
        }
        text.push('\n');
    }
    text
}

fn warnings(text: &str) -> String {
    lines(&config::parse(text, "w.toml").unwrap_or_else(|rejected| panic!("{rejected}")).warnings)
}

/// Whoever is named as an operator and gets no further than the socket finds that out in the night it matters.
#[test]
fn operators_without_a_group_are_warned_about() {
    let text = |agent: &str| {
        format!("{}[agent]\n{agent}\n", with_components("", &["id = \"a\"\ntier = 1\ntarget_rto = \"60s\""]))
    };
    let bare = warnings(&text("operators = [\"oncall\"]"));
    assert!(bare.contains("without `group` nobody"), "{bare}");
    assert_eq!(warnings(&text("operators = [\"oncall\"]\ngroup = \"warroom\"")), "");
    assert_eq!(warnings(&text("operators = []")), "");
}

#[test]
fn doubtful_configs_are_warned_about_and_good_ones_are_not() {
    let one = "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"";
    let two = "id = \"b\"\ntier = 1\ntarget_rto = \"60s\"";
    let three = "id = \"c\"\ntier = 1\ntarget_rto = \"60s\"";
    let other = "id = \"c\"\ntier = 1\ntarget_rto = \"45s\"";
    assert_eq!(warnings(&with_components("rate_limit = \"72/min\"", &[one, two, other])), "");
    let all = warnings(&with_components("", &[one, two, three]));
    assert_eq!(
        all,
        "w.toml:20: all 3 components have the target 1m; give each the time within which it must really be restored\n"
    );
    let budget = warnings(&with_components("rate_limit = \"36/min\"", &[one, two, other]));
    assert_eq!(
        budget,
        "w.toml:2: the journeys on platform `edge` ask for 72 requests a minute in peace, its rate_limit allows 36; no cadence that tier 1 allows (under 10s) would fit: ask for 72 requests a minute, or take fewer steps\n"
    );
    // Bursts of one outage, and of a whole tier at once.
    let slow = [one, two, other].map(|component| format!("{component}\ncadence = \"9s\""));
    let slow: Vec<&str> = slow.iter().map(String::as_str).collect();
    let burst = warnings(&with_components("rate_limit = \"14/min\"", &slow[..1]));
    assert!(burst.contains("is probed every") && burst.contains("allows 14"), "{burst}");
    assert_eq!(warnings(&with_components("rate_limit = \"60/min\"", &slow)), "");
    let alone = "cadence = \"9s\"\njourney = [{ name = \"x\", get = \"/\", expect = 'status == 200' }]";
    let alone = [one, two, other].map(|component| format!("{component}\n{alone}"));
    let alone: Vec<&str> = alone.iter().map(String::as_str).collect();
    let tier = warnings(&with_components("rate_limit = \"21/min\"", &alone));
    assert!(tier.contains("if all components of tier 1 on platform `edge` fail at once"), "{tier}");
    for (component, part) in [
        (
            "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"\njourney = [{ name = \"x\", tcp = \"a:1\" }]",
            "only a health step",
        ),
        (
            "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"\njourney = [{ name = \"x\", get = \"/\" }, { name = \"y\", tcp = \"a:1\" }]",
            "has no `expect`",
        ),
        ("id = \"a\"\ntier = 1\ntarget_rto = \"5s\"", "confirmed after up to 5s 500ms"),
        (
            "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"\nfailover = { secondary = [\"x\"] }",
            "names a secondary and no `served_by`",
        ),
        (
            "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"\nfailover = { served_by = 'body.x' }",
            "names no secondary",
        ),
        (
            "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"\njourney = [{ name = \"x\", tcp = \"a:1\" }, { name = \"y\", get = \"/\", expect = 'status == 200', retry = { every = \"1s\", until = \"30s\" } }]",
            "probes will run late",
        ),
        (
            "id = \"a\"\ntier = 1\ntarget_rto = \"60s\"\njourney = [{ name = \"x\", sip = \"sip:a\", timeout = \"500ms\" }, { name = \"y\", tcp = \"a:1\" }]",
            "waits 500ms: a datagram that is lost is sent again after 500ms, too late for it",
        ),
    ] {
        let said = warnings(&with_components("", &[component]));
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// An editor that follows the schema must not call a config wrong that loads.
#[test]
fn configs_that_load_hold_only_keys_of_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    let mut texts: Vec<_> = files("valid").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    texts.extend([config::first().to_owned(), config::example().to_owned()]);
    for text in texts {
        let value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        if let Err(wrong) = fits(&schema, &schema, &value) {
            panic!("the schema rejects {wrong}");
        }
    }
    assert!(fits(&schema, &schema, &serde_json::json!({ "tenantt": "x" })).is_err());
    assert!(fits(&schema, &schema, &serde_json::json!({ "tiers": { "1": { "cadense": "5s" } } })).is_err());
}

/// As much of JSON schema as the question needs: references, alternatives, properties, items.
fn fits(
    root: &serde_json::Value,
    schema: &serde_json::Value,
    value: &serde_json::Value,
) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(|reference| reference.as_str()) {
        return fits(root, root.pointer(reference.trim_start_matches('#')).unwrap(), value);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(alternatives) = schema.get(key).and_then(|alternatives| alternatives.as_array()) {
            return if alternatives.iter().any(|alternative| fits(root, alternative, value).is_ok()) {
                Ok(())
            } else {
                Err(format!("{value}"))
            };
        }
    }
    if let Some(kind) = schema.get("type") {
        let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        let is = |kind: &str| kinds.iter().any(|known| known == kind);
        let right = match value {
            serde_json::Value::Object(_) => is("object"),
            serde_json::Value::Array(_) => is("array"),
            serde_json::Value::String(_) => is("string"),
            serde_json::Value::Bool(_) => is("boolean"),
            serde_json::Value::Number(_) => is("integer") || is("number"),
            serde_json::Value::Null => is("null"),
        };
        if !right {
            return Err(format!("{value}, which is no {kind}"));
        }
    }
    match value {
        serde_json::Value::Object(map) => map.iter().try_for_each(|(key, inner)| {
            match (schema.pointer(&format!("/properties/{key}")), schema.get("additionalProperties")) {
                (Some(property), _) => fits(root, property, inner),
                (None, Some(serde_json::Value::Bool(false))) => Err(format!("the key {key}")),
                (None, Some(other)) if other.is_object() => fits(root, other, inner),
                (None, _) => Ok(()),
            }
        }),
        serde_json::Value::Array(list) => schema
            .get("items")
            .map_or(Ok(()), |items| list.iter().try_for_each(|inner| fits(root, items, inner))),
        _ => Ok(()),
    }
}
