//! How many colours the terminal has, and what becomes of a colour that it has not.

use ratatui::style::Color;

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// As the terminal's environment says; `NO_COLOR` is obeyed.
    #[default]
    Auto,
    /// No colour codes at all; bold, reverse, dim and underline stay.
    Never,
    /// The sixteen colours of the terminal's own palette.
    Ansi16,
    /// The 256-colour palette.
    Ansi256,
    /// 24 bits.
    True,
}

/// How many colours reach the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None.
    Mono,
    /// Sixteen.
    Ansi16,
    /// 256.
    Ansi256,
    /// 24 bits.
    True,
}

impl Depth {
    /// The depth that a choice means in this environment. `variable` looks up an environment variable.
    #[must_use]
    pub fn detect(choice: ColorChoice, variable: impl Fn(&str) -> Option<String>) -> Self {
        match choice {
            ColorChoice::Never => return Self::Mono,
            ColorChoice::Ansi16 => return Self::Ansi16,
            ColorChoice::Ansi256 => return Self::Ansi256,
            ColorChoice::True => return Self::True,
            ColorChoice::Auto => {}
        }
        // https://no-color.org: any value that is not empty.
        if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            return Self::Mono;
        }
        let term = variable("TERM").unwrap_or_default();
        let color_term = variable("COLORTERM").unwrap_or_default();
        if term.is_empty() || term == "dumb" || term.starts_with("vt") {
            Self::Mono
        } else if matches!(color_term.as_str(), "truecolor" | "24bit") || term.ends_with("-direct") {
            Self::True
        } else if term.contains("256color") || term.contains("kitty") || term.contains("alacritty") {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }

    /// The nearest colour that this depth has; [`Color::Reset`] is the terminal's own.
    #[must_use]
    pub fn reduce(self, color: Color) -> Color {
        match (self, color) {
            (Self::Mono, _) => Color::Reset,
            (Self::Ansi256, Color::Rgb(red, green, blue)) => Color::Indexed(nearest_256(red, green, blue)),
            (Self::Ansi16, Color::Rgb(red, green, blue)) => nearest_16(red, green, blue),
            (Self::Ansi16, Color::Indexed(index @ 0..16)) => ANSI[usize::from(index)].0,
            (Self::Ansi16, Color::Indexed(index)) => {
                let (red, green, blue) = rgb_of(index);
                nearest_16(red, green, blue)
            }
            (_, other) => other,
        }
    }
}

/// The sixteen colours as xterm shows them.
const ANSI: [(Color, (u8, u8, u8)); 16] = [
    (Color::Black, (0, 0, 0)),
    (Color::Red, (205, 0, 0)),
    (Color::Green, (0, 205, 0)),
    (Color::Yellow, (205, 205, 0)),
    (Color::Blue, (0, 0, 238)),
    (Color::Magenta, (205, 0, 205)),
    (Color::Cyan, (0, 205, 205)),
    (Color::Gray, (229, 229, 229)),
    (Color::DarkGray, (127, 127, 127)),
    (Color::LightRed, (255, 0, 0)),
    (Color::LightGreen, (0, 255, 0)),
    (Color::LightYellow, (255, 255, 0)),
    (Color::LightBlue, (92, 92, 255)),
    (Color::LightMagenta, (255, 0, 255)),
    (Color::LightCyan, (0, 255, 255)),
    (Color::White, (255, 255, 255)),
];

/// The steps of the 6×6×6 cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn distance(one: (u8, u8, u8), other: (u8, u8, u8)) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    // Weighted as the eye does; green counts most.
    2 * square(one.0, other.0) + 4 * square(one.1, other.1) + 3 * square(one.2, other.2)
}

fn nearest_16(red: u8, green: u8, blue: u8) -> Color {
    ANSI.iter()
        .min_by_key(|(_, shown)| distance((red, green, blue), *shown))
        .map_or(Color::Reset, |(color, _)| *color)
}

fn nearest_256(red: u8, green: u8, blue: u8) -> u8 {
    (16..=255).min_by_key(|index| distance((red, green, blue), rgb_of(*index))).unwrap_or(15)
}

fn rgb_of(index: u8) -> (u8, u8, u8) {
    match index {
        0..16 => ANSI[usize::from(index)].1,
        16..232 => {
            let place = usize::from(index - 16);
            (CUBE[place / 36], CUBE[place / 6 % 6], CUBE[place % 6])
        }
        232.. => {
            let grey = 8 + (index - 232) * 10;
            (grey, grey, grey)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(choice: ColorChoice, pairs: &[(&str, &str)]) -> Depth {
        Depth::detect(choice, |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_decides_unless_told() {
        assert_eq!(detect(ColorChoice::Auto, &[("TERM", "xterm-256color")]), Depth::Ansi256);
        assert_eq!(detect(ColorChoice::Auto, &[("TERM", "xterm"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(detect(ColorChoice::Auto, &[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Depth::Mono);
        assert_eq!(detect(ColorChoice::Auto, &[("TERM", "xterm"), ("NO_COLOR", "")]), Depth::Ansi16);
        assert_eq!(detect(ColorChoice::Auto, &[]), Depth::Mono);
        assert_eq!(detect(ColorChoice::True, &[("NO_COLOR", "1")]), Depth::True);
    }

    #[test]
    fn a_colour_stays_the_same_colour() {
        assert_eq!(Depth::Ansi16.reduce(Color::Rgb(250, 20, 20)), Color::LightRed);
        assert_eq!(Depth::Ansi16.reduce(Color::Indexed(1)), Color::Red);
        assert_eq!(Depth::Ansi256.reduce(Color::Rgb(255, 135, 0)), Color::Indexed(208));
        assert_eq!(Depth::Mono.reduce(Color::Red), Color::Reset);
        assert_eq!(Depth::True.reduce(Color::Rgb(1, 2, 3)), Color::Rgb(1, 2, 3));
    }
}
