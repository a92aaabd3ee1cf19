"""A steady load from a program of its own (scripts/lib/steady_load.c)."""

import json
import subprocess
import tempfile
from pathlib import Path

from .waiting import SCALE

REPOSITORY = Path(__file__).resolve().parents[3]
_program: list[str] = []


def program() -> str:
    if not _program:
        made = str(Path(tempfile.mkdtemp(prefix="sluice-load-")) / "steady_load")
        subprocess.run(["clang", "-O2", "-o", made, str(REPOSITORY / "scripts/lib/steady_load.c")], check=True)
        _program.append(made)
    return _program[0]


class SteadyLoad:
    """Requests at a rate, some on connections of their own; ends with the `with` block or after `seconds`."""

    def __init__(self, port: int, rate: int = 1000, seconds: float = 60, connections: int = 50, new_percent: int = 10, path: str = "/"):
        self.command = [program(), "127.0.0.1", str(port), str(rate), str(seconds), str(connections), str(new_percent), path]
        self.result: dict = {}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        return self

    def finish(self) -> dict:
        if not self.result:
            self.process.terminate()
            self.result = json.loads(self.process.communicate(timeout=30 * SCALE)[0])
        return self.result

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
            self.process.wait()
        else:
            self.finish()

    def lost(self) -> dict:
        """What did not come back as it should."""
        names = ("unanswered", "wrong_status", "resets", "closed_early", "connect_failures")
        return {name: self.result[name] for name in names if self.result[name]}
