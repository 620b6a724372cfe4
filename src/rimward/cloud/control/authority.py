"""The hub's own authority: it signs the certificate that the hub's enrolment and bus show.

A node knows it by its fingerprint, which the join string carries, and trusts nothing else for its hub.
Certificates begin in 1970, so that a node whose battery is empty can still tell its hub from another.
"""

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rimward.network.secretfile import write_secret

_BEGIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(2099, 12, 31, tzinfo=dt.UTC)  # whoever takes the key needs no old one
NEAR = ("localhost", "127.0.0.1", "::1")


class Authority:
    """The files DATA/hub/authority.{pem,key}, made where they are not there."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make it.

        Raises:
            OSError: the disk refused it.
            ValueError: the files are damaged.
        """
        self.path: Path = folder / "authority.pem"
        self._key_path = folder / "authority.key"
        if not self.path.exists():
            self._make()
        self._certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        key = load_pem_private_key(self._key_path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{self._key_path} is no key of an elliptic curve")  # noqa: TRY004 -- a damaged file
        self._key = key

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate's DER, hex."""
        return fingerprint(self._certificate)

    def certify(self, hosts: Iterable[str], path: Path) -> None:
        """Write a certificate for these names and addresses and this machine's own, with its key, as one PEM.

        Raises:
            OSError: the disk refused it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_general(host) for host in dict.fromkeys((*hosts, *NEAR))]
        certificate = (
            _builder("rimward hub", self._certificate.subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_identifier(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        write_secret(path, _pem(key) + certificate.public_bytes(Encoding.PEM))

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rimward hub authority")])
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder("rimward hub authority", name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(self._key_path, _pem(key))
        write_secret(self.path, certificate.public_bytes(Encoding.PEM))


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's DER, hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
    )


def _identifier(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
