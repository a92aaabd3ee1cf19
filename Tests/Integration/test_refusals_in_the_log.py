"""What the log says of messages that are refused: each rule for itself, and all of them counted (hardening 184, 191)."""

import pytest

from sluice_harness import until
from sluice_harness.process import parsed


def reports(sluice, rule: str) -> list[dict]:
    return [entry for entry in sluice.log_entries() if entry.get("rule") == rule]


def count(sluice, rule: str) -> int:
    """Each line with an example is one, and each names how many more there were."""
    return sum(("bytes" in entry) + entry["more"] for entry in reports(sluice, rule))


def refused(sluice, data: bytes, times: int):
    for _ in range(times):
        assert b"400" in sluice.exchange(data)


def test_a_rule_that_is_broken_all_the_time_hides_no_other_and_each_is_counted(simple):
    sluice, _ = simple(server={"workers": 1})
    refused(sluice, b"GET / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n", 60)
    refused(sluice, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 7)
    first = parsed(sluice.stderr.wait(lambda line: "request refused" in line, 5))["rule"]
    other = parsed(sluice.stderr.wait(lambda line: "request refused" in line and parsed(line).get("rule") != first, 5))["rule"]
    until(lambda: (count(sluice, first), count(sluice, other)) == (60, 7), 5, "all are counted")
    assert len(reports(sluice, first)) <= 4 and len(reports(sluice, other)) <= 3


def test_what_was_left_out_is_said_before_the_process_ends(simple):
    sluice, _ = simple(server={"workers": 1})
    refused(sluice, b"GET / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n", 5)
    sluice.stop()
    rule = next(entry["rule"] for entry in sluice.log_entries() if entry.get("message") == "request refused")
    assert count(sluice, rule) == 5


@pytest.mark.parametrize("headers, token, rule, status", [
    ((), None, "admin_token_missing", 401), ((("Authorization", "Bearer wrong-token-wrong"),), None, "admin_token_wrong", 401),
    ((("Origin", "https://evil.test"),), "0123456789abcdef", "admin_origin", 403),
])
def test_whoever_is_turned_away_from_the_admin_listener_is_logged_and_counted(gateway, headers, token, rule, status):
    sluice = gateway(routes=[{"name": "a", "match": {"path": "/"}, "respond": {}}],
                     admin={"address": "@admin@", "token": "0123456789abcdef"})
    assert sluice.admin("GET", "/config?token=PLANTED", headers=headers, token=token).status == status
    entry = parsed(sluice.stderr.wait(lambda line: parsed(line).get("rule") == rule, 5))
    assert entry["peer"] == "127.0.0.1" and entry["bytes"] == "/config"
    page = sluice.admin("GET", "/metrics", token="0123456789abcdef").body.decode()
    assert f'sluice_admin_requests_total{{status="{status}"}} 1' in page


def test_a_foreign_name_for_the_admin_listener_is_logged_and_counted(simple):
    sluice, _ = simple()
    assert sluice.admin("GET", "/config", host="evil.test").status == 403
    sluice.stderr.wait(lambda line: parsed(line).get("rule") == "admin_host", 5)
