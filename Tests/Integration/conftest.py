"""Fixtures: backends and daemons that are stopped, and checked, when the test ends.

Run all:      python3 -m pytest Tests/Integration
Other binary: SLUICE_BIN=/path/to/sluice python3 -m pytest Tests/Integration
Sanitizers:   SLUICE_TEST_SANITIZED=1 SLUICE_TEST_SCALE=4 SLUICE_BIN=… python3 -m pytest Tests/Integration
"""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sluice_harness import Backend, Gateway, ProcessBackend, sluice_binary  # noqa: E402
from sluice_harness.waiting import SCALE  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.environ.get("SLUICE_TEST_SANITIZED"):
        for item in items:
            if item.get_closest_marker("memory"):
                item.add_marker(pytest.mark.skip(reason="a sanitizer's memory is not the daemon's"))


def pytest_sessionstart(session):
    if not os.access(sluice_binary(), os.X_OK) and not session.config.option.collectonly:
        raise pytest.UsageError(f"no daemon at {sluice_binary()}; build it, or set SLUICE_BIN")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.call_failed = report.failed
    if report.failed and report.when in ("setup", "call"):
        world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
        for gateway in (world.gateways if world else []):
            report.sections.append((f"sluice {gateway.pid}: last lines of stderr", "\n".join(gateway.stderr.lines[-25:])))


class World:
    """The backends and daemons of one test, or of one module."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.backends: list[Backend | ProcessBackend] = []
        self.gateways: list[Gateway] = []

    def backend(self, *arguments, **more) -> Backend:
        made = Backend(*arguments, **more)
        self.backends.append(made)
        return made

    def process_backend(self, name: str = "a", **orders) -> ProcessBackend:
        made = ProcessBackend(name, **orders)
        self.backends.append(made)
        return made

    def gateway(self, configuration=None, **more) -> Gateway:
        """Starts a daemon. `more` beside Gateway's own arguments are top-level blocks of the configuration."""
        own = {key: more.pop(key) for key in ("arguments", "environment", "descriptors", "stdout", "wait_ready", "sockets", "binary") if key in more}
        whole = configuration if configuration is not None else more
        started = Gateway(whole, self.directory / f"gateway-{len(self.gateways) + 1}", **own)
        self.gateways.append(started)
        return started

    def end(self, failed: bool):
        """Backends first, so that the daemon's pools must notice; then the daemon's own checks."""
        for backend in self.backends:
            backend.stop()
        problems = []
        for gateway in self.gateways:
            if failed:
                gateway.stop()
                continue
            try:
                gateway.finish()
            except AssertionError as error:
                problems.append(str(error))
        for backend in self.backends:
            problems += [f"backend {backend.name or backend.url}: {violation}" for violation in backend.violations]
        if not failed:
            assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def deadline_of_the_test(request):
    """No test hangs the suite."""
    marker = request.node.get_closest_marker("seconds")
    seconds = (marker.args[0] if marker else 30) * SCALE

    def expired(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")
    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def world(tmp_path, request):
    made = World(tmp_path)
    yield made
    made.end(getattr(request.node, "call_failed", False))


@pytest.fixture
def backend(world):
    """Makes backends: `backend(handler)`, `backend(script=…)`."""
    return world.backend


@pytest.fixture
def process_backend(world):
    """Makes backends that are processes: `process_backend("a", status=503)`."""
    return world.process_backend


@pytest.fixture
def gateway(world):
    """Starts daemons: `gateway(services=…, routes=…)` or `gateway(text)`."""
    return world.gateway


@pytest.fixture(scope="module")
def module_world(tmp_path_factory, request):
    made = World(tmp_path_factory.mktemp(request.module.__name__))
    yield made
    made.end(False)


# Blocks of a service whose backends fail again and again: what they do is counted against nobody.
PATIENT = {"circuit_breaker": {"enabled": False}, "outlier_detection": {"enabled": False}}


def one_service(*backends, **blocks) -> dict:
    """The blocks `services` and `routes` that send everything to these backends; `blocks` go into the service."""
    return {
        "services": {"app": {"instances": [{"url": backend.url} for backend in backends], **blocks}},
        "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app"}],
    }


@pytest.fixture
def simple(world):
    """A daemon before one backend: `gateway, backend = simple(handler, limits={…})`.

    Keys of the service go by `service=`, those of its one route by `route=`, None taking one away.
    """
    def start(handler=None, script=None, service=None, backend_options=None, gateway_options=None, route=None, **blocks):
        made = world.backend(handler, script, **(backend_options or {}))
        whole = one_service(made, **(service or {}))
        for key, value in (route or {}).items():
            if value is None:
                del whole["routes"][0][key]
            else:
                whole["routes"][0][key] = value
        whole.update(blocks)
        return world.gateway(whole, **(gateway_options or {})), made
    return start
