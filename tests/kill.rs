//! `kill -9` at random moments, fifty times, under load: what was told is kept, whatever the moment.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "kill/agent.rs"]
mod agent;
#[path = "kill/flapping.rs"]
mod flapping;
#[path = "kill/ledger.rs"]
mod ledger;
#[path = "terminal/platform.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod platform;
#[path = "real/terminal.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod terminal;

use std::{
    fmt::Write as _,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use self::{agent::Agent, flapping::Flapping, ledger::Ledger, terminal::Terminal};

const KILLS: usize = 50;
const COMPONENTS: usize = 200;
/// What an agent may take to hold its lock, tell every phase and let a console in, on a machine that builds and tests
/// something else beside.
const TO_START: Duration = Duration::from_secs(20);

/// Says something that is seen in every run.
#[expect(clippy::explicit_write, reason = "the test harness keeps what the print macros say to itself")]
fn say(words: &str) {
    writeln!(std::io::stderr(), "{words}").unwrap();
}

/// Given in `WARROOM_SEED` to see a failure again, as far as the machine plays along.
fn seed() -> u64 {
    let seed = std::env::var("WARROOM_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("WARROOM_SEED={seed}"));
    seed
}

fn config(address: std::net::SocketAddr) -> String {
    let mut text = format!(
        "tenant = \"kill\"\nenvironment = \"sandbox\"\n[measurement]\ntimeout = \"1s\"\n[platforms.web]\n\
         kind = \"http\"\nbase_url = \"http://{address}\"\n"
    );
    for number in 0..COMPONENTS {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[components]]\nid = \"c{number}\"\nplatform = \"web\"\ntier = 1\ntarget_rto = \"60s\"\n\
             kind = \"api\"\ncadence = \"1s\"\nburst = \"200ms\"\n[[components.journey]]\nname = \"ready\"\n\
             get = \"/{number}\"\nexpect = ['status == 200']\n"
        );
    }
    text
}

/// The console that somebody leaves open through everything.
fn console(folder: &Path) -> Terminal {
    let data = folder.join("data").display().to_string();
    let line = [env!("CARGO_BIN_EXE_warroom"), "--data-dir", &data, "--ascii"];
    Terminal::start(&line.map(str::to_owned))
}

#[test]
fn fifty_kills_lose_no_recovery_and_forget_no_outage() {
    let mut random = fastrand::Rng::with_seed(seed());
    let platform = Flapping::start(random.u64(..));
    let folder = tempfile::tempdir().unwrap();
    platform::write_config(folder.path(), &config(platform.address));
    let mut ledger = Ledger::new(&folder.path().join("data"));
    let (began, mut starts, mut slowest) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    let (mut screen, mut heard) = (None, 0);
    for kill in 0..=KILLS {
        let begun = Instant::now();
        let mut agent = Agent::start(folder.path());
        let phases = agent.first_phases(COMPONENTS, TO_START);
        agent.attach(&folder.path().join("data"), TO_START);
        let took = begun.elapsed();
        (starts, slowest) = (starts + took, slowest.max(took));
        ledger.hold_after_start(kill, &phases);
        let screen = screen.get_or_insert_with(|| console(folder.path()));
        if kill == KILLS {
            // Nobody kills this one: whoever looked all the time must see it.
            screen.until("the last agent's picture", |screen| {
                let shown = screen.shown();
                (shown.contains("Tier 1") && !shown.contains("NOT CONNECTED")).then_some(())
            });
        } else {
            std::thread::sleep(Duration::from_millis(random.u64(300..=1_000)));
        }
        let killed = agent.kill();
        ledger.take(&agent.events(), killed);
        heard += agent.heard;
    }
    let mut screen = screen.unwrap();
    screen.press("q");
    screen.ended();
    screen.assert_given_back();
    say(&format!(
        "{KILLS} kills in {:.1} s; a start took {:.2} s, the slowest {:.2} s; {ledger}",
        began.elapsed().as_secs_f64(),
        starts.as_secs_f64() / KILLS as f64,
        slowest.as_secs_f64()
    ));
    ledger.assert_worth_something();
    assert!(heard > KILLS as u64 * 100_000, "the consoles heard {heard} bytes only");
}
