//! What the terminal is spared: colours that were not wanted, characters that it cannot show, frames that say nothing.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::{
    platform::{Platform, answer, component},
    pty::{Plan, Session},
    stream::{Piece, looks, pieces},
};

/// Everything that the console shows while one component is down and another up; its bytes.
fn bytes_of(options: &[&str], environment: &[(&str, &str)]) -> Vec<u8> {
    let platform = Platform::start(answer("200 OK", "x-served-by: Zürich–東京\r\n".as_bytes(), "{}"));
    let up = component("ivr", "IVR – Zürich 東京", 1, "get = \"/\"\nexpect = ['status == 200']");
    let down = component("wfm", "WFM", 2, "get = \"/\"\nexpect = ['status == 404']");
    let served = "[components.failover]\nserved_by = 'headers[\"x-served-by\"]'\n";
    let config = platform.config(&format!("{up}{served}{down}"));
    let mut session =
        Session::start(Plan { config: &config, options, environment, size: (120, 40), ..Plan::CONSOLE });
    session.shows("1 of 1 up");
    session.shows("down");
    session.press("?");
    session.shows("Show what the keys do here");
    // An escape that is followed at once would be another key.
    session.press("\x1b");
    session.hides("Show what the keys do here");
    session.press("g\r");
    session.press("8");
    session.press("1");
    session.press("q");
    assert_eq!(session.ended().code, 0);
    session.written.clone()
}

/// 30–38, 40–48 and the bright ones; 39 and 49 are the terminal's own.
fn is_colour(number: u16) -> bool {
    matches!(number, 30..=38 | 40..=48 | 90..=97 | 100..=107)
}

#[test]
fn no_color_and_never_write_no_colour() {
    let asked = [
        (&["--color", "never"][..], &[][..]),
        (&[], &[("NO_COLOR", "1")]),
        (&["--color", "never", "--theme", "dark"], &[("COLORTERM", "truecolor")]),
    ];
    for (options, environment) in asked {
        let numbers = looks(&bytes_of(options, environment));
        assert!(!numbers.is_empty(), "not even bold");
        let colours: Vec<u16> = numbers.into_iter().filter(|number| is_colour(*number)).collect();
        assert!(colours.is_empty(), "{options:?} {environment:?}: {colours:?}");
    }
}

#[test]
fn colours_are_those_that_were_asked_for() {
    let numbers = looks(&bytes_of(&["--color", "16"], &[]));
    assert!(numbers.iter().any(|number| is_colour(*number)));
    assert!(!numbers.iter().any(|number| matches!(number, 38 | 48)), "more than sixteen");
}

#[test]
fn ascii_is_ascii() {
    let written = bytes_of(&["--ascii"], &[]);
    let foreign: String = pieces(&written)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Text(letter) if !letter.is_ascii() => Some(letter),
            _ => None,
        })
        .collect();
    assert_eq!(foreign, "");
    assert!(written.is_ascii(), "a title is more than ASCII");
}

/// A screen that wakes its terminal for nothing wears out batteries and SSH links: with nothing to tell, nothing is
/// written. (The clock in the header moves once a minute; the silence is looked for between two minutes.)
#[test]
fn nothing_changed_means_nothing_written() {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let config = platform.config(&component("arc", "Archive", 3, "get = \"/\"\nexpect = ['status == 200']"));
    let mut session = Session::start(Plan { config: &config, ..Plan::CONSOLE });
    session.shows("1 of 1 up");
    assert!(session.falls_silent_for(Duration::from_secs(5)), "it writes at least every five seconds");
    session.press("q");
    assert_eq!(session.ended().code, 0);
}

/// What is probed on time is never called old: frames of other causes must not put off what the engine has told.
#[test]
fn what_is_probed_on_time_is_never_called_old() {
    let platform = Platform::start(answer("200 OK", b"", "{}"));
    let components: String = (0..12)
        .map(|number| component(&format!("c{number}"), &format!("Component {number}"), 1, "get = \"/\""))
        .collect();
    let config = platform.config(&components);
    let mut session = Session::start(Plan { config: &config, ..Plan::CONSOLE });
    session.shows("12 of 12 up");
    let (begun, old) = (Instant::now(), Cell::new(false));
    session.until("six seconds of probes", |screen| {
        old.set(old.get() || screen.contents().contains("not seen"));
        begun.elapsed() > Duration::from_secs(6)
    });
    assert!(!old.get(), "a component that is probed every second was called old");
    session.press("q");
    assert_eq!(session.ended().code, 0);
}
