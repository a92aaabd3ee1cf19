"""Which certificate a client gets, and how certificates are read, watched and changed (hardening 134, 138)."""

import os
import re
import ssl
import subprocess
from pathlib import Path

import pytest

from conftest import proxied, secure_listener
from sluice_harness import client_context, names, refusal, sluice_binary, tls_connect, until, yaml_dump
from sluice_harness.certificates import DAY, Authority, now
from sluice_harness.process import parsed


@pytest.fixture
def listening(world, pki):
    """Starts a daemon with these certificates."""
    def start(*certificates, **tls):
        server = world.backend()
        return world.gateway({"listeners": [secure_listener(*certificates, **tls)], **proxied(server)}, tls={"secure": pki.root.ca_file})
    return start


def shown(sluice, name: str | None, context: ssl.SSLContext | None = None) -> bytes:
    """The certificate that a client gets who asks for this name."""
    made = tls_connect(sluice.address("secure"), context or client_context(), name)
    der = made.peer_der
    made.close()
    return der


def told(sluice, start: int, *words: str, levels=("warn", "error")) -> bool:
    """Whether a line of the log, from `start` on, has all these words."""
    return any(all(word in line for word in words) and parsed(line).get("level", "").lower() in levels
               for line in list(sluice.stderr.lines)[start:])


# SNI


def test_each_name_gets_its_certificate_and_others_the_first(listening, pki):
    sluice = listening(pki.server, pki.wildcard, pki.other)
    for name, certificate in {"app.test": pki.server, "other.example.org": pki.other, "any.example.com": pki.wildcard,
                              "secure.example.com": pki.server, "unknown.test": pki.server, None: pki.server}.items():
        assert shown(sluice, name) == certificate.der, name


def test_a_name_is_compared_without_regard_to_case(listening, pki):
    """Hardening 134."""
    sluice = listening(pki.server, pki.wildcard, pki.other)
    for name, certificate in {"OTHER.Example.ORG": pki.other, "Any.EXAMPLE.com": pki.wildcard}.items():
        assert shown(sluice, name) == certificate.der, name


def test_a_wildcard_stands_for_one_label_and_not_for_none(listening, pki):
    sluice = listening(pki.server, pki.wildcard)
    assert shown(sluice, "a.example.com") == pki.wildcard.der
    for name in ("a.b.example.com", "example.com", "xexample.com"):
        assert shown(sluice, name) == pki.server.der, name


def test_names_of_the_configuration_stand_in_for_those_of_the_certificate(listening, pki):
    sluice = listening(pki.server, pki.other.entry(names=["chosen.test", "*.chosen.test"]))
    for name, certificate in {"chosen.test": pki.other, "x.chosen.test": pki.other, "other.example.org": pki.server}.items():
        assert shown(sluice, name) == certificate.der, name


@pytest.mark.parametrize("name", ["unknown.test", "a.b.example.com", None])
def test_strict_sni_refuses_a_name_that_no_certificate_is_for(listening, pki, name):
    """Hardening 134."""
    sluice = listening(pki.server, pki.wildcard, strict_sni=True)
    said = refusal(sluice.address("secure"), client_context(), name)
    assert "unrecognized_name" in said or "handshake_failure" in said, said
    assert shown(sluice, "app.test") == pki.server.der and shown(sluice, "a.example.com") == pki.wildcard.der


@pytest.mark.parametrize("name", ["a..example.com", "-", "a" * 63 + ".example.com", "xn--a.example.com"])
def test_an_odd_name_gets_some_certificate_or_an_alert(listening, pki, name):
    sluice = listening(pki.server, pki.wildcard)
    try:
        assert shown(sluice, name) in (pki.server.der, pki.wildcard.der)
    except (ssl.SSLError, UnicodeError, ValueError):
        pass
    assert shown(sluice, "app.test") == pki.server.der


def test_rsa_and_ecdsa_stand_side_by_side(listening, pki):
    sluice = listening(pki.server_rsa, pki.server)
    two = ssl.TLSVersion.TLSv1_2
    assert shown(sluice, "app.test", client_context(version=two, ciphers="ECDHE-RSA-AES128-GCM-SHA256")) == pki.server_rsa.der
    assert shown(sluice, "app.test", client_context(version=two, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")) == pki.server.der
    # A client that can do both gets the one that costs less.
    assert shown(sluice, "app.test") == pki.server.der


def test_a_thousand_names_are_told_apart(listening, pki):
    many = pki.once("many", lambda: pki.root.leaf("many.test", names=[f"n{number}.many.test" for number in range(1000)], stem="many"))
    sluice = listening(pki.server, many)
    for number in (0, 499, 999):
        assert shown(sluice, f"n{number}.many.test") == many.der
    assert shown(sluice, "n1000.many.test") == pki.server.der


def test_intermediates_are_sent_along(listening, pki):
    middle = pki.once("middle", lambda: pki.root.intermediate("Test intermediate"))
    sluice = listening(middle.leaf("app.test", stem="by-intermediate"))
    made = tls_connect(sluice.address("secure"), client_context(pki.root.ca_file), "app.test")
    made.close()


def staple_shown(sluice, name: str) -> bytes:
    return subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % sluice.address("secure"), "-servername", name, "-status"],
                          input=b"", capture_output=True, timeout=10).stdout


def test_an_ocsp_answer_is_stapled(listening, pki):
    middle = pki.once("middle", lambda: pki.root.intermediate("Test intermediate"))
    stapled = middle.leaf("app.test", stem="stapled")
    sluice = listening(stapled.entry(ocsp_file=middle.ocsp_answer(stapled)), pki.other)
    for name, expected in {"app.test": b"OCSP Response Status: successful", "other.example.org": b"OCSP response: no response sent"}.items():
        assert expected in (said := staple_shown(sluice, name)), (name, said[:600])


def test_an_ocsp_answer_for_another_certificate_is_left_out_and_warned_about(listening, pki):
    middle = pki.once("middle", lambda: pki.root.intermediate("Test intermediate"))
    stapled, other = middle.leaf("app.test", stem="not-stapled"), middle.leaf("other.test", stem="its-neighbour")
    sluice = listening(stapled.entry(ocsp_file=middle.ocsp_answer(other, "other.der")))
    assert b"no response sent" in staple_shown(sluice, "app.test")
    assert told(sluice, 0, "other.der", levels=("warn",)), sluice.stderr.lines


# Changes


@pytest.fixture
def changing(listening, pki, tmp_path):
    """A daemon whose certificate is a file of its own, which may be changed."""
    first = Authority(tmp_path / "changing", "Changing root")
    current = first.leaf("app.test", stem="current")
    fresh = first.leaf("app.test", stem="fresh")
    sluice = listening(current)
    return sluice, current, fresh


def test_a_changed_pair_is_shown_after_a_reload(changing):
    """Hardening 138."""
    sluice, current, fresh = changing
    assert shown(sluice, "app.test") == current.der
    before = current.der
    with sluice.connect("secure", tls=client_context()) as client:
        assert client.request().status == 200
        fresh.copy_to(current.cert_file, current.key_file)
        sluice.reload()
        assert shown(sluice, "app.test") == fresh.der != before
        assert client.request().status == 200, "the connection from before goes on"


def test_a_changed_pair_is_shown_without_a_reload(changing):
    """Files are watched."""
    sluice, current, fresh = changing
    fresh.copy_to(current.cert_file, current.key_file)
    until(lambda: shown(sluice, "app.test") == fresh.der, 10, "the new certificate is shown")


def test_files_that_are_written_in_place_are_taken_too(changing):
    sluice, current, fresh = changing
    Path(current.key_file).write_bytes(fresh.key_pem)
    Path(current.cert_file).write_bytes(fresh.pem)
    until(lambda: shown(sluice, "app.test") == fresh.der, 10, "the new certificate is shown")


def test_a_swapped_link_is_a_change(listening, pki, tmp_path):
    """As Kubernetes swaps `..data`."""
    authority = Authority(tmp_path / "linked", "Linked root")
    old, fresh = authority.leaf("app.test", stem="old"), authority.leaf("app.test", stem="new")
    for name, certificate in (("one", old), ("two", fresh)):
        (tmp_path / name).mkdir()
        certificate.copy_to(tmp_path / name / "tls.crt", tmp_path / name / "tls.key")
    (tmp_path / "live").symlink_to("one")
    sluice = listening({"cert_file": str(tmp_path / "live" / "tls.crt"), "key_file": str(tmp_path / "live" / "tls.key")})
    assert shown(sluice, "app.test") == old.der
    (tmp_path / "next").symlink_to("two")
    os.rename(tmp_path / "next", tmp_path / "live")
    until(lambda: shown(sluice, "app.test") == fresh.der, 10, "the new certificate is shown")


@pytest.mark.parametrize("broken", ["other key", "no certificate", "gone", "cut off", "empty"])
def test_a_broken_pair_keeps_the_old_one_and_says_so(changing, broken):
    """Hardening 138."""
    sluice, current, fresh = changing
    start = len(sluice.stderr.lines)
    damage(broken, current, fresh)
    sluice.reload(fails=True)
    until(lambda: told(sluice, start, os.path.basename(current.key_file)) or told(sluice, start, os.path.basename(current.cert_file)),
          10, "the log names the file")
    assert shown(sluice, "app.test") == current.der
    fresh.copy_to(current.cert_file, current.key_file)
    sluice.reload()
    assert shown(sluice, "app.test") == fresh.der


@pytest.mark.parametrize("broken", ["other key", "no certificate"])
def test_a_pair_that_breaks_while_it_is_watched_keeps_the_old_one_and_says_so(changing, broken):
    sluice, current, fresh = changing
    start = len(sluice.stderr.lines)
    damage(broken, current, fresh)
    until(lambda: told(sluice, start, os.path.basename(current.key_file)) or told(sluice, start, os.path.basename(current.cert_file)),
          10, "the log names the file")
    assert shown(sluice, "app.test") == current.der
    fresh.copy_to(current.cert_file, current.key_file)
    until(lambda: shown(sluice, "app.test") == fresh.der, 10, "the new certificate is shown")


def damage(how: str, current, fresh):
    key, certificate = Path(current.key_file), Path(current.cert_file)
    if how == "other key":
        key.write_bytes(fresh.key_pem)
    elif how == "no certificate":
        certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    elif how == "gone":
        key.unlink()
    elif how == "cut off":
        certificate.write_bytes(certificate.read_bytes()[:200])
    else:
        certificate.write_bytes(b"")


def test_handshakes_during_changes_all_succeed(changing):
    sluice, current, fresh = changing
    for turn in range(10):
        pair = (fresh, current)[turn % 2]
        pair.copy_to(current.cert_file, current.key_file)
        sluice.reload()
        for _ in range(5):
            assert shown(sluice, "app.test") == pair.der


def test_a_listener_gets_one_more_certificate_by_reload(world, pki):
    server = world.backend()
    sluice = world.gateway({"listeners": [secure_listener(pki.server)], **proxied(server)}, tls={"secure": pki.root.ca_file})
    assert shown(sluice, "other.example.org") == pki.server.der
    sluice.reload({"listeners": [secure_listener(pki.server, pki.other)], **proxied(server)})
    assert shown(sluice, "other.example.org") == pki.other.der


# What is told


def test_the_expiry_of_each_certificate_is_a_metric(listening, pki):
    sluice = listening(pki.server, pki.wildcard)
    found = names.certificate_expiries(sluice, "secure")
    assert sorted(value for _, value in found) == sorted([pki.server.expires, pki.wildcard.expires])
    assert any("app.test" in subject for subject, _ in found) and any("*.example.com" in subject for subject, _ in found)


def test_the_metric_follows_a_change(changing):
    sluice, current, fresh = changing
    fresh.copy_to(current.cert_file, current.key_file)
    sluice.reload()
    assert [value for _, value in names.certificate_expiries(sluice, "secure")] == [fresh.expires]


def test_a_certificate_that_expires_soon_is_warned_about(listening, pki):
    """Hardening 138."""
    soon = pki.root.leaf("app.test", not_after=now() + 5 * DAY, stem="soon")
    sluice = listening(soon)
    assert until(lambda: told(sluice, 0, "expire", levels=("warn",)), 5), sluice.stderr.lines
    assert shown(sluice, "app.test") == soon.der


def test_a_key_that_others_can_read_is_warned_about(listening, pki, tmp_path):
    """Hardening 138."""
    loose = pki.root.leaf("app.test", stem="loose")
    os.chmod(loose.key_file, 0o644)
    sluice = listening(loose)
    until(lambda: told(sluice, 0, os.path.basename(loose.key_file), levels=("warn",)), 5, "a warning names the key")


def test_a_warning_of_a_file_that_many_use_is_given_once(world, pki):
    loose = pki.root.leaf("app.test", stem="shared-and-loose")
    os.chmod(loose.key_file, 0o644)
    sluice = world.gateway({"listeners": [secure_listener(loose), secure_listener(loose, name="other", strict_sni=True)],
                            **proxied(world.backend())}, tls={"secure": pki.root.ca_file, "other": pki.root.ca_file})
    sluice.stderr.wait(lambda line: parsed(line).get("message") == "ready", 5)
    said = [line for line in sluice.stderr.lines if os.path.basename(loose.key_file) in line and parsed(line).get("level") == "warn"]
    assert len(said) == 1, said


@pytest.mark.parametrize("fault", ["no such file", "no key in it", "other key", "a directory", "with a password"])
def test_a_pair_that_cannot_be_used_is_refused_by_a_start_with_the_name_of_the_file(pki, tmp_path, world, fault):
    pair = pki.root.leaf("app.test", stem=f"faulty-{fault.replace(' ', '-')}")
    key = Path(pair.key_file)
    if fault == "no such file":
        key.unlink()
    elif fault == "no key in it":
        key.write_text("nothing of the kind\n")
    elif fault == "other key":
        key.write_bytes(pki.other.key_pem)
    elif fault == "a directory":
        key.unlink()
        key.mkdir()
    else:
        from cryptography.hazmat.primitives import serialization
        key.write_bytes(pair.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.BestAvailableEncryption(b"secret")))
    sluice = world.gateway({"listeners": [secure_listener(pair)], "routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}]},
                           wait_ready=False)
    sluice.expected_exit = 1
    sluice.check_descriptors = False
    assert sluice.wait_exit(10) == 1
    sluice.stderr.thread.join(5)
    assert any(key.name in line for line in sluice.stderr.lines), sluice.stderr.lines


@pytest.mark.parametrize("words, tls, wanted", [
    ("no certificates", {"certificates": []}, "certificates"),
    ("unknown key", {"certificat": "x"}, "certificat"),
    ("old version", {"min_version": "1.0"}, "min_version"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_tls_block_that_says_nonsense_is_refused_by_check(pki, tmp_path, words, tls, wanted):
    listener = secure_listener(pki.server)
    listener["tls"].update(tls)
    path = tmp_path / "sluice.yaml"
    path.write_text(yaml_dump({"listeners": [{**listener, "address": "127.0.0.1:1"}],
                               "routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}]}))
    result = subprocess.run([sluice_binary(), "check", "--config", str(path)], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1 and re.search(r"sluice\.yaml:\d+:\d+", result.stdout + result.stderr), result
    assert wanted in result.stdout + result.stderr, result


@pytest.mark.parametrize("listener", ["web", "admin"])
def test_a_file_that_cannot_be_used_is_named_with_its_place_by_check(pki, tmp_path, listener):
    tls = {"certificates": [{"cert_file": pki.server.cert_file, "key_file": pki.other.key_file}]}
    blocks = {"listeners": [{"name": "web", "address": "127.0.0.1:1"}], "admin": {"address": "127.0.0.1:2"},
              "routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}]}
    (blocks["listeners"][0] if listener == "web" else blocks["admin"])["tls"] = tls
    path = tmp_path / "sluice.yaml"
    path.write_text(yaml_dump(blocks))
    result = subprocess.run([sluice_binary(), "check", "--config", str(path)], capture_output=True, text=True, timeout=10)
    place = "listeners[0].tls.certificates[0]" if listener == "web" else "admin.tls.certificates[0]"
    assert result.returncode == 1 and re.search(r"sluice\.yaml:\d+:\d+: error: " + re.escape(place), result.stderr), result
    assert Path(pki.other.key_file).name in result.stderr


def test_h2_without_tls_is_refused_by_check(tmp_path):
    path = tmp_path / "sluice.yaml"
    path.write_text(yaml_dump({"listeners": [{"name": "web", "address": "127.0.0.1:1", "protocols": ["h2"]}],
                               "routes": [{"name": "all", "match": {"path": "/*"}, "respond": {"body": "ok"}}]}))
    result = subprocess.run([sluice_binary(), "check", "--config", str(path)], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1 and "h2c" in result.stdout + result.stderr, result


def test_a_key_is_never_in_a_log_or_dump(listening, pki):
    sluice = listening(pki.server)
    secret = pki.server.key_pem.decode().splitlines()[2][:30]
    dump = subprocess.run([sluice_binary(), "config", "show", "--config", str(sluice.config_path)], capture_output=True, text=True, timeout=10)
    assert secret not in dump.stdout + dump.stderr + "\n".join(sluice.stderr.lines)
