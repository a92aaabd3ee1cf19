"""Under a service manager: readiness, reloads, the watchdog, sockets that were open before the daemon (hardening 220; behaviour B.11)."""

import os
import signal
import socket
import time

import pytest

from conftest import one_service
from sluice_harness import until
from sluice_harness.notify import NotifySocket, StoppedThread
from sluice_harness.process import parsed


def answering(text: str, **blocks) -> dict:
    return {"routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"status": 200, "body": text}}], **blocks}


@pytest.fixture
def manager(tmp_path):
    made = NotifySocket(tmp_path / "notify")
    yield made
    made.close()


def test_it_says_ready_once_it_serves_with_a_line_of_status(gateway, manager):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path})
    message = manager.wait(lambda message: message.get("READY") == "1")
    assert sluice.request().status == 200
    assert message["STATUS"] == "generation 1, 1 listeners, 1 routes, 0 services with 0 instances"


def test_an_abstract_socket_is_understood(gateway):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0sluice-test-{os.getpid()}")
        receiver.settimeout(10)
        gateway(answering("x"), environment={"NOTIFY_SOCKET": f"@sluice-test-{os.getpid()}"})
        assert b"READY=1" in receiver.recv(4096)


@pytest.mark.parametrize("path", ["/nowhere/notify", "relative", "", "@", "/" + "x" * 200])
def test_a_socket_that_is_not_there_harms_nothing(gateway, path):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"})
    assert sluice.request().status == 200


def test_a_reload_is_announced_with_its_time_and_ends_with_ready(gateway, manager):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path})
    manager.wait(lambda message: message.get("READY") == "1")
    before, start = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, len(manager.messages)
    sluice.reload(answering("y"))
    begun = manager.wait(lambda message: message.get("RELOADING") == "1", start=start)
    ended = manager.wait(lambda message: message.get("READY") == "1", start=start)
    assert before <= int(begun["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ended["STATUS"].startswith("generation 2,")


def test_a_refused_reload_ends_with_ready_and_says_why(gateway, manager):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path})
    manager.wait(lambda message: message.get("READY") == "1")
    start = len(manager.messages)
    sluice.reload("listeners: 7\n", fails=True)
    ended = manager.wait(lambda message: message.get("READY") == "1", start=start)
    assert ended["STATUS"].startswith("configuration refused: ") and "generation 1," in ended["STATUS"]
    assert sluice.request().body == b"x"


def test_a_stop_is_announced(gateway, manager):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path})
    sluice.signal(signal.SIGTERM)
    manager.wait(lambda message: message.get("STOPPING") == "1")
    assert sluice.wait_exit() == 0


def test_the_watchdog_is_fed_while_all_workers_turn(gateway, manager):
    gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "3000000"})
    until(lambda: manager.pings() >= 6, 15, "six pings")
    times = [at for at, message in manager.messages if message.get("WATCHDOG") == "1"]
    assert max(after - before for before, after in zip(times, times[1:])) < 3, "a gap longer than the manager's patience"


@pytest.mark.parametrize("thread", ["sluice-0", "sluice-1", "sluice-admin"])
def test_one_worker_that_stands_still_ends_the_pings_and_one_that_goes_on_brings_them_back(gateway, manager, thread):
    """Hardening 220."""
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "300000"})
    until(lambda: manager.pings() >= 3, 10, "pings")
    with StoppedThread(sluice.pid, thread):
        seen = -1
        # A ping that was on its way may still come.
        def stands():
            nonlocal seen
            before, seen = seen, manager.pings()
            time.sleep(0.4)     # longer than the manager's patience
            return before == seen == manager.pings()
        until(stands, 10, "the pings end")
    until(lambda: manager.pings() > seen + 2, 10, "the pings come back")
    assert sluice.request().status == 200


def test_a_watch_that_is_for_another_process_is_not_fed(gateway, manager):
    environment = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    sluice = gateway(answering("x"), environment=environment)
    for _ in range(20):
        assert sluice.request().status == 200
        time.sleep(0.02)    # twice the watch's time in all
    assert manager.pings() == 0


@pytest.mark.parametrize("value", ["0", "-5", "abc", "", "99999999999999999999999", "18446744073709551615"])
def test_a_watchdog_time_that_makes_no_sense_is_no_watch(gateway, manager, value):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": value})
    assert sluice.request().status == 200 and manager.pings() == 0


# Sockets that systemd has opened.

def listening(address=("127.0.0.1", 0), reuse_port=False) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.listen(128)
    return made


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_listener_serves_the_socket_of_its_name(gateway, reuse_port):
    with listening(reuse_port=reuse_port) as web:
        port = web.getsockname()[1]
        waiting = socket.create_connection(("127.0.0.1", port))     # before the daemon is there
        sluice = gateway(answering("handed over", listeners=[{"name": "web", "address": f"127.0.0.1:{port}"}]),
                         sockets=[("web", web)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"handed over" in b"".join(iter(lambda: waiting.recv(4096), b""))
        sluice.ports["web"] = port
        assert all(sluice.request().body == b"handed over" for _ in range(20))


def test_a_socket_of_a_listeners_name_is_served_at_its_own_address_and_the_log_says_so(gateway):
    with listening() as web:
        port = web.getsockname()[1]
        sluice = gateway(answering("x"), sockets=[("web", web)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        note = sluice.stderr.wait(lambda line: parsed(line).get("message") == "handed over", 5)
        assert f"127.0.0.1:{port}" in parsed(note)["note"]
        sluice.ports["web"] = port
        assert sluice.request().status == 200


def test_a_socket_that_no_listener_names_is_closed_and_the_log_says_so(gateway):
    with listening() as other:
        port = other.getsockname()[1]
        sluice = gateway(answering("x"), sockets=[("other", other)])
        note = sluice.stderr.wait(lambda line: parsed(line).get("message") == "handed over", 5)
        assert "other" in parsed(note)["note"] and sluice.request().status == 200
    assert not sluice.accepts(port)


def test_the_admin_listener_and_a_unix_socket_can_be_handed_over(gateway, tmp_path):
    path = tmp_path / "web.sock"
    with listening() as admin, socket.socket(socket.AF_UNIX) as web:
        web.bind(str(path))
        web.listen(16)
        port = admin.getsockname()[1]
        sluice = gateway(answering("unix", listeners=[{"name": "web", "address": f"unix:{path}"}],
                                   admin={"address": f"127.0.0.1:{port}"}),
                         sockets=[("web", web), ("admin", admin)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"unix" in b"".join(iter(lambda: client.recv(4096), b""))
        sluice.ports["admin"] = port
        assert sluice.request("GET", "/health", listener="admin", host="localhost").status == 200


@pytest.mark.parametrize("environment", [
    {"LISTEN_FDS": "3", "LISTEN_PID": "1"}, {"LISTEN_FDS": "-1", "LISTEN_PID": "@pid"},
    {"LISTEN_FDS": "999999999999", "LISTEN_PID": "@pid"}, {"LISTEN_FDS": "x"}, {"SLUICE_READY_FD": "77"}, {"SLUICE_READY_FD": "1"},
    {"SLUICE_READY_FD": "x"},
])
def test_variables_that_are_not_for_this_process_or_make_no_sense_harm_nothing(gateway, environment):
    sluice = gateway(answering("x"), environment=environment)
    assert sluice.request().status == 200


def test_descriptors_that_are_no_listening_sockets_are_passed_over(gateway):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, listening() as web:
        datagram.bind(("127.0.0.1", 0))
        port = web.getsockname()[1]
        sluice = gateway(answering("x", listeners=[{"name": "web", "address": f"127.0.0.1:{port}"}]),
                         sockets=[("web", datagram), ("web", web)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        sluice.ports["web"] = port
        assert sluice.request().status == 200


def test_a_handed_over_socket_is_given_up_by_a_reload_that_drops_its_listener(gateway, backend):
    server = backend()
    with listening() as web:
        port = web.getsockname()[1]
        sluice = gateway({**one_service(server), "listeners": [
            {"name": "web", "address": f"127.0.0.1:{port}"}, {"name": "second", "address": "127.0.0.1:0"}]},
            sockets=[("web", web)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        sluice.reload({**one_service(server), "listeners": [{"name": "second", "address": "127.0.0.1:0"}]})
    assert not sluice.accepts(port), "somebody still listens"


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_admin_socket_that_others_can_reach_needs_a_token_whatever_the_file_says(gateway, address):
    """Hardening 174."""
    with socket.socket(socket.AF_INET6 if address == "::" else socket.AF_INET) as admin:
        admin.bind((address, 0))
        admin.listen(16)
        sluice = gateway(answering("x"), sockets=[("admin", admin)], wait_ready=False)
        sluice.expected_exit = 1
        assert sluice.wait_exit() == 1
        sluice.stderr.wait(lambda line: "needs admin.token" in line, 5)


def test_a_reload_that_drops_the_token_of_such_a_socket_is_refused(gateway):
    with socket.socket() as admin:
        admin.bind(("0.0.0.0", 0))
        admin.listen(16)
        sluice = gateway(answering("x", admin={"address": "127.0.0.1:9901", "token": "0123456789abcdef"}),
                         sockets=[("admin", admin)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        entry = sluice.reload(answering("y", admin={"address": "127.0.0.1:9901"}), fails=True)
        assert "needs admin.token" in entry["diagnostic"]


def test_a_tcp_socket_does_not_stand_in_for_a_unix_listener(gateway, tmp_path):
    with listening() as web:
        sluice = gateway(answering("x", listeners=[{"name": "web", "address": f"unix:{tmp_path}/web.sock"}]), sockets=[("web", web)],
                         wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        assert (tmp_path / "web.sock").exists()


def test_a_listener_called_admin_does_not_get_the_admin_listeners_socket(gateway):
    with listening() as admin:
        port = admin.getsockname()[1]
        sluice = gateway(answering("data", listeners=[{"name": "admin", "address": "@web@"}], admin={"address": f"127.0.0.1:{port}"}),
                         sockets=[("admin", admin)], wait_ready=False)
        sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 15)
        sluice.check_descriptors = False
        assert sluice.request().body == b"data"
        sluice.ports["admin"] = port
        assert sluice.request("GET", "/health", listener="admin", host="localhost").status == 200


def test_a_manager_that_is_behind_hears_of_the_new_process_all_the_same(gateway, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for turn in range(20):
            sluice.reload(answering(f"x{turn}"))
        start = len(sluice.stderr.lines)
        sluice.signal(signal.SIGUSR2)
        done = parsed(sluice.stderr.wait(lambda line: "upgrade done" in line, 15, start))
        manager.settimeout(10)
        while b"MAINPID=%d" % done["new_pid"] not in manager.recv(4096):
            pass
        sluice.succeed(done["new_pid"])


def test_unchanged_files_are_not_announced(gateway, manager):
    sluice = gateway(answering("x"), environment={"NOTIFY_SOCKET": manager.path})
    manager.wait(lambda message: message.get("READY") == "1")
    for _ in range(5):
        assert sluice.reload()["changed"] is False
    assert not [message for _, message in manager.messages if "RELOADING" in message]
