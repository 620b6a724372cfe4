"""What a person may send to a running app first, made from its manifest."""

import shlex
from pathlib import Path
from typing import Any

from rimward.app.manifest import Manifest
from rimward.devices.simulate import example
from rimward.local.folder import NAME


def send_line(manifest: Manifest, data: Path, time: int) -> str | None:
    """Return a `rimward send` command for the app's first function, as a shell takes it; `time` in ns.

    None where no function takes a message. `data` is named where it would not be found from here.
    """
    sent = example(manifest, time)
    if sent is None:
        return None
    words = ["rimward", "send", sent.protocol]
    words += [sent.method, sent.path] if sent.method else [sent.path]
    if sent.payload is not None:
        words.append(sent.payload)
    if data != Path(NAME):
        words += ["--data", str(data)]
    return shlex.join(words)


def takes(manifest: Manifest) -> list[Any]:
    """Return what the app takes over MQTT: where it is the same, devices need not change."""
    return [(one.path, one.captures, one.payload) for one in manifest.functions if one.protocol == "mqtt"]
