//! The way of a text to the clipboard of the terminal before which a person sits, over SSH too.
//!
//! The sequence is xterm's OSC 52 (Thomas Dickey, "`XTerm` Control Sequences", "Operating System Commands", `Ps = 5 2`:
//! `ESC ] 52 ; c ; base64 BEL` sets the clipboard). A terminal that refuses it says nothing.
//!
//! - tmux (tmux(1), `set-clipboard` and `allow-passthrough`) takes the sequence for its own and hands it on with the
//!   first option `on`; with the second, `ESC P tmux; ... ESC \` goes through as it is, each escape in it doubled. Which
//!   of both is set cannot be asked, so it gets both: the clipboard is set to the same text once or twice.
//! - GNU screen (screen(1), "Control Sequences": `ESC P` "outputs a string directly to the host terminal without
//!   interpretation") keeps such a string in a buffer of 768 bytes (`MAXSTR` of its sources), so it gets pieces.
//!
//! Invariant: between the frames of a sequence stand only characters of the base64 alphabet, whatever the text holds.

pub mod file;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The most bytes of base64 that are sent: hterm takes sequences of 100,000 bytes, and others fewer, but all these.
pub const LARGEST: usize = 74_994;
/// The most bytes of one piece for GNU screen, its frame included.
pub const PIECE: usize = 768;

const BEGIN: &str = "\x1b]52;c;";
const END: &str = "\x07";

/// What stands between us and the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A terminal.
    Terminal,
    /// tmux, and behind it a terminal.
    Tmux,
    /// GNU screen, and behind it a terminal.
    Screen,
    /// A terminal that is known to have no clipboard for programs.
    None,
}

impl Way {
    /// Finds out by the environment.
    #[must_use]
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let term = variable("TERM").unwrap_or_default();
        let digital =
            term.strip_prefix("vt").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if matches!(term.as_str(), "" | "dumb" | "linux") || digital {
            Self::None
        } else if set("TMUX") {
            Self::Tmux
        } else if set("STY") || term.starts_with("screen") {
            Self::Screen
        } else {
            Self::Terminal
        }
    }
}

/// What is sent to the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many bytes of the text they carry: all, or its first lines.
    pub carries: usize,
}

/// The bytes that set the clipboard to a text; `None` where there is no clipboard.
#[must_use]
pub fn sequence(text: &str, way: Way) -> Option<Sequence> {
    let text = fitting(text);
    let plain = format!("{BEGIN}{}{END}", STANDARD.encode(text));
    let bytes = match way {
        Way::None => return None,
        Way::Terminal => plain.into_bytes(),
        Way::Tmux => format!("{plain}\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b")).into_bytes(),
        Way::Screen => plain
            .as_bytes()
            .chunks(PIECE - 4)
            .flat_map(|piece| [b"\x1bP", piece, b"\x1b\\"].concat())
            .collect(),
    };
    Some(Sequence { bytes, carries: text.len() })
}

/// As many whole lines of a text as fit into [`LARGEST`]; of one endless line, what fits.
fn fitting(text: &str) -> &str {
    let most = LARGEST / 4 * 3;
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].rfind('\n').map_or(&text[..end], |line| &text[..=line])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn way(pairs: &[(&str, &str)]) -> Way {
        Way::detect(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn bytes(text: &str, way: Way) -> Vec<u8> {
        sequence(text, way).unwrap().bytes
    }

    /// What a terminal's clipboard holds after one plain sequence.
    fn decoded(sequence: &[u8]) -> String {
        let inside = sequence.strip_prefix(b"\x1b]52;c;").unwrap().strip_suffix(b"\x07").unwrap();
        String::from_utf8(STANDARD.decode(inside).unwrap()).unwrap()
    }

    #[test]
    fn the_environment_says_what_stands_between() {
        assert_eq!(way(&[("TERM", "xterm-256color")]), Way::Terminal);
        assert_eq!(way(&[("TERM", "vte-256color")]), Way::Terminal);
        assert_eq!(way(&[("TERM", "screen-256color"), ("TMUX", "/tmp/tmux-0/default,1,0")]), Way::Tmux);
        assert_eq!(way(&[("TERM", "screen-256color"), ("TMUX", "")]), Way::Screen);
        assert_eq!(way(&[("TERM", "xterm"), ("STY", "1.pts-0.host")]), Way::Screen);
        for none in ["", "dumb", "linux", "vt100", "vt220"] {
            assert_eq!(way(&[("TERM", none)]), Way::None, "{none}");
        }
        assert_eq!(sequence("x", Way::None), None);
    }

    #[test]
    fn what_is_sent_is_the_text() {
        let text = "warroom: tenant\nIVR – 東京 is DOWN\n";
        assert_eq!(decoded(&bytes(text, Way::Terminal)), text);
        assert_eq!(sequence(text, Way::Terminal).unwrap().carries, text.len());
        assert_eq!(bytes("hi", Way::Terminal), b"\x1b]52;c;aGk=\x07");
    }

    #[test]
    fn no_text_can_end_the_sequence() {
        let hostile = "\x07\x1b\\\x1b]2;owned\x07\u{9c}";
        let sent = bytes(hostile, Way::Terminal);
        assert_eq!(sent.iter().filter(|byte| matches!(byte, 0x07 | 0x1b)).count(), 2, "ours alone");
        assert_eq!(decoded(&sent), hostile);
    }

    #[test]
    fn tmux_gets_it_for_itself_and_to_hand_on() {
        let sent = bytes("hi", Way::Tmux);
        assert_eq!(sent, b"\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\");
    }

    #[test]
    fn screen_gets_pieces_that_its_buffer_holds() {
        assert_eq!(bytes("hi", Way::Screen), b"\x1bP\x1b]52;c;aGk=\x07\x1b\\");
        let text = "a line of a long summary\n".repeat(160);
        let sent = bytes(&text, Way::Screen);
        let mut joined = Vec::new();
        let mut rest = sent.as_slice();
        while let Some(begun) = rest.strip_prefix(b"\x1bP") {
            let end = begun.windows(2).position(|pair| pair == b"\x1b\\").unwrap();
            assert!(end + 4 <= PIECE, "{end}");
            joined.extend_from_slice(&begun[..end]);
            rest = &begun[end + 2..];
        }
        assert!(rest.is_empty(), "nothing stands outside a piece");
        assert_eq!(decoded(&joined), text);
    }

    #[test]
    fn a_text_that_is_too_long_ends_with_a_line() {
        let text = "0123456789 – line\n".repeat(10_000);
        let sent = sequence(&text, Way::Terminal).unwrap();
        let kept = decoded(&sent.bytes);
        assert!(sent.bytes.len() - BEGIN.len() - END.len() <= LARGEST);
        assert!(kept.ends_with("line\n") && text.starts_with(&kept), "{}", kept.len());
        assert_eq!(sent.carries, kept.len());
        let one = "é".repeat(60_000);
        assert!(one.starts_with(&decoded(&bytes(&one, Way::Terminal))));
    }
}
