"""The figures of operation: what upgrades, reloads and stops cost requests that run. Called by scripts/bench --operations."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

HERE = Path(__file__).resolve().parent
SLUICE = os.environ["SLUICE_BIN"]
PORT, ADMIN, BACKEND = 18470, 18471, 18472

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 8000; }}
http {{ access_log off; keepalive_timeout 300s; keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }} }}
"""

CONFIGURATION = """
server: {{workers: 2, drain_timeout: 30s, pid_file: {dir}/sluice.pid}}
listeners: [{{name: web, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
limits: {{connections_per_client: 20000}}
access_log: {{output: none}}
services: {{app: {{instances: [{{url: "http://127.0.0.1:{backend}"}}]}}}}
routes: [{{name: "{name}", match: {{path: "/*"}}, service: app}}]
"""


def admin(method: str, path: str) -> bytes:
    return urlopen(Request(f"http://127.0.0.1:{ADMIN}{path}", method=method, headers={"X-Sluice-Admin": "1"}), timeout=60).read()


def wait_for(condition, seconds: float = 30):
    end = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit("bench: nothing came of waiting")
        time.sleep(0.005)


class Daemon:
    def __init__(self, folder: Path, text: str):
        self.folder, self.path = folder, folder / "sluice.yaml"
        self.path.write_text(text)
        self.begun = time.monotonic()
        self.process = subprocess.Popen([SLUICE, "run", "-c", str(self.path)], stderr=open(folder / "sluice.log", "a"))

    def ready(self):
        wait_for(lambda: admin("GET", "/ready"))
        return self

    def pid(self) -> int:
        return int((self.folder / "sluice.pid").read_text())

    def end(self):
        os.kill(self.pid() if (self.folder / "sluice.pid").exists() else self.process.pid, signal.SIGTERM)


def configuration(folder: Path, name: str = "all") -> str:
    return CONFIGURATION.format(dir=folder, port=PORT, admin=ADMIN, backend=BACKEND, name=name)


def load(program: Path, rate: int, seconds: float) -> subprocess.Popen:
    return subprocess.Popen([str(program), "127.0.0.1", str(PORT), str(rate), str(seconds), "100", "5"], stdout=subprocess.PIPE)


def result(process: subprocess.Popen) -> dict:
    return json.loads(process.communicate(timeout=120)[0])


def lost(figures: dict) -> int:
    return sum(figures[name] for name in ("unanswered", "wrong_status", "resets", "closed_early", "connect_failures"))


def upgrades_and_reloads(folder: Path, program: Path, rate: int):
    daemon = Daemon(folder, configuration(folder)).ready()
    running = load(program, rate, 45)
    upgrades = reloads = 0
    while upgrades < 20:
        old = daemon.pid()
        os.kill(old, signal.SIGUSR2)
        wait_for(lambda: daemon.pid() != old)
        upgrades += 1
        for turn in range(10):
            daemon.path.write_text(configuration(folder, f"all-{turn % 2}-{upgrades}"))
            wait_for(lambda: b'"applied"' in admin("POST", "/config/reload"))
            reloads += 1
            time.sleep(0.1)
        wait_for(lambda: not Path(f"/proc/{old}").exists() or Path(f"/proc/{old}/cmdline").read_bytes() == b"")
    running.terminate()
    figures = result(running)
    print(f"{upgrades} upgrades and {reloads} reloads at {rate} requests/s: {lost(figures)} of {figures['sent']} requests lost, "
          f"p99 {figures['p99_ms']} ms, longest {figures['max_ms']} ms   {figures}", flush=True)
    last = daemon.pid()
    daemon.end()
    wait_for(lambda: not (folder / "sluice.pid").exists() and not Path(f"/proc/{last}/exe").exists())


def latency(folder: Path, program: Path, rate: int):
    daemon = Daemon(folder, configuration(folder)).ready()
    quiet, busy = [], []
    for _ in range(5):
        quiet.append(result(load(program, rate, 3)))
        running = load(program, rate, 3)
        count = 0
        while running.poll() is None:
            daemon.path.write_text(configuration(folder, f"all-{count}"))
            admin("POST", "/config/reload")
            count += 1
            time.sleep(0.05)
        busy.append(result(running))
    p99 = lambda runs: sorted(run["p99_ms"] for run in runs)  # noqa: E731
    print(f"p99 at {rate} requests/s: without reloads {p99(quiet)} ms, with {count} in 3 s {p99(busy)} ms; "
          f"lost {sum(map(lost, quiet + busy))}", flush=True)
    daemon.end()
    daemon.process.wait()


def large(folder: Path):
    def text(mark: str) -> str:
        services = "".join(f'  s{i}: {{instances: [{{url: "http://127.0.0.1:{20000 + i % 50}"}}, {{url: "http://127.0.0.2:{20000 + i % 50}"}}]}}\n'
                           for i in range(1000))
        routes = "".join(f'  - {{name: r{i}{mark if i % 100 == 0 else ""}, match: {{path: "/api/v1/thing{i}/*", methods: [GET, POST]}}, service: s{i % 1000}}}\n'
                         for i in range(10000))
        head = configuration(folder).split("services:")[0]
        return f"{head}services:\n{services}routes:\n{routes}"
    daemon = Daemon(folder, text("")).ready()
    texts = [text("x"), text("")]

    def resident() -> int:
        time.sleep(2.5)     # until memory has been given back
        return next(int(line.split()[1]) for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))

    times, sizes = [], []
    for turn in range(102):
        daemon.path.write_text(texts[turn % 2])
        begun = time.monotonic()
        assert b'"applied"' in admin("POST", "/config/reload")
        times.append(time.monotonic() - begun)
        if turn in (1, 26, 51, 76, 101):
            sizes.append(resident())
    print(f"1,000 services, 10,000 routes: a reload takes {min(times):.2f} to {max(times):.2f} s; resident KiB after 2, 27, 52, 77, 102 of them: {sizes}",
          flush=True)
    daemon.end()
    daemon.process.wait()


def stop_under_load(folder: Path):
    """1,000 requests run when the signal comes; each answer is complete or it is counted."""
    gate = threading.Event()
    listener = socket.create_server(("127.0.0.1", BACKEND + 1), backlog=2048)
    body = b"y" * 20000

    def serve(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:10000])
        gate.wait(60)
        connection.sendall(body[10000:])
        connection.close()

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.stack_size(256 * 1024)
    threading.Thread(target=accept, daemon=True).start()
    text = configuration(folder).replace(f":{BACKEND}\"", f":{BACKEND + 1}\"").replace("instances:", "pool: {max_connections: 2000}, instances:")
    daemon = Daemon(folder, text).ready()
    clients = []
    for _ in range(1000):
        client = socket.create_connection(("127.0.0.1", PORT))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        clients.append(client)
    for client in clients:
        client.recv(1, socket.MSG_PEEK)
    daemon.end()
    time.sleep(0.5)
    gate.set()
    whole = 0
    for client in clients:
        data = b""
        try:
            while chunk := client.recv(65536):
                data += chunk
        except OSError:
            pass
        whole += len(data.split(b"\r\n\r\n", 1)[-1]) == len(body)
    print(f"SIGTERM with 1,000 running requests: {1000 - whole} truncated answers, exit {daemon.process.wait(60)}", flush=True)


def start(folder: Path):
    times, sizes = [], []
    for _ in range(5):
        daemon = Daemon(folder, configuration(folder))
        wait_for(lambda: socket.create_connection(("127.0.0.1", PORT)).close() or True)
        client = socket.create_connection(("127.0.0.1", PORT))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        client.recv(100)
        times.append((time.monotonic() - daemon.begun) * 1000)
        sizes.append(next(int(line.split()[1]) for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS")))
        daemon.end()
        daemon.process.wait()
    print(f"start to first answer: {min(times):.0f} to {max(times):.0f} ms; resident {min(sizes)} to {max(sizes)} KiB", flush=True)


def main():
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "steady_load"
        subprocess.run(["clang", "-O2", "-o", str(program), str(HERE / "steady_load.c")], check=True)
        (folder / "nginx.conf").write_text(NGINX.format(dir=folder, port=BACKEND, body="x" * 100))
        backend = subprocess.Popen(["nginx", "-p", name, "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: socket.create_connection(("127.0.0.1", BACKEND)).close() or True)
            start(folder)
            upgrades_and_reloads(folder, program, rate)
            latency(folder, program, rate)
            stop_under_load(folder)
            large(folder)
        finally:
            backend.terminate()
            backend.wait()


main()
