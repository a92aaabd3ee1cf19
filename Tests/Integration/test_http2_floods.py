"""Floods of frames: the one who sends them loses its connection, the one beside it nothing, and memory stays (hardening 79 to 86, 100)."""

import select
import threading

import hpack
import pytest

from conftest import h2_gateway
from sluice_harness import Bystander, names, reply, stands_still, until
from sluice_harness import frames as f
from sluice_harness.frames import raw_frame
from sluice_harness.waiting import SANITIZED

COUNT = 200_000          # of a flood whose frames are small
ALLOWED = 2048           # KiB by which the daemon may grow
OF_A_BOMB = 1024


@pytest.fixture
def road(world):
    """A daemon with its default budgets, warmed up, so that what grows then is the attack's."""
    server = world.backend(lambda request, connection: reply(200, request.body or b"ok"))
    sluice = h2_gateway(world, server, limits={"connections_per_client": 1024})
    for _ in range(3):
        with sluice.h2() as client:
            for _ in range(30):
                client.request("POST", "/warm", body=b"x" * 1000)
    with sluice.h2() as client:
        streams = [client.start("GET", f"/warm/{number}") for number in range(100)]
        for stream in streams:
            client.finish(stream)
    return sluice, server


def flood(client, data: bytes, count: int, batch: int = 2000):
    """Sends `count` times the same bytes and reads what comes, until the gateway has had enough."""
    client.socket.setblocking(False)
    sent = 0
    waiting = memoryview(b"")
    raw = client.socket
    end = False
    while (sent < count or len(waiting)) and not end:
        if not len(waiting):
            step = min(batch, count - sent)
            waiting = memoryview(data * step)
            sent += step
        # Dozens of these run side by side, with a good client in the same process: none may spin.
        select.select([raw], [raw], [], 1)
        try:
            waiting = waiting[raw.send(waiting):]
        except BlockingIOError:
            pass
        except OSError:
            end = True
        try:
            while piece := raw.recv(1 << 18):
                client.buffer += piece
                while (frame := client.buffered_frame()) is not None:
                    if isinstance(frame, f.GoAwayFrame):
                        client.goaways.append(frame)
                        end = True
            end = True
        except BlockingIOError:
            pass
        except OSError:
            end = True
    raw.setblocking(True)


def ends(client, *codes: int, seconds: float = 5):
    """The connection is closed, with a GOAWAY that says why where it could still be delivered."""
    if client.ended is None:
        try:
            client.wait_closed(seconds)
        except AssertionError as error:
            raise AssertionError(f"after the flood: {error}") from None
        except OSError:
            pass
    assert all(frame.error_code in codes for frame in client.goaways[-1:]), client.goaways


CALM = (f.ENHANCE_YOUR_CALM, f.PROTOCOL_ERROR, f.INTERNAL_ERROR, f.FLOW_CONTROL_ERROR, f.NO_ERROR)

FLOODS = {
    "PING": raw_frame(f.PING_TYPE, 0, 0, b"01234567"),
    "acknowledged PING": raw_frame(f.PING_TYPE, f.ACK, 0, b"01234567"),
    "SETTINGS": raw_frame(f.SETTINGS_TYPE),
    "SETTINGS with values": raw_frame(f.SETTINGS_TYPE, 0, 0, b"\0\x04\0\0\xff\xff" * 20),
    "SETTINGS that turn the window up and down": raw_frame(f.SETTINGS_TYPE, 0, 0, b"\0\x04\0\0\0\0") + raw_frame(f.SETTINGS_TYPE, 0, 0, b"\0\x04\0\x10\0\0"),
    "acknowledged SETTINGS": raw_frame(f.SETTINGS_TYPE, f.ACK),
    "PRIORITY": raw_frame(f.PRIORITY_TYPE, 0, 1001, b"\0\0\0\0\x10"),
    "WINDOW_UPDATE of 1 on the connection": raw_frame(f.WINDOW_TYPE, 0, 0, b"\0\0\0\x01"),
    "unknown frames": raw_frame(0xF7, 0, 0, b""),
    "unknown frames with a payload": raw_frame(0xF7, 0, 0, b"x" * 100),
    "RST_STREAM on a closed stream": raw_frame(f.RST_TYPE, 0, 1, b"\0\0\0\x08"),
    "WINDOW_UPDATE on a closed stream": raw_frame(f.WINDOW_TYPE, 0, 1, b"\0\0\0\x01"),
    "DATA on a closed stream": raw_frame(f.DATA_TYPE, 0, 1, b""),
    "PRIORITY_UPDATE": raw_frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
    "ORIGIN": raw_frame(0x0C, 0, 0, b"\0\x01a"),
    "ALTSVC": raw_frame(0x0A, 0, 0, b"\0\x01a" + b"b"),
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.seconds(60)
def test_a_flood_of_frames_that_move_nothing_ends_its_connection_and_costs_nobody_else(road, kind):
    """Hardening 82; CVE-2019-9512, 9515, 9513, 9518."""
    sluice, _ = road
    before = sluice.rss_kib()
    with Bystander(sluice.h2) as beside, sluice.h2(behave=()) as client:
        client.wait_settings()
        client.settings(ack=True)
        client.start("GET", "/first")
        client.finish(1)
        flood(client, FLOODS[kind], COUNT)
        ends(client, *CALM)
    beside.unharmed()
    others = {"acknowledged SETTINGS": "protocol_error", "RST_STREAM on a closed stream": "too_many_resets"}
    told(sluice, others.get(kind, "too_many_control_frames"))
    small(sluice, before)


def told(sluice, *reasons: str):
    """The one connection that was ended is counted under its reason, one of these, and the log names that."""
    names.wait_count(lambda: names.h2_closed(sluice), 1)
    counted = [reason for reason in reasons if names.h2_closed(sluice, reason) == 1]
    assert len(counted) == 1 == names.h2_closed(sluice), sluice.metrics().labels("sluice_h2_conn_closed_total")
    until(lambda: any((entry.get("message"), entry.get("rule")) == ("request refused", counted[0]) for entry in sluice.log_entries()),
          5, f"a line in the log that names {counted[0]}")


# What is sent for streams above the last of the GOAWAY is paid from the other budget, and which of the two is used up first is open.
EITHER = ("too_many_resets", "too_many_control_frames")


def small(sluice, before: int, allowed: int = ALLOWED):
    if SANITIZED:
        return
    until(lambda: sluice.rss_kib() - before < allowed, 5, f"memory stays: it was {before} KiB and is {sluice.rss_kib()}")


@pytest.mark.parametrize("kind", ["empty DATA", "padding only", "WINDOW_UPDATE of 1"])
@pytest.mark.seconds(60)
def test_a_flood_on_an_open_stream_ends_its_connection(road, kind):
    """Hardening 82; CVE-2019-9518."""
    sluice, server = road
    before = sluice.rss_kib()
    data = {"padding only": raw_frame(f.DATA_TYPE, f.PADDED, 1, b"\x05" + b"\0" * 5), "WINDOW_UPDATE of 1": raw_frame(f.WINDOW_TYPE, 0, 1, b"\0\0\0\x01")}.get(
        kind, raw_frame(f.DATA_TYPE, 0, 1, b""))
    with Bystander(sluice.h2) as beside, sluice.h2(behave=()) as client:
        client.wait_settings()
        client.settings(ack=True)
        client.start("POST", "/open", end=False)
        flood(client, data, COUNT)
        ends(client, *CALM)
    beside.unharmed()
    told(sluice, "too_many_control_frames")
    small(sluice, before)


def requests(client, first: int, count: int, path: str, reset: bool = False) -> bytes:
    """So many heads of whole requests, from stream `first` on; with `reset` each is followed by its CANCEL."""
    block = client.literal_block(client.fields("GET", path))
    return b"".join(raw_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, stream, block)
                    + (raw_frame(f.RST_TYPE, 0, stream, b"\0\0\0\x08") if reset else b"")
                    for stream in range(first, first + 2 * count, 2))


@pytest.mark.seconds(60)
def test_rapid_reset_ends_the_connection_and_the_backend_sees_few_of_the_requests(road):
    """Hardening 80; CVE-2023-44487."""
    sluice, server = road
    seen = len(server.heads)
    before = sluice.rss_kib()
    with Bystander(sluice.h2) as beside, sluice.h2(behave=()) as client:
        client.wait_settings()
        client.settings(ack=True)
        for start in range(1, 20001, 200):
            if not client.try_send(requests(client, start, 100, "/reset", reset=True)):
                break
        ends(client, *CALM)
    beside.unharmed()
    assert len([head for head in server.heads[seen:] if head.target == "/reset"]) <= 400
    told(sluice, *EITHER)
    small(sluice, before)


MADE_TO_RESET = {
    "a malformed head": lambda client, stream: raw_frame(
        f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, stream, client.literal_block([*client.fields("GET", "/made"), ("connection", "close")])),
    "WINDOW_UPDATE of 0": lambda client, stream: raw_frame(
        f.HEADERS_TYPE, f.END_HEADERS, stream, client.literal_block(client.fields("POST", "/made"))) + raw_frame(f.WINDOW_TYPE, 0, stream, b"\0\0\0\0"),
    "a window too large": lambda client, stream: raw_frame(
        f.HEADERS_TYPE, f.END_HEADERS, stream, client.literal_block(client.fields("POST", "/made"))) + raw_frame(f.WINDOW_TYPE, 0, stream, b"\x7f\xff\xff\xff"),
    "a wrong length": lambda client, stream: raw_frame(
        f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, stream, client.literal_block([*client.fields("POST", "/made"), ("content-length", "5")])),
    "more than announced": lambda client, stream: raw_frame(
        f.HEADERS_TYPE, f.END_HEADERS, stream, client.literal_block([*client.fields("POST", "/made"), ("content-length", "1")])) + raw_frame(
        f.DATA_TYPE, f.END_STREAM, stream, b"12345"),
    "DATA behind the end": lambda client, stream: raw_frame(
        f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, stream, client.literal_block(client.fields("GET", "/made"))) + raw_frame(f.DATA_TYPE, 0, stream, b"x"),
}


@pytest.mark.parametrize("kind", MADE_TO_RESET)
@pytest.mark.seconds(60)
def test_a_client_that_makes_us_reset_ends_by_the_same_budget(road, kind):
    """Hardening 81; CVE-2025-8671."""
    sluice, server = road
    before = sluice.rss_kib()
    seen = len(server.heads)
    with Bystander(sluice.h2) as beside, sluice.h2(behave=()) as client:
        client.wait_settings()
        client.settings(ack=True)
        for stream in range(1, 4000, 2):
            if not client.try_send(MADE_TO_RESET[kind](client, stream)):
                break
        ends(client, *CALM, f.STREAM_CLOSED)
    beside.unharmed()
    assert len([head for head in server.heads[seen:] if head.target == "/made"]) <= 400
    told(sluice, *{"WINDOW_UPDATE of 0": ["protocol_error"], "DATA behind the end": ["stream_closed"]}.get(kind, EITHER))
    small(sluice, before)


def test_resets_within_the_budget_are_nobodys_fault(road):
    sluice, _ = road
    with sluice.h2() as client:
        for _ in range(100):
            client.cancel(client.start("GET", "/cancelled"))
        assert client.request().status == 200 and not client.goaways


def bomb(fields: int) -> bytes:
    """A block of a few KB that stands for many megabytes: one long field in the table, then its index again and again."""
    encoder = hpack.Encoder()
    head = encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "app.test"), (":path", "/bomb")])
    return head + b"\x40\x01x\x7f\x81\x16" + b"v" * 2944 + b"\xbe" * fields


@pytest.mark.parametrize("fields", [200, 57_800])
@pytest.mark.seconds(60)
def test_a_head_that_unpacks_to_megabytes_is_not_kept(road, fields):
    """Hardening 79; CVE-2026-49975: 59,677 bytes for 169 MB."""
    sluice, server = road
    before = sluice.rss_kib()
    seen = len(server.heads)
    with Bystander(sluice.h2) as beside, sluice.h2() as client:
        client.wait_settings()
        block = bomb(fields)
        for _ in range(3):
            stream = client.open_stream()
            try:
                client.header_block(stream, block, end_stream=True)
                client.pump(lambda: client.streams[stream].over or client.goaways, 10, "an answer to the bomb")
            except (OSError, f.Ended):
                break
            if client.goaways:
                break
            state = client.streams[stream]
            assert state.reset is not None or state.status == 431, state
    beside.unharmed()
    assert not [head for head in server.heads[seen:] if head.target == "/bomb"]
    told(sluice, "header_lists")
    small(sluice, before, OF_A_BOMB)


@pytest.mark.parametrize("kind", ["cookies", "never indexed", "fields of no length"])
def test_a_bomb_of_another_make_is_not_kept_either(road, kind):
    """Hardening 79, 91: cookies count, and so does what every field costs (RFC 9113 §6.5.2: 32 bytes)."""
    sluice, server = road
    before = sluice.rss_kib()
    seen = len(server.heads)
    # What is never indexed is as long on the wire: as much as nine frames hold.
    more = {"cookies": [("cookie", "a=" + "b" * 500)] * 2000, "never indexed": [("x", "y" * 1000)] * 125,
            "fields of no length": [("x", "")] * 30000}[kind]
    with Bystander(sluice.h2) as beside, sluice.h2() as client:
        client.wait_settings()
        fields = client.fields("GET", "/bomb")
        encode = client.literal_block if kind == "never indexed" else client.block
        # One answer of 431 each connection may have, where the head is not over the limit by far.
        for _ in range(2):
            stream = client.open_stream()
            try:
                client.header_block(stream, encode([*fields, *more]), end_stream=True)
                client.pump(lambda: client.streams[stream].over or client.goaways, 10, "an answer")
            except (OSError, f.Ended):
                break
            if client.goaways:
                break
            assert client.streams[stream].status == 431, client.streams[stream]
    beside.unharmed()
    told(sluice, "header_lists")
    assert not [head for head in server.heads[seen:] if head.target == "/bomb"]
    small(sluice, before, OF_A_BOMB)


@pytest.mark.parametrize("piece", [b"", b"\x00\x01x\x01y"], ids=["empty", "with fields"])
@pytest.mark.seconds(60)
def test_continuation_without_an_end_is_cut_off(road, piece):
    """Hardening 83; CVE-2024-28182."""
    sluice, server = road
    before = sluice.rss_kib()
    with Bystander(sluice.h2) as beside, sluice.h2(behave=()) as client:
        client.wait_settings()
        client.settings(ack=True)
        client.header_block(1, client.literal_block(client.fields("GET", "/continued")), end_headers=False)
        flood(client, raw_frame(f.CONTINUATION_TYPE, 0, 1, piece), 50_000)
        ends(client, *CALM)
    beside.unharmed()
    told(sluice, "too_many_continuations")
    small(sluice, before)


@pytest.mark.parametrize("count", [8, 9])
def test_eight_continuations_are_a_head_and_nine_are_too_many(road, count):
    """Hardening 83."""
    sluice, server = road
    with Bystander(sluice.h2) as beside, sluice.h2() as client:
        client.wait_settings()
        block = client.literal_block(client.fields("GET", "/pieces", [("x-long", "z" * 600)]))
        stream = client.open_stream()
        size = -(-len(block) // (count + 1))
        assert len(range(0, len(block), size)) == count + 1
        client.header_block(stream, block, end_stream=True, frame_size=size)
        if count == 8:
            assert client.finish(stream).status == 200
        else:
            ends(client, f.ENHANCE_YOUR_CALM)
    beside.unharmed()
    if count == 9:
        told(sluice, "too_many_continuations")
    assert len([head for head in server.heads if head.target == "/pieces"]) == (1 if count == 8 else 0)


@pytest.mark.seconds(60)
def test_answers_to_pings_that_nobody_reads_are_not_piled_up(road):
    """Hardening 100."""
    sluice, _ = road
    before = sluice.rss_kib()
    with Bystander(sluice.h2) as beside, sluice.h2(behave=(), receive_buffer=4096) as client:
        client.wait_settings()
        client.settings(ack=True)
        client.socket.settimeout(2)
        data = raw_frame(f.PING_TYPE, 0, 0, b"01234567") * 4000
        try:
            for _ in range(100):
                client.socket.sendall(data)
        except OSError:
            pass
        until(lambda: names.h2_closed(sluice) >= 1, 10, "the connection is closed")
    beside.unharmed()
    small(sluice, before)


BEHIND_A_FULL_SOCKET = {
    "PING": lambda client, first: FLOODS["PING"] * 2000,
    "SETTINGS": lambda client, first: FLOODS["SETTINGS"] * 2000,
    "WINDOW_UPDATE": lambda client, first: FLOODS["WINDOW_UPDATE of 1 on the connection"] * 2000,
    "requests and resets": lambda client, first: requests(client, first, 2000, "/small", reset=True),
    "requests": lambda client, first: requests(client, first, 2000, "/small"),
}


@pytest.mark.parametrize("kind", BEHIND_A_FULL_SOCKET)
@pytest.mark.seconds(60)
def test_what_a_client_sends_while_it_reads_nothing_is_not_piled_up(world, kind):
    """Hardening 85, 100: an answer fills the socket and is never read, and the client goes on to send."""
    def handler(request, connection):
        if request.target == "/small":
            return reply(200, b"y" * 10_000)
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(b"10000\r\n" + b"z" * 65536 + b"\r\n")
            sent.append(65536)
    sent: list = []
    server = world.backend(handler, record=False)
    sluice = h2_gateway(world, server, limits={"write_timeout": "40s"}, service={"pool": {"max_connections": 400}})
    with sluice.h2() as client:
        for stream in [client.start("GET", "/small") for _ in range(100)]:
            client.finish(stream)
    with Bystander(sluice.h2, path="/small") as beside, sluice.h2(window=(1 << 31) - 1, receive_buffer=4096) as client:
        client.wait_head(client.start("GET", "/endless"))
        stands_still(lambda: len(sent))
        before = sluice.rss_kib()
        client.socket.settimeout(2)
        ended = False
        try:
            for number in range(100):
                client.socket.sendall(BEHIND_A_FULL_SOCKET[kind](client, 3 + number * 4000))
        except ConnectionError:
            ended = True
        except OSError:
            pass
        if not ended:
            until(lambda: names.h2_closed(sluice) >= 1, 10, "the connection is closed")
        small(sluice, before, 4096)
    beside.unharmed()


@pytest.mark.seconds(60)
def test_floods_on_sixty_four_connections_at_once_leave_one_good_client_alone(road):
    """All kinds together; nobody else notices."""
    sluice, _ = road
    before = sluice.rss_kib()
    kinds = list(FLOODS.values())

    def attack(number):
        try:
            with sluice.h2(behave=()) as client:
                client.wait_settings()
                flood(client, kinds[number % len(kinds)], 20_000)
        except (OSError, AssertionError):
            pass
    with Bystander(sluice.h2) as beside:
        threads = [threading.Thread(target=attack, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    beside.unharmed(seconds=5)
    small(sluice, before, 8 * ALLOWED)


def test_a_client_that_behaves_in_large_is_no_flood(road):
    """A busy connection: thousands of requests, a PING every ten, windows given back as bytes come."""
    sluice, _ = road
    with sluice.h2() as client:
        for number in range(1000):
            if number % 50 == 0:
                client.alive()
            assert client.request("POST", "/busy", body=b"x" * 2000).status == 200
        assert not client.goaways
