"""A minute of outages everywhere, with two consoles open, one of which stops now and then: what was told is what is kept."""
import json
import os
import signal
import sqlite3
import sys
import threading
import time

import rig

COMPONENTS = 200
KEPT_ELSEWHERE = ("probe", "outage", "roster")


def timetable(seconds, rng):
    """Each component is down for 1 to 3 s in every 5 to 9 s, in its own time."""
    spans, now = {}, time.time() + 5
    for number in range(COMPONENTS):
        at, each = now + rng.uniform(0, 5), []
        while at < now + seconds:
            each.append([at, at + rng.uniform(1, 3)])
            at = each[-1][1] + rng.uniform(4, 6)
        spans[f"/c{number:04}"] = each
    return spans


def stall(pid, over):
    """Stops a console for five seconds in every fifteen."""
    while not over.wait(10):
        os.kill(pid, signal.SIGSTOP)
        over.wait(5)
        os.kill(pid, signal.SIGCONT)


def run(options):
    rng = rig.seeded(options.seed)
    rig.introduce("flood", options.seed)
    with rig.Stage() as stage:
        table = stage.folder / "timetable.json"
        table.write_text(json.dumps(timetable(options.flood, rng)))
        port = rig.start_server(stage, "--timetable", table)
        config, data = rig.write_config(stage, "flood", port, COMPONENTS, "1s", burst="200ms", tiers=(1,))
        with open(stage.folder / "events.jsonl", "wb") as told:
            agent = stage.start("agent", [rig.WARROOM, "agent", "--events", "json", "--config", config,
                                          "--data-dir", data], stdout=told)
        time.sleep(4)
        if agent.poll() is not None:
            sys.exit(f"the agent ended with {agent.returncode}:\n{stage.log('agent')}")
        consoles = [rig.Terminal(stage, [rig.WARROOM, "--data-dir", data]) for _ in range(2)]
        for console in consoles:
            console.drain()
        over = threading.Event()
        stalling = threading.Thread(target=stall, args=(consoles[1].pid, over))
        stalling.start()
        watch = rig.Watch([agent.pid])
        time.sleep(options.flood)
        watch.stop()
        over.set()
        stalling.join()
        time.sleep(8)  # the last outages end, and are confirmed as over
        codes = [console.end() for console in consoles]
        stage.running.remove(agent)
        stage.end(agent)
        return hold(stage, data, codes, watch)


def hold(stage, data, codes, watch):
    told = [json.loads(line) for line in open(stage.folder / "events.jsonl")]
    database = sqlite3.connect(data / "warroom.db")
    kept = [json.loads(event) for (event,) in database.execute("SELECT event FROM events ORDER BY seq")]
    records = [json.loads(record) for (record,) in database.execute("SELECT record FROM recoveries ORDER BY seq")]
    (probes,) = database.execute("SELECT count(*) FROM probes").fetchone()
    wanted = [event for event in told if event["event"] not in KEPT_ELSEWHERE]
    recoveries = [event["record"] for event in told if event["event"] == "recovery"]
    probed = sum(event["event"] == "probe" for event in told)
    lost = abs(len(wanted) - len(kept))
    first = next((number for number, pair in enumerate(zip(wanted, kept)) if pair[0] != pair[1]), None)
    rig.table(f"{COMPONENTS} components, each with an outage every few seconds, two consoles",
              ["told", "kept", "recoveries", "probes", "events/s", "agent CPU %", "others %"],
              [[len(wanted), len(kept), len(records), probes, len(told) / watch.seconds, watch.percent, watch.others]])
    aims = rig.Verdicts()
    aims.hold("events lost or out of order", lost + (first is not None), 0)
    aims.hold("recoveries lost", sum(record not in records for record in recoveries), 0)
    aims.hold("probes lost", abs(probed - probes), 0)
    aims.hold("recoveries told", len(recoveries), 500, at_most=False)
    aims.hold("consoles that did not end well", sum(code != 0 for code in codes), 0)
    return aims.finish()
