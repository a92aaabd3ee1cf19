"""The PROXY protocol, versions 1 and 2 (hardening 74; proxy-protocol.txt of HAProxy)."""

import random
import struct
import threading

import pytest

from conftest import one_service
from sluice_harness import Connection, request_bytes, until

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
GET = request_bytes("GET", "/p")
# The tests come from 127.0.0.1, which is trusted here; 127.0.0.66 is a stranger.
TRUSTED = ["127.0.0.1/32", "127.0.0.9/32"]


def v1(source="192.0.2.7", port=4711, destination="198.51.100.1", family=None) -> bytes:
    family = family or ("TCP6" if ":" in source else "TCP4")
    return f"PROXY {family} {source} {destination if ':' in source or ':' not in destination else source} {port} 443\r\n".encode()


def v2(block: bytes, command=1, family=0x11, version=2, length=None) -> bytes:
    return SIGNATURE + struct.pack(">BBH", version << 4 | command, family, len(block) if length is None else length) + block


def v2_v4(source=(192, 0, 2, 7), port=4711, extensions=b"", **more) -> bytes:
    return v2(bytes(source) + bytes((198, 51, 100, 1)) + struct.pack(">HH", port, 443) + extensions, **more)


def v2_v6(source: bytes, port=4711, extensions=b"", **more) -> bytes:
    return v2(source + bytes(15) + b"\x01" + struct.pack(">HH", port, 443) + extensions, family=0x21, **more)


def extension(kind: int, value: bytes, length=None) -> bytes:
    return struct.pack(">BH", kind, len(value) if length is None else length) + value


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


DOCUMENTED_V6 = bytes.fromhex("20010db8000000000000000000000007")
# What the header is, and what client address it names; None for the connection's own.
GOOD = {
    "v1 tcp4": (v1(), "192.0.2.7", 4711),
    "v1 tcp6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "2001:db8::7", 4711),
    "v1 tcp6 long": (b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0007 2001:0db8:0000:0000:0000:0000:0000:0001 65535 65535\r\n",
                     "2001:db8::7", 65535),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "v1 unknown with addresses": (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None, None),
    "v1 port 0": (b"PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n", "192.0.2.7", 0),
    "v2 tcp4": (v2_v4(), "192.0.2.7", 4711),
    "v2 tcp6": (v2_v6(DOCUMENTED_V6), "2001:db8::7", 4711),
    "v2 tcp6 mapped": (v2_v6(bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 7))), "192.0.2.7", 4711),
    "v2 local": (v2(b"", command=0, family=0), None, None),
    "v2 local with addresses": (v2_v4(command=0), None, None),
    "v2 local with rubbish": (v2(b"\xff" * 50, command=0, family=0xff), None, None),
    "v2 unspecified": (v2(b"", family=0), None, None),
    "v2 unspecified with extensions": (v2(extension(4, b"abc"), family=0), None, None),
    "v2 unix": (v2(b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0"), family=0x31), None, None),
    "v2 extensions": (v2_v4(extensions=extension(1, b"h2") + extension(2, b"app.test") + extension(5, b"id") + extension(0xe0,
        b"")),
                      "192.0.2.7", 4711),
    "v2 large": (v2_v4(extensions=extension(4, bytes(1500))), "192.0.2.7", 4711),
}
CHECKED = bytearray(v2_v4(extensions=extension(3, bytes(4))))
CHECKED[-4:] = struct.pack(">I", crc32c(bytes(CHECKED)))
GOOD["v2 checksum"] = (bytes(CHECKED), "192.0.2.7", 4711)


@pytest.fixture(scope="module")
def behind(module_world):
    """A daemon with a listener behind a balancer, and an ordinary one."""
    server = module_world.backend()
    whole = one_service(server)
    sluice = module_world.gateway(
        **whole, limits={"connections_per_client": 2000},
        listeners=[{"name": "web", "address": "@web@", "proxy_protocol": {"trusted": TRUSTED},
                    "limits": {"header_timeout": "500ms", "keepalive_timeout": "2s", "connections_per_client": 2000}},
                   {"name": "plain", "address": "127.0.0.1:0"}])
    return sluice, server


@pytest.fixture
def road(gateway, backend):
    """The same, made anew, with what a test sets in it."""
    def start(trusted=TRUSTED, limits=None, server=None, **blocks):
        made = backend()
        whole = one_service(made)
        listener = {"name": "web", "address": "@web@", "proxy_protocol": {"trusted": trusted} if trusted is not None else {}}
        if limits:
            listener["limits"] = limits
        return gateway(**{**whole, **blocks}, listeners=[listener], **({"server": server} if server else {})), made
    return start


def results(sluice, **labels) -> dict:
    found = {}
    metrics = sluice.metrics()
    for entry in metrics.labels("sluice_connections_total"):
        if entry["listener"] == labels.get("listener", "web"):
            found[entry["result"]] = metrics.sum("sluice_connections_total", **entry)
    return found


# Good headers


@pytest.mark.parametrize("header,address,port", GOOD.values(), ids=GOOD.keys())
def test_the_client_is_whom_the_header_names(behind, header, address, port):
    sluice, server = behind
    server.heads.clear()
    with sluice.connect() as client:
        own = client.socket.getsockname()
        client.send(header).send(GET)
        response = client.read_response()
        assert response.status == 200
        entry = sluice.entry(response)
        assert (entry["client_ip"], entry["client_port"] or 0) == ((address, port) if address else own)
        assert server.heads[0].header("x-forwarded-for") == (address or own[0])
        assert server.heads[0].header("x-real-ip") == (address or own[0])
        assert client.request("GET", "/again").status == 200, "the header stands once a connection"
        assert server.heads[1].header("x-forwarded-for") == (address or own[0])


@pytest.mark.parametrize("header,address,port", GOOD.values(), ids=GOOD.keys())
def test_a_header_may_come_in_one_segment_with_requests(behind, header, address, port):
    sluice, server = behind
    server.heads.clear()
    with sluice.connect() as client:
        client.send(header + request_bytes("POST", "/1", (), b"body") + GET + request_bytes("GET", "/3"))
        assert [client.read_response().status for _ in range(3)] == [200] * 3
    assert [head.header("x-forwarded-for") for head in server.wait_heads(3)] == [address or "127.0.0.1"] * 3
    assert server.requests[-3].body == b"body"


@pytest.mark.parametrize("header,address,port", GOOD.values(), ids=GOOD.keys())
def test_a_header_may_come_byte_by_byte(behind, header, address, port):
    sluice, server = behind
    server.heads.clear()
    with sluice.connect() as client:
        whole = header[:200] + GET if len(header) <= 200 else header + GET
        pieces = [whole[n:n + 1] for n in range(len(whole))] if len(whole) < 400 else [whole[n:n + 97]
            for n in range(0, len(whole), 97)]
        for piece in pieces:
            client.send(piece)
        assert client.read_response().status == 200
    assert server.heads[0].header("x-forwarded-for") == (address or "127.0.0.1")


def test_two_clients_behind_one_balancer_are_told_apart(behind):
    sluice, server = behind
    server.heads.clear()
    with sluice.connect() as one, sluice.connect() as two:
        one.send(v1("192.0.2.1"))
        two.send(v2_v4((192, 0, 2, 2)))
        for _ in range(3):
            assert one.request("GET", "/one").status == two.request("GET", "/two").status == 200
    assert {(head.target, head.header("x-forwarded-for")) for head in server.heads} == {("/one", "192.0.2.1"),
        ("/two", "192.0.2.2")}


def test_a_second_header_is_no_request(behind):
    sluice, server = behind
    server.heads.clear()
    for second in (v1("192.0.2.8"), v2_v4((192, 0, 2, 8))):
        with sluice.connect() as client:
            client.send(v1() + second + GET)
            assert client.read_response().status == 400
            client.expect_closed()
    assert server.heads == []


def test_a_check_of_the_balancer_that_says_nothing_is_no_fault(behind):
    sluice, _ = behind
    before = results(sluice)
    for _ in range(5):
        sluice.connect().close()
    until(lambda: results(sluice).get("accepted", 0) >= before.get("accepted", 0) + 5, 5, "counted")
    after = results(sluice)
    assert after.get("proxy_header_invalid", 0) == before.get("proxy_header_invalid", 0)
    assert after.get("proxy_header_missing", 0) == before.get("proxy_header_missing", 0)


# Whose word counts


def turned_away(sluice, data, source="127.0.0.66"):
    """Closed without an answer; the reset may come as early as in the middle of connect(2)."""
    try:
        client = sluice.connect(source=source)
    except ConnectionResetError:
        return
    with client:
        client.try_send(data)
        client.expect_close_without_answer()


def test_the_address_of_the_header_is_what_trusted_proxies_is_asked_about(road):
    """A client behind the balancer cannot name another; a trusted proxy behind it can."""
    sluice, server = road(server={"trusted_proxies": ["10.0.0.0/8"]})
    for source, client in (("192.0.2.7", "192.0.2.7"), ("10.1.2.3", "203.0.113.5"), ("127.0.0.1", "127.0.0.1")):
        with sluice.connect() as connection:
            connection.send(v1(source))
            response = connection.request("GET", "/", [("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-Proto", "https")])
            entry = sluice.entry(response)
            assert entry["client_ip"] == client, source
    lists = [head.header("x-forwarded-for") for head in server.heads]
    assert lists == ["192.0.2.7", "203.0.113.5, 10.1.2.3", "127.0.0.1"]
    assert [head.header("x-forwarded-proto") for head in server.heads] == ["http", "https", "http"]


def test_a_balancer_that_is_a_trusted_proxy_does_not_make_its_clients_trusted(road):
    """server.trusted_proxies names the balancer for its headers; what it hands on is believed no more for that."""
    sluice, server = road(trusted=None, server={"trusted_proxies": ["127.0.0.1/32"]})
    with sluice.connect() as connection:
        connection.send(v1("192.0.2.7"))
        response = connection.request("GET", "/", [("X-Forwarded-For", "6.6.6.6")])
    assert server.heads[0].header("x-forwarded-for") == "192.0.2.7" and sluice.entry(response)["client_ip"] == "192.0.2.7"


def test_a_local_connection_of_a_trusted_proxy_may_speak_for_others(road):
    """LOCAL leaves the balancer itself as the client: its own X-Forwarded-For counts where it is a trusted proxy."""
    sluice, server = road(server={"trusted_proxies": ["127.0.0.1/32"]})
    with sluice.connect() as connection:
        connection.send(v2(b"", command=0, family=0))
        connection.request("GET", "/", [("X-Forwarded-For", "203.0.113.5")])
    assert server.heads[0].header("x-forwarded-for") == "203.0.113.5, 127.0.0.1"


@pytest.mark.parametrize("first", [v1(), v2_v4(), GET, b"", v2(b"", command=0, family=0)],
                         ids=["v1", "v2", "http", "nothing", "local"])
def test_a_stranger_is_turned_away_whatever_he_sends(road, first):
    sluice, server = road()
    turned_away(sluice, first + GET)
    until(lambda: results(sluice).get("proxy_peer_refused") == 1, 5, "counted")
    assert server.heads == []
    line = sluice.stderr.wait(lambda line: "proxy_peer_not_trusted" in line, 5)
    assert "127.0.0.66" in line


def test_nobody_is_trusted_by_default(gateway):
    """A listener that expects headers and trusts nobody would serve nobody: it does not start."""
    sluice = gateway({"listeners": [{"name": "web", "address": "@web@", "proxy_protocol": {}}], "routes": []}, wait_ready=False)
    sluice.expected_exit = 1
    sluice.check_descriptors = False
    assert sluice.wait_exit() == 1
    assert any("trusted" in line for line in sluice.stderr.lines), sluice.stderr.lines


# Bad headers


TOO_LONG = b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n"
BAD = {
    "http": GET,
    "http of a browser": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "post": b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "blank line": b"\r\nPROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "lower case": v1().lower(),
    "v1 bare lf": v1().replace(b"\r\n", b"\n"),
    "v1 two blanks": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 trailing": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "v1 trailing blank": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
    "v1 missing": b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
    "v1 udp": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 leading zero": b"PROXY TCP4 192.0.02.7 198.51.100.1 1 2\r\n",
    "v1 octet": b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
    "v1 hex": b"PROXY TCP4 0xc0000207 198.51.100.1 1 2\r\n",
    "v1 family": b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
    "v1 family 6": b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 zone": b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
    "v1 port": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "v1 port zero led": b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    "v1 port sign": b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
    "v1 nul": b"PROXY TCP4 192.0.2.7\x00 198.51.100.1 1 2\r\n",
    "v1 name": b"PROXY TCP4 localhost localhost 1 2\r\n",
    "v1 too long": TOO_LONG,
    "v1 endless": b"PROXY UNKNOWN " + b"y" * 5000,
    "v2 version 1": v2_v4(version=1),
    "v2 version 3": v2_v4(version=3),
    "v2 command": v2_v4(command=2),
    "v2 command 15": v2_v4(command=15),
    "v2 udp": v2_v4(family=0x12),
    "v2 family": v2_v4(family=0x41),
    "v2 transport": v2_v4(family=0x13),
    "v2 short": v2(bytes(11)),
    "v2 short six": v2(bytes(35), family=0x21),
    "v2 short unix": v2(bytes(215), family=0x31),
    "v2 oversize": v2_v4(extensions=extension(4, bytes(3000))),
    "v2 claims 65535": v2_v4(length=65535),
    "v2 tlv over the end": v2_v4(extensions=extension(4, b"abc", length=4)),
    "v2 tlv huge": v2_v4(extensions=extension(4, b"abc", length=65535)),
    "v2 tlv cut": v2_v4(extensions=b"\x04\x00"),
    "v2 tlv one byte": v2_v4(extensions=b"\x04"),
    "v2 spill": v2_v4(extensions=extension(4, b"abc") + b"G"),
    "v2 checksum wrong": v2_v4(extensions=extension(3, b"\x01\x02\x03\x04")),
    "v2 checksum length": v2_v4(extensions=extension(3, b"\x01\x02\x03")),
    "v2 checksum twice": bytes(CHECKED)[:14] + struct.pack(">H", 12 + 14) + bytes(CHECKED)[16:] + extension(3, bytes(4)),
    "v2 signature": SIGNATURE[:-1] + b"\r" + bytes(30),
}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD.keys())
def test_a_bad_header_ends_the_connection_without_an_answer_and_is_counted(behind, header):
    """Hardening 74: missing, oversize, bad signature → close; no partial spill into HTTP."""
    sluice, server = behind
    server.heads.clear()
    before = results(sluice).get("proxy_header_invalid", 0)
    with sluice.connect() as client:
        client.try_send(header + GET)
        client.expect_close_without_answer()
    until(lambda: results(sluice).get("proxy_header_invalid", 0) == before + 1, 5, "counted")
    assert server.heads == []


def test_a_refused_header_is_logged_with_its_reason_and_its_peer(road):
    sluice, _ = road()
    for header, reason in ((GET, "proxy_signature"), (b"PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n", "proxy_address")):
        def line():
            sluice.exchange(header)
            return [entry for entry in sluice.log_entries() if entry.get("rule") == reason]
        entry = until(line, 5, reason)[0]
        assert entry["peer"] == "127.0.0.1" and entry["level"] == "warn"


def test_the_secrets_of_a_request_without_header_are_not_logged(road):
    sluice, _ = road()
    sluice.exchange(b"GET /?token=PLANTED-1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer PLANTED-2\r\n\r\n")
    sluice.stderr.wait(lambda line: "proxy_signature" in line, 5)
    assert not [line for line in sluice.stderr.lines if "PLANTED" in line]


@pytest.mark.parametrize("part", [b"", b"P", b"PROXY TCP4 192.0.2.7 ", SIGNATURE, v2_v4()[:20], v1()[:-1], SIGNATURE[:5]],
                         ids=["nothing", "P", "half a line", "signature", "half a header", "all but one", "half a signature"])
def test_a_header_that_does_not_come_in_time_ends_the_connection_without_an_answer(behind, part):
    """The header timeout counts from the connection's first moment."""
    sluice, _ = behind
    before = results(sluice).get("proxy_header_missing", 0)
    with sluice.connect() as client:
        client.send(part)
        client.expect_close_without_answer(5)
    until(lambda: results(sluice).get("proxy_header_missing", 0) == before + 1, 5, "counted")


def test_a_header_that_drips_has_no_more_time_than_one_that_does_not_come(behind):
    sluice, server = behind
    server.heads.clear()
    with sluice.connect() as client:
        header = b"PROXY UNKNOWN " + b"z" * 80
        pause = threading.Event()
        for n in range(len(header)):
            if not client.try_send(header[n:n + 1]) or not client.is_open():
                break
            pause.wait(0.05)
        client.expect_close_without_answer(5)
    assert server.heads == []


@pytest.mark.parametrize("cut", [1, 5, 13, 17, 27])
def test_a_client_that_ends_in_the_middle_of_its_header_is_counted_as_bad(behind, cut):
    sluice, _ = behind
    before = results(sluice).get("proxy_header_invalid", 0)
    with sluice.connect() as client:
        client.send(v2_v4()[:cut])
        client.half_close()
        client.expect_close_without_answer()
    until(lambda: results(sluice).get("proxy_header_invalid", 0) == before + 1, 5, "counted")


@pytest.mark.parametrize("header", [v1(), v2_v4(), v2(b"", command=0, family=0), b"PROXY UNKNOWN\r\n"],
                         ids=["v1", "v2", "local", "unknown"])
def test_a_listener_without_it_takes_a_header_for_bad_http(simple, header):
    """Hardening 74: only where it is required."""
    sluice, server = simple(server={"trusted_proxies": ["127.0.0.1/32"]})
    with sluice.connect() as client:
        client.send(header + GET)
        assert client.read_response().status == 400
        client.expect_closed()
    assert server.heads == []


@pytest.mark.seconds(120)
def test_five_hundred_random_headers_harm_nobody_beside_them(behind):
    """Hardening 74: fuzz. Whatever parses as a header leads to an answer; all else to a close without one."""
    sluice, server = behind
    dice = random.Random(74)
    stop, failures, served = threading.Event(), [], [0]

    def well_behaved():
        while not stop.is_set():
            with sluice.connect() as client:
                client.send(v1("192.0.2.200"))
                try:
                    for _ in range(100):
                        response = client.request("GET", "/good")
                        served[0] += 1
                        if response.status != 200:
                            failures.append(response)
                except Exception as error:
                    failures.append(error)
    thread = threading.Thread(target=well_behaved)
    thread.start()
    try:
        seeds = [header for header, _, _ in GOOD.values()] + list(BAD.values())
        for _ in range(500):
            header = bytearray(dice.choice(seeds))
            for _ in range(dice.randint(0, 4)):
                at = dice.randrange(len(header) or 1)
                kind = dice.randrange(4)
                if kind == 0 and header:
                    header[at] = dice.randrange(256)
                elif kind == 1:
                    header[at:at] = bytes([dice.randrange(256)])
                elif kind == 2:
                    del header[at:at + dice.randint(1, 5)]
                elif len(header) > 16:
                    header[14:16] = struct.pack(">H", dice.randrange(65536))
            with sluice.connect() as client:
                client.try_send(bytes(header) + (GET if dice.random() < 0.5 else b""))
                client.half_close() if dice.random() < 0.8 and client.is_open() else None
                answer = client.read_to_end(5) if dice.random() < 0.9 else b""
                assert answer == b"" or answer.startswith(b"HTTP/1.1 "), answer[:100]
    finally:
        stop.set()
        thread.join()
    assert not failures and served[0] > 100, failures[:3]
    assert all(head.header("host") == "app.test" for head in server.heads)


# Limits


def test_the_limit_on_connections_counts_the_address_of_the_header(road):
    sluice, _ = road(limits={"connections_per_client": 3})
    held = []
    for number in range(3):
        for source in ("192.0.2.1", "192.0.2.2"):
            client = sluice.connect()
            client.send(v1(source, 1000 + number))
            assert client.request("GET", "/").status == 200
            held.append(client)
    with sluice.connect() as fourth:
        fourth.try_send(v1("192.0.2.1") + GET)
        assert fourth.read_to_end() == b"", "no more of this client"
    with sluice.connect() as other:
        other.send(v1("192.0.2.3") + GET)
        assert other.read_response().status == 200, "another client of the same balancer"
    assert results(sluice).get("over_client_limit") == 1
    held.pop(0).close()

    def again():
        with sluice.connect() as client:
            client.try_send(v1("192.0.2.1") + GET)
            return client.read_to_end(0.5) if not client.is_open() else client.read_response().status == 200
    until(lambda: attempt(again), 5, "a place that became free is taken")
    for client in held:
        client.close()


def attempt(action):
    try:
        return action()
    except (AssertionError, TimeoutError, OSError):
        return None


def test_connections_that_come_and_go_leave_no_count_behind(road):
    sluice, _ = road(limits={"connections_per_client": 4})
    for number in range(100):
        with sluice.connect() as client:
            client.send(v1("192.0.2.1") if number % 3 else v2(b"", command=0, family=0))
            assert client.request("GET", "/", [("Connection", "close")]).status == 200
            client.expect_closed()
        if number % 10 == 0:
            sluice.exchange(b"PROXY rubbish\r\n")
    until(lambda: sluice.metrics().sum("sluice_connections", listener="web") == 0, 5)


def test_ipv6_clients_of_one_network_count_together(road):
    """One /64, as without the protocol."""
    sluice, _ = road(limits={"connections_per_client": 2})
    held = []
    for number in range(2):
        client = sluice.connect()
        client.send(f"PROXY TCP6 2001:db8::{number + 1} 2001:db8::99 1 2\r\n".encode())
        assert client.request("GET", "/").status == 200
        held.append(client)
    with sluice.connect() as third:
        third.try_send(b"PROXY TCP6 2001:db8::77 2001:db8::99 1 2\r\n" + GET)
        assert third.read_to_end() == b""
    for client in held:
        client.close()


def test_a_reload_changes_who_is_trusted_for_new_connections(road):
    sluice, server = road()
    with sluice.connect() as open_one:
        open_one.send(v1("192.0.2.1"))
        assert open_one.request("GET", "/").status == 200
        sluice.reload({**one_service(server), "listeners": [
            {"name": "web", "address": "@web@", "proxy_protocol": {"trusted": ["127.0.0.66/32"]}}]})
        assert open_one.request("GET", "/").status == 200, "an open connection stays"
        turned_away(sluice, v1() + GET, source="127.0.0.1")
        with sluice.connect(source="127.0.0.66") as trusted:
            trusted.send(v1("192.0.2.5") + GET)
            assert trusted.read_response().status == 200
    sluice.reload({**one_service(server), "listeners": [{"name": "web", "address": "@web@"}]})
    assert sluice.request("GET", "/").status == 200, "and without the key, plain HTTP is served"


def test_a_unix_socket_behind_a_balancer_takes_headers_from_everybody_who_may_open_it(gateway, backend):
    server = backend()
    sluice = gateway(**one_service(server), listeners=[
        {"name": "web", "address": "unix:@dir@/web.sock", "proxy_protocol": {"trusted": TRUSTED}}])
    with Connection(str(sluice.directory / "web.sock")) as client:
        client.send(v1("192.0.2.7") + GET)
        response = client.read_response()
        assert response.status == 200 and server.heads[0].header("x-forwarded-for") == "192.0.2.7"
        assert sluice.entry(response)["client_ip"] == "192.0.2.7"
    with Connection(str(sluice.directory / "web.sock")) as client:
        client.send(GET)
        client.expect_close_without_answer()
