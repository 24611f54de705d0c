//! Our time sources against the real chronyd: its answers by SNTP, and the words of `chronyc`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    fs,
    io::Write,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use warroom::{
    clock::{
        Clock, SharedClock, SystemClock,
        chrony::{self, Chrony, ChronyError},
        sntp::{Server, SntpError},
    },
    config::model::TimeServer,
};

/// The program, or `None` after a visible word that the test is skipped; with `CI` set it fails instead.
#[expect(clippy::explicit_write, reason = "the test harness keeps what the print macros say to itself")]
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and CI must not skip");
        writeln!(std::io::stderr(), "SKIPPED: {program} is not installed (apt-get install chrony)").unwrap();
    }
    found
}

/// A chronyd of the test's own that touches no clock; it is ended by its id when this is dropped.
struct Daemon {
    child: Child,
    ntp: u16,
    command: u16,
}

impl Daemon {
    fn start(program: &Path, folder: &Path, name: &str, settings: &str) -> Self {
        let (ntp, command) = (free_port(), free_port());
        let file = folder.join(format!("{name}.conf"));
        let text = format!(
            "{settings}\nport {ntp}\ncmdport {command}\nallow 127.0.0.1\nbindaddress 127.0.0.1\n\
             bindcmdaddress 127.0.0.1\nbindcmdaddress /\npidfile {}\n",
            folder.join(format!("{name}.pid")).display()
        );
        fs::write(&file, text).unwrap();
        let log = fs::File::create(folder.join(format!("{name}.log"))).unwrap();
        let child = Command::new(program)
            // No control of the clock, no need to be root, in the foreground.
            .args(["-x", "-U", "-d", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, ntp, command }
    }

    fn address(&self) -> TimeServer {
        TimeServer { host: Arc::from("127.0.0.1"), port: self.ntp }
    }

    /// Its `chronyc`.
    fn chronyc(&self, program: &Path) -> Chrony {
        let port = self.command.to_string();
        Chrony::with(program, &["-h", "127.0.0.1", "-p", &port], clock())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn sntp(daemon: &Daemon) -> Server {
    Server::new(daemon.address(), clock(), 7)
}

/// Asks until the answer is the wanted one; a daemon needs a moment to start and to follow its source.
async fn until<T: std::fmt::Debug, F: Future<Output = T>>(
    mut ask: impl FnMut() -> F,
    wanted: impl Fn(&T) -> bool,
    log: &Path,
) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        let words = fs::read_to_string(log).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(20), "still {answer:?}:\n{words}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_real_chronyd_is_understood_by_its_program_and_by_sntp() {
    let (Some(chronyd), Some(chronyc)) = (find("chronyd"), find("chronyc")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str| folder.path().join(format!("{name}.log"));
    let itself = Daemon::start(&chronyd, folder.path(), "itself", "local stratum 8");
    let follower = format!("server 127.0.0.1 port {} iburst minpoll 0 maxpoll 1", itself.ntp);
    let follower = Daemon::start(&chronyd, folder.path(), "follower", &follower);
    let lost = format!("server 127.0.0.1 port {} iburst", free_port());
    let lost = Daemon::start(&chronyd, folder.path(), "lost", &lost);

    // It follows another one: both ways say the same.
    let chrony = follower.chronyc(&chronyc);
    // At first it doubts what it follows by most of a second.
    let is_sure = |answer: &Result<chrony::Sample, ChronyError>| {
        answer.as_ref().is_ok_and(|sample| sample.lead.width() < Duration::from_millis(80))
    };
    let said = until(|| chrony.ask(), is_sure, &log("follower")).await.unwrap();
    assert_eq!((said.stratum, said.follows.as_str()), (9, "127.0.0.1"));
    let offset = said.lead.on_the_wall(SystemClock.now_closely());
    assert!(offset.magnitude() < Duration::from_millis(50), "{offset:?}");
    let mut server = sntp(&follower);
    let sample = server.ask().await.unwrap();
    assert_eq!(sample.stratum, 9);
    let offset = sample.lead.on_the_wall(SystemClock.now_closely());
    assert!(offset.magnitude() < Duration::from_millis(50), "{offset:?}");
    assert!(offset.magnitude() >= offset.error(), "{offset:?}");

    // Another client of SNTP agrees, whose sign is that of the server's clock minus ours.
    let port = follower.ntp;
    let other =
        tokio::task::spawn_blocking(move || rsntp::SntpClient::new().synchronize(("127.0.0.1", port)))
            .await
            .unwrap()
            .unwrap();
    assert_eq!(other.stratum(), 9);
    let theirs = -other.clock_offset().as_secs_f64();
    let apart = (theirs - offset.middle() as f64 / 1e9).abs();
    let doubt = offset.error().as_secs_f64() + other.round_trip_delay().as_secs_f64() + 0.001;
    assert!(apart < doubt, "{theirs} s by rsntp, {offset:?} by us");

    // It follows only itself: neither way believes it.
    let chrony = itself.chronyc(&chronyc);
    assert_eq!(chrony.ask().await, Err(ChronyError::Itself));
    assert_eq!(sntp(&itself).ask().await, Err(SntpError::Itself));

    // It follows nothing.
    let chrony = lost.chronyc(&chronyc);
    let nothing = |answer: &Result<chrony::Sample, ChronyError>| *answer == Err(ChronyError::Unsynchronised);
    assert!(until(|| chrony.ask(), nothing, &log("lost")).await.is_err());
    assert_eq!(sntp(&lost).ask().await, Err(SntpError::Unsynchronised));
}

#[tokio::test]
async fn a_chronyd_that_does_not_run_says_so() {
    let Some(chronyc) = find("chronyc") else { return };
    let port = free_port().to_string();
    let chrony = Chrony::with(&chronyc, &["-h", "127.0.0.1", "-p", &port], clock());
    match chrony.ask().await {
        Err(error @ ChronyError::Silent(_)) => assert!(error.to_string().contains("start it"), "{error}"),
        Err(ChronyError::Unusable(why)) => assert!(why.contains("3 s"), "{why}"),
        other => panic!("{other:?}"),
    }
    let absent = Chrony::with(Path::new("/nowhere/chronyc"), &[], clock());
    assert!(matches!(absent.ask().await, Err(ChronyError::Unusable(_))));
}
