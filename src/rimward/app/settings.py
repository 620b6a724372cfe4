"""An app's settings: its `config` type filled from the environment, a JSON file and its own defaults."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.application import App
from rimward.events import LoadError

PREFIX = "RIMWARD_CONFIG_"
_SECRET = ("secret", "token", "passw", "key", "pin", "credential")  # in names of fields that are not shown


def settings_of(app: App, file: bytes | None, environ: Mapping[str, str]) -> Struct | None:
    """Return the app's settings, or None where it names no `config`.

    A variable RIMWARD_CONFIG_<FIELD> wins over the file, and that over the field's default. A variable is
    text: numbers and truth values are read from it, and anything nested is JSON.

    Raises:
        LoadError: a value is missing, is not of its field's type, or names no field.
    """
    config = app.config
    if config is None:
        return None
    values = _from_file(config, file)
    fields = {field.encode_name: field for field in msgspec.structs.fields(config)}
    for name, field in fields.items():
        text = environ.get(PREFIX + name.upper())
        if text is not None:
            values[name] = _from_text(config, name, field.type, text)
    if unknown := sorted(set(values) - set(fields)):
        raise LoadError(
            f"the settings have {unknown[0]!r}, which {config.__name__} does not",
            cure=f"its fields are {', '.join(fields)}",
        )
    try:
        return msgspec.convert(values, config)
    except msgspec.ValidationError as error:
        raise LoadError(
            f"the settings do not fit {config.__name__}: {error}{_found(values, str(error))}",
            cure=f"set {PREFIX}<FIELD> or correct the file of settings",
        ) from None


def _found(values: Any, error: str) -> str:
    """Return the value that an error is about, as the error's end; none of what may be a secret."""
    _, at, path = error.rpartition(" - at `$")
    value = values
    for part in re.findall(r"\.(\w+)|\[(\d+)\]", path) if at else ():
        if any(word in part[0].lower() for word in _SECRET):
            return ""
        try:
            value = value[part[0] or int(part[1])]
        except (LookupError, TypeError):
            return ""
    return f", where {str(value)[:64]!r} was found" if at else ""


def _from_file(config: type[Struct], file: bytes | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return msgspec.json.decode(file, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LoadError(
            f"the file of settings for {config.__name__} can't be read: {error}", cure="write a JSON object"
        ) from None


def _from_text(config: type[Struct], name: str, type_: Any, text: str) -> Any:
    try:
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as error:
        try:
            return msgspec.json.decode(text, type=type_)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise LoadError(
                f"{PREFIX}{name.upper()} is {text[:64]!r}, which does not fit {config.__name__}: {error}",
                cure="correct the variable",
            ) from None
