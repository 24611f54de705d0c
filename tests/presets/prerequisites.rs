//! The table of prerequisites against the presets themselves: somebody grants rights by it.

use std::path::Path;

use toml::{Table, Value};
use warroom::config::presets::BUILT_IN;

use crate::configs::document;

fn texts<'d>(step: &'d Value, key: &str) -> Vec<&'d str> {
    let list = step.get("requires").and_then(|requires| requires.get(key)).and_then(Value::as_array);
    list.into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

fn joined(parts: Vec<String>, between: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !seen.contains(&part) {
            seen.push(part);
        }
    }
    if seen.is_empty() { "–".to_owned() } else { seen.join(between) }
}

fn row(name: &str, document: &Table) -> String {
    let vars = document.get("vars").and_then(Value::as_table).cloned().unwrap_or_default();
    let vars = vars.iter().map(|(name, var)| match var.get("default").and_then(Value::as_str) {
        Some(default) => format!("`{name}` (`{default}`)"),
        None => format!("`{name}`"),
    });
    let steps = document["steps"].as_array().unwrap();
    let code = |text: &&str| format!("`{text}`");
    let permissions =
        steps.iter().map(|step| texts(step, "permissions").iter().map(code).collect::<Vec<_>>().join(" or "));
    let scopes = steps.iter().flat_map(|step| texts(step, "scopes")).map(|scope| format!("`{scope}`"));
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!(
        "| [`{name}`]({name}.toml) | {} | {} | {} | {} | {} |",
        text("about"),
        joined(vars.collect(), ", "),
        joined(permissions.collect(), ", "),
        joined(scopes.collect(), ", "),
        joined(vec![text("licence"), text("quota")], "; "),
    )
}

#[test]
fn the_table_of_prerequisites_is_what_the_presets_say() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/presets/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("<!-- presets -->\n").unwrap();
    let (told, _) = rest.split_once("<!-- end -->").unwrap();
    let told: Vec<&str> = told.lines().skip(2).collect();
    let wanted: Vec<String> = BUILT_IN.iter().map(|(name, _)| row(name, &document(name))).collect();
    assert_eq!(told, wanted, "the table should be:\n{}", wanted.join("\n"));
}
