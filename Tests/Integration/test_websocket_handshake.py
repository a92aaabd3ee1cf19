"""The handshake of a WebSocket, and other protocols that a client asks for with Upgrade (RFC 6455 §4, RFC 9110 §7.8; hardening 102 to 107)."""

import threading

import pytest

from conftest import h2_gateway
from sluice_harness import deadline, names, reply, request_bytes, until
from sluice_harness.websocket import BINARY, CLOSE, TEXT, WIRES, ServerSide, accept_of, asked, frame, handshake_fields, new_key, opened

MIB = 1 << 20


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


@pytest.mark.parametrize("wire", ["h1", "h2"])
def test_the_chain_runs_before_the_handshake_is_passed_on(tunnels, wire):
    """Hardening 108: who may not ask, opens no socket."""
    sluice, server = tunnels(middlewares={"nobody": {"ip_access": {"deny": ["0.0.0.0/0"]}}}, route={"middlewares": ["nobody"]})
    with asked(sluice, wire) as client:
        assert client.response.status == 403 and not server.heads
        assert sluice.entry(client.response)["reason"] == "ip_denied"


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
            client.send_body(stream, whole[:10], end=False)
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
