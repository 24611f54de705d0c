//! A reload in the middle of a test transaction: what was created is removed, and no second chain runs beside it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use warroom::{
    config,
    domain::{Event, Verdict},
};

use super::{Running, answer, write_config};

/// What the platform was asked, and how it stood.
#[derive(Default)]
struct Book {
    created: u32,
    removed: u32,
    /// The most that were there at one time.
    most: u32,
}

/// A platform on which things are created, slowly looked at, and removed.
struct Things {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    /// The requests as they come.
    asked: mpsc::Receiver<String>,
    over: Arc<AtomicBool>,
}

impl Things {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (book, over) = (Arc::<Mutex<Book>>::default(), Arc::<AtomicBool>::default());
        let (ask, asked) = mpsc::channel();
        let (books, ended) = (Arc::clone(&book), Arc::clone(&over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (book, ask) = (Arc::clone(&books), ask.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &book, &ask));
            }
        });
        Self { address, book, asked, over }
    }

    fn config(&self, target: u32) -> String {
        format!(
            "tenant = \"t\"\nenvironment = \"sandbox\"\n[platforms.web]\nkind = \"http\"\nbase_url = \"http://{}\"\n\
             [[components]]\nid = \"web\"\nplatform = \"web\"\ntier = 1\ntarget_rto = \"{target}s\"\n\
             cadence = \"9s\"\nburst = \"1s\"\njourney = [\n\
             {{ name = \"health\", get = \"/health\" }},\n\
             {{ name = \"create\", post = \"/things\", capture = {{ thing = 'body.id' }} }},\n\
             {{ name = \"look\", get = \"/slow\" }},\n\
             {{ name = \"change\", post = \"/slow\" }},\n\
             {{ name = \"remove\", delete = \"/things/{{thing}}\", cleanup = true }},\n]\n",
            self.address
        )
    }

    fn wait_for(&self, request: &str) {
        loop {
            let asked = self.asked.recv_timeout(Duration::from_secs(30));
            if asked.unwrap_or_else(|_| panic!("never asked: {request}")).starts_with(request) {
                return;
            }
        }
    }
}

impl Drop for Things {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it has ended.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, book: &Mutex<Book>, ask: &mpsc::Sender<String>) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (mut held, mut piece) = (Vec::new(), [0; 4096]);
    while !held.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => held.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&held).lines().next().unwrap_or_default().to_owned();
    let mut id = 0;
    if request.starts_with("POST /things") {
        let mut book = book.lock().unwrap();
        book.created += 1;
        book.most = book.most.max(book.created - book.removed);
        id = book.created;
    }
    // The test may have seen enough.
    let _ = ask.send(request.clone());
    std::thread::sleep(match &*request {
        line if line.contains(" /slow") => Duration::from_millis(1_200),
        line if line.starts_with("GET /health") => Duration::ZERO,
        _ => Duration::from_millis(300),
    });
    if request.starts_with("DELETE /things/") {
        book.lock().unwrap().removed += 1;
    }
    // Who asked may have gone in the meantime, which is what this is about.
    let _ = stream.write_all(&answer("200 OK", b"", &format!("{{\"id\":{id}}}")));
}

#[test]
fn a_reload_in_the_middle_of_a_journey_leaves_nothing_behind_and_starts_none_beside_it() {
    let (things, folder) = (Things::start(), tempfile::tempdir().unwrap());
    let path = write_config(folder.path(), &things.config(60));
    let running = Running::start(config::load(&path).unwrap().config, folder.path());
    let moments = ["GET /slow", "POST /slow", "POST /things", "DELETE /things", "GET /slow", "GET /health"];
    for (moment, target) in moments.into_iter().zip(30..) {
        things.wait_for(moment);
        write_config(folder.path(), &things.config(target));
        assert!(running.remote.reload());
        assert!(running.config().loaded);
    }
    // One more while the one before is still ending.
    write_config(folder.path(), &things.config(20));
    assert!(running.remote.reload());
    assert!(running.config().loaded);
    running.wait_for(
        "a whole probe",
        |event| matches!(event, Event::Probe(probe) if probe.verdict == Verdict::Up),
    );
    let book = things.book.lock().unwrap();
    let Book { created, removed, most } = *book;
    drop(book);
    running.stop();
    assert!(created >= 5, "only {created}");
    assert_eq!((created - removed, most), (0, 1), "left behind, and at one time, of {created}");
}
