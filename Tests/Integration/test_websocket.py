"""WebSocket: messages go both ways, over HTTP/1.1 and HTTP/2, and what is counted of them (RFC 6455, RFC 8441; hardening 102 to 111)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import UPGRADES, both_listeners, h2_gateway
from sluice_harness import names, reply, until
from sluice_harness.websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WIRES, ServerSide, WebSocket2, asked,
                                      echoes, ends, frame, handshake_fields, library, new_key, nothing_comes, opened, until_stuck)
from sluice_harness.websocket_backend import WebSocketBackend

MIB = 1 << 20


# Echo


@pytest.mark.parametrize("wire", WIRES)
def test_messages_of_every_size_of_length_come_back_as_they_were_sent(tunnels, wire):
    sluice, _ = tunnels()
    with opened(sluice, wire, "/chat?room=1") as client:
        for size in (0, 1, 125, 126, 65535, 65536, 300_000):
            echoes(client, b"x" * size)
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


@pytest.mark.parametrize("wire", WIRES)
def test_bytes_that_are_no_frames_pass_as_well(tunnels, wire):
    """Hardening 109: a tunnel follows the frames and judges nothing."""
    def script(connection):
        side = ServerSide(connection)
        connection.send(b"\xff\xff no frames: " + side.exactly(20))
        connection.hang()
    sluice, _ = tunnels(script)
    with opened(sluice, wire) as client:
        client.send_bytes(b"\x8f\xfe neither are these")
        assert client.exactly(34) == b"\xff\xff no frames: \x8f\xfe neither are these"


@pytest.mark.parametrize("wire", ["h1", "h1-tls"])
def test_compression_is_agreed_on_between_the_two_ends(world, pki, wire):
    """Hardening 110."""
    server = WebSocketBackend(compression="deflate")
    world.backends.append(server)
    sluice = both_listeners(world, pki, server, route=UPGRADES)
    with library(sluice, wire, compression="deflate") as client:
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        client.send("x" * 1_000_000)
        assert client.recv(10) == "x" * 1_000_000
        client.close()
    assert sluice.wait_access()[0]["bytes_in"] < 20_000


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
            assert client.request("GET", "/", handshake_fields(new_key())).status == 500
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
    until(lambda: names.tunnels_open(sluice) == 0, 5, "the tunnel is gone")
    with opened(sluice, "h1") as third:
        held.wait(2).send(TEXT, b"the place is free")
        assert third.read_frame()[1] == b"the place is free"


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_the_time_limits_of_requests_and_of_idle_connections_do_not_end_a_tunnel(tunnels, held, wire):
    sluice, _ = tunnels(held, route={"timeouts": {"request": "1s", "idle": "1s", "response": "1s"}},
                        limits={"keepalive_timeout": "1s", "header_timeout": "1s", "body_idle_timeout": "1s"},
                        service={"pool": {"idle_timeout": "1s"}})
    with opened(sluice, wire) as client:
        side = held.wait()
        nothing_comes(client, 2)
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
