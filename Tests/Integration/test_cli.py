"""The command line: one clear line, exit 0, 1 or 2 (hardening 189, 190; issue: bad input)."""

import os
import random
import re
import socket
import stat
import subprocess

import pytest

from sluice_harness import sluice_binary
from sluice_harness.process import REPOSITORY, free_port, parsed


def run(*arguments, timeout=10, environment=None, **more):
    """Runs the command to its end."""
    return subprocess.run([sluice_binary(), *arguments], capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL,
                          env={**os.environ, **(environment or {})}, **more)


def config_text(web=None, admin=None, extra=""):
    return (f"listeners:\n  - name: web\n    address: \"{web or f'127.0.0.1:{free_port()}'}\"\n"
            f"admin:\n  address: \"{admin or f'127.0.0.1:{free_port()}'}\"\n"
            f"routes:\n  - name: all\n    match: {{path: \"/*\"}}\n    respond: {{body: ok}}\n{extra}")


@pytest.fixture
def config(tmp_path):
    def write(text=None, name="sluice.yaml"):
        path = tmp_path / name
        path.write_text(text if text is not None else config_text())
        return str(path)
    return write


def no_trace_of_a_crash(result):
    assert result.returncode >= 0, f"ended by signal {-result.returncode}: {result.stderr}"
    assert "Fatal error" not in result.stderr and "Crash" not in result.stderr


def test_the_version_is_printed():
    result = run("--version")
    assert result.returncode == 0 and re.search(r"\d+\.\d+", result.stdout) and result.stderr == ""


def test_help_is_printed_and_names_the_commands():
    result = run("--help")
    assert result.returncode == 0 and "run" in result.stdout and "check" in result.stdout


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["run", "--nonsense"], ["run", "--config"], ["check", "--config"], ["run", "--config", "a", "b"],
    ["--nonsense"],
], ids=str)
def test_a_usage_error_is_exit_code_2(arguments, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    no_trace_of_a_crash(result)
    assert result.returncode == 2 and result.stderr.strip() and "{" not in result.stderr[:1]


def test_check_of_a_good_file_is_exit_code_0(config):
    result = run("check", "--config", config())
    no_trace_of_a_crash(result)
    assert result.returncode == 0, result.stdout + result.stderr


def test_check_takes_the_files_that_come_with_the_repository():
    """Issue: a fully commented example that a test loads."""

    files = sorted((REPOSITORY / "config").glob("*.yaml"))
    assert files
    for path in files:
        result = run("check", "--config", str(path), environment={"ADMIN_TOKEN": "x" * 40})
        assert result.returncode == 0, f"{path.name}: {result.stdout}{result.stderr}"


BAD = {
    "unknown key": (config_text(extra="nonsense: 1\n"), "10:1"),
    "misspelt key": (config_text(extra="servises: {}\n"), "10:1"),
    "wrong type": (config_text(extra="limits: [1]\n"), "10:9"),
    "bad size": (config_text(extra="limits: {request_body: 10MB}\n"), "10:24"),
    "no routes' match": (config_text(extra="  - name: b\n    respond: {}\n"), "10:5"),
    "dangling": (config_text(extra="  - name: b\n    match: {path: /b}\n    service: none\n"), "12:14"),
    "bad address": (config_text("127.0.0.1"), "3:14"),
    "relative path": (config_text(extra="  - name: b\n    match: {path: b}\n    respond: {}\n"), "11:19"),
    "admin for all without a token": (config_text(admin="0.0.0.0:9901"), None),
    "h2c upgrade": (config_text(extra="  - {name: b, match: {path: /b}, respond: {}, upgrade: [h2c]}\n"), None),
    "not yaml": ("{{{{", None),
    "a list": ("- 1\n", None),
    "empty": ("", None),
    "header injection": (config_text(extra="  - name: b\n    match: {path: /b}\n    respond: {headers: {X-A: \"a\\r\\nX-B: b\"}}\n"), None),
    "connection header": (config_text(extra="middlewares:\n  m: {headers: {request: {set: {Content-Length: \"1\"}}}}\n"), None),
    "open redirect": (config_text(extra="  - name: b\n    match: {path: /b}\n    redirect: {to: \"//evil\"}\n"), None),
    "two listeners on one address": (config_text("127.0.0.1:7777").replace("admin:",
    "  - {name: b, address: \"127.0.0.1:7777\"}\nadmin:", 1), None),
}


@pytest.mark.parametrize("text,place", BAD.values(), ids=BAD.keys())
def test_check_of_a_bad_file_is_exit_code_1_and_says_where(config, text, place):
    """Hardening 190."""
    result = run("check", "--config", config(text))
    no_trace_of_a_crash(result)
    said = result.stdout + result.stderr
    assert result.returncode == 1 and re.search(r"sluice\.yaml:\d+:\d+: error: ", said), said
    if place:
        assert f"sluice.yaml:{place}: error: " in said, said


@pytest.mark.parametrize("text,place", list(BAD.values())[:3], ids=list(BAD.keys())[:3])
def test_run_with_a_bad_file_is_exit_code_1_and_says_the_same(config, text, place):
    """Hardening 212: the same verdict."""
    result = run("run", "--config", config(text))
    no_trace_of_a_crash(result)
    assert result.returncode == 1 and f"sluice.yaml:{place}" in result.stderr


def test_check_opens_no_port(config):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        result = run("check", "--config", config(config_text(f"127.0.0.1:{holder.getsockname()[1]}")))
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("make", [
    lambda path: str(path / "missing.yaml"), lambda path: str(path), lambda path: "/proc/self/mem", lambda path: "",
], ids=["missing", "directory", "unreadable", "empty name"])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_cannot_be_read_is_one_line_and_exit_code_1(tmp_path, command, make):
    result = run(command, "--config", make(tmp_path))
    no_trace_of_a_crash(result)
    assert result.returncode in ((1, 2) if make(tmp_path) == "" else (1,))
    assert result.stderr.strip()


def one_line(result):
    """The daemon ended with exit code 1 and one line that says why."""
    no_trace_of_a_crash(result)
    assert result.returncode == 1, result
    lines = [line for line in result.stderr.splitlines() if line.strip() and parsed(line).get("level") not in ("info", "INFO",
        "debug")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.mark.parametrize("which", ["web", "admin"])
def test_a_port_in_use_is_one_line_and_exit_code_1(config, which):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        assert address in one_line(run("run", "--config", config(config_text(**{which: address}))))


def test_a_second_daemon_on_the_same_address_is_refused(gateway, config):
    """Two daemons must not share a port by accident, which SO_REUSEPORT alone would let them."""
    sluice = gateway(routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200}}])
    address = f"127.0.0.1:{sluice.ports['web']}"
    assert address in one_line(run("run", "--config", config(config_text(address)), timeout=5))
    assert sluice.request().status == 200


def test_an_address_that_is_not_ours_is_one_line_and_exit_code_1(config):
    assert "192.0.2.1" in one_line(run("run", "--config", config(config_text("192.0.2.1:8000"))))


@pytest.mark.skipif(os.geteuid() != 0 or int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) <= 80,
                    reason="needs root, and ports that only root may open")
def test_a_port_that_needs_root_is_one_line_and_exit_code_1(config, tmp_path):
    path = config(config_text("127.0.0.1:81"))
    for part in (tmp_path, *tmp_path.parents):
        try:
            os.chmod(part, os.stat(part).st_mode | stat.S_IROTH | stat.S_IXOTH)
        except OSError:
            pass
    try:
        result = run("run", "--config", path, user=65534, group=65534)
    except PermissionError:
        pytest.skip("the daemon's file cannot be reached by others")
    assert ":81" in one_line(result)


def test_a_socket_or_a_log_that_cannot_be_made_is_one_line_and_exit_code_1(config, tmp_path):
    missing = str(tmp_path / "none" / "x")
    assert missing in one_line(run("run", "--config", config(config_text(f"unix:{missing}"))))
    assert missing in one_line(run("run", "--config", config(config_text(extra=f"access_log: {{output: \"{missing}\"}}\n"))))


def test_variables_come_from_the_environment(config):
    """Design: ${VAR} and ${VAR:-default}."""
    text = config_text("${SLUICE_TEST_ADDRESS}", extra="limits: {request_headers: \"${SLUICE_TEST_UNSET:-50}\"}\n")
    assert run("check", "--config", config(text), environment={"SLUICE_TEST_ADDRESS": "127.0.0.1:7001"}).returncode == 0
    result = run("check", "--config", config(text))
    assert result.returncode == 1 and "SLUICE_TEST_ADDRESS" in result.stdout + result.stderr


def test_a_secret_from_a_file_is_read_and_never_shown(config, tmp_path):
    """Hardening 189."""
    secret = tmp_path / "token"
    secret.write_text("very-secret-token-value\n")
    os.chmod(secret, 0o640)
    text = config_text().replace("admin:\n", f"admin:\n  token: \"file:{secret}\"\n")
    good = run("check", "--config", config(text))
    assert good.returncode == 0 and "very-secret" not in good.stdout + good.stderr
    os.unlink(secret)
    bad = run("check", "--config", config(text))
    assert bad.returncode == 1 and str(secret) in bad.stdout + bad.stderr


def test_every_prefix_of_a_good_file_is_checked_without_a_crash(config):
    """Hardening 190: a file that is cut off anywhere."""
    text = config_text(extra="services:\n  app: {instances: [{url: \"http://127.0.0.1:1\"}], timeouts: {connect: 2s}}\n")
    for end in range(0, len(text), 7):
        result = run("check", "--config", config(text[:end]))
        no_trace_of_a_crash(result)
        assert result.returncode in (0, 1)


@pytest.mark.seconds(60)
def test_damaged_files_are_checked_without_a_crash(config, tmp_path):
    """Hardening 190: bytes flipped, with a seed."""

    dice = random.Random(7)
    good = config_text(extra="services:\n  app: {instances: [{url: \"http://127.0.0.1:1\"}], timeouts: {connect: 2s}}\n").encode()
    path = tmp_path / "damaged.yaml"
    for _ in range(150):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data))
            what = dice.randrange(3)
            if what == 0:
                data[at] = dice.randrange(256)
            elif what == 1:
                del data[at:at + dice.randrange(1, 9)]
            else:
                data[at:at] = bytes(dice.choice(b"{}[]:&*!|>'\"%@`#,?- \n\t\x00\xff") for _ in range(dice.randrange(1, 5)))
        path.write_bytes(data)
        result = subprocess.run([sluice_binary(), "check", "--config", str(path)], capture_output=True, timeout=10)
        assert result.returncode in (0, 1), (result, bytes(data))
