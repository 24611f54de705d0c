//! Over a real `sshd`: an SSH session that is cut in the middle of an outage costs the agent nothing, and the next one sees
//! the same outage at once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "real/agent.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod agent;
#[path = "terminal/platform.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod platform;
#[path = "real/process.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod process;
#[path = "real/sshd.rs"]
mod sshd;
#[path = "real/terminal.rs"]
mod terminal;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use self::{
    agent::Agent,
    platform::{Platform, answer},
    process::say,
    sshd::{Sshd, Wire},
    terminal::Terminal,
};

/// In peace; between two probes of an outage there is a quarter of a second.
const CADENCE: f64 = 2.0;
/// What a loaded machine with two cores may add to a probe's start.
const SLACK: f64 = 1.0;
/// How long the wire is dead before the connection is given up.
const DEAD: Duration = Duration::from_secs(4);
/// How long a console may take to see that its terminal is gone.
const TO_END: Duration = Duration::from_secs(15);
/// Epochs are written with milliseconds.
const ROUNDING: f64 = 0.002;

fn epoch() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// When an event was told.
fn at(event: &Value) -> f64 {
    let at: chrono::DateTime<chrono::Utc> = event["at"].as_str().unwrap().parse().unwrap();
    at.timestamp_micros() as f64 / 1e6
}

/// A bastion host: a platform that is well, an agent that measures it, and `sshd` for the people.
struct Bastion {
    platform: Platform,
    agent: Agent,
    sshd: Sshd,
    folder: tempfile::TempDir,
}

impl Bastion {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let sshd = Sshd::start(folder.path())?;
        let platform = Platform::start(answer("200 OK", b"", "{}"));
        let component = "[[components]]\nid = \"ivr\"\nname = \"IVR\"\nplatform = \"web\"\ntier = 2\n\
                         target_rto = \"300s\"\ncadence = \"2s\"\nburst = \"250ms\"\n\
                         [[components.journey]]\nname = \"page\"\nget = \"/\"\nexpect = ['status == 200']\n";
        let config = agent::write_config(folder.path(), &platform.config(component));
        let mut agent = Agent::start(&config, &folder.path().join("data"), "10m");
        agent.until("a good probe", 30, |event| event["event"] == "probe" && event["verdict"] == "up");
        Some(Self { platform, agent, sshd, folder })
    }

    /// What a person types over there; `around` takes the console's command line.
    fn script(&self, name: &str, around: impl Fn(&str) -> String) -> PathBuf {
        let (folder, path) = (self.folder.path().display(), self.folder.path().join(name));
        let console = format!("'{}' --data-dir '{folder}/data'", env!("CARGO_BIN_EXE_warroom"));
        // The person's own config is not the test's.
        let text = format!("export XDG_CONFIG_HOME='{folder}'\n{}\n", around(&console));
        fs::write(&path, text).unwrap();
        path
    }

    /// Logs in and attaches; comes back when the console shows the outage.
    fn attach(&self, name: &str, wire: &Wire, t_detect: f64) -> Attached {
        let begun = self.folder.path().join(format!("{name}.begun"));
        let script = self.script(name, |console| {
            format!("echo $$ $(date +%s.%N) > '{}'\nexec {console}", begun.display())
        });
        let mut terminal = Terminal::start(&self.sshd.login(wire.address, &script));
        let shown = terminal.until("the outage", |terminal| elapsed(&terminal.shown()));
        let seen = epoch();
        let text = fs::read_to_string(&begun).unwrap();
        let (pid, start) = text.trim().split_once(' ').unwrap();
        let (pid, start): (u32, f64) = (pid.parse().unwrap(), start.parse().unwrap());
        let took = seen - start;
        say(&format!("{name}: attached, and the outage shown, {took:.3} s after the console's start"));
        assert!(took < 5.0, "{took} s from the console's start to the outage");
        let truth = seen - t_detect;
        // Whole seconds, cut off, drawn a moment ago.
        assert!(
            (truth - 2.5..truth + 0.2).contains(&shown),
            "{shown} s shown of {truth} s:\n{}",
            terminal.shown()
        );
        Attached { terminal, pid, session: session(pid).unwrap() }
    }

    /// Waits until nothing of that console's session is left on the bastion, and the agent has told that it went.
    fn wait_for_end(&mut self, what: &str, console: &Attached) {
        let cut = Instant::now();
        while !left_of(console.session).is_empty() {
            assert!(cut.elapsed() < TO_END, "{what}: left are {:?}", left_of(console.session));
            std::thread::sleep(Duration::from_millis(20));
        }
        say(&format!("{what}: the console was gone {:.3} s after the cut", cut.elapsed().as_secs_f64()));
        let gone = self.agent.until("presence detached", 15, |event| {
            event["event"] == "presence" && event["change"] == "detached"
        });
        assert_eq!(gone["present"], serde_json::json!([]), "{gone}");
        assert_eq!(gone["console"]["from"], "127.0.0.1", "{gone}");
    }
}

/// A console over SSH.
struct Attached {
    terminal: Terminal,
    pid: u32,
    session: u32,
}

/// The elapsed time that a screen's banner shows, in seconds: `00:37 of 05:00`.
fn elapsed(screen: &str) -> Option<f64> {
    let banner = screen.lines().find(|line| line.contains("IVR is DOWN"))?;
    let time = banner.split(" of ").next()?.split_whitespace().last()?;
    let (minutes, seconds) = time.split_once(':')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

/// The fields of proc(5)'s `stat` that follow the name; `None` for a process that is gone or waits to be buried.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<String> = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
    (fields[0] != "Z").then_some(fields)
}

/// In which session a process is.
fn session(pid: u32) -> Option<u32> {
    stat(pid)?[3].parse().ok()
}

/// Processor time of a process in seconds.
fn cpu(pid: u32) -> f64 {
    let fields = stat(pid).unwrap();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The processes of a session.
fn left_of(wanted: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| session(*pid) == Some(wanted)).collect()
}

/// Guarantee 8, over SSH.
#[test]
fn q_gives_the_terminal_back_over_ssh() {
    let Some(mut bastion) = Bastion::start() else { return };
    let script = bastion.script("quit", |console| {
        format!("echo before=$(stty -g)\n{console}\necho exit=$?\necho after=$(stty -g)")
    });
    let mut terminal = Terminal::start(&bastion.sshd.login(bastion.sshd.address(), &script));
    terminal.until("the component", |terminal| {
        (terminal.screen().alternate_screen() && terminal.shown().contains("IVR")).then_some(())
    });
    terminal.press("q");
    let word = |terminal: &Terminal, word: &str| {
        let ended = terminal.written.rsplit_once('\n')?.0;
        ended.lines().find_map(|line| Some(line.trim_start().strip_prefix(word)?.trim().to_owned()))
    };
    let after = terminal.until("the end after `q`", |terminal| word(terminal, "after="));
    assert_eq!(word(&terminal, "exit=").as_deref(), Some("0"), "{}", terminal.written);
    assert_eq!(word(&terminal, "before=").as_ref(), Some(&after), "the terminal over there has changed");
    assert_eq!(terminal.ended(), 0);
    terminal.assert_given_back();
    bastion.agent.until("presence detached", 15, |event| event["change"] == "detached");
}

/// A laptop that dies, a network that goes, a window that is closed: the measurement goes on as if nobody had looked.
#[test]
fn a_session_that_is_cut_in_an_outage_costs_nothing() {
    let Some(mut bastion) = Bastion::start() else { return };
    let onset = epoch();
    bastion.platform.answer(answer("503 Service Unavailable", b"", "{}"));
    let down = bastion.agent.until("phase down", 30, |event| event["phase"] == "down");
    let (id, t_detect) = (down["outage"]["id"].clone(), number(&down["t_detect_epoch"]));
    let (began, spent) = (Instant::now(), cpu(bastion.agent.child.id()));

    let wire = Wire::to(bastion.sshd.address());
    let mut first = bastion.attach("first", &wire, t_detect);
    first.terminal.kill();
    bastion.wait_for_end("ssh killed", &first);

    let wire = Wire::to(bastion.sshd.address());
    let mut second = bastion.attach("second", &wire, t_detect);
    wire.go_dead();
    let before = cpu(second.pid);
    std::thread::sleep(DEAD);
    if let Some(after) = stat(second.pid).map(|_| cpu(second.pid)) {
        assert!(after - before < 0.5 * DEAD.as_secs_f64(), "the console behind the dead wire spins");
    }
    wire.give_up();
    bastion.wait_for_end("wire dead", &second);
    second.terminal.kill();

    let wire = Wire::to(bastion.sshd.address());
    let mut third = bastion.attach("third", &wire, t_detect);
    third.terminal.vanish();
    bastion.wait_for_end("window closed", &third);

    let wire = Wire::to(bastion.sshd.address());
    let mut last = bastion.attach("last", &wire, t_detect);
    // Nothing spins: neither the agent that was left three times nor the console that is here.
    let (spent, length) = (cpu(bastion.agent.child.id()) - spent, began.elapsed().as_secs_f64());
    let console = cpu(last.pid);
    say(&format!("the agent took {spent:.2} s of processor time in {length:.1} s, a console {console:.2} s"));
    assert!(spent < 0.4 * length, "{spent} s of processor time in {length} s");
    let restored = epoch();
    bastion.platform.answer(answer("200 OK", b"", "{}"));
    let told = bastion.agent.until("recovery", 30, |event| event["event"] == "recovery");
    last.terminal
        .until("the end of the outage", |terminal| elapsed(&terminal.shown()).is_none().then_some(()));
    last.terminal.press("q");
    assert_eq!(last.terminal.ended(), 0);
    last.terminal.assert_given_back();

    hold(&told["record"], &id, (onset, restored), t_detect);
    hold_events(&bastion.agent.last, &id, t_detect, restored);
    assert_alone(bastion.folder.path(), bastion.agent.child.id());
}

/// The record is that of an outage at which nobody looked.
fn hold(record: &Value, id: &Value, truth: (f64, f64), t_detect: f64) {
    assert_eq!((&record["id"], number(&record["gap_seconds"])), (id, 0.0), "{record}");
    assert_eq!(record["blind_probes"], 0, "{record}");
    assert!((number(&record["t_detect_epoch"]) - t_detect).abs() < ROUNDING, "{record}");
    let (onset, restored) = truth;
    let (detect, restore) = (number(&record["t_detect_epoch"]), number(&record["t_restore_epoch"]));
    assert!(detect >= onset - ROUNDING && detect < onset + CADENCE + SLACK, "{record}");
    assert!(restore >= restored - ROUNDING && restore < restored + 0.25 + SLACK, "{record}");
    let bounds = [0, 1].map(|side| number(&record["bounds_seconds"][side]));
    let truth = restored - onset;
    assert!(bounds[0] <= truth + ROUNDING && bounds[1] >= truth - ROUNDING, "{truth} s is not in {bounds:?}");
    assert!(bounds[1] - bounds[0] < CADENCE + 0.25 + 2.0 * SLACK, "{bounds:?} say little");
}

/// Nothing but people coming and going was told between the two, and the burst went on throughout.
fn hold_events(events: &[Value], id: &Value, t_detect: f64, restored: f64) {
    let during = |event: &&Value| (t_detect..restored).contains(&at(event));
    let kind = |event: &Value| event["event"].as_str().unwrap().to_owned();
    let odd: Vec<_> = events
        .iter()
        .filter(during)
        .filter(|event| !["probe", "phase", "outage", "presence"].contains(&kind(event).as_str()))
        .filter(|event| !["clock", "diagnosis"].contains(&kind(event).as_str()))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    let outages: Vec<_> = events.iter().filter(during).filter(|event| event["outage"].is_object()).collect();
    assert!(outages.len() > 20, "{} words on the outage", outages.len());
    assert!(outages.iter().all(|event| event["outage"]["id"] == *id), "{outages:?}");
    let phases: Vec<_> =
        events.iter().filter(during).filter(|event| event["event"] == "phase").map(|e| &e["phase"]).collect();
    assert_eq!(phases, ["down"], "another phase was told while it was down");
    let presences: Vec<_> = events
        .iter()
        .filter(during)
        .filter(|event| event["event"] == "presence")
        .map(|event| event["change"].as_str().unwrap())
        .collect();
    let expected = ["attached", "detached", "attached", "detached", "attached", "detached", "attached"];
    assert_eq!(presences, expected);
    let probes: Vec<f64> =
        events.iter().filter(during).filter(|event| event["event"] == "probe").map(at).collect();
    let widest = probes.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    let mean = (probes[probes.len() - 1] - probes[0]) / (probes.len() - 1) as f64;
    say(&format!("{} probes, one each {mean:.3} s, at most {widest:.3} s apart", probes.len()));
    assert!(mean < 0.35 && widest < 0.25 + SLACK, "one each {mean} s, at most {widest} s apart");
}

/// No process of this test is left besides the agent and `sshd`.
fn assert_alone(folder: &Path, agent: u32) {
    let mark = format!("--data-dir\0{}", folder.display());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // A process that ends while we look is not left.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let own = entry.file_name().to_str() == Some(&agent.to_string());
        assert!(own || !line.contains(&mark), "process {} is left: {line}", entry.file_name().display());
    }
}
