"""Forwarded (RFC 7239) beside X-Forwarded-* (behaviour B.3; hardening 69)."""

import re

import pytest

from conftest import one_service
from sluice_harness import Connection

STYLES = ["x", "rfc7239", "both"]
X = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"]


def elements(value: str) -> list[dict]:
    """The elements of a Forwarded field (RFC 7239 §4), strictly."""
    found = []
    at = 0
    pair = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&\'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")')
    current = {}
    while True:
        match = pair.match(value, at)
        assert match, f"not an element at {at}: {value!r}"
        name = match.group(1).lower()
        assert name not in current, value
        current[name] = match.group(2) if match.group(2) is not None else re.sub(r"\\(.)", r"\1", match.group(3))
        at = match.end()
        if at < len(value) and value[at] == ";":
            at += 1
            continue
        found.append(current)
        current = {}
        if at == len(value):
            return found
        assert value[at:at + 2] == ", ", value
        at += 2


@pytest.fixture(scope="module")
def roads(module_world):
    """For each style: 127.0.0.1 is a stranger, 127.0.0.9 and 10.0.0.0/8 are trusted proxies; one listener is behind a balancer."""
    made = {}
    for style in STYLES:
        server = module_world.backend()
        made[style] = (module_world.gateway(
            **one_service(server), server={"trusted_proxies": ["127.0.0.9/32", "10.0.0.0/8", "2001:db8:ffff::/48"],
                                           "forwarded": {"style": style}},
            listeners=[{"name": "web", "address": "@web@"},
                       {"name": "behind", "address": "unix:@dir@/behind.sock", "proxy_protocol": {"trusted": ["127.0.0.1"]}},
                       {"name": "socket", "address": "unix:@dir@/socket.sock"}]), server)
    return made


def ask(road, headers=(), source=None, **more):
    """What the backend saw, and what the access log says."""
    sluice, server = road
    server.heads.clear()
    response = sluice.request("GET", "/f", headers, source=source, **more)
    assert response.status == 200, response
    return server.heads[0], sluice.entry(response)


@pytest.mark.parametrize("style", STYLES)
def test_each_style_writes_its_own_fields_and_no_others(roads, style):
    head, _ = ask(roads[style])
    for name in X:
        assert bool(head.all(name)) is (style != "rfc7239"), name
    assert bool(head.all("forwarded")) is (style != "x")
    if style != "x":
        assert elements(head.header("forwarded")) == [{"for": "127.0.0.1", "host": "app.test", "proto": "http"}]


LIES = [("Forwarded", "for=6.6.6.6;host=evil;proto=https"), ("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil"), ("X-Forwarded-Port", "666"),
        ("X-Forwarded-Prefix", "/evil")]


@pytest.mark.parametrize("style", STYLES)
def test_nothing_that_a_stranger_says_gets_through(roads, style):
    """Hardening 69."""
    head, entry = ask(roads[style], LIES)
    assert not [(name, value) for name,
                value in head.headers if b"6.6.6.6" in value or b"evil" in value or b"https" in value or value == b"666"]
    assert entry["client_ip"] == "127.0.0.1"


@pytest.mark.parametrize("style", STYLES)
def test_a_family_that_is_not_written_is_never_passed_on(roads, style):
    """Nobody would have checked it; not even a trusted proxy's."""
    head, _ = ask(roads[style], LIES, source="127.0.0.9")
    if style == "x":
        assert head.all("forwarded") == []
    if style == "rfc7239":
        assert [name for name,
                _ in head.headers if name.lower().startswith(b"x-forwarded-") or name.lower() == b"x-real-ip"] == []


@pytest.mark.parametrize("style", ["rfc7239", "both"])
def test_what_a_trusted_proxy_says_is_continued(roads, style):
    head, entry = ask(roads[style], [("Forwarded", "for=203.0.113.7;proto=https;host=public.example;by=10.0.0.1"),
                                     ("Forwarded", "for=10.1.2.3")],
                      source="127.0.0.9")
    found = elements(head.header("forwarded"))
    assert [element["for"] for element in found] == ["203.0.113.7", "10.1.2.3", "127.0.0.9"]
    assert found[0]["host"] == "public.example" and found[0]["proto"] == "https" and found[-1]["host"] == "app.test"
    assert (entry["client_ip"], entry["peer_ip"]) == ("203.0.113.7", "127.0.0.9")


# value of Forwarded → whom the access log names; the peer where nothing of it can be believed
NODES = {
    "for=203.0.113.7": "203.0.113.7",
    "For=203.0.113.7": "203.0.113.7",
    "FOR=\"203.0.113.7\"": "203.0.113.7",
    "for=\"203.0.113.7:4711\"": "203.0.113.7",
    "for=203.0.113.7:4711": "203.0.113.7",
    "for=\"[2001:db8::7]\"": "2001:db8::7",
    "for=\"[2001:db8::7]:4711\"": "2001:db8::7",
    "for=\"[2001:DB8:0::7]\"": "2001:db8::7",
    "for=\"[::ffff:203.0.113.7]\"": "203.0.113.7",
    "proto=https;for=203.0.113.7;by=10.0.0.1": "203.0.113.7",
    "for=203.0.113.7;": "203.0.113.7",
    "for=203.0.113.7 , for=10.1.1.1": "203.0.113.7",
    "for=6.6.6.6, for=203.0.113.7": "203.0.113.7",
    "for=6.6.6.6, for=203.0.113.7, for=10.1.1.1, for=\"[2001:db8:ffff::1]\"": "203.0.113.7",
    "for=10.0.0.1, for=10.0.0.2": "10.0.0.1",
    "for=unknown, for=203.0.113.7": "203.0.113.7",
    "for=_hidden, for=203.0.113.7": "203.0.113.7",
    # Nodes without an address (§6.2, §6.3), and what follows no grammar.
    "for=unknown": "127.0.0.9",
    "for=_hidden": "127.0.0.9",
    "for=\"_hidden:_port\"": "127.0.0.9",
    "for=203.0.113.7, for=unknown": "127.0.0.9",
    "for=203.0.113.7, for=_secret": "127.0.0.9",
    "proto=https": "127.0.0.9",
    "for=203.0.113.7, proto=https": "127.0.0.9",
    "for=203.0.113.7, ": "127.0.0.9",
    "for=": "127.0.0.9",
    "for": "127.0.0.9",
    "for=\"203.0.113.7": "127.0.0.9",
    "for=\"203.0.113.7\\\"\"": "127.0.0.9",
    "for=203.0.113.7;for=203.0.113.8": "127.0.0.9",
    "for =203.0.113.7": "127.0.0.9",
    "for= 203.0.113.7": "127.0.0.9",
    "for=203.0.113.7 by=10.0.0.1": "127.0.0.9",
    "203.0.113.7": "127.0.0.9",
    "for=localhost": "127.0.0.9",
    "for=203.0.113.999": "127.0.0.9",
    "for=\"[2001:db8::7\"": "127.0.0.9",
    "for=\"[203.0.113.7]\"": "127.0.0.9",
    "for=\"203.0.113.7:99999999\"": "127.0.0.9",
    "for=\"203.0.113.7, for=10.0.0.1\"": "127.0.0.9",
    "for=203.0.113.7" + ", for=10.0.0.7" * 21: "127.0.0.9",
    "": "127.0.0.9",
    ",,,": "127.0.0.9",
}


@pytest.mark.parametrize("value,client", NODES.items(), ids=lambda text: text[:40] or "empty")
@pytest.mark.parametrize("style", ["rfc7239", "both"])
def test_the_client_is_the_right_most_node_that_is_not_trusted_or_else_the_peer(roads, style, value, client):
    """RFC 7239 §4 to §7; hardening 69."""
    head, entry = ask(roads[style], [("Forwarded", value)], source="127.0.0.9")
    assert entry["client_ip"] == client
    assert head.header("forwarded").endswith("for=127.0.0.9;host=\"app.test\";proto=http")
    if style == "both":
        assert head.header("x-real-ip") == client


@pytest.mark.parametrize("value,client", NODES.items(), ids=lambda text: text[:40] or "empty")
def test_without_the_style_a_trusted_proxys_forwarded_is_told_in_the_other_family(roads, value, client):
    head, entry = ask(roads["x"], [("Forwarded", value)], source="127.0.0.9")
    assert entry["client_ip"] == client and head.all("forwarded") == []
    assert head.header("x-forwarded-for") == ("127.0.0.9" if client == "127.0.0.9" else f"{client}, 127.0.0.9")
    assert head.header("x-real-ip") == client


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fields", [[("Forwarded", "for=203.0.113.7;host=public.example;proto=https")],
                                    [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"),
                                     ("X-Forwarded-Host", "public.example")]], ids=["Forwarded", "X-Forwarded"])
def test_client_scheme_and_host_are_told_in_every_family_whichever_named_them(roads, style, fields):
    head, entry = ask(roads[style], fields, source="127.0.0.9")
    assert entry["client_ip"] == "203.0.113.7"
    if style != "rfc7239":
        assert [head.header(name) for name in X] == ["203.0.113.7, 127.0.0.9", "https", "public.example", "443", "203.0.113.7"]
    if style != "x":
        assert elements(head.header("forwarded")) == [{"for": "203.0.113.7", "host": "public.example", "proto": "https"},
                                                      {"for": "127.0.0.9", "host": "app.test", "proto": "http"}]


@pytest.mark.parametrize("style", ["rfc7239", "both"])
def test_a_forwarded_with_an_open_quote_is_dropped(roads, style):
    head, _ = ask(roads[style], [("Forwarded", "for=203.0.113.7;host=\"evil")], source="127.0.0.9")
    assert elements(head.header("forwarded")) == [{"for": "127.0.0.9", "host": "app.test", "proto": "http"}]


def test_with_both_the_older_fields_are_asked_first(roads):
    headers = [("Forwarded", "for=198.51.100.1"), ("X-Forwarded-For", "203.0.113.7")]
    head, entry = ask(roads["both"], headers, source="127.0.0.9")
    assert entry["client_ip"] == "203.0.113.7"
    assert head.header("x-forwarded-for") == "203.0.113.7, 127.0.0.9"
    assert [element["for"] for element in elements(head.header("forwarded"))] == ["203.0.113.7", "127.0.0.9"]


@pytest.mark.parametrize("given", [("Forwarded", "for=203.0.113.7"), ("X-Forwarded-For", "203.0.113.7")],
                         ids=lambda pair: pair[0])
def test_with_both_a_reader_of_either_family_sees_the_same_client(roads, given):
    head, entry = ask(roads["both"], [given], source="127.0.0.9")
    assert entry["client_ip"] == "203.0.113.7"
    assert head.header("x-forwarded-for") == "203.0.113.7, 127.0.0.9" and head.header("x-real-ip") == "203.0.113.7"
    assert [element["for"] for element in elements(head.header("forwarded"))] == ["203.0.113.7", "127.0.0.9"]


@pytest.mark.parametrize("style", ["rfc7239", "both"])
@pytest.mark.parametrize("source,written", [("2001:db8::7", '"[2001:db8::7]"'), ("192.0.2.7", "192.0.2.7"),
                                            ("::ffff:192.0.2.7", "192.0.2.7"), ("::1", '"[::1]"')])
def test_an_address_of_ipv6_stands_in_brackets_and_quotes(roads, style, source, written):
    """RFC 7239 §6."""
    sluice, server = roads[style]
    server.heads.clear()
    with Connection(str(sluice.directory / "behind.sock")) as client:
        family = "TCP6" if ":" in source else "TCP4"
        client.send(f"PROXY {family} {source} {source} 4711 80\r\n".encode())
        assert client.request("GET", "/", [("Forwarded", "for=6.6.6.6")]).status == 200
    value = server.heads[0].header("forwarded")
    assert value.startswith(f"for={written}") and elements(value) == [
        {"for": written.strip('"'), "host": "app.test", "proto": "http"}]


@pytest.mark.parametrize("style", ["rfc7239", "both"])
def test_a_peer_without_an_address_is_unknown(roads, style):
    """RFC 7239 §6.2. Who may open the socket is trusted as a proxy is."""
    sluice, server = roads[style]
    server.heads.clear()
    with Connection(str(sluice.directory / "socket.sock")) as client:
        assert client.request("GET", "/").status == 200
        assert client.request("GET", "/", [("Forwarded", "for=192.0.2.7")]).status == 200
    first, second = server.heads
    assert [element["for"] for element in elements(first.header("forwarded"))] == ["unknown"] and first.all("x-forwarded-for") == []
    assert [element["for"] for element in elements(second.header("forwarded"))] == ["192.0.2.7", "unknown"]


@pytest.mark.parametrize("host", ["app.test", "app.test:8080", "[2001:db8::1]:8080", "APP.test"])
def test_the_host_is_told_as_it_was_asked_for(roads, host):
    head, _ = ask(roads["rfc7239"], host=host)
    assert elements(head.header("forwarded"))[0]["host"].lower() == host.lower()


def test_a_host_cannot_break_out_of_its_quotes(roads):
    sluice, server = roads["rfc7239"]
    for host in ('a";for=6.6.6.6;x="', "a\\", 'a"', "a;for=6.6.6.6", "a,for=6.6.6.6"):
        server.heads.clear()
        response = sluice.request("GET", "/", host=host)
        if response.status == 200:
            assert [element["for"] for element in elements(server.heads[0].header("forwarded"))] == ["127.0.0.1"]
        else:
            assert response.status == 400 and server.heads == []


def test_the_style_changes_with_a_reload(gateway, backend):
    server = backend()

    def configuration(style):
        return {**one_service(server), "server": {"forwarded": {"style": style}}}
    sluice = gateway(configuration("x"))
    with sluice.connect() as client:
        for style in ("x", "rfc7239", "both", "x"):
            sluice.reload(configuration(style))
            assert client.request("GET", "/").status == 200
            head = server.heads[-1]
            assert (bool(head.all("x-forwarded-for")), bool(head.all("forwarded"))) == (style != "rfc7239", style != "x")
