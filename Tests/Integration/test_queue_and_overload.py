"""Requests that wait, requests that are turned away, and who is served nevertheless (behaviour C.7; hardening 125, 205, 208)."""

import resource
import threading
import time

from sluice_harness import reply, until
from sluice_harness.states import refused, wait_instance
from test_balancing import QUICK_CHECK, before
from test_pool import Gate, send

OFF = {"enabled": False}


def queue_length(sluice) -> float:
    return sluice.metrics().sum("sluice_upstream_queue_length", service="app")


# All instances failed


def test_while_all_instances_are_failed_each_request_is_refused_at_once_and_none_waits(process_backend, gateway):
    """Hardening 205; rule 6: 503 in under 5 ms."""
    servers = [process_backend(name) for name in "abc"]
    sluice = gateway(before(servers, health_check=QUICK_CHECK, queue={"timeout": "20s"}))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    for server in servers:
        server.kill()
    for server in servers:
        wait_instance(sluice, server, "failed")
    with sluice.connect() as client:
        for _ in range(200):
            refused(client.request(), "SERVICE_UNAVAILABLE", "no_healthy_instance")
    # By the gateway's own clock: ours has our own waits in it.
    took = sorted(entry["duration_ms"] for entry in sluice.wait_access(200))
    assert took[179] < 5, f"{took[179]} ms"
    clients = [send(sluice) for _ in range(100)]
    for client in clients:
        refused(client.read_response(), "SERVICE_UNAVAILABLE", "no_healthy_instance")
        client.close()
    assert queue_length(sluice) == 0


def test_those_that_wait_are_refused_when_the_last_instance_fails(process_backend, gateway):
    """Rule 6: the queue does not grow; they need not wait until their time is up."""
    server = process_backend(delay=20_000)
    sluice = gateway(before([server], pool={"max_connections": 1}, queue={"timeout": "20s"}, retry=OFF, health_check=QUICK_CHECK))
    wait_instance(sluice, server, "healthy")
    clients = [send(sluice)]
    until(lambda: server.requests == 1, 5, "one runs")
    clients += [send(sluice) for _ in range(5)]
    until(lambda: queue_length(sluice) == 5, 5, "five wait")
    server.kill()
    started = time.monotonic()
    assert {client.read_response().status for client in clients} <= {502, 503}
    assert time.monotonic() - started < 3
    until(lambda: queue_length(sluice) == 0, 5, "none waits")
    for client in clients:
        client.close()


def test_when_one_comes_back_traffic_returns_without_a_stampede(process_backend, gateway):
    """Rule 6: never more at once than its connections."""
    server = process_backend(delay=20)
    sluice = gateway({"limits": {"connections_per_client": 4096},
                      **before([server], health_check=QUICK_CHECK, pool={"max_connections": 4}, circuit_breaker=OFF)})
    wait_instance(sluice, server, "healthy")
    server.kill()
    wait_instance(sluice, server, "failed")
    served, stopping = [], threading.Event()

    def ask():
        with sluice.connect() as client:
            while not stopping.is_set():
                if client.request().status == 200:
                    served.append(1)
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(30)]
    for thread in threads:
        thread.start()
    server.start()
    server.order(delay=20)
    until(lambda: len(served) > 100, 10, "traffic is back")
    stopping.set()
    for thread in threads:
        thread.join(10)
    assert server.counts()["most"] <= 4


# The queue


def test_all_that_wait_are_served_in_the_end_over_two_workers(process_backend, gateway):
    """Hardening 208: in-flight counts return to zero."""
    servers = [process_backend(name, delay=10) for name in "ab"]
    sluice = gateway({"server": {"workers": 2}, "limits": {"connections_per_client": 4096},
                      **before(servers, pool={"max_connections": 2}, queue={"max_pending": 200, "timeout": "10s"})})
    clients = [send(sluice) for _ in range(150)]
    assert [client.read_response().status for client in clients] == [200] * 150
    for client in clients:
        client.close()
    assert max(server.counts()["most"] for server in servers) <= 2
    until(lambda: queue_length(sluice) == 0, 5)
    instances = sluice.admin("GET", "/internal/services").json()["data"][0]["instances"]
    assert [one["in_flight"] for one in instances] == [0, 0]


def test_while_an_instance_is_idle_no_request_waits_for_another(gateway, backend):
    """Rule 3."""
    gate = Gate()
    busy, idle = backend(gate), backend()
    sluice = gateway(before([busy, idle], pool={"max_connections": 1}, queue={"timeout": "10s"}))
    held = []
    while not busy.heads:
        held.append(send(sluice))
        until(lambda: len(busy.heads) + len(idle.heads) == len(held), 5)
    with sluice.connect() as client:
        assert [client.request().status for _ in range(20)] == [200] * 20
    assert len(busy.heads) == 1
    gate.open(1)
    for client in held:
        assert client.read_response().status == 200
        client.close()


def test_a_request_that_waits_behind_an_early_answer_gives_its_place_back_and_its_client_is_not_blamed(gateway, backend):
    """Hardening 208. The first service answers before the body is there; the request then waits at the second."""
    gate = Gate()

    def early(connection):
        if connection.read_head() is not None:
            connection.send(reply(503))
            connection.hang()
    server, spare = backend(script=early), backend(gate)
    config = before([server], fallback={"service": "spare"}, circuit_breaker=OFF, outlier_detection=OFF, retry=OFF)
    config["services"]["spare"] = {"instances": [{"url": spare.url}], "pool": {"max_connections": 1},
                                   "queue": {"max_pending": 1, "timeout": "3s"}}
    config["routes"].append({"name": "spare", "match": {"path": "/spare"}, "service": "spare"})
    sluice = gateway({"server": {"workers": 1}, "limits": {"body_idle_timeout": "200ms"}, **config})

    def waiting() -> float:
        return sluice.metrics().sum("sluice_upstream_queue_length", service="spare")

    def stalls():
        client = sluice.connect()
        client.send(b"PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nabc")
        return client
    holder = send(sluice, "/spare")
    spare.wait_heads(1)
    for _ in range(2):
        with stalls() as client:
            refused(client.read_response("PUT"), "SERVICE_UNAVAILABLE", "queue_timeout")
        assert waiting() == 0, "its place is free again"
    # One that leaves meanwhile.
    client = stalls()
    until(lambda: waiting() == 1, 5, "it waits")
    client.reset()
    until(lambda: waiting() == 0, 5, "its place is free again")
    # Once there is a connection for it, it is for the client to go on.
    with stalls() as client:
        until(lambda: waiting() == 1, 5, "it waits")
        gate.open(1)
        response = client.read_response("PUT")
        assert response.status == 408 and response.json()["error"]["details"]["reason"] == "client_timeout"
    assert holder.read_response().status == 200
    until(lambda: waiting() == 0, 5)
    # Neither the connection nor the place in the queue has been lost.
    first, second = send(sluice, "/spare"), None
    spare.wait_requests(2)
    second = send(sluice, "/spare")
    until(lambda: waiting() == 1, 5, "it waits")
    gate.open(2)
    assert [client.read_response().status for client in (first, second)] == [200, 200]
    for client in (holder, first, second):
        client.close()


# The adaptive limit


def test_the_adaptive_limit_turns_away_what_is_above_it(gateway, backend):
    """C.7: while it measures, the least."""
    gate = Gate()
    server = backend(gate)
    sluice = gateway({"limits": {"connections_per_client": 4096},
                      **before([server], adaptive_concurrency={"min": 3, "max": 10, "start": 5})})
    clients = [send(sluice) for _ in range(3)]
    server.wait_requests(3)
    for _ in range(10):
        started = time.monotonic()
        refused(sluice.request(), "SERVICE_UNAVAILABLE", "overload", sluice)
        assert time.monotonic() - started < 1
    assert len(server.heads) == 3
    gate.open(3)
    for client in clients:
        assert client.read_response().status == 200
        client.close()
    gate.open(100)
    with sluice.connect() as client:
        assert [client.request().status for _ in range(50)] == [200] * 50, "its places come back"


# Overload of the gateway itself


CLASSES = ("critical", "default", "bulk")


def test_clients_that_keep_idle_connections_shed_nothing(process_backend, gateway):
    """C.7: what runs short is descriptors; limits.connections turns new connections away, and no request."""
    config = before([process_backend()])
    config["routes"] = [{"name": name, "match": {"path": f"/{name}"}, "service": "app", "priority": name} for name in CLASSES]
    sluice = gateway({"limits": {"connections": 20, "requests_per_connection": 1_000_000}, **config})
    idle = [sluice.connect() for _ in range(20)]
    assert [client.request("GET", "/bulk").status for client in idle] == [200] * 20
    looked = time.monotonic() + 1.3     # once a second it is looked at what runs short
    while time.monotonic() < looked:
        for client in idle:
            assert {client.request("GET", f"/{name}").status for name in CLASSES} == {200}
    assert sluice.metrics().sum("sluice_requests_shed_total") == 0
    for client in idle:
        client.close()


def test_when_connections_run_short_bulk_is_shed_first_then_the_ordinary_and_never_what_is_critical(process_backend, gateway):
    """C.7: shedding by class; health and admin are always reachable."""
    server = process_backend()
    config = before([server])
    config["routes"] = [{"name": name, "match": {"path": f"/{name}"}, "service": "app", "priority": name} for name in CLASSES]
    config["routes"].append({"name": "own", "match": {"path": "/own"}, "respond": {"status": 200}})
    sluice = gateway({"limits": {"connections_per_client": 4096, "keepalive_timeout": "60s"}, **config})
    resource.prlimit(sluice.process.pid, resource.RLIMIT_NOFILE, (2000, 2000))
    client, idle = sluice.connect(), []

    def served() -> dict:
        statuses = {}
        for name in CLASSES:
            response = client.request("GET", f"/{name}")
            if response.status != 200:
                refused(response, "SERVICE_UNAVAILABLE", "overload")
            statuses[name] = response.status
        return statuses

    def hold(count):
        while len(idle) > count:
            idle.pop().close()
        while len(idle) < count:
            idle.append(sluice.connect())
    assert set(served().values()) == {200}
    hold(1850)
    until(lambda: served() == {"critical": 200, "default": 200, "bulk": 503}, 5, "bulk is shed")
    hold(1955)
    until(lambda: served() == {"critical": 200, "default": 503, "bulk": 503}, 5, "only what is critical is served")
    assert client.request("GET", "/own").status == 200, "what costs nothing is answered"
    assert sluice.admin("GET", "/health").status == 200 and sluice.admin("GET", "/status").status == 200
    metrics = sluice.metrics()
    assert metrics.sum("sluice_requests_shed_total", priority="bulk") > metrics.sum("sluice_requests_shed_total", priority="default") > 0
    assert metrics.sum("sluice_requests_shed_total", priority="critical") == 0
    hold(0)
    until(lambda: set(served().values()) == {200}, 5, "all is served again")
    client.close()
