//! A call that is placed to be ended: INVITE, and whatever it takes that no call is left standing (RFC 3261 sections 9,
//! 13, 15 and 17.1.1).
//!
//! Invariants: it reads no clock and opens no socket. Every final answer is acknowledged, also a repeated one; every 2xx is
//! followed by a BYE, also one that crosses a CANCEL and one of a fork; a CANCEL follows no INVITE that was not heard.

use std::{mem, time::Duration};

use tokio::time::Instant;

use super::{
    Exchange,
    message::{Envelope, Method, Request, Response},
    names::Names,
    transaction::{LONGEST, Transaction},
};
use crate::config::model::CallEnd;

/// Answers to one INVITE that are taken for calls of their own; more come from nobody who means well.
const FORKS: usize = 8;

/// How long an INVITE is still listened for once the step has given up: one that nobody has heard, and one whose CANCEL was
/// taken and whose peer owes it an end.
const LATE: Duration = Duration::from_secs(8);

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    envelope: Envelope,
    names: Names,
    end: CallEnd,
    /// Whether a request must be sent again by us.
    again: bool,
    invite: Transaction,
    cancel: Option<Transaction>,
    legs: Vec<Leg>,
    out: Vec<Vec<u8>>,
    ringing: Option<Response>,
    last: Option<Response>,
    /// The step has given up.
    given_up: bool,
}

/// A call that a 2xx set up, on its way down.
#[derive(Debug)]
struct Leg {
    /// The tag of the other side; whoever answers without one has one call at most.
    tag: Option<String>,
    ack: Vec<u8>,
    bye: Transaction,
}

impl Call {
    /// A call that is placed now, and need not ring longer than `patience`.
    pub(crate) fn place(
        envelope: Envelope,
        mut names: Names,
        end: CallEnd,
        again: bool,
        patience: Duration,
        now: Instant,
    ) -> Self {
        let branch = names.branch();
        let bytes = envelope.write(&Request {
            method: Method::Invite,
            uri: &envelope.uri,
            branch: &branch,
            to_tag: None,
            sequence: 1,
            routes: &[],
            expires: Some(patience.as_secs() + 1),
            body: Some(envelope.offer(names.session())),
        });
        let out = vec![bytes.clone()];
        let invite = Transaction::begin(Method::Invite, (branch, 1), bytes, again, now);
        Self {
            envelope,
            names,
            end,
            again,
            invite,
            cancel: None,
            legs: Vec::new(),
            out,
            ringing: None,
            last: None,
            given_up: false,
        }
    }

    /// The step has given up: whatever stands, or comes to stand, is torn down.
    pub(crate) fn hang_up(&mut self, now: Instant) {
        self.given_up = true;
        if self.invite.is_answered() {
            return;
        }
        if self.cancel.as_ref().is_some_and(Transaction::is_answered) {
            self.invite.must_end(now + LATE);
        } else if self.invite.was_heard() {
            self.cancel(now);
        } else {
            self.invite.quieten(now + LATE);
        }
    }

    /// What the call came to, once it is over: the answer that speaks for it.
    pub(crate) fn answer(&self) -> Option<&Response> {
        let last = self.last.as_ref();
        match (self.end, &self.ringing) {
            // It rang; that it then ended because it was cancelled, or was answered all the same, takes nothing from that.
            (CallEnd::Cancel, Some(ringing))
                if last.is_none_or(|last| last.status == 487 || last.is_success()) =>
            {
                Some(ringing)
            }
            _ => last,
        }
    }

    /// Whether the other side knows of it.
    pub(crate) fn was_heard(&self) -> bool {
        self.invite.was_heard()
    }

    /// How far it came, in words, for a step whose time is up.
    pub(crate) fn standing(&self) -> Option<String> {
        let shown = |answer: &Response| format!("{} {}", answer.status, answer.reason);
        if self.legs.iter().any(|leg| !leg.bye.is_answered()) {
            return Some("answered, but its BYE was not".to_owned());
        }
        match (&self.cancel, &self.ringing) {
            (Some(_), Some(ringing)) => Some(format!("{}, but its CANCEL did not end it", shown(ringing))),
            (None, Some(ringing)) => Some(format!("{}, but nobody answered", shown(ringing))),
            _ if self.invite.was_heard() => Some("100 Trying, but it did not ring".to_owned()),
            _ => None,
        }
    }

    fn cancel(&mut self, now: Instant) {
        if self.cancel.is_some() || self.invite.is_answered() {
            return;
        }
        let branch = self.invite.branch().to_owned();
        let bytes = self.envelope.about(Method::Cancel, &branch);
        self.out.push(bytes.clone());
        self.cancel = Some(Transaction::begin(Method::Cancel, (branch, 1), bytes, self.again, now));
    }

    fn invited(&mut self, response: Response, now: Instant) {
        self.invite.heard(&response, now);
        if response.is_success() {
            self.answered(&response, now);
        } else if response.is_final() {
            // Of the same transaction, hence by the same branch (section 17.1.1.3).
            let tag = response.to_tag();
            let branch = self.invite.branch().to_owned();
            let ack = Request {
                method: Method::Ack,
                uri: &self.envelope.uri,
                branch: &branch,
                to_tag: tag,
                sequence: 1,
                routes: &[],
                expires: None,
                body: None,
            };
            self.out.push(self.envelope.write(&ack));
        } else {
            if response.status > 100 && self.ringing.is_none() {
                self.ringing = Some(response);
            }
            if self.given_up || (self.end == CallEnd::Cancel && self.ringing.is_some()) {
                self.cancel(now);
            }
            return;
        }
        if self.last.is_none() {
            self.last = Some(response);
        }
    }

    /// A 2xx: it is acknowledged, and the call that it set up is ended.
    fn answered(&mut self, response: &Response, now: Instant) {
        let tag = response.to_tag().map(str::to_owned);
        if let Some(leg) = self.legs.iter().find(|leg| leg.tag == tag) {
            self.out.push(leg.ack.clone());
            return;
        }
        if self.legs.len() == FORKS {
            return;
        }
        let (target, routes) = (response.target(), response.routes());
        let uri = target.as_deref().unwrap_or(&self.envelope.uri);
        let [ack_branch, bye_branch] = [self.names.branch(), self.names.branch()];
        let within = |method, branch, sequence| {
            let to_tag = tag.as_deref();
            let routes = &routes;
            self.envelope.write(&Request {
                method,
                uri,
                branch,
                to_tag,
                sequence,
                routes,
                expires: None,
                body: None,
            })
        };
        let ack = within(Method::Ack, &ack_branch, 1);
        let bye = within(Method::Bye, &bye_branch, 2);
        self.out.extend([ack.clone(), bye.clone()]);
        let bye = Transaction::begin(Method::Bye, (bye_branch, 2), bye, self.again, now);
        self.legs.push(Leg { tag, ack, bye });
    }

    fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.legs.iter().map(|leg| &leg.bye).chain(&self.cancel).chain([&self.invite])
    }
}

impl Exchange for Call {
    fn out(&mut self) -> Vec<Vec<u8>> {
        mem::take(&mut self.out)
    }

    fn take(&mut self, response: Response, now: Instant) -> bool {
        if response.header("call-id") != Some(&self.envelope.call_id) {
            return false;
        }
        if self.invite.is_answered_by(&response) {
            self.invited(response, now);
            return true;
        }
        let others = self.legs.iter_mut().map(|leg| &mut leg.bye).chain(&mut self.cancel);
        let mut others = others.filter(|transaction| transaction.is_answered_by(&response));
        let Some(transaction) = others.next() else { return false };
        transaction.heard(&response, now);
        if self.given_up
            && !self.invite.is_done()
            && self.cancel.as_ref().is_some_and(Transaction::is_answered)
        {
            self.invite.must_end(now + LATE);
        }
        true
    }

    fn due(&self) -> Option<Instant> {
        let transactions = self.transactions().filter_map(Transaction::due);
        transactions.min()
    }

    fn tick(&mut self, now: Instant) {
        let others = self.legs.iter_mut().map(|leg| &mut leg.bye).chain(&mut self.cancel);
        for transaction in others.chain([&mut self.invite]) {
            if transaction.tick(now) {
                self.out.push(transaction.bytes().to_vec());
            }
        }
    }

    /// Everything that was sent was answered or given up. An INVITE whose CANCEL was given up has ended too
    /// (section 9.1): the CANCEL waited as long as the section asks.
    fn is_over(&self) -> bool {
        let cancelled = self.cancel.as_ref().is_some_and(|cancel| cancel.is_done() && !cancel.is_answered());
        (self.invite.is_done() || cancelled)
            && self.cancel.as_ref().is_none_or(Transaction::is_done)
            && self.legs.iter().all(|leg| leg.bye.is_done())
    }
}

/// The longest that tearing a call down may take: a CANCEL, and a BYE for the 2xx that crosses it.
pub(crate) const TEAR_DOWN: Duration = LONGEST.saturating_add(LONGEST);

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
