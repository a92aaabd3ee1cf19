"""Upstream connections: how many, who waits, who is next (hardening 37, 44, 125, 206, 208, 209; behaviour B.1)."""

import threading
import time

import pytest

from conftest import PATIENT
from sluice_harness import Connection, reply, request_bytes, until


class Gate:
    """A backend's handler that answers only when told to."""

    def __init__(self):
        self.tickets = threading.Semaphore(0)
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, request, connection):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.tickets.acquire(timeout=20)
        with self.lock:
            self.running -= 1
        return reply(200, request.target.encode())

    def open(self, count=1):
        self.tickets.release(count)


def send(sluice, target="/") -> Connection:
    client = Connection(sluice.address())
    client.send(request_bytes("GET", target))
    return client


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_max_connections_are_opened_for_the_whole_process(simple, workers):
    """Design: counted per instance for the whole process, not per worker."""
    gate = Gate()
    sluice, server = simple(gate, server={"workers": workers},
        service={"pool": {"max_connections": 3}, "queue": {"timeout": "10s"}})
    clients = [send(sluice, f"/{number}") for number in range(20)]
    server.wait_requests(3)
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 17, 5, "17 wait")
    gate.open(20)
    assert sorted(int(client.read_response().body[1:]) for client in clients) == list(range(20))
    assert gate.most <= 3
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 0, 5, "none waits")
    assert sum(1 for connection in server.connections if connection.ended is None) <= 3
    for client in clients:
        client.close()


def test_a_slot_freed_on_one_worker_wakes_a_request_that_waits_on_another(simple):
    """Design: pool.max_connections counts for the whole process."""
    gate = Gate()
    sluice, server = simple(gate, server={"workers": 4}, service={"pool": {"max_connections": 1}, "queue": {"timeout": "10s"}},
                            limits={"connections_per_client": 4096})
    clients = [send(sluice, f"/{number}") for number in range(16)]
    started = time.monotonic()
    for number in range(16):
        server.wait_requests(number + 1)
        gate.open()
    assert sorted(int(client.read_response().body[1:]) for client in clients) == list(range(16))
    assert time.monotonic() - started < 4 and gate.most == 1
    for client in clients:
        client.close()


def test_a_full_queue_is_503_at_once(simple):
    """Hardening 125; B.8: queue_full."""
    gate = Gate()
    sluice, server = simple(gate, server={"workers": 1}, service={"pool": {"max_connections": 1},
        "queue": {"max_pending": 2, "timeout": "10s"}})
    running = send(sluice, "/running")
    server.wait_requests(1)
    waiting = [send(sluice, f"/waiting{number}") for number in range(2)]
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 2, 5, "two wait")
    started = time.monotonic()
    response = sluice.request("GET", "/refused")
    assert response.status == 503 and time.monotonic() - started < 1
    assert response.json()["error"]["code"] == "SERVICE_UNAVAILABLE" and int(response.header("retry-after")) >= 1
    assert sluice.entry(response)["reason"] == "queue_full"
    gate.open(3)
    assert [client.read_response().status for client in (running, *waiting)] == [200] * 3
    assert "/refused" not in [request.target for request in server.requests]
    for client in (running, *waiting):
        client.close()


def test_a_request_that_waits_too_long_is_503(simple):
    """Hardening 125; B.8: queue_timeout."""
    gate = Gate()
    sluice, server = simple(gate, service={"pool": {"max_connections": 1}, "queue": {"timeout": "300ms"}})
    running = send(sluice, "/running")
    server.wait_requests(1)
    started = time.monotonic()
    response = sluice.request("GET", "/waits")
    assert response.status == 503 and 0.25 < time.monotonic() - started < 2
    entry = sluice.entry(response)
    assert entry["reason"] == "queue_timeout" and entry["queue_ms"] >= 250
    assert int(response.header("retry-after")) >= 1
    gate.open(2)
    assert running.read_response().status == 200
    assert [request.target for request in server.requests] == ["/running"]
    running.close()


def test_a_client_that_leaves_leaves_the_queue(simple):
    """Hardening 125: cancelled clients are removed from the queue."""
    gate = Gate()
    sluice, server = simple(gate, service={"pool": {"max_connections": 1}, "queue": {"timeout": "10s"}})
    running = send(sluice, "/running")
    server.wait_requests(1)
    leaver = send(sluice, "/leaver")
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 1, 5, "one waits")
    stayer = send(sluice, "/stayer")
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 2, 5, "two wait")
    leaver.reset()
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 1, 5, "the leaver has left")
    gate.open(3)
    assert running.read_response().status == 200 and stayer.read_response().body == b"/stayer"
    assert [request.target for request in server.requests] == ["/running", "/stayer"]
    running.close()
    stayer.close()


def test_the_queue_is_served_in_order(simple):
    gate = Gate()
    sluice, server = simple(gate, server={"workers": 1}, service={"pool": {"max_connections": 1}, "queue": {"timeout": "10s"}})
    clients = [send(sluice, "/0")]
    server.wait_requests(1)
    for number in range(1, 8):
        clients.append(send(sluice, f"/{number}"))
        until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == number, 5, "one more waits")
    gate.open(8)
    for client in clients:
        assert client.read_response().status == 200
        client.close()
    assert [request.target for request in server.requests] == [f"/{number}" for number in range(8)]


def test_a_slot_comes_back_after_every_kind_of_end(simple):
    """Hardening 208: decremented exactly once on every exit path."""
    def handler(request, connection):
        kind = request.target[1:]
        if kind == "reset":
            connection.reset()
        elif kind == "garbage":
            return b"garbage\r\n\r\n"
        elif kind == "hang":
            connection.hang()
        elif kind == "cut":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
            connection.close()
        elif kind == "close":
            connection.send(reply(200, b"ok", [("Connection", "close")]))
            connection.close()
        else:
            return reply()
    sluice, server = simple(handler, service={"pool": {"max_connections": 2}, "timeouts": {"response": "500ms"},
        "queue": {"timeout": "10s"}, **PATIENT})
    for round_number in range(3):
        for kind in ("ok", "reset", "garbage", "hang", "cut", "close"):
            for _ in range(3):
                with sluice.connect() as client:
                    client.send(request_bytes("POST", f"/{kind}", body=b"x"))
                    try:
                        client.read_response("POST")
                    except AssertionError:
                        pass
        client = sluice.connect()
        client.send(request_bytes("POST", "/hang", body=b"x"))
        client.reset()
    clients = [sluice.connect() for _ in range(2)]
    for client in clients:
        assert client.request("GET", "/ok").status == 200
        client.close()
    until(lambda: sluice.metrics().sum("sluice_upstream_connections", service="app", state="active") == 0, 5, "no slot is held")


@pytest.mark.seconds(40)
def test_a_backend_that_closes_idle_connections_early_is_never_seen_by_a_get(simple):
    """Hardening 44: keep-alive 1 s, here 50 ms, under a steady rhythm: 0 errors."""
    def script(connection):
        while True:
            try:
                while b"\r\n\r\n" not in connection.buffer:
                    connection.fill(0.05 if connection.requests else 30)
            except TimeoutError:
                connection.close()
                return
            request = connection.read_request()
            if request is None:
                return
            connection.send(reply(200, request.target.encode()))
    sluice, server = simple(script=script)
    failures = []

    def run(number):
        with sluice.connect() as client:
            for index in range(40):
                time.sleep(0.04 + (index % 5) * 0.005)      # about as long as the backend keeps a connection
                response = client.request("GET", f"/{number}/{index}")
                if response.status != 200 or response.body != f"/{number}/{index}".encode():
                    failures.append((index, response))
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and len(server.requests) >= 320


def test_idle_upstream_connections_are_closed_after_their_time(simple):
    """B.1: pool.idle_timeout."""
    sluice, server = simple(service={"pool": {"idle_timeout": "300ms"}})
    started = time.monotonic()
    assert sluice.request().status == 200
    assert server.connections[0].wait_end(5) == "eof" and 0.2 < time.monotonic() - started < 2


def test_an_upstream_connection_serves_its_number_of_requests(simple):
    """B.1: max_requests_per_connection."""
    sluice, server = simple(server={"workers": 1}, service={"pool": {"max_requests_per_connection": 3}})
    with sluice.connect() as client:
        for _ in range(10):
            assert client.request().status == 200
    assert [len(connection.requests) for connection in server.connections] == [3, 3, 3, 1]


@pytest.mark.parametrize("weights,expected", [([2, 1], [40, 20]), ([1, 1, 1], [20, 20, 20]), ([5, 1], [50, 10]),
    ([1, 0], [60, 0])], ids=str)
def test_instances_get_their_share_exactly(gateway, backend, weights, expected):
    """C.1: smooth weighted round robin over static instances; weight 0 takes no new requests."""
    servers = [backend() for _ in weights]
    sluice = gateway(
        server={"workers": 1},
        services={"app": {"instances": [{"url": server.url, "weight": weight} for server, weight in zip(servers, weights)]}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    with sluice.connect() as client:
        for number in range(60):
            assert client.request("GET", f"/{number}").status == 200
    assert [len(server.requests) for server in servers] == expected
    if weights == [2, 1]:
        order = sorted((request.at, index) for index, server in enumerate(servers) for request in server.requests)
        sequence = "".join(str(index) for _, index in order)
        assert "000" not in sequence and "11" not in sequence, "smooth: no bursts"


def test_shares_hold_over_several_workers(gateway, backend):
    """C.1: counters are per process, so that fairness holds."""
    servers = [backend(), backend()]
    sluice = gateway(
        server={"workers": 4}, services={"app": {"instances": [{"url": servers[0].url, "weight": 2}, {"url": servers[1].url}]}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    for _ in range(90):
        assert sluice.request().status == 200
    assert 50 <= len(servers[0].requests) <= 70 and len(servers[0].requests) + len(servers[1].requests) == 90


def test_a_host_name_is_resolved(gateway, backend):
    """Issue: host names are resolved off the workers. 127.0.0.1 is tried though ::1 may come first (hardening 211)."""
    server = backend()
    sluice = gateway(services={"app": {"instances": [{"url": f"http://localhost:{server.port}"}]}},
                     routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    until(lambda: sluice.request().status == 200, 5, "localhost is resolved")
    assert server.requests[-1].header("host") == "app.test"


def test_a_host_name_that_does_not_exist_is_an_error_of_its_service_only(gateway, backend):
    """Hardening 209; B.8: dns_failed."""
    server = backend()
    sluice = gateway(
        services={"none": {"instances": [{"url": "http://no-such-host.invalid:80"}]},
        "app": {"instances": [{"url": server.url}]}},
        routes=[{"name": "none", "match": {"path": "/none"}, "service": "none"},
        {"name": "all", "match": {"path": "/*"}, "service": "app"}])
    assert sluice.request("GET", "/").status == 200
    response = sluice.request("GET", "/none")
    assert response.status in (502, 503)
    assert sluice.entry(response)["reason"] in ("dns_failed", "no_healthy_instance")
    assert sluice.request("GET", "/").status == 200


def test_a_slow_upload_holds_one_slot_and_no_other_request(simple):
    """Hardening 118."""
    sluice, server = simple(service={"pool": {"max_connections": 2}})
    slow = sluice.connect()
    slow.send(b"POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n1")
    server.wait_heads(1)
    with sluice.connect() as client:
        for _ in range(20):
            assert client.request().status == 200
    slow.send(b"234567890")
    assert slow.read_response("POST").status == 200
    slow.close()


def test_idle_connections_of_one_worker_do_not_keep_another_from_the_backend(simple):
    """Design: a slot freed on one worker wakes a request that waits on another."""
    sluice, server = simple(server={"workers": 2}, service={"pool": {"max_connections": 1}, "queue": {"timeout": "2s"}})
    assert [sluice.request("GET", f"/{number}").status for number in range(16)] == [200] * 16


def test_under_load_no_worker_keeps_the_connections_for_itself(simple):
    """Hardening 125, 206."""
    sluice, server = simple(lambda request, connection: reply(200), server={"workers": 2},
        service={"pool": {"max_connections": 2}, "queue": {"timeout": "3s"}}, limits={"connections_per_client": 4096})
    statuses = []

    def ask():
        with sluice.connect() as client:
            for _ in range(20):
                statuses.append(client.request("GET", "/").status)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 800
