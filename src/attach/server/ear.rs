//! The engine's end: a listener that never blocks, and the queue from it to the server's thread.
//!
//! Invariants: while nobody is attached an event costs one look at an atomic; the queue has a ceiling, beyond which all
//! of it is dropped and a whole picture wanted; a picture travels in the same queue as the events that follow it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::{
    config::model::{AgentSettings, Config},
    domain::{Event, Picture, Verdict, time::Now},
    engine::Listener,
};

/// How many events may wait for the server's thread.
const CAPACITY: usize = 8_192;

/// Nobody is attached: events are dropped.
const DEAF: u8 = 0;
/// A picture is wanted; events before it are of no use.
const WAITING: u8 = 1;
/// Events are taken.
const HEARING: u8 = 2;

/// What the engine told.
#[derive(Debug)]
pub(super) enum Item {
    Event(Arc<Event>),
    Picture(Box<Picture>),
}

/// What the server's thread takes out at once.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) items: VecDeque<Item>,
    /// A config came into force.
    pub(super) settings: Option<AgentSettings>,
    /// Events were dropped: a picture must be asked for. Told once.
    pub(super) lagged: bool,
    /// The engine has ended.
    pub(super) ended: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "each says one independent thing about the queue")]
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    settings: Option<AgentSettings>,
    lagged: bool,
    ended: bool,
    woken_for_noise: bool,
    woken_for_news: bool,
}

/// Both ends of the queue.
#[derive(Debug, Default)]
pub(super) struct Line {
    queue: Mutex<Queue>,
    state: AtomicU8,
    /// How often the engine's task has gone round.
    rounds: AtomicU64,
    /// Something happened that a person waits for.
    pub(super) news: Notify,
    /// Only numbers moved: that can wait.
    pub(super) noise: Notify,
}

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic while the queue was held leaves nothing half done in it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, queue: &mut Queue, news: bool) {
        let woken = if news { &mut queue.woken_for_news } else { &mut queue.woken_for_noise };
        if !std::mem::replace(woken, true) {
            if news { &self.news } else { &self.noise }.notify_one();
        }
    }

    /// Begins to hear, with a picture, which the caller then asks the engine for. `false` where it hears already.
    pub(super) fn open(&self) -> bool {
        self.state.compare_exchange(DEAF, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Hears no more.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        self.state.store(DEAF, Ordering::Release);
        queue.items.clear();
        queue.lagged = false;
    }

    /// How often the engine's task has gone round; zero until it begins.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Takes out the settings of a config that came into force.
    pub(super) fn settings(&self) -> Option<AgentSettings> {
        self.queue().settings.take()
    }

    /// Takes everything out.
    pub(super) fn drain(&self) -> Heard {
        let mut queue = self.queue();
        (queue.woken_for_news, queue.woken_for_noise) = (false, false);
        Heard {
            items: std::mem::take(&mut queue.items),
            settings: queue.settings.take(),
            lagged: std::mem::take(&mut queue.lagged),
            ended: queue.ended,
        }
    }
}

/// What the engine tells of everything.
#[derive(Debug)]
pub(super) struct Ear(pub(super) Arc<Line>);

impl Listener for Ear {
    fn event(&mut self, event: &Arc<Event>) {
        if self.0.state.load(Ordering::Acquire) != HEARING {
            return;
        }
        let mut queue = self.0.queue();
        if queue.items.len() >= CAPACITY {
            queue.items.clear();
            queue.lagged = true;
            self.0.state.store(WAITING, Ordering::Release);
            self.0.wake(&mut queue, true);
            return;
        }
        // A good probe moves numbers alone.
        let news = !matches!(&**event, Event::Probe(probe) if probe.verdict == Verdict::Up)
            || queue.items.len() * 2 >= CAPACITY;
        queue.items.push_back(Item::Event(Arc::clone(event)));
        self.0.wake(&mut queue, news);
    }

    fn picture(&mut self, picture: &Picture) {
        if self.0.state.load(Ordering::Acquire) == DEAF {
            return;
        }
        let picture = Box::new(picture.clone());
        let mut queue = self.0.queue();
        // Whoever was here may have gone while it was copied.
        if self.0.state.load(Ordering::Acquire) == DEAF {
            return;
        }
        queue.items.clear();
        queue.lagged = false;
        queue.items.push_back(Item::Picture(picture));
        self.0.state.store(HEARING, Ordering::Release);
        self.0.wake(&mut queue, true);
    }

    fn round(&mut self, _picture: &Picture, _now: Now) {
        self.0.rounds.fetch_add(1, Ordering::Relaxed);
    }

    fn config(&mut self, config: &Arc<Config>) {
        let mut queue = self.0.queue();
        queue.settings = Some(config.agent.clone());
        self.0.wake(&mut queue, true);
    }

    fn wants_picture(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == WAITING
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.ended = true;
        self.0.wake(&mut queue, true);
    }
}
