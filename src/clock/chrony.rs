//! What chrony says of the machine's clock, where it runs: `chronyc -c tracking` and `-c sources`.
//!
//! Invariants: a clock that nothing but itself vouches for is not believed; nor is anything that chronyd measured before
//! the wall clock was set by somebody else, which it vouches for until it measures again.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::SharedClock;
use crate::{
    domain::{
        Moment,
        clock::{Interval, apart, was_set},
    },
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
    /// What it says was measured before the wall clock was set.
    #[error(
        "the wall clock was set, or the machine slept, and chronyd has not measured it since; `chronyc burst 4/4` makes it \
         do so at once"
    )]
    Outdated,
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
    /// How far wall and monotonic clock were apart when it was last asked.
    apart: Option<i64>,
    outdated: Outdated,
}

/// What chronyd may say that it measured before the wall clock was set. Whether its reference time lies before or after
/// that cannot be told by its value, which is in terms of the clock that was set; that it changed since can.
#[derive(Clone, Debug, PartialEq)]
enum Outdated {
    Nothing,
    /// Whatever it says next.
    Next,
    /// All that it says with this reference time.
    With(String),
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
        Self { program, arguments: Vec::new(), clock, apart: None, outdated: Outdated::Nothing }
    }

    /// A `chronyc` that is called with these arguments first, for example to reach a daemon elsewhere.
    #[must_use]
    pub fn with(program: &Path, arguments: &[&str], clock: SharedClock) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        let (program, outdated) = (Some(program.to_owned()), Outdated::Nothing);
        Self { program, arguments, clock, apart: None, outdated }
    }

    /// Believes nothing that it measured before now.
    pub fn doubt(&mut self) {
        self.outdated = Outdated::Next;
    }

    /// Asks it once.
    pub async fn ask(&mut self) -> Result<Sample, ChronyError> {
        let before = apart(self.clock.now_closely());
        let tracking = self.run("tracking").await?;
        let now = self.clock.now_closely();
        let known = self.apart.replace(apart(now)).unwrap_or(before);
        if was_set(known, apart(now)).is_some() || was_set(before, apart(now)).is_some() {
            self.doubt();
        }
        let tracking = Tracking::parse(&tracking)?;
        match &self.outdated {
            Outdated::Nothing => {}
            Outdated::With(reference_time) if *reference_time != tracking.reference_time => {
                self.outdated = Outdated::Nothing;
            }
            Outdated::Next | Outdated::With(_) => {
                self.outdated = Outdated::With(tracking.reference_time);
                return Err(ChronyError::Outdated);
            }
        }
        let reference = match self.run("sources").await {
            Ok(sources) => reference_clock(&sources),
            // What it follows is only a name.
            Err(_) => None,
        };
        Ok(Sample {
            lead: Interval::of_wall(now, tracking.ahead, tracking.error),
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
    /// When it last measured, on its own clock, as written.
    reference_time: String,
    /// By how many nanoseconds the system clock is ahead of the time that chronyd knows. The field says how far it is
    /// *behind*: what the report for people calls `slow of NTP time` is a positive number here.
    ahead: i64,
    /// `root dispersion + root delay / 2`, by which chronyc(1) bounds how wrong the time is that chronyd knows.
    error: Duration,
    follows: String,
}

impl Tracking {
    fn parse(text: &str) -> Result<Self, ChronyError> {
        let unreadable = || ChronyError::Unreadable(clean(text.lines().next().unwrap_or_default(), 100));
        let fields: Vec<&str> = text.lines().next().unwrap_or_default().trim().split(',').collect();
        let [reference, name, stratum, time, system, _, _, _, _, _, delay, dispersion, ref rest @ ..] =
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
        let number = |field: &str| field.parse::<f64>().map_err(|_| unreadable());
        let seconds =
            |field: &str| Duration::try_from_secs_f64(number(field)?.abs()).map_err(|_| unreadable());
        let error = seconds(dispersion)?.saturating_add(seconds(delay)? / 2);
        let off = i64::try_from(seconds(system)?.as_nanos()).map_err(|_| unreadable())?;
        let ahead = if number(system)? < 0.0 { off } else { -off };
        let follows = if name.is_empty() { reference } else { name };
        let (reference_time, follows) = (time.to_owned(), clean(follows, NAME));
        Ok(Self { stratum, reference_time, ahead, error, follows })
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

    use std::{
        os::unix::fs::PermissionsExt as _,
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
    };

    use chrono::{DateTime, Utc};

    use super::*;
    use crate::clock::Clock;

    /// As chrony 4.3 says it.
    const GOOD: &str = "7F000001,127.0.0.1,9,1795363868.970768291,-0.003000000,0.000000663,0.000004267,0.163,0.023,1.546,\
                        0.020000000,0.005000000,1.0,Normal\n";

    #[test]
    fn the_error_is_dispersion_and_half_the_delay_and_the_offset_has_a_sign() {
        let read = Tracking::parse(GOOD).unwrap();
        assert_eq!((read.ahead, read.error), (3_000_000, Duration::from_millis(5 + 10)));
        let slow = Tracking::parse(&GOOD.replace("-0.003", "5.2")).unwrap();
        assert_eq!((slow.ahead, slow.error), (-5_200_000_000, Duration::from_millis(15)));
        assert_eq!((read.stratum, read.follows.as_str()), (9, "127.0.0.1"));
        // An older release, without the update interval.
        let older = GOOD.replace(",1.0,Normal", ",Normal");
        assert_eq!(Tracking::parse(&older).unwrap().error, Duration::from_millis(15));
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

    /// A machine whose wall clock is set by somebody.
    #[derive(Debug)]
    struct Settable(AtomicI64);

    impl Clock for Settable {
        fn moment(&self) -> Moment {
            Moment::from_millis(5_000)
        }

        fn wall(&self) -> DateTime<Utc> {
            DateTime::from_timestamp(1_795_363_869, self.0.load(Ordering::SeqCst).unsigned_abs() as u32)
                .unwrap()
        }
    }

    /// After `date -s` chronyd vouches on for what it measured before, until it measures again.
    #[tokio::test]
    async fn what_was_measured_before_the_clock_was_set_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("tracking");
        let program = folder.path().join("chronyc");
        std::fs::write(&program, format!("#!/bin/sh\nexec cat {}/$3\n", folder.path().display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let clock = Arc::new(Settable(AtomicI64::new(0)));
        let mut chrony = Chrony::with(&program, &[], Arc::<Settable>::clone(&clock) as SharedClock);
        let ahead = |sample: &Sample, clock: &Settable| {
            let offset = sample.lead.on_the_wall(clock.now());
            (offset.middle() / 1_000_000, offset.error())
        };
        std::fs::write(&said, GOOD).unwrap();
        let sample = chrony.ask().await.unwrap();
        assert_eq!(ahead(&sample, &clock), (3, Duration::from_millis(15)));
        assert!(chrony.ask().await.is_ok(), "nothing happened");

        for (set, measured) in [(900_000_000, "9.1"), (100_000_000, "7.2")] {
            clock.0.store(set, Ordering::SeqCst);
            for _ in 0..5 {
                assert_eq!(chrony.ask().await, Err(ChronyError::Outdated));
            }
            // It measures again.
            std::fs::write(&said, GOOD.replace("8.970768291,-0.003", &format!("{measured},-0.9"))).unwrap();
            let sample = chrony.ask().await.unwrap();
            assert_eq!(ahead(&sample, &clock), (900, Duration::from_millis(15)));
        }
        // The machine slept.
        chrony.doubt();
        assert_eq!(chrony.ask().await, Err(ChronyError::Outdated));
    }

    #[test]
    fn a_reference_clock_is_named() {
        let sources = "^,-,192.0.2.1,2,6,377,12,0.0001,0.0001,0.01\n#,*,PHC0,0,4,377,3,0.0,0.0,0.000001\n";
        assert_eq!(reference_clock(sources).unwrap(), "reference clock PHC0");
        assert_eq!(reference_clock("^,*,192.0.2.1,2,6,377,12,0.0001,0.0001,0.01\n"), None);
    }
}
