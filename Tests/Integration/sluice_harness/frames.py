"""HTTP/2 frame by frame, for either end: hyperframe writes and reads them, hpack the field blocks, and nothing is checked or answered."""

import struct
import time

import hpack
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (ContinuationFrame, DataFrame, ExtensionFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame,
                              PushPromiseFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from .waiting import deadline

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, \
    COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(14)
ERROR_NAMES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
               "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY",
               "HTTP_1_1_REQUIRED")

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8

END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x4, 0x8, 0x20
ACK = 0x1
DATA_TYPE, HEADERS_TYPE, PRIORITY_TYPE, RST_TYPE, SETTINGS_TYPE, PUSH_TYPE, PING_TYPE, GOAWAY_TYPE, WINDOW_TYPE, CONTINUATION_TYPE = range(10)

__all__ = [name for name in dir() if name.isupper() or name.endswith("Frame")] + ["Frames", "raw_frame", "Ended", "frame_name"]


def raw_frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """Any frame, right or wrong."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def frame_name(frame: Frame) -> str:
    return type(frame).__name__.removesuffix("Frame")


class Ended(AssertionError):
    """The peer closed the connection."""


class Frames:
    """A socket as a sequence of frames."""

    def __init__(self, socket, timeout: float = 10.0):
        self.socket = socket
        self.timeout = timeout
        self.buffer = bytearray()
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder(max_header_list_size=2 ** 24)
        self.ended: str | None = None    # "eof" or "reset"

    # Sending

    def send_bytes(self, data: bytes):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)
        return self

    def try_send(self, data: bytes) -> bool:
        """Sends where a peer that already hung up is no surprise; false when it did."""
        try:
            self.send_bytes(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send_frame(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None):
        return self.send_bytes(raw_frame(kind, flags, stream, payload, length))

    def settings(self, values=None, ack: bool = False):
        pairs = values.items() if isinstance(values, dict) else (values or ())
        return self.send_frame(SETTINGS_TYPE, ACK if ack else 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))

    def block(self, fields) -> bytes:
        """The fields, compressed as they are: no order, case or content is looked at."""
        return self.encoder.encode([(as_bytes(name), as_bytes(value)) for name, value in fields])

    @staticmethod
    def literal_block(fields) -> bytes:
        """The fields without indices and without Huffman coding: any byte can stand in them."""
        block = bytearray()
        for name, value in fields:
            block.append(0)
            for text in (as_bytes(name), as_bytes(value)):
                block += integer(len(text), 7) + text
        return bytes(block)

    def headers(self, stream: int, fields, end_stream: bool = False, end_headers: bool = True, literal: bool = False, flags: int = 0):
        block = self.literal_block(fields) if literal else self.block(fields)
        return self.header_block(stream, block, end_stream, end_headers, flags)

    def header_block(self, stream: int, block: bytes, end_stream: bool = False, end_headers: bool = True, flags: int = 0,
                     frame_size: int = 16384):
        """A block in as many CONTINUATION frames as it needs."""
        pieces = [block[at:at + frame_size] for at in range(0, len(block), frame_size)] or [b""]
        out = b""
        for index, piece in enumerate(pieces):
            last = END_HEADERS if end_headers and index == len(pieces) - 1 else 0
            if index == 0:
                out += raw_frame(HEADERS_TYPE, flags | (END_STREAM if end_stream else 0) | last, stream, piece)
            else:
                out += raw_frame(CONTINUATION_TYPE, last, stream, piece)
        return self.send_bytes(out)

    def continuation(self, stream: int, block: bytes = b"", end_headers: bool = False):
        return self.send_frame(CONTINUATION_TYPE, END_HEADERS if end_headers else 0, stream, block)

    def data(self, stream: int, payload: bytes = b"", end_stream: bool = False):
        """One DATA frame, whatever the windows say."""
        return self.send_frame(DATA_TYPE, END_STREAM if end_stream else 0, stream, payload)

    def rst(self, stream: int, code: int = CANCEL):
        return self.send_frame(RST_TYPE, 0, stream, struct.pack(">I", code))

    def ping(self, payload: bytes = b"sluice!!", ack: bool = False):
        return self.send_frame(PING_TYPE, ACK if ack else 0, 0, payload)

    def window_update(self, stream: int, increment: int):
        return self.send_frame(WINDOW_TYPE, 0, stream, struct.pack(">I", increment))

    def goaway(self, last_stream: int = 0, code: int = NO_ERROR, text: bytes = b""):
        return self.send_frame(GOAWAY_TYPE, 0, 0, struct.pack(">II", last_stream, code) + text)

    def priority(self, stream: int, depends_on: int = 0, weight: int = 15, exclusive: bool = False):
        return self.send_frame(PRIORITY_TYPE, 0, stream, struct.pack(">IB", depends_on | (0x80000000 if exclusive else 0), weight))

    # Receiving

    def fill(self, end: float) -> bool:
        """Receives once; false at the end."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("no frame came")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            self.ended = "reset"
            return False
        except TimeoutError:
            raise TimeoutError("no frame came") from None
        if not data:
            self.ended = "eof"
        self.buffer += data
        return bool(data)

    def buffered_frame(self) -> Frame | None:
        """The next frame that has come whole."""
        if len(self.buffer) < 9:
            return None
        size = int.from_bytes(self.buffer[:3], "big")
        if len(self.buffer) < 9 + size:
            return None
        head, payload = bytes(self.buffer[:9]), bytes(self.buffer[9:9 + size])
        del self.buffer[:9 + size]
        try:
            frame, _ = Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(payload))
        except HyperframeError as error:
            raise AssertionError(f"not a frame: {head + payload[:40]!r}: {error}") from None
        return frame

    def read_frame(self, timeout: float | None = None) -> Frame:
        """The next frame; raises Ended at the end of the stream."""
        end = deadline(timeout or self.timeout)
        while (frame := self.buffered_frame()) is None:
            if not self.fill(end):
                raise Ended(f"the connection ended ({self.ended}) with {bytes(self.buffer[:60])!r}")
        return frame

    def read_to_end(self, timeout: float | None = None) -> bytes:
        """All bytes until the peer closes, whatever they are."""
        end = deadline(timeout or self.timeout)
        while self.fill(end):
            pass
        return bytes(self.buffer)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def as_bytes(text) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("latin-1")


def integer(value: int, bits: int) -> bytes:
    """An HPACK integer with a prefix of this many bits, the others 0 (RFC 7541 §5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    out = bytearray([limit])
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)
