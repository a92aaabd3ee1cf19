"""Measures the figures of docs/resilience.md one by one and prints them beside what they may be. For scripts/chaos --figures."""
import re
import subprocess
import sys
import time
from pathlib import Path

import bench
from chaos_parts import ANSWERED, Failed, Load, Watcher, World, is_lost, milliseconds, quantile, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
RESPONSE = {"timeouts": {"response": "1s"}}
CHECKS = {"health_check": {"path": "/health", "interval": "30s"}}
OFF = {"enabled": False}


class Figure:
    """One row: what, at most, measured. `text` overrides how the measured value is written."""

    def __init__(self, what: str, most: float, value: float, unit: str, digits: int = 2):
        self.what, self.most, self.value, self.unit, self.digits = what, most, value, unit, digits

    @property
    def holds(self) -> bool:
        return self.value <= self.most

    def written(self, value: float) -> str:
        if self.unit == "%":
            return f"{value * 100:.{self.digits}f} %"
        return f"{value:.{self.digits}f} {self.unit}".strip()

    def row(self) -> str:
        most = self.written(self.most).replace(f".{'0' * self.digits}", "") if self.digits else self.written(self.most)
        return f"| {self.what} | {most} | {self.written(self.value)} | {'holds' if self.holds else 'BROKEN'} |"


def between(rows, start: float, end: float):
    return [row for row in rows if start <= row.due < end]


def failed(rows) -> float:
    """The share of requests that did not get 200."""
    return sum(row.status != 200 or row.outcome != ANSWERED for row in rows) / max(1, len(rows))


def arrived(world: World, start: float, end: float) -> int:
    return sum(1 for backend in world.backends for one in backend.seen() if start <= one.at < end)


def kill(world: World):
    victim = world.three()[0]
    world.run({**CHECKS, **RESPONSE})
    world.watcher = watcher = Watcher(world.daemon)
    load = Load(world, 2000, 60, 1000)
    time.sleep(3)
    start = time.monotonic()
    victim.kill()
    time.sleep(10.5)
    load.finish()
    watcher.stop()
    rows = [row for row in between(load.rows(), start, start + 10) if not row.is_post]
    last = watcher.last_try(victim.instance, start, start + 10)
    yield Figure("one of three instances killed under load: GETs that failed in the following 10 s", 0.001, failed(rows), "%", 3)
    yield Figure("the same: time until none goes there", 5, max(0.0, (last or start) - start), "s")


def stop(world: World):
    victim = world.three()[0]
    world.run({**CHECKS, **RESPONSE})
    world.watcher = watcher = Watcher(world.daemon)
    load = Load(world, 2000, 60, 1000)
    time.sleep(3)
    start = time.monotonic()
    victim.stop()
    time.sleep(10)
    end = time.monotonic()
    victim.resume()
    time.sleep(1)
    load.finish()
    watcher.stop()
    # What it was sent while it stood, it reads now; each request says when its client sent it.
    sent = {row.number: row.sent for row in load.rows()}
    last = max((sent[one.number] for one in victim.seen() if one.at >= end and start <= sent.get(one.number, 0) < end), default=start)
    counted = watcher.last_try(victim.instance, start, end)
    if counted is not None:
        last = max(last, counted - 1)
    elif watcher.first_state(victim.instance, "failed", start, end) is None:
        raise Failed("stop: the instance was never FAILED")
    yield Figure("the same with SIGSTOP, response timeout 1 s: time until none goes there", 5, last - start, "s")


def down(world: World):
    worst = 0.0
    for breaker in ({}, {"circuit_breaker": OFF}):
        world.three()
        world.run({**CHECKS, **breaker})
        load = Load(world, 2000, 60, 1000)
        time.sleep(1)
        for backend in world.backends:
            backend.kill()
        start = time.monotonic()
        time.sleep(6)
        load.finish()
        rows = between(load.rows(), start + 1, start + 6)
        times = milliseconds(row for row in rows if row.status == 503)
        if len(times) < 0.99 * len(rows) or any(is_lost(row) for row in rows):
            raise Failed(f"down: {len(times)} of {len(rows)} requests were answered 503")
        worst = max(worst, quantile(times, 0.99))
        world.close()
    yield Figure("all instances down, 2,000 requests/s: p99 of the 503", 5, worst, "ms")


def breaker(world: World):
    """Tripped and reset by hand, ten times: the last request that a backend receives, the last one that is refused."""
    world.three()
    daemon = world.run({})
    load = Load(world, 2000, 60, 200, posts=0)
    time.sleep(0.5)
    worst = 0.0
    for _ in range(10):
        marks = [backend.count() for backend in world.backends]
        tripped = time.monotonic()
        if daemon.admin("POST", "/breakers/app/trip")[0] != 200:
            raise Failed("breaker: it cannot be tripped")
        time.sleep(0.3)
        last = max((one.at for backend, mark in zip(world.backends, marks) for one in backend.seen(mark)), default=tripped)
        reset = time.monotonic()
        daemon.admin("POST", "/breakers/app/reset")
        time.sleep(0.3)
        refused = max((row.sent for row in between(load.rows(), reset - 0.1, reset + 1) if row.status == 503), default=reset)
        worst = max(worst, last - tripped, refused - reset)
    load.finish()
    if not any(row.status == 503 for row in load.rows()):
        raise Failed("breaker: tripped, it refused nothing")
    yield Figure("a breaker's change until all workers act on it (the longest of 20)", 50, worst * 1000, "ms")


def retries(world: World):
    world.three()
    world.run({"retry": {"attempts": 2, "retry_on": ["5xx"]}, "circuit_breaker": OFF})
    for backend in world.backends:
        backend.order(status=503)
    load = Load(world, 2000, 5, 500, posts=0)
    load.process.wait(20)
    load.finish()
    upstream = sum(backend.count() for backend in world.backends)
    if upstream <= load.result["sent"]:
        raise Failed("retries: nothing was tried again")
    yield Figure("all backends answer 503: upstream requests per client request", 1.2, upstream / load.result["sent"], "", 3)


def open_breaker(world: World):
    """Without checks, healed while the breaker is open for the first time; with checks that fail as the requests do, later."""
    reached = healed_after = 0.0
    for checks, outage in (({}, 4.0), ({"health_check": {"path": "/health", "interval": "1s"}}, 8.0)):
        world.three()
        world.run({"retry": {"attempts": 2, "retry_on": ["5xx"]}, "circuit_breaker": {"open_timeout": "5s"}, **checks})
        load = Load(world, 2000, 60, 500, posts=0)
        time.sleep(1)
        start = time.monotonic()
        for backend in world.backends:
            backend.order(status=503, health=503)
        time.sleep(outage)
        arrivals = arrived(world, start + 3, start + outage)
        requests = len(between(load.rows(), start + 3, start + outage))
        healed = time.monotonic()
        for backend in world.backends:
            backend.order(status=200, health=200)
        served = wait_for(lambda: next((row.done for row in load.rows() if row.status == 200 and row.done > healed), None), 60,
                          "a request is served after the backends are well")
        load.finish()
        reached = max(reached, arrivals / max(1, requests))
        healed_after = max(healed_after, served - healed)
        world.close()
    yield Figure("the same, breaker on: share of the requests that reach a backend 3 s later", 0.03, reached, "%")
    yield Figure("the same, open time 5 s: time to serve after they heal", 7, healed_after, "s")


def stale(world: World):
    world.three()
    daemon = world.run({})
    for backend in world.backends:
        backend.order(idle=200)
    load = Load(world, 400, 15, 200, posts=0, burst=250)
    load.process.wait(40)
    load.finish()
    wrong = sum(row.status != 200 or row.outcome != ANSWERED for row in load.rows())
    if daemon.metrics().sum("sluice_circuit_breaker_transitions_total", service="app", to="open"):
        raise Failed("stale: connections that were closed while idle opened the breaker")
    yield Figure(f"backends that close idle connections after 200 ms, bursts every 250 ms: failed GETs of {load.result['sent']}", 0,
                 wrong, "", 0)


def outlier(world: World):
    """All defaults: detection is on, checks are there and pass."""
    world.three()[0].order(status=500)
    world.run({**CHECKS})
    load = Load(world, 2000, 11, 500, posts=0)
    start = time.monotonic()
    load.process.wait(30)
    load.finish()
    rows = between(load.rows(), start + 5, start + 10)
    yield Figure("one backend answers 500 while its checks pass: errors after 5 s", 0.01, failed(rows), "%")


def slow(world: World):
    a, b, c = world.three()
    a.order(delay=5)
    b.order(delay=5)
    c.order(delay=900)
    world.run({"load_balancer": {"algorithm": "p2c_ewma"}, **CHECKS})
    load = Load(world, 1000, 16, 500, posts=0)
    start = time.monotonic()
    load.process.wait(30)
    load.finish()
    # Where a request went, by when its client sent it: the slow one answers what it got in the end, too.
    numbers = {row.number for row in between(load.rows(), start + 10, start + 15)}
    shares = [sum(one.number in numbers for one in backend.seen()) for backend in world.backends]
    yield Figure("one backend slows to 900 ms, the others take 5: its share under p2c_ewma after 10 s", 0.05,
                 shares[2] / max(1, sum(shares)), "%")


# Every instance is the same nginx, by another address of the loopback interface.
THREE = '{{url: "http://127.0.0.1:{backend}"}}, {{url: "http://127.0.0.2:{backend}"}}, {{url: "http://127.0.0.3:{backend}"}}'
ROAD = "circuit_breaker: {{enabled: false}}, outlier_detection: {{enabled: false}}, retry: {{enabled: false}}"
ALL_ON = ("load_balancer: {{algorithm: p2c_ewma, slow_start: 30s}}, health_check: {{path: /ok, interval: 1s, degraded_latency: 1s}}, "
          "circuit_breaker: {{slow_call_duration: 5s, slow_call_rate_threshold: 50%}}, outlier_detection: {{ejection_time: 30s}}, "
          "retry: {{retry_on: [5xx, timeout, connect_failure, stale_connection], per_try_timeout: 10s}}, "
          "adaptive_concurrency: {{min: 100, max: 1000}}, fallback: {{status: 503, body: sorry}}")


def instructions(world: World):
    """callgrind on runs of different length, as scripts/bench --instructions."""
    bench.BACKEND = bench.BACKEND.replace(
        "listen 127.0.0.1:{port} backlog=4096;", "".join(f"listen 127.0.0.{n}:{{port}} backlog=4096; " for n in (1, 2, 3)))
    plain = bench.OURS
    made = bench.Bench(world.folder)
    per_request = []
    try:
        made.sluice = str(world.folder / "stripped")
        subprocess.run(["strip", "--strip-debug", "-o", made.sluice, bench.SLUICE], check=True)
        for more in (ROAD, ALL_ON):
            bench.OURS = plain.replace('{{url: "http://127.0.0.1:{backend}"}}', THREE).replace("pool: {{", f"{more}, pool: {{{{")
            totals = []
            for seconds in (2, 10):
                output = world.folder / "callgrind.out"
                output.unlink(missing_ok=True)
                with made.proxy("sluice", ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}"]) as (_, port):
                    requests, fault = made.load(port, "h1-small", seconds)
                    if fault:
                        raise Failed(f"instructions: {fault}")
                totals.append((int(re.search(r"^(?:summary|totals): (\d+)", output.read_text(), re.M)[1]), requests))
            (few, few_requests), (many, many_requests) = totals
            per_request.append((many - few) / (many_requests - few_requests))
    finally:
        bench.OURS = plain
        made.close()
    road, all_on = per_request
    yield Figure(f"user-space instructions per request with all of this on ({all_on:.0f}) against the road alone ({road:.0f})", 0.10,
                 all_on / road - 1, "%", 1)


PACKAGE = """// swift-tools-version: 6.2
import PackageDescription
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .enableExperimentalFeature("Lifetimes"),
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]
let package = Package(name: "pick", targets: [
    .target(name: "CScan", path: "Sources/C/CScan"),
    .target(name: "Primitives", dependencies: ["CScan"], path: "Sources/Core/Primitives", swiftSettings: settings),
    .target(name: "Balancing", dependencies: ["Primitives"], path: "Sources/Core/Balancing", swiftSettings: settings),
    .testTarget(
        name: "BalancingTests", dependencies: ["Balancing", "Primitives"], path: "Tests/Core/BalancingTests", swiftSettings: settings),
])
"""


def pick(world: World):
    """The test that times picks, built with optimisation."""
    folder = world.folder / "pick"
    folder.mkdir()
    for name in ("Sources", "Tests"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "Package.swift").write_text(PACKAGE)
    done = subprocess.run(["swift", "test", "-c", "release", "--disable-xctest", "--filter", "PickSpeedTests"], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    took = {name: float(value) * {"ns": 1e-3, "µs": 1.0, "ms": 1e3, "seconds": 1e6}[unit] for name, value, unit in
            re.findall(r"^pick: (.*?): ([\d.e-]+) (ns|µs|ms|seconds) a pick$", done.stdout, re.M)}
    if not took:
        raise Failed("pick: " + "\n".join(done.stdout.splitlines()[-10:]))
    slowest = max(took, key=took.get)
    yield Figure(f"pick among 1,000 instances, slowest of all ({slowest})", 1, took[slowest], "µs")


FIGURES = {"kill": kill, "stop": stop, "down": down, "breaker": breaker, "instructions": instructions, "pick": pick,
           "retries": retries, "open": open_breaker, "stale": stale, "outlier": outlier, "slow": slow}


def run(folder: Path, names: str) -> int:
    chosen = list(FIGURES) if names == "all" else names.split(",")
    if unknown := [name for name in chosen if name not in FIGURES]:
        sys.exit(f"chaos: no figure {unknown[0]}; there are {', '.join(FIGURES)}")
    broken = 0
    print("| | at most | measured | |\n|---|---|---|---|", flush=True)
    for name in chosen:
        own = folder / name
        own.mkdir()
        with World(own) as world:
            try:
                for figure in FIGURES[name](world):
                    print(figure.row(), flush=True)
                    broken += not figure.holds
            except (Failed, OSError, subprocess.SubprocessError, SystemExit) as error:
                print(f"| {name} | | {str(error).splitlines()[0] if str(error) else type(error).__name__} | BROKEN |", flush=True)
                broken += 1
    return 1 if broken else 0
