//! Presets of the user's own, beside the config file; and the built-in ones against their folder.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use warroom::config::{self, presets::BUILT_IN};

use crate::configs::{config, document, using};

/// A config file with presets beside it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(config: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.write("warroom.toml", config);
        home
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn load(&self) -> Result<config::model::Config, String> {
        config::load(&self.folder.path().join("warroom.toml"))
            .map(|loaded| loaded.config)
            .map_err(|rejected| rejected.to_string())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A preset that stands in the folder and not in the table would be missing from every build.
#[test]
fn the_folder_and_the_table_of_presets_agree() {
    let mut files = Vec::new();
    for platform in fs::read_dir(root().join("config/presets")).unwrap() {
        let platform = platform.unwrap().path();
        if platform.is_dir() {
            for file in fs::read_dir(&platform).unwrap() {
                let name =
                    file.unwrap().path().strip_prefix(root().join("config/presets")).unwrap().to_owned();
                files.push(name.to_str().unwrap().strip_suffix(".toml").unwrap().to_owned());
            }
        }
    }
    files.sort();
    let built_in: Vec<_> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(built_in, files);
}

/// A component that takes two presets gives a variable once: it must be the same thing in both.
#[test]
fn a_variable_means_the_same_in_every_preset() {
    let mut known: BTreeMap<(String, String), toml::Value> = BTreeMap::new();
    for (name, _) in BUILT_IN {
        let document = document(name);
        let kind = document["kind"].as_str().unwrap().to_owned();
        for (var, says) in document.get("vars").and_then(toml::Value::as_table).into_iter().flatten() {
            let first = known.entry((kind.clone(), var.clone())).or_insert_with(|| says.clone());
            // The one id may be of a trunk, a flow or a workflow; its default has one meaning.
            assert_eq!(first.get("default"), says.get("default"), "`{var}` of {name}");
        }
    }
}

#[test]
fn a_file_of_ones_own_comes_before_the_built_in_preset() {
    let home = Home::new(&using("genesys/date"));
    assert_eq!(&*home.load().unwrap().components[0].journey[0].name, "date: platform time");
    let own = "about = \"ours\"\nkind = \"genesys\"\n[[steps]]\nname = \"ours\"\nget = \"/x\"\nexpect = ['status == 204']\n";
    home.write("presets/genesys/date.toml", own);
    assert_eq!(&*home.load().unwrap().components[0].journey[0].name, "date: ours");
    home.write("warroom.toml", &config("genesys", "", "[{ use = \"house/special\" }]"));
    home.write("presets/house/special.toml", own);
    assert_eq!(&*home.load().unwrap().components[0].journey[0].name, "special: ours");
    home.write("warroom.toml", &config("genesys", "", "[{ use = \"house/spezial\" }]"));
    assert!(home.load().unwrap_err().contains("did you mean \"house/special\"?"));
}

/// A preset names hosts and carries what the platform is told: it is trusted as the config is.
#[test]
fn a_preset_that_others_may_write_is_refused() {
    let home = Home::new(&using("genesys/date"));
    let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "genesys/date").unwrap();
    let path = home.write("presets/genesys/date.toml", text);
    home.load().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let said = home.load().unwrap_err();
    assert!(said.contains(&format!("chmod go-w {}", path.display())), "{said}");
    assert!(said.contains("used by step \"date\" of component `c`"), "{said}");
}

#[test]
fn a_mistake_in_a_preset_is_named_in_both_files() {
    let home = Home::new(&config("genesys", "", "[{ use = \"house/special\" }]"));
    let path = home.write(
        "presets/house/special.toml",
        "about = \"wrong\"\nkind = \"genesys\"\nlicense = \"?\"\n\n[[steps]]\nname = \"one\"\nget = \"/{nothing}\"\nexpect = ['status ==']\nhealth = true\n\n[[steps]]\nuse = \"genesys/trunk\"\n",
    );
    let said = home.load().unwrap_err();
    let file = path.display();
    let config = home.folder.path().join("warroom.toml");
    let user = format!("(used by step \"special\" of component `c`, {}:12)", config.display());
    for wanted in [
        format!(
            "{file}:7: `get` of step \"one\" of preset `house/special` uses `{{nothing}}`, which nothing defines {user}; declare it as [vars.nothing], or capture it in an earlier step"
        ),
        format!("{file}:8: `expect` of step \"one\" of preset `house/special` is no expression"),
        format!("{file}:3: preset `house/special` has no key `license` {user}; did you mean `licence`?"),
        format!("{file}:12: `use` of step \"trunk\" of preset `house/special` stands in a preset {user}"),
    ] {
        assert!(said.contains(&wanted), "{wanted}\n\n{said}");
    }
    // Said once, whoever takes it.
    let twice = config_of_two();
    home.write("warroom.toml", &twice);
    let said = home.load().unwrap_err();
    assert_eq!(said.matches("has no key `license`").count(), 1, "{said}");
}

fn config_of_two() -> String {
    let one = config("genesys", "", "[{ use = \"house/special\" }]");
    let component = one[one.find("[[components]]").unwrap()..].replace("id = \"c\"", "id = \"d\"");
    format!("{one}\n{component}")
}
