//! What can be typed: one table, from which help, completion of a word and every answer to a wrong one come.

use crate::domain::{ComponentId, Picture};

/// What a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Help,
    Status,
    Show,
    Events,
    Ack,
    Probe,
    Who,
    Reload,
    Diagnose,
    Quit,
}

impl Verb {
    /// Whether it asks something of the engine, which those who only watch may not.
    const fn acts(self) -> bool {
        matches!(self, Self::Ack | Self::Probe | Self::Reload | Self::Diagnose)
    }
}

/// What must follow a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Component,
    /// A number may follow.
    Number,
}

impl Takes {
    const fn written(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Component => " COMPONENT",
            Self::Number => " [NUMBER]",
        }
    }
}

/// A word that can be typed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) word: &'static str,
    pub(super) verb: Verb,
    pub(super) takes: Takes,
    pub(super) help: &'static str,
}

const fn entry(word: &'static str, verb: Verb, takes: Takes, help: &'static str) -> Entry {
    Entry { word, verb, takes, help }
}

/// Every word, in the order of the help.
pub(super) static TABLE: [Entry; 10] = [
    entry("help", Verb::Help, Takes::Nothing, "says what can be typed"),
    entry("status", Verb::Status, Takes::Nothing, "says how everything stands now"),
    entry(
        "show",
        Verb::Show,
        Takes::Component,
        "says all that is known of one component: steps, reason, recoveries",
    ),
    entry("events", Verb::Events, Takes::Number, "says the last events again, ten unless told"),
    entry("ack", Verb::Ack, Takes::Component, "tells everybody that you look after its open outage"),
    entry("probe", Verb::Probe, Takes::Component, "probes it now, and says what came of it"),
    entry("who", Verb::Who, Takes::Nothing, "says who is here"),
    entry("reload", Verb::Reload, Takes::Nothing, "reads the config again"),
    entry("diagnose", Verb::Diagnose, Takes::Nothing, "examines the whole chain, and says what to do"),
    entry("quit", Verb::Quit, Takes::Nothing, "ends this console"),
];

/// The lines of the help; what somebody who only watches may not do, says so.
pub(super) fn help(only_watches: bool) -> impl Iterator<Item = String> {
    TABLE.iter().map(move |entry| {
        let not = if only_watches && entry.verb.acts() { " (not for you, who only watch)" } else { "" };
        format!("{}{}: {}{not}.", entry.word, entry.takes.written(), entry.help)
    })
}

/// What a typed line asks for, and what follows the word; `None` for an empty line. The error says what would be right.
pub(super) fn parse(line: &str) -> Result<Option<(Verb, &str)>, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if word.is_empty() {
        return Ok(None);
    }
    let lower = word.to_lowercase();
    let exact = TABLE.iter().find(|entry| entry.word == lower);
    let matching: Vec<&Entry> = TABLE.iter().filter(|entry| entry.word.starts_with(&lower)).collect();
    let entry = match (exact, matching.as_slice()) {
        (Some(entry), _) => entry,
        (None, [entry]) => *entry,
        (None, []) => {
            let known: Vec<&str> = TABLE.iter().map(|entry| entry.word).collect();
            return Err(format!("`{word}` is not known; what can be typed: {}", known.join(", ")));
        }
        (None, several) => {
            let words: Vec<&str> = several.iter().map(|entry| entry.word).collect();
            return Err(format!("`{word}` could be {}", words.join(" or ")));
        }
    };
    let rest = rest.trim();
    match entry.takes {
        Takes::Nothing if !rest.is_empty() => Err(format!("`{}` takes nothing after it", entry.word)),
        Takes::Component if rest.is_empty() => Err(format!(
            "`{}` needs a component after it: its id, its name, or how one of them begins",
            entry.word
        )),
        _ => Ok(Some((entry.verb, rest))),
    }
}

/// How many events are wanted.
pub(super) fn number(text: &str) -> Result<usize, String> {
    match text {
        "" => Ok(10),
        text => text
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("`events` takes a number after it, not `{text}`")),
    }
}

/// The most names that are listed.
const LISTED: usize = 10;

/// The place of the component that is meant: by its id, its name, or the beginning of either. The error names those that it
/// could be.
pub(super) fn component(picture: &Picture, text: &str) -> Result<usize, String> {
    let cards = &picture.roster.components;
    if let Some(place) = picture.position(&ComponentId::new(text)) {
        return Ok(place);
    }
    let lower = text.to_lowercase();
    let named = |whole: &dyn Fn(&str) -> bool| -> Vec<usize> {
        cards
            .iter()
            .enumerate()
            .filter(|(_, card)| whole(&card.id.as_str().to_lowercase()) || whole(&card.name.to_lowercase()))
            .map(|(place, _)| place)
            .collect()
    };
    let listed = |places: &[usize]| {
        let names: Vec<String> = places
            .iter()
            .take(LISTED)
            .map(|place| format!("{} ({})", cards[*place].name, cards[*place].id))
            .collect();
        let more = places.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(", "))
    };
    for found in [named(&|name| name == lower), named(&|name| name.starts_with(&lower))] {
        match found.as_slice() {
            [] => {}
            [place] => return Ok(*place),
            several => return Err(format!("`{text}` could be {}", listed(several))),
        }
    }
    let all: Vec<usize> = (0..cards.len()).collect();
    Err(format!("no component is called `{text}`; there are {}", listed(&all)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn a_word_may_be_cut_short_while_it_is_one() {
        assert_eq!(parse("  "), Ok(None));
        assert_eq!(parse("QUIT"), Ok(Some((Verb::Quit, ""))));
        assert_eq!(parse("sh  IVR main flow "), Ok(Some((Verb::Show, "IVR main flow"))));
        assert_eq!(parse("s"), Err("`s` could be status or show".to_owned()));
        assert_eq!(parse("who now"), Err("`who` takes nothing after it".to_owned()));
        assert!(parse("ack").is_err_and(|why| why.contains("needs a component")));
    }

    #[test]
    fn an_unknown_word_is_answered_with_those_that_are_known() {
        let why = parse("restart").unwrap_err();
        assert!(TABLE.iter().all(|entry| why.contains(entry.word)), "{why}");
    }

    #[test]
    fn every_word_is_found_by_itself_and_told_in_the_help() {
        let help: Vec<String> = help(false).collect();
        for (entry, line) in TABLE.iter().zip(&help) {
            let typed = if entry.takes == Takes::Component {
                format!("{} x", entry.word)
            } else {
                entry.word.to_owned()
            };
            assert_eq!(parse(&typed).unwrap().unwrap().0, entry.verb);
            assert!(line.starts_with(entry.word) && line.contains(entry.help), "{line}");
        }
    }

    #[test]
    fn a_number_is_a_number() {
        assert_eq!(number(""), Ok(10));
        assert_eq!(number("3"), Ok(3));
        assert!(number("0").is_err() && number("all").is_err());
    }
}
