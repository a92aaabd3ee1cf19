"""A directory that plays a Debian machine with Sluice installed, for the commands in the documentation: see check_docs.py.

`/etc/sluice`, `/usr/local` and so on are folders in it; ports are free ones; two backends run on 8081 and 8082. `scripts/install` and `sluice`
are the real ones. systemctl, journalctl, logrotate, sysctl, sudo, chgrp and chown are played here: systemctl starts, reloads, signals and stops a
real daemon by the installed unit, hands it sockets, and listens to what it notifies.
"""
import ctypes
import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORTS = ("8000", "8081", "8082", "9901")
FOLDERS = ("/etc/sluice", "/etc/default", "/etc/logrotate.d", "/etc/sysctl.d", "/etc/systemd/system", "/run/sluice", "/var/lib/sluice",
           "/var/log/sluice", "/usr/local")
SECONDS = 60
MARK = "\x01"

# Turns a command line into a request to Manager, and its answer into output and exit status.
SHIM = """#!{python}
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({path!r})
    link.sendall(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]).encode() + b"\\n")
    status, text = json.loads(link.makefile().read())
sys.stdout.write(text)
sys.exit(status)
"""

# As users call it: the configuration is where the daemon looks for it by itself, unless the command says otherwise.
SLUICE = """#!/bin/bash
case " $* " in *" -c "* | *" --config "* | *" --admin "* | *" --help "*) ;; *)
    case "${{1:-}} ${{2:-}}" in
        "config schema"* | version* | completion* | -* | " ") ;;
        *) set -- "$@" --config {folder}/etc/sluice/sluice.yaml ;;
    esac ;;
esac
exec {folder}/usr/local/bin/sluice "$@"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Refused(Exception):
    """What a command says before it exits with 1."""


class Manager:
    """What the documentation needs of systemd."""

    def __init__(self, machine):
        self.machine = machine
        self.pid = 0
        self.status = ""
        self.is_ready = threading.Event()
        self.enabled = set()
        self.sockets = []
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notifications.bind(str(machine.folder / "notify"))
        self.requests = socket.socket(socket.AF_UNIX)
        self.requests.bind(str(machine.folder / "manager"))
        self.requests.listen()
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=self.serve, daemon=True).start()
        # The successor of an upgrade is a child of the process that it succeeds.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)      # PR_SET_CHILD_SUBREAPER

    def listen(self):
        """Only the main process is listened to, as NotifyAccess=main says."""
        self.notifications.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        while True:
            message, control, _, _ = self.notifications.recvmsg(65536, socket.CMSG_SPACE(12))
            sender = struct.unpack("iII", control[0][2])[0] if control else 0
            if sender != self.pid:
                continue
            for line in message.decode().splitlines():
                key, _, value = line.partition("=")
                if key == "MAINPID":
                    self.pid = int(value)
                elif key == "STATUS":
                    self.status = value
                elif line == "READY=1":
                    self.is_ready.set()

    def serve(self):
        """Each in a thread of its own, since one command may call another."""
        while True:
            link, _ = self.requests.accept()
            threading.Thread(target=self.answer, args=(link,), daemon=True).start()

    def answer(self, link):
        with link:
            name, *arguments = json.loads(link.makefile().readline())
            try:
                status, text = 0, getattr(self, name)(arguments) or ""
            except Refused as error:
                status, text = 1, f"{error}\n"
            except Exception as error:      # told like any other failure, so that the next commands are run
                status, text = 1, f"{name}: {type(error).__name__}: {error}\n"
            try:
                link.sendall(json.dumps([status, text]).encode())
            except BrokenPipeError:
                pass        # the command was given up

    # The unit

    def setting(self, name, unit="sluice.service"):
        """The last value in the unit and its drop-ins."""
        files = [self.machine.path(f"/usr/local/lib/systemd/system/{unit}"),
                 *sorted(self.machine.path("/etc/systemd/system").glob(f"{unit}.d/*.conf"))]
        found = [value for file in files for value in re.findall(rf"^{name}=(.*)$", file.read_text("utf-8"), re.M)]
        return found[-1] if found else ""

    def environment(self):
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.machine.folder / "notify")}
        for line in filter(None, self.machine.read("/etc/default/sluice").splitlines()):
            name, _, value = line.partition("=")
            environment[name] = value.strip('"')
        if credential := self.setting("LoadCredential"):
            name, _, source = credential.partition(":")
            store = self.machine.folder / "credentials"
            store.mkdir(exist_ok=True)
            shutil.copy(self.machine.with_paths(source), store / name)
            environment["CREDENTIALS_DIRECTORY"] = str(store)
        return environment

    def command(self, name):
        return shlex.split(self.machine.with_paths(self.setting(name)))

    def run(self, name):
        done = subprocess.run(self.command(name), capture_output=True, text=True, timeout=SECONDS, env=self.environment())
        if done.returncode != 0:
            raise Refused(f"{name} of sluice.service has failed:\n{done.stdout}{done.stderr}")

    def start(self):
        if self.is_running():
            return
        self.run("ExecStartPre")
        self.is_ready.clear()
        environment = self.environment()
        if self.sockets:
            environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": self.setting("FileDescriptorName", "sluice.socket")}

        def pass_socket():
            if self.sockets:
                os.dup2(self.sockets[0].fileno(), 3)
        with open(self.machine.folder / "journal", "ab") as journal:
            process = subprocess.Popen(
                ["bash", "-c", 'export LISTEN_PID=$$ WATCHDOG_PID=$$ WATCHDOG_USEC=10000000; exec "$@"', "unit", *self.command("ExecStart")],
                stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, env=environment, preexec_fn=pass_socket,
                pass_fds=[3] if self.sockets else [])
        self.pid = process.pid
        self.wait_ready()

    def wait_ready(self):
        end = time.monotonic() + SECONDS / 4
        while not self.is_ready.wait(0.05):
            if not self.is_running() or time.monotonic() > end:
                raise Refused("sluice.service has failed:\n" + self.machine.journal()[-2000:])

    def stop(self):
        if self.is_running():
            told = None
            end = time.monotonic() + SECONDS / 4
            while self.is_running():
                if told != self.pid:        # the successor of an upgrade that was under way
                    told = self.pid
                    os.kill(told, signal.SIGTERM)
                if time.monotonic() > end:
                    raise Refused("sluice.service does not stop")
                time.sleep(0.02)
        self.pid = 0

    def is_running(self):
        if not self.pid:
            return False
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return Path(f"/proc/{self.pid}").exists()

    def open_socket(self):
        if self.sockets:
            return
        host, _, port = self.machine.with_ports(self.setting("ListenStream", "sluice.socket")).rpartition(":")
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, int(port)))
        opened.listen(int(self.setting("Backlog", "sluice.socket")))
        self.sockets.append(opened)

    # The commands

    def systemctl(self, arguments):
        options = [argument for argument in arguments if argument.startswith("-")]
        verb, *units = [argument for argument in arguments if not argument.startswith("-")] or [""]
        units = [unit if "." in unit else unit + ".service" for unit in units]
        if unknown := set(units) - {"sluice.service", "sluice.socket"}:
            raise Refused(f"Unit {unknown.pop()} not found.")
        for unit in units:
            if not self.machine.path(f"/usr/local/lib/systemd/system/{unit}").exists():
                raise Refused(f"Unit {unit} could not be found.")
        if "--now" in options and verb in ("enable", "disable"):
            self.systemctl(["start" if verb == "enable" else "stop", *units])
        if verb in ("start", "restart"):
            if verb == "restart":
                self.stop()
            if "sluice.socket" in units:
                self.open_socket()
            if "sluice.service" in units:
                self.start()
        elif verb == "stop":
            if "sluice.service" in units:
                self.stop()
            if "sluice.socket" in units:
                while self.sockets:
                    self.sockets.pop().close()
        elif verb == "reload":
            self.run("ExecReload")
        elif verb == "kill":
            names = [option.split("=")[1] for option in options if option.startswith("--signal=")]
            if "--kill-whom=main" not in options or not self.is_running():
                raise Refused("--kill-whom=main is missing, or the service does not run")
            before = self.pid
            self.is_ready.clear()
            os.kill(self.pid, signal.Signals[f"SIG{(names or ['TERM'])[0]}"])
            if names == ["USR2"]:
                self.wait_ready()
                if self.pid == before:
                    raise Refused("nobody has taken over: " + self.machine.journal()[-2000:])
        elif verb == "show":
            if not {"--property=MainPID", "--value"} <= set(options):
                raise Refused("played: systemctl show --property=MainPID --value")
            return f"{self.pid}\n"
        elif verb == "status":
            active = "active (running)" if self.is_running() else "inactive (dead)"
            return f"     Active: {active}\n   Main PID: {self.pid} (sluice)\n     Status: \"{self.status}\"\n"
        elif verb == "is-active":
            return "active\n" if self.is_running() else "inactive\n"
        elif verb == "daemon-reload":
            return self.verify()
        elif verb in ("enable", "disable"):
            (self.enabled.update if verb == "enable" else self.enabled.difference_update)(units)
        elif verb not in ("reset-failed", "cat"):
            raise Refused(f"Unknown command verb {verb}, or one that is not played here.")
        return ""

    def verify(self):
        """What systemd says about the units with the drop-ins of the document."""
        if not shutil.which("systemd-analyze"):
            return ""
        units = self.machine.path("/usr/lib/systemd/system")
        if not units.exists():
            shutil.copytree("/usr/lib/systemd/system", units, symlinks=True)
        done = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=no", f"--root={self.machine.folder}", "sluice.service",
                               "sluice.socket"], capture_output=True, text=True)
        if done.returncode != 0 or done.stderr:
            raise Refused(done.stderr)
        return ""

    def journalctl(self, arguments):
        if "sluice" not in arguments and "--unit=sluice" not in arguments:
            raise Refused("played: journalctl --unit sluice")
        return self.machine.journal()

    def logrotate(self, arguments):
        text = Path(arguments[-1]).read_text("utf-8")
        files, body = re.match(r"\s*(.*?)\s*\{(.*)\}\s*$", text, re.S).groups()
        for file in glob.glob(files):
            os.rename(file, file + ".1")
        script = re.search(r"postrotate\n(.*?)endscript", body, re.S)[1]
        done = self.machine.bash(script)
        if done.returncode != 0:
            raise Refused(done.stdout)
        return ""

    def sysctl(self, arguments):
        """Sets nothing; the names must be real ones where /proc shows them."""
        for argument in arguments:
            name = argument.partition("=")[0]
            if not argument.startswith("-") and "." in name and not Path("/proc/sys", *name.split(".")).exists():
                raise Refused(f"sysctl: cannot stat {name}")
        return "".join(f"{argument.replace('=', ' = ')}\n" for argument in arguments if "=" in argument)


class Machine:
    def __init__(self, sluice, installed=True):
        self.sluice = sluice
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-docs-"))
        self.ports = {port: free_port() for port in PORTS}
        for folder in FOLDERS:
            self.path(folder).mkdir(parents=True, exist_ok=True)
        self.manager = Manager(self)
        self.make_tools()
        self.backends = [
            subprocess.Popen([sys.executable, ROOT / "scripts/lib/demo_backend.py", name, self.ports[port]], start_new_session=True)
            for name, port in (("one", "8081"), ("two", "8082"))]
        for port in ("8081", "8082"):
            self.wait_port(self.ports[port])
        if installed:
            done = self.bash("sudo scripts/install")
            assert done.returncode == 0, done.stdout

    def make_tools(self):
        tools = self.folder / "tools"
        tools.mkdir()
        for name in ("systemctl", "journalctl", "logrotate", "sysctl"):
            (tools / name).write_text(SHIM.format(python=sys.executable, path=str(self.folder / "manager")))
        (tools / "sluice").write_text(SLUICE.format(folder=self.folder))
        (tools / "sudo").write_text('#!/bin/bash\nexec "$@"\n')
        for name in "chgrp", "chown":
            (tools / name).write_text('#!/bin/bash\n[ "$1" = sluice ] && [ -e "$2" ]\n')
        checkout = self.folder / "checkout/scripts"
        checkout.mkdir(parents=True)
        (checkout / "install").write_text(
            f'#!/bin/bash\nexec {ROOT}/scripts/install --root {self.folder} --binary {self.sluice} "$@"\n')
        for tool in [*tools.iterdir(), *checkout.iterdir()]:
            tool.chmod(0o755)
        self.tools = tools

    @staticmethod
    def wait_port(port):
        end = time.monotonic() + SECONDS / 4
        while time.monotonic() < end:
            try:
                return socket.create_connection(("127.0.0.1", int(port)), 1).close()
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"nothing listens on {port}")

    # Text of the document, made fit for this machine and back

    def path(self, name):
        return self.folder / name.lstrip("/")

    def with_ports(self, text):
        return re.sub(r":(%s)\b" % "|".join(self.ports), lambda match: ":" + self.ports[match[1]], text)

    def with_paths(self, text):
        return re.sub(r"(?<![\w.-])(%s)(?![\w-])" % "|".join(FOLDERS), lambda match: str(self.folder) + match[1], text)

    def fit(self, text):
        return self.with_paths(self.with_ports(text))

    def back(self, text):
        """Output as the document would show it."""
        text = text.replace(str(self.folder), "")
        for written, real in self.ports.items():
            text = re.sub(rf":{real}\b", ":" + written, text)
        return text

    def read(self, name):
        path = self.path(name)
        return path.read_text("utf-8") if path.exists() else ""

    def journal(self):
        path = self.folder / "journal"
        return path.read_text("utf-8", "backslashreplace") if path.exists() else ""

    def write(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.fit(text), "utf-8")

    # Commands

    def bash(self, script, seconds=SECONDS):
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                ["bash", "-uo", "pipefail", "-c", script], cwd=self.folder / "checkout", stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", "CREDENTIALS_DIRECTORY": str(self.folder / "credentials")})
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
            output.seek(0)
            return subprocess.CompletedProcess(script, status, output.read())

    def console(self, body):
        """Runs the commands of a console fence. Yields what was wrong with each that was."""
        commands = []
        for line in body.splitlines():
            if commands and commands[-1][0].endswith("\\") and not commands[-1][1]:
                commands[-1][0] += "\n" + line
            elif line[:2] in ("$ ", "# "):
                commands.append([line[2:], []])
            elif commands and line.strip():
                commands[-1][1].append(line)
        script = "".join(f"{self.fit(command)}\nprintf '\\n{MARK}%s{MARK}' $?\n" for command, _ in commands)
        parts = re.split(f"\n{MARK}(\\d+){MARK}", self.bash(script).stdout)
        for index, (command, expected) in enumerate(commands):
            if 2 * index + 1 >= len(parts):
                yield f"`{command}` was not reached, or did not end:\n{self.back(parts[-1]).rstrip()}"
                return
            output, status = self.back(parts[2 * index]), parts[2 * index + 1]
            if status != "0":
                yield f"`{command}` ended with status {status}:\n{output.rstrip()}"
            elif not self.matches(expected, output):
                yield f"`{command}` printed:\n{output.rstrip()}"

    @staticmethod
    def matches(expected, output):
        """Whether the expected lines stand in the output in this order; … is anything."""
        pattern = "^[^\\S\n]*" + "[^\\S\n]*$.*?^[^\\S\n]*".join(
            ".*?".join(re.escape(part).replace("\\ ", "[ ]+") for part in line.strip().split("…"))
            for line in expected) if expected else ""
        return re.search(pattern + "[^\\S\n]*$" if expected else "", output, re.M | re.S) is not None

    def close(self):
        try:
            self.manager.stop()
        except Refused:
            os.kill(self.manager.pid, signal.SIGKILL)
        for backend in self.backends:
            backend.terminate()
            backend.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
