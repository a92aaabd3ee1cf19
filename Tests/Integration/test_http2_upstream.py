"""Backends that speak HTTP/2: streams and connections, GOAWAY, refusals that may be tried again, and backends that do harm (hardening 93, 98)."""

import socket
import struct
import threading
import time

import pytest

from conftest import PATIENT, h2_gateway, proxied, tls_backend_context
from sluice_harness import Connection, StreamReset, Truncated, request_bytes, stands_still, until
from sluice_harness import frames as f
from sluice_harness.frames import raw_frame
from sluice_harness.h2_backend import expect_preface, expect_request
from sluice_harness.waiting import SANITIZED


@pytest.fixture
def before(world):
    """A daemon with one worker before HTTP/2 backends; clients speak HTTP/1.1 on `web` and HTTP/2 on `clear`."""
    def start(*servers, service=None, blocks=None, workers=1):
        return h2_gateway(world, *servers, server={"workers": workers}, service={**PATIENT, **(service or {})}, **(blocks or {}))
    return start


def get(sluice, path="/", **more):
    return sluice.request("GET", path, listener="clear", **more)


def many(sluice, count: int, path="/", gate=None, method="GET", body=None) -> list:
    """So many clients at once, each on a connection of its own; returns their answers, or what went wrong."""
    results: list = [None] * count

    def ask(number):
        try:
            results[number] = sluice.request(method, f"{path}{number}", body=body, listener="clear")
        except Exception as error:
            results[number] = error
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    if gate:
        gate()
    for thread in threads:
        thread.join()
    return results


def statuses(results) -> list:
    return [getattr(one, "status", one) for one in results]


# Streams and connections


def test_many_requests_share_one_connection(before, world):
    gate = threading.Event()

    def handler(stream):
        if stream.target.startswith("/n/"):
            gate.wait(10)
        stream.reply(200, stream.target.encode())
    server = world.h2_backend(handler)
    sluice = before(server)
    assert get(sluice, "/first").status == 200

    def open_when_all_are_there():
        server.wait_streams(51)
        gate.set()
    results = many(sluice, 50, "/n/", open_when_all_are_there)
    assert [one.body for one in results] == [b"/n/%d" % number for number in range(50)]
    assert len(server.connections) == 1 and server.connections[0].most_open == 50


@pytest.mark.parametrize("limit", [1, 3])
def test_the_backends_limit_of_streams_is_kept_and_more_connections_are_made(before, world, limit):
    """Hardening 98; h2, in the harness, calls more than its limit a violation."""
    arrived = threading.Semaphore(0)
    gate = threading.Event()

    def handler(stream):
        stream.read_body()
        if stream.target.startswith("/n/"):
            arrived.release()
            gate.wait(10)
        stream.reply(200, stream.target.encode())
    server = world.h2_backend(handler, max_streams=limit)
    sluice = before(server)
    assert get(sluice, "/first").status == 200     # its SETTINGS are known now

    def open_when_all_are_there():
        for _ in range(12):
            assert arrived.acquire(timeout=10)
        gate.set()
    assert statuses(many(sluice, 12, "/n/", open_when_all_are_there)) == [200] * 12
    assert max(connection.most_open for connection in server.connections) <= limit
    assert len(server.connections) >= 12 // limit


def test_max_streams_of_the_pool_limits_where_the_backend_does_not(before, world):
    arrived = threading.Semaphore(0)
    gate = threading.Event()

    def handler(stream):
        arrived.release()
        gate.wait(10)
        stream.reply(200)
    server = world.h2_backend(handler, max_streams=1000)
    sluice = before(server, service={"pool": {"max_streams": 5}})

    def open_when_all_are_there():
        for _ in range(20):
            assert arrived.acquire(timeout=10)
        gate.set()
    assert statuses(many(sluice, 20, gate=open_when_all_are_there)) == [200] * 20
    assert max(connection.most_open for connection in server.connections) <= 5


def test_a_full_pool_lets_requests_wait(before, world):
    gate = threading.Event()

    def handler(stream):
        gate.wait(10)
        stream.reply(200)
    server = world.h2_backend(handler, max_streams=2)
    sluice = before(server, service={"pool": {"max_connections": 1, "max_streams": 2}, "queue": {"timeout": "10s"}})

    def later():
        server.wait_streams(2)
        gate.set()
    assert statuses(many(sluice, 8, gate=later)) == [200] * 8
    assert len(server.connections) == 1


def test_a_limit_that_shrinks_while_it_runs_is_kept(before, world):
    server = world.h2_backend(lambda stream: stream.reply(200), max_streams=100)
    sluice = before(server)
    assert get(sluice).status == 200
    server.connections[0].change_settings(max_streams=1)
    until(lambda: get(sluice).status == 200)
    assert statuses(many(sluice, 10)) == [200] * 10


def test_a_backend_that_allows_no_streams_at_first_is_waited_for(before, world):
    """§6.5.2: 0 is allowed, for short times."""
    def script(frames):
        expect_preface(frames)
        frames.settings({f.MAX_CONCURRENT_STREAMS: 0})
        frames.read_frame()
        frames.settings({f.MAX_CONCURRENT_STREAMS: 100})
        answer_all(frames)
    sluice = before(world.h2_backend(script=script), service={"retry": {"attempts": 2}})
    assert get(sluice).status == 200


def answer_all(frames, status: str = "200", body: bytes = b"ok"):
    """A script's plain server."""
    while True:
        frame = frames.read_frame(60)
        if isinstance(frame, f.SettingsFrame) and "ACK" not in frame.flags:
            frames.settings(ack=True)
        elif isinstance(frame, f.PingFrame) and "ACK" not in frame.flags:
            frames.ping(frame.opaque_data, ack=True)
        elif isinstance(frame, f.HeadersFrame):
            frames.decoder.decode(frame.data, raw=True)
            frames.headers(frame.stream_id, [(":status", status), ("content-length", str(len(body)))])
            frames.data(frame.stream_id, body, end_stream=True)


def test_an_idle_connection_is_closed_with_goaway_after_its_time(before, world):
    server = world.h2_backend()
    sluice = before(server, service={"pool": {"idle_timeout": "1s"}})
    assert get(sluice).status == 200
    server.wait_for(lambda: server.connections[0].ended, 8, "the idle connection is closed")
    assert server.connections[0].goaway_received == 0
    assert get(sluice).status == 200 and len(server.connections) == 2


def test_every_worker_has_its_own_connections(before, world):
    server = world.h2_backend()
    sluice = before(server, workers=4)
    assert statuses(many(sluice, 40)) == [200] * 40
    assert len(server.connections) <= 4


def test_a_removed_instance_gets_goaway_when_its_requests_are_over(world):
    one, two = world.h2_backend(lambda stream: stream.reply(200, b"one")), world.h2_backend(lambda stream: stream.reply(200, b"two"))
    sluice = world.gateway(proxied(one))
    assert sluice.request().body == b"one"
    sluice.reload(proxied(two))
    assert sluice.request().body == b"two"
    one.wait_for(lambda: one.connections[0].ended, 8, "the connection to the old instance is closed")


# GOAWAY, REFUSED_STREAM


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_stream_is_tried_again_whatever_its_method(before, world, method):
    """Hardening 98; RFC 9113 §8.7: nothing has been processed."""
    def handler(stream):
        if len(server.streams) == 1:
            stream.reset_with(f.REFUSED_STREAM)
        else:
            stream.read_body()
            stream.reply(200, stream.body)
    server = world.h2_backend(handler)
    sluice = before(server, service={"retry": {"attempts": 2}})
    response = sluice.request(method, "/", body=b"once" if method == "POST" else None, listener="clear")
    assert response.status == 200 and len(server.streams) == 2, response
    if method == "POST":
        assert response.body == b"once"


def test_a_stream_that_is_refused_for_ever_is_a_failure_in_the_end(before, world):
    server = world.h2_backend(lambda stream: stream.reset_with(f.REFUSED_STREAM))
    response = get(before(server, service={"retry": {"attempts": 2}}))
    assert response.status in (502, 503) and len(server.streams) <= 4, response


def test_after_goaway_the_streams_that_run_end_well_and_new_ones_go_elsewhere(before, world):
    """Hardening 98."""
    gate = threading.Event()

    def handler(stream):
        if stream.connection.number == 1 and stream.target.startswith("/n/"):
            gate.wait(10)
        stream.reply(200, b"%d" % stream.connection.number)
    server = world.h2_backend(handler)
    sluice = before(server)

    def goaway():
        server.wait_streams(5)
        server.connections[0].goaway()
        until(lambda: get(sluice, "/new").body == b"2", 5, "new requests go to a second connection")
        gate.set()
    results = many(sluice, 5, "/n/", goaway)
    assert [one.body for one in results] == [b"1"] * 5
    server.wait_for(lambda: server.connections[0].ended, 5, "the first connection is closed when it is empty")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_streams_above_the_last_of_goaway_are_tried_again_on_another_connection(before, world, method):
    """RFC 9113 §6.8, §8.7."""
    def script(frames):
        nonlocal connections
        connections += 1
        if connections > 1:
            expect_preface(frames)
            frames.settings()
            answer_all(frames)
            return
        expect_request(frames)
        frames.goaway(last_stream=0, code=f.NO_ERROR)
        while True:
            frames.read_frame()
    connections = 0
    sluice = before(world.h2_backend(script=script), service={"retry": {"attempts": 2}})
    response = sluice.request(method, "/", body=b"x" if method == "POST" else None, listener="clear")
    assert response.status == 200 and connections == 2, response


def test_goaway_with_an_error_fails_the_streams_below_its_last(before, world):
    def script(frames):
        stream, _ = expect_request(frames)
        frames.goaway(last_stream=stream, code=f.INTERNAL_ERROR, text=b"broken")
        frames.close()
    sluice = before(world.h2_backend(script=script), service={"retry": {"attempts": 0}})
    assert get(sluice).status == 502


def test_two_goaways_as_a_graceful_end_lose_nothing(before, world):
    """§6.8: 2^31-1 first, then the last stream."""
    gate = threading.Event()

    def handler(stream):
        if stream.connection.number == 1:
            gate.wait(10)
        stream.reply(200)
    server = world.h2_backend(handler)
    sluice = before(server)

    def goaways():
        server.wait_streams(3)
        server.connections[0].goaway(last_stream=2 ** 31 - 1)
        server.connections[0].goaway()
        gate.set()
    assert statuses(many(sluice, 3, gate=goaways)) == [200] * 3


@pytest.mark.parametrize("sent, method, retried", [("nothing", "GET", True), ("nothing", "POST", False), ("head", "GET", False)])
def test_a_connection_that_is_lost_is_tried_again_only_where_that_is_safe(before, world, sent, method, retried):
    def script(frames):
        nonlocal connections
        connections += 1
        if connections > 1:
            expect_preface(frames)
            frames.settings()
            answer_all(frames)
            return
        stream, _ = expect_request(frames)
        frames.headers(stream, [(":status", "200"), ("content-length", "0")], end_stream=True)
        while not isinstance(frame := frames.read_frame(), f.HeadersFrame):
            pass
        if sent == "head":
            frames.headers(frame.stream_id, [(":status", "200"), ("content-length", "10")])
            frames.data(frame.stream_id, b"half")
        frames.close()
    connections = 0
    sluice = before(world.h2_backend(script=script), service={"retry": {"attempts": 2}})
    assert get(sluice).status == 200    # from now on the connection is a kept one
    if sent == "head":
        with pytest.raises(Truncated):
            get(sluice)
        assert connections == 1
        return
    response = sluice.request(method, "/", body=b"x" if method == "POST" else None, listener="clear")
    assert (response.status, connections) == ((200, 2) if retried else (502, 1)), response


@pytest.mark.parametrize("code", [f.NO_ERROR, f.PROTOCOL_ERROR, f.INTERNAL_ERROR, f.CANCEL, f.ENHANCE_YOUR_CALM, 0xFFFF])
def test_a_reset_before_the_head_is_502_and_costs_only_its_stream(before, world, code):
    server = world.h2_backend(lambda stream: stream.reset_with(code) if stream.target == "/bad" else stream.reply(200))
    sluice = before(server, service={"retry": {"attempts": 0}})
    assert get(sluice, "/good").status == 200
    assert get(sluice, "/bad").status == 502
    assert get(sluice, "/good").status == 200 and len(server.connections) == 1


def test_a_reset_within_the_body_cuts_the_answer_off_visibly(before, world):
    def handler(stream):
        stream.head(200)
        stream.send(b"half")
        stream.reset_with(f.INTERNAL_ERROR)
    sluice = before(world.h2_backend(handler))
    with pytest.raises(Truncated):
        get(sluice)
    with sluice.h2() as client, pytest.raises(StreamReset) as reset:
        client.request()
    assert reset.value.code == f.INTERNAL_ERROR


@pytest.mark.parametrize("secured", [False, True])
def test_an_answer_that_a_backend_sends_before_it_breaks_off_is_the_clients(before, world, pki, secured):
    """Hardening 38: it reads nothing of the upload, answers, and is gone, all before the gateway looks again."""
    asked, tell, gone = threading.Event(), threading.Event(), threading.Event()

    def script(frames):
        stream, _ = expect_request(frames, {4: 1 << 30})
        frames.window_update(0, 1 << 30)
        asked.set()
        assert tell.wait(30)
        frames.headers(stream, [(":status", "413"), ("content-length", "8")])
        frames.data(stream, b"too much", end_stream=True)
        frames.socket.close()       # what it has not read makes a reset of this
        gone.set()
    server = world.h2_backend(script=script, tls=tls_backend_context(pki, ("h2",)) if secured else None)
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sluice = before(server, service={"retry": {"attempts": 0}, **({"tls": {"ca_file": pki.root.ca_file}} if secured else {})},
                    blocks={"limits": {"request_body": "1GiB"}})
    with Connection(sluice.address("clear")) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000000\r\n\r\n")
        client.socket.setblocking(False)
        sent = [0]

        def sending():
            try:
                while True:
                    sent[0] += client.socket.send(b"x" * 65536)
            except BlockingIOError:
                return sent[0]
        assert asked.wait(10)
        stands_still(sending, 20)
        with sluice.stopped():
            tell.set()
            assert gone.wait(10)
        client.socket.setblocking(True)
        response = client.read_response("POST")
        assert (response.status, response.body) == (413, b"too much")


@pytest.mark.parametrize("how", ["with a FIN", "with a reset"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_whole_answer_that_waits_for_its_client_outlives_the_backends_connection(before, world, how, whole):
    """Hardening 39: of three answers that nobody has read yet, those that are whole arrive."""
    asked, tell, gone = threading.Event(), threading.Event(), threading.Event()

    def script(frames):
        first, _ = expect_request(frames)
        streams = [first]
        while len(streams) < 3:
            frame = frames.read_frame()
            if isinstance(frame, f.HeadersFrame):
                streams.append(frame.stream_id)
        asked.set()
        assert tell.wait(30)
        for number, stream in enumerate(streams):
            frames.headers(stream, [(":status", "200")])
            frames.data(stream, b"%d" % number * 10_000)        # all together no more than a kernel takes at once
            frames.data(stream, b"%d" % number * 10_000, end_stream=whole or number == 1)
        if how == "with a reset":
            frames.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        frames.socket.close()
        gone.set()
    sluice = before(world.h2_backend(script=script), service={"retry": {"attempts": 0}})
    with sluice.h2(window=100, behave=("settings", "ping")) as client:
        streams = [client.start("GET", f"/{number}") for number in range(3)]
        assert asked.wait(10)
        with sluice.stopped():
            tell.set()
            assert gone.wait(10)
        for stream in streams:
            client.wait_bytes(stream, 100)
        client.alive()
        client.behave = ("settings", "ping", "window")
        for stream in streams:
            client.window_update(stream, 1 << 20)
        client.window_update(0, 1 << 20)
        for number, stream in enumerate(streams):
            if whole or number == 1:
                assert client.finish(stream).body == b"%d" % number * 20_000
            else:
                with pytest.raises(StreamReset):
                    client.finish(stream)
    until(lambda: sluice.metrics().sum("sluice_upstream_connections", service="app") == 0, 5, "the connection is given back")


def test_a_client_that_goes_away_cancels_its_stream_and_not_the_connection(before, world):
    server = world.h2_backend(lambda stream: stream.wait_reset() if stream.target == "/gone" else stream.reply(200))
    sluice = before(server)
    client = Connection(sluice.address("clear"))
    client.send(request_bytes("GET", "/gone"))
    server.wait_streams(1)
    client.reset()
    assert server.streams[0].wait_reset() == f.CANCEL
    assert get(sluice).status == 200 and len(server.connections) == 1


def test_a_client_stream_that_is_cancelled_cancels_the_backends(before, world):
    """Hardening 80: the work is really given up."""
    server = world.h2_backend(lambda stream: stream.wait_reset() if stream.target == "/gone" else stream.reply(200))
    sluice = before(server)
    with sluice.h2() as client:
        stream = client.start("GET", "/gone")
        server.wait_streams(1)
        client.cancel(stream)
        assert server.streams[0].wait_reset() == f.CANCEL
        assert client.request().status == 200


def test_a_timeout_cancels_the_stream(before, world):
    server = world.h2_backend(lambda stream: stream.wait_reset() if stream.target == "/slow" else stream.reply(200))
    sluice = before(server, service={"timeouts": {"response": "1s"}, "retry": {"attempts": 0}})
    assert get(sluice, "/slow").status == 504
    assert server.streams[0].wait_reset() in (f.CANCEL, f.NO_ERROR)
    assert get(sluice).status == 200


# Bodies


def test_bodies_of_megabytes_both_ways_within_small_windows(before, world):
    server = world.h2_backend(lambda stream: stream.reply(200, stream.read_body()), window=65535, connection_window=100_000)
    sluice = before(server, blocks={"limits": {"request_body": "20MiB"}})
    body = bytes(range(256)) * 16384
    assert sluice.request("POST", "/", body=body, listener="clear").body == body


def test_a_slow_client_stops_only_its_own_stream(before, world):
    """Windows of the backend's connection are given back for those who read."""
    def handler(stream):
        if stream.target == "/huge":
            stream.head(200)
            while True:
                stream.send(b"h" * 65536)
        stream.reply(200, b"quick" * 1000)
    server = world.h2_backend(handler)
    sluice = before(server)
    slow = Connection(sluice.address("clear"), receive_buffer=4096)
    slow.send(request_bytes("GET", "/huge"))
    slow.read_head()
    for _ in range(20):
        assert get(sluice).body == b"quick" * 1000
    assert len(server.connections) == 1
    slow.close()


def test_the_request_has_its_pseudo_headers_and_a_length(before, world):
    server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(200)))
    sluice = before(server)
    sluice.request("POST", "/path?query=1", body=b"abc", listener="clear")
    stream = server.streams[0]
    assert stream.pseudo == {":method": "POST", ":scheme": "http", ":authority": "app.test", ":path": "/path?query=1"}
    assert stream.header("content-length") == "3" and stream.body == b"abc"
    assert stream.header("x-forwarded-for") == "127.0.0.1"


# Backends that do harm


def hostile(name):
    """Scripts of backends: what each does to the first request."""
    def good_head(frames, stream, more=(), end=False):
        frames.headers(stream, [(":status", "200"), *more], end_stream=end, literal=True)

    def attack(frames):
        stream, _ = expect_request(frames)
        {
            "no HTTP/2 at all": lambda: frames.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "DATA before the head": lambda: frames.data(stream, b"ok", True),
            "no status": lambda: frames.headers(stream, [("content-length", "0")], end_stream=True),
            "two statuses": lambda: frames.headers(stream, [(":status", "200"), (":status", "200")], end_stream=True),
            "a status that is no number": lambda: frames.headers(stream, [(":status", "20x")], end_stream=True),
            "status 101": lambda: frames.headers(stream, [(":status", "101")], end_stream=True),
            "status 99": lambda: frames.headers(stream, [(":status", "099")], end_stream=True),
            "a pseudo-header of requests": lambda: frames.headers(stream, [(":status", "200"), (":path", "/")], end_stream=True),
            "an upper-case name": lambda: good_head(frames, stream, [("X-Upper", "a")], True),
            "a line in a value": lambda: good_head(frames, stream, [("x", "a\r\nX-Injected: 1")], True),
            "a connection field": lambda: good_head(frames, stream, [("connection", "close")], True),
            "a transfer-encoding": lambda: good_head(frames, stream, [("transfer-encoding", "chunked")], True),
            "an interim that ends the stream": lambda: frames.headers(stream, [(":status", "103")], end_stream=True),
            "a bad length": lambda: good_head(frames, stream, [("content-length", "abc")], True),
            "two lengths": lambda: good_head(frames, stream, [("content-length", "0"), ("content-length", "1")], True),
            "a length, and no body": lambda: good_head(frames, stream, [("content-length", "5")], True),
            "WINDOW_UPDATE of 0": lambda: frames.window_update(stream, 0),
            "a frame that is too long": lambda: frames.send_frame(f.DATA_TYPE, 0, stream, b"x" * 20000),
            "SETTINGS on a stream": lambda: frames.send_frame(f.SETTINGS_TYPE, 0, stream),
            "a push": lambda: frames.send_frame(f.PUSH_TYPE, f.END_HEADERS, stream, b"\0\0\0\x02\x82\x86\x84"),
            "HEADERS on a stream of its own": lambda: frames.headers(2, [(":status", "200")], end_stream=True),
            "HEADERS on a stream nobody opened": lambda: frames.headers(stream + 2, [(":status", "200")], end_stream=True),
            "bad HPACK": lambda: frames.send_frame(f.HEADERS_TYPE, f.END_HEADERS, stream, b"\xff\xff\xff\xff\xff\xff\x01"),
            "a head of many megabytes": lambda: frames.header_block(stream, b"\x88\x40\x01x\x7f\x81\x16" + b"v" * 2944 + b"\xbe" * 57_800, True),
            "too many fields": lambda: good_head(frames, stream, [(f"x-{number}", "v") for number in range(500)], True),
            "CONTINUATION for ever": lambda: (frames.header_block(stream, b"\x88", end_headers=False),
                                              frames.send_bytes(raw_frame(f.CONTINUATION_TYPE, 0, stream, b"") * 20_000)),
            "a flow control error": lambda: (frames.window_update(0, 2 ** 31 - 1), frames.window_update(0, 2 ** 31 - 1)),
        }[name]()
        while True:
            frames.read_frame(30)

    def script(frames):
        nonlocal first
        if first:
            first = False
            attack(frames)
        else:
            expect_preface(frames)
            frames.settings()
            answer_all(frames)
    first = True
    return script


HOSTILE = ["no HTTP/2 at all", "DATA before the head", "no status", "two statuses", "a status that is no number", "status 101", "status 99",
           "a pseudo-header of requests", "an upper-case name", "a line in a value", "a connection field", "a transfer-encoding", "an interim that ends the stream",
           "a bad length", "two lengths", "a length, and no body", "WINDOW_UPDATE of 0", "a frame that is too long", "SETTINGS on a stream", "a push",
           "HEADERS on a stream of its own", "HEADERS on a stream nobody opened", "bad HPACK", "a head of many megabytes", "too many fields",
           "CONTINUATION for ever", "a flow control error"]


@pytest.mark.parametrize("downstream", ["h1", "h2"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_backend_that_breaks_the_protocol_is_502_and_the_next_request_is_served(before, world, name, downstream):
    """Hardening 93, 98; RFC 9113 §8.1.1: never passed on."""
    sluice = before(world.h2_backend(script=hostile(name)), service={"retry": {"attempts": 0}, "timeouts": {"response": "3s"}})
    memory = sluice.rss_kib()
    if downstream == "h1":
        response = get(sluice, "/attacked")
        assert response.status == 502 and response.json()["error"]["code"] == "UPSTREAM_ERROR", response
        assert sluice.entry(response)["reason"] in ("upstream_malformed", "upstream_reset", "upstream_header_too_large"), sluice.entry(response)
        assert get(sluice, "/next").status == 200
    else:
        with sluice.h2() as client:
            assert client.request("GET", "/attacked").status == 502
            assert client.request("GET", "/next").status == 200
    if not SANITIZED:
        assert sluice.rss_kib() - memory < 8 << 10


LATE = {
    "more than announced": ([("content-length", "3")], lambda frames, stream: frames.data(stream, b"four", True)),
    "less than announced": ([("content-length", "10")], lambda frames, stream: frames.data(stream, b"four", True)),
    "a second head": ([], lambda frames, stream: frames.headers(stream, [(":status", "200")])),
    "trailers that do not end it": ([], lambda frames, stream: (frames.data(stream, b"x"), frames.headers(stream, [("x", "a")]))),
    "bad trailers": ([], lambda frames, stream: (frames.data(stream, b"x"), frames.headers(stream, [("connection", "a")], True))),
    "a connection error": ([], lambda frames, stream: (frames.data(stream, b"x"), frames.send_frame(f.PING_TYPE, 0, stream, b"12345678"))),
}


@pytest.mark.parametrize("name", LATE)
def test_a_fault_behind_the_head_cuts_the_answer_off_visibly(before, world, name):
    """Hardening 114."""
    more, attack = LATE[name]

    def script(frames):
        stream, _ = expect_request(frames)
        frames.headers(stream, [(":status", "200"), *more])
        attack(frames, stream)
        while True:
            frames.read_frame(30)
    sluice = before(world.h2_backend(script=script), service={"retry": {"attempts": 0}})
    with pytest.raises(Truncated):
        response = get(sluice)
        # Where the head had not gone yet, 502 is as honest.
        if response.status == 502:
            raise Truncated("502", response)


FLOODS = {
    "PING": raw_frame(f.PING_TYPE, 0, 0, b"01234567"), "SETTINGS": raw_frame(f.SETTINGS_TYPE), "RST_STREAM": raw_frame(f.RST_TYPE, 0, 1, b"\0\0\0\x08"),
    "PRIORITY": raw_frame(f.PRIORITY_TYPE, 0, 1, b"\0\0\0\0\x10"), "empty DATA": raw_frame(f.DATA_TYPE, 0, 1, b""),
    "WINDOW_UPDATE of 1": raw_frame(f.WINDOW_TYPE, 0, 0, b"\0\0\0\x01"), "unknown": raw_frame(0xF7, 0, 0, b""),
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.seconds(60)
def test_a_flood_from_a_backend_ends_its_connection_and_nothing_else(before, world, kind):
    """Hardening 98: the limits of section E are for hostile backends too."""
    bad_ended = threading.Event()

    def script(frames):
        stream, _ = expect_request(frames)
        if kind == "empty DATA":
            frames.headers(stream, [(":status", "200")])
        try:
            for _ in range(200):
                frames.send_bytes(FLOODS[kind] * 2000)
            while frames.fill(until_end):
                frames.buffer.clear()
        except OSError:
            pass
        bad_ended.set()
    until_end = time.monotonic() + 20
    bad = world.h2_backend(script=script)
    good = world.h2_backend(lambda stream: stream.reply(200, b"good"))
    sluice = world.gateway({
        "services": {"bad": {"instances": [{"url": bad.url, "protocol": "h2c"}], "retry": {"attempts": 0}, "timeouts": {"response": "10s"}, **PATIENT},
                     "good": {"instances": [{"url": good.url, "protocol": "h2c"}]}},
        "routes": [{"name": "bad", "match": {"path": "/bad"}, "service": "bad"}, {"name": "all", "match": {"path": "/*"}, "service": "good"}]})
    assert sluice.request().body == b"good"
    memory = sluice.rss_kib()
    client = sluice.connect()
    client.send(request_bytes("GET", "/bad"))
    for _ in range(20):
        assert sluice.request().body == b"good"
    assert bad_ended.wait(20), "the connection to the flooding backend is closed"
    client.close()
    if not SANITIZED:
        assert sluice.rss_kib() - memory < 8 << 10


def test_a_backend_that_never_sends_settings_is_waited_for_no_longer_than_the_response(before, world):
    def script(frames):
        expect_preface(frames)
        while True:
            frames.read_frame(30)
    sluice = before(world.h2_backend(script=script), service={"timeouts": {"response": "1s", "connect": "1s"}, "retry": {"attempts": 0}})
    assert get(sluice).status in (502, 504)


def test_a_backend_that_never_opens_its_window_is_waited_for_no_longer_than_allowed(before, world):
    """A body that cannot be sent."""
    def script(frames):
        expect_request(frames, {f.INITIAL_WINDOW_SIZE: 0})
        while True:
            frames.read_frame(30)
    sluice = before(world.h2_backend(script=script), service={"timeouts": {"response": "1s", "idle": "2s"}, "retry": {"attempts": 0}})
    response = sluice.request("POST", "/", body=b"x" * 100_000, listener="clear")
    assert response.status in (502, 504), response


def test_a_connection_whose_backend_answers_no_ping_is_given_up(before, world):
    """Hardening 98: a backend that has vanished behind its address."""
    frozen = threading.Event()

    def script(frames):
        expect_preface(frames)
        frames.settings()
        while not frozen.is_set():
            frame = frames.read_frame(30)
            if isinstance(frame, f.HeadersFrame):
                frames.headers(frame.stream_id, [(":status", "200"), ("content-length", "2")])
                frames.data(frame.stream_id, b"ok", True)
                frozen.set()
        threading.Event().wait(20)
    server = world.h2_backend(script=script)
    sluice = before(server, service={"timeouts": {"response": "1s"}, "retry": {"attempts": 0}})
    assert get(sluice).status == 200
    assert get(sluice).status == 504
    frozen.clear()
    until(lambda: get(sluice).status == 200, 20, "a new connection is made")
