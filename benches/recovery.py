#!/usr/bin/env python3
"""How true the reported recoveries are: end and duration of outages that were made at known times.

A server of our own switches many paths off and on by a timetable from the seed; warroom and Prometheus with
blackbox_exporter watch the same paths at the same time.

  end        the reported end against the true one, 5 s cadence, 500 ms burst, outages of 2 to 20 s
  duration   the reported duration against the true one, 1 s cadence: warroom at the middle of its bounds (and its
             measured RTO beside), Prometheus from the first failed to the first good sample
  bounds     every one of warroom's must hold the true duration
  seen       outages that were reported; one shorter than the cadence may begin and end between two probes
"""
import argparse
import json
import statistics
import sys
import time
import urllib.parse
import urllib.request

import rig

SHORTEST, LONGEST = 2.0, 20.0
GAP = (14.0, 26.0)  # of good service between two outages of one path: longer than any prober needs to see it
CLOSING = 12.0      # after the last outage, so that everybody can report its end


def timetable(rng, paths, start, seconds):
    """For each path its outages, at random times from the seed."""
    spans = {}
    for path in paths:
        at, spans[path] = start + rng.uniform(2, GAP[1]), []
        while True:
            end = at + rng.uniform(SHORTEST, LONGEST)
            if end > start + seconds:
                break
            spans[path].append((at, end))
            at = end + rng.uniform(*GAP)
    return spans


def recoveries(log):
    """warroom's records, by component."""
    found = {}
    for line in log.splitlines():
        event = json.loads(line)
        if event["event"] == "recovery":
            found.setdefault(event["record"]["component_id"], []).append(event["record"])
    return found


def samples(peer, job):
    """Prometheus's raw samples of probe_success, by path."""
    query = urllib.parse.urlencode({"query": f'probe_success{{job="{job}"}}[1d]'})
    with urllib.request.urlopen(f"http://127.0.0.1:{peer.port}/api/v1/query?{query}", timeout=30) as answer:
        result = json.load(answer)["data"]["result"]
    return {urllib.parse.urlparse(series["metric"]["instance"]).path:
            [(float(at), value == "1") for at, value in series["values"]] for series in result}


def outages_of(series):
    """First failed and first good sample of each run of failures."""
    found, since = [], None
    for at, good in series:
        if not good and since is None:
            since = at
        elif good and since is not None:
            found.append((since, at))
            since = None
    return found


def match(truth, reported):
    """Pairs each true outage with the report that began within it; what is left over on either side is counted."""
    pairs, left = [], list(reported)
    for begin, end in truth:
        # A probe that was under way at the edge may end a little after it.
        mine = [report for report in left if begin - 0.05 <= report[0] <= end + 1]
        if mine:
            pairs.append(((begin, end), mine[0]))
            left.remove(mine[0])
    return pairs, len(truth) - len(pairs), len(left)


def row(name, ends, durations, truth, pairs, strange, holding=None):
    spread = [f"{rig.percentile(each, 0.5):.3f} / {rig.percentile(each, 0.95):.3f}" if each else None
              for each in (ends, durations)]
    return [name, *spread, f"{len(pairs)} of {truth}", str(strange), holding]


def judge_warroom(name, spans, found):
    """Errors of warroom's records."""
    pairs, strange, total = [], 0, 0
    for path, truth in spans.items():
        total += len(truth)
        reports = [(record["t_detect_epoch"], record["t_restore_epoch"], record) for record in found.get(path[1:], [])]
        mine, _, left = match(truth, reports)
        pairs += mine
        strange += left
    ends = [abs(report[1] - end) for (_, end), report in pairs]
    middles, measured, untrue, open_ended = [], [], [], 0
    for (begin, end), (_, _, record) in pairs:
        low, high = record["bounds_seconds"]
        if high is None:
            open_ended += 1
            continue
        length = end - begin
        middles.append(abs((low + high) / 2 - length))
        measured.append(abs(record["measured_rto_seconds"] - length))
        if not low <= length <= high:
            untrue.append((record["component_id"], round(length, 3), low, high))
    holding = f"{len(middles) - len(untrue)} of {len(middles)}"
    for which in untrue:
        print("  bounds that do not hold the truth: %s was away %s s, bounds %s to %s" % which)
    rows = [row(f"{name}, middle of the bounds", ends, middles, total, pairs, strange, holding),
            row(f"{name}, measured RTO", ends, measured, total, pairs, strange)]
    return rows, {"ends": ends, "middles": middles, "untrue": len(untrue) + open_ended, "strange": strange}


def judge_prometheus(name, spans, series):
    pairs, strange, total = [], 0, 0
    for path, truth in spans.items():
        total += len(truth)
        mine, _, left = match(truth, outages_of(series.get(path, [])))
        pairs += mine
        strange += left
    ends = [abs(report[1] - end) for (_, end), report in pairs]
    durations = [abs((report[1] - report[0]) - (end - begin)) for (begin, end), report in pairs]
    return [row(name, ends, durations, total, pairs, strange)], {"ends": ends, "durations": durations}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=150.0, help="in which outages happen")
    arguments.add_argument("--components", type=int, default=40, help="for each of the two cadences")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    rng = rig.seeded(options.seed)
    rig.introduce("recovery", options.seed)
    rig.raise_file_limit()
    warmup = 12.0
    with rig.Stage() as stage:
        # Each group has paths of its own, so that one server serves both; warroom's first component is c0000.
        start = time.time() + warmup
        groups = {}
        tables = {}
        for cadence in (1, 5):
            paths = [f"/c{number:04}" for number in range(options.components)]
            groups[cadence] = timetable(rng, paths, start, options.seconds)
            tables[cadence] = stage.folder / f"timetable-{cadence}.json"
            tables[cadence].write_text(json.dumps(groups[cadence]))
        ports = {cadence: rig.start_server(stage, "--timetable", str(tables[cadence])) for cadence in groups}
        agents = {}
        for cadence, port in ports.items():
            config, data = rig.write_config(stage, f"every-{cadence}", port, options.components, f"{cadence}s",
                                            burst="500ms", timeout="1s", tiers=(1,))
            events = open(stage.folder / f"events-{cadence}.jsonl", "wb")
            agents[cadence] = stage.start(
                f"agent-{cadence}", [rig.WARROOM, "agent", "--events", "json", "--config", config, "--data-dir", data],
                stdout=events)
            events.close()
        peer = rig.Prometheus.start(stage, [
            (f"every-{cadence}", cadence, [f"http://127.0.0.1:{port}{path}" for path in groups[cadence]])
            for cadence, port in ports.items()])
        if time.time() > start:
            sys.exit("the programs took longer to start than the warm-up lasts; nothing was measured")
        measuring = rig.Watch([])
        while time.time() < start + options.seconds + CLOSING:
            time.sleep(1)
            for process in stage.running:
                if process.poll() is not None:
                    sys.exit(f"{process.label} ended with {process.returncode}:\n{stage.log(process.label)}")
        measuring.stop()
        series = {cadence: samples(peer, f"every-{cadence}") for cadence in groups} if peer else None
        for agent in agents.values():
            stage.end(agent)
        rows, ours, theirs = [], {}, {}
        for cadence, spans in groups.items():
            found = recoveries((stage.folder / f"events-{cadence}.jsonl").read_text())
            more, ours[cadence] = judge_warroom(f"warroom, {cadence} s", spans, found)
            rows += more
            if series:
                more, theirs[cadence] = judge_prometheus(f"blackbox_exporter + Prometheus, {cadence} s", spans,
                                                         series[cadence])
                rows += more
    rig.table(f"Outages of {SHORTEST:g} to {LONGEST:g} s at known times; median / 95th percentile of the error in s "
              f"(processors were busy to {measuring.others:.0f} % of one core)",
              ["", "end", "duration", "seen", "reported, never made", "bounds true"], rows)
    if not series:
        rig.absent("blackbox_exporter + Prometheus")
    aims = rig.Verdicts()
    if not ours[5]["ends"] or not ours[1]["middles"]:
        sys.exit("no outage was reported at all")
    aims.hold("end of an outage, 5 s cadence, p95", rig.percentile(ours[5]["ends"], 0.95), 0.6, "s")
    for share, name in ((0.5, "median"), (0.95, "p95")):
        aim = rig.percentile(theirs[1]["durations"], share) if theirs else {0.5: 0.11, 0.95: 0.56}[share]
        aims.hold(f"duration at the middle of the bounds, 1 s cadence, {name}, against Prometheus in this run",
                  rig.percentile(ours[1]["middles"], share), aim, "s")
    aims.hold("bounds without the truth", sum(each["untrue"] for each in ours.values()), 0)
    aims.hold("recoveries of outages that never were", sum(each["strange"] for each in ours.values()), 0)
    return aims.finish()


if __name__ == "__main__":
    sys.exit(main())
