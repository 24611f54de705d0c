//! How things stand in a few characters, for a shell's prompt or a status bar.
//!
//! Invariant: only the symbols of the screens, digits, `:`, `?` and blanks; no text from elsewhere, no control character, no
//! line break, and nothing that a shell expands in its prompt.

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use crate::{
    console::symbols::Symbols,
    domain::{Phase, Verdict, record::ClockState},
    store::StatusFile,
};

/// What a running engine's word comes to: `✗1 00:37`, `◌2`, `●12`; `?` where nobody says anything.
pub(super) fn prompt(
    engine: Engine,
    status: Option<&StatusFile>,
    symbols: &Symbols,
    now: DateTime<Utc>,
) -> String {
    let Some(status) = status.filter(|_| engine == Engine::Running) else { return "?".to_owned() };
    if let Some(worst) = status.outages.first() {
        let is_down = worst.phase == Phase::Down && worst.verdict == Verdict::Down;
        let symbol = if is_down { symbols.down } else { symbols.degraded };
        return format!("{symbol}{} {}", status.outages.len(), elapsed(now - worst.since));
    }
    let unseen = status.components.saturating_sub(status.up);
    if unseen > 0 {
        return format!("{}{unseen}", symbols.blind);
    }
    // Everything is up, and nothing is measured.
    let doubt = if status.clock == ClockState::Unsafe { " ?" } else { "" };
    format!("{}{}{doubt}", symbols.up, status.up)
}

/// `00:37`, `1:02:03`, `3d 04:05`.
fn elapsed(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days}d {hours:02}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::status::tests::status,
        console::symbols::{ASCII, UNICODE},
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn the_prompt_says_how_many_are_out_and_for_how_long() {
        let mut file = status(NOW - TimeDelta::seconds(37));
        let at = |file: &StatusFile, symbols| prompt(Engine::Running, Some(file), symbols, NOW);
        assert_eq!(at(&file, &UNICODE), "◐1 00:37");
        file.outages[0].verdict = Verdict::Down;
        assert_eq!((at(&file, &UNICODE), at(&file, &ASCII)), ("✗1 00:37".to_owned(), "X1 00:37".to_owned()));
        file.outages[0].phase = Phase::Recovering;
        assert_eq!(at(&file, &ASCII), "~1 00:37");
        file.outages.clear();
        assert_eq!(at(&file, &ASCII), "o1", "one of twelve is not up");
        file.up = 12;
        assert_eq!((at(&file, &UNICODE), at(&file, &ASCII)), ("●12".to_owned(), "*12".to_owned()));
        file.clock = ClockState::Unsafe;
        assert_eq!(at(&file, &ASCII), "*12 ?");
        for engine in [Engine::None, Engine::Silent, Engine::Starting] {
            assert_eq!(prompt(engine, Some(&file), &UNICODE, NOW), "?");
        }
    }

    #[test]
    fn a_long_outage_stays_short_in_the_prompt() {
        assert_eq!(elapsed(TimeDelta::seconds(3723)), "1:02:03");
        assert_eq!(elapsed(TimeDelta::seconds(3 * 86_400 + 4 * 3600 + 5 * 60)), "3d 04:05");
        assert_eq!(elapsed(TimeDelta::seconds(-5)), "00:00", "the clocks of two processes differ");
    }

    /// Whatever a platform or a config calls itself must not run in the shell of whoever looks.
    #[test]
    fn no_foreign_text_reaches_the_prompt() {
        let mut file = status(NOW);
        file.outages[0].name = "$(reboot)\\u\x1b[2J`x`%n!".to_owned();
        file.notices = vec!["$(reboot)".to_owned()];
        let line = prompt(Engine::Running, Some(&file), &ASCII, NOW);
        assert!(line.chars().all(|one| one.is_ascii_digit() || " :~".contains(one)), "{line}");
    }
}
