//! `warroom probe COMPONENT`: one journey now.

use std::{sync::Arc, time::Duration};

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
    domain::{ComponentId, ProbeReport, StepReport, StepState, Timings, Verdict},
    engine,
    probe::{Client, Journey},
};

/// Runs one component's journey now, step by step.
///
/// Says of each step what it did, what came of it and how long each part took.
///
/// Takes no lock and records nothing, so it works beside a running engine. Exit 0 when the component is up.
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
    let credentials = engine::credentials(&component.platform).map_err(|reason| {
        Failure::not_good(anyhow::anyhow!("platform `{}`: {reason}", component.platform.id))
    })?;
    let clock = start::clock();
    let runtime = start::runtime()?;
    let report = runtime.block_on(async {
        let client = Client::new(&component.platform, credentials, Arc::clone(&clock));
        Journey::new(Arc::clone(component), client, clock).probe().await
    });
    // A name resolution that still hangs keeps nobody from leaving.
    runtime.shutdown_background();
    if args.json {
        output.json(&report)?;
    } else {
        tell(&component.name, &report, output)?;
    }
    Ok(if report.verdict == Verdict::Up { Exit::Good } else { Exit::NotGood })
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
