//! Where a subcommand writes: results to standard output, words to standard error. The only place that prints.

use std::io::{self, ErrorKind, Write};

/// The two streams of a process.
pub struct Output {
    results: Box<dyn Write + Send>,
    words: Box<dyn Write + Send>,
    /// Whether results may wait in the buffer.
    waiting: bool,
}

impl Output {
    /// The process's own streams.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(Box::new(io::BufWriter::new(io::stdout())), Box::new(io::stderr()))
    }

    /// Other streams, for tests.
    #[must_use]
    pub fn new(results: Box<dyn Write + Send>, words: Box<dyn Write + Send>) -> Self {
        Self { results, words, waiting: false }
    }

    /// Writes a line of results, without what could move a cursor or reorder the line. It may stay in a buffer until
    /// [`Output::flush`].
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.waiting = true;
        self.results.write_all(plain(text).as_bytes())?;
        self.results.write_all(b"\n")
    }

    /// Writes one JSON value as one line; control and bidi characters in its texts are escaped, so nothing is lost.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        self.waiting = true;
        self.results.write_all(escaped(&text).as_bytes())?;
        self.results.write_all(b"\n")
    }

    /// The stream of results itself, for a generator that writes its own lines.
    pub fn results(&mut self) -> &mut (dyn Write + Send) {
        self.waiting = true;
        &mut *self.results
    }

    /// Sends the results on their way. Without any the stream is left alone: another thread may be stuck in it, with a
    /// reader who has stopped reading.
    pub fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.waiting) { self.results.flush() } else { Ok(()) }
    }

    /// Tells a person something. A standard error that nobody reads any more is no reason to fail.
    pub fn words(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.words, "{}", plain(line));
        }
        let _ = self.words.flush();
    }
}

/// Whether the error is that of a reader who has closed its end.
#[must_use]
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// Control characters, and those that reorder a line.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
        )
}

/// The text, with what could move a cursor or reorder the line replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|character| if is_active(character) { '\u{FFFD}' } else { character }).collect()
}

fn escaped(json: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_active(character) {
            // Writing to a string cannot fail; every such character lies in the first plane.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn foreign_text_cannot_reach_the_terminal_as_a_command() {
        assert_eq!(plain("a\x1b[2Jb\u{202E}c\u{9b}d"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d");
    }

    #[test]
    fn json_keeps_every_character_and_escapes_the_active_ones() {
        let foreign = "x\u{202E}y\u{9b}z\u{7f}";
        let line = escaped(&serde_json::to_string(foreign).unwrap());
        assert_eq!(line, r#""x\u202ey\u009bz\u007f""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), foreign);
    }
}
