//! The way from ratatui's cells to the terminal: a frame becomes one write of as few bytes as possible.
//!
//! Invariants: nothing is written when nothing changed; every frame is one write, inside a synchronised update; colours
//! are reduced here and nowhere else; no control or bidi character passes, whatever a view drew.

use std::io;

use ratatui::{
    backend::{Backend, ClearType, WindowSize},
    buffer::{Cell, CellWidth},
    layout::{Position, Size},
    style::{Color, Modifier},
};

use super::{color::Depth, text::is_unsafe};

/// Where finished frames go: everything is written, or the terminal is gone.
pub trait Sink {
    /// Writes one frame.
    fn write(&mut self, frame: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        self.extend_from_slice(frame);
        Ok(())
    }
}

/// Begin and end of a synchronised update; terminals that do not know it ignore it.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// How a cell looks to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Look {
    const PLAIN: Self = Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };
}

/// A ratatui backend that writes no more than it must.
#[derive(Debug)]
pub struct LeanBackend<S> {
    sink: S,
    depth: Depth,
    size: Size,
    frame: Vec<u8>,
    /// What the terminal draws with now; `None` when that is not known.
    look: Option<Look>,
    /// Where the terminal's cursor stands; `None` when that is not known.
    cursor: Option<(u16, u16)>,
}

impl<S: Sink> LeanBackend<S> {
    /// A backend for a terminal of this size, about whose state nothing is known yet.
    pub const fn new(sink: S, depth: Depth, size: Size) -> Self {
        Self { sink, depth, size, frame: Vec::new(), look: None, cursor: None }
    }

    /// The terminal has another size now.
    pub const fn resize(&mut self, size: Size) {
        self.size = size;
    }

    /// Forgets what is known of the terminal's state, after somebody else wrote to it.
    pub const fn forget(&mut self) {
        self.look = None;
        self.cursor = None;
    }

    /// Adds bytes that draw nothing (a title, a bell) to the next flush.
    pub fn append(&mut self, bytes: &[u8]) {
        self.frame.extend_from_slice(bytes);
    }

    /// Where the frames went.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    /// Where the frames go.
    pub const fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn number(&mut self, number: u16) {
        let mut digits = [0_u8; 5];
        let mut left = number;
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.frame.extend_from_slice(&digits[start..]);
    }

    fn move_to(&mut self, x: u16, y: u16) {
        match self.cursor {
            Some(position) if position == (x, y) => return,
            Some((column, row)) if row == y && column < x => {
                self.frame.extend_from_slice(b"\x1b[");
                if x - column > 1 {
                    self.number(x - column);
                }
                self.frame.push(b'C');
            }
            // The line feed keeps the column (the terminal is in raw mode), and never scrolls: the row exists.
            Some((column, row)) if y > row && y - row <= 3 && column >= x && column - x <= 4 => {
                self.frame.extend(std::iter::repeat_n(b'\n', usize::from(y - row)));
                self.frame.extend(std::iter::repeat_n(b'\x08', usize::from(column - x)));
            }
            _ => {
                self.frame.extend_from_slice(b"\x1b[");
                self.number(y + 1);
                if x > 0 {
                    self.frame.push(b';');
                    self.number(x + 1);
                }
                self.frame.push(b'H');
            }
        }
        self.cursor = Some((x, y));
    }

    /// Switches from the look the terminal draws with to another, with one sequence.
    fn draw_with(&mut self, wanted: Look) {
        let Some(current) = self.look else {
            self.frame.extend_from_slice(b"\x1b[0");
            self.add_attributes(wanted.modifier, false);
            self.add_colors(Look::PLAIN, wanted, false);
            self.frame.push(b'm');
            self.look = Some(wanted);
            return;
        };
        if current == wanted {
            return;
        }
        self.frame.extend_from_slice(b"\x1b[");
        if wanted == Look::PLAIN {
            // A bare `m` resets everything.
        } else if current.modifier.difference(wanted.modifier).is_empty() {
            let first = self.add_attributes(wanted.modifier.difference(current.modifier), true);
            self.add_colors(current, wanted, first);
        } else {
            // Taking attributes away one by one is longer than starting again.
            self.frame.push(b'0');
            self.add_attributes(wanted.modifier, false);
            self.add_colors(Look::PLAIN, wanted, false);
        }
        self.frame.push(b'm');
        self.look = Some(wanted);
    }

    fn parameter(&mut self, number: u16, first: bool) {
        if !first {
            self.frame.push(b';');
        }
        self.number(number);
    }

    fn add_attributes(&mut self, attributes: Modifier, mut first: bool) -> bool {
        const CODES: [(Modifier, u16); 6] = [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::ITALIC, 3),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
            (Modifier::CROSSED_OUT, 9),
        ];
        for (attribute, code) in CODES {
            if attributes.contains(attribute) {
                self.parameter(code, first);
                first = false;
            }
        }
        first
    }

    fn add_colors(&mut self, current: Look, wanted: Look, mut first: bool) {
        if current.fg != wanted.fg {
            self.color(wanted.fg, 30, first);
            first = false;
        }
        if current.bg != wanted.bg {
            self.color(wanted.bg, 40, first);
        }
    }

    /// The parameters of one colour; `base` is 30 for the foreground and 40 for the background.
    fn color(&mut self, color: Color, base: u16, first: bool) {
        let code = match color {
            Color::Reset => base + 9,
            Color::Black => base,
            Color::Red => base + 1,
            Color::Green => base + 2,
            Color::Yellow => base + 3,
            Color::Blue => base + 4,
            Color::Magenta => base + 5,
            Color::Cyan => base + 6,
            Color::Gray => base + 7,
            Color::DarkGray => base + 60,
            Color::LightRed => base + 61,
            Color::LightGreen => base + 62,
            Color::LightYellow => base + 63,
            Color::LightBlue => base + 64,
            Color::LightMagenta => base + 65,
            Color::LightCyan => base + 66,
            Color::White => base + 67,
            Color::Indexed(index) => {
                self.parameter(base + 8, first);
                self.parameter(5, false);
                self.parameter(u16::from(index), false);
                return;
            }
            Color::Rgb(red, green, blue) => {
                self.parameter(base + 8, first);
                self.parameter(2, false);
                for part in [red, green, blue] {
                    self.parameter(u16::from(part), false);
                }
                return;
            }
        };
        self.parameter(code, first);
    }

    fn put(&mut self, x: u16, y: u16, cell: &Cell) {
        let symbol = cell.symbol();
        let width = symbol.cell_width().max(1);
        // A wide character that does not fit would wrap into the next row.
        let (symbol, width) = if symbol.is_empty() || x + width > self.size.width {
            (" ", 1)
        } else if symbol.chars().any(is_unsafe) {
            ("?", 1)
        } else {
            (symbol, width)
        };
        let mut look =
            Look { fg: self.depth.reduce(cell.fg), bg: self.depth.reduce(cell.bg), modifier: cell.modifier };
        // On a blank, colour and weight of the foreground cannot be seen: whatever is set may stay.
        if symbol == " "
            && let Some(current) = self.look
        {
            let visible = Modifier::REVERSED | Modifier::UNDERLINED | Modifier::CROSSED_OUT;
            if current.bg == look.bg && !(current.modifier | look.modifier).intersects(visible) {
                look = current;
            }
        }
        self.move_to(x, y);
        self.draw_with(look);
        self.frame.extend_from_slice(symbol.as_bytes());
        // After the last column the cursor's place differs between terminals.
        self.cursor = (x + width < self.size.width).then_some((x + width, y));
    }
}

impl<S: Sink> Backend for LeanBackend<S> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // Somebody else may have moved the cursor between two frames.
        self.cursor = None;
        let mut started = false;
        for (x, y, cell) in content {
            if x >= self.size.width || y >= self.size.height {
                continue;
            }
            if !started {
                self.frame.extend_from_slice(BEGIN);
                started = true;
            }
            self.put(x, y, cell);
        }
        if started {
            self.frame.extend_from_slice(END);
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        // Hidden once when the terminal is entered; no view shows it.
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, _position: P) -> io::Result<()> {
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.frame.extend_from_slice(b"\x1b[m\x1b[2J");
        self.look = Some(Look::PLAIN);
        self.cursor = None;
        Ok(())
    }

    fn clear_region(&mut self, _clear_type: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let written = self.sink.write(&self.frame);
        self.frame.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use ratatui::{Terminal, style::Style};

    use super::*;

    fn terminal(depth: Depth) -> Terminal<LeanBackend<Vec<u8>>> {
        Terminal::new(LeanBackend::new(Vec::new(), depth, Size::new(20, 4))).unwrap()
    }

    fn draw(terminal: &mut Terminal<LeanBackend<Vec<u8>>>, pieces: &[(u16, u16, &str, Style)]) -> String {
        terminal.backend_mut().sink_mut().clear();
        terminal
            .draw(|frame| {
                for (x, y, text, style) in pieces {
                    frame.buffer_mut().set_string(*x, *y, text, *style);
                }
            })
            .unwrap();
        String::from_utf8(terminal.backend().sink().clone()).unwrap()
    }

    #[test]
    fn an_unchanged_screen_writes_nothing() {
        let mut terminal = terminal(Depth::True);
        let pieces = [(0, 0, "hello", Style::new().fg(Color::Red))];
        assert!(!draw(&mut terminal, &pieces).is_empty());
        assert_eq!(draw(&mut terminal, &pieces), "");
    }

    #[test]
    fn without_colours_no_colour_code_is_written_but_weight_stays() {
        let mut terminal = terminal(Depth::Mono);
        let style = Style::new().fg(Color::Rgb(1, 2, 3)).bg(Color::Blue).add_modifier(Modifier::BOLD);
        let written = draw(&mut terminal, &[(0, 0, "x", style)]);
        assert_eq!(written, "\x1b[?2026h\x1b[1H\x1b[0;1mx\x1b[?2026l");
    }

    #[test]
    fn a_column_of_numbers_costs_a_few_bytes_a_row() {
        let mut terminal = terminal(Depth::Ansi16);
        let rows = |number: &'static str| [0, 1, 2, 3].map(|row| (6, row, number, Style::new()));
        draw(&mut terminal, &rows("38"));
        let written = draw(&mut terminal, &rows("41"));
        assert_eq!(written, "\x1b[?2026h\x1b[1;7H41\n\x08\x0841\n\x08\x0841\n\x08\x0841\x1b[?2026l");
    }

    #[test]
    fn a_style_is_left_without_resetting_what_stays() {
        let mut terminal = terminal(Depth::Ansi16);
        let bold = Style::new().fg(Color::Red);
        let more = bold.add_modifier(Modifier::BOLD);
        let written = draw(&mut terminal, &[(0, 0, "a", bold), (1, 0, "b", more), (2, 0, "c", Style::new())]);
        assert_eq!(written, "\x1b[?2026h\x1b[1H\x1b[0;31ma\x1b[1mb\x1b[mc\x1b[?2026l");
    }

    #[test]
    fn a_control_character_that_a_view_let_through_is_stopped() {
        let mut terminal = terminal(Depth::Mono);
        terminal
            .draw(|frame| {
                frame.buffer_mut()[(0, 0)].set_symbol("\u{1b}]0;x\u{7}");
                frame.buffer_mut()[(1, 0)].set_symbol("\u{202e}");
            })
            .unwrap();
        let written = String::from_utf8(terminal.backend().sink().clone()).unwrap();
        assert!(!written.contains("\x1b]") && !written.contains('\u{202e}'), "{written:?}");
    }

    #[test]
    fn the_last_column_is_followed_by_an_absolute_move() {
        let mut terminal = terminal(Depth::Mono);
        let written = draw(&mut terminal, &[(19, 0, "a", Style::new()), (0, 1, "b", Style::new())]);
        assert_eq!(written, "\x1b[?2026h\x1b[1;20H\x1b[0ma\x1b[2Hb\x1b[?2026l");
    }
}
