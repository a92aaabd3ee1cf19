"""What one peer does must not show on the streams of another, even where their frames come in one piece."""

import socket
import threading
import time

from conftest import h2_gateway
from sluice_harness import frames as f, reply
from sluice_harness.frames import DataFrame, HeadersFrame, SettingsFrame, raw_frame
from sluice_harness.h2_backend import expect_preface


def two_streams(frames: f.Frames, then) -> None:
    """Waits for /victim and /attack on one connection, then for 32 KiB of the body of /attack, and calls `then` with their streams."""
    expect_preface(frames)
    frames.settings({})
    streams, body = {}, 0
    while len(streams) < 2 or body < 32768:
        frame = frames.read_frame()
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            frames.settings(ack=True)
        elif isinstance(frame, HeadersFrame):
            fields = dict(frames.decoder.decode(frame.data, raw=True))
            streams[fields[b":path"].decode()] = frame.stream_id
        elif isinstance(frame, DataFrame):
            body += len(frame.data)
    then(streams["/attack"], streams["/victim"])
    while True:
        frames.read_frame(60)


def test_an_upload_that_is_cut_short_does_not_show_in_the_answers_of_others(world):
    """The backend answers an upload early, and behind that, in the same segment, somebody else's request. What is then read and dropped of
    the upload must not get in between."""
    def answers(frames, attack, victim):
        head = frames.literal_block([(":status", "200")])
        frames.send_bytes(
            raw_frame(f.HEADERS_TYPE, f.END_HEADERS, victim, head)
            + raw_frame(f.HEADERS_TYPE, f.END_HEADERS | f.END_STREAM, attack, frames.literal_block([(":status", "413")]))
            + b"".join(raw_frame(f.DATA_TYPE, 0, victim, b"v" * 1000) for _ in range(8)) + raw_frame(f.DATA_TYPE, f.END_STREAM, victim))

    backend = world.h2_backend(script=lambda frames: two_streams(frames, lambda a, v: answers(frames, a, v)))
    sluice = h2_gateway(world, backend, server={"workers": 1})
    with sluice.h2() as victim:
        stream = victim.start("GET", "/victim")
        attacker = socket.create_connection(sluice.address("clear"))
        attacker.settimeout(10)

        def upload():
            try:
                attacker.sendall(b"POST /attack HTTP/1.1\r\nHost: app.test\r\nContent-Length: 8000000\r\n\r\n" + b"A" * 8000000)
            except OSError:
                pass    # it is cut short
        thread = threading.Thread(target=upload, daemon=True)
        thread.start()
        body = victim.finish(stream).body
        assert body == b"v" * 8000, (len(body), body[:100], body.count(b"A"))
        attacker.close()
        thread.join(10)


def big_answers(stream):
    """/big is answered with 1 MiB, all else at once."""
    stream.read_body()
    stream.reply(200, b"b" * (1 << 20) if stream.target.startswith("/big") else b"ok")


def test_clients_that_do_not_read_leave_the_other_requests_on_a_backends_connection_alone(world):
    """Hardening 85: twenty answers of 1 MiB that nobody takes, and a client beside that shares the backend's one connection."""
    backend = world.h2_backend(big_answers)
    sluice = h2_gateway(world, backend, server={"workers": 1})
    with sluice.h2() as beside, sluice.h2(settings={f.INITIAL_WINDOW_SIZE: 0}, behave=("settings", "ping")) as stalled:
        assert beside.request("GET", "/first").status == 200
        held = [stalled.start("GET", f"/big/{number}") for number in range(20)]
        for stream in held:
            stalled.wait_head(stream)
        for number in range(20):
            assert beside.request("GET", f"/beside/{number}", timeout=5).body == b"ok"
        assert len(beside.request("GET", "/big/beside", timeout=10).body) == 1 << 20
        assert len(backend.connections) == 1


def test_finished_answers_that_nobody_reads_hold_their_places_and_are_given_up(world):
    """Hardening 85; RFC 9113 §5.1.2: a window of 0 does not make room for more streams than the limit."""
    server = world.backend(lambda request, connection: reply(200, b"x" * 500))
    sluice = h2_gateway(world, server, limits={"write_timeout": "2s"})
    with sluice.h2(settings={f.INITIAL_WINDOW_SIZE: 0}, behave=("settings", "ping")) as client:
        client.wait_settings()
        held = [client.start("GET", f"/{number}") for number in range(100)]
        for stream in held:
            client.wait_head(stream)
        assert client.wait_reset(client.start("GET", "/more")) == f.REFUSED_STREAM
        for stream in held:
            assert client.wait_reset(stream, 10) == f.CANCEL
        # And the connection goes on.
        stream = client.start("GET", "/after")
        client.wait_head(stream)
        client.window_update(stream, 1000)
        assert client.finish(stream).body == b"x" * 500
        assert not client.goaways


def test_streams_that_waited_for_their_neighbours_go_on_when_those_are_read(world):
    """A connection holds 1 MiB of answers for its client at most. What is held back by that goes on as soon as there is room."""
    server = world.backend(lambda request, connection: reply(200, b"y" * (1 << 20)))
    sluice = h2_gateway(world, server, limits={"write_timeout": "30s"})
    with sluice.h2(settings={f.INITIAL_WINDOW_SIZE: 0}, behave=("settings", "ping")) as client:
        client.wait_settings()
        client.window_update(0, (1 << 30))
        held = [client.start("GET", f"/{number}") for number in range(60)]
        # The first ones fill what there is; the others have their heads all the same.
        for stream in held:
            client.wait_head(stream)
        client.alive()
        client.settings({f.INITIAL_WINDOW_SIZE: 2 << 20})
        for stream in held:
            assert len(client.finish(stream, 15).body) == 1 << 20


def test_an_answer_that_comes_before_the_upload_is_complete_keeps_its_end(world):
    """RFC 9113 §8.1: the client is told with NO_ERROR to stop, behind the end of the answer, and may use the connection on."""
    server = world.backend()
    sluice = h2_gateway(world, server, limits={"request_body": "1KiB"})
    with sluice.h2(settings={f.INITIAL_WINDOW_SIZE: 5}, behave=("settings", "ping")) as client:
        client.wait_settings()
        stream = client.start("POST", "/upload", [("content-length", "200000")], end=False)
        assert client.wait_head(stream).status == 413
        for _ in range(8):
            client.data(stream, b"z" * 16384)
        client.alive()
        assert client.streams[stream].reset is None and not client.streams[stream].ended
        client.window_update(stream, 100000)
        assert client.finish(stream).status == 413
        assert client.wait_reset(stream) == f.NO_ERROR
        for number in range(100):
            late = client.start("POST", f"/{number}", [("content-length", "200000")], end=False)
            client.window_update(late, 100000)
            assert client.finish(late).status == 413
            client.data(late, b"z" * 10000)
        client.alive()
        assert not client.goaways


def test_a_backends_connection_on_which_nothing_comes_is_given_up(world):
    """Hardening 98: requests that run into their time on a connection that is dead do not make the next ones do so."""
    def script(frames):
        expect_preface(frames)
        frames.settings({})
        silent.append(frames)
        if len(silent) > 1:
            serve(frames)
        # It reads, and says nothing.
        while frames.fill(time.monotonic() + 60):
            pass

    silent = []

    def serve(frames):
        while True:
            frame = frames.read_frame(60)
            if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                frames.settings(ack=True)
            elif isinstance(frame, HeadersFrame):
                frames.headers(frame.stream_id, [(":status", "204")], end_stream=True)

    backend = world.h2_backend(script=script)
    sluice = h2_gateway(world, backend, server={"workers": 1}, service={
        "timeouts": {"response": "6s"}, "retry": {"attempts": 0}, "circuit_breaker": {"enabled": False}})
    with sluice.h2() as client:
        assert client.request("GET", "/first", timeout=15).status == 504
        # The PING has five seconds; a request that waits on the connection goes to another with it, or is refused, but does not time out.
        assert client.request("GET", "/second", timeout=15).status in (204, 502, 503)
        assert client.request("GET", "/third", timeout=15).status == 204
        assert len(backend.connections) == 2
