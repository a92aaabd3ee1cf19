"""An echo server of the library `websockets`, in a thread."""

import threading
import time
from socket import SHUT_RDWR

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from .waiting import deadline


class WebSocketBackend:
    """Echoes messages. The message `close N` makes it close with that code. `closed` lists how each socket ended: (code, reason)."""

    def __init__(self, name: str = "", limit: int | None = 64 << 20, **options):
        self.name = name
        self.violations: list[str] = []
        self.closed: list[tuple[int, str]] = []
        self.requests: list = []
        self.origins: list[str | None] = []
        self.changed = threading.Condition()
        options.setdefault("compression", None)
        self.server = serve(self.echo, "127.0.0.1", 0, max_size=limit, ping_interval=None, close_timeout=5, **options)
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.sockets: list = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def echo(self, socket):
        with self.changed:
            self.requests.append(socket.request)
            self.sockets.append(socket)
            self.changed.notify_all()
        try:
            while True:
                message = socket.recv()
                if isinstance(message, str) and message.startswith("close "):
                    socket.close(int(message.split()[1]), "as told")
                    continue
                socket.send(message)
        except ConnectionClosed as closed:
            frame = closed.rcvd or closed.sent
            with self.changed:
                self.closed.append((frame.code, frame.reason) if frame else (1006, ""))
                self.changed.notify_all()

    def wait_closed(self, count: int, seconds: float = 10) -> list[tuple[int, str]]:
        end = deadline(seconds)
        with self.changed:
            while len(self.closed) < count:
                left = end - time.monotonic()
                assert left > 0, f"{len(self.closed)} of {count} sockets have been closed: {self.closed}"
                self.changed.wait(left)
            return list(self.closed)

    def stop(self):
        for socket in self.sockets:
            try:
                socket.socket.shutdown(SHUT_RDWR)      # a close would not wake the thread that reads
            except OSError:
                pass
        self.server.shutdown()
        self.thread.join(5)
