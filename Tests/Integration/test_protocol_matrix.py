"""What HTTP means, for all four pairs of HTTP/1.1 and HTTP/2: the same request gets the same answer (RFC 9110)."""

import pytest

from conftest import PATIENT, both_listeners
from sluice_harness.exchange import CutOff, Gate, exchange_backend, exchange_client, field


@pytest.fixture(params=["h1", "h2"])
def downstream(request):
    return request.param


@pytest.fixture(params=["h1", "h2"])
def upstream(request):
    return request.param


@pytest.fixture(params=["clear", "secure"])
def listener(request):
    return request.param


@pytest.fixture
def pair(world, pki, downstream, upstream):
    """Starts a daemon before a handler: `client, server, sluice = pair(handler)`."""
    clients = []

    def start(handler, listener="clear", service=None, **blocks):
        server = exchange_backend(world, upstream, handler)
        sluice = both_listeners(world, pki, server, service={**PATIENT, "retry": {"attempts": 0}, **(service or {})}, **blocks)
        clients.append(exchange_client(sluice, downstream, listener))
        return clients[-1], server, sluice
    yield start
    for client in clients:
        try:
            client.close()
        except OSError:
            pass


def echo(exchange):
    body = exchange.read_body()
    exchange.head(200, [("X-Method", exchange.method)])
    exchange.send(body)
    exchange.end()


def ask(client, method="GET", target="/", headers=(), body=None, trailers=()):
    client.start(method, target, headers, length=len(body) if body is not None else None, end=body is None)
    if body:
        client.send(body)
    if body is not None:
        client.finish(trailers)
    return client.response()


# Bodies


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
def test_a_body_with_a_length_comes_back(pair, listener, method):
    client, _, _ = pair(echo, listener)
    client.start(method, "/", length=5, end=False)
    client.send(b"hello")
    if hasattr(client, "client"):
        client.finish()
    response = client.response()
    assert (response.status, response.body, response.header("x-method")) == (200, b"hello", method)


def test_a_body_without_a_length_comes_back(pair):
    client, _, _ = pair(echo)
    client.start("POST", "/", end=False)
    for piece in (b"one", b"two" * 10_000, b"three"):
        client.send(piece)
    client.finish()
    assert client.response().body == b"one" + b"two" * 10_000 + b"three"


@pytest.mark.parametrize("framing", ["length", "none"])
def test_an_empty_body_comes_back_empty(pair, framing):
    client, _, _ = pair(echo)
    client.start("POST", "/", length=0 if framing == "length" else None, end=False)
    client.finish()
    response = client.response()
    assert response.status == 200 and response.body == b""


@pytest.mark.seconds(60)
def test_a_body_of_many_megabytes_comes_back_whole_and_passes_through(pair, listener):
    """Sixteen megabytes up, and as much down."""
    sizes = []

    def handler(exchange):
        total = 0

        def sink(piece):
            nonlocal total
            total += len(piece)
        exchange.read_body(sink)
        sizes.append(total)
        exchange.head(200, [("Content-Length", str(16 << 20))])
        for _ in range(256):
            exchange.send(b"d" * 65536)
        exchange.end()
    client, _, _ = pair(handler, listener, limits={"request_body": "32MiB"})
    client.start("POST", "/", end=False)
    for _ in range(256):
        client.send(b"u" * 65536)
    client.finish()
    received = []
    client.response(30, lambda piece: received.append(len(piece)))
    assert sizes == [16 << 20] and sum(received) == 16 << 20


def test_many_requests_on_one_connection(pair):
    client, _, _ = pair(echo)
    for number in range(50):
        client.start("POST", f"/{number}", length=len(str(number)), end=False)
        client.send(str(number).encode())
        if hasattr(client, "client"):
            client.finish()
        assert client.response().body == str(number).encode()


# HEAD, 204, 304


def test_head_has_the_length_of_the_answer_to_get_and_no_body(pair):
    def handler(exchange):
        exchange.head(200, [("Content-Length", "1234"), ("X-Here", "1")])
    client, _, _ = pair(handler)
    for _ in range(2):
        response = ask(client, "HEAD")
        assert (response.status, response.header("content-length"), response.body, response.header("x-here")) == (200, "1234", b"", "1")


def test_head_of_an_answer_without_a_length(pair):
    client, _, _ = pair(lambda exchange: exchange.head(200, [("X-Here", "1")]))
    for _ in range(2):
        response = ask(client, "HEAD")
        assert (response.status, response.body, response.header("x-here")) == (200, b"", "1")


@pytest.mark.parametrize("status, headers", [(304, [("ETag", '"a"')]), (304, [("ETag", '"a"'), ("Content-Length", "500")]), (204, [("X-Here", "1")])], ids=str)
def test_an_answer_without_a_body_ends_with_its_head(pair, status, headers):
    client, _, _ = pair(lambda exchange: exchange.head(status, headers))
    for _ in range(2):
        response = ask(client, "GET", headers=[("If-None-Match", '"a"')])
        assert response.status == status and response.body == b""
        if status == 304:
            assert response.header("etag") == '"a"'


# Trailers


def test_trailers_of_a_request_arrive(pair):
    got = []

    def handler(exchange):
        body = exchange.read_body()
        got.append((body, [(name.lower(), value) for name, value in exchange.trailers]))
        exchange.head(200, [("Content-Length", "0")], end=True)
    client, _, _ = pair(handler)
    client.start("POST", "/", end=False)
    client.send(b"body")
    client.finish([("X-Checksum", "77"), ("X-Other", "b")])
    assert client.response().status == 200
    assert got == [(b"body", [(b"x-checksum", b"77"), (b"x-other", b"b")])]


@pytest.mark.parametrize("body", [b"body", b""])
def test_trailers_of_an_answer_arrive_where_the_client_takes_them(pair, body):
    """RFC 9110 §6.5.1: TE: trailers."""
    def handler(exchange):
        exchange.head(200, [("Trailer", "X-Checksum")])
        exchange.send(body)
        exchange.end([("X-Checksum", "78")])
    client, _, _ = pair(handler)
    for _ in range(2):
        response = ask(client, headers=[("TE", "trailers")])
        assert response.body == body and field(response, "x-checksum") == "78"


# Interim answers


def test_early_hints_arrive_before_the_answer(pair, listener):
    """RFC 8297."""
    gate = Gate()

    def handler(exchange):
        exchange.interim(103, [("Link", "</style.css>; rel=preload")])
        exchange.interim(103, [("Link", "</script.js>; rel=preload")])
        gate.wait()
        exchange.head(200, [("Content-Length", "2")])
        exchange.send(b"ok")
        exchange.end()
    client, _, _ = pair(handler, listener)
    client.start("GET", "/")
    client.interim(103)
    gate.open()
    response = client.response()
    links = [one.header("link") for one in response.interim]
    assert response.status == 200 and response.body == b"ok" and "</script.js>; rel=preload" in links


@pytest.mark.parametrize("status", [102, 103, 110, 199])
def test_any_interim_answer_but_101_is_passed_on_or_left_out_and_never_the_answer(pair, status):
    def handler(exchange):
        exchange.interim(status, [("X-Interim", "1")])
        exchange.head(200, [("Content-Length", "2")])
        exchange.send(b"ok")
        exchange.end()
    client, _, _ = pair(handler)
    for _ in range(2):
        response = ask(client)
        assert (response.status, response.body) == (200, b"ok") and response.header("x-interim") is None


# Expect: 100-continue


def test_100_is_said_here_once_there_is_a_backend_and_the_body_follows(pair):
    """RFC 9110 §10.1.1: nobody waits for a backend that does not know it."""
    def handler(exchange):
        echo(exchange)
    client, _, _ = pair(handler)
    client.start("POST", "/", [("Expect", "100-continue")], length=5, end=False)
    client.interim(100)
    client.send(b"hello")
    if hasattr(client, "client"):
        client.finish()
    response = client.response()
    assert response.body == b"hello" and len([one for one in response.interim if one.status == 100]) <= 1


@pytest.mark.parametrize("status", [413, 401, 417, 200])
def test_a_final_answer_of_the_backend_before_the_body_is_passed_on(pair, status):
    def handler(exchange):
        exchange.head(status, [("Content-Length", "2")])
        exchange.send(b"no")
        exchange.end()
        exchange.wait_gone()
    client, _, sluice = pair(handler)
    client.start("POST", "/", [("Expect", "100-continue")], length=5, end=False)
    response = client.response()
    assert (response.status, response.body) == (status, b"no")


def test_a_refusal_of_the_gateway_comes_without_100(pair):
    """The body is not asked for where nobody will have it."""
    client, _, _ = pair(echo, limits={"request_body": "10"})
    client.start("POST", "/", [("Expect", "100-continue")], length=11, end=False)
    response = client.response()
    assert response.status == 413 and response.interim == []


def test_a_client_that_does_not_wait_for_100_is_served(pair):
    client, _, _ = pair(echo)
    client.start("POST", "/", [("Expect", "100-continue")], length=5, end=False)
    client.send(b"hello")
    if hasattr(client, "client"):
        client.finish()
    assert client.response().body == b"hello"


def test_any_other_expectation_is_417(pair):
    client, _, _ = pair(echo)
    client.start("POST", "/", [("Expect", "miracles")], length=0, end=False)
    client.finish()
    assert client.response().status == 417


# Early answers, aborted bodies


def test_an_answer_before_the_body_has_come_is_delivered(pair, listener):
    def handler(exchange):
        exchange.head(403, [("Content-Length", "9")])
        exchange.send(b"forbidden")
        exchange.end()
        exchange.wait_gone()
    client, _, sluice = pair(handler, listener)
    client.start("POST", "/", length=10 << 20, end=False)
    client.try_send(b"x" * 1000)
    response = client.response()
    assert (response.status, response.body) == (403, b"forbidden")
    client.close()
    assert sluice.is_running()


def test_an_answer_that_begins_before_the_body_ends_streams_with_it(pair):
    """Both directions at once: each piece comes back before the next is sent."""
    def handler(exchange):
        exchange.head(200)
        exchange.read_body(lambda piece: exchange.send(piece.upper()))
        exchange.end()
    client, _, _ = pair(handler)
    got = []
    client.start("POST", "/", end=False)
    for number in range(10):
        client.send(b"piece %d " % number)
        if hasattr(client, "client"):
            client.client.wait_bytes(client.stream, sum(len(b"piece %d " % n) for n in range(number + 1)))
        else:
            client.connection.read_until(b"PIECE %d " % number)
            got.append(number)
    client.finish()
    if hasattr(client, "client"):
        assert client.response().body == b"".join(b"PIECE %d " % number for number in range(10))
    else:
        client.connection.read_until(b"0\r\n\r\n")


def test_an_upload_that_the_client_gives_up_is_given_up_at_the_backend(pair):
    ended = Gate()

    def handler(exchange):
        try:
            exchange.read_body(lambda piece: None)
        finally:
            ended.open()
        exchange.head(200, [], end=True)
    client, server, sluice = pair(handler)
    client.start("POST", "/", length=1000, end=False)
    client.send(b"half")
    (server.wait_streams if hasattr(server, "streams") else server.wait_heads)(1)
    client.abort()
    ended.wait()
    assert sluice.wait_access(1)[0]["reason"] == "client_closed"


def test_a_download_that_the_client_gives_up_is_given_up_at_the_backend(pair):
    begun, ended = Gate(), Gate()

    def handler(exchange):
        exchange.head(200)
        try:
            while True:
                exchange.send(b"z" * 65536)
                begun.open()
        finally:
            ended.open()
    client, _, _ = pair(handler)
    client.start("GET", "/")
    begun.wait()
    client.abort()
    ended.wait()


@pytest.mark.parametrize("framing", ["length", "none"])
def test_an_answer_that_breaks_off_is_visibly_broken_off(pair, listener, framing):
    """Hardening, 502+drop: never a good end."""
    def handler(exchange):
        exchange.head(200, [("Content-Length", "10")] if framing == "length" else [])
        exchange.send(b"half")
        exchange.abort()
    client, _, sluice = pair(handler, listener)
    client.start("GET", "/")
    with pytest.raises(CutOff) as cut:
        response = client.response()
        # A head that had not gone yet may be replaced.
        if response.status == 502:
            raise CutOff("502", response)
    assert cut.value.response is None or cut.value.response.status in (200, 502)
    assert sluice.is_running()


def test_a_backend_that_breaks_off_before_its_head_is_502(pair):
    client, _, _ = pair(lambda exchange: exchange.abort())
    response = ask(client)
    assert response.status == 502 and response.json()["error"]["code"] == "UPSTREAM_ERROR"


def test_a_backend_that_is_silent_is_504(pair):
    client, _, _ = pair(lambda exchange: exchange.wait_gone(), service={"timeouts": {"response": "1s"}})
    response = ask(client)
    assert response.status == 504 and response.json()["error"]["code"] == "UPSTREAM_TIMEOUT"


def test_a_request_without_a_route_is_404_in_the_same_words(pair):
    client, _, sluice = pair(echo, routes=[{"name": "one", "match": {"path": "/only"}, "service": "app"}])
    response = ask(client, target="/elsewhere")
    assert response.status == 404 and response.json()["error"]["code"] == "NOT_FOUND"
    assert response.header("x-request-id") == response.json()["request_id"]
    assert sluice.entry(response)["reason"] == "no_route"


# Fields


def test_fields_arrive_as_they_were_but_for_those_of_the_connection(pair):
    seen = {}

    def handler(exchange):
        for name in ("x-one", "x-empty", "accept", "x-forwarded-for", "x-forwarded-proto", "host", "user-agent"):
            seen[name] = exchange.header(name)
        exchange.read_body()
        exchange.head(200, [("X-Back", "value with  two spaces"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", ""), ("Content-Length", "0")], end=True)
    client, _, _ = pair(handler)
    response = ask(client, headers=[("X-One", "1, 2"), ("X-Empty", ""), ("Accept", "*/*"), ("User-Agent", "test")])
    assert seen == {"x-one": "1, 2", "x-empty": "", "accept": "*/*", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "host": "app.test", "user-agent": "test"}
    assert response.header("x-back") == "value with  two spaces" and response.all("set-cookie") == ["a=1", "b=2"] and response.header("x-empty") == ""


def test_the_access_log_tells_both_versions_and_sizes(pair, downstream):
    client, _, sluice = pair(echo)
    client.start("POST", "/log", length=5, end=False)
    client.send(b"hello")
    if hasattr(client, "client"):
        client.finish()
    entry = sluice.entry(client.response())
    assert entry["http_version"].rstrip(".0") == {"h1": "1.1", "h2": "2"}[downstream]
    assert (entry["status"], entry["reason"], entry["path"]) == (200, "ok", "/log") and entry["bytes_in"] >= 5 and entry["bytes_out"] >= 5
