//! Consoles that have an engine of their own, and others at it.

use rustix::process::Signal;

use super::{Session, agent, bad, console, well};

/// Whoever measures in their own console takes the others along when they leave, and these must learn why.
#[test]
fn who_ends_the_engine_tells_the_others() {
    let (platform, folder) = well();
    let config = folder.path().join("warroom.toml");
    let mut host = console(folder.path(), &["--config", config.to_str().unwrap()]);
    host.shows("1 of 1 up");
    let mut guest = console(folder.path(), &[]);
    guest.shows("1 of 1 up");
    platform.answer(bad());
    for screen in [&mut host, &mut guest] {
        screen.shows("Web front is DOWN");
    }
    host.signal(Signal::TERM);
    assert_eq!(host.ended().code, 143);
    host.assert_given_back();
    guest.shows("NOT CONNECTED");
    guest.shows("measuring ended with");
    // The folder is free: the next console measures itself, and the guest follows it.
    let mut next = console(folder.path(), &["--config", config.to_str().unwrap()]);
    next.shows("Web front is DOWN");
    guest.hides("NOT CONNECTED");
    guest.press("q");
    assert_eq!(guest.ended().code, 0);
    next.signal(Signal::TERM);
    assert_eq!(next.ended().code, 143);
    for session in [&host, &guest, &next] {
        session.assert_alone();
    }
    assert!(!agent::data(folder.path()).join("engine.sock").exists(), "the socket is left");
}

/// Two people start at the same moment: one engine, and both see it.
#[test]
fn of_two_first_starts_one_measures_and_the_other_attaches() {
    for _ in 0..3 {
        let (_platform, folder) = well();
        let config = folder.path().join("warroom.toml");
        let options = ["--config", config.to_str().unwrap()];
        let mut both = [console(folder.path(), &options), console(folder.path(), &options)];
        for screen in &mut both {
            screen.shows("1 of 1 up");
        }
        for screen in &both {
            screen.signal(Signal::TERM);
        }
        let attached = both
            .iter_mut()
            .filter_map(|screen: &mut Session| {
                assert_eq!(screen.ended().code, 143, "{}", screen.shown());
                screen.assert_given_back();
                let words = String::from_utf8_lossy(&screen.written).into_owned();
                (words.contains("goes on measuring") || words.contains("not connected")).then_some(())
            })
            .count();
        assert_eq!(attached, 1, "one of the two was attached");
    }
}

/// With an engine of one's own `--read-only` must hold as well: whoever attaches sees what was done.
#[test]
fn a_host_that_only_watches_does_not_act() {
    let (_platform, folder) = well();
    let config = folder.path().join("warroom.toml");
    let mut host = console(folder.path(), &["--read-only", "--config", config.to_str().unwrap()]);
    host.shows("1 of 1 up");
    host.shows("WATCH ONLY");
    host.press("p");
    let mut guest = console(folder.path(), &[]);
    guest.shows("1 of 1 up");
    assert!(!guest.shown().contains("WATCH ONLY"), "the guest may act: {}", guest.shown());
    assert!(!guest.shown().contains("probed it by hand"), "the host has acted: {}", guest.shown());
    guest.press("p");
    guest.shows("probed it by hand");
    for mut screen in [guest, host] {
        screen.signal(Signal::TERM);
        assert_eq!(screen.ended().code, 143);
        screen.assert_given_back();
    }
}
