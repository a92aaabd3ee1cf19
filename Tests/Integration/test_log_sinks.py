"""Where the two logs go, and what becomes of them when that fails (behaviour B.8; hardening 184 to 186; RFC 5424, 6587)."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import one_service
from sluice_harness import request_bytes, until
from sluice_harness.process import free_port, parsed
from sluice_harness.waiting import deadline

HEADER = re.compile(rb"^<(\d{1,3})>1 (20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) "
                    rb"(\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) - (.*)$", re.S)
SEVERITY = {"error": 3, "warn": 4, "info": 6, "debug": 7}
ROUTES = [{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": "x"}}]


def message(data: bytes) -> dict:
    """One syslog message: the object that it carries, its header checked (RFC 5424 §6)."""
    match = HEADER.match(data)
    assert match, data
    priority, _, host, name, process, kind, text = match.groups()
    value = json.loads(text)
    assert name == b"sluice" and host != b"" and 0 <= int(priority) <= 191
    value["_severity"], value["_facility"], value["_process"], value["_kind"] = int(priority) % 8, int(priority) // 8, process, kind
    return value


class Receiver:
    """A collector: each message by its framing, kept in order. One that does not read takes connections and nothing else."""

    def __init__(self, kind: str, path: str | None = None, port: int = 0, reads: bool = True, host="127.0.0.1"):
        self.kind, self.reads = kind, reads
        self.messages: list[bytes] = []
        self.changed = threading.Condition()
        self.connections: list[socket.socket] = []
        self.stopped = False
        family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET6 if ":" in host else socket.AF_INET
        self.is_stream = kind in ("tcp", "unix-stream")
        self.socket = socket.socket(family, socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM)
        self.path = path
        if path:
            if os.path.exists(path):
                os.unlink(path)
            self.socket.bind(path)
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((host, port))
            self.port = self.socket.getsockname()[1]
        if self.is_stream:
            if not reads:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.socket.listen(8)
        self.thread = threading.Thread(target=self.accept if self.is_stream else self.receive, daemon=True)
        self.thread.start()

    @property
    def url(self):
        if self.path:
            return f"syslog+unix:{self.path}"
        return f"syslog+{self.kind}://127.0.0.1:{self.port}"

    def keep(self, data: bytes):
        with self.changed:
            self.messages.append(data)
            self.changed.notify_all()

    def receive(self):
        while self.reads:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if self.stopped:
                return
            self.keep(data)

    def accept(self):
        while True:
            try:
                connected, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connected)
            if self.reads:
                threading.Thread(target=self.read, args=(connected,), daemon=True).start()

    def read(self, connected):
        buffer = b""
        while True:
            try:
                data = connected.recv(65536)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while True:
                if self.kind == "unix-stream":
                    line, found, rest = buffer.partition(b"\n")
                    if not found:
                        break
                    self.keep(line)
                    buffer = rest
                    continue
                digits, found, rest = buffer.partition(b" ")        # RFC 6587 §3.4.1
                if not found:
                    break
                assert re.fullmatch(rb"[1-9][0-9]{0,6}", digits), buffer[:100]
                if len(rest) < int(digits):
                    break
                self.keep(rest[:int(digits)])
                buffer = rest[int(digits):]

    def wait(self, matches, seconds: float = 10) -> list[dict]:
        """All messages so far, once one of them matches."""
        end = deadline(seconds)
        with self.changed:
            while True:
                entries = [message(data) for data in self.messages]
                if any(matches(entry) for entry in entries):
                    return entries
                left = end - time.monotonic()
                assert left > 0, f"no such message; last of {len(entries)}: {entries[-5:]}"
                self.changed.wait(left)

    def wait_path(self, path, seconds: float = 10) -> dict:
        return [entry for entry in self.wait(lambda entry: entry.get("path") == path, seconds) if entry.get("path") == path][0]

    def stop(self):
        self.stopped = True
        for opened in [*self.connections, self.socket]:
            try:
                opened.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            opened.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)


@pytest.fixture
def receiver(tmp_path):
    """Makes collectors, and ends them."""
    made = []

    def make(kind, **more):
        if kind.startswith("unix"):
            more.setdefault("path", str(tmp_path / "log.sock"))
        made.append(Receiver(kind, **more))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def started(sluice, *listeners):
    """A daemon whose own log goes elsewhere is ready when it accepts."""
    sluice.check_descriptors = False
    for name in listeners or ("web", "admin"):
        until(lambda: sluice.accepts(sluice.ports[name]), 10, f"{name} accepts")
    return sluice


def dropped(sluice) -> float:
    return sluice.metrics().sum("sluice_log_dropped_total")


# Sinks


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix-datagram", "unix-stream"])
def test_access_lines_come_as_syslog_messages(simple, receiver, kind):
    """RFC 5424; RFC 5426 one datagram a line, RFC 6587 octet counts."""
    collector = receiver(kind)
    sluice, _ = simple(access_log={"output": collector.url})
    for number in range(20):
        sluice.request("GET", f"/{number}?token=PLANTED", [("User-Agent", "a\u00fc\"\\")])
    until(lambda: len(collector.messages) >= 20, 5, "20 lines")
    entries = [message(data) for data in collector.messages]
    assert [entry["path"] for entry in entries] == [f"/{number}" for number in range(20)] or \
        sorted(entry["path"] for entry in entries) == sorted(f"/{number}" for number in range(20))
    assert all(entry["type"] == "access" and entry["status"] == 200 and entry["query"] == "token=***" for entry in entries)
    assert {entry["_severity"] for entry in entries} == {6} and len({entry["_facility"] for entry in entries}) == 1
    assert {entry["_process"] for entry in entries} == {str(sluice.pid).encode()}
    assert not [data for data in collector.messages if b"PLANTED" in data or b"\n" in data]


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix-datagram", "unix-stream"])
def test_messages_of_the_daemon_come_as_syslog_messages_with_their_severity(gateway, receiver, kind):
    collector = receiver(kind)
    sluice = started(gateway(routes=ROUTES, server={"log_output": collector.url}, wait_ready=False))
    collector.wait(lambda entry: entry["message"] == "ready")
    sluice.exchange(b"BAD\r\n\r\n")
    sluice.config_path.write_text("nonsense: 1\n")
    sluice.signal(signal.SIGHUP)
    entries = collector.wait(lambda entry: entry["message"] == "reload failed")
    assert all(entry["type"] == "log" and entry["_severity"] == SEVERITY[entry["level"]] for entry in entries)
    assert {entry["level"] for entry in entries} >= {"info", "error"}
    sluice.signal(signal.SIGTERM)
    assert sluice.wait_exit() == 0
    collector.wait(lambda entry: entry["message"] == "stopped")
    assert not [line for line in sluice.stderr.lines if '"ready"' in line], "and not to standard error"


def test_both_logs_may_go_to_one_receiver(gateway, receiver):
    collector = receiver("tcp")
    sluice = started(gateway(routes=ROUTES, server={"log_output": collector.url}, access_log={"output": collector.url},
                             wait_ready=False))
    sluice.request("GET", "/one")
    collector.wait_path("/one")
    entries = collector.wait(lambda entry: entry.get("message") == "ready")
    assert {entry["type"] for entry in entries} == {"log", "access"}
    kinds = {(entry["type"], entry["_kind"]) for entry in entries}
    assert len(kinds) == 2, "the message id tells them apart"


@pytest.mark.parametrize("output", ["stdout", "file"])
def test_messages_of_the_daemon_go_to_standard_output_or_a_file(gateway, tmp_path, output):
    path = tmp_path / "daemon.log"
    sluice = started(gateway(routes=ROUTES, server={"log_output": str(path) if output == "file" else "stdout"}, wait_ready=False))
    if output == "stdout":
        sluice.stdout.wait(lambda line: parsed(line).get("message") == "ready", 5)
    else:
        until(lambda: '"ready"' in path.read_text(), 5, "the line")
        assert path.stat().st_mode & 0o007 == 0, "not for everybody"
    assert sluice.stderr.lines == []


def test_a_journal_that_is_there_gets_the_lines(gateway):
    if not os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("no journal here")
    sluice = started(gateway(routes=ROUTES, server={"log_output": "journald"}, access_log={"output": "journald"},
                             wait_ready=False))
    identifier = sluice.request("GET", "/journal").header("x-request-id")

    def found():
        said = subprocess.run(["journalctl", "--output=json", f"REQUEST_ID={identifier}"], capture_output=True, text=True,
                              timeout=10)
        return identifier in said.stdout
    until(found, 10, "in the journal")


def test_a_combined_line_comes_over_syslog_as_well(gateway, receiver):
    collector = receiver("udp")
    sluice = gateway(routes=ROUTES, access_log={"output": collector.url, "format": "combined"})
    sluice.request("GET", "/one")
    until(lambda: collector.messages, 5)
    match = HEADER.match(collector.messages[0])
    assert match and b'"GET /one HTTP/1.1" 200' in match.group(7)


def test_a_line_longer_than_a_datagram_may_be_is_cut_and_not_lost(simple, receiver):
    collector = receiver("udp")
    sluice, _ = simple(access_log={"output": collector.url, "request_headers": [f"X-{n}" for n in range(64)]})
    # Each byte takes six in JSON.
    sluice.request("GET", "/long", [(f"X-{n}", "\xff" * 250) for n in range(40)])
    until(lambda: any(b"/long" in data for data in collector.messages), 5, "the line")
    assert all(len(data) <= 8192 and HEADER.match(data) for data in collector.messages)


# Receivers that go


@pytest.mark.parametrize("kind", ["tcp", "unix-stream", "unix-datagram", "udp"])
def test_a_receiver_that_restarts_gets_lines_again(simple, receiver, tmp_path, kind):
    first = receiver(kind)
    sluice, _ = simple(access_log={"output": first.url})
    sluice.request("GET", "/before")
    first.wait_path("/before")
    first.stop()
    for number in range(50):
        assert sluice.request("GET", f"/while-{number}").status == 200
    second = receiver(kind, **({} if first.path else {"port": first.port}))

    def again():
        assert sluice.request("GET", "/after").status == 200
        return any(b'"/after"' in data for data in second.messages)
    until(again, 20, "lines come again")
    assert all(message(data) for data in second.messages)
    if kind != "udp":
        kept = {message(data)["path"] for data in second.messages}
        lost = dropped(sluice)
        came = sum(path.startswith("/while-") for path in kept)
        assert came >= 50 - lost - 25, "most were kept for it; the rest was counted, or in flight"


def test_a_receiver_that_is_not_there_at_the_start_is_waited_for(gateway, receiver):
    port = free_port()
    sluice = started(gateway(routes=ROUTES, access_log={"output": f"syslog+tcp://127.0.0.1:{port}"},
                             server={"log_output": f"syslog+tcp://127.0.0.1:{port}"}, wait_ready=False))
    assert sluice.request("GET", "/early").status == 200
    collector = receiver("tcp", port=port)
    collector.wait_path("/early", 20)
    collector.wait(lambda entry: entry.get("message") == "ready", 20)


@pytest.mark.seconds(90)
@pytest.mark.parametrize("kind", ["tcp", "unix-stream"])
def test_a_receiver_that_never_reads_holds_no_request_up_and_what_is_lost_is_counted(simple, receiver, kind):
    """Hardening 186: bounded, never blocking, counted."""
    collector = receiver(kind, reads=False)
    sluice, _ = simple(access_log={"output": collector.url, "request_headers": ["X-Long"]},
                       limits={"requests_per_connection": 1000000})
    before = sluice.rss_kib()
    head = request_bytes("GET", "/" + "p" * 900, [("X-Long", "\xff" * 250), ("User-Agent", "\xff" * 250),
                                                  ("Referer", "\xff" * 250)])
    done = []

    def load():
        with sluice.connect(timeout=30) as client:
            for _ in range(200):
                client.send(head * 25)
                for _ in range(25):
                    assert client.read_response().status == 200
            done.append(True)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4, "20,000 requests were answered"
    until(lambda: dropped(sluice) > 0, 5, "lines are dropped and counted")
    assert sluice.rss_kib() - before < 64 * 1024, "what waits is bounded"
    with sluice.connect() as client:
        assert client.request("GET", "/still").status == 200
    sluice.signal(signal.SIGTERM)
    assert sluice.wait_exit(20) == 0, "and it stops as asked"


def test_the_drops_are_reported_once_there_is_room_again(simple, receiver):
    collector = receiver("unix-stream", reads=False)
    sluice, _ = simple(access_log={"output": collector.url, "request_headers": ["X-Long"]},
                       limits={"requests_per_connection": 1000000})
    head = request_bytes("GET", "/" + "p" * 900, [("X-Long", "\xff" * 250), ("User-Agent", "\xff" * 250),
                                                  ("Referer", "\xff" * 250)])
    with sluice.connect(timeout=30) as client:
        while dropped(sluice) == 0:
            client.send(head * 500)
            for _ in range(500):
                assert client.read_response().status == 200
    lost = dropped(sluice)
    collector.reads = True
    for connected in collector.connections:
        threading.Thread(target=collector.read, args=(connected,), daemon=True).start()

    def again():
        assert sluice.request("GET", "/after").status == 200
        return any(b'"/after"' in data for data in collector.messages)
    until(again, 20, "lines come again")
    sluice.stderr.wait(lambda line: parsed(line).get("level") in ("warn", "info") and "lost" in line, 10)
    assert dropped(sluice) >= lost and all(message(data) for data in collector.messages)


# Full disks


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    # What the daemon still holds open keeps it busy: it goes when that ends.
    subprocess.run(["umount", "--lazy", str(place)], capture_output=True)


def fill(place):
    """Fills the file system to its last byte."""
    with open(place / "ballast", "ab", buffering=0) as file:
        try:
            for size in (65536, 4096, 1):
                while True:
                    try:
                        file.write(b"#" * size)
                    except OSError:
                        break
        except OSError:
            pass


@pytest.mark.seconds(60)
def test_a_full_disk_costs_lines_and_no_request_and_is_recovered_from(simple, small_disk):
    """Hardening 186: tmpfs 1 MB."""
    log = small_disk / "access.log"
    sluice, _ = simple(access_log={"output": str(log)})
    sluice.request("GET", "/before")
    until(lambda: '"/before"' in log.read_text(), 5, "the first line")
    fill(small_disk)

    def lose():
        with sluice.connect() as client:
            for _ in range(100):
                assert client.request("GET", "/while-full").status == 200
        return dropped(sluice) > 0
    until(lose, 20, "drops are counted")
    sluice.stderr.wait(lambda line: parsed(line).get("message") == "log cannot be written", 5)
    said = [line for line in sluice.stderr.lines if parsed(line).get("message") == "log cannot be written"]
    assert len(said) == 1, "it is said once"
    (small_disk / "ballast").unlink()

    def again():
        assert sluice.request("GET", "/after").status == 200
        return '"/after"' in log.read_text()
    until(again, 10, "lines are written again")

    def told():
        assert sluice.request("GET", "/more").status == 200
        return [line for line in sluice.stderr.lines if parsed(line).get("message") == "log is written again"]
    until(told, 10, "and it is said")
    lines = log.read_text().split("\n")
    assert lines[-1] == "" and all(json.loads(line) for line in lines[:-1]), "no line is torn"


@pytest.mark.seconds(60)
def test_a_full_disk_under_the_log_of_the_daemon_is_survived(gateway, small_disk):
    log = small_disk / "daemon.log"
    sluice = started(gateway(routes=ROUTES, server={"log_output": str(log)}, wait_ready=False))
    until(lambda: '"ready"' in log.read_text(), 5)
    fill(small_disk)
    for number in range(50):
        sluice.exchange(b"BAD%d\r\n\r\n" % number)
        sluice.write_config({"routes": [{**ROUTES[0], "respond": {"status": 200, "body": f"b{number}"}}],
                             "server": {"log_output": str(log)}})
        assert sluice.admin("POST", "/config/reload").json()["result"] == "applied"
        assert sluice.request("GET", "/").body == f"b{number}".encode()
    until(lambda: dropped(sluice) > 0, 5, "counted")
    (small_disk / "ballast").unlink()

    def again():
        sluice.signal(signal.SIGUSR1)
        return "log files reopened" in log.read_text()
    until(again, 10, "lines are written again")
    assert all(json.loads(line) for line in log.read_text().split("\n")[:-1])


# Rotation


def test_both_log_files_are_opened_again_on_sigusr1_and_no_line_is_lost(gateway, backend):
    server = backend()
    sluice = gateway({**one_service(server), "server": {"log_output": "@dir@/daemon.log"}}, wait_ready=False)
    started(sluice)
    directory = sluice.directory
    access, daemon = sluice.access_path, directory / "daemon.log"
    until(lambda: daemon.exists() and '"ready"' in daemon.read_text(), 5)
    stop, sent = threading.Event(), []

    def load():
        with sluice.connect() as client:
            number = 0
            while not stop.is_set():
                assert client.request("GET", f"/{number}").status == 200
                sent.append(number)
                number += 1
    thread = threading.Thread(target=load)
    thread.start()
    try:
        for rotation in range(5):
            seen = len(sent)
            os.rename(access, directory / f"access.log.{rotation}")
            os.rename(daemon, directory / f"daemon.log.{rotation}")
            sluice.signal(signal.SIGUSR1)
            until(lambda: access.exists() and daemon.exists() and "log files reopened" in daemon.read_text(), 5, "new files")
            until(lambda: len(sent) > seen + 50, 5, "more requests")
    finally:
        stop.set()
        thread.join()

    def lines():
        paths = []
        for path in directory.glob("access.log*"):
            paths += [json.loads(line)["path"] for line in path.read_text().split("\n")[:-1]]
        return len(paths) == len(sent) and paths
    paths = until(lines, 5, "every request has its line")
    assert sorted(paths) == sorted(f"/{number}" for number in sent) and dropped(sluice) == 0
    daemons = [json.loads(line) for path in directory.glob("daemon.log*") for line in path.read_text().split("\n")[:-1]]
    assert sum(entry["message"] == "log files reopened" for entry in daemons) == 5


def test_a_file_that_cannot_be_opened_again_leaves_the_old_one_in_use(gateway):
    sluice = gateway(routes=ROUTES)
    sluice.request("GET", "/before")
    sluice.wait_access(1)
    moved = sluice.directory / "moved.log"
    os.rename(sluice.access_path, moved)
    sluice.access_path.mkdir()
    start = len(sluice.stderr.lines)
    sluice.signal(signal.SIGUSR1)
    sluice.stderr.wait(lambda line: parsed(line).get("message") == "log cannot be written", 5, start)
    sluice.request("GET", "/after")
    until(lambda: '"/after"' in moved.read_text(), 5, "the old file is written on")


def test_a_reload_moves_the_logs_and_nothing_is_lost(gateway, receiver):
    collector = receiver("tcp")
    sluice = gateway(routes=ROUTES)
    with sluice.connect() as client:
        for number in range(100):
            client.request("GET", f"/old-{number}")
        sluice.write_config({"routes": ROUTES, "access_log": {"output": collector.url}, "server": {"log_output": collector.url}})
        assert sluice.admin("POST", "/config/reload").json()["result"] == "applied"
        sluice.expected_socket_change = 2
        for number in range(100):
            client.request("GET", f"/new-{number}")
    collector.wait_path("/new-99")
    sluice.wait_access(100)
    assert [entry["path"] for entry in sluice.access_entries()] == [f"/old-{number}" for number in range(100)]
    collector.wait(lambda entry: entry.get("message") == "reloaded")


def test_a_log_that_cannot_be_opened_refuses_the_configuration(gateway):
    sluice = gateway(routes=ROUTES)
    for block in ({"access_log": {"output": "/nonexistent/a.log"}}, {"server": {"log_output": "/nonexistent/a.log"}},
                  {"access_log": {"output": "/"}}):
        sluice.write_config({"routes": ROUTES, **block})
        response = sluice.admin("POST", "/config/reload")
        assert response.status == 422, response
        assert response.json()["error"]["details"]["problems"][0]["line"] > 1, "it says where in the file"
    assert sluice.request("GET", "/").status == 200


# Content


def test_repeats_are_collapsed_into_one_line_with_their_number(gateway):
    """B.8: "seen 314 times in 10 s"."""
    sluice = gateway(routes=ROUTES)
    sluice.config_path.write_text(sluice.config_text + "store: {url: \"redis://127.0.0.1:1\"}\n")
    start = len(sluice.stderr.lines)
    for number in range(30):
        assert sluice.admin("POST", "/config/reload").status == 200
    sluice.stop()
    warnings = [entry for entry in sluice.log_entries(start) if entry.get("message") == "configuration"]
    assert len(warnings) == 2, warnings
    assert "repeated" not in warnings[0] and warnings[1]["repeated"] == 29
    assert {key: value for key, value in warnings[1].items() if key not in ("time", "repeated")} \
        == {key: value for key, value in warnings[0].items() if key != "time"}


def test_listed_headers_are_shown_and_those_with_secrets_masked(simple):
    sluice, _ = simple(access_log={"request_headers": ["Accept-Language", "Authorization", "X-Multi", "X-Missing", "X-Private",
                                                       "Cookie"],
                                   "redact": ["X-Private", "colour"], "output": "@dir@/access.log"})
    response = sluice.request("GET", "/?colour=PLANTED-1&COLOUR=PLANTED-2&size=9&token=PLANTED-3&c%6flour=PLANTED-4", [
        ("Accept-Language", "de"), ("Authorization", "Bearer PLANTED-5"), ("X-Multi", "a"), ("x-multi", "b"),
        ("X-Private", "PLANTED-6"),
        ("Cookie", "sid=PLANTED-7"), ("X-Other", "PLANTED-8"), ("Referer", "http://u:PLANTED-9@a.test/?colour=PLANTED-10&x=1")])
    entry = sluice.entry(response)
    headers = {name.lower(): value for name, value in entry["headers"].items()}
    assert headers == {"accept-language": "de", "authorization": "***", "x-multi": "a, b", "x-missing": None, "x-private": "***",
                       "cookie": "***"}
    assert "size=9" in entry["query"] and entry["query"].count("***") == 4 and "x=1" in entry["referer"]
    assert "PLANTED" not in sluice.access_path.read_text()


def test_without_a_list_no_header_is_shown(simple):
    sluice, _ = simple()
    entry = sluice.entry(sluice.request("GET", "/", [("X-Any", "PLANTED"), ("Accept-Language", "de")]))
    assert "headers" not in entry and "PLANTED" not in json.dumps(entry)


SECRETS = ["token", "access_token", "api_key", "apikey", "password", "passwd", "secret", "client_secret", "sig", "signature",
           "code",
           "jwt", "session", "authorization", "X-Amz-Signature", "X-Amz-Credential", "id_token", "refresh_token"]


@pytest.mark.parametrize("output", ["json", "combined"])
def test_secrets_in_queries_and_referers_are_in_no_line(simple, output):
    """Hardening 185."""
    sluice, _ = simple(access_log={"output": "@dir@/access.log", "format": output})
    with sluice.connect() as client:
        for name in SECRETS:
            for form in (name, name.upper(), name.replace("_", "%5F"), f"%{ord(name[0]):02x}{name[1:]}"):
                for separator in ("&", ";", "&&", "?"):
                    query = f"a=1{separator}{form}=PLANTED&b=2"
                    assert client.request("GET", f"/s?{query}",
                                          [("Referer", f"http://a.test/x?{query}#{form}=PLANTED")]).status == 200
        assert client.request("GET", "/end").status == 200
    until(lambda: "/end" in sluice.access_path.read_text(), 5)
    leaks = [line for line in sluice.access_path.read_text().split("\n") if "PLANTED" in line]
    assert not leaks, leaks[:3]


def test_refused_requests_leave_no_secret_in_the_log_of_the_daemon(simple):
    """Hardening 185: also at debug."""
    sluice, _ = simple(server={"log_level": "debug"})
    for attack in (b"GET /?token=PLANTED HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer PLANTED\r\nBad Header: PLANTED\r\n\r\n",
                   b"GET /a?x=PLANTED HTTP/1.1\r\nHost: a\r\nCookie: PLANTED\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                   b"GET http://u:PLANTED@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
                   b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz PLANTED\r\n",
                   b"Authorization: Bearer PLANTED\r\n\r\n"):
        start = len(sluice.stderr.lines)
        until(lambda: (sluice.exchange(attack + b"\r\n"), any(parsed(line).get("message") == "request refused"
                                                          for line in sluice.stderr.lines[start:]))[1] or True, 5)
    sluice.stop()
    assert not [line for line in sluice.stderr.lines if "PLANTED" in line]


def test_each_line_is_an_object_whatever_bytes_come_in_every_field(simple):
    """Hardening 184: CR, LF, ESC, quotes, invalid UTF-8, U+2028."""
    sluice, _ = simple(access_log={"output": "@dir@/access.log", "request_headers": ["X-Any", "Accept"]})
    dice = random.Random(184)
    alphabet = [bytes([n]) for n in range(0x21, 0x7f)] + [bytes([n]) for n in range(0x80, 0x100)] + [b"\t", b"\"", b"\\",
        "\u2028".encode(),
               "\u0085".encode(), "\U0001f600".encode(), b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"{", b"}"]
    sent = 0
    with sluice.connect() as client:
        for number in range(600):
            def noise(count):
                return b"".join(dice.choice(alphabet) for _ in range(dice.randint(1, count)))
            path = re.sub(rb"[^\x21-\x7e]|[#?%\\/.]", b"", noise(40))
            query = re.sub(rb"[^\x21-\x7e]|#", b"", noise(40))
            head = b"GET /%d/%s?%s HTTP/1.1\r\nHost: app.test\r\n" % (number, path, query)
            for name in (b"User-Agent", b"Referer", b"X-Any", b"Accept", b"X-Any"):
                head += b"%s: %s\r\n" % (name, noise(300 if number % 50 == 0 else 30).strip(b" \t") or b"x")
            client.send(head + b"\r\n")
            response = client.read_response()
            sent += 1
            if response.header("connection") == "close":
                break
    assert sent > 100
    sluice.wait_access(sent)
    raw = sluice.access_path.read_bytes()
    lines = raw.split(b"\n")
    assert lines[-1] == b"" and len(lines) == sent + 1
    raw.decode("utf-8")
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw) and "\u2028".encode() not in raw and "\u0085".encode() not in raw
    assert all(set(json.loads(line)) >= {"time", "path", "query", "user_agent", "referer", "headers"} for line in lines[:-1])


@pytest.mark.parametrize("output", ["syslog+udp://", "syslog+udp://a b", "syslog+tcp://127.0.0.1:0",
                                    "syslog+tcp://127.0.0.1:70000",
                                    "syslog+unix:relative", "syslog+unix:/" + "x" * 108, "relative.log", "syslog://a", "journal",
                                    "none of them",
                                    "syslog+tcp://user:PLANTED@a"])
def test_an_output_that_is_none_is_refused(gateway, output):
    sluice = gateway(routes=ROUTES)
    for block in ({"access_log": {"output": output}}, {"server": {"log_output": output}}):
        found = sluice.admin("POST", "/config/validate", json={
            "listeners": [{"name": "web", "address": "127.0.0.1:1"}], "routes": [], **block}).json()
        assert found["valid"] is False and "PLANTED" not in json.dumps(found), found
