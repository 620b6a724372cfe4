"""A client's side of SCRAM-SHA-256, written by the words of RFC 5802 §3 and §5."""

import base64
import hashlib
import hmac


class ScramClient:
    """One exchange."""

    def __init__(self, name: str, password: str, nonce: str = "fyko", binding: str = "n") -> None:
        self._header = f"{binding},,"
        escaped = name.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={escaped},r={nonce}"
        self._password = password
        self._nonce = nonce
        self._proof = b""

    def first(self) -> bytes:
        """Return the first message."""
        return (self._header + self._bare).encode()

    def final(self, challenge: bytes) -> bytes:
        """Answer the server's first message."""
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert fields["r"].startswith(self._nonce)
        assert len(fields["r"]) > len(self._nonce)
        salted = hashlib.pbkdf2_hmac(
            "sha256", self._password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
        )
        without = f"c={base64.b64encode(self._header.encode()).decode()},r={fields['r']}"
        message = f"{self._bare},{challenge.decode()},{without}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        self._proof = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without},p={base64.b64encode(proof).decode()}".encode()

    def is_proof(self, answer: bytes) -> bool:
        """Tell whether the server has the password too."""
        return answer == b"v=" + base64.b64encode(self._proof)
