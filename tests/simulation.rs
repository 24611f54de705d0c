//! Guarantee 1: the truth lies in the bounds.
//!
//! Random worlds under virtual time: components with steps and dependencies that fail, hang, blip, relapse, fail over,
//! are throttled, are not observed for a while, and a runner that restarts or reboots with a wrong wall clock. Every
//! recovery's true duration is held against its bounds. `WARROOM_OUTAGES` sets how many recoveries are wanted,
//! `WARROOM_SEED` the seed; both are printed.

#![expect(clippy::print_stderr, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod simulation {
    pub(crate) mod world;
}

use simulation::world::{Tally, World};

fn number_from(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_recovery_lies_outside_its_bounds() {
    let wanted = number_from("WARROOM_OUTAGES", 10_000);
    let seed = number_from("WARROOM_SEED", fastrand::u64(..));
    eprintln!("simulation: WARROOM_SEED={seed} WARROOM_OUTAGES={wanted}");
    let mut tally = Tally::default();
    let mut world_number = 0;
    while tally.recoveries < wanted {
        let world_seed = seed.wrapping_add(world_number);
        World::new(world_seed).run(&mut tally).unwrap_or_else(|wrong| {
            panic!("world {world_seed} (WARROOM_SEED={world_seed} WARROOM_OUTAGES=1): {wrong}")
        });
        world_number += 1;
    }
    eprintln!(
        "simulation: {world_number} worlds, median width of the bounds {:.2}, {tally}",
        tally.median_width()
    );
    // A simulation in which some kind of trouble never came proves nothing about it.
    for (what, met) in [
        ("blips", tally.blips),
        ("relapses", tally.relapses),
        ("failovers seen", tally.failovers),
        ("failovers inferred", tally.inferred),
        ("blind probes", tally.blind),
        ("gaps", tally.gaps),
        ("restarts", tally.restarts),
        ("reboots", tally.reboots),
        ("outages of a dependency only", tally.by_dependency),
        ("outages of several parts", tally.several_parts),
        ("overtaken or uncounted bad probes", tally.uncounted),
        ("recoveries over a gap", tally.with_gap),
        ("recoveries without an upper bound", tally.unbounded),
        ("violations", tally.violations),
    ] {
        assert!(wanted < 1000 || met > 0, "the simulation never met: {what}");
    }
    // Bounds that are always true could still be useless: at the median they must be tight.
    assert!(wanted < 1000 || tally.median_width() < 1.5, "the bounds are wide: {}", tally.median_width());
}
