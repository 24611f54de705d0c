//! Text on its way to a cell: cleaned of everything that could move the cursor or reorder a line, cut and padded to a
//! width in cells, and the short forms of durations and times.
//!
//! Invariant: [`clean`] is the one gate for text from a platform; what leaves it holds no control, bidi or invisible
//! character.

use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, Timelike, Utc};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::symbols::Symbols;

/// How many combining marks a character may carry; more would pile up over the neighbouring lines.
const MARKS: usize = 2;

/// Whether a character may never reach the terminal: C0 and C1 controls, bidi controls, invisible format characters
/// and variation selectors (whose width terminals disagree on).
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control() || is_bidi(character) || is_invisible(character)
}

const fn is_bidi(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{00ad}'
            | '\u{034f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2028}'..='\u{2029}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Text that may be drawn: line breaks and tabs become spaces, other control and bidi characters become visible,
/// invisible ones disappear, and the rest is written in what `symbols` can show.
#[must_use]
pub fn clean<'a>(text: &'a str, symbols: &Symbols) -> Cow<'a, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut marks = 0;
    for character in text.chars() {
        if matches!(character, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') {
            cleaned.push(' ');
        } else if character.is_control() || is_bidi(character) {
            cleaned.push_str(symbols.replaced);
        } else if is_invisible(character) {
            continue;
        } else if character.width().unwrap_or(0) == 0 {
            marks += 1;
            if marks <= MARKS && !symbols.ascii && !cleaned.is_empty() {
                cleaned.push(character);
            }
            continue;
        } else if let Some(plain) = symbols.plain(character) {
            cleaned.push_str(plain);
        } else {
            cleaned.push(character);
        }
        marks = 0;
    }
    Cow::Owned(cleaned)
}

/// Width of a text in cells.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a cleaned text to at most `cells`, with an ellipsis where something was lost.
#[must_use]
pub fn cut<'a>(text: &'a str, cells: usize, symbols: &Symbols) -> Cow<'a, str> {
    if text.width() <= cells {
        return Cow::Borrowed(text);
    }
    if cells == 0 {
        return Cow::Borrowed("");
    }
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide > cells - 1 {
            break;
        }
        kept.push_str(grapheme);
        used += wide;
    }
    kept.push_str(symbols.ellipsis);
    Cow::Owned(kept)
}

/// Cuts a cleaned text to at most `cells` in its middle: names that begin alike often end differently.
#[must_use]
pub fn cut_middle<'a>(text: &'a str, cells: usize, symbols: &Symbols) -> Cow<'a, str> {
    if text.width() <= cells || cells < 4 {
        return cut(text, cells, symbols);
    }
    let tail_cells = (cells - 1) / 2;
    let mut tail = text.len();
    let mut used = 0;
    for (start, grapheme) in text.grapheme_indices(true).rev() {
        used += grapheme.width();
        if used > tail_cells {
            break;
        }
        tail = start;
    }
    // The cut puts the ellipsis.
    let head = cut(text, cells - tail_cells, symbols);
    Cow::Owned(format!("{head}{}", &text[tail..]))
}

/// Cleans, cuts and pads a text on the right to exactly `cells`.
#[must_use]
pub fn left(text: &str, cells: usize, symbols: &Symbols) -> String {
    let cleaned = clean(text, symbols);
    let mut fitted = cut(&cleaned, cells, symbols).into_owned();
    let missing = cells.saturating_sub(fitted.width());
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// Cleans, cuts and pads a text on the left to exactly `cells`.
#[must_use]
pub fn right(text: &str, cells: usize, symbols: &Symbols) -> String {
    let cleaned = clean(text, symbols);
    let fitted = cut(&cleaned, cells, symbols);
    let mut padded = " ".repeat(cells.saturating_sub(fitted.width()));
    padded.push_str(&fitted);
    padded
}

/// Breaks a text into lines of at most `cells`, at spaces where possible.
#[must_use]
pub fn wrap(text: &str, cells: usize, symbols: &Symbols) -> Vec<String> {
    let cleaned = clean(text, symbols);
    let mut lines = Vec::new();
    if cells == 0 {
        return lines;
    }
    let mut line = String::new();
    for word in cleaned.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!line.is_empty());
        if line.width() + gap + word.width() <= cells {
            if gap == 1 {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for grapheme in word.graphemes(true) {
            if line.width() + grapheme.width() > cells && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(grapheme);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `00:37`, `12:05:09`; whole seconds, rounded down.
#[must_use]
pub fn clock_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes:02}:{rest:02}") }
}

/// `4 s`, `3 min`, `5 h`, `2 d`: how long something takes, roughly.
#[must_use]
pub fn rough_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `38 ms`, `1.2 s`: a latency, with no more digits than anyone reads.
#[must_use]
pub fn latency(millis: f64) -> String {
    if !millis.is_finite() || millis < 0.0 {
        return String::new();
    }
    if millis < 999.5 {
        format!("{} ms", millis.round() as u64)
    } else if millis < 99_950.0 {
        format!("{:.1} s", millis / 1000.0)
    } else {
        format!("{} s", (millis / 1000.0).round() as u64)
    }
}

/// `14:32:04`.
#[must_use]
pub fn time_of_day(at: DateTime<Utc>) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// `14:32:04.1`.
#[must_use]
pub fn time_of_day_tenths(at: DateTime<Utc>) -> String {
    format!("{}.{}", time_of_day(at), at.timestamp_subsec_millis() / 100 % 10)
}

/// `14:32:04.1`; of another day than today, `11-17 14:32`.
#[must_use]
pub fn time_tenths(at: DateTime<Utc>, today: DateTime<Utc>) -> String {
    other_day(at, today).unwrap_or_else(|| time_of_day_tenths(at))
}

/// `14:32:04`; of another day than today, `11-17 14:32`.
#[must_use]
pub fn time(at: DateTime<Utc>, today: DateTime<Utc>) -> String {
    other_day(at, today).unwrap_or_else(|| time_of_day(at))
}

/// `14:32`; of another day than today, `11-17 14:32`.
#[must_use]
pub fn time_short(at: DateTime<Utc>, today: DateTime<Utc>) -> String {
    other_day(at, today).unwrap_or_else(|| at.format("%H:%M").to_string())
}

/// `02:14 (3 h ago)`; of another day than today `Fri 02:14 (9 h ago)`, and of another week `11-17 02:14 (9 d ago)`.
#[must_use]
pub fn day_and_time(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ago = (now - at).to_std().unwrap_or_default();
    let time = if at.date_naive() == now.date_naive() {
        at.format("%H:%M")
    } else if ago < Duration::from_hours(6 * 24) {
        at.format("%a %H:%M")
    } else {
        at.format("%m-%d %H:%M")
    };
    format!("{time} ({} ago)", rough_duration(ago))
}

fn other_day(at: DateTime<Utc>, today: DateTime<Utc>) -> Option<String> {
    (at.date_naive() != today.date_naive()).then(|| at.format("%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::symbols::{ASCII, UNICODE};

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_reorder_a_line() {
        let hostile = "a\u{1b}[2J\u{202e}b\u{200b}c\r\nd\u{9b}31m\u{e0041}\u{feff}";
        let cleaned = clean(hostile, &UNICODE);
        assert!(!cleaned.chars().any(is_unsafe), "{cleaned:?}");
        assert_eq!(cleaned, "a\u{fffd}[2J\u{fffd}bc  d\u{fffd}31m");
    }

    #[test]
    fn a_pile_of_marks_does_not_cover_the_neighbours() {
        let zalgo = format!("e{}x", "\u{301}".repeat(50));
        assert_eq!(clean(&zalgo, &UNICODE).chars().count(), 4);
    }

    #[test]
    fn ascii_shows_no_byte_over_126() {
        assert!(clean("Café – 60 s ≤ … 東京", &ASCII).bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }

    #[test]
    fn cells_are_counted_not_characters() {
        assert_eq!(width(&left("東京の回線", 7, &UNICODE)), 7);
        assert_eq!(width(&right("東京の回線", 6, &UNICODE)), 6);
        assert_eq!(left("東京", 6, &UNICODE), "東京  ");
        assert_eq!(cut("abc", 0, &UNICODE), "");
    }

    #[test]
    fn a_name_keeps_its_end() {
        assert_eq!(cut_middle("Frankfurt primary", 17, &UNICODE), "Frankfurt primary");
        assert_eq!(cut_middle("Frankfurt primary", 10, &UNICODE), "Frank…mary");
        for cells in 0..12 {
            assert!(width(&cut_middle("東京の回線 primary", cells, &UNICODE)) <= cells);
        }
    }

    #[test]
    fn a_long_word_is_broken_rather_than_lost() {
        assert_eq!(wrap("ab cdefgh i", 3, &UNICODE), ["ab", "cde", "fgh", "i"]);
        assert!(wrap("x", 0, &UNICODE).is_empty());
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(clock_duration(Duration::from_millis(37_900)), "00:37");
        assert_eq!(clock_duration(Duration::from_secs(3_725)), "1:02:05");
        assert_eq!(latency(38.4), "38 ms");
        assert_eq!(latency(999.7), "1.0 s");
        assert_eq!(latency(f64::NAN), "");
        assert_eq!(rough_duration(Duration::from_secs(150)), "2 min");
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap_or_default();
        let now = at("2026-05-15T05:14:30Z");
        assert_eq!(day_and_time(at("2026-05-15T02:14:00Z"), now), "02:14 (3 h ago)");
        assert_eq!(day_and_time(at("2026-05-14T22:14:00Z"), now), "Thu 22:14 (7 h ago)");
        assert_eq!(day_and_time(at("2026-05-05T22:14:00Z"), now), "05-05 22:14 (9 d ago)");
    }
}
