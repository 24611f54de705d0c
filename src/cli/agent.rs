//! `warroom agent`: the engine without a screen.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
    attach::server::{Farewell, Server},
    domain::Event,
    engine::{self, Listener, Mailbox, Remote, Setup},
    probe::LatenessSnapshot,
    store::folder,
};

/// Measures without a screen, as a service.
///
/// SIGINT and SIGTERM end it; SIGHUP changes nothing in this version, restart it for another config. One engine works on
/// a data folder at a time: a second one says who holds it and exits with 2.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom agent --config /etc/warroom/warroom.toml --data-dir /var/lib/warroom
  warroom agent --for 10m --events json | jq 'select(.event == \"recovery\")'")]
pub struct Args {
    /// End after so long, with exit 0: 90s, 10m.
    #[arg(long = "for", value_name = "DURATION", value_parser = super::duration)]
    pub length: Option<Duration>,
    /// Print what happens, one object a line.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub events: Option<EventFormat>,
}

/// The form of a printed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EventFormat {
    /// One JSON object a line.
    Json,
}

/// Probes and outages' progress that may wait for a slow reader of the events; beyond that they are left out, and it is
/// said. Everything else is rare, and waits as long as it must.
const WAITING: usize = 65_536;
/// How long the end waits for a reader of the events who has stopped reading.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs it.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    log_to_stderr();
    start::prepare_process();
    let loaded = start::need_config(global, output)?;
    for finding in loaded.warnings.iter().chain(&loaded.not_built) {
        tracing::warn!("{finding}");
    }
    let config = Arc::new(loaded.config);
    let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
    let held = start::hold(folder, config.source.as_deref())?;
    let runtime = start::runtime()?;
    let mailbox = Mailbox::default();
    let remote = mailbox.remote();
    let printer = args.events.map(|EventFormat::Json| Printer::begin(remote.clone())).transpose()?;
    let (listener, printing) = printer.unzip();
    let left_out = listener.as_ref().map(|listener| Arc::clone(&listener.left_out));
    let clock = start::clock();
    // Declared after the lock is held, and so gone before it is let go.
    let (server, ear) = Server::begin(&held.folder, remote.clone(), Arc::clone(&clock), None);
    let mut listeners: Vec<Box<dyn Listener>> = vec![ear];
    listeners.extend(listener.map(|listener| Box::new(listener) as Box<dyn Listener>));
    let setup = Setup { config, clock, seed: start::seed(), folder: held.folder.clone(), listeners };
    let (ended, signal) = runtime.block_on(async {
        let signal = tokio::spawn(first_signal(remote, server.farewell())?);
        let ended = engine::run(setup, mailbox, args.length).await;
        signal.abort();
        Ok::<_, Failure>((ended, signal.await.ok()))
    })?;
    drop(server);
    // What still blocks, a name resolution for one, keeps nobody from leaving.
    runtime.shutdown_background();
    let printed = printing.map_or(Ok(()), |printed| match printed.recv_timeout(PATIENCE) {
        Ok(printed) => printed,
        Err(RecvTimeoutError::Timeout) => {
            output.words(
                "warroom: whoever reads the events has stopped reading; the last events were not printed",
            );
            Ok(())
        }
        // The thread panicked, and its panic has been told.
        Err(RecvTimeoutError::Disconnected) => Ok(()),
    });
    match left_out.map_or(0, |count| count.load(Ordering::Relaxed)) {
        0 => {}
        count => output.words(&format!(
            "warroom: the reader of the events was too slow: {count} probe and outage events were left out"
        )),
    }
    if let Ok(ended) = &ended {
        tell_lateness(&ended.lateness);
    }
    let exit = start::ended(ended, signal.map_or(Exit::Good, Exit::Signal))?;
    printed.map_err(|error| {
        Failure::cannot_go_on(anyhow::Error::new(error).context(
            "the events could not be written to standard output; measuring went on without printing them",
        ))
    })?;
    Ok(exit)
}

/// Says how punctual the probes were: what a cadence can be trusted for on this machine.
fn tell_lateness(lateness: &LatenessSnapshot) {
    let millis = |late: Duration| late.as_secs_f64() * 1000.0;
    tracing::info!(
        probes = lateness.count,
        p50_ms = millis(lateness.p50),
        p99_ms = millis(lateness.p99),
        max_ms = millis(lateness.max),
        "lateness of starts"
    );
}

/// The log of a service goes to standard error, at the level that `WARROOM_LOG` names.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
        .with_env_var("WARROOM_LOG")
        .from_env_lossy();
    // Only a test in the same process could have set another one; then that one stands.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// Waits for the signal that ends the agent, stops the engine and says which it was.
fn first_signal(remote: Remote, farewell: Farewell) -> std::io::Result<impl Future<Output = u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        let number = loop {
            tokio::select! {
                _ = interrupt.recv() => break 2,
                _ = terminate.recv() => break 15,
                _ = hang_up.recv() => tracing::warn!(
                    "SIGHUP: reloading the config is not built in this version; measuring goes on with the old one, restart the \
                     agent to change it"
                ),
            }
        };
        farewell.say(format!("the agent was asked to end (signal {number})"));
        remote.stop();
        number
    })
}

/// Prints events on a thread of its own, so that a slow reader delays nothing.
struct Printer {
    events: Sender<Arc<Event>>,
    /// How many events that may be left out wait for the reader.
    waiting: Arc<AtomicUsize>,
    /// How many were left out.
    left_out: Arc<AtomicU64>,
    /// How many of those had been told when the reader last went on.
    told: u64,
}

impl Printer {
    /// The second value is told how it ended when everything is printed, or nothing can be any more.
    fn begin(remote: Remote) -> Result<(Self, Receiver<std::io::Result<()>>), Failure> {
        let (printer, events) = Self::new();
        let waiting = Arc::clone(&printer.waiting);
        let (done, printed) = channel();
        std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                let mut output = Output::standard();
                let ended = match print(&events, &waiting, &mut output) {
                    // Nobody reads the events any more: that is how a reader says that it has enough.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                        remote.stop();
                        Ok(())
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the events cannot be written; measuring goes on without printing them");
                        Err(error)
                    }
                    Ok(()) => Ok(()),
                };
                // Whoever waited has lost patience if this is not taken.
                let _ = done.send(ended);
            })
            .map_err(Failure::cannot_go_on)?;
        Ok((printer, printed))
    }

    fn new() -> (Self, Receiver<Arc<Event>>) {
        let (sender, events) = channel();
        let (waiting, left_out) = (Arc::default(), Arc::default());
        (Self { events: sender, waiting, left_out, told: 0 }, events)
    }
}

/// What a later event of the same kind makes good.
fn may_be_left_out(event: &Event) -> bool {
    matches!(event, Event::Probe(_) | Event::Outage(_))
}

fn print(events: &Receiver<Arc<Event>>, waiting: &AtomicUsize, output: &mut Output) -> std::io::Result<()> {
    let line = |event: &Event, output: &mut Output| {
        if may_be_left_out(event) {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        output.json(event)
    };
    while let Ok(event) = events.recv() {
        line(&event, output)?;
        while let Ok(event) = events.try_recv() {
            line(&event, output)?;
        }
        output.flush()?;
    }
    Ok(())
}

impl Listener for Printer {
    fn event(&mut self, event: &Arc<Event>) {
        if may_be_left_out(event) {
            if self.waiting.load(Ordering::Relaxed) >= WAITING {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let left_out = self.left_out.load(Ordering::Relaxed);
            if left_out > self.told {
                tracing::warn!(
                    events = left_out - self.told,
                    "the reader of the events was too slow; probe and outage events were left out"
                );
                self.told = left_out;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        if self.events.send(Arc::clone(event)).is_err() && may_be_left_out(event) {
            // Nothing is printed any more, which has been told.
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ComponentId, PathName, Verdict,
        event::{BlipEvent, ProbeEvent},
    };

    #[test]
    fn a_slow_reader_costs_probes_and_nothing_else() {
        let (mut printer, events) = Printer::new();
        let at = chrono::DateTime::UNIX_EPOCH;
        let component_id = ComponentId::new("crm");
        let probe = Arc::new(Event::Probe(ProbeEvent {
            at,
            component_id: component_id.clone(),
            path: PathName::primary(),
            verdict: Verdict::Up,
            latency_ms: None,
            served_by: None,
            reason: None,
            burst: false,
            steps: Vec::new(),
        }));
        let blip = Arc::new(Event::Blip(BlipEvent { at, component_id, reason: None }));
        for _ in 0..WAITING + 7 {
            printer.event(&probe);
        }
        for _ in 0..3 {
            printer.event(&blip);
        }
        assert_eq!(printer.left_out.load(Ordering::Relaxed), 7);
        let waiting: Vec<_> = events.try_iter().collect();
        assert_eq!(waiting.len(), WAITING + 3);
        assert!(waiting.iter().rev().take(3).all(|event| **event == *blip), "nothing else is left out");
    }
}
