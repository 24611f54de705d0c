#!/usr/bin/env python3
"""What the console costs: first paint, bytes, processor time, keys, memory; btop and htop in the same run.

  first paint   from exec to the first frame that shows 30 characters, median of --starts
  bytes/s       written to an 80×24 terminal, nobody typing, in --window seconds
  CPU           of one core in that time, console and engine together
  key           from a key typed to the end of the first output after it, 95th percentile of --keys
  peak          the most memory ever held (VmHWM)

The 12 live components answer after 5 to 60 ms by chance, so that numbers and sparklines move with every probe.
"""
import argparse
import statistics
import sys
import time

import rig

FRAME_ENDS = b"\x1b[?2026l"


def first_paint(stage, command, starts):
    """Milliseconds from exec to the first whole frame, of each start."""
    times = []
    for _ in range(starts):
        terminal = rig.Terminal(stage, command)

        def whole():
            written = terminal.written()
            return rig.visible(written) >= 30 and written.count(b"\x1b[?2026h") == written.count(FRAME_ENDS)
        terminal.read(10, whole)
        times.append(terminal.output[-1][0] / 1e6 if whole() else float("inf"))
        terminal.read(0.4)
        terminal.end()
    return times


def keys_to_paint(terminal, presses, rng):
    """Milliseconds from a key to the end of the first output after it."""
    latencies = []
    for number in range(presses):
        terminal.read(rng.uniform(0.13, 0.37))
        seen = len(terminal.output)
        typed = terminal.type(b"\x1b[B" if number % 2 == 0 else b"\x1b[A")

        def painted():
            after = b"".join(data for _, data in terminal.output[seen:])
            return after and (FRAME_ENDS in after or b"\x1b[?2026h" not in after)
        terminal.read(1.5, painted)
        latencies.append((terminal.output[-1][0] - typed) / 1e6 if painted() else 1500.0)
    return latencies


def run(stage, name, command, options, rng, ours=(), within_minute=False, warmup=6):
    """One program in one state: its row of the table."""
    terminal = rig.Terminal(stage, command)
    terminal.read(warmup)
    row = {"name": name}
    if within_minute:
        # The header's clock counts minutes, which is a change like any other.
        while not 1 < time.time() % 60 < 58 - options.window:
            terminal.read(0.5)
    watch = rig.Watch([terminal.pid], ours)
    since = terminal.now()
    terminal.read(options.window)
    watch.stop()
    row["bytes"] = len(terminal.written(since)) / watch.seconds
    row["frames"] = terminal.written(since).count(FRAME_ENDS) / watch.seconds
    row["cpu"], row["others"] = watch.percent, watch.others
    latencies = keys_to_paint(terminal, options.keys, rng)
    row["key50"], row["key95"] = statistics.median(latencies), rig.percentile(latencies, 0.95)
    row["peak"] = rig.peak_mib(terminal.pid)
    row["exit"] = terminal.end()
    if name.startswith("warroom") and row["exit"] != 0:
        sys.exit(f"{name} ended with {row['exit']}:\n{terminal.written()[-2000:].decode('utf-8', 'replace')}")
    return row


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--starts", type=int, default=15)
    arguments.add_argument("--window", type=float, default=30.0, help="seconds, at most 55")
    arguments.add_argument("--keys", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    rng = rig.seeded(options.seed)
    rig.introduce("screen", options.seed)
    rig.raise_file_limit()
    peers = [(name, [program]) for name in ("btop", "htop") if (program := rig.find(name))]
    with rig.Stage() as stage:
        nginx = rig.Nginx(stage)
        live = rig.start_server(stage, "--latency", "5", "60", "--seed", str(options.seed))
        # The server's seed is the run's; the order in which its clients ask is not, so latencies differ between runs.
        config = {
            "12 every 1 s": rig.write_config(stage, "twelve-1s", live, 12, "1s"),
            "12 every 5 s": rig.write_config(stage, "twelve-5s", live, 12, "5s"),
            "12 at rest": rig.write_config(stage, "twelve-rest", nginx.port, 12, "1h", timeout="1s", tiers=(2, 3)),
            "12 of nginx": rig.write_config(stage, "twelve-nginx", nginx.port, 12, "1s"),
            "1,000 every 5 s": rig.write_config(stage, "thousand", nginx.port, 1000, "5s"),
        }
        server = [process.pid for process in stage.running]

        starts = [("warroom --demo", [rig.WARROOM, "--demo"]),
                  ("warroom, 12 components", rig.console(*config["12 of nginx"])), *peers]
        rows, paints = [], {}
        for name, command in starts:
            paints[name] = first_paint(stage, command, options.starts)
            rows.append([name, statistics.median(paints[name]), min(paints[name]), max(paints[name])])
        rig.table("Start to first painted frame, 80×24, in ms", ["", "median", "best", "worst"], rows)

        done = {}
        states = [(f"warroom, {state}", rig.console(*config[state]))
                  for state in ("12 every 1 s", "12 every 5 s", "12 at rest")]
        states += [("warroom --demo", [rig.WARROOM, "--demo"]), *peers]
        states += [("warroom, 1,000 every 5 s", rig.console(*config["1,000 every 5 s"]))]
        for name, command in states:
            done[name] = run(stage, name, command, options, rng, server, name.endswith("at rest"))
        rig.table("80×24, nobody typing; then keys", ["", "bytes/s", "frames/s", "CPU %", "key median ms", "key p95 ms",
                                                      "peak MiB", "others %"],
                  [[name, row["bytes"], row["frames"], row["cpu"], row["key50"], row["key95"], row["peak"],
                    row["others"]] for name, row in done.items()])
        rig.absent(*(name for name in ("btop", "htop") if name not in done), *(
            name for name in ("trip", "gitui", "btm") if rig.find(name) is None))

    aims = rig.Verdicts()
    aims.hold("start to first paint, demo", statistics.median(paints["warroom --demo"]), 20, "ms")
    aims.hold("start to first paint, 12 components", statistics.median(paints["warroom, 12 components"]), 20, "ms")
    for state in ("12 every 1 s", "12 every 5 s"):
        row = done[f"warroom, {state}"]
        aims.hold(f"bytes, {state}", row["bytes"], 300, "bytes/s")
        aims.hold(f"CPU, {state}", row["cpu"], 0.7, "%")
        aims.hold(f"key to paint p95, {state}", row["key95"], 2, "ms")
    aims.hold("bytes at rest", done["warroom, 12 at rest"]["bytes"], 0, "bytes/s")
    aims.hold("peak memory, 12 components", done["warroom, 12 every 1 s"]["peak"], 25, "MiB")
    aims.hold("peak memory, 1,000 components", done["warroom, 1,000 every 5 s"]["peak"], 80, "MiB")
    return aims.finish()


if __name__ == "__main__":
    sys.exit(main())
