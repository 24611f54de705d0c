//! The console of an engine in another process: it detaches at its end, and the engine goes on.

use std::sync::Arc;

use super::{Args, show, watching};
use crate::{
    cli::{
        Outcome, Output,
        attach::{Attachment, farewell},
        plain::Engine,
    },
    clock::{Clock, SystemClock},
    console::Feed,
    domain::{Environment, Picture, Roster},
};

/// Shows the engine until the console ends.
pub(super) fn run(args: &Args, attachment: Attachment, output: &mut Output) -> Outcome {
    let Attachment { mut client, reader, notices } = attachment;
    for notice in notices {
        output.words(&format!("warroom: {notice}"));
        tracing::warn!("{notice}");
    }
    tracing::info!(process = client.welcome.pid, version = client.welcome.version, "attached to the engine");
    let picture = client.picture.take().map_or_else(nothing_yet, |picture| *picture);
    let (asked, told) = (client.asker(), client.asker());
    let role = args.role();
    let feed = Feed {
        picture,
        reader,
        ask_picture: Box::new(move || asked.picture()),
        command: Box::new(move |command| match watching(role, &command) {
            Some(words) => told.refuse(words),
            None => told.command(command),
        }),
        now: Box::new(|| SystemClock.now()),
        after_first_frame: None,
    };
    let shown = show(args, Engine::Elsewhere, feed, output);
    let standing = client.detach();
    let exit = shown?;
    // Whoever only asked has not been here.
    if !args.once {
        output.words(&farewell(&standing));
    }
    Ok(exit)
}

/// What is known before the engine has told anything.
fn nothing_yet() -> Picture {
    Picture::new(Arc::new(Roster {
        tenant: String::new(),
        environment: Environment::Production,
        demo: false,
        window: std::time::Duration::from_hours(24),
        platforms: Vec::new(),
        components: Vec::new(),
    }))
}
