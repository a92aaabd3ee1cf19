"""Reads the Prometheus text format."""

import re

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)(?: -?[0-9]+)?$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


class Metrics:
    """One scrape: samples by name and labels, and the types."""

    def __init__(self, text: str):
        self.text = text
        self.samples: dict[tuple[str, frozenset], float] = {}
        self.types: dict[str, str] = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                self.types[name] = kind
            elif line and not line.startswith("#"):
                match = SAMPLE.match(line)
                assert match, f"not a sample line: {line!r}"
                name, labels, value = match.groups()
                pairs = LABEL.findall(labels or "")
                assert (labels or "").rstrip(",") == ",".join(f'{k}="{v}"' for k, v in pairs), f"bad labels: {line!r}"
                key = (name, frozenset(pairs))
                assert key not in self.samples, f"sample stands twice: {line!r}"
                self.samples[key] = float(value)

    def sum(self, name: str, **labels) -> float:
        """The sum of all samples of this name that carry these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (n, pairs), v in self.samples.items() if n == name and wanted <= pairs)

    def labels(self, name: str) -> list[dict]:
        return [dict(pairs) for (n, pairs) in self.samples if n == name]

    def names(self) -> set[str]:
        return {n for n, _ in self.samples}

    def counters(self) -> dict[tuple[str, frozenset], float]:
        """Every sample that may only grow: counters, and a histogram's buckets, sum and count."""
        grown = {}
        for (name, pairs), value in self.samples.items():
            base = re.sub("_(bucket|sum|count)$", "", name)
            if self.types.get(name) == "counter" or self.types.get(base) == "histogram":
                grown[(name, pairs)] = value
        return grown
