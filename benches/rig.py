"""What the measuring programs of this folder share: processes, terminals, peers, configs, figures.

Everything runs on 127.0.0.1 and in temporary folders; every process is ended by its pid. Times are taken outside the
measured program: bytes when they leave its terminal, probes when the server has answered them, processor time and
memory from the kernel's own books.
"""
import ctypes
import fcntl
import os
import platform
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WARROOM = Path(os.environ.get("WARROOM", ROOT / "target" / "release" / "warroom")).resolve()
LIBC = ctypes.CDLL(None, use_errno=True)


# ── The machine ──────────────────────────────────────────────────────────────────────────────────────────────────────

def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def busy_seconds():
    """Processor seconds that the whole machine has used since it was started."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq = ticks[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def introduce(what, seed):
    """Says on which machine, with which program and seed the figures are made."""
    if not WARROOM.is_file():
        sys.exit(f"{WARROOM} is missing: run `cargo build --release` first, or name another one in $WARROOM")
    version = subprocess.run([WARROOM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{what}: {version}, {os.cpu_count()} cores of {cpu_model()}, Linux {platform.release()}, seed {seed}, "
          f"load {os.getloadavg()[0]:.2f}")
    print("Load by others spoils times; how many % of one core others used meanwhile is told with the figures.")


def find(*names):
    """The first program of these names, also where only root looks; `None` when absent."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return next((found for found in (shutil.which(name, path=path) for name in names) if found), None)


# ── Processes ────────────────────────────────────────────────────────────────────────────────────────────────────────

def cpu_seconds(pid):
    """Processor seconds of a process, all its threads together, those that ended included."""
    clock = ctypes.c_int()
    failed = LIBC.clock_getcpuclockid(ctypes.c_int(pid), ctypes.byref(clock))
    if failed:
        raise OSError(failed, f"process {pid} has no processor clock")
    return time.clock_gettime(clock.value)


def peak_mib(pid):
    """The most memory that a process ever held, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"process {pid} has no memory")


def raise_file_limit():
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Stage:
    """A temporary folder and the processes that work in it; all of them end with it."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="warroom-bench-")
        self.folder = Path(self._folder.name)
        self.running = []
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            self.end(process)
        self._folder.cleanup()

    def start(self, name, command, env=None, stdout=None):
        """Starts a program in the background; what it says goes to NAME.log."""
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], cwd=self.folder, stdin=subprocess.DEVNULL,
                                       stdout=stdout or log, stderr=log, env={**os.environ, **(env or {})})
        process.label = name
        self.running.append(process)
        return process

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait_port(self, process, port):
        """Returns once something listens."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if process.poll() is not None:
                sys.exit(f"{process.label} ended with {process.returncode}:\n{self.log(process.label)}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        sys.exit(f"{process.label} does not listen on port {port}:\n{self.log(process.label)}")


def free_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


# ── Servers and peers ────────────────────────────────────────────────────────────────────────────────────────────────

class Nginx:
    """A local nginx that notes each answer with its time, to the millisecond."""

    def __init__(self, stage):
        program = find("nginx")
        if program is None:
            sys.exit("nginx is missing (Debian: nginx-light)")
        self.port = free_port()
        self.access = stage.folder / "access.log"
        places = "\n".join(f"  {kind}_temp_path {stage.folder}/{kind};"
                           for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        config = stage.folder / "nginx.conf"
        config.write_text(f"""
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {stage.folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8000; }}
http {{
{places}
  default_type text/plain;
  keepalive_requests 1000000000;
  log_format times '$msec $uri $connection_requests';
  access_log {self.access} times buffer=32k flush=250ms;
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location / {{ return 200 "well\\n"; }}
  }}
}}
""")
        self.process = stage.start("nginx", [program, "-p", stage.folder, "-c", config, "-e", "stderr"])
        stage.wait_port(self.process, self.port)

    def answers(self, since, until):
        """What was answered in `[since, until)`: time, path, whether the connection was new."""
        time.sleep(0.6)  # longer than nginx keeps lines before it writes them
        found = []
        with open(self.access) as lines:
            for line in lines:
                stamp, path, number = line.split()
                if since <= float(stamp) < until:
                    found.append((float(stamp), path, number == "1"))
        return found

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"


def start_server(stage, *options):
    """The tiny server of this folder, as a process of its own; returns its port."""
    port = free_port()
    process = stage.start("server", [sys.executable, Path(__file__).with_name("server.py"), "--port", port, *options])
    stage.wait_port(process, port)
    return port


class Prometheus:
    """Prometheus with blackbox_exporter, probing URLs; `None` from `start` where either is absent."""

    @classmethod
    def start(cls, stage, jobs):
        """`jobs`: name, seconds between two probes, URLs."""
        exporter = find("prometheus-blackbox-exporter", "blackbox_exporter")
        server = find("prometheus")
        if exporter is None or server is None:
            return None
        peer = cls()
        exporter_port, peer.port = free_port(), free_port()
        module = stage.folder / "blackbox.yml"
        module.write_text("modules:\n  ok:\n    prober: http\n    http: { preferred_ip_protocol: ip4 }\n")
        config = stage.folder / "prometheus.yml"
        text = ["scrape_configs:"]
        for name, interval, urls in jobs:
            text += [f"- job_name: {name}", "  metrics_path: /probe", "  params: { module: [ok] }",
                     f"  scrape_interval: {interval}s", f"  scrape_timeout: {interval}s",
                     "  static_configs: [{ targets: [" + ", ".join(f"'{url}'" for url in urls) + "] }]",
                     "  relabel_configs:",
                     "  - { source_labels: [__address__], target_label: __param_target }",
                     "  - { source_labels: [__address__], target_label: instance }",
                     f"  - {{ target_label: __address__, replacement: '127.0.0.1:{exporter_port}' }}"]
        config.write_text("\n".join(text) + "\n")
        peer.processes = [
            stage.start("blackbox", [exporter, f"--config.file={module}", "--log.level=error",
                                     f"--web.listen-address=127.0.0.1:{exporter_port}"]),
            stage.start("prometheus", [server, f"--config.file={config}", "--log.level=error",
                                       f"--storage.tsdb.path={stage.folder}/tsdb",
                                       f"--web.listen-address=127.0.0.1:{peer.port}"]),
        ]
        stage.wait_port(peer.processes[0], exporter_port)
        stage.wait_port(peer.processes[1], peer.port)
        return peer

    def pids(self):
        return [process.pid for process in self.processes]


# ── warroom's configs ────────────────────────────────────────────────────────────────────────────────────────────────

def write_config(stage, name, port, components, cadence, burst="500ms", timeout=None, tiers=(1, 2, 3)):
    """A config with so many components, one path each (`/c0000`), spread over the tiers; returns file and data folder."""
    targets = {1: "60s", 2: "300s", 3: "3600s"}
    lines = ['tenant = "bench"', 'environment = "sandbox"', "", "[measurement]",
             f'timeout = "{timeout or cadence}"', ""]
    for tier in tiers:
        lines += [f"[tiers.{tier}]", f'cadence = "{cadence}"', f'burst = "{burst}"', ""]
    lines += ["[platforms.local]", 'kind = "http"', f'base_url = "http://127.0.0.1:{port}"', ""]
    for number in range(components):
        tier = tiers[number % len(tiers)]
        lines += ["[[components]]", f'id = "c{number:04}"', f'name = "Component {number:04}"', 'platform = "local"',
                  f"tier = {tier}", f'target_rto = "{targets[tier]}"', 'kind = "api"',
                  f'journey = [{{ name = "answers", get = "/c{number:04}", expect = ["status == 200"] }}]', ""]
    path = stage.folder / f"{name}.toml"
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    data = stage.folder / f"{name}.data"
    data.mkdir(mode=0o700)
    return path, data


def console(config, data):
    """The command that opens the console on a config."""
    return [WARROOM, "--config", config, "--data-dir", data]


# ── A terminal ───────────────────────────────────────────────────────────────────────────────────────────────────────

ANSWERS = [(b"\x1b[c", b"\x1b[?62;22c"), (b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[?u", b"\x1b[?0u")]


class Terminal:
    """A full-screen program in a pseudo-terminal of 80×24 (or another size), every byte stamped as it comes."""

    def __init__(self, stage, command, columns=80, rows=24):
        self.output = []  # (nanoseconds since exec, bytes)
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {name: value for name, value in os.environ.items()
               if name not in ("TMUX", "NO_COLOR", "COLUMNS", "LINES", "WARROOM_CONFIG", "CI")}
        env.update(TERM="xterm-256color", LANG="C.UTF-8", COLORTERM="truecolor")
        begun, begins = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.login_tty(slave)
                os.chdir(stage.folder)
                os.write(begins, struct.pack("=q", time.monotonic_ns()))
                os.closerange(3, 256)
                os.execve(command[0], [str(word) for word in command], env)
            finally:
                os._exit(127)
        os.close(begins)
        os.close(slave)
        (self.begun,) = struct.unpack("=q", os.read(begun, 8))
        os.close(begun)
        self.stopped = threading.Event()
        self.drainer = None

    def now(self):
        return time.monotonic_ns() - self.begun

    def read(self, seconds, until=None):
        """Takes what comes for so long, or until `until()` holds; false when the program has closed its terminal."""
        end = time.monotonic() + seconds
        while until is None or not until():
            left = end - time.monotonic()
            if left <= 0 or self.stopped.is_set():
                return True
            ready, _, _ = select.select([self.master], [], [], min(left, 0.25) if self.drainer else left)
            if not ready:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return False
            self.output.append((self.now(), data))
            for question, answer in ANSWERS:
                if question in data:
                    os.write(self.master, answer)
        return True

    def drain(self):
        """Takes what comes in the background, until the program is ended."""
        self.drainer = threading.Thread(target=self.read, args=(1e9,), daemon=True)
        self.drainer.start()

    def type(self, keys):
        at = self.now()
        os.write(self.master, keys)
        return at

    def written(self, since=0):
        return b"".join(data for at, data in self.output if at >= since)

    def painted(self, cells=30):
        """Whether so many visible characters have come."""
        return visible(self.written()) >= cells

    def end(self, keys=b"q"):
        """Types the quit key, waits, and ends the program by its pid where that is not enough."""
        self.stopped.set()
        if self.drainer:
            self.drainer.join()
            self.drainer = None
        self.stopped.clear()
        os.write(self.master, keys)
        gone = not self.read(5)
        if not gone:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


def visible(data):
    """How many characters in the output of a full-screen program are neither blanks nor parts of sequences."""
    import re
    text = re.sub(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()#%].|[ -~])", b"", data)
    return sum(1 for character in text.decode("utf-8", "ignore") if character > " ")


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────

def percentile(values, share):
    """The smallest value that at least this share (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    place = max(0, -(-len(ordered) * share // 1) - 1)
    return ordered[int(place)]


class Watch:
    """Processor time of some processes between two moments, and what the rest of the machine used meanwhile."""

    def __init__(self, pids, ours=()):
        self.pids, self.ours = list(pids), list(ours)
        self.wall, self.begun = time.time(), time.monotonic()
        self.before = self._take()

    def _take(self):
        mine = sum(cpu_seconds(pid) for pid in self.pids)
        rig = time.process_time() + sum(cpu_seconds(pid) for pid in self.ours)
        return mine, busy_seconds() - mine - rig

    def stop(self):
        after = self._take()
        self.seconds = time.monotonic() - self.begun
        self.until = time.time()
        self.cpu = after[0] - self.before[0]
        self.percent = 100 * self.cpu / self.seconds
        self.others = max(0.0, 100 * (after[1] - self.before[1]) / self.seconds)
        return self


def table(title, columns, rows):
    """Prints rows of text under their columns; `None` is a dash."""
    cells = [[str(column) for column in columns]]
    cells += [["–" if cell is None else cell if isinstance(cell, str) else f"{cell:.2f}" for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        line = "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                         for place, (cell, width) in enumerate(zip(row, widths)))
        print("  " + line.rstrip())
    sys.stdout.flush()


class Verdicts:
    """Holds figures against their aims; the exit code says whether all were met."""

    def __init__(self):
        self.missed = 0
        self.lines = []

    def hold(self, name, value, aim, unit="", at_most=True):
        met = value is not None and (value <= aim if at_most else value >= aim)
        self.missed += not met
        said = "no figure" if value is None else f"{value:.3g} {unit}".strip()
        self.lines.append(f"  {'met   ' if met else 'MISSED'}  {name}: {said} (aim: "
                          f"{'at most' if at_most else 'at least'} {aim:g} {unit}".rstrip() + ")")

    def finish(self):
        print("\nAims")
        print("\n".join(self.lines))
        return 1 if self.missed else 0


def absent(*names):
    """Says which peers are not here, so that a missing line is no silence."""
    for name in names:
        print(f"  {name}: not installed, left out")


def seeded(seed):
    return random.Random(seed)
