//! The file that holds the last summary, because a terminal that refuses to copy does not say so.
//!
//! Invariants: only its owner may read it; it is replaced whole or not at all; no link that somebody else has laid is
//! followed.

use std::{
    fs::{self, DirBuilder, Metadata, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Its name.
pub const NAME: &str = "summary.txt";

/// Where it may lie: the folder that the system gives a person for as long as they are logged in, or their state folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<PathBuf>);

impl Places {
    /// Finds them by the environment.
    #[must_use]
    pub fn detect() -> Self {
        let own = directories::ProjectDirs::from("", "", "warroom");
        // XDG Base Directory Specification: it must be owned by the user; sudo may leave another one's.
        let runtime = own.as_ref().and_then(|dirs| dirs.runtime_dir()).map(Path::to_owned);
        let runtime = runtime.filter(|path| {
            path.parent().and_then(|base| fs::metadata(base).ok()).is_some_and(|it| is_ours(&it))
        });
        let state = own.as_ref().and_then(|dirs| dirs.state_dir()).map(Path::to_owned);
        Self(runtime.into_iter().chain(state).collect())
    }

    /// One place alone.
    #[must_use]
    pub fn only(folder: PathBuf) -> Self {
        Self(vec![folder])
    }

    /// Writes the file into the first place that takes it; says why none did.
    pub fn write(&self, text: &str) -> Result<PathBuf, String> {
        let mut reasons = Vec::new();
        for folder in &self.0 {
            match write(folder, text) {
                Ok(path) => return Ok(path),
                Err(why) => reasons.push(why),
            }
        }
        if reasons.is_empty() {
            reasons.push("there is neither a runtime folder nor a home folder to write it to".to_owned());
        }
        Err(reasons.join("; "))
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn write(folder: &Path, text: &str) -> Result<PathBuf, String> {
    let failed = |error: io::Error| format!("{} cannot be written: {error}", folder.display());
    make(folder).map_err(failed)?;
    judge(folder)?;
    let path = folder.join(NAME);
    // A new file of a name that nobody could foresee, which then takes the place of whatever stood there, a link too.
    let mut file = tempfile::Builder::new()
        .prefix(".summary-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}

/// Makes the folder, for its owner alone, unless it is there; the folders above it as the system makes them. What is there
/// already must be ours or root's, so that sudo writes nothing into another one's home.
fn make(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|path| fs::symlink_metadata(path).is_ok());
    for metadata in there.map(|path| [fs::symlink_metadata(path), fs::metadata(path)]).into_iter().flatten() {
        let uid = metadata?.uid();
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("the folder above belongs to somebody else (uid {uid})")));
        }
    }
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Refuses a folder into which somebody else could put or from which they could take a file.
fn judge(folder: &Path) -> Result<(), String> {
    let metadata = fs::symlink_metadata(folder)
        .map_err(|error| format!("{} cannot be examined: {error}", folder.display()))?;
    if !is_ours(&metadata) {
        return Err(format!("{} belongs to somebody else (uid {})", folder.display(), metadata.uid()));
    }
    let target =
        fs::metadata(folder).map_err(|error| format!("{} cannot be examined: {error}", folder.display()))?;
    if !target.is_dir() || !is_ours(&target) {
        return Err(format!("{} is not a folder of our own", folder.display()));
    }
    if target.permissions().mode() & 0o022 != 0 {
        return Err(format!(
            "others may write in {}; `chmod go-w {}` mends it",
            folder.display(),
            folder.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_file_is_its_owners_alone_and_replaced_whole() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("state").join("warroom");
        let places = Places::only(folder.clone());
        let path = places.write("first, and longer\n").unwrap();
        assert_eq!(path, folder.join(NAME));
        assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        places.write("second\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
        assert_eq!(mode(&path), 0o600, "also where a file of a wider mode stood");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_link_in_its_place_is_replaced_and_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let victim = base.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        let folder = base.path().join("warroom");
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        symlink(&victim, folder.join(NAME)).unwrap();
        let path = Places::only(folder).write("text\n").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_its_cure() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("warroom");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        let why = Places::only(folder.clone()).write("text\n").unwrap_err();
        assert!(why.contains("chmod go-w"), "{why}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_link_or_a_file_in_the_folders_place_is_told() {
        let base = tempfile::tempdir().unwrap();
        let link = base.path().join("link");
        symlink("/nonexistent", &link).unwrap();
        let why = Places::only(link).write("text\n").unwrap_err();
        assert!(why.contains("cannot be written"), "{why}");
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let why = Places::only(file).write("text\n").unwrap_err();
        assert!(why.contains("not a folder of our own"), "{why}");
        let second = base.path().join("second");
        let both = Places(vec![base.path().join("file"), second.clone()]);
        assert_eq!(both.write("text\n").unwrap(), second.join(NAME), "the next place is tried");
        assert!(Places::default().write("text\n").is_err());
    }
}
