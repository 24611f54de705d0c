//! What the line mode writes: lines of plain words, the time first, then what it is about, then what.
//!
//! Invariant: no line is longer than [`WIDEST`] cells or holds a character that a terminal would obey; only newlines
//! part them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::console::{symbols::Symbols, text};

/// The longest line, in cells.
pub(super) const WIDEST: usize = 200;
/// The most lines that one thing said may take; what is longer is cut, and read in the component's detail.
const MOST_LINES: usize = 4;
/// Cells of a line that are kept for what shows that it goes on from another, or that the rest is left out.
const MARGIN: usize = 5;

/// Lines that wait to be printed.
#[derive(Debug)]
pub(super) struct Paper {
    pub(super) symbols: &'static Symbols,
    text: String,
    /// The day of the last time that was written.
    day: Option<NaiveDate>,
}

impl Paper {
    pub(super) const fn new(symbols: &'static Symbols) -> Self {
        Self { symbols, text: String::new(), day: None }
    }

    /// Something that happened: `14:32:04 IVR main flow: DOWN: ...`. A day that has begun since the last one is told before.
    pub(super) fn event(&mut self, at: DateTime<Utc>, about: &str, what: &str) {
        let day = at.date_naive();
        let before = *self.day.get_or_insert(day);
        if day > before {
            self.day = Some(day);
            self.line(&format!("{} warroom: it is {day} now, UTC", text::time_of_day(at)));
        }
        self.line(&format!("{} {about}: {what}", text::time_of_day(at)));
    }

    /// A line without a time: part of an answer.
    pub(super) fn line(&mut self, words: &str) {
        let mut lines = text::wrap(words, WIDEST - MARGIN, self.symbols).into_iter().peekable();
        let mut written = 0;
        while let Some(line) = lines.next() {
            if written > 0 {
                self.text.push_str("  ");
            }
            self.text.push_str(&line);
            written += 1;
            if written == MOST_LINES && lines.peek().is_some() {
                self.text.push_str("...\n");
                return;
            }
            self.text.push('\n');
        }
    }

    /// Takes what was written since the last time.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// `37 s`, `1 min 12 s`, `2 h 5 min`, `3 d 4 h`: a length of time as it is said; whole seconds, rounded down.
pub(super) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = match seconds {
        0..60 => [(seconds, "s"), (0, "")],
        60..3_600 => [(seconds / 60, "min"), (seconds % 60, "s")],
        3_600..86_400 => [(seconds / 3_600, "h"), (seconds / 60 % 60, "min")],
        _ => [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h")],
    };
    let [(large, unit), (small, small_unit)] = parts;
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
}

/// `1 component`, `3 components`.
pub(super) fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;
    use crate::console::symbols::{SPOKEN, SPOKEN_ASCII};

    #[test]
    fn a_line_is_short_plain_and_begins_with_its_time() {
        let mut paper = Paper::new(&SPOKEN_ASCII);
        let at = DateTime::UNIX_EPOCH;
        let hostile = format!("caf\u{e9}\r\n\u{1b}]0;x\u{7}{}", "long ".repeat(400));
        paper.event(at, "crm\u{202e}", &hostile);
        let text = paper.take();
        assert!(text.starts_with("00:00:00 crm?: caf? ?]0;x?long"), "{text}");
        assert!(text.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{text:?}");
        assert!(text.lines().all(|line| text::width(line) <= WIDEST), "{text}");
        assert_eq!(text.lines().count(), MOST_LINES);
        assert!(text.ends_with("...\n"), "what is cut off says so: {text}");
        assert!(paper.take().is_empty());
    }

    #[test]
    fn a_new_day_is_told_once_before_its_first_line() {
        let mut paper = Paper::new(&SPOKEN);
        let evening = "2026-05-15T23:59:59Z".parse().unwrap();
        let morning = "2026-05-16T00:00:01Z".parse().unwrap();
        for at in [evening, evening, morning, morning] {
            paper.event(at, "crm", "x");
        }
        let text = paper.take();
        assert_eq!(
            text,
            "23:59:59 crm: x\n23:59:59 crm: x\n00:00:01 warroom: it is 2026-05-16 now, UTC\n00:00:01 crm: x\n00:00:01 crm: x\n"
        );
    }

    #[test]
    fn lengths_of_time_are_written_as_they_are_said() {
        let say = |seconds| spoken(Duration::from_secs(seconds));
        assert_eq!(
            [say(0), say(59), say(60), say(72), say(3_900), say(86_400)],
            ["0 s", "59 s", "1 min", "1 min 12 s", "1 h 5 min", "1 d"]
        );
    }
}
