"""A small certificate authority for the tests: leafs of every kind, right and wrong, as PEM files, with revocation lists and OCSP answers."""

import datetime
import ipaddress
import itertools
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
USAGES = {"server": [ExtendedKeyUsageOID.SERVER_AUTH], "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
          "both": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], "code": [ExtendedKeyUsageOID.CODE_SIGNING]}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def name_of(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sluice tests"), x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Certificate:
    """A certificate with its key, in files: `cert_file` (with the intermediates behind it) and `key_file` (mode 0600)."""

    def __init__(self, directory: Path, stem: str, certificate: x509.Certificate, key, chain=()):
        self.certificate = certificate
        self.key = key
        self.chain = list(chain)
        self.cert_file = str(directory / f"{stem}.pem")
        self.key_file = str(directory / f"{stem}.key")
        Path(self.cert_file).write_bytes(self.pem)
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.key_pem)

    @property
    def pem(self) -> bytes:
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.chain))

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the DER form, in lower-case hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def expires(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()

    def entry(self, **more) -> dict:
        """As an entry of `tls.certificates`."""
        return {"cert_file": self.cert_file, "key_file": self.key_file, **more}

    def copy_to(self, cert_file, key_file):
        """Puts this pair where another one is, each file at once, and one right after the other: files are watched."""
        for path, content, mode in ((key_file, self.key_pem, 0o600), (cert_file, self.pem, 0o644)):
            with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(content)
        for path in (key_file, cert_file):
            os.rename(f"{path}.new", path)


class Authority:
    """Signs leafs and other authorities. `ca_file` is what its users trust."""

    serial = itertools.count(1000)

    def __init__(self, directory: Path, common: str = "Test root", parent: "Authority | None" = None, stem: str = "ca",
                 path_length: int | None = None, not_before=None, not_after=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.parent = parent
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of(common)
        builder = (x509.CertificateBuilder().subject_name(self.name).public_key(self.key.public_key())
                   .issuer_name(parent.name if parent else self.name).serial_number(next(Authority.serial))
                   .not_valid_before(not_before or now() - 30 * DAY).not_valid_after(not_after or now() + 3650 * DAY)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
                   .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                                                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                                                decipher_only=False), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False))
        issuer = parent or self
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        self.certificate = builder.sign(issuer.key, hashes.SHA256())
        self.ca_file = str(self.directory / f"{stem}.pem")
        Path(self.ca_file).write_bytes(self.pem)
        self.made = itertools.count(1)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain(self) -> list[x509.Certificate]:
        """What a leaf sends along: every authority below the root."""
        return [self.certificate, *self.parent.chain] if self.parent else []

    def intermediate(self, common: str, **more) -> "Authority":
        return Authority(self.directory, common, self, f"ca-{next(self.made)}-{common.replace(' ', '-')}", **more)

    def leaf(self, common: str, names=None, addresses=(), kind: str = "ec", usage: str | None = "server", not_before=None, not_after=None,
             stem: str | None = None, extra_names=(), key=None) -> Certificate:
        """A certificate for `names` (the common name alone, when None) and IP `addresses`; `kind` is ec or rsa."""
        key = key or (rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1()))
        alternatives = [x509.DNSName(name) for name in ([common] if names is None else names)]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        alternatives += extra_names
        builder = (x509.CertificateBuilder().subject_name(name_of(common)).public_key(key.public_key()).issuer_name(self.name)
                   .serial_number(next(Authority.serial))
                   .not_valid_before(not_before or now() - DAY).not_valid_after(not_after or now() + 90 * DAY)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.KeyUsage(digital_signature=True, key_encipherment=kind == "rsa", content_commitment=False,
                                                data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
                                                encipher_only=False, decipher_only=False), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False))
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(USAGES[usage]), critical=False)
        stem = stem or f"leaf-{next(self.made)}-{common.replace('*', 'any').replace(' ', '-')}"
        return Certificate(self.directory, stem, builder.sign(self.key, hashes.SHA256()), key, self.chain)

    def expired(self, common: str, **more) -> Certificate:
        return self.leaf(common, not_before=now() - 90 * DAY, not_after=now() - DAY, **more)

    def client(self, common: str, **more) -> Certificate:
        return self.leaf(common, **{"names": [], "usage": "client", **more})

    def revocation_list(self, *revoked: Certificate, file: str = "revoked.crl", next_update=None) -> str:
        """The path of a list in PEM that names these certificates."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now() - DAY).next_update(
            next_update or now() + 30 * DAY)
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(now() - DAY).build())
        path = self.directory / file
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(path)

    def ocsp_answer(self, leaf: Certificate, file: str = "staple.der") -> str:
        """The path of an OCSP answer in DER that calls the certificate good."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf.certificate, issuer=self.certificate, algorithm=hashes.SHA256(), cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=now() - DAY, next_update=now() + 7 * DAY, revocation_time=None, revocation_reason=None,
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        path = self.directory / file
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
        return str(path)


def self_signed(directory: Path, common: str, kind: str = "rsa") -> Certificate:
    """A certificate that nobody else vouches for."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    made = (x509.CertificateBuilder().subject_name(name_of(common)).issuer_name(name_of(common)).public_key(key.public_key())
            .serial_number(next(Authority.serial)).not_valid_before(now() - DAY).not_valid_after(now() + 90 * DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(common)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(USAGES["server"]), critical=False)
            .sign(key, hashes.SHA256()))
    return Certificate(Path(directory), f"self-signed-{common}", made, key)


class Certificates:
    """What most tests need, each made when it is first asked for."""

    def __init__(self, directory: Path):
        self.directory = Path(directory)
        self.root = Authority(self.directory / "root", "Test root")
        self._made: dict = {}

    def once(self, name: str, make):
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    # Of the listeners. All names of one certificate; app.test is what the harness's clients ask for.

    @property
    def server(self) -> Certificate:
        return self.once("server", lambda: self.root.leaf(
            "app.test", names=["app.test", "localhost", "secure.example.com"], addresses=["127.0.0.1"], stem="server"))

    @property
    def server_rsa(self) -> Certificate:
        return self.once("server_rsa", lambda: self.root.leaf(
            "app.test", names=["app.test", "localhost", "secure.example.com"], addresses=["127.0.0.1"], kind="rsa", stem="server-rsa"))

    @property
    def wildcard(self) -> Certificate:
        return self.once("wildcard", lambda: self.root.leaf("*.example.com", names=["*.example.com"], stem="wildcard"))

    @property
    def other(self) -> Certificate:
        return self.once("other", lambda: self.root.leaf("other.example.org", stem="other"))

    # Of backends

    @property
    def backend(self) -> Certificate:
        return self.once("backend", lambda: self.root.leaf(
            "backend.internal", names=["backend.internal", "localhost"], addresses=["127.0.0.1"], stem="backend"))

    # Of clients

    @property
    def clients(self) -> Authority:
        """Signs client certificates, and nothing that a server shows."""
        return self.once("clients", lambda: Authority(self.directory / "clients", "Client root"))

    @property
    def client(self) -> Certificate:
        return self.once("client", lambda: self.clients.client("alice", names=["alice.clients.example.com"], stem="alice"))

    @property
    def stranger(self) -> Authority:
        """An authority that nobody trusts."""
        return self.once("stranger", lambda: Authority(self.directory / "stranger", "Stranger"))
