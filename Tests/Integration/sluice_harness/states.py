"""What the daemon says of its services: from its metrics and its admin API."""

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


def refused(response, code: str, reason: str, sluice=None) -> bool:
    """One of the gateway's own 503s; with `sluice`, its log line is looked at, too."""
    assert response.status == 503, response
    document = response.json()["error"]
    assert document["code"] == code, response
    assert int(response.header("retry-after")) >= 1, response
    if sluice is not None:
        assert sluice.entry(response)["reason"] == reason
    return True
