"""One deadline for each request, over queue, tries and hops (behaviour C.6; hardening 210)."""

import time
from collections import Counter

import pytest

from sluice_harness import reply, request_bytes, until
from sluice_harness.states import breaker_state, changes, instance_state, named, refused
from test_balancing import TRUSTED, before
from test_pool import Gate, send

FIELD = "X-Request-Timeout"


def hang(request, connection):
    connection.hang()


def test_a_request_whose_deadline_passes_in_the_queue_is_504_and_never_sent(gateway, backend):
    """Hardening 210."""
    gate = Gate()
    server = backend(gate)
    config = before([server], pool={"max_connections": 1}, queue={"timeout": "10s"})
    sluice = gateway({"server": TRUSTED, **config})
    first = send(sluice, "/first")
    server.wait_requests(1)
    started = time.monotonic()
    response = sluice.request("GET", "/waits", [(FIELD, "0.6")])
    assert response.status == 504 and 0.5 < time.monotonic() - started < 2
    assert response.json()["error"]["code"] == "UPSTREAM_TIMEOUT"
    gate.open(10)
    assert first.read_response().status == 200
    assert sluice.request("GET", "/next").status == 200, "the connection is free again"
    assert "/waits" not in [request.target for request in server.heads]
    first.close()


def test_the_deadline_holds_for_the_whole_answer(gateway, backend):
    def drip(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while connection.ended is None:
            connection.send(b"x")
            time.sleep(0.02)    # a drip, each one within any idle timeout
    server = backend(drip)
    sluice = gateway(before([server], timeouts={"request": "400ms"}))
    started = time.monotonic()
    with sluice.connect() as client:
        client.send(request_bytes())
        whole = client.read_to_end()
    assert 0.3 < time.monotonic() - started < 2 and len(whole.partition(b"\r\n\r\n")[2]) < 1000
    assert server.wait_heads(1)[0].connection.wait_end(5)


@pytest.mark.parametrize("written,seconds", [("0.3", 0.3), ("300ms", 0.3), ("1", 1.0), ("1s", 1.0), ("0.5s", 0.5)])
def test_a_trusted_peer_shortens_the_deadline(gateway, backend, written, seconds):
    server = backend(hang)
    sluice = gateway({"server": TRUSTED, **before([server], timeouts={"request": "20s", "response": "20s"})})
    started = time.monotonic()
    response = sluice.request("GET", "/", [(FIELD, written)])
    took = time.monotonic() - started
    assert response.status == 504 and seconds - 0.05 < took < seconds + 1, took
    assert server.wait_heads(1)[0].connection.wait_end(5), "and its request is given up"


def test_a_trusted_peer_cannot_lengthen_it(gateway, backend):
    sluice = gateway({"server": TRUSTED, **before([backend(hang)], timeouts={"request": "300ms"})})
    started = time.monotonic()
    assert sluice.request("GET", "/", [(FIELD, "60")]).status == 504 and time.monotonic() - started < 2


@pytest.mark.parametrize("written", ["", "soon", "-1", "1e3", "1,5", "0x10", "9" * 40, "0.3 s", "1s2", "\x80"])
def test_what_is_no_time_changes_nothing(gateway, backend, written):
    server = backend(lambda request, connection: reply(200, b"ok"))
    sluice = gateway({"server": TRUSTED, **before([server], timeouts={"request": "10s"})})
    assert sluice.request("GET", "/", [(FIELD, written)]).status == 200
    assert 9 < float(server.requests[0].header(FIELD)) <= 10


def test_a_stranger_cannot_shorten_it_and_what_it_says_is_not_passed_on(gateway, backend):
    """X-Request-Timeout is understood from trusted peers only."""
    server = backend(lambda request, connection: (time.sleep(0.15), reply())[1])    # longer than the stranger's time
    sluice = gateway(before([server]))
    assert sluice.request("GET", "/", [(FIELD, "0.05")]).status == 200
    assert server.requests[0].header(FIELD) is None
    sluice.reload(before([server], timeouts={"request": "5s"}))
    assert sluice.request("GET", "/", [(FIELD, "0.05")]).status == 200
    assert 4 < float(server.requests[1].header(FIELD)) <= 5


def test_what_is_left_is_sent_on_in_decimal_seconds(gateway, backend):
    server = backend()
    sluice = gateway({"server": TRUSTED, **before([server], timeouts={"request": "5s"})})
    for written, least, most in (("2", 0, 2), ("1500ms", 0, 1.5), (None, 2, 5)):
        assert sluice.request("GET", "/", [(FIELD, written)] if written else []).status == 200
        told = server.requests[-1].header(FIELD)
        assert least < float(told) <= most and told.replace(".", "").isdigit(), told


def test_without_a_deadline_nothing_is_sent_on(gateway, backend):
    server = backend()
    sluice = gateway(before([server]))
    assert sluice.request().status == 200 and server.requests[0].header(FIELD) is None


def test_each_try_is_told_less_than_the_one_before(gateway, backend):
    """Issue: shrinking over queue, tries and hops."""
    servers = [backend(lambda request, connection: reply(503)) for _ in range(3)]
    sluice = gateway({"server": TRUSTED, **before(servers, retry={"retry_on": ["5xx", "timeout"], "per_try_timeout": "5s"},
                                                  timeouts={"request": "9s"}, circuit_breaker={"enabled": False})})
    for server in servers:
        server.handler = lambda request, connection: (time.sleep(0.05), reply(503))[1]  # each try takes some of the time
    assert sluice.request("GET", "/", [(FIELD, "3")]).status == 503
    told = [float(request.header(FIELD)) for request in sorted((server.requests[0] for server in servers), key=lambda one: one.at)]
    assert 3 >= told[0] > told[1] > told[2] > 2, told


def test_the_time_spent_in_the_queue_is_taken_off(gateway, backend):
    gate = Gate()
    server = backend(gate)
    sluice = gateway({"server": TRUSTED, **before([server], pool={"max_connections": 1}, queue={"timeout": "10s"})})
    first = send(sluice, "/first")
    server.wait_requests(1)
    second = sluice.connect()
    second.send(request_bytes("GET", "/second", [(FIELD, "5")]))
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 1, 5, "it waits")
    time.sleep(0.2)     # the time that is taken off
    gate.open(2)
    assert second.read_response().status == 200
    assert 3 < float(server.wait_requests(2)[1].header(FIELD)) <= 4.8
    for client in (first, second):
        client.close()


def test_a_client_that_takes_all_the_time_for_its_body_gets_408_and_nobody_else_is_blamed(process_backend, gateway):
    """C.2: client faults never count."""
    server = process_backend()
    sluice = gateway(before([server], timeouts={"request": "300ms"}, circuit_breaker={"failure_threshold": 1},
                            outlier_detection={"unreachable": 1}, retry={"enabled": False}))
    for _ in range(4):
        with sluice.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nabc")
            response = client.read_response("POST")
            assert response.status == 408 and response.json()["error"]["code"] == "REQUEST_TIMEOUT"
    assert sluice.entry(response)["reason"] == "client_timeout"
    assert sluice.request().status == 200
    assert breaker_state(sluice) == "closed" and instance_state(sluice, server) == "healthy" and changes(sluice) == []


def test_a_backend_that_hangs_is_noticed_although_callers_announce_short_deadlines(gateway, backend):
    """Issue: a hanging instance under traffic is noticed; half a second is a fair time."""
    server = backend(hang)
    sluice = gateway({"server": {**TRUSTED, "workers": 1}, **before([server], circuit_breaker={"failure_threshold": 3})})
    clients = [sluice.connect() for _ in range(6)]
    for client in clients:
        client.send(request_bytes("GET", "/", [(FIELD, "2")]))
    assert [client.read_response().status for client in clients] == [504] * 6
    refused(sluice.request(), "CIRCUIT_OPEN", "circuit_open", sluice)
    assert breaker_state(sluice) == "open" and instance_state(sluice, server) == "failed"
    for client in clients:
        client.close()


def test_deadlines_shorter_than_a_fair_time_blame_nobody(gateway, backend):
    """A caller in a hurry must not take a backend out."""
    server = backend(hang)
    sluice = gateway({"server": TRUSTED, **before([server], circuit_breaker={"failure_threshold": 3})})
    with sluice.connect() as client:
        assert [client.request("GET", "/", [(FIELD, "0.05")]).status for _ in range(10)] == [504] * 10
    assert breaker_state(sluice) == "closed" and instance_state(sluice, server) == "healthy" and changes(sluice) == []


def test_a_retry_that_begins_shortly_before_the_deadline_blames_nobody(gateway, backend):
    """The second instance has 400 ms of the 2.2 s."""
    slow = backend(hang)
    second = backend(lambda request, connection: connection.hang() if request.header("x-sluice-retry") else reply())
    sluice = gateway({"server": {"workers": 1}, **before(
        [slow, second], circuit_breaker={"failure_threshold": 100}, pool={"max_connections": 50},
        timeouts={"response": "1800ms", "request": "2200ms"}, retry={"retry_on": ["timeout"], "backoff": "1ms", "budget": "100%"})})
    clients = [sluice.connect() for _ in range(12)]
    for client in clients:
        client.send(request_bytes())
    statuses = Counter(client.read_response().status for client in clients)
    assert statuses == {200: 6, 504: 6}
    until(lambda: len([request for request in second.heads if request.header("x-sluice-retry")]) == 6, 5, "six retries")
    assert instance_state(sluice, slow) == "failed" and instance_state(sluice, second) == "healthy"
    assert changes(sluice, instance=named(second)) == []
    for client in clients:
        client.close()


def test_when_the_client_leaves_its_request_at_the_backend_is_given_up(gateway, backend):
    """Issue: the backend's request is cancelled when the client leaves."""
    server = backend(hang)
    sluice = gateway(before([server]))
    for method in ("GET", "POST"):
        with sluice.connect() as client:
            client.send(request_bytes(method, "/", body=b"x" if method == "POST" else None))
            count = len(server.heads)
            server.wait_heads(count if server.heads and server.heads[-1].method == method else count + 1)
            client.reset()
        assert server.heads[-1].connection.wait_end(5)
    assert [entry["reason"] for entry in sluice.wait_access(2)] == ["client_closed"] * 2
    until(lambda: sluice.metrics().sum("sluice_upstream_connections", service="app", state="active") == 0, 5, "none is in flight")
