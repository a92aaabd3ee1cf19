#!/usr/bin/env python3
"""Replays a log of transitions against the specification: is the run one of its behaviours?

    Tests/Conformance/replay.py LOG... [--service NAME] [--slack-us N] [--tick-us N] [--late-us N] [--complete]

The format is in docs/spec/README.md. Each service of a log is replayed on its own; TLC tries the orders that the times leave open.
Prints a line for each service, and for a log that is rejected the lines that the specification does not allow where they stand.
Exit status: 0 all accepted, 1 one was rejected, 2 a log cannot be read or TLC did not run.
"""
import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "docs" / "spec"
CLOCK = "clock"
TICK_US = 100_000
SLACK_US = 1_000

# Key of `policy` in the line `begin` -> (constant of the specification, default).
POLICY = {
    "failures_least": ("FailureThreshold", 1),
    "success_threshold": ("SuccessThreshold", 3),
    "half_open_max": ("HalfOpenMax", 3),
    "jitter_percent": ("JitterPercent", 10),
    "rise": ("Rise", 2),
    "fall": ("Fall", 3),
    "in_flight_max": ("InFlightMax", 1_000_000),
    "queue_max": ("QueueMax", 1_000_000),
    "tries": ("Tries", 3),
    "retry_floor": ("RetryFloor", 3),
    "retry_percent": ("RetryPercent", 20),
}
# In microseconds; in ticks in the specification.
TIMES = {"open_timeout_us": ("OpenTime", 60_000_000), "open_timeout_max_us": ("OpenTimeMax", 300_000_000)}
FLAGS = {"probe_early", "checks"}
FIELDS = {
    "accept": {"request": str, "deadline_us": int, "safe": bool},
    "admit": {"request": str, "probe": bool},
    "queue": {"request": str},
    "lease": {"request": str, "instance": str},
    "route": {"request": str, "instance": str},
    "outcome": {"request": str, "instance": str, "outcome": str},
    "release": {"request": str, "instance": str},
    "retry": {"request": str},
    "refuse": {"request": str},
    "answer": {"request": str, "status": int},
    "abort": {"request": str},
    "evidence": {"instance": str},
    "check": {"instance": str, "passed": bool},
    "health": {"instance": str, "from": str, "to": str},
    "breaker": {"from": str, "to": str},
}


class LogError(Exception):
    """The log does not keep to the format."""


class Impossible(Exception):
    """A line about a request that cannot be under way there: no specification is needed to reject it."""

    def __init__(self, number, why):
        super().__init__(why)
        self.number = number


@dataclass
class Service:
    """One service of a log: its `begin`, and its other lines as (number, line)."""
    name: str
    begin: dict
    lines: list = field(default_factory=list)


@dataclass
class Verdict:
    service: str
    accepted: bool
    lines: int
    states: int
    stuck: list     # the lines, as (number, text), of which none could happen next


def read(path):
    """The services of a log, by name."""
    services = {}
    for number, text in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            raise LogError(f"{path}:{number}: {error}") from error
        if not isinstance(line, dict):
            raise LogError(f"{path}:{number}: not an object")
        event, name = line.get("event"), line.get("service")
        if not isinstance(name, str):
            raise LogError(f"{path}:{number}: \"service\" is missing")
        if event == "begin":
            if name in services:
                raise LogError(f"{path}:{number}: service \"{name}\" begins twice")
            if not isinstance(line.get("instances"), dict) or not line["instances"]:
                raise LogError(f"{path}:{number}: \"instances\" is missing")
            if unknown := set(line.get("policy", {})) - set(POLICY) - set(TIMES) - FLAGS - {"retry_window_us"}:
                raise LogError(f"{path}:{number}: unknown in \"policy\": {', '.join(sorted(unknown))}")
            services[name] = Service(name, line)
            continue
        if event not in FIELDS:
            raise LogError(f"{path}:{number}: unknown event {json.dumps(event)}")
        if name not in services:
            raise LogError(f"{path}:{number}: service \"{name}\" has not begun")
        for key, kind in {"at": int, "source": str, **FIELDS[event]}.items():
            if type(line.get(key)) is not kind:
                raise LogError(f"{path}:{number}: \"{key}\" is missing or no {kind.__name__}")
        if line["source"] == CLOCK:
            raise LogError(f"{path}:{number}: the source \"{CLOCK}\" is not for logs")
        if "instance" in line and line["instance"] not in services[name].begin["instances"]:
            raise LogError(f"{path}:{number}: service \"{name}\" began without the instance \"{line['instance']}\"")
        if event == "breaker" and line["to"] == "open" and type(line.get("open_us")) is not int:
            raise LogError(f"{path}:{number}: \"open_us\" is missing")
        services[name].lines.append((number, line))
    return services


class Slots:
    """Names for requests under way: one is used again when its request has ended, so that there are few."""

    def __init__(self):
        self.count = {True: 0, False: 0}
        self.free = {True: [], False: []}

    def take(self, safe):
        if self.free[safe]:
            return self.free[safe].pop(0)
        self.count[safe] += 1
        return f"{'safe' if safe else 'unsafe'}-{self.count[safe]}"

    def give(self, slot):
        self.free[slot.startswith("safe")].append(slot)

    def names(self, safe):
        return [f"{'safe' if safe else 'unsafe'}-{n + 1}" for n in range(self.count[safe])]


def recent_share(service, policy):
    """Retries that the requests of one window allow at most, where the budget counts those of a window and not those under way."""
    if not (window := policy.get("retry_window_us")):
        return 0
    times = sorted(line["at"] for _, line in service.lines if line["event"] == "accept")
    most, start = 0, 0
    for end, at in enumerate(times):
        while times[start] <= at - window:
            start += 1
        most = max(most, end - start + 1)
    return most * policy.get("retry_percent", 20) // 100


def steps(service, tick_us, late_us, complete):
    """source -> [(number in the log, step)], and the slots: the lines with names and times as the specification has them.

    A request of which nothing is held any more when it has been answered ends there: `finish`, which is no line of a log. Times
    begin anew with the first line: those of a machine that has run for a while are more than TLC can count to."""
    sources, slots, live = {}, Slots(), {}
    start = min((line["at"] for _, line in service.lines), default=0) // tick_us * tick_us
    # Lines with the same time keep their order.
    for number, line in sorted(service.lines, key=lambda pair: pair[1]["at"]):
        event = line["event"]
        step = {"event": event, "at": line["at"] - start}
        step.update({key: line[key] for key in FIELDS[event] if key not in ("deadline_us", "safe")})
        out = sources.setdefault(line["source"], [])
        if event == "breaker" and line["to"] == "open":
            step["open"] = line["open_us"] // tick_us
        if "request" not in FIELDS[event]:
            out.append((number, step))
            continue
        name = line["request"]
        if event == "accept":
            if name in live:
                raise Impossible(number, f"request \"{name}\" is accepted a second time before it has ended")
            live[name] = {"number": number, "slot": slots.take(line["safe"]), "holds": False, "ended": False}
            # Rounded up, and one more since it may begin just before a tick.
            step["deadline"] = -(-(line["deadline_us"] + late_us) // tick_us) + 1
        if name not in live:
            raise Impossible(number, f"request \"{name}\" is not under way")
        request = live[name]
        step["request"] = request["slot"]
        out.append((number, step))
        if event == "lease":
            request["holds"] = True
        elif event == "release":
            request["holds"] = False
        elif event in ("answer", "abort"):
            request["ended"] = True
        if request["ended"] and not request["holds"]:
            if event != "release":
                out.append((number, {"event": "finish", "at": line["at"] - start, "request": request["slot"]}))
            slots.give(request["slot"])
            del live[name]
    for name, request in live.items() if complete else ():
        what = "never gives back what it holds" if request["ended"] else "never ends"
        raise Impossible(request["number"], f"request \"{name}\" {what}")
    for lines in sources.values():
        if any(a[1]["at"] > b[1]["at"] for a, b in zip(lines, lines[1:])):
            raise LogError("times of one source go back")
    return sources, slots


def ticks(sources, tick_us):
    times = [step["at"] for lines in sources.values() for _, step in lines]
    if not times:
        return []
    return [(0, {"event": "tick", "at": at}) for at in range((min(times) // tick_us + 1) * tick_us, max(times) + 1, tick_us)]


def tla(value):
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "[" + ", ".join(f"{key} |-> {tla(item)}" for key, item in value.items()) + "]"
    return "{" + ", ".join(tla(item) for item in sorted(value)) + "}"


def module(service, sources, slots, slack_us, tick_us):
    """The module Replay and its configuration."""
    policy = service.begin.get("policy", {})
    constants = {constant: policy.get(key, default) for key, (constant, default) in POLICY.items()}
    for key, (constant, default) in TIMES.items():
        constants[constant] = max(1, policy.get(key, default) // tick_us)
    constants["ProbeEarly"] = policy.get("probe_early", True)
    constants["Checks"] = policy.get("checks", True)
    constants["RetryFloor"] += recent_share(service, policy)
    constants.update(
        Services={service.name}, Service=service.name, Instances=set(service.begin["instances"]), None_="(none)", Overload=True, Aborts=True,
        Requests=set(slots.names(True) + slots.names(False)), Unsafe=set(slots.names(False)), Deadlines=set(), Slack=slack_us,
        FirstConditions={"flapping"}, Failures=set(), Sources=set(sources))
    health = service.begin["instances"]
    # TLC evaluates what stands for a constant anew each time, but a definition that it leads to once and for all.
    text = ["---- MODULE Replay ----", "EXTENDS Trace"]
    configuration = ["INIT TraceInit", "NEXT TraceNext", "INVARIANTS Watch", "CONSTANTS", "Observe <- NothingObserved"]
    for name, value in constants.items():
        text += [f"Value{name} == {tla(value)}", f"The{name} == Value{name}"]
        configuration.append(f"{name.rstrip('_')} <- The{name}")
    text.append("ValueFirstHealth == " + " @@ ".join(f"({tla(name)} :> {tla(state)})" for name, state in health.items()))
    text.append("ValueLines ==")
    text.append(" @@\n".join(
        f"({tla(name)} :> <<\n" + ",\n".join(tla(step) for _, step in lines) + ">>)" for name, lines in sources.items()))
    text += ["TheFirstHealth == ValueFirstHealth", "TheLines == ValueLines", "===="]
    configuration += ["FirstHealth <- TheFirstHealth", "Lines <- TheLines"]
    return "\n".join(text) + "\n", "\n".join(configuration) + "\n"


def fetch_jar():
    """Where tla2tools.jar is."""
    run = subprocess.run([ROOT / "scripts" / "check-spec", "--jar"], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise LogError(f"there is no TLC: {run.stderr.strip()}")
    return run.stdout.strip()


def run_tlc(text, configuration, jar):
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name in ("Gateway", "Breaker", "Health", "Trace"):
            shutil.copy(SPEC / f"{name}.tla", scratch)
        (scratch / "Replay.tla").write_text(text, "utf-8")
        (scratch / "Replay.cfg").write_text(configuration, "utf-8")
        (scratch / "tmp").mkdir()
        return subprocess.run(
            ["java", f"-Djava.io.tmpdir={scratch / 'tmp'}", "-Xss64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jar, "tlc2.TLC",
             "-deadlock", "-workers", "1", "-metadir", str(scratch / "states"), "-config", "Replay.cfg", "Replay.tla"],
            cwd=scratch, capture_output=True, text=True, check=False).stdout


def replay(service, jar, slack_us=SLACK_US, tick_us=TICK_US, late_us=0, complete=False):
    """Lets TLC say whether the lines of this service are a behaviour of the specification; of a `complete` log also whether each
    request in it has ended, with everything given back."""
    try:
        sources, slots = steps(service, tick_us, late_us, complete)
    except Impossible as error:
        return Verdict(service.name, False, len(service.lines), 0, [(error.number, f"{error}: {json.dumps(dict(service.lines)[error.number])}")])
    sources[CLOCK] = ticks(sources, tick_us)
    total = sum(map(len, sources.values()))
    if not service.lines:
        return Verdict(service.name, True, 0, 0, [])
    said = run_tlc(*module(service, sources, slots, slack_us, tick_us), jar)
    states = re.findall(r"^\d+ states generated, (\d+) distinct", said, re.M)
    if "Model checking completed. No error has been found" not in said:
        raise LogError("TLC did not run through:\n" + "\n".join(said.splitlines()[-20:]))
    reached, position = 0, ""
    # TLC breaks long values over lines.
    for match in re.finditer(r'<<\s*"reached",\s*(\d+),\s*(.*?)\s*>>$', said, re.M | re.S):
        reached, position = int(match[1]), match[2]
    stuck = []
    if reached < total:
        texts = dict(service.lines)
        happened = {key.strip('"'): int(n) for key, n in re.findall(r'("(?:[^"\\]|\\.)*"|\w+)\s*(?::>|\|->)\s*(\d+)', position)}
        following = []
        for name, lines in sources.items():
            at = happened.get(name, 0)
            if at < len(lines):
                following.append((lines[at][1]["at"], *lines[at]))
        earliest = min(following, key=lambda item: item[0])[0]
        for at, number, step in sorted(following, key=lambda item: item[:2]):
            if at <= earliest + slack_us:
                stuck.append((number, json.dumps(texts[number]) if number else f"a tick of the clock at {at}: something should have happened before"))
    return Verdict(service.name, reached == total, len(service.lines), int(states[-1]) if states else 0, stuck)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="+", type=Path)
    parser.add_argument("--service", help="only this service")
    parser.add_argument("--slack-us", type=int, default=SLACK_US, help="how far apart lines of two workers may lie and still change places")
    parser.add_argument("--tick-us", type=int, default=TICK_US, help="a tick of the specification")
    parser.add_argument("--complete", action="store_true", help="every request of the log must have ended")
    parser.add_argument("--late-us", type=int, default=0, help="how late a deadline may be met, on a machine that has other things to do")
    options = parser.parse_args()
    rejected = 0
    try:
        jar = fetch_jar()
        for path in options.log:
            for name, service in read(path).items():
                if options.service not in (None, name):
                    continue
                verdict = replay(service, jar, options.slack_us, options.tick_us, options.late_us, options.complete)
                word = "accepted" if verdict.accepted else "REJECTED"
                print(f"{word}  {path}: service {name}, {verdict.lines} lines, {verdict.states} states")
                for number, text in verdict.stuck:
                    print(f"    line {number}: {text}" if number else f"    {text}")
                rejected += not verdict.accepted
    except (LogError, OSError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())
