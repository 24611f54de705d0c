//! A scenario's TOML, read with the place of everything that is wrong with it.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use toml::de::DeTable;

use super::{Change, Scenario, ScenarioError, Settings, State, Target, failover};
use crate::{
    config::reading::{Entry, Reading, Section, nearest},
    sim::service::Service,
};

/// The longest extra latency; the server gives up an answer not much later.
const LONGEST_LATENCY: Duration = Duration::from_mins(1);
/// The longest time in a scenario.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// The largest body: 64 MiB.
const LARGEST_BODY: u32 = 64 * 1024 * 1024;
/// What a change may change.
const EFFECTS: [&str; 7] = ["state", "served_by", "median", "sigma", "skew", "age", "revoke"];

/// Reads a text as a scenario.
pub(super) fn scenario(text: &str, file: &str) -> Result<Scenario, ScenarioError> {
    let reading = Reading::new(file, text);
    let (document, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        for error in &broken {
            let message = crate::expression::clean(error.message(), 200);
            let cure = "see https://toml.io for how it is written";
            reading.error(error.span().unwrap_or(0..0), "", format!("this is no TOML: {message}"), cure);
        }
        return Err(ScenarioError { findings: reading.finish().0 });
    }
    let mut root = Section::root(&reading, document.get_ref());
    root.rename("the scenario", "");
    let scenario = whole(&root);
    root.close();
    let findings = reading.finish().0;
    if findings.is_empty() { Ok(scenario) } else { Err(ScenarioError { findings }) }
}

fn whole(root: &Section<'_, '_>) -> Scenario {
    let cycle = root.get("cycle").and_then(|entry| {
        let cycle = time(&entry)?;
        if cycle < Duration::from_secs(1) {
            entry.wrong("it must be a second at least, for example \"3m\"; leave it out for no cycle");
        }
        Some(cycle)
    });
    let demand_login = root.get("demand_login").and_then(|entry| entry.flag()).unwrap_or(false);
    let mut scenario = Scenario { cycle, demand_login, ..Scenario::default() };
    if let Some(table) = root.get("platforms").and_then(|entry| entry.section("the platforms")) {
        for entry in table.entries() {
            let Some(platform) = Service::platforms().into_iter().find(|known| *known == entry.name) else {
                let known: Vec<&str> = Service::platforms().into_iter().collect();
                entry.error(
                    format!("there is no simulated platform `{}`", entry.name),
                    one_of(entry.name, &known),
                );
                continue;
            };
            if let Some(section) = entry.section(format!("platform \"{platform}\"")) {
                scenario.settings.insert(platform, Settings::read(section, platform));
            }
        }
    }
    if let Some(entry) = root.get("changes") {
        for section in entry.sections(|number| format!("change {number}")) {
            scenario.changes.extend(change(&section, cycle));
            section.close();
        }
    }
    scenario.changes.sort_by_key(|change| change.at);
    if let Some(entry) = root.get("failovers") {
        let mut read = Vec::new();
        for section in entry.sections(|number| format!("failover {number}")) {
            read.extend(failover::read(&section, cycle).map(|failover| (failover, section.place())));
            section.close();
        }
        read.sort_by_key(|(failover, _)| failover.at);
        for (failover, place) in read {
            if let Err((message, cure)) = failover.spread(&mut scenario) {
                entry.reading.error(place, "failovers.region", message, cure);
            }
        }
    }
    scenario
}

fn change(section: &Section<'_, '_>, cycle: Option<Duration>) -> Option<Change> {
    let at = instant(section, "at", cycle);
    let target = section.require("target", "name a service or a platform").and_then(|entry| target(&entry));
    let mut change = Change::new(Duration::ZERO, Target::All);
    change.only = section.get("only").and_then(|entry| entry.line().map(Arc::from));
    let word = section.get("state");
    change.state = state(section, word.as_ref(), None);
    change.served_by = section.get("served_by").and_then(|entry| region(&entry));
    change.median = section.get("median").and_then(|entry| extra(&entry));
    change.sigma = section.get("sigma").and_then(|entry| spread(&entry));
    change.skew = section.get("skew").and_then(|entry| skew(&entry));
    change.age = section.get("age").and_then(|entry| whole_seconds(&entry));
    change.revoke = section.get("revoke").and_then(|entry| entry.flag()).unwrap_or(false);
    if EFFECTS.iter().all(|effect| section.get(effect).is_none()) {
        let all: Vec<_> = EFFECTS.iter().map(|effect| format!("`{effect}`")).collect();
        section.error(
            "state",
            format!("{} changes nothing", section.what()),
            format!("give it one of {}", all.join(", ")),
        );
    }
    Some(Change { at: at?, target: target?, ..change })
}

/// The state that `word` names, or `usual` where there is no word; and that no key of another state stands beside it.
pub(super) fn state(
    section: &Section<'_, '_>,
    word: Option<&Entry<'_, '_>>,
    usual: Option<&'static str>,
) -> Option<State> {
    let named = match word {
        Some(entry) => Some(entry.word(&State::WORDS)?),
        None => usual,
    };
    let word = named.unwrap_or("none");
    for (key, states) in [
        ("status", &["down"][..]),
        ("retry_after", &["down", "throttled"]),
        ("latency", &["slow", "dripping"]),
        ("bytes", &["huge"]),
        ("location", &["redirect"]),
    ] {
        if let Some(entry) = section.get(key)
            && !states.contains(&word)
        {
            let states: Vec<_> = states.iter().map(|state| format!("\"{state}\"")).collect();
            entry.error(
                format!("`{key}` of {} belongs to state {}", section.what(), states.join(" and ")),
                format!("take it out, or change the state, which is {word}"),
            );
        }
    }
    let retry_after = section.get("retry_after").and_then(|entry| whole_seconds(&entry));
    let latency = || {
        let cure = "write how much later it answers, or how long its body takes: \"1500ms\"";
        section.require("latency", cure).and_then(|entry| extra(&entry))
    };
    Some(match word {
        "up" => State::Up,
        "down" => State::Down {
            status: match section.get("status") {
                Some(entry) => u16::try_from(entry.integer(500..=599)?).ok()?,
                None => 503,
            },
            retry_after,
        },
        "failing" => State::Failing,
        "refused" => State::Refused,
        "throttled" => State::Throttled { retry_after },
        "slow" => State::Slow { latency: latency()? },
        "forbidden" => State::Forbidden,
        "truncated" => State::Truncated,
        "broken" => State::Broken,
        "huge" => State::Huge {
            bytes: match section.get("bytes") {
                Some(entry) => u64::from(entry.integer(1..=LARGEST_BODY)?),
                None => u64::from(LARGEST_BODY),
            },
        },
        "dripping" => State::Dripping { latency: latency()? },
        "escapes" => State::Escapes,
        "html" => State::Html,
        "redirect" => State::Redirect {
            location: match section.get("location") {
                Some(entry) => Some(Arc::from(entry.header_value()?)),
                None => None,
            },
        },
        _ => return None,
    })
}

/// A time after the start, before the cycle's end.
pub(super) fn instant(
    section: &Section<'_, '_>,
    key: &'static str,
    cycle: Option<Duration>,
) -> Option<Duration> {
    let entry = section.require(key, "write the time after the start: \"8s\"")?;
    let at = time(&entry)?;
    if cycle.is_some_and(|cycle| at >= cycle) {
        entry.wrong("it must be earlier than the end of `cycle`");
    }
    Some(at)
}

/// A duration, which may be zero.
pub(super) fn time(entry: &Entry<'_, '_>) -> Option<Duration> {
    let written = entry.value.get_ref().as_str();
    let time =
        written.and_then(|text| humantime::parse_duration(text.trim()).ok()).filter(|time| *time <= LONGEST);
    if time.is_none() {
        entry.wrong("it must be a duration of at most 30 days such as \"500ms\", \"8s\" or \"3m\"");
    }
    time
}

fn extra(entry: &Entry<'_, '_>) -> Option<Duration> {
    let latency = entry.duration()?;
    if latency > LONGEST_LATENCY {
        entry.wrong("it must be at most a minute");
    }
    Some(latency)
}

fn whole_seconds(entry: &Entry<'_, '_>) -> Option<Duration> {
    let wait = time(entry)?;
    if wait.subsec_nanos() != 0 {
        entry.wrong("it must be whole seconds: the header knows no others");
    }
    Some(wait)
}

fn spread(entry: &Entry<'_, '_>) -> Option<f64> {
    let value = entry.value.get_ref();
    let float = value.as_float().and_then(|number| number.as_str().replace('_', "").parse::<f64>().ok());
    let whole =
        value.as_integer().and_then(|number| u8::from_str_radix(number.as_str(), number.radix()).ok());
    let sigma = float.or(whole.map(f64::from)).filter(|sigma| (0.0..=3.0).contains(sigma));
    if sigma.is_none() {
        entry.wrong("it must be a number from 0 to 3, for example 0.5");
    }
    sigma
}

fn skew(entry: &Entry<'_, '_>) -> Option<TimeDelta> {
    let skew = entry.value.get_ref().as_str().and_then(|text| {
        let text = text.trim();
        let (ahead, size) = match text.strip_prefix('-') {
            Some(size) => (false, size),
            None => (true, text.strip_prefix('+').unwrap_or(text)),
        };
        let size = humantime::parse_duration(size).ok().filter(|size| *size <= LONGEST)?;
        let size = TimeDelta::from_std(size).ok()?;
        Some(if ahead { size } else { -size })
    });
    if skew.is_none() {
        entry
            .wrong("it must be how far the platform's clock is ahead, such as \"700ms\", or behind: \"-2s\"");
    }
    skew
}

/// Who serves: it goes into a header.
pub(super) fn region(entry: &Entry<'_, '_>) -> Option<Arc<str>> {
    let name = entry.text()?;
    if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_graphic()) {
        entry.wrong("it goes into a header: it must be ASCII without spaces, and not empty");
        return None;
    }
    Some(name.into())
}

/// A service, a platform, or `all`.
pub(super) fn target(entry: &Entry<'_, '_>) -> Option<Target> {
    let name = entry.text()?;
    if name == "all" {
        return Some(Target::All);
    }
    let service = Service::ALL.into_iter().find(|service| service.name() == name).map(Target::Service);
    let platform = Service::platforms().into_iter().find(|platform| *platform == name).map(Target::Platform);
    let found = service.or(platform);
    if found.is_none() {
        let mut known: Vec<&str> = Service::platforms().into_iter().collect();
        known.extend(Service::ALL.map(Service::name));
        known.push("all");
        known.sort_unstable();
        entry.wrong(one_of(name, &known));
    }
    found
}

/// What would be right in the place of a word.
fn one_of(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or_else(
        || format!("it must be one of {}", known.join(", ")),
        |near| format!("did you mean \"{near}\"?"),
    )
}
