//! Help, completions and man page: what people read and shells load.

use super::{agent::run, code, stdout};

const SUBCOMMANDS: [&[&str]; 13] = [
    &[],
    &["agent"],
    &["status"],
    &["check"],
    &["probe"],
    &["records"],
    &["sim"],
    &["config"],
    &["config", "init"],
    &["config", "schema"],
    &["config", "show"],
    &["completions"],
    &["man"],
];

#[test]
fn the_help_of_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    for subcommand in SUBCOMMANDS {
        let output = run(folder.path(), &[subcommand, &["--help"]].concat());
        assert_eq!(code(&output), 0, "{subcommand:?}");
        let name = [&["warroom"], subcommand].concat().join("-");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!(name, stdout(&output));
        });
    }
}

/// A subcommand that comes later must be added above.
#[test]
fn no_subcommand_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let help = stdout(&run(folder.path(), &["--help"]));
    let listed: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let known: Vec<&str> = SUBCOMMANDS.iter().filter(|one| one.len() == 1).map(|one| one[0]).collect();
    assert_eq!(listed, known);
}

#[test]
fn completions_and_man_page_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef warroom"),
        ("fish", "complete -c warroom"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let output = run(folder.path(), &["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        let text = stdout(&output);
        assert!(text.contains(mark) && text.contains("records"), "{shell}: {text}");
    }
    let man = stdout(&run(folder.path(), &["man"]));
    for part in [".TH warroom", "SYNOPSIS", "records", "\\-\\-data\\-dir", "143"] {
        assert!(man.contains(part), "the man page has no {part}");
    }
}
