"""A client that behaves well while others do not: one request after the other, each of which must succeed."""

import threading
import time

from .waiting import SCALE, until


class Bystander:
    """`with Bystander(lambda: sluice.h2()) as beside: attack()`; then `beside.unharmed()`.

    `open_connection` makes an H2Client or a Connection.
    """

    def __init__(self, open_connection, path: str = "/beside", pause: float = 0.01, body: bytes | None = None):
        self.open_connection = open_connection
        self.path = path
        self.pause = pause
        self.body = body
        self.faults: list[str] = []
        self.done = 0
        self.slowest = 0.0
        self.stopped = threading.Event()
        self.first = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            with self.open_connection() as client:
                while not self.stopped.is_set():
                    started = time.monotonic()
                    patience = {"timeout": 20} if hasattr(client, "streams") else {}
                    response = client.request("POST" if self.body is not None else "GET", self.path, body=self.body, **patience)
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    if response.status != 200:
                        self.faults.append(repr(response))
                    self.done += 1
                    self.first.set()
                    self.stopped.wait(self.pause)
        except Exception as error:
            self.faults.append(repr(error))
            self.first.set()

    def __enter__(self):
        self.thread.start()
        assert self.first.wait(10 * SCALE), "the first request beside does not come back"
        return self

    def served(self, more: int = 2, seconds: float = 10):
        """Waits for so many requests from here on: for the middle of an attack that lasts. The first may have been under way before."""
        wanted = self.done + more + 1
        until(lambda: self.done >= wanted or self.faults, seconds, f"{more} requests beside")

    def __exit__(self, kind, *_):
        try:
            # An attack may be over before one request is, and do its harm a moment later.
            if kind is None:
                self.served()
        finally:
            self.stopped.set()
            self.thread.join(30 * SCALE)

    def unharmed(self, seconds: float = 2.0):
        """Every request has succeeded, and none took longer than this."""
        assert self.faults == []
        assert self.slowest < seconds * SCALE, f"a request beside took {self.slowest:.2f} s"
