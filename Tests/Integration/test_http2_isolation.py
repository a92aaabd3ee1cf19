"""What one peer does must not show on the streams of another, even where their frames come in one piece."""

import socket
import threading

from conftest import h2_gateway
from sluice_harness import frames as f
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
