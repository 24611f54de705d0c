//! `warroom status`: one line that says how things stand.

mod prompt;

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Exit, Failure, Global, Outcome, Output, absent::Absent};
use crate::{
    attach::wire::SOCKET,
    clock::{Clock, SystemClock},
    console::symbols,
    domain::{
        Attached, Phase, Role, Verdict,
        record::{ClockState, Mode},
    },
    store::{
        Holder, Lock, LockError, StatusFile, folder,
        status::{self, OpenOutage},
    },
};

/// After so long without a word from the engine its last one is not believed any longer.
const STALE: TimeDelta = TimeDelta::seconds(60);

/// Says in one line how things stand.
///
/// The worst state, the open outages and who looks after them, the drill, the mode, who is here, as the data folder's engine last told them. Exit 0 when every component is up; 1 otherwise, when one
/// cannot be seen (blind), and when no engine runs.
///
/// With --prompt it is a few characters for a shell's prompt: ✗1 00:37 (one outage, for so long), ◐ (degraded, failed over or recovering), ◌3 (three cannot be seen), ●12 (all
/// twelve are up), ? (nobody says anything; after ●12: the clock is unsafe, nothing is measured). With --ascii too: X, ~, o, *.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom status
  warroom status --json | jq .outages
  warroom status > /dev/null || page-me
  PS1='$(warroom status --prompt 2> /dev/null) \\w \\$ '     # bash; asks anew for every prompt")]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Print a few characters for a shell's prompt, without a line break.
    #[arg(long, conflicts_with = "json")]
    pub prompt: bool,
    /// With --prompt, print ASCII characters alone.
    #[arg(long, requires = "prompt")]
    pub ascii: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    engine: Engine,
    #[serde(flatten)]
    status: Option<&'a StatusFile>,
    /// Where none runs: which one did last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<&'a Holder>,
    /// Where none runs: that, and what to do, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    /// It works, and has said how things stand.
    Running,
    /// It runs and has said nothing yet, or has just begun and seen nothing yet.
    Starting,
    /// It runs and has said nothing for too long.
    Silent,
    /// None runs.
    None,
}

/// Prints it.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
    folder::visit(&folder, SOCKET).map_err(Failure::wrong_use)?;
    let (engine, status) = match Lock::peek(&folder) {
        Ok(None) => (Engine::None, None),
        Err(LockError::Held { .. }) => (Engine::Starting, None),
        Err(error) => return Err(Failure::not_good(error)),
        Ok(Some(holder)) => {
            let file = status::read(&folder).map_err(|error| {
                Failure::not_good(
                    anyhow::Error::new(error)
                        .context(format!("{} cannot be read", folder.join(status::FILE).display())),
                )
            })?;
            believe(&holder, file, SystemClock.wall())
        }
    };
    let written = if args.prompt {
        let symbols = if args.ascii { &symbols::ASCII } else { &symbols::UNICODE };
        let short = prompt::prompt(engine, status.as_ref(), symbols, SystemClock.wall());
        output.results().write_all(short.as_bytes())
    } else if args.json {
        let absent = (engine == Engine::None).then(|| Absent::of(&folder));
        let last = absent.as_ref().and_then(|absent| absent.last.as_ref());
        let words = absent.as_ref().map(Absent::words);
        output.json(&Report { engine, status: status.as_ref(), last, words })
    } else if engine == Engine::None {
        output.line(&Absent::of(&folder).words())
    } else {
        output.line(&sentence(engine, status.as_ref()))
    };
    match written {
        // Whoever wants the code alone need not read the line.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    let good = engine == Engine::Running && status.is_some_and(|status| status.is_good());
    Ok(if good { Exit::Good } else { Exit::NotGood })
}

/// What to make of the file beside a held lock: one that an earlier engine left behind says nothing of this one.
fn believe(holder: &Holder, file: Option<StatusFile>, now: DateTime<Utc>) -> (Engine, Option<StatusFile>) {
    match file {
        Some(file) if file.pid != holder.pid => (Engine::Starting, None),
        Some(file) if (now - file.at).abs() > STALE => (Engine::Silent, Some(file)),
        Some(file) if has_seen_nothing(&file) && (now - holder.since).abs() < FIRST_LOOK => {
            (Engine::Starting, Some(file))
        }
        Some(file) => (Engine::Running, Some(file)),
        None => (Engine::Starting, None),
    }
}

/// How long after its start an engine may have seen nothing yet without a reason to worry.
const FIRST_LOOK: TimeDelta = TimeDelta::seconds(10);

fn has_seen_nothing(file: &StatusFile) -> bool {
    file.worst == Phase::Unobserved && file.up == 0 && file.blind == 0 && file.outages.is_empty()
}

/// How things stand by a running engine's own word.
pub(super) fn words(status: &StatusFile) -> String {
    sentence(Engine::Running, Some(status))
}

fn sentence(engine: Engine, status: Option<&StatusFile>) -> String {
    let Some(status) = status else {
        return "STARTING: an engine runs and has not said yet how things stand".to_owned();
    };
    let mut line = String::new();
    if engine == Engine::Silent {
        let since = status.at.format("%Y-%m-%d %H:%M:%SZ");
        // Writing to a string cannot fail.
        let _ = write!(line, "ENGINE SILENT since {since}; before that: ");
    }
    if engine == Engine::Starting {
        line += "STARTING, nothing seen yet · ";
    }
    if status.demo {
        line += "DEMO · ";
    }
    let _ = write!(line, "{} · {}/{} up", worst(status).to_uppercase(), status.up, status.components);
    if status.blind > 0 {
        let _ = write!(line, " · {} blind", status.blind);
    }
    for outage in &status.outages {
        let _ = write!(
            line,
            " · {} {} since {} ({} % of RTO)",
            outage.name,
            state(outage),
            outage.since.format("%H:%M:%SZ"),
            outage.rto_used_percentage
        );
        if let Some(who) = &outage.acknowledged_by {
            let _ = write!(line, ", acknowledged by {who}");
        }
    }
    line +=
        &status.drill.as_ref().map_or_else(|| " · no drill".to_owned(), |drill| format!(" · drill {drill}"));
    line += match status.mode {
        Mode::Alerting => " · alerting",
        Mode::Logging => " · logging",
    };
    if status.clock == ClockState::Unsafe {
        line += " · CLOCK UNSAFE";
    }
    line += &here(&status.present);
    for notice in &status.notices {
        line += " · ";
        line += notice;
    }
    line
}

/// How many people are named, each once.
const NAMED: usize = 5;

/// Who is here, in the order in which they came.
fn here(present: &[Attached]) -> String {
    let mut people: Vec<(String, Role)> = Vec::new();
    for console in present {
        let name = console.who.to_string();
        match people.iter_mut().find(|(known, _)| *known == name) {
            Some((_, role)) => *role = (*role).max(console.role),
            None => people.push((name, console.role)),
        }
    }
    if people.is_empty() {
        return String::new();
    }
    let named: Vec<_> = people
        .iter()
        .take(NAMED)
        .map(|(name, role)| if *role == Role::Watch { format!("{name} (watches)") } else { name.clone() })
        .collect();
    let more = people.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(" · here: {}{more}", named.join(", "))
}

/// What an outage is called: as bad as it is, and once it goes on, how far it has come.
const fn state(outage: &OpenOutage) -> &'static str {
    match outage.phase {
        Phase::Down => outage.verdict.word(),
        phase => phase.word(),
    }
}

fn worst(status: &StatusFile) -> &'static str {
    let mut down = status.outages.iter().filter(|outage| outage.phase == Phase::Down).peekable();
    match status.worst {
        // Down is down only where the worst outage is.
        Phase::Down if down.peek().is_some() && down.all(|outage| outage.verdict == Verdict::Degraded) => {
            Verdict::Degraded.word()
        }
        phase => phase.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ComponentId, Percent, Person};

    pub(super) fn status(at: DateTime<Utc>) -> StatusFile {
        StatusFile {
            at,
            pid: 7,
            tenant: "t".to_owned(),
            demo: false,
            worst: Phase::Down,
            up: 11,
            blind: 1,
            components: 12,
            outages: vec![OpenOutage {
                component_id: ComponentId::new("crm"),
                name: "CRM lookup".to_owned(),
                tier: 1,
                phase: Phase::Down,
                verdict: Verdict::Degraded,
                since: at,
                rto_used_percentage: Percent::new(42.0),
                acknowledged_by: None,
            }],
            drill: None,
            mode: Mode::Alerting,
            clock: ClockState::Ok,
            notices: vec!["the disk is full".to_owned()],
            config_refused: false,
            present: Vec::new(),
        }
    }

    #[test]
    fn the_line_says_who_is_here_and_who_looks_after_an_outage() {
        let at = DateTime::UNIX_EPOCH;
        let mut status = status(at);
        status.outages[0].acknowledged_by = Some("anna".to_owned());
        let console = |id, login: &str, role| Attached {
            id,
            who: Person { uid: 7, login: login.to_owned(), behind: None },
            role,
            since: at,
            terminal: None,
            from: None,
            is_host: false,
        };
        status.present = vec![
            console(1, "anna", Role::Watch),
            console(2, "bo", Role::Watch),
            console(3, "anna", Role::Operate),
        ];
        let line = words(&status);
        assert!(line.contains("(42.0 % of RTO), acknowledged by anna"), "{line}");
        assert!(line.contains(" · here: anna, bo (watches) · the disk"), "{line}");
        status.present = (0..7).map(|id| console(id, &format!("p{id}"), Role::Operate)).collect();
        assert!(words(&status).contains("here: p0, p1, p2, p3, p4 and 2 more"));
    }

    fn holder(pid: u32) -> Holder {
        Holder { pid, ..Holder::this(DateTime::UNIX_EPOCH, None) }
    }

    #[test]
    fn the_line_says_what_is_down_since_when_and_how_much_of_its_rto_is_used() {
        let line = sentence(Engine::Running, Some(&status(DateTime::UNIX_EPOCH)));
        assert_eq!(
            line,
            "DEGRADED · 11/12 up · 1 blind · CRM lookup degraded since 00:00:00Z (42.0 % of RTO) · no drill · alerting · the \
             disk is full"
        );
        let mut status = status(DateTime::UNIX_EPOCH);
        status.outages[0].verdict = Verdict::Down;
        let line = sentence(Engine::Running, Some(&status));
        assert!(line.starts_with("DOWN · ") && line.contains("CRM lookup down since"), "{line}");
        (status.worst, status.outages[0].phase) = (Phase::Recovering, Phase::Recovering);
        let line = sentence(Engine::Running, Some(&status));
        assert!(line.starts_with("RECOVERING · ") && line.contains("CRM lookup recovering since"), "{line}");
    }

    #[test]
    fn the_word_of_a_dead_or_hung_engine_is_not_taken_for_news() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(believe(&holder(7), Some(status(now)), now).0, Engine::Running);
        assert_eq!(believe(&holder(8), Some(status(now)), now), (Engine::Starting, None));
        let (up, blind, outages) = (0, 0, Vec::new());
        let nothing = StatusFile { worst: Phase::Unobserved, up, blind, outages, ..status(now) };
        let (engine, file) = believe(&holder(7), Some(nothing.clone()), now);
        assert_eq!(engine, Engine::Starting);
        let line = sentence(engine, file.as_ref());
        assert!(line.starts_with("STARTING, nothing seen yet · UNOBSERVED · 0/12 up"), "{line}");
        let later = now + FIRST_LOOK;
        assert_eq!(
            believe(&holder(7), Some(nothing), later).0,
            Engine::Running,
            "it should have seen something"
        );
        let later = now + STALE + TimeDelta::seconds(1);
        let (engine, file) = believe(&holder(7), Some(status(now)), later);
        assert_eq!(engine, Engine::Silent);
        assert!(sentence(engine, file.as_ref()).starts_with("ENGINE SILENT since 1970-01-01 00:00:00Z"));
    }
}
