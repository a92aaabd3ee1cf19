"""Listeners that speak TLS: versions, ciphers, ALPN, what is not TLS, and the bytes of HTTP behind it (hardening, section H)."""

import os
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import ALPN_BOTH, clear_listener, proxied, secure_listener
from sluice_harness import Connection, TLSSocket, Truncated, client_context, names, refusal, reply, request_bytes, tls_connect

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture
def secured(world, pki):
    """Starts a daemon with one TLS listener: `sluice, server = secured(handler, min_version="1.3")`."""
    def start(handler=None, certificates=None, limits=None, protocols=ALPN_BOTH, blocks=None, **tls):
        server = world.backend(handler or (lambda request, connection: reply(200, request.body)))
        listener = secure_listener(*(certificates or [pki.server]), limits=limits, protocols=protocols, **tls)
        sluice = world.gateway({"listeners": [listener], **proxied(server), **(blocks or {})},
                               tls={"secure": pki.root.ca_file})
        return sluice, server
    return start


@pytest.fixture(scope="module")
def shared(module_world, tmp_path_factory):
    """One daemon with an RSA and an ECDSA certificate for all that changes nothing."""
    from sluice_harness import Certificates
    own = Certificates(tmp_path_factory.mktemp("listener-certificates"))
    server = module_world.backend(lambda request, connection: reply(200, request.body))
    sluice = module_world.gateway({
        "listeners": [secure_listener(own.server, own.server_rsa, name="secure", limits={"header_timeout": "2s"}), clear_listener("clear")],
        "limits": {"connections_per_client": 4096}, **proxied(server)}, tls={"secure": own.root.ca_file})
    sluice.pki = own
    return sluice, server


def s_client(sluice, *arguments, stdin: bytes = b"", timeout: float = 10) -> str:
    """What `openssl s_client` prints."""
    made = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % sluice.address("secure"), "-servername", "app.test", *arguments],
                          input=stdin, capture_output=True, timeout=timeout)
    return (made.stdout + made.stderr).decode("utf-8", "replace")


# Versions and ciphers


@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_over_each_version_is_served_and_counted(shared, version):
    sluice, _ = shared
    before = names.handshakes(sluice, version, listener="secure")
    with sluice.connect("secure", tls=client_context(sluice.pki.root.ca_file, version=VERSIONS[version])) as client:
        assert client.socket.version == version
        response = client.request("POST", "/", body=b"abc")
        assert (response.status, response.body) == (200, b"abc")
        entry = sluice.entry(response)
    assert (entry["tls_version"], entry["tls_cipher"], entry["sni"], entry["scheme"], entry["listener"]) == (
        version, client.socket.cipher, "app.test", "https", "secure")
    assert names.wait_count(lambda: names.handshakes(sluice, version, listener="secure"), before + 1) == before + 1


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_a_version_before_1_2_is_refused(shared, version):
    """Hardening 132."""
    sluice, _ = shared
    old = client_context(ciphers="ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion[version]
        old.maximum_version = ssl.TLSVersion[version]
    assert "protocol_version" in refusal(sluice.address("secure"), old, "app.test")


def test_min_version_1_3_refuses_1_2(secured):
    sluice, _ = secured(min_version="1.3")
    assert "protocol_version" in refusal(sluice.address("secure"), client_context(version=VERSIONS["TLSv1.2"]), "app.test")
    with sluice.connect("secure") as client:
        assert client.request().status == 200 and client.socket.version == "TLSv1.3"


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES128-GCM-SHA256", "AES256-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256",
                                    "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES128-SHA", "NULL-SHA256", "ADH-AES128-GCM-SHA256",
                                    "ECDHE-ECDSA-AES128-CCM8"])
def test_a_cipher_without_forward_secrecy_or_aead_is_refused(shared, cipher):
    """Hardening 101, 132."""
    sluice, _ = shared
    only = client_context(version=VERSIONS["TLSv1.2"], ciphers=f"{cipher}:@SECLEVEL=0")
    assert "handshake_failure" in refusal(sluice.address("secure"), only, "app.test")


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
                                    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_each_usual_cipher_of_1_2_is_taken(shared, cipher):
    sluice, _ = shared
    with sluice.connect("secure", tls=client_context(sluice.pki.root.ca_file, version=VERSIONS["TLSv1.2"], ciphers=cipher)) as client:
        assert client.socket.cipher == cipher and client.request().status == 200


def test_renegotiation_is_refused(shared):
    """Hardening 101, 132."""
    said = s_client(shared[0], "-tls1_2", stdin=b"R\n")
    assert "no renegotiation" in said or "no_renegotiation" in said, said[-600:]


def test_there_is_no_compression_and_no_early_data(shared, tmp_path):
    """Hardening 132; RFC 8446 §4.2.10: what comes early is skipped, and the handshake goes on."""
    sluice, server = shared
    assert "Compression: NONE" in s_client(sluice, "-tls1_2")
    session, early = tmp_path / "session.pem", tmp_path / "early"
    late = request_bytes("GET", "/late", [("Connection", "close")])
    first = s_client(sluice, "-tls1_3", "-ign_eof", "-sess_out", str(session), stdin=late)
    assert "Max Early Data: 0" in first, first[-600:]
    session.write_bytes(with_early_data(session.read_bytes()))
    early.write_bytes(request_bytes("GET", "/early", [("Connection", "close")]))
    again = s_client(sluice, "-tls1_3", "-ign_eof", "-sess_in", str(session), "-early_data", str(early), stdin=late)
    assert "Early data was rejected" in again and "Reused, TLSv1.3" in again and "HTTP/1.1 200" in again, again[-600:]
    assert [request.target for request in server.requests if request.target in ("/early", "/late")] == ["/late"] * 2


def with_early_data(pem: bytes) -> bytes:
    """A session of OpenSSL changed so that a client sends early data whatever the server allowed: max_early_data [15], before [16]."""
    der = ssl.PEM_cert_to_DER_cert(pem.decode().replace("SSL SESSION PARAMETERS", "CERTIFICATE"))
    inner = der[2 + (der[1] & 0x7F if der[1] & 0x80 else 0):]
    at = 0
    while at < len(inner) and not 0xB0 <= inner[at] <= 0xBE:
        size, head = inner[at + 1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(inner[at + 2:at + head], "big")
        at += head + size
    inner = inner[:at] + b"\xaf\x04\x02\x02\x40\x00" + inner[at:]
    whole = b"\x30\x82" + len(inner).to_bytes(2, "big") + inner
    return ssl.DER_cert_to_PEM_cert(whole).replace("CERTIFICATE", "SSL SESSION PARAMETERS").encode()


def test_a_client_that_changes_its_keys_is_served_on(shared):
    """TLS 1.3 KeyUpdate, asked for in both directions."""
    sluice, _ = shared
    client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % sluice.address("secure"), "-tls1_3", "-crlf"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = b""

    def say(text: bytes, wanted: bytes, count: int):
        nonlocal out
        client.stdin.write(text)
        client.stdin.flush()
        while out.count(wanted) < count:
            piece = os.read(client.stdout.fileno(), 65536)
            assert piece, out[-500:]
            out += piece
    try:
        say(b"GET /one HTTP/1.1\nHost: app.test\n\n", b"HTTP/1.1 200", 1)
        say(b"K\n", b"KEYUPDATE", 1)
        say(b"GET /two HTTP/1.1\nHost: app.test\n\n", b"HTTP/1.1 200", 2)
    finally:
        client.kill()
        client.wait()


# ALPN


@pytest.mark.parametrize("offered, chosen", [
    (("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), (("h2",), "h2"),
    (("foo", "http/1.1"), "http/1.1"), ((), None),
])
def test_the_listeners_order_decides_between_the_protocols_that_a_client_offers(shared, offered, chosen):
    """Hardening 133."""
    sluice, _ = shared
    made = tls_connect(sluice.address("secure"), client_context(sluice.pki.root.ca_file, offered), "app.test")
    assert made.alpn == chosen
    made.close()


def test_a_listener_that_prefers_http_1_1_gets_it(secured):
    sluice, _ = secured(protocols=("http/1.1", "h2"))
    made = tls_connect(sluice.address("secure"), client_context(alpn=ALPN_BOTH), "app.test")
    assert made.alpn == "http/1.1"
    made.close()


@pytest.mark.parametrize("offered", [("foo",), ("http/1.0", "h3"), ("h2c",)])
def test_a_client_that_offers_only_unknown_protocols_gets_the_alert_for_it(shared, offered):
    """Hardening 133."""
    sluice, _ = shared
    before = names.handshake_failures(sluice, listener="secure")
    assert "no_application_protocol" in refusal(sluice.address("secure"), client_context(alpn=offered), "app.test")
    names.wait_count(lambda: names.handshake_failures(sluice, listener="secure"), before + 1)


def test_h2_is_not_agreed_on_where_the_listener_has_only_http_1_1(secured):
    sluice, _ = secured(protocols=("http/1.1",))
    assert "no_application_protocol" in refusal(sluice.address("secure"), client_context(alpn=("h2",)), "app.test")


# What is not TLS


NOT_TLS = {
    "http": b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
    "zeros": b"\0" * 600, "ssh": b"SSH-2.0-x\r\n" + b"x" * 64, "sslv2": b"\x80\x2e\x01\x00\x02" + b"\0" * 60, "random": os.urandom(4096),
    "wrong record version": b"\x16\x09\x09\x00\x20" + b"\x01" * 32, "record too long": b"\x16\x03\x01\xff\xff" + b"\x01" * 66000,
    "alert first": b"\x15\x03\x03\x00\x02\x02\x28", "application data first": b"\x17\x03\x03\x00\x10" + b"a" * 16,
    "hello of length 0": b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "hello that claims 16 MB": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff" * 20,
    "empty handshake records": b"\x16\x03\x01\x00\x00" * 200,
}


@pytest.mark.parametrize("sent", NOT_TLS.values(), ids=NOT_TLS.keys())
def test_what_is_not_tls_is_turned_away_and_counted(shared, sent):
    sluice, server = shared
    heads = len(server.heads)
    before = names.handshake_failures(sluice, listener="secure")
    with Connection(sluice.address("secure")) as client:
        client.try_send(sent)
        answer = client.read_to_end(5)
    # A TLS alert, or nothing.
    assert answer == b"" or answer[0] == 0x15, answer[:100]
    names.wait_count(lambda: names.handshake_failures(sluice, listener="secure"), before + 1)
    assert len(server.heads) == heads
    with sluice.connect("secure") as good:
        assert good.request().status == 200


def test_tls_on_a_clear_port_is_refused_as_no_request(shared):
    sluice, server = shared
    heads = len(server.heads)
    before = names.reject_count(sluice, "bad_request")
    assert not refusal(sluice.address("clear"), client_context(), "app.test").startswith("taken")
    assert names.reject_count(sluice, "bad_request") == before + 1
    assert len(server.heads) == heads
    assert sluice.request("GET", "/", listener="clear").status == 200


@pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["nothing", "a byte", "half a hello"])
def test_a_handshake_that_does_not_go_on_ends_with_the_header_timeout(shared, first):
    """Hardening 116, 124: the handshake has the time of a head, in all."""
    sluice, _ = shared
    with Connection(sluice.address("secure")) as client:
        if first:
            client.send(first)
        answer = client.read_to_end(8)
        assert answer == b"" or answer[0] == 0x15, answer[:100]


def test_half_open_handshakes_do_not_keep_others_out(shared):
    """Hardening 124."""
    sluice, _ = shared
    waiting = [Connection(sluice.address("secure")).send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") for _ in range(200)]
    try:
        with sluice.connect("secure") as client:
            assert client.request().status == 200
    finally:
        for one in waiting:
            one.close()


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_an_end_in_the_middle_of_a_handshake_is_one_failure_and_harms_nobody(shared, leave):
    sluice, _ = shared
    before = names.handshake_failures(sluice, "closed", "secure")
    for _ in range(20):
        getattr(Connection(sluice.address("secure")).send(b"\x16\x03\x01\x02\x00\x01"), leave)()
    assert names.wait_count(lambda: names.handshake_failures(sluice, "closed", "secure"), before + 20) == before + 20
    with sluice.connect("secure") as good:
        assert good.request().status == 200


# HTTP behind it


class Trickle:
    """A socket that sends and receives one byte at a time."""

    def __init__(self, plain: socket.socket):
        self.plain = plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sendall(self, data: bytes):
        for at in range(len(data)):
            self.plain.sendall(data[at:at + 1])

    def recv(self, count, flags=0):
        return self.plain.recv(1, flags)

    def __getattr__(self, name):
        return getattr(self.plain, name)


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
def test_a_handshake_and_a_request_byte_by_byte_are_served(shared, version):
    """Hardening 140."""
    sluice, _ = shared
    plain = socket.create_connection(sluice.address("secure"), 10)
    client = TLSSocket(Trickle(plain), client_context(sluice.pki.root.ca_file, version=version), "app.test")
    client.sendall(request_bytes("POST", "/", [("Connection", "close")], b"slowly"))
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"slowly") and client.peer_said_goodbye
    plain.close()


@pytest.mark.parametrize("receive_buffer", [None, 4096])
def test_bodies_of_megabytes_go_both_ways_at_once(shared, receive_buffer):
    """Hardening 140: records are cut wherever a socket is full."""
    sluice, _ = shared
    body = os.urandom(6 << 20)
    with sluice.connect("secure", receive_buffer=receive_buffer) as client:
        sender = threading.Thread(target=client.send, args=(request_bytes("POST", "/echo", body=body),))
        sender.start()
        response = client.read_response("POST", 25)
        sender.join()
    assert response.status == 200 and response.body == body


def test_the_gateway_says_goodbye_before_it_closes(shared):
    """close_notify; RFC 9112 §9.8."""
    sluice, _ = shared
    with sluice.connect("secure") as client:
        assert client.request(headers=[("Connection", "close")]).status == 200
        client.expect_closed()
        assert client.socket.peer_said_goodbye and not client.socket.truncated


def test_an_upload_that_is_cut_off_without_goodbye_is_no_whole_request(shared):
    sluice, server = shared
    count = len(server.requests)
    heads = len(server.heads)
    client = sluice.connect("secure")
    client.send(b"POST /cut HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    server.wait_heads(heads + 1)
    client.socket.truncate()
    server.connections[-1].backend.wait_for(lambda: server.heads[-1].connection.ended, 5, "the upstream connection ends")
    assert len(server.requests) == count


def test_a_kept_connection_serves_many_requests_and_pipelined_ones(shared):
    sluice, _ = shared
    with sluice.connect("secure") as client:
        for number in range(50):
            assert client.request("POST", "/", body=b"%d" % number).body == b"%d" % number
        client.send(b"".join(request_bytes("POST", "/", body=b"%d" % number) for number in range(10)))
        assert [client.read_response("POST").body for _ in range(10)] == [b"%d" % number for number in range(10)]


def test_a_hundred_connections_at_once_are_each_served_their_own_answer(shared):
    sluice, _ = shared
    clients = [sluice.connect("secure") for _ in range(100)]
    try:
        for number, client in enumerate(clients):
            client.send(request_bytes("POST", "/", body=b"mine %d" % number))
        for number, client in enumerate(clients):
            assert client.read_response("POST").body == b"mine %d" % number
    finally:
        for client in clients:
            client.close()


def test_the_backend_learns_that_the_request_came_by_https(shared):
    sluice, server = shared
    with sluice.connect("secure") as client:
        client.request("GET", "/scheme", [("X-Forwarded-Proto", "http")])
    request = next(one for one in server.requests if one.target == "/scheme")
    assert request.header("x-forwarded-proto") == "https"
    assert request.header("x-forwarded-port") in (None, str(sluice.ports["secure"]), "443")


def test_a_response_cut_off_upstream_is_cut_off_visibly_over_tls(secured):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.reset()
    sluice, server = secured()
    server.script = script
    with sluice.connect("secure") as client, pytest.raises(Truncated):
        client.request()


def test_a_clear_and_a_secure_listener_stand_side_by_side(shared):
    sluice, _ = shared
    assert sluice.request("GET", "/", listener="clear").status == 200
    assert sluice.request("GET", "/", listener="secure").status == 200
    with sluice.h2("clear") as client:
        assert client.request().status == 200
    with sluice.h2("secure") as client:
        assert client.request().status == 200


@pytest.mark.memory
def test_idle_tls_connections_cost_little_memory(secured):
    """Hardening 127; the figure of the issue counts OpenSSL's own part apart, so this is a wide bound against buffers that stay."""
    sluice, _ = secured(blocks={"limits": {"connections_per_client": 2000}})
    context = client_context()
    held = [sluice.connect("secure", tls=context) for _ in range(50)]
    for client in held:
        assert client.request().status == 200
    before = sluice.rss_kib()
    try:
        for _ in range(300):
            held.append(sluice.connect("secure", tls=context))
            assert held[-1].request().status == 200
        grown = sluice.rss_kib() - before
        assert grown < 300 * 64, f"{grown / 300:.1f} KiB for each idle connection"
    finally:
        for client in held:
            client.close()


def test_a_reload_closes_no_tls_connection(secured):
    sluice, server = secured()
    with sluice.connect("secure") as client:
        assert client.request().status == 200
        sluice.reload_altered()
        assert client.request().status == 200
    assert len(server.requests) == 2
