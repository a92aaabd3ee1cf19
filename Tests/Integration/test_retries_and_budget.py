"""What is tried again, where, how often, and never (behaviour C.6; hardening 203)."""

import time

import pytest

from sluice_harness import SteadyLoad, Truncated, reply, request_bytes, until
from sluice_harness.states import breaker_state, instance_state
from test_balancing import before, who

OFF = {"enabled": False}


def retrying(servers, *conditions, **more) -> dict:
    """A service that tries again for these reasons; nothing else keeps requests from its instances."""
    service = {"timeouts": more.pop("timeouts")} if "timeouts" in more else {}
    retry = {"attempts": 2, **({"retry_on": list(conditions)} if conditions else {}), **more}
    return before(servers, circuit_breaker=OFF, outlier_detection=OFF, retry=retry, **service)


def failing_first(backend, failure, good=None):
    """Two backends, of which the one that is asked first fails each request; which one that is, is found out here."""
    servers = [backend(name="a"), backend(name="b")]
    first = []

    def handler(server):
        def handle(request, connection):
            if request.target.startswith("/first"):
                if not first:
                    first.append(server)
                if first[0] is server:
                    return failure(request, connection) if callable(failure) else failure
            return good(request) if good else reply(200, request.body, [("X-Backend", server.name)])
        return handle
    for server in servers:
        server.handler = handler(server)
    return servers


def tried_again(metrics, reason: str) -> float:
    """Retries that were made; wanted and denied ones are counted apart."""
    return sum(metrics.sum("sluice_upstream_retries_total", service="app", reason=reason, result=result)
               for result in ("success", "failure"))


def asked(servers) -> list[list[str]]:
    return [[request.method for request in server.heads] for server in servers]


# Where and how often


@pytest.mark.seconds(40)
def test_retries_add_no_more_than_their_budget_when_all_backends_answer_503(process_backend, gateway):
    """Hardening 203: upstream ≤ 1.2 × client requests; rule 7."""
    servers = [process_backend(name, status=503) for name in "abc"]
    sluice = gateway({"limits": {"connections_per_client": 4096}, **retrying(servers, "5xx")})
    with SteadyLoad(sluice.ports["web"], 1000, 4, connections=400, new_percent=0) as load:
        result = load.run_out(20)
    assert result["wrong_status"] == result["sent"] >= 4000, result
    upstream = sum(server.requests for server in servers)
    assert 1.1 * result["sent"] < upstream <= 1.2 * result["sent"] + 10, "10 are the floor of the first second"
    metrics = sluice.metrics()
    assert tried_again(metrics, "upstream_status") == upstream - result["sent"]
    assert metrics.sum("sluice_upstream_retries_total", service="app", result="denied") > 0
    assert metrics.sum("sluice_retry_budget_remaining_ratio", service="app") < 0.2


def test_each_try_goes_to_another_instance(backend, gateway):
    servers = [backend(lambda request, connection: reply(503, b"no")) for _ in range(3)]
    sluice = gateway(retrying(servers, "5xx"))
    response = sluice.request()
    assert response.status == 503 and response.body == b"no", "the last answer is passed on"
    assert asked(servers) == [["GET"]] * 3 and sluice.entry(response)["attempts"] == 3


def test_a_service_with_few_requests_has_its_floor(backend, gateway):
    """C.6: a floor of 3 at once."""
    servers = failing_first(backend, reply(503))
    sluice = gateway(retrying(servers, "5xx", budget=0.01))
    for _ in range(4):
        assert sluice.request("GET", "/first").status == 200


def test_with_no_attempts_or_no_budget_nothing_is_tried_again(backend, gateway):
    for retry in ({"attempts": 0}, {"budget": 0}, OFF):
        servers = [backend(lambda request, connection: reply(503)) for _ in range(2)]
        sluice = gateway(retrying(servers, "5xx", **retry))
        assert sluice.request().status == 503 and sorted(asked(servers)) == [[], ["GET"]], retry


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_never_sent_is_tried_elsewhere_whatever_the_method(process_backend, gateway, method):
    """Issue: a request that was never written to a backend may always be tried elsewhere."""
    a, b = process_backend("a"), process_backend("b")
    sluice = gateway(retrying([a, b]))
    b.kill()
    with sluice.connect() as client:
        for _ in range(12):
            assert who(client.request(method, "/", body=b"once" if method == "POST" else None)) == "a"
    assert a.requests == 12
    assert tried_again(sluice.metrics(), "connect_refused") >= 1


@pytest.mark.parametrize("condition,failure", [
    ("5xx", reply(500)), ("gateway_error", reply(502)), ("gateway_error", b"garbage\r\n\r\n"), ("429", reply(429)), (503, reply(503)),
    (409, reply(409)), ("timeout", lambda request, connection: connection.hang() and None),
    ("gateway_error", lambda request, connection: connection.reset()),
], ids=["5xx", "gateway_error", "garbage", "429", "a status", "another status", "timeout", "reset"])
def test_retry_on_says_what_is_tried_again(backend, gateway, condition, failure):
    servers = failing_first(backend, failure)
    sluice = gateway(retrying(servers, condition, timeouts={"response": "1s" if condition == "timeout" else "10s"}))
    assert sluice.request("GET", "/first").status == 200
    assert sorted(asked(servers)) == [["GET"], ["GET"]]


@pytest.mark.parametrize("failure,status", [
    (reply(500), 500), (reply(503), 503), (reply(429), 429), (b"garbage\r\n\r\n", 502),
    (lambda request, connection: connection.hang() and None, 504)], ids=["500", "503", "429", "garbage", "timeout"])
def test_nothing_of_it_is_tried_again_unless_asked_for(backend, gateway, failure, status):
    """C.6: on by default only for connect_failure, refused_stream and stale_connection."""
    servers = failing_first(backend, failure)
    sluice = gateway(retrying(servers, timeouts={"response": "200ms" if status == 504 else "10s"}))
    assert sluice.request("GET", "/first").status == status
    assert sorted(asked(servers)) == [[], ["GET"]]


# What is safe


def test_a_post_that_timed_out_on_a_stopped_backend_is_never_sent_twice(process_backend, gateway):
    """Issue. The stopped backend reads what it was sent when it goes on."""
    a, b = process_backend("a"), process_backend("b")
    config = retrying([a, b], "5xx", "timeout", "gateway_error", "connect_failure", timeouts={"response": "300ms"})
    sluice = gateway(config)
    b.pause()
    statuses = {}
    for number in range(100, 108):
        statuses[number] = sluice.request("POST", "/", [("X-Number", str(number))], b"pay").status
    assert set(statuses.values()) <= {200, 504} and 504 in statuses.values(), statuses
    assert sluice.request("GET", "/").status == 200, "a GET is tried elsewhere"
    b.resume()
    timed_out = [number for number, status in statuses.items() if status == 504]
    until(lambda: set(timed_out) <= set(b.numbers()), 5, "it has read them")
    seen = [number for number in a.numbers() + b.numbers() if number]
    assert sorted(seen) == sorted(statuses), "each of them once"


def test_a_put_with_a_small_body_is_repeated_whole(backend, gateway):
    """C.6: a body up to 64 KiB is kept for it."""
    servers = failing_first(backend, reply(503))
    sluice = gateway(retrying(servers, "5xx"))
    body = bytes(range(256)) * 120
    response = sluice.request("PUT", "/first", body=body)
    assert response.status == 200 and response.body == body
    assert [request.body for server in servers for request in server.requests] == [body, body]


def test_a_chunked_put_is_repeated_whole(backend, gateway):
    servers = failing_first(backend, reply(503))
    sluice = gateway(retrying(servers, "5xx"))
    with sluice.connect() as client:
        client.send(b"PUT /first HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        client.send(b"6\r\n world\r\n0\r\n\r\n")
        response = client.read_response("PUT")
    assert (response.status, response.body) == (200, b"hello world")


def test_a_put_with_a_large_body_is_not_repeated(backend, gateway):
    servers = failing_first(backend, reply(503))
    sluice = gateway(retrying(servers, "5xx"))
    assert sluice.request("PUT", "/first", body=b"x" * 300_000).status == 503
    assert sorted(asked(servers)) == [[], ["PUT"]]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_post_with_an_idempotency_key_is_repeated_where_that_is_trusted(backend, gateway, trusted):
    servers = failing_first(backend, reply(503))
    sluice = gateway(retrying(servers, "5xx", trust_idempotency_key=trusted))
    response = sluice.request("POST", "/first", [("Idempotency-Key", "b7a1")], b"pay")
    assert response.status == (200 if trusted else 503)
    assert sorted(asked(servers)) == ([["POST"], ["POST"]] if trusted else [[], ["POST"]])


def test_a_post_without_a_key_is_never_repeated_once_it_was_sent(backend, gateway):
    servers = failing_first(backend, reply(503))
    sluice = gateway(retrying(servers, "5xx", "timeout", "gateway_error", trust_idempotency_key=True))
    assert sluice.request("POST", "/first", body=b"pay").status == 503
    assert sorted(asked(servers)) == [[], ["POST"]]


def test_nothing_is_tried_again_once_the_answer_has_begun(backend, gateway):
    """Hardening 203: never after response bytes reached the client."""
    def cut(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.reset()
    servers = failing_first(backend, cut)
    sluice = gateway(retrying(servers, "5xx", "timeout", "gateway_error"))
    with sluice.connect() as client, pytest.raises(Truncated):
        client.request("GET", "/first")
    assert sorted(asked(servers)) == [[], ["GET"]]


# Time


def test_a_try_has_a_time_of_its_own(backend, gateway):
    """C.6: per_try_timeout."""
    servers = failing_first(backend, lambda request, connection: connection.hang() and None)
    sluice = gateway(retrying(servers, "timeout", per_try_timeout="1s", timeouts={"response": "10s"}))
    started = time.monotonic()
    assert sluice.request("GET", "/first").status == 200 and 1 <= time.monotonic() - started < 8
    assert sorted(asked(servers)) == [["GET"], ["GET"]]


def test_the_deadline_of_the_request_counts_over_all_tries(backend, gateway):
    """C.6: the total deadline always wins."""
    servers = [backend(lambda request, connection: connection.hang() and None) for _ in range(3)]
    sluice = gateway(retrying(servers, "timeout", per_try_timeout="250ms", timeouts={"request": "400ms", "response": "10s"}))
    started = time.monotonic()
    assert sluice.request().status == 504 and time.monotonic() - started < 1.5
    until(lambda: sum(len(server.heads) for server in servers) == 2, 5, "the second try is seen")


def test_what_retry_after_asks_for_is_waited_for(backend, gateway):
    """C.6; hardening 203."""
    servers = failing_first(backend, reply(503, b"", [("Retry-After", "1")]))
    sluice = gateway(retrying(servers, "5xx"))
    started = time.monotonic()
    assert sluice.request("GET", "/first").status == 200 and 1 <= time.monotonic() - started < 4


@pytest.mark.parametrize("asked_for,timeouts", [("2", {"request": "1s"}), ("3600", {})], ids=["deadline", "too long"])
def test_where_retry_after_asks_for_more_time_than_there_is_the_answer_is_passed_on(backend, gateway, asked_for, timeouts):
    servers = failing_first(backend, reply(503, b"later", [("Retry-After", asked_for)]))
    sluice = gateway(retrying(servers, "5xx", timeouts=timeouts))
    response = sluice.request("GET", "/first")
    assert (response.status, response.body, response.header("retry-after")) == (503, b"later", asked_for)
    assert sorted(asked(servers)) == [[], ["GET"]]


def test_a_client_that_leaves_between_two_tries_ends_them(backend, gateway):
    servers = failing_first(backend, reply(503, b"", [("Retry-After", "1")]))
    sluice = gateway(retrying(servers, "5xx"))
    with sluice.connect() as client:
        client.send(request_bytes("GET", "/first"))
        until(lambda: sum(len(server.requests) for server in servers) == 1, 5, "the first try")
        client.reset()
    assert sluice.wait_access(1)[0]["reason"] == "client_closed"
    with pytest.raises(AssertionError):
        until(lambda: sum(len(server.heads) for server in servers) > 1, 1.3)


# Stale connections


@pytest.mark.seconds(40)
def test_backends_that_close_idle_connections_cost_no_get_no_budget_and_no_breaker(process_backend, gateway):
    """Issue: idle connections closed after 200 ms, bursts every 250 ms: no failed GET; seen in two peers."""
    servers = [process_backend(name, idle=200) for name in "ab"]
    sluice = gateway(before(servers, circuit_breaker={"failure_threshold": 1}, retry={"budget": 0.01}))
    with SteadyLoad(sluice.ports["web"], 240, 3, connections=60, new_percent=0, burst=250) as load:
        result = load.run_out(20)
    assert result["ok"] == result["sent"] >= 700, result
    metrics = sluice.metrics()
    assert breaker_state(sluice) == "closed"
    assert metrics.sum("sluice_circuit_breaker_transitions_total", service="app") == 0
    assert metrics.sum("sluice_retry_budget_remaining_ratio", service="app") == 1
    assert [instance_state(sluice, server) for server in servers] == ["healthy", "healthy"]


def test_a_get_on_a_connection_that_was_closed_meanwhile_costs_nothing(backend, gateway):
    """C.6: no evidence against the instance, and nothing of the budget."""
    def script(connection):
        if connection.read_request() is not None:
            connection.send(reply(200, b"%d" % connection.number))
            connection.read_request()
            connection.close()
    server = backend(script=script)
    sluice = gateway({"server": {"workers": 1}, **before([server], circuit_breaker={"failure_threshold": 1}, retry={"budget": 0.01})})
    with sluice.connect() as client:
        assert [client.request().status for _ in range(12)] == [200] * 12
    metrics = sluice.metrics()
    assert breaker_state(sluice) == "closed" and instance_state(sluice, server) == "healthy"
    assert tried_again(metrics, "upstream_reset") >= 5
    assert metrics.sum("sluice_retry_budget_remaining_ratio", service="app") == 1


def test_a_request_that_another_gateway_retries_is_not_retried_here(backend, gateway):
    """C.6: two tiers that retry multiply."""
    servers = failing_first(backend, reply(503))
    sluice = gateway({"server": {"trusted_proxies": ["127.0.0.1/32"]}, **retrying(servers, "5xx")})
    assert sluice.request("GET", "/first", [("X-Sluice-Retry", "1")]).status == 503
    assert sorted(asked(servers)) == [[], ["GET"]]
