//! The agent's log: standard error, in the journal's own form where standard error is the journal.
//!
//! Invariant: a log that nobody takes, a journal that hangs or a terminal that was stopped, makes nobody wait; lines that
//! find no room are left out, and it is said how many.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::MakeWriter};

/// The variable that says what is logged.
const VARIABLE: &str = "WARROOM_LOG";
/// Where systemd says which stream leads to its journal: `DEVICE:INODE` (systemd.exec(5)).
const STREAM: &str = "JOURNAL_STREAM";
/// What an operator reads in the journal of a service: who came, what was done, what broke and what is well again.
pub(super) const TOLD: &str = "warroom::told";
/// The same, as a notice.
pub(super) const NOTICE: &str = "warroom::told::notice";
/// The same, as a warning.
pub(super) const WARNING: &str = "warroom::told::warning";
/// So many lines may wait to be written.
const WAITING: usize = 4096;
/// How long the end waits until they are.
const PATIENCE: Duration = Duration::from_millis(500);

/// The log of this process; dropping it writes what waits.
pub(super) struct Log {
    lines: Lines,
}

impl Log {
    /// Begins to log at the level that `WARROOM_LOG` names: warnings unless told, and in the journal what an operator
    /// reads there. Fails where no thread can be made.
    pub(super) fn begin() -> io::Result<Self> {
        let stderr = io::stderr();
        let is_journal = leads_to_journal(std::env::var_os(STREAM).as_deref(), &stderr);
        let form = if is_journal { Form::Journal } else { Form::Plain };
        let lines = Lines::begin(form, stderr)?;
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter(std::env::var(VARIABLE).ok().as_deref(), form))
            .with_writer(lines.clone());
        // Only a test in the same process could have set another one; then that one stands.
        let _ = match form {
            Form::Journal => {
                builder.without_time().with_level(false).with_target(false).with_ansi(false).try_init()
            }
            Form::Plain => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        };
        Ok(Self { lines })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // A queue without room belongs to a log that nobody takes.
        if self.lines.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As the subscriber writes it.
    Plain,
    /// Every line begins with its priority, `<4>` (sd-daemon(3)); the journal itself knows the time.
    Journal,
}

/// Whether a stream is the one that systemd named: only then is it the journal and not a file or a pipe behind a shell.
fn leads_to_journal(named: Option<&OsStr>, stream: impl AsFd) -> bool {
    let Some((device, inode)) = named.and_then(OsStr::to_str).and_then(|named| named.split_once(':')) else {
        return false;
    };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    rustix::fs::fstat(stream).is_ok_and(|found| (found.st_dev, found.st_ino) == (device, inode))
}

fn filter(named: Option<&str>, form: Form) -> EnvFilter {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    match (named.filter(|named| !named.trim().is_empty()), form) {
        (Some(named), _) => builder.parse_lossy(named),
        (None, Form::Plain) => builder.parse_lossy(""),
        (None, Form::Journal) => builder.parse_lossy(format!("warn,{TOLD}=info")),
    }
}

/// The priority of syslog(3).
fn priority(metadata: &Metadata<'_>) -> u8 {
    match (metadata.target(), *metadata.level()) {
        (_, Level::ERROR) => 3,
        (WARNING, _) | (_, Level::WARN) => 4,
        (NOTICE, _) => 5,
        (_, Level::INFO) => 6,
        _ => 7,
    }
}

enum Message {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Lines on their way to the thread that writes them.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Message>,
    form: Form,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    fn begin(form: Form, target: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let missing = Arc::clone(&left_out);
        std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || write(&waiting, form, &missing, target))?;
        Ok(Self { queue, form, left_out })
    }
}

fn write(waiting: &Receiver<Message>, form: Form, left_out: &AtomicU64, mut target: impl Write) {
    // A standard error that nobody reads any more is no reason to stop measuring, and there is nowhere to say so.
    while let Ok(message) = waiting.recv() {
        match message {
            Message::Text(text) => {
                let _ = target.write_all(&text);
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let words = format!("{missing} lines of the log were left out: it was not read for a while\n");
            let _ = target.write_all(&rendered(words.as_bytes(), form, 4));
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, priority: 6 }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, priority: priority(metadata) }
    }
}

/// One entry of the log; the subscriber writes it at once.
struct Line<'a> {
    lines: &'a Lines,
    priority: u8,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let message = Message::Text(rendered(text, self.lines.form, self.priority));
        if let Err(TrySendError::Full(_)) = self.lines.queue.try_send(message) {
            self.lines.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text as it is written: for the journal each of its lines with the priority, as each becomes an entry of its own.
fn rendered(text: &[u8], form: Form, priority: u8) -> Vec<u8> {
    if form == Form::Plain {
        return text.to_vec();
    }
    let mut lines = Vec::with_capacity(text.len() + 8);
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        lines.extend_from_slice(format!("<{priority}>").as_bytes());
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::sync::{Mutex, mpsc::channel};

    use super::*;

    #[test]
    fn only_the_stream_that_systemd_named_is_the_journal() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let facts = rustix::fs::fstat(&file).unwrap();
        let named = format!("{}:{}", facts.st_dev, facts.st_ino);
        assert!(leads_to_journal(Some(OsStr::new(&named)), &file));
        assert!(!leads_to_journal(Some(OsStr::new(&named)), &other), "redirected to a file");
        assert!(!leads_to_journal(None, &file));
        for nonsense in ["", ":", "1", "x:y", "1:2:3"] {
            assert!(!leads_to_journal(Some(OsStr::new(nonsense)), &file), "{nonsense}");
        }
    }

    #[test]
    fn every_line_for_the_journal_has_its_priority() {
        assert_eq!(rendered(b"a\nb\n", Form::Journal, 4), b"<4>a\n<4>b\n");
        assert_eq!(rendered(b"a\n", Form::Plain, 4), b"a\n");
    }

    /// A writer that waits until it is let go, like a journal that hangs.
    struct Stuck(std::sync::mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            // Everything is written once the test has let go.
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_journal_that_hangs_makes_nobody_wait_and_is_told_what_it_missed() {
        let (go, stuck) = channel();
        let written = Arc::default();
        let lines = Lines::begin(Form::Journal, Stuck(stuck, Arc::clone(&written))).unwrap();
        // The thread holds one of them at most.
        for _ in 0..WAITING + 5 {
            Line { lines: &lines, priority: 6 }.write_all(b"x\n").unwrap();
        }
        let missed = lines.left_out.load(Ordering::Relaxed);
        assert!((4..=5).contains(&missed), "{missed}");
        drop(go);
        let (done, all) = sync_channel(1);
        lines.queue.send(Message::Flush(done)).unwrap();
        all.recv().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.contains(&format!("<4>{missed} lines of the log were left out")), "{text}");
        assert_eq!(text.matches("<6>x\n").count(), WAITING + 5 - usize::try_from(missed).unwrap());
    }
}
