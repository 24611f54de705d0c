//! `warroom status`: one line that says how things stand.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Exit, Failure, Global, Outcome, Output};
use crate::{
    attach::wire::SOCKET,
    clock::{Clock, SystemClock},
    domain::{
        Phase, Verdict,
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
/// The worst state, the open outages, the drill, the mode, as the data folder's engine last told them. Exit 0 when every component is up; 1 otherwise, when one
/// cannot be seen (blind), and when no engine runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom status
  warroom status --json | jq .outages
  warroom status > /dev/null || page-me")]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    engine: Engine,
    #[serde(flatten)]
    status: Option<&'a StatusFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    /// It works, and has said how things stand.
    Running,
    /// It runs and has said nothing yet.
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
    let written = if args.json {
        output.json(&Report { engine, status: status.as_ref() })
    } else if engine == Engine::None {
        output.line(&format!("no engine works on {}", folder.display()))
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
        Some(file) => (Engine::Running, Some(file)),
        None => (Engine::Starting, None),
    }
}

/// How things stand by a running engine's own word.
pub(super) fn words(status: &StatusFile) -> String {
    sentence(Engine::Running, Some(status))
}

fn sentence(engine: Engine, status: Option<&StatusFile>) -> String {
    let Some(status) = status else {
        return "an engine runs and has not said yet how things stand".to_owned();
    };
    let mut line = String::new();
    if engine == Engine::Silent {
        let since = status.at.format("%Y-%m-%d %H:%M:%SZ");
        // Writing to a string cannot fail.
        let _ = write!(line, "ENGINE SILENT since {since}; before that: ");
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
    for notice in &status.notices {
        line += " · ";
        line += notice;
    }
    line
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
    use crate::domain::{ComponentId, Percent};

    fn status(at: DateTime<Utc>) -> StatusFile {
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
            }],
            drill: None,
            mode: Mode::Alerting,
            clock: ClockState::Ok,
            notices: vec!["the disk is full".to_owned()],
        }
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
        let later = now + STALE + TimeDelta::seconds(1);
        let (engine, file) = believe(&holder(7), Some(status(now)), later);
        assert_eq!(engine, Engine::Silent);
        assert!(sentence(engine, file.as_ref()).starts_with("ENGINE SILENT since 1970-01-01 00:00:00Z"));
    }
}
