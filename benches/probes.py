#!/usr/bin/env python3
"""What a probe costs and how punctual it is; blackbox_exporter with Prometheus in the same run.

  CPU s/1,000   processor seconds for 1,000 HTTP probes of a local nginx: 200 components at 1 s, warroom with its
                console open in an 80×24 terminal
  lateness      of a probe's start against its due time, 1,000 components at 1 s: as the engine itself counts it (the
                agent's last log line), held against the outside view: how far the answers of one component, as nginx
                saw them, lie from the second's mark they should keep (a jitter of up to 20 ms and a wait of up to 20 ms
                for the mark at which several probes begin are on purpose)
  kept          answers per second of 2,000 asked (2,000 components at 1 s)

Probes are counted in nginx's access log, never by the prober.
"""
import argparse
import re
import sys

import rig


def settle(stage, seconds):
    """Lets a prober come to its pace; ends the run if it died meanwhile."""
    import time
    time.sleep(seconds)
    for process in stage.running:
        if process.poll() is not None:
            sys.exit(f"{process.label} ended with {process.returncode}:\n{stage.log(process.label)}")


def figures(nginx, watch, asked):
    """What a window of nginx's log says."""
    answers = nginx.answers(watch.wall, watch.until)
    by_path = {}
    for stamp, path, _ in answers:
        by_path.setdefault(path, []).append(stamp)
    gaps = [abs(later - earlier - 1) * 1000 for stamps in by_path.values()
            for earlier, later in zip(sorted(stamps), sorted(stamps)[1:])]
    count = len(answers)
    return {"per_second": count / watch.seconds, "asked": asked, "paths": len(by_path),
            "cpu": 1000 * watch.cpu / count if count else None, "percent": watch.percent, "others": watch.others,
            "gap99": rig.percentile(gaps, 0.99) if gaps else None,
            "spread99": spread(by_path), "new": sum(new for *_, new in answers) / max(1, count)}


def spread(by_path):
    """99th percentile of the milliseconds by which an answer lies behind its component's earliest place in the second."""
    late = []
    for stamps in by_path.values():
        # The first answer is put into the middle, so that no neighbour falls over the second's edge.
        places = [(stamp - stamps[0] + 0.5) % 1 for stamp in stamps]
        mark = min(places)
        late += [(place - mark) * 1000 for place in places]
    return rig.percentile(late, 0.99) if late else None


def in_console(stage, nginx, number, options):
    config, data = rig.write_config(stage, f"console-{number}", nginx.port, number, "1s")
    terminal = rig.Terminal(stage, rig.console(config, data))
    terminal.drain()
    settle(stage, options.warmup)
    watch = rig.Watch([terminal.pid], [nginx.process.pid])
    settle(stage, options.window)
    watch.stop()
    peak = rig.peak_mib(terminal.pid)
    code = terminal.end()
    if code != 0:
        sys.exit(f"warroom ended with {code}")
    return {**figures(nginx, watch, number), "peak": peak}


def as_agent(stage, nginx, number, options):
    config, data = rig.write_config(stage, f"agent-{number}", nginx.port, number, "1s")
    name = f"agent-{number}"
    agent = stage.start(name, [rig.WARROOM, "agent", "--config", config, "--data-dir", data],
                        env={"WARROOM_LOG": "info"})
    settle(stage, options.warmup)
    watch = rig.Watch([agent.pid], [nginx.process.pid])
    settle(stage, options.window)
    watch.stop()
    peak = rig.peak_mib(agent.pid)
    stage.running.remove(agent)
    stage.end(agent)
    said = re.search(r"lateness of starts.*?p99_ms=([0-9.]+).*?max_ms=([0-9.]+)",
                     re.sub(r"\x1b\[[0-9;]*m", "", stage.log(name)))
    if said is None:
        sys.exit(f"the agent did not say how late its probes started:\n{stage.log(name)[-2000:]}")
    return {**figures(nginx, watch, number), "peak": peak, "late99": float(said[1]), "latest": float(said[2])}


def with_prometheus(stage, nginx, number, options):
    peer = rig.Prometheus.start(stage, [("probe", 1, [nginx.url(f"/p{place:04}") for place in range(number)])])
    if peer is None:
        return None
    settle(stage, options.warmup + 6)  # new targets reach its scraper after 5 s
    watch = rig.Watch(peer.pids(), [nginx.process.pid])
    settle(stage, options.window)
    watch.stop()
    peak = sum(rig.peak_mib(pid) for pid in peer.pids())
    for process in peer.processes:
        stage.running.remove(process)
        stage.end(process)
    return {**figures(nginx, watch, number), "peak": peak}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--window", type=float, default=30.0, help="seconds")
    arguments.add_argument("--warmup", type=float, default=6.0, help="seconds")
    arguments.add_argument("--only", type=int, action="append", choices=[200, 1000, 2000],
                           help="only this number of components; may be given several times")
    arguments.add_argument("--no-peers", action="store_true")
    options = arguments.parse_args()
    rig.introduce("probes", "none: the order of things is the clock's")
    rig.raise_file_limit()
    wanted = options.only or [200, 1000, 2000]
    rows, done = [], {}
    for number in wanted:
        runs = [("warroom, console open", in_console)] if number == 200 else []
        runs += [("warroom agent", as_agent)]
        runs += [] if options.no_peers else [("blackbox_exporter + Prometheus", with_prometheus)]
        for name, measure in runs:
            # A stage each, so that nothing of the one before is left when the next is measured.
            with rig.Stage() as stage:
                found = measure(stage, rig.Nginx(stage), number, options)
            if found is None:
                rig.absent(name)
                continue
            done[name, number] = found
            rows.append([f"{name}, {number}", found["per_second"], found["cpu"], found["percent"],
                         found.get("late99"), found.get("latest"), found["spread99"], found["gap99"], found["new"],
                         found["peak"], found["others"]])
    rig.table("HTTP probes of a local nginx, each component every second",
              ["", "probes/s", "CPU s/1,000", "CPU %", "late p99 ms", "latest ms", "behind mark p99 ms",
               "gap off 1 s p99 ms", "new conn/probe", "peak MiB", "others %"], rows)
    aims = rig.Verdicts()
    if 200 in wanted:
        aims.hold("CPU for 1,000 probes, console open", done["warroom, console open", 200]["cpu"], 0.2, "s")
    if 1000 in wanted:
        late = done["warroom agent", 1000]
        aims.hold("lateness p99 at 1,000 a second", late["late99"], 10, "ms")
        aims.hold("the same seen from outside, jitter and marks of 40 ms included", late["spread99"], 45, "ms")
    if 2000 in wanted:
        aims.hold("probes kept of 2,000 a second", done["warroom agent", 2000]["per_second"], 1990, "per s", at_most=False)
    return aims.finish()


if __name__ == "__main__":
    sys.exit(main())
