//! `agent --events`: prints what happens, on a thread of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
    mpsc::{Receiver, Sender, channel},
};

use crate::{
    cli::{Failure, Output},
    domain::Event,
    engine::{Listener, Remote},
};

/// Probes and outages' progress that may wait for a slow reader of the events; beyond that they are left out, and it is
/// said. Everything else is rare, and waits as long as it must.
const WAITING: usize = 65_536;

/// Prints events on a thread of its own, so that a slow reader delays nothing.
pub(super) struct Printer {
    events: Sender<Arc<Event>>,
    /// How many events that may be left out wait for the reader.
    waiting: Arc<AtomicUsize>,
    /// How many were left out.
    pub(super) left_out: Arc<AtomicU64>,
    /// How many of those had been told when the reader last went on.
    told: u64,
}

impl Printer {
    /// The second value is told how it ended when everything is printed, or nothing can be any more.
    pub(super) fn begin(remote: Remote) -> Result<(Self, Receiver<std::io::Result<()>>), Failure> {
        let (printer, events) = Self::new();
        let waiting = Arc::clone(&printer.waiting);
        let (done, printed) = channel();
        std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                let mut output = Output::standard();
                let ended = match print(&events, &waiting, &mut output) {
                    // Nobody reads the events any more: that is how a reader says that it has enough.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                        remote.stop();
                        Ok(())
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the events cannot be written; measuring goes on without printing them");
                        Err(error)
                    }
                    Ok(()) => Ok(()),
                };
                // Whoever waited has lost patience if this is not taken.
                let _ = done.send(ended);
            })
            .map_err(Failure::cannot_go_on)?;
        Ok((printer, printed))
    }

    fn new() -> (Self, Receiver<Arc<Event>>) {
        let (sender, events) = channel();
        let (waiting, left_out) = (Arc::default(), Arc::default());
        (Self { events: sender, waiting, left_out, told: 0 }, events)
    }
}

/// What a later event of the same kind makes good.
fn may_be_left_out(event: &Event) -> bool {
    matches!(event, Event::Probe(_) | Event::Outage(_))
}

fn print(events: &Receiver<Arc<Event>>, waiting: &AtomicUsize, output: &mut Output) -> std::io::Result<()> {
    let line = |event: &Event, output: &mut Output| {
        if may_be_left_out(event) {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        output.json(event)
    };
    while let Ok(event) = events.recv() {
        line(&event, output)?;
        while let Ok(event) = events.try_recv() {
            line(&event, output)?;
        }
        output.flush()?;
    }
    Ok(())
}

impl Listener for Printer {
    fn event(&mut self, event: &Arc<Event>) {
        if may_be_left_out(event) {
            if self.waiting.load(Ordering::Relaxed) >= WAITING {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let left_out = self.left_out.load(Ordering::Relaxed);
            if left_out > self.told {
                tracing::warn!(
                    events = left_out - self.told,
                    "the reader of the events was too slow; probe and outage events were left out"
                );
                self.told = left_out;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        if self.events.send(Arc::clone(event)).is_err() && may_be_left_out(event) {
            // Nothing is printed any more, which has been told.
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ComponentId, PathName, Verdict,
        event::{BlipEvent, ProbeEvent},
    };

    #[test]
    fn a_slow_reader_costs_probes_and_nothing_else() {
        let (mut printer, events) = Printer::new();
        let at = chrono::DateTime::UNIX_EPOCH;
        let component_id = ComponentId::new("crm");
        let probe = Arc::new(Event::Probe(ProbeEvent {
            at,
            component_id: component_id.clone(),
            path: PathName::primary(),
            verdict: Verdict::Up,
            latency_ms: None,
            served_by: None,
            reason: None,
            burst: false,
            steps: Vec::new(),
        }));
        let blip = Arc::new(Event::Blip(BlipEvent { at, component_id, reason: None }));
        for _ in 0..WAITING + 7 {
            printer.event(&probe);
        }
        for _ in 0..3 {
            printer.event(&blip);
        }
        assert_eq!(printer.left_out.load(Ordering::Relaxed), 7);
        let waiting: Vec<_> = events.try_iter().collect();
        assert_eq!(waiting.len(), WAITING + 3);
        assert!(waiting.iter().rev().take(3).all(|event| **event == *blip), "nothing else is left out");
    }
}
