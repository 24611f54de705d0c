//! The connection's own task: hears the engine, speaks for the console, and connects again when the line is lost.

use std::{
    io,
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tokio_util::{
    codec::{FramedRead, LinesCodecError},
    sync::CancellationToken,
};

use super::{
    Asker, AttachError, Begun, Plan, Standing,
    line::{self, Line, WholeLines, say},
};
use crate::{
    attach::wire::{Ask, BEAT, Told, Welcome},
    console::{FeedWriter, Word},
    expression::clean,
};

/// How long whoever attaches waits for the first picture after the welcome.
const FIRST: Duration = Duration::from_millis(500);
/// After so long without a word the engine hangs: it says something once a [`BEAT`].
const SILENCE: Duration = BEAT.saturating_mul(3);
/// After so much longer the connection is given up, and another one is tried.
const GIVEN_UP: Duration = BEAT.saturating_mul(12);
/// How often an engine is tried that may be back at any moment.
const SOON: Duration = Duration::from_secs(1);
/// How often one is tried that somebody must mend first.
const LATER: Duration = Duration::from_secs(10);
/// How long the end waits for the last commands to be taken.
const FAREWELL: Duration = Duration::from_millis(500);
/// The longest foreign sentence that is told, in characters.
const LONGEST: usize = 300;

/// How a conversation ended.
enum End {
    /// The console detaches.
    Detached,
    /// The line is lost: why, and after how long another one is tried.
    Lost(String, Duration),
}

pub(super) struct Follower {
    plan: Plan,
    feed: Arc<FeedWriter>,
    asks: mpsc::Receiver<Ask>,
    picture: Arc<Notify>,
    stop: CancellationToken,
    /// Whoever attaches, until they have been answered.
    begun: Option<SyncSender<Begun>>,
}

impl Follower {
    pub(super) fn new(
        plan: Plan,
        feed: Arc<FeedWriter>,
        asker: &Asker,
        asks: mpsc::Receiver<Ask>,
        stop: CancellationToken,
        begun: SyncSender<Begun>,
    ) -> Self {
        let picture = Arc::clone(&asker.picture);
        Self { plan, feed, asks, picture, stop, begun: Some(begun) }
    }

    /// Follows the engine until the console detaches; says how the connection stood then.
    pub(super) async fn run<S: AsyncRead + AsyncWrite>(mut self, line: Line<S>) -> Standing {
        let mut pid = line.welcome.pid;
        let mut end = self.converse(line).await;
        loop {
            let End::Lost(reason, pause) = end else { return Standing::Here(pid) };
            self.feed.tell(Word::Lost(reason.clone()));
            let line = match self.connect_again(reason, pause).await {
                Ok(line) => line,
                Err(reason) => return Standing::Away(reason),
            };
            pid = line.welcome.pid;
            end = self.converse(line).await;
        }
    }

    /// Hears and speaks until the line is lost or the console detaches.
    async fn converse<S: AsyncRead + AsyncWrite>(&mut self, line: Line<S>) -> End {
        let Line { reader, mut writer, welcome } = line;
        if let Some(mut you) = welcome.you.clone() {
            // Who only wants to look is never taken for more.
            you.role = you.role.min(self.plan.greeting.wants);
            self.feed.tell(Word::You(you));
        }
        let mut hearing =
            Hearing { plan: &self.plan, feed: &self.feed, picture: &self.picture, begun: &mut self.begun };
        let end = tokio::select! {
            end = hearing.listen(reader, &welcome) => end,
            end = speak(&mut self.asks, &self.picture, &self.stop, &mut writer) => end,
        };
        answer(&mut self.begun, &welcome, None);
        end
    }

    /// Tries until there is a new line, or the console detaches: then why there is none.
    async fn connect_again(
        &mut self,
        mut reason: String,
        mut pause: Duration,
    ) -> Result<Line<tokio::net::UnixStream>, String> {
        loop {
            self.wait(pause).await;
            let opened = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(reason),
                opened = line::open(&self.plan.folder, &self.plan.greeting) => opened,
            };
            let error = match opened {
                Ok(line) => return Ok(line),
                Err(error) => error,
            };
            pause = if error.passes() { SOON } else { LATER };
            // That nobody is there is known; what keeps us out of a new engine is news. Said once: each word wakes the
            // screen.
            let told = told(&error);
            if !error.passes() && told != reason {
                self.feed.tell(Word::Lost(told.clone()));
                reason = told;
            }
        }
    }

    /// Waits; what is asked for meanwhile is refused.
    async fn wait(&mut self, pause: Duration) {
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = &mut over => return,
                Some(ask) = self.asks.recv() => {
                    if let Ask::Command(_) = ask {
                        let words = "not sent: there is no connection to the engine".to_owned();
                        self.feed.tell(Word::Refused(words));
                    }
                }
            }
        }
    }
}

/// Answers whoever attached, once.
fn answer(
    begun: &mut Option<SyncSender<Begun>>,
    welcome: &Welcome,
    picture: Option<Box<crate::domain::Picture>>,
) {
    if let Some(begun) = begun.take() {
        // Whoever attaches waits for the answer until it comes.
        let _ = begun.send(Ok((welcome.clone(), picture)));
    }
}

/// Why there is no line, for the screen.
fn told(error: &AttachError) -> String {
    clean(&error.to_string(), LONGEST)
}

/// The half that hears.
struct Hearing<'a> {
    plan: &'a Plan,
    feed: &'a FeedWriter,
    picture: &'a Notify,
    begun: &'a mut Option<SyncSender<Begun>>,
}

impl Hearing<'_> {
    /// Hands on what the engine tells, until the line is lost.
    async fn listen<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut reader: FramedRead<ReadHalf<S>, WholeLines>,
        welcome: &Welcome,
    ) -> End {
        let pid = welcome.pid;
        let (mut has_picture, mut is_silent) = (false, false);
        let mut heard = self.plan.clock.wall();
        loop {
            let patience = match (&self.begun, is_silent) {
                (Some(_), _) => FIRST,
                (None, false) => SILENCE,
                (None, true) => GIVEN_UP,
            };
            let text = match timeout(patience, reader.next()).await {
                Err(_) if self.begun.is_some() => {
                    answer(self.begun, welcome, None);
                    continue;
                }
                Err(_) => {
                    let since = heard.format("%H:%M:%SZ");
                    let words = format!("the engine (process {pid}) does not answer since {since}: it hangs");
                    if is_silent {
                        return End::Lost(words, LATER);
                    }
                    // The line is kept: an engine that goes on is heard on it at once.
                    self.feed.tell(Word::Lost(words));
                    is_silent = true;
                    continue;
                }
                Ok(Some(Ok(text))) => text,
                Ok(ended) => return End::Lost(broken(pid, ended), SOON),
            };
            heard = self.plan.clock.wall();
            if std::mem::take(&mut is_silent) {
                has_picture = false;
                self.picture.notify_one();
            }
            match serde_json::from_str(&text) {
                Ok(Told::Picture(mut picture)) => {
                    has_picture = true;
                    picture.index();
                    if self.begun.is_some() {
                        answer(self.begun, welcome, Some(picture));
                    } else {
                        self.feed.send_picture(*picture);
                    }
                }
                // What happened before the picture is in the picture.
                Ok(Told::Event(event)) if has_picture => self.feed.send(event),
                Ok(Told::Event(_) | Told::Beat) => {}
                Ok(Told::Since(since)) => self.feed.tell(Word::Since(since)),
                Ok(Told::Refused(reason)) => self.feed.tell(Word::Refused(clean(&reason, LONGEST))),
                Ok(Told::Bye(reason)) => return End::Lost(clean(&reason, LONGEST), SOON),
                Err(error) => {
                    let error = AttachError::garbled(&self.plan.folder, &error.to_string());
                    return End::Lost(told(&error), LATER);
                }
            }
        }
    }
}

/// How a line broke.
fn broken(pid: u32, ended: Option<Result<String, LinesCodecError>>) -> String {
    match ended {
        Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
            format!("the engine (process {pid}) said more in one line than a console takes in")
        }
        Some(Err(LinesCodecError::Io(error))) if error.kind() == io::ErrorKind::InvalidData => {
            format!("the engine (process {pid}) said what is no text")
        }
        Some(Err(LinesCodecError::Io(error))) if error.kind() != io::ErrorKind::ConnectionReset => {
            format!("the connection to the engine (process {pid}) broke off: {error}")
        }
        _ => format!("the engine (process {pid}) has ended without a word"),
    }
}

/// Says what the console asks for, until the line is lost or the console detaches.
async fn speak<S: AsyncWrite>(
    asks: &mut mpsc::Receiver<Ask>,
    picture: &Notify,
    stop: &CancellationToken,
    writer: &mut WriteHalf<S>,
) -> End {
    loop {
        let ask = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ask = asks.recv() => match ask {
                Some(ask) => ask,
                None => break,
            },
            () = picture.notified() => Ask::Picture,
        };
        if say(writer, &ask).await.is_err() {
            // The engine has closed the line. The half that hears comes to its last words, and ends this.
            stop.cancelled().await;
            return End::Detached;
        }
    }
    asks.close();
    let farewell = async {
        while let Ok(ask) = asks.try_recv() {
            say(writer, &ask).await?;
        }
        writer.shutdown().await
    };
    // An engine that takes nothing more in would have refused it, or is gone.
    let _ = timeout(FAREWELL, farewell).await;
    End::Detached
}
