//! The config: TOML text to a validated [`model::Config`].
//!
//! Invariants: every error names file, line, key and the cure, and all of them are found at once; a
//! [`model::Config`] exists only if the whole file was right; a secret is never read here, only where it is to be found.

use std::{path::Path, sync::Arc};

use toml::de::DeTable;

use crate::domain::{PlatformCard, Roster};

mod alike;
mod components;
mod file;
mod finding;
mod journey;
pub(crate) mod lint;
pub mod model;
mod platforms;
pub mod presets;
pub(crate) mod reading;
mod schema;
mod secret;
mod settings;
mod show;
pub mod sip;
pub mod template;
mod unbuilt;
mod values;

pub use file::{FindError, find, named};
pub use finding::{Finding, Loaded, Rejected};
pub use schema::schema;
pub use secret::SecretError;
pub use show::show;
pub(crate) use values::is_confidential;

/// The commented first config that `warroom config init` writes.
#[must_use]
pub const fn first() -> &'static str {
    include_str!("../config/first.toml")
}

/// The complete commented example.
#[must_use]
pub const fn example() -> &'static str {
    include_str!("../config/warroom.toml")
}

/// Reads, checks and validates a config file. A file that others than root or oneself own or may write is refused.
pub fn load(path: &Path) -> Result<Loaded, Rejected> {
    let name = path.display().to_string();
    let text = file::read(path).map_err(|finding| Rejected { findings: vec![*finding] })?;
    let mut loaded = parse_with(&text, &name, &presets::Presets::beside(path))?;
    loaded.config.source = Some(path.to_owned());
    Ok(loaded)
}

/// Validates a config's text; `name` is what findings call the file. Its presets are the built-in ones.
pub fn parse(text: &str, name: &str) -> Result<Loaded, Rejected> {
    parse_with(text, name, &presets::Presets::default())
}

fn parse_with(text: &str, name: &str, presets: &presets::Presets) -> Result<Loaded, Rejected> {
    let reading = reading::Reading::new(name, text);
    let (document, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        for error in &broken {
            let message = crate::expression::clean(error.message(), 200);
            let cure = "see https://toml.io for how it is written";
            reading.error(error.span().unwrap_or(0..0), "", format!("this is no TOML: {message}"), cure);
        }
        return Err(Rejected { findings: reading.finish().0 });
    }
    let root = reading::Section::root(&reading, document.get_ref());
    let settings = settings::read(&root);
    let platforms = platforms::read(&root);
    let components = components::read(&root, &platforms, presets, &settings.paces);
    let production = settings.environment == crate::domain::Environment::Production;
    unbuilt::read(
        &root,
        &unbuilt::Known { components: &components.named, platforms: &platforms, production },
    );
    root.close();
    lint::lint(&reading, &components.read, &platforms, &settings.measurement);
    let complete = components.complete;
    let (errors, warnings, not_built) = reading.finish();
    if !errors.is_empty() || !complete {
        return Err(Rejected { findings: errors });
    }
    let config = assemble(settings, platforms, components);
    Ok(Loaded { config, warnings, not_built })
}

fn assemble(
    settings: settings::Settings,
    platforms: platforms::Platforms,
    components: components::Components,
) -> model::Config {
    let (components, cards) =
        components.read.into_iter().map(|read| (Arc::new(read.component), read.card)).unzip();
    let roster = Roster {
        tenant: settings.tenant.clone(),
        environment: settings.environment,
        demo: false,
        window: settings.measurement.window,
        platforms: platforms
            .read
            .values()
            .map(|platform| PlatformCard { id: platform.id.clone(), kind: platform.kind.word().to_owned() })
            .collect(),
        components: cards,
    };
    model::Config {
        source: None,
        tenant: settings.tenant,
        environment: settings.environment,
        measurement: settings.measurement,
        agent: settings.agent,
        store: settings.store,
        canary: settings.canary,
        clock: settings.clock,
        platforms: platforms.read,
        components,
        roster: Arc::new(roster),
    }
}
