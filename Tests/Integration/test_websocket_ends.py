"""How tunnels end: by the client, by the backend, by time, by a stop, and not by a reload (RFC 6455 §5.5.1, §7; hardening 111)."""

import signal
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

from conftest import clear_listener, h2_gateway, secure_listener
from sluice_harness import names, until
from sluice_harness.backend import Hangup
from sluice_harness.waiting import SCALE
from sluice_harness.websocket import (BINARY, CLOSE, PING, TEXT, WIRES, ServerSide, WebSocket2, echoes, ends,
                                      frame, library, nothing_comes, opened, until_stuck)

MIB = 1 << 20


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
        if wire.startswith("h1"):
            client.send_bytes(data)
        else:
            # Its own helper sends nothing behind the end of the other side; this fits into the windows.
            data = data[:131_072]
            for at in range(0, len(data), 16384):
                client.client.data(client.stream, data[at:at + 16384])
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


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_tunnel_that_is_stuck_ends_when_its_sender_is_gone(tunnels, held, who):
    """What the other one does not read holds no connection open."""
    sluice, _ = tunnels(held, limits={"write_timeout": "1s"})
    client = opened(sluice, "h1")
    side = held.wait()
    sender = client.connection if who == "client" else side.connection
    until_stuck(sender.socket, bytes(64 * MIB), 0.3)
    sender.reset()
    until(lambda: names.tunnels_open(sluice) == 0, 5)
    if who == "client":
        assert ends(side.connection) in ("eof", "reset")
        side.connection.close()
    else:
        client.connection.close()


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
    began = time.monotonic()
    with opened(sluice, wire) as client:
        side = held.wait()
        assert client.read_close(5) == 1001
        assert 0.8 < time.monotonic() - began < 5
        assert side.read_close(5) == 1001
        client.send(CLOSE, b"\x03\xe9")
        side.send(CLOSE, b"\x03\xe9")
        side.connection.close()
        client.wait_end(1.5)
    until(lambda: names.tunnels_open(sluice) == 0, 5)


@pytest.mark.parametrize("wire", ["h1", "h2"])
@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_byte_either_way_puts_the_idle_limit_off(tunnels, held, wire, sender):
    """Hardening 111: pings count. Each pause is shorter than the limit, all of them are longer."""
    sluice, _ = tunnels(held, idle_timeout=f"{int(1000 * SCALE)}ms")
    with opened(sluice, wire) as client:
        side, began = held.wait(), time.monotonic()
        talker, listener = (client, side) if sender == "client" else (side, client)
        for _ in range(5):
            nothing_comes(talker)
            talker.send(PING, b"x")
            assert listener.read_frame() == (PING, b"x", True)
        assert time.monotonic() - began > 1.9 * SCALE
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
def test_a_tunnel_lives_on_over_reloads_that_take_its_route_and_its_service(tunnels, pki, wire):
    """Hardening 111, 213: what runs ends under the configuration that it began with."""
    sluice, _ = tunnels()
    with opened(sluice, wire) as client:
        echoes(client, b"before")
        sluice.config_path.write_text(sluice.config_text + "# touched\n")
        sluice.reload()
        echoes(client, b"after the same")
        sluice.reload({
            "listeners": [secure_listener(pki.server), clear_listener()],
            "routes": [{"name": "other", "match": {"path": "/*"}, "respond": {"status": 204}}]})
        assert sluice.request(listener="clear").status == 204
        for turn in range(10):
            echoes(client, b"after the route has gone %d" % turn)
        assert names.tunnels_open(sluice) == 1
        echoes(client, b"x" * 200_000)


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
