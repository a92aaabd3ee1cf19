"""Which route takes a request, and what it does with it (hardening 20, 53, 65; issue: routing)."""

import time

import pytest

from sluice_harness import reply


@pytest.fixture
def routed(world):
    """A daemon whose backend answers with the target that it saw; routes without an action go to it."""
    def start(*routes, **blocks):
        server = world.backend(lambda request, connection: reply(200, request.target.encode(), [
            ("X-Prefix", request.header("x-forwarded-prefix") or "-")]))
        actions = {"service", "redirect", "respond", "health", "metrics"}
        complete = [route if actions & set(route) else {**route, "service": "app"} for route in routes]
        return world.gateway(services={"app": {"instances": [{"url": server.url}]}}, routes=complete, **blocks), server
    return start


def named(name, path="/*", status=None, **match):
    """A route that answers with its own name."""
    return {"name": name, "match": {"path": path, **match}, "respond": {"status": status or 200, "body": name}}


def who(sluice, target="/", method="GET", headers=(), host="app.test"):
    response = sluice.request(method, target, headers, host=host)
    return response.body.decode() if response.status == 200 else response.status


def test_the_most_specific_path_wins_whatever_its_place(routed):
    sluice, _ = routed(
        named("all", "/*"), named("users", "/api/v1/users/*"), named("api", "/api/*"), named("exact", "/api/v1/users/me"),
        named("template", "/api/v1/users/{id}"), named("deep", "/api/v1/users/{id}/orders/{order}"), named("root", "/"))
    table = {"/": "root", "/x": "all", "/api": "api", "/api/": "api", "/api/x": "api", "/apix": "all",
        "/api/v1/users/me": "exact",
             "/api/v1/users/7": "template", "/api/v1/users/7/orders/8": "deep", "/api/v1/users/7/orders": "users",
             "/api/v1/users/7/x": "users", "/api/v1/users": "users", "/api/v1/users/": "users", "/API/x": "all"}
    assert {target: who(sluice, target) for target in table} == table


def test_an_exact_host_wins_over_a_wildcard_and_a_wildcard_over_any(routed):
    sluice, _ = routed(
        named("exact", host="api.example.com"), named("wild", host="*.example.com"), named("wilder", host="*.eu.example.com"),
        named("any"), named("two", "/two", host=["one.test", "two.test"]))
    assert [who(sluice, host=host) for host in (
        "api.example.com", "www.example.com", "x.eu.example.com", "a.b.example.com", "example.com", "other.test")] == \
        ["exact", "wild", "wilder", "wild", "any", "any"]
    assert who(sluice, "/two", host="two.test") == "two" and who(sluice, "/two", host="one.test") == "two"


def test_no_route_is_404_and_says_nothing_of_the_others(routed):
    """B.2; hardening 65: never a default upstream."""
    sluice, server = routed({"name": "secret", "match": {"path": "/secret-path/*", "host": "secret.example"}})
    response = sluice.request("GET", "/nothing")
    assert response.status == 404 and response.json()["error"]["code"] == "NOT_FOUND"
    assert b"secret" not in response.body and server.heads == []
    assert sluice.entry(response)["reason"] == "no_route"


def test_a_method_that_no_route_takes_is_405_with_allow(routed):
    """Hardening 20; RFC 9110 §15.5.6."""
    sluice, server = routed(
        {"name": "read", "match": {"path": "/things/*", "methods": ["GET"]}},
        {"name": "write", "match": {"path": "/things/*", "methods": ["POST", "PUT"]}})
    response = sluice.request("DELETE", "/things/1")
    assert response.status == 405 and response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"
    assert set(response.header("allow").replace(" ", "").split(",")) == {"GET", "HEAD", "POST", "PUT"}
    assert server.heads == []
    assert sluice.request("HEAD", "/things/1").status == 200
    assert sluice.request("PUT", "/things/1", body=b"").status == 200


def test_a_method_of_its_own_is_taken_only_by_a_route_that_names_it(routed):
    """Hardening 20."""
    sluice, server = routed({"name": "purge", "match": {"path": "/cache/*", "methods": ["PURGE"]}},
                            {"name": "all", "match": {"path": "/*"}})
    assert sluice.request("PURGE", "/cache/x").status == 200
    assert sluice.request("PURGE", "/other").status in (405, 501)
    assert [head.method for head in server.heads] == ["PURGE"]


def test_header_and_query_conditions_choose_among_routes(routed):
    sluice, _ = routed(
        named("plain"), named("beta", "/b", headers={"X-Beta": "1"}), named("either", "/e", headers={"X-Color": ["red", "blue"]}),
        named("there", "/t", headers={"X-There": {"present": True}}), named("query", "/q", query={"v": "2"}),
        named("both", "/q", headers={"X-Beta": "1"}, query={"v": "2"}))
    assert who(sluice) == "plain" and who(sluice, "/b") == "plain"
    assert who(sluice, "/b", headers=[("x-beta", "1")]) == "beta" and who(sluice, "/b", headers=[("X-Beta", "2")]) == "plain"
    assert who(sluice, "/e", headers=[("X-Color", "blue")]) == "either" and who(sluice, "/e",
        headers=[("X-Color", "green")]) == "plain"
    assert who(sluice, "/t", headers=[("X-There", "anything")]) == "there" and who(sluice, "/t") == "plain"
    assert who(sluice, "/q?v=2") == "query" and who(sluice, "/q?v=22") == "plain" and who(sluice, "/q?w=1&v=2") == "query"
    assert who(sluice, "/q?v=2", headers=[("X-Beta", "1")]) == "both"


def test_a_header_condition_is_not_met_by_a_list_that_hides_the_value(routed):
    """Hardening 72."""
    sluice, _ = routed(named("plain"), named("beta", headers={"X-Beta": "1"}))
    assert who(sluice, headers=[("X-Beta", "1, 2")]) == "plain" and who(sluice, headers=[("X-Beta", "11")]) == "plain"


@pytest.mark.parametrize("path,target,seen,prefix", [
    ({"strip_prefix": "/api"}, "/api/users?q", "/users?q", "/api"), ({"strip_prefix": "/api"}, "/api", "/", "/api"),
    ({"strip_prefix": "/api"}, "/api/", "/", "/api"), ({"add_prefix": "/v1"}, "/api/x", "/v1/api/x", "-"),
    ({"strip_prefix": "/api", "add_prefix": "/v2"}, "/api/a%20b", "/v2/a%20b", "/api"),
    ({"rewrite": "/fixed"}, "/api/x?q=1", "/fixed?q=1", "-"),
    ({"rewrite": "/new/*"}, "/api/a/b", "/new/a/b", "-"),
], ids=str)
def test_prefixes_are_stripped_and_added_and_paths_rewritten(routed, path, target, seen, prefix):
    sluice, server = routed({"name": "api", "match": {"path": "/api/*"}, "path": path})
    response = sluice.request("GET", target)
    assert (response.status, server.heads[0].target, response.header("x-prefix")) == (200, seen, prefix)


def test_a_rewrite_uses_the_segments_of_the_template(routed):
    sluice, server = routed({"name": "t", "match": {"path": "/u/{user}/o/{order}"},
        "path": {"rewrite": "/orders/{order}/of/{user}"}})
    assert sluice.request("GET", "/u/a%20b/o/7").body == b"/orders/7/of/a%20b"


def test_stripping_never_makes_an_authority_or_climbs(routed):
    """Hardening 53; B.2: a path that changes after strip."""
    sluice, server = routed({"name": "api", "match": {"path": "/api/*"}, "path": {"strip_prefix": "/api"}})
    assert sluice.request("GET", "/api//evil.test/x").status == 400
    assert server.heads == []


@pytest.mark.parametrize("redirect,target,location", [
    ({"to": "https://new.example/here"}, "/old", "https://new.example/here"),
    ({"to": "https://${host}${path}"}, "/old?a=b", "https://app.test/old?a=b"),
    ({"to": "/elsewhere", "status": 308}, "/old", "/elsewhere"),
    ({"to": "/elsewhere", "keep_query": False}, "/old?a=b", "/elsewhere"),
    ({"to": "/elsewhere?x=y"}, "/old?a=b", "/elsewhere?x=y"),
], ids=str)
def test_a_redirect_says_where_and_reaches_no_backend(routed, redirect, target, location):
    sluice, server = routed({"name": "old", "match": {"path": "/*"}, "redirect": redirect})
    with sluice.connect() as client:
        response = client.request("GET", target)
        assert (response.status, response.header("location")) == (redirect.get("status", 302), location)
        assert client.is_open() and client.request("GET", target).status == response.status
    assert server.heads == []


@pytest.mark.parametrize("host", ["evil.test\"x", "a b", "evil@x"])
def test_a_redirect_is_not_built_from_an_invalid_host(routed, host):
    """Hardening 49, 76."""
    sluice, _ = routed({"name": "old", "match": {"path": "/*"}, "redirect": {"to": "https://${host}${path}"}})
    assert sluice.request("GET", "/", host=host).status == 400


def test_a_fixed_response_has_its_status_fields_and_body(routed):
    sluice, server = routed({"name": "fixed", "match": {"path": "/robots.txt"}, "respond": {
        "status": 203, "headers": {"X-Robots-Tag": "none"}, "body": "User-agent: *\nDisallow: /\n",
        "content_type": "text/plain"}})
    response = sluice.request("GET", "/robots.txt")
    assert (response.status, response.body, response.header("content-type"), response.header("x-robots-tag")) == \
        (203, b"User-agent: *\nDisallow: /\n", "text/plain", "none")
    head = sluice.request("HEAD", "/robots.txt")
    assert (head.status, head.body, head.header("content-length")) == (203, b"", response.header("content-length"))
    assert server.heads == []


@pytest.mark.parametrize("where", ["route", "service"])
def test_maintenance_answers_503_with_retry_after(world, where):
    """B.2; B.8: maintenance."""
    server = world.backend()
    block = {"message": "back soon", "retry_after": "120s"}
    sluice = world.gateway(
        services={"app": {"instances": [{"url": server.url}], **({"maintenance": block} if where == "service" else {})}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app",
        **({"maintenance": block} if where == "route" else {})}])
    response = sluice.request()
    assert response.status == 503 and response.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert response.json()["error"]["message"] == "back soon" and 120 <= int(response.header("retry-after")) <= 144
    assert sluice.entry(response)["reason"] == "maintenance" and server.heads == []


def test_what_is_disabled_takes_no_request(gateway, backend):
    server = backend()
    sluice = gateway(
        middlewares={"gone": {"enabled": False, "headers": {"request": {"set": {"X-Gone": "1"}}}}},
        services={"app": {"instances": [{"url": server.url}]}, "dark": {"enabled": False, "instances": [{"url": server.url}]}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app", "middlewares": ["gone"]},
                {"name": "disabled", "enabled": False, "match": {"path": "/x"}, "respond": {"status": 418}},
                {"name": "of-service", "match": {"path": "/dark"}, "service": "dark"}])
    assert sluice.request("GET", "/x").status == 200
    assert server.heads[0].all("x-gone") == []
    assert sluice.request("GET", "/dark").status == 503
    assert len(server.heads) == 1


def test_health_is_served_on_a_data_listener_where_a_route_asks_for_it(routed):
    """Hardening 188: status, version and timestamp only."""
    sluice, _ = routed({"name": "health", "match": {"path": "/health"}, "health": True}, {"name": "all", "match": {"path": "/*"}})
    response = sluice.request("GET", "/health")
    assert response.status == 200 and set(response.json()) == {"status", "version", "timestamp"}
    assert response.json()["status"] == "healthy"


def test_timeouts_of_a_route_override_those_of_its_service(gateway, backend):
    server = backend(lambda request, connection: connection.hang() and None)
    sluice = gateway(
        services={"app": {"instances": [{"url": server.url}], "timeouts": {"response": "10s"}}},
        routes=[{"name": "fast", "match": {"path": "/fast"}, "service": "app", "timeouts": {"response": "200ms"}},
                {"name": "all", "match": {"path": "/*"}, "service": "app"}])
    started = time.monotonic()
    assert sluice.request("GET", "/fast").status == 504
    assert time.monotonic() - started < 2


def test_ten_thousand_routes_are_loaded_and_matched(gateway, backend):
    """Design: matching costs the same with 10 and with 10,000 routes."""
    server = backend(lambda request, connection: reply(200, request.target.encode()))
    routes = [{"name": f"r{n}", "match": {"path": f"/r{n}/*", "host": f"h{n % 100}.test"},
        "service": "app"} for n in range(10_000)]
    sluice = gateway(services={"app": {"instances": [{"url": server.url}]}}, routes=routes)
    for number in (0, 1, 4999, 9999):
        response = sluice.request("GET", f"/r{number}/x", host=f"h{number % 100}.test")
        assert response.body == f"/r{number}/x".encode() and sluice.entry(response)["route"] == f"r{number}"
        assert sluice.request("GET", f"/r{number}/x", host=f"h{(number + 1) % 100}.test").status == 404
