"""What the daemon says of its services: from its metrics and its admin API."""

import socket

from .waiting import until


def instance_state(sluice, server, service: str = "app") -> str:
    """healthy, degraded, failed or unknown; empty while the metrics do not name the instance."""
    return one_hot(sluice, "sluice_instance_health", service=service, instance=named(server))


def breaker_state(sluice, service: str = "app", route: str = "") -> str:
    """closed, open or half_open; empty where there is no breaker."""
    return one_hot(sluice, "sluice_circuit_breaker_state", service=service, route=route)


def wait_instance(sluice, server, state: str, seconds: float = 5, service: str = "app"):
    until(lambda: instance_state(sluice, server, service) == state, seconds, f"{named(server)} is {state}")


def wait_breaker(sluice, state: str, seconds: float = 5, service: str = "app", route: str = ""):
    until(lambda: breaker_state(sluice, service, route) == state, seconds, f"the breaker is {state}")


def one_hot(sluice, name: str, **wanted) -> str:
    metrics = sluice.metrics()
    states = []
    for (sample, pairs), value in metrics.samples.items():
        labels = dict(pairs)
        if sample == name and value == 1 and all(labels.get(label, "") == text for label, text in wanted.items()):
            states.append(labels["state"])
    assert len(states) <= 1, f"{name} {wanted} is {states} at once"
    return states[0] if states else ""


def named(server) -> str:
    """A backend as metrics name it, or such a name itself."""
    return server if isinstance(server, str) else f"127.0.0.1:{server.port}"


def has_answer(client) -> bool:
    """Whether an answer has begun to come in."""
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client.socket.settimeout(client.timeout)


def changes(sluice, start: int = 0, **fields) -> list[tuple]:
    """The log's lines on changes of state with these fields: from, to, reason. A line that repeats itself may stand there once."""
    return [(entry["from"], entry["to"], entry["reason"]) for entry in sluice.log_entries(start)
            if "to" in entry and "from" in entry and all(entry.get(name) == value for name, value in fields.items())]


def wait_changes(sluice, expected: list[tuple], start: int = 0, seconds: float = 5, **fields):
    """Waits until exactly these changes have been told."""
    until(lambda: changes(sluice, start, **fields) == expected, seconds, f"{expected}; told is {changes(sluice, start, **fields)}")


def refused(response, code: str, reason: str, sluice=None) -> bool:
    """One of the gateway's own 503s; with `sluice`, its log line is looked at, too."""
    assert response.status == 503, response
    document = response.json()["error"]
    assert document["code"] == code, response
    assert int(response.header("retry-after")) >= 1, response
    if sluice is not None:
        assert (told := sluice.entry(response)["reason"]) == reason, told
    return True
