"""HTTP/1.1 and HTTP/2 behind one set of words, on either side of the gateway: a test that is written in them runs for all four pairs."""

import threading
import time

from .backend import Backend, BackendConnection, Hangup, Request
from .client import Connection, Response, Truncated
from .h2_backend import H2Backend, H2Stream, StreamGone
from .h2_client import H2Client, StreamReset
from .waiting import deadline


class Gone(Exception):
    """The gateway has given this request up."""


class CutOff(AssertionError):
    """The answer did not come whole. `response` is what had come."""

    def __init__(self, text: str, response: Response | None):
        super().__init__(text)
        self.response = response


# The backend's side: handler(exchange)


class Exchange1:
    """A request over HTTP/1.1 and its answer. The answer's body is chunked unless its head has a length."""

    def __init__(self, connection: BackendConnection, request: Request):
        self.connection = connection
        self.request = request
        self.method, self.target = request.method, request.target
        self.chunked = False
        self.read = False

    def header(self, name: str) -> str | None:
        return self.request.header(name)

    def send_bytes(self, data: bytes):
        try:
            self.connection.send(data)
        except Hangup:
            raise Gone from None

    def read_body(self, sink=None) -> bytes:
        self.read = True
        try:
            self.connection.read_body(self.request, sink)
        except Hangup:
            raise Gone from None
        return self.request.body

    @property
    def trailers(self) -> list:
        return self.request.trailers

    def go_on(self):
        self.send_bytes(b"HTTP/1.1 100 Continue\r\n\r\n")

    def interim(self, status: int, headers=()):
        self.send_bytes(f"HTTP/1.1 {status} x\r\n".encode() + block_of(headers) + b"\r\n")

    def head(self, status: int = 200, headers=(), end: bool = False):
        has_length = any(name.lower() == "content-length" for name, _ in headers)
        bodyless = self.method == "HEAD" or status in (204, 304)
        self.chunked = not has_length and not end and not bodyless
        more = [("Transfer-Encoding", "chunked")] if self.chunked else ([("Content-Length", "0")] if end and not has_length and not bodyless else [])
        self.send_bytes(f"HTTP/1.1 {status} x\r\n".encode() + block_of([*headers, *more]) + b"\r\n")

    def send(self, data: bytes):
        if data:
            self.send_bytes(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def end(self, trailers=()):
        if self.chunked:
            self.send_bytes(b"0\r\n" + block_of(trailers) + b"\r\n")

    def abort(self):
        self.connection.reset()

    def wait_gone(self, seconds: float = 10):
        """Waits until the gateway has given the request up; what still comes of the body is thrown away."""
        end = deadline(seconds)
        while time.monotonic() < end:
            try:
                self.connection.fill(0.2)
                self.connection.buffer.clear()
            except TimeoutError:
                continue
            except Hangup:
                return
        raise AssertionError("the gateway has not given the request up")


class Exchange2:
    """The same over HTTP/2."""

    def __init__(self, stream: H2Stream):
        self.stream = stream
        self.method, self.target = stream.method, stream.target
        self.ended = False

    def header(self, name: str) -> str | None:
        return self.stream.authority if name.lower() == "host" else self.stream.header(name)

    def guarded(self, action, *arguments, **more):
        try:
            return action(*arguments, **more)
        except StreamGone:
            raise Gone from None

    def read_body(self, sink=None) -> bytes:
        return self.guarded(self.stream.read_body, sink)

    @property
    def trailers(self) -> list:
        return self.stream.trailers

    def go_on(self):
        self.guarded(self.stream.interim, 100)

    def interim(self, status: int, headers=()):
        self.guarded(self.stream.interim, status, list(headers))

    def head(self, status: int = 200, headers=(), end: bool = False):
        self.ended = end or self.method == "HEAD" or status in (204, 304)
        self.guarded(self.stream.head, status, list(headers), end=self.ended)

    def send(self, data: bytes):
        if data:
            self.guarded(self.stream.send, data)

    def end(self, trailers=()):
        if not self.ended:
            self.guarded(self.stream.end, list(trailers))

    def abort(self):
        self.guarded(self.stream.reset_with, 2)

    def wait_gone(self, seconds: float = 10):
        self.stream.backend.wait_for(lambda: self.stream.gone, seconds, "the end of the stream")


def block_of(fields) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields)


def exchange_backend(world, protocol: str, handler, **more) -> Backend | H2Backend:
    """A backend that answers with `handler(exchange)`. Faults of the handler are violations; that the gateway has gone is none."""
    if protocol == "h2":
        def serve_stream(stream):
            try:
                handler(Exchange2(stream))
            except Gone:
                pass
        return world.h2_backend(serve_stream, **more)

    def script(connection):
        while (request := connection.read_head()) is not None:
            exchange = Exchange1(connection, request)
            try:
                handler(exchange)
                if not exchange.read and not connection.ended:
                    connection.read_body(request)
            except Gone:
                return
            if connection.ended:
                return
    return world.backend(script=script, **more)


# The client's side


class Client1:
    """One request at a time over HTTP/1.1."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.method = ""
        self.chunked = False

    def start(self, method: str, target: str, headers=(), length: int | None = None, end: bool = True):
        """Sends a head. With `end=False` a body follows, of this length or in chunks."""
        self.method = method
        self.chunked = not end and length is None
        more = [("Transfer-Encoding", "chunked")] if self.chunked else ([("Content-Length", length)] if length is not None else [])
        self.connection.send(f"{method} {target} HTTP/1.1\r\nHost: app.test\r\n".encode() + block_of([*headers, *more]) + b"\r\n")

    def send(self, data: bytes):
        if data:
            self.connection.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def try_send(self, data: bytes) -> bool:
        try:
            self.send(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def finish(self, trailers=()):
        if self.chunked:
            self.connection.try_send(b"0\r\n" + block_of(trailers) + b"\r\n")

    def interim(self, status: int, timeout: float = 5) -> Response:
        """The next interim answer."""
        response = self.connection.read_head(timeout)
        assert response.status == status, response
        return response

    def response(self, timeout: float = 10, sink=None) -> Response:
        try:
            return self.connection.read_response(self.method, timeout, sink)
        except Truncated as cut:
            raise CutOff(str(cut), cut.response) from None

    def abort(self):
        self.connection.reset()

    def close(self):
        self.connection.close()


class Client2:
    """The same over HTTP/2, a stream for each request."""

    def __init__(self, client: H2Client):
        self.client = client
        self.stream = 0

    def start(self, method: str, target: str, headers=(), length: int | None = None, end: bool = True):
        more = [("content-length", length)] if length is not None else []
        self.stream = self.client.start(method, target, [*headers, *more], end=end)

    @property
    def state(self):
        return self.client.streams[self.stream]

    def send(self, data: bytes):
        self.client.send_body(self.stream, data, end=False)

    def try_send(self, data: bytes) -> bool:
        self.send(data)
        return not self.state.over

    def finish(self, trailers=()):
        if self.state.over:
            return
        if trailers:
            self.client.send_trailers(self.stream, [(name.lower(), value) for name, value in trailers])
        else:
            self.client.data(self.stream, b"", end_stream=True)

    def interim(self, status: int, timeout: float = 5) -> Response:
        self.client.pump(lambda: self.state.interim or self.state.over, timeout, f"an interim answer {status}")
        assert self.state.interim and self.state.interim[-1].status == status, self.state
        return self.state.interim[-1]

    def response(self, timeout: float = 10, sink=None) -> Response:
        self.state.sink = sink
        try:
            return self.client.finish(self.stream, timeout)
        except StreamReset as reset:
            raise CutOff(str(reset), reset.response if reset.response.has_head else None) from None

    def abort(self):
        self.client.cancel(self.stream)

    def close(self):
        self.client.close()


def exchange_client(sluice, protocol: str, listener: str = "clear") -> Client1 | Client2:
    return Client2(sluice.h2(listener)) if protocol == "h2" else Client1(sluice.connect(listener))


def field(response: Response, name: str) -> str | None:
    """A trailer's value."""
    found = [value.decode("latin-1") for key, value in response.trailers if key.lower() == name.lower().encode()]
    return found[0] if found else None


class Gate:
    """Something that the backend waits for and the test opens."""

    def __init__(self):
        self.event = threading.Event()

    def open(self):
        self.event.set()

    def wait(self, seconds: float = 10):
        assert self.event.wait(seconds), "the gate stays shut"
