//! The console with an engine of its own, which lives in this process and ends with it; others may attach to it meanwhile.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use super::{Args, show, stage::Stage, watching};
use crate::{
    attach::{
        self, client, peer,
        server::{HOST, Server},
    },
    cli::{Exit, Failure, Outcome, Output, plain::Engine, start},
    clock::{Clock, SystemClock},
    console::{self, Feed, FeedWriter, Word},
    domain::{Attached, Event, Picture},
    engine::{self, Listener, Mailbox, Setup},
    sim,
};

/// Events that may wait for a slow terminal; beyond that the console takes a fresh picture.
const WAITING: usize = crate::cli::attach::WAITING;

/// The thread of the engine, once it was begun.
type Running = Arc<Mutex<Option<std::io::Result<JoinHandle<Result<(), Failure>>>>>>;

/// Measures and shows until the console ends. The folder must be free; who holds it is the failure otherwise.
pub(super) fn run(args: &Args, stage: Stage, notices: &[String], output: &mut Output) -> Outcome {
    let Stage { config, folder, demo, findings } = stage;
    let held = start::hold(folder.path().to_owned(), &config, |_| false)?;
    let (writer, reader) = console::feed(WAITING);
    for notice in notices {
        tracing::warn!("{notice}");
        // Lines go where the notice has just been printed; only a screen covers it.
        if !args.plain {
            writer.tell(Word::Refused(notice.clone()));
        }
    }
    let mailbox = Mailbox::default();
    let remote = mailbox.remote();
    let me = this_console(args);
    writer.tell(Word::You(me.clone()));
    // Who only asks is nobody's company, and has not looked.
    let host = (!args.once).then(|| me.clone());
    // Declared after the lock is held, and so gone before it is let go.
    let (server, ear) =
        Server::begin(&held.folder, remote.clone(), start::clock(), config.agent.clone(), host);
    let (farewell, last_words) = (server.farewell(), format!("measuring ended with {}'s console", me.who));
    let setup = Setup {
        config: Arc::clone(&config),
        clock: start::clock(),
        seed: start::seed(),
        folder: held.folder.clone(),
        listeners: vec![ear],
    };
    let engine: Running = Arc::default();
    let person = me.who.clone();
    let writer = Arc::new(writer);
    // Only lent: when the engine ends, however it does, the console is told that the feed has ended.
    let lent = Arc::downgrade(&writer);
    let (begin, asked, told) = (Arc::clone(&engine), remote.clone(), remote.clone());
    let feed = Feed {
        picture: Picture::new(Arc::clone(&config.roster)),
        reader,
        ask_picture: Box::new(move || asked.ask_picture()),
        command: Box::new(move |command| match (watching(me.role, &command), lent.upgrade()) {
            (Some(words), Some(writer)) => {
                writer.tell(Word::Refused(words));
                true
            }
            (None, Some(_)) => told.command(command, me.who.clone()),
            (_, None) => false,
        }),
        now: Box::new(|| SystemClock.now()),
        after_first_frame: Some(Box::new(move || {
            let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
                // The log's first line makes it read all time zones, which the first frame need not wait for.
                for finding in findings {
                    tracing::warn!("{finding}");
                }
                // What an agent measured meanwhile; nothing can have happened where none ran.
                match attach::since(&setup.folder, &person) {
                    Ok(Some(since)) if !since.is_empty() => writer.tell(Word::Since(since)),
                    Ok(_) => {}
                    // A folder that is new has nothing to read; of a damaged one the store speaks, which opens it next.
                    Err(error) => tracing::debug!(%error, "what happened since the last look cannot be read"),
                }
                work(setup, mailbox, demo, &writer).inspect_err(|failure| {
                    let reason = format!("{:#}", failure.error);
                    farewell.say(reason.clone());
                    writer.stop(reason);
                })
            });
            *begin.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        })),
    };
    let shown = show(args, Engine::Here(&config), feed, output);
    server.farewell().say(last_words);
    remote.stop();
    let worked = engine.lock().unwrap_or_else(PoisonError::into_inner).take();
    let worked = match worked {
        None => Ok(()),
        Some(Err(error)) => Err(Failure::cannot_go_on(error)),
        Some(Ok(thread)) => match thread.join() {
            Ok(worked) => worked,
            Err(_) => Err(Failure::cannot_go_on(anyhow::anyhow!("the engine panicked"))),
        },
    };
    drop(server);
    drop(held);
    drop(folder);
    // Why the engine could not go on says more than that it has ended.
    worked?;
    shown
}

/// The console of this process, as everybody sees it.
fn this_console(args: &Args) -> Attached {
    let greeting = client::greeting(args.role());
    Attached {
        id: HOST,
        who: peer::myself(),
        role: args.role(),
        since: SystemClock.wall(),
        terminal: greeting.terminal,
        from: greeting.from,
        is_host: true,
    }
}

/// The engine's thread: the simulated platforms where they are wanted, and the engine to its end.
fn work(
    mut setup: Setup,
    mailbox: Mailbox,
    demo: Option<TcpListener>,
    writer: &Arc<FeedWriter>,
) -> Result<(), Failure> {
    setup.listeners.push(Box::new(Screen(Arc::clone(writer))));
    start::runtime().and_then(|runtime| {
        let worked = runtime.block_on(async {
            if let Some(listener) = demo {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(Failure::cannot_go_on)?;
                let scenario = sim::demo_scenario().map_err(Failure::cannot_go_on)?;
                tokio::spawn(sim::serve(listener, scenario, start::clock(), start::seed()));
            }
            start::ended(engine::run(setup, mailbox, None).await, Exit::Good).map(|_| ())
        });
        runtime.shutdown_background();
        worked
    })
}

/// The engine's events on their way to the screen.
struct Screen(Arc<FeedWriter>);

impl Listener for Screen {
    fn event(&mut self, event: &Arc<Event>) {
        self.0.send(Arc::clone(event));
    }

    fn picture(&mut self, picture: &Picture) {
        self.0.send_picture(picture.clone());
    }

    fn wants_picture(&self) -> bool {
        self.0.wants_picture()
    }
}
