//! Every scene at three sizes in three kinds of terminal.

use std::fmt::Write;

use chrono::TimeDelta;
use crossterm::event::KeyCode;
use warroom::{
    console::{Word, color::ColorChoice, message::Message},
    domain::{
        Phase, Role, Status, Verdict,
        chain::{ChainHealth, Link},
    },
};

use super::{
    scene::{Scene, eight, many},
    together::person,
};

const REASON: &str = "flow status: status == 200 (was 503)";

/// A scene over the eight components, made the same in every kind of terminal.
type Script = fn(&mut Scene);

const KINDS: [(&str, &str, ColorChoice, bool); 3] = [
    ("true", "dark", ColorChoice::True, false),
    ("16", "default", ColorChoice::Ansi16, false),
    ("mono-ascii", "mono", ColorChoice::Never, true),
];

fn shoot(name: &str, number: Option<usize>, script: Script) {
    for (kind, theme, color, ascii) in KINDS {
        let mut scene = Scene::new(number.map_or_else(eight, many), theme, color, ascii);
        script(&mut scene);
        for (width, height) in [(80, 24), (120, 40), (200, 60)] {
            let shot = format!("{}\n{}", scene.text(width, height), styles(&scene, width, height));
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
                insta::assert_snapshot!(format!("{name}-{width}x{height}-{kind}"), shot);
            });
        }
    }
}

/// Where the look changes: `row: column look, column look …`.
fn styles(scene: &Scene, width: u16, height: u16) -> String {
    let parser = scene.screen(width, height);
    let screen = parser.screen();
    let mut lines = vec![String::new()];
    for row in 0..height {
        let mut pieces = Vec::new();
        let mut before = String::from("-");
        for column in 0..width {
            let cell = screen.cell(row, column).unwrap();
            if cell.contents().trim().is_empty() && !cell.inverse() && cell.bgcolor() == vt100::Color::Default
            {
                continue;
            }
            let mut look = String::new();
            for (set, letter) in [
                (cell.bold(), 'b'),
                (cell.dim(), 'd'),
                (cell.italic(), 'i'),
                (cell.underline(), 'u'),
                (cell.inverse(), 'r'),
            ] {
                if set {
                    look.push(letter);
                }
            }
            for (sign, color) in [("", cell.fgcolor()), ("/", cell.bgcolor())] {
                match color {
                    vt100::Color::Default => {}
                    vt100::Color::Idx(index) => write!(look, "{sign}{index}").unwrap(),
                    vt100::Color::Rgb(red, green, blue) => {
                        write!(look, "{sign}{red:02x}{green:02x}{blue:02x}").unwrap();
                    }
                }
            }
            if look.is_empty() {
                look.push('-');
            }
            if look != before {
                pieces.push(format!("{column} {look}"));
                before = look;
            }
        }
        if !pieces.is_empty() {
            lines.push(format!("{row}: {}", pieces.join(", ")));
        }
    }
    lines.join("\n")
}

fn one_outage(scene: &mut Scene) {
    scene.all_up().pass(1_000);
    scene.probe("ivr", Verdict::Down, 42.0, Some(REASON));
    let outage = scene.outage(Verdict::Down, REASON);
    scene.phase("ivr", Phase::Down, Some(outage));
    scene.pass(37_000);
}

fn failed_over(scene: &mut Scene) {
    one_outage(scene);
    let mut outage = scene.state.picture.components[0].outage.clone().unwrap();
    outage.t_failover = Some(outage.t_detect + TimeDelta::milliseconds(2_100));
    outage.served_by = Some("us-west-2".to_owned());
    outage.verdict = Verdict::Degraded;
    scene.phase("ivr", Phase::FailedOver, Some(outage));
}

/// The health step is back, a dependency is not; another one recovered so before.
fn held_back(scene: &mut Scene) {
    one_outage(scene);
    let mut outage = scene.state.picture.components[0].outage.clone().unwrap();
    let link =
        |name: &str, health, after| Link { name: name.to_owned(), health, restored_after_seconds: after };
    outage.links = vec![link("flow status", true, Some(12.0)), link("CRM lookup: query", false, None)];
    outage.verdict = Verdict::Degraded;
    "dependency CRM lookup: query: no answer within 5 s".clone_into(&mut outage.reason);
    scene.phase("ivr", Phase::Down, Some(outage));
    let chain = ChainHealth {
        links: vec![link("flow status", true, Some(12.0)), link("CRM lookup: query", false, Some(41.0))],
        health_restored_after_seconds: Some(12.0),
        held_back_by: Some("CRM lookup: query".to_owned()),
        held_back_seconds: Some(29.2),
    };
    scene.recover_by("ivr", 60.0, 41.2, Status::Pass, chain);
}

fn violated(scene: &mut Scene) {
    one_outage(scene);
    scene.pass(35_000);
    let mut outage = scene.state.picture.components[0].outage.clone().unwrap();
    outage.last_bad = scene.now.wall;
    scene.violate("ivr");
    scene.phase("ivr", Phase::Down, Some(outage));
}

fn everything_at_once(scene: &mut Scene) {
    scene.all_up();
    scene.recover("crm", 45.0, 41.2, Status::Pass);
    scene.recover("wfm", 300.0, 372.0, Status::Warning);
    scene.pass(2_000);
    let outage = scene.outage(Verdict::Degraded, "dataStore is DOWN");
    scene.probe("cxone", Verdict::Degraded, 180.0, Some("dataStore is DOWN"));
    scene.phase("cxone", Phase::Down, Some(outage));
    scene.pass(35_000);
    let outage = scene.outage(Verdict::Down, REASON);
    scene.probe("ivr", Verdict::Down, 42.0, Some(REASON));
    scene.phase("ivr", Phase::Down, Some(outage));
    scene.throttle("genesys", Some(30_000));
    scene.probe("wem", Verdict::Blind, 9.0, Some("flow status: 429"));
    scene.login_fails("cxone", "invalid_client");
    scene.pass(21_000);
    scene.probe("trunk", Verdict::Up, 12.0, None);
}

#[test]
fn quiet() {
    shoot("quiet", None, |scene| {
        scene.all_up();
    });
}

#[test]
fn before_anything() {
    shoot("before-anything", None, |_| {});
}

#[test]
fn outage() {
    shoot("outage", None, one_outage);
}

#[test]
fn failover() {
    shoot("failed-over", None, failed_over);
}

#[test]
fn violation() {
    shoot("violated", None, violated);
}

#[test]
fn several() {
    shoot("several", None, everything_at_once);
}

#[test]
fn no_components() {
    shoot("empty", Some(0), |_| {});
}

#[test]
fn three_hundred_scrolled() {
    shoot("three-hundred", Some(300), |scene| {
        scene.all_up();
        // The first drawing tells the list how high a page is.
        scene.text(80, 24);
        for _ in 0..5 {
            scene.key(KeyCode::PageDown);
        }
    });
}

#[test]
fn filter() {
    shoot("filter", None, |scene| {
        everything_at_once(scene);
        scene.keys("/cx");
    });
}

#[test]
fn help() {
    shoot("help", None, |scene| {
        scene.all_up();
        scene.keys("?");
    });
}

#[test]
fn palette() {
    shoot("palette", None, |scene| {
        scene.all_up();
        scene.keys(":view");
    });
}

#[test]
fn themes() {
    shoot("themes", None, |scene| {
        scene.all_up();
        scene.keys("T");
    });
}

#[test]
fn detail() {
    shoot("detail", None, |scene| {
        violated(scene);
        scene.recover("ivr", 60.0, 72.0, Status::Warning);
        scene.key(KeyCode::Enter);
    });
}

#[test]
fn chain() {
    shoot("held-back", None, held_back);
    shoot("held-back-detail", None, |scene| {
        held_back(scene);
        scene.key(KeyCode::Enter);
    });
}

#[test]
fn diagnosis() {
    shoot("diagnosis", None, |scene| {
        scene.all_up();
        scene.keys("i");
        scene.examined();
    });
}

#[test]
fn frozen() {
    shoot("frozen", None, |scene| {
        one_outage(scene);
        scene.keys(" ");
        scene.pass(75_000);
    });
}

#[test]
fn engine_gone() {
    shoot("engine-gone", None, |scene| {
        use warroom::console::feed::Drained;
        scene.all_up();
        let stopped = Some("the disk is full".to_owned());
        scene.message(Message::Events(Drained { stopped, ..Drained::default() }));
        scene.pass(180_000);
    });
}

/// Two people on a bastion host, one of whom has taken the outage up while the other was away.
fn shared(scene: &mut Scene) {
    scene.all_up().pass(1_000);
    scene.room(Role::Operate, false, &[person("bob"), person("carol")]);
    scene.down("cxone", "dataStore is DOWN");
    scene.pass(20_000);
    scene.down("ivr", REASON);
    scene.pass(17_000);
    scene.acknowledged("ivr", person("bob"));
    scene.pass(5_000);
    scene.message(Message::Tick);
    scene.since(2, 1, &["bob"]);
}

#[test]
fn shared_room() {
    shoot("shared-room", None, shared);
}

#[test]
fn not_connected() {
    shoot("not-connected", None, |scene| {
        shared(scene);
        scene.keys(" ");
        scene.keys(" ");
        scene.word(Word::Lost("the engine does not answer".to_owned()));
        scene.pass(75_000);
    });
}

#[test]
fn watch_only() {
    shoot("watch-only", None, |scene| {
        one_outage(scene);
        scene.room(Role::Watch, false, &[person("bob")]);
        scene.keys("a");
    });
}

#[test]
fn too_small() {
    let mut scene = Scene::eight();
    everything_at_once(&mut scene);
    assert_eq!(
        scene.text(59, 14).trim_end(),
        "✗ down 00:21, 39 s left ALERTING IVR main flow +1",
        "one line: worst state, since when, mode, open outages"
    );
}
