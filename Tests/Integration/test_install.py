"""scripts/install and the units: what they put in place works, and they take it away again (hardening 189, 212, 220, 223)."""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sluice_harness import sluice_binary
from sluice_harness.process import REPOSITORY, free_port
from sluice_harness.waiting import SCALE, until

UNITS = [REPOSITORY / "config" / "sluice.service", REPOSITORY / "config" / "sluice.socket"]

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def install(*arguments, **more):
    return subprocess.run([REPOSITORY / "scripts" / "install", *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60 * SCALE, **more)


def staged(root, *arguments):
    done = install("--root", root, "--binary", sluice_binary(), *arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Everything, installed once below a directory. Tests that change it install below their own."""
    root = tmp_path_factory.mktemp("root")
    staged(root)
    return root


def tree(root):
    """Path -> permissions of everything below a directory."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder) / name
            found[str(path.relative_to(root))] = stat.S_IMODE(path.lstat().st_mode)
    return found


def settings(unit):
    """(section, key) -> values of a unit."""
    found, section = {}, ""
    for line in unit.read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault((section, match[1]), []).append(match[2])
        else:
            assert not line or line.startswith("#"), line
    return found


# Putting in place

def test_an_installation_puts_each_file_in_its_place_with_its_mode(machine):
    found = tree(machine)
    expected = {
        "usr/local/bin/sluice": 0o755, "usr/local/lib/systemd/system/sluice.service": 0o644,
        "usr/local/lib/systemd/system/sluice.socket": 0o644, "usr/local/share/bash-completion/completions/sluice": 0o644,
        "usr/local/share/doc/sluice/operations.md": 0o644, "usr/local/share/doc/sluice/example.yaml": 0o644,
        "usr/local/share/doc/sluice/sluice.schema.json": 0o644,
        "etc/sluice": 0o750, "etc/sluice/sluice.yaml": 0o640, "var/lib/sluice": 0o750, "var/log/sluice": 0o750,
    }
    assert {path: oct(found.get(path, 0)) for path in expected} == {path: oct(mode) for path, mode in expected.items()}
    assert not [path for path in found if path.endswith(".new")]
    assert not [path for path, mode in found.items() if mode & 0o022], "writable by others"


def test_the_installed_binary_accepts_the_installed_configuration(machine):
    done = subprocess.run([machine / "usr/local/bin/sluice", "check", "--config", machine / "etc/sluice/sluice.yaml"],
                          capture_output=True, text=True, timeout=10 * SCALE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installed_completion_is_a_script_for_bash_that_knows_the_commands(machine):
    script = machine / "usr/local/share/bash-completion/completions/sluice"
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    text = script.read_text()
    assert "complete " in text and all(word in text for word in ("run", "check", "reload", "routes", "explain"))


def test_installing_twice_changes_nothing_and_keeps_a_configuration_that_was_edited(tmp_path):
    staged(tmp_path)
    before = tree(tmp_path)
    config = tmp_path / "etc/sluice/sluice.yaml"
    config.write_text(config.read_text().replace("8000", "8123"))
    config.chmod(0o600)
    done = staged(tmp_path)
    assert "8123" in config.read_text() and "as it was" in done.stderr
    assert tree(tmp_path) == {**before, "etc/sluice/sluice.yaml": 0o600}


def test_an_installation_says_what_it_did_and_the_next_two_commands(tmp_path):
    said = staged(tmp_path).stderr
    assert "/usr/local/bin/sluice\n" in said and "/usr/local/lib/systemd/system/sluice.service\n" in said
    assert said.rstrip().splitlines()[-2:] == ["  /usr/local/bin/sluice check", "  systemctl enable --now sluice"]


def test_a_binary_that_runs_is_replaced_without_being_disturbed(tmp_path):
    staged(tmp_path)
    installed = tmp_path / "usr/local/bin/sluice"
    config = tmp_path / "run.yaml"
    config.write_text(f'listeners: [{{name: web, address: "127.0.0.1:{free_port()}"}}]\nadmin: {{enabled: false}}\n'
                      'routes: [{name: all, match: {path: "/*"}, respond: {}}]\n')
    daemon = subprocess.Popen([installed, "run", "--config", config], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        while '"ready"' not in (line := daemon.stderr.readline()):
            assert line, "the daemon has ended"
        before = installed.stat().st_ino
        staged(tmp_path)
        assert installed.stat().st_ino != before and daemon.poll() is None
    finally:
        daemon.terminate()
        daemon.communicate(timeout=10 * SCALE)
    assert daemon.returncode == 0


def test_another_prefix_is_the_one_that_the_units_name(tmp_path):
    staged(tmp_path, "--prefix", "/opt/gateway")
    unit = (tmp_path / "etc/systemd/system/sluice.service").read_text()
    assert (tmp_path / "opt/gateway/bin/sluice").exists() and "/usr/local" not in unit
    assert "\nExecStart=/opt/gateway/bin/sluice run " in unit and "\nExecPaths=/opt/gateway/bin " in unit
    done = install("--root", tmp_path, "--prefix", "/opt/gateway", "--uninstall", "--purge")
    assert done.returncode == 0 and not [path for path in tmp_path.rglob("*") if path.is_file()]


# Taking away

def test_removal_takes_away_what_was_put_and_keeps_configuration_and_logs(tmp_path):
    staged(tmp_path)
    (tmp_path / "var/log/sluice/access.log").write_text("kept\n")
    done = install("--root", tmp_path, "--uninstall")
    assert done.returncode == 0, done.stderr
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["etc/sluice/sluice.yaml", "var/log/sluice/access.log"]
    assert install("--root", tmp_path, "--uninstall").returncode == 0, "a second removal is no error"


def test_a_purge_leaves_nothing_behind(tmp_path):
    staged(tmp_path)
    (tmp_path / "var/log/sluice/access.log").write_text("gone\n")
    assert install("--root", tmp_path, "--uninstall", "--purge").returncode == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or "sluice" in path.name]


# Saying no

@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["--root"], ["--binary"], ["--prefix", "relative"], ["--prefix", "/a b"], ["--prefix", "/usr/local/"],
    ["--purge"],
], ids=" ".join)
def test_a_usage_error_is_exit_code_2_and_changes_nothing(tmp_path, arguments):
    done = install(*(["--root", tmp_path] if arguments != ["--root"] else []), *arguments)
    assert done.returncode == 2 and done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments,message", [
    (["--binary", "/nonexistent/sluice"], "no binary at /nonexistent/sluice"),
    (["--binary", __file__], "cannot be executed"),
    (["--prefix", "/var/tmp/sluice"], "the unit hides /var/tmp/sluice"),
    (["--prefix", "/usr/../tmp"], None),
])
def test_what_cannot_work_is_refused_before_anything_is_changed(tmp_path, arguments, message):
    done = install("--root", tmp_path, *arguments)
    assert done.returncode != 0 and not list(tmp_path.iterdir())
    if message:
        assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_without_root_it_says_so_and_what_to_do(tmp_path):
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        done = install("--binary", sluice_binary(), **as_nobody)
    except PermissionError:
        pytest.skip("the checkout cannot be reached by others")
    if done.returncode == 126:
        pytest.skip("the checkout cannot be reached by others")
    assert done.returncode == 1 and "needs root" in done.stderr and "--root" in done.stderr


@pytest.mark.skipif(os.path.isdir("/run/systemd/system") or os.geteuid() != 0, reason="needs root, and a machine without systemd")
def test_without_systemd_it_says_so_and_what_to_do():
    done = install("--binary", sluice_binary())
    assert done.returncode == 1 and "systemd does not run here" in done.stderr and "--root" in done.stderr


# On a machine of its own: a mount namespace whose /etc, /usr/local, /var and /run are thrown away

OWN_MACHINE = r"""
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
for folder in etc usr/local var/lib var/log; do
    mkdir -p "$1/$folder.up" "$1/$folder.work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder.up,workdir=$1/$folder.work" "/$folder"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/tools
printf '#!/bin/sh\necho "$@" >>/run/calls\ncase "$*" in *is-active*) exit ${ACTIVE:-3} ;; *MainPID*) wc -l </run/calls ;; esac\n' >/run/tools/systemctl
chmod +x /run/tools/systemctl
export PATH=/run/tools:$PATH:/usr/sbin
cd "$2"
shift 2
eval "$1"
"""


def on_own_machine(tmp_path, script):
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs root, and a mount namespace")
    scratch = tmp_path / "overlay"
    scratch.mkdir()
    done = subprocess.run(["unshare", "--mount", "bash", "-c", OWN_MACHINE, "machine", scratch, REPOSITORY, script],
                          capture_output=True, text=True, timeout=60 * SCALE, env={**os.environ, "BINARY": sluice_binary()})
    if "mount:" in done.stderr:
        pytest.skip("no overlay can be mounted here: " + done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_real_installation_makes_the_user_gives_it_its_directories_and_starts_nothing(tmp_path):
    said = on_own_machine(tmp_path, """
        scripts/install --binary "$BINARY" 2>/dev/null
        getent passwd sluice
        stat -c '%a %U:%G %n' /etc/sluice /etc/sluice/sluice.yaml /var/lib/sluice /var/log/sluice
        cat /run/calls
    """)
    assert re.search(r"^sluice:x:\d+:\d+:.*:/var/lib/sluice:/usr/sbin/nologin$", said, re.M)
    assert "750 root:sluice /etc/sluice\n640 root:sluice /etc/sluice/sluice.yaml\n750 sluice:sluice /var/lib/sluice\n" \
        "750 sluice:sluice /var/log/sluice\n" in said
    assert said.endswith("daemon-reload\nis-active --quiet sluice.service\n")


def test_installing_over_a_running_daemon_upgrades_it_with_sigusr2(tmp_path):
    calls = on_own_machine(tmp_path, """
        ACTIVE=0 scripts/install --binary "$BINARY" 2>/dev/null
        cat /run/calls
    """)
    assert "kill --kill-whom=main --signal=USR2 sluice.service\n" in calls
    assert not {"start", "restart", "stop"} & set(calls.split())


def test_no_start_leaves_a_running_daemon_alone(tmp_path):
    calls = on_own_machine(tmp_path, """
        ACTIVE=0 scripts/install --no-start --binary "$BINARY" 2>/dev/null
        cat /run/calls
    """)
    assert "kill" not in calls.split()


def test_a_real_removal_stops_the_service_and_a_purge_removes_the_user(tmp_path):
    said = on_own_machine(tmp_path, """
        scripts/install --binary "$BINARY" 2>/dev/null
        scripts/install --uninstall 2>/dev/null
        getent passwd sluice | cut -d: -f1
        scripts/install --uninstall --purge 2>/dev/null
        getent passwd sluice || echo no user
        ls -d /etc/sluice /var/log/sluice /var/lib/sluice /usr/local/bin/sluice 2>/dev/null || true
        cat /run/calls
    """)
    assert said.startswith("sluice\nno user\n") and "/sluice\n" not in said
    assert "disable --now sluice.socket sluice.service\n" in said


# The units

@needs_systemd
def test_systemd_finds_nothing_to_say_about_the_units(tmp_path):
    """In a root that has systemd's own units and, where the unit names it, a binary."""
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    staged(tmp_path)
    command = ["systemd-analyze", "verify", "--recursive-errors=no", f"--root={tmp_path}", "sluice.service", "sluice.socket"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # That it looks at all:
    unit = tmp_path / "usr/local/lib/systemd/system/sluice.service"
    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nNonsense=yes"))
    assert "Nonsense" in subprocess.run(command, capture_output=True, text=True).stderr


@needs_systemd
def test_systemd_rates_the_exposure_of_the_service_at_2_or_better():
    """Hardening 223."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", UNITS[0]], capture_output=True, text=True)
    rating = re.search(r"Overall exposure level for sluice.service: ([\d.]+)", done.stdout)
    assert done.returncode == 0 and rating and float(rating[1]) <= 2.0, done.stdout + done.stderr


def test_the_service_is_watched_restarted_and_given_time_to_drain():
    """Hardening 212, 216, 220."""
    unit = settings(UNITS[0])
    expected = {"Type": "notify", "NotifyAccess": "main", "WatchdogSec": "10s", "Restart": "on-failure", "TimeoutStopSec": "75",
                "LimitNOFILE": "1048576", "KillMode": "mixed", "User": "sluice"}
    assert {key: unit.get(("Service", key)) for key in expected} == {key: [value] for key, value in expected.items()}
    for key, command in (("ExecStartPre", "check"), ("ExecStart", "run"), ("ExecReload", "reload")):
        assert unit["Service", key] == [f"/usr/local/bin/sluice {command} --config /etc/sluice/sluice.yaml"]


def test_the_socket_unit_is_named_for_a_listener_of_the_installed_configuration(machine):
    unit = settings(UNITS[1])
    name, address = unit["Socket", "FileDescriptorName"][0], unit["Socket", "ListenStream"][0]
    config = (machine / "etc/sluice/sluice.yaml").read_text()
    assert f'{{name: {name}, address: "{address}"}}' in config


# Runs a command as the unit's SystemCallFilter=, NoNewPrivileges= and MemoryDenyWriteExecute= let it; a call that the filter refuses
# kills it here, where the unit would answer EPERM.
SANDBOX = r"""
import ctypes, json, os, sys
libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
for name in ("seccomp_rule_add", "seccomp_load"):
    getattr(seccomp, name).argtypes = [ctypes.c_void_p] + [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint] * (name != "seccomp_load")
KILL_PROCESS, ALLOW = 0x80000000, 0x7fff0000
filter = seccomp.seccomp_init(ctypes.c_uint32(KILL_PROCESS))
for name in json.loads(sys.argv[1]):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        assert seccomp.seccomp_rule_add(filter, ALLOW, number, 0) == 0, name
libc.prctl(65, 1, 0, 0, 0)       # PR_SET_MDWE, where the kernel has it (6.3)
libc.prctl(38, 1, 0, 0, 0)       # PR_SET_NO_NEW_PRIVS
os.umask(0o077)
assert seccomp.seccomp_load(filter) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""


def allowed_calls():
    """The calls that SystemCallFilter= of the unit allows, by systemd's own lists."""
    def members(name):
        if not name.startswith("@"):
            return {name}
        lines = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
        return set().union(*(members(line.strip()) for line in lines.splitlines()[1:] if line.strip() and "#" not in line))
    # What systemd allows under every filter: what starting and ending a process takes.
    allowed = members("@default")
    for value in settings(UNITS[0])["Service", "SystemCallFilter"]:
        for name in value.lstrip("~").split():
            allowed = allowed - members(name) if value.startswith("~") else allowed | members(name)
    return allowed


@needs_systemd
def test_the_daemon_serves_reloads_scrapes_upgrades_and_drains_under_the_filter_of_the_unit(tmp_path):
    """Hardening 223: a sandbox that the daemon cannot live in would be switched off."""
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not installed")
    calls = allowed_calls()
    assert "epoll_wait" in calls and "mount" not in calls and "setpriority" not in calls
    web, admin = free_port(), free_port()
    config = tmp_path / "sluice.yaml"

    def write(body):
        config.write_text(
            f'server: {{pid_file: {tmp_path}/sluice.pid}}\n'
            f'listeners: [{{name: web, address: "127.0.0.1:{web}"}}, {{name: local, address: "unix:{tmp_path}/web.sock"}}]\n'
            f'admin: {{address: "127.0.0.1:{admin}"}}\naccess_log: {{output: {tmp_path}/access.log}}\n'
            'services: {gone: {instances: [{url: "http://localhost:1"}]}}\n'
            f'routes: [{{name: all, match: {{path: "/*"}}, respond: {{body: {body}}}}},'
            ' {name: gone, match: {path: /gone}, service: gone}]\n')

    def get(port, path):
        with socket.create_connection(("127.0.0.1", port), 5 * SCALE) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    write("first")
    daemon = subprocess.Popen([sys.executable, "-c", SANDBOX, json.dumps(sorted(calls)), sluice_binary(), "run", "--config", config],
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def wait(message):
        lines = []
        while line := daemon.stderr.readline():
            lines.append(line)
            if f'"message":"{message}"' in line:
                return
        raise AssertionError(f"ended with {daemon.wait()} (-31 is a call that the filter refuses):\n" + "".join(lines))
    try:
        wait("ready")
        assert get(web, "/").endswith("first") and " 502 " in get(web, "/gone") and "process_open_fds" in get(admin, "/metrics")
        write("second")
        daemon.send_signal(signal.SIGHUP)
        wait("reloaded")
        until(lambda: get(web, "/").endswith("second"), 5, "the new configuration")
        daemon.send_signal(signal.SIGUSR1)
        wait("log files reopened")
        daemon.send_signal(signal.SIGUSR2)
        wait("upgrade done; the new process serves")
        wait("stopped")
        assert daemon.wait(10 * SCALE) == 0
        assert get(web, "/").endswith("second")
        os.kill(int((tmp_path / "sluice.pid").read_text()), signal.SIGTERM)
        wait("stopped")
    finally:
        if (tmp_path / "sluice.pid").exists() and daemon.poll() is not None:
            os.kill(int((tmp_path / "sluice.pid").read_text()), signal.SIGKILL)
        daemon.kill()
        daemon.communicate()
    assert stat.S_IMODE(os.stat(tmp_path / "access.log").st_mode) & 0o077 == 0
