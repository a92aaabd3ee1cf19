"""What answers in the place of a service that cannot (behaviour B.2, C.2)."""

import subprocess
import time
from collections import Counter

import pytest

from conftest import PATIENT
from sluice_harness import reply, sluice_binary
from test_balancing import before, who

STATIC = {"fallback": {"status": 200, "headers": {"X-Kind": "spare"}, "body": "{\"items\": []}", "content_type": "application/json"}}


def with_spare(servers, spare, **service) -> dict:
    config = before(servers, fallback={"service": "spare"}, **service)
    config["services"]["spare"] = {"instances": [{"url": spare.url}]}
    return config


def is_static(response) -> bool:
    return response.header("x-sluice-fallback") == "static"


@pytest.fixture
def dead(process_backend):
    """A backend whose port refuses."""
    server = process_backend()
    server.kill()
    return server


def test_a_fixed_answer_comes_where_no_instance_can_be_reached(gateway, dead):
    sluice = gateway(before([dead], **STATIC))
    for _ in range(8):
        response = sluice.request()
        assert (response.status, response.body, response.header("x-kind")) == (200, b"{\"items\": []}", "spare")
        assert response.header("content-type") == "application/json" and is_static(response)
    assert sluice.entry(response)["reason"] == "fallback_served"
    assert sluice.metrics().sum("sluice_fallbacks_total", service="app") == 8


@pytest.mark.parametrize("why", ["circuit_open", "timeout", "reset", "garbage", "queue_full"])
def test_a_fixed_answer_comes_for_whatever_keeps_the_service_from_answering(gateway, backend, why):
    def handler(request, connection):
        if why in ("timeout", "queue_full"):
            connection.hang()
        elif why == "reset":
            connection.reset()
        else:
            return b"garbage\r\n\r\n"
    server = backend(handler)
    sluice = gateway(before([server], **STATIC, timeouts={"response": "200ms" if why == "timeout" else "10s"},
                            pool={"max_connections": 1}, queue={"max_pending": 0}))
    if why == "circuit_open":
        assert sluice.admin("POST", "/breakers/app/trip").status == 200
    holder = sluice.connect()
    if why == "queue_full":
        holder.send(b"GET /hold HTTP/1.1\r\nHost: app.test\r\n\r\n")
        server.wait_heads(1)
    for method in ("GET", "POST"):
        response = sluice.request(method, "/", body=b"x" if method == "POST" else None)
        assert response.status == 200 and is_static(response)
    holder.reset()


def test_another_service_gets_the_request_with_its_body_unread(gateway, dead, backend):
    """Nothing of it was sent before, so that all of it can be."""
    spare = backend(lambda request, connection: reply(201, b"%d" % len(request.body), [("X-Spare", "1")]))
    sluice = gateway(with_spare([dead], spare))
    body = b"y" * 700_000
    response = sluice.request("POST", "/orders?x=1", [("X-Own", "kept")], body)
    assert (response.status, response.body, response.header("x-spare")) == (201, b"700000", "1")
    assert response.header("x-sluice-fallback") == "service"
    request, = spare.requests
    assert (request.method, request.target, request.header("x-own")) == ("POST", "/orders?x=1", "kept")
    entry = sluice.entry(response)
    assert entry["status"] == 201 and entry["reason"] in ("ok", "fallback_served")
    assert sluice.metrics().sum("sluice_fallbacks_total") == 1


def test_another_service_answers_while_the_breaker_is_open(gateway, process_backend, backend):
    server, spare = process_backend(), backend(lambda request, connection: reply(200, b"spare"))
    sluice = gateway(with_spare([server], spare))
    assert sluice.request().body == b"ok"
    sluice.admin("POST", "/breakers/app/trip")
    with sluice.connect() as client:
        for method, body in (("GET", None), ("POST", b"z" * 100_000), ("GET", None)):
            response = client.request(method, "/", body=body)
            assert response.body == b"spare" and response.header("x-sluice-fallback") == "service"
    sluice.admin("POST", "/breakers/app/reset")
    response = sluice.request()
    assert response.body == b"ok" and response.header("x-sluice-fallback") is None


def test_answers_of_the_service_itself_to_faults_of_the_client_are_passed_on(gateway, backend):
    server = backend(lambda request, connection: reply(int(request.target[1:]), b"own"))
    sluice = gateway(before([server], **STATIC))
    for status in (200, 301, 400, 401, 403, 404, 409, 422, 429):
        response = sluice.request("GET", f"/{status}")
        assert (response.status, response.body, response.header("x-sluice-fallback")) == (status, b"own", None)


def test_an_answer_of_the_service_that_says_that_it_cannot_is_replaced(gateway, backend):
    """B.2: errors of the service pass through untouched unless it has a fallback."""
    server = backend(lambda request, connection: reply(int(request.target[1:]), b"own"))
    sluice = gateway(before([server], **STATIC, circuit_breaker={"enabled": False}, outlier_detection={"enabled": False}))
    for status in (500, 502, 503, 504):
        assert is_static(sluice.request("GET", f"/{status}"))
    assert sluice.request("GET", "/501").status == 501


def test_another_service_does_not_do_again_what_the_first_may_have_done(gateway, backend):
    """A POST that was sent and answered with an error is not sent to anybody else; a GET is."""
    server, spare = backend(lambda request, connection: reply(503, b"own")), backend()
    sluice = gateway(with_spare([server], spare))
    response = sluice.request("POST", "/", body=b"pay")
    assert (response.status, response.body) == (503, b"own") and spare.heads == []
    assert sluice.request("GET", "/").body == b"ok" and len(spare.heads) == 1


def test_refusals_of_the_gateway_for_faults_of_the_client_are_not_replaced(gateway, dead):
    config = before([dead], **STATIC)
    config["routes"][0]["match"] = {"path": "/known", "methods": ["GET"]}
    sluice = gateway({**config, "limits": {"request_body": "1KiB"}})
    assert sluice.request("GET", "/unknown").status == 404
    assert sluice.request("DELETE", "/known").status == 405
    assert sluice.request("GET", "/known", body=b"x" * 2000).status == 413
    assert is_static(sluice.request("GET", "/known"))


def test_a_route_may_have_a_fallback_of_its_own(gateway, dead):
    config = before([dead], **STATIC)
    config["routes"].append({"name": "own", "match": {"path": "/own"}, "service": "app",
                             "fallback": {"status": 503, "body": "come back", "headers": {"Retry-After": "30"}}})
    sluice = gateway(config)
    response = sluice.request("GET", "/own")
    assert (response.status, response.body, response.header("retry-after")) == (503, b"come back", "30") and is_static(response)
    assert sluice.request("GET", "/other").status == 200


def test_the_answer_to_head_has_no_body(gateway, dead):
    sluice = gateway(before([dead], **STATIC))
    with sluice.connect() as client:
        response = client.request("HEAD", "/")
        assert response.status == 200 and response.body == b"" and is_static(response)
        assert is_static(client.request("GET", "/")), "the connection is still in step"


def test_a_connect_that_fails_at_the_other_service_is_not_told_with_the_status_of_the_first(gateway, backend, dead):
    """The status that is told is of the try that it stands beside."""
    server = backend(lambda request, connection: reply(503))
    config = with_spare([server], dead, **PATIENT)
    config["services"]["spare"].update(PATIENT)
    sluice = gateway(config)
    response = sluice.request()
    assert response.status == 502 and response.json()["error"]["code"] == "UPSTREAM_ERROR"
    entry = sluice.entry(response)
    assert (entry["service"], entry["reason"], entry.get("upstream_status")) == ("spare", "connect_refused", None)
    metrics = sluice.metrics()
    assert metrics.sum("sluice_upstream_requests_total", service="app", status_class="5xx") == 1
    assert metrics.sum("sluice_upstream_requests_total", service="spare", status_class="5xx") == 0
    assert metrics.sum("sluice_upstream_requests_total", service="spare", outcome="connect_refused") >= 1


def test_the_first_request_to_the_other_service_is_no_retry_there(gateway, backend):
    """X-Sluice-Retry would keep a gateway behind it from trying again."""
    server, spare = backend(lambda request, connection: reply(503)), backend()
    assert gateway(with_spare([server], spare)).request().body == b"ok"
    assert [request.header("x-sluice-retry") for request in server.requests + spare.requests] == [None, None]


@pytest.mark.parametrize("attempts", [0, 1])
def test_the_other_service_retries_by_its_own_rules_whatever_was_retried_before(gateway, backend, attempts):
    """Only its own retries are marked as such, and only they count against its attempts."""
    server, spare = backend(lambda request, connection: reply(503)), backend(lambda request, connection: reply(503))
    config = with_spare([server], spare, **PATIENT, retry={"retry_on": ["5xx"], "attempts": attempts, "backoff": "1ms"})
    config["services"]["spare"].update(PATIENT, retry={"retry_on": ["5xx"], "attempts": 1, "backoff": "1ms"})
    assert gateway(config).request().status == 503
    assert [request.header("x-sluice-retry") for request in server.requests] == [None, "1"][:attempts + 1]
    assert [request.header("x-sluice-retry") for request in spare.requests] == [None, "1"]


@pytest.mark.parametrize("own,others,most", [("200ms", "20s", 5), ("20s", "200ms", None)], ids=["shorter", "longer"])
def test_the_other_service_has_timeouts_of_its_own(gateway, backend, own, others, most):
    def slow(request, connection):
        return connection.hang() if most else (time.sleep(0.4), reply(200, b"late"))[1]     # twice the first service's time
    server, spare = backend(lambda request, connection: reply(503)), backend(slow)
    config = with_spare([server], spare, timeouts={"response": others})
    config["services"]["spare"]["timeouts"] = {"response": own}
    sluice = gateway(config)
    started = time.monotonic()
    response = sluice.request()
    if most:
        assert response.status == 504 and time.monotonic() - started < most
        assert spare.wait_heads(1)[0].connection.wait_end(5)
    else:
        assert (response.status, response.body) == (200, b"late")


def test_a_session_of_one_service_is_none_of_the_other(gateway, process_backend):
    """The place that its cookie names is one among the instances of the first service."""
    homes, spares = [process_backend(name) for name in "ab"], [process_backend(name) for name in "xyz"]
    config = before(homes, load_balancer={"sticky": {"cookie": "seat"}}, fallback={"service": "spare"},
                    circuit_breaker={"enabled": False})
    config["services"]["spare"] = {"instances": [{"url": spare.url} for spare in spares]}
    sluice = gateway(config)
    cookies = {}
    for _ in range(2):
        response = sluice.request()
        cookies[who(response)] = response.header("set-cookie").partition(";")[0]
    assert set(cookies) == {"a", "b"}
    for home in homes:
        home.kill()
    for cookie in cookies.values():
        answers = [sluice.request("GET", "/", [("Cookie", cookie)]) for _ in range(12)]
        assert Counter(who(response) for response in answers) == {"x": 4, "y": 4, "z": 4}
        assert [response.all("set-cookie") for response in answers] == [[]] * 12, "the session is left as it is"


def test_where_the_other_service_is_down_too_the_answer_is_an_error(gateway, dead, process_backend):
    spare = process_backend()
    spare.kill()
    sluice = gateway(with_spare([dead], spare))
    response = sluice.request()
    assert response.status in (502, 503) and response.json()["error"]["code"] in ("UPSTREAM_ERROR", "SERVICE_UNAVAILABLE")


def test_a_service_that_is_well_is_never_replaced(gateway, process_backend, backend):
    server, spare = process_backend(), backend()
    sluice = gateway(with_spare([server], spare))
    with sluice.connect() as client:
        for _ in range(20):
            assert client.request().header("x-sluice-fallback") is None
    assert spare.heads == []


@pytest.mark.parametrize("chain", [["a"], ["a", "b"], ["a", "b", "c"]], ids=len)
def test_fallbacks_that_lead_in_a_circle_are_refused_at_load(tmp_path, chain):
    """C.2: no loops."""
    services = "".join(
        f"  {name}:\n    instances: [{{url: \"http://127.0.0.1:9\"}}]\n    fallback: {{service: {chain[(place + 1) % len(chain)]}}}\n"
        for place, name in enumerate(chain))
    path = tmp_path / "sluice.yaml"
    path.write_text("listeners: [{name: web, address: \"127.0.0.1:1\"}]\nservices:\n" + services
                    + "routes: [{name: all, match: {path: \"/*\"}, service: a}]\n")
    done = subprocess.run([sluice_binary(), "check", "-c", str(path)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "sluice.yaml:5:25: error: services.a.fallback.service" in done.stderr, done
