//! What an examination of the whole chain found: troubles first, each with what to do about it.

use ratatui::style::Style;

use super::ink::Ink;
use crate::{
    console::{
        state::State,
        text,
        theme::{Role, Theme},
    },
    domain::diagnosis::{Diagnosis, Finding, Grade},
};

/// The widest that it grows.
pub(super) const WIDEST: u16 = 110;
/// Columns of grade and area before the words.
const BEFORE: usize = 22;

/// A line, and how it looks.
pub(super) type Line = (String, Style);

/// The title: when, and how many of each grade.
pub(super) fn title(state: &State) -> String {
    let Some(diagnosis) = &state.picture.diagnosis else { return "Diagnosis".to_owned() };
    format!(
        "Diagnosis {}: {} ok, {} warnings, {} failed",
        text::time_of_day(diagnosis.at),
        diagnosis.count(Grade::Ok),
        diagnosis.count(Grade::Warning),
        diagnosis.count(Grade::Failed)
    )
}

/// Every line at a width.
pub(super) fn lines(state: &State, width: usize) -> Vec<Line> {
    let theme = state.theme();
    let muted = theme.style(Role::Muted);
    match &state.picture.diagnosis {
        _ if state.examining => {
            let words = "examining names, TLS, logins, permissions, each step, clock, disk and load ...";
            text::wrap(words, width, theme.symbols).into_iter().map(|line| (line, muted)).collect()
        }
        None => vec![("nothing was examined yet".to_owned(), muted)],
        Some(diagnosis) => told(diagnosis, width, theme),
    }
}

fn told(diagnosis: &Diagnosis, width: usize, theme: &Theme) -> Vec<Line> {
    let mut findings: Vec<&Finding> = diagnosis.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
    let muted = theme.style(Role::Muted);
    let mut lines = Vec::new();
    for finding in findings {
        let style = match finding.grade {
            Grade::Ok => theme.style(Role::Good),
            Grade::Warning => theme.style(Role::Fair),
            Grade::Failed => theme.style(Role::Bad),
        };
        let room = width.saturating_sub(BEFORE);
        let words = format!("{}: {}", finding.subject, finding.what);
        let mut before = format!("{:<8} {:<12} ", finding.grade.word(), finding.area.word());
        for line in text::wrap(&words, room, theme.symbols) {
            lines.push((format!("{before}{line}"), style));
            before = " ".repeat(BEFORE);
        }
        if let Some(cure) = &finding.cure {
            for line in text::wrap(&format!("do: {cure}"), room, theme.symbols) {
                lines.push((format!("{:BEFORE$}{line}", ""), muted));
            }
        }
    }
    lines
}

/// Draws as many as fit, from the one to which a person has scrolled.
pub(super) fn draw(state: &State, ink: &mut Ink, lines: &[Line]) {
    let room = usize::from(ink.height());
    state.page.set(room.max(1));
    let first = state.scroll.get().min(lines.len().saturating_sub(room));
    state.scroll.set(first);
    for (y, (line, style)) in lines.iter().skip(first).take(room).enumerate() {
        ink.put(1, y as u16, line, *style);
    }
}
