//! A tiny platform of the test's own: it answers every request with the bytes that it was told to.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A server on loopback, ended with the test.
pub(crate) struct Platform {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    ended: Arc<AtomicBool>,
}

impl Platform {
    /// Answers every request with these bytes.
    pub(crate) fn start(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, ended) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicBool::new(false)));
        let (answers, over) = (Arc::clone(&answer), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || serve(stream.unwrap(), &answers));
            }
        });
        Self { address, answer, ended }
    }

    /// Answers with these bytes from the return of this call on.
    pub(crate) fn answer(&self, answer: Vec<u8>) {
        *self.answer.lock().unwrap() = answer;
    }

    /// A config with this platform as `web`, a name for each component and the TOML that goes below them all.
    pub(crate) fn config(&self, components: &str) -> String {
        format!(
            "tenant = \"test-tenant\"\nenvironment = \"sandbox\"\n[platforms.web]\nkind = \"http\"\n\
             base_url = \"http://{}\"\n{components}",
            self.address
        )
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it has ended.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, answers: &Mutex<Vec<u8>>) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut held = Vec::new();
    let mut piece = [0; 4096];
    while !held.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => held.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let answer = answers.lock().unwrap().clone();
    // A client that has gone in the meantime is what some tests are about.
    let _ = stream.write_all(&answer);
}

/// A whole answer; the connection is closed after it.
pub(crate) fn answer(status: &str, headers: &[u8], body: &str) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// A component with one step; `tier` 1 is probed every second, and every 200 ms in a burst.
pub(crate) fn component(id: &str, name: &str, tier: u8, step: &str) -> String {
    let (target, pace) = match tier {
        1 => ("60s", "cadence = \"1s\"\nburst = \"200ms\"\n"),
        2 => ("180s", "cadence = \"2s\"\nburst = \"500ms\"\n"),
        _ => ("1h", "cadence = \"1h\"\nburst = \"1h\"\n"),
    };
    format!(
        "[[components]]\nid = \"{id}\"\nname = \"{name}\"\nplatform = \"web\"\ntier = {tier}\n\
         target_rto = \"{target}\"\n{pace}[[components.journey]]\n{step}\n"
    )
}

/// Writes a config that only its owner may write, whatever the umask.
pub(crate) fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("warroom.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}
