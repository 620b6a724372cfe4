"""JSON Web Tokens [RFC 7519], verified by PyJWT; what they claim is checked here, by the credentials' clock.

Only RS256, ES256, EdDSA and HS256, each with keys that the access file names for it: the algorithm is the
key's, never the token's own word, so `none` and a public key taken for a shared secret get nowhere.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from rimward.edge.access.errors import AccessError
from rimward.edge.access.file import Issuer, Key, patterns_problems
from rimward.edge.access.grants import Patterns
from rimward.edge.access.identity import Badge, Denial, DenialKind, id_problem

MAX_TOKEN = 8 << 10  # bytes
MIN_SECRET = 32  # bytes of a shared one [RFC 7518 §3.2]


class _Verifier(Struct, frozen=True):
    issuer: Issuer
    key: Key
    loaded: Any  # the library's own form of the key
    proof: str


class Tokens:
    """The issuers of an access file, with their keys."""

    def __init__(self, issuers: tuple[Issuer, ...], file: Path | None, now: Callable[[], int]) -> None:
        """Load every key; `now` is the credentials' clock, wall ns.

        Raises:
            AccessError: a key can't be read, or is none of its algorithm.
        """
        self._now = now
        self._verifiers: dict[str, list[_Verifier]] = {}
        for index, issuer in enumerate(issuers):
            for number, key in enumerate(issuer.key):
                place = f"jwt[{index}].key[{number}].file"
                verifier = _load(issuer, key, file or Path(), place)
                self._verifiers.setdefault(issuer.issuer, []).append(verifier)

    @property
    def issuers(self) -> int:
        """How many issuers are known."""
        return len(self._verifiers)

    def verify(self, token: str) -> Badge | Denial:
        """Return whom a token names, with all that it claims checked."""
        if len(token) > MAX_TOKEN:
            return _denied(f"the token has {len(token)} characters, the limit is {MAX_TOKEN}")
        claims, verifier = self._opened(token)
        if verifier is None:
            return _denied("no key of the access file verifies the token")
        problem = self._time_problem(claims, verifier.issuer.leeway)
        if problem is not None:
            return Denial(DenialKind.EXPIRED, problem)
        if (problem := _claims_problem(claims, verifier.issuer)) is not None:
            return _denied(problem)
        return _badge(claims, verifier)

    def still_trusts(self, badge: Badge) -> bool:
        """Tell whether the key that verified a badge is still one, and its time is not over."""
        known = any(one.proof == badge.proof for one in self._verifiers.get(badge.entry, ()))
        return known and not self.has_ended(badge)

    def has_ended(self, badge: Badge) -> bool:
        """Tell whether a badge's time is over."""
        return badge.until is not None and self._now() >= badge.until

    def _opened(self, token: str) -> "tuple[dict[str, Any], _Verifier | None]":
        """Return what a token claims, and which key has verified it."""
        if not self._verifiers:
            return {}, None
        import jwt

        parser = jwt.PyJWS()
        try:
            said = parser.decode_complete(token, options={"verify_signature": False})
            claims = msgspec.json.decode(said["payload"], type=dict[str, Any])
        except (jwt.PyJWTError, msgspec.DecodeError, ValueError, RecursionError):
            return {}, None
        header = said["header"]
        if header.get("crit"):
            return {}, None
        for one in self._verifiers.get(str(claims.get("iss")), ()):
            if header.get("alg") != one.key.algorithm or one.key.id not in {None, header.get("kid")}:
                continue
            try:
                parser.decode_complete(token, one.loaded, [one.key.algorithm])
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
            return claims, one
        return {}, None

    def _time_problem(self, claims: dict[str, Any], leeway: float) -> str | None:
        now = self._now() / 1e9
        ends, begins = _time(claims, "exp"), _time(claims, "nbf")
        if ends is None:
            return "the token has no exp, so it would be good for ever"
        if now >= ends + leeway:
            return f"the token ended {now - ends:.0f} s ago"
        if "nbf" in claims and (begins is None or now < begins - leeway):
            return "the token's nbf has not come"
        return None


def _load(issuer: Issuer, key: Key, file: Path, place: str) -> _Verifier:
    import jwt
    from jwt.algorithms import get_default_algorithms

    path = file.parent / key.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AccessError(str(file), place, f"it can't be read ({error.strerror})", key.file) from None
    if key.algorithm == "HS256":
        data = data.strip()
        if len(data) < MIN_SECRET:
            raise AccessError(str(file), place, f"a shared secret has at least {MIN_SECRET} bytes", key.file)
    elif b"PRIVATE" in data:
        raise AccessError(str(file), place, "it is a private key: a node needs the public one", key.file)
    try:
        loaded: Any = get_default_algorithms()[key.algorithm].prepare_key(data)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise AccessError(str(file), place, f"it is no key of {key.algorithm} ({error})", key.file) from None
    return _Verifier(issuer, key, loaded, sha256(key.algorithm.encode() + data).hexdigest()[:32])


def _claims_problem(claims: dict[str, Any], issuer: Issuer) -> str | None:
    audience = claims.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        return f"the token is not for the audience {issuer.audience}"
    name = claims.get(issuer.id_claim)
    if not isinstance(name, str):
        return f"the token has no text as its claim {issuer.id_claim}"
    if (why := id_problem(name)) is not None:
        return f"the token's {issuer.id_claim} can't be a device's id: {why}"
    user = claims.get(issuer.user_claim) if issuer.user_claim else None
    if user is not None and (not isinstance(user, str) or id_problem(user) is not None):
        return f"the token's {issuer.user_claim} can't be a user's name"
    return None


def _badge(claims: dict[str, Any], verifier: _Verifier) -> Badge | Denial:
    issuer = verifier.issuer
    try:
        said: Any = claims.get(issuer.roles_claim, []) if issuer.roles_claim else []
        roles = msgspec.convert([said] if isinstance(said, str) else said, tuple[str, ...])
        rules: Any = claims.get(issuer.rules_claim, []) if issuer.rules_claim else []
        patterns = msgspec.convert(rules, tuple[Patterns, ...])
    except msgspec.ValidationError as error:
        return _denied(f"the token's roles or rules are not as they must be: {error}")
    for index, one in enumerate(patterns):
        for place, _, rule in patterns_problems(f"{issuer.rules_claim}[{index}]", one):
            return _denied(f"the token's {place}: {rule}")
    return Badge(
        "jwt",
        claims[issuer.id_claim],
        claims.get(issuer.user_claim) if issuer.user_claim else None,
        issuer.issuer,
        verifier.proof,
        (*issuer.roles, *roles),
        patterns,
        round((claims["exp"] + issuer.leeway) * 1e9),
    )


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Return a claim that is a time, seconds since the epoch."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        return None
    return float(value)


def _denied(detail: str) -> Denial:
    return Denial(DenialKind.CREDENTIALS, detail)
