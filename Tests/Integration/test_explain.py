"""What `POST /explain` says against what the daemon does: random requests over random routes, each asked and each sent."""

import random

import pytest

from sluice_harness import reply

HOSTS = ["", "a.test", "b.test", "*.c.test"]
SEGMENTS = ["x", "y", "users", "42", "{id}"]
METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]


def random_route(dice: random.Random, number: int) -> dict:
    path = "".join("/" + dice.choice(SEGMENTS) for _ in range(dice.randint(1, 3)))
    if "{id}" in path:      # a parameter's name stands once
        parts = path.split("{id}")
        path = parts[0] + "".join(f"{{id{i}}}" + part for i, part in enumerate(parts[1:]))
    if dice.random() < 0.4:
        path += "/*"
    match = {"path": path}
    if host := dice.choice(HOSTS):
        match["host"] = host
    if dice.random() < 0.5:
        match["methods"] = dice.sample(METHODS, dice.randint(1, 3))
    if dice.random() < 0.3:
        match["headers"] = {"X-Tenant": dice.choice([["blue"], ["green", "blue"], {"present": True}, {"present": False}])}
    if dice.random() < 0.2:
        match["query"] = {"page": dice.choice([["1"], {"present": True}])}
    route = {"name": f"r{number}", "match": match}
    kind = dice.random()
    if kind < 0.7:
        route["service"] = "app"
        if dice.random() < 0.3:
            route["path"] = {"add_prefix": "/internal"}
        if dice.random() < 0.1:
            route["maintenance"] = {"message": "closed", "retry_after": "5s"}
    elif kind < 0.85:
        route["respond"] = {"status": dice.choice([200, 201, 404]), "body": "x"}
    else:
        route["redirect"] = {"to": "https://${host}${path}", "status": 307}
    route["middlewares"] = ["mark"] + dice.sample(["small", "office", "version"], dice.randint(0, 2))
    return route


def random_request(dice: random.Random) -> tuple[str, str, list[tuple[str, str]]]:
    method = dice.choice(METHODS + ["HEAD", "BREW", "TRACE"])
    path = "/" + "/".join(dice.choice(["x", "y", "users", "42", "zz", ".", "..", "%78", "a%20b", "", "%2f", "%zz", "%00"] + ["x", "y", "users", "42"] * 3)
                          for _ in range(dice.randint(1, 4)))
    if dice.random() < 0.3:
        path += dice.choice(["?page=1", "?page=2&token=abc", "?", "?q=%41"])
    headers = [("Host", dice.choice(["a.test", "A.TEST:80", "b.test", "x.c.test", "other.test", "a.test", "127.0.0.1", "bad host"]))]
    for name, values in (("X-Tenant", ["blue", "red"]), ("Accept", ["*/*", "application/problem+json"]), ("X-Forwarded-For", ["203.0.113.9"]),
                         ("Connection", ["X-Tenant", "close"]), ("X-Request-ID", ["abcdefgh-1"]), ("Via", ["1.1 other"]), ("X_Tenant", ["blue"]),
                         ("X-User-ID", ["root"]), ("Origin", ["https://app.test"]), ("Cookie", ["a=b"])):
        if dice.random() < 0.2:
            headers.append((name, dice.choice(values)))
    return method, path, headers


def comparable(line: str) -> str:
    """Without what differs from one request to the next."""
    name, _, value = line.partition(":")
    return f"{name}: …" if name.lower() in ("x-request-id", "x-timestamp") else line


@pytest.mark.seconds(120)
@pytest.mark.parametrize("seed", range(6))
def test_explain_says_what_happens_to_random_requests(world, seed):
    dice = random.Random(seed)
    server = world.backend(lambda request, connection: reply(200, b"ok"))
    routes = {}
    for number in range(60):
        route = random_route(dice, number)
        routes.setdefault(repr(sorted(route["match"].items(), key=str)), route)
    configuration = {
        "server": {"trusted_proxies": ["127.0.0.1/32"] if seed % 2 else [], "via": "gate", "workers": 1},
        "middlewares": {
            "mark": {"headers": {"request": {"set": {"X-Route": "${route}"}}, "response": {"set": {"X-Route": "${route}"}}}},
            "small": {"body_size": {"max": "10B"}}, "office": {"ip_access": {"deny": ["203.0.113.0/24"]}},
            "version": {"headers": {"request": {"set": {"X-Version": "v1"}, "remove": ["Cookie"]}}}},
        "services": {"app": {"instances": [{"url": server.url}]}}, "routes": list(routes.values())}
    while True:     # two routes that tie are an error: one of them goes
        sluice = world.gateway(configuration, wait_ready=False)
        sluice.check_descriptors = False
        if sluice.stderr.wait(lambda line: "ready" in line or "error" in line, 10).find('"ready"') >= 0:
            break
        sluice.process.wait(5)
        world.gateways.remove(sluice)
        bad = next(line for line in sluice.stderr.lines if "error" in line)
        number = int(bad.split("routes[")[1].split("]")[0])
        del configuration["routes"][number]
    forwarded = answered = 0
    for _ in range(150):
        method, target, headers = random_request(dice)
        fields = {}
        for name, value in headers:
            fields.setdefault(name, []).append(value)
        explained = sluice.admin("POST", "/explain", json={"method": method, "url": target, "headers": fields, "client": "127.0.0.1"})
        seen = len(server.heads)
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        with sluice.connect() as client:
            client.try_send(head.encode() + b"\r\n")
            actual = client.read_response(method)
        what = f"{method} {target} {headers}: {actual.status} {actual.body[:200]!r}; explained: {explained.body.decode()[:1500]}"
        assert explained.status == 200, what
        said = explained.json()
        if said["answer"] is None:
            assert len(server.heads) == seen + 1, what
            received = server.heads[-1]
            lines = [f"{received.method} {received.target} HTTP/1.1"] + [
                f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in received.headers]
            assert [comparable(line) for line in lines] == [comparable(line) for line in said["upstream"]["head"] if line], what
            assert said["route"]["name"] == actual.header("x-route"), what
            forwarded += 1
        else:
            assert len(server.heads) == seen, what
            assert said["answer"]["status"] == actual.status, what
            if actual.status >= 400 and method != "HEAD" and actual.body[:1] == b"{":
                body = actual.json()
                code = body.get("code") or body["error"]["code"]
                assert said["answer"]["code"] == code, what
            if said["route"] and actual.header("x-route"):
                assert said["route"]["name"] == actual.header("x-route"), what
            answered += 1
    assert forwarded > 3 and answered > 3
