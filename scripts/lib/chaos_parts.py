"""What chaos.py and chaos_figures.py stand on: the daemon, backends that can be killed and stopped, a load, and what they saw.

All times are seconds of CLOCK_MONOTONIC, which the C programs write too. Only processes that were started here are sent signals.
"""
import contextlib
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, namedtuple
from pathlib import Path

HERE = Path(__file__).resolve().parent
SLUICE = os.environ.get("SLUICE_BIN", "")
PENDING, ANSWERED, RESET, CLOSED, NOT_CONNECTED, MALFORMED, MIXED, TWICE = range(8)

# As steady_load.c and fault_backend.c write them.
LOAD_ROW = struct.Struct("<QQQHBBBcH")
BACKEND_ROW = struct.Struct("<QQIIQ")
BACKEND_HEAD = 64

Sent = namedtuple("Sent", "number due sent done status is_post outcome has_fallback backend retry_after")
Seen = namedtuple("Seen", "number at status is_get")
SAMPLE = re.compile(r'^(sluice_\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def build(folder: Path) -> dict:
    """The C programs, compiled: name → path."""
    made = {}
    for name in ("steady_load", "fault_backend"):
        made[name] = str(folder / name)
        subprocess.run(["clang", "-O2", "-o", made[name], str(HERE / f"{name}.c")], check=True)
    return made


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody has. Kept from the range of the kernel's own, since a backend comes back to it."""
    for port in range(21000 + os.getpid() % 8000, 32000):
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    sys.exit("no free port")


def wait_for(condition, seconds: float, what: str):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(0.005)
    return value


class Failed(Exception):
    """The run cannot go on."""


class Backend:
    """fault_backend in a process of its own. Its records outlive it."""

    def __init__(self, world, name: str):
        self.world, self.name, self.port = world, name, free_port()
        self.path = world.folder / f"backend-{name}.records"
        self.process = None
        self.start()

    @property
    def instance(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([self.world.programs["fault_backend"], str(self.port), self.name, str(self.path)])
        wait_for(self.accepts, 5, f"backend {self.name} listens")

    def accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            if self.process.poll() is not None:
                raise Failed(f"backend {self.name} ended") from None
            return False

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def order(self, **values):
        query = "&".join(f"{key}={value}" for key, value in values.items())
        return json.loads(urllib.request.urlopen(f"http://{self.instance}/_/set?{query}", timeout=5).read())

    def seen(self, start: int = 0) -> list[Seen]:
        """What it has received, from record `start` on."""
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            count = int.from_bytes(memory[:8], "little")
            data = memory[BACKEND_HEAD + start * BACKEND_ROW.size:BACKEND_HEAD + count * BACKEND_ROW.size]
        return [Seen(number, at / 1e9, status, is_get == 1) for number, at, status, is_get, _ in BACKEND_ROW.iter_unpack(data)]

    def count(self) -> int:
        with self.path.open("rb") as file:
            return int.from_bytes(file.read(8), "little")


class Load:
    """steady_load, running. `sent()` is what became of its requests until now."""

    def __init__(self, world, rate: int, seconds: float, connections: int, posts: int = 10, new_percent: int = 1, burst: int = 0,
                 port: int | None = None):
        self.path = world.folder / f"load-{len(world.loads)}.records"
        world.loads.append(self)
        self.rate = rate
        argv = [world.programs["steady_load"], "127.0.0.1", str(port or world.daemon.port), str(rate), str(seconds), str(connections),
                str(new_percent), "/", f"posts={posts}", f"burst={burst}", "open=1", f"records={self.path}"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.result: dict = {}
        wait_for(lambda: self.path.exists() and self.count() > 0, 10, "the load begins")

    def count(self) -> int:
        """Requests that are under way or through; they are numbered in the order of their times."""
        size = self.path.stat().st_size // LOAD_ROW.size
        with self.path.open("rb") as file:
            low, high = 0, size
            while low < high:
                middle = (low + high) // 2
                file.seek(middle * LOAD_ROW.size)
                if int.from_bytes(file.read(8), "little"):
                    low = middle + 1
                else:
                    high = middle
        return low

    def rows(self) -> list[Sent]:
        data = self.path.read_bytes()[:self.count() * LOAD_ROW.size]
        return [Sent(number, due / 1e9, sent / 1e9, done / 1e9, status, is_post == 1, outcome, fallback == 1,
                     backend.decode("latin-1").strip("\0"), after)
                for number, (due, sent, done, status, is_post, outcome, fallback, backend, after)
                in enumerate(LOAD_ROW.iter_unpack(data))]

    def finish(self) -> dict:
        if not self.result:
            self.process.terminate()
            self.result = json.loads(self.process.communicate(timeout=30)[0])
        return self.result


class Metrics:
    def __init__(self, text: str):
        self.samples = []
        for line in text.splitlines():
            if found := SAMPLE.match(line):
                self.samples.append((found[1], dict(LABEL.findall(found[2] or "")), float(found[3])))

    def sum(self, name: str, **labels) -> float:
        return sum(value for key, found, value in self.samples
                   if key == name and all(found.get(label) == wanted for label, wanted in labels.items()))


class Daemon:
    """The real daemon with one service `app` on everything, or with the configuration that is given."""

    def __init__(self, world, configuration: dict, workers: int = 2, wrapper=()):
        self.world, self.port, self.admin_port = world, free_port(), free_port()
        self.folder = world.folder / f"daemon-{self.port}"
        self.folder.mkdir()
        whole = {
            "server": {"workers": workers, "log_level": "info"},
            "listeners": [{"name": "web", "address": f"127.0.0.1:{self.port}"}],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "limits": {"connections_per_client": 20000, "requests_per_connection": 100000000, "keepalive_timeout": "300s"},
            "access_log": {"output": "none"},
            **configuration,
        }
        # JSON is YAML.
        (self.folder / "sluice.yaml").write_text(json.dumps(whole, indent=1))
        binary = world.binary or SLUICE
        self.log = self.folder / "sluice.log"
        self.process = subprocess.Popen([*wrapper, binary, "run", "-c", str(self.folder / "sluice.yaml")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log.open("ab"))
        try:
            wait_for(self.is_ready, 60, "the daemon is ready")
        except Failed:
            sys.stderr.write("\n".join(self.log.read_text("utf-8", "replace").splitlines()[-10:]) + "\n")
            raise

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise Failed("the daemon ended")
        with contextlib.suppress(OSError):
            return self.admin("GET", "/ready")[0] == 200
        return False

    def admin(self, method: str, path: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", method=method, headers={"X-Sluice-Admin": "1"},
                                         data=b"" if method == "POST" else None)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def metrics(self) -> Metrics:
        return Metrics(self.admin("GET", "/metrics")[1].decode())

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class Watcher(threading.Thread):
    """Looks at the metrics, some times a second: what an instance was sent, and how it is."""

    Look = namedtuple("Look", "at tries states breaker queue")

    def __init__(self, daemon: Daemon, service: str = "app", pause: float = 0.05):
        super().__init__(daemon=True)
        self.gateway, self.service, self.pause = daemon, service, pause
        self.looks: list[Watcher.Look] = []
        self.ending = threading.Event()
        self.start()

    def run(self):
        while not self.ending.wait(self.pause):
            try:
                metrics = self.gateway.metrics()
            except OSError:
                continue
            tries, states, breaker = Counter(), {}, ""
            for name, labels, value in metrics.samples:
                if labels.get("service") != self.service:
                    continue
                if name == "sluice_upstream_requests_total":
                    tries[labels.get("instance", "")] += int(value)
                elif name == "sluice_instance_health" and value == 1:
                    states[labels.get("instance", "")] = labels.get("state", "")
                elif name == "sluice_circuit_breaker_state" and value == 1 and not labels.get("route"):
                    breaker = labels.get("state", "")
            queue = metrics.sum("sluice_upstream_queue_length", service=self.service)
            self.looks.append(self.Look(time.monotonic(), tries, states, breaker, queue))

    def stop(self):
        self.ending.set()
        self.join(15)

    def last_try(self, instance: str, start: float, end: float) -> float | None:
        """When the count of tries to an instance was last seen to grow in this time."""
        last = before = None
        for look in self.looks:
            if start <= look.at <= end:
                if before is not None and look.tries[instance] > before:
                    last = look.at
            before = look.tries[instance]
        return last

    def first_state(self, instance: str, state: str, start: float, end: float) -> float | None:
        return next((look.at for look in self.looks if start <= look.at <= end and look.states.get(instance) == state), None)


class World:
    """All of it, in one folder, ended whatever happens."""

    def __init__(self, folder: Path, binary: str = ""):
        self.folder, self.binary = folder, binary
        self.programs = build(folder)
        self.backends: list[Backend] = []
        self.loads: list[Load] = []
        self.daemon: Daemon | None = None
        self.watcher: Watcher | None = None

    def three(self) -> list[Backend]:
        self.backends = [Backend(self, name) for name in "abc"]
        return self.backends

    def instances(self) -> list[dict]:
        return [{"url": f"http://{backend.instance}"} for backend in self.backends]

    def run(self, service: dict, workers: int = 2, wrapper=(), **more) -> Daemon:
        """A daemon that sends everything to the backends."""
        self.daemon = Daemon(self, {
            "services": {"app": {"instances": self.instances(), **service}, **more.pop("services", {})},
            "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}], **more}, workers, wrapper)
        return self.daemon

    def close(self):
        if self.watcher:
            self.watcher.stop()
        for load in self.loads:
            if load.process.poll() is None:
                load.process.kill()
                load.process.wait()
        if self.daemon:
            self.daemon.end()
        for backend in self.backends:
            if backend.process and backend.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    backend.resume()
                backend.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def quantile(values: list[float], share: float) -> float:
    """Of a list in any order; 0 for an empty one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def milliseconds(rows) -> list[float]:
    return [(row.done - row.due) * 1000 for row in rows if row.outcome == ANSWERED]


def is_lost(row: Sent) -> bool:
    """Not answered, or not by one whole answer of its own."""
    return row.outcome not in (ANSWERED, TWICE)


def seen_twice(backends: list[Backend]) -> Counter:
    """How often each number was received, over all backends, where that is more than once."""
    counts = Counter(seen.number for backend in backends for seen in backend.seen())
    return Counter({number: count for number, count in counts.items() if count > 1})
