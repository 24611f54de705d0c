//! What chrony says of the machine's clock, where it runs: `chronyc -c tracking` and `-c sources`.
//!
//! Invariant: a clock that nothing but itself vouches for is not believed.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::SharedClock;
use crate::{
    domain::{Moment, clock::Interval},
    expression::clean,
};

/// How long `chronyc` may take for one word.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where it is looked for besides `PATH`.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
/// The reference id of a clock that follows only itself (chrony's `local` directive).
const ITSELF: &str = "7F7F0101";
/// The longest name of a source that is shown.
const NAME: usize = 60;

/// What chrony says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Monotonic minus true time.
    pub lead: Interval,
    /// When it was said.
    pub at: Moment,
    /// The machine's own stratum.
    pub stratum: u8,
    /// What it follows: a server, or `reference clock PHC0`.
    pub follows: String,
}

/// Why chrony says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChronyError {
    /// There is no `chronyc`.
    #[error("chrony is not installed")]
    Absent,
    /// The program cannot be run or does not come back.
    #[error("`chronyc` cannot be used ({0})")]
    Unusable(String),
    /// The daemon does not answer.
    #[error("chronyd does not answer ({0}); start it, or write chrony = false in [clock]")]
    Silent(String),
    /// It follows nothing.
    #[error("chronyd is not synchronised; look at `chronyc sources`")]
    Unsynchronised,
    /// It follows only the machine's own clock.
    #[error("chronyd follows only this machine's own clock, which vouches for nothing; give it servers")]
    Itself,
    /// Its words are not understood.
    #[error("the words of `chronyc -c tracking` are not understood: {0}")]
    Unreadable(String),
}

/// Reaches the daemon through its own program.
#[derive(Clone, Debug)]
pub struct Chrony {
    program: Option<PathBuf>,
    arguments: Vec<String>,
    clock: SharedClock,
}

impl Chrony {
    /// The machine's chrony, wherever `chronyc` is found now.
    #[must_use]
    pub fn of_this_machine(clock: SharedClock) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let program = folders
            .chain(FOLDERS.map(PathBuf::from))
            .map(|folder| folder.join("chronyc"))
            .find(|program| program.is_file());
        Self { program, arguments: Vec::new(), clock }
    }

    /// A `chronyc` that is called with these arguments first, for example to reach a daemon elsewhere.
    #[must_use]
    pub fn with(program: &Path, arguments: &[&str], clock: SharedClock) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        Self { program: Some(program.to_owned()), arguments, clock }
    }

    /// Asks it once.
    pub async fn ask(&self) -> Result<Sample, ChronyError> {
        let tracking = self.run("tracking").await?;
        let now = self.clock.now_closely();
        let tracking = Tracking::parse(&tracking)?;
        let reference = match self.run("sources").await {
            Ok(sources) => reference_clock(&sources),
            // What it follows is only a name.
            Err(_) => None,
        };
        Ok(Sample {
            lead: Interval::of_wall(now, tracking.error),
            at: now.moment,
            stratum: tracking.stratum,
            follows: reference.unwrap_or(tracking.follows),
        })
    }

    async fn run(&self, what: &str) -> Result<String, ChronyError> {
        let unusable = |error: io::Error| ChronyError::Unusable(error.to_string());
        let program = self.program.as_ref().ok_or(ChronyError::Absent)?;
        let child = Command::new(program)
            .args(&self.arguments)
            // Separated by commas, without look-ups of names.
            .args(["-c", "-n", what])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(unusable)?;
        let output = timeout(PATIENCE, child.wait_with_output())
            .await
            .map_err(|_| ChronyError::Unusable("no answer within 3 s".to_owned()))?
            .map_err(unusable)?;
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(words);
        }
        // It says on either stream why not.
        let all = words + &String::from_utf8_lossy(&output.stderr);
        Err(ChronyError::Silent(clean(all.lines().next().unwrap_or("no reason given"), 100)))
    }
}

/// One line of `chronyc -c tracking`: reference id, name, stratum, reference time, system time, last offset, RMS offset,
/// frequency, residual frequency, skew, root delay, root dispersion, update interval, leap status (`chronyc(1)`).
#[derive(Debug, PartialEq)]
struct Tracking {
    stratum: u8,
    /// `|system time| + root dispersion + root delay / 2`, as chronyc(1) bounds the error.
    error: Duration,
    follows: String,
}

impl Tracking {
    fn parse(text: &str) -> Result<Self, ChronyError> {
        let unreadable = || ChronyError::Unreadable(clean(text.lines().next().unwrap_or_default(), 100));
        let fields: Vec<&str> = text.lines().next().unwrap_or_default().trim().split(',').collect();
        let [reference, name, stratum, _, system, _, _, _, _, _, delay, dispersion, ref rest @ ..] =
            fields[..]
        else {
            return Err(unreadable());
        };
        // Older releases say no update interval before the leap status.
        let leap = *rest.get(1).or(rest.first()).ok_or_else(unreadable)?;
        let stratum: u8 = stratum.parse().map_err(|_| unreadable())?;
        if leap == "Not synchronised" || stratum == 0 || stratum >= 16 {
            return Err(ChronyError::Unsynchronised);
        }
        if reference == ITSELF {
            return Err(ChronyError::Itself);
        }
        let seconds = |field: &str| {
            let number = field.parse::<f64>().ok().map(f64::abs);
            number.and_then(|number| Duration::try_from_secs_f64(number).ok()).ok_or_else(unreadable)
        };
        let error = seconds(system)?.saturating_add(seconds(dispersion)?);
        let error = error.saturating_add(seconds(delay)? / 2);
        let follows = if name.is_empty() { reference } else { name };
        Ok(Self { stratum, error, follows: clean(follows, NAME) })
    }
}

/// The reference clock that is followed, if it is one (a line that begins with `#,*`): GPS, PPS, PTP.
fn reference_clock(sources: &str) -> Option<String> {
    let line = sources.lines().find(|line| line.starts_with("#,*"))?;
    Some(format!("reference clock {}", clean(line.split(',').nth(2)?, NAME)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    /// As chrony 4.3 says it.
    const GOOD: &str = "7F000001,127.0.0.1,9,1795363868.970768291,-0.003000000,0.000000663,0.000004267,0.163,0.023,1.546,\
                        0.020000000,0.005000000,1.0,Normal\n";

    #[test]
    fn the_error_is_offset_and_dispersion_and_half_the_delay() {
        let read = Tracking::parse(GOOD).unwrap();
        assert_eq!(read.error, Duration::from_millis(3 + 5 + 10));
        assert_eq!((read.stratum, read.follows.as_str()), (9, "127.0.0.1"));
        // An older release, without the update interval.
        let older = GOOD.replace(",1.0,Normal", ",Normal");
        assert_eq!(Tracking::parse(&older).unwrap().error, Duration::from_millis(18));
    }

    #[test]
    fn a_clock_that_nothing_vouches_for_gives_nothing() {
        let lost = "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,\
                    1.000000000,0.0,Not synchronised\n";
        assert_eq!(Tracking::parse(lost), Err(ChronyError::Unsynchronised));
        let itself = "7F7F0101,,8,1795363861.654280253,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,\
                      0.000000000,0.0,Normal\n";
        assert_eq!(Tracking::parse(itself), Err(ChronyError::Itself));
        for wrong in ["", "506 Cannot talk to daemon", "a,b,c", &GOOD.replace("0.020000000", "nan")] {
            assert!(matches!(Tracking::parse(wrong), Err(ChronyError::Unreadable(_))), "{wrong}");
        }
    }

    #[test]
    fn a_reference_clock_is_named() {
        let sources = "^,-,192.0.2.1,2,6,377,12,0.0001,0.0001,0.01\n#,*,PHC0,0,4,377,3,0.0,0.0,0.000001\n";
        assert_eq!(reference_clock(sources).unwrap(), "reference clock PHC0");
        assert_eq!(reference_clock("^,*,192.0.2.1,2,6,377,12,0.0001,0.0001,0.01\n"), None);
    }
}
