//! What the console may write, as a grammar: whatever else reaches the terminal came from outside.

use std::fmt::Write as _;

/// One piece of a terminal's input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(char),
    /// A control character by itself.
    Control(char),
    /// `ESC [`, parameters and final character, without the introducer.
    Csi(String),
    /// `ESC ]` up to its end, without introducer and end.
    Osc(String),
    /// Any other escape sequence; its second character.
    Escape(char),
}

/// Splits what was written; it must be UTF-8.
pub(crate) fn pieces(written: &[u8]) -> Vec<Piece> {
    let text = std::str::from_utf8(written).unwrap_or_else(|error| panic!("not UTF-8: {error}"));
    let mut letters = text.chars();
    let mut pieces = Vec::new();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '\x1b' => match letters.next() {
                Some('[') => {
                    let mut sequence = String::new();
                    for letter in letters.by_ref() {
                        sequence.push(letter);
                        if ('\x40'..='\x7e').contains(&letter) {
                            break;
                        }
                    }
                    Piece::Csi(sequence)
                }
                Some(']') => Piece::Osc(letters.by_ref().take_while(|letter| *letter != '\x07').collect()),
                other => Piece::Escape(other.unwrap_or('\0')),
            },
            _ if letter.is_control() => Piece::Control(letter),
            _ => Piece::Text(letter),
        });
    }
    pieces
}

/// Fails on anything that is not the console's own. `bells` is how often it may ring, `title` what every title begins
/// with.
pub(crate) fn assert_only_the_consoles_own(written: &[u8], title: &str, bells: usize) {
    let mut rung = 0;
    let mut foreign = String::new();
    for piece in pieces(written) {
        let own = match &piece {
            Piece::Text(letter) => !is_active(*letter),
            Piece::Control('\x07') => {
                rung += 1;
                true
            }
            Piece::Control(letter) => matches!(letter, '\n' | '\r' | '\x08'),
            Piece::Csi(sequence) => is_own(sequence),
            Piece::Osc(text) => {
                text.strip_prefix("2;").is_some_and(|rest| rest.starts_with(title))
                    && !text.chars().any(|letter| letter.is_control() || is_active(letter))
            }
            Piece::Escape(_) => false,
        };
        if !own {
            write!(foreign, "{piece:?} ").unwrap();
        }
    }
    assert_eq!(foreign, "", "this reached the terminal");
    assert!(rung <= bells, "the bell rang {rung} times");
}

/// The sequences that the console has a use for.
fn is_own(sequence: &str) -> bool {
    let digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit() || letter == ';');
    matches!(sequence, "?1049h" | "?1049l" | "?25h" | "?25l" | "?2026h" | "?2026l" | "22;0t" | "23;0t" | "2J")
        || sequence.strip_suffix(['m', 'H', 'C']).is_some_and(digits)
}

/// Characters that show nothing themselves and change what others look like: bidi controls, invisible ones.
fn is_active(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// The numbers of every SGR sequence.
pub(crate) fn looks(written: &[u8]) -> Vec<u16> {
    pieces(written)
        .iter()
        .filter_map(|piece| match piece {
            Piece::Csi(sequence) => sequence.strip_suffix('m').map(str::to_owned),
            _ => None,
        })
        .flat_map(|numbers| {
            numbers.split(';').map(|number| number.parse().unwrap_or(0)).collect::<Vec<u16>>()
        })
        .collect()
}

#[test]
fn the_grammar_tells_foreign_sequences_apart() {
    let own = "\x1b[?2026h\x1b[2;7Hup\x1b[0;31m✗\x1b[m\n\x08\x1b[?2026l\x1b]2;warroom: DOWN\x07";
    assert_only_the_consoles_own(own.as_bytes(), "warroom", 0);
    for foreign in [
        "\x1b]0;warroom\x07",
        "\x1b]2;other\x07",
        "\x1b]52;c;eA==\x07",
        "\x1bc",
        "\x1b[6n",
        "\x1b[3J",
        "\x1b[?1000h",
        "\u{9b}31m",
        "\u{202e}",
        "a\u{200b}",
        "\x00",
        "\t",
        "\x07",
    ] {
        let caught =
            std::panic::catch_unwind(|| assert_only_the_consoles_own(foreign.as_bytes(), "warroom", 0));
        assert!(caught.is_err(), "{foreign:?} passes");
    }
}
