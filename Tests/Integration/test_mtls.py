"""Client certificates: who gets in, who they are to the backend and to rules, and names with different policies (hardening 134, 135)."""

import base64
import json
import ssl
import subprocess
from pathlib import Path

import pytest

from conftest import proxied, secure_listener
from sluice_harness import H2Client, client_context, names, refusal, reply, sluice_binary, until
from sluice_harness.certificates import DAY, now

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture
def guarded(world, pki):
    """A daemon that asks clients for a certificate: `sluice, server = guarded(mode="request")`."""
    def start(blocks=None, certificates=None, listener=None, **auth):
        server = world.backend(lambda request, connection: reply(200, b"in"))
        block = {"ca_file": pki.clients.ca_file, **auth}
        sluice = world.gateway({"listeners": [secure_listener(*(certificates or [pki.server]), client_auth=block, **(listener or {}))],
                                **proxied(server), **(blocks or {})}, tls={"secure": pki.root.ca_file})
        return sluice, server
    return start


def as_client(pki, certificate=None, version=None, alpn=("http/1.1",)):
    return client_context(pki.root.ca_file, alpn, certificate, version)


def ask(sluice, context, name="app.test", host=None, headers=(), path="/"):
    with sluice.connect("secure", tls=context, server_name=name) as client:
        return client.request("GET", path, headers, host=host or name)


def is_refused(sluice, context, *alerts: str):
    before = names.handshake_failures(sluice, listener="secure")
    said = refusal(sluice.address("secure"), context, "app.test")
    assert not said.startswith("taken"), said
    if alerts:
        assert any(alert in said for alert in alerts), said
    names.wait_count(lambda: names.handshake_failures(sluice, listener="secure"), before + 1)


# Who gets in


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
def test_a_client_with_a_good_certificate_is_let_in_and_one_without_is_not(guarded, pki, version):
    sluice, server = guarded()
    assert ask(sluice, as_client(pki, pki.client, version)).status == 200
    is_refused(sluice, as_client(pki, None, version), "certificate_required", "handshake_failure")
    assert len(server.requests) == 1


BAD = {
    "another authority": (lambda pki: pki.stranger.client("mallory"), ("unknown_ca", "bad_certificate")),
    "expired": (lambda pki: pki.clients.client("late", not_before=now() - 30 * DAY, not_after=now() - DAY), ("expired",)),
    "not yet valid": (lambda pki: pki.clients.client("early", not_before=now() + DAY), ("bad_certificate", "expired")),
    "for servers only": (lambda pki: pki.clients.client("server", usage="server"), ("unsupported_certificate", "bad_certificate")),
    "for code only": (lambda pki: pki.clients.client("code", usage="code"), ("unsupported_certificate", "bad_certificate")),
    "of the servers' authority": (lambda pki: pki.root.client("wrong-side"), ("unknown_ca", "bad_certificate")),
}


@pytest.mark.parametrize("mode", ["require", "request"])
@pytest.mark.parametrize("kind", BAD)
def test_a_certificate_that_is_not_accepted_gets_no_connection(guarded, pki, kind, mode):
    """Hardening 135."""
    make, alerts = BAD[kind]
    certificate = pki.once(f"bad client {kind}", lambda: make(pki))
    sluice, server = guarded(mode=mode)
    is_refused(sluice, as_client(pki, certificate), *alerts)
    assert server.heads == []
    assert ask(sluice, as_client(pki, pki.client)).status == 200


def test_a_revoked_certificate_is_refused_and_others_are_not(guarded, pki):
    revoked = pki.once("revoked", lambda: pki.clients.client("revoked"))
    sluice, _ = guarded(crl_file=pki.clients.revocation_list(revoked, file="mtls.crl"))
    is_refused(sluice, as_client(pki, revoked), "revoked")
    assert ask(sluice, as_client(pki, pki.client)).status == 200


def test_a_revocation_counts_after_a_reload(guarded, pki):
    leaving = pki.clients.client("leaving")
    sluice, _ = guarded(crl_file=pki.clients.revocation_list(file="leaving.crl"))
    assert ask(sluice, as_client(pki, leaving)).status == 200
    pki.clients.revocation_list(leaving, file="leaving.crl")
    sluice.reload()
    is_refused(sluice, as_client(pki, leaving), "revoked")


def test_a_revocation_list_that_has_run_out_lets_nobody_in(guarded, pki):
    sluice, _ = guarded(crl_file=pki.clients.revocation_list(file="old.crl", next_update=now() - DAY / 2))
    is_refused(sluice, as_client(pki, pki.client))


def test_request_lets_a_client_without_a_certificate_in_and_says_nothing_of_it(guarded, pki):
    sluice, server = guarded(mode="request")
    assert ask(sluice, as_client(pki)).status == 200
    assert server.requests[0].header("client-cert") is None
    assert ask(sluice, as_client(pki, pki.client)).status == 200
    assert server.requests[1].header("client-cert") is not None


@pytest.mark.parametrize("depth, let_in", [(1, False), (2, True)])
def test_the_depth_limits_the_chain(guarded, pki, depth, let_in):
    """root, one, two, leaf: two authorities stand between the leaf and the root."""
    leaf = pki.once("deep", lambda: pki.clients.intermediate("one").intermediate("two").client("deep"))
    sluice, _ = guarded(depth=depth)
    context = as_client(pki, leaf)
    if let_in:
        assert ask(sluice, context).status == 200
    else:
        is_refused(sluice, context)


def test_an_authority_that_may_sign_no_authority_has_not_signed_one(guarded, pki):
    leaf = pki.once("too long", lambda: pki.clients.intermediate("short", path_length=0).intermediate("below").client("below"))
    sluice, _ = guarded()
    is_refused(sluice, as_client(pki, leaf))


@pytest.mark.parametrize("fault", ["missing", "empty", "nonsense", "a key"])
def test_an_authority_file_that_cannot_be_used_is_refused_and_the_old_one_stays(guarded, pki, tmp_path, fault):
    """Hardening 135: mTLS fails closed."""
    own = tmp_path / "ca.pem"
    own.write_bytes(Path(pki.clients.ca_file).read_bytes())
    sluice, _ = guarded(ca_file=str(own))
    assert ask(sluice, as_client(pki, pki.client)).status == 200
    if fault == "missing":
        own.unlink()
    else:
        own.write_bytes({"empty": b"", "nonsense": b"none of this\n", "a key": pki.client.key_pem}[fault])
    entry = sluice.reload(fails=True)
    assert "ca.pem" in json.dumps(entry) or any("ca.pem" in line for line in sluice.stderr.lines)
    is_refused(sluice, as_client(pki))
    is_refused(sluice, as_client(pki, pki.stranger.client("mallory-again")))
    assert ask(sluice, as_client(pki, pki.client)).status == 200


# Who they are


def test_the_backend_gets_the_certificate_as_rfc_9440_writes_it(guarded, pki):
    sluice, server = guarded()
    ask(sluice, as_client(pki, pki.client))
    assert server.requests[0].header("client-cert") == ":" + base64.b64encode(pki.client.der).decode() + ":"


def test_a_certificate_too_long_for_a_field_of_http_2_is_refused_once_and_the_backend_keeps_its_connection(world, pki):
    """A field of HTTP/2 has 64 KiB here; one of HTTP/1.1 may have more."""
    long = pki.once("long", lambda: pki.clients.client("long", names=[f"device-{number:04}.{'a' * 40}.example.com" for number in range(900)]))
    servers = {"h1": world.backend(), "h2": world.h2_backend(lambda stream: stream.reply(200, b"in"))}
    routes = [{"name": name, "match": {"path": f"/{name}"}, "service": name} for name in servers]
    services = {name: proxied(server)["services"]["app"] for name, server in servers.items()}
    sluice = world.gateway({"listeners": [secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file})],
                            "routes": routes, "services": services, "server": {"workers": 1}})
    context = as_client(pki, long)
    assert ask(sluice, context, path="/h1").status == 200
    assert len(servers["h1"].requests[-1].header("client-cert")) > 65536
    response = ask(sluice, context, path="/h2")
    assert response.status == 431 and sluice.entry(response)["reason"] == "header_too_large"
    assert servers["h2"].streams == []
    assert ask(sluice, as_client(pki, pki.client), path="/h2").status == 200
    assert len(servers["h2"].connections) == 1


@pytest.mark.parametrize("mode", ["request", "require"])
def test_a_client_cannot_say_who_it_is_itself(guarded, pki, mode):
    """RFC 9440 §2.4."""
    sluice, server = guarded(mode=mode)
    forged = [("Client-Cert", ":Zm9yZ2Vk:"), ("client_cert", ":Zm9yZ2Vk:"), ("Client-Cert-Chain", ":Zm9yZ2Vk:"), ("CLIENT-CERT", ":eA==:")]
    response = ask(sluice, as_client(pki, pki.client if mode == "require" else None), headers=forged)
    if response.status == 200:
        request = server.requests[0]
        own = request.header("client-cert")
        assert own is None if mode == "request" else own == ":" + base64.b64encode(pki.client.der).decode() + ":"
        assert not [name for name, value in request.headers if b"Zm9yZ2Vk" in value or value == b":eA==:"]
    else:
        assert response.status == 400 and server.requests == []


def test_a_client_of_a_plain_listener_cannot_either(simple):
    sluice, server = simple()
    sluice.request(headers=[("Client-Cert", ":Zm9yZ2Vk:"), ("Client-Cert-Chain", ":Zm9yZ2Vk:")])
    assert not [name for name, value in server.requests[0].headers if b"Zm9yZ2Vk" in value]


def test_forward_false_keeps_the_certificate_here(guarded, pki):
    sluice, server = guarded(forward=False)
    ask(sluice, as_client(pki, pki.client), headers=[("Client-Cert", ":Zm9yZ2Vk:")])
    assert server.requests[0].header("client-cert") is None


def test_subject_names_and_fingerprint_stand_in_header_values_and_in_the_log(guarded, pki):
    middlewares = {"who": {"headers": {"request": {"set": {
        "X-Subject": "${client_cert_subject}", "X-San": "${client_cert_san}", "X-Print": "${client_cert_fingerprint}"}}}}}
    sluice, server = guarded(blocks={"middlewares": middlewares})
    text = sluice.config_text.replace("service: app\n", "service: app\n    middlewares: [who]\n")
    sluice.config_path.write_text(text)
    sluice.reload()
    response = ask(sluice, as_client(pki, pki.client))
    request = server.requests[-1]
    assert request.header("x-subject") == pki.client.certificate.subject.rfc4514_string() == "CN=alice,O=Sluice tests"
    assert request.header("x-san") == "DNS:alice.clients.example.com"
    assert request.header("x-print") == pki.client.fingerprint
    assert "alice" in json.dumps(sluice.entry(response))


RULES = {
    "subject": {"subjects": ["CN=alice,O=Sluice tests"]}, "name": {"sans": ["DNS:alice.clients.example.com"]},
    "one of several": {"subjects": ["CN=bob,O=Sluice tests"], "sans": ["DNS:alice.clients.example.com"]},
}


@pytest.mark.parametrize("rule", [*RULES, "fingerprint", "fingerprint with colons"])
def test_a_rule_lets_those_in_whom_it_names_and_answers_others_with_403(world, pki, rule):
    block = RULES.get(rule)
    if block is None:
        text = pki.client.fingerprint
        block = {"fingerprints": [":".join(text[at:at + 2].upper() for at in range(0, 64, 2)) if "colons" in rule else text]}
    bob = pki.once("bob", lambda: pki.clients.client("bobby", names=["bob.clients.example.com"]))
    server = world.backend()
    sluice = world.gateway({
        "listeners": [secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file, "mode": "request"})],
        "middlewares": {"friends": {"client_cert": block}}, **proxied(server, route={"middlewares": ["friends"]})})
    assert ask(sluice, as_client(pki, pki.client)).status == 200
    for other in (bob, None):
        response = ask(sluice, as_client(pki, other))
        assert response.status == 403 and response.json()["error"]["code"] == "AUTH_ERROR", response
    assert len(server.requests) == 1


def test_a_rule_for_a_host_name_does_not_mind_the_case_that_the_certificate_has_it_in(world, pki):
    mixed = pki.once("mixed", lambda: pki.clients.client("mixed", names=["Device.Clients.Example.COM"]))
    sluice = world.gateway({
        "listeners": [secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file})],
        "middlewares": {"friends": {"client_cert": {"sans": ["DNS:device.clients.example.com"]}}},
        **proxied(world.backend(), route={"middlewares": ["friends"]})})
    assert ask(sluice, as_client(pki, mixed)).status == 200


def test_a_name_with_a_zero_byte_is_not_the_name_before_it(world, pki):
    """Hardening 139, on the client's side."""
    from cryptography import x509
    tricky = pki.once("tricky", lambda: pki.clients.client(
        "tricky", extra_names=[x509.DNSName("alice.clients.example.com\0.evil.test")]))
    server = world.backend()
    sluice = world.gateway({
        "listeners": [secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file})],
        "middlewares": {"friends": {"client_cert": {"sans": ["DNS:alice.clients.example.com"]}}},
        **proxied(server, route={"middlewares": ["friends"]})})
    try:
        assert ask(sluice, as_client(pki, tricky)).status == 403
    except (ssl.SSLError, ConnectionError, AssertionError):
        pass
    assert server.requests == []


# Names with different policies


@pytest.fixture
def two_names(world, pki):
    """app.test is open, other.example.org asks for a certificate."""
    server = world.backend()
    sluice = world.gateway({"listeners": [secure_listener(
        pki.server, pki.other.entry(client_auth={"ca_file": pki.clients.ca_file}))], **proxied(server)}, tls={"secure": pki.root.ca_file})
    return sluice, server


def test_a_request_for_a_guarded_name_over_a_connection_of_an_open_one_gets_421(two_names, pki):
    """Hardening 134: domain fronting; RFC 9110 §15.5.20."""
    sluice, server = two_names
    for host in ("other.example.org", "OTHER.example.ORG", "other.example.org:443", "other.example.org."):
        response = ask(sluice, as_client(pki), "app.test", host=host)
        assert response.status in ((421,) if not host.endswith(".") else (421, 400)), (host, response)
    assert ask(sluice, as_client(pki), "app.test").status == 200
    assert [request.header("host") for request in server.requests] == ["app.test"]


def test_the_same_over_http_2_ends_the_stream_with_421_and_no_other(two_names, pki):
    sluice, server = two_names
    with H2Client(sluice.address("secure"), tls=as_client(pki, alpn=("h2",)), server_name="app.test") as client:
        response = client.request(authority="other.example.org")
        assert response.status == 421 and response.json()["error"]["code"] == "INVALID_REQUEST"
        assert client.request(authority="app.test").status == 200
    assert len(server.requests) == 1


def test_a_request_without_sni_for_a_guarded_name_gets_421(two_names, pki):
    sluice, server = two_names
    with sluice.connect("secure", tls=client_context(), server_name=None) as client:
        assert client.request(host="other.example.org").status == 421
    assert server.requests == []


def test_a_request_for_an_open_name_over_a_guarded_connection_is_judged_by_both(two_names, pki):
    """The policies differ, so the connection is not for that name."""
    sluice, _ = two_names
    assert ask(sluice, as_client(pki, pki.client), "other.example.org").status == 200
    assert ask(sluice, as_client(pki, pki.client), "other.example.org", host="app.test").status == 421


def test_names_of_one_policy_share_a_connection(world, pki):
    server = world.backend()
    sluice = world.gateway({"listeners": [secure_listener(pki.server, pki.other)], **proxied(server)}, tls={"secure": pki.root.ca_file})
    assert ask(sluice, as_client(pki), "app.test", host="other.example.org").status == 200


# The admin listener


@pytest.fixture
def admin_guarded(world, pki):
    def start(**more):
        server = world.backend()
        sluice = world.gateway({
            **proxied(server), "admin": {"address": "@admin@", "tls": {
                "certificates": [pki.server.entry()], "client_auth": {"ca_file": pki.clients.ca_file, **more}}}},
            tls={"admin": client_context(pki.root.ca_file, ("http/1.1",), pki.client)})
        return sluice
    return start


def test_the_admin_listener_lets_nobody_in_without_a_certificate(admin_guarded, pki):
    sluice = admin_guarded()
    assert sluice.admin("GET", "/health").status == 200
    assert sluice.metrics().samples
    for context in (as_client(pki), as_client(pki, pki.once("mallory", lambda: pki.stranger.client("mallory")))):
        assert not refusal(sluice.address("admin"), context, "127.0.0.1").startswith("taken")
    # In clear text there is nothing.
    from sluice_harness import Connection
    with Connection(sluice.address("admin")) as plain:
        plain.try_send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = plain.read_to_end(5)
        assert answer == b"" or answer[0] == 0x15, answer[:200]


def test_an_admin_listener_for_all_the_world_with_mtls_needs_no_token(tmp_path, pki):
    from sluice_harness import yaml_dump

    def checked(mode):
        path = tmp_path / f"{mode}.yaml"
        path.write_text(yaml_dump({
            "listeners": [{"name": "web", "address": "127.0.0.1:1"}],
            "admin": {"address": "0.0.0.0:2", "tls": {"certificates": [pki.server.entry()],
                                                      "client_auth": {"ca_file": pki.clients.ca_file, "mode": mode}}},
            "routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}]}))
        return subprocess.run([sluice_binary(), "check", "--config", str(path)], capture_output=True, text=True, timeout=10)
    assert checked("require").returncode == 0, checked("require")
    assert checked("request").returncode == 1, checked("request")


def test_the_admin_listener_changes_its_certificate_on_reload(admin_guarded, pki, world, tmp_path):
    from sluice_harness import tls_connect
    sluice = admin_guarded()
    sluice.config_path.write_text(sluice.config_text.replace(pki.server.cert_file, pki.server_rsa.cert_file)
                                  .replace(pki.server.key_file, pki.server_rsa.key_file))
    sluice.reload()

    def shows_it():
        made = tls_connect(sluice.address("admin"), client_context(certificate=pki.client), "127.0.0.1")
        der = made.peer_der
        made.close()
        return der == pki.server_rsa.der
    until(shows_it, 5, "the new certificate")
