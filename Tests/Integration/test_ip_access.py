"""Lists of addresses: who is let in and who is not (behaviour B.2, B.8; hardening 69, 74)."""

import socket

import pytest

from sluice_harness import Connection, request_bytes

RULES = {
    # name: (rules, let in, kept out)
    "deny one": ({"deny": ["192.0.2.7"]}, ["192.0.2.6", "192.0.2.8", "2001:db8::7"], ["192.0.2.7", "::ffff:192.0.2.7"]),
    "deny block": ({"deny": ["192.0.2.0/24"]}, ["192.0.1.255", "192.0.3.0"], ["192.0.2.0", "192.0.2.255"]),
    "deny odd block": ({"deny": ["10.16.0.0/12"]}, ["10.15.255.255", "10.32.0.0"], ["10.16.0.0", "10.31.255.255"]),
    "allow one": ({"allow": ["192.0.2.7"]}, ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.8", "::1", "2001:db8::1"]),
    "allow v6": ({"allow": ["2001:db8::/32"]}, ["2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
                 ["2001:db9::", "192.0.2.7"]),
    "deny v6": ({"deny": ["2001:db8:0:1::/64"]}, ["2001:db8:0:2::", "2001:db8::ffff"],
                ["2001:db8:0:1::", "2001:db8:0:1:ffff::1"]),
    "deny wins": ({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, ["10.0.0.1", "10.2.0.0"],
                  ["10.1.0.0", "10.1.255.255", "11.0.0.0"]),
    "deny wins over one": ({"allow": ["10.1.2.3"], "deny": ["10.0.0.0/8"]}, [], ["10.1.2.3", "10.0.0.1", "192.0.2.1"]),
    "all of v4": ({"allow": ["0.0.0.0/0"]}, ["192.0.2.7", "255.255.255.255", "0.0.0.0", "::ffff:1.2.3.4"],
                  ["::1", "2001:db8::1", "::1.2.3.4"]),
    "all of v6": ({"deny": ["::/0"]}, [], ["2001:db8::1", "::1"]),
    "mapped": ({"deny": ["::ffff:192.0.2.1"]}, ["192.0.2.2"], ["192.0.2.1", "::ffff:192.0.2.1"]),
    "overlapping": ({"allow": ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "9.0.0.0/8"]}, ["10.255.0.1", "10.1.2.3", "9.9.9.9"],
                    ["11.0.0.0", "8.255.255.255"]),
    "nobody": ({"deny": ["0.0.0.0/0", "::/0"]}, [], ["192.0.2.7", "2001:db8::1"]),
}
CASES = [(name, address, good) for name, (_, allowed, denied) in RULES.items()
         for address, good in [(address, True) for address in allowed] + [(address, False) for address in denied]]


@pytest.fixture(scope="module")
def road(module_world):
    """127.0.0.9 is a trusted proxy; the listener `behind` takes PROXY headers from the loopback."""
    server = module_world.backend()
    names = {name: name.replace(" ", "-") for name in RULES}
    sluice = module_world.gateway(
        server={"trusted_proxies": ["127.0.0.9/32"]},
        listeners=[{"name": "web", "address": "@web@"},
                   {"name": "behind", "address": "unix:@dir@/behind.sock", "proxy_protocol": {"trusted": ["127.0.0.1"]}},
                   {"name": "socket", "address": "unix:@dir@/socket.sock"}],
        middlewares={**{names[name]: {"ip_access": rules} for name, (rules, _, _) in RULES.items()},
                     "loopback": {"ip_access": {"allow": ["127.0.0.0/8", "::1"]}}},
        services={"app": {"instances": [{"url": server.url}]}},
        routes=[{"name": name, "match": {"path": f"/{name}"}, "service": "app", "middlewares": [name]}
                for name in [*names.values(), "loopback"]] + [
            {"name": "open", "match": {"path": "/open"}, "service": "app"},
            {"name": "fixed", "match": {"path": "/fixed"}, "respond": {"status": 200, "body": "secret"},
             "middlewares": ["nobody"]},
            {"name": "moved", "match": {"path": "/moved"}, "redirect": {"to": "/secret", "status": 301},
             "middlewares": ["nobody"]}])
    return sluice, server


def written(address: str) -> str:
    """In the form of an X-Forwarded-For."""
    return f"[{address}]:4711" if ":" in address else address


def denied(sluice, response):
    assert response.status == 403, response
    document = response.json()
    assert document["error"]["code"] == "AUTH_ERROR" and document["error"]["details"]["reason"] == "ip_denied"
    entry = sluice.entry(response)
    assert (entry["status"], entry["reason"]) == (403, "ip_denied") and not entry.get("upstream_status")
    return entry


@pytest.mark.parametrize("name,address,good", CASES, ids=[f"{name}: {address}" for name, address, _ in CASES])
def test_a_client_behind_a_trusted_proxy_is_let_in_by_its_own_address(road, name, address, good):
    sluice, server = road
    server.heads.clear()
    response = sluice.request("GET", "/" + name.replace(" ", "-"), [("X-Forwarded-For", written(address))], source="127.0.0.9")
    if good:
        assert response.status == 200 and len(server.heads) == 1
    else:
        assert socket.inet_pton(socket.AF_INET6 if ":" in denied(sluice, response)["client_ip"] else socket.AF_INET,
                                sluice.entry(response)["client_ip"]), "the log names who was kept out"
        assert server.heads == []


@pytest.mark.parametrize("name,address,good", CASES, ids=[f"{name}: {address}" for name, address, _ in CASES])
def test_a_client_behind_a_balancer_is_let_in_by_the_address_of_its_proxy_header(road, name, address, good):
    sluice, server = road
    server.heads.clear()
    family = "TCP6" if ":" in address else "TCP4"
    with Connection(str(sluice.directory / "behind.sock")) as client:
        client.send(f"PROXY {family} {address} {address} 4711 80\r\n".encode())
        response = client.request("GET", "/" + name.replace(" ", "-"))
    if good:
        assert response.status == 200 and len(server.heads) == 1
    else:
        denied(sluice, response)
        assert server.heads == []


def test_a_stranger_cannot_talk_himself_in_or_others_out(road):
    """Hardening 69."""
    sluice, _ = road
    lies = [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "192.0.2.7"), ("Forwarded", "for=192.0.2.7"),
            ("True-Client-IP", "192.0.2.7"),
            ("Client-IP", "192.0.2.7"), ("X-Forwarded-For", "192.0.2.7")]
    denied(sluice, sluice.request("GET", "/allow-one", lies))
    assert sluice.request("GET", "/deny-one", lies).status == 200
    denied(sluice, sluice.request("GET", "/allow-one", [("X-Forwarded-For", "192.0.2.7, 198.51.100.1")], source="127.0.0.9"))


def test_the_own_address_counts_without_a_proxy(road):
    sluice, _ = road
    assert sluice.request("GET", "/loopback").status == 200
    assert sluice.request("GET", "/loopback", source="127.1.2.3").status == 200
    denied(sluice, sluice.request("GET", "/allow-v6"))


def test_a_client_of_ipv6_has_its_own_address(gateway):
    sluice = gateway(listeners=[{"name": "web", "address": "@web@"}, {"name": "six", "address": "unix:@dir@/x.sock"}],
                     middlewares={"m": {"ip_access": {"deny": ["::1"]}}},
                     routes=[{"name": "a", "match": {"path": "/*"}, "respond": {"status": 200}, "middlewares": ["m"]}])
    port = sluice.ports["web"]
    whole = {"listeners": [{"name": "web", "address": "@web@"}, {"name": "six", "address": f"[::]:{port + 1}"}],
             "middlewares": {"m": {"ip_access": {"deny": ["::1", "127.0.0.5"]}}},
             "routes": [{"name": "a", "match": {"path": "/*"}, "respond": {"status": 200}, "middlewares": ["m"]}]}
    sluice.check_descriptors = False
    sluice.reload(whole)
    try:
        with Connection(("::1", port + 1)) as client:
            denied(sluice, client.request("GET", "/"))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with Connection(("127.0.0.1", port + 1)) as client:
        assert client.request("GET", "/").status == 200
    with Connection(("127.0.0.1", port + 1), source="127.0.0.5") as client:
        denied(sluice, client.request("GET", "/"))


def test_a_client_of_a_unix_socket_has_no_address_that_an_allow_list_could_hold(road):
    sluice, _ = road

    def ask(path):
        with Connection(str(sluice.directory / "socket.sock")) as client:
            return client.request("GET", path)
    assert ask("/deny-one").status == 200 and ask("/open").status == 200
    denied(sluice, ask("/allow-one"))
    denied(sluice, ask("/all-of-v4"))


@pytest.mark.parametrize("path", ["/fixed", "/moved"])
def test_every_action_is_behind_the_list(road, path):
    sluice, _ = road
    response = sluice.request("GET", path)
    denied(sluice, response)
    assert b"secret" not in response.body and not response.all("location")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_every_method_is_behind_the_list(road, method):
    sluice, server = road
    server.heads.clear()
    response = sluice.request(method, "/nobody", (), b"body" if method in ("POST", "PUT", "PATCH") else None)
    assert response.status == 403 and server.heads == []


def test_a_body_of_one_who_is_kept_out_is_not_waited_for(road):
    sluice, server = road
    server.heads.clear()
    with sluice.connect() as client:
        client.send(request_bytes("POST", "/nobody", [("Content-Length", "1000000"), ("Expect", "100-continue")]))
        response = client.read_response("POST")
        assert response.status == 403 and not response.interim
    assert server.heads == []


def test_refusals_are_counted_with_their_reason(road):
    sluice, _ = road
    before = sluice.metrics().sum("sluice_http_requests_total", route="nobody", status="403")
    for _ in range(5):
        denied(sluice, sluice.request("GET", "/nobody"))
    assert sluice.metrics().sum("sluice_http_requests_total", route="nobody", status="403") == before + 5


def test_other_spellings_of_a_path_are_behind_the_same_list(road):
    sluice, server = road
    server.heads.clear()
    for target in ("/nobody?x", "/./nobody", "/open/../nobody", "/%6eobody", "/nobod%79", "http://app.test/nobody"):
        assert sluice.request("GET", target).status in (400, 403), target
    assert server.heads == []


def test_a_list_of_ten_thousand_blocks_is_as_good(gateway):
    blocks = [f"{10 + n // 65536}.{n // 256 % 256}.{n % 256}.0/25" for n in range(0, 30000, 3)]
    sluice = gateway(server={"trusted_proxies": ["127.0.0.1"]}, middlewares={"m": {"ip_access": {"allow": blocks}}},
                     routes=[{"name": "a", "match": {"path": "/*"}, "respond": {"status": 200}, "middlewares": ["m"]}])
    with sluice.connect() as client:
        for n in list(range(0, 300)) + list(range(29700, 30003)):
            for last, inside in ((0, True), (127, True), (128, False)):
                address = f"{10 + n // 65536}.{n // 256 % 256}.{n % 256}.{last}"
                status = client.request("GET", "/", [("X-Forwarded-For", address)]).status
                assert status == (200 if inside and n % 3 == 0 and n < 30000 else 403), address


def test_the_list_changes_with_a_reload_also_on_an_open_connection(gateway):
    def configuration(rules):
        return {"middlewares": {"m": {"ip_access": rules}},
                "routes": [{"name": "a", "match": {"path": "/*"}, "respond": {"status": 200}, "middlewares": ["m"]}]}
    sluice = gateway(configuration({"deny": ["192.0.2.1"]}))
    with sluice.connect() as client:
        assert client.request("GET", "/").status == 200
        sluice.reload(configuration({"deny": ["127.0.0.1"]}))
        assert client.request("GET", "/").status == 403


@pytest.mark.parametrize("rules", [{"deny": ["192.0.2.1/24"]}, {"deny": ["192.0.2.0/33"]}, {"allow": ["localhost"]},
                                   {"allow": ["10.0.0"]},
                                   {"allow": ["::/129"]}, {"deny": ["010.0.0.1"]}, {"allow": "*"}, {"deni": ["::/0"]}, {},
                                   {"allow": []}, {"deny": ["::ffff:192.0.2.0/120"]}], ids=str)
def test_rules_that_mean_nothing_clear_are_refused(road, rules):
    sluice, _ = road
    found = sluice.admin("POST", "/config/validate", json={
        "listeners": [{"name": "web", "address": "127.0.0.1:1"}], "middlewares": {"m": {"ip_access": rules}},
        "routes": [{"name": "a", "match": {"path": "/a"}, "respond": {}, "middlewares": ["m"]}]}).json()
    assert found["valid"] is False and "middlewares.m.ip_access" in found["problems"][0]["path"], found
