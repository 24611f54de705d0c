//! How many bytes a screen costs.

use ratatui::{Terminal, layout::Size};
use warroom::{
    console::{
        backend::LeanBackend,
        color::{ColorChoice, Depth},
        message::{Effect, Urgency},
        run::draw_once,
    },
    domain::{Phase, Verdict},
};

use super::scene::{Scene, many};

fn terminal() -> Terminal<LeanBackend<Vec<u8>>> {
    Terminal::new(LeanBackend::new(Vec::new(), Depth::Ansi256, Size::new(80, 24))).unwrap()
}

#[test]
fn a_screen_on_which_nothing_changes_writes_nothing() {
    let mut scene = Scene::eight();
    scene.all_up();
    let mut terminal = terminal();
    draw_once(&mut terminal, &scene.state, scene.now).unwrap();
    terminal.backend_mut().sink_mut().clear();
    scene.pass(900);
    draw_once(&mut terminal, &scene.state, scene.now).unwrap();
    assert_eq!(terminal.backend().sink(), b"");
    // Nor does the loop have a reason to wake before the next minute or the next value that grows old.
    let wait = scene.state.next_change(scene.now).unwrap();
    assert!(wait.as_secs() >= 9, "{wait:?}");
}

#[test]
fn twelve_live_components_cost_less_than_300_bytes_a_second() {
    let mut scene = Scene::new(many(12), "default", ColorChoice::Ansi256, false);
    scene.all_up();
    let mut random = fastrand::Rng::with_seed(7);
    let mut terminal = terminal();
    draw_once(&mut terminal, &scene.state, scene.now).unwrap();
    terminal.backend_mut().sink_mut().clear();
    let seconds = 120;
    for _ in 0..seconds {
        for place in 0..12 {
            let latency = 20.0 + f64::from(place) * 10.0 + random.f64() * 30.0;
            let effects = scene.probe(&format!("c{place}"), Verdict::Up, latency, None);
            assert_eq!(effects, [Effect::Draw(Urgency::Noise)], "a good probe is drawn once a second");
        }
        scene.pass(1_000);
        draw_once(&mut terminal, &scene.state, scene.now).unwrap();
    }
    let rate = terminal.backend().sink().len() / seconds;
    assert!(rate < 300, "{rate} bytes/s");
}

#[test]
fn an_open_outage_costs_less_than_300_bytes_a_second() {
    let mut scene = Scene::eight();
    scene.all_up();
    let outage = scene.outage(Verdict::Down, "status == 200 (was 503)");
    scene.phase("ivr", Phase::Down, Some(outage));
    let mut terminal = terminal();
    draw_once(&mut terminal, &scene.state, scene.now).unwrap();
    terminal.backend_mut().sink_mut().clear();
    for _ in 0..60 {
        scene.pass(1_000);
        draw_once(&mut terminal, &scene.state, scene.now).unwrap();
    }
    let rate = terminal.backend().sink().len() / 60;
    assert!(rate < 300, "{rate} bytes/s");
}
