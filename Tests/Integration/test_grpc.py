"""gRPC through the gateway: every kind of call, every status, and no end that leaves a client guessing (hardening 112 to 115, 39, 98)."""

import hashlib
import threading
import time
import urllib.parse
from concurrent import futures
from pathlib import Path

import pytest

from conftest import PATIENT, clear_listener, proxied, secure_listener
from sluice_harness import until
from sluice_harness import frames as f
from sluice_harness.grpc_backend import grpc, SERVICE, STATUS, Calls, GrpcBackend
from sluice_harness.waiting import SCALE

UNARY = f"/{SERVICE}/Unary"
CALL = [("content-type", "application/grpc"), ("te", "trailers")]
MiB = 1 << 20


def message(data: bytes = b"hello") -> bytes:
    return b"\x00" + len(data).to_bytes(4, "big") + data


def instance(server, **more) -> dict:
    return {"url": server.url, "protocol": server.protocol, **more}


def grpc_server(world, pki=None, **more) -> GrpcBackend:
    credentials = grpc.ssl_server_credentials([(pki.backend.key_pem, pki.backend.pem)]) if pki else None
    made = GrpcBackend(credentials, **more)
    world.backends.append(made)
    return made


def before(world, *servers, route=None, limits=None, routes=None, http2=None, tls=None, **more):
    """A daemon that takes HTTP/2 and HTTP/1.1 in clear text, before these servers."""
    service = {**PATIENT, **more.pop("service", {})}
    if tls:
        service["tls"] = tls
    whole = {"listeners": [clear_listener(http2=http2, limits=limits)],
             **proxied(*[one if isinstance(one, dict) else instance(one) for one in servers], route=route, **service), **more}
    if routes is not None:
        whole["routes"] = routes
    return world.gateway(whole)


def target(sluice, listener: str = "clear") -> str:
    return f"127.0.0.1:{sluice.ports[listener]}"


def seconds(count: float) -> float:
    return count * SCALE


def status_of(call) -> tuple[int, str]:
    """How the call ends."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().value[0], error.details()
    return 0, ""


class Road:
    """One daemon before one server, and a channel to it."""

    def __init__(self, world, pki, down: str, up: str):
        self.server = grpc_server(world, pki if up == "tls" else None)
        self.down = down
        self.pki = pki
        self.sluice = world.gateway({
            "listeners": [clear_listener(), secure_listener(pki.server)],
            **proxied(instance(self.server), **PATIENT, **({"tls": {"ca_file": pki.root.ca_file}} if up == "tls" else {})),
        }, tls={"secure": pki.root.ca_file})

    def calls(self) -> Calls:
        if self.down == "tls":
            return Calls(target(self.sluice, "secure"), Path(self.pki.root.ca_file).read_bytes(), "app.test")
        return Calls(target(self.sluice))


@pytest.fixture(scope="module", params=["h2c to h2c", "TLS to TLS", "h2c to TLS", "TLS to h2c"])
def road(module_world, pki, request):
    down, up = ("tls" if side == "TLS" else "h2c" for side in request.param.split(" to "))
    return Road(module_world, pki, down, up)


# The four kinds of calls


def test_a_unary_call_comes_back_with_its_metadata(road):
    with road.calls() as calls:
        given = [("x-probe", "one"), ("x-probe", "two"), ("x-probe-bin", bytes(range(256))), ("want-trailer", "seen")]
        answer, call = calls.unary.with_call(b"hello", metadata=given, timeout=seconds(10))
        assert answer == b"hello" and call.code() == grpc.StatusCode.OK
        initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
        assert initial["got-initial"] == "yes" and initial["got-initial-bin"] == bytes(range(256))
        assert trailing["got-trailer"] == "seen" and trailing["got-trailer-bin"] == b"\x00\x01\xff"
        assert road.server.calls[-1][1]["x-probe-bin"] == bytes(range(256))
        entry = road.sluice.wait_access(1, 5, lambda entry: entry["path"] == UNARY)[-1]
        assert entry["grpc_status"] == 0 and entry["status"] == 200 and entry["http_version"] == "2"


def test_a_client_stream_arrives_whole(road):
    with road.calls() as calls:
        assert calls.client_stream(iter([b"x" * size for size in (0, 1, 16384, 70_000)]), timeout=seconds(10)) == b"4 86385"


def test_a_server_stream_arrives_in_order(road):
    with road.calls() as calls:
        assert [int(one) for one in calls.server_stream(b"500", timeout=seconds(20))] == list(range(500))


def test_a_thousand_messages_go_back_and_forth_one_by_one(road):
    """Each is sent only when the one before has come back: nothing waits for more."""
    came = threading.Semaphore(1)

    def messages():
        for number in range(1000):
            came.acquire()
            yield b"%d" % number
    with road.calls() as calls:
        stream = calls.bidi(messages(), timeout=seconds(25))
        for number, answer in enumerate(stream):
            assert answer == b"%d" % number
            came.release()
        assert number == 999 and stream.code() == grpc.StatusCode.OK


def test_answers_come_before_the_request_has_ended(road):
    """The request's end waits for the tenth answer."""
    tenth = threading.Event()

    def messages():
        for number in range(10):
            yield b"%d" % number
        assert tenth.wait(seconds(10))
        yield b"last"
    with road.calls() as calls:
        got = []
        for answer in calls.bidi(messages(), timeout=seconds(20)):
            got.append(answer)
            if len(got) == 10:
                tenth.set()
        assert got == [*(b"%d" % number for number in range(10)), b"last"]


# How a call ends


@pytest.fixture(scope="module")
def clear(module_world):
    """One server behind a daemon in clear text, for all that leaves no trace."""
    server = grpc_server(module_world)
    return before(module_world, server, limits={"requests_per_connection": 100_000}), server


@pytest.mark.parametrize("number", range(1, 17), ids=lambda number: STATUS[number].name)
def test_each_status_and_its_message_arrive_as_they_are(clear, number):
    text = f"Grüße, 世界 100 % %41 {number}\n\ttab"
    details = bytes(range(256)) * 4
    with Calls(target(clear[0])) as calls:
        with pytest.raises(grpc.RpcError) as failed:
            calls.unary(b"x", metadata=[("want-status", str(number)), ("want-message-bin", text.encode()), ("want-details-bin", details)],
                        timeout=seconds(10))
        assert failed.value.code() == STATUS[number] and failed.value.details() == text
        assert dict(failed.value.trailing_metadata())["grpc-status-details-bin"] == details
    entry = clear[0].wait_access(1, 5, lambda entry: entry.get("grpc_status") == number)[-1]
    assert entry["status"] == 200 and entry["reason"] == "ok"


def test_an_answer_that_is_all_trailers_ends_with_its_head(clear):
    """Hardening 114: a method that is not there."""
    with clear[0].h2() as client:
        response = client.request("POST", f"/{SERVICE}/Nowhere", CALL, message())
        assert response.status == 200 and response.header("grpc-status") == "12" and not response.has_trailers and response.pieces == []


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


@pytest.mark.parametrize("protocol", ["h2c", "http/1.1"])
def test_an_answer_without_trailers_is_status_14(world, protocol):
    """Hardening 114: the client is not left to guess."""
    if protocol == "h2c":
        server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(200, message(), [("content-type", "application/grpc")])))
    else:
        server = world.backend(lambda request, connection: (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(message()), message())))
    sluice = before(world, {"url": server.url, "protocol": protocol})
    with Calls(target(sluice)) as calls:
        code, details = status_of(lambda: calls.unary(b"x", timeout=seconds(10)))
        assert code == 14 and "without a status" in details
    assert sluice.wait_access(1)[0]["grpc_status"] == 14


def test_an_answer_of_http_is_passed_on_for_the_client_to_judge(world):
    """Not an answer of gRPC: its HTTP status says what is wrong."""
    server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(401, b"who?", [("content-type", "text/plain")])))
    sluice = before(world, server)
    with Calls(target(sluice)) as calls:
        assert status_of(lambda: calls.unary(b"x", timeout=seconds(10)))[0] == 16


@pytest.mark.parametrize("protocol", ["h2c", "http/1.1"])
def test_trailers_reach_a_client_of_http_1(world, protocol):
    """h1 downstream: chunked, with the status in the trailers."""
    if protocol == "h2c":
        server = grpc_server(world)
    else:
        server = world.backend(lambda request, connection: (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n"
            b"%x\r\n%s\r\n0\r\ngrpc-status: 0\r\n\r\n" % (len(request.body), request.body)))
    sluice = before(world, {"url": server.url, "protocol": protocol})
    with sluice.connect("clear") as client:
        response = client.request("POST", UNARY, [("Content-Type", "application/grpc"), ("TE", "trailers")], message(b"over h1"))
        assert response.status == 200 and response.body == message(b"over h1") and response.framing == "chunked"
        assert (b"grpc-status", b"0") in [(name.lower(), value) for name, value in response.trailers]
    assert sluice.wait_access(1)[0]["grpc_status"] == 0


# What the gateway refuses itself


def refused(response, code: int):
    """HTTP 200 with the status in the head, which ends the stream."""
    assert response.status == 200 and response.header("grpc-status") == str(code), response
    assert response.header("content-type") == "application/grpc"
    words = urllib.parse.unquote(response.header("grpc-message"), errors="strict")
    assert words.isprintable() and len(words) > 5, words
    assert response.body == b"" and response.header("x-request-id")


def only_head(client, response):
    assert not response.has_trailers and response.pieces == []
    heads = [frame for frame in client.frames_seen if isinstance(frame, f.HeadersFrame) and frame.stream_id == response.stream]
    assert len(heads) == 1 and "END_STREAM" in heads[0].flags, heads


def closed_port(world) -> dict:
    from sluice_harness.process import free_port
    return {"url": f"http://127.0.0.1:{free_port()}", "protocol": "h2c"}


DENIED = {"middlewares": {"m": {"ip_access": {"deny": ["127.0.0.0/8"]}}}}
OFF = {"enabled": False}
REFUSALS = {
    # status, reason in the log, how the daemon is made, more fields
    "no route": (12, "no_route", lambda world, server: before(
        world, server, routes=[{"name": "other", "match": {"path": "/other/*"}, "service": "app"}]), []),
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


def test_a_call_of_another_kind_gets_its_refusals_as_http(clear):
    """application/grpc-web is another protocol, and so is a GET."""
    with clear[0].h2() as client:
        response = client.request("POST", "/%00", [("content-type", "application/grpc-web")], message())
        assert response.status == 400 and not response.all("grpc-status")
        response = client.request("GET", "/%00", [("content-type", "application/grpc")])
        assert response.status == 400 and not response.all("grpc-status")


def test_a_request_behind_a_refused_call_gets_its_own_refusal_as_http(world):
    sluice = before(world, grpc_server(world), server={"workers": 1},
                    routes=[{"name": "other", "match": {"path": "/other/*"}, "service": "app"}])
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


def test_the_deadline_of_the_route_is_kept_where_it_is_the_shorter(world):
    server = world.h2_backend(lambda stream: None)
    sluice = before(world, server, route={"timeouts": {"request": "300ms"}})
    with sluice.h2() as client:
        response = client.request("POST", UNARY, [*CALL, ("grpc-timeout", "1M")], message())
        refused(response, 4)
    assert value_of(server.wait_streams(1)[0].header("grpc-timeout")) <= 0.3


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


@pytest.mark.parametrize("given", ["99999999H", "00000001H"])
def test_a_time_beyond_all_clocks_is_no_limit_and_no_fault(world, given):
    """Hardening 113: 11,415 years overflow nothing."""
    server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(200, b"", [("grpc-status", "0")])))
    sluice = before(world, server)
    with sluice.h2() as client:
        assert client.request("POST", UNARY, [*CALL, ("grpc-timeout", given)], message()).header("grpc-status") == "0"
    passed = server.wait_streams(1)[0].header("grpc-timeout")
    assert passed == given if given.startswith("9") else value_of(passed) <= 3600


# One side gives up


@pytest.mark.parametrize("kind", ["unary", "server stream", "bidi"])
def test_a_call_that_the_client_cancels_ends_at_the_server_within_seconds(clear, kind):
    """Hardening 113."""
    sluice, server = clear
    before_it = len(server.cancelled)
    with Calls(target(sluice)) as calls:
        if kind == "unary":
            call = calls.hang.future(b"x")
            server.wait_for(lambda: server.calls and server.calls[-1][0] == "Hang", 5, "the call arrives")
        elif kind == "server stream":
            call = calls.server_stream(b"3", metadata=[("stay", "1")])
            assert [next(call) for _ in range(3)] == [b"0", b"1", b"2"]
        else:
            release = threading.Event()

            def messages():
                yield b"one"
                release.wait(seconds(20))
            call = calls.bidi(messages(), metadata=[("stay", "1")])
            assert next(call) == b"one"
        call.cancel()
        server.wait_for(lambda: len(server.cancelled) > before_it, 4, "the server hears of it")
        assert call.code() == grpc.StatusCode.CANCELLED
        if kind == "bidi":
            release.set()


def test_a_client_that_goes_away_ends_its_calls_at_the_server(world):
    server = grpc_server(world)
    sluice = before(world, server)
    client = sluice.h2()
    for _ in range(5):
        client.send_body(client.start("POST", f"/{SERVICE}/Hang", CALL, end=False), message())
    server.wait_for(lambda: len(server.calls) == 5, 5, "five calls")
    client.reset_connection()
    server.wait_for(lambda: len(server.cancelled) == 5, 5, "five ends")


def test_a_server_that_gives_up_within_a_stream_is_heard_with_its_own_status(road):
    with road.calls() as calls:
        endless = threading.Event()

        def messages():
            yield b"0"
            yield b"1"
            yield b"2"
            endless.wait(seconds(20))
        stream = calls.bidi(messages(), metadata=[("fail-after", "3")], timeout=seconds(15))
        got = []
        with pytest.raises(grpc.RpcError) as failed:
            for answer in stream:
                got.append(answer)
        endless.set()
        assert got == [b"0", b"1", b"2"] and failed.value.code() == grpc.StatusCode.ABORTED and failed.value.details() == "enough"


def test_an_early_error_on_a_stream_that_is_being_sent_arrives_as_what_it_is(world):
    """The server answers with a status after the first message of many, and resets the stream (RFC 9113 §8.1)."""
    def handler(stream):
        stream.read()
        stream.head(200, [("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "not you")], end=True)
        stream.reset_with(f.NO_ERROR)
    sluice = before(world, world.h2_backend(handler), route={"limits": {"request_body": 0}})
    ended = threading.Event()

    def messages():
        while not ended.is_set():
            yield b"x" * 100_000
    with Calls(target(sluice)) as calls:
        code, details = status_of(lambda: calls.client_stream(messages(), timeout=seconds(15)))
        ended.set()
        assert (code, details) == (7, "not you")
    assert sluice.wait_access(1)[0]["grpc_status"] == 7


def stream_that(end):
    """A server that sends two messages and then what `end` does."""
    def handler(stream):
        stream.read()
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(message(b"one") + message(b"two"))
        end(stream)
    return handler


@pytest.mark.parametrize("end", ["reset", "closed", "goaway"])
def test_a_server_that_dies_within_a_stream_is_status_14_behind_what_had_come(world, end):
    """Hardening 39, 114."""
    seen = threading.Event()

    def die(stream):
        assert seen.wait(seconds(10))
        {"reset": stream.connection.reset, "closed": stream.connection.close,
         "goaway": lambda: (stream.connection.goaway(0, 2), stream.connection.close())}[end]()
    sluice = before(world, world.h2_backend(stream_that(die)))
    with Calls(target(sluice)) as calls:
        stream = calls.server_stream(b"x", timeout=seconds(15))
        assert [next(stream), next(stream)] == [b"one", b"two"]
        seen.set()
        assert status_of(lambda: next(stream))[0] == 14
    entry = sluice.wait_access(1)[0]
    assert entry["grpc_status"] == 14 and entry["reason"].startswith("upstream_"), entry


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


def test_a_refused_stream_is_sent_again_without_harm(world):
    """Hardening 98: REFUSED_STREAM says that nothing was done."""
    refusals = []

    def handler(stream):
        if not refusals:
            refusals.append(stream)
            return stream.reset_with(f.REFUSED_STREAM)
        body = stream.read_body()
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(body)
        stream.end([("grpc-status", "0")])
    sluice = before(world, world.h2_backend(handler))
    with Calls(target(sluice)) as calls:
        assert calls.unary(b"once more", timeout=seconds(10)) == b"once more"
    assert len(refusals) == 1


@pytest.mark.seconds(60)
def test_connections_that_the_server_leaves_lose_no_call(world):
    """Hardening 98: GOAWAY after every 20 streams, with calls under way; those above its last stream are sent again."""
    def handler(stream):
        body = stream.read_body()
        if stream.number == 39:
            stream.connection.goaway()
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(body)
        stream.end([("grpc-status", "0")])
    server = world.h2_backend(handler)
    sluice = before(world, server, limits={"requests_per_connection": 100_000})
    with Calls(target(sluice)) as calls, futures.ThreadPoolExecutor(8) as threads:
        sent = [b"call %d" % number for number in range(400)]
        assert list(threads.map(lambda one: calls.unary(one, timeout=seconds(30)), sent)) == sent
    assert len(server.connections) > 5


# Sizes


def peak_kib(sluice) -> int:
    for line in Path(f"/proc/{sluice.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


@pytest.mark.memory
@pytest.mark.seconds(120)
@pytest.mark.parametrize("up", ["h2c", "tls"])
def test_messages_of_64_MiB_go_both_ways_in_constant_memory(world, pki, up):
    """Hardening 115."""
    server = grpc_server(world, pki if up == "tls" else None)
    sluice = before(world, server, route={"limits": {"request_body": 0}}, tls={"ca_file": pki.root.ca_file} if up == "tls" else None)
    with Calls(target(sluice)) as calls:
        calls.unary(b"warm", timeout=seconds(10))
        at_first = peak_kib(sluice)
        data = hashlib.sha256(b"seed").digest() * (64 * MiB // 32)
        answer = calls.unary(data, timeout=seconds(100))
        assert len(answer) == len(data) and hashlib.sha256(answer).digest() == hashlib.sha256(data).digest()
        assert peak_kib(sluice) - at_first < 24 * 1024, (at_first, peak_kib(sluice))


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
        response = client.request("POST", UNARY, CALL, lie)
        assert response.body == lie and dict(response.trailers)[b"grpc-status"] == b"0"
    assert server.streams[0].body == lie
    assert sluice.rss_kib() - at_first < 4096


@pytest.mark.seconds(60)
def test_two_hundred_calls_at_once_on_one_connection_get_each_its_own_answer(world):
    server = grpc_server(world)
    sluice = before(world, server, http2={"max_concurrent_streams": 250})
    with Calls(target(sluice)) as calls:
        flying = [calls.unary.future(b"call %d" % number, timeout=seconds(50), metadata=[("want-delay", "0.2")]) for number in range(200)]
        assert [one.result() for one in flying] == [b"call %d" % number for number in range(200)]
    with sluice.h2() as client:
        assert client.wait_settings()[f.MAX_CONCURRENT_STREAMS] == 250


# Health checks


CHECK = {"type": "grpc", "interval": "200ms", "rise": 1, "fall": 1}


def test_a_server_that_says_it_serves_gets_calls_and_one_that_does_not_gets_none(world):
    good, bad = grpc_server(world), grpc_server(world)
    bad.health[""] = 2
    sluice = before(world, good, bad, service={"health_check": CHECK})
    bad.wait_for(lambda: bad.health_asked, 5, "a check")
    with Calls(target(sluice)) as calls:
        until(lambda: status_of(lambda: calls.unary(b"x", timeout=seconds(5)))[0] == 0, 5, "the good one is found")
        for number in range(20):
            assert calls.unary(b"%d" % number, timeout=seconds(5)) == b"%d" % number
    assert bad.calls == []


def test_the_service_that_a_check_asks_after_is_the_one_that_counts(world):
    server = grpc_server(world)
    server.health["greeter.v1.Greeter"] = 2
    sluice = before(world, server, service={"health_check": {**CHECK, "grpc_service": "greeter.v1.Greeter"}})
    server.wait_for(lambda: "greeter.v1.Greeter" in server.health_asked, 5, "a check")
    with Calls(target(sluice)) as calls:
        assert status_of(lambda: calls.unary(b"x", timeout=seconds(5)))[0] == 14
        server.health["greeter.v1.Greeter"] = 1
        until(lambda: status_of(lambda: calls.unary(b"x", timeout=seconds(5)))[0] == 0, 5, "it serves again")
