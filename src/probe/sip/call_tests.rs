#![expect(clippy::unwrap_used, reason = "a test may")]

use super::*;
use crate::config::sip::SipTransport;

/// A call at the moment when its INVITE went out, and that moment.
fn placed(end: CallEnd, again: bool) -> (Call, String, Instant) {
    let envelope = Envelope {
        uri: "sip:bob@192.0.2.7".to_owned(),
        from: "sip:warroom@192.0.2.1".to_owned(),
        from_tag: "mine".to_owned(),
        call_id: "call".to_owned(),
        local: "192.0.2.1:5070".parse().unwrap(),
        transport: SipTransport::Udp,
        secure: false,
        headers: vec![("X-Probe".to_owned(), "yes".to_owned())],
    };
    let now = Instant::now();
    let mut call = Call::place(envelope, Names::new(7), end, again, Duration::from_secs(2), now);
    let sent = out(&mut call);
    assert_eq!(sent.len(), 1);
    (call, sent.into_iter().next().unwrap(), now)
}

fn out(call: &mut Call) -> Vec<String> {
    call.out().into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

fn methods(requests: &[String]) -> Vec<&str> {
    requests.iter().map(|request| request.split(' ').next().unwrap()).collect()
}

fn line<'r>(request: &'r str, name: &str) -> &'r str {
    let found = request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

/// An answer to a request of ours, as a peer writes it.
fn answer(request: &str, status: &str, tag: &str) -> Response {
    let copied =
        ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", line(request, name)));
    let to = line(request, "To").split(">;").next().unwrap().trim_end_matches('>');
    let text = format!(
        "SIP/2.0 {status}\r\n{}To: {to}>;tag={tag}\r\nContact: <sip:gw@192.0.2.8:5080>\r\n\
         Record-Route: <sip:proxy.example.com;lr>\r\n\r\n",
        copied.concat()
    );
    Response::parse(text.as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_invite_is_whole() {
    let (_, invite, _) = placed(CallEnd::Cancel, true);
    assert!(invite.starts_with("INVITE sip:bob@192.0.2.7 SIP/2.0\r\n"), "{invite}");
    for (name, value) in [
        ("Max-Forwards", "70"),
        ("From", "<sip:warroom@192.0.2.1>;tag=mine"),
        ("To", "<sip:bob@192.0.2.7>"),
        ("Call-ID", "call"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:warroom@192.0.2.1:5070>"),
        ("Expires", "3"),
        ("X-Probe", "yes"),
        ("Content-Type", "application/sdp"),
    ] {
        assert_eq!(line(&invite, name), value, "{invite}");
    }
    assert!(line(&invite, "Via").starts_with("SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK"));
    assert!(line(&invite, "Via").ends_with(";rport"));
    let (head, body) = invite.split_once("\r\n\r\n").unwrap();
    assert_eq!(line(head, "Content-Length"), body.len().to_string());
    assert!(body.starts_with("v=0\r\no=- ") && body.contains("\r\nm=audio 9 RTP/AVP 0 8\r\n"), "{body}");
}

/// It rings, is cancelled, and ends: the ringing is what is told.
#[tokio::test(start_paused = true)]
async fn a_call_that_rings_is_cancelled() {
    let (mut call, invite, now) = placed(CallEnd::Cancel, true);
    assert!(call.take(answer(&invite, "100 Trying", "a"), now));
    assert!(out(&mut call).is_empty(), "a 100 comes from the next hop: nothing rings yet");
    assert!(call.take(answer(&invite, "180 Ringing", "a"), now));
    let sent = out(&mut call);
    assert_eq!(methods(&sent), ["CANCEL"]);
    let cancel = sent[0].clone();
    assert_eq!(line(&cancel, "Via"), line(&invite, "Via"), "of one transaction, hence by one branch");
    assert_eq!(line(&cancel, "CSeq"), "1 CANCEL");
    assert_eq!(line(&cancel, "To"), line(&invite, "To"));
    assert!(call.take(answer(&cancel, "200 OK", "a"), now));
    assert!(!call.is_over(), "the INVITE is still to be answered");
    assert!(call.take(answer(&invite, "487 Request Terminated", "a"), now));
    let sent = out(&mut call);
    assert_eq!(methods(&sent), ["ACK"]);
    assert_eq!(line(&sent[0], "Via"), line(&invite, "Via"));
    assert_eq!(line(&sent[0], "To"), "<sip:bob@192.0.2.7>;tag=a");
    assert!(call.is_over());
    assert_eq!(call.answer().unwrap().status, 180);
    // The ACK was lost: the answer comes again, and is acknowledged again.
    assert!(call.take(answer(&invite, "487 Request Terminated", "a"), now));
    assert_eq!(methods(&out(&mut call)), ["ACK"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_is_ended() {
    let (mut call, invite, now) = placed(CallEnd::Complete, true);
    call.take(answer(&invite, "180 Ringing", "a"), now);
    assert!(out(&mut call).is_empty(), "it is to be answered");
    call.take(answer(&invite, "200 OK", "a"), now);
    let sent = out(&mut call);
    assert_eq!(methods(&sent), ["ACK", "BYE"]);
    for request in &sent {
        assert_eq!(request.split(' ').nth(1), Some("sip:gw@192.0.2.8:5080"), "to where the peer said");
        assert_eq!(line(request, "Route"), "<sip:proxy.example.com;lr>");
        assert_eq!(line(request, "To"), "<sip:bob@192.0.2.7>;tag=a");
        assert_ne!(line(request, "Via"), line(&invite, "Via"), "a transaction of its own");
    }
    assert_eq!((line(&sent[0], "CSeq"), line(&sent[1], "CSeq")), ("1 ACK", "2 BYE"));
    // The ACK was lost.
    call.take(answer(&invite, "200 OK", "a"), now);
    assert_eq!(out(&mut call), [sent[0].clone()]);
    assert!(!call.is_over());
    assert_eq!(call.standing().as_deref(), Some("answered, but its BYE was not"));
    call.take(answer(&sent[1], "200 OK", "a"), now);
    assert!(call.is_over());
    assert_eq!(call.answer().unwrap().status, 200);
}

/// Somebody takes the call while the CANCEL is on its way: it must not stay open, billed and unheard.
#[tokio::test(start_paused = true)]
async fn an_answer_that_crosses_the_cancel_is_ended_too() {
    let (mut call, invite, now) = placed(CallEnd::Cancel, true);
    call.take(answer(&invite, "180 Ringing", "a"), now);
    let cancel = out(&mut call).remove(0);
    call.take(answer(&invite, "200 OK", "a"), now);
    let sent = out(&mut call);
    assert_eq!(methods(&sent), ["ACK", "BYE"]);
    call.take(answer(&cancel, "481 Call/Transaction Does Not Exist", "a"), now);
    assert!(!call.is_over());
    call.take(answer(&sent[1], "200 OK", "a"), now);
    assert!(call.is_over());
    assert_eq!(call.answer().unwrap().status, 180);
}

#[tokio::test(start_paused = true)]
async fn every_fork_that_answers_is_ended() {
    let (mut call, invite, now) = placed(CallEnd::Complete, true);
    let mut byes = Vec::new();
    for tag in ["a", "b"] {
        call.take(answer(&invite, "200 OK", tag), now);
        let sent = out(&mut call);
        assert_eq!(methods(&sent), ["ACK", "BYE"]);
        assert!(sent.iter().all(|request| line(request, "To").ends_with(tag)));
        byes.push(sent[1].clone());
    }
    call.take(answer(&byes[0], "200 OK", "a"), now);
    assert!(!call.is_over());
    call.take(answer(&byes[1], "200 OK", "b"), now);
    assert!(call.is_over());
    for tag in 0..100 {
        call.take(answer(&invite, "200 OK", &format!("flood{tag}")), now);
    }
    assert!(out(&mut call).len() <= 2 * FORKS, "a peer that floods us gets no flood for it");
}

/// The step's time is up before anything was heard; then it rings after all.
#[tokio::test(start_paused = true)]
async fn a_call_that_rings_after_the_time_is_up_is_cancelled() {
    let (mut call, invite, now) = placed(CallEnd::Complete, true);
    call.hang_up(now);
    assert!(out(&mut call).is_empty(), "a CANCEL must not overtake its INVITE");
    assert!(!call.is_over());
    call.take(answer(&invite, "100 Trying", "a"), now);
    assert_eq!(methods(&out(&mut call)), ["CANCEL"]);
    let (mut call, _, now) = placed(CallEnd::Complete, true);
    call.hang_up(now);
    let due = call.due().unwrap();
    assert_eq!(due, now + LATE);
    call.tick(due);
    assert!(call.is_over() && out(&mut call).is_empty(), "nobody is there");
}

/// It rings longer than the step waits.
#[tokio::test(start_paused = true)]
async fn a_call_that_rings_when_the_time_is_up_is_cancelled() {
    let (mut call, invite, now) = placed(CallEnd::Complete, true);
    call.take(answer(&invite, "180 Ringing", "a"), now);
    assert_eq!(call.standing().as_deref(), Some("180 Ringing, but nobody answered"));
    call.hang_up(now);
    let cancel = out(&mut call).remove(0);
    assert!(cancel.starts_with("CANCEL "));
    // Nothing answers the CANCEL: it is sent again, and the call is over when it is given up (section 9.1).
    let mut sendings = 0;
    while !call.is_over() {
        let due = call.due().unwrap();
        call.tick(due);
        sendings += out(&mut call).len();
        assert!(due <= now + LONGEST);
    }
    assert_eq!(sendings, 10, "after 0.5, 1.5, 3.5 s, then every four seconds");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_acknowledged() {
    for end in [CallEnd::Cancel, CallEnd::Complete] {
        let (mut call, invite, now) = placed(end, true);
        call.take(answer(&invite, "486 Busy Here", "a"), now);
        assert_eq!(methods(&out(&mut call)), ["ACK"]);
        assert!(call.is_over());
        assert_eq!(call.answer().unwrap().status, 486);
    }
    // It rang, and fell over before the CANCEL: the ringing does not speak for it any more.
    let (mut call, invite, now) = placed(CallEnd::Cancel, true);
    call.take(answer(&invite, "180 Ringing", "a"), now);
    call.take(answer(&invite, "503 Service Unavailable", "a"), now);
    assert_eq!(call.answer().unwrap().status, 503);
}

/// Somebody else's answers change nothing.
#[tokio::test(start_paused = true)]
async fn answers_to_other_requests_are_not_taken() {
    let (mut call, invite, now) = placed(CallEnd::Cancel, true);
    let branch = line(&invite, "Via").split("branch=").nth(1).unwrap().split(';').next().unwrap();
    for wrong in [
        invite.replace(branch, "z9hG4bKother"),
        invite.replace("Call-ID: call", "Call-ID: other"),
        invite.replace("1 INVITE", "2 INVITE"),
        invite.replace("1 INVITE", "1 OPTIONS"),
    ] {
        assert!(!call.take(answer(&wrong, "180 Ringing", "a"), now), "{wrong}");
    }
    assert!(out(&mut call).is_empty());
    assert!(call.answer().is_none());
}

/// Timer A doubles without a ceiling, timer B ends it; nothing is sent again where the transport does that.
#[tokio::test(start_paused = true)]
async fn an_invite_that_nobody_hears_is_sent_seven_times() {
    for (again, sendings) in [(true, 6), (false, 0)] {
        let (mut call, _, now) = placed(CallEnd::Cancel, again);
        let mut sent = 0;
        while !call.is_over() {
            let due = call.due().unwrap();
            call.tick(due);
            sent += out(&mut call).len();
            assert!(due <= now + LONGEST);
        }
        assert_eq!(sent, sendings);
        assert!(call.answer().is_none());
    }
}

/// A peer that takes the CANCEL owes the call an end; it is not waited for as long as for an answer that may be lost.
#[tokio::test(start_paused = true)]
async fn a_call_whose_cancel_was_taken_is_not_waited_for_without_end() {
    for hangs_up_first in [true, false] {
        let (mut call, invite, now) = placed(CallEnd::Complete, true);
        call.take(answer(&invite, "180 Ringing", "a"), now);
        if hangs_up_first {
            call.hang_up(now);
        } else {
            call.cancel(now);
        }
        let sent = out(&mut call);
        call.take(answer(&sent[0], "200 OK", "a"), now);
        call.hang_up(now);
        assert!(!call.is_over(), "its 487 may be under way");
        let due = call.due().unwrap();
        assert_eq!(due, now + LATE);
        call.tick(due);
        assert!(call.is_over());
    }
}
