"""SIGTERM: nothing new, everything running to its end, exit 0 (hardening 216; behaviour B.11)."""

import signal
import threading
import time

import pytest

from sluice_harness import Connection, Truncated, reply, request_bytes, until


def gated(simple, **blocks):
    """A daemon whose backend answers once the gate is open."""
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply(200, request.target.encode())
    sluice, server = simple(handler, **blocks)
    return sluice, server, gate


def test_an_idle_daemon_exits_at_once(simple):
    sluice, _ = simple()
    started = time.monotonic()
    sluice.signal(signal.SIGTERM)
    assert sluice.wait_exit(5) == 0 and time.monotonic() - started < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_ends_and_the_daemon_exits_with_0(simple, number):
    sluice, server, gate = gated(simple)
    with sluice.connect() as client:
        client.send(request_bytes("GET", "/run"))
        server.wait_requests(1)
        sluice.signal(number)
        until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the listener is closed")
        assert sluice.is_running()
        gate.set()
        response = client.read_response()
        assert (response.status, response.body, response.header("connection")) == (200, b"/run", "close")
        client.expect_closed()
    assert sluice.wait_exit(5) == 0


def test_idle_keep_alive_connections_are_closed(simple):
    sluice, server, gate = gated(simple)
    gate.set()
    with sluice.connect() as idle:
        assert idle.request().status == 200
        sluice.signal(signal.SIGTERM)
        idle.expect_closed(5)
    assert sluice.wait_exit(5) == 0


def test_an_upload_that_runs_is_taken_to_its_end(simple):
    sluice, server = simple(lambda request, connection: reply(200, b"%d" % len(request.body)))
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
        server.wait_heads(1)
        sluice.signal(signal.SIGTERM)
        until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the listener is closed")
        client.send(b"x" * 50000)
        response = client.read_response("POST")
        assert response.body == b"100000" and response.header("connection") == "close"
    assert sluice.wait_exit(5) == 0


def test_a_request_whose_head_has_begun_is_served_too(simple):
    """A client that was writing when the signal came did nothing wrong."""
    sluice, server, gate = gated(simple)
    gate.set()
    with sluice.connect() as client, sluice.connect() as other:
        other.send(request_bytes("GET", "/other"))
        client.send(b"GET /begun HTTP/1.1\r\nHost: app")
        assert other.read_response().status == 200
        sluice.signal(signal.SIGTERM)
        until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the listener is closed")
        client.send(b".test\r\n\r\n")
        response = client.read_response()
        assert response.body == b"/begun" and response.header("connection") == "close"
    assert sluice.wait_exit(5) == 0


def test_ready_says_503_while_draining_and_health_stays_200(simple):
    sluice, server, gate = gated(simple)
    assert sluice.request("GET", "/ready", listener="admin").status == 200
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        sluice.signal(signal.SIGTERM)
        until(lambda: sluice.request("GET", "/ready", listener="admin").status == 503, 5, "/ready turns to 503")
        assert sluice.request("GET", "/health", listener="admin").status == 200
        gate.set()
        assert client.read_response().status == 200
    assert sluice.wait_exit(5) == 0


def test_a_request_that_does_not_end_is_cut_off_at_the_drain_timeout(simple):
    sluice, server, gate = gated(simple, server={"drain_timeout": "1s"})
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        started = time.monotonic()
        sluice.signal(signal.SIGTERM)
        assert sluice.wait_exit(6) == 0
        assert 0.8 < time.monotonic() - started < 3
        with pytest.raises(Truncated):
            client.read_response()
    gate.set()


def test_a_second_sigterm_ends_it_now(simple):
    sluice, server, gate = gated(simple)
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        sluice.signal(signal.SIGTERM)
        until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the listener is closed")
        assert sluice.is_running()
        started = time.monotonic()
        sluice.signal(signal.SIGTERM)
        assert sluice.wait_exit(5) == 0 and time.monotonic() - started < 1.5
    gate.set()


def test_hundreds_of_running_requests_are_all_answered_whole(simple):
    """Hardening 216: kill during long requests, 0 truncated."""
    sluice, server, gate = gated(simple, limits={"connections_per_client": 4096},
                                 service={"pool": {"max_connections": 1000}})
    clients = []
    for number in range(300):
        client = Connection(sluice.address())
        client.send(request_bytes("GET", f"/{number}"))
        clients.append(client)
    server.wait_requests(300, 10)
    sluice.signal(signal.SIGTERM)
    until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the listener is closed")
    gate.set()
    for number, client in enumerate(clients):
        response = client.read_response()
        assert (response.status, response.body, response.header("connection")) == (200, f"/{number}".encode(), "close")
        client.close()
    assert sluice.wait_exit(5) == 0


def test_the_last_log_lines_are_written_before_the_exit(simple):
    sluice, server, gate = gated(simple)
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        sluice.signal(signal.SIGTERM)
        gate.set()
        response = client.read_response()
    assert sluice.wait_exit(5) == 0
    assert [entry["request_id"] for entry in sluice.access_entries()] == [response.header("x-request-id")]


def test_sighup_while_draining_does_not_open_the_doors_again(simple):
    sluice, server, gate = gated(simple)
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        sluice.signal(signal.SIGTERM)
        until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the listener is closed")
        sluice.signal(signal.SIGHUP)
        gate.set()
        assert client.read_response().status == 200
    assert sluice.wait_exit(5) == 0


def test_pipes_and_sockets_that_break_do_not_end_the_process(simple):
    """Hardening 217: SIGPIPE is ignored."""
    sluice, server = simple(lambda request, connection: reply(200, b"x" * 1_000_000))
    sluice.signal(signal.SIGPIPE)
    for _ in range(20):
        client = sluice.connect()
        client.send(request_bytes())
        client.reset()
    assert sluice.request().status == 200
