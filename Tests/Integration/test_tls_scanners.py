"""What scanners of TLS say: testssl.sh finds nothing above low, sslyze calls it Mozilla's intermediate configuration (hardening 101, 132)."""

import csv
import shutil
import subprocess
import sys

import pytest

from conftest import proxied, secure_listener
from sluice_harness.certificates import self_signed

WORSE_THAN_LOW = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}


@pytest.fixture
def scanned(world, tmp_path):
    """A daemon with a certificate that is self-signed, RSA, as most are at first."""
    certificate = self_signed(tmp_path, "localhost")
    return world.gateway({"listeners": [secure_listener(certificate)], "limits": {"connections_per_client": 4096}, **proxied(world.backend())})


@pytest.mark.seconds(400)
def test_testssl_finds_nothing_above_low(scanned, tmp_path):
    """Protocols, ciphers, forward secrecy and the known attacks: -p -s -f -U."""
    tool = shutil.which("testssl") or shutil.which("testssl.sh")
    assert tool, "testssl.sh is not installed; scripts/test does it"
    report = tmp_path / "report.csv"
    done = subprocess.run([tool, "-p", "-s", "-f", "-U", "--quiet", "--color", "0", "--warnings", "off", "--csvfile", str(report), "--ip", "127.0.0.1",
                           "--openssl-timeout", "10", f"localhost:{scanned.ports['secure']}"], capture_output=True, text=True, timeout=390, stdin=subprocess.DEVNULL)
    with open(report, newline="") as file:
        findings = list(csv.DictReader(file))
    assert len(findings) > 25, (done.stdout[-2000:], done.stderr[-500:])
    found = {row["id"]: row for row in findings}
    assert "offered" in found["TLS1_2"]["finding"] and "offered" in found["TLS1_3"]["finding"]
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert "not offered" in found[old]["finding"], found[old]
    bad = [(row["id"], row["severity"], row["finding"]) for row in findings if row["severity"] in WORSE_THAN_LOW]
    assert bad == []


@pytest.mark.seconds(200)
def test_sslyze_calls_it_mozillas_intermediate_configuration_but_for_the_self_signed_chain(scanned):
    done = subprocess.run([sys.executable, "-m", "sslyze", "--mozilla_config=intermediate", f"localhost:{scanned.ports['secure']}"],
                          capture_output=True, text=True, timeout=190)
    text = done.stdout
    assert "COMPLIANCE AGAINST" in text.upper(), (text[-2000:], done.stderr[-1000:])
    verdict = text[text.upper().index("COMPLIANCE AGAINST"):]
    complaints = [line.strip() for line in verdict.splitlines() if line.strip().startswith("* ")]
    allowed = ("certificate_path_validation", "certificate_hostname_validation", "certificate_chain", "certificate_lifespan", "verified_chain")
    others = [line for line in complaints if not any(word in line.lower() for word in allowed) and "self-signed" not in line.lower() and "not trusted" not in line.lower()]
    assert others == [], verdict
