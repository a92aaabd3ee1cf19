"""The daemon as a process: started on free ports in a directory of its own, watched, and checked when it ends."""

import ctypes
import fcntl
import json
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from json import dumps
from pathlib import Path

from . import yaml
from .client import Connection, Response
from .h2_client import H2Client
from .metrics import Metrics
from .tls import client_context
from .waiting import SCALE, deadline, until

REPOSITORY = Path(__file__).resolve().parents[3]

# Processes whose parent ends become ours, so that their end can be waited for (PR_SET_CHILD_SUBREAPER).
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)

# What a trap, a sanitizer or a crash handler prints.
CRASH_MARKS = (
    "Fatal error", "Crash:", "crashed", "*** Signal", "💣", "AddressSanitizer", "ThreadSanitizer", "LeakSanitizer",
    "Precondition failed", "Illegal instruction", "Segmentation fault", "Backtrace", "unexpectedly found nil",
)


def sluice_binary() -> str:
    """The daemon under test, from SLUICE_BIN, or the debug build of this repository."""
    return os.environ.get("SLUICE_BIN") or str(REPOSITORY / ".build" / "debug" / "sluice")


_used_ports: set[int] = set()


def free_port() -> int:
    """A port below the range from which the kernel takes ports of its own, free when looked at."""
    for _ in range(1000):
        port = random.randrange(12000, 32000)
        if port in _used_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        _used_ports.add(port)
        return port
    raise AssertionError("no free port")


class Lines:
    """The lines of one output stream, read by a thread, with waiting."""

    def __init__(self, stream):
        self.stream = stream
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for raw in self.stream:
            with self.changed:
                self.lines.append(raw.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, matches, seconds: float = 5.0, start: int = 0, what: str = "") -> str:
        """The first line from index `start` on that `matches`."""
        end = deadline(seconds)
        at = start
        with self.changed:
            while True:
                while at < len(self.lines):
                    if matches(self.lines[at]):
                        return self.lines[at]
                    at += 1
                left = end - time.monotonic()
                assert left > 0 and not self.ended, \
                    f"no line with {what or matches} within {seconds} s; lines from {start}: " + "\n".join(self.lines[start:][-30:])
                self.changed.wait(left)


def parsed(line: str) -> dict:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class Successor:
    """A process that a daemon has started in its place. It becomes ours when the daemon ends."""

    def __init__(self, pid: int):
        self.pid = pid
        self.returncode = None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None if os.path.exists(f"/proc/{self.pid}") else -1
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None):
        end = deadline(timeout if timeout is not None else 60)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("the successor", timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number: int):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Gateway:
    """One running daemon.

    `configuration` is a dict, or YAML text in which `@web@`, `@secure@`, `@clear@`, `@other@`, `@admin@` and `@dir@` stand for the
    addresses and the directory. `tls` maps the name of a listener (`admin` too) to the file of the authority that `connect` and `h2`
    trust there, or to a whole ssl.SSLContext.
    A dict without `listeners` gets one, named `web`; without `admin` one is added; without `access_log` it goes to a file.
    """

    def __init__(self, configuration, directory: Path, arguments=(), environment=None, descriptors: int | None = None,
                 stdout=None, wait_ready: bool = True, sockets=(), binary: str | None = None, tls=None):
        self.tls = dict(tls or {})
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_path = self.directory / "sluice.yaml"
        self.access_path = self.directory / "access.log"
        self.ports: dict[str, int] = {name: free_port() for name in ("web", "admin", "secure", "clear", "other")}
        self.expected_socket_change = 0     # a test that adds or removes a listener by reload says so here
        self.check_descriptors = True
        self.expected_exit = 0
        self.finished = False
        self.alterations = 0
        self.admin_socket: str | None = None     # where the admin listener is a Unix socket
        self.write_config(configuration)

        def prepare():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
            # As systemd hands sockets over: from 3 on.
            high = [fcntl.fcntl(entry.fileno(), fcntl.F_DUPFD_CLOEXEC, 3 + len(sockets)) for _, entry in sockets]
            for index, descriptor in enumerate(high):
                os.dup2(descriptor, 3 + index)

        env = dict(os.environ)
        env.update(environment or {})
        self.command = [binary or sluice_binary(), "run", "--config", str(self.config_path), *arguments]
        command = self.command
        if sockets:
            env.update(LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(name for name, _ in sockets))
            command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else subprocess.PIPE, stderr=subprocess.PIPE, env=env, preexec_fn=prepare,
            cwd=self.directory, close_fds=not sockets)
        self.pid = self.process.pid
        self.stderr = Lines(self.process.stderr)
        self.stdout = Lines(self.process.stdout) if stdout is None else None
        if wait_ready:
            try:
                self.wait_ready()
            except BaseException:
                # Nobody else knows of the process yet.
                self.process.kill()
                self.process.wait()
                raise

    def wait_ready(self):
        self.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15, what='"message":"ready"')
        for name in self.configured_ports:
            until(lambda: self.serves(self.ports[name]), 5, f"port of {name} accepts")
        until(lambda: self.settled(), 5, "descriptors settle")
        self.sockets_at_start = self.count_descriptors("socket:")
        self.others_at_start = self.count_descriptors("") - self.sockets_at_start

    # Configuration

    def complete(self, configuration: dict) -> dict:
        """Adds what every test needs and few care about."""
        whole = dict(configuration)
        whole.setdefault("server", {})
        whole["server"] = {"workers": 2, **whole["server"]}
        if "listeners" not in whole:
            whole["listeners"] = [{"name": "web", "address": f"127.0.0.1:{self.ports['web']}"}]
        whole.setdefault("admin", {"address": f"127.0.0.1:{self.ports['admin']}"})
        whole.setdefault("access_log", {"format": "json", "output": str(self.access_path)})
        order = ["server", "listeners", "admin", "limits", "access_log", "middlewares", "services", "routes"]
        return {key: whole[key] for key in sorted(whole, key=lambda key: order.index(key) if key in order else 99)}

    def write_config(self, configuration):
        if isinstance(configuration, dict):
            whole = self.complete(configuration)
            text = yaml.dump(whole)
            names = [entry["name"] for entry in whole["listeners"]
                     if entry.get("enabled", True) and not entry["address"].startswith("unix:")]
            address = whole["admin"].get("address", "")
            if address.startswith("unix:"):
                self.admin_socket = address[5:].replace("@dir@", str(self.directory))
            elif whole["admin"].get("enabled", True):
                self.admin_socket = None
                names.append("admin")
            self.configured_ports = [name for name in names if name in self.ports]
        else:
            text = configuration
            self.configured_ports = [name for name in self.ports if f"@{name}@" in text]
        for name, port in self.ports.items():
            text = text.replace(f"@{name}@", f"127.0.0.1:{port}")
        self.config_text = text.replace("@dir@", str(self.directory))
        self.config_path.write_text(self.config_text)

    def reload(self, configuration=None, fails: bool = False, seconds: float = 10) -> dict:
        """Writes the configuration, sends SIGHUP and waits for the verdict; returns its log entry."""
        if configuration is not None:
            self.write_config(configuration)
        start = len(self.stderr.lines)
        # The verdict before this one may have had several lines, the last of which are still on their way.
        sent = datetime.now(timezone.utc)
        self.signal(signal.SIGHUP)
        verdicts = ("reloaded", "reload failed")
        # Certificates are watched as well: a look between the halves of a change has a verdict of its own, which may come first.
        awaited = (verdicts[fails],) if "cert_file" in self.config_text else verdicts

        def is_verdict(line):
            entry = parsed(line)
            return entry.get("message") in awaited and datetime.fromisoformat(entry["time"].replace("Z", "+00:00")) >= sent
        line = self.stderr.wait(is_verdict, seconds, start, "reload's verdict")
        entry = parsed(line)
        assert entry["message"] == verdicts[1 if fails else 0], entry
        return entry

    def reload_altered(self) -> dict:
        """Reloads a configuration that differs in what no test looks at: one that is as it was reloads nothing."""
        assert not any(line.startswith("limits:") for line in self.config_text.splitlines())
        self.alterations += 1
        self.config_path.write_text(f"{self.config_text}\nlimits:\n  request_headers: {100 + self.alterations}\n")
        entry = self.reload()
        assert entry["changed"], entry
        return entry

    # Talking to it

    def address(self, listener: str = "web"):
        if listener == "admin" and self.admin_socket:
            return self.admin_socket
        return ("127.0.0.1", self.ports[listener])

    def connect(self, listener: str = "web", source: str | None = None, **more) -> Connection:
        if "tls" in more or self.tls.get(listener) is not None:
            name = "127.0.0.1" if listener == "admin" else "app.test"
            more = {"server_name": name, "tls": self.context(listener, "http/1.1"), **more}
        return Connection(self.address(listener), source, **more)

    def request(self, method="GET", target="/", headers=(), body: bytes | None = None, listener: str = "web",
                source: str | None = None, **more) -> Response:
        """One request on a connection of its own. The admin listener is asked by its address: it answers to no other name."""
        if listener == "admin":
            more.setdefault("host", f"127.0.0.1:{self.ports['admin']}")
        with self.connect(listener, source) as connection:
            return connection.request(method, target, headers, body, **more)

    def h2(self, listener: str | None = None, **more) -> H2Client:
        """A connection for HTTP/2: to the listener `secure` where there is one, else in clear text to `clear`."""
        name = listener or ("secure" if "secure" in self.configured_ports else "clear")
        if "tls" in more or self.tls.get(name) is not None:
            more = {"server_name": "app.test", "tls": self.context(name, "h2"), **more}
        return H2Client(self.address(name), **more)

    def context(self, listener: str, protocol: str):
        """How a client of one protocol speaks TLS to this listener."""
        known = self.tls.get(listener)
        return client_context(known, (protocol,)) if isinstance(known, str) else known

    def admin(self, method="GET", target="/", json=None, headers=(), body: bytes | str | None = None, token: str | None = None,
              text: bool = False, **more) -> Response:
        """One request to the admin API as a program sends it: `json` or `body` with the Content-Type, and what a write needs.

        With `text`, the answer is asked for in the form for people.
        """
        fields = list(headers.items() if isinstance(headers, dict) else headers)
        named = {name.lower() for name, _ in fields}
        if json is not None:
            body = dumps(json).encode()
        elif isinstance(body, str):
            body = body.encode()
        if token is not None:
            fields.append(("Authorization", f"Bearer {token}"))
        if text:
            fields.append(("Accept", "text/plain"))
        if body is not None and "content-type" not in named:
            fields.append(("Content-Type", "application/json" if json is not None else "application/yaml"))
        elif body is None and method in ("POST", "PUT"):
            fields.append(("X-Sluice-Admin", "1"))
            body = b""
        return self.request(method, target, fields, body, listener="admin", **more)

    def exchange(self, data: bytes, listener: str = "web", timeout: float = 10) -> bytes:
        """Sends these bytes and returns everything until the gateway closes."""
        with self.connect(listener, timeout=timeout) as connection:
            connection.try_send(data)
            return connection.read_to_end()

    def metrics(self) -> Metrics:
        response = self.request("GET", "/metrics", listener="admin", host=f"127.0.0.1:{self.ports['admin']}")
        assert response.status == 200, response
        return Metrics(response.body.decode("utf-8"))

    def access_entries(self) -> list[dict]:
        if not self.access_path.exists():
            return []
        lines = self.access_path.read_text("utf-8").split("\n")[:-1]    # an unfinished line is not there yet
        return [json.loads(line) for line in lines]

    def wait_access(self, count: int = 1, seconds: float = 5, matching=lambda entry: True) -> list[dict]:
        """The access log's entries once there are `count` that match."""
        def enough():
            entries = [entry for entry in self.access_entries() if matching(entry)]
            return entries if len(entries) >= count else None
        return until(enough, seconds, f"{count} access log lines")

    def entry(self, response: Response, seconds: float = 5) -> dict:
        """The access log's entry of this response, by its request id."""
        identifier = response.header("x-request-id")
        assert identifier, f"no X-Request-ID in {response}"
        return self.wait_access(1, seconds, lambda entry: entry.get("request_id") == identifier)[0]

    def log_entries(self, start: int = 0) -> list[dict]:
        return [parsed(line) for line in self.stderr.lines[start:]]

    # Watching it

    @staticmethod
    def accepts(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    @staticmethod
    def serves(port: int) -> bool:
        """Whether a worker takes a connection and ends it with us: what is left open would count among the client's connections."""
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.settimeout(2 * SCALE)
                probe.shutdown(socket.SHUT_WR)
                while probe.recv(4096):
                    pass
            return True
        except OSError:
            return False

    def descriptors(self) -> list[str]:
        found = []
        for entry in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{self.pid}/fd/{entry}"))
            except OSError:
                pass
        return found

    def count_descriptors(self, kind: str = "") -> int:
        return sum(1 for target in self.descriptors() if target.startswith(kind))

    def settled(self) -> bool:
        """Whether two looks at the descriptors, a moment apart, agree: the probing connections are gone."""
        first = self.count_descriptors()
        time.sleep(0.01)
        return first == self.count_descriptors()

    def rss_kib(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def upgrade(self, seconds: float = 15) -> int:
        """Sends SIGUSR2, waits until the new process serves and the old one has gone; from then on this is the new one."""
        start = len(self.stderr.lines)
        self.signal(signal.SIGUSR2)
        verdicts = ("upgrade done; the new process serves", "upgrade failed; this process goes on serving")
        entry = parsed(self.stderr.wait(lambda line: parsed(line).get("message") in verdicts, seconds, start, "the upgrade's verdict"))
        assert entry["message"] == verdicts[0], entry
        self.succeed(entry["new_pid"], seconds)
        return self.pid

    def succeed(self, pid: int, seconds: float = 15):
        """The old process ends well, and this is the new one."""
        assert self.process.wait(seconds * SCALE) == 0
        self.process = Successor(pid)
        self.pid = pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int):
        self.process.send_signal(number)

    @contextmanager
    def stopped(self):
        """It does nothing meanwhile (SIGSTOP), and then finds all that has come at once."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def wait_exit(self, seconds: float = 10) -> int:
        return self.process.wait(seconds * SCALE)

    # Ending it

    def stop(self):
        """Sends SIGTERM and waits. By then every client and backend connection should be closed."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10 * SCALE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.stderr.thread.join(5)

    def check_idle(self):
        """With no client and no backend connected, the daemon holds the descriptors that it started with."""
        if not self.is_running() or not self.check_descriptors:
            return
        allowed = self.sockets_at_start + self.expected_socket_change

        def level():
            return self.count_descriptors("socket:") <= allowed \
                and self.count_descriptors() - self.count_descriptors("socket:") <= self.others_at_start + 4
        try:
            until(level, 5)
        except AssertionError:
            raise AssertionError(
                f"descriptors leaked: {allowed} sockets and {self.others_at_start} others expected, open are "
                f"{sorted(self.descriptors())}") from None

    def finish(self):
        """The checks at the end of every test: no leak, exit code 0, no trace of a trap."""
        if self.finished:
            return
        self.finished = True
        problems = []
        try:
            self.check_idle()
        except AssertionError as error:
            problems.append(str(error))
        self.stop()
        if self.process.returncode != self.expected_exit:
            problems.append(f"exit code {self.process.returncode}, expected {self.expected_exit}")
        marks = [line for line in self.stderr.lines if any(mark in line for mark in CRASH_MARKS)]
        if marks:
            problems.append("signs of a crash: " + "\n".join(marks[:20]))
        assert not problems, "\n".join(problems) + "\nlast lines of stderr:\n" + "\n".join(self.stderr.lines[-15:])
