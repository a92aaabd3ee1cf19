"""WebSocket by hand (RFC 6455): handshakes and frames that a test controls, over HTTP/1.1 or over a stream of HTTP/2 (RFC 8441)."""

import base64
import hashlib
import os
import select
import socket
import struct
import threading

from websockets.sync.client import connect as library_connect

from .backend import BackendConnection, Hangup
from .client import Connection, Response, Truncated
from .h2_client import H2Client
from .tls import TLSSocket
from .waiting import SCALE, deadline

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def accept_of(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def frame(opcode: int, payload: bytes = b"", fin: bool = True, mask: bool = True) -> bytes:
    """One frame."""
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + masked(payload, key)


def masked(payload: bytes, key: bytes) -> bytes:
    count = len(payload)
    pattern = (key * (count // 4 + 1))[:count]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(count, "big") if count else b""


class FrameReader:
    """Takes frames from `exactly(count)`."""

    def exactly(self, count: int, timeout: float | None = None) -> bytes:
        raise NotImplementedError

    def read_frame(self, timeout: float | None = None) -> tuple[int, bytes, bool]:
        """opcode, payload, fin"""
        first, second = self.exactly(2, timeout)
        assert not first & 0x70, f"RSV bits are set: {first:#x}"
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self.exactly(2, timeout), "big")
        elif size == 127:
            size = int.from_bytes(self.exactly(8, timeout), "big")
        key = self.exactly(4, timeout) if second & 0x80 else b""
        payload = self.exactly(size, timeout)
        return first & 0x0F, masked(payload, key) if key else payload, bool(first & 0x80)

    def read_message(self, timeout: float | None = None) -> bytes:
        """The next whole message; what controls the connection in between is not expected."""
        whole = b""
        while True:
            opcode, payload, fin = self.read_frame(timeout)
            assert opcode in (CONTINUATION, TEXT, BINARY), f"opcode {opcode}: {payload!r}"
            whole += payload
            if fin:
                return whole

    def read_close(self, timeout: float | None = None) -> int:
        """The code of the close frame, which must be next; 1005 where it has none."""
        opcode, payload, _ = self.read_frame(timeout)
        assert opcode == CLOSE, (opcode, payload[:100])
        return int.from_bytes(payload[:2], "big") if payload else 1005


def handshake_fields(key: str | None = None, protocol: str = "websocket", version: str | None = "13", origin: str | None = None, more=()):
    fields = [("Connection", "Upgrade"), ("Upgrade", protocol)]
    if version is not None:
        fields.append(("Sec-WebSocket-Version", version))
    if key is not None:
        fields.append(("Sec-WebSocket-Key", key))
    if origin is not None:
        fields.append(("Origin", origin))
    return fields + list(more)


class WebSocket1(FrameReader):
    """Over HTTP/1.1. `response` is the answer to the handshake; `open` tells whether it was 101."""

    def __init__(self, connection: Connection, path: str = "/", origin: str | None = None, host: str = "app.test", headers=()):
        self.connection = connection
        key = new_key()
        self.response: Response = connection.request("GET", path, handshake_fields(key, origin=origin, more=headers), host=host)
        self.open = self.response.status == 101
        if self.open:
            assert self.response.header("sec-websocket-accept") == accept_of(key), self.response
            assert self.response.header("upgrade").lower() == "websocket", self.response

    def exactly(self, count: int, timeout: float | None = None) -> bytes:
        end = deadline(timeout or self.connection.timeout)
        while len(self.connection.buffer) < count:
            if not self.connection.fill(end):
                raise Truncated(f"the tunnel ended with {bytes(self.connection.buffer[:60])!r}")
        return self.connection.take(count)

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True, mask: bool = True):
        self.connection.send(frame(opcode, payload, fin, mask))

    def send_bytes(self, data: bytes):
        self.connection.send(data)

    def end_sending(self):
        self.connection.half_close()

    def wait_end(self, timeout: float | None = None):
        """The gateway ends its side, with nothing more before that."""
        self.connection.expect_closed(timeout)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class WebSocket2(FrameReader):
    """Over a stream of HTTP/2, by extended CONNECT."""

    def __init__(self, client: H2Client, path: str = "/", origin: str | None = None, authority: str = "app.test", headers=(),
                 own_client: bool = False):
        self.client = client
        self.own_client = own_client
        client.wait_settings()
        self.stream = client.open_stream("CONNECT")
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", client.scheme), (":path", path), (":authority", authority),
                  ("sec-websocket-version", "13")]
        if origin is not None:
            fields.append(("origin", origin))
        fields += [(name.lower(), value) for name, value in headers]
        client.headers(self.stream, fields)
        self.response = client.wait_head(self.stream)
        self.open = self.response.status == 200
        self.taken = 0

    def exactly(self, count: int, timeout: float | None = None) -> bytes:
        state = self.client.streams[self.stream]
        self.client.pump(lambda: sum(map(len, state.pieces)) >= count or state.over, timeout, f"{count} bytes on the tunnel")
        whole = b"".join(state.pieces)
        if len(whole) < count:
            raise Truncated(f"the tunnel ended with {whole[:60]!r}, reset {state.reset}")
        state.pieces[:] = [whole[count:]]
        return whole[:count]

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True, mask: bool = True):
        self.send_bytes(frame(opcode, payload, fin, mask))

    def send_bytes(self, data: bytes):
        self.client.send_body(self.stream, data, end=False, until_reset=True)

    def end_sending(self):
        self.client.data(self.stream, b"", end_stream=True)

    def wait_end(self, timeout: float | None = None):
        state = self.client.streams[self.stream]
        self.client.pump(lambda: state.over, timeout, "the end of the tunnel")
        assert b"".join(state.pieces) == b"", state.pieces

    def close(self):
        if self.own_client:
            self.client.close()
        elif not self.client.streams[self.stream].over:
            try:
                self.client.cancel(self.stream)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ServerSide(FrameReader):
    """A backend's end of a tunnel, in a `script` of Backend: reads the handshake and accepts it."""

    def __init__(self, connection, accept: bool = True):
        self.connection = connection
        self.request = connection.read_head()
        if accept and self.request is not None:
            connection.send(self.acceptance())

    def acceptance(self, protocol: str = "websocket", accept: str | None = None, more: str = "") -> bytes:
        key = self.request.header("sec-websocket-key") or ""
        return (f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
                f"Sec-WebSocket-Accept: {accept or accept_of(key)}\r\n{more}\r\n").encode()

    def exactly(self, count: int, timeout: float | None = None) -> bytes:
        while len(self.connection.buffer) < count:
            self.connection.fill(None if timeout is None else timeout * SCALE)
        return self.connection.take(count)

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True):
        self.connection.send(frame(opcode, payload, fin, mask=False))

    def echo(self):
        """Sends every frame back until the close frame, which is answered."""
        while True:
            opcode, payload, fin = self.read_frame()
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                self.send(CLOSE, payload)
                return
            else:
                self.send(opcode, payload, fin)


def echo_script(connection):
    """A Backend's `script`: an echo."""
    side = ServerSide(connection)
    if side.request is not None:
        side.echo()


# Ways in


WIRES = ["h1", "h1-tls", "h2", "h2-tls"]


def opened(sluice, wire: str, path: str = "/", **more):
    """A WebSocket by one of the four ways in; it must open."""
    made = asked(sluice, wire, path, **more)
    assert made.open, made.response
    return made


def asked(sluice, wire: str, path: str = "/", timeout: float = 10, connection=None, **more):
    """`connection` is what is said of the client's connection besides."""
    listener = "secure" if wire.endswith("tls") else "clear"
    if wire.startswith("h1"):
        return WebSocket1(sluice.connect(listener, timeout=timeout, **(connection or {})), path, **more)
    return WebSocket2(sluice.h2(listener, timeout=timeout, **(connection or {})), path, own_client=True, **more)


def echoes(socket_, payload: bytes, opcode: int = BINARY):
    socket_.send(opcode, payload)
    assert socket_.read_frame() == (opcode, payload, True)


def until_stuck(raw: socket.socket, data: bytes, patience: float = 0.5) -> int:
    """Sends until nothing more is taken for a while; returns how much was."""
    raw.setblocking(False)
    at, view = 0, memoryview(data)
    while at < len(view) and select.select([], [raw], [], patience)[1]:
        at += raw.send(view[at:at + 262144])
    raw.setblocking(True)
    return at


def nothing_comes(reader, seconds: float = 0.4):
    """For a moment nothing arrives, neither bytes nor an end."""
    try:
        came = reader.exactly(1, seconds)
    except TimeoutError:
        return
    raise AssertionError(f"something came: {came!r}")


def library(sluice, wire: str, path: str = "/", **more):
    """A client of the library `websockets`.

    TLS is ours, behind a pair of sockets: the library reads in a thread while it writes, and over a socket of Python's `ssl` one
    handshake in 200 is lost, with any server.
    """
    listener = "secure" if wire.endswith("tls") else "clear"
    connected = sluice.connect(listener).socket
    if wire.endswith("tls"):
        connected = plain_end(connected)
    return library_connect(f"ws://app.test:{sluice.ports[listener]}{path}", sock=connected, max_size=64 << 20, ping_interval=None,
                           open_timeout=10, close_timeout=5, **{"compression": None, **more})


def plain_end(encrypted: TLSSocket) -> socket.socket:
    """A socket whose bytes come out of a TLS connection and go into it."""
    near, far = socket.socketpair()
    encrypted.settimeout(None)

    def pump(source, target):
        try:
            while data := source.recv(262144):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def both():
        back = threading.Thread(target=pump, args=(encrypted, far), daemon=True)
        back.start()
        pump(far, encrypted)
        back.join(60)
        far.close()
        encrypted.raw.close()
    threading.Thread(target=both, daemon=True).start()
    return near


class Held:
    """A backend's script that shakes hands and hands its end of each tunnel to the test."""

    def __init__(self):
        self.sides: list[ServerSide] = []
        self.changed = threading.Condition()
        self.over = threading.Event()

    def __call__(self, connection):
        side = ServerSide(connection)
        if side.request is None:
            return
        with self.changed:
            self.sides.append(side)
            self.changed.notify_all()
        self.over.wait(60)

    def wait(self, count: int = 1) -> ServerSide:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.sides) >= count, 10)
            return self.sides[count - 1]


def ends(connection: BackendConnection, seconds: float = 5) -> str:
    """How the gateway ends the backend's connection, read by the test."""
    try:
        while True:
            connection.fill(seconds)
    except Hangup as hangup:
        return hangup.how
