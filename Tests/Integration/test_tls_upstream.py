"""Backends that speak TLS: who is believed, what we show of ourselves, which protocol it becomes (hardening 139; RFC 9110 §4.3.4)."""

import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from conftest import PATIENT, proxied, tls_backend_context
from sluice_harness import Truncated, reply, server_context, until
from sluice_harness import frames as f
from sluice_harness.certificates import self_signed
from sluice_harness.frames import raw_frame
from sluice_harness.h2_backend import expect_request
from sluice_harness.states import wait_instance

ECHO = {"h1": lambda request, connection: reply(200, b"h1"), "h2": lambda stream: (stream.read_body(), stream.reply(200, b"h2"))}


@pytest.fixture
def before(world, pki):
    """Starts a daemon before a TLS backend: `sluice = before(server, ca_file=…)`, which is trusted to pki.root unless told otherwise."""
    def start(*servers, instance=None, service=None, blocks=None, **tls):
        tls.setdefault("ca_file", pki.root.ca_file)
        tls = {key: value for key, value in tls.items() if value is not None}
        entries = [{"url": server.url, "protocol": "auto", **(instance or {})} for server in servers]
        return world.gateway({**proxied(*entries, **({"tls": tls} if tls else {}), **PATIENT, **(service or {})), **(blocks or {})})
    return start


def failed(sluice, server, reason: str = "tls_failed"):
    """The one answer to a backend that is not believed."""
    response = sluice.request()
    assert response.status == 502 and response.json()["error"]["code"] == "UPSTREAM_ERROR", response
    assert sluice.entry(response)["reason"] == reason
    assert getattr(server, "requests", []) == []


# Who is believed


def test_a_backend_with_a_good_certificate_is_spoken_to(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki))
    assert before(server).request().body == b"h1"


def test_the_authorities_of_the_system_are_trusted_where_none_is_named(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki))
    failed(before(server, ca_file=None), server)
    until(lambda: server.tls_failures, 5, "the backend sees the refusal")


BAD = {
    "self-signed": lambda pki: self_signed(pki.directory, "localhost"),
    "another authority": lambda pki: pki.stranger.leaf("localhost", addresses=["127.0.0.1"]),
    "expired": lambda pki: pki.root.expired("localhost", addresses=["127.0.0.1"]),
    "another name": lambda pki: pki.root.leaf("elsewhere.internal"),
    "another address": lambda pki: pki.root.leaf("localhost", names=[], addresses=["127.0.0.2"]),
    "only a common name": lambda pki: pki.root.leaf("127.0.0.1", names=[]),
    "the address as a name": lambda pki: pki.root.leaf("x", names=["127.0.0.1"]),
    "for clients only": lambda pki: pki.root.leaf("localhost", addresses=["127.0.0.1"], usage="client"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_backend_that_cannot_prove_who_it_is_gets_nothing(before, world, pki, kind):
    """Hardening 139."""
    server = world.backend(ECHO["h1"], tls=server_context(pki.once(f"bad backend {kind}", lambda: BAD[kind](pki))))
    failed(before(server), server)


NAMES = {
    "its name": ("backend.internal", True, {"names": ["backend.internal"]}),
    "a wildcard": ("a.backend.internal", True, {"names": ["*.backend.internal"]}),
    "other case": ("BACKEND.internal", True, {"names": ["backend.INTERNAL"]}),
    "a wildcard over two labels": ("a.b.backend.internal", False, {"names": ["*.backend.internal"]}),
    "a wildcard over none": ("backend.internal", False, {"names": ["*.backend.internal"]}),
    "another name": ("backend.internal", False, {"names": ["frontend.internal"]}),
    "only a common name": ("backend.internal", False, {"names": []}),
    "a zero byte": ("backend.internal", False, {"names": [], "extra_names": [x509.DNSName("backend.internal\0.evil.test")]}),
    "a longer name": ("backend.internal", False, {"names": ["backend.internal.evil.test", "xbackend.internal"]}),
}


@pytest.mark.parametrize("case", NAMES)
def test_the_name_that_is_asked_for_is_the_name_that_is_verified(before, world, pki, case):
    """Hardening 139: server_name; SAN only; a zero byte ends nothing."""
    name, good, more = NAMES[case]
    seen = []
    context = server_context(pki.once(f"named {case}", lambda: pki.root.leaf("backend.internal", **more)))
    context.sni_callback = lambda object, asked, _: seen.append(asked)
    server = world.backend(ECHO["h1"], tls=context)
    sluice = before(server, server_name=name)
    if good:
        assert sluice.request().body == b"h1"
    else:
        failed(sluice, server)
    assert seen and all(asked.lower() == name.lower() for asked in seen)


def test_an_address_is_not_sent_as_sni(before, world, pki):
    """RFC 6066 §3."""
    seen = []
    context = tls_backend_context(pki)
    context.sni_callback = lambda object, asked, _: seen.append(asked)
    server = world.backend(ECHO["h1"], tls=context)
    assert before(server).request().status == 200
    assert seen == [None]


def test_the_host_of_the_url_is_asked_for_and_verified(before, world, pki):
    seen = []
    context = tls_backend_context(pki)
    context.sni_callback = lambda object, asked, _: seen.append(asked)
    server = world.backend(ECHO["h1"], tls=context)
    sluice = before(server, instance={"url": f"https://localhost:{server.port}"})
    assert sluice.request().status == 200 and seen == ["localhost"]


def test_verify_false_takes_any_certificate_and_is_warned_about_at_each_load(before, world, pki):
    """Hardening 139."""
    server = world.backend(ECHO["h1"], tls=server_context(pki.once("self", lambda: self_signed(pki.directory, "nobody"))))
    sluice = before(server, ca_file=None, verify=False)
    assert sluice.request().status == 200

    def warnings():
        return [entry for entry in sluice.log_entries() if entry.get("level", "").lower() == "warn" and "not verified" in str(entry)]
    assert len(warnings()) == 1
    sluice.config_path.write_text(sluice.config_text.replace("workers: 2", "workers: 2\n  drain_timeout: 20s"))
    sluice.reload()
    assert len(warnings()) == 2


def test_an_old_version_of_a_backend_is_not_spoken(before, world, pki):
    context = tls_backend_context(pki)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = world.backend(ECHO["h1"], tls=context)
    failed(before(server), server)


def test_min_version_1_3_refuses_a_backend_with_1_2(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki, version=ssl.TLSVersion.TLSv1_2))
    failed(before(server, min_version="1.3"), server)


def test_another_authority_after_a_reload_is_believed_on_new_connections(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki))
    sluice = before(server, ca_file=pki.stranger.ca_file)
    assert sluice.request().status == 502
    sluice.config_path.write_text(sluice.config_text.replace(pki.stranger.ca_file, pki.root.ca_file))
    sluice.reload()
    assert sluice.request().status == 200


def test_a_connection_that_was_verified_by_older_rules_is_not_used_by_newer_ones(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki))
    sluice = before(server)
    assert sluice.request().status == 200
    sluice.config_path.write_text(sluice.config_text.replace(pki.root.ca_file, pki.stranger.ca_file))
    sluice.reload()
    assert sluice.request().status == 502


def test_instances_that_share_a_changed_file_keep_their_connections_at_the_next_reload(before, world, pki, tmp_path):
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Path(pki.root.ca_file).read_bytes())
    servers = [world.backend(ECHO["h1"], tls=tls_backend_context(pki)) for _ in range(2)]
    sluice = before(*servers, ca_file=str(trusted), blocks={"server": {"workers": 1}})

    def ask_both():
        for _ in range(4):
            assert sluice.request().status == 200
        return [len(server.connections) for server in servers]
    assert ask_both() == [1, 1]
    trusted.write_bytes(trusted.read_bytes() + Path(pki.stranger.ca_file).read_bytes())
    sluice.reload()
    assert ask_both() == [2, 2], "other authorities"
    sluice.config_path.write_text(sluice.config_text + "limits: {request_body: 2MiB}\n")
    sluice.reload()
    assert ask_both() == [2, 2], "the same authorities"


# What we show of ourselves


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_backend_that_asks_for_a_certificate_gets_ours(before, world, pki, version):
    ours = pki.once("ours", lambda: pki.clients.client("gateway"))
    seen = []

    def handler(request, connection):
        seen.append(connection.socket.peer_der)
        return reply(200)
    server = world.backend(handler, tls=tls_backend_context(pki, client_ca=pki.clients.ca_file, version=version))
    sluice = before(server, cert_file=ours.cert_file, key_file=ours.key_file)
    assert sluice.request().status == 200 and seen == [ours.der]


def test_without_one_such_a_backend_is_a_failure(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki, client_ca=pki.clients.ca_file))
    sluice = before(server)
    assert sluice.request().status == 502
    assert server.requests == []


def test_over_http_2_it_is_shown_too(before, world, pki):
    ours = pki.once("ours", lambda: pki.clients.client("gateway"))
    server = world.h2_backend(ECHO["h2"], tls=tls_backend_context(pki, ["h2"], client_ca=pki.clients.ca_file))
    sluice = before(server, cert_file=ours.cert_file, key_file=ours.key_file)
    assert sluice.request().body == b"h2" and server.connections[0].socket.peer_der == ours.der


# Which protocol it becomes


@pytest.mark.parametrize("protocol, offers, spoken", [
    ("auto", ["h2", "http/1.1"], "h2"), ("auto", ["http/1.1"], "h1"), ("auto", [], "h1"), ("h2", ["h2"], "h2"), ("http/1.1", ["h2", "http/1.1"], "h1"),
])
def test_both_sides_agree_on_a_protocol_in_the_handshake(before, world, pki, protocol, offers, spoken):
    context = tls_backend_context(pki, offers)
    server = world.h2_backend(ECHO["h2"], tls=context) if spoken == "h2" else world.backend(ECHO["h1"], tls=context)
    sluice = before(server, instance={"protocol": protocol})
    assert sluice.request().body == spoken.encode()
    negotiated = server.connections[0].socket.alpn
    assert negotiated == {"h2": "h2", "h1": "http/1.1" if offers else None}[spoken]


def test_a_backend_that_does_not_agree_on_h2_is_a_failure_where_h2_is_a_must(before, world, pki):
    server = world.backend(ECHO["h1"], tls=tls_backend_context(pki, ["http/1.1"]))
    assert before(server, instance={"protocol": "h2"}).request().status == 502
    assert server.requests == []


def test_instances_with_different_protocols_serve_one_service(before, world, pki):
    one = world.backend(ECHO["h1"], tls=tls_backend_context(pki, ["http/1.1"]))
    two = world.h2_backend(ECHO["h2"], tls=tls_backend_context(pki, ["h2"]))
    sluice = before(one, two)
    assert {sluice.request().body for _ in range(12)} == {b"h1", b"h2"}


# The connection


def test_sessions_are_used_again(before, world, pki):
    resumed = []

    def handler(request, connection):
        resumed.append(connection.socket.resumed)
        return reply(200, headers=[("Connection", "close")])
    server = world.backend(handler, tls=tls_backend_context(pki))
    sluice = before(server, blocks={"server": {"workers": 1}})
    for _ in range(6):
        assert sluice.request().status == 200
    assert resumed[0] is False and all(resumed[2:]), resumed


def test_a_kept_connection_serves_many_requests(before, world, pki):
    server = world.backend(lambda request, connection: reply(200, request.body), tls=tls_backend_context(pki))
    sluice = before(server, blocks={"server": {"workers": 1}})
    with sluice.connect() as client:
        for number in range(40):
            assert client.request("POST", "/", body=b"%d" % number).body == b"%d" % number
    assert len(server.connections) == 1


def test_megabytes_go_both_ways(before, world, pki):
    server = world.backend(lambda request, connection: reply(200, request.body), tls=tls_backend_context(pki), record=False)
    sluice = before(server, blocks={"limits": {"request_body": "20MiB"}})
    body = b"0123456789abcdef" * (1 << 18)
    assert sluice.request("POST", "/", body=body).body == body


def test_plain_text_in_the_place_of_a_handshake_is_a_failure(before, world, pki):
    """A backend that answers in clear text is not listened to."""
    def script(connection):
        connection.fill(10)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        connection.hang()
    server = world.backend(script=script)
    sluice = before(server, instance={"url": f"https://127.0.0.1:{server.port}"})
    failed(sluice, server)


def test_plain_text_before_the_handshake_is_a_failure(before, world, pki):
    def script(connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        connection.hang()
    server = world.backend(script=script)
    failed(before(server, instance={"url": f"https://127.0.0.1:{server.port}"}), server)


def test_a_backend_that_hangs_up_in_the_handshake_is_a_failure(before, world, pki):
    server = world.backend(script=lambda connection: (connection.fill(10), connection.close()))
    response = before(server, instance={"url": f"https://127.0.0.1:{server.port}"}).request()
    assert response.status == 502, response


def test_a_handshake_that_does_not_go_on_ends_with_the_connect_timeout(before, world, pki):
    server = world.backend(script=lambda connection: connection.hang())
    sluice = before(server, instance={"url": f"https://127.0.0.1:{server.port}"}, service={"timeouts": {"connect": "1s"}})
    response = sluice.request()
    assert response.status == 504 and sluice.entry(response)["reason"] == "connect_timeout", response


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_is_cut_off_without_goodbye_is_cut_off_here_too(before, world, pki, framing):
    def handler(request, connection):
        head = b"Content-Length: 10\r\n\r\nhalf" if framing == "length" else b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        connection.send(b"HTTP/1.1 200 OK\r\n" + head)
        connection.truncate()
    server = world.backend(handler, tls=tls_backend_context(pki))
    sluice = before(server)
    with sluice.connect() as client, pytest.raises(Truncated):
        client.request()


def test_a_body_that_ends_with_its_connection_is_whole_only_after_a_goodbye(before, world, pki):
    """RFC 9112 §9.8: without close_notify nobody knows whether that was all of it."""
    ends = ["goodbye", "cut"]

    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        if ends.pop(0) == "goodbye":
            connection.close()
        else:
            connection.truncate()
    server = world.backend(handler, tls=tls_backend_context(pki))
    sluice = before(server, service={"retry": {"attempts": 0}})
    assert sluice.request().body == b"all of it"
    with sluice.connect() as client, pytest.raises(Truncated):
        client.request()


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_comes_before_a_record_that_is_no_good_counts(before, world, pki, protocol, whole):
    """RFC 8446 §5.2: the bad record ends the connection, and what was authentic stays so."""
    body, length = (b"in time", 7) if whole else (b"in", 7)

    def then_garbage(tls, answer: bytes):
        with tls.lock:
            tls.object.write(answer)
            tls.raw.sendall(tls.outgoing.read() + b"\x17\x03\x03\x00\x20" + b"garbage!" * 4)

    def h1(request, connection):
        then_garbage(connection.socket, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)
        connection.hang()

    def h2(frames):
        stream, _ = expect_request(frames)
        head = frames.literal_block([(":status", "200"), ("content-length", str(length))])
        then_garbage(frames.socket, raw_frame(f.HEADERS_TYPE, f.END_HEADERS, stream, head)
                     + raw_frame(f.DATA_TYPE, f.END_STREAM if whole else 0, stream, body))
        while frames.read_frame():
            pass
    if protocol == "h1":
        server = world.backend(h1, tls=tls_backend_context(pki))
    else:
        server = world.h2_backend(script=h2, tls=tls_backend_context(pki, ("h2",)))
    sluice = before(server, service={"retry": {"attempts": 0}})
    if whole:
        assert sluice.request().body == b"in time"
    else:
        with pytest.raises(Truncated):
            sluice.request()


def test_a_goodbye_on_an_idle_connection_is_noticed(before, world, pki):
    server = world.backend(tls=tls_backend_context(pki))
    sluice = before(server, blocks={"server": {"workers": 1}})
    assert sluice.request().status == 200
    server.connections[0].socket.say_goodbye()
    server.connections[0].wait_end()
    assert sluice.request().status == 200 and len(server.connections) == 2


def test_a_new_handshake_for_each_connection_does_not_stop_others(before, world, pki):
    """64 clients at once, each with a connection of its own to the backend."""
    server = world.backend(lambda request, connection: reply(200, headers=[("Connection", "close")]), tls=tls_backend_context(pki))
    sluice = before(server)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(sluice.request().status)) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 64


def test_health_checks_are_made_over_tls_and_verified(before, world, pki):
    good = world.backend(tls=tls_backend_context(pki))
    bad = world.backend(tls=server_context(pki.once("self", lambda: self_signed(pki.directory, "nobody"))))
    sluice = before(good, bad, service={"health_check": {"path": "/healthy", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}})
    wait_instance(sluice, good.url, "healthy")
    wait_instance(sluice, bad.url, "failed")
    assert [request.target for request in good.requests if request.target == "/healthy"]
    for _ in range(6):
        assert sluice.request().status == 200
