"""What the contract names and a later version brings: told as such, not as a name that is missing."""

import re

LATER = {
    "sip": "calls",
    "ws": "the WebSocket gateway",
    "Call": "calls",
    "Turn": "calls",
    "Shared": "sites of several nodes",
    "Trained": "models",
    "Prediction": "models",
    "model": "models",
    "voice": "calls",
    "dial": "calls",
    "invoke": "sites of several nodes",
}
_IMPORT = re.compile(r"cannot import name '(\w+)' from 'rimward'")


def later_name(error: Exception) -> str | None:
    """Return the name that an error is about, where a later version has it."""
    name: object = None
    if isinstance(error, ImportError) and (match := _IMPORT.match(str(error))):
        name = match[1]
    elif isinstance(error, AttributeError) and type(error.obj).__module__.startswith("rimward.app"):
        name = error.name
    return name if isinstance(name, str) and name in LATER else None
