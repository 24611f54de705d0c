//! The simulated trunk through real datagrams.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};
use warroom::sim::{self, Scenario};

use crate::HandClock;

struct Trunk {
    address: SocketAddr,
    socket: UdpSocket,
    task: JoinHandle<std::convert::Infallible>,
}

impl Trunk {
    async fn start(scenario: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scenario = Scenario::parse(scenario, "test.toml").unwrap();
        let task = tokio::spawn(sim::serve(listener, scenario, Arc::new(HandClock::default()), 7));
        // The port is taken as soon as the simulation has run up to it.
        while UdpSocket::bind(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { address, socket, task }
    }

    async fn say(&self, method: &str, call: &str) {
        let text = format!(
            "{method} sip:bob@{} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx;rport\r\n\
             From: <sip:me@127.0.0.1>;tag=me\r\nTo: <sip:bob@{}>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\
             Content-Length: 0\r\n\r\n",
            self.address, self.address
        );
        self.socket.send_to(text.as_bytes(), self.address).await.unwrap();
    }

    async fn hear(&self) -> Option<String> {
        let mut buffer = vec![0; 65_536];
        let heard = tokio::time::timeout(Duration::from_secs(2), self.socket.recv_from(&mut buffer)).await;
        let (length, _) = heard.ok()?.unwrap();
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// Status and method of the next answer.
    async fn status(&self) -> (String, String) {
        let heard = self.hear().await.unwrap();
        let status = heard.split(' ').nth(1).unwrap().to_owned();
        let sequence = heard.lines().find_map(|line| line.strip_prefix("CSeq: 1 ")).unwrap().to_owned();
        (status, sequence)
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn with(state: &str) -> String {
    format!("[[changes]]\nat = \"0s\"\ntarget = \"edge/sip\"\n{state}\n")
}

#[tokio::test]
async fn options_tell_what_the_scenario_says() {
    for (scenario, parts) in [
        (String::new(), &["SIP/2.0 200 OK", "Contact: <sip:sbc@us-east-1>", "branch=z9hG4bKx"][..]),
        (with("state = \"up\"\nserved_by = \"us-west-2\""), &["200 OK", "<sip:sbc@us-west-2>"]),
        (with("state = \"down\"\nretry_after = \"7s\""), &["SIP/2.0 503 ", "Retry-After: 7\r\n"]),
        (with("state = \"throttled\"\nretry_after = \"4s\""), &["SIP/2.0 503 ", "Retry-After: 4\r\n"]),
        (with("state = \"escapes\""), &["\u{1b}[2J"]),
        (with("state = \"failing\""), &["200 OK"]),
    ] {
        let trunk = Trunk::start(&scenario).await;
        trunk.say("OPTIONS", "a").await;
        let heard = trunk.hear().await.unwrap();
        assert!(parts.iter().all(|part| heard.contains(part)), "{scenario}: {heard}");
        assert_eq!(heard.matches("Call-ID: a").count(), 1, "{heard}");
        assert_eq!(heard.matches("To: <sip:bob@").count(), 1, "{heard}");
    }
}

#[tokio::test]
async fn a_call_rings_and_is_cancelled_or_answered() {
    let trunk = Trunk::start("").await;
    let is = |status: &str, method: &str| (status.to_owned(), method.to_owned());
    trunk.socket.send_to(b"\xff garbage \r\n\r\n", trunk.address).await.unwrap();
    trunk.say("INVITE", "a").await;
    assert_eq!((trunk.status().await, trunk.status().await), (is("100", "INVITE"), is("180", "INVITE")));
    trunk.say("INVITE", "a").await;
    trunk.say("CANCEL", "a").await;
    assert_eq!((trunk.status().await, trunk.status().await), (is("200", "CANCEL"), is("487", "INVITE")));
    trunk.say("CANCEL", "a").await;
    assert_eq!(trunk.status().await, is("481", "CANCEL"));
    trunk.say("INVITE", "b").await;
    assert_eq!((trunk.status().await, trunk.status().await), (is("100", "INVITE"), is("180", "INVITE")));
    assert_eq!(trunk.status().await, is("200", "INVITE"));
    trunk.say("BYE", "b").await;
    assert_eq!(trunk.status().await, is("200", "BYE"));
    let trunk = Trunk::start(&with("state = \"failing\"")).await;
    trunk.say("INVITE", "a").await;
    assert_eq!((trunk.status().await, trunk.status().await), (is("100", "INVITE"), is("480", "INVITE")));
}
