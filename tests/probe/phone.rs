//! A small SIP peer for the tests: it answers by a script and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::certificates::serve;

/// What the peer does with a request: messages that it sends back, in order.
type Script = Arc<dyn Fn(&Call) -> Vec<Vec<u8>> + Send + Sync>;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) text: String,
    pub(crate) from: SocketAddr,
    /// How many of this method came, this one included.
    pub(crate) count: usize,
}

impl Call {
    pub(crate) fn method(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default()
    }

    /// An answer to it.
    pub(crate) fn answer(&self, status: &str, headers: &str) -> Vec<u8> {
        let copied = ["Via", "From", "Call-ID", "CSeq"];
        let copied = copied.map(|name| format!("{name}: {}\r\n", self.header(name))).concat();
        let to = self.header("To");
        let tag = if to.contains("tag=") { "" } else { ";tag=theirs" };
        format!("SIP/2.0 {status}\r\n{copied}To: {to}{tag}\r\n{headers}Content-Length: 0\r\n\r\n")
            .into_bytes()
    }
}

pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

impl Phone {
    /// Answers datagrams.
    pub(crate) async fn udp(script: impl Fn(&Call) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Call>>>::default();
        let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for answer in ask(&script, &kept, &buffer[..length], from) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        Self { address, asked, task }
    }

    /// Answers on connections.
    pub(crate) async fn tcp(script: impl Fn(&Call) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Call>>>::default();
        let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, from)) = listener.accept().await {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                connections.spawn(async move { converse(&mut stream, from, &script, &kept).await });
            }
        });
        Self { address, asked, task }
    }

    pub(crate) fn asked(&self) -> Vec<Call> {
        self.asked.lock().unwrap().clone()
    }

    /// The methods that were asked, in order, those that were sent again included.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.asked().iter().map(|call| call.method().to_owned()).collect()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn heard(&self, count: usize) -> Vec<String> {
        let waited = tokio::time::timeout(std::time::Duration::from_secs(5), async {
            while self.asked.lock().unwrap().len() < count {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "no {count} requests came: {:?}", self.methods());
        self.methods()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers every request on a connection.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    from: SocketAddr,
    script: &Script,
    kept: &Mutex<Vec<Call>>,
) {
    let mut held = Vec::new();
    while stream.read_buf(&mut held).await.is_ok_and(|length| length > 0) {
        while let Some(length) = whole(&held) {
            let request: Vec<u8> = held.drain(..length).collect();
            for answer in ask(script, kept, &request, from) {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Answers by TLS as one who is `localhost`; the port, and what was asked.
pub(crate) async fn secure(
    acceptor: TlsAcceptor,
    script: impl Fn(&Call) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<Call>>>) {
    let asked = Arc::<Mutex<Vec<Call>>>::default();
    let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&asked));
    let port = serve(acceptor, move |mut stream| {
        let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
        async move {
            let from = stream.get_ref().0.peer_addr().unwrap();
            converse(&mut stream, from, &script, &kept).await;
        }
    });
    (port.await, asked)
}

/// The length of the first whole request.
fn whole(held: &[u8]) -> Option<usize> {
    let end = held.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&held[..end]).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    Some(end + length.parse::<usize>().unwrap()).filter(|whole| *whole <= held.len())
}

fn ask(script: &Script, kept: &Mutex<Vec<Call>>, request: &[u8], from: SocketAddr) -> Vec<Vec<u8>> {
    let mut call = Call { text: String::from_utf8(request.to_vec()).unwrap(), from, count: 1 };
    let mut kept = kept.lock().unwrap();
    call.count += kept.iter().filter(|other| other.method() == call.method()).count();
    kept.push(call.clone());
    drop(kept);
    script(&call)
}
