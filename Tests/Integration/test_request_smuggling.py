"""Requests that cannot be modelled exactly: one refusal, a closed connection, and nothing at the backend (hardening, section A)."""

import itertools
import re
import threading
import time

import pytest

from conftest import one_service
from sluice_harness import Connection, reply, until

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"


@pytest.fixture(scope="module")
def road(module_world):
    """One daemon and one backend for the whole table."""
    server = module_world.backend(lambda request, connection: reply(200, request.body, [("X-Target", request.target)]))
    return module_world.gateway({**one_service(server), "limits": {"connections_per_client": 4096}}), server


def refused(road, attack: bytes, statuses=(400,), tail: bytes = SMUGGLED, code: str | None = "INVALID_REQUEST",
    head_may_pass=False):
    """Sends the attack with a request smuggled behind it, and checks the one refusal."""
    sluice, server = road
    server.requests.clear()
    server.heads.clear()
    server.partial.clear()
    with sluice.connect() as client:
        client.try_send(attack + tail)
        response = client.read_response()
        assert response.status in statuses, f"{attack[:200]!r} got {response}"
        assert response.header("connection") == "close", response
        assert response.header("x-request-id")
        if code is not None:
            assert response.json()["error"]["code"] == code, response
            assert response.json()["request_id"] == response.header("x-request-id")
        client.expect_closed()
    nothing_reached(road, head_may_pass)


def nothing_reached(road, head_may_pass=False):
    """A good request that follows is the only one that the backend has seen whole."""
    sluice, server = road
    assert sluice.request("GET", "/marker").status == 200
    assert [request.target for request in server.requests] == ["/marker"]
    if not head_may_pass:
        assert [request.target for request in server.heads] == ["/marker"] and server.partial == []
    assert server.violations == []


def post(*fields: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /attack " + version + b"\r\n" + b"\r\n".join((b"Host: app.test", *fields)) + b"\r\n\r\n" + body


def get(*fields: bytes) -> bytes:
    return b"GET /attack HTTP/1.1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"


CL_AND_TE = {
    "length first": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "coding first": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "other case": post(b"content-length: 5", b"TRANSFER-ENCODING: CHUNKED", body=b"0\r\n\r\n"),
    "length 0": post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "on a GET": b"GET /attack HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "far apart": post(b"Content-Length: 5", *[b"X-%d: y" % n for n in range(40)], b"Transfer-Encoding: chunked",
    body=b"0\r\n\r\n"),
}


@pytest.mark.parametrize("attack", CL_AND_TE.values(), ids=CL_AND_TE.keys())
def test_content_length_and_transfer_encoding_together_are_refused_and_nothing_reaches_the_backend(road, attack):
    """Hardening 1."""
    refused(road, attack)


@pytest.mark.parametrize("pair", [
    (b"Content-Length: 5", b"Content-Length: 6"), (b"Content-Length: 5", b"Content-Length: 5"),
    (b"content-length: 5", b"Content-Length: 5"), (b"Content-Length: 5, 5",), (b"Content-Length: 5,6",),
    (b"Content-Length: 5,",), (b"Content-Length: ,5",), (b"Content-Length: 0", b"Content-Length: 5"),
    (b"Content-Length: 5", b"X-Between: 1", b"CONTENT-LENGTH: 44"),
], ids=str)
def test_several_content_lengths_are_refused_and_nothing_reaches_the_backend(road, pair):
    """Hardening 2."""
    refused(road, post(*pair, body=b"hello"))


@pytest.mark.parametrize("value", [
    b"", b"+5", b"-0", b"-5", b"0x5", b"0x10", b"1_0", b"5 5", b"5;a", b"\xa05", b"5\xa0", b"\xd9\xa5", b"5.0", b"5e0", b"five",
    b"\"5\"", b"5\x0b", b"\x0c5", b"00000000000000000005",
], ids=repr)
def test_a_content_length_that_is_not_digits_is_refused(road, value):
    """Hardening 3: accepted only as `^[0-9]{1,19}$`."""
    refused(road, post(b"Content-Length: " + value, body=b"hello"))


@pytest.mark.parametrize("value,statuses", [
    (2**31, (413,)), (2**32, (413,)), (2**53, (413,)), (2**63 - 1, (413,)), (2**63, (400,)), (2**64, (400,)), (2**64 + 5, (400,)),
    (10**40, (400,)),
], ids=str)
def test_a_huge_content_length_is_refused_without_a_trap(road, value, statuses):
    """Hardening 4: 413 where the number is valid, 400 where it is not, before any of the body is read."""
    refused(road, post(b"Content-Length: %d" % value), statuses, tail=b"")


@pytest.mark.parametrize("fields", [
    (b"Transfer-Encoding: xchunked",), (b"Transfer-Encoding: chunked, identity",), (b"Transfer-Encoding: identity, chunked",),
    (b"Transfer-Encoding: gzip, chunked",), (b"Transfer-Encoding: gzip",), (b"Transfer-Encoding: identity",),
    (b"Transfer-Encoding: ,chunked",), (b"Transfer-Encoding: chunked,",), (b"Transfer-Encoding: chunked;x=1",),
    (b"Transfer-Encoding: \"chunked\"",), (b"Transfer-Encoding: chunked\x0b",), (b"Transfer-Encoding: \x0cchunked",),
    (b"Transfer-Encoding: chunked\x00",), (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), (b"Transfer-Encoding:",), (b"Transfer-Encoding: chunk",),
    (b"Transfer-Encoding: chunked chunked",), (b"Transfer-Encoding: chunked, chunked",),
    (b"Transfer-Encoding: \xef\xbb\xbfchunked",),
    (b"Transfer-Encoding\x20: chunked",), (b"Transfer-Encoding: chun\xc2\xadked",), (b"Transfer-Encoding: chun\xe2\x84\xaaed",),
    (b"Transfer_Encoding: chunked", b"Content-Length: 0"),
], ids=repr)
def test_a_transfer_encoding_other_than_chunked_is_refused(road, fields):
    """Hardening 5, and 70 for the twin with an underscore."""
    refused(road, post(*fields, body=b"0\r\n\r\n"), (400, 501))


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b"  chunked\t"], ids=repr)
def test_chunked_in_any_case_with_white_space_around_is_one_request(road, value):
    """Hardening 5: case-insensitive, OWS trimmed."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(post(b"Transfer-Encoding:" + value, body=b"5\r\nhello\r\n0\r\n\r\n") + SMUGGLED)
        assert client.read_response("POST").body == b"hello"
        assert client.read_response().header("x-target") == "/smuggled"
    assert [(r.target, r.body) for r in server.requests] == [("/attack", b"hello"), ("/smuggled", b"")]


def test_transfer_encoding_in_an_http_1_0_request_is_refused(road):
    """Hardening 6."""
    refused(road, post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"))


@pytest.mark.parametrize("line", [
    b"+5", b"-5", b"0x5", b"5_", b"_5", b" 5", b"5 ", b"", b"Z", b"5Z", b"5,5", b"5\t", b"\t5", b"5.", b"\xef\xbc\x95",
    b"FFFFFFFFFFFFFFFF5", b"10000000000000000", b"0" * 64 + b"5", b"0" * 17, b"5;a=\x00", b"5;a=\x7f", b"5;" + b"a" * 300,
], ids=lambda line: repr(line[:24]))
def test_a_chunk_size_line_that_is_not_hexadecimal_digits_is_refused(road, line):
    """Hardening 7, 8, 11."""
    refused(road, post(b"Transfer-Encoding: chunked", body=line + b"\r\nhello\r\n0\r\n\r\n"), head_may_pass=True)


@pytest.mark.parametrize("size", [b"FFFFFFFFFFFFFFFF", b"7FFFFFFFFFFFFFFF", b"8000000000000000", b"FFFFFFFF", b"100000000"])
def test_a_chunk_larger_than_the_limit_on_bodies_is_refused_before_its_data(road, size):
    """Hardening 8: capped at the remaining body budget before any arithmetic."""
    refused(road, post(b"Transfer-Encoding: chunked", body=size + b"\r\nhello"), (413, 400), tail=b"", head_may_pass=True)


@pytest.mark.parametrize("body", [
    b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\rXhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5;a\nhello\r\n0\r\n\r\n", b"5;a\n\r\nhello\r\n0\r\n\r\n",
    b"5;a=\rb\r\nhello\r\n0\r\n\r\n", b"5;\nx\r\nhello\r\n0\r\n\r\n", b"5\n\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\r\r\n", b"5\r\nhello\r\n0\r\n\rX",
], ids=repr)
def test_a_bare_lf_or_cr_in_chunked_framing_is_refused(road, body):
    """Hardening 9."""
    refused(road, post(b"Transfer-Encoding: chunked", body=body), head_may_pass=True)


@pytest.mark.parametrize("body", [
    b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\r\nXX\r\n0\r\n\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n", b"5\r\nhell\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n",
], ids=repr)
def test_chunk_data_not_followed_by_exactly_crlf_is_refused(road, body):
    """Hardening 10."""
    refused(road, post(b"Transfer-Encoding: chunked", body=body), head_may_pass=True)


def test_one_byte_chunks_with_long_extensions_are_refused_after_a_bounded_overhead(road):
    """Hardening 11: framing overhead at most 16 KiB and a quarter of the body."""
    sluice, server = road
    cpu = sluice.cpu_seconds()
    with sluice.connect() as client:
        assert client.try_send(post(b"Transfer-Encoding: chunked"))
        sent = 0
        piece = (b"1;" + b"e" * 200 + b"\r\nx\r\n") * 50
        while sent < 10 << 20 and client.try_send(piece):
            sent += len(piece)
        answer = client.read_to_end()
    assert client.was_reset or answer.startswith(b"HTTP/1.1 400 ")
    assert sluice.cpu_seconds() - cpu < 2
    nothing_reached_after_flood(road)


def nothing_reached_after_flood(road):
    sluice, server = road
    server.requests.clear()
    assert sluice.request("GET", "/marker").status == 200
    assert [r.target for r in server.requests] == ["/marker"]


@pytest.mark.parametrize("name", [
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Content-Type", b"Content-Encoding", b"Authorization", b"Connection",
    b"X-Forwarded-For", b"X-Real-IP", b"X-Request-ID", b"X-Auth-Subject", b"X-User-Id", b"Cookie", b"TE", b"Via", b"Expect",
])
def test_a_trailer_that_means_something_is_dropped_and_never_becomes_a_header(road, name):
    """Hardening 13."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(post(b"TE: trailers", b"Transfer-Encoding: chunked",
                         body=b"1\r\na\r\n0\r\n" + name + b": smuggled-value\r\nX-Good: kept\r\n\r\n"))
        assert client.read_response("POST").status == 200
    request = server.requests[0]
    assert not any(b"smuggled-value" in value for _, value in request.headers + request.trailers)
    assert request.trailers == [(b"X-Good", b"kept")]


def line_endings():
    lines = [b"GET /attack HTTP/1.1", b"Host: app.test", b"X-A: b", b""]
    for position, ending in itertools.product(range(len(lines)), (b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\n\r")):
        yield b"".join(line + (ending if at == position else b"\r\n") for at, line in enumerate(lines))


@pytest.mark.parametrize("attack", line_endings(), ids=lambda a: repr(a[20:]))
def test_a_line_of_the_head_that_does_not_end_in_crlf_is_refused(road, attack):
    """Hardening 14, 15."""
    refused(road, attack, tail=b"X-Rest: 1\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize("end", [b"\r\n\rX", b"\n\n", b"\r\n\n", b"\r\n\r\r", b"\r\n \r\n", b"\r\n\x00\r\n"], ids=repr)
def test_a_head_that_does_not_end_in_an_empty_line_is_refused(road, end):
    """Hardening 15."""
    refused(road, b"GET /attack HTTP/1.1\r\nHost: app.test" + end, tail=b"\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize("fields", [
    (b"Host: app.test", b"Content-Length : 5"), (b"Host: app.test", b"Content-Length\t: 5"), (b"Host : app.test",),
    (b"Host: app.test", b"X-A : b"), (b"Host: app.test", b"X A: b"), (b"Host: app.test", b"X-A:b", b" folded"),
    (b"Host: app.test", b"X-A:b", b"\tfolded"), (b" Host: app.test",), (b"\tX: y", b"Host: app.test"),
    (b"Host: app.test", b"nocolon"),
    (b"nocolon", b"Host: app.test"), (b"Host: app.test", b": v"), (b": v", b"Host: app.test"), (b"Host: app.test", b":"),
    (b"Host: app.test", b" "), (b"Host: app.test", b"Transfer-Encoding", b" : chunked"),
], ids=repr)
def test_malformed_field_lines_are_refused(road, fields):
    """Hardening 16, 17."""
    refused(road, get(*fields))


@pytest.mark.seconds(60)
def test_every_byte_that_is_no_token_is_refused_in_a_field_name(road):
    """Hardening 18."""
    token = set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    sluice, server = road
    for byte in range(256):
        name = b"X-A" + bytes([byte]) + b"B"
        with sluice.connect() as client:
            client.send(get(b"Host: app.test", name + b": 1"))
            expected = 200 if byte in token or byte == ord(":") else 400
            assert client.read_response().status == expected, name
    assert server.violations == []


@pytest.mark.seconds(60)
def test_control_bytes_are_refused_in_a_value_and_all_others_arrive_unchanged(road):
    """Hardening 19: obs-text is kept as bytes."""
    sluice, server = road
    for byte in range(256):
        for value in (b"a" + bytes([byte]) + b"b", b"a" + bytes([byte])):
            server.requests.clear()
            with sluice.connect() as client:
                client.send(get(b"Host: app.test", b"X-Value: " + value))
                allowed = byte == 9 or 32 <= byte < 127 or byte >= 128
                assert client.read_response().status == (200 if allowed else 400), value
                if allowed:
                    got = [v for n, v in server.requests[0].headers if n.lower() == b"x-value"]
                    assert got == [value.strip(b" \t")]
    assert server.violations == []


@pytest.mark.parametrize("method,statuses", [
    (b"get", (501,)), (b"Get", (501,)), (b"FOO", (501,)), (b"G(T", (400,)), (b"G\x00T", (400,)), (b"", (400,)),
    (b"A" * 33, (400, 501)),
    (b"TRACE", (405,)), (b"\xc3\x89", (400,)),
], ids=repr)
def test_unknown_and_malformed_methods_are_refused(road, method, statuses):
    """Hardening 20."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(method + b" /attack HTTP/1.1\r\nHost: app.test\r\n\r\n")
        response = client.read_response()
        assert response.status in statuses
        if response.status == 405:
            assert response.header("allow") is not None
    nothing_reached_after_flood(road)


def test_connect_is_refused_with_405_and_the_connection_closed(road):
    """Hardening 20, 102."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(b"CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n" + SMUGGLED)
        response = client.read_response()
        assert response.status == 405 and response.header("connection") == "close"
        client.expect_closed()
    nothing_reached_after_flood(road)


@pytest.mark.parametrize("version", [
    b"HTTP/1.32", b"HTTP/2.0", b"HTTP/2", b"HTTP/1.", b"HTTP/1.2", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1x", b"HTTP/01.1",
    b"HTTP /1.1",
    b"HTTP/1,1", b"HTP/1.1", b"HTTP/1.1\t", b"HTTP/\xd9\xa1.1",
], ids=repr)
def test_versions_other_than_1_1_and_1_0_are_refused(road, version):
    """Hardening 21."""
    refused(road, b"GET /attack " + version + b"\r\nHost: app.test\r\n\r\n", (400, 505))


def test_an_http_0_9_request_is_refused(road):
    """Hardening 21."""
    refused(road, b"GET /attack\r\n", (400, 505), tail=b"\r\n")


@pytest.mark.parametrize("line", [
    b"GET  /attack HTTP/1.1", b"GET /attack  HTTP/1.1", b"GET\t/attack HTTP/1.1", b"GET /attack\tHTTP/1.1",
    b"GET\x0b/attack HTTP/1.1",
    b"GET /attack HTTP/1.1 x", b"GET /attack HTTP/1.1 ", b" GET /attack HTTP/1.1", b"GET /attack", b"GET", b"GET  HTTP/1.1",
    b"GET /att ack HTTP/1.1", b"GET /attack\xa0HTTP/1.1", b"GET /attack\x0cHTTP/1.1",
], ids=repr)
def test_a_request_line_with_other_white_space_is_refused_not_corrected(road, line):
    """Hardening 22."""
    refused(road, line + b"\r\nHost: app.test\r\n\r\n", (400, 505))


def test_one_empty_line_before_the_request_is_tolerated_and_three_are_not(road):
    """Hardening 23."""
    sluice, server = road
    with sluice.connect() as client:
        client.send(b"\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.read_response().status == 200
        client.send(b"\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.read_response().status == 200
    refused(road, b"\r\n\r\n\r\nGET /attack HTTP/1.1\r\nHost: app.test\r\n\r\n")
    refused(road, b"\nGET /attack HTTP/1.1\r\nHost: app.test\r\n\r\n")


@pytest.mark.parametrize("fields", [
    (), (b"Host: app.test", b"Host: app.test"), (b"Host: app.test", b"host: other.test"), (b"Host: a,b",), (b"Host: a b",),
    (b"Host: a/b",), (b"Host: a@b",), (b"Host: [::1",), (b"Host: a:99999",), (b"Host: a:b",), (b"Host: a?b",), (b"Host: a#b",),
    (b"Host: a\\b",), (b"Host: a%00",), (b"Host: \xc3\xa9",), (b"Host: a:80:80",), (b"Host: [::g]",), (b"Host: user@app.test",),
], ids=repr)
def test_a_missing_double_or_invalid_host_is_refused(road, fields):
    """Hardening 25."""
    refused(road, get(*fields, b"X: y"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH"])
def test_the_body_of_any_method_is_framed_and_the_next_request_is_the_next_request(road, method):
    """Hardening 26 (CL.0)."""
    sluice, server = road
    server.requests.clear()
    body = SMUGGLED
    with sluice.connect() as client:
        client.send(f"{method} /one HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                    + b"GET /two HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.read_response(method).status == 200
        assert client.read_response().header("x-target") == "/two"
    assert [(r.method, r.target, r.body) for r in server.requests] == [(method, "/one", body), ("GET", "/two", b"")]


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_an_answer_before_the_body_is_read_closes_and_the_body_never_becomes_a_request(module_world, size):
    """Hardening 27: the client really receives the refusal, and there is no second response."""
    server = module_world.backend()
    sluice = module_world.gateway({
        "services": {"app": {"instances": [{"url": server.url}]}},
        "routes": [{"name": "get", "match": {"path": "/only-get", "methods": ["GET"]}, "service": "app"},
                   {"name": "smuggled", "match": {"path": "/smuggled"}, "service": "app"}]})
    for target, status in (("/only-get", 405), ("/nowhere", 404)):
        body = b"x" * size + SMUGGLED
        with sluice.connect() as client:
            client.try_send(f"POST {target} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body) + size}\r\n\r\n".encode() + body)
            response = client.read_response("POST")
            assert response.status == status and response.header("connection") == "close"
            client.expect_closed()
    assert server.heads == []


def test_a_fault_in_the_second_pipelined_request_leaves_the_first_answer_whole(road):
    """Hardening 28, 29: 200, then 400, then closed, and good bytes behind the bad are never read."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(b"GET /good HTTP/1.1\r\nHost: app.test\r\n\r\n" + b"GET /bad HTTP/1.1\r\nHost : x\r\n\r\n" + SMUGGLED)
        first = client.read_response()
        assert first.status == 200 and first.header("x-target") == "/good"
        second = client.read_response()
        assert second.status == 400 and second.header("connection") == "close"
        client.expect_closed()
    assert [r.target for r in server.requests] == ["/good"]


def test_bytes_sent_after_a_refusal_are_never_answered(road):
    """Hardening 29."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(b"GET / HTTP/9.9\r\n\r\n")
        client.read_response()
        client.try_send(SMUGGLED)
        client.expect_closed()
    nothing_reached_after_flood(road)


@pytest.mark.parametrize("greeting", [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"r" * 160, b"SSH-2.0-x\r\n", b"\x00" * 64, b"\xff" * 64,
    b"*1\r\n$4\r\nPING\r\n", b"\x05\x01\x00", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
], ids=["h2", "tls", "ssh", "zeros", "ones", "redis", "socks", "proxy"])
def test_another_protocol_is_refused_and_closed(road, greeting):
    """Hardening 32."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        client.send(greeting)
        client.half_close()
        answer = client.read_to_end()
    assert answer == b"" or answer.split(b" ", 2)[1] in (b"400", b"505", b"501")
    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) <= 1
    nothing_reached_after_flood(road)


def test_h2c_upgrade_is_ignored_and_the_backend_sees_nothing_of_it(road):
    """Hardening 94, 105."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        response = client.request("GET", "/up", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                                ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")])
        assert response.status == 200
    names = {name.lower() for name, _ in server.requests[0].headers}
    assert not names & {b"upgrade", b"http2-settings"}


def test_a_request_parses_alike_for_every_split_of_its_bytes(road):
    """Hardening 34."""
    sluice, server = road
    good = (b"POST /split?q=1 HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nX-T: u\r\n\r\n")
    bad = b"POST /split HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
    server.requests.clear()
    for at in range(1, len(good)):
        with sluice.connect() as client:
            client.send(good[:at])
            client.send(good[at:])
            response = client.read_response("POST")
            assert (response.status, response.body) == (200, b"abcdefg"), good[:at]
    assert {(r.target, r.body, r.header("x-a")) for r in server.requests} == {("/split?q=1", b"abcdefg", "b")}
    server.requests.clear()
    for at in range(1, len(bad)):
        with sluice.connect() as client:
            client.send(bad[:at])
            client.try_send(bad[at:])
            assert client.read_response("POST").status == 400, bad[:at]
            client.expect_closed()
    assert server.requests == []


def test_a_request_that_comes_byte_by_byte_is_one_request(road):
    """Hardening 34."""
    sluice, server = road
    server.requests.clear()
    with sluice.connect() as client:
        for byte in b"POST /slow HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n":
            client.send(bytes([byte]))
        assert client.read_response("POST").body == b"hi"
    assert [(r.target, r.body) for r in server.requests] == [("/slow", b"hi")]


def test_probes_are_served_in_time_while_a_flood_of_tiny_chunks_goes_on(road):
    """Hardening 12: one attacker must not hold the loop."""
    sluice, server = road
    stop = threading.Event()

    def attack():
        with Connection(sluice.address()) as client:
            client.try_send(post(b"Transfer-Encoding: chunked"))
            while not stop.is_set() and client.try_send(b"1\r\nx\r\n" * 2000):
                pass
    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        times = []
        with sluice.connect() as client:
            for _ in range(100):
                started = time.monotonic()
                assert client.request("GET", "/probe").status == 200
                times.append(time.monotonic() - started)
        assert sorted(times)[90] < 1, sorted(times)[-10:]
    finally:
        stop.set()
        attacker.join(10)


def test_refusals_are_counted_by_their_reason(road):
    """Shorthand 400+close: `sluice_http_reject_total{reason}`."""
    sluice, _ = road
    before = sluice.metrics().sum("sluice_http_requests_total", status="400")
    refused(road, CL_AND_TE["length first"])
    until(lambda: sluice.metrics().sum("sluice_http_requests_total", status="400") > before, 3, "the refusal is counted")
