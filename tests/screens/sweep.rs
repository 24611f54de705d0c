//! No size may break a view.

use crossterm::event::KeyCode;
use ratatui::{Terminal, backend::TestBackend};
use warroom::{
    console::{Word, color::ColorChoice, draw::draw},
    domain::{Phase, Role, Verdict},
};

use super::{
    scene::{Scene, eight, many},
    together::person,
};

/// Every view, as it looks when it has most to show.
fn views() -> Vec<(&'static str, Scene)> {
    let full = || {
        let mut scene = Scene::new(eight(), "default", ColorChoice::True, false);
        scene.all_up();
        let reason =
            "東京の回線 \u{1b}[2J\u{202e} with a long reason that has to be cut somewhere ".repeat(4);
        for id in ["ivr", "cxone", "archive"] {
            scene.probe(id, Verdict::Down, 42.0, Some(&reason));
            let outage = scene.outage(Verdict::Down, &reason);
            scene.phase(id, Phase::Down, Some(outage));
        }
        scene.throttle("edge", Some(4_000));
        scene.login_fails("genesys", &reason);
        scene.pass(500_000);
        scene
    };
    let with = |keys: &str| {
        let mut scene = full();
        scene.keys(keys);
        scene
    };
    // Names and reasons from elsewhere are as hostile as a platform's.
    let hostile = "\u{1b}]2;owned\u{7}\u{202e}東京 bob".repeat(3);
    let together = |role| {
        let mut scene = full();
        scene.room(role, true, &[person(&hostile), person("carol")]);
        scene.acknowledged("ivr", person(&hostile));
        scene.since(2, 1, &[&hostile]);
        scene
    };
    let lost = |keys: &str| {
        let mut scene = together(Role::Operate);
        scene.keys(keys);
        scene.word(Word::Lost(hostile.clone()));
        scene.pass(500_000);
        scene
    };
    let mut acknowledged = together(Role::Operate);
    acknowledged.key(KeyCode::Enter);
    acknowledged.keys("a");
    let mut asked = together(Role::Operate);
    asked.keys("q");
    let mut detail = full();
    detail.key(KeyCode::Enter);
    detail.keys("G");
    vec![
        ("war room", full()),
        ("detail", detail),
        ("log", with("8")),
        ("help", with("?")),
        ("palette", with(":q")),
        ("themes", with("T")),
        ("filter", with("/nothing matches")),
        ("zoom tier", with("z")),
        ("zoom events", with("zz")),
        ("frozen", with(" ")),
        ("together", together(Role::Operate)),
        ("watch only", together(Role::Watch)),
        ("not connected", lost("")),
        ("not connected and frozen", lost(" ")),
        ("acknowledged", acknowledged),
        ("asked", asked),
        ("empty", Scene::new(Vec::new(), "mono", ColorChoice::Never, true)),
        ("many", {
            let mut scene = Scene::new(many(50), "mono", ColorChoice::Never, true);
            scene.all_up();
            scene.keys("G");
            scene
        }),
    ]
}

#[test]
fn every_view_survives_every_size() {
    for (name, scene) in views() {
        for width in (0..=120).step_by(7).chain([59, 60, 61, 79, 80, 119, 120]) {
            for height in (0..=50).step_by(7).chain([1, 14, 15, 16]) {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                terminal.draw(|frame| draw(&scene.state, frame, scene.now)).unwrap();
                let hostile = terminal
                    .backend()
                    .buffer()
                    .content()
                    .iter()
                    .any(|cell| cell.symbol().chars().any(warroom::console::text::is_unsafe));
                assert!(!hostile, "{name} at {width}×{height} let a control character through");
            }
        }
    }
}
