//! A small HTTP/1.1 server for the tests: it answers by a script and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

/// What the server does with a request.
pub(crate) enum Act {
    /// Sends these bytes and waits for the next request.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Sends the first part, pauses, sends the rest.
    Slowly(Vec<u8>, Duration, Vec<u8>),
    /// Sends the first part, then one byte of the other after the other, each after a pause.
    Drip(Vec<u8>, Vec<u8>, Duration),
    /// Sends the first part, then the other so many times, as long as anybody reads.
    Flood(Vec<u8>, Arc<[u8]>, usize),
    /// Says nothing for ever.
    Hang,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
    /// Number of the connection that it came on.
    pub(crate) connection: usize,
}

impl Asked {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// Listens at this address, also where connections of an earlier server linger.
    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&Asked) -> Act + Send + Sync + 'static,
    ) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, accepted) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicUsize>::default());
        let task =
            tokio::spawn(accept(listener, Arc::new(script), Arc::clone(&asked), Arc::clone(&accepted)));
        Self { address, asked, accepted, task }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Stops listening and closes every connection.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn accept(
    listener: TcpListener,
    script: Arc<dyn Fn(&Asked) -> Act + Send + Sync>,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepted: Arc<AtomicUsize>,
) {
    // Dropped with this task, and with it every connection.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
        connections.spawn(serve(stream, number, Arc::clone(&script), Arc::clone(&asked)));
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<dyn Fn(&Asked) -> Act + Send + Sync>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let mut held = Vec::new();
    while let Some(request) = next_request(&mut stream, &mut held, connection).await {
        asked.lock().unwrap().push(request.clone());
        match script(&request) {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::SendAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::Slowly(first, pause, rest) => {
                let _ = stream.write_all(&first).await;
                tokio::time::sleep(pause).await;
                let _ = stream.write_all(&rest).await;
            }
            Act::Drip(first, bytes, pause) => {
                let _ = stream.write_all(&first).await;
                for byte in bytes {
                    tokio::time::sleep(pause).await;
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
            }
            Act::Flood(first, part, times) => {
                let _ = stream.write_all(&first).await;
                for _ in 0..times {
                    if stream.write_all(&part).await.is_err() {
                        return;
                    }
                }
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn next_request(stream: &mut TcpStream, held: &mut Vec<u8>, connection: usize) -> Option<Asked> {
    loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if held.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&held[end + 4..end + 4 + length]).into_owned();
                held.drain(..end + 4 + length);
                return Some(Asked { head, body, connection });
            }
        }
        if stream.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

/// A whole answer with a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn ok() -> Act {
    Act::Send(answer("200 OK", "", "{}"))
}
