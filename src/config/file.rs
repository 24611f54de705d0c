//! Finds and reads the config file, and refuses one that somebody else could have written.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::finding::Finding;
use crate::expression::clean;

/// The largest config, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Where the system's config is.
const SYSTEM: &str = "/etc/warroom/warroom.toml";

/// Why no config could be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// A file that was named is not there.
    #[error("{}: named by {by} and not there; write it with `warroom config init > FILE`, or name another", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What named it: `--config` or `$WARROOM_CONFIG`.
        by: &'static str,
    },
}

/// The config that was named, by `--config` or else by `$WARROOM_CONFIG`.
pub fn named(explicit: Option<&Path>, env: Option<OsString>) -> Result<Option<PathBuf>, FindError> {
    let env = env.filter(|value| !value.is_empty()).map(PathBuf::from);
    let named =
        explicit.map(|path| (path.to_owned(), "--config")).or(env.map(|path| (path, "$WARROOM_CONFIG")));
    match named {
        Some((path, by))
            if fs::metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) =>
        {
            Err(FindError::Missing { path, by })
        }
        named => Ok(named.map(|(path, _)| path)),
    }
}

/// The config file: `--config`, else `$WARROOM_CONFIG`, else the user's, else the system's; never the current folder, as
/// a config can run commands. `None` where none is there.
pub fn find(explicit: Option<&Path>, env: Option<OsString>) -> Result<Option<PathBuf>, FindError> {
    if let Some(path) = named(explicit, env)? {
        return Ok(Some(path));
    }
    let user =
        directories::ProjectDirs::from("", "", "warroom").map(|dirs| dirs.config_dir().join("warroom.toml"));
    // One that is there and cannot be read is found: saying so is better than passing over it.
    Ok(user.into_iter().chain([PathBuf::from(SYSTEM)]).find(|path| fs::symlink_metadata(path).is_ok()))
}

/// The file's text.
pub(super) fn read(path: &Path) -> Result<String, Box<Finding>> {
    let refuse = |message: String, cure: String| {
        let file = Arc::from(clean(&path.display().to_string(), 4096));
        Box::new(Finding { file, line: None, key: String::new(), message, cure })
    };
    let unreadable = |error: &std::io::Error| {
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "write one with `warroom config init`, or name another with --config"
            }
            _ => "make it readable for this user",
        };
        refuse(format!("it cannot be read: {error}"), cure.to_owned())
    };
    // Before it is opened: opening a pipe would wait for its writer.
    let named = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !named.is_file() {
        return Err(refuse("it is no file".to_owned(), "name a config file".to_owned()));
    }
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let opened = file.metadata().map_err(|error| unreadable(&error))?;
    let link = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?;
    let shown = clean(&path.display().to_string(), 4096);
    trusted(&opened, &shown).map_err(|(message, cure)| refuse(message, cure))?;
    if !is_ours(&link) {
        let message = "it is a link that belongs to somebody else".to_owned();
        return Err(refuse(message, "name the file itself, or make the link yours".to_owned()));
    }
    if opened.len() > LARGEST {
        return Err(refuse("it is larger than 16 MiB".to_owned(), "name a config file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let right = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = right.matches('\n').count() + 1;
        refuse(format!("line {line} is not UTF-8"), "save it as UTF-8".to_owned())
    })
}

/// Whether root or oneself owns it and nobody else may write it; otherwise what is wrong, and the command that mends it.
pub(super) fn trusted(metadata: &Metadata, shown: &str) -> Result<(), (String, String)> {
    if !is_ours(metadata) {
        let message = format!("it belongs to user {}, neither to root nor to you", metadata.uid());
        return Err((message, format!("run `chown $(id -u) {}` as root after reading it", quoted(shown))));
    }
    if metadata.mode() & 0o022 != 0 {
        let message = format!("others may write it (mode {:o})", metadata.mode() & 0o7777);
        return Err((message, format!("run `chmod go-w {}`", quoted(shown))));
    }
    Ok(())
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw()
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%:,".contains(letter);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
