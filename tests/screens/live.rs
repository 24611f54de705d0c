//! The console on a real terminal with a scripted engine, for a person to look at:
//! `cargo test --test screens live -- --ignored --nocapture`.

use std::{sync::Arc, time::Duration};

use warroom::{
    clock::{Clock, SystemClock},
    console::{self, Feed, Options},
    domain::{Event, PathName, Phase, Picture, Verdict, event::PhaseEvent},
};

use super::scene::{Scene, eight, probe_event, roster};

#[test]
#[ignore = "needs a terminal and a person who looks at it"]
fn live() {
    let (writer, reader) = console::feed(8192);
    std::thread::spawn(move || {
        let clock = SystemClock;
        let mut random = fastrand::Rng::with_seed(1);
        for second in 0_u64.. {
            for card in eight() {
                let down = card.id.as_str() == "ivr" && (5..25).contains(&(second % 40));
                let (verdict, reason) = if down {
                    (Verdict::Down, Some("flow status: status == 200 (was 503)"))
                } else {
                    (Verdict::Up, None)
                };
                let event =
                    probe_event(card.id.as_str(), verdict, 10.0 + random.f64() * 40.0, reason, clock.wall());
                writer.send(Arc::new(event));
                let changes = second == 0 || (card.id.as_str() == "ivr" && [6, 25].contains(&(second % 40)));
                if changes {
                    let outage = down.then(|| {
                        let mut scene = Scene::eight();
                        scene.now = clock.now();
                        scene.outage(Verdict::Down, "flow status: status == 200 (was 503)")
                    });
                    writer.send(Arc::new(Event::Phase(PhaseEvent {
                        at: clock.wall(),
                        component_id: card.id.clone(),
                        path: PathName::primary(),
                        phase: if down { Phase::Down } else { Phase::Up },
                        t_detect_epoch: None,
                        outage,
                    })));
                }
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let exit = console::run(
        &Options::default(),
        Feed {
            picture: Picture::new(roster(eight())),
            reader,
            ask_picture: Box::new(|| {}),
            command: Box::new(|_| true),
            now: Box::new(|| SystemClock.now()),
            after_first_frame: None,
        },
    );
    std::process::exit(exit.map_or(3, |exit| i32::from(exit.code())));
}
