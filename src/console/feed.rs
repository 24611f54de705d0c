//! The queue between the engine and the console.
//!
//! Invariants: sending never blocks and never fails; the console is woken at most once for noise and once for news
//! until it has drained; after an overflow nothing is handed over but a whole picture, so that no event is missing from
//! what the console shows. Pictures travel in the same queue as events, and so are never older than what came before.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::domain::{Attached, Event, Picture, Since, Verdict, picture::is_notable};

/// What the engine sends.
#[derive(Clone, Debug)]
pub enum Item {
    /// Something happened.
    Event(Arc<Event>),
    /// Everything that is known now; replaces what the console holds.
    Picture(Box<Picture>),
    /// Something that concerns this console alone.
    Word(Word),
}

/// What is told to one console alone, beside what happens. It is never lost, and changes nothing in the picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// As whom the engine knows this console.
    You(Attached),
    /// What happened since this person last looked.
    Since(Since),
    /// A command was refused, and why.
    Refused(String),
    /// The connection to the engine is lost, and why; it is tried again. The next picture ends it.
    Lost(String),
}

/// What the console takes out of the queue at once.
#[derive(Debug, Default)]
pub struct Drained {
    /// In the order in which they were sent.
    pub items: Vec<Item>,
    /// Events were lost: the console must ask for a picture. Told once.
    pub lagged: bool,
    /// How many events that a person would want to read were lost since the last time; a picture holds the last of them.
    pub lost: u64,
    /// The engine is gone, and why. Told once.
    pub stopped: Option<String>,
}

#[expect(clippy::struct_excessive_bools, reason = "each says one independent thing about the queue")]
#[derive(Debug)]
struct Queue {
    items: VecDeque<Item>,
    capacity: usize,
    /// Waiting for a picture; events are of no use until it comes.
    lagging: bool,
    lag_told: bool,
    woken_for_noise: bool,
    woken_for_news: bool,
    stopped: Option<String>,
    /// Events that a person would want to read, which are handed over no longer.
    lost: u64,
    wake: Option<Wake>,
}

/// Wakes whoever reads, and says whether it is for more than numbers that moved.
struct Wake(Box<dyn Fn(bool) + Send>);

impl std::fmt::Debug for Wake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Wake")
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    picture_wanted: AtomicBool,
}

impl Shared {
    /// A panic while the queue was held leaves nothing half done in it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's end. When it is dropped, the console says that the engine is gone.
#[derive(Debug)]
pub struct FeedWriter(Arc<Shared>);

/// The console's end.
#[derive(Debug)]
pub struct FeedReader(Arc<Shared>);

/// A queue that holds at most `capacity` events (at least one).
#[must_use]
pub fn feed(capacity: usize) -> (FeedWriter, FeedReader) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            items: VecDeque::new(),
            capacity: capacity.max(1),
            lagging: false,
            lag_told: false,
            woken_for_noise: false,
            woken_for_news: false,
            stopped: None,
            lost: 0,
            wake: None,
        }),
        picture_wanted: AtomicBool::new(false),
    });
    (FeedWriter(Arc::clone(&shared)), FeedReader(shared))
}

impl FeedWriter {
    /// Sends one event. Never blocks on the console, however slow its terminal is.
    pub fn send(&self, event: Arc<Event>) {
        let mut queue = self.0.queue();
        if queue.lagging {
            queue.lose(&event);
            return;
        }
        if queue.items.len() >= queue.capacity {
            queue.forget_all_but_words();
            queue.lose(&event);
            queue.lagging = true;
            queue.lag_told = false;
            queue.wake(true);
            return;
        }
        // A good probe moves numbers alone; those can wait for the next second.
        let news = !matches!(&*event, Event::Probe(probe) if probe.verdict == Verdict::Up)
            || queue.items.len() * 2 >= queue.capacity;
        queue.items.push_back(Item::Event(event));
        queue.wake(news);
    }

    /// Tells this console alone. Never blocks.
    pub fn tell(&self, word: Word) {
        let mut queue = self.0.queue();
        queue.items.push_back(Item::Word(word));
        queue.wake(true);
    }

    /// Sends everything that is known now, after the console has asked for it.
    pub fn send_picture(&self, picture: Picture) {
        self.0.picture_wanted.store(false, Ordering::Release);
        let mut queue = self.0.queue();
        queue.forget_all_but_words();
        queue.lagging = false;
        queue.items.push_back(Item::Picture(Box::new(picture)));
        queue.wake(true);
    }

    /// Whether the console waits for a picture. An engine may look here after each event besides being asked.
    #[must_use]
    pub fn wants_picture(&self) -> bool {
        self.0.picture_wanted.load(Ordering::Acquire)
    }

    /// The engine cannot go on: the console says why, and keeps the last picture, marked as old.
    pub fn stop(&self, reason: impl Into<String>) {
        let mut queue = self.0.queue();
        queue.stopped = Some(reason.into());
        queue.wake(true);
    }
}

impl Drop for FeedWriter {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        if queue.stopped.is_none() {
            queue.stopped = Some("the engine has ended".to_owned());
            queue.wake(true);
        }
    }
}

impl FeedReader {
    /// From now on wakes whoever reads, and says whether it is for more than numbers that moved; at once if something has
    /// been sent before. `wake` must not block.
    pub fn attach(&self, wake: impl Fn(bool) + Send + 'static) {
        let mut queue = self.0.queue();
        queue.wake = Some(Wake(Box::new(wake)));
        (queue.woken_for_news, queue.woken_for_noise) = (false, false);
        if !queue.items.is_empty() || queue.lagging || queue.stopped.is_some() {
            queue.wake(true);
        }
    }

    /// Takes everything out.
    #[must_use]
    pub fn drain(&self) -> Drained {
        let mut queue = self.0.queue();
        (queue.woken_for_news, queue.woken_for_noise) = (false, false);
        let lagged = queue.lagging && !queue.lag_told;
        queue.lag_told |= lagged;
        let drained = Drained {
            items: queue.items.drain(..).collect(),
            lagged,
            lost: std::mem::take(&mut queue.lost),
            stopped: queue.stopped.take(),
        };
        drop(queue);
        if lagged {
            self.0.picture_wanted.store(true, Ordering::Release);
        }
        drained
    }
}

impl Queue {
    /// Events and pictures make room for a new picture; what concerns this console alone does not.
    fn forget_all_but_words(&mut self) {
        let items = std::mem::take(&mut self.items);
        for item in items {
            match item {
                Item::Word(_) => self.items.push_back(item),
                Item::Event(event) => self.lose(&event),
                Item::Picture(_) => {}
            }
        }
    }

    fn lose(&mut self, event: &Event) {
        self.lost += u64::from(is_notable(event));
    }

    fn wake(&mut self, news: bool) {
        let woken = if news { &mut self.woken_for_news } else { &mut self.woken_for_noise };
        if std::mem::replace(woken, true) {
            return;
        }
        if let Some(wake) = &self.wake {
            (wake.0)(news);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Sender, channel},
        time::Duration,
    };

    use chrono::DateTime;

    use super::*;
    use crate::domain::{Environment, Roster, event::BlipEvent};

    fn waking(sender: Sender<bool>) -> impl Fn(bool) + Send {
        move |news| sender.send(news).unwrap_or_default()
    }

    fn blip() -> Arc<Event> {
        Arc::new(Event::Blip(BlipEvent { at: DateTime::UNIX_EPOCH, component_id: "a".into(), reason: None }))
    }

    fn picture() -> Picture {
        Picture::new(Arc::new(Roster {
            tenant: "t".to_owned(),
            environment: Environment::Sandbox,
            demo: false,
            window: Duration::from_secs(1),
            platforms: Vec::new(),
            components: Vec::new(),
        }))
    }

    #[test]
    fn the_console_is_woken_once_until_it_has_drained() {
        let (writer, reader) = feed(8);
        let (sender, receiver) = channel();
        reader.attach(waking(sender));
        writer.send(blip());
        writer.send(blip());
        assert_eq!(receiver.try_iter().count(), 1);
        assert_eq!(reader.drain().items.len(), 2);
        writer.send(blip());
        assert_eq!(receiver.try_iter().count(), 1);
    }

    #[test]
    fn what_came_before_the_console_listened_is_not_lost() {
        let (writer, reader) = feed(8);
        writer.send(blip());
        let (sender, receiver) = channel();
        reader.attach(waking(sender));
        assert_eq!(receiver.try_iter().count(), 1);
        assert_eq!(reader.drain().items.len(), 1);
    }

    #[test]
    fn after_an_overflow_only_a_picture_is_handed_over() {
        let (writer, reader) = feed(2);
        for _ in 0..3 {
            writer.send(blip());
        }
        let drained = reader.drain();
        assert!(drained.lagged && drained.items.is_empty());
        assert_eq!(drained.lost, 3);
        assert!(writer.wants_picture());
        writer.send(blip());
        let still = reader.drain();
        assert!(!still.lagged && still.items.is_empty(), "the console asks once");
        writer.send_picture(picture());
        writer.send(blip());
        assert!(!writer.wants_picture());
        let items = reader.drain().items;
        assert!(matches!(items.as_slice(), [Item::Picture(_), Item::Event(_)]));
    }

    #[test]
    fn an_engine_that_ends_is_told() {
        let (writer, reader) = feed(2);
        drop(writer);
        assert!(reader.drain().stopped.is_some());
    }
}
