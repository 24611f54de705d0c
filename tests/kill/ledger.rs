//! What was told before each kill, held against what is kept after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// An outage is told at once and written beside: so long the disk, and a machine that builds and tests something else, may
/// need for that.
const TO_WRITE: Duration = Duration::from_millis(300);

/// An outage that was told and not closed.
struct Open {
    id: String,
    told: DateTime<Utc>,
}

pub(crate) struct Ledger {
    database: PathBuf,
    /// By component.
    open: BTreeMap<String, Open>,
    /// Recoveries that were told, by their outage.
    recoveries: BTreeMap<String, Value>,
    /// Those of the last process, which are looked for after its end.
    last: Vec<String>,
    unmeasured: usize,
    killed: Option<DateTime<Utc>>,
    outages: BTreeSet<String>,
    survived: usize,
    /// Outages that were told so shortly before a kill that they need not be on disk, and were not.
    young: Vec<Duration>,
}

impl Ledger {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            database: data.join("warroom.db"),
            open: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            last: Vec::new(),
            unmeasured: 0,
            killed: None,
            outages: BTreeSet::new(),
            survived: 0,
            young: Vec::new(),
        }
    }

    /// Takes what a process told until it was killed.
    pub(crate) fn take(&mut self, events: &[Value], killed: DateTime<Utc>) {
        self.killed = Some(killed);
        self.last.clear();
        for event in events {
            let component = || event["component_id"].as_str().unwrap().to_owned();
            match event["event"].as_str().unwrap() {
                "phase" if event["outage"].is_object() => {
                    let id = event["outage"]["id"].as_str().unwrap().to_owned();
                    self.outages.insert(id.clone());
                    let told = event["at"].as_str().unwrap().parse().unwrap();
                    let known = self.open.get(&component()).is_some_and(|open| open.id == id);
                    if !known {
                        self.open.insert(component(), Open { id, told });
                    }
                }
                "recovery" => {
                    let record = &event["record"];
                    let id = record["id"].as_str().unwrap().to_owned();
                    self.open.remove(record["component_id"].as_str().unwrap());
                    self.recoveries.insert(id.clone(), record.clone());
                    self.last.push(id);
                }
                "unmeasured" => {
                    self.open.remove(&component());
                    self.unmeasured += 1;
                }
                _ => {}
            }
        }
    }

    /// Holds what was told before the kill against the database and the first phases of the next process.
    pub(crate) fn hold_after_start(&mut self, kill: usize, phases: &BTreeMap<String, Value>) {
        let connection =
            Connection::open_with_flags(&self.database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "kill {kill}");
        let kept = |id: &str| -> Option<Value> {
            let sql = "SELECT record FROM recoveries WHERE id = ?1";
            let text: Option<String> = connection.query_row(sql, [id], |row| row.get(0)).ok();
            text.map(|text| serde_json::from_str(&text).unwrap())
        };
        for id in &self.last {
            assert_eq!(
                kept(id).as_ref(),
                Some(&self.recoveries[id]),
                "kill {kill}: a recovery that was told is lost"
            );
        }
        let total: i64 =
            connection.query_row("SELECT count(*) FROM recoveries", [], |row| row.get(0)).unwrap();
        assert!(
            total >= i64::try_from(self.recoveries.len()).unwrap(),
            "kill {kill}: {total} of {}",
            self.recoveries.len()
        );
        let now: BTreeMap<&str, &str> = phases
            .iter()
            .map(|(component, phase)| {
                (component.as_str(), phase["outage"]["id"].as_str().unwrap_or_default())
            })
            .collect();
        for (component, id) in &now {
            assert!(!self.recoveries.contains_key(*id), "kill {kill}: {component} is in a closed outage");
        }
        let Some(killed) = self.killed else { return };
        for (component, open) in std::mem::take(&mut self.open) {
            let age = (killed - open.told).to_std().unwrap_or_default();
            if now.get(component.as_str()) == Some(&open.id.as_str()) {
                self.survived += 1;
                self.open.insert(component, open);
            } else if kept(&open.id).is_none() {
                // Otherwise it was closed, and the kill came before that was told.
                assert!(
                    age < TO_WRITE,
                    "kill {kill}: the outage {} of {component}, told {age:?} before, is forgotten: now {:?}",
                    open.id,
                    phases.get(&component)
                );
                self.young.push(age);
            }
        }
    }

    /// Fails when so little happened that the rest proves nothing.
    pub(crate) fn assert_worth_something(&self) {
        assert!(self.recoveries.len() > 50, "{self}");
        assert!(self.survived > 500, "{self}");
        assert!(
            self.young.len() * 20 < self.survived,
            "too many are on their way to the disk for long: {self}"
        );
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} outages and {} recoveries told, {} unmeasured; open outages survived {} times; {} were on their way \
             to the disk, told {:?} before the kill at most",
            self.outages.len(),
            self.recoveries.len(),
            self.unmeasured,
            self.survived,
            self.young.len(),
            self.young.iter().max().copied().unwrap_or_default()
        )
    }
}
