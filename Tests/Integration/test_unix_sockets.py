"""Listeners and instances on Unix sockets."""

import os
import socket
import stat
import subprocess
import tempfile

import pytest

from conftest import one_service
from sluice_harness import Connection, reply, sluice_binary, until


@pytest.fixture
def short():
    """A directory whose path leaves room in sun_path."""
    with tempfile.TemporaryDirectory(prefix="sl") as path:
        yield path


def test_an_instance_on_a_unix_socket_is_reached(short, gateway, backend):
    server = backend(lambda request, connection: reply(200, request.target.encode()), unix=f"{short}/app.sock")
    sluice = gateway(one_service(server))
    with sluice.connect() as client:
        for number in range(10):
            response = client.request("GET", f"/{number}")
            assert response.body == f"/{number}".encode()
    assert len(server.connections) <= 2
    assert sluice.entry(response)["instance"] == server.url


def test_an_instance_whose_socket_is_missing_is_502(short, gateway):
    sluice = gateway(services={"app": {"instances": [{"url": f"unix:{short}/none.sock"}]}},
                     routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    response = sluice.request()
    assert response.status == 502 and sluice.entry(response)["reason"] in ("connect_refused", "connect_failed")


def test_a_listener_on_a_unix_socket_serves_and_its_file_goes_with_it(short, gateway, backend):
    server = backend(lambda request, connection: reply(200, request.body))
    path = f"{short}/web.sock"
    sluice = gateway(listeners=[{"name": "local", "address": f"unix:{path}"}, {"name": "web", "address": "@web@"}],
                     services={"app": {"instances": [{"url": server.url}]}},
                     routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    with Connection(path) as client:
        for _ in range(5):
            response = client.request("POST", "/", body=b"x" * 100_000)
            assert response.body == b"x" * 100_000
    entry = sluice.entry(response)
    assert entry["listener"] == "local"
    sluice.stop()
    assert not os.path.exists(path)


def test_a_socket_file_left_behind_by_a_crash_is_taken_over(short, gateway):
    path = f"{short}/web.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    gateway(listeners=[{"name": "local", "address": f"unix:{path}"}, {"name": "web", "address": "@web@"}],
            routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": "ok"}}])
    with Connection(path) as client:
        assert client.request().body == b"ok"


def test_a_listener_on_a_unix_socket_survives_a_reload(short, gateway):
    path = f"{short}/web.sock"
    config = lambda text: {  # noqa: E731
        "listeners": [{"name": "local", "address": f"unix:{path}"}, {"name": "web", "address": "@web@"}],
        "routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": text}}]}
    sluice = gateway(config("one"))
    with Connection(path) as client:
        assert client.request().body == b"one"
        sluice.reload(config("two"))
        assert client.request().body == b"two"
    with Connection(path) as client:
        assert client.request().body == b"two"


def test_the_admin_listener_can_be_on_a_unix_socket(short, gateway):
    path = f"{short}/admin.sock"
    gateway(admin={"address": f"unix:{path}"}, routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200}}])
    until(lambda: os.path.exists(path), 5)
    with Connection(path) as client:
        assert client.request("GET", "/health").status == 200


def test_a_client_on_a_unix_socket_is_limited_in_its_requests_like_any(short, gateway):
    """Hardening, section A, holds for every listener."""
    path = f"{short}/web.sock"
    gateway(listeners=[{"name": "local", "address": f"unix:{path}"}, {"name": "web", "address": "@web@"}],
            routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200}}])
    with Connection(path) as client:
        client.send(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
        assert client.read_response().status == 400
        client.expect_closed()


def test_a_listener_address_that_names_a_file_does_not_cost_the_file(short):
    """A typing mistake must not delete anything."""
    precious = f"{short}/precious.txt"
    with open(precious, "w") as file:
        file.write("data")
    with open(f"{short}/s.yaml", "w") as file:
        file.write(f'listeners:\n  - {{name: web, address: "unix:{precious}"}}\nadmin: {{enabled: false}}\n'
                   "routes:\n  - {name: a, match: {path: /*}, respond: {status: 200}}\n")
    result = subprocess.run([sluice_binary(), "run", "--config", f"{short}/s.yaml"], capture_output=True, text=True, timeout=10,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == 1 and "precious.txt" in result.stderr
    assert open(precious).read() == "data"
