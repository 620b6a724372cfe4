"""The access file, access.toml: who may come in and what they may do. It does no I/O beyond reading a file.

```toml
[[device]]
id = "truck-1"
password = "$argon2id$v=19$..."   # `rimward device add truck-1 --password-stdin` writes it

[[rule]]
roles = ["dashboard"]
subscribe = ["trucks/+/display"]
```
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from rimward.edge.access.errors import AccessError
from rimward.edge.access.grants import (
    Patterns,
    path_problem,
    pattern_problem,
    placeholders_of,
    request_problem,
)
from rimward.edge.access.identity import id_problem
from rimward.edge.access.oscore import OscoreKeys, oscore_problems

MAX_FILE = 64 << 20  # bytes of an access file
MAX_DEVICES = 200_000
MAX_RULES = 4_096
MIN_ITERATIONS = 4_096  # of SCRAM [RFC 7677 §4]

_HASH = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN = ("password", "token", "certificate", "scram", "oscore")
_SECRETS = frozenset({"password", "token", "salt", "stored_key", "server_key", "secret"})


class ScramKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """What SCRAM-SHA-256 needs of a password [RFC 5802 §3]; bytes in base64."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


class Device(Struct, frozen=True, forbid_unknown_fields=True):
    """One device, or one user: whoever has credentials of their own."""

    id: str
    user: str | None = None  # {user}, and a name that it may log in with; several may share one
    password: str | None = None  # argon2id, as its own string form has it
    certificate: str | None = None  # "sha256:FINGERPRINT", "subject:NAME" or "name:SUBJECT-ALTERNATIVE-NAME"
    token: str | None = None  # "sha256:" and the digest of a random token
    scram: ScramKeys | None = None
    roles: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()  # MQTT client ids that it may have, "truck-*" for several; none: its id
    oscore: OscoreKeys | None = None


class Rule(Patterns, frozen=True, forbid_unknown_fields=True):
    """What some identities may do. A rule that names nobody is for everyone who has shown who it is."""

    roles: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    anyone: bool = False  # for callers without credentials
    own: bool = False  # and what they could do if no rule named them


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that verifies tokens."""

    file: str  # PEM of a public key, or for HS256 the shared secret; relative to the access file
    algorithm: Literal["RS256", "ES256", "EdDSA", "HS256"]
    id: str | None = None  # the token's kid; without one the key serves every token of its algorithm


class Issuer(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may issue JSON Web Tokens [RFC 7519] for this node."""

    issuer: str  # iss
    audience: str  # aud
    key: tuple[Key, ...]
    leeway: float = 30.0  # seconds by which clocks may differ
    id_claim: str = "sub"
    user_claim: str | None = None
    roles_claim: str | None = None
    rules_claim: str | None = None  # a list of tables as [[rule]] has them, without roles and devices
    roles: tuple[str, ...] = ()  # that all its tokens have


class Certificates(Struct, frozen=True, forbid_unknown_fields=True):
    """Every client whose certificate the listener has verified comes in, also without a [[device]]."""

    id: Literal["subject", "name"]  # common name, or the first subject alternative name
    roles: tuple[str, ...] = ()


class AccessFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    device: tuple[Device, ...] = ()
    rule: tuple[Rule, ...] = ()
    jwt: tuple[Issuer, ...] = ()
    certificates: Certificates | None = None


def read(path: Path) -> AccessFile:
    """Read and check a file.

    Raises:
        AccessError: it can't be read, or something in it breaks a rule.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise AccessError(str(path), "", f"it has {size} bytes, the limit is {MAX_FILE}")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AccessError(str(path), "", f"it is not UTF-8, at byte {error.start}") from None
    except OSError as error:
        raise AccessError(str(path), "", f"it can't be read ({error.strerror or error})") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> AccessFile:
    """Return what a file's text says.

    Raises:
        AccessError: something in it breaks a rule.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AccessError(name, "", f"it is not TOML: {error}") from None
    try:
        found = msgspec.convert(raw, AccessFile)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        raise AccessError(name, place.strip("`").removeprefix("$."), _lower(what)) from None
    for place, value, rule in _problems(found):
        key = place.rpartition(".")[2]
        raise AccessError(name, place, rule, None if key in _SECRETS else value)
    return found


_Problem = tuple[str, object, str]  # place, value, rule


def _problems(file: AccessFile) -> Iterator[_Problem]:
    if len(file.device) > MAX_DEVICES:
        yield "device", len(file.device), f"the limit is {MAX_DEVICES} devices"
    if len(file.rule) > MAX_RULES:
        yield "rule", len(file.rule), f"the limit is {MAX_RULES} rules"
    for index, device in enumerate(file.device):
        yield from _device_problems(f"device[{index}]", device)
    yield from _repeated(file.device)
    known = {device.id for device in file.device}
    for index, rule in enumerate(file.rule):
        yield from _rule_problems(f"rule[{index}]", rule, known)
    seen: set[str] = set()
    for index, issuer in enumerate(file.jwt):
        yield from _issuer_problems(f"jwt[{index}]", issuer)
        if issuer.issuer in seen:
            yield f"jwt[{index}].issuer", issuer.issuer, "another [[jwt]] has it"
        seen.add(issuer.issuer)


def _device_problems(place: str, device: Device) -> Iterator[_Problem]:
    for key, text in (("id", device.id), ("user", device.user)):
        if text is not None and (why := id_problem(text)) is not None:
            yield f"{place}.{key}", text, why
    if device.password is not None and _HASH.fullmatch(device.password) is None:
        cure = f"write one with rimward device password {device.id}"
        yield f"{place}.password", device.password, f"it is no argon2id hash: {cure}"
    if device.token is not None and _DIGEST.fullmatch(device.token) is None:
        yield f"{place}.token", device.token, "it is not sha256: and 64 hexadecimal digits"
    if device.certificate is not None and (why := _certificate_problem(device.certificate)) is not None:
        yield f"{place}.certificate", device.certificate, why
    if device.scram is not None and device.scram.iterations < MIN_ITERATIONS:
        yield f"{place}.scram.iterations", device.scram.iterations, f"at least {MIN_ITERATIONS} are needed"
    if not any(getattr(device, key) for key in _SHOWN):
        yield place, device.id, f"it has none of {', '.join(_SHOWN)}, so it can't come in"
    yield from _more_problems(place, device)


def _more_problems(place: str, device: Device) -> Iterator[_Problem]:
    for key, value, why in () if device.oscore is None else oscore_problems(device.oscore):
        yield f"{place}.oscore.{key}", value, why
    for index, client in enumerate(device.clients):
        if (why := id_problem(client.removesuffix("*") or "x")) is not None or "*" in client[:-1]:
            yield f"{place}.clients[{index}]", client, why or "* stands at the end alone"


def _certificate_problem(text: str) -> str | None:
    kind, _, rest = text.partition(":")
    if kind in {"subject", "name"} and rest:
        return None
    if _DIGEST.fullmatch(text) is not None:
        return None
    return "write sha256: and 64 hexadecimal digits, subject:NAME, or name:SUBJECT-ALTERNATIVE-NAME"


def _repeated(devices: tuple[Device, ...]) -> Iterator[_Problem]:
    """Yield what two devices may not have both: one of them could come in as the other."""
    for key in ("id", "certificate", "token"):
        seen: dict[str, int] = {}
        for index, device in enumerate(devices):
            value: str | None = getattr(device, key)
            if value is not None and value in seen:
                yield f"device[{index}].{key}", value, f"device[{seen[value]}] has it already"
            elif value is not None:
                seen[value] = index
    yield from _repeated_keys(devices)
    ids = {device.id for device in devices}
    for index, device in enumerate(devices):
        if device.user is not None and device.user != device.id and device.user in ids:
            yield f"device[{index}].user", device.user, "another device has it as its id"


def _repeated_keys(devices: tuple[Device, ...]) -> Iterator[_Problem]:
    """Yield OSCORE's keys that two devices have: a secret, or the names by which a secret is found."""
    secrets: dict[bytes, int] = {}
    names: dict[tuple[bytes, bytes | None], int] = {}
    for index, device in enumerate(devices):
        if device.oscore is None:
            continue
        keys, place = device.oscore.keys(), f"device[{index}].oscore"
        first = secrets.setdefault(keys.secret, index)
        if first != index:
            yield f"{place}.secret", None, f"device[{first}] has it already"
        first = names.setdefault((keys.recipient, keys.context), index)
        if first != index:
            why = f"device[{first}] has it already: give one of them a context of its own"
            yield f"{place}.recipient", device.oscore.recipient, why


def _rule_problems(place: str, rule: Rule, known: set[str]) -> Iterator[_Problem]:
    if rule.anyone and (rule.roles or rule.devices or rule.own):
        yield f"{place}.anyone", True, "a rule for anyone has no roles, devices or own"
    for index, device in enumerate(rule.devices):
        if device not in known:
            yield f"{place}.devices[{index}]", device, "no [[device]] has this id"
    if rule.anyone:
        for key, index, pattern in _patterns(rule):
            if placeholders_of(pattern):
                yield f"{place}.{key}[{index}]", pattern, "nobody knows who anyone is: write no placeholder"
    yield from patterns_problems(place, rule)


def patterns_problems(place: str, rule: Patterns) -> Iterator[_Problem]:
    """Yield what is wrong with the patterns of a rule: their places, values and the rules they break."""
    checks = {"request": request_problem, "observe": path_problem}
    for key, index, pattern in _patterns(rule):
        if (why := checks.get(key, pattern_problem)(pattern)) is not None:
            yield f"{place}.{key}[{index}]", pattern, why


def _patterns(rule: Patterns) -> Iterator[tuple[str, int, str]]:
    for key in ("publish", "subscribe", "request", "observe"):
        patterns: tuple[str, ...] = getattr(rule, key)
        for index, pattern in enumerate(patterns):
            yield key, index, pattern


def _issuer_problems(place: str, issuer: Issuer) -> Iterator[_Problem]:
    for key in ("issuer", "audience"):
        if not getattr(issuer, key):
            yield f"{place}.{key}", "", "it is empty: a token would fit that is for somebody else"
    if not issuer.key:
        yield f"{place}.key", None, "it has no [[jwt.key]], so no token could be verified"
    if not 0 <= issuer.leeway <= 300:
        yield f"{place}.leeway", issuer.leeway, "it is a number of seconds from 0 to 300"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
