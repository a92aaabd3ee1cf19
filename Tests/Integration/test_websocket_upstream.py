"""WebSockets to backends of HTTP/2 and to backends with TLS (RFC 8441)."""

import signal
import ssl
import threading

import pytest

from conftest import UPGRADES, both_listeners, clear_listener, tls_backend_context
from sluice_harness import Backend, H2Backend, Truncated, deadline, names, until
from sluice_harness.backend import Hangup
from sluice_harness.h2_backend import H2BackendConnection, expect_preface
from sluice_harness.websocket import BINARY, CLOSE, TEXT, WIRES, FrameReader, asked, echo_script, echoes, frame, opened

MIB = 1 << 20


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
                                 ":authority": "app.test"}
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
@pytest.mark.parametrize("at_once", [True, False])
def test_a_tunnel_that_its_backend_of_http2_has_ended_does_not_outlive_the_connection(over_h2, wire, at_once):
    """What the backend has said arrives; the client leaves its own side open, and nobody is there to hear it."""
    go = threading.Event()

    def handler(stream):
        stream.head(200)
        if at_once:
            assert go.wait(10)
        stream.send(b"last words" * 4000, end=True)
        if not at_once:
            assert go.wait(10)
        stream.connection.close()
    sluice, server = over_h2(handler)
    slow = {"window": 100} if wire == "h2" else {"receive_buffer": 4096}
    with opened(sluice, wire, connection=slow) as client:
        if at_once:
            with sluice.stopped():
                go.set()
                until(lambda: server.connections[0].ended, 5, "it is gone")
        assert client.exactly(40_000) == b"last words" * 4000
        client.wait_end()
        go.set()
        until(lambda: names.tunnels_open(sluice) == 0, 5, "the tunnel ends")


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
    sluice = world.gateway(listeners=[clear_listener()], routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": "here"}}])
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
    inner.check_descriptors = False     # the outer one keeps a connection to it
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
