"""The circuit breaker of a service, and of a route that has its own (behaviour C.2; hardening 204, 214)."""

import threading
from collections import Counter

import pytest

from sluice_harness import SteadyLoad, reply, request_bytes, until
from sluice_harness.states import breaker_state, changes, has_answer, instance_state, refused, wait_changes, wait_instance
from test_balancing import QUICK_CHECK, before

OFF = {"enabled": False}


def guarded(servers, **breaker) -> dict:
    """A service whose breaker is the only thing that holds requests back."""
    return before(servers, circuit_breaker={"open_timeout": "60s", **breaker}, outlier_detection=OFF, retry=OFF)


def is_open(response) -> bool:
    return response.status == 503 and b"CIRCUIT_OPEN" in response.body


class Gate:
    """Answers requests only when told to; how many are in it at once, and how many have come."""

    def __init__(self):
        self.opened = threading.Event()
        self.status = 200

    def __call__(self, request, connection):
        assert self.opened.wait(20)
        return reply(self.status, b"gate")


# What opens it


def test_failures_in_a_row_open_it_and_then_no_byte_reaches_the_backend(process_backend, gateway):
    """C.2: 503 CIRCUIT_OPEN; hardening 204: no upstream bytes."""
    server = process_backend(status=500)
    sluice = gateway(guarded([server], failure_threshold=4))
    with sluice.connect() as client:
        assert [client.request().status for _ in range(4)] == [500] * 4
        seen = server.counts()
        for _ in range(50):
            refused(client.request(), "CIRCUIT_OPEN", "circuit_open")
        refused(client.request(), "CIRCUIT_OPEN", "circuit_open", sluice)
    for _ in range(20):
        assert is_open(sluice.request("POST", "/", body=b"x" * 2000)), "on every worker"
    after = server.counts()
    assert [after[key] for key in ("requests", "bytes", "accepted")] == [seen[key] for key in ("requests", "bytes", "accepted")]
    assert server.requests == 4
    assert breaker_state(sluice) == "open"
    wait_changes(sluice, [("closed", "open", "consecutive_failures")], service="app")
    metrics = sluice.metrics()
    assert metrics.sum("sluice_circuit_breaker_transitions_total", service="app", **{"from": "closed", "to": "open"}) == 1
    assert metrics.sum("sluice_circuit_breaker_rejected_total", service="app") == 71
    assert sluice.admin("GET", "/health").status == 200


def test_retry_after_is_what_is_left_of_its_time(process_backend, gateway):
    """C.2: the remaining time, rounded up; B.3: or up to a fifth more, so that not all come back at once."""
    server = process_backend(status=503)
    sluice = gateway(guarded([server], failure_threshold=1, open_timeout="60s"))
    assert sluice.request().status == 503
    told = {int(sluice.request().header("retry-after")) for _ in range(60)}
    assert min(told) >= 53 and max(told) <= 72, told
    sluice = gateway(guarded([server], failure_threshold=1, open_timeout="4s"))
    assert sluice.request().status == 503 and int(sluice.request().header("retry-after")) == 4
    until(lambda: int(sluice.request().header("retry-after")) == 3, 5, "it gets less")


def test_a_success_between_failures_keeps_it_closed(gateway, backend):
    statuses = iter([500, 500, 200, 500, 500, 200, 500, 500, 200])
    server = backend(lambda request, connection: reply(next(statuses)))
    sluice = gateway(guarded([server], failure_threshold=3))
    with sluice.connect() as client:
        assert [client.request().status for _ in range(9)] == [500, 500, 200] * 3
    assert breaker_state(sluice) == "closed"


def test_the_share_of_failures_opens_it_once_there_are_enough_requests(gateway, backend):
    """C.2: ratios of tiny samples trip."""
    statuses = iter([500, 200] * 100)
    server = backend(lambda request, connection: reply(next(statuses)))
    sluice = gateway(guarded([server], failure_threshold=1000, error_rate_threshold=0.5, minimum_requests=20, window="60s"))
    with sluice.connect() as client:
        answers = [client.request() for _ in range(30)]
    closed = [response for response in answers if not is_open(response)]
    assert 20 <= len(closed) <= 22 and all(is_open(response) for response in answers[len(closed):])
    assert len(server.requests) == len(closed)
    wait_changes(sluice, [("closed", "open", "error_rate")], service="app")


def test_slow_answers_open_it_although_they_are_good(process_backend, gateway):
    server = process_backend(delay=120)
    sluice = gateway(guarded([server], slow_call_duration="50ms", slow_call_rate_threshold=0.5, minimum_requests=5))
    with sluice.connect() as client:
        answers = [client.request() for _ in range(8)]
    assert [response.status for response in answers] == [200] * 5 + [503] * 3 and is_open(answers[-1])
    wait_changes(sluice, [("closed", "open", "slow_calls")], service="app")


@pytest.mark.parametrize("fault", ["reset", "garbage", "hang", "refused"])
def test_whatever_is_no_answer_counts_as_a_failure(gateway, backend, process_backend, fault):
    """C.2: connect errors, timeouts, resets, what is not HTTP."""
    def handler(request, connection):
        if fault == "reset":
            connection.reset()
        elif fault == "hang":
            connection.hang()
        else:
            return b"garbage\r\n\r\n"
    if fault == "refused":
        server = process_backend()
        server.kill()
    else:
        server = backend(handler)
    config = guarded([server], failure_threshold=2)
    config["services"]["app"]["timeouts"] = {"response": "100ms"}
    sluice = gateway(config)
    expected = 504 if fault == "hang" else 502
    assert [sluice.request("POST", "/", body=b"x").status for _ in range(2)] == [expected] * 2
    assert is_open(sluice.request("POST", "/", body=b"x"))


@pytest.mark.parametrize("retry", [OFF, {"retry_on": ["timeout"]}, {"attempts": 0}], ids=["off", "other conditions", "no attempts"])
def test_connects_that_fail_count_where_no_free_retry_follows(process_backend, gateway, retry):
    """C.2: a connect that fails is left out only where the request goes elsewhere for it."""
    servers = [process_backend(name) for name in "ab"]
    for server in servers:
        server.kill()
    config = guarded(servers, failure_threshold=3)
    config["services"]["app"]["retry"] = retry
    sluice = gateway(config)
    with sluice.connect() as client:
        assert [client.request().status for _ in range(3)] == [502] * 3
        refused(client.request(), "CIRCUIT_OPEN", "circuit_open", sluice)
    assert breaker_state(sluice) == "open"
    wait_changes(sluice, [("closed", "open", "consecutive_failures")], service="app")


def test_connects_that_fail_at_once_count_too(backend, gateway, tmp_path):
    """A Unix socket on which nobody listens refuses within the call."""
    server = backend(unix=str(tmp_path / "app.sock"))
    config = before([server], circuit_breaker={"failure_threshold": 3, "open_timeout": "60s"}, outlier_detection=OFF)
    server.stop()
    sluice = gateway(config)
    with sluice.connect() as client:
        assert [client.request().status for _ in range(3)] == [502] * 3
        refused(client.request(), "CIRCUIT_OPEN", "circuit_open", sluice)
    assert breaker_state(sluice) == "open"


def test_a_stopped_instance_of_three_does_not_open_it(process_backend, gateway):
    """One instance that fails by itself is taken out by itself. Twenty requests hang on it, and end together."""
    servers = a, b, c = [process_backend(name) for name in "abc"]
    sluice = gateway({"limits": {"connections_per_client": 4096}, **before(servers, timeouts={"response": "1s"})})
    b.pause()
    clients = [sluice.connect() for _ in range(60)]
    for client in clients:
        client.send(request_bytes())
    statuses = Counter(client.read_response().status for client in clients)
    assert statuses == {200: 40, 504: 20}
    with sluice.connect() as client:
        assert [client.request().status for _ in range(50)] == [200] * 50
    assert instance_state(sluice, b) == "failed" and breaker_state(sluice) == "closed"
    assert a.requests + c.requests == 90
    for client in clients:
        client.close()


def test_one_instance_of_three_that_answers_500_from_the_start_does_not_open_it(process_backend, gateway):
    """Issue: it is ejected, and errors are at most 1 %."""
    servers = [process_backend(name, status=500 if name == "b" else 200) for name in "abc"]
    sluice = gateway(before(servers))
    with SteadyLoad(sluice.ports["web"], 500, 3, connections=30, new_percent=0) as load:
        result = load.run_out(15)
    assert result["ok"] + result["wrong_status"] == result["sent"] >= 1500, result
    assert 5 <= result["wrong_status"] <= result["sent"] // 100, result
    metrics = sluice.metrics()
    assert metrics.sum("sluice_outlier_ejections_total", service="app") == 1
    assert breaker_state(sluice) == "closed"
    assert metrics.sum("sluice_circuit_breaker_transitions_total", service="app") == 0


def test_faults_of_clients_and_clients_that_leave_never_count(gateway, backend):
    """Hardening 204: 4xx and client aborts do not count; B.2: 501 and 429 neither."""
    def handler(request, connection):
        if request.target == "/leave":
            connection.hang()
            return None
        return reply(int(request.target[1:]))
    server = backend(handler)
    sluice = gateway(guarded([server], failure_threshold=2, minimum_requests=4, error_rate_threshold=0.1))
    with sluice.connect() as client:
        for status in (400, 401, 404, 409, 422, 429, 499, 501) * 3:
            assert client.request("GET", f"/{status}").status == status
    for number in range(8):
        with sluice.connect() as client:
            client.send(request_bytes("POST", "/leave", body=b"x"))
            head = server.wait_for(lambda: [one for one in server.heads if one.target == "/leave"][number:], 5, "it has arrived")[0]
            client.reset()
        head.connection.wait_end(5)
    for _ in range(8):
        with sluice.connect() as client:
            client.send(b"POST /200 HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhalf")
            client.reset()
    assert sluice.request("POST", "/200", [("Expect", "nonsense")], b"x").status == 417
    assert sluice.request("GET", "/200").status == 200 and breaker_state(sluice) == "closed"


def test_where_it_is_off_every_request_goes(process_backend, gateway):
    server = process_backend(status=500)
    sluice = gateway(before([server], circuit_breaker=OFF, outlier_detection=OFF))
    with sluice.connect() as client:
        assert {client.request().status for _ in range(60)} == {500}
    assert server.requests == 60


def test_a_route_with_a_breaker_of_its_own_opens_alone(gateway, backend):
    """C.2: per service, and per route where asked."""
    server = backend(lambda request, connection: reply(500 if request.target.startswith("/fragile") else 200))
    config = guarded([server], failure_threshold=1000, minimum_requests=100_000)
    config["routes"].append({"name": "fragile", "match": {"path": "/fragile/*"}, "service": "app",
                             "circuit_breaker": {"failure_threshold": 2, "open_timeout": "60s"}})
    sluice = gateway(config)
    with sluice.connect() as client:
        assert [client.request("GET", "/fragile/1").status for _ in range(2)] == [500, 500]
        for _ in range(5):
            refused(client.request("GET", "/fragile/1"), "CIRCUIT_OPEN", "circuit_open", sluice)
            assert client.request("GET", "/other").status == 200
    assert breaker_state(sluice) == "closed" and breaker_state(sluice, route="fragile") == "open"
    assert len([request for request in server.requests if request.target == "/fragile/1"]) == 2


def test_a_route_for_websockets_has_no_breaker_unless_it_names_one(process_backend, gateway):
    """Issue: off by default for WebSocket routes."""
    server = process_backend(status=500)
    config = guarded([server], failure_threshold=3)
    config["routes"] += [
        {"name": "socket", "match": {"path": "/socket"}, "service": "app", "upgrade": ["websocket"]},
        {"name": "own", "match": {"path": "/own"}, "service": "app", "upgrade": ["websocket"],
         "circuit_breaker": {"failure_threshold": 2, "open_timeout": "60s"}}]
    sluice = gateway(config)
    with sluice.connect() as client:
        assert [client.request("GET", "/socket").status for _ in range(10)] == [500] * 10
        assert breaker_state(sluice) == "closed", "its failures are not the service's"
        assert [client.request("GET", "/other").status for _ in range(3)] == [500] * 3
        assert is_open(client.request("GET", "/other")) and breaker_state(sluice) == "open"
        assert [client.request("GET", "/socket").status for _ in range(10)] == [500] * 10, "nor does the service's keep it back"
        assert [client.request("GET", "/own").status for _ in range(2)] == [500] * 2
        assert is_open(client.request("GET", "/own"))
    assert breaker_state(sluice, route="own") == "open" and breaker_state(sluice, route="socket") == ""
    assert server.requests == 25


# Half open


@pytest.mark.parametrize("most", [1, 3])
def test_exactly_its_number_of_probes_is_let_through_to_200_clients_on_two_workers(gateway, backend, most):
    """Hardening 204: k probes in total; rule 2."""
    gate = Gate()
    server = backend(lambda request, connection: gate(request, connection) if request.target == "/probe" else reply(500))
    sluice = gateway({"server": {"workers": 2}, "limits": {"connections_per_client": 4096},
                      **guarded([server], failure_threshold=1, open_timeout="300ms", half_open_max=most, success_threshold=3)})

    def probes() -> int:
        return sum(request.target == "/probe" for request in server.heads)

    def first_probe():
        client = sluice.connect()
        client.send(request_bytes("GET", "/probe"))
        until(lambda: has_answer(client) or probes() > 0, 5, "refused, or let through")
        if probes():
            return client
        assert is_open(client.read_response())
        client.close()
        return None
    assert sluice.request("GET", "/fail").status == 500
    clients = [until(first_probe, 5, "it is tested again")]
    for _ in range(199):
        clients.append(sluice.connect())
    for client in clients[1:]:
        client.send(request_bytes("GET", "/probe"))
    until(lambda: sum(has_answer(client) for client in clients) >= 200 - most, 10, "all others are refused")
    waiting = [client for client in clients if not has_answer(client)]
    assert len(waiting) == most and breaker_state(sluice) == "half_open"
    until(lambda: probes() == most, 5, "they have arrived")
    for client in clients:
        if client not in waiting:
            assert is_open(client.read_response())
    gate.opened.set()
    assert [client.read_response().status for client in waiting] == [200] * most
    with sluice.connect() as client:
        assert probes() == most
        for _ in range(3 - most):
            assert client.request("GET", "/probe").status == 200
        assert breaker_state(sluice) == "closed"
        assert [client.request("GET", "/probe").status for _ in range(20)] == [200] * 20
    for client in clients:
        client.close()


def test_a_probe_that_fails_opens_it_again_for_twice_as_long(process_backend, gateway):
    """C.2: a single failure reopens, and then longer."""
    server = process_backend(status=500)
    sluice = gateway(guarded([server], failure_threshold=2, open_timeout="1s"))
    with sluice.connect() as client:
        assert [client.request().status for _ in range(2)] == [500, 500]
        assert int(client.request().header("retry-after")) == 1
        until(lambda: not is_open(client.request()), 5, "it is tested")
        response = client.request()
        assert is_open(response) and int(response.header("retry-after")) == 2 and server.requests == 3
        server.order(status=200)
        until(lambda: client.request().status == 200, 5, "it is tested again, as always")
        assert [client.request().status for _ in range(10)] == [200] * 10
    assert breaker_state(sluice) == "closed"
    # The second half opening is told like the first, and so left out within 10 s.
    wait_changes(sluice, [("closed", "open", "consecutive_failures"), ("open", "half_open", "open_time_elapsed"),
                          ("half_open", "open", "probe_failed"), ("half_open", "closed", "probes_succeeded")], service="app")
    assert sluice.metrics().sum("sluice_circuit_breaker_transitions_total", service="app", to="half_open") == 2


def test_a_probe_whose_connection_fails_at_once_opens_it_again(backend, gateway, tmp_path):
    """C.2: a single failure reopens. A Unix socket refuses before anything is under way."""
    server = backend(lambda request, connection: reply(500), unix=str(tmp_path / "app.sock"))
    sluice = gateway(guarded([server], failure_threshold=2, open_timeout="2s"))
    assert [sluice.request().status for _ in range(2)] == [500, 500] and is_open(sluice.request())
    server.stop()
    until(lambda: sluice.request().status == 502, 10, "it is tested")
    assert is_open(sluice.request()) and breaker_state(sluice) == "open"
    wait_changes(sluice, [("closed", "open", "consecutive_failures"), ("open", "half_open", "open_time_elapsed"),
                          ("half_open", "open", "probe_failed")], service="app")


def test_a_probe_that_never_returns_is_a_failure_and_it_is_tested_again(gateway, backend):
    """C.2: a trial that never returns counts as failed at its timeout; rule 5."""
    behaviour = {"hangs": False, "status": 500}

    def handler(request, connection):
        if behaviour["hangs"]:
            connection.hang()
            return None
        return reply(behaviour["status"])
    server = backend(handler)
    sluice = gateway(guarded([server], failure_threshold=1, open_timeout="200ms", open_timeout_max="400ms", half_open_max=1,
                             success_threshold=1, probe_timeout="300ms"))
    assert sluice.request().status == 500
    behaviour["hangs"] = True
    probe = sluice.connect()

    def is_sent():
        probe.send(request_bytes())
        until(lambda: has_answer(probe) or len(server.heads) == 2, 5)
        return len(server.heads) == 2 or probe.read_response() is None
    until(is_sent, 5, "the probe is under way")
    behaviour.update(hangs=False, status=200)
    until(lambda: sluice.request().status == 200, 5, "it is tested again although the probe hangs")
    assert breaker_state(sluice) == "closed" and not has_answer(probe)
    probe.reset()


def test_checks_that_pass_half_open_it_before_its_time(process_backend, gateway):
    """C.2: probe_early; issue: early half-open when active checks pass."""
    server = process_backend(status=500, health=500)
    config = guarded([server], failure_threshold=2, open_timeout="60s")
    config["services"]["app"]["health_check"] = {**QUICK_CHECK, "fall": 100}
    server.order(health=200)
    sluice = gateway(config)
    wait_instance(sluice, server, "healthy")
    assert [sluice.request().status for _ in range(2)] == [500, 500] and is_open(sluice.request())
    server.order(status=200)
    until(lambda: sluice.request().status == 200, 6, "long before a minute is over")
    until(lambda: ("open", "half_open", "checks_passed") in changes(sluice, service="app"), 5)


def test_without_probe_early_checks_change_nothing(process_backend, gateway):
    server = process_backend(status=500)
    config = guarded([server], failure_threshold=2, open_timeout="60s", probe_early=False)
    config["services"]["app"]["health_check"] = {**QUICK_CHECK, "fall": 100}
    sluice = gateway(config)
    wait_instance(sluice, server, "healthy")
    assert [sluice.request().status for _ in range(2)] == [500, 500]
    checks = server.counts()["checks"]
    until(lambda: server.counts()["checks"] > checks + 15, 10, "15 checks have passed")
    assert is_open(sluice.request()) and breaker_state(sluice) == "open"


# By hand, and reloads


def test_an_administrator_trips_and_resets_it_for_all_workers_at_once(process_backend, gateway):
    server = process_backend()
    sluice = gateway({"server": {"workers": 2}, **guarded([server])})
    assert sluice.request().status == 200
    assert sluice.admin("POST", "/breakers/app/trip").status == 200
    for _ in range(20):
        refused(sluice.request(), "CIRCUIT_OPEN", "circuit_open")
    assert server.requests == 1 and breaker_state(sluice) == "open"
    assert sluice.admin("POST", "/breakers/app/reset").status == 200
    assert [sluice.request().status for _ in range(20)] == [200] * 20
    wait_changes(sluice, [("closed", "open", "tripped"), ("open", "closed", "reset")], service="app")
    assert sluice.admin("POST", "/breakers/nobody/trip").status == 404


def test_a_reload_keeps_an_open_breaker_open(process_backend, gateway):
    """Hardening 214; B.12."""
    server = process_backend(status=500)
    config = guarded([server], failure_threshold=2, open_timeout="60s")
    sluice = gateway(config)
    assert [sluice.request().status for _ in range(2)] == [500, 500]
    sluice.reload({**config, "limits": {"request_headers": 77}})
    assert is_open(sluice.request()) and server.requests == 2
    config["services"]["app"]["circuit_breaker"]["failure_threshold"] = 9
    sluice.reload(config)
    assert is_open(sluice.request()) and server.requests == 2
    config["services"]["app"]["circuit_breaker"] = OFF
    sluice.reload(config)
    assert sluice.request().status == 500


def test_what_is_left_open_is_seen_in_the_status(process_backend, gateway):
    server = process_backend()
    sluice = gateway(guarded([server]))
    assert sluice.admin("POST", "/breakers/app/trip").status == 200
    assert sluice.admin("GET", "/status").json()["services"]["app"]["breaker"] == "open"
