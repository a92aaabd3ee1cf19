"""The harness against itself, without the daemon: what it calls malformed must be malformed, and nothing else."""

import pytest

from conftest import tls_backend_context
from sluice_harness import Connection, H2Client, Malformed, StreamReset, Truncated, client_context, refusal, reply, yaml_dump
from sluice_harness import frames as f
from sluice_harness.grpc_backend import Calls, GrpcBackend
from sluice_harness.h2_backend import expect_request
from sluice_harness.metrics import Metrics
from sluice_harness.websocket import CLOSE, TEXT, WebSocket1, echo_script


def test_the_client_reads_length_and_chunked_bodies_and_trailers(backend):
    server = backend(lambda request, connection: reply(200, request.body, chunked=request.target == "/chunked"))
    with Connection(server.address) as client:
        assert client.request("POST", "/plain", body=b"abc").body == b"abc"
        response = client.request("POST", "/chunked", body=b"abcd")
        assert (response.framing, response.body) == ("chunked", b"abcd")
    assert [request.target for request in server.requests] == ["/plain", "/chunked"]


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\na", b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
])
def test_the_client_refuses_what_is_not_http(backend, answer):
    server = backend(script=lambda connection: (connection.read_request(), connection.send(answer)))
    with Connection(server.address) as client, pytest.raises(Malformed):
        client.request()


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    b"HTTP/1.1 200 OK\r\nContent-",
])
def test_the_client_sees_a_truncated_response(backend, answer):
    server = backend(script=lambda connection: (connection.read_request(), connection.send(answer)))
    with Connection(server.address) as client, pytest.raises(Truncated):
        client.request()


@pytest.mark.parametrize("sent", [
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
])
def test_the_backend_notes_a_request_that_is_not_exact(backend, sent):
    server = backend()
    with Connection(server.address) as client:
        client.send(sent)
        client.read_to_end()
    assert server.requests == [] and len(server.violations) == 1
    server.violations.clear()


def test_a_reset_by_the_backend_is_seen_as_a_reset(backend):
    server = backend(script=lambda connection: (connection.read_request(), connection.reset()))
    with Connection(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_to_end()
        assert client.was_reset


def test_the_yaml_writer_nests_and_quotes():
    text = yaml_dump({"a": {"b": [{"c": "x: y", "d": [1, "two"]}, "5s"]}, "e": True, "f": {}, "g": []})
    assert text == 'a:\n  b:\n    - c: "x: y"\n      d:\n        - 1\n        - two\n    - 5s\ne: true\nf: {}\ng: []\n'


def test_the_metrics_reader_takes_escaped_labels_and_refuses_bad_lines():
    metrics = Metrics('# TYPE a counter\na{x="1\\"2",y="z"} 3\na{x="q"} 4\n')
    assert metrics.sum("a") == 7 and metrics.sum("a", y="z") == 3
    with pytest.raises(AssertionError):
        Metrics("a{x=1} 2\n")


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_client_and_the_backend_of_http_2_understand_each_other(h2_backend, pki, encrypted):
    def handler(stream):
        body = stream.read_body()
        stream.interim(103, [("link", "</a>")])
        stream.reply(200, body, trailers=[("x-end", "1")])
    server = h2_backend(handler, tls=tls_backend_context(pki, ["h2"]) if encrypted else None, window=65535, connection_window=100_000)
    context = client_context(pki.root.ca_file, ("h2",)) if encrypted else None
    with H2Client(("127.0.0.1", server.port), tls=context, server_name="localhost", window=65535) as client:
        response = client.request("POST", "/", body=b"b" * 1_000_000, trailers=[("x-checksum", "7")])
        assert len(response.body) == 1_000_000 and response.trailers == [(b"x-end", b"1")] and response.interim[0].status == 103
        client.alive()
    assert server.streams[0].trailers == [(b"x-checksum", b"7")]


@pytest.mark.parametrize("answer", [
    lambda frames, stream: frames.headers(stream, [(":status", "200"), ("X-Upper", "a")], True),
    lambda frames, stream: frames.headers(stream, [(":status", "200"), ("connection", "close")], True),
    lambda frames, stream: frames.headers(stream, [("x", "a"), (":status", "200")], True),
    lambda frames, stream: frames.headers(stream, [(":status", "101")]),
    lambda frames, stream: (frames.headers(stream, [(":status", "200"), ("content-length", "5")]), frames.data(stream, b"four", True)),
    lambda frames, stream: frames.data(stream, b"early"),
    lambda frames, stream: frames.headers(stream + 2, [(":status", "200")], True),
])
def test_the_client_of_http_2_refuses_what_is_not_exact(h2_backend, answer):
    def script(frames):
        stream, _ = expect_request(frames)
        answer(frames, stream)
        frames.read_to_end()
    with H2Client(("127.0.0.1", h2_backend(script=script).port)) as client, pytest.raises(Malformed):
        client.request()


def test_a_reset_of_a_stream_and_the_end_of_a_connection_are_told_apart(h2_backend):
    server = h2_backend(lambda stream: stream.reset_with(f.CANCEL) if stream.target == "/reset" else stream.connection.reset())
    with H2Client(("127.0.0.1", server.port)) as client:
        with pytest.raises(StreamReset) as reset:
            client.request("GET", "/reset")
        assert reset.value.code == f.CANCEL
        with pytest.raises(f.Ended):
            client.request("GET", "/end")


def test_the_backend_of_http_2_notes_what_is_against_the_protocol(h2_backend):
    server = h2_backend()
    with H2Client(("127.0.0.1", server.port)) as client:
        client.start_raw([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("connection", "close")])
        client.wait_closed()
    assert len(server.violations) == 1
    server.violations.clear()


def test_a_goodbye_of_tls_and_an_end_without_it_are_told_apart(backend, pki):
    def handler(request, connection):
        connection.send(reply(200))
        (connection.truncate if request.target == "/cut" else connection.close)()
    server = backend(handler, tls=tls_backend_context(pki))
    for target, cut in (("/cut", True), ("/whole", False)):
        with Connection(server.address, tls=client_context(pki.root.ca_file), server_name="localhost") as client:
            assert client.request("GET", target).status == 200
            client.expect_closed()
            assert client.socket.truncated is cut and client.socket.peer_said_goodbye is not cut
    assert "certificate_verify_failed" in refusal(server.address, client_context(pki.stranger.ca_file), "localhost")


def test_the_peers_of_websocket_and_grpc_understand_each_other(backend, world):
    with WebSocket1(Connection(backend(script=echo_script).address)) as web:
        web.send(TEXT, b"t" * 70_000)
        assert web.read_message() == b"t" * 70_000
        web.send(CLOSE, b"\x03\xe8")
        assert web.read_close() == 1000
    server = GrpcBackend()
    world.backends.append(server)
    with Calls(f"127.0.0.1:{server.port}") as client:
        assert client.unary(b"hello", timeout=5) == b"hello" and list(client.server_stream(b"2", timeout=5)) == [b"0", b"1"]
