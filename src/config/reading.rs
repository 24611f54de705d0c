//! Walks a TOML document with its places and collects everything that is wrong on the way.
//!
//! Invariants: every key that a reader asks for is a known key, and [`Section::close`] reports all others; asking never
//! ends the walk. The simulated platforms read their scenarios with it too.

use std::{cell::RefCell, collections::BTreeSet, ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::finding::Finding;
use crate::expression::clean;

/// A document on its way to a config.
pub(crate) struct Reading<'t> {
    file: Arc<str>,
    text: &'t str,
    errors: RefCell<Findings>,
    warnings: RefCell<Findings>,
    not_built: RefCell<Findings>,
}

/// Findings, each with the line of this document at which it is told; one in another file has a line of its own there.
type Findings = Vec<(Option<usize>, Finding)>;

/// A value with its place.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

impl<'t> Reading<'t> {
    pub(crate) fn new(file: &str, text: &'t str) -> Self {
        Self {
            file: Arc::from(clean(file, 4096)),
            text,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            not_built: RefCell::default(),
        }
    }

    fn finding(
        &self,
        place: Range<usize>,
        key: &str,
        message: String,
        cure: String,
    ) -> (Option<usize>, Finding) {
        let line = Some(self.line(place.start));
        (line, Finding { file: Arc::clone(&self.file), line, key: key.to_owned(), message, cure })
    }

    fn line(&self, start: usize) -> usize {
        let before = self.text.get(..start).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// The whole document.
    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// Whether no error was found yet.
    pub(crate) fn is_clean(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// Takes over what was found in another file that this document uses at `place`.
    pub(crate) fn adopt(&self, other: Reading<'_>, place: &Range<usize>, user: &str) {
        let (errors, warnings, not_built) = other.finish();
        for (found, all) in [(errors, &self.errors), (warnings, &self.warnings), (not_built, &self.not_built)]
        {
            for finding in found {
                self.used(finding, all, place, user);
            }
        }
    }

    /// The same of one error.
    pub(crate) fn take_over(&self, error: Finding, place: &Range<usize>, user: &str) {
        self.used(error, &self.errors, place, user);
    }

    fn used(&self, mut finding: Finding, all: &RefCell<Findings>, place: &Range<usize>, user: &str) {
        let mut all = all.borrow_mut();
        let line = self.line(place.start);
        let said = |(_, other): &(_, Finding)| {
            other.file == finding.file
                && other.line == finding.line
                && other.message.starts_with(&finding.message)
        };
        // Many may use the file: what is wrong with it is said once, with the first of them.
        if !all.iter().any(said) {
            let by = format!(" (used by {user}, {}:{line})", self.file);
            finding.message.push_str(&by);
            all.push((Some(line), finding));
        }
    }

    /// Something that makes the config unusable.
    pub(crate) fn error(
        &self,
        place: Range<usize>,
        key: &str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let finding = self.finding(place, key, message.into(), cure.into());
        self.errors.borrow_mut().push(finding);
    }

    /// Something that is allowed and doubtful.
    pub(crate) fn warn(
        &self,
        place: Range<usize>,
        key: &str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let finding = self.finding(place, key, message.into(), cure.into());
        self.warnings.borrow_mut().push(finding);
    }

    /// Something that this version does not do.
    pub(crate) fn not_built(&self, place: Range<usize>, key: &str, message: impl Into<String>) {
        let finding = self.finding(place, key, message.into(), String::new());
        self.not_built.borrow_mut().push(finding);
    }

    /// Everything found: errors, warnings, what is not built; each in the order of the file, nothing twice.
    pub(crate) fn finish(self) -> (Vec<Finding>, Vec<Finding>, Vec<Finding>) {
        let sorted = |findings: RefCell<Findings>| {
            let mut findings = findings.into_inner();
            findings.sort_by_key(|(line, _)| *line);
            let mut seen = BTreeSet::new();
            findings.retain(|(line, finding)| {
                seen.insert((*line, finding.line, finding.key.clone(), finding.message.clone()))
            });
            findings.into_iter().map(|(_, finding)| finding).collect()
        };
        (sorted(self.errors), sorted(self.warnings), sorted(self.not_built))
    }
}

/// One table of the document.
pub(crate) struct Section<'r, 't> {
    pub(crate) reading: &'r Reading<'t>,
    table: &'r DeTable<'t>,
    place: Range<usize>,
    /// Its name in findings: `component "archive"`.
    what: String,
    /// Its path in keys: `components.archive`.
    path: String,
    known: RefCell<Vec<&'static str>>,
}

/// A value that was asked for, with what a finding about it needs.
pub(crate) struct Entry<'r, 't> {
    pub(crate) reading: &'r Reading<'t>,
    pub(crate) value: &'r Value<'t>,
    /// Place of the key.
    pub(crate) place: Range<usize>,
    /// The key alone.
    pub(crate) name: &'r str,
    /// The key with its section's path.
    pub(crate) key: String,
    /// The section's name in findings.
    pub(crate) what: String,
}

impl<'r, 't> Section<'r, 't> {
    pub(crate) fn root(reading: &'r Reading<'t>, table: &'r DeTable<'t>) -> Self {
        Self {
            reading,
            table,
            place: 0..0,
            what: "the config".to_owned(),
            path: String::new(),
            known: RefCell::default(),
        }
    }

    /// Gives the section a better name once its id is known.
    pub(crate) fn rename(&mut self, what: impl Into<String>, path: impl Into<String>) {
        self.what = what.into();
        self.path = path.into();
    }

    /// Its name in findings.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Where it begins.
    pub(crate) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Its path in keys, with a key of its own at the end.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of a known key.
    pub(crate) fn get(&self, name: &'static str) -> Option<Entry<'r, 't>> {
        self.known.borrow_mut().push(name);
        let (key, value) = self.table.get_key_value(name)?;
        Some(self.entry(key, value))
    }

    fn entry(&self, key: &'r Spanned<std::borrow::Cow<'t, str>>, value: &'r Value<'t>) -> Entry<'r, 't> {
        Entry {
            reading: self.reading,
            value,
            place: key.span(),
            name: key.get_ref(),
            key: self.key(&clean(key.get_ref(), 60)),
            what: self.what.clone(),
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&self, name: &'static str, cure: &str) -> Option<Entry<'r, 't>> {
        let entry = self.get(name);
        if entry.is_none() {
            let message = format!("{} has no `{name}`", self.what);
            self.reading.error(self.place(), &self.key(name), message, cure);
        }
        entry
    }

    /// Every entry of a table whose keys are names of the user's own, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<Entry<'r, 't>> {
        let mut entries: Vec<_> = self.table.iter().map(|(key, value)| self.entry(key, value)).collect();
        entries.sort_by_key(|entry| entry.place.start);
        entries
    }

    /// An error about the section as a whole.
    pub(crate) fn error(&self, name: &str, message: impl Into<String>, cure: impl Into<String>) {
        self.reading.error(self.place(), &self.key(name), message, cure);
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn close(self) {
        let known = self.known.borrow();
        for entry in self.entries() {
            if known.contains(&entry.name) {
                continue;
            }
            let name = clean(entry.name, 60);
            let cure = nearest(entry.name, &known).map_or_else(
                || {
                    let mut all: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                    all.sort();
                    all.dedup();
                    format!("known are {}", all.join(", "))
                },
                |near| format!("did you mean `{near}`?"),
            );
            self.reading.error(
                entry.place.clone(),
                &entry.key,
                format!("{} has no key `{name}`", self.what),
                cure,
            );
        }
    }
}

impl<'r, 't> Entry<'r, 't> {
    /// The value as it is written, for messages: short, cleaned.
    pub(crate) fn written(&self) -> String {
        written(self.value.get_ref())
    }

    /// An error that begins with the key and its value: `` `cadence` of tier 1 is "30s" ``.
    pub(crate) fn wrong(&self, cure: impl Into<String>) {
        let message = format!("`{}` of {} is {}", clean(self.name, 60), self.what, self.written());
        self.error(message, cure);
    }

    /// The same without the value, which may be secret.
    pub(crate) fn wrong_secret(&self, message: &str, cure: impl Into<String>) {
        self.error(format!("`{}` of {} {message}", clean(self.name, 60), self.what), cure);
    }

    pub(crate) fn error(&self, message: impl Into<String>, cure: impl Into<String>) {
        self.reading.error(self.place.clone(), &self.key, message, cure);
    }

    pub(crate) fn text(&self) -> Option<&'r str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong("it must be a text in quotes");
        }
        text
    }

    /// A text that is not empty and holds no control characters.
    pub(crate) fn line(&self) -> Option<&'r str> {
        let text = self.text()?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            self.wrong("it must be one line that is not empty");
            return None;
        }
        Some(text)
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong("it must be true or false");
        }
        flag
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = self
            .value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            self.wrong(format!("it must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// The elements of a list, each as an entry of its own.
    pub(crate) fn list(&self) -> Option<Vec<Entry<'r, 't>>> {
        let Some(list) = self.value.get_ref().as_array() else {
            self.wrong("it must be a list in brackets");
            return None;
        };
        let element = |value: &'r Value<'t>| Entry {
            reading: self.reading,
            value,
            place: value.span(),
            name: self.name,
            key: self.key.clone(),
            what: self.what.clone(),
        };
        Some(list.iter().map(element).collect())
    }

    /// A list of texts; what is no text is reported and left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let list = self.list().unwrap_or_default();
        list.iter().filter_map(|element| element.line().map(str::to_owned)).collect()
    }

    /// A text or a list of texts.
    pub(crate) fn one_or_more(&self) -> Vec<Entry<'r, 't>> {
        if self.value.get_ref().is_str() {
            return vec![Entry {
                what: self.what.clone(),
                key: self.key.clone(),
                place: self.place.clone(),
                ..*self
            }];
        }
        self.list().unwrap_or_default()
    }

    /// The value as a table.
    pub(crate) fn section(&self, what: impl Into<String>) -> Option<Section<'r, 't>> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong("it must be a table");
            return None;
        };
        Some(Section {
            reading: self.reading,
            table,
            place: self.place.clone(),
            what: what.into(),
            path: self.key.clone(),
            known: RefCell::default(),
        })
    }

    /// The value as a list of tables.
    pub(crate) fn sections(&self, what: impl Fn(usize) -> String) -> Vec<Section<'r, 't>> {
        let Some(list) = self.value.get_ref().as_array() else {
            self.wrong("it must be a list of tables");
            return Vec::new();
        };
        let elements = self.list().unwrap_or_default();
        let mut sections = Vec::with_capacity(list.iter().count());
        for (number, element) in elements.into_iter().enumerate() {
            if let Some(section) = element.section(what(number + 1)) {
                sections.push(section);
            }
        }
        sections
    }
}

fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", clean(text, 60)),
        DeValue::Integer(number) => clean(&number.to_string(), 60),
        DeValue::Float(number) => clean(&number.to_string(), 60),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(at) => at.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The known word that was probably meant.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
