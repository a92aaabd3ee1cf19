"""A service manager's socket (sd_notify(3)), and the stopping of single threads."""

import ctypes
import os
import socket
import threading
import time
from pathlib import Path

from .waiting import deadline


class NotifySocket:
    """Collects what a service says to its manager."""

    def __init__(self, path: Path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.messages: list[tuple[float, dict[str, str]]] = []
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            message = dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)
            with self.changed:
                self.messages.append((time.monotonic(), message))
                self.changed.notify_all()

    def wait(self, matches, seconds: float = 10, start: int = 0, what: str = "") -> dict[str, str]:
        """The first message from index `start` on that `matches`."""
        end = deadline(seconds)
        at = start
        with self.changed:
            while True:
                while at < len(self.messages):
                    if matches(self.messages[at][1]):
                        return self.messages[at][1]
                    at += 1
                left = end - time.monotonic()
                assert left > 0, f"no {what or 'such message'} within {seconds} s, but {self.messages[start:]}"
                self.changed.wait(left)

    def pings(self) -> int:
        with self.changed:
            return sum(1 for _, message in self.messages if message.get("WATCHDOG") == "1")

    def close(self):
        self.socket.close()


SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


class StoppedThread:
    """One thread of another process, stopped by ptrace(2) for as long as the `with` block lasts; the others go on."""

    def __init__(self, pid: int, name: str):
        self.task = next(
            int(task) for task in os.listdir(f"/proc/{pid}/task")
            if Path(f"/proc/{pid}/task/{task}/comm").read_text().strip() == name)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def trace(self, request: int):
        if self.libc.ptrace(request, self.task, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self.trace(SEIZE)
        self.trace(INTERRUPT)
        os.waitpid(self.task, WALL)
        return self

    def __exit__(self, *_):
        self.trace(DETACH)
