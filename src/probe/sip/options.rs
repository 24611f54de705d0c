//! OPTIONS: would a call be taken (RFC 3261 section 11)?

use tokio::time::Instant;

use super::{
    Exchange,
    message::{Envelope, Method, Response},
    transaction::Transaction,
};

/// One OPTIONS.
#[derive(Debug)]
pub(crate) struct Options {
    call_id: String,
    transaction: Transaction,
    fresh: bool,
    again: bool,
    answer: Option<Response>,
}

impl Options {
    pub(crate) fn ask(envelope: &Envelope, branch: String, again: bool, now: Instant) -> Self {
        let bytes = envelope.about(Method::Options, &branch);
        let transaction = Transaction::begin(Method::Options, (branch, 1), bytes, again, now);
        Self { call_id: envelope.call_id.clone(), transaction, fresh: true, again: false, answer: None }
    }

    /// The final answer, if one came.
    pub(crate) fn into_answer(self) -> Option<Response> {
        self.answer
    }
}

impl Exchange for Options {
    fn out(&mut self) -> Vec<Vec<u8>> {
        let due = std::mem::take(&mut self.fresh) | std::mem::take(&mut self.again);
        due.then(|| self.transaction.bytes().to_vec()).into_iter().collect()
    }

    fn take(&mut self, response: Response, now: Instant) -> bool {
        let is_ours =
            response.header("call-id") == Some(&self.call_id) && self.transaction.is_answered_by(&response);
        if is_ours {
            self.transaction.heard(&response, now);
            self.answer = Some(response).filter(Response::is_final);
        }
        is_ours
    }

    fn due(&self) -> Option<Instant> {
        self.transaction.due()
    }

    fn tick(&mut self, now: Instant) {
        self.again = self.transaction.tick(now);
    }

    fn is_over(&self) -> bool {
        self.transaction.is_done()
    }
}
