"""Which instance a request goes to (behaviour C.1; hardening 206, 208)."""

import base64
import re
from collections import Counter

import pytest

from sluice_harness import SteadyLoad, reply, request_bytes, until
from sluice_harness.states import has_answer, refused, wait_instance

QUICK_CHECK = {"path": "/health", "interval": "100ms", "fast_interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1,
               "backoff_max": "1s"}
TRUSTED = {"trusted_proxies": ["127.0.0.1/32"]}


def before(servers, weights=None, **service) -> dict:
    """The configuration that sends everything to these backends."""
    instances = [{"url": server.url, **({"weight": weight} if weights else {})}
                 for server, weight in zip(servers, weights or [None] * len(servers))]
    return {"services": {"app": {"instances": instances, **service}},
            "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}]}


def three(process_backend):
    return [process_backend(name) for name in "abc"]


def who(response) -> str:
    assert response.status == 200, response
    return response.header("x-backend")


def places(sluice, keys, request) -> dict:
    """Where each key goes, asked on connections of two workers."""
    found = {}
    with sluice.connect() as client:
        for key in keys:
            target, fields = request(key)
            found[key] = who(client.request("GET", target, fields))
    return found


# Turns and loads


@pytest.mark.parametrize("algorithm", ["round_robin", "least_conn"])
def test_the_shares_over_two_workers_differ_from_the_weights_by_at_most_one_percent(process_backend, gateway, algorithm):
    """Issue: fair over the whole process."""
    servers, weights = three(process_backend), [1, 2, 4]
    sluice = gateway({"server": {"workers": 2}, **before(servers, weights, load_balancer={"algorithm": algorithm})})
    # As few at once as leave each its turn: with more, whoever is slow for a moment has fewer, as it should under least_conn.
    with SteadyLoad(sluice.ports["web"], 1500, 4, connections=8, new_percent=2) as load:
        result = load.run_out(25)
    assert result["ok"] == result["sent"] > 5_000, result
    counts = [server.requests for server in servers]
    assert sum(counts) == result["sent"], (counts, result, sluice.metrics().labels("sluice_upstream_retries_total"))
    for count, weight in zip(counts, weights):
        assert abs(count / sum(counts) - weight / 7) <= 0.01, counts


def test_least_conn_leaves_a_busy_instance_alone(gateway, backend):
    """Hardening 208: by what is in flight, not by turns."""
    held = []

    def hold(request, connection):
        held.append(request)
        connection.hang()
    busy, idle = backend(hold), backend()
    sluice = gateway(before([busy, idle], load_balancer={"algorithm": "least_conn"}))
    client = sluice.connect()
    while not busy.heads:
        client.send(request_bytes())
        until(lambda: held or has_answer(client), 5, "it is at one of the two")
        if not held:
            assert client.read_response().status == 200
    count = len(idle.requests)
    with sluice.connect() as other:
        for _ in range(30):
            assert other.request().status == 200
    assert len(busy.heads) == 1 and len(idle.requests) == count + 30
    client.reset()
    until(lambda: busy.heads[0].connection.ended, 5, "the request that was given up has left the instance")
    until(lambda: sluice.metrics().sum("sluice_upstream_connections", service="app", state="active") == 0, 5, "none is in flight")
    # It counts as idle again.
    busy.handler = lambda request, connection: reply()
    with sluice.connect() as client:
        for _ in range(20):
            assert client.request().status == 200
    assert len(busy.heads) > 5


def test_p2c_ewma_leaves_a_slow_instance_alone(process_backend, gateway):
    """Issue: at most 5 % of the requests."""
    a, b, slow = three(process_backend)
    slow.order(delay=300)
    sluice = gateway(before([a, b, slow], load_balancer={"algorithm": "p2c_ewma"}))
    with SteadyLoad(sluice.ports["web"], 300, 3, connections=100, new_percent=0) as load:
        result = load.run_out(15)
    assert result["ok"] == result["sent"] >= 900, result
    assert slow.requests <= 45 and min(a.requests, b.requests) > 250, (a.requests, b.requests, slow.requests)


def test_random_goes_by_weight_and_not_by_turns(process_backend, gateway):
    a, b, c = servers = three(process_backend)
    sluice = gateway(before(servers, [1, 1, 2], load_balancer={"algorithm": "random"}))
    with sluice.connect() as client:
        order = "".join(who(client.request()) for _ in range(800))
    counts = Counter(order)
    assert 130 < counts["a"] < 270 and 130 < counts["b"] < 270 and 320 < counts["c"] < 480, counts
    assert "aaa" in order and "bbb" in order, "turns never repeat an instance of a quarter three times"


def test_instances_of_weight_0_take_nothing_and_a_service_of_them_alone_answers_503(process_backend, gateway):
    """Issue, bad input: all weights 0."""
    a, b, _ = three(process_backend)
    sluice = gateway(before([a, b], [1, 0]))
    with sluice.connect() as client:
        assert {who(client.request()) for _ in range(20)} == {"a"}
        sluice.reload(before([a, b], [0, 0]))
        refused(client.request(), "SERVICE_UNAVAILABLE", "no_healthy_instance", sluice)
        sluice.reload(before([a, b], [0, 3]))
        assert {who(client.request()) for _ in range(20)} == {"b"}
    assert b.requests == 20


def test_one_that_came_back_begins_slowly(process_backend, gateway):
    """C.5: slow start."""
    a, b, _ = three(process_backend)
    sluice = gateway(before([a, b], load_balancer={"slow_start": "60s"}, health_check=QUICK_CHECK))
    wait_instance(sluice, a, "healthy")
    wait_instance(sluice, b, "healthy")
    with sluice.connect() as client:
        started = Counter(who(client.request()) for _ in range(100))
        assert started["a"] == started["b"] == 50, "not where all are new alike"
        b.kill()
        wait_instance(sluice, b, "failed")
        b.start()
        wait_instance(sluice, b, "healthy")
        counts = Counter(who(client.request()) for _ in range(300))
    assert 5 <= counts["b"] <= 75, counts


# Hashes


def by_address(key):
    return "/", [("X-Forwarded-For", key)]


# A request that another worker has answered but not counted down yet sends nobody elsewhere.
UNBOUNDED = {"algorithm": "consistent_hash", "bound": 10}
HASHED = {
    "header": ({"hash_on": "header", "hash_name": "X-Tenant"}, lambda key: ("/", [("X-Tenant", key)])),
    "cookie": ({"hash_on": "cookie", "hash_name": "tenant"}, lambda key: ("/", [("Cookie", f"a=1; tenant={key}; b=2")])),
    "query": ({"hash_on": "query", "hash_name": "tenant"}, lambda key: (f"/x?a=1&tenant={key}&b=2", [])),
    "path": ({"hash_on": "path"}, lambda key: (f"/of/{key}?any={key}", [])),
}


@pytest.mark.parametrize("source", HASHED)
def test_consistent_hash_sends_a_key_to_the_same_instance_on_every_worker(process_backend, gateway, source):
    servers = three(process_backend)
    more, request = HASHED[source]
    sluice = gateway(before(servers, load_balancer={**UNBOUNDED, **more}))
    keys = [f"key{number}" for number in range(60)]
    first = places(sluice, keys, request)
    assert min(Counter(first.values()).values()) >= 5 and len(set(first.values())) == 3, first
    for _ in range(3):
        assert places(sluice, keys, request) == first
    for key in keys[:10]:
        target, fields = request(key)
        assert who(sluice.request("GET", target, fields)) == first[key]


def test_the_path_alone_counts_where_the_path_is_hashed(process_backend, gateway):
    sluice = gateway(before(three(process_backend), load_balancer={**UNBOUNDED, "hash_on": "path"}))
    with sluice.connect() as client:
        assert len({who(client.request("GET", f"/one?{number}")) for number in range(20)}) == 1


def test_requests_without_their_key_take_turns(process_backend, gateway):
    servers = three(process_backend)
    sluice = gateway(before(servers, load_balancer={"algorithm": "consistent_hash", "hash_on": "header", "hash_name": "X-Tenant"}))
    with sluice.connect() as client:
        counts = Counter(who(client.request()) for _ in range(30))
    assert counts == {"a": 10, "b": 10, "c": 10}


def test_ip_hash_goes_by_the_address_that_trusted_peers_tell(process_backend, gateway):
    """C.1: the full IPv4 address: those of one /24 are not all sent to one instance."""
    sluice = gateway({"server": TRUSTED, **before(three(process_backend), load_balancer={"algorithm": "ip_hash"})})
    addresses = [f"203.0.113.{number}" for number in range(1, 61)]
    first = places(sluice, addresses, by_address)
    assert min(Counter(first.values()).values()) >= 5 and len(set(first.values())) == 3, first
    assert places(sluice, addresses, by_address) == first


def test_ip_hash_takes_the_first_64_bits_of_an_ipv6_address(process_backend, gateway):
    """C.1: a customer's addresses change within its /64."""
    sluice = gateway({"server": TRUSTED, **before(three(process_backend), load_balancer={"algorithm": "ip_hash"})})
    networks = [f"2001:db8:0:{number:x}" for number in range(1, 31)]
    first = places(sluice, [f"{network}::1" for network in networks], by_address)
    assert len(set(first.values())) == 3
    second = places(sluice, [f"{network}:ffff:1:2:3" for network in networks], by_address)
    assert list(first.values()) == list(second.values())


def test_ip_hash_is_not_led_by_an_untrusted_peer(process_backend, gateway):
    sluice = gateway(before(three(process_backend), load_balancer={"algorithm": "ip_hash"}))
    assert len(set(places(sluice, [f"203.0.113.{number}" for number in range(1, 31)], by_address).values())) == 1


@pytest.mark.parametrize("balancer,request_of", [
    ({"algorithm": "ip_hash"}, by_address),
    ({**UNBOUNDED, "hash_on": "header", "hash_name": "X-Tenant"}, HASHED["header"][1])], ids=["ip", "header"])
def test_when_one_instance_fails_no_key_of_the_others_moves(process_backend, gateway, balancer, request_of):
    """Issue: its share and at most 2 % more."""
    servers = three(process_backend)
    sluice = gateway({"server": TRUSTED, **before(servers, load_balancer=balancer, health_check=QUICK_CHECK)})
    for server in servers:
        wait_instance(sluice, server, "healthy")
    keys = [f"198.51.{number % 7}.{number}" for number in range(200)]
    first = places(sluice, keys, request_of)
    servers[1].kill()
    wait_instance(sluice, servers[1], "failed")
    second = places(sluice, keys, request_of)
    assert "b" not in second.values()
    moved = [key for key in keys if first[key] != second[key]]
    assert len(moved) <= sum(place == "b" for place in first.values()) + 4, "more than its share and 2 %"
    servers[1].start()
    wait_instance(sluice, servers[1], "healthy")
    assert places(sluice, keys, request_of) == first, "its keys come back to it"


def test_a_key_that_everybody_asks_for_is_spread_by_the_bound(gateway, backend):
    """C.1: bounded load, 1.25 times the average."""
    servers = [backend(lambda request, connection: connection.hang() and None) for _ in range(3)]
    sluice = gateway(before(servers, load_balancer={"algorithm": "consistent_hash", "hash_on": "path", "bound": 1.25}))
    clients = []
    for number in range(24):
        client = sluice.connect()
        client.send(request_bytes("GET", "/hot"))
        clients.append(client)
        until(lambda: sum(len(server.heads) for server in servers) == number + 1, 5, "one more has arrived")
    counts = sorted(len(server.heads) for server in servers)
    assert counts[2] <= 10 and counts[0] >= 4, counts
    for client in clients:
        client.reset()


# Sessions


STICKY = {"sticky": {"cookie": "seat"}}


def seat(response) -> str | None:
    """The name and value of the cookie that the gateway sets."""
    lines = [line for line in response.all("set-cookie") if line.startswith("seat=")]
    assert len(lines) <= 1, lines
    return lines[0].partition(";")[0] if lines else None


def test_a_session_stays_with_its_instance(process_backend, gateway):
    sluice = gateway(before(three(process_backend), load_balancer=STICKY))
    for _ in range(6):
        response = sluice.request()
        home, cookie = who(response), seat(response)
        assert cookie
        with sluice.connect() as one, sluice.connect() as other:
            for client in (one, other) * 5:
                again = client.request("GET", "/", [("Cookie", f"x=1; {cookie}; y=2")])
                assert who(again) == home and seat(again) is None


def test_sessions_begin_on_all_instances_alike(process_backend, gateway):
    sluice = gateway(before(three(process_backend), load_balancer=STICKY))
    with sluice.connect() as client:
        assert Counter(who(client.request()) for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_the_cookie_has_the_attributes_that_the_file_gives(process_backend, gateway):
    servers = three(process_backend)
    sluice = gateway(before(servers, load_balancer=STICKY))
    line, = sluice.request().all("set-cookie")
    assert re.fullmatch(r"seat=[A-Za-z0-9_-]+; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax", line), line
    sluice.reload(before(servers, load_balancer={"sticky": {
        "cookie": "bench", "max_age": "10m", "path": "/shop", "http_only": False, "secure": True, "same_site": "strict"}}))
    line, = sluice.request().all("set-cookie")
    assert re.fullmatch(r"bench=[A-Za-z0-9_-]+; Path=/shop; Max-Age=600; SameSite=Strict; Secure", line), line


def test_the_cookie_does_not_tell_the_address(process_backend, gateway):
    """C.1: never an address."""
    server = process_backend()
    sluice = gateway(before([server], load_balancer=STICKY))
    value = seat(sluice.request()).partition("=")[2]
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    for form in (server.instance.encode(), str(server.port).encode(), server.port.to_bytes(2, "big"), bytes([127, 0, 0, 1])):
        assert form not in raw and form not in value.encode()


def test_a_forged_cookie_is_replaced(process_backend, gateway):
    sluice = gateway(before(three(process_backend), load_balancer=STICKY))
    cookie = seat(sluice.request())
    name, _, value = cookie.partition("=")
    forged = [value[:place] + ("B" if value[place] == "A" else "A") + value[place + 1:] for place in range(0, len(value) - 1, 4)]
    for bad in [*forged, value[:-1], value + "A", "", "a" * len(value), "127.0.0.1:80", "%00", value.upper()]:
        response = sluice.request("GET", "/", [("Cookie", f"{name}={bad}")])
        who(response)
        assert seat(response) not in (None, f"{name}={bad}"), bad
    assert seat(sluice.request("GET", "/", [("Cookie", f"{name}=bad; {cookie}")])) is None, "a good one beside it counts"


def test_a_cookie_of_another_service_is_none(process_backend, gateway):
    a, b, _ = three(process_backend)
    config = before([a, b], load_balancer=STICKY)
    config["services"]["other"] = config["services"]["app"]
    config["routes"].append({"name": "other", "match": {"path": "/other"}, "service": "other"})
    sluice = gateway(config)
    cookie = seat(sluice.request())
    assert seat(sluice.request("GET", "/other", [("Cookie", cookie)])) is not None


def test_a_session_whose_instance_fails_moves_and_is_told(process_backend, gateway):
    """C.1: re-pick and reissue."""
    servers = three(process_backend)
    sluice = gateway(before(servers, load_balancer=STICKY, health_check=QUICK_CHECK))
    for server in servers:
        wait_instance(sluice, server, "healthy")
    response = sluice.request()
    home, cookie = who(response), seat(response)
    victim = next(server for server in servers if server.name == home)
    victim.kill()
    wait_instance(sluice, victim, "failed")
    response = sluice.request("GET", "/", [("Cookie", cookie)])
    moved, second = who(response), seat(response)
    assert moved != home and second not in (None, cookie)
    victim.start()
    wait_instance(sluice, victim, "healthy")
    assert who(sluice.request("GET", "/", [("Cookie", second)])) == moved, "and stays where it went"


def test_weight_0_keeps_the_sessions_that_there_are_and_takes_no_new_ones(process_backend, gateway):
    """C.1: wanted by users of Traefik (8157). The session also outlives the reload."""
    servers = three(process_backend)
    sluice = gateway(before(servers, load_balancer=STICKY))
    with sluice.connect() as client:
        sessions = {who(response): seat(response) for response in (client.request() for _ in range(3))}
        assert set(sessions) == set("abc")
        sluice.reload(before(servers, [0, 1, 1], load_balancer=STICKY))
        for _ in range(5):
            assert who(client.request("GET", "/", [("Cookie", sessions["a"])])) == "a"
        assert {who(client.request()) for _ in range(20)} == {"b", "c"}


def test_a_session_outlives_the_process_where_the_file_has_its_secret(process_backend, gateway):
    servers = three(process_backend)
    balancer = {"sticky": {"cookie": "seat", "secret": "0123456789abcdef0123456789abcdef"}}
    one, two = gateway(before(servers, load_balancer=balancer)), gateway(before(servers, load_balancer=balancer))
    other = gateway(before(servers, load_balancer={"sticky": {"cookie": "seat", "secret": "f" * 32}}))
    for _ in range(4):
        response = one.request()
        cookie = ("Cookie", seat(response))
        again = two.request("GET", "/", [cookie])
        assert who(again) == who(response) and seat(again) is None
        assert seat(other.request("GET", "/", [cookie])) is not None


def test_a_cookie_is_renewed_when_a_tenth_of_its_time_is_over(process_backend, gateway):
    """C.1: sliding."""
    sluice = gateway(before(three(process_backend), load_balancer={"sticky": {"cookie": "seat", "max_age": "20s"}}))
    response = sluice.request()
    home, cookie = who(response), seat(response)
    renewed = []

    def is_renewed():
        again = sluice.request("GET", "/", [("Cookie", cookie)])
        assert who(again) == home
        renewed.append(seat(again))
        return renewed[-1]
    until(is_renewed, 5, "a new cookie")
    assert renewed[0] is None and renewed[-1] != cookie
