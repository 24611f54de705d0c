//! What really happened, as a client of its own saw it every 5 ms.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use warroom::{
    clock::{Clock, SystemClock},
    domain::time::Now,
};

/// One look at the servers through the front.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Before the first request.
    pub(crate) begun: Now,
    /// After the last answer.
    pub(crate) ended: Now,
    /// Whether `/health` and `/transaction` both answered 200.
    pub(crate) whole: bool,
    /// `x-served-by` of `/health`.
    pub(crate) served_by: Option<String>,
}

/// Two times between which something happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between {
    /// Not before.
    pub(crate) earliest: Now,
    /// Not after.
    pub(crate) latest: Now,
}

/// Looks once.
pub(crate) fn sample(front: SocketAddr) -> Sample {
    let begun = SystemClock.now();
    let (status, served_by) = request(front, "/health").unwrap_or_default();
    let whole = status == 200 && request(front, "/transaction").is_some_and(|(status, _)| status == 200);
    Sample { begun, ended: SystemClock.now(), whole, served_by }
}

/// One request on a connection of its own: the status and who served; `None` when nothing answered.
fn request(front: SocketAddr, path: &str) -> Option<(u16, Option<String>)> {
    let patience = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&front, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_nodelay(true).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {front}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let served_by = answer
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("x-served-by: ").map(str::to_owned));
    Some((status, served_by))
}

/// A thread that looks every 5 ms until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(front: SocketAddr) -> Self {
        let (samples, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, stopped) = (Arc::clone(&samples), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let seen = sample(front);
                kept.lock().unwrap().push(seen);
                next = (next + Duration::from_millis(5)).max(Instant::now());
                std::thread::sleep(next - Instant::now().min(next));
            }
        });
        Self { samples, stop, thread: Some(thread) }
    }

    /// Everything seen so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap().clone()
    }

    /// Waits until a sample since now is as asked.
    pub(crate) fn until(&self, what: &str, patience: Duration, wanted: impl Fn(&Sample) -> bool) {
        let asked = Instant::now();
        let mut from = self.samples.lock().unwrap().len();
        loop {
            let seen = self.samples.lock().unwrap();
            if seen[from..].iter().any(&wanted) {
                return;
            }
            from = seen.len();
            drop(seen);
            assert!(asked.elapsed() < patience, "in {patience:?} no client saw {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The one outage in what was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// When it began.
    pub(crate) onset: Between,
    /// When the secondary took over.
    pub(crate) switched: Between,
    /// When everything worked again.
    pub(crate) restored: Between,
}

impl Outage {
    /// Reads it from the samples; the server died between `killed`.
    pub(crate) fn read(samples: &[Sample], killed: (Now, Now)) -> Self {
        let first_bad = samples.iter().position(|sample| !sample.whole).expect("no client saw an outage");
        let last_bad = samples.iter().rposition(|sample| !sample.whole).unwrap();
        let moved = samples
            .iter()
            .position(|sample| sample.served_by.as_deref() == Some("secondary"))
            .expect("no client saw the secondary");
        assert!(
            first_bad > 0 && samples.len() > last_bad + 1,
            "the outage has no good sample before or after it"
        );
        assert!(
            samples[first_bad].ended.moment >= killed.0.moment,
            "a request failed before the primary was killed: {:?}",
            samples[first_bad]
        );
        Self {
            onset: Between { earliest: killed.0, latest: earlier(killed.1, samples[first_bad].ended) },
            switched: Between { earliest: samples[moved - 1].begun, latest: samples[moved].ended },
            restored: Between { earliest: samples[last_bad].begun, latest: samples[last_bad + 1].ended },
        }
    }

    /// Seconds that it lasted: at least and at most.
    pub(crate) fn duration(&self) -> (f64, f64) {
        let least = self.restored.earliest.moment.since(self.onset.latest.moment);
        let most = self.restored.latest.moment.since(self.onset.earliest.moment);
        (least.as_secs_f64(), most.as_secs_f64())
    }
}

fn earlier(one: Now, other: Now) -> Now {
    if one.moment <= other.moment { one } else { other }
}
