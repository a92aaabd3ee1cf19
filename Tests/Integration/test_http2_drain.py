"""The end of HTTP/2 connections that nobody notices: GOAWAY on SIGTERM and reload, and no request that fails (hardening 97)."""

import signal
import threading

import pytest

from conftest import both_listeners, clear_listener, h2_gateway, proxied
from sluice_harness import H2Client, reply, until
from sluice_harness import frames as f


@pytest.fixture(params=["h1", "h2"])
def gated(world, request):
    """A daemon whose backend answers `/run…` once the gate is open."""
    gate = threading.Event()
    if request.param == "h1":
        def handler(asked, connection):
            if asked.target.startswith("/run"):
                gate.wait(20)
            return reply(200, asked.target.encode())
        server = world.backend(handler)
    else:
        def handler(stream):
            stream.read_body()
            if stream.target.startswith("/run"):
                gate.wait(20)
            stream.reply(200, stream.target.encode())
        server = world.h2_backend(handler)

    def seen(count):
        return server.wait_streams(count) if request.param == "h2" else server.wait_heads(count)
    yield h2_gateway(world, server), seen, gate
    gate.set()


def test_sigterm_sends_goaway_and_lets_the_streams_that_run_come_to_their_end(gated):
    sluice, seen, gate = gated
    with sluice.h2() as client:
        streams = [client.start("GET", f"/run/{number}") for number in range(10)]
        seen(10)
        sluice.signal(signal.SIGTERM)
        assert client.wait_goaway().error_code == f.NO_ERROR
        assert sluice.is_running()
        gate.set()
        for number, stream in enumerate(streams):
            assert client.finish(stream).body == b"/run/%d" % number
        assert client.wait_closed(10) == "eof"
        assert client.goaways[-1].last_stream_id >= streams[-1] and all(frame.error_code == f.NO_ERROR for frame in client.goaways)
    assert sluice.wait_exit(5) == 0


def test_a_stream_that_crosses_the_first_goaway_is_served_or_said_to_be_unseen(gated):
    """Hardening 97; RFC 9113 §6.8: what is above the last GOAWAY's number may be tried again."""
    sluice, seen, gate = gated
    with sluice.h2() as client:
        running = client.start("GET", "/run")
        seen(1)
        sluice.signal(signal.SIGTERM)
        client.wait_goaway()
        crossing = client.start("GET", "/crossing")
        gate.set()
        assert client.finish(running).status == 200
        try:
            client.pump(lambda: client.streams[crossing].over, 10, "an end of the crossing stream")
        except f.Ended:
            pass
        state = client.streams[crossing]
        assert state.status == 200 or state.reset == f.REFUSED_STREAM or client.goaways[-1].last_stream_id < crossing, (state, client.goaways)
    assert sluice.wait_exit(10) == 0


def test_an_idle_connection_is_closed_with_goaway(gated):
    sluice, _, _ = gated
    with sluice.h2() as client:
        assert client.request().status == 200
        sluice.signal(signal.SIGTERM)
        assert client.wait_closed(5) == "eof"
        assert client.goaways[-1].error_code == f.NO_ERROR
    assert sluice.wait_exit(5) == 0


def test_the_drain_ends_with_its_limit(gated):
    """A request that does not end."""
    sluice, seen, gate = gated
    sluice.reload({**{"listeners": [clear_listener()]}, "server": {"drain_timeout": "1s"}, **blocks_of(sluice)})
    sluice.check_descriptors = False
    with sluice.h2() as client:
        client.start("GET", "/run")
        seen(1)
        sluice.signal(signal.SIGTERM)
        client.wait_closed(10)
    gate.set()
    assert sluice.wait_exit(10) == 0


def blocks_of(sluice) -> dict:
    """The services and routes of a running daemon's configuration."""
    url = next(line.split('"')[1] for line in sluice.config_text.splitlines() if "url:" in line)
    protocol = "h2c" if "h2c\n" in sluice.config_text.split("services:")[1] else "http/1.1"
    return proxied({"url": url, "protocol": protocol})


def test_an_upload_that_runs_is_taken_to_its_end(gated):
    sluice, seen, gate = gated
    gate.set()
    with sluice.h2() as client:
        stream = client.start("POST", "/upload", end=False)
        client.send_body(stream, b"x" * 50_000, end=False)
        seen(1)
        sluice.signal(signal.SIGTERM)
        client.wait_goaway()
        client.send_body(stream, b"y" * 50_000)
        assert client.finish(stream).status == 200
    assert sluice.wait_exit(5) == 0


class Retrying:
    """A client as browsers are: it opens a new connection after GOAWAY and tries what was not seen again. Any other failure counts."""

    def __init__(self, sluice, listener: str = "clear", at_once: int = 8):
        self.sluice = sluice
        self.listener = listener
        self.at_once = at_once
        self.done = 0
        self.retried = 0
        self.faults: list[str] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stopped.is_set():
                with self.sluice.h2(self.listener) as client:
                    client.wait_settings()
                    while not self.stopped.is_set() and not client.goaways:
                        self.turn(client)
        except Exception as error:
            self.faults.append(repr(error))

    def turn(self, client: H2Client):
        streams = [client.start("GET", f"/{number}") for number in range(self.at_once)]
        for stream in streams:
            state = client.streams[stream]
            try:
                client.pump(lambda: state.over, 10, "an answer")
            except (f.Ended, OSError):
                pass
            if state.ended and state.status == 200:
                self.done += 1
            elif state.reset == f.REFUSED_STREAM or (client.goaways and client.goaways[-1].last_stream_id < stream):
                self.retried += 1
            else:
                self.faults.append(f"stream {stream}: {state!r}, reset {state.reset}, ended {client.ended}, GOAWAY {client.goaways}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(20)


@pytest.mark.parametrize("listener", ["clear", "secure"])
@pytest.mark.parametrize("upstream", ["h1", "h2"])
@pytest.mark.seconds(60)
def test_reloads_under_load_lose_no_request(world, pki, upstream, listener):
    """Hardening 97."""
    server = world.backend() if upstream == "h1" else world.h2_backend()
    sluice = both_listeners(world, pki, server)
    clients = [Retrying(sluice, listener) for _ in range(4)]
    for client in clients:
        client.__enter__()
    for turn in range(10):
        reached = [client.done for client in clients]
        sluice.reload_altered()
        until(lambda: all(client.done > count or client.faults for client, count in zip(clients, reached)), 10, "requests after the reload")
    for client in clients:
        client.__exit__()
    assert [fault for client in clients for fault in client.faults] == []


@pytest.mark.seconds(60)
def test_an_upgrade_of_the_binary_under_load_loses_no_request(world):
    server = world.backend()
    sluice = h2_gateway(world, server)
    clients = [Retrying(sluice) for _ in range(3)]
    for client in clients:
        client.__enter__()
    until(lambda: all(client.done > 20 for client in clients), 10, "the load has begun")
    sluice.upgrade()
    reached = [client.done for client in clients]
    until(lambda: all(client.done > count + 20 or client.faults for client, count in zip(clients, reached)), 10, "requests after the upgrade")
    for client in clients:
        client.__exit__()
    assert [fault for client in clients for fault in client.faults] == []


def test_a_listener_that_is_taken_away_ends_its_connections_gracefully(world):
    gate = threading.Event()

    def handler(request, connection):
        if request.target == "/run":
            gate.wait(10)
        return reply(200, b"done")
    server = world.backend(handler)
    sluice = world.gateway({"listeners": [clear_listener(), clear_listener("other")], **proxied(server)})
    with sluice.h2("other") as client:
        stream = client.start("GET", "/run")
        server.wait_heads(1)
        sluice.expected_socket_change = -2
        sluice.reload({"listeners": [clear_listener()], **proxied(server)})
        assert client.wait_goaway().error_code == f.NO_ERROR
        gate.set()
        assert client.finish(stream).body == b"done"
        assert client.wait_closed(5) == "eof"
    with sluice.h2() as client:
        assert client.request().status == 200


def test_a_client_that_sends_goaway_gets_its_answers_and_is_closed(gated):
    sluice, seen, gate = gated
    with sluice.h2() as client:
        stream = client.start("GET", "/run")
        seen(1)
        client.goaway()
        gate.set()
        assert client.finish(stream).status == 200
        assert client.wait_closed(5) == "eof"


def test_a_client_that_hangs_up_cancels_all_of_its_streams(world):
    server = world.h2_backend(lambda stream: stream.wait_reset())
    sluice = h2_gateway(world, server)
    with sluice.h2() as client:
        for number in range(10):
            client.start("GET", f"/{number}")
        server.wait_streams(10)
    for stream in server.streams:
        stream.wait_reset()


def test_a_connection_that_is_old_enough_is_drained_with_its_next_request(world):
    """Hardening 99."""
    sluice = h2_gateway(world, world.backend(), limits={"connection_max_age": "1s"})
    with sluice.h2() as client:
        assert client.request("GET", "/young").status == 200 and not client.goaways
        until(lambda: client.request("GET", "/again").status == 200 and client.goaways, 5, "it is old")
        assert client.goaways[0].error_code == f.NO_ERROR
        client.wait_closed(10)
    with sluice.h2() as client:
        assert client.request("GET", "/next").status == 200
