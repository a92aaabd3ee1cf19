"""gRPC with grpcio on both ends, and health checks by gRPC: calls, endings, deadlines, cancellation (hardening 112 to 115)."""

import struct
import threading
import time
from urllib.parse import unquote

import pytest

from conftest import PATIENT, clear_listener, proxied, secure_listener
from sluice_harness import StreamReset
from sluice_harness import frames as f
from sluice_harness.grpc_backend import NOT_SERVING, SERVICE, STATUS, Calls, GrpcBackend, grpc
from sluice_harness.states import wait_instance

GRPC = [("content-type", "application/grpc"), ("te", "trailers")]
UNARY = f"/{SERVICE}/Unary"


def message(data: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(data)) + data


@pytest.fixture
def greeter(world, pki):
    """Starts a daemon before a gRPC server: `sluice, server = greeter()`."""
    def start(server=None, route=None, service=None, **blocks):
        made = server or GrpcBackend()
        world.backends.append(made)
        instance = {"url": made.url, "protocol": getattr(made, "protocol", "h2c")}
        sluice = world.gateway({
            "listeners": [clear_listener(), secure_listener(pki.server)], "limits": {"request_body": 0},
            **proxied(instance, route=route, **{**PATIENT, **(service or {})}), **blocks}, tls={"secure": pki.root.ca_file})
        return sluice, made
    return start


@pytest.fixture
def calls(pki):
    """A client of a daemon: `calls(sluice)`, `calls(sluice, "secure")`; closed at the end."""
    made = []

    def connect(sluice, listener="clear") -> Calls:
        target = "127.0.0.1:%d" % sluice.ports[listener]
        made.append(Calls(target, pki.root.pem, "app.test") if listener == "secure" else Calls(target))
        return made[-1]
    yield connect
    for one in made:
        one.channel.close()


# Calls


@pytest.mark.parametrize("listener", ["clear", "secure"])
def test_all_four_kinds_of_calls_go_through(greeter, calls, listener):
    sluice, server = greeter()
    client = calls(sluice, listener)
    assert client.unary(b"hello", timeout=10) == b"hello"
    assert list(client.server_stream(b"100", timeout=10)) == [b"%d" % number for number in range(100)]
    assert client.client_stream((b"x" * number for number in range(100)), timeout=10) == b"100 4950"
    assert list(client.bidi((b"%d" % number for number in range(50)), timeout=10)) == [b"%d" % number for number in range(50)]


def test_a_server_with_tls_is_spoken_to_over_http_2(greeter, calls, pki):
    credentials = grpc.ssl_server_credentials([(pki.backend.key_pem, pki.backend.pem)])
    sluice, _ = greeter(GrpcBackend(credentials), service={"tls": {"ca_file": pki.root.ca_file}})
    assert calls(sluice).unary(b"secure", timeout=10) == b"secure"


def test_a_conversation_goes_message_by_message(greeter, calls):
    """Nothing is gathered: each message comes back before the next is sent."""
    sluice, _ = greeter()
    turn = threading.Semaphore(0)

    def messages():
        for number in range(20):
            yield b"%d" % number
            assert turn.acquire(timeout=5)
    for number, answer in enumerate(calls(sluice).bidi(messages(), timeout=20)):
        assert answer == b"%d" % number
        turn.release()


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_status_reaches_the_client_with_its_message(greeter, calls, code):
    sluice, _ = greeter()
    client = calls(sluice)
    if code == 0:
        assert client.unary(b"fine", timeout=10) == b"fine"
        return
    with pytest.raises(grpc.RpcError) as failed:
        client.unary(b"", metadata=(("want-status", str(code)), ("want-message-bin", "100 % of it, naïve".encode())), timeout=10)
    assert failed.value.code() == STATUS[code] and failed.value.details() == "100 % of it, naïve"


def test_metadata_goes_both_ways_in_head_and_trailers_text_and_binary(greeter, calls):
    sluice, server = greeter()
    _, call = calls(sluice).unary.with_call(b"", metadata=(("my-text", "a,b"), ("my-bin", b"\x00\xff\x01"), ("want-trailer", "t")), timeout=10)
    metadata = server.calls[0][1]
    assert metadata["my-text"] == "a,b" and metadata["my-bin"] == b"\x00\xff\x01"
    assert dict(call.initial_metadata())["got-initial"] == "yes"
    trailing = dict(call.trailing_metadata())
    assert trailing["got-trailer"] == "t" and trailing["got-trailer-bin"] == b"\x00\x01\xff"


def test_an_unknown_method_is_the_servers_to_refuse(greeter, calls):
    sluice, _ = greeter()
    with pytest.raises(grpc.RpcError) as failed:
        calls(sluice).channel.unary_unary(f"/{SERVICE}/None")(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.seconds(60)
def test_two_hundred_calls_at_once_on_one_channel(greeter, calls):
    sluice, _ = greeter()
    client = calls(sluice)
    futures = [client.unary.future(b"%d" % number, timeout=30) for number in range(200)]
    assert [future.result() for future in futures] == [b"%d" % number for number in range(200)]


@pytest.mark.memory
@pytest.mark.seconds(90)
def test_messages_of_many_megabytes_go_through_with_little_memory(greeter, calls):
    sluice, _ = greeter()
    client = calls(sluice)
    client.unary(b"warm", timeout=10)
    before = sluice.rss_kib()
    most = [0]
    stop = threading.Event()

    def watch():
        while not stop.wait(0.01):
            most[0] = max(most[0], sluice.rss_kib())
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        data = bytes(range(256)) * (48 << 12)       # 48 MiB
        assert client.unary(data, timeout=60) == data
        assert client.client_stream((b"y" * (4 << 20) for _ in range(12)), timeout=60) == b"12 %d" % (48 << 20)
    finally:
        stop.set()
        watcher.join()
    assert most[0] - before < 16 << 10, f"{most[0] - before} KiB more"


def test_a_length_that_is_a_lie_costs_no_memory(greeter):
    """Hardening 115: 4 GB announced in five bytes."""
    sluice, server = greeter()
    before = sluice.rss_kib()
    with sluice.h2("clear") as client:
        stream = client.start("POST", UNARY, GRPC, end=False)
        client.data(stream, b"\0\xff\xff\xff\xff" + b"x" * 100)
        client.alive()
        assert sluice.rss_kib() - before < 4 << 10
        client.cancel(stream)


# Endings


def test_a_trailers_only_answer_stays_one(greeter):
    """Hardening 114: the status in the head, and END_STREAM with it."""
    sluice, _ = greeter()
    with sluice.h2("clear") as client:
        response = client.request("POST", f"/{SERVICE}/None", GRPC, body=message(b""))
        assert (response.header("grpc-status"), response.has_trailers, response.body) == ("12", False, b"")


def test_trailers_come_behind_an_empty_body_too(greeter):
    """Hardening 114."""
    sluice, _ = greeter()
    with sluice.h2("clear") as client:
        response = client.request("POST", f"/{SERVICE}/ServerStream", GRPC, body=message(b"0"))
        status = dict(response.trailers).get(b"grpc-status") or dict(response.headers).get(b"grpc-status")
        assert response.status == 200 and status == b"0"


def test_an_early_error_on_a_running_stream_is_delivered_as_what_it_is(greeter, calls):
    sluice, _ = greeter()
    stop = threading.Event()

    def messages():
        for number in range(1000):
            if stop.wait(0.001):
                return
            yield b"m" * 10_000
    got = []
    with pytest.raises(grpc.RpcError) as failed:
        for answer in calls(sluice).bidi(messages(), metadata=(("fail-after", "5"),), timeout=20):
            got.append(answer)
    stop.set()
    assert failed.value.code() == grpc.StatusCode.ABORTED and failed.value.details() == "enough" and len(got) == 5


# The gateway's own answers


def refusal_of(sluice, path=UNARY, headers=(), body=message(b"x"), timeout=10):
    """The trailers-only answer to a call: (status, message)."""
    with sluice.h2("clear") as client:
        response = client.request("POST", path, [*GRPC, *headers], body=body, timeout=timeout)
    assert response.status == 200, response
    assert response.header("content-type").startswith("application/grpc"), response
    assert response.body == b"" and not response.has_trailers, response
    assert response.header("content-length") in (None, "0")
    return int(response.header("grpc-status")), unquote(response.header("grpc-message") or "")


def test_no_route_is_unimplemented(greeter):
    sluice, server = greeter(route={"match": {"path": "/other/*"}})
    assert refusal_of(sluice)[0] == 12
    assert server.calls == []


def test_a_refused_connection_is_unavailable(world):
    dead = world.backend()
    sluice = world.gateway({"listeners": [clear_listener()], **proxied(
        {"url": dead.url, "protocol": "h2c"}, retry={"attempts": 0}, **PATIENT)})
    dead.stop()
    assert refusal_of(sluice)[0] == 14
    entry = sluice.wait_access(1)[0]
    assert entry["status"] == 200 and entry["reason"] == "connect_refused", entry


def test_an_open_breaker_is_unavailable(world):
    dead = world.backend()
    sluice = world.gateway({"listeners": [clear_listener()], **proxied(
        {"url": dead.url, "protocol": "h2c"}, retry={"attempts": 0}, outlier_detection={"enabled": False},
        circuit_breaker={"failure_threshold": 2, "open_timeout": "60s"})})
    dead.stop()
    for _ in range(3):
        assert refusal_of(sluice)[0] == 14
    assert sluice.wait_access(3)[2]["reason"] == "circuit_open"


def test_denied_by_address_is_permission_denied(greeter):
    sluice, server = greeter(route={"middlewares": ["closed"]}, middlewares={"closed": {"ip_access": {"deny": ["127.0.0.0/8"]}}})
    assert refusal_of(sluice)[0] == 7
    assert server.calls == []


def test_a_response_timeout_is_deadline_exceeded(greeter):
    sluice, server = greeter(service={"timeouts": {"response": "1s"}, "retry": {"attempts": 0}})
    assert refusal_of(sluice, f"/{SERVICE}/Hang")[0] == 4
    server.wait_for(lambda: server.cancelled, 5, "the server's call is cancelled")


def test_a_body_announced_beyond_the_limit_is_resource_exhausted(greeter):
    sluice, server = greeter(route={"limits": {"request_body": "1KiB"}})
    with sluice.h2("clear") as client:
        stream = client.start("POST", UNARY, [*GRPC, ("content-length", "5000")], end=False)
        response = client.finish(stream)
        assert response.status == 200 and response.header("grpc-status") == "8", response


def test_an_answer_of_another_protocol_is_an_error_and_not_the_body(world):
    """A backend for HTTP/1.1 that answers HTML."""
    sluice = world.gateway({"listeners": [clear_listener()], **proxied(world.h2_backend(
        lambda stream: stream.reply(503, b"<html>", [("content-type", "text/html")])), retry={"attempts": 0}, **PATIENT)})
    with sluice.h2("clear") as client:
        response = client.request("POST", UNARY, GRPC, body=message(b""))
        # An answer of the backend passes as it is; a gRPC client makes a status of 503 by itself.
        assert response.status == 503 or response.header("grpc-status") is not None


def test_a_request_that_is_not_grpc_gets_the_usual_error(greeter):
    sluice, _ = greeter(route={"match": {"path": "/other/*"}})
    with sluice.h2("clear") as client:
        for kind in ("application/json", "application/grpcx", "text/plain"):
            assert client.request("POST", UNARY, [("content-type", kind)], body=b"{}").status == 404


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc;charset=utf-8", "application/GRPC"])
def test_each_form_of_the_content_type_is_grpc(greeter, kind):
    sluice, _ = greeter(route={"match": {"path": "/other/*"}})
    with sluice.h2("clear") as client:
        response = client.request("POST", UNARY, [("content-type", kind), ("te", "trailers")], body=message(b""))
        assert response.status == 200 and response.header("grpc-status") == "12", response


def test_over_http_1_1_the_answer_has_no_body_either(greeter):
    """Hardening 112: content-length 0."""
    sluice, _ = greeter(route={"match": {"path": "/other/*"}})
    response = sluice.request("POST", UNARY, GRPC, body=message(b""), listener="clear")
    assert (response.status, response.header("grpc-status"), response.header("content-length"), response.body) == (200, "12", "0", b"")


def test_a_message_of_the_gateway_is_percent_encoded(greeter):
    """The client of the harness refuses what is not a field; here the rest."""
    sluice, _ = greeter(route={"match": {"path": "/other/*"}})
    with sluice.h2("clear") as client:
        raw = client.request("POST", UNARY, GRPC, body=message(b"")).header("grpc-message")
        assert raw and all(0x20 <= ord(char) <= 0x7E for char in raw)


# Deadlines


def test_the_clients_deadline_ends_the_call_and_the_servers_work(greeter, calls):
    sluice, server = greeter()
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as failed:
        calls(sluice).hang(b"", timeout=1)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - started < 5
    server.wait_for(lambda: server.cancelled == ["Hang"], 5, "the server's call is cancelled")


def test_the_deadline_that_is_left_is_passed_on(greeter, calls):
    """Hardening 113."""
    sluice, server = greeter()
    calls(sluice).unary(b"", timeout=8)
    left = server.calls[0][2]
    assert left is not None and 4 < left < 8.5      # rounded to a whole unit on the way


def test_the_gateway_ends_a_call_whose_deadline_is_over_by_itself(greeter):
    """Hardening 113: a client that forgets its own deadline."""
    sluice, server = greeter(service={"timeouts": {"response": "20s"}})
    started = time.monotonic()
    assert refusal_of(sluice, f"/{SERVICE}/Hang", [("grpc-timeout", "700m")])[0] == 4
    assert 0.5 < time.monotonic() - started < 6
    server.wait_for(lambda: server.cancelled, 5, "the server's call is cancelled")


def test_the_routes_limit_counts_where_it_is_shorter(greeter):
    sluice, _ = greeter(service={"timeouts": {"response": "1s"}, "retry": {"attempts": 0}})
    started = time.monotonic()
    assert refusal_of(sluice, f"/{SERVICE}/Hang", [("grpc-timeout", "1H")])[0] == 4
    assert time.monotonic() - started < 8


@pytest.mark.parametrize("value", ["99999999H", "99999999S", "1n", "99999999n", "5u", "1H"])
def test_any_allowed_deadline_is_taken(greeter, value):
    """Hardening 113: eight digits and a unit; no overflow."""
    sluice, _ = greeter()
    with sluice.h2("clear") as client:
        response = client.request("POST", UNARY, [*GRPC, ("grpc-timeout", value)], body=message(b"x"))
        status = response.header("grpc-status") or dict(response.trailers).get(b"grpc-status", b"").decode()
        assert response.status == 200 and (status == "0" or (status == "4" and value[-1] in "nu")), response
        assert client.request("POST", UNARY, GRPC, body=message(b"y")).status == 200


# Cancellation


def test_a_call_that_the_client_cancels_is_cancelled_at_the_server(greeter, calls):
    """Hardening 113."""
    sluice, server = greeter()
    future = calls(sluice).hang.future(b"", timeout=30)
    server.wait_for(lambda: server.calls, 5, "the call has arrived")
    future.cancel()
    server.wait_for(lambda: server.cancelled == ["Hang"], 5, "the server's call is cancelled")
    assert sluice.wait_access(1)[0]["reason"] == "client_closed"


def test_a_stream_that_the_client_stops_reading_is_cancelled_at_the_server(greeter, calls):
    sluice, server = greeter()
    stream = calls(sluice).server_stream(b"10000000", timeout=30)
    next(stream)
    stream.cancel()
    server.wait_for(lambda: server.cancelled == ["ServerStream"], 5, "the server's call is cancelled")


def test_a_channel_that_is_closed_cancels_all_of_its_calls(greeter, calls):
    sluice, server = greeter()
    client = calls(sluice)
    futures = [client.hang.future(b"", timeout=30) for _ in range(10)]
    server.wait_for(lambda: len(server.calls) == 10, 5, "the calls have arrived")
    client.channel.close()
    server.wait_for(lambda: len(server.cancelled) == 10, 5, "the server's calls are cancelled")
    assert all(future.done() for future in futures)


def test_a_reset_by_the_server_is_a_failure_for_the_client_too(world):
    """With a status of the gateway's own behind what has come, or as the reset that it is."""
    def handler(stream):
        stream.head(200, [("content-type", "application/grpc")])
        stream.send(message(b"1"))
        stream.reset_with(f.CANCEL)
    sluice = world.gateway({"listeners": [clear_listener()], **proxied(world.h2_backend(handler), **PATIENT)})
    with sluice.h2("clear") as client:
        try:
            response = client.request("POST", UNARY, GRPC, body=message(b""))
            assert dict(response.trailers)[b"grpc-status"] not in (b"0", b"")
        except StreamReset as reset:
            assert reset.code in (f.CANCEL, f.INTERNAL_ERROR)


@pytest.mark.seconds(60)
def test_a_drain_lets_calls_end_and_a_channel_goes_on_with_the_next_daemon(greeter, calls):
    sluice, server = greeter()
    client = calls(sluice)
    assert client.unary(b"before", timeout=5) == b"before"
    running = client.unary.future(b"slow", metadata=(("want-delay", "1"),), timeout=20)
    server.wait_for(lambda: len(server.calls) == 2, 5, "the slow call has arrived")
    sluice.upgrade()
    assert running.result() == b"slow"
    assert client.unary(b"after", timeout=10, wait_for_ready=True) == b"after"


# Health checks


def test_a_check_asks_the_health_service_and_believes_it(greeter, calls, world):
    server = GrpcBackend()
    server.health["mine"] = 1
    sluice, _ = greeter(server, service={"health_check": {
        "type": "grpc", "grpc_service": "mine", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}})
    name = f"127.0.0.1:{server.port}"
    wait_instance(sluice, name, "healthy")
    assert set(server.health_asked) == {"mine"}
    server.health["mine"] = NOT_SERVING
    wait_instance(sluice, name, "failed", 10)
    assert refusal_of(sluice)[0] == 14
    server.health["mine"] = 1
    wait_instance(sluice, name, "healthy", 10)
    del server.health["mine"]       # NOT_FOUND
    wait_instance(sluice, name, "failed", 10)


def test_a_check_without_a_service_asks_after_the_server(greeter):
    sluice, server = greeter(service={"health_check": {"type": "grpc", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}})
    wait_instance(sluice, f"127.0.0.1:{server.port}", "healthy")
    assert set(server.health_asked) == {""}


def test_a_server_that_does_not_know_the_health_service_fails_its_checks(world):
    server = world.h2_backend(lambda stream: stream.head(200, [("content-type", "application/grpc"), ("grpc-status", "12")], end=True))
    sluice = world.gateway(proxied(server, health_check={"type": "grpc", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}))
    wait_instance(sluice, f"127.0.0.1:{server.port}", "failed", 10)


@pytest.mark.parametrize("answer", ["no trailers", "a long length", "two messages", "not grpc", "never", "no message"])
def test_an_answer_that_is_none_fails_the_check(world, answer):
    def handler(stream):
        kind = [("content-type", "text/html" if answer == "not grpc" else "application/grpc")]
        if answer == "never":
            stream.wait_reset()
        stream.head(200, kind)
        stream.send({"a long length": b"\0\xff\xff\xff\xff\x08\x01", "two messages": message(b"\x08\x02") * 2, "no message": b""}.get(answer, message(b"\x08\x01")))
        if answer == "no trailers":
            stream.end()
        else:
            stream.end([("grpc-status", "0")])
    server = world.h2_backend(handler)
    sluice = world.gateway(proxied(server, health_check={"type": "grpc", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}))
    wait_instance(sluice, f"127.0.0.1:{server.port}", "failed", 10)


# HTTP/1.1 on one side


def test_a_call_over_http_1_1_reaches_an_http_2_server_wherever_http_allows_it(greeter):
    """Unary, with chunked trailers behind the answer."""
    sluice, _ = greeter()
    response = sluice.request("POST", UNARY, GRPC, body=message(b"old"), listener="clear")
    assert response.status == 200 and response.body == message(b"old")
    assert dict((name.lower(), value) for name, value in response.trailers)[b"grpc-status"] == b"0"


def test_a_call_over_http_2_reaches_an_http_1_1_server_that_can_do_trailers(world):
    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n"
                        b"8\r\n" + message(b"abc") + b"\r\n0\r\ngrpc-status: 0\r\n\r\n")
    sluice = world.gateway({"listeners": [clear_listener()], **proxied(world.backend(handler))})
    with sluice.h2("clear") as client:
        response = client.request("POST", UNARY, GRPC, body=message(b""))
        assert response.body == message(b"abc") and (b"grpc-status", b"0") in response.trailers

