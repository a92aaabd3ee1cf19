"""A steady load from a program of its own (scripts/lib/steady_load.c), and how such programs are compiled."""

import json
import subprocess
import tempfile
from pathlib import Path

from .waiting import SCALE

REPOSITORY = Path(__file__).resolve().parents[3]
_programs: dict[str, str] = {}


def compiled(name: str) -> str:
    """The path of a program of scripts/lib, made when it is first asked for."""
    if name not in _programs:
        made = str(Path(tempfile.mkdtemp(prefix="sluice-load-")) / name)
        subprocess.run(["clang", "-O2", "-o", made, str(REPOSITORY / f"scripts/lib/{name}.c")], check=True)
        _programs[name] = made
    return _programs[name]


class SteadyLoad:
    """Requests at a rate, some on connections of their own; ends with the `with` block or after `seconds`.

    `options` are those of the program: posts=10, burst=250, records=FILE.
    """

    def __init__(self, port: int, rate: int = 1000, seconds: float = 60, connections: int = 50, new_percent: int = 10,
                 path: str = "/", **options):
        self.command = [compiled("steady_load"), "127.0.0.1", str(port), str(rate), str(seconds), str(connections), str(new_percent),
                        path, *(f"{key}={value}" for key, value in options.items())]
        self.result: dict = {}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        return self

    def run_out(self, seconds: float) -> dict:
        """Waits until all of its requests have been sent and answered."""
        self.result = json.loads(self.process.communicate(timeout=seconds * SCALE)[0])
        return self.result

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
