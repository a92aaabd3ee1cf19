"""What administrators see of services that fail, and what they can do: states, circuit breakers, draining; over the admin API, on the
command line, in the log and in the metrics (behaviour B.7, B.9, B.10)."""

import os
import subprocess
import threading
from urllib.parse import quote

import pytest

from sluice_harness import reply, request_bytes, sluice_binary, until
from sluice_harness.process import parsed

STATES = {"closed", "open", "half_open"}


def identity(backend) -> str:
    """How the daemon names the instance of this backend."""
    return backend.url.removeprefix("http://")


def is_error(response, status, code):
    assert response.status == status, response
    error = response.json()["error"]
    assert error["code"] == code and error["message"], error
    assert response.header("cache-control") == "no-store" and response.header("x-content-type-options") == "nosniff"
    return error


def command(sluice, *arguments, timeout=15):
    """One run of the command line against this daemon."""
    return subprocess.run([sluice_binary(), *arguments, "-c", str(sluice.config_path)], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, env=dict(os.environ))


def lines(sluice, message, start=0, **fields):
    """The entries of the log with this message and these fields."""
    return [entry for entry in sluice.log_entries(start)
            if entry.get("message") == message and all(entry.get(key) == value for key, value in fields.items())]


def told(sluice, message, count=1, **fields):
    """The same once there are so many: the log is written by a thread of its own."""
    return until(lambda: (found := lines(sluice, message, **fields)) and len(found) >= count and found, 5, f"{message} {fields}")


def instance(sluice, backend, service="app"):
    return sluice.admin("GET", f"/services/{service}/instances/{identity(backend)}").json()


def two(world, handler=None, service=None, routes=None, **blocks):
    """A daemon before two backends of the service `app`."""
    backends = [world.backend(handler), world.backend(handler)]
    whole = {"services": {"app": {"instances": [{"url": server.url} for server in backends], **(service or {})}},
             "routes": routes or [{"name": "all", "match": {"path": "/*"}, "service": "app"}], **blocks}
    return world.gateway(whole), backends


@pytest.fixture(scope="module")
def office(module_world):
    """A daemon that is only read."""
    users, orders = module_world.backend(), module_world.backend()
    sluice = module_world.gateway(
        services={
            "users": {"instances": [{"url": users.url}]},
            "team/orders": {"instances": [{"url": orders.url}], "circuit_breaker": {"enabled": False}},
        },
        routes=[
            {"name": "users", "match": {"path": "/users/*"}, "service": "users"},
            {"name": "slow", "match": {"path": "/slow/*"}, "service": "users", "circuit_breaker": {"failure_threshold": 2}},
            {"name": "orders", "match": {"path": "/orders/*"}, "service": "team/orders"},
        ])
    return sluice, users, orders


READS = ["/services", "/services/users", "/breakers", "/breakers/users", "/breakers/team%2Forders", "/breakers/users?route=slow",
         "/api/v1/gateway/services", "/api/v1/gateway/services/users", "/api/v1/gateway/breakers",
         "/api/v1/gateway/breakers/users"]
WRITES = ["/breakers/users/trip", "/breakers/users/reset", "/services/users/instances/x/drain",
          "/services/users/instances/x/undrain", "/api/v1/gateway/breakers/users/trip",
          "/api/v1/gateway/services/users/instances/x/drain"]


# Forms


@pytest.mark.parametrize("path", READS)
def test_an_answer_is_json_unless_text_is_asked_for_and_head_has_no_body(office, path):
    sluice, *_ = office
    plain = sluice.admin("GET", path)
    assert plain.status == 200 and plain.header("content-type").startswith("application/json"), plain
    assert isinstance(plain.json(), dict) and plain.header("cache-control") == "no-store"
    text = sluice.admin("GET", path, text=True)
    assert text.status == 200 and text.header("content-type").startswith("text/plain") and text.body.endswith(b"\n")
    assert not text.body.startswith(b"{")
    head = sluice.admin("HEAD", path)
    assert head.status == 200 and head.body == b""


@pytest.mark.parametrize("path", READS + WRITES)
def test_another_method_is_refused_with_405_and_those_that_are_allowed(office, path):
    sluice, *_ = office
    allowed = {"POST"} if path in WRITES else {"GET", "HEAD"}
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        if method in allowed:
            continue
        response = sluice.admin(method, path, headers=[("X-Sluice-Admin", "1")], body=b"{}")
        is_error(response, 405, "METHOD_NOT_ALLOWED")
        assert set(response.header("allow").split(", ")) == allowed, (method, response)


@pytest.mark.parametrize("path", WRITES)
def test_a_write_that_a_form_could_send_is_refused_with_415(office, path):
    """Hardening 175."""
    sluice, users, _ = office
    path = path.replace("/x/", f"/{identity(users)}/")
    for fields in ([], [("Content-Type", "text/plain")], [("Content-Type", "application/x-www-form-urlencoded")]):
        is_error(sluice.request("POST", path, fields, b"", listener="admin"), 415, "INVALID_REQUEST")
    status = sluice.admin("GET", "/status").json()["services"]["users"]
    assert status["breaker"] == "closed" and status["draining"] == 0


@pytest.mark.parametrize("path", [
    "/services/", "/services//instances/x/drain", "/services/users/instances", "/services/users/instances/", "/breakers/",
    "/breakers//trip", "/api/v1/gateway/", "/api/v1/breakers", "/api/v1/gateway/health-check/users",
])
def test_an_unknown_path_is_404(office, path):
    sluice, *_ = office
    for method in ("GET", "POST"):
        is_error(sluice.admin(method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize("method,path,known", [
    ("GET", "/services/nobody", "users"), ("GET", "/breakers/nobody", "users"), ("POST", "/breakers/nobody/trip", "users"),
    ("POST", "/breakers/nobody/reset", "team/orders"), ("POST", "/services/nobody/instances/x/drain", "users"),
    ("GET", "/health-check/nobody", "users"), ("POST", "/breakers/users/trip?route=nobody", "slow"),
])
def test_a_name_that_is_not_there_is_404_with_those_that_are(office, method, path, known):
    sluice, *_ = office
    error = is_error(sluice.admin(method, path), 404, "NOT_FOUND")
    assert known in error["details"]["known"] and known in error["message"] and "nobody" in error["message"]
    text = sluice.admin(method, path, text=True)
    assert text.status == 404 and known in text.body.decode()


def test_an_instance_that_is_not_there_is_404_with_those_that_are(office):
    sluice, users, _ = office
    for verb in ("drain", "undrain"):
        error = is_error(sluice.admin("POST", f"/services/users/instances/10.9.9.9:80/{verb}"), 404, "NOT_FOUND")
        assert error["details"]["known"] == [identity(users)]


def test_a_breaker_that_is_switched_off_is_409(office):
    sluice, *_ = office
    for path in ("/breakers/team%2Forders/trip", "/breakers/team%2Forders/reset", "/breakers/users/trip?route=users"):
        error = is_error(sluice.admin("POST", path), 409, "INVALID_REQUEST")
        assert error["details"]["reason"] == "no_circuit_breaker"
    assert sluice.admin("GET", "/breakers/team%2Forders").json()["state"] == "off"
    assert sluice.admin("GET", "/status").json()["services"]["team/orders"]["breaker"] == "off"


@pytest.mark.parametrize("path", ["/breakers/users/trip?rout=slow", "/breakers/users/trip?route", "/breakers?route=slow",
                                  "/services?name=users", "/breakers/users?x"])
def test_an_unknown_parameter_is_422(office, path):
    sluice, *_ = office
    method = "POST" if path.split("?")[0].endswith("/trip") else "GET"
    is_error(sluice.admin(method, path), 422, "INVALID_REQUEST")
    assert sluice.admin("GET", "/breakers/users").json()["state"] == "closed"


def test_breakers_are_listed_with_those_of_routes_behind_their_service(office):
    sluice, *_ = office
    document = sluice.admin("GET", "/breakers").json()
    assert [(one["service"], one["route"], one["state"]) for one in document["data"]] == [
        ("users", None, "closed"), ("users", "slow", "closed")]
    assert document["total"] == 2 and document["next"] is None
    assert document["data"][1]["failure_threshold"] == 2 and document["data"][0]["failure_threshold"] == 5
    first = sluice.admin("GET", "/breakers?limit=1").json()
    second = sluice.admin("GET", f"/breakers?limit=1&cursor={quote(first['next'])}").json()
    assert second["data"][0]["route"] == "slow" and second["next"] is None
    one = sluice.admin("GET", "/breakers/users").json()
    assert one["state"] == "closed" and [route["route"] for route in one["routes"]] == ["slow"]
    assert sluice.admin("GET", "/breakers/users?route=slow").json()["route"] == "slow"


def test_the_aliases_say_the_same(office):
    sluice, users, _ = office
    for path in ("/services/users", "/breakers/users", f"/services/users/instances/{identity(users)}"):
        assert sluice.admin("GET", path).json() == sluice.admin("GET", "/api/v1/gateway" + path).json()
    listed = sluice.admin("GET", "/services").json()
    assert [service["name"] for service in listed["data"]] == ["users", "team/orders"]
    assert listed["data"] == sluice.admin("GET", "/internal/services").json()["data"]
    assert sluice.admin("GET", "/health-check/team%2Forders").json()["service"] == "team/orders"


def test_a_token_is_asked_for_here_as_well(gateway, backend):
    server = backend()
    sluice = gateway(admin={"address": "@admin@", "token": "s" * 32}, services={"app": {"instances": [{"url": server.url}]}},
                     routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    path = f"/services/app/instances/{identity(server)}"
    for method, one in (("POST", "/breakers/app/trip"), ("POST", path + "/drain"), ("GET", "/breakers")):
        assert sluice.admin(method, one).status == 401
        assert sluice.admin(method, one, token="t" * 32).status == 401
    shown = sluice.admin("GET", "/status", token="s" * 32).json()["services"]["app"]
    assert shown["breaker"] == "closed" and shown["draining"] == 0
    assert sluice.admin("POST", "/breakers/app/trip", token="s" * 32).status == 200


# Draining


def test_a_drained_instance_gets_no_new_request_and_says_so_everywhere(world):
    sluice, (first, second) = two(world)
    for _ in range(4):
        assert sluice.request().status == 200
    response = sluice.admin("POST", f"/services/app/instances/{identity(first)}/drain")
    assert response.status == 200, response
    answer = response.json()
    assert answer["draining"] is True and answer["takes_requests"] is False and answer["status"] == "HEALTHY"
    assert answer["warning"] is None and answer["instances_taking_requests"] == 1
    before = (len(first.requests), len(second.requests))
    for _ in range(10):
        assert sluice.request().status == 200
    assert (len(first.requests), len(second.requests)) == (before[0], before[1] + 10)

    service = sluice.admin("GET", "/status").json()["services"]["app"]
    assert service["state"] == "DEGRADED" and service["draining"] == 1
    assert service["instances"] == {"healthy": 2, "total": 2}
    assert "1 draining" in sluice.admin("GET", "/status", text=True).body.decode()
    assert "HEALTHY, draining" in sluice.admin("GET", "/services", text=True).body.decode()
    assert sluice.admin("GET", "/health-check/app").json()["draining"] == 1
    metrics = sluice.metrics()
    assert metrics.sum("sluice_instance_draining", instance=identity(first)) == 1
    assert metrics.sum("sluice_instance_draining", instance=identity(second)) == 0
    assert len(told(sluice, "instance drained", service="app", instance=identity(first), level="warn")) == 1

    # Twice is once.
    assert sluice.admin("POST", f"/services/app/instances/{identity(first)}/drain").status == 200

    answer = sluice.admin("POST", f"/services/app/instances/{identity(first)}/undrain").json()
    assert answer["draining"] is False and answer["takes_requests"] is True
    count = len(first.requests)
    for _ in range(10):
        assert sluice.request().status == 200
    assert len(first.requests) > count
    assert sluice.admin("GET", "/status").json()["services"]["app"]["state"] == "HEALTHY"
    assert len(told(sluice, "instance undrained", level="info")) == 1
    assert len(lines(sluice, "instance drained")) == 1


def test_requests_that_a_drained_instance_has_go_on(world):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply(200, b"late")
    server = world.backend(handler)
    sluice = world.gateway(services={"app": {"instances": [{"url": server.url}]}},
                           routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    with sluice.connect() as client:
        client.send(request_bytes("GET", "/"))
        server.wait_requests(1)
        answer = sluice.admin("POST", f"/services/app/instances/{identity(server)}/drain").json()
        assert answer["in_flight"] == 1
        assert instance(sluice, server)["in_flight"] == 1
        assert sluice.metrics().sum("sluice_instance_requests_in_flight", instance=identity(server)) == 1
        gate.set()
        response = client.read_response()
        assert response.status == 200 and response.body == b"late"
    until(lambda: instance(sluice, server)["in_flight"] == 0, 5, "nothing in flight")


def test_draining_the_last_instance_is_allowed_with_a_warning_and_answers_503(simple):
    sluice, server = simple()
    assert sluice.request().status == 200
    answer = sluice.admin("POST", f"/services/app/instances/{identity(server)}/drain")
    assert answer.status == 200 and "no instance of app takes requests" in answer.json()["warning"]
    text = sluice.admin("POST", f"/services/app/instances/{identity(server)}/drain", text=True).body.decode()
    assert "warning: no instance of app" in text
    refused = sluice.request()
    assert refused.status == 503 and refused.json()["error"]["details"]["reason"] == "no_healthy_instance"
    assert sluice.admin("GET", "/status").json()["services"]["app"]["state"] == "FAILED"
    assert sluice.admin("POST", f"/services/app/instances/{identity(server)}/undrain").json()["warning"] is None
    assert sluice.request().status == 200


def test_a_drained_instance_stays_drained_over_reloads_and_is_forgotten_with_its_name(world):
    sluice, (first, second) = two(world)
    assert sluice.admin("POST", f"/services/app/instances/{identity(first)}/drain").status == 200

    def whole(*backends):
        return {"services": {"app": {"instances": [{"url": server.url, "weight": 3} for server in backends]}},
                "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}]}
    sluice.reload(whole(first, second))
    assert instance(sluice, first)["draining"] is True and instance(sluice, second)["draining"] is False
    count = len(first.requests)
    for _ in range(6):
        assert sluice.request().status == 200
    assert len(first.requests) == count
    sluice.reload(whole(second))
    assert sluice.admin("GET", f"/services/app/instances/{identity(first)}").status == 404
    assert not [labels for labels in sluice.metrics().labels("sluice_instance_health")
                if labels["instance"] == identity(first)], "gauges go at once"
    sluice.reload(whole(first, second))
    assert instance(sluice, first)["draining"] is False


def test_an_instance_on_a_unix_socket_is_named_with_and_without_escapes(world, tmp_path):
    path = str(tmp_path / "app.sock")
    server, other = world.backend(unix=path), world.backend()
    sluice = world.gateway(
        services={"app": {"instances": [{"url": server.url}, {"url": other.url}]}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    for name in (quote(f"unix:{path}", safe=""), f"unix:{path}", quote(f"unix:{path}")):
        answer = sluice.admin("POST", f"/services/app/instances/{name}/drain")
        assert answer.status == 200 and answer.json()["id"] == f"unix:{path}" and answer.json()["draining"] is True, name
        assert sluice.admin("POST", f"/services/app/instances/{name}/undrain").json()["draining"] is False


# Circuit breakers


def test_a_breaker_that_is_tripped_keeps_requests_away_until_it_is_reset(simple):
    sluice, server = simple()
    assert sluice.request().status == 200
    tripped = sluice.admin("POST", "/breakers/app/trip")
    assert tripped.status == 200, tripped
    answer = tripped.json()
    assert (answer["state"], answer["from"], answer["reason"]) == ("open", "closed", "tripped")
    assert 50 <= answer["seconds_left"] <= 60 and answer["since"]
    count = len(server.requests)
    for _ in range(5):
        refused = sluice.request()
        assert refused.status == 503 and refused.json()["error"]["code"] == "CIRCUIT_OPEN", refused
        assert refused.json()["error"]["details"]["reason"] == "circuit_open"
        assert 1 <= int(refused.header("retry-after")) <= 72
    assert len(server.requests) == count
    service = sluice.admin("GET", "/status").json()["services"]["app"]
    assert service["breaker"] == "open" and 1 <= service["breaker_seconds_left"] <= 60 and service["state"] == "DEGRADED"
    assert "open, " in sluice.admin("GET", "/status", text=True).body.decode()
    explained = sluice.admin("POST", "/explain", json={"method": "GET", "url": "http://localhost/"}).json()
    assert explained["upstream"]["breaker"].startswith("open, ") and explained["answer"]["reason"] == "circuit_open"

    metrics = sluice.metrics()
    assert metrics.sum("sluice_circuit_breaker_state", service="app", state="open") == 1
    assert metrics.sum("sluice_circuit_breaker_state", service="app") == 1, "one state at a time"
    assert metrics.sum("sluice_circuit_breaker_rejected_total", service="app") == 5
    assert metrics.sum("sluice_circuit_breaker_transitions_total", service="app", to="open", **{"from": "closed"}) == 1
    assert len(told(sluice, "circuit breaker opened", service="app", reason="tripped", level="warn")) == 1

    answer = sluice.admin("POST", "/breakers/app/reset").json()
    assert (answer["state"], answer["from"], answer["seconds_left"]) == ("closed", "open", 0)
    assert sluice.request().status == 200
    assert len(told(sluice, "circuit breaker closed", service="app", reason="reset", level="info")) == 1
    assert sluice.metrics().sum("sluice_circuit_breaker_state", service="app", state="closed") == 1


def test_the_breaker_of_a_route_is_its_own(world):
    sluice, _ = two(world, routes=[
        {"name": "all", "match": {"path": "/*"}, "service": "app"},
        {"name": "slow", "match": {"path": "/slow"}, "service": "app", "circuit_breaker": {"failure_threshold": 3}}])
    assert sluice.admin("POST", "/breakers/app/trip?route=slow").json()["route"] == "slow"
    assert sluice.request("GET", "/slow").status == 503 and sluice.request("GET", "/other").status == 200
    service = sluice.admin("GET", "/status").json()["services"]["app"]
    assert service["breaker"] == "closed" and service["open_route_breakers"] == ["slow"]
    metrics = sluice.metrics()
    assert metrics.sum("sluice_circuit_breaker_state", service="app", route="slow", state="open") == 1
    assert metrics.sum("sluice_circuit_breaker_state", service="app", route="", state="closed") == 1
    assert told(sluice, "circuit breaker opened", service="app", route="slow")
    assert sluice.admin("POST", "/breakers/app/reset?route=slow").status == 200
    assert sluice.request("GET", "/slow").status == 200


def test_a_service_that_fails_opens_its_breaker_and_all_of_it_is_told(simple):
    failing = threading.Event()
    failing.set()
    sluice, server = simple(
        lambda request, connection: reply(500 if failing.is_set() else 200), service={
            "circuit_breaker": {"failure_threshold": 5, "success_threshold": 1, "open_timeout": "2s"},
            "outlier_detection": {"enabled": False}})
    for _ in range(5):
        assert sluice.request().status == 500
    assert sluice.request().status == 503
    told(sluice, "circuit breaker opened", service="app", reason="consecutive_failures")
    assert sluice.admin("GET", "/breakers/app").json()["reason"] == "consecutive_failures"
    failing.clear()
    until(lambda: sluice.request().status == 200, 10, "the breaker closes")
    told(sluice, "circuit breaker closed", service="app", reason="probes_succeeded", level="info")
    assert told(sluice, "circuit breaker half open", service="app", level="info")
    metrics = sluice.metrics()
    for before, after in (("closed", "open"), ("open", "half_open"), ("half_open", "closed")):
        assert metrics.sum("sluice_circuit_breaker_transitions_total", service="app", to=after, **{"from": before}) >= 1
    assert metrics.sum("sluice_circuit_breaker_rejected_total", service="app") >= 1
    assert 0 <= metrics.sum("sluice_retry_budget_remaining_ratio", service="app") <= 1
    assert sluice.admin("GET", "/breakers/app").json()["state"] in STATES


# Health


@pytest.mark.seconds(60)
def test_a_check_that_fails_is_told_with_what_it_found(world):
    broken = threading.Event()

    def handler(request, connection):
        return reply(500 if broken.is_set() and request.target == "/health" else 200)
    check = {"path": "/health", "interval": "200ms", "fast_interval": "100ms", "timeout": "200ms", "rise": 2, "fall": 2}
    sluice, (first, _) = two(world, handler, {"health_check": check})
    until(lambda: sluice.admin("GET", "/status").json()["services"]["app"]["state"] == "HEALTHY", 10, "both are checked")
    shown = instance(sluice, first)
    assert shown["last_health_check_result"] == "passed" and shown["last_health_check"]
    broken.set()
    until(lambda: sluice.admin("GET", "/health-check/app").json()["status"] == "FAILED", 10, "both have failed")
    shown = instance(sluice, first)
    assert shown["status"] == "FAILED" and shown["last_health_check_result"] == "status"
    assert shown["last_change"]["to"] == "FAILED" and shown["last_change"]["reason"] == "checks_failed"
    line = told(sluice, "instance failed", service="app", instance=identity(first), level="warn")[0]
    assert (line["from"], line["to"], line["reason"], line["check"]) == ("healthy", "failed", "checks_failed", "status")
    metrics = sluice.metrics()
    assert metrics.sum("sluice_instance_health", instance=identity(first), state="failed") == 1
    assert metrics.sum("sluice_instance_health", instance=identity(first)) == 1, "one state at a time"
    assert metrics.sum("sluice_health_checks_total", service="app", result="failed", type="active") >= 4
    assert metrics.sum("sluice_health_checks_total", service="app", result="passed", type="active") >= 2
    assert metrics.sum("sluice_instance_health_changes_total", instance=identity(first), to="failed", reason="checks_failed") == 1
    refused = sluice.request()
    assert refused.status == 503 and refused.json()["error"]["details"]["reason"] == "no_healthy_instance"
    broken.clear()
    until(lambda: sluice.admin("GET", "/health-check/app").json()["status"] == "HEALTHY", 20, "both are back")
    assert told(sluice, "instance healthy", service="app", instance=identity(first), level="info")


def test_requests_that_fail_are_evidence_and_are_counted(world):
    dead = world.backend(script=lambda connection: connection.reset())
    alive = world.backend()
    sluice = world.gateway(
        services={"app": {"instances": [{"url": dead.url}, {"url": alive.url}], "circuit_breaker": {"enabled": False}}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])

    def failed():
        sluice.request()
        shown = instance(sluice, dead)
        return shown if shown["status"] == "FAILED" else None
    shown = until(failed, 10, "the instance has failed")
    assert shown["last_change"]["reason"] in ("traffic_failed", "trial_failed") and shown["takes_requests"] is False
    assert told(sluice, "instance failed", instance=identity(dead), reason="traffic_failed", level="warn")
    assert sluice.metrics().sum("sluice_health_checks_total", service="app", result="failed", type="passive") >= 3
    assert sluice.admin("GET", "/status").json()["services"]["app"]["state"] == "DEGRADED"


@pytest.mark.seconds(60)
def test_an_instance_that_flaps_does_not_fill_the_log(simple):
    healthy = threading.Event()
    check = {"path": "/health", "interval": "100ms", "fast_interval": "100ms", "timeout": "100ms", "rise": 1, "fall": 1}

    def handler(request, connection):
        if request.target != "/health":
            return reply()
        if healthy.is_set():
            healthy.clear()
            return reply(200)
        healthy.set()
        return reply(500)
    sluice, server = simple(handler, service={"health_check": check})

    def changes():
        return sluice.metrics().sum("sluice_instance_health_changes_total", instance=identity(server))
    until(lambda: changes() >= 5, 40, "five changes")
    until(lambda: lines(sluice, "instance flaps: it takes more passing checks to come back, or longer until its trial"), 20,
          "flapping is said")
    written = [entry for entry in sluice.log_entries() if entry.get("message", "").startswith("instance ")]
    assert len(written) <= changes() + 1


# The command line


def test_breakers_are_listed_tripped_and_reset_on_the_command_line(world):
    sluice, _ = two(world, routes=[
        {"name": "all", "match": {"path": "/*"}, "service": "app"},
        {"name": "slow", "match": {"path": "/slow"}, "service": "app", "circuit_breaker": {"failure_threshold": 3}}])
    listed = command(sluice, "breaker", "list")
    assert listed.returncode == 0 and listed.stderr == ""
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert rows[0] == ["SERVICE", "ROUTE", "STATE", "SINCE", "REASON"]
    assert rows[1:] == [["app", "-", "closed", "-", "-"], ["app", "slow", "closed", "-", "-"]]

    tripped = command(sluice, "breaker", "trip", "app")
    assert tripped.returncode == 0 and tripped.stdout.startswith("app: open, ") and tripped.stdout.endswith("was closed\n")
    assert sluice.request().status == 503 and sluice.request("GET", "/slow").status == 200
    assert command(sluice, "breaker", "trip", "app", "--route", "slow").stdout.startswith("app, route slow: open, ")
    assert sluice.request("GET", "/slow").status == 503
    assert "open, " in command(sluice, "status").stdout

    reset = command(sluice, "breaker", "reset", "app", "--json")
    assert reset.returncode == 0 and parsed(reset.stdout)["state"] == "closed"
    assert command(sluice, "breaker", "reset", "app", "--route", "slow").stdout == "app, route slow: closed; was open\n"
    assert sluice.request().status == 200 and sluice.request("GET", "/slow").status == 200


def test_an_instance_is_drained_and_let_in_again_on_the_command_line(world):
    gate = threading.Event()

    def handler(request, connection):
        assert request.target != "/wait" or gate.wait(20)
        return reply()
    sluice, (first, second) = two(world, handler)
    drained = command(sluice, "instance", "drain", "app", identity(first))
    assert drained.returncode == 0 and drained.stdout == f"app, {identity(first)}: HEALTHY, draining, 0 in flight\n"
    assert "HEALTHY, draining" in command(sluice, "services", "list").stdout
    with sluice.connect() as client:
        client.send(request_bytes("GET", "/wait"))
        second.wait_requests(1)
        late = command(sluice, "instance", "drain", "app", identity(second), "--wait", "--timeout", "1")
        assert late.returncode == 1 and "still has requests after 1 s: 1" in late.stderr
        assert "warning: no instance of app takes requests" in late.stdout
        gate.set()
        assert client.read_response().status == 200
    waited = command(sluice, "instance", "drain", "app", identity(second), "--wait")
    assert waited.returncode == 0 and waited.stderr == ""
    for server in (first, second):
        answer = command(sluice, "instance", "undrain", "app", identity(server), "--json")
        assert answer.returncode == 0 and parsed(answer.stdout)["draining"] is False
    assert sluice.request().status == 200


@pytest.mark.parametrize("arguments,status,says", [
    (["breaker", "trip", "nobody"], 1, 'there is no service "nobody"; there are: app'),
    (["breaker", "reset", "app", "--route", "all"], 1, "no circuit breaker"),
    (["breaker", "trip", "app", "--route", "nobody"], 1, "nobody"),
    (["instance", "drain", "app", "10.9.9.9:1"], 1, "there is no instance of app"),
    (["instance", "drain", "nobody", "10.9.9.9:1"], 1, 'there is no service "nobody"'),
    (["instance", "drain", "app"], 2, "id"), (["breaker", "trip"], 2, "service"), (["breaker", "trip", ""], 2, "empty"),
    (["instance", "drain", "app", ""], 2, "empty"), (["breaker", "open", "app"], 2, ""), (["instance"], 0, ""),
])
def test_what_the_command_line_cannot_do_is_said_with_its_exit_code(simple, arguments, status, says):
    sluice, _ = simple()
    if arguments == ["instance"]:
        result = subprocess.run([sluice_binary(), "instance", "--help"], capture_output=True, text=True, timeout=10)
        assert "drain" in result.stdout and "undrain" in result.stdout
    else:
        result = command(sluice, *arguments)
    assert result.returncode == status and says in result.stderr + result.stdout, result


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_the_commands(shell):
    script = subprocess.run([sluice_binary(), "completion", shell], capture_output=True, text=True, timeout=10).stdout
    for word in ("breaker", "trip", "reset", "instance", "drain", "undrain"):
        assert word in script
