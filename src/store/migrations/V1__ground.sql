-- Recoveries are kept for ever; `record` is the whole evidence as JSON, the other columns are for finding it.
CREATE TABLE recoveries (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    component_id TEXT NOT NULL,
    t_restore    REAL NOT NULL,
    record       TEXT NOT NULL
) STRICT;
CREATE INDEX recoveries_by_time ON recoveries (t_restore, seq);

-- What a restart needs to go on where the engine stood; one row for each path of a component.
CREATE TABLE progress (
    component_id TEXT NOT NULL,
    path         TEXT NOT NULL,
    open         INTEGER NOT NULL,
    saved_at     INTEGER NOT NULL, -- Unix milliseconds
    state        TEXT NOT NULL,
    PRIMARY KEY (component_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL, -- Unix milliseconds
    event TEXT NOT NULL
) STRICT;

CREATE TABLE series (
    id           INTEGER PRIMARY KEY,
    component_id TEXT NOT NULL,
    path         TEXT NOT NULL,
    UNIQUE (component_id, path)
) STRICT;

-- Raw results in the order in which they came; `seq` is the only index, so that a write touches one page.
CREATE TABLE probes (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    series     INTEGER NOT NULL,
    at         INTEGER NOT NULL, -- Unix milliseconds
    verdict    INTEGER NOT NULL, -- 0 up, 1 down, 2 degraded, 3 blind
    latency_ms REAL,
    burst      INTEGER NOT NULL,
    reason     TEXT
) STRICT;

CREATE TABLE minutes (
    series      INTEGER NOT NULL,
    minute      INTEGER NOT NULL, -- Unix seconds / 60
    up          INTEGER NOT NULL,
    down        INTEGER NOT NULL,
    degraded    INTEGER NOT NULL,
    blind       INTEGER NOT NULL,
    latencies   INTEGER NOT NULL, -- how many probes told a latency
    latency_sum REAL NOT NULL,
    latency_min REAL,
    latency_max REAL,
    PRIMARY KEY (series, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX minutes_by_time ON minutes (minute);
