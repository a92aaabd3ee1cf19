"""One way to speak for both protocols: a backend and a client whose tests need not know which of the two carries them."""

import re

from .backend import Backend, Hangup, Request
from .client import Connection, Truncated
from .h2_backend import H2Backend, StreamGone
from .h2_client import H2Client, StreamReset
from .frames import Ended
from .waiting import deadline


class H1Stream:
    """A request of HTTP/1.1 with the methods of H2Stream."""

    def __init__(self, connection, request: Request):
        self.connection = connection
        self.request = request
        self.backend = connection.backend
        self.method, self.target = request.method, request.target
        self.headers = request.headers
        self.authority = request.header("host")
        self.chunked: bool | None = None
        self.body_read = not request.chunked and not request.header("content-length")
        self.answered = False

    def all(self, name):
        return self.request.all(name)

    def header(self, name):
        return self.request.header(name)

    @property
    def trailers(self):
        return self.request.trailers

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def body_bytes(self) -> int:
        return self.request.body_bytes

    @property
    def gone(self) -> bool:
        return self.connection.ended is not None

    def read_some(self, count: int):
        """Waits for so many bytes behind the head, framing counted, and takes none of them."""
        while len(self.connection.buffer) < count:
            self.connection.fill()

    def read_body(self, sink=None) -> bytes:
        if not self.body_read:
            self.body_read = True
            self.connection.read_body(self.request, sink)
        return self.request.body

    def interim(self, status: int = 103, headers=()):
        self.connection.send(head_bytes(status, pairs_of(headers)))

    def head(self, status: int = 200, headers=(), end: bool = False):
        pairs = pairs_of(headers)
        has_body = self.method != "HEAD" and status not in (204, 304)
        sized = any(name.lower() == "content-length" for name, _ in pairs)
        if end and has_body and not sized:
            pairs.append(("Content-Length", "0"))
        self.chunked = has_body and not sized and not end
        if self.chunked:
            pairs.append(("Transfer-Encoding", "chunked"))
        self.answered = True
        self.connection.send(head_bytes(status, pairs))

    def send(self, data: bytes = b"", end: bool = False):
        if self.chunked and data:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        if data:
            self.connection.send(data)
        if end:
            self.end()

    def end(self, trailers=()):
        if self.chunked:
            lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in pairs_of(trailers))
            self.connection.send(b"0\r\n" + lines + b"\r\n")

    def reply(self, status: int = 200, body: bytes = b"ok", headers=(), trailers=()):
        pairs = pairs_of(headers)
        has_body = self.method != "HEAD" and status not in (204, 304)
        if has_body and not trailers and not any(name.lower() == "content-length" for name, _ in pairs):
            pairs.append(("Content-Length", str(len(body))))
        self.head(status, pairs)
        if has_body:
            self.send(body)
            self.end(trailers)

    def abort(self):
        """Breaks off in the middle of whatever there is."""
        self.connection.reset()

    def wait_gone(self, seconds: float = 10):
        """Waits for the gateway to give up this request."""
        try:
            self.connection.hang()
        except Hangup:
            pass


def pairs_of(fields) -> list:
    return list(fields.items() if isinstance(fields, dict) else fields)


def head_bytes(status: int, pairs) -> bytes:
    return "".join([f"HTTP/1.1 {status} \r\n", *(f"{name}: {value}\r\n" for name, value in pairs), "\r\n"]).encode("latin-1")


class EitherBackend:
    """A backend of one protocol or the other. `serve` is called for each request; what has come is in `seen`."""

    def __init__(self, world, protocol: str, tls=None, **more):
        self.serve = lambda stream: (stream.read_body(), stream.reply())
        self.seen: list = []
        self.protocol = protocol
        if protocol == "h1":
            self.server: Backend | H2Backend = world.backend(script=self.script, tls=tls, **more)
        else:
            self.server = world.h2_backend(self.h2_stream, tls=tls, **more)

    @property
    def url(self) -> str:
        return self.server.url

    def instance(self) -> dict:
        return {"url": self.url, "protocol": "http/1.1" if self.protocol == "h1" else self.server.protocol}

    @property
    def connections(self):
        return self.server.connections

    def note(self, stream):
        with self.server.changed:
            self.seen.append(stream)
            self.server.changed.notify_all()

    def script(self, connection):
        while (request := connection.read_head()) is not None:
            stream = H1Stream(connection, request)
            self.note(stream)
            self.serve(stream)
            if connection.ended:
                return
            if not stream.body_read:
                connection.hang()
                return

    def h2_stream(self, stream):
        self.note(stream)
        stream.read_some = lambda count: self.server.wait_for(lambda: stream.body_bytes >= count or stream.gone, 10, "bytes of the body")
        stream.wait_gone = lambda seconds=10: self.server.wait_for(lambda: stream.gone, seconds, "the stream's end")
        stream.abort = lambda: stream.reset_with(2)
        self.serve(stream)

    def wait_seen(self, count: int, seconds: float = 5):
        self.server.wait_for(lambda: len(self.seen) >= count, seconds, f"{count} requests")
        return list(self.seen)


class EitherClient:
    """One connection of a client. A response is a Response; where it is cut off, `Cut` is raised."""

    def __init__(self, gateway, protocol: str, listener: str = "clear", **more):
        self.protocol = protocol
        self.raw: Connection | H2Client = gateway.connect(listener, **more) if protocol == "h1" else gateway.h2(listener, **more)
        self.chunked = False
        self.method = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def start(self, method: str = "GET", path: str = "/", headers=(), length: int | None = None, body: bool = False, authority: str = "app.test"):
        """Sends a head. A body may follow where `length` says of how many bytes, or where `body` says that there will be one."""
        pairs = pairs_of(headers)
        if length is not None:
            pairs.append(("content-length", str(length)))
        self.method = method
        self.chunked = body and length is None
        if self.protocol == "h1":
            if self.chunked:
                pairs.append(("transfer-encoding", "chunked"))
            lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}", *(f"{name}: {value}" for name, value in pairs)]
            self.raw.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        else:
            self.stream = self.raw.start(method, path, pairs, end=not body and length is None, authority=authority)

    def send(self, data: bytes, end: bool = False):
        """Of the body; stops without a word where the gateway wants no more of it."""
        if self.protocol == "h1":
            framed = b"%x\r\n%s\r\n" % (len(data), data) if self.chunked and data else data
            if self.chunked and end:
                framed += b"0\r\n\r\n"
            self.raw.try_send(framed)
        else:
            self.raw.send_body(self.stream, data, end=end)

    def end(self, trailers=()):
        if self.protocol == "h1":
            if self.chunked:
                lines = "".join(f"{name}: {value}\r\n" for name, value in pairs_of(trailers))
                self.raw.send(b"0\r\n" + lines.encode("latin-1") + b"\r\n")
        elif trailers:
            self.raw.send_trailers(self.stream, pairs_of(trailers))
        else:
            self.raw.data(self.stream, b"", end_stream=True)

    def wait_interim(self, status: int):
        """The next interim response."""
        interim = self.wait_interims(1)
        assert interim and interim[-1].status == status, interim
        return interim[-1]

    def wait_interims(self, count: int) -> list:
        """So many interim responses, each as it comes."""
        if self.protocol == "h1":
            return [self.raw.read_head() for _ in range(count)]
        state = self.raw.streams[self.stream]
        self.raw.pump(lambda: len(state.interim) >= count or state.has_head or state.over, what=f"{count} interim responses")
        return state.interim[:]

    def wait_for_bytes(self, data: bytes):
        """Waits until these bytes of the body have come, and takes none of them."""
        if self.protocol == "h1":
            end = deadline(self.raw.timeout)
            while data not in self.raw.buffer:
                assert self.raw.fill(end), f"ended before {data!r}; had {bytes(self.raw.buffer[:300])!r}"
        else:
            state = self.raw.streams[self.stream]
            self.raw.pump(lambda: data in b"".join(state.pieces) or state.over, what=repr(data))
            assert data in b"".join(state.pieces), state

    def finish(self, timeout: float | None = None, sink=None):
        """The whole response."""
        try:
            if self.protocol == "h1":
                return self.raw.read_response(self.method, timeout, sink)
            self.raw.streams[self.stream].sink = sink
            return self.raw.finish(self.stream, timeout)
        except (Truncated, StreamReset) as cut:
            raise Cut(cut.response) from None
        except Ended:
            raise Cut(None) from None

    def request(self, method: str = "GET", path: str = "/", headers=(), body: bytes | None = None, trailers=(), sized: bool = True,
                timeout: float | None = None, **more):
        self.start(method, path, headers, len(body) if body is not None and sized and not trailers else None,
                   body=body is not None or bool(trailers), **more)
        if body is not None:
            self.send(body, end=not trailers)
        if trailers:
            self.end(trailers)
        return self.finish(timeout)

    def abort(self):
        """The client gives the request up."""
        if self.protocol == "h1":
            self.raw.reset()
        else:
            self.raw.cancel(self.stream)

    def is_usable(self) -> bool:
        """Whether another request on this connection is answered."""
        if self.protocol == "h1":
            return self.raw.is_open()
        self.raw.alive()
        return not self.raw.goaways


class Cut(AssertionError):
    """The answer was visibly broken off; `response` is what had come, None where nothing had."""

    def __init__(self, response):
        super().__init__(f"cut off: {response!r}")
        self.response = response


def lower(fields) -> list[tuple[str, str]]:
    """Fields with their names in lower case, as text."""
    return [(bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in fields]


VIA = re.compile(r"^(1\.1|2) sluice-[0-9a-z]+$")

__all__ = ["Cut", "EitherBackend", "EitherClient", "H1Stream", "StreamGone", "VIA", "lower"]
