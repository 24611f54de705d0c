//! What an operator reads in the journal of a service: how it began and ended, who came and what they did, what broke and
//! what is well again.
//!
//! Invariants: what is told is what a console's list of events shows, in the same words, and who came and went; text from
//! elsewhere is cleaned; one event makes a bounded number of lines.

use std::{path::Path, sync::Arc};

use super::log::{NOTICE, TOLD, WARNING};
use crate::{
    config::model::Config,
    console::{symbols, words},
    domain::{
        Event, Phase, Picture,
        event::{AlertState, ConfigEvent, Login, Presence, PresenceEvent},
    },
    engine::Listener,
    expression::clean,
};

/// The longest line, in characters.
const LONGEST: usize = 1000;
/// How many words of a config that was read again are told.
const WORDS: usize = 20;

/// Says that the agent begins.
pub(super) fn beginning(config: &Config, folder: &Path) {
    let source = config.source.as_deref().map_or_else(String::new, |path| path.display().to_string());
    tell(
        Weight::Notice,
        &format!(
            "warroom {} begins: {} components of {}, config {source}, data folder {}",
            env!("CARGO_PKG_VERSION"),
            config.components.len(),
            config.roster.tenant,
            folder.display()
        ),
    );
}

/// Says that a signal ends the agent.
pub(super) fn ending(signal: u8) {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        _ => "SIGTERM",
    };
    tell(Weight::Notice, &format!("{name}: the agent ends"));
}

/// How much it matters to whoever reads the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Info,
    Notice,
    Warning,
}

fn tell(weight: Weight, line: &str) {
    let line = clean(line, LONGEST);
    match weight {
        Weight::Info => tracing::info!(target: TOLD, "{line}"),
        Weight::Notice => tracing::info!(target: NOTICE, "{line}"),
        Weight::Warning => tracing::info!(target: WARNING, "{line}"),
    }
}

/// Tells the journal what happens.
pub(super) struct Told {
    /// Knows what is news, as every console does; without probes, which tell nothing that is told here.
    picture: Picture,
}

impl Told {
    pub(super) fn new(config: &Config) -> Self {
        Self { picture: Picture::new(Arc::clone(&config.roster)) }
    }

    /// What is told of an event, a line each; empty when it is no news.
    fn lines(&mut self, event: &Arc<Event>) -> Vec<(Weight, String)> {
        match &**event {
            // Both come often, and what matters of them comes as a phase; the roster is told when it begins.
            Event::Probe(_) | Event::Outage(_) => return Vec::new(),
            Event::Presence(presence) => {
                return vec![(Weight::Info, presence_words(presence))];
            }
            _ => {}
        }
        self.picture.apply(event);
        let is_news = self.picture.notable.back().is_some_and(|last| Arc::ptr_eq(last, event));
        match &**event {
            _ if !is_news => Vec::new(),
            // The engine's own log has the words for it.
            Event::Gap(_) => Vec::new(),
            Event::Platform(platform) if platform.login == Login::Failing => Vec::new(),
            // The config's own event tells all of it.
            Event::Notice(notice) if notice.about == "config" => Vec::new(),
            Event::Config(config) => config_words(config),
            event => {
                let about = words::about(event, &self.picture);
                let sentence = words::sentence(event, &self.picture, &symbols::UNICODE, event.at());
                vec![(weight(event), format!("{about}: {sentence}"))]
            }
        }
    }
}

impl Listener for Told {
    fn event(&mut self, event: &Arc<Event>) {
        for (weight, line) in self.lines(event) {
            tell(weight, &line);
        }
    }
}

fn weight(event: &Event) -> Weight {
    match event {
        Event::Phase(phase) => match phase.phase {
            Phase::Down => Weight::Warning,
            Phase::FailedOver => Weight::Notice,
            Phase::Up | Phase::Recovering | Phase::Unobserved => Weight::Info,
        },
        Event::Violation(_) | Event::Unmeasured(_) => Weight::Warning,
        Event::Alert(alert) if alert.state == AlertState::Firing => Weight::Warning,
        Event::Notice(notice) if notice.standing => Weight::Warning,
        Event::Alert(_)
        | Event::Notice(_)
        | Event::Recovery(_)
        | Event::Switch(_)
        | Event::Budget(_)
        | Event::Act(_) => Weight::Notice,
        _ => Weight::Info,
    }
}

fn presence_words(presence: &PresenceEvent) -> String {
    let console = &presence.console;
    let from = console.from.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
    let terminal = console.terminal.as_ref().map_or_else(String::new, |terminal| format!(" on {terminal}"));
    match presence.change {
        Presence::Attached => format!("{} attached{from}{terminal}, {}", console.who, console.role.word()),
        Presence::Detached => format!("{} detached{from}{terminal}", console.who),
    }
}

fn config_words(config: &ConfigEvent) -> Vec<(Weight, String)> {
    let who = config.who.as_ref().map_or_else(|| "SIGHUP".to_owned(), ToString::to_string);
    let (weight, first) = if config.loaded {
        (Weight::Notice, format!("the config was read again ({who}) and is in force"))
    } else {
        (Weight::Warning, format!("the new config is refused ({who}); the old one stays in force"))
    };
    let mut lines = vec![(weight, first)];
    lines.extend(config.words.iter().take(WORDS).map(|word| (weight, word.clone())));
    if let Some(more) = config.words.len().checked_sub(WORDS).filter(|more| *more > 0) {
        lines.push((weight, format!("and {more} more; `warroom check` tells them all")));
    }
    lines
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;
    use crate::domain::{
        Attached, PathName, Person, Role,
        event::{NoticeEvent, PhaseEvent},
    };

    const AT: chrono::DateTime<chrono::Utc> = chrono::DateTime::UNIX_EPOCH;

    fn told() -> Told {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        Told::new(&crate::sim::demo(address).unwrap())
    }

    fn person() -> Person {
        Person { uid: 7, login: "anna".to_owned(), behind: None }
    }

    #[test]
    fn an_outage_is_a_warning_in_the_words_of_the_screen_and_a_start_is_no_news() {
        let mut told = told();
        let component_id = told.picture.roster.components[0].id.clone();
        let name = told.picture.roster.components[0].name.to_string();
        let phase = |phase| {
            let (component_id, path) = (component_id.clone(), PathName::primary());
            Arc::new(Event::Phase(PhaseEvent {
                at: AT,
                component_id,
                path,
                phase,
                t_detect_epoch: None,
                outage: None,
            }))
        };
        assert_eq!(told.lines(&phase(Phase::Unobserved)), []);
        assert_eq!(told.lines(&phase(Phase::Up)), []);
        assert_eq!(told.lines(&phase(Phase::Down)), [(Weight::Warning, format!("{name}: DOWN: "))]);
        assert_eq!(told.lines(&phase(Phase::Down)), [], "the same again is no news");
        assert_eq!(told.lines(&phase(Phase::Up))[0].0, Weight::Info);
    }

    #[test]
    fn who_comes_is_told_and_how_a_reload_went() {
        let mut told = told();
        let console = Attached {
            id: 1,
            who: person(),
            role: Role::Watch,
            since: AT,
            terminal: Some("pts/3".to_owned()),
            from: Some("192.0.2.7".to_owned()),
            is_host: false,
        };
        let presence = |change| {
            Arc::new(Event::Presence(PresenceEvent {
                at: AT,
                change,
                console: console.clone(),
                present: Vec::new(),
            }))
        };
        let came = told.lines(&presence(Presence::Attached));
        assert_eq!(came, [(Weight::Info, "anna attached from 192.0.2.7 on pts/3, watches".to_owned())]);
        let refused = ConfigEvent {
            at: AT,
            who: Some(person()),
            loaded: false,
            words: (0..WORDS + 3).map(|number| format!("line {number}")).collect(),
        };
        let lines = told.lines(&Arc::new(Event::Config(refused)));
        assert_eq!(lines.len(), WORDS + 2, "a first line, the words, and that there are more");
        assert!(lines.iter().all(|(weight, _)| *weight == Weight::Warning));
        assert!(lines[0].1.contains("refused (anna)") && lines[WORDS + 1].1.contains("and 3 more"));
    }

    #[test]
    fn a_notice_weighs_as_long_as_it_stands() {
        let mut told = told();
        let notice = |standing| {
            let (about, text) = ("store".to_owned(), "the disk is full".to_owned());
            Arc::new(Event::Notice(NoticeEvent { at: AT, about, standing, text }))
        };
        assert_eq!(told.lines(&notice(true)), [(Weight::Warning, "store: the disk is full".to_owned())]);
        assert_eq!(told.lines(&notice(false))[0].0, Weight::Notice);
    }
}
