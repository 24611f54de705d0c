//! The simulated platforms through real HTTP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use warroom::sim::{self, Scenario};

use crate::HandClock;

/// The simulated platforms on a free port.
struct Server {
    address: SocketAddr,
    task: JoinHandle<std::convert::Infallible>,
}

impl Server {
    async fn start(scenario: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scenario = Scenario::parse(scenario, "test.toml").unwrap();
        let task = tokio::spawn(sim::serve(listener, scenario, Arc::new(HandClock::default()), 7));
        Self { address, task }
    }

    /// Sends a request and reads what comes; an error where the connection was reset.
    async fn exchange(&self, request: &[u8]) -> (String, Option<std::io::Error>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes).await;
        (String::from_utf8_lossy(&bytes).into_owned(), ended.err())
    }

    async fn get(&self, path: &str, host: &str) -> (String, Option<std::io::Error>) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        self.exchange(request.as_bytes()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_web_page_elsewhere_cannot_reach_the_simulation_through_a_name() {
    let server = Server::start("").await;
    for (host, status) in [("rebound.example.com", "421"), ("localhost", "200"), ("127.0.0.1:80", "200")] {
        let (answer, _) = server.get("/edge/crm/ready", host).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_refused_request_ends_its_connection_without_a_byte() {
    let server = Server::start("[[changes]]\nat = '0s'\ntarget = 'wfm'\nstate = 'refused'\n").await;
    let (answer, _) = server.get("/wfm/ready", "localhost").await;
    assert_eq!(answer, "");
    let (answer, _) = server.get("/wem/dashboard", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_broken_answer_begins_and_ends_with_a_reset() {
    let server = Server::start("[[changes]]\nat = '0s'\ntarget = 'wfm'\nstate = 'broken'\n").await;
    let (answer, error) = server.get("/wfm/ready", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\n\r\n{\"status\""), "{answer}");
    assert!(!answer.ends_with('}'), "{answer}");
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_body_over_the_platforms_limit_is_refused() {
    let server = Server::start("").await;
    // One byte too many, and no more: an answer to a body that is still on its way may be lost with the connection.
    let size = 512_001;
    let mut request = format!(
        "POST /genesys/api/v2/flows/executions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {size}\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + size, b' ');
    let (answer, _) = server.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn the_listener_and_its_connections_end_with_the_server() {
    let server = Server::start("").await;
    let mut kept = TcpStream::connect(server.address).await.unwrap();
    assert!(server.get("/edge/crm/ready", "localhost").await.0.starts_with("HTTP/1.1 200"));
    server.task.abort();
    let mut rest = Vec::new();
    // A reset says the same as an end.
    let ended = tokio::time::timeout(Duration::from_secs(5), kept.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the open connection outlived its server");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port still listens");
}
