#!/usr/bin/env python3
"""What attached consoles cost the agent: 200 components at 1 s, read by 0, 1 and 20 consoles at its socket.

  CPU s/min     processor seconds of the agent in a minute, its server's thread included; each window starts when every
                console has its picture
  late          how late the probes started, as the agent itself says at its end, with each number of consoles
  stalled       one more row: as many consoles, half of which stopped reading after their picture
  --flood       instead of all this: a minute of outages everywhere with two consoles open (flood.py)
  attaching     from connect() to the last byte of the first picture, with 12 and with 1,000 components

The consoles are plain readers in a process of their own, which parse the first lines and count the bytes of the rest.
"""
import argparse
import json
import re
import selectors
import socket
import subprocess
import sys
import time

import flood
import rig

COMPONENTS = 200
PROTOCOL = 1


def attach(folder):
    """One console: greets, and returns once it was let in."""
    console = socket.socket(socket.AF_UNIX)
    console.connect(f"{folder}/engine.sock")
    greeting = {"protocol": PROTOCOL, "version": "0", "wants": "watch", "terminal": "bench"}
    console.sendall(json.dumps(greeting).encode() + b"\n")
    lines = console.makefile("rb")
    welcome = json.loads(lines.readline())
    if welcome["refused"]:
        sys.exit(f"refused: {welcome['refused']}")
    while b'{"picture":' not in lines.readline():
        pass
    # What the file object has read ahead is lost; the bytes after it are only counted.
    return console


def read(folder, number, stalled):
    """Attaches, says so, and counts what comes until its own standard input ends."""
    consoles = [attach(folder) for _ in range(number)]
    watched = selectors.DefaultSelector()
    watched.register(sys.stdin, selectors.EVENT_READ)
    for console in consoles[stalled:]:
        watched.register(console, selectors.EVENT_READ)
    print("attached", flush=True)
    count = 0
    while True:
        for key, _ in watched.select():
            if key.fileobj is sys.stdin:
                print(count, flush=True)
                return
            chunk = key.fileobj.recv(1 << 18)
            if not chunk:
                sys.exit("the agent ended a connection")
            count += len(chunk)


class Readers:
    """The process of the consoles."""

    def __init__(self, folder, number, stalled):
        command = [sys.executable, "-B", __file__, "--read", str(folder), str(number), str(stalled)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "attached":
            sys.exit("the consoles could not attach")

    def end(self):
        """How many bytes they were told."""
        said, _ = self.process.communicate("", timeout=10)
        if self.process.returncode != 0:
            sys.exit("a console's connection broke off")
        return int(said)


def measure(stage, nginx, number, stalled, options):
    name = f"agent-{number}-{stalled}"
    config, data = rig.write_config(stage, name, nginx.port, COMPONENTS, "1s")
    agent = stage.start(name, [rig.WARROOM, "agent", "--config", config, "--data-dir", data],
                        env={"WARROOM_LOG": "info"})
    time.sleep(options.warmup)
    if agent.poll() is not None:
        sys.exit(f"the agent ended with {agent.returncode}:\n{stage.log(name)}")
    readers = Readers(data, number, stalled)
    watch = rig.Watch([agent.pid], [nginx.process.pid, readers.process.pid])
    time.sleep(options.window)
    watch.stop()
    told, peak = readers.end(), rig.peak_mib(agent.pid)
    stage.running.remove(agent)
    stage.end(agent)
    said = re.search(r"lateness of starts.*?p99_ms=([0-9.]+).*?max_ms=([0-9.]+)",
                     re.sub(r"\x1b\[[0-9;]*m", "", stage.log(name)))
    if said is None:
        sys.exit(f"the agent did not say how late its probes started:\n{stage.log(name)[-2000:]}")
    reading = number - stalled
    return {"cpu": 60 * watch.cpu / watch.seconds, "percent": watch.percent, "peak": peak, "others": watch.others,
            "late99": float(said[1]), "latest": float(said[2]),
            "kib": told / 1024 / watch.seconds / reading if reading else None,
            "probes": len(nginx.answers(watch.wall, watch.until)) / watch.seconds}


def time_to_attach(stage, nginx, components, options):
    """Milliseconds from connect to the whole picture: of ten consoles one after the other."""
    name = f"attach-{components}"
    config, data = rig.write_config(stage, name, nginx.port, components, "1s")
    agent = stage.start(name, [rig.WARROOM, "agent", "--config", config, "--data-dir", data])
    time.sleep(options.warmup)
    if agent.poll() is not None:
        sys.exit(f"the agent ended with {agent.returncode}:\n{stage.log(name)}")
    watch, took = rig.Watch([agent.pid], [nginx.process.pid]), []
    for _ in range(10):
        begun = time.monotonic()
        console = attach(data)
        took.append((time.monotonic() - begun) * 1000)
        console.close()
        # The first one has the engine copy its picture, the others follow while that is kept.
        time.sleep(0.2)
    watch.stop()
    return {"first": took[0], "median": rig.percentile(took[1:], 0.5), "longest": max(took), "others": watch.others}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--window", type=float, default=30.0, help="seconds")
    arguments.add_argument("--warmup", type=float, default=6.0, help="seconds")
    arguments.add_argument("--consoles", type=int, action="append", help="so many; may be given several times")
    arguments.add_argument("--flood", type=float, nargs="?", const=60.0, metavar="SECONDS",
                           help="instead: outages everywhere for so long, and what was told against what is kept")
    arguments.add_argument("--seed", type=int, default=1, help="of the flood's outages")
    arguments.add_argument("--read", nargs=3, metavar=("FOLDER", "NUMBER", "STALLED"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.read:
        folder, number, stalled = options.read
        return read(folder, int(number), int(stalled))
    if options.flood:
        return flood.run(options)
    rig.introduce("attach", "none: the order of things is the clock's")
    wanted = options.consoles or [0, 1, 20]
    rows, done = [], {}
    for number, stalled in [(number, 0) for number in wanted] + [(max(wanted), max(wanted) // 2)]:
        with rig.Stage() as stage:
            found = measure(stage, rig.Nginx(stage), number, stalled, options)
        name = f"{number} consoles" + (f", {stalled} stalled" if stalled else "")
        done[number, stalled] = found
        rows.append([name, found["probes"], found["cpu"], found["percent"], found["late99"], found["latest"],
                     found["peak"], found["kib"], found["others"]])
    rig.table(f"An agent with {COMPONENTS} components at 1 s",
              ["", "probes/s", "CPU s/min", "CPU %", "late p99 ms", "latest ms", "peak MiB", "KiB/s each", "others %"],
              rows)
    attaching = {}
    for components in (12, 1000):
        with rig.Stage() as stage:
            attaching[components] = time_to_attach(stage, rig.Nginx(stage), components, options)
    rig.table("From connect to the whole picture", ["components", "first ms", "median ms", "longest ms", "others %"],
              [[components, *found.values()] for components, found in attaching.items()])
    aims = rig.Verdicts()
    aims.hold("longest attach with 1,000 components", attaching[1000]["longest"], 1000, "ms")
    most = done[max(wanted), 0]
    if 0 in wanted:
        none = done[0, 0]
        aims.hold(f"CPU of {max(wanted)} consoles, above none", most["cpu"] - none["cpu"], 1.5, "s/min")
        aims.hold(f"memory of {max(wanted)} consoles, above none", most["peak"] - none["peak"], 40, "MiB")
    aims.hold(f"lateness p99 with {max(wanted)} consoles", most["late99"], 10, "ms")
    aims.hold(f"probes kept of {COMPONENTS} a second with {max(wanted)} consoles", most["probes"], COMPONENTS - 2, "per s",
              at_most=False)
    return aims.finish()


if __name__ == "__main__":
    sys.exit(main())
