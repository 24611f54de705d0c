//! `warroom check --online`: one broken link of each kind is named, with what to do about it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value;

use super::{
    agent::{Agent, PATIENCE, data, run, warroom},
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

/// A rate limit is met by whoever looks twice; a healthy config must not be called broken for it.
#[test]
fn a_throttle_is_a_warning_and_what_it_kept_unseen_is_named() {
    let (platform, folder) = three();
    platform.answer(answer("429 Too Many Requests", b"retry-after: 200\r\n", "{}"));
    let (code, found) = findings(folder.path());
    assert_eq!(code, 0, "{found:#?}");
    let steps: Vec<&Value> = found.iter().filter(|one| one["area"] == "steps").collect();
    assert_eq!(steps.len(), 2, "{steps:#?}");
    assert!(steps.iter().all(|one| one["grade"] == "warning"), "{steps:#?}");
    says(steps[0], "asked for 200 s", "cadences");
    says(steps[1], "not examined: crm, wfm", "later");
}

/// The engine's measurement is worth more than the examination: that one says that it steps back.
#[test]
fn beside_an_engine_it_says_that_it_steps_back() {
    let (_platform, folder) = three();
    let mut agent = Agent::start(folder.path());
    agent.probe("up");
    let output = run(folder.path(), &["check", "--online"]);
    assert!(stderr(&output).contains("a tenth of the budget"), "{}", stderr(&output));
    agent.probe("up");
    assert_eq!(agent.signal(Signal::TERM).code(), Some(143));
    assert_eq!(stderr(&run(folder.path(), &["check", "--online"])), "");
}

/// Makes a thing, is slow to look at it, and tells every request line.
fn slow() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || {
                let (mut held, mut piece) = (Vec::new(), [0; 4096]);
                while !held.windows(4).any(|window| window == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(length @ 1..) => held.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                let line = String::from_utf8_lossy(&held).lines().next().unwrap().to_owned();
                let is_slow = line.contains("/slow");
                // The test may have ended.
                let _ = sender.send(line);
                if is_slow {
                    // Held open until the client goes.
                    let _ = stream.read(&mut piece);
                    return;
                }
                let _ = stream.write_all(&answer("200 OK", b"", "{\"id\":\"7\"}"));
            });
        }
    });
    (port, lines)
}

/// Whoever is tired of waiting must not leave things behind on a production platform.
#[test]
fn a_signal_ends_it_soon_and_what_was_made_is_cleaned_up() {
    for (arguments, signal, code) in [
        (&["check", "--online"][..], Signal::INT, 130),
        (&["check", "--online"], Signal::HUP, 129),
        (&["probe", "one"], Signal::TERM, 143),
    ] {
        let (port, lines) = slow();
        let folder = tempfile::tempdir().unwrap();
        let journey = "tier = 3\ntarget_rto = \"1h\"\ncadence = \"1h\"\nburst = \"1h\"\n\
             [[components.journey]]\nname = \"make\"\npost = \"/things\"\nexpect = ['status == 200']\n\
             capture = { id = 'body.id' }\n\
             [[components.journey]]\nname = \"look\"\nget = \"/slow\"\nexpect = ['status == 200']\ntimeout = \"60s\"\n\
             [[components.journey]]\nname = \"tidy\"\ncleanup = true\ndelete = \"/things/{id}\"\n";
        write_config(
            folder.path(),
            &format!(
                "tenant = \"t\"\nenvironment = \"sandbox\"\n[clock]\nntp = []\nchrony = false\n\
                 [platforms.web]\nkind = \"http\"\nbase_url = \"http://127.0.0.1:{port}\"\n\
                 [[components]]\nid = \"one\"\nplatform = \"web\"\n{journey}\
                 [[components]]\nid = \"two\"\nplatform = \"web\"\n{journey}"
            ),
        );
        let mut child =
            warroom(folder.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while !lines.recv_timeout(PATIENCE).unwrap().contains("/slow") {}
        let signalled = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
        assert!(signalled.elapsed() < Duration::from_secs(10), "{:?}", signalled.elapsed());
        let after: Vec<String> = lines.try_iter().collect();
        assert_eq!(after, ["DELETE /things/7 HTTP/1.1"], "{arguments:?}: and no other journey");
    }
}
