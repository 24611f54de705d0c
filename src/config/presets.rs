//! Presets: named steps in the TOML of a journey, taken with `use = "genesys/trunk"`.
//!
//! They stand in `config/presets/` and are built in; a file `presets/PLATFORM/NAME.toml` beside the config file comes
//! before the one of that name, or adds one.
//!
//! Invariant: a preset is only other text for the same reader; what it expands to is what `warroom config show` prints.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use super::{file, finding::Finding, values::is_id};

pub(super) mod expand;

/// What the login of a platform must be allowed so that a step can be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Permissions, any one of which suffices; none is needed where there are none.
    pub permissions_any_of: Vec<String>,
    /// OAuth scopes; they bind only tokens that carry scopes.
    pub scopes: Vec<String>,
}

impl Requirement {
    /// Whether nothing is needed beyond a valid login.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.permissions_any_of.is_empty() && self.scopes.is_empty()
    }
}

/// Makes the table of built-in presets from their names.
macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../config/presets/", $name, ".toml")))),*]
    };
}

/// The presets that every build holds: name and text.
pub const BUILT_IN: &[(&str, &str)] = built_in![
    "cxone/bcp-state",
    "cxone/contact-states",
    "cxone/points-of-contact",
    "cxone/script",
    "cxone/server-time",
    "cxone/skill-activity",
    "genesys/call-capacity",
    "genesys/data-action",
    "genesys/datatable-row",
    "genesys/date",
    "genesys/edge",
    "genesys/emergency-group",
    "genesys/flow",
    "genesys/flow-execution",
    "genesys/integration",
    "genesys/number-routing",
    "genesys/queue-observation",
    "genesys/trunk",
    "genesys/trunk-in-listing",
];

/// Where presets are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Presets {
    /// The user's own; `None` where the config is no file.
    folder: Option<PathBuf>,
}

/// A preset's text and what findings call it.
pub(super) struct Source {
    file: String,
    text: Cow<'static, str>,
}

/// The longest list of folders and files that is read for a suggestion.
const LISTED: usize = 1000;

impl Presets {
    /// The built-in ones, and those in the folder `presets` beside the config file.
    pub(super) fn beside(config: &Path) -> Self {
        Self { folder: Some(config.parent().unwrap_or(Path::new("")).join("presets")) }
    }

    /// The preset of that name, if there is one. A file of the user's own is held to the rules for a config file.
    fn find(&self, name: &str) -> Result<Option<Source>, Box<Finding>> {
        if let Some(folder) = &self.folder {
            let path = folder.join(format!("{name}.toml"));
            // One that is there and cannot be read is found: passing over it would measure something else.
            if fs::symlink_metadata(&path).is_ok() {
                let text = file::read(&path)?;
                return Ok(Some(Source { file: path.display().to_string(), text: Cow::Owned(text) }));
            }
        }
        let built_in = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
        Ok(built_in.map(|(name, text)| Source {
            file: format!("built-in preset {name}"),
            text: Cow::Borrowed(text),
        }))
    }

    /// Every name that `use` takes, in order.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().take(LISTED);
        for platform in self.folder.iter().flat_map(|folder| entries(folder)) {
            for preset in entries(&platform.path()) {
                let (platform, preset) = (platform.file_name(), preset.file_name());
                if let (Some(platform), Some(preset)) = (platform.to_str(), preset.to_str())
                    && let Some(preset) = preset.strip_suffix(".toml")
                {
                    names.push(format!("{platform}/{preset}"));
                }
            }
        }
        names.retain(|name| is_name(name));
        names.sort();
        names.dedup();
        names
    }
}

/// Whether a text is `PLATFORM/NAME`, each an id: it cannot lead out of the folder.
fn is_name(text: &str) -> bool {
    text.split_once('/').is_some_and(|(platform, preset)| is_id(platform) && is_id(preset))
}
