//! Themes: what each role of the screen looks like, read from TOML.
//!
//! Invariants: no other file names a colour; a theme never lacks a role, because what a file leaves out comes from the
//! default theme; a state always carries glyph and word besides its style.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use super::{
    ConsoleError,
    error::line_of,
    status::Status,
    symbols::{self, Symbols},
};

/// The themes that are built in, by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("default", include_str!("../../themes/default.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// The theme of a terminal without colours.
pub const MONO: &str = "mono";
/// The theme of every other terminal.
pub const DEFAULT: &str = "default";

/// What a piece of the screen is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything that has no other role: the screen's own foreground and background.
    Text,
    /// Less important text.
    Muted,
    /// Titles.
    Title,
    /// Rules between panels.
    Rule,
    /// A mode that is not plain alerting.
    Badge,
    /// A mode in which numbers cannot be trusted.
    Alarm,
    /// The row on which the cursor stands.
    Selected,
    /// `up`.
    Up,
    /// `degraded` and `recovering`.
    Degraded,
    /// `down`.
    Down,
    /// `blind`.
    Blind,
    /// `unobserved` and `unsupported`.
    Unobserved,
    /// A compliance or a used RTO that is well.
    Good,
    /// One that is near its limit.
    Fair,
    /// One beyond its limit.
    Bad,
    /// Sparklines.
    Spark,
    /// The name of a key.
    Key,
    /// A notice about warroom itself.
    Notice,
}

const ROLES: usize = Role::Notice as usize + 1;

/// A state as it is shown: never by colour alone.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// One cell.
    pub glyph: &'static str,
    /// The word of the design.
    pub word: &'static str,
    /// How both are drawn.
    pub style: Style,
}

/// One look of the whole screen.
#[derive(Clone, Debug)]
pub struct Theme {
    /// By which it is chosen.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    styles: [Style; ROLES],
    /// The glyphs.
    pub symbols: &'static Symbols,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default)]
    styles: BTreeMap<Role, StyleEntry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StyleEntry {
    fg: Option<Shade>,
    bg: Option<Shade>,
    #[serde(default)]
    add: Vec<Attribute>,
}

/// An ANSI name, a number of the 256-colour palette, or `#rrggbb`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Shade(Color);

impl TryFrom<String> for Shade {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "`{text}` is no colour; it is a name as `red` or `bright-blue`, a number from 0 to 255, or `#rrggbb`"
            )
        })
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Attribute {
    Bold,
    Dim,
    Italic,
    Underline,
    Reverse,
}

impl Attribute {
    const fn modifier(self) -> Modifier {
        match self {
            Self::Bold => Modifier::BOLD,
            Self::Dim => Modifier::DIM,
            Self::Italic => Modifier::ITALIC,
            Self::Underline => Modifier::UNDERLINED,
            Self::Reverse => Modifier::REVERSED,
        }
    }
}

impl Theme {
    /// How a role is drawn.
    #[must_use]
    pub const fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// Glyph, word and style of a state.
    #[must_use]
    pub const fn status(&self, status: Status) -> Look {
        let (glyph, role) = match status {
            Status::Up => (self.symbols.up, Role::Up),
            Status::Degraded | Status::Recovering => (self.symbols.degraded, Role::Degraded),
            Status::Down => (self.symbols.down, Role::Down),
            Status::Blind => (self.symbols.blind, Role::Blind),
            Status::Unobserved | Status::Unsupported => (self.symbols.not_run, Role::Unobserved),
        };
        Look { glyph, word: status.word(), style: self.style(role) }
    }

    /// How a figure of compliance is drawn.
    #[must_use]
    pub fn compliance(&self, percent: f64) -> Style {
        // The limits at which alerts warn and become critical, unless the config says otherwise.
        self.style(if percent >= 90.0 {
            Role::Good
        } else if percent >= 75.0 {
            Role::Fair
        } else {
            Role::Bad
        })
    }

    /// How a used share of the RTO is drawn.
    #[must_use]
    pub fn used(&self, percent: f64) -> Style {
        self.style(if percent > 100.0 {
            Role::Bad
        } else if percent > 75.0 {
            Role::Fair
        } else {
            Role::Good
        })
    }

    fn parse(name: &str, text: &str, path: &Path, base: Option<&Self>) -> Result<Self, ConsoleError> {
        let file: File = toml::from_str(text).map_err(|error| ConsoleError::Theme {
            path: path.to_owned(),
            line: line_of(text, error.span()),
            what: error.message().to_owned(),
        })?;
        let mut styles = base.map_or([Style::new(); ROLES], |base| base.styles);
        for (role, entry) in file.styles {
            let mut style = Style::new();
            style.fg = entry.fg.map(|shade| shade.0);
            style.bg = entry.bg.map(|shade| shade.0);
            for attribute in entry.add {
                style = style.add_modifier(attribute.modifier());
            }
            styles[role as usize] = style;
        }
        Ok(Self { name: name.to_owned(), title: file.title, styles, symbols: &symbols::UNICODE })
    }
}

/// The themes that can be chosen.
#[derive(Clone, Debug)]
pub struct Themes {
    all: Vec<Theme>,
}

impl Themes {
    /// The built-in themes, and those of `themes/*.toml` in the user's folder, which override built-in ones of the same
    /// name.
    pub fn load(user_folder: Option<&Path>, ascii: bool) -> Result<Self, ConsoleError> {
        let mut all: Vec<Theme> = Vec::with_capacity(BUILT_IN.len());
        for (name, text) in BUILT_IN {
            let theme = Theme::parse(name, text, Path::new(name), all.first())?;
            all.push(theme);
        }
        for path in user_folder.map_or_else(|| Ok(Vec::new()), |folder| user_files(&folder.join("themes")))? {
            let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            let text = fs::read_to_string(&path)
                .map_err(|source| ConsoleError::Unreadable { path: path.clone(), source })?;
            let base = all.iter().find(|theme| theme.name == name).or(all.first());
            let theme = Theme::parse(&name, &text, &path, base)?;
            match all.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = theme,
                None => all.push(theme),
            }
        }
        if ascii {
            for theme in &mut all {
                theme.symbols = &symbols::ASCII;
            }
        }
        Ok(Self { all })
    }

    /// The place of a theme by its name.
    pub fn find(&self, name: &str) -> Result<usize, ConsoleError> {
        self.all.iter().position(|theme| theme.name == name).ok_or_else(|| ConsoleError::UnknownTheme {
            name: name.to_owned(),
            known: self.all.iter().map(|theme| theme.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// All of them, the default first.
    #[must_use]
    pub fn all(&self) -> &[Theme] {
        &self.all
    }
}

/// The theme files of a folder in the order of their names; a folder that is not there holds none.
fn user_files(folder: &Path) -> Result<Vec<PathBuf>, ConsoleError> {
    let unreadable = |source| ConsoleError::Unreadable { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn every_built_in_theme_parses() {
        let themes = Themes::load(None, false).unwrap();
        assert_eq!(themes.all().len(), BUILT_IN.len());
        assert_eq!(themes.all()[themes.find(MONO).unwrap()].name, "mono");
    }

    #[test]
    fn the_mono_theme_has_no_colour_and_still_tells_states_apart() {
        let themes = Themes::load(None, true).unwrap();
        let mono = &themes.all()[themes.find(MONO).unwrap()];
        assert!(mono.styles.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
        let mut looks: Vec<_> =
            Status::ALL.into_iter().map(|status| (mono.status(status).glyph, status.word())).collect();
        looks.sort_unstable();
        looks.dedup();
        assert_eq!(looks.len(), Status::ALL.len());
    }

    #[test]
    fn the_default_theme_leaves_the_terminals_own_background() {
        let themes = Themes::load(None, false).unwrap();
        let theme = &themes.all()[themes.find(DEFAULT).unwrap()];
        assert_eq!(theme.style(Role::Text), Style::new());
    }

    #[test]
    fn a_users_theme_overrides_and_a_wrong_one_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("themes")).unwrap();
        let file = folder.path().join("themes/dark.toml");
        std::fs::write(&file, "title = \"mine\"\n[styles]\nup = { fg = \"bright-blue\" }\n").unwrap();
        let themes = Themes::load(Some(folder.path()), false).unwrap();
        let dark = &themes.all()[themes.find("dark").unwrap()];
        assert_eq!((dark.title.as_str(), dark.style(Role::Up).fg), ("mine", Some(Color::LightBlue)));

        std::fs::write(&file, "title = \"mine\"\n[styles]\nup = { fg = \"bluish\" }\n").unwrap();
        let error = Themes::load(Some(folder.path()), false).unwrap_err().to_string();
        assert!(error.contains("dark.toml:3") && error.contains("bluish"), "{error}");
    }

    #[test]
    fn an_unknown_theme_names_the_known_ones() {
        let error = Themes::load(None, false).unwrap().find("neon").unwrap_err().to_string();
        assert!(error.contains("neon") && error.contains("high-contrast"), "{error}");
    }
}
