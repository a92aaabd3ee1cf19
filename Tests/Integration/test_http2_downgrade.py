"""From HTTP/2 to HTTP/1.1: nothing in a name, a value or a pseudo-header becomes a line of its own (hardening 87, 88, 90, 93)."""

import pytest

from conftest import h2_gateway
from sluice_harness import reply

TOKEN = set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
VALUE = {9, *range(0x20, 0x7F), *range(0x80, 0x100)}


@pytest.fixture(scope="module")
def road(module_world):
    server = module_world.backend(lambda request, connection: reply(200, b"ok"))
    return h2_gateway(module_world, server, http2={"max_resets": 100_000, "max_control_frames": 100_000},
                      limits={"requests_per_connection": 1_000_000}), server


@pytest.fixture(autouse=True)
def fresh(road):
    """What the tests before have left does not count."""
    for left in (road[1].requests, road[1].heads, road[1].violations):
        left.clear()


def outcome(client, fields, end: bool = True, then=None):
    """The status of the answer, or None where the stream is refused."""
    stream = client.start_raw(fields, end)
    if then:
        then(stream)
    state = client.streams[stream]
    client.pump(lambda: state.over or client.goaways, 5, f"an answer to {fields}")
    assert not client.goaways, (client.goaways, fields)
    return state.status if state.ended else None


def head(path="/byte", method="GET", more=(), authority="app.test", scheme="http"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


@pytest.mark.parametrize("place", ["first", "middle", "last", "alone"])
@pytest.mark.seconds(60)
def test_each_byte_in_a_value_is_forwarded_as_it_is_or_refused(road, place):
    """Hardening 90: all 256."""
    sluice, server = road
    client = sluice.h2()
    for byte in range(256):
        value = {"first": bytes([byte]) + b"ab", "middle": b"a" + bytes([byte]) + b"b", "last": b"ab" + bytes([byte]), "alone": bytes([byte])}[place]
        status = outcome(client, head(f"/value/{byte}", more=[("x-probe", value)]))
        arrived = [request for request in server.requests if request.target == f"/value/{byte}"]
        whitespace = byte in (0x20, 0x09) and place != "middle"
        if byte in VALUE and not whitespace:
            assert status == 200 and [v for n, v in arrived[0].headers if n.lower() == b"x-probe"] == [value], (byte, status)
        else:
            assert status in (None, 400) and arrived == [], (byte, status)
    client.close()
    assert len(server.requests) == len([byte for byte in range(256) if byte in VALUE and not (byte in (0x20, 9) and place != "middle")])
    assert server.violations == []


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.seconds(60)
def test_each_byte_in_a_name_is_forwarded_as_it_is_or_refused(road, place):
    """RFC 9113 §8.2.1: all 256."""
    sluice, server = road
    client = sluice.h2()
    for byte in range(256):
        name = {"first": bytes([byte]) + b"probe", "middle": b"pro" + bytes([byte]) + b"be", "last": b"probe" + bytes([byte])}[place]
        status = outcome(client, head(f"/name/{byte}", more=[(name, b"here")]))
        arrived = [request for request in server.requests if request.target == f"/name/{byte}"]
        if byte in TOKEN:
            assert status in ((200, 400) if byte == ord("_") else (200,)), (byte, status)
            if status == 200 and byte != ord("_"):
                assert [v for n, v in arrived[0].headers if n.lower() == name] == [b"here"], byte
        else:
            assert status in (None, 400) and arrived == [], (byte, status)
    client.close()
    assert server.violations == []


@pytest.mark.parametrize("pseudo", [":path", ":authority", ":method", ":scheme"])
@pytest.mark.seconds(60)
def test_each_byte_in_a_pseudo_header_changes_one_line_or_nothing(road, pseudo):
    """Hardening 87, 88."""
    sluice, server = road
    client = sluice.h2()
    for byte in range(256):
        made = {":path": lambda: head(b"/p" + bytes([byte]) + b"q"), ":authority": lambda: head(authority=b"app" + bytes([byte]) + b"test"),
                ":method": lambda: head(method=b"GE" + bytes([byte])), ":scheme": lambda: head(scheme=b"htt" + bytes([byte]))}[pseudo]()
        server.requests.clear()
        status = outcome(client, made)
        assert len(server.requests) <= 1, (byte, server.requests)
        if byte <= 0x20 or byte == 0x7F:
            assert status in (None, 400, 501) and server.requests == [], (byte, status)
        for request in server.requests:
            assert request.header("host") is not None and b"\r" not in request.target.encode() and " " not in request.target
    client.close()
    assert server.violations == []


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"

INJECTIONS = {
    "a line in a value": head("/inject", more=[("x", "a\r\nX-Injected: 1")]),
    "a request in a value": head("/inject", more=[("x", f"a\r\n\r\n{SMUGGLED}")]),
    "a bare LF in a value": head("/inject", more=[("x", "a\nX-Injected: 1")]),
    "a line in a name": head("/inject", more=[("x: a\r\nx-injected", "1")]),
    "a colon and a value in a name": head("/inject", more=[("transfer-encoding: chunked", "x")]),
    "a request in the path": head(f"/inject HTTP/1.1\r\nHost: app.test\r\n\r\n{SMUGGLED}"),
    "a version in the path": head("/inject HTTP/1.0"),
    "a request in the method": head("/inject", method=f"{SMUGGLED}GET"),
    "a request line in the method": head("/inject", method="GET /smuggled HTTP/1.1\r\nX:"),
    "a line in the authority": head("/inject", authority="app.test\r\nX-Injected: 1"),
    "a line in the scheme": head("/inject", scheme="http\r\nX-Injected: 1"),
    "a scheme that is a URL": head("/inject", scheme="http://evil.test/?x="),
    "a chunked coding": head("/inject", method="POST", more=[("transfer-encoding", "chunked")]),
    "a chunked coding in other case": head("/inject", method="POST", more=[("Transfer-Encoding", "chunked")]),
    "a chunked coding with an underscore": head("/inject-twin", method="POST", more=[("transfer_encoding", "chunked")]),
    "a connection field": head("/inject", more=[("connection", "x-forwarded-for")]),
    "a host beside the authority": head("/inject", more=[("host", "evil.test")]),
    "a length that is a list": head("/inject", method="POST", more=[("content-length", "0, 5")]),
    "a length with CRLF": head("/inject", method="POST", more=[("content-length", "0\r\n\r\nGET")]),
}


@pytest.mark.parametrize("case", INJECTIONS)
def test_an_injected_line_or_request_reaches_no_backend(road, case):
    """Hardening 87."""
    sluice, server = road
    with sluice.h2() as client:
        stream = client.start_raw(INJECTIONS[case])
        state = client.streams[stream]
        client.pump(lambda: state.over or client.goaways, 5, "an answer")
        assert state.reset is not None or client.goaways or state.status in (400, 404, 501) or "twin" in str(INJECTIONS[case]), state
    with sluice.h2() as other:
        assert other.request("GET", "/marker").status == 200
    seen = [request.target for request in server.heads]
    assert seen in (["/marker"], ["/inject-twin", "/marker"]), seen
    assert not [field for request in server.heads for field in request.headers if field[0].lower() in (b"x-injected", b"transfer_encoding")]
    assert server.violations == []


@pytest.mark.parametrize("case", ["no length", "a length", "one byte a frame"])
def test_a_body_is_framed_anew(road, case):
    """A body that looks like a request stays a body."""
    sluice, server = road
    body = f"0\r\n\r\n{SMUGGLED}".encode()
    with sluice.h2() as client:
        more = [("content-length", str(len(body)))] if case == "a length" else []
        stream = client.start("POST", "/framed", more, end=False)
        if case == "one byte a frame":
            for at in range(len(body)):
                client.data(stream, body[at:at + 1])
            client.data(stream, b"", end_stream=True)
        else:
            client.send_body(stream, body)
        assert client.finish(stream).status == 200
    assert [(request.target, request.body) for request in server.requests] == [("/framed", body)]


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "POST"])
def test_a_request_without_a_body_has_no_length_of_its_own_invention(road, method):
    sluice, server = road
    with sluice.h2() as client:
        assert client.request(method, "/none").status == 200
    request = server.requests[0]
    assert not request.chunked and request.header("content-length") in ((None, "0") if method == "POST" else (None,))


@pytest.mark.parametrize("trailers", [[("x-injected", "a\r\nb: c")], [("transfer-encoding", "chunked")], [("content-length", "5")], [("host", "evil.test")],
                                      [("authorization", "Bearer x")], [(":path", "/x")]], ids=str)
def test_trailers_change_nothing_of_the_head(road, trailers):
    """RFC 9110 §6.5.1: a field that decides about framing, routing or rights has no place in trailers."""
    sluice, server = road
    with sluice.h2() as client:
        stream = client.start("POST", "/trailing", end=False)
        client.send_body(stream, b"x", end=False)
        client.headers(stream, trailers, end_stream=True, literal=True)
        state = client.streams[stream]
        client.pump(lambda: state.over or client.goaways, 5, "an answer")
    for request in server.requests:
        names = [name.lower() for name, _ in request.trailers]
        assert not set(names) & {b"transfer-encoding", b"content-length", b"host", b"authorization", b"x-injected"}, request.trailers
    assert server.violations == []


def test_from_http_1_1_fields_of_the_connection_do_not_reach_http_2(world):
    """Hardening 93, the other way round: the backend speaks h2, and h2 refuses what must not be there."""
    server = world.h2_backend(lambda stream: stream.reply(200, b"ok"))
    sluice = h2_gateway(world, server)
    response = sluice.request("GET", "/", [("Connection", "keep-alive, X-Drop"), ("X-Drop", "1"), ("Keep-Alive", "timeout=5"), ("TE", "trailers, gzip"),
                                           ("Proxy-Connection", "keep-alive"), ("X-Keep", "Mixed Case")], listener="clear")
    assert response.status == 200
    names = {name for name, _ in server.streams[0].headers}
    assert b"x-keep" in names and not names & {b"connection", b"keep-alive", b"x-drop", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host"}
    assert server.streams[0].all("te") in ([], ["trailers"]) and all(name == name.lower() for name in names)
    assert server.streams[0].authority == "app.test" and server.streams[0].pseudo[":scheme"] == "http"


def test_fields_of_the_connection_from_a_backend_do_not_reach_a_client_of_http_2(road, world):
    """Hardening 93: the client of the harness refuses them."""
    server = world.backend(lambda request, connection: reply(200, b"ok", [
        ("Connection", "keep-alive, X-Drop"), ("X-Drop", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close"), ("Upgrade", "h2c"), ("X-Keep", "1")]))
    sluice = h2_gateway(world, server)
    with sluice.h2() as client:
        response = client.request()
        assert response.header("x-keep") == "1" and response.header("x-drop") is None


def test_names_from_a_backend_are_in_lower_case(world):
    server = world.backend(lambda request, connection: reply(200, b"ok", [("X-Mixed-Case", "Stays")], chunked=True))
    with h2_gateway(world, server).h2() as client:
        assert (b"x-mixed-case", b"Stays") in client.request().headers


def test_header_names_that_http_1_1_would_take_for_trusted_ones_are_dropped(road):
    """B.3: underscore twins of what the gateway sets."""
    sluice, server = road
    with sluice.h2() as client:
        response = client.request("GET", "/twins", [("x_forwarded_for", "6.6.6.6"), ("x-forwarded-for", "6.6.6.6"), ("x_request_id", "evil-evil-evil")])
    if response.status == 200:
        assert not [value for name, value in server.requests[0].headers if b"6.6.6.6" in value or b"evil" in value]
    else:
        assert response.status == 400


def test_the_protocol_of_the_client_stands_in_via_and_in_the_log(road):
    sluice, server = road
    with sluice.h2() as client:
        response = client.request("GET", "/via")
    assert server.requests[0].header("via").startswith("2 sluice")
    assert sluice.entry(response)["http_version"] in ("2", "2.0")

