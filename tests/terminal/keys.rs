//! What keys and sizes do, in the built binary.

use super::{
    platform::{Platform, answer, component},
    pty::{Plan, Session},
};

/// A console over three tiers, of which everything is up.
fn three_tiers(options: &[&str]) -> (Platform, Session) {
    let platform = Platform::start(answer("200 OK", b"x-served-by: east-1\r\n", "{}"));
    let step = "name = \"answers\"\nget = \"/\"\nexpect = ['status == 200']";
    let components =
        [("ivr", "IVR main flow", 1), ("wfm", "WFM scheduling", 2), ("arc", "Recording archive", 3)]
            .map(|(id, name, tier)| component(id, name, tier, step));
    let config = platform.config(&components.concat());
    let mut session = Session::start(Plan { config: &config, options, ..Plan::CONSOLE });
    for name in ["IVR main flow", "WFM scheduling", "Recording archive"] {
        session.until(name, |screen| {
            screen.contents().lines().any(|line| line.contains(name) && line.contains(" up "))
        });
    }
    (platform, session)
}

fn quit(mut session: Session) {
    session.press("q");
    assert_eq!(session.ended().code, 0);
    session.assert_given_back();
}

#[test]
fn help_and_palette_open_and_close() {
    let (_platform, mut session) = three_tiers(&[]);
    session.press("?");
    session.shows("Show what the keys do here");
    session.press("\x1b");
    session.hides("Show what the keys do here");
    session.press(":freeze\r");
    session.shows("FROZEN");
    session.press(" ");
    session.hides("FROZEN");
    quit(session);
}

#[test]
fn the_filter_leaves_what_was_asked_for() {
    let (_platform, mut session) = three_tiers(&[]);
    session.press("/archive\r");
    session.hides("WFM scheduling");
    session.shows("Recording archive");
    session.press("\x1b");
    session.shows("WFM scheduling");
    quit(session);
}

#[test]
fn detail_opens_and_closes() {
    let (_platform, mut session) = three_tiers(&[]);
    session.press("g\r");
    session.shows("answers");
    session.press("\x1b");
    session.shows("Tier 3");
    quit(session);
}

#[test]
fn zoom_shows_one_tier() {
    let (_platform, mut session) = three_tiers(&[]);
    session.press("g");
    session.press("z");
    session.hides("Recording archive");
    session.press("\x1b");
    session.shows("Recording archive");
    quit(session);
}

#[test]
fn a_theme_is_chosen() {
    let (_platform, mut session) = three_tiers(&["--color", "256"]);
    session.press("T");
    session.shows("colour-blind");
    session.press("\r");
    session.hides("colour-blind");
    quit(session);
}

#[test]
fn view_8_is_the_log_and_q_works_there() {
    let (_platform, mut session) = three_tiers(&[]);
    session.press("8");
    session.hides("Recording archive");
    session.press("1");
    session.shows("Recording archive");
    session.press("8");
    session.hides("Recording archive");
    quit(session);
}

/// The worst comes first, as long as it is bad.
#[test]
fn an_outage_rises_to_the_top_and_goes_again() {
    let (platform, mut session) = three_tiers(&[]);
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    session.shows("IVR main flow is DOWN");
    session.shows("status == 200 (was 503)");
    platform.answer(answer("200 OK", b"", "{}"));
    session.hides("is DOWN");
    quit(session);
}

/// Every size between a watch and a wall; nothing is drawn beside the screen, and the state is always told.
#[test]
fn every_size_says_how_things_stand() {
    let (_platform, mut session) = three_tiers(&[]);
    for (columns, rows) in [(20, 5), (200, 60), (59, 24), (60, 15), (80, 24), (1, 1), (120, 40), (80, 14)] {
        session.resize(columns, rows);
        let full = columns >= 60 && rows >= 15;
        session.until(&format!("screen of {columns}×{rows}"), |screen| {
            let shown = screen.contents();
            let lines = shown.lines().filter(|line| !line.trim().is_empty()).count();
            match (columns, full) {
                (1, _) => true,
                (_, true) => shown.contains("Tier 1") && lines > 5,
                _ => lines == 1 && shown.contains("up"),
            }
        });
    }
    session.resize(80, 24);
    session.shows("Recording archive");
    quit(session);
}
