"""CORS (behaviour B.3; hardening 164, 165; Fetch standard, HTTP-CORS protocol)."""

import pytest

from sluice_harness import reply, request_bytes

SITE = "https://app.example.com"
PREFLIGHT = [("Access-Control-Request-Method", "POST")]


def fields(response) -> dict:
    """The CORS fields of an answer, each there once."""
    found = {}
    for name, value in response.headers:
        if name.lower().startswith(b"access-control-"):
            key = name.lower().decode()[len("access-control-"):]
            assert key not in found, f"{name} stands twice in {response}"
            found[key] = value.decode()
    return found


def vary(response) -> set:
    return {element.strip().lower() for value in response.all("vary") for element in value.split(",") if element.strip()}


def elements(text: str) -> set:
    return {element.strip().lower() for element in text.split(",") if element.strip()}


@pytest.fixture(scope="module")
def road(module_world):
    def answer(request, connection):
        if request.target.endswith("/own"):
            return reply(200, b"x", [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"),
                                     ("access-control-expose-headers", "X-Backend"), ("Access-Control-Allow-Methods", "DELETE"),
                                     ("Access-Control-Max-Age", "1"), ("Vary", "Accept-Encoding")])
        if request.target.endswith("/varied"):
            return reply(200, b"x", [("Vary", "Accept, Origin"), ("Vary", "Cookie")])
        if request.target.endswith("/star"):
            return reply(200, b"x", [("Vary", "*")])
        if request.target.endswith("/error"):
            return reply(500, b"x")
        return reply(200, b"x")
    server = module_world.backend(answer)
    dead = module_world.backend()
    gone = dead.url
    dead.stop()

    def route(name, middlewares, service="app", **match):
        return {"name": name, "match": {"path": f"/{name}/*", **match}, "service": service, "middlewares": middlewares}
    sluice = module_world.gateway(
        middlewares={
            "sites": {"cors": {"allow_origins": [SITE, "https://*.parts.example.com", "http://localhost:3000"],
                               "allow_methods": ["GET", "POST", "DELETE"], "allow_headers": ["Content-Type", "X-Own"],
                               "expose_headers": ["X-Request-ID", "X-Total"], "allow_credentials": True, "max_age": "10m"}},
            "all": {"cors": {"allow_origins": ["*"], "allow_headers": ["*"]}},
            "bare": {"cors": {"allow_origins": SITE}},
            "nobody": {"ip_access": {"deny": ["127.0.0.0/8"]}},
            "tiny": {"body_size": {"max": 4}},
            "strip": {"headers": {"request": {"remove": ["Origin"]}, "response": {"set": {"X-Total": "7"}}}},
        },
        services={"app": {"instances": [{"url": server.url}]}, "gone": {"instances": [{"url": gone}]}},
        routes=[
            route("sites", ["sites"]), route("all", ["all"]), route("bare", ["bare"]), route("none", []),
            route("narrow", ["sites"], methods=["GET", "POST"]), route("denied", ["nobody", "sites"]),
            route("denied-after", ["sites", "nobody"]), route("tiny", ["tiny", "sites"]), route("strip", ["sites", "strip"]),
            route("gone", ["sites"], "gone"),
            {"name": "hello", "match": {"path": "/hello"}, "respond": {"status": 200, "body": "x"}, "middlewares": ["sites"]},
            {"name": "moved", "match": {"path": "/moved"}, "redirect": {"to": "/hello", "status": 301}, "middlewares": ["sites"]},
        ])
    return sluice, server


ORIGINS = [
    (SITE, True), ("https://APP.example.com", True), ("https://a.parts.example.com", True),
    ("https://a.b.parts.example.com", True),
    ("http://localhost:3000", True),
    ("http://app.example.com", False), ("https://app.example.com:8443", False), ("https://app.example.com.evil", False),
    ("https://evilapp.example.com", False), ("https://example.com", False), ("https://parts.example.com", False),
    ("https://evil.example/.parts.example.com", False), ("https://evil.example?.parts.example.com", False),
    ("https://xparts.example.com", False), ("http://a.parts.example.com", False), ("http://localhost", False),
    ("http://localhost:30000", False), ("null", False), ("", False), ("https://app.example.com/", False),
    ("https://app.example.com https://evil.example", False), ("https://app.example.com, https://evil.example", False),
    ("file://", False), ("https://.parts.example.com", False), ("https://app.example.com.", False), ("*", False),
]


@pytest.mark.parametrize("origin,good", ORIGINS, ids=[origin or "empty" for origin, _ in ORIGINS])
def test_an_origin_is_let_in_when_it_is_one_of_the_list_and_no_other(road, origin, good):
    """Hardening 165: exact, anchored, no suffixes; an unmatched origin gets no CORS fields, and no 403."""
    sluice, server = road
    response = sluice.request("GET", "/sites/x", [("Origin", origin)])
    assert response.status == 200 and "origin" in vary(response)
    if good:
        found = fields(response)
        assert found["allow-origin"] == origin and found["allow-credentials"] == "true"
        assert elements(found["expose-headers"]) == {"x-request-id", "x-total"}
        assert set(found) == {"allow-origin", "allow-credentials", "expose-headers"}
    else:
        assert fields(response) == {}
    server.heads.clear()
    preflight = sluice.request("OPTIONS", "/sites/x", [("Origin", origin), *PREFLIGHT])
    assert preflight.status == 204 and preflight.body == b"" and "origin" in vary(preflight) and server.heads == []
    if good:
        found = fields(preflight)
        assert found["allow-origin"] == origin and found["allow-credentials"] == "true" and found["max-age"] == "600"
        assert elements(found["allow-methods"]) == {"get", "post", "delete"}
    else:
        assert fields(preflight) == {}


def test_a_request_without_origin_gets_no_cors_fields_but_vary(road):
    sluice, _ = road
    response = sluice.request("GET", "/sites/x")
    assert fields(response) == {} and "origin" in vary(response)


def test_any_origin_is_told_so_with_an_asterisk_and_never_with_credentials(road):
    sluice, _ = road
    for origin in (SITE, "null", "https://evil.example"):
        found = fields(sluice.request("GET", "/all/x", [("Origin", origin)]))
        assert found["allow-origin"] == "*" and "allow-credentials" not in found


def test_any_header_is_allowed_by_an_asterisk_but_not_authorization(road):
    """Fetch: Authorization is not covered by the wildcard."""
    sluice, _ = road

    def allowed(asked):
        return fields(sluice.request("OPTIONS", "/all/x", [("Origin", SITE), *PREFLIGHT, ("Access-Control-Request-Headers",
            asked)]))
    assert allowed("x-anything, content-type")["allow-headers"]
    assert "allow-headers" not in allowed("authorization")


@pytest.mark.parametrize("asked,good", [("content-type", True), ("Content-Type,x-own", True), (" x-own , ", True), ("", True),
                                        ("x-other", False), ("content-type, x-other", False), ("x-own-more", False),
                                        ("authorization", False)])
def test_headers_that_are_not_on_the_list_are_not_allowed(road, asked, good):
    sluice, _ = road
    response = sluice.request("OPTIONS", "/sites/x", [("Origin", SITE), *PREFLIGHT, ("Access-Control-Request-Headers", asked)])
    found = fields(response)
    assert response.status == 204 and found["allow-origin"] == SITE
    names = elements(found.get("allow-headers", ""))
    assert elements(asked) <= names if good else not elements(asked) <= names


@pytest.mark.parametrize("method,good", [("GET", True), ("POST", True), ("DELETE", True), ("PUT", False), ("PATCH", False),
                                         ("get", False)])
def test_the_methods_of_the_list_are_told_whatever_is_asked_for(road, method, good):
    sluice, _ = road
    response = sluice.request("OPTIONS", "/sites/x", [("Origin", SITE), ("Access-Control-Request-Method", method)])
    assert response.status == 204
    assert (method in [text.strip() for text in fields(response).get("allow-methods", "").split(",")]) is good


def test_the_defaults_are_few(road):
    sluice, _ = road
    response = sluice.request("OPTIONS", "/bare/x", [("Origin", SITE), *PREFLIGHT])
    found = fields(response)
    assert elements(found["allow-methods"]) == {"get", "head", "post"} and "allow-credentials" not in found
    assert "allow-headers" not in found
    assert "expose-headers" not in fields(sluice.request("GET", "/bare/x", [("Origin", SITE)]))


# Preflights


@pytest.mark.parametrize("target", ["/narrow/x", "/denied/x", "/denied-after/x", "/tiny/x", "/gone/x", "/hello", "/moved"])
def test_a_preflight_is_answered_before_methods_guards_limits_and_backends(road, target):
    """B.3: without authentication, without touching limits."""
    sluice, server = road
    server.heads.clear()
    response = sluice.request("OPTIONS", target, [("Origin", SITE), *PREFLIGHT])
    assert response.status == 204 and fields(response)["allow-origin"] == SITE, response
    assert not response.all("content-length") and server.heads == []
    entry = sluice.entry(response)
    assert entry["status"] == 204 and not entry.get("upstream_status")


def test_a_preflight_may_have_a_body_that_is_not_looked_at(road):
    sluice, _ = road
    with sluice.connect() as client:
        client.send(request_bytes("OPTIONS", "/tiny/x", [("Origin", SITE), *PREFLIGHT], b"0123456789"))
        response = client.read_response("OPTIONS")
        assert response.status == 204
        if response.header("connection") == "close":
            client.expect_closed()
        else:
            assert client.request("GET", "/hello").status == 200


@pytest.mark.parametrize("headers", [
    [], [("Origin", SITE)], PREFLIGHT, [("Origin", SITE), ("Access-Control-Request-Headers", "x-own")]],
    ids=["plain", "no method", "no origin", "headers only"])
def test_options_that_is_no_preflight_goes_its_usual_way(road, headers):
    """Hardening 164: only a true preflight passes the guards."""
    sluice, server = road
    server.heads.clear()
    assert sluice.request("OPTIONS", "/sites/x", headers).status == 200 and server.heads[-1].method == "OPTIONS"
    server.heads.clear()
    assert sluice.request("OPTIONS", "/denied/x", headers).status == 403
    assert sluice.request("OPTIONS", "/narrow/x", headers).status == 405
    assert server.heads == []


def test_another_method_with_the_fields_of_a_preflight_is_none(road):
    sluice, server = road
    server.heads.clear()
    assert sluice.request("POST", "/denied/x", [("Origin", SITE), *PREFLIGHT], b"x").status == 403
    assert sluice.request("GET", "/sites/x", [("Origin", SITE), *PREFLIGHT]).body == b"x" and len(server.heads) == 1


def test_a_route_without_cors_passes_preflights_on(road):
    sluice, server = road
    server.heads.clear()
    response = sluice.request("OPTIONS", "/none/x", [("Origin", SITE), *PREFLIGHT])
    assert response.status == 200 and fields(response) == {} and vary(response) == set()
    assert server.heads[0].header("access-control-request-method") == "POST"


def test_two_origins_are_refused(road):
    """Hardening 72."""
    sluice, _ = road
    for method in ("GET", "OPTIONS"):
        assert sluice.request(method, "/sites/x", [("Origin", SITE), ("Origin", "https://evil.example"),
                                                   *PREFLIGHT]).status == 400


def test_many_preflights_on_one_connection_reach_no_backend(road):
    """Hardening 164: a flood of them costs the backend nothing."""
    sluice, server = road
    server.heads.clear()
    with sluice.connect() as client:
        for _ in range(300):
            assert client.request("OPTIONS", "/sites/x", [("Origin", SITE), *PREFLIGHT]).status == 204
    assert server.heads == []


# Answers


def test_what_the_backend_says_of_cors_is_replaced(road):
    """Hardening 165: upstream ACAO replaced, not duplicated."""
    sluice, _ = road
    response = sluice.request("GET", "/sites/own", [("Origin", SITE)])
    found = fields(response)
    assert found["allow-origin"] == SITE and elements(found["expose-headers"]) == {"x-request-id", "x-total"}
    assert set(found) == {"allow-origin", "allow-credentials", "expose-headers"}
    assert vary(response) >= {"origin", "accept-encoding"}
    for headers in ([("Origin", "https://evil.example")], []):
        assert fields(sluice.request("GET", "/sites/own", headers)) == {}
    kept = fields(sluice.request("GET", "/none/own", [("Origin", "https://evil.example")]))
    assert kept["allow-origin"] == "*", "without the middleware, the backend's word stands"


def test_vary_is_added_once_beside_what_the_backend_says(road):
    sluice, _ = road
    varied = sluice.request("GET", "/sites/varied", [("Origin", SITE)])
    assert vary(varied) == {"accept", "origin", "cookie"}
    assert ", ".join(varied.all("vary")).lower().count("origin") == 1
    assert "*" in vary(sluice.request("GET", "/sites/star", [("Origin", SITE)]))


ERRORS = {
    "backend's own": ("GET", "/sites/error", None, 500),
    "no connection": ("GET", "/gone/x", None, 502),
    "body too large": ("POST", "/tiny/x", b"12345", 413),
    "address denied": ("GET", "/denied/x", None, 403),
    "address denied behind": ("GET", "/denied-after/x", None, 403),
    "redirect": ("GET", "/moved", None, 301),
    "fixed answer": ("GET", "/hello", None, 200),
}


@pytest.mark.parametrize("method,target,body,status", ERRORS.values(), ids=ERRORS.keys())
def test_a_script_can_read_the_errors_of_the_gateway_as_well(road, method, target, body, status):
    """Without the fields, a browser would tell the script of a network error."""
    sluice, _ = road
    response = sluice.request(method, target, [("Origin", SITE)], body)
    assert response.status == status and fields(response)["allow-origin"] == SITE and "origin" in vary(response), response
    assert fields(sluice.request(method, target, [("Origin", "https://evil.example")], body)) == {}


@pytest.mark.parametrize("method,target,status", [("GET", "/nowhere", 404), ("GET", "/none/error", 500)])
def test_an_answer_of_no_route_or_of_another_route_has_no_cors_fields(road, method, target, status):
    sluice, _ = road
    response = sluice.request(method, target, [("Origin", SITE)])
    assert response.status == status and fields(response) == {}


def test_a_method_that_the_route_does_not_know_is_405_also_for_scripts(road):
    sluice, _ = road
    response = sluice.request("DELETE", "/narrow/x", [("Origin", SITE)])
    assert response.status == 405 and response.header("allow")


def test_an_answer_to_a_script_whose_origin_the_chain_removed_has_its_fields(road):
    """The decision is made on what was received."""
    sluice, server = road
    server.heads.clear()
    response = sluice.request("GET", "/strip/x", [("Origin", SITE)])
    assert server.heads[0].all("origin") == [] and fields(response)["allow-origin"] == SITE and response.header("x-total") == "7"


def test_head_and_chunked_answers_have_the_fields_too(road):
    sluice, _ = road
    assert fields(sluice.request("HEAD", "/sites/x", [("Origin", SITE)]))["allow-origin"] == SITE


# Configuration


BAD = {
    "any with credentials": {"allow_origins": ["*"], "allow_credentials": True},
    "null with credentials": {"allow_origins": ["null"], "allow_credentials": True},
    "any header with credentials": {"allow_origins": [SITE], "allow_headers": ["*"], "allow_credentials": True},
    "no origins": {"allow_origins": []},
    "none at all": {},
    "path": {"allow_origins": [SITE + "/"]},
    "host alone": {"allow_origins": ["app.example.com"]},
    "suffix": {"allow_origins": ["https://*example.com"]},
    "asterisk inside": {"allow_origins": ["https://a.*.example.com"]},
    "everything": {"allow_origins": ["https://*"]},
    "two in one": {"allow_origins": [SITE + ", https://b.example"]},
    "header splitting": {"allow_origins": [SITE], "expose_headers": ["X-A\r\nX-B: 1"]},
    "bad method": {"allow_origins": [SITE], "allow_methods": ["G T"]},
    "negative age": {"allow_origins": [SITE], "max_age": "-1s"},
}


@pytest.mark.parametrize("cors", BAD.values(), ids=BAD.keys())
def test_rules_that_would_let_everybody_in_or_mean_nothing_are_refused(road, cors):
    """Hardening 165, 190."""
    sluice, _ = road
    found = sluice.admin("POST", "/config/validate", json={
        "listeners": [{"name": "web", "address": "127.0.0.1:1"}], "middlewares": {"m": {"cors": cors}},
        "routes": [{"name": "a", "match": {"path": "/a"}, "respond": {}, "middlewares": ["m"]}]}).json()
    assert found["valid"] is False
    assert any("middlewares.m.cors" in problem["path"] for problem in found["problems"] if problem["severity"] == "error"), found


def test_null_is_let_in_only_where_it_is_named(gateway):
    sluice = gateway(middlewares={"m": {"cors": {"allow_origins": ["null"]}}},
                     routes=[{"name": "a", "match": {"path": "/*"}, "respond": {}, "middlewares": ["m"]}])
    assert fields(sluice.request("GET", "/", [("Origin", "null")]))["allow-origin"] == "null"
    assert fields(sluice.request("GET", "/", [("Origin", SITE)])) == {}


def test_the_rules_change_with_a_reload(gateway):
    def configuration(site):
        return {"middlewares": {"m": {"cors": {"allow_origins": [site]}}},
                "routes": [{"name": "a", "match": {"path": "/*"}, "respond": {}, "middlewares": ["m"]}]}
    sluice = gateway(configuration(SITE))
    with sluice.connect() as client:
        assert fields(client.request("GET", "/", [("Origin", SITE)]))
        sluice.reload(configuration("https://new.example"))
        assert fields(client.request("GET", "/", [("Origin", SITE)])) == {}
        assert fields(client.request("GET", "/", [("Origin", "https://new.example")]))
