"""Certificates for tests, made by the openssl command."""

import subprocess
from pathlib import Path

from rimward.edge.gateways.listening.config import CertificateFiles

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
CONFIG = """\
[req]
distinguished_name = none
[none]
[ca]
default_ca = ours
[ours]
database = {folder}/index.txt
crlnumber = {folder}/crlnumber
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 1
"""


class Authority:
    """Who signs certificates, and revokes them."""

    def __init__(self, folder: Path, name: str = "Authority of the tests") -> None:
        folder.mkdir()
        self.folder = folder
        self.file: Path = folder / "ca.pem"
        self._config = folder / "openssl.cnf"
        self._config.write_text(CONFIG.format(folder=folder))
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        self._run(
            "req", "-x509", *EC, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, file: str, *names: str, days: int = 30, common: str = "") -> CertificateFiles:
        """Return a certificate for DNS names, or without any for a client."""
        alternative = ",".join(f"DNS:{name}" for name in names) or f"URI:urn:device:{common}"
        self._run(
            "req", "-x509", *EC, "-keyout", f"{file}.key", "-out", f"{file}.pem", "-days", str(days),
            "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={common or names[0]}",
            "-addext", f"subjectAltName={alternative}", "-addext", "basicConstraints=CA:FALSE",
        )  # fmt: skip
        return CertificateFiles(str(self.folder / f"{file}.pem"), str(self.folder / f"{file}.key"))

    def revoke(self, files: CertificateFiles) -> None:
        """Put a certificate on the list."""
        self._run("ca", "-revoke", files.certificate)

    def write_crl(self, file: Path) -> str:
        """Write the list of those revoked."""
        self._run("ca", "-gencrl", "-out", str(file))
        return str(file)

    def _run(self, command: str, *arguments: str) -> None:
        subprocess.run(
            ["openssl", command, "-config", str(self._config), *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
