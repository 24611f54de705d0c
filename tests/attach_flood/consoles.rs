//! Consoles without a screen: each folds what it hears into a picture, in its own time.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use warroom::{
    attach::{
        client::{self, Plan, greeting},
        wire::{SOCKET, Told, Welcome},
    },
    clock::SystemClock,
    console::feed::{self, Item},
    domain::{Picture, Role},
};

/// A feed of this size overflows while its console stalls.
const SMALL: usize = 64;
const USUAL: usize = 4_096;

/// What a console shows now.
pub(crate) type Shown = Arc<Mutex<Option<Picture>>>;

/// How a console reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Whenever there is something.
    Quick,
    /// It sleeps now and then, as behind a slow terminal.
    Stalls,
}

/// The real client, and what a screen would do with what it hears.
pub(crate) struct Follower {
    shown: Shown,
    pictures: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    pub(crate) fn attach(folder: &Path, habit: Habit) -> Self {
        let (writer, reader) = feed::feed(if habit == Habit::Stalls { SMALL } else { USUAL });
        let plan = Plan {
            folder: folder.to_owned(),
            greeting: greeting(Role::Operate),
            clock: Arc::new(SystemClock),
        };
        let mut client = client::attach(plan, writer).unwrap();
        let shown: Shown = Arc::new(Mutex::new(client.picture.take().map(|picture| *picture)));
        let (pictures, over) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicBool::new(false)));
        let own = (Arc::clone(&shown), Arc::clone(&pictures), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut turn = 0_u32;
            while !over.load(Ordering::SeqCst) {
                turn += 1;
                let long = habit == Habit::Stalls && turn.is_multiple_of(20);
                std::thread::sleep(Duration::from_millis(if long { 600 } else { 10 }));
                let drained = reader.drain();
                if drained.lagged {
                    client.asker().picture();
                }
                let mut shown = shown.lock().unwrap();
                for item in drained.items {
                    match item {
                        Item::Picture(picture) => {
                            pictures.fetch_add(1, Ordering::SeqCst);
                            *shown = Some(*picture);
                        }
                        Item::Event(event) => {
                            if let Some(picture) = shown.as_mut() {
                                picture.apply(&event);
                            }
                        }
                        Item::Word(_) => {}
                    }
                }
            }
        });
        let (shown, pictures, over) = own;
        Self { shown, pictures, over, thread: Some(thread) }
    }

    pub(crate) fn shown(&self) -> Shown {
        Arc::clone(&self.shown)
    }

    /// How often it got a whole picture.
    pub(crate) fn pictures(&self) -> usize {
        self.pictures.load(Ordering::SeqCst)
    }
}

/// One that does not even read its socket until the flood has gone over it, and then reads everything.
pub(crate) struct Deaf {
    shown: Shown,
    pictures: Arc<AtomicUsize>,
    wakes: Sender<()>,
}

impl Deaf {
    pub(crate) fn attach(folder: &Path) -> Self {
        let mut stream = UnixStream::connect(folder.join(SOCKET)).unwrap();
        let text = serde_json::to_string(&greeting(Role::Watch)).unwrap() + "\n";
        stream.write_all(text.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let welcome: Welcome = serde_json::from_str(&line).unwrap();
        assert_eq!(welcome.refused, None);
        let (shown, pictures) = (Shown::default(), Arc::new(AtomicUsize::new(0)));
        let (wakes, hears) = channel();
        let deaf = Self { shown: Arc::clone(&shown), pictures: Arc::clone(&pictures), wakes };
        std::thread::spawn(move || {
            for (number, line) in reader.lines().map_while(Result::ok).enumerate() {
                if number == 0 {
                    // The test is over when nobody will say it any more.
                    let _ = hears.recv();
                }
                let mut shown = shown.lock().unwrap();
                match serde_json::from_str(&line).unwrap() {
                    Told::Picture(mut picture) => {
                        pictures.fetch_add(1, Ordering::SeqCst);
                        // Without it no event would find its component.
                        picture.index();
                        *shown = Some(*picture);
                    }
                    Told::Event(event) => shown.as_mut().unwrap().apply(&event),
                    _ => {}
                }
            }
        });
        deaf
    }

    /// From now on it reads.
    pub(crate) fn wake(&self) {
        self.wakes.send(()).unwrap();
    }

    pub(crate) fn shown(&self) -> Shown {
        Arc::clone(&self.shown)
    }

    /// How often it got a whole picture.
    pub(crate) fn pictures(&self) -> usize {
        self.pictures.load(Ordering::SeqCst)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // A panic in it has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
