//! The machine that this runs on: its disk, its load, and whether it lets us start in time.

use std::{path::PathBuf, time::Duration};

use super::millis;
use crate::{
    clock::SharedClock,
    domain::diagnosis::{Area, Finding},
    probe::LatenessSnapshot,
    store::survey,
};

/// Less free space than this deserves attention.
const LITTLE: u64 = 1 << 30;
/// With less than this the next days are not kept.
const NONE: u64 = 32 << 20;
/// A disk that takes longer for one commit is slow.
const SLOW: Duration = Duration::from_millis(250);
/// Starts that are later than this move detection by as much.
const LATE: Duration = Duration::from_millis(100);
/// How often, and for how long, a timer is tried where no engine tells of its starts.
const TIMERS: (u32, Duration) = (20, Duration::from_millis(5));
/// Less memory than this part of the machine's deserves attention.
const SCARCE: f64 = 0.05;

/// `group` may write in the folder besides its owner.
pub(super) async fn disk(
    folder: Option<PathBuf>,
    group: Option<String>,
    clock: &SharedClock,
) -> Vec<Finding> {
    let Some(folder) = folder else { return Vec::new() };
    let (path, clock) = (folder.clone(), SharedClock::clone(clock));
    // One task for both: the user database blocks as a disk does.
    let looked = tokio::task::spawn_blocking(move || {
        let group = group.and_then(|name| uzers::get_group_by_name(&name)).map(|group| group.gid());
        survey::survey(&path, group, || clock.moment())
    })
    .await;
    let subject = folder.display().to_string();
    let found = match looked {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let cure = "name a folder that belongs to this user and that it may write, with --data-dir";
            return vec![Finding::failed(Area::Disk, subject, error.to_string(), cure)];
        }
        Err(error) => return vec![Finding::failed(Area::Disk, subject, error.to_string(), "try again")],
    };
    if let Some(network) = found.network {
        let cure = "name a folder on a disk of this machine with --data-dir: no database can be kept there";
        return vec![Finding::failed(Area::Disk, subject, format!("lies on {network}"), cure)];
    }
    let missing = if found.exists { "" } else { ", not made yet" };
    let free = gibibytes(found.free);
    let what = format!("{free} GiB free, a commit takes at most {}{missing}", millis(found.slowest));
    if found.free < NONE {
        let cure = "free some space: recoveries wait in memory while the disk is full";
        return vec![Finding::failed(Area::Disk, subject, what, cure)];
    }
    if found.free < LITTLE {
        return vec![Finding::warning(Area::Disk, subject, what, "free some space, or shorten `[store]`")];
    }
    if found.slowest > SLOW {
        let cure =
            "recoveries are told only once they are on disk, so late: choose a faster disk with --data-dir";
        return vec![Finding::warning(Area::Disk, subject, what, cure)];
    }
    vec![Finding::ok(Area::Disk, subject, what)]
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 30))
}

pub(super) async fn load(lateness: Option<LatenessSnapshot>, clock: &SharedClock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    // Only Linux has these; elsewhere the timers alone tell.
    if let Some(average) = read("/proc/loadavg").as_deref().and_then(load_average) {
        let what = format!("load average {average:.2} on {cores} cores");
        findings.push(if average > 2.0 * cores as f64 {
            Finding::warning(
                Area::Load,
                "processors",
                what,
                "find what else is running (`top`), or move warroom",
            )
        } else {
            Finding::ok(Area::Load, "processors", what)
        });
    }
    if let Some((free, whole)) = read("/proc/meminfo").as_deref().and_then(memory) {
        let what = format!("{} of {} GiB available", gibibytes(free), gibibytes(whole));
        findings.push(if (free as f64) < whole as f64 * SCARCE {
            Finding::warning(
                Area::Load,
                "memory",
                what,
                "find what takes it (`top`), or the system may end warroom",
            )
        } else {
            Finding::ok(Area::Load, "memory", what)
        });
    }
    let (late, what) = if let Some(seen) = lateness.filter(|lateness| lateness.count > 0) {
        (seen.p99, format!("99 of 100 probes start at most {} late", millis(seen.p99)))
    } else {
        let late = timers(clock).await;
        (late, format!("timers end at most {} late", millis(late)))
    };
    findings.push(if late > LATE {
        let cure =
            "this machine is too busy to measure so finely: find what else is running, or move warroom";
        Finding::warning(Area::Load, "lateness", what, cure)
    } else {
        Finding::ok(Area::Load, "lateness", what)
    });
    findings
}

/// The longest by which a short timer ends late.
async fn timers(clock: &SharedClock) -> Duration {
    let (times, length) = TIMERS;
    let mut latest = Duration::ZERO;
    for _ in 0..times {
        let begun = clock.moment();
        tokio::time::sleep(length).await;
        latest = latest.max(clock.moment().since(begun).saturating_sub(length));
    }
    latest
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The average of the last minute (`proc_loadavg(5)`).
fn load_average(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `MemAvailable` and `MemTotal` in bytes (`proc_meminfo(5)`).
fn memory(text: &str) -> Option<(u64, u64)> {
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    Some((kibibytes("MemAvailable")? * 1024, kibibytes("MemTotal")? * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_own_words_are_read() {
        assert_eq!(load_average("1.52 0.80 0.40 2/345 6789\n"), Some(1.52));
        assert_eq!(load_average(""), None);
        let text = "MemTotal:        2048 kB\nMemFree:  12 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(memory(text), Some((1024 * 1024, 2048 * 1024)));
        assert_eq!(memory("MemTotal: x kB"), None);
    }
}
