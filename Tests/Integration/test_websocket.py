"""WebSocket and other upgrades: the handshake, the tunnel, its end (hardening 94, 102 to 111; RFC 6455, RFC 8441)."""

import signal
import socket
import threading
from contextlib import ExitStack

import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

from conftest import clear_listener, proxied, secure_listener
from sluice_harness import StreamReset, Truncated, client_context, names, reply, request_bytes, until
from sluice_harness import frames as f
from sluice_harness.websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, ServerSide, WebSocket1, WebSocket2, accept_of, echo_script, frame,
                                      handshake_fields, new_key)
from sluice_harness.websocket_backend import WebSocketBackend

ROUTE = {"upgrade": ["websocket"]}


@pytest.fixture
def tunnelled(world, pki):
    """A daemon whose one route may be upgraded: `sluice, server = tunnelled(script)`; `server` is an echo unless told otherwise."""
    def start(script=echo_script, handler=None, route=None, service=None, behind=None, **blocks):
        made = behind or (world.backend(handler) if handler else world.backend(script=script))
        if behind:
            world.backends.append(behind)
        return world.gateway({
            "listeners": [clear_listener(), secure_listener(pki.server)],
            **proxied(made, route={**ROUTE, **(route or {})}, **(service or {})), **blocks}, tls={"secure": pki.root.ca_file}), made
    return start


def opened(sluice, over: str = "h1", path: str = "/", listener: str = "clear", **more):
    """A WebSocket over either protocol, with a connection of its own."""
    if over == "h1":
        return WebSocket1(sluice.connect(listener), path, **more)
    return WebSocket2(sluice.h2(listener), path, own_client=True, **more)


BOTH = pytest.mark.parametrize("over", ["h1", "h2"])


# The tunnel


@BOTH
@pytest.mark.parametrize("listener", ["clear", "secure"])
def test_messages_go_both_ways_and_the_tunnel_is_counted(tunnelled, over, listener):
    sluice, server = tunnelled()
    with opened(sluice, over, listener=listener) as web:
        assert web.open, web.response
        for message in (b"", b"hello", b"x" * 126, b"y" * 70_000):
            web.send(TEXT, message)
            assert web.read_message() == message
        assert names.wait_count(lambda: names.tunnels_open(sluice, route="all"), 1) == 1
        assert names.tunnels_total(sluice, route="all") == 1
        web.send(CLOSE, b"\x03\xe8bye")
        assert web.read_close() == 1000
        web.wait_end()
    until(lambda: names.tunnels_open(sluice, route="all") == 0, 5, "no tunnel is open")
    assert server.heads[0].header("upgrade").lower() == "websocket" and server.heads[0].method == "GET"


@BOTH
def test_fragments_pings_and_close_codes_pass_as_they_are(tunnelled, over):
    sluice, _ = tunnelled()
    with opened(sluice, over) as web:
        web.send(TEXT, b"one ", fin=False)
        assert web.read_frame() == (TEXT, b"one ", False)
        web.send(PING, b"ping")
        assert web.read_frame() == (PONG, b"ping", True)
        web.send(CONTINUATION, b"two", fin=True)
        assert web.read_frame() == (CONTINUATION, b"two", True)
        web.send(CLOSE, (4321).to_bytes(2, "big") + b"because")
        assert web.read_frame() == (CLOSE, (4321).to_bytes(2, "big") + b"because", True)


@BOTH
def test_bytes_that_are_no_frames_pass_too(tunnelled, over):
    """A tunnel is not inspected."""
    def script(connection):
        ServerSide(connection)
        while True:
            connection.fill()
            connection.send(connection.take(len(connection.buffer))[::-1])
    sluice, _ = tunnelled(script)
    with opened(sluice, over) as web:
        web.send_bytes(bytes(range(256)))
        assert web.exactly(256) == bytes(range(255, -1, -1))


@BOTH
@pytest.mark.memory
@pytest.mark.seconds(60)
def test_messages_of_sixteen_megabytes_pass_with_little_memory(tunnelled, over):
    sluice, _ = tunnelled()
    with opened(sluice, over) as web:
        web.send(BINARY, b"warm")
        web.read_message()
        before = sluice.rss_kib()
        message = bytes(range(256)) * 65536
        sender = None
        if over == "h1":
            sender = threading.Thread(target=web.send, args=(BINARY, message))
            sender.start()
            assert web.read_message(40) == message
            sender.join()
        else:
            # One thread: what comes back waits in the client while it sends.
            web.send(BINARY, message)
            assert web.read_message(40) == message
        assert sluice.rss_kib() - before < 8 << 10


@BOTH
def test_a_tunnel_with_back_pressure_stops_its_sender(tunnelled, over):
    """A backend that reads nothing: what is taken from the client is bounded."""
    gate = threading.Event()

    def script(connection):
        ServerSide(connection)
        gate.wait(20)
        connection.hang()
    sluice, _ = tunnelled(script)
    before = sluice.rss_kib()
    with opened(sluice, over) as web:
        assert web.open
        sent = 0
        if over == "h1":
            web.connection.socket.settimeout(1)
            try:
                while sent < 64 << 20:
                    sent += web.connection.socket.send(b"x" * 65536)
            except TimeoutError:
                pass
        else:
            try:
                while sent < 64 << 20:
                    web.client.send_body(web.stream, b"x" * 16384, end=False, timeout=1)
                    sent += 16384
            except TimeoutError:
                pass
        assert sent < 32 << 20, f"{sent} bytes were taken"
        assert sluice.rss_kib() - before < 16 << 10
        gate.set()


@pytest.mark.seconds(60)
def test_sixty_four_sockets_of_the_library_at_once_each_get_their_own_echo(tunnelled):
    """`websockets` on both ends."""
    server = WebSocketBackend()
    sluice, _ = tunnelled(behind=server)
    url = "ws://127.0.0.1:%d/" % sluice.ports["clear"]
    with ExitStack() as stack:
        clients = [stack.enter_context(websockets.sync.client.connect(url, compression=None, max_size=None)) for _ in range(64)]
        for turn in range(5):
            for number, client in enumerate(clients):
                client.send(f"{number} in turn {turn}")
            for number, client in enumerate(clients):
                assert client.recv(10) == f"{number} in turn {turn}"
        clients[0].send([b"a" * 1000, b"b" * 1000, b"c"])       # in fragments
        assert clients[0].recv(10) == b"a" * 1000 + b"b" * 1000 + b"c"
        clients[1].send(b"m" * (16 << 20))
        assert clients[1].recv(20) == b"m" * (16 << 20)
        for client in clients:
            client.close(4000, "enough")
    assert server.wait_closed(64) == [(4000, "enough")] * 64


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 3000, 4999])
def test_a_close_code_of_the_backend_reaches_the_client(tunnelled, code):
    server = WebSocketBackend()
    sluice, _ = tunnelled(behind=server)
    with websockets.sync.client.connect("ws://127.0.0.1:%d/" % sluice.ports["clear"], compression=None) as client:
        client.send(f"close {code}")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "as told")


def test_compression_is_agreed_on_between_the_ends(tunnelled):
    """Hardening 110: a tunnel that is not inspected lets the extension pass."""
    server = WebSocketBackend(compression="deflate")
    sluice, _ = tunnelled(behind=server)
    with websockets.sync.client.connect("ws://127.0.0.1:%d/" % sluice.ports["clear"]) as client:
        assert client.protocol.extensions
        client.send("text " * 1000)
        assert client.recv(10) == "text " * 1000


def test_a_subprotocol_is_agreed_on_between_the_ends(tunnelled):
    server = WebSocketBackend(subprotocols=["chat"])
    sluice, _ = tunnelled(behind=server)
    with websockets.sync.client.connect("ws://127.0.0.1:%d/" % sluice.ports["clear"], subprotocols=["chat", "other"]) as client:
        assert client.subprotocol == "chat"


def test_over_tls_the_library_connects_as_well(tunnelled, pki):
    server = WebSocketBackend()
    sluice, _ = tunnelled(behind=server)
    with websockets.sync.client.connect("wss://app.test:%d/" % sluice.ports["secure"], ssl=client_context(pki.root.ca_file, ("http/1.1",)),
                                        sock=socket.create_connection(sluice.address("secure")), server_hostname="app.test") as client:
        client.send("secret")
        assert client.recv(10) == "secret"


def test_many_tunnels_and_requests_share_one_http_2_connection(tunnelled):
    sluice, server = tunnelled(route={"match": {"path": "/ws/*"}})
    with sluice.h2("clear") as client:
        webs = [WebSocket2(client, f"/ws/{number}") for number in range(20)]
        for number, web in enumerate(webs):
            web.send(TEXT, b"%d" % number)
        assert client.request("GET", "/elsewhere").status == 404
        for number, web in enumerate(webs):
            assert web.read_message() == b"%d" % number
        webs[3].close()
        webs[4].send(TEXT, b"still here")
        assert webs[4].read_message() == b"still here"


# Its end


@BOTH
@pytest.mark.parametrize("who", ["client", "backend"])
def test_half_a_close_is_passed_on_and_the_other_half_goes_on(tunnelled, over, who):
    """Hardening 111."""
    ended = threading.Event()

    def script(connection):
        side = ServerSide(connection)
        if who == "client":
            assert connection.hang() == "eof"
            ended.set()
            side.send(TEXT, b"after the end")
        else:
            connection.half_close()
            assert side.read_frame()[1] == b"after the end"
            ended.set()
            connection.hang()
    sluice, server = tunnelled(script)
    with opened(sluice, over) as web:
        if who == "client":
            web.end_sending()
            assert ended.wait(5)
            assert web.read_message() == b"after the end"
            web.wait_end()
        else:
            if over == "h1":
                assert web.connection.read_to_end(5) == b""
                web.connection.socket.settimeout(5)
            else:
                web.client.pump(lambda: web.client.streams[web.stream].ended, 5, "END_STREAM")
            web.send(TEXT, b"after the end")
            assert ended.wait(5)


@BOTH
def test_a_backend_that_is_gone_ends_the_tunnel(tunnelled, over):
    def script(connection):
        ServerSide(connection).read_frame()
        connection.reset()
    sluice, _ = tunnelled(script)
    with opened(sluice, over) as web:
        web.send(TEXT, b"go")
        with pytest.raises((Truncated, AssertionError)):
            web.read_frame(5)


@BOTH
def test_a_client_that_is_gone_ends_the_tunnel(tunnelled, over):
    sluice, server = tunnelled()
    web = opened(sluice, over)
    web.send(TEXT, b"here")
    web.read_message()
    if over == "h1":
        web.connection.reset()
    else:
        web.client.reset_connection()
    server.connections[0].wait_end()
    until(lambda: names.tunnels_open(sluice) == 0, 5, "no tunnel is open")


def test_rst_stream_ends_one_tunnel(tunnelled):
    sluice, server = tunnelled()
    with sluice.h2("clear") as client:
        one, two = WebSocket2(client, "/1"), WebSocket2(client, "/2")
        one.close()
        server.connections[0].wait_end()
        two.send(TEXT, b"still here")
        assert two.read_message() == b"still here"


@BOTH
def test_an_idle_tunnel_ends_with_its_time_and_traffic_in_either_direction_keeps_it(tunnelled, over):
    """Hardening 111."""
    def script(connection):
        side = ServerSide(connection)
        for _ in range(6):
            threading.Event().wait(0.5)
            side.send(PING, b"")
        connection.hang()
    sluice, server = tunnelled(script, route={"websocket": {"idle_timeout": "2s"}})
    with opened(sluice, over) as web:
        for _ in range(6):
            assert web.read_frame(5)[0] == PING
        try:
            opcode, payload, _ = web.read_frame(10)
            assert opcode == CLOSE, (opcode, payload)
        except (Truncated, AssertionError, StreamReset):
            pass
    server.connections[0].wait_end(10)


@BOTH
def test_the_idle_limits_of_requests_are_not_those_of_tunnels(tunnelled, over):
    sluice, _ = tunnelled(limits={"keepalive_timeout": "1s", "header_timeout": "1s", "body_idle_timeout": "1s", "write_timeout": "1s"},
                          service={"timeouts": {"idle": "1s", "response": "1s"}, "pool": {"idle_timeout": "1s"}})
    with opened(sluice, over) as web:
        web.send(TEXT, b"one")
        assert web.read_message() == b"one"
        with pytest.raises(TimeoutError):
            web.read_frame(2.5)
        web.send(TEXT, b"two")
        assert web.read_message() == b"two"


@BOTH
@pytest.mark.seconds(60)
def test_a_drain_sends_1001_to_both_ends(tunnelled, over):
    """Hardening 111; B.11."""
    codes = []

    def script(connection):
        side = ServerSide(connection)
        while True:
            opcode, payload, _ = side.read_frame()
            if opcode == CLOSE:
                codes.append(int.from_bytes(payload[:2], "big"))
                side.send(CLOSE, payload)
                return
            side.send(opcode, payload)
    sluice, server = tunnelled(script, server={"drain_timeout": "2s"})
    with opened(sluice, over) as web:
        web.send(TEXT, b"before")
        assert web.read_message() == b"before"
        sluice.signal(signal.SIGTERM)
        assert web.read_close(10) == 1001
        web.send(CLOSE, (1001).to_bytes(2, "big"))
    assert sluice.wait_exit(10) == 0
    assert codes in ([], [1001])


@BOTH
def test_a_reload_leaves_the_tunnels_alone(tunnelled, over):
    sluice, server = tunnelled()
    with opened(sluice, over) as web:
        for turn in range(3):
            sluice.reload()
            web.send(TEXT, b"turn %d" % turn)
            assert web.read_message() == b"turn %d" % turn


# The handshake


@pytest.mark.parametrize("answer", ["200", "404", "500", "426"])
@BOTH
def test_an_answer_other_than_101_is_an_ordinary_answer(tunnelled, over, answer):
    """Hardening 103."""
    sluice, server = tunnelled(script=lambda connection: (connection.read_head(), connection.send(reply(int(answer), b"no tunnel"))))
    if over == "h1":
        with sluice.connect("clear") as client:
            client.send(request_bytes("GET", "/", handshake_fields(new_key())) + b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")
            response = client.read_response()
            assert (response.status, response.body) == (int(answer), b"no tunnel")
    else:
        with opened(sluice, over) as web:
            assert web.response.status == int(answer)
    assert len(server.heads) == 1 and b"/smuggled" not in bytes(server.connections[0].received)


def test_bytes_behind_the_handshake_wait_for_the_101(tunnelled):
    """Hardening 103: an eager client's frames are kept, not sent early, and not parsed as a request."""
    gate = threading.Event()
    early = []

    def script(connection):
        side = ServerSide(connection, accept=False)
        gate.wait(10)
        early.append(bytes(connection.buffer))
        connection.send(side.acceptance())
        side.echo()
    sluice, server = tunnelled(script)
    with sluice.connect("clear") as client:
        key = new_key()
        client.send(request_bytes("GET", "/", handshake_fields(key)) + frame(TEXT, b"eager"))
        server.wait_heads(1)
        gate.set()
        response = client.read_response()
        assert response.status == 101 and response.header("sec-websocket-accept") == accept_of(key)
        assert client.read_until(b"eager").endswith(b"eager")
    assert early == [b""]


WRONG = {
    "a wrong accept": lambda side: side.acceptance(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "no accept": lambda side: b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "another protocol": lambda side: side.acceptance(protocol="other"),
    "no upgrade": lambda side: b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
    "no connection": lambda side: f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept_of(side.request.header('sec-websocket-key'))}\r\n\r\n".encode(),
    "two protocols": lambda side: side.acceptance(protocol="websocket, other"),
    "a length": lambda side: side.acceptance(more="Content-Length: 5\r\n"),
}


@BOTH
@pytest.mark.parametrize("case", WRONG)
def test_a_101_that_is_not_the_one_asked_for_is_502(tunnelled, over, case):
    """Hardening 103, 106."""
    def script(connection):
        side = ServerSide(connection, accept=False)
        connection.send(WRONG[case](side))
        connection.hang()
    sluice, server = tunnelled(script)
    with opened(sluice, over) as web:
        if case == "a length" and web.response.status in (101, 200):
            return      # RFC 9110 §8.6: such a field has no meaning there
        assert web.response.status == 502, web.response
    server.connections[0].wait_end()


def test_a_101_that_nobody_asked_for_is_502(tunnelled):
    sluice, server = tunnelled(script=lambda connection: (connection.read_head(), connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), connection.hang()))
    assert sluice.request("GET", "/", listener="clear").status == 502


REFUSED = {
    "no key": ("GET", [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")], 400),
    "a short key": ("GET", handshake_fields("c2hvcnQ="), 400),
    "a key that is not base64": ("GET", handshake_fields("!" * 24), 400),
    "two keys": ("GET", [*handshake_fields(new_key()), ("Sec-WebSocket-Key", new_key())], 400),
    "no version": ("GET", handshake_fields(new_key(), version=None), 426),
    "version 8": ("GET", handshake_fields(new_key(), version="8"), 426),
    "POST": ("POST", [*handshake_fields(new_key())], 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_handshake_that_is_wrong_is_refused_here(tunnelled, case):
    """Hardening 106; RFC 6455 §4.2."""
    method, fields, status = REFUSED[case]
    sluice, server = tunnelled()
    response = sluice.request(method, "/", fields, listener="clear", body=b"" if method == "POST" else None)
    assert response.status == status or (case == "POST" and response.status in (400, 405)), response
    if status == 426:
        assert response.header("sec-websocket-version") == "13"
    assert server.heads == []


@pytest.mark.parametrize("fields, body", [([("Content-Length", "5")], b"hello"), ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n")], ids=["length", "chunked"])
def test_a_handshake_with_a_body_is_refused_and_closed(tunnelled, fields, body):
    """Hardening 104."""
    sluice, server = tunnelled()
    with sluice.connect("clear") as client:
        client.send(request_bytes("GET", "/", [*handshake_fields(new_key()), *fields]) + body)
        response = client.read_response()
        assert response.status == 400 and response.header("connection") == "close"
        client.expect_closed()
    assert server.heads == []


@pytest.mark.parametrize("upgrade", ["foo", "h2c", "websocket2", "TLS/1.3", "web socket", "websocket/13"])
def test_a_token_that_is_not_listed_is_taken_out_and_the_request_goes_on(tunnelled, upgrade):
    """Hardening 94, 105."""
    sluice, server = tunnelled(handler=lambda request, connection: reply(200, b"plain"))
    response = sluice.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", upgrade), ("HTTP2-Settings", "AAMAAABk")], listener="clear")
    assert (response.status, response.body) == (200, b"plain") or (response.status == 400 and " " in upgrade), response
    for request in server.requests:
        assert not request.all("upgrade") and "upgrade" not in (request.header("connection") or "").lower()


def test_of_several_tokens_only_the_listed_one_is_offered(tunnelled):
    """Hardening 105."""
    sluice, server = tunnelled()
    with sluice.connect("clear") as client:
        response = client.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "h2c, websocket, foo"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", new_key())])
        assert response.status == 101
        assert server.heads[0].header("upgrade") == "websocket"


def test_without_the_list_there_is_no_upgrade(simple):
    sluice, server = simple(lambda request, connection: reply(200, b"plain"))
    response = sluice.request("GET", "/", handshake_fields(new_key()))
    assert response.status == 200 and not server.requests[0].all("upgrade")


def test_http_1_0_cannot_upgrade(tunnelled):
    """RFC 9110 §7.8."""
    sluice, server = tunnelled(handler=lambda request, connection: reply(200, b"plain"))
    with sluice.connect("clear") as client:
        assert client.request("GET", "/", handshake_fields(new_key()), version="HTTP/1.0").status == 200
    assert not server.requests[0].all("upgrade")


def test_connection_must_name_the_upgrade(tunnelled):
    sluice, server = tunnelled(handler=lambda request, connection: reply(200, b"plain"))
    response = sluice.request("GET", "/", [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", new_key())], listener="clear")
    assert response.status == 200 and not server.requests[0].all("upgrade")


def test_another_protocol_that_a_route_lists_is_tunnelled(tunnelled):
    def script(connection):
        request = connection.read_head()
        assert request.header("upgrade") == "chat/2"
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/2\r\n\r\nhello")
        connection.fill()
        connection.send(connection.take(len(connection.buffer)).upper())
        connection.close()
    sluice, server = tunnelled(script, route={"upgrade": ["websocket", "chat/2"]})
    with sluice.connect("clear") as client:
        response = client.request("GET", "/", [("Connection", "upgrade"), ("Upgrade", "chat/2")])
        assert response.status == 101 and response.header("upgrade") == "chat/2"
        assert client.read_until(b"hello")
        client.send(b"shout")
        assert client.read_to_end() == b"SHOUT"
    assert names.tunnels_total(sluice, route="all") == 1


# Origin


ORIGINS = {
    "https://app.example.com": True, "https://a.sites.example.com": True, None: True,
    "https://evil.test": False, "null": False, "https://app.example.com.evil.test": False, "http://app.example.com": False,
    "https://app.example.com:8443": False, "https://xapp.example.com": False, "https://sites.example.com": False, "": False,
    "https://app.example.com, https://evil.test": False, "HTTPS://APP.EXAMPLE.COM": True,
}


@BOTH
@pytest.mark.parametrize("origin", ORIGINS)
def test_the_list_of_origins_decides_who_may_open_one(tunnelled, over, origin):
    """Hardening 107."""
    sluice, server = tunnelled(route={"websocket": {"origins": ["https://app.example.com", "https://*.sites.example.com"]}})
    with opened(sluice, over, origin=origin) as web:
        assert web.open == ORIGINS[origin], web.response
        if not web.open:
            assert web.response.status == 403
            assert server.heads == []


@pytest.mark.parametrize("origin, lets", [("http://app.test", True), ("https://app.test", True), ("https://other.test", False), ("null", False)])
def test_without_a_list_only_pages_of_the_same_host_may(tunnelled, origin, lets):
    sluice, _ = tunnelled()
    with opened(sluice, origin=origin) as web:
        assert web.open == lets, web.response


def test_two_origins_are_refused(tunnelled):
    sluice, server = tunnelled(route={"websocket": {"origins": ["https://app.example.com"]}})
    response = sluice.request("GET", "/", handshake_fields(new_key(), more=[("Origin", "https://app.example.com"), ("Origin", "https://evil.test")]), listener="clear")
    assert response.status in (400, 403) and server.heads == []


def test_an_ordinary_request_of_that_route_is_not_asked_for_its_origin(tunnelled):
    sluice, _ = tunnelled(handler=lambda request, connection: reply(200), route={"websocket": {"origins": ["https://app.example.com"]}})
    assert sluice.request("GET", "/", [("Origin", "https://evil.test")], listener="clear").status == 200


def test_middlewares_run_before_the_handshake_is_passed_on(tunnelled):
    """Hardening 108."""
    sluice, server = tunnelled(route={"middlewares": ["closed"]}, middlewares={"closed": {"ip_access": {"deny": ["127.0.0.0/8"]}}})
    with opened(sluice) as web:
        assert web.response.status == 403
    assert server.heads == []


# RFC 8441


def test_the_setting_says_that_extended_connect_is_understood(tunnelled):
    """RFC 8441 §3."""
    sluice, _ = tunnelled()
    with sluice.h2("clear") as client:
        assert client.wait_settings()[f.ENABLE_CONNECT_PROTOCOL] == 1


def test_the_backend_gets_a_whole_handshake_of_http_1_1_with_a_key_of_ours(tunnelled):
    """RFC 8441 §5: there is no key in HTTP/2."""
    sluice, server = tunnelled()
    with opened(sluice, "h2", "/path?q=1", headers=[("sec-websocket-protocol", "chat"), ("x-mine", "1")]) as web:
        assert web.open and web.response.header("sec-websocket-accept") is None
        head = server.heads[0]
        assert (head.method, head.target, head.header("host"), head.header("x-mine")) == ("GET", "/path?q=1", "app.test", "1")
        assert len(head.header("sec-websocket-key")) == 24 and head.header("sec-websocket-version") == "13"
        assert head.header("sec-websocket-protocol") == "chat"


def test_extended_connect_where_the_route_has_no_upgrade_is_refused(world):
    server = world.backend()
    sluice = world.gateway({"listeners": [clear_listener()], **proxied(server)})
    with sluice.h2() as client:
        try:
            web = WebSocket2(client, "/")
            assert web.response.status in (400, 403, 404, 405, 501), web.response
        except StreamReset as reset:
            assert reset.code in (f.PROTOCOL_ERROR, f.REFUSED_STREAM, f.CONNECT_ERROR)
        assert client.request().status == 200
    assert [head.target for head in server.heads if head.method != "GET" or head.all("upgrade")] == []


def test_data_of_an_http_2_tunnel_that_looks_like_a_request_is_data(tunnelled):
    """Hardening 102."""
    got = []

    def script(connection):
        ServerSide(connection)
        while b"END" not in connection.buffer:
            connection.fill()
        got.append(bytes(connection.buffer))
        connection.close()
    sluice, server = tunnelled(script)
    with opened(sluice, "h2") as web:
        web.send_bytes(b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\nEND")
        web.wait_end()
    assert got == [b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\nEND"] and len(server.heads) == 1


def test_an_access_log_line_tells_of_a_tunnel_when_it_ends(tunnelled):
    sluice, _ = tunnelled()
    with opened(sluice) as web:
        web.send(TEXT, b"x" * 1000)
        web.read_message()
    entry = sluice.wait_access(1)[0]
    assert entry["status"] == 101 and entry["bytes_out"] >= 1000

