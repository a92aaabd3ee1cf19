"""A backend that does exactly what a test tells it, byte for byte, and that takes nothing but exact requests.

Every connection has its own thread. A `script` gets the raw connection; a `handler` gets each parsed request and returns the
bytes of the answer, or None when it has sent them itself. What does not parse strictly is kept in `violations`, which the
fixture checks when the test ends: the gateway must never write a request that is not exact.
"""

import os
import re
import socket
import ssl
import struct
import threading
import time

from .client import CHUNK_SIZE, TOKEN, parse_fields
from .tls import TLSSocket
from .waiting import deadline

REQUEST_LINE = re.compile(rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) (HTTP/1\.[01])$")


class Violation(Exception):
    """The gateway wrote what is not one exact request."""


class Hangup(Exception):
    """The gateway closed the connection; `how` is "eof" or "reset"."""

    def __init__(self, how):
        super().__init__(how)
        self.how = how


class Request:
    """One request as the backend received it."""

    def __init__(self):
        self.method = ""
        self.target = ""
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.body_bytes = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self.chunked = False
        self.connection: "BackendConnection" = None
        self.at = 0.0

    def all(self, name: str) -> list[str]:
        return [v.decode("latin-1") for n, v in self.headers if n.lower() == name.lower().encode()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers} {self.body[:80]!r}>"


def reply(status=200, body: bytes = b"ok", headers=(), reason="", chunked=False) -> bytes:
    """A complete response."""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{n}: {v}" for n, v in (headers.items() if isinstance(headers, dict) else headers)]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        payload = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
        payload = body
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + payload


class BackendConnection:
    """One accepted connection."""

    def __init__(self, backend: "Backend", connected: socket.socket, number: int):
        self.backend = backend
        self.socket = connected
        self.number = number
        self.received = bytearray()
        self.buffer = bytearray()
        self.requests: list[Request] = []
        self.heads: list[Request] = []
        self.ended: str | None = None
        self.record = backend.record

    def fill(self, timeout: float | None = None):
        """Receives once; raises Hangup at the end."""
        self.socket.settimeout(timeout if timeout is not None else 60)
        try:
            data = self.socket.recv(262144)
        except TimeoutError:
            raise
        except OSError as error:
            self.note_end("reset" if isinstance(error, ConnectionResetError) else "closed here")
            raise Hangup(self.ended) from None
        if not data:
            self.note_end("eof")
            raise Hangup("eof")
        if self.record:
            self.received += data
        self.buffer += data

    def note_end(self, how):
        with self.backend.changed:
            self.ended = self.ended or how
            self.backend.changed.notify_all()

    def take(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_head(self) -> Request | None:
        """The next request's head; None when the gateway closed instead."""
        while b"\r\n\r\n" not in self.buffer:
            try:
                self.fill()
            except Hangup as hangup:
                if self.buffer:
                    if hangup.how == "eof":
                        self.backend.partial.append(bytes(self.buffer))
                    return None
                return None
        block = self.take(self.buffer.find(b"\r\n\r\n") + 4)
        line, _, rest = block.partition(b"\r\n")
        match = REQUEST_LINE.match(line)
        if not match:
            raise Violation(f"request line {line!r}")
        request = Request()
        request.at = time.monotonic()
        request.connection = self
        request.method, request.target, request.version = (part.decode() for part in match.groups())
        try:
            request.headers = parse_fields(rest)
        except AssertionError as error:
            raise Violation(str(error)) from None
        lengths, codings = request.all("content-length"), request.all("transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Violation(f"ambiguous framing {request.headers}")
        if lengths and not re.fullmatch("[0-9]{1,19}", lengths[0]):
            raise Violation(f"Content-Length {lengths[0]!r}")
        if codings and codings[0] != "chunked":
            raise Violation(f"Transfer-Encoding {codings[0]!r}")
        if len(request.all("host")) != 1:
            raise Violation(f"{len(request.all('host'))} Host fields in {request.headers}")
        request.chunked = bool(codings)
        self.heads.append(request)
        with self.backend.changed:
            self.backend.heads.append(request)
            self.backend.changed.notify_all()
        return request

    def read_body(self, request: Request, sink=None):
        """Reads the body that the head announced. Raises Hangup when it does not come whole."""
        pieces = []

        def deliver(data: bytes):
            request.body_bytes += len(data)
            if sink is not None:
                sink(data)
            else:
                pieces.append(data)

        def line() -> bytes:
            while b"\r\n" not in self.buffer:
                if b"\n" in self.buffer:
                    raise Violation(f"bare LF in chunked framing {bytes(self.buffer[:60])!r}")
                self.fill()
            return self.take(self.buffer.find(b"\r\n") + 2)[:-2]

        def exactly(count: int):
            while count:
                if not self.buffer:
                    self.fill()
                data = self.take(min(count, len(self.buffer)))
                count -= len(data)
                deliver(data)

        try:
            if request.chunked:
                while True:
                    size_line = line()
                    match = CHUNK_SIZE.match(size_line)
                    if not match or match.group(2):
                        raise Violation(f"chunk size line {size_line!r}")
                    size = int(match.group(1), 16)
                    if size == 0:
                        break
                    exactly(size)
                    if line() != b"":
                        raise Violation("chunk data is not followed by CRLF")
                block = b""
                while (field := line()) != b"":
                    block += field + b"\r\n"
                request.trailers = parse_fields(block)
            else:
                exactly(int(request.header("content-length") or 0))
        finally:
            request.body = b"".join(pieces)
        self.requests.append(request)
        with self.backend.changed:
            self.backend.requests.append(request)
            self.backend.changed.notify_all()

    def read_request(self) -> Request | None:
        """The next request with its body; None when the gateway closed instead, also in the middle of one."""
        request = self.read_head()
        if request is None:
            return None
        try:
            self.read_body(request)
        except Hangup:
            return None
        return request

    def send(self, data: bytes):
        """Sends all; a gateway that hung up is noted and ends the script."""
        try:
            self.socket.settimeout(60)
            self.socket.sendall(data)
        except OSError as error:
            self.note_end("reset" if isinstance(error, (BrokenPipeError, ConnectionResetError)) else "closed here")
            raise Hangup(self.ended) from None

    def reset(self):
        """Ends the connection with an RST."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.note_end("closed here")
        getattr(self.socket, "raw", self.socket).close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def truncate(self):
        """Over TLS: ends with a FIN but without close_notify, as an attacker on the way would."""
        self.note_end("closed here")
        self.socket.truncate()

    def close(self):
        self.note_end("closed here")
        try:
            self.socket.close()
        except OSError:
            pass

    def hang(self):
        """Reads and ignores until the gateway hangs up; returns how it did ("eof" or "reset")."""
        while True:
            try:
                self.fill()
                self.buffer.clear()
            except Hangup as hangup:
                return hangup.how
            except TimeoutError:
                continue

    def wait_end(self, seconds: float = 5.0) -> str:
        """Waits, from the test's thread, until this connection has ended; returns how."""
        end = deadline(seconds)
        with self.backend.changed:
            while self.ended is None:
                left = end - time.monotonic()
                assert left > 0, f"backend connection {self.number} still open after {seconds} s"
                self.backend.changed.wait(left)
        return self.ended


class Backend:
    """A listening backend on a free port of 127.0.0.1, or on a Unix socket.

    With `tls`, an ssl.SSLContext, it speaks HTTP/1.1 over TLS; handshakes that fail are kept in `tls_failures`.
    """

    def __init__(self, handler=None, script=None, unix: str | None = None, backlog: int = 1024, record: bool = True,
                 name: str = "", host: str = "127.0.0.1", tls=None):
        self.handler = handler or (lambda request, connection: reply(200, b"ok"))
        self.script = script
        self.name = name
        self.record = record
        self.changed = threading.Condition()
        self.connections: list[BackendConnection] = []
        self.heads: list[Request] = []       # every head that came whole
        self.requests: list[Request] = []    # every request that came whole, with its body
        self.partial: list[bytes] = []       # heads cut off by the end of their connection
        self.violations: list[str] = []
        self.unix = unix
        self.tls = tls
        self.tls_failures: list[str] = []
        self.stopping = False
        self.listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
        if unix:
            if os.path.exists(unix):
                os.unlink(unix)
            self.listener.bind(unix)
        else:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(backlog)
        self.thread = threading.Thread(target=self.accept_loop, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"unix:{self.unix}" if self.unix else f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def address(self):
        return self.unix if self.unix else ("127.0.0.1", self.port)

    def accept_loop(self):
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            if self.stopping:
                connected.close()
                return
            if not self.unix:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                connection = BackendConnection(self, connected, len(self.connections) + 1)
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def encrypted(self, connection: BackendConnection) -> bool:
        """Shakes hands; false where that fails."""
        try:
            connection.socket.settimeout(30)
            connection.socket = TLSSocket(connection.socket, self.tls, server=True)
            return True
        except (ssl.SSLError, OSError) as error:
            with self.changed:
                self.tls_failures.append(getattr(error, "reason", None) or repr(error))
                connection.ended = "no handshake"
                self.changed.notify_all()
            connection.socket.close()
            return False

    def serve(self, connection: BackendConnection):
        if self.tls is not None and not self.encrypted(connection):
            return
        try:
            if self.script is not None:
                self.script(connection)
            else:
                while (request := connection.read_request()) is not None:
                    answer = self.handler(request, connection)
                    if connection.ended:
                        break
                    if answer is not None:
                        connection.send(answer)
        except Hangup:
            pass
        except Violation as violation:
            self.violations.append(str(violation))
        except (TimeoutError, ConnectionResetError, BrokenPipeError, ssl.SSLError):
            pass
        except Exception as error:  # A fault of the test's own script: it must not go unseen.
            if not self.stopping and connection.ended is None:
                self.violations.append(f"script failed: {error!r}")
        finally:
            connection.close()

    def wait_for(self, condition, seconds: float = 5.0, what: str = ""):
        end = deadline(seconds)
        with self.changed:
            while not (result := condition()):
                left = end - time.monotonic()
                assert left > 0, f"backend: not within {seconds} s: {what}; saw {self.heads}"
                self.changed.wait(left)
        return result

    def wait_requests(self, count: int, seconds: float = 5.0) -> list[Request]:
        self.wait_for(lambda: len(self.requests) >= count, seconds, f"{count} requests")
        return list(self.requests)

    def wait_heads(self, count: int, seconds: float = 5.0) -> list[Request]:
        self.wait_for(lambda: len(self.heads) >= count, seconds, f"{count} heads")
        return list(self.heads)

    def wait_connections(self, count: int, seconds: float = 5.0) -> list[BackendConnection]:
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
        if self.unix and os.path.exists(self.unix):
            os.unlink(self.unix)
