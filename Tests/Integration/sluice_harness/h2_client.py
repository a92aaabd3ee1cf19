"""An HTTP/2 client that sends any frame, and that can also behave: one thread, one connection, many streams.

Nothing happens between the calls: `pump` and what is built on it read frames, acknowledge SETTINGS and PING and give windows back
where `behave` says so. What the gateway sends is checked strictly (RFC 9113 §8.1 to §8.3).
"""

import socket

from .client import TOKEN, VALUE, Malformed, Response
from .frames import (CANCEL, ENABLE_PUSH, ERROR_NAMES, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PREFACE,
                     ContinuationFrame, DataFrame, Ended, Frame, Frames, GoAwayFrame, HeadersFrame, PingFrame, PushPromiseFrame,
                     RstStreamFrame, SettingsFrame, WindowUpdateFrame)
from .tls import TLSSocket
from .waiting import deadline

CONNECTION_FIELDS = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


class StreamReset(AssertionError):
    """The gateway ended the stream with RST_STREAM. `code` says why, `response` is what had come."""

    def __init__(self, stream: "H2Response"):
        super().__init__(f"stream {stream.stream} was reset with {error_name(stream.reset)}; it had {stream!r}")
        self.code = stream.reset
        self.response = stream


def error_name(code: int | None) -> str:
    return ERROR_NAMES[code] if code is not None and code < len(ERROR_NAMES) else str(code)


class H2Response(Response):
    """What has come on one stream so far."""

    def __init__(self, stream: int, method: str, sink=None):
        super().__init__()
        self.stream = stream
        self.method = method
        self.sink = sink
        self.pieces: list[bytes] = []
        self.has_head = False
        self.has_trailers = False
        self.ended = False
        self.reset: int | None = None
        self.send_window = 0
        self.received = 0           # flow-controlled bytes that have not been given back

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    def take_fields(self, fields, end: bool):
        where = f"stream {self.stream}"
        pseudo = [(n, v) for n, v in fields if n.startswith(b":")]
        plain = [(n, v) for n, v in fields if not n.startswith(b":")]
        if fields[:len(pseudo)] != pseudo:
            raise Malformed(f"{where}: a pseudo-header behind a field: {fields}")
        for name, value in plain:
            if not TOKEN.match(name) or name != name.lower() or not VALUE.match(value) or value != value.strip(b" \t"):
                raise Malformed(f"{where}: bad field {name!r}: {value!r}")
            if name in CONNECTION_FIELDS or name == b"te":
                raise Malformed(f"{where}: a field of the connection: {name!r}")
        if self.has_head:
            if pseudo or not end:
                raise Malformed(f"{where}: trailers with {pseudo}, end {end}")
            self.trailers = plain
            self.has_trailers = True
            return
        if [n for n, _ in pseudo] != [b":status"] or not pseudo[0][1].isdigit() or len(pseudo[0][1]) != 3:
            raise Malformed(f"{where}: pseudo-headers of a response: {pseudo}")
        status = int(pseudo[0][1])
        if status < 200:
            if status == 101 or end:
                raise Malformed(f"{where}: interim response {status}, end {end}")
            interim = Response()
            interim.status, interim.headers = status, plain
            self.interim.append(interim)
            return
        self.status, self.headers, self.has_head = status, plain, True

    def take_data(self, data: bytes):
        if not self.has_head:
            raise Malformed(f"stream {self.stream}: DATA before the head")
        self.body_bytes += len(data)
        if self.sink is not None:
            self.sink(data)
        else:
            self.pieces.append(data)

    def end(self):
        self.ended = True
        self.body = b"".join(self.pieces)
        if not self.has_head:
            raise Malformed(f"stream {self.stream} ended without a head")
        length = self.header("content-length")
        without = self.method == "HEAD" or self.status in (204, 304)
        if without and self.body_bytes:
            raise Malformed(f"stream {self.stream}: a body where there is none: {self!r}")
        if length is not None and not without and int(length) != self.body_bytes:
            raise Malformed(f"stream {self.stream}: {self.body_bytes} bytes, announced {length}")


class H2Client(Frames):
    """`behave` is what is done unasked: "settings" (acknowledge), "ping", "window" (give back what came)."""

    def __init__(self, address, tls=None, server_name: str | None = None, session=None, settings=None, window: int = 1 << 24,
                 behave=("settings", "ping", "window"), timeout: float = 10.0, source: str | None = None, preface: bool = True,
                 receive_buffer: int | None = None):
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source is not None:
                raw.bind((source, 0))
            raw.settimeout(timeout)
            raw.connect(address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected = TLSSocket(raw, tls, server_name, session) if tls is not None else raw
        except BaseException:
            raw.close()
            raise
        super().__init__(connected, timeout)
        self.scheme = "https" if tls is not None else "http"
        self.behave = set(behave)
        self.streams: dict[int, H2Response] = {}
        self.next_stream = 1
        self.peer_settings: dict[int, int] = {}
        self.settings_seen = 0
        self.settings_acknowledged = 0
        self.pongs: list[bytes] = []
        self.goaways: list[GoAwayFrame] = []
        self.frames_seen: list[Frame] = []      # all but DATA
        self.connection_window = 65535          # what we may still send
        self.receive_owed = 0
        self.open_block: tuple[int, bytes, bool] | None = None
        if preface:
            values = {ENABLE_PUSH: 0, INITIAL_WINDOW_SIZE: min(window, 2 ** 31 - 1), **(settings or {})}
            self.send_bytes(PREFACE)
            self.settings(values)
            if window > 65535 and INITIAL_WINDOW_SIZE not in (settings or {}):
                self.window_update(0, window - 65535)

    # Reading

    def pump(self, until, timeout: float | None = None, what: str = ""):
        """Reads frames until `until()` is true, and returns that; raises Ended where the connection ends before."""
        end = deadline(timeout or self.timeout)
        while not (result := until()):
            frame = self.buffered_frame()
            if frame is not None:
                self.take(frame)
            else:
                self.give_back()
                try:
                    alive = self.fill(end)
                except TimeoutError:
                    raise TimeoutError(f"not within {timeout or self.timeout} s: {what}; seen {self.frames_seen[-10:]}") from None
                if not alive:
                    if result := until():
                        return result
                    raise Ended(f"the connection ended ({self.ended}) before {what}; GOAWAY {self.goaways}")
        return result

    def give_back(self):
        """Returns the windows of what has come."""
        if "window" not in self.behave:
            return
        try:
            if self.receive_owed:
                self.window_update(0, self.receive_owed)
                self.receive_owed = 0
            for stream in list(self.streams.values()):
                if stream.received and not stream.over:
                    self.window_update(stream.stream, stream.received)
                stream.received = 0
        except OSError:
            pass    # the end is seen by the next read

    def take(self, frame: Frame):
        if self.open_block and not isinstance(frame, ContinuationFrame):
            raise Malformed(f"{frame} within a field block")
        if not isinstance(frame, DataFrame):
            self.frames_seen.append(frame)
        if isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                self.settings_acknowledged += 1
                return
            self.settings_seen += 1
            before = self.peer_settings.get(INITIAL_WINDOW_SIZE, 65535)
            self.peer_settings.update(frame.settings)
            change = self.peer_settings.get(INITIAL_WINDOW_SIZE, 65535) - before
            for stream in self.streams.values():
                stream.send_window += change
            if "settings" in self.behave:
                self.quietly(lambda: self.settings(ack=True))
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs.append(frame.opaque_data)
            elif "ping" in self.behave:
                self.quietly(lambda: self.ping(frame.opaque_data, ack=True))
        elif isinstance(frame, GoAwayFrame):
            self.goaways.append(frame)
        elif isinstance(frame, WindowUpdateFrame):
            if frame.stream_id == 0:
                self.connection_window += frame.window_increment
            elif frame.stream_id in self.streams:
                self.streams[frame.stream_id].send_window += frame.window_increment
        elif isinstance(frame, HeadersFrame):
            self.take_block(frame.stream_id, frame.data, "END_HEADERS" in frame.flags, "END_STREAM" in frame.flags)
        elif isinstance(frame, ContinuationFrame):
            if self.open_block is None or self.open_block[0] != frame.stream_id:
                raise Malformed(f"{frame} without a block")
            stream, block, end = self.open_block
            self.take_block(stream, block + frame.data, "END_HEADERS" in frame.flags, end)
        elif isinstance(frame, DataFrame):
            self.receive_owed += frame.flow_controlled_length
            stream = self.streams.get(frame.stream_id)
            if stream is None:
                raise Malformed(f"DATA on stream {frame.stream_id}, which nobody opened")
            stream.received += frame.flow_controlled_length
            if stream.over:
                if stream.ended:
                    raise Malformed(f"DATA behind the end of stream {frame.stream_id}")
                return
            stream.take_data(frame.data)
            if "END_STREAM" in frame.flags:
                stream.end()
        elif isinstance(frame, RstStreamFrame):
            stream = self.streams.get(frame.stream_id)
            if stream is not None and stream.reset is None:
                stream.reset = frame.error_code
                stream.body = b"".join(stream.pieces)
        elif isinstance(frame, PushPromiseFrame):
            raise Malformed(f"{frame}, with push switched off")

    def take_block(self, stream_id: int, block: bytes, whole: bool, end: bool):
        if not whole:
            self.open_block = (stream_id, block, end)
            return
        self.open_block = None
        fields = [(bytes(n), bytes(v)) for n, v in self.decoder.decode(block, raw=True)]
        stream = self.streams.get(stream_id)
        if stream is None:
            raise Malformed(f"HEADERS on stream {stream_id}, which nobody opened")
        if stream.reset is not None:
            return
        if stream.ended:
            raise Malformed(f"HEADERS behind the end of stream {stream_id}")
        stream.take_fields(fields, end)
        if end:
            stream.end()

    @staticmethod
    def quietly(send):
        """What is answered unasked may meet a peer that has gone."""
        try:
            send()
        except OSError:
            pass

    # Requests

    def fields(self, method="GET", path="/", headers=(), authority="app.test", scheme=None) -> list:
        pairs = headers.items() if isinstance(headers, dict) else headers
        return [(":method", method), (":scheme", scheme or self.scheme), (":authority", authority), (":path", path),
                *((name.lower() if isinstance(name, str) else name, value) for name, value in pairs)]

    def open_stream(self, method: str = "GET", sink=None) -> int:
        """The next stream, which takes what comes on it; the caller sends its HEADERS."""
        stream = self.next_stream
        self.next_stream += 2
        self.streams[stream] = H2Response(stream, method, sink)
        self.streams[stream].send_window = self.peer_settings.get(INITIAL_WINDOW_SIZE, 65535)
        return stream

    def start(self, method="GET", path="/", headers=(), end: bool = True, sink=None, **more) -> int:
        """Sends a request's head and returns its stream."""
        stream = self.open_stream(method, sink)
        self.headers(stream, self.fields(method, path, headers, **more), end_stream=end)
        return stream

    def start_raw(self, fields, end: bool = True, literal: bool = True, method: str = "GET") -> int:
        """Sends just these fields, whatever they are."""
        stream = self.open_stream(method)
        self.headers(stream, fields, end_stream=end, literal=literal)
        return stream

    def send_body(self, stream: int, data: bytes, end: bool = True, timeout: float | None = None, until_reset: bool = False):
        """DATA frames within the peer's windows. Stops without a word where the stream ends first; with `until_reset`, as in a tunnel,
        an end of the other direction is none."""
        state = self.streams[stream]

        def over():
            return state.reset is not None if until_reset else state.over
        if not self.settings_seen:
            self.pump(lambda: self.settings_seen, timeout, "the peer's SETTINGS")
        size = self.peer_settings.get(MAX_FRAME_SIZE, 16384)
        view = memoryview(data)
        while len(view):
            self.pump(lambda: over() or min(state.send_window, self.connection_window) > 0, timeout, f"a window for stream {stream}")
            if over():
                return
            piece = view[:min(size, state.send_window, self.connection_window)]
            view = view[len(piece):]
            state.send_window -= len(piece)
            self.connection_window -= len(piece)
            self.data(stream, bytes(piece), end_stream=end and not len(view))
        if end and not data:
            self.data(stream, b"", end_stream=True)

    def send_trailers(self, stream: int, fields):
        self.headers(stream, fields, end_stream=True)

    def finish(self, stream: int, timeout: float | None = None) -> H2Response:
        """The whole response; raises StreamReset where it is cut off."""
        state = self.streams[stream]
        self.pump(lambda: state.over, timeout, f"the end of stream {stream}")
        if state.reset is not None and not state.ended:
            raise StreamReset(state)
        return state

    def request(self, method="GET", path="/", headers=(), body: bytes | None = None, trailers=(), timeout: float | None = None, sink=None,
                **more) -> H2Response:
        stream = self.start(method, path, headers, end=body is None and not trailers, sink=sink, **more)
        if body is not None or trailers:
            self.send_body(stream, body or b"", end=not trailers, timeout=timeout) if body or not trailers else None
            if trailers and not self.streams[stream].over:
                self.send_trailers(stream, trailers)
        return self.finish(stream, timeout)

    def wait_head(self, stream: int, timeout: float | None = None) -> H2Response:
        state = self.streams[stream]
        self.pump(lambda: state.has_head or state.over, timeout, f"the head of stream {stream}")
        if not state.has_head:
            raise StreamReset(state)
        return state

    def wait_bytes(self, stream: int, count: int, timeout: float | None = None) -> bytes:
        """Waits until so many bytes of the body have come; returns all that have."""
        state = self.streams[stream]
        self.pump(lambda: state.body_bytes >= count or state.over, timeout, f"{count} bytes on stream {stream}")
        return b"".join(state.pieces)

    def wait_reset(self, stream: int, timeout: float | None = None) -> int:
        """The code with which the gateway resets the stream."""
        state = self.streams[stream]
        self.pump(lambda: state.reset is not None, timeout, f"RST_STREAM on stream {stream}; has {state!r}")
        return state.reset

    def wait_goaway(self, timeout: float | None = None, code: int | None = None) -> GoAwayFrame:
        """The first GOAWAY, or the first with this code."""
        def found():
            return next((frame for frame in self.goaways if code is None or frame.error_code == code), None)
        return self.pump(found, timeout, f"GOAWAY {error_name(code) if code is not None else ''}")

    def wait_settings(self, timeout: float | None = None) -> dict:
        self.pump(lambda: self.settings_seen, timeout, "SETTINGS")
        return self.peer_settings

    def wait_closed(self, timeout: float | None = None) -> str:
        """Reads until the gateway closes; returns "eof" or "reset"."""
        try:
            self.pump(lambda: False, timeout, "the end of the connection")
        except Ended:
            pass
        return self.ended

    def alive(self, timeout: float | None = None):
        """A PING comes back."""
        count = len(self.pongs)
        self.ping()
        self.pump(lambda: len(self.pongs) > count, timeout, "an answer to PING")

    def cancel(self, stream: int, code: int = CANCEL):
        self.rst(stream, code)
        if self.streams[stream].reset is None:
            self.streams[stream].reset = code

    def reset_connection(self):
        raw = getattr(self.socket, "raw", self.socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        raw.close()
