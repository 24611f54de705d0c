//! `warroom check`: what is wrong with the config.

use super::{Exit, Global, Outcome, Output, start};

/// Looks for mistakes in the config.
///
/// Names all of them at once, each with its file, line, key and cure. Logs in nowhere and resolves no secret. Exit 0 when the config is right, warnings or not; 2 when it is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom check
  warroom check --config ./warroom.toml")]
pub struct Args {}

/// Checks it.
pub fn run(global: &Global, _args: &Args, output: &mut Output) -> Outcome {
    let loaded = start::need_config(global, output)?;
    for finding in &loaded.warnings {
        output.line(&format!("warning: {finding}"))?;
    }
    for finding in &loaded.not_built {
        output.line(&format!("not built: {finding}"))?;
    }
    let config = &loaded.config;
    let count =
        |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let name = config.source.as_deref().map_or_else(String::new, |path| path.display().to_string());
    output.line(&format!(
        "{name}: good; {} on {}, {}, {} without effect in this version",
        count(config.components.len(), "component", "components"),
        count(config.platforms.len(), "platform", "platforms"),
        count(loaded.warnings.len(), "warning", "warnings"),
        count(loaded.not_built.len(), "part", "parts")
    ))?;
    Ok(Exit::Good)
}
