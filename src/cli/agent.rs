//! `warroom agent`: the engine without a screen.

mod log;
mod printer;
mod service;
mod told;

use std::{
    sync::{Arc, atomic::Ordering, mpsc::RecvTimeoutError},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use self::{
    log::Log,
    printer::Printer,
    service::{Keeper, Manager},
    told::Told,
};
use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
    attach::server::{Farewell, Server},
    engine::{self, Listener, Mailbox, Remote, Setup},
    probe::LatenessSnapshot,
    store::folder,
};

/// Measures without a screen, as a service.
///
/// SIGINT and SIGTERM end it. SIGHUP reads its config again: a good one is in force at once, with open outages going on; a
/// bad one is refused with what is wrong in it, and the old one stays in force. One engine works on a data folder at a
/// time: a second one says who holds it and exits with 2; under a service manager it waits for the end of that one.
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

/// How long the end waits for a reader of the events who has stopped reading.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs it.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    let log = Log::begin()?;
    start::prepare_process();
    let loaded = start::need_config(global, output)?;
    for finding in loaded.warnings.iter().chain(&loaded.not_built) {
        tracing::warn!("{finding}");
    }
    let config = Arc::new(loaded.config);
    let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
    let clock = start::clock();
    let manager = Manager::from_environment(&clock).map(Arc::new);
    let held = start::hold(folder, &config, service::patience(manager.as_deref()))?;
    told::beginning(&config, &held.folder);
    let runtime = start::runtime()?;
    let mailbox = Mailbox::default();
    let remote = mailbox.remote();
    let printer = args.events.map(|EventFormat::Json| Printer::begin(remote.clone())).transpose()?;
    let (listener, printing) = printer.unzip();
    let left_out = listener.as_ref().map(|listener| Arc::clone(&listener.left_out));
    // Declared after the lock is held, and so gone before it is let go.
    let (server, ear) =
        Server::begin(&held.folder, remote.clone(), Arc::clone(&clock), config.agent.clone(), None);
    let mut listeners: Vec<Box<dyn Listener>> = vec![ear, Box::new(Told::new(&config))];
    listeners.extend(listener.map(|listener| Box::new(listener) as Box<dyn Listener>));
    listeners.extend(manager.clone().map(|manager| Box::new(Keeper::new(manager)) as Box<dyn Listener>));
    let setup = Setup { config, clock, seed: start::seed(), folder: held.folder.clone(), listeners };
    let (ended, signal) = runtime.block_on(async {
        let signal = tokio::spawn(first_signal(remote, server.farewell(), manager)?);
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
    // What was logged stands before the words with which the process ends.
    drop(log);
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

/// Waits for the signal that ends the agent, stops the engine and says which it was.
fn first_signal(
    remote: Remote,
    farewell: Farewell,
    manager: Option<Arc<Manager>>,
) -> std::io::Result<impl Future<Output = u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        let number = loop {
            tokio::select! {
                _ = interrupt.recv() => break 2,
                _ = terminate.recv() => break 15,
                _ = hang_up.recv() => {
                    if let Some(manager) = &manager {
                        manager.reloading();
                    }
                    // An engine that is gone has nothing to reload; its end is on the way.
                    let _ = remote.reload();
                }
            }
        };
        told::ending(number);
        if let Some(manager) = manager {
            manager.ending();
            tokio::spawn(manager.extend());
        }
        farewell.say(format!("the agent was asked to end (signal {number})"));
        remote.stop();
        number
    })
}
