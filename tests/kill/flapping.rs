//! A platform on which every component has a short outage every few seconds, each in its own time.

use std::{
    net::SocketAddr,
    sync::mpsc::sync_channel,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A server on loopback, on a thread of its own to the end of the process.
pub(crate) struct Flapping {
    pub(crate) address: SocketAddr,
}

impl Flapping {
    pub(crate) fn start(seed: u64) -> Self {
        let (sender, address) = sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let begun = Instant::now();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, begun, seed));
                }
            });
        });
        Self { address: address.recv().unwrap() }
    }
}

/// Whether a component is in its outage: of 1 to 2 s in every 4 to 6 s.
fn is_bad(component: u64, seed: u64, since: Duration) -> bool {
    let mut random = fastrand::Rng::with_seed(seed ^ component.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (period, length) = (random.u64(4_000..6_000), random.u64(1_000..2_000));
    let now = u64::try_from(since.as_millis()).unwrap() + random.u64(0..period);
    now % period < length
}

async fn serve(mut stream: TcpStream, begun: Instant, seed: u64) {
    let (mut held, mut piece) = (Vec::new(), [0; 2048]);
    loop {
        while !held.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut piece).await {
                Ok(length @ 1..) => held.extend_from_slice(&piece[..length]),
                // The agent has gone, killed perhaps.
                _ => return,
            }
        }
        let path = String::from_utf8_lossy(&held).split_whitespace().nth(1).unwrap().to_owned();
        held.clear();
        // Something else is asked for too: the time, which every answer tells.
        let component = path.trim_start_matches('/').parse().unwrap_or_default();
        let status = if is_bad(component, seed, begun.elapsed()) { "503 Bad" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
