//! `warroom check --online`: one broken link of each kind is named, with what to do about it.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value;

use super::{
    agent::{data, run, warroom},
    answer, code,
    platform::Platform,
    stderr, stdout, three, write_config,
};

/// A TLS server on loopback whose certificate nobody vouches for; gives its port.
fn untrusted() -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, config) = (stream.unwrap(), Arc::clone(&config));
            std::thread::spawn(move || {
                let mut connection = ServerConnection::new(config).unwrap();
                // The client is expected to refuse.
                while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            });
        }
    });
    port
}

fn findings(folder: &std::path::Path) -> (i32, Vec<Value>) {
    let output = warroom(folder, &["check", "--online", "--json"])
        .env("TEST_CLIENT_ID", "S3CR3T-id")
        .env("TEST_CLIENT_SECRET", "S3CR3T-secret")
        .output()
        .unwrap();
    let (text, words) = (stdout(&output), stderr(&output));
    assert!(!text.contains("S3CR3T") && !words.contains("S3CR3T"), "{text}{words}");
    let told: Value =
        serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}{words}"));
    assert_eq!(told["good"], code(&output) == 0, "{told:#}");
    (code(&output), told["findings"].as_array().unwrap().clone())
}

/// The finding of an area and subject that failed.
fn failed<'a>(findings: &'a [Value], area: &str, subject: &str) -> &'a Value {
    let found = findings.iter().find(|one| {
        one["area"] == area && one["grade"] == "failed" && one["subject"].as_str().unwrap().contains(subject)
    });
    found.unwrap_or_else(|| panic!("nothing failed in {area} of {subject}: {findings:#?}"))
}

fn says(finding: &Value, what: &str, cure: &str) {
    assert!(finding["what"].as_str().unwrap().contains(what), "{finding:#}");
    assert!(finding["cure"].as_str().unwrap().contains(cure), "{finding:#}");
}

/// Whoever sets warroom up, or looks for why it is blind, must be told each link that is broken, and its cure, at once.
#[test]
fn every_broken_link_is_named_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Platform::start(answer("401 Unauthorized", b"", "{\"error\":\"invalid_client\"}"));
    let address = refusing.config("");
    let address =
        address.lines().last().unwrap().trim_start_matches("base_url = ").trim_matches('"').to_owned();
    let port = untrusted();
    write_config(
        folder.path(),
        &format!(
            "tenant = \"t\"\nenvironment = \"sandbox\"\n[clock]\nntp = [\"127.0.0.1:9\"]\nchrony = false\n\
             [platforms.tls]\nkind = \"http\"\nbase_url = \"https://localhost:{port}\"\n\
             [platforms.unknown]\nkind = \"http\"\nbase_url = \"http://no-such-host.invalid\"\n\
             [platforms.cloud]\nkind = \"genesys\"\nregion = \"us-east-1\"\nbase_url = \"{address}\"\n\
             login_url = \"{address}\"\nclient_id = {{ env = \"TEST_CLIENT_ID\" }}\n\
             client_secret = {{ env = \"TEST_CLIENT_SECRET\" }}\n\
             [[components]]\nid = \"ivr\"\nplatform = \"cloud\"\ntier = 1\ntarget_rto = \"60s\"\n\
             [[components.journey]]\nname = \"flow\"\nget = \"/api/v2/flows\"\nexpect = ['status == 200']\n\
             [[components]]\nid = \"page\"\nplatform = \"tls\"\ntier = 1\ntarget_rto = \"30s\"\n\
             [[components.journey]]\nname = \"page\"\nget = \"/\"\nexpect = ['status == 200']\n"
        ),
    );
    std::fs::create_dir(data(folder.path())).unwrap();
    std::fs::set_permissions(data(folder.path()), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (code, found) = findings(folder.path());
    assert_eq!(code, 1);
    says(failed(&found, "names", "no-such-host.invalid"), "name resolution failed", "");
    says(failed(&found, "tls", &format!("localhost:{port}")), "UnknownIssuer", "`ca_file`");
    says(failed(&found, "login", "cloud"), "login failing", "credentials");
    says(failed(&found, "steps", "ivr: flow"), "login failing", "login");
    says(failed(&found, "steps", "page: page"), "UnknownIssuer", "warroom probe page");
    says(failed(&found, "clock", "ntp 127.0.0.1:9"), "does not answer", "[clock]");
    says(failed(&found, "disk", "data"), "chmod o-w", "--data-dir");
    for area in ["load", "budget"] {
        assert!(found.iter().any(|one| one["area"] == area), "{area}: {found:#?}");
    }
}

/// A well chain leaves 0, whatever it warns of, makes nothing, and works beside a running engine.
#[test]
fn a_well_chain_is_good_and_nothing_is_left_behind() {
    let (_platform, folder) = three();
    let (code, found) = findings(folder.path());
    assert_eq!(code, 0, "{found:#?}");
    for component in ["ivr", "crm", "wfm"] {
        assert!(
            found
                .iter()
                .any(|one| one["area"] == "steps" && one["subject"] == component && one["grade"] == "ok"),
            "{component}: {found:#?}"
        );
    }
    assert!(!data(folder.path()).exists(), "an examination makes no data folder");
    let text = stdout(&run(folder.path(), &["check", "--online"]));
    assert!(text.contains("\nsteps\n  ok ") && text.trim_end().ends_with("0 failed"), "{text}");
}
