//! The reports of one component on their way out, in the order of their ends.
//!
//! Invariant: none overtakes another. A report waits while it is doubted; it waits for its clean-up only as long as
//! nothing stands behind it, so that clean-up delays no news.

use std::collections::VecDeque;

use crate::domain::{ProbeReport, StepReport};

/// What a report waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing.
    Nothing,
    /// The word of a canary.
    Doubt,
    /// The states of its clean-up steps.
    CleanUp,
}

/// One report.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) report: ProbeReport,
    pub(crate) wait: Wait,
}

/// The reports that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Entry>);

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push_back(entry);
    }

    /// A canary has spoken: `change` may take the verdict back.
    pub(crate) fn decide(&mut self, id: u64, change: impl FnOnce(&mut ProbeReport)) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.id == id) {
            change(&mut entry.report);
            entry.wait = Wait::Nothing;
        }
    }

    /// The clean-up is done; its states go into the report if that is still here.
    pub(crate) fn cleaned(&mut self, id: u64, steps: Vec<(usize, StepReport)>) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.id == id) {
            for (place, step) in steps {
                entry.report.steps[place] = step;
            }
            if entry.wait == Wait::CleanUp {
                entry.wait = Wait::Nothing;
            }
        }
    }

    /// The next report that may go.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let ready = match self.0.front()?.wait {
            Wait::Nothing => true,
            Wait::Doubt => false,
            Wait::CleanUp => self.0.len() > 1,
        };
        if ready { self.0.pop_front() } else { None }
    }
}
