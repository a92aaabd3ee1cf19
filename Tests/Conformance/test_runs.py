"""Runs of the real code against the specification: what a daemon and what simulated gateways wrote down while instances failed.

The daemon's run is made here, with backends that are killed, stopped, told to fail and started again under load. Those of the
simulation are files in the folder that SLUICE_SIM_TRANSITIONS names: `scripts/test` lets the unit tests write them there.
"""
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

import replay

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Integration"))

from sluice_harness import Gateway, ProcessBackend, sluice_binary  # noqa: E402
from sluice_harness.load import SteadyLoad  # noqa: E402
from sluice_harness.states import wait_breaker, wait_instance  # noqa: E402

SIMULATED = os.environ.get("SLUICE_SIM_TRANSITIONS")
# Two threads and the checks take their times apart from what they do; a busy machine may come between.
SLACK_US = 5_000
LATE_US = 2_000_000


@pytest.fixture(scope="session")
def jar():
    return replay.fetch_jar()


class Backends:
    """Those of one service, by name."""

    def __init__(self, *names):
        self.all = [ProcessBackend(name) for name in names]

    def service(self, **more) -> dict:
        return {
            "instances": [{"url": backend.url} for backend in self.all],
            "timeouts": {"connect": "500ms", "response": "500ms", "request": "4s"},
            "circuit_breaker": {"failure_threshold": 5, "open_timeout": "500ms", "open_timeout_max": "2s", "success_threshold": 2,
                                "half_open_max": 2, "minimum_requests": 10},
            "retry": {"retry_on": ["connect_failure", "stale_connection", "gateway_error", "timeout"]},
            **more}

    def order(self, **values):
        for backend in self.all:
            backend.order(**values)

    def stop(self):
        for backend in self.all:
            backend.stop()


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """What a daemon wrote down while its backends failed."""
    if not os.access(sluice_binary(), os.X_OK):
        pytest.skip(f"no daemon at {sluice_binary()}; build it, or set SLUICE_BIN")
    folder = tmp_path_factory.mktemp("run")
    path = folder / "transitions.jsonl"
    checked, plain = Backends("a", "b", "c"), Backends("d", "e")
    check = {"path": "/health", "interval": "1s", "fast_interval": "200ms", "timeout": "500ms", "rise": 2, "fall": 2}
    try:
        sluice = Gateway(
            {"services": {"checked": checked.service(health_check=check), "plain": plain.service()},
             "routes": [{"name": name, "match": {"path": f"/{name}"}, "service": name} for name in ("checked", "plain")]},
            folder, environment={"SLUICE_TRANSITIONS": str(path)})
        try:
            break_and_mend(sluice, checked, plain)
        finally:
            sluice.stop()
    finally:
        checked.stop()
        plain.stop()
    return path


def break_and_mend(sluice, checked, plain):
    for backend in checked.all:
        wait_instance(sluice, backend, "healthy", service="checked")
    port = sluice.ports["web"]
    load = {"rate": 150, "seconds": 60, "connections": 8, "new_percent": 20, "posts": 20}
    with SteadyLoad(port, path="/checked", **load), SteadyLoad(port, path="/plain", **load):
        # One dies.
        checked.all[0].kill()
        plain.all[0].kill()
        wait_instance(sluice, checked.all[0], "failed", service="checked")
        wait_instance(sluice, plain.all[0], "failed", service="plain")
        checked.all[0].start()
        plain.all[0].start()
        wait_instance(sluice, checked.all[0], "healthy", 15, service="checked")
        # All of them err, and recover.
        checked.order(status=503)
        wait_breaker(sluice, "open", service="checked")
        checked.order(status=200)
        wait_breaker(sluice, "closed", 20, service="checked")
        # One hangs.
        checked.all[1].pause()
        wait_instance(sluice, checked.all[1], "failed", service="checked")
        checked.all[1].resume()
        wait_instance(sluice, checked.all[1], "healthy", 15, service="checked")
        # All die; one is tried and comes back.
        for backend in plain.all:
            backend.kill()
        wait_instance(sluice, plain.all[1], "failed", 10, service="plain")
        plain.all[1].start()
        wait_instance(sluice, plain.all[1], "healthy", 30, service="plain")


@pytest.mark.parametrize("name, states", [
    ("checked", {"FAILED", "HEALTHY", "open", "half_open", "closed"}), ("plain", {"FAILED", "UNKNOWN", "HEALTHY"})])
def test_what_a_daemon_did_while_its_backends_failed_is_a_behaviour_of_the_specification(name, states, log, jar):
    service = replay.read(log)[name]
    events = Counter(line["event"] for _, line in service.lines)
    assert states <= {line["to"] for _, line in service.lines if "to" in line}
    assert events["accept"] > 200 and events["retry"] > 0, events
    found = replay.replay(service, jar, slack_us=SLACK_US, late_us=LATE_US, complete=True)
    assert found.accepted, found.stuck


def test_the_same_run_without_one_of_its_releases_is_rejected(log, jar):
    service = replay.read(log)["plain"]
    leaked = [number for number, line in service.lines if line["event"] == "release"][100]
    service.lines = [(number, line) for number, line in service.lines if number != leaked]
    found = replay.replay(service, jar, slack_us=SLACK_US, late_us=LATE_US, complete=True)
    assert not found.accepted


@pytest.mark.skipif(SIMULATED is None, reason="SLUICE_SIM_TRANSITIONS is not set: scripts/test sets it")
def test_what_simulated_gateways_did_in_storms_are_behaviours_of_the_specification(jar):
    """All of them follow from their seeds, and their times are exact."""
    logs = sorted(Path(SIMULATED).glob("storm-*.jsonl"))
    assert len(logs) >= 4, "the simulation has written too few"
    for path in logs:
        [service] = replay.read(path).values()
        found = replay.replay(service, jar, slack_us=0, complete=True)
        assert found.accepted, f"{path.name}: {found.stuck}"
