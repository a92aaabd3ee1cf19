"""Fixtures: backends and daemons that are stopped, and checked, when the test ends.

The Python is that of the environment in .build/python (requirements.txt), which scripts/test makes.

Run all:      .build/python/bin/python -m pytest Tests/Integration
Other binary: SLUICE_BIN=/path/to/sluice .build/python/bin/python -m pytest Tests/Integration
Sanitizers:   SLUICE_TEST_SANITIZED=1 SLUICE_TEST_SCALE=4 SLUICE_BIN=… .build/python/bin/python -m pytest Tests/Integration
"""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

try:
    import cryptography  # noqa: F401
    import h2  # noqa: F401
except ImportError as absent:
    raise pytest.UsageError(f"{absent}; run the tests with .build/python/bin/python, which scripts/test makes") from None

from sluice_harness import (Backend, Certificates, Gateway, H2Backend, ProcessBackend, server_context,  # noqa: E402
                            sluice_binary)
from sluice_harness.waiting import SANITIZED, SCALE  # noqa: E402
from sluice_harness.websocket import Held, echo_script  # noqa: E402
from sluice_harness.websocket_backend import WebSocketBackend  # noqa: E402


def pytest_collection_modifyitems(items):
    if SANITIZED:
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
        self.backends: list[Backend | H2Backend | ProcessBackend] = []
        self.gateways: list[Gateway] = []

    def backend(self, *arguments, **more) -> Backend:
        made = Backend(*arguments, **more)
        self.backends.append(made)
        return made

    def process_backend(self, name: str = "a", **orders) -> ProcessBackend:
        made = ProcessBackend(name, **orders)
        self.backends.append(made)
        return made

    def h2_backend(self, *arguments, **more) -> H2Backend:
        made = H2Backend(*arguments, **more)
        self.backends.append(made)
        return made

    def gateway(self, configuration=None, **more) -> Gateway:
        """Starts a daemon. `more` beside Gateway's own arguments are top-level blocks of the configuration."""
        own = {key: more.pop(key) for key in ("arguments", "environment", "descriptors", "stdout", "wait_ready", "sockets", "binary", "tls")
               if key in more}
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
def h2_backend(world):
    """Makes backends for HTTP/2: `h2_backend(handler)`, `h2_backend(script=…)`."""
    return world.h2_backend


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """The certificates of the whole run."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


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


ALPN_BOTH = ("h2", "http/1.1")


def secure_listener(*certificates, name: str = "secure", protocols=ALPN_BOTH, http2=None, limits=None, **tls) -> dict:
    """A TLS listener with these certificates; what else is named goes into its `tls` block."""
    entries = [one if isinstance(one, dict) else one.entry() for one in certificates]
    made = {"name": name, "address": f"@{name}@", "protocols": list(protocols), "tls": {"certificates": entries, **tls}}
    if http2:
        made["http2"] = http2
    if limits:
        made["limits"] = limits
    return made


def clear_listener(name: str = "clear", protocols=("http/1.1", "h2c"), http2=None, limits=None) -> dict:
    """A listener without TLS that takes HTTP/1.1 and HTTP/2 with prior knowledge."""
    made = {"name": name, "address": f"@{name}@", "protocols": list(protocols)}
    if http2:
        made["http2"] = http2
    if limits:
        made["limits"] = limits
    return made


def to_backend(backend, **instance) -> dict:
    """A backend as an instance, with the protocol that it speaks."""
    return {"url": backend.url, **({"protocol": backend.protocol} if hasattr(backend, "protocol") else {}), **instance}


def proxied(*backends, route=None, **service) -> dict:
    """The blocks `services` and `routes` that send everything to these backends, by HTTP/2 where that is what they speak."""
    return {
        "services": {"app": {"instances": [one if isinstance(one, dict) else to_backend(one) for one in backends], **service}},
        "routes": [{"name": "all", "match": {"path": "/*"}, "service": "app", **(route or {})}],
    }


def both_listeners(world, pki, *backends, http2=None, limits=None, route=None, service=None, tls=None, **blocks) -> Gateway:
    """A daemon that takes HTTP/1.1 and HTTP/2 on `secure` (TLS) and `clear`."""
    return world.gateway({
        "listeners": [secure_listener(pki.server, http2=http2, limits=limits, **(tls or {})), clear_listener(http2=http2, limits=limits)],
        **proxied(*backends, route=route, **(service or {})), **blocks,
    }, tls={"secure": pki.root.ca_file})


def h2_gateway(world, *backends, http2=None, limits=None, route=None, service=None, **blocks) -> Gateway:
    """A daemon that takes HTTP/2 with prior knowledge, and HTTP/1.1, on `clear`: what has nothing to do with TLS is tried here."""
    return world.gateway({
        "listeners": [clear_listener(http2=http2, limits=limits)], **proxied(*backends, route=route, **(service or {})), **blocks})


def tls_backend_context(pki, alpn=(), **more):
    """The context of a backend that `pki.root` vouches for as backend.internal, localhost and 127.0.0.1."""
    return server_context(pki.backend, alpn, **more)


UPGRADES = {"upgrade": ["websocket"]}


@pytest.fixture
def tunnels(world, pki):
    """A daemon before one backend that lets WebSockets through: `sluice, backend = tunnels(script=…)`."""
    def start(script=echo_script, backend=None, route=None, origins=None, idle_timeout=None, **blocks):
        made = backend if backend is not None else world.backend(script=script)
        block = {key: value for key, value in (("origins", origins), ("idle_timeout", idle_timeout)) if value is not None}
        rules = {**UPGRADES, **({"websocket": block} if block else {}), **(route or {})}
        return both_listeners(world, pki, made, route=rules, **blocks), made
    return start


@pytest.fixture
def held():
    made = Held()
    yield made
    made.over.set()


@pytest.fixture
def with_library(world, pki):
    server = WebSocketBackend()
    world.backends.append(server)
    return both_listeners(world, pki, server, route=UPGRADES), server
