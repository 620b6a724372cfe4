import base64
import hashlib
import hmac
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from rimward.edge.access.passwords import hashed

from .house import House, opened, picky

PASSWORD = b"correct horse"
SALT, ROUNDS = b"0123456789abcdef", 4096


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House, None]:
    """A node with an app that refuses `picky/+` and answers `ask/+`."""
    async with opened(tmp_path, picky()) as house:
        yield house


@pytest.fixture(scope="session")
def access() -> str:
    """An access file with one device, which has a password and the keys of SCRAM-SHA-256 [RFC 5802]."""
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD, SALT, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored_key, server_key = (base64.b64encode(key).decode() for key in (SALT, stored, server))
    return f"""[[device]]
id = "truck-7"
password = "{hashed(PASSWORD)}"

[device.scram]
salt = "{salt}"
iterations = {ROUNDS}
stored_key = "{stored_key}"
server_key = "{server_key}"
"""


@pytest.fixture
async def guarded(tmp_path: Path, access: str) -> AsyncGenerator[House, None]:
    """The same node, to which one device alone has access."""
    async with opened(tmp_path, picky(), access) as house:
        yield house


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    """Each of the two protocol levels."""
    return int(request.param)
