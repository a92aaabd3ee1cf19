"""The command line: one clear line, exit 0, 1 or 2 (hardening 189, 190; issue: bad input)."""

import http.server
import json
import os
import random
import re
import socket
import stat
import subprocess
import threading

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


def test_a_start_says_which_libraries_read_what_strangers_send(gateway):
    """Hardening 141."""
    sluice = gateway(routes=[{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200}}])
    [ready] = [entry for entry in map(parsed, sluice.stderr.lines) if entry.get("message") == "ready"]
    assert re.fullmatch(r"OpenSSL 3\.\d+\.\d+ .+", ready["tls"]) and re.fullmatch(r"nghttp2 1\.\d+\.\d+", ready["http2"]), ready


def test_an_nghttp2_that_lacks_its_limits_is_refused_with_the_remedy(config, tmp_path):
    """Hardening 96."""
    old = tmp_path / "old.so"
    source = ("struct info { int age, number; const char *text, *protocol; }; static struct info old = {1, 0x012b00, \"1.43.0\", \"h2\"};\n"
              "struct info *nghttp2_version(int least) { return least > old.number ? 0 : &old; }\n")
    subprocess.run(["clang", "-shared", "-fPIC", "-x", "c", "-", "-o", str(old)], input=source, text=True, check=True)
    said = one_line(run("run", "--config", config(), environment={"LD_PRELOAD": str(old)}))
    assert "nghttp2 1.43.0 is too old" in said and "1.52.0" in said and "libnghttp2-14" in said


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


# Forms of the arguments


@pytest.mark.parametrize("short,full", [
    (["-t", "-c", "@"], ["check", "-c", "@"]), (["-c", "@", "-t"], ["check", "-c", "@"]),
    (["--check-config", "-c", "@"], ["check", "-c", "@"]), (["-T", "-c", "@"], ["config", "show", "-c", "@"]),
    (["-t", "-T", "-c", "@"], ["config", "show", "-c", "@"]), (["-c", "@", "-T", "-t"], ["config", "show", "-c", "@"]),
    (["-v"], ["version"]), (["-V"], ["version", "--details"]), (["--version"], ["version"]),
], ids=str)
def test_a_short_form_does_what_the_command_does(config, short, full):
    path = config()
    one, other = (run(*[path if a == "@" else a for a in form]) for form in (short, full))
    assert one.returncode == other.returncode == 0 and one.stdout == other.stdout and one.stdout


def test_check_says_the_same_in_json(config):
    good = run("check", "--json", "-c", config())
    assert good.returncode == 0 and json.loads(good.stdout) == {"valid": True, "problems": []}
    bad = run("check", "--json", "-c", config(config_text(extra="servises: {}\n")))
    said = json.loads(bad.stdout)
    assert bad.returncode == 1 and bad.stderr == "" and said["valid"] is False
    problem = said["problems"][0]
    assert (problem["severity"], problem["line"], problem["column"], problem["hint"]) == ("error", 10, 1, "services")
    assert problem["file"].endswith("sluice.yaml") and "unknown key" in problem["message"]


def test_the_version_is_told_in_json():
    result = run("version", "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["version"] == run("--version").stdout.split()[-1]


def test_the_schema_is_json():
    result = run("config", "schema")
    assert result.returncode == 0 and json.loads(result.stdout) == json.loads(run("config", "schema", "--json").stdout)


def test_config_show_tells_every_value_with_its_source_and_no_secret(config):
    """Hardening 189."""
    path = config(config_text().replace("admin:\n", "admin:\n  token: \"very-secret-token-value-0123456789\"\n"))
    text = run("config", "show", "-c", path)
    assert text.returncode == 0 and re.search(r"workers: auto +# default", text.stdout), text.stdout + text.stderr
    assert re.search(r'address: "127\.0\.0\.1:\d+" +# \S*sluice\.yaml:3:14', text.stdout), text.stdout
    shown = json.loads(run("config", "show", "--json", "-c", path).stdout)
    assert shown["configuration"]["server"]["workers"] == "auto" and shown["sources"]["server.workers"] == "default"
    assert "very-secret" not in text.stdout + json.dumps(shown)
    bad = run("config", "show", "-c", config("nonsense: 1\n"))
    assert bad.returncode == 1 and "sluice.yaml:1:1: error:" in bad.stderr and not bad.stdout


@pytest.mark.parametrize("shell,check", [("bash", ["bash", "-euc"]), ("zsh", ["zsh", "-euc"]), ("fish", ["fish", "-c"])])
def test_the_completion_loads_without_an_error(tmp_path, shell, check):
    result = run("completion", shell)
    assert result.returncode == 0 and "sluice" in result.stdout and "explain" in result.stdout
    script = tmp_path / "completion"
    script.write_text(result.stdout)
    try:
        load = "autoload -U compinit; compinit -D; " if shell == "zsh" else ""
        loaded = subprocess.run([*check, f"{load}source {script}"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        assert shell != "bash"
        pytest.skip(f"there is no {shell}")
    assert loaded.returncode == 0 and loaded.stderr == ""


@pytest.mark.parametrize("arguments", [
    ["completion"], ["completion", "tcsh"], ["log", "level", "loud"], ["routes", "explain"], ["routes", "explain", "GET"],
    ["routes", "explain", "GET", "/", "-H", "no-colon"], ["routes", "explain", "GET", "/", "--client", "nobody"],
    ["status", "--admin", "nonsense"], ["status", "--admin", ""], ["status", "--timeout", "0"], ["status", "--token", "secret"],
    ["routes", "list", "--limit", "0"], ["routes", "nonsense"], ["reload", "now"],
], ids=str)
def test_what_cannot_be_understood_is_exit_code_2(arguments):
    result = run(*arguments)
    no_trace_of_a_crash(result)
    assert result.returncode == 2 and result.stderr.strip() and not result.stdout


@pytest.mark.parametrize("columns", ["0", "-1", "1", "9223372036854775807", "-9223372036854775808", "x", ""])
def test_a_strange_width_of_the_terminal_does_no_harm(columns):
    for arguments in (["--help"], ["routes", "explain", "--help"], ["nonsense"]):
        result = run(*arguments, environment={"COLUMNS": columns})
        no_trace_of_a_crash(result)
        assert result.returncode == (2 if arguments == ["nonsense"] else 0)


@pytest.mark.parametrize("arguments", [
    [b"\xff\xfe"], [b"check", b"-c", b"\xff"], [b"routes", b"explain", b"\xff", b"\xff"], [b"-" * 10_000], [b"---completion"],
    [b"status", b"--admin", b"unix:" + b"\xff" * 200], [b"@" * 100_000], [b""], [b"--", b"--"],
], ids=lambda arguments: repr(arguments)[:30])
@pytest.mark.parametrize("name", [b"sluice", b"x/\xff", b"-\n$(reboot)"])
def test_hostile_arguments_are_refused_without_a_crash(arguments, name):
    result = subprocess.run([name, *arguments], executable=sluice_binary(), capture_output=True, timeout=10,
                            env={b"A\xff": b"\xff", b"LC_ALL": b"\xff", b"SLUICE_ADMIN": b"\xff", b"COLUMNS": b"-5"})
    assert result.returncode in (0, 1, 2) and b"Fatal error" not in result.stderr, result


def test_a_reader_that_has_seen_enough_is_no_error(config):
    result = subprocess.run(["bash", "-c", f"set -o pipefail; {sluice_binary()} config schema | head -n 1"], capture_output=True,
                            text=True, timeout=10)
    assert result.returncode == 0 and result.stderr == "" and result.stdout.strip() == "{"


def test_closed_and_full_outputs_are_survived(config):
    def shell(line):
        return subprocess.run(["bash", "-c", line.replace("SLUICE", sluice_binary())], capture_output=True, text=True, timeout=10)
    assert shell("SLUICE config schema >&- 2>&- <&-").returncode == 0
    full = shell("SLUICE config schema > /dev/full")
    assert full.returncode == 1 and full.stderr == "sluice: cannot write: No space left on device\n"


# Commands that ask a daemon


SERVED = {
    "services": {"app": {"instances": [{"url": "http://127.0.0.1:1"}]}},
    "routes": [{"name": "users", "match": {"path": "/users/*", "methods": ["GET"]}, "service": "app"},
               {"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}],
}


def ask(sluice, *arguments, **more):
    return run(*arguments, "-c", str(sluice.config_path), **more)


def good(result):
    no_trace_of_a_crash(result)
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout


@pytest.mark.parametrize("arguments,says,member", [
    (["status"], "app", "status"), (["routes", "list"], "/users/*", "data"), (["services", "list"], "127.0.0.1:1", "data"),
    (["config", "show", "--running"], "listeners:", "configuration"), (["log", "level"], "info", "level"),
    (["routes", "explain", "GET", "http://a/users/1"], "users", "route"), (["reload"], "nothing changed", "result"),
], ids=str)
def test_every_question_is_answered_for_people_and_in_json(gateway, arguments, says, member):
    sluice = gateway(**SERVED)
    assert says in good(ask(sluice, *arguments))
    assert member in json.loads(good(ask(sluice, *arguments, "--json")))


@pytest.mark.parametrize("arguments", [
    ["status"], ["routes", "list"], ["services", "list"], ["config", "show", "--running"], ["log", "level"], ["reload"],
    ["routes", "explain", "GET", "http://a/"],
], ids=str)
def test_without_a_daemon_nothing_is_guessed(config, arguments):
    port = free_port()
    path = config(config_text(admin=f"127.0.0.1:{port}"))
    for extra in ([], ["--json"]):
        result = run(*arguments, *extra, "-c", path)
        assert result.returncode == 1 and result.stdout == ""
        first, *more = result.stderr.splitlines()
        assert first == f"sluice: cannot connect to 127.0.0.1:{port}: Connection refused; is the daemon running?"
        assert len(more) == (arguments == ["reload"]) and all("kill -HUP" in line for line in more)


@pytest.mark.parametrize("text,place", [
    ("{{{{", "1:"), ("listeners: [{{{{\nadmin: {address: \"127.0.0.1:1\"}\n", "1:"),
    ("admin: {address: \"${SLUICE_TEST_UNSET}\"}\n", "1:18: error: admin.address: the environment variable SLUICE_TEST_UNSET"),
    ("admin: {address: nowhere}\n", "1:18"),
], ids=["no YAML", "a fault before it", "a variable", "no address"])
def test_a_file_that_does_not_say_whom_to_ask_is_an_error_with_a_remedy(config, text, place):
    result = run("reload", "-c", config(text))
    assert result.returncode == 1 and f"sluice.yaml:{place}" in result.stderr
    assert result.stderr.endswith("name it with --admin or SLUICE_ADMIN\n")


@pytest.mark.parametrize("mistake,line", [
    ("nonsense: 1\n", "nonsense: unknown key"), ("{{{{\n", "error: "),
    ("limits: {request_headers: \"${SLUICE_TEST_UNSET}\"}\n", "SLUICE_TEST_UNSET is not set"),
], ids=["unknown key", "no YAML", "a variable"])
def test_a_mistake_elsewhere_in_the_file_does_not_keep_the_command_line_from_the_daemon(gateway, mistake, line):
    sluice = gateway({**SERVED, "admin": {"address": "@admin@", "token": "very-secret-token-value-0123456789"}})
    good_text = sluice.config_path.read_text()
    sluice.config_path.write_text(good_text + mistake)
    assert "app" in good(ask(sluice, "status"))
    refused = ask(sluice, "reload")
    assert refused.returncode == 1 and re.search(r"sluice\.yaml:\d+:\d+: ", refused.stderr) and line in refused.stderr
    assert "the configuration was refused; generation 1 goes on serving" in refused.stderr
    sluice.config_path.write_text(good_text)


def test_a_variable_that_only_the_daemon_has_does_not_matter(gateway):
    sluice = gateway({**SERVED, "admin": {"address": "@admin@", "token": "very-secret-token-${SLUICE_TEST_ONLY}-0123456789"},
                      "access_log": {"output": "${SLUICE_TEST_LOG}"}},
                     environment={"SLUICE_TEST_ONLY": "there", "SLUICE_TEST_LOG": "none"})
    token = {"SLUICE_ADMIN_TOKEN": "very-secret-token-there-0123456789"}
    assert "nothing changed" in good(ask(sluice, "reload", environment=token))
    none = ask(sluice, "status")
    assert none.returncode == 1 and "SLUICE_TEST_ONLY is not set" in none.stderr and "asks for a token" in none.stderr


def rotated(gateway, tmp_path, **server):
    """A daemon whose token's file has a new content."""
    secret = tmp_path / "token"
    secret.write_text("the-token-of-yesterday\n")
    secret.chmod(0o640)
    sluice = gateway({**SERVED, "server": server, "admin": {"address": "@admin@", "token": f"file:{secret}"}})
    good(ask(sluice, "status"))
    secret.write_text("the-token-of-today-000\n")
    return sluice


@pytest.mark.parametrize("way", ["pid file", "MAINPID"])
def test_a_new_token_is_told_by_a_signal(gateway, tmp_path, way):
    pid_file = str(tmp_path / "pid")
    sluice = rotated(gateway, tmp_path, **({"pid_file": pid_file} if way == "pid file" else {}))
    environment = {} if way == "pid file" else {"MAINPID": str(sluice.pid)}
    said = good(ask(sluice, "reload", environment=environment))
    assert "did not know the token" in said and "generation 2 serves" in said
    assert "app" in good(ask(sluice, "status")) and "nothing changed" in good(ask(sluice, "reload"))
    (tmp_path / "token").write_text("the-token-of-tomorrow-0\n")
    told = json.loads(good(ask(sluice, "reload", "--json", environment=environment)))
    assert (told["result"], told["generation"]) == ("applied", 3) and "did not know the token" in told["warnings"][0]


def test_a_new_token_without_a_pid_file_is_refused_with_a_remedy(gateway, tmp_path):
    sluice = rotated(gateway, tmp_path)
    refused = ask(sluice, "reload")
    assert refused.returncode == 1 and "does not accept the token" in refused.stderr
    assert "systemctl reload sluice" in refused.stderr and "kill -HUP" in refused.stderr and "server.pid_file" in refused.stderr


def test_a_new_token_in_a_file_that_the_daemon_refuses_is_given_up_with_its_mistakes(gateway, tmp_path):
    sluice = rotated(gateway, tmp_path, pid_file=str(tmp_path / "pid"))
    good_text = sluice.config_path.read_text()
    sluice.config_path.write_text(good_text + "nonsense: 1\n")
    refused = ask(sluice, "reload", "--timeout", "1")
    assert refused.returncode == 1 and "nonsense: unknown key" in refused.stderr
    assert f"process {sluice.pid} got SIGHUP, but does not go by the file after 1 s" in refused.stderr
    sluice.config_path.write_text(good_text)


def test_a_process_that_is_no_daemon_gets_no_signal(gateway, tmp_path):
    pid_file = tmp_path / "pid"
    sluice = rotated(gateway, tmp_path, pid_file=str(pid_file))
    with subprocess.Popen(["sleep", "60"]) as other:
        for text in (f"{other.pid}\n", "1\n", "-1\n", "0\n", "x\n", "", "99999999999999999999\n"):
            pid_file.write_text(text)
            refused = ask(sluice, "reload")
            assert refused.returncode == 1 and "does not accept the token" in refused.stderr
        assert other.poll() is None
        other.kill()
    pid_file.write_text(f"{sluice.pid}\n")
    good(ask(sluice, "reload"))


def test_a_new_admin_address_is_told_by_a_signal_or_refused_with_a_remedy(gateway, tmp_path):
    path = f"/tmp/sluice-cli-{os.getpid()}-{free_port()}.sock"
    sluice = gateway({**SERVED, "admin": {"address": "@admin@"}})
    text = sluice.config_path.read_text()
    old = f"127.0.0.1:{sluice.ports['admin']}"
    assert old in text
    sluice.config_path.write_text(text.replace(old, f"unix:{path}"))
    refused = ask(sluice, "reload")
    assert refused.returncode == 1 and "No such file" in refused.stderr
    assert "the daemon still listens on the old one" in refused.stderr and "kill -HUP" in refused.stderr
    said = good(ask(sluice, "reload", environment={"MAINPID": str(sluice.pid)}))
    assert "nobody listened on unix:" in said and "generation 2 serves" in said
    assert "app" in good(ask(sluice, "status"))
    sluice.config_path.write_text(text)
    assert "generation 3 serves" in good(ask(sluice, "reload", environment={"MAINPID": str(sluice.pid)}))


def test_reload_of_another_file_than_the_daemon_runs_is_refused(gateway, tmp_path):
    sluice = gateway(**SERVED)
    other = tmp_path / "other.yaml"
    other.write_text(sluice.config_path.read_text())
    address = f"127.0.0.1:{sluice.ports['admin']}"
    line = f"the daemon at {address} runs {sluice.config_path}, not {other}"
    refused = run("reload", "-c", "other.yaml", cwd=tmp_path)
    assert refused.returncode == 1 and refused.stdout == "" and line in refused.stderr and "--admin" in refused.stderr
    assert run("reload", "-c", str(other), environment={"SLUICE_ADMIN": address}).returncode == 1
    warned = run("reload", "-c", str(other), "--admin", address)
    assert warned.returncode == 0 and f"warning: {line}" in warned.stderr and "nothing changed" in warned.stdout
    # No file was named: nothing to compare.
    good(run("reload", "--admin", address))
    good(run("reload", "-c", f"./{sluice.config_path.name}", cwd=sluice.config_path.parent))
    link = tmp_path / "link.yaml"
    link.symlink_to(sluice.config_path)
    good(run("reload", "-c", str(link)))


def test_reload_tells_what_changed(gateway):
    sluice = gateway(**SERVED)
    changed = {
        "services": {"other": {"instances": [{"url": "http://127.0.0.1:2"}]}},
        "routes": [{"name": "new", "match": {"path": "/users/*"}, "service": "other"}, SERVED["routes"][1]],
        "server": {"log_level": "debug"},
    }
    sluice.write_config(changed)
    lines = good(ask(sluice, "reload")).splitlines()
    for line in ("+ routes.new", "- routes.users", "+ services.other", "- services.app", "~ server.log_level: info -> debug"):
        assert line in lines, lines
    sluice.write_config(SERVED)
    said = json.loads(good(ask(sluice, "reload", "--json")))
    assert said["result"] == "applied"
    assert {(change["change"], change["path"]) for change in said["changes"]} >= {
        ("removed", "routes.new"), ("added", "routes.users"), ("changed", "server.log_level")}


def test_a_reload_that_is_refused_is_exit_code_1_with_the_diagnostics(gateway):
    sluice = gateway(**SERVED)
    address = f"127.0.0.1:{sluice.ports['admin']}"
    good_text = sluice.config_path.read_text()
    sluice.config_path.write_text(good_text + "nonsense: 1\n")
    number = good_text.count("\n") + 1
    text = run("reload", "--admin", address)
    assert text.returncode == 1 and f"sluice.yaml:{number}:1: error: nonsense: unknown key" in text.stderr and not text.stdout
    said = run("reload", "--admin", address, "--json")
    assert said.returncode == 1 and said.stderr == ""
    assert json.loads(said.stdout)["error"]["details"]["problems"][0]["line"] == number
    sluice.config_path.write_text(good_text)
    assert sluice.request().status == 200


def test_the_level_of_the_log_is_read_and_set(gateway):
    sluice = gateway(**SERVED)
    assert good(ask(sluice, "log", "level")).strip() == "info"
    assert json.loads(good(ask(sluice, "log", "level", "debug", "--json")))["level"] == "debug"
    assert good(ask(sluice, "log", "level")).strip() == "debug"


def test_explain_takes_fields_client_and_listener(gateway):
    sluice = gateway(services=SERVED["services"], routes=[
        {"name": "beta", "match": {"path": "/*", "headers": {"X-Beta": ["yes"]}}, "service": "app"},
        {"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}])
    question = ["routes", "explain", "GET", "http://a/x", "--client", "192.0.2.7", "--listener", "web"]
    assert "beta" in good(ask(sluice, *question, "-H", "x-beta: yes", "-H", "X-Other: 1", "-H", "x-other:2"))
    told = json.loads(good(ask(sluice, *question, "--json")))
    assert "all" in json.dumps(told["route"])
    unknown = ask(sluice, *question[:-1], "nowhere")
    assert unknown.returncode == 2 and "listener: there is no listener of that name" in unknown.stderr
    for wrong in (["nonsense"], ["http://"], ["http://a/", "-H", "a b: 1"], ["http://a/", "-H", "a: \x01"]):
        result = ask(sluice, "routes", "explain", "GET", *wrong)
        assert result.returncode == 2 and result.stderr.startswith("sluice: ") and not result.stdout
        assert ask(sluice, "routes", "explain", "GET", *wrong, "--json").returncode == 2


def test_explain_of_a_path_alone_takes_localhost_and_says_so(gateway):
    sluice = gateway(services=SERVED["services"], routes=[
        {"name": "local", "match": {"path": "/*", "host": "localhost"}, "respond": {"body": "ok"}},
        {"name": "all", "match": {"path": "/*"}, "service": "app"}])
    said = good(ask(sluice, "routes", "explain", "GET", "/x"))
    assert said.startswith("No host was given, so localhost is taken;") and "local: host localhost" in said
    assert json.loads(good(ask(sluice, "routes", "explain", "GET", "/x", "--json")))["route"]["name"] == "local"
    named = good(ask(sluice, "routes", "explain", "GET", "/x", "-H", "host: other"))
    assert "No host" not in named and "all: any host" in named


def test_explain_says_how_many_more_routes_came_near(gateway):
    sluice = gateway(services=SERVED["services"], routes=[
        {"name": f"r{i}", "match": {"path": f"/a/{i}"}, "service": "app"} for i in range(13)])
    said = good(ask(sluice, "routes", "explain", "GET", "http://a/a/x"))
    assert len(re.findall(r"^  not ", said, re.M)) == 10 and re.search(r"^ +and 3 more$", said, re.M), said
    told = json.loads(good(ask(sluice, "routes", "explain", "GET", "http://a/a/x", "--json")))
    assert len(told["candidates"]) == 10 and told["further_candidates"] == 3
    assert "more" not in good(ask(sluice, "routes", "explain", "GET", "http://a/b/c"))


def test_a_token_comes_from_the_file_or_the_environment_and_is_asked_for(gateway, tmp_path):
    sluice = gateway({**SERVED, "admin": {"address": "@admin@", "token": "very-secret-token-value-0123456789"}})
    address = f"127.0.0.1:{sluice.ports['admin']}"
    good(ask(sluice, "status"))
    none = run("status", "--admin", address)
    assert none.returncode == 1 and "asks for a token; name its file with --token-file, or set SLUICE_ADMIN_TOKEN" in none.stderr
    wrong = run("status", environment={"SLUICE_ADMIN": address, "SLUICE_ADMIN_TOKEN": "wrong"})
    assert wrong.returncode == 1 and "does not accept the token" in wrong.stderr
    right = {"SLUICE_ADMIN_TOKEN": "very-secret-token-value-0123456789"}
    good(run("status", "--admin", address, environment=right))
    token = tmp_path / "token"
    token.write_text("very-secret-token-value-0123456789\n")
    good(run("status", "--admin", address, "--token-file", str(token), environment={"SLUICE_ADMIN_TOKEN": "wrong"}))
    missing = run("status", "--admin", address, "--token-file", str(tmp_path / "none"))
    assert missing.returncode == 1 and "No such file" in missing.stderr


def test_an_admin_listener_on_a_unix_socket_is_asked(gateway, tmp_path):
    path = f"/tmp/sluice-cli-{os.getpid()}.sock"
    sluice = gateway({**SERVED, "admin": {"address": f"unix:{path}"}})
    assert "app" in good(ask(sluice, "status"))
    assert "app" in good(run("status", "--admin", f"unix:{path}"))
    sluice.stop()
    gone = run("status", "--admin", f"unix:{path}")
    assert gone.returncode == 1 and gone.stderr == (
        f"sluice: cannot connect to unix:{path}: No such file or directory; is the daemon running?\n")


def test_an_admin_listener_on_every_address_is_asked_on_this_machine(config):
    with Silent() as silent:
        text = config_text(admin=f"0.0.0.0:{silent.port}")
        text = text.replace("admin:\n", "admin:\n  token: \"a-token-of-enough-length-0123\"\n")
        result = run("status", "--timeout", "1", "-c", config(text))
    assert f"no answer from 127.0.0.1:{silent.port} within 1 s" in result.stderr


class Silent:
    """Accepts connections and never says anything."""

    def __enter__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_a_daemon_that_does_not_answer_is_given_up():
    with Silent() as silent:
        result = run("status", "--admin", f"127.0.0.1:{silent.port}", "--timeout", "1")
    assert result.returncode == 1
    assert result.stderr == f"sluice: no answer from 127.0.0.1:{silent.port} within 1 s; --timeout sets how long is waited\n"


class Teller:
    """Answers every request with the same bytes, and the same again for as long as somebody reads them."""

    def __init__(self, begin, again=b""):
        self.begin, self.again = begin, again

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        try:
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(self.begin)
                    while self.again:
                        connection.sendall(self.again)
        except OSError:
            pass

    def __exit__(self, *_):
        self.socket.close()


@pytest.mark.parametrize("begin,again", [
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
], ids=["interim heads", "small chunks"])
def test_a_daemon_that_never_stops_answering_is_given_up(begin, again):
    with Teller(begin, again) as teller:
        result = run("status", "--admin", f"127.0.0.1:{teller.port}", "--timeout", "1", timeout=5)
    assert result.returncode == 1 and result.stderr.startswith("sluice: ") and not result.stdout


@pytest.mark.parametrize("status", ["200 OK", "422 No"])
@pytest.mark.parametrize("kind,extra", [("text/plain", []), ("application/json", ["--json"])])
def test_no_answer_can_write_to_the_terminal_as_it_likes(status, kind, extra):
    body = "\x1b]0;pwn\x07 \u009b31m \u202e\u2066 \r\x7f \u2028 fine ä\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with Teller(head + body) as teller:
        said = subprocess.run([sluice_binary(), "status", *extra, "--admin", f"127.0.0.1:{teller.port}"], capture_output=True,
                              timeout=10)
    shown = (said.stdout + said.stderr).decode()
    assert "fine ä" in shown and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown), shown
    assert ("\\u001b]0;pwn" if extra else "\\u{1b}]0;pwn") in shown


def test_an_answer_of_somebody_else_is_said_to_be_one():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        result = run("status", "--admin", address)
        server.shutdown()
    assert result.returncode == 1 and result.stderr.startswith(f"sluice: {address} answers with status 404")
