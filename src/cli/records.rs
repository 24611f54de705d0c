//! `warroom records`: the recoveries, one a line.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::ValueEnum;

use super::{Exit, Failure, Global, Outcome, Output};
use crate::{
    attach::wire::SOCKET,
    clock::{Clock, SystemClock},
    domain::{ComponentId, RecoveryRecord},
    store::{Store, Unreadable, folder},
};

/// Prints the measured recoveries, one a line.
///
/// Oldest first, also beside a running engine. JSON lines carry the whole recovery record. CSV carries the same fields; a cell that a spreadsheet would take for a
/// formula is prefixed with an apostrophe.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom records --since 30d
  warroom records --component crm_lookup --format csv > crm.csv
  warroom records | jq 'select(.status != \"PASS\") | [.component_id, .measured_rto_seconds]'")]
pub struct Args {
    /// Only those restored in the last so long: 30d, 12h.
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub since: Option<Duration>,
    /// Only those of this component.
    #[arg(long, value_name = "ID")]
    pub component: Option<String>,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
}

/// Prints them.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
    if !folder::visit(&folder, SOCKET).map_err(Failure::wrong_use)? {
        output.words(&format!("no recoveries: there is no data folder {}", folder.display()));
    }
    let reader = Store::read(&folder).map_err(Failure::cannot_go_on)?;
    let since = args.since.map(|length| before(SystemClock.wall(), length));
    let component = args.component.as_deref().map(ComponentId::new);
    if args.format == Format::Csv {
        output.line(&COLUMNS.map(|(name, _)| name).join(","))?;
    }
    let (mut unreadable, mut printed) = (Unreadable::default(), 0_u64);
    for record in reader.recoveries(since, component.as_ref()).filter_map(|one| unreadable.sift(one)) {
        printed += 1;
        match args.format {
            Format::Jsonl => output.json(&record)?,
            Format::Csv => output.line(&csv_line(&record))?,
        }
    }
    match unreadable.told("recoveries") {
        None => {
            if let Some(component) = component.filter(|_| printed == 0)
                && reader.recoveries(None, Some(&component)).next().is_none()
            {
                let known = reader.open_progress().map_err(Failure::cannot_go_on)?;
                if !known.iter().any(|one| one.component_id == component) {
                    output.words(&format!(
                        "nothing was ever recorded of a component {} in {}; look whether its id is right",
                        component.as_str(),
                        folder.display()
                    ));
                }
            }
            Ok(Exit::Good)
        }
        Some(words) => {
            // The rest has its place in the pipe before the words say what is missing.
            output.flush()?;
            Err(Failure::cannot_go_on(anyhow::anyhow!(words)))
        }
    }
}

fn before(now: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(length)
        .ok()
        .and_then(|length| now.checked_sub_signed(length))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

type Column = (&'static str, fn(&RecoveryRecord) -> String);

/// The columns, in the order of the record; new ones go to the end.
const COLUMNS: [Column; 34] = [
    ("component_id", |one| text(one.component_id.as_str())),
    ("tier", |one| one.tier.number().to_string()),
    ("target_rto_seconds", |one| one.target_rto_seconds.to_string()),
    ("t_detect_epoch", |one| format!("{:.3}", one.t_detect_epoch)),
    ("t_failover_epoch", |one| one.t_failover_epoch.map_or_else(String::new, |at| format!("{at:.3}"))),
    ("t_restore_epoch", |one| format!("{:.3}", one.t_restore_epoch)),
    ("measured_rto_seconds", |one| format!("{:.3}", one.measured_rto_seconds)),
    ("status", |one| one.status.word().to_owned()),
    ("t_failover_inferred", |one| one.t_failover_inferred.to_string()),
    ("rto_used_percentage", |one| one.rto_used_percentage.to_string()),
    ("compliance_percentage", |one| one.compliance_percentage.to_string()),
    ("bounds_from_seconds", |one| format!("{:.3}", one.bounds_seconds.0)),
    ("bounds_to_seconds", |one| one.bounds_seconds.1.map_or_else(String::new, |to| format!("{to:.3}"))),
    ("certain", |one| one.certain.to_string()),
    ("path", |one| text(one.path.as_str())),
    ("failover_mechanism", |one| optional(one.failover_mechanism.as_deref())),
    ("served_by", |one| optional(one.served_by.as_deref())),
    ("mode", |one| word(&one.mode)),
    ("clock", |one| word(&one.clock)),
    ("drill_id", |one| optional(one.drill_id.as_deref())),
    ("run_id", |one| optional(one.run_id.as_deref())),
    ("restored_by", |one| word(&one.restored_by)),
    ("blind_probes", |one| one.blind_probes.to_string()),
    ("gap_seconds", |one| one.gap_seconds.to_string()),
    ("failed_steps", |one| text(&one.failed_steps.join("; "))),
    ("root_cause", |one| optional(one.root_cause.as_deref())),
    ("id", |one| text(&one.id)),
    ("tenant_id", |one| text(&one.tenant_id)),
    ("t_detect", |one| stamp(one.t_detect_epoch)),
    ("t_restore", |one| stamp(one.t_restore_epoch)),
    ("links", |one| text(&one.chain.told())),
    ("health_restored_after_seconds", |one| seconds(one.chain.health_restored_after_seconds)),
    ("held_back_by", |one| optional(one.chain.held_back_by.as_deref())),
    ("held_back_seconds", |one| seconds(one.chain.held_back_seconds)),
];

fn csv_line(record: &RecoveryRecord) -> String {
    COLUMNS.map(|(_, cell)| cell(record)).join(",")
}

/// A text as a cell: never a formula, quoted where it must be.
fn text(value: &str) -> String {
    let value: String = value.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    // Spreadsheets skip blanks before they look for the formula's sign, and know its full-width forms too.
    let is_formula =
        value.trim_start().starts_with(['=', '+', '-', '@', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}']);
    let value = if is_formula { format!("'{value}") } else { value };
    if value.contains([',', '"', ';']) || value.starts_with(' ') || value.ends_with(' ') {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.3}"))
}

fn optional(value: Option<&str>) -> String {
    value.map_or_else(String::new, text)
}

/// The word by which a record's JSON names the value.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => text(&word),
        _ => String::new(),
    }
}

fn stamp(epoch: f64) -> String {
    DateTime::from_timestamp_millis((epoch * 1000.0).round() as i64)
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn a_cell_never_runs_as_a_formula_and_never_breaks_its_line() {
        assert_eq!(text("=1+1"), "'=1+1");
        assert_eq!(text("-2"), "'-2");
        assert_eq!(text("+1"), "'+1");
        assert_eq!(text("@sum"), "'@sum");
        assert_eq!(text(" =1"), "' =1");
        assert_eq!(text("\t=1"), "' =1");
        assert_eq!(text("\u{FF1D}1"), "'\u{FF1D}1");
        assert_eq!(text("a,b"), "\"a,b\"");
        assert_eq!(text("=\"a\"\nb"), "\"'=\"\"a\"\" b\"");
        assert_eq!(text("plain-text"), "plain-text");
    }

    /// Evidence that names which link held a recovery back must reach a spreadsheet, and a record from before it was
    /// measured must still be readable.
    #[test]
    fn the_chain_is_in_the_last_columns() {
        let old = include_str!("../../tests/data/recovery.json");
        let mut record: RecoveryRecord = serde_json::from_str(old).unwrap();
        assert_eq!(record.chain, crate::domain::chain::ChainHealth::default());
        let mut json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["held_back_by"], serde_json::Value::Null, "always there");
        json["links"] = serde_json::json!([
            { "name": "=flow", "health": true, "restored_after_seconds": 12.0 },
            { "name": "CRM: query", "health": false, "restored_after_seconds": 41.02 },
        ]);
        json["health_restored_after_seconds"] = 12.0.into();
        json["held_back_by"] = "CRM: query".into();
        json["held_back_seconds"] = 29.2.into();
        record = serde_json::from_value(json).unwrap();
        let line = csv_line(&record);
        assert!(line.ends_with(",\"'=flow +12.0 s; CRM: query +41.0 s\",12.000,CRM: query,29.200"), "{line}");
    }

    #[test]
    fn a_time_before_the_beginning_is_the_beginning() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(before(now, Duration::MAX), DateTime::<Utc>::MIN_UTC);
        assert_eq!(before(now, Duration::from_secs(1)).timestamp(), -1);
    }
}
