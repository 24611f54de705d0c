//! `warroom probe COMPONENT`: one journey now.

use std::{pin::pin, sync::Arc, time::Duration};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
    domain::{ComponentId, ProbeReport, StepReport, StepState, Timings, Verdict},
    platform::Session,
    probe::{Client, Journey},
};

/// How long the login may take: its secrets, the token, and what is asked about it.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);

/// Runs one component's journey now, step by step.
///
/// Says of each step what it did, what came of it and how long each part took.
///
/// Takes no lock and records nothing, so it works beside a running engine. Exit 0 when the component is up. SIGHUP, SIGINT and SIGTERM end it once what it made on the platform is cleaned up, within two seconds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom probe crm_lookup
  warroom probe crm_lookup --json | jq '.steps[].timings'")]
pub struct Args {
    /// The component's id in the config.
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    start::prepare_process();
    let config = start::need_config(global, output)?.config;
    let id = ComponentId::new(&args.component);
    let component = config.components.iter().find(|component| component.id == id).ok_or_else(|| {
        let known: Vec<&str> = config.components.iter().map(|component| component.id.as_str()).collect();
        Failure::wrong_use(anyhow::anyhow!(
            "the config has no component `{id}`; it has: {}",
            known.join(", ")
        ))
    })?;
    if component.health_step.is_none() {
        return Err(Failure::not_good(anyhow::anyhow!(
            "`{id}` has no step that this version can run, so nothing can be said of it"
        )));
    }
    let clock = start::clock();
    let runtime = start::runtime()?;
    let report = runtime.block_on(async {
        let session = Session::start(&component.platform, &clock, start::seed());
        let stop = CancellationToken::new();
        let work = async {
            let ready = stop.run_until_cancelled(session.ready(LOGIN_PATIENCE)).await;
            ready.unwrap_or_else(|| Err("stopped".to_owned()))?;
            let client = Client::new(&component.platform, Arc::clone(&session), Arc::clone(&clock));
            let journey = Journey::new(Arc::clone(component), client, Arc::clone(&clock));
            Ok(journey.probe_until(&stop).await.0)
        };
        start::until_signal(&stop, pin!(work)).await
    });
    // A name resolution that still hangs keeps nobody from leaving.
    runtime.shutdown_background();
    let report = match report? {
        Ok(report) => report,
        Err(number) => return Ok(Exit::Signal(number)),
    };
    let report = report.map_err(|reason: String| {
        Failure::not_good(anyhow::anyhow!("platform `{}`: {reason}", component.platform.id))
    })?;
    if args.json {
        output.json(&Told::of(&component.name, &report))?;
    } else {
        tell(&component.name, &report, output)?;
    }
    Ok(if report.verdict == Verdict::Up { Exit::Good } else { Exit::NotGood })
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Told<'a> {
    component_id: &'a ComponentId,
    name: &'a str,
    verdict: Verdict,
    reason: Option<&'a str>,
    served_by: Option<&'a str>,
    /// Of the health step.
    latency_ms: Option<f64>,
    /// Of the whole journey, clean-up excluded.
    total_ms: f64,
    steps: &'a [StepReport],
}

impl<'a> Told<'a> {
    fn of(name: &'a str, report: &'a ProbeReport) -> Self {
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e5).round() / 100.0;
        Self {
            component_id: &report.component_id,
            name,
            verdict: report.verdict,
            reason: report.reason.as_deref(),
            served_by: report.served_by.as_deref(),
            latency_ms: report.latency.map(millis),
            total_ms: millis(report.span.length()),
            steps: &report.steps,
        }
    }
}

fn tell(name: &str, report: &ProbeReport, output: &mut Output) -> std::io::Result<()> {
    output.line(&format!("{name}: {} in {}", report.verdict, in_millis(report.span.length())))?;
    if let Some(served_by) = &report.served_by {
        output.line(&format!("  served by {served_by}"))?;
    }
    let width = report.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    for step in &report.steps {
        output.line(format!("  {:<11} {:<width$}  {}", word(step), step.name, timings(step)).trim_end())?;
        if let Some(reason) = &step.reason {
            output.line(&format!("  {:<11} {:<width$}  {reason}", "", ""))?;
        }
    }
    Ok(())
}

const fn word(step: &StepReport) -> &'static str {
    match step.state {
        StepState::Passed => "passed",
        StepState::Failed => "FAILED",
        StepState::Blind => "blind",
        StepState::NotRun => "not run",
        StepState::Unsupported => "unsupported",
    }
}

fn timings(step: &StepReport) -> String {
    let Some(Timings { dns, connect, tls, first_byte, total, reused }) = step.timings else {
        return String::new();
    };
    let parts = [
        ("dns", dns),
        ("connect", connect),
        ("tls", tls),
        ("first byte", first_byte),
        ("total", Some(total)),
    ];
    let mut words: Vec<String> =
        parts.into_iter().filter_map(|(part, took)| Some(format!("{part} {}", in_millis(took?)))).collect();
    if reused {
        words.push("reused connection".to_owned());
    }
    words.join(" · ")
}

fn in_millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
