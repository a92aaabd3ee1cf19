"""gRPC with clients and servers of grpcio: every kind of call, every status, and no end that leaves a client guessing.

Where the server must misbehave it is a scripted one of HTTP/2. What goes over the wire is in test_grpc.py (hardening 39, 98, 113 to 115)."""

import hashlib
import threading
import time
from concurrent import futures
from pathlib import Path

import pytest

from conftest import PATIENT, clear_listener, h2_gateway, proxied, secure_listener
from sluice_harness import frames as f
from sluice_harness.grpc_backend import CALL, SERVICE, STATUS, UNARY, Calls, grpc, grpc_server, message
from sluice_harness.waiting import seconds

MiB = 1 << 20


def before(world, *servers, service=None, **more):
    """A daemon that takes HTTP/2 and HTTP/1.1 in clear text, before these servers."""
    return h2_gateway(world, *servers, service={**PATIENT, **(service or {})}, **more)


def target(sluice, listener: str = "clear") -> str:
    return f"127.0.0.1:{sluice.ports[listener]}"


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
            **proxied(self.server, **PATIENT, **({"tls": {"ca_file": pki.root.ca_file}} if up == "tls" else {})),
        }, tls={"secure": pki.root.ca_file})

    def calls(self) -> Calls:
        if self.down == "tls":
            return Calls(target(self.sluice, "secure"), Path(self.pki.root.ca_file).read_bytes(), "app.test")
        return Calls(target(self.sluice))


@pytest.fixture(scope="module", params=["h2c to h2c", "TLS to TLS", "h2c to TLS", "TLS to h2c"])
def road(module_world, pki, request):
    down, up = ("tls" if side == "TLS" else "h2c" for side in request.param.split(" to "))
    return Road(module_world, pki, down, up)


@pytest.fixture(scope="module")
def clear(module_world):
    """One server behind a daemon in clear text, for all that leaves no trace."""
    server = grpc_server(module_world)
    return before(module_world, server, limits={"requests_per_connection": 100_000}), server


# The four kinds of calls


def test_a_unary_call_comes_back_with_its_metadata(road):
    with road.calls() as calls:
        given = [("x-probe", "one"), ("x-probe", "two"), ("x-probe-bin", bytes(range(256))), ("x-list", "a,b"), ("want-trailer", "seen")]
        answer, call = calls.unary.with_call(b"hello", metadata=given, timeout=seconds(10))
        assert answer == b"hello" and call.code() == grpc.StatusCode.OK
        initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
        assert initial["got-initial"] == "yes" and initial["got-initial-bin"] == bytes(range(256))
        assert trailing["got-trailer"] == "seen" and trailing["got-trailer-bin"] == b"\x00\x01\xff"
        seen = road.server.calls[-1][1]
        assert seen["x-probe-bin"] == bytes(range(256)) and seen["x-list"] == "a,b"
        entry = road.sluice.wait_access(1, 5, lambda entry: entry["path"] == UNARY)[-1]
        assert entry["grpc_status"] == 0 and entry["status"] == 200 and entry["http_version"] == "2"


def test_a_client_stream_arrives_whole(road):
    with road.calls() as calls:
        assert calls.client_stream(iter([b"x" * size for size in (*range(100), 16384, 70_000)]), timeout=seconds(10)) == b"102 91334"


def test_a_server_stream_arrives_in_order(road):
    with road.calls() as calls:
        assert list(calls.server_stream(b"0", timeout=seconds(10))) == []
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


@pytest.mark.seconds(60)
@pytest.mark.parametrize("streams", [100, 250])
def test_two_hundred_calls_at_once_on_one_channel_get_each_its_own_answer(world, streams):
    """Where fewer streams are allowed, the client lets some wait."""
    sluice = before(world, grpc_server(world), http2={"max_concurrent_streams": 250} if streams == 250 else None)
    with Calls(target(sluice)) as calls:
        flying = [calls.unary.future(b"call %d" % number, timeout=seconds(50), metadata=[("want-delay", "0.2")]) for number in range(200)]
        assert [one.result() for one in flying] == [b"call %d" % number for number in range(200)]
    with sluice.h2() as client:
        assert client.wait_settings()[f.MAX_CONCURRENT_STREAMS] == streams


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
    sluice = before(world, server, route={"limits": {"request_body": 0}}, service={"tls": {"ca_file": pki.root.ca_file}} if up == "tls" else None)
    with Calls(target(sluice)) as calls:
        calls.unary(b"warm", timeout=seconds(10))
        at_first = peak_kib(sluice)
        data = hashlib.sha256(b"seed").digest() * (64 * MiB // 32)
        answer = calls.unary(data, timeout=seconds(100))
        assert len(answer) == len(data) and hashlib.sha256(answer).digest() == hashlib.sha256(data).digest()
        assert calls.client_stream((b"y" * (4 * MiB) for _ in range(16)), timeout=seconds(100)) == b"16 %d" % (64 * MiB)
        assert peak_kib(sluice) - at_first < 16 * 1024, (at_first, peak_kib(sluice))


# How a call ends


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


def test_an_unknown_method_is_the_servers_to_refuse(clear):
    with Calls(target(clear[0])) as calls:
        assert status_of(lambda: calls.channel.unary_unary(f"/{SERVICE}/None")(b"", timeout=seconds(10)))[0] == 12


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


@pytest.mark.parametrize("status, code", [(401, 16), (503, 14)])
def test_an_answer_of_http_is_passed_on_for_the_client_to_judge(world, status, code):
    """Not an answer of gRPC: its HTTP status says what is wrong."""
    server = world.h2_backend(lambda stream: (stream.read_body(), stream.reply(status, b"<html>", [("content-type", "text/html")])))
    sluice = before(world, server)
    with Calls(target(sluice)) as calls:
        assert status_of(lambda: calls.unary(b"x", timeout=seconds(10)))[0] == code
    with sluice.h2() as client:
        response = client.request("POST", UNARY, CALL, message())
        assert response.status == status and response.body == b"<html>" and not response.all("grpc-status")


def test_the_clients_deadline_ends_the_call_and_the_servers_work(world):
    """Hardening 113."""
    server = grpc_server(world)
    sluice = before(world, server)
    with Calls(target(sluice)) as calls:
        began = time.monotonic()
        assert status_of(lambda: calls.hang(b"", timeout=1))[0] == 4
        assert time.monotonic() - began < seconds(5)
        server.wait_for(lambda: server.cancelled == ["Hang"], 5, "the server's call is cancelled")


# One side gives up


@pytest.mark.parametrize("kind", ["unary", "server stream", "flood", "bidi"])
def test_a_call_that_the_client_cancels_ends_at_the_server_within_seconds(clear, kind):
    """Hardening 113."""
    sluice, server = clear
    before_it = len(server.cancelled)

    def given_up(entry):
        return entry["reason"] == "client_closed"
    logged = len([entry for entry in sluice.access_entries() if given_up(entry)])
    with Calls(target(sluice)) as calls:
        if kind == "unary":
            call = calls.hang.future(b"x")
            server.wait_for(lambda: server.calls and server.calls[-1][0] == "Hang", 5, "the call arrives")
        elif kind == "server stream":
            call = calls.server_stream(b"3", metadata=[("stay", "1")])
            assert [next(call) for _ in range(3)] == [b"0", b"1", b"2"]
        elif kind == "flood":
            call = calls.server_stream(b"10000000")
            next(call)      # and no more is read
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
    sluice.wait_access(logged + 1, 5, given_up)


def test_a_channel_that_is_closed_ends_all_of_its_calls_at_the_server(world):
    server = grpc_server(world)
    calls = Calls(target(before(world, server)))
    flying = [calls.hang.future(b"", timeout=seconds(30)) for _ in range(10)]
    server.wait_for(lambda: len(server.calls) == 10, 5, "ten calls")
    calls.channel.close()
    server.wait_for(lambda: len(server.cancelled) == 10, 5, "ten ends")
    assert all(one.done() for one in flying)


@pytest.mark.parametrize("client", ["waits", "goes on sending"])
def test_a_server_that_gives_up_within_a_stream_is_heard_with_its_own_status(road, client):
    with road.calls() as calls:
        ended = threading.Event()

        def messages():
            yield b"0"
            yield b"1"
            yield b"2"
            while not ended.wait(seconds(20) if client == "waits" else 0.001):
                yield b"m" * 10_000
        stream = calls.bidi(messages(), metadata=[("fail-after", "3")], timeout=seconds(15))
        got = []
        with pytest.raises(grpc.RpcError) as failed:
            for answer in stream:
                got.append(answer)
        ended.set()
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


@pytest.mark.parametrize("end", ["reset", "closed", "goaway"])
def test_a_server_that_dies_within_a_stream_is_status_14_behind_what_had_come(world, end):
    """Hardening 39, 114."""
    seen = threading.Event()

    def handler(stream):
        stream.read()
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(message(b"one") + message(b"two"))
        assert seen.wait(seconds(10))
        {"reset": stream.connection.reset, "closed": stream.connection.close,
         "goaway": lambda: (stream.connection.goaway(0, 2), stream.connection.close())}[end]()
    sluice = before(world, world.h2_backend(handler))
    with Calls(target(sluice)) as calls:
        stream = calls.server_stream(b"x", timeout=seconds(15))
        assert [next(stream), next(stream)] == [b"one", b"two"]
        seen.set()
        assert status_of(lambda: next(stream))[0] == 14
    entry = sluice.wait_access(1)[0]
    assert entry["grpc_status"] == 14 and entry["reason"].startswith("upstream_"), entry


# Connections that come and go


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


@pytest.mark.seconds(60)
def test_a_drain_lets_calls_end_and_a_channel_goes_on_with_the_next_daemon(world):
    server = grpc_server(world)
    sluice = before(world, server)
    with Calls(target(sluice)) as calls:
        assert calls.unary(b"before", timeout=seconds(5)) == b"before"
        running = calls.unary.future(b"slow", metadata=[("want-delay", "1")], timeout=seconds(20))
        server.wait_for(lambda: len(server.calls) == 2, 5, "the slow call has arrived")
        sluice.upgrade()
        assert running.result() == b"slow"
        assert calls.unary(b"after", timeout=seconds(10), wait_for_ready=True) == b"after"
