"""Nobody ever reads another's answer (hardening, test method 10; items 28, 36, 37, 41, 43).

Victims send unique tags over shared upstream connections and must read back only their own, while attackers replay the whole
corpus of desynchronising requests, and backends answer some requests with every kind of poison.
"""

import random
import threading
import time

import pytest

import test_backend_faults
import test_request_smuggling as corpus
from conftest import PATIENT, one_service
from sluice_harness import Connection, reply, request_bytes


def poison(request, connection):
    """What a backend does to a request of an attacker."""
    dice = random.Random(request.target)
    kind = dice.randrange(9)
    if kind == 0:
        connection.send(reply(200, b"x") + reply(200, b"POISON"))
    elif kind == 1:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nPOISON")
        connection.close()
    elif kind == 2:
        connection.send(reply(200, b"x"))
        connection.send(b"POISON")
    elif kind == 3:
        connection.reset()
    elif kind == 4:
        connection.send(dice.choice(list(test_backend_faults.MALFORMED.values())))
    elif kind == 5:
        connection.send(b"HTTP/1.1 204 No Content\r\n\r\n" + reply(200, b"POISON"))
    elif kind == 6:
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20)
    elif kind == 7:
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + reply(200, b"POISON"))
    else:
        return reply(200, b"fine")


def handler(request, connection):
    if request.target.startswith("/victim/"):
        return reply(200, request.target.encode() + b"|" + request.body, [("X-Tag", request.header("x-tag") or "")],
                     chunked=len(request.body) % 2 == 1)
    return poison(request, connection)


def attacks():
    """Every refused request of test_request_smuggling, with a request to a victim's path smuggled behind it."""
    tail = b"GET /victim/SMUGGLED HTTP/1.1\r\nHost: app.test\r\nX-Tag: SMUGGLED\r\n\r\n"
    heads = list(corpus.CL_AND_TE.values()) + list(corpus.line_endings())
    heads += [corpus.post(b"Content-Length: 5", b"Content-Length: 60", body=b"hello"),
        corpus.post(b"Content-Length: +5", body=b"hello"),
              corpus.post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
              corpus.post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
              corpus.post(b"Transfer-Encoding: chunked", body=b"0\n\n"),
              corpus.post(b"Transfer-Encoding: chunked", body=b"5\r\nhelloXX0\r\n\r\n"),
              corpus.post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"),
              corpus.get(b"Host: a", b"Host: b"),
              b"GET /attack HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(tail),
              b"HEAD /attack HTTP/1.1\r\nHost: app.test\r\n\r\n", b"CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n",
              corpus.post(b"Content-Length: 1000", body=b"cut off")]
    return [head + tail for head in heads]


@pytest.mark.seconds(90)
@pytest.mark.parametrize("workers", [1, 2])
def test_victims_read_only_their_own_answers_while_attackers_desynchronise(gateway, backend, workers):
    server = backend(handler)
    server.record = False
    sluice = gateway({
        **one_service(server, pool={"max_connections": 8}, timeouts={"response": "5s"}, queue={"timeout": "10s"}, **PATIENT),
        "server": {"workers": workers}, "limits": {"connections_per_client": 4096, "body_idle_timeout": "1s"}})
    stop = threading.Event()
    problems: list[str] = []
    served, unlucky = [0] * 6, [0] * 6

    def victim(number):
        dice = random.Random(number)
        client = Connection(sluice.address())
        try:
            for index in range(250):
                tag = f"{number}-{index}-{dice.random()}"
                body = tag.encode() * dice.randrange(40)
                method = dice.choice(["GET", "PUT", "DELETE"])
                client.send(request_bytes(method, f"/victim/{tag}", [("X-Tag", tag)], body if method != "GET" else None))
                response = client.read_response(method)
                expected = f"/victim/{tag}".encode() + b"|" + (body if method != "GET" else b"")
                if response.status == 502 and response.json()["request_id"] == response.header("x-request-id"):
                    # An attacker's bytes met this request on the upstream connection: refused, not mixed up.
                    unlucky[number] += 1
                elif response.status != 200 or response.body != expected or response.header("x-tag") != tag:
                    problems.append(f"victim {number} asked {tag} and got {response}")
                    return
                else:
                    served[number] += 1
                if response.header("connection") == "close":
                    client.close()
                    client = Connection(sluice.address())
        except Exception as error:
            problems.append(f"victim {number} after {served[number]}: {error!r}")
        finally:
            client.close()

    def attacker(number):
        dice = random.Random(1000 + number)
        shots = attacks()
        while not stop.is_set():
            try:
                client = Connection(sluice.address(), timeout=3)
                if dice.random() < 0.5:
                    client.try_send(dice.choice(shots))
                else:
                    client.try_send(request_bytes(dice.choice(["GET", "HEAD", "POST"]), f"/attack/{dice.random()}", body=b"x"))
                if dice.random() < 0.3:
                    client.reset()
                    continue
                client.half_close()
                answer = client.read_to_end()
                if b"victim/" in answer and b"SMUGGLED" not in answer:
                    problems.append(f"attacker read {answer[:300]!r}")
                client.close()
            except (OSError, TimeoutError):
                pass
    victims = [threading.Thread(target=victim, args=(number,)) for number in range(6)]
    attackers = [threading.Thread(target=attacker, args=(number,), daemon=True) for number in range(4)]
    for thread in (*attackers, *victims):
        thread.start()
    started = time.monotonic()
    for thread in victims:
        thread.join(60)
    stop.set()
    for thread in attackers:
        thread.join(10)
    assert problems == [], problems[:5]
    assert sum(served) + sum(unlucky) == 1500 and sum(unlucky) < 75, \
        f"{served} served, {unlucky} refused after {time.monotonic() - started:.1f} s"
    smuggled = [request for request in server.requests if "SMUGGLED" in request.target]
    # Behind HEAD and the Expect with its body a second request is a request like any; it comes as one of its own.
    assert all(request.header("x-tag") == "SMUGGLED" for request in smuggled)
