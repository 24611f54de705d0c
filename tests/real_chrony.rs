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

use chrono::TimeDelta;
use warroom::{
    clock::{
        Clock, SharedClock, SystemClock,
        chrony::{self, Chrony, ChronyError},
        sntp::{Server, SntpError},
    },
    config::model::TimeServer,
    domain::{
        clock::{Guard, Limits, Reading},
        record::ClockState,
    },
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

/// Asks a daemon once, by somebody who has not asked it before.
async fn ask(daemon: &Daemon, chronyc: &Path) -> Result<chrony::Sample, ChronyError> {
    daemon.chronyc(chronyc).ask().await
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
    // At first it doubts what it follows by most of a second.
    let is_sure = |answer: &Result<chrony::Sample, ChronyError>| {
        answer.as_ref().is_ok_and(|sample| sample.lead.width() < Duration::from_millis(80))
    };
    let said = until(|| ask(&follower, &chronyc), is_sure, &log("follower")).await.unwrap();
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
    assert_eq!(ask(&itself, &chronyc).await, Err(ChronyError::Itself));
    assert_eq!(sntp(&itself).ask().await, Err(SntpError::Itself));

    // It follows nothing.
    let nothing = |answer: &Result<chrony::Sample, ChronyError>| *answer == Err(ChronyError::Unsynchronised);
    assert!(until(|| ask(&lost, &chronyc), nothing, &log("lost")).await.is_err());
    assert_eq!(sntp(&lost).ask().await, Err(SntpError::Unsynchronised));
}

/// A time server that is ahead by so many seconds, and knows the time well.
fn skewed_server(ahead: i64) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut request = [0; 128];
        while let Ok((_, from)) = socket.recv_from(&mut request) {
            let now = SystemClock.wall() + TimeDelta::seconds(ahead);
            let seconds = u32::try_from(now.timestamp() + 2_208_988_800).unwrap();
            let fraction = (u64::from(now.timestamp_subsec_nanos()) << 32) / 1_000_000_000;
            let mut packet = [0; 48];
            // Precise to a millionth, an arbitrary reference id, and read just now.
            (packet[0], packet[1], packet[3], packet[12]) = (4 << 3 | 4, 2, 0xec, 10);
            packet[24..32].copy_from_slice(&request[40..48]);
            for at in [16, 32, 40] {
                packet[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
                packet[at + 4..at + 8].copy_from_slice(&u32::try_from(fraction).unwrap().to_be_bytes());
            }
            if socket.send_to(&packet, from).is_err() {
                return;
            }
        }
    });
    port
}

/// A chronyd that may not step the clock, or is still slewing it, knows how wrong it is, and in which direction. Where it
/// is the only voice, nothing else makes the clock unsafe.
#[tokio::test]
async fn a_clock_that_chronyd_knows_to_be_wrong_is_unsafe() {
    let (Some(chronyd), Some(chronyc)) = (find("chronyd"), find("chronyc")) else { return };
    let folder = tempfile::tempdir().unwrap();
    for ahead in [5, -5] {
        let name = format!("skewed{ahead}");
        let source = format!("server 127.0.0.1 port {} iburst minpoll 0 maxpoll 1", skewed_server(ahead));
        let daemon = Daemon::start(&chronyd, folder.path(), &name, &source);
        let is_sure = |answer: &Result<chrony::Sample, ChronyError>| {
            answer.as_ref().is_ok_and(|sample| sample.lead.width() < Duration::from_millis(80))
        };
        let log = folder.path().join(format!("{name}.log"));
        let said = until(|| ask(&daemon, &chronyc), is_sure, &log).await.unwrap();
        let now = SystemClock.now_closely();
        let offset = said.lead.on_the_wall(now);
        // The source is ahead of the runner, so the runner is behind it.
        let off = offset.middle() + ahead * 1_000_000_000;
        assert!(off.unsigned_abs() < 50_000_000, "{offset:?} with a source that is {ahead} s ahead");
        let limits = Limits { max_drift: Duration::from_millis(500), lifetime: Duration::from_mins(1) };
        let source = Arc::from("chrony");
        let stratum = Some(said.stratum);
        let reading = Reading {
            source,
            platform: None,
            lead: said.lead,
            at: said.at,
            stratum,
            contradicts_itself: false,
        };
        assert_eq!(Guard::new(limits).round(vec![reading], now).state, ClockState::Unsafe);
    }
}

/// Whether chronyd measured since the wall clock was set is seen by its reference time: it changes with every measurement.
#[tokio::test]
async fn a_chronyd_that_is_doubted_is_believed_again_when_it_has_measured() {
    let (Some(chronyd), Some(chronyc)) = (find("chronyd"), find("chronyc")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = format!("server 127.0.0.1 port {} iburst minpoll 0 maxpoll 0", skewed_server(0));
    let daemon = Daemon::start(&chronyd, folder.path(), "doubted", &source);
    let log = folder.path().join("doubted.log");
    until(|| ask(&daemon, &chronyc), Result::is_ok, &log).await.unwrap();
    let mut chrony = daemon.chronyc(&chronyc);
    chrony.doubt();
    let (begun, mut doubted) = (Instant::now(), 0);
    while let Err(error) = chrony.ask().await {
        assert_eq!(error, ChronyError::Outdated, "{}", fs::read_to_string(&log).unwrap());
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", fs::read_to_string(&log).unwrap());
        doubted += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(doubted > 0);
}

#[tokio::test]
async fn a_chronyd_that_does_not_run_says_so() {
    let Some(chronyc) = find("chronyc") else { return };
    let port = free_port().to_string();
    let mut chrony = Chrony::with(&chronyc, &["-h", "127.0.0.1", "-p", &port], clock());
    match chrony.ask().await {
        Err(error @ ChronyError::Silent(_)) => assert!(error.to_string().contains("start it"), "{error}"),
        Err(ChronyError::Unusable(why)) => assert!(why.contains("3 s"), "{why}"),
        other => panic!("{other:?}"),
    }
    let mut absent = Chrony::with(Path::new("/nowhere/chronyc"), &[], clock());
    assert!(matches!(absent.ask().await, Err(ChronyError::Unusable(_))));
}
