"""gRPC on the wire: the frames, fields and statuses that the gateway passes on, and those that it sends itself, seen by a raw client.

Whole calls of grpcio are in test_grpc_calls.py (hardening 112 to 115, 39)."""

import time
import urllib.parse

import pytest

from conftest import PATIENT, h2_gateway
from sluice_harness import frames as f
from sluice_harness.grpc_backend import CALL, SERVICE, UNARY, grpc_server, message
from sluice_harness.process import free_port
from sluice_harness.waiting import seconds

ELSEWHERE = [{"name": "other", "match": {"path": "/other/*"}, "service": "app"}]


def before(world, *servers, service=None, **more):
    """A daemon that takes HTTP/2 and HTTP/1.1 in clear text, before these servers."""
    return h2_gateway(world, *servers, service={**PATIENT, **(service or {})}, **more)


# How a call ends


def test_an_answer_that_is_all_trailers_ends_with_its_head(world):
    """Hardening 114: a method that is not there."""
    sluice = before(world, grpc_server(world))
    with sluice.h2() as client:
        response = client.request("POST", f"/{SERVICE}/Nowhere", CALL, message())
        assert response.status == 200 and response.header("grpc-status") == "12"
        only_head(client, response)


def test_trailers_behind_no_message_arrive(world):
    """Hardening 114: a head, no data, trailers."""
    def handler(stream):
        stream.read_body()
        stream.head(200, [("content-type", "application/grpc")])
        stream.end([("grpc-status", "5"), ("grpc-message", "none of it"), ("x-more", "1"), ("x-more", "2")])
    sluice = before(world, world.h2_backend(handler))
    with sluice.h2() as client:
        response = client.request("POST", UNARY, CALL, message())
        assert response.body == b"" and response.status == 200
        assert response.trailers == [(b"grpc-status", b"5"), (b"grpc-message", b"none of it"), (b"x-more", b"1"), (b"x-more", b"2")]
    assert sluice.wait_access(1)[0]["grpc_status"] == 5


@pytest.mark.parametrize("down", ["h1", "h2"])
@pytest.mark.parametrize("protocol", ["h2c", "http/1.1"])
def test_the_status_in_the_trailers_reaches_the_client(world, down, protocol):
    """Over HTTP/1.1 the answer is chunked, on either side."""
    if protocol == "h2c":
        server = grpc_server(world)
    else:
        server = world.backend(lambda request, connection: (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n"
            b"%x\r\n%s\r\n0\r\ngrpc-status: 0\r\n\r\n" % (len(request.body), request.body)))
    sluice = before(world, {"url": server.url, "protocol": protocol})
    with (sluice.h2() if down == "h2" else sluice.connect("clear")) as client:
        response = client.request("POST", UNARY, CALL, message(b"call"))
        assert response.status == 200 and response.body == message(b"call") and response.framing == ("chunked" if down == "h1" else "")
        assert (b"grpc-status", b"0") in [(name.lower(), value) for name, value in response.trailers]
    assert sluice.wait_access(1)[0]["grpc_status"] == 0


# What the gateway refuses itself


def refused(response, code: int):
    """HTTP 200 with the status in the head, which ends the stream."""
    assert response.status == 200 and response.header("grpc-status") == str(code), response
    assert response.header("content-type") == "application/grpc"
    assert response.header("grpc-message").isascii() and response.header("grpc-message").isprintable()
    words = urllib.parse.unquote(response.header("grpc-message"), errors="strict")
    assert words.isprintable() and len(words) > 5, words
    assert response.body == b"" and response.header("x-request-id")


def only_head(client, response):
    assert not response.has_trailers and response.pieces == []
    heads = [frame for frame in client.frames_seen if isinstance(frame, f.HeadersFrame) and frame.stream_id == response.stream]
    assert len(heads) == 1 and "END_STREAM" in heads[0].flags, heads


def closed_port(world) -> dict:
    return {"url": f"http://127.0.0.1:{free_port()}", "protocol": "h2c"}


DENIED = {"middlewares": {"m": {"ip_access": {"deny": ["127.0.0.0/8"]}}}}
OFF = {"enabled": False}
REFUSALS = {
    # status, reason in the log, how the daemon is made, more fields
    "no route": (12, "no_route", lambda world, server: before(world, server, routes=ELSEWHERE), []),
    "method": (12, "method_not_allowed", lambda world, server: before(
        world, server, routes=[{"name": "get", "match": {"path": "/*", "methods": ["GET"]}, "service": "app"}]), []),
    "backend refuses": (14, "connect_refused", lambda world, server: before(world, closed_port(world)), []),
    "no instance": (14, "no_healthy_instance", lambda world, server: before(
        world, closed_port(world), service={"health_check": {"type": "tcp", "interval": "60s"}}), []),
    "ip_access": (7, "ip_denied", lambda world, server: before(world, server, route={"middlewares": ["m"]}, **DENIED), []),
    "maintenance": (14, "maintenance", lambda world, server: before(world, server, route={"maintenance": True}), []),
    "body too large": (8, "body_too_large", lambda world, server: before(world, server, limits={"request_body": "4B"}), []),
    "no time left": (4, "upstream_timeout", lambda world, server: before(world, server), [("grpc-timeout", "0m")]),
    "timeout with letters": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "1x")]),
    "timeout too long": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "123456789n")]),
    "timeout without unit": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "1")]),
    "timeout with a plus": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "+1S")]),
    "timeout with a fraction": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "1.5S")]),
    "timeout with a space": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "1 S")]),
    "timeout of nine digits": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "100000000S")]),
    "timeout without number": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "S")]),
    "timeout negative": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "-1S")]),
    "timeout twice": (3, None, lambda world, server: before(world, server), [("grpc-timeout", "1S"), ("grpc-timeout", "2S")]),
}


@pytest.mark.parametrize("protocol", ["h2", "h1"])
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_of_the_gateway_is_a_grpc_status_in_a_head_that_ends_the_answer(world, kind, protocol):
    """Hardening 112, 113."""
    code, reason, make, more = REFUSALS[kind]
    server = grpc_server(world)
    sluice = make(world, server)
    if protocol == "h2":
        with sluice.h2() as client:
            stream = client.start("POST", UNARY, [*CALL, *more], end=False)
            client.send_body(stream, message(), end=True)
            response = client.finish(stream)
            refused(response, code)
            only_head(client, response)
    else:
        with sluice.connect("clear") as client:
            response = client.request("POST", UNARY, [*CALL, *more], message())
            refused(response, code)
            assert response.header("content-length") == "0"
    entry = sluice.entry(response)
    assert entry["grpc_status"] == code and entry["status"] == 200
    assert reason is None or entry["reason"] == reason, entry
    assert server.calls == []


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc;charset=utf-8", "application/GRPC"])
def test_each_form_of_the_content_type_is_grpc(world, kind):
    sluice = before(world, grpc_server(world), routes=ELSEWHERE)
    with sluice.h2() as client:
        response = client.request("POST", UNARY, [("content-type", kind), ("te", "trailers")], message())
        refused(response, 12)
        only_head(client, response)


@pytest.mark.parametrize("method, kind", [("POST", "application/json"), ("POST", "application/grpcx"), ("POST", "text/plain"),
                                          ("POST", "application/grpc-web"), ("GET", "application/grpc")])
def test_what_is_no_call_gets_its_refusals_as_http(world, method, kind):
    """application/grpc-web is another protocol, and so is a GET."""
    sluice = before(world, grpc_server(world), routes=ELSEWHERE)
    with sluice.h2() as client:
        for path, status in (("/%00", 400), (UNARY, 404)):
            response = client.request(method, path, [("content-type", kind)], message())
            assert response.status == status and not response.all("grpc-status")


def test_a_request_behind_a_refused_call_gets_its_own_refusal_as_http(world):
    sluice = before(world, grpc_server(world), server={"workers": 1}, routes=ELSEWHERE)
    for _ in range(3):
        with sluice.connect("clear") as client:
            refused(client.request("POST", UNARY, CALL, message()), 12)
        response = sluice.request("POST", "/plain", body=b"x", listener="clear")
        assert response.status == 404 and response.json()["error"]["code"] == "NOT_FOUND"
        assert "grpc_status" not in sluice.entry(response)


@pytest.mark.parametrize("protocol", ["h2", "h1"])
def test_a_call_behind_an_open_breaker_is_status_14_at_once(world, protocol):
    server = grpc_server(world)
    sluice = before(world, server, service={"circuit_breaker": {}})
    assert sluice.admin("POST", "/breakers/app/trip").status < 300
    with (sluice.h2() if protocol == "h2" else sluice.connect("clear")) as client:
        response = client.request("POST", UNARY, CALL, message())
        refused(response, 14)
        assert response.header("retry-after") is None or response.header("retry-after").isdigit()
    assert sluice.entry(response)["reason"] == "circuit_open" and server.calls == []


def test_calls_that_find_no_backend_open_the_breaker(world):
    """The answers are 200 on the wire, and failures all the same."""
    sluice = before(world, closed_port(world), service={
        "retry": {"attempts": 0}, "circuit_breaker": {"failure_threshold": 2, "open_timeout": "60s"}})
    with sluice.h2() as client:
        reasons = []
        for _ in range(3):
            response = client.request("POST", UNARY, CALL, message())
            refused(response, 14)
            reasons.append(sluice.entry(response)["reason"])
        assert reasons == ["connect_refused", "connect_refused", "circuit_open"]


def test_a_call_that_waits_in_the_queue_for_too_long_is_status_14(world):
    holder = world.h2_backend(lambda stream: None, max_streams=1)
    sluice = before(world, holder, server={"workers": 1}, service={"pool": {"max_connections": 1}, "queue": {"timeout": "200ms"}})
    with sluice.h2() as client:
        first = client.start("POST", UNARY, CALL, end=False)
        holder.wait_streams(1)
        second = client.request("POST", UNARY, CALL, message())
        refused(second, 14)
        only_head(client, second)
        assert sluice.entry(second)["reason"] in ("queue_timeout", "queue_full")
        client.cancel(first)


def test_a_body_announced_beyond_the_limit_is_status_8_before_it_comes(world):
    server = grpc_server(world)
    sluice = before(world, server, route={"limits": {"request_body": "1KiB"}})
    with sluice.h2() as client:
        response = client.finish(client.start("POST", UNARY, [*CALL, ("content-length", "5000")], end=False))
        refused(response, 8)
        only_head(client, response)
    assert server.calls == []


def test_a_body_that_grows_too_large_under_way_is_status_8(world):
    """The request is under way at the backend when its limit is reached."""
    server = world.h2_backend(lambda stream: stream.read_body())
    sluice = before(world, server, limits={"request_body": "64KiB"})
    with sluice.h2() as client:
        stream = client.start("POST", UNARY, CALL, end=False)
        client.send_body(stream, b"x" * 60_000, end=False)
        server.wait_streams(1)
        client.send_body(stream, b"x" * 60_000, end=False)
        response = client.finish(stream)
        refused(response, 8)
    server.wait_streams(1)[0].wait_reset()


# Time


def test_the_deadline_of_the_client_is_kept_by_the_gateway(world):
    """Hardening 113: the answer is the gateway's, since this server keeps no time, and it hears of it."""
    server = world.h2_backend(lambda stream: None)
    sluice = before(world, server)
    with sluice.h2() as client:
        began = time.monotonic()
        response = client.request("POST", UNARY, [*CALL, ("grpc-timeout", "300m")], message())
        assert 0.25 < time.monotonic() - began < seconds(3)
        refused(response, 4)
        only_head(client, response)
        assert server.wait_streams(1)[0].wait_reset() == f.CANCEL
    assert sluice.entry(response)["reason"] == "upstream_timeout"


@pytest.mark.parametrize("limit", ["request", "response"], ids=["of the route's request", "of the service's response"])
@pytest.mark.parametrize("given", [[], [("grpc-timeout", "1M")]], ids=["no deadline", "a longer one"])
def test_the_limit_of_the_gateway_is_kept_where_it_is_the_shorter(world, limit, given):
    server = world.h2_backend(lambda stream: None)
    service = {"retry": {"attempts": 0}}
    if limit == "request":
        sluice = before(world, server, service=service, route={"timeouts": {"request": "300ms"}})
    else:
        sluice = before(world, server, service={**service, "timeouts": {"response": "300ms"}})
    with sluice.h2() as client:
        began = time.monotonic()
        response = client.request("POST", UNARY, [*CALL, *given], message())
        assert 0.25 < time.monotonic() - began < seconds(3)
        refused(response, 4)
        only_head(client, response)
    stream = server.wait_streams(1)[0]
    assert stream.wait_reset() == f.CANCEL
    if given and limit == "request":
        assert value_of(stream.header("grpc-timeout")) <= 0.3


def test_a_deadline_within_a_stream_ends_it_with_status_4(world):
    server = world.h2_backend(stream_that(lambda stream: None))
    sluice = before(world, server)
    with sluice.h2() as client:
        response = client.request("POST", UNARY, [*CALL, ("grpc-timeout", "2S")], message())
        assert response.body == message(b"one") + message(b"two")
        assert dict(response.trailers)[b"grpc-status"] == b"4"
        server.wait_streams(1)[0].wait_reset()
    assert sluice.entry(response)["grpc_status"] == 4


def value_of(timeout: str) -> float:
    unit = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}[timeout[-1]]
    assert timeout[:-1].isdigit() and 1 <= len(timeout[:-1]) <= 8, timeout
    return int(timeout[:-1]) * unit


@pytest.mark.parametrize("given, seconds_given", [("20S", 20), ("20000m", 20), ("1H", 3600), ("5000000u", 5)])
def test_the_backend_gets_what_is_left_of_the_time(world, given, seconds_given):
    """Hardening 113: never more than the client has."""
    server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(200, b"", [("grpc-status", "0")])))
    sluice = before(world, server)
    with sluice.h2() as client:
        client.request("POST", UNARY, [*CALL, ("grpc-timeout", given)], message())
    left = value_of(server.wait_streams(1)[0].header("grpc-timeout"))
    assert seconds_given - 5 < left < seconds_given and left > 0


@pytest.mark.parametrize("given", ["99999999H", "99999999S", "00000001H"])
def test_a_time_beyond_all_clocks_is_no_limit_and_no_fault(world, given):
    """Hardening 113: 11,415 years overflow nothing."""
    server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(200, b"", [("grpc-status", "0")])))
    sluice = before(world, server)
    with sluice.h2() as client:
        assert client.request("POST", UNARY, [*CALL, ("grpc-timeout", given)], message()).header("grpc-status") == "0"
    passed = server.wait_streams(1)[0].header("grpc-timeout")
    assert passed == given if given == "99999999H" else value_of(passed) <= value_of(given)


@pytest.mark.parametrize("given", ["1n", "5u", "99999999n"])
def test_a_time_too_short_for_an_answer_is_no_fault(world, given):
    """Hardening 113: the answer comes, or status 4, and the connection goes on."""
    sluice = before(world, grpc_server(world))
    with sluice.h2() as client:
        response = client.request("POST", UNARY, [*CALL, ("grpc-timeout", given)], message())
        status = response.header("grpc-status") or dict(response.trailers)[b"grpc-status"].decode()
        assert response.status == 200 and status in ("0", "4"), response
        assert client.request("POST", UNARY, CALL, message()).body == message()


# One side gives up


def test_a_client_that_goes_away_ends_its_calls_at_the_server(world):
    server = grpc_server(world)
    sluice = before(world, server)
    client = sluice.h2()
    for _ in range(5):
        client.send_body(client.start("POST", f"/{SERVICE}/Hang", CALL, end=False), message())
    server.wait_for(lambda: len(server.calls) == 5, 5, "five calls")
    client.reset_connection()
    server.wait_for(lambda: len(server.cancelled) == 5, 5, "five ends")


def stream_that(end):
    """A server that sends two messages and then what `end` does."""
    def handler(stream):
        stream.read()
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(message(b"one") + message(b"two"))
        end(stream)
    return handler


# gRPC over HTTP2, "Errors": what the reset of a stream means.
RESETS = {f.NO_ERROR: 13, f.PROTOCOL_ERROR: 13, f.INTERNAL_ERROR: 13, f.FLOW_CONTROL_ERROR: 13, f.CANCEL: 1,
          f.ENHANCE_YOUR_CALM: 8, f.INADEQUATE_SECURITY: 7}


@pytest.mark.parametrize("code", RESETS, ids=lambda code: f.ERROR_NAMES[code])
@pytest.mark.parametrize("where", ["before the head", "within the stream"])
def test_a_stream_that_the_server_resets_ends_with_the_status_of_its_code(world, code, where):
    def before_head(stream):
        stream.read()
        stream.reset_with(code)
    handler = before_head if where == "before the head" else stream_that(lambda stream: stream.reset_with(code))
    sluice = before(world, world.h2_backend(handler), service={"retry": OFF})
    with sluice.h2() as client:
        stream = client.start("POST", f"/{SERVICE}/ServerStream", CALL, end=False)
        client.send_body(stream, message())
        response = client.finish(stream)
        assert response.status == 200
        if where == "before the head":
            refused(response, RESETS[code])
            only_head(client, response)
        else:
            assert response.body == message(b"one") + message(b"two")
            assert dict(response.trailers)[b"grpc-status"] == b"%d" % RESETS[code]


# Sizes


def test_a_length_that_no_message_has_is_passed_on_and_believed_by_nobody(world):
    """Hardening 115: 0xFFFFFFFF in front of five bytes, from either side."""
    lie = b"\x00\xff\xff\xff\xff" + b"abcde"

    def handler(stream):
        stream.read_body()
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(lie)
        stream.end([("grpc-status", "0")])
    server = world.h2_backend(handler)
    sluice = before(world, server)
    at_first = sluice.rss_kib()
    with sluice.h2() as client:
        stream = client.start("POST", UNARY, CALL, end=False)
        client.send_body(stream, lie, end=False)
        server.wait_for(lambda: server.streams and server.streams[0].body_bytes == len(lie), 5, "the lie arrives")
        assert sluice.rss_kib() - at_first < 4096       # with the message still open
        client.data(stream, b"", end_stream=True)
        response = client.finish(stream)
        assert response.body == lie and dict(response.trailers)[b"grpc-status"] == b"0"
    assert server.streams[0].body == lie
    assert sluice.rss_kib() - at_first < 4096
