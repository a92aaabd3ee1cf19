"""Runs the examples of README.md and docs/, so that they stay true. SLUICE_BIN names the daemon.

    python3 check_docs.py [FILE...]

- A yaml fence must pass `sluice check`. What a fragment leaves out (listeners, services that its routes name, routes) is put in.
- Certificates, keys, authorities and lists of revocation that such a fence names without a leading slash are made for it.
- "```yaml NAME" also keeps the text as the file NAME, "```sh run" is executed where these files are, all fences of a document as one
  script with `sluice` on the PATH; "```text output" must stand in what it prints. Ports are replaced by free ones.
- A document with a "```console" fence is run on a machine that is played in a directory (practice_machine.py), fence by fence:
    - a line that begins with `$ ` or `# ` (root) is a command and must end with 0; a line that ends in a backslash goes on in the next;
    - the lines behind it must stand in what it prints, in this order; … is anything;
    - "```yaml /etc/sluice/sluice.yaml", and any other fence with an absolute name, becomes that file on the machine;
    - /etc/sluice, /var/log/sluice, /usr/local and so on are folders of the machine, 8000, 9901, 8081 and 8082 free ports, two demo
      backends are there; systemctl, journalctl, logrotate, sysctl, sudo, chgrp and chown are played, `sluice`, `curl` and `scripts/install` real;
    - unless the document installs Sluice itself, it is installed and running with the configuration of docs/operations.md.
- docs/troubleshooting.md has a heading for each reason that Sluice can give, and for no other.
- A relative link, and every mention of a path in scripts/, config/, docs/, Sources/ or Tests/, must lead somewhere.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from practice_machine import Machine, PORTS, SECONDS, free_port

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)[ \t]*(.*?)\n(.*?)^```[ \t]*$", re.M | re.S)
OPERATIONS = ROOT / "docs/operations.md"


def completed(text):
    """A whole configuration around a fragment."""
    keys = set(re.findall(r"^(\w+):", text, re.M))
    # Two older names make a listener.
    if not keys & {"listeners", "host", "port"}:
        text += '\nlisteners:\n  - {name: web, address: "127.0.0.1:8000"}\n'
    if "services" not in keys:
        names = set(re.findall(r"\bservice: ([\w-]+)", text)) or {"app"}
        text += "\nservices:\n" + "".join(f'  {name}: {{instances: [{{url: "http://127.0.0.1:8081"}}]}}\n' for name in sorted(names))
    if "routes" not in keys:
        text += '\nroutes:\n  - {name: rest-of-the-example, match: {path: "/*"}, respond: {status: 200}}\n'
    return text


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=SECONDS)


def make_certificate(folder):
    """A certificate of its own authority, its key, and an empty list of revocations."""
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90",
            "-subj", "/CN=example.com", "-addext", "subjectAltName=DNS:example.com", "-keyout", "key.pem", "-out", "cert.pem")
    (folder / "index.txt").write_text("")
    (folder / "ca.conf").write_text("[ca]\ndefault_ca = example\n[example]\ndatabase = index.txt\ndefault_md = sha256\n")
    openssl(folder, "ca", "-config", "ca.conf", "-gencrl", "-crldays", "90", "-cert", "cert.pem", "-keyfile", "key.pem", "-out", "crl.pem")


def make_named_files(text, folder):
    """What a fragment names beside itself: `tls/api.pem`, not `/etc/ssl/api.pem`."""
    named = re.findall(r"\b(cert|key|ca|crl)_file: ([\w.-][\w./-]*)", text)
    if not named:
        return
    with tempfile.TemporaryDirectory() as made:
        make_certificate(Path(made))
        for kind, name in named:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((Path(made) / {"cert": "cert.pem", "key": "key.pem", "ca": "cert.pem", "crl": "crl.pem"}[kind]).read_bytes())
            file.chmod(0o600)


def refused(done):
    """What `sluice check` says against an example, or nothing. A middleware of the reader's own is unknown to this build."""
    errors = [line for line in done.stdout.splitlines() + (done.stderr or "").splitlines() if ": error: " in line]
    if done.returncode == 0 or errors and all("this build has no middleware type" in line for line in errors):
        return ""
    return "`sluice check` refuses the example:\n" + (done.stdout + (done.stderr or "")).rstrip()


class Document:
    def __init__(self, path, sluice):
        self.path = path
        self.name = path.relative_to(ROOT)
        self.text = path.read_text("utf-8")
        self.sluice = sluice
        self.problems = []

    def problem(self, offset, what):
        self.problems.append(f"{self.name}:{self.text.count(chr(10), 0, offset) + 1}: {what}")

    def check(self):
        if re.search(r"^```console$", self.text, re.M):
            self.check_on_machine()
        else:
            self.check_alone()
        if self.path == ROOT / "docs/troubleshooting.md":
            self.check_reasons()
        self.check_links()
        return self.problems

    def check_on_machine(self):
        """Fence by fence, as a reader would go through it."""
        installs = re.search(r"^[$#] (sudo )?scripts/install", self.text, re.M)
        machine = Machine(self.sluice, installed=not installs)
        try:
            if not installs:
                named = re.search(r"^```yaml /etc/sluice/sluice.yaml\n(.*?)^```$", OPERATIONS.read_text("utf-8"), re.M | re.S)
                machine.write("/etc/sluice/sluice.yaml", named[1])
                done = machine.bash("systemctl start sluice")
                if done.returncode != 0:
                    return self.problem(0, f"the daemon does not start:\n{done.stdout.rstrip()}")
            for fence in FENCE.finditer(self.text):
                language, rest, body = fence[1], fence[2].split(), fence[3]
                if rest and rest[0].startswith("/"):
                    machine.write(rest[0], body)
                if language in ("yaml", "yml"):
                    self.check_yaml_on_machine(fence.start(), body, machine)
                elif language == "console":
                    for problem in machine.console(body):
                        self.problem(fence.start(), problem)
        finally:
            machine.close()

    def check_yaml_on_machine(self, offset, body, machine):
        machine.write("/fragment.yaml", completed(body))
        done = machine.bash(f"sluice check --config {machine.path('fragment.yaml')}")
        if said := refused(done):
            self.problem(offset, said)

    def check_reasons(self):
        source = (ROOT / "Sources/Core/HTTPMessages/Reason.swift").read_text("utf-8")
        names = set(re.findall(r'case \.\w+: "(\w+)"', source))
        told = set(re.findall(r"^#+ `(\w+)`$", self.text, re.M))
        if not names:
            self.problem(0, "no reasons found in Sources/Core/HTTPMessages/Reason.swift")
        for name in sorted(names ^ told):
            self.problem(0, f"{name}: {'not told here' if name in names else 'no such reason'}")

    def check_alone(self):
        script, expected = [], []
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            ports = {port: free_port() for port in PORTS}
            for fence in FENCE.finditer(self.text):
                language, rest, body = fence[1], fence[2].split(), fence[3]
                if language in ("yaml", "yml"):
                    self.check_yaml(fence.start(), body, folder, ports, rest[0] if rest else None)
                elif language == "sh" and rest[:1] == ["run"]:
                    script.append((fence.start(), self.with_ports(body, ports)))
                elif language == "text" and rest[:1] == ["output"]:
                    expected.append((fence.start(), self.with_ports(body, ports)))
            if script:
                self.run(script, expected, folder)

    @staticmethod
    def with_ports(text, ports):
        return re.sub(r":(%s)\b" % "|".join(ports), lambda match: ":" + ports[match[1]], text)

    def check_yaml(self, offset, body, folder, ports, name):
        file = folder / (name or "example.yaml")
        file.write_text(self.with_ports(completed(body), ports), "utf-8")
        if name and not re.search(r"^admin:", body, re.M):
            with file.open("a", encoding="utf-8") as more:
                more.write(f'\nadmin: {{address: "127.0.0.1:{ports["9901"]}"}}\n')
        make_named_files(body, folder)
        done = subprocess.run([self.sluice, "check", "--config", str(file)], capture_output=True, text=True, timeout=SECONDS,
                              env={**os.environ, "PORT": ports["8000"]})
        if said := refused(done):
            self.problem(offset, said)

    def run(self, script, expected, folder):
        tools = folder / "bin"
        tools.mkdir()
        (tools / "sluice").symlink_to(self.sluice)
        text = "\n".join(body for _, body in script)
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "REPOSITORY": str(ROOT)})
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = "none: it did not end"
        try:
            os.killpg(process.pid, signal.SIGKILL)      # whatever it left in the background
        except ProcessLookupError:
            pass
        output = process.stdout.read()
        if status != 0:
            self.problem(script[0][0], f"the example ended with status {status}:\n{output.rstrip()}")
        for offset, wanted in expected:
            if wanted.strip() not in output:
                self.problem(offset, f"the example did not print this, but:\n{output.rstrip()}")

    def check_links(self):
        for match in re.finditer(r"\]\(([^)\s]+)\)", self.text):
            target = match[1].split("#")[0]
            if target and not re.match(r"[a-z]+:", target) and not (self.path.parent / target).exists():
                self.problem(match.start(), f"the link leads nowhere: {match[1]}")
        for match in re.finditer(r"`((?:scripts|config|docs|Sources|Tests)/[\w./+-]*)`?", self.text):
            if not (ROOT / match[1].rstrip(".")).exists():
                self.problem(match.start(), f"there is no {match[1]}")


def main():
    sluice = os.environ.get("SLUICE_BIN", "")
    if not os.access(sluice, os.X_OK):
        print(f"no daemon at \"{sluice}\": build it (swift build), or set SLUICE_BIN")
        return 1
    paths = [Path(name).resolve() for name in sys.argv[1:]] or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    problems = [problem for path in paths for problem in Document(path, str(Path(sluice).resolve())).check()]
    for problem in problems:
        print(problem)
    print(f"{len(paths)} documents, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
