//! Fetches a secret from where the config says that it is.
//!
//! Invariant: a secret's value appears in no error and no debug output.

use std::{
    fs,
    io::Read as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use secrecy::SecretString;

use super::{
    file,
    model::{Revealed, Secret},
};
use crate::expression::clean;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest secret, in bytes.
const LARGEST: u64 = 64 * 1024;
/// What a program sees of our environment.
const KEPT: &[&str] = &["PATH", "HOME", "USER", "LANG", "GNUPGHOME", "SSH_AUTH_SOCK"];

/// Why a secret could not be fetched. Names where it should be, never what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the environment variable {0} is not set; set it before starting warroom")]
    Unset(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Others may write or own the file.
    #[error("the secret file {path} is not trusted: {reason}; {cure}")]
    Untrusted {
        /// The file.
        path: String,
        /// Why.
        reason: String,
        /// The command that mends it.
        cure: String,
    },
    /// The program failed, was not there, or took too long.
    #[error("the secret's program `{program}` {reason}; run it yourself to see why")]
    Program {
        /// The program, without its arguments.
        program: String,
        /// Why.
        reason: String,
    },
    /// There is nothing in it, or no text.
    #[error("the secret from {0} is empty, larger than 64 KiB, or not one line of text")]
    Unusable(String),
}

impl Secret {
    /// Fetches it; blocks for at most 10 seconds. The final newline of a file or a program's output is cut.
    pub fn reveal(&self) -> Result<Revealed, SecretError> {
        match self {
            Self::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| SecretError::Unset(clean(name, 200)))?;
                usable(value.into_encoded_bytes(), &format!("the environment variable {name}"))
            }
            Self::File(path) => {
                let shown = clean(&path.display().to_string(), 4096);
                let unreadable = |error: std::io::Error| SecretError::Unreadable {
                    path: shown.clone(),
                    reason: error.to_string(),
                };
                if !fs::metadata(path).map_err(unreadable)?.is_file() {
                    return Err(SecretError::Unreadable { path: shown, reason: "it is no file".to_owned() });
                }
                let opened = fs::File::open(path).map_err(unreadable)?;
                file::trusted(&opened.metadata().map_err(unreadable)?, &shown)
                    .map_err(|(reason, cure)| SecretError::Untrusted { path: shown.clone(), reason, cure })?;
                let mut bytes = Vec::new();
                opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
                usable(bytes, &format!("the file {shown}"))
            }
            Self::Command(words) => run(words, PATIENCE),
            Self::Simulated => Ok(SecretString::from("simulated")),
        }
    }
}

fn usable(mut bytes: Vec<u8>, from: &str) -> Result<Revealed, SecretError> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    match String::from_utf8(bytes) {
        Ok(text)
            if !text.is_empty() && text.len() as u64 <= LARGEST && !text.contains(['\n', '\r', '\0']) =>
        {
            Ok(SecretString::from(text))
        }
        _ => Err(SecretError::Unusable(clean(from, 4096))),
    }
}

fn run(words: &[String], patience: Duration) -> Result<Revealed, SecretError> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(SecretError::Unusable("an empty command".to_owned()));
    };
    let shown = clean(program, 200);
    let failed = |reason: String| SecretError::Program { program: shown.clone(), reason };
    let kept = std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| KEPT.contains(&name) || name.starts_with("XDG_"))
    });
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it says may quote the secret, and would tear the screen.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let Some(output) = child.stdout.take() else {
        return Err(failed("has no output".to_owned()));
    };
    let (sender, receiver) = mpsc::channel();
    // Detached on purpose: a grandchild may hold the pipe open after the program was killed.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(LARGEST + 1).read_to_end(&mut bytes);
        // Nobody waits any more once the time is up.
        drop(sender.send(read.map(|_| bytes)));
    });
    let deadline = Instant::now() + patience;
    let received = receiver.recv_timeout(patience);
    let complete = matches!(&received, Ok(Ok(bytes)) if bytes.len() as u64 <= LARGEST);
    let status = wait(&mut child, complete.then_some(deadline))
        .map_err(|error| failed(format!("cannot be waited for: {error}")))?;
    let Some(status) = status else {
        return Err(failed(format!("took longer than {} s", patience.as_secs())));
    };
    let bytes = match received {
        Err(_) => return Err(failed(format!("took longer than {} s", patience.as_secs()))),
        Ok(Err(error)) => return Err(failed(format!("cannot be read from: {error}"))),
        Ok(Ok(bytes)) => bytes,
    };
    if bytes.len() as u64 <= LARGEST && !status.success() {
        return Err(failed(format!("failed ({status})")));
    }
    usable(bytes, &format!("the program {shown}"))
}

/// Waits until the deadline, then ends the program; without one, ends it at once. `None` where the deadline passed.
fn wait(child: &mut Child, deadline: Option<Instant>) -> std::io::Result<Option<ExitStatus>> {
    while deadline.is_some_and(|deadline| Instant::now() < deadline) {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // One that has ended by itself meanwhile cannot be killed, and need not be.
    drop(child.kill());
    let status = child.wait()?;
    Ok(deadline.is_none().then_some(status))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<Revealed, SecretError> {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], patience)
    }

    #[test]
    fn a_programs_output_is_the_secret_without_its_newline() {
        let secret = shell("echo s3cret", PATIENCE).unwrap();
        assert_eq!(secret.expose_secret(), "s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn a_program_sees_only_the_environment_it_needs() {
        // Cargo sets CARGO_PKG_NAME for every test.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let seen = shell("echo \"[$CARGO_PKG_NAME]$PATH\"", PATIENCE).unwrap();
        assert!(seen.expose_secret().starts_with("[]/"), "{}", seen.expose_secret());
    }

    #[test]
    fn a_program_that_hangs_fails_or_says_too_much_is_an_error_without_its_words() {
        let slow = shell("sleep 600", Duration::from_millis(200)).unwrap_err();
        assert!(slow.to_string().contains("took longer"), "{slow}");
        let lingering = shell("echo s3cret; exec >&-; sleep 600", Duration::from_millis(200)).unwrap_err();
        assert!(lingering.to_string().contains("took longer"), "{lingering}");
        let failing = shell("echo s3cret; exit 3", PATIENCE).unwrap_err();
        assert!(
            failing.to_string().contains("failed") && !failing.to_string().contains("s3cret"),
            "{failing}"
        );
        let endless =
            shell("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", PATIENCE)
                .unwrap_err();
        assert!(matches!(endless, SecretError::Unusable(_)), "{endless}");
        let missing = run(&["/nonexistent/program".to_owned()], PATIENCE).unwrap_err();
        assert!(missing.to_string().contains("cannot be started"), "{missing}");
    }

    #[test]
    fn a_secret_file_that_others_may_write_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "s3cret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Secret::File(path.clone()).reveal().unwrap().expose_secret(), "s3cret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        let error = Secret::File(path).reveal().unwrap_err().to_string();
        assert!(error.contains("chmod go-w") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = Secret::Env("WARROOM_NO_SUCH_VARIABLE".to_owned()).reveal().unwrap_err();
        assert!(error.to_string().contains("WARROOM_NO_SUCH_VARIABLE"), "{error}");
        assert!(Secret::File("/nonexistent/key".into()).reveal().is_err());
    }
}
