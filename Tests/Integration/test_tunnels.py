"""WebSocket and other upgrades: handshakes, tunnels, their ends and what is counted (RFC 6455, RFC 8441; hardening 102 to 111)."""

import select
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as library_connect

from conftest import both_listeners, clear_listener, h2_gateway, secure_listener, tls_backend_context
from sluice_harness import Backend, H2Backend, Truncated, deadline, names, reply, request_bytes, until
from sluice_harness.backend import BackendConnection, Hangup
from sluice_harness.h2_backend import H2BackendConnection, expect_preface
from sluice_harness.websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, FrameReader, ServerSide, WebSocket1, WebSocket2,
                                      accept_of, echo_script, frame, handshake_fields, new_key)
from sluice_harness.websocket_backend import WebSocketBackend

WIRES = ["h1", "h1-tls", "h2", "h2-tls"]
UPGRADES = {"upgrade": ["websocket"]}
MIB = 1 << 20


@pytest.fixture
def tunnels(world, pki):
    """A daemon before one backend that lets WebSockets through: `sluice, backend = tunnels(script=…)`."""
    def start(script=echo_script, backend=None, route=None, origins=None, idle_timeout=None, **blocks):
        made = backend if backend is not None else world.backend(script=script)
        block = {key: value for key, value in (("origins", origins), ("idle_timeout", idle_timeout)) if value is not None}
        rules = {**UPGRADES, **({"websocket": block} if block else {}), **(route or {})}
        return both_listeners(world, pki, made, route=rules, **blocks), made
    return start


def opened(sluice, wire: str, path: str = "/", **more):
    """A WebSocket by one of the four ways in; it must open."""
    made = asked(sluice, wire, path, **more)
    assert made.open, made.response
    return made


def asked(sluice, wire: str, path: str = "/", timeout: float = 10, **more):
    listener = "secure" if wire.endswith("tls") else "clear"
    if wire.startswith("h1"):
        return WebSocket1(sluice.connect(listener, timeout=timeout), path, **more)
    return WebSocket2(sluice.h2(listener, timeout=timeout), path, own_client=True, **more)


def echoes(socket_, payload: bytes, opcode: int = BINARY):
    socket_.send(opcode, payload)
    assert socket_.read_frame() == (opcode, payload, True)


def until_stuck(raw: socket.socket, data: bytes, patience: float = 0.5) -> int:
    """Sends until nothing more is taken for a while; returns how much was."""
    raw.setblocking(False)
    at, view = 0, memoryview(data)
    while at < len(view) and select.select([], [raw], [], patience)[1]:
        at += raw.send(view[at:at + 262144])
    raw.setblocking(True)
    return at


def nothing_comes(reader, seconds: float = 0.4):
    """For a moment nothing arrives, neither bytes nor an end."""
    with pytest.raises(TimeoutError):
        reader.exactly(1, seconds)


class Held:
    """A backend's script that shakes hands and hands its end of each tunnel to the test."""

    def __init__(self):
        self.sides: list[ServerSide] = []
        self.changed = threading.Condition()
        self.over = threading.Event()

    def __call__(self, connection):
        side = ServerSide(connection)
        if side.request is None:
            return
        with self.changed:
            self.sides.append(side)
            self.changed.notify_all()
        self.over.wait(60)

    def wait(self, count: int = 1) -> ServerSide:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.sides) >= count, 10)
            return self.sides[count - 1]


@pytest.fixture
def held():
    made = Held()
    yield made
    made.over.set()


def ends(connection: BackendConnection, seconds: float = 5) -> str:
    """How the gateway ends the backend's connection, read by the test."""
    try:
        while True:
            connection.fill(seconds)
    except Hangup as hangup:
        return hangup.how


# Echo


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125, b"z" * 126, b"a" * 65535, b"b" * 65536, b"c" * 300_000])
def test_a_message_comes_back_as_it_was_sent(tunnels, wire, payload):
    sluice, _ = tunnels()
    with opened(sluice, wire, "/chat?room=1") as client:
        echoes(client, payload)
        echoes(client, b"again", TEXT)


@pytest.mark.parametrize("wire", WIRES)
def test_the_backend_gets_a_whole_handshake_and_nothing_of_the_hop_before(tunnels, wire):
    """RFC 6455 §4.1; a stream has no key, so the gateway draws one (RFC 8441 §5)."""
    sluice, server = tunnels()
    with opened(sluice, wire, "/chat?room=1", headers=[("Sec-WebSocket-Protocol", "chat, more"), ("X-Own", "1")]) as client:
        echoes(client, b"x")
        request = server.heads[0]
        assert (request.method, request.target, request.version) == ("GET", "/chat?room=1", "HTTP/1.1")
        assert request.header("upgrade").lower() == "websocket" and request.header("connection").lower() == "upgrade"
        assert request.header("sec-websocket-version") == "13" and len(request.header("sec-websocket-key")) == 24
        assert request.header("sec-websocket-protocol") == "chat, more" and request.header("x-own") == "1"
        assert not request.all("transfer-encoding") and not request.all("content-length") and not request.all(":protocol")
        assert request.header("x-forwarded-proto") == ("https" if wire.endswith("tls") else "http")


@pytest.mark.parametrize("wire", WIRES)
def test_the_subprotocol_and_the_extension_that_the_backend_chose_reach_the_client(tunnels, wire):
    """Hardening 110: a tunnel that inspects nothing passes permessage-deflate."""
    def script(connection):
        side = ServerSide(connection, accept=False)
        connection.send(side.acceptance(more="Sec-WebSocket-Protocol: more\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"))
        connection.send(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00")       # RFC 7692 §7.2.3.1: "Hello"
        connection.hang()
    sluice, _ = tunnels(script)
    with opened(sluice, wire, headers=[("Sec-WebSocket-Protocol", "chat, more"),
                                       ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]) as client:
        assert client.response.header("sec-websocket-protocol") == "more"
        assert client.response.header("sec-websocket-extensions") == "permessage-deflate"
        assert client.exactly(9) == b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"


def test_a_stream_gets_200_and_no_field_of_the_handshake_of_http1(tunnels):
    """RFC 8441 §5."""
    sluice, _ = tunnels()
    with opened(sluice, "h2") as client:
        assert client.response.status == 200
        for name in ("sec-websocket-accept", "upgrade", "connection", "content-length"):
            assert not client.response.all(name), client.response


def test_the_answer_on_http1_says_101_and_has_no_framing(tunnels):
    sluice, _ = tunnels()
    with opened(sluice, "h1") as client:
        assert client.response.header("connection").lower() == "upgrade"
        assert not client.response.all("content-length") and not client.response.all("transfer-encoding")
        assert client.response.header("x-request-id")


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
def test_64_sockets_at_once_get_their_own_messages(world, pki, wire):
    """With the library `websockets` on both ends."""
    server = WebSocketBackend()
    world.backends.append(server)
    sluice = both_listeners(world, pki, server, route=UPGRADES)
    with ThreadPoolExecutor(64) as pool:
        together = threading.Barrier(64)

        def talk(number: int):
            with library(sluice, wire) as client:
                together.wait(20)
                for turn in range(8):
                    client.send(f"{number}:{turn}")
                    client.send(bytes([number]) * (turn * 1000))
                    assert client.recv(10) == f"{number}:{turn}"
                    assert client.recv(10) == bytes([number]) * (turn * 1000)
        for done in [pool.submit(talk, number) for number in range(64)]:
            done.result(30)
    until(lambda: names.tunnels_open(sluice) == 0, 5)
    assert names.tunnels_total(sluice) == 64


def test_64_streams_of_one_connection_get_their_own_messages(tunnels):
    sluice, _ = tunnels()
    with sluice.h2("clear") as client:
        sockets = [WebSocket2(client, f"/{number}") for number in range(64)]
        for turn in range(4):
            for number, one in enumerate(sockets):
                one.send(TEXT, b"%d:%d" % (number, turn))
            for number, one in enumerate(sockets):
                assert one.read_frame() == (TEXT, b"%d:%d" % (number, turn), True)
        sockets[0].close()
        echoes(sockets[1], b"its neighbour has gone")


def library(sluice, wire: str, path: str = "/", **more):
    """A client of the library `websockets`."""
    secure = wire.endswith("tls")
    if secure:
        more["ssl"] = sluice.context("secure", "http/1.1")
        more["server_hostname"] = "app.test"
    port = sluice.ports["secure" if secure else "clear"]
    plain = socket.create_connection(("127.0.0.1", port), 10)
    return library_connect(f"{'wss' if secure else 'ws'}://app.test:{port}{path}", sock=plain, max_size=64 * MIB, compression=None,
                           ping_interval=None, open_timeout=10, close_timeout=5, **more)


@pytest.fixture
def with_library(world, pki):
    server = WebSocketBackend()
    world.backends.append(server)
    return both_listeners(world, pki, server, route=UPGRADES), server


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
def test_a_fragmented_message_of_the_library_comes_back_whole(with_library, wire):
    sluice, _ = with_library
    with library(sluice, wire) as client:
        client.send(iter(["one ", "two ", "", "three"]))
        assert client.recv(10) == "one two three"


@pytest.mark.parametrize("wire", WIRES)
def test_fragments_stay_fragments_with_a_ping_between_them(tunnels, wire):
    sluice, _ = tunnels()
    with opened(sluice, wire) as client:
        client.send(TEXT, b"Hel", fin=False)
        client.send(PING, b"in between")
        client.send(CONTINUATION, b"l", fin=False)
        client.send(CONTINUATION, b"o")
        assert client.read_frame() == (TEXT, b"Hel", False)
        assert client.read_frame() == (PONG, b"in between", True)
        assert client.read_frame() == (CONTINUATION, b"l", False)
        assert client.read_frame() == (CONTINUATION, b"o", True)


@pytest.mark.parametrize("wire", WIRES)
def test_frames_that_come_a_byte_at_a_time_are_passed_on(tunnels, wire):
    sluice, _ = tunnels()
    with opened(sluice, wire) as client:
        for byte in frame(TEXT, b"slowly, " * 20):
            client.send_bytes(bytes([byte]))
        assert client.read_frame() == (TEXT, b"slowly, " * 20, True)


# Large messages


@pytest.mark.memory
@pytest.mark.seconds(90)
@pytest.mark.parametrize("wire", WIRES)
def test_messages_of_16_mib_pass_while_the_gateway_holds_little_of_them(tunnels, wire):
    sluice, _ = tunnels()
    with opened(sluice, wire, timeout=60) as client:
        echoes(client, b"warm" * 100_000)
        before = sluice.rss_kib()
        payload = bytes(range(256)) * (16 * MIB // 256)
        for _ in range(2):
            echoes(client, payload)
        assert sluice.rss_kib() - before < 4096


@pytest.mark.seconds(60)
@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
def test_a_message_of_16_mib_of_the_library_comes_back(with_library, wire):
    sluice, _ = with_library
    with library(sluice, wire) as client:
        client.send(b"\x01\x02\x03\x04" * (4 * MIB))
        assert client.recv(30) == b"\x01\x02\x03\x04" * (4 * MIB)


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_a_backend_that_does_not_read_stops_its_client_and_costs_no_memory(tunnels, held):
    sluice, _ = tunnels(held)
    with opened(sluice, "h1") as client:
        side = held.wait()
        before = sluice.rss_kib()
        data = frame(BINARY, bytes(64 * MIB))
        sent = until_stuck(client.connection.socket, data)
        assert sent < len(data), "the gateway took everything"
        assert sluice.rss_kib() - before < 2048
        rest = threading.Thread(target=lambda: client.send_bytes(data[sent:]), daemon=True)
        rest.start()
        assert side.read_frame(30)[1] == bytes(64 * MIB)
        rest.join(10)
        side.send(TEXT, b"done")
        assert client.read_frame() == (TEXT, b"done", True)


@pytest.mark.memory
@pytest.mark.seconds(60)
@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_client_that_does_not_read_stops_its_backend_and_costs_no_memory(tunnels, held, wire):
    sluice, _ = tunnels(held)
    with opened(sluice, wire, timeout=30) as client:
        side = held.wait()
        before = sluice.rss_kib()
        data = frame(BINARY, bytes(64 * MIB), mask=False)
        sent = until_stuck(side.connection.socket, data)
        assert sent < len(data), "the gateway took everything"
        # A stream has its window of 16 MiB in the client, and up to 1 MiB in the gateway.
        assert sluice.rss_kib() - before < 3072
        rest = threading.Thread(target=lambda: side.connection.send(data[sent:]), daemon=True)
        rest.start()
        assert client.read_frame(30)[1] == bytes(64 * MIB)
        rest.join(10)
        client.send(TEXT, b"done")
        assert side.read_frame() == (TEXT, b"done", True)


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_a_backend_that_does_not_read_holds_a_stream_up_and_not_its_neighbours(tunnels, held):
    sluice, _ = tunnels(held)
    with sluice.h2("clear", timeout=30) as client:
        stuck, lively = WebSocket2(client, "/stuck"), WebSocket2(client, "/lively")
        slow, quick = held.wait(1), held.wait(2)
        if slow.request.target != "/stuck":
            slow, quick = quick, slow
        before = sluice.rss_kib()
        data = frame(BINARY, bytes(16 * MIB))
        state = client.streams[stuck.stream]
        at = 0
        # As much as the windows allow, until they stay shut.
        while at < len(data):
            try:
                client.pump(lambda: min(state.send_window, client.connection_window) > 0, 0.5)
            except TimeoutError:
                break
            size = min(16384, state.send_window, client.connection_window, len(data) - at)
            client.data(stuck.stream, data[at:at + size])
            state.send_window -= size
            client.connection_window -= size
            at += size
        assert at < len(data), "the gateway took everything"
        assert client.connection_window > 0, "one stream holds the window of all"
        lively.send(TEXT, b"still here")
        assert quick.read_frame() == (TEXT, b"still here", True)
        assert sluice.rss_kib() - before < 2048
        received = []
        reader = threading.Thread(target=lambda: received.append(slow.read_frame(30)), daemon=True)
        reader.start()
        stuck.send_bytes(data[at:])
        reader.join(30)
        assert received and received[0][1] == bytes(16 * MIB)


# The end, by the two ends


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999])
def test_a_close_code_of_the_client_reaches_the_backend(with_library, wire, code):
    sluice, server = with_library
    with library(sluice, wire) as client:
        client.close(code, "bye")
        assert server.wait_closed(1) == [(code, "bye")]


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
@pytest.mark.parametrize("code", [1000, 1011, 1012, 4001])
def test_a_close_code_of_the_backend_reaches_the_client(with_library, wire, code):
    sluice, server = with_library
    with library(sluice, wire) as client:
        client.send(f"close {code}")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "as told")


@pytest.mark.parametrize("wire", ["h2", "h2-tls"])
@pytest.mark.parametrize("code", [1000, 4001])
def test_a_stream_passes_close_codes_both_ways_and_ends(with_library, wire, code):
    sluice, server = with_library
    with opened(sluice, wire) as client:
        client.send(CLOSE, code.to_bytes(2, "big"))
        assert client.read_close() == code
        client.wait_end()
        assert server.wait_closed(1)[0][0] == code
        assert client.client.streams[client.stream].reset in (None, 0)
        second = WebSocket2(client.client)
        second.send(TEXT, b"close %d" % code)
        assert second.read_close() == code
        second.send(CLOSE, code.to_bytes(2, "big"))
        second.wait_end()
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
def test_both_connections_end_when_the_two_ends_have_said_close(tunnels, wire):
    sluice, server = tunnels()
    with opened(sluice, wire) as client:
        client.send(CLOSE, b"\x03\xe8")
        assert client.read_close() == 1000
        client.wait_end(5)
        assert server.connections[0].wait_end() in ("eof", "closed here")
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", WIRES)
def test_what_a_backend_sends_behind_the_clients_half_close_still_arrives(tunnels, wire):
    def script(connection):
        side = ServerSide(connection)
        try:
            while True:
                connection.fill()
        except Hangup as hangup:
            assert hangup.how == "eof"
        connection.socket.sendall(frame(BINARY, bytes(connection.buffer), mask=False) + frame(BINARY, bytes(MIB), mask=False))
    sluice, _ = tunnels(script)
    with opened(sluice, wire) as client:
        client.send_bytes(b"last words" * 1000)
        client.end_sending()
        assert client.read_frame()[1] == b"last words" * 1000
        assert client.read_frame()[1] == bytes(MIB)
        client.wait_end()


@pytest.mark.parametrize("wire", WIRES)
def test_what_a_client_sends_behind_the_backends_half_close_still_arrives(tunnels, wire):
    whole, done = [], threading.Event()

    def script(connection):
        ServerSide(connection)
        connection.half_close()
        try:
            while True:
                connection.fill()
        except Hangup as hangup:
            whole.append((hangup.how, bytes(connection.buffer)))
            done.set()
    sluice, _ = tunnels(script)
    data = bytes(range(256)) * 8192
    with opened(sluice, wire) as client:
        client.wait_end()
        client.send_bytes(data)
        client.end_sending()
        assert done.wait(10) and whole == [("eof", data)]
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
def test_a_client_that_ends_while_its_backend_does_not_read_loses_nothing(tunnels, held, wire):
    """Both of the client's halves are shut then, and what it sent still waits in the kernel."""
    sluice, _ = tunnels(held)
    data = bytes(range(256)) * (64 * MIB // 256)
    with opened(sluice, wire) as client:
        side = held.wait()
        side.connection.half_close()
        client.wait_end()
        if wire == "h1":
            sent = until_stuck(client.connection.socket, data, 0.3)
        else:
            sent = 1 << 20
            client.send_bytes(data[:sent])
        client.end_sending()
        assert ends(side.connection) == "eof"
        assert len(side.connection.buffer) == sent and bytes(side.connection.buffer) == data[:sent]
        side.connection.close()
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_whose_backend_dies_sees_the_end_at_once(tunnels, held, wire, how):
    sluice, _ = tunnels(held)
    with opened(sluice, wire) as client:
        side = held.wait()
        getattr(side.connection, how)()
        if wire.startswith("h2"):
            state = client.client.streams[client.stream]
            client.client.pump(lambda: state.over, 3, "the end of the stream")
            assert how == "close" or state.reset is not None
            client.client.alive()
        else:
            client.wait_end(3)
            assert client.connection.was_reset == (how == "reset")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_backend_whose_client_vanishes_sees_the_end_at_once(tunnels, held, wire, how):
    sluice, _ = tunnels(held)
    client = opened(sluice, wire)
    side = held.wait()
    connection = client.connection if wire.startswith("h1") else client.client
    if how == "close":
        connection.close()
    elif wire.startswith("h1"):
        connection.reset()
    else:
        connection.reset_connection()
    assert ends(side.connection, 3) in ("eof", "reset")
    side.connection.close()
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", ["h2", "h2-tls"])
def test_a_stream_that_is_reset_ends_its_backends_connection_and_no_other(tunnels, held, wire):
    sluice, _ = tunnels(held)
    with opened(sluice, wire) as client:
        first = held.wait(1)
        other = WebSocket2(client.client)
        second = held.wait(2)
        client.client.cancel(client.stream)
        assert ends(first.connection, 3) in ("eof", "reset")
        other.send(TEXT, b"goes on")
        assert second.read_frame() == (TEXT, b"goes on", True)


# The end, by the gateway


@pytest.mark.parametrize("wire", WIRES)
def test_a_tunnel_without_a_byte_is_closed_with_1001_at_both_ends(tunnels, held, wire):
    sluice, _ = tunnels(held, idle_timeout="1s")
    with opened(sluice, wire) as client:
        side, began = held.wait(), time.monotonic()
        assert client.read_close(5) == 1001
        assert 0.8 < time.monotonic() - began < 3
        assert side.read_close(5) == 1001
        client.send(CLOSE, b"\x03\xe9")
        side.send(CLOSE, b"\x03\xe9")
        side.connection.close()
        client.wait_end(1.5)
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", ["h1", "h2"])
@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_byte_either_way_puts_the_idle_limit_off(tunnels, held, wire, sender):
    """Hardening 111: pings count."""
    sluice, _ = tunnels(held, idle_timeout="1s")
    with opened(sluice, wire) as client:
        side, began = held.wait(), time.monotonic()
        talker, listener = (client, side) if sender == "client" else (side, client)
        for _ in range(5):
            nothing_comes(talker)
            talker.send(PING, b"x")
            assert listener.read_frame() == (PING, b"x", True)
        assert time.monotonic() - began > 1.9
        assert client.read_close(5) == 1001 and side.read_close(5) == 1001


def test_ends_that_do_not_answer_the_close_are_cut_off(tunnels, held):
    sluice, _ = tunnels(held, idle_timeout="1s")
    with opened(sluice, "h1") as client:
        side = held.wait()
        assert client.read_close(5) == 1001 and side.read_close(5) == 1001
        client.wait_end(5)
        assert ends(side.connection) in ("eof", "reset")
        side.connection.close()


@pytest.mark.parametrize("wire", WIRES)
def test_a_stop_says_1001_to_both_ends_and_waits_for_their_answer(tunnels, held, wire):
    """Hardening 111."""
    sluice, _ = tunnels(held)
    with opened(sluice, wire) as client:
        side = held.wait()
        began = time.monotonic()
        sluice.signal(signal.SIGTERM)
        assert client.read_close(5) == 1001
        assert side.read_close(5) == 1001
        side.send(CLOSE, b"\x03\xe9")
        client.send(CLOSE, b"\x03\xe9")
        side.connection.close()
        client.wait_end(5)
        if wire.startswith("h2"):
            client.client.close()
        assert sluice.wait_exit(5) == 0
        assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("wire", WIRES)
def test_the_library_answers_the_stop_on_both_ends(with_library, wire):
    sluice, server = with_library
    if wire.startswith("h1"):
        with library(sluice, wire) as client:
            client.send("x")
            assert client.recv(5) == "x"
            sluice.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(5)
            assert closed.value.rcvd.code == 1001
    else:
        with opened(sluice, wire) as client:
            echoes(client, b"x")
            sluice.signal(signal.SIGTERM)
            assert client.read_close() == 1001
            client.send(CLOSE, b"\x03\xe9")
            client.wait_end()
    assert server.wait_closed(1)[0][0] == 1001
    assert sluice.wait_exit(5) == 0


@pytest.mark.parametrize("wire", WIRES)
def test_a_stop_within_a_frame_waits_for_its_end(tunnels, held, wire):
    sluice, _ = tunnels(held)
    with opened(sluice, wire) as client:
        side = held.wait()
        up, down = frame(BINARY, b"up" * 1000), frame(BINARY, b"down" * 1000, mask=False)
        client.send_bytes(up[:700])
        side.connection.send(down[:700])
        assert client.exactly(700) == down[:700] and side.exactly(700) == up[:700]
        sluice.signal(signal.SIGTERM)
        until(lambda: not sluice.accepts(sluice.ports["clear"]), 5, "the drain has begun")
        nothing_comes(client, 0.2)
        nothing_comes(side, 0.2)
        side.connection.send(down[700:])
        assert client.exactly(len(down) - 700) == down[700:]
        assert client.read_close(5) == 1001
        client.send_bytes(up[700:])
        assert side.exactly(len(up) - 700) == up[700:]
        assert side.read_close(5) == 1001
        side.connection.close()
        if wire.startswith("h2"):
            client.wait_end()
            client.client.close()
    assert sluice.wait_exit(5) == 0


def test_between_the_fragments_of_a_message_a_stop_may_speak(tunnels, held):
    """RFC 6455 §5.4: control frames may stand within a message."""
    sluice, _ = tunnels(held)
    with opened(sluice, "h1") as client:
        side = held.wait()
        client.send(TEXT, b"first", fin=False)
        side.send(TEXT, b"first", fin=False)
        assert side.read_frame() == client.read_frame() == (TEXT, b"first", False)
        sluice.signal(signal.SIGTERM)
        assert client.read_close() == 1001 and side.read_close() == 1001
        side.connection.close()


def test_behind_the_gateways_close_nothing_of_the_other_end_follows(tunnels, held):
    """RFC 6455 §5.5.1: no frame follows a Close."""
    sluice, _ = tunnels(held)
    with opened(sluice, "h1") as client:
        side = held.wait()
        sluice.signal(signal.SIGTERM)
        assert client.read_close() == 1001 and side.read_close() == 1001
        side.send(TEXT, b"late")
        side.send(CLOSE, b"\x03\xe9")
        client.send(TEXT, b"late")
        client.send(CLOSE, b"\x03\xe9")
        assert ends(side.connection) == "eof" and bytes(side.connection.buffer) == b""
        side.connection.close()
        client.wait_end()
    assert sluice.wait_exit(5) == 0


def test_a_stop_closes_many_tunnels_at_once(tunnels):
    """Hardening 111."""
    sluice, _ = tunnels()
    clients = [opened(sluice, "h1") for _ in range(100)]
    began = time.monotonic()
    sluice.signal(signal.SIGTERM)
    for client in clients:
        assert client.read_close() == 1001
        client.close()
    assert sluice.wait_exit(5) == 0 and time.monotonic() - began < 3


def test_a_stop_cuts_a_tunnel_of_another_protocol_off(world):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n")
        connection.hang()
    sluice = h2_gateway(world, world.backend(script=script), route={"upgrade": ["raw/1"]})
    with sluice.connect("clear") as client:
        assert client.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "raw/1")]).status == 101
        sluice.signal(signal.SIGTERM)
        client.expect_closed(5)
    assert sluice.wait_exit(5) == 0


# Reload


@pytest.mark.parametrize("wire", WIRES)
def test_a_tunnel_lives_on_over_reloads_that_take_its_route_and_its_service(tunnels, wire):
    """Hardening 111, 213: what runs ends under the configuration that it began with."""
    sluice, _ = tunnels()
    with opened(sluice, wire) as client:
        echoes(client, b"before")
        text = sluice.config_text
        sluice.config_path.write_text(text + "# touched\n")
        sluice.reload()
        echoes(client, b"after the same")
        sluice.reload({
            "listeners": [secure_listener(sluice_certificate(text)), clear_listener()],
            "routes": [{"name": "other", "match": {"path": "/*"}, "respond": {"status": 204}}]})
        assert sluice.request(listener="clear").status == 204
        for turn in range(10):
            echoes(client, b"after the route has gone %d" % turn)
        assert names.tunnels_open(sluice) == 1
        echoes(client, b"x" * 200_000)


def sluice_certificate(text: str) -> dict:
    """The entry of the certificate in a configuration that the harness wrote."""
    import re
    return {key: re.search(rf"{key}: \"?([^\s\",}}]+)", text).group(1) for key in ("cert_file", "key_file")}


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_tunnel_lives_on_when_its_listener_goes(tunnels, wire):
    sluice, _ = tunnels()
    with opened(sluice, wire) as client:
        echoes(client, b"before")
        sluice.reload({
            "listeners": [{"name": "other", "address": "@other@"}],
            "routes": [{"name": "other", "match": {"path": "/*"}, "respond": {"status": 204}}]})
        until(lambda: not sluice.accepts(sluice.ports["clear"]), 5, "the listener is closed")
        echoes(client, b"after")
        sluice.check_descriptors = False


# Who may


ORIGINS = [
    # allow-list, Origin, admitted
    (None, None, True),
    (None, "http://app.test", True),
    (None, "http://app.test:80", True),
    (None, "http://evil.test", False),
    (None, "http://app.test.evil.test", False),
    (None, "http://evilapp.test", False),
    (None, "http://app.test:8080", False),
    (None, "null", False),
    (None, "", False),
    (["https://good.com"], "https://good.com", True),
    (["https://good.com"], "HTTPS://GOOD.COM", True),
    (["https://good.com"], None, True),
    (["https://good.com"], "http://good.com", False),
    (["https://good.com"], "https://good.com.evil", False),
    (["https://good.com"], "https://evilgood.com", False),
    (["https://good.com"], "https://good.com:8443", False),
    (["https://good.com"], "https://good.com/", False),
    (["https://good.com"], "https://user@good.com", False),
    (["https://good.com"], "https://evil.com https://good.com", False),
    (["https://good.com"], "null", False),
    (["https://good.com"], "http://app.test", False),
    (["https://*.good.com"], "https://a.good.com", True),
    (["https://*.good.com"], "https://a.b.good.com", True),
    (["https://*.good.com"], "https://good.com", False),
    (["https://*.good.com"], "https://agood.com", False),
    (["https://*.good.com"], "https://a.good.com.evil", False),
    (["*"], "https://anyone.test", True),
    (["*"], "null", True),
]


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_only_pages_of_the_allowed_origins_open_a_socket(tunnels, wire):
    """Hardening 107: evil, null, suffix, none at all."""
    for origins in (None, ["https://good.com"], ["https://*.good.com"], ["*"]):
        sluice, server = tunnels(origins=origins)
        for listed, origin, admitted in ORIGINS:
            if listed != origins:
                continue
            before = len(server.heads)
            with asked(sluice, wire, origin=origin) as client:
                assert client.open == admitted, (origins, origin, client.response)
                if admitted:
                    continue
                assert client.response.status == 403, (origins, origin, client.response)
                entry = sluice.entry(client.response)
                assert entry["reason"] == "origin_denied" and len(server.heads) == before
                if wire == "h1":
                    assert client.response.json()["error"]["code"] == "AUTH_ERROR"


def test_two_origins_are_nobodys(tunnels):
    sluice, server = tunnels()
    with asked(sluice, "h1", headers=[("Origin", "http://app.test"), ("Origin", "http://app.test")]) as client:
        assert client.response.status in (400, 403) and not server.heads


def test_over_tls_the_same_origin_is_that_of_https(tunnels):
    sluice, _ = tunnels()
    for origin, admitted in (("https://app.test", True), ("https://app.test:443", True), ("http://app.test", False)):
        with asked(sluice, "h1-tls", origin=origin) as client:
            assert client.open == admitted, (origin, client.response)


def test_a_request_that_opens_no_socket_is_not_asked_for_its_origin(tunnels):
    sluice, _ = tunnels(backend=None, script=None)
    assert sluice.request("GET", "/", [("Origin", "http://evil.test")], listener="clear").status == 200


# The handshake


def handshake(version="13", key: str | None = "x", method="GET", connection="Upgrade", upgrade="websocket", more=()):
    fields = []
    if connection is not None:
        fields.append(("Connection", connection))
    if upgrade is not None:
        fields.append(("Upgrade", upgrade))
    if version is not None:
        fields.append(("Sec-WebSocket-Version", version))
    if key is not None:
        fields.append(("Sec-WebSocket-Key", new_key() if key == "x" else key))
    return method, fields + list(more)


@pytest.mark.parametrize("version", [None, "8", "14", "013", "13, 8", "x"])
def test_another_version_gets_426_and_is_told_which(tunnels, version):
    """Hardening 106; RFC 6455 §4.4."""
    sluice, server = tunnels()
    response = sluice.request("GET", "/", handshake(version=version)[1], listener="clear")
    assert response.status == 426 and response.header("sec-websocket-version") == "13" and not server.heads
    assert response.header("upgrade").lower() == "websocket" and "upgrade" in response.header("connection").lower()
    assert sluice.entry(response)["reason"] == "websocket_version"


def test_two_versions_get_426(tunnels):
    sluice, server = tunnels()
    fields = handshake(more=[("Sec-WebSocket-Version", "13")])[1]
    assert sluice.request("GET", "/", fields, listener="clear").status == 426 and not server.heads


def test_a_stream_of_another_version_gets_426(tunnels):
    sluice, server = tunnels()
    with sluice.h2("clear") as client:
        client.wait_settings()
        stream = client.start_raw([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                                   (":authority", "app.test"), ("sec-websocket-version", "8")], end=False, method="CONNECT")
        response = client.wait_head(stream)
        assert response.status == 426 and response.header("sec-websocket-version") == "13" and not server.heads


@pytest.mark.parametrize("key", [None, "", "short", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ==x", "dGhlIHNhbXBsZSBub25jZQ===",
                                 "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBs!SBub25jZQ=="])
def test_a_key_that_is_not_base64_of_16_bytes_gets_400(tunnels, key):
    """Hardening 106."""
    sluice, server = tunnels()
    assert sluice.request("GET", "/", handshake(key=key)[1], listener="clear").status == 400
    assert not server.heads


def test_two_keys_get_400(tunnels):
    sluice, server = tunnels()
    fields = handshake(more=[("Sec-WebSocket-Key", new_key())])[1]
    assert sluice.request("GET", "/", fields, listener="clear").status == 400 and not server.heads


@pytest.mark.parametrize("body, more", [(b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n", ()), (None, [("Transfer-Encoding", "chunked")])])
def test_a_handshake_with_a_body_gets_400_and_the_connection_closes(tunnels, body, more):
    """Hardening 104."""
    sluice, server = tunnels()
    with sluice.connect("clear") as client:
        client.send(request_bytes("GET", "/", handshake(more=more)[1], body))
        if body is None:
            client.send(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")
        response = client.read_response()
        assert response.status == 400 and response.header("connection") == "close"
        client.expect_closed()
    assert not server.heads


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE"])
def test_a_handshake_by_another_method_gets_400(tunnels, method):
    sluice, server = tunnels()
    assert sluice.request(method, "/", handshake()[1], listener="clear").status == 400
    assert not server.heads


def test_a_client_of_http_1_0_upgrades_nothing(tunnels):
    """Hardening 105; RFC 9110 §7.8."""
    sluice, server = tunnels(script=None)
    with sluice.connect("clear") as client:
        response = client.request("GET", "/", handshake()[1], version="HTTP/1.0")
        assert response.status == 200
    assert not server.heads[0].all("upgrade") and not server.heads[0].all("connection")


@pytest.mark.parametrize("connection", [None, "keep-alive", "close"])
def test_upgrade_without_its_connection_option_is_an_ordinary_field_of_no_meaning(tunnels, connection):
    """RFC 9110 §7.8: a sender names it in Connection."""
    sluice, server = tunnels(script=None)
    response = sluice.request("GET", "/", handshake(connection=connection)[1], listener="clear")
    assert response.status == 200 and not server.heads[0].all("upgrade")


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "upgrade", "Keep-Alive,UPGRADE"])
def test_the_option_may_stand_beside_others_in_any_case(tunnels, connection):
    sluice, server = tunnels()
    with sluice.connect("clear") as client:
        assert client.request("GET", "/", handshake(connection=connection, upgrade="WebSocket")[1]).status == 101


# Which protocols


RAW = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {}\r\n\r\n"


def raw_echo(protocol: str):
    """A backend's script: takes the upgrade and sends every byte back."""
    def script(connection):
        if connection.read_head() is None:
            return
        connection.send(RAW.format(protocol).encode())
        while True:
            if not connection.buffer:
                connection.fill()
            connection.send(connection.take(len(connection.buffer)))
    return script


@pytest.mark.parametrize("asked_for, forwarded", [
    ("foo", None), ("h2c", None), ("H2C", None), ("websocket, h2c", "websocket"), ("h2c, websocket", "websocket"),
    ("foo, raw/1", "raw/1"), ("raw/2", None), ("raw", None), ("websocket", "websocket")])
def test_only_listed_protocols_are_asked_for_and_never_h2c(world, asked_for, forwarded):
    """Hardening 105."""
    server = world.backend(lambda request, connection: reply(200, b"no"))
    sluice = h2_gateway(world, server, route={"upgrade": ["websocket", "raw/1"]})
    more = [("HTTP2-Settings", "AAMAAABkAAQAAP__")] if "h2c" in asked_for.lower() else []
    with sluice.connect("clear") as client:
        response = client.request("GET", "/", handshake(connection="Upgrade, HTTP2-Settings" if more else "Upgrade", upgrade=asked_for, more=more)[1])
    assert response.status == 200
    assert server.heads[0].header("upgrade") == forwarded
    assert server.heads[0].header("connection") == ("Upgrade" if forwarded else None)
    assert not server.heads[0].all("http2-settings")


def test_a_route_without_a_list_upgrades_nothing(world):
    server = world.backend(lambda request, connection: reply(200, b"plain"))
    sluice = h2_gateway(world, server)
    with sluice.connect("clear") as client:
        assert client.request("GET", "/", handshake()[1]).body == b"plain"
        assert client.request("GET", "/next").body == b"plain"
    assert not server.heads[0].all("upgrade")


def test_another_listed_protocol_is_a_tunnel_of_bytes(world):
    sluice = h2_gateway(world, world.backend(script=raw_echo("raw/1")), route={"upgrade": ["raw/1"]})
    with sluice.connect("clear") as client:
        response = client.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "RAW/1")])
        assert response.status == 101 and response.header("upgrade").lower() == "raw/1"
        for data in (b"\x00\x01\x02", bytes(range(256)) * 2000, b"\r\n\r\nGET / HTTP/1.1\r\n"):
            client.send(data)
            end = deadline(10)
            while len(client.buffer) < len(data):
                assert client.fill(end)
            assert client.take(len(data)) == data
    assert names.tunnels_total(sluice) == 1 and names.total(sluice, "sluice_tunnel_messages_total") == 0


def test_another_protocol_may_come_by_another_method(world):
    sluice = h2_gateway(world, world.backend(script=raw_echo("raw/1")), route={"upgrade": ["raw/1"]})
    with sluice.connect("clear") as client:
        assert client.request("POST", "/", [("Connection", "Upgrade"), ("Upgrade", "raw/1"), ("Content-Length", "0")]).status == 101


@pytest.mark.parametrize("fields", [
    [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "app.test"),
     ("sec-websocket-version", "13")],
    [(":method", "CONNECT"), (":protocol", "raw/1"), (":scheme", "http"), (":path", "/"), (":authority", "app.test")],
    [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "http"), (":path", "/"), (":authority", "app.test")],
    [(":method", "CONNECT"), (":authority", "app.test:443")],
])
def test_connect_for_what_the_route_does_not_list_is_refused_and_its_data_dropped(world, fields):
    """Hardening 102: also on a route that lists another protocol."""
    server = world.backend(lambda request, connection: reply(200, request.target.encode()))
    sluice = h2_gateway(world, server, route={"upgrade": ["raw/1"]})
    with sluice.h2("clear") as client:
        client.wait_settings()
        stream = client.start_raw(fields, end=False, method="CONNECT")
        client.data(stream, b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")
        state = client.streams[stream]
        client.pump(lambda: state.has_head or state.over, 5, "an answer")
        assert state.reset is not None if not state.has_head else state.status in (400, 405, 501), state
        assert client.request("GET", "/next").body == b"/next"
    assert [request.target for request in server.heads] == ["/next"]


def test_connect_of_http1_is_refused(tunnels):
    """Hardening 102."""
    sluice, server = tunnels()
    with sluice.connect("clear") as client:
        client.send(b"CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.read_response("CONNECT").status in (400, 405)
        client.expect_closed()
    assert not server.heads


def test_the_gateway_says_that_it_takes_extended_connect(tunnels):
    sluice, _ = tunnels()
    with sluice.h2("clear") as client:
        assert client.wait_settings()[8] == 1


# Before the 101


@pytest.mark.parametrize("wire", ["h1", "h1-tls", "h2"])
@pytest.mark.parametrize("size", [10, MIB])
def test_bytes_before_the_answer_wait_for_it_and_are_not_lost(tunnels, wire, size):
    """Hardening 103."""
    early, may_answer, got = [], threading.Event(), []

    def script(connection):
        side = ServerSide(connection, accept=False)
        try:
            connection.fill(0.3)
        except TimeoutError:
            pass
        early.append(bytes(connection.buffer))
        assert may_answer.wait(10)
        connection.send(side.acceptance())
        got.append(side.read_frame(10)[1])
        side.send(TEXT, b"got it")
        connection.hang()
    sluice, server = tunnels(script)
    data = bytes(range(256)) * (size // 256) + b"the rest"
    if wire == "h2":
        with sluice.h2("clear") as client:
            client.wait_settings()
            stream = client.start_raw([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                                       (":authority", "app.test"), ("sec-websocket-version", "13")], end=False, method="CONNECT")
            whole = frame(BINARY, data)
            client.data(stream, whole[:10])
            until(lambda: early, 5)
            may_answer.set()
            client.send_body(stream, whole[10:], end=False)
            assert client.wait_head(stream).status == 200
            assert client.wait_bytes(stream, 8) == frame(TEXT, b"got it", mask=False)
    else:
        with sluice.connect("secure" if wire.endswith("tls") else "clear") as client:
            key = new_key()
            sender = threading.Thread(target=lambda: client.send(request_bytes("GET", "/", handshake_fields(key)) + frame(BINARY, data)), daemon=True)
            sender.start()
            until(lambda: early, 5)
            may_answer.set()
            response = client.read_head()
            assert response.status == 101 and response.header("sec-websocket-accept") == accept_of(key)
            sender.join(10)
            end = deadline(10)
            while len(client.buffer) < 8:
                assert client.fill(end)
            assert client.take(8) == frame(TEXT, b"got it", mask=False)
    assert early == [b""], "bytes of the tunnel before it was one"
    assert got == [data]


def test_frames_that_come_with_the_101_reach_the_client(tunnels):
    def script(connection):
        side = ServerSide(connection, accept=False)
        connection.send(side.acceptance() + frame(TEXT, b"hello", mask=False) + frame(BINARY, bytes(20_000), mask=False))
        connection.hang()
    sluice, _ = tunnels(script)
    for wire in WIRES:
        with opened(sluice, wire) as client:
            assert client.read_frame() == (TEXT, b"hello", True)
            assert client.read_frame() == (BINARY, bytes(20_000), True)


@pytest.mark.parametrize("status", [200, 204, 302, 401, 403, 404, 500, 503])
def test_an_answer_that_is_no_101_is_delivered_and_both_connections_close(tunnels, status):
    """Hardening 103: what follows is not read as a request."""
    body = b"" if status == 204 else b"no tunnel here"
    answer = "HTTP/1.1 204 \r\n\r\n".encode() if status == 204 else reply(status, body)

    def script(connection):
        while connection.read_head() is not None:
            connection.send(answer)
    sluice, server = tunnels(script)
    with sluice.connect("clear") as client:
        client.send(request_bytes("GET", "/", handshake()[1]) + request_bytes("GET", "/smuggled"))
        response = client.read_response()
        assert (response.status, response.body) == (status, body) and response.header("connection") == "close"
        client.expect_closed()
    assert server.connections[0].wait_end() in ("eof", "reset")
    assert len(server.heads) == 1, server.heads


@pytest.mark.parametrize("status", [200, 403, 500])
def test_a_stream_gets_an_answer_that_is_no_101_as_a_refusal_of_its_own(tunnels, status):
    """A 200 to CONNECT would say that the tunnel is open (RFC 8441 §5)."""
    def script(connection):
        while connection.read_head() is not None:
            connection.send(reply(status, b"no tunnel here"))
    sluice, server = tunnels(script)
    with asked(sluice, "h2") as client:
        assert client.response.status == (502 if status == 200 else status), client.response
        assert names.tunnels_total(sluice) == 0
        client.client.alive()
    assert server.connections[0].wait_end() in ("eof", "reset")


BAD_101 = {
    "wrong Accept": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
    "no Accept": "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "two Accepts": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Accept: @\r\n",
    "another protocol": "Connection: Upgrade\r\nUpgrade: raw/1\r\nSec-WebSocket-Accept: @\r\n",
    "two protocols": "Connection: Upgrade\r\nUpgrade: websocket, raw/1\r\nSec-WebSocket-Accept: @\r\n",
    "no protocol": "Connection: Upgrade\r\nSec-WebSocket-Accept: @\r\n",
    "no Connection": "Upgrade: websocket\r\nSec-WebSocket-Accept: @\r\n",
    "an extension that was not offered": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Extensions: x-own\r\n",
    "a subprotocol that was not offered": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: x\r\n",
}


@pytest.mark.parametrize("wire", ["h1", "h2"])
@pytest.mark.parametrize("fault", list(BAD_101))
def test_a_101_that_does_not_answer_the_handshake_is_a_502(tunnels, wire, fault):
    """Hardening 103, 106."""
    def script(connection):
        request = connection.read_head()
        if request is None:
            return
        fields = BAD_101[fault].replace("@", accept_of(request.header("sec-websocket-key")))
        connection.send(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n".encode() + frame(TEXT, b"secret", mask=False))
        connection.hang()
    sluice, server = tunnels(script, service={"retry": {"enabled": False}})
    with asked(sluice, wire, headers=[("Sec-WebSocket-Protocol", "chat")]) as client:
        assert client.response.status == 502 and b"secret" not in client.response.body
        assert sluice.entry(client.response)["reason"] == "upstream_malformed"
    assert server.connections[0].wait_end() in ("eof", "reset")
    assert names.tunnels_total(sluice) == 0


@pytest.mark.parametrize("headers", [(), [("Connection", "Upgrade"), ("Upgrade", "unlisted")]])
def test_a_101_to_a_plain_request_is_a_502(tunnels, headers):
    """Hardening 40."""
    def script(connection):
        while connection.read_head() is not None:
            connection.send(RAW.format("websocket").encode() + b"secret")
    sluice, server = tunnels(script, service={"retry": {"enabled": False}})
    with sluice.connect("clear") as client:
        response = client.request("GET", "/", headers)
        assert response.status == 502 and b"secret" not in response.body
    assert server.connections[0].wait_end() in ("eof", "reset")


def test_a_connection_that_was_a_tunnel_serves_no_request_afterwards(tunnels):
    """Hardening 37."""
    def script(connection):
        side = ServerSide(connection)
        if side.request is not None and side.request.all("upgrade"):
            side.echo()
    sluice, server = tunnels(script)
    with opened(sluice, "h1") as client:
        client.send(CLOSE, b"\x03\xe8")
        assert client.read_close() == 1000
        client.connection.try_send(request_bytes("GET", "/smuggled"))
        client.connection.read_to_end()
    assert len(server.heads) == 1


# HTTP/2 to the backend


class StreamSide(FrameReader):
    """A backend's end of a tunnel on a stream."""

    def __init__(self, stream):
        self.stream = stream
        self.buffer = bytearray()

    def exactly(self, count: int, timeout: float | None = None) -> bytes:
        while len(self.buffer) < count:
            piece = self.stream.read()
            if not piece:
                raise Truncated("the stream ended")
            self.buffer += piece
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True):
        self.stream.send(frame(opcode, payload, fin, mask=False))


def stream_echo(stream):
    """A handler of H2Backend: accepts a WebSocket and echoes."""
    if stream.pseudo.get(":protocol") != "websocket":
        return stream.reply(200, stream.target.encode())
    stream.head(200)
    side = StreamSide(stream)
    try:
        while True:
            opcode, payload, fin = side.read_frame()
            side.send(opcode, payload, fin)
            if opcode == CLOSE:
                break
    except Truncated:
        pass
    stream.end()


@pytest.fixture
def over_h2(world, pki):
    def start(handler=stream_echo, connect_protocol=True, tls=False, route=None, **more):
        server = world.h2_backend(handler, connect_protocol=connect_protocol, tls=tls_backend_context(pki, ("h2",)) if tls else None)
        service = {"tls": {"ca_file": pki.root.ca_file}} if tls else {}
        return both_listeners(world, pki, server, route={**UPGRADES, **(route or {})}, service=service, **more), server
    return start


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("tls", [False, True])
def test_a_backend_of_http2_gets_extended_connect(over_h2, wire, tls):
    """RFC 8441 §4 and §5."""
    sluice, server = over_h2(tls=tls)
    with opened(sluice, wire, "/chat?x=1") as client:
        echoes(client, b"hello", TEXT)
        echoes(client, b"x" * 70_000)
        stream = server.streams[0]
        assert stream.pseudo == {":method": "CONNECT", ":protocol": "websocket", ":scheme": "https" if tls else "http", ":path": "/chat?x=1",
                                 ":authority": stream.authority}
        assert stream.header("sec-websocket-version") == "13"
        for name in ("sec-websocket-key", "upgrade", "connection", "content-length"):
            assert not stream.all(name), stream
        client.send(CLOSE, b"\x0f\xa1")
        assert client.read_close() == 4001
        client.wait_end()
    until(lambda: names.tunnels_open(sluice) == 0, 5)


def test_ordinary_requests_and_tunnels_share_a_connection_to_the_backend(over_h2):
    sluice, server = over_h2(server={"workers": 1})
    assert sluice.request("GET", "/plain", listener="clear").body == b"/plain"
    with opened(sluice, "h1") as one, opened(sluice, "h2") as two:
        echoes(one, b"1")
        echoes(two, b"2")
        assert sluice.request("GET", "/plain", listener="clear").body == b"/plain"
        assert len(server.connections) == 1


@pytest.mark.memory
@pytest.mark.seconds(90)
@pytest.mark.parametrize("wire", WIRES)
def test_messages_of_16_mib_pass_to_a_backend_of_http2_and_back(over_h2, wire):
    sluice, _ = over_h2()
    with opened(sluice, wire, timeout=60) as client:
        echoes(client, b"warm" * 100_000)
        before = sluice.rss_kib()
        payload = bytes(range(256)) * (16 * MIB // 256)
        client.send(BINARY, payload)
        assert client.read_frame(60) == (BINARY, payload, True)
        assert sluice.rss_kib() - before < 6144


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_half_close_passes_through_a_backend_of_http2(over_h2, wire):
    def handler(stream):
        stream.head(200)
        body = stream.read_body()
        stream.send(body[::-1], end=True)
    sluice, _ = over_h2(handler)
    with opened(sluice, wire) as client:
        client.send_bytes(b"abc" * 100_000)
        client.end_sending()
        assert client.exactly(300_000) == b"cba" * 100_000
        client.wait_end()


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_client_that_vanishes_resets_the_backends_stream(over_h2, wire):
    sluice, server = over_h2()
    client = opened(sluice, wire)
    echoes(client, b"x")
    client.connection.reset() if wire == "h1" else client.client.reset_connection()
    assert server.streams[0].wait_reset() is not None
    assert server.connections[0].ended is None


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_backend_of_http2_that_resets_the_stream_ends_the_clients_tunnel(over_h2, wire):
    go = threading.Event()

    def handler(stream):
        stream.head(200)
        assert go.wait(10)
        stream.reset_with(2)
    sluice, server = over_h2(handler)
    with opened(sluice, wire) as client:
        go.set()
        if wire == "h1":
            client.wait_end(3)
        else:
            assert client.client.wait_reset(client.stream, 3) is not None


def test_a_stop_says_1001_to_a_backend_of_http2_too(over_h2):
    codes = []

    def handler(stream):
        stream.head(200)
        side = StreamSide(stream)
        codes.append(side.read_close())
        side.send(CLOSE, b"\x03\xe9")
        stream.end()
    sluice, _ = over_h2(handler)
    with opened(sluice, "h1") as client:
        sluice.signal(signal.SIGTERM)
        assert client.read_close() == 1001
        client.send(CLOSE, b"\x03\xe9")
        client.wait_end()
    assert sluice.wait_exit(5) == 0 and codes == [1001]


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_backend_of_http2_that_does_not_know_extended_connect_gives_502(over_h2, wire):
    sluice, server = over_h2(connect_protocol=False)
    with asked(sluice, wire) as client:
        assert client.response.status == 502, client.response
    assert not server.streams
    assert sluice.request("GET", "/plain", listener="clear").body == b"/plain"


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_backend_of_http2_that_never_says_what_it_allows_gives_504(world, pki, wire):
    def script(frames):
        expect_preface(frames)
        while frames.fill(deadline(30)):
            pass
    server = world.h2_backend(script=script)
    sluice = both_listeners(world, pki, server, route=UPGRADES, service={"timeouts": {"connect": "500ms"}, "retry": {"enabled": False}})
    with asked(sluice, wire) as client:
        assert client.response.status == 504, client.response


@pytest.mark.parametrize("wire", ["h1", "h2"])
@pytest.mark.parametrize("field", [("sec-websocket-extensions", "x-own"), ("sec-websocket-protocol", "other")])
def test_a_backend_of_http2_that_chooses_what_was_not_offered_gives_502(over_h2, wire, field):
    def handler(stream):
        stream.head(200, [field])
        stream.read_body()
    sluice, server = over_h2(handler)
    with asked(sluice, wire, headers=[("Sec-WebSocket-Protocol", "chat")]) as client:
        assert client.response.status == 502, client.response
    assert names.tunnels_total(sluice) == 0


@pytest.mark.parametrize("status", [201, 204])
def test_another_success_of_a_backend_opens_no_stream(tunnels, status):
    sluice, _ = tunnels(lambda connection: (connection.read_head(), connection.send(f"HTTP/1.1 {status} \r\n{'' if status == 204 else 'Content-Length: 0'}\r\n\r\n".encode())))
    with asked(sluice, "h2") as client:
        assert client.response.status == 502


def test_a_route_that_answers_by_itself_opens_no_stream(world):
    sluice = h2_gateway(world, world.backend(), route={"service": None, "respond": {"status": 200, "body": "here"}})
    with asked(sluice, "h2") as client:
        assert client.response.status == 405
        assert client.client.request("GET", "/").body == b"here"


@pytest.mark.parametrize("wire", ["h1", "h2"])
@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_of_a_backend_of_http2_is_delivered(over_h2, wire, status):
    sluice, _ = over_h2(lambda stream: stream.reply(status, b"not for you"))
    with asked(sluice, wire) as client:
        assert client.response.status == status
        if wire == "h1":
            assert client.response.body == b"not for you" and client.response.header("connection") == "close"
            client.connection.expect_closed()


def test_another_protocol_than_websocket_cannot_go_to_a_backend_of_http2(over_h2):
    sluice, server = over_h2(route={"upgrade": ["websocket", "raw/1"]})
    with sluice.connect("clear") as client:
        assert client.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "raw/1")]).status == 502
    assert not server.streams


class EitherBackend(Backend):
    """Speaks HTTP/2 or HTTP/1.1, as ALPN says, and prefers the first."""

    def __init__(self, context):
        self.streams = H2Backend(lambda stream: stream.reply(200, b"h2"))
        self.chosen: list[str | None] = []
        super().__init__(script=echo_script, tls=context)

    def serve(self, connection):
        if not self.encrypted(connection):
            return
        self.chosen.append(connection.socket.alpn)
        if connection.socket.alpn == "h2":
            H2BackendConnection(self.streams, connection.socket, connection.number).run()
            connection.note_end("over")
            connection.close()
            return
        try:
            self.script(connection)
        except (Hangup, OSError, ssl.SSLError):
            pass
        connection.close()

    def stop(self):
        self.violations += self.streams.violations
        self.streams.stop()
        super().stop()


@pytest.mark.parametrize("wire", ["h1", "h2"])
@pytest.mark.parametrize("plain_first", [True, False])
def test_a_backend_that_chose_http2_for_requests_gets_websockets_by_http1(world, pki, wire, plain_first):
    server = EitherBackend(tls_backend_context(pki, ("h2", "http/1.1")))
    world.backends.append(server)
    sluice = both_listeners(world, pki, server, route=UPGRADES, service={"tls": {"ca_file": pki.root.ca_file}}, server={"workers": 1})
    if plain_first:
        assert sluice.request(listener="clear").body == b"h2"
    with opened(sluice, wire) as client:
        echoes(client, b"by http/1.1")
        assert sluice.request(listener="clear").body == b"h2"
        with opened(sluice, wire) as second:
            echoes(second, b"and again")
    assert sluice.request(listener="clear").body == b"h2"
    assert server.chosen.count("http/1.1") == 2 and server.chosen.count("h2") == 1, server.chosen


@pytest.mark.parametrize("protocol", ["http/1.1", "h2c"])
@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_gateway_before_a_gateway_passes_tunnels_through(world, pki, tunnels, wire, protocol):
    inner, server = tunnels()
    outer = both_listeners(world, pki, {"url": f"http://127.0.0.1:{inner.ports['clear']}", "protocol": protocol}, route=UPGRADES)
    with opened(outer, wire) as client:
        echoes(client, b"through two")
        echoes(client, b"z" * 500_000)
        client.send(CLOSE, b"\x0f\xa1")
        assert client.read_close() == 4001
        client.wait_end()
    until(lambda: names.tunnels_open(inner) == 0 and names.tunnels_open(outer) == 0, 5)


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_backend_with_tls_gets_tunnels_encrypted(world, pki, wire):
    server = world.backend(script=echo_script, tls=tls_backend_context(pki, ("http/1.1",)))
    sluice = both_listeners(world, pki, server, route=UPGRADES, service={"tls": {"ca_file": pki.root.ca_file}})
    with opened(sluice, wire) as client:
        echoes(client, b"secret")
        echoes(client, b"x" * 300_000)
        client.send(CLOSE, b"\x03\xe8")
        assert client.read_close() == 1000
        client.wait_end()


# What is counted


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_tunnels_and_their_messages_are_counted(tunnels, wire):
    sluice, _ = tunnels()
    with opened(sluice, wire) as client:
        assert names.tunnels_open(sluice, "all") == 1 and names.tunnels_total(sluice, "all") == 1
        echoes(client, b"one")
        client.send(TEXT, b"tw", fin=False)
        client.send(CONTINUATION, b"o")
        client.read_message()
        client.send(PING, b"not a message")
        client.read_frame()
        client.send(CLOSE, b"\x03\xe8")
        client.read_close()
        client.wait_end()
    until(lambda: names.tunnels_open(sluice, "all") == 0, 5)
    assert names.tunnels_total(sluice, "all") == 1
    assert names.total(sluice, "sluice_tunnel_messages_total", route="all", direction="in") == 2
    assert names.total(sluice, "sluice_tunnel_messages_total", route="all", direction="out") == 2


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_a_tunnel_has_one_line_in_the_log_when_it_ends(tunnels, wire):
    sluice, server = tunnels()
    with opened(sluice, wire, "/live") as client:
        echoes(client, b"x" * 10_000)
        assert not sluice.access_entries()
        client.send(CLOSE, b"\x03\xe8")
        client.read_close()
        client.wait_end()
        entry = sluice.entry(client.response)
    assert (entry["status"], entry["upstream_status"], entry["reason"]) == (101 if wire == "h1" else 200, 101, "tunnel")
    assert entry["path"] == "/live" and entry["instance"] == f"127.0.0.1:{server.port}"
    assert 10_000 < entry["bytes_in"] < 11_000 and 10_000 < entry["bytes_out"] < 11_000
    assert len(sluice.access_entries()) == 1


def test_a_tunnel_that_is_broken_off_says_by_whom(tunnels, held):
    sluice, _ = tunnels(held)
    with opened(sluice, "h1", "/client") as client:
        held.wait(1)
        client.connection.reset()
    with opened(sluice, "h1", "/backend") as client:
        held.wait(2).connection.reset()
        client.wait_end()
    entries = sluice.wait_access(2)
    assert {(entry["path"], entry["status"], entry["reason"]) for entry in entries} == \
        {("/client", 101, "client_closed"), ("/backend", 101, "upstream_reset")}


def test_handshakes_that_fail_open_no_breaker(world):
    """Behaviour S3: tunnels end in many ways."""
    def script(connection):
        while (request := connection.read_head()) is not None:
            connection.send(reply(500 if request.all("upgrade") else 200, b"x"))
    server = world.backend(script=script)
    sluice = h2_gateway(world, server, route=UPGRADES, service={
        "circuit_breaker": {"failure_threshold": 2}, "outlier_detection": {"enabled": False}, "retry": {"enabled": False}})
    for _ in range(6):
        with sluice.connect("clear") as client:
            assert client.request("GET", "/", handshake()[1]).status == 500
    assert sluice.request(listener="clear").status == 200


def test_tunnels_that_break_open_no_breaker(tunnels, held):
    sluice, server = tunnels(held, service={"circuit_breaker": {"failure_threshold": 2}, "outlier_detection": {"enabled": False}})
    for number in range(6):
        with opened(sluice, "h1") as client:
            held.wait(number + 1).connection.reset()
            client.wait_end()


def test_a_tunnel_holds_its_place_at_the_backend_and_gives_it_back(tunnels, held):
    """Hardening 111, 208: tunnels count in the caps."""
    sluice, _ = tunnels(held, service={"pool": {"max_connections": 1}, "queue": {"timeout": "300ms"}})
    with opened(sluice, "h1") as client:
        side = held.wait()
        with asked(sluice, "h1") as second:
            assert second.response.status == 503
        side.connection.close()
        client.wait_end()
    with opened(sluice, "h1") as third:
        held.wait(2).send(TEXT, b"the place is free")
        assert third.read_frame()[1] == b"the place is free"


def test_a_request_timeout_does_not_end_a_tunnel(tunnels, held):
    sluice, _ = tunnels(held, route={"timeouts": {"request": "500ms", "idle": "500ms", "response": "500ms"}})
    with opened(sluice, "h1") as client:
        side = held.wait()
        nothing_comes(client, 1.2)
        side.send(TEXT, b"still there")
        assert client.read_frame()[1] == b"still there"


@pytest.mark.memory
@pytest.mark.seconds(60)
@pytest.mark.parametrize("wire, kib", [("h1", 6), ("h2", 8)])
def test_500_idle_tunnels_cost_little_memory(tunnels, wire, kib):
    limits = {"connections_per_client": 2000}
    sluice, server = tunnels(limits=limits, service={"pool": {"max_connections": 1000}})
    warm = [opened(sluice, wire) for _ in range(4)]
    before = sluice.rss_kib()
    if wire == "h1":
        clients = [opened(sluice, wire) for _ in range(500)]
    else:
        connections = [sluice.h2("clear") for _ in range(10)]
        clients = [WebSocket2(connection) for connection in connections for _ in range(50)]
    assert names.tunnels_open(sluice) == 504
    each = (sluice.rss_kib() - before) / 500
    assert each < kib, f"{each:.1f} KiB for each tunnel"
    echoes(clients[250], b"and they work")
    for client in warm + clients:
        client.close()
    if wire == "h2":
        for connection in connections:
            connection.close()
    until(lambda: names.tunnels_open(sluice) == 0, 10)
