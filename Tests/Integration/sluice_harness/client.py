"""An HTTP/1.1 client over a plain socket. It sends exactly the bytes it is given and reads a response strictly by its framing."""

import json
import re
import socket
import struct
import time

from .tls import TLSSocket
from .waiting import deadline

TOKEN = re.compile(rb"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")
STATUS_LINE = re.compile(rb"^HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?$")
VALUE = re.compile(rb"^[\t\x20-\x7e\x80-\xff]*$")
CHUNK_SIZE = re.compile(rb"^([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?$")


class Malformed(AssertionError):
    """The peer sent what is not HTTP/1.1."""


class Truncated(AssertionError):
    """The connection ended before the message did. `response` is what had come."""

    def __init__(self, text, response=None):
        super().__init__(text)
        self.response = response


class Response:
    """One response: the head, the body without its framing, the trailers, and the interim responses before it."""

    def __init__(self):
        self.status = 0
        self.reason = b""
        self.version = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.body_bytes = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self.interim: list["Response"] = []
        self.framing = ""  # none | length | chunked | close

    def all(self, name: str) -> list[str]:
        return [v.decode("latin-1") for n, v in self.headers if n.lower() == name.lower().encode()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def request_bytes(method="GET", target="/", headers=(), body: bytes | None = None, host="app.test", version="HTTP/1.1") -> bytes:
    """A request as its author wrote it; `Content-Length` is added when there is a body, and `Host` unless it is None."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in (headers.items() if isinstance(headers, dict) else headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def parse_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in block.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise Malformed(f"bad field line {line!r}")
        value = value.strip(b" \t")
        if not VALUE.match(value):
            raise Malformed(f"bad field value {line!r}")
        fields.append((name, value))
    return fields


class Connection:
    """A client's connection. `address` is (host, port), or a path for a Unix socket.

    With `tls`, an ssl.SSLContext, it is encrypted; `server_name` is then the SNI, `session` one to resume.
    """

    def __init__(self, address, source: str | None = None, timeout: float = 10.0, receive_buffer: int | None = None, tls=None,
                 server_name: str | None = None, session=None):
        self.timeout = timeout
        unix = isinstance(address, str)
        family = socket.AF_UNIX if unix else (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.was_reset = False
        if tls is not None:
            try:
                self.socket = TLSSocket(self.socket, tls, server_name, session)
            except BaseException:
                self.socket.close()
                raise

    # Sending

    def send(self, data: bytes) -> "Connection":
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)
        return self

    def try_send(self, data: bytes) -> bool:
        """Sends where a peer that already hung up is no surprise; false when it did."""
        try:
            self.send(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def request(self, method="GET", target="/", headers=(), body: bytes | None = None, **more) -> Response:
        """Sends one request and reads its response."""
        self.send(request_bytes(method, target, headers, body, **more))
        return self.read_response(method)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends the connection with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        getattr(self.socket, "raw", self.socket).close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Receiving

    def fill(self, end: float) -> bool:
        """Receives once; false at the end of the stream."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more came; so far {bytes(self.buffer[:300])!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            self.was_reset = True
            return False
        except TimeoutError:
            raise TimeoutError(f"nothing more came; so far {bytes(self.buffer[:300])!r}") from None
        self.buffer += data
        return bool(data)

    def read_until(self, mark: bytes, timeout: float | None = None) -> bytes:
        """All bytes up to and with `mark`."""
        end = deadline(timeout or self.timeout)
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill(end):
                raise Truncated(f"ended before {mark!r}; had {bytes(self.buffer[:300])!r}")
        return self.take(at + len(mark))

    def take(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_head(self, timeout: float | None = None) -> Response:
        """The next head, interim or final."""
        end = deadline(timeout or self.timeout)
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill(end):
                raise Truncated(f"no complete head before the end; had {bytes(self.buffer[:300])!r}")
        block = self.take(self.buffer.find(b"\r\n\r\n") + 4)
        line, _, rest = block.partition(b"\r\n")
        match = STATUS_LINE.match(line)
        if not match:
            raise Malformed(f"bad status line {line!r}")
        response = Response()
        response.version = line[:8]
        response.status = int(match.group(2))
        response.reason = match.group(3) or b""
        response.headers = parse_fields(rest)
        return response

    def read_response(self, method="GET", timeout: float | None = None, sink=None) -> Response:
        """The next final response. With `sink`, body pieces go to it instead of memory."""
        end = deadline(timeout or self.timeout)
        interim = []
        while True:
            response = self.read_head(timeout)
            if not (100 <= response.status < 200 and response.status != 101):
                break
            assert not response.all("content-length") and not response.all("transfer-encoding"), f"interim with framing: {response}"
            interim.append(response)
        response.interim = interim
        self.read_body(response, method, end, sink)
        return response

    def read_body(self, response: Response, method: str, end: float, sink=None):
        lengths, codings = response.all("content-length"), response.all("transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Malformed(f"ambiguous framing in {response}")
        if lengths and not re.fullmatch("[0-9]+", lengths[0]):
            raise Malformed(f"bad Content-Length in {response}")
        if response.status in (101, 204) and (lengths or codings):
            raise Malformed(f"{response.status} with framing: {response}")
        pieces = []

        def deliver(data: bytes):
            response.body_bytes += len(data)
            if sink is not None:
                sink(data)
            else:
                pieces.append(data)

        def some(limit: int) -> bytes:
            if not self.buffer and not self.fill(end):
                response.body = b"".join(pieces)
                raise Truncated(f"body ended after {response.body_bytes} bytes", response)
            return self.take(min(limit, len(self.buffer)))

        def line() -> bytes:
            while b"\r\n" not in self.buffer:
                if b"\n" in self.buffer:
                    raise Malformed(f"bare LF in chunked framing: {bytes(self.buffer[:100])!r}")
                if not self.fill(end):
                    response.body = b"".join(pieces)
                    raise Truncated(f"chunked body ended after {response.body_bytes} bytes without its last chunk", response)
            return self.take(self.buffer.find(b"\r\n") + 2)[:-2]

        if method == "HEAD" or response.status in (101, 204, 304):
            response.framing = "none"
        elif codings:
            if codings[0].lower() != "chunked":
                raise Malformed(f"unknown transfer coding in {response}")
            response.framing = "chunked"
            while True:
                size_line = line()
                match = CHUNK_SIZE.match(size_line)
                if not match:
                    raise Malformed(f"bad chunk size line {size_line!r}")
                left = int(match.group(1), 16)
                if left == 0:
                    break
                while left:
                    data = some(left)
                    left -= len(data)
                    deliver(data)
                if line() != b"":
                    raise Malformed("chunk data is not followed by CRLF")
            block = b""
            while (field := line()) != b"":
                block += field + b"\r\n"
            response.trailers = parse_fields(block)
        elif lengths:
            response.framing = "length"
            left = int(lengths[0])
            while left:
                data = some(left)
                left -= len(data)
                deliver(data)
        else:
            response.framing = "close"
            while True:
                if self.buffer:
                    deliver(self.take(len(self.buffer)))
                if not self.fill(end):
                    if self.was_reset:
                        response.body = b"".join(pieces)
                        raise Truncated("reset within a body that ends with its connection", response)
                    break
        response.body = b"".join(pieces)

    def read_to_end(self, timeout: float | None = None) -> bytes:
        """Everything until the peer closes; fails when it does not. A reset counts as a close and is noted in `was_reset`."""
        end = deadline(timeout or self.timeout)
        while self.fill(end):
            pass
        return self.take(len(self.buffer))

    def expect_closed(self, timeout: float | None = None):
        """The peer closes, and sends nothing more before it."""
        rest = self.read_to_end(timeout)
        assert rest == b"", f"bytes after the last response: {rest[:300]!r}"

    def expect_close_without_answer(self, timeout: float | None = None):
        self.expect_closed(timeout)

    def is_open(self) -> bool:
        """Whether the peer has not hung up, as far as can be seen now."""
        self.socket.setblocking(False)
        try:
            data = self.socket.recv(1, socket.MSG_PEEK)
            return bool(data)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(self.timeout)
