"""What one client may take, and that nobody else pays for it (hardening, section G; the table of defaults)."""

import resource
import socket
import threading
import time

import pytest

from sluice_harness import Connection, Truncated, reply, request_bytes, until


# Slow


def test_a_head_that_comes_too_slowly_gets_408_however_steadily_it_drips(simple):
    """Hardening 116: absolute, not reset by each byte."""
    sluice, server = simple(limits={"header_timeout": "600ms"})
    with sluice.connect() as client:
        started = time.monotonic()
        client.socket.settimeout(0.02)
        for byte in b"GET / HTTP/1.1\r\nHost: app.test\r\nX-Slow: " + b"x" * 1000:
            try:
                client.socket.send(bytes([byte]))
            except OSError:
                break
            try:
                data = client.socket.recv(65536)
                client.buffer += data
                break
            except TimeoutError:
                pass
            except ConnectionResetError:
                break
        took = time.monotonic() - started
        response = client.read_response()
        assert response.status == 408 and 0.5 < took < 2
        assert response.header("connection") == "close" and response.json()["error"]["code"] == "REQUEST_TIMEOUT"
        client.expect_closed()
        assert sluice.entry(response)["reason"] == "client_timeout"
    assert server.heads == []


def test_a_connection_that_sends_nothing_is_closed_without_a_word(simple):
    """Hardening 116: 408 only where at least a byte came."""
    sluice, _ = simple(limits={"header_timeout": "400ms", "keepalive_timeout": "400ms"})
    with sluice.connect() as client:
        client.expect_closed(3)


def test_a_drip_of_empty_lines_is_no_way_to_stay(simple):
    """Hardening 23."""
    sluice, _ = simple(limits={"header_timeout": "400ms", "keepalive_timeout": "400ms"})
    with sluice.connect() as client:
        client.try_send(b"\r\n")
        rest = client.read_to_end(3)
        assert rest == b"" or rest.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))


def test_slow_heads_of_hundreds_do_not_delay_a_good_client(simple):
    """Hardening 116: slow loris."""
    sluice, _ = simple(limits={"connections_per_client": 1000})
    attackers = [sluice.connect().send(b"GET / HTTP/1.1\r\nHost: app") for _ in range(400)]
    try:
        with sluice.connect() as client:
            times = []
            for _ in range(50):
                for attacker in attackers[:20]:
                    attacker.send(b"p")
                started = time.monotonic()
                assert client.request().status == 200
                times.append(time.monotonic() - started)
        assert sorted(times)[45] < 1, sorted(times)[-5:]
    finally:
        for attacker in attackers:
            attacker.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_stalls_gets_408_and_the_upstream_request_is_aborted(simple, chunked):
    """Hardening 117."""
    sluice, server = simple(limits={"body_idle_timeout": "500ms"})
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\n"
                    + (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" if chunked else b"Content-Length: 100\r\n\r\nhello"))
        response = client.read_response("POST")
        assert response.status == 408 and response.header("connection") == "close"
        client.expect_closed()
        assert sluice.entry(response)["reason"] == "client_timeout"
    assert server.wait_heads(1)[0].connection.wait_end()
    assert server.requests == []


def test_a_body_that_keeps_moving_may_take_longer_than_the_idle_timeout(simple):
    """Hardening 117: it is a timeout between reads."""
    sluice, server = simple(limits={"body_idle_timeout": "900ms"})
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 12\r\n\r\n")
        for byte in b"0123456789ab":
            time.sleep(0.1)       # the pace of a slow client
            client.send(bytes([byte]))
        assert client.read_response("POST").status == 200
    assert server.requests[0].body == b"0123456789ab"


@pytest.mark.seconds(40)
def test_a_body_below_the_minimum_rate_gets_408_after_the_grace(simple):
    """Hardening 117: RUDY. The grace is 10 s."""
    sluice, server = simple()
    with sluice.connect() as client:
        started = time.monotonic()
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n")
        client.socket.settimeout(0.2)
        while time.monotonic() - started < 20:
            if not client.try_send(b"x"):
                break
            client.socket.settimeout(0.2)
            try:
                client.buffer += client.socket.recv(65536)
                break
            except TimeoutError:
                pass
        response = client.read_response("POST")
        assert response.status == 408 and 9 < time.monotonic() - started < 16
    assert server.requests == []


def test_a_client_that_waits_for_100_and_then_sends_nothing_is_not_waited_for(simple):
    """Hardening 31."""
    sluice, server = simple(limits={"body_idle_timeout": "500ms"})
    with sluice.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        response = client.read_response("POST")
        assert [i.status for i in response.interim] == [100] and response.status == 408


def test_a_client_that_does_not_read_is_reset_and_its_upstream_request_cancelled(simple):
    """Hardening 119."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        while True:
            connection.send(b"x" * 65536)
    sluice, server = simple(script=script, limits={"write_timeout": "700ms"})
    with Connection(sluice.address(), receive_buffer=4096) as client:
        client.send(request_bytes())
        connection = server.wait_connections(1)[0]
        started = time.monotonic()
        assert connection.wait_end(8) in ("reset", "eof")
        assert time.monotonic() - started < 6
        with pytest.raises((Truncated, AssertionError)):
            client.read_response()


# Sizes


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size,status", [(999, 200), (1000, 200), (1001, 413), (100000, 413)])
def test_a_body_is_taken_up_to_its_limit_and_refused_with_413_above_it(simple, chunked, size, status):
    """Hardening 120."""
    sluice, server = simple(limits={"request_body": 1000})
    with sluice.connect() as client:
        if chunked:
            client.try_send(b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                            + b"".join(b"%x\r\n%s\r\n" % (len(p),
                            p) for p in [b"x" * 100] * (size // 100) + [b"y" * (size % 100)] if p)
                            + b"0\r\n\r\n")
        else:
            client.try_send(request_bytes("POST", body=b"x" * size))
        response = client.read_response("POST")
        assert response.status == status
        if status == 413:
            assert response.header("connection") == "close" and response.json()["error"]["code"] == "INVALID_REQUEST"
            client.expect_closed()
            assert sluice.entry(response)["reason"] == "body_too_large"
    assert len(server.requests) == (1 if status == 200 else 0)
    if status == 413 and not chunked:
        assert server.heads == []


def test_a_route_has_its_own_limit_on_bodies_above_or_below_the_listeners(gateway, backend):
    """Defaults table: 10 MiB, per route."""
    server = backend()
    sluice = gateway(
        limits={"request_body": "1KiB"},
        middlewares={"tiny": {"body_size": {"max": 10}}},
        services={"app": {"instances": [{"url": server.url}]}},
        routes=[{"name": "big", "match": {"path": "/big"}, "service": "app", "limits": {"request_body": "1MiB"}},
                {"name": "none", "match": {"path": "/none"}, "service": "app", "limits": {"request_body": 0}},
                {"name": "small", "match": {"path": "/small"}, "service": "app", "limits": {"request_body": 100}},
                {"name": "tiny", "match": {"path": "/tiny"}, "service": "app", "middlewares": ["tiny"]},
                {"name": "no-body", "match": {"path": "/no-body"}, "service": "app", "allow_body": False},
                {"name": "rest", "match": {"path": "/*"}, "service": "app"}])
    for target, size, status in (("/big", 1 << 20, 200), ("/big", (1 << 20) + 1, 413), ("/small", 100, 200), ("/small", 101, 413),
                                 ("/none", 3 << 20, 200), ("/tiny", 10, 200), ("/tiny", 11, 413), ("/no-body", 1, 400),
                                 ("/no-body", 0, 200), ("/x", 1024, 200), ("/x", 1025, 413)):
        with sluice.connect() as client:
            client.try_send(request_bytes("POST", target, body=b"x" * size))
            assert client.read_response("POST").status == status, (target, size)


@pytest.mark.parametrize("size,status", [(8191, 200), (8192, 200), (8193, 414), (100000, 414)])
def test_a_request_target_is_taken_up_to_8_kib_and_refused_with_414_above(simple, size, status):
    """Hardening 24."""
    sluice, server = simple()
    with sluice.connect() as client:
        client.try_send(request_bytes("GET", "/" + "a" * (size - 1)))
        response = client.read_response()
        assert response.status == status
        if status != 200:
            assert response.header("connection") == "close"
            client.expect_closed()
    assert len(server.heads) == (status == 200)


@pytest.mark.parametrize("size,status", [(16000, 200), (16384 + 200, 431), (200000, 431)])
def test_a_field_is_taken_up_to_16_kib_and_refused_with_431_above(simple, size, status):
    """Hardening 24; the table of defaults says 16 KiB."""
    sluice, server = simple()
    with sluice.connect() as client:
        client.try_send(request_bytes("GET", "/", [("X-Big", "a" * size)]))
        assert client.read_response().status == status
    assert len(server.heads) == (status == 200)


@pytest.mark.parametrize("fields,status", [(60, 200), (70, 431)])
def test_a_header_block_is_taken_up_to_64_kib_and_refused_with_431_above(simple, fields, status):
    """Hardening 24."""
    sluice, server = simple()
    with sluice.connect() as client:
        client.try_send(request_bytes("GET", "/", [(f"X-{n:03}", "a" * 1000) for n in range(fields)]))
        assert client.read_response().status == status
    assert len(server.heads) == (status == 200)


@pytest.mark.parametrize("count,status", [(99, 200), (100, 200), (101, 431), (5000, 431)])
def test_a_request_has_at_most_100_fields(simple, count, status):
    """Hardening 24: Host is one of them."""
    sluice, server = simple()
    with sluice.connect() as client:
        client.try_send(request_bytes("GET", "/", [(f"X-{n}", "a") for n in range(count - 1)]))
        response = client.read_response()
        assert response.status == status
        if status == 431:
            assert response.json()["error"]["code"] == "INVALID_REQUEST" and response.header("connection") == "close"
    assert len(server.heads) == (status == 200)


def test_an_endless_head_is_refused_while_it_still_comes(simple):
    """Hardening 24: counting includes bytes thrown away."""
    sluice, _ = simple()
    before = sluice.rss_kib()
    with sluice.connect() as client:
        client.try_send(b"GET / HTTP/1.1\r\nHost: app.test\r\n")
        sent = 0
        while sent < 8 << 20 and client.try_send(b"X-More: " + b"a" * 8000 + b"\r\n"):
            sent += 8010
        rest = client.read_to_end()
    assert client.was_reset or rest.startswith(b"HTTP/1.1 431 ")
    assert sluice.rss_kib() - before < 4096


# Connections


def refused_connection(sluice, source=None) -> bool:
    """Whether a new connection is closed at once."""
    try:
        client = sluice.connect(source=source)
    except ConnectionResetError:
        return True
    with client:
        client.try_send(request_bytes())
        try:
            client.read_response()
            return False
        except Truncated:
            return True


def test_one_client_address_has_at_most_its_number_of_connections(simple):
    """Hardening 123: closed at once; other addresses are not affected; a slot freed is free again."""
    sluice, _ = simple(limits={"connections_per_client": 5})
    held = [sluice.connect() for _ in range(5)]
    for client in held:
        assert client.request().status == 200
    assert refused_connection(sluice)
    assert not refused_connection(sluice, "127.0.0.2")
    assert held[0].request().status == 200
    held.pop().close()
    until(lambda: not refused_connection(sluice), 5, "the slot is free again")
    for client in held:
        client.close()


def test_above_the_limit_on_all_connections_the_oldest_idle_one_gives_way(simple):
    """Hardening 123."""
    sluice, _ = simple(limits={"connections": 10, "connections_per_client": 100}, server={"workers": 1})
    held = [sluice.connect() for _ in range(10)]
    for client in held:
        assert client.request().status == 200
    with sluice.connect() as late:
        assert late.request().status == 200
        assert not held[0].is_open() or sum(not client.is_open() for client in held) >= 1
    for client in held:
        client.close()


@pytest.mark.seconds(40)
def test_a_process_out_of_descriptors_does_not_spin_and_recovers(simple):
    """Hardening 122."""
    sluice, _ = simple(limits={"connections_per_client": 4096})
    assert sluice.request().status == 200
    soft, hard = resource.prlimit(sluice.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(sluice.pid, resource.RLIMIT_NOFILE, (sluice.count_descriptors() + 20, hard))
    clients = []
    try:
        for _ in range(200):
            client = socket.socket()
            client.settimeout(2)
            try:
                client.connect(sluice.address())
            except OSError:
                client.close()
                continue
            clients.append(client)
        began, wall = sluice.cpu_seconds(), time.monotonic()
        until(lambda: time.monotonic() - wall > 1.5, 5)
        used = (sluice.cpu_seconds() - began) / (time.monotonic() - wall)
        assert used < 0.2, f"{used:.0%} of a core while out of descriptors"
        assert sluice.is_running()
    finally:
        for client in clients:
            client.close()
    until(lambda: not refused_connection(sluice), 10, "served again")
    for _ in range(20):
        assert sluice.request().status == 200
    resource.prlimit(sluice.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert sluice.metrics().sum("sluice_accept_errors_total") > 0
    said = [entry for entry in sluice.log_entries() if entry.get("message") == "connections cannot be accepted"]
    assert said and said[0]["error"] == "EMFILE" and "repeated" not in said[0]
    assert len(said) <= 4, "collapsed"


def test_a_low_limit_on_descriptors_is_lived_with(simple):
    """Hardening 122: caps are derived from RLIMIT_NOFILE at the start."""
    sluice, _ = simple(gateway_options={"descriptors": 128}, limits={"connections_per_client": 4096})
    clients = []
    for _ in range(500):
        client = socket.socket()
        client.settimeout(2)
        try:
            client.connect(sluice.address())
            clients.append(client)
        except OSError:
            client.close()
    assert sluice.is_running()
    for client in clients:
        client.close()
    until(lambda: not refused_connection(sluice), 10, "served again")


@pytest.mark.memory
@pytest.mark.seconds(60)
def test_two_thousand_idle_connections_cost_little_memory_and_no_cpu(simple):
    """Hardening 127; design: at most 1.5 KiB of ours for each idle connection."""
    sluice, _ = simple(limits={"connections_per_client": 4096, "connections": 4096})
    with sluice.connect() as client:
        for _ in range(200):
            client.request()
    before = sluice.rss_kib()
    clients = []
    for number in range(2000):
        client = sluice.connect()
        clients.append(client)
        assert client.request().status == 200
    grown = sluice.rss_kib() - before
    assert grown < 2000 * 1.5 + 2048, f"{grown} KiB for 2,000 idle connections"
    began, wall = sluice.cpu_seconds(), time.monotonic()
    until(lambda: time.monotonic() - wall > 1, 5)
    assert sluice.cpu_seconds() - began < 0.1
    assert clients[0].request().status == 200 and clients[-1].request().status == 200
    for client in clients:
        client.close()


def test_a_thousand_clients_at_once_are_all_served(simple):
    """Requirement: 1,000 and more at once."""
    sluice, server = simple(lambda request, connection: reply(200, request.target.encode()),
                            limits={"connections_per_client": 4096, "connections": 4096},
                            service={"queue": {"max_pending": 4096, "timeout": "10s"}})
    clients = [sluice.connect() for _ in range(1000)]
    for number, client in enumerate(clients):
        client.send(request_bytes("GET", f"/{number}"))
    for number, client in enumerate(clients):
        response = client.read_response()
        assert (response.status, response.body) == (200, f"/{number}".encode())
        client.close()


def test_connections_that_come_and_go_leave_nothing_behind(simple):
    """Hardening 218; the descriptors are compared when the test ends."""
    sluice, _ = simple(limits={"connections_per_client": 4096})

    def come_and_go(how):
        for _ in range(150):
            client = sluice.connect()
            if how == "reset":
                client.send(request_bytes())
                client.reset()
            elif how == "half":
                client.send(b"GET / HT")
                client.close()
            elif how == "none":
                client.close()
            else:
                assert client.request().status == 200
                client.close()
    threads = [threading.Thread(target=come_and_go, args=(how,)) for how in ("reset", "half", "none", "good")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sluice.request().status == 200
