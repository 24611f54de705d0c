//! `warroom sim`: the simulated platforms as a server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::sim::{self, Scenario};

/// Serves the simulated platforms that the demo uses, to try a config on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom sim
  warroom sim --scenario regional-failover
  warroom sim --listen 127.0.0.1:8651 --scenario outage.toml

Built-in scenarios: hostile-answers, partial-recovery, regional-failover, skewed-clock, throttled.
All that a scenario may hold is in config/scenarios/README.md.")]
pub struct Args {
    /// Where to listen: loopback unless told.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8650")]
    pub listen: SocketAddr,
    /// What happens when: a file, or the name of a built-in scenario; the demo's own unless told.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

/// The scenario of a file, or the built-in one of that name where there is no such file.
fn scenario(path: &Path) -> Result<Scenario, Failure> {
    let name = path.display().to_string();
    let text = match (std::fs::read_to_string(path), Scenario::built_in(&name)) {
        (Ok(text), _) => text,
        (Err(error), Some(text)) if error.kind() == std::io::ErrorKind::NotFound => text.to_owned(),
        (Err(error), _) => {
            let built_in = Scenario::built_in_names().join(", ");
            let message = format!("the scenario {name} cannot be read; built in are {built_in}");
            return Err(Failure::wrong_use(anyhow::Error::new(error).context(message)));
        }
    };
    Scenario::parse(&text, &name).map_err(Failure::wrong_use)
}

/// Serves them until a signal comes.
pub fn run(_global: &Global, args: &Args, output: &mut Output) -> Outcome {
    let scenario = match &args.scenario {
        None => sim::demo_scenario().map_err(Failure::cannot_go_on)?,
        Some(path) => scenario(path)?,
    };
    let demands_login = scenario.demands_login();
    start::prepare_process();
    start::runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))
            .map_err(Failure::cannot_go_on)?;
        let address = listener.local_addr()?;
        output.line(&format!("the simulated platforms answer at http://{address}"))?;
        output.line("base URLs of a config for them: that address and /genesys, /cxone, /edge, /wem, /wfm, /archive or /backup")?;
        output.line(&format!("a SIP trunk answers at sip:{address};transport=udp"))?;
        if demands_login {
            output.line("Genesys Cloud and CXone ask for a login: any id and secret will do unless the scenario names some")?;
        }
        output.flush()?;
        let (mut interrupt, mut terminate, mut hang_up) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        let number = tokio::select! {
            never = sim::serve(listener, scenario, start::clock(), start::seed()) => match never {},
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hang_up.recv() => 1,
        };
        Ok(Exit::Signal(number))
    })
}
