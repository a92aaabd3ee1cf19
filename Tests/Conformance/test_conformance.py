"""Logs of transitions against the specification in docs/spec: good ones are accepted, each bad one is rejected at the line that is wrong."""
import json
import shutil
from pathlib import Path

import pytest

import replay

TRACES = Path(__file__).parent / "traces"
# The line at which each bad log goes wrong; 0 is a tick of the clock before which something should have happened.
BAD = {
    "bad-admitted-while-open": 18,
    "bad-answered-late": 0,
    "bad-answered-twice": 9,
    "bad-one-probe-too-many": 23,
    "bad-place-not-given-back": 9,
    "bad-post-sent-twice": 8,
    "bad-queued-while-all-failed": 6,
    "bad-retried-over-budget": 15,
    "bad-sent-to-failed": 8,
    "bad-tested-too-early": 17,
}

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java: scripts/check-spec installs it")


@pytest.fixture(scope="session")
def jar():
    return replay.fetch_jar()


def verdict(path, jar, **options):
    [service] = replay.read(path).values()
    return replay.replay(service, jar, **options)


def written(tmp_path, lines):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def lines_of(name):
    return [json.loads(text) for text in (TRACES / f"{name}.jsonl").read_text("utf-8").splitlines()]


def test_every_log_is_looked_at():
    names = {path.stem for path in TRACES.glob("*.jsonl")}
    assert {name for name in names if name.startswith("bad-")} == set(BAD)
    assert len({name for name in names if name.startswith("good-")}) == 3


@needs_java
@pytest.mark.parametrize("name", sorted(path.stem for path in TRACES.glob("good-*.jsonl")))
def test_a_good_log_is_accepted_to_its_last_line(name, jar):
    found = verdict(TRACES / f"{name}.jsonl", jar)
    assert found.accepted, found.stuck
    assert found.lines == len(lines_of(name)) - 1


@needs_java
@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_log_is_rejected_at_the_line_that_is_wrong(name, jar):
    found = verdict(TRACES / f"{name}.jsonl", jar)
    assert not found.accepted
    assert BAD[name] in [number for number, _ in found.stuck], found.stuck


@needs_java
def test_a_line_stamped_before_its_cause_is_accepted_within_the_slack_and_rejected_without(jar):
    path = TRACES / "good-health.jsonl"
    assert verdict(path, jar, slack_us=1_000).accepted
    assert not verdict(path, jar, slack_us=0).accepted


@needs_java
def test_a_good_log_that_leaves_out_a_release_is_rejected(tmp_path, jar):
    lines = [line for line in lines_of("good-requests") if not (line["event"] == "release" and line["request"] == "1")]
    assert not verdict(written(tmp_path, lines), jar).accepted


def test_a_release_of_a_request_that_has_ended_is_rejected(tmp_path):
    lines = lines_of("good-breaker")
    lines.append({**next(line for line in reversed(lines) if line["event"] == "release"), "at": lines[-1]["at"] + 10})
    found = verdict(written(tmp_path, lines), jar="")
    assert not found.accepted
    assert found.stuck[0][0] == len(lines)


@pytest.mark.parametrize("line, complaint", [
    ({"at": 1, "source": "w1", "event": "teleport", "service": "api"}, "unknown event"),
    ({"at": 1, "source": "w1", "event": "admit", "service": "other", "request": "1", "probe": False}, "has not begun"),
    ({"at": 1, "source": "w1", "event": "lease", "service": "api", "request": "1", "instance": "z"}, "without the instance"),
    ({"at": "soon", "source": "w1", "event": "retry", "service": "api", "request": "1"}, '"at" is missing or no int'),
    ({"at": 1, "source": "clock", "event": "retry", "service": "api", "request": "1"}, "not for logs"),
])
def test_a_log_that_does_not_keep_to_the_format_is_refused_with_the_number_of_the_line(tmp_path, line, complaint):
    path = written(tmp_path, [{"event": "begin", "service": "api", "instances": {"a": "HEALTHY"}}, line])
    with pytest.raises(replay.LogError, match=complaint) as refused:
        replay.read(path)
    assert ":2: " in str(refused.value)
