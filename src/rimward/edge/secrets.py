"""Secrets that an app names: found when the node starts, in its environment or in the app's settings."""

import base64
import binascii
from collections.abc import Iterable, Mapping

from msgspec import Struct

from rimward.app.triggers import Http
from rimward.app.webhooks import Signed
from rimward.edge.dispatch.functions import Check, FunctionRun
from rimward.edge.dispatch.ports import Clocks
from rimward.events import LoadError
from rimward.protocols.http.signatures import verify

_PUBLIC_KEY = 32  # bytes of an Ed25519 key


def give_secrets(
    runs: Iterable[FunctionRun], settings: Struct | None, environ: Mapping[str, str], clocks: Clocks
) -> None:
    """Give each function with a signed trigger what checks its requests.

    Raises:
        LoadError: a secret is not there, or is no key of its kind; then all stays as it was.
    """
    checks: list[tuple[FunctionRun, Check]] = []
    for run in runs:
        trigger = run.function.trigger
        if isinstance(trigger, Http) and trigger.signed is not None:
            key = _key(run, trigger.signed, settings, environ)
            checks.append((run, _check(trigger.signed, key, clocks)))
    for run, check in checks:
        run.check = check


def _check(signed: Signed, key: bytes, clocks: Clocks) -> Check:
    return lambda headers, body: verify(signed, key, headers, body, clocks.wall() / 1e9)


def _key(run: FunctionRun, signed: Signed, settings: Struct | None, environ: Mapping[str, str]) -> bytes:
    kind, _, name = signed.secret.partition(":")
    found = environ.get(name) if kind == "env" else getattr(settings, name, None)
    if not isinstance(found, str) or not found:
        place = "the variable" if kind == "env" else "the app's setting"
        raise LoadError(
            f"{run.name}: {place} {name} is not set, and {signed.name}'s signatures are checked with it",
            file=run.function.file,
            line=run.function.line,
            cure=f"set {name} where the node runs",
        )
    if signed.kind != "ed25519":
        return found.encode()
    try:
        key = base64.b64decode(found, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _PUBLIC_KEY:
        raise LoadError(
            f"{run.name}: {name} is not {_PUBLIC_KEY} bytes in base64, as an Ed25519 key is",
            file=run.function.file,
            line=run.function.line,
            cure="copy the public key from the sender's portal",
        )
    return key
