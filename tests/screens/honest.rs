//! What a screen must neither hide nor make look better than it is.

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use warroom::{
    console::{
        color::ColorChoice,
        keys::{self, KeyMap},
        message::{Effect, Message},
    },
    domain::{Phase, Status, Verdict, record::ClockState},
};

use super::scene::{Scene, eight, many};

const REASON: &str = "flow status: status == 200 (was 503)";

fn down(scene: &mut Scene, id: &str, reason: &str) {
    scene.probe(id, Verdict::Down, 42.0, Some(reason));
    let outage = scene.outage(Verdict::Down, reason);
    scene.phase(id, Phase::Down, Some(outage));
}

fn line<'a>(screen: &'a str, holds: &str) -> &'a str {
    screen.lines().find(|line| line.contains(holds)).unwrap_or_else(|| panic!("no `{holds}`\n{screen}"))
}

fn ctrl(scene: &mut Scene, letter: char) -> Vec<Effect> {
    scene.message(Message::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)))
}

#[test]
fn a_throttled_platform_is_not_up() {
    let mut scene = Scene::new(many(30), "default", ColorChoice::Ansi16, false);
    scene.all_up();
    scene.throttle("edge", Some(4_000));
    scene.probe("c0", Verdict::Blind, 9.0, Some("flow status: 429"));
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let screen = scene.text(width, height);
        assert!(line(&screen, "Tier 1").contains("0 of 10 up, 10 not seen"), "{screen}");
        assert!(line(&screen, "Component 003").contains("up?"), "{screen}");
        for row in screen.lines().filter(|line| line.contains("◌ Component") || line.contains("● Component"))
        {
            assert!(
                row.contains("throttled, retry in 4 s") || (width < 200 && row.contains("retry in 4 s")),
                "{screen}"
            );
        }
    }
    assert!(scene.text(200, 60).contains("throttled, retry in 4 s"));
}

#[test]
fn old_values_are_not_up() {
    let mut scene = Scene::eight();
    scene.all_up().pass(10_500);
    let screen = scene.text(80, 24);
    assert!(line(&screen, "Tier 1").contains("0 of 4 up, 4 not seen"), "{screen}");
    assert!(line(&screen, "Tier 2").contains("2 of 2 up"), "{screen}");
}

/// Who is looked at less often because the rate budget is short must say so, and is not old before its next probe is due.
#[test]
fn a_stretched_component_says_so_and_is_not_old_meanwhile() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.stretch("genesys", "ivr", 5_000, 11_000);
    scene.pass(10_500);
    for (width, height) in [(120, 40), (200, 60)] {
        let screen = scene.text(width, height);
        let notice = "genesys: the rate budget is short: IVR main flow probed every 11 s, not 5 s";
        assert!(line(&screen, "the rate budget is short").contains(notice), "{screen}");
        assert!(line(&screen, "Tier 1").contains("1 of 4 up, 3 not seen"), "{screen}");
        let row = line(&screen, "● IVR main flow");
        assert!(row.contains("every 11 s") && !row.contains("up?"), "{screen}");
    }
    scene.key(KeyCode::Enter);
    let screen = scene.text(120, 40);
    let detail = "probed every 11 s, not 5 s: the rate budget of platform genesys is short";
    assert!(screen.contains(detail), "{screen}");
    scene.key(KeyCode::Esc);
    scene.pass(12_000);
    let screen = scene.text(120, 40);
    assert!(line(&screen, "Tier 1").contains("0 of 4 up, 4 not seen"), "{screen}");
}

fn long_names() -> Scene {
    let mut cards = eight();
    cards[0].name = "Inbound voice journey of the retail bank in Frankfurt, primary region".into();
    cards[1].name = "Inbound voice journey of the retail bank in Dublin, secondary region".into();
    let mut scene = Scene::new(cards, "default", ColorChoice::Ansi16, false);
    scene.all_up();
    scene
}

#[test]
fn a_long_name_does_not_push_the_state_out_of_the_banner() {
    let mut scene = long_names();
    down(&mut scene, "ivr", REASON);
    for millis in [12_000, 80_000] {
        scene.pass(millis);
        for (width, height) in [(60, 15), (80, 24), (120, 40), (200, 60)] {
            let screen = scene.text(width, height);
            assert!(screen.contains("is DOWN") && screen.contains("✗ Inb"), "{width}×{height}\n{screen}");
        }
    }
}

#[test]
fn long_names_stay_different() {
    let mut scene = Scene::new(many(12), "default", ColorChoice::Ansi16, false);
    let mut roster = (*scene.state.picture.roster).clone();
    for (place, card) in roster.components.iter_mut().enumerate() {
        card.name = format!("Inbound voice journey Frankfurt {place:03} primary").into();
    }
    scene.state.picture.roster = roster.into();
    scene.all_up();
    let screen = scene.text(80, 24);
    for place in 0..12 {
        assert!(screen.contains(&format!("{place:03} primary")), "{place}\n{screen}");
    }
    // Nobody says who serves: the column's cells are the name's.
    for component in &mut scene.state.picture.components {
        component.served_by = None;
    }
    let screen = scene.text(80, 24);
    assert!(screen.contains("Inbound voic"), "{screen}");
}

#[test]
fn an_open_outage_is_told_where_the_banner_is_not() {
    let mut scene = Scene::eight();
    scene.all_up();
    down(&mut scene, "ivr", REASON);
    scene.pass(23_000);
    assert!(!scene.text(80, 24).contains("1 DOWN"), "the banner says it");
    let elsewhere: [(&str, &[KeyCode]); 4] = [
        ("another component", &[KeyCode::Char('j'), KeyCode::Char('j'), KeyCode::Enter]),
        ("events", &[KeyCode::Char('z'), KeyCode::Char('z')]),
        ("help", &[KeyCode::Char('?')]),
        ("log", &[KeyCode::Char('8')]),
    ];
    for (place, keys) in elsewhere {
        for key in keys {
            scene.key(*key);
        }
        for (width, height) in [(60, 15), (80, 24), (120, 40)] {
            let screen = scene.text(width, height);
            assert!(screen.lines().next().unwrap().contains("1 DOWN 00:23"), "{place}\n{screen}");
        }
        scene.key(KeyCode::Esc);
        scene.keys("1");
    }
}

#[test]
fn what_happened_on_another_day_says_which() {
    let mut scene = Scene::eight();
    scene.all_up();
    down(&mut scene, "archive", REASON);
    assert!(scene.text(80, 24).contains("14:32:00.0  Recording archive"));
    scene.pass(TimeDelta::hours(49).num_milliseconds());
    let screen = scene.text(80, 24);
    assert!(screen.contains("05-15 14:32 Recording archive"), "{screen}");
    assert!(screen.contains("detected 05-15 14:32"), "{screen}");
    assert!(screen.contains("passed 05-15 14:47"), "{screen}");
    let screen = scene.text(120, 40);
    assert!(screen.contains("05-15 14:32") && !screen.contains("14:32:00"), "{screen}");
}

#[test]
fn a_clock_of_which_nothing_is_known_is_named() {
    let scene = Scene::eight();
    for (width, height) in [(60, 15), (80, 24), (120, 40)] {
        let screen = scene.text(width, height);
        assert!(screen.lines().next().unwrap().contains("clock unknown"), "{screen}");
    }
}

#[test]
fn one_line_says_since_when_and_the_mode_before_the_name() {
    let mut scene = long_names();
    down(&mut scene, "ivr", REASON);
    scene.pass(21_000);
    let status = scene.text(59, 14);
    assert!(status.starts_with("✗ down 00:21, 39 s left ALERTING Inbound"), "{status}");
    scene.keys(" ");
    assert!(scene.text(59, 14).contains("FROZEN 00:00"), "{}", scene.text(59, 14));
    assert!(scene.text(20, 5).contains("00:21"));
}

#[test]
fn rows_above_a_scrolled_list_are_counted() {
    let mut scene = Scene::new(many(60), "default", ColorChoice::Ansi16, false);
    scene.all_up();
    assert!(!scene.text(80, 24).contains("above"));
    scene.keys("G");
    for (width, height) in [(80, 24), (120, 40)] {
        let screen = scene.text(width, height);
        let shown =
            screen.lines().filter(|line| line.contains("● Component") || line.contains("▸● Comp")).count();
        assert!(line(&screen, " above").contains(&format!("· {} above ─", 60 - shown)), "{shown}\n{screen}");
    }
}

#[test]
fn the_help_scrolls_from_its_end() {
    let mut scene = Scene::eight();
    scene.keys("?Gj");
    let screen = scene.text(80, 24);
    assert!(screen.contains("in later versions"), "{screen}");
}

#[test]
fn redraw_and_suspend_work_over_everything() {
    for keys in ["/", ":", "?", "T"] {
        let mut scene = Scene::eight();
        scene.keys(keys);
        assert!(ctrl(&mut scene, 'l').contains(&Effect::Redraw), "{keys}");
        assert!(ctrl(&mut scene, 'z').contains(&Effect::Suspend { by_key: true }), "{keys}");
        assert!(scene.state.overlay.is_some() || scene.state.filtering, "{keys} stays open");
    }
}

#[test]
fn a_persons_own_keys_move_in_the_help_and_the_themes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(keys::FILE), "down = [\"n\"]\nup = [\"N\"]\n").unwrap();
    let mut scene = Scene::eight();
    scene.state.keys = KeyMap::load(Some(folder.path())).unwrap();
    scene.keys("T");
    let before = scene.state.chosen_theme;
    scene.keys("n");
    assert_eq!(scene.state.chosen_theme, before + 1);
    scene.keys("N");
    assert_eq!(scene.state.chosen_theme, before);
    scene.key(KeyCode::Esc);
    scene.keys("?nn");
    let screen = scene.text(80, 24);
    assert_eq!(scene.state.scroll.get(), 2, "{screen}");
    assert!(screen.contains("n N scroll"), "{screen}");
}

#[test]
fn keys_are_shown_as_they_are_typed() {
    let mut scene = Scene::eight();
    scene.keys("8?");
    let screen = scene.text(120, 60);
    assert!(screen.contains("│ -  ") && !screen.contains("Hyphen"), "{screen}");
}

#[test]
fn a_reason_comes_before_the_onset() {
    let reason = "flow completed: body.status == \"COMPLETED\" (was \"x\")";
    let mut scene = Scene::eight();
    scene.all_up();
    down(&mut scene, "ivr", reason);
    let screen = scene.text(80, 24);
    let banner = screen.lines().take(4).collect::<Vec<_>>().join("\n");
    assert!(banner.contains(reason), "{screen}");
    assert!(banner.contains("detected 14:32:00.0"), "{screen}");
}

#[test]
fn the_reason_takes_what_is_left_of_a_row() {
    let mut scene = Scene::eight();
    scene.all_up();
    down(&mut scene, "ivr", REASON);
    assert!(line(&scene.text(200, 60), "▸✗ IVR").contains(REASON), "{}", scene.text(200, 60));
}

#[test]
fn the_worst_of_a_tier_is_named_on_a_wide_screen() {
    let mut scene = long_names();
    scene.recover("ivr", 60.0, 90.0, Status::Critical);
    scene.pass(20_000);
    for (width, height) in [(120, 40), (200, 60)] {
        let screen = scene.text(width, height);
        assert!(line(&screen, "Tier 1").contains("worst Inb"), "{screen}");
        assert!(line(&screen, "Tier 1").contains("66.7 %"), "{screen}");
    }
}

/// Nobody may take the figures of an unsafe clock for good, wherever he is.
#[test]
fn an_unsafe_clock_is_told_on_every_screen() {
    let mut scene = Scene::eight();
    scene.all_up();
    down(&mut scene, "ivr", REASON);
    scene.clock(ClockState::Unsafe);
    let everywhere: [(&str, &[KeyCode]); 6] = [
        ("war room", &[]),
        ("a component", &[KeyCode::Char('j'), KeyCode::Enter]),
        ("events", &[KeyCode::Char('z'), KeyCode::Char('z')]),
        ("help", &[KeyCode::Char('?')]),
        ("log", &[KeyCode::Char('8')]),
        ("frozen", &[KeyCode::Char(' ')]),
    ];
    for (place, keys) in everywhere {
        for key in keys {
            scene.key(*key);
        }
        // The smallest are the one line of status.
        for (width, height) in [(59, 3), (60, 15), (80, 24), (120, 40)] {
            let screen = scene.text(width, height);
            let first = screen.lines().next().unwrap();
            assert!(first.contains("CLOCK UNSAFE"), "{place} at {width}×{height}\n{screen}");
            assert!(first.contains("UNMEASURED") || width < 80, "{place} at {width}×{height}\n{screen}");
        }
        scene.key(KeyCode::Esc);
        scene.keys("1");
    }
}
