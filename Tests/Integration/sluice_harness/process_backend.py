"""A backend in a process of its own (scripts/lib/fault_backend.c): quick, and it can be killed, stopped and told to fail."""

import json
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from .load import compiled
from .process import free_port
from .waiting import until

ROW = struct.Struct("<QQIIQ")


class ProcessBackend:
    """Answers 200 with `X-Backend: NAME` until `order` says otherwise; the keys are told in the C file."""

    def __init__(self, name: str = "a", **orders):
        self.name = name
        self.port = free_port()
        self.records = str(Path(tempfile.mkdtemp(prefix="sluice-backend-")) / "records")
        self.violations: list[str] = []
        self.process = None
        self.start()
        if orders:
            self.order(**orders)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def instance(self) -> str:
        """As metrics and the log name it."""
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([compiled("fault_backend"), str(self.port), self.name, self.records])
        until(self.accepts, 5, "the backend listens")

    def accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            assert self.process.poll() is None, "the backend ended"
            return False

    def kill(self):
        """SIGKILL: its port refuses from now on."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        """SIGSTOP: the kernel goes on accepting, nobody answers."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def ask(self, path: str) -> dict:
        return json.loads(urllib.request.urlopen(f"{self.url}/_/{path}", timeout=10).read())

    def order(self, **values):
        self.ask("set?" + "&".join(f"{key}={value}" for key, value in values.items()))

    def counts(self) -> dict:
        """requests, checks, bytes, accepted, open, running, most."""
        return self.ask("")

    @property
    def requests(self) -> int:
        """How many it has received, over all its lives; checks are not among them."""
        with open(self.records, "rb") as file:
            return int.from_bytes(file.read(8), "little")

    def numbers(self) -> list[int]:
        """The X-Number of each."""
        with open(self.records, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            data = memory[64:64 + int.from_bytes(memory[:8], "little") * ROW.size]
        return [row[0] for row in ROW.iter_unpack(data)]

    def stop(self):
        if self.process.poll() is None:
            self.resume()
            self.kill()
        shutil.rmtree(os.path.dirname(self.records), ignore_errors=True)
