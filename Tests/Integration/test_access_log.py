"""The access log (hardening 184 to 186; behaviour B.8)."""

import fcntl
import json
import os
import re
import threading

import pytest

from sluice_harness import reply, request_bytes, until

ALWAYS = ["time", "type", "request_id", "listener", "client_ip", "client_port", "peer_ip", "http_version", "method", "scheme",
    "host",
          "path", "query", "route", "service", "instance", "status", "upstream_status", "reason", "bytes_in", "bytes_out",
          "duration_ms", "overhead_ms", "ttfb_ms", "upstream_ms", "connect_ms", "queue_ms", "attempts", "user_agent", "referer",
          "config_generation"]


def test_a_proxied_request_has_one_line_with_all_keys(simple):
    sluice, server = simple(lambda request, connection: reply(201, b"12345"))
    with sluice.connect() as client:
        port = client.socket.getsockname()[1]
        response = client.request("POST", "/a%20b?c=d", [("User-Agent", "agent/1"), ("Referer", "http://from.test/")], b"xyz")
        entry = sluice.entry(response)
    missing = [key for key in ALWAYS if key not in entry]
    assert not missing, f"missing {missing} in {entry}"
    expected = {
        "type": "access", "listener": "web", "client_ip": "127.0.0.1", "client_port": port, "peer_ip": "127.0.0.1",
        "method": "POST",
        "scheme": "http", "host": "app.test", "path": "/a%20b", "query": "c=d", "route": "all", "service": "app",
        "instance": f"127.0.0.1:{server.port}", "status": 201, "upstream_status": 201, "reason": "ok", "attempts": 1,
        "user_agent": "agent/1", "referer": "http://from.test/", "request_id": response.header("x-request-id")}
    assert {key: entry[key] for key in expected} == expected
    assert str(entry["http_version"]) in ("1.1", "HTTP/1.1")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["time"])
    assert entry["bytes_in"] >= 3 and entry["bytes_out"] >= 5
    assert len(sluice.access_entries()) == 1


def test_times_are_milliseconds_with_three_decimals_and_add_up(simple):
    delay = threading.Event()

    def handler(request, connection):
        delay.wait(0.15)
        return reply()
    sluice, _ = simple(handler)
    response = sluice.request()
    entry = sluice.entry(response)
    assert 150 <= entry["duration_ms"] < 10_000 and 140 <= entry["upstream_ms"] <= entry["duration_ms"]
    assert 0 <= entry["overhead_ms"] < entry["duration_ms"] and entry["ttfb_ms"] <= entry["duration_ms"]
    assert 0 <= entry["connect_ms"] <= entry["duration_ms"] - 140, "a new connection was made, before the backend took its time"
    assert entry["queue_ms"] is None or 0 <= entry["queue_ms"] <= entry["duration_ms"] - 140
    raw = sluice.access_path.read_text()
    for key in ("duration_ms", "overhead_ms", "ttfb_ms", "upstream_ms"):
        assert re.search(rf'"{key}":\d+\.\d{{3}}[,}}]', raw), key


def test_an_answer_of_the_gateway_itself_has_its_reason_and_no_upstream(simple):
    sluice, _ = simple(route={"match": {"path": "/only"}})
    entry = sluice.entry(sluice.request("GET", "/other"))
    assert (entry["status"], entry["reason"]) == (404, "no_route")
    assert not entry.get("upstream_status") and not entry.get("service") and not entry.get("instance")


def test_a_refused_request_is_logged_once_too(simple):
    sluice, _ = simple()
    with sluice.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")
        response = client.read_response()
    entry = sluice.entry(response)
    assert entry["status"] == 400 and entry["reason"] not in ("ok", "", None)
    assert len(sluice.access_entries()) == 1


def test_nothing_that_a_client_sends_can_forge_a_line_or_break_one(simple):
    """Hardening 184."""
    sluice, _ = simple()
    attacks = [
        ("User-Agent", 'x"}\t{"status":200,"forged":true'), ("User-Agent", "\\\" \\u0000 \\n \x80\xff\xfe"),
        ("Referer", "\x1b[31m"[1:] + "\xe2\x80\xa8"),
        ("User-Agent", "a" * 5000), ("Referer", "'; DROP TABLE"), ("User-Agent", "\xf0\x9f\x92\xa9"),
        ("User-Agent", "\xed\xa0\x80"),
    ]
    count = 0
    with sluice.connect() as client:
        for attack in attacks:
            client.request("GET", "/x?q=%0d%0a%22%7d", [attack])
            count += 1
        client.request("GET", "/" + "a" * 7000)
        count += 1
    entries = sluice.wait_access(count)
    raw = sluice.access_path.read_bytes()
    assert len(entries) == count and raw.count(b"\n") == count
    assert not any("forged" in entry for entry in entries)
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw), "a control byte in the log"
    raw.decode("utf-8")
    assert max(len(entry["user_agent"] or "") for entry in entries) <= 300
    assert max(len(entry["path"]) for entry in entries) <= 1100


def test_secrets_in_queries_are_masked_and_credentials_never_logged(simple):
    """Hardening 185."""
    sluice, _ = simple(server={"log_level": "debug"})
    canary = "c4n4ry"
    names = ("token", "api_key", "password", "secret", "access_token", "code", "sig")
    sluice.request("GET", "/x?a=b&" + "&".join(f"{name}={canary}" for name in names),
                   [("Authorization", f"Bearer {canary}"), ("Cookie", f"s={canary}"), ("X-API-Key", canary)])
    with sluice.connect() as client:
        client.send(f"GET / HTTP/1.1\r\nHost : x\r\nAuthorization: Bearer {canary}\r\n\r\n".encode())
        client.read_response()
    entry = sluice.wait_access(matching=lambda entry: entry["path"] == "/x")[0]
    assert "a=b" in entry["query"] and "token=" in entry["query"]
    everything = sluice.access_path.read_text() + "\n".join(sluice.stderr.lines)
    assert canary not in everything


def test_the_combined_format_is_that_of_apache(simple):
    sluice, _ = simple(lambda request, connection: reply(200, b"12345"),
        access_log={"format": "combined", "output": "@dir@/combined.log"})
    sluice.request("GET", "/a?b=c", [("User-Agent", 'ag"ent'), ("Referer", "http://from.test/")])
    path = sluice.directory / "combined.log"
    until(lambda: path.exists() and path.read_text().endswith("\n"), 5, "a line")
    line = path.read_text().rstrip("\n")
    match = re.fullmatch(
        r'127\.0\.0\.1 - - \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
        r'"GET /a\?b=c HTTP/1\.1" 200 (\d+) "(.*)" "(.*)"', line)
    assert match, line
    assert int(match.group(2)) >= 5 and match.group(3) == "http://from.test/"
    assert 'ag"ent' not in match.group(4) and "ag" in match.group(4)


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_the_log_goes_to_standard_output_or_error_when_asked_for(simple, output):
    sluice, _ = simple(access_log={"output": output})
    sluice.request("GET", "/here")
    lines = sluice.stdout if output == "stdout" else sluice.stderr
    line = lines.wait(lambda line: '"type":"access"' in line, 5, what="an access line")
    assert json.loads(line)["path"] == "/here"


def test_no_log_is_written_when_there_is_to_be_none(simple):
    sluice, _ = simple(access_log={"output": "none"})
    sluice.request("GET", "/here")
    assert not any("access" in line for line in sluice.stdout.lines)


def test_a_file_that_was_moved_away_is_opened_again_on_sighup(simple):
    """Hardening 186."""
    sluice, _ = simple()
    sluice.request("GET", "/before")
    sluice.wait_access(1)
    os.rename(sluice.access_path, sluice.directory / "access.log.1")
    sluice.reload()
    sluice.request("GET", "/after")
    assert [entry["path"] for entry in sluice.wait_access(1)] == ["/after"]
    assert "/before" in (sluice.directory / "access.log.1").read_text()


@pytest.mark.seconds(60)
def test_a_reader_that_does_not_read_never_holds_the_requests_up(simple):
    """Hardening 186: a bounded ring of 8 MiB, then lines are dropped and counted; logging goes on when the reader does."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, 1031, 4096)    # F_SETPIPE_SZ
    sluice, _ = simple(access_log={"output": "stdout"}, gateway_options={"stdout": writing},
                       limits={"requests_per_connection": 1_000_000}, route={"service": None, "respond": {"status": 200}})
    os.close(writing)
    target = "/" + "a" * 1000
    batch = request_bytes("GET", target, [("User-Agent", "u" * 250)]) * 100
    with sluice.connect() as client:
        for _ in range(100):
            client.send(batch)
            for _ in range(100):
                assert client.read_response().status == 200
    until(lambda: sluice.metrics().sum("sluice_log_dropped_total") > 0, 5, "dropped lines are counted")
    collected = bytearray()

    def collect():
        while data := os.read(reading, 65536):
            collected.extend(data)
    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    until(lambda: collected.count(b"\n") > 1000, 10, "the ring is drained")

    def logged():
        sluice.request("GET", "/last")
        return b'"/last"' in collected
    until(logged, 10, "lines are written again")
    assert all(json.loads(line) for line in collected.split(b"\n")[:-1])
    sluice.stop()
    reader.join(5)
    os.close(reading)


def test_a_log_pipe_whose_reader_is_gone_does_not_end_the_daemon(simple):
    """Hardening 186, 217."""
    reading, writing = os.pipe()
    sluice, _ = simple(access_log={"output": "stdout"}, gateway_options={"stdout": writing})
    os.close(writing)
    os.close(reading)
    for _ in range(50):
        assert sluice.request().status == 200
    assert sluice.is_running()


def test_a_full_disk_does_not_hold_the_requests_up(simple):
    """Hardening 186."""
    sluice, _ = simple(access_log={"output": "/dev/full"})
    for _ in range(50):
        assert sluice.request().status == 200
    until(lambda: sluice.metrics().sum("sluice_log_dropped_total") > 0, 5, "dropped lines are counted")
    assert sluice.cpu_seconds() < 5


def test_lines_of_many_workers_do_not_mix(simple):
    sluice, _ = simple(server={"workers": 4}, route={"service": None, "respond": {"status": 200}})

    def run(number):
        with sluice.connect() as client:
            for index in range(200):
                client.request("GET", f"/{number}/{index}", [("User-Agent", "u" * (number * 10))])
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = sluice.wait_access(1600, 10)
    assert sorted(entry["path"] for entry in entries) == sorted(f"/{n}/{i}" for n in range(8) for i in range(200))
