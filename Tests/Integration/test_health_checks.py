"""Which instances get traffic: checks, evidence from traffic, ejections, drains (behaviour C.3 to C.5, B.12; hardening 205 to 207,
209, 214)."""

import socket
import threading
import time
from collections import Counter

import pytest

from sluice_harness import SteadyLoad, deadline, reply, request_bytes, until
from sluice_harness.process import free_port
from sluice_harness.states import instance_state, named, refused, wait_changes, wait_instance
from test_balancing import QUICK_CHECK, before, who

# As users have it, but for how soon a failed one is looked at again.
USUAL = {"path": "/health", "interval": "30s", "backoff_max": "1s"}
ANY = {"enabled": False}


def checked(server, health, other=None):
    """Turns a backend into one with a script of its own for checks: `health(connection)`, `other(request, connection)`."""
    def handler(request, connection):
        if request.target.startswith("/health"):
            return health(request, connection)
        return other(request, connection) if other else reply(200, b"ok", [("X-Backend", server.name)])
    server.handler = handler


def traffic(server) -> list:
    """What it has received beside checks."""
    return [request for request in server.heads if not request.target.startswith("/health")]


def lines_about(sluice, server, start: int = 0) -> list[dict]:
    return [entry for entry in sluice.log_entries(start) if named(server) in entry.values()]


# States


def test_an_instance_gets_no_traffic_until_its_first_check_has_passed(gateway, backend):
    """C.4: unknown."""
    server = backend()
    checked(server, lambda request, connection: connection.hang() and None)
    sluice = gateway(before([server], health_check={**USUAL, "timeout": "20s"}, queue={"timeout": "400ms"}))
    server.wait_heads(1)
    for _ in range(3):
        refused(sluice.request(), "SERVICE_UNAVAILABLE", "no_healthy_instance", sluice)
    assert instance_state(sluice, server) == "unknown" and traffic(server) == []


def test_requests_wait_for_the_first_check_of_the_only_instance(gateway, backend):
    """As they would for a connection."""
    gate = threading.Event()
    server = backend()
    checked(server, lambda request, connection: reply() if gate.wait(20) else None)
    sluice = gateway(routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200}}])
    waiting = [sluice.connect() for _ in range(5)]
    # They wait for no more than a second after its birth: all is there before that.
    sluice.reload(before([server], health_check={"path": "/health", "interval": "30s", "timeout": "20s"}))
    server.wait_heads(1)
    for client in waiting:
        client.send(request_bytes())
    until(lambda: sluice.metrics().sum("sluice_upstream_queue_length", service="app") == 5, 5, "they wait")
    gate.set()
    for client in waiting:
        assert client.read_response().status == 200
        client.close()
    assert instance_state(sluice, server) == "healthy" and len(traffic(server)) == 5


def test_without_checks_an_instance_serves_from_the_start_and_is_never_asked(gateway, backend):
    """Design: without a health_check block only traffic is evidence."""
    server = backend()
    sluice = gateway(before([server]))
    assert instance_state(sluice, server) == "healthy"
    assert [sluice.request().status for _ in range(5)] == [200] * 5
    assert [request.target for request in server.heads] == ["/"] * 5


def test_checks_that_fail_take_an_instance_out_and_checks_that_pass_bring_it_back(process_backend, gateway):
    """C.5: fall and rise."""
    a, b = process_backend("a"), process_backend("b")
    sluice = gateway(before([a, b], health_check={**QUICK_CHECK, "fall": 2, "rise": 2}))
    wait_instance(sluice, a, "healthy")
    wait_instance(sluice, b, "healthy")
    b.order(health=500)
    wait_instance(sluice, b, "failed")
    with sluice.connect() as client:
        assert {who(client.request()) for _ in range(20)} == {"a"}
    b.order(health=200)
    wait_instance(sluice, b, "healthy")
    with sluice.connect() as client:
        assert {who(client.request()) for _ in range(20)} == {"a", "b"}
    wait_changes(sluice, [("unknown", "healthy", "checks_passed"), ("healthy", "failed", "checks_failed"),
                          ("failed", "healthy", "checks_passed")], instance=b.instance)
    metrics = sluice.metrics()
    assert metrics.sum("sluice_health_checks_total", service="app", type="active") >= 4
    assert {labels["result"] for labels in metrics.labels("sluice_health_checks_total")} >= {"passed", "failed"}


def test_a_slow_instance_is_degraded_and_keeps_half_of_its_weight(process_backend, gateway):
    """C.4: with hysteresis; issue: half their weight."""
    a, b = process_backend("a"), process_backend("b")
    sluice = gateway(before([a, b], health_check={**USUAL, "degraded_latency": "100ms"}))
    wait_instance(sluice, b, "healthy")
    b.order(delay=250)

    def degraded():
        sluice.request()
        return instance_state(sluice, b) == "degraded"
    until(degraded, 15, "degraded")
    b.order(delay=0)
    with sluice.connect() as client:
        counts = Counter(who(client.request()) for _ in range(120))
    assert instance_state(sluice, b) == "degraded" and 35 <= counts["b"] <= 45, counts


def test_checks_that_take_more_than_half_of_their_time_degrade(process_backend, gateway):
    """C.4."""
    a, b = process_backend("a"), process_backend("b", health_delay=600)
    sluice = gateway(before([a, b], health_check={**QUICK_CHECK, "timeout": "1s", "fast_timeout": "1s"}))
    wait_instance(sluice, b, "degraded")
    wait_instance(sluice, a, "healthy")


# Detection


@pytest.mark.seconds(40)
def test_a_killed_instance_is_out_within_5_s_and_hardly_a_get_fails_though_checks_come_every_30_s(process_backend, gateway):
    """Issue: at most 0.1 % of the GETs in the following 10 s; 5 s until none goes there."""
    a, b, c = servers = [process_backend(name) for name in "abc"]
    sluice = gateway(before(servers, health_check=USUAL, timeouts={"response": "1s"}))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    with SteadyLoad(sluice.ports["web"], 500, 30, connections=50, new_percent=5) as load:
        until(lambda: b.requests > 100, 5, "it is under way")
        b.kill()
        wait_instance(sluice, b, "failed", 5)
        count = a.requests
        until(lambda: a.requests > count + 300, 5, "some more requests")
        b.start()
        count = b.requests
        until(lambda: b.requests > count + 20, 10, "it serves again")
    # Those that it had begun when it was killed; 5 are 0.1 % of what 10 s bring.
    assert load.result["sent"] > 800 and load.result["ok"] >= load.result["sent"] - 5, load.result
    assert instance_state(sluice, b) == "healthy"


@pytest.mark.seconds(40)
def test_a_stopped_instance_is_out_within_5_s_and_comes_back(process_backend, gateway):
    """Issue: SIGSTOP, it accepts and hangs; response timeout 1 s."""
    a, b = servers = [process_backend("a"), process_backend("b")]
    sluice = gateway(before(servers, health_check=USUAL, timeouts={"response": "1s"}))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    with SteadyLoad(sluice.ports["web"], 200, 30, connections=200, new_percent=0):
        until(lambda: b.requests > 50, 5, "it is under way")
        b.pause()
        wait_instance(sluice, b, "failed", 5)
        with sluice.connect() as client:
            assert {who(client.request()) for _ in range(50)} == {"a"}
        b.resume()
        wait_instance(sluice, b, "healthy", 10)
        count = b.requests
        until(lambda: b.requests > count + 50, 5, "it serves again")


def test_a_stopped_instance_is_out_within_5_s_although_its_requests_may_take_30_s(process_backend, gateway):
    """Issue: within 5 s although the interval is 30 s. Silence is doubt long before timeouts.response is over."""
    a, b = servers = [process_backend("a"), process_backend("b")]
    sluice = gateway(before(servers, health_check={"path": "/health", "interval": "30s"}))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    with SteadyLoad(sluice.ports["web"], 50, 30, connections=200, new_percent=0):
        until(lambda: b.requests > 10, 5, "it is under way")
        b.pause()
        wait_instance(sluice, b, "failed", 5)
        with sluice.connect() as client:
            assert {who(client.request()) for _ in range(20)} == {"a"}
        b.resume()
    wait_changes(sluice, [("unknown", "healthy", "checks_passed"), ("healthy", "failed", "checks_failed")], instance=b.instance)


def test_an_idle_connection_that_is_reset_brings_a_check_at_once_and_one_that_is_closed_does_not(gateway, backend):
    """C.5: fast checks after an RST on an idle pooled connection; an orderly end is the backend's own keep-alive time."""
    def ending(how):
        told = threading.Event()

        def script(connection):
            while (request := connection.read_request()) is not None:
                connection.send(reply())
                if request.target == "/":
                    assert told.wait(20)
                    return how(connection)
        return told, backend(script=script)
    closing, resetting = ending(lambda connection: connection.close()), ending(lambda connection: connection.reset())
    servers = [server for _, server in (closing, resetting)]

    def checks() -> list[int]:
        return [sum(request.target == "/health" for request in server.heads) for server in servers]
    sluice = gateway(before(servers, health_check={"path": "/health", "interval": "30s"}))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    with sluice.connect() as client:
        assert [client.request().status for _ in range(2)] == [200, 200]
    assert [len(traffic(server)) for server in servers] == [1, 1] and checks() == [1, 1]
    for (told, _), left in ((closing, 1), (resetting, 0)):
        told.set()
        until(lambda: sluice.metrics().sum("sluice_upstream_connections", service="app", state="idle") == left, 5, "it has ended")
    until(lambda: checks()[1] == 2, 5, "one more check of the one that reset it")
    assert checks() == [1, 2]
    assert [instance_state(sluice, server) for server in servers] == ["healthy", "healthy"]


def test_one_that_closes_its_idle_connections_is_not_taken_for_dead(process_backend, gateway):
    """C.6: a stale connection is no evidence."""
    a = process_backend("a", idle=50)
    sluice = gateway(before([a], health_check=USUAL))
    wait_instance(sluice, a, "healthy")
    for _ in range(8):
        assert sluice.request().status == 200
        until(lambda: a.counts()["open"] == 0, 5, "it has closed them all")
    assert instance_state(sluice, a) == "healthy"
    assert [entry for entry in lines_about(sluice, a) if entry.get("to") == "failed"] == []


def test_without_checks_a_dead_instance_is_tried_with_one_request_at_a_time(process_backend, gateway):
    """A failed instance without checks becomes unknown, and a single request tells."""
    a, b = process_backend("a"), process_backend("b")
    sluice = gateway(before([a, b]))
    b.kill()
    with sluice.connect() as client:
        def out():
            assert who(client.request()) == "a", "the request is tried elsewhere"
            return instance_state(sluice, b) == "failed"
        until(out, 5, "failed")
        b.start()
        until(lambda: who(client.request()) == "b", 10, "it serves again")
    wait_instance(sluice, b, "healthy")


def test_an_instance_on_trial_is_tried_although_an_old_response_still_runs(gateway, backend):
    """The one request of a trial is counted apart from those that were there before."""
    ended, broken = threading.Event(), threading.Event()

    def handler(request, connection):
        if request.target == "/stream":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
            assert ended.wait(20)
            return b"0\r\n\r\n"
        return connection.reset() if broken.is_set() else reply()
    server = backend(handler)
    sluice = gateway(before([server], circuit_breaker=ANY))
    with sluice.connect() as streaming, sluice.connect() as client:
        streaming.send(request_bytes("GET", "/stream"))
        head = streaming.read_head()
        broken.set()
        until(lambda: client.request().status == 503, 5, "it has failed")
        broken.clear()
        until(lambda: client.request().status == 200, 5, "it is tried, and serves again")
        assert instance_state(sluice, server) == "healthy"
        ended.set()
        streaming.read_body(head, "GET", deadline(5))
        assert head.body == b"x", "the old response has run all the time"
        assert [client.request().status for _ in range(5)] == [200] * 5


# Checks and their answers


GARBAGE = {
    "garbage": b"garbage\r\n\r\n", "nothing": b"", "half a head": b"HTTP/1.1 200 O", "500": reply(500, b"no"), "404": reply(404, b""),
    "an endless field": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000, "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "binary": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_check_that_is_answered_with_garbage_has_failed(gateway, backend, name):
    """Issue, bad input. Hardening 207."""
    server, other = backend(), backend()
    server.name = "a"

    def answer(request, connection):
        connection.send(GARBAGE[name])
        connection.close()
    checked(server, answer)
    config = before([server], health_check=QUICK_CHECK)
    config["services"]["other"] = {"instances": [{"url": other.url}]}
    config["routes"].append({"name": "other", "match": {"path": "/other"}, "service": "other"})
    sluice = gateway(config)
    wait_instance(sluice, server, "failed")
    refused(sluice.request(), "SERVICE_UNAVAILABLE", "no_healthy_instance")
    assert sluice.request("GET", "/other").status == 200 and traffic(server) == []
    checked(server, lambda request, connection: reply(204, b"").replace(b"Content-Length: 0\r\n", b""))
    wait_instance(sluice, server, "healthy")
    assert sluice.request().status == 200


def test_a_check_that_is_never_answered_has_failed_when_its_time_is_up(gateway, backend):
    server = backend()
    checked(server, lambda request, connection: connection.hang() and None)
    sluice = gateway(before([server], health_check={**QUICK_CHECK, "timeout": "200ms"}))
    wait_instance(sluice, server, "failed")
    assert server.heads[0].connection.wait_end(5), "the check's connection is closed"


def test_a_head_that_never_ends_is_cut_off_when_its_time_is_up(gateway, backend):
    """Issue: a check that answers forever."""
    server = backend()

    def drip(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\n")
        while connection.ended is None:
            connection.send(b"X: y\r\n")
            time.sleep(0.02)    # a drip, each one within any idle timeout
    checked(server, drip)
    sluice = gateway(before([server], health_check={**QUICK_CHECK, "timeout": "300ms"}))
    wait_instance(sluice, server, "failed")
    assert server.heads[0].connection.wait_end(5)


@pytest.mark.memory
@pytest.mark.parametrize("expected", [None, "never there"])
def test_an_endless_body_is_not_read_for_ever(gateway, backend, expected):
    """Hardening 207: at most 64 KiB of it."""
    server = backend()
    sent = [0]

    def endless(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        while True:
            connection.send(b"x" * 65536)
            sent[0] += 65536
    checked(server, endless)
    sluice = gateway(before([server], health_check={**QUICK_CHECK, **({"expect_body": expected} if expected else {})}))
    before_it = sluice.rss_kib()
    wait_instance(sluice, server, "failed" if expected else "healthy")
    assert server.heads[0].connection.wait_end(5)
    assert sluice.rss_kib() - before_it < 4096


@pytest.mark.parametrize("expectation,good,bad", [
    ({"expect_status": [204, 418]}, reply(418, b""), reply(200, b"")),
    ({"expect_status": 200}, reply(200, b""), reply(301, b"", [("Location", "/")])),
    ({}, reply(399, b""), reply(400, b"")),
    ({"expect_body": "ready"}, reply(200, b"x" * 60_000 + b"ready", chunked=True), reply(200, b"x" * 65_600 + b"ready", chunked=True)),
    ({"expect_header": "X-Ready: yes"}, reply(200, b"", [("x-ready", "yes, sir")]), reply(200, b"", [("X-Ready", "no")])),
], ids=["statuses", "one status", "usual", "body", "header"])
def test_a_check_passes_only_with_what_is_expected(gateway, backend, expectation, good, bad):
    one, other = backend(), backend()
    checked(one, lambda request, connection: good)
    checked(other, lambda request, connection: bad)
    sluice = gateway(before([one, other], health_check={**QUICK_CHECK, **expectation}))
    wait_instance(sluice, one, "healthy")
    wait_instance(sluice, other, "failed")


def test_a_tcp_check_wants_a_connection_and_nothing_more(gateway, backend, process_backend):
    mute = backend(script=lambda connection: connection.hang() and None)
    dead = process_backend()
    dead.kill()
    sluice = gateway(before([mute, dead], health_check={**QUICK_CHECK, "type": "tcp"}))
    wait_instance(sluice, mute, "healthy")
    wait_instance(sluice, dead, "failed")
    assert mute.heads == []


def test_a_check_is_an_ordinary_get_of_our_own_on_a_connection_of_its_own(gateway, backend):
    """C.5: own User-Agent, Host configurable, apart from the pool; and no request in logs and metrics."""
    server = backend()
    sluice = gateway(before([server], health_check={**QUICK_CHECK, "path": "/health?deep=1", "host": "check.test"}))
    wait_instance(sluice, server, "healthy")
    assert sluice.request().status == 200
    checks = [request for request in server.heads if request.target == "/health?deep=1"]
    assert checks[0].method == "GET" and checks[0].header("host") == "check.test" and "sluice" in checks[0].header("user-agent").lower()
    assert checks[0].body == b"" and checks[0].header("x-forwarded-for") is None
    own = {id(request.connection) for request in checks}
    assert own.isdisjoint({id(request.connection) for request in traffic(server)})
    assert [entry["path"] for entry in sluice.wait_access(1)] == ["/"]
    assert sluice.metrics().sum("sluice_http_requests_total") == 1


def test_at_most_64_checks_run_at_once(gateway, backend):
    """Hardening 207: a thousand instances that hang are not asked together."""
    server = backend(script=lambda connection: connection.hang() and None, backlog=2048, host="0.0.0.0")
    instances = [{"url": f"http://127.0.0.{number}:{server.port}"} for number in range(1, 201)]
    well = backend()
    sluice = gateway({
        "services": {"app": {"instances": instances,
                             "health_check": {**QUICK_CHECK, "timeout": "20s", "fast_timeout": "20s", "fall": 100}},
                     "well": {"instances": [{"url": well.url}]}},
        "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"},
                   {"name": "well", "match": {"path": "/well"}, "service": "well"}]})
    for ended in range(0, 100, 20):
        server.wait_connections(64 + ended)
        assert [sluice.request("GET", "/well").status for _ in range(20)] == [200] * 20, "checks hold up nobody"
        assert len(server.connections) == 64 + ended
        for connection in server.connections[ended:ended + 20]:
            connection.socket.shutdown(socket.SHUT_RDWR)


def test_flapping_does_not_flood_the_log(process_backend, gateway):
    """Hardening 206; C.5: more than four changes in a minute make it harder to come back."""
    a, b = process_backend("a"), process_backend("b")
    sluice = gateway(before([a, b], health_check=QUICK_CHECK))
    wait_instance(sluice, b, "healthy")
    for _ in range(3):
        b.order(health=500)
        wait_instance(sluice, b, "failed")
        b.order(health=200)
        wait_instance(sluice, b, "healthy")
    start = len(sluice.stderr.lines)
    for state in (500, 200) * 10:
        b.order(health=state)
        time.sleep(0.15)    # its rhythm: faster than checks can follow for ever
    assert len(lines_about(sluice, b, start)) <= 6, "\n".join(sluice.stderr.lines[start:])
    with sluice.connect() as client:
        assert all(client.request().status == 200 for _ in range(20))


# What else takes an instance out


def test_an_instance_that_alone_answers_500_is_ejected_though_its_checks_pass(process_backend, gateway):
    """C.3; issue: errors after 5 s at most 1 %."""
    a, b, c = servers = [process_backend(name) for name in "abc"]
    sluice = gateway(before(servers, health_check=QUICK_CHECK, outlier_detection={"server_errors": 5, "ejection_time": "60s"}))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    b.order(status=500)
    with sluice.connect() as client:
        statuses = [client.request().status for _ in range(60)]
    assert statuses.count(500) == 5 == b.requests and 500 not in statuses[-40:]
    assert sluice.metrics().sum("sluice_outlier_ejections_total", service="app") == 1
    until(lambda: len([entry for entry in lines_about(sluice, b) if entry["message"] == "instance ejected"]) == 1, 5)


def test_an_ejected_instance_comes_back_after_its_time(process_backend, gateway):
    a, b = process_backend("a"), process_backend("b")
    sluice = gateway(before([a, b], outlier_detection={"server_errors": 3, "ejection_time": "2s"}, circuit_breaker=ANY))
    b.order(status=500)
    with sluice.connect() as client:
        until(lambda: b.requests == 3 or client.request() is None, 5, "three errors")
        assert {who(client.request()) for _ in range(20)} == {"a"}
        b.order(status=200)
        until(lambda: who(client.request()) == "b", 5, "it serves again")


def test_at_most_half_of_a_service_is_ejected(process_backend, gateway):
    """Hardening 206: where all fail, the breaker is there for it."""
    servers = [process_backend(name, status=500) for name in "abcd"]
    sluice = gateway(before(servers, outlier_detection={"server_errors": 3, "ejection_time": "60s"}, circuit_breaker=ANY))
    with sluice.connect() as client:
        assert {client.request().status for _ in range(60)} == {500}
    assert sluice.metrics().sum("sluice_outlier_ejections_total", service="app") == 2
    assert sorted(server.requests for server in servers)[:2] == [3, 3]


def test_a_drained_instance_ends_what_it_has_and_takes_nothing_until_it_is_let_in(gateway, backend):
    """Issue: drain of an instance."""
    gate = threading.Event()
    servers = [backend(name=name) for name in "ab"]
    for server in servers:
        server.handler = lambda request, connection, name=server.name: (
            reply(200, b"", [("X-Backend", name)]) if request.target == "/" or gate.wait(20) else None)
    sluice = gateway(before(servers))
    held = [sluice.connect() for _ in range(2)]
    for client in held:
        client.send(request_bytes("GET", "/held"))
    for server in servers:
        server.wait_requests(1)
    path = f"/services/app/instances/{named(servers[0])}"
    assert sluice.admin("POST", f"{path}/drain").status == 200
    with sluice.connect() as client:
        assert {who(client.request()) for _ in range(20)} == {"b"}
        gate.set()
        assert sorted(who(client.read_response()) for client in held) == ["a", "b"]
        assert sluice.admin("POST", f"{path}/undrain").status == 200
        assert {who(client.request()) for _ in range(20)} == {"a", "b"}
    assert sluice.admin("POST", "/services/app/instances/10.0.0.1:1/drain").status == 404
    assert sluice.admin("POST", f"/services/nobody/instances/{named(servers[0])}/drain").status == 404
    for client in held:
        client.close()


# Reloads


def test_a_reload_keeps_what_is_known_of_an_instance(process_backend, gateway):
    """Hardening 214; B.12."""
    a, b, c = (process_backend(name) for name in "abc")
    config = before([a, b], health_check={**USUAL, "interval": "100ms", "fall": 1, "backoff_max": "30s"})
    sluice = gateway(config)
    wait_instance(sluice, a, "healthy")
    b.kill()
    wait_instance(sluice, b, "failed")
    assert sluice.admin("POST", f"/services/app/instances/{a.instance}/drain").status == 200
    start = len(sluice.stderr.lines)
    sluice.reload({**config, "routes": [*config["routes"], {"name": "x", "match": {"path": "/x"}, "respond": {"status": 200}}]})
    assert instance_state(sluice, b) == "failed", "not a new instance"
    refused(sluice.request(), "SERVICE_UNAVAILABLE", "no_healthy_instance")
    more = before([a, b, c], health_check=config["services"]["app"]["health_check"])
    sluice.reload(more)
    wait_instance(sluice, c, "healthy")
    assert {who(sluice.request()) for _ in range(5)} == {"c"}
    assert not [entry for entry in lines_about(sluice, a, start) + lines_about(sluice, b, start) if entry.get("from")]


@pytest.mark.seconds(60)
def test_a_hundred_instances_come_and_go_with_each_of_ten_reloads_a_second(process_backend, gateway):
    """Issue, bad input: state stays right, nothing is lost."""
    a, b = process_backend("a"), process_backend("b")
    ports = [free_port() for _ in range(100)]

    def config(number):
        strangers = [{"url": f"http://127.0.0.1:{port}"} for port in (ports if number % 2 else [])]
        return {"services": {"app": {"instances": [{"url": a.url}, *strangers, {"url": b.url}], "health_check": USUAL}},
                "limits": {"connections_per_client": 4096, "request_headers": 50 + number},
                "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}]}
    sluice = gateway(config(0))
    for server in (a, b):
        wait_instance(sluice, server, "healthy")
    with SteadyLoad(sluice.ports["web"], 300, 30, connections=20, new_percent=10) as load:
        for number in range(1, 21):
            due = time.monotonic() + 0.1
            sluice.reload(config(number))
            until(lambda: time.monotonic() >= due, 5)
    failed = [entry for entry in sluice.access_entries() if entry["status"] != 200]
    assert load.lost() == {} and load.result["sent"] > 300, (load.result, failed[:3])
    until(lambda: {labels["instance"] for labels in sluice.metrics().labels("sluice_instance_health")} >= {a.instance, b.instance}, 5)
    assert instance_state(sluice, a) == instance_state(sluice, b) == "healthy"
    data = sluice.admin("GET", "/internal/services").json()["data"]
    assert sorted(one["id"] for one in data[0]["instances"]) == sorted([a.instance, b.instance])


def test_a_name_that_does_not_resolve_is_no_place_for_traffic_and_is_told_once(process_backend, gateway):
    """Issue, bad input. Hardening 209."""
    a = process_backend("a")
    config = before([a], health_check=QUICK_CHECK, resolve_interval="1s")
    config["services"]["app"]["instances"].append({"url": "http://no-such-host.invalid:80"})
    sluice = gateway(config)
    wait_instance(sluice, a, "healthy")
    until(lambda: instance_state(sluice, "no-such-host.invalid:80") in ("unknown", "failed"), 5)
    with sluice.connect() as client:
        assert {who(client.request()) for _ in range(20)} == {"a"}
    wait_instance(sluice, "no-such-host.invalid:80", "failed", 10)
    checks = sluice.metrics().sum("sluice_health_checks_total", service="app")
    until(lambda: sluice.metrics().sum("sluice_health_checks_total", service="app") > checks + 20, 10, "20 more checks")
    said = [line for line in sluice.stderr.lines if "no-such-host" in line]
    assert 1 <= len(said) <= 4, "\n".join(said)
