"""The names under which the daemon counts what TLS, HTTP/2 and tunnels do: the tests ask here, so that a name stands in one place."""

from .waiting import until


def reject_count(sluice, reason: str | None = None) -> float:
    """Requests refused for their form."""
    return total(sluice, "sluice_http_reject_total", reason=reason)


def h2_closed(sluice, reason: str | None = None, listener: str | None = None) -> float:
    """HTTP/2 connections of clients that the gateway ended for what they did."""
    return total(sluice, "sluice_h2_conn_closed_total", reason=reason, listener=listener)


def streams_reset(sluice, reason: str | None = None, listener: str | None = None) -> float:
    """Requests over HTTP/2 that the gateway reset for what their client did, on connections that go on."""
    return total(sluice, "sluice_h2_streams_reset_total", reason=reason, listener=listener)


def handshakes(sluice, version: str | None = None, resumed: bool | None = None, listener: str | None = None) -> float:
    """Completed handshakes; `version` is "TLSv1.2" or "TLSv1.3"."""
    return total(sluice, "sluice_tls_handshakes_total", listener=listener, version=version,
                 resumed=None if resumed is None else str(resumed).lower())


def handshake_failures(sluice, reason: str | None = None, listener: str | None = None) -> float:
    return total(sluice, "sluice_tls_handshake_failures_total", listener=listener, reason=reason)


def certificate_expiries(sluice, listener: str | None = None) -> list[tuple[str, float]]:
    """The subject of each certificate in use, and when it expires in seconds since 1970."""
    found = []
    for (name, pairs), value in sluice.metrics().samples.items():
        labels = dict(pairs)
        if name == "sluice_tls_certificate_expiry_timestamp_seconds" and listener in (None, labels.get("listener")):
            found.append((labels.get("subject", ""), value))
    return found


def tunnels_open(sluice, route: str | None = None) -> float:
    return total(sluice, "sluice_tunnels_open", route=route)


def tunnels_total(sluice, route: str | None = None) -> float:
    return total(sluice, "sluice_tunnels_total", route=route)


def total(sluice, name: str, **labels) -> float:
    return sluice.metrics().sum(name, **{key: value for key, value in labels.items() if value is not None})


def wait_count(count, at_least: float, seconds: float = 5, what: str = "") -> float:
    """Waits until `count()` has reached this."""
    reached = []

    def enough():
        reached[:] = [count()]
        return reached[0] >= at_least
    until(enough, seconds, f"{what or 'the counter'} reaches {at_least}; it is {reached}")
    return reached[0]
