//! SIP steps of the built binary against real `SIPp`, which holds every message of an exchange against its scenario.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "real/agent.rs"]
mod agent;
#[path = "real/process.rs"]
mod process;

use std::{
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    agent::{Agent, warroom, write_config},
    process::{Peer, find, free_port},
};

/// `SIPp` as the side that is called.
struct Sipp {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    transport: &'static str,
}

impl Sipp {
    /// `None` where it is not installed.
    fn find(transport: &'static str) -> Option<Self> {
        let program = find("sipp", "sip-tester")?;
        Some(Self { program, folder: tempfile::tempdir().unwrap(), port: free_port(), transport })
    }

    /// Starts it with a scenario, for so many calls; 0 is for ever.
    fn start(&self, scenario: &str, calls: u32) -> Peer {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/real/{scenario}.xml"));
        let (scenario, port, calls) =
            (scenario.display().to_string(), self.port.to_string(), calls.to_string());
        let mode = if self.transport == "tcp" { "t1" } else { "u1" };
        let mut arguments =
            vec!["-sf", &scenario, "-i", "127.0.0.1", "-p", &port, "-t", mode, "-nostdin", "-timeout", "30"];
        if calls != "0" {
            arguments.extend(["-m", &calls]);
        }
        let mut peer = Peer::start("sipp", &self.program, self.folder.path(), &arguments);
        peer.until("listening", || match self.transport {
            "tcp" => TcpListener::bind(("127.0.0.1", self.port)).is_err(),
            _ => UdpSocket::bind(("127.0.0.1", self.port)).is_err(),
        });
        peer
    }

    fn config(&self, step: &str) -> PathBuf {
        let (port, transport) = (self.port, self.transport);
        let text = format!(
            r#"
tenant      = "real-peers"
environment = "sandbox"

[tiers.1]
cadence = "1s"
burst   = "250ms"

[measurement]
timeout = "1s"

[platforms.trunk]
kind     = "http"
base_url = "http://127.0.0.1:9"

[[components]]
id         = "trunk"
platform   = "trunk"
tier       = 1
target_rto = "30s"
kind       = "trunk"
journey    = [{{ name = "trunk", sip = "sip:bob@127.0.0.1:{port};transport={transport}", timeout = "1s", {step} }}]
failover   = {{ served_by = 'headers["server"]' }}
"#
        );
        write_config(self.folder.path(), &text)
    }

    /// One probe; whether it was up, and what it said.
    fn probe(&self, step: &str) -> (bool, Value) {
        let output = warroom(&self.config(step), &self.folder.path().join("data"))
            .args(["probe", "trunk", "--json"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.success(), report)
    }
}

/// `SIPp` says by its end whether every message came that its scenario asks for, and no other.
fn satisfied(mut peer: Peer) {
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = peer.ended() {
            break status;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "it still waits for a message:\n{}", peer.words());
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}:\n{}", peer.words());
}

#[test]
fn options_are_answered_by_udp_and_tcp() {
    for transport in ["udp", "tcp"] {
        let Some(sipp) = Sipp::find(transport) else { return };
        let peer = sipp.start("options", 1);
        let (up, report) = sipp.probe("expect = 'status == 200 && contact_host == \"127.0.0.1\"'");
        assert!(up, "{report}");
        assert_eq!(report["served_by"], "SIPp", "{report}");
        satisfied(peer);
    }
}

#[test]
fn a_trunk_out_of_service_is_down() {
    let Some(sipp) = Sipp::find("udp") else { return };
    let peer = sipp.start("unavailable", 1);
    let (up, report) = sipp.probe("answers = \"any\"");
    assert!(!up);
    assert_eq!(report["reason"], "trunk: out of service (503 Service Unavailable, asks for 7s)", "{report}");
    satisfied(peer);
}

#[test]
fn a_call_that_rings_is_cancelled() {
    for transport in ["udp", "tcp"] {
        let Some(sipp) = Sipp::find(transport) else { return };
        let peer = sipp.start("ringing", 1);
        let (up, report) = sipp.probe("method = \"call\", expect = 'status == 180'");
        assert!(up, "{report}");
        satisfied(peer);
    }
}

#[test]
fn a_call_that_is_answered_is_ended() {
    for transport in ["udp", "tcp"] {
        let Some(sipp) = Sipp::find(transport) else { return };
        let peer = sipp.start("answering", 1);
        let (up, report) = sipp.probe("method = \"call\", answer = \"complete\", expect = 'status == 200'");
        assert!(up, "{report}");
        satisfied(peer);
    }
}

/// It rings for longer than the step waits: the call is cancelled before `warroom probe` ends.
#[test]
fn a_call_that_nobody_answers_is_not_left_standing() {
    let Some(sipp) = Sipp::find("udp") else { return };
    let peer = sipp.start("ringing", 1);
    let (up, report) = sipp.probe("method = \"call\", answer = \"complete\"");
    assert!(!up);
    assert_eq!(report["reason"], "trunk: 180 Ringing, but nobody answered within 1s", "{report}");
    satisfied(peer);
}

#[test]
fn a_killed_trunk_is_down_and_a_restarted_one_is_restored() {
    let Some(sipp) = Sipp::find("udp") else { return };
    let mut peer = sipp.start("options", 0);
    let config = sipp.config("expect = 'status == 200'");
    let mut agent = Agent::start(&config, &sipp.folder.path().join("data"), "12s");
    agent.until("phase up", 5, |event| event["event"] == "phase" && event["phase"] == "up");
    peer.kill();
    let down = agent.until("down", 5, |event| event["event"] == "probe" && event["verdict"] == "down");
    assert_eq!(down["reason"], "trunk: connection refused: nobody listens on that port", "{down}");
    agent.until("phase down", 5, |event| event["event"] == "phase" && event["phase"] == "down");
    let _peer = sipp.start("options", 0);
    let told = agent.until("recovery", 5, |event| event["event"] == "recovery");
    let record = &told["record"];
    assert_eq!((&record["status"], &record["served_by"]), (&"PASS".into(), &"SIPp".into()), "{record}");
    let after = agent.end();
    assert!(after.iter().all(|event| event["event"] != "recovery"), "{after:?}");
}
