"""The admin listener: /metrics, /health, /ready (hardening 187, 188; behaviour B.7, B.9)."""

import os
import re
import shutil
import subprocess
import threading

import pytest

from sluice_harness import reply, until
from sluice_harness.metrics import Metrics


def promtool_accepts(text: str):
    tool = shutil.which("promtool")
    if tool:
        checked = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=20)
        said = checked.stdout + checked.stderr
        assert checked.returncode == 0 and not said.strip(), said


@pytest.fixture
def busy(simple):
    """A daemon that has served some of everything."""
    sluice, server = simple(lambda request, connection: reply(200 if request.target != "/500" else 500, b"x" * 100))
    for _ in range(7):
        sluice.request("GET", "/a")
    sluice.request("POST", "/b", body=b"y" * 50)
    sluice.request("GET", "/500")
    sluice.request("GET", "/%00")
    return sluice, server


def test_the_metrics_of_the_contract_are_there_with_their_types_and_labels(busy):
    sluice, server = busy
    until(lambda: sluice.metrics().sum("sluice_http_requests_total") >= 10, 5, "all requests counted")
    metrics = sluice.metrics()
    instance = f"127.0.0.1:{server.port}"
    assert metrics.sum("sluice_http_requests_total", listener="web", route="all", service="app", method="GET", status="200") == 7
    assert metrics.sum("sluice_http_requests_total", method="POST", status="200") == 1
    assert metrics.sum("sluice_http_requests_total", status="500") == 1 and metrics.sum("sluice_http_requests_total",
        status="400") == 1
    assert metrics.sum("sluice_http_request_duration_seconds_count", route="all", service="app") == 9
    assert metrics.sum("sluice_http_request_duration_seconds_bucket", route="all", le="+Inf") == 9
    assert metrics.sum("sluice_http_request_size_bytes_count", route="all") == 9
    assert metrics.sum("sluice_http_response_size_bytes_count", route="all") == 9
    assert metrics.sum("sluice_upstream_requests_total", service="app", instance=instance) == 9
    assert metrics.sum("sluice_upstream_requests_total", service="app", status_class="5xx") == 1
    assert metrics.sum("sluice_connections_total", listener="web") >= 10
    assert metrics.sum("sluice_build_info") == 1 and metrics.sum("sluice_config_generation") >= 1
    for name, kind in {
        "sluice_http_requests_total": "counter", "sluice_http_request_duration_seconds": "histogram",
        "sluice_http_overhead_seconds": "histogram", "sluice_http_requests_in_flight": "gauge",
        "sluice_upstream_requests_total": "counter", "sluice_upstream_duration_seconds": "histogram",
        "sluice_upstream_connect_duration_seconds": "histogram", "sluice_upstream_connections": "gauge",
        "sluice_upstream_queue_length": "gauge", "sluice_upstream_queue_wait_seconds": "histogram",
        "sluice_config_last_reload_successful": "gauge", "sluice_config_last_reload_success_timestamp_seconds": "gauge",
        "sluice_connections": "gauge", "sluice_connections_total": "counter",
        "process_cpu_seconds_total": "counter", "process_resident_memory_bytes": "gauge", "process_open_fds": "gauge",
        "process_start_time_seconds": "gauge",
    }.items():
        assert metrics.types.get(name) == kind, f"{name} is {metrics.types.get(name)}"
    assert all(not name.endswith("_total") for name, kind in metrics.types.items() if kind == "gauge")
    les = {labels["le"] for labels in metrics.labels("sluice_http_request_duration_seconds_bucket")}
    assert {float(le) for le in les} == {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, float("inf")}


def test_promtool_finds_nothing_to_complain_about(busy):
    """Issue: `promtool check metrics` is clean."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    sluice, _ = busy
    promtool_accepts(sluice.metrics().text)


def test_histograms_are_cumulative_and_agree_with_their_count(busy):
    sluice, _ = busy
    metrics = sluice.metrics()
    series = {}
    for (name, pairs), value in metrics.samples.items():
        if name.endswith("_bucket"):
            labels = dict(pairs)
            le = float(labels.pop("le"))
            series.setdefault((name[:-7], frozenset(labels.items())), []).append((le, value))
    assert series
    for (name, labels), buckets in series.items():
        buckets.sort()
        values = [value for _, value in buckets]
        assert values == sorted(values) and buckets[-1][0] == float("inf")
        assert values[-1] == metrics.samples[(name + "_count", labels)], name


def test_gauges_return_to_zero(busy):
    """Hardening 208, 232."""
    sluice, _ = busy
    until(lambda: sluice.metrics().sum("sluice_http_requests_in_flight") == 0, 5, "nothing in flight")
    until(lambda: sluice.metrics().sum("sluice_connections", listener="web") == 0, 5, "no connection of a client")
    assert sluice.metrics().sum("sluice_upstream_connections", state="active") == 0


def test_in_flight_counts_a_running_request(simple):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply()
    sluice, server = simple(handler)
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        server.wait_requests(1)
        until(lambda: sluice.metrics().sum("sluice_http_requests_in_flight", route="all") == 1, 5, "one in flight")
        assert sluice.metrics().sum("sluice_upstream_connections", service="app", state="active") == 1
        gate.set()
        assert client.read_response().status == 200


def test_random_paths_methods_and_hosts_add_no_series(simple):
    """Hardening 187."""
    sluice, _ = simple()
    for target in ("/a", "/%00"):
        sluice.request("GET", target)
    sluice.request("FOO", "/")
    until(lambda: sluice.metrics().sum("sluice_http_requests_total") >= 3, 5)
    before = len(sluice.metrics().samples)
    with sluice.connect() as client:
        for number in range(200):
            client.request("GET", f"/{os.urandom(4).hex()}?{number}", [("User-Agent", f"u{number}")], host=f"h{number}.test")
    for number in range(20):
        sluice.request(f"METHOD{number}", "/")
    until(lambda: sluice.metrics().sum("sluice_http_requests_total") >= 223, 5)
    metrics = sluice.metrics()
    assert len(metrics.samples) <= before + 5
    assert {labels["method"] for labels in metrics.labels("sluice_http_requests_total")} <= {"GET", "_OTHER"}


def test_the_metrics_come_as_text_0_0_4_or_as_openmetrics(simple):
    """B.7."""
    sluice, _ = simple()
    plain = sluice.request("GET", "/metrics", listener="admin")
    assert re.match(r"text/plain; ?version=0\.0\.4", plain.header("content-type"))
    opened = sluice.request("GET", "/metrics", [("Accept", "application/openmetrics-text; version=1.0.0")], listener="admin")
    assert opened.header("content-type").startswith("application/openmetrics-text") and opened.body.endswith(b"# EOF\n")
    head = sluice.request("HEAD", "/metrics", listener="admin")
    assert head.status == 200 and head.body == b""


def test_scrapes_are_neither_counted_nor_logged(simple):
    """B.7: not in the access log."""
    sluice, _ = simple()
    for _ in range(5):
        sluice.metrics()
        sluice.request("GET", "/health", listener="admin")
    response = sluice.request("GET", "/")
    sluice.entry(response)
    assert [entry["path"] for entry in sluice.access_entries()] == ["/"]
    assert sluice.metrics().sum("sluice_http_requests_total") == 1


def test_health_has_status_version_and_timestamp(simple):
    """B.9; hardening 188."""
    sluice, _ = simple()
    document = sluice.request("GET", "/health", listener="admin").json()
    assert document["status"] == "healthy" and re.match(r"\d+\.\d+", document["version"])
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", document["timestamp"])


def test_health_does_not_depend_on_backends(gateway, backend):
    """B.9: liveness."""
    dead = backend()
    url = dead.url
    dead.stop()
    sluice = gateway(services={"app": {"instances": [{"url": url}]}},
        routes=[{"name": "all", "match": {"path": "/*"}, "service": "app"}])
    assert sluice.request().status == 502
    assert sluice.request("GET", "/health", listener="admin").status == 200
    assert sluice.request("GET", "/ready", listener="admin").status == 200


def test_ready_is_200_with_json(simple):
    sluice, _ = simple()
    response = sluice.request("GET", "/ready", listener="admin")
    assert response.status == 200 and isinstance(response.json(), dict)


@pytest.mark.parametrize("method,target,status", [("GET", "/nothing", 404), ("POST", "/metrics", 405),
    ("DELETE", "/health", 405), ("GET", "/metrics/", 404)])
def test_the_admin_listener_answers_the_unknown_in_the_error_format(simple, method, target, status):
    sluice, _ = simple()
    response = sluice.request(method, target, listener="admin")
    assert response.status == status and response.json()["error"]["code"]


def test_the_admin_paths_are_not_on_the_data_listener(gateway):
    sluice = gateway(routes=[{"name": "one", "match": {"path": "/one"}, "respond": {"status": 200}}])
    for target in ("/metrics", "/health", "/ready"):
        assert sluice.request("GET", target).status == 404


def test_metrics_on_a_data_listener_are_only_for_listed_addresses(gateway):
    """B.7; hardening 188."""
    sluice = gateway(routes=[{"name": "metrics", "match": {"path": "/metrics"}, "metrics": {"allow": ["127.0.0.2/32"]}},
                             {"name": "open", "match": {"path": "/open"}, "metrics": True}])
    refused = sluice.request("GET", "/metrics")
    assert refused.status == 403 and b"sluice_" not in refused.body
    assert refused.json()["error"]["code"] == "AUTH_ERROR" and sluice.entry(refused)["reason"] == "ip_denied"
    allowed = sluice.request("GET", "/metrics", source="127.0.0.2")
    assert allowed.status == 200 and Metrics(allowed.body.decode()).sum("sluice_build_info") == 1
    assert sluice.request("GET", "/metrics", [("X-Forwarded-For", "127.0.0.2")]).status == 403
    assert sluice.request("GET", "/open").status == 200


def test_an_admin_token_is_asked_for_where_one_is_set(gateway):
    """B.9."""
    sluice = gateway(routes=[{"name": "one", "match": {"path": "/"}, "respond": {"status": 200}}],
                     admin={"address": "@admin@", "token": "a-long-secret-token-of-the-operator"})
    assert sluice.request("GET", "/metrics", listener="admin").status == 401
    assert sluice.request("GET", "/metrics", [("Authorization", "Bearer wrong")], listener="admin").status == 401
    good = [("Authorization", "Bearer a-long-secret-token-of-the-operator")]
    assert sluice.request("GET", "/metrics", good, listener="admin").status == 200


def test_the_admin_listener_is_as_strict_as_any(simple):
    """Hardening, section A, holds for every listener."""
    sluice, _ = simple()
    for attack in (b"GET /metrics HTTP/1.1\r\n\r\n",
                   b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                   b"GET /%2e%2e/metrics HTTP/1.1\r\nHost: a\r\n\r\n"):
        with sluice.connect("admin") as client:
            client.send(attack)
            assert client.read_response().status == 400


def test_slow_scrapers_do_not_hold_the_daemon(simple):
    """Hardening 188."""
    sluice, _ = simple()
    held = [sluice.connect("admin").send(b"GET /metrics HT") for _ in range(50)]
    assert sluice.request("GET", "/health", listener="admin").status == 200
    assert sluice.request("GET", "/").status == 200
    for client in held:
        client.close()
