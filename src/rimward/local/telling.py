"""What `rimward dev` says: JSON lines for programs, a few lines for people. Notes go to standard error."""

import sys
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rimward.local.text import printable


class Ready(Struct, frozen=True, omit_defaults=True):
    """The first line; ports that nothing listens on are None."""

    mqtt: int | None
    http: int | None
    coap: int | None
    sip: int | None
    console: int | None
    data: str
    pids: dict[str, int | None]
    more: dict[str, str] = {}  # addresses of further listeners by name, where there are any


class Teller(Protocol):
    """Where `dev` says what happens."""

    def ready(self, ready: Ready, app: str, link: str | None, send: str | None) -> None:
        """Everything serves; `link` opens the console, `send` is a command that sends the app a message."""
        ...

    def pids(self, pids: dict[str, int | None]) -> None:
        """A process was restarted and serves again."""
        ...

    def note(self, text: str) -> None:
        """Something happened that a person wants to know."""
        ...


class JsonTeller:
    """One JSON object a line."""

    def ready(self, ready: Ready, app: str, link: str | None, send: str | None) -> None:  # noqa: ARG002 -- the line's keys are fixed
        """Write the ready line; the console's link and what to send are for people."""
        _line({"ready": ready})
        if link:
            self.note(f"console: {link}")
        if send:
            self.note(f"try: {send}")

    def pids(self, pids: dict[str, int | None]) -> None:
        """Write the current pids."""
        _line({"pids": pids})

    def note(self, text: str) -> None:
        """Write to standard error."""
        _note(text)


class PeopleTeller:
    """A few lines."""

    def ready(self, ready: Ready, app: str, link: str | None, send: str | None) -> None:
        """Write where everything is and what to type next."""
        rows = [
            ("mqtt", f"127.0.0.1:{ready.mqtt}"),
            ("http", f"http://127.0.0.1:{ready.http}"),
            *ready.more.items(),
            ("console", link),
            ("data", ready.data),
            ("logs", f"{ready.data}/logs"),
        ]
        _say(f"{app} runs")
        for name, value in rows:
            if value is not None:
                _say(f"  {name:8} {value}")
        _say("in another terminal:")
        for command in (send, "rimward status", "rimward ledger", "rimward trace last"):
            if command is not None:
                _say(f"  {command}")
        _say("save the app and it restarts; ctrl-C stops everything")

    def pids(self, pids: dict[str, int | None]) -> None:
        """Say that all is well again."""
        running = ", ".join(f"{name} {pid}" for name, pid in pids.items() if pid is not None)
        _say(f"running again: {running}")

    def note(self, text: str) -> None:
        """Write to standard error."""
        _note(text)


class Lines:
    """What `rimward hub run` and `rimward node run` say."""

    def __init__(self, verb: str, *, json: bool) -> None:
        self._verb = verb
        self._json = json

    def hub_ready(self, app: str, ready: dict[str, Any]) -> None:
        """Say where nodes find the hub."""
        if self._json:
            _line({"ready": ready})
            return
        _say(f"the hub of {app} runs")
        for name in ("url", "authority", "data"):
            if ready[name]:
                _say(f"  {name:10} {ready[name]}")
        _say("in another terminal, for each node:")
        _say(f"  rimward hub token --data {ready['data']}")

    def node_ready(self, app: str, name: str, ready: Ready) -> None:
        """Say where devices find the node."""
        if self._json:
            _line({"ready": ready})
            return
        _say(f"{app} runs on the node {name}")
        rows = [("mqtt", f"127.0.0.1:{ready.mqtt}"), ("http", f"http://127.0.0.1:{ready.http}")]
        for key, value in [*rows, *ready.more.items(), ("data", ready.data), ("logs", f"{ready.data}/logs")]:
            _say(f"  {key:10} {value}")

    def pids(self, pids: dict[str, int | None]) -> None:
        """Say that a process was restarted and serves again."""
        if self._json:
            _line({"pids": pids})
            return
        running = ", ".join(f"{name} {pid}" for name, pid in pids.items() if pid is not None)
        _say(f"running again: {running}")

    def note(self, text: str) -> None:
        """Write to standard error."""
        _note(text, self._verb)


def _line(content: Any) -> None:
    _say(msgspec.json.encode(content).decode())


def _say(text: str) -> None:
    with suppress(OSError):  # a reader that has gone is no reason to stop serving devices
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()


def _note(text: str, verb: str = "dev") -> None:
    with suppress(OSError):
        sys.stderr.write(f"rimward {verb}: {printable(text)}\n")
        sys.stderr.flush()
