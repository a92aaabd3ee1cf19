"""The chaos run of scripts/chaos, which tells what it is and has built what it needs."""
import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import chaos_figures
from chaos_parts import ANSWERED, MIXED, TWICE, Failed, Load, Watcher, World, is_lost, milliseconds, quantile, seen_twice

DETECTION, RECOVERY, FAILED_SHARE, ALL_DOWN_MS = 5.0, 60.0, 0.001, 5.0
# An instance that fails takes no others along: of the requests beside those that it has, so many may be refused.
REFUSED_SHARE = 0.001


class Phase:
    def __init__(self, name: str, seconds: float, fault=None, until_served: list | None = None, backend=None, kind: str = ""):
        self.name, self.seconds, self.fault, self.backend, self.kind = name, seconds, fault, backend, kind
        self.until_served = until_served or []      # goes on until these serve, however long that is allowed to take
        self.start = self.end = self.at = 0.0
        self.detected: float | None = None
        self.served: dict[str, float] = {}


class Chaos:
    def __init__(self, world: World, quick: bool, seed: int, rate: int, connections: int, algorithm: str):
        self.world, self.quick, self.rate = world, quick, rate
        self.dice = random.Random(seed)
        self.problems: list[str] = []
        self.a, self.b, self.c = world.three()
        service = {
            "load_balancer": {"algorithm": algorithm},
            "health_check": {"path": "/health", "interval": "30s"},
            "timeouts": {"response": "1s"},
        }
        if quick:
            # The same with shorter waits for those who come back; all else as users have it.
            service["health_check"].update(backoff_max="1s", fast_interval="200ms", fast_timeout="500ms")
            service["circuit_breaker"] = {"open_timeout": "1s", "open_timeout_max": "2s"}
            service["outlier_detection"] = {"ejection_time": "1s", "ejection_time_max": "2s"}
        self.daemon = world.run(service)
        world.watcher = self.watcher = Watcher(self.daemon)
        self.load = Load(world, rate, 600, connections)
        self.phases: list[Phase] = []

    # What happens

    def plan(self) -> list[Phase]:
        a, b, c = self.a, self.b, self.c
        long, short, pause = (3.5, 1.5, 1.5) if self.quick else (10, 5, 5)
        return [
            Phase("calm", short),
            Phase("one killed", long, a.kill, backend=a, kind="kill"),
            Phase("restarted", pause, a.start, until_served=[a]),
            Phase("one stopped", long, b.stop, backend=b, kind="stop"),
            Phase("continued", pause, b.resume, until_served=[b]),
            Phase("one slow (900 ms)", short if self.quick else long, lambda: c.order(delay=900), backend=c),
            Phase("quick again", 0.5 if self.quick else pause, lambda: c.order(delay=0)),
            Phase("one flaps", 2 if self.quick else long, lambda: self.flap(a, 2 if self.quick else long)),
            Phase("two killed", short if self.quick else long, lambda: (a.kill(), b.kill())),
            Phase("all killed", short if self.quick else long, c.kill, kind="all"),
            Phase("all restarted", pause, lambda: [one.start() for one in (a, b, c)], until_served=[a, b, c]),
            Phase("random restarts", 2 if self.quick else 2 * long, lambda: self.restarts(2 if self.quick else 2 * long)),
            Phase("calm again", 0.5 if self.quick else pause, until_served=[a, b, c]),
        ]

    def flap(self, backend, seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            backend.kill()
            time.sleep(1)
            backend.start()
            time.sleep(1)

    def restarts(self, seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            one = self.dice.choice([self.a, self.b, self.c])
            one.kill()
            time.sleep(self.dice.uniform(0.02, 0.3))
            one.start()
            time.sleep(self.dice.uniform(0.1, 0.6))

    def go(self):
        for phase in self.plan():
            marks = {one.name: one.count() for one in phase.until_served}
            phase.start = phase.at = time.monotonic()
            if phase.fault:
                phase.fault()
            if not phase.name.startswith("all restarted"):
                time.sleep(max(0.0, phase.seconds - (time.monotonic() - phase.start)))
            limit = phase.start + (RECOVERY if not self.quick else 10) + phase.seconds
            waiting = list(phase.until_served)
            while waiting and time.monotonic() < limit:
                waiting = [one for one in waiting if not self.serves(one, phase, marks[one.name])]
                if waiting:
                    time.sleep(0.05)
            for one in waiting:
                self.problems.append(f"{phase.name}: backend {one.name} got no request within {limit - phase.start:.0f} s")
            if phase.name == "all restarted":
                time.sleep(phase.seconds if not self.quick else 0.3)
            phase.end = time.monotonic()
            self.phases.append(phase)
            if self.daemon.process.poll() is not None:
                raise Failed(f"the daemon ended with {self.daemon.process.returncode} in phase \"{phase.name}\"")
        time.sleep(0.3 if self.quick else 1.5)
        self.result = self.load.finish()
        self.watcher.stop()

    def serves(self, backend, phase: Phase, mark: int) -> bool:
        """Whether a request that was sent after the phase began has reached the backend."""
        seen = [one for one in backend.seen(mark) if one.at >= phase.start]
        if not seen:
            return False
        rows = self.load.path.read_bytes
        data = rows()
        for one in seen:
            sent = int.from_bytes(data[one.number * 32 + 8:one.number * 32 + 16], "little") / 1e9
            if sent >= phase.start:
                phase.served[backend.name] = one.at - phase.start
                return True
        return False

    # What came of it

    def report(self):
        rows = self.load.rows()
        twice = seen_twice([self.a, self.b, self.c])
        print(f"{'phase':<18} {'sent':>6} {'200':>6} {'502':>5} {'503':>6} {'504':>5} {'other':>5} {'lost':>5} {'twice':>5} "
              f"{'GETs':>5} {'POSTs':>5} {'p50 ms':>7} {'p99 ms':>8}  what was seen")
        for phase in self.phases:
            mine = [row for row in rows if phase.start <= row.due < phase.end]
            statuses = Counter(row.status for row in mine if row.outcome in (ANSWERED, TWICE, MIXED))
            lost = [row for row in mine if is_lost(row)]
            answered_twice = sum(row.outcome == TWICE for row in mine)
            gets = [row for row in mine if row.number in twice and not row.is_post]
            posts = [row for row in mine if row.number in twice and row.is_post]
            times = milliseconds(mine)
            other = sum(count for status, count in statuses.items() if status not in (200, 502, 503, 504))
            self.judge(phase, mine, lost, answered_twice, posts, twice)
            print(f"{phase.name:<18} {len(mine):>6} {statuses[200]:>6} {statuses[502]:>5} {statuses[503]:>6} {statuses[504]:>5} "
                  f"{other:>5} {len(lost):>5} {answered_twice:>5} {len(gets):>5} {len(posts):>5} {quantile(times, 0.5):>7.2f} "
                  f"{quantile(times, 0.99):>8.2f}  {self.remarks(phase)}")
        print("GETs, POSTs: how many of them backends have seen more than once. lost: no answer, or a wrong one.")
        print(f"{len(rows)} requests on {self.connections} connections at {self.rate}/s; {json.dumps(self.result)}")
        self.at_rest()

    connections = 0

    def judge(self, phase: Phase, mine, lost, answered_twice: int, posts, twice):
        def broken(text):
            self.problems.append(f"{phase.name}: {text}")
        if lost:
            broken(f"{len(lost)} requests lost, as {dict(Counter(row.outcome for row in lost))} (outcomes of steady_load.c)")
        if answered_twice:
            broken(f"{answered_twice} requests answered twice")
        if posts:
            broken(f"{len(posts)} POSTs reached backends more than once")
        if most := max((twice[row.number] for row in mine), default=0):
            if most > 4:
                broken(f"a request reached backends {most} times")
        if phase.kind == "kill":
            window = [row for row in mine if not row.is_post]
            failed = [row for row in window if row.status != 200]
            phase.share = len(failed) / max(1, len(window))
            if phase.share > FAILED_SHARE:
                broken(f"{phase.share:.2%} of the GETs failed; at most {FAILED_SHARE:.1%}")
        if phase.kind in ("kill", "stop"):
            refused = sum(row.status == 503 for row in mine) / max(1, len(mine))
            if refused > REFUSED_SHARE:
                broken(f"{refused:.1%} of the requests were refused although two instances are well; at most {REFUSED_SHARE:.1%}")
            phase.detected = detection(self, phase)
            if phase.detected is not None and phase.detected > DETECTION:
                broken(f"requests went there for {phase.detected:.1f} s; at most {DETECTION:g} s")
            failed_at = self.watcher.first_state(phase.backend.instance, "failed", phase.start, phase.end)
            if failed_at is None:
                broken("the instance was never FAILED")
        if phase.kind == "all":
            # The first second belongs to the requests that found it out.
            times = milliseconds(row for row in mine if row.status == 503 and row.due > phase.start + (0.5 if self.quick else 1))
            phase.refusal = quantile(times, 0.99)
            if not times:
                broken("nothing was answered 503")
            elif phase.refusal > ALL_DOWN_MS:
                broken(f"p99 of the 503s is {phase.refusal:.1f} ms; at most {ALL_DOWN_MS:g} ms")
            queue = max((look.queue for look in self.watcher.looks if phase.start + 0.5 <= look.at <= phase.end), default=0)
            if queue > 0:
                broken(f"{queue:.0f} requests waited while nobody could serve them")
        for name, after in phase.served.items():
            if after > RECOVERY:
                broken(f"backend {name} served again only after {after:.0f} s")
        if phase.name.startswith("calm"):
            wrong = [row for row in mine if row.status != 200]
            allowed = 0 if phase.name == "calm" else len(mine) // 100
            if len(wrong) > allowed:
                broken(f"{len(wrong)} answers other than 200")

    def remarks(self, phase: Phase) -> str:
        said = []
        if phase.kind in ("kill", "stop"):
            failed_at = self.watcher.first_state(phase.backend.instance, "failed", phase.start, phase.end)
            last = "none went there" if phase.detected is None else f"last request there after {phase.detected:.2f} s"
            said.append(f"{last}, FAILED after {failed_at - phase.start:.2f} s" if failed_at else last)
        if phase.kind == "kill":
            said.append(f"{phase.share:.3%} of the GETs failed")
        if phase.kind == "all":
            said.append(f"p99 of the 503s {phase.refusal:.2f} ms")
        said += [f"{name} serves again after {after:.2f} s" for name, after in phase.served.items()]
        if phase.name.startswith("one slow"):
            seen = Counter(one.name for one in (self.a, self.b, self.c) for row in one.seen() if phase.start <= row.at <= phase.end)
            said.append(f"its share {seen[phase.backend.name] / max(1, sum(seen.values())):.1%}")
        return ", ".join(said)

    def at_rest(self):
        """Nothing is in flight once nobody asks (rule 8)."""
        deadline = time.monotonic() + 5
        busy = []
        while time.monotonic() < deadline:
            document = json.loads(self.daemon.admin("GET", "/internal/services")[1])
            busy = [one for service in document["data"] for one in service["instances"] if one.get("in_flight")]
            waiting = self.daemon.metrics().sum("sluice_upstream_queue_length", service="app")
            if not busy and not waiting:
                break
            time.sleep(0.1)
        if busy:
            self.problems.append(f"requests in flight at rest: {busy}")
        if code := self.daemon.end():
            self.problems.append(f"the daemon's exit status is {code}")
        crashes = [line for line in self.daemon.log.read_text("utf-8", "replace").splitlines() if "Fatal error" in line or "Crash" in line]
        self.problems += crashes[:3]


def detection(run, phase: Phase) -> float | None:
    """How long after the fault the last request was sent to the instance; None when none was.

    A killed one: its failures are at once, and the count of tries tells of them. A stopped one reads when it goes on what it was
    sent: each request says when its client sent it.
    """
    last = None
    if phase.kind == "kill":
        last = run.watcher.last_try(phase.backend.instance, phase.start, phase.end)
    else:
        end = next((other.start for other in run.phases if other.start > phase.start), phase.end)
        sent = {row.number: row.sent for row in run.load.rows()}
        times = [sent[seen.number] for seen in phase.backend.seen() if seen.at >= end - 0.01 and seen.number in sent]
        last = max((at for at in times if phase.start <= at < end), default=None)
        counted = run.watcher.last_try(phase.backend.instance, phase.start, phase.end)
        if counted is not None:
            # It is counted when its time is up, after 1 s.
            last = max(last or 0.0, counted - 1.0)
    return None if last is None else max(0.0, last - phase.start)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--figures", nargs="?", const="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--algorithm", default="round_robin")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with tempfile.TemporaryDirectory(prefix="sluice-chaos-") as name:
        try:
            if arguments.figures:
                return chaos_figures.run(Path(name), arguments.figures)
            with World(Path(name)) as world:
                run = Chaos(world, arguments.quick, arguments.seed, arguments.rate, arguments.connections, arguments.algorithm)
                run.connections = arguments.connections
                print(f"seed {arguments.seed}", flush=True)
                run.go()
                run.report()
                problems = run.problems
        except Failed as error:
            problems = [str(error)]
    for problem in problems:
        print(f"BROKEN  {problem}")
    print("every bound holds" if not problems else f"{len(problems)} bounds broken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
