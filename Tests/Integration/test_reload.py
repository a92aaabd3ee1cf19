"""SIGHUP: the new file serves the next request, running requests end under the old one, a broken file changes nothing
(hardening 212 to 214; behaviour B.12)."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import one_service
from sluice_harness import Connection, Truncated, reply, request_bytes, until
from sluice_harness.process import free_port, parsed
from sluice_harness.states import breaker_state, instance_state


def answering(text: str, **blocks) -> dict:
    return {"routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": text}}], **blocks}


def test_the_next_request_is_served_by_the_new_configuration_also_on_an_open_connection(gateway):
    sluice = gateway(answering("old"))
    with sluice.connect() as client, sluice.connect() as other:
        assert client.request().body == b"old" and other.request().body == b"old"
        pid = sluice.pid
        sluice.reload(answering("new"))
        assert client.request().body == b"new" and other.request().body == b"new"
        assert client.is_open() and sluice.process.pid == pid
    assert sluice.request().body == b"new"


def test_a_running_request_ends_under_the_configuration_that_it_began_with(gateway, backend):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply(200, b"done")
    server = backend(handler)
    version = lambda text: {  # noqa: E731
        "middlewares": {"mark": {"headers": {"response": {"set": {"X-Version": text}}}}},
        "services": {"app": {"instances": [{"url": server.url}]}},
        "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app", "middlewares": ["mark"]}]}
    sluice = gateway(version("one"))
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        sluice.reload(version("two"))
        gate.set()
        response = client.read_response()
        assert (response.body, response.header("x-version")) == (b"done", "one")
        assert client.request().header("x-version") == "two"


def test_a_removed_service_ends_its_running_request_and_takes_no_more(gateway, backend):
    """Hardening 214."""
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply(200, b"last")
    server = backend(handler)
    sluice = gateway(one_service(server))
    with sluice.connect() as client:
        client.send(request_bytes())
        connection = server.wait_requests(1)[0].connection
        sluice.reload(answering("other"))
        assert sluice.request().body == b"other"
        gate.set()
        assert client.read_response().body == b"last"
        assert client.request().body == b"other"
    assert connection.wait_end(5), "the pool of a removed service keeps its connections"


def test_the_pool_of_an_unchanged_service_keeps_its_connections(gateway, backend):
    """Hardening 214; B.12."""
    server = backend()
    config = {"server": {"workers": 1}, "services": {"app": {"instances": [{"url": server.url}]}},
              "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}]}
    sluice = gateway(config)
    with sluice.connect() as client:
        client.request()
        sluice.reload({**config, "routes": [*config["routes"],
            {"name": "x", "match": {"path": "/x"}, "respond": {"status": 200}}]})
        client.request()
    assert len(server.connections) == 1


GOOD_HEAD = """server:
  workers: 2
listeners:
  - name: web
    address: "@web@"
admin:
  address: "@admin@"
access_log:
  output: "@dir@/access.log"
"""

GOOD = GOOD_HEAD + """routes:
  - name: all
    match:
      path: "/*"
    respond:
      body: good
"""

# What follows GOOD_HEAD (9 lines), and the line and column that the message must name.
BROKEN = {
    "unknown key": ("rout:\n  - name: all\n", "10:1"),
    "misspelt key": ("routes:\n  - name: all\n    match: {paht: /x}\n    respond: {}\n", "12:13"),
    "wrong type": ("routes: 7\n", "10:9"),
    "bad duration": ("limits:\n  header_timeout: 5 parsecs\n", "11:19"),
    "dangling service": ("routes:\n  - name: all\n    match: {path: /x}\n    service: none\n", "13:14"),
    "two actions": ("routes:\n  - name: all\n    match: {path: /x}\n    respond: {}\n    health: true\n", "14:5"),
    "duplicate key": ("limits:\n  request_headers: 5\n  request_headers: 6\n", "12:3"),
    "tie": ("routes:\n  - name: a\n    match: {path: /x}\n    respond: {}\n  - name: b\n    match: {path: /x}\n    respond: {}\n", None),
    "same name": ("routes:\n  - name: a\n    match: {path: /x}\n    respond: {}\n  - name: a\n    match: {path: /y}\n    respond: {}\n", None),
    "yaml": ("routes: [\n  {name: all\n", None),
    "tab": ("routes:\n\t- name: all\n", None),
    "missing variable": ("services:\n  app:\n    instances:\n      - url: \"http://${SLUICE_TEST_NOT_SET}:80\"\n", "13:14"),
    "out of range": ("limits:\n  request_headers: 99999999999\n", "11:20"),
    "control byte": ("routes:\n  - name: \"a\\0b\"\n    match: {path: /x}\n    respond: {}\n", "11:11"),
}


def test_a_broken_file_changes_nothing_and_the_log_says_where_and_what(gateway):
    """Hardening 212, 190: all or nothing, with file:line:column."""
    sluice = gateway(GOOD)
    with sluice.connect() as client:
        for name, (text, place) in BROKEN.items():
            start = len(sluice.stderr.lines)
            sluice.reload(GOOD_HEAD + text, fails=True)
            said = "\n".join(sluice.stderr.lines[start:])
            assert re.search(r"sluice\.yaml:\d+:\d+", said), f"{name}: no place in {said}"
            if place:
                assert f"sluice.yaml:{place}" in said, f"{name}: not at {place}: {said}"
            assert client.request().body == b"good", name
        assert client.is_open()
    metrics = sluice.metrics()
    assert metrics.sum("sluice_config_reloads_total", result="error") == len(BROKEN)
    assert metrics.sum("sluice_config_last_reload_successful") == 0
    sluice.reload(GOOD.replace("good", "better"))
    assert sluice.request().body == b"better"
    assert sluice.metrics().sum("sluice_config_last_reload_successful") == 1


def test_a_suggestion_is_made_for_a_misspelt_key(gateway):
    sluice = gateway(GOOD)
    start = len(sluice.stderr.lines)
    sluice.reload(GOOD_HEAD + BROKEN["misspelt key"][0], fails=True)
    assert re.search(r'did you mean .{0,3}path', "\n".join(sluice.stderr.lines[start:]))


def test_a_missing_empty_or_binary_file_changes_nothing(gateway):
    sluice = gateway(GOOD)
    for content in (None, b"", b"\x00\x01\x02\xff", b"%" * 100_000, b"[" * 100_000, b"a: &a [*a]\n",
        "ümläut: [".encode("latin-1")):
        if content is None:
            os.unlink(sluice.config_path)
        else:
            sluice.config_path.write_bytes(content)
        sluice.reload(fails=True)
        assert sluice.request().body == b"good"


def test_an_alias_bomb_is_refused_in_bounded_time_and_memory(gateway):
    """Hardening 190; design: aliases budgeted."""
    sluice = gateway(GOOD)
    before = sluice.rss_kib()
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [
        f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 10)]
    sluice.config_path.write_text("\n".join(lines) + "\n")
    sluice.reload(fails=True, seconds=5)
    assert sluice.rss_kib() - before < 100 * 1024 and sluice.request().body == b"good"


def test_a_listener_is_added_and_removed_without_touching_the_other(gateway):
    """B.12: removed listener closes accept at once and drains."""
    sluice = gateway(answering("x"))
    sluice.ports["second"] = free_port()
    web, second = ({"name": name, "address": f"127.0.0.1:{sluice.ports[name]}"} for name in ("web", "second"))
    with sluice.connect() as client:
        client.request()
        sluice.reload(answering("two", listeners=[web, second]))
        assert client.request().body == b"two"
        with sluice.connect("second") as other:
            assert other.request().body == b"two"
            sluice.reload(answering("one", listeners=[web]))
            until(lambda: not sluice.accepts(sluice.ports["second"]), 5, "the removed listener refuses")
            if other.is_open() and other.try_send(request_bytes()):
                try:
                    response = other.read_response()
                except Truncated:
                    response = None     # it was closed while idle, which is as good
                assert response is None or (response.status, response.header("connection")) == (200, "close")
        assert client.request().body == b"one" and client.is_open()


def test_an_address_that_is_taken_makes_the_reload_fail_as_a_whole(gateway):
    """B.12: partial acceptance is forbidden."""
    sluice = gateway(answering("old"))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = {"name": "taken", "address": f"127.0.0.1:{holder.getsockname()[1]}"}
        web = {"name": "web", "address": f"127.0.0.1:{sluice.ports['web']}"}
        sluice.reload(answering("new", listeners=[web, taken]), fails=True)
        assert sluice.request().body == b"old"
    sluice.reload(answering("newer", listeners=[web]))
    assert sluice.request().body == b"newer"


@pytest.fixture
def refusal():
    """A listener whose address is taken: with it, a reload fails after all else has been made."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield {"name": "taken", "address": f"127.0.0.1:{holder.getsockname()[1]}"}


WEB = {"name": "web", "address": "@web@"}


def test_a_refused_reload_leaves_an_open_breaker_of_a_route_open(gateway, process_backend, refusal):
    """B.12: partial acceptance is forbidden. The refused file gives the route's breaker to another service."""
    failing, other = process_backend("a", status=500), process_backend("b")

    def config(service, *more, **blocks):
        return {"listeners": [WEB, *more], **blocks,
                "services": {"one": {"instances": [{"url": failing.url}]}, "two": {"instances": [{"url": other.url}]}},
                "routes": [{"name": "all", "match": {"path": "/*"}, "service": service,
                            "circuit_breaker": {"failure_threshold": 2, "open_timeout": "60s"}}]}

    def is_open():
        response = sluice.request()
        return response.status == 503 and response.json()["error"]["code"] == "CIRCUIT_OPEN"
    sluice = gateway(config("one"))
    assert [sluice.request().status for _ in range(2)] == [500, 500] and is_open()
    sluice.reload(config("two", refusal), fails=True)
    assert is_open()
    sluice.reload(config("one", limits={"request_headers": 77}))
    assert is_open() and failing.requests == 2 and other.requests == 0
    assert breaker_state(sluice, service="one", route="all") == "open"


def test_an_instance_of_a_refused_reload_is_new_when_a_later_one_names_it(gateway, process_backend, refusal):
    """Its first check may take its time, and requests wait for it, however long ago the refused file was."""
    old, new = process_backend("a"), process_backend("b", health_delay=300)

    def config(server, *more, **service):
        return {"listeners": [WEB, *more], "services": {"app": {"instances": [{"url": server.url}], **service}},
                "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}]}
    check = {"path": "/health", "interval": "30s"}
    sluice = gateway(config(old))
    sluice.reload(config(new, refusal, health_check=check), fails=True)
    over = time.monotonic() + 1.2   # a new instance is waited for 1 s at most
    while time.monotonic() < over:
        assert sluice.request().header("x-backend") == "a"
    assert new.counts()["checks"] == 0 and instance_state(sluice, new) == ""
    sluice.reload(config(new, health_check=check))
    response = sluice.request()
    assert (response.status, response.header("x-backend")) == (200, "b")


def test_drains_and_breakers_outlive_a_reload(gateway, process_backend):
    """B.12; hardening 214."""
    a, b, c = (process_backend(name) for name in "abc")

    def config(*servers, **blocks):
        return {**blocks, "services": {"app": {"instances": [{"url": server.url} for server in servers]},
                                       "other": {"instances": [{"url": a.url}]}},
                "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"},
                           {"name": "own", "match": {"path": "/own"}, "service": "app", "circuit_breaker": {"open_timeout": "60s"}},
                           {"name": "other", "match": {"path": "/other"}, "service": "other"}]}
    sluice = gateway(config(a, b))
    drain = f"/services/app/instances/{b.instance}"
    assert sluice.admin("POST", f"{drain}/drain").status == 200
    assert sluice.admin("POST", "/breakers/other/trip").status == 200
    assert sluice.admin("POST", "/breakers/app/trip?route=own").status == 200
    for number in range(3):
        sluice.reload(config(a, b, *([c] if number else []), limits={"request_headers": 77 + number}))
        with sluice.connect() as client:
            assert {client.request().header("x-backend") for _ in range(12)} == ({"a", "c"} if number else {"a"})
            for path in ("/own", "/other"):
                assert client.request("GET", path).json()["error"]["code"] == "CIRCUIT_OPEN"
    assert b.requests == 0
    assert sluice.admin("POST", f"{drain}/undrain").status == 200
    assert sluice.admin("POST", "/breakers/other/reset").status == 200
    assert sluice.admin("POST", "/breakers/app/reset?route=own").status == 200
    with sluice.connect() as client:
        assert {client.request().header("x-backend") for _ in range(12)} == {"a", "b", "c"}
        assert [client.request("GET", path).status for path in ("/own", "/other")] == [200, 200]


def test_counters_do_not_go_backwards_over_reloads(simple):
    sluice, server = simple()
    config = {"services": {"app": {"instances": [{"url": server.url}]}},
        "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}]}
    last = {}
    for number in range(5):
        for _ in range(10):
            assert sluice.request().status == 200
        now = sluice.metrics().counters()
        fallen = {key: (value, now.get(key)) for key, value in last.items() if now.get(key, -1) < value}
        assert not fallen, fallen
        last = now
        sluice.reload({**config, "limits": {"request_headers": 100 + number}})
    until(lambda: sluice.metrics().sum("sluice_http_requests_total", route="all") == 50, 5, "50 requests counted")
    assert sluice.metrics().sum("sluice_config_reloads_total", result="success") == 5


def test_a_storm_of_signals_is_coalesced_and_the_last_file_wins(gateway):
    """Hardening 213."""
    sluice = gateway(answering("start"))
    for number in range(100):
        sluice.write_config(answering(f"v{number}"))
        sluice.signal(signal.SIGHUP)
    with sluice.connect() as client:
        until(lambda: client.request().body == b"v99", 10, "the last file is served")
    assert sluice.is_running()


class Load:
    """Clients on keep-alive connections that count every request that is not answered as it should be."""

    def __init__(self, sluice, clients: int):
        self.failures: list[str] = []
        self.done = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(sluice, n), daemon=True) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, sluice, number):
        count = 0
        try:
            client = Connection(sluice.address())
            while not self.stopping.is_set():
                count += 1
                tag = f"/{number}-{count}"
                response = client.request("GET", tag)
                if response.status != 200 or response.body != tag.encode():
                    self.failures.append(f"{tag}: {response}")
                self.done += 1
                if response.header("connection") == "close":
                    client.close()
                    client = Connection(sluice.address())
            client.close()
        except Exception as error:
            self.failures.append(f"client {number} after {count}: {error!r}")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)


@pytest.mark.seconds(90)
def test_a_hundred_reloads_under_load_fail_no_request(gateway, backend):
    """Issue: requests failed during 100 reloads under load: 0."""
    server = backend(lambda request, connection: reply(200, request.target.encode()))
    server.record = False

    def config(number):
        return {"limits": {"connections_per_client": 4096, "request_headers": 50 + number % 50},
                "services": {"app": {"instances": [{"url": server.url}]}},
                "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}] +
                          [{"name": f"extra{n}", "match": {"path": f"/extra/{n}"},
                          "respond": {"status": 200}} for n in range(number % 7)]}
    sluice = gateway(config(0))
    load = Load(sluice, 20)
    for number in range(100):
        sluice.reload(config(number + 1))
    load.stop()
    assert load.failures == [] and load.done > 100


@pytest.mark.seconds(90)
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_wrk_sees_no_error_during_reloads(gateway):
    sluice = gateway(answering("x", limits={"connections_per_client": 4096, "requests_per_connection": 1_000_000}))
    wrk = subprocess.Popen(["wrk", "-t1", "-c300", "-d5s", f"http://127.0.0.1:{sluice.ports['web']}/"], stdout=subprocess.PIPE,
        text=True)
    reloads = 0
    while wrk.poll() is None and reloads < 100:
        reloads += 1
        sluice.reload(answering("y" if reloads % 2 else "x", limits={"connections_per_client": 4096,
            "requests_per_connection": 1_000_000}))
    said = wrk.communicate(timeout=20)[0]
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    assert reloads > 5


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_memory_returns_to_its_level_after_many_reloads(gateway):
    """Hardening 213: old snapshots are freed."""
    def config(number):
        return {"routes": [{"name": f"r{n}", "match": {"path": f"/{number}/{n}/*"}, "respond": {"status": 200, "body": "x" * 200}}
                           for n in range(500)]}
    sluice = gateway(config(0))
    for number in range(20):
        sluice.reload(config(number))
    level = sluice.rss_kib()
    for number in range(60):
        sluice.reload(config(number))
    assert sluice.rss_kib() - level < 4096, f"{level} → {sluice.rss_kib()} KiB"


def test_the_log_tells_the_generation(gateway):
    """B.7, B.8: config_generation."""
    sluice = gateway(answering("x"))
    first = sluice.entry(sluice.request())["config_generation"]
    sluice.reload(answering("y"))
    assert sluice.entry(sluice.request())["config_generation"] == first + 1 == sluice.metrics().sum("sluice_config_generation")
    assert all(parsed(line) for line in sluice.stderr.lines), "every line on stderr is one JSON object"
