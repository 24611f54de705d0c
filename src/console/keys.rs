//! Which key does what, where: the table's defaults and what `keys.toml` in the user's folder makes of them.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
};

use crokey::{KeyCombination, KeyCombinationFormat};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use toml::Spanned;

use super::{
    ConsoleError,
    action::{Action, Entry, Place, TABLE},
    error::line_of,
};

/// The name of the file in the user's folder.
pub const FILE: &str = "keys.toml";

/// Which key does what.
#[derive(Clone, Debug)]
pub struct KeyMap {
    by_key: HashMap<(Place, KeyCombination), Action>,
    by_action: HashMap<Action, Vec<KeyCombination>>,
}

/// An action's keys, and the line of `keys.toml` that they come from.
struct Binding {
    entry: &'static Entry,
    keys: Vec<KeyCombination>,
    line: Option<usize>,
}

impl KeyMap {
    /// The defaults, with what `keys.toml` of the user's folder says instead; a missing file says nothing.
    pub fn load(user_folder: Option<&Path>) -> Result<Self, ConsoleError> {
        let Some(path) = user_folder.map(|folder| folder.join(FILE)) else {
            return Self::parse("", Path::new(FILE));
        };
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::parse("", &path),
            Err(source) => Err(ConsoleError::Unreadable { path, source }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConsoleError> {
        let wrong = |line, what| ConsoleError::Keys { path: path.to_owned(), line, what };
        let file: BTreeMap<String, Spanned<Vec<Spanned<String>>>> = toml::from_str(text)
            .map_err(|error| wrong(line_of(text, error.span()), error.message().to_owned()))?;
        let mut bindings = Vec::with_capacity(TABLE.len());
        for entry in TABLE {
            let mut keys = Vec::with_capacity(entry.keys.len());
            for key in entry.keys {
                keys.push(read_key(key).map_err(|what| wrong(1, what))?);
            }
            bindings.push(Binding { entry, keys, line: None });
        }
        for (name, value) in &file {
            let line = line_of(text, Some(value.span()));
            let Some(binding) = bindings.iter_mut().find(|binding| binding.entry.name == name) else {
                let known = TABLE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
                return Err(wrong(line, format!("there is no action `{name}`; it is one of {known}")));
            };
            let mut keys = Vec::new();
            for key in value.get_ref() {
                let line = line_of(text, Some(key.span()));
                keys.push(read_key(key.get_ref()).map_err(|what| wrong(line, what))?);
            }
            (binding.keys, binding.line) = (keys, Some(line));
        }
        if let Some(quit) =
            bindings.iter().find(|binding| binding.entry.action == Action::Quit && binding.keys.is_empty())
        {
            return Err(wrong(quit.line.unwrap_or(1), "`quit` needs at least one key".to_owned()));
        }
        Self::build(&bindings).map_err(|(line, what)| wrong(line, what))
    }

    fn build(bindings: &[Binding]) -> Result<Self, (usize, String)> {
        let mut taken: HashMap<(Place, KeyCombination), &Binding> = HashMap::new();
        let mut by_action = HashMap::new();
        for binding in bindings {
            for key in &binding.keys {
                for place in binding.entry.places {
                    let Some(other) = taken.insert((*place, *key), binding) else { continue };
                    return Err((
                        binding.line.or(other.line).unwrap_or(1),
                        format!(
                            "{} means both `{}` and `{}` in the {}; give one of them another key",
                            show(*key),
                            other.entry.name,
                            binding.entry.name,
                            place.title()
                        ),
                    ));
                }
            }
            by_action.insert(binding.entry.action, binding.keys.clone());
        }
        let by_key = taken.into_iter().map(|(key, binding)| (key, binding.entry.action)).collect();
        Ok(Self { by_key, by_action })
    }

    /// What a key means in a place.
    #[must_use]
    pub fn action(&self, place: Place, key: KeyEvent) -> Option<Action> {
        self.by_key.get(&(place, combination(key))).copied()
    }

    /// Whether a key can end the console somewhere: Ctrl-C, one of `quit`, or Enter, which takes `quit` in the palette.
    #[must_use]
    pub fn may_end(&self, key: KeyEvent) -> bool {
        let key = combination(key);
        let quit = self.by_action.get(&Action::Quit).is_some_and(|keys| keys.contains(&key));
        quit || key == reserved() || key == KeyCombination::one_key(KeyCode::Enter, KeyModifiers::NONE)
    }

    /// The first key of an action, as it is shown.
    #[must_use]
    pub fn first(&self, action: Action) -> Option<String> {
        self.by_action.get(&action)?.first().map(|key| show(*key))
    }

    /// All keys of an action, as they are shown.
    #[must_use]
    pub fn all(&self, action: Action) -> String {
        let keys = self.by_action.get(&action).map_or(&[][..], Vec::as_slice);
        keys.iter().map(|key| show(*key)).collect::<Vec<_>>().join(" ")
    }

    /// All keys of an action, or what is typed in the palette where it has none.
    #[must_use]
    pub fn ways(&self, action: Action) -> String {
        let keys = self.all(action);
        if !keys.is_empty() {
            return keys;
        }
        let opens = self.first(Action::Palette).unwrap_or_default();
        super::action::entry(action).map_or(keys, |entry| format!("{opens}{}", entry.name))
    }
}

fn read_key(text: &str) -> Result<KeyCombination, String> {
    // crokey knows no word for a capital letter alone.
    let mut characters = text.chars();
    let spelled = match (characters.next(), characters.next()) {
        (Some(capital), None) if capital.is_ascii_uppercase() => format!("shift-{capital}"),
        _ => text.to_owned(),
    };
    let key = crokey::parse(&spelled).map_err(|_| {
        format!("`{text}` is no key; it is written as `q`, `ctrl-q`, `shift-g`, `enter` or `f5`")
    })?;
    if key.normalized() == reserved() {
        return Err("ctrl-c always leaves; it cannot be given away".to_owned());
    }
    if !key.is_ansi_compatible() {
        return Err(format!("`{text}` is several keys at once, which most terminals cannot tell"));
    }
    Ok(normal(key))
}

/// Ctrl-C.
fn reserved() -> KeyCombination {
    KeyCombination::one_key(KeyCode::Char('c'), KeyModifiers::CONTROL)
}

fn combination(key: KeyEvent) -> KeyCombination {
    normal(KeyCombination::one_key(key.code, key.modifiers))
}

/// One form for what terminals report differently: `?` with or without shift is `?`.
fn normal(key: KeyCombination) -> KeyCombination {
    let mut key = key.normalized();
    if let crokey::OneToThree::One(KeyCode::Char(character)) = key.codes
        && !character.is_alphabetic()
    {
        key.modifiers.remove(KeyModifiers::SHIFT);
    }
    key
}

/// A key as a person types it; crokey's one word for a character that can be seen is `Hyphen`.
fn show(key: KeyCombination) -> String {
    KeyCombinationFormat::default().with_implicit_shift().to_string(key).replace("Hyphen", "-")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn error(text: &str) -> String {
        KeyMap::parse(text, Path::new(FILE)).unwrap_err().to_string()
    }

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Option<Action> {
        KeyMap::parse("", Path::new(FILE)).unwrap().action(Place::WarRoom, KeyEvent::new(code, modifiers))
    }

    #[test]
    fn the_defaults_have_no_conflict() {
        let keys = KeyMap::load(None).unwrap();
        for entry in TABLE {
            assert_eq!(keys.first(entry.action).is_some(), !entry.keys.is_empty(), "{}", entry.name);
        }
    }

    #[test]
    fn keys_mean_the_same_however_the_terminal_reports_shift() {
        assert_eq!(press(KeyCode::Char('?'), KeyModifiers::NONE), Some(Action::Help));
        assert_eq!(press(KeyCode::Char('?'), KeyModifiers::SHIFT), Some(Action::Help));
        assert_eq!(press(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Action::Bottom));
        assert_eq!(press(KeyCode::Char('G'), KeyModifiers::NONE), Some(Action::Bottom));
        assert_eq!(press(KeyCode::Char('g'), KeyModifiers::NONE), Some(Action::Top));
        assert_eq!(press(KeyCode::Char(' '), KeyModifiers::NONE), Some(Action::Freeze));
        assert_eq!(press(KeyCode::Tab, KeyModifiers::NONE), Some(Action::NextView));
    }

    #[test]
    fn a_user_may_give_an_action_other_keys() {
        let keys = KeyMap::parse("quit = [\"Q\", \"ctrl-q\"]\n", Path::new(FILE)).unwrap();
        let press = |code, modifiers| keys.action(Place::WarRoom, KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::Char('Q'), KeyModifiers::SHIFT), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::CONTROL), Some(Action::Quit));
        assert_eq!(keys.all(Action::Quit), "Q Ctrl-q");
        let may_end = |code, modifiers| keys.may_end(KeyEvent::new(code, modifiers));
        assert!(
            may_end(KeyCode::Char('Q'), KeyModifiers::SHIFT) && may_end(KeyCode::Enter, KeyModifiers::NONE)
        );
        assert!(may_end(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!may_end(KeyCode::Char('q'), KeyModifiers::NONE));
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        let unknown = error("\nexit = [\"e\"]\n");
        assert!(unknown.starts_with("keys.toml:2: there is no action `exit`"), "{unknown}");
        let unparsable = error("quit = [\n  \"hyper-q\",\n]\n");
        assert!(unparsable.starts_with("keys.toml:2: `hyper-q` is no key"), "{unparsable}");
        let conflict = error("# mine\nquit = [\"z\"]\n");
        assert!(conflict.starts_with("keys.toml:2:") && conflict.contains("`quit` and `zoom`"), "{conflict}");
        assert!(error("quit = \"q\"\n").starts_with("keys.toml:1:"));
        assert!(error("quit = []\n").contains("at least one key"));
        assert!(error("quit = [\"ctrl-c\"]\n").contains("ctrl-c"));
    }
}
