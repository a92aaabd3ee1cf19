"""Backends that lie, die, stall or talk too much: the client gets one honest answer, nobody else notices (hardening, section B)."""

import socket
import time

import pytest

from conftest import PATIENT, one_service
from sluice_harness import Connection, Truncated, reply, until


def road_with(world, timeouts: dict):
    def script(connection):
        while True:
            request = connection.read_request()
            if request is None:
                return
            if request.target == "/marker":
                connection.send(reply(200, b"marker"))
                continue
            server.answer(request, connection)
    server = world.backend(script=script)
    server.answer = None
    sluice = world.gateway({**one_service(server, timeouts=timeouts, **PATIENT), "server": {"workers": 1}})
    return sluice, server


@pytest.fixture(scope="module")
def road(module_world):
    """One daemon and one backend whose next answer is `server.answer`; after it the backend waits for the hang-up."""
    return road_with(module_world, {"response": "10s", "idle": "10s"})


@pytest.fixture(scope="module")
def impatient(module_world):
    """The like, where no good answer is asked for: it might come too late."""
    return road_with(module_world, {"response": "500ms", "idle": "500ms"})


def bad_gateway(road, answer: bytes, reason="upstream_malformed", method="GET"):
    """The backend answers so: the client gets 502, the connection is not used again, and the next request is served."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(answer)
    with sluice.connect() as client:
        response = client.request(method, "/fault")
        assert response.status == 502, f"{answer[:200]!r} became {response}"
        faulty = server.heads[-1].connection
        assert faulty.wait_end(), "the connection of the faulty answer stays open"
        if method != "HEAD":
            assert response.json()["error"]["code"] == "UPSTREAM_ERROR"
        assert (response.header("proxy-status") or "").startswith("sluice"), response
        entry = sluice.entry(response)
        if reason:
            assert (entry["status"], entry["reason"]) == (502, reason), entry
        assert client.request("GET", "/marker").body == b"marker"
    assert server.heads[-1].connection is not faulty


OK = b"HTTP/1.1 200 OK\r\n"

MALFORMED = {
    "no status line": b"garbage\r\n\r\n",
    "random bytes": bytes(range(256)) * 4 + b"\r\n\r\n",
    "http 2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "lower case version": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status with a sign": b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "control byte in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "lone cr in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "length and coding": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two equal lengths": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "empty length": OK + b"Content-Length:\r\n\r\nhello",
    "signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "negative length": OK + b"Content-Length: -1\r\n\r\nhello",
    "hexadecimal length": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "huge length": OK + b"Content-Length: 18446744073709551616\r\n\r\nhello",
    "unknown coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity coding": OK + b"Transfer-Encoding: identity\r\n\r\nhello",
    "two codings": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in http 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
    "folded line": OK + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"nocolon\r\nContent-Length: 0\r\n\r\n",
    "empty name": OK + b": v\r\nContent-Length: 0\r\n\r\n",
    "space in a name": OK + b"X A: v\r\nContent-Length: 0\r\n\r\n",
    "high byte in a name": OK + b"X\xe9: v\r\nContent-Length: 0\r\n\r\n",
    "nul in a value": OK + b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "cr in a value": OK + b"X-A: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    "space before the first field": OK + b" X-A: b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_response_head_becomes_502_and_its_connection_is_not_used_again(road, answer):
    """Hardening 35."""
    bad_gateway(road, answer)


def test_a_space_before_the_colon_of_a_response_field_is_refused_or_taken_off(road):
    """Hardening 35: RFC 9112 §5.1 lets a proxy take it off; it may not be passed on."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(OK + b"X-A : b\r\nContent-Length: 2\r\n\r\nok")
    response = sluice.request()
    assert response.status == 502 or response.header("x-a") == "b"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", OK, OK + b"Content-Length: 5\r\n"], ids=repr)
def test_a_backend_that_closes_before_its_head_is_complete_becomes_502(road, answer):
    """Hardening 35, 43: on a first use of the connection there is no retry of a POST."""
    sluice, server = road

    def close(request, connection):
        if answer:
            connection.send(answer)
        connection.close()
    server.answer = close
    before = len(server.requests)
    response = sluice.request("POST", "/dies", body=b"x")
    assert response.status == 502 and response.json()["error"]["code"] == "UPSTREAM_ERROR"
    assert sluice.entry(response)["reason"] in ("upstream_reset", "upstream_malformed", "upstream_truncated")
    assert len([r for r in server.requests[before:] if r.target == "/dies"]) == 1


def test_a_backend_that_resets_before_its_head_becomes_502(road):
    sluice, server = road
    server.answer = lambda request, connection: connection.reset()
    response = sluice.request("POST", "/resets", body=b"x")
    assert response.status == 502 and sluice.entry(response)["reason"] == "upstream_reset"


def test_a_backend_that_refuses_connections_becomes_502_at_once(gateway):
    """B.2: 502, refused; B.8: connect_refused."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))       # bound, not listening
        url = f"http://127.0.0.1:{holder.getsockname()[1]}"
        sluice = gateway(services={"app": {"instances": [{"url": url}]}},
                         routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
        started = time.monotonic()
        response = sluice.request()
        assert response.status == 502 and time.monotonic() - started < 1
        assert response.json()["error"]["code"] == "UPSTREAM_ERROR"
        assert "connection_refused" in response.header("proxy-status")
        assert sluice.entry(response)["reason"] == "connect_refused"


def test_a_backend_that_never_accepts_becomes_504_after_the_connect_timeout(gateway, world):
    """Hardening 48. A listener whose queue is full drops the SYN."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        sluice = gateway(
            services={"app": {"instances": [{"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}],
                              "timeouts": {"connect": "300ms"}}},
            routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
        started = time.monotonic()
        response = sluice.request()
        assert response.status == 504 and 0.25 < time.monotonic() - started < 2
        assert response.json()["error"]["code"] == "UPSTREAM_TIMEOUT"
        assert "connection_timeout" in response.header("proxy-status")
        assert sluice.entry(response)["reason"] == "connect_timeout"
    finally:
        for each in (*fillers, listener):
            each.close()


def test_a_backend_that_accepts_and_hangs_becomes_504_after_the_response_timeout(impatient):
    """Hardening 48."""
    sluice, server = impatient
    server.answer = lambda request, connection: connection.hang()
    seen, started = len(server.heads), time.monotonic()
    response = sluice.request("GET", "/hangs")
    assert response.status == 504 and 0.45 < time.monotonic() - started < 5
    assert response.json()["error"]["code"] == "UPSTREAM_TIMEOUT"
    assert "http_response_timeout" in response.header("proxy-status") or "read_timeout" in response.header("proxy-status")
    assert sluice.entry(response)["reason"] == "upstream_timeout"
    assert server.wait_heads(seen + 1)[-1].connection.wait_end()


def test_a_backend_that_drips_its_head_is_cut_off_by_the_response_timeout(impatient):
    """Hardening 48: the timeout is for the whole head, not for each read."""
    sluice, server = impatient

    def drip(request, connection):
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
            connection.send(bytes([byte]))
            time.sleep(0.05)      # the pace of a backend that drips
    server.answer = drip        # fifty seconds of it
    started = time.monotonic()
    assert sluice.request("GET", "/drips").status == 504
    assert time.monotonic() - started < 10


def test_a_response_body_that_stalls_is_cut_off_by_the_idle_timeout_and_visibly(impatient):
    """Hardening 48: once the head was sent, the stream is aborted."""
    sluice, server = impatient

    def stall(request, connection):
        connection.send(OK + b"Content-Length: 100\r\n\r\nsome")
        connection.hang()
    server.answer = stall
    with sluice.connect() as client, pytest.raises(Truncated) as caught:
        client.request("GET", "/stalls")
    assert caught.value.response.body == b"some"


def test_the_whole_request_has_a_limit_of_its_own_when_asked_for(simple):
    """Hardening 48: total per route."""
    def drip(request, connection):
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(b"1\r\nx\r\n")
            time.sleep(0.05)      # the pace of a backend that drips
    sluice, _ = simple(drip, service={"timeouts": {"request": "500ms"}})
    started = time.monotonic()
    with sluice.connect() as client, pytest.raises(Truncated):
        client.request()
    assert 0.4 < time.monotonic() - started < 3


@pytest.mark.parametrize("answer", [
    OK + b"Content-Length: 100\r\n\r\n" + b"x" * 60, OK + b"Transfer-Encoding: chunked\r\n\r\n3c\r\n" + b"x" * 60 + b"\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 60,
    OK + b"Transfer-Encoding: chunked\r\n\r\n3c\r\n" + b"x" * 60 + b"\r\n0\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n3c\r\n" + b"x" * 60 + b"\r\n0\r\nX-T: y\r\n",
], ids=["length", "no last chunk", "within a chunk", "no end of trailers", "within the trailers"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_response_body_that_ends_too_early_ends_visibly_for_the_client(road, answer, end):
    """Hardening 39: no fake last chunk, no padding, and the access log says so."""
    sluice, server = road

    def truncate(request, connection):
        connection.send(answer)
        connection.reset() if end == "reset" else connection.close()
    server.answer = truncate
    with sluice.connect() as client:
        client.send(b"GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
        try:
            response = client.read_response()
        except Truncated as truncated:
            response = truncated.response
            if response is not None:
                assert response.body in (b"", b"x" * 60) or end == "reset"
                assert sluice.entry(response)["reason"] in ("upstream_truncated", "upstream_reset")
        else:
            # A reset may overtake the bytes before it, and then no head has come.
            assert response.status == 502 and end == "reset"


@pytest.mark.parametrize("chunks", [
    b"+3\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n", b"3\r\nabcX\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nabc", b"zz\r\n", b"3 \r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
], ids=repr)
def test_bad_chunks_of_a_response_end_it_visibly(road, chunks):
    """Hardening 35, 39."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    with sluice.connect() as client:
        client.send(b"GET /chunks HTTP/1.1\r\nHost: app.test\r\n\r\n")
        try:
            response = client.read_response()
        except Truncated:
            pass
        else:
            assert response.status == 502, response
    assert server.heads[-1].connection.wait_end()
    assert sluice.request("GET", "/marker").body == b"marker"


def test_an_unrequested_101_becomes_502(road):
    """Hardening 40."""
    bad_gateway(road, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        reason=None)


def test_a_flood_of_interim_responses_becomes_502(road):
    """Hardening 40: at most 16."""
    sluice, server = road

    def flood(request, connection):
        for _ in range(1000):
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        connection.hang()
    server.answer = flood
    with sluice.connect() as client:
        client.send(b"GET /flood HTTP/1.1\r\nHost: app.test\r\n\r\n")
        response = client.read_response()
        assert response.status == 502 and len(response.interim) <= 16


@pytest.mark.parametrize("block", [
    b"X-Big: " + b"x" * (1 << 20) + b"\r\n", b"".join(b"X-%d: y\r\n" % n for n in range(201)),
    b"".join(b"X-%04d: %s\r\n" % (n, b"y" * 1000) for n in range(70)),
], ids=["one field of 1 MiB", "201 fields", "70 KiB in all"])
def test_a_response_head_over_its_limits_becomes_502(road, block):
    """Hardening 47: 64 KiB, 200 fields."""
    bad_gateway(road, OK + block + b"Content-Length: 0\r\n\r\n", reason="upstream_header_too_large")


def test_a_response_head_just_within_its_limits_is_passed_on(road):
    """Hardening 47."""
    sluice, server = road
    block = b"".join(b"X-%03d: y\r\n" % n for n in range(199)) + b"Content-Length: 2\r\n\r\nok"
    server.answer = lambda request, connection: connection.send(OK + block)
    response = sluice.request()
    assert response.status == 200 and sum(1 for n, _ in response.headers if n.startswith(b"X-") and n[2:].isdigit()) == 199


def test_an_endless_response_head_is_cut_off(road):
    """Hardening 47."""
    sluice, server = road

    def endless(request, connection):
        connection.send(OK)
        while True:
            connection.send(b"X-More: " + b"y" * 8000 + b"\r\n")
    server.answer = endless
    assert sluice.request("GET", "/endless").status == 502
    assert server.heads[-1].connection.wait_end()


# What must never reach another client


@pytest.mark.parametrize("extra", [
    reply(200, b"POISON"), b"POISON", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nPOISON", b"\x00",
], ids=["a second response", "bytes", "an empty line", "half a response", "nul"])
@pytest.mark.parametrize("together", [True, False], ids=["together", "later"])
def test_bytes_after_a_response_never_reach_the_next_client(road, extra, together):
    """Hardening 36: the connection is destroyed and its data never used."""
    sluice, server = road

    def answer(request, connection):
        if together:
            connection.send(reply(200, b"mine") + extra)
        else:
            connection.send(reply(200, b"mine"))
            connection.send(extra)
    server.answer = answer
    with sluice.connect() as first, sluice.connect() as second:
        assert first.request("GET", "/one").body == b"mine"
        poisoned = server.heads[-1].connection
        assert poisoned.wait_end(), "a connection with bytes left over stays in the pool"
        assert second.request("GET", "/marker").body == b"marker"
        assert first.request("GET", "/marker").body == b"marker"


@pytest.mark.parametrize("method,answer", [
    ("HEAD", OK + b"Content-Length: 10\r\n\r\n0123456789"), ("HEAD",
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\nPOISON"), ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nPOISON"),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nPOISON"),
], ids=["head with length", "head chunked", "204", "304", "204 with length"])
def test_a_body_where_there_must_be_none_is_dropped_with_its_connection(road, method, answer):
    """Hardening 41."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(answer)
    with sluice.connect() as client:
        response = client.request(method, "/bodiless")
        assert response.body == b"" and response.status in (200, 204, 304, 502)
        bodiless = server.heads[-1].connection
        assert client.request("GET", "/marker").body == b"marker"
    assert bodiless.wait_end()


def test_a_response_that_says_close_is_the_last_on_its_connection(road):
    """Hardening 37."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(reply(200, b"last", [("Connection", "close")]))
    with sluice.connect() as client:
        response = client.request("GET", "/last")
        assert response.body == b"last"
        last = server.heads[-1].connection
        assert client.request("GET", "/marker").body == b"marker", "a backend's close is its own, not the client's"
    assert server.heads[-1].connection is not last and last.wait_end()


# The keep-alive race


def racing(simple, workers=1):
    """A backend that serves one request on each connection and dies on the second, having read it."""
    def script(connection):
        if connection.read_request() is not None:
            connection.send(reply(200, b"%d" % connection.number))
            if connection.read_request() is not None:
                connection.reset() if connection.number % 2 else connection.close()
    return simple(script=script, server={"workers": workers})


def test_a_get_on_a_reused_connection_that_dies_is_retried_once_on_a_fresh_one(simple):
    """Hardening 43."""
    sluice, server = racing(simple)
    with sluice.connect() as client:
        assert client.request("GET", "/1").body == b"1"
        response = client.request("GET", "/2")
        assert (response.status, response.body) == (200, b"2")
        entry = sluice.entry(response)
        assert entry["attempts"] == 2 and entry["reason"] == "ok"
    assert [r.target for r in server.requests] == ["/1", "/2", "/2"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_post_on_a_reused_connection_that_dies_is_not_retried(simple, method):
    """Hardening 43; RFC 9110 §9.2.2: a proxy MUST NOT."""
    sluice, server = racing(simple)
    with sluice.connect() as client:
        assert client.request("GET", "/1").status == 200
        response = client.request(method, "/2", body=b"once")
        assert response.status == 502
        assert response.json()["error"]["code"] == "UPSTREAM_ERROR"
    assert [(r.method, r.target) for r in server.requests] == [("GET", "/1"), (method, "/2")]


def test_a_get_that_dies_on_a_fresh_connection_is_not_retried_for_ever(simple):
    """Hardening 43: once, and only for the race of a reused connection."""
    def script(connection):
        connection.read_request()
        connection.close()
    sluice, server = simple(script=script)
    assert sluice.request("GET", "/").status == 502
    assert len(server.requests) <= 3


def test_a_response_that_has_begun_is_never_retried(simple):
    """Hardening 43: before the first response byte only."""
    def script(connection):
        if connection.read_request() is not None:
            connection.send(reply(200, b"first"))
            if connection.read_request() is not None:
                connection.send(b"HTTP/1.1 200")
                connection.close()
    sluice, server = simple(script=script, server={"workers": 1})
    with sluice.connect() as client:
        assert client.request("GET", "/1").status == 200
        assert client.request("GET", "/2").status == 502
    assert [r.target for r in server.requests] == ["/1", "/2"]


def test_a_connection_that_the_backend_closed_while_idle_is_not_used(simple):
    """Hardening 36, 44: even a POST is then safe."""
    def script(connection):
        if connection.read_request() is not None:
            connection.send(reply(200, b"bye"))
            connection.close()
    sluice, server = simple(script=script, server={"workers": 1})
    with sluice.connect() as client:
        for number in range(10):
            assert client.request("POST", f"/{number}", body=b"x").status == 200
            until(lambda: sluice.count_descriptors("socket:") <= sluice.sockets_at_start + 1, 5, "the dead connection is dropped")
    assert len(server.requests) == 10


# What is passed on


def test_set_cookie_fields_stay_separate_and_in_order(road):
    """Hardening 51."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(
        reply(200, b"", [("Set-Cookie", "a=1; Path=/"), ("X-D", "1"), ("Set-Cookie", "b=2"), ("X-D", "2"),
        ("Set-Cookie", "c=3")]))
    response = sluice.request()
    assert response.all("set-cookie") == ["a=1; Path=/", "b=2", "c=3"] and response.all("x-d") == ["1", "2"]


def test_hop_by_hop_fields_of_a_response_are_removed_and_a_missing_date_is_added(road):
    """Hardening 52."""
    sluice, server = road
    server.answer = lambda request, connection: connection.send(reply(200, b"ok", [
        ("Connection", "X-Secret, keep-alive"), ("X-Secret", "1"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authenticate", "Basic"), ("X-Kept", "1"), ("Server", "backend/1")]))
    response = sluice.request()
    names = [name.lower() for name, _ in response.headers]
    for gone in (b"x-secret", b"keep-alive", b"proxy-connection", b"upgrade"):
        assert gone not in names
    assert response.header("x-kept") == "1" and response.header("server") == "backend/1"
    assert response.header("date").endswith(" GMT")


def test_a_date_of_the_backend_is_kept(road):
    sluice, server = road
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    server.answer = lambda request, connection: connection.send(reply(200, b"ok", [("Date", date)]))
    assert sluice.request().all("date") == [date]


def test_errors_of_the_backend_itself_are_passed_on_untouched(road):
    """B.2: upstream errors pass through."""
    sluice, server = road
    for status in (400, 404, 500, 502, 503, 504, 599):
        server.answer = lambda request, connection: connection.send(reply(status, b"own words", [("X-Own", "1")]))
        response = sluice.request()
        assert (response.status, response.body, response.header("x-own")) == (status, b"own words", "1")
        entry = sluice.entry(response)
        assert (entry["status"], entry["upstream_status"], entry["reason"]) == (status, status, "ok")


@pytest.mark.memory
@pytest.mark.seconds(40)
def test_a_client_that_does_not_read_holds_a_bounded_buffer_and_the_backend_waits(simple):
    """Hardening 50: back-pressure; memory grows by less than a few buffers."""
    sent = [0]

    def script(connection):
        connection.read_request()
        connection.send(OK + b"Content-Length: %d\r\n\r\n" % (1 << 30))
        piece = b"x" * 65536
        connection.socket.settimeout(1)
        try:
            while sent[0] < 1 << 30:
                connection.socket.sendall(piece)
                sent[0] += len(piece)
        except TimeoutError:
            pass
        connection.hang()
    sluice, _ = simple(script=script)
    before = sluice.rss_kib()
    clients = []
    for _ in range(4):
        client = Connection(sluice.address(), receive_buffer=4096)
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        clients.append(client)
    last = -1

    def stalled():
        nonlocal last
        now, same = sent[0], sent[0] == last
        last = now
        time.sleep(0.3)      # longer than any pause in a transfer
        return same and now > 0
    until(stalled, 20, "the backend is held back")
    assert sluice.rss_kib() - before < 4096
    assert sent[0] < 100 << 20
    for client in clients:
        client.reset()


def test_bytes_behind_a_response_that_fills_a_whole_read_are_never_the_next_answer(simple):
    """Hardening 36: also where the first answer ends with the last byte of the receive buffer."""
    first = []

    def handle(request, connection):
        if first:
            return reply(200, b"clean")
        first.append(True)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 65490
        body = b"a" * 65490
        assert len(head) + 65490 == 65536 + len(head) - 46
        padding = 65536 - len(head) - 65490
        whole = head[:-2] + b"X: " + b"y" * (padding - 5) + b"\r\n\r\n" + body if padding >= 6 else head + body
        with sluice.stopped():
            connection.send(whole + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSTOLEN")
        return None

    sluice, _ = simple(handle)
    assert len(sluice.request("GET", "/first").body) == 65490
    assert sluice.request("GET", "/second").body == b"clean"


def test_an_upload_that_keeps_coming_may_take_longer_than_the_idle_timeout(simple):
    """Only the wait for the next byte counts, whichever side has to send it."""
    sluice, server = simple(lambda request, connection: reply(200, str(len(request.body)).encode()),
        service={"timeouts": {"idle": "1s", "response": "5s"}})
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1400\r\n\r\n")
        for _ in range(14):
            client.send(b"x" * 100)
            time.sleep(0.1)  # longer in all than the timeout; the pause itself is what is tested
        response = client.read_response()
    assert response.status == 200 and response.body == b"1400"
