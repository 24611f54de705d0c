//! What a screen must neither hide nor make look better than it is.

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use warroom::{
    console::{
        color::ColorChoice,
        keys::{self, KeyMap},
        message::{Effect, Message},
    },
    domain::{Phase, Status, Verdict},
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

fn long_names() -> Scene {
    let mut cards = eight();
    cards[0].name = "Inbound voice journey of the retail bank in Frankfurt, primary region".into();
    cards[1].name = "Inbound voice journey of the retail bank in Dublin, secondary region".into();
    let mut scene = Scene::new(cards, "default", ColorChoice::Ansi16, false);
    scene.all_up();
    scene
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
