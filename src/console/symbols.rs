//! Every glyph that the screen draws, once for Unicode and once for plain ASCII.
//!
//! Invariant: no other file of this room holds a glyph literal; text written elsewhere is plain ASCII, and
//! [`Symbols::plain`] turns what the domain or a platform wrote into what this set can show.

/// One set of glyphs, each one cell wide but `at_most` and `plus_minus` in ASCII.
#[derive(Debug, PartialEq, Eq)]
pub struct Symbols {
    /// Whether only ASCII may reach the screen.
    pub ascii: bool,
    /// `up`.
    pub up: &'static str,
    /// `degraded`.
    pub degraded: &'static str,
    /// `down`.
    pub down: &'static str,
    /// `blind`.
    pub blind: &'static str,
    /// Not run, not observed, not supported.
    pub not_run: &'static str,
    /// Somebody looks after the outage.
    pub acknowledged: &'static str,
    /// The row on which the cursor stands.
    pub selected: &'static str,
    /// A full cell of a bar.
    pub bar_full: &'static str,
    /// Seven eighths of a cell downwards to one: `bar_parts[0]` is one eighth.
    pub bar_parts: [&'static str; 7],
    /// An empty cell of a bar.
    pub bar_empty: &'static str,
    /// Left end of a gauge.
    pub gauge_left: &'static str,
    /// Right end of a gauge.
    pub gauge_right: &'static str,
    /// Heights of a sparkline, lowest first.
    pub spark: [&'static str; 8],
    /// A slice of time of which nothing is known.
    pub spark_gap: &'static str,
    /// A horizontal rule.
    pub rule: &'static str,
    /// A vertical rule.
    pub bar: &'static str,
    /// Between two words of a title.
    pub dot: &'static str,
    /// What was cut off.
    pub ellipsis: &'static str,
    /// Leads to.
    pub arrow: &'static str,
    /// From, to.
    pub range: &'static str,
    /// At most.
    pub at_most: &'static str,
    /// Plus or minus.
    pub plus_minus: &'static str,
    /// In place of a character that may not be shown.
    pub replaced: &'static str,
}

/// The Unicode set.
pub static UNICODE: Symbols = Symbols {
    ascii: false,
    up: "●",
    degraded: "◐",
    down: "✗",
    blind: "◌",
    not_run: "·",
    acknowledged: "✓",
    selected: "▸",
    bar_full: "█",
    bar_parts: ["▏", "▎", "▍", "▌", "▋", "▊", "▉"],
    bar_empty: "·",
    gauge_left: "▐",
    gauge_right: "▌",
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    spark_gap: " ",
    rule: "─",
    bar: "│",
    dot: "·",
    ellipsis: "…",
    arrow: "→",
    range: "–",
    at_most: "≤",
    plus_minus: "±",
    replaced: "\u{fffd}",
};

/// The ASCII set, for `--ascii`.
pub static ASCII: Symbols = Symbols {
    ascii: true,
    up: "*",
    degraded: "~",
    down: "X",
    blind: "o",
    not_run: ".",
    acknowledged: "+",
    selected: ">",
    bar_full: "#",
    bar_parts: ["-", "-", "-", "=", "=", "=", "="],
    bar_empty: ".",
    gauge_left: "[",
    gauge_right: "]",
    spark: ["_", "_", ".", "-", "-", "=", "=", "#"],
    spark_gap: " ",
    rule: "-",
    bar: "|",
    dot: ".",
    ellipsis: "~",
    arrow: ">",
    range: "-",
    at_most: "<=",
    plus_minus: "+-",
    replaced: "?",
};

/// What is said rather than drawn, for the line mode: words where the others have signs.
pub static SPOKEN: Symbols = Symbols {
    ascii: false,
    arrow: "to",
    range: "to",
    at_most: "at most",
    plus_minus: "plus or minus",
    ..ASCII
};

/// The same where only ASCII may be written.
pub static SPOKEN_ASCII: Symbols = Symbols { ascii: true, ..SPOKEN };

impl Symbols {
    /// How a character is written in this set; `None` when it can be shown as it is.
    #[must_use]
    pub const fn plain(&self, character: char) -> Option<&'static str> {
        if !self.ascii || character.is_ascii() {
            return None;
        }
        Some(match character {
            '–' | '—' | '−' | '─' => "-",
            '·' | '•' => ".",
            '≤' => "<=",
            '≥' => ">=",
            '±' => "+-",
            '…' => "...",
            '→' => "->",
            '×' => "x",
            '‘' | '’' => "'",
            '“' | '”' => "\"",
            '\u{a0}' => " ",
            _ => "?",
        })
    }
}
