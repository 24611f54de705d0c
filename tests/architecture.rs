//! Holds the imports against the floors of the house: nobody reaches into a room above.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms from the ground up; those of one floor may know each other.
const FLOORS: [&[&str]; 8] = [
    &["domain", "expression"],
    &["config", "store", "console"],
    &["platform", "clock", "deliver", "sim"],
    &["probe", "drill"],
    &["engine"],
    &["attach"],
    &["cli"],
    &["main"],
];

/// Rooms of the same floor or below that a room must not know all the same.
const STRANGERS: [(&str, &[&str]); 2] = [("console", &["config", "store"]), ("domain", &["expression"])];

/// Text that must not appear: where (a room, or any with `*`), what, except in files that begin so, and why.
const FORBIDDEN: [(&str, &[&str], &[&str], &str); 5] = [
    (
        "domain",
        &[
            "tokio",
            "reqwest",
            "ratatui",
            "crossterm",
            "rusqlite",
            "hyper",
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::env",
            "Instant::now",
            "SystemTime",
            "Utc::now",
            "Local::now",
            "Rng::new()",
            "fastrand::u",
        ],
        &[],
        "the domain is pure",
    ),
    (
        "*",
        &["Color::"],
        &["console/theme", "console/color", "console/backend"],
        "the theme chooses colours, and two files write them as codes; nobody else knows any",
    ),
    (
        "*",
        &["println!", "eprintln!", "print!(", "eprint!(", "dbg!"],
        &[],
        "only cli/output.rs writes, and with write!",
    ),
    ("*", &["Utc::now", "Local::now", "SystemTime::now"], &["clock"], "only the clock's room reads a clock"),
    ("*", &["todo!", "unimplemented!"], &[], "a stub is not a function"),
];

#[derive(Debug)]
struct Source {
    /// Under `src`, with `/`.
    name: String,
    /// Without comments, strings and unit tests.
    code: String,
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), code: without_tests(&without_words(text)) }
    }

    /// The room that the file belongs to; the library's root belongs to none.
    fn room(&self) -> Option<&str> {
        let room = self.name.split('/').next().unwrap_or_default();
        let room = room.strip_suffix(".rs").unwrap_or(room);
        (room != "lib").then_some(room)
    }
}

/// Blanks comments and the contents of strings and characters; lines stay where they are.
fn without_words(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    let blank = |words: &str| -> String { words.chars().filter(|one| *one == '\n').collect() };
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) =
            raw_string(rest, &code).or_else(|| string(rest)).or_else(|| character(rest))
        {
            length
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code += &blank(&rest[..length]);
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let bytes = text.as_bytes();
    let mut place = 0;
    while place + 1 < bytes.len() {
        match &bytes[place..place + 2] {
            b"/*" => (depth, place) = (depth + 1, place + 2),
            b"*/" => {
                (depth, place) = (depth - 1, place + 2);
                if depth == 0 {
                    return place;
                }
            }
            _ => place += 1,
        }
    }
    bytes.len()
}

fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|one: char| one.is_alphanumeric() || one == '_') && !before.ends_with('b') {
        return None;
    }
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    let start = 1 + count + 1;
    Some(text[start..].find(&end).map_or(text.len(), |found| start + found + end.len()))
}

fn string(text: &str) -> Option<usize> {
    text.strip_prefix('"')?;
    let mut escaped = false;
    for (place, one) in text.char_indices().skip(1) {
        match one {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(place + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// A character literal, told from a lifetime by its closing quote.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return inner[2..].find('\'').map(|end| 1 + 2 + end + 1);
    }
    let one = inner.chars().next()?;
    inner[one.len_utf8()..].starts_with('\'').then(|| 1 + one.len_utf8() + 1)
}

/// Blanks modules under `#[cfg(test)]`; a unit test may use what its room may not.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(place) = rest.find("#[cfg(test)]").or_else(|| rest.find("#[cfg(all(test")) {
        kept += &rest[..place];
        let after = &rest[place..];
        let end = match (after.find('{'), after.find(';')) {
            (Some(open), semicolon) if semicolon.is_none_or(|semicolon| open < semicolon) => {
                open + closing_brace(&after[open..])
            }
            (_, Some(semicolon)) => semicolon + 1,
            _ => after.len(),
        };
        kept.extend(after[..end].chars().filter(|one| *one == '\n'));
        rest = &after[end..];
    }
    kept + rest
}

fn closing_brace(text: &str) -> usize {
    let mut depth = 0;
    for (place, one) in text.char_indices() {
        match one {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// The rooms that a file names: `crate::room`, `warroom::room`, as many `super::` as reach the root, and each in
/// `use crate::{a, b::c}`.
fn rooms(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let compact: String = source.code.chars().filter(|one| !one.is_whitespace()).collect();
    let above = "super::".repeat(source.name.split('/').count());
    for root in ["crate::", "warroom::", &above] {
        for (place, _) in compact.match_indices(root) {
            let before = compact[..place].chars().next_back();
            if before.is_some_and(|one| one == '_' || one == ':') {
                continue;
            }
            let rest = &compact[place + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(members(group)),
                None => found.push(first_word(rest)),
            }
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect()
}

/// The first words of a group's members, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (place, one) in group.char_indices() {
        match one {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(first_word(&group[start..place]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(first_word(&group[start..place]));
                start = place + 1;
            }
            _ => {}
        }
    }
    found
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Everything that is wrong with these sources.
fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let Some(room) = source.room() else { continue };
        let Some(own) = floor(room) else {
            faults.push(format!("{}: the room `{room}` is on no floor", source.name));
            continue;
        };
        for other in rooms(source) {
            let strange = STRANGERS.iter().any(|(who, whom)| *who == room && whom.contains(&other.as_str()));
            if floor(&other).is_some_and(|above| above > own) || strange {
                faults.push(format!("{}: `{room}` imports `{other}`", source.name));
            }
        }
        for (place, texts, except, why) in FORBIDDEN {
            let exempt = except.iter().any(|start| source.name.starts_with(start));
            if exempt || (place != "*" && place != room) {
                continue;
            }
            for (number, line) in source.code.lines().enumerate() {
                for text in texts.iter().filter(|text| stands_alone(line, text)) {
                    faults.push(format!("{}:{}: `{text}`: {why}", source.name, number + 1));
                }
            }
        }
    }
    faults
}

/// Whether the line has the text, not as the end of a longer word.
fn stands_alone(line: &str, text: &str) -> bool {
    line.match_indices(text)
        .any(|(place, _)| !line[..place].ends_with(|one: char| one.is_alphanumeric() || one == '_'))
}

fn collect(folder: &Path, root: &Path, sources: &mut Vec<Source>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, root, sources);
        } else if path.extension().is_some_and(|end| end == "rs")
            && !name.ends_with("/tests.rs")
            && !name.contains("/tests/")
        {
            sources.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

fn house() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    sources
}

#[test]
fn nobody_reaches_into_a_room_above() {
    let sources = house();
    assert!(sources.len() > 20, "the sources were found");
    assert!(sources.iter().any(|source| rooms(source).contains(&"domain".to_owned())), "imports are seen");
    let faults = faults(&sources);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn there_is_no_mod_rs() {
    assert!(house().iter().all(|source| !source.name.ends_with("mod.rs")));
}

#[test]
fn a_forbidden_import_is_caught_in_every_form() {
    for (name, code) in [
        ("domain/tracker.rs", "use crate::engine::Engine;"),
        ("domain.rs", "use crate::{\n    domain::Tier,\n    store::{Reader, Store},\n};"),
        ("store/writer.rs", "fn f() { crate::engine::go(); }"),
        ("console/view.rs", "use crate::{config::model, domain::Tier};"),
        ("console.rs", "use crate::store;"),
        ("config.rs", "use crate::platform::http;"),
        ("probe/http.rs", "use crate::cli;"),
        ("platform.rs", "use warroom::probe;"),
        ("store.rs", "use super::engine::Engine;"),
        ("store/writer.rs", "use super::super::{domain, engine};"),
        ("attic/new.rs", "use crate::domain;"),
        ("domain/a.rs", "let now = Utc::now();"),
        ("domain/a.rs", "use tokio::time;"),
        ("console/view.rs", "let red = Color::Red;"),
        ("engine.rs", "println!();"),
        ("engine.rs", "let text = \"//\"; eprintln!();"),
        ("store/a.rs", "let quote = '\"'; let at = Utc::now(); let other = '\"';"),
    ] {
        let caught = faults(&[Source::new(name, code)]);
        assert!(!caught.is_empty(), "{name}: {code}");
    }
}

#[test]
fn what_is_allowed_is_not_called_forbidden() {
    for (name, code) in [
        ("engine.rs", "use crate::{probe::Runner, store::Store, domain::Tier, console};"),
        ("probe.rs", "use crate::{clock::Clock, platform::http};"),
        ("domain/a.rs", "// tokio would be wrong here, and so would crate::engine\nfn f() {}"),
        ("domain/a.rs", "const WORDS: &str = \"crate::engine tokio Utc::now\";"),
        ("domain/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::engine; fn g() { tokio::go(); } }"),
        ("console/theme/palette.rs", "let red = Color::Red;"),
        ("console/view.rs", "let it = ThemeColor::Red;"),
        ("clock.rs", "let now = Utc::now();"),
        ("cli/output.rs", "writeln!(out, \"x\")?;"),
        ("lib.rs", "pub mod engine;"),
        ("cli/probe.rs", "use super::{config, Global}; use crate::console;"),
        ("console/keys.rs", "use super::config::Keys;"),
    ] {
        assert_eq!(faults(&[Source::new(name, code)]), Vec::<String>::new(), "{name}: {code}");
    }
}
