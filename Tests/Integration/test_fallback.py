"""What answers in the place of a service that cannot (behaviour B.2, C.2)."""

import subprocess

import pytest

from sluice_harness import reply, sluice_binary
from test_balancing import before

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
