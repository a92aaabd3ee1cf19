"""The admin API: each path with good and bad input (behaviour B.9, B.12; hardening 174, 182, 183, 189, 213)."""

import json
import os
import random
import re
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from sluice_harness import reply, request_bytes, sluice_binary, until
from sluice_harness.process import parsed

TIME = re.compile(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
STATES = {"HEALTHY", "DEGRADED", "FAILED", "UNKNOWN"}
READS = ["/config", "/routes", "/status", "/api/v1/gateway/health", "/log", "/internal/v1/health", "/internal/v1/metrics",
         "/internal/services", "/health-check/users"]
WRITES = [("POST", "/config/validate"), ("POST", "/config/reload"), ("POST", "/internal/v1/config/reload"), ("POST", "/explain"),
          ("PUT", "/log")]


def is_error(response, status, code=None):
    """The gateway's usual error body, and nothing that a cache or a browser could make something of."""
    assert response.status == status, response
    document = response.json()
    assert set(document) == {"error", "request_id"} and document["request_id"] == response.header("x-request-id"), document
    assert document["error"]["code"] and document["error"]["message"] and "details" in document["error"], document
    assert response.header("cache-control") == "no-store" and response.header("x-content-type-options") == "nosniff"
    if code:
        assert document["error"]["code"] == code, document
    return document["error"]


def respond(name, path="/*", body="one"):
    return {"name": name, "match": {"path": path}, "respond": {"status": 200, "body": body}}


@pytest.fixture(scope="module")
def office(module_world):
    """A daemon whose admin API is only read."""
    users = module_world.backend()
    orders = [module_world.backend(), module_world.backend()]
    sluice = module_world.gateway(
        middlewares={"mark": {"headers": {"request": {"set": {"X-Mark": "1"}}}}, "small": {"body_size": {"max": 10}}},
        services={"users": {"instances": [{"url": users.url, "version": "v1", "weight": 2}]},
                  "orders": {"instances": [{"url": server.url} for server in orders]}},
        routes=[
            {"name": "users", "match": {"path": "/users/*", "methods": ["GET", "POST"]}, "service": "users",
             "middlewares": ["mark", "small"]},
            {"name": "orders", "match": {"host": "shop.test", "path": "/orders/{id}", "headers": {"X-Tenant": ["a", "b"]}},
             "service": "orders"},
            {"name": "old", "match": {"path": "/old"}, "redirect": {"to": "/users/", "status": 301}},
            respond("hello", "/hello"),
        ])
    return sluice, users


# Forms


@pytest.mark.parametrize("path", READS)
def test_an_answer_is_json_unless_text_is_asked_for(office, path):
    sluice, _ = office
    plain = sluice.admin("GET", path)
    assert plain.status == 200 and plain.header("content-type").startswith("application/json"), plain
    assert isinstance(plain.json(), dict)
    assert plain.header("cache-control") == "no-store" and plain.header("x-content-type-options") == "nosniff"
    for accept in ("application/json", "*/*", "application/json, text/plain", "text/html"):
        assert sluice.admin("GET", path,
                            headers=[("Accept", accept)]).header("content-type").startswith("application/json"), accept
    text = sluice.admin("GET", path, text=True)
    assert text.status == 200 and text.header("content-type").startswith("text/plain") and text.body.endswith(b"\n")
    assert not text.body.startswith(b"{") and b"\x1b" not in text.body


@pytest.mark.parametrize("path", READS)
def test_head_is_get_without_its_body(office, path):
    sluice, _ = office
    response = sluice.admin("HEAD", path)
    assert response.status == 200 and response.body == b"" and response.header("content-type").startswith("application/json")
    if path == "/config":
        assert response.header("etag") == sluice.admin("GET", path).header("etag")


@pytest.mark.parametrize("path", READS + [path for _, path in WRITES])
def test_another_method_is_refused_with_405_and_those_that_are_allowed(office, path):
    sluice, _ = office
    allowed = {"GET", "HEAD"} if path in READS else {"POST"}
    if path == "/log":
        allowed = {"GET", "HEAD", "PUT"}
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        if method in allowed:
            continue
        response = sluice.admin(method, path, headers=[("X-Sluice-Admin", "1")], body=b"{}")
        is_error(response, 405, "METHOD_NOT_ALLOWED")
        assert set(response.header("allow").split(", ")) == allowed, (method, response)


@pytest.mark.parametrize("path", ["/", "/nothing", "/config/", "/config/show", "/Config", "/routes/users", "/health-check/",
                                  "/health-check/nobody", "/health-check/users/x", "/internal", "/internal/v1", "/api/v1/gateway",
                                  "/health-check/%75sers%20"])
def test_an_unknown_path_is_404(office, path):
    sluice, _ = office
    is_error(sluice.admin("GET", path), 404, "NOT_FOUND")


def test_an_error_comes_as_text_where_text_is_asked_for(office):
    sluice, _ = office
    response = sluice.admin("GET", "/nothing", text=True)
    assert response.status == 404 and response.header("content-type").startswith("text/plain") and b"{" not in response.body


@pytest.mark.parametrize("method,path", WRITES)
def test_a_write_that_a_form_could_send_is_refused_with_415(office, method, path):
    """Hardening 175."""
    sluice, _ = office
    for fields in ([], [("Content-Type", "text/plain")], [("Content-Type", "application/x-www-form-urlencoded")],
                   [("Content-Type", "multipart/form-data; boundary=x")], [("Content-Type", "text/plain;application/json")],
                   [("Content-Type", "application/jsonp")]):
        is_error(sluice.request(method, path, fields, b'{"level":"debug"}', listener="admin"), 415, "INVALID_REQUEST")
    assert sluice.admin("GET", "/log").json() == {"level": "info"}


@pytest.mark.parametrize("kind", ["application/json", "application/yaml", "Application/JSON; charset=utf-8",
                                  "application/yaml ;x=y"])
def test_a_write_with_a_content_type_of_the_api_is_taken(office, kind):
    sluice, _ = office
    response = sluice.request("PUT", "/log", [("Content-Type", kind)], b'{"level":"info"}', listener="admin")
    assert response.status == 200 and response.json() == {"level": "info"}


def test_a_keep_alive_connection_serves_many_admin_requests(office):
    sluice, _ = office
    host = f"127.0.0.1:{sluice.ports['admin']}"
    with sluice.connect("admin") as client:
        for _ in range(5):
            for path in READS:
                assert client.request("GET", path, host=host).status == 200
            assert client.request("PUT", "/log", [("X-Sluice-Admin", "1")], b'{"level":"info"}', host=host).status == 200
            assert client.request("GET", "/nothing", host=host).status == 404


# /config


def test_the_configuration_in_force_is_shown_with_the_source_of_each_value(office):
    sluice, _ = office
    document = sluice.admin("GET", "/config").json()
    assert document["generation"] == 1 and document["file"] == str(sluice.config_path)
    shown = document["configuration"]
    assert shown["server"]["workers"] == 2 and shown["server"]["log_level"] == "info"
    assert shown["services"]["users"]["instances"][0]["weight"] == 2
    assert [route["name"] for route in shown["routes"]] == ["users", "orders", "old", "hello"]
    sources = document["sources"]
    assert sources["server.log_level"] == "default" and sources["limits.request_body"] == "default"
    lines = sluice.config_text.splitlines()
    for trail, word in (("server.workers", "workers"), ("listeners[0].address", "address"), ("routes[3].match.path", "/hello")):
        match = re.search(r"sluice\.yaml:(\d+):(\d+)$", sources[trail])
        assert match and word in lines[int(match.group(1)) - 1], (trail, sources[trail])


def test_the_text_of_the_configuration_is_a_configuration_of_the_same_meaning(office):
    sluice, _ = office
    text = sluice.admin("GET", "/config", text=True).body.decode()
    assert "workers: 2" in text and re.search(r"log_level: \S+ *# *default", text), text
    assert sluice.admin("POST", "/config/validate", body=text).json()["valid"] is True


def test_an_etag_that_still_holds_is_answered_with_304(office):
    sluice, _ = office
    response = sluice.admin("GET", "/config")
    tag = response.header("etag")
    assert re.fullmatch(r'"[\x21\x23-\x7e]+"', tag)
    for value in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = sluice.admin("GET", "/config", headers=[("If-None-Match", value)])
        assert (again.status, again.body, again.header("etag")) == (304, b"", tag), value
    for value in ('"x"', tag[:-2] + '"', tag.strip('"'), ""):
        assert sluice.admin("GET", "/config", headers=[("If-None-Match", value)]).status == 200, value
    text = sluice.admin("GET", "/config", text=True)
    assert text.header("etag") != tag, "another form is another representation"


def test_the_etag_changes_with_the_configuration_and_not_without(gateway):
    sluice = gateway(routes=[respond("a")])
    first = sluice.admin("GET", "/config").header("etag")
    sluice.reload()
    assert sluice.admin("GET", "/config").header("etag") == first
    sluice.reload({"routes": [respond("a", body="two")]})
    response = sluice.admin("GET", "/config", headers=[("If-None-Match", first)])
    assert response.status == 200 and response.header("etag") != first and response.json()["generation"] == 2
    sluice.reload("nonsense: 1\n", fails=True)
    after = sluice.admin("GET", "/config")
    assert after.header("etag") == response.header("etag") and after.json()["configuration"] == response.json()["configuration"]


# /config/validate


def validate(sluice, text, **more):
    response = sluice.admin("POST", "/config/validate", body=text, **more)
    assert response.status == 200, response
    return response.json()


def test_a_good_configuration_is_valid_as_yaml_and_as_json(office):
    sluice, _ = office
    assert validate(sluice, sluice.config_text) == {"valid": True, "problems": []}
    as_json = json.dumps({"listeners": [{"name": "web", "address": "127.0.0.1:1"}], "routes": []})
    response = sluice.admin("POST", "/config/validate", body=as_json, headers=[("Content-Type", "application/json")])
    assert response.status == 200 and response.json()["valid"] is True
    assert sluice.admin("POST", "/config/validate", body=sluice.config_text, text=True).body == b"ok\n"


def test_without_a_body_the_file_on_disk_is_checked(gateway):
    sluice = gateway(routes=[respond("a")])
    assert sluice.admin("POST", "/config/validate").json() == {"valid": True, "problems": []}
    sluice.config_path.write_text("nonsense: 1\n")
    found = sluice.admin("POST", "/config/validate").json()
    assert found["valid"] is False and found["problems"][0]["file"].endswith("sluice.yaml")
    assert sluice.request("GET", "/").body == b"one", "nothing was applied"
    assert sluice.metrics().sum("sluice_config_last_reload_successful") == 1
    sluice.write_config({"routes": [respond("a")]})


def test_each_problem_has_its_place_its_path_and_a_hint(office):
    sluice, _ = office
    found = validate(sluice,
                     "listeners:\n  - {name: web, address: \"127.0.0.1:1\"}\nroutes:\n  - name: a\n    match: {path: /a}\n"
                             "    servise: users\n  - name: b\n    match: {path: b}\n    respond: {}\n")
    assert found["valid"] is False
    problems = {(problem["line"], problem["column"]): problem for problem in found["problems"]}
    first = problems[(6, 5)]
    assert set(first) == {"severity", "file", "line", "column", "path", "message", "hint"}
    assert first["severity"] == "error" and first["path"].startswith("routes[0]") and "service" in first["hint"]
    assert problems[(8, 19)]["hint"] is None or isinstance(problems[(8, 19)]["hint"], str)


def test_a_warning_alone_leaves_a_configuration_valid(office):
    sluice, _ = office
    text = sluice.config_text + "store:\n  url: redis://127.0.0.1:1\n"
    found = validate(sluice, text)
    assert found["valid"] is True and [problem["severity"] for problem in found["problems"]] == ["warning"]


def test_a_configuration_whose_routes_tie_is_not_valid(office):
    """What a reload would refuse, validation refuses."""
    sluice, _ = office
    text = ("listeners:\n  - {name: web, address: \"127.0.0.1:1\"}\nroutes:\n  - {name: a, match: {path: \"/{x}\"}, respond: {}}\n"
            "  - {name: b, match: {path: \"/{y}\"}, respond: {}}\n")
    found = validate(sluice, text)
    assert found["valid"] is False and any("b" in problem["message"] + problem["path"] for problem in found["problems"])


@pytest.mark.parametrize("body", [
    b"\x00", b"\xff\xfe\x00a", b"{{{{", b"[" * 50_000, b"{\"a\":" * 5_000, b"- 1\n", b"a: 1\na: 2\n", b"\x1b[31mred: 1\n",
    b"a: &a [x,x,x,x,x,x,x,x]\n" + b"".join(b"b%d: &b%d [*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s]\n" % (
        n, n, *([b"a" if n == 0 else b"b%d" % (n - 1)] * 8)) for n in range(10)),
    os.urandom(5000),
], ids=["nul", "utf16", "braces", "deep list", "deep map", "list", "duplicate", "escape", "bomb", "random"])
def test_rubbish_is_not_valid_and_the_daemon_goes_on(office, body):
    sluice, _ = office
    found = validate(sluice, body)
    assert found["valid"] is False and found["problems"] and all(problem["line"] >= 0 for problem in found["problems"])
    assert sluice.request("GET", "/hello").status == 200


def test_a_body_that_is_too_large_is_refused_with_413_and_holds_nothing_up(office):
    sluice, _ = office
    with sluice.connect("admin", timeout=20) as client:
        client.try_send(request_bytes("POST", "/config/validate", [("X-Sluice-Admin", "1"), ("Content-Length", str(40 << 20))],
                                      host="127.0.0.1"))
        for _ in range(40):
            if not client.try_send(b"#" * (1 << 20)):
                break
        try:
            assert client.read_response("POST").status == 413
        except AssertionError:
            assert client.was_reset, "an early answer may be lost with the reset, and with nothing else"
    assert sluice.admin("GET", "/log").status == 200 and sluice.request("GET", "/hello").status == 200


def test_a_large_configuration_is_checked_while_the_data_path_goes_on(office):
    """5,000 routes in one body."""
    sluice, _ = office
    text = "listeners:\n  - {name: web, address: \"127.0.0.1:1\"}\nroutes:\n" + "".join(
        f"  - {{name: r{n}, match: {{path: \"/r{n}/*\"}}, respond: {{body: \"{n}\"}}}}\n" for n in range(5000))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(sluice.admin("POST", "/config/validate", body=text)))
    asking.start()
    served = 0
    while asking.is_alive():
        assert sluice.request("GET", "/hello").status == 200
        served += 1
    asking.join()
    assert answers[0].status == 200 and answers[0].json()["valid"] is True and served > 0


def test_a_client_that_asks_to_continue_is_told_to(office):
    """RFC 9110 §10.1.1."""
    sluice, _ = office
    body = sluice.config_text.encode()
    with sluice.connect("admin") as client:
        client.send(request_bytes("POST", "/config/validate", [
            ("Content-Type", "application/yaml"), ("Expect", "100-continue"), ("Content-Length", str(len(body)))],
            host="127.0.0.1"))
        assert client.read_head().status == 100
        client.send(body)
        assert client.read_response("POST").json()["valid"] is True


def test_a_write_that_is_refused_gets_its_answer_though_its_client_asked_to_continue(office):
    sluice, _ = office
    with sluice.connect("admin") as client:
        client.send(request_bytes("POST", "/config/validate", [("Expect", "100-continue"), ("Content-Length", "9")],
                                  host="127.0.0.1"))
        head = client.read_head()
        if head.status == 100:
            client.send(b"routes: 1")
            head = client.read_head()
        assert head.status == 415


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_chunked_body_is_taken_in_pieces_of_any_size(office, size):
    sluice, _ = office
    body = sluice.config_text.encode()
    with sluice.connect("admin") as client:
        client.send(request_bytes("POST", "/config/validate", [("Content-Type", "application/yaml"),
                                                               ("Transfer-Encoding", "chunked")], host="127.0.0.1"))
        for start in range(0, len(body), size):
            piece = body[start:start + size]
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.read_response("POST").json()["valid"] is True
        assert client.request("GET", "/log", host="127.0.0.1").status == 200


# /config/reload


@pytest.fixture
def small(gateway):
    return gateway(routes=[respond("a")])


@pytest.mark.parametrize("path", ["/config/reload", "/internal/v1/config/reload"])
def test_a_reload_says_what_changed(gateway, backend, path):
    server = backend()
    sluice = gateway(routes=[respond("a"), respond("gone", "/gone")])
    sluice.write_config({"routes": [respond("a", body="two"), {"name": "new", "match": {"path": "/new"}, "service": "app"}],
                         "services": {"app": {"instances": [{"url": server.url}]}}})
    response = sluice.admin("POST", path)
    assert response.status == 200, response
    verdict = response.json()
    assert (verdict["result"], verdict["generation"], verdict["warnings"]) == ("applied", 2, [])
    changes = {(change["change"], change["path"]) for change in verdict["changes"]}
    assert any(kind == "added" and path.startswith("services") and "app" in path for kind, path in changes), changes
    assert any(kind == "added" and "new" in path for kind, path in changes), changes
    assert any(kind == "removed" and "gone" in path for kind, path in changes), changes
    assert any(kind == "changed" and re.search(r"routes.*\ba\b", path) for kind, path in changes), changes
    assert all(set(change) == {"change", "path", "from", "to"} for change in verdict["changes"])
    assert sluice.request("GET", "/x").body == b"two" and sluice.request("GET", "/new").body == b"ok"


def test_changes_are_told_in_words_in_the_text_and_in_the_log(small):
    small.write_config({"routes": [respond("a", body="two"), respond("b", "/b")]})
    text = small.admin("POST", "/config/reload", text=True).body.decode()
    line = small.stderr.wait(lambda line: parsed(line).get("message") == "reloaded", 5)
    for said in (text, parsed(line)["changes"]):
        assert "+ routes.b" in said and "~ routes.a" in said, said
        assert "ConfigurationChange" not in said and "Optional" not in said and "nil" not in said, said


def test_the_verdict_comes_once_the_new_configuration_serves(small):
    """Whoever has the answer may rely on it: the very next request, on any worker, sees the new file."""
    with small.connect() as one, small.connect() as two:
        for number in range(40):
            small.write_config({"routes": [respond("a", body=str(number))]})
            assert small.admin("POST", "/config/reload").json()["result"] == "applied"
            for client in (one, two):
                assert client.request("GET", "/").body == str(number).encode()


def test_an_unchanged_file_changes_nothing(small):
    before = small.metrics()
    verdict = small.admin("POST", "/config/reload").json()
    assert (verdict["result"], verdict["generation"], verdict["changes"]) == ("unchanged", 1, [])
    small.config_path.write_text("# a comment more\n" + small.config_text)
    assert small.admin("POST", "/config/reload").json()["result"] == "unchanged"
    after = small.metrics()
    assert after.sum("sluice_config_generation") == before.sum("sluice_config_generation")
    assert b"nothing changed" in small.admin("POST", "/config/reload", text=True).body


def test_a_refused_reload_tells_the_problems_and_the_old_configuration_goes_on(small):
    """Hardening 212."""
    small.config_path.write_text(small.config_text.replace("respond:", "responnd:"))
    response = small.admin("POST", "/config/reload")
    error = is_error(response, 422)
    problem = error["details"]["problems"][0]
    assert problem["severity"] == "error" and problem["line"] > 0 and "respond" in (problem["hint"] or "")
    text = small.admin("POST", "/config/reload", text=True)
    assert text.status == 422 and re.search(rb"sluice\.yaml:\d+:\d+: error: ", text.body), text.body
    assert small.request("GET", "/").body == b"one"
    assert small.metrics().sum("sluice_config_last_reload_successful") == 0
    assert small.metrics().sum("sluice_config_reloads_total", result="error") >= 2 or \
        small.metrics().sum("sluice_config_reloads_total") >= 2
    small.write_config({"routes": [respond("a", body="two")]})
    assert small.admin("POST", "/config/reload").json()["generation"] == 2 and small.request("GET", "/").body == b"two"
    assert small.metrics().sum("sluice_config_last_reload_successful") == 1


def test_a_port_that_is_taken_refuses_the_reload_as_a_whole(gateway, backend):
    taken = backend()
    sluice = gateway(routes=[respond("a")])
    listeners = [{"name": "web", "address": f"127.0.0.1:{sluice.ports['web']}"},
                 {"name": "more", "address": f"127.0.0.1:{taken.port}"}]
    sluice.write_config({"listeners": listeners, "routes": [respond("a", body="two")]})
    error = is_error(sluice.admin("POST", "/config/reload"), 422)
    assert str(taken.port) in json.dumps(error["details"]["problems"])
    assert sluice.request("GET", "/").body == b"one"


def test_warnings_of_a_reload_are_in_its_verdict(small):
    small.write_config({"routes": [respond("a", body="two")], "store": {"url": "redis://127.0.0.1:1"}})
    verdict = small.admin("POST", "/config/reload").json()
    assert verdict["result"] == "applied" and len(verdict["warnings"]) == 1 and "store" in verdict["warnings"][0]


@pytest.mark.seconds(60)
def test_each_of_fifty_reloads_at_once_gets_a_verdict_and_the_last_file_wins(small):
    """Hardening 213: coalesced, one at a time, none lost."""
    lock, verdicts, last = threading.Lock(), [], []
    start = threading.Barrier(50)

    def reload(number):
        start.wait()
        with lock:
            # A file is swapped in whole, as editors do.
            beside = small.directory / f"next-{number}"
            beside.write_text(small.config_text.replace("one", f"body-{number}"))
            os.replace(beside, small.config_path)
            last.append(number)
        response = small.admin("POST", "/config/reload")
        with lock:
            verdicts.append(response)
    threads = [threading.Thread(target=reload, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [response.status for response in verdicts] == [200] * 50
    assert small.request("GET", "/").body == f"body-{last[-1]}".encode()
    generations = [response.json()["generation"] for response in verdicts]
    assert small.metrics().sum("sluice_config_generation") == max(generations) <= 51
    assert small.admin("POST", "/config/reload").json()["result"] == "unchanged"


def test_each_of_many_reloads_at_once_of_a_broken_file_is_refused(small):
    small.config_path.write_text("nonsense: 1\n")
    responses = []
    threads = [threading.Thread(target=lambda: responses.append(small.admin("POST", "/config/reload"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [response.status for response in responses] == [422] * 20
    assert all(response.json()["error"]["details"]["problems"] for response in responses)
    assert small.request("GET", "/").body == b"one"


def test_a_client_that_does_not_wait_for_its_verdict_harms_nobody(small):
    for number in range(20):
        beside = small.directory / "next"
        beside.write_text(small.config_text.replace("one", f"body-{number}"))
        os.replace(beside, small.config_path)
        client = small.connect("admin")
        client.send(request_bytes("POST", "/config/reload", [("X-Sluice-Admin", "1")], b"", host="127.0.0.1"))
        client.reset() if number % 2 else client.close()
    # A request that was reset may never have been read.
    assert small.admin("POST", "/config/reload").json()["result"] in ("applied", "unchanged")
    assert small.request("GET", "/").body == b"body-19"
    assert not [entry for entry in small.log_entries() if entry.get("message") == "reload failed"]


def test_a_signal_and_a_request_at_once_both_count(small):
    small.write_config({"routes": [respond("a", body="two")]})
    start = len(small.stderr.lines)
    small.signal(signal.SIGHUP)
    verdict = small.admin("POST", "/config/reload").json()
    assert verdict["generation"] == 2 and verdict["result"] in ("applied", "unchanged")
    small.stderr.wait(lambda line: parsed(line).get("message") == "reloaded", 5, start)
    assert small.request("GET", "/").body == b"two"


def test_a_reload_is_refused_with_503_while_the_daemon_drains(simple):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply()
    sluice, server = simple(handler)
    with sluice.connect() as client, sluice.connect("admin") as admin:
        assert admin.request("GET", "/log", host="127.0.0.1").status == 200
        client.send(request_bytes("GET", "/"))
        server.wait_requests(1)
        sluice.signal(signal.SIGTERM)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "draining", 5)
        is_error(sluice.admin("POST", "/config/reload"), 503, "SERVICE_UNAVAILABLE")
        assert sluice.admin("GET", "/status").json()["status"] != "healthy"
        gate.set()
        assert client.read_response().status == 200
    assert sluice.wait_exit() == 0


def test_a_secret_file_that_changed_makes_a_reload_that_changes_something(gateway, tmp_path):
    """Files that the configuration names count as part of it (issue)."""
    secret = tmp_path / "token"
    secret.write_text("first-token-of-the-operator")
    secret.chmod(0o600)
    sluice = gateway(routes=[respond("a")], admin={"address": "@admin@", "token": f"file:{secret}"})
    assert sluice.admin("GET", "/log", token="first-token-of-the-operator").status == 200
    secret.write_text("second-token-of-the-operator")
    response = sluice.admin("POST", "/config/reload", token="first-token-of-the-operator")
    assert response.json()["result"] == "applied" and "-token-of" not in response.body.decode()
    assert sluice.admin("GET", "/log", token="second-token-of-the-operator").status == 200
    assert sluice.admin("GET", "/log", token="first-token-of-the-operator").status == 401


# /routes


def test_routes_are_listed_with_what_they_match_and_do(office):
    sluice, _ = office
    document = sluice.admin("GET", "/routes").json()
    assert document["next"] is None and document["total"] == 4
    keys = {"name", "hosts", "path", "methods", "headers", "query", "action", "service", "middlewares"}
    assert all(set(route) == keys for route in document["data"]), document
    users, orders, old, hello = document["data"]
    assert users["path"] == "/users/*" and set(users["methods"]) >= {"GET", "POST"} and users["middlewares"] == ["mark", "small"]
    assert (users["action"], users["service"], users["hosts"]) == ("service", "users", [])
    assert orders["hosts"] == ["shop.test"] and "a" in json.dumps(orders["headers"]) and orders["path"] == "/orders/{id}"
    assert (old["action"], old["service"], hello["action"]) == ("redirect", None, "respond")
    text = sluice.admin("GET", "/routes", text=True).body.decode().splitlines()
    assert len(text) == 5 and text[0].startswith("NAME") and text[1].startswith("users")


@pytest.fixture(scope="module")
def many(module_world):
    names = [f"route-{n:03}" for n in range(250)]
    return module_world.gateway(routes=[respond(name, f"/{name}") for name in names]), names


@pytest.mark.parametrize("query,sizes", [("", [100, 100, 50]), ("?limit=250", [250]), ("?limit=1000", [250]),
                                         ("?limit=125", [125, 125]),
                                         ("?limit=249", [249, 1])])
def test_pages_hold_each_route_once_and_in_order(many, query, sizes):
    sluice, names = many
    seen, target, found = [], "/routes" + query, []
    while target:
        page = sluice.admin("GET", target).json()
        assert page["total"] == 250
        seen.append(len(page["data"]))
        found += [route["name"] for route in page["data"]]
        target = page["next"] and f"/routes{query}{'&' if query else '?'}cursor={page['next']}"
        assert len(found) <= 250
    assert seen == sizes and found == names


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=1e2",
                                   "limit=99999999999999999999"])
def test_a_bad_limit_is_refused_with_422(many, query):
    sluice, _ = many
    is_error(sluice.admin("GET", f"/routes?{query}"), 422, "INVALID_REQUEST")


@pytest.mark.parametrize("cursor", ["nobody", "%00", "a" * 3000, "", "%ff%fe"])
def test_a_cursor_that_names_nothing_harms_nothing(many, cursor):
    sluice, _ = many
    assert sluice.admin("GET", f"/routes?cursor={cursor}").status in (200, 400, 422)


# /explain


def explain(sluice, **request):
    response = sluice.admin("POST", "/explain", json=request)
    assert response.status == 200, response
    return response.json()


def test_an_explanation_names_the_route_and_what_would_be_sent(office):
    sluice, users = office
    found = explain(sluice, method="GET", url="http://app.test/users/%37?a=b", headers={"X-One": ["v", "w"]}, client="192.0.2.1",
                    listener="web")
    assert found["route"]["name"] == "users" and [stage["name"] for stage in found["chain"]] == ["mark", "small"]
    head = [line.lower() for line in found["upstream"]["head"]]
    assert head[0] == "get /users/7?a=b http/1.1" and "x-mark: 1" in head and "x-forwarded-for: 192.0.2.1" in head
    assert sum(line.startswith("x-one: ") for line in head) == 2
    assert found["upstream"]["service"] == "users" and users.heads == []


def test_an_explanation_says_why_nearer_candidates_do_not_match(office):
    sluice, _ = office
    found = explain(sluice, method="DELETE", url="http://app.test/users/7")
    assert found["route"] is None and found["answer"]["status"] == 405
    assert any(candidate["route"] == "users" and candidate["because"] for candidate in found["candidates"])
    text = sluice.admin("POST", "/explain", json={"method": "DELETE", "url": "http://app.test/users/7"}, text=True)
    assert text.status == 200 and b"users" in text.body and b"405" in text.body


@pytest.mark.parametrize("body", [
    {}, {"method": "GET"}, {"url": "http://a/"}, {"method": "GET", "url": "http://a/", "nonsense": 1},
    {"method": "G T", "url": "http://a/"}, {"method": "", "url": "http://a/"}, {"method": 1, "url": "http://a/"},
    {"method": "GET", "url": ""}, {"method": "GET", "url": ["http://a/"]}, {"method": "GET", "url": "/only"},
    {"method": "GET", "url": "http://a/", "client": "nobody"}, {"method": "GET", "url": "http://a/", "client": "1.2.3"},
    {"method": "GET", "url": "http://a/", "headers": {"A b": "1"}},
    {"method": "GET", "url": "http://a/", "headers": {"A": "1\r\nB: 2"}},
    {"method": "GET", "url": "http://a/", "headers": ["A: 1"]}, {"method": "GET", "url": "http://a/", "headers": {"A": {"b": 1}}},
    {"method": "GET", "url": "http://a/\r\nX: 1"}, {"method": "GET", "url": "http://a/", "listener": 7},
], ids=lambda body: json.dumps(body)[:60])
def test_a_request_that_cannot_be_explained_is_refused_with_422(office, body):
    sluice, _ = office
    is_error(sluice.admin("POST", "/explain", json=body), 422, "INVALID_REQUEST")


def test_an_explanation_for_a_listener_that_is_not_there_says_so(office):
    sluice, _ = office
    response = sluice.admin("POST", "/explain", json={"method": "GET", "url": "http://app.test/hello", "listener": "nobody"})
    assert response.status in (200, 422) and b"listener" in response.body
    if response.status == 200:
        assert response.json()["route"] is None and "listener" in json.dumps(response.json()["answer"])


@pytest.mark.seconds(60)
def test_explanations_agree_with_what_the_gateway_does(office):
    """Issue: explain against the real decision for random requests."""
    sluice, _ = office
    dice = random.Random(3)
    parts = ["users", "orders", "old", "hello", "7", "", "..", ".", "%2e%2e", "%75sers", "a b".replace(" ", "%20"), "x;y", "%2F",
             "*"]
    for number in range(200):
        target = "/" + "/".join(dice.choice(parts) for _ in range(dice.randint(1, 4)))
        if dice.random() < 0.3:
            target += "?a=%31&b"
        method = dice.choice(["GET", "GET", "POST", "HEAD", "DELETE", "OPTIONS", "FOO"])
        host = dice.choice(["app.test", "shop.test", "SHOP.test:80", "other.test"])
        headers = {"X-Tenant": dice.choice(["a", "b", "c"])} if dice.random() < 0.5 else {}
        found = explain(sluice, method=method, url=f"http://{host}{target}", headers=headers)
        response = sluice.request(method, target, list(headers.items()), host=host)
        told = f"{method} {host}{target} {headers} → {response.status}, explained: {found['route']} {found['answer']}"
        entry = sluice.entry(response)
        assert (found["route"] or {}).get("name") == (entry.get("route") or None), told
        if entry.get("service") is None and found["answer"]:
            assert found["answer"]["status"] == response.status, told
        assert (found["upstream"] is not None) == bool(entry.get("instance")), told


# /status and what stands for it


def test_status_tells_the_process_its_services_and_its_traffic(simple):
    sluice, _ = simple(lambda request, connection: reply(500 if request.target == "/fail" else 200, b"x"))
    for number in range(15):
        sluice.request("GET", "/fail" if number % 5 == 0 else "/")
    with sluice.connect() as one, sluice.connect() as two:
        assert one.request().status == two.request().status == 200
        for path in ("/status", "/api/v1/gateway/health"):
            until(lambda: sluice.admin("GET", path).json()["request_count"] == 17, 5, "all requests counted")
            until(lambda: sluice.admin("GET", path).json()["active_connections"] == 2, 5, "two connections")
            document = sluice.admin("GET", path).json()
            assert document["status"] == "healthy" and re.match(r"\d+\.\d+", document["version"]) and document["uptime"] >= 0
            assert document["generation"] == document["config_generation"] == 1 and document["workers"] == 2
            assert document["redis"] == "off"
            service = document["services"]["app"]
            assert service["state"] in STATES and service["instances"] == {"healthy": 1, "total": 1} and "breaker" in service
        figures = sluice.admin("GET", "/internal/v1/metrics").json()
        assert set(figures) == {"request_count", "error_rate", "response_time_p95", "active_connections"}
        assert figures["request_count"] == 17 and abs(figures["error_rate"] - 3 / 17) < 0.01
        assert 0 < figures["response_time_p95"] < 10 and figures["active_connections"] == 2
    until(lambda: sluice.admin("GET", "/status").json()["active_connections"] == 0, 5, "no connection")
    text = sluice.admin("GET", "/status", text=True).body.decode()
    assert "17" in text and "app" in text


def test_requests_to_the_admin_api_are_not_counted_as_traffic(office):
    sluice, _ = office
    before = sluice.admin("GET", "/status").json()["request_count"]
    for path in READS:
        sluice.admin("GET", path)
    assert sluice.admin("GET", "/status").json()["request_count"] == before


def test_status_tells_a_refused_reload_from_its_generation(small):
    small.reload("nonsense: 1\n", fails=True)
    assert small.admin("GET", "/status").json()["generation"] == 1
    small.reload({"routes": [respond("a", body="two")]})
    assert small.admin("GET", "/status").json()["generation"] == 2


def test_the_aliases_of_earlier_gateways_have_their_shapes(office):
    """B.9."""
    sluice, users = office
    health = sluice.admin("GET", "/internal/v1/health").json()
    assert set(health) == {"status", "timestamp", "dependencies"} and TIME.match(health["timestamp"])
    services = sluice.admin("GET", "/internal/services").json()
    assert services["next"] is None and services["total"] == 2
    first = {service["name"]: service for service in services["data"]}["users"]
    assert {"name", "url", "status", "last_health_check", "version", "tags", "instances"} <= set(first)
    assert first["status"] in STATES and first["version"] == "v1" and first["url"] == users.url
    instance = first["instances"][0]
    assert {"id", "url", "weight", "version", "status", "in_flight", "connections"} <= set(instance)
    assert (instance["url"], instance["weight"], instance["status"]) == (users.url, 2, "HEALTHY")
    check = sluice.admin("GET", "/health-check/orders").json()
    assert {"service", "status", "instances", "timestamp"} <= set(check) and TIME.match(check["timestamp"])
    assert check["service"] == "orders" and check["instances"] == {"healthy": 2, "total": 2}


def test_services_tell_the_connections_that_are_open_and_the_requests_in_flight(simple):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply()
    sluice, server = simple(handler)
    with sluice.connect() as client:
        client.send(request_bytes("GET", "/"))
        server.wait_requests(1)

        def instance():
            return sluice.admin("GET", "/internal/services").json()["data"][0]["instances"][0]
        until(lambda: instance()["connections"] == 1, 5, "one connection")
        assert instance()["in_flight"] in (1, None)
        gate.set()
        assert client.read_response().status == 200


# /log


def refused(sluice, start):
    """How many lines of refused requests stand in the log from `start` on."""
    return sum(parsed(line).get("message", "").startswith("request refused") for line in sluice.stderr.lines[start:])


def test_the_level_is_changed_at_run_time_and_comes_back_with_a_changed_file(small):
    def provoke():
        start = len(small.stderr.lines)
        until(lambda: (small.exchange(b"%d BAD\r\n\r\n" % random.randrange(1 << 30)), refused(small, start))[1], 5, "a line")

    provoke()
    response = small.admin("PUT", "/log", json={"level": "error"})
    assert response.status == 200 and response.json() == {"level": "error"} == small.admin("GET", "/log").json()
    assert small.admin("GET", "/log", text=True).body == b"error\n"
    # A refused reload is an error: it comes behind what was said before the change, and behind what the bad requests would leave.
    small.reload("nonsense: 1\n", fails=True)
    start = len(small.stderr.lines)
    for number in range(30):
        small.exchange(b"%d BAD\r\n\r\n" % random.randrange(1 << 30))
    small.reload("nonsense: 1\n", fails=True)
    assert refused(small, start) == 0, small.stderr.lines[start:]
    small.write_config({"routes": [respond("a")]})
    assert small.admin("POST", "/config/reload").json()["result"] == "unchanged"
    assert small.admin("GET", "/log").json() == {"level": "error"}, "an unchanged file changes nothing"
    small.write_config({"routes": [respond("a", body="two")]})
    assert small.admin("POST", "/config/reload").json()["result"] == "applied"
    assert small.admin("GET", "/log").json() == {"level": "info"}
    provoke()


def test_at_level_debug_there_are_lines_of_that_level_and_at_info_none(small):
    def lines(level):
        start = len(small.stderr.lines)
        assert small.admin("PUT", "/log", json={"level": level}).status == 200
        small.request("GET", "/")
        small.exchange(b"BAD\r\n\r\n")
        small.write_config({"routes": [respond("a", body=level)]})
        if level == "debug":
            small.stderr.wait(lambda line: parsed(line).get("level") == "debug", 5, start, "level debug")
        small.reload()
        return [entry for entry in small.log_entries(start) if entry.get("level") == "debug"]
    assert lines("info") == []
    assert lines("debug") != []


def test_each_level_can_be_set_and_it_is_told_who_changed_it(small):
    for level in ("debug", "warn", "error", "info"):
        assert small.admin("PUT", "/log", json={"level": level}).json() == {"level": level}
    yaml = small.admin("PUT", "/log", body="level: warn\n")
    assert yaml.status == 200 and yaml.json() == {"level": "warn"}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"level":"loud"}', b'{"level":1}', b'{"level":null}', b'{"level":["debug"]}',
                                  b'{"level":"debug","x":1}', b'"debug"', b'{"level":"debug"', b"[]", b"\x00",
                                  b'{"level":"debug","level":"error"}', b'{"LEVEL":"debug"}'])
def test_a_bad_level_is_refused_and_changes_nothing(office, body):
    sluice, _ = office
    response = sluice.admin("PUT", "/log", body=body, headers=[("Content-Type", "application/json")])
    assert response.status in (400, 422), response
    is_error(response, response.status, "INVALID_REQUEST")
    assert sluice.admin("GET", "/log").json() == {"level": "info"}


# Where it listens


def test_the_admin_api_works_over_a_unix_socket_that_is_not_for_everybody(gateway):
    sluice = gateway(routes=[respond("a")], admin={"address": "unix:@dir@/admin.sock"})
    path = sluice.directory / "admin.sock"
    mode = os.stat(path).st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o007 == 0, oct(mode)
    for target in ("/health", "/ready", "/metrics", *READS[:4]):
        assert sluice.admin("GET", target).status == 200, target
    assert sluice.admin("GET", "/log", host="whatever.example").status == 200, "no name leads a browser to a file"
    sluice.write_config({"routes": [respond("a", body="two")], "admin": {"address": "unix:@dir@/admin.sock"}})
    assert sluice.admin("POST", "/config/reload").json()["result"] == "applied"
    said = subprocess.run([sluice_binary(), "status", "--config", str(sluice.config_path)], capture_output=True, text=True,
                          timeout=20)
    assert said.returncode == 0, said
    sluice.stop()
    assert not path.exists()


def test_the_admin_listener_can_be_moved_by_a_reload_and_the_mover_gets_his_answer(gateway):
    sluice = gateway(routes=[respond("a")], admin={"address": "@admin@"})
    with sluice.connect("admin") as client:
        assert client.request("GET", "/log", host="127.0.0.1").status == 200
        sluice.write_config({"routes": [respond("a")], "admin": {"address": "unix:@dir@/admin.sock"}})
        response = client.request("POST", "/config/reload", [("X-Sluice-Admin", "1")], b"", host="127.0.0.1")
        assert response.status == 200 and response.json()["result"] == "applied"
    assert sluice.admin("GET", "/log").status == 200
    assert not sluice.accepts(sluice.ports["admin"])


def test_without_metrics_the_admin_listener_has_no_such_path(gateway):
    sluice = gateway(routes=[respond("a")], admin={"address": "@admin@", "metrics": False})
    assert sluice.admin("GET", "/metrics").status == 404
    assert sluice.admin("GET", "/health").status == 200 and sluice.admin("GET", "/status").status == 200
    assert sluice.admin("GET", "/config").json()["configuration"]["admin"]["metrics"] is False


def test_an_admin_listener_that_is_switched_off_does_not_listen(gateway):
    sluice = gateway(routes=[respond("a")], admin={"address": "@admin@", "enabled": False})
    assert not sluice.accepts(sluice.ports["admin"]) and sluice.request("GET", "/").status == 200


# Secrets


PLANTED = {name: f"PLANTED-{name}-{os.urandom(6).hex()}-padding-to-forty-bytes" for name in (
    "token", "jwt", "redis", "user-info", "secret-key", "header", "response", "query", "option", "credential", "environment")}


@pytest.mark.seconds(60)
def test_planted_secrets_are_in_no_output(gateway, backend, tmp_path):
    """Hardening 183, 185, 189; issue: a grep that planted secrets are in no output."""
    server = backend()
    token = tmp_path / "token"
    token.write_text(PLANTED["token"] + "\n")
    token.chmod(0o600)
    (tmp_path / "option").write_text(PLANTED["option"] + "\n")
    (tmp_path / "creds").mkdir()
    (tmp_path / "creds" / "pass").write_text(PLANTED["credential"])
    environment = {"PLANTED_ENVIRONMENT_SECRET": PLANTED["environment"], "CREDENTIALS_DIRECTORY": str(tmp_path / "creds")}
    whole = {
        "jwt_secret": PLANTED["jwt"],
        "admin": {"address": "@admin@", "token": f"file:{token}"},
        "store": {"url": "redis://127.0.0.1:6379/0", "username": "someone", "password": PLANTED["redis"]},
        "access_log": {"output": "stdout", "request_headers": ["Authorization", "X-API-Key", "Accept"]},
        "middlewares": {
            "sign": {"headers": {"request": {"set": {"Authorization": "Bearer " + PLANTED["header"],
                                                     "X-Api-Key": "${PLANTED_ENVIRONMENT_SECRET}"}},
                                 "response": {"set": {"X-Session-Token": PLANTED["response"]}}}},
        },
        "services": {"app": {"instances": [{"url": server.url}]}},
        "routes": [{"name": "all", "match": {"path": "/*", "query": {"api_key": [PLANTED["query"]]}}, "service": "app",
                    "middlewares": ["sign"]}, respond("rest")],
    }
    # The key of the older name and the variable are one thing: each of the two has a daemon of its own.
    second = {**{key: value for key, value in whole.items() if key != "jwt_secret"}, "store": {
        "url": "redis://127.0.0.1:6379", "password": "cred:pass"}}
    outputs = {}
    for name, configuration, more in (("older name", whole, {}), ("environment", second, {"SECRET_KEY": PLANTED["secret-key"]})):
        sluice = gateway(configuration, environment={**environment, **more})
        outputs[f"{name}: cmdline"] = Path(f"/proc/{sluice.pid}/cmdline").read_bytes()
        response = sluice.request("GET", f"/x?api_key={PLANTED['query']}&token={PLANTED['token']}", [
            ("Authorization", "Bearer " + PLANTED["token"]), ("X-API-Key", PLANTED["option"]),
            ("Referer", f"http://a.test/?password={PLANTED['redis']}")])
        assert response.status == 200 and response.header("x-session-token") == PLANTED["response"], response
        assert server.heads[-1].header("authorization") == "Bearer " + PLANTED["header"]
        assert server.heads[-1].header("x-api-key") == PLANTED["environment"]
        sluice.exchange(f"GET /?token={PLANTED['query']} BAD\r\n\r\n".encode())
        for text in (False, True):
            for target in READS + ["/metrics", "/health", "/ready"]:
                target = target.replace("users", "app")
                response = sluice.admin("GET", target, token=PLANTED["token"], text=text)
                assert response.status == 200, (target, response)
                outputs[f"{name}: GET {target}, text {text}"] = response.body + repr(response.headers).encode()
            for body in ("", sluice.config_text, sluice.config_text.replace("jwt_secret", "jwt_secrett"),
                         sluice.config_text.replace("routes:", "routess:"),
                         sluice.config_text.replace("redis://", f"redis://someone:{PLANTED['user-info']}@"),
                         sluice.config_text.replace("middlewares:\n",
                                                    "middlewares:\n  own: {custom: {type: nobody, options: {api_secret: "
                                                    + PLANTED["option"] + "}}}\n", 1)):
                outputs[f"{name}: validate {len(body)}, text {text}"] = sluice.admin(
                    "POST", "/config/validate", body=body, token=PLANTED["token"], text=text).body
            outputs[f"{name}: explain, text {text}"] = sluice.admin(
                "POST", "/explain", json={"method": "GET", "url": "http://app.test/"}, token=PLANTED["token"], text=text).body
            outputs[f"{name}: wrong token, text {text}"] = sluice.admin("GET", "/config", token=PLANTED["redis"], text=text).body
            changed = {**configuration, "store": {"url": "redis://127.0.0.1:6379", "password": PLANTED["option"]},
                       "middlewares": {"sign": {"headers": {"request": {"set": {"Authorization": "Bearer " + PLANTED["query"]}}}}}}
            sluice.write_config(changed if not text else configuration)
            response = sluice.admin("POST", "/config/reload", token=PLANTED["token"], text=text)
            assert response.status == 200, response
            outputs[f"{name}: reload, text {text}"] = response.body
            sluice.config_path.write_text(sluice.config_text.replace("routes:", "routess:"))
            outputs[f"{name}: refused, text {text}"] = sluice.admin("POST", "/config/reload", token=PLANTED["token"],
                                                                    text=text).body
            sluice.config_path.write_text(sluice.config_text)
        for arguments in (["status"], ["config", "show"], ["config", "show", "--running"], ["routes", "list"],
                          ["services", "list"], ["log", "level"], ["reload"],
                          ["routes", "explain", "GET", "http://app.test/"], ["check"], ["config", "schema"]):
            for flag in ([], ["--json"]):
                if arguments in (["check"], ["config", "schema"]) and flag:
                    continue
                said = subprocess.run([sluice_binary(), *arguments, "--config", str(sluice.config_path), *flag],
                                      capture_output=True,
                                      timeout=20, env={**os.environ, **environment, **more}, stdin=subprocess.DEVNULL)
                outputs[f"{name}: sluice {' '.join(arguments + flag)}"] = said.stdout + said.stderr
                if arguments[0] not in ("check", "config"):
                    assert said.returncode == 0, (arguments, said)
        sluice.stop()
        sluice.stdout.thread.join(5)
        outputs[f"{name}: standard output"] = "\n".join(sluice.stdout.lines).encode()
        outputs[f"{name}: standard error"] = "\n".join(sluice.stderr.lines).encode()
        assert b'"type":"access"' in outputs[f"{name}: standard output"]
    leaks = [f"{secret} in {place}: …{text[max(0, text.find(value.encode()) - 80):][:160]!r}" for place, text in outputs.items()
             for secret, value in PLANTED.items() if value.encode() in text]
    assert not leaks, "\n".join(leaks)


def test_a_posted_configuration_cannot_read_the_secrets_of_the_daemon(gateway, tmp_path):
    """What is posted for validation is checked; the files, variables and credentials that it names are not given away."""
    secret = tmp_path / "secret"
    secret.write_text("short")
    sluice = gateway(routes=[respond("a")], environment={"HIDDEN_VALUE": "a-hidden-value-of-the-process"})
    for value in (f"file:{secret}", "${HIDDEN_VALUE}", "file:/etc/shadow", "file:/proc/self/environ"):
        for block in (f"admin: {{address: \"0.0.0.0:1\", token: \"{value}\"}}", f"admin: {{hosts: [\"{value}\"]}}",
                      f"middlewares: {{m: {{headers: {{request: {{set: {{X-A: \"{value}\\u0001\"}}}}}}}}}}"):
            text = f"listeners:\n  - {{name: web, address: \"127.0.0.1:1\"}}\nroutes: []\n{block}\n"
            body = sluice.admin("POST", "/config/validate", body=text).body.decode()
            assert "a-hidden-value" not in body and "root:" not in body and "PATH=" not in body, body
