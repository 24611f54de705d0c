//! Writing text into a part of the screen.
//!
//! Invariants: every text is cleaned here; nothing is written outside the area; coordinates count from its corner.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::console::{
    text,
    theme::{Role, Theme},
};

/// A part of the screen, and how it looks.
pub(super) struct Ink<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    pub(super) theme: &'a Theme,
}

impl<'a> Ink<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, area: Rect, theme: &'a Theme) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area, theme }
    }

    /// A smaller part, in the screen's coordinates.
    pub(super) fn part(&mut self, area: Rect) -> Ink<'_> {
        Ink { area: area.intersection(self.area), buffer: self.buffer, theme: self.theme }
    }

    pub(super) const fn area(&self) -> Rect {
        self.area
    }

    pub(super) const fn width(&self) -> u16 {
        self.area.width
    }

    pub(super) const fn height(&self) -> u16 {
        self.area.height
    }

    pub(super) const fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Writes a text, cut with an ellipsis at the right edge; returns the column after it.
    pub(super) fn put(&mut self, x: u16, y: u16, content: &str, style: Style) -> u16 {
        self.put_within(x, y, self.area.width.saturating_sub(x), content, style)
    }

    /// Writes a text into at most `cells`; returns the column after it.
    pub(super) fn put_within(&mut self, x: u16, y: u16, cells: u16, content: &str, style: Style) -> u16 {
        let cleaned = text::clean(content, self.theme.symbols);
        let fitted = text::cut(&cleaned, self.room(x, cells), self.theme.symbols);
        self.put_fitted(x, y, &fitted, style)
    }

    /// Writes a component's name into at most `cells`, cut in its middle; returns the column after it.
    pub(super) fn put_name(&mut self, x: u16, y: u16, cells: u16, name: &str, style: Style) -> u16 {
        let cleaned = text::clean(name, self.theme.symbols);
        let fitted = text::cut_middle(&cleaned, self.room(x, cells), self.theme.symbols);
        self.put_fitted(x, y, &fitted, style)
    }

    fn room(&self, x: u16, cells: u16) -> usize {
        usize::from(cells.min(self.area.width.saturating_sub(x)))
    }

    fn put_fitted(&mut self, x: u16, y: u16, fitted: &str, style: Style) -> u16 {
        let room = self.room(x, u16::MAX);
        if y >= self.area.height || room == 0 {
            return x;
        }
        let (end, _) = self.buffer.set_stringn(self.area.x + x, self.area.y + y, fitted, room, style);
        end - self.area.x
    }

    /// Writes a text so that it ends at the right edge; returns the column at which it begins.
    pub(super) fn put_right(&mut self, y: u16, content: &str, style: Style) -> u16 {
        let cleaned = text::clean(content, self.theme.symbols);
        let cells = u16::try_from(text::width(&cleaned)).unwrap_or(u16::MAX).min(self.area.width);
        let x = self.area.width - cells;
        self.put(x, y, &cleaned, style);
        x
    }

    /// A rule over the whole width, with a title in it; returns the column after the title.
    pub(super) fn rule(&mut self, y: u16, title: &str, style: Style) -> u16 {
        self.rule_plain(y);
        self.put(1, y, &format!(" {title} "), style)
    }

    /// A rule over the whole width.
    pub(super) fn rule_plain(&mut self, y: u16) {
        let line = self.theme.symbols.rule.repeat(usize::from(self.area.width));
        self.put(0, y, &line, self.style(Role::Rule));
    }

    /// Empties the area.
    pub(super) fn clear(&mut self) {
        let blank = " ".repeat(usize::from(self.area.width));
        for y in 0..self.area.height {
            self.buffer.set_string(self.area.x, self.area.y + y, &blank, Style::reset());
        }
        self.buffer.set_style(self.area, self.theme.style(Role::Text));
    }

    /// Adds a style to a piece of a line.
    pub(super) fn restyle(&mut self, x: u16, y: u16, cells: u16, style: Style) {
        let piece = Rect { x: self.area.x + x, y: self.area.y + y, width: cells, height: 1 };
        self.buffer.set_style(piece.intersection(self.area), style);
    }
}

/// A bar of `cells` of which `share` (0 to 1) is full.
pub(super) fn bar(theme: &Theme, share: f64, cells: usize) -> String {
    let symbols = theme.symbols;
    let eighths = (share.clamp(0.0, 1.0) * cells as f64 * 8.0).floor() as usize;
    let (full, part) = (eighths / 8, eighths % 8);
    let mut bar = symbols.bar_full.repeat(full);
    let mut used = full;
    if part > 0 {
        bar.push_str(symbols.bar_parts[part - 1]);
        used += 1;
    }
    bar.push_str(&symbols.bar_empty.repeat(cells.saturating_sub(used)));
    bar
}
