//! A SIP step: what its answer says.

use std::{collections::BTreeMap, time::Duration};

use super::{Attempt, expectations, look_away};
use crate::{
    config::model::SipAction,
    expression::{Answer, Scope, SipWords},
    probe::{
        failure::{Failure, Kind},
        journey::{Journey, Signals},
        sip::{SipAsk, message::Response},
    },
};

/// Out of service (RFC 3261 section 21.5.4).
const UNAVAILABLE: u16 = 503;

impl Journey {
    pub(super) async fn sip(
        &self,
        place: usize,
        action: &SipAction,
        vars: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Attempt {
        let ask = match SipAsk::render(action, vars) {
            Ok(ask) => ask,
            Err(failure) => return Attempt { failure: Some(failure), ..Attempt::default() },
        };
        let reply = self.client.sip(ask, action.method, limit, &self.plans[place].endings).await;
        let response = match reply.answer {
            Ok(response) => response,
            Err(failure) => {
                let signals =
                    Signals { reached: failure.kind == Kind::Answer || reply.is_met, ..Signals::default() };
                return Attempt {
                    timings: reply.timings,
                    failure: Some(failure),
                    signals,
                    ..Attempt::default()
                };
            }
        };
        let mut attempt = Attempt { timings: reply.timings, ..Attempt::default() };
        attempt.signals.reached = true;
        if response.status == UNAVAILABLE {
            attempt.signals.slowed = response.retry_after();
        }
        let contact_host = response.contact_host();
        let answer = Answer {
            status: response.status,
            headers: &response.headers,
            body: b"",
            latency: reply.timings.total,
            vars,
        };
        let words = SipWords { reason: &response.reason, contact_host: contact_host.as_deref() };
        let scope = Scope::of_sip(&answer, words);
        let step = &self.component.journey[place];
        attempt.failure = refused(&response, action.any_answer).or_else(|| expectations(step, &scope));
        look_away(step, &scope, &mut attempt.failure);
        self.read(place, &scope, &mut attempt);
        attempt
    }
}

/// Why an answer does not count.
fn refused(response: &Response, any: bool) -> Option<Failure> {
    let Response { status, reason, .. } = response;
    if *status == UNAVAILABLE {
        let wait = response.retry_after().map(humantime::format_duration);
        let wait = wait.map(|wait| format!(", asks for {wait}")).unwrap_or_default();
        return Some(Failure::answer(&format!("out of service ({status} {reason}{wait})")));
    }
    if any || *status < 300 {
        return None;
    }
    Some(Failure::answer(&format!("{status} {reason} (counts only with answers = \"any\")")))
}
