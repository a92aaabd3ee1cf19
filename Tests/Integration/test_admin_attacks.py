"""Who is kept from the admin API, and what hostile input does to it: nothing (hardening 174, 175, 183; behaviour B.9)."""

import base64
import json
import random
import subprocess
import threading
import time

import pytest

from sluice_harness import Connection, reply, request_bytes, sluice_binary, until
from sluice_harness.process import free_port

TOKEN = "a-long-secret-token-of-the-operator"
READS = ["/health", "/ready", "/metrics", "/config", "/routes", "/status", "/log", "/internal/v1/health", "/internal/v1/metrics",
         "/internal/services", "/health-check/app", "/api/v1/gateway/health", "/nothing", "/"]
WRITES = [("POST", "/config/validate"), ("POST", "/config/reload"), ("POST", "/internal/v1/config/reload"), ("POST", "/explain"),
          ("PUT", "/log")]
ROUTES = [{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": "one"}}]


@pytest.fixture(scope="module")
def locked(module_world):
    """With a token."""
    return module_world.gateway(routes=ROUTES, admin={"address": "@admin@", "token": TOKEN, "hosts": ["gate.example"]})


@pytest.fixture(scope="module")
def open_one(module_world):
    """Without a token, on the loopback."""
    return module_world.gateway(routes=ROUTES, admin={"address": "@admin@", "hosts": ["gate.example", "other.example"]})


def unchanged(sluice, **more):
    """Nobody got to change anything, and everybody is served."""
    assert sluice.admin("GET", "/log", **more).json() == {"level": "info"}
    assert sluice.admin("GET", "/config", **more).json()["generation"] == 1
    assert sluice.request("GET", "/").body == b"one"


# Tokens


BAD_CREDENTIALS = {
    "none": [],
    "empty": [("Authorization", "")],
    "scheme alone": [("Authorization", "Bearer")],
    "scheme and blank": [("Authorization", "Bearer ")],
    "wrong": [("Authorization", "Bearer wrong")],
    "prefix": [("Authorization", f"Bearer {TOKEN[:-1]}")],
    "longer": [("Authorization", f"Bearer {TOKEN}x")],
    "twice": [("Authorization", f"Bearer {TOKEN}{TOKEN}")],
    "other case": [("Authorization", f"Bearer {TOKEN.upper()}")],
    "basic": [("Authorization", "Basic " + base64.b64encode(f"admin:{TOKEN}".encode()).decode())],
    "basic empty": [("Authorization", "Basic Og==")],
    "raw": [("Authorization", TOKEN)],
    "token scheme": [("Authorization", f"Token {TOKEN}")],
    "cookie": [("Cookie", f"token={TOKEN}; Authorization=Bearer {TOKEN}")],
    "other field": [("X-Authorization", f"Bearer {TOKEN}"), ("Proxy-Authorization", f"Bearer {TOKEN}"), ("X-API-Key", TOKEN)],
    "admin field": [("X-Sluice-Admin", "1")],
    "forwarded": [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", "localhost"), ("Forwarded", "for=127.0.0.1")],
}


@pytest.mark.parametrize("fields", BAD_CREDENTIALS.values(), ids=BAD_CREDENTIALS.keys())
def test_nothing_is_answered_without_the_token(locked, fields):
    for path in READS:
        response = locked.request("GET", path, fields, listener="admin")
        assert response.status == 401, (path, response)
        assert response.header("www-authenticate").startswith("Bearer realm=") and b"sluice_" not in response.body
        assert response.json()["error"]["code"] == "AUTH_ERROR" and TOKEN.encode() not in response.body
    for method, path in WRITES:
        assert locked.request(method, path, [*fields, ("Content-Type", "application/json")], b"{}",
                              listener="admin").status == 401
    unchanged(locked, token=TOKEN)


@pytest.mark.parametrize("target", [f"/log?token={TOKEN}", f"/log?access_token={TOKEN}", f"/log?authorization=Bearer%20{TOKEN}"])
def test_a_token_in_the_query_is_none(locked, target):
    """RFC 6750 §2.3: not to be used."""
    assert locked.request("GET", target, listener="admin").status == 401


def test_two_credentials_are_refused(locked):
    """Hardening 72."""
    fields = [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {TOKEN}")]
    for order in (fields, fields[::-1]):
        assert locked.request("GET", "/log", order, listener="admin").status in (400, 401)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEARER"])
def test_the_scheme_is_read_in_any_case(locked, scheme):
    """RFC 9110 §11.1."""
    assert locked.request("GET", "/log", [("Authorization", f"{scheme} {TOKEN}")], listener="admin").status == 200


@pytest.mark.parametrize("host", ["evil.example", "gate.example", "127.0.0.1", "", "evil.example:9901"])
def test_with_the_token_the_host_does_not_matter(locked, host):
    assert locked.admin("GET", "/log", token=TOKEN, host=host).status in ((200, 400) if not host else (200,))


def test_with_the_token_a_write_needs_no_content_type(locked):
    response = locked.request("PUT", "/log", [("Authorization", f"Bearer {TOKEN}")], b'{"level":"info"}', listener="admin")
    assert response.status == 200


def test_a_guess_of_the_right_length_is_wrong_however_much_of_it_is_right(locked):
    """Hardening 160: it is compared whole."""
    for guess in [TOKEN[:n] + "x" * (len(TOKEN) - n) for n in (0, 1, 10, 20, 34)]:
        assert locked.admin("GET", "/log", token=guess).status == 401


def test_methods_of_all_kinds_are_kept_out(locked):
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert locked.request(method, "/config", listener="admin").status == 401, method
    for line in (b"TRACE /config HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
                 b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"):
        with locked.connect("admin") as client:
            client.send(line)
            assert client.read_response("HEAD").status in (401, 403, 405, 501)


def test_a_token_that_only_looks_alike_as_unicode_is_wrong(gateway):
    """Hardening 160: compared as bytes."""
    composed, decomposed = "clé-clé-clé-clé-clé", "cle\u0301-cle\u0301-cle\u0301-cle\u0301-cle\u0301"
    sluice = gateway(routes=ROUTES, admin={"address": "@admin@", "token": composed})

    def ask(token):
        return sluice.request("GET", "/log", [("Authorization", "Bearer " + token.encode().decode("latin-1"))],
                              listener="admin").status
    assert (ask(composed), ask(decomposed)) == (200, 401)


# Browsers


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9901", "https://localhost", "file://", ""])
@pytest.mark.parametrize("which", ["locked", "open_one"])
def test_a_request_of_a_web_page_is_refused_whatever_else_it_has(request, which, origin):
    """Hardening 175: no Origin is answered, not even one's own."""
    sluice = request.getfixturevalue(which)
    fields = [("Origin", origin), ("Authorization", f"Bearer {TOKEN}"), ("X-Sluice-Admin", "1")]
    for path in READS:
        response = sluice.request("GET", path, fields, listener="admin")
        assert response.status == 403 and response.json()["error"]["code"] == "AUTH_ERROR", (path, response)
        assert not [name for name, _ in response.headers if name.lower().startswith(b"access-control-")]
    for method, path in WRITES:
        assert sluice.admin(method, path, headers=fields, body=b"{}").status == 403
    unchanged(sluice, **({"token": TOKEN} if which == "locked" else {}))


def test_a_preflight_is_not_answered_with_leave(open_one):
    """Hardening 175: no CORS."""
    response = open_one.request("OPTIONS", "/config/reload", [
        ("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "x-sluice-admin, content-type"), ("Access-Control-Request-Private-Network", "true")],
        listener="admin")
    assert response.status == 403
    assert not [name for name, _ in response.headers if name.lower().startswith(b"access-control-")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
                                  "text/plain; application/json", None])
def test_a_form_of_another_site_changes_nothing(open_one, kind):
    """A form post of an old browser, without Origin."""
    fields = [("Content-Type", kind)] if kind else []
    fields += [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Referer", "http://evil.example/")]
    for method, path in WRITES:
        assert open_one.request(method, path, fields, b'{"level":"debug"}', listener="admin").status in (403, 415), (method, path)
    unchanged(open_one)


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", "127.0.0.1.nip.io",
    "gate.example.evil.example", "xgate.example", "0x7f.1", "2130706433", "127.1", "localhost:9901:80", "app.test"])
def test_a_name_that_was_turned_to_this_address_is_refused(open_one, host):
    """Hardening 175: DNS rebinding."""
    for path in READS:
        assert open_one.request("GET", path, host=host, listener="admin").status in (400, 403), path
    for method, path in WRITES:
        response = open_one.request(method, path, [("Content-Type", "application/json")], b'{"level":"debug"}', host=host,
                                    listener="admin")
        assert response.status in (400, 403)
    unchanged(open_one)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9901", "[::1]", "[::1]:9901", "192.0.2.7", "[2001:db8::1]:80",
                                  "localhost",
                                  "LOCALHOST:9901", "localhost.", "localhost.:9901", "gate.example", "Gate.Example:80",
                                  "other.example"])
def test_an_address_localhost_and_the_configured_names_are_answered(open_one, host):
    assert open_one.request("GET", "/log", host=host, listener="admin").status == 200


def test_the_authority_of_a_target_counts_as_the_host_does(open_one):
    """RFC 9112 §3.2.2: the target's own authority wins over Host."""
    for target, host, good in (("http://evil.example/log", "127.0.0.1", False), ("http://127.0.0.1/log", "evil.example", True),
                               ("http://127.0.0.1/log", "127.0.0.1", True), ("http://evil.example/log", "evil.example", False),
                               ("http://localhost@evil.example/log", "localhost", False)):
        status = open_one.request("GET", target, host=host, listener="admin").status
        assert status in ((200, 400) if good and host == "evil.example" else (200,) if good else (400, 403)), (target, host,
            status)


def test_without_a_host_only_what_a_browser_cannot_send_is_answered(open_one):
    """HTTP/1.0 without Host: no browser sends it."""
    with open_one.connect("admin") as client:
        client.send(b"GET /log HTTP/1.0\r\n\r\n")
        assert client.read_response().status in (200, 400, 403)
    with open_one.connect("admin") as client:
        client.send(b"GET /log HTTP/1.1\r\nHost:\r\n\r\n")
        assert client.read_response().status in (200, 400, 403)
    with open_one.connect("admin") as client:
        client.send(b"GET /log HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n")
        assert client.read_response().status == 400


# Starting where strangers can reach it


def start(tmp_path, admin):
    path = tmp_path / "sluice.yaml"
    path.write_text(f"listeners:\n  - name: web\n    address: \"127.0.0.1:{free_port()}\"\nadmin: {json.dumps(admin)}\n"
                    "routes:\n  - name: all\n    match: {path: \"/*\"}\n    respond: {body: ok}\n")
    return [subprocess.run([sluice_binary(), command, "--config", str(path)], capture_output=True, text=True, timeout=10,
                           stdin=subprocess.DEVNULL) for command in ("check", "run")]


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.1", "10.0.0.1", "[2001:db8::1]", "[::ffff:10.0.0.1]"])
@pytest.mark.parametrize("token", [None, "", "short", "fifteen-bytes-x", "file:empty"])
def test_an_admin_listener_that_strangers_reach_does_not_start_without_a_good_token(tmp_path, address, token):
    """Hardening 174: exit ≠ 0."""
    (tmp_path / "empty").write_text("")
    admin = {"address": f"{address}:{free_port()}"}
    if token is not None:
        admin["token"] = f"file:{tmp_path}/empty" if token == "file:empty" else token
    for said in start(tmp_path, admin):
        assert said.returncode == 1, said
        assert "sluice.yaml:4:" in said.stderr + said.stdout and "token" in said.stderr + said.stdout, said
        assert not token or token.startswith("file") or f'"{token}"' not in said.stderr + said.stdout


def test_a_reload_cannot_open_the_admin_listener_to_strangers_either(gateway):
    sluice = gateway(routes=ROUTES)
    sluice.write_config({"routes": ROUTES, "admin": {"address": f"0.0.0.0:{free_port()}"}})
    assert sluice.admin("POST", "/config/reload").status == 422
    unchanged(sluice)


def test_with_a_good_token_it_listens_on_all_addresses(gateway):
    sluice = gateway(routes=ROUTES, admin={"address": f"0.0.0.0:{free_port()}", "token": TOKEN}, wait_ready=False)
    sluice.check_descriptors = False
    port = int(sluice.config_text.split("0.0.0.0:")[1].split('"')[0])
    until(lambda: sluice.accepts(port), 5)
    with Connection(("127.0.0.1", port)) as client:
        assert client.request("GET", "/log").status == 401
    with Connection(("127.0.0.1", port)) as client:
        assert client.request("GET", "/log", [("Authorization", f"Bearer {TOKEN}")], host="evil.example").status == 200


# Hostile bodies


def bomb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return ("\n".join(lines) + "\n").encode()


HOSTILE = {
    "deep list": b"[" * 100_000,
    "deep closed list": b"[" * 20_000 + b"]" * 20_000,
    "deep object": b'{"method":' * 20_000,
    "deep headers": b'{"method":"GET","url":"http://a/","headers":' + b'{"A":' * 10_000 + b"1" + b"}" * 10_001,
    "duplicate keys": b'{"method":"GET","method":"POST","url":"http://a/","url":"http://b/","level":"debug","level":"debug"}',
    "nul": b'{"method":"GET","url":"http://a/\x00","level":"debug\x00"}',
    "escaped nul": b'{"method":"GET","url":"http://a/\\u0000","level":"debug\\u0000"}',
    "invalid utf-8": b'{"method":"GET","url":"http://a/\xff\xfe","level":"\xc0\xaf"}',
    "lone surrogate": b'{"method":"GET","url":"http://a/\\ud800","level":"\\udfff"}',
    "bomb": bomb(12),
    "self anchor": b"&a [*a, *a]\n",
    "merge": b"<<: &x {<<: *x}\n",
    "tags": b"!!python/object/apply:os.system ['true']\n",
    "long key": b'{"' + b"k" * 60_000 + b'": 1}',
    "long value": b'{"method":"GET","url":"http://a/' + b"x" * 60_000 + b'"}',
    "many headers": json.dumps({"method": "GET", "url": "http://a/", "headers": {f"X-{n}": "1" for n in range(4000)}}).encode(),
    "header splitting": b'{"method":"GET","url":"http://a/","headers":{"X-A":"1\\r\\nX-Evil: 1"}}',
    "bom": b'\xef\xbb\xbf{"method":"GET","url":"http://a/"}',
    "utf-16": '{"level":"debug"}'.encode("utf-16"),
    "numbers": b'{"method":1e999999,"url":-0,"level":99999999999999999999999999}',
    "comment": b'{"level":"debug"/*x*/}',
    "directives": b"%YAML 9.9\n%TAG ! tag:evil,2000:\n---\nlevel: debug\n--- \nlevel: error\n",
    "nothing but blanks": b" \n" * 30_000,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("method,path", [("POST", "/explain"), ("PUT", "/log"), ("POST", "/config/validate")])
def test_a_hostile_body_is_refused_and_changes_nothing(open_one, method, path, body):
    before = open_one.rss_kib()
    began = time.monotonic()
    response = open_one.admin(method, path, body=body, headers=[("Content-Type", "application/json")])
    assert time.monotonic() - began < 5
    assert response.status in ((200, 400, 413, 422, 431) if path != "/log" else (400, 413, 422)), response
    if path == "/config/validate":
        assert response.status == 200 and response.json()["valid"] is False
    else:
        response.json()
    assert open_one.rss_kib() - before < 100_000
    unchanged(open_one)


@pytest.mark.seconds(90)
@pytest.mark.parametrize("method,path", [("POST", "/explain"), ("PUT", "/log"), ("POST", "/config/validate")])
@pytest.mark.parametrize("chunked", [False, True])
def test_twenty_megabytes_are_refused_with_413_in_bounded_memory(open_one, method, path, chunked):
    before = open_one.rss_kib()
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(20 << 20))
    with open_one.connect("admin", timeout=30) as client:
        client.send(request_bytes(method, path, [("Content-Type", "application/json"), framing], host="127.0.0.1"))
        piece = b'{"a":"' + b"x" * ((1 << 20) - 6)
        for _ in range(20):
            if not client.try_send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece):
                break
        client.try_send(b"0\r\n\r\n" if chunked else b"")
        try:
            assert client.read_response(method).status == 413
        except AssertionError:
            assert client.was_reset
    assert open_one.rss_kib() - before < 120_000, "what was refused is given back or was never taken"
    unchanged(open_one)


def test_random_requests_harm_nothing(open_one):
    dice = random.Random(11)
    for _ in range(300):
        method, path = dice.choice(WRITES[0:1] + WRITES[3:])
        good = json.dumps({"method": "GET", "url": "http://app.test/x?y", "headers": {"A": "b"}}).encode() if path == "/explain" \
            else b'{"level": "info"}' if path == "/log" else open_one.config_text.encode()
        body = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(body))
            kind = dice.randrange(3)
            if kind == 0:
                body[at] = dice.randrange(256)
            elif kind == 1:
                del body[at]
            else:
                body[at:at] = dice.choice([b"\x00", b"[", b"{", b"&a ", b"*a", b"\xff", b"'", b"\n", b"${HOME}",
                                           b"file:/etc/passwd"])
        response = open_one.admin(method, path, body=bytes(body))
        assert response.status in (200, 400, 422), (bytes(body), response)
        assert b"root:" not in response.body
        open_one.admin("PUT", "/log", json={"level": "info"})
    unchanged(open_one)


# Slow and missing clients


def test_a_body_that_does_not_come_gets_408(gateway):
    sluice = gateway(routes=ROUTES, limits={"body_idle_timeout": "300ms", "header_timeout": "300ms"})
    with sluice.connect("admin") as client:
        client.send(request_bytes("POST", "/config/validate", [("X-Sluice-Admin", "1"), ("Content-Length", "100")],
                                  host="127.0.0.1"))
        client.send(b"a: ")
        response = client.read_response("POST")
        assert response.status == 408 and response.header("connection") == "close"
        client.expect_closed()
    with sluice.connect("admin") as client:
        client.send(b"GET /log HT")
        assert client.read_response().status == 408


def test_a_client_that_leaves_in_the_middle_of_a_request_harms_nothing(open_one):
    body = open_one.config_text.encode()
    whole = request_bytes("POST", "/config/validate", [("X-Sluice-Admin", "1")], body, host="127.0.0.1")
    for number, cut in enumerate(list(range(1, len(whole), 17)) + [len(whole)] * 10):
        client = open_one.connect("admin")
        client.send(whole[:cut])
        if number % 3 == 0:
            client.reset()
        elif number % 3 == 1:
            client.half_close()
            client.close()
        else:
            client.close()
    unchanged(open_one)


def test_many_requests_in_one_segment_are_answered_in_their_order(open_one):
    with open_one.connect("admin") as client:
        asked = [("GET", "/log", None), ("POST", "/config/validate", b"a: 1\n"), ("GET", "/nothing", None),
                 ("GET", "/status", None),
                 ("PUT", "/log", b'{"level":"info"}'), ("GET", "/log", None)] * 5
        client.send(b"".join(request_bytes(method, path, [("X-Sluice-Admin", "1")], body, host="127.0.0.1")
                             for method, path, body in asked))
        wanted = {"/log": b'"level"', "/config/validate": b'"valid"', "/nothing": b"NOT_FOUND", "/status": b'"uptime"'}
        for method, path, _ in asked:
            assert wanted[path] in client.read_response(method).body, path


@pytest.mark.parametrize("sends", [b"", b"GET /log HT", request_bytes("POST", "/config/validate", [
    ("X-Sluice-Admin", "1"), ("Content-Length", "1000")], host="127.0.0.1") + b"a: "], ids=["idle", "half a head", "half a body"])
def test_three_hundred_connections_that_do_nothing_disturb_nobody(gateway, sends):
    """One address cannot take all that the admin listener has: others are served at once, and data traffic anyway."""
    sluice = gateway(routes=ROUTES)
    held = []
    for _ in range(300):
        try:
            client = sluice.connect("admin")
        except ConnectionResetError:    # more than one address may have
            continue
        client.try_send(sends)
        held.append(client)
    for _ in range(20):
        assert sluice.request("GET", "/", source="127.0.0.3").status == 200
    with sluice.connect("admin", source="127.0.0.2", timeout=3) as other:
        assert other.request("GET", "/log", host="127.0.0.1").status == 200, "another address has room of its own"
    sluice.reload()
    for client in held:
        client.close()
    until(lambda: sluice.admin("GET", "/log").status == 200, 5, "served again")


@pytest.mark.seconds(60)
def test_a_flood_of_admin_requests_does_not_slow_the_data_path(gateway, backend):
    server = backend(lambda request, connection: reply())
    sluice = gateway(services={"app": {"instances": [{"url": server.url}]}},
                     routes=[{"name": f"r{n}", "match": {"path": f"/r{n}"}, "service": "app"} for n in range(500)])
    stop = threading.Event()
    counts = [0] * 4

    def flood(index):
        source = f"127.0.0.{10 + index}"
        while not stop.is_set():
            with sluice.connect("admin", source) as client:
                for path in ("/config", "/routes?limit=1000", "/status", "/internal/services"):
                    client.request("GET", path, host="127.0.0.1")
                    counts[index] += 1
    threads = [threading.Thread(target=flood, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    try:
        with sluice.connect() as client:
            for number in range(300):
                assert client.request("GET", f"/r{number}").status == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert min(counts) > 0


def test_the_body_of_a_refused_request_does_not_become_the_next_request(open_one):
    hidden = request_bytes("PUT", "/log", [("Content-Type", "application/json")], b'{"level":"debug"}', host="127.0.0.1")
    for first in (request_bytes("POST", "/explain", [("Content-Type", "text/plain")], hidden, host="127.0.0.1"),
                  request_bytes("POST", "/explain", [("X-Sluice-Admin", "1"), ("Content-Length", "5"),
                                                     ("Transfer-Encoding", "chunked")],
                                host="127.0.0.1") + b"0\r\n\r\n" + hidden,
                  request_bytes("GET", "/log", [("Content-Length", str(len(hidden)))], host="evil.example") + hidden):
        open_one.exchange(first.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1), "admin")
    unchanged(open_one)
