//! The command line as people type it.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use clap::CommandFactory;

use super::*;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    parse(line.split_whitespace().map(Into::into))
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn the_contracts_command_lines_are_understood() {
    for line in [
        "warroom",
        "warroom --config f --data-dir d --demo --theme dark --color 256 --ascii --fps 4",
        "warroom agent --for 10m --events json --config f",
        "warroom --config f agent",
        "warroom status --json --data-dir d",
        "warroom check",
        "warroom probe crm --json",
        "warroom records --since 30d --component crm --format csv",
        "warroom sim --listen 127.0.0.1:1 --scenario f",
        "warroom config init",
        "warroom config schema",
        "warroom config show --config f",
        "warroom completions bash",
        "warroom man",
    ] {
        assert!(parsed(line).is_ok(), "{line}: {}", parsed(line).unwrap_err());
    }
}

#[test]
fn global_options_work_before_and_after_the_subcommand() {
    let before = parsed("warroom --data-dir d status").unwrap();
    let after = parsed("warroom status --data-dir d").unwrap();
    assert_eq!(before.global.data_dir, after.global.data_dir);
    assert_eq!(before.global.data_dir.unwrap(), PathBuf::from("d"));
}

#[test]
fn a_console_option_beside_a_subcommand_is_wrong_use() {
    for line in ["warroom --demo agent", "warroom --fps 8 status", "warroom --color auto check"] {
        let error = parsed(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{line}");
        assert!(error.to_string().contains("cannot be used with"), "{error}");
    }
}

#[test]
fn wrong_lengths_of_time_say_how_to_write_them() {
    let words = parsed("warroom records --since month").unwrap_err().to_string();
    assert!(words.contains("30d"), "{words}");
}

#[test]
fn the_console_options_that_are_kept_from_subcommands_are_all_of_them() {
    let ids: Vec<_> = Cli::command()
        .get_arguments()
        .filter(|one| one.get_help_heading() == Some("Console"))
        .map(|one| one.get_id().to_string())
        .collect();
    assert_eq!(ids, console::OPTIONS);
}

#[test]
fn every_option_is_explained() {
    fn look(command: &clap::Command) {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
        for subcommand in command.get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
            look(subcommand);
        }
    }
    look(&Cli::command());
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure_and_gets_no_words() {
    let words = Kept::default();
    let mut output = Output::new(Box::new(Closed), Box::new(words.clone()));
    let outcome = man::run(&mut output);
    assert!(outcome.is_err());
    assert_eq!(conclude(outcome, &mut output), Exit::Good);
    assert_eq!(words.text(), "");
}

#[test]
fn a_reader_that_went_away_does_not_make_a_bad_outcome_good() {
    let closed = io::BufWriter::new(Closed);
    let mut output = Output::new(Box::new(closed), Box::new(Kept::default()));
    output.line("DOWN").unwrap();
    assert_eq!(conclude(Ok(Exit::NotGood), &mut output), Exit::NotGood);
}

#[test]
fn a_failure_is_told_in_words_and_never_exits_with_0() {
    let words = Kept::default();
    let mut output = Output::new(Box::new(Kept::default()), Box::new(words.clone()));
    let failure = Failure::cannot_go_on(anyhow::anyhow!("inner\x1b[2J").context("outer"));
    assert_eq!(conclude(Err(failure), &mut output).code(), 3);
    assert_eq!(words.text(), "warroom: outer: inner\u{FFFD}[2J\n");
}

#[test]
fn the_manual_names_every_subcommand_and_option() {
    let page = Kept::default();
    let mut output = Output::new(Box::new(page.clone()), Box::new(Kept::default()));
    man::run(&mut output).unwrap();
    let page = page.text();
    for subcommand in Cli::command().get_subcommands() {
        let name = format!(".SH \"WARROOM {}\"", subcommand.get_name().to_uppercase());
        assert!(page.contains(&name), "{name}");
        for option in subcommand.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("\\-\\-{option}")), "--{option} of {name}");
        }
    }
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Kept::default();
        let mut output = Output::new(Box::new(script.clone()), Box::new(Kept::default()));
        let Some(Command::Completions(args)) =
            parsed(&format!("warroom completions {shell}")).unwrap().command
        else {
            unreachable!("it was asked for");
        };
        completions::run(&args, &mut output).unwrap();
        assert!(script.text().contains("records"), "{shell}");
    }
}

/// A data folder with an engine's lock and `count` recoveries.
fn folder_with(count: u32) -> (tempfile::TempDir, Global, crate::store::Lock) {
    use crate::store::{Holder, Lock, Settings, Store};
    let folder = tempfile::TempDir::new().unwrap();
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let lock = Lock::acquire(folder.path(), &Holder::this(now, None)).unwrap();
    let store = Store::open(folder.path(), Settings::default(), now, Box::new(|_| {})).unwrap();
    for number in 0..count {
        let text = include_str!("../../tests/data/recovery.json").replace("NUMBER", &number.to_string());
        let record = Arc::new(serde_json::from_str(&text).unwrap());
        store.handle().record_recovery(record, None, Box::new(|| {}));
    }
    store.close().unwrap();
    let global = Global { config: None, data_dir: Some(folder.path().to_path_buf()) };
    (folder, global, lock)
}

fn captured(run: impl FnOnce(&mut Output) -> Outcome) -> (Exit, String, String) {
    let (results, words) = (Kept::default(), Kept::default());
    let mut output = Output::new(Box::new(results.clone()), Box::new(words.clone()));
    let exit = conclude(run(&mut output), &mut output);
    (exit, results.text(), words.text())
}

fn records_args(line: &str) -> records::Args {
    match parsed(line).unwrap().command {
        Some(Command::Records(args)) => args,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn records_are_printed_as_the_contract_names_them() {
    let (_folder, global, _lock) = folder_with(3);
    let args = records_args("warroom records");
    let (exit, results, _) = captured(|output| records::run(&global, &args, output));
    assert_eq!((exit, results.lines().count()), (Exit::Good, 3));
    let first: serde_json::Value = serde_json::from_str(results.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], "outage-0");
    assert_eq!(first["measured_rto_seconds"], 58.016);
    assert!(first["t_failover_epoch"].is_number() && first["bounds_seconds"][1] == 63.1);

    let args = records_args("warroom records --format csv --component architect_flow_primary");
    let (_, results, _) = captured(|output| records::run(&global, &args, output));
    let lines: Vec<_> = results.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("component_id,tier,target_rto_seconds,t_detect_epoch,"));
    assert!(lines[1].contains(",'=HYPERLINK(1),"), "{}", lines[1]);
    assert!(lines[1].ends_with("2024-05-15T16:12:00.004Z,2024-05-15T16:12:58.020Z,,,,"), "{}", lines[1]);

    let args = records_args("warroom records --component nobody");
    assert_eq!(captured(|output| records::run(&global, &args, output)).1, "");
    let args = records_args("warroom records --since 1d");
    assert_eq!(captured(|output| records::run(&global, &args, output)).1, "", "they are older");
}

#[test]
fn a_recovery_that_cannot_be_read_is_said_after_the_rest() {
    let (folder, global, lock) = folder_with(3);
    drop(lock);
    let connection = rusqlite::Connection::open(folder.path().join("warroom.db")).unwrap();
    connection.execute("UPDATE recoveries SET record = '{' WHERE seq = 2", []).unwrap();
    drop(connection);
    let args = records_args("warroom records");
    let (exit, results, words) = captured(|output| records::run(&global, &args, output));
    assert_eq!((exit, results.lines().count()), (Exit::CannotGoOn, 2));
    assert!(words.contains("1 recoveries cannot be read") && words.contains("row 2"), "{words}");
}

#[test]
fn status_without_an_engine_says_so_and_with_one_repeats_its_word() {
    let (folder, global, lock) = folder_with(0);
    let args = status::Args { json: true, prompt: false, ascii: false };
    let run = || captured(|output| status::run(&global, &args, output));
    assert_eq!(run(), (Exit::NotGood, "{\"engine\":\"starting\"}\n".to_owned(), String::new()));

    let roster = crate::domain::Roster {
        tenant: "t".to_owned(),
        environment: crate::domain::Environment::Sandbox,
        demo: false,
        window: Duration::from_secs(1),
        platforms: Vec::new(),
        components: Vec::new(),
    };
    let picture = crate::domain::Picture::new(Arc::new(roster));
    let now = crate::clock::Clock::wall(&crate::clock::SystemClock);
    let mut file = crate::store::StatusFile::of(&picture, now, std::process::id());
    file.worst = crate::domain::Phase::Up;
    crate::store::status::write(folder.path(), &file).unwrap();
    let (exit, results, _) = run();
    let told: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!((exit, &told["engine"], &told["worst"]), (Exit::Good, &"running".into(), &"up".into()));
    assert!(told["outages"].is_array() && told["drill"].is_null() && told["mode"] == "alerting", "{told}");

    drop(lock);
    assert_eq!(run().0, Exit::NotGood, "the file of an engine that is gone is not believed");
}
