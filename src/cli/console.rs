//! `warroom` without a subcommand: the console.

use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use anyhow::Context as _;

use super::{Exit, Failure, Global, Outcome, Output, start};
use crate::{
    attach::peer,
    clock::{Clock, SystemClock},
    config::{Finding, model::Config},
    console::{self, ColorChoice, Feed, FeedWriter},
    domain::{Event, Picture},
    engine::{self, Listener, Mailbox, Setup},
    sim,
    store::folder,
};

/// The ids of this file's options, which mean nothing beside a subcommand.
pub const OPTIONS: [&str; 8] = ["demo", "plain", "once", "json", "theme", "color", "ascii", "fps"];

/// Options of the console.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Console")]
pub struct Args {
    /// Show the demo: simulated platforms in this process, a temporary data folder, nothing real.
    #[arg(long)]
    pub demo: bool,
    /// Print lines of plain words instead of a screen: for screen readers, dumb terminals and logs.
    #[arg(long)]
    pub plain: bool,
    /// Print once how everything stands, and end with exit 0 whatever it is; `warroom status` is the check.
    #[arg(long)]
    pub once: bool,
    /// Print it as one JSON object: what a console knows, and whether another process measures (`attached`).
    #[arg(long, requires = "once")]
    pub json: bool,
    /// The theme; `T` in the console chooses another.
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// How many colours the terminal has.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colors::Auto)]
    pub color: Colors,
    /// Draw with ASCII characters alone.
    #[arg(long)]
    pub ascii: bool,
    /// Draw at most so many frames a second.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub fps: u8,
}

/// How many colours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colors {
    /// What the terminal says: `NO_COLOR`, `COLORTERM`, `TERM`.
    Auto,
    /// None.
    Never,
    /// The terminal's sixteen.
    #[value(name = "16")]
    Sixteen,
    /// The fixed palette of 256.
    #[value(name = "256")]
    Palette,
    /// All.
    #[value(name = "true")]
    True,
}

/// Events that may wait for a slow terminal; beyond that the console takes a fresh picture.
const WAITING: usize = 8192;

/// Opens the console.
pub fn run(global: &Global, args: &Args, output: &mut Output) -> Outcome {
    if args.plain || args.once {
        super::plain::log_to_stderr();
    } else {
        log_to_screen();
    }
    start::prepare_process();
    let found = if args.demo { None } else { start::find_config(global)? };
    let stage = if let Some(path) = found {
        Stage::real(global, &path, output)?
    } else {
        if !args.demo {
            output.words(
                "warroom: there is no config yet, so this is the demo; `warroom config init` writes a first one",
            );
        }
        Stage::demo(global)?
    };
    let Stage { config, folder, demo, findings } = stage;
    let held = start::hold(folder.path().to_owned(), config.source.as_deref())?;
    let (writer, reader) = console::feed(WAITING);
    let mailbox = Mailbox::default();
    let remote = mailbox.remote();
    let setup = Setup {
        config: Arc::clone(&config),
        clock: start::clock(),
        seed: start::seed(),
        folder: held.folder.clone(),
        listeners: Vec::new(),
    };
    let engine: Running = Arc::default();
    let me = peer::myself();
    let (begin, asked, told) = (Arc::clone(&engine), remote.clone(), remote.clone());
    let feed = Feed {
        picture: Picture::new(Arc::clone(&config.roster)),
        reader,
        ask_picture: Box::new(move || asked.ask_picture()),
        command: Box::new(move |command| told.command(command, me.clone())),
        now: Box::new(|| SystemClock.now()),
        after_first_frame: Some(Box::new(move || {
            let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
                // The log's first line makes it read all time zones, which the first frame need not wait for.
                for finding in findings {
                    tracing::warn!("{finding}");
                }
                work(setup, mailbox, demo, &Arc::new(writer))
            });
            *begin.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        })),
    };
    let here = super::plain::Engine::Here(&config);
    let shown = if args.once {
        super::plain::once(args, here, feed, output)
    } else if args.plain {
        showed(super::plain::lines(args, here, feed))
    } else {
        showed(console::run(&options(args), feed))
    };
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
    drop(held);
    drop(folder);
    // Why the engine could not go on says more than that it has ended.
    worked?;
    shown
}

/// How the console's end becomes the process's.
fn showed(shown: Result<console::Exit, console::ConsoleError>) -> Outcome {
    let shown = shown.map_err(|error| match error {
        console::ConsoleError::Terminal(_)
        | console::ConsoleError::Stopped(_)
        | console::ConsoleError::Silent(_) => Failure::cannot_go_on(error),
        _ => Failure::wrong_use(error),
    })?;
    Ok(match shown.code() {
        0 => Exit::Good,
        code => Exit::Signal(code.saturating_sub(128)),
    })
}

/// The thread of the engine, once it was begun.
type Running = Arc<Mutex<Option<std::io::Result<JoinHandle<Result<(), Failure>>>>>>;

/// What is shown, and where its data goes.
struct Stage {
    config: Arc<Config>,
    folder: Folder,
    /// Where the simulated platforms of the demo will answer.
    demo: Option<TcpListener>,
    /// What is doubtful in the config, for the log.
    findings: Vec<Finding>,
}

/// A data folder that stays, or one that goes with the demo.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl Stage {
    fn real(global: &Global, path: &std::path::Path, output: &mut Output) -> Result<Self, Failure> {
        let loaded = start::load(path, output)?;
        let folder = folder::resolve(global.data_dir.as_deref()).map_err(Failure::wrong_use)?;
        let findings = loaded.warnings.into_iter().chain(loaded.not_built).collect();
        Ok(Self { config: Arc::new(loaded.config), folder: Folder::Kept(folder), demo: None, findings })
    }

    fn demo(global: &Global) -> Result<Self, Failure> {
        let folder = match &global.data_dir {
            Some(path) => Folder::Kept(demo_folder(path)?),
            None => Folder::Temporary(
                // For its owner alone, whatever the umask: a folder that others may write is refused.
                tempfile::Builder::new()
                    .prefix("warroom-demo-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir()
                    .map_err(Failure::cannot_go_on)?,
            ),
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .context("the simulated platforms cannot listen on loopback")
            .map_err(Failure::cannot_go_on)?;
        let address = listener.local_addr()?;
        let config = sim::demo(address).map_err(Failure::cannot_go_on)?;
        Ok(Self { config: Arc::new(config), folder, demo: Some(listener), findings: Vec::new() })
    }
}

/// A folder that was named for the demo: one of its own, so that simulated recoveries never lie among real ones.
fn demo_folder(path: &std::path::Path) -> Result<PathBuf, Failure> {
    let mark = path.join("demo");
    let used = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if used && !mark.exists() {
        return Err(Failure::wrong_use(anyhow::anyhow!(
            "{} holds real data; leave --data-dir out (the demo takes a temporary folder), or name an empty one",
            path.display()
        )));
    }
    folder::prepare(path, None).map_err(Failure::wrong_use)?;
    std::fs::write(&mark, "the data of `warroom --demo`\n")
        .with_context(|| format!("{} cannot be written", mark.display()))
        .map_err(Failure::cannot_go_on)?;
    Ok(path.to_owned())
}

/// The engine's thread: the simulated platforms where they are wanted, and the engine to its end.
fn work(
    mut setup: Setup,
    mailbox: Mailbox,
    demo: Option<TcpListener>,
    writer: &Arc<FeedWriter>,
) -> Result<(), Failure> {
    setup.listeners.push(Box::new(Screen(Arc::clone(writer))));
    let worked = start::runtime().and_then(|runtime| {
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
    });
    if let Err(failure) = &worked {
        writer.stop(format!("{:#}", failure.error));
    }
    worked
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

fn options(args: &Args) -> console::Options {
    console::Options {
        theme: args.theme.clone(),
        color: match args.color {
            Colors::Auto => ColorChoice::Auto,
            Colors::Never => ColorChoice::Never,
            Colors::Sixteen => ColorChoice::Ansi16,
            Colors::Palette => ColorChoice::Ansi256,
            Colors::True => ColorChoice::True,
        },
        ascii: args.ascii,
        fps: args.fps,
        user_folder: directories::ProjectDirs::from("", "", "warroom")
            .map(|dirs| dirs.config_dir().to_owned()),
    }
}

/// What the tool itself has to say goes to view 8.
fn log_to_screen() {
    use tracing_subscriber::{
        filter::{LevelFilter, Targets},
        layer::SubscriberExt as _,
        util::SubscriberInitExt as _,
    };

    tui_logger::set_default_level(log::LevelFilter::Info);
    // Only a test in the same process could have set another one; then that one stands.
    let _ = tracing_subscriber::registry()
        .with(Targets::new().with_default(LevelFilter::INFO).with_target("refinery_core", LevelFilter::WARN))
        .with(tui_logger::TuiTracingSubscriberLayer)
        .try_init();
}
