"""An HTTP/2 backend, over TLS or in clear text: the library h2 checks what the gateway sends, a handler answers each stream in a thread.

What h2 calls a protocol error is kept in `violations`, which the fixture looks at when the test ends. A hostile backend is a
`script` instead: it gets the connection as `Frames` and sends what it likes.
"""

import socket
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from .frames import PREFACE, Ended, Frames, HeadersFrame, SettingsFrame
from .tls import TLSSocket
from .waiting import deadline


class StreamGone(Exception):
    """The gateway reset the stream, or its connection is gone."""


class H2Stream:
    """One request, and the means to answer it. Every method may wait."""

    def __init__(self, connection: "H2BackendConnection", number: int, fields):
        self.connection = connection
        self.backend = connection.backend
        self.number = number
        self.fields = [(bytes(n), bytes(v)) for n, v in fields]
        self.headers = [(n, v) for n, v in self.fields if not n.startswith(b":")]
        self.pseudo = {n.decode(): v.decode("latin-1") for n, v in self.fields if n.startswith(b":")}
        self.method = self.pseudo.get(":method", "")
        self.target = self.pseudo.get(":path", "")
        self.authority = self.pseudo.get(":authority", "")
        self.trailers: list[tuple[bytes, bytes]] = []
        self.pieces: list[tuple[bytes, int]] = []
        self.body = b""
        self.body_bytes = 0
        self.input_ended = False
        self.reset: int | None = None
        self.at = time.monotonic()

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields}>"

    def all(self, name: str) -> list[str]:
        return [v.decode("latin-1") for n, v in self.headers if n.lower() == name.lower().encode()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def gone(self) -> bool:
        return self.reset is not None or self.connection.ended is not None

    def check(self):
        if self.gone:
            raise StreamGone(f"stream {self.number}: reset {self.reset}, connection {self.connection.ended}")

    # The request's body

    def read(self) -> bytes:
        """The next piece, and its window given back; empty at the end."""
        with self.connection.changed:
            while not self.pieces:
                if self.input_ended:
                    return b""
                self.check()
                self.connection.changed.wait(60)
            data, owed = self.pieces.pop(0)
            try:
                self.connection.engine.acknowledge_received_data(owed, self.number)
            except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError):
                pass    # the stream is over: nothing is owed
        self.connection.flush()
        return data

    def read_body(self, sink=None) -> bytes:
        """All of it. With `sink`, the pieces go there."""
        kept = bytearray()
        while piece := self.read():
            if sink is not None:
                sink(piece)
            else:
                kept += piece
        if sink is None:
            self.body = bytes(kept)
        return self.body

    # The answer

    def head(self, status: int = 200, headers=(), end: bool = False):
        pairs = headers.items() if isinstance(headers, dict) else headers
        self.do(lambda engine: engine.send_headers(
            self.number, [(":status", str(status)), *((n.lower(), str(v)) for n, v in pairs)], end_stream=end))

    def interim(self, status: int = 103, headers=()):
        pairs = headers.items() if isinstance(headers, dict) else headers
        self.do(lambda engine: engine.send_headers(self.number, [(":status", str(status)), *((n.lower(), v) for n, v in pairs)]))

    def send(self, data: bytes = b"", end: bool = False):
        """Data within the gateway's windows; waits for them."""
        try:
            self.send_pieces(data, end)
        except h2.exceptions.ProtocolError as error:
            if self.connection.goaway_received is not None:
                raise StreamGone(str(error)) from None
            raise

    def send_pieces(self, data: bytes, end: bool):
        view = memoryview(data)
        connection = self.connection
        while len(view) or end:
            with connection.changed:
                while True:
                    self.check()
                    room = min(connection.engine.local_flow_control_window(self.number), connection.engine.max_outbound_frame_size)
                    if room > 0 or not len(view):
                        break
                    connection.changed.wait(60)
                piece, view = bytes(view[:max(room, 0)]), view[max(room, 0):]
                last = end and not len(view)
                self.act(lambda engine: engine.send_data(self.number, piece, end_stream=last))
            connection.flush()
            if last:
                return

    def end(self, trailers=()):
        if trailers:
            pairs = trailers.items() if isinstance(trailers, dict) else trailers
            self.do(lambda engine: engine.send_headers(self.number, [(n.lower(), str(v)) for n, v in pairs], end_stream=True))
        else:
            self.do(lambda engine: engine.end_stream(self.number))

    def reply(self, status: int = 200, body: bytes = b"ok", headers=(), trailers=()):
        """A whole response."""
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        if not trailers and self.method != "HEAD" and status not in (204, 304) and not any(n.lower() == "content-length" for n, _ in pairs):
            pairs.append(("content-length", str(len(body))))
        empty = self.method == "HEAD" or (not body and not trailers)
        self.head(status, pairs, end=empty)
        if empty:
            return
        self.send(body, end=not trailers)
        if trailers:
            self.end(trailers)

    def reset_with(self, code: int):
        self.do(lambda engine: engine.reset_stream(self.number, code))

    abort = reset_with

    def do(self, action):
        with self.connection.changed:
            self.check()
            self.act(action)
        self.connection.flush()

    def act(self, action):
        """With the lock held. h2 lets nothing out once the stream is closed or the gateway has said GOAWAY."""
        try:
            action(self.connection.engine)
        except h2.exceptions.ProtocolError as error:
            if self.gone or self.connection.goaway_received is not None or isinstance(error, h2.exceptions.StreamClosedError):
                raise StreamGone(str(error)) from None
            raise

    def wait_reset(self, seconds: float = 10) -> int:
        """The code with which the gateway resets this stream."""
        self.backend.wait_for(lambda: self.reset is not None or self.connection.ended, seconds, f"reset of stream {self.number}")
        assert self.reset is not None, f"the connection ended ({self.connection.ended}) instead of the stream"
        return self.reset

    def wait_input_end(self, seconds: float = 10):
        self.backend.wait_for(lambda: self.input_ended or self.gone, seconds, f"the end of the body on stream {self.number}")


class H2BackendConnection:
    """One accepted connection and h2's state of it."""

    def __init__(self, backend: "H2Backend", connected, number: int):
        self.backend = backend
        self.socket = connected
        self.number = number
        self.changed = backend.changed
        self.ended: str | None = None
        self.streams: dict[int, H2Stream] = {}
        self.most_open = 0
        self.goaway_received: int | None = None
        self.send_lock = threading.Lock()
        self.pings = 0
        self.engine: h2.connection.H2Connection | None = None

    def begin(self):
        backend = self.backend
        self.engine = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=backend.exact, normalize_outbound_headers=False))
        self.engine.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: backend.max_streams,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: backend.window,
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1 if backend.connect_protocol else 0,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 65536,
        })
        self.engine.initiate_connection()
        self.engine.increment_flow_control_window(backend.connection_window - 65535)
        self.flush()

    def flush(self):
        with self.send_lock:
            with self.changed:
                data = self.engine.data_to_send()
            if data:
                try:
                    self.socket.settimeout(60)
                    self.socket.sendall(data)
                except OSError:
                    self.note_end("reset")

    def note_end(self, how: str):
        with self.changed:
            self.ended = self.ended or how
            self.changed.notify_all()

    def goaway(self, last_stream: int | None = None, code: int = 0):
        """GOAWAY; the streams up to `last_stream` go on. h2 itself would take it for the end, so the frame is written by hand."""
        with self.send_lock:
            # Nothing of a later stream may go out before this: it would have been answered and refused.
            with self.changed:
                last = max(self.streams, default=0) if last_stream is None else last_stream
            self.socket.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last.to_bytes(4, "big") + code.to_bytes(4, "big"))

    def change_settings(self, **values):
        """max_streams=, window= from now on."""
        codes = {"max_streams": h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS, "window": h2.settings.SettingCodes.INITIAL_WINDOW_SIZE}
        with self.changed:
            self.engine.update_settings({codes[name]: value for name, value in values.items()})
        self.flush()

    def close(self):
        self.note_end("closed here")
        self.stop_reading()
        try:
            self.socket.close()
        except OSError:
            pass

    def truncate(self):
        """Over TLS: a FIN without close_notify."""
        self.note_end("closed here")
        self.socket.truncate()

    def reset(self):
        self.note_end("closed here")
        raw = getattr(self.socket, "raw", self.socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.stop_reading()
        raw.close()

    def stop_reading(self):
        """A thread that waits in recv holds the socket open, whoever closes it."""
        try:
            getattr(self.socket, "raw", self.socket).shutdown(socket.SHUT_RD)
        except OSError:
            pass

    def run(self):
        self.begin()
        while self.ended is None:
            try:
                self.socket.settimeout(600)
                data = self.socket.recv(262144)
            except OSError as error:
                self.note_end("reset" if isinstance(error, ConnectionResetError) else "closed here")
                return
            if not data:
                self.note_end("eof")
                return
            with self.changed:
                try:
                    events = self.engine.receive_data(data)
                except h2.exceptions.ProtocolError as error:
                    self.backend.violations.append(f"h2: {error!r}")
                    events = []
                    self.ended = "violation"
                for event in events:
                    self.take(event)
                self.changed.notify_all()
            self.flush()

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            stream = H2Stream(self, event.stream_id, event.headers)
            self.streams[event.stream_id] = stream
            self.backend.streams.append(stream)
            self.most_open = max(self.most_open, self.engine.open_inbound_streams)
            threading.Thread(target=self.backend.serve_stream, args=(stream,), daemon=True).start()
        elif isinstance(event, h2.events.DataReceived):
            stream.body_bytes += len(event.data)
            if event.data:
                stream.pieces.append((event.data, event.flow_controlled_length))
            elif event.flow_controlled_length:
                self.engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = [(bytes(n), bytes(v)) for n, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            stream.input_ended = True
        elif isinstance(event, h2.events.StreamReset) and stream is not None:
            stream.reset = event.error_code if event.error_code is not None else 0
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway_received = event.error_code
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1


class H2Backend:
    """A listening HTTP/2 backend on a free port of 127.0.0.1."""

    def __init__(self, handler=None, script=None, tls=None, name: str = "", max_streams: int = 100, window: int = 1 << 20,
                 connection_window: int = 1 << 24, exact: bool = True, connect_protocol: bool = False):
        self.handler = handler or (lambda stream: (stream.read_body(), stream.reply(200, b"ok")))
        self.script = script
        self.tls = tls
        self.tls_failures: list[str] = []
        self.name = name
        self.max_streams = max_streams
        self.window = window
        self.connection_window = connection_window
        self.exact = exact
        self.connect_protocol = connect_protocol
        self.changed = threading.Condition(threading.RLock())
        self.connections: list[H2BackendConnection] = []
        self.streams: list[H2Stream] = []
        self.violations: list[str] = []
        self.stopping = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(1024)
        self.thread = threading.Thread(target=self.accept_loop, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def protocol(self) -> str:
        """As an instance's `protocol`."""
        return "h2" if self.tls else "h2c"

    @property
    def requests(self) -> list[H2Stream]:
        return list(self.streams)

    def accept_loop(self):
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            if self.stopping:
                connected.close()
                return
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                connection = H2BackendConnection(self, connected, len(self.connections) + 1)
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: H2BackendConnection):
        if self.tls is not None:
            try:
                connection.socket.settimeout(30)
                connection.socket = TLSSocket(connection.socket, self.tls, server=True)
            except (ssl.SSLError, OSError) as error:
                with self.changed:
                    self.tls_failures.append(getattr(error, "reason", None) or repr(error))
                connection.note_end("no handshake")
                connection.socket.close()
                return
        try:
            if self.script is not None:
                frames = Frames(connection.socket, 60)
                connection.frames = frames
                self.script(frames)
            else:
                connection.run()
        except (Ended, OSError, ssl.SSLError):
            pass
        except Exception as error:  # A fault of the test's own script: it must not go unseen.
            if not self.stopping:
                self.violations.append(f"script failed: {error!r}")
        finally:
            connection.close()

    def serve_stream(self, stream: H2Stream):
        try:
            self.handler(stream)
        except StreamGone:
            pass
        except Exception as error:  # A fault of the test's own handler: it must not go unseen.
            if not self.stopping and not stream.gone:
                self.violations.append(f"handler failed: {error!r}")

    def wait_for(self, condition, seconds: float = 5.0, what: str = ""):
        end = deadline(seconds)
        with self.changed:
            while not (result := condition()):
                left = end - time.monotonic()
                assert left > 0, f"backend: not within {seconds} s: {what}; saw {self.streams}"
                self.changed.wait(min(left, 0.25))
        return result

    def wait_streams(self, count: int, seconds: float = 5.0) -> list[H2Stream]:
        self.wait_for(lambda: len(self.streams) >= count, seconds, f"{count} streams")
        return list(self.streams)

    def wait_connections(self, count: int, seconds: float = 5.0) -> list[H2BackendConnection]:
        self.wait_for(lambda: len(self.connections) >= count, seconds, f"{count} connections")
        return list(self.connections)

    def stop(self):
        """Closes the listener and every connection."""
        self.stopping = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(5)
        for connection in self.connections:
            try:
                getattr(connection.socket, "raw", connection.socket).shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def expect_preface(frames: Frames, timeout: float = 10):
    """A script's first step: the client's preface."""
    end = deadline(timeout)
    while len(frames.buffer) < len(PREFACE):
        if not frames.fill(end):
            raise Ended("no preface")
    assert frames.buffer.startswith(PREFACE), bytes(frames.buffer[:40])
    del frames.buffer[:len(PREFACE)]


def expect_request(frames: Frames, settings=None, timeout: float = 10) -> tuple[int, list]:
    """A script's usual beginning: preface, SETTINGS both ways, and the first HEADERS, which is returned with its stream."""
    expect_preface(frames, timeout)
    frames.settings(settings or {})
    while True:
        frame = frames.read_frame(timeout)
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            frames.settings(ack=True)
        elif isinstance(frame, HeadersFrame):
            assert "END_HEADERS" in frame.flags, frame
            return frame.stream_id, frames.decoder.decode(frame.data, raw=True)
