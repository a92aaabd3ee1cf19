"""The harness against itself, without the daemon: what it calls malformed must be malformed, and nothing else."""

import pytest

from sluice_harness import Connection, Malformed, Truncated, reply, yaml_dump
from sluice_harness.metrics import Metrics


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
