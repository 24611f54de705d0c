//! What is printed, and what is answered to what is typed.

use super::{ATTACK, answer, assert_plain, attack, piped::Piped, two};

#[test]
fn an_outage_is_told_in_lines_and_commands_are_answered() {
    let (platform, folder) = two();
    let mut plain = Piped::start(folder.path(), &[]);
    plain.says("test-tenant, sandbox: 2 components on 1 platform measured");
    plain.says("Tier 1: 1 of 1 up");
    platform.answer(answer("503 Service Unavailable", b"", "{}"));
    let down =
        plain.says("IVR main flow: DOWN: page: status == 200 (was 503), it has 1 min to be restored\n");
    let line = down.lines().last().unwrap();
    let time = line.split(' ').next().unwrap();
    assert!(time.len() == 8 && time.matches(':').count() == 2, "the time comes first: {line}");
    plain.types("ack ivr");
    plain.says("acknowledged the outage");
    plain.types("status");
    plain.says("looks after it. page: status == 200 (was 503)");
    plain.types("show crm");
    plain.says("Step 1, page (health step), GET /");
    platform.answer(answer("200 OK", b"", "{}"));
    plain.says("IVR main flow: PASS after ");
    plain.types("probe ivr");
    plain.says("IVR main flow: probed, up, ");
    plain.types("events 2");
    plain.says("IVR main flow: ");
    plain.types("reboot");
    plain.says("`reboot` is not known; what can be typed: help, status,");
    plain.types("help");
    plain.says("quit: ends this console.");
    plain.types("quit");
    assert_eq!(plain.ended().code(), Some(0));
    assert_plain(&plain.written);
}

#[test]
fn hostile_text_is_printed_as_text() {
    for options in [&[][..], &["--ascii"]] {
        let (platform, folder) = two();
        platform.answer(attack());
        let mut plain = Piped::start(folder.path(), options);
        plain.says("evil");
        plain.types("show ivr");
        plain.says("Step 1, page");
        plain.says("evil");
        // What is typed comes back in an answer, and may be as foreign.
        plain.types(&format!("show {}", ATTACK.replace(['\r', '\n'], "")));
        plain.says("no component is called `evil");
        plain.types("quit");
        assert_eq!(plain.ended().code(), Some(0));
        assert_plain(&plain.written);
        assert!(!plain.text().contains('\u{1b}'));
        assert_eq!(plain.text().is_ascii(), !options.is_empty(), "{}", plain.text());
    }
}

/// A burst of typed lines is answered one by one, however long a line is.
#[test]
fn what_is_typed_at_once_is_answered_in_its_order() {
    let (_platform, folder) = two();
    let mut plain = Piped::start(folder.path(), &[]);
    plain.says("`help` says what can be typed.");
    plain.types(&format!("who\n\n  \n{}\nevents 0\nhelp", "x".repeat(100_000)));
    plain.says("xxx");
    plain.says("`events` takes a number after it, not `0`");
    plain.says("quit: ends this console.");
    plain.types("quit");
    assert_eq!(plain.ended().code(), Some(0));
    assert_plain(&plain.written);
}
