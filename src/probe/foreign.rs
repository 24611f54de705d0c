//! Text that came from a platform, made harmless.
//!
//! Invariant: what leaves here holds no control and no bidirectional formatting character and has a bounded length.

use crate::expression::is_harmful;

/// The longest reason that is kept, in characters.
pub const LONGEST: usize = 200;

/// The text on one line: control, bidirectional and invisible formatting characters replaced by `\u{fffd}`, white space
/// runs by one blank, cut to `longest` characters with an ellipsis.
#[must_use]
pub fn clean(text: &str, longest: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(longest * 4));
    let mut blank = false;
    let mut length = 0;
    for letter in text.chars() {
        if length >= longest {
            cleaned.pop();
            cleaned.push('…');
            break;
        }
        if letter.is_whitespace() {
            blank = !cleaned.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            cleaned.push(' ');
            length += 1;
        }
        cleaned.push(if is_harmful(letter) { char::REPLACEMENT_CHARACTER } else { letter });
        length += 1;
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An escape sequence in a reason would move the cursor of whoever reads it.
    #[test]
    fn nothing_that_moves_or_reorders_survives() {
        let cleaned = clean("a\u{1b}[2J\u{202e}b\u{7}\r\n\tc\u{9b}31m\u{2066}d\u{0}", LONGEST);
        assert_eq!(cleaned, "a\u{fffd}[2J\u{fffd}b\u{fffd} c\u{fffd}31m\u{fffd}d\u{fffd}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cleaned = clean(&"é".repeat(5_000), 10);
        assert_eq!(cleaned, format!("{}…", "é".repeat(9)));
        assert_eq!(clean("short", 10), "short");
        assert_eq!(clean("exactly 10", 10), "exactly 10");
    }
}
