"""RFC 9113, sections 5, 6 and 8, frame by frame: what a client may do, what costs it a stream, and what the connection (hardening 87 to 95)."""

import struct
import threading

import pytest

from conftest import h2_gateway
from sluice_harness import H2Client, StreamReset, names, reply, until
from sluice_harness import frames as f
from sluice_harness.frames import raw_frame


@pytest.fixture(scope="module")
def road(module_world):
    """One daemon that takes h2c, and one backend for HTTP/1.1."""
    server = module_world.backend(lambda request, connection: reply(200, request.body or b"ok", [("X-Target", request.target)]))
    return h2_gateway(module_world, server, http2={"max_resets": 10000, "max_control_frames": 10000},
                      limits={"connections_per_client": 4096}), server


@pytest.fixture
def client(road):
    """A connection whose first SETTINGS have gone both ways."""
    del road[1].heads[:]
    made = road[0].h2()
    made.wait_settings()
    yield made
    made.close()
    # Nobody else has lost anything.
    with road[0].h2() as other:
        assert other.request("GET", "/after").status == 200
    assert not [head for head in road[1].heads if head.target.startswith("/attack")], road[1].heads
    assert road[1].violations == []


def loses_connection(client: H2Client, *codes: int):
    """GOAWAY with one of the codes, and the end."""
    client.wait_closed(5)
    assert client.goaways, "closed without GOAWAY"
    assert client.goaways[-1].error_code in codes, (client.goaways[-1], codes)


def loses_stream(client: H2Client, stream: int, *codes: int, status: tuple[int, ...] = ()):
    """RST_STREAM with one of the codes, and the connection goes on; or a connection error of the same kind (RFC 9113 §5.4.2);
    or, where the fault is one of HTTP, an answer with `status`."""
    state = client.streams[stream]
    try:
        client.pump(lambda: state.over or client.goaways, 5, f"an end of stream {stream}")
    except f.Ended:
        raise AssertionError("closed without GOAWAY") from None
    if state.reset is not None and not state.ended:
        assert state.reset in codes, (state.reset, codes)
        assert client.request("GET", "/beside").status == 200
    elif state.ended:
        assert state.status in status, state
        assert client.request("GET", "/beside").status == 200
    else:
        loses_connection(client, *codes)


def open_post(client: H2Client, path: str = "/open") -> int:
    """A stream whose body is still to come."""
    return client.start("POST", path, end=False)


def done(client: H2Client) -> int:
    """A stream that is closed on both sides."""
    response = client.request("GET", "/done")
    return response.stream


# §3.4, §6.5: the beginning


@pytest.mark.parametrize("first", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX" + b"\0" * 9, b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 9],
                         ids=["last byte", "version", "tail"])
def test_a_wrong_preface_is_refused(road, first):
    """§3.4."""
    with H2Client(road[0].address("clear"), preface=False) as client:
        client.try_send(first)
        # GOAWAY, nothing, or an answer of HTTP/1.1, which is no frame.
        client.read_to_end(5)
    assert road[0].request("GET", "/after", listener="clear").status == 200
    with road[0].h2() as other:
        assert other.request().status == 200


def test_the_first_frame_of_a_client_must_be_settings(road):
    """§3.4."""
    with H2Client(road[0].address("clear"), preface=False) as client:
        client.send_bytes(f.PREFACE)
        client.ping()
        loses_connection(client, f.PROTOCOL_ERROR)


def test_a_preface_in_pieces_is_a_preface(road):
    with H2Client(road[0].address("clear"), preface=False) as client:
        for at in range(len(f.PREFACE)):
            client.send_bytes(f.PREFACE[at:at + 1])
        client.settings()
        assert client.request().status == 200


def test_the_first_frame_is_settings_with_our_limits(road):
    """Hardening 84."""
    with road[0].h2() as client:
        settings = client.wait_settings()
        assert isinstance(client.frames_seen[0], f.SettingsFrame) and "ACK" not in client.frames_seen[0].flags
        assert settings[f.MAX_CONCURRENT_STREAMS] == 100 and settings.get(f.ENABLE_PUSH, 0) == 0
        assert settings[f.INITIAL_WINDOW_SIZE] == 256 << 10 and settings.get(f.MAX_FRAME_SIZE, 16384) == 16384
        assert settings.get(f.HEADER_TABLE_SIZE, 4096) == 4096 and settings[f.MAX_HEADER_LIST_SIZE] <= 65536
        assert settings[f.ENABLE_CONNECT_PROTOCOL] in (0, 1)
        client.pump(lambda: client.settings_acknowledged == 1, 5, "our SETTINGS are acknowledged")
        client.pump(lambda: client.connection_window >= 1 << 20, 5, "the window of the connection")


def test_settings_that_are_never_acknowledged_end_the_connection(road):
    """Hardening 84: SETTINGS_TIMEOUT after 10 s."""
    with road[0].h2(behave=("ping", "window")) as client:
        assert client.request().status == 200
        client.wait_closed(20)
        assert client.goaways and client.goaways[-1].error_code == f.SETTINGS_TIMEOUT


# §4.1, §4.2, §5.1, §6: errors of the connection

CONNECTION_ERRORS = {
    # §4.2
    "4.2 DATA longer than SETTINGS_MAX_FRAME_SIZE": (lambda c, s: c.send_frame(f.DATA_TYPE, 0, s, b"x" * 16385), (f.FRAME_SIZE_ERROR,)),
    "4.2 HEADERS longer than SETTINGS_MAX_FRAME_SIZE": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS, 99, b"\x82" * 16385), (f.FRAME_SIZE_ERROR,)),
    "4.2 SETTINGS longer than SETTINGS_MAX_FRAME_SIZE": (lambda c, s: c.send_frame(f.SETTINGS_TYPE, 0, 0, b"\0" * 16386), (f.FRAME_SIZE_ERROR,)),
    "4.2 an unknown frame of the greatest length": (lambda c, s: c.send_frame(0x77, 0, 0, b"", length=2 ** 24 - 1), (f.FRAME_SIZE_ERROR,)),
    # §4.3
    "4.3 a block that is not HPACK": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, 99, b"\xff\xff\xff\xff\xff\xff\x01"), (f.COMPRESSION_ERROR,)),
    "4.3 an index beyond the table": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, 99, b"\xff\xe9\x07"), (f.COMPRESSION_ERROR,)),
    "4.3 index 0": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, 99, b"\x80"), (f.COMPRESSION_ERROR,)),
    "4.3 a string that goes on beyond the block": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS, 99, b"\x00\x7f\xff\x01a"), (f.COMPRESSION_ERROR,)),
    "4.3 Huffman with the wrong end": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS, 99, b"\x00\x81\xfe\x81\x00"), (f.COMPRESSION_ERROR,)),
    "4.3 a table larger than allowed": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.END_HEADERS, 99, b"\x3f\xe1\xff\x03\x82"), (f.COMPRESSION_ERROR,)),
    "4.3 another frame within a block": (lambda c, s: (c.header_block(99, c.block([(":method", "GET")]), end_headers=False), c.ping()), (f.PROTOCOL_ERROR,)),
    "4.3 an unknown frame within a block": (lambda c, s: (c.header_block(99, b"\x82", end_headers=False), c.send_frame(0x55, 0, 99)), (f.PROTOCOL_ERROR,)),
    "4.3 HEADERS of another stream within a block": (lambda c, s: (c.header_block(99, b"\x82", end_headers=False), c.header_block(101, b"\x82")), (f.PROTOCOL_ERROR,)),
    # §5.1
    "5.1 DATA on an idle stream": (lambda c, s: c.data(99, b"x"), (f.PROTOCOL_ERROR, f.STREAM_CLOSED)),
    "5.1 RST_STREAM on an idle stream": (lambda c, s: c.rst(99), (f.PROTOCOL_ERROR,)),
    "5.1 WINDOW_UPDATE on an idle stream": (lambda c, s: c.window_update(99, 5), (f.PROTOCOL_ERROR,)),
    "5.1 CONTINUATION on an idle stream": (lambda c, s: c.continuation(99, b"\x82", True), (f.PROTOCOL_ERROR,)),
    "5.1.1 HEADERS on an even stream": (lambda c, s: c.headers(98, c.fields("GET", "/attack"), True), (f.PROTOCOL_ERROR,)),
    "5.1.1 DATA on an even stream": (lambda c, s: c.data(2, b"x"), (f.PROTOCOL_ERROR, f.STREAM_CLOSED)),
    # §6.1
    "6.1 DATA on stream 0": (lambda c, s: c.data(0, b"x"), (f.PROTOCOL_ERROR,)),
    "6.1 DATA whose padding is all of it": (lambda c, s: c.send_frame(f.DATA_TYPE, f.PADDED, s, b"\x06abcde"), (f.PROTOCOL_ERROR,)),
    "6.1 padded DATA without a length": (lambda c, s: c.send_frame(f.DATA_TYPE, f.PADDED, s, b""), (f.FRAME_SIZE_ERROR, f.PROTOCOL_ERROR)),
    # §6.2
    "6.2 HEADERS on stream 0": (lambda c, s: c.headers(0, c.fields("GET", "/attack"), True), (f.PROTOCOL_ERROR,)),
    "6.2 HEADERS whose padding is too long": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.PADDED | f.END_HEADERS, 99, b"\x10\x82\x86"), (f.PROTOCOL_ERROR,)),
    "6.2 HEADERS that end before their priority": (lambda c, s: c.send_frame(f.HEADERS_TYPE, f.PRIORITY | f.END_HEADERS, 99, b"\x00\x00"), (f.FRAME_SIZE_ERROR, f.PROTOCOL_ERROR)),
    # §6.3
    "6.3 PRIORITY on stream 0": (lambda c, s: c.priority(0), (f.PROTOCOL_ERROR,)),
    # §6.4
    "6.4 RST_STREAM on stream 0": (lambda c, s: c.rst(0), (f.PROTOCOL_ERROR,)),
    "6.4 RST_STREAM of 3 bytes": (lambda c, s: c.send_frame(f.RST_TYPE, 0, s, b"\0\0\0"), (f.FRAME_SIZE_ERROR,)),
    # §6.5
    "6.5 SETTINGS on a stream": (lambda c, s: c.send_frame(f.SETTINGS_TYPE, 0, s, b""), (f.PROTOCOL_ERROR,)),
    "6.5 SETTINGS of 5 bytes": (lambda c, s: c.send_frame(f.SETTINGS_TYPE, 0, 0, b"\0" * 5), (f.FRAME_SIZE_ERROR,)),
    "6.5 an acknowledgement with a payload": (lambda c, s: c.send_frame(f.SETTINGS_TYPE, f.ACK, 0, b"\0" * 6), (f.FRAME_SIZE_ERROR,)),
    "6.5.2 ENABLE_PUSH 2": (lambda c, s: c.settings({f.ENABLE_PUSH: 2}), (f.PROTOCOL_ERROR,)),
    "6.5.2 INITIAL_WINDOW_SIZE 2^31": (lambda c, s: c.settings({f.INITIAL_WINDOW_SIZE: 2 ** 31}), (f.FLOW_CONTROL_ERROR,)),
    "6.5.2 MAX_FRAME_SIZE 16383": (lambda c, s: c.settings({f.MAX_FRAME_SIZE: 16383}), (f.PROTOCOL_ERROR,)),
    "6.5.2 MAX_FRAME_SIZE 2^24": (lambda c, s: c.settings({f.MAX_FRAME_SIZE: 2 ** 24}), (f.PROTOCOL_ERROR,)),
    # §6.6
    "6.6 a client that pushes": (lambda c, s: c.send_frame(f.PUSH_TYPE, f.END_HEADERS, s, struct.pack(">I", 2) + b"\x82\x86\x84"), (f.PROTOCOL_ERROR,)),
    # §6.7
    "6.7 PING on a stream": (lambda c, s: c.send_frame(f.PING_TYPE, 0, s, b"\0" * 8), (f.PROTOCOL_ERROR,)),
    "6.7 PING of 7 bytes": (lambda c, s: c.send_frame(f.PING_TYPE, 0, 0, b"\0" * 7), (f.FRAME_SIZE_ERROR,)),
    "6.7 PING of 9 bytes": (lambda c, s: c.send_frame(f.PING_TYPE, 0, 0, b"\0" * 9), (f.FRAME_SIZE_ERROR,)),
    # §6.8
    "6.8 GOAWAY on a stream": (lambda c, s: c.send_frame(f.GOAWAY_TYPE, 0, s, b"\0" * 8), (f.PROTOCOL_ERROR,)),
    "6.8 GOAWAY of 7 bytes": (lambda c, s: c.send_frame(f.GOAWAY_TYPE, 0, 0, b"\0" * 7), (f.FRAME_SIZE_ERROR,)),
    # §6.9
    "6.9 WINDOW_UPDATE of 3 bytes": (lambda c, s: c.send_frame(f.WINDOW_TYPE, 0, 0, b"\0" * 3), (f.FRAME_SIZE_ERROR,)),
    "6.9 WINDOW_UPDATE of 0 on the connection": (lambda c, s: c.window_update(0, 0), (f.PROTOCOL_ERROR,)),
    "6.9.1 a window of the connection above 2^31-1": (lambda c, s: (c.window_update(0, 2 ** 31 - 1), c.window_update(0, 2 ** 31 - 1)), (f.FLOW_CONTROL_ERROR,)),
    # §6.10
    "6.10 CONTINUATION on stream 0": (lambda c, s: c.continuation(0, b"\x82", True), (f.PROTOCOL_ERROR,)),
    "6.10 CONTINUATION behind a whole block": (lambda c, s: (numbered(c, 99, end=False), c.continuation(99, b"\x82", True)), (f.PROTOCOL_ERROR,)),
    "6.10 CONTINUATION of another stream": (lambda c, s: (c.header_block(99, b"\x82", end_headers=False), c.continuation(101, b"\x86", True)), (f.PROTOCOL_ERROR,)),
    "6.10 CONTINUATION behind DATA": (lambda c, s: (c.data(s, b"x"), c.continuation(s, b"\x82", True)), (f.PROTOCOL_ERROR,)),
}


def numbered(client: H2Client, stream: int, end: bool = True) -> int:
    """A good request on just this stream."""
    client.next_stream = stream
    return client.start("GET", "/numbered", end=end)


@pytest.mark.parametrize("case", CONNECTION_ERRORS)
def test_an_error_of_the_connection_is_told_with_goaway_and_ends_it(client, case):
    """RFC 9113; hardening 95."""
    attack, codes = CONNECTION_ERRORS[case]
    stream = open_post(client)
    try:
        attack(client, stream)
    except (BrokenPipeError, ConnectionResetError):
        pass
    loses_connection(client, *codes)


def test_a_setting_that_takes_a_window_above_its_limit_is_an_error(client):
    """§6.9.2; hardening 86: of the connection, or of the stream whose window it is."""
    stream = open_post(client)
    client.window_update(stream, 2 ** 31 - 1 - (1 << 24))
    client.settings({f.INITIAL_WINDOW_SIZE: 2 ** 31 - 1})
    loses_stream(client, stream, f.FLOW_CONTROL_ERROR)


def test_an_error_of_the_connection_is_counted_with_its_reason(road):
    sluice, _ = road
    before = names.h2_closed(sluice)
    with sluice.h2() as client:
        client.data(0, b"x")
        client.wait_closed(5)
    names.wait_count(lambda: names.h2_closed(sluice), before + 1)


# §5.1, §6, §8: errors of a stream


def trailing(c: H2Client, fields, end: bool = True):
    stream = open_post(c, "/attack-trailers")
    c.data(stream, b"x")
    c.headers(stream, fields, end_stream=end, literal=True)
    return stream


def head(c: H2Client, fields, end: bool = True):
    return c.start_raw(fields, end)


GOOD = [(":method", "GET"), (":scheme", "http"), (":authority", "app.test"), (":path", "/attack")]


def without(name: str) -> list:
    return [pair for pair in GOOD if pair[0] != name]


def having(name: str, value) -> list:
    return [(n, value if n == name else v) for n, v in GOOD]


MALFORMED_HEADS = {
    # §8.2.1
    "8.2.1 a name in upper case": [*GOOD, ("X-Upper", "a")],
    "8.2.1 a name with a space": [*GOOD, ("x a", "a")],
    "8.2.1 a name with a colon": [*GOOD, ("x:a", "a")],
    "8.2.1 an empty name": [*GOOD, ("", "a")],
    "8.2.1 a value with CR": [*GOOD, ("x", "a\rb")],
    "8.2.1 a value with LF": [*GOOD, ("x", "a\nb: c")],
    "8.2.1 a value with NUL": [*GOOD, ("x", "a\0b")],
    "8.2.1 a value that begins with a space": [*GOOD, ("x", " a")],
    "8.2.1 a value that ends with a tab": [*GOOD, ("x", "a\t")],
    "8.2.1 a control character in a credential": [*GOOD, ("authorization", "tok\x01")],
    # §8.2.2
    "8.2.2 connection": [*GOOD, ("connection", "close")],
    "8.2.2 keep-alive": [*GOOD, ("keep-alive", "1")],
    "8.2.2 proxy-connection": [*GOOD, ("proxy-connection", "keep-alive")],
    "8.2.2 transfer-encoding": [*GOOD, ("transfer-encoding", "chunked")],
    "8.2.2 upgrade": [*GOOD, ("upgrade", "websocket")],
    "8.2.2 te other than trailers": [*GOOD, ("te", "gzip")],
    # §8.3
    "8.3 an unknown pseudo-header": [*GOOD, (":unknown", "a")],
    "8.3 a pseudo-header of responses": [*GOOD, (":status", "200")],
    "8.3 a pseudo-header behind a field": [*GOOD[:3], ("x", "a"), GOOD[3]],
    "8.3 two methods": [*GOOD[:1], *GOOD], "8.3 two paths": [*GOOD, GOOD[3]], "8.3 two schemes": [GOOD[1], *GOOD], "8.3 two authorities": [GOOD[2], *GOOD],
    "8.3.1 no method": without(":method"), "8.3.1 no scheme": without(":scheme"), "8.3.1 no path": without(":path"),
    "8.3.1 an empty path": having(":path", ""), "8.3.1 a path without a slash": having(":path", "attack"), "8.3.1 a path that is a URL": having(":path", "http://app.test/attack"),
    "8.3.1 * with GET": having(":path", "*"), "8.3.1 a fragment": having(":path", "/attack#fragment"), "8.3.1 a space in the path": having(":path", "/attack x"),
    "8.3.1 CR in the path": having(":path", "/attack\rx"), "8.3.1 LF in the path": having(":path", "/attack HTTP/1.1\r\nHost: x\r\n\r\n"), "8.3.1 NUL in the path": having(":path", "/attack\0"),
    "8.3.1 an empty method": having(":method", ""), "8.3.1 a method with a space": having(":method", "GET /x"), "8.3.1 a method that is no token": having(":method", "GE(T"),
    "8.3.1 another scheme": having(":scheme", "ftp"), "8.3.1 the scheme of another transport": having(":scheme", "https"), "8.3.1 a scheme with a space": having(":scheme", "http x"),
    "8.3.1 user information": having(":authority", "user@app.test"), "8.3.1 two hosts": having(":authority", "app.test,b.test"), "8.3.1 a bad port": having(":authority", "app.test:x"),
    "8.3.1 an empty authority": having(":authority", ""), "8.3.1 a space in the authority": having(":authority", "app .test"), "8.3.1 a slash in the authority": having(":authority", "app.test/x"),
    "8.3.1 host and authority differ": [*GOOD, ("host", "other.test")], "8.3.1 two hosts besides": [*GOOD, ("host", "app.test"), ("host", "app.test")],
    "8.3.1 neither host nor authority": without(":authority"),
    # §8.1.1
    "8.1.1 two lengths": [*GOOD, ("content-length", "0"), ("content-length", "0")], "8.1.1 a length that is no number": [*GOOD, ("content-length", "1x")],
    "8.1.1 a length with a sign": [*GOOD, ("content-length", "+0")], "8.1.1 a list of lengths": [*GOOD, ("content-length", "0, 0")],
    "8.1.1 a length beyond 64 bits": [*GOOD, ("content-length", "99999999999999999999999")], "8.1.1 a length and the end": [*GOOD, ("content-length", "10")],
    # §8.5
    "8.5 CONNECT with a path": having(":method", "CONNECT"), "8.5 CONNECT with a scheme": [(":method", "CONNECT"), (":authority", "app.test:80"), (":scheme", "http")],
    "8.5 CONNECT without an authority": [(":method", "CONNECT")],
    "RFC 8441 :protocol without CONNECT": [*GOOD, (":protocol", "websocket")],
    "RFC 8441 another protocol": [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "http"), (":path", "/attack"), (":authority", "app.test")],
}


@pytest.mark.parametrize("case", MALFORMED_HEADS)
def test_a_malformed_head_costs_the_stream_and_reaches_no_backend(client, case):
    """RFC 9113 §8; hardening 87, 88, 90, 92."""
    stream = head(client, MALFORMED_HEADS[case])
    state = client.streams[stream]
    client.pump(lambda: state.over or client.goaways, 5, "an answer")
    if state.ended:
        # Where the library lets it through, it is refused as the same request over HTTP/1.1 is.
        assert state.status in (400, 404, 405, 501), state
        if state.status in (404, 405):
            assert "CONNECT" in str(MALFORMED_HEADS[case]), state
        assert client.request("GET", "/beside").status == 200
    elif state.reset is not None:
        assert state.reset in (f.PROTOCOL_ERROR, f.REFUSED_STREAM), state.reset
        assert client.request("GET", "/beside").status == 200
    else:
        loses_connection(client, f.PROTOCOL_ERROR)


STREAM_ERRORS = {
    "8.1.1 less than announced": (lambda c: body_of(c, "10", [b"12345"]), (f.PROTOCOL_ERROR,)),
    "8.1.1 more than announced": (lambda c: body_of(c, "5", [b"1234567890"]), (f.PROTOCOL_ERROR,)),
    "8.1.1 more than announced, in two frames": (lambda c: body_of(c, "5", [b"12345", b"6"], path="/whole"), (f.PROTOCOL_ERROR,)),
    "8.1.1 a body where 0 is announced": (lambda c: body_of(c, "0", [b"x"], path="/whole"), (f.PROTOCOL_ERROR,)),
    "8.1.1 less than announced, and trailers": (lambda c: body_of(c, "10", [b"12345"], [("x", "a")]), (f.PROTOCOL_ERROR,)),
    "8.1 trailers that do not end the stream": (lambda c: trailing(c, [("x", "a")], end=False), (f.PROTOCOL_ERROR,)),
    "8.1 a pseudo-header in trailers": (lambda c: trailing(c, [(":path", "/attack")]), (f.PROTOCOL_ERROR,)),
    "8.2.1 upper case in trailers": (lambda c: trailing(c, [("X-Upper", "a")]), (f.PROTOCOL_ERROR,)),
    "8.2.2 a field of the connection in trailers": (lambda c: trailing(c, [("connection", "close")]), (f.PROTOCOL_ERROR,)),
    "5.1 DATA behind the end": (lambda c: after_end(c, lambda s: c.data(s, b"x")), (f.STREAM_CLOSED,)),
    "5.1 HEADERS behind the end": (lambda c: after_end(c, lambda s: c.headers(s, [("x", "a")], True)), (f.STREAM_CLOSED, f.PROTOCOL_ERROR)),
    "5.3.1 a stream that depends on itself": (lambda c: (s := open_post(c, "/attack-self"), c.priority(s, s))[0], (f.PROTOCOL_ERROR,)),
    "6.3 PRIORITY of 4 bytes": (lambda c: (s := open_post(c, "/attack-priority"), c.send_frame(f.PRIORITY_TYPE, 0, s, b"\0" * 4))[0], (f.FRAME_SIZE_ERROR,)),
    "6.9 WINDOW_UPDATE of 0": (lambda c: (s := open_post(c, "/attack-window"), c.window_update(s, 0))[0], (f.PROTOCOL_ERROR,)),
    "6.9.1 a window above 2^31-1": (lambda c: (s := open_post(c, "/attack-window"), c.window_update(s, 2 ** 31 - 1))[0], (f.FLOW_CONTROL_ERROR,)),
}


def body_of(c: H2Client, length: str, pieces, trailers=None, path: str = "/short") -> int:
    """A body and its announced length. What comes behind a body that is whole already may come too late: /whole."""
    stream = c.start("POST", path, [("content-length", length)], end=False)
    for index, piece in enumerate(pieces):
        c.data(stream, piece, end_stream=trailers is None and index == len(pieces) - 1)
    if trailers is not None:
        c.headers(stream, trailers, end_stream=True)
    return stream


def after_end(c: H2Client, then) -> int:
    """A request that the backend holds, so that its stream is half closed."""
    stream = c.start("GET", "/held")
    then(stream)
    return stream


@pytest.fixture
def held(world):
    """A daemon whose backend answers heads whose path begins with /held or /attack never, and all others at once."""
    gate = threading.Event()

    def handler(request, connection):
        if request.target.startswith("/held"):
            gate.wait(30)
        return reply(200, request.body)
    server = world.backend(handler)
    sluice = h2_gateway(world, server, http2={"max_resets": 10000})
    yield sluice, server
    gate.set()


@pytest.mark.parametrize("case", STREAM_ERRORS)
def test_an_error_of_a_stream_is_told_with_rst_stream_and_leaves_the_others(held, case):
    """RFC 9113 §5.4.2; hardening 89, 95."""
    attack, codes = STREAM_ERRORS[case]
    sluice, server = held
    with sluice.h2() as client:
        client.wait_settings()
        stream = attack(client)
        ignorable = case.startswith("5.3.1") or case.startswith("6.3")
        if ignorable:
            # RFC 9113 §5.3.2 has done away with priorities: ignoring them is as right.
            client.ping()
            client.pump(lambda: client.pongs or client.goaways, 5, "an answer to PING, or GOAWAY")
            if not client.goaways and client.streams[stream].reset is None:
                return
        loses_stream(client, stream, *codes, status=(400, 200) if "in two frames" in case or "0 is announced" in case else (400,))
    with sluice.h2() as other:
        assert other.request("GET", "/after").status == 200
    assert not [request for request in server.requests if request.target.startswith(("/attack", "/short"))], server.requests


def test_a_stream_of_a_lower_number_is_not_served(client):
    """§5.1.1: it is closed, so that its HEADERS are an error or are ignored."""
    assert client.finish(numbered(client, 99)).status == 200
    client.headers(97, client.fields("GET", "/attack"), True)
    client.ping()
    client.pump(lambda: client.pongs or client.goaways, 5, "an answer to PING, or GOAWAY")
    assert all(frame.error_code in (f.PROTOCOL_ERROR, f.STREAM_CLOSED) for frame in client.goaways)


@pytest.mark.parametrize("kind", ["DATA", "HEADERS", "WINDOW_UPDATE", "RST_STREAM", "PRIORITY"])
def test_a_frame_on_a_closed_stream_hurts_nobody_else(client, kind):
    """§5.1: WINDOW_UPDATE, RST_STREAM and PRIORITY may come late; DATA and HEADERS are errors or are ignored."""
    stream = done(client)
    {"DATA": lambda: client.data(stream, b"x"), "HEADERS": lambda: client.headers(stream, client.fields("GET", "/attack"), True),
     "WINDOW_UPDATE": lambda: client.window_update(stream, 100), "RST_STREAM": lambda: client.rst(stream),
     "PRIORITY": lambda: client.priority(stream, 0)}[kind]()
    client.ping()
    client.pump(lambda: client.pongs or client.goaways, 5, "an answer")
    if kind in ("WINDOW_UPDATE", "RST_STREAM", "PRIORITY"):
        assert not client.goaways
        assert client.request("GET", "/beside").status == 200
    elif client.goaways:
        assert client.goaways[-1].error_code in (f.STREAM_CLOSED, f.PROTOCOL_ERROR)


# What is allowed


ALLOWED = {
    "5.5 an unknown frame": lambda c: c.send_frame(0xF0, 0xFF, 0, b"whatever"),
    "5.5 an unknown frame on a stream that is idle": lambda c: c.send_frame(0xF1, 0, 77, b"x" * 100),
    "6.5.2 an unknown setting": lambda c: c.settings({0xFFF0: 5}),
    "6.5 the same setting twice": lambda c: c.settings([(f.HEADER_TABLE_SIZE, 100), (f.HEADER_TABLE_SIZE, 4096)]),
    "6.5.2 the smallest table": lambda c: c.settings({f.HEADER_TABLE_SIZE: 0}),
    "6.5.2 the largest table": lambda c: c.settings({f.HEADER_TABLE_SIZE: 2 ** 32 - 1}),
    "6.5.2 the largest frame": lambda c: c.settings({f.MAX_FRAME_SIZE: 2 ** 24 - 1}),
    "6.7 an acknowledgement nobody asked for": lambda c: c.ping(ack=True),
    "6.3 PRIORITY on an idle stream": lambda c: c.priority(77, 0),
    "4.1 unknown flags": lambda c: c.send_frame(f.PING_TYPE, 0xFE, 0, b"12345678"),
    "4.1 the reserved bit": lambda c: c.send_bytes(raw_frame(f.PING_TYPE, 0, 0x80000000, b"12345678")),
    "RFC 9218 PRIORITY_UPDATE": lambda c: c.send_frame(0x10, 0, 0, b"\0\0\0\x05u=1"),
    "RFC 7838 ALTSVC": lambda c: c.send_frame(0x0A, 0, 0, b"\0\0"),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_does_no_harm(client, case):
    ALLOWED[case](client)
    client.alive()
    assert client.request("POST", "/fine", body=b"body").body == b"body" and not client.goaways


def test_a_ping_comes_back_with_its_bytes(client):
    """§6.7."""
    client.ping(b"\x00\xffabcdef")
    client.pump(lambda: client.pongs, 5, "the answer")
    assert client.pongs == [b"\x00\xffabcdef"]


@pytest.mark.parametrize("size", [1, 7, 16384])
def test_a_body_may_come_in_frames_of_any_size_padded_or_not(client, size):
    """§6.1: padding counts for flow control and is no data."""
    body = bytes(range(256)) * 8
    stream = client.start("POST", "/padded", end=False)
    for at in range(0, len(body), size):
        piece = body[at:at + size]
        client.send_frame(f.DATA_TYPE, f.PADDED, stream, bytes([9]) + piece + b"\0" * 9)
    client.data(stream, b"", end_stream=True)
    assert client.finish(stream).body == body


def test_windows_are_given_back_for_padding_too(client):
    """§6.9.1: more padding than a window holds goes through."""
    stream = client.start("POST", "/padding", end=False)
    client.wait_settings()
    for _ in range(40):
        client.pump(lambda: min(client.connection_window, client.streams[stream].send_window) >= 16384, 5, "a window")
        client.send_frame(f.DATA_TYPE, f.PADDED, stream, bytes([255]) + b"x" * 16000 + b"\0" * 255)
        client.connection_window -= 16256
        client.streams[stream].send_window -= 16256
    client.data(stream, b"", end_stream=True)
    assert client.finish(stream).body == b"x" * 640000


@pytest.mark.parametrize("pieces", [2, 3, 8])
def test_a_head_in_several_frames_is_one_head(client, pieces):
    """§6.10."""
    block = client.block(client.fields("GET", "/pieces", [("x-long", "v" * 200)]))
    stream = client.open_stream()
    step = len(block) // pieces + 1
    client.header_block(stream, block, end_stream=True, frame_size=step)
    response = client.finish(stream)
    assert response.status == 200 and response.header("x-target") == "/pieces"


def test_a_padded_head_with_a_priority_is_a_head(client):
    block = client.block(client.fields("GET", "/padded-head"))
    stream = client.open_stream()
    client.send_frame(f.HEADERS_TYPE, f.PADDED | f.PRIORITY | f.END_HEADERS | f.END_STREAM, stream,
                      bytes([4]) + struct.pack(">IB", 0, 10) + block + b"\0" * 4)
    assert client.finish(stream).header("x-target") == "/padded-head"


def test_a_table_of_size_0_is_used_from_the_next_head_on(client):
    """RFC 7541 §4.2: our encoder must say that it has changed its table."""
    client.settings({f.HEADER_TABLE_SIZE: 0})
    client.alive()
    client.decoder.max_allowed_table_size = 0
    for number in range(3):
        assert client.request("GET", f"/table/{number}").status == 200


def test_a_te_of_trailers_and_trailers_reach_the_backend(road, client):
    """§8.2.2, §8.1."""
    response = client.request("POST", "/with-trailers", [("te", "trailers")], body=b"abc", trailers=[("x-checksum", "77")])
    assert response.body == b"abc"
    request = next(one for one in road[1].requests if one.target == "/with-trailers")
    assert [(name.lower(), value) for name, value in request.trailers] == [(b"x-checksum", b"77")]


def test_cookies_in_pieces_are_one_field_upstream(road, client):
    """§8.2.3; hardening 91."""
    client.request("GET", "/cookies", [("cookie", f"c{number}={number}") for number in range(50)])
    request = next(one for one in road[1].requests if one.target == "/cookies")
    assert request.header("cookie") == "; ".join(f"c{number}={number}" for number in range(50))


def test_host_stands_in_for_a_missing_authority(road, client):
    """§8.3.1."""
    stream = client.start_raw([(":method", "GET"), (":scheme", "http"), (":path", "/by-host"), ("host", "app.test")])
    assert client.finish(stream).status == 200
    assert next(one for one in road[1].requests if one.target == "/by-host").header("host") == "app.test"


def test_host_and_authority_that_agree_are_one(road, client):
    assert client.request("GET", "/agree", [("host", "app.test")]).status == 200
    assert next(one for one in road[1].requests if one.target == "/agree").all("host") == ["app.test"]


def test_options_for_the_server_as_a_whole_is_a_star(road, client):
    """§8.3.1."""
    stream = client.start_raw([(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "app.test")])
    assert client.finish(stream).status in (200, 204, 404, 405)


def test_the_hundred_and_first_stream_is_refused_and_may_be_tried_again(held):
    """§5.1.2; hardening 84."""
    sluice, server = held
    count = len(server.heads)
    with sluice.h2() as client:
        client.wait_settings()
        streams = [client.start("GET", f"/held/{number}") for number in range(101)]
        assert client.wait_reset(streams[100]) == f.REFUSED_STREAM
        assert not client.goaways
        server.wait_heads(count + 100)
        client.alive()
        assert not any(client.streams[stream].over for stream in streams[:100])


def test_more_streams_than_allowed_before_our_settings_have_come_are_refused_too(held):
    """Hardening 84: the limit holds before it is acknowledged."""
    sluice, _ = held
    with H2Client(sluice.address("clear"), behave=()) as client:
        data = b"".join(raw_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, client.open_stream(),
                                  client.block(client.fields("GET", "/held"))) for _ in range(150))
        client.send_bytes(data)
        client.pump(lambda: sum(state.reset == f.REFUSED_STREAM for state in client.streams.values()) >= 50, 5, "50 refusals")


def test_many_requests_on_one_connection_and_all_at_once(client):
    for _ in range(3):
        streams = [client.start("POST", f"/many/{number}", end=False) for number in range(100)]
        for stream in reversed(streams):
            client.send_body(stream, b"%d" % stream)
        for stream in streams:
            response = client.finish(stream)
            assert response.body == b"%d" % stream


def test_a_connection_ends_with_goaway_after_its_number_of_requests(module_world):
    """Hardening 99."""
    server = module_world.backend()
    sluice = h2_gateway(module_world, server, limits={"requests_per_connection": 50})
    with sluice.h2() as client:
        for _ in range(50):
            assert client.request().status == 200
        goaway = client.wait_goaway(5)
        assert goaway.error_code == f.NO_ERROR
        assert client.wait_closed(10) == "eof"


def test_an_idle_connection_ends_with_goaway_and_pings_do_not_keep_it(module_world):
    """Hardening 99."""
    server = module_world.backend()
    sluice = h2_gateway(module_world, server, limits={"keepalive_timeout": "2s"})
    with sluice.h2() as client:
        assert client.request().status == 200
        until(lambda: ended_by_pinging(client), 15, "the end of an idle connection")
        assert client.goaways and client.goaways[0].error_code == f.NO_ERROR


def ended_by_pinging(client) -> bool:
    try:
        client.alive(1)
        return False
    except TimeoutError:
        return False    # a slow answer is no end
    except (AssertionError, OSError):
        return True


def test_a_head_that_is_never_finished_ends_with_the_header_timeout(module_world):
    """Hardening 83: HEADERS without END_HEADERS, and nothing behind it."""
    server = module_world.backend()
    sluice = h2_gateway(module_world, server, limits={"header_timeout": "1s"})
    with sluice.h2() as client:
        client.wait_settings()
        client.header_block(1, client.block([(":method", "GET")]), end_headers=False)
        client.wait_closed(8)
    with H2Client(sluice.address("clear"), preface=False) as client:
        client.send_bytes(f.PREFACE[:10])
        client.wait_closed(8)
    with H2Client(sluice.address("clear"), preface=False) as client:
        client.send_bytes(f.PREFACE)
        client.wait_closed(8)


@pytest.mark.parametrize("excess, answer", [
    ([("x-long", "v" * 20000)], 431), ([(f"x-{number}", "v") for number in range(120)], 431), ([(f"x-{number}", "v" * 1000) for number in range(90)], 431),
], ids=["one field", "too many fields", "all together"])
def test_a_head_beyond_the_limits_is_answered_with_431_or_costs_its_stream(client, excess, answer):
    """Hardening 79; §10.5.1."""
    try:
        response = client.request("GET", "/attack", excess)
        assert response.status == answer, response
    except StreamReset as reset:
        assert reset.code in (f.PROTOCOL_ERROR, f.ENHANCE_YOUR_CALM, f.REFUSED_STREAM, f.INTERNAL_ERROR)
    assert client.request("GET", "/beside").status == 200


def test_a_target_that_is_too_long_is_answered_with_414(client):
    assert client.request("GET", "/attack" + "a" * 9000).status == 414
    assert client.request("GET", "/beside").status == 200


def test_trace_and_connect_are_answered_with_405(client):
    """Hardening 102."""
    assert client.request("TRACE", "/attack").status == 405
    stream = client.start_raw([(":method", "CONNECT"), (":authority", "app.test:443")], end=False)
    client.data(stream, b"GET /attack HTTP/1.1\r\nHost: app.test\r\n\r\n")
    try:
        assert client.finish(stream).status in (405, 404)
    except StreamReset as reset:
        assert reset.code in (f.PROTOCOL_ERROR, f.REFUSED_STREAM, f.CONNECT_ERROR)
    assert client.request("GET", "/beside").status == 200


def test_the_gateways_own_errors_have_their_usual_form(module_world):
    server = module_world.backend()
    sluice = h2_gateway(module_world, server, route={"match": {"path": "/only/*"}})
    with sluice.h2() as client:
        response = client.request("GET", "/elsewhere")
        assert response.status == 404 and response.json()["error"]["code"] == "NOT_FOUND"
        assert response.json()["request_id"] == response.header("x-request-id")
        entry = sluice.entry(response)
        assert entry["http_version"] in ("2", "2.0") and entry["path"] == "/elsewhere"
        assert client.request("HEAD", "/elsewhere").body == b""


def test_http_1_1_and_http_2_are_told_apart_on_one_port(road):
    assert road[0].request("GET", "/one", listener="clear").status == 200
    with road[0].h2() as client:
        assert client.request("GET", "/two").status == 200


@pytest.mark.parametrize("fields", [
    [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")],
    [("Connection", "Upgrade"), ("Upgrade", "websocket, h2c"), ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")],
    [("Connection", "upgrade"), ("Upgrade", "H2C")],
], ids=["usual", "in a list", "upper case"])
def test_an_upgrade_to_h2c_is_neither_taken_nor_forwarded(road, fields):
    """Hardening 94; RFC 9113 §3.1."""
    response = road[0].request("GET", "/upgrade-h2c", fields, listener="clear")
    assert response.status == 200 and response.interim == []
    request = [one for one in road[1].requests if one.target == "/upgrade-h2c"][-1]
    assert not request.all("upgrade") and not request.all("http2-settings") and "upgrade" not in (request.header("connection") or "").lower()


def test_prior_knowledge_is_not_taken_where_the_listener_has_only_http_1_1(simple):
    """Hardening 94."""
    sluice, server = simple()
    with sluice.connect() as client:
        client.send(f.PREFACE + raw_frame(f.SETTINGS_TYPE))
        assert client.read_to_end(5)[:9] in (b"", b"HTTP/1.1 ")
    assert server.heads == []


# What the operator sees


def test_requests_that_are_reset_for_a_fault_are_counted_by_reason_and_named_in_the_log(world):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply(200)
    sluice = h2_gateway(world, world.backend(handler), http2={"max_concurrent_streams": 1})
    with sluice.h2() as client:
        client.wait_settings()
        held, over = client.start(), client.start()
        client.pump(lambda: client.streams[over].over, 5, "one too many")
        assert client.streams[over].reset == f.REFUSED_STREAM
        gate.set()
        assert client.finish(held).status == 200
        broken = client.start_raw([*GOOD, ("Upper-Case", "x")])
        client.pump(lambda: client.streams[broken].over, 5, "a malformed request")
        assert client.streams[broken].reset == f.PROTOCOL_ERROR
        assert client.request("GET", "/beside").status == 200
        for reason in ("stream_refused", "stream_malformed"):
            assert names.streams_reset(sluice, reason, "clear") == 1
            assert sluice.stderr.wait(lambda line: f'"rule":"{reason}"' in line, 5)
        assert names.streams_reset(sluice) == 2 and names.h2_closed(sluice) == 0
