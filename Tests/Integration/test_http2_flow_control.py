"""Windows: back-pressure both ways, and memory that does not follow what nobody reads (hardening 85, 117 to 119; RFC 9113 §5.2, §6.9)."""

import fcntl
import struct
import termios
import threading
import time

import pytest

from conftest import h2_gateway, proxied
from sluice_harness import Bystander, StreamReset, reply, stands_still, until
from sluice_harness import frames as f
from sluice_harness.names import h2_closed

HUGE = 1 << 30
PIECE = b"z" * 65536


def endless(connection, size: int = HUGE, sent: list | None = None):
    """Sends a body of this size as long as the gateway takes it; `sent` gets the length of each piece that it took."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    left = size
    while left:
        piece = PIECE[:left]
        connection.send(piece)
        left -= len(piece)
        if sent is not None:
            sent.append(len(piece))


def endless_stream(stream, size: int = HUGE):
    stream.head(200, [("content-length", str(size))])
    for _ in range(size // len(PIECE)):
        stream.send(PIECE)
    stream.end()


@pytest.fixture(params=["h1", "h2"])
def huge(world, request):
    """A daemon before a backend whose answers have a gigabyte, `/small` excepted."""
    if request.param == "h1":
        def handler(asked, connection):
            if asked.target.startswith("/huge"):
                endless(connection)
                return None
            return reply(200, b"small")
        server = world.backend(handler, record=False)
    else:
        server = world.h2_backend(lambda stream: endless_stream(stream) if stream.target.startswith("/huge") else stream.reply(200, b"small"),
                                  max_streams=200)
    return h2_gateway(world, server, limits={"write_timeout": "20s"}, service={"pool": {"max_connections": 200}}), server


# What the gateway sends


@pytest.mark.parametrize("window", [1, 100, 16384, 65535])
def test_a_response_never_exceeds_the_window_and_goes_on_when_there_is_room(world, window):
    body = bytes(range(256)) * (16 if window < 100 else 1000)
    sluice = h2_gateway(world, world.backend(lambda request, connection: reply(200, body)))
    with sluice.h2(window=window, behave=("settings", "ping")) as client:
        stream = client.start()
        state = client.streams[stream]
        while not state.over:
            owed = min(window, len(body) - state.body_bytes + 0)
            expected = state.body_bytes + owed if window < 65535 else state.body_bytes + 1
            client.pump(lambda: state.body_bytes >= min(expected, len(body)) or state.over, 5, "as much as the window allows")
            assert state.received <= window
            if not state.over:
                client.window_update(stream, state.received)
                client.window_update(0, state.received)
                state.received = 0
        assert state.body == body


def test_a_window_of_zero_gets_the_head_and_no_byte_of_the_body(huge):
    sluice, _ = huge
    with sluice.h2(window=0, behave=("settings", "ping")) as client:
        stream = client.start("GET", "/huge")
        assert client.wait_head(stream).status == 200
        client.alive()
        assert client.streams[stream].body_bytes == 0
        client.window_update(stream, 10)
        assert client.wait_bytes(stream, 10) == b"z" * 10
        client.alive()
        assert client.streams[stream].body_bytes == 10
        client.cancel(stream)
        assert not client.goaways


def test_a_body_of_no_bytes_needs_no_window(world):
    sluice = h2_gateway(world, world.backend(lambda request, connection: reply(200, b"")))
    with sluice.h2(window=0, behave=("settings", "ping")) as client:
        assert client.request().status == 200
        assert client.request("HEAD").status == 200


def test_a_window_that_shrinks_below_zero_is_waited_for(world):
    """§6.9.2."""
    body = b"y" * 40000
    sluice = h2_gateway(world, world.backend(lambda request, connection: reply(200, body)))
    with sluice.h2(window=20000, behave=("settings", "ping")) as client:
        stream = client.start()
        client.wait_bytes(stream, 20000)
        client.settings({f.INITIAL_WINDOW_SIZE: 5000})
        client.pump(lambda: client.settings_acknowledged >= 2, 5, "the change is acknowledged")
        client.window_update(stream, 15000)     # the window is 0 now
        client.alive()
        assert client.streams[stream].body_bytes == 20000
        client.window_update(stream, 20000)
        assert client.finish(stream).body == body


def test_a_full_window_of_the_connection_stops_all_streams_and_a_full_one_of_a_stream_only_it(huge):
    sluice, _ = huge
    with sluice.h2(window=1 << 20, settings={f.INITIAL_WINDOW_SIZE: 1 << 20}, behave=("settings", "ping")) as client:
        first = client.start("GET", "/huge/1")
        client.wait_bytes(first, 65535)         # the whole window of the connection
        second = client.start("GET", "/small")
        assert client.wait_head(second).status == 200
        client.alive()
        assert client.streams[second].body_bytes == 0
        client.window_update(0, 5)
        client.pump(lambda: client.streams[first].body_bytes + client.streams[second].body_bytes == 65540, 5, "five bytes more")
        client.cancel(first)
        client.window_update(0, 100)
        assert client.finish(second).body == b"small"


@pytest.mark.memory
@pytest.mark.seconds(90)
def test_a_hundred_streams_that_nobody_reads_cost_little_memory_and_stop_the_backend(huge):
    """Hardening 85: memory must not follow the responses."""
    sluice, server = huge
    with sluice.h2() as warm:
        assert warm.request("GET", "/small").status == 200
    before = sluice.rss_kib()
    with Bystander(sluice.h2, path="/small") as beside, sluice.h2(window=0, behave=("settings", "ping")) as client:
        streams = [client.start("GET", f"/huge/{number}") for number in range(99)]
        for stream in streams:
            assert client.wait_head(stream, 20).status == 200
        client.alive()
        beside.served()
        grown = sluice.rss_kib() - before
        assert grown < 16 << 10, f"{grown} KiB for 99 stalled streams"     # of HTTP/2, a window each from the backend
        for stream in streams:
            client.cancel(stream)
        client.alive()
        until(lambda: all_ended(server), 10, "the backend's side of all of them ends")
    beside.unharmed(seconds=5)
    assert sluice.rss_kib() - before < 16 << 10


def all_ended(server) -> bool:
    if hasattr(server, "streams"):
        return all(stream.gone for stream in server.streams if stream.target.startswith("/huge"))
    return all(head.connection.ended for head in server.heads if head.target.startswith("/huge"))


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_clients_that_stop_reading_their_sockets_cost_little_memory(huge):
    """Large windows, and a socket that nobody reads."""
    sluice, _ = huge
    before = sluice.rss_kib()
    with Bystander(sluice.h2, path="/small") as beside:
        clients = [sluice.h2(window=(1 << 30), receive_buffer=8192) for _ in range(20)]
        try:
            for client in clients:
                client.wait_settings()
                for number in range(5):
                    client.start("GET", f"/huge/{number}")
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                assert sluice.rss_kib() - before < 32 << 10, f"{sluice.rss_kib() - before} KiB for 20 connections"
            beside.served()
        finally:
            for client in clients:
                client.close()
    beside.unharmed(seconds=5)


@pytest.mark.seconds(60)
def test_a_stream_that_is_not_read_for_long_is_ended_and_its_backend_freed(world):
    """Hardening 85, 119."""
    server = world.backend(lambda request, connection: endless(connection) if request.target == "/huge" else reply(200), record=False)
    sluice = h2_gateway(world, server, limits={"write_timeout": "2s"})
    with sluice.h2(window=0, behave=("settings", "ping")) as client:
        stream = client.start("GET", "/huge")
        client.wait_head(stream)
        try:
            client.pump(lambda: client.streams[stream].reset is not None or client.goaways, 40, "the end of the stalled stream")
        except f.Ended:
            pass
    until(lambda: all(head.connection.ended for head in server.heads), 10, "the backend is free")


@pytest.mark.seconds(60)
def test_the_end_of_an_upload_gives_no_more_time_to_read_the_answer(world):
    """Hardening 85, 119: the answer has come first, and waits for a window."""
    def handler(stream):
        stream.head(200)
        stream.send(PIECE[:40_000])
        stream.read_body()
        stream.wait_reset()
    server = world.h2_backend(handler)
    sluice = h2_gateway(world, server, limits={"write_timeout": "2s"})
    with sluice.h2(window=100, behave=("settings", "ping")) as client:
        stream = client.start("POST", "/both", end=False)
        client.wait_bytes(stream, 100)
        client.data(stream, b"", end_stream=True)
        client.pump(lambda: client.streams[stream].reset is not None, 20, "the end of the stalled stream")
        until(lambda: all(stream.gone for stream in server.streams), 10, "the backend is free")


@pytest.mark.seconds(60)
def test_a_connection_that_is_not_read_for_long_is_ended_and_counted(world):
    """Hardening 85: the windows are open, and the socket is full."""
    server = world.backend(lambda request, connection: endless(connection), record=False)
    sluice = h2_gateway(world, server, limits={"write_timeout": "2s"})
    with sluice.h2(window=(1 << 31) - 1) as client:
        client.wait_head(client.start("GET", "/huge"))
        until(lambda: h2_closed(sluice, "stalled") == 1, 20, "the end of the connection is counted")
        until(lambda: all(head.connection.ended for head in server.heads), 10, "the backend is free")


@pytest.mark.seconds(60)
def test_a_client_that_reads_nothing_more_is_heard_when_it_resets_its_stream(world):
    """Hardening 33; RFC 9113 §5.2.2: whoever is blocked reads on, since what is read may be what ends it."""
    sent: list = []
    server = world.backend(lambda request, connection: endless(connection, sent=sent), record=False)
    sluice = h2_gateway(world, server, limits={"write_timeout": "30s"}, service={"pool": {"max_connections": 200}})
    clients = [sluice.h2(window=(1 << 31) - 1, receive_buffer=8192) for _ in range(60)]     # a little more or less waits in each
    try:
        streams = [client.start("GET", "/huge") for client in clients]
        for client, stream in zip(clients, streams):
            client.wait_head(stream)
        stands_still(lambda: len(sent))
        for client, stream in zip(clients, streams):
            client.cancel(stream)
        until(lambda: all(head.connection.ended for head in server.heads), 5, "the backends are free")
    finally:
        for client in clients:
            client.close()


def test_a_slow_reader_gets_all_of_it(world):
    """A megabyte, a few KB at a time."""
    body = bytes(range(256)) * 4096
    sluice = h2_gateway(world, world.h2_backend(lambda stream: stream.reply(200, body)))
    with sluice.h2(window=4096) as client:
        assert client.request(timeout=25).body == body


# What the gateway takes


@pytest.fixture(params=["h1", "h2"])
def lazy(world, request):
    """A daemon before a backend that reads nothing of a body until the gate opens."""
    gate = threading.Event()
    if request.param == "h1":
        def script(connection):
            head = connection.read_head()
            if head is None:
                return
            if head.target.startswith("/lazy"):
                gate.wait(30)
            connection.read_body(head, sink=lambda piece: None)
            connection.send(reply(200, b"%d" % head.body_bytes))
            connection.hang()
        server = world.backend(script=script, record=False)
    else:
        def handler(stream):
            if stream.target.startswith("/lazy"):
                gate.wait(30)
            total = []
            stream.read_body(lambda piece: total.append(len(piece)))
            stream.reply(200, b"%d" % sum(total))
        server = world.h2_backend(handler, window=65535)
    yield h2_gateway(world, server, limits={"request_body": "64MiB", "body_idle_timeout": "20s"}), server, gate
    gate.set()


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_a_body_that_the_backend_does_not_read_is_not_taken_from_the_client(lazy):
    """The window is not given back; when the backend reads, all of it arrives."""
    sluice, _, gate = lazy
    before = sluice.rss_kib()
    with sluice.h2() as client:
        client.wait_settings()
        client.pump(lambda: client.connection_window > 65535, 5, "the window of the connection")
        stream = client.start("POST", "/lazy", [("content-length", str(8 << 20))], end=False)
        sent = 0
        while sent < 8 << 20:
            room = min(client.streams[stream].send_window, client.connection_window, 16384, (8 << 20) - sent)
            if room <= 0:
                try:
                    client.pump(lambda: min(client.streams[stream].send_window, client.connection_window) > 0, 1, "room")
                    continue
                except TimeoutError:
                    break
            client.data(stream, b"b" * room)
            client.streams[stream].send_window -= room
            client.connection_window -= room
            sent += room
        # The windows, and what lies in the sockets and buffers behind them.
        assert sent <= 7 << 20, f"{sent} bytes were taken while the backend read nothing"
        assert sluice.rss_kib() - before < 8 << 10
        gate.set()
        client.send_body(stream, b"b" * ((8 << 20) - sent), timeout=20)
        assert client.finish(stream, 20).body == b"%d" % (8 << 20)


def test_one_stalled_upload_leaves_the_others_their_windows(lazy):
    sluice, _, gate = lazy
    with sluice.h2() as client:
        client.wait_settings()
        client.alive()
        stalled = client.start("POST", "/lazy", end=False)
        state = client.streams[stalled]
        while state.send_window > 0 and client.connection_window > 0:
            size = min(16384, state.send_window, client.connection_window)
            client.data(stalled, b"s" * size)
            state.send_window -= size
            client.connection_window -= size
        assert client.request("POST", "/beside", body=b"c" * 300_000, timeout=10).body == b"300000"
        gate.set()
        client.data(stalled, b"", end_stream=True)
        assert client.finish(stalled, 20).status == 200


@pytest.mark.parametrize("beyond", ["stream", "connection"])
def test_more_than_the_window_is_an_error_of_flow_control(lazy, beyond):
    """§6.9."""
    sluice, _, _ = lazy
    with sluice.h2() as client:
        settings = client.wait_settings()
        streams = [client.start("POST", f"/lazy/{number}", end=False) for number in range(8 if beyond == "connection" else 1)]
        try:
            for _ in range((settings[f.INITIAL_WINDOW_SIZE] // 16384 + 80)):
                for stream in streams:
                    client.data(stream, b"x" * 16384)
            client.pump(lambda: client.goaways or any(client.streams[stream].reset is not None for stream in streams), 5, "the error")
        except (f.Ended, OSError):
            pass
        try:
            client.wait_closed(1)
        except (TimeoutError, OSError):
            pass
        codes = [frame.error_code for frame in client.goaways] + [client.streams[stream].reset for stream in streams]
        assert f.FLOW_CONTROL_ERROR in codes or client.ended == "reset", codes
    with sluice.h2() as other:
        assert other.request("POST", "/beside", body=b"x").status == 200


@pytest.mark.seconds(60)
def test_a_body_that_stops_coming_is_answered_with_408_and_the_connection_goes_on(world):
    """Hardening 117: per stream."""
    server = world.backend()
    sluice = h2_gateway(world, server, limits={"body_idle_timeout": "1s"})
    with sluice.h2() as client:
        stream = client.start("POST", "/stops", [("content-length", "100")], end=False)
        client.data(stream, b"a few")
        try:
            assert client.finish(stream, 10).status == 408
        except StreamReset as reset:
            assert reset.response.status in (0, 408)
        assert client.request().status == 200


def test_a_body_beyond_the_limit_is_answered_with_413_whether_announced_or_not(world):
    """Hardening 120."""
    server = world.backend(lambda request, connection: reply(200, b"%d" % len(request.body)))
    sluice = h2_gateway(world, server, limits={"request_body": "100KiB"})
    with sluice.h2() as client:
        stream = client.start("POST", "/large", [("content-length", "102401")], end=False)
        assert client.finish(stream).status == 413
        assert client.request("POST", "/fits", body=b"x" * 102400).body == b"102400"
        stream = client.start("POST", "/large", end=False)
        client.send_body(stream, b"x" * 110_000)
        try:
            assert client.finish(stream).status == 413
        except StreamReset as reset:
            assert reset.response.status in (0, 413)
        assert client.request().status == 200
    assert "/large" not in [request.target for request in server.requests]


def test_an_early_answer_is_followed_by_rst_stream_and_the_rest_of_the_body_is_not_wanted(world):
    """§8.1: a whole response before the request's end."""
    def script(connection):
        if connection.read_head() is not None:
            connection.send(reply(403, b"no", [("Connection", "close")]))
            connection.hang()
    sluice = h2_gateway(world, world.backend(script=script), limits={"request_body": "64MiB"})
    with sluice.h2() as client:
        stream = client.start("POST", "/early", end=False)
        client.send_body(stream, b"x" * 1000, end=False)
        response = client.finish(stream)
        assert (response.status, response.body) == (403, b"no")
        client.pump(lambda: client.streams[stream].reset is not None, 5, "RST_STREAM behind the answer")
        assert client.streams[stream].reset in (f.NO_ERROR, f.CANCEL)
        client.alive()
        assert not client.goaways


def test_answers_that_fill_the_buffer_of_frames_in_one_turn_hold_no_other_back_for_good(world):
    """The first leaves just less than what is gathered before it is sent, the second comes on top of it, and then the third is read."""
    sizes = {"/first": 65_490, "/second": 65_536, "/third": 40_000}
    told = {path: threading.Event() for path in sizes}
    done = {path: threading.Event() for path in sizes}

    def handler(asked, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % sizes[asked.target])
        assert told[asked.target].wait(20)
        connection.send(PIECE[:sizes[asked.target]])
        arrived(connection.socket)
        done[asked.target].set()
        return None

    def on_stream(stream):
        stream.head(200)
        assert told[stream.target].wait(20)
        stream.send(PIECE[:sizes[stream.target]])
        stream.end()
        arrived(stream.connection.socket)
        done[stream.target].set()
    old, new = world.backend(handler), world.h2_backend(on_stream)
    blocks = proxied(old)
    blocks["services"]["new"] = proxied(new)["services"]["app"]
    blocks["routes"].insert(0, {"name": "third", "match": {"path": "/third"}, "service": "new"})
    sluice = h2_gateway(world, old, server={"workers": 1}, **blocks)
    with sluice.h2() as client:
        streams = {path: client.start("GET", path) for path in sizes}
        for stream in streams.values():
            assert client.wait_head(stream).status == 200
        with sluice.stopped():
            for path in sizes:
                told[path].set()
                assert done[path].wait(10), path
        for path, stream in streams.items():
            client.pump(lambda: client.streams[stream].over, 10, path)
            assert client.streams[stream].body_bytes == sizes[path]


def arrived(connected):
    """All that was sent is in the other end's kernel."""
    until(lambda: struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0] == 0, 5, "it is acknowledged")
