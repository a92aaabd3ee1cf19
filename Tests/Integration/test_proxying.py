"""What a user gets from a proxied exchange: every framing of HTTP/1.1, both ways, at constant memory."""

import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from sluice_harness import Truncated, reply, until
from sluice_harness.process import free_port

MIB = 1 << 20


def echo(request, connection):
    return reply(200, request.body, [("X-Method", request.method), ("X-Target", request.target)])


# Connections


def test_a_get_reaches_the_backend_and_its_answer_the_client(simple):
    sluice, server = simple(lambda request, connection: reply(201, b"made", [("X-Own", "1")], reason="Created"))
    response = sluice.request("GET", "/a/b?c=d&e")
    assert (response.status, response.body, response.header("x-own")) == (201, b"made", "1")
    assert [(r.method, r.target, r.version, r.header("host")) for r in server.requests] == \
        [("GET", "/a/b?c=d&e", "HTTP/1.1", "app.test")]


def test_requests_on_one_keep_alive_connection_share_one_upstream_connection(simple):
    sluice, server = simple(echo, server={"workers": 1})
    with sluice.connect() as client:
        for number in range(20):
            assert client.request("POST", f"/{number}", body=b"%d" % number).body == b"%d" % number
        assert client.is_open()
    assert len(server.connections) == 1 and [r.target for r in server.requests] == [f"/{n}" for n in range(20)]


def test_connection_close_of_the_client_is_obeyed_and_announced(simple):
    sluice, server = simple(echo)
    with sluice.connect() as client:
        response = client.request("GET", "/", [("Connection", "close")])
        assert response.status == 200 and response.header("connection") == "close"
        client.expect_closed()


def test_pipelined_requests_reach_the_backend_one_at_a_time_and_are_answered_in_order(simple):
    """Hardening 28."""
    seen = {"now": 0, "most": 0}
    lock = threading.Lock()

    def handler(request, connection):
        with lock:
            seen["now"] += 1
            seen["most"] = max(seen["most"], seen["now"])
        time.sleep(0.01 if request.target == "/0" else 0)    # the first is the slowest
        with lock:
            seen["now"] -= 1
        return reply(200, request.target.encode() + b" " + request.body)
    sluice, server = simple(handler)
    with sluice.connect() as client:
        client.send(b"".join(
            f"POST /{n} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\n{n:03}".encode() for n in range(50)))
        answers = [client.read_response("POST").body for _ in range(50)]
    assert answers == [f"/{n} {n:03}".encode() for n in range(50)]
    assert seen["most"] == 1 and len(server.requests) == 50


def test_requests_per_connection_is_a_limit_and_the_last_answer_announces_it(simple):
    """Defaults table: requests per connection, on breach close."""
    sluice, _ = simple(echo, limits={"requests_per_connection": 3})
    with sluice.connect() as client:
        assert [client.request().header("connection") for _ in range(3)] == [None, None, "close"]
        client.expect_closed()


def test_an_idle_keep_alive_connection_is_closed_without_a_word(simple):
    """Hardening 116: nothing is sent on an idle expiry."""
    sluice, _ = simple(echo, limits={"keepalive_timeout": "300ms"})
    with sluice.connect() as client:
        started = time.monotonic()
        assert client.request().status == 200
        client.expect_closed(3)
        assert 0.25 <= time.monotonic() - started < 2


# Request bodies


@pytest.mark.parametrize("size", [0, 1, 100, 16383, 16384, 16385, 65535, 65536, 65537, 1_000_003])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_bodies_of_every_size_go_through_whole_both_ways(module_sluice, size, chunked):
    sluice, server = module_sluice
    server.requests.clear()
    body = os.urandom(size)
    headers = [("X-Chunked", "1")] if chunked else []
    with sluice.connect() as client:
        if chunked:
            client.send(b"POST /echo HTTP/1.1\r\nHost: app.test\r\nX-Chunked: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
            at = 0
            while at < size:
                piece = body[at:at + 70_001]
                client.send(b"%X\r\n%s\r\n" % (len(piece), piece))
                at += len(piece)
            client.send(b"0\r\n\r\n")
            response = client.read_response("POST")
        else:
            response = client.request("POST", "/echo", headers, body)
        assert response.status == 200 and response.body == body
        assert response.framing == ("chunked" if chunked else "length")
        assert client.request("GET", "/again").status == 200
    assert server.requests[0].body == body
    if not chunked:
        assert server.requests[0].header("content-length") == str(size)


@pytest.fixture(scope="module")
def module_sluice(module_world):
    from conftest import one_service
    server = module_world.backend(lambda request, connection: reply(200, request.body, chunked=bool(request.all("x-chunked"))))
    return module_world.gateway(one_service(server)), server


def test_a_post_without_a_body_is_sent_on_with_content_length_0(simple):
    sluice, server = simple(echo)
    assert sluice.request("POST", "/", [("Content-Length", "0")]).status == 200
    assert server.requests[0].header("content-length") == "0"


def test_an_upload_is_streamed_not_collected(simple):
    """The backend sees the first part of the body before the client has sent the last."""
    sluice, server = simple(echo)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n12345")
        connection = server.wait_heads(1)[0].connection
        until(lambda: connection.received.endswith(b"12345"), 5, "first half at the backend")
        client.send(b"67890")
        assert client.read_response("POST").body == b"1234567890"


def test_request_trailers_reach_the_backend_and_response_trailers_the_client(simple):
    """Hardening 13: the permitted ones are forwarded both ways."""
    def handler(request, connection):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                b"3\r\nabc\r\n0\r\nX-Sum: 42\r\nX-More: m\r\n\r\n")
    sluice, server = simple(handler)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"1\r\na\r\n0\r\nX-Check: 1\r\nX-Other: two\r\n\r\n")
        response = client.read_response("POST")
        assert client.request("GET", "/", [("TE", "trailers")]).body == b"abc"
    assert server.requests[0].trailers == [(b"X-Check", b"1"), (b"X-Other", b"two")]
    assert server.requests[0].body == b"a"
    assert response.body == b"abc" and response.trailers == [(b"X-Sum", b"42"), (b"X-More", b"m")]


# Responses without a body


def test_a_head_request_gets_the_length_and_no_body_and_the_connection_goes_on(simple):
    """Hardening 41."""
    def handler(request, connection):
        if request.method == "HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
        return reply(200, b"after")
    sluice, server = simple(handler, server={"workers": 1})
    with sluice.connect() as client:
        response = client.request("HEAD", "/")
        assert response.header("content-length") == "1234" and response.body == b""
        assert client.request("GET", "/").body == b"after"
    assert len(server.connections) == 1


@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_no_body_and_the_connection_goes_on(simple, status):
    """Hardening 41: never add a framing field to 204."""
    def handler(request, connection):
        if request.target == "/none":
            return f"HTTP/1.1 {status} X\r\nETag: \"a\"\r\n\r\n".encode()
        return reply(200, b"after")
    sluice, _ = simple(handler)
    with sluice.connect() as client:
        response = client.request("GET", "/none")
        assert response.status == status and response.header("etag") == '"a"'
        assert response.all("transfer-encoding") == []
        assert client.request("GET", "/").body == b"after"


def test_a_304_keeps_the_content_length_of_the_selected_representation(simple):
    """RFC 9110 §8.6."""
    sluice, _ = simple(lambda request, connection: b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
                       if request.target == "/none" else reply())
    with sluice.connect() as client:
        assert client.request("GET", "/none").header("content-length") in ("77", None)
        assert client.request("GET", "/").status == 200


# Interim responses


def test_the_client_that_waits_for_100_continue_gets_exactly_one_and_then_the_answer(simple):
    """Hardening 30."""
    sluice, server = simple(echo)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        interim = client.read_head()
        assert interim.status == 100
        client.send(b"body")
        response = client.read_response("POST")
        assert response.status == 200 and response.interim == [] and response.body == b"body"
        assert client.request("GET", "/").status == 200


def test_a_backend_that_itself_answers_100_does_not_make_it_two(simple):
    """Hardening 30: the gateway never sends 100 twice."""
    def script(connection):
        request = connection.read_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_body(request)
        connection.send(reply(200, request.body))
        connection.hang()
    sluice, server = simple(script=script)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_head().status == 100
        client.send(b"body")
        response = client.read_response("POST")
        assert (response.status, response.body, [i.status for i in response.interim]) == (200, b"body", [])


def test_a_client_that_expects_100_but_sends_at_once_is_served(simple):
    """Hardening 31."""
    sluice, server = simple(echo)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
        response = client.read_response("POST")
        assert response.body == b"body" and [i.status for i in response.interim] in ([], [100])
        assert client.request("GET", "/x").header("x-target") == "/x"
    assert [r.body for r in server.requests] == [b"body", b""]


@pytest.mark.parametrize("request_text", [
    b"GET / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: app.test\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
], ids=["no body", "HTTP/1.0"])
def test_expect_without_a_body_or_from_http_1_0_brings_no_100(simple, request_text):
    """Hardening 30."""
    sluice, server = simple(echo)
    with sluice.connect() as client:
        response = client.send(request_text).read_response()
        assert response.status == 200 and response.interim == []


def test_any_other_expectation_is_refused_with_417(simple):
    """Hardening 30."""
    sluice, server = simple(echo)
    for value in (b"200-ok", b"100-continue, x", b"x=y"):
        with sluice.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\nExpect: " + value + b"\r\n\r\na")
            assert client.read_response("POST").status == 417
    assert server.requests == []


def test_expect_is_case_insensitive(simple):
    """RFC 9110 §10.1.1; hardening 30."""
    sluice, server = simple(echo)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n")
        assert client.read_head().status == 100
        client.send(b"a")
        assert client.read_response("POST").body == b"a"


def test_a_client_that_expects_100_and_is_refused_gets_no_100(simple):
    """Hardening 30: or a final status without 100."""
    sluice, server = simple(echo, limits={"request_body": 10})
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        response = client.read_response("POST")
        assert response.status == 413 and response.interim == []
        client.expect_closed()
    assert server.heads == []


def test_early_hints_reach_an_http_1_1_client_before_the_answer(simple):
    """Hardening 40."""
    gate = threading.Event()

    def handler(request, connection):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        assert gate.wait(10)
        return reply(200, b"page")
    sluice, _ = simple(handler)
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        hints = client.read_head()
        assert hints.status == 103 and hints.header("link") == "</a.css>; rel=preload"
        gate.set()
        assert client.read_response().body == b"page"


def test_early_hints_are_not_sent_to_an_http_1_0_client(simple):
    """Hardening 40; RFC 9110 §15.2."""
    sluice, _ = simple(lambda request, connection: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(200, b"page"))
    answer = sluice.exchange(b"GET / HTTP/1.0\r\nHost: app.test\r\n\r\n")
    assert b" 103 " not in answer and answer.endswith(b"page")


# HTTP/1.0


def test_an_http_1_0_client_is_answered_and_the_connection_closed(simple):
    sluice, server = simple(echo)
    with sluice.connect() as client:
        client.send(b"POST /old HTTP/1.0\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc")
        response = client.read_response("POST")
        assert response.body == b"abc" and response.all("transfer-encoding") == []
        client.expect_closed()
    assert server.requests[0].version == "HTTP/1.1"


def test_an_http_1_0_client_that_asks_for_keep_alive_gets_it_when_the_length_is_known(simple):
    """RFC 9112 §9.3; for such a client the answer says so."""
    sluice, server = simple(echo)
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n")
        first = client.read_response()
        assert first.status == 200
        if (first.header("connection") or "").lower() == "keep-alive":
            client.send(b"GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n")
            assert client.read_response().status == 200
        else:
            client.expect_closed()


def test_a_chunked_response_to_an_http_1_0_client_is_ended_by_the_close(simple):
    sluice, _ = simple(lambda request, connection: reply(200, b"stream", chunked=True))
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n")
        response = client.read_response()
        assert (response.framing, response.body) == ("close", b"stream")


def test_an_http_1_0_request_without_a_host_is_answered_for_any_host(simple):
    """RFC 9112 §3.2 asks for Host in 1.1 only; the backend gets exactly one Host in any case."""
    sluice, server = simple(echo)
    answer = sluice.exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(server.requests[0].all("host")) == 1


# Responses that end with their connection, early responses, half-closed clients


def test_a_response_that_ends_with_its_connection_is_chunked_for_an_http_1_1_client(simple):
    """Hardening 42."""
    def script(connection):
        while connection.read_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst ")
            connection.send(b"second")
            connection.close()
            return
    sluice, server = simple(script=script)
    with sluice.connect() as client:
        for _ in range(3):
            response = client.request()
            assert (response.framing, response.body) == ("chunked", b"first second")
    assert len(server.connections) == 3


def test_an_http_1_0_backend_is_understood(simple):
    def script(connection):
        if connection.read_request():
            connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")
            connection.hang()
    sluice, server = simple(script=script)
    with sluice.connect() as client:
        for _ in range(2):
            response = client.request()
            assert (response.version, response.body) == (b"HTTP/1.1", b"old")
    assert len(server.connections) == 2


def test_an_early_final_response_reaches_the_client_and_both_connections_close(simple):
    """Hardening 38."""
    def script(connection):
        request = connection.read_head()
        while len(connection.buffer) < 1024:
            connection.fill()
        connection.send(reply(413, b"too much", [("X-From", "backend")]))
        connection.hang()
    sluice, server = simple(script=script)
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 2048)
        response = client.read_response("POST")
        assert (response.status, response.body, response.header("x-from")) == (413, b"too much", "backend")
        assert response.header("connection") == "close"
        client.try_send(b"x" * 2048)
        assert client.read_to_end() == b""
    assert server.connections[0].wait_end()
    assert server.requests == [] and len(server.connections) == 1


def test_a_client_that_half_closes_after_its_request_still_gets_the_answer(simple):
    """Hardening 33."""
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(10)
        return reply(200, b"late")
    sluice, server = simple(handler)
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.half_close()
        server.wait_requests(1)
        gate.set()
        assert client.read_response().body == b"late"
        client.expect_closed()


def test_a_client_that_resets_cancels_the_upstream_request(simple):
    """Hardening 33: the upstream connection is closed, within 100 ms on an idle machine."""
    ended = []

    def script(connection):
        connection.read_request()
        ended.append((connection.hang(), time.monotonic()))
    sluice, server = simple(script=script)
    client = sluice.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
    server.wait_requests(1)
    at = time.monotonic()
    client.reset()
    until(lambda: ended, 5, "the backend sees the cancel")
    assert ended[0][1] - at < 4
    entry = sluice.wait_access(1)[0]
    assert (entry["status"], entry["reason"]) == (499, "client_closed")


def test_a_client_that_stops_in_the_middle_of_its_body_aborts_the_upstream_request(simple):
    """A body cut short is no request: the backend must not be left with what looks like one."""
    sluice, server = simple(echo)
    client = sluice.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhalf")
    connection = server.wait_heads(1)[0].connection
    client.close()
    assert connection.wait_end()
    client = sluice.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    connection = server.wait_heads(2)[1].connection
    client.close()
    assert connection.wait_end()
    assert server.requests == []


# Streams


def test_server_sent_events_are_flushed_at_once(simple):
    """Each event arrives before the backend sends the next."""
    steps = threading.Semaphore(0)

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            event = b"data: %d\n\n" % number
            connection.send(b"%x\r\n%s\r\n" % (len(event), event))
            assert steps.acquire(timeout=10)
        connection.send(b"0\r\n\r\n")
        connection.hang()
    sluice, _ = simple(script=script)
    with sluice.connect() as client:
        client.send(b"GET /events HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\n\r\n")
        assert client.read_head().header("content-type") == "text/event-stream"
        for number in range(5):
            client.read_until(b"data: %d\n\n" % number, 2)
            steps.release()
        client.read_until(b"0\r\n\r\n", 2)


def test_a_response_head_is_sent_on_before_its_body(simple):
    gate = threading.Event()

    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        assert gate.wait(10)
        return b"abc"
    sluice, _ = simple(handler)
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.read_head(2).header("content-length") == "3"
        gate.set()
        client.read_until(b"abc")


# Gigabytes


@pytest.mark.memory
@pytest.mark.seconds(90)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_download_of_256_mib_leaves_memory_as_it_was(simple, chunked):
    """Uploads and downloads of gigabytes at constant memory."""
    piece = os.urandom(MIB)

    def script(connection):
        while connection.read_request() is not None:
            if chunked:
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(256):
                    connection.send(b"%x\r\n" % MIB)
                    connection.send(piece)
                    connection.send(b"\r\n")
                connection.send(b"0\r\n\r\n")
            else:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
                for _ in range(256):
                    connection.send(piece)
    sluice, _ = simple(script=script)
    before, most, received = sluice.rss_kib(), 0, hashlib.sha256()
    count = 0

    def sink(data):
        nonlocal most, count
        received.update(data)
        count += 1
        if count % 64 == 0:
            most = max(most, sluice.rss_kib())
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        response = client.read_response(sink=sink, timeout=80)
    assert response.body_bytes == 256 * MIB
    expected = hashlib.sha256()
    for _ in range(256):
        expected.update(piece)
    assert received.digest() == expected.digest()
    assert most - before < 4 * 1024, f"grew from {before} to {most} KiB"


@pytest.mark.memory
@pytest.mark.seconds(90)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upload_of_256_mib_leaves_memory_as_it_was(simple, chunked):
    piece = os.urandom(MIB)
    received = hashlib.sha256()
    total = [0]

    def sink(data):
        received.update(data)
        total[0] += len(data)

    def script(connection):
        request = connection.read_head()
        connection.read_body(request, sink)
        connection.send(reply(200, b"thanks"))
        connection.hang()
    sluice, _ = simple(script=script, route={"limits": {"request_body": "1GiB"}}, backend_options={"record": False})
    before, most = sluice.rss_kib(), 0
    with sluice.connect(timeout=60) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\n"
                    + (b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (256 * MIB)) + b"\r\n\r\n")
        for _ in range(256):
            client.send(b"%x\r\n%s\r\n" % (MIB, piece) if chunked else piece)
            most = max(most, sluice.rss_kib())
        if chunked:
            client.send(b"0\r\n\r\n")
        assert client.read_response("POST").body == b"thanks"
    assert total[0] == 256 * MIB
    assert most - before < 4 * 1024, f"grew from {before} to {most} KiB"


# Real clients and backends


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_gets_posts_and_uploads_through_the_gateway(simple, tmp_path):
    sluice, server = simple(echo)
    base = f"http://127.0.0.1:{sluice.ports['web']}"
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(3 * MIB))
    run = lambda *a: subprocess.run(["curl", "-sS", "--max-time", "10", *a], capture_output=True, check=True).stdout  # noqa: E731
    assert run(base + "/a?b=c") == b""
    assert run("-d", "x=1", base + "/form") == b"x=1"
    assert run("-T", str(upload), base + "/put") == upload.read_bytes()
    assert run("-T", str(upload), "-H", "Transfer-Encoding: chunked", base + "/put") == upload.read_bytes()
    assert run("-T", str(upload), "-H", "Expect: 100-continue", base + "/put") == upload.read_bytes()
    assert b"200" in run("-I", base + "/head")
    assert run("-0", "-d", "old", base + "/old") == b"old"
    assert run(base + "/1", base + "/2", "-w", "%{num_connects}", "-o", str(tmp_path / "o")).count(b"1") <= 1


@pytest.mark.skipif(not shutil.which("nginx") and not os.path.exists("/usr/sbin/nginx"), reason="nginx is not installed")
def test_nginx_as_the_backend_serves_files_ranges_and_errors(gateway, tmp_path):
    port = free_port()
    files = tmp_path / "files"
    files.mkdir()
    content = os.urandom(5 * MIB)
    (files / "big").write_bytes(content)
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"""
        daemon off; master_process off; error_log {tmp_path}/error.log; pid {tmp_path}/nginx.pid;
        events {{ worker_connections 256; }}
        http {{
            access_log off; sendfile on; keepalive_requests 5;
            client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path};
            uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path};
            server {{ listen 127.0.0.1:{port}; root {files}; }}
        }}""")
    nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(conf), "-p", str(tmp_path)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def ready():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        until(ready, 5, "nginx listens")
        sluice = gateway(
            services={"files": {"instances": [{"url": f"http://127.0.0.1:{port}"}]}},
            routes=[{"name": "files", "match": {"path": "/*"}, "service": "files"}])
        with sluice.connect() as client:
            for _ in range(12):     # nginx closes after five requests each: the pool must take no notice
                response = client.request("GET", "/big")
                assert response.status == 200 and response.body == content
            part = client.request("GET", "/big", [("Range", "bytes=100-199")])
            assert (part.status, part.body) == (206, content[100:200])
            missing = client.request("GET", "/none")
            assert missing.status == 404 and b"nginx" in missing.body
    finally:
        nginx.terminate()
        nginx.wait(5)


def test_a_download_that_the_client_leaves_half_read_frees_the_upstream_connection(simple):
    """Hardening 33, 50."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        while True:
            connection.send(b"x" * 65536)
    sluice, server = simple(script=script)
    client = sluice.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.read_until(b"x" * 1000)
    client.reset()
    assert server.wait_connections(1)[0].wait_end() in ("reset", "eof")


def test_a_response_cut_short_is_visibly_cut_short(simple):
    """Hardening 39; more of it in test_backend_faults."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 60)
        connection.close()
    sluice, _ = simple(script=script)
    with sluice.connect() as client, pytest.raises(Truncated) as caught:
        client.request()
    assert caught.value.response.body == b"x" * 60
