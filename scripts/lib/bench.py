"""The measurements of scripts/bench, which tells what they are and has built and installed what they need."""
import argparse
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SLUICE = os.environ.get("SLUICE_BIN", "")
TICKS = os.sysconf("SC_CLK_TCK")
PROXY_CORE, LOAD_CORE = "0", "1"
SMALL = ("gateway-bench " * 8)[:100]

# name -> (path, connections, body bytes, extra header)
WORKLOADS = {
    "h1-small": ("/small", 64, 0, None),
    "h1-10k": ("/10k", 64, 0, None),
    "h1-100k": ("/100k", 32, 0, None),
    "h1-post-16k": ("/post", 64, 16384, None),
    "h1-connclose": ("/small", 64, 0, "Connection: close"),
}

LOAD_LUA = """
local body = tonumber(os.getenv("BENCH_BODY"))
wrk.headers["Host"] = "bench.test"
if body > 0 then wrk.method = "POST"; wrk.body = string.rep("x", body) end
function done(s, latency)
  local e = s.errors
  io.write(string.format("BENCH %d %d %d %.0f\\n", s.requests, e.status, e.connect + e.read + e.write + e.timeout, s.bytes))
end
"""

# /post reads the whole body before it answers, which `return` alone would not.
BACKEND = """
daemon off; worker_processes 1; pid {dir}/backend.pid; error_log {dir}/backend.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log off; default_type text/plain; keepalive_timeout 300s; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_buffer_size 256k; client_max_body_size 64m; open_file_cache max=100;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream self {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "{small}"; }}
    location = /10k {{ root {dir}; }}
    location = /100k {{ root {dir}; }}
    location = /ok {{ return 200 "ok"; }}
    location = /post {{
      proxy_pass http://self/ok; proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log error; worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_timeout 300s; keepalive_requests 1000000000; client_body_buffer_size 64k; client_max_body_size 16m;
  proxy_buffers 16 8k; proxy_max_temp_file_size 0;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream up {{ server 127.0.0.1:{backend}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 300s; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  default_backend up
backend up
  server s1 127.0.0.1:{backend}
"""

OURS = """
server: {{workers: 1, log_level: warn}}
listeners: [{{name: bench, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
limits: {{connections: 20000, connections_per_client: 20000, requests_per_connection: 100000000, keepalive_timeout: 300s}}
access_log: {{output: none}}
services:
  up: {{instances: [{{url: "http://127.0.0.1:{backend}"}}], pool: {{max_connections: 1024, max_requests_per_connection: 100000000}}}}
routes:
  - {{name: all, match: {{path: "/*"}}, service: up}}
{routes}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port, process, output):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            tail = output.read_text("utf-8", "replace").splitlines()[-5:]
            sys.exit("\n".join([f"{' '.join(process.args)} ended with status {process.returncode} before it listened:", *tail]))
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


def tree(pid):
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def cpu_seconds(pids):
    """User and system time of these processes."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user += int(fields[11])
        system += int(fields[12])
    return user / TICKS, system / TICKS


def resident_bytes(pids):
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def pinned(core, *argv):
    return ["taskset", "-c", core, *map(str, argv)]


class Bench:
    def __init__(self, directory):
        self.dir = directory
        self.sluice = SLUICE
        self.backend_port = free_port()
        (directory / "load.lua").write_text(LOAD_LUA)
        for name, size in (("10k", 10240), ("100k", 102400)):
            (directory / name).write_bytes((b"0123456789abcdef" * (size // 16 + 1))[:size])
        directory.chmod(0o755)      # nginx's worker is not root
        config = directory / "backend.conf"
        config.write_text(BACKEND.format(dir=directory, port=self.backend_port, small=SMALL))
        self.backend = self.start(pinned(LOAD_CORE, "nginx", "-p", directory, "-e", directory / "backend.log", "-c", config))
        wait_port(self.backend_port, self.backend, self.dir / "output")

    def start(self, argv, environment=None):
        log = (self.dir / "output").open("ab")
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(environment or {})})

    def close(self):
        self.stop(self.backend)

    @staticmethod
    def stop(process):
        members = tree(process.pid)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    @contextlib.contextmanager
    def proxy(self, peer, wrapper=(), environment=None, routes=0):
        """A running proxy: its process and its port."""
        port = free_port()
        values = {"dir": self.dir, "port": port, "backend": self.backend_port, "admin": free_port()}
        config = self.dir / f"{peer}.conf"
        if peer == "sluice":
            values["routes"] = "".join(
                f'  - {{name: r{i}, match: {{path: "/svc{i:04d}/*"}}, service: up}}\n' for i in range(routes))
            config.write_text(OURS.format(**values))
            argv = [self.sluice, "run", "--config", config]
        elif peer == "nginx":
            config.write_text(NGINX.format(**values))
            argv = ["nginx", "-p", self.dir, "-e", self.dir / "nginx.log", "-c", config]
        else:
            config.write_text(HAPROXY.format(**values))
            argv = ["haproxy", "-db", "-f", config]
        process = self.start(pinned(PROXY_CORE, *wrapper, *argv), environment)
        try:
            wait_port(port, process, self.dir / "output")
            yield process, port
        finally:
            self.stop(process)

    def load(self, port, workload, seconds, path=None):
        """Requests that were completed, and what went wrong."""
        own_path, connections, body, header = WORKLOADS[workload]
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", self.dir / "load.lua"]
        if header:
            argv += ["-H", header]
        argv.append(f"http://127.0.0.1:{port}{path or own_path}")
        done = subprocess.run(pinned(LOAD_CORE, *argv), capture_output=True, text=True, timeout=seconds + 60,
                              env={**os.environ, "BENCH_BODY": str(body)})
        found = re.search(r"^BENCH (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.M)
        if not found:
            sys.exit(f"wrk failed: {done.stderr or done.stdout}")
        requests, bad_status, errors, _ = map(int, found.groups())
        return requests, "" if not bad_status + errors else f"{bad_status} bad statuses, {errors} errors"


def compare(bench, arguments):
    peers, workloads = arguments.peers.split(","), arguments.workloads.split(",")
    bad = False
    print(f"CPU microseconds per request (user + system); medians of {arguments.runs} runs of {arguments.seconds} s [least, most]\n")
    for workload in workloads:
        results = {peer: [] for peer in peers}
        for run in range(arguments.runs):
            for peer in peers[run % len(peers):] + peers[:run % len(peers)]:
                with bench.proxy(peer) as (process, port):
                    bench.load(port, workload, 1)
                    pids = tree(process.pid)
                    before, start = cpu_seconds(pids), time.monotonic()
                    requests, fault = bench.load(port, workload, arguments.seconds)
                    after, wall = cpu_seconds(pids), time.monotonic() - start
                    if fault or not requests:
                        print(f"{workload} {peer}: not counted: {fault or 'no request was completed'}")
                        bad = True
                        continue
                    user, system = after[0] - before[0], after[1] - before[1]
                    results[peer].append(((user + system) / requests * 1e6, user / requests * 1e6,
                                          requests / arguments.seconds, 100 * (user + system) / wall))
        print(f"{workload:14} {'CPU us':>8} {'[least, most]':>16} {'user us':>8} {'core %':>7} {'req/s':>8}  ratio to nginx")
        base = statistics.median(r[0] for r in results["nginx"]) if results.get("nginx") else None
        for peer in peers:
            if not results[peer]:
                print(f"  {peer:12} no valid run")
                continue
            total, user, rate, core = (statistics.median(column) for column in zip(*results[peer]))
            least, most = min(r[0] for r in results[peer]), max(r[0] for r in results[peer])
            print(f"  {peer:12} {total:8.2f} {f'[{least:.2f}, {most:.2f}]':>16} {user:8.2f} {core:7.0f} {rate:8.0f}"
                  f"  {f'{total / base:.2f}' if base else ''}")
        print(flush=True)
    return 1 if bad else 0


def instructions(bench, _):
    """Two runs of different length; the difference leaves start and warm-up out."""
    print("instructions in user space per request (callgrind, h1-small)")
    bench.sluice = str(bench.dir / "sluice")    # without debug information, some of which valgrind cannot read
    subprocess.run(["strip", "--strip-debug", "-o", bench.sluice, SLUICE], check=True)
    for routes, path in ((19, "/small"), (999, "/small"), (999, "/svc0500/small")):
        totals = []
        for seconds in (2, 10):
            output = bench.dir / "callgrind.out"
            output.unlink(missing_ok=True)
            with bench.proxy("sluice", ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}"], routes=routes) as (_, port):
                requests, fault = bench.load(port, "h1-small", seconds, path)
                if fault:
                    sys.exit(f"the run is not valid: {fault}")
            counted = re.search(r"^(?:summary|totals): (\d+)", output.read_text(), re.M)
            totals.append((int(counted[1]), requests))
        (few, few_requests), (many, many_requests) = totals
        print(f"  {routes + 1:5} routes, {path:16} {(many - few) / (many_requests - few_requests):8.0f}"
              f"   ({many_requests - few_requests} requests)", flush=True)
    return 0


def syscalls(bench, _):
    output = bench.dir / "strace.out"
    with bench.proxy("sluice") as (process, port):
        bench.load(port, "h1-small", 1)
        tracer = subprocess.Popen(["strace", "-f", "-c", "-o", output, "-p", str(process.pid)], stderr=subprocess.PIPE, text=True)
        if "attached" not in (line := tracer.stderr.readline()):
            sys.exit(f"strace cannot attach: {line.strip()}")
        requests, fault = bench.load(port, "h1-small", 5)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
    if fault:
        sys.exit(f"the run is not valid: {fault}")
    rows = []
    for line in output.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] != "total":
            rows.append((int(words[3]), words[-1]))
    print(f"system calls per request (strace, h1-small, {requests} requests)")
    for calls, name in sorted(rows, reverse=True):
        if calls / requests >= 0.0005:
            print(f"  {calls / requests:8.3f}  {name}")
    print(f"  {sum(calls for calls, _ in rows) / requests:8.3f}  all")
    return 0


def mallocs(bench, _):
    library, counts = bench.dir / "count_malloc.so", bench.dir / "counts"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "count_malloc.c", "-ldl"], check=True)
    print("allocations per request")
    for workload in WORKLOADS:
        counts.unlink(missing_ok=True)
        with bench.proxy("sluice", environment={"LD_PRELOAD": str(library), "COUNT_MALLOC": str(counts)}) as (_, port):
            bench.load(port, workload, 2)
            before = struct.unpack("4Q", counts.read_bytes())
            requests, fault = bench.load(port, workload, 3)
            after = struct.unpack("4Q", counts.read_bytes())
        taken = [b - a for a, b in zip(before, after)]
        print(f"  {workload:14} malloc {taken[0] / requests:.4f}  realloc {taken[1] / requests:.4f}  aligned {taken[2] / requests:.4f}"
              f"  free {taken[3] / requests:.4f}   ({sum(taken[:3])} in {requests} requests){'  ' + fault if fault else ''}", flush=True)
    return 0


def idle(bench, arguments):
    wanted = arguments.idle
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(f"resident memory, {wanted} idle connections that have had one answer each")
    for peer in arguments.peers.split(","):
        with bench.proxy(peer) as (process, port):
            at_start = resident_bytes(tree(process.pid))
            held = []
            for i in range(wanted + 50):
                if i == 50:     # what is set up once is not counted per connection
                    before = resident_bytes(tree(process.pid))
                connection = socket.create_connection(("127.0.0.1", port), 10)
                connection.sendall(b"GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n")
                answer = connection.recv(4096)
                if not answer.startswith(b"HTTP/1.1 200"):
                    sys.exit(f"{peer}: connection {i} got {answer[:60]!r}")
                held.append(connection)
            after = resident_bytes(tree(process.pid))
            for connection in held:
                connection.close()
        print(f"  {peer:12} {at_start / 1e6:7.1f} MB at start, {(after - before) / wanted / 1024:7.2f} KiB for each connection", flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--peers", default="sluice,nginx,haproxy")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    for name in ("instructions", "syscalls", "mallocs"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--idle", type=int, nargs="?", const=10000)
    arguments = parser.parse_args()
    for name in arguments.workloads.split(","):
        if name not in WORKLOADS:
            parser.error(f"no workload {name}")
    for name in arguments.peers.split(","):
        if name not in ("sluice", "nginx", "haproxy"):
            parser.error(f"no peer {name}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the proxy, one for the load")
    directory = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = None
    try:
        bench = Bench(directory)
        measure = compare
        for name, function in (("instructions", instructions), ("syscalls", syscalls), ("mallocs", mallocs), ("idle", idle)):
            if getattr(arguments, name):
                measure = function
        return measure(bench, arguments)
    finally:
        if bench:
            bench.close()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
