"""config/examples/custom-middleware: a package of its own builds a gateway with two middlewares, and the gateway serves with them."""

import os
import re
import select
import signal
import subprocess
import threading

import pytest

from sluice_harness import reply, request_bytes, sluice_binary, until
from sluice_harness.process import REPOSITORY, free_port

PACKAGE = REPOSITORY / "config" / "examples" / "custom-middleware"
SCRATCH = REPOSITORY / ".build" / "custom-middleware"
SUNSET = "Sat, 01 May 2027 00:00:00 GMT"

QUESTION = request_bytes("GET", "/orders/1", headers=[("X-Tenant", "acme")])

pytestmark = pytest.mark.seconds(60)


@pytest.fixture(scope="module")
def built():
    """The gateway of the example; a build from nothing takes minutes, and is kept."""
    command = ["swift", "build", "--package-path", str(PACKAGE), "--scratch-path", str(SCRATCH)]
    # Twice, since the compiler's plugins can wait for each other for ever.
    for seconds in (240, 360):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              start_new_session=True) as build:
            try:
                said, _ = build.communicate(timeout=seconds)
                break
            except subprocess.TimeoutExpired:
                os.killpg(build.pid, signal.SIGKILL)
    else:
        raise AssertionError("the build did not end")
    assert build.returncode == 0, said[-5000:]
    return str(SCRATCH / "debug" / "my-gateway")


@pytest.fixture(autouse=True)
def own_gateway(built, monkeypatch):
    monkeypatch.setenv("SLUICE_BIN", built)


def blocks(tenants, app, timeout="10s", response="10s", **options) -> dict:
    """A configuration in the shape of the example's."""
    return {
        "middlewares": {
            "tenants": {"custom": {"type": "tenant_check", "options": {"service": tenants, "timeout": timeout, **options}}},
            "versions": {"custom": {"type": "version_bridge", "options": {"current": 2, "sunset": SUNSET}}},
        },
        "services": {"app": {"instances": [{"url": app.url}], "timeouts": {"response": response}}},
        "routes": [{"name": "orders", "match": {"path": "/orders/*"}, "service": "app", "middlewares": ["tenants", "versions"]}],
    }


def address(backend) -> str:
    return f"127.0.0.1:{backend.port}"


class Gate:
    """A tenants' service that answers each question once it is let."""

    def __init__(self, status=204):
        self.status = status
        self.open = threading.Event()

    def __call__(self, request, connection):
        self.open.wait(30)
        return reply(self.status, b"")


def ask(sluice, *headers, tenant="acme", **more):
    return sluice.request("GET", "/orders/1", headers=[("X-Tenant", tenant), *headers], **more)


def test_a_tenant_that_may_go_on_reaches_the_backend(gateway, backend):
    tenants = backend(lambda request, connection: reply(204, b""))
    app = backend()
    sluice = gateway(blocks(address(tenants), app))
    with sluice.connect() as client:
        for _ in range(20):
            response = client.request("GET", "/orders/1", headers=[("X-Tenant", "acme")])
            assert response.status == 200 and response.body == b"ok"
    assert {request.target for request in tenants.requests} == {"/tenants/acme"}
    assert [request.header("x-checked-tenant") for request in app.requests] == ["acme"] * 20


def test_what_was_found_out_takes_the_place_of_what_the_client_says_of_it(gateway, backend):
    tenants = backend(lambda request, connection: reply(204, b""))
    app = backend()
    sluice = gateway(blocks(address(tenants), app))
    assert ask(sluice, ("X-Checked-Tenant", "root"), ("x-checked-tenant", "other")).status == 200
    assert app.requests[0].header("x-checked-tenant") == "acme"


@pytest.mark.parametrize("said,status", [(403, 403), (404, 403), (500, 503), (302, 503)])
def test_a_tenant_that_may_not_go_on_never_reaches_the_backend(gateway, backend, said, status):
    tenants = backend(lambda request, connection: reply(said, b""))
    app = backend()
    sluice = gateway(blocks(address(tenants), app))
    response = ask(sluice)
    assert response.status == status and not app.requests
    assert sluice.entry(response)["status"] == status
    assert response.header("retry-after") == ("1" if status == 503 else None)


@pytest.mark.parametrize("tenant", ["", "../admin", "Acme", "a" * 65, "a?b", "a b"])
def test_what_is_no_tenant_is_refused_without_a_question(gateway, backend, tenant):
    tenants, app = backend(), backend()
    sluice = gateway(blocks(address(tenants), app))
    assert ask(sluice, tenant=tenant).status == 400
    assert not tenants.heads and not app.heads


def test_a_service_that_is_down_is_503(gateway, backend):
    app = backend()
    sluice = gateway(blocks(f"127.0.0.1:{free_port()}", app))
    assert [ask(sluice).status for _ in range(5)] == [503] * 5
    assert not app.heads


def test_a_service_that_does_not_speak_http_is_503(gateway, backend):
    def script(connection):
        connection.read_head()
        connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    tenants, app = backend(script=script), backend()
    sluice = gateway(blocks(address(tenants), app))
    assert ask(sluice).status == 503 and not app.heads


def test_a_service_that_is_slow_is_503_at_the_middleware_s_timeout_and_holds_nobody_else(gateway, backend):
    gate = Gate()
    tenants, app = backend(gate), backend()
    configuration = blocks(address(tenants), app, timeout="300ms")
    configuration["routes"].append({"name": "open", "match": {"path": "/open"}, "service": "app"})
    configuration["server"] = {"workers": 1}
    sluice = gateway(configuration)
    with sluice.connect() as waiting, sluice.connect() as other:
        waiting.send(QUESTION)
        tenants.wait_heads(1)
        # The one worker goes on serving while the question is open.
        for _ in range(10):
            assert other.request("GET", "/open").status == 200
        assert waiting.read_response().status == 503
    gate.open.set()
    assert [request.target for request in app.requests] == ["/open"] * 10


def test_whoever_is_never_resumed_is_answered_at_the_route_s_own_deadline(gateway, backend):
    gate = Gate()
    tenants, app = backend(gate), backend()
    sluice = gateway(blocks(address(tenants), app, timeout="10s", response="300ms"))
    response = ask(sluice)
    gate.open.set()
    assert response.status == 504 and not app.heads


def test_more_questions_than_may_wait_are_503_at_once(gateway, backend):
    gate = Gate()
    tenants, app = backend(gate), backend()
    sluice = gateway(blocks(address(tenants), app, threads=1, waiting=2))
    clients = [sluice.connect() for _ in range(4)]
    clients[0].send(QUESTION)
    tenants.wait_heads(1)
    for client in clients[1:]:
        client.send(QUESTION)
    # One is asked about and two wait: which of the last three comes too late is up to the workers.
    answered, _, _ = select.select([client.socket for client in clients], [], [], 10)
    [late] = [client for client in clients if client.socket in answered]
    refused = late.read_response()
    assert refused.status == 503 and refused.header("retry-after") == "1"
    gate.open.set()
    assert [client.read_response().status for client in clients if client is not late] == [200] * 3
    for client in clients:
        client.close()


def test_a_client_that_goes_while_its_request_is_suspended_leaves_nothing_behind(gateway, backend):
    gate = Gate()
    tenants, app = backend(gate), backend()
    sluice = gateway(blocks(address(tenants), app))
    client = sluice.connect()
    client.send(QUESTION)
    tenants.wait_heads(1)
    client.reset()
    entry = sluice.wait_access(1)[0]
    assert entry["reason"] == "client_closed"
    gate.open.set()
    assert ask(sluice).status == 200
    assert len(app.requests) == 1


def threads(sluice) -> int:
    return len(os.listdir(f"/proc/{sluice.pid}/task"))


def test_a_request_that_is_suspended_while_the_configuration_changes_ends_under_the_old_one(gateway, backend):
    gate = Gate()
    old, new = backend(gate), backend(lambda request, connection: reply(403, b""))
    app = backend()
    sluice = gateway(blocks(address(old), app))
    before = threads(sluice)
    with sluice.connect() as client:
        client.send(QUESTION)
        old.wait_heads(1)
        sluice.reload(blocks(address(new), app))
        assert ask(sluice).status == 403
        gate.open.set()
        assert client.read_response().status == 200
    assert len(old.heads) == 1 and len(new.heads) == 1
    # The threads of the old middleware have ended with it; the new one has as many.
    until(lambda: threads(sluice) == before + 4, what="threads of the old configuration end")


def test_a_version_is_rewritten_for_the_backend_and_an_old_one_is_said_to_be_old(gateway, backend):
    tenants = backend(lambda request, connection: reply(204, b""))
    app = backend()
    sluice = gateway(blocks(address(tenants), app))
    current = ask(sluice)
    old = ask(sluice, ("Accept-Version", "1"))
    first, second = app.requests
    assert first.header("x-api-version") == "v2" and first.header("accept-version") is None
    assert second.header("x-api-version") == "v1" and second.header("accept-version") is None
    assert current.header("deprecation") is None and current.header("vary") == "Accept-Version"
    assert old.header("deprecation") == "true" and old.header("sunset") == SUNSET
    assert ask(sluice, ("Accept-Version", "3")).status == 400
    assert len(app.requests) == 2


def test_a_field_that_the_client_forges_is_replaced(gateway, backend):
    tenants = backend(lambda request, connection: reply(204, b""))
    app = backend()
    sluice = gateway(blocks(address(tenants), app))
    ask(sluice, ("X-API-Version", "v9"), ("x-api-version", "v8"))
    assert app.requests[0].header("x-api-version") == "v2"


def test_a_failure_of_the_backend_is_replaced_by_the_middleware_s_answer(gateway, backend):
    tenants = backend(lambda request, connection: reply(204, b""))
    app = backend(lambda request, connection: reply(500, b"Traceback (most recent call last)"))
    sluice = gateway(blocks(address(tenants), app))
    response = ask(sluice)
    assert response.status == 502 and b"Traceback" not in response.body
    assert b'"code":"UPSTREAM_ERROR"' in response.body


def run(binary, *arguments):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=30)


def test_check_accepts_the_example_s_configuration_and_plain_sluice_says_what_it_lacks(built, monkeypatch):
    good = run(built, "check", "-c", str(PACKAGE / "sluice.yaml"))
    assert good.returncode == 0, good.stderr
    monkeypatch.delenv("SLUICE_BIN")
    if os.access(sluice_binary(), os.X_OK):
        bad = run(sluice_binary(), "check", "-c", str(PACKAGE / "sluice.yaml"))
        assert bad.returncode == 1
        assert 'this build has no middleware type "tenant_check"; it was built without any' in bad.stderr


@pytest.mark.parametrize("old,new,said", [
    ("tenant_check", "tenant_chekc", 'middlewares.tenants.custom.type: this build has no middleware type "tenant_chekc"; '
                                     "it has tenant_check, version_bridge"),
    ("timeout: 500ms", "timeout: soon", 'options.timeout: expected a duration such as 250ms, 5s or 1m, not "soon"'),
    ("timeout: 500ms", "timeout: 1h", "options.timeout: must be between 10ms and 10s, not 1h"),
    ("timeout: 500ms", "time_out: 500ms", "options.time_out: tenant_check has no such option; it has service, timeout, threads, "
                                          "waiting"),
    ('"127.0.0.1:7100"', '"tenants:7100"', "options.service: expected an IPv4 address and a port, such as 127.0.0.1:7100"),
], ids=["type", "no duration", "too long", "unknown option", "the middleware's own"])
def test_a_mistake_is_told_at_its_place_and_nothing_is_served(built, tmp_path, old, new, said):
    path = tmp_path / "sluice.yaml"
    path.write_text((PACKAGE / "sluice.yaml").read_text().replace(old, new))
    for command in ("check", "run"):
        result = run(built, command, "-c", str(path))
        assert result.returncode == 1 and said in result.stderr, result.stderr
        assert re.search(r"sluice\.yaml:(\d+):\d+: error: middlewares\.tenants\.custom", result.stderr).group(1) != "1"


def test_a_reload_with_a_mistake_keeps_what_is_there(gateway, backend):
    tenants = backend(lambda request, connection: reply(204, b""))
    app = backend()
    sluice = gateway(blocks(address(tenants), app))
    sluice.reload(blocks("nowhere", app), fails=True)
    assert ask(sluice).status == 200


def test_every_command_is_there_under_the_binary_s_own_name(built):
    assert run(built, "--version").stdout.startswith("sluice ")
    assert "USAGE: my-gateway" in run(built, "--help").stdout
    assert "my-gateway" in run(built, "completion", "bash").stdout


def test_the_guide_quotes_the_example_as_it_is():
    text = (REPOSITORY / "docs" / "middleware.md").read_text("utf-8")
    quotes = re.findall(r"^```\w+ (config/examples/custom-middleware/\S+)\n(.*?)^```$", text, re.M | re.S)
    assert len(quotes) >= 6
    for name, code in quotes:
        assert code.strip("\n") in (REPOSITORY / name).read_text("utf-8"), f"{name} does not hold\n{code}"
    quoted = {name for name, _ in quotes}
    for file in ("main.swift", "VersionBridge.swift", "TenantCheck.swift", "TenantDirectory.swift"):
        assert f"config/examples/custom-middleware/Sources/my-gateway/{file}" in quoted
