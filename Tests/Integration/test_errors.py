"""The answers that the gateway makes itself (behaviour B.2; hardening 77)."""

import pytest

from conftest import PATIENT
from sluice_harness import reply


@pytest.fixture(scope="module")
def road(module_world):
    """Routes that fail in every way there is."""
    dead = module_world.backend()
    url = dead.url
    dead.stop()

    def hang(request, connection):
        connection.hang()
    slow = module_world.backend(hang)
    full = module_world.backend(hang)
    garbage = module_world.backend(lambda request, connection: b"garbage\r\n\r\n")
    sluice = module_world.gateway(
        services={"dead": {"instances": [{"url": url}], **PATIENT},
                  "garbage": {"instances": [{"url": garbage.url}], **PATIENT},
                  "slow": {"instances": [{"url": slow.url}], "timeouts": {"response": "200ms"}, **PATIENT},
                  "full": {"instances": [{"url": full.url}], **PATIENT, "timeouts": {"response": "3s"}, "pool": {"max_connections": 1},
                           "queue": {"max_pending": 0}}},
        routes=[{"name": name, "match": {"path": f"/{name}/*"}, "service": name} for name in ("dead", "garbage", "slow",
        "full")] +
               [{"name": "get", "match": {"path": "/get", "methods": ["GET"]}, "respond": {"status": 200}},
                {"name": "down", "match": {"path": "/down"}, "respond": {"status": 200}, "maintenance": True}],
        limits={"request_body": 1000})
    return sluice, full


# target, method, body, status, code, whether Proxy-Status and Retry-After must be there
FAILURES = {
    "no route": ("/nowhere", "GET", None, 404, "NOT_FOUND", False, False),
    "method": ("/get", "DELETE", None, 405, "METHOD_NOT_ALLOWED", False, False),
    "body": ("/get", "GET", b"x" * 1001, 413, "INVALID_REQUEST", False, False),
    "target": ("/%00", "GET", None, 400, "INVALID_REQUEST", False, False),
    "unknown method": ("/get", "FOO", None, 501, "INVALID_REQUEST", False, False),
    "refused": ("/dead/", "GET", None, 502, "UPSTREAM_ERROR", True, False),
    "garbage": ("/garbage/", "GET", None, 502, "UPSTREAM_ERROR", True, False),
    "timeout": ("/slow/", "GET", None, 504, "UPSTREAM_TIMEOUT", True, False),
    "maintenance": ("/down", "GET", None, 503, "SERVICE_UNAVAILABLE", False, True),
}


@pytest.mark.parametrize("target,method,body,status,code,proxy_status,retry_after", FAILURES.values(), ids=FAILURES.keys())
def test_an_error_has_the_json_body_and_the_fields_of_the_contract(road, target, method, body, status, code, proxy_status,
    retry_after):
    sluice, _ = road
    response = sluice.request(method, target, body=body)
    assert response.status == status
    document = response.json()
    assert set(document) == {"error", "request_id"} and {"code", "message"} <= set(document["error"]) <= {"code", "message",
        "details"}
    assert document["error"]["code"] == code and document["error"]["message"]
    assert document["request_id"] == response.header("x-request-id")
    assert response.header("content-type").split(";")[0] == "application/json"
    assert response.header("cache-control") == "no-store" and response.header("x-content-type-options") == "nosniff"
    assert response.header("server") in (None, "sluice") and response.header("date")
    assert response.all("proxy-status") or not proxy_status
    assert all(value.startswith("sluice; error=") for value in response.all("proxy-status"))
    if retry_after:
        assert int(response.header("retry-after")) >= 1
    entry = sluice.entry(response)
    assert entry["status"] == status and entry["reason"] != "ok"


@pytest.mark.parametrize("target,method,body,status,code,proxy_status,retry_after", FAILURES.values(), ids=FAILURES.keys())
def test_a_client_that_prefers_problem_json_gets_rfc_9457(road, target, method, body, status, code, proxy_status, retry_after):
    sluice, _ = road
    response = sluice.request(method, target, [("Accept", "application/problem+json, application/json;q=0.5")], body)
    assert response.status == status and response.header("content-type").split(";")[0] == "application/problem+json"
    problem = response.json()
    assert {"type", "title", "status", "code", "request_id"} <= set(problem)
    assert (problem["status"], problem["code"], problem["request_id"]) == (status, code, response.header("x-request-id"))


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html", "application/problem+json;q=0.1, application/json",
                                    "application/problem+json;q=0", "rubbish;;;,,"])
def test_all_other_clients_get_the_plain_json_form(road, accept):
    response = road[0].request("GET", "/nowhere", [("Accept", accept)])
    assert response.header("content-type").split(";")[0] == "application/json" and "error" in response.json()


@pytest.mark.parametrize("target,status", [("/nowhere", 404), ("/dead/", 502), ("/down", 503)])
def test_an_error_for_head_has_no_body_and_the_connection_goes_on(road, target, status):
    sluice, _ = road
    with sluice.connect() as client:
        response = client.request("HEAD", target)
        assert response.status == status and response.body == b"" and response.header("x-request-id")
        assert client.request("GET", "/get").status == 200


def test_errors_that_leave_the_framing_intact_keep_the_connection(road):
    sluice, _ = road
    with sluice.connect() as client:
        for target, status in (("/nowhere", 404), ("/dead/", 502), ("/slow/", 504), ("/down", 503), ("/get", 200)):
            response = client.request("GET", target)
            assert response.status == status and response.all("connection") != ["close"], target


def test_a_full_pool_without_a_queue_is_503_with_retry_after(road):
    """B.2: 503, the request was not forwarded."""
    sluice, full = road
    with sluice.connect() as first:
        first.send(b"GET /full/1 HTTP/1.1\r\nHost: app.test\r\n\r\n")
        full.wait_heads(1)
        response = sluice.request("GET", "/full/2")
        assert response.status == 503 and response.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
        assert int(response.header("retry-after")) >= 1 and sluice.entry(response)["reason"] == "queue_full"
        assert first.read_response().status == 504
    assert [head.target for head in full.heads] == ["/full/1"]


def test_every_response_carries_the_request_id(road):
    """B.3."""
    sluice, _ = road
    for target in ("/get", "/nowhere", "/down", "/dead/"):
        assert sluice.request("GET", target).header("x-request-id")
    with sluice.connect() as client:
        client.send(b"rubbish\r\n\r\n")
        response = client.read_response()
        assert response.status == 400 and response.header("x-request-id") == response.json()["request_id"]


def test_what_the_client_sent_does_not_come_back_in_an_error(road):
    """Hardening 49: no reflection."""
    sluice, _ = road
    response = sluice.request("GET", "/<script>alert(1)</script>?x=%3Cscript%3E", [("X-A", "<b>")])
    assert b"<script>" not in response.body and b"<b>" not in response.body


def test_the_details_of_proxy_status_are_not_for_strangers(road):
    """B.3: no address of a backend in an answer."""
    response = road[0].request("GET", "/dead/")
    assert "127.0.0.1" not in response.header("proxy-status") and b"127.0.0.1" not in response.body
    assert response.header("proxy-status").startswith("sluice; error=connection_refused")


def test_an_error_of_the_backend_passes_with_its_own_body(simple):
    sluice, _ = simple(lambda request, connection: reply(503, b"mine", [("Retry-After", "7"), ("Content-Type", "text/x")]))
    response = sluice.request()
    assert (response.status, response.body, response.header("retry-after"), response.header("content-type")) == (503, b"mine",
        "7", "text/x")
