//! A scenario's TOML, read with the place of everything that is wrong with it.

use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Change, Finding, Scenario, ScenarioError, State, Target};
use crate::sim::service::Service;

/// The longest extra latency; the server gives up an answer not much later.
const LONGEST_LATENCY: Duration = Duration::from_mins(1);
/// The longest time in a scenario.
const LONGEST: Duration = Duration::from_hours(30 * 24);
const TOP_KEYS: &[&str] = &["cycle", "demand_login", "changes"];
const CHANGE_KEYS: &[&str] = &["at", "target", "state", "status", "retry_after", "latency", "served_by"];
const STATES: &[&str] = &["up", "down", "failing", "refused", "throttled", "slow"];

/// Reads a text as a scenario.
pub(super) fn scenario(text: &str, file: &str) -> Result<Scenario, ScenarioError> {
    let mut reader = Reader { text, file, findings: Vec::new() };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            reader.report(error.span().unwrap_or(0..0), format!("this is not TOML: {}", error.message()));
            return Err(ScenarioError { findings: reader.findings });
        }
    };
    let scenario = reader.scenario(table.get_ref());
    if reader.findings.is_empty() {
        Ok(scenario)
    } else {
        reader.findings.sort_by_key(|finding| finding.line);
        Err(ScenarioError { findings: reader.findings })
    }
}

type Value<'t> = Spanned<DeValue<'t>>;

struct Reader<'t> {
    text: &'t str,
    file: &'t str,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn report(&mut self, place: Range<usize>, message: String) {
        let start = place.start.min(self.text.len());
        let line = self.text.as_bytes().iter().take(start).filter(|&&byte| byte == b'\n').count() + 1;
        self.findings.push(Finding { file: self.file.to_owned(), line, message });
    }

    fn scenario(&mut self, table: &DeTable<'_>) -> Scenario {
        self.refuse_unknown(table, TOP_KEYS, "a scenario");
        let cycle = table.get("cycle").and_then(|value| self.duration("cycle", value));
        if let (Some(cycle), Some(value)) = (cycle, table.get("cycle"))
            && cycle < Duration::from_secs(1)
        {
            self.report(
                value.span(),
                "`cycle` is shorter than a second; write \"3m\", or leave it out".to_owned(),
            );
        }
        let demand_login = table.get("demand_login").is_some_and(|value| self.boolean("demand_login", value));
        let mut changes = table.get("changes").map(|value| self.changes(value, cycle)).unwrap_or_default();
        changes.sort_by_key(|change| change.at);
        Scenario { cycle, demand_login, changes }
    }

    fn changes(&mut self, value: &Value<'_>, cycle: Option<Duration>) -> Vec<Change> {
        let Some(list) = value.get_ref().as_array() else {
            self.report(value.span(), "`changes` must be a list of tables: write `[[changes]]`".to_owned());
            return Vec::new();
        };
        let mut changes = Vec::new();
        for item in list {
            match item.get_ref().as_table() {
                Some(table) => changes.extend(self.change(table, &item.span(), cycle)),
                None => self.report(item.span(), "a change must be a table: write `[[changes]]`".to_owned()),
            }
        }
        changes
    }

    fn change(
        &mut self,
        table: &DeTable<'_>,
        place: &Range<usize>,
        cycle: Option<Duration>,
    ) -> Option<Change> {
        self.refuse_unknown(table, CHANGE_KEYS, "a change");
        let at = self.required(table, "at", place).and_then(|value| {
            let at = self.duration("at", value)?;
            if cycle.is_some_and(|cycle| at >= cycle) {
                self.report(
                    value.span(),
                    "`at` lies after the end of `cycle`; it must be earlier".to_owned(),
                );
            }
            Some(at)
        });
        let target = self.required(table, "target", place).and_then(|value| self.target(value));
        let state = self.state(table);
        let served_by = table.get("served_by").and_then(|value| self.served_by(value));
        if !table.contains_key("state") && !table.contains_key("served_by") {
            self.report(place.clone(), "a change needs `state` or `served_by`; it has neither".to_owned());
        }
        Some(Change { at: at?, target: target?, state, served_by })
    }

    fn state(&mut self, table: &DeTable<'_>) -> Option<State> {
        let word = match table.get("state") {
            Some(value) => {
                let word = self.text("state", value)?;
                if !STATES.contains(&word.as_str()) {
                    let message = format!("`state` is \"{word}\"; it must be one of {}", STATES.join(", "));
                    self.report(value.span(), message);
                    return None;
                }
                Some(word)
            }
            None => None,
        };
        let word = word.as_deref().unwrap_or("none");
        for (key, states) in
            [("status", &["down"][..]), ("retry_after", &["down", "throttled"]), ("latency", &["slow"])]
        {
            if let Some((key_span, _)) = table.get_key_value(key)
                && !states.contains(&word)
            {
                let message = format!("`{key}` belongs to state {}, not to {word}", quoted(states));
                self.report(key_span.span(), message);
            }
        }
        let retry_after = table.get("retry_after").and_then(|value| self.retry_after(value));
        Some(match word {
            "up" => State::Up,
            "failing" => State::Failing,
            "refused" => State::Refused,
            "throttled" => State::Throttled { retry_after },
            "down" => State::Down {
                status: table.get("status").map_or(Some(503), |value| self.status(value))?,
                retry_after,
            },
            "slow" => State::Slow { latency: self.latency(table)? },
            _ => return None,
        })
    }

    fn latency(&mut self, table: &DeTable<'_>) -> Option<Duration> {
        let Some(value) = table.get("latency") else {
            let place = table.get("state").map(Spanned::span).unwrap_or_default();
            self.report(place, "state \"slow\" needs `latency`, for example \"1500ms\"".to_owned());
            return None;
        };
        let latency = self.duration("latency", value)?;
        if latency > LONGEST_LATENCY {
            self.report(value.span(), "`latency` is over a minute; use state \"refused\" instead".to_owned());
        }
        Some(latency)
    }

    fn retry_after(&mut self, value: &Value<'_>) -> Option<Duration> {
        let wait = self.duration("retry_after", value)?;
        if wait.subsec_nanos() != 0 {
            self.report(
                value.span(),
                "`retry_after` must be whole seconds: the header knows no others".to_owned(),
            );
        }
        Some(wait)
    }

    fn status(&mut self, value: &Value<'_>) -> Option<u16> {
        let status = value
            .get_ref()
            .as_integer()
            .and_then(|number| u16::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|status| (500..600).contains(status));
        if status.is_none() {
            self.report(value.span(), "`status` must be a whole number from 500 to 599".to_owned());
        }
        status
    }

    fn served_by(&mut self, value: &Value<'_>) -> Option<Arc<str>> {
        let name = self.text("served_by", value)?;
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_graphic()) {
            let message = "`served_by` goes into a header: it must be ASCII without spaces, and not empty";
            self.report(value.span(), message.to_owned());
            return None;
        }
        Some(name.into())
    }

    fn target(&mut self, value: &Value<'_>) -> Option<Target> {
        let name = self.text("target", value)?;
        let service = Service::ALL.into_iter().find(|service| service.name() == name);
        let platform = Service::ALL.into_iter().map(Service::platform).find(|platform| *platform == name);
        let found = service.map(Target::Service).or(platform.map(Target::Platform));
        if found.is_none() {
            let mut known: BTreeSet<&str> = Service::ALL.into_iter().map(Service::platform).collect();
            known.extend(Service::ALL.map(Service::name));
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            self.report(value.span(), format!("`target` is \"{name}\"; it must be one of {known}"));
        }
        found
    }

    fn required<'v, 't>(
        &mut self,
        table: &'v DeTable<'t>,
        key: &str,
        place: &Range<usize>,
    ) -> Option<&'v Value<'t>> {
        let value = table.get(key);
        if value.is_none() {
            self.report(place.clone(), format!("`{key}` is missing in this change"));
        }
        value
    }

    fn refuse_unknown(&mut self, table: &DeTable<'_>, known: &[&str], whose: &str) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let message = format!("{whose} has no key `{}`; it knows {}", key.get_ref(), known.join(", "));
            self.report(key.span(), message);
        }
    }

    fn duration(&mut self, key: &str, value: &Value<'_>) -> Option<Duration> {
        let read = value.get_ref().as_str().and_then(|text| humantime::parse_duration(text).ok());
        if read.is_none_or(|read| read > LONGEST) {
            let message =
                format!("`{key}` must be a duration of at most 30 days, as in \"500ms\", \"8s\" or \"3m\"");
            self.report(value.span(), message);
            return None;
        }
        read
    }

    fn text(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let read = value.get_ref().as_str().map(str::to_owned);
        if read.is_none() {
            self.report(value.span(), format!("`{key}` must be a text in quotes"));
        }
        read
    }

    fn boolean(&mut self, key: &str, value: &Value<'_>) -> bool {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            self.report(value.span(), format!("`{key}` must be true or false"));
        }
        read.unwrap_or(false)
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" and ")
}
