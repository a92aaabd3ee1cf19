"""HTTP/1.1 and HTTP/2 on either side, in clear text and over TLS: what a client gets does not depend on which road its request takes
(hardening 26, 27, 30, 31, 33, 38 to 42, 89, 91, 98, 114; RFC 9110)."""

import hashlib
import threading
import time
from concurrent import futures

import pytest

from conftest import PATIENT, clear_listener, proxied, secure_listener, tls_backend_context
from sluice_harness import stands_still, until
from sluice_harness import frames as f
from sluice_harness.backend import Hangup
from sluice_harness.either import VIA, Cut, EitherBackend, EitherClient, StreamGone, lower
from sluice_harness.waiting import seconds

MiB = 1 << 20
OPEN = {"requests_per_connection": 1_000_000, "keepalive_timeout": "60s"}
FLOODS = {"max_resets": 1_000_000, "max_control_frames": 1_000_000}


class Road:
    """A client's protocol, the daemon, the backend's protocol."""

    def __init__(self, world, pki, name: str, route=None, service=None, **blocks):
        self.name = name
        self.down, self.up = (side.removesuffix("+tls") for side in name.split(" to "))
        down_tls, up_tls = (side.endswith("+tls") for side in name.split(" to "))
        self.listener = "secure" if down_tls else "clear"
        self.scheme = "https" if down_tls else "http"
        context = tls_backend_context(pki, ("h2",) if self.up == "h2" else ("http/1.1",)) if up_tls else None
        self.backend = EitherBackend(world, self.up, context)
        limits = {**OPEN, **blocks.pop("limits", {})}
        listener = secure_listener(pki.server, limits=limits, http2=FLOODS) if down_tls else clear_listener(limits=limits, http2=FLOODS)
        tls = {"tls": {"ca_file": pki.root.ca_file}} if up_tls else {}
        self.sluice = world.gateway({
            "listeners": [listener], **proxied(self.backend.instance(), route=route, **{**PATIENT, **tls, **(service or {})}), **blocks,
        }, tls={"secure": pki.root.ca_file})

    def client(self, **more) -> EitherClient:
        return EitherClient(self.sluice, self.down, self.listener, **more)

    def request(self, *arguments, **more):
        with self.client() as client:
            return client.request(*arguments, **more)

    @property
    def seen(self) -> list:
        return self.backend.seen


PLAIN_ROADS = ["h1 to h1", "h1 to h2", "h2 to h1", "h2 to h2"]
ROADS = [*PLAIN_ROADS, "h1+tls to h1+tls", "h1+tls to h2+tls", "h2+tls to h1+tls", "h2+tls to h2+tls"]


@pytest.fixture(scope="module", params=ROADS)
def shared(module_world, pki, request):
    return Road(module_world, pki, request.param, route={"limits": {"request_body": 0}})


@pytest.fixture
def road(shared):
    """A daemon that the tests of one road share; the backend does what each of them tells it."""
    shared.backend.seen.clear()
    shared.backend.serve = lambda stream: (stream.read_body(), stream.reply())
    yield shared
    assert shared.backend.server.violations == []
    shared.backend.server.violations.clear()


@pytest.fixture(params=PLAIN_ROADS)
def made(world, pki, request):
    """Makes a daemon of its own: `made(limits=…)`."""
    return lambda **more: Road(world, pki, request.param, **more)


def echo(stream):
    body = stream.read_body()
    stream.reply(200, body)


def pattern(size: int) -> bytes:
    return (hashlib.sha256(b"pattern").digest() * (size // 32 + 1))[:size]


# Expect: 100-continue


def test_100_comes_once_and_the_body_after_it(road):
    """Hardening 30."""
    road.backend.serve = echo
    with road.client() as client:
        client.start("POST", "/", {"expect": "100-continue"}, length=5)
        assert client.wait_interim(100).headers == []
        client.send(b"hello", end=True)
        response = client.finish()
        assert response.status == 200 and response.body == b"hello"
        # Of HTTP/2 the first one counts among them.
        assert len(response.interim) == (0 if road.down == "h1" else 1)
        assert client.request("GET").status == 200
    assert road.seen[0].header("expect") is None


def test_a_backend_that_says_100_as_well_is_not_heard(road):
    """Hardening 30, 40: the gateway has said it."""
    def serve(stream):
        stream.interim(100)
        stream.read_body()
        stream.reply(200, stream.body)
    road.backend.serve = serve
    with road.client() as client:
        client.start("POST", "/", {"expect": "100-continue"}, length=5)
        client.wait_interim(100)
        client.send(b"hello", end=True)
        response = client.finish()
        assert response.body == b"hello" and len(response.interim) == (0 if road.down == "h1" else 1)
        assert client.request("POST", body=b"unasked").interim == []


def test_a_body_that_does_not_wait_for_100_is_read_as_it_was_announced(road):
    """Hardening 31."""
    road.backend.serve = echo
    with road.client() as client:
        client.start("POST", "/", {"expect": "100-continue"}, length=5)
        client.send(b"hello", end=True)
        assert client.finish().body == b"hello"
        assert client.request("GET", "/next").status == 200
    assert [stream.target for stream in road.seen] == ["/", "/next"]


def test_a_request_without_a_body_is_not_told_to_continue(road):
    """Hardening 30."""
    response = road.request("GET", "/", {"expect": "100-continue"})
    assert response.status == 200 and response.interim == []


def test_what_cannot_be_met_is_417(road):
    for value in ("miracles", "100-continue, x"):
        with road.client() as client:
            client.start("POST", "/", {"expect": value}, length=5)
            response = client.finish()
            assert response.status == 417 and response.interim == []
    assert road.seen == []


def test_a_body_over_its_limit_is_413_in_the_place_of_100(made):
    """Hardening 30, 31: the limits come first, and the client need not send what nobody wants."""
    road = made(limits={"request_body": "1KiB"})
    with road.client() as client:
        client.start("POST", "/", {"expect": "100-continue"}, length=1025)
        response = client.finish()
        assert response.status == 413 and response.interim == []
    with road.client() as client:
        client.start("POST", "/", {"expect": "100-continue"}, length=1024)
        client.wait_interim(100)
        client.send(b"x" * 1024, end=True)
        assert client.finish().status == 200
    assert len(road.seen) == 1


def test_nobody_is_told_to_continue_where_there_is_no_backend(made):
    road = made()
    road.backend.server.stop()
    with road.client() as client:
        client.start("POST", "/", {"expect": "100-continue"}, length=5)
        response = client.finish()
        assert response.status == 502 and response.interim == []


# Answers that come early


def test_an_answer_within_the_request_arrives_and_the_rest_of_the_request_hurts_nobody(road):
    """Hardening 38, 27: 413 after 1 KB of 10 MB."""
    def serve(stream):
        if stream.target == "/early":
            stream.read_some(1024)
            return stream.reply(413, b"enough", {"x-who": "backend"})
        echo(stream)
    road.backend.serve = serve
    with road.client() as client:
        client.start("POST", "/early", length=10 * MiB)
        sender = threading.Thread(target=lambda: client.send(pattern(10 * MiB), end=True), daemon=True)
        if road.down == "h1":
            sender.start()
        else:
            client.send(pattern(10 * MiB), end=True)      # stops where the stream ends
        response = client.finish()
        assert response.status == 413 and response.body == b"enough" and response.header("x-who") == "backend"
        if road.down == "h1":
            assert response.header("connection") == "close"
            sender.join(seconds(10))
            client.raw.read_to_end()
        else:
            # The rest is not wanted, and no other stream suffers by it (RFC 9113 §8.1).
            assert client.raw.wait_reset(client.stream) == f.NO_ERROR
            assert client.request("POST", "/next", body=b"next").body == b"next"
    assert road.request("POST", "/next", body=b"again").body == b"again"
    if road.up == "h1":
        # What was on that connection cannot be told apart any more: it is not used again.
        assert road.seen[0].connection is not road.seen[1].connection


@pytest.mark.parametrize("status, expects", [(413, True), (401, True), (417, True), (200, True), (403, False)])
def test_an_answer_before_any_of_the_body_is_passed_on_to_a_client_that_sends_no_more(road, status, expects):
    given_up = threading.Event()

    def serve(stream):
        stream.reply(status, b"enough")
        if stream.target == "/early":
            stream.wait_gone()
            given_up.set()
    road.backend.serve = serve
    with road.client() as client:
        client.start("POST", "/early", {"expect": "100-continue"} if expects else {}, length=10 * MiB)
        if not expects:
            client.send(b"x" * 1000)
        response = client.finish()
        assert response.status == status and response.body == b"enough"
        assert given_up.wait(seconds(4))


def test_an_answer_that_begins_before_the_body_ends_streams_with_it(road):
    """Both directions at once: each piece comes back before the next is sent."""
    def serve(stream):
        stream.head(200)
        stream.read_body(lambda piece: stream.send(piece.upper()))
        stream.end()
    road.backend.serve = serve
    with road.client() as client:
        client.start("POST", "/", body=True)
        for number in range(10):
            client.send(b"piece %d " % number)
            client.wait_for_bytes(b"PIECE %d " % number)
        client.end()
        assert client.finish().body == b"".join(b"PIECE %d " % number for number in range(10))


def test_a_refusal_of_the_gateways_own_reaches_a_client_that_goes_on_sending(made):
    """Hardening 27: no RST in the way of it, and nothing of the body is taken for a request."""
    road = made(limits={"request_body": "64KiB"})
    with road.client() as client:
        client.start("POST", "/", body=True)
        if road.down == "h1":
            sender = threading.Thread(target=lambda: [client.send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" * 1000) for _ in range(20)], daemon=True)
            sender.start()
        else:
            client.send(b"x" * MiB)
        response = client.finish()
        assert response.status == 413
        if road.down == "h1":
            sender.join(seconds(10))
            rest = client.raw.read_to_end()
            assert rest == b""
        else:
            assert client.raw.wait_reset(client.stream) == f.NO_ERROR
            assert client.request("GET", "/after").status == 200
    assert all(stream.target in ("/", "/after") for stream in road.seen)


# Interim answers


def test_103_is_passed_on_at_once_with_its_fields_as_often_as_it_comes(road):
    """Hardening 40, RFC 8297: the answer waits until the client has all of them."""
    hinted = threading.Event()

    def serve(stream):
        stream.read_body()
        for number in range(3):
            stream.interim(103, [("link", f"</style-{number}.css>; rel=preload"), ("link", "</b>")])
        assert hinted.wait(seconds(10))
        stream.reply(200, b"done")
    road.backend.serve = serve
    with road.client() as client:
        client.start("GET")
        hints = client.wait_interims(3)
        hinted.set()
        response = client.finish()
        assert response.status == 200 and response.body == b"done" and [hint.status for hint in hints] == [103] * 3
        for number, hint in enumerate(hints):
            assert [value for name, value in lower(hint.headers) if name == "link"] == [f"</style-{number}.css>; rel=preload", "</b>"]


@pytest.mark.parametrize("status", [102, 103, 110, 199])
def test_any_interim_answer_but_100_is_passed_on_and_never_the_answer(road, status):
    def serve(stream):
        stream.read_body()
        stream.interim(status, [("x-interim", "1")])
        stream.reply()
    road.backend.serve = serve
    with road.client() as client:
        for _ in range(2):
            response = client.request("GET")
            assert response.status == 200 and response.body == b"ok" and response.header("x-interim") is None
            assert [(interim.status, interim.header("x-interim")) for interim in response.interim] == [(status, "1")]


def test_seventeen_interim_answers_are_a_fault_of_the_backend(road):
    """Hardening 40."""
    def serve(stream):
        stream.read_body()
        for _ in range(17):
            stream.interim(103)
        stream.reply()
    road.backend.serve = serve
    response = road.request("GET")
    assert response.status == 502 and len(response.interim) == 16


# Trailers


ALLOWED = [("x-checksum", "abc"), ("x-two", "1"), ("x-two", "2")]
FORBIDDEN = [("authorization", "Bearer x"), ("host", "evil.test"), ("content-length", "7"), ("x-forwarded-for", "6.6.6.6"), ("set-cookie", "a=b"),
             ("content-type", "text/evil"), ("transfer-encoding", "chunked")]
# Over HTTP/2 these make the whole message malformed.
MALFORMED = ("transfer-encoding", "content-length")


def test_trailers_of_a_request_arrive_without_those_that_nobody_may_send_there(road):
    """Hardening 13."""
    forbidden = [pair for pair in FORBIDDEN if road.down == "h1" or pair[0] not in MALFORMED]
    road.backend.serve = echo
    # TE is about those of the answer.
    for fields in ({"te": "trailers"}, {}):
        response = road.request("POST", "/", fields, body=b"data", trailers=[*ALLOWED, *forbidden])
        assert response.status == 200 and response.body == b"data"
        assert lower(road.seen[-1].trailers) == ALLOWED


def test_trailers_of_an_answer_arrive_without_those_that_nobody_may_send_there(road):
    """Hardening 13, 114."""
    forbidden = [pair for pair in FORBIDDEN if road.up == "h1" or pair[0] not in MALFORMED]

    def serve(stream):
        stream.read_body()
        stream.reply(200, b"data" if stream.target == "/body" else b"", {"trailer": "x-checksum, x-two"}, trailers=[*ALLOWED, *forbidden])
    road.backend.serve = serve
    with road.client() as client:
        for path in ("/body", "/none", "/body"):
            response = client.request("GET", path, {"te": "trailers"})
            assert response.status == 200 and response.body == (b"data" if path == "/body" else b"")
            assert lower(response.trailers) == ALLOWED


@pytest.mark.parametrize("trailer", [("content-length", "7"), ("transfer-encoding", "chunked"), (":path", "/"), ("x-bad", "a\rb")])
def test_an_answer_with_malformed_trailers_breaks_off_at_once(world, pki, trailer):
    """Hardening 89, 92: its stream alone."""
    for down in ("h1", "h2"):
        road = Road(world, pki, f"{down} to h2")
        road.backend.server.exact = False

        def serve(stream):
            stream.read_body()
            stream.head(200)
            stream.send(b"data")
            stream.connection.flush()
            raw = f.Frames.literal_block([trailer])
            with stream.connection.send_lock:
                stream.connection.socket.sendall(f.raw_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, stream.number, raw))
        road.backend.serve = serve
        began = time.monotonic()
        with pytest.raises(Cut):
            road.request("GET")
        assert time.monotonic() - began < seconds(3)


# Answers without a body


@pytest.mark.parametrize("length", ["12345", None])
def test_a_head_request_gets_the_length_where_there_is_one_and_no_body(road, length):
    """Hardening 41."""
    def serve(stream):
        stream.read_body()
        fields = {"etag": '"x"', **({"content-length": length} if length else {})}
        stream.reply(200, b"", fields) if stream.method == "HEAD" else stream.reply()
    road.backend.serve = serve
    with road.client() as client:
        for _ in range(3):
            response = client.request("HEAD")
            assert response.status == 200 and response.header("content-length") == length and response.body == b""
            assert response.header("etag") == '"x"'
        assert client.request("GET").body == b"ok"


@pytest.mark.parametrize("status, fields", [(204, {}), (304, {"etag": '"x"'}), (304, {"content-length": "99"})])
def test_204_and_304_have_no_body(road, status, fields):
    """Hardening 41."""
    road.backend.serve = lambda stream: (stream.read_body(), stream.reply(status, b"", fields))
    with road.client() as client:
        for _ in range(2):
            response = client.request("GET")
            assert response.status == status and response.body == b""
            assert response.header("etag") == fields.get("etag") and response.header("transfer-encoding") is None
        road.backend.serve = echo
        assert client.request("POST", body=b"next").body == b"next"


def test_an_empty_body_is_one_however_it_is_framed(road):
    def serve(stream):
        stream.read_body()
        if stream.target == "/sized":
            return stream.reply(200, b"", {"x-got": str(len(stream.body))})
        stream.head(200, {"x-got": str(len(stream.body))})
        stream.end()
    road.backend.serve = serve
    with road.client() as client:
        for path in ("/sized", "/open"):
            assert client.request("POST", path, body=b"").body == b""
            response = client.request("POST", path, body=b"", sized=False)
            assert response.status == 200 and response.body == b"" and response.header("x-got") == "0"


def test_a_body_of_any_method_is_carried(road):
    """Hardening 26."""
    road.backend.serve = echo
    with road.client() as client:
        for method in ("GET", "DELETE", "OPTIONS", "PUT", "PATCH", "POST"):
            response = client.request(method, "/", body=b"GET /smuggled HTTP/1.1\r\n\r\n")
            assert response.status == 200 and response.body == b"GET /smuggled HTTP/1.1\r\n\r\n", method
    assert [stream.method for stream in road.seen] == ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "POST"]


# Large bodies


@pytest.mark.seconds(120)
@pytest.mark.parametrize("sized", [True, False], ids=["with a length", "without"])
def test_64_MiB_go_up_whole(road, sized):
    """Hardening 33: counted and summed at the backend."""
    def serve(stream):
        total = hashlib.sha256()
        size = [0]

        def sink(piece):
            total.update(piece)
            size[0] += len(piece)
        stream.read_body(sink)
        stream.reply(200, f"{size[0]} {total.hexdigest()}".encode())
    road.backend.serve = serve
    data = pattern(64 * MiB)
    with road.client() as client:
        client.raw.timeout = seconds(100)
        client.start("POST", "/", length=len(data) if sized else None, body=True)
        for at in range(0, len(data), MiB):
            client.send(data[at:at + MiB], end=at + MiB == len(data))
        response = client.finish(100)
        assert response.status == 200 and response.body.decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}"


@pytest.mark.seconds(120)
@pytest.mark.parametrize("sized", [True, False], ids=["with a length", "without"])
def test_64_MiB_come_down_whole(road, sized):
    data = pattern(64 * MiB)

    def serve(stream):
        stream.read_body()
        stream.head(200, {"content-length": str(len(data))} if sized else {})
        for at in range(0, len(data), MiB):
            stream.send(data[at:at + MiB])
        stream.end()
    road.backend.serve = serve
    total = hashlib.sha256()
    with road.client() as client:
        client.start("GET")
        response = client.finish(100, total.update)
        assert response.status == 200 and response.body_bytes == len(data) and total.hexdigest() == hashlib.sha256(data).hexdigest()
        assert response.header("content-length") == (str(len(data)) if sized else None)


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_a_backend_is_not_read_faster_than_the_client_reads(road):
    """What nobody has asked for stays where it is; the kernel's buffers on the way may take 32 MiB and more."""
    data = pattern(96 * MiB)
    sent = [0]
    before = road.sluice.rss_kib()

    def serve(stream):
        stream.read_body()
        stream.head(200, {"content-length": str(len(data))})
        for at in range(0, len(data), 65536):
            stream.send(data[at:at + 65536])
            sent[0] = at + 65536
        stream.end()
    road.backend.serve = serve
    total = hashlib.sha256()
    with road.client(receive_buffer=65536, **({"window": 65535} if road.down == "h2" else {})) as client:
        client.start("GET")
        stands_still(lambda: sent[0], 20)
        assert sent[0] < 88 * MiB and road.sluice.rss_kib() - before < 16 << 10, (sent, before, road.sluice.rss_kib())
        response = client.finish(50, total.update)
        assert response.body_bytes == len(data) and total.hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_a_client_is_not_read_faster_than_the_backend_reads(road):
    held = threading.Event()

    def serve(stream):
        assert held.wait(seconds(40))
        total = hashlib.sha256()
        stream.read_body(total.update)
        stream.reply(200, total.hexdigest().encode())
    road.backend.serve = serve
    data = pattern(96 * MiB)
    sent = [0]
    before = road.sluice.rss_kib()
    with road.client() as client:
        client.raw.timeout = seconds(50)
        client.start("POST", "/", length=len(data))

        def send():
            for at in range(0, len(data), 65536):
                client.send(data[at:at + 65536], end=at + 65536 == len(data))
                sent[0] = at + 65536
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        stands_still(lambda: sent[0], 20)
        assert sent[0] < 88 * MiB and road.sluice.rss_kib() - before < 16 << 10, (sent, before, road.sluice.rss_kib())
        held.set()
        sender.join(seconds(50))
        assert client.finish(50).body.decode() == hashlib.sha256(data).hexdigest()


# Lengths that are not what they say


def test_a_request_that_ends_before_its_length_is_never_taken_for_whole(road):
    """Hardening 89."""
    whole = []

    def serve(stream):
        stream.read_body()
        whole.append(stream)
        stream.reply()
    road.backend.serve = serve
    with road.client() as client:
        client.start("POST", "/short", length=10)
        if road.down == "h1":
            client.send(b"12345")
            client.raw.half_close()
            client.raw.read_to_end()
        else:
            client.send(b"12345", end=True)
            assert client.raw.wait_reset(client.stream) == f.PROTOCOL_ERROR
    if road.seen:
        until(lambda: road.seen[0].gone, 5, "the backend's request is given up")
    assert whole == []


def test_a_request_that_is_longer_than_its_length_is_not_passed_on(road):
    """Hardening 89: over HTTP/1.1 what follows is the next request, and a bad one."""
    road.backend.serve = echo
    with road.client() as client:
        client.start("POST", "/long", length=5)
        if road.down == "h1":
            client.send(b"12345smuggled /x HTTP/1.1\r\n\r\n")
            assert client.finish().body == b"12345"
            assert client.raw.read_response().status in (400, 501)
        else:
            client.raw.data(client.stream, b"1234567", end_stream=True)
            assert client.raw.wait_reset(client.stream) == f.PROTOCOL_ERROR
    # What a test before this one left may still come.
    came = [stream for stream in road.seen if stream.target != "/short"]
    assert [stream.target for stream in came if stream.body == b"12345"] == (["/long"] if road.down == "h1" else [])


@pytest.mark.parametrize("end", ["short of its length", "without its last chunk", "by a reset", "by a reset, short of its length"])
def test_an_answer_that_breaks_off_is_seen_to_break_off(road, end):
    """Hardening 39: no fake end."""
    def serve(stream):
        stream.read_body()
        stream.head(200, {"content-length": "100"} if end.endswith("short of its length") else {})
        stream.send(b"x" * 60)
        if road.up == "h2" and not end.startswith("by a reset"):
            # An end that is none: the length says otherwise, or the connection goes.
            return stream.end() if end == "short of its length" else stream.connection.close()
        stream.abort() if end.startswith("by a reset") else stream.connection.close()
    road.backend.serve = serve
    with road.client() as client:
        path = f"/{end.replace(', ', '-').replace(' ', '-')}"
        client.start("GET", path)
        with pytest.raises(Cut) as cut:
            whole = client.finish()
            pytest.fail(f"taken for whole: {whole!r}, {road.sluice.entry(whole)}")
        assert cut.value.response is None or cut.value.response.body_bytes <= 60
        if road.down == "h2":
            road.backend.serve = echo
            assert client.request("POST", body=b"beside").body == b"beside"
    entry = road.sluice.wait_access(1, 5, lambda entry: entry["path"] == path)[-1]
    assert entry["reason"] in ("upstream_truncated", "upstream_reset", "upstream_malformed"), entry


def test_an_answer_that_ends_with_its_connection_is_whole(world, pki):
    """Hardening 42: HTTP/1.1 without any length."""
    for down in ("h1", "h2"):
        road = Road(world, pki, f"{down} to h1")

        def serve(stream):
            stream.connection.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
            stream.connection.close()
        road.backend.serve = serve
        response = road.request("GET")
        assert response.body == b"all of it" and response.framing == ("chunked" if down == "h1" else "")


def test_a_backend_that_breaks_off_before_its_head_is_502(road):
    road.backend.serve = lambda stream: (stream.read_body(), stream.abort())
    response = road.request("GET")
    assert response.status == 502 and response.json()["error"]["code"] == "UPSTREAM_ERROR"


def test_a_backend_that_is_silent_is_504(made):
    road = made(service={"timeouts": {"response": "500ms"}})
    road.backend.serve = lambda stream: (stream.read_body(), stream.wait_gone())
    response = road.request("GET")
    assert response.status == 504 and response.json()["error"]["code"] == "UPSTREAM_TIMEOUT"


def test_a_request_without_a_route_is_404_in_the_same_words(made):
    road = made(route={"match": {"path": "/only"}})
    response = road.request("GET", "/elsewhere")
    assert response.status == 404 and response.json()["error"]["code"] == "NOT_FOUND"
    assert response.header("x-request-id") == response.json()["request_id"]
    assert road.sluice.entry(response)["reason"] == "no_route" and road.seen == []


# Giving up


def test_a_client_that_gives_up_its_upload_is_heard_of_at_the_backend_within_seconds(road):
    """Hardening 33."""
    gone = threading.Event()

    def serve(stream):
        try:
            stream.read_body()
        except (Hangup, StreamGone):
            gone.set()
            raise
    road.backend.serve = serve
    with road.client() as client:
        client.start("POST", "/given-up", length=MiB)
        client.send(b"x" * 1000)
        road.backend.wait_seen(1)
        client.abort()
        assert gone.wait(seconds(4))
        if road.down == "h2":
            road.backend.serve = echo
            assert client.request("POST", body=b"beside").body == b"beside"
    if road.up == "h2":
        assert road.seen[0].reset == f.CANCEL
    assert road.sluice.wait_access(1, 5, lambda entry: entry["path"] == "/given-up")[-1]["reason"] == "client_closed"


@pytest.mark.parametrize("when", ["before the answer", "within the answer"])
def test_a_client_that_gives_up_its_download_is_heard_of_at_the_backend_within_seconds(road, when):
    """Hardening 33."""
    gone = threading.Event()

    def serve(stream):
        stream.read_body()
        try:
            if when == "within the answer":
                stream.head(200)
                while True:
                    stream.send(b"x" * 65536)
            stream.wait_gone()
            gone.set()
        except (Hangup, StreamGone):
            gone.set()
            raise
    road.backend.serve = serve
    with road.client() as client:
        client.start("GET")
        road.backend.wait_seen(1)
        if when == "within the answer":
            client.raw.read_head() if road.down == "h1" else client.raw.wait_head(client.stream)
        client.abort()
        assert gone.wait(seconds(4))
    if road.up == "h2":
        assert road.seen[0].reset == f.CANCEL


# Trying again


def test_a_get_whose_connection_is_closed_without_an_answer_is_sent_again(made):
    road = made()
    failures = []

    def serve(stream):
        stream.read_body()
        if stream.target == "/once" and not failures:
            failures.append(stream)
            return stream.connection.close()
        stream.reply(200, stream.header("x-sluice-retry").encode() if stream.header("x-sluice-retry") else b"first")
    road.backend.serve = serve
    with road.client() as client:
        assert client.request("GET", "/warm").body == b"first"
        assert client.request("GET", "/once").status == 200
    assert len(failures) == 1


@pytest.mark.parametrize("down", ["h1", "h2"])
@pytest.mark.parametrize("body", [b"", b"small", b"x" * 60_000])
def test_a_post_that_the_backend_refuses_unseen_is_sent_again_with_its_whole_body(world, pki, down, body):
    """Hardening 98: REFUSED_STREAM is safe whatever the method."""
    road = Road(world, pki, f"{down} to h2")
    refused = []

    def serve(stream):
        if stream.target == "/refuse" and len(refused) < 1:
            if body:
                stream.read_some(len(body))
            refused.append(stream)
            return stream.reset_with(f.REFUSED_STREAM)
        echo(stream)
    road.backend.serve = serve
    with road.client() as client:
        for sized in (True, False):
            refused.clear()
            response = client.request("POST", "/refuse", body=body, sized=sized)
            assert response.status == 200 and response.body == body
        # The windows are what they were: nothing was given back twice.
        assert client.request("POST", "/next", body=pattern(2 * MiB)).body == pattern(2 * MiB)


@pytest.mark.parametrize("down", ["h1", "h2"])
def test_a_post_that_the_backend_resets_for_another_reason_is_not_sent_again(world, pki, down):
    road = Road(world, pki, f"{down} to h2")
    road.backend.serve = lambda stream: (stream.read_body(), stream.reset_with(f.INTERNAL_ERROR))
    assert road.request("POST", body=b"once").status == 502
    assert len(road.seen) == 1


@pytest.mark.parametrize("down", ["h1", "h2"])
def test_requests_above_the_last_stream_of_a_goaway_are_sent_again_on_another_connection(world, pki, down):
    """Hardening 98."""
    road = Road(world, pki, f"{down} to h2", server={"workers": 1})     # one worker, or the two would not share a connection
    first = threading.Event()

    def serve(stream):
        stream.read_body()
        if stream.connection.number == 1 and stream.target == "/second":
            stream.connection.goaway(last_stream=stream.number - 2)
            return first.set()
        if stream.target == "/first":
            assert first.wait(seconds(10))
        stream.reply(200, f"{stream.target} on {stream.connection.number}".encode())
    road.backend.serve = serve
    with road.client() as one, road.client() as other:
        one.start("POST", "/first", length=0)
        road.backend.wait_seen(1)
        assert other.request("POST", "/second", body=b"x").body == b"/second on 2"
        first.set()
        assert one.finish().body == b"/first on 1"


# What stands in when the backend cannot


def test_a_fallback_answers_for_a_backend_that_fails(made):
    road = made(service={"fallback": {"status": 200, "body": "instead", "headers": {"X-Static": "yes"}}})
    road.backend.serve = lambda stream: (stream.read_body(), stream.reply(503, b"down"))
    with road.client() as client:
        for method, body in (("GET", None), ("POST", b"data")):
            response = client.request(method, body=body)
            assert response.status == 200 and response.body == b"instead" and response.header("x-static") == "yes", response


# Fields


def test_crumbs_of_a_cookie_reach_the_backend_as_one_field(road):
    """Hardening 91."""
    crumbs = [f"c{number}={number}" for number in range(50)]
    fields = [("cookie", crumb) for crumb in crumbs] if road.down == "h2" else [("cookie", "; ".join(crumbs))]
    assert road.request("GET", "/", fields).status == 200
    assert "; ".join(road.seen[0].all("cookie")) == "; ".join(crumbs)
    if road.up == "h1":
        assert len(road.seen[0].all("cookie")) == 1


def test_the_fields_of_a_proxy_say_which_way_the_message_came(road):
    response = road.request("GET", "/path")
    seen = road.seen[0]
    received = {"h1": "1.1", "h2": "2"}
    assert VIA.match(seen.header("via")).group(1) == received[road.down]
    assert VIA.match(response.header("via")).group(1) == received[road.up]
    assert seen.header("x-forwarded-for") == "127.0.0.1" and seen.header("x-forwarded-proto") == road.scheme
    assert seen.header("x-forwarded-host") == "app.test" and seen.authority == "app.test"
    assert seen.header("x-request-id") == response.header("x-request-id")


def test_fields_that_concern_no_proxy_arrive_as_they_were(road):
    fields = [("x-one", "1, 2"), ("x-empty", ""), ("accept", "*/*"), ("user-agent", "test"), ("x-spaces", "value with  two spaces")]

    def serve(stream):
        stream.read_body()
        stream.reply(200, b"", fields)
    road.backend.serve = serve
    response = road.request("GET", "/", fields)
    for name, value in fields:
        assert road.seen[0].all(name) == [value] and response.all(name) == [value]


def test_fields_of_a_connection_stay_on_it(road):
    """Hardening 93, and RFC 9110 §7.6.1."""
    def serve(stream):
        stream.read_body()
        stream.reply(200, b"ok", [("connection", "x-hop"), ("keep-alive", "timeout=9"), ("x-hop", "1"), ("proxy-connection", "x")] if road.up == "h1"
                     else [("x-hop", "1")])
    road.backend.serve = serve
    fields = [("connection", "x-mine, keep-alive"), ("keep-alive", "timeout=1"), ("x-mine", "1")] if road.down == "h1" else [("x-mine", "1")]
    response = road.request("GET", "/", fields)
    assert road.seen[0].header("keep-alive") is None and road.seen[0].header("proxy-connection") is None
    assert road.seen[0].header("x-mine") == (None if road.down == "h1" else "1")
    assert response.header("keep-alive") is None and response.header("x-hop") == (None if road.up == "h1" else "1")


def test_many_cookies_of_an_answer_keep_their_order(road):
    cookies = [f"c{number}=v; Path=/; Expires=Wed, 21 Oct 2026 07:28:{number:02} GMT" for number in range(40)]
    road.backend.serve = lambda stream: (stream.read_body(), stream.reply(200, b"", [("set-cookie", cookie) for cookie in cookies]))
    assert road.request("GET").all("set-cookie") == cookies


def test_a_value_of_60_KB_in_an_answer_arrives(road):
    road.backend.serve = lambda stream: (stream.read_body(), stream.reply(200, b"ok", {"x-long": "v" * 60_000}))
    response = road.request("GET")
    assert response.header("x-long") == "v" * 60_000 and response.body == b"ok"


def test_a_head_of_an_answer_over_its_limit_is_502(road):
    road.backend.serve = lambda stream: (stream.read_body(), stream.reply(200, b"ok", [(f"x-{number}", "v" * 1000) for number in range(80)]))
    with road.client() as client:
        assert client.request("GET").status == 502
    road.backend.serve = echo
    assert road.request("POST", body=b"x").body == b"x"


def test_bytes_above_ascii_in_a_value_arrive_as_they_are(road):
    assert road.request("GET", "/", {"x-latin": "gr\xfc\xdfe"}).status == 200
    assert road.seen[0].header("x-latin") == "gr\xfc\xdfe"


@pytest.mark.parametrize("what, status, fields, path", [
    ("a target", 414, [], "/" + "p" * 8200),
    ("a field", 431, [("x-long", "v" * 16_500)], "/"),
    ("fields together", 431, [(f"x-{number}", "v" * 15_000) for number in range(5)], "/"),
    ("a hundred and more fields", 431, [(f"x-{number}", "v") for number in range(101)], "/"),
])
def test_limits_of_the_head_are_the_same_for_both_protocols(road, what, status, fields, path):
    response = road.request("GET", path, fields)
    assert response.status == status, response
    assert road.seen == []


# Request lines


def test_methods_that_are_known_arrive_and_others_are_501(road):
    with road.client() as client:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            assert client.request(method).status == 200
    assert [stream.method for stream in road.seen] == ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
    assert road.request("BREW").status == 501
    assert road.request("get").status in (400, 501)
    assert road.request("TRACE").status == 405


def test_options_about_the_server_are_answered_by_it(road):
    response = road.request("OPTIONS", "*")
    assert response.status == 204 and road.seen == []


def test_a_query_arrives_byte_for_byte(road):
    targets = ["/?a=1&b=%20%2F;c", "/?", "/??x=?", "/p?q=%E4%B8%96&r=a+b", "/?a=b=c&&", "/?%41"]
    with road.client() as client:
        for target in targets:
            assert client.request("GET", target).status == 200
    assert [stream.target for stream in road.seen] == targets


# What is told of a request


def test_the_access_log_tells_both_versions_and_the_sizes(road):
    road.backend.serve = echo
    entry = road.sluice.entry(road.request("POST", "/log", body=b"hello"))
    versions = {"h1": "1.1", "h2": "2"}
    assert (entry["http_version"], entry["upstream_protocol"]) == (versions[road.down], versions[road.up])
    assert (entry["status"], entry["reason"], entry["path"]) == (200, "ok", "/log") and entry["bytes_in"] >= 5 and entry["bytes_out"] >= 5


# Many


@pytest.mark.seconds(90)
def test_a_thousand_requests_in_a_row_are_answered_on_one_connection(road):
    road.backend.serve = echo
    before = len(road.backend.connections)
    with road.client() as client:
        for number in range(1000):
            response = client.request("POST", f"/{number}", body=b"%d" % number, timeout=20)
            assert response.status == 200 and response.body == b"%d" % number
    assert [stream.target for stream in road.seen] == [f"/{number}" for number in range(1000)]
    assert len(road.backend.connections) - before <= 2


@pytest.mark.seconds(90)
def test_a_hundred_requests_at_once_get_each_its_own_answer(road):
    def serve(stream):
        body = stream.read_body()
        road.backend.wait_seen(100, 40)
        stream.reply(200, body, {"x-echo": stream.target})
    road.backend.serve = serve
    bodies = [b"%d" % number * 500 for number in range(100)]
    if road.down == "h1":
        with futures.ThreadPoolExecutor(100) as threads:
            answers = list(threads.map(lambda number: road.request("POST", f"/{number}", body=bodies[number], timeout=60), range(100)))
    else:
        with road.client() as client:
            raw = client.raw
            streams = [raw.start("POST", f"/{number}", end=False) for number in range(100)]
            for number, stream in enumerate(streams):
                raw.send_body(stream, bodies[number])
            answers = [raw.finish(stream, 60) for stream in streams]
    for number, answer in enumerate(answers):
        assert answer.status == 200 and answer.body == bodies[number] and answer.header("x-echo") == f"/{number}"
