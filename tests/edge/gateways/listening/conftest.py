from pathlib import Path

import pytest

from rimward.edge.gateways.listening.config import CertificateFiles

from .pki import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of these tests."""
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture(scope="session")
def node_files(authority: Authority) -> CertificateFiles:
    """The certificate of node.test."""
    return authority.issue("node", "node.test", "localhost")


@pytest.fixture(scope="session")
def other_files(authority: Authority) -> CertificateFiles:
    """The certificate of *.other.test."""
    return authority.issue("other", "*.other.test")


@pytest.fixture(scope="session")
def truck_files(authority: Authority) -> CertificateFiles:
    """The certificate of a device."""
    return authority.issue("truck", common="truck-7")


@pytest.fixture
def copied(tmp_path: Path, node_files: CertificateFiles) -> CertificateFiles:
    """A copy of node.test's certificate that a test may replace."""
    files = CertificateFiles(str(tmp_path / "served.pem"), str(tmp_path / "served.key"))
    replace(files, node_files)
    return files


def replace(there: CertificateFiles, by: CertificateFiles) -> None:
    """Put other files where some are, as a renewal does."""
    for old, new in ((there.certificate, by.certificate), (there.key, by.key)):
        fresh = Path(old + ".new")
        fresh.write_bytes(Path(new).read_bytes())
        fresh.replace(old)
