//! The one owner of what consoles see: follows the engine's events, serialises each once, and fills every console's outbox.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    net::UnixStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    attend::{Join, Message, attend, told, write_line},
    door::Door,
    ear::{Item, Line},
    limits::{ALL, Comings, Seats},
    looks::{Looker, Looks, looker},
    outbox::Outbox,
};
use crate::{
    attach::{
        access::{self, Credentials},
        wire::Told,
    },
    clock::SharedClock,
    config::model::AgentSettings,
    domain::{Attached, Command, Picture, Role},
    engine::Remote,
};

/// What only moves numbers is told so often at most.
const NOISE: Duration = Duration::from_millis(100);
/// Everything else is told at once, and again so soon at the earliest: a flood becomes few writes.
const NEWS: Duration = Duration::from_millis(20);
/// How often one console gets a picture at most.
const PICTURES: Duration = Duration::from_secs(1);
/// How long events are followed after the last console has gone: whoever comes back soon costs the engine nothing.
const LINGER: Duration = Duration::from_secs(10);
/// How often the socket is looked after.
const CARE: Duration = Duration::from_mins(1);
/// How many bytes of lines are handed out at once.
const PIECE: usize = 64 * 1024;
/// How long consoles may take to read that the engine ends.
const GOODBYE: Duration = Duration::from_millis(500);

/// What a hub begins with.
pub(super) struct Beginning {
    pub(super) folder: PathBuf,
    pub(super) remote: Remote,
    pub(super) clock: SharedClock,
    /// Who may attach, until a config comes into force.
    pub(super) settings: AgentSettings,
    pub(super) line: Arc<Line>,
    pub(super) stop: CancellationToken,
    pub(super) door: Door,
}

struct Console {
    attached: Attached,
    credentials: Credentials,
    wants: Role,
    /// It only asks how everything stands: nobody is told that it is here.
    glance: bool,
    outbox: Arc<Outbox>,
    pictured: Option<Instant>,
    /// When it gets a picture, if it wants one.
    due: Option<Instant>,
    /// Whether it was looked up, or is being, what happened since its person last looked.
    caught_up: bool,
}

pub(super) struct Hub {
    beginning: Beginning,
    own: u32,
    settings: AgentSettings,
    consoles: BTreeMap<u64, Console>,
    last_id: u64,
    seats: Seats,
    comings: Comings,
    tasks: JoinSet<()>,
    messages: UnboundedReceiver<Message>,
    sender: UnboundedSender<Message>,
    /// While anybody is here.
    picture: Option<Picture>,
    /// The picture as a line, until it changes.
    pictured: Option<Bytes>,
    drained: Instant,
    /// When the queue is to be looked at.
    due: Option<Instant>,
    /// When following ends if nobody comes back.
    lingers: Option<Instant>,
    looks: Looks,
}

impl Hub {
    pub(super) fn new(beginning: Beginning) -> Self {
        let (sender, messages) = unbounded_channel();
        Self {
            own: rustix::process::geteuid().as_raw(),
            settings: beginning.settings.clone(),
            beginning,
            consoles: BTreeMap::new(),
            last_id: 0,
            seats: Seats::default(),
            comings: Comings::default(),
            tasks: JoinSet::new(),
            messages,
            sender,
            picture: None,
            pictured: None,
            drained: Instant::now(),
            due: None,
            lingers: None,
            looks: Looks::default(),
        }
    }

    /// Serves consoles until the engine ends or the server is stopped; `reason` is then asked why.
    pub(super) async fn run(mut self, reason: impl FnOnce() -> String) {
        let line = Arc::clone(&self.beginning.line);
        let stop = self.beginning.stop.clone();
        self.beginning.door.begin();
        let mut care = tokio::time::interval_at(Instant::now() + CARE, CARE);
        loop {
            let pictures = self.next_picture();
            // What is rarely ready comes first, so that a flood of anything starves nothing.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = at(self.due) => {
                    if self.drain().await {
                        break;
                    }
                }
                () = at(pictures) => self.send_pictures(),
                () = at(self.lingers) => self.forget(),
                () = line.news.notified() => self.look(NEWS),
                () = line.noise.notified() => self.look(NOISE),
                _ = care.tick() => self.beginning.door.care(),
                Some(_) = self.tasks.join_next() => {}
                Some(message) = self.messages.recv() => self.take(message),
                stream = self.beginning.door.knock() => self.let_in(stream),
            }
        }
        self.end(&reason()).await;
    }

    fn look(&mut self, pause: Duration) {
        let soonest = (self.drained + pause).max(Instant::now());
        self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
    }

    /// Takes what the engine told and hands it on; says whether the engine has ended.
    async fn drain(&mut self) -> bool {
        self.due = None;
        let heard = self.beginning.line.drain();
        if let Some(settings) = heard.settings {
            self.settle(settings);
        }
        if heard.lagged {
            self.beginning.remote.ask_picture();
        }
        let mut lines = Vec::new();
        for item in heard.items {
            match item {
                Item::Event(event) => {
                    let Some(picture) = &mut self.picture else { continue };
                    picture.apply(&event);
                    self.pictured = None;
                    write_line(&mut lines, &Told::Event(event));
                    if lines.len() >= PIECE {
                        self.hand_out(&mut lines);
                        // Its writers, which live on this thread too, must get their turn.
                        tokio::task::yield_now().await;
                    }
                }
                Item::Picture(picture) => {
                    // Nobody may see an event of after it before it.
                    lines.clear();
                    (self.picture, self.pictured) = (Some(*picture), None);
                    let now = Instant::now();
                    for console in self.consoles.values_mut() {
                        console.outbox.lag();
                        console.want_picture(now);
                    }
                }
            }
        }
        self.hand_out(&mut lines);
        self.drained = Instant::now();
        heard.ended
    }

    fn hand_out(&self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let lines = Bytes::from(std::mem::take(lines));
        for console in self.consoles.values() {
            console.outbox.events(&lines);
        }
    }

    fn next_picture(&self) -> Option<Instant> {
        self.picture.as_ref()?;
        self.consoles.values().filter_map(|console| console.due).min()
    }

    fn send_pictures(&mut self) {
        let Some(picture) = &self.picture else { return };
        let now = Instant::now();
        for console in self.consoles.values_mut().filter(|console| console.due.is_some_and(|due| due <= now))
        {
            let line = self.pictured.get_or_insert_with(|| told_picture(picture));
            console.outbox.picture(line.clone());
            (console.due, console.pictured) = (None, Some(now));
        }
        self.catch_up();
    }

    /// Tells whoever has just got a first picture what happened since they last looked; nobody who looks already.
    fn catch_up(&mut self) {
        let hosts =
            self.picture.iter().flat_map(|picture| &picture.present).filter(|console| console.is_host);
        let mut here: Vec<Looker> = hosts.map(|host| looker(&host.who)).collect();
        for console in self.consoles.values_mut() {
            let looker = looker(&console.attached.who);
            if !console.caught_up && console.pictured.is_some() {
                console.caught_up = true;
                if !here.contains(&looker) {
                    let (folder, who) = (self.beginning.folder.clone(), console.attached.who.clone());
                    self.tasks.spawn(self.looks.tell(folder, who, Arc::clone(&console.outbox)));
                }
            }
            if !console.glance {
                here.push(looker);
            }
        }
    }

    /// Somebody looks no more.
    fn left(&mut self, id: u64) {
        let Some(console) = self.consoles.remove(&id) else { return };
        if !console.glance {
            self.beginning.remote.detached(id);
            let wall = self.beginning.clock.wall();
            let now = self.picture.as_ref().map_or(wall, |picture| picture.corrected(wall));
            self.looks.keep(&console.attached.who, now);
        }
        if self.consoles.is_empty() {
            self.lingers = Some(Instant::now() + LINGER);
        }
    }

    /// Nobody came back: events are followed no longer.
    fn forget(&mut self) {
        self.lingers = None;
        self.beginning.line.close();
        (self.picture, self.pictured) = (None, None);
    }

    /// A config came into force: whose rights changed are no longer here, whether they read or not; they must come in anew,
    /// which their console does by itself.
    pub(super) fn settle(&mut self, settings: AgentSettings) {
        self.beginning.door.take_group(settings.group.clone());
        self.settings = settings;
        let is_same =
            |console: &Console| self.role(&console.credentials, console.wants) == Some(console.attached.role);
        let changed: Vec<u64> =
            self.consoles.iter().filter(|(_, one)| !is_same(one)).map(|(id, _)| *id).collect();
        for id in changed {
            if let Some(console) = self.consoles.get(&id) {
                let why = "the config changed what you may do here; attach again".to_owned();
                console.outbox.dismiss(told(&Told::Bye(why)));
            }
            self.left(id);
        }
    }

    fn role(&self, credentials: &Credentials, wants: Role) -> Option<Role> {
        let open_to = self.beginning.door.open_to_group();
        access::role(&self.settings, self.own, open_to, credentials, wants)
    }

    fn let_in(&mut self, stream: UnixStream) {
        let uid = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
        let favoured = uid == 0 || uid == self.own;
        // Those who are being told that there is no room are few and quick; beyond that nobody is heard at all.
        if self.tasks.len() >= if favoured { ALL * 3 } else { ALL * 2 } {
            return;
        }
        let seat = self.seats.take(uid, favoured);
        self.tasks.spawn(attend(stream, seat, self.sender.clone(), Arc::clone(&self.beginning.line)));
    }

    pub(super) fn take(&mut self, message: Message) {
        // Nobody comes in or acts by a config that is in force no more.
        if let Some(settings) = self.beginning.line.settings() {
            self.settle(settings);
        }
        match message {
            Message::Join(join) => self.join(*join),
            Message::Ask(id, command) => self.ask(id, command),
            Message::Picture(id) => {
                if let Some(console) = self.consoles.get_mut(&id) {
                    console.want_picture(Instant::now());
                }
            }
            Message::Left(id) => self.left(id),
        }
    }

    fn join(&mut self, join: Join) {
        let Join { who, credentials, wants, glance, terminal, from, outbox, answer } = join;
        let wants = if glance { Role::Watch } else { wants };
        let role = self.role(&credentials, wants).ok_or_else(|| {
            if credentials.is_looked_up {
                format!(
                    "{who} may not attach: that takes `[agent] group` in the engine's config, and a membership in it"
                )
            } else {
                format!(
                    "{who} cannot attach yet: the machine's user database does not say which groups they are in; try again"
                )
            }
        });
        let come = role.and_then(|role| {
            // A glance leaves nothing behind.
            if !glance {
                self.comings.come(credentials.uid)?;
            }
            Ok(role)
        });
        let role = match come {
            Ok(role) => role,
            Err(why) => {
                // Whoever left meanwhile needs no answer.
                let _ = answer.send(Err(why));
                return;
            }
        };
        self.last_id += 1;
        let id = self.last_id;
        let since = self.beginning.clock.wall();
        let attached = Attached { id, who, role, since, terminal, from, is_host: false };
        if answer.send(Ok(attached.clone())).is_err() {
            return;
        }
        self.lingers = None;
        if !glance {
            self.beginning.remote.attached(attached.clone());
        }
        if self.beginning.line.open() {
            self.beginning.remote.ask_picture();
        }
        let due = Some(Instant::now());
        let console =
            Console { attached, credentials, wants, glance, outbox, pictured: None, due, caught_up: false };
        self.consoles.insert(id, console);
    }

    fn ask(&self, id: u64, command: Command) {
        let Some(console) = self.consoles.get(&id) else { return };
        let refuse = |why: String| console.outbox.word(told(&Told::Refused(why)));
        if console.attached.role < command.needs() {
            let why = match console.wants {
                Role::Watch => "this console was started to watch only".to_owned(),
                Role::Operate if !console.credentials.is_looked_up => format!(
                    "{} may watch only: the machine's user database did not say which groups they are in; attach again",
                    console.attached.who
                ),
                Role::Operate => format!(
                    "{} may watch only: acting takes a membership in one of `[agent] operators`",
                    console.attached.who
                ),
            };
            refuse(why);
            return;
        }
        let outbox = Arc::clone(&console.outbox);
        let answer = move |why| outbox.word(told(&Told::Refused(why)));
        if !self.beginning.remote.ask(command, console.attached.who.clone(), answer) {
            refuse("the engine has ended".to_owned());
        }
    }

    /// Says goodbye to everybody, and waits a little for them to hear it.
    async fn end(mut self, reason: &str) {
        let bye = told(&Told::Bye(reason.to_owned()));
        for console in self.consoles.values() {
            console.outbox.word(bye.clone());
            console.outbox.close();
        }
        let patience = Instant::now() + GOODBYE;
        // Whoever waits for an answer of this hub gets none any more.
        drop(self.messages);
        while let Ok(Some(_)) = tokio::time::timeout_at(patience, self.tasks.join_next()).await {}
        for id in self.consoles.iter().filter(|(_, console)| !console.glance).map(|(id, _)| id) {
            self.beginning.remote.detached(*id);
        }
    }
}

impl Console {
    fn want_picture(&mut self, now: Instant) {
        self.due.get_or_insert_with(|| self.pictured.map_or(now, |last| (last + PICTURES).max(now)));
    }
}

/// Waits for an instant; for ever where there is none.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A picture as a line; it is borrowed, as a copy of thousands of components would cost more than the line.
fn told_picture(picture: &Picture) -> Bytes {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Borrowed<'a> {
        Picture(&'a Picture),
    }
    let mut line = Vec::with_capacity(PIECE);
    write_line(&mut line, &Borrowed::Picture(picture));
    line.into()
}
