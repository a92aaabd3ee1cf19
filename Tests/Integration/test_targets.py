"""Request targets over the wire: what is refused, and what exactly the backend sees (hardening, section C)."""

import pytest

from sluice_harness import reply


@pytest.fixture(scope="module")
def road(module_world):
    server = module_world.backend(lambda request, connection: reply(200, b"", [("X-Target", request.target)]))
    return module_world.gateway({
        "limits": {"connections_per_client": 4096},
        "services": {"app": {"instances": [{"url": server.url}]}},
        "routes": [
            {"name": "all", "match": {"path": "/*"}, "service": "app"},
            {"name": "admin", "match": {"path": "/admin/*"}, "respond": {"status": 403}},
            {"name": "keep", "match": {"path": "/keep/*"}, "service": "app", "path": {"encoded_slash": "keep"}},
            {"name": "reject", "match": {"path": "/reject/*"}, "service": "app", "path": {"encoded_slash": "reject"}},
            {"name": "api", "match": {"path": "/api/*"}, "respond": {"status": 418}},
        ]}), server


def send(road, target: str | bytes, host: bytes = b"app.test", method: bytes = b"GET"):
    sluice, server = road
    server.heads.clear()
    target = target.encode("latin-1") if isinstance(target, str) else target
    with sluice.connect() as client:
        client.send(method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        return client.read_response(method.decode())


@pytest.mark.parametrize("target,seen", [
    ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("/a?b", "/a?b"), ("/a?", "/a?"), ("/?", "/?"), ("/a?b=/../c", "/a?b=/../c"),
    ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/b/../c", "/a/c"), ("/a/b/..", "/a/"), ("/a/.", "/a/"), ("/./a", "/a"),
    ("/a/b/../../c", "/c"), ("/...", "/..."), ("/..a", "/..a"), ("/a..", "/a.."), ("/.a", "/.a"), ("/a./b", "/a./b"),
    ("/%41", "/A"), ("/%7Euser", "/~user"), ("/%7e", "/~"), ("/%2d%5F%2Ex", "/-_.x"), ("/%c3%a9", "/%C3%A9"),
    ("/%C3%A9", "/%C3%A9"),
    ("/%252e%252e/x", "/%252e%252e/x"), ("/%252f", "/%252f"), ("/a%20b", "/a%20b"), ("/%3f", "/%3F"), ("/%3Bx", "/%3Bx"),
    ("//a", "//a"), ("/a//b", "/a//b"), ("/a///b", "/a///b"), ("/a;x=y", "/a;x=y"), ("/a;x/b", "/a;x/b"), ("/a:b@c", "/a:b@c"),
    ("/a!$&'()*+,=", "/a!$&'()*+,="), ("/A/b", "/A/b"), ("/a?q=%2f%5c", "/a?q=%2f%5c"),
    ('/a"b', "/a%22b"), ("/a{b}|c^", "/a%7Bb%7D%7Cc%5E"), ("/a[0]", "/a%5B0%5D"),
], ids=str)
def test_the_backend_sees_the_one_canonical_target(road, target, seen):
    """Hardening 53, 58, 61, 62, 63: what was matched is what is sent, and no byte is decoded twice."""
    _, server = road
    response = send(road, target)
    assert response.status == 200, response
    assert server.heads[0].target == seen


@pytest.mark.parametrize("target", [
    "/../a", "/..", "/a/../..", "/a/../../b", "/%2e%2e/a", "/a/%2e%2e/b", "/a/%2E./b", "/a/.%2e/b", "/a/%2e/b", "/%2e",
    "/a/%2e%2e",
    "/a/..;/b", "/a/..;x=y/b", "/..;/a",
], ids=str)
def test_encoded_dot_segments_and_climbing_above_the_root_are_refused(road, target):
    """Hardening 56."""
    _, server = road
    assert send(road, target).status == 400
    assert server.heads == []


@pytest.mark.parametrize("target", [
    "/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/a\\b", "/%2f", "/a%2f..%2fb", "/reject/a%2fb", "/a/%2e%2e%2fb", "/%5c..%5cb",
], ids=str)
def test_encoded_slashes_and_backslashes_are_refused_by_default(road, target):
    """Hardening 57."""
    _, server = road
    assert send(road, target).status == 400
    assert server.heads == []


def test_a_route_that_keeps_encoded_slashes_passes_them_on_and_never_splits_at_them(road):
    """Hardening 57: never decoded into a separator."""
    _, server = road
    assert send(road, "/keep/a%2fb").status == 200
    assert server.heads[0].target == "/keep/a%2Fb"
    assert send(road, "/keep/a%2f..%2fadmin").status == 400    # for those who decode it, a dot segment
    assert server.heads == []


def test_slashes_that_are_merged_are_merged_for_the_match_and_for_the_backend(gateway, backend):
    """Hardening 58: never match on one and forward the other."""
    server = backend()
    sluice = gateway(
        server={"merge_slashes": True}, services={"app": {"instances": [{"url": server.url}]}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"},
                {"name": "admin", "match": {"path": "/admin/*"}, "respond": {"status": 403}}])
    assert sluice.request("GET", "/merge//a///b?c=//d").status == 200
    assert server.heads[0].target == "/merge/a/b?c=//d"
    for target in ("//admin/x", "/admin//x", "/.//admin", "///admin"):
        assert sluice.request("GET", target).status == 403, target
    assert len(server.heads) == 1


@pytest.mark.parametrize("target", ["/admin/x", "/admin/", "/a/../admin/x", "/./admin/x", "/%61dmin/x", "/a/b/../../admin/x",
    "/admin/x?y"])
def test_no_spelling_of_a_guarded_path_goes_round_its_route(road, target):
    """Hardening 53, 56, 63."""
    _, server = road
    assert send(road, target).status == 403
    assert server.heads == []


@pytest.mark.parametrize("target", ["//admin/x", "/Admin/x", "/admin;x/y", "/%2561dmin/x", "/adminx"])
def test_a_path_that_is_another_path_is_sent_on_as_what_it_is(road, target):
    """Hardening 58, 61, 62, 65: never match on one and forward another."""
    _, server = road
    assert send(road, target).status == 200
    assert server.heads[0].target == target


@pytest.mark.parametrize("escape", [f"%{byte:02x}" for byte in (*range(0x20), 0x7f)])
def test_encoded_control_bytes_are_refused(road, escape):
    """Hardening 59."""
    assert send(road, f"/a{escape}b").status == 400


@pytest.mark.parametrize("target", [
    b"/%", b"/%4", b"/%g1", b"/%1g", b"/a%", b"/%%41", b"/%c0%ae", b"/%e0%80%af", b"/%ff", b"/%c3", b"/a\x80", b"/\xc3\xa9",
    b"/admin\xcc\x81", b"/a\x7f", b"/a\x01", b"/a#b", b"/#", b"/a?b#c", b"/a b",
], ids=repr)
def test_bad_escapes_raw_bytes_and_fragments_are_refused(road, target):
    """Hardening 59, 60, 64."""
    _, server = road
    assert send(road, target).status == 400
    assert server.heads == []


@pytest.mark.parametrize("target", [
    "foo", "?x", "*", "http:/x", "http:///x", "http://", "http://u@app.test/", "http://u:p@app.test/x", "ftp://app.test/x",
    "https://app.test/x", "http://evil.test/", "http://app.test:81/", "app.test:80", "//", "http://app.test\\@evil/",
    "http:app.test/x",
    "http://app.test#/x",
], ids=str)
def test_targets_that_are_not_of_a_permitted_form_are_refused(road, target):
    """Hardening 54, 55. `//` is origin-form and the one that is taken."""
    _, server = road
    assert send(road, target).status == (200 if target == "//" else 400)
    if target != "//":
        assert server.heads == []


@pytest.mark.parametrize("target,seen", [
    ("http://app.test/x?y", "/x?y"), ("http://app.test", "/"), ("http://app.test?q", "/?q"), ("HTTP://APP.TEST/X", "/X"),
    ("http://app.test:80/x", "/x"),
])
def test_an_absolute_target_that_agrees_with_host_is_sent_on_in_origin_form(road, target, seen):
    """Hardening 54."""
    _, server = road
    assert send(road, target).status == 200
    assert server.heads[0].target == seen and server.heads[0].header("host").lower() in ("app.test", "app.test:80")


def test_options_asterisk_is_answered_and_the_connection_goes_on(road):
    """Hardening 54: `*` only for OPTIONS."""
    sluice, _ = road
    with sluice.connect() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.read_response("OPTIONS").status in (200, 204, 404)


def test_hosts_are_compared_without_case_port_and_trailing_dot(gateway, backend):
    """Hardening 62, for few and for many hosts alike."""
    server = backend()
    for extra in (0, 1000):
        sluice = gateway(
            services={"app": {"instances": [{"url": server.url}]}},
            routes=[{"name": "one", "match": {"host": "Api.Example.com", "path": "/*"}, "service": "app"}] +
                   [{"name": f"h{n}", "match": {"host": f"h{n}.example.com", "path": "/*"}, "respond": {"status": 202}}
                    for n in range(extra)])
        for host in ("api.example.com", "API.EXAMPLE.COM", "api.example.com.", "api.example.com:80", "Api.Example.Com.:8080"):
            assert sluice.request("GET", "/", host=host).status == 200, host
        for host in ("example.com", "x.api.example.com", "api.example.comx", "api.example.com..", "169.254.169.254"):
            assert sluice.request("GET", "/", host=host).status in (404, 400), host
        if extra:
            assert sluice.request("GET", "/", host="H999.example.com.").status == 202


def test_a_prefix_route_ends_at_a_segment(road):
    """Hardening 65."""
    assert send(road, "/api/x").status == 418
    assert send(road, "/apix").status == 200


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_method_override_fields_change_nothing_and_are_not_sent_on(road, name):
    """Hardening 66."""
    sluice, server = road
    server.heads.clear()
    assert sluice.request("POST", "/x?_method=DELETE", [(name, "DELETE")], b"").status == 200
    assert server.heads[0].method == "POST" and server.heads[0].all(name) == []


def test_the_access_log_shows_the_canonical_path(road):
    """Hardening 53."""
    sluice, _ = road
    response = send(road, "/a/../%41?b")
    entry = sluice.entry(response)
    assert (entry["path"], entry["route"]) == ("/A", "all")
