"""SIGUSR2: a new process takes the sockets over and the old one drains; a new one that fails changes nothing (hardening 215; behaviour B.11)."""

import os
import shutil
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from conftest import one_service
from sluice_harness import reply, request_bytes, sluice_binary, until
from sluice_harness.load import SteadyLoad
from sluice_harness.notify import NotifySocket
from sluice_harness.process import parsed


def answering(text: str, **blocks) -> dict:
    return {"routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": text}}], **blocks}


@pytest.fixture
def binary(tmp_path):
    """A copy of the daemon, which a test may replace."""
    copy = tmp_path / "bin" / "sluice"
    copy.parent.mkdir()
    shutil.copy2(sluice_binary(), copy)
    return copy


def replace(binary: Path, text: str):
    """As a package manager does: the new file takes the old one's name."""
    draft = binary.with_suffix(".new")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.rename(binary)


def fails(sluice, seconds: float = 15) -> dict:
    start = len(sluice.stderr.lines)
    sluice.signal(signal.SIGUSR2)
    message = "upgrade failed; this process goes on serving"
    return parsed(sluice.stderr.wait(lambda line: parsed(line).get("message") == message, seconds, start, "the failure"))


def test_the_new_process_serves_on_the_same_sockets_and_the_old_one_ends_with_0(gateway):
    sluice = gateway(answering("x"))
    old = sluice.pid
    before = sorted(entry for entry in sluice.descriptors() if entry.startswith("socket:"))
    assert sluice.upgrade() != old
    assert sluice.request().body == b"x" and sluice.request("GET", "/health", listener="admin", host="localhost").status == 200
    after = sorted(entry for entry in sluice.descriptors() if entry.startswith("socket:"))
    assert [entry for entry in before if entry in after], "no socket was handed over"


def test_the_new_process_can_be_upgraded_in_turn(gateway):
    sluice = gateway(answering("x"))
    seen = {sluice.pid}
    for _ in range(3):
        seen.add(sluice.upgrade())
        assert sluice.request().body == b"x"
    assert len(seen) == 4


def test_the_new_process_reads_the_file_as_it_is_now(gateway):
    sluice = gateway(answering("old"))
    sluice.write_config(answering("new"))
    sluice.upgrade()
    assert sluice.request().body == b"new"


def test_a_running_request_ends_in_the_old_process_while_the_new_one_serves(simple):
    gate = threading.Event()

    def handler(request, connection):
        if request.target == "/slow":
            assert gate.wait(20)
        return reply(200, request.target.encode())
    sluice, server = simple(handler)
    with sluice.connect() as client:
        client.send(request_bytes("GET", "/slow"))
        server.wait_requests(1)
        start = len(sluice.stderr.lines)
        sluice.signal(signal.SIGUSR2)
        done = parsed(sluice.stderr.wait(lambda line: "upgrade done" in line, 15, start))
        until(lambda: sluice.request("GET", "/quick").body == b"/quick", 5)
        assert sluice.is_running(), "the old process has left its request"
        gate.set()
        response = client.read_response()
        assert (response.body, response.header("connection")) == (b"/slow", "close")
    sluice.succeed(done["new_pid"])
    assert sluice.request("GET", "/again").body == b"/again"


def test_an_idle_connection_of_the_old_process_may_ask_once_more_and_is_told_to_close(simple):
    sluice, server = simple()
    with sluice.connect() as client:
        assert client.request().status == 200
        start = len(sluice.stderr.lines)
        sluice.signal(signal.SIGUSR2)
        done = parsed(sluice.stderr.wait(lambda line: "upgrade done" in line, 15, start))
        response = client.request()
        assert (response.status, response.header("connection")) == (200, "close")
    sluice.succeed(done["new_pid"])


@pytest.mark.parametrize("text, reason", [
    ("#!/bin/sh\nexit 3\n", "it ended with status 3"),
    ("#!/nowhere/interpreter\n", "it cannot be executed"),
    ("", "it cannot be executed"),
    ("#!/bin/sh\nkill -SEGV $$\n", "it was killed by signal 11"),
    ("#!/bin/sh\nexec sleep 0.1\n", "it ended with status 0"),
])
def test_a_new_program_that_fails_leaves_the_old_process_serving(gateway, binary, text, reason):
    sluice = gateway(answering("old"), binary=str(binary))
    replace(binary, text)
    assert fails(sluice)["reason"] == reason
    assert sluice.request().body == b"old" and sluice.is_running()
    # And the next attempt is free to succeed.
    shutil.copy2(sluice_binary(), binary.with_suffix(".good"))
    binary.with_suffix(".good").rename(binary)
    sluice.upgrade()
    assert sluice.request().body == b"old"


def test_a_broken_file_leaves_the_old_process_serving(gateway):
    sluice = gateway(answering("old"))
    sluice.config_path.write_text("listeners: 7\n")
    assert fails(sluice)["reason"] == "it ended with status 1"
    assert sluice.request().body == b"old"


def test_a_new_program_that_closes_its_pipe_and_stays_is_ended(gateway, binary):
    sluice = gateway(answering("old"), binary=str(binary))
    replace(binary, '#!/bin/sh\neval "exec $SLUICE_READY_FD>&-"\nexec sleep 60\n')
    assert "it was ended" in fails(sluice)["reason"]
    assert sluice.request().body == b"old"


def test_a_program_that_is_gone_leaves_the_old_process_serving(gateway, binary):
    sluice = gateway(answering("old"), binary=str(binary))
    binary.unlink()
    assert fails(sluice)["reason"] == "it cannot be executed"
    assert sluice.request().body == b"old"


def test_a_second_signal_while_the_first_is_carried_out_starts_no_second_process(gateway, binary, tmp_path):
    sluice = gateway(answering("x"), binary=str(binary))
    go = tmp_path / "go"
    replace(binary, f'#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.02; done\nexec {sluice_binary()} "$@"\n')
    start = len(sluice.stderr.lines)
    sluice.signal(signal.SIGUSR2)
    sluice.stderr.wait(lambda line: "upgrade begun" in line, 10, start)
    sluice.signal(signal.SIGUSR2)
    sluice.stderr.wait(lambda line: "is under way already" in line, 10, start)
    go.touch()
    done = parsed(sluice.stderr.wait(lambda line: "upgrade done" in line, 15, start))
    sluice.succeed(done["new_pid"])
    assert sum("upgrade begun" in line for line in sluice.stderr.lines) == 1


def test_a_stop_during_an_upgrade_stops_both(gateway, binary):
    sluice = gateway(answering("x"), binary=str(binary))
    replace(binary, f'#!/bin/sh\nsleep 1\nexec {sluice_binary()} "$@"\n')       # slow to start, on purpose
    start = len(sluice.stderr.lines)
    sluice.signal(signal.SIGUSR2)
    begun = parsed(sluice.stderr.wait(lambda line: "upgrade begun" in line, 10, start))
    sluice.signal(signal.SIGTERM)
    assert sluice.wait_exit() == 0
    until(lambda: not Path(f"/proc/{begun['new_pid']}/cmdline").exists()
          or Path(f"/proc/{begun['new_pid']}/cmdline").read_bytes() == b"", 5, "the new process is gone")
    until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "the sockets are closed")


def test_a_unix_socket_stays_where_it_is(gateway, tmp_path):
    path = tmp_path / "web.sock"
    sluice = gateway(answering("unix", listeners=[{"name": "web", "address": f"unix:{path}"}]))

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: client.recv(4096), b""))
    inode = path.stat().st_ino
    assert b"unix" in ask()
    sluice.upgrade()
    assert stat.S_ISSOCK(path.stat().st_mode) and path.stat().st_ino == inode and b"unix" in ask()
    sluice.signal(signal.SIGTERM)
    assert sluice.wait_exit() == 0 and not path.exists()


def test_a_listener_that_the_new_file_drops_or_adds_is_dropped_or_added(gateway):
    sluice = gateway(answering("x"))
    sluice.check_descriptors = False
    added = sluice.ports["extra"] = __import__("sluice_harness.process", fromlist=["free_port"]).free_port()
    sluice.write_config(answering("x", listeners=[{"name": "extra", "address": f"127.0.0.1:{added}"}]))
    sluice.upgrade()
    assert sluice.request(listener="extra").body == b"x" and not sluice.accepts(sluice.ports["web"])


def test_more_and_fewer_workers_take_all_sockets_over(gateway):
    sluice = gateway(answering("x", server={"workers": 4}))
    sluice.check_descriptors = False
    for workers in (1, 6, 2):
        sluice.write_config(answering("x", server={"workers": workers}))
        sluice.upgrade()
        # The kernel spreads connections over all sockets: each of them must be served.
        assert all(sluice.request().body == b"x" for _ in range(60))


def test_the_pid_file_names_the_process_that_serves(gateway, tmp_path):
    path = tmp_path / "sluice.pid"
    sluice = gateway(answering("x", server={"pid_file": str(path)}))
    assert path.read_text() == f"{sluice.pid}\n"
    new = sluice.upgrade()
    assert path.read_text() == f"{new}\n"
    sluice.signal(signal.SIGTERM)
    assert sluice.wait_exit() == 0 and not path.exists()


def test_the_manager_hears_of_the_new_process_and_the_new_one_feeds_the_watchdog(gateway, tmp_path):
    manager = NotifySocket(tmp_path / "notify")
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "600000"})
    manager.wait(lambda message: message.get("READY") == "1")
    start = len(manager.messages)
    new = sluice.upgrade()
    assert int(manager.wait(lambda message: "MAINPID" in message, start=start)["MAINPID"]) == new
    assert not [message for _, message in manager.messages if "STOPPING" in message], "the service is not stopping"
    environment = dict(entry.split("=", 1) for entry in Path(f"/proc/{new}/environ").read_text().split("\0") if "=" in entry)
    assert environment["WATCHDOG_PID"] == environment["LISTEN_PID"] == str(new)
    assert int(environment["LISTEN_FDS"]) == len(environment["LISTEN_FDNAMES"].split(":"))
    pings = manager.pings()
    until(lambda: manager.pings() > pings + 3, 10, "pings of the new process")
    manager.close()


def test_the_new_process_holds_no_descriptor_that_it_does_not_need(gateway):
    sluice = gateway(answering("x"))
    before = sluice.count_descriptors()
    for _ in range(3):
        sluice.upgrade()
    until(lambda: sluice.count_descriptors() <= before + 1, 5, "no descriptor is left over")


@pytest.mark.seconds(60)
def test_no_request_fails_over_upgrades_and_reloads_under_load(simple):
    """Hardening 213, 215: kept-alive connections and new ones."""
    sluice, server = simple(lambda request, connection: reply(200, b"x" * 100), backend_options={"record": False})
    sluice.check_descriptors = False
    with SteadyLoad(sluice.ports["web"], rate=1500, connections=30, new_percent=20) as load:
        text = sluice.config_text
        for round_ in range(4):
            sluice.upgrade()
            for change in range(4):
                sluice.config_path.write_text(text + f"# {round_} {change}\n" if change % 2 else text.replace("name: all", f"name: all{change}"))
                sluice.reload()
        time.sleep(0.2)     # a moment of ordinary traffic behind the last one
    assert load.lost() == {} and load.result["ok"] == load.result["sent"] > 500, load.result


def test_a_stop_of_the_old_process_takes_nothing_from_the_new_one_and_breaks_nothing_off(simple, tmp_path):
    path, gate = tmp_path / "web.sock", threading.Event()

    def handler(request, connection):
        if request.target == "/slow":
            assert gate.wait(20)
        return reply(200, request.target.encode())
    sluice, server = simple(handler, listeners=[{"name": "web", "address": f"unix:{path}"}])
    sluice.check_descriptors = False

    def ask(target: str) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return client
    slow = ask("/slow")
    server.wait_requests(1)
    start = len(sluice.stderr.lines)
    sluice.signal(signal.SIGUSR2)
    done = parsed(sluice.stderr.wait(lambda line: "upgrade done" in line, 15, start))
    sluice.signal(signal.SIGTERM)
    sluice.stderr.wait(lambda line: "draining already" in line, 5, start)
    gate.set()
    assert b"/slow" in b"".join(iter(lambda: slow.recv(4096), b""))
    sluice.succeed(done["new_pid"])
    assert stat.S_ISSOCK(path.stat().st_mode)
    with ask("/new") as client:
        assert b"/new" in b"".join(iter(lambda: client.recv(4096), b""))
    slow.close()


def test_a_signal_that_comes_before_the_new_process_reads_signals_does_not_end_it(gateway, binary):
    sluice = gateway(answering("x"), binary=str(binary))
    # A program that gets them before it becomes the daemon.
    replace(binary, f'#!/bin/sh\nkill -HUP $$\nkill -USR1 $$\nexec {sluice_binary()} "$@"\n')
    start = len(sluice.stderr.lines)
    sluice.signal(signal.SIGUSR2)
    done = parsed(sluice.stderr.wait(lambda line: "upgrade done" in line or "upgrade failed" in line, 15, start))
    assert done["message"].startswith("upgrade done"), done
    sluice.succeed(done["new_pid"])
    assert sluice.request().body == b"x"


def test_while_a_stopped_process_drains_nobody_connects_to_a_successor_that_never_came(simple, binary):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply(200, b"done")
    sluice, server = simple(handler, gateway_options={"binary": str(binary)})
    replace(binary, "#!/bin/bash\nexec sleep 60\n")      # one that hangs, on purpose
    with sluice.connect() as client:
        client.send(request_bytes())
        server.wait_requests(1)
        start = len(sluice.stderr.lines)
        sluice.signal(signal.SIGUSR2)
        sluice.stderr.wait(lambda line: "upgrade begun" in line, 10, start)
        sluice.signal(signal.SIGTERM)
        until(lambda: not sluice.accepts(sluice.ports["web"]), 5, "nobody listens")
        gate.set()
        assert client.read_response().status == 200
    assert sluice.wait_exit() == 0


def test_a_failed_upgrade_leaves_no_dead_process_behind(gateway, binary):
    sluice = gateway(answering("x"), binary=str(binary))
    replace(binary, '#!/bin/bash\neval "exec $SLUICE_READY_FD>&-"\nexec sleep 60\n')
    fails(sluice)
    children = Path(f"/proc/{sluice.pid}/task/{sluice.pid}/children").read_text().split()
    assert not children, [Path(f"/proc/{child}/stat").read_text() for child in children]


def test_the_environment_passes_on_byte_for_byte(gateway):
    strange = {"COMBINED": "\u0301x", "RAW": "\udcff\udcfe1", "EMPTY": "", "EQUALS": "a=b=c"}
    sluice = gateway(answering("x"), environment=strange)
    sluice.upgrade()
    lines = Path(f"/proc/{sluice.pid}/environ").read_bytes().split(b"\0")
    assert {os.fsencode(f"{name}={value}") for name, value in strange.items()} <= set(lines)
