//! `warroom agent`: the engine without a screen.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
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

/// Lines that may wait for a slow reader of the events; beyond that probe events are left out, and it is said.
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
    let setup = Setup {
        config,
        clock: start::clock(),
        seed: start::seed(),
        folder: held.folder.clone(),
        listeners: listener.into_iter().map(|listener| Box::new(listener) as Box<dyn Listener>).collect(),
    };
    let (ended, signal) = runtime.block_on(async {
        let signal = tokio::spawn(first_signal(remote)?);
        let ended = engine::run(setup, mailbox, args.length).await;
        signal.abort();
        Ok::<_, Failure>((ended, signal.await.ok()))
    })?;
    // What still blocks, a name resolution for one, keeps nobody from leaving.
    runtime.shutdown_background();
    if let Some(printed) = printing
        && printed.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
    {
        output
            .words("warroom: whoever reads the events has stopped reading; the last events were not printed");
    }
    if let Ok(ended) = &ended {
        tell_lateness(&ended.lateness);
    }
    start::ended(ended, signal.map_or(Exit::Good, Exit::Signal))
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
fn first_signal(remote: Remote) -> std::io::Result<impl Future<Output = u8>> {
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
        remote.stop();
        number
    })
}

/// Prints events on a thread of its own, so that a slow reader delays nothing.
struct Printer {
    lines: SyncSender<Arc<Event>>,
    left_out: u64,
}

impl Printer {
    /// The second value is told, by closing, when everything is printed.
    fn begin(remote: Remote) -> Result<(Self, Receiver<()>), Failure> {
        let (lines, waiting) = sync_channel::<Arc<Event>>(WAITING);
        let (done, printed) = sync_channel(0);
        std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                let _told_by_closing: SyncSender<()> = done;
                let mut output = Output::standard();
                if print(&waiting, &mut output).is_err() {
                    // Nobody reads the events any more: that is how a reader says that it has enough.
                    remote.stop();
                }
            })
            .map_err(Failure::cannot_go_on)?;
        Ok((Self { lines, left_out: 0 }, printed))
    }
}

fn print(waiting: &Receiver<Arc<Event>>, output: &mut Output) -> std::io::Result<()> {
    while let Ok(event) = waiting.recv() {
        output.json(&*event)?;
        while let Ok(event) = waiting.try_recv() {
            output.json(&*event)?;
        }
        output.flush()?;
    }
    Ok(())
}

impl Listener for Printer {
    fn event(&mut self, event: &Arc<Event>) {
        match self.lines.try_send(Arc::clone(event)) {
            Ok(()) if self.left_out > 0 => {
                tracing::warn!(
                    events = self.left_out,
                    "the reader of the events was too slow; events were left out"
                );
                self.left_out = 0;
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.left_out += 1,
        }
    }
}
