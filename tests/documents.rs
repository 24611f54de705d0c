//! The documents against the program: what README.md and ARCHITECTURE.md promise is what is there.
//!
//! Where a table is derived from the program, a failure prints the table as it should be.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::CommandFactory as _;
use warroom::{
    cli::Cli,
    console::{
        action::{Place, TABLE},
        keys::KeyMap,
    },
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between `<!-- NAME -->` and `<!-- end -->`.
fn part(document: &str, name: &str) -> String {
    let begin = format!("<!-- {name} -->\n");
    let (_, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("README.md has no {begin}"));
    rest.split_once("<!-- end -->").unwrap().0.trim().to_owned()
}

/// Runs the built binary, far from the configs and data of whoever runs the test.
fn warroom(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_warroom"));
    command.args(arguments).env_remove("WARROOM_CONFIG").env_remove("WARROOM_DATA_DIR");
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(name, home.path());
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file of the repository as `warroom check` accepts it, whatever the umask of the checkout was.
fn own_copy(name: &str, folder: &Path) -> PathBuf {
    let copy = folder.join("warroom.toml");
    fs::write(&copy, read(name)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    copy
}

/// Whoever types the first block of the README line by line must see the demo and then the tests.
#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = read("README.md");
    let block = readme.split("```").nth(1).unwrap();
    let (_, commands) = block.split_once('\n').unwrap();
    assert_eq!(commands.trim_end(), "cargo run --release -- --demo\ncargo test");
}

#[test]
fn the_key_table_is_the_action_table() {
    let keys = KeyMap::load(None).unwrap();
    let mut table =
        vec!["| keys | action | where | what it does |".to_owned(), "| --- | --- | --- | --- |".to_owned()];
    for entry in TABLE.iter().filter(|entry| entry.is_built()) {
        let places: Vec<_> = entry.places.iter().map(|place| place.title()).collect();
        let places =
            if places.len() == Place::ALL.len() { "everywhere".to_owned() } else { places.join(", ") };
        // What has no key is chosen by its name.
        let keys = keys.ways(entry.action);
        let keys: Vec<_> = keys.split(' ').map(|key| format!("`{key}`")).collect();
        table.push(format!("| {} | `{}` | {places} | {} |", keys.join(" "), entry.name, entry.help));
    }
    let table = table.join("\n");
    assert_eq!(part(&read("README.md"), "keys"), table, "the key table should be:\n{table}");
}

#[test]
fn the_theme_list_is_that_of_the_folder() {
    let mut themes: Vec<_> = fs::read_dir(root().join("themes"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let file: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                file["title"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    themes.sort();
    let list: Vec<_> = themes.iter().map(|(name, title)| format!("- `{name}`: {title}")).collect();
    let list = list.join("\n");
    assert_eq!(part(&read("README.md"), "themes"), list, "the theme list should be:\n{list}");
}

#[test]
fn the_readme_and_the_help_know_the_same_subcommands() {
    let real: BTreeSet<_> = Cli::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let table = part(&read("README.md"), "commands");
    let told: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `warroom ")?.split([' ', '`']).next())
        .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, real, "README.md's table of commands");
    let help = warroom(&["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for name in &told {
        assert!(help.contains(&format!("\n  {name} ")), "`--help` does not mention `{name}`:\n{help}");
    }
}

/// Every option that the README shows exists where it says.
#[test]
fn every_option_in_the_table_of_commands_exists() {
    let mut command = Cli::command();
    command.build();
    let table = part(&read("README.md"), "commands");
    let mut checked = 0;
    for line in table.lines().filter_map(|line| line.strip_prefix("| `warroom")) {
        let usage = line.split('`').next().unwrap();
        let words: Vec<_> = usage.split([' ', '[', ']', '|']).filter(|word| !word.is_empty()).collect();
        let owner = words.first().and_then(|word| command.find_subcommand(word)).unwrap_or(&command);
        for option in words.iter().filter_map(|word| word.strip_prefix("--")) {
            let known = owner.get_arguments().any(|argument| argument.get_long() == Some(option));
            assert!(known, "`{}` has no --{option}", owner.get_name());
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} options were found in the table");
}

#[test]
fn the_example_configs_are_good() {
    for name in ["config/warroom.toml", "config/first.toml", "config/tutorial/warroom.toml"] {
        let folder = tempfile::tempdir().unwrap();
        let copy = own_copy(name, folder.path());
        let checked = warroom(&["check", "--config", copy.to_str().unwrap()]);
        let (said, words) = (text(&checked.stdout), text(&checked.stderr));
        assert!(checked.status.success(), "{name}:\n{said}{words}");
        // The complete example shows what is to come as well; those that people begin with promise nothing.
        if name != "config/warroom.toml" {
            assert!(said.contains(" 0 warnings, 0 parts without effect"), "{name}:\n{said}");
        }
    }
}

#[test]
fn config_init_prints_the_first_config() {
    let printed = warroom(&["config", "init"]);
    assert!(printed.status.success());
    assert_eq!(text(&printed.stdout), read("config/first.toml"));
}

/// What `check` says of a section without effect stands in the README, word for word.
#[test]
fn the_readme_says_what_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    let copy = own_copy("config/warroom.toml", folder.path());
    let checked = warroom(&["check", "--config", copy.to_str().unwrap()]);
    let said = text(&checked.stdout);
    let told = part(&read("README.md"), "not built");
    let mut missing = BTreeSet::new();
    let mut found = 0;
    for line in said.lines().filter(|line| line.starts_with("not built: ")) {
        let Some((_, message)) = line.split_once(": `[") else { continue };
        found += 1;
        let (section, effect) = message.split_once("`: ").unwrap();
        let row = format!("| `[{section}` | {effect} |");
        if !told.contains(&row) {
            missing.insert(row);
        }
    }
    assert!(found > 5, "{said}");
    assert!(missing.is_empty(), "README.md lacks:\n{}", Vec::from_iter(missing).join("\n"));
}

/// Whether a piece of code in a document is meant as a path of the repository.
fn is_path(code: &str) -> bool {
    let ends = [".rs", ".toml", ".sql", ".cfg", ".conf", ".md", ".json", "/"];
    ends.iter().any(|end| code.ends_with(end))
        && code.len() > 1
        && !code.starts_with(['/', '.', '~', '$'])
        && code.chars().all(|one| one.is_ascii_alphanumeric() || "/._-".contains(one))
}

#[test]
fn every_file_that_architecture_names_exists() {
    let document = read("ARCHITECTURE.md");
    let paths: BTreeSet<_> = document.split('`').skip(1).step_by(2).filter(|code| is_path(code)).collect();
    assert!(paths.len() > 40, "only {} paths were found", paths.len());
    let lost: Vec<_> = paths
        .iter()
        .filter(|path| !root().join(path).exists() && !root().join("src").join(path).exists())
        // Files that warroom or a user makes, not the repository.
        .filter(|path| !["status.json", "keys.toml", "warroom.toml"].contains(path))
        .collect();
    assert!(lost.is_empty(), "ARCHITECTURE.md names what is not there: {lost:?}");
}

#[test]
fn architecture_describes_every_room() {
    let document = read("ARCHITECTURE.md");
    for line in read("src/lib.rs").lines() {
        let Some(room) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) else {
            continue;
        };
        let heading = format!("\n### `{room}`");
        assert!(document.contains(&heading), "ARCHITECTURE.md has no heading for the room `{room}`");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let document = read(name);
        let anchors: BTreeSet<_> = document
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| {
                let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                heading.chars().filter(|one| one.is_alphanumeric() || "-_".contains(*one)).collect::<String>()
            })
            .collect();
        for target in document.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let good = match target.strip_prefix('#') {
                Some(anchor) => anchors.contains(anchor),
                None => root().join(target).exists(),
            };
            assert!(good, "{name}: the link to {target} leads nowhere");
        }
    }
}

/// The tutorial's servers must at least accept their configs.
#[test]
fn the_tutorial_is_understood_by_its_servers() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["nginx-primary.conf", "nginx-secondary.conf", "haproxy.cfg"] {
        fs::write(folder.path().join(name), read(&format!("config/tutorial/{name}"))).unwrap();
    }
    fs::create_dir(folder.path().join("temp")).unwrap();
    let checks = [
        ("nginx", &["-t", "-p", ".", "-e", "primary.log", "-c", "nginx-primary.conf"][..]),
        ("nginx", &["-t", "-p", ".", "-e", "secondary.log", "-c", "nginx-secondary.conf"][..]),
        ("haproxy", &["-c", "-f", "haproxy.cfg"][..]),
    ];
    for (program, arguments) in checks {
        let Some(program) = find(program) else { continue };
        let checked = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(checked.status.success(), "{arguments:?}: {}", text(&checked.stderr));
    }
}

/// The program, or `None` after a visible word that the test is skipped; with `CI` set it fails instead.
#[expect(clippy::explicit_write, reason = "the test harness keeps what the print macros say to itself")]
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(system).map(|one| one.join(program)).find(|one| one.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and CI must not skip");
        writeln!(
            std::io::stderr(),
            "SKIPPED: {program} is not installed (apt-get install haproxy nginx-light)"
        )
        .unwrap();
    }
    found
}
