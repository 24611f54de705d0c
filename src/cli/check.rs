//! `warroom check`: what is wrong with the config, and with `--online` what is wrong with the whole chain.

use std::pin::pin;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
    config::Loaded,
    domain::diagnosis::{Area, Diagnosis, Finding, Grade},
    engine::diagnose::{Examined, diagnose},
    store::{Lock, LockError, folder},
};

/// Looks for mistakes in the config, and with --online for trouble on the whole chain.
///
/// Names all mistakes at once, each with its file, line, key and cure. Without --online it logs in nowhere and resolves no secret.
///
/// With --online it looks up every host, connects, logs in, holds permissions against what the presets need, runs each step of each component once with its clean-up, asks every time source, and looks at the data folder and the machine; each trouble comes with what to do about it. It takes no lock and records nothing, so it works beside a running engine; beside one that holds the data folder it takes a tenth of the budget, and so more time.
///
/// A platform that throttles is waited for up to a minute; what the rate kept from being seen is a warning. SIGHUP, SIGINT and SIGTERM end it once the journeys under way are cleaned up, within two seconds.
///
/// Exit 0 when all is well, warnings or not; 1 when something of the chain failed; 2 when the config is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom check
  warroom check --config ./warroom.toml --online
  warroom check --online --json | jq '.findings[] | select(.grade == \"failed\")'")]
pub struct Args {
    /// Examine the whole chain too.
    #[arg(long)]
    pub online: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Checks it.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    if args.online {
        start::prepare_process();
    }
    let loaded = start::need_config(global, output)?;
    let mut findings = of_config(&loaded);
    if !args.json {
        tell_config(&loaded, output)?;
    }
    if args.online {
        if !args.json {
            output.flush()?;
        }
        findings = match examine(global, &loaded, findings, output)? {
            Ok(diagnosis) => diagnosis.findings,
            Err(number) => return Ok(Exit::Signal(number)),
        };
    }
    let failed = findings.iter().any(|finding| finding.grade == Grade::Failed);
    if args.json {
        output.json(&Told { good: !failed, findings: &findings })?;
    } else if args.online {
        tell(&findings, output)?;
    }
    Ok(if failed { Exit::NotGood } else { Exit::Good })
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Told<'a> {
    /// Nothing failed.
    good: bool,
    findings: &'a [Finding],
}

/// What was found, or the signal that ended it.
fn examine(
    global: &Global,
    loaded: &Loaded,
    findings: Vec<Finding>,
    output: &mut Output,
) -> Result<Result<Diagnosis, u8>, Failure> {
    let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
    // A lock that cannot be looked at is told with the data folder.
    let beside = matches!(Lock::peek(&folder), Ok(Some(_)) | Err(LockError::Held { .. }));
    if beside {
        output.words(
            "warroom: an engine measures on this data folder; a tenth of the budget is taken beside it",
        );
    }
    let stop = CancellationToken::new();
    let examined = Examined {
        config: std::sync::Arc::new(loaded.config.clone()),
        folder: Some(folder),
        clock: start::clock(),
        seed: start::seed(),
        clients: Vec::new(),
        lateness: None,
        beside,
        stop: stop.clone(),
    };
    let runtime = start::runtime()?;
    let diagnosis = runtime.block_on(async {
        let work = pin!(diagnose(examined, findings));
        start::until_signal(&stop, work).await
    });
    // A name resolution that still hangs keeps nobody from leaving.
    runtime.shutdown_background();
    Ok(diagnosis?)
}

/// The config's own warnings as findings; where they stand is their subject.
fn of_config(loaded: &Loaded) -> Vec<Finding> {
    let place = |finding: &crate::config::Finding| match finding.line {
        Some(line) => format!("{}:{line}", finding.file),
        None => finding.file.to_string(),
    };
    let warnings = loaded.warnings.iter().map(|finding| {
        Finding::warning(Area::Config, place(finding), finding.message.clone(), finding.cure.clone())
    });
    let not_built = loaded.not_built.iter().map(|finding| {
        let what = format!("without effect in this version: {}", finding.message);
        Finding::warning(Area::Config, place(finding), what, finding.cure.clone())
    });
    let mut findings: Vec<Finding> = warnings.chain(not_built).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Area::Config, config_name(loaded), "good"));
    }
    findings
}

fn config_name(loaded: &Loaded) -> String {
    loaded.config.source.as_deref().map_or_else(String::new, |path| path.display().to_string())
}

fn tell_config(loaded: &Loaded, output: &mut Output) -> std::io::Result<()> {
    for finding in &loaded.warnings {
        output.line(&format!("warning: {finding}"))?;
    }
    for finding in &loaded.not_built {
        output.line(&format!("not built: {finding}"))?;
    }
    let config = &loaded.config;
    let count =
        |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    output.line(&format!(
        "{}: good; {} on {}, {}, {} without effect in this version",
        config_name(loaded),
        count(config.components.len(), "component", "components"),
        count(config.platforms.len(), "platform", "platforms"),
        count(loaded.warnings.len(), "warning", "warnings"),
        count(loaded.not_built.len(), "part", "parts")
    ))
}

/// Area by area; of the config has been told already.
fn tell(findings: &[Finding], output: &mut Output) -> std::io::Result<()> {
    let mut area = None;
    for finding in findings.iter().filter(|finding| finding.area != Area::Config) {
        if area.replace(finding.area) != Some(finding.area) {
            output.line("")?;
            output.line(finding.area.word())?;
        }
        output.line(&format!("  {:<7}  {}: {}", finding.grade.word(), finding.subject, finding.what))?;
        if let Some(cure) = &finding.cure {
            output.line(&format!("  {:<7}  do: {cure}", ""))?;
        }
    }
    let number = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    output.line("")?;
    output.line(&format!(
        "{} ok, {} warnings, {} failed",
        number(Grade::Ok),
        number(Grade::Warning),
        number(Grade::Failed)
    ))
}
